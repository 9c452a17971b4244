package elfdiff

import (
	"maps"
	"slices"
	"strings"

	"github.com/klpforge/klpforge/elfobj"
	"github.com/klpforge/klpforge/finding"
)

// untraced begins what is said of a function that ftrace cannot redirect.
const untraced = "function has no ftrace entry (notrace, noinstr, or inline)"

// along finds the changed functions that ftrace cannot redirect and that need not be:
// one that is only ever entered by calls from functions of its own object travels
// with those. All of them are replaced, so that the old code is not entered any
// more, and while a task is in it, or in the new code, a function that is replaced
// is on its stack. patchability refuses the others.
func (r *Result) along() {
	if !r.Orig.anyTrace {
		return
	}
	listed := map[AtomID]int{}
	for i, ch := range r.Functions {
		if ch.Orig >= 0 {
			listed[ch.Orig] = i
		}
	}
	with := map[AtomID][]string{} // callers, with the names of what travels with them
	for i := range r.Functions {
		ch := &r.Functions[i]
		if ch.Kind != Changed || ch.Init || r.Orig.traceable[ch.Orig] || r.Patched.ctors[ch.Patched] {
			continue
		}
		r.needReaders()
		company, ok := r.company(ch.Orig, listed)
		if !ok {
			continue
		}
		ch.Along = true
		var names []string
		for _, a := range company {
			names = append(names, r.Orig.Atoms[a].Name)
			with[a] = append(with[a], ch.Name)
		}
		slices.Sort(names)
		r.problem(finding.IDNotTraceable, finding.Note, ch.Name, ch.Section, "", untraced+": it travels with what calls it, which is replaced: %s", strings.Join(names, ", "))
	}
	for _, a := range slices.Sorted(maps.Keys(with)) {
		why := "switches with " + strings.Join(with[a], ", ") + ", where ftrace has no entry (KLP101)"
		if i, ok := listed[a]; ok {
			r.Functions[i].Reasons = append(r.Functions[i].Reasons, why)
			continue
		}
		b := r.pairs.toP[a]
		r.Functions = append(r.Functions, Change{Name: r.Orig.Atoms[a].Name, Kind: Changed, Section: r.Patched.Section(b),
			Reasons: []string{"unchanged; " + why}, Orig: a, Patched: b, Along: !r.Orig.traceable[a]})
	}
}

// company finds the functions that have to be replaced, or to travel too, for one that
// travels along, by their original atoms; false when there is no such set.
func (r *Result) company(a AtomID, listed map[AtomID]int) ([]AtomID, bool) {
	var with []AtomID
	work := []AtomID{a}
	for len(work) > 0 {
		f := work[0]
		work = work[1:]
		if !r.mayTravel(f) {
			return nil, false
		}
		callers, ok := r.Orig.callersOf(f)
		if _, too := r.Patched.callersOf(r.pairs.toP[f]); !ok || !too || len(callers) == 0 {
			return nil, false
		}
		for _, c := range callers {
			if c == a || slices.Contains(with, c) {
				continue
			}
			b := r.pairs.toP[c]
			_, changed := listed[c]
			if b < 0 || r.Orig.InitOnly(c) || r.Patched.InitOnly(b) || !changed && r.ignoredBy(Change{Orig: c, Patched: b}) != "" {
				return nil, false
			}
			with = append(with, c)
			if !r.Orig.traceable[c] {
				work = append(work, c)
			}
		}
	}
	return with, true
}

// mayTravel reports whether a function may have a copy of its own in the livepatch:
// nobody else's, and in no section whose code must stay in its place.
func (r *Result) mayTravel(a AtomID) bool {
	b := r.pairs.toP[a]
	return b >= 0 && r.Orig.Local(a) && r.Patched.Local(b) && ordinaryText(r.Orig.Section(a)) && ordinaryText(r.Patched.Section(b))
}

func ordinaryText(section string) bool {
	return section == ".text" || strings.HasPrefix(section, ".text.")
}

// callersOf lists the functions that call one, each once. False when anything else
// refers to it: data, a jump, a piece of a function, which the kernel's stack check
// does not know to belong to it.
func (o *Object) callersOf(a AtomID) ([]AtomID, bool) {
	readers := o.readers(a)
	if o.inSlots[a] {
		return nil, false
	}
	var callers []AtomID
	for _, from := range readers {
		if from < 0 {
			return nil, false
		}
		if n := len(callers); o.Root(from) == a || n > 0 && callers[n-1] == from { // those of one atom follow each other
			continue
		}
		if at := &o.Atoms[from]; at.Class != classText || at.Name == "" || o.Root(from) != from || !o.onlyCalls(from, a) {
			return nil, false
		}
		callers = append(callers, from)
	}
	return callers, true
}

// onlyCalls reports whether a function refers to another one, and by calls of its
// start alone.
func (o *Object) onlyCalls(from, a AtomID) bool {
	sec := o.Atoms[from].Sec
	relocs, first := o.relocsIn(from)
	calls := false
	for k := range relocs {
		t := o.target(sec, &relocs[k], first+k)
		if t.Kind != TargetAtom || o.Root(t.Atom) != a {
			continue
		}
		if t.Off != 0 || t.Atom != a || !o.comesBack(from, sec, &relocs[k]) {
			return false
		}
		calls = true
	}
	return calls
}

// comesBack reports whether a relocation is that of a call, not of a jump, that
// returns to the function it is in.
func (o *Object) comesBack(from AtomID, sec elfobj.SecID, r *elfobj.Reloc) bool {
	return o.Arch.CallReloc(o.File.Sections[sec].Data, *r) && r.Off+uint64(o.Arch.Width(r.Type)) < o.Atoms[from].End
}
