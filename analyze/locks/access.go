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
	t := &w.t
	p := place{size: uint8(min(m.Width, 16)), gs: m.Seg == machine.SegGS}
	if p.size == 0 {
		p.size = 8
	}
	var a vid
	if c, ok := in.FixedAddr(m); ok {
		a = t.constant(int64(c))
	} else {
		if m.Base != machine.NoReg {
			a = s.regs[m.Base]
		}
		if m.Index != machine.NoReg {
			x := s.regs[m.Index]
			switch m.Scale {
			case 2:
				x = t.bin(binShl, x, t.constant(1), in.Addr, w.age)
			case 4:
				x = t.bin(binShl, x, t.constant(2), in.Addr, w.age)
			case 8:
				x = t.bin(binShl, x, t.constant(3), in.Addr, w.age)
			}
			a = t.bin(binAdd, a, x, in.Addr, w.age)
		}
		a = t.addImm(a, m.Disp)
	}
	p.addr = a
	p.base, p.off = t.split(a)
	p.stack = w.isStack(p.base)
	switch n := t.n(p.base); n.op {
	case opBin, opOpaque, opStale:
		p.fuzzy = !p.stack
	}
	return p
}

// isStack reports whether a base is the stack pointer at entry, or that
// aligned.
func (w *walker) isStack(v vid) bool {
	for {
		n := w.t.n(v)
		switch {
		case v == w.sp:
			return true
		case n.op == opAdd, n.op == opBin && bin(n.k) == binAnd:
			v = n.a
		default:
			return false
		}
	}
}

func (w *walker) loadAt(s *state, p place, site uint64) vid {
	t := &w.t
	if p.gs {
		if p.base == 0 && w.stableGS[uint64(p.off)] {
			return t.load(p.addr, p.size, true, 0, -1, site, w.age)
		}
		return t.load(p.addr, p.size, true, s.ep, s.epAge, site, w.age)
	}
	if v, exact, ok := s.get(p.base, p.off, p.size); ok {
		if exact {
			return v
		}
		return t.ext(v, p.size, false)
	}
	if p.stack {
		return t.load(p.addr, p.size, false, s.sep, s.sepAge, site, w.age)
	}
	return t.load(p.addr, p.size, false, s.epochOf(p.base, p.off), s.epAge, site, w.age)
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
		c := &s.mem[i]
		if w.strict && c.base != p.base && !w.isStack(c.base) && c.off < hi && lo < c.off+int64(c.size) && !(c.base == 0 || p.base == 0) {
			s.mem = append(s.mem[:i], s.mem[i+1:]...)
			i--
		}
	}
	s.put(cell{p.base, p.off, p.size, v})
	for o := lo >> 3; o <= (hi-1)>>3; o++ {
		if w.strict {
			w.touch(s, anyBase, o, site)
		} else {
			w.touch(s, p.base, o, site)
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
	b, _ := w.t.split(v)
	return w.isStack(b)
}

func (w *walker) clobberHeap(s *state, site uint64) {
	s.ep, s.epAge, s.fields = int32(site), w.age, nil
	keep := s.mem[:0]
	for _, c := range s.mem {
		if w.isStack(c.base) {
			keep = append(keep, c)
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
	for _, c := range s.mem {
		// What lies above the return address are this function's arguments.
		if !w.isStack(c.base) || c.off+int64(c.size) <= s.esc || c.off >= 8 && c.base == w.sp {
			keep = append(keep, c)
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
	t := &w.t
	if e.AnyMemory {
		w.clobberStack(s, in.Addr)
		if w.strict {
			w.clobberHeap(s, in.Addr)
		}
	}
	for i, a := range e.Memory() {
		if !a.Write {
			continue
		}
		p := w.access(s, in, a.Mem)
		if p.stack && (a.Mem.Width == 0 || a.Mem.Width > 16) {
			w.clobberFrom(s, p.off, in.Addr)
			continue
		}
		w.storeAt(s, p, t.opaque(in.Addr, int32(100+i), w.age), in.Addr)
	}
}

func (w *walker) setReg(s *state, r machine.Reg, v vid, site uint64) {
	switch n := r.Num; {
	case r.Class != machine.General:
	case r.Size == 8:
		s.regs[n] = v
	case r.Size == 4:
		s.regs[n] = w.t.ext(v, 4, false)
	case r.High:
		s.regs[n] = w.t.opaque(site, int32(n), w.age)
	default:
		// The rest of the register stays, but compilers clear it before or
		// extend it afterwards when more than the low bytes matter.
		s.regs[n] = w.t.ext(v, r.Size, false)
	}
}

// arg reads an operand.
func (w *walker) arg(s *state, in *machine.Inst, i int) (v vid, size uint8) {
	t := &w.t
	switch a := &in.Args[i]; a.Kind {
	case machine.KindReg:
		r := a.Reg
		switch {
		case r.Class != machine.General:
			return t.opaque(in.Addr, 40, w.age), 8
		case r.High:
			return t.ext(t.bin(binShr, s.regs[r.Num], t.constant(8), in.Addr, w.age), 1, false), 1
		case r.Size < 8:
			return t.ext(s.regs[r.Num], r.Size, false), r.Size
		}
		return s.regs[r.Num], r.Size
	case machine.KindImm:
		return t.constant(a.Imm), in.Size
	case machine.KindMem:
		p := w.access(s, in, a.Mem)
		return w.loadAt(s, p, in.Addr), p.size
	}
	return t.opaque(in.Addr, 41, w.age), 8
}

// write stores to an operand.
func (w *walker) write(s *state, in *machine.Inst, i int, v vid) {
	switch a := &in.Args[i]; a.Kind {
	case machine.KindReg:
		w.setReg(s, a.Reg, v, in.Addr)
	case machine.KindMem:
		w.storeAt(s, w.access(s, in, a.Mem), v, in.Addr)
	}
}
