package analyze

import (
	"fmt"
	"slices"

	"github.com/klpforge/klpforge/analyze/code"
	"github.com/klpforge/klpforge/analyze/locks"
	"github.com/klpforge/klpforge/analyze/model"
	"github.com/klpforge/klpforge/analyze/registered"
	"github.com/klpforge/klpforge/analyze/sleeps"
	"github.com/klpforge/klpforge/plan"
)

// Kernel is what is known of the whole target kernel, without modules.
type Kernel struct {
	Model *model.Model
	Locks *locks.Result
	Types *locks.Types // nil when it has no BTF
	// Sleeps finds which functions may sleep.
	Sleeps func() *sleeps.Result
	// Module returns a module of the target, decoded once, and Exporter the one
	// that exports a symbol; nil when there is none, or it cannot be decoded. May be
	// nil themselves.
	Module, Exporter func(name string) *model.Model
	// ModuleLocks are the lock effects of a module of the target, nil as Module; may be nil
	// itself.
	ModuleLocks func(name string) *locks.Result
	// Registered finds where functions' addresses are kept of the kernel (plan.Vmlinux) or
	// of a module of the target; nil for one that cannot be decoded. It takes a second or two
	// the first time, and may be nil itself.
	Registered func(owner string) (*registered.Result, error)
	// Users names the modules of the target that refer to a symbol which they do not
	// define. Every module is read the first time; may be nil itself.
	Users func(symbol string) ([]string, error)
}

// Program is the code of the kernel, or of one of its modules, as shipped.
type Program struct {
	Model *model.Model
	Locks *locks.Result
	Types *locks.Types // nil for modules
}

// Program is that of an owner, plan.Vmlinux or a module; nil when it cannot be decoded.
func (k *Kernel) Program(owner string) *Program {
	if owner == plan.Vmlinux {
		return &Program{Model: k.Model, Locks: k.Locks, Types: k.Types}
	}
	if k.Module == nil || k.ModuleLocks == nil {
		return nil
	}
	mod := k.Module(owner)
	if mod == nil {
		return nil
	}
	return &Program{Model: mod, Locks: k.ModuleLocks(owner)}
}

// KernelCall is a call of one kernel function by another.
type KernelCall struct {
	Caller string
	Place  string // function+offset
	locks.CallAt
}

// maxTraced bounds the callers that are looked at.
const maxTraced = 2000

// CallsTo returns the calls of a function in the kernel with the locks that are
// held there, by address of the call. Calls through pointers are not among them.
// It returns nothing for a name that the kernel lacks or that is not unique, and
// looks at no more than maxTraced callers.
func (k *Kernel) CallsTo(name string) []KernelCall {
	return (&Program{Model: k.Model, Locks: k.Locks}).CallsTo(name)
}

// CallsTo is Kernel.CallsTo for one program.
func (p *Program) CallsTo(name string) []KernelCall {
	to := p.Model.Lookup(name)
	if len(to) != 1 {
		return nil
	}
	var ids []model.FuncID
	for c := range p.Model.Callers(to[0]) {
		ids = append(ids, c.Caller)
	}
	return p.calls(ids, func(c locks.CallAt) bool { return c.Callee == to[0] })
}

// CallsAt returns the calls at some places, as CallsTo, by address of the call.
func (p *Program) CallsAt(sites []registered.Site) []KernelCall {
	wanted := map[uint64]bool{}
	var ids []model.FuncID
	for _, site := range sites {
		wanted[site.At] = true
		ids = append(ids, site.Caller)
	}
	return p.calls(ids, func(c locks.CallAt) bool { return wanted[c.Site] })
}

// calls lists those calls of some functions that are wanted.
func (p *Program) calls(ids []model.FuncID, wanted func(locks.CallAt) bool) []KernelCall {
	slices.Sort(ids)
	ids = slices.Compact(ids)
	flows := p.Locks.FlowsOf(ids[:min(len(ids), maxTraced)]...)
	var out []KernelCall
	for _, id := range ids {
		f := flows.Flow(id)
		if f == nil {
			continue
		}
		for _, c := range f.Calls {
			if wanted(c) {
				out = append(out, KernelCall{Caller: p.Model.Func(id).Name, Place: p.place(c.Site), CallAt: c})
			}
		}
	}
	return out
}

func (p *Program) place(addr uint64) string {
	if id := p.Model.At(addr); id != model.NoFunc {
		f := p.Model.Func(id)
		return fmt.Sprintf("%s+%#x", f.Name, addr-f.Addr)
	}
	return fmt.Sprintf("%#x", addr)
}

// Translate gives the kernel's name for a lock of an object. It reports false
// for one that the kernel does not have, or not under a unique name.
func (k *Kernel) Translate(o *code.Object, lock locks.Lock) (locks.Lock, bool) {
	if lock.Path.Root != locks.RootGlobal {
		return lock, lock.Path.Known() && lock.Path.Root != locks.RootPercpu
	}
	symbol, off, ok := o.Model.Prog.SymbolAt(lock.Path.Addr)
	if name, is := locks.Named(lock.Path.Addr); is {
		symbol.Name, off, ok = name, 0, true
	}
	if !ok || symbol.Name == "" {
		return lock, false
	}
	count := 0
	for _, sym := range k.Model.Prog.Symbols() {
		if sym.Name == symbol.Name {
			lock.Path.Addr = sym.Addr + off
			count++
		}
	}
	return lock, count == 1
}
