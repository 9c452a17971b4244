package locks

import (
	"slices"
)

// held is one lock that differs from the entry, or was dropped in between.
type held struct {
	kind Kind
	name vid // stripped address of the lock; 0 for kinds without one
	n    int8
}

// like is a kind of lock at an offset in its object; offset 0 also stands for
// locks whose object is not known.
type like struct {
	kind Kind
	off  int64
}

func compareLike(a, b like) int {
	if a.kind != b.kind {
		return int(a.kind) - int(b.kind)
	}
	switch {
	case a.off < b.off:
		return -1
	case a.off > b.off:
		return 1
	}
	return 0
}

// fact is what branches have shown of a value.
type fact struct {
	v    vid
	size uint8
	set  Set
}

// cell is a memory word whose content is known.
type cell struct {
	base vid
	off  int64
	size uint8
	val  vid
}

// flagsKind says what the condition flags are known to mean.
type flagsKind uint8

const (
	flagsNone  flagsKind = iota
	flagsCmp             // of a - b
	flagsLogic           // of the result a; carry and overflow clear
	flagsValue           // of the result a; carry and overflow unknown
	flagsCarry           // carry set when a lies not in {0}; nothing else known
)

type flags struct {
	kind flagsKind
	size uint8
	a, b vid
}

// fieldEpoch: memory at offset off (in units of 8 bytes) was last changed at
// ep: of the object at base, or of any object when base is anyBase.
type fieldEpoch struct {
	base vid
	off  int64
	ep   int32
}

const anyBase = vid(-1)

// state is what is known at one point of a function on some set of paths.
type state struct {
	regs  [nregs]vid
	flags flags
	mem   []cell // sorted by base, offset
	facts []fact // sorted by value, size
	locks []held // sorted by kind, name
	// dropped are locks held at entry that were released and taken again,
	// sorted likewise; n is droppedHere or droppedByCallee.
	dropped []held
	// taken are the kinds and offsets of locks taken so far on any of the
	// paths, sorted: releasing another one like them is not known to mean a
	// lock held at entry.
	taken []like
	// outs are words stored where the caller may find them, for naming locks.
	outs []cell
	// ep is when memory was last changed by code not seen; epAge its age.
	ep, epAge int32
	// sep likewise for stack slots whose address is known outside.
	sep, sepAge int32
	fields      []fieldEpoch
	esc         int64 // lowest stack offset whose address may be known outside; escNone
	assumed     bool
	guessed     bool // depends on the outcome of a call that nothing tells
	dirty       bool
	joins       int32
}

const escNone = int64(1) << 40

func (s *state) clone() *state {
	copied := *s
	copied.mem, copied.facts, copied.locks, copied.fields = slices.Clone(s.mem), slices.Clone(s.facts),
		slices.Clone(s.locks), slices.Clone(s.fields)
	copied.taken = slices.Clone(s.taken)
	copied.dropped, copied.outs = slices.Clone(s.dropped), slices.Clone(s.outs)
	return &copied
}

const maxAmbiguous = 4

func compareHeld(a, b held) int {
	if a.kind != b.kind {
		return int(a.kind) - int(b.kind)
	}
	return int(a.name) - int(b.name)
}

// sameLocks reports whether two states hold the same locks.
func sameLocks(a, b *state) bool {
	return slices.EqualFunc(a.locks, b.locks, func(x, y held) bool {
		return x.kind == y.kind && x.name == y.name && x.n == y.n
	})
}

// irq says whether interrupts were disabled, 1, or enabled, -1, since entry.
func (s *state) irq() int8 {
	for i := range s.locks {
		if s.locks[i].kind == IRQ && s.locks[i].name == 0 {
			return s.locks[i].n
		}
	}
	return 0
}

// setIRQ makes what irq returns n.
func (s *state) setIRQ(n int8) {
	at, ok := slices.BinarySearchFunc(s.locks, held{kind: IRQ}, compareHeld)
	switch {
	case ok && n == 0:
		s.locks = slices.Delete(s.locks, at, at+1)
	case ok:
		s.locks[at].n = n
	case n != 0:
		s.locks = slices.Insert(s.locks, at, held{kind: IRQ, n: n})
	}
}

// change takes or releases a lock.
func (t *values) change(s *state, k Kind, name vid, delta int8) {
	if k == IRQ {
		// Not counted: disabling twice is the same as once.
		count := s.irq() + delta
		s.setIRQ(max(-1, min(1, count)))
		return
	}
	if k.Context() {
		name = 0
	} else {
		name = t.reread(s, t.stripped(name))
		if i := t.match(s, k, name, delta); i >= 0 {
			name = s.locks[i].name
		}
	}
	i, ok := slices.BinarySearchFunc(s.locks, held{kind: k, name: name}, compareHeld)
	if !ok {
		s.locks = slices.Insert(s.locks, i, held{kind: k, name: name})
	}
	hold := &s.locks[i]
	before := hold.n
	off, _ := t.fieldOffset(name)
	kin := like{k, off}
	at, seen := slices.BinarySearchFunc(s.taken, kin, compareLike)
	if delta > 0 && !seen && before >= 0 && len(s.taken) < 12 {
		s.taken = slices.Insert(s.taken, at, kin)
	}
	hold.n = max(-2, min(2, hold.n+delta))
	if hold.n == 0 {
		s.locks = slices.Delete(s.locks, i, i+1)
		if before < 0 && !k.Context() && !seen {
			s.drop(held{kind: k, name: name, n: droppedHere})
		}
	}
}

// held.n in state.dropped.
const (
	droppedHere     = 0
	droppedByCallee = 1
)

// reread gives the value that was stored where a lock's name is read from, if
// this function stored it and a lock of that name is held.
func (t *values) reread(s *state, name vid) vid {
	base, off := t.split(name)
	expr := t.n(base)
	if expr.op != opLoad || expr.k == 1 || expr.size != 8 {
		return name
	}
	for _, stored := range s.outs {
		if t.stripped(t.addImm(stored.base, stored.off)) != expr.a {
			continue
		}
		val := t.addImm(t.stripped(stored.val), off)
		if slices.ContainsFunc(s.locks, func(h held) bool { return h.name == val }) {
			return val
		}
	}
	return name
}

// drop notes that a lock held at entry was released for a while, and reports
// whether that was news.
func (s *state) drop(h held) bool {
	at, ok := slices.BinarySearchFunc(s.dropped, h, compareHeld)
	switch {
	case ok && s.dropped[at].n > h.n:
		s.dropped[at].n = h.n
		return true
	case !ok && len(s.dropped) < 6:
		s.dropped = slices.Insert(s.dropped, at, h)
		return true
	}
	return false
}

// match finds the lock meant by a name: the same name, or else the only one
// of the kind and offset that it can mean when one of the two names is not
// precise. It returns -1 when it stands for a lock not met before.
func (t *values) match(s *state, k Kind, name vid, delta int8) int {
	if i, ok := slices.BinarySearchFunc(s.locks, held{kind: k, name: name}, compareHeld); ok && (s.locks[i].n == 0 || (s.locks[i].n > 0) != (delta > 0)) {
		return i
	}
	precise := t.precise(name)
	off, fixedName := t.fieldOffset(name)
	best := -1
	for at := range s.locks {
		hold := &s.locks[at]
		if hold.kind != k || hold.n == 0 || (hold.n > 0) == (delta > 0) || hold.name == name {
			continue
		}
		if fieldOff, fixed := t.fieldOffset(hold.name); precise && t.precise(hold.name) &&
			(!(fixed && fixedName && fieldOff == off) || t.direct(name) && t.direct(hold.name)) {
			continue
		}
		if fieldOff, fixed := t.fieldOffset(hold.name); !fixed || !fixedName || fieldOff == off || fieldOff == 0 ||
			off == 0 {
			if best < 0 || t.rank(hold.name, off) > t.rank(s.locks[best].name, off) {
				best = at
			}
		}
	}
	if best >= 0 {
		s.assumed = true
		return best
	}
	if i, ok := slices.BinarySearchFunc(s.locks, held{kind: k, name: name}, compareHeld); ok {
		return i
	}
	return -1
}

// fieldOffset gives a lock's offset in the object it lies in, when the name
// says it: not for globals and per-CPU variables, whose offset includes the
// variable's address.
func (t *values) fieldOffset(name vid) (off int64, ok bool) {
	base, off := t.split(name)
	if base == 0 {
		return 0, false
	}
	if expr := t.n(base); expr.op == opLoad && expr.k == 1 {
		return 0, false
	}
	return off, true
}

// rank orders the locks that an unclear name may mean: those at the very
// offset first, and of these the unclear ones.
func (t *values) rank(name vid, off int64) int {
	rank := 0
	if fieldOff, ok := t.fieldOffset(name); ok && fieldOff == off {
		rank = 2
	}
	if !t.precise(name) {
		rank++
	}
	return rank
}

// key normalises a test on the low size bytes of v: through extensions, so
// that a value tested in two widths is one value.
func (t *values) key(v vid, size uint8, set Set) (vid, uint8, Set) {
	for {
		expr := t.n(v)
		if expr.op != opExt {
			return v, size, set
		}
		switch {
		case expr.size >= size:
			v = expr.a
		case expr.k == 1:
			if set != nil {
				set = set.intersect(full(expr.size))
			}
			v, size = expr.a, expr.size
		default:
			if set != nil {
				set = set.narrow(expr.size)
			}
			v, size = expr.a, expr.size
		}
	}
}

// known returns what is known of the low size bytes of v, never nil.
func (t *values) known(s *state, v vid, size uint8) Set {
	if imm, ok := t.isConst(v); ok {
		return single(signExt(imm, size))
	}
	if expr := t.n(v); expr.op == opExt && expr.size < size {
		return t.knownExtended(s, expr)
	}

	// The rest is asked of the value that facts are kept for.
	key, ks, _ := t.key(v, size, nil)
	if values, ok := t.knownByMaking(s, key, ks); ok {
		return values
	}
	if values, ok := s.fact(key, ks); ok {
		return values
	}
	if ks == 8 && t.mapped(key) {
		return single(0).complement(8)
	}
	return s.narrowed(key, ks)
}

// knownExtended returns what is known of an extension beyond the size that it extends: as
// numbers with a sign for a sign extension, else without.
func (t *values) knownExtended(s *state, ext *node) Set {
	in := t.known(s, ext.a, ext.size)
	if ext.k == 1 {
		return in
	}

	// Sets hold numbers with a sign: undo it.
	out := Set{}
	for _, span := range in {
		half := int64(1) << (8*uint(ext.size) - 1)
		switch {
		case span.Lo >= 0:
			out = out.union(Set{span})
		case span.Hi < 0:
			out = out.union(Set{{span.Lo + 2*half, span.Hi + 2*half}})
		default:
			out = out.union(Set{{0, span.Hi}}).union(Set{{span.Lo + 2*half, 2*half - 1}})
		}
	}
	return out
}

// knownByMaking returns what follows from how a value was made: for comparisons and loads
// together with the facts about it, which say no less. ok is false where it says nothing.
func (t *values) knownByMaking(s *state, key vid, size uint8) (values Set, ok bool) {
	switch expr := t.n(key); expr.op {
	case opSet:
		return t.outcomeOf(s, &t.preds[expr.imm]), true
	case opBin:
		// A saved interrupt flag is known from what was done before.
		if from := t.n(expr.a); bin(expr.k) == binAnd && from.op == opFlags && from.k > 8 {
			if mask, fixed := t.isConst(expr.b); fixed && mask&interruptFlag != 0 {
				return single(0), true
			}
		}
		if bin(expr.k) >= binEq {
			if values, ok := s.fact(key, 1); ok {
				return values, true
			}
			return Set{{0, 1}}, true
		}
	case opLoad:
		if expr.size < size { // zero-extended
			if values, ok := s.fact(key, size); ok {
				return values, true
			}
			return Set{{0, int64(1)<<(8*uint(expr.size)) - 1}}, true
		}
	}
	return nil, false
}

// outcomeOf returns whether a condition holds: 1, 0, or both where it is not known.
func (t *values) outcomeOf(s *state, cond *pred) Set {
	switch now := t.known(s, cond.v, cond.size); {
	case now.intersect(cond.set).Empty():
		return single(0)
	case now.intersect(cond.set.complement(cond.size)).Empty():
		return single(1)
	}
	return Set{{0, 1}}
}

// narrowed returns what facts about more bytes of a value say of its low size bytes, all
// numbers of that size if nothing.
func (s *state) narrowed(key vid, size uint8) Set {
	if size != 1 && size != 4 {
		return full(size)
	}
	for _, wide := range []uint8{8, 4} {
		if wide <= size {
			break
		}
		values, ok := s.fact(key, wide)
		if !ok {
			continue
		}
		if number, ok := values.Single(); ok {
			return single(signExt(number, size))
		}
		if all := full(size)[0]; len(values) > 0 && values[0].Lo >= all.Lo && values[len(values)-1].Hi <= all.Hi {
			return values
		}
	}
	return full(size)
}

func compareFact(a, b fact) int {
	if a.v != b.v {
		return int(a.v) - int(b.v)
	}
	return int(a.size) - int(b.size)
}

func (s *state) fact(v vid, size uint8) (Set, bool) {
	if i, ok := slices.BinarySearchFunc(s.facts, fact{v: v, size: size}, compareFact); ok {
		return s.facts[i].set, true
	}
	return nil, false
}

func (s *state) setFact(v vid, size uint8, set Set) {
	at, ok := slices.BinarySearchFunc(s.facts, fact{v: v, size: size}, compareFact)
	full := len(set) == 1 && set.Equal(full(size))
	switch {
	case ok && full:
		s.facts = slices.Delete(s.facts, at, at+1)
	case ok:
		s.facts[at].set = set
	case !full && len(s.facts) < 48:
		s.facts = slices.Insert(s.facts, at, fact{v, size, set})
	}
}

// assume notes that the low size bytes of v lie in set. It reports false when
// that cannot be.
func (t *values) assume(s *state, v vid, size uint8, set Set) bool {
	key, ks, kset := t.key(v, size, set)
	now := t.known(s, key, ks)
	next := now.intersect(kset)
	if next.Empty() {
		return false
	}
	expr := *t.n(key)
	switch expr.op {
	case opConst:
		return true
	case opStale:
		if expr.k >= maxStale {
			return true // means several values
		}
	case opSet:
		cond := t.preds[expr.imm]
		if !next.Contains(0) {
			return t.assume(s, cond.v, cond.size, cond.set)
		}
		if !next.Contains(1) {
			return t.assume(s, cond.v, cond.size, cond.set.complement(cond.size))
		}
		return true
	case opBin:
		switch bin(expr.k) {
		case binAnd:
			flagsOf := *t.n(expr.a)
			if mask, ok := t.isConst(expr.b); ok && flagsOf.op == opFlags && mask&interruptFlag != 0 {
				if single, one := next.Single(); one && single == 0 {
					// Interrupts were off when the flag was saved, so skipping
					// the enabling restores them.
					s.setIRQ(int8(flagsOf.k - 8))
				}
			}
		case binEq, binLtu, binLt:
			ks = 1
		case binXor, binSub:
			// a ^ c or a - c == 0
		}
	}
	s.setFact(key, ks, next)
	return true
}

// holds returns what a predicate is in a state: 1, 0, or -1 for either.
func (t *values) holds(s *state, p pred) int {
	known := t.known(s, p.v, p.size)
	switch {
	case known.intersect(p.set).Empty():
		return 0
	case known.intersect(p.set.complement(p.size)).Empty():
		return 1
	}
	return -1
}

// get reads a memory cell; ok is false when its content is not known.
func (s *state) get(base vid, off int64, size uint8) (vid, bool, bool) {
	for i := range s.mem {
		stored := &s.mem[i]
		if stored.base != base {
			continue
		}
		if stored.off == off && stored.size >= size {
			return stored.val, stored.size == size, true
		}
	}
	return 0, false, false
}

func compareCell(a, b cell) int {
	if a.base != b.base {
		return int(a.base) - int(b.base)
	}
	switch {
	case a.off < b.off:
		return -1
	case a.off > b.off:
		return 1
	}
	return int(a.size) - int(b.size)
}

const maxCells = 64

// put writes a memory cell and forgets what it overlaps.
func (s *state) put(c cell) {
	s.mem = slices.DeleteFunc(s.mem, func(x cell) bool {
		return x.base == c.base && x.off < c.off+int64(c.size) && c.off < x.off+int64(x.size)
	})
	if len(s.mem) >= maxCells {
		return
	}
	i, _ := slices.BinarySearchFunc(s.mem, c, compareCell)
	s.mem = slices.Insert(s.mem, i, c)
}

// epochOf returns when memory at base+off was last changed.
func (s *state) epochOf(base vid, off int64) int32 {
	for _, field := range s.fields {
		if field.off == off>>3 && (field.base == base || field.base == anyBase) {
			return field.ep
		}
	}
	return s.ep
}

// out notes a word stored through a pointer.
func (s *state) out(c cell) {
	for i := range s.outs {
		if s.outs[i].base == c.base && s.outs[i].off == c.off {
			s.outs[i].val = c.val
			return
		}
	}
	if len(s.outs) < 8 {
		i, _ := slices.BinarySearchFunc(s.outs, c, compareCell)
		s.outs = slices.Insert(s.outs, i, c)
	}
}
