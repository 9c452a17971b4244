package locks

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/klpforge/klpforge/analyze/machine"
)

// members lists what a set of bytes holds, by definition.
func members(s Set) (out [256]bool) {
	for _, x := range s {
		for v := max(x.Lo, -128); v <= min(x.Hi, 127); v++ {
			out[v+128] = true
		}
	}
	return out
}

// wellFormed: ascending, apart, few.
func wellFormed(s Set) bool {
	for i, x := range s {
		if x.Lo > x.Hi || i > 0 && x.Lo <= s[i-1].Hi+1 {
			return false
		}
	}
	return s != nil && len(s) <= maxSpans
}

// Sets behave as sets of numbers do. What keeps more ranges than it may grows, and only by
// what lies in the smallest gaps.
func TestSets(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	random := func(most int) Set {
		out := Set{}
		for range rng.IntN(most + 1) {
			lo := int64(rng.IntN(256) - 128)
			out = out.union(Set{{lo, min(lo+int64(rng.IntN(20)), 127)}})
		}
		return out
	}
	check := func(what string, got Set, want [256]bool, exact bool) {
		t.Helper()
		if !wellFormed(got) {
			t.Fatalf("%s: %v", what, got)
		}
		have := members(got)
		for i := range want {
			if want[i] && !have[i] || exact && have[i] != want[i] {
				t.Fatalf("%s is %v: %d is a member %v, want %v", what, got, i-128, have[i], want[i])
			}
		}
		for v := int64(-128); v < 128; v++ {
			if got.Contains(v) != have[v+128] {
				t.Fatalf("%s: contains %d: %v", what, v, got.Contains(v))
			}
		}
		if got.Empty() != (have == [256]bool{}) {
			t.Fatalf("%s: empty %v", what, got.Empty())
		}
	}
	for range 20000 {
		a, b := random(2), random(2)
		ma, mb := members(a), members(b)
		var both, either, none [256]bool
		for i := range ma {
			both[i], either[i], none[i] = ma[i] && mb[i], ma[i] || mb[i], !ma[i]
		}
		check("intersection", a.intersect(b), both, true)
		check("union", a.union(b), either, true) // of at most four ranges
		check("complement", a.complement(1), none, true)
		if a.Equal(b) != (ma == mb) || !a.Equal(append(Set{}, a...)) {
			t.Fatalf("%v and %v: equal %v", a, b, a.Equal(b))
		}
		c := random(9)
		check("union of many", c, members(c), true)
		check("union with many", a.union(c), [256]bool{}, false)
	}
	// Too many ranges: the closest become one.
	s := Set{}
	for _, lo := range []int64{-100, -60, -20, 0, 3, 50} {
		s = s.union(single(lo))
	}
	if want := (Set{{-100, -100}, {-60, -60}, {-20, -20}, {0, 3}, {50, 50}}); !s.Equal(want) {
		t.Errorf("%v, want %v", s, want)
	}
	if got := (Set{{math.MinInt64, -1}}).union(Set{{1, math.MaxInt64}}).union(single(0)); !isFull(got, 8) || isFull(got, 4) {
		t.Errorf("all numbers: %v", got)
	}
	if Set(nil).Equal(Set{}) || Set(nil).Empty() || !(Set{}).Empty() || !Set(nil).Contains(5) || (Set{}).Contains(5) {
		t.Error("no set, and the empty set")
	}
	for _, c := range []struct {
		s  Set
		v  int64
		ok bool
	}{{single(5), 5, true}, {Set{{5, 6}}, 0, false}, {Set{}, 0, false}, {nil, 0, false}, {Set{{1, 1}, {3, 3}}, 0, false}} {
		if v, ok := c.s.Single(); v != c.v || ok != c.ok {
			t.Errorf("%v: single %d, %v", c.s, v, ok)
		}
	}
	for want, s := range map[string]Set{"any": nil, "": {}, "0": single(0), "[min,-1]|[1,max]": single(0).complement(4), "[-4095,-1]": {{-4095, -1}}, "min": single(-128), "max": single(127)} {
		if got := s.String(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// A condition on a byte holds for exactly the numbers for which a processor says so.
func TestConditionSets(t *testing.T) {
	holds := func(c machine.Cond, x, k int8) bool {
		switch c {
		case machine.CondE:
			return x == k
		case machine.CondNE:
			return x != k
		case machine.CondB:
			return uint8(x) < uint8(k)
		case machine.CondAE:
			return uint8(x) >= uint8(k)
		case machine.CondBE:
			return uint8(x) <= uint8(k)
		case machine.CondA:
			return uint8(x) > uint8(k)
		case machine.CondL:
			return x < k
		case machine.CondGE:
			return x >= k
		case machine.CondLE:
			return x <= k
		case machine.CondG:
			return x > k
		case machine.CondS:
			return x-k < 0
		}
		return x-k >= 0 // CondNS
	}
	known := 0
	for cond := machine.Cond(0); cond < 16; cond++ {
		if cond == machine.CondO || cond == machine.CondNO || cond == machine.CondP || cond == machine.CondNP {
			continue
		}
		for k := -128; k < 128; k++ {
			s, ok := compareSet(cond, int64(k), 1)
			if !ok {
				continue
			}
			known++
			for x := -128; x < 128; x++ {
				if got, want := s.Contains(int64(x)), holds(cond, int8(x), int8(k)); got != want {
					t.Fatalf("condition %d, %d with %d: %v, want %v (%v)", cond, x, k, got, want, s)
				}
			}
			if !wellFormed(s) {
				t.Fatalf("condition %d with %d: %v", cond, k, s)
			}
		}
		for _, logic := range []bool{true, false} {
			s, ok := resultSet(cond, 1, logic)
			if ok != (logic || cond == machine.CondE || cond == machine.CondNE || cond == machine.CondS || cond == machine.CondNS) {
				t.Errorf("condition %d of a result, logic %v: known %v", cond, logic, ok)
			}
			for x := -128; ok && x < 128; x++ {
				if got, want := s.Contains(int64(x)), holds(cond, int8(x), 0); got != want {
					t.Fatalf("condition %d of the result %d: %v, want %v", cond, x, got, want)
				}
			}
		}
	}
	if known != 10*256+2 {
		t.Errorf("%d comparisons are known", known)
	}
}

// Numbers of some bytes, with and without a sign.
func TestExtensions(t *testing.T) {
	for _, v := range []int64{0, 1, -1, 127, 128, 255, 256, -128, -129, 32767, 32768, 65535, 65536, math.MaxInt32, math.MaxInt32 + 1, math.MaxUint32, math.MinInt32, math.MaxInt64, math.MinInt64} {
		for size, want := range map[uint8][2]int64{1: {int64(int8(v)), int64(uint8(v))}, 2: {int64(int16(v)), int64(uint16(v))}, 4: {int64(int32(v)), int64(uint32(v))}, 8: {v, v}} {
			if s, z := signExt(v, size), zeroExt(v, size); s != want[0] || z != want[1] {
				t.Errorf("%#x, %d bytes: %#x and %#x", v, size, s, z)
			}
			f := full(size)
			if !isFull(f, size) || !f.Contains(signExt(v, size)) || f[0].Lo != -f[0].Hi-1 || size < 8 && f[0].Hi != 1<<(8*size-1)-1 {
				t.Errorf("%d bytes: all are %v", size, f)
			}
		}
	}
	for lo := int64(0); lo < 256; lo += 3 {
		for hi := lo; hi < 256; hi += 7 {
			s := Set{{lo, hi}}.narrow(1)
			for v := int64(0); v < 256; v++ {
				if got, want := s.Contains(int64(int8(v))), v >= lo && v <= hi; got != want {
					t.Fatalf("[%d,%d] as signed bytes is %v: %d %v, want %v", lo, hi, s, v, got, want)
				}
			}
		}
	}
	if s := (Set{{5, 9}}); !s.narrow(8).Equal(s) {
		t.Error("eight bytes are narrowed")
	}
}
