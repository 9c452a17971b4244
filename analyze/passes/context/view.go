package context

import (
	"slices"

	"github.com/klpforge/klpforge/analyze"
	"github.com/klpforge/klpforge/analyze/code"
	"github.com/klpforge/klpforge/analyze/locks"
	"github.com/klpforge/klpforge/analyze/model"
	"github.com/klpforge/klpforge/analyze/sleeps"
	"github.com/klpforge/klpforge/finding"
)

const mayAnswer = sleeps.May

// view is one side of a change.
type view struct {
	o      *code.Object
	sleeps *sleeps.Result
	kept   *keepers        // where functions of the target are kept; nil when not known
	newly  map[string]bool // functions that sleep now and did not, on the side after the patch
	kernel *locks.Result   // what functions of the kernel do with locks; nil when not known
}

// newView looks at an object alone.
func newView(o *code.Object) *view { return &view{o: o, sleeps: (*analyze.Sleepers)(nil).Object(o)} }

// newViewIn looks at an object of a kernel; known tells of other objects, and kept, which may
// be nil, of the target's program that it is part of.
func newViewIn(k *analyze.Kernel, o *code.Object, known *analyze.Sleepers, kept *keepers) *view {
	return &view{o: o, sleeps: known.Object(o), kept: kept, kernel: k.Locks}
}

// violation is a call that may sleep where that is forbidden.
type violation struct {
	holder  string // the function that forbids it
	at      string // the call
	forbids string
	path    []string // from what it calls to the primitive
	always  bool     // whatever path the callee takes, and on every path to the call
	sure    bool     // it sleeps, or may; else it is not known
	sleeps  bool     // it may sleep, but whether that is forbidden is not known
	why     string
	kernel  bool // found in the kernel, not in the object
	partly  bool // on other paths to the call nothing forbids it
}

func (v *violation) severity() finding.Severity {
	switch {
	case v.sure && v.always:
		return finding.Error
	case v.sure:
		return finding.Warning
	}
	return finding.Note
}

// key is the same in both builds when nothing changed: who forbids, and what
// it calls, whatever the compiler made of its name. That a call sleeps for certain
// is news where it was not known.
func (v *violation) key() string {
	k := code.Name(v.holder) + " " + code.Name(v.path[0]) + " "
	if v.sure {
		k += "sleeps"
	}
	return k
}

// violations lists the calls in the object that may sleep where that is
// forbidden, by address.
func (w *view) violations() ([]violation, error) {
	var out []violation
	flows := w.o.Flows()
	for i := range w.o.Model.Funcs {
		id := w.o.ID(i)
		flow := flows.Flow(id)
		if flow == nil {
			continue
		}
		name := w.o.Model.Func(id).Name
		entry, err := w.entry(id)
		if err != nil {
			return nil, err
		}
		// A call that is also reached with nothing that forbids sleeping: the other
		// ways may be ones that cannot be taken.
		free := map[uint64]bool{}
		for _, c := range flow.Calls {
			if w.forbids(c, entry) == "" {
				free[c.Site] = true
			}
		}
		for _, call := range flow.Calls {
			word := w.forbids(call, entry)
			if word == "" {
				continue
			}
			found, ok := w.violation(call)
			if ok && !found.sure && word == entry && w.sleeps.Site(call.Site) == sleeps.Unknown {
				continue // what runs in softirqs calls through pointers everywhere: no news
			}
			if ok {
				found.holder, found.at, found.forbids = name, w.o.Place(call.Site), word
				if found.partly = free[call.Site]; found.partly {
					found.always = false
					found.sleeps = found.sure && !slices.ContainsFunc(call.Held, known)
					found.sure = found.sure && !found.sleeps
					found.why = "on other paths to this call nothing forbids it"
				}
				out = append(out, found)
			}
		}
	}
	return out, nil
}

// known reports whether a lock that forbids sleeping has an identity. The CPU's
// state has none, and goes with spinlocks.
func known(l locks.Lock) bool {
	return sleeps.Forbids(l.Kind) && !l.Kind.Context() && l.Path.Known()
}

// forbids says why sleeping is forbidden during a call, in names that compare.
func (w *view) forbids(call locks.CallAt, entry string) string {
	var held []locks.Lock
	for _, l := range call.Held {
		if !w.gives(call.Callee, l.Kind) {
			held = append(held, l)
		}
	}
	if word := forbids(held, w.o.LockName); word != "" || len(held) < len(call.Held) {
		return word
	}
	return entry
}

// gives reports whether a callee gives back a lock of the kind for a while, or
// for good, itself or by a function of the kernel on the way to what makes it sleep.
func (w *view) gives(id model.FuncID, kind locks.Kind) bool {
	if id == model.NoFunc {
		return false
	}
	if givesBack(w.o.Flows().Result.Effect(id), kind) {
		return true
	}
	if w.kernel == nil {
		return false
	}
	for _, name := range append([]string{w.o.Model.Func(id).Name}, w.sleeps.Chain(id)...) {
		ids := w.kernel.Model.Lookup(name)
		if len(ids) == 1 && givesBack(w.kernel.Effect(ids[0]), kind) {
			return true
		}
	}
	return false
}

func givesBack(effect *locks.Effect, kind locks.Kind) bool {
	for i := range effect.Outcomes {
		outcome := &effect.Outcomes[i]
		if slices.ContainsFunc(outcome.Changes, func(c locks.Change) bool { return c.Kind == kind && c.Delta < 0 }) ||
			slices.ContainsFunc(outcome.Dropped, func(d locks.Drop) bool { return d.Kind == kind }) {
			return true
		}
	}
	return false
}

// violation says whether and how a call sleeps.
func (w *view) violation(call locks.CallAt) (violation, bool) {
	answer := w.sleeps.Site(call.Site)
	if answer == sleeps.Never || call.Callee == model.NoFunc {
		return violation{}, false // calls through pointers are everywhere: no news
	}
	fact := w.sleeps.Fact(call.Callee)
	found := violation{path: append([]string{w.o.Model.Func(call.Callee).Name}, w.sleeps.Chain(call.Callee)...),
		why: fact.Why}
	switch {
	case answer == sleeps.May && fact.Answer == sleeps.May && !fact.Always && w.sleeps.Borrowed(call.Callee):
		found.why = "some path in the rest of the kernel sleeps, which need not be taken here"
	case answer == sleeps.May:
		found.sure, found.why = true, ""
		// Flags that allow it make an allocation sleep whatever its path.
		found.always = fact.Always || w.sleeps.Flagged(call.Site)
		if w.sleeps.Flagged(call.Site) {
			found.why = "the flags given allow it"
		}
	}
	return found, true
}
