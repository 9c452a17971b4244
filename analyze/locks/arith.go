package locks

import "github.com/klpforge/klpforge/analyze/machine"

var binOps = map[machine.Op]bin{
	machine.Add: binAdd, machine.Sub: binSub, machine.And: binAnd, machine.Or: binOr, machine.Xor: binXor,
	machine.ShiftLeft: binShl, machine.ShiftRight: binShr, machine.ShiftRightArith: binSar,
}

// arith executes what computes its first operand from both, and the flags.
func (w *walker) arith(s *state, in *machine.Inst) {
	t := &w.t
	if w.isPreemptCount(in, 0) && (in.Op == machine.Add || in.Op == machine.Sub) {
		w.addCount(s, in)
		return
	}
	a, n := w.arg(s, in, 0)
	b, _ := w.arg(s, in, 1)
	if in.Op == machine.And {
		if v, ok := w.secondByte(s, in, b); ok {
			reg := in.Args[0].Reg.Num
			s.regs[reg] = t.opaque(in.Addr, int32(reg), w.age)
			s.flags = flags{kind: flagsLogic, size: 4, a: v}
			return
		}
	}

	// The result.
	c, isConst := t.isConst(b)
	if isConst && n < 8 && in.Op != machine.And {
		b = t.constant(signExt(c, n))
	}
	var v vid
	if a != b || in.Op != machine.Sub && in.Op != machine.Xor {
		v = t.bin(binOps[in.Op], a, b, in.Addr, w.age)
	}
	if n < 8 {
		v = t.ext(v, n, false)
	}
	if in.Lock {
		v = w.shared(in)
	}
	w.write(s, in, 0, v)
	if !in.Lock { // then the values that memory had before tell nothing of it
		w.spread(s, in.Op, a, b, v, n)
	}

	// The flags.
	switch in.Op {
	case machine.Sub:
		s.flags = flags{kind: flagsCmp, size: n, a: a, b: b}
		if in.Lock {
			s.flags = flags{kind: flagsValue, size: n, a: v}
		}
	case machine.And, machine.Or, machine.Xor:
		s.flags = flags{kind: flagsLogic, size: n, a: v}
	default:
		s.flags = flags{kind: flagsValue, size: n, a: v}
	}
}

// secondByte is the test of bits of a register's second byte, as of a saved flags
// word, in terms of the register.
func (w *walker) secondByte(s *state, in *machine.Inst, with vid) (v vid, ok bool) {
	a := &in.Args[0]
	c, isConst := w.t.isConst(with)
	if a.Kind != machine.KindReg || !a.Reg.High || !isConst {
		return 0, false
	}
	return w.t.bin(binAnd, s.regs[a.Reg.Num], w.t.constant((c&0xff)<<8), in.Addr, w.age), true
}

// shared is what a locked instruction leaves in memory: others may have changed it
// just before, whatever was known of it.
func (w *walker) shared(in *machine.Inst) vid { return w.t.opaque(in.Addr, 1, w.age) }

// increment adds 1 or -1. The carry flag stays, which nothing here asks for behind
// it.
func (w *walker) increment(s *state, in *machine.Inst, by int64) {
	if w.isPreemptCount(in, 0) {
		w.countChange(s, by)
		s.flags = flags{}
		return
	}
	a, n := w.arg(s, in, 0)
	v := w.t.ext(w.t.addImm(a, by), n, false)
	if in.Lock {
		v = w.shared(in)
	}
	w.write(s, in, 0, v)
	s.flags = flags{kind: flagsValue, size: n, a: v}
}

// invert computes 0-a or, for Not, the complement of its operand.
func (w *walker) invert(s *state, in *machine.Inst) {
	t := &w.t
	a, n := w.arg(s, in, 0)
	op, x, y := binSub, vid(0), a
	if in.Op == machine.Not {
		op, x, y = binXor, a, t.constant(-1)
	}
	v := t.ext(t.bin(op, x, y, in.Addr, w.age), n, false)
	if in.Lock {
		v = w.shared(in)
	}
	w.write(s, in, 0, v)
	switch {
	case in.Op == machine.Not: // leaves the flags alone
	case in.Lock:
		s.flags = flags{kind: flagsValue, size: n, a: v}
	default:
		s.flags = flags{kind: flagsCmp, size: n, a: 0, b: a}
	}
}

// spread derives what is known of op(a, constant) when only a few values are
// possible for a.
func (w *walker) spread(s *state, op machine.Op, a, b, v vid, n uint8) {
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
		case machine.Add:
			r = x.Lo + c
		case machine.Sub:
			r = x.Lo - c
		case machine.And:
			r = x.Lo & c
		case machine.Or:
			r = x.Lo | c
		case machine.Xor:
			r = x.Lo ^ c
		default:
			return
		}
		out = out.union(single(signExt(r, n)))
	}
	k, ks, kset := t.key(v, n, out)
	s.setFact(k, ks, kset)
}

// test computes the flags of the bits that both operands have.
func (w *walker) test(s *state, in *machine.Inst) {
	t := &w.t
	a, n := w.arg(s, in, 0)
	b, _ := w.arg(s, in, 1)
	if v, ok := w.secondByte(s, in, b); ok {
		s.flags = flags{kind: flagsLogic, size: 4, a: v}
		return
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

// bitTest copies a bit into the carry flag.
func (w *walker) bitTest(s *state, in *machine.Inst) {
	t := &w.t
	a, n := w.arg(s, in, 0)
	b, _ := w.arg(s, in, 1)
	s.flags = flags{}
	if c, ok := t.isConst(b); ok {
		bit := t.bin(binAnd, a, t.constant(1<<(uint64(c)&63)), in.Addr, w.age)
		s.flags = flags{kind: flagsCarry, size: n, a: bit}
	}
}

// borrow subtracts with the carry: of a value from itself, that is 0 or -1.
func (w *walker) borrow(s *state, in *machine.Inst) {
	t := &w.t
	a, n := w.arg(s, in, 0)
	b, _ := w.arg(s, in, 1)
	v := t.opaque(in.Addr, 2, w.age)
	if p, ok := w.condition(s, machine.CondB); ok && a == b {
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
	w.write(s, in, 0, v)
	s.flags = flags{}
}
