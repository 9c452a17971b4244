package elfdiff

import (
	"slices"

	"github.com/klpforge/klpforge/elfobj"
)

// readers returns the atoms that refer to a variable or function; -1 stands for
// a reference from outside all atoms. A table that describes code does not refer to
// it, and a reference to a piece of a function counts for the function.
func (o *Object) readers(atom AtomID) []AtomID {
	o.needReaders()
	return o.readBy[o.readFrom[atom]:o.readFrom[atom+1]]
}

func (o *Object) needReaders() { o.readOnce.Do(o.findReaders) }

func (o *Object) findReaders() {
	type use struct{ to, from AtomID }
	total := 0
	for i := range o.File.Sections {
		switch o.class[i] {
		case classIgnore, classSlots, classTable:
			continue
		}
		total += len(o.relocs(elfobj.SecID(i)))
	}
	uses := make([]use, 0, total)
	o.readFrom, o.inSlots = make([]uint32, len(o.Atoms)+1), map[AtomID]bool{}
	for i := range o.File.Sections {
		if o.class[i] == classIgnore {
			continue
		}
		relocs := o.relocs(elfobj.SecID(i))
		for k := range relocs {
			target, ok := o.atomTarget(elfobj.SecID(i), &relocs[k], k)
			if !ok {
				continue
			}
			to := o.Root(target.Atom)
			if o.class[i] == classSlots { // a reference over a slot counts for the code that uses the slot
				o.inSlots[to] = true
				continue
			}
			if o.class[i] == classTable && o.Atoms[to].Class == classText {
				continue // what a table says of code is no use of it
			}
			from := o.atomAt(elfobj.SecID(i), int64(relocs[k].Off))
			uses = append(uses, use{to, from})
			o.readFrom[to+1]++
		}
	}
	for i := 1; i < len(o.readFrom); i++ {
		o.readFrom[i] += o.readFrom[i-1]
	}
	o.readBy = make([]AtomID, len(uses))
	next := slices.Clone(o.readFrom)
	for _, u := range uses {
		o.readBy[next[u.to]] = u.from
		next[u.to]++
	}
}
