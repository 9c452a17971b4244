package analyze

import (
	"sync"

	"github.com/klpforge/klpforge/analyze/code"
	"github.com/klpforge/klpforge/analyze/locks"
	"github.com/klpforge/klpforge/analyze/model"
	"github.com/klpforge/klpforge/analyze/sleeps"
	"github.com/klpforge/klpforge/plan"
)

// Sleepers tell which functions of the kernel and of its modules may sleep, to
// objects that call them. Not safe for concurrent use.
type Sleepers struct {
	kernel  *Kernel
	own     *model.Model // the module that the objects are of; nil when none, or not known
	facts   *sleeps.Result
	modules map[*model.Model]*sleeps.Result // nil while one is looked at
}

// Sleepers makes those for what objects of one owner, plan.Vmlinux or a module,
// leave undefined.
func (k *Kernel) Sleepers(owner string) *Sleepers {
	s := &Sleepers{kernel: k, facts: k.Sleeps(), modules: map[*model.Model]*sleeps.Result{}}
	if owner != plan.Vmlinux && k.Module != nil {
		s.own = k.Module(owner)
	}
	return s
}

// Object finds which functions of an object may sleep. Of nil it is what the
// object alone tells.
func (s *Sleepers) Object(o *code.Object) *sleeps.Result {
	opt := sleeps.Options{Flows: func(...model.FuncID) *locks.Flows { return o.Flows() }}
	if s != nil {
		opt.Kernel, opt.Module = s.facts, s.module
	}
	return sleeps.Analyze(o.Model, opt)
}

// module tells of a function in another object of the same module, or that a
// module exports.
func (s *Sleepers) module(name string) (sleeps.Fact, bool) {
	r, id := s.find(name)
	if r == nil {
		return sleeps.Fact{}, false
	}
	return r.Fact(id), true
}

// find looks for a function in the objects' own module, and in what modules
// export. The result is nil when there is none.
func (s *Sleepers) find(name string) (*sleeps.Result, model.FuncID) {
	if r, id := s.in(s.own, name); r != nil {
		return r, id
	}
	if s.kernel.Exporter == nil {
		return nil, model.NoFunc
	}
	return s.in(s.kernel.Exporter(name), name)
}

// in finds a function of a module.
func (s *Sleepers) in(mod *model.Model, name string) (*sleeps.Result, model.FuncID) {
	if mod == nil {
		return nil, model.NoFunc
	}
	ids := mod.Lookup(name)
	if len(ids) != 1 || mod.Func(ids[0]).Flags&model.FuncExtern != 0 {
		return nil, model.NoFunc
	}
	result, ok := s.modules[mod]
	if !ok {
		s.modules[mod] = nil
		effects := sync.OnceValue(func() *locks.Result { return locks.Analyze(mod, locks.Options{}) })
		result = sleeps.Analyze(mod, sleeps.Options{Kernel: s.facts, Module: s.module,
			Flows: func(ids ...model.FuncID) *locks.Flows { return effects().FlowsApart(ids...) }})
		s.modules[mod] = result
	}
	return result, ids[0]
}

// Chain names the functions on the way from one that an object leaves undefined
// to what makes it sleep, without itself; none for names that are not known.
func (s *Sleepers) Chain(name string) []string {
	if s == nil {
		return nil
	}
	var out []string
	if r, id := s.find(name); r != nil {
		if out = r.Chain(id); len(out) == 0 {
			return nil
		}
		name = out[len(out)-1]
	}
	ids := s.facts.Model.Lookup(name)
	if len(ids) != 1 {
		return out
	}
	return append(out, s.facts.Chain(ids[0])...)
}
