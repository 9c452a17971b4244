package locks

import "github.com/klpforge/klpforge/analyze/machine"

// nregs is the number of general registers.
const nregs = 16

// A value is an expression over what a function's code may refer to. Values
// are interned per function, so equal numbers mean equal expressions.
type vid int32

type vop uint8

const (
	opConst  vop = iota // imm
	opEntry             // imm: register at entry; 16 and up: an argument on the stack
	opAdd               // a + imm
	opBin               // k(a, b)
	opLoad              // size bytes at address a; k 1 for the gs segment; ep: when
	opRet               // result of the call at imm
	opFlags             // saved interrupt flag of site imm; k: irq count then, plus 8
	opOpaque            // made at imm, k-th there
	opPhi               // merged at block imm, location k
	opStale             // a, from an earlier iteration; k-th such
	opExt               // low size bytes of a, k 1: sign-extended, 0: zero-extended
	opSet               // 0 or 1: whether predicate imm holds
	opStored            // the word of size bytes at a + imm, at return
)

type bin uint8

const (
	binAdd bin = iota
	binSub
	binAnd
	binOr
	binXor
	binShl
	binShr
	binSar
	binMul
	binEq
	binLtu
	binLt
)

type node struct {
	op   vop
	size uint8
	k    int32
	a, b vid
	imm  int64
	ep   int32
}

// pred says that the low size bytes of v lie in set.
type pred struct {
	v    vid
	size uint8
	set  Set
}

// values interns one function's expressions.
type values struct {
	nodes []node
	// age is the highest block order number that takes part in the value's
	// meaning; -1 when it means the same throughout the function.
	age   []int32
	depth []uint8
	strip []vid // memo of stripped, 0 for not computed
	ids   map[node]vid
	preds []pred
	predK map[string]int64
	// grown, when not nil, is told of expressions that are too deep to be kept.
	grown func(n node, k bin, a, b vid)
	bases map[uint64]bool // addresses of words that hold the start of a mapping
}

func (t *values) reset() {
	if t.ids == nil || len(t.nodes) > 1<<14 {
		t.ids = map[node]vid{}
	} else {
		clear(t.ids)
	}
	t.predK = nil
	t.nodes, t.age, t.depth, t.strip, t.preds = t.nodes[:0], t.age[:0], t.depth[:0], t.strip[:0], t.preds[:0]
	t.add(node{op: opConst}, -1, 0) // value 0 is the constant 0
}

func (t *values) add(n node, age int32, depth uint8) vid {
	if known, ok := t.ids[n]; ok {
		return known
	}
	id := vid(len(t.nodes))
	t.nodes = append(t.nodes, n)
	t.age = append(t.age, age)
	t.depth = append(t.depth, depth)
	t.strip = append(t.strip, 0)
	t.ids[n] = id
	return id
}

func (t *values) n(v vid) *node { return &t.nodes[v] }

func (t *values) constant(c int64) vid { return t.add(node{op: opConst, imm: c}, -1, 0) }

func (t *values) isConst(v vid) (int64, bool) {
	if expr := t.n(v); expr.op == opConst {
		return expr.imm, true
	}
	return 0, false
}

func (t *values) entry(reg machine.Num) vid { return t.add(node{op: opEntry, imm: int64(reg)}, -1, 0) }

// param is argument i at entry.
func (t *values) param(i int) vid {
	if i < len(argReg) {
		return t.entry(argReg[i])
	}
	return t.entry(machine.Num(nregs + i - len(argReg)))
}

// paramOf tells which argument a register number of opEntry stands for.
func paramOf(reg int64) (int, bool) {
	if reg >= nregs {
		return int(reg) - nregs + len(argReg), true
	}
	for i, r := range argReg {
		if int64(r) == reg {
			return i, true
		}
	}
	return 0, false
}

func (t *values) opaque(site uint64, k int32, age int32) vid {
	return t.add(node{op: opOpaque, imm: int64(site), k: k}, age, 0)
}

func (t *values) ret(site uint64, age int32) vid {
	return t.add(node{op: opRet, imm: int64(site)}, age, 0)
}

func (t *values) flags(site uint64, irq int8, age int32) vid {
	return t.add(node{op: opFlags, imm: int64(site), k: int32(irq) + 8}, age, 0)
}

func (t *values) phi(block, loc int32, age int32) vid {
	return t.add(node{op: opPhi, imm: int64(block), k: loc}, age, 0)
}

// addImm is v + c.
func (t *values) addImm(v vid, c int64) vid {
	if c == 0 {
		return v
	}
	expr := t.n(v)
	switch expr.op {
	case opConst:
		return t.constant(expr.imm + c)
	case opAdd:
		return t.addImm(expr.a, expr.imm+c)
	}
	return t.add(node{op: opAdd, a: v, imm: c}, t.age[v], t.depth[v])
}

// split takes v apart into base and constant offset.
func (t *values) split(v vid) (vid, int64) {
	switch expr := t.n(v); expr.op {
	case opAdd:
		return expr.a, expr.imm
	case opConst:
		return 0, expr.imm
	}
	return v, 0
}

const maxDepth = 12

// bin is k(a, b); site names the value when the expression grows too deep.
func (t *values) bin(k bin, a, b vid, site uint64, age int32) vid {
	ca, oka := t.isConst(a)
	cb, okb := t.isConst(b)
	if oka && okb {
		switch k {
		case binAdd:
			return t.constant(ca + cb)
		case binSub:
			return t.constant(ca - cb)
		case binAnd:
			return t.constant(ca & cb)
		case binOr:
			return t.constant(ca | cb)
		case binXor:
			return t.constant(ca ^ cb)
		case binShl:
			return t.constant(ca << (uint64(cb) & 63))
		case binShr:
			return t.constant(int64(uint64(ca) >> (uint64(cb) & 63)))
		case binSar:
			return t.constant(ca >> (uint64(cb) & 63))
		case binMul:
			return t.constant(ca * cb)
		}
	}
	switch {
	case k == binAdd && okb:
		return t.addImm(a, cb)
	case k == binAdd && oka:
		return t.addImm(b, ca)
	case k == binSub && okb:
		return t.addImm(a, -cb)
	case k == binSub && a == b, k == binXor && a == b:
		return 0
	case (k == binAnd || k == binOr) && a == b:
		return a
	case okb && cb == 0 && (k == binOr || k == binXor || k == binShl || k == binShr || k == binSar):
		return a
	case okb && cb == 0 && k == binAnd:
		return 0
	case okb && cb == -1 && k == binAnd:
		return a
	}
	if k == binAdd {
		// Keep constants outermost: (x+c)+y = (x+y)+c.
		ba, oa := t.split(a)
		bb, ob := t.split(b)
		if oa != 0 && ba != 0 || ob != 0 && bb != 0 {
			return t.addImm(t.bin(binAdd, ba, bb, site, age), oa+ob)
		}
	}
	if k == binAnd && okb {
		// Bits of the low bytes are the same however those are extended.
		if expr := t.n(a); expr.op == opExt && cb >= 0 && cb <= zeroExt(-1, expr.size) {
			return t.bin(binAnd, expr.a, b, site, age)
		}
		if expr := t.n(a); expr.op == opBin && bin(expr.k) == binAnd {
			if c2, ok := t.isConst(expr.b); ok {
				return t.bin(binAnd, expr.a, t.constant(cb&c2), site, age)
			}
		}
	}
	switch k {
	case binAdd, binAnd, binOr, binXor, binMul, binEq:
		if a > b && !okb {
			a, b = b, a
		}
	}
	depth := max(t.depth[a], t.depth[b]) + 1
	if depth > maxDepth {
		if t.grown != nil && site != 0 {
			t.grown(node{op: opOpaque, imm: int64(site), k: 64 + int32(k)}, k, a, b)
		}
		return t.opaque(site, 64+int32(k), age)
	}
	return t.add(node{op: opBin, k: int32(k), a: a, b: b}, max(t.age[a], t.age[b]), depth)
}

// ext is the low size bytes of v, extended.
func (t *values) ext(v vid, size uint8, signed bool) vid {
	if size >= 8 {
		return v
	}
	kind := int32(0)
	if signed {
		kind = 1
	}
	expr := t.n(v)
	switch expr.op {
	case opConst:
		if signed {
			return t.constant(signExt(expr.imm, size))
		}
		return t.constant(zeroExt(expr.imm, size))
	case opExt:
		if expr.size < size && expr.k == 0 || expr.size <= size && (expr.k == 1) == signed {
			return v // not negative in this size, or extended so already
		}
		if expr.size >= size {
			return t.ext(expr.a, size, signed)
		}
	case opLoad:
		if expr.size <= size && !signed {
			return v
		}
	case opSet:
		return v
	}
	return t.add(node{op: opExt, a: v, size: size, k: kind}, t.age[v], t.depth[v])
}

// load is size bytes at address a, read in memory epoch ep.
func (t *values) load(a vid, size uint8, gs bool, ep int32, epAge int32, site uint64, age int32) vid {
	expr := node{op: opLoad, a: a, size: size, ep: ep}
	if gs {
		expr.k = 1
	}
	depth := t.depth[a] + 1
	if depth > maxDepth {
		return t.opaque(site, 63, age)
	}
	return t.add(expr, max(t.age[a], epAge), depth)
}

// set is 1 when p holds and 0 otherwise.
func (t *values) set(p pred) vid {
	key := string([]byte{byte(p.v), byte(p.v >> 8), byte(p.v >> 16), byte(p.v >> 24), p.size}) + p.set.String()
	index, ok := t.predK[key]
	if !ok {
		if t.predK == nil {
			t.predK = map[string]int64{}
		}
		index = int64(len(t.preds))
		t.preds = append(t.preds, p)
		t.predK[key] = index
	}
	return t.add(node{op: opSet, imm: index}, t.age[p.v], t.depth[p.v])
}

// stored names the word that a cell stands for.
func (t *values) stored(c cell) vid {
	return t.add(node{op: opStored, a: c.base, imm: c.off, size: c.size}, -1, t.depth[c.base])
}

// stale is v as it was in an earlier iteration; k tells several apart.
func (t *values) stale(v vid, k int32) vid {
	return t.add(node{op: opStale, a: v, k: k}, -1, t.depth[v])
}

// stripped is v without the times at which memory was read: the name of a
// lock, which is taken to stay the same while its owner does not change.
func (t *values) stripped(v vid) vid {
	if known := t.strip[v]; known != 0 || v == 0 {
		return known
	}
	expr := *t.n(v)
	bare := v
	switch expr.op {
	case opAdd:
		bare = t.addImm(t.stripped(expr.a), expr.imm)
	case opLoad:
		inner := t.stripped(expr.a)
		bare = t.add(node{op: opLoad, a: inner, size: expr.size, k: expr.k, ep: 0}, t.age[inner], t.depth[inner]+1)
	case opBin:
		bare = t.bin(bin(expr.k), t.stripped(expr.a), t.stripped(expr.b), uint64(v), t.age[v])
	case opExt:
		bare = t.ext(t.stripped(expr.a), expr.size, expr.k == 1)
	case opStale:
		// Where memory is concerned, only when it was read does not matter.
		if inner := t.stripped(expr.a); t.age[inner] < 0 {
			bare = inner
		} else if inner != expr.a {
			bare = t.stale(inner, expr.k)
		}
	}
	t.strip[v] = bare
	if int(bare) < len(t.strip) {
		t.strip[bare] = bare
	}
	return bare
}

// precise reports whether a stripped value is made of nothing but constants,
// values at entry and memory: two precise names that differ usually mean
// different locks.
func (t *values) precise(v vid) bool {
	for {
		switch expr := t.n(v); expr.op {
		case opConst, opEntry:
			return true
		case opLoad:
			if base, _ := t.split(expr.a); t.n(base).op == opEntry && t.n(base).imm == int64(stackReg) {
				return false // a slot that others may have written
			}
			v = expr.a
		case opAdd, opExt:
			v = expr.a
		case opBin:
			if !t.precise(expr.b) {
				return false
			}
			v = expr.a
		default:
			return false
		}
	}
}

// direct reports whether a name is an argument with an offset: fields of two
// arguments are different locks, or the function would deadlock.
func (t *values) direct(v vid) bool {
	base, _ := t.split(v)
	return t.n(base).op == opEntry
}

// rooted reports whether a value is computed from arguments, globals and
// memory alone, by whatever path.
func (t *values) rooted(v vid) bool {
	for {
		switch expr := t.n(v); expr.op {
		case opConst, opEntry, opPhi:
			return true
		case opLoad, opAdd, opExt:
			v = expr.a
		case opBin:
			if !t.rooted(expr.b) {
				return false
			}
			v = expr.a
		default:
			return false
		}
	}
}

// mapped reports whether v is a sum with the start of a kernel mapping or
// per-CPU area, and so not zero.
func (t *values) mapped(v vid) bool {
	for {
		switch expr := t.n(v); expr.op {
		case opAdd:
			v = expr.a
		case opBin:
			if bin(expr.k) != binAdd {
				return false
			}
			if t.mapped(expr.b) {
				return true
			}
			v = expr.a
		case opLoad:
			addr, ok := t.isConst(expr.a)
			return ok && t.bases[uint64(addr)]
		default:
			return false
		}
	}
}
