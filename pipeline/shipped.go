package pipeline

import (
	"sync"

	"github.com/klpforge/klpforge/analyze"
	"github.com/klpforge/klpforge/analyze/fields"
	"github.com/klpforge/klpforge/analyze/join"
	"github.com/klpforge/klpforge/analyze/locks"
	"github.com/klpforge/klpforge/analyze/model"
	"github.com/klpforge/klpforge/analyze/registered"
	"github.com/klpforge/klpforge/analyze/stacks"
	"github.com/klpforge/klpforge/internal/facts"
	"github.com/klpforge/klpforge/kernel"
	"github.com/klpforge/klpforge/kernel/kmod"
	"github.com/klpforge/klpforge/plan"
)

// shippedCode is the linked code of a target, decoded when first asked for, each object
// once. It is not safe for concurrent use.
type shippedCode struct {
	target  *Target
	kernel  func() (*analyze.Kernel, error)
	facts   *facts.Kernel
	modules map[string]*join.Code // nil for one that cannot be decoded
	kept    map[string]*registered.Result
	types   map[string]typesOf
	// references are found once.
	references func() (kmod.References, error)
}

var _ join.Shipped = (*shippedCode)(nil)

func newShippedCode(target *Target, o kernel.Options) *shippedCode {
	s := &shippedCode{target: target, modules: map[string]*join.Code{},
		kept: map[string]*registered.Result{}, types: map[string]typesOf{}}
	s.kernel = sync.OnceValues(func() (*analyze.Kernel, error) { return s.openKernel(o) })
	s.references = sync.OnceValues(s.findReferences)
	return s
}

// openKernel decodes the target's kernel, which Close closes.
func (s *shippedCode) openKernel(o kernel.Options) (*analyze.Kernel, error) {
	k, err := facts.Open(o)
	if err != nil {
		return nil, err
	}
	s.facts = k
	return &analyze.Kernel{Model: k.Model, Locks: k.Locks, Types: k.Types, Sleeps: sync.OnceValue(k.Sleeps),
		Module: s.module, Exporter: s.exporter, ModuleLocks: s.moduleLocks, Registered: s.registered,
		Users: func(symbol string) ([]string, error) { return s.Users(symbol, "") }}, nil
}

// moduleLocks are the lock effects of a module, nil when there is none or it cannot be
// decoded.
func (s *shippedCode) moduleLocks(name string) *locks.Result {
	if c := s.Code(name); c != nil {
		return c.Locks()
	}
	return nil
}

// registered finds where an owner's functions are kept, once for each owner.
func (s *shippedCode) registered(owner string) (*registered.Result, error) {
	if found, ok := s.kept[owner]; ok {
		return found, nil
	}
	found, err := s.findRegistered(owner)
	if err != nil {
		return nil, err
	}
	s.kept[owner] = found
	return found, nil
}

func (s *shippedCode) findRegistered(owner string) (*registered.Result, error) {
	if owner == plan.Vmlinux {
		return s.facts.Registered()
	}
	mod := s.module(owner)
	if mod == nil {
		return nil, nil
	}
	of, err := s.moduleTypes(owner)
	if err != nil {
		return nil, err
	}
	return registered.Find(mod, of.types.WithElsewhere(s.exporterTypes), of.tables), nil
}

// typesOf are the types of one module, with the kernel's.
type typesOf struct {
	types  *fields.Types
	tables *fields.Tables
}

// moduleTypes reads a module's types once. BTF that does not go with the kernel's leaves
// what the kernel's types tell.
func (s *shippedCode) moduleTypes(owner string) (typesOf, error) {
	if known, ok := s.types[owner]; ok {
		return known, nil
	}
	types, tables, err := s.facts.Fields()
	if err != nil {
		return typesOf{}, err
	}
	if m, err := s.target.module(owner); err == nil && types != nil && m.btf() != nil {
		if own, ownTables, err := fields.LoadModule(m.btf(), types, tables); err == nil {
			types, tables = own, ownTables
		}
	}
	s.types[owner] = typesOf{types, tables}
	return s.types[owner], nil
}

// exporterTypes are the types of the module that exports a function, nil when that is not
// known: a module's BTF has the prototypes of its own functions alone.
func (s *shippedCode) exporterTypes(name string) *fields.Types {
	e, ok := s.target.symvers.Lookup(name)
	if !ok || e.Object() == plan.Vmlinux {
		return nil
	}
	of, err := s.moduleTypes(e.Object())
	if err != nil {
		return nil
	}
	return of.types
}

// Close closes the kernel, if it was opened.
func (s *shippedCode) Close() error {
	if s.facts == nil {
		return nil
	}
	return s.facts.Close()
}

// Code implements join.Shipped.
func (s *shippedCode) Code(owner string) *join.Code {
	if owner == plan.Vmlinux {
		k, err := s.kernel()
		if err != nil {
			return nil // the checks that need it say so
		}
		return &join.Code{Model: k.Model, Locks: func() *locks.Result { return k.Locks }}
	}
	c, known := s.modules[owner]
	if !known {
		c = s.decode(owner)
		s.modules[owner] = c
	}
	return c
}

// decode decodes a module. What cannot be had is not known; nothing fails for that.
func (s *shippedCode) decode(module string) *join.Code {
	m, err := s.target.module(module)
	if err != nil {
		return nil
	}
	p, err := model.FromObject(m.m.File, model.ObjectOptions{Name: m.m.Name})
	if err != nil {
		return nil
	}
	decoded := model.Build(p)
	return &join.Code{Model: decoded, Locks: sync.OnceValue(func() *locks.Result {
		return locks.Analyze(decoded,
			locks.Options{})
	})}
}

// module is the program of a module, nil when there is none or it cannot be decoded.
func (s *shippedCode) module(name string) *model.Model {
	if c := s.Code(name); c != nil {
		return c.Model
	}
	return nil
}

// exporter is the program of the module that exports a symbol, nil when none does.
func (s *shippedCode) exporter(symbol string) *model.Model {
	e, ok := s.target.symvers.Lookup(symbol)
	if !ok || e.Object() == plan.Vmlinux {
		return nil
	}
	return s.module(e.Object())
}

// Exported implements join.Shipped.
func (s *shippedCode) Exported(symbol string) bool {
	_, ok := s.target.export(symbol)
	return ok
}

// Users implements join.Shipped.
func (s *shippedCode) Users(symbol, owner string) ([]string, error) {
	references, err := s.references()
	if err != nil {
		return nil, err
	}
	var out []string
	for _, module := range references[symbol] {
		if module != owner {
			out = append(out, module)
		}
	}
	return out, nil
}

// findReferences finds which modules of the target refer to a symbol.
func (s *shippedCode) findReferences() (kmod.References, error) {
	if _, err := s.kernel(); err != nil {
		return nil, err
	}
	return s.facts.References(s.target.modules)
}

// sleepers begins to find where the target's tasks sleep, which needs nothing but the
// target. Every caller of the result waits for it, and so does closing.
func (t *Target) sleepers(open *closers) func() (*stacks.Result, error) {
	find := sync.OnceValues(func() (*stacks.Result, error) { return facts.Stacks(t.K, nil) })
	go find()
	open.add(waiter(func() { _, _ = find() })) // its error is the checks' to report
	return find
}

// waiter is closed by waiting.
type waiter func()

func (w waiter) Close() error {
	w()
	return nil
}
