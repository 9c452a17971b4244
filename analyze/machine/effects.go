package machine

// Effects says what the instruction reads and changes.
func (in *Inst) Effects() Effects {
	r := in.rule
	switch {
	case r == nil: // the zero Inst
		return unknownEffects(^RegSet(0))
	case in.Op == OpUnknown:
		return unknownEffects(x86All)
	}
	e := Effects{Reads: r.reads, FlagsRead: r.fr, FlagsWritten: r.fw, FlagsKept: r.undef, Side: r.side, Flow: r.flow}
	for i := range in.Args {
		if in.Args[i].Kind == KindNone {
			break
		}
		use := byte('r')
		if i < len(r.args) {
			use = r.args[i]
		}
		e.operand(&in.Args[i], use)
	}
	for _, w := range r.writes {
		e.write(w.reg, int(w.size), false)
	}
	r.special.apply(in, &e)
	if e.Writes.Has(RSP) && e.Stack == StackSame {
		e.Stack = StackOther
		if o := &in.Args[1]; e.Whole.Has(RSP) && o.Kind == KindImm && (in.Op == Add || in.Op == Sub) {
			e.Stack, e.StackDelta = StackMoved, o.Imm
			if in.Op == Sub {
				e.StackDelta = -o.Imm
			}
		} else if m := o.Mem; in.Op == Address && e.Whole.Has(RSP) && m.Base == RSP && m.Index == NoReg && !m.Addr32 {
			e.Stack, e.StackDelta = StackMoved, m.Disp
		}
	}
	return e
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
	a, b := &in.Args[0], &in.Args[1]
	return a.Kind == KindReg && b.Kind == KindReg && a.Reg == b.Reg && a.Reg.Class == General
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
		o := &in.Args[i]
		if o.Kind == KindReg && o.Reg == (Reg{Num: RCX, Size: 1}) {
			e.FlagsKept = e.FlagsWritten
		}
		if last := i == len(in.Args)-1 || in.Args[i+1].Kind == KindNone; last && o.Kind == KindImm && o.Imm&31 == 0 {
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
		if o := &in.Args[i]; o.Kind == KindReg && o.Reg.Class == System {
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
		a := &e.mem[i]
		if a.Mem.Addr32 {
			size = 4
		}
		a.Repeat = in.Repeat
		step |= a.Mem.Regs()
	}
	for n := range step.All {
		e.write(n, size, false)
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
	n := wordOf(in)
	e.Reads |= Regs(RSP)
	e.write(RSP, 8, false)
	e.access(Mem{Base: RSP, Index: NoReg, Disp: int64(-n), Width: uint16(n)}, true)
	e.Stack, e.StackDelta = StackMoved, int64(-n)
	if in.Op == Call { // comes back
		e.Stack, e.StackDelta = StackSame, 0
	}
}

func pops(in *Inst, e *Effects) {
	n := wordOf(in)
	e.Reads |= Regs(RSP)
	e.access(Mem{Base: RSP, Index: NoReg, Width: uint16(n)}, false)
	if e.Writes.Has(RSP) { // pop rsp
		e.Stack = StackOther
		e.write(RSP, 8, false)
		return
	}
	// The address of a destination in memory counts from the stack pointer behind.
	for i := range e.mem[:e.nmem] {
		if a := &e.mem[i]; a.Write && a.Mem.Base == RSP {
			a.Mem.Disp += int64(n)
		}
	}
	e.write(RSP, 8, false)
	e.Stack, e.StackDelta = StackMoved, int64(n)
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
