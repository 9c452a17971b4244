package deploy

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/klpforge/klpforge/module/note"
)

// What the kernel said of its refusal is passed on; else its error is put in words.
func TestRefusedError(t *testing.T) {
	for _, c := range []struct {
		errno unix.Errno
		log   []string
		want  string
	}{
		{unix.EINVAL, []string{"livepatch: symbol 'g' not found", "other: x", "new: bad", "unrelated livepatch: y"}, ": livepatch: symbol 'g' not found; new: bad"},
		{unix.EBUSY, nil, ": another livepatch is in transition"},
		{unix.ENOEXEC, []string{"other"}, ": the module does not fit this kernel"},
		{unix.EINVAL, nil, ": a function was not found, or a system state is not compatible"},
		{unix.ENOENT, nil, ": a symbol is missing"},
		{unix.EKEYREJECTED, nil, ": its signature is not from a key that the kernel trusts"},
		{unix.EPERM, nil, ": modules must not be loaded (lockdown, or kernel.modules_disabled)"},
		{unix.EIO, nil, ""},
	} {
		err := &RefusedError{Module: "new", File: "f.ko", Errno: c.errno, Log: c.log}
		if want := "the kernel refused f.ko: " + c.errno.Error() + c.want; err.Error() != want || !errors.Is(err, c.errno) {
			t.Errorf("%q, want %q", err, want)
		}
	}
}

// Whom a transition waits for, and in what.
func TestBlockedError(t *testing.T) {
	user := Task{PID: 7, TID: 8, Name: "sleeper", State: "S (sleeping)", Stack: []Frame{{Text: "schedule+0x1/0x2"}, {Text: "f+0x1/0x2", Patched: "vmlinux:f"}, {Text: "g+0x1/0x2", Patched: "ext4:g"}}}
	kernel := Task{PID: 9, TID: 9, Name: "worker", State: "R (running)", Kernel: true}
	free := Task{PID: 3, TID: 3, Name: "free", State: "S (sleeping)", Stack: []Frame{{Text: "schedule+0x1/0x2"}}}
	for _, c := range []struct {
		err  BlockedError
		want string
	}{
		{BlockedError{Phase: Enabling, Tasks: []Task{user}}, "bringing new into force did not end within 5s: 1 task has not switched; it goes on"},
		{BlockedError{Phase: Disabling, Tasks: []Task{user, kernel}}, "disabling new did not end within 5s: 2 tasks have not switched; it goes on"},
		{BlockedError{Phase: Enabling, Hidden: true}, "bringing new into force did not end within 5s, and the states of tasks cannot be read; it goes on"},
		{BlockedError{Phase: Enabling}, "bringing new into force did not end within 5s; no task that procfs shows holds it up, so that it is an idle CPU, or it ended just now; it goes on"},
	} {
		c.err.Module, c.err.Timeout, c.err.Outcome = "new", 5*time.Second, "it goes on"
		if got := c.err.Error(); got != c.want {
			t.Errorf("%q\nwant %q", got, c.want)
		}
	}
	report := (&BlockedError{Tasks: []Task{user, kernel, free}}).Report()
	want := "  sleeper (pid 7, thread 8, process, S (sleeping)) is in vmlinux:f, ext4:g\n      schedule+0x1/0x2\n    > f+0x1/0x2\n    > g+0x1/0x2\n" +
		"  worker (pid 9, kernel thread, R (running)): its stack cannot be seen\n" +
		"  free (pid 3, process, S (sleeping)): no patched function is on its stack now; it switches when the kernel next looks at it\n      schedule+0x1/0x2\n"
	if report != want {
		t.Errorf("%s\nwant\n%s", report, want)
	}

	failed := &BootError{Failed: []BootModule{{File: "a.ko", Reason: "no room"}, {File: "b.ko", Reason: "no fit"}}}
	if failed.Error() != "a.ko: no room; b.ko: no fit" || failed.Files() != "a.ko, b.ko" {
		t.Errorf("%q, %q", failed, failed.Files())
	}
	if (&Refusal{Reason: "no"}).Error() != "no" || (&Refusal{Reason: "no", Remedy: "go"}).Error() != "no; remedy: go" {
		t.Error("refusal")
	}
	if p := Policies(); len(p) != 5 || p[0] != Auto {
		t.Errorf("%q", p)
	}
}

// Defaults fill what is not set, and nothing else.
func TestDefaults(t *testing.T) {
	o := Options{}.withDefaults()
	if o.Policy != Auto || o.Timeout != time.Minute || o.OnTimeout != Reverse || o.Progress == nil || o.Say == nil {
		t.Errorf("%+v", o)
	}
	o = Options{Policy: Stack, Timeout: time.Second, OnTimeout: Leave}.withDefaults()
	if o.Policy != Stack || o.Timeout != time.Second || o.OnTimeout != Leave {
		t.Errorf("%+v", o)
	}
	if p := (Places{}).withDefaults(); p.Modules != ModulesDir || p.State != StateDir {
		t.Errorf("%+v", p)
	}
	if p := (Places{"m", "s"}).withDefaults(); p.Modules != "m" || p.State != "s" {
		t.Errorf("%+v", p)
	}
}

// Who vouches for a loaded module, and when the kernel takes no other.
func TestSignatureFacts(t *testing.T) {
	const enforce, lockdown = "sys/module/module/parameters/sig_enforce", "sys/kernel/security/lockdown"
	for _, c := range []struct {
		files    map[string]string
		trusted  bool
		why      string
		enforced string
	}{
		{nil, false, "does not check signatures", ""},
		{map[string]string{enforce: "N\n"}, false, "is not known", ""},
		{map[string]string{enforce: "N\n", "sys/module/new/taint": "OEK\n"}, false, "found no valid signature", ""},
		{map[string]string{enforce: "Y\n", "sys/module/new/taint": "OK\n"}, true, "checked its signature", "module.sig_enforce is on"},
		{map[string]string{lockdown: "none [integrity] confidentiality\n"}, false, "does not check", "the kernel is locked down"},
		{map[string]string{lockdown: "none integrity [confidentiality]\n", enforce: "N\n"}, false, "is not known", "the kernel is locked down"},
		{map[string]string{lockdown: "[none] integrity confidentiality\n"}, false, "does not check", ""},
	} {
		k, m := newFake(t)
		for file, text := range c.files {
			k.put(file, text)
		}
		if trusted, why := m.loadedTrust("new"); trusted != c.trusted || !strings.Contains(why, c.why) {
			t.Errorf("%v: %v, %q", c.files, trusted, why)
		}
		if got := m.enforced(); got != c.enforced {
			t.Errorf("%v: enforced %q, want %q", c.files, got, c.enforced)
		}
	}
}

// A livepatch is not taken out of force while another's transition does not end.
func TestUnloadWaits(t *testing.T) {
	for _, ends := range []bool{true, false} {
		bubble(t, func(t *testing.T, k *fakeKernel, m *Machine) {
			first, second := k.file("a", single("f")), k.file("b", single("g"))
			if err := k.insert(first.File); err != nil {
				t.Fatal(err)
			}
			k.finish(k.files[first.File])
			k.stuck["b"] = !ends
			if err := k.insert(second.File); err != nil {
				t.Fatal(err)
			}
			done, err := m.Unload(t.Context(), "a", Options{Timeout: 5 * time.Second})
			var blocked *BlockedError
			if ends && (err != nil || !done) {
				t.Errorf("%v, %v", done, err)
			}
			if !ends && (done || !errors.As(err, &blocked) || blocked.Module != "b" || blocked.Outcome != "it goes on, and a is still in force" || len(blocked.Tasks) != 1) {
				t.Errorf("%v, %v", done, err)
			}
			if got := states(t, m); (len(got) == 2) == ends {
				t.Errorf("afterwards %q", got)
			}
		})
	}
}

// Records of the kernel's log.
func TestLogRecord(t *testing.T) {
	for record, want := range map[string]bool{"6,12,3,-;text\n": true, "6,12,3;text": true, "6,12;text": false, "6,12,3,-": false, "6,x,3,-;text": false, "": false} {
		seq, text, ok := parseRecord(record)
		if ok != want || ok && (seq != 12 || text != "text") {
			t.Errorf("%q: %d %q %v", record, seq, text, ok)
		}
	}
}

// The lock is free again whatever became of a load, and one that another holds is waited for.
func TestLockIsReleased(t *testing.T) {
	bubble(t, func(t *testing.T, k *fakeKernel, m *Machine) {
		good, bad := k.file("a", single("f")), k.file("b", single("f"))
		free := func(after string) {
			t.Helper()
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			unlock, err := m.lock(ctx)
			if err != nil {
				t.Fatalf("after %s: %v", after, err)
			}
			if _, err := m.lock(ctx); !errors.Is(err, errInterrupted) {
				t.Errorf("taken twice: %v", err)
			}
			unlock()
		}
		if _, err := m.Load(t.Context(), good, Options{}); err != nil {
			t.Fatal(err)
		}
		free("a load")
		if _, err := m.Load(t.Context(), bad, Options{}); err == nil {
			t.Fatal("two livepatches for one function")
		}
		free("a refusal")
		if _, err := m.Unload(t.Context(), "a", Options{}); err != nil {
			t.Fatal(err)
		}
		free("an unload")
		if _, err := m.Boot(t.Context(), Places{}, Options{}); err != nil {
			t.Fatal(err)
		}
		free("a boot")
		unlock, err := m.lock(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(time.Second, unlock)
		if _, err := m.Load(t.Context(), good, Options{}); err != nil {
			t.Error(err)
		}
	})
}

// A note's words become facts.
func TestFactsOf(t *testing.T) {
	man := noteOf("new", withStates(withCallback(series("2", "f"), false), 7, 3))
	man.Patches = []note.Patch{{IDs: []string{"CVE-1", "CVE-2"}}, {IDs: []string{"CVE-3"}}}
	man.Objects[0].Funcs[0].Sympos = 4
	f := factsOf(man)
	if d := cmp.Diff([]State{{ID: 7, Version: 3}}, f.States); d != "" {
		t.Errorf("states (-want +got)\n%s", d)
	}
	if d := cmp.Diff([]string{"vmlinux: pre_patch", "vmlinux: post_unpatch"}, f.Callbacks); d != "" {
		t.Errorf("callbacks (-want +got)\n%s", d)
	}
	if d := cmp.Diff([]string{"CVE-1", "CVE-2", "CVE-3"}, f.IDs); d != "" {
		t.Errorf("ids (-want +got)\n%s", d)
	}
	if d := cmp.Diff([]Object{{Name: "vmlinux", Functions: []Func{{Name: "f", Sympos: 4, New: "klp_f"}}}}, f.Objects); d != "" {
		t.Errorf("objects (-want +got)\n%s", d)
	}
	if !f.FromNote || f.Replace == nil || !*f.Replace || f.Product != "demo" || f.Vendor != "example" || f.Version != "2" {
		t.Errorf("%+v", f)
	}
	if f := factsOf(nil); f.FromNote || f.Replace != nil || f.Objects == nil {
		t.Errorf("%+v", f)
	}
}

// An error tells what is no longer in force because of what was done before.
func TestLeftover(t *testing.T) {
	why := errors.New("why")
	if err := leftover(why, &Outcome{Did: []Action{{Op: OpRemove, Module: "a"}, {Op: OpLoad, Module: "b"}}}); err != why {
		t.Error(err)
	}
	err := leftover(why, &Outcome{Did: []Action{{Op: OpDisable, Module: "a"}, {Op: OpRemove, Module: "a"}, {Op: OpDisable, Module: "b"}}})
	if !errors.Is(err, why) || err.Error() != "why; disabled before that, and not in force any more: a, b" {
		t.Error(err)
	}
}
