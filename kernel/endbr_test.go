package kernel

import (
	"debug/elf"
	"encoding/binary"
	"testing"

	"github.com/klpforge/klpforge/elfobj"
)

func TestEndbr(t *testing.T) {
	im, err := parseImage("fake", fakeVmlinux(kallsymsLayouts[3], fakeSymbols(true), false))
	if err != nil {
		t.Fatal(err)
	}
	const open, closed, plain, table = fakeText + 16, fakeText + 32, fakeText + 48, fakeInit + 8
	copy(im.Section(".text").data[open-fakeText:], endbr64)
	copy(im.Section(".text").data[closed-fakeText:], endbr64)
	binary.LittleEndian.PutUint32(im.Section(".init.data").data[8:], uint32((closed-table)&0xffffffff))
	symbols := func(end uint64) *Symbols {
		b := newSymbolsBuilder(0)
		b.add("__ibt_endbr_seal", table, 'd')
		b.add("__ibt_endbr_seal_end", end, 'd')
		return b.finish("", "")
	}
	e, err := newEndbr(im, symbols(table+4))
	if err != nil {
		t.Fatal(err)
	}
	for addr, want := range map[uint64]IndirectEntry{open: EntryOpen, closed: EntrySealed, plain: EntryPlain, fakeRodata: EntryOpen} {
		if got := e.Entry(addr); got != want {
			t.Errorf("%#x %v, want: %v", addr, got, want)
		}
	}
	if _, err := newEndbr(im, symbols(table+3)); err == nil {
		t.Error("a table of three bytes is accepted")
	}
	if _, err := newEndbr(im, symbols(table+1<<20)); err == nil {
		t.Error("a table that is not in the image is accepted")
	}
	none, err := newEndbr(im, newSymbolsBuilder(0).finish("", ""))
	if err != nil || none != nil || none.Entry(plain) != EntryOpen {
		t.Errorf("a kernel without the table: %v, %v", none, err)
	}
}

func TestModuleIndirectEntry(t *testing.T) {
	text := make([]byte, 48)
	copy(text, endbr64)
	copy(text[16:], endbr64)
	m := &Module{File: &elfobj.File{Machine: elf.EM_X86_64,
		Sections: []elfobj.Section{{}, {Name: ".text", Flags: elf.SHF_ALLOC | elf.SHF_EXECINSTR, Data: text}, {Name: ".data", Flags: elf.SHF_ALLOC, Data: text},
			{Name: ".ibt_endbr_seal", Flags: elf.SHF_ALLOC, Data: make([]byte, 4), Relocs: []elfobj.Reloc{{Type: uint32(elf.R_X86_64_PC32), Sym: 1, Addend: 16}}}},
		Symbols: []elfobj.Symbol{{}, {Type: elf.STT_SECTION, Sec: 1}}}}
	for l, want := range map[ModuleLoc]IndirectEntry{{1, 0}: EntryOpen, {1, 16}: EntrySealed, {1, 32}: EntryPlain, {2, 32}: EntryOpen, {1, 99}: EntryOpen} {
		if got := m.IndirectEntry(l); got != want {
			t.Errorf("%v %v, want: %v", l, got, want)
		}
	}
}
