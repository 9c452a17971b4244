package kmod

import (
	"debug/elf"

	"github.com/klpforge/klpforge/kernel/kimage"
)

// IndirectEntry judges what is at loc, for a kernel that tracks indirect branches.
func (m *Module) IndirectEntry(loc Loc) kimage.IndirectEntry {
	section := &m.File.Sections[loc.Sec]
	if section.Flags&elf.SHF_EXECINSTR == 0 || loc.Off >= uint64(len(section.Data)) {
		return kimage.EntryOpen
	}
	return kimage.EntryOf(section.Data[loc.Off:], m.sealed(loc))
}

// sealed reports whether the module's own table names loc. Its entries are filled
// in by relocations.
func (m *Module) sealed(loc Loc) bool {
	for i := range m.File.Sections {
		section := &m.File.Sections[i]
		if section.Name != ".ibt_endbr_seal" {
			continue
		}
		for _, rel := range section.Relocs {
			sym := &m.File.Symbols[rel.Sym]
			if sym.Sec == loc.Sec && sym.Value+uint64(rel.Addend) == loc.Off {
				return true
			}
		}
	}
	return false
}
