package unseen

import (
	"iter"
	"slices"
	"strings"

	"github.com/klpforge/klpforge/analyze"
	"github.com/klpforge/klpforge/analyze/code"
	"github.com/klpforge/klpforge/analyze/kfuncs"
	"github.com/klpforge/klpforge/analyze/model"
	"github.com/klpforge/klpforge/analyze/sleeps"
	"github.com/klpforge/klpforge/elfdiff"
)

// livepatch is the code that travels, of all units.
type livepatch struct {
	units   []*unit
	globals map[string]node // new functions that other units can call
}

// unit is one object file after the patch.
type unit struct {
	*analyze.Unit
	o         *code.Object
	facts     *sleeps.Result                  // see sleeps
	sleepers  *analyze.Sleepers               // nil: only the object is known
	replaced  map[model.FuncID]elfdiff.Change // what the stack check looks for
	fresh     map[model.FuncID]elfdiff.Change // what travels without
	protected map[model.FuncID]bool           // always run below a replaced function that is seen
}

// node is a function of the livepatch.
type node struct {
	u  *unit
	id model.FuncID
}

func newLivepatch(units []*analyze.Unit) *livepatch {
	l := &livepatch{globals: map[string]node{}}
	for _, au := range units {
		o, err := au.After()
		if err != nil {
			continue // other checks say that the object cannot be decoded
		}
		u := &unit{Unit: au, o: o, replaced: map[model.FuncID]elfdiff.Change{}, fresh: map[model.FuncID]elfdiff.Change{}}
		for _, ch := range au.Replace {
			if ch.Patched >= 0 {
				if id, err := o.Func(ch.Patched); err == nil {
					u.replaced[id] = ch
				}
			}
		}
		for _, ch := range au.Diff.Functions {
			if ch.Kind != elfdiff.New || ch.Init {
				continue
			}
			if id, err := o.Func(ch.Patched); err == nil {
				u.fresh[id] = ch
				if !o.Atoms.Local(ch.Patched) {
					l.globals[ch.Name] = node{u, id}
				}
			}
		}
		if len(u.replaced)+len(u.fresh) == 0 {
			continue
		}
		u.protect()
		l.units = append(l.units, u)
	}
	return l
}

// ask lets a kernel tell of what the objects that were looked at do not know.
func (l *livepatch) ask(k *analyze.Kernel) {
	for _, u := range l.units {
		if u.facts != nil {
			u.sleepers, u.facts = k.Sleepers(u.Owner), nil
		}
	}
}

// sleeps tells which functions of the object may sleep.
func (u *unit) sleeps() *sleeps.Result {
	if u.facts == nil {
		u.facts = u.sleepers.Object(u.o)
	}
	return u.facts
}

// seen reports whether a call leaves a return address on the stack that the stack
// check looks for. Those from a function's cold part do too: elfdiff puts it right
// behind the function.
func (u *unit) seen(c *model.Call) bool {
	_, replaced := u.replaced[c.Caller]
	return replaced && !c.Kind.IsTail()
}

// protect finds the functions of the object that nothing but the livepatch calls,
// and always from below a replaced function that is seen. All are taken to be
// such until a call says otherwise.
func (u *unit) protect() {
	u.protected = map[model.FuncID]bool{}
	m := u.o.Model
	for _, set := range []map[model.FuncID]elfdiff.Change{u.replaced, u.fresh} {
		for id, ch := range set {
			called := false
			for range m.Callers(id) {
				called = true
			}
			if called && u.o.Atoms.Local(ch.Patched) && !m.AddressTaken(id) {
				u.protected[id] = true
			}
		}
	}
	for changed := true; changed; {
		changed = false
		for id := range u.protected {
			for c := range m.Callers(id) {
				if !u.seen(c) && !u.protected[c.Caller] {
					delete(u.protected, id)
					changed = true
					break
				}
			}
		}
	}
}

// callee is the function of the livepatch that a call leads to, if any.
func (l *livepatch) callee(u *unit, c *model.Call) (node, bool) {
	if c.Target == model.NoFunc {
		return node{}, false
	}
	if u.travels(c.Target) {
		return node{u, c.Target}, true
	}
	f := u.o.Model.Func(c.Target)
	if f.Flags&model.FuncExtern == 0 {
		return node{}, false
	}
	n, ok := l.globals[f.Name]
	return n, ok
}

func (u *unit) travels(id model.FuncID) bool {
	_, replaced := u.replaced[id]
	_, fresh := u.fresh[id]
	return replaced || fresh
}

// search looks at each way out of a replaced function on which it is not seen: a
// jump to a new function.
func (l *livepatch) search() []*helper {
	found := map[node]*helper{}
	var out []*helper
	of := func(n node, ch elfdiff.Change) *helper {
		f := found[n]
		if f == nil {
			f = &helper{unit: n.u, change: ch, from: map[string]bool{}}
			found[n] = f
			out = append(out, f)
		}
		return f
	}
	for _, u := range l.units {
		for i := range u.o.Model.Funcs {
			id := u.o.ID(i)
			if _, replaced := u.replaced[id]; !replaced || u.protected[id] {
				continue
			}
			calls := u.o.Model.Calls(id)
			for i := range calls {
				c := &calls[i]
				to, own := l.callee(u, c)
				if change, helper := to.u.helper(to.id); own && helper && !u.seen(c) {
					l.follow(of(to, change), &step{u: u, call: c})
				}
			}
			for to, c := range u.handed(id) {
				l.follow(of(to, u.fresh[to.id]), &step{u: u, call: c, to: to})
			}
		}
	}
	return out
}

// handed yields the new functions that a function gives to one that it jumps to and
// that calls them at once, with that jump.
func (u *unit) handed(id model.FuncID) iter.Seq2[node, *model.Call] {
	names := map[string]model.FuncID{}
	for f := range u.fresh {
		names[u.o.Model.Func(f).Name] = f
	}
	return func(yield func(node, *model.Call) bool) {
		if len(names) == 0 {
			return
		}
		calls := u.o.Model.Calls(id)
		for _, e := range u.o.Escapes(id, func(name string) bool { _, ok := names[name]; return ok }) {
			i := slices.IndexFunc(calls, func(c model.Call) bool { return c.Site == e.Call })
			if e.Fate != code.Given || i < 0 || !calls[i].Kind.IsTail() || !kfuncs.Over(e.To) {
				continue
			}
			if !yield(node{u, names[e.Of]}, &calls[i]) {
				return
			}
		}
	}
}

// helper returns the change that brings a new function.
func (u *unit) helper(id model.FuncID) (elfdiff.Change, bool) {
	if u == nil {
		return elfdiff.Change{}, false
	}
	ch, ok := u.fresh[id]
	return ch, ok
}

// step is a call on the way: into a function of the livepatch, or out of it.
type step struct {
	u    *unit
	call *model.Call
	prev *step
	to   node // what the function called then calls by its address, if any
	// below: code of the livepatch that is not seen returns after the call.
	below bool
}

// next is the function of the livepatch that a step leads to, if any.
func (l *livepatch) next(s *step) (node, bool) {
	if s.to.u != nil {
		return s.to, true
	}
	return l.callee(s.u, s.call)
}

// follow looks at everything that runs from a step on without a replaced function
// on the stack that is seen, and notes where it may sleep.
func (l *livepatch) follow(f *helper, first *step) {
	type state struct {
		node
		below bool
	}
	from := first.u.o.Model.Func(first.call.Caller).Name
	if first.to.u != nil {
		from += " (by way of " + first.u.o.Model.Func(first.call.Target).Name + ")"
	}
	seen := map[state]bool{}
	for todo := []*step{first}; len(todo) > 0; todo = todo[1:] {
		s := todo[0]
		to, own := l.next(s)
		switch {
		case !own && s.below:
			f.add(s, from)
		case own && !seen[state{to, s.below}]:
			seen[state{to, s.below}] = true
			if _, replaced := to.u.replaced[to.id]; replaced && !s.below {
				break // it is looked at by itself
			}
			calls := to.u.o.Model.Calls(to.id)
			for i := range calls {
				if next := &calls[i]; !to.u.seen(next) {
					todo = append(todo, &step{u: to.u, call: next, prev: s, below: s.below || !next.Kind.IsTail()})
				}
			}
		}
	}
}

// answer says whether a call out of the livepatch may sleep. Where flags or a
// function decide that are given to the code that calls, those who call that code know.
func (s *step) answer() sleeps.Answer {
	if t := s.call.Target; t != model.NoFunc && s.u.o.Model.Func(t).Flags&model.FuncNoReturn != 0 {
		return sleeps.Never // nothing returns to the livepatch
	}
	for ; ; s = s.prev {
		a := s.u.sleeps().Site(s.call.Site)
		if a != sleeps.Flags && a != sleeps.Given || s.prev == nil {
			return a
		}
	}
}

// way names the functions from the one that is not seen on to what sleeps.
func (s *step) way() string {
	var names []string
	if s.call.Target == model.NoFunc {
		names = append(names, "a function through a pointer")
	} else {
		name := s.u.o.Model.Func(s.call.Target).Name
		names = append(append(names, name), s.u.sleeps().Chain(s.call.Target)...)
		names = append(names, s.u.sleepers.Chain(names[len(names)-1])...)
	}
	at := s.u.o.Place(s.call.Site)
	for ; s != nil; s = s.prev {
		if s.to.u != nil {
			names = append([]string{s.u.o.Model.Func(s.call.Target).Name}, names...)
		}
		names = append([]string{s.u.o.Model.Func(s.call.Caller).Name}, names...)
	}
	return at + ": " + strings.Join(slices.Compact(names), " → ")
}
