package sleeps

import (
	"github.com/klpforge/klpforge/analyze/model"
)

// Answer says whether a function may sleep.
type Answer uint8

const (
	Never   Answer = iota // on no path
	Unknown               // calls what is not known, and nothing that sleeps for certain
	Flags                 // if the GFP flags in an argument, or flags that are not seen, allow it
	May                   // on some path
)

func (a Answer) String() string {
	return [...]string{"never", "unknown", "if flags allow", "may"}[a]
}

// Fact is what is known of one function.
type Fact struct {
	Answer Answer
	// Always: every path to a return passes a place that sleeps for certain.
	Always bool
	// Args are the arguments, as bits from 0, whose GFP flags decide; together
	// with any Answer. Hidden: flags that are not seen decide.
	Args   uint8
	Hidden bool
	// At is the call that the answer rests on; 0 when the function is a
	// primitive or never sleeps.
	At uint64
	// Why says what makes the answer Unknown or Flags, in a few words.
	Why string
}

// Result holds the facts of a model. It is immutable.
type Result struct {
	Model *model.Model
	facts []Fact
	sites map[uint64]Answer // of calls that may sleep
	to    map[uint64]model.FuncID
	// borrowed are functions whose fact the kernel has.
	borrowed map[model.FuncID]bool
}

// Fact returns what is known of a function.
func (r *Result) Fact(id model.FuncID) Fact { return r.facts[id] }

// Site says whether the call at an address may sleep.
func (r *Result) Site(addr uint64) Answer { return r.sites[addr] }

// Borrowed reports whether a function's answer rests on one of another object
// file, of which the kernel tells.
func (r *Result) Borrowed(id model.FuncID) bool {
	for range 64 {
		next, ok := r.to[r.facts[id].At]
		if r.borrowed[id] || !ok {
			return r.borrowed[id]
		}
		id = next
	}
	return false
}

// Chain names the functions on the way from a function to what makes it sleep,
// without itself.
func (r *Result) Chain(id model.FuncID) []string {
	var out []string
	for len(out) < 12 {
		at := r.facts[id].At
		if at == 0 {
			break
		}
		next, ok := r.to[at]
		if !ok || next == model.NoFunc {
			break
		}
		out = append(out, r.Model.Func(next).Name)
		id = next
	}
	return out
}

// Analyze finds the facts of all functions of a model. kernel tells of what an
// object leaves undefined; nil when that is not known.
func Analyze(m *model.Model, kernel *Result) *Result {
	a := &analysis{m: m, r: &Result{Model: m, facts: make([]Fact, len(m.Funcs)), sites: map[uint64]Answer{}, to: map[uint64]model.FuncID{}, borrowed: map[model.FuncID]bool{}},
		given: make([]bool, len(m.Funcs)), kernel: kernel, passed: map[model.FuncID]map[uint64]*[6]value{}}
	a.define()
	a.spread()
	a.always()
	return a.r
}

type analysis struct {
	m      *model.Model
	r      *Result
	given  []bool // the fact is not to be found out
	kernel *Result
	passed map[model.FuncID]map[uint64]*[6]value
}

// define sets the facts of primitives, and of functions without code.
func (a *analysis) define() {
	for i := range a.m.Funcs {
		f := &a.m.Funcs[i]
		fact := &a.r.facts[i]
		for _, name := range append([]string{f.Name}, f.Aliases...) {
			name = base(name)
			arg, alloc := allocators[name]
			switch {
			case sleepers[name]:
				*fact, a.given[i] = Fact{Answer: May, Always: true}, true
			case harmless(name) || f.Flags&model.FuncThunk != 0:
				a.given[i] = true
			case alloc:
				*fact, a.given[i] = Fact{Answer: Flags, Args: 1 << arg, Why: "its GFP flags decide"}, true
			default:
				continue
			}
			break
		}
		if a.given[i] || f.Flags&model.FuncExtern == 0 {
			continue
		}
		a.given[i] = true
		*fact = Fact{Answer: Unknown, Why: f.Name + " is in another object file"}
		if a.kernel != nil {
			if ids := a.kernel.Model.Lookup(f.Name); len(ids) == 1 {
				*fact = a.kernel.Fact(ids[0])
				fact.At, a.r.borrowed[model.FuncID(i)] = 0, true
			}
		}
	}
}

// spread brings the facts of callees to callers until nothing changes.
func (a *analysis) spread() {
	n := len(a.m.Funcs)
	todo := make([]model.FuncID, n)
	waiting := make([]bool, n)
	for i := range todo {
		todo[i], waiting[i] = model.FuncID(i), true
	}
	for len(todo) > 0 {
		id := todo[0]
		todo = todo[1:]
		waiting[id] = false
		if a.given[id] || !a.look(id) {
			continue
		}
		for c := range a.m.Callers(id) {
			if !waiting[c.Caller] {
				waiting[c.Caller] = true
				todo = append(todo, c.Caller)
			}
		}
	}
}

// look renews the fact of a function and reports whether callers must know.
// Facts only ever grow, so this ends.
func (a *analysis) look(id model.FuncID) bool {
	old := a.r.facts[id]
	fact := old
	if a.m.Func(id).Unknown() && fact.Answer < Unknown {
		fact.Answer, fact.Why = Unknown, "its code cannot be followed"
	}
	var args map[uint64]*[6]value
	calls := a.m.Calls(id)
	for i := range calls {
		c := &calls[i]
		target := c.Target
		if c.Via != model.NoFunc && a.given[c.Via] && a.m.Func(c.Via).Flags&model.FuncThunk == 0 {
			target = c.Via // the static call itself is a primitive
		}
		if target == model.NoFunc {
			fact.raise(Unknown, c.Site, "a call through a pointer")
			a.r.sites[c.Site] = max(a.r.sites[c.Site], Unknown)
			continue
		}
		f := a.r.facts[target]
		a.r.to[c.Site] = target
		answer, why := f.Answer, f.Why
		if answer != May && (f.Args != 0 || f.Hidden) {
			if args == nil {
				if args = a.passed[id]; args == nil {
					args = a.arguments(id)
					a.passed[id] = args
				}
			}
			var by uint8
			var hidden bool
			answer, by, hidden = decide(f, args[c.Site])
			fact.Args |= by
			fact.Hidden = fact.Hidden || hidden
			switch {
			case hidden:
				why = "flags that are not seen decide in " + a.m.Func(target).Name
			case by != 0:
				why = "the GFP flags that it is given decide"
			}
		}
		if answer == Unknown && why == "" {
			why = a.m.Func(target).Name + " is not known"
		}
		a.r.sites[c.Site] = max(a.r.sites[c.Site], answer)
		fact.raise(answer, c.Site, why)
	}
	a.r.facts[id] = fact
	return fact.Answer != old.Answer || fact.Args != old.Args || fact.Hidden != old.Hidden
}

// decide says what a call of a function whose flags decide comes to.
func decide(f Fact, args *[6]value) (answer Answer, by uint8, hidden bool) {
	if f.Answer == Unknown {
		answer = Unknown
	}
	if f.Hidden {
		answer, hidden = Flags, true
	}
	for i := range 6 {
		if f.Args&(1<<i) == 0 {
			continue
		}
		v := value{}
		if args != nil {
			v = args[i]
		}
		switch v.kind {
		case valConst:
			if v.c&direct != 0 {
				return May, by, hidden
			}
		case valArg:
			by |= 1 << v.c
			answer = max(answer, Flags)
		default:
			hidden = true
			answer = max(answer, Flags)
		}
	}
	return answer, by, hidden
}

func (f *Fact) raise(a Answer, site uint64, why string) {
	if a > f.Answer {
		f.Answer, f.At, f.Why = a, site, why
	}
}

// always finds the functions of which every path to a return sleeps.
func (a *analysis) always() {
	var todo []model.FuncID
	for i := range a.m.Funcs {
		if a.r.facts[i].Answer == May {
			todo = append(todo, model.FuncID(i))
		}
	}
	for changed := true; changed; {
		changed = false
		for _, id := range todo {
			if f := &a.r.facts[id]; !f.Always && !a.given[id] && !a.avoidable(id) {
				f.Always, changed = true, true
			}
		}
	}
}

// avoidable reports whether a function can return without sleeping.
func (a *analysis) avoidable(id model.FuncID) bool {
	sure := map[uint64]bool{}
	for _, c := range a.m.Calls(id) {
		if a.r.sites[c.Site] == May && c.Kind != model.CallAlt {
			t := a.r.to[c.Site]
			if f := a.r.facts[t]; f.Always || f.Answer == Flags || f.Args != 0 && f.Answer != May {
				sure[c.Site] = true
			}
		}
	}
	blocks := a.m.Blocks(id)
	if len(sure) == 0 || len(blocks) == 0 || a.m.Func(id).Unknown() {
		return true
	}
	blocked := func(b *model.Block) bool {
		for site := range sure {
			if site >= b.Start && site < b.End {
				return true
			}
		}
		return false
	}
	seen := make([]bool, len(blocks))
	work := []int32{0}
	seen[0] = true
	for len(work) > 0 {
		b := &blocks[work[len(work)-1]]
		work = work[:len(work)-1]
		if blocked(b) {
			continue
		}
		switch b.Term {
		case model.TermReturn, model.TermTail, model.TermCondTail, model.TermUnknown:
			return true
		case model.TermIndirect:
			if len(a.m.Edges(b)) == 0 {
				return true
			}
		}
		for _, e := range a.m.Edges(b) {
			if !seen[e.To] {
				seen[e.To] = true
				work = append(work, e.To)
			}
		}
	}
	return false
}
