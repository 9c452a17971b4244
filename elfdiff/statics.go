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

func (r *Result) ambiguousStatics(obj *Object, partner []AtomID, patched func(AtomID) AtomID) {
	numbered := func(atom AtomID) (string, bool) {
		at := &obj.Atoms[atom]
		base, marks := stem(at.Name)
		ok := marks != "" && variable(obj, atom) && at.Class != classROData && !oneShot(base, obj.Section(atom)) &&
			!describesDebug(obj.Section(atom))
		if i := strings.Index(at.Name, "."+base); ok && strings.HasPrefix(marks, ".F") && i > 0 {
			base = at.Name[:i] + "." + base // the function tells it from its namesakes elsewhere
		}
		return base, ok
	}
	left := false
	for i := range obj.Atoms {
		if _, ok := numbered(AtomID(i)); ok && partner[i] < 0 {
			left = true
		}
	}
	if !left {
		return
	}
	users := map[staticKey]map[AtomID]bool{}
	for sec := range obj.File.Sections {
		if obj.class[sec] != classText {
			continue
		}
		relocs := obj.relocs(elfobj.SecID(sec))
		for k := range relocs {
			target, toAtom := obj.atomTarget(elfobj.SecID(sec), &relocs[k], k)
			if !toAtom {
				continue
			}
			base, ok := numbered(target.Atom)
			from := obj.atomAt(elfobj.SecID(sec), int64(relocs[k].Off))
			if !ok || from < 0 {
				continue
			}
			at := &obj.Atoms[target.Atom]
			key := staticKey{base, at.Size, kindOf(at.Class), obj.Root(from)}
			if users[key] == nil {
				users[key] = map[AtomID]bool{}
			}
			users[key][target.Atom] = true
		}
	}
	keys := make([]staticKey, 0, len(users))
	for key := range users {
		keys = append(keys, key)
	}
	slices.SortFunc(keys, func(a, b staticKey) int {
		return cmp.Or(cmp.Compare(a.base, b.base),
			cmp.Compare(a.user, b.user))
	})
	for _, key := range keys {
		paired, alone := 0, 0
		for atom := range users[key] {
			if partner[atom] >= 0 {
				paired++
			} else {
				alone++
			}
		}
		if paired == 0 || alone == 0 || patched(key.user) < 0 {
			continue
		}
		r.problem(finding.IDStatics, finding.Error, key.base, obj.Section(key.user),
			"give the variables different names",
			"function %s has several static variables %s of one size, and their number changed: which of them is the "+
				"old one cannot be told", obj.Atoms[key.user].Name, key.base)
	}
}
