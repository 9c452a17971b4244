package locate

import (
	"bytes"
	"fmt"
	"sort"

	"github.com/klpforge/klpforge/elfdiff"
	"github.com/klpforge/klpforge/elfobj"
)

// evidence is what matched code says of addresses.
type evidence struct {
	atoms map[elfdiff.AtomID]uint64
	exts  map[string]uint64
}

// match compares the atom's code with the shipped code at addr. It returns the
// number of shipped bytes and what they tell, or why they differ.
func match(orig *elfdiff.Object, view View, atom elfdiff.AtomID, addr uint64) (size uint64, ev evidence, why string) {
	m, why := newMatcher(orig, view, atom, addr)
	if why == "" {
		why = m.walk()
	}
	if why != "" {
		return 0, ev, why
	}
	return m.j, m.ev, ""
}

// newMatcher reads the code that match compares.
func newMatcher(orig *elfdiff.Object, view View, atom elfdiff.AtomID, addr uint64) (m matcher, why string) {
	code := orig.Code(atom)
	// The shipped code may be longer, by what aligns its loops, and shorter, with other jumps.
	most := len(code) + slack
	ship := view.Read(addr, most)
	if ship == nil {
		// At the end of a section there is less.
		ship = view.Read(addr, sort.Search(most, func(n int) bool { return view.Read(addr, n+1) == nil }))
	}
	if len(ship) == 0 {
		return m, "no code at that address in the image"
	}
	m = matcher{o: orig, v: view, addr: addr, base: orig.Atoms[atom].Base, code: code, ship: ship,
		refs: orig.References(atom), ev: evidence{map[elfdiff.AtomID]uint64{}, map[string]uint64{}},
		at: map[uint64][2]uint64{}}
	return m, ""
}

// slack is by how many bytes shipped code may be longer than the compiled.
const slack = 256

type matcher struct {
	o          *elfdiff.Object
	v          View
	addr       uint64 // of ship
	base       uint64 // of code, in its section
	code, ship []byte
	refs       []elfdiff.Reference
	ev         evidence
	i, j       uint64 // positions in code and ship
	// at has the instruction starts, code -> ship: a range where padding lies before the
	// shipped instruction, and either of its ends may be jumped to.
	at     map[uint64][2]uint64
	jumps  [][2]int64 // branch targets inside the function: code, ship
	halves []half     // of addresses that take several instructions
	// outline is for a walk that only finds out where instructions are: places inside of
	// functions may be anywhere.
	outline bool
}

func (m *matcher) walk() string {
	for m.i < uint64(len(m.code)) {
		m.reached()
		if m.j >= uint64(len(m.ship)) {
			return fmt.Sprintf("shipped code ends at +%#x", m.j)
		}
		built, errX := m.o.Arch.Decode(m.code[m.i:])
		shipped, errY := m.o.Arch.Decode(m.ship[m.j:])
		if errX != nil || errY != nil {
			if why := m.rest(); why != "" {
				return why
			}
			break
		}
		refs := m.refs
		if why := m.step(built, shipped); why != "" {
			if m.refs = refs; m.skipPadding() {
				continue
			}
			return why
		}
		m.i += uint64(built.Len)
		m.j += uint64(shipped.Len)
	}
	m.reached()
	for _, p := range m.jumps {
		to, ok := m.at[uint64(p[0])]
		if ok && int64(to[0]) != p[1] && int64(to[1]) != p[1] || !ok && p[0]-int64(m.i) != p[1]-int64(m.j) {
			return fmt.Sprintf("jump to +%#x goes to +%#x in the shipped code", p[0], p[1])
		}
	}
	return m.whole()
}

// reached notes that the positions are those of the same instruction.
func (m *matcher) reached() {
	to, ok := m.at[m.i]
	if !ok {
		to[0] = m.j
	}
	to[1] = m.j
	m.at[m.i] = to
}

// longestPadding is more than what aligns a loop or a label (-falign-loops, -falign-jumps).
const longestPadding = 64

// skipPadding goes on behind instructions without effect that align the next one, in one of
// the streams or both. How many there are depends on where the function lies: in the kernel
// between others, in the object in a section of its own.
func (m *matcher) skipPadding() bool {
	built, shipped := padding(m.o, m.code[m.i:]), padding(m.o, m.ship[m.j:])
	if built == shipped || built > 0 && (m.base+m.i+built)%8 != 0 ||
		shipped > 0 && (m.addr+m.j+shipped)%8 != 0 {
		return false
	}
	if len(m.refs) > 0 && m.refs[0].Off < m.i+built {
		return false
	}
	m.i += built
	m.j += shipped
	return true
}

// padding is the length of the nops that code begins with, 0 where they are too many.
func padding(o *elfdiff.Object, code []byte) uint64 {
	length := 0
	for length < len(code) {
		insn, err := o.Arch.Decode(code[length:])
		if err != nil {
			break
		}
		if !o.Arch.Nop(code[length : length+insn.Len]) {
			break
		}
		length += int(insn.Len)
	}
	if length >= longestPadding {
		return 0
	}
	return uint64(length)
}

// step compares one instruction of each stream.
func (m *matcher) step(built, shipped elfobj.Insn) string {
	bx, by := m.code[m.i:m.i+uint64(built.Len)], m.ship[m.j:m.j+uint64(shipped.Len)]
	var refs []elfdiff.Reference
	for len(m.refs) > 0 && m.refs[0].Off < m.i+uint64(built.Len) {
		refs = append(refs, m.refs[0])
		m.refs = m.refs[1:]
	}
	differ := fmt.Sprintf("instruction at +%#x differs from the shipped one at +%#x", m.i, m.j)
	direct := built.Kind == elfobj.BranchCall || built.Kind == elfobj.BranchJump || built.Kind == elfobj.BranchCond
	if len(refs) == 1 && refs[0].Target.Kind == elfdiff.TargetExtern && refs[0].Target.Name == "__fentry__" &&
		built.Len == shipped.Len {
		// The build or the boot code may have turned the call into a nop.
		if shipped.Kind == elfobj.BranchCall || bytes.Equal(by, []byte{0x0f, 0x1f, 0x44, 0x00, 0x00}) {
			return ""
		}
		return differ
	}
	switch {
	case direct && built.Len != shipped.Len:
		if built.Kind != shipped.Kind || built.Kind == elfobj.BranchCall ||
			built.Kind == elfobj.BranchCond && condition(bx) != condition(by) {
			return differ
		}
	case built.Len != shipped.Len:
		return differ
	default:
		cx, cy := bytes.Clone(bx), bytes.Clone(by)
		for _, ref := range refs {
			off := ref.Off - m.i
			if off+uint64(ref.Width) > uint64(len(cx)) {
				return differ
			}
			m.o.Arch.Clear(cx[off:off+uint64(ref.Width)], ref.Type)
			m.o.Arch.Clear(cy[off:off+uint64(ref.Width)], ref.Type)
		}
		if direct && len(refs) == 0 {
			m.o.Arch.Clear(cx[built.PCOff:built.PCOff+built.PCLen], built.PCType)
			m.o.Arch.Clear(cy[shipped.PCOff:shipped.PCOff+shipped.PCLen], shipped.PCType)
		}
		if !bytes.Equal(cx, cy) {
			return differ
		}
	}
	if direct && len(refs) == 0 {
		m.jumps = append(m.jumps, [2]int64{int64(m.i) + int64(built.PCBase) + built.Disp,
			int64(m.j) + int64(shipped.PCBase) + shipped.Disp})
		return ""
	}
	for _, ref := range refs {
		var meant uint64
		if value, known := m.o.Arch.Linked(by[ref.Off-m.i:], ref.Type, m.addr+m.j+ref.Off-m.i); known != 0 {
			if why := m.part(ref, value, known); why != "" {
				return why
			}
			continue
		}
		switch {
		case ref.PCRel && shipped.PCLen > 0 && (direct || ref.Off-m.i == uint64(built.PCOff)):
			meant = m.addr + m.j + uint64(shipped.PCBase) + uint64(shipped.Disp)
		case ref.PCRel:
			return differ
		default:
			val, ok := field(by[ref.Off-m.i:], ref.Width)
			if !ok {
				return differ
			}
			meant = val
		}
		if why := m.check(ref, meant); why != "" {
			return why
		}
	}
	return ""
}

// rest compares what the decoder does not know byte by byte, which needs both
// streams to be equally long.
func (m *matcher) rest() string {
	length := uint64(len(m.code)) - m.i
	if uint64(len(m.ship))-m.j < length {
		return "shipped code is shorter"
	}

	// Fields that hold references are compared by what they mean, then cleared on both sides:
	// what stays must be equal to the byte.
	cx, cy := bytes.Clone(m.code[m.i:]), bytes.Clone(m.ship[m.j:m.j+length])
	for _, ref := range m.refs {
		off := ref.Off - m.i
		if off+uint64(ref.Width) > length {
			return "reference reaches outside the function"
		}
		meant, ok := field(cy[off:], ref.Width)
		if !ok {
			return fmt.Sprintf("reference at +%#x cannot be checked", ref.Off)
		}
		if ref.PCRel {
			meant += m.addr + m.j + off + uint64(ref.Skew)
		}
		if why := m.check(ref, meant); why != "" {
			return why
		}
		clear(cx[off : off+uint64(ref.Width)])
		clear(cy[off : off+uint64(ref.Width)])
	}

	if !bytes.Equal(cx, cy) {
		return fmt.Sprintf("code behind +%#x differs", m.i)
	}
	m.i += length
	m.j += length
	return ""
}

// check compares what a reference should mean with the address it has, and
// notes the address.
func (m *matcher) check(ref elfdiff.Reference, meant uint64) string {
	target := ref.Target
	switch target.Kind {
	case elfdiff.TargetExtern:
		base := meant - uint64(target.Off) - uint64(ref.Skew) // no skew in an absolute field
		if want, ok := m.v.Outside(target.Name); ok {
			if want != base {
				return fmt.Sprintf("reference at +%#x to %s goes elsewhere in the shipped code", ref.Off, target.Name)
			}
			return ""
		}
		list := m.v.Lookup(target.Name)
		if len(list) > 0 && !anyAt(list, base) {
			return fmt.Sprintf("reference at +%#x to %s goes to %s in the shipped code", ref.Off, target.Name,
				nameAt(m.v, base))
		}
		if len(list) == 0 && m.v.Object() != "vmlinux" {
			// A module names all that it refers to; the image need not.
			return fmt.Sprintf("reference at +%#x to %s, which the shipped module neither has nor refers to", ref.Off,
				target.Name)
		}
		m.ev.exts[target.Name] = base
	case elfdiff.TargetAtom:
		at := &m.o.Atoms[target.Atom]
		if at.Name == "" {
			return ""
		}
		base := meant - uint64(target.Off)
		if m.o.IsCode(target.Atom) && m.o.Root(target.Atom) == target.Atom {
			list := m.v.Lookup(at.Name)
			if target.Off != 0 && len(list) > 0 && !anyAt(list, base) {
				base = m.inside(target.Atom, uint64(target.Off), meant, list)
			}
			if m.outline {
				return ""
			}
			if len(list) > 0 && !anyAt(list, base) {
				return fmt.Sprintf("reference at +%#x to %s goes to %s in the shipped code", ref.Off, at.Name,
					nameAt(m.v, base))
			}
		}
		m.ev.atoms[target.Atom] = base
	case elfdiff.TargetString, elfdiff.TargetConst:
		got := m.v.Read(meant-uint64(target.Skip), len(target.Text))
		if got == nil {
			return fmt.Sprintf("constant %q has an address outside the shipped object", trim(target.Text))
		}
		if !bytes.Equal(got, target.Text) {
			return fmt.Sprintf("constant %q is %q in the shipped code", trim(target.Text), trim(got))
		}
	}
	return ""
}

// inside returns the address of the function, one of those of its name, in which a place is
// that the object has at off, and that the shipped code has at another offset, because the
// padding before it is of another length. It is off less than the place for none.
func (m *matcher) inside(atom elfdiff.AtomID, off, place uint64, list []Symbol) uint64 {
	if m.outline {
		return place - off
	}
	for _, sym := range list {
		of, why := newMatcher(m.o, m.v, atom, sym.Addr)
		if why != "" {
			continue
		}
		of.outline = true
		if of.walk() != "" {
			continue
		}
		if to, ok := of.at[off]; ok && (place == sym.Addr+to[0] || place == sym.Addr+to[1]) {
			return sym.Addr
		}
	}
	return place - off
}

func trim(b []byte) []byte { return bytes.TrimRight(b, "\x00") }

func anyAt(list []Symbol, addr uint64) bool {
	for _, sym := range list {
		if sym.Addr == addr {
			return true
		}
	}
	return false
}

func nameAt(view View, addr uint64) string {
	if l := view.At(addr); len(l) > 0 {
		return l[0].Name
	}
	return fmt.Sprintf("%#x", addr)
}

// condition is the condition code of a conditional jump (Intel SDM vol. 2,
// appendix B): the low four bits of its opcode.
func condition(b []byte) byte {
	if b[0] == 0x0f {
		return b[1] & 0xf
	}
	return b[0] & 0xf
}

func field(code []byte, w int) (uint64, bool) {
	if len(code) < w {
		return 0, false
	}
	switch w {
	case 8:
		var v uint64
		for i := 7; i >= 0; i-- {
			v = v<<8 | uint64(code[i])
		}
		return v, true
	case 4:
		return uint64(int64(int32(uint32(code[0]) | uint32(code[1])<<8 | uint32(code[2])<<16 | uint32(code[3])<<24))),
			true
	}
	return 0, false
}
