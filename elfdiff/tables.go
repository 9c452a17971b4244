package elfdiff

import (
	"bytes"
	"cmp"
	"debug/elf"
	"fmt"
	"math"
	"path"
	"slices"
	"strings"

	"github.com/klpforge/klpforge/elfobj"
	"github.com/klpforge/klpforge/finding"
)

// tableRow returns the row of a table about places in code, of its second half or
// header; nil for other sections.
func tableRow(name string) *row {
	if r := rowOf(name); r != nil && (r.holds == holdsSites || r.holds == holdsHalf) {
		return r
	}
	return nil
}

// entry is one entry of a special section.
type entry struct {
	row    *row
	shape  *shape
	sec    elfobj.SecID
	off    uint64         // bytes from the start of the section
	size   uint64         // bytes that are there: those of the shape, or fewer at the table's end
	relocs []elfobj.Reloc // those that lie in the entry
	first  int            // index of the first of them in the section's
	owner  AtomID
	at     int64 // position in the owner, bytes from its primary symbol
	// alternatives only: the replacement code that the entry names, in a section
	// of its own or behind the code of a function
	alt            elfobj.SecID
	altOff, altLen uint64
}

// table is one special section and how it divides. Of its entries nothing is
// kept: unwind tables have one for every few instructions.
type table struct {
	row   *row
	shape *shape
	sec   elfobj.SecID
	from  uint32 // index of its first entry among those of all tables
	each  uint32 // relocations of each entry, 0 when their number differs
}

// tableOf returns the table of an entry.
func (o *Object) tableOf(i uint32) *table {
	n, _ := slices.BinarySearchFunc(o.tables, i, func(t table, i uint32) int {
		if t.from <= i {
			return -1
		}
		return 1
	})
	return &o.tables[n-1]
}

// entry returns an entry by its index.
func (o *Object) entry(i uint32) entry { return o.entryIn(o.tableOf(i), i) }

// entryIn returns an entry by its table and index.
func (o *Object) entryIn(t *table, i uint32) entry {
	off := uint64(i-t.from) * t.shape.size
	e := entry{row: t.row, shape: t.shape, sec: t.sec, off: off, size: min(t.shape.size, o.File.Sections[t.sec].Size-off), owner: -1}
	e.relocs, e.first = o.relocsOf(t, i)
	e.owner, e.at = o.owner(t, &e)
	if e.shape.alt != 0 {
		o.replacement(&e)
	}
	return e
}

// owner returns the atom that an entry describes and the place in it, -1 when
// it describes none.
func (o *Object) owner(t *table, e *entry) (a AtomID, at int64) {
	a = -1
	for k := range e.relocs {
		if r := &e.relocs[k]; r.Off == e.off+t.shape.refs[0] {
			if t := o.target(e.sec, r, e.first+k); t.Kind == TargetAtom {
				a, at = t.Atom, t.Off
			}
		}
	}
	return a, at
}

// replacement finds the code that may replace what an alternative describes: in
// a section of its own, or behind a function. There is none for a callback.
func (o *Object) replacement(e *entry) {
	sh := e.shape
	for k := range e.relocs {
		rel := &e.relocs[k]
		if rel.Off != e.off+sh.alt {
			continue
		}
		t := o.target(e.sec, rel, e.first+k)
		start := t.Off
		switch {
		case t.Kind == TargetAtom && o.Atoms[t.Atom].Class == classText:
			start += int64(o.Atoms[t.Atom].Base)
		case t.Kind != TargetPiece:
			continue
		}
		n := uint64(o.File.Sections[e.sec].Data[e.off+sh.altLen])
		if sh.altEnd != 0 {
			end := slices.IndexFunc(e.relocs, func(r elfobj.Reloc) bool { return r.Off == e.off+sh.altEnd })
			n = uint64(o.location(e.sec, &e.relocs[end], e.first+end) - o.location(e.sec, rel, e.first+k))
		}
		if n > 0 {
			e.alt, e.altOff, e.altLen = t.Sec, uint64(start), n
		}
	}
}

// entriesOf lists the entries that belong to an atom, by section and position,
// but for those that follow from the code alone.
func (o *Object) entriesOf(a AtomID) []uint32 {
	return o.owned[o.ownedFrom[a]:o.ownedFrom[a+1]]
}

// derivedOf lists the entries, in order, that follow from code alone and belong
// to an atom for which ok is true, all in the given sections. Those of tables
// that are dropped are left out.
func (o *Object) derivedOf(ok func(AtomID) bool, in map[elfobj.SecID]bool) []uint32 {
	var out []uint32
	near := func(r elfobj.Reloc) bool {
		sec := o.File.Symbols[r.Sym].Sec
		return in[sec] || sec > 0 && o.class[sec] == classSlots
	}
	for k := range o.tables {
		t := &o.tables[k]
		if !t.row.derived || t.row.policy == drop {
			continue
		}
		for i := t.from; i < o.after(k); i++ {
			relocs, _ := o.relocsOf(t, i)
			if !slices.ContainsFunc(relocs, near) {
				continue
			}
			if e := o.entryIn(t, i); e.owner >= 0 && ok(e.owner) {
				out = append(out, i)
			}
		}
	}
	return out
}

// relocsOf returns the relocations in an entry and the index of the first.
func (o *Object) relocsOf(t *table, i uint32) ([]elfobj.Reloc, int) {
	relocs := o.File.Sections[t.sec].Relocs
	if t.each > 0 {
		first := int(i-t.from) * int(t.each)
		return relocs[first:][:t.each], first
	}
	off := uint64(i-t.from) * t.shape.size
	first := searchOff(relocs, off)
	relocs = relocs[first:]
	return relocs[:searchOff(relocs, off+t.shape.size)], first
}

// after is the index behind the last entry of the k-th table.
func (o *Object) after(k int) uint32 {
	t := &o.tables[k]
	n, _ := t.shape.count(o.File.Sections[t.sec].Size)
	return t.from + uint32(n)
}

// count returns how many entries a table of that many bytes has; false when it does
// not divide into such entries.
func (sh *shape) count(size uint64) (n uint64, ok bool) {
	n = size / sh.size
	switch rest := size % sh.size; {
	case rest == 0:
		return n, true
	case sh.least > 0 && rest >= sh.least:
		return n + 1, true
	}
	return 0, false
}

// whole returns a copy of an entry's bytes, with zeros for those that the last entry
// of a table lacks.
func (o *Object) whole(e *entry) []byte {
	out := make([]byte, e.shape.size)
	copy(out, o.File.Sections[e.sec].Data[e.off:e.off+e.size])
	return out
}

// readTables reads all special sections. The size of an entry is inferred from
// the object: it must divide the table and give every entry the relocations
// that the layout of this size has.
func (o *Object) readTables() error {
	next := uint64(0)
	for i := range o.File.Sections {
		s := &o.File.Sections[i]
		if o.class[i] != classTable || s.Size == 0 || tableRow(s.Name).holds == holdsHalf {
			continue
		}
		r := tableRow(s.Name)
		sh, err := o.entryShape(r, s)
		if err != nil {
			return err
		}
		o.tables = append(o.tables, table{row: r, shape: sh, sec: elfobj.SecID(i), from: uint32(next)})
		n, _ := sh.count(s.Size)
		if next += n; next > math.MaxUint32 {
			return fmt.Errorf("special sections have more than %d entries", uint32(math.MaxUint32))
		}
	}
	compared := uint32(0)
	for k := range o.tables {
		if t := &o.tables[k]; !t.row.derived {
			compared += o.after(k) - t.from
		}
	}
	found := make([]owned, 0, compared)
	for k := range o.tables {
		if err := o.readTable(k, &found); err != nil {
			return err
		}
	}
	o.ownedFrom = make([]uint32, len(o.Atoms)+1)
	for i := range found {
		o.ownedFrom[found[i].by+1]++
	}
	for i := 1; i < len(o.ownedFrom); i++ {
		o.ownedFrom[i] += o.ownedFrom[i-1]
	}
	o.owned = make([]uint32, len(found))
	place := slices.Clone(o.ownedFrom)
	for i := range found {
		a := found[i].by
		o.owned[place[a]] = uint32(i)
		place[a]++
	}
	// In order of place within each table.
	order := func(a, b uint32) int {
		x, y := &found[a], &found[b]
		return cmp.Or(cmp.Compare(x.table, y.table), cmp.Compare(x.at, y.at), cmp.Compare(x.entry, y.entry))
	}
	for a := range o.Atoms {
		list := o.entriesOf(AtomID(a))
		if !slices.IsSortedFunc(list, order) {
			slices.SortFunc(list, order)
		}
		for k, i := range list {
			list[k] = found[i].entry
		}
	}
	return nil
}

// owned says to which atom an entry belongs.
type owned struct {
	at    int64 // position in the atom, bytes from its primary symbol
	by    AtomID
	entry uint32
	table int32
}

// entryShape finds the layout of a table's entries.
func (o *Object) entryShape(r *row, s *elfobj.Section) (*shape, error) {
	shapes := r.shapes
	if r.section == ".altinstructions" {
		shapes = altShapes(o.Arch)
	}
	var best *shape
	least := 0
	for i := range shapes {
		sh := &shapes[i]
		if _, ok := sh.count(s.Size); !ok || !sh.fits(s) {
			continue
		}
		if n := o.doubts(sh, s); best == nil || n < least {
			best, least = sh, n
		}
	}
	if best != nil {
		return best, nil
	}
	return nil, &finding.Finding{ID: finding.IDUnknownSection, Severity: finding.Error, Section: s.Name,
		Message: fmt.Sprintf("special section %s of %d bytes with %d relocations does not divide into entries of a known layout", s.Name, s.Size, len(s.Relocs)),
		Remedy:  "report the kernel version; the section's entry format changed"}
}

// altShapes are the layouts of an architecture's alternatives.
func altShapes(arch elfobj.Arch) []shape {
	var out []shape
	for _, a := range arch.AltEntries() {
		out = append(out, shape{size: a.Size, refs: []uint64{0}, may: []uint64{4}, alt: 4, siteLen: a.SiteLen, altLen: a.AltLen, kernels: a.Kernels})
	}
	return out
}

// fits reports whether every entry has the shape's relocations and no others.
func (sh *shape) fits(s *elfobj.Section) bool {
	next := 0
	for base := uint64(0); base < s.Size; base += sh.size {
		want := 0
		for first := next; next < len(s.Relocs) && s.Relocs[next].Off-base < sh.size; next++ {
			off := s.Relocs[next].Off - base
			switch {
			case next > first && s.Relocs[next-1].Off-base == off: // some architectures have several at one place
			case want < len(sh.refs) && off == sh.refs[want]:
				want++
			case !slices.Contains(sh.may, off):
				return false
			}
		}
		if want != len(sh.refs) {
			return false
		}
	}
	return true
}

// doubts counts what speaks against a layout that fits, to choose where two do: six
// references of 4 bytes are two entries with a handler or three without, and whether
// a distance counts from its own place or from the entry's start shows only in
// where it leads.
func (o *Object) doubts(sh *shape, s *elfobj.Section) int {
	n := 0
	for k := range s.Relocs {
		r := &s.Relocs[k]
		sym := &o.File.Symbols[r.Sym]
		off := r.Off % sh.size
		if off == sh.refs[0] && (sym.Sec <= 0 || o.File.Sections[sym.Sec].Flags&elf.SHF_EXECINSTR == 0) {
			n++ // describes no code of this object
		}
		if strings.Contains(sym.Name, handlerName) != (sh.handler != 0 && off == sh.handler) {
			n++
		}
		if sh.file != 0 && off == sh.file {
			loc := int64(sym.Value) + r.Addend
			if sh.fromStart && o.Arch.PCRelative(r.Type) {
				loc -= int64(off)
			}
			n += o.noFileName(sym, loc)
		}
	}
	return n
}

// noFileName counts what speaks against a place being the start of a file's name: 2
// when no string starts there, 1 when the string is not called as sources are.
func (o *Object) noFileName(sym *elfobj.Symbol, loc int64) int {
	if sym.Sec <= 0 {
		return 0
	}
	s := &o.File.Sections[sym.Sec]
	text := stringAt(s, loc)
	if text == nil || loc > 0 && s.Data[loc-1] != 0 {
		return 2
	}
	switch path.Ext(string(bytes.TrimRight(text, "\x00"))) {
	case ".c", ".h", ".S", ".rs":
		return 0
	}
	return 1
}

// readTable checks the n-th table and adds the entries that are compared to found.
func (o *Object) readTable(n int, found *[]owned) error {
	t := &o.tables[n]
	size, id, sh := t.shape.size, t.sec, t.shape
	s := &o.File.Sections[id]
	if sh.fromStart {
		bias := make([]int8, len(s.Relocs))
		for k := range s.Relocs {
			bias[k] = -int8(s.Relocs[k].Off % size)
		}
		o.setRefs(id, sectionRefs{s.Relocs, bias})
	}
	entries, _ := sh.count(s.Size)
	if each := uint64(len(s.Relocs)) / entries; each*entries == uint64(len(s.Relocs)) {
		t.each = uint32(each)
	}
	next := 0
	for off := uint64(0); off < s.Size; off += size {
		first := next
		for ; next < len(s.Relocs) && s.Relocs[next].Off < off+size; next++ {
			if rel := &s.Relocs[next]; rel.Off-off+uint64(o.Arch.Width(rel.Type)) > size {
				return &finding.Finding{ID: finding.IDUnknownSection, Severity: finding.Error, Section: s.Name,
					Message: fmt.Sprintf("relocation at %#x lies across two entries of %s", rel.Off, s.Name)}
			}
		}
		if uint32(next-first) != t.each {
			t.each = 0
		}
	}
	traces := o.traceTable(t.row.section)
	if t.row.derived && traces == nil {
		return nil
	}
	for i := t.from; i < o.after(n); i++ {
		e := o.entry(i)
		if e.altLen > 0 {
			if limit := o.File.Sections[e.alt].Size; e.altOff > limit || e.altLen > limit-e.altOff {
				return &finding.Finding{ID: finding.IDUnsupported, Severity: finding.Error, Section: s.Name,
					Message: fmt.Sprintf("entry at %#x names %d replacement bytes outside %s", e.off, e.altLen, o.File.Sections[e.alt].Name)}
			}
		}
		switch {
		case e.owner < 0:
		case traces != nil:
			traces[e.owner] = true
		default:
			*found = append(*found, owned{e.at, e.owner, i, int32(n)})
		}
	}
	return nil
}
