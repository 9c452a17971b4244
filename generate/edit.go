package generate

import (
	"fmt"

	"github.com/klpforge/klpforge/elfobj"
)

// remove takes sections and symbols out of f and renumbers the rest. A symbol
// of a removed section goes too. It fails, before it changes anything, when
// something that stays refers to something that goes.
func remove(f *elfobj.File, dropSec func(*elfobj.Section) bool, dropSym func(elfobj.SymID) bool) error {
	secs := make([]elfobj.SecID, len(f.Sections)) // new number, or -1
	var nsec elfobj.SecID
	for i := range f.Sections {
		if i > 0 && dropSec(&f.Sections[i]) {
			secs[i] = -1
			continue
		}
		secs[i] = nsec
		nsec++
	}
	syms := make([]elfobj.SymID, len(f.Symbols))
	var nsym elfobj.SymID
	for i := range f.Symbols {
		s := &f.Symbols[i]
		if i > 0 && (s.Sec > 0 && secs[s.Sec] < 0 || dropSym(elfobj.SymID(i))) {
			syms[i] = -1
			continue
		}
		syms[i] = nsym
		nsym++
	}
	if err := checkRemoval(f, secs, syms); err != nil {
		return err
	}
	for i := range f.Sections {
		if n := secs[i]; n >= 0 {
			f.Sections[n] = f.Sections[i]
			renumber(&f.Sections[n], secs, syms)
		}
	}
	f.Sections = f.Sections[:nsec]
	for i := range f.Symbols {
		if n := syms[i]; n >= 0 {
			f.Symbols[n] = f.Symbols[i]
			if s := f.Symbols[n].Sec; s > 0 {
				f.Symbols[n].Sec = secs[s]
			}
		}
	}
	f.Symbols = f.Symbols[:nsym]
	return nil
}

func checkRemoval(f *elfobj.File, secs []elfobj.SecID, syms []elfobj.SymID) error {
	check := func(s *elfobj.Section, relocs []elfobj.Reloc) error {
		for _, r := range relocs {
			if syms[r.Sym] < 0 {
				return fmt.Errorf("section %s+%#x refers to symbol %q, which is to be removed", s.Name, r.Off, f.Symbols[r.Sym].Name)
			}
		}
		return nil
	}
	for i := range f.Sections {
		s := &f.Sections[i]
		if secs[i] < 0 {
			continue
		}
		if s.Link > 0 && secs[s.Link] < 0 {
			return fmt.Errorf("section %s is linked to %s, which is to be removed", s.Name, f.Sections[s.Link].Name)
		}
		if err := check(s, s.Relocs); err != nil {
			return err
		}
		for _, k := range s.KlpRelocs {
			if err := check(s, k.Relocs); err != nil {
				return err
			}
		}
		if s.Group > 0 && syms[s.Group] < 0 {
			return fmt.Errorf("section group %s loses its signature", s.Name)
		}
	}
	return nil
}

func renumber(s *elfobj.Section, secs []elfobj.SecID, syms []elfobj.SymID) {
	if s.Link > 0 {
		s.Link = secs[s.Link]
	}
	if s.Group > 0 {
		s.Group = syms[s.Group]
	}
	members := s.Members[:0]
	for _, m := range s.Members {
		if secs[m] >= 0 {
			members = append(members, secs[m])
		}
	}
	s.Members = members
	for j := range s.Relocs {
		s.Relocs[j].Sym = syms[s.Relocs[j].Sym]
	}
	for _, k := range s.KlpRelocs {
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
