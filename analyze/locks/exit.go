package locks

import (
	"cmp"
	"slices"
)

// exit records the state in which the function returns.
func (w *walker) exit(s *state) {
	vals := &w.t
	outcome := Outcome{RetArg: -1}
	for _, hold := range s.locks {
		lock := Lock{Kind: hold.kind}
		if !hold.kind.Context() {
			lock.Path = w.path(s, hold.name)
			if lock.Path.Root == RootNone {
				continue // in the own stack frame
			}
		}
		outcome.Changes = append(outcome.Changes, Change{Lock: lock, Delta: hold.n})
	}
	for _, hold := range s.dropped {
		// To release for good needs it to be held as well.
		gone := slices.ContainsFunc(s.locks, func(x held) bool {
			return x.kind == hold.kind && x.name == hold.name &&
				x.n < 0
		})
		if path := w.path(s, hold.name); path.Root != RootNone && !gone {
			outcome.Dropped = append(outcome.Dropped, Drop{Lock{hold.kind, path}, hold.n == droppedByCallee,
				!path.Known() && !vals.rooted(hold.name)})
		}
	}
	outcome.Dropped = sortDrops(outcome.Dropped)
	slices.SortFunc(outcome.Changes, func(a, b Change) int {
		return cmp.Or(compareLock(a.Lock, b.Lock),
			cmp.Compare(a.Delta, b.Delta))
	})
	result := s.regs[retReg]
	for i := range maxArgs {
		if result == vals.param(i) {
			outcome.RetArg = int8(i)
		}
	}
	outcome.Ret = Ret{B1: trim(vals.known(s, result, 1), 1), B4: trim(vals.known(s, result, 4), 4),
		B8: trim(vals.known(s, result, 8), 8)}
	for i := range maxArgs {
		for _, size := range phiSizes {
			if known, ok := s.fact(vals.param(i), size); ok {
				outcome.When = append(outcome.When, Cond{Arg: int8(i), Size: size, In: known})
			}
		}
	}
	outcome.guessed = s.guessed
	outcome.inside = w.memory(s)
	w.guess = w.guess || s.assumed
	same, last := 0, -1
	for nth := range w.exits {
		if sameChanges(w.exits[nth].Changes, outcome.Changes) {
			if sameRet(w.exits[nth].Ret, outcome.Ret) {
				w.exits[nth] = merge(w.exits[nth], outcome)
				return
			}
			same, last = same+1, nth
		}
	}
	if same >= maxVariants {
		w.exits[last] = merge(w.exits[last], outcome)
		return
	}
	w.exits = append(w.exits, outcome)
}

// maxVariants is how many return paths with the same changes are kept
// apart until all are known.
const maxVariants = 6

func sameRet(a, b Ret) bool { return a.B1.Equal(b.B1) && a.B4.Equal(b.B4) && a.B8.Equal(b.B8) }

// mergeVariants merges return paths with the same changes, unless that
// would make one look like a path with other changes that it could be told from.
func mergeVariants(l []Outcome) []Outcome {
	for i := 0; i < len(l); i++ {
		for j := i + 1; j < len(l); j++ {
			if !sameChanges(l[i].Changes, l[j].Changes) {
				continue
			}
			merged := merge(l[i], l[j])
			if !slices.ContainsFunc(l, func(o Outcome) bool {
				return !sameChanges(o.Changes, merged.Changes) && told(&l[i], &o) && told(&l[j], &o) &&
					!told(&merged, &o)
			}) {
				l[i] = merged
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
// the outcome of, went one path, and that leave locks unbalanced, when there
// is a balanced path as well.
func (w *walker) settle() []Outcome {
	list := mergeVariants(w.exits)
	var balanced []Outcome
	for _, outcome := range list {
		if len(outcome.Changes) == 0 {
			balanced = append(balanced, outcome)
		}
	}
	list = slices.DeleteFunc(list, func(o Outcome) bool {
		if o.guessed && len(o.Changes) > 0 && slices.ContainsFunc(balanced, func(b Outcome) bool { return !told(&o, &b) }) {
			w.why |= WhyCallee
			return true
		}
		return false
	})
	if len(list) > maxOutcomes {
		w.why |= WhyStates
		list = list[:maxOutcomes]
	}
	return list
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
	either := func(x, y Set, size uint8) Set {
		if x == nil || y == nil {
			return nil
		}
		return trim(x.union(y), size)
	}
	outcome := Outcome{Changes: a.Changes, RetArg: a.RetArg, guessed: a.guessed && b.guessed}
	outcome.Dropped = sortDrops(append(slices.Clone(a.Dropped), b.Dropped...))
	if a.RetArg != b.RetArg {
		outcome.RetArg = -1
	}
	outcome.Ret = Ret{either(a.Ret.B1, b.Ret.B1, 1), either(a.Ret.B4, b.Ret.B4, 4), either(a.Ret.B8, b.Ret.B8, 8)}
	for _, ours := range a.inside {
		for _, theirs := range b.inside {
			if ours.v == theirs.v && ours.size == theirs.size {
				if set := ours.set.union(theirs.set); !isFull(set, ours.size) {
					outcome.inside = append(outcome.inside, memory{ours.v, ours.size, set})
				}
			}
		}
	}
	for _, ours := range a.When {
		for _, theirs := range b.When {
			if ours.Arg == theirs.Arg && ours.Size == theirs.Size {
				if in := either(ours.In, theirs.In, ours.Size); in != nil {
					outcome.When = append(outcome.When, Cond{ours.Arg, ours.Size, in})
				}
			}
		}
	}
	return outcome
}

// memory is what is known on one return path of a value in memory: of
// one read that no code of the function or its callees had changed before, or
// of one stored through an argument. v names it.
type memory struct {
	v    vid
	size uint8
	set  Set
}

const maxMemory = 24

func (w *walker) memory(s *state) []memory {
	vals := &w.t
	var list []memory
	for _, fact := range s.facts {
		if len(list) < maxMemory && vals.atEntry(fact.v) {
			list = append(list, memory(fact))
		}
	}
	for _, stored := range s.mem {
		if w.isStack(stored.base) || !vals.atEntry(stored.base) || len(list) >= 2*maxMemory {
			continue
		}
		size := min(stored.size, 8)
		if known := vals.known(s, stored.val, size); !isFull(known, size) {
			list = append(list, memory{vals.stored(stored), size, known})
		}
	}
	return list
}

// atEntry reports whether a value is made of memory as it was at entry,
// arguments and constants, with at least one of the first two.
func (t *values) atEntry(v vid) bool {
	for {
		switch expr := t.n(v); expr.op {
		case opEntry:
			return true
		case opLoad:
			if expr.ep > 1 || expr.ep < 0 {
				return false
			}
			if _, ok := t.isConst(expr.a); ok {
				return true
			}
			v = expr.a
		case opAdd, opExt:
			v = expr.a
		case opBin:
			if _, ok := t.isConst(expr.b); !ok && !t.atEntry(expr.b) {
				return false
			}
			v = expr.a
		default:
			return false
		}
	}
}

// inside reports whether memory tells two outcomes apart.
func inside(a, b *Outcome) bool {
	for _, ours := range a.inside {
		for _, theirs := range b.inside {
			if ours.v == theirs.v && ours.size == theirs.size && ours.set.intersect(theirs.set).Empty() {
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
	for _, ours := range a.When {
		for _, theirs := range b.When {
			if ours.Arg == theirs.Arg && ours.Size == theirs.Size && dis(ours.In, theirs.In) {
				return true
			}
		}
	}
	return false
}

// finish sorts an effect's outcomes, keeps of the returned values what the
// type says is returned, and notes what callers cannot tell apart.
func finish(e *Effect, rt retType) {
	for nth := range e.Outcomes {
		ret := &e.Outcomes[nth].Ret
		if !rt.known {
			continue
		}
		if rt.void || rt.size > 1 {
			ret.B1 = nil
		}
		if rt.void || rt.size < 4 {
			ret.B4 = nil
		}
		if rt.void || rt.size < 8 {
			ret.B8 = nil
		}
		if rt.void {
			e.Outcomes[nth].RetArg = -1
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
		outcome := &e.Outcomes[i]
		outcome.Changes = slices.Clone(outcome.Changes) // others may have the same
		for k := range outcome.Changes {
			outcome.Changes[k].Unsure = !e.certain(i, outcome.Changes[k])
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
		outcome := &e.Outcomes[j]
		has := slices.ContainsFunc(outcome.Changes, func(x Change) bool {
			return compareLock(x.Lock, c.Lock) == 0 && (x.Delta > 0) == (c.Delta > 0)
		})
		if !has && !told(&e.Outcomes[i], outcome) {
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
	if path, ok := w.express(s, name, 0); ok {
		if path.Root == RootGlobal && path.Addr < 1<<32 {
			return Path{} // a field of NULL: not a way that is taken
		}
		return path
	}
	_, off := w.t.split(name)
	return Path{Root: RootUnknown, Offs: []int64{off}}
}

func (w *walker) express(s *state, v vid, depth int) (Path, bool) {
	vals := &w.t
	if depth > 2*maxPath {
		return Path{}, false
	}
	base, off := vals.split(v)
	expr := vals.n(base)
	if base == 0 {
		return Path{Root: RootGlobal, Addr: uint64(off), Offs: []int64{0}}, true
	}
	ret := s.regs[retReg]
	rb, ro := vals.split(vals.stripped(ret))
	switch expr.op {
	case opEntry:
		if i, ok := paramOf(expr.imm); ok {
			return Path{Root: RootArg, Arg: int8(i), Offs: []int64{off}}, true
		}
		return Path{}, false
	case opLoad:
		if expr.k == 1 {
			if ab, ao := vals.split(expr.a); ab == 0 {
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
		if expr.size != 8 {
			break
		}
		if path, ok := w.express(s, expr.a, depth+1); ok && len(path.Offs) < maxPath {
			path.Offs = append(slices.Clone(path.Offs), off)
			return path, true
		}
	}
	if rb == base && base != 0 {
		return Path{Root: RootRet, Offs: []int64{off - ro}}, true
	}
	// Perhaps it was stored where the caller finds it.
	for _, stored := range append(slices.Clone(s.outs), s.mem...) {
		if stored.size != 8 || w.isStack(stored.base) || stored.base == base {
			continue
		}
		cb, co := vals.split(vals.stripped(stored.val))
		if cb != base {
			continue
		}
		if path, ok := w.express(s, vals.addImm(vals.stripped(stored.base), stored.off), depth+maxPath); ok &&
			len(path.Offs) < maxPath {
			path.Offs = append(slices.Clone(path.Offs), off-co)
			return path, true
		}
	}
	return Path{}, false
}

// unsure counts the changes that nothing tells from another outcome.
func (e *Effect) unsure() int {
	unsure := 0
	for i := range e.Outcomes {
		for _, change := range e.Outcomes[i].Changes {
			if change.Unsure {
				unsure++
			}
		}
	}
	return unsure
}
