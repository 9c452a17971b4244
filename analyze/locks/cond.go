package locks

import (
	"math"

	"github.com/klpforge/klpforge/analyze/machine"
)

// condition turns a condition code into a predicate on a value, as far as is
// known what the flags are of.
func (w *walker) condition(s *state, c machine.Cond) (pred, bool) {
	t := &w.t
	f := s.flags
	switch f.kind {
	case flagsCarry:
		switch c {
		case machine.CondB:
			return pred{f.a, f.size, single(0).complement(f.size)}, true
		case machine.CondAE:
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
			if set, ok := compareSet(c.Swapped(), signExt(k, f.size), f.size); ok {
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
		case machine.CondE:
			return mk(binEq, f.a, f.b, one)
		case machine.CondNE:
			return mk(binEq, f.a, f.b, zero)
		case machine.CondB:
			return mk(binLtu, f.a, f.b, one)
		case machine.CondAE:
			return mk(binLtu, f.a, f.b, zero)
		case machine.CondA:
			return mk(binLtu, f.b, f.a, one)
		case machine.CondBE:
			return mk(binLtu, f.b, f.a, zero)
		case machine.CondL:
			return mk(binLt, f.a, f.b, one)
		case machine.CondGE:
			return mk(binLt, f.a, f.b, zero)
		case machine.CondG:
			return mk(binLt, f.b, f.a, one)
		case machine.CondLE:
			return mk(binLt, f.b, f.a, zero)
		}
	}
	return pred{}, false
}

// resultSet gives the results for which a condition holds, from the flags
// that a result sets.
func resultSet(c machine.Cond, size uint8, logic bool) (Set, bool) {
	f := full(size)[0]
	switch c {
	case machine.CondE:
		return single(0), true
	case machine.CondNE:
		return single(0).complement(size), true
	case machine.CondS:
		return Set{{f.Lo, -1}}, true
	case machine.CondNS:
		return Set{{0, f.Hi}}, true
	}
	if !logic {
		return nil, false
	}
	switch c { // carry and overflow are clear
	case machine.CondB, machine.CondO:
		return Set{}, true
	case machine.CondAE, machine.CondNO:
		return Set{f}, true
	case machine.CondBE:
		return single(0), true
	case machine.CondA:
		return single(0).complement(size), true
	case machine.CondL:
		return Set{{f.Lo, -1}}, true
	case machine.CondGE:
		return Set{{0, f.Hi}}, true
	case machine.CondLE:
		return Set{{f.Lo, 0}}, true
	case machine.CondG:
		return Set{{1, f.Hi}}, true
	}
	return nil, false
}

// compareSet gives the values x for which "x c k" holds; k is sign-extended.
func compareSet(c machine.Cond, k int64, size uint8) (Set, bool) {
	f := full(size)[0]
	switch c {
	case machine.CondE:
		return single(k), true
	case machine.CondNE:
		return single(k).complement(size), true
	case machine.CondB: // unsigned
		switch {
		case k == 0:
			return Set{}, true
		case k > 0:
			return Set{{0, k - 1}}, true
		case k == f.Lo:
			return Set{{0, f.Hi}}, true
		}
		return Set{{f.Lo, k - 1}, {0, f.Hi}}, true
	case machine.CondAE:
		s, _ := compareSet(machine.CondB, k, size)
		return s.complement(size), true
	case machine.CondBE:
		if k == -1 {
			return Set{f}, true
		}
		if k == math.MaxInt64 || k == f.Hi {
			return Set{{0, f.Hi}}, true
		}
		return compareSet(machine.CondB, k+1, size)
	case machine.CondA:
		s, _ := compareSet(machine.CondBE, k, size)
		return s.complement(size), true
	case machine.CondL:
		if k == f.Lo {
			return Set{}, true
		}
		return Set{{f.Lo, k - 1}}, true
	case machine.CondGE:
		return Set{{k, f.Hi}}, true
	case machine.CondLE:
		return Set{{f.Lo, k}}, true
	case machine.CondG:
		if k == f.Hi {
			return Set{}, true
		}
		return Set{{k + 1, f.Hi}}, true
	case machine.CondS:
		if k == 0 {
			return Set{{f.Lo, -1}}, true
		}
	case machine.CondNS:
		if k == 0 {
			return Set{{0, f.Hi}}, true
		}
	}
	return nil, false
}
