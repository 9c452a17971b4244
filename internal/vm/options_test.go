package vm

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestCommandLine(t *testing.T) {
	const kargs = "console=ttyS0,115200 loglevel=5 oops=panic panic=-1 log_buf_len=1M printk.devkmsg=on edd=off" +
		" no_timer_check watchdog_thresh=30 rcupdate.rcu_cpu_stall_timeout=60"
	common := []string{"-nodefaults", "-nographic", "-no-reboot", "-machine", "q35"}
	tests := []struct {
		name string
		o    Options
		want []string
	}{
		{
			name: "defaults",
			o:    Options{Kernel: "/r/boot/vmlinuz-6.1"},
			want: []string{"-accel", "tcg,thread=single", "-cpu", "max", "-smp", "2", "-m", "512",
				"-serial", "mon:stdio", "-serial", "file:klpvm-results", "-kernel", "/r/boot/vmlinuz-6.1", "-append", kargs},
		},
		{
			name: "everything",
			o: Options{
				Kernel: "k", Initramfs: "i.cpio", QEMU: "qemu", Append: "quiet", Memory: 1024, CPUs: 4, CPU: "host", Accel: AccelKVM,
				Disks: []Disk{{Path: "a,b.img"}, {Path: "c.img", ReadOnly: true}}, Args: []string{"-s"}, Results: "/dev/fd/3",
			},
			want: []string{"-accel", "kvm", "-cpu", "host", "-smp", "4", "-m", "1024",
				"-serial", "mon:stdio", "-serial", "file:/dev/fd/3", "-kernel", "k", "-append", kargs + " quiet", "-initrd", "i.cpio",
				"-drive", "file=a,,b.img,format=raw,if=virtio", "-drive", "file=c.img,format=raw,if=virtio,readonly=on", "-s"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			qemu := tt.o.QEMU
			if qemu == "" {
				qemu = "qemu-system-x86_64"
			}
			got, err := CommandLine(tt.o)
			if err != nil {
				t.Fatal(err)
			}
			want := concat([]string{qemu}, common, tt.want)
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("command line (-want +got):\n%s", d)
			}
		})
	}
}

// TestCommandLineArm64: another architecture has its own machine, with the results on a virtio console.
func TestCommandLineArm64(t *testing.T) {
	got, err := CommandLine(Options{Kernel: "Image", Arch: "aarch64", Results: "a,b"})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"qemu-system-aarch64", "-nodefaults", "-nographic", "-no-reboot", "-machine", "virt,gic-version=3",
		"-accel", "tcg,thread=single", "-cpu", "max,pauth-impdef=on", "-smp", "2", "-m", "512", "-serial", "mon:stdio",
		"-device", "virtio-serial-device", "-chardev", "file,id=results,path=a,,b", "-device", "virtconsole,chardev=results",
		"-kernel", "Image", "-append", "console=ttyAMA0,115200 loglevel=5 oops=panic panic=-1 log_buf_len=1M printk.devkmsg=on" +
			" watchdog_thresh=30 rcupdate.rcu_cpu_stall_timeout=60"}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("command line (-want +got):\n%s", d)
	}
	for _, arch := range []string{"s390x", "vax"} {
		if _, err := CommandLine(Options{Kernel: "k", Arch: arch}); err == nil {
			t.Errorf("%s has a machine", arch)
		}
	}
}

func concat(lists ...[]string) (out []string) {
	for _, l := range lists {
		out = append(out, l...)
	}
	return out
}

func TestCommandLineErrors(t *testing.T) {
	if _, err := CommandLine(Options{}); !errors.Is(err, ErrNoKernel) {
		t.Errorf("without a kernel: %v", err)
	}
	if _, err := CommandLine(Options{Kernel: "k", Accel: "hax"}); !errors.Is(err, ErrAccel) {
		t.Errorf("with an unknown accelerator: %v", err)
	}
}

func TestDefaultsFromKernel(t *testing.T) {
	o := Options{Kernel: "/c/root/boot/vmlinuz-6.1.0-55-amd64"}.withDefaults()
	if o.Root != "/c/root" || o.Release != "6.1.0-55-amd64" {
		t.Errorf("root %q, release %q", o.Root, o.Release)
	}
	o = Options{Kernel: "/tmp/bzImage", Root: "/r", Release: "x", Stall: time.Second}.withDefaults()
	if o.Root != "/r" || o.Release != "x" || o.Stall != time.Second {
		t.Errorf("given values were changed: %+v", o)
	}
}

func TestQuote(t *testing.T) {
	got := Quote([]string{"a", "b c", "", "it's", "x=/y,z:1"})
	if want := `a 'b c' '' 'it'\''s' x=/y,z:1`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestResolveAccelWithoutKVM(t *testing.T) {
	t.Setenv(KVMEnv, "")
	for in, want := range map[string]string{AccelAuto: AccelTCG, AccelTCG: AccelTCG, AccelKVM: AccelKVM} {
		if got, err := resolveAccel(t.Context(), Options{Accel: in}); got != want || err != nil {
			t.Errorf("%s gives %s, %v; want %s", in, got, err, want)
		}
	}
}

func TestRunEnvironmentErrors(t *testing.T) {
	if _, err := Run(t.Context(), Options{}, Script{}); !errors.Is(err, ErrNoKernel) {
		t.Errorf("without a kernel: %v", err)
	}
	if _, err := Run(t.Context(), Options{Kernel: "/no/such/kernel"}, Script{}); err == nil || !strings.Contains(err.Error(), "/no/such/kernel") {
		t.Errorf("missing kernel: %v", err)
	}
	kernel := writeFile(t, "vmlinuz-x", "")
	o := Options{Kernel: kernel, Initramfs: kernel, QEMU: "/no/such/qemu", Dir: t.TempDir()}
	if _, err := Run(t.Context(), o, Script{}); err == nil || !strings.Contains(err.Error(), "/no/such/qemu") {
		t.Errorf("missing qemu: %v", err)
	}
}

// TestBootAgain has a program in QEMU's place that dies early twice.
func TestBootAgain(t *testing.T) {
	dir := t.TempDir()
	qemu := filepath.Join(dir, "qemu")
	const script = `#!/bin/sh
echo x >>"$0.boots"
if [ $(wc -l <"$0.boots") -le %d ]; then
	echo "[    0.483524] Kernel panic - not syncing: Fatal exception in interrupt"
	exit 1
fi
echo 'KLPVM:{"ev":"start","kernel":"6.1.0"}' >&3
echo 'KLPVM:{"ev":"done","ok":true}' >&3
`
	for _, tt := range []struct {
		deaths, boots int
		ok            bool
	}{{0, 1, true}, {2, 3, true}, {3, 3, false}} {
		if err := os.WriteFile(qemu, fmt.Appendf(nil, script, tt.deaths), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.RemoveAll(qemu + ".boots"); err != nil {
			t.Fatal(err)
		}
		r, err := Run(t.Context(), Options{Kernel: qemu, Initramfs: qemu, QEMU: qemu, Dir: dir, Accel: AccelTCG}, minimal())
		if err != nil {
			t.Fatal(err)
		}
		if r.Boots != tt.boots || (r.Err() == nil) != tt.ok || strings.Count(r.Log, "did not come up") != tt.boots-1 {
			t.Errorf("%d deaths: %d boots, error %v, log:\n%s", tt.deaths, r.Boots, r.Err(), r.Log)
		}
	}
}
