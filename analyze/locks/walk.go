package locks

import (
	"cmp"
	"container/heap"
	"slices"

	"github.com/klpforge/klpforge/analyze/machine"
	"github.com/klpforge/klpforge/analyze/model"
)

// Limits of the analysis of one function.
const (
	maxStates      = 20 // per block
	maxGuesses     = 6  // of these, when the new one rests on a guess
	maxSplit       = 6
	maxSplitBlocks = 160
	maxJoins       = 24      // of one state, before facts that still change are dropped
	maxWork        = 400_000 // instructions executed
	maxOutcomes    = 12
)

// walker analyses one function at a time; each worker has its own.
type walker struct {
	a      *analysis
	m      *model.Model
	t      values
	strict bool // memory may change at every call
	split  int  // states per block and set of locks

	fn model.FuncID
	// decoded is 1 + the function that blocks, order and live are of.
	decoded model.FuncID
	blocks  []block
	source  []int32 // block -> that of the model, of which it is a part
	order   []int32 // block -> number in reverse postorder
	live    []machine.RegSet
	in      [][]*state
	calls   map[uint64]*model.Call
	locs    map[cell]int32 // stack and memory locations that phis stand for
	queue   blockQueue
	queued  []bool
	exits   []Outcome
	why     Why
	guess   bool // Effect.Assumed
	work    int
	age     int32 // order number of the block being executed

	// origins are noted where they are asked for (Events), else nil.
	origins *origins

	sp, dead     vid
	preemptCount uint64
	stableGS     map[uint64]bool
}

// block is a basic block of the function, or the part of one up to a call
// that may return in several states, so that these are joined at once.
type block struct {
	code  []machine.Inst
	edges []model.Edge
	term  model.Term
	last  uint64
}

type blockQueue struct {
	order []int32
	list  []int32
}

func (q *blockQueue) Len() int           { return len(q.list) }
func (q *blockQueue) Less(i, j int) bool { return q.order[q.list[i]] < q.order[q.list[j]] }
func (q *blockQueue) Swap(i, j int)      { q.list[i], q.list[j] = q.list[j], q.list[i] }
func (q *blockQueue) Push(x any)         { q.list = append(q.list, x.(int32)) }
func (q *blockQueue) Pop() any {
	last := q.list[len(q.list)-1]
	q.list = q.list[:len(q.list)-1]
	return last
}

// analyse returns the effect of a function, given those of its callees.
func (w *walker) analyse(fn model.FuncID) *Effect {
	w.strict, w.split = true, 1
	w.decoded = 0
	effect := w.once(fn)
	if effect.Neutral() && effect.Unknown == 0 {
		return effect
	}
	if effect.Unknown&(WhyAmbiguous|WhyStates) == 0 && !effect.Conditional() {
		return effect
	}
	// Perhaps only because a condition in memory is read again after a call:
	// assume that such conditions do not change meanwhile. And perhaps because
	// "a && b" is tested twice, and the paths on which it does not hold were
	// joined: keep some of those apart.
	for _, split := range []int{1, maxSplit} {
		w.strict, w.split = false, split
		if split > 1 && (len(w.blocks) > maxSplitBlocks || effect.Unknown&WhyStates != 0) {
			break
		}
		if e2 := w.once(fn); better(e2, effect) {
			e2.Assumed = true
			effect = e2
		}
		if effect.Unknown&(WhyAmbiguous|WhyStates) == 0 && !effect.Conditional() {
			break
		}
	}
	return effect
}

// better reports whether a leaves less open than b.
func better(a, b *Effect) bool {
	if (a.Unknown == 0) != (b.Unknown == 0) {
		return a.Unknown == 0
	}
	if a.Unknown&^WhyCallee != b.Unknown&^WhyCallee {
		return a.Unknown&^WhyCallee < b.Unknown&^WhyCallee
	}
	if a.Neutral() != b.Neutral() {
		return a.Neutral()
	}
	if ours, theirs := a.unsure(), b.unsure(); ours != theirs {
		return ours < theirs
	}
	return len(a.Outcomes) < len(b.Outcomes)
}

func (w *walker) once(fn model.FuncID) *Effect {
	w.prepare(fn)
	effect := &Effect{Func: fn}
	if len(w.blocks) > 0 {
		entry := &state{esc: escNone, ep: 1, sep: 2, epAge: -1, sepAge: -1}
		for i := range entry.regs {
			entry.regs[i] = w.t.entry(machine.Num(i))
		}
		for i := len(argReg); i < maxArgs; i++ {
			entry.put(cell{w.sp, int64(8 + 8*(i-len(argReg))), 8, w.t.param(i)})
		}
		entry.dirty = true
		w.in[0] = []*state{entry}
		w.push(0)
		for w.queue.Len() > 0 {
			block := heap.Pop(&w.queue).(int32)
			w.queued[block] = false
			w.age = w.order[block]
			for i := 0; i < len(w.in[block]); i++ {
				if now := w.in[block][i]; now.dirty {
					now.dirty = false
					w.run(block, 0, now.clone())
				}
			}
			if w.work > maxWork {
				w.why |= WhyStates
				break
			}
		}
	}
	if w.m.Func(fn).Unknown() {
		w.why |= WhyFlow
	}
	effect.Outcomes = w.settle()
	effect.Assumed = w.guess
	finish(effect, w.a.types.returns(w.m.Func(fn).Name))
	effect.Unknown |= w.why
	w.exits = nil
	return effect
}

func (w *walker) push(b int32) {
	if !w.queued[b] {
		w.queued[b] = true
		heap.Push(&w.queue, b)
	}
}

func (w *walker) prepare(fn model.FuncID) {
	kern := w.m
	w.t.reset()
	w.fn = fn
	w.sp = w.t.entry(stackReg)
	w.dead = w.t.opaque(0, -1, -1)
	w.calls = map[uint64]*model.Call{}
	calls := kern.Calls(fn)
	for i := range calls {
		if call := &calls[i]; call.Kind != model.CallAlt && w.calls[call.Site] == nil {
			w.calls[call.Site] = call
		}
	}
	if w.decoded != fn+1 {
		w.cutBlocks()
		w.orderBlocks()
		w.liveness()
		w.decoded = fn + 1
	}
	w.in = make([][]*state, len(w.blocks))
	w.queued = make([]bool, len(w.blocks))
	w.queue = blockQueue{order: w.order}
	w.locs = map[cell]int32{}
	w.exits, w.why, w.guess, w.work = nil, 0, false, 0
	w.t.grown = nil
	if w.origins != nil {
		w.origins = newOrigins()
		w.t.grown = func(n node, k bin, a, b vid) { w.origins.record(n, binNames[k], a, b) }
	}
}

// cutBlocks decodes the function's blocks and cuts them after calls that fork.
func (w *walker) cutBlocks() {
	kern := w.m
	src := kern.Blocks(w.fn)
	decoded := kern.Code(src)
	first := make([]int32, len(src)) // number of the first part of each block
	w.blocks, w.source = w.blocks[:0], w.source[:0]
	for i := range src {
		source := &src[i]
		first[i] = int32(len(w.blocks))
		cur := block{}
		rest := decoded[i]
		for k := 0; k < len(rest); k++ {
			if in := &rest[k]; in.Op == machine.Call && in.Addr != source.Last && w.forks(in.Addr) {
				cur.code, rest, k = rest[:k+1], rest[k+1:], -1
				cur.term, cur.last = model.TermFall, in.Addr
				w.blocks, w.source = append(w.blocks, cur), append(w.source, int32(i))
				cur = block{}
			}
		}
		cur.code, cur.term, cur.last = rest, source.Term, source.Last
		w.blocks, w.source = append(w.blocks, cur), append(w.source, int32(i))
	}
	for at := range src {
		end := int32(len(w.blocks))
		if at+1 < len(src) {
			end = first[at+1]
		}
		for k := first[at]; k < end-1; k++ {
			w.blocks[k].edges = []model.Edge{{To: k + 1, Kind: model.EdgeFall}}
		}
		for _, edge := range kern.Edges(&src[at]) {
			w.blocks[end-1].edges = append(w.blocks[end-1].edges, model.Edge{To: first[edge.To], Kind: edge.Kind})
		}
	}
}

// forks reports whether a call may return in more than one state.
func (w *walker) forks(site uint64) bool {
	call := w.calls[site]
	if call == nil || call.Target == model.NoFunc {
		return false
	}
	if primitive := w.a.prims[call.Target]; primitive != nil {
		return primitive.on != always
	}
	effect := w.a.effects[call.Target]
	return effect != nil && len(effect.Outcomes) > 1
}

// orderBlocks numbers the blocks in reverse postorder.
func (w *walker) orderBlocks() {
	count := len(w.blocks)
	w.order = make([]int32, count)
	for i := range w.order {
		w.order[i] = -1
	}
	next := int32(count)
	seen := make([]bool, count)
	type frame struct{ b, e int32 }
	for root := range w.blocks {
		if seen[root] {
			continue
		}
		stack := []frame{{int32(root), 0}}
		seen[root] = true
		for len(stack) > 0 {
			top := &stack[len(stack)-1]
			edges := w.blocks[top.b].edges
			if int(top.e) == len(edges) {
				next--
				w.order[top.b] = next
				stack = stack[:len(stack)-1]
				continue
			}
			to := edges[top.e].To
			top.e++
			if !seen[to] {
				seen[to] = true
				stack = append(stack, frame{to, 0})
			}
		}
	}
}

// run executes a block from its i-th instruction and passes the results on.
func (w *walker) run(b int32, i int, s *state) {
	bl := &w.blocks[b]
	code := bl.code
	for ; i < len(code); i++ {
		in := &code[i]
		w.work++
		last := i == len(code)-1
		if in.Op == machine.Call {
			if last && bl.term == model.TermNoReturn {
				return
			}
			out := w.call(s, in)
			if len(out) == 0 {
				return
			}
			for _, after := range out[1:] {
				w.run(b, i+1, after)
			}
			s = out[0]
			continue
		}
		if last && (transfers(in.Op) && bl.term != model.TermFall || bl.term == model.TermReturn) {
			break
		}
		w.step(s, in)
	}
	w.finishBlock(b, s)
}

func transfers(op machine.Op) bool {
	switch op {
	case machine.Jump, machine.JumpIf, machine.Return, machine.SystemReturn:
		return true
	}
	return false
}

// finishBlock does what the end of a block does, and passes the state on to where it
// leads.
func (w *walker) finishBlock(b int32, s *state) {
	bl := &w.blocks[b]
	if w.leaves(bl, s) {
		return
	}
	br := w.branchOf(bl, s)

	// A conditional jump out of the function, and a conditional return, which is a jump
	// to a return thunk.
	switch {
	case bl.term == model.TermCondTail:
		if taken := br.side(true); taken != nil {
			w.tail(taken, bl.last)
		}
	case bl.term == model.TermCond && len(bl.edges) == 1 && br.conditional && bl.edges[0].Kind == model.EdgeFall:
		if taken := br.side(true); taken != nil {
			w.exit(taken)
		}
	}
	conditional := bl.term == model.TermCond || bl.term == model.TermCondTail
	for _, edge := range bl.edges {
		var next *state
		switch {
		case edge.Kind == model.EdgeFall && conditional:
			next = br.side(false)
		case edge.Kind == model.EdgeJump && bl.term == model.TermCond:
			next = br.side(true)
		default:
			next = br.copy()
		}
		if next != nil {
			w.pass(b, edge.To, next)
		}
	}
}

// leaves ends a block that leaves the function; false when it goes on within it.
func (w *walker) leaves(bl *block, s *state) bool {
	switch bl.term {
	case model.TermReturn:
		w.exit(s)
		return true
	case model.TermNoReturn:
		return true
	case model.TermUnknown:
		w.why |= WhyFlow
		return true
	case model.TermTail:
		w.tail(s, bl.last)
		return len(bl.edges) == 0
	case model.TermIndirect:
		if len(bl.edges) == 0 {
			w.indirectTail(s, bl.last)
			return true
		}
	}
	return false
}

// branch hands out the state at the end of a block to the edges that leave it.
type branch struct {
	w           *walker
	s           *state
	left        int  // edges that still need the state: the last one gets it, the others copies
	conditional bool // the block ends in a conditional jump
	known       bool // the condition is, and is pred
	pred        pred
	// restoring: it is local_irq_restore, compiled inline.
	restoring bool
}

func (w *walker) branchOf(bl *block, s *state) *branch {
	br := &branch{w: w, s: s, left: len(bl.edges)}
	if count := len(bl.code); count > 0 {
		if last := &bl.code[count-1]; last.Conditional() {
			br.conditional = true
			br.pred, br.known = w.condition(s, last.Cond)
		}
	}
	br.restoring = br.known && w.restoring(bl, br.pred)
	if bl.term == model.TermCondTail || bl.term == model.TermCond && len(bl.edges) == 1 {
		br.left++ // for the side that leaves the function
	}
	return br
}

func (br *branch) copy() *state {
	if br.left--; br.left == 0 {
		return br.s
	}
	return br.s.clone()
}

// side is the state when the condition holds, or does not; nil when that cannot be.
func (br *branch) side(holds bool) *state {
	side := br.copy()
	if !br.known {
		return side
	}
	set := br.pred.set
	if !holds {
		set = set.complement(br.pred.size)
	}
	if !br.w.t.assume(side, br.pred.v, br.pred.size, set) {
		return nil
	}
	if br.restoring && !set.Contains(interruptFlag) {
		br.w.t.change(side, IRQ, 0, -1)
	}
	return side
}

// restoring recognises local_irq_restore compiled inline: interrupts are
// enabled when the saved flag is set, and left alone when it is not; both put
// the flag back.
func (w *walker) restoring(bl *block, p pred) bool {
	vals := &w.t
	expr := vals.n(p.v)
	if expr.op == opExt {
		expr = vals.n(expr.a)
	}
	if expr.op != opBin || bin(expr.k) != binAnd {
		return false
	}
	if mask, ok := vals.isConst(expr.b); !ok || mask != interruptFlag || vals.n(expr.a).op == opFlags {
		return false
	}
	for _, edge := range bl.edges {
		set := p.set
		if edge.Kind == model.EdgeFall {
			set = set.complement(p.size)
		}
		if !set.Contains(interruptFlag) {
			continue
		}
		to := &w.blocks[edge.To]
		for i := range to.code {
			in := &to.code[i]
			if in.Op == machine.EnableInterrupts {
				return true
			}
			if in.Op == machine.Call {
				call := w.calls[in.Addr]
				if call == nil || call.Target == model.NoFunc {
					return false
				}
				pr := w.a.prims[call.Target]
				return pr != nil && len(pr.steps) == 1 && pr.steps[0] == step{kind: IRQ, delta: -1}
			}
		}
	}
	return false
}

// pass hands a state to a block and joins it with what has reached it before.
func (w *walker) pass(from, to int32, s *state) {
	live := w.live[to]
	for i := range s.regs {
		if live&(1<<i) == 0 {
			s.regs[i] = w.dead
		}
	}
	if w.order[to] <= w.order[from] {
		w.ageState(s, w.order[to], to)
	}
	same := 0
	for _, have := range w.in[to] {
		if sameLocks(have, s) {
			if same++; same < w.split && !(sameFacts(have.facts, s.facts) && w.sameResult(have, s)) {
				continue
			}
			if w.join(to, have, s) && !have.dirty {
				have.dirty = true
			}
			if have.dirty {
				w.push(to)
			}
			return
		}
	}
	if same > 0 {
		s.dirty = true
		s.joins = 0
		w.in[to] = append(w.in[to], s)
		w.push(to)
		return
	}
	for _, have := range w.in[to] {
		if ok, changed := w.unify(to, have, s); ok {
			if changed || have.dirty {
				have.dirty = true
				w.push(to)
			}
			return
		}
	}
	if s.guessed && len(w.in[to]) >= maxGuesses {
		w.why |= WhyCallee
		return
	}
	if len(w.in[to]) >= maxStates {
		w.why |= WhyStates
		return
	}
	s.dirty = true
	s.joins = 0
	w.in[to] = append(w.in[to], s)
	w.push(to)
}

// sameResult reports whether as much is known in two states of what may
// become the returned value.
func (w *walker) sameResult(e, s *state) bool {
	had, has := e.regs[retReg], s.regs[retReg]
	return had == has || w.t.known(e, had, 8).Equal(w.t.known(s, has, 8))
}

// ageState renames what was computed in the loop that an edge closes, so that
// the next iteration's values are not confused with it.
func (w *walker) ageState(s *state, head int32, block int32) {
	vals := &w.t
	used := map[vid]bool{} // old iterations' values that are still around
	note := func(v vid) { vals.staleIn(v, used) }
	for _, val := range s.regs {
		note(val)
	}
	for _, stored := range s.mem {
		note(stored.base)
		note(stored.val)
	}
	for _, hold := range s.locks {
		note(hold.name)
	}
	memo := map[vid]vid{}
	age := func(v vid) vid { return w.aged(v, head, used, memo) }
	for i := range s.regs {
		s.regs[i] = age(s.regs[i])
	}
	for i := range s.mem {
		s.mem[i].val = age(s.mem[i].val)
	}
	s.mem = slices.DeleteFunc(s.mem, func(c cell) bool { return vals.age[c.base] >= head })
	var facts []fact
	for _, known := range s.facts {
		val := age(known.v)
		if val != known.v {
			if expr := vals.n(val); expr.op == opConst || expr.op == opStale && expr.k >= maxStale {
				continue
			}
		}
		facts = append(facts, fact{val, known.size, known.set})
	}
	slices.SortStableFunc(facts, compareFact)
	s.facts = slices.CompactFunc(facts, func(a, b fact) bool { return compareFact(a, b) == 0 })
	s.flags = flags{}
	for i := range s.dropped {
		s.dropped[i].name = age(s.dropped[i].name)
	}
	slices.SortFunc(s.dropped, func(a, b held) int { return cmp.Or(compareHeld(a, b), int(a.n)-int(b.n)) })
	s.dropped = slices.CompactFunc(s.dropped, func(a, b held) bool { return compareHeld(a, b) == 0 })
	s.outs = slices.DeleteFunc(s.outs, func(c cell) bool { return vals.age[c.base] >= head || vals.age[c.val] >= head })
	changed := false
	for i := range s.locks {
		if name := age(s.locks[i].name); name != s.locks[i].name {
			s.locks[i].name = name
			changed = true
		}
	}
	if changed {
		w.normaliseLocks(s)
	}
	if w.strict { // others may have changed what this iteration has seen
		s.ep, s.epAge, s.fields = -(block + 10), head, nil
	}
}

// maxStale is how many values of one expression from earlier iterations are
// told apart; the last stands for all others.
const maxStale = 3

// aged is v with what the loop computes replaced by what it was in the
// iteration that ends.
func (w *walker) aged(v vid, head int32, used map[vid]bool, memo map[vid]vid) vid {
	vals := &w.t
	if vals.age[v] < head {
		return v
	}
	if done, ok := memo[v]; ok {
		return done
	}
	expr := *vals.n(v)
	leaf := func(v vid) vid {
		kind := int32(0)
		for kind < maxStale && used[vals.stale(v, kind)] {
			kind++
		}
		return vals.stale(v, kind)
	}
	var older vid
	switch expr.op {
	case opAdd:
		older = vals.addImm(w.aged(expr.a, head, used, memo), expr.imm)
	case opBin:
		older = vals.bin(bin(expr.k), w.aged(expr.a, head, used, memo), w.aged(expr.b, head, used, memo), uint64(v), -1)
	case opExt:
		older = vals.ext(w.aged(expr.a, head, used, memo), expr.size, expr.k == 1)
	case opLoad:
		inner := w.aged(expr.a, head, used, memo)
		if vals.depth[inner] >= maxDepth {
			older = leaf(vals.opaque(uint64(head), 62, head))
			break
		}
		older = leaf(vals.add(node{op: opLoad, a: inner, size: expr.size, k: expr.k, ep: expr.ep}, head,
			vals.depth[inner]+1))
	case opSet:
		cond := vals.preds[expr.imm]
		cond.v = w.aged(cond.v, head, used, memo)
		older = vals.set(cond)
	default:
		older = leaf(v)
	}
	memo[v] = older
	return older
}

// staleIn collects the values from earlier iterations that occur in v.
func (t *values) staleIn(v vid, into map[vid]bool) {
	for {
		switch expr := t.n(v); expr.op {
		case opStale:
			into[v] = true
			v = expr.a
		case opAdd, opLoad, opExt:
			v = expr.a
		case opBin:
			t.staleIn(expr.b, into)
			v = expr.a
		case opSet:
			v = t.preds[expr.imm].v
		default:
			return
		}
	}
}

// normaliseLocks sorts and merges entries after renaming.
func (w *walker) normaliseLocks(s *state) {
	slices.SortStableFunc(s.locks, compareHeld)
	out := s.locks[:0]
	for _, hold := range s.locks {
		if count := len(out); count > 0 && compareHeld(out[count-1], hold) == 0 {
			out[count-1].n = max(-2, min(2, out[count-1].n+hold.n))
			continue
		}
		out = append(out, hold)
	}
	s.locks = slices.DeleteFunc(out, func(h held) bool { return h.n == 0 })
}

// loc numbers a memory location for phis.
func (w *walker) loc(c cell) int32 {
	c.val = 0
	if loc, ok := w.locs[c]; ok {
		return loc
	}
	loc := int32(nregs + len(w.locs))
	w.locs[c] = loc
	return loc
}

// unify merges two states whose locks differ only in the name of one or two,
// when some register or slot holds the lock's owner in both: the lock of what
// p points to, whichever that is.
func (w *walker) unify(b int32, e, s *state) (ok, changed bool) {
	if len(e.locks) != len(s.locks) || len(e.locks) == 0 {
		return false, false
	}
	onlyE, onlyS := notIn(e.locks, s.locks), notIn(s.locks, e.locks)
	if len(onlyE) != len(onlyS) || len(onlyE) == 0 || len(onlyE) > 2 {
		return false, false
	}

	// One name for both has to be found for every lock before any is renamed.
	var names []vid
	for k, at := range onlyE {
		had, has := &e.locks[at], &s.locks[onlyS[k]]
		if had.kind != has.kind || had.n != has.n || had.name == 0 {
			return false, false
		}
		name := w.ownedBy(b, e, s, had.name, has.name)
		if name < 0 {
			return false, false
		}
		names = append(names, name)
	}
	for k, name := range names {
		had, has := &e.locks[onlyE[k]], &s.locks[onlyS[k]]
		changed = changed || had.name != name
		had.name, has.name = name, name
	}
	slices.SortStableFunc(e.locks, compareHeld)
	slices.SortStableFunc(s.locks, compareHeld)
	return true, w.join(b, e, s) || changed
}

// notIn lists the places in locks of those that are not among others.
func notIn(locks, others []held) []int {
	var out []int
	for i, hold := range locks {
		if !slices.ContainsFunc(others, func(h held) bool {
			return h.kind == hold.kind && h.name == hold.name && h.n == hold.n
		}) {
			out = append(out, i)
		}
	}
	return out
}

// ownedBy returns the name, after block b began, of a lock that is named had in state e and has
// in state s, by a register or a slot that holds its owner in both; -1 if none does.
func (w *walker) ownedBy(b int32, e, s *state, had, has vid) vid {
	vals := &w.t
	hadBase, hadOff := vals.split(had)
	hasBase, hasOff := vals.split(has)
	name := vid(-1)
	try := func(inE, inS vid, loc int32) {
		if name >= 0 || inE == inS {
			return
		}
		baseE, offE := vals.split(vals.stripped(inE))
		baseS, offS := vals.split(vals.stripped(inS))
		if baseE == hadBase && baseS == hasBase && hadOff-offE == hasOff-offS {
			name = vals.addImm(vals.phi(b, loc, w.order[b]), hadOff-offE)
		}
	}
	for reg := range e.regs {
		if machine.Num(reg) != stackReg {
			try(e.regs[reg], s.regs[reg], int32(reg))
		}
	}
	for _, stored := range e.mem {
		if val, exact, ok := s.get(stored.base, stored.off, stored.size); ok && exact {
			try(stored.val, val, w.loc(stored))
		}
	}
	return name
}
