package stacks

import "github.com/klpforge/klpforge/analyze/machine"

// address is where a memory operand points to.
func (s *state) address(mem machine.Mem) value {
	if mem.Seg != machine.SegNone || mem.PC || mem.Base == machine.NoReg || mem.Addr32 {
		return value{}
	}
	val := s.regs[mem.Base]
	if mem.Index != machine.NoReg {
		index := s.regs[mem.Index]
		if index.isConst() && mem.Scale > 0 {
			index = constant(index.ones * uint64(mem.Scale))
		} else if index.kind == number {
			index = value{}
		}
		val = add(val, index)
	}
	return add(val, constant(uint64(mem.Disp)))
}

// operand reads an operand of an instruction, size bytes of it.
func (s *state) operand(in *machine.Inst, i, size int) value {
	operand := &in.Args[i]
	switch operand.Kind {
	case machine.KindImm:
		return constant(uint64(operand.Imm))
	case machine.KindReg:
		dst, _, ok := operand.General()
		switch {
		case !ok:
		case operand.Reg.High:
			return shift(s.regs[dst], -8, false).extend(1)
		case size < 8:
			return s.regs[dst].extend(size)
		default:
			return s.regs[dst]
		}
	case machine.KindMem:
		return s.load(s.address(operand.Mem), int64(size))
	}
	return value{}
}

// write sets the destination of an instruction.
func (s *state) write(in *machine.Inst, i int, val value) {
	operand := &in.Args[i]
	if operand.Kind == machine.KindMem {
		s.store(s.address(operand.Mem), int64(operand.Mem.Width), val)
		return
	}
	dst, size, ok := operand.General()
	switch {
	case !ok:
	case dst == convention.StackPtr && val.kind != pointer:
		s.loseFrame()
	case size == 8:
		s.regs[dst] = val
	case size == 4:
		s.regs[dst] = val.extend(4)
	case operand.Reg.High:
		s.regs[dst] = s.regs[dst].merge(shift(val.extend(1), 8, false), operand.Reg.Mask())
	default:
		s.regs[dst] = s.regs[dst].merge(val, operand.Reg.Mask())
	}
}

// loseFrame forgets where the stack pointer points to, and the frame.
func (s *state) loseFrame() {
	s.regs[convention.StackPtr] = value{}
	s.mem.drop(frame, minInt, maxInt)
}

// sizeOf is the size in bytes of what an instruction works on by an operand.
func sizeOf(in *machine.Inst, i int) int {
	if size := in.Args[i].Width(); size > 0 {
		return size
	}
	return int(in.Size)
}

// step follows one instruction that is no call. loaded is the member that it
// loads, if that may be a time.
func (s *state) step(in *machine.Inst, loaded member) {
	size := sizeOf(in, 0)
	first := func() value { return s.operand(in, 0, size) }
	second := func() value { return s.operand(in, 1, size) }
	switch in.Op {
	case machine.Nop, machine.Landing, machine.Prefetch, machine.Fence, machine.Pause, machine.Jump, machine.Trap:
	case machine.JumpIf:
		if !in.Conditional() {
			s.other(in)
		}

	// Moves.
	case machine.Move:
		s.write(in, 0, named(second(), loaded))
	case machine.MoveZero:
		from := sizeOf(in, 1)
		s.write(in, 0, s.operand(in, 1, from).extend(from))
	case machine.MoveSign:
		from := sizeOf(in, 1)
		s.write(in, 0, s.operand(in, 1, from).signed(from).tidy().extend(size))
	case machine.MoveIf:
		s.moveIf(in, first(), named(second(), loaded))
	case machine.SetIf:
		s.write(in, 0, s.truth(in.Cond))
	case machine.Address:
		mem := in.Args[1].Mem
		mem.Seg = machine.SegNone
		s.write(in, 0, s.address(mem))
	case machine.Exchange:
		left, right := first(), second()
		s.write(in, 0, right)
		s.write(in, 1, left)
	case machine.WidenHalf:
		s.widen(in)

	// The stack.
	case machine.Push:
		val := s.operand(in, 0, 8)
		s.moveStack(-8)
		s.store(s.regs[convention.StackPtr], 8, val)
	case machine.Pop:
		val := s.load(s.regs[convention.StackPtr], 8)
		s.moveStack(8)
		s.write(in, 0, val)
	case machine.Leave:
		s.regs[convention.StackPtr] = s.regs[convention.FramePtr]
		s.regs[convention.FramePtr] = s.load(s.regs[convention.StackPtr], 8)
		if s.moveStack(8); s.regs[convention.StackPtr].kind != pointer {
			s.loseFrame()
		}

	// Strings.
	case machine.StringStore:
		s.fill(int64(in.Size), in.Repeat)
	case machine.StringMove:
		s.store(s.regs[machine.RDI].onward(), 1, value{})
		s.give(s.regs[machine.RSI])
		effects := in.Effects()
		s.overwrite(&effects)

	// Arithmetic.
	case machine.Compare:
		s.flags = flags{op: compared, a: first(), b: second(), size: size}
	case machine.Test:
		val := first()
		if !sameOperands(in) {
			val = and(val, second())
		}
		s.flags = flags{op: tested, a: val, size: size}
	case machine.BitTest:
		s.flags = flags{op: bitTested, a: first(), b: second(), size: size}
	case machine.And:
		if !s.align(in) {
			s.result(in, tested, and(first(), second()))
		}
	case machine.Or:
		s.result(in, tested, or(first(), second()))
	case machine.Xor:
		val := constant(0)
		if !sameOperands(in) || size < 4 {
			val = xor(first(), second())
		}
		s.result(in, tested, val)
	case machine.Add:
		s.result(in, computed, add(first(), second()))
	case machine.Sub:
		s.sub(in, first(), second())
	case machine.Increment:
		s.result(in, computed, add(first(), constant(1)))
	case machine.Decrement:
		s.result(in, computed, add(first(), constant(^uint64(0))))
	case machine.Negate:
		operand := first()
		s.write(in, 0, negative(operand.signed(size)).extend(size))
		s.flags = flags{op: negated, a: operand, size: size}
	case machine.Not:
		s.write(in, 0, inverse(first()).extend(size))
	case machine.SubBorrow:
		s.borrow(in)
	case machine.ShiftLeft, machine.ShiftRight, machine.ShiftRightArith:
		s.result(in, computed, shifted(in.Op, first(), second(), size))
	default:
		s.other(in)
	}
}

// named is a value that is loaded from a member, which says where it comes from
// when nothing else is known of it.
func named(v value, from member) value {
	if v == (value{}) {
		v.from = from
	}
	return v
}

func sameOperands(in *machine.Inst) bool { return in.Args[0] == in.Args[1] }

// truth is a condition as 0 or 1.
func (s *state) truth(c machine.Cond) value {
	yes, known := s.flags.holds(c)
	switch {
	case !known:
		return value{lo: 0, hi: 1, zeros: ^uint64(1)}.tidy()
	case yes:
		return constant(1)
	}
	return constant(0)
}

// moveIf leaves val in the first operand, if the condition holds, and else what it
// held.
func (s *state) moveIf(in *machine.Inst, old, val value) {
	if yes, known := s.flags.holds(in.Cond); !known {
		both, lost := join(old, val)
		if lost {
			s.give(val)
		}
		val = both
	} else if !yes {
		val = old
	}
	s.write(in, 0, val)
}

// result is what arithmetic leaves in the first operand, and in the flags.
func (s *state) result(in *machine.Inst, op flagOp, val value) {
	size := sizeOf(in, 0)
	if val = val.extend(size); val.kind == top {
		val.from = 0
	}
	s.write(in, 0, val)
	s.flags = flags{op: op, a: val, size: size}
}

// align follows the masking of the stack pointer's lower bits.
func (s *state) align(in *machine.Inst) bool {
	reg, size, ok := in.Args[0].General()
	if !ok || reg != convention.StackPtr || size != 8 {
		return false
	}
	sp := &s.regs[reg]
	mask := s.operand(in, 1, size)
	if !mask.isConst() || sp.kind != pointer {
		return false
	}
	sp.off &= mask.lo
	s.flags = flags{}
	return true
}

// sub follows a subtraction of right from left.
func (s *state) sub(in *machine.Inst, left, right value) {
	var val value
	switch {
	case sameOperands(in):
		val = constant(0)
	case right.kind >= pointer:
	default:
		val = add(left, negative(right))
	}
	s.result(in, computed, val)
	s.flags = flags{op: compared, a: left, b: right, size: sizeOf(in, 0)}
}

// borrow follows a subtraction with borrow, which of a register from itself is
// all ones or zero.
func (s *state) borrow(in *machine.Inst) {
	val := value{}
	if sameOperands(in) {
		val = value{kind: number, lo: -1, hi: 0}
		if yes, known := s.flags.holds(machine.CondB); known {
			val = constant(0)
			if yes {
				val = constant(^uint64(0))
			}
		}
		val = val.extend(sizeOf(in, 0))
	}
	s.write(in, 0, val)
	s.flags = flags{}
}

// shifted is a value shifted by a number of bits, of which the processor takes the
// lower 5, or 6 of an operand of 8 bytes.
func shifted(op machine.Op, val, count value, size int) value {
	if !count.isConst() {
		return value{}
	}
	by := int(count.ones & 31)
	if size == 8 {
		by = int(count.ones & 63)
	}
	switch op {
	case machine.ShiftLeft:
		return shift(val, by, false)
	case machine.ShiftRight:
		return shift(val, -by, false)
	}
	return shift(val.signed(size), -by, true)
}

// widen extends the sign of the accumulator's lower half.
func (s *state) widen(in *machine.Inst) {
	acc := &s.regs[convention.Result[0]]
	switch in.Size {
	case 8:
		*acc = acc.signed(4).tidy()
	case 4:
		*acc = acc.signed(2).tidy().extend(4)
	default:
		s.other(in)
	}
}

// moveStack moves the stack pointer by a number of bytes.
func (s *state) moveStack(by int64) {
	s.regs[convention.StackPtr] = add(s.regs[convention.StackPtr], constant(uint64(by)))
}

// onward is where a repeated store goes to that begins at v.
func (v value) onward() value {
	if v.kind == pointer {
		return v.blur()
	}
	return v
}

// fill follows "rep stos", which sets memory.
func (s *state) fill(size int64, rep bool) {
	to, times, val := s.regs[machine.RDI], s.regs[machine.RCX], s.regs[machine.RAX]
	switch {
	case to.kind == pointer && (!rep || times.isConst() && times.ones <= 128) && val.isConst():
		count := int64(1)
		if rep {
			count = times.lo
		}
		for nth := range count {
			s.store(add(to, constant(uint64(nth*size))), size, val.extend(int(size)))
		}
	default:
		s.store(to.onward(), size, value{})
	}
	s.regs[machine.RDI] = to.onward()
	if to.kind < pointer {
		s.regs[machine.RDI] = value{}
	}
	if rep {
		s.regs[machine.RCX] = constant(0)
	}
}

// other follows an instruction of which only its effects are known.
func (s *state) other(in *machine.Inst) {
	effects := in.Effects()
	if effects.AnyMemory { // all that is held may be kept somewhere, and read and written
		for reg, val := range s.regs {
			if reg != int(convention.StackPtr) {
				s.give(val)
			}
		}
		s.mem = nil
	}

	// Pointers that it may keep: operands that are no address, named or not.
	var address machine.RegSet
	for _, access := range effects.Memory() {
		address |= access.Mem.Regs()
	}
	kept := effects.Reads &^ address
	for i := range in.Args[:2] {
		if reg, size, ok := in.Args[i].General(); ok && size == 8 {
			kept |= machine.Regs(reg)
		}
	}
	for reg := range (kept &^ machine.Regs(convention.StackPtr)).All {
		s.give(s.regs[reg])
	}

	for _, access := range effects.Memory() {
		if !access.Write {
			continue
		}
		to := s.address(access.Mem)
		if access.Repeat || access.Mem.Width == 0 {
			to = to.onward()
		}
		s.store(to, max(int64(access.Mem.Width), 1), value{})
	}
	s.overwrite(&effects)
	if effects.FlagsWritten&machine.StatusFlags != 0 {
		s.flags = flags{}
	}
}

// overwrite forgets what an instruction changes of the registers.
func (s *state) overwrite(effects *machine.Effects) {
	for dst := range effects.Writes.All {
		switch {
		case dst == convention.StackPtr && effects.Stack == machine.StackMoved:
			s.regs[dst] = add(s.regs[dst], constant(uint64(effects.StackDelta)))
		case dst == convention.StackPtr:
			s.loseFrame()
		case effects.Whole.Has(dst) || effects.Maybe.Has(dst):
			s.regs[dst] = value{}
		case effects.Zext.Has(dst):
			s.regs[dst] = value{}.extend(4)
		default:
			s.regs[dst] = s.regs[dst].merge(value{}, effects.WrittenBits(dst))
		}
	}
}
