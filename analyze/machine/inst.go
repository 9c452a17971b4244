package machine

import (
	"math/bits"
	"strconv"
	"strings"
)

// Num is the number of a general register, as the architecture encodes it:
// 0 to 15 on x86-64. NoReg is none.
type Num int8

// NoReg is the absence of a register.
const NoReg Num = -1

// RegSet is a set of general registers.
type RegSet uint64

// Regs makes a set.
func Regs(nums ...Num) RegSet {
	var set RegSet
	for _, reg := range nums {
		if reg >= 0 {
			set |= 1 << reg
		}
	}
	return set
}

// Has reports whether a register is in the set.
func (s RegSet) Has(n Num) bool { return n >= 0 && s>>n&1 == 1 }

// Len counts the registers.
func (s RegSet) Len() int { return bits.OnesCount64(uint64(s)) }

// All calls yield with each register, ascending.
func (s RegSet) All(yield func(Num) bool) {
	for s != 0 {
		reg := Num(bits.TrailingZeros64(uint64(s)))
		if !yield(reg) {
			return
		}
		s &= s - 1
	}
}

// Class is the kind of a register.
type Class uint8

const (
	General Class = iota
	Vector        // SSE, AVX, MMX, x87 and mask registers
	Segment       // segment registers
	System        // control, debug and the like
)

// Reg is a register operand.
type Reg struct {
	Class Class
	Num   Num   // among its class
	Size  uint8 // bytes that the instruction reads or writes of it
	High  bool  // the second byte of the register (AH, CH, DH, BH)
}

// Mask is the bits of the register that the operand names.
func (r Reg) Mask() uint64 {
	switch {
	case r.High:
		return 0xff00
	case r.Size >= 8:
		return ^uint64(0)
	}
	return 1<<(8*r.Size) - 1
}

// SegReg tells the segments apart whose base is not zero.
type SegReg uint8

const (
	SegNone SegReg = iota // base zero
	SegFS
	SegGS // per-CPU data in the kernel
)

// Mem is a memory operand: segment base + Base + Index*Scale + Disp. PC says
// that Disp counts from the end of the instruction.
type Mem struct {
	Base, Index Num
	Scale       uint8
	Seg         SegReg
	PC          bool
	Addr32      bool   // the sum is cut to 32 bits
	Width       uint16 // bytes accessed, 0 when not known
	Disp        int64
}

// Regs are the registers that make up the address.
func (m Mem) Regs() RegSet { return Regs(m.Base, m.Index) }

// Kind is the kind of an operand.
type Kind uint8

const (
	KindNone Kind = iota
	KindReg
	KindMem
	KindImm
	KindRel // distance of a branch from the end of the instruction
)

// Operand is one operand. Imm is the value of KindImm, sign-extended as the
// instruction does it, and the distance of KindRel.
type Operand struct {
	Kind Kind
	Reg  Reg
	Mem  Mem
	Imm  int64
}

// General returns the number and the size of a general register operand.
func (o *Operand) General() (n Num, size int, ok bool) {
	if o.Kind != KindReg || o.Reg.Class != General {
		return NoReg, 0, false
	}
	return o.Reg.Num, int(o.Reg.Size), true
}

// Width is how many bytes of its register or of memory an operand names, 0 when
// that is not known and for other operands.
func (o *Operand) Width() int {
	switch o.Kind {
	case KindReg:
		return int(o.Reg.Size)
	case KindMem:
		return int(o.Mem.Width)
	}
	return 0
}

// Flags are the condition flags, as bits of RFLAGS on x86-64.
type Flags uint32

const (
	CF Flags = 1 << 0
	PF Flags = 1 << 2
	AF Flags = 1 << 4
	ZF Flags = 1 << 6
	SF Flags = 1 << 7
	TF Flags = 1 << 8
	IF Flags = 1 << 9
	DF Flags = 1 << 10
	OF Flags = 1 << 11
	AC Flags = 1 << 18

	// StatusFlags are what arithmetic sets.
	StatusFlags = CF | PF | AF | ZF | SF | OF
	// AllFlags are all of them.
	AllFlags = StatusFlags | TF | IF | DF | AC
)

func (f Flags) String() string {
	var words []string
	for _, flag := range []struct {
		f    Flags
		name string
	}{{CF, "CF"}, {PF, "PF"}, {AF, "AF"}, {ZF, "ZF"}, {SF, "SF"}, {TF, "TF"}, {IF, "IF"}, {DF, "DF"}, {OF, "OF"}, {AC, "AC"}} {
		if f&flag.f != 0 {
			words = append(words, flag.name)
		}
	}
	return strings.Join(words, "|")
}

// Side are effects beyond registers, flags and memory.
type Side uint16

const (
	SideInterrupts Side = 1 << iota // may enable or disable interrupts
	SideMSR                         // reads or writes a model-specific register
	SidePort                        // input or output
	SideSegment                     // changes a segment register or a segment's base
	SideSystem                      // control or debug registers, descriptor tables, address translation, caches
	SideVector                      // changes vector, x87 or mask registers
	SideHypervisor                  // leaves for the hypervisor or firmware, or enters a guest
	SideOrder                       // a fence, or serialises
	SideHalt                        // may stop executing until an interrupt or an event
)

// Flow is where execution goes on.
type Flow uint8

const (
	FlowNext   Flow = iota // behind the instruction
	FlowJump               // to the operand
	FlowCond               // to the operand, or behind the instruction
	FlowCall               // to the operand; comes back behind the instruction
	FlowReturn             // to where the stack or the processor says
	FlowTrap               // into an exception: INT, UD2, BUG
)

// Access is one access to memory.
type Access struct {
	// Mem is where, with the registers as they were before the instruction. A
	// Width of 0 says that the extent is not known, to either side.
	Mem   Mem
	Write bool // else it reads
	// Repeat: as often as the count register says, upwards or downwards from Mem.
	Repeat bool
}

// StackChange says what becomes of the stack pointer.
type StackChange uint8

const (
	StackSame  StackChange = iota
	StackMoved             // by Effects.StackDelta
	StackOther             // to something else: loaded, aligned, or computed
)

// Effects say what an instruction reads and changes.
type Effects struct {
	// Unknown: nothing is known of the instruction. The other fields say so too:
	// every register and flag is read and written.
	Unknown bool

	Reads  RegSet // registers of which some bit counts, for addresses too
	Writes RegSet // registers of which some bit may change

	// What is written of the registers in Writes; each is in exactly one set.
	Whole RegSet // all bits
	Zext  RegSet // the lower 32 bits; the upper become zero
	Word  RegSet // the lower 16 bits, the others stay
	Byte  RegSet // the lower 8 bits, the others stay
	High  RegSet // bits 8 to 15, the others stay
	// Maybe are those of Writes that may also stay as they were, with all bits.
	Maybe RegSet

	FlagsRead    Flags
	FlagsWritten Flags // also what becomes undefined
	FlagsKept    Flags // those of FlagsWritten that may also stay as they were

	mem  [3]Access
	nmem uint8
	// AnyMemory: memory may be read and written that no Access names.
	AnyMemory bool

	Stack      StackChange
	StackDelta int64

	Side Side
	Flow Flow
}

// Memory lists the accesses, in the order they are made.
func (e *Effects) Memory() []Access { return e.mem[:e.nmem] }

// WritesMemory reports whether memory may be changed.
func (e *Effects) WritesMemory() bool {
	for _, access := range e.Memory() {
		if access.Write {
			return true
		}
	}
	return e.AnyMemory
}

// WrittenBits are the bits of a register that may change.
func (e *Effects) WrittenBits(n Num) uint64 {
	switch {
	case e.Whole.Has(n), e.Zext.Has(n):
		return ^uint64(0)
	case e.Word.Has(n):
		return 0xffff
	case e.Byte.Has(n):
		return 0xff
	case e.High.Has(n):
		return 0xff00
	}
	return 0
}

// Replaced are the registers whose value afterwards has nothing to do with
// what they held before.
func (e *Effects) Replaced() RegSet { return (e.Whole | e.Zext) &^ e.Reads &^ e.Maybe }

func (e *Effects) access(m Mem, write bool) {
	if int(e.nmem) == len(e.mem) {
		e.AnyMemory = true
		return
	}
	e.mem[e.nmem] = Access{Mem: m, Write: write}
	e.nmem++
}

// write notes that size bytes of a register change.
func (e *Effects) write(n Num, size int, high bool) {
	bit := Regs(n)
	e.Writes |= bit
	set := &e.Whole
	switch {
	case high:
		set = &e.High
	case size == 4:
		set = &e.Zext
	case size == 2:
		set = &e.Word
	case size == 1:
		set = &e.Byte
	}
	if have := (e.Whole | e.Zext | e.Word | e.Byte | e.High) & bit; have != 0 && have&*set == 0 {
		// Written twice, in different parts (xchg al, ah): all of it, and kept in part.
		e.Zext, e.Word, e.Byte, e.High = e.Zext&^bit, e.Word&^bit, e.Byte&^bit, e.High&^bit
		e.Whole |= bit
		e.Reads |= bit
		return
	}
	*set |= bit
}

// Op is what an instruction does, as far as analyses compute with it.
type Op uint8

const (
	OpUnknown Op = iota // only the effects count, and they are Unknown
	OpOther             // only the effects count
	Nop
	Landing  // marks where indirect branches may lead to
	Prefetch // reads nothing, whatever its operand
	Fence
	Pause
	Halt
	ReadClock
	DisableInterrupts
	EnableInterrupts
	Move     // Args[0] = Args[1]
	MoveZero // the same, zero-extended
	MoveSign // the same, sign-extended
	MoveIf   // the same, when Cond
	SetIf    // Args[0] = Cond
	Address  // Args[0] = address of Args[1]
	Add      // Args[0] = Args[0] + Args[1]
	AddCarry
	Sub
	SubBorrow
	Increment
	Decrement
	Negate
	Not
	And
	Or
	Xor
	ShiftLeft
	ShiftRight      // unsigned
	ShiftRightArith // signed
	RotateLeft
	RotateRight
	Multiply // low part: Args[0] *= Args[1], or Args[0] = Args[1]*Args[2]; with one operand: the accumulator's pair
	Divide
	Compare         // flags of Args[0] - Args[1]
	Test            // flags of Args[0] & Args[1]
	BitTest         // flags of bit Args[1] of Args[0]
	BitSet          // and sets it
	BitReset        // and clears it
	BitFlip         // and flips it
	Exchange        // of both operands
	ExchangeAdd     // and Args[0] becomes the sum
	CompareExchange // with the accumulator
	Push
	Pop
	PushFlags
	PopFlags
	Leave // stack pointer = frame pointer, then pops the frame pointer
	ByteSwap
	ShiftDouble // Args[0], filled from Args[1], by Args[2]
	CountBits   // Args[0] = position of a bit of Args[1], or how many are set
	WidenHalf   // accumulator: lower half sign-extended into all of Size
	WidenPair   // accumulator's sign fills the pair's upper half
	StringMove
	StringStore
	StringLoad
	StringCompare
	StringScan
	Jump
	JumpIf
	Call
	Return       // to the caller
	SystemReturn // to other code than a caller: from an interrupt, to a user
	Trap         // faults: no way on, unless the kernel says so
	Interrupt    // a software interrupt, breakpoints among them
	nops
)

// Cond is a condition on flags, numbered as x86 encodes it.
type Cond uint8

const (
	CondO Cond = iota
	CondNO
	CondB
	CondAE
	CondE
	CondNE
	CondBE
	CondA
	CondS
	CondNS
	CondP
	CondNP
	CondL
	CondGE
	CondLE
	CondG
	CondCount // the count register, perhaps with ZF (LOOP, JRCXZ)
)

// Not is the condition that holds when c does not. CondCount has none.
func (c Cond) Not() Cond { return c ^ 1 }

// Basic takes a condition apart into one of CondO, CondB, CondE, CondBE, CondS,
// CondP, CondL and CondLE, and whether its contrary is meant.
func (c Cond) Basic() (basic Cond, contrary bool) { return c &^ 1, c&1 == 1 }

// Swapped is the condition on a comparison of b with a that c is on one of a with
// b. ok is false where there is none: the sign, overflow and parity of a-b are not those of
// b-a.
func (c Cond) Swapped() (swapped Cond, ok bool) {
	switch c {
	case CondE, CondNE:
		return c, true
	case CondB:
		return CondA, true
	case CondA:
		return CondB, true
	case CondAE:
		return CondBE, true
	case CondBE:
		return CondAE, true
	case CondL:
		return CondG, true
	case CondG:
		return CondL, true
	case CondGE:
		return CondLE, true
	case CondLE:
		return CondGE, true
	}
	return 0, false
}

// Flags are the flags that a condition depends on.
func (c Cond) Flags() Flags {
	switch c &^ 1 {
	case CondO:
		return OF
	case CondB:
		return CF
	case CondE:
		return ZF
	case CondBE:
		return CF | ZF
	case CondS:
		return SF
	case CondP:
		return PF
	case CondL:
		return SF | OF
	case CondLE:
		return SF | OF | ZF
	}
	return StatusFlags
}

// Inst is one decoded instruction.
type Inst struct {
	Addr uint64
	Len  int
	Op   Op
	Cond Cond  // of MoveIf, SetIf, JumpIf
	Size uint8 // bytes of the operation
	// Lock and Repeat are the prefixes; RepeatNZ repeats while not equal.
	Lock, Repeat, RepeatNZ bool
	Name                   string // of the instruction, in the architecture's words
	Args                   [4]Operand

	word bool // a push or pop without explicit operand has the operand prefix
	rule *rule
	arch Arch
}

// Known reports whether anything is known of the instruction but its length.
func (in *Inst) Known() bool { return in.Op != OpUnknown }

// Hint reports whether the instruction does nothing that a program sees, also
// with its memory operand.
func (in *Inst) Hint() bool { return in.Op == Nop || in.Op == Landing || in.Op == Prefetch }

// IsString reports whether the instruction works on an element of a string, or on
// as many as a register counts.
func (in *Inst) IsString() bool { return in.rule != nil && in.rule.special == doStringStep }

// Conditional reports whether the instruction jumps, perhaps, by a condition on
// the flags.
func (in *Inst) Conditional() bool { return in.Op == JumpIf && in.Cond != CondCount }

// Next is the address behind the instruction.
func (in *Inst) Next() uint64 { return in.Addr + uint64(in.Len) }

// Target is where a direct branch leads.
func (in *Inst) Target() (uint64, bool) {
	if in.Args[0].Kind != KindRel {
		return 0, false
	}
	return in.Next() + uint64(in.Args[0].Imm), true
}

// FixedAddr is the address of a memory operand without registers, without the
// base of its segment; an offset in a segment is not sign-extended.
func (in *Inst) FixedAddr(m Mem) (uint64, bool) {
	switch {
	case m.Base != NoReg || m.Index != NoReg:
		return 0, false
	case m.PC:
		return in.Next() + uint64(m.Disp), true
	case m.Seg != SegNone && m.Disp < 0:
		return uint64(uint32(m.Disp)), true
	}
	return uint64(m.Disp), true
}

// Writes reports whether the instruction writes its i-th operand.
func (in *Inst) Writes(i int) bool {
	if in.rule == nil || i >= len(in.rule.args) || in.Args[i].Kind == KindNone {
		return false
	}
	use := in.rule.args[i]
	return use == 'w' || use == 'x'
}

func (in *Inst) String() string {
	var text strings.Builder
	if in.Lock {
		text.WriteString("lock ")
	}
	switch {
	case in.RepeatNZ:
		text.WriteString("repne ")
	case in.Repeat:
		text.WriteString("rep ")
	}
	text.WriteString(in.Name)
	for i := range in.Args {
		if in.Args[i].Kind == KindNone {
			break
		}
		text.WriteString([]string{" ", ", ", ", ", ", "}[i])
		text.WriteString(in.arch.operand(&in.Args[i]))
	}
	return text.String()
}

// hex writes a displacement or a value with its sign.
func hex(v int64) string {
	if v < 0 {
		return "-0x" + strconv.FormatUint(uint64(-v), 16)
	}
	return "0x" + strconv.FormatInt(v, 16)
}
