package generate

import (
	"cmp"
	"debug/elf"
	"slices"
	"strings"

	"github.com/klpforge/klpforge/finding"
	"github.com/klpforge/klpforge/module/note"
)

// tables compares what the kernel will read with what the manifest says.
func (v *verifier) tables() error {
	const remedy = "emit and build the module again; do not edit its source by hand"
	t, err := readTables(v.f, v.m.API)
	if err != nil {
		v.errorf(finding.IDTables, "", "", remedy, "%v", err)
		return nil
	}
	var want []tableFunc
	var wantObjects []string
	for _, o := range v.m.Objects {
		wantObjects = append(wantObjects, o.Name)
		for _, f := range o.Funcs {
			tf := tableFunc{Object: o.Name, Name: f.Name, New: f.New}
			if v.m.API.OldSympos {
				tf.Sympos = uint64(f.Sympos)
			}
			want = append(want, tf)
		}
	}
	for _, o := range difference(t.objects, wantObjects, cmp.Compare[string]) {
		v.errorf(finding.IDTables, o, "", remedy, "the module patches the object, the manifest does not name it")
	}
	for _, o := range difference(wantObjects, t.objects, cmp.Compare[string]) {
		v.errorf(finding.IDTables, o, "", remedy, "the manifest names the object, the module does not patch it")
	}
	for _, f := range difference(t.funcs, want, cmpTableFunc) {
		v.errorf(finding.IDTables, f.Object, f.Name, remedy, "the module replaces %v, which the manifest does not say", f)
	}
	for _, f := range difference(want, t.funcs, cmpTableFunc) {
		v.errorf(finding.IDTables, f.Object, f.Name, remedy, "the module does not replace %v as the manifest says", f)
	}
	v.replacements(t)
	v.unwind(t)
	v.patchFields(t, remedy)
	return nil
}

// replacements checks that each new function is code of this module.
func (v *verifier) replacements(t *klpTables) {
	defined := map[string]bool{}
	for _, s := range v.f.Symbols {
		if s.Sec > 0 && s.Type == elf.STT_FUNC && v.f.Sections[s.Sec].Flags&elf.SHF_EXECINSTR != 0 {
			defined[s.Name] = true
		}
	}
	for _, f := range t.funcs {
		if !defined[f.New] {
			v.errorf(finding.IDTables, f.Object, f.Name, "", "its replacement %q is no function of the module", f.New)
		}
	}
}

// patchFields compares callbacks, states and the replace flag.
func (v *verifier) patchFields(t *klpTables, remedy string) {
	var want []tableCallback
	for _, o := range v.m.Objects {
		if o.Callbacks == nil {
			continue
		}
		for _, cb := range callbacksOf(*o.Callbacks) {
			want = append(want, tableCallback{o.Name, cb.field, cb.symbol})
		}
	}
	byAll := func(a, b tableCallback) int {
		return cmp.Or(cmp.Compare(a.Object, b.Object), cmp.Compare(a.Field, b.Field), cmp.Compare(a.Symbol, b.Symbol))
	}
	for _, cb := range difference(t.callbacks, want, byAll) {
		v.errorf(finding.IDTables, cb.Object, cb.Symbol, remedy, "the module has the %s callback, the manifest does not name it", strings.ReplaceAll(cb.Field, "_", "-"))
	}
	for _, cb := range difference(want, t.callbacks, byAll) {
		v.errorf(finding.IDTables, cb.Object, cb.Symbol, remedy, "the manifest names the %s callback, the module does not have it", strings.ReplaceAll(cb.Field, "_", "-"))
	}
	var states []note.State
	for _, s := range v.m.States {
		states = append(states, note.State{ID: s.ID, Version: s.Version})
	}
	if !slices.Equal(states, t.states) {
		v.errorf(finding.IDTables, "", "", remedy, "the module's states are %v, the manifest's %v", t.states, states)
	}
	if t.replace != v.m.Replace {
		v.errorf(finding.IDTables, "", "", remedy, "replace is %t in the module, %t in the manifest", t.replace, v.m.Replace)
	}
}

// difference returns what a has and b has not, sorted.
func difference[T comparable](a, b []T, order func(a, b T) int) []T {
	var out []T
	for _, x := range a {
		if !slices.Contains(b, x) {
			out = append(out, x)
		}
	}
	slices.SortFunc(out, order)
	return slices.Compact(out)
}
