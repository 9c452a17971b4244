package locks

import (
	"cmp"
	"slices"
)

// exit records the state in which the function returns.
func (w *walker) exit(s *state) {
	t := &w.t
	o := Outcome{RetArg: -1}
	for _, h := range s.locks {
		l := Lock{Kind: h.kind}
		if !h.kind.Context() {
			l.Path = w.path(s, h.name)
			if l.Path.Root == RootNone {
				continue // in the own stack frame
			}
		}
		o.Changes = append(o.Changes, Change{Lock: l, Delta: h.n})
	}
	for _, h := range s.dropped {
		// To release for good needs it to be held as well.
		gone := slices.ContainsFunc(s.locks, func(x held) bool { return x.kind == h.kind && x.name == h.name && x.n < 0 })
		if p := w.path(s, h.name); p.Root != RootNone && !gone {
			o.Dropped = append(o.Dropped, Drop{Lock{h.kind, p}, h.n == droppedByCallee, !p.Known() && !t.rooted(h.name)})
		}
	}
	o.Dropped = sortDrops(o.Dropped)
	slices.SortFunc(o.Changes, func(a, b Change) int { return cmp.Or(compareLock(a.Lock, b.Lock), cmp.Compare(a.Delta, b.Delta)) })
	r := s.regs[retReg]
	for i := range maxArgs {
		if r == t.param(i) {
			o.RetArg = int8(i)
		}
	}
	o.Ret = Ret{B1: trim(t.known(s, r, 1), 1), B4: trim(t.known(s, r, 4), 4), B8: trim(t.known(s, r, 8), 8)}
	for i := range maxArgs {
		for _, size := range phiSizes {
			if f, ok := s.fact(t.param(i), size); ok {
				o.When = append(o.When, Cond{Arg: int8(i), Size: size, In: f})
			}
		}
	}
	o.guessed = s.guessed
	o.inside = w.memory(s)
	w.guess = w.guess || s.assumed
	same, last := 0, -1
	for i := range w.exits {
		if sameChanges(w.exits[i].Changes, o.Changes) {
			if sameRet(w.exits[i].Ret, o.Ret) {
				w.exits[i] = merge(w.exits[i], o)
				return
			}
			same, last = same+1, i
		}
	}
	if same >= maxVariants {
		w.exits[last] = merge(w.exits[last], o)
		return
	}
	w.exits = append(w.exits, o)
}

// maxVariants is how many ways of returning with the same changes are kept
// apart until all are known.
const maxVariants = 6

func sameRet(a, b Ret) bool { return a.B1.Equal(b.B1) && a.B4.Equal(b.B4) && a.B8.Equal(b.B8) }

// mergeVariants merges ways of returning with the same changes, unless that
// would make one look like a way with other changes that it could be told from.
func mergeVariants(l []Outcome) []Outcome {
	for i := 0; i < len(l); i++ {
		for j := i + 1; j < len(l); j++ {
			if !sameChanges(l[i].Changes, l[j].Changes) {
				continue
			}
			m := merge(l[i], l[j])
			if !slices.ContainsFunc(l, func(o Outcome) bool {
				return !sameChanges(o.Changes, m.Changes) && told(&l[i], &o) && told(&l[j], &o) && !told(&m, &o)
			}) {
				l[i] = m
				l = slices.Delete(l, j, j+1)
				j = i
			}
		}
	}
	return l
}

// told reports whether two outcomes can be told apart by anything.
func told(a, b *Outcome) bool { return apart(a, b) || inside(a, b) }

// settle drops outcomes that come about only when a call, which nothing tells
// the outcome of, went one way, and that leave locks unbalanced, when there
// is a balanced way as well.
func (w *walker) settle() []Outcome {
	l := mergeVariants(w.exits)
	var balanced []Outcome
	for _, o := range l {
		if len(o.Changes) == 0 {
			balanced = append(balanced, o)
		}
	}
	l = slices.DeleteFunc(l, func(o Outcome) bool {
		if o.guessed && len(o.Changes) > 0 && slices.ContainsFunc(balanced, func(b Outcome) bool { return !told(&o, &b) }) {
			w.why |= WhyCallee
			return true
		}
		return false
	})
	if len(l) > maxOutcomes {
		w.why |= WhyStates
		l = l[:maxOutcomes]
	}
	return l
}

// trim makes the full set nil.
func trim(s Set, size uint8) Set {
	if s.Equal(full(size)) {
		return nil
	}
	return s
}

func sameChanges(a, b []Change) bool {
	return slices.EqualFunc(a, b, func(x, y Change) bool { return x.Delta == y.Delta && compareLock(x.Lock, y.Lock) == 0 })
}

// merge joins two outcomes with the same changes.
func merge(a, b Outcome) Outcome {
	u := func(x, y Set, size uint8) Set {
		if x == nil || y == nil {
			return nil
		}
		return trim(x.union(y), size)
	}
	o := Outcome{Changes: a.Changes, RetArg: a.RetArg, guessed: a.guessed && b.guessed}
	o.Dropped = sortDrops(append(slices.Clone(a.Dropped), b.Dropped...))
	if a.RetArg != b.RetArg {
		o.RetArg = -1
	}
	o.Ret = Ret{u(a.Ret.B1, b.Ret.B1, 1), u(a.Ret.B4, b.Ret.B4, 4), u(a.Ret.B8, b.Ret.B8, 8)}
	for _, x := range a.inside {
		for _, y := range b.inside {
			if x.v == y.v && x.size == y.size {
				if set := x.set.union(y.set); !isFull(set, x.size) {
					o.inside = append(o.inside, memory{x.v, x.size, set})
				}
			}
		}
	}
	for _, x := range a.When {
		for _, y := range b.When {
			if x.Arg == y.Arg && x.Size == y.Size {
				if in := u(x.In, y.In, x.Size); in != nil {
					o.When = append(o.When, Cond{x.Arg, x.Size, in})
				}
			}
		}
	}
	return o
}

// memory is what is known on one way of returning of a value in memory: of
// one read that no code of the function or its callees had changed before, or
// of one stored through an argument. v names it.
type memory struct {
	v    vid
	size uint8
	set  Set
}

const maxMemory = 24

func (w *walker) memory(s *state) []memory {
	t := &w.t
	var l []memory
	for _, f := range s.facts {
		if len(l) < maxMemory && t.atEntry(f.v) {
			l = append(l, memory(f))
		}
	}
	for _, c := range s.mem {
		if w.isStack(c.base) || !t.atEntry(c.base) || len(l) >= 2*maxMemory {
			continue
		}
		size := min(c.size, 8)
		if k := t.known(s, c.val, size); !isFull(k, size) {
			l = append(l, memory{t.stored(c), size, k})
		}
	}
	return l
}

// atEntry reports whether a value is made of memory as it was at entry,
// arguments and constants, with at least one of the first two.
func (t *values) atEntry(v vid) bool {
	for {
		switch n := t.n(v); n.op {
		case opEntry:
			return true
		case opLoad:
			if n.ep > 1 || n.ep < 0 {
				return false
			}
			if _, ok := t.isConst(n.a); ok {
				return true
			}
			v = n.a
		case opAdd, opExt:
			v = n.a
		case opBin:
			if _, ok := t.isConst(n.b); !ok && !t.atEntry(n.b) {
				return false
			}
			v = n.a
		default:
			return false
		}
	}
}

// inside reports whether memory tells two outcomes apart.
func inside(a, b *Outcome) bool {
	for _, x := range a.inside {
		for _, y := range b.inside {
			if x.v == y.v && x.size == y.size && x.set.intersect(y.set).Empty() {
				return true
			}
		}
	}
	return false
}

// apart reports whether a caller can tell two outcomes apart, by the returned
// value or by what it passed.
func apart(a, b *Outcome) bool {
	dis := func(x, y Set) bool { return x != nil && y != nil && x.intersect(y).Empty() }
	if dis(a.Ret.B1, b.Ret.B1) || dis(a.Ret.B4, b.Ret.B4) || dis(a.Ret.B8, b.Ret.B8) {
		return true
	}
	for _, x := range a.When {
		for _, y := range b.When {
			if x.Arg == y.Arg && x.Size == y.Size && dis(x.In, y.In) {
				return true
			}
		}
	}
	return false
}

// finish sorts an effect's outcomes, keeps of the returned values what the
// type says is returned, and notes what callers cannot tell apart.
func finish(e *Effect, rt retType) {
	for i := range e.Outcomes {
		r := &e.Outcomes[i].Ret
		if !rt.known {
			continue
		}
		if rt.void || rt.size > 1 {
			r.B1 = nil
		}
		if rt.void || rt.size < 4 {
			r.B4 = nil
		}
		if rt.void || rt.size < 8 {
			r.B8 = nil
		}
		if rt.void {
			e.Outcomes[i].RetArg = -1
		}
	}
	slices.SortStableFunc(e.Outcomes, func(a, b Outcome) int {
		return slices.CompareFunc(a.Changes, b.Changes, func(x, y Change) int {
			return cmp.Or(compareLock(x.Lock, y.Lock), cmp.Compare(x.Delta, y.Delta))
		})
	})
	if !rt.void {
		tellApart(e, rt)
	}
	for i := range e.Outcomes {
		o := &e.Outcomes[i]
		o.Changes = slices.Clone(o.Changes) // others may have the same
		for k := range o.Changes {
			o.Changes[k].Unsure = !e.certain(i, o.Changes[k])
		}
	}
	for i := range e.Outcomes {
		e.Outcomes[i].inside = nil
		for j := range i {
			if !sameChanges(e.Outcomes[i].Changes, e.Outcomes[j].Changes) && !apart(&e.Outcomes[i], &e.Outcomes[j]) {
				e.Unknown |= WhyAmbiguous
			}
		}
	}
}

// tellApart makes use of what authors of such functions must intend: when one
// way returns certain values only, and what another returns is not known, the
// other returns something else.
func tellApart(e *Effect, rt retType) {
	if len(e.Outcomes) < 2 {
		return
	}
	for _, size := range []uint8{8, 4, 1} {
		assumed := false
		if rt.known && rt.size != size {
			continue
		}
		var said Set
		var open []int
		for i := range e.Outcomes {
			set := *e.Outcomes[i].Ret.of(size)
			if set == nil {
				open = append(open, i)
				continue
			}
			if said == nil {
				said = Set{}
			}
			said = said.union(set)
		}
		if len(open) == 0 || said == nil {
			continue
		}
		if rt.pointer && said.intersect(Set{{-4095, -1}}).Equal(said) {
			said = Set{{-4095, -1}} // what callers test for
		}
		rest := said.complement(size)
		if rest.Empty() || slices.ContainsFunc(open, func(i int) bool { return len(e.Outcomes[i].Changes) == 0 }) && len(open) > 1 {
			continue
		}
		for _, i := range open {
			done := true
			for j := range e.Outcomes {
				done = done && (slices.Contains(open, j) || apart(&e.Outcomes[j], &e.Outcomes[i]))
			}
			if !done {
				*e.Outcomes[i].Ret.of(size) = rest
				assumed = true
			}
		}
		if assumed {
			e.Assumed = true
			return
		}
	}
}

func (r *Ret) of(size uint8) *Set {
	switch size {
	case 1:
		return &r.B1
	case 4:
		return &r.B4
	}
	return &r.B8
}

// certain reports whether a change of outcome i is no matter of doubt: all
// outcomes without it can be told from i by the returned value, by what was
// passed, or by memory.
func (e *Effect) certain(i int, c Change) bool {
	for j := range e.Outcomes {
		o := &e.Outcomes[j]
		has := slices.ContainsFunc(o.Changes, func(x Change) bool {
			return compareLock(x.Lock, c.Lock) == 0 && (x.Delta > 0) == (c.Delta > 0)
		})
		if !has && !told(&e.Outcomes[i], o) {
			return false
		}
	}
	return true
}

const maxPath = 4

// path expresses a lock's name by what a caller knows. The result's Root is
// RootNone when the lock lies in the function's own frame.
func (w *walker) path(s *state, name vid) Path {
	if w.isStackAddr(name) {
		return Path{}
	}
	if p, ok := w.express(s, name, 0); ok {
		if p.Root == RootGlobal && p.Addr < 1<<32 {
			return Path{} // a field of NULL: not a way that is taken
		}
		return p
	}
	_, off := w.t.split(name)
	return Path{Root: RootUnknown, Offs: []int64{off}}
}

func (w *walker) express(s *state, v vid, depth int) (Path, bool) {
	t := &w.t
	if depth > 2*maxPath {
		return Path{}, false
	}
	base, off := t.split(v)
	n := t.n(base)
	if base == 0 {
		return Path{Root: RootGlobal, Addr: uint64(off), Offs: []int64{0}}, true
	}
	ret := s.regs[retReg]
	rb, ro := t.split(t.stripped(ret))
	switch n.op {
	case opEntry:
		if i, ok := paramOf(n.imm); ok {
			return Path{Root: RootArg, Arg: int8(i), Offs: []int64{off}}, true
		}
		return Path{}, false
	case opLoad:
		if n.k == 1 {
			if ab, ao := t.split(n.a); ab == 0 {
				switch uint64(ao) {
				case w.a.currentTask:
					return Path{Root: RootCurrent, Offs: []int64{off}}, true
				case w.a.thisCPUOff:
					return Path{Root: RootPercpu, Addr: uint64(off), Offs: []int64{0}}, true
				}
				return Path{Root: RootPercpu, Addr: uint64(ao), Offs: []int64{0, off}}, true
			}
			return Path{}, false
		}
		if n.size != 8 {
			break
		}
		if p, ok := w.express(s, n.a, depth+1); ok && len(p.Offs) < maxPath {
			p.Offs = append(slices.Clone(p.Offs), off)
			return p, true
		}
	}
	if rb == base && base != 0 {
		return Path{Root: RootRet, Offs: []int64{off - ro}}, true
	}
	// Perhaps it was stored where the caller finds it.
	for _, c := range append(slices.Clone(s.outs), s.mem...) {
		if c.size != 8 || w.isStack(c.base) || c.base == base {
			continue
		}
		cb, co := t.split(t.stripped(c.val))
		if cb != base {
			continue
		}
		if p, ok := w.express(s, t.addImm(t.stripped(c.base), c.off), depth+maxPath); ok && len(p.Offs) < maxPath {
			p.Offs = append(slices.Clone(p.Offs), off-co)
			return p, true
		}
	}
	return Path{}, false
}

// unsure counts the changes that nothing tells from another outcome.
func (e *Effect) unsure() int {
	n := 0
	for i := range e.Outcomes {
		for _, c := range e.Outcomes[i].Changes {
			if c.Unsure {
				n++
			}
		}
	}
	return n
}
