package generate

import (
	"debug/elf"
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
	}{
		{"the module's callback", moduleText, "loop", ""},
		{"a function that the callback calls", helperText, "loop", ""},
		{"the kernel's callback", kernelText, "loop", "the post_patch callback of the kernel image refers to it, but module loop need not be loaded when that runs"},
		{"a module that none needs", helperText, "dm_mod", ".text, which the livepatch adds, refers to it, but no patched object needs module dm_mod: it need not be loaded when that is used"},
	} {
		v.problems = nil
		v.prerequisite(v.owners()[c.section], map[string][]string{"loop": {"loop"}}, &elfobj.Section{Name: ".text"}, c.object, elfobj.Reloc{Off: 4, Sym: 3})
		got := ""
		for _, p := range v.problems {
			got += p.Message
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}
