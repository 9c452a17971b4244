package machine

import (
	"debug/elf"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/arch/x86/x86asm"

	"github.com/klpforge/klpforge/elfobj"
)

// General registers of x86-64.
const (
	RAX Num = iota
	RCX
	RDX
	RBX
	RSP
	RBP
	RSI
	RDI
	R8
	R9
	R10
	R11
	R12
	R13
	R14
	R15
)

// X86 is x86-64.
var X86 Arch = x86{}

type x86 struct{}

const x86All RegSet = 0xffff

func (x86) Name() string         { return "x86" }
func (x86) Machine() elf.Machine { return elf.EM_X86_64 }
func (x86) Registers() RegSet    { return x86All }

func (x86) RegName(n Num) string {
	if n < 0 || n > R15 {
		return "?"
	}
	return x86Names[3][n]
}

// x86Names by the size of what is named: 1, 2, 4 and 8 bytes.
var x86Names = [4][16]string{
	{"al", "cl", "dl", "bl", "spl", "bpl", "sil", "dil"},
	{"ax", "cx", "dx", "bx", "sp", "bp", "si", "di"},
	{"eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi"},
	{"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15"},
}

func (x86) operand(o *Operand) string {
	switch o.Kind {
	case KindReg:
		return x86RegName(o.Reg)
	case KindImm:
		return hex(o.Imm)
	case KindRel:
		return "." + fmt.Sprintf("%+d", o.Imm)
	case KindMem:
		return x86MemName(o.Mem)
	}
	return ""
}

func x86RegName(r Reg) string {
	num := int(r.Num)
	switch {
	case r.Class == Vector:
		return map[uint8]string{8: "mm", 10: "st"}[r.Size] + map[uint8]string{16: "xmm"}[r.Size] + strconv.Itoa(num)
	case r.Class == Segment:
		return [...]string{"es", "cs", "ss", "ds", "fs", "gs"}[num]
	case r.Class == System:
		return fmt.Sprintf("sys%d", num)
	case r.High:
		return [...]string{"ah", "ch", "dh", "bh"}[num&3]
	case num >= 8 && r.Size < 8:
		return x86Names[3][num] + map[uint8]string{1: "b", 2: "w", 4: "d"}[r.Size]
	case r.Size == 1:
		return x86Names[0][num]
	case r.Size == 2:
		return x86Names[1][num]
	case r.Size == 4:
		return x86Names[2][num]
	}
	return x86Names[3][num]
}

func x86MemName(m Mem) string {
	var parts []string
	names := x86Names[3]
	if m.Base != NoReg {
		parts = append(parts, names[m.Base])
	}
	if m.PC {
		parts = append(parts, "rip")
	}
	if m.Index != NoReg {
		parts = append(parts, fmt.Sprintf("%d*%s", m.Scale, names[m.Index]))
	}
	text := strings.Join(parts, "+")
	if m.Disp != 0 || text == "" {
		if text != "" && m.Disp > 0 {
			text += "+"
		}
		text += hex(m.Disp)
	}
	return fmt.Sprintf("%d%s[%s]", m.Width, [...]string{"", " fs:", " gs:"}[m.Seg], text)
}

// elfX86 knows lengths of what x86asm does not.
var elfX86 = func() elfobj.Arch {
	a, err := elfobj.ArchOf(elf.EM_X86_64)
	if err != nil {
		panic(err)
	}
	return a
}()

// Decode asks x86asm, but for what it does not know: VEX and EVEX encodings
// (vex.go) and late additions (extra.go).
func (a x86) Decode(code []byte, addr uint64) (Inst, error) {
	if in, ok := x86Branch(code); ok {
		in.Addr, in.arch = addr, a
		return in, nil
	}
	if in, ok := x86Vex(code); ok {
		in.Addr, in.arch = addr, a
		return in, nil
	}
	// x86asm (v0.32) takes RDRAND with REX.W for one of 32 bits.
	if in, ok := x86Random(code); ok {
		in.Addr, in.arch = addr, a
		return in, nil
	}
	native, err := x86asm.Decode(code, 64)
	// Without an operation it saw only the prefixes of something unknown.
	if err == nil && native.Op != 0 && native.Len > 0 && native.Len <= len(code) {
		in := x86FromNative(&native)
		in.Addr, in.arch = addr, a
		return in, nil
	}
	if in, ok := x86Extra(code); ok {
		in.Addr, in.arch = addr, a
		return in, nil
	}
	insn, err := elfX86.Decode(code)
	if err != nil {
		return Inst{}, err
	}
	return Inst{Addr: addr, Len: insn.Len, Name: "(unknown)", rule: &x86Unknown, arch: a}, nil
}

// x86OpNames are the names of x86asm's operations as the kernel spells them.
var x86OpNames = func() (names []string) {
	for op := x86asm.Op(0); op < x86asm.Op(len(x86Rules)) || !strings.HasPrefix(op.String(), "Op("); op++ {
		names = append(names, strings.ToLower(op.String()))
	}
	return names
}()

func x86FromNative(x *x86asm.Inst) Inst {
	in := Inst{Len: x.Len, rule: x86RuleOf(x)}
	in.Op, in.Cond, in.Name = in.rule.op, in.rule.cond, in.rule.name
	if in.Name == "" && int(x.Op) < len(x86OpNames) {
		in.Name = x86OpNames[x.Op]
	}
	for _, prefix := range x.Prefix {
		if prefix == 0 {
			break
		}
		switch prefix & 0xff {
		case x86asm.PrefixLOCK:
			in.Lock = true
		case x86asm.PrefixREP & 0xff:
			in.Repeat = in.rule.repeats
		case x86asm.PrefixREPN & 0xff:
			in.Repeat, in.RepeatNZ = in.rule.repeats, in.rule.repeats
		}
	}
	for i, arg := range x.Args {
		if arg == nil || i == len(in.Args) {
			break
		}
		in.Args[i] = x86Operand(x, arg)
	}
	in.Size = x86Size(&in, x.DataSize/8)
	in.word = x.DataSize == 16
	// String instructions name their memory; how wide it is stands in their name.
	if in.rule.width > 0 {
		in.Size = in.rule.width
		for i := range in.Args {
			in.Args[i].Mem.Width = uint16(in.rule.width)
		}
	}
	if x.AddrSize == 32 {
		for i := range in.Args {
			in.Args[i].Mem.Addr32 = true
		}
	}
	return in
}

// x86Size is the size of an operation: that of its first operand that has one.
func x86Size(in *Inst, otherwise int) uint8 {
	for i := range in.Args {
		switch operand := &in.Args[i]; operand.Kind {
		case KindReg:
			return operand.Reg.Size
		case KindMem:
			if operand.Mem.Width > 0 && operand.Mem.Width <= 64 {
				return uint8(operand.Mem.Width)
			}
		}
	}
	return uint8(otherwise)
}

func x86Operand(x *x86asm.Inst, a x86asm.Arg) Operand {
	switch arg := a.(type) {
	case x86asm.Reg:
		return Operand{Kind: KindReg, Reg: x86Reg(arg)}
	case x86asm.Imm:
		return Operand{Kind: KindImm, Imm: int64(arg)}
	case x86asm.Rel:
		return Operand{Kind: KindRel, Imm: int64(arg)}
	case x86asm.Mem:
		mem := Mem{Base: NoReg, Index: NoReg, Scale: arg.Scale, Disp: arg.Disp, Width: uint16(x.MemBytes)}
		switch arg.Segment {
		case x86asm.FS:
			mem.Seg = SegFS
		case x86asm.GS:
			mem.Seg = SegGS
		}
		if arg.Base == x86asm.RIP || arg.Base == x86asm.EIP {
			mem.PC = true
		} else if arg.Base != 0 {
			mem.Base = x86Reg(arg.Base).Num
		}
		if arg.Index != 0 {
			mem.Index = x86Reg(arg.Index).Num
		} else {
			mem.Scale = 0
		}
		// x86asm leaves displacements of 4 bytes unsigned (v0.32).
		if mem.Disp>>31 == 1 {
			mem.Disp = int64(int32(mem.Disp))
		}
		return Operand{Kind: KindMem, Mem: mem}
	}
	return Operand{}
}

func x86Reg(r x86asm.Reg) Reg {
	switch {
	case r >= x86asm.AL && r <= x86asm.BL:
		return Reg{Num: Num(r - x86asm.AL), Size: 1}
	case r >= x86asm.AH && r <= x86asm.BH:
		return Reg{Num: Num(r - x86asm.AH), Size: 1, High: true}
	case r >= x86asm.SPB && r <= x86asm.DIB:
		return Reg{Num: Num(r-x86asm.SPB) + RSP, Size: 1}
	case r >= x86asm.R8B && r <= x86asm.R15B:
		return Reg{Num: Num(r-x86asm.R8B) + R8, Size: 1}
	case r >= x86asm.AX && r <= x86asm.R15W:
		return Reg{Num: Num(r - x86asm.AX), Size: 2}
	case r >= x86asm.EAX && r <= x86asm.R15L:
		return Reg{Num: Num(r - x86asm.EAX), Size: 4}
	case r >= x86asm.RAX && r <= x86asm.R15:
		return Reg{Num: Num(r - x86asm.RAX), Size: 8}
	case r >= x86asm.F0 && r <= x86asm.F7:
		return Reg{Class: Vector, Num: Num(r - x86asm.F0), Size: 10}
	case r >= x86asm.M0 && r <= x86asm.M7:
		return Reg{Class: Vector, Num: Num(r - x86asm.M0), Size: 8}
	case r >= x86asm.X0 && r <= x86asm.X31:
		return Reg{Class: Vector, Num: Num(r - x86asm.X0), Size: 16}
	case r >= x86asm.ES && r <= x86asm.GS:
		return Reg{Class: Segment, Num: Num(r - x86asm.ES), Size: 2}
	}
	return Reg{Class: System, Num: Num(r & 15), Size: 8}
}
