package kimage

import (
	"debug/elf"
	"encoding/binary"
	"strings"
	"testing"

	"github.com/klpforge/klpforge/kernel/karch"
	"github.com/klpforge/klpforge/kernel/kerneltest"
)

// relocatable is a vmlinux of arm64 whose data are filled in by relocations at boot, and the bytes
// of its file.
func relocatable(rela ...uint64) []byte {
	var table []byte
	for _, word := range rela {
		table = binary.LittleEndian.AppendUint64(table, word)
	}
	out := kerneltest.ELF([]kerneltest.Section{
		{Name: ".text", Type: elf.SHT_PROGBITS, Flags: elf.SHF_ALLOC | elf.SHF_EXECINSTR, Addr: 0x10000, Data: make([]byte, 64)},
		{Name: ".data", Type: elf.SHT_PROGBITS, Flags: elf.SHF_ALLOC | elf.SHF_WRITE, Addr: 0x20000, Data: make([]byte, 64)},
		{Name: ".rela.dyn", Type: elf.SHT_RELA, Flags: elf.SHF_ALLOC, Addr: 0x30000, Data: table, Ent: 24},
	})
	binary.LittleEndian.PutUint16(out[18:], uint16(elf.EM_AARCH64))
	return out
}

// TestRelative: a relocatable image has its addresses as the boot code fills them in, when the kernel
// lies where it was linked; relocations of other types the boot code leaves alone. The file's bytes
// are not changed.
func TestRelative(t *testing.T) {
	const relative, other = uint64(elf.R_AARCH64_RELATIVE), uint64(elf.R_AARCH64_ABS64)
	data := relocatable(0x20008, relative, 0x10010, 0x20010, other, 0x1234)
	before := string(data)
	im, err := parse("fake", data)
	if err != nil {
		t.Fatal(err)
	}
	for addr, want := range map[uint64]uint64{0x20000: 0, 0x20008: 0x10010, 0x20010: 0} {
		if got, err := im.Uint64(addr); err != nil || got != want {
			t.Errorf("%#x: %#x, %v; want %#x", addr, got, err, want)
		}
	}
	if got := binary.LittleEndian.Uint64(im.Section(".data").Data()[8:]); got != 0x10010 {
		t.Errorf("the section has %#x", got)
	}
	if string(data) != before {
		t.Error("the file was changed")
	}
	for name, table := range map[string][]uint64{
		"outside": {0x40000, relative, 1}, "at the end": {0x2003c, relative, 1}, "in the null page": {0, relative, 1},
	} {
		if _, err := parse("fake", relocatable(table...)); err == nil || !strings.Contains(err.Error(), "relocation") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := parse("fake", relocatable(0x20008, relative)); err == nil {
		t.Error("a table with a part of an entry is read")
	}
}

// TestTraceBefore: with DYNAMIC_FTRACE_WITH_CALL_OPS of arm64, the location is before the entry.
func TestTraceBefore(t *testing.T) {
	arch, ok := karch.Of(elf.EM_AARCH64)
	if !ok {
		t.Fatal("arm64 is not known")
	}
	trace := &Trace{Locs: []uint64{0x1000, 0x1040, 0x1084}, arch: arch}
	for _, tt := range []struct {
		name       string
		addr, size uint64
		want       Tri
	}{
		{"before the entry", 0x1008, 16, Yes}, {"further before", 0x100c, 16, No}, {"at the entry", 0x1040, 16, Yes},
		{"behind a landing pad", 0x1080, 16, Yes}, {"none", 0x1020, 16, No}, {"that of the function behind", 0x1030, 16, No},
		{"before an entry of no size", 0x1048, 0, Yes}, {"first of all", 0x4, 16, No},
	} {
		if got := trace.Traceable(tt.addr, tt.size); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}
