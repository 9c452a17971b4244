package rcu

import (
	_ "embed"
	"fmt"
	"maps"
	"slices"

	"github.com/klpforge/klpforge/analyze"
	"github.com/klpforge/klpforge/analyze/code"
	"github.com/klpforge/klpforge/analyze/kfuncs"
	"github.com/klpforge/klpforge/analyze/locks"
	"github.com/klpforge/klpforge/analyze/model"
	"github.com/klpforge/klpforge/elfdiff"
	"github.com/klpforge/klpforge/finding"
)

//go:embed doc.go
var doc string

// New makes the analyzer.
func New() *analyze.Analyzer {
	return &analyze.Analyzer{Code: true, Name: "rcu", Doc: analyze.PackageDoc(doc),
		Checks: analyze.Checks(finding.IDRCU), Run: run}
}

func run(pass *analyze.Pass) error {
	for _, unit := range pass.Units {
		if len(unit.Replace) == 0 {
			continue
		}
		before, after, ok := unit.Sides()
		if !ok {
			continue // other checks say that the object cannot be decoded
		}
		for _, ch := range unit.Replace {
			oldFn, newFn, err := code.Both(before, after, ch)
			if err != nil {
				continue
			}
			for _, kind := range []kfuncs.Grace{kfuncs.GraceRCU, kfuncs.GraceSRCU} {
				if !grace(pass, unit, ch, reached(before, oldFn), reached(after, newFn), kind) &&
					!atOnce(pass, unit, ch, before, after, oldFn, newFn, kind) {
					fewer(pass, unit, ch, before, after, oldFn, newFn, kind)
				}
			}
			moved(pass, unit, ch, before, after, oldFn, newFn)
			readSide(pass, unit, ch, reads(before, oldFn), reads(after, newFn), before)
		}
	}
	return nil
}

// reached lists what a function calls within the object and at its edge, with
// the function that makes the call.
func reached(obj *code.Object, id model.FuncID) map[string]string {
	out := map[string]string{}
	seen := map[model.FuncID]bool{id: true}
	work := []model.FuncID{id}
	for len(work) > 0 {
		f := work[0]
		work = work[1:]
		for _, call := range obj.Model.Calls(f) {
			if call.Target == model.NoFunc {
				continue
			}
			name := obj.Model.Func(call.Target).Name
			if _, ok := out[name]; !ok {
				out[name] = obj.Place(call.Site)
			}
			if !seen[call.Target] {
				seen[call.Target] = true
				work = append(work, call.Target)
			}
		}
	}
	return out
}

func grace(pass *analyze.Pass, unit *analyze.Unit, ch elfdiff.Change, old, newer map[string]string,
	kind kfuncs.Grace) bool {
	had := among(old, kind.Asks)
	if len(had) == 0 || len(among(newer, kind.Asks)) > 0 {
		return false
	}
	found := finding.Finding{ID: finding.IDRCU, Severity: finding.Warning,
		Message: "no longer waits for a grace period, which old readers may need",
		Remedy:  "keep the grace period: old readers may be in the middle of a read-side section until the transition is over"}
	for _, n := range had {
		found.Evidence = append(found.Evidence, fmt.Sprintf("before: calls %s at %s", n, old[n]))
	}
	found.Evidence = append(found.Evidence, "after: nothing of the kind")
	// What old code freed at once too, is not what it left to the grace period.
	freed := slices.DeleteFunc(among(newer, kfuncs.Frees), func(name string) bool { return old[name] != "" })
	if len(freed) > 0 {
		found.Severity, found.Message = finding.Error,
			"frees memory at once, without the grace period that old readers rely on"
		for _, n := range freed {
			found.Evidence = append(found.Evidence, fmt.Sprintf("after: calls %s at %s", n, newer[n]))
		}
	}
	found.Who = []string{"readers in the old universe"}
	pass.ReportChange(unit, ch, found)
	return true
}

// fewer reports a function that itself asks for fewer grace periods than before,
// when it does not leave that to one that it newly calls.
func fewer(pass *analyze.Pass, unit *analyze.Unit, ch elfdiff.Change, before, after *code.Object, oldFn,
	newFn model.FuncID, kind kfuncs.Grace) {
	old, newer := direct(before, oldFn, kind.Asks), direct(after, newFn, kind.Asks)
	if newer >= old {
		return
	}
	waited := map[string]bool{} // of the functions called before
	for _, c := range before.Model.Calls(oldFn) {
		if c.Target != model.NoFunc && len(among(reached(before, c.Target), kind.Asks)) > 0 {
			waited[before.Model.Func(c.Target).Name] = true
		}
	}
	for _, c := range after.Model.Calls(newFn) {
		if c.Target != model.NoFunc && !waited[after.Model.Func(c.Target).Name] &&
			len(among(reached(after, c.Target), kind.Asks)) > 0 {
			return
		}
	}
	found := finding.Finding{ID: finding.IDRCU, Severity: finding.Note,
		Message: "asks for fewer grace periods than before", Who: []string{"readers in the old universe"},
		Evidence: []string{fmt.Sprintf("calls that wait for a grace period or leave freeing to one: %d before, %d after", old, newer)},
		Remedy:   "see that what is freed cannot be reached by old readers"}
	if a, b := direct(before, oldFn, kfuncs.Frees), direct(after, newFn, kfuncs.Frees); b > a {
		found.Severity, found.Message = finding.Warning,
			"asks for fewer grace periods than before, and frees more at once"
		found.Evidence = append(found.Evidence, fmt.Sprintf("calls that free at once: %d before, %d after", a, b))
	}
	pass.ReportChange(unit, ch, found)
}

// direct counts a function's own calls of some functions.
func direct(o *code.Object, id model.FuncID, counts func(name string) bool) int {
	count := 0
	list, _ := o.CallNames(id)
	for _, name := range list {
		if counts(name) {
			count++
		}
	}
	return count
}

// atOnce reports callbacks that old code left to a grace period and that new
// code calls.
func atOnce(pass *analyze.Pass, unit *analyze.Unit, ch elfdiff.Change, before, after *code.Object, x, y model.FuncID,
	kind kfuncs.Grace) (found bool) {
	later, now := callbacks(before, x, kind), callbacks(after, y, kind)
	was, _ := before.CallNames(x)
	is, _ := after.CallNames(y)
	for _, name := range slices.Sorted(maps.Keys(later)) {
		if now[name] != (callback{}) || !slices.Contains(is, name) || slices.Contains(was, name) {
			continue
		}
		found = true
		by := later[name]
		pass.ReportChange(unit, ch, finding.Finding{ID: finding.IDRCU, Severity: finding.Error,
			Message: "calls at once what old code left to a grace period: old readers still use what it frees",
			Evidence: []string{fmt.Sprintf("before: gives %s to %s at %s", name, by.to, by.place),
				"after: calls " + name},
			Who: []string{"readers in the old universe"}, Remedy: "leave it to " + by.to})
	}
	return found
}

// callback is where a function is given to another that calls it after a grace period.
type callback struct{ to, place string }

// callbacks are the functions that a function leaves to a grace period, by name.
func callbacks(obj *code.Object, id model.FuncID, kind kfuncs.Grace) map[string]callback {
	out := map[string]callback{}
	for _, ref := range obj.Model.CodeRefs {
		if ref.In != id || ref.Call == 0 {
			continue
		}
		for _, c := range obj.Model.Calls(id) {
			if c.Site != ref.Call || c.Target == model.NoFunc {
				continue
			}
			if to := obj.Model.Func(c.Target).Name; kind.Asks(to) && kfuncs.Runs(to, int(ref.Arg)) != "" {
				out[obj.Model.Func(ref.Func).Name] = callback{to, obj.Place(c.Site)}
			}
		}
	}
	return out
}

func among(calls map[string]string, wanted func(name string) bool) []string {
	var out []string
	for n := range calls {
		if wanted(n) {
			out = append(out, n)
		}
	}
	slices.Sort(out)
	return out
}

// read is how a function reads one place.
type read struct {
	inside, outside string // an access within a section, and without protection
	open            bool   // callers are not all known
}

// reads finds what lies behind pointers and is read, by name.
func reads(obj *code.Object, id model.FuncID) map[string]read {
	flows := obj.Flows()
	flow := flows.Flow(id)
	if flow == nil {
		return nil
	}
	entry := flows.Entry(id, obj.Open)
	out := map[string]read{}

	// Reads through pointers only: these are what a grace period protects.
	for _, access := range flow.Accesses {
		if access.Path.Root != locks.RootGlobal && access.Path.Root != locks.RootArg || len(access.Path.Offs) < 2 ||
			access.Write {
			continue
		}
		name := obj.PathName(access.Path)
		r := out[name]
		r.open = obj.Open(id)

		// A lock excludes the writer as well as a read-side section would.
		section, lock := false, false
		for _, l := range slices.Concat(access.Held, entry) {
			section = section || l.Kind == locks.RCU || l.Kind == locks.SRCU
			lock = lock || !l.Kind.Context() && l.Kind != locks.SRCU
		}
		switch {
		case section && r.inside == "":
			r.inside = obj.Place(access.Site)
		case !section && !lock && r.outside == "":
			r.outside = obj.Place(access.Site)
		}
		out[name] = r
	}
	return out
}

func readSide(pass *analyze.Pass, unit *analyze.Unit, ch elfdiff.Change, old, newer map[string]read,
	before *code.Object) {
	found := finding.Finding{ID: finding.IDRCU, Severity: finding.Warning,
		Message: "reads outside of a read-side section what old code read inside only: it may be freed meanwhile",
		Remedy:  "move the read-side section around the access, or hold a reference"}
	for _, name := range slices.Sorted(maps.Keys(newer)) {
		x, y := old[name], newer[name]
		if x.inside == "" || x.outside != "" || y.outside == "" {
			continue
		}
		line := fmt.Sprintf("%s: inside before (%s), outside after (%s)", name, x.inside, y.outside)
		if y.open {
			found.Severity, found.Unknown = finding.Note, true
			line += "; whether callers are in a section is not known"
		}
		found.Evidence = append(found.Evidence, line)
	}
	if len(found.Evidence) == 0 {
		return
	}
	callers, _ := before.Callers(ch.Orig)
	for _, a := range callers {
		found.Who = append(found.Who, unit.Name(a))
	}
	pass.ReportChange(unit, ch, found)
}
