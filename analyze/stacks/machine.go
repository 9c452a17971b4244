package stacks

import (
	"slices"
	"strings"

	"golang.org/x/arch/x86/x86asm"

	"github.com/klpforge/klpforge/analyze/fields"
	"github.com/klpforge/klpforge/analyze/machine"
	"github.com/klpforge/klpforge/analyze/model"
)

// state is what is known before an instruction. Places that are not in mem
// hold anything.
type state struct {
	regs  [16]value
	mem   memory
	known [nregions]int64 // from this offset on, others may write too
	wild  [nregions]bool  // a callee wrote beyond what it was given
	lost  bool            // nothing at all is known
	flags flags
}

func (s *state) clone() *state {
	c := *s
	c.mem = slices.Clone(s.mem)
	return &c
}

// become makes s a copy of o that can be changed independently.
func (s *state) become(o *state) {
	mem := append(s.mem[:0], o.mem...)
	*s = *o
	s.mem = mem
}

// meet keeps what holds of both and reports whether s changed. What still
// changes when widen is set is given up.
func (s *state) meet(o *state, widen bool) bool {
	if s.lost {
		return false
	}
	changed := false
	known := s.known
	one := func(a, b value) value {
		if a == b {
			return a
		}
		v, lost := join(a, b)
		if lost {
			s.expose(b)
		}
		if v != a && widen {
			if v.kind >= pointer {
				v.off = min(a.off, -1<<40)
			} else {
				v = value{}
			}
		}
		changed = changed || v != a
		return v
	}

	for i := range s.regs {
		s.regs[i] = one(s.regs[i], o.regs[i])
	}

	// Places that s knows of: what o knows there too.
	var added memory
	keep, at := s.mem[:0], 0
	theirs := func(p place) (cell, bool) {
		for ; at < len(o.mem) && comparePlace(o.mem[at], p) < 0; at++ {
			if e := o.mem[at]; e.v.kind >= pointer {
				added = append(added, e)
			}
		}
		if at < len(o.mem) && o.mem[at].place == p {
			at++
			return o.mem[at-1].cell, true
		}
		return cell{}, false
	}
	for _, e := range s.mem {
		other, has := theirs(e.place)
		if e.end() > s.known[e.region] { // a pointer to it was lost meanwhile
			continue
		}
		if other.size != e.size {
			other = cell{size: e.size}
		}
		if e.v = one(e.v, other.v); e.v != (value{}) {
			keep = append(keep, e)
		} else if has && o.mem[at-1].v.kind >= pointer {
			added = append(added, o.mem[at-1])
		}
	}
	s.mem = keep

	// Places that only o knows of hold perhaps a pointer.
	theirs(place{region: nregions})
	for _, e := range added {
		if e.end() <= min(s.known[e.region], o.known[e.region]) {
			s.mem.set(e.place, cell{e.size, e.v.blur()})
			changed = true
		}
	}

	for r := range s.known {
		s.known[r] = min(s.known[r], o.known[r])
		s.forget(int8(r))
		if o.wild[r] && !s.wild[r] {
			s.wild[r], changed = true, true
		}
	}
	if s.flags != o.flags && s.flags.op != unknownFlags {
		s.flags, changed = flags{}, true
	}
	return changed || s.known != known
}

// lose gives everything up.
func (s *state) lose() {
	*s = state{lost: true}
	for r := range s.known {
		s.known[r], s.wild[r] = minInt, true
	}
}

// forget drops what others may have written.
func (s *state) forget(region int8) {
	if s.known[region] < maxInt {
		s.mem.drop(region, s.known[region], maxInt)
	}
}

// expose notes that others know where a pointer points to.
func (s *state) expose(v value) {
	s.known[v.region] = min(s.known[v.region], v.off)
}

// give makes what a pointer points to known to others.
func (s *state) give(v value) {
	if v.kind >= pointer {
		s.expose(v)
		s.forget(v.region)
	}
}

func (s *state) load(p value, size int64) value {
	if p.kind != pointer {
		return value{}
	}
	whole, ok := s.mem.at(place{p.region, p.off})
	if ok && whole.size >= size {
		if whole.size == size {
			return whole.v
		}
		return whole.v.extend(int(size))
	}
	for back := int64(1); back < 8; back++ { // within a wider one
		if c, ok := s.mem.at(place{p.region, p.off - back}); ok && c.size >= back+size && c.v.kind == number {
			return shift(c.v, -int(8*back), false).extend(int(size))
		}
	}
	if size == 8 && ok && whole.size == 4 {
		if upper, ok := s.mem.at(place{p.region, p.off + 4}); ok && upper.size == 4 {
			return or(whole.v.extend(4), shift(upper.v, 32, false))
		}
	}
	return value{}
}

func (s *state) store(p value, size int64, v value) {
	switch p.kind {
	case blurred:
		s.mem.drop(p.region, p.off, maxInt)
		s.give(v)
		return
	case pointer:
	default:
		for r := range s.known { // perhaps there
			s.forget(int8(r))
		}
		s.give(v)
		return
	}
	if p.region != frame {
		s.give(v)
	}

	// Of a wider number that is overwritten in part, the rest stays.
	var rest memory
	s.mem = slices.DeleteFunc(s.mem, func(e entry) bool {
		if e.region != p.region || e.off >= p.off+size || e.end() <= p.off {
			return false
		}
		if e.v.kind == number && e.size > size && (e.off-p.off)%size == 0 {
			for o := int64(0); o < e.size; o += size {
				if e.off+o != p.off {
					part := shift(e.v, -int(8*o), false).extend(int(size))
					rest = append(rest, entry{place{e.region, e.off + o}, cell{size, part}})
				}
			}
		}
		return true
	})
	for _, e := range rest {
		s.mem.set(e.place, e.cell)
	}

	if v != (value{}) && (size == 8 || v.kind == number) {
		s.mem.set(place{p.region, p.off}, cell{size, v})
	}
}

// address is where a memory operand points to.
func (s *state) address(m x86asm.Mem) value {
	if m.Segment == x86asm.GS || m.Segment == x86asm.FS || m.Base == 0 || m.Base == x86asm.RIP {
		return value{}
	}
	n, size, ok := fields.Reg(m.Base)
	if !ok || size != 8 {
		return value{}
	}
	v := s.regs[n]
	if m.Index != 0 {
		i, _, _ := fields.Reg(m.Index)
		x := s.regs[i]
		if x.isConst() && m.Scale > 0 {
			x = constant(x.ones * uint64(m.Scale))
		} else if x.kind == number {
			x = value{}
		}
		v = add(v, x)
	}
	return add(v, constant(uint64(m.Disp)))
}

func isHigh(a x86asm.Arg) bool {
	r, ok := a.(x86asm.Reg)
	return ok && r >= x86asm.AH && r <= x86asm.BH
}

// operand reads an operand of an instruction.
func (s *state) operand(in *model.Inst, i, size int) value {
	switch x := in.Args[i].(type) {
	case x86asm.Imm:
		return constant(uint64(x))
	case x86asm.Reg:
		if n, _, ok := fields.Reg(x); ok {
			if isHigh(x) {
				return shift(s.regs[n], -8, false).extend(1)
			}
			if size < 8 {
				return s.regs[n].extend(size)
			}
			return s.regs[n]
		}
	case x86asm.Mem:
		return s.load(s.address(x), int64(size))
	}
	return value{}
}

// write sets the destination of an instruction.
func (s *state) write(in *model.Inst, i int, v value) {
	switch x := in.Args[i].(type) {
	case x86asm.Mem:
		s.store(s.address(x), int64(in.MemBytes), v)
	case x86asm.Reg:
		n, size, ok := fields.Reg(x)
		switch {
		case !ok:
		case n == 4 && v.kind != pointer:
			s.regs[n] = value{}
			s.mem.drop(frame, minInt, maxInt)
		case size == 8:
			s.regs[n] = v
		case size == 4:
			s.regs[n] = v.extend(4)
		case isHigh(x):
			s.regs[n] = s.regs[n].merge(shift(v.extend(1), 8, false), 0xff00)
		default:
			s.regs[n] = s.regs[n].merge(v, mask(size))
		}
	}
}

// merge replaces some bits of a value.
func (v value) merge(w value, m uint64) value {
	a, b := v.num(), w.num()
	return value{ones: a.ones&^m | b.ones&m, zeros: a.zeros&^m | b.zeros&m, lo: minInt, hi: maxInt}.tidy()
}

// sizeOf is the size in bytes of what an instruction works on.
func sizeOf(in *model.Inst, i int) int {
	switch x := in.Args[i].(type) {
	case x86asm.Reg:
		if _, size, ok := fields.Reg(x); ok {
			return size
		}
	case x86asm.Mem:
		return in.MemBytes
	}
	return in.DataSize / 8
}

// conditions by the last letters of the instructions' names.
var conditions = map[string]condition{"O": 0, "NO": 1, "B": 2, "AE": 3, "E": 4, "NE": 5, "BE": 6, "A": 7, "S": 8, "NS": 9, "P": 10, "NP": 11, "L": 12, "GE": 13, "LE": 14, "G": 15}

// conditional are the instructions that depend on flags.
var conditional = func() map[x86asm.Op]condition {
	out := map[x86asm.Op]condition{}
	for op := x86asm.Op(1); op.String() != "" && !strings.HasPrefix(op.String(), "Op("); op++ {
		for _, p := range []string{"J", "CMOV", "SET"} {
			if rest, ok := strings.CutPrefix(op.String(), p); ok {
				if c, ok := conditions[rest]; ok {
					out[op] = c
				}
			}
		}
	}
	return out
}()

// step follows one instruction that is no call. loaded names the member that
// it loads, if that may be a time.
func (s *state) step(in *model.Inst, loaded member) {
	if !in.Known {
		s.other(in)
		return
	}
	size := sizeOf(in, 0)
	cond, has := conditional[in.Op]
	_, jump := in.Args[0].(x86asm.Rel)
	switch {
	case has && jump:
		return
	case has && in.Args[1] == nil: // set a byte
		v := value{lo: 0, hi: 1, zeros: ^uint64(1)}.tidy()
		if yes, known := s.flags.holds(cond); known {
			v = constant(0)
			if yes {
				v = constant(1)
			}
		}
		s.write(in, 0, v)
		return
	case has:
		v := s.operand(in, 1, size)
		old := s.operand(in, 0, size)
		if v == (value{}) && loaded != 0 {
			v.from = loaded
		}
		if yes, known := s.flags.holds(cond); !known {
			w, lost := join(old, v)
			if lost {
				s.give(v)
			}
			v = w
		} else if !yes {
			v = old
		}
		s.write(in, 0, v)
		return
	}
	set := func(f flags) { s.flags = f }
	result := func(op flagOp, v value) {
		if v = v.extend(size); v.kind == top {
			v.from = 0
		}
		s.write(in, 0, v)
		set(flags{op: op, a: v, size: size})
	}
	a := func() value { return s.operand(in, 0, size) }
	b := func() value { return s.operand(in, 1, size) }
	same := in.Args[0] == in.Args[1]
	switch in.Op {
	case x86asm.NOP, x86asm.JMP, x86asm.PREFETCHW, x86asm.PREFETCHT0, x86asm.PREFETCHT1, x86asm.PREFETCHNTA, x86asm.LFENCE, x86asm.MFENCE, x86asm.SFENCE, x86asm.PAUSE, x86asm.UD2, x86asm.RET:
	case x86asm.PUSH:
		v := s.operand(in, 0, 8)
		s.regs[4] = add(s.regs[4], constant(^uint64(7)))
		s.store(s.regs[4], 8, v)
	case x86asm.POP:
		v := s.load(s.regs[4], 8)
		s.regs[4] = add(s.regs[4], constant(8))
		s.write(in, 0, v)
	case x86asm.MOV:
		v := b()
		if v == (value{}) && loaded != 0 {
			v.from = loaded
		}
		s.write(in, 0, v)
	case x86asm.MOVZX:
		s.write(in, 0, s.operand(in, 1, sizeOf(in, 1)).extend(sizeOf(in, 1)))
	case x86asm.MOVSX, x86asm.MOVSXD:
		s.write(in, 0, s.operand(in, 1, sizeOf(in, 1)).signed(sizeOf(in, 1)).tidy().extend(size))
	case x86asm.LEA:
		m := in.Args[1].(x86asm.Mem)
		if m.Base == 0 || m.Base == x86asm.RIP {
			s.write(in, 0, value{})
		} else {
			m.Segment = 0
			s.write(in, 0, s.address(m))
		}
	case x86asm.CMP:
		set(flags{op: compared, a: a(), b: b(), size: size})
	case x86asm.TEST:
		v := and(a(), b())
		if same {
			v = a()
		}
		set(flags{op: tested, a: v, size: size})
	case x86asm.BT:
		set(flags{op: bitTested, a: a(), b: b(), size: size})
	case x86asm.AND:
		if r, ok := in.Args[0].(x86asm.Reg); ok && r == x86asm.RSP {
			if c := b(); c.isConst() && s.regs[4].kind == pointer {
				s.regs[4].off &= c.lo
				set(flags{})
				return
			}
		}
		result(tested, and(a(), b()))
	case x86asm.OR:
		result(tested, or(a(), b()))
	case x86asm.XOR:
		if same && size >= 4 {
			result(tested, constant(0))
			return
		}
		result(tested, xor(a(), b()))
	case x86asm.ADD:
		result(computed, add(a(), b()))
	case x86asm.SUB:
		x, y := a(), b()
		var v value
		switch {
		case same:
			v = constant(0)
		case y.kind >= pointer:
		default:
			v = add(x, negative(y))
		}
		f := flags{op: compared, a: x, b: y, size: size}
		result(computed, v)
		set(f)
	case x86asm.INC, x86asm.DEC:
		by := constant(1)
		if in.Op == x86asm.DEC {
			by = constant(^uint64(0))
		}
		result(computed, add(a(), by))
	case x86asm.NEG:
		x := a()
		s.write(in, 0, negative(x.signed(size)).extend(size))
		set(flags{op: negated, a: x, size: size})
	case x86asm.NOT:
		s.write(in, 0, inverse(a()).extend(size))
	case x86asm.SBB:
		v := value{}
		if same {
			v = value{kind: number, lo: -1, hi: 0}
			if yes, known := s.flags.holds(condB); known {
				v = constant(0)
				if yes {
					v = constant(^uint64(0))
				}
			}
			v = v.extend(size)
		}
		s.write(in, 0, v)
		set(flags{})
	case x86asm.SHL, x86asm.SHR, x86asm.SAR:
		v := value{}
		if n := b(); n.isConst() {
			k := int(n.ones & 63)
			if size < 8 {
				k &= 31
			}
			switch in.Op {
			case x86asm.SHL:
				v = shift(a(), k, false)
			case x86asm.SHR:
				v = shift(a(), -k, false)
			default:
				v = shift(a().signed(size), -k, true)
			}
		}
		result(computed, v)
	case x86asm.XCHG:
		x, y := a(), b()
		s.write(in, 0, y)
		s.write(in, 1, x)
	case x86asm.STOSB, x86asm.STOSD, x86asm.STOSQ, x86asm.STOSW:
		x := in.Machine()
		s.fill(int64(x.Size), x.Repeat)
	case x86asm.MOVSB, x86asm.MOVSD, x86asm.MOVSQ, x86asm.MOVSW:
		s.store(s.regs[7].onward(), 1, value{})
		s.give(s.regs[6])
		e := in.Effects()
		s.overwrite(&e)
	case x86asm.LEAVE:
		s.regs[4] = s.regs[5]
		s.regs[5] = s.load(s.regs[4], 8)
		s.regs[4] = add(s.regs[4], constant(8))
		if s.regs[4].kind != pointer {
			s.regs[4] = value{}
			s.mem.drop(frame, minInt, maxInt)
		}
	case x86asm.CDQE:
		s.regs[0] = s.regs[0].signed(4).tidy()
	case x86asm.CWDE:
		s.regs[0] = s.regs[0].signed(2).tidy().extend(4)
	default:
		s.other(in)
	}
}

// onward is where a repeated store goes to that begins at v.
func (v value) onward() value {
	if v.kind == pointer {
		return v.blur()
	}
	return v
}

// fill follows "rep stos", which sets memory.
func (s *state) fill(size int64, rep bool) {
	to, n, v := s.regs[7], s.regs[1], s.regs[0]
	switch {
	case to.kind == pointer && (!rep || n.isConst() && n.ones <= 128) && v.isConst():
		count := int64(1)
		if rep {
			count = n.lo
		}
		for i := range count {
			s.store(add(to, constant(uint64(i*size))), size, v.extend(int(size)))
		}
	default:
		s.store(to.onward(), size, value{})
	}
	s.regs[7] = to.onward()
	if to.kind < pointer {
		s.regs[7] = value{}
	}
	if rep {
		s.regs[1] = constant(0)
	}
}

// other follows an instruction of which only its effects are known.
func (s *state) other(in *model.Inst) {
	m := in.Machine()
	e := m.Effects()
	if e.AnyMemory { // all that is held may be kept somewhere, and read and written
		for n, v := range s.regs {
			if n != int(machine.RSP) {
				s.give(v)
			}
		}
		s.mem = nil
	}

	// Pointers that it may keep: operands that are no address, named or not.
	var address machine.RegSet
	for _, a := range e.Memory() {
		address |= a.Mem.Regs()
	}
	kept := e.Reads &^ address
	for i := range m.Args[:2] {
		if n, size, ok := m.Args[i].General(); ok && size == 8 {
			kept |= machine.Regs(n)
		}
	}
	for n := range (kept &^ machine.Regs(machine.RSP)).All {
		s.give(s.regs[n])
	}

	for _, a := range e.Memory() {
		if !a.Write {
			continue
		}
		to := s.at(a.Mem)
		if a.Repeat || a.Mem.Width == 0 {
			to = to.onward()
		}
		s.store(to, max(int64(a.Mem.Width), 1), value{})
	}
	s.overwrite(&e)
	if e.FlagsWritten&machine.StatusFlags != 0 {
		s.flags = flags{}
	}
}

// overwrite forgets what an instruction changes of the registers.
func (s *state) overwrite(e *machine.Effects) {
	for n := range e.Writes.All {
		switch {
		case n == machine.RSP && e.Stack == machine.StackMoved:
			s.regs[n] = add(s.regs[n], constant(uint64(e.StackDelta)))
		case n == machine.RSP:
			s.regs[n] = value{}
			s.mem.drop(frame, minInt, maxInt)
		case e.Whole.Has(n) || e.Maybe.Has(n):
			s.regs[n] = value{}
		case e.Zext.Has(n):
			s.regs[n] = value{}.extend(4)
		default:
			s.regs[n] = s.regs[n].merge(value{}, e.WrittenBits(n))
		}
	}
}

// at is where a memory operand points to.
func (s *state) at(m machine.Mem) value {
	if m.Seg != machine.SegNone || m.PC || m.Base == machine.NoReg || m.Addr32 {
		return value{}
	}
	v := s.regs[m.Base]
	if m.Index != machine.NoReg {
		x := s.regs[m.Index]
		if x.isConst() && m.Scale > 0 {
			x = constant(x.ones * uint64(m.Scale))
		} else if x.kind == number {
			x = value{}
		}
		v = add(v, x)
	}
	return add(v, constant(uint64(m.Disp)))
}
