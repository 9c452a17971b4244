package code_test

import (
	"debug/elf"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/klpforge/klpforge/analyze/code"
	"github.com/klpforge/klpforge/elfobj"
)

// One function a section; each relocation lies where a displacement or an address is.
func TestShadowCalls(t *testing.T) {
	f := &elfobj.File{Machine: elf.EM_X86_64, Symbols: []elfobj.Symbol{{},
		{Name: "klp_shadow_get", Sec: elfobj.SecUndef}, {Name: "klp_shadow_free_all", Sec: elfobj.SecUndef}, {Name: "other", Sec: elfobj.SecUndef}}}
	for _, s := range []struct {
		name   string
		data   []byte
		off    uint64
		symbol elfobj.SymID
	}{
		{".text.second", []byte{0xbe, 0x11, 0x47, 0, 0, 0xe8, 0, 0, 0, 0, 0xc3}, 6, 1},  // mov $0x4711,%esi; call
		{".text.first", []byte{0xbf, 0x15, 0x08, 0, 0, 0xe8, 0, 0, 0, 0, 0xc3}, 6, 2},   // mov $0x815,%edi; call
		{".text.jump", []byte{0xbf, 0x15, 0x08, 0, 0, 0xe9, 0, 0, 0, 0}, 6, 2},          // the same, jmp
		{".text.wrong", []byte{0xbf, 0x15, 0x08, 0, 0, 0xe8, 0, 0, 0, 0, 0xc3}, 6, 1},   // the other argument
		{".text.computed", []byte{0x89, 0xc6, 0xe8, 0, 0, 0, 0, 0xc3}, 3, 1},            // mov %eax,%esi; call
		{".text.other", []byte{0xbe, 0x11, 0x47, 0, 0, 0xe8, 0, 0, 0, 0, 0xc3}, 6, 3},   // another function
		{".text.address", []byte{0xbe, 0x11, 0x47, 0, 0, 0xbf, 0, 0, 0, 0, 0xc3}, 6, 1}, // no call: mov $f,%edi
		{".data.table", []byte{0, 0, 0, 0, 0, 0, 0, 0}, 0, 1},                           // no code at all
		{".data.outside", []byte{0}, 9, 1},                                              // a broken object
	} {
		f.Sections = append(f.Sections, elfobj.Section{Name: s.name, Data: s.data, Size: uint64(len(s.data)), Relocs: []elfobj.Reloc{{Off: s.off, Sym: s.symbol}}})
	}
	got, err := code.ShadowCalls(f)
	if err != nil {
		t.Fatal(err)
	}
	want := []code.ShadowCall{
		{Function: "klp_shadow_get", Section: ".text.second", ID: 0x4711, Known: true},
		{Function: "klp_shadow_free_all", Section: ".text.first", ID: 0x815, Known: true},
		{Function: "klp_shadow_free_all", Section: ".text.jump", ID: 0x815, Known: true},
		{Function: "klp_shadow_get", Section: ".text.wrong"},
		{Function: "klp_shadow_get", Section: ".text.computed"},
		{Function: "klp_shadow_get", Section: ".text.address"},
		{Function: "klp_shadow_get", Section: ".data.table"},
		{Function: "klp_shadow_get", Section: ".data.outside"},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}

	f.Machine = elf.EM_ARM
	if _, err := code.ShadowCalls(f); err == nil {
		t.Error("an object of an architecture that is not known")
	}
}
