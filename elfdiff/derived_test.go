package elfdiff

import (
	"debug/elf"
	"slices"
	"testing"

	"github.com/klpforge/klpforge/elfobj"
)

// TestDerivedBringsCode: an entry that follows from code refers to that code alone.
// One that refers to more brings it along, with the entries of that too.
func TestDerivedBringsCode(t *testing.T) {
	before, after := manyFunctions(3, 1), manyFunctions(3, 2)
	sym := func(name string) elfobj.SymID {
		i := slices.IndexFunc(after.Symbols, func(s elfobj.Symbol) bool { return s.Name == name })
		if i < 0 {
			t.Fatalf("no symbol %s", name)
		}
		return elfobj.SymID(i)
	}
	code := []byte{0xc3}
	for _, name := range []string{"new_one", "new_two"} {
		after.Sections = append(after.Sections, elfobj.Section{Name: ".text." + name, Type: elf.SHT_PROGBITS, Flags: elf.SHF_ALLOC | elf.SHF_EXECINSTR, Align: 16, Data: code, Size: 1})
		after.Symbols = append(after.Symbols, elfobj.Symbol{Name: name, Bind: elf.STB_LOCAL, Type: elf.STT_FUNC, Sec: elfobj.SecID(len(after.Sections) - 1), Size: 1})
	}
	at := func(off uint64, name string) elfobj.Reloc {
		return elfobj.Reloc{Off: off, Type: uint32(elf.R_X86_64_PC32), Sym: sym(name)}
	}
	after.Sections = append(after.Sections, elfobj.Section{Name: ".return_sites", Type: elf.SHT_PROGBITS, Flags: elf.SHF_ALLOC, Align: 4, Data: make([]byte, 12), Size: 12,
		Relocs: []elfobj.Reloc{at(0, "new_two"), at(0, "new_one"), at(4, "new_one"), at(4, "function_0"), at(8, "new_two")}})
	r, err := Diff(before, after)
	if err != nil {
		t.Fatal(err)
	}
	x, err := extractAll(r)
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"new_one", "new_two"}; !slices.Equal(x.NewFuncs, want) {
		t.Errorf("new functions %v travel, want %v", x.NewFuncs, want)
	}
	n := uint64(0)
	for i := range x.File.Sections {
		if s := &x.File.Sections[i]; s.Name == ".return_sites" {
			n += s.Size / 4
		}
	}
	if n != 3 {
		t.Errorf("%d entries travel, want 3", n)
	}
}
