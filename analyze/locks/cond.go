package locks

import (
	"math"

	"github.com/klpforge/klpforge/analyze/machine"
)

// condition turns a condition code into a predicate on a value, as far as is
// known what the flags are of.
func (w *walker) condition(s *state, c machine.Cond) (pred, bool) {
	vals := &w.t
	flags := s.flags
	switch flags.kind {
	case flagsCarry:
		switch c {
		case machine.CondB:
			return pred{flags.a, flags.size, single(0).complement(flags.size)}, true
		case machine.CondAE:
			return pred{flags.a, flags.size, single(0)}, true
		}
		return pred{}, false
	case flagsLogic, flagsValue:
		if set, ok := resultSet(c, flags.size, flags.kind == flagsLogic); ok {
			return pred{flags.a, flags.size, set}, true
		}
		return pred{}, false
	case flagsCmp:
		if imm, ok := vals.isConst(flags.b); ok {
			if set, ok := compareSet(c, signExt(imm, flags.size), flags.size); ok {
				return pred{flags.a, flags.size, set}, true
			}
			return pred{}, false
		}
		if imm, ok := vals.isConst(flags.a); ok {
			swapped, ok := c.Swapped()
			if !ok {
				return pred{}, false
			}
			set, ok := compareSet(swapped, signExt(imm, flags.size), flags.size)
			return pred{flags.b, flags.size, set}, ok
		}
		one, zero := single(1), single(0)
		mk := func(k bin, a, b vid, set Set) (pred, bool) {
			result := vals.bin(k, a, b, 0, w.age)
			if vals.n(result).op != opBin {
				return pred{}, false
			}
			return pred{result, 1, set}, true
		}
		switch c {
		case machine.CondE:
			return mk(binEq, flags.a, flags.b, one)
		case machine.CondNE:
			return mk(binEq, flags.a, flags.b, zero)
		case machine.CondB:
			return mk(binLtu, flags.a, flags.b, one)
		case machine.CondAE:
			return mk(binLtu, flags.a, flags.b, zero)
		case machine.CondA:
			return mk(binLtu, flags.b, flags.a, one)
		case machine.CondBE:
			return mk(binLtu, flags.b, flags.a, zero)
		case machine.CondL:
			return mk(binLt, flags.a, flags.b, one)
		case machine.CondGE:
			return mk(binLt, flags.a, flags.b, zero)
		case machine.CondG:
			return mk(binLt, flags.b, flags.a, one)
		case machine.CondLE:
			return mk(binLt, flags.b, flags.a, zero)
		}
	}
	return pred{}, false
}

// resultSet gives the results for which a condition holds, from the flags
// that a result sets.
func resultSet(c machine.Cond, size uint8, logic bool) (Set, bool) {
	whole := full(size)[0]
	switch c {
	case machine.CondE:
		return single(0), true
	case machine.CondNE:
		return single(0).complement(size), true
	case machine.CondS:
		return Set{{whole.Lo, -1}}, true
	case machine.CondNS:
		return Set{{0, whole.Hi}}, true
	}
	if !logic {
		return nil, false
	}
	switch c { // carry and overflow are clear
	case machine.CondB, machine.CondO:
		return Set{}, true
	case machine.CondAE, machine.CondNO:
		return Set{whole}, true
	case machine.CondBE:
		return single(0), true
	case machine.CondA:
		return single(0).complement(size), true
	case machine.CondL:
		return Set{{whole.Lo, -1}}, true
	case machine.CondGE:
		return Set{{0, whole.Hi}}, true
	case machine.CondLE:
		return Set{{whole.Lo, 0}}, true
	case machine.CondG:
		return Set{{1, whole.Hi}}, true
	}
	return nil, false
}

// compareSet gives the values x for which "x c k" holds; k is sign-extended.
func compareSet(c machine.Cond, k int64, size uint8) (Set, bool) {
	whole := full(size)[0]
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
		case k == whole.Lo:
			return Set{{0, whole.Hi}}, true
		}
		return Set{{whole.Lo, k - 1}, {0, whole.Hi}}, true
	case machine.CondAE:
		below, _ := compareSet(machine.CondB, k, size)
		return below.complement(size), true
	case machine.CondBE:
		if k == -1 {
			return Set{whole}, true
		}
		if k == math.MaxInt64 || k == whole.Hi {
			return Set{{0, whole.Hi}}, true
		}
		return compareSet(machine.CondB, k+1, size)
	case machine.CondA:
		atMost, _ := compareSet(machine.CondBE, k, size)
		return atMost.complement(size), true
	case machine.CondL:
		if k == whole.Lo {
			return Set{}, true
		}
		return Set{{whole.Lo, k - 1}}, true
	case machine.CondGE:
		return Set{{k, whole.Hi}}, true
	case machine.CondLE:
		return Set{{whole.Lo, k}}, true
	case machine.CondG:
		if k == whole.Hi {
			return Set{}, true
		}
		return Set{{k + 1, whole.Hi}}, true
	case machine.CondS:
		if k == 0 {
			return Set{{whole.Lo, -1}}, true
		}
	case machine.CondNS:
		if k == 0 {
			return Set{{0, whole.Hi}}, true
		}
	}
	return nil, false
}
