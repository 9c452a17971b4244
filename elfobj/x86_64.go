package elfobj

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"fmt"
	"slices"

	"golang.org/x/arch/x86/x86asm"
)

type amd64 struct{}

func (amd64) Merge(f *File, id SecID) []Reloc { return f.Sections[id].Relocs }
func (amd64) Name() string                    { return "x86_64" }
func (amd64) BigEndian() bool                 { return false }

func (amd64) PCRelative(t uint32) bool {
	switch elf.R_X86_64(t) {
	case elf.R_X86_64_PC32, elf.R_X86_64_PLT32, elf.R_X86_64_PC64, elf.R_X86_64_PC16, elf.R_X86_64_PC8,
		elf.R_X86_64_GOTPCREL, elf.R_X86_64_GOTPCRELX, elf.R_X86_64_REX_GOTPCRELX:
		return true
	}
	return false
}

func (amd64) Width(t uint32) int {
	switch elf.R_X86_64(t) {
	case elf.R_X86_64_64, elf.R_X86_64_PC64:
		return 8
	case elf.R_X86_64_16, elf.R_X86_64_PC16:
		return 2
	case elf.R_X86_64_8, elf.R_X86_64_PC8:
		return 1
	case elf.R_X86_64_NONE:
		return 0
	}
	return 4
}

func (amd64) RelocName(t uint32) string { return elf.R_X86_64(t).String() }

// Known is true for all: the psABI's types are whole fields, of 4 bytes where
// Width does not say otherwise.
func (amd64) Known(uint32) bool { return true }

func (a amd64) Clear(field []byte, t uint32) { clear(field[:a.Width(t)]) }

// Outside: the loader reaches all of the kernel with 32 bits. Short jumps go
// over NearJump.
func (amd64) Outside([]byte, Reloc) error { return nil }

// AltEntries: struct alt_instr of arch/x86/include/asm/alternative.h. v5.10.13 says how much
// of the code is padding in a further byte; v5.10.262 and v6.1 find that out.
func (amd64) AltEntries() []AltEntry {
	return []AltEntry{{12, 10, 11, "v5.10.262 and v6.1 (x86)"}, {14, 12, 13, "v6.12 (x86)"},
		{13, 10, 11, "v5.10.13 (x86)"}}
}

// Linked: displacements count from the end of the instruction, which the field does not tell.
func (amd64) Linked([]byte, uint32, uint64) (value, known uint64) { return 0, 0 }

// Near: call counts 32 bits of bytes.
func (amd64) Near() uint64 { return 1 << 31 }

// nops are the forms of nop that assemblers pad with, without prefixes (Intel SDM vol. 2, "NOP",
// recommended sequences).
var nops = [][]byte{
	{0x90}, {0x0f, 0x1f, 0}, {0x0f, 0x1f, 0x40, 0}, {0x0f, 0x1f, 0x44, 0, 0}, {0x0f, 0x1f, 0x80, 0, 0, 0, 0},
	{0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0},
}

func (amd64) Nop(insn []byte) bool {
	op := bytes.TrimLeft(insn, "\x66\x2e")
	return slices.ContainsFunc(nops, func(n []byte) bool { return bytes.Equal(op, n) })
}

// FieldBase takes the field for the last of the instruction, of 4 bytes.
func (amd64) FieldBase() int8 { return 4 }

func (amd64) OutsideRemedy() string      { return "" }
func (amd64) ByName(string) bool         { return false }
func (amd64) Mark(string) Mark           { return MarkNone }
func (amd64) Prefix(uint32, string) bool { return false }
func (amd64) Slots(string) bool          { return false }

// LoadsOntoZero: __write_relocate_add, arch/x86/kernel/module.c, v6.1 and v6.12.
func (amd64) LoadsOntoZero() bool { return true }

// MayMiss: ignore_undef_symbol, kernel/module/main.c, v6.1.
func (amd64) MayMiss(symbol string) bool { return symbol == "_GLOBAL_OFFSET_TABLE_" }

// TracksBranches: CONFIG_X86_KERNEL_IBT.
func (amd64) TracksBranches() bool { return true }

// Trace: recordmcount.c makes no-ops of calls that it does not count (v3.18 and v4.19).
func (amd64) Trace() Trace { return Trace{Calls: []string{"__fentry__"}} }

// NearJump is jmp rel32.
func (amd64) NearJump() ([]byte, uint32) {
	return []byte{0xe9, 0, 0, 0, 0}, uint32(elf.R_X86_64_PLT32)
}

func (a amd64) Apply(buf []byte, typ uint32, value, place uint64) error {
	width := a.Width(typ)
	if len(buf) < width {
		return fmt.Errorf("relocation %s: %d bytes left", a.RelocName(typ), len(buf))
	}
	if a.PCRelative(typ) {
		value -= place
	}
	if !fits(elf.R_X86_64(typ), value, width) {
		return fmt.Errorf("relocation %s: value %#x does not fit", a.RelocName(typ), value)
	}
	switch width {
	case 8:
		binary.LittleEndian.PutUint64(buf, value)
	case 4:
		binary.LittleEndian.PutUint32(buf, uint32(value))
	case 2:
		binary.LittleEndian.PutUint16(buf, uint16(value))
	case 1:
		buf[0] = byte(value)
	}
	return nil
}

// fits follows the psABI: R_X86_64_32 is zero-extended, 32S and PC-relative
// fields are sign-extended; 8 and 16 bits may be either.
func fits(t elf.R_X86_64, value uint64, w int) bool {
	if w == 0 || w == 8 {
		return true
	}
	shift := 64 - 8*w
	signed := int64(value)<<shift>>shift == int64(value)
	unsigned := value<<shift>>shift == value
	switch t {
	case elf.R_X86_64_32:
		return unsigned
	case elf.R_X86_64_16, elf.R_X86_64_8:
		return signed || unsigned
	}
	return signed
}

// BranchReloc looks at the opcode before the 4-byte field: e8 call, e9 jmp,
// 0f 8x jcc. In kernel code built without PIC such a relocation is always
// PC32 or PLT32.
func (amd64) BranchReloc(code []byte, rel Reloc) bool {
	switch elf.R_X86_64(rel.Type) {
	case elf.R_X86_64_PLT32, elf.R_X86_64_PC8: // only short jumps have 8-bit distances
		return true
	case elf.R_X86_64_PC32:
	default:
		return false
	}
	if rel.Off == 0 || rel.Off > uint64(len(code)) {
		return false
	}
	op := code[rel.Off-1]
	if op == 0xe8 || op == 0xe9 {
		return true
	}
	return rel.Off >= 2 && code[rel.Off-2] == 0x0f && op&0xf0 == 0x80
}

func (a amd64) CallReloc(code []byte, rel Reloc) bool {
	return a.BranchReloc(code, rel) && a.Width(rel.Type) == 4 && rel.Off > 0 && rel.Off <= uint64(len(code)) &&
		code[rel.Off-1] == 0xe8
}

// Decode: displacements count from the end of the instruction.
func (amd64) Decode(code []byte) (in Insn, err error) {
	in, ok := fastDecode(code)
	if !ok {
		if in, err = slowDecode(code); err != nil {
			return Insn{}, err
		}
	}
	in.PCBase = in.Len
	switch in.PCLen {
	case 4:
		in.PCType = uint32(elf.R_X86_64_PC32)
	case 1:
		in.PCType = uint32(elf.R_X86_64_PC8)
	}
	return in, nil
}

// slowDecode knows every instruction.
func slowDecode(code []byte) (Insn, error) {
	if vex(code) {
		return lengthDecode(code)
	}
	inst, err := x86asm.Decode(code, 64)
	// Without an operation it saw only the prefixes of something unknown.
	if err != nil || inst.Op == 0 || inst.Len == 0 || inst.Len > len(code) {
		return lengthDecode(code)
	}
	in := Insn{Len: inst.Len, PCOff: inst.PCRelOff, PCLen: inst.PCRel}
	if in.PCLen > 0 && in.PCOff+in.PCLen <= inst.Len {
		in.Disp = signed(code[in.PCOff:], in.PCLen)
	} else {
		in.PCLen, in.PCOff = 0, 0
	}
	_, direct := inst.Args[0].(x86asm.Rel)
	switch inst.Op {
	case x86asm.CALL:
		in.Kind = pick(direct, BranchCall, BranchIndirect)
	case x86asm.JMP:
		in.Kind = pick(direct, BranchJump, BranchIndirect)
	case x86asm.RET, x86asm.LRET, x86asm.IRET, x86asm.IRETD, x86asm.IRETQ:
		in.Kind = BranchReturn
	default:
		if direct && inst.Op != x86asm.XBEGIN {
			in.Kind = BranchCond
		}
	}
	return in, nil
}

func pick(c bool, a, b BranchKind) BranchKind {
	if c {
		return a
	}
	return b
}

func signed(bytes []byte, n int) int64 {
	switch n {
	case 1:
		return int64(int8(bytes[0]))
	case 2:
		return int64(int16(binary.LittleEndian.Uint16(bytes)))
	case 4:
		return int64(int32(binary.LittleEndian.Uint32(bytes)))
	}
	return 0
}

// lengthDecode finds the length of what x86asm does not know: VEX and EVEX
// instructions, the 0f 01 family, shadow-stack reads and other late additions
// of the 0f, 0f38 and 0f3a maps (Intel SDM vol. 2, appendix A). None of them
// transfers control.
func lengthDecode(code []byte) (Insn, error) {
	pos := legacyPrefixes(code)
	wide := slices.Contains(code[:pos], 0x66) || slices.Contains(code[:pos], 0xf2)
	if pos < len(code) && code[pos]&0xf0 == 0x40 {
		pos++
	}
	if pos+1 >= len(code) {
		return Insn{}, ErrUndecodable
	}
	var opmap byte
	legacy := code[pos] == 0x0f
	switch code[pos] {
	case 0xc5:
		opmap, pos = 1, pos+2
	case 0xc4:
		opmap, pos = code[pos+1]&0x1f, pos+3
	case 0x62:
		opmap, pos = code[pos+1]&7, pos+4
	case 0x0f:
		pos++
		opmap = 1
		if code[pos] == 0x38 || code[pos] == 0x3a {
			opmap = 2 + (code[pos]>>1)&1
			pos++
		}
	default:
		return Insn{}, ErrUndecodable
	}
	if pos >= len(code) || opmap == 0 || opmap > 6 {
		return Insn{}, ErrUndecodable
	}
	op := code[pos]
	pos++
	if opmap == 1 && (op == 0x77 || legacy && op == 0x37) { // vzeroupper and vzeroall, getsec
		return Insn{Len: pos}, nil
	}
	if pos >= len(code) {
		return Insn{}, ErrUndecodable
	}
	in := Insn{}
	mod, rm := code[pos]>>6, code[pos]&7
	pos++
	if mod != 3 {
		base := rm
		if rm == 4 {
			if pos >= len(code) {
				return Insn{}, ErrUndecodable
			}
			base = code[pos] & 7
			pos++
		}
		switch {
		case mod == 1:
			pos++
		case mod == 2, mod == 0 && base == 5:
			if mod == 0 && rm == 5 {
				in.PCOff, in.PCLen = pos, 4
			}
			pos += 4
		}
	}
	switch {
	case opmap == 3, opmap == 1 && hasImm8(op):
		pos++
	case opmap == 1 && legacy && wide && op == 0x78: // extrq, insertq
		pos += 2
	}
	if pos > len(code) || pos > maxInsn {
		return Insn{}, ErrUndecodable
	}
	if in.PCLen > 0 {
		in.Disp = signed(code[in.PCOff:], 4)
	}
	in.Len = pos
	return in, nil
}

// maxInsn is the longest instruction the processor takes, bytes.
const maxInsn = 15

// legacyPrefixes counts the prefixes before REX and the opcode.
func legacyPrefixes(code []byte) int {
	pos := 0
	for pos < len(code) && pos < maxInsn-1 {
		switch code[pos] {
		case 0x66, 0xf2, 0xf3, 0x2e, 0x36, 0x3e, 0x26, 0x64, 0x65, 0x67, 0xf0:
		default:
			return pos
		}
		pos++
	}
	return pos
}

// vex reports a VEX or EVEX encoding, which x86asm knows in part only.
func vex(c []byte) bool {
	i := legacyPrefixes(c)
	return i < len(c) && (c[i] == 0xc4 || c[i] == 0xc5 || c[i] == 0x62)
}

func hasImm8(op byte) bool {
	switch op {
	case 0x70, 0x71, 0x72, 0x73, 0xa4, 0xac, 0xba, 0xc2, 0xc4, 0xc5, 0xc6:
		return true
	}
	return false
}
