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
	live := &livepatch{globals: map[string]node{}}
	for _, au := range units {
		obj, err := au.After()
		if err != nil {
			continue // other checks say that the object cannot be decoded
		}
		object := &unit{Unit: au, o: obj, replaced: map[model.FuncID]elfdiff.Change{},
			fresh: map[model.FuncID]elfdiff.Change{}}
		for _, ch := range au.Replace {
			if ch.Patched >= 0 {
				if id, err := obj.Func(ch.Patched); err == nil {
					object.replaced[id] = ch
				}
			}
		}
		for _, ch := range au.Diff.Functions {
			if ch.Kind != elfdiff.New || ch.Init {
				continue
			}
			if id, err := obj.Func(ch.Patched); err == nil {
				object.fresh[id] = ch
				if !obj.Atoms.Local(ch.Patched) {
					live.globals[ch.Name] = node{object, id}
				}
			}
		}
		if len(object.replaced)+len(object.fresh) == 0 {
			continue
		}
		object.protect()
		live.units = append(live.units, object)
	}
	return live
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
	mod := u.o.Model
	for _, set := range []map[model.FuncID]elfdiff.Change{u.replaced, u.fresh} {
		for id, ch := range set {
			called := false
			for range mod.Callers(id) {
				called = true
			}
			if called && u.o.Atoms.Local(ch.Patched) && !mod.AddressTaken(id) {
				u.protected[id] = true
			}
		}
	}
	for changed := true; changed; {
		changed = false
		for id := range u.protected {
			for c := range mod.Callers(id) {
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
func (l *livepatch) callee(object *unit, call *model.Call) (node, bool) {
	if call.Target == model.NoFunc {
		return node{}, false
	}
	if object.travels(call.Target) {
		return node{object, call.Target}, true
	}
	f := object.o.Model.Func(call.Target)
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
		reached := found[n]
		if reached == nil {
			reached = &helper{unit: n.u, change: ch, from: map[string]bool{}}
			found[n] = reached
			out = append(out, reached)
		}
		return reached
	}

	// From each replaced function: calls that leave no return address for the stack check to
	// find, and functions of the patch that it hands to others.
	for _, object := range l.units {
		for i := range object.o.Model.Funcs {
			id := object.o.ID(i)
			if _, replaced := object.replaced[id]; !replaced || object.protected[id] {
				continue
			}
			calls := object.o.Model.Calls(id)
			for i := range calls {
				c := &calls[i]
				to, own := l.callee(object, c)
				if change, helper := to.u.helper(to.id); own && helper && !object.seen(c) {
					l.follow(of(to, change), &step{u: object, call: c})
				}
			}
			for to, c := range object.handed(id) {
				l.follow(of(to, object.fresh[to.id]), &step{u: object, call: c, to: to})
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
func (l *livepatch) follow(reached *helper, first *step) {
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
		path := todo[0]
		to, own := l.next(path)
		switch {
		case !own && path.below:
			reached.add(path, from)
		case own && !seen[state{to, path.below}]:
			seen[state{to, path.below}] = true
			if _, replaced := to.u.replaced[to.id]; replaced && !path.below {
				break // it is looked at by itself
			}
			calls := to.u.o.Model.Calls(to.id)
			for i := range calls {
				if next := &calls[i]; !to.u.seen(next) {
					todo = append(todo, &step{u: to.u, call: next, prev: path, below: path.below ||
						!next.Kind.IsTail()})
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

// path names the functions from the one that is not seen on to what sleeps.
func (s *step) path() string {
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
