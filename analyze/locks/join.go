package locks

import "slices"

// maxTaken bounds state.taken: what does not fit is not known to have been taken.
const maxTaken = 12

// phiSizes are the widths, in bytes, in which facts about a merged value are looked for.
var phiSizes = []uint8{1, 4, 8}

// joining merges a state that comes to a block into the one that is there already. What
// the two disagree about becomes less certain there: a value becomes a phi, a fact what
// holds on both sides, memory that one side has changed changed.
type joining struct {
	w       *walker
	block   int32
	age     int32
	into    *state // what is there, which is changed
	from    *state // what comes, which is not
	phis    []merged
	changed bool
}

// merged is a value that became a phi, with what it is on either side.
type merged struct{ phi, into, from vid }

// join merges s into e, which has the same locks, and reports whether e
// became less certain.
func (w *walker) join(b int32, e, s *state) bool {
	e.joins++
	j := joining{w: w, block: b, age: w.order[b], into: e, from: s}
	j.registers()
	j.memory()
	j.facts()
	j.epochs()
	j.locks()
	j.outs()

	e.assumed = e.assumed || s.assumed
	if e.guessed && !s.guessed {
		e.guessed = false
		j.changed = true
	}
	return j.changed
}

// merge gives what a register or a word of memory holds afterwards. loc numbers it.
func (j *joining) merge(into, from vid, loc int32) vid {
	if into == from {
		return into
	}
	p := j.w.t.phi(j.block, loc, j.age)
	j.phis = append(j.phis, merged{p, into, from})
	return p
}

func (j *joining) registers() {
	e, s := j.into, j.from
	for i := range e.regs {
		if v := j.merge(e.regs[i], s.regs[i], int32(i)); v != e.regs[i] {
			e.regs[i] = v
			j.changed = true
		}
	}
	if e.flags != s.flags && e.flags != (flags{}) {
		e.flags = flags{}
		j.changed = true
	}
}

// memory keeps the words that both sides know. Both lists are sorted.
func (j *joining) memory() {
	e, s := j.into, j.from
	kept := e.mem[:0] // only shrinks
	at := 0
	for _, c := range e.mem {
		for at < len(s.mem) && compareCell(s.mem[at], c) < 0 {
			at++
		}
		if at == len(s.mem) || compareCell(s.mem[at], c) != 0 {
			j.changed = true
			continue
		}
		v := c.val
		if v != s.mem[at].val {
			v = j.merge(c.val, s.mem[at].val, j.w.loc(c))
		}
		j.changed = j.changed || v != c.val
		c.val = v
		kept = append(kept, c)
	}
	e.mem = kept
}

// facts keeps what holds on both sides, about values that both have and about phis. After
// some rounds a fact that still grows is given up, so that loops end.
func (j *joining) facts() {
	e, s := j.into, j.from
	facts := make([]fact, 0, len(e.facts)+len(j.phis))
	at := 0
	for _, f := range e.facts {
		for at < len(s.facts) && compareFact(s.facts[at], f) < 0 {
			at++
		}
		isPhi := slices.ContainsFunc(j.phis, func(m merged) bool { return m.phi == f.v })
		if isPhi || at == len(s.facts) || compareFact(s.facts[at], f) != 0 {
			continue // told below, or the other side knows nothing
		}
		facts = e.widen(facts, f.v, f, f.set.union(s.facts[at].set), true)
	}
	for _, m := range j.phis {
		for _, size := range phiSizes {
			into := j.w.t.known(e, m.into, size)
			if isFull(into, size) {
				continue
			}
			from := j.w.t.known(s, m.from, size)
			if isFull(from, size) {
				continue
			}
			// Only a phi that was there before can grow from round to round.
			facts = e.widen(facts, m.phi, fact{m.into, size, into}, into.union(from), m.into == m.phi)
		}
	}
	slices.SortFunc(facts, compareFact)
	if !sameFacts(facts, e.facts) {
		j.changed = true
	}
	e.facts = facts
}

// widen adds that v is in the union of what was known and what comes, unless that says
// nothing, or the fact grows and has done so too often.
func (e *state) widen(facts []fact, v vid, was fact, union Set, grows bool) []fact {
	if isFull(union, was.size) || grows && e.joins > maxJoins && !union.Equal(was.set) {
		return facts
	}
	return append(facts, fact{v, was.size, union})
}

// epochs merges what is known of when memory was changed by code not seen.
func (j *joining) epochs() {
	e, s := j.into, j.from
	if s.esc < e.esc {
		e.esc = s.esc
		j.changed = true
	}
	here := -(j.block + 10)
	if e.ep != s.ep {
		if e.ep != here || len(e.fields) > 0 {
			e.ep, e.fields, e.epAge = here, nil, j.age
			j.changed = true
		}
	} else if e.joinFields(s.fields, here) {
		e.epAge = max(e.epAge, j.age)
		j.changed = true
	}
	if e.sep != s.sep && e.sep != here {
		e.sep, e.sepAge = here, j.age
		j.changed = true
	}
	if s.epAge > e.epAge {
		e.epAge = s.epAge
		j.changed = true
	}
	if s.sepAge > e.sepAge {
		e.sepAge = s.sepAge
		j.changed = true
	}
}

// locks merges what was released and taken on the way; the locks held are the same.
func (j *joining) locks() {
	e, s := j.into, j.from
	for _, h := range s.dropped {
		j.changed = e.drop(h) || j.changed
	}
	for _, l := range s.taken {
		if i, ok := slices.BinarySearchFunc(e.taken, l, compareLike); !ok && len(e.taken) < maxTaken {
			e.taken = slices.Insert(e.taken, i, l)
			j.changed = true
		}
	}
}

// outs keeps the words that one side alone stores, and those that both store alike. They
// only name locks: a change needs no other round.
func (j *joining) outs() {
	e, s := j.into, j.from
	if slices.Equal(e.outs, s.outs) {
		return
	}
	same := func(a, b cell) bool { return a.base == b.base && a.off == b.off }
	e.outs = slices.DeleteFunc(e.outs, func(c cell) bool {
		return slices.ContainsFunc(s.outs, func(d cell) bool { return same(c, d) && c.val != d.val })
	})
	for _, d := range s.outs {
		if !slices.ContainsFunc(e.outs, func(c cell) bool { return same(c, d) }) {
			e.out(d)
		}
	}
}

// joinFields marks memory that only one of two states has changed, or that
// they changed at different places, as changed here.
func (s *state) joinFields(other []fieldEpoch, ep int32) bool {
	changed := false
	at := func(l []fieldEpoch, f fieldEpoch) int {
		return slices.IndexFunc(l, func(x fieldEpoch) bool { return x.base == f.base && x.off == f.off })
	}
	for i := range s.fields {
		f := &s.fields[i]
		if j := at(other, *f); f.ep != ep && (j < 0 || other[j].ep != f.ep) {
			f.ep = ep
			changed = true
		}
	}
	for _, f := range other {
		if at(s.fields, f) < 0 {
			s.fields = append(s.fields, fieldEpoch{f.base, f.off, ep})
			changed = true
		}
	}
	if len(s.fields) > 16 {
		s.ep, s.fields = ep, nil
	}
	return changed
}

func sameFacts(a, b []fact) bool {
	return slices.EqualFunc(a, b, func(a, b fact) bool { return a.v == b.v && a.size == b.size && a.set.Equal(b.set) })
}
