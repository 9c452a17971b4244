package locks

import "github.com/klpforge/klpforge/analyze/machine"

// place is a memory operand taken apart.
type place struct {
	base vid
	off  int64
	addr vid
	size uint8
	gs   bool
	// stack: the address is relative to the stack pointer at entry.
	stack bool
	// fuzzy: the offset may be an index into an array.
	fuzzy bool
}

// access takes apart where an instruction accesses memory.
func (w *walker) access(s *state, in *machine.Inst, m machine.Mem) place {
	vals := &w.t
	where := place{size: uint8(min(m.Width, 16)), gs: m.Seg == machine.SegGS}
	if where.size == 0 {
		where.size = 8
	}
	var left vid
	if addr, ok := in.FixedAddr(m); ok {
		left = vals.constant(int64(addr))
	} else {
		if m.Base != machine.NoReg {
			left = s.regs[m.Base]
		}
		if m.Index != machine.NoReg {
			index := s.regs[m.Index]
			switch m.Scale {
			case 2:
				index = vals.bin(binShl, index, vals.constant(1), in.Addr, w.age)
			case 4:
				index = vals.bin(binShl, index, vals.constant(2), in.Addr, w.age)
			case 8:
				index = vals.bin(binShl, index, vals.constant(3), in.Addr, w.age)
			}
			left = vals.bin(binAdd, left, index, in.Addr, w.age)
		}
		left = vals.addImm(left, m.Disp)
	}
	where.addr = left
	where.base, where.off = vals.split(left)
	where.stack = w.isStack(where.base)
	switch expr := vals.n(where.base); expr.op {
	case opBin, opOpaque, opStale:
		where.fuzzy = !where.stack
	}
	return where
}

// isStack reports whether a base is the stack pointer at entry, or that
// aligned.
func (w *walker) isStack(v vid) bool {
	for {
		expr := w.t.n(v)
		switch {
		case v == w.sp:
			return true
		case expr.op == opAdd, expr.op == opBin && bin(expr.k) == binAnd:
			v = expr.a
		default:
			return false
		}
	}
}

func (w *walker) loadAt(s *state, p place, site uint64) vid {
	vals := &w.t
	if p.gs {
		if p.base == 0 && w.stableGS[uint64(p.off)] {
			return vals.load(p.addr, p.size, true, 0, -1, site, w.age)
		}
		return vals.load(p.addr, p.size, true, s.ep, s.epAge, site, w.age)
	}
	if val, exact, ok := s.get(p.base, p.off, p.size); ok {
		if exact {
			return val
		}
		return vals.ext(val, p.size, false)
	}
	if p.stack {
		return vals.load(p.addr, p.size, false, s.sep, s.sepAge, site, w.age)
	}
	return vals.load(p.addr, p.size, false, s.epochOf(p.base, p.off), s.epAge, site, w.age)
}

func (w *walker) storeAt(s *state, p place, v vid, site uint64) {
	if p.gs {
		return
	}
	if p.size == 4 && w.a.sockOwned != 0 && !p.stack {
		w.sockOwner(s, p, v)
	}
	if w.isStackAddr(v) {
		_, off := w.t.split(v)
		s.esc = min(s.esc, off)
	}
	if p.stack {
		s.put(cell{p.base, p.off, p.size, v})
		return
	}
	if p.size == 8 {
		s.out(cell{p.base, p.off, p.size, v})
	}
	if p.fuzzy {
		// May change anything but named cells of other objects.
		if w.strict {
			w.clobberHeap(s, site)
		}
		return
	}
	// Another object's field at the same place may be this one.
	lo, hi := p.off, p.off+int64(p.size)
	for i := 0; i < len(s.mem); i++ {
		stored := &s.mem[i]
		if w.strict && stored.base != p.base && !w.isStack(stored.base) && stored.off < hi &&
			lo < stored.off+int64(stored.size) && !(stored.base == 0 || p.base == 0) {
			s.mem = append(s.mem[:i], s.mem[i+1:]...)
			i--
		}
	}
	s.put(cell{p.base, p.off, p.size, v})
	for word := lo >> 3; word <= (hi-1)>>3; word++ {
		if w.strict {
			w.touch(s, anyBase, word, site)
		} else {
			w.touch(s, p.base, word, site)
		}
	}
}

// touch notes that memory at base+o*8 changed.
func (w *walker) touch(s *state, base vid, o int64, site uint64) {
	ep := int32(site)
	for i := range s.fields {
		if s.fields[i].off == o && s.fields[i].base == base {
			s.fields[i].ep = ep
			s.epAge = max(s.epAge, w.age)
			return
		}
	}
	if len(s.fields) >= 12 {
		s.fields = s.fields[:0]
		s.ep = ep
	} else {
		s.fields = append(s.fields, fieldEpoch{base, o, ep})
	}
	s.epAge = max(s.epAge, w.age)
}

// isStackAddr reports whether v is an address within the own stack frame.
func (w *walker) isStackAddr(v vid) bool {
	right, _ := w.t.split(v)
	return w.isStack(right)
}

func (w *walker) clobberHeap(s *state, site uint64) {
	s.ep, s.epAge, s.fields = int32(site), w.age, nil
	keep := s.mem[:0]
	for _, stored := range s.mem {
		if w.isStack(stored.base) {
			keep = append(keep, stored)
		}
	}
	s.mem = keep
}

// clobberStack forgets stack slots that code outside can reach.
func (w *walker) clobberStack(s *state, site uint64) {
	if s.esc == escNone {
		return
	}
	s.sep, s.sepAge = int32(site), w.age
	keep := s.mem[:0]
	for _, stored := range s.mem {
		// What lies above the return address are this function's arguments.
		if !w.isStack(stored.base) || stored.off+int64(stored.size) <= s.esc || stored.off >= 8 && stored.base == w.sp {
			keep = append(keep, stored)
		}
	}
	s.mem = keep
}

// clobberFrom forgets the stack from an offset on.
func (w *walker) clobberFrom(s *state, off int64, site uint64) {
	esc := s.esc
	s.esc = min(off, escNone-1)
	w.clobberStack(s, site)
	s.esc = esc
}

// clobberMemory forgets what an instruction writes to memory.
func (w *walker) clobberMemory(s *state, in *machine.Inst, e *machine.Effects) {
	vals := &w.t
	if e.AnyMemory {
		w.clobberStack(s, in.Addr)
		if w.strict {
			w.clobberHeap(s, in.Addr)
		}
	}
	for nth, access := range e.Memory() {
		if !access.Write {
			continue
		}
		where := w.access(s, in, access.Mem)
		if where.stack && (access.Mem.Width == 0 || access.Mem.Width > 16) {
			w.clobberFrom(s, where.off, in.Addr)
			continue
		}
		w.storeAt(s, where, vals.opaque(in.Addr, int32(100+nth), w.age), in.Addr)
	}
}

func (w *walker) setReg(s *state, r machine.Reg, v vid, site uint64) {
	switch reg := r.Num; {
	case r.Class != machine.General:
	case r.Size == 8:
		s.regs[reg] = v
	case r.Size == 4:
		s.regs[reg] = w.t.ext(v, 4, false)
	case r.High:
		s.regs[reg] = w.t.opaque(site, int32(reg), w.age)
	default:
		// The rest of the register stays, but compilers clear it before or
		// extend it afterwards when more than the low bytes matter.
		s.regs[reg] = w.t.ext(v, r.Size, false)
	}
}

// arg reads an operand.
func (w *walker) arg(s *state, in *machine.Inst, i int) (v vid, size uint8) {
	vals := &w.t
	switch operand := &in.Args[i]; operand.Kind {
	case machine.KindReg:
		reg := operand.Reg
		switch {
		case reg.Class != machine.General:
			return vals.opaque(in.Addr, 40, w.age), 8
		case reg.High:
			return vals.ext(vals.bin(binShr, s.regs[reg.Num], vals.constant(8), in.Addr, w.age), 1, false), 1
		case reg.Size < 8:
			return vals.ext(s.regs[reg.Num], reg.Size, false), reg.Size
		}
		return s.regs[reg.Num], reg.Size
	case machine.KindImm:
		return vals.constant(operand.Imm), in.Size
	case machine.KindMem:
		where := w.access(s, in, operand.Mem)
		return w.loadAt(s, where, in.Addr), where.size
	}
	return vals.opaque(in.Addr, 41, w.age), 8
}

// write stores to an operand.
func (w *walker) write(s *state, in *machine.Inst, i int, v vid) {
	switch operand := &in.Args[i]; operand.Kind {
	case machine.KindReg:
		w.setReg(s, operand.Reg, v, in.Addr)
	case machine.KindMem:
		w.storeAt(s, w.access(s, in, operand.Mem), v, in.Addr)
	}
}
