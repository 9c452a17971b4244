package kimage

import (
	"debug/elf"
	"encoding/binary"
	"testing"

	"github.com/klpforge/klpforge/kernel/kerneltest"
)

func TestEndbr(t *testing.T) {
	im, err := parse("fake", kerneltest.Vmlinux(kerneltest.Layouts[3], kerneltest.Symbols(true), false))
	if err != nil {
		t.Fatal(err)
	}
	const open, closed, plain, table = kerneltest.Text + 16, kerneltest.Text + 32, kerneltest.Text + 48, kerneltest.Init + 8
	copy(im.Section(".text").data[open-kerneltest.Text:], endbr64)
	copy(im.Section(".text").data[closed-kerneltest.Text:], endbr64)
	binary.LittleEndian.PutUint32(im.Section(".init.data").data[8:], uint32((closed-table)&0xffffffff))
	symbols := func(end uint64) *Symbols {
		b := newSymbolsBuilder(0)
		b.add("__ibt_endbr_seal", table, 'd')
		b.add("__ibt_endbr_seal_end", end, 'd')
		return b.finish("", "")
	}
	e, err := NewEndbr(im, symbols(table+4))
	if err != nil {
		t.Fatal(err)
	}
	// Data is no code, though its section says that it could be run: .data of v7.2.
	im.Section(".init.data").Flags |= elf.SHF_EXECINSTR
	for addr, want := range map[uint64]IndirectEntry{open: EntryOpen, closed: EntrySealed, plain: EntryPlain, kerneltest.Rodata: EntryOpen, table: EntryOpen} {
		if got := e.Entry(addr); got != want {
			t.Errorf("%#x %v, want: %v", addr, got, want)
		}
	}
	if _, err := NewEndbr(im, symbols(table+3)); err == nil {
		t.Error("a table of three bytes is accepted")
	}
	if _, err := NewEndbr(im, symbols(table+1<<20)); err == nil {
		t.Error("a table that is not in the image is accepted")
	}
	none, err := NewEndbr(im, newSymbolsBuilder(0).finish("", ""))
	if err != nil || none != nil || none.Entry(plain) != EntryOpen {
		t.Errorf("a kernel without the table: %v, %v", none, err)
	}
}
