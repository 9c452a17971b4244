package elfdiff

import (
	"bytes"
	"fmt"
	"runtime"

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
		b := first + AtomID(i)
		if a := c.toO[b]; a >= 0 && !c.byContents(a, b) {
			same[i] = flat.differs(a, b) == equal
		}
	}
}

// byContents reports whether the atoms count by their contents, paired or not.
func (c *comparer) byContents(a, b AtomID) bool { return c.o.contentOnly(a) && c.p.contentOnly(b) }

// differ returns why the two atoms differ, or equal. Those that do not count by
// their contents must be partners.
func (c *comparer) differ(a, b AtomID) string {
	if c.same != nil && c.same[b] && c.toO[b] == a {
		return equal
	}
	k := [2]AtomID{a, b}
	if !c.byContents(a, b) {
		c.depth++
		v := c.differs(a, b) // nothing compares it again meanwhile
		c.depth--
		return v
	}
	if _, ok := c.open[k]; ok {
		c.open[k] = true
		return equal
	}
	if v, ok := c.seen[k]; ok {
		return v
	}
	if c.depth > maxNesting {
		return "nested too deeply"
	}
	mark := len(c.trail)
	c.open[k] = false
	c.depth++
	v := c.differs(a, b)
	c.depth--
	assumed := c.open[k]
	delete(c.open, k)
	c.seen[k] = v
	switch {
	case v == equal:
		c.trail = append(c.trail, k)
	case assumed:
		// Verdicts that rest on this pair being equal fall with it.
		for _, q := range c.trail[mark:] {
			delete(c.seen, q)
		}
		c.trail = c.trail[:mark]
	}
	if len(c.open) == 0 {
		c.trail = c.trail[:0] // nothing is taken for granted any more
	}
	return v
}

func (c *comparer) differs(a, b AtomID) string {
	x, y := &c.o.Atoms[a], &c.p.Atoms[b]
	if kindOf(x.Class) != kindOf(y.Class) {
		return "kind of section"
	}
	if x.Size != y.Size {
		return fmt.Sprintf("size %d -> %d", x.Size, y.Size)
	}
	if x.Class != y.Class && x.Class != classText {
		return fmt.Sprintf("moved from %s to %s", c.o.File.Sections[x.Sec].Name, c.p.File.Sections[y.Sec].Name)
	}
	if r := c.body(a, b); r != equal {
		return r
	}
	return c.tables(a, b)
}

// body compares bytes outside relocated fields, and what relocations mean.
// Padding behind the symbol's own bytes does not count, where several functions
// share a section.
func (c *comparer) body(a, b AtomID) string {
	x, y := &c.o.Atoms[a], &c.p.Atoms[b]
	bx, by := c.o.bytes(a), c.p.bytes(b)
	if (bx == nil) != (by == nil) {
		return "zeroed data became initialised, or the reverse"
	}
	rx, fx := c.o.relocsIn(a)
	ry, fy := c.p.relocsIn(b)
	if bx != nil {
		bx, by = bx[x.Base-x.Start:], by[y.Base-y.Start:]
		if x.Class == classText && len(c.o.atomsIn(x.Sec)) == 1 && len(c.p.atomsIn(y.Sec)) == 1 {
			// What lies behind the function in its own section is its out-of-line code.
			if len(bx) != len(by) {
				return fmt.Sprintf("out-of-line code: %d bytes -> %d", uint64(len(bx))-x.Size, uint64(len(by))-y.Size)
			}
		} else {
			bx, by = bx[:min(x.Size, uint64(len(bx)))], by[:min(y.Size, uint64(len(by)))]
		}
	}
	rx, fx = skipPrefix(rx, fx, x.Base)
	ry, fy = skipPrefix(ry, fy, y.Base)
	if sanitizerData(c.o.File.Sections[x.Sec].Name) && sanitizerData(c.p.File.Sections[y.Sec].Name) && len(bx) >= 16 && len(by) >= 16 {
		// Line and column of what it describes follow the file name.
		bx, by = bytes.Clone(bx), bytes.Clone(by)
		clear(bx[8:16])
		clear(by[8:16])
	}
	pos := uint64(0)
	if len(rx) != len(ry) {
		// Find the place for the reason; they differ in any case.
		if i := firstDiff(bx, by, 0); i >= 0 {
			return fmt.Sprintf("code differs at +%#x", i)
		}
		return fmt.Sprintf("%d references -> %d", len(rx), len(ry))
	}
	for i := range rx {
		off := rx[i].Off - x.Base
		if off != ry[i].Off-y.Base {
			return fmt.Sprintf("code differs at +%#x", min(off, ry[i].Off-y.Base))
		}
		if d := c.differsIn(a, b, bx, by, pos, off); d >= 0 {
			return fmt.Sprintf("bytes differ at +%#x", d)
		}
		if !c.sameField(bx, by, off, rx[i].Type, ry[i].Type) {
			return fmt.Sprintf("bytes differ at +%#x", off)
		}
		pos = max(pos, off+uint64(c.o.Arch.Width(rx[i].Type)))
		tx, ty := c.o.target(x.Sec, &rx[i], fx+i), c.p.target(y.Sec, &ry[i], fy+i)
		if rx[i].Type != ry[i].Type && !c.sameKind(bx, by, &rx[i], &ry[i], x, y) {
			return fmt.Sprintf("reference at +%#x changed type", off)
		}
		if r := c.sameTarget(tx, ty); r != equal {
			return fmt.Sprintf("reference at +%#x: %s", off, r)
		}
	}
	if d := c.differsIn(a, b, bx, by, pos, uint64(len(bx))); d >= 0 {
		return fmt.Sprintf("bytes differ at +%#x", d)
	}
	return equal
}

// differsIn is firstDiff for a range of two atoms, bytes from their primary symbols,
// where line numbers that may differ do not count.
func (c *comparer) differsIn(a, b AtomID, bx, by []byte, from, to uint64) int {
	for {
		d := firstDiff(bx, by, from, to)
		if d < 0 || c.lines == nil {
			return d
		}
		end := c.lineNumber(a, b, uint64(d))
		if end == 0 {
			return d
		}
		from = end
	}
}

func skipPrefix(r []elfobj.Reloc, first int, base uint64) ([]elfobj.Reloc, int) {
	for len(r) > 0 && r[0].Off < base {
		r, first = r[1:], first+1
	}
	return r, first
}

// sameKind accepts a change between PC32 and PLT32 on a branch: the assembler
// chooses by how the symbol is declared, the linker treats both alike.
func (c *comparer) sameKind(bx, by []byte, rx, ry *elfobj.Reloc, x, y *Atom) bool {
	nx, ny := *rx, *ry
	nx.Off -= x.Base
	ny.Off -= y.Base
	return c.o.Arch.PCRelative(rx.Type) && c.p.Arch.PCRelative(ry.Type) &&
		c.o.Arch.BranchReloc(bx, nx) && c.p.Arch.BranchReloc(by, ny)
}

// sameField compares what the relocations of two fields at off leave alone: the
// rest of an instruction. A field that reaches behind the bytes is compared as
// far as it goes.
func (c *comparer) sameField(bx, by []byte, off uint64, tx, ty uint32) bool {
	x, y := &c.fieldX, &c.fieldY
	w := c.o.Arch.Width(tx)
	if w == 0 || w != c.p.Arch.Width(ty) || off >= uint64(min(len(bx), len(by))) {
		return true // the same type, or judged by sameKind
	}
	*x, *y = [8]byte{}, [8]byte{}
	copy(x[:w], bx[off:])
	copy(y[:w], by[off:])
	c.o.Arch.Clear(x[:w], tx)
	c.p.Arch.Clear(y[:w], ty)
	return *x == *y
}

// firstDiff returns the first offset in [from, to) where a and b differ, -1 if
// none; without to, until the end.
func firstDiff(a, b []byte, from uint64, to ...uint64) int {
	end := uint64(min(len(a), len(b)))
	if len(to) > 0 {
		end = min(end, to[0])
	}
	if from >= end || bytes.Equal(a[from:end], b[from:end]) {
		return -1
	}
	for i := from; i < end; i++ {
		if a[i] != b[i] {
			return int(i)
		}
	}
	return -1
}

func (c *comparer) sameTarget(x, y Target) string {
	if x.Kind != y.Kind {
		// A symbol that is defined on one side only.
		nx, ny := c.targetName(c.o, x), c.targetName(c.p, y)
		return fmt.Sprintf("%s -> %s", nx, ny)
	}
	if x.Slot != y.Slot {
		return fmt.Sprintf("%s -> %s, directly or not", c.targetName(c.o, x), c.targetName(c.p, y))
	}
	switch x.Kind {
	case TargetExtern, TargetAbs:
		if x.Name != y.Name || x.Off != y.Off {
			return fmt.Sprintf("%s -> %s", c.targetName(c.o, x), c.targetName(c.p, y))
		}
	case TargetString, TargetConst:
		if x.Text == nil || x.Skip != y.Skip || !bytes.Equal(x.Text, y.Text) {
			return fmt.Sprintf("%s -> %s", c.targetName(c.o, x), c.targetName(c.p, y))
		}
	case TargetPiece:
		return c.samePiece(x, y)
	case TargetAtom:
		if x.Off != y.Off {
			return fmt.Sprintf("%s -> %s", c.targetName(c.o, x), c.targetName(c.p, y))
		}
		// What has no identity of its own counts by its contents, paired or not.
		if c.byContents(x.Atom, y.Atom) {
			if c.flat {
				return undecided
			}
			if r := c.differ(x.Atom, y.Atom); r != equal {
				return fmt.Sprintf("%s: %s", c.targetName(c.p, y), r)
			}
			return equal
		}
		if c.toP[x.Atom] != y.Atom {
			return fmt.Sprintf("%s -> %s", c.targetName(c.o, x), c.targetName(c.p, y))
		}
	}
	return equal
}

// samePiece compares places in sections that have no atoms. The place in
// .altinstr_replacement to which the entry of an alternative refers is no matter: what
// stands there is compared with the entry. For all else, which of the function's
// alternatives it is decides, and the place in it.
func (c *comparer) samePiece(x, y Target) string {
	nx, ny := c.o.File.Sections[x.Sec].Name, c.p.File.Sections[y.Sec].Name
	if c.o.class[x.Sec] == classAlt && c.p.class[y.Sec] == classAlt {
		ex, okX := c.o.alternativeAt(x)
		ey, okY := c.p.alternativeAt(y)
		if okX && okY && c.toP[ex.owner] == ey.owner && ex.at == ey.at && x.Off-int64(ex.altOff) == y.Off-int64(ey.altOff) {
			return equal
		}
	} else if nx == ny && x.Off == y.Off {
		return equal
	}
	return fmt.Sprintf("%s -> %s", withOffset(nx, x.Off), withOffset(ny, y.Off))
}

// alternativeAt finds the alternative whose replacement code holds a place.
func (o *Object) alternativeAt(t Target) (entry, bool) {
	for k := range o.tables {
		table := &o.tables[k]
		if table.shape.alt == 0 {
			continue
		}
		for i := table.from; i < o.after(k); i++ {
			if e := o.entryIn(table, i); e.owner >= 0 && e.alt == t.Sec && e.altLen > 0 && t.Off >= int64(e.altOff) && t.Off < int64(e.altOff+e.altLen) {
				return e, true
			}
		}
	}
	return entry{}, false
}

func (c *comparer) targetName(o *Object, t Target) string {
	switch t.Kind {
	case TargetExtern:
		return withOffset(t.Name, t.Off+t.Skew)
	case TargetAbs:
		return fmt.Sprintf("%s (%#x)", t.Name, t.Off)
	case TargetString:
		text := bytes.TrimRight(t.Text, "\x00")
		return withOffset(fmt.Sprintf("%q", text[:min(len(text), 200)]), t.Skip)
	case TargetConst:
		return withOffset(fmt.Sprintf("constant %x", t.Text[:min(len(t.Text), 32)]), t.Skip)
	case TargetPiece:
		return withOffset(o.File.Sections[t.Sec].Name, t.Off)
	case TargetAtom:
		n := o.Atoms[t.Atom].Name
		if n == "" {
			n = o.File.Sections[t.Sec].Name
		}
		return withOffset(n, t.Off)
	}
	return fmt.Sprintf("nothing%+#x", t.Off)
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
func (c *comparer) tables(a, b AtomID) string {
	ex, ey := c.o.entriesOf(a), c.p.entriesOf(b)
	for i := 0; i < len(ex) && i < len(ey); i++ {
		x, y := c.o.entry(ex[i]), c.p.entry(ey[i])
		if x.row != y.row || c.o.File.Sections[x.sec].Name != c.p.File.Sections[y.sec].Name || x.at != y.at || x.shape.size != y.shape.size {
			return fmt.Sprintf("%s entries differ", x.row.section)
		}
		if r := c.sameEntry(&x, &y); r != equal {
			return r
		}
	}
	if len(ex) != len(ey) {
		return "special section entries added or removed"
	}
	return equal
}

func (c *comparer) sameEntry(x, y *entry) string {
	bx, by := c.o.whole(x), c.p.whole(y)
	if c.lines != nil {
		c.lines.entry(x, bx, by, c.o.Arch.BigEndian())
	}
	for _, b := range [][]byte{bx, by} {
		clear(b[x.shape.lineOff:][:x.shape.lineLen])
	}
	if len(x.relocs) != len(y.relocs) {
		return fmt.Sprintf("%s entry differs", x.row.section)
	}
	for i := range x.relocs {
		rx, ry := &x.relocs[i], &y.relocs[i]
		if rx.Off-x.off != ry.Off-y.off || rx.Type != ry.Type {
			return fmt.Sprintf("%s entry differs", x.row.section)
		}
		w := uint64(c.o.Arch.Width(rx.Type))
		c.o.Arch.Clear(bx[rx.Off-x.off:][:w], rx.Type)
		c.p.Arch.Clear(by[ry.Off-y.off:][:w], ry.Type)
		tx, ty := c.o.target(x.sec, rx, x.first+i), c.p.target(y.sec, ry, y.first+i)
		if tx.Kind == TargetPiece && ty.Kind == TargetPiece && c.o.class[tx.Sec] == classAlt && c.p.class[ty.Sec] == classAlt {
			continue // where the replacement stands means nothing; what it is, sameAlt tells
		}
		if r := c.sameTarget(tx, ty); r != equal {
			return fmt.Sprintf("%s entry: %s", x.row.section, r)
		}
	}
	if !bytes.Equal(bx, by) {
		return fmt.Sprintf("%s entry differs", x.row.section)
	}
	if x.altLen != y.altLen || !c.sameAlt(x, y) {
		return "replacement instructions differ"
	}
	return equal
}

// sameAlt compares the replacement code of two alternatives.
func (c *comparer) sameAlt(x, y *entry) bool {
	if x.altLen == 0 {
		return true
	}
	bx := bytes.Clone(c.o.File.Sections[x.alt].Data[x.altOff:][:x.altLen])
	by := bytes.Clone(c.p.File.Sections[y.alt].Data[y.altOff:][:y.altLen])
	rx, fx := c.o.pieceRelocs(x)
	ry, fy := c.p.pieceRelocs(y)
	if len(rx) != len(ry) {
		return false
	}
	for i := range rx {
		if rx[i].Off-x.altOff != ry[i].Off-y.altOff || rx[i].Type != ry[i].Type {
			return false
		}
		w := uint64(c.o.Arch.Width(rx[i].Type))
		if rx[i].Off-x.altOff+w > x.altLen {
			return false
		}
		c.o.Arch.Clear(bx[rx[i].Off-x.altOff:][:w], rx[i].Type)
		c.p.Arch.Clear(by[ry[i].Off-y.altOff:][:w], ry[i].Type)
		if c.sameTarget(c.o.target(x.alt, &rx[i], fx+i), c.p.target(y.alt, &ry[i], fy+i)) != equal {
			return false
		}
	}
	return bytes.Equal(bx, by)
}

// pieceRelocs returns the relocations of an alternative's replacement code and
// the index of the first.
func (o *Object) pieceRelocs(e *entry) ([]elfobj.Reloc, int) {
	all := o.relocs(e.alt)
	lo, hi := searchOff(all, e.altOff), searchOff(all, e.altOff+e.altLen)
	return all[lo:hi], lo
}
