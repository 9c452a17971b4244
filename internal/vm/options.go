package vm

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Accelerators for Options.Accel.
const (
	AccelAuto = "auto" // KVM if Run's probe proves that it works, else TCG
	AccelTCG  = "tcg"
	AccelKVM  = "kvm"
)

// Options say what to boot and how. Kernel is required; every other zero
// value is useful.
type Options struct {
	Kernel    string // vmlinuz
	Arch      string // of the kernel, by any of its names; default x86
	Initramfs string // archive to boot; Run makes one from its script when empty

	// Root and Release name the kernel's modules:
	// Root/lib/modules/Release. Root defaults to the directory above the one
	// of Kernel when that is called boot; Release to the name of Kernel after
	// "vmlinuz-".
	Root    string
	Release string
	Modules string // directory like lib/modules/Release; takes the place of Root

	QEMU    string   // program; default the one for Arch, "qemu-system-x86_64"
	Append  string   // added to the kernel's command line
	Memory  int      // MiB; default 512, and more for a large initramfs
	CPUs    int      // default 2
	CPU     string   // QEMU's CPU model; default "max", where Arch has no other
	Accel   string   // default AccelAuto
	Probe   bool     // AccelAuto probes KVM although KVMEnv is not set
	Disks   []Disk   // as virtio disks vda, vdb …; the script must modprobe virtio_pci and virtio_blk
	Args    []string // added to QEMU's command line
	Results string   // file that takes the second serial port; Run sets it; default "klpvm-results"

	Boots   int           // how often a kernel is booted that does not come up; default 3
	Timeout time.Duration // for the whole boot; default 10 minutes
	Stall   time.Duration // without any output of the VM; Run's default is a minute more than the longest step may take

	Log  io.Writer // copy of console and results as they come; nil for none
	Init string    // guest program; built with "go build" when empty
	Dir  string    // where Run puts its files, which then stay; default a temporary directory
}

// Disk is a raw image file.
type Disk struct {
	Path     string
	ReadOnly bool
	Snapshot bool // what the guest writes is thrown away
}

// Sentinel errors.
var (
	ErrNoKernel = errors.New("no kernel image given")
	ErrAccel    = errors.New("unknown accelerator")
)

// withDefaults fills in zero values. It looks at nothing but o.
func (o Options) withDefaults() Options {
	on, _ := o.board() // CommandLine tells of an architecture without one
	def := func(s *string, v string) {
		if *s == "" {
			*s = v
		}
	}
	def(&o.QEMU, on.qemu)
	def(&o.CPU, on.cpu)
	def(&o.Accel, AccelAuto)
	def(&o.Results, "klpvm-results")
	if release, ok := strings.CutPrefix(filepath.Base(o.Kernel), "vmlinuz-"); ok {
		def(&o.Release, release)
	}
	if dir := filepath.Dir(o.Kernel); filepath.Base(dir) == "boot" {
		def(&o.Root, filepath.Dir(dir))
	}
	if o.Memory == 0 {
		o.Memory = 512
	}
	if o.CPUs == 0 {
		o.CPUs = 2
	}
	if o.Boots == 0 {
		o.Boots = 3
	}
	if o.Timeout == 0 {
		o.Timeout = 10 * time.Minute
	}
	if o.Stall == 0 {
		o.Stall = 2 * time.Minute
	}
	return o
}

// CommandLine returns the program and arguments that boot o. It is a pure
// function of o; AccelAuto becomes TCG, which works everywhere.
//
// An oops ends the VM: with oops=panic, panic=-1 and -no-reboot a kernel that
// is in trouble cannot go on and look healthy.
func CommandLine(o Options) ([]string, error) {
	o = o.withDefaults()
	if o.Kernel == "" {
		return nil, ErrNoKernel
	}
	on, err := o.board()
	if err != nil {
		return nil, err
	}
	accel := ""
	switch o.Accel {
	case AccelTCG, AccelAuto:
		// With a thread for each CPU, qemu 7.2 may go on with a translation of code
		// that another CPU has changed meanwhile: a guest that rewrites its code, as
		// livepatch does, then dies of a breakpoint that is long gone ("Oops: int3").
		accel = "tcg,thread=single"
	case AccelKVM:
		accel = "kvm"
	default:
		return nil, fmt.Errorf("%w %q: use auto, tcg or kvm", ErrAccel, o.Accel)
	}
	args := []string{
		o.QEMU, "-nodefaults", "-nographic", "-no-reboot",
		"-machine", on.machine, "-accel", accel, "-cpu", o.CPU,
		"-smp", strconv.Itoa(o.CPUs), "-m", strconv.Itoa(o.Memory),
		"-serial", "mon:stdio",
	}
	args = append(args, on.results(comma(o.Results))...)
	args = append(args, "-kernel", o.Kernel, "-append", kernelArgs(on, o.Append))
	if o.Initramfs != "" {
		args = append(args, "-initrd", o.Initramfs)
	}
	for _, disk := range o.Disks {
		drive := "file=" + comma(disk.Path) + ",format=raw,if=virtio"
		if disk.ReadOnly {
			drive += ",readonly=on"
		}
		if disk.Snapshot {
			drive += ",snapshot=on"
		}
		args = append(args, "-drive", drive)
	}
	return append(args, o.Args...), nil
}

// kernelArgs is the kernel's command line. The two timeouts leave real lockups and stalls to be
// found after a minute, on a host with more work than CPUs too.
func kernelArgs(on board, extra string) string {
	args := "console=" + on.console + " loglevel=5 oops=panic panic=-1 log_buf_len=1M printk.devkmsg=on" + on.quirks +
		" watchdog_thresh=30 rcupdate.rcu_cpu_stall_timeout=60"
	if extra != "" {
		args += " " + extra
	}
	return args
}

// comma doubles the commas of a path, which end a value in QEMU's options.
func comma(s string) string { return strings.ReplaceAll(s, ",", ",,") }

// Quote returns args as one line for a POSIX shell.
func Quote(args []string) string {
	out := make([]string, len(args))
	for i, arg := range args {
		out[i] = arg
		if arg == "" || strings.ContainsFunc(arg, func(r rune) bool {
			return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789@%+=:,./_-", r)
		}) {
			out[i] = "'" + strings.ReplaceAll(arg, "'", `'\''`) + "'"
		}
	}
	return strings.Join(out, " ")
}
