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
	if opposite, ok := contrary[cc]; ok {
		cc, not = opposite, true
	}
	set := p.nodes[flags]
	flip := func(t term, n bool) (term, bool) { return t, n != not }
	switch set.op {
	case "cmp":
		switch cc {
		case "e":
			return flip(p.equal(set.k, set.a, set.b), false)
		case "b":
			return flip(p.less("ult", set.k, set.a, set.b))
		case "a":
			return flip(p.less("ult", set.k, set.b, set.a))
		case "l":
			return flip(p.less("slt", set.k, set.a, set.b))
		case "g":
			return flip(p.less("slt", set.k, set.b, set.a))
		}
	case "logic": // carry and overflow are clear
		zero := p.constant(0)
		switch cc {
		case "e":
			return flip(p.equal(set.k, set.a, zero), false)
		case "b", "o":
			return flip(p.constant(0), false)
		case "a": // neither carry nor zero
			return p.equal(set.k, set.a, zero), !not
		case "l", "s":
			return flip(p.less("slt", set.k, set.a, zero))
		case "g":
			return flip(p.less("slt", set.k, zero, set.a))
		}
	case "result": // of arithmetic: zero and sign are those of the result
		switch cc {
		case "e":
			return flip(p.equal(set.k, set.a, p.constant(0)), false)
		case "s":
			return flip(p.less("slt", set.k, set.a, p.constant(0)))
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
	leftImm, va := p.isConst(a)
	rightImm, wb := p.isConst(b)
	switch {
	case a == b:
		return p.constant(1)
	case va && wb:
		return p.constant(b2u(leftImm == rightImm))
	case va || !wb && a > b:
		a, b = b, a
	}
	return p.cons(node{op: "eq", k: width, a: a, b: b})
}

// less compares; op is ult or slt.
func (p *pool) less(op string, width uint64, a, b term) (term, bool) {
	a, b = p.low(width, a), p.low(width, b)
	leftImm, va := p.isConst(a)
	rightImm, wb := p.isConst(b)
	switch {
	case a == b:
		return p.constant(0), false
	case va && wb && op == "ult":
		return p.constant(b2u(leftImm < rightImm)), false
	case va && wb:
		return p.constant(b2u(int64(signed(width, leftImm)) < int64(signed(width, rightImm)))), false
	case va:
		// c < x is not (x < c+1), unless c is the largest value.
		top := mask(width)
		if op == "slt" {
			top >>= 1
		}
		if leftImm == top {
			return p.constant(0), false
		}
		return p.cons(node{op: op, k: width, a: b, b: p.constant((leftImm + 1) & mask(width))}), true
	case wb && op == "ult" && rightImm == 1:
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
	expr := p.nodes[cond]
	if zero, ok := p.isConst(expr.b); !ok || zero != 0 || !(expr.op == "eq" && is || expr.op == "slt" && !is) ||
		p.nodes[expr.a].op != "or" {
		return out
	}
	for _, part := range []term{p.nodes[expr.a].a, p.nodes[expr.a].b} {
		var bound term
		var not bool
		if expr.op == "eq" {
			bound = p.equal(expr.k, part, p.constant(0))
		} else {
			bound, not = p.less("slt", expr.k, part, p.constant(0))
		}
		out = append(out, p.implied(bound, is != not)...)
	}
	return out
}

// decide answers a condition from what is known: the condition itself, or what
// bounds the same value.
func (p *pool) decide(facts []fact, cond term) (is, known bool) {
	if truth, ok := p.isConst(cond); ok {
		return truth != 0, true
	}
	for _, fact := range facts {
		if fact.cond == cond {
			return fact.is, true
		}
	}
	expr := p.nodes[cond]
	limit, ok := p.isConst(expr.b)
	if !ok || expr.op != "eq" && expr.op != "ult" && expr.op != "slt" {
		return false, false
	}
	limits := p.rangeOf(facts, expr.k, expr.a)
	switch expr.op {
	case "eq":
		signedLimit := int64(signed(expr.k, limit))
		if limit < limits.lo || limit > limits.hi || signedLimit < limits.slo || signedLimit > limits.shi ||
			limits.not[limit] {
			return false, true
		}
		return true, limits.lo == limits.hi || limits.slo == limits.shi
	case "ult":
		if limits.hi < limit {
			return true, true
		}
		return false, limits.lo >= limit
	}
	signedLimit := int64(signed(expr.k, limit))
	if limits.shi < signedLimit {
		return true, true
	}
	return false, limits.slo >= signedLimit
}

// bounds of a value, unsigned and signed, and values that it does not have.
type bounds struct {
	lo, hi   uint64
	slo, shi int64
	not      map[uint64]bool
}

func (p *pool) rangeOf(facts []fact, width uint64, x term) bounds {
	top := mask(width)
	limits := bounds{0, min(top, mask(uint64(p.width[x]))), -int64(top>>1) - 1, int64(top >> 1), map[uint64]bool{}}
	for range 2 { // one bound may need the other
		for _, fact := range facts {
			expr := p.nodes[fact.cond]
			limit, ok := p.isConst(expr.b)
			if !ok || expr.a != x || expr.k != width {
				continue
			}
			signedImm := int64(signed(width, limit))
			switch {
			case expr.op == "eq" && fact.is:
				limits.lo, limits.hi, limits.slo, limits.shi = limit, limit, signedImm, signedImm
			case expr.op == "eq":
				limits.not[limit] = true
				if limit == limits.lo {
					limits.lo++
				}
				if limit == limits.hi && limit > 0 {
					limits.hi--
				}
			case expr.op == "ult" && fact.is && limit > 0:
				limits.hi = min(limits.hi, limit-1)
			case expr.op == "ult" && !fact.is:
				limits.lo = max(limits.lo, limit)
			case expr.op == "slt" && fact.is:
				limits.shi = min(limits.shi, signedImm-1)
			case expr.op == "slt":
				limits.slo = max(limits.slo, signedImm)
			}
		}
		// Where the sign is known, both orders agree.
		if limits.slo >= 0 {
			limits.lo, limits.hi = max(limits.lo, uint64(limits.slo)), min(limits.hi, uint64(limits.shi))
		}
		if limits.hi <= top>>1 {
			limits.slo, limits.shi = max(limits.slo, int64(limits.lo)), min(limits.shi, int64(limits.hi))
		}
	}
	return limits
}
