package sleeps

import (
	"slices"
	"strings"

	"github.com/klpforge/klpforge/analyze/locks"
	"github.com/klpforge/klpforge/analyze/model"
)

// findAtomic finds the calls of what is not known that a function makes while
// it forbids sleeping itself: whatever is called there, the kernel is broken
// already if that sleeps, so it does not make the function sleep. It reports
// whether there are any.
//
// This needs that every path to the call holds a spinlock or rwlock that the
// function has taken, is in a read-side section of RCU that it has begun, or
// has turned interrupts, bottom halves or preemption off. A callee that gives
// the lock back meanwhile, or of whose locks not all is known, does not count;
// a call through a pointer is taken to leave locks as they are, as package
// locks does.
func (a *analysis) findAtomic() bool {
	if a.o.Flows == nil {
		return false
	}

	// Only functions with calls that may sleep, as far as is known, are of interest.
	sites := map[uint64]bool{}
	var ids []model.FuncID
	for _, id := range a.open() {
		count := len(sites)
		for _, c := range a.m.Calls(id) {
			if a.r.sites[c.Site] >= Unknown {
				sites[c.Site] = true
			}
		}
		if len(sites) > count && a.touches(id) {
			ids = append(ids, id)
		}
	}

	// A call counts as atomic if all paths to it hold such a lock.
	flows := a.o.Flows(ids...)
	for _, id := range ids {
		flow := flows.Flow(id)
		if flow == nil || flow.Unknown != 0 {
			continue
		}
		free := map[uint64]bool{}
		seen := map[uint64]bool{}
		for _, call := range flow.Calls {
			if !sites[call.Site] {
				continue
			}
			seen[call.Site] = true
			if !slices.ContainsFunc(call.Held, func(l locks.Lock) bool {
				return Forbids(l.Kind) &&
					keepsLock(flows.Result, call.Callee, l.Kind)
			}) {
				free[call.Site] = true
			}
		}

		for site := range seen {
			if !free[site] {
				a.atomic[site] = true
			}
		}
	}
	return len(a.atomic) > 0
}

// open lists the functions that call what is not known.
func (a *analysis) open() []model.FuncID {
	var out []model.FuncID
	for i := range a.m.Funcs {
		if !a.given[i] && a.r.facts[i].Open {
			out = append(out, model.FuncID(i))
		}
	}
	return out
}

// touches reports whether a function may begin a section in which sleeping is
// forbidden. It goes by names, to save time; what it misses stays unknown.
func (a *analysis) touches(id model.FuncID) bool {
	if a.m.Func(id).Flags&model.FuncContext != 0 {
		return true
	}
	for _, c := range a.m.Calls(id) {
		if c.Kind == model.CallParavirt { // interrupts
			return true
		}
		if c.Target != model.NoFunc {
			name := a.m.Func(c.Target).Name
			for _, word := range []string{"lock", "rcu", "local_bh", "preempt"} {
				if strings.Contains(name, word) {
					return true
				}
			}
		}
	}
	return false
}

// Forbids reports whether holding a lock of a kind forbids sleeping.
func Forbids(k locks.Kind) bool {
	switch k {
	case locks.Spin, locks.ReadLock, locks.WriteLock, locks.IRQ, locks.BH, locks.Preempt, locks.RCU:
		return true
	}
	return false
}

// keepsLock reports whether a callee surely leaves a held lock alone.
func keepsLock(r *locks.Result, id model.FuncID, kind locks.Kind) bool {
	if id == model.NoFunc {
		return true
	}
	e := r.Effect(id)
	if e.Unknown != 0 {
		return false
	}
	for i := range e.Outcomes {
		o := &e.Outcomes[i]
		if slices.ContainsFunc(o.Changes, func(c locks.Change) bool { return c.Kind == kind && c.Delta < 0 }) ||
			slices.ContainsFunc(o.Dropped, func(d locks.Drop) bool { return d.Kind == kind }) {
			return false
		}
	}
	return true
}
