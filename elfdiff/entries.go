package elfdiff

import (
	"bytes"
	"cmp"
	"debug/elf"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/klpforge/klpforge/elfobj"
)

// Entries of tables that boot code, the module loader or the kernel walks often have no
// symbol of their own: assembly in C code leaves bare bytes, macros leave names that a
// counter numbers, and an identifier's flags follow it. Such an entry is known by its
// contents alone. The entries of both sides are divided by the layout that the table's
// row knows, those that say the same are partners wherever they stand, what is left
// over pairs by what it refers to and then by its bytes, and the rest came or went.

// bit is a range of a section that counts by its contents.
type bit struct {
	sec      elfobj.SecID
	from, to uint64 // offsets in the section
	atom     AtomID // the numbered atom that it is, -1 when it has no symbol
	base     string // the numbered name without its numbers, or the name of a BTF id
	shape    *shape // nil when it is of no known layout
}

// size is the bit's size in bytes, with those that the last entry of a table lacks.
func (b *bit) size() uint64 {
	if b.shape != nil && b.shape.least > 0 {
		return b.shape.size
	}
	return b.to - b.from
}

// bits lists, by section name, what in the tables of the object has no name that
// pairs it: in order of place.
func (o *Object) bits() map[string][]bit {
	out := map[string][]bit{}
	for i := range o.File.Sections {
		id, section := elfobj.SecID(i), &o.File.Sections[i]
		if o.class[i] != classMeta || section.Size == 0 {
			continue
		}
		known := rowOf(section.Name)
		if known != nil && known.section == btfIDs {
			out[section.Name] = append(out[section.Name], o.btfBits(id)...)
			continue
		}
		for _, atom := range o.atomsIn(id) {
			at := &o.Atoms[atom]
			if base, numbered := o.numbered(atom); numbered {
				out[section.Name] = append(out[section.Name],
					bit{sec: id, from: at.Start, to: at.End, atom: atom, base: base,
						shape: lineShape(known, at.End-at.Start)})
				continue
			}
			if at.Name == "" {
				out[section.Name] = append(out[section.Name], o.divide(known, id, at.Start, at.End)...)
				continue
			}
			// What lies around the symbol's own bytes, when it is more than padding.
			for _, r := range [][2]uint64{{at.Start, at.Base}, {at.Base + at.Size, at.End}} {
				if r[0] < r[1] && !o.padding(id, r[0], r[1]) {
					out[section.Name] = append(out[section.Name], o.divide(known, id, r[0], r[1])...)
				}
			}
		}
	}
	return out
}

// numbered reports whether a counter numbers the atom's name, and gives the name
// without the numbers.
func (o *Object) numbered(atom AtomID) (base string, ok bool) {
	if o.Atoms[atom].Name == "" {
		return "", false
	}
	base, marks := stem(o.Atoms[atom].Name)
	return base, strings.HasPrefix(marks, "#")
}

// byBits reports whether an atom of a table is compared as a bit, not by its name.
func (o *Object) byBits(atom AtomID) bool {
	_, numbered := o.numbered(atom)
	return numbered || o.Atoms[atom].Name == "" || o.Section(atom) == btfIDs
}

func lineShape(known *row, size uint64) *shape {
	if known == nil {
		return nil
	}
	for i := range known.shapes {
		if known.shapes[i].size == size {
			return &known.shapes[i]
		}
	}
	return nil
}

// padding reports whether the bytes of a range are zero and nothing is relocated in it.
func (o *Object) padding(sec elfobj.SecID, from, to uint64) bool {
	section := &o.File.Sections[sec]
	relocs := o.relocs(sec)
	k := searchOff(relocs, from)
	return (k == len(relocs) || relocs[k].Off >= to) && (section.Data == nil || allZero(section.Data[from:to]))
}

// divide cuts a nameless range of a table into entries: strings, or entries of a
// layout that the row knows. A range that no layout fits stays whole.
func (o *Object) divide(known *row, sec elfobj.SecID, from, to uint64) []bit {
	section := &o.File.Sections[sec]
	whole := []bit{{sec: sec, from: from, to: to, atom: -1}}
	if known == nil || section.Data == nil {
		return whole
	}

	// Strings that follow each other, each "key=value".
	if known.section == ".modinfo" {
		var out []bit
		for at := from; at < to; {
			end := to
			if n := bytes.IndexByte(section.Data[at:to], 0); n >= 0 {
				end = at + uint64(n) + 1
			}
			if !allZero(section.Data[at:end]) {
				out = append(out, bit{sec: sec, from: at, to: end, atom: -1})
			}
			at = end
		}
		return out
	}

	// The first of the known layouts whose relocations all lie where its members are. A later
	// kernel may have another for the same name.
	relocs := o.relocs(sec)
	relocs = relocs[searchOff(relocs, from):searchOff(relocs, to)]
	for i := range known.shapes {
		sh := &known.shapes[i]
		end := to
		for end > from && (end-from)%sh.size != 0 && o.padding(sec, end-1, end) {
			end--
		}
		part := elfobj.Section{Size: end - from, Relocs: slices.Clone(relocs)}
		for k := range part.Relocs {
			part.Relocs[k].Off -= from
		}
		if (end-from)%sh.size != 0 || !sh.fits(&part) {
			continue
		}
		var out []bit
		for at := from; at < end; at += sh.size {
			out = append(out, bit{sec: sec, from: at, to: at + sh.size, atom: -1, shape: sh})
		}
		return out
	}
	return whole
}

const btfIDs = ".BTF_ids"

// btfBits divides .BTF_ids: each identifier has a symbol of four zero bytes, which the
// build of the kernel replaces by the number of the type or function that the symbol
// names, and what follows belongs to it, as the flags of a kfunc do. A list starts with a
// symbol of another name (include/linux/btf_ids.h, v6.1 and v6.12). The order in a list
// counts, that in a set does not.
func (o *Object) btfBits(sec elfobj.SecID) []bit {
	section := &o.File.Sections[sec]
	type mark struct {
		at   uint64
		name string
	}
	var marks []mark
	for i := range o.File.Symbols {
		sym := &o.File.Symbols[i]
		if sym.Sec == sec && sym.Type != elf.STT_SECTION && sym.Name != "" && sym.Value < section.Size {
			marks = append(marks, mark{sym.Value, sym.Name})
		}
	}
	slices.SortStableFunc(marks, func(a, b mark) int {
		list := func(start mark) int { // a list's name before that of its first identifier
			if strings.HasPrefix(start.name, btfPrefix) {
				return 1
			}
			return 0
		}
		return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(list(a), list(b)), cmp.Compare(a.name, b.name))
	})
	var out []bit
	group, ordered, nth := "", true, 0
	if len(marks) == 0 || marks[0].at > 0 {
		out = append(out, o.divide(&row{shapes: []shape{{size: 4}}}, sec, 0,
			append(marks, mark{at: section.Size})[0].at)...)
	}
	for i, start := range marks {
		end := section.Size
		if i+1 < len(marks) {
			end = marks[i+1].at
		}
		name, isID := strings.CutPrefix(start.name, btfPrefix)
		if !isID {
			group, ordered, nth = start.name, true, 0
			if end > start.at { // no identifier at the list's start
				out = append(out, bit{sec: sec, from: start.at, to: end, atom: -1, base: group + "\x00"})
			}
			continue
		}
		if cut := strings.LastIndex(name, "__"); cut > 0 && digits(name[cut+2:]) {
			name = name[:cut]
		}
		if strings.HasPrefix(name, "set__") || strings.HasPrefix(name, "set8__") {
			ordered = false
		}
		place := ""
		if ordered {
			place = fmt.Sprintf("%d", nth)
		}
		nth++
		out = append(out, bit{sec: sec, from: start.at, to: end, atom: -1,
			base: strings.Join([]string{group, place, name}, "\x00")})
	}
	return out
}

const btfPrefix = "__BTF_ID__"

// says describes a bit to a person: what it refers to, "" when it refers to nothing.
// The atom is the function or variable that it refers to first, -1 if none of the object.
func (o *Object) says(part *bit) (string, AtomID) {
	if rest := strings.Split(part.base, "\x00"); len(rest) == 3 { // of .BTF_ids
		name := strings.Replace(rest[2], "__", " ", 1)
		if rest[0] != "" && !strings.HasSuffix(rest[2], "__"+rest[0]) {
			name += " in " + rest[0]
		}
		return name, -1
	} else if len(rest) == 2 {
		return rest[0], -1
	}
	name, atom := "", AtomID(-1)
	o.bitTargets(part, func(_ uint64, target Target) {
		own := ""
		switch target.Kind {
		case TargetAtom:
			if own = o.Atoms[target.Atom].Name; own == "" {
				own = o.Section(target.Atom)
			}
		case TargetExtern:
			own = target.Name
		}
		code := target.Kind == TargetAtom && o.Atoms[target.Atom].Class == classText
		if own == "" || name != "" && (!code || atom >= 0 && o.Atoms[atom].Class == classText) {
			return
		}
		if name = withOffset(own, target.Off+target.Skew); target.Kind == TargetAtom {
			atom = target.Atom
		}
	})
	return name, atom
}

// bitTargets gives f what the bit refers to, each with its place in the bit.
func (o *Object) bitTargets(part *bit, f func(at uint64, t Target)) {
	relocs := o.relocs(part.sec)
	for k := searchOff(relocs, part.from); k < len(relocs) && relocs[k].Off < part.to; k++ {
		f(relocs[k].Off-part.from, o.target(part.sec, &relocs[k], k))
	}
}

// bitBytes returns the bytes of a bit without what relocations and line numbers fill;
// nil, and not as many zeros as a header claims, where the section stores none.
func (o *Object) bitBytes(part *bit) []byte {
	data := o.File.Sections[part.sec].Data
	if data == nil {
		return nil
	}
	out := bytes.Clone(data[part.from:part.to])
	out = append(out, make([]byte, part.size()-uint64(len(out)))...)
	relocs := o.relocs(part.sec)
	for k := searchOff(relocs, part.from); k < len(relocs) && relocs[k].Off < part.to; k++ {
		if w := uint64(o.Arch.Width(relocs[k].Type)); relocs[k].Off+w <= part.to {
			o.Arch.Clear(out[relocs[k].Off-part.from:][:w], relocs[k].Type)
		}
	}
	if part.shape != nil && part.shape.lineLen > 0 {
		clear(out[part.shape.lineOff:][:part.shape.lineLen])
	}
	return out
}

// sameBit returns why two bits differ, or equal.
func (c *comparer) sameBit(before, after *bit) string {
	if before.size() != after.size() {
		return fmt.Sprintf("size %d -> %d", before.size(), after.size())
	}
	old, newer := c.o.bitBytes(before), c.p.bitBytes(after)
	diff := firstDiff(old, newer, 0)
	switch {
	case old == nil:
		diff = bytes.IndexFunc(newer, notZero)
	case newer == nil:
		diff = bytes.IndexFunc(old, notZero)
	}
	if diff >= 0 {
		return fmt.Sprintf("bytes differ at +%#x", diff)
	}
	return c.sameBitTargets(before, after)
}

func (c *comparer) sameBitTargets(before, after *bit) string {
	rx, ry := c.o.relocs(before.sec), c.p.relocs(after.sec)
	fx, fy := searchOff(rx, before.from), searchOff(ry, after.from)
	lx, ly := rx[fx:searchOff(rx, before.to)], ry[fy:searchOff(ry, after.to)]
	if len(lx) != len(ly) {
		return fmt.Sprintf("%d references -> %d", len(lx), len(ly))
	}
	for i := range lx {
		at := lx[i].Off - before.from
		if at != ly[i].Off-after.from || lx[i].Type != ly[i].Type {
			return fmt.Sprintf("reference at +%#x changed type", at)
		}
		if why := c.sameTarget(c.o.target(before.sec, &lx[i], fx+i),
			c.p.target(after.sec, &ly[i], fy+i)); why != equal {
			return fmt.Sprintf("reference at +%#x: %s", at, why)
		}
	}
	return equal
}

// bitContents is a key for the name, the size and the bytes of a bit. Zeros at the end
// are left to the size: a section may store none.
func (o *Object) bitContents(part *bit) []byte {
	key := fmt.Appendf(nil, "%s\x00%d ", part.base, part.to-part.from)
	return append(key, bytes.TrimRight(o.bitBytes(part), "\x00")...)
}

func notZero(r rune) bool { return r != 0 }

// bitKey groups bits that may be partners: equal bytes, and references of one name.
func (o *Object) bitKey(part *bit) string {
	key := o.bitContents(part)
	o.bitTargets(part, func(at uint64, target Target) {
		name := target.Name
		if target.Kind == TargetAtom {
			name, _ = stem(o.Atoms[target.Atom].Name)
		}
		key = fmt.Appendf(key, "\x00%d %d %s %q", at, target.Kind, name, contentKey(target.Text))
	})
	return string(key)
}

// bitChange is a bit that came, went, or says something else.
type bitChange struct {
	section   string
	kind      ChangeKind
	old, new_ *bit // nil on the side where it is not
	why       string
}

// changedBits compares what has no names of its own in the tables of both objects.
func (c *comparer) changedBits() []bitChange { return c.changed(c.o.bits(), c.p.bits()) }

// changed compares bits by section name.
func (c *comparer) changed(before, after map[string][]bit) []bitChange {
	sections := map[string]bool{}
	for name := range before {
		sections[name] = true
	}
	for name := range after {
		sections[name] = true
	}
	var out []bitChange
	for _, section := range slices.Sorted(maps.Keys(sections)) {
		out = append(out, c.matchBits(section, before[section], after[section])...)
	}
	return out
}

func (c *comparer) matchBits(section string, left, right []bit) []bitChange {
	toLeft, taken := fillInts(len(right)), make([]bool, len(left))
	// each pairs what is left over on both sides and has one key, in order, if ok.
	each := func(key func(*Object, *bit) string, ok func(x, y *bit) bool) {
		byKey := map[string][]int{}
		for i := range left {
			if !taken[i] {
				k := key(c.o, &left[i])
				byKey[k] = append(byKey[k], i)
			}
		}
		for j := range right {
			if toLeft[j] >= 0 {
				continue
			}
			k := key(c.p, &right[j])
			list := byKey[k]
			if n := slices.IndexFunc(list, func(i int) bool { return ok(&left[i], &right[j]) }); n >= 0 {
				toLeft[j], taken[list[n]] = list[n], true
				byKey[k] = slices.Delete(list, n, n+1)
			}
		}
	}
	each((*Object).bitKey, func(x, y *bit) bool { return c.sameBit(x, y) == equal })
	same := slices.Clone(toLeft)
	// Altered: one of a place in a list, one of a target, one of a number's name, one of the same bytes.
	if section == btfIDs {
		each(func(_ *Object, part *bit) string {
			rest := strings.Split(part.base, "\x00")
			if len(rest) == 3 && rest[1] == "" {
				return part.base // of a set: its flags changed
			}
			return strings.Join(rest[:min(len(rest), 2)], "\x00")
		}, func(_, _ *bit) bool { return true })
	} else if section != ".modinfo" {
		each(func(_ *Object, b *bit) string { return b.base },
			func(x, y *bit) bool { return c.refers(x) && c.sameBitTargets(x, y) == equal })
		each(func(o *Object, b *bit) string { return string(o.bitContents(b)) },
			func(x, _ *bit) bool { return x.base != "" || !allZero(c.o.bitBytes(x)) })
		if len(left) == len(right) {
			each(func(_ *Object, b *bit) string { return b.base }, func(_, _ *bit) bool { return true })
		}
	} else {
		each(func(o *Object, b *bit) string { return string(o.infoOf(b).what) + "\x00" + o.infoOf(b).name },
			func(x, _ *bit) bool { return c.o.infoOf(x).what == entryModInfo })
	}
	var out []bitChange
	for i := range left {
		if !taken[i] {
			out = append(out, bitChange{section, Removed, &left[i], nil, ""})
		}
	}
	last := -1
	known := rowOf(section)
	for j := range right {
		switch partner := toLeft[j]; {
		case partner < 0:
			out = append(out, bitChange{section, New, nil, &right[j], ""})
		case same[j] < 0:
			why := c.sameBit(&left[partner], &right[j])
			if why == equal { // of .BTF_ids: another name, or another place
				x, _ := c.o.says(&left[partner])
				y, _ := c.p.says(&right[j])
				why = x + " -> " + y
			}
			out = append(out, bitChange{section, Changed, &left[partner], &right[j], why})
		default:
			if known != nil && known.ordered && section != btfIDs && partner < last {
				out = append(out, bitChange{section, Changed, &left[partner], &right[j],
					"another order: others come before it now"})
			}
			last = max(last, partner)
		}
	}
	return out
}

func fillInts(n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = -1
	}
	return out
}

func (c *comparer) refers(part *bit) bool {
	relocs := c.o.relocs(part.sec)
	k := searchOff(relocs, part.from)
	return k < len(relocs) && relocs[k].Off < part.to
}

// infoOf names a bit of .modinfo.
func (o *Object) infoOf(part *bit) registered {
	name := ""
	if part.atom >= 0 {
		name = o.Atoms[part.atom].Name
	}
	return moduleInfo(o.bitBytes(part), name)
}
