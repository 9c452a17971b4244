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
	joined := joining{w: w, block: b, age: w.order[b], into: e, from: s}
	joined.registers()
	joined.memory()
	joined.facts()
	joined.epochs()
	joined.locks()
	joined.outs()

	e.assumed = e.assumed || s.assumed
	if e.guessed && !s.guessed {
		e.guessed = false
		joined.changed = true
	}
	return joined.changed
}

// merge gives what a register or a word of memory holds afterwards. loc numbers it.
func (j *joining) merge(into, from vid, loc int32) vid {
	if into == from {
		return into
	}
	joined := j.w.t.phi(j.block, loc, j.age)
	j.phis = append(j.phis, merged{joined, into, from})
	j.w.origins.note(joined, into, from)
	return joined
}

func (j *joining) registers() {
	into, from := j.into, j.from
	for i := range into.regs {
		if val := j.merge(into.regs[i], from.regs[i], int32(i)); val != into.regs[i] {
			into.regs[i] = val
			j.changed = true
		}
	}
	if into.flags != from.flags && into.flags != (flags{}) {
		into.flags = flags{}
		j.changed = true
	}
}

// memory keeps the words that both sides know. Both lists are sorted.
func (j *joining) memory() {
	into, from := j.into, j.from
	kept := into.mem[:0] // only shrinks
	at := 0
	for _, stored := range into.mem {
		for at < len(from.mem) && compareCell(from.mem[at], stored) < 0 {
			at++
		}
		if at == len(from.mem) || compareCell(from.mem[at], stored) != 0 {
			j.changed = true
			continue
		}
		val := stored.val
		if val != from.mem[at].val {
			val = j.merge(stored.val, from.mem[at].val, j.w.loc(stored))
		}
		j.changed = j.changed || val != stored.val
		stored.val = val
		kept = append(kept, stored)
	}
	into.mem = kept
}

// facts keeps what holds on both sides, about values that both have and about phis. After
// some rounds a fact that still grows is given up, so that loops end.
func (j *joining) facts() {
	e, s := j.into, j.from
	facts := make([]fact, 0, len(e.facts)+len(j.phis))
	at := 0
	for _, fact := range e.facts {
		for at < len(s.facts) && compareFact(s.facts[at], fact) < 0 {
			at++
		}
		isPhi := slices.ContainsFunc(j.phis, func(m merged) bool { return m.phi == fact.v })
		if isPhi || at == len(s.facts) || compareFact(s.facts[at], fact) != 0 {
			continue // told below, or the other side knows nothing
		}
		facts = e.widen(facts, fact.v, fact, fact.set.union(s.facts[at].set), true)
	}
	for _, phi := range j.phis {
		for _, size := range phiSizes {
			into := j.w.t.known(e, phi.into, size)
			if isFull(into, size) {
				continue
			}
			from := j.w.t.known(s, phi.from, size)
			if isFull(from, size) {
				continue
			}
			// Only a phi that was there before can grow from round to round.
			facts = e.widen(facts, phi.phi, fact{phi.into, size, into}, into.union(from), phi.into == phi.phi)
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
	into, from := j.into, j.from
	if from.esc < into.esc {
		into.esc = from.esc
		j.changed = true
	}
	here := -(j.block + 10)
	if into.ep != from.ep {
		if into.ep != here || len(into.fields) > 0 {
			into.ep, into.fields, into.epAge = here, nil, j.age
			j.changed = true
		}
	} else if into.joinFields(from.fields, here) {
		into.epAge = max(into.epAge, j.age)
		j.changed = true
	}
	if into.sep != from.sep && into.sep != here {
		into.sep, into.sepAge = here, j.age
		j.changed = true
	}
	if from.epAge > into.epAge {
		into.epAge = from.epAge
		j.changed = true
	}
	if from.sepAge > into.sepAge {
		into.sepAge = from.sepAge
		j.changed = true
	}
}

// locks merges what was released and taken on the way; the locks held are the same.
func (j *joining) locks() {
	into, from := j.into, j.from
	for _, hold := range from.dropped {
		j.changed = into.drop(hold) || j.changed
	}
	for _, kin := range from.taken {
		if i, ok := slices.BinarySearchFunc(into.taken, kin, compareLike); !ok && len(into.taken) < maxTaken {
			into.taken = slices.Insert(into.taken, i, kin)
			j.changed = true
		}
	}
}

// outs keeps the words that one side alone stores, and those that both store alike. They
// only name locks: a change needs no other round.
func (j *joining) outs() {
	into, from := j.into, j.from
	if slices.Equal(into.outs, from.outs) {
		return
	}
	same := func(a, b cell) bool { return a.base == b.base && a.off == b.off }
	into.outs = slices.DeleteFunc(into.outs, func(c cell) bool {
		return slices.ContainsFunc(from.outs, func(d cell) bool { return same(c, d) && c.val != d.val })
	})
	for _, other := range from.outs {
		if !slices.ContainsFunc(into.outs, func(c cell) bool { return same(c, other) }) {
			into.out(other)
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
		field := &s.fields[i]
		if j := at(other, *field); field.ep != ep && (j < 0 || other[j].ep != field.ep) {
			field.ep = ep
			changed = true
		}
	}
	for _, field := range other {
		if at(s.fields, field) < 0 {
			s.fields = append(s.fields, fieldEpoch{field.base, field.off, ep})
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
