package machine

// Effects says what the instruction reads and changes.
func (in *Inst) Effects() Effects {
	known := in.rule
	switch {
	case known == nil: // the zero Inst
		return unknownEffects(^RegSet(0))
	case in.Op == OpUnknown:
		return unknownEffects(x86All)
	}
	effects := Effects{Reads: known.reads, FlagsRead: known.fr, FlagsWritten: known.fw, FlagsKept: known.undef,
		Side: known.side, Flow: known.flow}
	for nth := range in.Args {
		if in.Args[nth].Kind == KindNone {
			break
		}
		use := byte('r')
		if nth < len(known.args) {
			use = known.args[nth]
		}
		effects.operand(&in.Args[nth], use)
	}
	for _, write := range known.writes {
		effects.write(write.reg, int(write.size), false)
	}
	known.special.apply(in, &effects)
	if effects.Writes.Has(RSP) && effects.Stack == StackSame {
		effects.Stack = StackOther
		if operand := &in.Args[1]; effects.Whole.Has(RSP) && operand.Kind == KindImm && (in.Op == Add || in.Op == Sub) {
			effects.Stack, effects.StackDelta = StackMoved, operand.Imm
			if in.Op == Sub {
				effects.StackDelta = -operand.Imm
			}
		} else if mem := operand.Mem; in.Op == Address && effects.Whole.Has(RSP) && mem.Base == RSP &&
			mem.Index == NoReg && !mem.Addr32 {
			effects.Stack, effects.StackDelta = StackMoved, mem.Disp
		}
	}
	return effects
}

// unknownEffects are those of an instruction that nothing is known of.
func unknownEffects(regs RegSet) Effects {
	return Effects{Unknown: true, Reads: regs, Writes: regs, Whole: regs, Maybe: regs, FlagsRead: AllFlags, FlagsWritten: AllFlags,
		FlagsKept: AllFlags, AnyMemory: true, Stack: StackOther,
		Side: SideInterrupts | SideMSR | SidePort | SideSegment | SideSystem | SideVector | SideHypervisor | SideOrder | SideHalt}
}

// operand notes the use of an explicit operand.
func (e *Effects) operand(o *Operand, use byte) {
	switch o.Kind {
	case KindReg:
		if o.Reg.Class != General {
			if use == 'w' || use == 'x' {
				e.Side |= sideOf(o.Reg.Class)
			}
			return
		}
		if use == 'r' || use == 'x' {
			e.Reads |= Regs(o.Reg.Num)
		}
		if use == 'w' || use == 'x' {
			e.write(o.Reg.Num, int(o.Reg.Size), o.Reg.High)
		}
	case KindMem:
		if use == '-' {
			return
		}
		e.Reads |= o.Mem.Regs()
		if use == 'r' || use == 'x' {
			e.access(o.Mem, false)
		}
		if use == 'w' || use == 'x' {
			e.access(o.Mem, true)
		}
	}
}

func sideOf(c Class) Side {
	switch c {
	case Segment:
		return SideSegment
	case System:
		return SideSystem
	}
	return SideVector
}

// sameRegister reports whether the first two operands are the same register.
func sameRegister(in *Inst) bool {
	first, second := &in.Args[0], &in.Args[1]
	return first.Kind == KindReg && second.Kind == KindReg && first.Reg == second.Reg && first.Reg.Class == General
}

// zeroIdiom: of xor, sub and sbb of a register with itself the result does not
// depend on what it held.
func zeroIdiom(in *Inst, e *Effects) {
	if sameRegister(in) {
		e.Reads &^= Regs(in.Args[0].Reg.Num)
	}
}

// shifted: a count of zero leaves the flags, and the destination of a shift by
// CL may stay as it was, which "x" says already.
func shifted(in *Inst, e *Effects) {
	for i := 1; i < len(in.Args); i++ {
		operand := &in.Args[i]
		if operand.Kind == KindReg && operand.Reg == (Reg{Num: RCX, Size: 1}) {
			e.FlagsKept = e.FlagsWritten
		}
		if last := i == len(in.Args)-1 || in.Args[i+1].Kind == KindNone; last && operand.Kind == KindImm &&
			operand.Imm&31 == 0 {
			e.FlagsKept = e.FlagsWritten
		}
	}
}

// keepsFirst: the destination may stay as it was.
func keepsFirst(in *Inst, e *Effects) {
	if in.Args[0].Kind == KindReg {
		e.Maybe |= Regs(in.Args[0].Reg.Num)
	}
}

// bitString: with a bit number in a register, the bit may lie anywhere around
// the memory operand.
func bitString(in *Inst, e *Effects) {
	if in.Args[0].Kind == KindMem && in.Args[1].Kind == KindReg {
		for i := range e.mem {
			e.mem[i].Mem.Width = 0
		}
	}
}

// accumulate: mul, imul, div and idiv with one operand work on the accumulator
// and its upper half.
func accumulate(in *Inst, e *Effects) {
	e.Reads |= Regs(RAX)
	if in.Size == 1 {
		e.write(RAX, 2, false)
		return
	}
	if in.Op == Divide {
		e.Reads |= Regs(RDX)
	}
	e.write(RAX, int(in.Size), false)
	e.write(RDX, int(in.Size), false)
}

// compareExchange: the accumulator is compared, and loaded when it differs;
// then a destination in a register stays as it was.
func compareExchange(in *Inst, e *Effects) {
	e.Reads |= Regs(RAX)
	e.write(RAX, int(in.Size), false)
	e.Maybe |= Regs(RAX)
	keepsFirst(in, e)
}

func compareExchangePair(in *Inst, e *Effects) {
	size := int(in.Args[0].Mem.Width) / 2
	e.write(RAX, size, false)
	e.write(RDX, size, false)
	e.Maybe |= Regs(RAX, RDX)
}

// translate: the address is RBX plus AL.
func translate(_ *Inst, e *Effects) {
	e.write(RAX, 1, false)
	for i := range e.mem {
		e.mem[i].Mem.Width = 0
	}
}

// loadFlags: LAHF writes AH.
func loadFlags(_ *Inst, e *Effects) {
	e.Writes, e.Byte = 0, 0
	e.write(RAX, 1, true)
}

// moveSystem: moves to and from segment, control and debug registers.
func moveSystem(in *Inst, e *Effects) {
	for i := range in.Args[:2] {
		if operand := &in.Args[i]; operand.Kind == KindReg && operand.Reg.Class == System {
			e.Side |= SideSystem
			e.FlagsWritten |= StatusFlags // undefined behind mov to and from control registers
		}
	}
	// Only the lower 2 bytes of a segment register's source count, and that many are stored.
	if in.Args[1].Kind == KindReg && in.Args[1].Reg.Class == Segment && in.Args[0].Kind == KindMem {
		e.mem[0].Mem.Width = 2
	}
}

// storesTable: SGDT and SIDT store 10 bytes; the others store 2 into memory.
func storesTable(in *Inst, e *Effects) {
	if in.Args[0].Kind == KindMem && e.mem[0].Mem.Width < 10 {
		e.mem[0].Mem.Width = 10
	}
}

// stateArea: the extent depends on what the processor has and on the mask.
func stateArea(_ *Inst, e *Effects) {
	for i := range e.mem {
		e.mem[i].Mem.Width = 0
	}
}

func maskedStore(in *Inst, e *Effects) {
	e.Reads |= Regs(RDI)
	e.access(Mem{Base: RDI, Index: NoReg, Width: uint16(in.Args[0].Reg.Size)}, true)
}

// anything: control leaves the code, or other code runs before the next
// instruction; nothing is kept but what the Effects' fields say otherwise.
func anything(_ *Inst, e *Effects) {
	e.Reads, e.Writes, e.Whole, e.Maybe = x86All, x86All, x86All, x86All
	e.Zext, e.Word, e.Byte, e.High = 0, 0, 0, 0
	e.AnyMemory, e.Stack = true, StackOther
	e.FlagsRead, e.FlagsWritten, e.FlagsKept = AllFlags, AllFlags, AllFlags
}

// interrupts: who runs at a breakpoint is a debugger, which goes on as if it had
// not been there; other software interrupts are calls of any kind.
func interrupts(in *Inst, e *Effects) {
	if in.Args[0].Imm != 3 {
		anything(in, e)
	}
}

// stringStep: the pointers move on by one element, or as many as the count
// register says, in the direction of DF.
func stringStep(in *Inst, e *Effects) {
	size, step := 8, Regs()
	for i := range e.mem[:e.nmem] {
		access := &e.mem[i]
		if access.Mem.Addr32 {
			size = 4
		}
		access.Repeat = in.Repeat
		step |= access.Mem.Regs()
	}
	for reg := range step.All {
		e.write(reg, size, false)
	}
	e.Reads |= step
	if !in.Repeat {
		return
	}
	e.Reads |= Regs(RCX)
	e.write(RCX, size, false)
	// With a count of zero nothing happens.
	e.Maybe = e.Writes
	e.Reads |= e.Writes
	e.FlagsKept = e.FlagsWritten
}

// wordOf is what a push or pop moves: 8 bytes, or 2 with the operand prefix.
func wordOf(in *Inst) int {
	if in.word {
		return 2
	}
	return 8
}

func pushes(in *Inst, e *Effects) {
	word := wordOf(in)
	e.Reads |= Regs(RSP)
	e.write(RSP, 8, false)
	e.access(Mem{Base: RSP, Index: NoReg, Disp: int64(-word), Width: uint16(word)}, true)
	e.Stack, e.StackDelta = StackMoved, int64(-word)
	if in.Op == Call { // comes back
		e.Stack, e.StackDelta = StackSame, 0
	}
}

func pops(in *Inst, e *Effects) {
	word := wordOf(in)
	e.Reads |= Regs(RSP)
	e.access(Mem{Base: RSP, Index: NoReg, Width: uint16(word)}, false)
	if e.Writes.Has(RSP) { // pop rsp
		e.Stack = StackOther
		e.write(RSP, 8, false)
		return
	}
	// The address of a destination in memory counts from the stack pointer behind.
	for i := range e.mem[:e.nmem] {
		if access := &e.mem[i]; access.Write && access.Mem.Base == RSP {
			access.Mem.Disp += int64(word)
		}
	}
	e.write(RSP, 8, false)
	e.Stack, e.StackDelta = StackMoved, int64(word)
}

func leaves(_ *Inst, e *Effects) {
	e.Reads |= Regs(RBP)
	e.write(RSP, 8, false)
	e.write(RBP, 8, false)
	e.access(Mem{Base: RBP, Index: NoReg, Width: 8}, false)
	e.Stack = StackOther
}

// enters: with a nesting level, further frame pointers are copied.
func enters(in *Inst, e *Effects) {
	e.Reads |= Regs(RBP, RSP)
	e.write(RSP, 8, false)
	e.write(RBP, 8, false)
	e.access(Mem{Base: RSP, Index: NoReg, Disp: -8, Width: 8}, true)
	e.Stack, e.StackDelta = StackMoved, -8-in.Args[0].Imm
	if level := in.Args[1].Imm & 31; level > 0 {
		e.AnyMemory = true
		e.StackDelta -= 8 * level
	}
}

func returns(in *Inst, e *Effects) {
	e.Reads |= Regs(RSP)
	e.write(RSP, 8, false)
	e.access(Mem{Base: RSP, Index: NoReg, Width: 8}, false)
	e.Stack, e.StackDelta = StackMoved, 8
	if in.Args[0].Kind == KindImm {
		e.StackDelta += in.Args[0].Imm
	}
}
