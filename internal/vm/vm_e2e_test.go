package vm

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/klpforge/klpforge/internal/vm/guest"
)

// The end-to-end tests boot real kernels. KLPFORGE_E2E_CACHE names a directory
// with targets/<release>/root, an unpacked image package each. Without the
// variable they are skipped; with KLPFORGE_E2E=1 nothing is: what is missing
// is a failure.
const (
	cloudRelease = "6.1.0-55-cloud-amd64" // ext4 built in
	plainRelease = "6.1.0-55-amd64"       // ext4 as a module
)

// e2eMissing ends a test that cannot run here.
func e2eMissing(t *testing.T, format string, args ...any) {
	t.Helper()
	if os.Getenv("KLPFORGE_E2E") == "1" {
		t.Fatalf(format, args...)
	}
	t.Skipf(format, args...)
}

func e2eCache(t *testing.T) string {
	t.Helper()
	c := os.Getenv("KLPFORGE_E2E_CACHE")
	if c == "" {
		e2eMissing(t, "KLPFORGE_E2E_CACHE is not set")
	}
	return c
}

// e2eInit builds the guest program once for all tests.
var e2eInit = sync.OnceValues(func() (string, error) {
	var err error
	if e2eInitDir, err = os.MkdirTemp("", "klpvm-init-"); err != nil {
		return "", err
	}
	init := filepath.Join(e2eInitDir, "vminit")
	return init, BuildInit(context.Background(), init)
})

var e2eInitDir string

func TestMain(m *testing.M) {
	code := m.Run()
	if e2eInitDir != "" {
		os.RemoveAll(e2eInitDir)
	}
	os.Exit(code)
}

// e2eOptions returns options for a release in the cache.
func e2eOptions(t *testing.T, release string) Options {
	t.Helper()
	root := filepath.Join(e2eCache(t), "targets", release, "root")
	kernel := filepath.Join(root, "boot", "vmlinuz-"+release)
	if _, err := os.Stat(kernel); err != nil {
		e2eMissing(t, "no kernel for the test: %v", err)
	}
	init, err := e2eInit()
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "klpvm-e2e-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("files of the boot are kept in %s", dir)
			return
		}
		os.RemoveAll(dir)
	})
	return Options{Kernel: kernel, Init: init, Log: testLog{t}, Dir: dir}
}

type testLog struct{ t *testing.T }

func (l testLog) Write(b []byte) (int, error) {
	l.t.Log(strings.TrimRight(string(b), "\r\n"))
	return len(b), nil
}

func e2eRun(t *testing.T, o Options, s Script) *Result {
	t.Helper()
	r, err := Run(t.Context(), o, s)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("boot %v, total %v", r.Boot, r.Total)
	return r
}

func e2eImage(t *testing.T) string {
	t.Helper()
	p := filepath.Join(t.TempDir(), "ext4.img")
	if err := MakeExt4Image(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	return p
}

func TestE2EBoot(t *testing.T) {
	for _, rel := range []string{cloudRelease, plainRelease} {
		t.Run(rel, func(t *testing.T) {
			r := e2eRun(t, e2eOptions(t, rel), Script{Steps: []guest.Step{
				guest.Expect("/proc/sys/kernel/osrelease", guest.MatchExact, rel),
				guest.CheckTaint(0),
				guest.CheckDmesg(),
			}})
			if err := r.Err(); err != nil {
				t.Fatal(err)
			}
			if r.Kernel != rel {
				t.Errorf("kernel %q", r.Kernel)
			}
		})
	}
}

// TestE2EExt4Control is the case without a livepatch: the kernel panics.
func TestE2EExt4Control(t *testing.T) {
	for _, tt := range []struct{ release, module string }{
		{cloudRelease, ""},
		{plainRelease, "ext4"},
	} {
		t.Run(tt.release, func(t *testing.T) {
			o := e2eOptions(t, tt.release)
			s, err := Ext4Steps(Ext4Options{Image: e2eImage(t)})
			if err != nil {
				t.Fatal(err)
			}
			r := e2eRun(t, o, s)
			if err := r.ExpectPanic(Ext4PanicFunction); err != nil {
				t.Fatalf("%+v", err)
			}
			if r.Panic.Module != tt.module {
				t.Errorf("panic in module %q, want %q", r.Panic.Module, tt.module)
			}
			t.Log(r.Panic)
		})
	}
}

// TestE2EDisk has the image as a virtio disk, whose drivers are modules.
func TestE2EDisk(t *testing.T) {
	o := e2eOptions(t, cloudRelease)
	o.Disks = []Disk{{Path: e2eImage(t)}}
	const mnt = "/disk"
	r := e2eRun(t, o, Script{Steps: []guest.Step{
		guest.Modprobe("virtio_pci"),
		guest.Modprobe("virtio_blk"),
		guest.Mount("/dev/vda", mnt, "ext4", ""),
		guest.WriteFile(mnt+"/f", 123_456, 1),
		guest.Sync(),
		guest.VerifyFile(mnt+"/f", 123_456, 1),
		guest.Probe(guest.MatchContains, "ok ef53", "statfs", mnt),
		guest.Probe(guest.MatchExact, "ok", "setxattr", mnt+"/f", "user.k", "v"),
		guest.Probe(guest.MatchExact, `ok "v"`, "getxattr", mnt+"/f", "user.k"),
		guest.Mount("/dev/vda", mnt, "no-such-fs", "").Fails("ENODEV"),
		guest.Umount(mnt),
		guest.CheckDmesg(),
		guest.CheckTaint(0),
	}})
	if err := r.Err(); err != nil {
		t.Fatalf("%+v", err)
	}
}

// TestE2ECancel checks that a cancelled run ends soon and leaves nothing.
func TestE2ECancel(t *testing.T) {
	o := e2eOptions(t, cloudRelease)
	o.Dir = ""
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
	defer cancel()
	if _, err := Run(ctx, o, Script{Steps: []guest.Step{guest.Sleep(time.Hour)}}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	left, err := os.ReadDir(tmp)
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}
