package generate

import (
	"fmt"

	"github.com/klpforge/klpforge/elfobj"
)

// remove takes sections and symbols out of the file and renumbers the rest. A symbol
// of a removed section goes too. It fails, before it changes anything, when
// something that stays refers to something that goes.
func remove(elfFile *elfobj.File, dropSec func(*elfobj.Section) bool, dropSym func(elfobj.SymID) bool) error {
	secs := make([]elfobj.SecID, len(elfFile.Sections)) // new number, or -1
	var nsec elfobj.SecID
	for i := range elfFile.Sections {
		if i > 0 && dropSec(&elfFile.Sections[i]) {
			secs[i] = -1
			continue
		}
		secs[i] = nsec
		nsec++
	}
	syms := make([]elfobj.SymID, len(elfFile.Symbols))
	var nsym elfobj.SymID
	for i := range elfFile.Symbols {
		sym := &elfFile.Symbols[i]
		if i > 0 && (sym.Sec > 0 && secs[sym.Sec] < 0 || dropSym(elfobj.SymID(i))) {
			syms[i] = -1
			continue
		}
		syms[i] = nsym
		nsym++
	}
	if err := checkRemoval(elfFile, secs, syms); err != nil {
		return err
	}
	for i := range elfFile.Sections {
		if n := secs[i]; n >= 0 {
			elfFile.Sections[n] = elfFile.Sections[i]
			renumber(&elfFile.Sections[n], secs, syms)
		}
	}
	elfFile.Sections = elfFile.Sections[:nsec]
	for i := range elfFile.Symbols {
		if n := syms[i]; n >= 0 {
			elfFile.Symbols[n] = elfFile.Symbols[i]
			if s := elfFile.Symbols[n].Sec; s > 0 {
				elfFile.Symbols[n].Sec = secs[s]
			}
		}
	}
	elfFile.Symbols = elfFile.Symbols[:nsym]
	return nil
}

func checkRemoval(elfFile *elfobj.File, secs []elfobj.SecID, syms []elfobj.SymID) error {
	// A relocation is the one reference that nothing repairs: the field would be filled with
	// another symbol's address.
	check := func(section *elfobj.Section, relocs []elfobj.Reloc) error {
		for _, rel := range relocs {
			if syms[rel.Sym] < 0 {
				return fmt.Errorf("section %s+%#x refers to symbol %q, which is to be removed", section.Name, rel.Off,
					elfFile.Symbols[rel.Sym].Name)
			}
		}
		return nil
	}

	for i := range elfFile.Sections {
		section := &elfFile.Sections[i]
		if secs[i] < 0 {
			continue
		}
		if section.Link > 0 && secs[section.Link] < 0 {
			return fmt.Errorf("section %s is linked to %s, which is to be removed", section.Name,
				elfFile.Sections[section.Link].Name)
		}
		if err := check(section, section.Relocs); err != nil {
			return err
		}
		for _, k := range section.KlpRelocs {
			if err := check(section, k.Relocs); err != nil {
				return err
			}
		}
		if section.Group > 0 && syms[section.Group] < 0 {
			return fmt.Errorf("section group %s loses its signature", section.Name)
		}
	}
	return nil
}

func renumber(section *elfobj.Section, secs []elfobj.SecID, syms []elfobj.SymID) {
	if section.Link > 0 {
		section.Link = secs[section.Link]
	}
	if section.Group > 0 {
		section.Group = syms[section.Group]
	}
	members := section.Members[:0]
	for _, m := range section.Members {
		if secs[m] >= 0 {
			members = append(members, secs[m])
		}
	}
	section.Members = members
	for j := range section.Relocs {
		section.Relocs[j].Sym = syms[section.Relocs[j].Sym]
	}
	for _, k := range section.KlpRelocs {
		for j := range k.Relocs {
			k.Relocs[j].Sym = syms[k.Relocs[j].Sym]
		}
	}
}

// findSection returns the first section of that name, or nil.
func findSection(f *elfobj.File, name string) *elfobj.Section {
	for i := 1; i < len(f.Sections); i++ {
		if f.Sections[i].Name == name {
			return &f.Sections[i]
		}
	}
	return nil
}
