package lockdata

import (
	_ "embed"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/klpforge/klpforge/analyze"
	"github.com/klpforge/klpforge/analyze/code"
	"github.com/klpforge/klpforge/analyze/locks"
	"github.com/klpforge/klpforge/analyze/model"
	"github.com/klpforge/klpforge/elfdiff"
	"github.com/klpforge/klpforge/finding"
)

//go:embed doc.go
var doc string

// New makes the analyzer.
func New() *analyze.Analyzer {
	return &analyze.Analyzer{Code: true, Name: "lockdata", Doc: analyze.PackageDoc(doc),
		Checks: analyze.Checks(finding.IDLockedData), Run: run}
}

// guard is what is known of one piece of data in one function.
type guard struct {
	locks []string // held at every access; sorted
	write bool
	at    string // an access
	known bool   // all callers, too
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
			if x, y, err := code.Both(before, after, ch); err == nil {
				pair := sides{pass, unit, ch, sideOf(before, x), sideOf(after, y)}
				told := pair.report(outside, reader)
				old, newer := guards(before, x), guards(after, y)
				maps.DeleteFunc(newer, func(place string, _ guard) bool { return told[place] })
				if !compare(pass, unit, ch, old, newer, before) && len(pair.report(object)) == 0 && len(told) == 0 {
					exchanged(pass, unit, ch, held(before, x), held(after, y))
				}
			}
		}
	}
	return nil
}

func compare(pass *analyze.Pass, unit *analyze.Unit, ch elfdiff.Change, old, newer map[string]guard,
	before *code.Object) (found bool) {
	// Another lock excludes nothing; no lock at all may be meant so.
	changed := finding.Finding{ID: finding.IDLockedData, Severity: finding.Warning,
		Remedy: "hold the old lock as well until no old code runs; a later livepatch can drop it"}
	gone := finding.Finding{ID: finding.IDLockedData, Severity: finding.Note, Unknown: true,
		Message: "data that was used under a lock now is not; whether something else excludes old code is not known",
		Remedy:  "see what keeps old code, which holds the lock, and new code, which does not, apart"}
	moves := unit.TypesDiffer()
	for _, data := range slices.Sorted(maps.Keys(newer)) {
		had, ok := old[data]
		after := newer[data]
		if !ok || len(had.locks) == 0 || common(had.locks, after.locks) ||
			moves && (len(after.locks) == 0 || common(anywhere(had.locks), anywhere(after.locks))) {
			continue
		}
		who, written := others(unit, before, data, had.locks)
		if !had.write && !after.write && !written {
			continue
		}
		line := fmt.Sprintf("%s: under %s before (%s), under %s after (%s)", data, strings.Join(had.locks, ", "),
			had.at, strings.Join(after.locks, ", "), after.at)
		if len(after.locks) == 0 {
			gone.Evidence = append(gone.Evidence, strings.Replace(line, "under  after", "under no lock after", 1))
			continue
		}
		changed.Evidence = append(changed.Evidence, line)
		if had.known && after.known {
			changed.Severity = finding.Error
		}
		for _, name := range who {
			if !slices.Contains(changed.Who, name) {
				changed.Who = append(changed.Who, name)
			}
		}
	}

	// Offsets name the data, so they say nothing where layouts change as well.
	if len(changed.Evidence) > 0 && moves {
		changed.Severity, changed.Unknown, changed.Who = finding.Note, true, nil
		changed.Message = "uses data at other offsets, or under another lock, than old code; which of the two is not " +
			"known, because layouts of types change (KLP208)"
		pass.ReportChange(unit, ch, changed)
	} else if len(changed.Evidence) > 0 {
		changed.Message = "uses data under another lock than old code: during the transition nothing excludes the two"
		if len(changed.Who) > 0 {
			changed.Message = "uses data under another lock than old code and than code that stays: nothing excludes " +
				"them, during the transition and after it"
		}
		if changed.Severity == finding.Warning {
			changed.Evidence = append(changed.Evidence, "callers that are not known may hold a lock that excludes them")
		}
		pass.ReportChange(unit, ch, changed)
	}

	if len(gone.Evidence) > 0 {
		pass.ReportChange(unit, ch, gone)
	}
	return len(changed.Evidence)+len(gone.Evidence) > 0
}

var offset = regexp.MustCompile(`([+-])0x[0-9a-f]+`)

// anywhere takes the offsets out of names of locks: members of types move.
func anywhere(list []string) []string {
	out := make([]string, len(list))
	for i, name := range list {
		out[i] = offset.ReplaceAllString(name, "")
	}
	return out
}

// exchanged notes that a function holds other locks than before, where no data
// could be matched with them.
func exchanged(pass *analyze.Pass, unit *analyze.Unit, ch elfdiff.Change, old, newer []string) {
	missing := func(a, b []string) (out []string) {
		for _, s := range a {
			if !slices.Contains(b, s) {
				out = append(out, s)
			}
		}
		return out
	}
	if unit.TypesDiffer() {
		old, newer = anywhere(old), anywhere(newer)
	}
	gone, fresh := missing(old, newer), missing(newer, old)
	if len(gone) == 0 || len(fresh) == 0 {
		return
	}
	pass.ReportChange(unit, ch, finding.Finding{ID: finding.IDLockedData, Severity: finding.Note, Unknown: true,
		Message:  "holds other locks than before; which data they guard could not be followed",
		Evidence: []string{"only before: " + strings.Join(gone, ", "), "only after: " + strings.Join(fresh, ", ")},
		Remedy:   "see whether old and new code use the same data under these locks"})
}

// held names the locks that a function holds at some call.
func held(obj *code.Object, id model.FuncID) []string {
	f := obj.Flows().Flow(id)
	if f == nil {
		return nil
	}
	var out []string
	for _, c := range f.Calls {
		for _, l := range c.Held {
			if !l.Kind.Context() && l.Kind != locks.SRCU {
				l.Kind = l.Kind.Family()
				out = append(out, obj.LockName(l))
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func common(a, b []string) bool {
	return slices.ContainsFunc(a, func(s string) bool { return slices.Contains(b, s) })
}

// guards finds the data that a function uses, by name.
func guards(obj *code.Object, id model.FuncID) map[string]guard {
	flows := obj.Flows()
	flow := flows.Flow(id)
	if flow == nil {
		return nil
	}
	entry := flows.Entry(id, obj.Open)
	open := obj.Open(id)
	out := map[string]guard{}
	for _, access := range flow.Accesses {
		if access.Path.Root != locks.RootGlobal && access.Path.Root != locks.RootArg || constant(obj, access.Path) {
			continue
		}
		all := slices.Concat(access.Held, entry)
		held := lockNames(obj, all)
		// Who locks for writing writes, if only through a pointer that is not followed.
		write := access.Write || slices.ContainsFunc(all, func(l locks.Lock) bool {
			return l.Kind == locks.WriteLock || l.Kind == locks.RwsemWrite || l.Kind == locks.PercpuRwsemWrite
		})
		data := obj.PathName(access.Path)
		merged, ok := out[data]
		if !ok {
			out[data] = guard{locks: held, write: write, at: obj.Place(access.Site), known: !open && flow.Unknown == 0}
			continue
		}
		merged.locks = slices.DeleteFunc(merged.locks, func(s string) bool { return !slices.Contains(held, s) })
		merged.write = merged.write || write
		out[data] = merged
	}
	return out
}

// constant reports whether an access is to what nothing changes.
func constant(o *code.Object, p locks.Path) bool {
	if p.Root != locks.RootGlobal {
		return false
	}
	s, ok := o.Model.Prog.SegmentAt(p.Addr)
	if _, fixed := elfdiff.WriteProtected(s.Name); fixed {
		return ok
	}
	return ok && (s.Exec || s.Name == "__bug_table" || strings.HasPrefix(s.Name, ".data.once"))
}

// lockNames names the locks that exclude others.
func lockNames(obj *code.Object, held []locks.Lock) []string {
	var out []string
	for _, l := range held {
		if l.Kind.Context() || l.Kind == locks.SRCU || !l.Path.Known() {
			continue
		}
		l.Kind = l.Kind.Family()
		out = append(out, obj.LockName(l))
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// others lists the unpatched functions that use a global variable under one of
// the locks, and says whether one of them writes it.
func others(unit *analyze.Unit, obj *code.Object, data string, under []string) (out []string, written bool) {
	if strings.HasPrefix(data, "arg") || strings.HasPrefix(data, "*") {
		return nil, false // means something else in each function
	}
	for i := range obj.Model.Funcs {
		name := obj.Model.Funcs[i].Name
		if slices.ContainsFunc(unit.Replace, func(ch elfdiff.Change) bool { return ch.Name == name }) {
			continue
		}
		if g, ok := guards(obj, obj.ID(i))[data]; ok && common(g.locks, under) {
			out = append(out, name)
			written = written || g.write
		}
	}
	return out, written
}
