package equiv

import (
	"strings"

	"github.com/klpforge/klpforge/analyze/machine"
)

// shr shifts right without sign, in a width. The count is taken as the
// processor does, modulo 32 or 64.
func (p *pool) shr(width uint64, a, n term) term {
	a = p.low(width, a)
	if v, ok := p.isConst(n); ok {
		if v == 0 {
			return a
		}
		if c, ok := p.isConst(a); ok {
			return p.constant(c >> v)
		}
	}
	return p.cons(node{op: "shr", k: width, a: a, b: n})
}

// compute executes what only changes registers, flags and the frame, and stores.
func (w *walker) compute(in *insn) (*event, error) {
	m := w.m()
	width := widthOf(in)
	switch in.Op {
	case machine.Nop, machine.Landing:
		return nil, nil

	// Moves.
	case machine.Move, machine.Address:
		return w.move(in, width)
	case machine.MoveZero, machine.MoveSign:
		return w.extend(in, width)
	case machine.SetIf:
		cond, not := w.p.condition(in.Cond, m.flags)
		return w.set(in, 0, 8, w.p.truth(cond, not))
	case machine.MoveIf:
		return w.moveIf(in, width)
	case machine.WidenHalf, machine.WidenPair:
		w.widen(in)
		return nil, nil
	case machine.Exchange:
		return w.exchange(in, width)
	case machine.StringStore, machine.StringMove:
		return w.text(in)

	// The stack.
	case machine.Push:
		return nil, w.push(in)
	case machine.Pop:
		return w.pop(in)
	case machine.Leave:
		return nil, w.leave(in)

	// Arithmetic.
	case machine.Add, machine.Sub, machine.And, machine.Or, machine.Xor, machine.Compare, machine.Test,
		machine.AddCarry, machine.SubBorrow:
		return w.arith(in, width)
	case machine.Increment, machine.Decrement, machine.Negate, machine.Not, machine.ByteSwap:
		return w.unary(in, width)
	case machine.ShiftLeft, machine.ShiftRight, machine.ShiftRightArith, machine.RotateLeft, machine.RotateRight:
		return w.shift(in, width)
	case machine.ShiftDouble:
		return w.generic(in, width, 3)
	case machine.Multiply:
		if in.Args[1].Kind != machine.KindNone {
			return w.multiply(in, width)
		}
		return w.wide(in, width)
	case machine.Divide:
		return w.wide(in, width)
	case machine.BitTest:
		return nil, w.bitTest(in, width)
	case machine.BitSet, machine.BitReset, machine.BitFlip:
		if in.Args[0].Kind == machine.KindMem {
			return nil, refuse(in.at, "a change of a bit anywhere in memory")
		}
		return w.generic(in, width, 2)
	case machine.CountBits:
		return w.generic(in, width, 2)

	// What the processor is told.
	case machine.Pause:
		return &event{kind: evOther, in: in, what: "pause", next: in.next()}, nil
	case machine.Fence, machine.DisableInterrupts, machine.EnableInterrupts, machine.Halt, machine.Prefetch:
		return &event{kind: evOther, in: in, what: nameOf(in), next: in.next()}, nil
	case machine.ReadClock:
		outs := []machine.Num{retReg, pairReg}
		return &event{kind: evOther, in: in, what: nameOf(in), outs: outs, next: in.next()}, nil
	}
	return nil, notKnown(in)
}

// moveIf leaves in the first operand the second, or what it held.
func (w *walker) moveIf(in *insn, width uint64) (*event, error) {
	cond, not := w.p.condition(in.Cond, w.m().flags)
	no, err := w.get(in, 0, width)
	if err != nil {
		return nil, err
	}
	yes, err := w.get(in, 1, width)
	if err != nil {
		return nil, err
	}
	if not {
		yes, no = no, yes
	}
	return w.set(in, 0, width, w.p.choose(cond, yes, no))
}

// widen extends the accumulator's sign: of its lower half into all of it, or of all
// of it into the other register of the pair.
func (w *walker) widen(in *insn) {
	p, m := w.p, w.m()
	width := uint64(in.Size) * 8
	acc, to := m.regs[retReg], &m.regs[retReg]
	var v term
	if in.Op == machine.WidenHalf {
		v = p.sext(width/2, width, acc)
	} else {
		v = p.low(width, p.cons(node{op: "sign", k: width, a: p.low(width, acc)}))
		to = &m.regs[pairReg]
	}
	if width == 16 {
		v = p.cons(node{op: "ins", k: 16, a: *to, b: v})
	}
	*to = v
}

func (w *walker) push(in *insn) error {
	p, m := w.p, w.m()
	v, err := w.get(in, 0, 64)
	if err != nil {
		return err
	}
	m.regs[stackReg] = p.plus(m.regs[stackReg], ^uint64(7))
	k, ok := w.frame(m.regs[stackReg])
	if !ok {
		return refuse(in.at, "the stack pointer cannot be followed")
	}
	n := p.nodes[v]
	w.storeSlot(k, 8, v, n.op == "var" && strings.HasPrefix(n.s, "saved "))
	return nil
}

func (w *walker) pop(in *insn) (*event, error) {
	m := w.m()
	k, ok := w.frame(m.regs[stackReg])
	if !ok {
		return nil, refuse(in.at, "the stack pointer cannot be followed")
	}
	v := w.loadSlot(k, 8)
	w.drop(k)
	m.regs[stackReg] = w.p.plus(m.regs[stackReg], 8)
	return w.set(in, 0, 64, v)
}

func (w *walker) leave(in *insn) error {
	m := w.m()
	k, ok := w.frame(m.regs[frameReg])
	if !ok {
		return refuse(in.at, "the stack pointer cannot be followed")
	}
	v := w.loadSlot(k, 8)
	m.regs[stackReg], m.regs[frameReg] = w.p.plus(m.regs[frameReg], 8), v
	return nil
}

// exchange swaps two registers; with memory, it is atomic.
func (w *walker) exchange(in *insn, width uint64) (*event, error) {
	if in.Args[0].Kind != machine.KindReg || in.Args[1].Kind != machine.KindReg {
		return w.atomic(in)
	}
	a, err := w.get(in, 0, width)
	if err != nil {
		return nil, err
	}
	b, err := w.get(in, 1, width)
	if err != nil {
		return nil, err
	}
	_, _ = w.set(in, 0, width, b)
	return w.set(in, 1, width, a)
}

// bitTest copies a bit into the carry.
func (w *walker) bitTest(in *insn, width uint64) error {
	p := w.p
	a, err := w.get(in, 0, width)
	if err != nil {
		return err
	}
	if in.Args[0].Kind == machine.KindMem && in.Args[1].Kind != machine.KindImm {
		return w.bitAnywhere(in, in.Args[0].Mem, width)
	}
	b, err := w.get(in, 1, width)
	if err != nil {
		return err
	}
	w.m().flags = p.cons(node{op: "bit", k: width, a: a, b: p.low(width, b)})
	return nil
}

// drop forgets what was popped.
func (w *walker) drop(k int64) { delete(w.m().slots, k) }

// truth is a condition as 0 or 1.
func (p *pool) truth(cond term, not bool) term {
	if v, ok := p.isConst(cond); ok {
		return p.constant(v ^ b2u(not))
	}
	return p.cons(node{op: "set", k: b2u(not), a: cond})
}

func (p *pool) choose(cond, yes, no term) term {
	if v, ok := p.isConst(cond); ok {
		if v != 0 {
			return yes
		}
		return no
	}
	if yes == no {
		return yes
	}
	return p.cons(node{op: "ite", a: cond, b: yes, c: no})
}

// extend moves a value to a wider place.
func (w *walker) extend(in *insn, width uint64) (*event, error) {
	from := uint64(in.Args[1].Width()) * 8
	v, err := w.get(in, 1, from)
	if err != nil {
		return nil, err
	}
	if in.Op == machine.MoveSign {
		v = w.p.sext(from, width, v)
	}
	return w.set(in, 0, width, v)
}

func (w *walker) move(in *insn, width uint64) (*event, error) {
	for i := range in.Args[:2] {
		if a := &in.Args[i]; a.Kind == machine.KindReg && a.Reg.Class != machine.General {
			return nil, notKnown(in)
		}
	}
	v, err := w.get(in, 1, width)
	if err != nil {
		return nil, err
	}

	// The compiler leaves out reads that nobody wants, unless they are meant for
	// a device.
	n, _, _, toReg := general(&in.Args[0])
	from := &in.Args[1]
	if toReg && in.Op == machine.Move && from.Kind == machine.KindMem && w.b.unused(in, n) {
		addr, gs, err := w.address(in, from.Mem)
		if _, own := w.frame(addr); err != nil || own || gs {
			return nil, err
		}
		return &event{kind: evLoad, in: in, addr: addr, size: width / 8, outs: []machine.Num{n}, next: in.next()}, nil
	}
	return w.set(in, 0, width, v)
}

func (w *walker) arith(in *insn, width uint64) (*event, error) {
	p, m := w.p, w.m()
	a, err := w.get(in, 0, width)
	if err != nil {
		return nil, err
	}
	b, err := w.get(in, 1, width)
	if err != nil {
		return nil, err
	}
	a64, b64 := a, b
	var v term
	switch in.Op {
	case machine.Add:
		v = p.low(width, p.add(a, b))
		m.flags = p.cons(node{op: "sum", k: width, a: a, b: b, c: v})
	case machine.Sub, machine.Compare:
		v = p.low(width, p.sub(a64, b64))
		m.flags = p.compare(width, a, b)
	case machine.And, machine.Test:
		v = p.low(width, p.op2("and", a, b))
		m.flags = p.cons(node{op: "logic", k: width, a: v})
	case machine.Or:
		v = p.low(width, p.op2("or", a, b))
		m.flags = p.cons(node{op: "logic", k: width, a: v})
	case machine.Xor:
		v = p.low(width, p.op2("xor", a, b))
		m.flags = p.cons(node{op: "logic", k: width, a: v})
	default: // adc, sbb
		carry, not := p.condition(machine.CondB, m.flags)
		v = p.low(width, p.cons(node{op: nameOf(in), k: width, a: a, b: b, c: p.truth(carry, not)}))
		m.flags = p.cons(node{op: "flags", k: width, s: nameOf(in), a: a, b: b, c: v})
	}
	if in.Op == machine.Compare || in.Op == machine.Test {
		return nil, nil
	}
	return w.set(in, 0, width, v)
}

// compare makes the flags of a subtraction; against zero they are those of a
// test.
func (p *pool) compare(width uint64, a, b term) term {
	if v, ok := p.isConst(b); ok && v == 0 {
		return p.cons(node{op: "logic", k: width, a: a})
	}
	return p.cons(node{op: "cmp", k: width, a: a, b: b})
}

func (w *walker) unary(in *insn, width uint64) (*event, error) {
	p, m := w.p, w.m()
	a, err := w.get(in, 0, width)
	if err != nil {
		return nil, err
	}
	var v term
	switch in.Op {
	case machine.Increment, machine.Decrement: // the carry stays
		d := uint64(1)
		if in.Op == machine.Decrement {
			d = ^uint64(0)
		}
		v = p.low(width, p.plus(a, d))
		m.flags = p.cons(node{op: "result", k: width, a: v, b: m.flags, s: nameOf(in)})
	case machine.Negate:
		v = p.low(width, p.sub(p.constant(0), a))
		m.flags = p.cons(node{op: "cmp", k: width, a: p.constant(0), b: a})
	case machine.Not:
		v = p.low(width, p.op2("xor", a, p.constant(mask(width))))
	case machine.ByteSwap:
		v = p.low(width, p.cons(node{op: "bswap", k: width, a: a}))
	}
	return w.set(in, 0, width, v)
}

func (w *walker) shift(in *insn, width uint64) (*event, error) {
	p, m := w.p, w.m()
	a, err := w.get(in, 0, width)
	if err != nil {
		return nil, err
	}
	n := p.constant(1)
	if in.Args[1].Kind != machine.KindNone {
		if n, err = w.get(in, 1, 8); err != nil {
			return nil, err
		}
	}
	count := uint64(31)
	if width == 64 {
		count = 63
	}
	n = p.op2("and", n, p.constant(count))
	k, fixed := p.isConst(n)
	if fixed && k == 0 {
		return w.set(in, 0, width, a)
	}
	var v term
	switch {
	case in.Op == machine.ShiftLeft && fixed:
		v = p.low(width, p.shl(a, k))
	case in.Op == machine.ShiftRight && width >= 32:
		v = p.shr(width, a, n)
	default:
		v = p.low(width, p.cons(node{op: nameOf(in), k: width, a: a, b: n}))
	}
	old := m.flags
	if fixed {
		old = 0
	}
	if fixed && in.Op != machine.RotateLeft && in.Op != machine.RotateRight {
		m.flags = p.cons(node{op: "result", k: width, a: v, b: a, c: n, s: nameOf(in)})
	} else {
		m.flags = p.cons(node{op: "flags", k: width, s: nameOf(in), a: a, b: n, c: old})
	}
	return w.set(in, 0, width, v)
}

func (w *walker) multiply(in *insn, width uint64) (*event, error) {
	p, m := w.p, w.m()
	x, y := 0, 1
	if in.Args[2].Kind != machine.KindNone {
		x, y = 1, 2
	}
	a, err := w.get(in, x, width)
	if err != nil {
		return nil, err
	}
	b, err := w.get(in, y, width)
	if err != nil {
		return nil, err
	}
	v := p.low(width, p.op2("mul", a, b))
	m.flags = p.cons(node{op: "flags", k: width, s: "IMUL", a: a, b: b})
	return w.set(in, 0, width, v)
}

// wide multiplies or divides with rdx:rax.
func (w *walker) wide(in *insn, width uint64) (*event, error) {
	p, m := w.p, w.m()
	if width < 32 {
		return nil, notKnown(in)
	}
	b, err := w.get(in, 0, width)
	if err != nil {
		return nil, err
	}
	a, d := p.low(width, m.regs[retReg]), p.low(width, m.regs[pairReg])
	name := nameOf(in)
	if in.Op == machine.Multiply {
		m.regs[retReg] = p.low(width, p.op2("mul", a, b))
		if a > b {
			a, b = b, a
		}
		m.regs[pairReg] = p.low(width, p.cons(node{op: "high", s: name, k: width, a: a, b: b}))
	} else {
		m.regs[retReg] = p.low(width, p.cons(node{op: "quotient", s: name, k: width, a: d, b: a, c: b}))
		m.regs[pairReg] = p.low(width, p.cons(node{op: "remainder", s: name, k: width, a: d, b: a, c: b}))
	}
	m.flags = p.cons(node{op: "flags", k: width, s: name, a: m.regs[retReg], b: m.regs[pairReg], c: b})
	return nil, nil
}

// generic is an instruction whose result and flags depend on its operands, the
// first of which it sets.
func (w *walker) generic(in *insn, width uint64, operands int) (*event, error) {
	p, m := w.p, w.m()
	var x [3]term
	for i := range operands {
		var err error
		if x[i], err = w.get(in, i, width); err != nil {
			return nil, err
		}
	}
	v := p.low(width, p.cons(node{op: nameOf(in), k: width, a: x[0], b: x[1], c: x[2]}))
	m.flags = p.cons(node{op: "flags", k: width, s: nameOf(in), a: x[0], b: x[1], c: x[2]})
	return w.set(in, 0, width, v)
}
