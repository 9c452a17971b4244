package elfobj

import (
	"debug/elf"
	"encoding/binary"
	"strings"
)

// s390x is 64-bit z/Architecture, big-endian. Relocations: ELF Application
// Binary Interface s390x Supplement, those that arch/s390/kernel/module.c (v6.1)
// applies. A field of an instruction lies 2 bytes behind its start (4 in bpp),
// and what it holds counts from the start: the assembler puts the difference
// into the addend.
type s390x struct{ relocFacts }

var s390xRelocs = relocFacts{
	uint32(elf.R_390_NONE): {},
	uint32(elf.R_390_8):    whole(1, false), uint32(elf.R_390_16): whole(2, false),
	uint32(elf.R_390_32): whole(4, false), uint32(elf.R_390_64): whole(8, false),
	uint32(elf.R_390_12):   {width: 2, bits: 0x0fff, near: true},
	uint32(elf.R_390_20):   {width: 4, bits: 0x0fffff00, near: true},
	uint32(elf.R_390_PC16): whole(2, true), uint32(elf.R_390_PC32): whole(4, true),
	uint32(elf.R_390_PC64):  whole(8, true),
	uint32(elf.R_390_PLT32): {width: 4, bits: 0xffffffff, pcrel: true, branch: true},
	uint32(elf.R_390_PLT64): {width: 8, bits: ^uint64(0), pcrel: true, branch: true},
	// short branches alone have it
	uint32(elf.R_390_PC16DBL):  {width: 2, bits: 0xffff, pcrel: true, branch: true, near: true},
	uint32(elf.R_390_PLT16DBL): {width: 2, bits: 0xffff, pcrel: true, branch: true, near: true},
	uint32(elf.R_390_PC32DBL):  {width: 4, bits: 0xffffffff, pcrel: true},
	uint32(elf.R_390_PLT32DBL): {width: 4, bits: 0xffffffff, pcrel: true, branch: true}, // over a PLT entry if need be
	uint32(elf.R_390_GOTENT):   {width: 4, bits: 0xffffffff, pcrel: true},               // the loader makes the GOT
}

func (s390x) Merge(f *File, id SecID) []Reloc { return f.Sections[id].Relocs }
func (s390x) LoadsOntoZero() bool             { return false }
func (s390x) MayMiss(string) bool             { return false }
func (s390x) TracksBranches() bool            { return false }
func (s390x) Name() string                    { return "s390x" }
func (s390x) BigEndian() bool                 { return true }
func (s390x) RelocName(t uint32) string       { return elf.R_390(t).String() }
func (s390x) NearJump() ([]byte, uint32)      { return nil, 0 }
func (s390x) FieldBase() int8                 { return -2 }
func (s390x) Mark(string) Mark                { return MarkNone }
func (s390x) Prefix(uint32, string) bool      { return false }
func (s390x) Slots(string) bool               { return false }
func (a s390x) Clear(field []byte, t uint32)  { a.store(binary.BigEndian, field, t, 0) }

// AltEntries: struct alt_instr of arch/s390/include/asm/alternative.h. From v6.1 on the
// replacement is as long as the code.
func (s390x) AltEntries() []AltEntry {
	return []AltEntry{{11, 10, 10, "v6.1 (s390)"}, {13, 12, 12, "v6.12 (s390)"}, {12, 10, 11, "v5.10 (s390)"}}
}

// ByName: with CONFIG_EXPOLINE_EXTERN the thunks of indirect branches are linked
// into each module.
func (s390x) ByName(symbol string) bool {
	return strings.HasPrefix(symbol, "__s390_indirect_jump_r") || symbol == "_GLOBAL_OFFSET_TABLE_"
}

// s390Hotpatch is brcl 0,0: what -mhotpatch=0,3 and -mnop-mcount leave.
var s390Hotpatch = []byte{0xc0, 0x04, 0, 0, 0, 0}

// Trace: with -mhotpatch or -mnop-mcount a function begins with a no-op, which
// scripts/recordmcount.pl knows by its bytes (v4.19).
func (s390x) Trace() Trace {
	return Trace{Calls: []string{"__fentry__"}, Kept: true, Nop: s390Hotpatch}
}

func (a s390x) Apply(buf []byte, t uint32, value, place uint64) error {
	return a.apply(binary.BigEndian, a.RelocName(t), buf, t, value, place)
}

// Linked knows data alone: shipped code is not judged here yet.
func (a s390x) Linked(code []byte, t uint32, place uint64) (value, known uint64) {
	return a.linked(binary.BigEndian, code, t, place)
}

// Near: brasl counts 32 bits of halfwords.
func (s390x) Near() uint64 { return 1 << 32 }

// Nop is nopr, bcr without condition, and nop and jgnop, bc and brcl without one.
func (s390x) Nop(insn []byte) bool {
	switch len(insn) {
	case 2:
		return insn[0] == 0x07 && insn[1]&0xf0 == 0
	case 4:
		return insn[0] == 0x47 && insn[1]&0xf0 == 0
	case 6:
		return insn[0] == 0xc0 && insn[1] == 0x04
	}
	return false
}

func (a s390x) Outside(_ []byte, r Reloc) error { return a.outside(a.RelocName(r.Type), r.Type) }

func (s390x) OutsideRemedy() string {
	return "take the function out of the section that it shares with what it refers to"
}

// BranchReloc looks at the opcode before a field of 32 bits: c0x4 is brcl, c0x5
// brasl; all else, larl first, takes an address. The type does not tell: gcc
// writes larl with @PLT too.
func (a s390x) BranchReloc(code []byte, rel Reloc) bool {
	if t := elf.R_390(rel.Type); t != elf.R_390_PC32DBL && t != elf.R_390_PLT32DBL {
		return a.relocFacts[rel.Type].branch
	}
	if rel.Off < 2 || rel.Off > uint64(len(code)) || code[rel.Off-2] != 0xc0 {
		return false
	}
	op := code[rel.Off-1] & 0xf
	return op == 4 || op == 5
}

// CallReloc: brasl of any register but 0 leaves the address behind it.
func (a s390x) CallReloc(code []byte, rel Reloc) bool {
	return a.BranchReloc(code, rel) && rel.Off >= 2 && rel.Off <= uint64(len(code)) && code[rel.Off-2] == 0xc0 &&
		code[rel.Off-1]&0xf == 5 && code[rel.Off-1]>>4 != 0
}

// Decode follows the z/Architecture Principles of Operation: the first two bits
// give the length, and few formats hold a distance.
func (s390x) Decode(code []byte) (Insn, error) {
	if len(code) < 2 {
		return Insn{}, ErrUndecodable
	}
	in := Insn{Len: [...]int{2, 4, 4, 6}[code[0]>>6]}
	if len(code) < in.Len {
		return Insn{}, ErrUndecodable
	}
	short := func(kind BranchKind) {
		in.Kind, in.PCOff, in.PCLen, in.PCType = kind, 2, 2, uint32(elf.R_390_PC16DBL)
		in.Disp = 2 * int64(int16(binary.BigEndian.Uint16(code[2:])))
	}
	long := func(kind BranchKind, t elf.R_390) {
		in.Kind, in.PCOff, in.PCLen, in.PCType = kind, 2, 4, uint32(t)
		in.Disp = 2 * int64(int32(binary.BigEndian.Uint32(code[2:])))
	}
	second := code[1] & 0xf
	always := code[1]>>4 == 15
	switch code[0] {
	case 0x07: // bcr
		in.Kind = pick(code[1] == 0xfe, BranchReturn, BranchIndirect)
		if code[1]>>4 == 0 || code[1]&0xf == 0 {
			in.Kind = BranchNone
		}
	case 0x0d: // basr
		if second != 0 {
			in.Kind = BranchIndirect
		}
	case 0x84, 0x85: // brxh, brxle
		short(BranchCond)
	case 0xa7:
		switch second {
		case 4: // brc
			short(pick(always, BranchJump, BranchCond))
		case 5: // bras
			short(BranchCall)
		case 6, 7: // brct, brctg
			short(BranchCond)
		}
	case 0xc0:
		switch second {
		case 0: // larl
			long(BranchNone, elf.R_390_PC32DBL)
		case 4: // brcl
			long(pick(always, BranchJump, BranchCond), elf.R_390_PLT32DBL)
		case 5: // brasl
			long(BranchCall, elf.R_390_PLT32DBL)
		}
	case 0xc4, 0xc6: // loads, stores, compares and execute, relative
		long(BranchNone, elf.R_390_PC32DBL)
	case 0xcc:
		if second == 6 { // brcth
			long(BranchCond, elf.R_390_PC32DBL)
		}
	case 0xec:
		switch code[5] {
		case 0x44, 0x45, 0x64, 0x65, 0x76, 0x77, 0x7c, 0x7d, 0x7e, 0x7f: // brxhg, brxlg, compare and branch relative
			short(BranchCond)
		}
	}
	return in, nil
}
