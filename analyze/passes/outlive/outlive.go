package outlive

import (
	_ "embed"
	"fmt"
	"maps"
	"slices"

	"github.com/klpforge/klpforge/analyze"
	"github.com/klpforge/klpforge/analyze/code"
	"github.com/klpforge/klpforge/analyze/kfuncs"
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

// keeper says what keeps a function that it was given to, in words; "" when nothing
// does or that is not known.
func keeper(name string) string { return keeps[kfuncs.Keeps(name)] }

// keeps are the words for what runs a function later, or is made with a table of
// functions.
var keeps = map[string]string{
	string(kfuncs.InRCU): "RCU", string(kfuncs.InSRCU): "SRCU", string(kfuncs.InRCUTasks): "RCU",
	string(kfuncs.InTimer): "a timer", string(kfuncs.InHrtimer): "a timer", string(kfuncs.InTasklet): "a tasklet",
	string(kfuncs.InSoftirq): "a softirq", string(kfuncs.InIRQ): "an interrupt", string(kfuncs.InIRQOrThread): "an interrupt",
	string(kfuncs.InNMI): "an interrupt", string(kfuncs.InThread): "a thread", string(kfuncs.InIPI): "another processor",
	string(kfuncs.InStopper): "another processor",
	"file":                   "a file", "device": "a device", "notifier": "a notifier", "cache": "a cache", "pool": "a pool", "fence": "a fence",
	"wait-queue": "a wait queue",
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
		case e.Fate == code.Kept || e.Fate == code.Given && kfuncs.Over(e.To):
			continue
		case e.Fate == code.Stored:
			class, what = kept, "its address is stored"
		case e.Fate == code.Given && slices.Contains(plan.RCUCallers, e.To):
			class, what = rcu, "given to "+e.To+", whose callbacks the module waits for before it goes"
		case e.Fate == code.Given && keeper(e.To) != "":
			class, what = kept, "given to "+e.To+": "+keeper(e.To)+" keeps it"
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
