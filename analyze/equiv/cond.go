package equiv

import "github.com/klpforge/klpforge/analyze/machine"

// condNames are the conditions' names in terms.
var condNames = [...]string{
	machine.CondO: "o", machine.CondNO: "no", machine.CondB: "b", machine.CondAE: "ae", machine.CondE: "e", machine.CondNE: "ne",
	machine.CondBE: "be", machine.CondA: "a", machine.CondS: "s", machine.CondNS: "ns", machine.CondP: "p", machine.CondNP: "np",
	machine.CondL: "l", machine.CondGE: "ge", machine.CondLE: "le", machine.CondG: "g",
}

// contrary are the conditions that terms say by their contrary.
var contrary = map[string]string{"ne": "e", "ae": "b", "be": "a", "ge": "l", "le": "g", "ns": "s", "no": "o", "np": "p"}

// condition gives the term that decides a condition, so that the same question
// is the same term however the compiler asks it; not tells that its contrary is
// meant. The terms are eq, ult and slt of a width and two values, with a
// constant on the right where there is one; "bit"; or what the flags were set by.
func (p *pool) condition(c machine.Cond, flags term) (t term, not bool) {
	cc := condNames[c]
	if c, ok := contrary[cc]; ok {
		cc, not = c, true
	}
	f := p.nodes[flags]
	flip := func(t term, n bool) (term, bool) { return t, n != not }
	switch f.op {
	case "cmp":
		switch cc {
		case "e":
			return flip(p.equal(f.k, f.a, f.b), false)
		case "b":
			return flip(p.less("ult", f.k, f.a, f.b))
		case "a":
			return flip(p.less("ult", f.k, f.b, f.a))
		case "l":
			return flip(p.less("slt", f.k, f.a, f.b))
		case "g":
			return flip(p.less("slt", f.k, f.b, f.a))
		}
	case "logic": // carry and overflow are clear
		zero := p.constant(0)
		switch cc {
		case "e":
			return flip(p.equal(f.k, f.a, zero), false)
		case "b", "o":
			return flip(p.constant(0), false)
		case "a": // neither carry nor zero
			return p.equal(f.k, f.a, zero), !not
		case "l", "s":
			return flip(p.less("slt", f.k, f.a, zero))
		case "g":
			return flip(p.less("slt", f.k, zero, f.a))
		}
	case "result": // of arithmetic: zero and sign are those of the result
		switch cc {
		case "e":
			return flip(p.equal(f.k, f.a, p.constant(0)), false)
		case "s":
			return flip(p.less("slt", f.k, f.a, p.constant(0)))
		}
	case "bit":
		if cc == "b" {
			return flags, not
		}
	}
	return p.cons(node{op: "cc", s: cc, a: flags}), not
}

func (p *pool) equal(width uint64, a, b term) term {
	a, b = p.low(width, a), p.low(width, b)
	v, va := p.isConst(a)
	w, wb := p.isConst(b)
	switch {
	case a == b:
		return p.constant(1)
	case va && wb:
		return p.constant(b2u(v == w))
	case va || !wb && a > b:
		a, b = b, a
	}
	return p.cons(node{op: "eq", k: width, a: a, b: b})
}

// less compares; op is ult or slt.
func (p *pool) less(op string, width uint64, a, b term) (term, bool) {
	a, b = p.low(width, a), p.low(width, b)
	v, va := p.isConst(a)
	w, wb := p.isConst(b)
	switch {
	case a == b:
		return p.constant(0), false
	case va && wb && op == "ult":
		return p.constant(b2u(v < w)), false
	case va && wb:
		return p.constant(b2u(int64(signed(width, v)) < int64(signed(width, w)))), false
	case va:
		// c < x is not (x < c+1), unless c is the largest value.
		top := mask(width)
		if op == "slt" {
			top >>= 1
		}
		if v == top {
			return p.constant(0), false
		}
		return p.cons(node{op: op, k: width, a: b, b: p.constant((v + 1) & mask(width))}), true
	case wb && op == "ult" && w == 1:
		return p.equal(width, a, p.constant(0)), false
	}
	return p.cons(node{op: op, k: width, a: a, b: b}), false
}

func b2u(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}

// implied lists what an answer to a condition says: compilers join tests, as
// a < 0 || b < 0 to (a | b) < 0.
func (p *pool) implied(cond term, is bool) []fact {
	out := []fact{{cond, is}}
	n := p.nodes[cond]
	if k, ok := p.isConst(n.b); !ok || k != 0 || !(n.op == "eq" && is || n.op == "slt" && !is) ||
		p.nodes[n.a].op != "or" {
		return out
	}
	for _, x := range []term{p.nodes[n.a].a, p.nodes[n.a].b} {
		var t term
		var not bool
		if n.op == "eq" {
			t = p.equal(n.k, x, p.constant(0))
		} else {
			t, not = p.less("slt", n.k, x, p.constant(0))
		}
		out = append(out, p.implied(t, is != not)...)
	}
	return out
}

// decide answers a condition from what is known: the condition itself, or what
// bounds the same value.
func (p *pool) decide(facts []fact, cond term) (is, known bool) {
	if v, ok := p.isConst(cond); ok {
		return v != 0, true
	}
	for _, f := range facts {
		if f.cond == cond {
			return f.is, true
		}
	}
	n := p.nodes[cond]
	limit, ok := p.isConst(n.b)
	if !ok || n.op != "eq" && n.op != "ult" && n.op != "slt" {
		return false, false
	}
	r := p.rangeOf(facts, n.k, n.a)
	switch n.op {
	case "eq":
		s := int64(signed(n.k, limit))
		if limit < r.lo || limit > r.hi || s < r.slo || s > r.shi || r.not[limit] {
			return false, true
		}
		return true, r.lo == r.hi || r.slo == r.shi
	case "ult":
		if r.hi < limit {
			return true, true
		}
		return false, r.lo >= limit
	}
	s := int64(signed(n.k, limit))
	if r.shi < s {
		return true, true
	}
	return false, r.slo >= s
}

// bounds of a value, unsigned and signed, and values that it does not have.
type bounds struct {
	lo, hi   uint64
	slo, shi int64
	not      map[uint64]bool
}

func (p *pool) rangeOf(facts []fact, width uint64, x term) bounds {
	top := mask(width)
	r := bounds{0, min(top, mask(uint64(p.width[x]))), -int64(top>>1) - 1, int64(top >> 1), map[uint64]bool{}}
	for range 2 { // one bound may need the other
		for _, f := range facts {
			n := p.nodes[f.cond]
			c, ok := p.isConst(n.b)
			if !ok || n.a != x || n.k != width {
				continue
			}
			s := int64(signed(width, c))
			switch {
			case n.op == "eq" && f.is:
				r.lo, r.hi, r.slo, r.shi = c, c, s, s
			case n.op == "eq":
				r.not[c] = true
				if c == r.lo {
					r.lo++
				}
				if c == r.hi && c > 0 {
					r.hi--
				}
			case n.op == "ult" && f.is && c > 0:
				r.hi = min(r.hi, c-1)
			case n.op == "ult" && !f.is:
				r.lo = max(r.lo, c)
			case n.op == "slt" && f.is:
				r.shi = min(r.shi, s-1)
			case n.op == "slt":
				r.slo = max(r.slo, s)
			}
		}
		// Where the sign is known, both orders agree.
		if r.slo >= 0 {
			r.lo, r.hi = max(r.lo, uint64(r.slo)), min(r.hi, uint64(r.shi))
		}
		if r.hi <= top>>1 {
			r.slo, r.shi = max(r.slo, int64(r.lo)), min(r.shi, int64(r.hi))
		}
	}
	return r
}
