package equiv

import (
	"strings"

	"golang.org/x/arch/x86/x86asm"
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
	p, m := w.p, w.m()
	width := widthOf(in)
	name := in.Op.String()
	if cc, ok := sets[in.Op]; ok {
		t, not := p.condition(cc, m.flags)
		return w.set(in, in.Args[0], 8, p.truth(t, not))
	}
	if cc, ok := moves[in.Op]; ok {
		t, not := p.condition(cc, m.flags)
		a, err := w.get(in, in.Args[0], width)
		if err != nil {
			return nil, err
		}
		b, err := w.get(in, in.Args[1], width)
		if err != nil {
			return nil, err
		}
		if not {
			a, b = b, a
		}
		return w.set(in, in.Args[0], width, p.choose(t, b, a))
	}
	switch in.Op {
	case x86asm.NOP, x86asm.PAUSE:
		if in.Op == x86asm.PAUSE {
			return &event{kind: evOther, in: in, what: "pause", next: in.next()}, nil
		}
		return nil, nil
	case x86asm.MOV, x86asm.MOVZX, x86asm.MOVSX, x86asm.MOVSXD, x86asm.LEA:
		return w.move(in, width)
	case x86asm.ADD, x86asm.SUB, x86asm.AND, x86asm.OR, x86asm.XOR, x86asm.CMP, x86asm.TEST, x86asm.ADC, x86asm.SBB:
		return w.arith(in, width)
	case x86asm.INC, x86asm.DEC, x86asm.NEG, x86asm.NOT, x86asm.BSWAP:
		return w.unary(in, width)
	case x86asm.SHL, x86asm.SHR, x86asm.SAR, x86asm.ROL, x86asm.ROR:
		return w.shift(in, width)
	case x86asm.SHLD, x86asm.SHRD:
		return w.generic(in, width, 3)
	case x86asm.IMUL:
		if in.Args[1] != nil {
			return w.multiply(in, width)
		}
		return w.wide(in, width)
	case x86asm.MUL, x86asm.DIV, x86asm.IDIV:
		return w.wide(in, width)
	case x86asm.CBW, x86asm.CWDE, x86asm.CDQE:
		from := map[x86asm.Op]uint64{x86asm.CBW: 8, x86asm.CWDE: 16, x86asm.CDQE: 32}[in.Op]
		v := p.sext(from, from*2, m.regs[rax])
		if from == 8 {
			v = p.cons(node{op: "ins", k: 16, a: m.regs[rax], b: v})
		}
		m.regs[rax] = v
		return nil, nil
	case x86asm.CWD, x86asm.CDQ, x86asm.CQO:
		wd := map[x86asm.Op]uint64{x86asm.CWD: 16, x86asm.CDQ: 32, x86asm.CQO: 64}[in.Op]
		v := p.low(wd, p.cons(node{op: "sign", k: wd, a: p.low(wd, m.regs[rax])}))
		if wd == 16 {
			v = p.cons(node{op: "ins", k: 16, a: m.regs[rdx], b: v})
		}
		m.regs[rdx] = v
		return nil, nil
	case x86asm.BT:
		a, err := w.get(in, in.Args[0], width)
		if err != nil {
			return nil, err
		}
		if mem, ok := in.Args[0].(x86asm.Mem); ok {
			if _, imm := in.Args[1].(x86asm.Imm); !imm {
				return nil, w.bitAnywhere(in, mem, width)
			}
		}
		b, err := w.get(in, in.Args[1], width)
		if err != nil {
			return nil, err
		}
		m.flags = p.cons(node{op: "bit", k: width, a: a, b: p.low(width, b)})
		return nil, nil
	case x86asm.BTS, x86asm.BTR, x86asm.BTC:
		if _, mem := in.Args[0].(x86asm.Mem); mem {
			return nil, refuse(in.at, "a change of a bit anywhere in memory")
		}
		return w.generic(in, width, 2)
	case x86asm.BSF, x86asm.BSR, x86asm.TZCNT, x86asm.LZCNT, x86asm.POPCNT:
		return w.generic(in, width, 2)
	case x86asm.PUSH:
		v, err := w.get(in, in.Args[0], 64)
		if err != nil {
			return nil, err
		}
		m.regs[rsp] = p.plus(m.regs[rsp], ^uint64(7))
		k, ok := w.frame(m.regs[rsp])
		if !ok {
			return nil, refuse(in.at, "the stack pointer cannot be followed")
		}
		n := p.nodes[v]
		w.storeSlot(k, 8, v, n.op == "var" && strings.HasPrefix(n.s, "saved "))
		return nil, nil
	case x86asm.POP:
		k, ok := w.frame(m.regs[rsp])
		if !ok {
			return nil, refuse(in.at, "the stack pointer cannot be followed")
		}
		v := w.loadSlot(k, 8)
		w.drop(k)
		m.regs[rsp] = p.plus(m.regs[rsp], 8)
		return w.set(in, in.Args[0], 64, v)
	case x86asm.LEAVE:
		k, ok := w.frame(m.regs[rbp])
		if !ok {
			return nil, refuse(in.at, "the stack pointer cannot be followed")
		}
		v := w.loadSlot(k, 8)
		m.regs[rsp], m.regs[rbp] = p.plus(m.regs[rbp], 8), v
		return nil, nil
	case x86asm.XCHG:
		if _, _, _, ok := regOf(in.Args[0]); ok {
			if _, _, _, ok := regOf(in.Args[1]); ok {
				a, err := w.get(in, in.Args[0], width)
				if err != nil {
					return nil, err
				}
				b, err := w.get(in, in.Args[1], width)
				if err != nil {
					return nil, err
				}
				_, _ = w.set(in, in.Args[0], width, b)
				return w.set(in, in.Args[1], width, a)
			}
		}
		return w.atomic(in)
	case x86asm.STOSB, x86asm.STOSW, x86asm.STOSD, x86asm.STOSQ, x86asm.MOVSB, x86asm.MOVSW, x86asm.MOVSD, x86asm.MOVSQ:
		return w.text(in)
	case x86asm.MFENCE, x86asm.LFENCE, x86asm.SFENCE, x86asm.CLI, x86asm.STI, x86asm.HLT, x86asm.PREFETCHT0,
		x86asm.PREFETCHNTA, x86asm.PREFETCHW:
		return &event{kind: evOther, in: in, what: name, next: in.next()}, nil
	case x86asm.RDTSC:
		return &event{kind: evOther, in: in, what: name, outs: []int{rax, rdx}, next: in.next()}, nil
	}
	return nil, refuse(in.at, "an instruction that is not known (%v)", in.Inst)
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

func (w *walker) move(in *insn, width uint64) (*event, error) {
	p := w.p
	switch in.Op {
	case x86asm.MOVZX, x86asm.MOVSX, x86asm.MOVSXD:
		from := uint64(in.MemBytes) * 8
		if _, rw, _, ok := regOf(in.Args[1]); ok {
			from = rw
		}
		v, err := w.get(in, in.Args[1], from)
		if err != nil {
			return nil, err
		}
		if in.Op != x86asm.MOVZX {
			v = p.sext(from, width, v)
		}
		return w.set(in, in.Args[0], width, v)
	}
	for _, a := range in.Args[:2] {
		switch r := a.(type) {
		case x86asm.Reg:
			if _, _, _, ok := regOf(r); !ok {
				return nil, refuse(in.at, "an instruction that is not known (%v)", in.Inst)
			}
		}
	}
	v, err := w.get(in, in.Args[1], width)
	if err != nil {
		return nil, err
	}
	if n, _, _, ok := regOf(in.Args[0]); ok && in.Op == x86asm.MOV && w.b.unused(in, n) {
		// The compiler leaves out reads that nobody wants, unless they are meant for
		// a device.
		if mem, ok := in.Args[1].(x86asm.Mem); ok {
			addr, gs, err := w.address(in, mem)
			if _, own := w.frame(addr); err != nil || own || gs {
				return nil, err
			}
			return &event{kind: evLoad, in: in, addr: addr, size: width / 8, outs: []int{n}, next: in.next()}, nil
		}
	}
	return w.set(in, in.Args[0], width, v)
}

func (w *walker) arith(in *insn, width uint64) (*event, error) {
	p, m := w.p, w.m()
	a, err := w.get(in, in.Args[0], width)
	if err != nil {
		return nil, err
	}
	b, err := w.get(in, in.Args[1], width)
	if err != nil {
		return nil, err
	}
	a64, b64 := a, b
	var v term
	switch in.Op {
	case x86asm.ADD:
		v = p.low(width, p.add(a, b))
		m.flags = p.cons(node{op: "sum", k: width, a: a, b: b, c: v})
	case x86asm.SUB, x86asm.CMP:
		v = p.low(width, p.sub(a64, b64))
		m.flags = p.compare(width, a, b)
	case x86asm.AND, x86asm.TEST:
		v = p.low(width, p.op2("and", a, b))
		m.flags = p.cons(node{op: "logic", k: width, a: v})
	case x86asm.OR:
		v = p.low(width, p.op2("or", a, b))
		m.flags = p.cons(node{op: "logic", k: width, a: v})
	case x86asm.XOR:
		v = p.low(width, p.op2("xor", a, b))
		m.flags = p.cons(node{op: "logic", k: width, a: v})
	default: // adc, sbb
		carry, not := p.condition("b", m.flags)
		v = p.low(width, p.cons(node{op: in.Op.String(), k: width, a: a, b: b, c: p.truth(carry, not)}))
		m.flags = p.cons(node{op: "flags", k: width, s: in.Op.String(), a: a, b: b, c: v})
	}
	if in.Op == x86asm.CMP || in.Op == x86asm.TEST {
		return nil, nil
	}
	return w.set(in, in.Args[0], width, v)
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
	a, err := w.get(in, in.Args[0], width)
	if err != nil {
		return nil, err
	}
	var v term
	switch in.Op {
	case x86asm.INC, x86asm.DEC: // the carry stays
		d := uint64(1)
		if in.Op == x86asm.DEC {
			d = ^uint64(0)
		}
		v = p.low(width, p.plus(a, d))
		m.flags = p.cons(node{op: "result", k: width, a: v, b: m.flags, s: in.Op.String()})
	case x86asm.NEG:
		v = p.low(width, p.sub(p.constant(0), a))
		m.flags = p.cons(node{op: "cmp", k: width, a: p.constant(0), b: a})
	case x86asm.NOT:
		v = p.low(width, p.op2("xor", a, p.constant(mask(width))))
	case x86asm.BSWAP:
		v = p.low(width, p.cons(node{op: "bswap", k: width, a: a}))
	}
	return w.set(in, in.Args[0], width, v)
}

func (w *walker) shift(in *insn, width uint64) (*event, error) {
	p, m := w.p, w.m()
	a, err := w.get(in, in.Args[0], width)
	if err != nil {
		return nil, err
	}
	n := p.constant(1)
	if in.Args[1] != nil {
		if n, err = w.get(in, in.Args[1], 8); err != nil {
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
		return w.set(in, in.Args[0], width, a)
	}
	var v term
	switch {
	case in.Op == x86asm.SHL && fixed:
		v = p.low(width, p.shl(a, k))
	case in.Op == x86asm.SHR && width >= 32:
		v = p.shr(width, a, n)
	default:
		v = p.low(width, p.cons(node{op: in.Op.String(), k: width, a: a, b: n}))
	}
	old := m.flags
	if fixed {
		old = 0
	}
	if fixed && in.Op != x86asm.ROL && in.Op != x86asm.ROR {
		m.flags = p.cons(node{op: "result", k: width, a: v, b: a, c: n, s: in.Op.String()})
	} else {
		m.flags = p.cons(node{op: "flags", k: width, s: in.Op.String(), a: a, b: n, c: old})
	}
	return w.set(in, in.Args[0], width, v)
}

func (w *walker) multiply(in *insn, width uint64) (*event, error) {
	p, m := w.p, w.m()
	x, y := in.Args[0], in.Args[1]
	if in.Args[2] != nil {
		x, y = in.Args[1], in.Args[2]
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
	return w.set(in, in.Args[0], width, v)
}

// wide multiplies or divides with rdx:rax.
func (w *walker) wide(in *insn, width uint64) (*event, error) {
	p, m := w.p, w.m()
	if width < 32 {
		return nil, refuse(in.at, "an instruction that is not known (%v)", in.Inst)
	}
	b, err := w.get(in, in.Args[0], width)
	if err != nil {
		return nil, err
	}
	a, d := p.low(width, m.regs[rax]), p.low(width, m.regs[rdx])
	name := in.Op.String()
	if in.Op == x86asm.MUL || in.Op == x86asm.IMUL {
		m.regs[rax] = p.low(width, p.op2("mul", a, b))
		if a > b {
			a, b = b, a
		}
		m.regs[rdx] = p.low(width, p.cons(node{op: "high", s: name, k: width, a: a, b: b}))
	} else {
		m.regs[rax] = p.low(width, p.cons(node{op: "quotient", s: name, k: width, a: d, b: a, c: b}))
		m.regs[rdx] = p.low(width, p.cons(node{op: "remainder", s: name, k: width, a: d, b: a, c: b}))
	}
	m.flags = p.cons(node{op: "flags", k: width, s: name, a: m.regs[rax], b: m.regs[rdx], c: b})
	return nil, nil
}

// generic is an instruction whose result and flags depend on its operands, the
// first of which it sets.
func (w *walker) generic(in *insn, width uint64, operands int) (*event, error) {
	p, m := w.p, w.m()
	var x [3]term
	for i := range operands {
		var err error
		if x[i], err = w.get(in, in.Args[i], width); err != nil {
			return nil, err
		}
	}
	v := p.low(width, p.cons(node{op: in.Op.String(), k: width, a: x[0], b: x[1], c: x[2]}))
	m.flags = p.cons(node{op: "flags", k: width, s: in.Op.String(), a: x[0], b: x[1], c: x[2]})
	return w.set(in, in.Args[0], width, v)
}
