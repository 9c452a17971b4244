package deploy

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// saying collects what a run says.
func saying(lines *[]string) Options {
	return Options{Say: func(s string) { *lines = append(*lines, s) }}
}

// within fails a test whose f does not return: opening a FIFO waits for ever.
func within(t *testing.T, f func()) {
	t.Helper()
	timer := time.AfterFunc(time.Minute, func() { panic("it waits") })
	defer timer.Stop()
	f()
}

// TestBootRecordUnusable: whatever lies where the record of failures should,
// the livepatches load, one line tells, and a new record begins.
func TestBootRecordUnusable(t *testing.T) {
	put := func(text string) func(t *testing.T, path string) {
		return func(t *testing.T, path string) {
			if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, damage := range map[string]func(t *testing.T, path string){
		"empty":        put(""),
		"cut short":    put(`{"schema":"` + BootSchema + `","modules":[{"file":"a.k`),
		"zeros":        put(strings.Repeat("\x00", 300)),
		"garbage":      put("\x7fELF\xff\xfe"),
		"other schema": put(`{"schema":"other/v1"}`),
		"wrong types":  put(`{"schema":"` + BootSchema + `","modules":{"file":7}}`),
		"huge": func(t *testing.T, path string) {
			put("{")(t, path)
			if err := os.Truncate(path, 1<<40); err != nil {
				t.Fatal(err)
			}
		},
		"directory": func(t *testing.T, path string) {
			if err := os.MkdirAll(filepath.Join(path, "full"), 0o755); err != nil {
				t.Fatal(err)
			}
		},
		"FIFO": func(t *testing.T, path string) {
			if err := unix.Mkfifo(path, 0o644); err != nil {
				t.Fatal(err)
			}
		},
		"link to a device": func(t *testing.T, path string) {
			if err := os.Symlink("/dev/zero", path); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, k *fakeKernel, m *Machine) {
				k.install(t, "a.ko", k.file("a", series("1", "f")))
				k.mkdir(StateDir)
				damage(t, filepath.Join(k.root, StateDir, bootFile))
				status, err := m.Status(Places{})
				if err != nil || status.BootProblem == "" || len(status.Boot) != 1 {
					t.Errorf("status: %+v, %v", status, err)
				}
				var said []string
				got, err := m.Boot(t.Context(), Places{}, saying(&said))
				if d := cmp.Diff([]string{"a.ko loaded"}, results(got)); err != nil || d != "" {
					t.Errorf("boot: %v (-want +got)\n%s", err, d)
				}
				told := 0
				for _, line := range said {
					if strings.Contains(line, bootFile) {
						told++
					}
				}
				if told != 1 || strings.Contains(strings.Join(said, ""), "\n") {
					t.Errorf("said %q, want one line about the record", said)
				}
				if rec, err := openRecords(filepath.Join(k.root, StateDir)); err != nil || len(rec.List) != 0 {
					t.Errorf("the new record: %+v, %v", rec.List, err)
				}
				if _, err := os.Lstat(filepath.Join(k.root, StateDir, bootFile+".damaged")); err != nil {
					t.Errorf("it was not put aside: %v", err)
				}
			})
		})
	}
}

// TestBootNoRecord: a state directory that cannot be written to, as on a
// read-only disk, costs one line, also where a module fails.
func TestBootNoRecord(t *testing.T) {
	bubble(t, func(t *testing.T, k *fakeKernel, m *Machine) {
		k.install(t, "a.ko", k.file("a", single("f")))
		k.install(t, "b.ko", k.file("b", single("g")))
		k.refuse["a"] = unix.EINVAL
		k.put(StateDir, "a file where the directory should be")
		var said []string
		got, err := m.Boot(t.Context(), Places{}, saying(&said))
		failed := new(BootError)
		if d := cmp.Diff([]string{"a.ko failed", "b.ko loaded"}, results(got)); !errors.As(err, &failed) || d != "" {
			t.Errorf("boot: %v (-want +got)\n%s", err, d)
		}
		told := 0
		for _, line := range said {
			if strings.Contains(line, "failed at boot") {
				told++
			}
		}
		if told == 0 || told > 2 { // that it cannot be read, and not be written
			t.Errorf("said %q", said)
		}
	})
}

// TestBootOddFiles: only regular files of a plausible size are opened, and
// what else has the name of a module keeps nothing from loading.
func TestBootOddFiles(t *testing.T) {
	bubble(t, func(t *testing.T, k *fakeKernel, m *Machine) {
		dir := filepath.Join(k.root, ModulesDir, testRelease)
		k.install(t, "good.ko", k.file("good", single("f")))
		k.check(unix.Mkfifo(filepath.Join(dir, "a.ko"), 0o644))
		k.check(os.Symlink("/dev/zero", filepath.Join(dir, "b.ko")))
		k.check(os.Symlink("a.ko", filepath.Join(dir, "c.ko")))
		k.check(os.Mkdir(filepath.Join(dir, "d.ko"), 0o755))
		k.check(os.WriteFile(filepath.Join(dir, "e.ko"), nil, 0o644))
		k.check(os.Truncate(filepath.Join(dir, "e.ko"), 1<<40))
		k.check(os.Symlink("nowhere", filepath.Join(dir, "f.ko")))
		k.check(os.WriteFile(filepath.Join(dir, "g.ko.xz"), []byte("\xfd7zXZ\x00"), 0o644))
		want := []string{"a.ko failed", "b.ko failed", "c.ko failed", "d.ko failed", "e.ko failed", "f.ko failed", "g.ko.xz failed", "good.ko loaded"}
		within(t, func() {
			got, _ := m.Boot(t.Context(), Places{}, Options{})
			if d := cmp.Diff(want, results(got)); d != "" {
				t.Errorf("(-want +got)\n%s", d)
			}
			for i, part := range []string{"a FIFO", "a device", "a FIFO", "a directory", "larger than"} {
				if !strings.Contains(got[i].Reason, part) || !strings.Contains(got[i].Reason, got[i].File) {
					t.Errorf("%s: %q, want %q", got[i].File, got[i].Reason, part)
				}
			}
		})
	})
}

// TestPlannedIsLoaded: what has the name of a module file by the time it is
// loaded makes no difference, and a file that was written to is not loaded.
func TestPlannedIsLoaded(t *testing.T) {
	bubble(t, func(t *testing.T, k *fakeKernel, m *Machine) {
		path := k.install(t, "a.ko", k.file("a", single("f")))
		planned, err := os.ReadFile(path)
		k.check(err)
		mod, err := ReadModule(path)
		k.check(err)
		k.check(os.WriteFile(path+".new", []byte("another module"), 0o644))
		k.check(os.Rename(path+".new", path))
		mustLoad(t, m, mod, Options{})
		if string(k.taken) != string(planned) {
			t.Errorf("%d bytes were loaded that are not those that were planned", len(k.taken))
		}
	})
	bubble(t, func(t *testing.T, k *fakeKernel, m *Machine) {
		path := k.install(t, "a.ko", k.file("a", single("f")))
		mod, err := ReadModule(path)
		k.check(err)
		k.check(os.WriteFile(path, []byte("another module"), 0o644))
		if _, err := m.Load(t.Context(), mod, Options{}); err == nil || !strings.Contains(err.Error(), "changed after it was read") || len(k.did) > 0 {
			t.Errorf("did %q, %v", k.did, err)
		}
	})
}
