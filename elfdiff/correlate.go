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
func correlate(o, p *Object) *pairing {
	c := &pairing{o: o, p: p}
	c.toP, c.toO = fill(len(o.Atoms)), fill(len(p.Atoms))
	c.byStableName()
	c.byAlias()
	c.byClone()
	c.byReference()
	c.byLeftover()
	c.unpairBoot()
	return c
}

// unpairBoot parts what leaves boot-time memory: the original is gone when the
// livepatch loads, so the patched one is new.
func (c *pairing) unpairBoot() {
	for i := range c.o.Atoms {
		a := AtomID(i)
		if b := c.toP[a]; b >= 0 && initSection(c.o.Section(a)) && !initSection(c.p.Section(b)) {
			c.toP[a], c.toO[b] = -1, -1
		}
	}
}

func fill(n int) []AtomID {
	s := make([]AtomID, n)
	for i := range s {
		s[i] = -1
	}
	return s
}

func (c *pairing) pair(a, b AtomID) {
	c.toP[a], c.toO[b] = b, a
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
func (c *pairing) pairGroups(key func(o *Object, id AtomID) (nameKey, bool), f func(*group)) {
	// Most names are there once: only for the others lists are made.
	const none, many = -1, -2
	type ends struct{ l, r AtomID }
	m := make(map[nameKey]ends, max(len(c.o.Atoms), len(c.p.Atoms)))
	groups := map[nameKey]*group{}
	each := func(f func(k nameKey, id AtomID, right bool)) {
		for side, o := range []*Object{c.o, c.p} {
			taken := c.toP
			if side == 1 {
				taken = c.toO
			}
			for i := range o.Atoms {
				if taken[i] >= 0 {
					continue
				}
				if k, ok := key(o, AtomID(i)); ok {
					f(k, AtomID(i), side == 1)
				}
			}
		}
	}
	each(func(k nameKey, id AtomID, right bool) {
		e, ok := m[k]
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
		m[k] = e
	})
	each(func(k nameKey, id AtomID, right bool) {
		e := m[k]
		if e.l == none || e.r == none || e.l != many && e.r != many {
			return
		}
		g := groups[k]
		if g == nil {
			g = &group{}
			groups[k] = g
		}
		if right {
			g.r = append(g.r, id)
		} else {
			g.l = append(g.l, id)
		}
	})
	for _, e := range m {
		if e.l >= 0 && e.r >= 0 {
			c.pair(e.l, e.r)
		}
	}
	for _, g := range groups {
		f(g)
	}
}

// byStableName pairs atoms of one name. Of several with one name, those with
// equal code are partners; the others pair in order.
func (c *pairing) byStableName() {
	c.pairGroups(func(o *Object, id AtomID) (nameKey, bool) {
		n, ok := stableName(o, id)
		return nameKey{n, kindOf(o.Atoms[id].Class)}, ok
	}, func(g *group) {
		c.pairInOrder(g, c.signature)
		c.pairInOrder(g, func(*Object, AtomID) string { return "" })
	})
}

// byAlias pairs what has several names of which one came or went: an alias may
// have become the name that the atom goes by.
func (c *pairing) byAlias() {
	names := func(o *Object, partner []AtomID, f func(nameKey, AtomID)) {
		for i, a := range o.symAtom {
			if a < 0 || partner[a] >= 0 {
				continue
			}
			s := &o.File.Symbols[i]
			if at := &o.Atoms[a]; s.Value == at.Base && !isPrefix(s.Name) {
				if _, marks := stem(s.Name); marks == "" {
					f(nameKey{s.Name, kindOf(at.Class)}, a)
				}
			}
		}
	}
	right := map[nameKey]AtomID{} // -1: several
	names(c.p, c.toO, func(k nameKey, b AtomID) {
		if other, ok := right[k]; ok && other != b {
			b = -1
		}
		right[k] = b
	})
	if len(right) == 0 {
		return
	}
	names(c.o, c.toP, func(k nameKey, a AtomID) {
		if b, ok := right[k]; ok && b >= 0 && c.toP[a] < 0 && c.toO[b] < 0 {
			c.pair(a, b)
		}
	})
}

// pairInOrder pairs those without partner that have one key, the first of one
// side with the first of the other.
func (c *pairing) pairInOrder(g *group, key func(*Object, AtomID) string) {
	left := map[string][]AtomID{}
	for _, a := range g.l {
		if c.toP[a] < 0 {
			k := key(c.o, a)
			left[k] = append(left[k], a)
		}
	}
	for _, b := range g.r {
		if c.toO[b] >= 0 {
			continue
		}
		k := key(c.p, b)
		if l := left[k]; len(l) > 0 {
			c.pair(l[0], b)
			left[k] = l[1:]
		}
	}
}

// stableName is the name by which an atom pairs without further evidence.
// Nameless data that fills its section takes the section's name.
func stableName(o *Object, id AtomID) (string, bool) {
	a := &o.Atoms[id]
	if a.Name == "" {
		if outOfLine(o.File.Sections[a.Sec].Name) || a.Class == classROData && len(o.atomsIn(a.Sec)) == 1 && strings.Contains(o.File.Sections[a.Sec].Name, "..L") {
			return "", false
		}
		return "\x00" + o.File.Sections[a.Sec].Name + "\x00" + itoa(int(a.Start)), len(o.atomsIn(a.Sec)) == 1
	}
	_, marks := stem(a.Name)
	return a.Name, marks == "" || marks == ".F"
}

func itoa(n int) string {
	if n == 0 {
		return "0"
	}
	var b [20]byte
	i := len(b)
	for ; n > 0; n /= 10 {
		i--
		b[i] = byte('0' + n%10)
	}
	return string(b[i:])
}

// byClone pairs compiler-made functions of one base and kind of clone: equal
// code first, because the compiler numbers clones anew when one comes or goes,
// then the same full name, then the only ones left.
func (c *pairing) byClone() {
	name := func(o *Object, id AtomID) string { return o.Atoms[id].Name }
	c.pairGroups(func(o *Object, id AtomID) (nameKey, bool) {
		a := &o.Atoms[id]
		if a.Class != classText || a.Name == "" {
			return nameKey{}, false
		}
		base, marks := stem(a.Name)
		return nameKey{base + "\x00" + marks, classText}, true
	}, func(g *group) {
		c.pairInOrder(g, func(o *Object, id AtomID) string { return name(o, id) + "\x00" + c.signature(o, id) })
		c.pairInOrder(g, c.signature)
		c.pairInOrder(g, name)
		g.l = slices.DeleteFunc(g.l, func(a AtomID) bool { return c.toP[a] >= 0 })
		g.r = slices.DeleteFunc(g.r, func(b AtomID) bool { return c.toO[b] >= 0 })
		if len(g.l) == 1 && len(g.r) == 1 {
			c.pair(g.l[0], g.r[0])
		}
	})
}

// signature is the code of an atom with references by base name.
func (c *pairing) signature(o *Object, a AtomID) string {
	at := &o.Atoms[a]
	code := bytes.Clone(o.bytes(a))
	relocs, _ := o.relocsIn(a)
	for i := range relocs {
		off := relocs[i].Off - at.Start
		if w := uint64(o.Arch.Width(relocs[i].Type)); w <= uint64(len(code))-off {
			o.Arch.Clear(code[off:off+w], relocs[i].Type)
		} else {
			clear(code[off:])
		}
	}
	c.refsO = c.references(c.refsO[:0], o, a)
	for i := range c.refsO {
		code = c.refsO[i].key.append(append(code, 0))
	}
	return string(code)
}

// pairUnique pairs atoms left over that have one key on both sides alone.
func (c *pairing) pairUnique(key func(*Object, AtomID) (string, bool)) {
	collect := func(o *Object, taken []AtomID) map[string][]AtomID {
		m := map[string][]AtomID{}
		for i := range o.Atoms {
			if taken[i] >= 0 {
				continue
			}
			if k, ok := key(o, AtomID(i)); ok {
				m[k] = append(m[k], AtomID(i))
			}
		}
		return m
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
	work = slices.DeleteFunc(work, func(a AtomID) bool { return !open[a] })
	// Pieces of a function count as its references, in order.
	for len(work) > 0 {
		a := work[0]
		work = work[1:]
		b := c.toP[a]
		if b < 0 || !open[a] || !c.unsettled(a) {
			continue
		}
		c.refsO, c.refsP = c.references(c.refsO[:0], c.o, a), c.references(c.refsP[:0], c.p, b)
		ra, rb := c.refsO, c.refsP
		if !slices.ContainsFunc(ra, func(r ref) bool { return r.atom >= 0 && c.toP[r.atom] < 0 }) {
			continue
		}
		c.matches = align(c.matches[:0], ra, rb)
		for _, m := range c.matches {
			x, y := ra[m[0]], rb[m[1]]
			if x.atom < 0 || y.atom < 0 || c.toP[x.atom] >= 0 || c.toO[y.atom] >= 0 {
				continue
			}
			c.pair(x.atom, y.atom)
			work = append(work, x.atom)
		}
	}
}

// unsettled reports whether the original atom refers to one without partner.
func (c *pairing) unsettled(a AtomID) bool {
	o := c.o
	sec := o.Atoms[a].Sec
	relocs, first := o.relocsIn(a)
	for i := range relocs {
		if t, ok := o.atomTarget(sec, &relocs[i], first+i); ok && c.toP[t.Atom] < 0 {
			return true
		}
	}
	for _, i := range o.entriesOf(a) {
		e := o.entry(i)
		for k := range e.relocs {
			if t, ok := o.atomTarget(e.sec, &e.relocs[k], 0); ok && c.toP[t.Atom] < 0 {
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
func (c *pairing) references(out []ref, o *Object, a AtomID) []ref {
	at := &o.Atoms[a]
	relocs, first := o.relocsIn(a)
	for i := range relocs {
		t := o.target(at.Sec, &relocs[i], first+i)
		switch t.Kind {
		case TargetExtern:
			out = append(out, ref{refKey{text: t.Name, kind: 'x'}, -1})
		case TargetString, TargetConst:
			out = append(out, ref{refKey{text: contentKey(t.Text), kind: 's'}, -1})
		case TargetAtom:
			n := o.Atoms[t.Atom].Name
			base, marks := stem(n)
			r := ref{refKey{text: base, kind: 'a', class: kindOf(o.Atoms[t.Atom].Class)}, -1}
			if n == "" {
				r.key = refKey{text: o.File.Sections[t.Sec].Name, kind: 'n'}
			}
			if marks != "" || n == "" {
				r.atom = t.Atom
			}
			out = append(out, r)
		}
	}
	for _, i := range o.entriesOf(a) {
		e := o.entry(i)
		for k := range e.relocs {
			t := o.target(e.sec, &e.relocs[k], e.first+k)
			if t.Kind == TargetAtom && t.Atom != a {
				base, marks := stem(o.Atoms[t.Atom].Name)
				r := ref{refKey{text: base, kind: 'e'}, -1}
				if marks != "" {
					r.atom = t.Atom
				}
				out = append(out, r)
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
func align(out [][2]int, a, b []ref) [][2]int {
	lo := 0
	for lo < len(a) && lo < len(b) && a[lo].key == b[lo].key {
		out = append(out, [2]int{lo, lo})
		lo++
	}
	ha, hb := len(a), len(b)
	for ha > lo && hb > lo && a[ha-1].key == b[hb-1].key {
		ha, hb = ha-1, hb-1
		out = append(out, [2]int{ha, hb})
	}
	x, y := a[lo:ha], b[lo:hb]
	if len(x) == 0 || len(y) == 0 {
		return out
	}
	if len(x)*len(y) > 1<<22 {
		pos := map[refKey][]int{}
		for j := range y {
			pos[y[j].key] = append(pos[y[j].key], j)
		}
		for i := range x {
			if l := pos[x[i].key]; len(l) > 0 {
				out = append(out, [2]int{lo + i, lo + l[0]})
				pos[x[i].key] = l[1:]
			}
		}
		return out
	}
	w := len(y) + 1
	lcs := make([]int32, (len(x)+1)*w)
	for i := len(x) - 1; i >= 0; i-- {
		for j := len(y) - 1; j >= 0; j-- {
			switch {
			case x[i].key == y[j].key:
				lcs[i*w+j] = lcs[(i+1)*w+j+1] + 1
			default:
				lcs[i*w+j] = max(lcs[(i+1)*w+j], lcs[i*w+j+1])
			}
		}
	}
	for i, j := 0, 0; i < len(x) && j < len(y); {
		switch {
		case x[i].key == y[j].key:
			out = append(out, [2]int{lo + i, lo + j})
			i, j = i+1, j+1
		case lcs[(i+1)*w+j] >= lcs[i*w+j+1]:
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
	c.pairUnique(func(o *Object, id AtomID) (string, bool) {
		a := &o.Atoms[id]
		if a.Name == "" || a.Class == classText {
			return "", false
		}
		base, marks := stem(a.Name)
		if marks == "" || generatedConst(a.Name) {
			return "", false
		}
		return base + "\x00" + itoa(int(a.Size)) + "\x00" + string(rune('0'+kindOf(a.Class))), true
	})
	// Registration entries with numbered names: those that say the same, then in
	// order, when none came or went.
	groups := map[string]*group{}
	collect := func(o *Object, taken []AtomID, right bool) {
		for i := range o.Atoms {
			a := &o.Atoms[i]
			if taken[i] >= 0 || a.Class != classMeta || a.Name == "" {
				continue
			}
			base, _ := stem(a.Name)
			k := base + "\x00" + o.File.Sections[a.Sec].Name
			if groups[k] == nil {
				groups[k] = &group{}
			}
			if right {
				groups[k].r = append(groups[k].r, AtomID(i))
			} else {
				groups[k].l = append(groups[k].l, AtomID(i))
			}
		}
	}
	collect(c.o, c.toP, false)
	collect(c.p, c.toO, true)
	for _, g := range groups {
		c.pairInOrder(g, c.signature)
		g.l = slices.DeleteFunc(g.l, func(a AtomID) bool { return c.toP[a] >= 0 })
		g.r = slices.DeleteFunc(g.r, func(b AtomID) bool { return c.toO[b] >= 0 })
		if len(g.l) == len(g.r) {
			for i := range g.l {
				c.pair(g.l[i], g.r[i])
			}
		}
	}
}
