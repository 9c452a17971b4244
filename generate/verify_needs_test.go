package generate

import (
	"bytes"
	"debug/elf"
	"strings"
	"testing"

	"github.com/klpforge/klpforge/elfobj"
	"github.com/klpforge/klpforge/module/note"
	"github.com/klpforge/klpforge/plan"
)

// TestCallbackNeedsItsModule: a module's callbacks, and what they call, may refer
// to the module although none of its functions is replaced; those of the kernel
// image may not.
func TestCallbackNeedsItsModule(t *testing.T) {
	const moduleText, kernelText, helperText = 1, 2, 3
	v := &verifier{
		f: &elfobj.File{Symbols: []elfobj.Symbol{{},
			{Name: "loop_post", Type: elf.STT_FUNC, Sec: moduleText, Size: 16},
			{Name: "vmlinux_post", Type: elf.STT_FUNC, Sec: kernelText, Size: 16},
			{Name: ".klp.sym.loop.max_part,0"},
		}},
		m: &note.Note{Objects: []note.Object{
			{Name: "loop", Callbacks: &note.Callbacks{PostPatch: "loop_post"}},
			{Name: plan.Vmlinux, Callbacks: &note.Callbacks{PostPatch: "vmlinux_post"}},
		}},
	}
	for _, c := range []struct {
		name    string
		section elfobj.SecID
		object  string
		want    string
		off     uint64 // in the section; callbacks have 16 bytes
	}{
		{"the module's callback", moduleText, "loop", "", 4},
		{"a function that the callback calls", helperText, "loop", "", 4},
		{"the kernel's callback", kernelText, "loop", "the post_patch callback of the kernel image refers to it, but module loop need not be loaded when that runs", 4},
		{"the last byte of the kernel's callback", kernelText, "loop", "the post_patch callback of the kernel image refers to it, but module loop need not be loaded when that runs", 15},
		{"its first byte", kernelText, "loop", "the post_patch callback of the kernel image refers to it, but module loop need not be loaded when that runs", 0},
		{"behind the kernel's callback", kernelText, "loop", "", 16},
		{"a module that none needs", helperText, "dm_mod", ".text, which the livepatch adds, refers to it, but no patched object needs module dm_mod: it need not be loaded when that is used", 4},
	} {
		v.problems = nil
		v.prerequisite(v.owners()[c.section], map[string][]string{"loop": {"loop"}}, &elfobj.Section{Name: ".text"}, c.object, elfobj.Reloc{Off: c.off, Sym: 3})
		got := ""
		for _, p := range v.problems {
			got += p.Message
			if p.Object != c.object || p.Symbol != "max_part" || p.Remedy == "" {
				t.Errorf("%s: %+v", c.name, p)
			}
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

// TestKlpRelocField: a livepatch relocation fills a field of zeros within its section,
// whatever a file claims.
func TestKlpRelocField(t *testing.T) {
	const beyond, full = "reaches beyond the section", "is not zero"
	arch, err := elfobj.ArchOf(elf.EM_X86_64)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		typ  elf.R_X86_64
		off  uint64 // in a section of 16 bytes, of which the last eight are zero
		want string
	}{
		{elf.R_X86_64_64, 8, ""}, {elf.R_X86_64_PC64, 8, ""}, {elf.R_X86_64_64, 7, full}, {elf.R_X86_64_PC64, 7, full},
		{elf.R_X86_64_64, 9, beyond}, {elf.R_X86_64_PC64, 9, beyond}, {elf.R_X86_64_64, 12, beyond},
		{elf.R_X86_64_32S, 12, ""}, {elf.R_X86_64_PC32, 12, ""}, {elf.R_X86_64_32S, 13, beyond}, {elf.R_X86_64_PC32, 4, full}, {elf.R_X86_64_PC32, 7, full},
		{elf.R_X86_64_32S, 16, beyond}, {elf.R_X86_64_32S, 17, beyond}, {elf.R_X86_64_64, 1 << 63, beyond}, {elf.R_X86_64_64, 1<<64 - 1, beyond},
	} {
		v := &verifier{arch: arch, f: &elfobj.File{Machine: elf.EM_X86_64, Symbols: []elfobj.Symbol{{}, {Name: ".klp.sym.vmlinux.f,0", Sec: elfobj.SecLivepatch}}}}
		data := append(bytes.Repeat([]byte{1}, 8), make([]byte, 8)...)
		v.klpReloc(&elfobj.Section{Name: ".data", Data: data}, plan.Vmlinux, elfobj.Reloc{Off: c.off, Type: uint32(c.typ), Sym: 1})
		got := ""
		for _, p := range v.problems {
			got += p.Message
			if p.Object != plan.Vmlinux || p.Symbol != ".klp.sym.vmlinux.f,0" {
				t.Errorf("%+v", p)
			}
		}
		if !strings.Contains(got, c.want) || (got == "") != (c.want == "") {
			t.Errorf("%v at %#x: %q, want %q", c.typ, c.off, got, c.want)
		}
	}
}
