package kmod

import (
	"debug/elf"

	"github.com/klpforge/klpforge/kernel/kimage"
)

// IndirectEntry judges what is at l, for a kernel that tracks indirect branches.
func (m *Module) IndirectEntry(l Loc) kimage.IndirectEntry {
	s := &m.File.Sections[l.Sec]
	if s.Flags&elf.SHF_EXECINSTR == 0 || l.Off >= uint64(len(s.Data)) {
		return kimage.EntryOpen
	}
	return kimage.EntryOf(s.Data[l.Off:], m.sealed(l))
}

// sealed reports whether the module's own table names l. Its entries are filled
// in by relocations.
func (m *Module) sealed(l Loc) bool {
	for i := range m.File.Sections {
		s := &m.File.Sections[i]
		if s.Name != ".ibt_endbr_seal" {
			continue
		}
		for _, r := range s.Relocs {
			sym := &m.File.Symbols[r.Sym]
			if sym.Sec == l.Sec && sym.Value+uint64(r.Addend) == l.Off {
				return true
			}
		}
	}
	return false
}
