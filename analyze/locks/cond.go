package locks

import (
	"math"

	"golang.org/x/arch/x86/x86asm"
)

// cc is an x86 condition code; odd ones negate the even one below.
type cc uint8

const (
	ccO cc = iota
	ccNO
	ccB
	ccAE
	ccE
	ccNE
	ccBE
	ccA
	ccS
	ccNS
	ccP
	ccNP
	ccL
	ccGE
	ccLE
	ccG
)

var jcc = map[x86asm.Op]cc{
	x86asm.JO: ccO, x86asm.JNO: ccNO, x86asm.JB: ccB, x86asm.JAE: ccAE, x86asm.JE: ccE, x86asm.JNE: ccNE, x86asm.JBE: ccBE, x86asm.JA: ccA,
	x86asm.JS: ccS, x86asm.JNS: ccNS, x86asm.JP: ccP, x86asm.JNP: ccNP, x86asm.JL: ccL, x86asm.JGE: ccGE, x86asm.JLE: ccLE, x86asm.JG: ccG,
}

var setcc = map[x86asm.Op]cc{
	x86asm.SETO: ccO, x86asm.SETNO: ccNO, x86asm.SETB: ccB, x86asm.SETAE: ccAE, x86asm.SETE: ccE, x86asm.SETNE: ccNE, x86asm.SETBE: ccBE, x86asm.SETA: ccA,
	x86asm.SETS: ccS, x86asm.SETNS: ccNS, x86asm.SETP: ccP, x86asm.SETNP: ccNP, x86asm.SETL: ccL, x86asm.SETGE: ccGE, x86asm.SETLE: ccLE, x86asm.SETG: ccG,
}

var cmovcc = map[x86asm.Op]cc{
	x86asm.CMOVO: ccO, x86asm.CMOVNO: ccNO, x86asm.CMOVB: ccB, x86asm.CMOVAE: ccAE, x86asm.CMOVE: ccE, x86asm.CMOVNE: ccNE, x86asm.CMOVBE: ccBE, x86asm.CMOVA: ccA,
	x86asm.CMOVS: ccS, x86asm.CMOVNS: ccNS, x86asm.CMOVP: ccP, x86asm.CMOVNP: ccNP, x86asm.CMOVL: ccL, x86asm.CMOVGE: ccGE, x86asm.CMOVLE: ccLE, x86asm.CMOVG: ccG,
}

// condition turns a condition code into a predicate on a value, as far as is
// known what the flags are of.
func (w *walker) condition(s *state, c cc) (pred, bool) {
	t := &w.t
	f := s.flags
	switch f.kind {
	case flagsCarry:
		switch c {
		case ccB:
			return pred{f.a, f.size, single(0).complement(f.size)}, true
		case ccAE:
			return pred{f.a, f.size, single(0)}, true
		}
		return pred{}, false
	case flagsLogic, flagsValue:
		if set, ok := resultSet(c, f.size, f.kind == flagsLogic); ok {
			return pred{f.a, f.size, set}, true
		}
		return pred{}, false
	case flagsCmp:
		if k, ok := t.isConst(f.b); ok {
			if set, ok := compareSet(c, signExt(k, f.size), f.size); ok {
				return pred{f.a, f.size, set}, true
			}
			return pred{}, false
		}
		if k, ok := t.isConst(f.a); ok {
			if set, ok := compareSet(swapped(c), signExt(k, f.size), f.size); ok {
				return pred{f.b, f.size, set}, true
			}
			return pred{}, false
		}
		one, zero := single(1), single(0)
		mk := func(k bin, a, b vid, set Set) (pred, bool) {
			v := t.bin(k, a, b, 0, w.age)
			if t.n(v).op != opBin {
				return pred{}, false
			}
			return pred{v, 1, set}, true
		}
		switch c {
		case ccE:
			return mk(binEq, f.a, f.b, one)
		case ccNE:
			return mk(binEq, f.a, f.b, zero)
		case ccB:
			return mk(binLtu, f.a, f.b, one)
		case ccAE:
			return mk(binLtu, f.a, f.b, zero)
		case ccA:
			return mk(binLtu, f.b, f.a, one)
		case ccBE:
			return mk(binLtu, f.b, f.a, zero)
		case ccL:
			return mk(binLt, f.a, f.b, one)
		case ccGE:
			return mk(binLt, f.a, f.b, zero)
		case ccG:
			return mk(binLt, f.b, f.a, one)
		case ccLE:
			return mk(binLt, f.b, f.a, zero)
		}
	}
	return pred{}, false
}

// swapped is the condition on b, a that c is on a, b.
func swapped(c cc) cc {
	switch c {
	case ccB:
		return ccA
	case ccA:
		return ccB
	case ccAE:
		return ccBE
	case ccBE:
		return ccAE
	case ccL:
		return ccG
	case ccG:
		return ccL
	case ccGE:
		return ccLE
	case ccLE:
		return ccGE
	}
	return c
}

// resultSet gives the results for which a condition holds, from the flags
// that a result sets.
func resultSet(c cc, size uint8, logic bool) (Set, bool) {
	f := full(size)[0]
	switch c {
	case ccE:
		return single(0), true
	case ccNE:
		return single(0).complement(size), true
	case ccS:
		return Set{{f.Lo, -1}}, true
	case ccNS:
		return Set{{0, f.Hi}}, true
	}
	if !logic {
		return nil, false
	}
	switch c { // carry and overflow are clear
	case ccB, ccO:
		return Set{}, true
	case ccAE, ccNO:
		return Set{f}, true
	case ccBE:
		return single(0), true
	case ccA:
		return single(0).complement(size), true
	case ccL:
		return Set{{f.Lo, -1}}, true
	case ccGE:
		return Set{{0, f.Hi}}, true
	case ccLE:
		return Set{{f.Lo, 0}}, true
	case ccG:
		return Set{{1, f.Hi}}, true
	}
	return nil, false
}

// compareSet gives the values x for which "x c k" holds; k is sign-extended.
func compareSet(c cc, k int64, size uint8) (Set, bool) {
	f := full(size)[0]
	switch c {
	case ccE:
		return single(k), true
	case ccNE:
		return single(k).complement(size), true
	case ccB: // unsigned
		switch {
		case k == 0:
			return Set{}, true
		case k > 0:
			return Set{{0, k - 1}}, true
		case k == f.Lo:
			return Set{{0, f.Hi}}, true
		}
		return Set{{f.Lo, k - 1}, {0, f.Hi}}, true
	case ccAE:
		s, _ := compareSet(ccB, k, size)
		return s.complement(size), true
	case ccBE:
		if k == -1 {
			return Set{f}, true
		}
		if k == math.MaxInt64 || k == f.Hi {
			return Set{{0, f.Hi}}, true
		}
		return compareSet(ccB, k+1, size)
	case ccA:
		s, _ := compareSet(ccBE, k, size)
		return s.complement(size), true
	case ccL:
		if k == f.Lo {
			return Set{}, true
		}
		return Set{{f.Lo, k - 1}}, true
	case ccGE:
		return Set{{k, f.Hi}}, true
	case ccLE:
		return Set{{f.Lo, k}}, true
	case ccG:
		if k == f.Hi {
			return Set{}, true
		}
		return Set{{k + 1, f.Hi}}, true
	case ccS:
		if k == 0 {
			return Set{{f.Lo, -1}}, true
		}
	case ccNS:
		if k == 0 {
			return Set{{0, f.Hi}}, true
		}
	}
	return nil, false
}
