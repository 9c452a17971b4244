package deploy

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/klpforge/klpforge/module/note"
)

func wantStates(t *testing.T, m *Machine, want ...string) {
	t.Helper()
	if d := cmp.Diff(want, states(t, m)); d != "" {
		t.Errorf("loaded (-want +got)\n%s", d)
	}
}

// bubble runs f on a fake kernel, in fake time.
func bubble(t *testing.T, f func(t *testing.T, k *fakeKernel, m *Machine)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		k, m := newFake(t)
		f(t, k, m)
	})
}

func TestLoadTwice(t *testing.T) {
	bubble(t, func(t *testing.T, k *fakeKernel, m *Machine) {
		mod := k.file("a", series("1", "f"))
		out, err := m.Load(t.Context(), mod, Options{})
		if err != nil || len(out.Did) != 1 || out.Duration < k.takes {
			t.Fatalf("%+v, %v", out, err)
		}
		out, err = m.Load(t.Context(), mod, Options{})
		if err != nil || len(out.Did) != 0 {
			t.Errorf("the second time: %+v, %v", out, err)
		}
		if d := cmp.Diff([]string{"load a"}, k.did); d != "" {
			t.Error(d)
		}
	})
}

func TestLoadNotRoot(t *testing.T) {
	k, m := newFake(t)
	k.denied = errDenied
	if _, err := m.Load(t.Context(), k.file("a", nil), Options{}); !errors.Is(err, errDenied) {
		t.Error(err)
	}
	if _, err := m.Unload(t.Context(), "a", Options{}); !errors.Is(err, errDenied) {
		t.Error(err)
	}
	if _, err := m.Boot(t.Context(), Places{}, Options{}); !errors.Is(err, errDenied) {
		t.Error(err)
	}
}

// TestLoadPicksUp starts from states that a killed run, or another program, left.
func TestLoadPicksUp(t *testing.T) {
	for _, c := range []struct {
		name  string
		setup func(k *fakeKernel, m *Machine, mod *Module)
		did   []string
	}{
		{"in transition", func(k *fakeKernel, m *Machine, mod *Module) { k.check(k.insert(mod.File)) }, nil},
		{"being disabled", func(k *fakeKernel, m *Machine, mod *Module) {
			k.check(k.insert(mod.File))
			k.finish(k.files[mod.File])
			k.check(k.Write(m.klp("a", "enabled"), "0"))
		}, []string{"enabled=1 a"}},
		{"disabled, still loaded", func(k *fakeKernel, m *Machine, mod *Module) {
			k.check(k.insert(mod.File))
			k.check(k.Write(m.klp("a", "enabled"), "0"))
			k.finish(k.files[mod.File])
		}, []string{"remove a", "load a"}},
		{"another build in force", func(k *fakeKernel, m *Machine, mod *Module) {
			k.check(k.insert(k.file("a", series("0", "f")).File))
			time.Sleep(2 * k.takes)
		}, []string{"enabled=0 a", "remove a", "load a"}},
		{"another build in transition", func(k *fakeKernel, m *Machine, mod *Module) {
			k.check(k.insert(k.file("a", series("0", "f")).File))
		}, []string{"enabled=0 a", "remove a", "load a"}},
		{"another livepatch in transition", func(k *fakeKernel, m *Machine, mod *Module) {
			k.check(k.insert(k.file("b", series("0", "g")).File))
		}, []string{"load a", "remove b"}},
		{"replaced one left over", func(k *fakeKernel, m *Machine, mod *Module) {
			k.check(k.insert(k.file("b", series("0", "g")).File))
			time.Sleep(2 * k.takes)
			k.check(k.insert(mod.File))
			time.Sleep(2 * k.takes)
		}, []string{"remove b"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, k *fakeKernel, m *Machine) {
				mod := k.file("a", series("1", "f"))
				c.setup(k, m, mod)
				k.did = nil
				mustLoad(t, m, mod, Options{})
				wantStates(t, m, "a enabled")
				if d := cmp.Diff(c.did, k.did); d != "" {
					t.Errorf("did (-want +got)\n%s", d)
				}
			})
		})
	}
}

func TestLoadSameNameUnknown(t *testing.T) {
	bubble(t, func(t *testing.T, k *fakeKernel, m *Machine) {
		mod := k.foreign("a")
		mustLoad(t, m, mod, Options{})
		mod = k.open(&Module{Name: "a", File: mod.File, Livepatch: true, Release: testRelease, Facts: mod.Facts}) // without notes it cannot be compared
		refusal := new(Refusal)
		if _, err := m.Load(t.Context(), mod, Options{}); !errors.As(err, &refusal) || !strings.Contains(err.Error(), "cannot be told") {
			t.Error(err)
		}
		k.put("sys/module/a/srcversion", "ONE\n")
		mod.srcversion = "TWO"
		mustLoad(t, m, mod, Options{})
	})
}

func TestBlockedIsReversed(t *testing.T) {
	bubble(t, func(t *testing.T, k *fakeKernel, m *Machine) {
		mustLoad(t, m, k.file("old", series("1", "f")), Options{})
		k.stuck["new"] = true
		var seen []Progress
		_, err := m.Load(t.Context(), k.file("new", series("2", "f")), Options{Timeout: 5 * time.Second, Progress: func(p Progress) { seen = append(seen, p) }})
		blocked := new(BlockedError)
		if !errors.As(err, &blocked) {
			t.Fatal(err)
		}
		wantStates(t, m, "old enabled")
		if len(blocked.Tasks) != 1 || blocked.Tasks[0].Name != "task2" || !blocked.Tasks[0].Kernel {
			t.Fatalf("tasks %+v", blocked.Tasks)
		}
		// f is in the original, which only the livepatch in force replaced: what
		// has to be left is its code.
		if d := cmp.Diff([]string{"vmlinux:f"}, blocked.Tasks[0].Patched()); d != "" {
			t.Error(d)
		}
		text := err.Error() + "\n" + blocked.Report()
		for _, w := range []string{"bringing new into force did not end within 5s: 1 task has not switched; it was reversed and unloaded",
			"task2 (pid 2, kernel thread, S (sleeping)) is in vmlinux:f", "> klp_f+0x5c/0x240 [old]"} {
			if !strings.Contains(text, w) {
				t.Errorf("no %q in\n%s", w, text)
			}
		}
		if len(seen) == 0 || seen[0].Total != 3 || seen[0].Left != 1 || seen[0].Phase != Enabling {
			t.Errorf("progress %+v", seen)
		}
	})
}

func TestBlockedIsLeftAndPickedUp(t *testing.T) {
	bubble(t, func(t *testing.T, k *fakeKernel, m *Machine) {
		k.stuck["a"] = true
		mod := k.file("a", series("1", "f"))
		blocked := new(BlockedError)
		if _, err := m.Load(t.Context(), mod, Options{OnTimeout: Leave}); !errors.As(err, &blocked) || blocked.Outcome != "it goes on" {
			t.Fatal(err)
		}
		wantStates(t, m, "a enabling")
		if _, err := m.Load(t.Context(), k.file("b", single("g")), Options{}); !errors.As(err, &blocked) || blocked.Module != "a" {
			t.Errorf("a second livepatch: %v", err)
		}
		wantStates(t, m, "a enabling")
		k.stuck["a"] = false
		k.finish(k.files[mod.File])
		mustLoad(t, m, mod, Options{})
		wantStates(t, m, "a enabled")
	})
}

func TestForce(t *testing.T) {
	safe := func(m *note.Note) { series("1", "f")(m); m.Force = true }
	for _, c := range []struct {
		name, words string
		edit        func(*note.Note)
		ok          bool
	}{
		{"no words", "", series("1", "f"), false},
		{"yes", "yes", series("1", "f"), false},
		{"words for another", ForceWords("b"), series("1", "f"), false},
		{"words", ForceWords("a"), series("1", "f"), true},
		{"verdict of a note that nobody vouches for", "", safe, false},
		{"such a verdict, with the words", ForceWords("a"), safe, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, k *fakeKernel, m *Machine) {
				k.stuck["a"] = true
				_, err := m.Load(t.Context(), k.file("a", c.edit), Options{OnTimeout: Force, ForceWords: c.words})
				if c.ok {
					if err != nil {
						t.Fatal(err)
					}
					wantStates(t, m, "a enabled")
					return
				}
				if refusal := new(Refusal); !errors.As(err, &refusal) || !strings.Contains(err.Error(), ForceWords("a")) {
					t.Error(err)
				}
				if len(k.did) > 0 {
					t.Errorf("did %q", k.did)
				}
			})
		})
	}
}

// TestForceOnlyWhatWasNamed: words for one livepatch do not force another out.
func TestForceOnlyWhatWasNamed(t *testing.T) {
	bubble(t, func(t *testing.T, k *fakeKernel, m *Machine) {
		mustLoad(t, m, k.file("old", series("2", "f")), Options{})
		k.held["old"] = true
		_, err := m.Load(t.Context(), k.file("new", series("1", "f")), Options{OnTimeout: Force, ForceWords: ForceWords("new")})
		blocked := new(BlockedError)
		if !errors.As(err, &blocked) || blocked.Module != "old" || blocked.Outcome != "it was reversed, old is in force again" {
			t.Error(err)
		}
		wantStates(t, m, "old enabled")
	})
}

func TestKernelRefuses(t *testing.T) {
	bubble(t, func(t *testing.T, k *fakeKernel, m *Machine) {
		mustLoad(t, m, k.file("old", series("2", "f")), Options{})
		k.refuse["new"] = unix.EINVAL
		_, err := m.Load(t.Context(), k.file("new", series("1", "f")), Options{})
		refused := new(RefusedError)
		if !errors.As(err, &refused) || !errors.Is(err, unix.EINVAL) {
			t.Fatal(err)
		}
		for _, w := range []string{"symbol 'g' not found", "not in force any more: old"} {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("no %q in %q", w, err)
			}
		}
		if strings.Contains(err.Error(), "unrelated") {
			t.Error(err)
		}
		wantStates(t, m)
		k.refuse["mute"] = unix.ENOEXEC
		k.log = nil
		missing := k.file("mute", nil)
		delete(k.files, missing.File)
		if _, err := m.Load(t.Context(), missing, Options{}); errors.As(err, &refused) && refused.Module == "mute" || !errors.Is(err, os.ErrNotExist) {
			t.Errorf("a file that is gone: %v", err)
		}
	})
}

func TestPinnedStays(t *testing.T) {
	bubble(t, func(t *testing.T, k *fakeKernel, m *Machine) {
		mustLoad(t, m, k.file("old", series("1", "f")), Options{})
		k.pinned["old"] = true
		out, err := m.Load(t.Context(), k.file("new", series("2", "f")), Options{})
		if err != nil || len(out.Notes) != 2 || !strings.Contains(out.Notes[0], "nobody vouches") || !strings.Contains(out.Notes[1], "old stays loaded") {
			t.Errorf("%+v, %v", out, err)
		}
		wantStates(t, m, "old disabled", "new enabled")
		inUse := new(InUseError)
		if _, err := m.Unload(t.Context(), "old", Options{}); !errors.As(err, &inUse) {
			t.Error(err)
		}
	})
}

func TestInterrupted(t *testing.T) {
	bubble(t, func(t *testing.T, k *fakeKernel, m *Machine) {
		k.stuck["a"] = true
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		if _, err := m.Load(ctx, k.file("a", series("1", "f")), Options{}); !errors.Is(err, errInterrupted) {
			t.Error(err)
		}
		wantStates(t, m, "a enabling")
	})
}

func TestUnload(t *testing.T) {
	for _, c := range []struct {
		name  string
		setup func(k *fakeKernel, m *Machine, mod *Module)
		did   []string
		done  bool
	}{
		{"not loaded", func(*fakeKernel, *Machine, *Module) {}, nil, false},
		{"in force", func(k *fakeKernel, m *Machine, mod *Module) {
			k.check(k.insert(mod.File))
			time.Sleep(2 * k.takes)
		}, []string{"enabled=0 a", "remove a"}, true},
		{"coming into force", func(k *fakeKernel, m *Machine, mod *Module) {
			k.stuck["a"] = true
			k.check(k.insert(mod.File))
		}, []string{"enabled=0 a", "remove a"}, true},
		{"being disabled", func(k *fakeKernel, m *Machine, mod *Module) {
			k.check(k.insert(mod.File))
			k.check(k.Write(m.klp("a", "enabled"), "0"))
		}, []string{"remove a"}, true},
		{"disabled", func(k *fakeKernel, m *Machine, mod *Module) {
			k.check(k.insert(mod.File))
			k.check(k.Write(m.klp("a", "enabled"), "0"))
			time.Sleep(2 * k.takes)
		}, []string{"remove a"}, true},
		{"while another one moves", func(k *fakeKernel, m *Machine, mod *Module) {
			k.check(k.insert(mod.File))
			time.Sleep(2 * k.takes)
			k.check(k.insert(k.file("b", single("g")).File))
		}, []string{"enabled=0 a", "remove a"}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, k *fakeKernel, m *Machine) {
				mod := k.file("a", single("f"))
				c.setup(k, m, mod)
				k.did = nil
				done, err := m.Unload(t.Context(), "a", Options{})
				if err != nil || done != c.done {
					t.Errorf("%v, %v", done, err)
				}
				if d := cmp.Diff(c.did, k.did); d != "" {
					t.Errorf("did (-want +got)\n%s", d)
				}
			})
		})
	}
}

func TestUnloadBlocked(t *testing.T) {
	bubble(t, func(t *testing.T, k *fakeKernel, m *Machine) {
		mustLoad(t, m, k.file("old", series("1", "f")), Options{})
		k.held["old"] = true
		_, err := m.Unload(t.Context(), "old", Options{})
		blocked := new(BlockedError)
		if !errors.As(err, &blocked) || blocked.Outcome != "it was reversed, old is in force again" {
			t.Fatal(err)
		}
		// What has to be left is the livepatch's own function.
		if d := cmp.Diff([]string{"vmlinux:f"}, blocked.Tasks[0].Patched()); d != "" || blocked.Tasks[0].Stack[2].Patched == "" || blocked.Tasks[0].Stack[1].Patched != "" {
			t.Errorf("%s %+v", d, blocked.Tasks[0].Stack)
		}
		wantStates(t, m, "old enabled")
	})
}

func TestLock(t *testing.T) {
	bubble(t, func(t *testing.T, k *fakeKernel, m *Machine) {
		unlock, err := m.lock(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := m.Load(ctx, k.file("a", nil), Options{}); !errors.Is(err, errInterrupted) {
			t.Error(err)
		}
		unlock()
		mustLoad(t, m, k.file("a", nil), Options{})
	})
}

func TestDependencies(t *testing.T) {
	_, m := newFake(t)
	k := m.Calls.(*fakeKernel)
	k.put("lib/modules/"+testRelease+"/modules.dep", "kernel/a-x.ko.xz: kernel/b.ko kernel/c.ko\nkernel/b.ko: kernel/c.ko\nkernel/c.ko:\nkernel/d.ko: kernel/c.ko\n")
	k.put("lib/modules/"+testRelease+"/modules.builtin", "kernel/e.ko\n")
	mod := k.file("x", nil)
	mod.Depends = []string{"a-x", "e", "d", "f"}
	got, err := m.dependencies(&System{Release: testRelease, Modules: []string{"b", "f"}}, mod)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, d := range got {
		names = append(names, d.name)
	}
	if d := cmp.Diff([]string{"c", "a_x", "d"}, names); d != "" {
		t.Error(d)
	}
}
