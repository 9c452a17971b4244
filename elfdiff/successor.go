package elfdiff

import (
	"slices"
	"strings"

	"github.com/klpforge/klpforge/finding"
)

// successors warns of variables that may have been renamed. The object does not
// tell a renamed variable from one that was removed and another that was added;
// the new one starts with its initial value while the running kernel holds what
// the old one had come to.
func (r *Result) successors() {
	var gone, fresh []AtomID
	for _, ch := range r.Data {
		switch {
		case ch.Kind == Removed && r.Orig.holdsState(ch.Orig):
			gone = append(gone, ch.Orig)
		case ch.Kind == New && r.Patched.holdsState(ch.Patched):
			fresh = append(fresh, ch.Patched)
		}
	}

	// A variable that was renamed has the size, the kind and at least one user in common with its
	// old self.
	for _, goneAtom := range gone {
		before := &r.Orig.Atoms[goneAtom]
		var names, users []string
		section := ""
		for _, freshAtom := range fresh {
			after := &r.Patched.Atoms[freshAtom]
			if after.Size != before.Size || kindOf(after.Class) != kindOf(before.Class) {
				continue
			}
			both := r.commonUsers(goneAtom, freshAtom)
			if len(both) == 0 {
				continue
			}
			name, _ := stem(after.Name)
			names, users, section = append(names, name), append(users, both...), r.Patched.Section(freshAtom)
		}

		if len(names) == 0 {
			continue
		}
		slices.Sort(names)
		slices.Sort(users)
		old, _ := stem(before.Name)
		r.problem(finding.IDStatics, finding.Warning, old, section,
			"keep the name "+old+
				", or copy its value in a pre-patch callback; nothing to do if the value is of no consequence",
			"variable %s is gone and %s of the same size is new in %s: if it was renamed, the value in the running "+
				"kernel does not carry over",
			old, strings.Join(slices.Compact(names), " or "), strings.Join(slices.Compact(users), ", "))
	}
}

// holdsState reports whether the variable can have another value than its
// initial one, that matters.
func (o *Object) holdsState(atom AtomID) bool {
	at := &o.Atoms[atom]
	base, _ := stem(at.Name)
	return (at.Class == classData || at.Class == classBSS) && at.Size > 0 && !initSection(o.Section(atom)) &&
		!oneShot(base, o.Section(atom)) && !describesDebug(o.Section(atom))
}

// commonUsers names the functions that refer to goneAtom before and to freshAtom after.
func (r *Result) commonUsers(goneAtom, freshAtom AtomID) []string {
	after := map[AtomID]bool{}
	for _, from := range r.Patched.readers(freshAtom) {
		if from >= 0 {
			after[r.Patched.Root(from)] = true
		}
	}
	var out []string
	for _, from := range r.Orig.readers(goneAtom) {
		if from < 0 {
			continue
		}
		if user := r.Orig.Root(from); r.Orig.Atoms[user].Class == classText && r.pairs.toP[user] >= 0 &&
			after[r.pairs.toP[user]] {
			out = append(out, r.Orig.Atoms[user].Name)
		}
	}
	return out
}
