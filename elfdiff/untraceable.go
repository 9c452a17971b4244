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

// carryUntraceable finds the changed functions that ftrace cannot redirect and that need not be:
// one that is only ever entered by calls from functions of its own object travels
// with those. All of them are replaced, so that the old code is not entered any
// more, and while a task is in it, or in the new code, a function that is replaced
// is on its stack. patchability refuses the others.
func (r *Result) carryUntraceable() {
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
		ch.Carried = true
		var names []string
		for _, atom := range company {
			names = append(names, r.Orig.Atoms[atom].Name)
			with[atom] = append(with[atom], ch.Name)
		}
		slices.Sort(names)
		r.problem(finding.IDNotTraceable, finding.Note, ch.Name, ch.Section, "",
			untraced+": it travels with what calls it, which is replaced: %s", strings.Join(names, ", "))
	}
	for _, atom := range slices.Sorted(maps.Keys(with)) {
		why := "switches with " + strings.Join(with[atom], ", ") + ", where ftrace has no entry (KLP101)"
		if i, ok := listed[atom]; ok {
			r.Functions[i].Reasons = append(r.Functions[i].Reasons, why)
			continue
		}
		patched := r.pairs.toP[atom]
		r.Functions = append(r.Functions, Change{Name: r.Orig.Atoms[atom].Name, Kind: Changed,
			Section: r.Patched.Section(patched),
			Reasons: []string{"unchanged; " + why}, Orig: atom, Patched: patched, Carried: !r.Orig.traceable[atom]})
	}
}

// company finds the functions that have to be replaced, or to travel too, for one that
// is carried, by their original atoms; false when there is no such set.
func (r *Result) company(atom AtomID, listed map[AtomID]int) ([]AtomID, bool) {
	var with []AtomID
	work := []AtomID{atom}
	for len(work) > 0 {
		fn := work[0]
		work = work[1:]
		if !r.mayTravel(fn) {
			return nil, false
		}
		callers, ok := r.Orig.callersOf(fn)
		if _, too := r.Patched.callersOf(r.pairs.toP[fn]); !ok || !too || len(callers) == 0 {
			return nil, false
		}

		// All of the callers have to move with it; one that cannot ends the attempt, as its calls
		// would reach the old code.
		for _, caller := range callers {
			if caller == atom || slices.Contains(with, caller) {
				continue
			}
			patched := r.pairs.toP[caller]
			_, changed := listed[caller]
			if patched < 0 || r.Orig.InitOnly(caller) || r.Patched.InitOnly(patched) ||
				!changed && r.ignoredBy(Change{Orig: caller, Patched: patched}) != "" {
				return nil, false
			}
			with = append(with, caller)
			if !r.Orig.traceable[caller] {
				work = append(work, caller)
			}
		}
	}
	return with, true
}

// mayTravel reports whether a function may have a copy of its own in the livepatch:
// nobody else's, and in no section whose code must stay in its place.
func (r *Result) mayTravel(atom AtomID) bool {
	patched := r.pairs.toP[atom]
	return patched >= 0 && r.Orig.Local(atom) && r.Patched.Local(patched) && ordinaryText(r.Orig.Section(atom)) &&
		ordinaryText(r.Patched.Section(patched))
}

func ordinaryText(section string) bool {
	return section == ".text" || strings.HasPrefix(section, ".text.")
}

// callersOf lists the functions that call one, each once. False when anything else
// refers to it: data, a jump, a piece of a function, which the kernel's stack check
// does not know to belong to it.
func (o *Object) callersOf(atom AtomID) ([]AtomID, bool) {
	readers := o.readers(atom)
	if o.inSlots[atom] {
		return nil, false
	}
	var callers []AtomID
	for _, from := range readers {
		if from < 0 {
			return nil, false
		}
		if n := len(callers); o.Root(from) == atom || n > 0 && callers[n-1] == from {
			// those of one atom follow each other
			continue
		}
		if at := &o.Atoms[from]; at.Class != classText || at.Name == "" || o.Root(from) != from ||
			!o.onlyCalls(from, atom) {
			return nil, false
		}
		callers = append(callers, from)
	}
	return callers, true
}

// onlyCalls reports whether a function refers to another one, and by calls of its
// start alone.
func (o *Object) onlyCalls(from, atom AtomID) bool {
	sec := o.Atoms[from].Sec
	relocs, first := o.relocsIn(from)
	calls := false
	for k := range relocs {
		target := o.target(sec, &relocs[k], first+k)
		if target.Kind != TargetAtom || o.Root(target.Atom) != atom {
			continue
		}
		if target.Off != 0 || target.Atom != atom || !o.comesBack(from, sec, &relocs[k]) {
			return false
		}
		calls = true
	}
	return calls
}

// comesBack reports whether a relocation is that of a call, not of a jump, that
// returns to the function it is in.
func (o *Object) comesBack(from AtomID, sec elfobj.SecID, rel *elfobj.Reloc) bool {
	return o.Arch.CallReloc(o.File.Sections[sec].Data, *rel) &&
		rel.Off+uint64(o.Arch.Width(rel.Type)) < o.Atoms[from].End
}
