package pipeline

import (
	"debug/elf"
	"testing"

	"github.com/klpforge/klpforge/elfobj"
)

// TestSameObject: nothing but debug information may differ between objects that count as
// the same: what does is compared by the differ.
func TestSameObject(t *testing.T) {
	object := func(change func(code, debug *elfobj.Section, f *elfobj.File)) *elfobj.File {
		f := &elfobj.File{Machine: elf.EM_X86_64, Type: elf.ET_REL, Sections: []elfobj.Section{{},
			{Name: ".data.x", Type: elf.SHT_PROGBITS, Flags: elf.SHF_ALLOC, Align: 8, Size: 2, Data: []byte{1, 2},
				Relocs: []elfobj.Reloc{{Off: 1, Sym: 1}}},
			{Name: ".debug_line", Type: elf.SHT_PROGBITS, Align: 1, Size: 1, Data: []byte{1}},
		}, Symbols: []elfobj.Symbol{{}, {Name: "x", Sec: 1, Size: 2}}}
		change(&f.Sections[1], &f.Sections[2], f)
		return f
	}
	plain := object(func(_, _ *elfobj.Section, _ *elfobj.File) {})
	for name, c := range map[string]struct {
		change func(code, debug *elfobj.Section, f *elfobj.File)
		same   bool
	}{
		"nothing":           {func(_, _ *elfobj.Section, _ *elfobj.File) {}, true},
		"debug information": {func(_, debug *elfobj.Section, _ *elfobj.File) { debug.Size, debug.Data = 2, []byte{3, 4} }, true},
		"debug information in the kernel's memory": {func(_, debug *elfobj.Section, _ *elfobj.File) { debug.Flags = elf.SHF_ALLOC }, false},
		"a byte":       {func(code, _ *elfobj.Section, _ *elfobj.File) { code.Data = []byte{1, 3} }, false},
		"an alignment": {func(code, _ *elfobj.Section, _ *elfobj.File) { code.Align = 64 }, false},
		"an entry":     {func(code, _ *elfobj.Section, _ *elfobj.File) { code.EntSize = 2 }, false},
		"a size":       {func(code, _ *elfobj.Section, _ *elfobj.File) { code.Size = 3 }, false},
		"a relocation": {func(code, _ *elfobj.Section, _ *elfobj.File) { code.Relocs[0].Addend = 4 }, false},
		"a symbol":     {func(_, _ *elfobj.Section, f *elfobj.File) { f.Symbols[1].Size = 1 }, false},
	} {
		if got := sameObject(plain, object(c.change)); got != c.same {
			t.Errorf("%s differs: the same is %v", name, got)
		}
	}
}
