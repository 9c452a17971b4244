package elfobj

import (
	"debug/elf"
	"encoding/binary"
	"testing"
)

// arm64Linked are instructions as GNU as and ld 2.40 left them, by objdump -d of an object and of its
// link (-Ttext, and --defsym of each value).
var arm64Linked = []struct {
	name         string
	typ          elf.R_AARCH64
	before, insn uint32
	place, value uint64
	known        uint64 // bits of the value that the instruction tells
}{
	{"adrp forward", elf.R_AARCH64_ADR_PREL_PG_HI21, 0x90000006, 0xb0007fe6, 0xffff800080010ff0, 0xffff80008100d123, ^uint64(0xfff)},
	{"adrp backward", elf.R_AARCH64_ADR_PREL_PG_HI21, 0x90000000, 0xf0ffffe0, 0xffff800080010ff4, 0xffff80008000f000, ^uint64(0xfff)},
	{"adr", elf.R_AARCH64_ADR_PREL_LO21, 0x10000001, 0x30000061, 0xffff800080010ff8, 0xffff800080011005, ^uint64(0)},
	{"add", elf.R_AARCH64_ADD_ABS_LO12_NC, 0x910000c1, 0x91048cc1, 0xffff800080010ffc, 0xffff80008100d123, 0xfff},
	{"ldrb", elf.R_AARCH64_LDST8_ABS_LO12_NC, 0x394000c2, 0x39448cc2, 0xffff800080011000, 0xffff80008100d123, 0xfff},
	{"ldrh", elf.R_AARCH64_LDST16_ABS_LO12_NC, 0x794000c2, 0x794248c2, 0xffff800080011004, 0xffff80008100d124, 0xfff},
	{"ldr w", elf.R_AARCH64_LDST32_ABS_LO12_NC, 0xb94000c2, 0xb94124c2, 0xffff800080011008, 0xffff80008100d124, 0xfff},
	{"ldr x", elf.R_AARCH64_LDST64_ABS_LO12_NC, 0xf9400000, 0xf9409400, 0xffff80008001100c, 0xffff80008100d128, 0xfff},
	{"ldr q", elf.R_AARCH64_LDST128_ABS_LO12_NC, 0x3dc00000, 0x3dc04c00, 0xffff800080011010, 0xffff80008100d130, 0xfff},
	{"bl", elf.R_AARCH64_CALL26, 0x94000000, 0x97fffc3b, 0xffff800080011014, 0xffff800080010100, ^uint64(0)},
	{"b", elf.R_AARCH64_JUMP26, 0x14000000, 0x17fffbf9, 0xffff800080011018, 0xffff80008000fffc, ^uint64(0)},
	{"cbz", elf.R_AARCH64_CONDBR19, 0x34000000, 0x34ff7f00, 0xffff80008001101c, 0xffff80008000fffc, ^uint64(0)},
	{"tbz", elf.R_AARCH64_TSTBR14, 0x36000000, 0x3607f740, 0xffff800080011020, 0xffff800080010f08, ^uint64(0)},
	{"movk", elf.R_AARCH64_MOVW_UABS_G1_NC, 0xf2a00000, 0xf2b02000, 0xffff800080011024, 0xffff80008100d123, 0xffff0000},
}

// TestArm64Fields: instructions are filled as the linker fills them, and read back.
func TestArm64Fields(t *testing.T) {
	arch, err := ArchOf(elf.EM_AARCH64)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range arm64Linked {
		buf := binary.LittleEndian.AppendUint32(nil, tt.before)
		if err := arch.Apply(buf, uint32(tt.typ), tt.value, tt.place); err != nil {
			t.Errorf("%s: %v", tt.name, err)
		}
		if got := binary.LittleEndian.Uint32(buf); got != tt.insn {
			t.Errorf("%s: filled %#08x, the linker %#08x", tt.name, got, tt.insn)
		}
		value, known := arch.Linked(binary.LittleEndian.AppendUint32(nil, tt.insn), uint32(tt.typ), tt.place)
		if known != tt.known || value != tt.value&tt.known {
			t.Errorf("%s: read %#x of bits %#x, want %#x of %#x", tt.name, value, known, tt.value&tt.known, tt.known)
		}
	}
}

// TestArm64FieldBounds: what a field cannot hold is refused, not cut off.
func TestArm64FieldBounds(t *testing.T) {
	arch, err := ArchOf(elf.EM_AARCH64)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		typ   elf.R_AARCH64
		value uint64
		fits  bool
	}{
		{elf.R_AARCH64_CALL26, 1<<27 - 4, true}, {elf.R_AARCH64_CALL26, 1 << 27, false}, {elf.R_AARCH64_CALL26, 2, false},
		{elf.R_AARCH64_CALL26, 1<<64 - 1<<27, true}, {elf.R_AARCH64_JUMP26, 1<<64 - 1<<27 - 4, false},
		{elf.R_AARCH64_CONDBR19, 1<<20 - 4, true}, {elf.R_AARCH64_CONDBR19, 1 << 20, false},
		{elf.R_AARCH64_TSTBR14, 1<<15 - 4, true}, {elf.R_AARCH64_TSTBR14, 1 << 15, false},
		{elf.R_AARCH64_ADR_PREL_LO21, 1<<20 - 1, true}, {elf.R_AARCH64_ADR_PREL_LO21, 1 << 20, false},
		{elf.R_AARCH64_ADR_PREL_PG_HI21, 1<<32 - 1, true}, {elf.R_AARCH64_ADR_PREL_PG_HI21, 1 << 32, false},
		{elf.R_AARCH64_ADR_PREL_PG_HI21_NC, 1 << 32, true},
		{elf.R_AARCH64_LDST64_ABS_LO12_NC, 0x1008, true}, {elf.R_AARCH64_LDST64_ABS_LO12_NC, 0x1004, false},
		{elf.R_AARCH64_MOVW_UABS_G0, 0xffff, true}, {elf.R_AARCH64_MOVW_UABS_G0, 0x10000, false},
		{elf.R_AARCH64_MOVW_UABS_G0_NC, 0x10000, true},
	} {
		if err := arch.Apply(make([]byte, 4), uint32(tt.typ), tt.value, 0); (err == nil) != tt.fits {
			t.Errorf("%s of %#x: %v", tt.typ, tt.value, err)
		}
	}
	if err := arch.Apply(make([]byte, 3), uint32(elf.R_AARCH64_CALL26), 0, 0); err == nil {
		t.Error("three bytes hold an instruction")
	}
}
