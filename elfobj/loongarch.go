package elfobj

import (
	"debug/elf"
	"encoding/binary"
)

// loongarch64 is LoongArch with the LP64D or LP64S ABI. Relocations: ELF for the
// LoongArch Architecture, those that arch/loongarch/kernel/module.c (v6.1
// to v7.2) applies, without the stack machine of early assemblers. What the linker might
// relax needs other relocations, which the kernel does not know.
type loongarch64 struct{ relocFacts }

// Fields of instructions.
const (
	loongI26 = 0x03ffffff  // b, bl: the low 16 bits first
	loongI21 = 0x03fffc1f  // beqz, bnez
	loongI16 = 0x03fffc00  // beq and its like
	loongI20 = 0x01ffffe0  // pcalau12i
	loongI12 = 0xfff << 10 // addi, loads and stores
)

var loongRelocs = relocFacts{
	uint32(elf.R_LARCH_NONE): {}, uint32(elf.R_LARCH_MARK_LA): {}, uint32(elf.R_LARCH_MARK_PCREL): {},
	uint32(elf.R_LARCH_32): whole(4, false), uint32(elf.R_LARCH_64): whole(8, false),
	uint32(elf.R_LARCH_32_PCREL): whole(4, true), uint32(elf.R_LARCH_64_PCREL): whole(8, true),
	uint32(elf.R_LARCH_B16): {width: 4, bits: loongI16, pcrel: true, branch: true, near: true},
	uint32(elf.R_LARCH_B21): {width: 4, bits: loongI21, pcrel: true, branch: true, near: true},
	// over a PLT entry if need be
	uint32(elf.R_LARCH_B26):          {width: 4, bits: loongI26, pcrel: true, branch: true},
	uint32(elf.R_LARCH_PCALA_HI20):   {width: 4, bits: loongI20, pcrel: true},
	uint32(elf.R_LARCH_PCALA_LO12):   {width: 4, bits: loongI12},
	uint32(elf.R_LARCH_PCALA64_LO20): {width: 4, bits: loongI20, pcrel: true},
	uint32(elf.R_LARCH_PCALA64_HI12): {width: 4, bits: loongI12, pcrel: true},
	uint32(elf.R_LARCH_GOT_PC_HI20):  {width: 4, bits: loongI20, pcrel: true}, // the loader makes the GOT
	uint32(elf.R_LARCH_GOT_PC_LO12):  {width: 4, bits: loongI12},
}

func (loongarch64) LoadsOntoZero() bool                  { return false }
func (loongarch64) MayMiss(string) bool                  { return false }
func (loongarch64) TracksBranches() bool                 { return false }
func (loongarch64) Name() string                         { return "loongarch64" }
func (loongarch64) BigEndian() bool                      { return false }
func (loongarch64) RelocName(t uint32) string            { return elf.R_LARCH(t).String() }
func (loongarch64) NearJump() ([]byte, uint32)           { return nil, 0 }
func (loongarch64) FieldBase() int8                      { return 0 }
func (loongarch64) Mark(string) Mark                     { return MarkNone }
func (loongarch64) ByName(string) bool                   { return false }
func (loongarch64) Prefix(uint32, string) bool           { return false }
func (loongarch64) Slots(string) bool                    { return false }
func (a loongarch64) Clear(field []byte, t uint32)       { a.store(binary.LittleEndian, field, t, 0) }
func (a loongarch64) BranchReloc(_ []byte, r Reloc) bool { return a.relocFacts[r.Type].branch }

// CallReloc: bl and b have one relocation type.
func (a loongarch64) CallReloc(code []byte, rel Reloc) bool {
	insn, ok := insnAt(code, rel)
	return ok && elf.R_LARCH(rel.Type) == elf.R_LARCH_B26 && insn>>26 == 0x15
}

func (a loongarch64) Outside(_ []byte, r Reloc) error { return a.outside(a.RelocName(r.Type), r.Type) }

func (loongarch64) OutsideRemedy() string {
	return "take the function out of the section that it shares with what it refers to"
}

// AltEntries: struct alt_instr of arch/loongarch/include/asm/alternative.h.
func (loongarch64) AltEntries() []AltEntry { return []AltEntry{{12, 10, 11, "v6.12 (loongarch)"}} }

// Merge makes one relocation of a pair that adds a symbol and subtracts its own
// place: how assemblers write a distance when the linker might relax code. What
// subtracts anything else stays, and is not Known.
func (loongarch64) Merge(file *File, id SecID) []Reloc {
	section := &file.Sections[id]
	merged := map[elf.R_LARCH]elf.R_LARCH{elf.R_LARCH_ADD32: elf.R_LARCH_32_PCREL,
		elf.R_LARCH_ADD64: elf.R_LARCH_64_PCREL}
	subtract := map[elf.R_LARCH]elf.R_LARCH{elf.R_LARCH_ADD32: elf.R_LARCH_SUB32, elf.R_LARCH_ADD64: elf.R_LARCH_SUB64}
	out := make([]Reloc, 0, len(section.Relocs))
	for k := 0; k < len(section.Relocs); k++ {
		rel := section.Relocs[k]
		if typ, ok := merged[elf.R_LARCH(rel.Type)]; ok && k+1 < len(section.Relocs) {
			next := section.Relocs[k+1]
			from := &file.Symbols[next.Sym]
			if next.Type == uint32(subtract[elf.R_LARCH(rel.Type)]) && next.Off == rel.Off && from.Sec == id &&
				from.Value+uint64(next.Addend) == rel.Off &&
				zeroes(section.Data, rel.Off, loongRelocs[uint32(typ)].width) {
				rel.Type = uint32(typ)
				k++
			}
		}
		out = append(out, rel)
	}
	return out
}

// zeroes reports whether n bytes at off are there and zero: a value added to
// others there would be lost.
func zeroes(data []byte, off uint64, n int) bool {
	if off > uint64(len(data)) || uint64(n) > uint64(len(data))-off {
		return false
	}
	for _, b := range data[off : off+uint64(n)] {
		if b != 0 {
			return false
		}
	}
	return true
}

// Trace: gcc before 13 has no -fpatchable-function-entry, and functions call _mcount.
func (loongarch64) Trace() Trace { return Trace{Calls: []string{"_mcount"}, Kept: true} }

func (a loongarch64) Apply(buf []byte, t uint32, value, place uint64) error {
	return a.apply(binary.LittleEndian, a.RelocName(t), buf, t, value, place)
}

// Linked knows data alone: shipped code is not judged here yet.
func (a loongarch64) Linked(code []byte, t uint32, place uint64) (value, known uint64) {
	return a.linked(binary.LittleEndian, code, t, place)
}

// Near: bl counts 26 bits of words.
func (loongarch64) Near() uint64 { return 1 << 27 }

func (loongarch64) Nop(insn []byte) bool {
	return len(insn) == 4 && binary.LittleEndian.Uint32(insn) == 0x03400000
}

// Decode follows the LoongArch Reference Manual, volume 1, 2.2.5.
func (loongarch64) Decode(code []byte) (Insn, error) {
	if len(code) < 4 {
		return Insn{}, ErrUndecodable
	}
	word := binary.LittleEndian.Uint32(code)
	in := Insn{Len: 4}
	low := int64(word >> 10 & 0xffff)
	switch op := word >> 26; op {
	case 0x10, 0x11, 0x12: // beqz, bnez, bceqz and bcnez
		in.Kind, in.PCLen, in.PCType, in.Disp = BranchCond, 4, uint32(elf.R_LARCH_B21), 4*(field(word, 0, 5)<<16|low)
	case 0x13: // jirl
		in.Kind = pick(word == 0x4c000020, BranchReturn, BranchIndirect)
	case 0x14, 0x15: // b, bl
		in.Kind, in.PCLen, in.PCType, in.Disp = pick(op == 0x15, BranchCall,
			BranchJump), 4, uint32(elf.R_LARCH_B26), 4*(field(word, 0, 10)<<16|low)
	case 0x16, 0x17, 0x18, 0x19, 0x1a, 0x1b: // beq, bne, blt, bge, bltu, bgeu
		in.Kind, in.PCLen, in.PCType, in.Disp = BranchCond, 4, uint32(elf.R_LARCH_B16), 4*field(word, 10, 16)
	}
	return in, nil
}
