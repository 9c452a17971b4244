package kerneltest

import (
	"debug/elf"
	"encoding/binary"
	"testing"

	"github.com/klpforge/klpforge/elfobj"
)

// Module is a .ko that has two functions called show, one of them __init, a per-CPU
// variable, an exported function, ftrace locations and a version table.
func Module(t testing.TB, release string) []byte {
	t.Helper()
	version := make([]byte, 64)
	binary.LittleEndian.PutUint64(version, 0x12345678)
	copy(version[8:], "module_layout")
	alloc, exec, wr := elf.SHF_ALLOC, elf.SHF_EXECINSTR, elf.SHF_WRITE
	sec := func(name string, flags elf.SectionFlag, data []byte, relocs ...elfobj.Reloc) elfobj.Section {
		return elfobj.Section{Name: name, Type: elf.SHT_PROGBITS, Flags: flags, Align: 1, Data: data,
			Size: uint64(len(data)), Relocs: relocs}
	}
	r64, pc32 := uint32(elf.R_X86_64_64), uint32(elf.R_X86_64_PC32)
	file := &elfobj.File{
		Machine: elf.EM_X86_64, Type: elf.ET_REL,
		Sections: []elfobj.Section{
			{},
			sec(".text", alloc|exec, make([]byte, 64)),      // 1
			sec(".init.text", alloc|exec, make([]byte, 16)), // 2
			sec(".data..percpu", alloc|wr, make([]byte, 8)), // 3
			// 4
			sec(".modinfo", alloc, []byte("name=fake_mod\x00vermagic="+release+
				" SMP mod_unload \x00depends=a,b\x00alias=x\x00alias=y\x00")),
			sec("__versions", alloc, version),                              // 5
			sec("__ksymtab_strings", alloc, []byte("fake_export\x00\x00")), // 6
			sec("__ksymtab_gpl", alloc, make([]byte, 12), // 7
				elfobj.Reloc{Off: 0, Type: pc32, Sym: 7}, elfobj.Reloc{Off: 4, Type: pc32, Sym: 5},
				elfobj.Reloc{Off: 8, Type: pc32, Sym: 5, Addend: 12}),
			sec("__mcount_loc", alloc, make([]byte, 16), // 8
				elfobj.Reloc{Off: 0, Type: r64, Sym: 6, Addend: 36},
				elfobj.Reloc{Off: 8, Type: r64, Sym: 6, Addend: 4}),
		},
		Symbols: []elfobj.Symbol{
			{},
			{Name: "show", Type: elf.STT_FUNC, Sec: 2, Value: 0, Size: 16},                               // 1
			{Name: "show", Type: elf.STT_FUNC, Sec: 1, Value: 0, Size: 16},                               // 2
			{Name: "show", Type: elf.STT_FUNC, Sec: 1, Value: 16, Size: 16},                              // 3
			{Name: "pcpu", Type: elf.STT_OBJECT, Sec: 3, Size: 8},                                        // 4
			{Type: elf.STT_SECTION, Sec: 6},                                                              // 5
			{Type: elf.STT_SECTION, Sec: 1},                                                              // 6
			{Name: "fake_export", Bind: elf.STB_GLOBAL, Type: elf.STT_FUNC, Sec: 1, Value: 32, Size: 16}, // 7
			{Name: "printk", Bind: elf.STB_GLOBAL},                                                       // 8
		},
	}
	b, err := file.Write()
	if err != nil {
		t.Fatal(err)
	}
	return b
}
