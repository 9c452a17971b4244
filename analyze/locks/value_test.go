package locks

import (
	"math/rand/v2"
	"testing"

	"github.com/klpforge/klpforge/analyze/machine"
)

// meaning evaluates expressions with numbers for the registers at entry, and with a memory
// that never changes.
type meaning struct {
	t    *values
	regs [nregs]int64
}

func (m *meaning) of(v vid) int64 {
	expr := *m.t.n(v)
	switch expr.op {
	case opConst:
		return expr.imm
	case opEntry:
		return m.regs[expr.imm]
	case opAdd:
		return m.of(expr.a) + expr.imm
	case opBin:
		return computed(bin(expr.k), m.of(expr.a), m.of(expr.b))
	case opExt:
		if expr.k == 1 {
			return signExt(m.of(expr.a), expr.size)
		}
		return zeroExt(m.of(expr.a), expr.size)
	case opLoad:
		return stored(m.of(expr.a), expr.size)
	case opSet:
		if cond := m.t.preds[expr.imm]; cond.set.Contains(signExt(m.of(cond.v), cond.size)) {
			return 1
		}
		return 0
	}
	panic("no such expression is made")
}

// stored is what memory holds.
func stored(addr int64, size uint8) int64 {
	return zeroExt(addr*-0x61c8864680b583eb>>7, size)
}

func computed(op bin, a, b int64) int64 {
	truth := func(holds bool) int64 {
		if holds {
			return 1
		}
		return 0
	}
	switch op {
	case binAdd:
		return a + b
	case binSub:
		return a - b
	case binAnd:
		return a & b
	case binOr:
		return a | b
	case binXor:
		return a ^ b
	case binShl:
		return a << (b & 63)
	case binShr:
		return int64(uint64(a) >> (b & 63))
	case binSar:
		return a >> (b & 63)
	case binMul:
		return a * b
	case binEq:
		return truth(a == b)
	case binLtu:
		return truth(uint64(a) < uint64(b))
	}
	return truth(a < b)
}

var edgeNumbers = []int64{0, 1, 2, 3, 7, 8, 15, 127, 128, 200, 255, 256, 4095, 65535, -1, -2, -8, -128, -129, -4096, 1<<31 - 1, 1 << 31, -1 << 31, 1<<32 - 1, 1 << 32, 1<<63 - 1, -1 << 63}

// random builds an expression and what it is worth.
func (m *meaning) random(rng *rand.Rand, depth int) (vid, int64) {
	vals := m.t
	if depth == 0 || rng.IntN(6) == 0 {
		if rng.IntN(2) == 0 {
			number := edgeNumbers[rng.IntN(len(edgeNumbers))]
			return vals.constant(number), number
		}
		reg := machine.Num(rng.IntN(4))
		return vals.entry(reg), m.regs[reg]
	}
	left, a := m.random(rng, depth-1)
	size := []uint8{1, 2, 4, 8}[rng.IntN(4)]
	switch rng.IntN(8) {
	case 0:
		number := edgeNumbers[rng.IntN(len(edgeNumbers))]
		return vals.addImm(left, number), a + number
	case 1:
		return vals.ext(left, size, false), zeroExt(a, size)
	case 2:
		return vals.ext(left, size, true), signExt(a, size)
	case 3:
		return vals.load(left, size, false, int32(rng.IntN(3)), -1, 1, 0), stored(a, size)
	case 4:
		set := randomSet(rng, size)
		worth := int64(0)
		if set.Contains(signExt(a, size)) {
			worth = 1
		}
		return vals.set(pred{left, size, set}), worth
	}
	right, b := m.random(rng, depth-1)
	op := bin(rng.IntN(int(binLt) + 1))
	return vals.bin(op, left, right, 1, 0), computed(op, a, b)
}

// randomSet is a set of numbers of a size, which is neither empty nor full.
func randomSet(rng *rand.Rand, size uint8) Set {
	for {
		set := Set{}
		for range 1 + rng.IntN(2) {
			lo, hi := signExt(edgeNumbers[rng.IntN(len(edgeNumbers))], size), signExt(edgeNumbers[rng.IntN(len(edgeNumbers))], size)
			set = set.union(Set{{min(lo, hi), max(lo, hi)}})
		}
		if rng.IntN(3) == 0 {
			set = set.complement(size)
		}
		if !set.Empty() && !isFull(set, size) {
			return set
		}
	}
}

func newMeaning(rng *rand.Rand) *meaning {
	m := &meaning{t: &values{}}
	m.t.reset()
	for i := range m.regs {
		m.regs[i] = edgeNumbers[rng.IntN(len(edgeNumbers))] + int64(rng.IntN(3)) - 1
	}
	return m
}

// TestExpressions: however an expression is simplified, it is worth the same: also without the
// times at which memory was read, taken apart, and put together again. Equal ones are one.
func TestExpressions(t *testing.T) {
	rng := rand.New(rand.NewPCG(21, 22))
	folded := 0
	for range 20000 {
		m := newMeaning(rng)
		v, want := m.random(rng, 4)
		if got := m.of(v); got != want {
			t.Fatalf("value %d is worth %#x, want %#x: %+v", v, got, want, m.t.nodes)
		}
		if got := m.of(m.t.stripped(v)); got != want {
			t.Fatalf("value %d without times is worth %#x, want %#x: %+v", v, got, want, m.t.nodes)
		}
		base, off := m.t.split(v)
		if got := m.of(base) + off; got != want || m.t.addImm(base, off) != v {
			t.Fatalf("value %d is taken apart into %d and %#x: %+v", v, base, off, m.t.nodes)
		}
		if again := m.t.stripped(m.t.stripped(v)); again != m.t.stripped(v) {
			t.Fatalf("value %d without times is %d, and that without times %d", v, m.t.stripped(v), again)
		}
		if _, ok := m.t.isConst(v); ok {
			folded++
		}
	}
	if folded < 2000 {
		t.Errorf("only %d expressions are constants", folded)
	}
}

// TestFacts: what is assumed of a value and is true stays possible, and then nothing that is
// known of any value is wrong. What cannot be is often noticed.
func TestFacts(t *testing.T) {
	rng := rand.New(rand.NewPCG(23, 24))
	narrowed, refused, wrongs := 0, 0, 0
	for range 6000 {
		m := newMeaning(rng)
		s := &state{}
		for range 1 + rng.IntN(3) {
			v, worth := m.random(rng, 3)
			size := phiSizes[rng.IntN(len(phiSizes))]
			set := randomSet(rng, size)
			if !set.Contains(signExt(worth, size)) {
				wrongs++
				if !m.t.assume(s.clone(), v, size, set) {
					refused++
				}
				set = set.complement(size)
			}
			if !m.t.assume(s, v, size, set) {
				t.Fatalf("%d bytes of value %d, %#x, cannot be in %v: %+v", size, v, worth, set, m.t.nodes)
			}
			known := m.t.known(s, v, size)
			if !isFull(known, size) {
				narrowed++
			}
		}
		for v := range m.t.nodes {
			if m.t.nodes[v].op == opLoad && m.t.nodes[v].k == 1 {
				continue
			}
			worth := m.of(vid(v))
			for _, size := range []uint8{1, 2, 4, 8} {
				if known := m.t.known(s, vid(v), size); !known.Contains(signExt(worth, size)) {
					t.Fatalf("%d bytes of value %d, %#x, are known to be in %v: %+v, facts %+v", size, v, worth, known, m.t.nodes, s.facts)
				}
			}
			held := m.t.holds(s, pred{vid(v), 4, Set{{0, 5}}})
			if within := signExt(worth, 4) >= 0 && signExt(worth, 4) <= 5; held >= 0 && (held == 1) != within {
				t.Fatalf("value %d, %#x, is said to be 0 to 5: %d", v, worth, held)
			}
		}
	}
	t.Logf("%d facts say something, %d of %d wrong ones were refused", narrowed, refused, wrongs)
	if narrowed < 6000 || refused < wrongs/3 {
		t.Errorf("%d facts say something, %d of %d wrong ones were refused", narrowed, refused, wrongs)
	}
}
