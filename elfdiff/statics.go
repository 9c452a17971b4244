package elfdiff

import (
	"cmp"
	"slices"
	"strings"

	"github.com/klpforge/klpforge/elfobj"
	"github.com/klpforge/klpforge/finding"
)

// statics judges static locals that have no partner. The compiler tells
// variables of one name apart only by a number, which shifts. When a function
// had one "buf" and now has two of the same size, the pairing above took one of
// them for the old one; that is a guess, and a wrong guess makes new code use
// the old variable for another purpose. One-shot flags and the like may be
// confused without harm, and constants: what differs travels with its readers.
func (r *Result) statics() {
	r.ambiguousStatics(r.Patched, r.pairs.toO, func(b AtomID) AtomID { return b })
	r.ambiguousStatics(r.Orig, r.pairs.toP, func(a AtomID) AtomID { return r.pairs.toP[a] })
}

type staticKey struct {
	base string
	size uint64
	kind class
	user AtomID // root function
}

func (r *Result) ambiguousStatics(o *Object, partner []AtomID, patched func(AtomID) AtomID) {
	numbered := func(a AtomID) (string, bool) {
		at := &o.Atoms[a]
		base, marks := stem(at.Name)
		ok := marks != "" && variable(o, a) && at.Class != classROData && !oneShot(base, o.Section(a)) && !describesDebug(o.Section(a))
		if i := strings.Index(at.Name, "."+base); ok && strings.HasPrefix(marks, ".F") && i > 0 {
			base = at.Name[:i] + "." + base // the function tells it from its namesakes elsewhere
		}
		return base, ok
	}
	left := false
	for i := range o.Atoms {
		if _, ok := numbered(AtomID(i)); ok && partner[i] < 0 {
			left = true
		}
	}
	if !left {
		return
	}
	users := map[staticKey]map[AtomID]bool{}
	for sec := range o.File.Sections {
		if o.class[sec] != classText {
			continue
		}
		relocs := o.relocs(elfobj.SecID(sec))
		for k := range relocs {
			t, toAtom := o.atomTarget(elfobj.SecID(sec), &relocs[k], k)
			if !toAtom {
				continue
			}
			base, ok := numbered(t.Atom)
			from := o.atomAt(elfobj.SecID(sec), int64(relocs[k].Off))
			if !ok || from < 0 {
				continue
			}
			at := &o.Atoms[t.Atom]
			key := staticKey{base, at.Size, kindOf(at.Class), o.Root(from)}
			if users[key] == nil {
				users[key] = map[AtomID]bool{}
			}
			users[key][t.Atom] = true
		}
	}
	keys := make([]staticKey, 0, len(users))
	for k := range users {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b staticKey) int { return cmp.Or(cmp.Compare(a.base, b.base), cmp.Compare(a.user, b.user)) })
	for _, k := range keys {
		paired, alone := 0, 0
		for a := range users[k] {
			if partner[a] >= 0 {
				paired++
			} else {
				alone++
			}
		}
		if paired == 0 || alone == 0 || patched(k.user) < 0 {
			continue
		}
		r.problem(finding.IDStatics, finding.Error, k.base, o.Section(k.user), "give the variables different names",
			"function %s has several static variables %s of one size, and their number changed: which of them is the old one cannot be told", o.Atoms[k.user].Name, k.base)
	}
}
