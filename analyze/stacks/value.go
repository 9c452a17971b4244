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
		l := v.left
		v = constant(uint64(v.lo))
		v.left = l
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

func and(a, b value) value {
	a, b = a.num(), b.num()
	v := value{ones: a.ones & b.ones, zeros: a.zeros | b.zeros, lo: minInt, hi: maxInt}
	if a.lo >= 0 {
		v.lo, v.hi = 0, a.hi
	}
	if b.lo >= 0 {
		v.lo, v.hi = 0, min(v.hi, b.hi)
	}
	return v.tidy()
}

func or(a, b value) value {
	a, b = a.num(), b.num()
	return value{ones: a.ones | b.ones, zeros: a.zeros & b.zeros, lo: minInt, hi: maxInt}.tidy()
}

func xor(a, b value) value {
	a, b = a.num(), b.num()
	return value{ones: a.ones&b.zeros | a.zeros&b.ones, zeros: a.ones&b.ones | a.zeros&b.zeros, lo: minInt, hi: maxInt}.tidy()
}

func add(a, b value) value {
	switch {
	case a.kind == pointer && b.isConst():
		a.off += b.lo
		return a
	case b.kind == pointer && a.isConst():
		b.off += a.lo
		return b
	case a.kind == pointer || a.kind == blurred:
		return a.blur()
	case b.kind == pointer || b.kind == blurred:
		return b.blur()
	}
	a, b = a.num(), b.num()
	if a.isConst() && b.isConst() {
		return constant(a.ones + b.ones)
	}
	lo, ok1 := sum(a.lo, b.lo)
	hi, ok2 := sum(a.hi, b.hi)
	if !ok1 || !ok2 {
		return value{}
	}
	return value{lo: lo, hi: hi}.tidy()
}

func sum(a, b int64) (int64, bool) {
	c := a + b
	return c, (c > a) == (b > 0)
}

// blur is a pointer of which the offset is lost.
func (v value) blur() value {
	return value{kind: blurred, region: v.region, off: v.off}
}

func negative(a value) value {
	a = a.num()
	switch {
	case a.isConst():
		return constant(-a.ones)
	case a.lo == minInt:
		return value{}
	}
	return value{lo: -a.hi, hi: -a.lo}.tidy()
}

func inverse(a value) value {
	a = a.num()
	return value{ones: a.zeros, zeros: a.ones, lo: minInt, hi: maxInt}.tidy()
}

// shift shifts left by n bits, or right when n is negative; sign repeats the
// sign then.
func shift(a value, n int, sign bool) value {
	a = a.num()
	v := value{lo: minInt, hi: maxInt}
	switch {
	case n >= 0:
		v.ones, v.zeros = a.ones<<n, a.zeros<<n|(1<<n-1)
	case sign:
		v.ones, v.zeros = uint64(int64(a.ones)>>-n), uint64(int64(a.zeros)>>-n)
	default:
		v.ones, v.zeros = a.ones>>-n, a.zeros>>-n|^(^uint64(0)>>-n)
	}
	return v.tidy()
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
	a, b := v.num(), w.num()
	return value{ones: a.ones&^m | b.ones&m, zeros: a.zeros&^m | b.zeros&m, lo: minInt, hi: maxInt}.tidy()
}

// extend is the lower part of a value, of a size in bytes, the rest zero.
func (v value) extend(size int) value {
	if size >= 8 {
		return v
	}
	if v.kind == number && v.lo >= 0 && uint64(v.hi) <= mask(size) {
		return v
	}
	m := mask(size)
	n := v.num()
	return value{ones: n.ones & m, zeros: n.zeros | ^m, lo: 0, hi: int64(m)}.tidy()
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

// join is what holds of both; lost tells that b points elsewhere, and that the
// result does not say so.
func join(a, b value) (v value, lost bool) {
	if a == b {
		return a, false
	}
	left := a.left && b.left
	pa, pb := a.kind >= pointer, b.kind >= pointer
	switch {
	case pa && pb:
		if a.region != b.region {
			return a.blur(), true
		}
		a.off = min(a.off, b.off)
		return a.blur(), false
	case pa:
		return a.blur(), false
	case pb:
		return b.blur(), false
	case a.kind == number && b.kind == number:
		v = value{ones: a.ones & b.ones, zeros: a.zeros & b.zeros, lo: min(a.lo, b.lo), hi: max(a.hi, b.hi)}.tidy()
	case a.kind == top && a.from != 0 && (b.kind == number || b.from == a.from):
		v = a // the time, or one that is known
	case b.kind == top && b.from != 0 && a.kind == number:
		v = b
	}
	v.left = left
	return v, false
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

func (f *flags) basic(c machine.Cond) (holds, known bool) {
	switch f.op {
	case compared:
		a, b := f.a.signed(f.size), f.b.signed(f.size)
		if f.a.kind >= pointer || f.b.kind >= pointer {
			return false, false
		}
		m := mask(f.size)
		less, lessKnown := a.hi < b.lo, a.hi < b.lo || a.lo >= b.hi
		equal := a.isConst() && b.isConst() && a.lo == b.lo
		equalKnown := equal || (a.ones&b.zeros|a.zeros&b.ones)&m != 0 || a.hi < b.lo || b.hi < a.lo
		unsigned := a.lo >= 0 && b.lo >= 0
		if a.isConst() && b.isConst() && !unsigned {
			less2 := a.ones&m < b.ones&m
			switch c {
			case machine.CondB:
				return less2, true
			case machine.CondBE:
				return less2 || equal, true
			}
		}
		switch {
		case c == machine.CondE:
			return equal, equalKnown
		case c == machine.CondL, c == machine.CondB && unsigned:
			return less, lessKnown
		case c == machine.CondLE, c == machine.CondBE && unsigned:
			return a.hi <= b.lo, a.hi <= b.lo || a.lo > b.hi
		}
	case tested, computed:
		a := f.a.signed(f.size)
		if f.a.kind >= pointer {
			return false, false
		}
		zero := a.isConst() && a.lo == 0
		zeroKnown := zero || a.ones != 0 || a.lo > 0 || a.hi < 0
		switch {
		case c == machine.CondE:
			return zero, zeroKnown
		case c == machine.CondS, c == machine.CondL && f.op == tested:
			return a.hi < 0, a.hi < 0 || a.lo >= 0
		case c == machine.CondLE && f.op == tested:
			return a.hi <= 0, a.hi <= 0 || a.lo > 0
		case c == machine.CondB && f.op == tested:
			return false, true
		case c == machine.CondBE && f.op == tested:
			return zero, zeroKnown
		}
	case negated:
		g := flags{op: tested, a: f.a, size: f.size}
		switch zero, known := g.basic(machine.CondE); c {
		case machine.CondE:
			return zero, known
		case machine.CondB:
			return !zero, known
		}
	case bitTested:
		if c == machine.CondB && f.b.isConst() && f.a.kind == number {
			bit := uint64(1) << (f.b.ones & uint64(8*f.size-1))
			return f.a.ones&bit != 0, (f.a.ones|f.a.zeros)&bit != 0
		}
	}
	return false, false
}
