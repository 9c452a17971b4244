package locks

import (
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/klpforge/klpforge/analyze/kfuncs"
	"github.com/klpforge/klpforge/analyze/machine"
	"github.com/klpforge/klpforge/analyze/model"
)

// Options say how to analyse.
type Options struct {
	// Base are the effects of the kernel that an object is bound to, for its
	// undefined functions.
	Base *Result
	// Types are the kernel's types; nil when it has none. Without them a
	// function's result is not known to be void, and fields have no names.
	Types *Types
	// Count, when not nil, replaces the lock primitives: calls of these
	// functions are counted. In effects the objects are locks of the kind Sem.
	Count map[string]kfuncs.Count
	// Workers is the number of functions analysed at a time; 0 means one per
	// CPU.
	Workers int
}

// Result holds the effects of all functions of a model. It is immutable.
type Result struct {
	Model   *model.Model
	effects map[model.FuncID]*Effect
	// Analysed counts the functions that had to be executed symbolically; the
	// others cannot change any lock.
	Analysed  int
	sockOwned uint64
}

// Effect returns what a function does. It is neutral for functions that do
// not appear.
func (r *Result) Effect(id model.FuncID) *Effect {
	if e := r.effects[id]; e != nil {
		return e
	}
	return &Effect{Func: id, Outcomes: []Outcome{{RetArg: -1}}}
}

// All returns the effects of functions that are not neutral or not fully
// known, by address.
func (r *Result) All() []*Effect {
	var l []*Effect
	for _, e := range r.effects {
		if !e.Neutral() || e.Unknown != 0 {
			l = append(l, e)
		}
	}
	slices.SortFunc(l, func(a, b *Effect) int { return int(a.Func) - int(b.Func) })
	return l
}

type analysis struct {
	m       *model.Model
	effects []*Effect // by function; nil means neutral
	prims   []*prim   // by function
	given   []bool    // the effect is not to be found out
	base    *Result
	types   *Types
	count   map[string]kfuncs.Count

	currentTask, thisCPUOff uint64
	sockOwned               uint64 // offset of sk_lock.owned in struct sock; 0 when not known
	stableGS                map[uint64]bool
	bases                   map[uint64]bool // words that hold the start of a mapping
}

func (a *analysis) prim(id model.FuncID) (*prim, bool) {
	if id == model.NoFunc {
		return nil, false
	}
	p := a.prims[id]
	return p, p != nil
}

func (a *analysis) effect(id model.FuncID) *Effect { return a.effects[id] }

// Analyze finds the effects of all functions of a model. The result depends
// on the model and the base result alone.
func Analyze(m *model.Model, o Options) *Result {
	a := newAnalysis(m, o)
	sccs, need := a.plan()
	r := &Result{Model: m, sockOwned: a.sockOwned, effects: map[model.FuncID]*Effect{}}
	a.schedule(sccs, need, o.Workers)
	for id, e := range a.effects {
		if e != nil {
			r.effects[model.FuncID(id)] = e
			if !e.Primitive {
				r.Analysed++
			}
		}
	}
	return r
}

// newAnalysis knows the primitives, and no effects of other functions yet.
func newAnalysis(m *model.Model, o Options) *analysis {
	n := len(m.Funcs)
	a := &analysis{m: m, effects: make([]*Effect, n), prims: make([]*prim, n), given: make([]bool, n), base: o.Base, types: o.Types, count: o.Count, stableGS: map[uint64]bool{}}
	if x, ok := m.Prog.Lookup("current_task"); ok {
		a.currentTask = x
	} else if x, ok := m.Prog.Lookup("pcpu_hot"); ok {
		a.currentTask = x
	}
	a.thisCPUOff, _ = m.Prog.Lookup("this_cpu_off")
	a.bases = map[uint64]bool{a.thisCPUOff: true}
	for _, n := range []string{"page_offset_base", "vmemmap_base", "vmalloc_base"} {
		if x, ok := m.Prog.Lookup(n); ok {
			a.bases[x] = true
		}
	}
	a.stableGS[a.currentTask] = true
	a.stableGS[a.thisCPUOff] = true
	a.definePrims()
	a.findSockOwned()
	return a
}

// definePrims finds the primitives among the functions, and takes over the
// effects of undefined functions from the base result.
func (a *analysis) definePrims() {
	if a.count != nil {
		a.defineCounts()
		return
	}
	for i := range a.m.Funcs {
		f := &a.m.Funcs[i]
		for _, name := range append([]string{f.Name}, f.Aliases...) {
			if p, ok := prims[name]; ok {
				a.prims[i], a.given[i] = &p, true
				a.effects[i] = p.effect(model.FuncID(i), a.m)
				break
			}
			if c, ok := contractOf(name); ok {
				a.given[i] = true
				a.effects[i] = c.effect(model.FuncID(i), a.types)
			}
		}
		if !a.given[i] && f.Flags&model.FuncExtern != 0 && a.base != nil {
			for _, id := range a.base.Model.Lookup(f.Name) {
				if e := a.base.effects[id]; e != nil {
					c := *e
					c.Func = model.FuncID(i)
					a.effects[i] = &c
				}
				break
			}
		}
	}
}

// defineCounts makes primitives of the functions to count, and lock primitives
// neutral.
func (a *analysis) defineCounts() {
	for i := range a.m.Funcs {
		name := a.m.Funcs[i].Name
		if c, ok := a.count[name]; ok {
			p := &prim{steps: []step{{Sem, c.Arg, c.Delta}}}
			a.prims[i], a.given[i] = p, true
			a.effects[i] = p.effect(model.FuncID(i), a.m)
		} else if _, ok := prims[name]; ok {
			a.given[i] = true
		}
	}
}

// findSockOwned reads the offset of sk_lock.owned from the code of
// lock_sock_nested, which sets it to 1.
func (a *analysis) findSockOwned() {
	if a.base != nil {
		a.sockOwned = a.base.sockOwned
	}
	for _, id := range a.m.Lookup("lock_sock_nested") {
		for _, block := range a.m.Code(a.m.Blocks(id)) {
			for i := range block {
				in := &block[i]
				to, v := &in.Args[0], &in.Args[1]
				if in.Op != machine.Move || to.Kind != machine.KindMem || v.Kind != machine.KindImm || v.Imm != 1 {
					continue
				}
				if m := to.Mem; m.Width == 4 && m.Index == machine.NoReg && m.Disp > 8 {
					a.sockOwned = uint64(m.Disp)
					return
				}
			}
		}
	}
}

// effect is a primitive's effect as callers see it; nil when it has none.
func (p *prim) effect(id model.FuncID, m *model.Model) *Effect {
	if len(p.steps) == 0 && !p.saves && p.restores == 0 {
		return nil
	}
	var ch []Change
	for _, s := range p.steps {
		l := Lock{Kind: s.kind}
		if !s.kind.Context() {
			l.Path = Path{Root: RootArg, Arg: s.arg, Offs: []int64{0}}
			if p.global != "" {
				l.Path = Path{Root: RootGlobal, Addr: globalAddr(m.Prog, p.global), Offs: []int64{0}}
			}
		}
		ch = append(ch, Change{Lock: l, Delta: s.delta})
	}
	if p.restores != 0 {
		ch = append(ch, Change{Lock: Lock{Kind: IRQ}, Delta: -1})
	}
	slices.SortFunc(ch, func(x, y Change) int { return compareLock(x.Lock, y.Lock) })
	e := &Effect{Func: id, Primitive: true, Outcomes: []Outcome{{Changes: ch, RetArg: -1}}}
	if p.on != always {
		hit, miss := p.on.sets()
		e.Outcomes[0].Ret = Ret{B4: hit}
		e.Outcomes = append(e.Outcomes, Outcome{Ret: Ret{B4: miss}, RetArg: -1})
	}
	finish(e, retType{})
	return e
}

// plan returns the strongly connected components of the call graph, callees
// first.
func (a *analysis) plan() (sccs [][]model.FuncID, of []int32) {
	m := a.m
	n := len(m.Funcs)
	of = make([]int32, n)
	index := make([]int32, n)
	low := make([]int32, n)
	on := make([]bool, n)
	for i := range index {
		index[i] = -1
	}
	var stack []model.FuncID
	next := int32(0)
	type frame struct {
		f model.FuncID
		c int
	}
	for root := range n {
		if index[root] >= 0 {
			continue
		}
		frames := []frame{{model.FuncID(root), 0}}
		for len(frames) > 0 {
			fr := &frames[len(frames)-1]
			f := fr.f
			if fr.c == 0 {
				index[f], low[f] = next, next
				next++
				stack = append(stack, f)
				on[f] = true
			}
			calls := m.Calls(f)
			if a.given[f] {
				calls = nil
			}
			pushed := false
			for fr.c < len(calls) {
				t := calls[fr.c].Target
				fr.c++
				if t == model.NoFunc {
					continue
				}
				if index[t] < 0 {
					frames = append(frames, frame{t, 0})
					pushed = true
					break
				}
				if on[t] {
					low[f] = min(low[f], index[t])
				}
			}
			if pushed {
				continue
			}
			if fr.c == 0 {
				fr.c = 1 // no calls; do not enter again
			}
			if low[f] == index[f] {
				var scc []model.FuncID
				for {
					x := stack[len(stack)-1]
					stack = stack[:len(stack)-1]
					on[x] = false
					of[x] = int32(len(sccs))
					scc = append(scc, x)
					if x == f {
						break
					}
				}
				slices.Sort(scc)
				sccs = append(sccs, scc)
			}
			frames = frames[:len(frames)-1]
			if len(frames) > 0 {
				p := frames[len(frames)-1].f
				low[p] = min(low[p], low[f])
			}
		}
	}
	return sccs, of
}

// schedule analyses components in an order that has callees done first,
// several at a time.
func (a *analysis) schedule(sccs [][]model.FuncID, of []int32, workers int) {
	if workers <= 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	n := len(sccs)
	waits := make([]atomic.Int32, n)
	users := make([][]int32, n)
	for i, scc := range sccs {
		deps := map[int32]bool{}
		for _, f := range scc {
			if a.given[f] {
				continue
			}
			for _, c := range a.m.Calls(f) {
				if c.Target != model.NoFunc {
					if d := of[c.Target]; d != int32(i) && !deps[d] {
						deps[d] = true
						users[d] = append(users[d], int32(i))
					}
				}
			}
		}
		waits[i].Store(int32(len(deps)))
	}
	ready := make(chan int32, n)
	for i := range sccs {
		if waits[i].Load() == 0 {
			ready <- int32(i)
		}
	}
	var left atomic.Int64
	left.Store(int64(n))
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			w := &walker{a: a, m: a.m, preemptCount: a.m.Prog.PreemptCount(), stableGS: a.stableGS}
			w.t.bases = a.bases
			for i := range ready {
				a.component(w, sccs[i])
				for _, u := range users[i] {
					if waits[u].Add(-1) == 0 {
						ready <- u
					}
				}
				if left.Add(-1) == 0 {
					close(ready)
				}
			}
		})
	}
	wg.Wait()
}

// interesting reports whether a function may change any lock: it calls what
// does, or changes the interrupt flag or preempt count itself.
func (a *analysis) interesting(f model.FuncID) bool {
	if a.given[f] || a.m.Func(f).Flags&model.FuncExtern != 0 {
		return false
	}
	if a.m.Func(f).Flags&model.FuncContext != 0 {
		return true
	}
	for _, c := range a.m.Calls(f) {
		if c.Target != model.NoFunc && (a.effects[c.Target] != nil && (!a.effects[c.Target].Neutral() || a.effects[c.Target].Unknown != 0)) {
			return true
		}
	}
	return false
}

const maxRounds = 5

// component analyses the functions of one component until their effects do
// not change any more.
func (a *analysis) component(w *walker, scc []model.FuncID) {
	recursive := len(scc) > 1
	if !recursive {
		for _, c := range a.m.Calls(scc[0]) {
			recursive = recursive || c.Target == scc[0]
		}
	}
	todo := scc
	for round := 0; ; round++ {
		changed := map[model.FuncID]bool{}
		for _, f := range todo {
			if !a.interesting(f) {
				continue
			}
			e := w.analyse(f)
			if old := a.effects[f]; old == nil || !sameEffect(old, e) {
				// The first round of a recursion takes itself as neutral.
				if old != nil || !e.Neutral() || e.Unknown&^WhyCallee != 0 {
					changed[f] = true
				}
				a.effects[f] = e
			}
		}
		if len(changed) == 0 || !recursive {
			return
		}
		if round == maxRounds {
			for f := range changed {
				if e := a.effects[f]; !e.Neutral() {
					e.Unknown |= WhyRecursion
				}
			}
			return
		}
		todo = nil // those who call what has changed
		for _, f := range scc {
			for _, c := range a.m.Calls(f) {
				if c.Target != model.NoFunc && changed[c.Target] {
					todo = append(todo, f)
					break
				}
			}
		}
	}
}

func sameEffect(a, b *Effect) bool {
	return a.Unknown == b.Unknown && a.Assumed == b.Assumed && slices.EqualFunc(a.Outcomes, b.Outcomes, func(x, y Outcome) bool {
		return sameChanges(x.Changes, y.Changes) && slices.EqualFunc(x.Dropped, y.Dropped, func(p, q Drop) bool { return compareDrop(p, q) == 0 }) && x.RetArg == y.RetArg && x.Ret.B1.Equal(y.Ret.B1) && x.Ret.B4.Equal(y.Ret.B4) && x.Ret.B8.Equal(y.Ret.B8) &&
			slices.EqualFunc(x.When, y.When, func(p, q Cond) bool { return p.Arg == q.Arg && p.Size == q.Size && p.In.Equal(q.In) })
	})
}
