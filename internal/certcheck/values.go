package certcheck

import (
	"encoding/binary"
	"hash/fnv"
	"math/bits"
	"math/rand/v2"
	"strconv"
	"strings"
)

// valuation gives variables numbers, and terms with them.
type valuation struct {
	c    *certificate
	vars map[int]uint64 // by term
	memo map[int]result
	mem  *memory
}

type result struct {
	v  uint64
	ok bool
}

// memory is all of memory at all times: a function of the epoch's number and the
// address, and what was decided otherwise.
type memory struct {
	seed  uint64
	fixed map[[2]uint64]byte
	pool  []uint64
}

func hash(parts ...uint64) uint64 {
	h := fnv.New64a()
	var b [8]byte
	for _, p := range parts {
		binary.LittleEndian.PutUint64(b[:], p)
		h.Write(b[:])
	}
	x := h.Sum64()
	x ^= x >> 31
	return x * 0x9e37_79b9_7f4a_7c15
}

// byteAt draws cells of 4 or 8 bytes, many from the pool, so that tests of what is in memory
// are met now and then.
func (m *memory) byteAt(epoch, addr uint64) byte {
	if addr-gsBase-canary < 8 {
		epoch = 0
	}
	if b, ok := m.fixed[[2]uint64{epoch, addr}]; ok {
		return b
	}
	cell, size := addr&^7, uint64(8)
	h := hash(m.seed, epoch, cell)
	if h%3 == 1 {
		cell, size = addr&^3, 4
		h = hash(m.seed, epoch, cell, 4)
	}
	v := h
	switch {
	case h/16%5 == 0 && size == 8:
		v = 0x5000_0000_0000 + h>>40<<12 // as if a pointer
	case h/16%5 == 1:
		v = 0
	case h/16%5 != 2:
		v = m.pool[h/256%uint64(len(m.pool))]
	}
	return byte(v >> (8 * (addr - cell)))
}

func (m *memory) fix(epoch, addr uint64, size int, v uint64) {
	for i := range size {
		m.fixed[[2]uint64{epoch, addr + uint64(i)}] = byte(v >> (8 * i))
	}
}

const canary = 0x28

// eval gives a term's number; ok is false where a variable has none yet, or the
// operation is one that this package does not repeat.
func (x *valuation) eval(i int) (uint64, bool) {
	if r, ok := x.memo[i]; ok {
		return r.v, r.ok
	}
	v, ok := x.compute(i)
	x.memo[i] = result{v, ok}
	return v, ok
}

func low(width, v uint64) uint64 {
	if width >= 64 {
		return v
	}
	return v & (1<<width - 1)
}

func sign(width, v uint64) int64 { return int64(v<<(64-width)) >> (64 - width) }

func truth(b bool) (uint64, bool) {
	if b {
		return 1, true
	}
	return 0, true
}

func (x *valuation) compute(i int) (uint64, bool) {
	t := &x.c.Terms[i]
	var a [3]uint64
	for k, arg := range t.Args {
		if arg == 0 {
			continue
		}
		v, ok := x.eval(arg)
		if !ok {
			return 0, false
		}
		a[k] = v
	}
	switch t.Op {
	case "var":
		v, ok := x.vars[i]
		return v, ok
	case "const":
		return t.K, true
	case "sym":
		if text, err := strconv.Unquote(t.Name); err == nil {
			return made("text " + strings.TrimSuffix(text, "\x00")), true
		}
		if strings.Contains(t.Name, ":") || strings.HasPrefix(t.Name, "(") {
			return 0, false
		}
		return made("symbol " + t.Name), true
	case "frame":
		return stackTop, true
	case "plus":
		return a[0] + t.K, true
	case "add":
		return a[0] + a[1], true
	case "sub":
		return a[0] - a[1], true
	case "and":
		return a[0] & a[1], true
	case "or":
		return a[0] | a[1], true
	case "xor":
		return a[0] ^ a[1], true
	case "mul":
		return a[0] * a[1], true
	case "shl":
		return a[0] << a[1], true
	case "shr":
		return low(t.K, a[0]) >> a[1], true
	case "SAR":
		return low(t.K, uint64(sign(t.K, a[0])>>a[1])), true
	case "low":
		return low(t.K, a[0]), true
	case "sext":
		return uint64(sign(t.K>>8, a[0])), true
	case "sign":
		return low(t.K, uint64(sign(t.K, a[0])>>63)), true
	case "ins":
		return a[0]&^low(t.K, ^uint64(0)) | low(t.K, a[1]), true
	case "insh":
		return a[0]&^0xff00 | a[1]&0xff<<8, true
	case "byte":
		return a[0] >> (8 * t.K) & 0xff, true
	case "bswap":
		if t.K == 32 {
			return uint64(bits.ReverseBytes32(uint32(a[0]))), true
		}
		return bits.ReverseBytes64(a[0]), true
	case "set":
		return a[0] ^ t.K, true
	case "ite":
		if a[0] != 0 {
			return a[1], true
		}
		return a[2], true
	case "eq":
		return truth(low(t.K, a[0]) == low(t.K, a[1]))
	case "ult":
		return truth(low(t.K, a[0]) < low(t.K, a[1]))
	case "slt":
		return truth(sign(t.K, a[0]) < sign(t.K, a[1]))
	case "bit":
		return a[0] >> (a[1] % t.K) & 1, true
	case "load", "gsload":
		at, epoch := a[0], a[1]
		if t.Op == "gsload" {
			at += gsBase
		}
		var v uint64
		for k := range t.K & 0xff / 8 {
			v |= uint64(x.mem.byteAt(epoch, at+k)) << (8 * k)
		}
		return v, true
	case "stackarg":
		var v uint64
		for k := range t.K & 0xff / 8 {
			v |= uint64(byte((stackTop+t.K>>8+k)*37)) << (8 * k)
		}
		return v, true
	}
	return 0, false
}

// draw chooses numbers for all variables of a spot so that what is known there
// holds; it reports false when it finds none.
func (x *valuation) draw(sp *spot, r *rand.Rand) bool {
	const tries = 60
	for range tries {
		x.vars, x.memo, x.mem.fixed, x.mem.seed = map[int]uint64{}, map[int]result{}, map[[2]uint64]byte{}, r.Uint64()
		for i := range x.c.Terms {
			if x.c.Terms[i].Op == "var" {
				x.vars[i] = x.any(r)
			}
		}
		// A known equality is made true rather than waited for.
		for _, k := range sp.Known {
			if t := x.c.Terms[k.Term]; t.Op == "eq" && k.Is {
				if v, ok := x.eval(t.Args[1]); ok {
					x.force(t.Args[0], v)
				}
			}
		}
		met := true
		for _, k := range sp.Known {
			if v, ok := x.eval(k.Term); ok && (v != 0) != k.Is {
				met = false
				break
			}
		}
		if met {
			return true
		}
	}
	return false
}

func (x *valuation) any(r *rand.Rand) uint64 {
	switch r.IntN(5) {
	case 4:
		return uint64(r.IntN(2)) // the edge of most tests
	case 0:
		return 0x5000_0000_0000 + r.Uint64N(1<<20)*4096
	case 1:
		return r.Uint64()
	}
	return x.mem.pool[r.IntN(len(x.mem.pool))]
}

// force makes a term have a value, where that is simple.
func (x *valuation) force(i int, v uint64) {
	switch t := &x.c.Terms[i]; t.Op {
	case "var":
		x.vars[i] = v
	case "low", "sext", "ins":
		if t.Op == "ins" {
			x.force(t.Args[1], v)
		} else {
			x.force(t.Args[0], v)
		}
	case "plus":
		x.force(t.Args[0], v-t.K)
	case "load":
		at, ok1 := x.eval(t.Args[0])
		epoch, ok2 := x.eval(t.Args[1])
		if ok1 && ok2 {
			x.mem.fix(epoch, at, int(t.K/8), v)
		}
	}
	clear(x.memo)
}
