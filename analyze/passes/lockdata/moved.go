package lockdata

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/klpforge/klpforge/analyze"
	"github.com/klpforge/klpforge/analyze/code"
	"github.com/klpforge/klpforge/analyze/locks"
	"github.com/klpforge/klpforge/analyze/model"
	"github.com/klpforge/klpforge/elfdiff"
	"github.com/klpforge/klpforge/finding"
)

// write is one store to shared memory, with the locks that are held.
type write struct {
	place *locks.Expr
	held  []locks.HeldLock
	at    string
}

// side is what one build of a function does.
type side struct {
	writes map[string][]write // by place
	takes  map[string]bool    // locks that are held at some point, by name
	open   bool               // callers are not all known, or paths are not
}

// sides are both builds of a changed function.
type sides struct {
	pass     *analyze.Pass
	unit     *analyze.Unit
	ch       elfdiff.Change
	had, has *side // nil when the code cannot be followed
}

// leaving is a way in which a write is less guarded than before.
type leaving string

const (
	outside leaving = "writes data outside of the critical section in which old code wrote it: old code that holds the " +
		"lock is not excluded"
	reader leaving = "writes data while it holds the lock for reading, which old code held for writing: readers in old " +
		"code see the change half made"
	object leaving = "writes data under a lock of another object than old code: nothing excludes the two"
)

// report makes a finding of the writes that leave their critical section in one of these
// ways, and returns the places that it names.
func (p *sides) report(ways ...leaving) map[string]bool {
	reported := map[string]bool{}
	if p.had == nil || p.has == nil || p.unit.TypesDiffer() {
		return reported // offsets name what is written: see compare
	}
	out := finding.Finding{ID: finding.IDLockedData, Severity: finding.Error,
		Remedy: "write under the old lock until no old code runs; a later livepatch can do otherwise"}
	for _, place := range slices.Sorted(maps.Keys(p.has.writes)) {
		guards := guarding(p.had.writes[place])
		if len(guards) == 0 {
			continue
		}
		for _, now := range p.has.writes[place] {
			way, held := leaves(guards, now, p.has)
			if !slices.Contains(ways, way) {
				continue
			}
			if out.Message == "" {
				out.Message = string(way)
			}
			reported[place] = true
			out.Evidence = append(out.Evidence, fmt.Sprintf("%s: written under %s before (%s), %s after (%s)", place,
				names(guards), p.had.writes[place][0].at, held, now.at))
			break
		}
	}
	if len(reported) == 0 {
		return reported
	}

	switch {
	case cloned(p.unit, p.ch):
		out.Severity, out.Unknown = finding.Note, true
		out.Evidence = append(out.Evidence, "arguments are numbered anew, so the places may not be the same")
	case p.had.open || p.has.open:
		out.Severity = finding.Warning
		out.Evidence = append(out.Evidence, "callers that are not known may hold a lock that excludes others")
	}
	p.pass.ReportChange(p.unit, p.ch, out)
	return reported
}

// guarding are the locks that all of some writes hold. Those in an object that the
// function made, or that another function returned, guard that object alone: who locks
// what it looked up does so because others find it as well.
func guarding(list []write) []locks.HeldLock {
	if len(list) == 0 {
		return nil
	}
	place := list[0].place
	locked := always(list)
	if place.Shared() {
		return locked
	}
	return slices.DeleteFunc(locked, func(l locks.HeldLock) bool {
		return place.Origin().Op != locks.ExprResult || !inside(l, place)
	})
}

// inside reports whether a lock lies in the object that a place belongs to.
func inside(lock locks.HeldLock, place *locks.Expr) bool {
	its, _ := lock.Name.Base()
	object, _ := place.Base()
	return its.String() == object.String()
}

// leaves says in what way a write is less guarded than by the given locks, and what
// is held instead; "" when it is guarded as well.
func leaves(guards []locks.HeldLock, now write, has *side) (way leaving, held string) {
	for _, lock := range now.held {
		if !lock.Name.Known() {
			return "", "" // it may be any of them
		}
	}
	// Another lock may be held around it, of the whole; the object's own is what counts.
	own := slices.DeleteFunc(slices.Clone(guards), func(g locks.HeldLock) bool { return !inside(g, now.place) })
	if len(own) > 0 && len(own) < len(guards) {
		guards = own
	}
	for _, lock := range now.held {
		for _, guard := range guards {
			if guard.String() == lock.String() && !(lock.Kind.Reads() && !guard.Kind.Reads()) {
				return "", ""
			}
		}
	}
	guarded := func(like func(guard locks.HeldLock) bool) bool { return slices.ContainsFunc(guards, like) }
	switch {
	case slices.ContainsFunc(now.held, func(l locks.HeldLock) bool {
		return guarded(func(g locks.HeldLock) bool { return g.String() == l.String() })
	}):
		return reader, "under it for reading"
	case slices.ContainsFunc(now.held, func(l locks.HeldLock) bool {
		return guarded(func(g locks.HeldLock) bool { return g.Kind.Family() == l.Kind.Family() })
	}):
		return object, "under " + names(now.held)
	case (len(now.held) == 0 || len(own) > 0) && guarded(func(g locks.HeldLock) bool { return has.takes[g.String()] }):
		return outside, instead(now.held)
	}
	return "", "" // of another kind, or none at all any more: see compare
}

func instead(held []locks.HeldLock) string {
	if len(held) == 0 {
		return "under no lock"
	}
	return "under " + names(held) + " alone"
}

// oncePlace reports whether a variable only remembers that a message was printed
// (include/linux/once_lite.h, v6.1).
func oncePlace(place *locks.Expr) bool {
	object, _ := place.Base()
	return object.Op == locks.ExprSymbol && object.Text == "__already_done"
}

// sideOf finds the writes of a function; nil when its code cannot be followed.
func sideOf(obj *code.Object, id model.FuncID) *side {
	events := obj.Events(id)
	if events == nil {
		return nil
	}
	out := &side{writes: map[string][]write{}, takes: map[string]bool{}, open: obj.Open(id) || events.Unknown != 0}
	entry := entryLocks(obj, id)
	for i := range events.List {
		ev := &events.List[i]
		for _, lock := range ev.Held {
			out.takes[lock.String()] = true
		}
		if ev.Kind != locks.EventWrite || ev.Atomic || !ev.Place.Known() || oncePlace(ev.Place) {
			continue
		}
		out.writes[ev.Place.String()] = append(out.writes[ev.Place.String()],
			write{ev.Place, exclusive(slices.Concat(ev.Held, entry)), obj.Place(ev.Site)})
	}
	return out
}

// exclusive leaves out what is no lock to exclude others.
func exclusive(held []locks.HeldLock) []locks.HeldLock {
	return slices.DeleteFunc(slices.Clone(held), func(l locks.HeldLock) bool { return l.Kind == locks.SRCU })
}

// entryLocks are the locks that all callers hold, where all are known.
func entryLocks(obj *code.Object, id model.FuncID) (list []locks.HeldLock) {
	for _, lock := range obj.Flows().Entry(id, obj.Open) {
		if lock.Kind.Context() {
			continue
		}
		if name := obj.Flows().Expr(lock.Path); name != nil {
			list = append(list, locks.HeldLock{Kind: lock.Kind, Name: name})
		}
	}
	return list
}

// always are the locks held at all of some writes, for reading where one of them is.
func always(list []write) []locks.HeldLock {
	if len(list) == 0 {
		return nil
	}
	out := slices.Clone(list[0].held)
	for _, w := range list[1:] {
		out = slices.DeleteFunc(out, func(l locks.HeldLock) bool {
			return !slices.ContainsFunc(w.held, func(h locks.HeldLock) bool {
				return h.Kind == l.Kind && h.String() == l.String()
			})
		})
	}
	return slices.DeleteFunc(out, func(l locks.HeldLock) bool { return !l.Name.Known() })
}

func names(list []locks.HeldLock) string {
	var out []string
	for _, lock := range list {
		out = append(out, lock.String())
	}
	return strings.Join(slices.Compact(out), ", ")
}

// cloned reports whether the compiler chose the parameters of the function.
func cloned(unit *analyze.Unit, ch elfdiff.Change) bool {
	for _, name := range []string{unit.Name(ch.Orig), unit.Diff.Patched.Atoms[ch.Patched].Name} {
		if strings.Contains(name, ".constprop") || strings.Contains(name, ".isra") {
			return true
		}
	}
	return false
}
