package generate

import (
	"bytes"
	"debug/elf"

	"github.com/klpforge/klpforge/elfobj"
	"github.com/klpforge/klpforge/finding"
)

// relocations checks the livepatch relocation tables as the kernel reads them
// (klp_apply_section_relocs and klp_resolve_symbols, v6.1).
func (v *verifier) relocations() error {
	for i := range v.f.Sections {
		section := &v.f.Sections[i]
		for _, rel := range section.Relocs {
			if sym := v.f.Symbols[rel.Sym]; sym.Sec == elfobj.SecLivepatch {
				v.errorf(finding.IDRelocation, "", sym.Name, "run klpforge postlink on the linked module",
					"%s+%#x refers to it by an ordinary relocation, which the kernel applies before "+
						"it resolves the symbol", section.Name, rel.Off)
			}
		}
		for _, k := range section.KlpRelocs {
			v.klpTable(section, k)
		}
	}
	return nil
}

func (v *verifier) klpTable(section *elfobj.Section, moved elfobj.KlpRelocs) {
	object, err := elfobj.KlpRelaObject(moved.Name)
	if err != nil {
		v.errorf(finding.IDRelocation, "", moved.Name, "", "%v", err)
		return
	}
	if section.Flags&elf.SHF_ALLOC == 0 {
		v.errorf(finding.IDRelocation, object, moved.Name, "", "section %s is not loaded", section.Name)
	}
	if v.m != nil && !isVmlinux(object) && v.m.Object(object) == nil {
		v.errorf(finding.IDRelocation, object, moved.Name, "emit the module again with klpforge",
			"the livepatch has no object %s, so its relocations would never be applied", object)
	}
	early := v.m == nil || v.m.API.EarlyRelocs
	if isLoadTimeSection(section.Name) && (!isVmlinux(object) || !early) {
		v.errorf(finding.IDLoadTime, object, section.Name,
			"rewrite the patched functions without "+construct(section.Name),
			"the kernel reads the section when the livepatch loads, before its livepatch relocations are applied")
	}
	for _, rel := range moved.Relocs {
		v.klpReloc(section, object, rel)
	}
}

func (v *verifier) klpReloc(section *elfobj.Section, object string, rel elfobj.Reloc) {
	sym := v.f.Symbols[rel.Sym]
	if sym.Sec != elfobj.SecLivepatch {
		v.errorf(finding.IDRelocation, object, sym.Name, "run klpforge postlink on the linked module",
			"the livepatch relocation at %s+%#x refers to a symbol that is not marked as a livepatch symbol",
			section.Name, rel.Off)
		return
	}
	if ks, err := elfobj.ParseKlpSymbol(sym.Name); err == nil && ks.Object != object {
		v.errorf(finding.IDRelocation, object, ks.Name, "run klpforge postlink on the linked module",
			"the livepatch relocation at %s+%#x, applied with %s, refers to a symbol of %s", section.Name, rel.Off,
			object, ks.Object)
	}
	if v.arch.LoadsOntoZero() {
		width := uint64(v.arch.Width(rel.Type))
		if rel.Off > uint64(len(section.Data)) || uint64(len(section.Data))-rel.Off < width {
			v.errorf(finding.IDRelocation, object, sym.Name, "",
				"the livepatch relocation at %s+%#x reaches beyond the section", section.Name, rel.Off)
		} else if !bytes.Equal(section.Data[rel.Off:rel.Off+width], make([]byte, width)) {
			v.errorf(finding.IDRelocation, object, sym.Name, "",
				"the place %s+%#x of a livepatch relocation is not zero, which the kernel refuses", section.Name,
				rel.Off)
		}
	}
}

// klpSymbols resolves each livepatch symbol in the target, and looks for those
// that PostLink has not seen.
func (v *verifier) klpSymbols() error {
	for _, sym := range v.f.Symbols[1:] {
		switch {
		case sym.Sec == elfobj.SecUndef && elfobj.IsKlpSymbol(sym.Name):
			v.errorf(finding.IDUndefined, "", sym.Name, "run klpforge postlink on the linked module",
				"the livepatch symbol is still undefined")
		case sym.Sec == elfobj.SecLivepatch:
			klp, err := elfobj.ParseKlpSymbol(sym.Name)
			if err != nil {
				v.errorf(finding.IDRelocation, "", sym.Name, "", "%v", err)
				continue
			}
			if !isVmlinux(klp.Object) && !v.target.HasObject(klp.Object) {
				v.errorf(finding.IDNoObject, klp.Object, klp.Name, "", "the kernel %s has no module %s",
					v.target.Release(), klp.Object)
				continue
			}
			if _, _, err := v.lookup(klp.Object, klp.Name, klp.Pos); err != nil {
				return err
			}
		}
	}
	return nil
}
