package locks

import "github.com/klpforge/klpforge/analyze/machine"

var binOps = map[machine.Op]bin{
	machine.Add: binAdd, machine.Sub: binSub, machine.And: binAnd, machine.Or: binOr, machine.Xor: binXor,
	machine.ShiftLeft: binShl, machine.ShiftRight: binShr, machine.ShiftRightArith: binSar,
}

// arith executes what computes its first operand from both, and the flags.
func (w *walker) arith(s *state, in *machine.Inst) {
	vals := &w.t
	if w.isPreemptCount(in, 0) && (in.Op == machine.Add || in.Op == machine.Sub) {
		w.addCount(s, in)
		return
	}
	left, size := w.arg(s, in, 0)
	right, _ := w.arg(s, in, 1)
	if in.Op == machine.And {
		if byteVal, ok := w.secondByte(s, in, right); ok {
			reg := in.Args[0].Reg.Num
			s.regs[reg] = vals.opaque(in.Addr, int32(reg), w.age)
			s.flags = flags{kind: flagsLogic, size: 4, a: byteVal}
			return
		}
	}

	// The result.
	imm, isConst := vals.isConst(right)
	if isConst && size < 8 && in.Op != machine.And {
		right = vals.constant(signExt(imm, size))
	}
	switch in.Op {
	case machine.ShiftRightArith: // the sign comes in from the left
		left = vals.ext(left, size, true)
		fallthrough
	case machine.ShiftLeft, machine.ShiftRight:
		if count, ok := vals.isConst(right); ok && size < 8 {
			right = vals.constant(count & 31) // of more the processor takes the low bits
		}
	}
	var result vid
	if left != right || in.Op != machine.Sub && in.Op != machine.Xor {
		result = vals.bin(binOps[in.Op], left, right, in.Addr, w.age)
	}
	if size < 8 {
		result = vals.ext(result, size, false)
	}
	if in.Lock {
		result = w.shared(in)
	}
	w.write(s, in, 0, result)
	if !in.Lock { // then the values that memory had before tell nothing of it
		w.spread(s, in.Op, left, right, result, size)
	}

	// The flags.
	switch in.Op {
	case machine.Sub:
		s.flags = flags{kind: flagsCmp, size: size, a: left, b: right}
		if in.Lock {
			s.flags = flags{kind: flagsValue, size: size, a: result}
		}
	case machine.And, machine.Or, machine.Xor:
		s.flags = flags{kind: flagsLogic, size: size, a: result}
	default:
		s.flags = flags{kind: flagsValue, size: size, a: result}
	}
}

// secondByte is the test of bits of a register's second byte, as of a saved flags
// word, in terms of the register.
func (w *walker) secondByte(s *state, in *machine.Inst, with vid) (v vid, ok bool) {
	operand := &in.Args[0]
	imm, isConst := w.t.isConst(with)
	if operand.Kind != machine.KindReg || !operand.Reg.High || !isConst {
		return 0, false
	}
	return w.t.bin(binAnd, s.regs[operand.Reg.Num], w.t.constant((imm&0xff)<<8), in.Addr, w.age), true
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
	operand, size := w.arg(s, in, 0)
	sum := w.t.ext(w.t.addImm(operand, by), size, false)
	if in.Lock {
		sum = w.shared(in)
	}
	w.write(s, in, 0, sum)
	s.flags = flags{kind: flagsValue, size: size, a: sum}
}

// invert computes 0-a or, for Not, the complement of its operand.
func (w *walker) invert(s *state, in *machine.Inst) {
	vals := &w.t
	operand, size := w.arg(s, in, 0)
	op, from, what := binSub, vid(0), operand
	if in.Op == machine.Not {
		op, from, what = binXor, operand, vals.constant(-1)
	}
	result := vals.ext(vals.bin(op, from, what, in.Addr, w.age), size, false)
	if in.Lock {
		result = w.shared(in)
	}
	w.write(s, in, 0, result)
	switch {
	case in.Op == machine.Not: // leaves the flags alone
	case in.Lock:
		s.flags = flags{kind: flagsValue, size: size, a: result}
	default:
		s.flags = flags{kind: flagsCmp, size: size, a: 0, b: operand}
	}
}

// spread derives what is known of op(a, constant) when only a few values are
// possible for a.
func (w *walker) spread(s *state, op machine.Op, a, b, v vid, n uint8) {
	vals := &w.t
	imm, ok := vals.isConst(b)
	if !ok {
		return
	}
	if _, isC := vals.isConst(v); isC {
		return
	}
	in := vals.known(s, a, n)
	out := Set{}
	for _, span := range in {
		if span.Lo != span.Hi {
			return
		}
		var bound int64
		switch op {
		case machine.Add:
			bound = span.Lo + imm
		case machine.Sub:
			bound = span.Lo - imm
		case machine.And:
			bound = span.Lo & imm
		case machine.Or:
			bound = span.Lo | imm
		case machine.Xor:
			bound = span.Lo ^ imm
		default:
			return
		}
		out = out.union(single(signExt(bound, n)))
	}
	key, ks, kset := vals.key(v, n, out)
	s.setFact(key, ks, kset)
}

// test computes the flags of the bits that both operands have.
func (w *walker) test(s *state, in *machine.Inst) {
	vals := &w.t
	left, size := w.arg(s, in, 0)
	right, _ := w.arg(s, in, 1)
	if val, ok := w.secondByte(s, in, right); ok {
		s.flags = flags{kind: flagsLogic, size: 4, a: val}
		return
	}
	tested := left
	if left != right {
		if imm, ok := vals.isConst(right); ok && size < 8 {
			// The same bits tested in another width are the same value.
			right = vals.constant(zeroExt(imm, size))
			if inner := vals.n(left); inner.op == opExt && inner.size >= size {
				left = inner.a
			}
			if imm&(int64(1)<<(8*uint(size)-1)) == 0 {
				size = 4 // the sign does not matter
			}
		}
		tested = vals.bin(binAnd, left, right, in.Addr, w.age)
	}
	s.flags = flags{kind: flagsLogic, size: size, a: tested}
}

// bitTest copies a bit into the carry flag.
func (w *walker) bitTest(s *state, in *machine.Inst) {
	vals := &w.t
	word, size := w.arg(s, in, 0)
	index, _ := w.arg(s, in, 1)
	s.flags = flags{}
	if c, ok := vals.isConst(index); ok {
		bit := vals.bin(binAnd, word, vals.constant(1<<(uint64(c)&63)), in.Addr, w.age)
		s.flags = flags{kind: flagsCarry, size: size, a: bit}
	}
}

// borrow subtracts with the carry: of a value from itself, that is 0 or -1.
func (w *walker) borrow(s *state, in *machine.Inst) {
	vals := &w.t
	left, size := w.arg(s, in, 0)
	right, _ := w.arg(s, in, 1)
	result := vals.opaque(in.Addr, 2, w.age)
	if cond, ok := w.condition(s, machine.CondB); ok && left == right {
		switch vals.holds(s, cond) {
		case 0:
			result = 0
		case 1:
			result = vals.ext(vals.constant(-1), size, false)
		default:
			s.setFact(result, size, Set{{-1, 0}})
			result = vals.ext(result, size, false)
		}
	}
	w.write(s, in, 0, result)
	s.flags = flags{}
}
