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
		s := &v.f.Sections[i]
		for _, r := range s.Relocs {
			if sym := v.f.Symbols[r.Sym]; sym.Sec == elfobj.SecLivepatch {
				v.errorf(finding.IDRelocation, "", sym.Name, "run klpforge postlink on the linked module",
					"%s+%#x refers to it by an ordinary relocation, which the kernel applies before it resolves the symbol", s.Name, r.Off)
			}
		}
		for _, k := range s.KlpRelocs {
			v.klpTable(s, k)
		}
	}
	return nil
}

func (v *verifier) klpTable(s *elfobj.Section, k elfobj.KlpRelocs) {
	object, err := elfobj.KlpRelaObject(k.Name)
	if err != nil {
		v.errorf(finding.IDRelocation, "", k.Name, "", "%v", err)
		return
	}
	if s.Flags&elf.SHF_ALLOC == 0 {
		v.errorf(finding.IDRelocation, object, k.Name, "", "section %s is not loaded", s.Name)
	}
	if v.m != nil && !isVmlinux(object) && v.m.Object(object) == nil {
		v.errorf(finding.IDRelocation, object, k.Name, "emit the module again with klpforge", "the livepatch has no object %s, so its relocations would never be applied", object)
	}
	early := v.m == nil || v.m.API.EarlyRelocs
	if isLoadTimeSection(s.Name) && (!isVmlinux(object) || !early) {
		v.errorf(finding.IDLoadTime, object, s.Name, "rewrite the patched functions without "+construct(s.Name),
			"the kernel reads the section when the livepatch loads, before its livepatch relocations are applied")
	}
	for _, r := range k.Relocs {
		v.klpReloc(s, object, r)
	}
}

func (v *verifier) klpReloc(s *elfobj.Section, object string, r elfobj.Reloc) {
	sym := v.f.Symbols[r.Sym]
	if sym.Sec != elfobj.SecLivepatch {
		v.errorf(finding.IDRelocation, object, sym.Name, "run klpforge postlink on the linked module",
			"the livepatch relocation at %s+%#x refers to a symbol that is not marked as a livepatch symbol", s.Name, r.Off)
		return
	}
	if ks, err := elfobj.ParseKlpSymbol(sym.Name); err == nil && ks.Object != object {
		v.errorf(finding.IDRelocation, object, ks.Name, "run klpforge postlink on the linked module",
			"the livepatch relocation at %s+%#x, applied with %s, refers to a symbol of %s", s.Name, r.Off, object, ks.Object)
	}
	// The kernel refuses to relocate a place that is not zero
	// (__write_relocate_add, arch/x86/kernel/module.c, v6.1).
	if v.f.Machine == elf.EM_X86_64 {
		n := uint64(4)
		if t := elf.R_X86_64(r.Type); t == elf.R_X86_64_64 || t == elf.R_X86_64_PC64 {
			n = 8
		}
		if r.Off > uint64(len(s.Data)) || uint64(len(s.Data))-r.Off < n {
			v.errorf(finding.IDRelocation, object, sym.Name, "", "the livepatch relocation at %s+%#x reaches beyond the section", s.Name, r.Off)
		} else if !bytes.Equal(s.Data[r.Off:r.Off+n], make([]byte, n)) {
			v.errorf(finding.IDRelocation, object, sym.Name, "", "the place %s+%#x of a livepatch relocation is not zero, which the kernel refuses", s.Name, r.Off)
		}
	}
}

// klpSymbols resolves each livepatch symbol in the target, and looks for those
// that PostLink has not seen.
func (v *verifier) klpSymbols() error {
	for _, s := range v.f.Symbols[1:] {
		switch {
		case s.Sec == elfobj.SecUndef && elfobj.IsKlpSymbol(s.Name):
			v.errorf(finding.IDUndefined, "", s.Name, "run klpforge postlink on the linked module", "the livepatch symbol is still undefined")
		case s.Sec == elfobj.SecLivepatch:
			k, err := elfobj.ParseKlpSymbol(s.Name)
			if err != nil {
				v.errorf(finding.IDRelocation, "", s.Name, "", "%v", err)
				continue
			}
			if !isVmlinux(k.Object) && !v.target.HasObject(k.Object) {
				v.errorf(finding.IDNoObject, k.Object, k.Name, "", "the kernel %s has no module %s", v.target.Release(), k.Object)
				continue
			}
			if _, _, err := v.lookup(k.Object, k.Name, k.Pos); err != nil {
				return err
			}
		}
	}
	return nil
}
