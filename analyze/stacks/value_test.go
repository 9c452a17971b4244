package stacks

import (
	"testing"

	"github.com/klpforge/klpforge/analyze/machine"
)

// numbers meet the limits of all sizes.
var numbers = []uint64{0, 1, 2, 0x40, 0x7f, 0x80, 0xff, 0x4040, 0x7fff, 0x8000, 0xffff, 0x7fffffff, 0x80000000, 0xffffffff, 1 << 32, maxInt, 1 << 63, ^uint64(1), ^uint64(0), ^uint64(0x3f)}

// holdsOf reports whether a number is one that v stands for.
func holdsOf(v value, c uint64) bool {
	return v.kind != number || c&v.zeros == 0 && ^c&v.ones == 0 && int64(c) >= v.lo && int64(c) <= v.hi
}

// pairs calls f with what stands for each two numbers.
func pairs(f func(a, b uint64, v value)) {
	for _, a := range numbers {
		for _, b := range numbers {
			v, _ := join(constant(a), constant(b))
			f(a, b, v)
		}
	}
}

// TestValues checks that what is computed of values holds of all numbers that
// they stand for.
func TestValues(t *testing.T) {
	one := map[string]struct {
		of func(value) value
		do func(uint64) uint64
	}{
		"neg":       {negative, func(a uint64) uint64 { return -a }},
		"not":       {inverse, func(a uint64) uint64 { return ^a }},
		"left 3":    {func(v value) value { return shift(v, 3, false) }, func(a uint64) uint64 { return a << 3 }},
		"right 5":   {func(v value) value { return shift(v, -5, false) }, func(a uint64) uint64 { return a >> 5 }},
		"signed 5":  {func(v value) value { return shift(v, -5, true) }, func(a uint64) uint64 { return uint64(int64(a) >> 5) }},
		"extend 4":  {func(v value) value { return v.extend(4) }, func(a uint64) uint64 { return uint64(uint32(a)) }},
		"extend 1":  {func(v value) value { return v.extend(1) }, func(a uint64) uint64 { return uint64(uint8(a)) }},
		"signed 4":  {func(v value) value { return v.signed(4).tidy() }, func(a uint64) uint64 { return uint64(int64(int32(a))) }},
		"signed 1":  {func(v value) value { return v.signed(1).tidy() }, func(a uint64) uint64 { return uint64(int64(int8(a))) }},
		"low byte":  {func(v value) value { return v.merge(constant(0x40), 0xff) }, func(a uint64) uint64 { return a&^0xff | 0x40 }},
		"unchanged": {func(v value) value { return v }, func(a uint64) uint64 { return a }},
	}
	two := map[string]struct {
		of func(a, b value) value
		do func(a, b uint64) uint64
	}{
		"and": {and, func(a, b uint64) uint64 { return a & b }},
		"or":  {or, func(a, b uint64) uint64 { return a | b }},
		"xor": {xor, func(a, b uint64) uint64 { return a ^ b }},
		"add": {add, func(a, b uint64) uint64 { return a + b }},
	}
	pairs(func(a, b uint64, v value) {
		for name, op := range one {
			got := op.of(v)
			for _, c := range []uint64{a, b} {
				if !holdsOf(got, op.do(c)) {
					t.Errorf("%s of %#x or %#x is %+v, without %#x", name, a, b, got, op.do(c))
				}
			}
		}
		for _, n := range numbers {
			for name, op := range two {
				got := op.of(v, constant(n))
				for _, c := range []uint64{a, b} {
					if !holdsOf(got, op.do(c, n)) {
						t.Errorf("%#x or %#x %s %#x is %+v, without %#x", a, b, name, n, got, op.do(c, n))
					}
				}
			}
		}
	})
}

// TestFlags checks conditions against what the processor computes.
func TestFlags(t *testing.T) {
	signed := func(a uint64, size int) int64 { return int64(a<<(64-8*size)) >> (64 - 8*size) }
	pairs(func(a, b uint64, v value) {
		for _, n := range numbers {
			for _, size := range []int{1, 4, 8} {
				for _, c := range []machine.Cond{machine.CondB, machine.CondE, machine.CondBE, machine.CondL, machine.CondLE, machine.CondS} {
					for _, not := range []machine.Cond{0, 1} {
						compare := flags{op: compared, a: v, b: constant(n), size: size}
						test := flags{op: tested, a: and(v, constant(n)), size: size}
						neg := flags{op: negated, a: v, size: size}
						bit := flags{op: bitTested, a: v, b: constant(n & 7), size: size}
						for _, x := range []uint64{a, b} {
							m := mask(size)
							sx, sn, r := signed(x, size), signed(n, size), signed(x&n, size)
							check := func(what string, f *flags, want map[machine.Cond]bool) {
								w, ok := want[c]
								if yes, known := f.holds(c | not); ok && known && yes != (w != (not == 1)) {
									t.Errorf("%s of %#x (or the other of %#x, %#x) and %#x, %d bytes: condition %d is taken for %v", what, x, a, b, n, size, c|not, yes)
								}
							}
							check("cmp", &compare, map[machine.Cond]bool{machine.CondB: x&m < n&m, machine.CondE: x&m == n&m, machine.CondBE: x&m <= n&m, machine.CondL: sx < sn, machine.CondLE: sx <= sn})
							check("test", &test, map[machine.Cond]bool{machine.CondB: false, machine.CondE: r == 0, machine.CondBE: r == 0, machine.CondL: r < 0, machine.CondLE: r <= 0, machine.CondS: r < 0})
							check("neg", &neg, map[machine.Cond]bool{machine.CondB: x&m != 0, machine.CondE: x&m == 0})
							check("bt", &bit, map[machine.Cond]bool{machine.CondB: x>>(n&7)&1 == 1})
						}
					}
				}
			}
		}
	})
}
