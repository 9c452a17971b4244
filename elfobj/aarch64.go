package elfobj

import (
	"debug/elf"
	"encoding/binary"
	"strings"
)

// arm64 is little-endian AArch64. Relocations: ELF for the Arm 64-bit
// Architecture (AAELF64), those that arch/arm64/kernel/module.c (v6.1) applies.
type arm64 struct{ relocFacts }

// Fields of instructions.
const (
	arm64Imm12 = 0xfff << 10        // add, and loads and stores of bytes
	arm64Imm11 = 0x7ff << 10        // of 2 bytes: their field counts in these, and its upper bits stay zero
	arm64Imm10 = 0x3ff << 10        // of 4
	arm64Imm9  = 0x1ff << 10        // of 8
	arm64Imm8  = 0xff << 10         // of 16
	arm64Imm14 = 0x3fff << 5        // tbz
	arm64Imm16 = 0xffff << 5        // movz, movk
	arm64Imm19 = 0x7ffff << 5       // b.cond, cbz, ldr of a literal
	arm64Imm21 = 3<<29 | arm64Imm19 // adr, adrp
	arm64Imm26 = 0x3ffffff          // b, bl
)

var arm64Relocs = relocFacts{
	uint32(elf.R_AARCH64_NONE): {}, uint32(elf.R_AARCH64_NULL): {},
	uint32(elf.R_AARCH64_ABS64): whole(8, false), uint32(elf.R_AARCH64_ABS32): whole(4, false),
	uint32(elf.R_AARCH64_ABS16):  whole(2, false),
	uint32(elf.R_AARCH64_PREL64): whole(8, true), uint32(elf.R_AARCH64_PREL32): whole(4, true),
	uint32(elf.R_AARCH64_PREL16):              whole(2, true),
	uint32(elf.R_AARCH64_MOVW_UABS_G0):        {width: 4, bits: arm64Imm16},
	uint32(elf.R_AARCH64_MOVW_UABS_G0_NC):     {width: 4, bits: arm64Imm16},
	uint32(elf.R_AARCH64_MOVW_UABS_G1):        {width: 4, bits: arm64Imm16},
	uint32(elf.R_AARCH64_MOVW_UABS_G1_NC):     {width: 4, bits: arm64Imm16},
	uint32(elf.R_AARCH64_MOVW_UABS_G2):        {width: 4, bits: arm64Imm16},
	uint32(elf.R_AARCH64_MOVW_UABS_G2_NC):     {width: 4, bits: arm64Imm16},
	uint32(elf.R_AARCH64_MOVW_UABS_G3):        {width: 4, bits: arm64Imm16},
	uint32(elf.R_AARCH64_LD_PREL_LO19):        {width: 4, bits: arm64Imm19, pcrel: true, near: true},
	uint32(elf.R_AARCH64_ADR_PREL_LO21):       {width: 4, bits: arm64Imm21, pcrel: true, near: true},
	uint32(elf.R_AARCH64_ADR_PREL_PG_HI21):    {width: 4, bits: arm64Imm21, pcrel: true},
	uint32(elf.R_AARCH64_ADR_PREL_PG_HI21_NC): {width: 4, bits: arm64Imm21, pcrel: true},
	uint32(elf.R_AARCH64_ADD_ABS_LO12_NC):     {width: 4, bits: arm64Imm12},
	uint32(elf.R_AARCH64_LDST8_ABS_LO12_NC):   {width: 4, bits: arm64Imm12},
	uint32(elf.R_AARCH64_LDST16_ABS_LO12_NC):  {width: 4, bits: arm64Imm11},
	uint32(elf.R_AARCH64_LDST32_ABS_LO12_NC):  {width: 4, bits: arm64Imm10},
	uint32(elf.R_AARCH64_LDST64_ABS_LO12_NC):  {width: 4, bits: arm64Imm9},
	uint32(elf.R_AARCH64_LDST128_ABS_LO12_NC): {width: 4, bits: arm64Imm8},
	uint32(elf.R_AARCH64_TSTBR14):             {width: 4, bits: arm64Imm14, pcrel: true, branch: true, near: true},
	uint32(elf.R_AARCH64_CONDBR19):            {width: 4, bits: arm64Imm19, pcrel: true, branch: true, near: true},
	// over a PLT entry if need be
	uint32(elf.R_AARCH64_JUMP26): {width: 4, bits: arm64Imm26, pcrel: true, branch: true},
	uint32(elf.R_AARCH64_CALL26): {width: 4, bits: arm64Imm26, pcrel: true, branch: true},
}

func (arm64) Merge(f *File, id SecID) []Reloc { return f.Sections[id].Relocs }
func (arm64) LoadsOntoZero() bool             { return false }

// Near: bl and b count 26 bits of words. Where the kernel or a module is further off, the module
// loader lays a PLT between (arch/arm64/kernel/module-plts.c, v7.2).
func (arm64) Near() uint64 { return 1 << 27 }

// Nop is the hint of number 0.
func (arm64) Nop(insn []byte) bool {
	return len(insn) == 4 && binary.LittleEndian.Uint32(insn) == 0xd503201f
}

func (arm64) MayMiss(string) bool        { return false }
func (arm64) TracksBranches() bool       { return false }
func (arm64) Name() string               { return "arm64" }
func (arm64) RelocName(t uint32) string  { return elf.R_AARCH64(t).String() }
func (arm64) NearJump() ([]byte, uint32) { return nil, 0 }
func (arm64) BigEndian() bool            { return false }
func (arm64) ByName(string) bool         { return false }

// AltEntries: struct alt_instr of arch/arm64/include/asm/alternative.h.
func (arm64) AltEntries() []AltEntry {
	return []AltEntry{{12, 10, 11, "v5.10, v6.1 and v6.12 (arm64)"}}
}
func (arm64) OutsideRemedy() string {
	return "take the function out of the section that it shares with what it refers to"
}
func (arm64) FieldBase() int8                { return 0 }
func (arm64) Prefix(uint32, string) bool     { return false }
func (arm64) Slots(string) bool              { return false }
func (a arm64) Clear(field []byte, t uint32) { a.store(binary.LittleEndian, field, t, 0) }

func (a arm64) BranchReloc(_ []byte, r Reloc) bool { return a.relocFacts[r.Type].branch }

// CallReloc: the linker makes no jump of R_AARCH64_CALL26, which stands on a bl.
func (a arm64) CallReloc(code []byte, rel Reloc) bool {
	insn, ok := insnAt(code, rel)
	return ok && elf.R_AARCH64(rel.Type) == elf.R_AARCH64_CALL26 && insn>>26 == 0x25
}

func (a arm64) Outside(_ []byte, r Reloc) error { return a.outside(a.RelocName(r.Type), r.Type) }

// Trace: before v5.5 functions call _mcount, and recordmcount.c makes no-ops of calls that it does
// not count.
func (arm64) Trace() Trace { return Trace{Calls: []string{"_mcount"}} }

// Mark knows the mapping symbols of AAELF64: $x, $d, and either with a dot and
// any text behind.
func (arm64) Mark(symbol string) Mark {
	kind, _, _ := strings.Cut(symbol, ".")
	switch kind {
	case "$x":
		return MarkCode
	case "$d":
		return MarkData
	}
	return MarkNone
}

// Decode follows the encodings of the Arm Architecture Reference Manual, C4.1.
// An adrp counts in pages, which only the linker can fill.
func (arm64) Decode(code []byte) (Insn, error) {
	if len(code) < 4 {
		return Insn{}, ErrUndecodable
	}
	word := binary.LittleEndian.Uint32(code)
	in := Insn{Len: 4}
	rel := func(kind BranchKind, t elf.R_AARCH64, disp int64) {
		in.Kind, in.PCLen, in.PCType, in.Disp = kind, 4, uint32(t), disp
	}
	switch {
	case word&0xfc000000 == 0x14000000:
		rel(BranchJump, elf.R_AARCH64_JUMP26, 4*field(word, 0, 26))
	case word&0xfc000000 == 0x94000000:
		rel(BranchCall, elf.R_AARCH64_CALL26, 4*field(word, 0, 26))
	case word&0xff000000 == 0x54000000, word&0x7e000000 == 0x34000000: // b.cond and bc.cond, cbz and cbnz
		rel(BranchCond, elf.R_AARCH64_CONDBR19, 4*field(word, 5, 19))
	case word&0x7e000000 == 0x36000000: // tbz, tbnz
		rel(BranchCond, elf.R_AARCH64_TSTBR14, 4*field(word, 5, 14))
	case word&0x9f000000 == 0x10000000: // adr
		rel(BranchNone, elf.R_AARCH64_ADR_PREL_LO21, 4*field(word, 5, 19)|int64(word>>29&3))
	case word&0x3b000000 == 0x18000000: // ldr of a literal
		rel(BranchNone, elf.R_AARCH64_LD_PREL_LO19, 4*field(word, 5, 19))
	case word&0xfffffc1f == 0xd65f0000, word == 0xd65f0bff, word == 0xd65f0fff: // ret, retaa, retab
		in.Kind = BranchReturn
	case word&0xfe000000 == 0xd6000000: // br, blr and those with authentication
		in.Kind = BranchIndirect
		if word&0xffe00000 == 0xd6800000 { // eret
			in.Kind = BranchReturn
		}
	}
	return in, nil
}
