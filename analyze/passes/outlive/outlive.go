package outlive

import (
	_ "embed"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/klpforge/klpforge/analyze"
	"github.com/klpforge/klpforge/analyze/code"
	"github.com/klpforge/klpforge/elfdiff"
	"github.com/klpforge/klpforge/finding"
	"github.com/klpforge/klpforge/plan"
)

//go:embed doc.go
var doc string

// New makes the analyzer.
func New() *analyze.Analyzer {
	return &analyze.Analyzer{Name: "outlive", Doc: analyze.PackageDoc(doc), Checks: analyze.Checks(finding.IDOutlives), Run: run}
}

// waited are what the generated module waits for before it goes.
var waited = set(strings.Join(plan.RCUCallers, " "))

// keepers keep a function that they are given after they return, under words for
// what then runs it (v6.1; hrtimer_setup since v6.13).
var keepers = map[string]string{
	"call_srcu": "SRCU", "call_rcu_bh": "RCU", "call_rcu_sched": "RCU", "call_rcu_tasks": "RCU", "call_rcu_tasks_rude": "RCU", "call_rcu_tasks_trace": "RCU",
	"init_timer_key": "a timer", "hrtimer_setup": "a timer",
	"tasklet_setup": "a tasklet", "tasklet_init": "a tasklet", "open_softirq": "a softirq",
	"request_threaded_irq": "an interrupt", "devm_request_threaded_irq": "an interrupt", "request_any_context_irq": "an interrupt", "request_percpu_nmi": "an interrupt",
	"kthread_create_on_node": "a thread", "kthread_create_on_cpu": "a thread", "smp_call_function_single_async": "another processor",
	"proc_create": "a file", "proc_create_data": "a file", "proc_create_single_data": "a file", "proc_create_seq_private": "a file", "debugfs_create_file": "a file",
	"single_open": "a file", "single_open_size": "a file", "seq_open": "a file", "__seq_open_private": "a file",
	"anon_inode_getfd": "a file", "anon_inode_getfile": "a file", "alloc_file_pseudo": "a file",
	"misc_register": "a device", "cdev_init": "a device", "register_netdevice_notifier": "a notifier", "register_reboot_notifier": "a notifier",
	"blocking_notifier_chain_register": "a notifier", "atomic_notifier_chain_register": "a notifier", "raw_notifier_chain_register": "a notifier",
	"__devm_add_action": "a device", "devm_add_action": "a device", "kmem_cache_create": "a cache", "kmem_cache_create_usercopy": "a cache", "mempool_create": "a pool",
	"dma_fence_init": "a fence", "dma_fence_add_callback": "a fence", "add_wait_queue": "a wait queue",
}

func set(text string) map[string]bool {
	m := map[string]bool{}
	for _, n := range strings.Fields(text) {
		m[n] = true
	}
	return m
}

func run(p *analyze.Pass) error {
	for _, u := range p.Units {
		own := owned(u)
		if len(own) == 0 {
			continue
		}
		o, err := u.After()
		if err != nil {
			continue // other checks say that the object cannot be decoded
		}
		found := map[string][]code.Escape{}
		for _, ch := range u.Diff.Functions {
			if ch.Patched < 0 || ch.Init {
				continue
			}
			id, err := o.Func(ch.Patched)
			if err != nil {
				continue
			}
			for _, e := range o.Escapes(id, func(name string) bool { _, ok := own[name]; return ok }) {
				found[e.Of] = append(found[e.Of], e)
			}
		}
		for _, name := range slices.Sorted(maps.Keys(found)) {
			report(p, u, o, own[name], found[name])
		}
	}
	return nil
}

// owned are the functions and the tables of functions that only the livepatch
// has, by name.
func owned(u *analyze.Unit) map[string]elfdiff.Change {
	own := map[string]elfdiff.Change{}
	for _, ch := range u.Diff.Functions {
		if ch.Kind == elfdiff.New && !ch.Init {
			own[ch.Name] = ch
		}
	}
	for _, ch := range u.Diff.Data {
		if ch.Kind == elfdiff.New && !ch.Init && holdsCode(u.Diff.Patched, ch.Patched) {
			own[ch.Name] = ch
		}
	}
	return own
}

func holdsCode(o *elfdiff.Object, a elfdiff.AtomID) bool {
	return slices.ContainsFunc(o.References(a), func(r elfdiff.Reference) bool {
		return r.Target.Kind == elfdiff.TargetAtom && o.IsCode(r.Target.Atom)
	})
}

func report(p *analyze.Pass, u *analyze.Unit, o *code.Object, ch elfdiff.Change, escapes []code.Escape) {
	const (
		nothing = iota
		rcu
		unknown
		kept
	)
	worst := nothing
	var evidence []string
	for _, e := range escapes {
		class, what := unknown, "its address is taken, and what becomes of it is not seen"
		switch {
		case e.Fate == code.Kept || e.Fate == code.Given && code.AtOnce(e.To):
			continue
		case e.Fate == code.Stored:
			class, what = kept, "its address is stored"
		case e.Fate == code.Given && waited[e.To]:
			class, what = rcu, "given to "+e.To+", whose callbacks the module waits for before it goes"
		case e.Fate == code.Given && keepers[e.To] != "":
			class, what = kept, "given to "+e.To+": "+keepers[e.To]+" keeps it"
		case e.Fate == code.Given && e.To == "":
			what = "given to a call through a pointer"
		case e.Fate == code.Given:
			what = "given to " + e.To
		}
		worst = max(worst, class)
		evidence = append(evidence, fmt.Sprintf("%s: %s", o.Place(e.At), what))
	}
	f := finding.Finding{ID: finding.IDOutlives, Evidence: evidence,
		Remedy: "end what uses it in a post-unpatch callback (del_timer_sync, cancel_work_sync, unregister), or never unload the module"}
	switch worst {
	case nothing:
		return
	case rcu:
		f.Severity, f.Message, f.Remedy = finding.Note, "only the livepatch has it, and RCU calls it later", "none is needed: the module calls rcu_barrier() when it is unloaded"
	case unknown:
		f.Severity, f.Unknown, f.Message = finding.Note, true, "only the livepatch has it; whether its address is still held when the livepatch is unloaded is not known"
	case kept:
		f.Severity, f.Message = finding.Warning, "only the livepatch has it, and its address may still be held when the livepatch is unloaded"
	}
	p.ReportChange(u, ch, f)
}
