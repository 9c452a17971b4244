package e2e

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/klpforge/klpforge/internal/vm"
	"github.com/klpforge/klpforge/internal/vm/guest"
	"github.com/klpforge/klpforge/pipeline"
)

// TestUnseenCode makes one thread wait in a helper that only the livepatch has, and
// another in the cold part of the replaced function. It does not see the helper that is
// jumped to: it takes the livepatch out of force, lets it be unloaded, and goes down when
// the thread wakes. With the barrier that KLP216 asks for, the transition waits for the
// helper, and for the cold part it always does.
func TestUnseenCode(t *testing.T) {
	t.Parallel() // mostly waits for a VM
	e := env(t)
	ctx := t.Context()
	dir := filepath.Join("testdata", "gate")
	x, err := e.External(ctx, CloudRelease, dir)
	if err != nil {
		t.Fatal(err)
	}
	livepatch := func(name string, want ...string) string {
		ko := filepath.Join(e.Dir, name+".ko")
		res, err := e.Livepatch(ctx, x, pipeline.Options{Patches: []string{filepath.Join(dir, name+".patch")}, Output: ko})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, f := range res.Findings {
			if f.ID == "KLP216" && !f.Unknown {
				got = append(got, f.Severity.String()+" "+f.Symbol)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: KLP216 says %q, not %q", name, got, want)
		}
		return ko
	}
	unseen, seen := vm.ModuleFile(livepatch("unseen", "warning gate_wait")), vm.ModuleFile(livepatch("seen"))
	o, err := e.VM(ctx, CloudRelease)
	if err != nil {
		t.Fatal(err)
	}
	const param = "/sys/module/klpforge_gate/parameters/"
	const limit = 2 * time.Minute
	m := vm.ModuleFile(x.Module)
	r, err := vm.Run(ctx, o, vm.Script{Files: []vm.File{m, unseen, seen}}.Add(
		guest.Insmod(m.Name, ""),

		guest.Insmod(seen.Name, ""),
		guest.WaitTransition("seen", limit),
		guest.Write(param+"round", "1"),
		guest.Write(param+"waiting", "2"),
		guest.Write("/sys/kernel/livepatch/seen/enabled", "0"),
		// Other tasks have gone over long before; none of the two can, alone either.
		guest.Sleep(3*time.Second),
		guest.Expect("/sys/kernel/livepatch/seen/transition", guest.MatchExact, "1"),
		guest.Write(param+"open0", "1"),
		guest.Write(param+"waiting", "1"),
		guest.Sleep(3*time.Second),
		guest.Expect("/sys/kernel/livepatch/seen/transition", guest.MatchExact, "1"),
		guest.Write(param+"open1", "1"),
		guest.ExpectLog("'seen': unpatching complete", limit),
		guest.Rmmod("seen"),
		guest.CheckDmesg(),

		guest.Insmod(unseen.Name, ""),
		guest.WaitTransition("unseen", limit),
		guest.Write(param+"round", "2"),
		guest.Write(param+"waiting", "2"),
		guest.Write("/sys/kernel/livepatch/unseen/enabled", "0"),
		guest.Sleep(3*time.Second),
		guest.Expect("/sys/kernel/livepatch/unseen/transition", guest.MatchExact, "1"), // for the cold part
		guest.Write(param+"open1", "2"),
		guest.ExpectLog("'unseen': unpatching complete", limit),
		guest.Write("/proc/sysrq-trigger", "w"), // the thread's stack
		guest.ExpectLog(`gate_wait\+0x.* \[unseen\]`, limit),
		guest.Rmmod("unseen").Labelled("unloaded"),
		guest.Write(param+"open0", "2"),
		guest.Sleep(limit), // the VM ends before
	))
	if err != nil {
		t.Fatal(err)
	}
	if s := r.Step("unloaded"); s == nil || !s.OK {
		t.Fatalf("the livepatch is not unloaded: %v\n%s", r.Err(), r.Log)
	}
	if r.Panic == nil || !strings.Contains(r.Log, "supervisor instruction fetch in kernel mode") {
		t.Errorf("the thread does not return to memory that is gone: %v\n%s", r.Err(), r.Log)
	}
}
