package locate

import (
	"errors"
	"testing"

	"github.com/klpforge/klpforge/elfdiff"
	"github.com/klpforge/klpforge/finding"
	"github.com/klpforge/klpforge/kernel/kmod"
)

// TestResolve names what a livepatch for unit.o may refer to.
func TestResolve(t *testing.T) {
	o := load(t, "unit.o")
	ref := func(name string) elfdiff.External {
		a := atom(t, o, name)
		return elfdiff.External{Name: o.Atoms[a].Name, Orig: a, Func: o.IsCode(a), Local: o.Local(a)}
	}
	original := func(e elfdiff.External) elfdiff.External { e.Original = true; return e }
	outside := func(name string) elfdiff.External { return elfdiff.External{Name: name, Orig: -1} }
	tests := []struct {
		name string
		edit func(*testing.T, *linked)
		ref  elfdiff.External
		want string
		id   finding.ID
	}{
		{name: "static function", ref: ref("helper"), want: ".klp.sym.vmlinux.helper,0"},
		{name: "one of three namesakes", ref: ref("twin"), want: ".klp.sym.vmlinux.twin,2"},
		{name: "namesake known from its neighbours", ref: ref("twin_by_data"), want: ".klp.sym.vmlinux.twin_by_data,2"},
		{name: "static variable", ref: ref("state"), want: ".klp.sym.vmlinux.state,0"},
		{name: "numbered otherwise", ref: elfdiff.External{Name: "calls.77", Orig: atom(t, o, "calls"), Local: true}, want: ".klp.sym.vmlinux.calls.0,0"},
		{name: "global", ref: ref("other"), want: ".klp.sym.vmlinux.other,0"},
		{name: "exported", ref: ref("tail"), want: "tail"},
		{name: "exported, but the original is meant", ref: original(ref("tail")), want: ".klp.sym.vmlinux.tail,0"},
		{name: "outside, exported", ref: outside("printk"), want: "printk"},
		{name: "outside, not exported", ref: outside("work"), want: ".klp.sym.vmlinux.work,0"},
		{name: "outside, new with the livepatch", ref: outside("brand_new"), want: "brand_new"},
		{name: "nowhere", ref: outside("no_such"), id: "KLP409"},
		{name: "in the source only", ref: outside("kallsyms_names"), id: "KLP107"},
		{name: "only locals elsewhere", ref: outside("twin"), id: "KLP107"},
		{name: "namesake of another build", ref: ref("twin_by_data"), id: "KLP107", edit: func(t *testing.T, v *linked) {
			// Ours differs; the copies of other objects still match.
			v.Read(addrOf(t, v, "twin_by_data"), 16)[8] ^= 1
		}},
		{name: "variable at two places", ref: ref("state"), id: "KLP107", edit: func(t *testing.T, v *linked) {
			code := v.Read(addrOf(t, v, "tail"), 64)
			for i := range code {
				if code[i] == 0x03 && code[i+1] == 0x1d {
					code[i+2] += 8
					return
				}
			}
			t.Fatal("fixture has no reference to state in tail")
		}},
		{name: "discarded", ref: ref("helper"), id: "KLP107", edit: func(t *testing.T, v *linked) {
			for i := range v.syms {
				v.syms[i].Init = true
			}
		}},
		{name: "position not stable", ref: ref("helper"), id: "KLP107", edit: func(t *testing.T, v *linked) {
			for i := range v.syms {
				v.syms[i].Stable = false
			}
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			v := shipped(t)
			if tt.edit != nil {
				tt.edit(t, v)
			}
			n := &Names{Orig: o, Place: Find(o, v), Vmlinux: v, Source: func(name string) string {
				if name == "kallsyms_names" {
					return "a table"
				}
				return ""
			}, Namespaces: map[string]bool{},
				Export: func(name string) (kmod.Export, bool) {
					switch name {
					case "printk":
						return kmod.Export{Name: name, Module: "vmlinux"}, true
					case "tail":
						return kmod.Export{Name: name, Module: "vmlinux", Namespace: "UNIT"}, true
					}
					return kmod.Export{}, false
				},
				Provided: func(name string) bool { return name == "brand_new" },
				Module:   func(string) (View, error) { return nil, errors.New("no modules here") },
			}
			got, err := n.Resolve(tt.ref)
			if tt.id != "" {
				var p *finding.Finding
				if !errors.As(err, &p) || p.ID != tt.id || p.Remedy == "" || p.Symbol != tt.ref.Name {
					t.Errorf("%q, error %v; want %s", got, err, tt.id)
				}
				return
			}
			if err != nil || got != tt.want {
				t.Errorf("%q, error %v; want %q", got, err, tt.want)
			}
			if want := got == "tail"; n.Namespaces["UNIT"] != want {
				t.Errorf("namespaces %v", n.Namespaces)
			}
		})
	}
}
