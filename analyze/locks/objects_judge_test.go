package locks

import (
	"cmp"
	"fmt"
	"maps"
	"math/bits"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/klpforge/klpforge/analyze/machine"
	"github.com/klpforge/klpforge/analyze/model"
)

// treeLock is a lock of a node, or the global one, with its kind.
type treeLock struct {
	kind Kind
	at   int64
}

// treeCall is an activation of a function, with what it has done with locks so far.
type treeCall struct {
	fn    int
	count int64 // the preempt count at entry
	// beyond: it was changed twice, and perhaps by more between two calls, which an effect cannot
	// say.
	beyond bool
	args   [4]int64
	locks  map[treeLock]int
	// dropped are locks that were released before they were taken.
	dropped map[treeLock]bool
	calls   map[string]int   // own ones, by the function called
	last    *Event           // the last own one
	before  map[treeLock]int // locks when that was made
}

// change notes that a lock was taken or released. Disabling interrupts twice is the same as
// once. A lock that is free was not taken before.
func (c *treeCall) change(lock treeLock, delta int, free bool) {
	if lock.kind == IRQ {
		if c.locks[lock] = max(-1, min(1, c.locks[lock]+delta)); c.locks[lock] == 0 {
			delete(c.locks, lock)
		}
		return
	}
	c.locks[lock] += delta
	if free && delta < 0 && c.locks[lock] < 0 && !lock.kind.Context() {
		c.dropped[lock] = true
	}
	if c.locks[lock] == 0 && !c.dropped[lock] {
		delete(c.locks, lock)
	}
}

// counts notes the preempt count: bits 0 to 7, and 9 to 15 for bottom halves
// (include/linux/preempt.h, v6.1).
func (c *treeCall) counts(now int64) {
	for kind, change := range map[Kind]int64{Preempt: now&0xff - c.count&0xff, BH: now>>9&0x7f - c.count>>9&0x7f} {
		if delete(c.locks, treeLock{kind, 0}); change != 0 {
			c.locks[treeLock{kind, 0}] = int(change)
			c.beyond = c.beyond || change >= 2 || change <= -2
		}
	}
}

// treeJudge compares what functions do with what is found of them.
type treeJudge struct {
	t         *testing.T
	m         *model.Model
	res       *Result
	flows     *Flows
	events    []*Events
	ran       map[uint64]bool // calls that were made, by their sites
	ids       []model.FuncID
	source    string
	global    uint64 // addresses
	percpu    uint64
	seen      map[string]bool // complaints
	witnessed map[string]bool // what was found and has happened
	checked   int
	excused   int // what involves a lock that is not named
	guessed   int // what is not as it was assumed to be
	exact     int // arguments of calls that can be computed
	inexact   int
	always    int // locks held wherever a function is entered
}

// Places that are no nodes, and the root of the running task's tree.
const (
	globalPlace = 1
	percpuPlace = 2
	currentRoot = 3 << 28
)

// child is where a pointer of a node leads to.
func child(at int64) (int64, bool) {
	tree, off := at>>28, at&(1<<28-1)
	field := (off%nodeSize - childAt) / 8
	if tree < 1 || tree > 3 || off%nodeSize < childAt || field > 2 {
		return 0, false
	}
	return tree<<28 + (3*(off/nodeSize)+field+1)*nodeSize, true
}

// place is where a path leads to, from the arguments of an activation.
func (j *treeJudge) place(path Path, args [4]int64) (int64, bool) {
	if path.Root == RootGlobal {
		return globalPlace, path.Addr == j.global
	}
	if path.Root == RootPercpu {
		return percpuPlace, path.Addr == j.percpu
	}
	if path.Root != RootCurrent && (path.Root != RootArg || path.Arg > 3) {
		return 0, false
	}
	at := int64(currentRoot)
	if path.Root == RootArg {
		at = args[path.Arg]
	}
	for i, off := range path.Offs {
		if i > 0 {
			to, ok := child(at)
			if !ok {
				return 0, false
			}
			at = to
		}
		at += off
	}
	return at, true
}

// lockPlace is where a lock lies, 0 for a state of the CPU.
func (j *treeJudge) lockPlace(lock Lock, args [4]int64) (int64, bool) {
	if lock.Kind.Context() {
		return 0, true
	}
	return j.place(lock.Path, args)
}

// complain reports one fault of each kind for a function. Where the effect rests on an
// assumption, it may be wrong; that it is must be seldom.
func (j *treeJudge) complain(call *treeCall, format string, args ...any) {
	if call.beyond {
		return
	}
	if j.res.Effect(j.ids[call.fn]).Assumed {
		j.guessed++
		return
	}
	key := fmt.Sprint(call.fn, format)
	if j.seen[key] || len(j.seen) > 12 {
		return
	}
	j.seen[key] = true
	name := fmt.Sprintf("f%d", call.fn)
	j.t.Errorf("%s(%#x, %#x, %d, %d): %s\n%s%s", name, call.args[0], call.args[1], call.args[2], call.args[3],
		fmt.Sprintf(format, args...), Describe(j.m, j.res.Effect(j.ids[call.fn])), code(j.source, name))
}

func admitsArgs(when []Cond, args [4]int64) bool {
	for _, cond := range when {
		if cond.Arg < 4 && !cond.In.Contains(signExt(args[cond.Arg], cond.Size)) {
			return false
		}
	}
	return true
}

// is reports whether a lock that was found is one that was met.
func (j *treeJudge) is(found Lock, met treeLock, args [4]int64) bool {
	at, ok := j.place(found.Path, args)
	return ok && at == met.at && found.Kind == met.kind
}

// site finds what was noted of a call; named says whether all that it involves, with the first
// args of its arguments, has a name.
func (j *treeJudge) site(call *treeCall, off uint64, args int) (list []*CallAt, named bool) {
	flow := j.flows.Flow(j.ids[call.fn])
	site := j.m.Func(j.ids[call.fn]).Addr + off
	named = true
	for i := range flow.Calls {
		at := &flow.Calls[i]
		if at.Site != site {
			continue
		}
		list = append(list, at)
		for _, arg := range at.Args[:args] {
			named = named && arg.Known()
		}
		for _, held := range at.Held {
			named = named && held.Path.Known()
		}
	}
	return list, named
}

// called checks a call that an activation makes itself: the callee, the locks held there, and
// the addresses that it passes. Args are those, and numbers where a function of ours is called.
func (j *treeJudge) called(call *treeCall, off uint64, callee string, args []int64) {
	j.event(call, off, callee, args)
	args = args[:min(len(args), 2)]
	list, named := j.site(call, off, len(args))
	if !named {
		j.excused++
		return
	}
	j.checked++
	for _, at := range list {
		if j.m.Func(at.Callee).Name != callee {
			j.complain(call, "a call of %s at %#x is said to go to %s", callee, off, j.m.Func(at.Callee).Name)
		}
		sum := map[treeLock]int{}
		for _, held := range at.Held {
			if place, ok := j.lockPlace(held, call.args); ok {
				if root := held.Path.Root; root == RootArg || root == RootGlobal {
					if spelled, ok := j.value(j.flows.Expr(held.Path), call.args); !ok || !slices.Equal(spelled, []int64{place}) {
						j.complain(call, "%v is spelled %v", held, j.flows.Expr(held.Path))
					}
				}
				sum[treeLock{held.Kind, place}]++
			}
		}
		same := true
		for lock, count := range call.locks {
			same = same && (count > 0) == (sum[lock] > 0)
			delete(sum, lock)
		}
		for i, arg := range args {
			place, ok := j.place(at.Args[i], call.args)
			same = same && ok && place == arg
		}
		if same && len(sum) == 0 {
			j.witnessed[fmt.Sprint("call ", call.fn, at.Site, at.Held)] = true
			return
		}
	}
	j.complain(call, "the call of %s%v at %#x holds %v, not among %+v", callee, args, off, call.locks, list)
}

// kin is the offset of a lock in a node that is reached from an argument, 0 for others: by it
// locks are told apart that may be the same.
func kin(at int64) int64 {
	if at < 1<<28 || at >= currentRoot {
		return 0
	}
	return at % nodeSize
}

// clear reports whether no path to the call that is under way may have taken a lock like one,
// at the same place of another node: then releasing it means one held at entry.
func (j *treeJudge) clear(call *treeCall, lock treeLock) bool {
	events := j.events[call.fn]
	for i := range events.List {
		ev := &events.List[i]
		if ev.Kind != EventCall || call.last == nil || !events.Before(ev, call.last) {
			continue
		}
		name := j.m.Func(ev.Callee).Name
		if !strings.Contains(name, "lock") {
			if name != "work" && name != "give" && name != "__fentry__" {
				return false
			}
			continue
		}
		at, ok := j.value(ev.Args[0], call.args)
		if !strings.Contains(name, "unlock") && (!ok || kin(at[0]) == kin(lock.at)) {
			return false
		}
	}
	return call.last != nil
}

// plain reports whether all that a function drops has a name, so that its callers know.
func (j *treeJudge) plain(call *treeCall) bool {
	e := j.res.Effect(j.ids[call.fn])
	for i := range e.Outcomes {
		for _, drop := range e.Outcomes[i].Dropped {
			if !drop.Path.Known() {
				return false
			}
		}
	}
	return !e.Assumed && e.Unknown == 0
}

// outer checks that what a callee waits for is, in the caller's terms, the same lock; and that
// what is always held where it is entered, and what the caller says is held in its terms, is.
// Nothing around the outermost call holds a lock.
func (j *treeJudge) outer(from *treeCall, off uint64, callee, outermost *treeCall) {
	list, named := j.site(from, off, 2)
	if !named {
		return
	}
	met := false
	for _, at := range list {
		for _, taken := range j.flows.Flow(j.ids[callee.fn]).Takes {
			lock, ok := at.Outer(taken.Lock)
			if !ok {
				continue
			}
			inside, known := j.place(taken.Path, callee.args)
			if outside, ok := j.place(lock.Path, from.args); known && (!ok || inside != outside || lock.Kind != taken.Kind) {
				j.complain(from, "%v of f%d is %v at %#x", taken.Lock, callee.fn, lock, at.Site)
			}
		}
		all := true
		for _, lock := range at.As {
			place, ok := j.lockPlace(lock, callee.args)
			all = all && (!ok || from.locks[treeLock{lock.Kind, place}] > 0)
		}
		met = met || all
	}
	if !met {
		j.complain(from, "f%d is entered at %#x with %v held, not as is said", callee.fn, off, from.locks)
	}
	if j.open(j.ids[outermost.fn]) {
		for _, lock := range j.flows.Entry(j.ids[callee.fn], j.open) {
			j.always++
			if place, ok := j.place(lock.Path, callee.args); ok && outermost.locks[treeLock{lock.Kind, place}] <= 0 {
				j.complain(callee, "is entered without %v, from f%d", lock, from.fn)
			}
		}
	}
}

// open reports a function that no other calls.
func (j *treeJudge) open(id model.FuncID) bool {
	for range j.m.Callers(id) {
		return false
	}
	return true
}

// event checks that a call is among the events, with what it passes as an expression, and
// behind the call before.
func (j *treeJudge) event(call *treeCall, off uint64, callee string, args []int64) {
	events := j.events[call.fn]
	j.ran[j.m.Func(j.ids[call.fn]).Addr+off] = true
	call.calls[callee]++
	call.before = maps.Clone(call.locks)
	if events.Unknown != 0 {
		return
	}
	site := j.m.Func(j.ids[call.fn]).Addr + off
	said := ""
	for i := range events.List {
		ev := &events.List[i]
		if ev.Kind != EventCall || ev.Site != site {
			continue
		}
		fits := j.m.Func(ev.Callee).Name == callee
		held := map[treeLock]int{}
		for _, lock := range ev.Held {
			if at, ok := j.value(lock.Name, call.args); ok && len(at) == 1 {
				held[treeLock{lock.Kind, at[0]}]++
			} else {
				held = nil
				break
			}
		}
		if held != nil {
			for lock, count := range call.locks {
				fits = fits && (lock.kind.Context() || (count > 0) == (held[lock] > 0))
				delete(held, lock)
			}
			fits = fits && len(held) == 0
		}
		for k, arg := range args {
			values, ok := j.value(ev.Args[k], call.args)
			if ok {
				j.exact++
			} else {
				j.inexact++
			}
			fits = fits && (!ok || slices.Contains(values, arg))
			said += fmt.Sprintf(" %s = %v", ev.Args[k], values)
		}
		if !fits {
			continue
		}
		if call.last != nil && !events.Before(call.last, ev) {
			j.complain(call, "the call at %#x does not come behind that at %#x", ev.Site, call.last.Site)
		}
		call.last = ev
		return
	}
	j.complain(call, "the call of %s%v at %#x with %v held is no event:%s", callee, args, off, call.locks, said)
}

// value evaluates an expression: what it may be. ok is false where it is of numbers in memory,
// or of what is not known.
func (j *treeJudge) value(e *Expr, args [4]int64) (list []int64, ok bool) {
	switch e.Op {
	case ExprConst:
		return []int64{e.Imm}, true
	case ExprSymbol:
		if e.Text == "percpu_lock" {
			return []int64{percpuPlace + e.Imm}, true
		}
		return []int64{globalPlace + e.Imm}, e.Text == "global_lock"
	case ExprPercpu:
		if e.isCurrent() {
			return []int64{currentRoot}, true
		}
		return []int64{0}, e.Args[0].Text == "this_cpu_off"
	case ExprArg:
		if e.Imm < 4 {
			return args[e.Imm : e.Imm+1], true
		}
		return nil, false
	case ExprEither:
		for _, part := range e.Args {
			values, ok := j.value(part, args)
			if !ok {
				return nil, false
			}
			list = append(list, values...)
		}
		return list, true
	case ExprSum, ExprLoad, ExprEach, ExprLow:
		inner, ok := j.value(e.Args[0], args)
		if !ok {
			return nil, false
		}
		for _, v := range inner {
			switch e.Op {
			case ExprSum:
				list = append(list, v+e.Imm)
			case ExprLow:
				list = append(list, zeroExt(v, e.Size))
			case ExprLoad:
				to, ok := child(v)
				if !ok || e.Size != 8 {
					return nil, false
				}
				list = append(list, to)
			case ExprEach: // from where the first pointer lies
				at := v - e.Imm
				for range 3 {
					to, ok := child(at + e.Imm)
					if !ok {
						return nil, false
					}
					list, at = append(list, to), to
				}
			}
		}
		return list, true
	case ExprCompute:
		return j.computed(e, args)
	}
	return nil, false
}

// computed evaluates an operation, of all that its operands may be.
func (j *treeJudge) computed(e *Expr, args [4]int64) (list []int64, ok bool) {
	first, ok := j.value(e.Args[0], args)
	second := []int64{0}
	if ok && len(e.Args) > 1 {
		second, ok = j.value(e.Args[1], args)
	}
	do, known := map[string]func(a, b int64) int64{
		"add": func(a, b int64) int64 { return a + b }, "sub": func(a, b int64) int64 { return a - b },
		"and": func(a, b int64) int64 { return a & b }, "or": func(a, b int64) int64 { return a | b },
		"xor": func(a, b int64) int64 { return a ^ b }, "mul": func(a, b int64) int64 { return a * b },
		"imul": func(a, b int64) int64 { return a * b }, "shl": func(a, b int64) int64 { return a << (b & 63) },
		"shr": func(a, b int64) int64 { return int64(uint64(a) >> (b & 63)) }, "sar": func(a, b int64) int64 { return a >> (b & 63) },
		"rol":   func(a, b int64) int64 { return int64(bits.RotateLeft64(uint64(a), int(b))) },
		"bswap": func(a, _ int64) int64 { return int64(bits.ReverseBytes64(uint64(a))) },
		"btr":   func(a, b int64) int64 { return a &^ (1 << (b & 63)) },
	}[e.Text]
	if !ok || !known || len(first)*len(second) > 64 {
		if len(e.Args) == 2 && ok && (e.Text == "min" || e.Text == "max") { // of numbers with a sign or without
			return append(slices.Clone(first), second...), true
		}
		return nil, false
	}
	for _, a := range first {
		for _, b := range second {
			list = append(list, do(a, b))
		}
	}
	return list, true
}

// counted checks how often an activation has called each function.
func (j *treeJudge) counted(call *treeCall) {
	events := j.events[call.fn]
	if events.Unknown != 0 {
		return
	}
	counts := events.Counts(func(ev *Event) string {
		if ev.Kind != EventCall {
			return ""
		}
		return j.m.Func(ev.Callee).Name
	})
	for name, count := range counts {
		times := call.calls[name]
		if name != "__fentry__" && (times < count.Least || times > count.Most && count.Most < Many) {
			j.complain(call, "calls %s %d times, want %+v", name, times, count)
		}
	}
}

// takes checks that a lock that is waited for, by a call with so many arguments, is known to
// be, with all that are held. It is false where the lock has no name, so that callers cannot
// know of it.
func (j *treeJudge) takes(call *treeCall, off uint64, lock treeLock, args int) bool {
	flow := j.flows.Flow(j.ids[call.fn])
	_, named := j.site(call, off, args)
	if !named || flow.Unknown != 0 {
		j.excused++
		return false
	}
	j.checked++
	named = false
	for i := range flow.Takes {
		if taken := &flow.Takes[i]; j.is(taken.Lock, lock, call.args) && admitsArgs(taken.When, call.args) {
			j.witnessed[fmt.Sprint("take ", call.fn, taken.Lock, taken.When, taken.Retaken)] = true
			named = true
		}
	}
	if !named {
		j.complain(call, "%v is taken at %#x, and is not among %+v", lock, off, flow.Takes)
	}
	for held, count := range call.locks {
		if count <= 0 || held.kind.Context() {
			continue
		}
		found := false
		if held == lock && call.before[lock] <= 0 {
			continue // the callee's business
		}
		if held == lock {
			for i := range flow.Again {
				found = found || j.is(flow.Again[i].Lock, lock, call.args)
			}
		}
		for i := range flow.Orders {
			order := &flow.Orders[i]
			if j.is(order.First, held, call.args) && j.is(order.Second, lock, call.args) && admitsArgs(order.When, call.args) {
				j.witnessed[fmt.Sprint("order ", call.fn, order.First, order.Second, order.When)] = true
				found = true
			}
		}
		if !found {
			j.complain(call, "%v is taken at %#x with %v held, which is not said", lock, off, held)
		}
	}
	return named
}

// returned checks that what an activation did is among the outcomes.
func (j *treeJudge) returned(call *treeCall, ret int64) {
	e := j.res.Effect(j.ids[call.fn])
	unnamed := e.Unknown&(WhyStates|WhyFlow|WhyCallee) != 0
	for i := range e.Outcomes {
		outcome := &e.Outcomes[i]
		sum := map[treeLock]int{}
		fits := admitsArgs(outcome.When, call.args)
		for _, change := range outcome.Changes {
			at, ok := j.lockPlace(change.Lock, call.args)
			unnamed = unnamed || !change.Path.Known()
			fits = fits && ok
			sum[treeLock{change.Kind, at}] += int(change.Delta)
		}
		for lock, count := range call.locks {
			fits = fits && max(-2, min(2, count)) == sum[lock]
			delete(sum, lock)
			if call.dropped[lock] && count >= 0 {
				dropped := false
				for _, drop := range outcome.Dropped {
					dropped = dropped || j.is(drop.Lock, lock, call.args)
					unnamed = unnamed || !drop.Path.Known()
				}
				fits = fits && dropped
			}
		}
		if fits && len(sum) == 0 && (outcome.RetArg < 0 || ret == call.args[outcome.RetArg]) &&
			(e.Assumed || outcome.Ret.B4.Contains(signExt(ret, 4)) && outcome.Ret.B8.Contains(ret)) {
			j.witnessed[fmt.Sprint("outcome ", call.fn, i)] = true
			return
		}
	}
	if unnamed {
		j.excused++
		return
	}
	j.checked++
	j.complain(call, "returns %d with %v: no outcome", ret, call.locks)
}

// jump is where a function jumps to another one.
func (j *treeJudge) jump(fn int) uint64 {
	id := j.ids[fn]
	for _, block := range j.m.Blocks(id) {
		if block.Term == model.TermTail {
			return block.Last - j.m.Func(id).Addr
		}
	}
	j.t.Fatalf("f%d does not jump away", fn)
	return 0
}

// run reads what one call of a function from outside did.
func (j *treeJudge) run(lines []string) {
	calls := map[int64]*treeCall{}
	var last int64
	for _, line := range lines {
		fields := strings.Fields(line)
		number := func(i int) int64 {
			n, err := strconv.ParseInt(fields[i], 10, 64)
			if err != nil {
				j.t.Fatalf("%s: %v", line, err)
			}
			return n
		}
		around := func(i int, each func(*treeCall, uint64, bool)) {
			for first := i; i < len(fields); i += 2 {
				call := calls[number(i)]
				off := uint64(number(i + 1))
				if number(i+1) < 0 { // a jump at the end
					off = j.jump(call.fn)
				}
				call.counts(number(1))
				each(call, off, i == first)
			}
		}
		switch what := fields[0]; what {
		case "enter":
			last = number(2)
			call := &treeCall{fn: int(number(3)), count: number(1), locks: map[treeLock]int{}, dropped: map[treeLock]bool{}, calls: map[string]int{}}
			for i := range call.args {
				call.args[i] = number(4 + i)
			}
			calls[last] = call
			around(8, func(from *treeCall, off uint64, own bool) {
				if own {
					j.called(from, off, fmt.Sprintf("f%d", call.fn), call.args[:])
					j.outer(from, off, call, calls[0])
				}
			})
		case "work", "give":
			around(2, func(from *treeCall, off uint64, own bool) {
				if own {
					j.called(from, off, what, nil)
				}
			})
		case "exit":
			calls[0].counts(number(1))
			j.returned(calls[0], number(2))
			j.counted(calls[0])
		default:
			delta := int(number(2))
			lock := treeLock{Spin, number(3)}
			if strings.HasPrefix(what, "mutex") {
				lock.kind = Mutex
			}
			named := delta > 0 && !strings.HasSuffix(what, "trylock")
			stuck, free := false, true
			around(4, func(from *treeCall, off uint64, own bool) {
				if own {
					j.called(from, off, what, []int64{lock.at})
				}
				if named {
					named = j.takes(from, off, lock, map[bool]int{true: 1, false: 2}[own])
				}
				stuck = stuck || delta > 0 && from.locks[lock] > 0
				free = free && j.clear(from, lock)
				from.change(lock, delta, free)
				free = free && j.plain(from)
				if strings.HasSuffix(what, "_irq") {
					from.change(treeLock{IRQ, 0}, delta, false)
				}
			})
			if stuck {
				return // for ever
			}
		}
	}
}

// memory checks what is said of the memory that a function uses: in every block that is
// reached, each operand in a node of its arguments, and no operand that is none. Lists are
// in order of their sites.
func (j *treeJudge) memory(fn int) (checked int) {
	id := j.ids[fn]
	flow, events := j.flows.Flow(id), j.events[fn]
	if !slices.IsSortedFunc(flow.Accesses, func(a, b Access) int { return cmp.Compare(a.Site, b.Site) }) ||
		!slices.IsSortedFunc(flow.Calls, func(a, b CallAt) int { return cmp.Compare(a.Site, b.Site) }) ||
		!slices.IsSortedFunc(flow.Takes, func(a, b Taken) int { return cmp.Compare(a.Site, b.Site) }) ||
		!slices.IsSortedFunc(flow.Orders, func(a, b Order) int { return cmp.Compare(a.Site, b.Site) }) ||
		!slices.IsSortedFunc(flow.Again, func(a, b Again) int { return cmp.Compare(a.Site, b.Site) }) ||
		!slices.IsSortedFunc(events.List, func(a, b Event) int { return cmp.Compare(a.Site, b.Site) }) {
		j.t.Errorf("f%d: a list is not in order of its sites", fn)
	}
	use := map[uint64]machine.Mem{}
	blocks := j.m.Blocks(id)
	for k, code := range j.m.Code(blocks) {
		reached := slices.ContainsFunc(code, func(in machine.Inst) bool { return in.Op == machine.Call && j.ran[in.Addr] }) ||
			slices.ContainsFunc(events.List, func(ev Event) bool { return ev.Block == int32(k) }) ||
			slices.ContainsFunc(flow.Accesses, func(a Access) bool { return blocks[k].Start <= a.Site && a.Site < blocks[k].End })
		for i := range code {
			in := &code[i]
			for n := range in.Args {
				mem := in.Args[n].Mem
				if in.Args[n].Kind != machine.KindMem || mem.Base == machine.RSP || in.Op == machine.Address {
					continue
				}
				use[in.Addr] = mem
				arg, ok := map[machine.Num]int8{machine.RBX: 0, machine.R12: 1}[mem.Base]
				if !ok || !reached {
					continue
				}
				checked++
				write := in.Writes(n)
				if !slices.ContainsFunc(flow.Accesses, func(a Access) bool {
					return a.Site == in.Addr && a.Size == uint8(mem.Width) && a.Write == write && a.Path.Root == RootArg && a.Path.Arg == arg && slices.Equal(a.Path.Offs, []int64{mem.Disp})
				}) {
					j.t.Errorf("f%d: %s at %#x is no access to argument %d", fn, in.Name, in.Addr-j.m.Func(id).Addr, arg)
				}
				if !slices.ContainsFunc(events.List, func(ev Event) bool {
					kind := EventRead
					if write {
						kind = EventWrite
					}
					adds := in.Lock && (in.Op == machine.Increment || in.Op == machine.Add && in.Args[1].Imm != 0)
					if adds {
						kind = EventAdd
					}
					by := int64(1)
					if in.Op == machine.Add {
						by = in.Args[1].Imm
					}
					return ev.Site == in.Addr && ev.Kind == kind && ev.Size == uint8(mem.Width) && ev.Block == int32(k) && ev.Atomic == in.Lock &&
						ev.Place.String() == fmt.Sprintf("arg%d%+#x", arg, mem.Disp) && (!adds || ev.By == by)
				}) && events.Unknown == 0 {
					j.t.Errorf("f%d: %s at %#x is no event on argument %d", fn, in.Name, in.Addr-j.m.Func(id).Addr, arg)
				}
			}
		}
	}
	for _, access := range flow.Accesses {
		if mem, ok := use[access.Site]; !ok || uint16(access.Size) != mem.Width || access.Path.Root == RootNone || !access.Path.Known() {
			j.t.Errorf("f%d: there is no access %+v", fn, access)
		}
	}
	return checked
}
