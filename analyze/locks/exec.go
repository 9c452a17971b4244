package locks

import "github.com/klpforge/klpforge/analyze/machine"

// step executes an instruction that neither branches nor calls.
func (w *walker) step(s *state, in *machine.Inst) {
	vals := &w.t
	if w.origins != nil {
		w.computed(s, in)
	}
	switch in.Op {
	case machine.Nop, machine.Landing, machine.Prefetch, machine.Fence, machine.Pause:

	// Moves.
	case machine.Move:
		if from := &in.Args[1]; from.Kind == machine.KindReg && from.Reg.Class != machine.General {
			w.write(s, in, 0, vals.opaque(in.Addr, 0, w.age)) // from a segment, control or debug register
			return
		}
		val, _ := w.arg(s, in, 1)
		w.write(s, in, 0, val)
	case machine.MoveZero, machine.MoveSign:
		val, size := w.arg(s, in, 1)
		w.write(s, in, 0, vals.ext(val, size, in.Op == machine.MoveSign))
	case machine.MoveIf:
		w.moveIf(s, in)
	case machine.SetIf:
		w.setIf(s, in)
	case machine.Address:
		where := w.access(s, in, in.Args[1].Mem)
		w.write(s, in, 0, where.addr)
	case machine.Exchange:
		w.exchange(s, in)
	case machine.WidenHalf:
		w.widen(s, in)

	// The stack.
	case machine.Push:
		val, _ := w.arg(s, in, 0)
		w.pushWord(s, val)
	case machine.Pop:
		w.write(s, in, 0, w.popWord(s, in.Addr))
	case machine.Leave:
		s.regs[stackReg] = s.regs[convention.FramePtr]
		base, off := vals.split(s.regs[stackReg])
		at := place{base: base, off: off, addr: s.regs[stackReg], size: wordSize, stack: w.isStack(base)}
		s.regs[convention.FramePtr] = w.loadAt(s, at, in.Addr)
		s.regs[stackReg] = vals.addImm(s.regs[stackReg], wordSize)

	// Interrupts.
	case machine.PushFlags:
		w.pushWord(s, vals.flags(in.Addr, s.irq(), w.age))
	case machine.PopFlags:
		w.restore(s, w.popWord(s, in.Addr))
		s.flags = flags{}
	case machine.DisableInterrupts:
		vals.change(s, IRQ, 0, 1)
	case machine.EnableInterrupts:
		vals.change(s, IRQ, 0, -1)

	// Arithmetic.
	case machine.Add, machine.Sub, machine.And, machine.Or, machine.Xor, machine.ShiftLeft, machine.ShiftRight, machine.ShiftRightArith:
		w.arith(s, in)
	case machine.Increment:
		w.increment(s, in, 1)
	case machine.Decrement:
		w.increment(s, in, -1)
	case machine.Negate, machine.Not:
		w.invert(s, in)
	case machine.Compare:
		left, size := w.arg(s, in, 0)
		right, _ := w.arg(s, in, 1)
		s.flags = flags{kind: flagsCmp, size: size, a: left, b: right}
	case machine.Test:
		w.test(s, in)
	case machine.BitTest:
		w.bitTest(s, in)
	case machine.BitSet, machine.BitReset, machine.BitFlip:
		w.write(s, in, 0, vals.opaque(in.Addr, 1, w.age))
		old := vals.opaque(in.Addr, 2, w.age)
		s.setFact(old, 1, Set{{0, 1}})
		s.flags = flags{kind: flagsCarry, size: 1, a: old}
	case machine.SubBorrow:
		w.borrow(s, in)
	case machine.Multiply:
		if in.Args[2].Kind == machine.KindNone {
			w.other(s, in)
			return
		}
		left, size := w.arg(s, in, 1)
		right, _ := w.arg(s, in, 2)
		w.write(s, in, 0, vals.ext(vals.bin(binMul, left, right, in.Addr, w.age), size, false))
		s.flags = flags{}

	default:
		if in.IsString() {
			w.stringOp(s, in)
			return
		}
		w.other(s, in)
	}
}

// wordSize is the size of what push and pop move, in bytes.
const wordSize = 8

// pushWord stores a word below the stack pointer.
func (w *walker) pushWord(s *state, v vid) {
	s.regs[stackReg] = w.t.addImm(s.regs[stackReg], -wordSize)
	base, off := w.t.split(s.regs[stackReg])
	s.put(cell{base, off, wordSize, v})
}

// popWord loads the word at the stack pointer.
func (w *walker) popWord(s *state, site uint64) vid {
	base, off := w.t.split(s.regs[stackReg])
	val := w.loadAt(s, place{base: base, off: off, addr: s.regs[stackReg], size: wordSize, stack: true}, site)
	s.regs[stackReg] = w.t.addImm(s.regs[stackReg], wordSize)
	return val
}

// exchange swaps two registers, or a register and memory: what memory held, others
// may have changed.
func (w *walker) exchange(s *state, in *machine.Inst) {
	left, _ := w.arg(s, in, 0)
	right, _ := w.arg(s, in, 1)
	switch {
	case in.Args[0].Kind == machine.KindMem:
		w.write(s, in, 0, right)
		w.write(s, in, 1, w.t.opaque(in.Addr, 0, w.age))
	case in.Args[1].Kind == machine.KindMem:
		w.write(s, in, 1, left)
		w.write(s, in, 0, w.t.opaque(in.Addr, 0, w.age))
	default:
		w.write(s, in, 0, right)
		w.write(s, in, 1, left)
	}
}

// widen extends the sign of the accumulator's lower half.
func (w *walker) widen(s *state, in *machine.Inst) {
	acc := &s.regs[retReg]
	switch in.Size {
	case 8:
		*acc = w.t.ext(*acc, 4, true)
	case 4:
		*acc = w.t.ext(w.t.ext(*acc, 2, true), 4, false)
	default:
		w.other(s, in)
	}
}

// setIf makes its operand 0 or 1.
func (w *walker) setIf(s *state, in *machine.Inst) {
	vals := &w.t
	bit := vals.opaque(in.Addr, 3, w.age)
	if cond, ok := w.condition(s, in.Cond); !ok {
		s.setFact(bit, 1, Set{{0, 1}})
	} else {
		switch vals.holds(s, cond) {
		case 0:
			bit = vals.constant(0)
		case 1:
			bit = vals.constant(1)
		default:
			bit = vals.set(cond)
		}
	}
	w.write(s, in, 0, bit)
}

// moveIf joins the two possible values, or takes the one that is certain.
func (w *walker) moveIf(s *state, in *machine.Inst) {
	vals := &w.t
	kept, size := w.arg(s, in, 0)
	moved, _ := w.arg(s, in, 1)
	if size == 4 {
		kept, moved = vals.ext(kept, 4, false), vals.ext(moved, 4, false)
	}
	if cond, ok := w.condition(s, in.Cond); ok {
		switch vals.holds(s, cond) {
		case 0:
			w.write(s, in, 0, kept)
			return
		case 1:
			w.write(s, in, 0, moved)
			return
		}
	}
	if kept == moved {
		w.write(s, in, 0, kept)
		return
	}
	either := vals.phi(int32(in.Addr), 4, w.age) // low half of the address: no block has such a number
	w.origins.note(either, kept, moved)
	if cond, ok := w.condition(s, in.Cond); ok && w.origins != nil {
		w.origins.conds[either] = chosen{cond, moved, kept}
	}
	for _, part := range []uint8{1, 4, 8} {
		if part <= size {
			s.setFact(either, part, vals.known(s, kept, part).union(vals.known(s, moved, part)))
		}
	}
	w.write(s, in, 0, either)
}

// other executes what only its effects are known of: what is written becomes
// unknown.
func (w *walker) other(s *state, in *machine.Inst) {
	effects := in.Effects()
	w.clobberMemory(s, in, &effects)
	w.clobberRegs(s, in.Addr, &effects)
	if effects.FlagsWritten&machine.StatusFlags != 0 {
		s.flags = flags{}
	}
}

// clobberRegs forgets what an instruction changes of the registers.
func (w *walker) clobberRegs(s *state, site uint64, e *machine.Effects) {
	vals := &w.t
	for reg := range e.Writes.All {
		lost := vals.opaque(site, int32(reg), w.age)
		switch {
		case reg == machine.RSP && e.Stack == machine.StackMoved:
			lost = vals.addImm(s.regs[reg], e.StackDelta)
		case e.Maybe.Has(reg):
		case e.Zext.Has(reg):
			lost = vals.ext(lost, 4, false)
		// As in setReg, the rest of the register is taken for cleared.
		case e.Word.Has(reg):
			lost = vals.ext(lost, 2, false)
		case e.Byte.Has(reg):
			lost = vals.ext(lost, 1, false)
		}
		s.regs[reg] = lost
	}
}

// stringOp handles movs, stos and their like.
func (w *walker) stringOp(s *state, in *machine.Inst) {
	effects := in.Effects()
	if effects.WritesMemory() && w.isStackAddr(s.regs[machine.RDI]) {
		_, off := w.t.split(s.regs[machine.RDI])
		w.clobberFrom(s, off, in.Addr)
	} else if effects.WritesMemory() && w.strict {
		w.clobberHeap(s, in.Addr)
	}
	w.clobberRegs(s, in.Addr, &effects)
	if effects.FlagsWritten != 0 {
		s.flags = flags{}
	}
}
