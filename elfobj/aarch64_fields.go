package elfobj

import (
	"debug/elf"
	"encoding/binary"
	"fmt"
)

// How the instructions of arm64 hold the values of relocations (AAELF64, "Static AArch64
// relocations"; arch/arm64/kernel/module.c, v7.2). A field counts in units of 1<<scale bytes from
// its own place, from the start of its page, or from the bottom of the address space.

// arm64Field is one such field.
type arm64Field struct {
	low, len uint // bits of the instruction
	scale    uint // the value's bits below are not stored
	from     arm64Base
	// exact refuses values that the field cannot hold; the others take the value's bits in it.
	exact bool
}

type arm64Base uint8

const (
	arm64Absolute arm64Base = iota
	arm64Place              // counts from the relocation's place
	arm64Page               // counts in pages of 4 KiB, from that of the place
)

// arm64Address marks the field of adr and adrp, which is in two parts.
const arm64Address = ^uint(0)

var arm64Fields = map[elf.R_AARCH64]arm64Field{
	elf.R_AARCH64_LD_PREL_LO19:        {low: 5, len: 19, scale: 2, from: arm64Place, exact: true},
	elf.R_AARCH64_CONDBR19:            {low: 5, len: 19, scale: 2, from: arm64Place, exact: true},
	elf.R_AARCH64_TSTBR14:             {low: 5, len: 14, scale: 2, from: arm64Place, exact: true},
	elf.R_AARCH64_JUMP26:              {low: 0, len: 26, scale: 2, from: arm64Place, exact: true},
	elf.R_AARCH64_CALL26:              {low: 0, len: 26, scale: 2, from: arm64Place, exact: true},
	elf.R_AARCH64_ADR_PREL_LO21:       {low: arm64Address, len: 21, from: arm64Place, exact: true},
	elf.R_AARCH64_ADR_PREL_PG_HI21:    {low: arm64Address, len: 21, scale: 12, from: arm64Page, exact: true},
	elf.R_AARCH64_ADR_PREL_PG_HI21_NC: {low: arm64Address, len: 21, scale: 12, from: arm64Page},
	elf.R_AARCH64_ADD_ABS_LO12_NC:     {low: 10, len: 12},
	elf.R_AARCH64_LDST8_ABS_LO12_NC:   {low: 10, len: 12},
	elf.R_AARCH64_LDST16_ABS_LO12_NC:  {low: 10, len: 11, scale: 1},
	elf.R_AARCH64_LDST32_ABS_LO12_NC:  {low: 10, len: 10, scale: 2},
	elf.R_AARCH64_LDST64_ABS_LO12_NC:  {low: 10, len: 9, scale: 3},
	elf.R_AARCH64_LDST128_ABS_LO12_NC: {low: 10, len: 8, scale: 4},
	elf.R_AARCH64_MOVW_UABS_G0:        {low: 5, len: 16, exact: true},
	elf.R_AARCH64_MOVW_UABS_G0_NC:     {low: 5, len: 16},
	elf.R_AARCH64_MOVW_UABS_G1:        {low: 5, len: 16, scale: 16, exact: true},
	elf.R_AARCH64_MOVW_UABS_G1_NC:     {low: 5, len: 16, scale: 16},
	elf.R_AARCH64_MOVW_UABS_G2:        {low: 5, len: 16, scale: 32, exact: true},
	elf.R_AARCH64_MOVW_UABS_G2_NC:     {low: 5, len: 16, scale: 32},
	elf.R_AARCH64_MOVW_UABS_G3:        {low: 5, len: 16, scale: 48, exact: true},
}

// origin is the address that a field counts from.
func (f arm64Field) origin(place uint64) uint64 {
	switch f.from {
	case arm64Place:
		return place
	case arm64Page:
		return place &^ 0xfff
	}
	return 0
}

// put returns the bits of the instruction that hold value, for the field's place.
func (f arm64Field) put(value, place uint64) (bits uint64, err error) {
	if f.from == arm64Page {
		value &^= 0xfff
	}
	distance := value - f.origin(place)
	count := distance >> f.scale
	if f.from != arm64Absolute {
		count = uint64(int64(distance) >> f.scale)
	}
	unused := 64 - f.len
	whole := count<<unused>>unused == count
	if f.from != arm64Absolute {
		whole = int64(count)<<unused>>unused == int64(count)
	}
	// The loader drops the low bits; a linker refuses them. No field can say where such a value leads.
	rest := distance & (1<<f.scale - 1)
	if f.exact && !whole || rest != 0 && f.scale <= 4 {
		return 0, fmt.Errorf("value %#x does not fit", value)
	}
	if f.low == arm64Address {
		return count&3<<29 | count>>2&0x7ffff<<5, nil
	}
	return count & (1<<f.len - 1) << f.low, nil
}

// get returns what a linked instruction says of the value, and which bits of it.
func (f arm64Field) get(insn uint32, place uint64) (value, known uint64) {
	count := uint64(insn>>f.low) & (1<<f.len - 1)
	if f.low == arm64Address {
		count = uint64(insn>>29&3) | uint64(insn>>5&0x7ffff)<<2
	}
	switch f.from {
	case arm64Absolute:
		known = (1<<f.len - 1) << f.scale
		if f.scale <= 4 {
			known |= 1<<f.scale - 1 // a value with these bits does not fit
		}
		return count << f.scale, known
	case arm64Page:
		known = ^uint64(0xfff)
	default:
		known = ^uint64(0)
	}
	unused := 64 - f.len
	return f.origin(place) + uint64(int64(count)<<unused>>unused)<<f.scale, known
}

func (a arm64) Apply(buf []byte, t uint32, value, place uint64) error {
	f, ok := arm64Fields[elf.R_AARCH64(t)]
	if !ok {
		return a.apply(binary.LittleEndian, a.RelocName(t), buf, t, value, place)
	}
	if len(buf) < 4 {
		return fmt.Errorf("relocation %s: %d bytes left", a.RelocName(t), len(buf))
	}
	bits, err := f.put(value, place)
	if err != nil {
		return fmt.Errorf("relocation %s: %w", a.RelocName(t), err)
	}
	a.store(binary.LittleEndian, buf, t, bits)
	return nil
}

func (a arm64) Linked(code []byte, t uint32, place uint64) (value, known uint64) {
	if f, ok := arm64Fields[elf.R_AARCH64(t)]; ok && len(code) >= 4 {
		return f.get(binary.LittleEndian.Uint32(code), place)
	}
	return a.linked(binary.LittleEndian, code, t, place)
}
