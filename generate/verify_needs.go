package generate

import (
	"debug/elf"
	"fmt"
	"slices"

	"github.com/klpforge/klpforge/elfobj"
	"github.com/klpforge/klpforge/finding"
)

// prerequisites checks that what patched code refers to in a module is there when
// the code runs. A reference is written when its module loads; before, it is zero.
// So the module must be the one that is patched there, or one that is loaded
// whenever that is.
func (v *verifier) prerequisites() error {
	needs := map[string][]string{}
	for _, object := range v.m.Objects {
		if isVmlinux(object.Name) || !v.target.HasObject(object.Name) {
			continue // needs none, or is a problem already
		}
		list, err := v.target.Needs(object.Name)
		if err != nil {
			return fmt.Errorf("find what module %s needs: %w", object.Name, err)
		}
		needs[object.Name] = append(list, object.Name)
	}
	owners := v.owners()
	for i := range v.f.Sections {
		section := &v.f.Sections[i]
		for _, moved := range section.KlpRelocs {
			object, err := elfobj.KlpRelaObject(moved.Name)
			if err != nil || isVmlinux(object) || v.m.Object(object) == nil {
				continue // nothing to load, or a problem already
			}
			for _, rel := range moved.Relocs {
				v.prerequisite(owners[elfobj.SecID(i)], needs, section, object, rel)
			}
		}
	}
	return nil
}

// owned is a function of the note within a section of the module.
type owned struct {
	start, end uint64 // offsets in the section, bytes
	name       string // with what it is
	object     string
}

// owners finds the replacements and callbacks of the note, by section. The
// kernel calls callbacks only while their object is there, with its
// relocations applied (klp_module_coming in kernel/livepatch/core.c, v6.1).
func (v *verifier) owners() map[elfobj.SecID][]owned {
	of := map[string][]owned{}
	for _, object := range v.m.Objects {
		for _, fn := range object.Funcs {
			of[fn.New] = append(of[fn.New], owned{name: "the patched " + fn.Name, object: object.Name})
		}
		for _, c := range object.Callbacks.Names() {
			of[c[1]] = append(of[c[1]], owned{name: "the " + c[0] + " callback", object: object.Name})
		}
	}
	out := map[elfobj.SecID][]owned{}
	for _, sym := range v.f.Symbols[1:] {
		if sym.Type != elf.STT_FUNC || sym.Sec <= 0 {
			continue
		}
		for _, x := range of[sym.Name] {
			x.start, x.end = sym.Value, sym.Value+sym.Size
			out[sym.Sec] = append(out[sym.Sec], x)
		}
	}
	return out
}

// prerequisite judges one reference to a module. Code that is no replacement
// itself, and data, may be reached from any replacement or callback: then one of the
// patched objects must bring the module along.
func (v *verifier) prerequisite(in []owned, needs map[string][]string, section *elfobj.Section, object string,
	rel elfobj.Reloc) {
	const remedy = "look the symbol up when the code runs, with symbol_get(), or leave this part out"
	name := v.f.Symbols[rel.Sym].Name
	if klp, err := elfobj.ParseKlpSymbol(name); err == nil {
		name = klp.Name
	}

	// Where the code belongs to patched functions, their own objects must depend on the module:
	// the kernel loads it before them.
	known := false
	for _, owner := range in {
		if rel.Off < owner.start || rel.Off >= owner.end {
			continue
		}
		known = true
		if _, judged := needs[owner.object]; !judged && !isVmlinux(owner.object) {
			continue
		}
		if !slices.Contains(needs[owner.object], object) {
			v.errorf(finding.IDPrerequisite, object, name, remedy,
				"%s of %s refers to it, but module %s need not be loaded when that runs", owner.name,
				objectWord(owner.object), object)
		}
	}
	if known {
		return
	}

	// New code runs when any patched function calls it. Which ones do is not known here, so one
	// that needs the module is enough.
	for _, o := range v.m.Objects {
		if (len(o.Funcs) > 0 || o.Callbacks != nil) && slices.Contains(needs[o.Name], object) {
			return
		}
	}
	v.errorf(finding.IDPrerequisite, object, name, remedy,
		"%s, which the livepatch adds, refers to it, but no patched object needs module %s: it need not be loaded "+
			"when that is used", section.Name, object)
}
