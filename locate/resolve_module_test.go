package locate

import (
	"errors"
	"testing"

	"github.com/klpforge/klpforge/elfdiff"
	"github.com/klpforge/klpforge/finding"
	"github.com/klpforge/klpforge/kernel/kmod"
)

// TestResolveInModule names what a livepatch for a module's object may refer to: the
// module's own, also from another of its files, the kernel's, and other modules'.
func TestResolveInModule(t *testing.T) {
	unit := function("f", "call own_global\ncall hidden\ncall printk\ncall lib_call\nret") + ".data\n.type state,@object\nstate: .quad 1\n.size state,8\n"
	v, err := NewModuleView(module(t, "mod", unit+".text\n.globl own_global\n.type own_global,@function\nown_global: nop\nret\n.type twin,@function\ntwin: ret\n"))
	if err != nil {
		t.Fatal(err)
	}
	lib, err := NewModuleView(module(t, "lib", ".text\n.globl lib_call\n.type lib_call,@function\nlib_call: ret\n"))
	if err != nil {
		t.Fatal(err)
	}
	vmlinux := link(t, assemble(t, ".globl printk, hidden, elsewhere\nprintk: ret\nhidden: ret\nelsewhere: ret\n.globl own_global\nown_global: ret\n"))
	o := loadObject(t, assemble(t, unit))
	p := Find(o, v)
	if len(p.Funcs) != 1 {
		t.Fatalf("f is not found: %v", p.Miss)
	}
	asked := ""
	n := &Names{Orig: o, Place: p, Vmlinux: vmlinux, Namespaces: map[string]bool{},
		Export: func(name string) (kmod.Export, bool) {
			switch name {
			case "printk", "f":
				return kmod.Export{Name: name, Module: "vmlinux"}, true
			case "lib_call":
				return kmod.Export{Name: name, Module: "lib"}, true
			}
			return kmod.Export{}, false
		},
		Provided: func(name string) bool { return name == "fresh" },
		Module: func(name string) (View, error) {
			asked = name
			if name != "lib" {
				return nil, errors.New("not at hand")
			}
			return lib, nil
		},
	}
	for _, c := range []struct {
		name string
		ref  elfdiff.External
		want string
		id   finding.ID
	}{
		{"its own function", elfdiff.External{Name: "f", Orig: atom(t, o, "f"), Func: true}, ".klp.sym.mod.f,0", ""},
		{"a variable that nothing refers to", elfdiff.External{Name: "state", Orig: atom(t, o, "state"), Local: true}, ".klp.sym.mod.state,0", ""},
		{"a global of another file of the module, though the kernel has one of that name", elfdiff.External{Name: "own_global", Orig: -1, Func: true}, ".klp.sym.mod.own_global,0", ""},
		{"an export of the kernel", elfdiff.External{Name: "printk", Orig: -1, Func: true}, "printk", ""},
		{"a function of the kernel that is not exported", elfdiff.External{Name: "hidden", Orig: -1, Func: true}, ".klp.sym.vmlinux.hidden,0", ""},
		{"one that the module did not call before", elfdiff.External{Name: "elsewhere", Orig: -1, Func: true}, ".klp.sym.vmlinux.elsewhere,0", ""},
		{"an export of another module", elfdiff.External{Name: "lib_call", Orig: -1, Func: true}, ".klp.sym.lib.lib_call,0", ""},
		{"new with the livepatch", elfdiff.External{Name: "fresh", Orig: -1, Func: true}, "fresh", ""},
		{"a static of another file", elfdiff.External{Name: "twin", Orig: -1, Func: true}, "", "KLP409"},
		{"nowhere", elfdiff.External{Name: "nowhere", Orig: -1, Func: true}, "", "KLP409"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := n.Resolve(c.ref)
			var p *finding.Finding
			if c.id != "" {
				if !errors.As(err, &p) || p.ID != c.id || p.Symbol != c.ref.Name {
					t.Errorf("%q, error %v; want %s", got, err, c.id)
				}
				return
			}
			if err != nil || got != c.want {
				t.Errorf("%q, error %v; want %q", got, err, c.want)
			}
		})
	}
	if asked != "lib" {
		t.Errorf("asked for module %q", asked)
	}
	n.Export = func(name string) (kmod.Export, bool) { return kmod.Export{Name: name, Module: "gone"}, true }
	if got, err := n.Resolve(elfdiff.External{Name: "lib_call", Orig: -1}); err == nil {
		t.Errorf("%q of a module that is not at hand", got)
	}
}

// TestOneOfTheNamesakes: of several functions of a name only one has the code.
func TestOneOfTheNamesakes(t *testing.T) {
	twin := func(value, anchor string) string {
		return ".section .text.twin,\"ax\"\n.type twin,@function\ntwin: mov $" + value + ", %eax\nret\n.size twin,.-twin\n" + function(anchor, "mov $"+value+", %ecx\nret")
	}
	own := assemble(t, twin("3", "mine"))
	for want, objects := range map[int][]string{
		1: {own, assemble(t, twin("4", "b")), assemble(t, twin("5", "c"))},
		2: {assemble(t, twin("4", "b")), own, assemble(t, twin("5", "c"))},
		3: {assemble(t, twin("4", "b")), assemble(t, twin("5", "c")), own},
	} {
		o := loadObject(t, own)
		p := Find(o, link(t, objects...))
		if got := p.Funcs[atom(t, o, "twin")].Sympos(); got != want {
			t.Errorf("position %d, want %d: %v", got, want, p.Miss)
		}
	}
}
