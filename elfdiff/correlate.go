package elfdiff

import (
	"bytes"
	"hash/fnv"
	"slices"
	"strings"
)

// pairing holds which atom of the original is which of the patched object.
type pairing struct {
	o, p     *Object
	toP, toO []AtomID // -1: no partner

	// Space that is used again and again.
	refsO, refsP []ref
	matches      [][2]int
}

// correlate pairs atoms in the order of certainty: stable names; other names of
// one place; compiler-made clone names; numbered static locals through the references of paired atoms;
// what is left and unique on both sides.
func correlate(orig, patched *Object) *pairing {
	pairs := &pairing{o: orig, p: patched}
	pairs.toP, pairs.toO = fill(len(orig.Atoms)), fill(len(patched.Atoms))
	pairs.byStableName()
	pairs.byAlias()
	pairs.byClone()
	pairs.byReference()
	pairs.byLeftover()
	pairs.unpairBoot()
	return pairs
}

// unpairBoot parts what leaves boot-time memory: the original is gone when the
// livepatch loads, so the patched one is new.
func (c *pairing) unpairBoot() {
	for i := range c.o.Atoms {
		atom := AtomID(i)
		if partner := c.toP[atom]; partner >= 0 && initSection(c.o.Section(atom)) &&
			!initSection(c.p.Section(partner)) {
			c.toP[atom], c.toO[partner] = -1, -1
		}
	}
}

func fill(n int) []AtomID {
	unpaired := make([]AtomID, n)
	for i := range unpaired {
		unpaired[i] = -1
	}
	return unpaired
}

func (c *pairing) pair(orig, patched AtomID) {
	c.toP[orig], c.toO[patched] = patched, orig
}

// kindOf groups classes whose members may be paired: a variable may move
// between data, constant data and zeroed data (that is a change, reported
// later), but code pairs only with code.
func kindOf(k class) class {
	switch k {
	case classData, classROData, classBSS, classUnknown:
		return classData
	}
	return k
}

type nameKey struct {
	name string
	kind class
}

// group holds atoms of both sides that may be each other's partner.
type group struct{ l, r []AtomID }

// pairGroups sorts the atoms without partner by key, leaving out those whose key
// is not valid. Where a key has one on each side, these are partners; where it
// has several, f decides.
func (c *pairing) pairGroups(key func(obj *Object, id AtomID) (nameKey, bool), several func(*group)) {
	// Most names are there once: only for the others lists are made.
	const none, many = -1, -2
	type ends struct{ l, r AtomID }
	known := make(map[nameKey]ends, max(len(c.o.Atoms), len(c.p.Atoms)))
	groups := map[nameKey]*group{}
	each := func(f func(k nameKey, id AtomID, right bool)) {
		for side, obj := range []*Object{c.o, c.p} {
			taken := c.toP
			if side == 1 {
				taken = c.toO
			}
			for i := range obj.Atoms {
				if taken[i] >= 0 {
					continue
				}
				if k, ok := key(obj, AtomID(i)); ok {
					f(k, AtomID(i), side == 1)
				}
			}
		}
	}
	each(func(k nameKey, id AtomID, right bool) {
		e, ok := known[k]
		if !ok {
			e = ends{none, none}
		}
		end := &e.l
		if right {
			end = &e.r
		}
		if *end != none {
			id = many
		}
		*end = id
		known[k] = e
	})
	each(func(k nameKey, id AtomID, right bool) {
		end := known[k]
		if end.l == none || end.r == none || end.l != many && end.r != many {
			return
		}
		same := groups[k]
		if same == nil {
			same = &group{}
			groups[k] = same
		}
		if right {
			same.r = append(same.r, id)
		} else {
			same.l = append(same.l, id)
		}
	})
	for _, end := range known {
		if end.l >= 0 && end.r >= 0 {
			c.pair(end.l, end.r)
		}
	}
	for _, same := range groups {
		several(same)
	}
}

// byStableName pairs atoms of one name. Of several with one name, those with
// equal code are partners; the others pair in order.
func (c *pairing) byStableName() {
	c.pairGroups(func(obj *Object, id AtomID) (nameKey, bool) {
		name, ok := stableName(obj, id)
		return nameKey{name, kindOf(obj.Atoms[id].Class)}, ok
	}, func(same *group) {
		c.pairInOrder(same, c.signature)
		c.pairInOrder(same, func(*Object, AtomID) string { return "" })
	})
}

// byAlias pairs what has several names of which one came or went: an alias may
// have become the name that the atom goes by.
func (c *pairing) byAlias() {
	names := func(obj *Object, partner []AtomID, each func(nameKey, AtomID)) {
		for i, atom := range obj.symAtom {
			if atom < 0 || partner[atom] >= 0 {
				continue
			}
			sym := &obj.File.Symbols[i]
			if at := &obj.Atoms[atom]; sym.Value == at.Base && !isPrefix(sym.Name) {
				if _, marks := stem(sym.Name); marks == "" {
					each(nameKey{sym.Name, kindOf(at.Class)}, atom)
				}
			}
		}
	}
	right := map[nameKey]AtomID{} // -1: several
	names(c.p, c.toO, func(key nameKey, atom AtomID) {
		if other, ok := right[key]; ok && other != atom {
			atom = -1
		}
		right[key] = atom
	})
	if len(right) == 0 {
		return
	}
	names(c.o, c.toP, func(key nameKey, atom AtomID) {
		if partner, ok := right[key]; ok && partner >= 0 && c.toP[atom] < 0 && c.toO[partner] < 0 {
			c.pair(atom, partner)
		}
	})
}

// pairInOrder pairs those without partner that have one key, the first of one
// side with the first of the other.
func (c *pairing) pairInOrder(same *group, key func(*Object, AtomID) string) {
	left := map[string][]AtomID{}
	for _, atom := range same.l {
		if c.toP[atom] < 0 {
			k := key(c.o, atom)
			left[k] = append(left[k], atom)
		}
	}
	for _, right := range same.r {
		if c.toO[right] >= 0 {
			continue
		}
		k := key(c.p, right)
		if l := left[k]; len(l) > 0 {
			c.pair(l[0], right)
			left[k] = l[1:]
		}
	}
}

// stableName is the name by which an atom pairs without further evidence.
// Nameless data that fills its section takes the section's name.
func stableName(obj *Object, id AtomID) (string, bool) {
	at := &obj.Atoms[id]
	if at.Name == "" {
		if outOfLine(obj.File.Sections[at.Sec].Name) || at.Class == classROData && len(obj.atomsIn(at.Sec)) == 1 &&
			strings.Contains(obj.File.Sections[at.Sec].Name, "..L") {
			return "", false
		}
		return "\x00" + obj.File.Sections[at.Sec].Name + "\x00" + itoa(int(at.Start)), len(obj.atomsIn(at.Sec)) == 1
	}
	_, marks := stem(at.Name)
	return at.Name, marks == "" || marks == ".F"
}

func itoa(n int) string {
	if n == 0 {
		return "0"
	}
	var text [20]byte
	i := len(text)
	for ; n > 0; n /= 10 {
		i--
		text[i] = byte('0' + n%10)
	}
	return string(text[i:])
}

// byClone pairs compiler-made functions of one base and kind of clone: equal
// code first, because the compiler numbers clones anew when one comes or goes,
// then the same full name, then the only ones left.
func (c *pairing) byClone() {
	name := func(o *Object, id AtomID) string { return o.Atoms[id].Name }
	c.pairGroups(func(o *Object, id AtomID) (nameKey, bool) {
		at := &o.Atoms[id]
		if at.Class != classText || at.Name == "" {
			return nameKey{}, false
		}
		base, marks := stem(at.Name)
		return nameKey{base + "\x00" + marks, classText}, true
	}, func(same *group) {
		c.pairInOrder(same, func(o *Object, id AtomID) string { return name(o, id) + "\x00" + c.signature(o, id) })
		c.pairInOrder(same, c.signature)
		c.pairInOrder(same, name)
		same.l = slices.DeleteFunc(same.l, func(a AtomID) bool { return c.toP[a] >= 0 })
		same.r = slices.DeleteFunc(same.r, func(b AtomID) bool { return c.toO[b] >= 0 })
		if len(same.l) == 1 && len(same.r) == 1 {
			c.pair(same.l[0], same.r[0])
		}
	})
}

// signature is the code of an atom with references by base name.
func (c *pairing) signature(obj *Object, atom AtomID) string {
	at := &obj.Atoms[atom]
	code := bytes.Clone(obj.bytes(atom))
	relocs, _ := obj.relocsIn(atom)
	for i := range relocs {
		off := relocs[i].Off - at.Start
		if w := uint64(obj.Arch.Width(relocs[i].Type)); w <= uint64(len(code))-off {
			obj.Arch.Clear(code[off:off+w], relocs[i].Type)
		} else {
			clear(code[off:])
		}
	}
	c.refsO = c.references(c.refsO[:0], obj, atom)
	for i := range c.refsO {
		code = c.refsO[i].key.append(append(code, 0))
	}
	return string(code)
}

// pairUnique pairs atoms left over that have one key on both sides alone.
func (c *pairing) pairUnique(key func(*Object, AtomID) (string, bool)) {
	collect := func(obj *Object, taken []AtomID) map[string][]AtomID {
		found := map[string][]AtomID{}
		for i := range obj.Atoms {
			if taken[i] >= 0 {
				continue
			}
			if k, ok := key(obj, AtomID(i)); ok {
				found[k] = append(found[k], AtomID(i))
			}
		}
		return found
	}
	left, right := collect(c.o, c.toP), collect(c.p, c.toO)
	for k, l := range left {
		if r := right[k]; len(l) == 1 && len(r) == 1 {
			c.pair(l[0], r[0])
		}
	}
}

// byReference walks pairs of atoms and aligns the sequences of what they refer
// to. Where both sequences name the same numbered symbol between equal
// neighbours, these two are one variable. Pairs found so are walked too.
func (c *pairing) byReference() {
	var work []AtomID
	for i := range c.o.Atoms {
		if c.toP[i] >= 0 {
			work = append(work, AtomID(i))
		}
	}
	// What is settled stays so, for pairs are only added.
	open := make([]bool, len(c.o.Atoms))
	inParallel(len(open), func(from, to int) {
		for i := from; i < to; i++ {
			open[i] = c.unsettled(AtomID(i))
		}
	})
	work = slices.DeleteFunc(work, func(atom AtomID) bool { return !open[atom] })
	// Pieces of a function count as its references, in order.
	for len(work) > 0 {
		atom := work[0]
		work = work[1:]
		partner := c.toP[atom]
		if partner < 0 || !open[atom] || !c.unsettled(atom) {
			continue
		}
		c.refsO, c.refsP = c.references(c.refsO[:0], c.o, atom), c.references(c.refsP[:0], c.p, partner)
		ra, rb := c.refsO, c.refsP
		if !slices.ContainsFunc(ra, func(r ref) bool { return r.atom >= 0 && c.toP[r.atom] < 0 }) {
			continue
		}
		c.matches = align(c.matches[:0], ra, rb)
		for _, m := range c.matches {
			before, after := ra[m[0]], rb[m[1]]
			if before.atom < 0 || after.atom < 0 || c.toP[before.atom] >= 0 || c.toO[after.atom] >= 0 {
				continue
			}
			c.pair(before.atom, after.atom)
			work = append(work, before.atom)
		}
	}
}

// unsettled reports whether the original atom refers to one without partner.
func (c *pairing) unsettled(atom AtomID) bool {
	obj := c.o
	sec := obj.Atoms[atom].Sec
	relocs, first := obj.relocsIn(atom)
	for i := range relocs {
		if t, ok := obj.atomTarget(sec, &relocs[i], first+i); ok && c.toP[t.Atom] < 0 {
			return true
		}
	}
	for _, i := range obj.entriesOf(atom) {
		ent := obj.entry(i)
		for k := range ent.relocs {
			if t, ok := obj.atomTarget(ent.sec, &ent.relocs[k], 0); ok && c.toP[t.Atom] < 0 {
				return true
			}
		}
	}
	return false
}

// ref is one reference in a form that can be compared across objects.
type ref struct {
	key  refKey
	atom AtomID // candidate for pairing, -1 otherwise
}

// refKey says what is referred to.
type refKey struct {
	text  string
	kind  byte  // x: outside symbol, s: string or constant, a: atom, n: nameless atom, e: atom over a table entry
	class class // of an atom, grouped by kindOf
}

func (k refKey) append(b []byte) []byte {
	b = append(append(b, k.kind), k.text...)
	if k.kind == 'a' {
		b = append(b, '0'+byte(k.class))
	}
	return b
}

// references appends what the atom and its table entries refer to.
func (c *pairing) references(out []ref, obj *Object, atom AtomID) []ref {
	at := &obj.Atoms[atom]
	relocs, first := obj.relocsIn(atom)
	for i := range relocs {
		target := obj.target(at.Sec, &relocs[i], first+i)
		switch target.Kind {
		case TargetExtern:
			out = append(out, ref{refKey{text: target.Name, kind: 'x'}, -1})
		case TargetString, TargetConst:
			out = append(out, ref{refKey{text: contentKey(target.Text), kind: 's'}, -1})
		case TargetAtom:
			name := obj.Atoms[target.Atom].Name
			base, marks := stem(name)
			reference := ref{refKey{text: base, kind: 'a', class: kindOf(obj.Atoms[target.Atom].Class)}, -1}
			if name == "" {
				reference.key = refKey{text: obj.File.Sections[target.Sec].Name, kind: 'n'}
			}
			if marks != "" || name == "" {
				reference.atom = target.Atom
			}
			out = append(out, reference)
		}
	}

	// Special sections say of the code what its own relocations cannot: a table that names
	// another function or variable ties the two as a call would.
	for _, i := range obj.entriesOf(atom) {
		ent := obj.entry(i)
		for k := range ent.relocs {
			target := obj.target(ent.sec, &ent.relocs[k], ent.first+k)
			if target.Kind == TargetAtom && target.Atom != atom {
				base, marks := stem(obj.Atoms[target.Atom].Name)
				reference := ref{refKey{text: base, kind: 'e'}, -1}
				if marks != "" {
					reference.atom = target.Atom
				}
				out = append(out, reference)
			}
		}
	}
	return out
}

// contentKey stands for the contents of a string.
func contentKey(b []byte) string {
	if len(b) <= 64 {
		return string(b)
	}
	h := fnv.New64a()
	h.Write(b)
	return string(h.Sum(append([]byte(nil), b[:56]...)))
}

// align appends a longest common subsequence of two reference lists as pairs
// of indices. Common ends are stripped first, so the quadratic part is small
// for the usual local edit; above a bound it falls back to pairing the n-th
// use of each key.
func align(out [][2]int, orig, patched []ref) [][2]int {
	// Most edits leave both ends alone, so what is equal there needs no table.
	lo := 0
	for lo < len(orig) && lo < len(patched) && orig[lo].key == patched[lo].key {
		out = append(out, [2]int{lo, lo})
		lo++
	}
	ha, hb := len(orig), len(patched)
	for ha > lo && hb > lo && orig[ha-1].key == patched[hb-1].key {
		ha, hb = ha-1, hb-1
		out = append(out, [2]int{ha, hb})
	}
	origRest, patchedRest := orig[lo:ha], patched[lo:hb]
	if len(origRest) == 0 || len(patchedRest) == 0 {
		return out
	}

	// The table below has a cell for each pair of both. Where that is too much, references pair
	// in order by their key alone, and pairs may cross.
	if len(origRest)*len(patchedRest) > 1<<22 {
		pos := map[refKey][]int{}
		for j := range patchedRest {
			pos[patchedRest[j].key] = append(pos[patchedRest[j].key], j)
		}
		for i := range origRest {
			if l := pos[origRest[i].key]; len(l) > 0 {
				out = append(out, [2]int{lo + i, lo + l[0]})
				pos[origRest[i].key] = l[1:]
			}
		}
		return out
	}

	// lcs[i][j] is the length of the longest common subsequence behind i and j; read from the
	// front it gives the pairs.
	width := len(patchedRest) + 1
	lcs := make([]int32, (len(origRest)+1)*width)
	for i := len(origRest) - 1; i >= 0; i-- {
		for j := len(patchedRest) - 1; j >= 0; j-- {
			switch {
			case origRest[i].key == patchedRest[j].key:
				lcs[i*width+j] = lcs[(i+1)*width+j+1] + 1
			default:
				lcs[i*width+j] = max(lcs[(i+1)*width+j], lcs[i*width+j+1])
			}
		}
	}
	for i, j := 0, 0; i < len(origRest) && j < len(patchedRest); {
		switch {
		case origRest[i].key == patchedRest[j].key:
			out = append(out, [2]int{lo + i, lo + j})
			i, j = i+1, j+1
		case lcs[(i+1)*width+j] >= lcs[i*width+j+1]:
			i++
		default:
			j++
		}
	}
	return out
}

// byLeftover pairs what no reference settled but whose base name, kind and
// size are left once on both sides: a static local whose function was inlined
// elsewhere, an entry of a registration table.
func (c *pairing) byLeftover() {
	c.pairUnique(func(obj *Object, id AtomID) (string, bool) {
		at := &obj.Atoms[id]
		if at.Name == "" || at.Class == classText {
			return "", false
		}
		base, marks := stem(at.Name)
		if marks == "" || generatedConst(at.Name) {
			return "", false
		}
		return base + "\x00" + itoa(int(at.Size)) + "\x00" + string(rune('0'+kindOf(at.Class))), true
	})
	// Registration entries with numbered names: those that say the same, then in
	// order, when none came or went.
	groups := map[string]*group{}
	collect := func(obj *Object, taken []AtomID, right bool) {
		for i := range obj.Atoms {
			at := &obj.Atoms[i]
			if taken[i] >= 0 || at.Class != classMeta || at.Name == "" {
				continue
			}
			base, _ := stem(at.Name)
			key := base + "\x00" + obj.File.Sections[at.Sec].Name
			if groups[key] == nil {
				groups[key] = &group{}
			}
			if right {
				groups[key].r = append(groups[key].r, AtomID(i))
			} else {
				groups[key].l = append(groups[key].l, AtomID(i))
			}
		}
	}
	collect(c.o, c.toP, false)
	collect(c.p, c.toO, true)
	for _, same := range groups {
		c.pairInOrder(same, c.signature)
		same.l = slices.DeleteFunc(same.l, func(atom AtomID) bool { return c.toP[atom] >= 0 })
		same.r = slices.DeleteFunc(same.r, func(atom AtomID) bool { return c.toO[atom] >= 0 })
		if len(same.l) == len(same.r) {
			for i := range same.l {
				c.pair(same.l[i], same.r[i])
			}
		}
	}
}
