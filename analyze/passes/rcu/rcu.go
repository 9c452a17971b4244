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
	return &analyze.Analyzer{Name: "rcu", Doc: analyze.PackageDoc(doc), Checks: analyze.Checks(finding.IDRCU), Run: run}
}

func run(p *analyze.Pass) error {
	for _, u := range p.Units {
		if len(u.Replace) == 0 {
			continue
		}
		before, after, ok := u.Sides()
		if !ok {
			continue // other checks say that the object cannot be decoded
		}
		for _, ch := range u.Replace {
			x, err1 := before.Func(ch.Orig)
			y, err2 := after.Func(ch.Patched)
			if err1 != nil || err2 != nil {
				continue
			}
			for _, kind := range []kfuncs.Grace{kfuncs.GraceRCU, kfuncs.GraceSRCU} {
				if !grace(p, u, ch, reached(before, x), reached(after, y), kind) && !atOnce(p, u, ch, before, after, x, y, kind) {
					fewer(p, u, ch, before, after, x, y, kind)
				}
			}
			readSide(p, u, ch, reads(before, x), reads(after, y), before)
		}
	}
	return nil
}

// reached lists what a function calls within the object and at its edge, with
// the function that makes the call.
func reached(o *code.Object, id model.FuncID) map[string]string {
	out := map[string]string{}
	seen := map[model.FuncID]bool{id: true}
	work := []model.FuncID{id}
	for len(work) > 0 {
		f := work[0]
		work = work[1:]
		for _, c := range o.Model.Calls(f) {
			if c.Target == model.NoFunc {
				continue
			}
			name := o.Model.Func(c.Target).Name
			if _, ok := out[name]; !ok {
				out[name] = o.Place(c.Site)
			}
			if !seen[c.Target] {
				seen[c.Target] = true
				work = append(work, c.Target)
			}
		}
	}
	return out
}

func grace(p *analyze.Pass, u *analyze.Unit, ch elfdiff.Change, old, newer map[string]string, kind kfuncs.Grace) bool {
	had := among(old, kind.Asks)
	if len(had) == 0 || len(among(newer, kind.Asks)) > 0 {
		return false
	}
	f := finding.Finding{ID: finding.IDRCU, Severity: finding.Warning, Message: "no longer waits for a grace period, which old readers may need",
		Remedy: "keep the grace period: old readers may be in the middle of a read-side section until the transition is over"}
	for _, n := range had {
		f.Evidence = append(f.Evidence, fmt.Sprintf("before: calls %s at %s", n, old[n]))
	}
	f.Evidence = append(f.Evidence, "after: nothing of the kind")
	if freed := among(newer, kfuncs.Frees); len(freed) > 0 {
		f.Severity, f.Message = finding.Error, "frees memory at once, without the grace period that old readers rely on"
		for _, n := range freed {
			f.Evidence = append(f.Evidence, fmt.Sprintf("after: calls %s at %s", n, newer[n]))
		}
	}
	f.Who = []string{"readers in the old universe"}
	p.ReportChange(u, ch, f)
	return true
}

// fewer reports a function that itself asks for fewer grace periods than before,
// when it does not leave that to one that it newly calls.
func fewer(p *analyze.Pass, u *analyze.Unit, ch elfdiff.Change, before, after *code.Object, x, y model.FuncID, kind kfuncs.Grace) {
	old, newer := direct(before, x, kind.Asks), direct(after, y, kind.Asks)
	if newer >= old {
		return
	}
	waited := map[string]bool{} // of the functions called before
	for _, c := range before.Model.Calls(x) {
		if c.Target != model.NoFunc && len(among(reached(before, c.Target), kind.Asks)) > 0 {
			waited[before.Model.Func(c.Target).Name] = true
		}
	}
	for _, c := range after.Model.Calls(y) {
		if c.Target != model.NoFunc && !waited[after.Model.Func(c.Target).Name] && len(among(reached(after, c.Target), kind.Asks)) > 0 {
			return
		}
	}
	f := finding.Finding{ID: finding.IDRCU, Severity: finding.Note, Message: "asks for fewer grace periods than before", Who: []string{"readers in the old universe"},
		Evidence: []string{fmt.Sprintf("calls that wait for a grace period or leave freeing to one: %d before, %d after", old, newer)},
		Remedy:   "see that what is freed cannot be reached by old readers"}
	if a, b := direct(before, x, kfuncs.Frees), direct(after, y, kfuncs.Frees); b > a {
		f.Severity, f.Message = finding.Warning, "asks for fewer grace periods than before, and frees more at once"
		f.Evidence = append(f.Evidence, fmt.Sprintf("calls that free at once: %d before, %d after", a, b))
	}
	p.ReportChange(u, ch, f)
}

// direct counts a function's own calls of some functions.
func direct(o *code.Object, id model.FuncID, counts func(name string) bool) int {
	n := 0
	list, _ := o.CallNames(id)
	for _, name := range list {
		if counts(name) {
			n++
		}
	}
	return n
}

// atOnce reports callbacks that old code left to a grace period and that new
// code calls.
func atOnce(p *analyze.Pass, u *analyze.Unit, ch elfdiff.Change, before, after *code.Object, x, y model.FuncID, kind kfuncs.Grace) (found bool) {
	later, now := callbacks(before, x, kind), callbacks(after, y, kind)
	was, _ := before.CallNames(x)
	is, _ := after.CallNames(y)
	for _, name := range slices.Sorted(maps.Keys(later)) {
		if now[name] != (callback{}) || !slices.Contains(is, name) || slices.Contains(was, name) {
			continue
		}
		found = true
		by := later[name]
		p.ReportChange(u, ch, finding.Finding{ID: finding.IDRCU, Severity: finding.Error, Message: "calls at once what old code left to a grace period: old readers still use what it frees",
			Evidence: []string{fmt.Sprintf("before: gives %s to %s at %s", name, by.to, by.place), "after: calls " + name},
			Who:      []string{"readers in the old universe"}, Remedy: "leave it to " + by.to})
	}
	return found
}

// callback is where a function is given to another that calls it after a grace period.
type callback struct{ to, place string }

// callbacks are the functions that a function leaves to a grace period, by name.
func callbacks(o *code.Object, id model.FuncID, kind kfuncs.Grace) map[string]callback {
	out := map[string]callback{}
	for _, r := range o.Model.CodeRefs {
		if r.In != id || r.Call == 0 {
			continue
		}
		for _, c := range o.Model.Calls(id) {
			if c.Site != r.Call || c.Target == model.NoFunc {
				continue
			}
			if to := o.Model.Func(c.Target).Name; kind.Asks(to) && kfuncs.Runs(to, int(r.Arg)) != "" {
				out[o.Model.Func(r.Func).Name] = callback{to, o.Place(c.Site)}
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
func reads(o *code.Object, id model.FuncID) map[string]read {
	flows := o.Flows()
	f := flows.Flow(id)
	if f == nil {
		return nil
	}
	entry := flows.Entry(id, o.Open)
	out := map[string]read{}
	for _, a := range f.Accesses {
		if a.Path.Root != locks.RootGlobal && a.Path.Root != locks.RootArg || len(a.Path.Offs) < 2 || a.Write {
			continue
		}
		name := o.PathName(a.Path)
		r := out[name]
		r.open = o.Open(id)
		section, lock := false, false
		for _, l := range slices.Concat(a.Held, entry) {
			section = section || l.Kind == locks.RCU || l.Kind == locks.SRCU
			lock = lock || !l.Kind.Context() && l.Kind != locks.SRCU
		}
		switch {
		case section && r.inside == "":
			r.inside = o.Place(a.Site)
		case !section && !lock && r.outside == "":
			r.outside = o.Place(a.Site)
		}
		out[name] = r
	}
	return out
}

func readSide(p *analyze.Pass, u *analyze.Unit, ch elfdiff.Change, old, newer map[string]read, before *code.Object) {
	f := finding.Finding{ID: finding.IDRCU, Severity: finding.Warning, Message: "reads outside of a read-side section what old code read inside only: it may be freed meanwhile",
		Remedy: "move the read-side section around the access, or hold a reference"}
	for _, name := range slices.Sorted(maps.Keys(newer)) {
		x, y := old[name], newer[name]
		if x.inside == "" || x.outside != "" || y.outside == "" {
			continue
		}
		line := fmt.Sprintf("%s: inside before (%s), outside after (%s)", name, x.inside, y.outside)
		if y.open {
			f.Unknown = true
			line += "; whether callers are in a section is not known"
		}
		f.Evidence = append(f.Evidence, line)
	}
	if len(f.Evidence) == 0 {
		return
	}
	callers, _ := before.Callers(ch.Orig)
	for _, a := range callers {
		f.Who = append(f.Who, u.Name(a))
	}
	p.ReportChange(u, ch, f)
}
