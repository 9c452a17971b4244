package lockorder

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/klpforge/klpforge/analyze"
	"github.com/klpforge/klpforge/analyze/code"
	"github.com/klpforge/klpforge/analyze/locks"
	"github.com/klpforge/klpforge/analyze/model"
	"github.com/klpforge/klpforge/elfdiff"
	"github.com/klpforge/klpforge/finding"
)

// Two locks of one kind are commonly taken in the order of their addresses, or of
// numbers that choose them from a table. Names do not tell such an order: either
// lock may come first. What tells it is the comparison of the two values, and
// which of them names the lock that is taken first: that of the smaller, or that
// of the greater one.

// ranked is by which values a function orders two locks.
type ranked struct {
	kind        locks.Kind // family
	left, right string     // compared, in the order of their names
}

// rank is which of the two locks comes first, and where.
type rank struct {
	smaller, greater string // sites
}

// compared reports functions that order two locks of one kind by a comparison, and do
// so the other way round than before.
func compared(pass *analyze.Pass, unit *analyze.Unit, before, after *code.Object) {
	for _, ch := range unit.Replace {
		oldFn, newFn, err := code.Both(before, after, ch)
		if err != nil {
			continue
		}
		was, oldKnown := ranks(before, oldFn)
		is, newKnown := ranks(after, newFn)
		for _, by := range slices.SortedFunc(maps.Keys(is), compareRanked) {
			had, has := was[by], is[by]
			turned := had.smaller != "" && had.greater == "" && has.greater != "" && has.smaller == "" ||
				had.greater != "" && had.smaller == "" && has.smaller != "" && has.greater == ""
			if !turned {
				continue
			}
			out := finding.Finding{ID: finding.IDLockOrder, Severity: finding.Warning, Unknown: true,
				Message: "takes two locks of one kind in the reverse order of what is compared: during the transition an " +
					"old and a new task wait for each other for ever",
				Evidence: []string{fmt.Sprintf("%s locks, by %s and %s", by.kind, by.left, by.right),
					"before: " + had.String(), "after: " + has.String()},
				Remedy: "keep the old order, or go in two steps with a livepatch between that takes neither lock under the other"}
			if oldKnown && newKnown && !argsMoved(unit, ch) {
				out.Severity, out.Unknown = finding.Error, false
			}
			pass.ReportChange(unit, ch, out)
		}
	}
}

func (r rank) String() string {
	if r.smaller != "" {
		return "that of the smaller one first, at " + r.smaller
	}
	return "that of the greater one first, at " + r.greater
}

func compareRanked(a, b ranked) int {
	return cmp.Or(cmp.Compare(a.kind, b.kind), cmp.Compare(a.left, b.left), cmp.Compare(a.right, b.right))
}

// ranks finds the comparisons by which a function orders its locks; known is false
// when not all of its paths could be told apart.
func ranks(obj *code.Object, id model.FuncID) (found map[ranked]rank, known bool) {
	events := obj.Events(id)
	if events == nil {
		return nil, false
	}
	found = map[ranked]rank{}
	nested := map[uint64]locks.Kind{} // sites at which another lock of the kind is held
	for i := range events.List {
		ev := &events.List[i]
		if ev.Kind == locks.EventTake && holdsKind(ev) {
			nested[ev.Site] = ev.Lock.Kind.Family()
		}
	}
	for i := range events.List {
		first := &events.List[i]
		if first.Kind != locks.EventTake || holdsKind(first) || !followed(events, first, nested) {
			continue
		}
		for _, order := range orderings(first) {
			entry := found[order.ranked]
			if order.smaller {
				entry.smaller = cmp.Or(entry.smaller, obj.Place(first.Site))
			} else {
				entry.greater = cmp.Or(entry.greater, obj.Place(first.Site))
			}
			found[order.ranked] = entry
		}
	}
	return found, events.Unknown == 0
}

// holdsKind reports whether another lock of the same kind is held where one is taken.
func holdsKind(ev *locks.Event) bool {
	return slices.ContainsFunc(ev.Held, func(l locks.HeldLock) bool { return l.Kind.Family() == ev.Lock.Kind.Family() })
}

// followed reports whether a second lock of the kind may be taken elsewhere while the first
// is held.
func followed(events *locks.Events, first *locks.Event, nested map[uint64]locks.Kind) bool {
	return slices.ContainsFunc(events.List, func(second locks.Event) bool {
		return second.Kind == locks.EventTake && second.Site != first.Site &&
			nested[second.Site] == first.Lock.Kind.Family() &&
			events.Before(first, &second)
	})
}

// ordering says that a lock is that of the smaller or of the greater of two values.
type ordering struct {
	ranked
	smaller bool
}

// orderings finds what is compared where a lock is taken: by a branch on the way, or
// in the lock's name, where the smaller or greater of two is chosen without one.
func orderings(take *locks.Event) (list []ordering) {
	add := func(a, b *locks.Expr, smaller bool) {
		left, right := a.String(), b.String()
		list = append(list, ordering{ranked{take.Lock.Kind.Family(), min(left, right), max(left, right)}, smaller})
	}
	for _, cond := range take.Compared {
		less, more := bare(cond.Less), bare(cond.More)
		if !less.Known() || !more.Known() {
			continue
		}
		ofLess, ofMore := belongs(take.Lock.Name, less), belongs(take.Lock.Name, more)
		if ofLess != ofMore {
			add(less, more, ofLess)
		}
	}
	var look func(e *locks.Expr)
	look = func(e *locks.Expr) {
		if e.Op == locks.ExprCompute && len(e.Args) == 2 && (e.Text == "min" || e.Text == "max") {
			add(bare(e.Args[0]), bare(e.Args[1]), e.Text == "min")
			return
		}
		for _, arg := range e.Args {
			look(arg)
		}
	}
	look(take.Lock.Name)
	return list
}

// belongs reports whether a value names a lock, or is a member of the object that the
// lock lies in.
func belongs(lock, value *locks.Expr) bool {
	if value.Op == locks.ExprLoad {
		object, _ := value.Args[0].Base()
		return lock.Contains(value) || lock.Contains(object)
	}
	return lock.Contains(value)
}

// bare leaves out that only some bytes of a value are compared.
func bare(e *locks.Expr) *locks.Expr {
	for e.Op == locks.ExprLow {
		e = e.Args[0]
	}
	return e
}

// argsMoved reports whether the compiler numbers the arguments anew.
func argsMoved(unit *analyze.Unit, ch elfdiff.Change) bool {
	return unit.Name(ch.Orig) != unit.Diff.Patched.Atoms[ch.Patched].Name
}
