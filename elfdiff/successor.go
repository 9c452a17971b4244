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
	for _, a := range gone {
		x := &r.Orig.Atoms[a]
		var names, users []string
		section := ""
		for _, b := range fresh {
			y := &r.Patched.Atoms[b]
			if y.Size != x.Size || kindOf(y.Class) != kindOf(x.Class) {
				continue
			}
			both := r.commonUsers(a, b)
			if len(both) == 0 {
				continue
			}
			name, _ := stem(y.Name)
			names, users, section = append(names, name), append(users, both...), r.Patched.Section(b)
		}
		if len(names) == 0 {
			continue
		}
		slices.Sort(names)
		slices.Sort(users)
		old, _ := stem(x.Name)
		r.problem(finding.IDStatics, finding.Warning, old, section, "keep the name "+old+", or copy its value in a pre-patch callback; nothing to do if the value is of no consequence",
			"variable %s is gone and %s of the same size is new in %s: if it was renamed, the value in the running kernel does not carry over",
			old, strings.Join(slices.Compact(names), " or "), strings.Join(slices.Compact(users), ", "))
	}
}

// holdsState reports whether the variable can have another value than its
// initial one, that matters.
func (o *Object) holdsState(a AtomID) bool {
	at := &o.Atoms[a]
	base, _ := stem(at.Name)
	return (at.Class == classData || at.Class == classBSS) && at.Size > 0 && !initSection(o.Section(a)) &&
		!oneShot(base, o.Section(a)) && !describesDebug(o.Section(a))
}

// commonUsers names the functions that refer to a before and to b after.
func (r *Result) commonUsers(a, b AtomID) []string {
	after := map[AtomID]bool{}
	for _, from := range r.Patched.readers(b) {
		if from >= 0 {
			after[r.Patched.Root(from)] = true
		}
	}
	var out []string
	for _, from := range r.Orig.readers(a) {
		if from < 0 {
			continue
		}
		if f := r.Orig.Root(from); r.Orig.Atoms[f].Class == classText && r.pairs.toP[f] >= 0 && after[r.pairs.toP[f]] {
			out = append(out, r.Orig.Atoms[f].Name)
		}
	}
	return out
}
