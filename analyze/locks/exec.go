package locks

import (
	"golang.org/x/arch/x86/x86asm"

	"github.com/klpforge/klpforge/analyze/machine"
	"github.com/klpforge/klpforge/analyze/model"
)

// regOf gives a register's number, its size in bytes, and whether it is one of
// ah, ch, dh, bh.
func regOf(r x86asm.Reg) (n int, size uint8, high, ok bool) {
	m := machine.FromX86Reg(r)
	return int(m.Num), m.Size, m.High, r != 0 && m.Class == machine.General
}

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

func (w *walker) place(s *state, in *model.Inst, m x86asm.Mem) place {
	x := machine.FromX86Mem(m, in.MemBytes)
	return w.access(s, in, x)
}

// access takes apart where an instruction accesses memory.
func (w *walker) access(s *state, in *model.Inst, m machine.Mem) place {
	t := &w.t
	p := place{size: uint8(min(m.Width, 16)), gs: m.Seg == machine.SegGS}
	if p.size == 0 {
		p.size = 8
	}
	var a vid
	if c, ok := (&machine.Inst{Addr: in.Addr, Len: in.Len}).FixedAddr(m); ok {
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

func (w *walker) setReg(s *state, r x86asm.Reg, v vid, site uint64) {
	n, size, high, ok := regOf(r)
	if !ok {
		return
	}
	switch {
	case size == 8:
		s.regs[n] = v
	case size == 4:
		s.regs[n] = w.t.ext(v, 4, false)
	case high:
		s.regs[n] = w.t.opaque(site, int32(n), w.age)
	default:
		// The rest of the register stays, but compilers clear it before or
		// extend it afterwards when more than the low bytes matter.
		s.regs[n] = w.t.ext(v, size, false)
	}
}

// arg reads an operand.
func (w *walker) arg(s *state, in *model.Inst, a x86asm.Arg) (v vid, size uint8) {
	t := &w.t
	switch a := a.(type) {
	case x86asm.Reg:
		n, size, high, ok := regOf(a)
		if !ok {
			return t.opaque(in.Addr, 40, w.age), 8
		}
		if high {
			return t.ext(t.bin(binShr, s.regs[n], t.constant(8), in.Addr, w.age), 1, false), 1
		}
		if size < 8 {
			return t.ext(s.regs[n], size, false), size
		}
		return s.regs[n], size
	case x86asm.Imm:
		return t.constant(int64(a)), uint8(in.DataSize / 8)
	case x86asm.Mem:
		p := w.place(s, in, a)
		return w.loadAt(s, p, in.Addr), p.size
	}
	return t.opaque(in.Addr, 41, w.age), 8
}

// write stores to an operand.
func (w *walker) write(s *state, in *model.Inst, a x86asm.Arg, v vid) {
	switch a := a.(type) {
	case x86asm.Reg:
		w.setReg(s, a, v, in.Addr)
	case x86asm.Mem:
		w.storeAt(s, w.place(s, in, a), v, in.Addr)
	}
}

// isPreemptCount reports whether the operand is this CPU's preempt count.
func (w *walker) isPreemptCount(in *model.Inst, a x86asm.Arg) bool {
	m, ok := a.(x86asm.Mem)
	if !ok || m.Segment != x86asm.GS {
		return false
	}
	c, ok := in.MemAddr(m)
	return ok && c == w.preemptCount && c != 0
}

// countChange notes a change of the preempt count (include/linux/preempt.h,
// v6.1: bits 0-7 preemption, 8-15 bottom halves).
func (w *walker) countChange(s *state, d int64) {
	if d%0x200 == 0 && d != 0 && d > -0x10000 && d < 0x10000 {
		w.t.change(s, BH, 0, int8(d/0x200))
		return
	}
	if d > -0x100 && d < 0x100 {
		for ; d > 0; d-- {
			w.t.change(s, Preempt, 0, 1)
		}
		for ; d < 0; d++ {
			w.t.change(s, Preempt, 0, -1)
		}
		return
	}
	if b := d / 0x200 * 0x200; d-b == 1 || d-b == -1 { // SOFTIRQ_LOCK_OFFSET
		w.t.change(s, BH, 0, int8(b/0x200))
		w.t.change(s, Preempt, 0, int8(d-b))
	}
}

var binOps = map[x86asm.Op]bin{
	x86asm.ADD: binAdd, x86asm.SUB: binSub, x86asm.AND: binAnd, x86asm.OR: binOr, x86asm.XOR: binXor,
	x86asm.SHL: binShl, x86asm.SHR: binShr, x86asm.SAR: binSar,
}

// step executes an instruction that neither branches nor calls.
func (w *walker) step(s *state, in *model.Inst) {
	t := &w.t
	if !in.Known {
		w.other(s, in)
		return
	}
	switch in.Op {
	case x86asm.NOP, x86asm.PAUSE, x86asm.LFENCE, x86asm.MFENCE, x86asm.SFENCE, x86asm.PREFETCHT0, x86asm.PREFETCHT1, x86asm.PREFETCHNTA, x86asm.PREFETCHW:
	case x86asm.MOV:
		if r, ok := in.Args[1].(x86asm.Reg); ok {
			if _, _, _, gp := regOf(r); !gp { // from a segment, control or debug register
				w.write(s, in, in.Args[0], t.opaque(in.Addr, 0, w.age))
				return
			}
		}
		v, _ := w.arg(s, in, in.Args[1])
		w.write(s, in, in.Args[0], v)
	case x86asm.MOVZX:
		v, n := w.arg(s, in, in.Args[1])
		w.write(s, in, in.Args[0], t.ext(v, n, false))
	case x86asm.MOVSX, x86asm.MOVSXD:
		v, n := w.arg(s, in, in.Args[1])
		w.write(s, in, in.Args[0], t.ext(v, n, true))
	case x86asm.CDQE:
		s.regs[rax] = t.ext(s.regs[rax], 4, true)
	case x86asm.CWDE:
		s.regs[rax] = t.ext(t.ext(s.regs[rax], 2, true), 4, false)
	case x86asm.LEA:
		if m, ok := in.Args[1].(x86asm.Mem); ok {
			p := w.place(s, in, m)
			w.write(s, in, in.Args[0], p.addr)
		}
	case x86asm.PUSH:
		v, _ := w.arg(s, in, in.Args[0])
		s.regs[rsp] = t.addImm(s.regs[rsp], -8)
		b, o := t.split(s.regs[rsp])
		s.put(cell{b, o, 8, v})
	case x86asm.POP:
		b, o := t.split(s.regs[rsp])
		v := w.loadAt(s, place{base: b, off: o, addr: s.regs[rsp], size: 8, stack: true}, in.Addr)
		s.regs[rsp] = t.addImm(s.regs[rsp], 8)
		w.write(s, in, in.Args[0], v)
	case x86asm.LEAVE:
		s.regs[rsp] = s.regs[rbp]
		b, o := t.split(s.regs[rsp])
		s.regs[rbp] = w.loadAt(s, place{base: b, off: o, addr: s.regs[rsp], size: 8, stack: w.isStack(b)}, in.Addr)
		s.regs[rsp] = t.addImm(s.regs[rsp], 8)
	case x86asm.PUSHFQ, x86asm.PUSHF, x86asm.PUSHFD:
		s.regs[rsp] = t.addImm(s.regs[rsp], -8)
		b, o := t.split(s.regs[rsp])
		s.put(cell{b, o, 8, t.flags(in.Addr, s.irq(), w.age)})
	case x86asm.POPFQ, x86asm.POPF, x86asm.POPFD:
		b, o := t.split(s.regs[rsp])
		v := w.loadAt(s, place{base: b, off: o, addr: s.regs[rsp], size: 8, stack: true}, in.Addr)
		s.regs[rsp] = t.addImm(s.regs[rsp], 8)
		w.restore(s, v)
		s.flags = flags{}
	case x86asm.CLI:
		t.change(s, IRQ, 0, 1)
	case x86asm.STI:
		t.change(s, IRQ, 0, -1)
	case x86asm.ADD, x86asm.SUB, x86asm.AND, x86asm.OR, x86asm.XOR, x86asm.SHL, x86asm.SHR, x86asm.SAR:
		w.arith(s, in)
	case x86asm.INC, x86asm.DEC:
		d := int64(1)
		if in.Op == x86asm.DEC {
			d = -1
		}
		if w.isPreemptCount(in, in.Args[0]) {
			w.countChange(s, d)
			s.flags = flags{}
			return
		}
		a, n := w.arg(s, in, in.Args[0])
		v := t.ext(t.addImm(a, d), n, false)
		w.write(s, in, in.Args[0], v)
		s.flags = flags{kind: flagsValue, size: n, a: v}
	case x86asm.NEG:
		a, n := w.arg(s, in, in.Args[0])
		v := t.ext(t.bin(binSub, 0, a, in.Addr, w.age), n, false)
		w.write(s, in, in.Args[0], v)
		s.flags = flags{kind: flagsCmp, size: n, a: 0, b: a}
	case x86asm.NOT:
		a, n := w.arg(s, in, in.Args[0])
		w.write(s, in, in.Args[0], t.ext(t.bin(binXor, a, t.constant(-1), in.Addr, w.age), n, false))
	case x86asm.CMP:
		a, n := w.arg(s, in, in.Args[0])
		b, _ := w.arg(s, in, in.Args[1])
		s.flags = flags{kind: flagsCmp, size: n, a: a, b: b}
	case x86asm.TEST:
		w.test(s, in)
	case x86asm.BT:
		a, n := w.arg(s, in, in.Args[0])
		b, _ := w.arg(s, in, in.Args[1])
		s.flags = flags{}
		if c, ok := t.isConst(b); ok {
			s.flags = flags{kind: flagsCarry, size: n, a: t.bin(binAnd, a, t.constant(1<<(uint64(c)&63)), in.Addr, w.age)}
		}
	case x86asm.SBB:
		w.sbb(s, in)
	case x86asm.XCHG:
		a, _ := w.arg(s, in, in.Args[0])
		b, _ := w.arg(s, in, in.Args[1])
		if _, mem := in.Args[0].(x86asm.Mem); mem {
			w.write(s, in, in.Args[0], b)
			w.write(s, in, in.Args[1], t.opaque(in.Addr, 0, w.age))
			return
		}
		if _, mem := in.Args[1].(x86asm.Mem); mem {
			w.write(s, in, in.Args[1], a)
			w.write(s, in, in.Args[0], t.opaque(in.Addr, 0, w.age))
			return
		}
		w.write(s, in, in.Args[0], b)
		w.write(s, in, in.Args[1], a)
	default:
		w.other(s, in)
	}
}

func (w *walker) arith(s *state, in *model.Inst) {
	t := &w.t
	if w.isPreemptCount(in, in.Args[0]) && (in.Op == x86asm.ADD || in.Op == x86asm.SUB) {
		if c, ok := in.Args[1].(x86asm.Imm); ok {
			d := int64(int32(c))
			if in.Op == x86asm.SUB {
				d = -d
			}
			w.countChange(s, d)
		}
		s.flags = flags{}
		return
	}
	a, n := w.arg(s, in, in.Args[0])
	b, _ := w.arg(s, in, in.Args[1])
	if r, ok := in.Args[0].(x86asm.Reg); ok && in.Op == x86asm.AND {
		if num, _, high, _ := regOf(r); high {
			if c, ok := t.isConst(b); ok { // tests bits of the second byte and destroys it
				v := t.bin(binAnd, s.regs[num], t.constant((c&0xff)<<8), in.Addr, w.age)
				s.regs[num] = t.opaque(in.Addr, int32(num), w.age)
				s.flags = flags{kind: flagsLogic, size: 4, a: v}
				return
			}
		}
	}
	if c, ok := t.isConst(b); ok && n < 8 && in.Op != x86asm.AND {
		b = t.constant(signExt(c, n))
	}
	var v vid
	if in.Op == x86asm.SUB && a == b || in.Op == x86asm.XOR && a == b {
		v = 0
	} else if in.Op == x86asm.AND {
		if c, ok := t.isConst(b); ok && n == 8 {
			b = t.constant(c)
		}
		v = t.bin(binAnd, a, b, in.Addr, w.age)
	} else {
		v = t.bin(binOps[in.Op], a, b, in.Addr, w.age)
	}
	if n < 8 {
		v = t.ext(v, n, false)
	}
	if lockPrefix(in) {
		v = t.opaque(in.Addr, 1, w.age) // others may have changed it before
	}
	w.write(s, in, in.Args[0], v)
	w.spread(s, in.Op, a, b, v, n)
	switch in.Op {
	case x86asm.SUB:
		if lockPrefix(in) {
			s.flags = flags{kind: flagsValue, size: n, a: v}
		} else {
			s.flags = flags{kind: flagsCmp, size: n, a: a, b: b}
		}
	case x86asm.AND, x86asm.OR, x86asm.XOR:
		s.flags = flags{kind: flagsLogic, size: n, a: v}
	default:
		s.flags = flags{kind: flagsValue, size: n, a: v}
	}
}

// spread derives what is known of op(a, constant) when only a few values are
// possible for a.
func (w *walker) spread(s *state, op x86asm.Op, a, b, v vid, n uint8) {
	t := &w.t
	c, ok := t.isConst(b)
	if !ok {
		return
	}
	if _, isC := t.isConst(v); isC {
		return
	}
	in := t.known(s, a, n)
	out := Set{}
	for _, x := range in {
		if x.Lo != x.Hi {
			return
		}
		var r int64
		switch op {
		case x86asm.ADD:
			r = x.Lo + c
		case x86asm.SUB:
			r = x.Lo - c
		case x86asm.AND:
			r = x.Lo & c
		case x86asm.OR:
			r = x.Lo | c
		case x86asm.XOR:
			r = x.Lo ^ c
		default:
			return
		}
		out = out.union(single(signExt(r, n)))
	}
	k, ks, kset := t.key(v, n, out)
	s.setFact(k, ks, kset)
}

func lockPrefix(in *model.Inst) bool {
	for _, p := range in.Prefix {
		if p == 0 {
			break
		}
		if p&0xff == 0xf0 {
			return true
		}
	}
	return false
}

func (w *walker) test(s *state, in *model.Inst) {
	t := &w.t
	a, n := w.arg(s, in, in.Args[0])
	b, _ := w.arg(s, in, in.Args[1])
	if r, ok := in.Args[0].(x86asm.Reg); ok {
		if num, _, high, _ := regOf(r); high {
			if c, ok := t.isConst(b); ok {
				// A bit of the second byte, as of a saved flags word.
				a, b, n = s.regs[num], t.constant((c&0xff)<<8), 4
			}
		}
	}
	v := a
	if a != b {
		if c, ok := t.isConst(b); ok && n < 8 {
			// The same bits tested in another width are the same value.
			b = t.constant(zeroExt(c, n))
			if x := t.n(a); x.op == opExt && x.size >= n {
				a = x.a
			}
			if c&(int64(1)<<(8*uint(n)-1)) == 0 {
				n = 4 // the sign does not matter
			}
		}
		v = t.bin(binAnd, a, b, in.Addr, w.age)
	}
	s.flags = flags{kind: flagsLogic, size: n, a: v}
}

func (w *walker) sbb(s *state, in *model.Inst) {
	t := &w.t
	a, n := w.arg(s, in, in.Args[0])
	b, _ := w.arg(s, in, in.Args[1])
	v := t.opaque(in.Addr, 2, w.age)
	if p, ok := w.condition(s, ccB); ok && a == b {
		switch t.holds(s, p) {
		case 0:
			v = 0
		case 1:
			v = t.ext(t.constant(-1), n, false)
		default:
			s.setFact(v, n, Set{{-1, 0}})
			v = t.ext(v, n, false)
		}
	}
	w.write(s, in, in.Args[0], v)
	s.flags = flags{}
}

// other handles the rest: what is written becomes unknown.
func (w *walker) other(s *state, in *model.Inst) {
	t := &w.t
	if cc, ok := setcc[in.Op]; ok {
		v := t.opaque(in.Addr, 3, w.age)
		if p, ok := w.condition(s, cc); ok {
			switch t.holds(s, p) {
			case 0:
				v = t.constant(0)
			case 1:
				v = t.constant(1)
			default:
				v = t.set(p)
			}
		} else {
			s.setFact(v, 1, Set{{0, 1}})
		}
		w.write(s, in, in.Args[0], v)
		return
	}
	if cc, ok := cmovcc[in.Op]; ok {
		w.cmov(s, in, cc)
		return
	}
	un := func(k int32) vid { return t.opaque(in.Addr, k, w.age) }
	switch in.Op {
	case x86asm.IMUL:
		if in.Args[2] != nil {
			a, n := w.arg(s, in, in.Args[1])
			b, _ := w.arg(s, in, in.Args[2])
			w.write(s, in, in.Args[0], t.ext(t.bin(binMul, a, b, in.Addr, w.age), n, false))
			s.flags = flags{}
			return
		}
	case x86asm.BTS, x86asm.BTR, x86asm.BTC:
		w.write(s, in, in.Args[0], un(1))
		old := un(2)
		s.setFact(old, 1, Set{{0, 1}})
		s.flags = flags{kind: flagsCarry, size: 1, a: old}
		return
	case x86asm.MOVSB, x86asm.MOVSW, x86asm.MOVSD, x86asm.MOVSQ, x86asm.STOSB, x86asm.STOSW, x86asm.STOSD, x86asm.STOSQ,
		x86asm.LODSB, x86asm.LODSW, x86asm.LODSD, x86asm.LODSQ, x86asm.SCASB, x86asm.SCASW, x86asm.SCASD, x86asm.SCASQ,
		x86asm.CMPSB, x86asm.CMPSW, x86asm.CMPSD, x86asm.CMPSQ, x86asm.INSB, x86asm.INSW, x86asm.INSD, x86asm.OUTSB, x86asm.OUTSW, x86asm.OUTSD:
		w.stringOp(s, in)
		return
	}
	m := in.Machine()
	e := m.Effects()
	w.clobberMemory(s, in, &e)
	w.clobberRegs(s, in.Addr, &e)
	if e.FlagsWritten&machine.StatusFlags != 0 {
		s.flags = flags{}
	}
}

// clobberMemory forgets what an instruction writes to memory.
func (w *walker) clobberMemory(s *state, in *model.Inst, e *machine.Effects) {
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

// clobberRegs forgets what an instruction changes of the registers.
func (w *walker) clobberRegs(s *state, site uint64, e *machine.Effects) {
	t := &w.t
	for n := range e.Writes.All {
		v := t.opaque(site, int32(n), w.age)
		switch {
		case n == machine.RSP && e.Stack == machine.StackMoved:
			v = t.addImm(s.regs[n], e.StackDelta)
		case e.Maybe.Has(n):
		case e.Zext.Has(n):
			v = t.ext(v, 4, false)
		// As in setReg, the rest of the register is taken for cleared.
		case e.Word.Has(n):
			v = t.ext(v, 2, false)
		case e.Byte.Has(n):
			v = t.ext(v, 1, false)
		}
		s.regs[n] = v
	}
}

// clobberFrom forgets the stack from an offset on.
func (w *walker) clobberFrom(s *state, off int64, site uint64) {
	esc := s.esc
	s.esc = min(off, escNone-1)
	w.clobberStack(s, site)
	s.esc = esc
}

// stringOp handles movs, stos and their like.
func (w *walker) stringOp(s *state, in *model.Inst) {
	e := in.Effects()
	if e.WritesMemory() && w.isStackAddr(s.regs[rdi]) {
		_, off := w.t.split(s.regs[rdi])
		w.clobberFrom(s, off, in.Addr)
	} else if e.WritesMemory() && w.strict {
		w.clobberHeap(s, in.Addr)
	}
	w.clobberRegs(s, in.Addr, &e)
	if e.FlagsWritten != 0 {
		s.flags = flags{}
	}
}

// cmov joins the two possible values, or takes the one that is certain.
func (w *walker) cmov(s *state, in *model.Inst, c cc) {
	t := &w.t
	a, n := w.arg(s, in, in.Args[0])
	b, _ := w.arg(s, in, in.Args[1])
	if n == 4 {
		a, b = t.ext(a, 4, false), t.ext(b, 4, false)
	}
	if p, ok := w.condition(s, c); ok {
		switch t.holds(s, p) {
		case 0:
			w.write(s, in, in.Args[0], a)
			return
		case 1:
			w.write(s, in, in.Args[0], b)
			return
		}
	}
	if a == b {
		w.write(s, in, in.Args[0], a)
		return
	}
	v := t.phi(int32(in.Addr), 4, w.age) // low half of the address: no block has such a number
	for _, z := range []uint8{1, 4, 8} {
		if z <= n {
			s.setFact(v, z, t.known(s, a, z).union(t.known(s, b, z)))
		}
	}
	w.write(s, in, in.Args[0], v)
}

// restore puts the interrupt flag back to a saved value.
func (w *walker) restore(s *state, v vid) {
	t := &w.t
	if n := t.n(v); n.op == opFlags {
		s.setIRQ(int8(n.k - 8))
		return
	}
	switch n := s.irq(); {
	case n > 0:
		s.setIRQ(0)
		s.assumed = true
	case t.precise(t.stripped(v)) && n == 0:
		s.setIRQ(-1) // the caller's saved flag
	}
}

// sockOwner notes that lock_sock or release_sock, compiled inline within
// net/core/sock.c, marks a socket as owned or free: sk_lock.owned, which
// follows sk_lock.slock, is written while that is held.
func (w *walker) sockOwner(s *state, p place, v vid) {
	t := &w.t
	c, ok := t.isConst(v)
	if !ok || c != 0 && c != 1 {
		return
	}
	slock := t.stripped(t.addImm(p.addr, -4))
	if _, off := t.split(slock); off != int64(w.a.sockOwned)-4 {
		return
	}
	for _, h := range s.locks {
		if h.kind == Spin && h.name == slock && h.n > 0 {
			d := int8(1)
			if c == 0 {
				d = -1
			}
			t.change(s, Sock, t.addImm(slock, 4-int64(w.a.sockOwned)), d)
			return
		}
	}
}
