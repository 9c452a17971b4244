package machine

import (
	"strings"

	"golang.org/x/arch/x86/x86asm"
)

// rule says what an instruction does. The letters of args stand for its
// explicit operands, in order:
//
//	r  read
//	w  written
//	x  read and written
//	a  of a memory operand, only the address is computed
//	-  not used at all
//
// An operand without a letter is read.
type rule struct {
	name    string // when it is not x86asm's
	op      Op
	cond    Cond
	args    string
	reads   RegSet     // implicitly
	writes  []implicit // implicitly
	fr, fw  Flags
	undef   Flags // of fw, those that the manuals leave undefined: a processor may keep them
	side    Side
	flow    Flow
	repeats bool  // rep prefixes repeat it
	width   uint8 // of a string instruction's element, bytes
	special special
}

// implicit is a register that an instruction writes without naming it.
type implicit struct {
	reg  Num
	size uint8
}

var x86Unknown = rule{op: OpUnknown}

// x86RuleOf finds the rule of an instruction that x86asm decoded.
func x86RuleOf(x *x86asm.Inst) *rule {
	if x.Op == x86asm.IMUL {
		return x86Imul(x)
	}
	if int(x.Op) < len(x86Rules) && x86Rules[x.Op] != nil {
		return x86Rules[x.Op]
	}
	for _, arg := range x.Args {
		if reg, ok := arg.(x86asm.Reg); ok && (reg >= x86asm.M0 && reg <= x86asm.M7 || reg >= x86asm.X0 &&
			reg <= x86asm.X31) {
			return &x86Vector
		}
	}
	return &x86Unknown
}

// imulRules are for IMUL with one, two and three operands.
var imulRules = [...]rule{
	{op: Multiply, fw: StatusFlags, undef: StatusFlags &^ (CF | OF), special: doAccumulate},
	{op: Multiply, args: "xr", fw: StatusFlags, undef: StatusFlags &^ (CF | OF)},
	{op: Multiply, args: "wrr", fw: StatusFlags, undef: StatusFlags &^ (CF | OF)},
}

func x86Imul(x *x86asm.Inst) *rule {
	operands := 0
	for operands < len(imulRules)-1 && x.Args[operands+1] != nil {
		operands++
	}
	return &imulRules[operands]
}

// x86Vector is the rule of an SSE or MMX instruction that names a vector
// register: it writes its first operand and reads the others. What differs
// (flags, implicit registers) is in the table.
var x86Vector = rule{op: OpOther, args: "wr", side: SideVector, special: doVectorDest}

// vectorDest: a general register that is written is written with its upper
// half; a memory operand of two-operand arithmetic is only ever a source.
func vectorDest(in *Inst, e *Effects) {
	for i := range in.Args {
		// The sizes that x86asm has for memory are not those of all forms.
		if in.Args[i].Kind == KindMem && in.Args[i].Mem.Width == 0 {
			e.AnyMemory = true
		}
	}
}

// x86Rules is the table, by x86asm's operations.
var x86Rules = buildX86Rules()

func buildX86Rules() []*rule {
	var table []*rule
	set := func(r rule, ops ...x86asm.Op) {
		for _, op := range ops {
			for int(op) >= len(table) {
				table = append(table, nil)
			}
			if table[op] != nil {
				panic("two rules for " + op.String())
			}
			narrow := r
			table[op] = &narrow
		}
	}
	dataRules(set)
	arithmeticRules(set)
	conditionRules(set)
	stringRules(set)
	stackRules(set)
	systemRules(set)
	vectorRules(set)
	return table
}

type setter func(rule, ...x86asm.Op)

func dataRules(set setter) {
	set(rule{op: Nop, args: "----"}, x86asm.NOP, x86asm.FNOP)
	set(rule{op: Move, args: "wr", special: doMoveSystem}, x86asm.MOV)
	set(rule{op: OpOther, args: "wr"}, x86asm.MOVBE, x86asm.MOVNTI)
	set(rule{op: MoveZero, args: "wr"}, x86asm.MOVZX)
	set(rule{op: MoveSign, args: "wr"}, x86asm.MOVSX, x86asm.MOVSXD)
	set(rule{op: Address, args: "wa"}, x86asm.LEA)
	set(rule{op: Exchange, args: "xx"}, x86asm.XCHG)
	set(rule{op: ExchangeAdd, args: "xx", fw: StatusFlags}, x86asm.XADD)
	set(rule{op: ByteSwap, args: "x"}, x86asm.BSWAP)
	set(rule{op: CompareExchange, args: "xr", fw: StatusFlags, special: doCompareExchange}, x86asm.CMPXCHG)
	set(rule{op: OpOther, args: "x", reads: Regs(RAX, RBX, RCX, RDX), fw: ZF, special: doCompareExchangePair}, x86asm.CMPXCHG8B, x86asm.CMPXCHG16B)
	set(rule{op: WidenHalf, reads: Regs(RAX), writes: []implicit{{RAX, 2}}}, x86asm.CBW)
	set(rule{op: WidenHalf, reads: Regs(RAX), writes: []implicit{{RAX, 4}}}, x86asm.CWDE)
	set(rule{op: WidenHalf, reads: Regs(RAX), writes: []implicit{{RAX, 8}}}, x86asm.CDQE)
	set(rule{op: WidenPair, reads: Regs(RAX), writes: []implicit{{RDX, 2}}}, x86asm.CWD)
	set(rule{op: WidenPair, reads: Regs(RAX), writes: []implicit{{RDX, 4}}}, x86asm.CDQ)
	set(rule{op: WidenPair, reads: Regs(RAX), writes: []implicit{{RDX, 8}}}, x86asm.CQO)
	set(rule{op: OpOther, args: "r", reads: Regs(RAX), special: doTranslate}, x86asm.XLATB)
	set(rule{op: Prefetch, args: "aaaa"}, x86asm.PREFETCHNTA, x86asm.PREFETCHT0, x86asm.PREFETCHT1, x86asm.PREFETCHT2, x86asm.PREFETCHW)
	set(rule{op: OpOther, writes: []implicit{{RAX, 1}}, reads: 0, special: doLoadFlags, fr: StatusFlags &^ OF}, x86asm.LAHF)
	set(rule{op: OpOther, reads: Regs(RAX), fw: StatusFlags &^ OF}, x86asm.SAHF)
	set(rule{op: OpOther, fw: CF}, x86asm.CLC, x86asm.STC)
	set(rule{op: OpOther, fr: CF, fw: CF}, x86asm.CMC)
	set(rule{op: OpOther, fw: DF}, x86asm.CLD, x86asm.STD)
}

func arithmeticRules(set setter) {
	two := func(op Op, fr Flags, ops ...x86asm.Op) {
		set(rule{op: op, args: "xr", fr: fr, fw: StatusFlags}, ops...)
	}
	two(Add, 0, x86asm.ADD)
	two(And, 0, x86asm.AND)
	two(Or, 0, x86asm.OR)
	two(AddCarry, CF, x86asm.ADC)
	set(rule{op: Sub, args: "xr", fw: StatusFlags, special: doZeroIdiom}, x86asm.SUB)
	set(rule{op: Xor, args: "xr", fw: StatusFlags, special: doZeroIdiom}, x86asm.XOR)
	set(rule{op: SubBorrow, args: "xr", fr: CF, fw: StatusFlags, special: doZeroIdiom}, x86asm.SBB)
	set(rule{op: Increment, args: "x", fw: StatusFlags &^ CF}, x86asm.INC)
	set(rule{op: Decrement, args: "x", fw: StatusFlags &^ CF}, x86asm.DEC)
	set(rule{op: Negate, args: "x", fw: StatusFlags}, x86asm.NEG)
	set(rule{op: Not, args: "x"}, x86asm.NOT)
	set(rule{op: Compare, args: "rr", fw: StatusFlags}, x86asm.CMP)
	set(rule{op: Test, args: "rr", fw: StatusFlags}, x86asm.TEST)
	shift := func(op Op, fr, fw Flags, ops ...x86asm.Op) {
		set(rule{op: op, args: "xr", fr: fr, fw: fw, undef: fw & (AF | OF), special: doShifted}, ops...)
	}
	shift(ShiftLeft, 0, StatusFlags, x86asm.SHL)
	shift(ShiftRight, 0, StatusFlags, x86asm.SHR)
	shift(ShiftRightArith, 0, StatusFlags, x86asm.SAR)
	shift(RotateLeft, 0, CF|OF, x86asm.ROL)
	shift(RotateRight, 0, CF|OF, x86asm.ROR)
	shift(OpOther, CF, CF|OF, x86asm.RCL, x86asm.RCR)
	set(rule{op: ShiftDouble, args: "xrr", fw: StatusFlags, undef: AF | OF, special: doShifted}, x86asm.SHLD, x86asm.SHRD)

	set(rule{op: Multiply, fw: StatusFlags, undef: StatusFlags &^ (CF | OF), special: doAccumulate}, x86asm.MUL)
	set(rule{op: Divide, fw: StatusFlags, undef: StatusFlags, special: doAccumulate}, x86asm.DIV, x86asm.IDIV)

	const bitFlags = StatusFlags &^ ZF
	set(rule{op: BitTest, args: "rr", fw: bitFlags, undef: bitFlags &^ CF, special: doBitString}, x86asm.BT)
	set(rule{op: BitSet, args: "xr", fw: bitFlags, undef: bitFlags &^ CF, special: doBitString}, x86asm.BTS)
	set(rule{op: BitReset, args: "xr", fw: bitFlags, undef: bitFlags &^ CF, special: doBitString}, x86asm.BTR)
	set(rule{op: BitFlip, args: "xr", fw: bitFlags, undef: bitFlags &^ CF, special: doBitString}, x86asm.BTC)
	// The destination stays when the source is zero (Intel SDM: undefined; what every processor does).
	set(rule{op: CountBits, args: "xr", fw: StatusFlags, undef: StatusFlags &^ ZF, special: doKeepsFirst}, x86asm.BSF, x86asm.BSR)
	set(rule{op: CountBits, args: "wr", fw: StatusFlags, undef: StatusFlags &^ (CF | ZF)}, x86asm.TZCNT, x86asm.LZCNT)
	set(rule{op: CountBits, args: "wr", fw: StatusFlags}, x86asm.POPCNT)
	set(rule{op: OpOther, args: "xr"}, x86asm.CRC32)
}

// conditionRules: jcc, setcc, cmovcc.
func conditionRules(set setter) {
	names := map[string]Cond{"O": CondO, "NO": CondNO, "B": CondB, "AE": CondAE, "E": CondE, "NE": CondNE, "BE": CondBE, "A": CondA,
		"S": CondS, "NS": CondNS, "P": CondP, "NP": CondNP, "L": CondL, "GE": CondGE, "LE": CondLE, "G": CondG}
	for op := x86asm.Op(1); !strings.HasPrefix(op.String(), "Op("); op++ {
		name := op.String()
		for _, kind := range []struct {
			prefix string
			r      rule
		}{
			{"J", rule{op: JumpIf, args: "r", flow: FlowCond}},
			{"CMOV", rule{op: MoveIf, args: "xr"}},
			{"SET", rule{op: SetIf, args: "w"}},
		} {
			rest, ok := strings.CutPrefix(name, kind.prefix)
			if cond, known := names[rest]; ok && known {
				kind.r.cond, kind.r.fr = cond, cond.Flags()
				set(kind.r, op)
			}
		}
	}
	set(rule{op: JumpIf, cond: CondCount, args: "r", flow: FlowCond, reads: Regs(RCX), writes: []implicit{{RCX, 8}}}, x86asm.LOOP)
	set(rule{op: JumpIf, cond: CondCount, args: "r", flow: FlowCond, reads: Regs(RCX), writes: []implicit{{RCX, 8}}, fr: ZF}, x86asm.LOOPE, x86asm.LOOPNE)
	set(rule{op: JumpIf, cond: CondCount, args: "r", flow: FlowCond, reads: Regs(RCX)}, x86asm.JRCXZ, x86asm.JECXZ, x86asm.JCXZ)
}

func stringRules(set setter) {
	each := func(r rule, ops ...x86asm.Op) {
		r.fr |= DF
		for i, op := range ops {
			r.repeats, r.special = true, doStringStep
			r.width = [...]uint8{1, 2, 4, 8}[i]
			set(r, op)
		}
	}
	each(rule{op: StringMove, args: "wr"}, x86asm.MOVSB, x86asm.MOVSW, x86asm.MOVSD, x86asm.MOVSQ)
	each(rule{op: StringStore, args: "wr"}, x86asm.STOSB, x86asm.STOSW, x86asm.STOSD, x86asm.STOSQ)
	each(rule{op: StringLoad, args: "wr"}, x86asm.LODSB, x86asm.LODSW, x86asm.LODSD, x86asm.LODSQ)
	each(rule{op: StringScan, args: "rr", fw: StatusFlags}, x86asm.SCASB, x86asm.SCASW, x86asm.SCASD, x86asm.SCASQ)
	each(rule{op: StringCompare, args: "rr", fw: StatusFlags}, x86asm.CMPSB, x86asm.CMPSW, x86asm.CMPSD, x86asm.CMPSQ)
	each(rule{op: OpOther, args: "wr", side: SidePort}, x86asm.INSB, x86asm.INSW, x86asm.INSD)
	each(rule{op: OpOther, args: "rr", side: SidePort}, x86asm.OUTSB, x86asm.OUTSW, x86asm.OUTSD)
}

func stackRules(set setter) {
	set(rule{op: Push, args: "r", special: doPushes}, x86asm.PUSH)
	set(rule{op: Pop, args: "w", special: doPops}, x86asm.POP)
	set(rule{op: PushFlags, fr: AllFlags, special: doPushes}, x86asm.PUSHF, x86asm.PUSHFD, x86asm.PUSHFQ)
	set(rule{op: PopFlags, fw: AllFlags, side: SideInterrupts, special: doPops}, x86asm.POPF, x86asm.POPFD, x86asm.POPFQ)
	set(rule{op: Leave, special: doLeaves}, x86asm.LEAVE)
	set(rule{op: OpOther, special: doEnters}, x86asm.ENTER)
	set(rule{op: Call, args: "r", flow: FlowCall, special: doPushes}, x86asm.CALL)
	set(rule{op: OpOther, args: "r", flow: FlowCall, side: SideSegment, special: doAnything}, x86asm.LCALL)
	set(rule{op: Jump, args: "r", flow: FlowJump}, x86asm.JMP)
	set(rule{op: Jump, args: "r", flow: FlowJump, side: SideSegment}, x86asm.LJMP)
	set(rule{op: Return, args: "r", flow: FlowReturn, special: doReturns}, x86asm.RET)
	set(rule{op: SystemReturn, args: "r", flow: FlowReturn, side: SideSegment, special: doAnything}, x86asm.LRET)
	set(rule{op: SystemReturn, flow: FlowReturn, fw: AllFlags, side: SideSegment | SideInterrupts | SideOrder, special: doAnything},
		x86asm.IRET, x86asm.IRETD, x86asm.IRETQ)
	set(rule{op: SystemReturn, flow: FlowReturn, reads: Regs(RCX, R11), fw: AllFlags, side: SideSegment | SideInterrupts}, x86asm.SYSRET)
	set(rule{op: SystemReturn, flow: FlowReturn, reads: Regs(RCX, RDX), side: SideSegment}, x86asm.SYSEXIT)
	set(rule{op: Trap, args: "----", flow: FlowTrap}, x86asm.UD0, x86asm.UD1, x86asm.UD2)
	set(rule{op: Interrupt, args: "r", flow: FlowTrap, special: doInterrupts}, x86asm.INT)
	set(rule{op: Interrupt, flow: FlowTrap, special: doAnything}, x86asm.INTO, x86asm.ICEBP)
	set(rule{op: OpOther, special: doAnything, fw: AllFlags, side: SideInterrupts}, x86asm.SYSCALL, x86asm.SYSENTER)
}

func systemRules(set setter) {
	out := func(regs ...Num) (w []implicit) {
		for _, reg := range regs {
			w = append(w, implicit{reg, 4})
		}
		return w
	}
	set(rule{op: DisableInterrupts, fw: IF, side: SideInterrupts}, x86asm.CLI)
	set(rule{op: EnableInterrupts, fw: IF, side: SideInterrupts}, x86asm.STI)
	set(rule{op: Halt, side: SideHalt | SideInterrupts}, x86asm.HLT)
	set(rule{op: Pause, side: SideOrder}, x86asm.PAUSE)
	set(rule{op: Fence, side: SideOrder}, x86asm.LFENCE, x86asm.MFENCE, x86asm.SFENCE)
	set(rule{op: OpOther, reads: Regs(RAX, RCX), writes: out(RAX, RBX, RCX, RDX), side: SideOrder}, x86asm.CPUID)
	set(rule{op: ReadClock, writes: out(RAX, RDX)}, x86asm.RDTSC)
	set(rule{op: OpOther, writes: out(RAX, RCX, RDX)}, x86asm.RDTSCP)
	set(rule{op: OpOther, reads: Regs(RCX), writes: out(RAX, RDX)}, x86asm.RDPMC)
	set(rule{op: OpOther, reads: Regs(RCX), writes: out(RAX, RDX), side: SideMSR}, x86asm.RDMSR)
	set(rule{op: OpOther, reads: Regs(RAX, RCX, RDX), side: SideMSR | SideOrder}, x86asm.WRMSR)
	set(rule{op: OpOther, reads: Regs(RCX), writes: out(RAX, RDX)}, x86asm.XGETBV)
	set(rule{op: OpOther, reads: Regs(RAX, RCX, RDX), side: SideSystem}, x86asm.XSETBV)
	set(rule{op: OpOther, args: "w", fw: StatusFlags}, x86asm.RDRAND)
	set(rule{op: OpOther, args: "w", side: SideSegment}, x86asm.RDFSBASE, x86asm.RDGSBASE)
	set(rule{op: OpOther, args: "r", side: SideSegment}, x86asm.WRFSBASE, x86asm.WRGSBASE)
	set(rule{op: OpOther, side: SideSegment}, x86asm.SWAPGS)
	set(rule{op: OpOther, args: "wr", side: SidePort}, x86asm.IN)
	set(rule{op: OpOther, args: "rr", side: SidePort}, x86asm.OUT)
	set(rule{op: OpOther, side: SideSystem}, x86asm.CLTS, x86asm.INVD, x86asm.WBINVD)
	set(rule{op: OpOther, args: "a", side: SideSystem}, x86asm.INVLPG, x86asm.CLFLUSH)
	set(rule{op: OpOther, args: "rr", side: SideSystem}, x86asm.INVPCID)
	set(rule{op: OpOther, args: "r", side: SideSystem}, x86asm.LGDT, x86asm.LIDT, x86asm.LLDT, x86asm.LTR, x86asm.LMSW)
	set(rule{op: OpOther, args: "w", special: doStoresTable}, x86asm.SGDT, x86asm.SIDT, x86asm.SLDT, x86asm.STR, x86asm.SMSW)
	set(rule{op: OpOther, args: "r", fw: ZF}, x86asm.VERR, x86asm.VERW)
	set(rule{op: OpOther, args: "xr", fw: ZF, special: doKeepsFirst}, x86asm.LAR, x86asm.LSL)
	set(rule{op: OpOther, args: "wr", side: SideSegment}, x86asm.LSS, x86asm.LFS, x86asm.LGS)
	set(rule{op: OpOther, reads: Regs(RAX, RCX, RDX)}, x86asm.MONITOR)
	set(rule{op: OpOther, reads: Regs(RAX, RCX), side: SideHalt}, x86asm.MWAIT)
	set(rule{op: OpOther, special: doAnything}, x86asm.XBEGIN, x86asm.XABORT, x86asm.RSM)
	set(rule{op: OpOther}, x86asm.XEND)
	set(rule{op: OpOther, fw: StatusFlags}, x86asm.XTEST)
}

func vectorRules(set setter) {
	state := func(args string, side Side, ops ...x86asm.Op) {
		set(rule{op: OpOther, args: args, reads: Regs(RAX, RDX), side: side, special: doStateArea}, ops...)
	}
	state("x", 0, x86asm.XSAVE, x86asm.XSAVE64, x86asm.XSAVEC, x86asm.XSAVEC64, x86asm.XSAVEOPT, x86asm.XSAVEOPT64, x86asm.XSAVES, x86asm.XSAVES64)
	state("r", SideVector, x86asm.XRSTOR, x86asm.XRSTOR64, x86asm.XRSTORS, x86asm.XRSTORS64)
	set(rule{op: OpOther, args: "w", special: doStateArea}, x86asm.FXSAVE, x86asm.FXSAVE64, x86asm.FNSAVE, x86asm.FNSTENV)
	set(rule{op: OpOther, args: "r", side: SideVector, special: doStateArea}, x86asm.FXRSTOR, x86asm.FXRSTOR64, x86asm.FRSTOR, x86asm.FLDENV)
	set(rule{op: OpOther, args: "r", side: SideVector}, x86asm.LDMXCSR)
	set(rule{op: OpOther, args: "w"}, x86asm.STMXCSR)
	set(rule{op: OpOther, side: SideVector}, x86asm.EMMS, x86asm.FNINIT, x86asm.FNCLEX, x86asm.FWAIT)

	// x87: the memory operand is a source, but for stores.
	for op := x86asm.Op(1); !strings.HasPrefix(op.String(), "Op("); op++ {
		name := op.String()
		made := rule{op: OpOther, args: "rr", side: SideVector}
		switch {
		case name[0] != 'F' || x87Others[name]:
			continue
		case strings.HasPrefix(name, "FST") || strings.HasPrefix(name, "FIST") || name == "FBSTP" || name == "FNSTCW" || name == "FNSTSW":
			made.args = "w"
		case strings.HasPrefix(name, "FCMOV"):
			made.fr = StatusFlags
		case strings.HasPrefix(name, "FCOMI") || strings.HasPrefix(name, "FUCOMI"):
			made.fw = StatusFlags
		}
		set(made, op)
	}
	set(rule{op: OpOther, args: "rr", fw: StatusFlags}, x86asm.COMISD, x86asm.COMISS, x86asm.UCOMISD, x86asm.UCOMISS, x86asm.PTEST)
	set(rule{op: OpOther, args: "rrr", fw: StatusFlags, writes: []implicit{{RCX, 4}}}, x86asm.PCMPISTRI)
	set(rule{op: OpOther, args: "rrr", fw: StatusFlags, side: SideVector}, x86asm.PCMPISTRM)
	set(rule{op: OpOther, args: "rrr", fw: StatusFlags, reads: Regs(RAX, RDX), writes: []implicit{{RCX, 4}}}, x86asm.PCMPESTRI)
	set(rule{op: OpOther, args: "rrr", fw: StatusFlags, reads: Regs(RAX, RDX), side: SideVector}, x86asm.PCMPESTRM)
	set(rule{op: OpOther, args: "rr", special: doMaskedStore}, x86asm.MASKMOVQ, x86asm.MASKMOVDQU)
}

// x87Others have names with an F and rules of their own.
var x87Others = map[string]bool{"FXSAVE": true, "FXSAVE64": true, "FNSAVE": true, "FNSTENV": true, "FXRSTOR": true, "FXRSTOR64": true,
	"FRSTOR": true, "FLDENV": true, "FNINIT": true, "FNCLEX": true, "FWAIT": true, "FNOP": true}
