package sleeps

import (
	"github.com/klpforge/klpforge/analyze/flow"
	"github.com/klpforge/klpforge/analyze/machine"
	"github.com/klpforge/klpforge/analyze/model"
)

// value is what a register holds, as far as GFP flags and addresses of
// functions are concerned.
type value struct {
	kind uint8
	c    int64 // valConst: the constant; valArg: the argument's number; valSlot: an address
}

const (
	valTop   uint8 = iota // anything
	valConst              // only the bit direct is certain once it was masked
	valArg
	valSlot // what is stored at a fixed address
)

// passed is what a call is given.
type passed struct {
	args   [6]value
	callee value // of a call through a pointer
}

type regs [16]value

// convention is how functions of the kernel call each other.
var convention = machine.X86.Convention()

// given6 returns the arguments of a call, nil when they are not known.
func (a *analysis) given6(id model.FuncID, site uint64) *[6]value {
	if p := a.site(id, site); p != nil {
		return &p.args
	}
	return nil
}

// site returns what a call is given, nil when it is not known.
func (a *analysis) site(id model.FuncID, site uint64) *passed {
	of, ok := a.passed[id]
	if !ok {
		of = arguments(a.m, id)
		a.passed[id] = of
	}
	return of[site]
}

// arguments returns what the calls of a function are given.
func arguments(mod *model.Model, id model.FuncID) map[uint64]*passed {
	out := map[uint64]*passed{}
	via := map[uint64]machine.Num{} // registers that thunks call
	calls := mod.Calls(id)
	for i := range calls {
		c := &calls[i]
		via[c.Site] = machine.NoReg
		if c.Target == model.NoFunc && c.Via != model.NoFunc {
			via[c.Site] = convention.Callee(mod.Func(c.Via).Name).Via
		}
	}
	follow(mod, id, func(in *machine.Inst, state *regs) {
		reg, call := via[in.Addr]
		if !call {
			return
		}
		var given passed
		for i, r := range convention.Args {
			given.args[i] = state[r]
		}
		switch operand := &in.Args[0]; operand.Kind {
		case machine.KindMem:
			if at, ok := memAddr(in, 0); ok {
				given.callee = value{valSlot, int64(at)}
			}
		case machine.KindReg:
			if n, size, ok := operand.General(); ok && size == 8 {
				given.callee = state[n]
			}
		default:
			if reg != machine.NoReg {
				given.callee = state[reg]
			}
		}
		out[in.Addr] = &given // the last round has joined all paths
	})
	return out
}

// follow follows constants, the function's own arguments and what is loaded
// from fixed addresses through registers, along all paths. visit is called
// before each instruction, more than once; the last time all paths are joined.
func follow(mod *model.Model, id model.FuncID, visit func(in *machine.Inst, s *regs)) {
	blocks := mod.Blocks(id)
	var entry regs
	for i, r := range convention.Args {
		entry[r] = value{valArg, int64(i)}
	}
	callees := map[uint64]machine.RegSet{} // what calls of functions with a name change
	for _, c := range mod.Calls(id) {
		if c.Target != model.NoFunc {
			callees[c.Site] = convention.Callee(mod.Func(c.Target).Name).Changed
		}
	}
	code := mod.Code(blocks)
	result := flow.Forward(mod, blocks, flow.Problem[regs]{
		Entry: entry,
		Join:  (*regs).join,
		Transfer: func(state *regs, k int) {
			for i := range code[k] {
				in := &code[k][i]
				visit(in, state)
				changed, known := callees[in.Addr]
				if !known {
					changed = convention.Scratch
				}
				state.step(in, changed)
			}
		},
	})
	if result.Complete {
		return
	}
	// Nothing can be said of what the registers hold.
	for k := range blocks {
		for i := range code[k] {
			visit(&code[k][i], &regs{})
		}
	}
}

// join keeps what the registers hold on both paths.
func (s *regs) join(from regs, _ int) (changed bool) {
	for r := range s {
		if s[r].kind != valTop && s[r] != from[r] {
			s[r], changed = value{}, true
		}
	}
	return changed
}

// step follows one instruction; callee is what it changes if it is a call.
func (s *regs) step(in *machine.Inst, callee machine.RegSet) {
	effects := in.Effects()
	if in.Op == machine.Call {
		for r := range callee.All {
			s[r] = value{}
		}
		return
	}
	n, v, ok := s.result(in)
	for r := range effects.Writes.All {
		s[r] = value{}
	}
	if ok {
		s[n] = v
	}
}

// result is what an instruction leaves in its destination, when values can be
// followed through it.
func (s *regs) result(in *machine.Inst) (dst machine.Num, val value, ok bool) {
	dst, size, ok := in.Args[0].General()
	if !ok {
		return 0, val, false
	}
	was := s[dst]
	imm := in.Args[1].Imm
	isImm := in.Args[1].Kind == machine.KindImm
	src, msize, isReg := in.Args[1].General()
	if in.Args[0].Reg.High {
		imm <<= 8
	}

	// What writes less than 32 bits leaves the rest of the register, and is not followed, but for bits
	// that are set.
	switch {
	case in.Op == machine.Xor && isReg && src == dst && size >= 4:
		return dst, value{valConst, 0}, true
	case in.Op == machine.Move && isImm && size >= 4:
		return dst, value{valConst, imm}, true
	case in.Op == machine.Address && size == 8:
		if at, ok := memAddr(in, 1); ok {
			return dst, value{valConst, int64(at)}, true
		}
	case in.Op == machine.Move && size == 8 && in.Args[1].Kind == machine.KindMem:
		if at, ok := memAddr(in, 1); ok {
			return dst, value{valSlot, int64(at)}, true
		}
	case in.Op == machine.Move && isReg && size >= 4 && msize >= 4:
		return dst, s[src], true
	case in.Op == machine.Or && isImm:
		return dst, was.or(imm), true
	case in.Op == machine.And && isImm && size >= 4:
		return dst, was.and(imm), true
	case in.Op == machine.Or && isReg && size >= 4 && s[src].kind == valConst:
		return dst, was.or(s[src].c), true
	case in.Op == machine.And && isReg && size >= 4 && s[src].kind == valConst:
		return dst, was.and(s[src].c), true
	}
	return 0, val, false
}

// memAddr returns the fixed address of a memory operand.
func memAddr(in *machine.Inst, arg int) (uint64, bool) {
	x := &in.Args[arg]
	if x.Kind != machine.KindMem || x.Mem.Seg != machine.SegNone {
		return 0, false
	}
	return in.FixedAddr(x.Mem)
}

func (v value) or(c int64) value {
	switch {
	case v.kind == valConst:
		return value{valConst, v.c | c}
	case c&direct != 0:
		return value{valConst, direct}
	}
	return v
}

func (v value) and(c int64) value {
	switch {
	case v.kind == valConst:
		return value{valConst, v.c & c}
	case c&direct == 0:
		return value{valConst, 0}
	}
	return v
}
