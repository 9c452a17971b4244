package analyze

import (
	"fmt"
	"slices"

	"github.com/klpforge/klpforge/analyze/code"
	"github.com/klpforge/klpforge/analyze/locks"
	"github.com/klpforge/klpforge/analyze/model"
	"github.com/klpforge/klpforge/analyze/sleeps"
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
	to := k.Model.Lookup(name)
	if len(to) != 1 {
		return nil
	}
	var ids []model.FuncID
	for c := range k.Model.Callers(to[0]) {
		ids = append(ids, c.Caller)
	}
	slices.Sort(ids)
	ids = slices.Compact(ids)
	flows := k.Locks.FlowsOf(ids[:min(len(ids), maxTraced)]...)
	var out []KernelCall
	for _, id := range ids {
		f := flows.Flow(id)
		if f == nil {
			continue
		}
		for _, c := range f.Calls {
			if c.Callee == to[0] {
				out = append(out, KernelCall{Caller: k.Model.Func(id).Name, Place: k.place(c.Site), CallAt: c})
			}
		}
	}
	return out
}

func (k *Kernel) place(addr uint64) string {
	if id := k.Model.At(addr); id != model.NoFunc {
		f := k.Model.Func(id)
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
