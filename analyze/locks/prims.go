package locks

import (
	"cmp"
	"slices"

	"github.com/klpforge/klpforge/analyze/kfuncs"
	"github.com/klpforge/klpforge/analyze/machine"
)

// step is one thing that a primitive does, in order.
type step struct {
	kind  Kind
	arg   int8 // the argument that is the lock's address
	delta int8
}

// prim is a lock primitive: a function whose effect is given, not analysed.
type prim struct {
	steps []step
	// on says for which result the steps happen; otherwise nothing does.
	on result
	// saves: returns the interrupt flag as it was. restores: puts back the one
	// given by this argument, 0 for none.
	saves    bool
	restores int8
	global   string // the lock is this symbol, not an argument
	// traced: only for programs that do not hold the function's code.
	traced bool
}

// retakes reports whether a step takes a lock that an earlier one released.
func (p *prim) retakes(nth int) bool {
	take := p.steps[nth]
	return take.delta > 0 && slices.ContainsFunc(p.steps[:nth], func(s step) bool {
		return s.delta < 0 && s.kind == take.kind && s.arg == take.arg
	})
}

type result uint8

const (
	always    result = iota
	onZero           // the call returned 0, not a negative error
	onNonzero        // the call returned 1, not 0
	unlessOne        // the call returned 0, not 1
)

// sets gives the results (int) with which the steps happen, and do not.
func (r result) sets() (hit, miss Set) {
	switch r {
	case onZero:
		return single(0), Set{{-4095, -1}}
	case unlessOne:
		return single(0), single(1)
	}
	return single(1), single(0)
}

// prims are the primitives by name: what package kfuncs says of locks, but for contracts.
var prims = func() map[string]prim {
	out := map[string]prim{}
	for row := range kfuncs.All() {
		l, ok := kfuncs.Locks(row.Name)
		if !ok || len(l.Ops) > 0 && l.Ops[0].Members != nil {
			continue
		}
		p := prim{on: results[l.When], saves: l.Saves, restores: l.Restores, traced: l.Traced}
		switch l.Restores {
		case -1:
			p.restores = 0
		case 0:
			p.restores = -1
		}
		for _, op := range l.Ops {
			p.steps = append(p.steps, step{kindOf(op.Kind), op.Arg, op.Delta})
			p.global = cmp.Or(p.global, op.Symbol)
		}
		out[row.Name] = p
	}
	return out
}()

var results = map[kfuncs.When]result{
	kfuncs.Always: always, kfuncs.OnZero: onZero, kfuncs.OnNonzero: onNonzero, kfuncs.UnlessOne: unlessOne,
}

// kindOf is a kind of lock here; None for a kind that is not known here.
func kindOf(k kfuncs.LockKind) Kind {
	return Kind(max(0, slices.Index(kindNames[:], string(k))))
}

// keeps are the functions with a calling convention of their own that leaves
// registers alone: the registers (by number) that they change.
var keeps = func() map[string]machine.RegSet {
	out := map[string]machine.RegSet{}
	for row := range kfuncs.All() {
		names, ok := kfuncs.Changes(row.Name)
		if !ok {
			continue
		}
		var changed machine.RegSet
		for _, n := range names {
			changed |= machine.Regs(registers[n])
		}
		out[row.Name] = changed
	}
	return out
}()

// registers are those of the table's column.
var registers = map[string]machine.Num{
	"rax": machine.RAX, "rbx": machine.RBX, "rcx": machine.RCX, "rdx": machine.RDX, "rdi": machine.RDI,
}

// convention is how functions of the kernel call each other: the registers that
// carry arguments, further ones lie on the stack, and what a call may change.
var convention = machine.X86.Convention()

var (
	argReg   = convention.Args
	retReg   = convention.Result[0]
	stackReg = convention.StackPtr
)

const maxArgs = 10

// args are the arguments of one call.
type args [maxArgs]vid
