package e2e

import (
	"strings"
	"testing"

	"github.com/klpforge/klpforge/analyze/model"
	"github.com/klpforge/klpforge/analyze/sleeps"
	"github.com/klpforge/klpforge/internal/facts"
	"github.com/klpforge/klpforge/kernel"
)

// atomicEntries are given functions that must not sleep, as this argument.
var atomicEntries = map[string]int8{"call_rcu": 1, "init_timer_key": 1, "tasklet_setup": 1, "tasklet_init": 1, "request_threaded_irq": 1,
	"devm_request_threaded_irq": 2, "smp_call_function_single": 1, "on_each_cpu_cond_mask": 1, "open_softirq": 1}

// TestSleeps holds what is found of a real kernel against what the kernel itself
// relies on: a function that runs as a timer, tasklet, RCU callback or interrupt
// handler does not sleep on every path.
func TestSleeps(t *testing.T) {
	t.Parallel() // mostly waits for a VM
	e := env(t)
	k, err := facts.Open(kernel.Options{Release: CloudRelease, Root: string(e.Cache.TargetRoot(CloudRelease)), Cache: e.Cache})
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close()
	m := k.Model
	r := sleeps.Analyze(m, sleeps.Options{Flows: k.Locks.FlowsApart})
	count := map[sleeps.Answer]int{}
	seen := map[model.FuncID]bool{}
	for _, c := range m.CodeRefs {
		for _, x := range m.Calls(c.In) {
			if c.Call == 0 || x.Site != c.Call || x.Target == model.NoFunc || seen[c.Func] {
				continue
			}
			name := m.Func(x.Target).Name
			if a, ok := atomicEntries[name]; !ok || a != c.Arg {
				continue
			}
			seen[c.Func] = true
			f := r.Fact(c.Func)
			count[f.Answer]++
			if f.Always {
				t.Errorf("%s, given to %s, is said to sleep always: %s", m.Func(c.Func).Name, name, strings.Join(r.Chain(c.Func), " -> "))
			}
		}
	}
	t.Logf("%d functions that must not sleep: %v", len(seen), count)
	if len(seen) < 150 || count[sleeps.Never] < len(seen)/3 {
		t.Errorf("of %d functions that must not sleep only %d are known not to", len(seen), count[sleeps.Never])
	}
	for name, want := range map[string]sleeps.Fact{
		"mutex_lock":         {Answer: sleeps.May, Always: true},
		"dput":               {Answer: sleeps.May},
		"alloc_pages":        {Answer: sleeps.Flags, Args: 1},
		"_raw_spin_lock":     {Answer: sleeps.Never},
		"sk_reset_timer":     {Answer: sleeps.Never},
		"cancel_work_sync":   {Answer: sleeps.May, Always: true},
		"alloc_etherdev_mqs": {Answer: sleeps.May},
	} {
		ids := m.Lookup(name)
		if len(ids) != 1 {
			t.Errorf("%s: %d functions", name, len(ids))
			continue
		}
		if f := r.Fact(ids[0]); f.Answer != want.Answer || f.Args != want.Args || want.Always && !f.Always {
			t.Errorf("%s: %+v", name, f)
		}
	}
}
