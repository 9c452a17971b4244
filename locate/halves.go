package locate

import (
	"fmt"

	"github.com/klpforge/klpforge/elfdiff"
)

// On some architectures no instruction holds an address as a whole: on arm64 adrp has the page and
// a load, store or addition the place in it. Both have a relocation to the same symbol with the same
// addend, in any order and any distance, and one may have several of the other. What they say is put
// together until the address is whole, and it is checked then. Two that contradict each other are
// other code; one whose counterpart is missing cannot be judged.

// half is what was read so far of one address.
type half struct {
	meaning string
	ref     elfdiff.Reference // the first
	value   uint64
	known   uint64 // bits of value
}

// meaning tells the references that hold one address from others.
func meaning(target elfdiff.Target) string {
	return fmt.Sprintf("%d %d %d %+d %+d %s", target.Kind, target.Atom, target.Sec, target.Off, target.Skip, target.Name)
}

// part notes the known bits of the address that a reference has, and checks the address when
// all are known.
func (m *matcher) part(ref elfdiff.Reference, value, known uint64) string {
	if known == ^uint64(0) {
		return m.check(ref, value)
	}
	which := meaning(ref.Target)
	for i := range m.halves {
		have := &m.halves[i]
		if have.meaning != which {
			continue
		}
		if both := have.known & known; have.value&both != value&both {
			return fmt.Sprintf("references at +%#x and +%#x, to one place, go to two in the shipped code", have.ref.Off, ref.Off)
		}
		whole := have.known == ^uint64(0)
		have.value, have.known = have.value|value, have.known|known
		if !whole && have.known == ^uint64(0) {
			return m.check(have.ref, have.value)
		}
		return ""
	}
	m.halves = append(m.halves, half{which, ref, value, known})
	return ""
}

// whole says which address the shipped code does not tell as a whole.
func (m *matcher) whole() string {
	for _, part := range m.halves {
		if part.known != ^uint64(0) {
			return fmt.Sprintf("reference at +%#x cannot be checked: the code has only a part of the address", part.ref.Off)
		}
	}
	return ""
}
