package generate

import (
	"cmp"
	"debug/elf"
	"slices"
	"strings"

	"github.com/klpforge/klpforge/finding"
	"github.com/klpforge/klpforge/module/note"
)

// tables compares what the kernel will read with what the note says.
func (v *verifier) tables() error {
	const remedy = "emit and build the module again; do not edit its source by hand"
	found, err := readTables(v.f, v.m.API)
	if err != nil {
		v.errorf(finding.IDTables, "", "", remedy, "%v", err)
		return nil
	}

	var want []tableFunc
	var wantObjects []string
	for _, object := range v.m.Objects {
		wantObjects = append(wantObjects, object.Name)
		for _, fn := range object.Funcs {
			tf := tableFunc{Object: object.Name, Name: fn.Name, New: fn.New}
			if v.m.API.OldSympos {
				tf.Sympos = uint64(fn.Sympos)
			}
			want = append(want, tf)
		}
	}

	// Both directions: an entry too many patches what nobody reviewed, one too few leaves the
	// fault in place.
	for _, o := range difference(found.objects, wantObjects, cmp.Compare[string]) {
		v.errorf(finding.IDTables, o, "", remedy, "the module patches the object, the note does not name it")
	}
	for _, o := range difference(wantObjects, found.objects, cmp.Compare[string]) {
		v.errorf(finding.IDTables, o, "", remedy, "the note names the object, the module does not patch it")
	}
	for _, f := range difference(found.funcs, want, cmpTableFunc) {
		v.errorf(finding.IDTables, f.Object, f.Name, remedy, "the module replaces %v, which the note does not say",
			f)
	}
	for _, f := range difference(want, found.funcs, cmpTableFunc) {
		v.errorf(finding.IDTables, f.Object, f.Name, remedy, "the module does not replace %v as the note says", f)
	}

	v.replacements(found)
	v.unwind(found)
	v.patchFields(found, remedy)
	return nil
}

// replacements checks that each new function is code of this module.
func (v *verifier) replacements(found *klpTables) {
	defined := map[string]bool{}
	for _, sym := range v.f.Symbols {
		if sym.Sec > 0 && sym.Type == elf.STT_FUNC && v.f.Sections[sym.Sec].Flags&elf.SHF_EXECINSTR != 0 {
			defined[sym.Name] = true
		}
	}
	for _, f := range found.funcs {
		if !defined[f.New] {
			v.errorf(finding.IDTables, f.Object, f.Name, "", "its replacement %q is no function of the module", f.New)
		}
	}
}

// patchFields compares callbacks, states and the replace flag.
func (v *verifier) patchFields(found *klpTables, remedy string) {
	var want []tableCallback
	for _, object := range v.m.Objects {
		if object.Callbacks == nil {
			continue
		}
		for _, cb := range callbacksOf(*object.Callbacks) {
			want = append(want, tableCallback{object.Name, cb.field, cb.symbol})
		}
	}

	byAll := func(a, b tableCallback) int {
		return cmp.Or(cmp.Compare(a.Object, b.Object), cmp.Compare(a.Field, b.Field), cmp.Compare(a.Symbol, b.Symbol))
	}
	for _, cb := range difference(found.callbacks, want, byAll) {
		v.errorf(finding.IDTables, cb.Object, cb.Symbol, remedy,
			"the module has the %s callback, the note does not name it", strings.ReplaceAll(cb.Field, "_", "-"))
	}
	for _, cb := range difference(want, found.callbacks, byAll) {
		v.errorf(finding.IDTables, cb.Object, cb.Symbol, remedy,
			"the note names the %s callback, the module does not have it", strings.ReplaceAll(cb.Field, "_", "-"))
	}

	// The rest of struct klp_patch: a wrong state or replace changes what the kernel does on
	// upgrade.
	var states []note.State
	for _, s := range v.m.States {
		states = append(states, note.State{ID: s.ID, Version: s.Version})
	}
	if !slices.Equal(states, found.states) {
		v.errorf(finding.IDTables, "", "", remedy, "the module's states are %v, the note's %v", found.states,
			states)
	}
	if found.replace != v.m.Replace {
		v.errorf(finding.IDTables, "", "", remedy, "replace is %t in the module, %t in the note", found.replace,
			v.m.Replace)
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
