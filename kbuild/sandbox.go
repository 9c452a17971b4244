package kbuild

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"unsafe"

	"github.com/landlock-lsm/go-landlock/landlock"
	ll "github.com/landlock-lsm/go-landlock/landlock/syscall"
	"golang.org/x/sys/unix"
)

// A build compiles text that may come from a stranger. Every program that it runs
// is therefore confined: it may read the tree it works in, the toolchain and the
// system's headers; write below one directory; and use no network.
//
// Landlock confines the thread that asks for it, and all that this thread starts.
// So each program is started from an operating-system thread of its own, which
// confines itself first and ends with the program: this process stays as it is, and
// needs no helper program, which a test binary would not have. The same thread
// gives up all capabilities, and the means to get them again, and takes a seccomp
// filter for what Landlock does not know: sockets of every kind, io_uring, tracing
// and user namespaces.
//
// Where the kernel has no Landlock, bubblewrap (bwrap) does the same with mounts.

// Sandbox says whether the programs of a build must be confined.
type Sandbox string

const (
	SandboxAuto    Sandbox = "auto"    // confine where this machine can; Tree.Unconfined says why it could not
	SandboxRequire Sandbox = "require" // fail with ErrNoSandbox where it cannot
	SandboxOff     Sandbox = "off"
)

// ParseSandbox reads the name of a Sandbox; "" is SandboxAuto.
func ParseSandbox(mode string) (Sandbox, error) {
	switch b := Sandbox(mode); b {
	case "":
		return SandboxAuto, nil
	case SandboxAuto, SandboxRequire, SandboxOff:
		return b, nil
	}
	return "", fmt.Errorf("unknown sandbox %q: want auto, require or off", mode)
}

// ErrNoSandbox reports that neither Landlock nor bubblewrap works here.
var ErrNoSandbox = errors.New("this machine cannot confine the programs of a build")

// confineError reports a program that was not started, because it could not be
// confined. It is no fault of what is compiled.
type confineError struct {
	name string
	err  error
}

func (e *confineError) Error() string { return fmt.Sprintf("confine %s: %v", e.name, e.err) }
func (e *confineError) Unwrap() error { return e.err }

// minLandlock is the first version that also restricts truncation (Linux 6.2).
const minLandlock = 3

// confiner is a way to confine programs.
type confiner string

const (
	byNothing  confiner = ""
	byLandlock confiner = "landlock"
	byBwrap    confiner = "bwrap"
)

// findConfiner chooses a way; why tells what is missing where there is none.
var findConfiner = sync.OnceValues(func() (confiner, string) {
	version, err := ll.LandlockGetABIVersion()
	if err == nil && version >= minLandlock {
		if err = tryConfiner(byLandlock); err == nil {
			return byLandlock, ""
		}
	}
	why := fmt.Sprintf("the kernel has no Landlock of version %d or later", minLandlock)
	if err != nil {
		why = fmt.Sprintf("Landlock: %v", err)
	}
	if _, err := exec.LookPath("bwrap"); err != nil {
		return byNothing, why + ", and bwrap (package bubblewrap) is not installed"
	}
	if err := tryConfiner(byBwrap); err != nil {
		return byNothing, fmt.Sprintf("%s; bwrap: %v", why, err)
	}
	return byBwrap, ""
})

// tryConfiner runs a program that does nothing.
func tryConfiner(by confiner) error {
	_, _, err := command{
		name: "true", env: callerEnv(), argv: []string{"sh", "-c", "true"}, dir: "/",
		box: &box{by: by, read: systemPaths()},
	}.exec(context.Background())
	return err
}

// choose turns what was asked for into a confiner.
func (s Sandbox) choose() (by confiner, why string, err error) {
	if s == SandboxOff {
		return byNothing, "", nil
	}
	by, why = findConfiner()
	if by == byNothing && s == SandboxRequire {
		return by, why, fmt.Errorf("%w: %s", ErrNoSandbox, why)
	}
	return by, why, nil
}

// box is what one program may do.
type box struct {
	by      confiner
	read    []string // files, and directories with all below: may be read and run
	write   []string // directories: all below may be read, run and changed
	network bool
}

// systemPaths are the toolchain, the system's headers, and what every dynamically
// linked program wants to read. No other file of /etc, /proc or a home is among them.
func systemPaths() []string {
	paths := []string{
		"/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/nix/store", "/gnu/store",
		"/etc/alternatives", "/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/ld.so.preload",
		"/etc/localtime", "/etc/ssl/openssl.cnf",
		"/dev/zero", "/dev/full", "/dev/random", "/dev/urandom",
		"/proc/cpuinfo", "/proc/meminfo", "/proc/loadavg", "/proc/filesystems", "/sys/devices/system/cpu",
	}
	home, _ := os.UserHomeDir()
	for _, dir := range filepath.SplitList(os.Getenv("PATH")) {
		// A home or the root in PATH would open all that this is to close.
		if filepath.IsAbs(dir) && filepath.Clean(dir) != "/" && filepath.Clean(dir) != filepath.Clean(home) {
			paths = append(append(paths, dir, realOr(dir)), installed(dir)...)
		}
	}
	return outermost(paths)
}

// installed are the directories that programs of a directory in PATH read: those of
// /opt/x/bin its libraries, those of ~/.pyenv/shims everything beside it.
func installed(bin string) []string {
	prefix := filepath.Dir(filepath.Clean(bin))
	var out []string
	switch filepath.Base(bin) {
	case "shims":
		out = append(out, prefix)
	case "bin", "sbin":
		for _, sub := range []string{"bin", "lib", "lib32", "lib64", "libexec", "include"} {
			out = append(out, filepath.Join(prefix, sub))
		}
	}
	return out
}

// toolchainPaths are the directories of a compiler that is installed under a prefix
// of its own: /opt/cross/bin/x86_64-linux-gnu-gcc reads /opt/cross/lib and others.
func toolchainPaths(cc string) []string {
	var out []string
	for _, word := range strings.Fields(cc) {
		found, err := exec.LookPath(word)
		if err != nil || strings.HasPrefix(word, "-") {
			continue
		}
		for _, p := range []string{found, realOr(found)} {
			path, err := filepath.Abs(p)
			if err != nil || filepath.Base(filepath.Dir(path)) != "bin" {
				out = append(out, path)
				continue
			}
			// x86_64-linux-gnu/bin/as and its like
			triplets, _ := filepath.Glob(filepath.Join(filepath.Dir(filepath.Dir(path)), "*-linux*"))
			out = append(append(out, installed(filepath.Dir(path))...), triplets...)
		}
	}
	return out
}

func realOr(p string) string {
	if r, err := filepath.EvalSymlinks(p); err == nil {
		return r
	}
	return p
}

// launcherPaths are what a compiler launcher keeps its state in, and whether it
// works over the network.
func launcherPaths(cc string) (write []string, network bool) {
	home, _ := os.UserHomeDir()
	in := func(parts ...string) string { return filepath.Join(append([]string{home}, parts...)...) }
	words := strings.Fields(cc)
	if len(words) < 2 {
		if len(words) == 0 {
			return nil, false
		}
		// gcc may be a link to ccache.
		if p, err := exec.LookPath(words[0]); err != nil || filepath.Base(realOr(p)) != "ccache" {
			return nil, false
		}
		words = []string{"ccache", words[0]}
	}
	for _, w := range words[:len(words)-1] {
		switch filepath.Base(w) {
		case "ccache":
			if dir := os.Getenv("CCACHE_DIR"); dir != "" {
				write = append(write, dir)
			}
			write = append(write, in(".cache", "ccache"), in(".ccache"), in(".config", "ccache"))
		case "sccache", "distcc", "pump", "icecc":
			network = true
			write = append(write, in(".distcc"), in(".cache", "sccache"))
		}
	}
	return write, network
}

// programs are the compiler and the other programs that make is told of, as words.
func (t *Tree) programs() string {
	words := []string{t.CC}
	for _, v := range t.meta.Vars {
		_, value, _ := strings.Cut(v, "=")
		words = append(words, value)
	}
	return strings.Join(words, " ")
}

// box is what programs that work in the tree's copies, or in the tree, may do.
//
// Programs find a place for temporary files in the first of the directories.
func (t *Tree) box(write ...string) *box {
	if t.confiner == byNothing {
		return nil
	}
	more, network := launcherPaths(t.CC)
	b := &box{by: t.confiner, network: network}
	b.read = append(append(systemPaths(), toolchainPaths(t.programs())...), t.base)
	b.read = outermost(b.read)
	b.write = append(slices.Clone(write), more...)
	return b
}

// outermost leaves out what lies below another path of the list.
func outermost(paths []string) []string {
	slices.Sort(paths)
	var out []string
	for _, p := range paths {
		if !slices.ContainsFunc(out, func(dir string) bool { return p == dir || strings.HasPrefix(p, dir+"/") }) {
			out = append(out, p)
		}
	}
	return out
}

// tmp is the directory for temporary files, "" for the caller's.
func (b *box) tmp() string {
	if b == nil || len(b.write) == 0 {
		return ""
	}
	return filepath.Join(b.write[0], "tmp")
}

// scratch prepares for programs in dir, the prepared tree or a copy of it in
// work/<id>. Makefiles try compiler options in a directory that they make in the
// current one, also when make is only asked what it would do; the prepared tree is
// not to be written to, and vars tell make another place.
func (t *Tree) scratch(dir string) (b *box, vars []string, done func(), err error) {
	if dir != t.Dir {
		return t.box(filepath.Dir(dir)), nil, func() {}, nil
	}
	tmp, unlock, err := PrivateDir(context.Background(), t.cache, "scratch")
	if err != nil {
		return nil, nil, nil, err
	}
	write := []string{tmp}
	if t.preparing {
		write = append(write, t.base)
	}
	return t.box(write...), []string{"TMPOUT=" + tmp + "/.tmp_$$$$"}, func() { os.RemoveAll(tmp); unlock() }, nil
}

// allowed rights; devices cannot be made, nor links to what lies elsewhere.
const (
	readFile = ll.AccessFSExecute | ll.AccessFSReadFile
	readDir  = readFile | ll.AccessFSReadDir
	writeDir = readDir | ll.AccessFSWriteFile | ll.AccessFSTruncate | ll.AccessFSRemoveDir | ll.AccessFSRemoveFile |
		ll.AccessFSMakeDir | ll.AccessFSMakeReg | ll.AccessFSMakeFifo | ll.AccessFSMakeSym | ll.AccessFSRefer
)

// enter confines the calling thread, which must be locked and end afterwards.
func (b *box) enter() error {
	var rules []landlock.Rule
	for _, p := range b.read {
		rules = appendPath(rules, p, readFile, readDir)
	}
	for _, p := range b.write {
		rules = appendPath(rules, p, readFile|ll.AccessFSWriteFile|ll.AccessFSTruncate, writeDir)
	}
	rules = append(rules, landlock.PathAccess(ll.AccessFSReadFile|ll.AccessFSWriteFile, "/dev/null"))
	config := landlock.V11
	if b.network {
		config.HandledAccessNet, config.Scoped = 0, 0
	}
	fd, flags, err := config.BestEffort().NewRulesetFD(rules...)
	if err != nil {
		return err
	}
	if fd < 0 {
		return ErrNoSandbox
	}
	defer unix.Close(fd)

	// Capabilities first: without no_new_privs the bits still need one.
	unix.Prctl(unix.PR_SET_SECUREBITS, secureNoRoot, 0, 0, 0) // only root can, and only root must
	if err := dropCapabilities(); err != nil {
		return fmt.Errorf("drop capabilities: %w", err)
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("set no_new_privs: %w", err)
	}
	if err := ll.LandlockRestrictSelf(fd, flags); err != nil {
		return fmt.Errorf("landlock_restrict_self: %w", err)
	}
	return filterCalls(b.network)
}

// appendPath adds a rule for a path that exists.
func appendPath(rules []landlock.Rule, path string, file, dir landlock.AccessFSSet) []landlock.Rule {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return rules
	case info.IsDir():
		return append(rules, landlock.PathAccess(dir, path).IgnoreIfMissing())
	}
	return append(rules, landlock.PathAccess(file, path).IgnoreIfMissing())
}

// secureNoRoot are SECBIT_NOROOT, SECBIT_NO_SETUID_FIXUP and their locks
// (include/uapi/linux/securebits.h, v6.12): a program of root's gets no capabilities.
const secureNoRoot = 1<<0 | 1<<1 | 1<<2 | 1<<3

// dropCapabilities takes all of them from the calling thread.
func dropCapabilities() error {
	if err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0); err != nil {
		return err
	}
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var none [2]unix.CapUserData
	return unix.Capset(&header, &none[0])
}

// auditArch are the AUDIT_ARCH_ constants by GOARCH (include/uapi/linux/audit.h, v6.12).
var auditArch = map[string]uint32{
	"amd64": unix.AUDIT_ARCH_X86_64, "arm64": unix.AUDIT_ARCH_AARCH64, "riscv64": unix.AUDIT_ARCH_RISCV64,
	"ppc64le": unix.AUDIT_ARCH_PPC64LE, "s390x": unix.AUDIT_ARCH_S390X, "loong64": unix.AUDIT_ARCH_LOONGARCH64,
}

// x32Calls is the bit that system calls of the x32 interface carry.
const x32Calls = 0x40000000

// filterCalls forbids system calls by which a program could reach what no path
// leads to. An unknown architecture, or one that the machine also runs, such as
// i386, may make no calls at all.
func filterCalls(network bool) error {
	arch, ok := auditArch[runtime.GOARCH]
	if !ok {
		return nil
	}
	stmt := func(code uint16, k uint32) unix.SockFilter { return unix.SockFilter{Code: code, K: k} }
	jump := func(code uint16, k uint32, yes, no uint8) unix.SockFilter {
		return unix.SockFilter{Code: code, Jt: yes, Jf: no, K: k}
	}
	const (
		load   = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS
		equal  = unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K
		atMost = unix.BPF_JMP | unix.BPF_JGE | unix.BPF_K
		anyBit = unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K
		give   = unix.BPF_RET | unix.BPF_K
		// offsets in struct seccomp_data
		callAt, archAt, firstArgAt = 0, 4, 16
	)
	deny := func(errno unix.Errno) unix.SockFilter { return stmt(give, unix.SECCOMP_RET_ERRNO|uint32(errno)) }

	prog := []unix.SockFilter{
		stmt(load, archAt), jump(equal, arch, 1, 0), deny(unix.ENOSYS),
		stmt(load, callAt), jump(atMost, x32Calls, 0, 1), deny(unix.ENOSYS),
	}
	forbidden := []uint32{unix.SYS_PTRACE, unix.SYS_PROCESS_VM_READV, unix.SYS_PROCESS_VM_WRITEV, unix.SYS_PIDFD_GETFD,
		unix.SYS_KCMP,
		unix.SYS_BPF, unix.SYS_PERF_EVENT_OPEN, unix.SYS_USERFAULTFD, unix.SYS_KEYCTL, unix.SYS_ADD_KEY,
		unix.SYS_REQUEST_KEY,
		unix.SYS_UNSHARE, unix.SYS_SETNS}
	if !network {
		forbidden = append(forbidden, unix.SYS_SOCKET)
	}
	for _, call := range forbidden {
		prog = append(prog, jump(equal, call, 0, 1), deny(unix.EPERM))
	}
	// Their arguments cannot be judged here; programs do without.
	for _, call := range []uint32{unix.SYS_IO_URING_SETUP, unix.SYS_CLONE3} {
		prog = append(prog, jump(equal, call, 0, 1), deny(unix.ENOSYS))
	}
	prog = append(prog,
		jump(equal, unix.SYS_CLONE, 0, 3), stmt(load, firstArgAt), jump(anyBit, unix.CLONE_NEWUSER, 0, 1),
		deny(unix.EPERM),
		stmt(give, unix.SECCOMP_RET_ALLOW))
	fprog := unix.SockFprog{Len: uint16(len(prog)), Filter: &prog[0]}
	err := unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&fprog)), 0, 0)
	runtime.KeepAlive(prog)
	if err != nil {
		return fmt.Errorf("install seccomp filter: %w", err)
	}
	return nil
}

// bwrap returns the command that runs argv in dir under bubblewrap.
func (b *box) bwrap(dir string, argv []string) []string {
	out := []string{"bwrap", "--die-with-parent", "--new-session", "--unshare-user-try", "--unshare-ipc",
		"--unshare-pid",
		"--unshare-uts", "--cap-drop", "ALL", "--dev", "/dev", "--proc", "/proc"}
	if !b.network {
		out = append(out, "--unshare-net")
	}
	bind := func(option string, paths []string) {
		for _, p := range paths {
			if strings.HasPrefix(p, "/dev/") || strings.HasPrefix(p, "/proc/") {
				continue
			}
			out = append(out, option, p, p)
		}
	}
	bind("--ro-bind-try", b.read)
	bind("--bind-try", b.write)
	return append(append(out, "--chdir", dir, "--"), argv...)
}

// onThread calls do on a thread of its own, which ends with it. The main thread is
// left alone: it cannot end, and would stay confined.
func onThread(do func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // never unlocked, but for the main thread
		if unix.Gettid() == unix.Getpid() {
			onThread(do)
			runtime.UnlockOSThread()
			return
		}
		do()
	}()
	<-done
}
