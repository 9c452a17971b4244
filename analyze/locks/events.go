package locks

import (
	"cmp"
	"maps"
	"slices"

	"github.com/klpforge/klpforge/analyze/flow"
	"github.com/klpforge/klpforge/analyze/machine"
	"github.com/klpforge/klpforge/analyze/model"
)

// EventKind is what happens.
type EventKind uint8

// The kinds of an Event.
const (
	EventRead   EventKind = iota // of Place
	EventWrite                   // of Value to Place
	EventAdd                     // of the constant By to Place, at once for all CPUs
	EventCall                    // of Callee with Args
	EventTake                    // of the lock Lock, waited for
	EventReturn                  // of Value
)

// Event is one thing that a function does, on the paths that hold the same locks.
type Event struct {
	Kind  EventKind
	Site  uint64
	Block int32 // of the model
	Place *Expr // an address
	Value *Expr
	By    int64
	Size  uint8 // bytes; 0 where the code does not tell how far it reaches
	// Atomic: a write that reads what was there and changes it at once for all CPUs.
	Atomic bool
	// Callee is model.NoFunc for a call through a pointer.
	Callee model.FuncID
	Args   []*Expr
	Lock   HeldLock
	Held   []HeldLock // without the CPU's state, sorted
	// Compared says which of two values is the smaller one on these paths.
	Compared []Comparison
}

// HeldLock is a lock by how the function reaches it.
type HeldLock struct {
	Kind Kind
	Name *Expr
}

// String names the lock, whichever way it is taken.
func (l HeldLock) String() string { return l.Kind.Family().String() + ":" + l.Name.String() }

// Comparison says that Less is not greater than More.
type Comparison struct{ Less, More *Expr }

// maxEvents bounds the events of one function.
const maxEvents = 8000

// Events are what a function does, in order of their sites.
type Events struct {
	List []Event
	// Unknown says why events or paths may be missing; 0 when none are, but for
	// what is done by callees.
	Unknown Why
	blocks  []model.Block
	m       *model.Model
	reach   map[int32]map[int32]bool
}

// Events executes a function once more, and notes what it does. It is nil for one
// whose code is not there.
func (f *Flows) Events(id model.FuncID) *Events {
	tracing := newTracer(f.Result)
	tracing.flows = f
	tracing.w.origins = newOrigins()
	tracing.events = &Events{m: f.Result.Model, blocks: f.Result.Model.Blocks(id), reach: map[int32]map[int32]bool{}}
	flow := tracing.trace(id)
	if flow == nil {
		return nil
	}
	out := tracing.events
	out.Unknown |= flow.Unknown
	slices.SortStableFunc(out.List, func(a, b Event) int { return cmp.Compare(a.Site, b.Site) })
	return out
}

// Before reports whether one event may come before another on some path.
func (e *Events) Before(first, second *Event) bool {
	if first.Block == second.Block && first.Site < second.Site {
		return true
	}
	return e.reaches(first.Block)[second.Block]
}

// reaches are the blocks that come behind one.
func (e *Events) reaches(from int32) map[int32]bool {
	if known := e.reach[from]; known != nil {
		return known
	}
	seen := map[int32]bool{}
	work := []int32{from}
	for len(work) > 0 {
		block := work[len(work)-1]
		work = work[:len(work)-1]
		for _, edge := range e.m.Edges(&e.blocks[block]) {
			if !seen[edge.To] {
				seen[edge.To] = true
				work = append(work, edge.To)
			}
		}
	}
	e.reach[from] = seen
	return seen
}

// add notes an event, once for each place and set of locks.
func (t *tracer) add(s *state, ev Event) {
	if len(t.events.List) >= maxEvents {
		t.events.Unknown |= WhyStates
		return
	}
	key := ""
	for _, part := range append([]*Expr{ev.Place, ev.Value}, ev.Args...) {
		if part != nil {
			key += part.str
		}
		key += "\x00"
	}
	ev.Held = t.named(s)
	for _, lock := range ev.Held {
		key += lock.Kind.String() + lock.Name.str + "\x00"
	}
	if ev.Kind == EventTake {
		ev.Compared = t.compared(s)
		for _, c := range ev.Compared {
			key += c.Less.str + "<" + c.More.str + "\x00"
		}
		key += ev.Lock.String()
	}
	if t.once("event", hex(ev.Site), string([]byte{byte(ev.Kind)}), key) {
		ev.Block = t.block0
		t.events.List = append(t.events.List, ev)
	}
}

// named lists the locks that are held.
func (t *tracer) named(s *state) (list []HeldLock) {
	for i := range s.locks {
		if hold := &s.locks[i]; hold.n > 0 && !hold.kind.Context() {
			list = append(list, HeldLock{hold.kind, t.naming.expr(hold.name)})
		}
	}
	slices.SortFunc(list, func(a, b HeldLock) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name.str, b.Name.str))
	})
	return list
}

// compared lists what a state says of values that were compared with each other.
func (t *tracer) compared(s *state) (list []Comparison) {
	vals := &t.w.t
	for _, known := range s.facts {
		expr := *vals.n(known.v)
		if expr.op != opBin || bin(expr.k) != binLtu && bin(expr.k) != binLt {
			continue
		}
		less, more := t.naming.expr(expr.a), t.naming.expr(expr.b)
		switch {
		case !known.set.Contains(0):
			list = append(list, Comparison{less, more})
		case !known.set.Contains(1):
			list = append(list, Comparison{more, less})
		}
	}
	return list
}

// access notes what an instruction does to memory that is not on the stack; it is
// asked before the instruction is executed.
func (t *tracer) access(s *state, in *machine.Inst) {
	walk := t.w
	if in.Op == machine.Address || in.Hint() {
		return
	}
	if in.IsString() {
		does := in.Effects()
		if does.WritesMemory() && !walk.isStackAddr(s.regs[machine.RDI]) {
			t.add(s, Event{Kind: EventWrite, Site: in.Addr, Place: t.naming.expr(s.regs[machine.RDI]),
				Value: newExpr(Expr{Op: ExprUnknown, Text: "filled"})})
		}
		return
	}
	for nth := range in.Args {
		operand := &in.Args[nth]
		if operand.Kind != machine.KindMem || operand.Mem.Seg != machine.SegNone {
			continue
		}
		where := walk.access(s, in, operand.Mem)
		if where.stack {
			continue
		}
		ev := Event{Kind: EventRead, Site: in.Addr, Place: t.naming.expr(where.addr), Size: where.size}
		if in.Writes(nth) {
			ev.Kind = EventWrite
			ev.Value, ev.By = t.stored(s, in, nth)
			ev.Atomic = in.Lock
			if ev.By != 0 && in.Lock {
				ev.Kind = EventAdd
			}
		}
		t.add(s, ev)
	}
}

// stored is the value that an instruction leaves in memory; by is the constant that it
// adds, 0 if none.
func (t *tracer) stored(s *state, in *machine.Inst, nth int) (value *Expr, by int64) {
	walk := t.w
	source := func(i int) *Expr {
		v, _ := walk.arg(s, in, i)
		return t.naming.expr(v)
	}
	constant := func(sign int64) int64 {
		if v, size := walk.arg(s, in, 1); in.Args[1].Kind != machine.KindNone {
			if imm, ok := walk.t.isConst(v); ok {
				return sign * signExt(imm, size)
			}
		}
		return 0
	}
	was := source(nth)
	var with *Expr
	text := ""
	switch in.Op {
	case machine.Move, machine.MoveZero, machine.MoveSign:
		return source(1), 0
	case machine.Exchange:
		return source(1 - nth), 0
	case machine.Increment:
		return newExpr(Expr{Op: ExprSum, Imm: 1, Args: []*Expr{was}}), 1
	case machine.Decrement:
		return newExpr(Expr{Op: ExprSum, Imm: -1, Args: []*Expr{was}}), -1
	case machine.Add, machine.ExchangeAdd:
		by, text = constant(1), "add"
	case machine.Sub:
		by, text = constant(-1), "sub"
	case machine.And:
		text = "and"
	case machine.Or:
		text = "or"
	case machine.Xor:
		text = "xor"
	case machine.BitSet, machine.BitReset, machine.BitFlip, machine.CompareExchange, machine.ShiftLeft,
		machine.ShiftRight, machine.ShiftRightArith:
		text = in.Name
	default:
		return newExpr(Expr{Op: ExprUnknown, Text: in.Name}), 0
	}
	if in.Args[1].Kind == machine.KindNone {
		return newExpr(Expr{Op: ExprCompute, Text: text, Args: []*Expr{was}}), by
	}
	with = source(1)
	return newExpr(Expr{Op: ExprCompute, Text: text, Args: []*Expr{was, with}}), by
}

// called notes a call, and the lock that it waits for.
func (t *tracer) called(s *state, site uint64, id model.FuncID, values args, takes []vid, kinds []Kind) {
	args := make([]*Expr, len(argReg))
	for i := range args {
		args[i] = t.naming.expr(values[i])
	}
	t.add(s, Event{Kind: EventCall, Site: site, Callee: id, Args: args})
	for i, lock := range takes {
		if t.w.isStackAddr(lock) {
			continue
		}
		t.add(s, Event{Kind: EventTake, Site: site, Callee: id, Lock: HeldLock{kinds[i], t.naming.expr(lock)}})
	}
}

// Prober finds the events of single functions of a model of which no effects on locks
// are known, as those of a whole kernel. Not safe for concurrent use.
type Prober struct{ flows *Flows }

// NewProber makes one. A result that is at hand tells what callees do to locks; nil is
// none.
func NewProber(m *model.Model, known *Result) *Prober {
	if known == nil {
		known = &Result{Model: m}
	}
	return &Prober{&Flows{Result: known, funcs: make([]*Flow, len(m.Funcs))}}
}

// Events is that of Flows.
func (p *Prober) Events(id model.FuncID) *Events { return p.flows.Events(id) }

// Exits are the blocks of the model that leave the function.
func (e *Events) Exits() (list []int32) {
	for i := range e.blocks {
		switch e.blocks[i].Term {
		case model.TermReturn, model.TermTail, model.TermCondTail:
			list = append(list, int32(i))
		}
	}
	return list
}

// Count is how often something happens on one path through a function, least and most;
// Many stands for more often than is counted, as in a loop.
type Count struct{ Least, Most int }

// Many is the highest number of a Count.
const Many = 3

// Counts finds how often each of some things happens on the paths to where the function
// returns. Things are named by the caller, for an event of each; those of one site, in
// different states, are one.
func (e *Events) Counts(name func(ev *Event) string) map[string]Count {
	per := make([]map[string]int, len(e.blocks))
	sites := map[string]bool{}
	for i := range e.List {
		what := name(&e.List[i])
		site := what + hex(e.List[i].Site)
		if what == "" || sites[site] {
			continue
		}
		sites[site] = true
		block := e.List[i].Block
		if per[block] == nil {
			per[block] = map[string]int{}
		}
		per[block][what]++
	}
	solved := flow.Forward(e.m, e.blocks, flow.Problem[map[string]Count]{
		Entry: map[string]Count{},
		Copy:  maps.Clone[map[string]Count],
		Join: func(into *map[string]Count, from map[string]Count, _ int) (changed bool) {
			return joinCounts(*into, from)
		},
		Transfer: func(s *map[string]Count, k int) {
			for what, n := range per[k] {
				have := (*s)[what]
				(*s)[what] = Count{min(have.Least+n, Many), min(have.Most+n, Many)}
			}
		},
	})
	out := map[string]Count{}
	first := true
	for _, block := range e.Exits() {
		if !solved.Reached[block] {
			continue
		}
		here := maps.Clone(solved.In[block])
		for what, n := range per[block] {
			have := here[what]
			here[what] = Count{min(have.Least+n, Many), min(have.Most+n, Many)}
		}
		if first {
			out, first = here, false
			continue
		}
		joinCounts(out, here)
	}
	return out
}

// joinCounts makes of counts what they are on either of two paths.
func joinCounts(into, from map[string]Count) (changed bool) {
	for what := range from {
		if _, known := into[what]; !known {
			into[what] = Count{}
		}
	}
	for what, have := range into {
		other := from[what]
		joined := Count{min(have.Least, other.Least), max(have.Most, other.Most)}
		changed = changed || joined != have
		into[what] = joined
	}
	return changed
}
