package join

import (
	"slices"
	"strings"

	"github.com/klpforge/klpforge/analyze/model"
	"github.com/klpforge/klpforge/plan"
)

// shippedCallers is who calls a function in linked code.
type shippedCallers struct {
	callers  []Caller
	pointers []string // what holds its address, by name
	complete bool     // no other caller exists, but through the pointers
}

// shippedCallers looks at the code of the function's owner, and when the function is
// exported, at that of every module which refers to it.
func (d *decider) shippedCallers(callee Func) (*shippedCallers, error) {
	owner, name := callee.Unit.Owner, callee.Unit.Name(callee.Orig)
	linked := d.Shipped.Code(owner)
	if linked == nil {
		return &shippedCallers{}, nil
	}
	id := entryOf(linked.Model, callee)
	if id == model.NoFunc {
		return &shippedCallers{}, nil
	}

	out := &shippedCallers{complete: true}
	out.addCallers(owner, linked.Model, id)
	out.addPointers(linked.Model, id)
	if !d.Shipped.Exported(name) {
		return out, nil
	}

	// An exported function can be called by modules too.
	users, err := d.Shipped.Users(name, owner)
	if err != nil {
		return nil, err
	}
	for _, user := range users {
		module := d.Shipped.Code(user)
		if module == nil {
			out.complete = false
			continue
		}
		for _, id := range module.Model.Lookup(name) {
			out.addCallers(user, module.Model, id)
		}
	}
	return out, nil
}

// entryOf finds a function of a unit in the linked code: in vmlinux by the address at
// which it was located, in a module, whose addresses mean nothing, by its name.
func entryOf(mod *model.Model, fn Func) model.FuncID {
	if fn.Unit.Owner == plan.Vmlinux && fn.Unit.Place != nil {
		if place, ok := fn.Unit.Place.Funcs[fn.Orig]; ok {
			return mod.Entry(place.Addr)
		}
	}
	if ids := mod.Lookup(fn.Unit.Name(fn.Orig)); len(ids) == 1 {
		return ids[0]
	}
	return model.NoFunc
}

func (s *shippedCallers) addCallers(owner string, m *model.Model, id model.FuncID) {
	for call := range m.Callers(id) {
		c := Caller{owner, m.Func(call.Caller).Name}
		if call.Caller != id && !slices.Contains(s.callers, c) {
			s.callers = append(s.callers, c)
		}
	}
}

// addPointers names the variables that hold a function's address, and the functions
// that take it. The table of exports is none of them: it leads modules to it, and
// these are looked at.
func (s *shippedCallers) addPointers(mod *model.Model, id model.FuncID) {
	for ref := range mod.DataRefsTo(id) {
		if sym, _, ok := mod.Prog.SymbolAt(ref.Addr); ok && !strings.HasPrefix(sym.Name, "__ksymtab") {
			s.pointers = append(s.pointers, sym.Name)
		}
	}
	for ref := range mod.CodeRefsTo(id) {
		s.pointers = append(s.pointers, mod.Func(ref.In).Name)
	}
	slices.Sort(s.pointers)
	s.pointers = slices.Compact(s.pointers)
}
