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
	digest := fnv.New64a()
	var word [8]byte
	for _, part := range parts {
		binary.LittleEndian.PutUint64(word[:], part)
		digest.Write(word[:])
	}
	mixed := digest.Sum64()
	mixed ^= mixed >> 31
	return mixed * 0x9e37_79b9_7f4a_7c15
}

// byteAt draws cells of 4 or 8 bytes, many from the pool, so that tests of what is in memory
// are met now and then.
func (m *memory) byteAt(epoch, addr uint64) byte {
	if addr-gsBase-canary < 8 {
		epoch = 0
	}
	if val, ok := m.fixed[[2]uint64{epoch, addr}]; ok {
		return val
	}
	cell, size := addr&^7, uint64(8)
	word := hash(m.seed, epoch, cell)
	if word%3 == 1 {
		cell, size = addr&^3, 4
		word = hash(m.seed, epoch, cell, 4)
	}
	drawn := word
	switch {
	case word/16%5 == 0 && size == 8:
		drawn = 0x5000_0000_0000 + word>>40<<12 // as if a pointer
	case word/16%5 == 1:
		drawn = 0
	case word/16%5 != 2:
		drawn = m.pool[word/256%uint64(len(m.pool))]
	}
	return byte(drawn >> (8 * (addr - cell)))
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
	if known, ok := x.memo[i]; ok {
		return known.v, known.ok
	}
	val, ok := x.compute(i)
	x.memo[i] = result{val, ok}
	return val, ok
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
	term := &x.c.Terms[i]
	var args [3]uint64
	for nth, arg := range term.Args {
		if arg == 0 {
			continue
		}
		val, ok := x.eval(arg)
		if !ok {
			return 0, false
		}
		args[nth] = val
	}
	switch term.Op {
	case "var":
		val, ok := x.vars[i]
		return val, ok
	case "const":
		return term.K, true
	case "sym":
		if text, err := strconv.Unquote(term.Name); err == nil {
			return made("text " + strings.TrimSuffix(text, "\x00")), true
		}
		if strings.Contains(term.Name, ":") || strings.HasPrefix(term.Name, "(") {
			return 0, false
		}
		return made("symbol " + term.Name), true
	case "frame":
		return stackTop, true
	case "plus":
		return args[0] + term.K, true
	case "add":
		return args[0] + args[1], true
	case "sub":
		return args[0] - args[1], true
	case "and":
		return args[0] & args[1], true
	case "or":
		return args[0] | args[1], true
	case "xor":
		return args[0] ^ args[1], true
	case "mul":
		return args[0] * args[1], true
	case "shl":
		return args[0] << args[1], true
	case "shr":
		return low(term.K, args[0]) >> args[1], true
	case "SAR":
		return low(term.K, uint64(sign(term.K, args[0])>>args[1])), true
	case "low":
		return low(term.K, args[0]), true
	case "sext":
		return uint64(sign(term.K>>8, args[0])), true
	case "sign":
		return low(term.K, uint64(sign(term.K, args[0])>>63)), true
	case "ins":
		return args[0]&^low(term.K, ^uint64(0)) | low(term.K, args[1]), true
	case "insh":
		return args[0]&^0xff00 | args[1]&0xff<<8, true
	case "byte":
		return args[0] >> (8 * term.K) & 0xff, true
	case "bswap":
		if term.K == 32 {
			return uint64(bits.ReverseBytes32(uint32(args[0]))), true
		}
		return bits.ReverseBytes64(args[0]), true
	case "set":
		return args[0] ^ term.K, true
	case "ite":
		if args[0] != 0 {
			return args[1], true
		}
		return args[2], true
	case "eq":
		return truth(low(term.K, args[0]) == low(term.K, args[1]))
	case "ult":
		return truth(low(term.K, args[0]) < low(term.K, args[1]))
	case "slt":
		return truth(sign(term.K, args[0]) < sign(term.K, args[1]))
	case "bit":
		return args[0] >> (args[1] % term.K) & 1, true
	case "load", "gsload":
		at, epoch := args[0], args[1]
		if term.Op == "gsload" {
			at += gsBase
		}
		var val uint64
		for nth := range term.K & 0xff / 8 {
			val |= uint64(x.mem.byteAt(epoch, at+nth)) << (8 * nth)
		}
		return val, true
	case "stackarg":
		var val uint64
		for nth := range term.K & 0xff / 8 {
			val |= uint64(byte((stackTop+term.K>>8+nth)*37)) << (8 * nth)
		}
		return val, true
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
		for _, known := range sp.Known {
			if term := x.c.Terms[known.Term]; term.Op == "eq" && known.Is {
				if val, ok := x.eval(term.Args[1]); ok {
					x.force(term.Args[0], val)
				}
			}
		}
		met := true
		for _, known := range sp.Known {
			if val, ok := x.eval(known.Term); ok && (val != 0) != known.Is {
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
	switch term := &x.c.Terms[i]; term.Op {
	case "var":
		x.vars[i] = v
	case "low", "sext", "ins":
		if term.Op == "ins" {
			x.force(term.Args[1], v)
		} else {
			x.force(term.Args[0], v)
		}
	case "plus":
		x.force(term.Args[0], v-term.K)
	case "load":
		at, ok1 := x.eval(term.Args[0])
		epoch, ok2 := x.eval(term.Args[1])
		if ok1 && ok2 {
			x.mem.fix(epoch, at, int(term.K/8), v)
		}
	}
	clear(x.memo)
}
