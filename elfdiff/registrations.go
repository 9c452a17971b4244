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
	add := func(g registered, change ChangeKind, d telling) {
		known := rowOf(d.section)
		if known != nil && known.harmless != "" && !(known.section == ".modinfo" && change != Changed) {
			return
		}
		d.weak = d.section == ".modinfo" && g.what != "MODULE_ALIAS"
		k := told{g, change}
		old, ok := found[k]
		if ok && !(old.weak && !d.weak) {
			old.places++
			old.fresh = append(old.fresh, d.fresh...)
			found[k] = old
			return
		}
		d.places = old.places + 1
		found[k] = d
	}
	r.namedEntries(add)
	r.namelessEntries(add)

	before, after := r.Orig.deviceTables(), r.Patched.deviceTables()
	for g, section := range after {
		if _, ok := before[g]; !ok {
			add(g, New, telling{section: section})
		}
	}
	for g, section := range before {
		if _, ok := after[g]; !ok {
			add(g, Removed, telling{section: section})
		}
	}

	keys := make([]told, 0, len(found))
	for k := range found {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b told) int {
		return cmp.Or(cmp.Compare(a.what, b.what), cmp.Compare(a.name, b.name), cmp.Compare(a.change, b.change))
	})
	for _, k := range keys {
		r.tell(k, found[k])
	}
}

// namedEntries compares the entries that have names.
func (r *Result) namedEntries(add func(registered, ChangeKind, telling)) {
	o, p := r.Orig, r.Patched
	for i := range p.Atoms {
		b := AtomID(i)
		if at := &p.Atoms[b]; at.Class != classMeta || p.byBits(b) {
			continue
		}
		a := r.pairs.toO[b]
		if a < 0 || o.byBits(a) {
			if !p.exportEntry(b) {
				add(p.registration(b), New, telling{section: p.Section(b), fresh: r.onlyFrom(b)})
			}
			continue
		}
		why := r.pairs.differ(a, b)
		if from, to := o.Section(a), p.Section(b); why == equal && from != to {
			why = fmt.Sprintf("moved from %s to %s", from, to)
		}
		if why == equal {
			continue
		}
		add(p.registration(b), Changed, telling{section: p.Section(b), why: why, fresh: r.onlyFrom(b)})
		if known := rowOf(p.Section(b)); known != nil && known.life == lifeEver && known.harmless == "" && known.construct != "EXPORT_SYMBOL" {
			// A variable as others are: the tables of functions among them are looked at closer.
			r.Data = append(r.Data, Change{Name: o.Atoms[a].Name, Kind: Changed, Section: p.Section(b), Orig: a, Patched: b, Reasons: []string{why}})
		}
	}
	for i := range o.Atoms {
		a := AtomID(i)
		if at := &o.Atoms[a]; at.Class != classMeta || o.byBits(a) {
			continue
		}
		if b := r.pairs.toP[a]; (b < 0 || p.byBits(b)) && !o.exportEntry(a) {
			add(o.registration(a), Removed, telling{section: o.Section(a)})
		}
	}
}

// exportEntry reports whether exports() tells of the entry, by its symbol or by that
// of the export that it belongs to.
func (o *Object) exportEntry(a AtomID) bool {
	name := o.Atoms[a].Name
	for _, part := range []string{"__crc_", "__kstrtab_", "__kstrtabns_"} {
		if of, ok := strings.CutPrefix(name, part); ok {
			return slices.ContainsFunc(o.File.Symbols, func(s elfobj.Symbol) bool { return s.Sec > 0 && s.Name == "__ksymtab_"+of })
		}
	}
	return strings.HasPrefix(name, "__ksymtab_") || strings.HasPrefix(name, "__export_symbol_")
}

// namelessEntries compares what counts by its contents.
func (r *Result) namelessEntries(add func(registered, ChangeKind, telling)) {
	for _, ch := range r.pairs.changedBits() {
		o, b := r.Patched, ch.new_
		if b == nil {
			o, b = r.Orig, ch.old
		}
		d := telling{section: ch.section, why: ch.why, entry: true}
		if ch.kind != Removed {
			d.fresh = r.onlyIn(func(f func(Target)) { o.bitTargets(b, func(_ uint64, t Target) { f(t) }) })
		}
		g := registered{}
		switch known := rowOf(ch.section); {
		case ch.section == ".modinfo":
			g, d.entry = o.infoOf(b), false
		case b.atom >= 0:
			g, d.entry = o.registration(b.atom), false
		case known != nil && known.holds == holdsEntries:
			g.what = known.construct
		default:
			g.what = "boot-time data"
		}
		if d.entry {
			var to AtomID
			if ch.kind != Removed && ch.section == btfIDs {
				d.fresh = r.onlyNamed(b)
			}
			if g.name, to = o.says(b); to >= 0 && o.ctors[to] && (b == ch.old && r.pairs.toP[to] < 0 || b == ch.new_ && r.pairs.toO[to] < 0) {
				continue // patchability() tells of new functions that a sanitizer has called
			}
		}
		add(g, ch.kind, d)
	}
}

// onlyFrom names the new functions that an entry refers to and nothing else does but entries.
func (r *Result) onlyFrom(b AtomID) []string {
	p := r.Patched
	sec := p.Atoms[b].Sec
	relocs, first := p.relocsIn(b)
	return r.onlyIn(func(f func(Target)) {
		for k := range relocs {
			f(p.target(sec, &relocs[k], first+k))
		}
	})
}

func (r *Result) onlyIn(targets func(func(Target))) []string {
	p := r.Patched
	var out []string
	targets(func(t Target) {
		if t.Kind != TargetAtom || p.Atoms[t.Atom].Class != classText {
			return
		}
		f := p.Root(t.Atom)
		if p.Atoms[f].Name == "" || r.pairs.toO[f] >= 0 || p.inSlot(f) {
			return
		}
		for _, from := range p.readers(f) {
			if from < 0 || p.Atoms[from].Class != classMeta && p.Root(from) != f {
				return
			}
		}
		out = append(out, p.Atoms[f].Name)
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

func (o *Object) inSlot(a AtomID) bool {
	o.needReaders()
	return o.inSlots[a]
}

// tell makes the finding.
func (r *Result) tell(k told, d telling) {
	known := rowOf(d.section)
	ever := known != nil && known.holds == holdsEntries && known.life == lifeEver
	thing := strings.TrimSpace(k.what + " " + k.name)
	if d.entry {
		thing = fmt.Sprintf("entry of %s (%s)", d.section, k.what)
		if k.name != "" {
			thing += " for " + k.name
		}
	}
	if d.places > 1 && d.entry {
		thing += fmt.Sprintf(" (%d of them)", d.places)
	}
	also := ""
	slices.Sort(d.fresh)
	for _, f := range slices.Compact(d.fresh) {
		also += fmt.Sprintf("; new function %s: only an entry of %s refers to it, nothing will call it", f, d.section)
	}

	switch {
	case k.change == New && d.weak:
		r.problem(finding.IDRegistration, finding.Note, k.name, d.section, "", "new text about %s: nobody reads it in a livepatch", thing)
	case k.change == New && k.what == "EXPORT_SYMBOL":
		r.problem(finding.IDRegistration, finding.Note, k.name, d.section, "", "new %s: no module can link against it", thing)
	case k.change == New && ever && !known.light:
		r.problem(finding.IDRegistration, finding.Error, k.name, d.section, known.remedy(k.change),
			"new %s: the running kernel reads the table that it has (%s), and a livepatch cannot add to it%s", thing, known.reader, also)
	case k.change == New:
		r.problem(finding.IDRegistration, finding.Warning, k.name, d.section, k.instead(), "new %s: a livepatch does not register it%s", thing, also)

	case k.change == Changed && k.what == "EXPORT_SYMBOL":
		r.problem(finding.IDChangedData, finding.Warning, k.name, d.section, "nothing to do if no module depends on it",
			"%s changed (%s): the running kernel keeps exporting it as it does", thing, d.why)
	case k.change == Changed && ever:
		r.problem(finding.IDChangedData, finding.Error, k.name, d.section, known.remedy(k.change),
			"%s changed (%s): the running kernel keeps what it has, and reads it as long as it runs (%s)%s", thing, d.why, known.reader, also)
	case k.change == Changed && d.weak:
	case k.change == Changed:
		r.problem(finding.IDAlreadyRun, finding.Warning, k.name, d.section, "nothing to do if the fix does not depend on it",
			"%s changed (%s): it was used before the livepatch loads%s", thing, d.why, also)

	case d.weak:
	case k.what == "EXPORT_SYMBOL":
		r.problem(finding.IDRegistration, finding.Note, k.name, d.section, "", "%s removed: the running kernel keeps exporting it", thing)
	case ever && !known.light:
		r.problem(finding.IDChangedData, finding.Error, k.name, d.section, known.remedy(k.change),
			"%s removed: the running kernel keeps it, and reads it as long as it runs (%s)", thing, known.reader)
	default:
		r.problem(finding.IDRegistration, finding.Note, k.name, d.section, "", "%s removed: what it registered stays until the next boot or load", thing)
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
		return "set the new value for each processor (per_cpu_ptr) from a pre-patch callback, or change the code that reads it"
	}
	return "set the new value from a pre-patch callback, or change the code that reads it"
}
