package e2e

import (
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/klpforge/klpforge/finding"
	"github.com/klpforge/klpforge/internal/vm"
	"github.com/klpforge/klpforge/internal/vm/guest"
	"github.com/klpforge/klpforge/pipeline"
)

// hazard builds a module and a livepatch of it that a check must stop, and
// then, with the finding accepted, the livepatch that shows why.
func hazard(t *testing.T, name, patch string, id finding.ID, says string) (e *Env, module, livepatch string) {
	t.Helper()
	e = env(t)
	dir := filepath.Join("testdata", name)
	x, err := e.External(t.Context(), CloudRelease, dir)
	if err != nil {
		t.Fatal(err)
	}
	livepatch = filepath.Join(e.Dir, name+"_bad.ko")
	o := pipeline.Options{Patches: []string{filepath.Join(dir, patch)}, Output: livepatch}
	_, err = e.Livepatch(t.Context(), x, o)
	var refusal *pipeline.Refusal
	if !errors.As(err, &refusal) {
		t.Fatalf("the livepatch is not refused: %v", err)
	}
	if !slices.ContainsFunc(refusal.Problems, func(p finding.Finding) bool { return p.ID == id && strings.Contains(p.Message, says) }) {
		t.Fatalf("no %s that says %q: %v", id, says, err)
	}
	o.Allow = map[finding.ID]string{id: "to show what happens"}
	if _, err := e.Livepatch(t.Context(), x, o); err != nil {
		t.Fatal(err)
	}
	return e, x.Module, livepatch
}

// TestLockOrder: an old task holds one lock and waits for the other, a new task
// the reverse.
func TestLockOrder(t *testing.T) {
	t.Parallel() // mostly waits for a VM
	e, module, livepatch := hazard(t, "order", "turned.patch", "KLP203", "an old and a new task wait for each other")
	o, err := e.VM(t.Context(), CloudRelease)
	if err != nil {
		t.Fatal(err)
	}
	o.Append = "loglevel=7" // with the stacks of hung tasks
	const param = "/sys/module/klpforge_order/parameters/"
	m, lp := vm.ModuleFile(module), vm.ModuleFile(livepatch)
	s := vm.Script{Files: []vm.File{m, lp}}.Add(
		guest.Write("/proc/sys/kernel/hung_task_timeout_secs", "2"),
		guest.Insmod(m.Name, ""),
		guest.Write(param+"start", "1"),
		guest.Write(param+"inside", "1"), // the first thread holds left, in old code
		guest.Insmod(lp.Name, ""),
		guest.Write(param+"moved", "1"), // the second, which is idle, goes over
		guest.Write(param+"start", "2"),
		guest.Write(param+"inside", "2"), // and holds right, in new code
		guest.Write(param+"hold", "0"),
		// The kernel is sure after up to three timeouts.
		guest.ExpectLog("task order/0:.* blocked for more than", 2*time.Minute),
		guest.ExpectLog("task order/1:.* blocked for more than", 2*time.Minute),
		guest.ExpectEnabled("order_bad").Optional().Labelled("enabled"),
	)
	r, err := vm.Run(t.Context(), o, s)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Err(); err != nil {
		t.Fatal(err)
	}
	if s := r.Step("enabled"); s == nil || s.OK {
		t.Errorf("the transition finished: %+v", s)
	}
	for _, thread := range []string{"order/0", "order/1"} {
		if !strings.Contains(r.Log, "task "+thread+":") {
			t.Errorf("the kernel does not call %s hung:\n%s", thread, r.Log)
		}
	}
	if !strings.Contains(r.Log, "blocked for more than") || !strings.Contains(r.Log, "pair_update") {
		t.Errorf("no thread hangs in pair_update:\n%s", r.Log)
	}
}

// TestSleepInAtomic: a function called under a spinlock is made to sleep.
func TestSleepInAtomic(t *testing.T) {
	t.Parallel() // mostly waits for a VM
	e, module, livepatch := hazard(t, "atomic", "waits.patch", "KLP206", "sleeps where that is forbidden")
	o, err := e.VM(t.Context(), CloudRelease)
	if err != nil {
		t.Fatal(err)
	}
	m, lp := vm.ModuleFile(module), vm.ModuleFile(livepatch)
	s := vm.Script{Files: []vm.File{m, lp}}.Add(
		guest.Insmod(m.Name, ""),
		guest.Sleep(300*time.Millisecond),
		guest.CheckDmesg(), // the original is quiet
		guest.Insmod(lp.Name, ""),
		guest.WaitTransition("atomic_bad", 0),
		guest.ExpectLog("BUG: scheduling while atomic: take/", 2*time.Minute),
		guest.ExpectLog("stock_refill", 2*time.Minute),
	)
	r, err := vm.Run(t.Context(), o, s)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Err(); err != nil {
		t.Fatal(err)
	}
	// Debian's kernel has no CONFIG_DEBUG_ATOMIC_SLEEP: the scheduler itself complains.
	if !strings.Contains(r.Log, "BUG: scheduling while atomic: take/") || !strings.Contains(r.Log, "stock_refill") {
		t.Errorf("the kernel does not complain:\n%s", r.Log)
	}
}
