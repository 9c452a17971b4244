package elfdiff

import (
	"bytes"
	"fmt"
	"hash/maphash"
	"slices"
	"strings"

	"github.com/klpforge/klpforge/elfobj"
	"github.com/klpforge/klpforge/finding"
)

// sites judges what the comparison of functions does not see of the tables that
// describe places in code: entries that describe no code of the object, entries that
// differ though they follow from code which does not, and the format of the unwind data.
func (r *Result) sites() {
	r.strayEntries()
	r.derivedEntries()
	r.headers()
	r.namelessData()
}

// strays lists, by section name, the entries that belong to nothing in the object, as bits.
func (o *Object) strays() map[string][]bit {
	out := map[string][]bit{}
	for k := range o.tables {
		t := &o.tables[k]
		for i := t.from; i < o.after(k); i++ {
			off := uint64(i-t.from) * t.shape.size
			relocs, first := o.relocsOf(t, i)
			e := entry{off: off, relocs: relocs, first: first, sec: t.sec}
			if a, _ := o.owner(t, &e); a < 0 {
				name := o.File.Sections[t.sec].Name
				out[name] = append(out[name], bit{sec: t.sec, from: off, to: min(off+t.shape.size, o.File.Sections[t.sec].Size), atom: -1, shape: t.shape})
			}
		}
	}
	return out
}

func (r *Result) strayEntries() {
	for _, ch := range r.pairs.changed(r.Orig.strays(), r.Patched.strays()) {
		o, b := r.Patched, ch.new_
		if b == nil {
			o, b = r.Orig, ch.old
		}
		name, _ := o.says(b)
		r.problem(finding.IDUnknownSection, finding.Error, name, ch.section, "leave the construct out of the patch",
			"an entry of %s that describes no function of this object is %s", ch.section, ch.kind)
	}
}

// derivedEntries notes entries that differ for functions that do not: the kernel keeps
// those that it has, as it keeps the function.
func (r *Result) derivedEntries() {
	changed := make([]bool, len(r.Patched.Atoms))
	for _, ch := range r.Functions {
		if ch.Patched >= 0 {
			changed[ch.Patched] = true
		}
	}
	seed := maphash.MakeSeed()
	before, after := r.Orig.derivedSums(seed), r.Patched.derivedSums(seed)
	for _, section := range derivedSections {
		x, y := before[section], after[section]
		if x == nil && y == nil {
			continue
		}
		var names []string
		for i := range r.Patched.Atoms {
			b := AtomID(i)
			a := r.pairs.toO[b]
			if a < 0 || changed[r.Patched.Root(b)] || r.Patched.Atoms[b].Class != classText || r.Patched.Atoms[b].Name == "" {
				continue
			}
			if sumOf(x, a) != sumOf(y, b) {
				names = append(names, r.Patched.Atoms[b].Name)
			}
		}
		if len(names) == 0 {
			continue
		}
		slices.Sort(names)
		list := strings.Join(names[:min(len(names), 3)], ", ")
		if len(names) > 3 {
			list += fmt.Sprintf(" and %d more", len(names)-3)
		}
		r.problem(finding.IDUnknownSection, finding.Note, list, section, "",
			"entries of %s differ for functions whose code does not: the running kernel keeps these functions, and what it has about them", section)
	}
}

var derivedSections = func() []string {
	var out []string
	for i := range siteRows {
		if siteRows[i].derived {
			out = append(out, siteRows[i].section)
		}
	}
	return out
}()

func sumOf(sums []uint64, a AtomID) uint64 {
	if sums == nil {
		return 0
	}
	return sums[a]
}

// derivedSums sums up, by section and atom, the entries that follow from code: where
// in the function they are, and what else they and the second half of the table say.
func (o *Object) derivedSums(seed maphash.Seed) map[string][]uint64 {
	out := map[string][]uint64{}
	var h maphash.Hash
	h.SetSeed(seed)
	for k := range o.tables {
		t := &o.tables[k]
		if !t.row.derived {
			continue
		}
		name := t.row.section
		if out[name] == nil {
			out[name] = make([]uint64, len(o.Atoms))
		}
		var half []byte
		count := uint64(o.after(k) - t.from)
		if t.row.pair != "" {
			if i := slices.IndexFunc(o.File.Sections, func(s elfobj.Section) bool { return s.Name == t.row.pair }); i > 0 {
				half = o.File.Sections[i].Data
			}
		}
		size := uint64(len(half)) / max(count, 1)
		for i := t.from; i < o.after(k); i++ {
			relocs, first := o.relocsOf(t, i)
			e := entry{off: uint64(i-t.from) * t.shape.size, relocs: relocs, first: first, sec: t.sec}
			a, at := o.owner(t, &e)
			if a < 0 {
				continue
			}
			// Sums of sums: the order of entries means nothing.
			h.Reset()
			maphash.WriteComparable(&h, at)
			if n := uint64(i - t.from); size > 0 {
				h.Write(half[n*size:][:size])
			}
			out[name][a] += h.Sum64() | 1
		}
	}
	return out
}

// headers compares the sections that say of what format a table is.
func (r *Result) headers() {
	header := func(o *Object) []byte {
		for i := range o.File.Sections {
			if o.File.Sections[i].Name == ".orc_header" {
				return o.File.Sections[i].Data
			}
		}
		return nil
	}
	if !bytes.Equal(header(r.Orig), header(r.Patched)) {
		r.problem(finding.IDUnknownSection, finding.Error, "", ".orc_header", "build both objects with the same objtool",
			"the unwind data of the two objects is of different formats")
	}
}

// namelessData judges variables without a symbol to which nothing in the object refers:
// what does refer to one differs with it. The data of assembly in C code is of this kind.
func (r *Result) namelessData() {
	list := func(o *Object) map[string][]bit {
		out := map[string][]bit{}
		for i := range o.Atoms {
			a, at := AtomID(i), &o.Atoms[i]
			if kindOf(at.Class) != classData || at.Class == classUnknown || at.End == at.Start {
				continue
			}
			b := bit{sec: at.Sec, from: at.Start, to: at.End, atom: -1}
			if at.Name != "" {
				// Behind the symbol's own bytes, where references count as such to the symbol.
				b.base = at.Name
				if b.from = at.Base + at.Size; b.from >= b.to || o.padding(at.Sec, b.from, b.to) {
					continue
				}
			} else if len(o.readers(a)) > 0 {
				continue
			}
			out[o.Section(a)] = append(out[o.Section(a)], b)
		}
		return out
	}
	for _, ch := range r.pairs.changed(list(r.Orig), list(r.Patched)) {
		if known := rowOf(ch.section); known != nil && known.harmless != "" {
			continue
		}
		o, b := r.Patched, ch.new_
		if b == nil {
			o, b = r.Orig, ch.old
		}
		name, _ := o.says(b)
		why := ""
		if ch.why != equal {
			why = " (" + ch.why + ")"
		}
		if b.base != "" {
			r.problem(finding.IDChangedData, finding.Error, b.base, ch.section, dataRemedy(ch.section, classROData),
				"data without a name behind %s in %s is %s%s", b.base, ch.section, ch.kind, why)
			continue
		}
		r.problem(finding.IDChangedData, finding.Warning, name, ch.section, "nothing to do if nothing uses it",
			"data without a name in %s, to which nothing in the object refers, is %s%s", ch.section, ch.kind, why)
	}
}
