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
		tab := &o.tables[k]
		for i := tab.from; i < o.after(k); i++ {
			off := uint64(i-tab.from) * tab.shape.size
			relocs, first := o.relocsOf(tab, i)
			ent := entry{off: off, relocs: relocs, first: first, sec: tab.sec}
			if a, _ := o.owner(tab, &ent); a < 0 && !(tab.row.derived && o.inReplacement(tab, &ent)) {
				name := o.File.Sections[tab.sec].Name
				out[name] = append(out[name], bit{sec: tab.sec, from: off,
					to: min(off+tab.shape.size, o.File.Sections[tab.sec].Size), atom: -1, shape: tab.shape})
			}
		}
	}
	return out
}

// inReplacement reports whether an entry describes the replacement code of an alternative,
// as objtool's lists of calls do: it is compared with the alternative, and where it
// stands depends on all others of the object.
func (o *Object) inReplacement(tab *table, ent *entry) bool {
	return slices.ContainsFunc(ent.relocs, func(rel elfobj.Reloc) bool {
		to := o.File.Symbols[rel.Sym].Sec
		return rel.Off == ent.off+tab.shape.refs[0] && to > 0 && o.class[to] == classAlt
	})
}

func (r *Result) strayEntries() {
	for _, ch := range r.pairs.changed(r.Orig.strays(), r.Patched.strays()) {
		obj, part := r.Patched, ch.new_
		if part == nil {
			obj, part = r.Orig, ch.old
		}
		name, _ := obj.says(part)
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

	// Sums stand for the entries: there are as many as instructions in some of these tables.
	seed := maphash.MakeSeed()
	before, after := r.Orig.derivedSums(seed), r.Patched.derivedSums(seed)
	for _, section := range derivedSections {
		orig, patched := before[section], after[section]
		if orig == nil && patched == nil {
			continue
		}

		// Changed functions bring their own entries along; only those of functions that stay can
		// surprise.
		var names []string
		for i := range r.Patched.Atoms {
			patchedAtom := AtomID(i)
			origAtom := r.pairs.toO[patchedAtom]
			if origAtom < 0 || changed[r.Patched.Root(patchedAtom)] ||
				r.Patched.Atoms[patchedAtom].Class != classText || r.Patched.Atoms[patchedAtom].Name == "" {
				continue
			}
			if sumOf(orig, origAtom) != sumOf(patched, patchedAtom) {
				names = append(names, r.Patched.Atoms[patchedAtom].Name)
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
			"entries of %s differ for functions whose code does not: the running kernel keeps these functions, and "+
				"what it has about them", section)
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

func sumOf(sums []uint64, atom AtomID) uint64 {
	if sums == nil {
		return 0
	}
	return sums[atom]
}

// derivedSums sums up, by section and atom, the entries that follow from code: where
// in the function they are, and what else they and the second half of the table say.
func (o *Object) derivedSums(seed maphash.Seed) map[string][]uint64 {
	out := map[string][]uint64{}
	var hash maphash.Hash
	hash.SetSeed(seed)
	for k := range o.tables {
		tab := &o.tables[k]
		if !tab.row.derived {
			continue
		}
		name := tab.row.section
		if out[name] == nil {
			out[name] = make([]uint64, len(o.Atoms))
		}
		var half []byte
		count := uint64(o.after(k) - tab.from)
		if tab.row.pair != "" {
			if i := slices.IndexFunc(o.File.Sections,
				func(s elfobj.Section) bool { return s.Name == tab.row.pair }); i > 0 {
				half = o.File.Sections[i].Data
			}
		}
		size := uint64(len(half)) / max(count, 1)
		for i := tab.from; i < o.after(k); i++ {
			relocs, first := o.relocsOf(tab, i)
			ent := entry{off: uint64(i-tab.from) * tab.shape.size, relocs: relocs, first: first, sec: tab.sec}
			atom, at := o.owner(tab, &ent)
			if atom < 0 {
				continue
			}
			// Sums of sums: the order of entries means nothing.
			hash.Reset()
			maphash.WriteComparable(&hash, at)
			if n := uint64(i - tab.from); size > 0 {
				hash.Write(half[n*size:][:size])
			}
			out[name][atom] += hash.Sum64() | 1
		}
	}
	return out
}

// headers compares the sections that say of what format a table is.
func (r *Result) headers() {
	header := func(obj *Object) []byte {
		for i := range obj.File.Sections {
			if obj.File.Sections[i].Name == ".orc_header" {
				return obj.File.Sections[i].Data
			}
		}
		return nil
	}
	if !bytes.Equal(header(r.Orig), header(r.Patched)) {
		r.problem(finding.IDUnknownSection, finding.Error, "", ".orc_header",
			"build both objects with the same objtool",
			"the unwind data of the two objects is of different formats")
	}
}

// namelessData judges variables without a symbol to which nothing in the object refers:
// what does refer to one differs with it. The data of assembly in C code is of this kind.
func (r *Result) namelessData() {
	list := func(obj *Object) map[string][]bit {
		out := map[string][]bit{}
		for i := range obj.Atoms {
			atom, at := AtomID(i), &obj.Atoms[i]
			if kindOf(at.Class) != classData || at.Class == classUnknown || at.End == at.Start {
				continue
			}
			part := bit{sec: at.Sec, from: at.Start, to: at.End, atom: -1}
			if at.Name != "" {
				// Behind the symbol's own bytes, where references count as such to the symbol.
				part.base = at.Name
				if part.from = at.Base + at.Size; part.from >= part.to || obj.padding(at.Sec, part.from, part.to) {
					continue
				}
			} else if len(obj.readers(atom)) > 0 {
				continue
			}
			out[obj.Section(atom)] = append(out[obj.Section(atom)], part)
		}
		return out
	}
	for _, ch := range r.pairs.changed(list(r.Orig), list(r.Patched)) {
		if known := rowOf(ch.section); known != nil && known.harmless != "" {
			continue
		}
		obj, part := r.Patched, ch.new_
		if part == nil {
			obj, part = r.Orig, ch.old
		}
		name, _ := obj.says(part)
		why := ""
		if ch.why != equal {
			why = " (" + ch.why + ")"
		}
		if part.base != "" {
			r.problem(finding.IDChangedData, finding.Error, part.base, ch.section, dataRemedy(ch.section, classROData),
				"data without a name behind %s in %s is %s%s", part.base, ch.section, ch.kind, why)
			continue
		}
		r.problem(finding.IDChangedData, finding.Warning, name, ch.section, "nothing to do if nothing uses it",
			"data without a name in %s, to which nothing in the object refers, is %s%s", ch.section, ch.kind, why)
	}
}
