package elfdiff

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/klpforge/klpforge/elfobj"
	"github.com/klpforge/klpforge/finding"
)

// told is one thing that the tables of the kernel say otherwise after the patch.
type told struct {
	registered
	change ChangeKind
}

// telling is what is known of it.
type telling struct {
	section, why string
	weak         bool     // only descriptive text; set when it is added
	fresh        []string // new functions that nothing but such an entry refers to
	entry        bool     // it has no name of its own: the name is what it refers to
	places       int      // how many entries say so
}

// registrations judges what boot code, the module loader and the kernel read of the
// tables in the object: one finding for each thing, whatever number of symbols and
// entries stand for it.
func (r *Result) registrations() {
	found := map[told]telling{}
	add := func(reg registered, change ChangeKind, how telling) {
		known := rowOf(how.section)
		if known != nil && known.harmless != "" && !(known.section == ".modinfo" && change != Changed) {
			return
		}
		how.weak = how.section == ".modinfo" && reg.what != entryAlias
		key := told{reg, change}
		old, ok := found[key]
		if ok && !(old.weak && !how.weak) {
			old.places++
			old.fresh = append(old.fresh, how.fresh...)
			found[key] = old
			return
		}
		how.places = old.places + 1
		found[key] = how
	}
	r.namedEntries(add)
	r.namelessEntries(add)

	// MODULE_DEVICE_TABLE leaves an alias of the table, and no entry of a section.
	before, after := r.Orig.deviceTables(), r.Patched.deviceTables()
	for reg, section := range after {
		if _, ok := before[reg]; !ok {
			add(reg, New, telling{section: section})
		}
	}
	for reg, section := range before {
		if _, ok := after[reg]; !ok {
			add(reg, Removed, telling{section: section})
		}
	}

	// Sorted, so that the report does not depend on the order of a map.
	keys := make([]told, 0, len(found))
	for key := range found {
		keys = append(keys, key)
	}
	slices.SortFunc(keys, func(a, b told) int {
		return cmp.Or(cmp.Compare(a.what, b.what), cmp.Compare(a.name, b.name), cmp.Compare(a.change, b.change))
	})
	for _, key := range keys {
		r.tell(key, found[key])
	}
}

// namedEntries compares the entries that have names.
func (r *Result) namedEntries(add func(registered, ChangeKind, telling)) {
	orig, patched := r.Orig, r.Patched
	for i := range patched.Atoms {
		patchedAtom := AtomID(i)
		if at := &patched.Atoms[patchedAtom]; at.Class != classMeta || patched.byBits(patchedAtom) {
			continue
		}
		origAtom := r.pairs.toO[patchedAtom]
		if origAtom < 0 || orig.byBits(origAtom) {
			if !patched.exportEntry(patchedAtom) {
				add(patched.registration(patchedAtom), New, telling{section: patched.Section(patchedAtom),
					fresh: r.onlyFrom(patchedAtom)})
			}
			continue
		}
		why := r.pairs.differ(origAtom, patchedAtom)
		if from, to := orig.Section(origAtom), patched.Section(patchedAtom); why == equal && from != to {
			why = fmt.Sprintf("moved from %s to %s", from, to)
		}
		if why == equal {
			continue
		}
		add(patched.registration(patchedAtom), Changed,
			telling{section: patched.Section(patchedAtom), why: why, fresh: r.onlyFrom(patchedAtom)})
		if known := rowOf(patched.Section(patchedAtom)); known != nil && known.life == lifeEver &&
			known.harmless == "" && known.construct != entryExport {
			// A variable as others are: the tables of functions among them are looked at closer.
			r.Data = append(r.Data, Change{Name: orig.Atoms[origAtom].Name, Kind: Changed,
				Section: patched.Section(patchedAtom), Orig: origAtom, Patched: patchedAtom, Reasons: []string{why}})
		}
	}
	for i := range orig.Atoms {
		origAtom := AtomID(i)
		if at := &orig.Atoms[origAtom]; at.Class != classMeta || orig.byBits(origAtom) {
			continue
		}
		if patchedAtom := r.pairs.toP[origAtom]; (patchedAtom < 0 || patched.byBits(patchedAtom)) &&
			!orig.exportEntry(origAtom) {
			add(orig.registration(origAtom), Removed, telling{section: orig.Section(origAtom)})
		}
	}
}

// exportEntry reports whether exports() tells of the entry, by its symbol or by that
// of the export that it belongs to.
func (o *Object) exportEntry(atom AtomID) bool {
	name := o.Atoms[atom].Name
	for _, part := range []string{"__crc_", "__kstrtab_", "__kstrtabns_"} {
		if of, ok := strings.CutPrefix(name, part); ok {
			return slices.ContainsFunc(o.File.Symbols, func(s elfobj.Symbol) bool {
				return s.Sec > 0 &&
					s.Name == "__ksymtab_"+of
			})
		}
	}
	return strings.HasPrefix(name, "__ksymtab_") || strings.HasPrefix(name, "__export_symbol_")
}

// namelessEntries compares what counts by its contents.
func (r *Result) namelessEntries(add func(registered, ChangeKind, telling)) {
	for _, ch := range r.pairs.changedBits() {
		patched, part := r.Patched, ch.new_
		if part == nil {
			patched, part = r.Orig, ch.old
		}
		how := telling{section: ch.section, why: ch.why, entry: true}
		if ch.kind != Removed {
			how.fresh = r.onlyIn(func(f func(Target)) { patched.bitTargets(part, func(_ uint64, t Target) { f(t) }) })
		}
		reg := registered{}
		switch known := rowOf(ch.section); {
		case ch.section == ".modinfo":
			reg, how.entry = patched.infoOf(part), false
		case part.atom >= 0:
			reg, how.entry = patched.registration(part.atom), false
		case known != nil && known.holds == holdsEntries:
			reg.what = known.construct
		default:
			reg.what = entryBootData
		}
		if how.entry {
			var to AtomID
			if ch.kind != Removed && ch.section == btfIDs {
				how.fresh = r.onlyNamed(part)
			}
			if reg.name, to = patched.says(part); to >= 0 && patched.ctors[to] &&
				(part == ch.old && r.pairs.toP[to] < 0 || part == ch.new_ && r.pairs.toO[to] < 0) {
				continue // patchability() tells of new functions that a sanitizer has called
			}
		}
		add(reg, ch.kind, how)
	}
}

// onlyFrom names the new functions that an entry refers to and nothing else does but entries.
func (r *Result) onlyFrom(atom AtomID) []string {
	patched := r.Patched
	sec := patched.Atoms[atom].Sec
	relocs, first := patched.relocsIn(atom)
	return r.onlyIn(func(f func(Target)) {
		for k := range relocs {
			f(patched.target(sec, &relocs[k], first+k))
		}
	})
}

func (r *Result) onlyIn(targets func(func(Target))) []string {
	patched := r.Patched
	var out []string
	targets(func(target Target) {
		if target.Kind != TargetAtom || patched.Atoms[target.Atom].Class != classText {
			return
		}
		fn := patched.Root(target.Atom)
		if patched.Atoms[fn].Name == "" || r.pairs.toO[fn] >= 0 || patched.inSlot(fn) {
			return
		}
		for _, from := range patched.readers(fn) {
			if from < 0 || patched.Atoms[from].Class != classMeta && patched.Root(from) != fn {
				return
			}
		}
		out = append(out, patched.Atoms[fn].Name)
	})
	return out
}

// onlyNamed names the new function of a BTF id, when nothing in the object refers to it.
func (r *Result) onlyNamed(id *bit) []string {
	rest := strings.Split(id.base, "\x00")
	name, ok := strings.CutPrefix(rest[len(rest)-1], "func__")
	if !ok {
		return nil
	}
	for _, ch := range r.Functions {
		if ch.Kind == New && ch.Name == name && len(r.Patched.readers(ch.Patched)) == 0 {
			return []string{name}
		}
	}
	return nil
}

func (o *Object) inSlot(atom AtomID) bool {
	o.needReaders()
	return o.inSlots[atom]
}

// tell makes the finding.
func (r *Result) tell(key told, how telling) {
	known := rowOf(how.section)
	ever := known != nil && known.holds == holdsEntries && known.life == lifeEver
	thing := strings.TrimSpace(string(key.what) + " " + key.name)
	if how.entry {
		thing = fmt.Sprintf("entry of %s (%s)", how.section, key.what)
		if key.name != "" {
			thing += " for " + key.name
		}
	}
	if how.places > 1 && how.entry {
		thing += fmt.Sprintf(" (%d of them)", how.places)
	}

	// A new function that only such an entry refers to would be dead code in the livepatch.
	also := ""
	slices.Sort(how.fresh)
	for _, f := range slices.Compact(how.fresh) {
		also += fmt.Sprintf("; new function %s: only an entry of %s refers to it, nothing will call it", f, how.section)
	}

	switch {
	case key.change == New && how.weak:
		r.problem(finding.IDRegistration, finding.Note, key.name, how.section, "",
			"new text about %s: nobody reads it in a livepatch", thing)
	case key.change == New && key.what == entryExport:
		r.problem(finding.IDRegistration, finding.Note, key.name, how.section, "",
			"new %s: no module can link against it", thing)
	case key.change == New && ever && !known.light:
		r.problem(finding.IDRegistration, finding.Error, key.name, how.section, known.remedy(key.change),
			"new %s: the running kernel reads the table that it has (%s), and a livepatch cannot add to it%s", thing,
			known.reader, also)
	case key.change == New:
		r.problem(finding.IDRegistration, finding.Warning, key.name, how.section, key.instead(),
			"new %s: a livepatch does not register it%s", thing, also)

	case key.change == Changed && key.what == entryExport:
		r.problem(finding.IDChangedData, finding.Warning, key.name, how.section,
			"nothing to do if no module depends on it",
			"%s changed (%s): the running kernel keeps exporting it as it does", thing, how.why)
	case key.change == Changed && ever:
		r.problem(finding.IDChangedData, finding.Error, key.name, how.section, known.remedy(key.change),
			"%s changed (%s): the running kernel keeps what it has, and reads it as long as it runs (%s)%s", thing,
			how.why, known.reader, also)
	case key.change == Changed && how.weak:
	case key.change == Changed:
		r.problem(finding.IDAlreadyRun, finding.Warning, key.name, how.section,
			"nothing to do if the fix does not depend on it",
			"%s changed (%s): it was used before the livepatch loads%s", thing, how.why, also)

	case how.weak:
	case key.what == entryExport:
		r.problem(finding.IDRegistration, finding.Note, key.name, how.section, "",
			"%s removed: the running kernel keeps exporting it", thing)
	case ever && !known.light:
		r.problem(finding.IDChangedData, finding.Error, key.name, how.section, known.remedy(key.change),
			"%s removed: the running kernel keeps it, and reads it as long as it runs (%s)", thing, known.reader)
	default:
		r.problem(finding.IDRegistration, finding.Note, key.name, how.section, "",
			"%s removed: what it registered stays until the next boot or load", thing)
	}
}

// remedy says what to do about an entry of a table that the running kernel reads
// from its own copy.
func (k *row) remedy(change ChangeKind) string {
	what := "change the code that reads the table, or a function that it leads to"
	if change == New {
		what = "do what the entry would bring about from a callback, or change the code that reads the table"
	}
	if k.protect == writable {
		return what
	}
	return what + "; nothing may write to it: " + k.whyProtected()
}

func (k *row) whyProtected() string {
	if k.protect == afterInit {
		return "the kernel write-protects it once it has booted, or loaded the module"
	}
	return "the kernel write-protects it"
}

// dataRemedy says what to do about a variable of which the running kernel keeps what it has.
func dataRemedy(section string, c class) string {
	known := rowOf(section)
	switch {
	case known != nil && known.protect != writable:
		return "change the code that reads it; a callback must not set it: " + known.whyProtected()
	case c == classROData:
		return "change the code that reads it; a callback must not set it: the kernel write-protects constant data"
	case known != nil && known.perCPU:
		return "set the new value for each processor (per_cpu_ptr) from a pre-patch callback, or change the code " +
			"that reads it"
	}
	return "set the new value from a pre-patch callback, or change the code that reads it"
}
