package locks

import "github.com/klpforge/klpforge/analyze/machine"

// step executes an instruction that neither branches nor calls.
func (w *walker) step(s *state, in *machine.Inst) {
	t := &w.t
	switch in.Op {
	case machine.Nop, machine.Landing, machine.Prefetch, machine.Fence, machine.Pause:

	// Moves.
	case machine.Move:
		if from := &in.Args[1]; from.Kind == machine.KindReg && from.Reg.Class != machine.General {
			w.write(s, in, 0, t.opaque(in.Addr, 0, w.age)) // from a segment, control or debug register
			return
		}
		v, _ := w.arg(s, in, 1)
		w.write(s, in, 0, v)
	case machine.MoveZero, machine.MoveSign:
		v, n := w.arg(s, in, 1)
		w.write(s, in, 0, t.ext(v, n, in.Op == machine.MoveSign))
	case machine.MoveIf:
		w.moveIf(s, in)
	case machine.SetIf:
		w.setIf(s, in)
	case machine.Address:
		p := w.access(s, in, in.Args[1].Mem)
		w.write(s, in, 0, p.addr)
	case machine.Exchange:
		w.exchange(s, in)
	case machine.WidenHalf:
		w.widen(s, in)

	// The stack.
	case machine.Push:
		v, _ := w.arg(s, in, 0)
		w.pushWord(s, v)
	case machine.Pop:
		w.write(s, in, 0, w.popWord(s, in.Addr))
	case machine.Leave:
		s.regs[stackReg] = s.regs[convention.FramePtr]
		base, off := t.split(s.regs[stackReg])
		at := place{base: base, off: off, addr: s.regs[stackReg], size: wordSize, stack: w.isStack(base)}
		s.regs[convention.FramePtr] = w.loadAt(s, at, in.Addr)
		s.regs[stackReg] = t.addImm(s.regs[stackReg], wordSize)

	// Interrupts.
	case machine.PushFlags:
		w.pushWord(s, t.flags(in.Addr, s.irq(), w.age))
	case machine.PopFlags:
		w.restore(s, w.popWord(s, in.Addr))
		s.flags = flags{}
	case machine.DisableInterrupts:
		t.change(s, IRQ, 0, 1)
	case machine.EnableInterrupts:
		t.change(s, IRQ, 0, -1)

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
		a, n := w.arg(s, in, 0)
		b, _ := w.arg(s, in, 1)
		s.flags = flags{kind: flagsCmp, size: n, a: a, b: b}
	case machine.Test:
		w.test(s, in)
	case machine.BitTest:
		w.bitTest(s, in)
	case machine.BitSet, machine.BitReset, machine.BitFlip:
		w.write(s, in, 0, t.opaque(in.Addr, 1, w.age))
		old := t.opaque(in.Addr, 2, w.age)
		s.setFact(old, 1, Set{{0, 1}})
		s.flags = flags{kind: flagsCarry, size: 1, a: old}
	case machine.SubBorrow:
		w.borrow(s, in)
	case machine.Multiply:
		if in.Args[2].Kind == machine.KindNone {
			w.other(s, in)
			return
		}
		a, n := w.arg(s, in, 1)
		b, _ := w.arg(s, in, 2)
		w.write(s, in, 0, t.ext(t.bin(binMul, a, b, in.Addr, w.age), n, false))
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
	v := w.loadAt(s, place{base: base, off: off, addr: s.regs[stackReg], size: wordSize, stack: true}, site)
	s.regs[stackReg] = w.t.addImm(s.regs[stackReg], wordSize)
	return v
}

// exchange swaps two registers, or a register and memory: what memory held, others
// may have changed.
func (w *walker) exchange(s *state, in *machine.Inst) {
	a, _ := w.arg(s, in, 0)
	b, _ := w.arg(s, in, 1)
	switch {
	case in.Args[0].Kind == machine.KindMem:
		w.write(s, in, 0, b)
		w.write(s, in, 1, w.t.opaque(in.Addr, 0, w.age))
	case in.Args[1].Kind == machine.KindMem:
		w.write(s, in, 1, a)
		w.write(s, in, 0, w.t.opaque(in.Addr, 0, w.age))
	default:
		w.write(s, in, 0, b)
		w.write(s, in, 1, a)
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
	t := &w.t
	v := t.opaque(in.Addr, 3, w.age)
	if p, ok := w.condition(s, in.Cond); !ok {
		s.setFact(v, 1, Set{{0, 1}})
	} else {
		switch t.holds(s, p) {
		case 0:
			v = t.constant(0)
		case 1:
			v = t.constant(1)
		default:
			v = t.set(p)
		}
	}
	w.write(s, in, 0, v)
}

// moveIf joins the two possible values, or takes the one that is certain.
func (w *walker) moveIf(s *state, in *machine.Inst) {
	t := &w.t
	a, n := w.arg(s, in, 0)
	b, _ := w.arg(s, in, 1)
	if n == 4 {
		a, b = t.ext(a, 4, false), t.ext(b, 4, false)
	}
	if p, ok := w.condition(s, in.Cond); ok {
		switch t.holds(s, p) {
		case 0:
			w.write(s, in, 0, a)
			return
		case 1:
			w.write(s, in, 0, b)
			return
		}
	}
	if a == b {
		w.write(s, in, 0, a)
		return
	}
	v := t.phi(int32(in.Addr), 4, w.age) // low half of the address: no block has such a number
	for _, z := range []uint8{1, 4, 8} {
		if z <= n {
			s.setFact(v, z, t.known(s, a, z).union(t.known(s, b, z)))
		}
	}
	w.write(s, in, 0, v)
}

// other executes what only its effects are known of: what is written becomes
// unknown.
func (w *walker) other(s *state, in *machine.Inst) {
	e := in.Effects()
	w.clobberMemory(s, in, &e)
	w.clobberRegs(s, in.Addr, &e)
	if e.FlagsWritten&machine.StatusFlags != 0 {
		s.flags = flags{}
	}
}

// clobberRegs forgets what an instruction changes of the registers.
func (w *walker) clobberRegs(s *state, site uint64, e *machine.Effects) {
	t := &w.t
	for n := range e.Writes.All {
		v := t.opaque(site, int32(n), w.age)
		switch {
		case n == machine.RSP && e.Stack == machine.StackMoved:
			v = t.addImm(s.regs[n], e.StackDelta)
		case e.Maybe.Has(n):
		case e.Zext.Has(n):
			v = t.ext(v, 4, false)
		// As in setReg, the rest of the register is taken for cleared.
		case e.Word.Has(n):
			v = t.ext(v, 2, false)
		case e.Byte.Has(n):
			v = t.ext(v, 1, false)
		}
		s.regs[n] = v
	}
}

// stringOp handles movs, stos and their like.
func (w *walker) stringOp(s *state, in *machine.Inst) {
	e := in.Effects()
	if e.WritesMemory() && w.isStackAddr(s.regs[machine.RDI]) {
		_, off := w.t.split(s.regs[machine.RDI])
		w.clobberFrom(s, off, in.Addr)
	} else if e.WritesMemory() && w.strict {
		w.clobberHeap(s, in.Addr)
	}
	w.clobberRegs(s, in.Addr, &e)
	if e.FlagsWritten != 0 {
		s.flags = flags{}
	}
}
