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
	return &analyze.Analyzer{Code: true, Name: "outlive", Doc: analyze.PackageDoc(doc),
		Checks: analyze.Checks(finding.IDOutlives),
		Run:    run}
}

// keeper says what keeps a function that it was given to, in words; "" when nothing
// does or that is not known.
func keeper(name string) string { return keeps[kfuncs.Keeps(name)] }

// keeps are the words for what runs a function later, or is made with a table of
// functions.
var keeps = map[string]string{
	string(kfuncs.InRCU): "RCU", string(kfuncs.InSRCU): "SRCU", string(kfuncs.InRCUTasks): "RCU",
	string(kfuncs.InTimer): "a timer", string(kfuncs.InHrtimer): "a timer", string(kfuncs.InTasklet): "a tasklet",
	string(kfuncs.InSoftirq): "a softirq", string(kfuncs.InIRQ): "an interrupt",
	string(kfuncs.InIRQOrThread): "an interrupt",
	string(kfuncs.InNMI):         "an interrupt", string(kfuncs.InThread): "a thread",
	string(kfuncs.InIPI):     "another processor",
	string(kfuncs.InStopper): "another processor",
	"file":                   "a file", "device": "a device", "notifier": "a notifier", "cache": "a cache",
	"pool": "a pool", "fence": "a fence",
	"wait-queue": "a wait queue", "work": "a queue of work", "task": "a task",
}

func run(pass *analyze.Pass) error {
	for _, unit := range pass.Units {
		own := owned(unit)
		if len(own) == 0 {
			continue
		}
		obj, err := unit.After()
		if err != nil {
			continue // other checks say that the object cannot be decoded
		}
		found := map[string][]code.Escape{}
		for _, ch := range unit.Diff.Functions {
			if ch.Patched < 0 || ch.Init {
				continue
			}
			id, err := obj.Func(ch.Patched)
			if err != nil {
				continue
			}
			for _, e := range obj.Escapes(id, func(name string) bool { _, ok := own[name]; return ok }) {
				found[e.Of] = append(found[e.Of], e)
			}
		}
		for _, name := range slices.Sorted(maps.Keys(found)) {
			report(pass, unit, obj, own[name], found[name])
		}
	}
	return nil
}

// ender is what the function that gives an address to something that keeps it has end that
// further down, as by flush_work: its task, and with it the transition, stays until then.
// It is nil when there is none.
func ender(obj *code.Object, escapes []code.Escape, e code.Escape) *code.Escape {
	for i := range escapes {
		if later := &escapes[i]; later.Fate == code.Given && kfuncs.Ends(later.To) && later.At > e.At &&
			obj.Model.At(later.At) == obj.Model.At(e.At) {
			return later
		}
	}
	return nil
}

// owned are the functions and the tables of functions that only the livepatch
// has, by name.
func owned(unit *analyze.Unit) map[string]elfdiff.Change {
	own := map[string]elfdiff.Change{}
	for _, ch := range unit.Diff.Functions {
		if ch.Kind == elfdiff.New && !ch.Init {
			own[ch.Name] = ch
		}
	}
	for _, ch := range unit.Diff.Data {
		if ch.Kind == elfdiff.New && !ch.Init && holdsCode(unit.Diff.Patched, ch.Patched) {
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

func report(pass *analyze.Pass, unit *analyze.Unit, obj *code.Object, ch elfdiff.Change, escapes []code.Escape) {
	const (
		nothing = iota
		rcu
		unknown
		kept
	)

	// The worst of what becomes of its address decides; each is told.
	worst := nothing
	var evidence []string
	for _, escape := range escapes {
		class, what := unknown, "its address is taken, and what becomes of it is not seen"
		switch {
		case escape.Fate == code.Kept || escape.Fate == code.Given && (kfuncs.Over(escape.To) || kfuncs.Ends(escape.To)):
			continue
		case escape.Fate == code.Stored:
			class, what = kept, "its address is stored"
		case escape.Fate == code.Given && slices.Contains(plan.RCUCallers, escape.To):
			class, what = rcu, "given to "+escape.To+", whose callbacks the module waits for before it goes"
		case escape.Fate == code.Given && keeper(escape.To) != "" && ender(obj, escapes, escape) != nil:
			end := ender(obj, escapes, escape)
			what = fmt.Sprintf("given to %s: %s keeps it until %s at %s; whether every path gets there is not followed",
				escape.To, keeper(escape.To), end.To, obj.Place(end.At))
		case escape.Fate == code.Given && keeper(escape.To) != "":
			class, what = kept, "given to "+escape.To+": "+keeper(escape.To)+" keeps it"
		case escape.Fate == code.Given && escape.To == "":
			what = "given to a call through a pointer"
		case escape.Fate == code.Given:
			what = "given to " + escape.To
		}
		worst = max(worst, class)
		evidence = append(evidence, fmt.Sprintf("%s: %s", obj.Place(escape.At), what))
	}

	found := finding.Finding{ID: finding.IDOutlives, Evidence: evidence,
		Remedy: "end what uses it in a post-unpatch callback (del_timer_sync, cancel_work_sync, unregister), or " +
			"never unload the module"}
	switch worst {
	case nothing:
		return
	case rcu:
		found.Severity, found.Message, found.Remedy = finding.Note, "only the livepatch has it, and RCU calls it later",
			"none is needed: the module calls rcu_barrier() when it is unloaded"
	case unknown:
		found.Severity, found.Unknown, found.Message = finding.Note, true,
			"only the livepatch has it; whether its address is still held when the livepatch is unloaded is not known"
	case kept:
		found.Severity, found.Message = finding.Warning,
			"only the livepatch has it, and its address may still be held when the livepatch is unloaded"
	}
	pass.ReportChange(unit, ch, found)
}
