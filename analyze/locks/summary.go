package locks

import (
	"slices"
	"strings"

	"github.com/klpforge/klpforge/analyze/model"
)

// Summary is an effect in words, as reports and scripts want it.
type Summary struct {
	// Acquires are the locks held at return but not at entry on some way of
	// returning that callers can tell from the others, Releases those held at
	// entry but not at return. A lock that the function's own code releases and
	// takes again is in both, as the kernel's annotations have it. Each is
	// "kind:name", the name being a global symbol, "type.field" where types are
	// known, else a path from an argument, or "?". Sorted, without repetition,
	// never nil.
	Acquires, Releases []string
	// Possible are changes that were seen on a way of returning that nothing
	// tells from another one without them: "+mutex:x" is acquired, "-mutex:x"
	// released. Such a way may be one that is never taken. Unknown is set.
	Possible []string
	// Drops are the locks that must be held at entry and are again at return,
	// but are released in between, here or in a callee.
	Drops []string
	// Context are changes of the CPU's state, which no lock stands for: "+irq"
	// when the function turns interrupts off, "-preempt" when it lets preemption
	// happen again, and so on. Sorted; nil when there are none.
	Context []string
	// Conditional: ways of returning differ in what they leave held.
	Conditional bool
	// Returns is the class of returned values with which locks change: "any",
	// "zero", "nonzero", "null", "nonnull", "negative", "positive",
	// "nonnegative", "error" and "noerror" (pointers that are or are not error
	// codes), "never" when the function does not return, else the values as
	// "-11|[1,4]".
	Returns string
	// Unknown: not everything that the function may do is known.
	Unknown bool
}

// Neutral reports whether the summary says nothing.
func (s *Summary) Neutral() bool {
	return len(s.Acquires)+len(s.Releases)+len(s.Possible)+len(s.Drops)+len(s.Context) == 0 && !s.Unknown
}

// Summary puts an effect of the result into words. Types may be nil.
func (r *Result) Summary(e *Effect, types *Types) Summary {
	s := Summary{Acquires: []string{}, Releases: []string{}, Conditional: e.Conditional(), Unknown: e.Unknown != 0}
	f := r.Model.Func(e.Func)
	for i := range e.Outcomes {
		r.outcome(&s, e, i, f, types)
	}
	for _, l := range []*[]string{&s.Acquires, &s.Releases, &s.Possible, &s.Drops, &s.Context} {
		slices.Sort(*l)
		*l = slices.Compact(*l)
	}
	s.Returns = returnClass(e, types.returns(f.Name))
	return s
}

// OutcomeSummary is Summary for one way of returning; Conditional is unset.
func (r *Result) OutcomeSummary(e *Effect, i int, types *Types) Summary {
	one := Effect{Func: e.Func, Outcomes: e.Outcomes[i : i+1], Primitive: e.Primitive}
	s := r.Summary(&one, types)
	s.Returns = classOf(e.Outcomes[i].Ret, types.returns(r.Model.Func(e.Func).Name))
	return s
}

func (r *Result) outcome(s *Summary, e *Effect, i int, f *model.Func, types *Types) {
	o := &e.Outcomes[i]
	for _, c := range o.Changes {
		sign := "+"
		if c.Delta < 0 {
			sign = "-"
		}
		name := r.LockName(c.Lock, f.Name, types)
		switch {
		case c.Kind == IRQ || c.Kind == Preempt:
			s.Context = append(s.Context, sign+name)
		case c.Unsure:
			s.Possible = append(s.Possible, sign+name)
		case c.Delta > 0:
			s.Acquires = append(s.Acquires, name)
		default:
			s.Releases = append(s.Releases, name)
		}
	}
	for _, l := range o.Dropped {
		name := r.LockName(l.Lock, f.Name, types)
		s.Drops = append(s.Drops, name)
		switch {
		case l.Callee:
		case l.Vague:
			s.Possible = append(s.Possible, "+"+name, "-"+name)
		default:
			s.Acquires, s.Releases = append(s.Acquires, name), append(s.Releases, name)
		}
	}
}

// LockName names a lock as a function sees it, for people: "spin:inode.i_lock",
// "mutex:cgroup_mutex", "spin:*(arg0+0x20)+0x8", "rcu", "spin:?".
func (r *Result) LockName(l Lock, fn string, types *Types) string {
	k := l.Kind.String()
	switch l.Path.Root {
	case RootNone:
		return k
	case RootGlobal:
		return k + ":" + globalName(r.Model, l.Path)
	case RootPercpu:
		p := l.Path
		p.Root = RootGlobal
		return k + ":percpu " + globalName(r.Model, p)
	}
	if n := types.Field(fn, l.Path); n != "" {
		if l.Kind == Sock {
			n, _, _ = strings.Cut(n, ".") // the whole socket
		}
		return k + ":" + n
	}
	return l.String()
}

// returnClass says with which returned values an effect's locks change.
func returnClass(e *Effect, rt retType) string {
	if len(e.Outcomes) == 0 {
		return "never"
	}
	if len(e.Outcomes) == 1 || rt.void {
		return "any"
	}
	var all Ret
	first := true
	for i := range e.Outcomes {
		o := &e.Outcomes[i]
		if o.Neutral() {
			continue
		}
		if first {
			all, first = o.Ret, false
			continue
		}
		for _, size := range phiSizes {
			p := all.of(size)
			if x := *o.Ret.of(size); *p == nil || x == nil {
				*p = nil
			} else {
				*p = trim((*p).union(x), size)
			}
		}
	}
	return classOf(all, rt)
}

// classOf names a set of returned values.
func classOf(r Ret, rt retType) string {
	size, set := uint8(0), Set(nil)
	for _, z := range []uint8{4, 1, 8} {
		if rt.known && rt.size != z {
			continue
		}
		if s := *r.of(z); s != nil {
			size, set = z, s
			break
		}
	}
	if set == nil || rt.void {
		return "any"
	}
	within := func(lo, hi int64) bool {
		return len(set) > 0 && set[0].Lo >= lo && set[len(set)-1].Hi <= hi
	}
	f := full(size)[0]
	pointer := rt.pointer || !rt.known && size == 8
	zero, nonzero := "zero", "nonzero"
	if pointer {
		zero, nonzero = "null", "nonnull"
	}
	switch {
	case within(0, 0):
		return zero
	case within(-4095, -1) && pointer:
		return "error"
	case within(f.Lo, -1) && !pointer:
		return "negative"
	case within(1, f.Hi) && !pointer && rt.size != 1 && !within(1, 1):
		return "positive"
	case !set.Contains(0) && (pointer || size == 1 || within(1, 1)):
		return nonzero
	case set.Equal(single(0).complement(size)):
		return nonzero
	case pointer && set.intersect(Set{{-4095, -1}}).Empty():
		return "noerror"
	case within(0, f.Hi) && !pointer:
		return "nonnegative"
	}
	return strings.ReplaceAll(set.String(), " ", "")
}
