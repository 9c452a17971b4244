package locks

import (
	"cmp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/klpforge/klpforge/analyze/machine"
	"github.com/klpforge/klpforge/analyze/model"
)

// Flow is what happens inside one function, with the locks that it holds
// meanwhile. Locks that were held at entry are not among them. Lists are in
// order of their sites.
type Flow struct {
	Calls    []CallAt
	Accesses []Access
	// Takes are the locks that the function or a function it calls may wait
	// for, as it sees them; attempts that give up at once do not count.
	Takes []Taken
	// Orders are pairs of locks, the second waited for while the first is held,
	// in the function or in a function it calls.
	Orders []Order
	// Again are locks waited for while the function holds them already.
	Again []Again
	// Unknown says why the lists may not be complete; 0 when they are, but for
	// what calls through pointers do.
	Unknown Why
}

// CallAt is one call, or jump out of the function, on paths that hold the
// same locks.
type CallAt struct {
	Site   uint64
	Callee model.FuncID // model.NoFunc for a call through a pointer
	Held   []Lock       // sorted; with the CPU's state
	As     []Lock       // those of Held that the callee can name, in its terms
	// Args are what the arguments in registers hold, as addresses that the caller names; of
	// one of the states in which the call is reached. Unknown ones have no root that is known.
	Args [6]Path
}

// Outer gives a lock that the callee names in the caller's terms; false when the caller
// cannot name it.
func (c *CallAt) Outer(lock Lock) (Lock, bool) {
	switch lock.Path.Root {
	case RootGlobal:
		return lock, true
	case RootArg:
		i := int(lock.Path.Arg)
		if i >= len(c.Args) || len(lock.Path.Offs) == 0 {
			return lock, false
		}
		base := c.Args[i]
		if base.Root != RootArg && base.Root != RootGlobal || len(base.Offs) == 0 {
			return lock, false
		}
		last := len(base.Offs) - 1
		out := Path{Root: base.Root, Addr: base.Addr, Arg: base.Arg, Offs: slices.Clone(base.Offs)}
		out.Offs[last] += lock.Path.Offs[0]
		out.Offs = append(out.Offs, lock.Path.Offs[1:]...)
		if out.Root == RootGlobal { // as names of locks are spelled
			out.Addr, out.Offs[0] = out.Addr+uint64(out.Offs[0]), 0
		}
		return Lock{lock.Kind, out}, true
	}
	return lock, false
}

// Access is one instruction's use of memory that does not lie on the stack.
type Access struct {
	Site  uint64
	Path  Path // the address
	Size  uint8
	Write bool
	Held  []Lock // sorted; with the CPU's state
}

// Taken is a lock that is waited for.
type Taken struct {
	Lock
	Site uint64   // in the function
	Via  []string // the functions called on the way, the primitive last
	When []Cond   // what is known of the arguments on these paths
	// Retaken: the function, or the one it calls, has released the lock before;
	// who holds it at the call waits for nothing.
	Retaken bool
}

// Order says that Second is waited for while First is held.
type Order struct {
	First, Second Lock
	Site          uint64 // in the function
	Via           []string
	When          []Cond
}

// Again says that Lock, held already, is waited for once more.
type Again struct {
	Taken
	// Read: both times for reading, which deadlocks only when a writer waits in
	// between.
	Read bool
}

// Bounds of what is kept of one function.
const (
	maxTakes    = 64
	maxOrders   = 256
	maxAccesses = 4000
	maxVia      = 6
)

// Flows are the flows of all functions of a model. They are immutable.
type Flows struct {
	Result *Result
	funcs  []*Flow
}

// Flow returns a function's flow, nil when its code is not there.
func (f *Flows) Flow(id model.FuncID) *Flow { return f.funcs[id] }

// Flows executes every function of the model once more and notes what happens
// while locks are held. It is made for object files; a kernel takes minutes.
func (r *Result) Flows() *Flows {
	tracing := newTracer(r)
	sccs, _ := tracing.w.a.plan()
	for _, scc := range sccs {
		rounds := 1
		if len(scc) > 1 {
			rounds = 2 // the second knows of the whole recursion
		}
		for range rounds {
			for _, id := range scc {
				tracing.flows.funcs[id] = tracing.trace(id)
			}
		}
	}
	return tracing.flows
}

// FlowsOf does so for some functions only, in the order given; of those they
// call that were not done before, only the lasting effect is known.
func (r *Result) FlowsOf(ids ...model.FuncID) *Flows {
	tracing := newTracer(r)
	for _, id := range ids {
		tracing.flows.funcs[id] = tracing.trace(id)
	}
	return tracing.flows
}

// FlowsApart does so for each function by itself, several at a time: of all that
// they call, only the lasting effect is known.
func (r *Result) FlowsApart(ids ...model.FuncID) *Flows {
	const chunk = 64
	all := &Flows{Result: r, funcs: make([]*Flow, len(r.Model.Funcs))}
	var next atomic.Int64
	var wg sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), 1+len(ids)/chunk) {
		wg.Go(func() {
			tracing := newTracer(r)
			for {
				k := int(next.Add(chunk)) - chunk
				if k >= len(ids) {
					return
				}
				for _, id := range ids[k:min(k+chunk, len(ids))] {
					all.funcs[id] = tracing.trace(id)
				}
			}
		})
	}
	wg.Wait()
	return all
}

// Entry returns the locks that are held whenever a function is entered, in its
// own terms: those that all its calls hold. open says that it may have callers
// that are not in the model, so that none is certain.
func (f *Flows) Entry(id model.FuncID, open func(model.FuncID) bool) []Lock {
	return f.entry(id, open, 0)
}

func (f *Flows) entry(id model.FuncID, open func(model.FuncID) bool, depth int) []Lock {
	if depth > 4 || open(id) {
		return nil
	}
	var all []Lock
	first := true
	for call := range f.Result.Model.Callers(id) {
		from := f.funcs[call.Caller]
		if from == nil || call.Caller == id {
			continue
		}
		outer := f.entry(call.Caller, open, depth+1)
		for i := range from.Calls {
			at := &from.Calls[i]
			if at.Site != call.Site {
				continue
			}
			held := slices.Clone(at.As)
			for _, lock := range outer {
				if lock.Path.Root == RootGlobal || lock.Path.Root == RootNone {
					held = append(held, lock)
				}
			}
			if first {
				all, first = held, false
				continue
			}
			all = slices.DeleteFunc(all, func(l Lock) bool {
				return !slices.ContainsFunc(held, func(h Lock) bool { return compareLock(l, h) == 0 })
			})
		}
	}
	slices.SortFunc(all, compareLock)
	return slices.CompactFunc(all, func(a, b Lock) bool { return compareLock(a, b) == 0 })
}

// Same reports whether two locks, as one function sees them, are the same
// object, whichever way they are taken.
func Same(a, b Lock) bool {
	return a.Path.Known() && comparePath(a.Path, b.Path) == 0 && a.Kind.Family() == b.Kind.Family()
}

// Family is the kind that stands for all ways to take a lock of its type.
func (k Kind) Family() Kind {
	switch k {
	case ReadLock:
		return WriteLock
	case RwsemRead:
		return RwsemWrite
	case PercpuRwsemRead:
		return PercpuRwsemWrite
	}
	return k
}

// Reads reports whether the kind shares its lock with others of the kind.
func (k Kind) Reads() bool { return k != k.Family() || k == SRCU || k == RCU }

// tracer replays functions on the states that their analysis ended with.
type tracer struct {
	w     *walker
	flows *Flows
	out   *Flow
	fn    model.FuncID
	seen  map[string]bool

	// Where events are asked for, else nil: the events, the names of values, and the
	// block of the model that is executed.
	events *Events
	naming *naming
	block0 int32
}

// traced is the analysis with all effects found, made once: it takes a while for a whole
// kernel. The result may come from a cache. Tracing changes nothing in it.
func (r *Result) traced() *analysis {
	r.tracingOnce.Do(func() {
		r.tracing = newAnalysis(r.Model, Options{})
		for id, effect := range r.effects {
			r.tracing.effects[id] = effect
		}
	})
	return r.tracing
}

func newTracer(r *Result) *tracer {
	run := r.traced()
	walk := &walker{a: run, m: run.m, preemptCount: run.m.Prog.PreemptCount(), stableGS: run.stableGS}
	walk.t.bases = run.bases
	return &tracer{w: walk, flows: &Flows{Result: r, funcs: make([]*Flow, len(run.m.Funcs))}}
}

func (t *tracer) trace(id model.FuncID) *Flow {
	walk := t.w
	if walk.m.Func(id).Flags&model.FuncExtern != 0 || walk.a.given[id] || len(walk.m.Blocks(id)) == 0 {
		return nil
	}
	t.out, t.fn, t.seen = &Flow{}, id, map[string]bool{}
	walk.strict, walk.split, walk.decoded = true, 1, 0
	if effect := walk.a.effects[id]; effect != nil && effect.Assumed {
		walk.strict = false
	}
	if t.events != nil {
		walk.split = maxSplit
	}
	effect := walk.once(id)
	t.out.Unknown = effect.Unknown & (WhyFlow | WhyStates)
	if events := t.events; events != nil {
		// Values are named by what they are made of on the paths that remained in the end, in all
		// blocks: a first round finds that.
		walk.origins.made, t.events = map[node]made{}, nil
		t.replay()
		t.events, t.naming = events, walk.naming()
	}
	t.replay()
	flow := t.out
	slices.SortStableFunc(flow.Calls, func(a, b CallAt) int { return cmp.Compare(a.Site, b.Site) })
	slices.SortStableFunc(flow.Accesses, func(a, b Access) int { return cmp.Compare(a.Site, b.Site) })
	slices.SortStableFunc(flow.Takes, func(a, b Taken) int { return cmp.Compare(a.Site, b.Site) })
	slices.SortStableFunc(flow.Orders, func(a, b Order) int { return cmp.Compare(a.Site, b.Site) })
	slices.SortStableFunc(flow.Again, func(a, b Again) int { return cmp.Compare(a.Site, b.Site) })
	return flow
}

// replay executes all blocks on the states that reach them.
func (t *tracer) replay() {
	walk := t.w
	for block := range walk.blocks {
		walk.age = walk.order[block]
		t.block0 = walk.source[block]
		for _, now := range walk.in[block] {
			t.block(&walk.blocks[block], 0, now.clone())
		}
	}
}

// block executes a block from its i-th instruction.
func (t *tracer) block(bl *block, i int, s *state) {
	walk := t.w
	for ; i < len(bl.code); i++ {
		in := &bl.code[i]
		last := i == len(bl.code)-1
		if in.Op == machine.Call {
			t.call(s, in.Addr)
			if last && bl.term == model.TermNoReturn {
				return
			}
			out := walk.call(s, in)
			if len(out) == 0 {
				return
			}
			for _, after := range out[1:] {
				t.block(bl, i+1, after)
			}
			s = out[0]
			continue
		}
		if last && (transfers(in.Op) && bl.term != model.TermFall || bl.term == model.TermReturn) {
			break
		}
		t.memory(s, in)
		if t.events != nil {
			t.access(s, in)
		}
		walk.step(s, in)
	}
	switch bl.term {
	case model.TermReturn:
		if t.events != nil {
			t.add(s, Event{Kind: EventReturn, Site: bl.last, Value: t.naming.expr(s.regs[retReg])})
		}
	case model.TermTail, model.TermCondTail:
		t.call(s, bl.last)
	case model.TermIndirect:
		if len(bl.edges) == 0 {
			t.call(s, bl.last)
		}
	}
}

// once reports whether something is new.
func (t *tracer) once(parts ...string) bool {
	key := strings.Join(parts, "\x00")
	if t.seen[key] {
		return false
	}
	t.seen[key] = true
	return true
}

// path names an address by what the function's caller knows.
func (t *tracer) path(s *state, name vid) Path {
	ret := s.regs[retReg]
	s.regs[retReg] = 0 // what it returns is not yet what it will return
	path := t.w.path(s, name)
	s.regs[retReg] = ret
	return path
}

// held lists what is held.
func (t *tracer) held(s *state) (l []Lock, key string) {
	for i := range s.locks {
		hold := &s.locks[i]
		if hold.n <= 0 {
			continue
		}
		lock := Lock{Kind: hold.kind}
		if !hold.kind.Context() {
			if lock.Path = t.path(s, hold.name); lock.Path.Root == RootNone {
				continue
			}
		}
		l = append(l, lock)
	}
	slices.SortFunc(l, compareLock)
	return l, lockKey(l...)
}

func lockKey(l ...Lock) string {
	var text strings.Builder
	for _, lock := range l {
		text.WriteString(lock.String())
		text.WriteByte(' ')
	}
	return text.String()
}

// memory notes what an instruction reads and writes.
// How far string instructions reach is not known here; they are left out.
func (t *tracer) memory(s *state, in *machine.Inst) {
	if in.Op == machine.Address || in.Hint() || in.IsString() || len(t.out.Accesses) >= maxAccesses {
		return
	}
	for nth := range in.Args {
		operand := &in.Args[nth]
		if operand.Kind != machine.KindMem || operand.Mem.Seg != machine.SegNone {
			continue
		}
		where := t.w.access(s, in, operand.Mem)
		if where.stack {
			continue
		}
		path := t.path(s, t.w.t.stripped(where.addr))
		if path.Root == RootNone || !path.Known() {
			continue
		}
		write := in.Writes(nth)
		held, key := t.held(s)
		if t.once("access", hex(in.Addr), path.String(), key) {
			t.out.Accesses = append(t.out.Accesses, Access{Site: in.Addr, Path: path, Size: where.size, Write: write,
				Held: held})
		}
	}
}

func hex(a uint64) string {
	const digits = "0123456789abcdef"
	var b [16]byte
	for i := range b {
		b[15-i] = digits[a&15]
		a >>= 4
	}
	return string(b[:])
}

// call notes a call and the locks that the callee waits for.
func (t *tracer) call(s *state, site uint64) {
	walk := t.w
	id, name := walk.target(s, site)
	held, key := t.held(s)
	var args args
	for i := range args {
		if i < len(argReg) {
			args[i] = s.regs[argReg[i]]
		} else {
			args[i] = walk.t.opaque(site, int32(300+i), walk.age)
		}
	}
	if t.once("call", hex(site), key) {
		call := CallAt{Site: site, Callee: id, Held: held, As: t.as(s, args)}
		for i := range call.Args {
			call.Args[i] = t.path(s, walk.t.stripped(args[i]))
		}
		t.out.Calls = append(t.out.Calls, call)
	}
	var takes []vid
	var kinds []Kind
	for nth, taken := range t.takenBy(id, name) {
		inside := t.possible(s, args, taken.When)
		if inside == nil {
			continue
		}
		if named := walk.instantiate(inside, taken.Path, args, walk.t.ret(site, walk.age), site, 400+nth); named >= 0 {
			takes, kinds = append(takes, named), append(kinds, taken.Kind)
			t.take(inside, site, taken, named)
		}
	}
	if t.events != nil {
		t.called(s, site, id, args, takes, kinds)
	}
	if id == model.NoFunc || t.flows.funcs[id] == nil {
		return
	}
	for nth, order := range t.flows.funcs[id].Orders {
		inside := t.possible(s, args, order.When)
		if inside == nil {
			continue
		}
		first := walk.instantiate(inside, order.First.Path, args, walk.t.ret(site, walk.age), site, 500+2*nth)
		second := walk.instantiate(inside, order.Second.Path, args, walk.t.ret(site, walk.age), site, 501+2*nth)
		if first >= 0 && second >= 0 {
			t.order(inside, Lock{order.First.Kind, t.path(inside, first)},
				Lock{order.Second.Kind, t.path(inside, second)}, site, via(name, order.Via))
		}
	}
}

// possible returns a state in which the conditions on a callee's arguments
// hold, nil when there is none.
func (t *tracer) possible(s *state, args args, when []Cond) *state {
	if len(when) == 0 {
		return s
	}
	assumed := s.clone()
	for _, cond := range when {
		if !t.w.t.assume(assumed, args[cond.Arg], cond.Size, cond.In) {
			return nil
		}
	}
	return assumed
}

// when lists what a state says of the function's own arguments.
func (t *tracer) when(s *state) (l []Cond, key string) {
	for i := range argReg {
		for _, size := range phiSizes {
			if known, ok := s.fact(t.w.t.param(i), size); ok {
				l = append(l, Cond{Arg: int8(i), Size: size, In: known})
				key += string([]byte{byte(i), size}) + known.String() + " "
			}
		}
	}
	return l, key
}

// takenBy lists the locks that a callee waits for, in its terms.
func (t *tracer) takenBy(id model.FuncID, name string) []Taken {
	if id == model.NoFunc {
		return nil
	}
	var list []Taken
	if primitive, ok := t.w.a.prim(id); ok {
		if primitive.on == onNonzero || primitive.on == unlessOne {
			return nil
		}
		for nth, st := range primitive.steps {
			if st.delta <= 0 || st.kind.Context() {
				continue
			}
			lock := Lock{st.kind, Path{Root: RootArg, Arg: st.arg, Offs: []int64{0}}}
			if primitive.global != "" {
				lock.Path = Path{Root: RootGlobal, Addr: globalAddr(t.w.m.Prog, primitive.global), Offs: []int64{0}}
			}
			list = append(list, Taken{Lock: lock, Via: []string{name}, Retaken: primitive.retakes(nth)})
		}
		return list
	}
	if flow := t.flows.funcs[id]; flow != nil {
		for _, taken := range flow.Takes {
			list = append(list, Taken{Lock: taken.Lock, Via: via(name, taken.Via), When: taken.When,
				Retaken: taken.Retaken})
		}
		return list
	}
	effect := t.w.a.effects[id]
	if effect == nil {
		return nil
	}
	for i := range effect.Outcomes {
		for _, change := range effect.Outcomes[i].Changes {
			if change.Delta > 0 && !change.Kind.Context() {
				list = append(list, Taken{Lock: change.Lock, Via: []string{name}})
			}
		}
	}
	return list
}

func via(name string, rest []string) []string {
	path := append([]string{name}, rest...)
	if len(path) > maxVia {
		path = append(path[:maxVia-1:maxVia-1], path[len(path)-1])
	}
	return path
}

// take notes that a lock, called n here, is waited for.
func (t *tracer) take(s *state, site uint64, x Taken, n vid) {
	walk := t.w
	lock := Lock{x.Kind, t.path(s, n)}
	if lock.Path.Root == RootNone {
		return // in the own frame
	}
	x.Lock, x.Site = lock, site
	x.Retaken = x.Retaken || slices.ContainsFunc(s.locks, func(h held) bool {
		return h.n < 0 && h.name == n && h.kind.Family() == x.Kind.Family()
	})
	var key string
	x.When, key = t.when(s)
	if lock.Path.Known() && t.once("take", lock.String(), key, strconv.FormatBool(x.Retaken)) {
		if len(t.out.Takes) < maxTakes {
			t.out.Takes = append(t.out.Takes, x)
		} else {
			t.out.Unknown |= WhyStates
		}
	}
	for i := range s.locks {
		hold := &s.locks[i]
		if hold.n <= 0 || hold.kind.Context() || hold.kind == SRCU || x.Kind == SRCU {
			continue
		}
		if hold.name == n && hold.kind.Family() == x.Kind.Family() {
			if !x.Retaken && walk.t.precise(n) && t.once("again", hex(site), lock.String()) {
				t.out.Again = append(t.out.Again, Again{Taken: x, Read: hold.kind.Reads() && x.Kind.Reads()})
			}
			continue
		}
		t.order(s, Lock{hold.kind, t.path(s, hold.name)}, lock, site, x.Via)
	}
}

func (t *tracer) order(s *state, a, b Lock, site uint64, via []string) {
	if !a.Path.Known() || !b.Path.Known() || a.Path.Root == RootNone || b.Path.Root == RootNone || Same(a, b) {
		return
	}
	when, key := t.when(s)
	if !t.once("order", a.String(), b.String(), key) {
		return
	}
	if len(t.out.Orders) >= maxOrders {
		t.out.Unknown |= WhyStates
		return
	}
	t.out.Orders = append(t.out.Orders, Order{First: a, Second: b, Site: site, Via: via, When: when})
}

// as names the locks held in the terms of a callee with these arguments.
func (t *tracer) as(s *state, args args) []Lock {
	var list []Lock
	for i := range s.locks {
		hold := &s.locks[i]
		if hold.n <= 0 {
			continue
		}
		if hold.kind.Context() {
			list = append(list, Lock{Kind: hold.kind})
			continue
		}
		if path, ok := t.relative(hold.name, args, 0); ok {
			list = append(list, Lock{hold.kind, path})
		}
	}
	slices.SortFunc(list, compareLock)
	return list
}

// relative expresses a name by arguments of a call.
func (t *tracer) relative(v vid, args args, depth int) (Path, bool) {
	vals := &t.w.t
	base, off := vals.split(v)
	if base == 0 {
		return Path{Root: RootGlobal, Addr: uint64(off), Offs: []int64{0}}, true
	}
	for i, arg := range args[:len(argReg)] {
		if argBase, argOff := vals.split(vals.stripped(arg)); argBase == base {
			return Path{Root: RootArg, Arg: int8(i), Offs: []int64{off - argOff}}, true
		}
	}
	expr := vals.n(base)
	if expr.op != opLoad || expr.k == 1 || expr.size != 8 || depth >= maxPath {
		return Path{}, false
	}
	path, ok := t.relative(expr.a, args, depth+1)
	if ok {
		path.Offs = append(slices.Clone(path.Offs), off)
	}
	return path, ok
}
