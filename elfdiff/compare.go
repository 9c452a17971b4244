package elfdiff

import (
	"bytes"
	"fmt"
	"runtime"
	"slices"

	"github.com/klpforge/klpforge/elfobj"
)

// comparer decides equality of paired atoms. Verdicts on what has no identity of
// its own are cached, for much may refer to it; such a pair that is being compared
// counts as equal, so that cycles of nameless data end.
type comparer struct {
	*pairing
	same  []bool // by patched atom: known to equal its partner; nil when nothing was compared ahead
	seen  map[[2]AtomID]string
	open  map[[2]AtomID]bool // being compared; true: taken for equal meanwhile
	depth int                // pairs being compared, those with an identity as well
	trail [][2]AtomID        // pairs found equal, in order
	flat  bool               // gives up where the contents of other atoms decide
	lines *lineNotes         // where not nil, line numbers may differ, and are noted there

	fieldX, fieldY [8]byte // space for sameField
}

func newComparer(p *pairing) *comparer {
	return &comparer{pairing: p, seen: map[[2]AtomID]string{}, open: map[[2]AtomID]bool{}}
}

// maxNesting bounds chains of nameless data that refer to each other.
const maxNesting = 2000

// The verdicts that are no reasons.
const (
	equal     = ""
	undecided = "depends on the contents of other atoms"
)

// compareAhead compares, on all processors, pairs whose equality depends on
// nothing but themselves and on what is paired: most. What differs is compared
// again when the reason is asked for, and so is what depends on the contents of
// nameless data, where the order of comparisons shows in the reason.
func (c *comparer) compareAhead() {
	if runtime.GOMAXPROCS(0) == 1 || len(c.p.Atoms) < 2*share {
		return
	}
	same := make([]bool, len(c.p.Atoms))
	inParallel(len(same), func(from, to int) { c.compareFlat(AtomID(from), same[from:to]) })
	c.same = same
}

// compareFlat sets same for the patched atoms from first on that equal their
// partners whatever the contents of others.
func (c *comparer) compareFlat(first AtomID, same []bool) {
	flat := comparer{pairing: c.pairing, flat: true}
	for i := range same {
		atom := first + AtomID(i)
		if origAtom := c.toO[atom]; origAtom >= 0 && !c.byContents(origAtom, atom) {
			same[i] = flat.differs(origAtom, atom) == equal
		}
	}
}

// byContents reports whether the atoms count by their contents: both have no identity of
// their own, paired or not, or the patched one has lost that of its partner and travels with
// the code that refers to it.
func (c *comparer) byContents(orig, patched AtomID) bool {
	return c.p.contentOnly(patched) && (c.o.contentOnly(orig) || c.toO[patched] == orig)
}

// differ returns why the two atoms differ, or equal. Those that do not count by
// their contents must be partners.
func (c *comparer) differ(origAtom, patchedAtom AtomID) string {
	if c.same != nil && c.same[patchedAtom] && c.toO[patchedAtom] == origAtom {
		return equal
	}
	key := [2]AtomID{origAtom, patchedAtom}
	if !c.byContents(origAtom, patchedAtom) {
		c.depth++
		v := c.differs(origAtom, patchedAtom) // nothing compares it again meanwhile
		c.depth--
		return v
	}
	if _, ok := c.open[key]; ok {
		c.open[key] = true
		return equal
	}
	if v, ok := c.seen[key]; ok {
		return v
	}
	if c.depth > maxNesting {
		return "nested too deeply"
	}
	mark := len(c.trail)
	c.open[key] = false
	c.depth++
	why := c.differs(origAtom, patchedAtom)
	c.depth--
	assumed := c.open[key]
	delete(c.open, key)
	c.seen[key] = why
	switch {
	case why == equal:
		c.trail = append(c.trail, key)
	case assumed:
		// Verdicts that rest on this pair being equal fall with it.
		for _, pair := range c.trail[mark:] {
			delete(c.seen, pair)
		}
		c.trail = c.trail[:mark]
	}
	if len(c.open) == 0 {
		c.trail = c.trail[:0] // nothing is taken for granted any more
	}
	return why
}

func (c *comparer) differs(origAtom, patchedAtom AtomID) string {
	before, after := &c.o.Atoms[origAtom], &c.p.Atoms[patchedAtom]
	if kindOf(before.Class) != kindOf(after.Class) {
		return "kind of section"
	}
	if before.Size != after.Size {
		return fmt.Sprintf("size %d -> %d", before.Size, after.Size)
	}
	if before.Class != after.Class && before.Class != classText {
		return fmt.Sprintf("moved from %s to %s", c.o.File.Sections[before.Sec].Name, c.p.File.Sections[after.Sec].Name)
	}
	if why := c.body(origAtom, patchedAtom); why != equal {
		return why
	}
	return c.tables(origAtom, patchedAtom)
}

// body compares bytes outside relocated fields, and what relocations mean.
// Padding behind the symbol's own bytes does not count, where several functions
// share a section.
func (c *comparer) body(origAtom, patchedAtom AtomID) string {
	before, after := &c.o.Atoms[origAtom], &c.p.Atoms[patchedAtom]
	origCode, patchedCode := c.o.bytes(origAtom), c.p.bytes(patchedAtom)
	if (origCode == nil) != (patchedCode == nil) {
		return "zeroed data became initialised, or the reverse"
	}
	origRelocs, fx := c.o.relocsIn(origAtom)
	patchedRelocs, fy := c.p.relocsIn(patchedAtom)
	if origCode != nil {
		origCode, patchedCode = origCode[before.Base-before.Start:], patchedCode[after.Base-after.Start:]
		if before.Class == classText && len(c.o.atomsIn(before.Sec)) == 1 && len(c.p.atomsIn(after.Sec)) == 1 {
			// What lies behind the function in its own section is its out-of-line code.
			if len(origCode) != len(patchedCode) {
				return fmt.Sprintf("out-of-line code: %d bytes -> %d", uint64(len(origCode))-before.Size,
					uint64(len(patchedCode))-after.Size)
			}
		} else {
			origCode, patchedCode = origCode[:min(before.Size, uint64(len(origCode)))], patchedCode[:min(after.Size,
				uint64(len(patchedCode)))]
		}
	}
	origRelocs, fx = skipPrefix(origRelocs, fx, before.Base)
	patchedRelocs, fy = skipPrefix(patchedRelocs, fy, after.Base)
	if sanitizerData(c.o.File.Sections[before.Sec].Name) && sanitizerData(c.p.File.Sections[after.Sec].Name) &&
		len(origCode) >= 16 && len(patchedCode) >= 16 {
		// Line and column of what it describes follow the file name.
		origCode, patchedCode = bytes.Clone(origCode), bytes.Clone(patchedCode)
		clear(origCode[8:16])
		clear(patchedCode[8:16])
	}
	pos := uint64(0)
	if len(origRelocs) != len(patchedRelocs) {
		// Find the place for the reason; they differ in any case.
		if i := firstDiff(origCode, patchedCode, 0); i >= 0 {
			return fmt.Sprintf("code differs at +%#x", i)
		}
		return fmt.Sprintf("%d references -> %d", len(origRelocs), len(patchedRelocs))
	}
	for i := range origRelocs {
		off := origRelocs[i].Off - before.Base
		if off != patchedRelocs[i].Off-after.Base {
			return fmt.Sprintf("code differs at +%#x", min(off, patchedRelocs[i].Off-after.Base))
		}
		if diff := c.differsIn(origAtom, patchedAtom, origCode, patchedCode, pos, off); diff >= 0 {
			return fmt.Sprintf("bytes differ at +%#x", diff)
		}
		if !c.sameField(origCode, patchedCode, off, origRelocs[i].Type, patchedRelocs[i].Type) {
			return fmt.Sprintf("bytes differ at +%#x", off)
		}
		pos = max(pos, off+uint64(c.o.Arch.Width(origRelocs[i].Type)))
		tx, ty := c.o.target(before.Sec, &origRelocs[i], fx+i), c.p.target(after.Sec, &patchedRelocs[i], fy+i)
		if origRelocs[i].Type != patchedRelocs[i].Type &&
			!c.sameKind(origCode, patchedCode, &origRelocs[i], &patchedRelocs[i], before, after) {
			return fmt.Sprintf("reference at +%#x changed type", off)
		}
		if why := c.sameTarget(tx, ty); why != equal {
			return fmt.Sprintf("reference at +%#x: %s", off, why)
		}
	}
	if diff := c.differsIn(origAtom, patchedAtom, origCode, patchedCode, pos, uint64(len(origCode))); diff >= 0 {
		return fmt.Sprintf("bytes differ at +%#x", diff)
	}
	return equal
}

// differsIn is firstDiff for a range of two atoms, bytes from their primary symbols,
// where line numbers that may differ do not count.
func (c *comparer) differsIn(origAtom, patchedAtom AtomID, bx, by []byte, from, to uint64) int {
	for {
		diff := firstDiff(bx, by, from, to)
		if diff < 0 || c.lines == nil {
			return diff
		}
		end := c.lineNumber(origAtom, patchedAtom, uint64(diff))
		if end == 0 {
			return diff
		}
		from = end
	}
}

func skipPrefix(relocs []elfobj.Reloc, first int, base uint64) ([]elfobj.Reloc, int) {
	for len(relocs) > 0 && relocs[0].Off < base {
		relocs, first = relocs[1:], first+1
	}
	return relocs, first
}

// sameKind accepts a change between PC32 and PLT32 on a branch: the assembler
// chooses by how the symbol is declared, the linker treats both alike.
func (c *comparer) sameKind(bx, by []byte, rx, ry *elfobj.Reloc, before, after *Atom) bool {
	nx, ny := *rx, *ry
	nx.Off -= before.Base
	ny.Off -= after.Base
	return c.o.Arch.PCRelative(rx.Type) && c.p.Arch.PCRelative(ry.Type) &&
		c.o.Arch.BranchReloc(bx, nx) && c.p.Arch.BranchReloc(by, ny)
}

// sameField compares what the relocations of two fields at off leave alone: the
// rest of an instruction. A field that reaches behind the bytes is compared as
// far as it goes.
func (c *comparer) sameField(bx, by []byte, off uint64, tx, ty uint32) bool {
	before, after := &c.fieldX, &c.fieldY
	width := c.o.Arch.Width(tx)
	if width == 0 || width != c.p.Arch.Width(ty) || off >= uint64(min(len(bx), len(by))) {
		return true // the same type, or judged by sameKind
	}
	*before, *after = [8]byte{}, [8]byte{}
	copy(before[:width], bx[off:])
	copy(after[:width], by[off:])
	c.o.Arch.Clear(before[:width], tx)
	c.p.Arch.Clear(after[:width], ty)
	return *before == *after
}

// firstDiff returns the first offset in [from, to) where before and after differ, -1 if
// none; without to, until the end.
func firstDiff(before, after []byte, from uint64, to ...uint64) int {
	end := uint64(min(len(before), len(after)))
	if len(to) > 0 {
		end = min(end, to[0])
	}
	if from >= end || bytes.Equal(before[from:end], after[from:end]) {
		return -1
	}
	for i := from; i < end; i++ {
		if before[i] != after[i] {
			return int(i)
		}
	}
	return -1
}

func (c *comparer) sameTarget(before, after Target) string {
	if before.Kind != after.Kind {
		// A symbol that is defined on one side only.
		nx, ny := c.targetName(c.o, before), c.targetName(c.p, after)
		return fmt.Sprintf("%s -> %s", nx, ny)
	}
	if before.Slot != after.Slot {
		return fmt.Sprintf("%s -> %s, directly or not", c.targetName(c.o, before), c.targetName(c.p, after))
	}
	switch before.Kind {
	case TargetExtern, TargetAbs:
		if before.Name != after.Name || before.Off != after.Off {
			return fmt.Sprintf("%s -> %s", c.targetName(c.o, before), c.targetName(c.p, after))
		}
	case TargetString, TargetConst:
		if before.Text == nil || before.Skip != after.Skip || !bytes.Equal(before.Text, after.Text) {
			return fmt.Sprintf("%s -> %s", c.targetName(c.o, before), c.targetName(c.p, after))
		}
	case TargetPiece:
		return c.samePiece(before, after)
	case TargetAtom:
		if before.Off != after.Off {
			return fmt.Sprintf("%s -> %s", c.targetName(c.o, before), c.targetName(c.p, after))
		}
		// What has no identity of its own counts by its contents, paired or not.
		if c.byContents(before.Atom, after.Atom) {
			if c.flat {
				return undecided
			}
			if why := c.differ(before.Atom, after.Atom); why != equal {
				return fmt.Sprintf("%s: %s", c.targetName(c.p, after), why)
			}
			return equal
		}
		if c.toP[before.Atom] != after.Atom {
			return fmt.Sprintf("%s -> %s", c.targetName(c.o, before), c.targetName(c.p, after))
		}
	}
	return equal
}

// samePiece compares places in sections that have no atoms. The place in
// .altinstr_replacement to which the entry of an alternative refers is no matter: what
// stands there is compared with the entry. For all else, which of the function's
// alternatives it is decides, and the place in it. So it does of a table's entries:
// where they are in the table depends on the functions before.
func (c *comparer) samePiece(before, after Target) string {
	nx, ny := c.o.File.Sections[before.Sec].Name, c.p.File.Sections[after.Sec].Name
	if c.o.class[before.Sec] == classAlt && c.p.class[after.Sec] == classAlt {
		ex, okX := c.o.alternativeAt(before)
		ey, okY := c.p.alternativeAt(after)
		if okX && okY && c.toP[ex.owner] == ey.owner && ex.at == ey.at &&
			before.Off-int64(ex.altOff) == after.Off-int64(ey.altOff) {
			return equal
		}
	} else if ex, i, ok := c.o.siteAt(before); ok {
		ey, j, ok := c.p.siteAt(after)
		if ok && ex.row == ey.row && c.toP[ex.owner] == ey.owner &&
			slices.Index(c.o.entriesOf(ex.owner), i) == slices.Index(c.p.entriesOf(ey.owner), j) &&
			before.Off-int64(ex.off) == after.Off-int64(ey.off) {
			return equal
		}
	} else if nx == ny && before.Off == after.Off {
		return equal
	}
	return fmt.Sprintf("%s -> %s", withOffset(nx, before.Off), withOffset(ny, after.Off))
}

// alternativeAt finds the alternative whose replacement code holds a place.
func (o *Object) alternativeAt(target Target) (entry, bool) {
	for k := range o.tables {
		table := &o.tables[k]
		if table.shape.alt == 0 {
			continue
		}
		for i := table.from; i < o.after(k); i++ {
			if ent := o.entryIn(table, i); ent.owner >= 0 && ent.alt == target.Sec && ent.altLen > 0 &&
				target.Off >= int64(ent.altOff) && target.Off < int64(ent.altOff+ent.altLen) {
				return ent, true
			}
		}
	}
	return entry{}, false
}

func (c *comparer) targetName(obj *Object, target Target) string {
	switch target.Kind {
	case TargetExtern:
		return withOffset(target.Name, target.Off+target.Skew)
	case TargetAbs:
		return fmt.Sprintf("%s (%#x)", target.Name, target.Off)
	case TargetString:
		text := bytes.TrimRight(target.Text, "\x00")
		return withOffset(fmt.Sprintf("%q", text[:min(len(text), 200)]), target.Skip)
	case TargetConst:
		return withOffset(fmt.Sprintf("constant %x", target.Text[:min(len(target.Text), 32)]), target.Skip)
	case TargetPiece:
		return withOffset(obj.File.Sections[target.Sec].Name, target.Off)
	case TargetAtom:
		name := obj.Atoms[target.Atom].Name
		if name == "" {
			name = obj.File.Sections[target.Sec].Name
		}
		return withOffset(name, target.Off)
	}
	return fmt.Sprintf("nothing%+#x", target.Off)
}

// withOffset names a place by a name and the bytes from there.
func withOffset(name string, off int64) string {
	if off == 0 {
		return name
	}
	return fmt.Sprintf("%s%+#x", name, off)
}

// tables compares the special-section entries of two functions, but for
// tables that follow from the code alone.
func (c *comparer) tables(origAtom, patchedAtom AtomID) string {
	origEntries, patchedEntries := c.o.entriesOf(origAtom), c.p.entriesOf(patchedAtom)
	for i := 0; i < len(origEntries) && i < len(patchedEntries); i++ {
		before, after := c.o.entry(origEntries[i]), c.p.entry(patchedEntries[i])
		if before.row != after.row || c.o.File.Sections[before.sec].Name != c.p.File.Sections[after.sec].Name ||
			before.at != after.at || before.shape.size != after.shape.size {
			return fmt.Sprintf("%s entries differ", before.row.section)
		}
		if why := c.sameEntry(&before, &after); why != equal {
			return why
		}
	}
	if len(origEntries) != len(patchedEntries) {
		return "special section entries added or removed"
	}
	return equal
}

func (c *comparer) sameEntry(before, after *entry) string {
	bx, by := c.o.whole(before), c.p.whole(after)
	if c.lines != nil {
		c.lines.entry(before, bx, by, c.o.Arch.BigEndian())
	}
	for _, code := range [][]byte{bx, by} {
		clear(code[before.shape.lineOff:][:before.shape.lineLen])
	}
	if len(before.relocs) != len(after.relocs) {
		return fmt.Sprintf("%s entry differs", before.row.section)
	}
	for i := range before.relocs {
		rx, ry := &before.relocs[i], &after.relocs[i]
		if rx.Off-before.off != ry.Off-after.off || rx.Type != ry.Type {
			return fmt.Sprintf("%s entry differs", before.row.section)
		}
		width := uint64(c.o.Arch.Width(rx.Type))
		c.o.Arch.Clear(bx[rx.Off-before.off:][:width], rx.Type)
		c.p.Arch.Clear(by[ry.Off-after.off:][:width], ry.Type)
		tx, ty := c.o.target(before.sec, rx, before.first+i), c.p.target(after.sec, ry, after.first+i)
		if tx.Kind == TargetPiece && ty.Kind == TargetPiece && c.o.class[tx.Sec] == classAlt &&
			c.p.class[ty.Sec] == classAlt {
			continue // where the replacement stands means nothing; what it is, sameAlt tells
		}
		if why := c.sameTarget(tx, ty); why != equal {
			return fmt.Sprintf("%s entry: %s", before.row.section, why)
		}
	}
	if !bytes.Equal(bx, by) {
		return fmt.Sprintf("%s entry differs", before.row.section)
	}
	if before.altLen != after.altLen || !c.sameAlt(before, after) {
		return "replacement instructions differ"
	}
	return equal
}

// sameAlt compares the replacement code of two alternatives.
func (c *comparer) sameAlt(before, after *entry) bool {
	if before.altLen == 0 {
		return true
	}
	bx := bytes.Clone(c.o.File.Sections[before.alt].Data[before.altOff:][:before.altLen])
	by := bytes.Clone(c.p.File.Sections[after.alt].Data[after.altOff:][:after.altLen])
	rx, fx := c.o.pieceRelocs(before)
	ry, fy := c.p.pieceRelocs(after)
	if len(rx) != len(ry) {
		return false
	}
	for i := range rx {
		if rx[i].Off-before.altOff != ry[i].Off-after.altOff || rx[i].Type != ry[i].Type {
			return false
		}
		width := uint64(c.o.Arch.Width(rx[i].Type))
		if rx[i].Off-before.altOff+width > before.altLen {
			return false
		}
		c.o.Arch.Clear(bx[rx[i].Off-before.altOff:][:width], rx[i].Type)
		c.p.Arch.Clear(by[ry[i].Off-after.altOff:][:width], ry[i].Type)
		if c.sameTarget(c.o.target(before.alt, &rx[i], fx+i), c.p.target(after.alt, &ry[i], fy+i)) != equal {
			return false
		}
	}
	return bytes.Equal(bx, by)
}

// pieceRelocs returns the relocations of an alternative's replacement code and
// the index of the first.
func (o *Object) pieceRelocs(ent *entry) ([]elfobj.Reloc, int) {
	all := o.relocs(ent.alt)
	lo, hi := searchOff(all, ent.altOff), searchOff(all, ent.altOff+ent.altLen)
	return all[lo:hi], lo
}
