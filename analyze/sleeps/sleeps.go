package sleeps

import (
	"maps"
	"slices"
	"strings"

	"github.com/klpforge/klpforge/analyze/kfuncs"
	"github.com/klpforge/klpforge/analyze/locks"
	"github.com/klpforge/klpforge/analyze/model"
)

// Answer says whether a function may sleep.
type Answer uint8

const (
	Never   Answer = iota // on no path
	Given                 // if a function that it is given in an argument does
	Unknown               // calls what is not known, and nothing that sleeps for certain
	Flags                 // if the GFP flags in an argument, or flags that are not seen, allow it
	May                   // on some path
)

func (a Answer) String() string {
	return [...]string{"never", "if an argument does", "unknown", "if flags allow", "may"}[a]
}

// Fact is what is known of one function.
type Fact struct {
	Answer Answer
	// Always: every path to a return passes a place that sleeps for certain.
	Always bool
	// Args are the arguments, as bits from 0, whose GFP flags decide. Hidden:
	// flags that are not seen decide. Neither matters where it may sleep anyway.
	Args   uint8
	Hidden bool
	// Calls are the arguments, likewise, that it calls as functions.
	Calls uint8
	// Open: it calls what is not known, whatever else it calls.
	Open bool
	// At is the call that the answer rests on; 0 when the function is a
	// primitive or never sleeps.
	At uint64
	// Why says what makes the answer other than Never or May, in a few words.
	Why string
}

// same reports whether two facts look alike to callers.
func (f *Fact) same(o *Fact) bool {
	return f.Answer == o.Answer && f.Args == o.Args && f.Hidden == o.Hidden && f.Calls == o.Calls && f.Open == o.Open
}

// Result holds the facts of a model. It is immutable.
type Result struct {
	Model *model.Model
	facts []Fact
	sites map[uint64]Answer // of calls that may sleep
	to    map[uint64]model.FuncID
	// borrowed are functions whose fact the kernel or a module has.
	borrowed map[model.FuncID]bool
	// flagged are calls whose constant GFP flags allow sleeping.
	flagged map[uint64]bool
	// pv are the facts of what a kernel calls through pv_ops, by offset.
	pv map[uint64]Fact
}

// Fact returns what is known of a function.
func (r *Result) Fact(id model.FuncID) Fact { return r.facts[id] }

// raise notes what a call may do at least.
func (r *Result) raise(site uint64, a Answer) {
	if a > r.sites[site] {
		r.sites[site] = a
	}
}

// Site says whether the call at an address may sleep.
func (r *Result) Site(addr uint64) Answer { return r.sites[addr] }

// Flagged reports whether the call at an address may sleep because the GFP
// flags that it is given there allow it.
func (r *Result) Flagged(addr uint64) bool { return r.flagged[addr] }

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

// Options are what Analyze knows besides the model.
type Options struct {
	// Kernel tells of what an object leaves undefined; nil when not known.
	Kernel *Result
	// Module tells of what a module exports under a name; nil when not known.
	Module func(name string) (Fact, bool)
	// Flows tells what functions hold at their calls. nil: nothing is known to
	// be held.
	Flows func(ids ...model.FuncID) *locks.Flows
}

// Analyze finds the facts of all functions of a model.
func Analyze(m *model.Model, o Options) *Result {
	an := &analysis{m: m, o: o, passed: map[model.FuncID]map[uint64]*passed{}, slots: newSlots(m),
		atomic: map[uint64]bool{}}
	an.begin()
	an.findSlots()
	an.spread()
	if an.findAtomic() {
		an.begin()
		an.spread()
	}
	an.always()
	an.keepParavirt()
	return an.r
}

type analysis struct {
	m      *model.Model
	r      *Result
	o      Options
	given  []bool // the fact is not to be found out
	passed map[model.FuncID]map[uint64]*passed
	slots  *slots
	atomic map[uint64]bool // calls of what is not known, which cannot sleep where they are
	// users are the functions whose fact rests on another's otherwise than by a
	// call that the model follows.
	users map[model.FuncID]map[model.FuncID]bool
}

// begin forgets all facts and defines those of primitives, and of functions
// without code.
func (a *analysis) begin() {
	n := len(a.m.Funcs)
	a.r = &Result{Model: a.m, facts: make([]Fact, n), sites: map[uint64]Answer{}, to: map[uint64]model.FuncID{},
		borrowed: map[model.FuncID]bool{}, flagged: map[uint64]bool{}}
	a.given, a.users = make([]bool, n), map[model.FuncID]map[model.FuncID]bool{}
	for i := range a.m.Funcs {
		fn := &a.m.Funcs[i]
		fact := &a.r.facts[i]

		// What the table of kernel functions says of a function, under any of its names, stands.
		for _, name := range append([]string{fn.Name}, fn.Aliases...) {
			sleep, arg := kfuncs.Sleeps(name)
			switch {
			case sleep == kfuncs.SleepMay:
				*fact, a.given[i] = Fact{Answer: May, Always: true}, true
			case sleep == kfuncs.SleepNever || fn.Flags&model.FuncThunk != 0:
				a.given[i] = true
			case sleep == kfuncs.SleepFlags:
				*fact, a.given[i] = Fact{Answer: Flags, Args: 1 << arg, Why: "its GFP flags decide"}, true
			default:
				continue
			}
			break
		}

		// A function of another object file is as the kernel's own analysis has it, if there is
		// one.
		if a.given[i] || fn.Flags&model.FuncExtern == 0 {
			continue
		}
		a.given[i] = true
		*fact = Fact{Answer: Unknown, Open: true, Why: fn.Name + " is in another object file"}
		if x, ok := a.outside(fn.Name); ok {
			*fact = x
			fact.At, a.r.borrowed[model.FuncID(i)] = 0, true
		}
	}
}

// outside finds the fact of a function that the object leaves undefined.
func (a *analysis) outside(name string) (Fact, bool) {
	if a.o.Kernel == nil {
		return Fact{}, false
	}
	k := a.o.Kernel.Model
	ids := k.Lookup(name)
	// A module reaches exports only; a function of the same name that is not
	// exported is another one.
	if _, exported := k.Prog.Lookup("__ksymtab_" + name); a.o.Module != nil && !exported {
		if f, ok := a.o.Module(name); ok {
			return f, true
		}
	}
	if len(ids) != 1 {
		return Fact{}, false
	}
	return a.o.Kernel.Fact(ids[0]), true
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
		queue := func(f model.FuncID) {
			if !waiting[f] {
				waiting[f] = true
				todo = append(todo, f)
			}
		}
		for c := range a.m.Callers(id) {
			queue(c.Caller)
		}
		for _, f := range slices.Sorted(maps.Keys(a.users[id])) {
			queue(f)
		}
	}
}

func (a *analysis) use(user, of model.FuncID) {
	if a.users[of] == nil {
		a.users[of] = map[model.FuncID]bool{}
	}
	a.users[of][user] = true
}

// look renews the fact of a function and reports whether callers must know.
// Facts only ever grow, so this ends.
func (a *analysis) look(id model.FuncID) bool {
	old := a.r.facts[id]
	fact := old
	fn := a.m.Func(id)
	if fn.Unknown() && !fact.Open {
		fact.Open = true
		fact.raise(Unknown, 0, "its code cannot be followed")
	}
	calls := a.m.Calls(id)
	for i := range calls {
		call := &calls[i]
		callee := a.call(id, call)
		if callee.Answer == May && callee.Always {
			a.r.flagged[call.Site] = true
		}
		if callee.Open && a.atomic[call.Site] {
			callee.Open = false
			a.r.raise(call.Site, callee.Answer)
			if callee.Answer == Unknown {
				continue
			}
		}
		fact.Args |= callee.Args
		fact.Calls |= callee.Calls
		fact.Hidden = fact.Hidden || callee.Hidden
		fact.Open = fact.Open || callee.Open
		a.r.raise(call.Site, callee.Answer)
		fact.raise(callee.Answer, call.Site, callee.Why)
	}
	if fn.Flags&model.FuncTrampoline != 0 {
		fact.join(a.trampoline(id))
	}
	if fact.Answer == May { // whatever it is given
		fact.Args, fact.Calls, fact.Hidden, fact.Open = 0, 0, false, false
	}
	a.r.facts[id] = fact
	return !fact.same(&old)
}

// call says what a call comes to, in terms of the caller.
func (a *analysis) call(id model.FuncID, call *model.Call) Fact {
	target := call.Target
	if call.Via != model.NoFunc && a.m.Func(call.Via).Flags&model.FuncThunk == 0 {
		target = call.Via // a static call: what it may lead to, not what it is built to
		a.use(id, target)
	}
	if call.Kind == model.CallParavirt || target == model.NoFunc {
		return a.pointer(id, call)
	}
	if a.gone(target) && !a.gone(id) {
		return Fact{}
	}
	a.r.to[call.Site] = target
	fact := a.r.facts[target]
	if fact.Answer != May && (fact.Args != 0 || fact.Hidden || fact.Calls != 0) {
		return a.decide(id, target, a.given6(id, call.Site))
	}
	if fact.Answer == Unknown && fact.Why == "" {
		fact.Why = a.m.Func(target).Name + " is not known"
	}
	fact.Always = false
	return fact
}

// gone reports whether a function is there only while the kernel boots, or its
// module begins: who calls it later never does.
func (a *analysis) gone(id model.FuncID) bool {
	seg, ok := a.m.Prog.SegmentAt(a.m.Func(id).Addr)
	return ok && strings.HasPrefix(seg.Name, ".init.text")
}

// pointer says what a call through a pointer comes to.
func (a *analysis) pointer(id model.FuncID, call *model.Call) Fact {
	open := Fact{Answer: Unknown, Open: true, Why: "a call through a pointer"}
	given := a.site(id, call.Site)
	if given == nil {
		return open
	}
	var targets []model.FuncID
	switch val := given.callee; val.kind {
	case valArg:
		return Fact{Answer: Given, Calls: 1 << val.c, Why: "a function that it is given decides"}
	case valConst:
		if g := a.m.Entry(uint64(val.c)); g != model.NoFunc {
			targets = []model.FuncID{g}
		}
	case valSlot:
		if off, ok := a.slots.paravirt(uint64(val.c)); ok && a.o.Kernel != nil {
			if f, ok := a.o.Kernel.pv[off]; ok {
				return f
			}
		}
		if targets = a.slots.targets(uint64(val.c)); targets == nil {
			open.Why = "a call through " + a.slots.name(uint64(val.c))
		}
	}

	if len(targets) == 0 {
		return open
	}

	// Each of the possible targets may be the one.
	var out Fact
	for _, callee := range targets {
		if a.gone(callee) && !a.gone(id) {
			continue
		}
		a.use(id, callee)
		if len(targets) == 1 {
			a.r.to[call.Site] = callee
		}
		out.join(a.decide(id, callee, &given.args))
	}
	return out
}

// decide says what a call of a function comes to with some arguments.
func (a *analysis) decide(id, target model.FuncID, args *[6]value) Fact {
	fact := a.r.facts[target]
	if fact.Answer == May {
		return Fact{Answer: May}
	}
	name := a.m.Func(target).Name
	var out Fact
	if fact.Open {
		out.Open = true
		why := fact.Why
		if why == "" || fact.Answer != Unknown {
			why = name + " is not known"
		}
		out.raise(Unknown, 0, why)
	}
	if fact.Hidden {
		out.Hidden = true
		out.raise(Flags, 0, "flags that are not seen decide in "+name)
	}
	for i := range 6 {
		val := value{}
		if args != nil {
			val = args[i]
		}
		if fact.Args&(1<<i) != 0 {
			switch {
			case val.kind == valConst && val.c&direct != 0:
				return Fact{Answer: May, Always: true} // by flags: look notes it
			case val.kind == valConst:
			case val.kind == valArg:
				out.Args |= 1 << val.c
				out.raise(Flags, 0, "the GFP flags that it is given decide")
			default:
				out.Hidden = true
				out.raise(Flags, 0, "flags that are not seen decide in "+name)
			}
		}
		if fact.Calls&(1<<i) != 0 {
			out.join(a.callback(id, name, val))
		}
	}
	return out
}

// callback says what handing a function to another that calls it comes to.
func (a *analysis) callback(id model.FuncID, to string, val value) Fact {
	switch {
	case val.kind == valArg:
		return Fact{Answer: Given, Calls: 1 << val.c, Why: "a function that it is given decides"}
	case val.kind == valConst && val.c == 0:
		return Fact{}
	case val.kind == valConst:
		callee := a.m.Entry(uint64(val.c))
		if callee == model.NoFunc {
			break
		}
		a.use(id, callee)
		// What it is called with is not seen.
		return a.decide(id, callee, nil)
	}
	return Fact{Answer: Unknown, Open: true, Why: to + " calls a function that is not seen"}
}

func (f *Fact) raise(a Answer, site uint64, why string) {
	if a > f.Answer {
		f.Answer, f.At, f.Why = a, site, why
	}
}

// join adds what may happen instead.
func (f *Fact) join(o Fact) {
	f.raise(o.Answer, o.At, o.Why)
	f.Args |= o.Args
	f.Calls |= o.Calls
	f.Hidden = f.Hidden || o.Hidden
	f.Open = f.Open || o.Open
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
			t, ok := a.r.to[c.Site] // not known when it is one of several
			if a.r.flagged[c.Site] || ok && a.r.facts[t].Always {
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
		block := &blocks[work[len(work)-1]]
		work = work[:len(work)-1]
		if blocked(block) {
			continue
		}
		switch block.Term {
		case model.TermReturn, model.TermTail, model.TermCondTail, model.TermUnknown:
			return true
		case model.TermIndirect:
			if len(a.m.Edges(block)) == 0 {
				return true
			}
		}
		for _, e := range a.m.Edges(block) {
			if !seen[e.To] {
				seen[e.To] = true
				work = append(work, e.To)
			}
		}
	}
	return false
}
