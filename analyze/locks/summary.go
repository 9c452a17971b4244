package locks

import (
	"slices"
	"strings"

	"github.com/klpforge/klpforge/analyze/model"
)

// Summary is an effect in words, as reports and scripts want it.
type Summary struct {
	// Acquires are the locks held at return but not at entry on some path of
	// returning that callers can tell from the others, Releases those held at
	// entry but not at return. A lock that the function's own code releases and
	// takes again is in both, as the kernel's annotations have it. Each is
	// "kind:name", the name being a global symbol, "type.field" where types are
	// known, else a path from an argument, or "?". Sorted, without repetition,
	// never nil.
	Acquires, Releases []string
	// Possible are changes that were seen on a return path that nothing
	// tells from another one without them: "+mutex:x" is acquired, "-mutex:x"
	// released. Such a path may be one that is never taken. Unknown is set.
	Possible []string
	// Drops are the locks that must be held at entry and are again at return,
	// but are released in between, here or in a callee.
	Drops []string
	// Context are changes of the CPU's state, which no lock stands for: "+irq"
	// when the function turns interrupts off, "-preempt" when it lets preemption
	// happen again, and so on. Sorted; nil when there are none.
	Context []string
	// Conditional: return paths differ in what they leave held.
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
	summary := Summary{Acquires: []string{}, Releases: []string{}, Conditional: e.Conditional(),
		Unknown: e.Unknown != 0}
	fn := r.Model.Func(e.Func)
	for i := range e.Outcomes {
		r.outcome(&summary, e, i, fn, types)
	}
	for _, list := range []*[]string{&summary.Acquires, &summary.Releases, &summary.Possible, &summary.Drops,
		&summary.Context} {
		slices.Sort(*list)
		*list = slices.Compact(*list)
	}
	summary.Returns = returnClass(e, types.returns(fn.Name))
	return summary
}

// OutcomeSummary is Summary for one return path; Conditional is unset.
func (r *Result) OutcomeSummary(e *Effect, i int, types *Types) Summary {
	one := Effect{Func: e.Func, Outcomes: e.Outcomes[i : i+1], Primitive: e.Primitive}
	summary := r.Summary(&one, types)
	summary.Returns = classOf(e.Outcomes[i].Ret, types.returns(r.Model.Func(e.Func).Name))
	return summary
}

func (r *Result) outcome(s *Summary, e *Effect, i int, f *model.Func, types *Types) {
	outcome := &e.Outcomes[i]
	for _, change := range outcome.Changes {
		sign := "+"
		if change.Delta < 0 {
			sign = "-"
		}
		name := r.LockName(change.Lock, f.Name, types)
		switch {
		case change.Kind == IRQ || change.Kind == Preempt:
			s.Context = append(s.Context, sign+name)
		case change.Unsure:
			s.Possible = append(s.Possible, sign+name)
		case change.Delta > 0:
			s.Acquires = append(s.Acquires, name)
		default:
			s.Releases = append(s.Releases, name)
		}
	}
	for _, drop := range outcome.Dropped {
		name := r.LockName(drop.Lock, f.Name, types)
		s.Drops = append(s.Drops, name)
		switch {
		case drop.Callee:
		case drop.Vague:
			s.Possible = append(s.Possible, "+"+name, "-"+name)
		default:
			s.Acquires, s.Releases = append(s.Acquires, name), append(s.Releases, name)
		}
	}
}

// LockName names a lock as a function sees it, for people: "spin:inode.i_lock",
// "mutex:cgroup_mutex", "spin:*(arg0+0x20)+0x8", "rcu", "spin:?".
func (r *Result) LockName(l Lock, fn string, types *Types) string {
	text := l.Kind.String()
	switch l.Path.Root {
	case RootNone:
		return text
	case RootGlobal:
		return text + ":" + globalName(r.Model, l.Path)
	case RootPercpu:
		path := l.Path
		path.Root = RootGlobal
		return text + ":percpu " + globalName(r.Model, path)
	}
	if field := types.Field(fn, l.Path); field != "" {
		if l.Kind == Sock {
			field, _, _ = strings.Cut(field, ".") // the whole socket
		}
		return text + ":" + field
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
		outcome := &e.Outcomes[i]
		if outcome.Neutral() {
			continue
		}
		if first {
			all, first = outcome.Ret, false
			continue
		}
		for _, size := range phiSizes {
			total := all.of(size)
			if values := *outcome.Ret.of(size); *total == nil || values == nil {
				*total = nil
			} else {
				*total = trim((*total).union(values), size)
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
		if values := *r.of(z); values != nil {
			size, set = z, values
			break
		}
	}
	if set == nil || rt.void {
		return "any"
	}
	within := func(lo, hi int64) bool {
		return len(set) > 0 && set[0].Lo >= lo && set[len(set)-1].Hi <= hi
	}
	whole := full(size)[0]
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
	case within(whole.Lo, -1) && !pointer:
		return "negative"
	case within(1, whole.Hi) && !pointer && rt.size != 1 && !within(1, 1):
		return "positive"
	case !set.Contains(0) && (pointer || size == 1 || within(1, 1)):
		return nonzero
	case set.Equal(single(0).complement(size)):
		return nonzero
	case pointer && set.intersect(Set{{-4095, -1}}).Empty():
		return "noerror"
	case within(0, whole.Hi) && !pointer:
		return "nonnegative"
	}
	return strings.ReplaceAll(set.String(), " ", "")
}
