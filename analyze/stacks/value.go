package stacks

import (
	"math"
	"math/bits"

	"github.com/klpforge/klpforge/analyze/machine"
)

// value is what is known of a register or of a place on the stack.
type value struct {
	kind kind
	// left: no more than what it was before, or what is left of a time after a
	// wait of that length.
	left bool
	// region, of pointers, is the part of memory.
	region int8
	from   member // where something unknown was loaded from, as sock.sk_rcvtimeo
	// Of numbers: bits that are surely set and surely clear, and the smallest and
	// largest it can be, signed.
	ones, zeros uint64
	lo, hi      int64
	// Of pointers: the offset into region in bytes; the lowest that is possible where
	// it is not known.
	off int64
}

type kind uint8

const (
	top     kind = iota // anything
	number              // ones, zeros, lo and hi tell something
	pointer             // to off bytes into region
	blurred             // perhaps a pointer to off bytes into region, or beyond
)

// Parts of memory: the function's own frame, and what its arguments point to.
const (
	frame    = 0
	nregions = 7
)

const maxInt, minInt = math.MaxInt64, math.MinInt64

func constant(c uint64) value {
	return value{kind: number, ones: c, zeros: ^c, lo: int64(c), hi: int64(c)}
}

func (v value) isConst() bool { return v.kind == number && v.ones == ^v.zeros }

// num is the value as a number: all numbers, where nothing is known.
func (v value) num() value {
	if v.kind == number {
		return v
	}
	return value{kind: number, lo: minInt, hi: maxInt}
}

// tidy makes bits and limits agree; a number of which nothing is known is top.
func (v value) tidy() value {
	if (v.ones|v.zeros)>>63 == 1 { // the sign is known
		v.lo, v.hi = max(v.lo, int64(v.ones)), min(v.hi, int64(^v.zeros))
	}
	switch {
	case v.lo > v.hi || v.ones&v.zeros != 0: // cannot be; say nothing
		return value{left: v.left}
	case v.lo == v.hi:
		left := v.left
		v = constant(uint64(v.lo))
		v.left = left
		return v
	case v.lo >= 0:
		v.zeros |= ^uint64(0) << bits.Len64(uint64(v.hi)) // hi is positive
	}
	if v.ones == 0 && v.zeros == 0 && v.lo == minInt && v.hi == maxInt {
		return value{left: v.left}
	}
	v.kind = number
	return v
}

func and(a, right value) value {
	a, right = a.num(), right.num()
	val := value{ones: a.ones & right.ones, zeros: a.zeros | right.zeros, lo: minInt, hi: maxInt}
	if a.lo >= 0 {
		val.lo, val.hi = 0, a.hi
	}
	if right.lo >= 0 {
		val.lo, val.hi = 0, min(val.hi, right.hi)
	}
	return val.tidy()
}

func or(a, b value) value {
	a, b = a.num(), b.num()
	return value{ones: a.ones | b.ones, zeros: a.zeros & b.zeros, lo: minInt, hi: maxInt}.tidy()
}

func xor(a, b value) value {
	a, b = a.num(), b.num()
	return value{ones: a.ones&b.zeros | a.zeros&b.ones, zeros: a.ones&b.ones | a.zeros&b.zeros, lo: minInt,
		hi: maxInt}.tidy()
}

func add(left, right value) value {
	switch {
	case left.kind == pointer && right.isConst():
		left.off += right.lo
		return left
	case right.kind == pointer && left.isConst():
		right.off += left.lo
		return right
	case left.kind == pointer || left.kind == blurred:
		return left.blur()
	case right.kind == pointer || right.kind == blurred:
		return right.blur()
	}
	left, right = left.num(), right.num()
	if left.isConst() && right.isConst() {
		return constant(left.ones + right.ones)
	}
	lo, ok1 := sum(left.lo, right.lo)
	hi, ok2 := sum(left.hi, right.hi)
	if !ok1 || !ok2 {
		return value{}
	}
	return value{lo: lo, hi: hi}.tidy()
}

func sum(a, b int64) (int64, bool) {
	total := a + b
	return total, (total > a) == (b > 0)
}

// blur is a pointer of which the offset is lost.
func (v value) blur() value {
	return value{kind: blurred, region: v.region, off: v.off}
}

func negative(val value) value {
	val = val.num()
	switch {
	case val.isConst():
		return constant(-val.ones)
	case val.lo == minInt:
		return value{}
	}
	return value{lo: -val.hi, hi: -val.lo}.tidy()
}

func inverse(a value) value {
	a = a.num()
	return value{ones: a.zeros, zeros: a.ones, lo: minInt, hi: maxInt}.tidy()
}

// shift shifts left by count bits, or right when count is negative; sign repeats the
// sign then.
func shift(from value, count int, sign bool) value {
	from = from.num()
	val := value{lo: minInt, hi: maxInt}
	switch {
	case count >= 0:
		val.ones, val.zeros = from.ones<<count, from.zeros<<count|(1<<count-1)
	case sign:
		val.ones, val.zeros = uint64(int64(from.ones)>>-count), uint64(int64(from.zeros)>>-count)
	default:
		val.ones, val.zeros = from.ones>>-count, from.zeros>>-count|^(^uint64(0)>>-count)
	}
	return val.tidy()
}

// mask are the bits of an operand of a size in bytes.
func mask(size int) uint64 {
	if size >= 8 {
		return ^uint64(0)
	}
	return 1<<(8*size) - 1
}

// merge replaces some bits of a value.
func (v value) merge(w value, m uint64) value {
	left, right := v.num(), w.num()
	return value{ones: left.ones&^m | right.ones&m, zeros: left.zeros&^m | right.zeros&m, lo: minInt, hi: maxInt}.tidy()
}

// extend is the lower part of a value, of a size in bytes, the rest zero.
func (v value) extend(size int) value {
	if size >= 8 {
		return v
	}
	if v.kind == number && v.lo >= 0 && uint64(v.hi) <= mask(size) {
		return v
	}
	bits := mask(size)
	num := v.num()
	return value{ones: num.ones & bits, zeros: num.zeros | ^bits, lo: 0, hi: int64(bits)}.tidy()
}

// signed is the lower part of a value as a signed number.
func (v value) signed(size int) value {
	if size >= 8 {
		return v.num()
	}
	v = v.extend(size).num()
	sign := uint64(1) << (8*size - 1)
	half := int64(sign)
	switch {
	case v.zeros&sign != 0:
		return v
	case v.ones&sign != 0:
		return value{ones: v.ones | ^mask(size), zeros: v.zeros & mask(size), lo: minInt, hi: maxInt}.tidy().num()
	}
	return value{ones: v.ones & (sign - 1), zeros: v.zeros & (sign - 1), lo: -half, hi: half - 1}
}

// join is what holds of both; lost tells that second points elsewhere, and that the
// result does not say so.
func join(first, second value) (val value, lost bool) {
	if first == second {
		return first, false
	}
	left := first.left && second.left
	pa, pb := first.kind >= pointer, second.kind >= pointer
	switch {
	case pa && pb:
		if first.region != second.region {
			return first.blur(), true
		}
		first.off = min(first.off, second.off)
		return first.blur(), false
	case pa:
		return first.blur(), false
	case pb:
		return second.blur(), false
	case first.kind == number && second.kind == number:
		val = value{ones: first.ones & second.ones, zeros: first.zeros & second.zeros, lo: min(first.lo, second.lo),
			hi: max(first.hi, second.hi)}.tidy()
	case first.kind == top && first.from != 0 && (second.kind == number || second.from == first.from):
		val = first // the time, or one that is known
	case second.kind == top && second.from != 0 && first.kind == number:
		val = second
	}
	val.left = left
	return val, false
}

// flags are the processor's, as what set them.
type flags struct {
	op   flagOp
	a, b value
	size int
}

type flagOp uint8

const (
	unknownFlags flagOp = iota
	compared            // a with b
	tested              // a, which is a result without carry and overflow
	computed            // a, which is a result
	negated             // a
	bitTested           // bit b of a
)

// holds says whether a condition holds; known is false when it may or may not.
func (f *flags) holds(c machine.Cond) (holds, known bool) {
	basic, contrary := c.Basic()
	holds, known = f.basic(basic)
	return holds != contrary, known
}

func (f *flags) basic(cond machine.Cond) (holds, known bool) {
	switch f.op {
	case compared:
		left, right := f.a.signed(f.size), f.b.signed(f.size)
		if f.a.kind >= pointer || f.b.kind >= pointer {
			return false, false

		}
		all := mask(f.size)
		less, lessKnown := left.hi < right.lo, left.hi < right.lo || left.lo >= right.hi
		equal := left.isConst() && right.isConst() && left.lo == right.lo
		equalKnown := equal || (left.ones&right.zeros|left.zeros&right.ones)&all != 0 || left.hi < right.lo ||
			right.hi < left.lo

		// Two numbers that are not negative compare alike, signed and unsigned.
		unsigned := left.lo >= 0 && right.lo >= 0
		if left.isConst() && right.isConst() && !unsigned {
			less2 := left.ones&all < right.ones&all
			switch cond {
			case machine.CondB:
				return less2, true
			case machine.CondBE:
				return less2 || equal, true
			}
		}
		switch {
		case cond == machine.CondE:
			return equal, equalKnown
		case cond == machine.CondL, cond == machine.CondB && unsigned:
			return less, lessKnown
		case cond == machine.CondLE, cond == machine.CondBE && unsigned:
			return left.hi <= right.lo, left.hi <= right.lo || left.lo > right.hi
		}

	case tested, computed:
		left := f.a.signed(f.size)
		if f.a.kind >= pointer {
			return false, false
		}
		zero := left.isConst() && left.lo == 0
		zeroKnown := zero || left.ones != 0 || left.lo > 0 || left.hi < 0
		switch {
		case cond == machine.CondE:
			return zero, zeroKnown
		case cond == machine.CondS, cond == machine.CondL && f.op == tested:
			return left.hi < 0, left.hi < 0 || left.lo >= 0
		case cond == machine.CondLE && f.op == tested:
			return left.hi <= 0, left.hi <= 0 || left.lo > 0
		case cond == machine.CondB && f.op == tested:
			return false, true
		case cond == machine.CondBE && f.op == tested:
			return zero, zeroKnown
		}

	// A negation sets the carry unless the operand was zero.
	case negated:
		basic := flags{op: tested, a: f.a, size: f.size}
		switch zero, known := basic.basic(machine.CondE); cond {
		case machine.CondE:
			return zero, known
		case machine.CondB:
			return !zero, known
		}
	case bitTested:
		if cond == machine.CondB && f.b.isConst() && f.a.kind == number {
			bit := uint64(1) << (f.b.ones & uint64(8*f.size-1))
			return f.a.ones&bit != 0, (f.a.ones|f.a.zeros)&bit != 0
		}
	}
	return false, false
}
