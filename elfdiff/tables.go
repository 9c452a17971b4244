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
func (o *Object) entryIn(tab *table, i uint32) entry {
	off := uint64(i-tab.from) * tab.shape.size
	ent := entry{row: tab.row, shape: tab.shape, sec: tab.sec, off: off,
		size: min(tab.shape.size, o.File.Sections[tab.sec].Size-off), owner: -1}
	ent.relocs, ent.first = o.relocsOf(tab, i)
	ent.owner, ent.at = o.owner(tab, &ent)
	if ent.shape.alt != 0 {
		o.replacement(&ent)
	}
	return ent
}

// owner returns the atom that an entry describes and the place in it, -1 when
// it describes none.
func (o *Object) owner(tab *table, ent *entry) (atom AtomID, at int64) {
	atom = -1
	for k := range ent.relocs {
		if rel := &ent.relocs[k]; rel.Off == ent.off+tab.shape.refs[0] {
			if target := o.target(ent.sec, rel, ent.first+k); target.Kind == TargetAtom {
				atom, at = target.Atom, target.Off
			}
		}
	}
	return atom, at
}

// siteAt finds the entry that holds a place in a table about places in code. WARN with
// arguments loads the address of its own entry (arch/x86/include/asm/bug.h, v6.19). n is
// the entry's index among those of all tables; false for what is no such place.
func (o *Object) siteAt(target Target) (ent entry, n uint32, ok bool) {
	if target.Kind != TargetPiece || o.class[target.Sec] != classTable {
		return entry{}, 0, false
	}
	for k := range o.tables {
		tab := &o.tables[k]
		if tab.sec != target.Sec || tab.row.derived || tab.row.policy != carry || tab.row.pair != "" ||
			tab.shape.alt != 0 || target.Off < 0 {
			continue
		}
		n = tab.from + uint32(uint64(target.Off)/tab.shape.size)
		if n >= o.after(k) {
			return entry{}, 0, false
		}
		ent = o.entryIn(tab, n)
		return ent, n, ent.owner >= 0
	}
	return entry{}, 0, false
}

// replacement finds the code that may replace what an alternative describes: in
// a section of its own, or behind a function. There is none for a callback.
func (o *Object) replacement(ent *entry) {
	sh := ent.shape
	for k := range ent.relocs {
		rel := &ent.relocs[k]
		if rel.Off != ent.off+sh.alt {
			continue
		}
		target := o.target(ent.sec, rel, ent.first+k)
		start := target.Off
		switch {
		case target.Kind == TargetAtom && o.Atoms[target.Atom].Class == classText:
			start += int64(o.Atoms[target.Atom].Base)
		case target.Kind != TargetPiece:
			continue
		}
		length := uint64(o.File.Sections[ent.sec].Data[ent.off+sh.altLen])
		if sh.altEnd != 0 {
			end := slices.IndexFunc(ent.relocs, func(r elfobj.Reloc) bool { return r.Off == ent.off+sh.altEnd })
			length = uint64(o.location(ent.sec, &ent.relocs[end], ent.first+end) - o.location(ent.sec, rel,
				ent.first+k))
		}
		if length > 0 {
			ent.alt, ent.altOff, ent.altLen = target.Sec, uint64(start), length
		}
	}
}

// entriesOf lists the entries that belong to an atom, by section and position,
// but for those that follow from the code alone.
func (o *Object) entriesOf(atom AtomID) []uint32 {
	return o.owned[o.ownedFrom[atom]:o.ownedFrom[atom+1]]
}

// derivedOf lists the entries, in order, that follow from code alone and belong
// to an atom for which ok is true, all in the given sections. Those of tables
// that are dropped are left out.
func (o *Object) derivedOf(ok func(AtomID) bool, in map[elfobj.SecID]bool) []uint32 {
	var out []uint32
	near := func(rel elfobj.Reloc) bool {
		sec := o.File.Symbols[rel.Sym].Sec
		return in[sec] || sec > 0 && o.class[sec] == classSlots
	}
	for k := range o.tables {
		tab := &o.tables[k]
		if !tab.row.derived || tab.row.policy == drop {
			continue
		}
		for i := tab.from; i < o.after(k); i++ {
			relocs, _ := o.relocsOf(tab, i)
			if !slices.ContainsFunc(relocs, near) {
				continue
			}
			if e := o.entryIn(tab, i); e.owner >= 0 && ok(e.owner) {
				out = append(out, i)
			}
		}
	}
	return out
}

// relocsOf returns the relocations in an entry and the index of the first.
func (o *Object) relocsOf(tab *table, i uint32) ([]elfobj.Reloc, int) {
	relocs := o.File.Sections[tab.sec].Relocs
	if tab.each > 0 {
		first := int(i-tab.from) * int(tab.each)
		return relocs[first:][:tab.each], first
	}
	off := uint64(i-tab.from) * tab.shape.size
	first := searchOff(relocs, off)
	relocs = relocs[first:]
	return relocs[:searchOff(relocs, off+tab.shape.size)], first
}

// after is the index behind the last entry of the k-th table.
func (o *Object) after(k int) uint32 {
	tab := &o.tables[k]
	n, _ := tab.shape.count(o.File.Sections[tab.sec].Size)
	return tab.from + uint32(n)
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
func (o *Object) whole(ent *entry) []byte {
	out := make([]byte, ent.shape.size)
	copy(out, o.File.Sections[ent.sec].Data[ent.off:ent.off+ent.size])
	return out
}

// readTables reads all special sections. The size of an entry is inferred from
// the object: it must divide the table and give every entry the relocations
// that the layout of this size has.
func (o *Object) readTables() error {
	next := uint64(0)
	for i := range o.File.Sections {
		section := &o.File.Sections[i]
		if o.class[i] != classTable || section.Size == 0 || tableRow(section.Name).holds == holdsHalf {
			continue
		}
		known := tableRow(section.Name)
		sh, err := o.entryShape(known, section)
		if err != nil {
			return err
		}
		o.tables = append(o.tables, table{row: known, shape: sh, sec: elfobj.SecID(i), from: uint32(next)})
		n, _ := sh.count(section.Size)
		if next += n; next > math.MaxUint32 {
			return fmt.Errorf("special sections have more than %d entries", uint32(math.MaxUint32))
		}
	}
	compared := uint32(0)
	for k := range o.tables {
		if tab := &o.tables[k]; !tab.row.derived {
			compared += o.after(k) - tab.from
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
		atom := found[i].by
		o.owned[place[atom]] = uint32(i)
		place[atom]++
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
func (o *Object) entryShape(known *row, section *elfobj.Section) (*shape, error) {
	shapes := known.shapes
	if known.section == ".altinstructions" {
		shapes = altShapes(o.Arch)
	}
	var best *shape
	least := 0
	for i := range shapes {
		sh := &shapes[i]
		if _, ok := sh.count(section.Size); !ok || !sh.fits(section) {
			continue
		}
		if n := o.doubts(sh, section); best == nil || n < least {
			best, least = sh, n
		}
	}
	if best != nil {
		return best, nil
	}
	return nil, &finding.Finding{ID: finding.IDUnknownSection, Severity: finding.Error, Section: section.Name,
		Message: fmt.Sprintf("special section %s of %d bytes with %d relocations does not divide into entries of a "+
			"known layout", section.Name, section.Size, len(section.Relocs)),
		Remedy: "report the kernel version; the section's entry format changed"}
}

// altShapes are the layouts of an architecture's alternatives.
func altShapes(arch elfobj.Arch) []shape {
	var out []shape
	for _, a := range arch.AltEntries() {
		out = append(out, shape{size: a.Size, refs: []uint64{0}, may: []uint64{4}, alt: 4, siteLen: a.SiteLen,
			altLen: a.AltLen, kernels: a.Kernels})
	}
	return out
}

// fits reports whether every entry has the shape's relocations and no others.
func (sh *shape) fits(section *elfobj.Section) bool {
	next := 0
	for base := uint64(0); base < section.Size; base += sh.size {
		want := 0
		for first := next; next < len(section.Relocs) && section.Relocs[next].Off-base < sh.size; next++ {
			off := section.Relocs[next].Off - base
			switch {
			case next > first && section.Relocs[next-1].Off-base == off: // some architectures have several at one place
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
func (o *Object) doubts(sh *shape, section *elfobj.Section) int {
	count := 0
	for k := range section.Relocs {
		rel := &section.Relocs[k]
		sym := &o.File.Symbols[rel.Sym]
		off := rel.Off % sh.size
		if off == sh.refs[0] && (sym.Sec <= 0 || o.File.Sections[sym.Sec].Flags&elf.SHF_EXECINSTR == 0) {
			count++ // describes no code of this object
		}
		if strings.Contains(sym.Name, handlerName) != (sh.handler != 0 && off == sh.handler) {
			count++
		}
		if sh.file != 0 && off == sh.file {
			loc := int64(sym.Value) + rel.Addend
			if sh.fromStart && o.Arch.PCRelative(rel.Type) {
				loc -= int64(off)
			}
			count += o.noFileName(sym, loc)
		}
	}
	return count
}

// noFileName counts what speaks against a place being the start of a file's name: 2
// when no string starts there, 1 when the string is not called as sources are.
func (o *Object) noFileName(sym *elfobj.Symbol, loc int64) int {
	if sym.Sec <= 0 {
		return 0
	}
	section := &o.File.Sections[sym.Sec]
	text := stringAt(section, loc)
	if text == nil || loc > 0 && section.Data[loc-1] != 0 {
		return 2
	}
	name := string(bytes.TrimRight(text, "\x00"))
	switch path.Ext(name) {
	case ".c", ".h", ".S", ".rs":
		return 0
	}
	if strings.HasPrefix(name, "<") && strings.HasSuffix(name, ">") {
		return 0 // what compilers call their standard input
	}
	return 1
}

// readTable checks the table of that index and adds the entries that are compared to found.
func (o *Object) readTable(index int, found *[]owned) error {
	tab := &o.tables[index]
	size, id, sh := tab.shape.size, tab.sec, tab.shape
	section := &o.File.Sections[id]

	// Later code reads each distance as if it counted from its own place.
	if sh.fromStart {
		bias := make([]int8, len(section.Relocs))
		for k := range section.Relocs {
			bias[k] = -int8(section.Relocs[k].Off % size)
		}
		o.setRefs(id, sectionRefs{section.Relocs, bias})
	}

	// Entries with one number of relocations each are found by division, others by search; see
	// relocsOf.
	entries, _ := sh.count(section.Size)
	if each := uint64(len(section.Relocs)) / entries; each*entries == uint64(len(section.Relocs)) {
		tab.each = uint32(each)
	}
	next := 0
	for off := uint64(0); off < section.Size; off += size {
		first := next
		for ; next < len(section.Relocs) && section.Relocs[next].Off < off+size; next++ {
			if rel := &section.Relocs[next]; rel.Off-off+uint64(o.Arch.Width(rel.Type)) > size {
				return &finding.Finding{ID: finding.IDUnknownSection, Severity: finding.Error, Section: section.Name,
					Message: fmt.Sprintf("relocation at %#x lies across two entries of %s", rel.Off, section.Name)}
			}
		}
		if uint32(next-first) != tab.each {
			tab.each = 0
		}
	}

	// Entries that follow the code alone are compared by their sums; only places of ftrace
	// entries are kept of them.
	traces := o.traceTable(tab.row.section)
	if tab.row.derived && traces == nil {
		return nil
	}

	for i := tab.from; i < o.after(index); i++ {
		ent := o.entry(i)
		if ent.altLen > 0 {
			if limit := o.File.Sections[ent.alt].Size; ent.altOff > limit || ent.altLen > limit-ent.altOff {
				return &finding.Finding{ID: finding.IDUnsupported, Severity: finding.Error, Section: section.Name,
					Message: fmt.Sprintf("entry at %#x names %d replacement bytes outside %s", ent.off, ent.altLen,
						o.File.Sections[ent.alt].Name)}
			}
		}
		switch {
		case ent.owner < 0:
		case traces != nil:
			traces[ent.owner] = true
		default:
			*found = append(*found, owned{ent.at, ent.owner, i, int32(index)})
		}
	}
	return nil
}
