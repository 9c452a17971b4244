package elfobj

import (
	"debug/elf"
	"encoding/binary"
	"errors"
	"strings"
)

// ppc64le is little-endian PowerPC with the ELFv2 ABI. Relocations: 64-Bit ELF
// V2 ABI Specification, those that arch/powerpc/kernel/module_64.c (v5.10 to v7.2)
// applies.
type ppc64le struct{ relocFacts }

// Fields of instructions.
const (
	ppc64LI = 0x03fffffc // b, bl
	ppc64BD = 0x0000fffc // bc
	ppc64DS = 0xfffc     // ld, std
	// of an instruction with a prefix: the upper 18 bits in the first word, the lower 16 in the second
	ppc64D34 = 0xffff<<32 | 0x3ffff
)

var ppc64Relocs = relocFacts{
	uint32(elf.R_PPC64_NONE):   {},
	uint32(elf.R_PPC64_ADDR64): whole(8, false), uint32(elf.R_PPC64_ADDR32): whole(4, false),
	uint32(elf.R_PPC64_REL64): whole(8, true), uint32(elf.R_PPC64_REL32): whole(4, true),
	uint32(elf.R_PPC64_TOC):         whole(8, false),
	uint32(elf.R_PPC64_REL24):       {width: 4, bits: ppc64LI, pcrel: true, branch: true}, // over a stub if need be
	uint32(elf.R_PPC64_REL14):       {width: 4, bits: ppc64BD, pcrel: true, branch: true, near: true},
	uint32(elf.R_PPC64_TOC16):       {width: 2, bits: 0xffff, near: true},
	uint32(elf.R_PPC64_TOC16_LO):    {width: 2, bits: 0xffff, near: true},
	uint32(elf.R_PPC64_TOC16_HA):    {width: 2, bits: 0xffff, near: true},
	uint32(elf.R_PPC64_TOC16_DS):    {width: 2, bits: ppc64DS, near: true},
	uint32(elf.R_PPC64_TOC16_LO_DS): {width: 2, bits: ppc64DS, near: true},
	uint32(elf.R_PPC64_REL16_LO):    {width: 2, bits: 0xffff, pcrel: true, near: true},
	uint32(elf.R_PPC64_REL16_HA):    {width: 2, bits: 0xffff, pcrel: true, near: true},
	// With CONFIG_PPC_KERNEL_PCREL (v6.4 and later), which has no TOC.
	uint32(elf.R_PPC64_REL24_NOTOC): {width: 4, bits: ppc64LI, pcrel: true, branch: true}, // over a stub if need be
	uint32(elf.R_PPC64_PCREL34):     {width: 8, bits: ppc64D34, pcrel: true, near: true},
	uint32(elf.R_PPC64_GOT_PCREL34): {width: 8, bits: ppc64D34, pcrel: true}, // the loader makes the GOT
	uint32(elf.R_PPC64_TOCSAVE):     {},                                      // tells linkers where r2 is saved
	ppc64Entry:                      {},                                      // two instructions that the loader may replace by equivalent ones
}

// ppc64Entry is R_PPC64_ENTRY, which debug/elf does not have.
const ppc64Entry = 118

func (ppc64le) Merge(f *File, id SecID) []Reloc      { return f.Sections[id].Relocs }
func (ppc64le) LoadsOntoZero() bool                  { return false }
func (ppc64le) MayMiss(string) bool                  { return false }
func (ppc64le) TracksBranches() bool                 { return false }
func (ppc64le) Name() string                         { return "ppc64le" }
func (ppc64le) BigEndian() bool                      { return false }
func (ppc64le) NearJump() ([]byte, uint32)           { return nil, 0 }
func (ppc64le) FieldBase() int8                      { return 0 }
func (ppc64le) AltEntries() []AltEntry               { return nil }
func (ppc64le) Slots(section string) bool            { return section == ".toc" }
func (a ppc64le) Clear(field []byte, t uint32)       { a.store(binary.LittleEndian, field, t, 0) }
func (a ppc64le) BranchReloc(_ []byte, r Reloc) bool { return a.relocFacts[r.Type].branch }

// CallReloc: bit LK tells a call from a jump.
func (a ppc64le) CallReloc(code []byte, rel Reloc) bool {
	insn, ok := insnAt(code, rel)
	return ok && a.BranchReloc(code, rel) && insn&1 != 0
}

func (ppc64le) RelocName(t uint32) string {
	if t == ppc64Entry {
		return "R_PPC64_ENTRY"
	}
	return elf.R_PPC64(t).String()
}

func (a ppc64le) Apply(buf []byte, t uint32, value, place uint64) error {
	return a.apply(binary.LittleEndian, a.RelocName(t), buf, t, value, place)
}

// Linked knows data alone: shipped code is not judged here yet.
func (a ppc64le) Linked(code []byte, t uint32, place uint64) (value, known uint64) {
	return a.linked(binary.LittleEndian, code, t, place)
}

// Near: bl counts 24 bits of words.
func (ppc64le) Near() uint64 { return 1 << 25 }

func (ppc64le) Nop(insn []byte) bool {
	return len(insn) == 4 && binary.LittleEndian.Uint32(insn) == 0x60000000
}

// Mark: the assembler keeps labels of TOC entries in some objects.
func (ppc64le) Mark(symbol string) Mark {
	if strings.HasPrefix(symbol, ".LC") {
		return MarkHere
	}
	return MarkNone
}

// ByName: the linker and the module loader make .TOC., and the loader knows the
// call of _mcount, which needs no TOC pointer (is_mprofile_ftrace_call).
func (ppc64le) ByName(symbol string) bool { return symbol == ".TOC." || symbol == "_mcount" }

// Trace: recordmcount.c has no no-op for powerpc.
func (ppc64le) Trace() Trace { return Trace{Calls: []string{"_mcount"}, Kept: true} }

// Prefix: in the large code model the distance to the TOC stands in front of the
// function's global entry.
func (ppc64le) Prefix(t uint32, symbol string) bool {
	return elf.R_PPC64(t) == elf.R_PPC64_REL64 && symbol == ".TOC."
}

// ppc64Nop follows a call that may lead to code with another TOC; the loader
// makes it reload the TOC pointer.
const ppc64Nop = 0x60000000

var (
	errSibling = errors.New("a sibling call would return with the TOC pointer of the kernel")
	errTOC     = errors.New("no instruction behind the call can restore the TOC pointer, because the compiler saw " +
		"both functions in one object")
)

// Outside follows restore_r2() of arch/powerpc/kernel/module_64.c.
func (a ppc64le) Outside(code []byte, rel Reloc) error {
	if elf.R_PPC64(rel.Type) != elf.R_PPC64_REL24 || rel.Off+4 > uint64(len(code)) {
		return a.outside(a.RelocName(rel.Type), rel.Type)
	}
	switch link := binary.LittleEndian.Uint32(code[rel.Off:])&1 != 0; {
	case !link:
		return errSibling
	case rel.Off+8 > uint64(len(code)) || binary.LittleEndian.Uint32(code[rel.Off+4:]) != ppc64Nop:
		return errTOC
	}
	return nil
}

func (ppc64le) OutsideRemedy() string {
	return "compile both objects with -mcmodel=large -mlongcall -mno-pltseq -fno-optimize-sibling-calls"
}

// Decode follows the Power ISA, book I, chapter 2.
func (ppc64le) Decode(code []byte) (Insn, error) {
	if len(code) < 4 {
		return Insn{}, ErrUndecodable
	}
	word := binary.LittleEndian.Uint32(code)
	in := Insn{Len: 4}
	absolute := word&2 != 0
	switch word >> 26 {
	case 1: // a prefix; the word behind it belongs to it
		if len(code) < 8 {
			return Insn{}, ErrUndecodable
		}
		in.Len = 8
	case 18:
		in.Kind = pick(word&1 != 0, BranchCall, BranchJump)
		if !absolute {
			in.PCLen, in.PCType, in.Disp = 4, uint32(elf.R_PPC64_REL24), 4*field(word, 2, 24)
		}
	case 16:
		in.Kind = pick(word&1 != 0, BranchCall, BranchCond)
		if !absolute {
			in.PCLen, in.PCType, in.Disp = 4, uint32(elf.R_PPC64_REL14), 4*field(word, 2, 14)
		}
	case 19:
		switch word >> 1 & 0x3ff {
		case 16: // bclr
			in.Kind = BranchReturn
		case 528, 560: // bcctr, bctar
			in.Kind = BranchIndirect
		}
	}
	return in, nil
}
