package e2e

import (
	"cmp"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/klpforge/klpforge/finding"
	"github.com/klpforge/klpforge/internal/vm"
	"github.com/klpforge/klpforge/internal/vm/guest"
	"github.com/klpforge/klpforge/pipeline"
)

// fooRounds is how often the good livepatch is loaded and unloaded; "make hazards"
// sets KLPFORGE_ROUNDS to 100.
func fooRounds(t *testing.T) int {
	n, err := strconv.Atoi(cmp.Or(os.Getenv("KLPFORGE_ROUNDS"), "6"))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// hung is what the kernel says of a thread of the module that it saw waiting.
var hung = regexp.MustCompile(`task foo/\d:\d+ blocked for more than`)

// TestFooLock has a module whose threads sleep while they hold a lock that
// foo_lock() took: nothing of what the patch changes is on their stack then. The
// patch makes foo_lock() and foo_unlock() use another lock.
func TestFooLock(t *testing.T) {
	t.Parallel() // mostly waits for a VM
	e := env(t)
	ctx := t.Context()
	foo, err := e.External(ctx, CloudRelease, filepath.Join("testdata", "foo"))
	if err != nil {
		t.Fatal(err)
	}
	patch := filepath.Join("testdata", "foo", "other-lock.patch")
	naive, good := filepath.Join(e.Dir, "naive.ko"), filepath.Join(e.Dir, "good.ko")

	_, err = e.Livepatch(ctx, foo, pipeline.Options{Patches: []string{patch}, Output: naive, NoAutoCallers: true})
	var refusal *pipeline.Refusal
	if !errors.As(err, &refusal) || refusal.Problems[0].ID != "KLP201" {
		t.Fatalf("without its callers the livepatch is not refused: %v", err)
	}
	if _, err := e.Livepatch(ctx, foo, pipeline.Options{Patches: []string{patch}, Output: naive, NoAutoCallers: true,
		Allow: map[finding.ID]string{"KLP201": "to show what happens"}}); err != nil {
		t.Fatal(err)
	}
	res, err := e.Livepatch(ctx, foo, pipeline.Options{Patches: []string{patch}, Output: good})
	if err != nil {
		t.Fatal(err)
	}
	joined := ""
	for _, o := range res.Plan.Objects {
		for _, f := range o.Funcs {
			if f.Name == "foo_add" {
				joined = strings.Join(f.Reasons, "; ")
			}
		}
	}
	if !strings.Contains(joined, "switches with foo_lock, foo_unlock") {
		t.Fatalf("foo_add does not join: %q in %+v", joined, res.Plan.Objects)
	}

	boot := func(t *testing.T, ko string, steps ...guest.Step) *vm.Result {
		t.Helper()
		o, err := e.VM(ctx, CloudRelease)
		if err != nil {
			t.Fatal(err)
		}
		o.Timeout = 15 * time.Minute
		s := vm.Script{Files: []vm.File{vm.ModuleFile(foo.Module), vm.ModuleFile(ko)}}
		r, err := vm.Run(ctx, o, s.Add(steps...))
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	const steps = "/sys/module/klpforge_foo/parameters/steps"

	t.Run("naive", func(t *testing.T) {
		lp := vm.ModuleFile(naive)
		r := boot(t, naive,
			guest.Write("/proc/sys/kernel/hung_task_timeout_secs", "3"),
			// One holds the lock at any time, and others wait for it.
			guest.Insmod(vm.ModuleFile(foo.Module).Name, "nr_threads=4"),
			guest.Sleep(500*time.Millisecond),
			guest.Insmod(lp.Name, ""),
			guest.WaitTransition("naive", 10*time.Second).Optional(),
			// The livepatch stays: going, it could let the holder release the first
			// lock after all. The kernel needs up to three timeouts to be sure.
			guest.ExpectLog(hung.String(), 2*time.Minute).Optional(),
		)
		// Whoever held the first lock released the second; nobody releases the first.
		if !hung.MatchString(r.Log) {
			t.Errorf("the kernel names no thread of the module that waits for ever:\n%s", r.Log)
		}
	})
	t.Run("with callers", func(t *testing.T) {
		lp := vm.ModuleFile(good)
		n := fooRounds(t)
		r := boot(t, good,
			guest.Write("/proc/sys/kernel/hung_task_timeout_secs", "3"),
			guest.Insmod(vm.ModuleFile(foo.Module).Name, "pause_us=15000"),
			guest.Repeat(n,
				guest.Insmod(lp.Name, ""),
				guest.WaitTransition("good", 0),
				guest.ExpectEnabled("good"),
				guest.Disable("good", 0),
				guest.Rmmod("good"),
			).Labelled("rounds"),
			guest.Read(steps).Labelled("before"),
			guest.Sleep(500*time.Millisecond),
			guest.Read(steps).Labelled("after"),
			guest.Rmmod("klpforge_foo"),
			guest.CheckDmesg(),
			guest.CheckTaint(guest.TaintAllowed),
		)
		if err := r.Err(); err != nil {
			t.Fatalf("%d rounds: %+v", n, err)
		}
		if hung.MatchString(r.Log) {
			t.Error("a thread waits for ever")
		}
		before, err1 := strconv.Atoi(strings.TrimSpace(r.Step("before").Out))
		after, err2 := strconv.Atoi(strings.TrimSpace(r.Step("after").Out))
		if err1 != nil || err2 != nil || after <= before {
			t.Errorf("the threads stand still: %d steps, then %d (%v, %v)", before, after, err1, err2)
		}
		t.Logf("%d rounds in %v", n, r.Total)
	})
}
