package elfobj

import (
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
	return []AltEntry{{12, 10, 11, "v5.10.262 and v6.1 (x86)"}, {14, 12, 13, "v6.12 (x86)"}, {13, 10, 11, "v5.10.13 (x86)"}}
}

// FieldBase takes the field for the last of the instruction, of 4 bytes.
func (amd64) FieldBase() int8 { return 4 }

func (amd64) OutsideRemedy() string      { return "" }
func (amd64) ByName(string) bool         { return false }
func (amd64) Mark(string) Mark           { return MarkNone }
func (amd64) Prefix(uint32, string) bool { return false }
func (amd64) Slots(string) bool          { return false }

// NearJump is jmp rel32.
func (amd64) NearJump() ([]byte, uint32) {
	return []byte{0xe9, 0, 0, 0, 0}, uint32(elf.R_X86_64_PLT32)
}

func (a amd64) Apply(buf []byte, t uint32, value, place uint64) error {
	w := a.Width(t)
	if len(buf) < w {
		return fmt.Errorf("relocation %s: %d bytes left", a.RelocName(t), len(buf))
	}
	if a.PCRelative(t) {
		value -= place
	}
	if !fits(elf.R_X86_64(t), value, w) {
		return fmt.Errorf("relocation %s: value %#x does not fit", a.RelocName(t), value)
	}
	switch w {
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
func (amd64) BranchReloc(code []byte, r Reloc) bool {
	switch elf.R_X86_64(r.Type) {
	case elf.R_X86_64_PLT32, elf.R_X86_64_PC8: // only short jumps have 8-bit distances
		return true
	case elf.R_X86_64_PC32:
	default:
		return false
	}
	if r.Off == 0 || r.Off > uint64(len(code)) {
		return false
	}
	op := code[r.Off-1]
	if op == 0xe8 || op == 0xe9 {
		return true
	}
	return r.Off >= 2 && code[r.Off-2] == 0x0f && op&0xf0 == 0x80
}

func (a amd64) CallReloc(code []byte, r Reloc) bool {
	return a.BranchReloc(code, r) && a.Width(r.Type) == 4 && r.Off > 0 && r.Off <= uint64(len(code)) && code[r.Off-1] == 0xe8
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
	x, err := x86asm.Decode(code, 64)
	// Without an operation it saw only the prefixes of something unknown.
	if err != nil || x.Op == 0 || x.Len == 0 || x.Len > len(code) {
		return lengthDecode(code)
	}
	in := Insn{Len: x.Len, PCOff: x.PCRelOff, PCLen: x.PCRel}
	if in.PCLen > 0 && in.PCOff+in.PCLen <= x.Len {
		in.Disp = signed(code[in.PCOff:], in.PCLen)
	} else {
		in.PCLen, in.PCOff = 0, 0
	}
	_, direct := x.Args[0].(x86asm.Rel)
	switch x.Op {
	case x86asm.CALL:
		in.Kind = pick(direct, BranchCall, BranchIndirect)
	case x86asm.JMP:
		in.Kind = pick(direct, BranchJump, BranchIndirect)
	case x86asm.RET, x86asm.LRET, x86asm.IRET, x86asm.IRETD, x86asm.IRETQ:
		in.Kind = BranchReturn
	default:
		if direct && x.Op != x86asm.XBEGIN {
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

func signed(b []byte, n int) int64 {
	switch n {
	case 1:
		return int64(int8(b[0]))
	case 2:
		return int64(int16(binary.LittleEndian.Uint16(b)))
	case 4:
		return int64(int32(binary.LittleEndian.Uint32(b)))
	}
	return 0
}

// lengthDecode finds the length of what x86asm does not know: VEX and EVEX
// instructions, the 0f 01 family, shadow-stack reads and other late additions
// of the 0f, 0f38 and 0f3a maps (Intel SDM vol. 2, appendix A). None of them
// transfers control.
func lengthDecode(c []byte) (Insn, error) {
	i := legacyPrefixes(c)
	wide := slices.Contains(c[:i], 0x66) || slices.Contains(c[:i], 0xf2)
	if i < len(c) && c[i]&0xf0 == 0x40 {
		i++
	}
	if i+1 >= len(c) {
		return Insn{}, ErrUndecodable
	}
	var opmap byte
	legacy := c[i] == 0x0f
	switch c[i] {
	case 0xc5:
		opmap, i = 1, i+2
	case 0xc4:
		opmap, i = c[i+1]&0x1f, i+3
	case 0x62:
		opmap, i = c[i+1]&7, i+4
	case 0x0f:
		i++
		opmap = 1
		if c[i] == 0x38 || c[i] == 0x3a {
			opmap = 2 + (c[i]>>1)&1
			i++
		}
	default:
		return Insn{}, ErrUndecodable
	}
	if i >= len(c) || opmap == 0 || opmap > 6 {
		return Insn{}, ErrUndecodable
	}
	op := c[i]
	i++
	if opmap == 1 && (op == 0x77 || legacy && op == 0x37) { // vzeroupper and vzeroall, getsec
		return Insn{Len: i}, nil
	}
	if i >= len(c) {
		return Insn{}, ErrUndecodable
	}
	in := Insn{}
	mod, rm := c[i]>>6, c[i]&7
	i++
	if mod != 3 {
		base := rm
		if rm == 4 {
			if i >= len(c) {
				return Insn{}, ErrUndecodable
			}
			base = c[i] & 7
			i++
		}
		switch {
		case mod == 1:
			i++
		case mod == 2, mod == 0 && base == 5:
			if mod == 0 && rm == 5 {
				in.PCOff, in.PCLen = i, 4
			}
			i += 4
		}
	}
	switch {
	case opmap == 3, opmap == 1 && hasImm8(op):
		i++
	case opmap == 1 && legacy && wide && op == 0x78: // extrq, insertq
		i += 2
	}
	if i > len(c) || i > maxInsn {
		return Insn{}, ErrUndecodable
	}
	if in.PCLen > 0 {
		in.Disp = signed(c[in.PCOff:], 4)
	}
	in.Len = i
	return in, nil
}

// maxInsn is the longest instruction the processor takes, bytes.
const maxInsn = 15

// legacyPrefixes counts the prefixes before REX and the opcode.
func legacyPrefixes(c []byte) int {
	i := 0
	for i < len(c) && i < maxInsn-1 {
		switch c[i] {
		case 0x66, 0xf2, 0xf3, 0x2e, 0x36, 0x3e, 0x26, 0x64, 0x65, 0x67, 0xf0:
		default:
			return i
		}
		i++
	}
	return i
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
