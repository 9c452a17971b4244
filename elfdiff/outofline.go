package elfdiff

import (
	"cmp"
	"slices"

	"github.com/klpforge/klpforge/elfobj"
)

// Some of a function's code lies in sections that all functions of the object share,
// without symbols: what static branches on CPU features run before alternatives are
// applied (.altinstr_aux, arch/x86/include/asm/cpufeature.h, v6.1), and what code that
// faulted does before it goes on (.fixup, arch/x86/include/asm/uaccess.h, v5.10). Such a
// section is cut where code elsewhere jumps into it and where the exception table
// leads into it, and each part belongs to the function that gets there.

// outOfLine reports whether a section holds out-of-line code without symbols.
func outOfLine(section string) bool { return section == auxSection || section == fixupSection }

const (
	auxSection   = ".altinstr_aux"
	fixupSection = ".fixup"
)

// adoptCold gives cold parts their function.
func (o *Object) adoptCold() {
	byName := map[string]AtomID{} // functions that have a cold part
	var cold []AtomID
	for i := range o.Atoms {
		if at := &o.Atoms[i]; at.Class == classText && isCold(at.Name) {
			p, _ := fragmentParent(at.Name)
			byName[p] = -1
			cold = append(cold, AtomID(i))
		}
	}
	for i := range o.Atoms {
		if at := &o.Atoms[i]; at.Class == classText && at.Name != "" {
			if _, ok := byName[at.Name]; ok {
				byName[at.Name] = AtomID(i)
			}
		}
	}
	for _, i := range cold {
		p, _ := fragmentParent(o.Atoms[i].Name)
		if id := byName[p]; id >= 0 && id != i {
			o.Atoms[i].Parent = id
		}
	}
}

// entrance is a place in out-of-line code that a function gets to.
type entrance struct {
	at    uint64
	owner AtomID // the function, -1 when that is not known
}

// splitOutOfLine cuts sections of out-of-line code without symbols.
func (o *Object) splitOutOfLine() {
	cuts := map[elfobj.SecID][]entrance{}
	for i := range o.File.Sections {
		id := elfobj.SecID(i)
		if o.code(id) || o.File.Sections[i].Name == exTable {
			o.cutsFrom(id, cuts)
		}
	}
	for i := range o.File.Sections {
		sec := elfobj.SecID(i)
		if list := cuts[sec]; list != nil && len(o.atomsIn(sec)) == 1 {
			o.splitAt(sec, list)
		}
	}
}

const exTable = "__ex_table"

// cutsFrom adds the places in out-of-line code that one section refers to.
func (o *Object) cutsFrom(id elfobj.SecID, cuts map[elfobj.SecID][]entrance) {
	relocs := o.relocs(id)
	table := !o.code(id)
	site := AtomID(-1) // of an exception table: what the entry's first reference leads to
	for k := range relocs {
		rel := &relocs[k]
		sec := o.File.Symbols[rel.Sym].Sec
		if sec <= 0 {
			continue
		}
		if !outOfLine(o.File.Sections[sec].Name) || sec == id {
			if table && o.code(sec) {
				site = o.atomAt(sec, o.location(id, rel, k))
			}
			continue
		}
		if off := o.location(id, rel, k); off >= 0 && off < int64(o.File.Sections[sec].Size) {
			owner := site
			if !table {
				owner = o.atomAt(id, int64(rel.Off))
			}
			if owner >= 0 && !outOfLine(o.Section(owner)) {
				cuts[sec] = append(cuts[sec], entrance{uint64(off), o.Root(owner)})
			} else {
				cuts[sec] = append(cuts[sec], entrance{uint64(off), -1})
			}
		}
	}
}

// splitAt divides a section that is one atom. Of several functions that get to one
// place the first has it.
func (o *Object) splitAt(sec elfobj.SecID, list []entrance) {
	slices.SortStableFunc(list, func(a, b entrance) int {
		known := func(c entrance) int { return -min(int(c.owner), 0) }
		return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(known(a), known(b)))
	})
	list = slices.CompactFunc(list, func(a, b entrance) bool { return a.at == b.at })
	if o.File.Sections[sec].Name == fixupSection {
		// Fixups of one access may run into each other.
		list = slices.CompactFunc(list, func(a, b entrance) bool { return a.owner >= 0 && a.owner == b.owner })
	}
	if list[0].at != 0 {
		list = append([]entrance{{0, -1}}, list...)
	}
	first := o.atomsIn(sec)[0]
	from := uint32(len(o.order))
	for k, c := range list {
		end := o.File.Sections[sec].Size
		if k+1 < len(list) {
			end = list[k+1].at
		}
		part := Atom{Sec: sec, Start: c.at, Base: c.at, End: end, Size: end - c.at, Class: classText, Parent: c.owner}
		id := first
		if k == 0 {
			o.Atoms[first] = part
		} else {
			id = AtomID(len(o.Atoms))
			o.Atoms = append(o.Atoms, part)
		}
		o.order = append(o.order, id)
	}
	o.inSec[sec] = idRange{from, uint32(len(o.order))}
}
