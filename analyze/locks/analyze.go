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

	// tracing is what functions are executed again with; see traced.
	tracing     *analysis
	tracingOnce sync.Once
}

// Effect returns what a function does. It is neutral for functions that do
// not appear.
func (r *Result) Effect(id model.FuncID) *Effect {
	if effect := r.effects[id]; effect != nil {
		return effect
	}
	return &Effect{Func: id, Outcomes: []Outcome{{RetArg: -1}}}
}

// All returns the effects of functions that are not neutral or not fully
// known, by address.
func (r *Result) All() []*Effect {
	var list []*Effect
	for _, effect := range r.effects {
		if !effect.Neutral() || effect.Unknown != 0 {
			list = append(list, effect)
		}
	}
	slices.SortFunc(list, func(a, b *Effect) int { return int(a.Func) - int(b.Func) })
	return list
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
	primitive := a.prims[id]
	return primitive, primitive != nil
}

func (a *analysis) effect(id model.FuncID) *Effect { return a.effects[id] }

// Analyze finds the effects of all functions of a model. The result depends
// on the model and the base result alone.
func Analyze(m *model.Model, o Options) *Result {
	run := newAnalysis(m, o)
	sccs, need := run.plan()
	result := &Result{Model: m, sockOwned: run.sockOwned, effects: map[model.FuncID]*Effect{}}
	run.schedule(sccs, need, o.Workers)
	for id, effect := range run.effects {
		if effect != nil {
			result.effects[model.FuncID(id)] = effect
			if !effect.Primitive {
				result.Analysed++
			}
		}
	}
	return result
}

// newAnalysis knows the primitives, and no effects of other functions yet.
func newAnalysis(m *model.Model, o Options) *analysis {
	count := len(m.Funcs)
	run := &analysis{m: m, effects: make([]*Effect, count), prims: make([]*prim, count), given: make([]bool, count),
		base: o.Base, types: o.Types, count: o.Count, stableGS: map[uint64]bool{}}
	if addr, ok := m.Prog.Lookup("current_task"); ok {
		run.currentTask = addr
	} else if addr, ok := m.Prog.Lookup("pcpu_hot"); ok {
		run.currentTask = addr
	}
	run.thisCPUOff, _ = m.Prog.Lookup("this_cpu_off")
	run.bases = map[uint64]bool{run.thisCPUOff: true}
	for _, name := range []string{"page_offset_base", "vmemmap_base", "vmalloc_base"} {
		if addr, ok := m.Prog.Lookup(name); ok {
			run.bases[addr] = true
		}
	}
	run.stableGS[run.currentTask] = true
	run.stableGS[run.thisCPUOff] = true
	run.definePrims()
	run.findSockOwned()
	return run
}

// definePrims finds the primitives among the functions, and takes over the
// effects of undefined functions from the base result.
func (a *analysis) definePrims() {
	if a.count != nil {
		a.defineCounts()
		return
	}
	for i := range a.m.Funcs {
		fn := &a.m.Funcs[i]
		for _, name := range append([]string{fn.Name}, fn.Aliases...) {
			if primitive, ok := prims[name]; ok && !primitive.traced {
				a.give(model.FuncID(i), &primitive)
				break
			}
			if promise, ok := contractOf(name); ok {
				a.given[i] = true
				a.effects[i] = promise.effect(model.FuncID(i), a.types)
			}
		}
		if !a.given[i] && fn.Flags&model.FuncExtern != 0 {
			a.defineElsewhere(model.FuncID(i))
		}
	}
}

// give makes a function a primitive.
func (a *analysis) give(id model.FuncID, primitive *prim) {
	a.prims[id], a.given[id] = primitive, true
	a.effects[id] = primitive.effect(id, a.m)
}

// defineElsewhere says what a function does whose code the program does not hold: as the
// base found it from code, or else as package kfuncs says.
func (a *analysis) defineElsewhere(id model.FuncID) {
	name := a.m.Func(id).Name
	if a.base != nil {
		if found := a.base.Model.Lookup(name); len(found) > 0 {
			if effect := a.base.effects[found[0]]; effect != nil {
				copied := *effect
				copied.Func = id
				a.effects[id] = &copied
			}
			return
		}
	}
	if primitive, ok := prims[name]; ok {
		a.give(id, &primitive)
	}
}

// defineCounts makes primitives of the functions to count, and lock primitives
// neutral.
func (a *analysis) defineCounts() {
	for id := range a.m.Funcs {
		name := a.m.Funcs[id].Name
		if counts, ok := a.count[name]; ok {
			a.give(model.FuncID(id), &prim{steps: []step{{Sem, counts.Arg, counts.Delta}}})
		} else if primitive, ok := prims[name]; ok && !primitive.traced {
			a.given[id] = true
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
				to, source := &in.Args[0], &in.Args[1]
				if in.Op != machine.Move || to.Kind != machine.KindMem || source.Kind != machine.KindImm ||
					source.Imm != 1 {
					continue
				}
				if mem := to.Mem; mem.Width == 4 && mem.Index == machine.NoReg && mem.Disp > 8 {
					a.sockOwned = uint64(mem.Disp)
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
	var dropped []Drop
	for nth, step := range p.steps {
		lock := Lock{Kind: step.kind}
		if !step.kind.Context() {
			lock.Path = Path{Root: RootArg, Arg: step.arg, Offs: []int64{0}}
			if p.global != "" {
				lock.Path = Path{Root: RootGlobal, Addr: globalAddr(m.Prog, p.global), Offs: []int64{0}}
			}
		}
		if p.retakes(nth) {
			ch = slices.DeleteFunc(ch, func(c Change) bool { return compareLock(c.Lock, lock) == 0 })
			dropped = append(dropped, Drop{Lock: lock})
			continue
		}
		ch = append(ch, Change{Lock: lock, Delta: step.delta})
	}
	if p.restores != 0 {
		ch = append(ch, Change{Lock: Lock{Kind: IRQ}, Delta: -1})
	}
	slices.SortFunc(ch, func(x, y Change) int { return compareLock(x.Lock, y.Lock) })
	effect := &Effect{Func: id, Primitive: true, Outcomes: []Outcome{{Changes: ch, Dropped: sortDrops(dropped), RetArg: -1}}}
	if p.on != always {
		hit, miss := p.on.sets()
		effect.Outcomes[0].Ret = Ret{B4: hit}
		effect.Outcomes = append(effect.Outcomes, Outcome{Ret: Ret{B4: miss}, RetArg: -1})
	}
	finish(effect, retType{})
	return effect
}

// plan returns the strongly connected components of the call graph, callees
// first.
func (a *analysis) plan() (sccs [][]model.FuncID, of []int32) {
	kern := a.m
	count := len(kern.Funcs)
	of = make([]int32, count)
	index := make([]int32, count)
	low := make([]int32, count)
	on := make([]bool, count)
	for i := range index {
		index[i] = -1
	}
	var stack []model.FuncID
	next := int32(0)
	type frame struct {
		f model.FuncID
		c int
	}
	for root := range count {
		if index[root] >= 0 {
			continue
		}
		frames := []frame{{model.FuncID(root), 0}}
		for len(frames) > 0 {
			fr := &frames[len(frames)-1]
			fn := fr.f
			if fr.c == 0 {
				index[fn], low[fn] = next, next
				next++
				stack = append(stack, fn)
				on[fn] = true
			}
			calls := kern.Calls(fn)
			if a.given[fn] {
				calls = nil
			}
			pushed := false
			for fr.c < len(calls) {
				target := calls[fr.c].Target
				fr.c++
				if target == model.NoFunc {
					continue
				}
				if index[target] < 0 {
					frames = append(frames, frame{target, 0})
					pushed = true
					break
				}
				if on[target] {
					low[fn] = min(low[fn], index[target])
				}
			}
			if pushed {
				continue
			}
			if fr.c == 0 {
				fr.c = 1 // no calls; do not enter again
			}
			if low[fn] == index[fn] {
				var scc []model.FuncID
				for {
					top := stack[len(stack)-1]
					stack = stack[:len(stack)-1]
					on[top] = false
					of[top] = int32(len(sccs))
					scc = append(scc, top)
					if top == fn {
						break
					}
				}
				slices.Sort(scc)
				sccs = append(sccs, scc)
			}
			frames = frames[:len(frames)-1]
			if len(frames) > 0 {
				parent := frames[len(frames)-1].f
				low[parent] = min(low[parent], low[fn])
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
	count := len(sccs)
	waits := make([]atomic.Int32, count)
	users := make([][]int32, count)
	for component, scc := range sccs {
		deps := map[int32]bool{}
		for _, fn := range scc {
			if a.given[fn] {
				continue
			}
			for _, call := range a.m.Calls(fn) {
				if call.Target != model.NoFunc {
					if dep := of[call.Target]; dep != int32(component) && !deps[dep] {
						deps[dep] = true
						users[dep] = append(users[dep], int32(component))
					}
				}
			}
		}
		waits[component].Store(int32(len(deps)))
	}
	ready := make(chan int32, count)
	for i := range sccs {
		if waits[i].Load() == 0 {
			ready <- int32(i)
		}
	}
	var left atomic.Int64
	left.Store(int64(count))
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			walk := &walker{a: a, m: a.m, preemptCount: a.m.Prog.PreemptCount(), stableGS: a.stableGS}
			walk.t.bases = a.bases
			for component := range ready {
				a.component(walk, sccs[component])
				for _, user := range users[component] {
					if waits[user].Add(-1) == 0 {
						ready <- user
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
	for _, call := range a.m.Calls(f) {
		if call.Target != model.NoFunc && (a.effects[call.Target] != nil && (!a.effects[call.Target].Neutral() ||
			a.effects[call.Target].Unknown != 0)) {
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
		for _, call := range a.m.Calls(scc[0]) {
			recursive = recursive || call.Target == scc[0]
		}
	}
	todo := scc
	for round := 0; ; round++ {
		changed := map[model.FuncID]bool{}
		for _, fn := range todo {
			if !a.interesting(fn) {
				continue
			}
			effect := w.analyse(fn)
			if old := a.effects[fn]; old == nil || !sameEffect(old, effect) {
				// The first round of a recursion takes itself as neutral.
				if old != nil || !effect.Neutral() || effect.Unknown&^WhyCallee != 0 {
					changed[fn] = true
				}
				a.effects[fn] = effect
			}
		}
		if len(changed) == 0 || !recursive {
			return
		}
		if round == maxRounds {
			for fn := range changed {
				if effect := a.effects[fn]; !effect.Neutral() {
					effect.Unknown |= WhyRecursion
				}
			}
			return
		}
		todo = nil // those who call what has changed
		for _, fn := range scc {
			for _, call := range a.m.Calls(fn) {
				if call.Target != model.NoFunc && changed[call.Target] {
					todo = append(todo, fn)
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
