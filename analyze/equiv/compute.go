package equiv

import (
	"strings"

	"github.com/klpforge/klpforge/analyze/machine"
)

// shr shifts right without sign, in a width. The count is taken as the
// processor does, modulo 32 or 64.
func (p *pool) shr(width uint64, a, n term) term {
	a = p.low(width, a)
	if shift, ok := p.isConst(n); ok {
		if shift == 0 {
			return a
		}
		if imm, ok := p.isConst(a); ok {
			return p.constant(imm >> shift)
		}
	}
	return p.cons(node{op: "shr", k: width, a: a, b: n})
}

// compute executes what only changes registers, flags and the frame, and stores.
func (w *walker) compute(in *insn) (*event, error) {
	half := w.m()
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
		cond, not := w.p.condition(in.Cond, half.flags)
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
	pool, half := w.p, w.m()
	width := uint64(in.Size) * 8
	acc, to := half.regs[retReg], &half.regs[retReg]
	var val term
	if in.Op == machine.WidenHalf {
		val = pool.sext(width/2, width, acc)
	} else {
		val = pool.low(width, pool.cons(node{op: "sign", k: width, a: pool.low(width, acc)}))
		to = &half.regs[pairReg]
	}
	if width == 16 {
		val = pool.cons(node{op: "ins", k: 16, a: *to, b: val})
	}
	*to = val
}

func (w *walker) push(in *insn) error {
	pool, half := w.p, w.m()
	val, err := w.get(in, 0, 64)
	if err != nil {
		return err
	}
	half.regs[stackReg] = pool.plus(half.regs[stackReg], ^uint64(7))
	slotOff, ok := w.frame(half.regs[stackReg])
	if !ok {
		return refuse(in.at, "the stack pointer cannot be followed")
	}
	expr := pool.nodes[val]
	w.storeSlot(slotOff, 8, val, expr.op == "var" && strings.HasPrefix(expr.s, "saved "))
	return nil
}

func (w *walker) pop(in *insn) (*event, error) {
	half := w.m()
	slotOff, ok := w.frame(half.regs[stackReg])
	if !ok {
		return nil, refuse(in.at, "the stack pointer cannot be followed")
	}
	val := w.loadSlot(slotOff, 8)
	w.drop(slotOff)
	half.regs[stackReg] = w.p.plus(half.regs[stackReg], 8)
	return w.set(in, 0, 64, val)
}

func (w *walker) leave(in *insn) error {
	half := w.m()
	slotOff, ok := w.frame(half.regs[frameReg])
	if !ok {
		return refuse(in.at, "the stack pointer cannot be followed")
	}
	val := w.loadSlot(slotOff, 8)
	half.regs[stackReg], half.regs[frameReg] = w.p.plus(half.regs[frameReg], 8), val
	return nil
}

// exchange swaps two registers; with memory, it is atomic.
func (w *walker) exchange(in *insn, width uint64) (*event, error) {
	if in.Args[0].Kind != machine.KindReg || in.Args[1].Kind != machine.KindReg {
		return w.atomic(in)
	}
	left, err := w.get(in, 0, width)
	if err != nil {
		return nil, err
	}
	right, err := w.get(in, 1, width)
	if err != nil {
		return nil, err
	}
	_, _ = w.set(in, 0, width, right)
	return w.set(in, 1, width, left)
}

// bitTest copies a bit into the carry.
func (w *walker) bitTest(in *insn, width uint64) error {
	pool := w.p
	word, err := w.get(in, 0, width)
	if err != nil {
		return err
	}
	if in.Args[0].Kind == machine.KindMem && in.Args[1].Kind != machine.KindImm {
		return w.bitAnywhere(in, in.Args[0].Mem, width)
	}
	index, err := w.get(in, 1, width)
	if err != nil {
		return err
	}
	w.m().flags = pool.cons(node{op: "bit", k: width, a: word, b: pool.low(width, index)})
	return nil
}

// drop forgets what was popped.
func (w *walker) drop(k int64) { delete(w.m().slots, k) }

// truth is a condition as 0 or 1.
func (p *pool) truth(cond term, not bool) term {
	if truth, ok := p.isConst(cond); ok {
		return p.constant(truth ^ b2u(not))
	}
	return p.cons(node{op: "set", k: b2u(not), a: cond})
}

func (p *pool) choose(cond, yes, no term) term {
	if truth, ok := p.isConst(cond); ok {
		if truth != 0 {
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
	val, err := w.get(in, 1, from)
	if err != nil {
		return nil, err
	}
	if in.Op == machine.MoveSign {
		val = w.p.sext(from, width, val)
	}
	return w.set(in, 0, width, val)
}

func (w *walker) move(in *insn, width uint64) (*event, error) {
	for i := range in.Args[:2] {
		if operand := &in.Args[i]; operand.Kind == machine.KindReg && operand.Reg.Class != machine.General {
			return nil, notKnown(in)
		}
	}
	val, err := w.get(in, 1, width)
	if err != nil {
		return nil, err
	}

	// The compiler leaves out reads that nobody wants, unless they are meant for
	// a device.
	reg, _, _, toReg := general(&in.Args[0])
	from := &in.Args[1]
	if toReg && in.Op == machine.Move && from.Kind == machine.KindMem && w.b.unused(in, reg) {
		addr, gs, err := w.address(in, from.Mem)
		if _, own := w.frame(addr); err != nil || own || gs {
			return nil, err
		}
		return &event{kind: evLoad, in: in, addr: addr, size: width / 8, outs: []machine.Num{reg}, next: in.next()}, nil
	}
	return w.set(in, 0, width, val)
}

func (w *walker) arith(in *insn, width uint64) (*event, error) {
	pool, half := w.p, w.m()
	left, err := w.get(in, 0, width)
	if err != nil {
		return nil, err
	}
	right, err := w.get(in, 1, width)
	if err != nil {
		return nil, err
	}
	a64, b64 := left, right
	var val term
	switch in.Op {
	case machine.Add:
		val = pool.low(width, pool.add(left, right))
		half.flags = pool.cons(node{op: "sum", k: width, a: left, b: right, c: val})
	case machine.Sub, machine.Compare:
		val = pool.low(width, pool.sub(a64, b64))
		half.flags = pool.compare(width, left, right)
	case machine.And, machine.Test:
		val = pool.low(width, pool.op2("and", left, right))
		half.flags = pool.cons(node{op: "logic", k: width, a: val})
	case machine.Or:
		val = pool.low(width, pool.op2("or", left, right))
		half.flags = pool.cons(node{op: "logic", k: width, a: val})
	case machine.Xor:
		val = pool.low(width, pool.op2("xor", left, right))
		half.flags = pool.cons(node{op: "logic", k: width, a: val})
	default: // adc, sbb
		carry, not := pool.condition(machine.CondB, half.flags)
		val = pool.low(width, pool.cons(node{op: nameOf(in), k: width, a: left, b: right, c: pool.truth(carry, not)}))
		half.flags = pool.cons(node{op: "flags", k: width, s: nameOf(in), a: left, b: right, c: val})
	}
	if in.Op == machine.Compare || in.Op == machine.Test {
		return nil, nil
	}
	return w.set(in, 0, width, val)
}

// compare makes the flags of a subtraction; against zero they are those of a
// test.
func (p *pool) compare(width uint64, a, b term) term {
	if imm, ok := p.isConst(b); ok && imm == 0 {
		return p.cons(node{op: "logic", k: width, a: a})
	}
	return p.cons(node{op: "cmp", k: width, a: a, b: b})
}

func (w *walker) unary(in *insn, width uint64) (*event, error) {
	pool, half := w.p, w.m()
	left, err := w.get(in, 0, width)
	if err != nil {
		return nil, err
	}
	var val term
	switch in.Op {
	case machine.Increment, machine.Decrement: // the carry stays
		by := uint64(1)
		if in.Op == machine.Decrement {
			by = ^uint64(0)
		}
		val = pool.low(width, pool.plus(left, by))
		half.flags = pool.cons(node{op: "result", k: width, a: val, b: half.flags, s: nameOf(in)})
	case machine.Negate:
		val = pool.low(width, pool.sub(pool.constant(0), left))
		half.flags = pool.cons(node{op: "cmp", k: width, a: pool.constant(0), b: left})
	case machine.Not:
		val = pool.low(width, pool.op2("xor", left, pool.constant(mask(width))))
	case machine.ByteSwap:
		val = pool.low(width, pool.cons(node{op: "bswap", k: width, a: left}))
	}
	return w.set(in, 0, width, val)
}

func (w *walker) shift(in *insn, width uint64) (*event, error) {
	pool, half := w.p, w.m()
	left, err := w.get(in, 0, width)
	if err != nil {
		return nil, err
	}
	amount := pool.constant(1)
	if in.Args[1].Kind != machine.KindNone {
		if amount, err = w.get(in, 1, 8); err != nil {
			return nil, err
		}
	}
	count := uint64(31)
	if width == 64 {
		count = 63
	}
	amount = pool.op2("and", amount, pool.constant(count))
	fixedCount, fixed := pool.isConst(amount)
	if fixed && fixedCount == 0 {
		return w.set(in, 0, width, left)
	}
	var val term
	switch {
	case in.Op == machine.ShiftLeft && fixed:
		val = pool.low(width, pool.shl(left, fixedCount))
	case in.Op == machine.ShiftRight && width >= 32:
		val = pool.shr(width, left, amount)
	default:
		val = pool.low(width, pool.cons(node{op: nameOf(in), k: width, a: left, b: amount}))
	}
	old := half.flags
	if fixed {
		old = 0
	}
	if fixed && in.Op != machine.RotateLeft && in.Op != machine.RotateRight {
		half.flags = pool.cons(node{op: "result", k: width, a: val, b: left, c: amount, s: nameOf(in)})
	} else {
		half.flags = pool.cons(node{op: "flags", k: width, s: nameOf(in), a: left, b: amount, c: old})
	}
	return w.set(in, 0, width, val)
}

func (w *walker) multiply(in *insn, width uint64) (*event, error) {
	pool, half := w.p, w.m()
	first, second := 0, 1
	if in.Args[2].Kind != machine.KindNone {
		first, second = 1, 2
	}
	left, err := w.get(in, first, width)
	if err != nil {
		return nil, err
	}
	right, err := w.get(in, second, width)
	if err != nil {
		return nil, err
	}
	product := pool.low(width, pool.op2("mul", left, right))
	half.flags = pool.cons(node{op: "flags", k: width, s: "IMUL", a: left, b: right})
	return w.set(in, 0, width, product)
}

// wide multiplies or divides with rdx:rax.
func (w *walker) wide(in *insn, width uint64) (*event, error) {
	pool, half := w.p, w.m()
	if width < 32 {
		return nil, notKnown(in)
	}
	operand, err := w.get(in, 0, width)
	if err != nil {
		return nil, err
	}
	low, high := pool.low(width, half.regs[retReg]), pool.low(width, half.regs[pairReg])
	name := nameOf(in)
	if in.Op == machine.Multiply {
		half.regs[retReg] = pool.low(width, pool.op2("mul", low, operand))
		if low > operand {
			low, operand = operand, low
		}
		half.regs[pairReg] = pool.low(width, pool.cons(node{op: "high", s: name, k: width, a: low, b: operand}))
	} else {
		half.regs[retReg] = pool.low(width, pool.cons(node{op: "quotient", s: name, k: width, a: high, b: low,
			c: operand}))
		half.regs[pairReg] = pool.low(width, pool.cons(node{op: "remainder", s: name, k: width, a: high, b: low,
			c: operand}))
	}
	half.flags = pool.cons(node{op: "flags", k: width, s: name, a: half.regs[retReg], b: half.regs[pairReg],
		c: operand})
	return nil, nil
}

// generic is an instruction whose result and flags depend on its operands, the
// first of which it sets.
func (w *walker) generic(in *insn, width uint64, operands int) (*event, error) {
	pool, half := w.p, w.m()
	var args [3]term
	for i := range operands {
		var err error
		if args[i], err = w.get(in, i, width); err != nil {
			return nil, err
		}
	}
	val := pool.low(width, pool.cons(node{op: nameOf(in), k: width, a: args[0], b: args[1], c: args[2]}))
	half.flags = pool.cons(node{op: "flags", k: width, s: nameOf(in), a: args[0], b: args[1], c: args[2]})
	return w.set(in, 0, width, val)
}
