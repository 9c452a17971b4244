package deploy

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/klpforge/klpforge/module/note"
)

// install puts a module file that ReadModule reads into the modules directory:
// an object with a modinfo and a note, compiled with gcc.
func (k *fakeKernel) install(t *testing.T, file string, mod *Module) string {
	t.Helper()
	fm := k.files[mod.File]
	var note []string
	for _, b := range fm.note {
		note = append(note, fmt.Sprint(b))
	}
	src := fmt.Sprintf(`
#define INFO(n, s) static const char n[] __attribute__((used, section(".modinfo"), aligned(1))) = s;
INFO(a, "license=GPL") INFO(b, "livepatch=Y") INFO(c, "name=%s") INFO(d, "vermagic=%s SMP mod_unload ")
__asm__(".section %s,\"a\",@note\n.byte %s\n");
`, mod.Name, testRelease, fm.noteName(), strings.Join(note, ","))
	dir := filepath.Join(k.root, ModulesDir, testRelease)
	k.check(os.MkdirAll(dir, 0o755))
	c, out := filepath.Join(t.TempDir(), "m.c"), filepath.Join(dir, file)
	k.check(os.WriteFile(c, []byte(src), 0o644))
	if text, err := exec.Command("gcc", "-c", "-o", out, c).CombinedOutput(); err != nil {
		t.Fatalf("gcc: %v\n%s", err, text)
	}
	k.files[out] = fm
	return out
}

// results lists "file result" of a boot.
func results(list []BootModule) []string {
	var out []string
	for _, b := range list {
		out = append(out, b.File+" "+b.Result)
	}
	return out
}

func (k *fakeKernel) reboot(n int) {
	k.remove("sys/module")
	k.remove("sys/kernel/livepatch")
	k.mkdir("sys/kernel/livepatch")
	k.put("proc/modules", "")
	k.put("proc/sys/kernel/random/boot_id", fmt.Sprintf("boot-%d\n", n))
	for _, f := range k.files {
		f.inTree, f.going = false, false
	}
	k.did = nil
}

func TestReadModule(t *testing.T) {
	k, _ := newFake(t)
	path := k.install(t, "a.ko", k.file("a", series("3", "f")))
	mod, err := ReadModule(path)
	if err != nil {
		t.Fatal(err)
	}
	if mod.Name != "a" || mod.Release != testRelease || !mod.Livepatch || mod.file == nil || mod.Facts.Version != "3" || mod.Facts.Vendor != "example" {
		t.Errorf("%+v", mod)
	}
	if d := cmp.Diff([]Object{{Name: "vmlinux", Functions: []Func{{Name: "f", Sympos: 1, New: "klp_f"}}}}, mod.Facts.Objects); d != "" {
		t.Error(d)
	}
	if out, err := exec.Command("xz", "-k", path).CombinedOutput(); err != nil {
		t.Fatalf("xz: %v\n%s", err, out)
	}
	packed, err := ReadModule(path + ".xz")
	raw, rawErr := os.ReadFile(path)
	if err != nil || rawErr != nil || string(packed.data) != string(raw) {
		t.Errorf("%v, %v; the compressed file gives %d bytes, want %d", err, rawErr, len(packed.data), len(raw))
	}
}

// TestBoot goes through boots with two releases of a series, of which the newer
// one does not load, and a livepatch beside them.
func TestBoot(t *testing.T) {
	bubble(t, func(t *testing.T, k *fakeKernel, m *Machine) {
		k.install(t, "1.ko", k.file("one", series("1", "f")))
		two := k.install(t, "2.ko", k.file("two", series("2", "f")))
		k.install(t, "side.ko", k.file("side", single("g")))
		k.put(filepath.Join(ModulesDir, testRelease, "README"), "no module")
		boot := func(want ...string) error {
			t.Helper()
			got, err := m.Boot(t.Context(), Places{}, Options{})
			if d := cmp.Diff(want, results(got)); d != "" {
				t.Errorf("boot (-want +got)\n%s", d)
			}
			return err
		}
		k.refuse["two"] = unix.EINVAL
		failed := new(BootError)
		if err := boot("1.ko loaded", "2.ko failed", "side.ko loaded"); !errors.As(err, &failed) || len(failed.Failed) != 1 {
			t.Errorf("got %v", err)
		}
		wantStates(t, m, "one enabled", "side enabled")
		k.did = nil
		if err := boot("1.ko in force", "2.ko failed", "side.ko in force"); !errors.As(err, &failed) {
			t.Errorf("got %v", err)
		}
		if len(k.did) > 0 {
			t.Errorf("the second run did %q", k.did)
		}
		k.reboot(2)
		if err := boot("1.ko loaded", "2.ko failed", "side.ko loaded"); err == nil {
			t.Error("no error")
		}
		k.reboot(3)
		if err := boot("1.ko loaded", "2.ko set aside", "side.ko loaded"); err == nil || !strings.Contains(err.Error(), "failed at 2 boots") {
			t.Errorf("got %v", err)
		}
		if strings.Contains(strings.Join(k.did, ","), "load two") {
			t.Error("what is set aside was loaded")
		}

		// By hand it loads, and is taken back.
		delete(k.refuse, "two")
		mod, err := ReadModule(two)
		if err != nil {
			t.Fatal(err)
		}
		mustLoad(t, m, mod, Options{})
		if err := boot("1.ko skipped", "2.ko in force", "side.ko loaded"); err != nil {
			t.Error(err)
		}
		k.reboot(4)
		if err := boot("1.ko skipped", "2.ko loaded", "side.ko loaded"); err != nil {
			t.Error(err)
		}
		if err := boot("1.ko skipped", "2.ko in force", "side.ko in force"); err != nil {
			t.Error(err)
		}
	})
}

// TestBootCrash: the machine goes down while a module is loaded.
func TestBootCrash(t *testing.T) {
	bubble(t, func(t *testing.T, k *fakeKernel, m *Machine) {
		path := k.install(t, "a.ko", k.file("a", series("1", "f")))
		for n := 1; n <= 2; n++ {
			k.reboot(n)
			func() {
				defer func() { _ = recover() }() // the crash
				crash := *m
				crash.Calls = crashing{k}
				_, _ = crash.Boot(t.Context(), Places{}, Options{})
			}()
		}
		k.reboot(3)
		got, err := m.Boot(t.Context(), Places{}, Options{})
		if d := cmp.Diff([]string{"a.ko set aside"}, results(got)); d != "" || err == nil || !strings.Contains(err.Error(), "ended while it was being loaded") {
			t.Errorf("%v %s", err, d)
		}
		s, err := m.Status(Places{})
		if err != nil || len(s.Boot) != 1 || s.Boot[0].Result != BootSetAside {
			t.Errorf("%+v, %v", s, err)
		}
		// Another file under the same name starts afresh.
		k.install(t, "a.ko", k.file("a", series("2", "f")))
		if got, err := m.Boot(t.Context(), Places{}, Options{}); err != nil || got[0].Result != BootLoaded {
			t.Errorf("%+v, %v for %s", got, err, path)
		}
	})
}

// crashing panics when a module is loaded.
type crashing struct{ *fakeKernel }

func (crashing) Finit(*os.File, string) error { panic("the machine went down") }

// TestBootInterrupted: a shutdown is not the module's fault.
func TestBootInterrupted(t *testing.T) {
	bubble(t, func(t *testing.T, k *fakeKernel, m *Machine) {
		k.install(t, "a.ko", k.file("a", series("1", "f")))
		k.stuck["a"] = true
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		if _, err := m.Boot(ctx, Places{}, Options{}); !errors.Is(err, errInterrupted) {
			t.Fatal(err)
		}
		rec, err := openRecords(filepath.Join(k.root, StateDir))
		if err != nil || len(rec.List) != 0 {
			t.Errorf("%+v, %v", rec, err)
		}
	})
}

func TestBootChoice(t *testing.T) {
	other := func(m *note.Note) { series("2", "f")(m); m.Product = "other" }
	for _, c := range []struct {
		name     string
		one, two func(*note.Note)
		hand     func(*note.Note) // loaded by hand before
		want     []string
	}{
		{"two series", series("1", "f"), other, nil, []string{"1.ko failed", "2.ko failed"}},
		{"two builds of one version", series("1", "f"), series("1", "g"), nil, []string{"1.ko failed", "2.ko failed"}},
		{"a newer one by hand", series("1", "f"), series("2", "f"), series("3", "f"), []string{"1.ko skipped", "2.ko skipped"}},
		{"an older one by hand", series("1", "f"), series("2", "f"), series("0", "f"), []string{"1.ko skipped", "2.ko loaded"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, k *fakeKernel, m *Machine) {
				k.install(t, "1.ko", k.file("one", c.one))
				k.install(t, "2.ko", k.file("two", c.two))
				if c.hand != nil {
					mustLoad(t, m, k.file("hand", c.hand), Options{})
				}
				got, _ := m.Boot(t.Context(), Places{}, Options{})
				if d := cmp.Diff(c.want, results(got)); d != "" {
					t.Error(d)
				}
			})
		})
	}
}

func TestForget(t *testing.T) {
	k, m := newFake(t)
	path := k.install(t, "a.ko", k.file("a", series("1", "f")))
	list := func() []Failure {
		rec, err := openRecords(filepath.Join(k.root, StateDir))
		if err != nil {
			t.Fatal(err)
		}
		return rec.List
	}
	all, err := m.candidates(Places{}.withDefaults(), testRelease)
	if err != nil {
		t.Fatal(err)
	}
	rec, err := openRecords(filepath.Join(k.root, StateDir))
	if err != nil {
		t.Fatal(err)
	}
	if err := rec.begin("a.ko", all[0].SHA256, "boot-1"); err != nil || len(list()) != 1 {
		t.Fatalf("%+v, %v", list(), err)
	}
	mod, err := ReadModule(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Forget(Places{}, mod); err != nil || len(list()) != 0 {
		t.Errorf("%+v, %v", list(), err)
	}
}

func TestBootNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, m := newFake(t)
		if got, err := m.Boot(t.Context(), Places{}, Options{}); err != nil || len(got) != 0 {
			t.Errorf("%+v, %v", got, err)
		}
		k.put(filepath.Join(ModulesDir, testRelease, "bad.ko"), "no ELF")
		failed := new(BootError)
		if _, err := m.Boot(t.Context(), Places{}, Options{}); !errors.As(err, &failed) {
			t.Errorf("got %v", err)
		}
	})
}
