package generate_test

import (
	"debug/elf"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/klpforge/klpforge/elfobj"
	"github.com/klpforge/klpforge/finding"
	"github.com/klpforge/klpforge/generate"
	"github.com/klpforge/klpforge/plan"
)

// unitWith is an extracted object with undefined symbols.
func unitWith(t *testing.T, symbols ...string) generate.Unit {
	t.Helper()
	f := &elfobj.File{Machine: elf.EM_X86_64, Type: elf.ET_REL, Sections: make([]elfobj.Section, 1), Symbols: make([]elfobj.Symbol, 1)}
	for _, name := range symbols {
		f.Symbols = append(f.Symbols, elfobj.Symbol{Name: name, Bind: elf.STB_GLOBAL, Sec: elfobj.SecUndef})
	}
	object, err := f.Write()
	if err != nil {
		t.Fatal(err)
	}
	return generate.Unit{Name: "x.o", Object: object}
}

func TestCheckReload(t *testing.T) {
	objects := []plan.Object{{Name: plan.Vmlinux, Funcs: []plan.Func{{Name: "f"}}}, {Name: "patched", Funcs: []plan.Func{{Name: "g"}}},
		{Name: "watched", Callbacks: plan.Callbacks{PrePatch: "cb"}}}
	units := []generate.Unit{
		unitWith(t, "printk", ".klp.sym.vmlinux.hidden,0", ".klp.sym.patched.own,0", ".klp.sym.patched.other,2"),
		unitWith(t, ".klp.sym.watched.own,0", ".klp.sym.a_module.lib_call,0", ".klp.sym.patched.own,0"),
		{Name: "broken.o", Object: []byte("no object")},
	}
	got := generate.CheckReload(units, objects, "6.1.0-x")
	var modules []string
	for _, f := range got {
		modules = append(modules, f.Object)
		if f.ID != finding.IDReload || f.Severity != finding.Note || !strings.Contains(f.Message, "6.1.0-x cannot load it again") || !strings.Contains(f.Remedy, "unload "+f.Object) {
			t.Errorf("%+v", f)
		}
		if patches := strings.HasPrefix(f.Message, "the livepatch patches "+f.Object+" and"); patches != (f.Object == "patched") {
			t.Errorf("%s: %s", f.Object, f.Message)
		}
	}
	if d := cmp.Diff([]string{"a_module", "patched", "watched"}, modules); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
	if got := generate.CheckReload([]generate.Unit{unitWith(t, "printk", ".klp.sym.vmlinux.hidden,0")}, objects, ""); len(got) > 0 {
		t.Errorf("%+v", got)
	}
}
