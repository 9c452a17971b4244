package model

import "github.com/klpforge/klpforge/analyze/machine"

// argRegs remembers, along straight-line code, which argument registers hold
// the address of a function, by the number of the argument.
type argRegs struct {
	ref [6]int32 // 1 + index into scanned.refs, 0 for none
}

func (r *argRegs) reset() { *r = argRegs{} }

// flush attributes the functions held to a call at site.
func (r *argRegs) flush(scan *scanner, site uint64) {
	if r == nil {
		return
	}
	for i, at := range r.ref {
		if at != 0 {
			ref := &scan.out.refs[at-1]
			ref.Call, ref.Arg = site, int8(i)
		}
	}
}

// track follows an instruction that transfers no control: it notes addresses
// of functions being taken.
func (s *scanner) track(in *machine.Inst, regs *argRegs) {
	if s.changesContext(in) {
		s.out.flags |= FuncContext
	}
	dst := s.argOf(&in.Args[0])
	held := *regs
	s.forget(regs, in)

	// The address of a function, taken as an immediate or relative to the instruction, or copied
	// from another argument register.
	fn := NoFunc
	switch in.Op {
	case machine.Move, machine.Push:
		for i := range in.Args {
			if operand := &in.Args[i]; operand.Kind == machine.KindImm {
				fn = s.b.entryAt(uint64(operand.Imm))
			}
		}
		if src := s.argOf(&in.Args[1]); src >= 0 && dst >= 0 && in.Op == machine.Move {
			regs.ref[dst] = held.ref[src]
			return
		}
	case machine.Address:
		if at, ok := in.FixedAddr(in.Args[1].Mem); ok {
			fn = s.b.entryAt(at)
		}
	}
	if fn == NoFunc {
		return
	}

	s.out.refs = append(s.out.refs, CodeRef{Addr: in.Addr, In: s.fn, Func: fn, Arg: -1})
	if dst >= 0 && in.Op != machine.Push {
		regs.ref[dst] = int32(len(s.out.refs))
	}
}

// changesContext reports whether an instruction may change the interrupt flag or
// the preempt count, or saves the former.
func (s *scanner) changesContext(in *machine.Inst) bool {
	switch in.Op {
	case machine.DisableInterrupts, machine.EnableInterrupts, machine.PushFlags, machine.PopFlags:
		return true
	case machine.OpOther, machine.OpUnknown:
		effects := in.Effects()
		if effects.Side&machine.SideInterrupts != 0 {
			return true
		}
	}
	to := &in.Args[0]
	if to.Kind != machine.KindMem || to.Mem.Seg != machine.SegGS {
		return false
	}
	at, ok := in.FixedAddr(to.Mem)
	return ok && at == s.b.preemptCount && at != 0
}

// forget drops what the registers held that an instruction changes.
func (s *scanner) forget(regs *argRegs, in *machine.Inst) {
	if *regs == (argRegs{}) {
		return
	}
	effects := in.Effects()
	for reg := range effects.Writes.All {
		if i, ok := s.b.convention.ArgOf(reg); ok {
			regs.ref[i] = 0
		}
	}
}

// argOf is the number of the argument that a register holds, whatever its width;
// -1 for others.
func (s *scanner) argOf(o *machine.Operand) int {
	if reg, _, ok := o.General(); ok && !o.Reg.High {
		if i, ok := s.b.convention.ArgOf(reg); ok {
			return i
		}
	}
	return -1
}
