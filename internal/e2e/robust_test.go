package e2e

import (
	"bytes"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/klpforge/klpforge/internal/unpack"
	"github.com/klpforge/klpforge/internal/vm"
	"github.com/klpforge/klpforge/internal/vm/guest"
	"github.com/klpforge/klpforge/kernel/cachedir"
	"github.com/klpforge/klpforge/kernel/trusted"
	"github.com/klpforge/klpforge/module"
)

// TestKernelKeys: the key that a kernel's build made for its modules is found
// in the image, and vouches for a module of the package, and for no altered one.
func TestKernelKeys(t *testing.T) {
	e := env(t)
	for _, release := range []string{CloudRelease, IBTRelease} {
		if err := e.Fetch(t.Context(), release); err != nil {
			t.Fatal(err)
		}
		root := e.Cache.TargetRoot(release)
		keys, err := trusted.Builtin(root, release)
		if err != nil || len(keys.Certs) == 0 || keys.Unread > 0 {
			t.Fatalf("%s: %+v, %v", release, keys, err)
		}
		var shipped string
		err = filepath.WalkDir(filepath.Join(root, "lib/modules", release), func(path string, d fs.DirEntry, err error) error {
			if strings.HasPrefix(d.Name(), "nls_utf8.ko") {
				shipped = path
			}
			return err
		})
		if err != nil || shipped == "" {
			shipped = findModule(t, root, release, "nls_utf8.ko")
		}
		data, err := unpack.File(shipped, readFile(t, shipped))
		if err != nil {
			t.Fatal(err)
		}
		ring := func() *module.Keyring { return module.ReadKeyring(root, release) }
		if trust := module.Check(data, ring); !trust.Trusted {
			t.Errorf("%s: %+v", shipped, trust)
		}
		altered := bytes.Clone(data)
		altered[len(altered)/2] ^= 1
		if trust := module.Check(altered, ring); trust.Trusted || !trust.Forged {
			t.Errorf("%s, altered: %+v", shipped, trust)
		}
	}
}

func findModule(t *testing.T, root, release, name string) string {
	t.Helper()
	var found string
	err := filepath.WalkDir(filepath.Join(root, "usr/lib/modules", release), func(path string, d fs.DirEntry, err error) error {
		if err == nil && strings.HasPrefix(d.Name(), name) {
			found = path
		}
		return err
	})
	if err != nil || found == "" {
		t.Fatalf("no %s of %s: %v", name, release, err)
	}
	return found
}

// TestBootRobust boots with a read-only disk that holds an empty record of
// failures, and among the modules a FIFO and a link to a device: the livepatch loads. It
// is signed by a key that Debian's kernel does not know, and the plan says so.
func TestBootRobust(t *testing.T) {
	m := newMachine(t)
	dir := t.TempDir()
	key, cert := filepath.Join(dir, "key.pem"), filepath.Join(dir, "cert.pem")
	m.tool("openssl", "req", "-new", "-x509", "-nodes", "-subj", "/CN=vendor", "-newkey", "rsa:2048", "-keyout", key, "-out", cert)
	ko := m.build("livepatch_signed", []edit{cmdlineEdit}, "--sign-key", key, "--sign-cert", cert)

	top := t.TempDir()
	modules := filepath.Join(top, "modules", deployRelease)
	writeFile(t, filepath.Join(modules, "signed.ko"), string(readFile(t, ko)))
	writeFile(t, filepath.Join(top, "state/boot.json"), "")
	if err := unix.Mkfifo(filepath.Join(modules, "a.ko"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/dev/zero", filepath.Join(modules, "b.ko")); err != nil {
		t.Fatal(err)
	}
	disk := filepath.Join(t.TempDir(), "var.img")
	m.tool("/usr/sbin/mke2fs", "-q", "-F", "-t", "ext4", "-d", top, disk, "24M")

	s := m.session(ko)
	s.Files = append(s.Files,
		vm.File{Name: "/boot/vmlinuz-" + deployRelease, Host: filepath.Join(m.e.Cache.TargetRoot(deployRelease), "boot/vmlinuz-"+deployRelease)})
	s.add(guest.Modprobe("virtio_pci"), guest.Modprobe("virtio_blk"), guest.Mount("/dev/vda", "/var/lib/klpforge", "ext4", "ro"))
	s.run("plan", 0, "plan", "/m/livepatch_signed.ko")
	s.run("boot", 1, "load", "--boot")
	s.add(guest.Expect("/proc/cmdline", guest.MatchContains, "patched"))
	s.run("status", 0, "status")
	s.add(guest.Umount("/var/lib/klpforge"), guest.CheckDmesg())
	r := m.boot(s, vm.Disk{Path: disk})
	if err := r.Err(); err != nil {
		t.Fatalf("%+v", err)
	}
	says(t, r, "plan", "signature: signed by CN=vendor", "a key that is not among the 1 of this kernel")
	says(t, r, "boot", "signed.ko  loaded", "it is a FIFO", "it is a device", "boot.json", "counts as empty", "read-only file system", "2 of 3 not brought into force: a.ko, b.ko")
	says(t, r, "status", "nobody vouches for what it says of itself: the kernel found no valid signature", "what failed at boot is not known")
}

// tool runs a program of the host.
func (m *machine) tool(argv ...string) {
	m.t.Helper()
	if out, err := exec.CommandContext(m.t.Context(), argv[0], argv[1:]...).CombinedOutput(); err != nil {
		m.t.Fatalf("%q: %v\n%s", argv, err, out)
	}
}

// TestCacheHeals damages what a real build keeps, one kind after the other: the
// next build gives the same module and says so in one line of the log.
func TestCacheHeals(t *testing.T) {
	e := env(t)
	c := newCLI(t, e, CloudRelease)
	patch := c.patch(t, cmdlineEdit)

	// A cache of its own, whose targets are links: what is damaged is a copy.
	own := *c
	own.cache = cachedir.Dir(t.TempDir())
	target := own.cache.Target(c.release)
	if err := os.MkdirAll(own.cache.Targets(), 0o755); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), "cp", "-al", e.Cache.Target(c.release), target).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	ko := filepath.Join(t.TempDir(), "fix.ko")
	own.build(t, exitDone, nil, ko, patch)
	want := readFile(t, ko)

	log := filepath.Join(string(own.cache), "logs/cache.log")
	lines := func() int {
		data, err := os.ReadFile(log)
		if err != nil {
			return 0
		}
		return strings.Count(string(data), "\n")
	}
	cut := func(b []byte) []byte { return b[:len(b)/2] }
	zero := func(b []byte) []byte { return make([]byte, len(b)) }
	flip := func(b []byte) []byte { b[len(b)/2] ^= 1; return b }
	for _, x := range []struct {
		files string // pattern, below the cache
		how   func([]byte) []byte
	}{
		{"objects/*/*.o", cut}, {"objects/*/*.o", flip}, {"objects/*/*.json", zero}, {"facts/*-model", cut}, {"facts/*-model", flip},
		{"targets/*/vmlinux-*", flip}, {"targets/*/vmlinux-*", cut},
		{"trees/*/meta.json", cut}, // what else makes a tree be prepared again is tried in package kbuild
	} {
		files, _ := filepath.Glob(filepath.Join(string(own.cache), x.files))
		if len(files) == 0 {
			t.Errorf("no %s in the cache", x.files)
			continue
		}
		file, told := files[0], lines()
		data := x.how(readFile(t, file))
		if err := os.Remove(file); err != nil { // it may be a link
			t.Fatal(err)
		}
		writeFile(t, file, string(data))
		own.build(t, exitDone, nil, ko, patch)
		if !bytes.Equal(readFile(t, ko), want) {
			t.Errorf("%s: another module", x.files)
		}
		if n := lines() - told; n != 1 {
			t.Errorf("%s: %d lines in the log, want 1", x.files, n)
		}
	}
	t.Logf("the log:\n%s", readFile(t, log))
}
