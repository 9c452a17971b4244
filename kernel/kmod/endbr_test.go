package kmod

import (
	"debug/elf"
	"testing"

	"github.com/klpforge/klpforge/elfobj"
	"github.com/klpforge/klpforge/kernel/kimage"
)

func TestModuleIndirectEntry(t *testing.T) {
	endbr64 := []byte{0xf3, 0x0f, 0x1e, 0xfa}
	text := make([]byte, 48)
	copy(text, endbr64)
	copy(text[16:], endbr64)
	m := &Module{File: &elfobj.File{Machine: elf.EM_X86_64,
		Sections: []elfobj.Section{{}, {Name: ".text", Flags: elf.SHF_ALLOC | elf.SHF_EXECINSTR, Data: text}, {Name: ".data", Flags: elf.SHF_ALLOC, Data: text},
			{Name: ".ibt_endbr_seal", Flags: elf.SHF_ALLOC, Data: make([]byte, 4), Relocs: []elfobj.Reloc{{Type: uint32(elf.R_X86_64_PC32), Sym: 1, Addend: 16}}}},
		Symbols: []elfobj.Symbol{{}, {Type: elf.STT_SECTION, Sec: 1}}}}
	for l, want := range map[Loc]kimage.IndirectEntry{{1, 0}: kimage.EntryOpen, {1, 16}: kimage.EntrySealed, {1, 32}: kimage.EntryPlain, {2, 32}: kimage.EntryOpen, {1, 99}: kimage.EntryOpen} {
		if got := m.IndirectEntry(l); got != want {
			t.Errorf("%v %v, want: %v", l, got, want)
		}
	}
}
