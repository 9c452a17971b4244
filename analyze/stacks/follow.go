package stacks

import (
	"cmp"
	"slices"
	"strings"

	"github.com/klpforge/klpforge/analyze/machine"
	"github.com/klpforge/klpforge/analyze/model"
)

// follower follows one function.
type follower struct {
	n     *node
	a     *analysis
	depth int
	*code
	in     []*state // by block, before it; nil where no path is known to lead
	visits []int
	now    state // before the instruction that is followed
}

// follow follows the function of a node, unless that is done or under way.
func (n *node) follow(depth int) {
	if n.begun {
		return
	}
	n.begun = true
	a := n.a
	follow := &follower{n: n, a: a, depth: depth, code: a.codeOf(n.id)}
	defer func() { n.done = true }()
	if len(follow.blocks) == 0 {
		return
	}
	follow.run(0, 0, follow.entry())
	follow.collect()
}

// entry is the state at the function's entry.
func (f *follower) entry() *state {
	cur := &state{}
	for r := range cur.known {
		cur.known[r] = maxInt
	}
	cur.regs[convention.StackPtr] = value{kind: pointer, region: frame}
	for i, v := range f.n.with.args {
		if v.kind == pointer {
			v = value{kind: pointer, region: int8(i + 1)}
		}
		v.left = v.kind != pointer && v != value{}
		cur.regs[convention.Args[i]] = v
	}
	for _, h := range f.n.with.mem {
		c := h.cell
		c.v.left = true
		cur.mem.set(place{h.arg + 1, h.off}, c)
	}
	return cur
}

// run follows all paths from an instruction of a block.
func (f *follower) run(block, from int, cur *state) {
	f.in = make([]*state, len(f.blocks))
	f.visits = make([]int, len(f.blocks))
	var work []int
	lead := func(k int, after *state) {
		for _, e := range f.a.m.Edges(&f.blocks[k]) {
			if f.dead(k, e.Kind, after) {
				continue
			}
			to := int(e.To)
			if f.in[to] == nil {
				f.in[to] = after.clone()
			} else if f.visits[to] > 20 && !f.in[to].lost {
				f.in[to].lose() // so that it ends
			} else if !f.in[to].meet(after, f.visits[to] > 6) {
				continue
			}
			if !slices.Contains(work, to) {
				work = append(work, to)
			}
		}
	}
	if from == 0 {
		f.in[block] = cur
		work = append(work, block)
	} else {
		for i := range f.insns[block][from:] {
			f.instruction(cur, &f.insns[block][from+i], nil)
		}
		lead(block, cur)
	}
	for len(work) > 0 {
		index := work[0]
		work = work[1:]
		f.visits[index]++
		s := &f.now
		s.become(f.in[index])
		for i := range f.insns[index] {
			f.instruction(s, &f.insns[index][i], nil)
		}
		lead(index, s)
	}
}

// last is the instruction that ends a block, nil when it cannot be decoded.
func (f *follower) last(k int) *insn {
	if n := len(f.insns[k]); n > 0 {
		return &f.insns[k][n-1]
	}
	return nil
}

// dead reports whether a block's end surely does not lead along an edge.
func (f *follower) dead(k int, kind model.EdgeKind, cur *state) bool {
	in := f.last(k)
	if in == nil || kind != model.EdgeFall && kind != model.EdgeJump {
		return false
	}
	if !in.Conditional() {
		return false
	}
	yes, known := cur.flags.holds(in.Cond)
	return known && yes == (kind == model.EdgeFall)
}

// instruction follows one instruction; visit is told of the calls that it
// makes.
func (f *follower) instruction(cur *state, in *insn, visit func(*model.Call, *state)) {
	if visit != nil {
		for _, c := range in.calls {
			visit(c, cur)
		}
	}
	if len(in.calls) == 0 && in.Op != machine.Call {
		cur.step(&in.Inst, in.loaded)
		return
	}
	if len(in.calls) == 1 && in.calls[0].Target != model.NoFunc &&
		convention.Callee(f.a.name(in.calls[0].Target)).Changed == 0 {
		return
	}
	if !in.Conditional() { // else s is the other way's, without the tail call
		f.made(cur, in.calls)
	}
}

// made changes the state by one of some calls.
func (f *follower) made(s *state, calls []*model.Call) {
	if len(calls) == 1 {
		f.apply(s, calls[0], f.outcome(calls[0], s))
	} else {
		f.apply(s, nil, outcome{})
	}
}

// outcome is what a call leaves behind.
func (f *follower) outcome(call *model.Call, cur *state) outcome {
	an := f.a
	if call.Target == model.NoFunc || call.Interior || f.depth >= maxDepth {
		return outcome{}
	}

	// A timeout returns what is left of it, no more than it was given.
	if an.prim[call.Target] != notPrimitive {
		if an.prim[call.Target] == timedWait && !strings.Contains(an.name(call.Target), "hrtimeout") {
			val := cur.regs[convention.Args[0]]
			if val.kind == number && val.lo >= 0 {
				val = value{kind: number, lo: 0, hi: val.hi}.tidy()
			} else if val.kind == number {
				val = value{}
			}
			val.left = true
			return outcome{ret: val}
		}
		return outcome{}
	}

	// Without anything that the caller knows, what the function leaves is not worth following.
	with := an.contextAt(cur, an.params(call.Target))
	interesting := len(with.mem) > 0
	whole, id := an, call.Target
	if an.m.Func(id).Flags&model.FuncExtern != 0 {
		if whole, id = an.inKernel(id); whole == nil {
			return outcome{}
		}
	}
	if !interesting && (!whole.reach[id] || with.plain()) {
		return outcome{}
	}
	if whole != an {
		whole.mu.Lock()
		defer whole.mu.Unlock()
	}

	// Functions that do not wait are followed for what they leave only, less deep and if they are
	// short.
	depth := f.depth + 1
	if !whole.reach[id] {
		if depth = f.depth + maxDepth/2; len(whole.m.Blocks(id)) > maxAside {
			return outcome{}
		}
	}

	n := whole.node(id, with)
	n.follow(depth)
	if !n.done || n.with.plain() && !with.plain() {
		return outcome{}
	}
	return n.out
}

// inKernel finds a function that is only named here in the kernel.
func (a *analysis) inKernel(id model.FuncID) (*analysis, model.FuncID) {
	if a.base == nil {
		return nil, model.NoFunc
	}
	list := a.base.m.Lookup(a.name(id))
	for _, k := range list {
		if a.base.reach[k] {
			return a.base, k
		}
	}
	if len(list) == 1 {
		return a.base, list[0]
	}
	return nil, model.NoFunc
}

// apply changes the state by a call.
func (f *follower) apply(cur *state, c *model.Call, result outcome) {
	params := 7
	if c != nil {
		params = f.a.params(c.Target)
	}
	args := cur.given(params)
	for i, val := range args {
		if val.kind < pointer {
			continue
		}
		size := windowOf(args, i)
		switch {
		case !result.known || val.kind == blurred || size == 0 || result.given[i] || !result.tracked[i]:
			cur.give(val)
			continue
		case result.wild[i]:
			cur.mem.drop(val.region, minInt, maxInt)
			cur.wild[val.region] = true
			continue
		}
		cur.mem.drop(val.region, val.off, val.off+size)
		for _, h := range result.mem {
			if int(h.arg) == i {
				cur.mem.set(place{val.region, val.off + h.off}, h.cell)
			}
		}
	}
	// Arguments beyond the sixth are on the stack.
	if sp := cur.regs[convention.StackPtr]; sp.kind == pointer && params > 6 {
		for _, e := range slices.Clone(cur.mem) {
			if e.region == frame && e.off >= sp.off && e.off < sp.off+48 {
				cur.give(e.v)
			}
		}
	}
	for r := range cur.known {
		cur.forget(int8(r))
	}
	for r := range convention.Scratch.All {
		cur.regs[r] = value{}
	}
	cur.regs[convention.Result[0]] = result.ret
	cur.flags = flags{}
}

// collect notes, of all that can be reached, where the function leads to and
// what it leaves behind.
func (f *follower) collect() {
	parent, an := f.n, f.a
	in := f.in
	out := &parent.out
	out.known = true
	for i, v := range parent.with.args {
		out.tracked[i] = v.kind == pointer
	}
	first := true
	end := func(cur *state) {
		out.end(parent.with.args[:], cur, first)
		first = false
	}

	// Every path is followed once more with what is settled: calls are put aside, with the state
	// that they are reached in, until all that the function leaves is known.
	type site struct {
		c *model.Call
		s *state
		k int
		i int
	}
	var sites []site
	for block := range f.blocks {
		if in[block] == nil {
			continue
		}
		cur := in[block].clone()
		for i := range f.insns[block] {
			x := &f.insns[block][i]
			f.watch(cur, &x.Inst)
			f.instruction(cur, x, func(c *model.Call, s *state) {
				sites = append(sites, site{c, s.clone(), block, i})
			})
		}
		b := &f.blocks[block]
		edges := an.m.Edges(b)
		jumps := slices.ContainsFunc(edges, func(e model.Edge) bool { return e.Kind != model.EdgeFall })
		switch b.Term {
		case model.TermReturn, model.TermTail, model.TermUnknown, model.TermIndirect:
			end(cur)
		case model.TermCondTail:
			f.made(cur, f.last(block).calls)
			end(cur)
		case model.TermCond:
			if !jumps {
				end(cur)
			}
		}
	}
	slices.SortFunc(out.mem, func(x, y held) int {
		return cmp.Or(cmp.Compare(x.arg, y.arg), cmp.Compare(x.off, y.off))
	})
	for _, from := range sites {
		if from.c.Kind.IsTail() {
			if in := &f.insns[from.k][from.i]; in.Conditional() {
				if yes, known := from.s.flags.holds(in.Cond); known && !yes {
					continue
				}
			}
		}
		f.lead(from.c, from.s, from.k, from.i)
	}
}

// end takes in how one path leaves the function: what it returns, and the numbers that it leaves
// behind the pointers that the function was given. first tells that it is the first such path.
func (o *outcome) end(given []value, cur *state, first bool) {
	var mem []held
	for i, val := range given {
		arg := int8(i + 1)
		if val.kind != pointer {
			continue
		}
		o.given[i] = o.given[i] || cur.known[arg] < maxInt
		o.wild[i] = o.wild[i] || cur.wild[arg]
		for _, e := range cur.mem {
			if e.region == arg && e.off >= 0 && e.end() <= val.off && e.v.kind < pointer {
				mem = append(mem, held{int8(i), e.off, e.cell})
			}
		}
	}
	ret := cur.regs[convention.Result[0]]
	if ret.kind >= pointer {
		ret = value{}
	}

	// What differs between paths is not known to the caller.
	if first {
		o.ret, o.mem = ret, mem
		return
	}
	o.ret, _ = join(o.ret, ret)
	var both []held
	for _, x := range o.mem {
		for _, y := range mem {
			if x.arg == y.arg && x.off == y.off && x.cell.size == y.cell.size {
				if x.cell.v, _ = join(x.cell.v, y.cell.v); x.cell.v != (value{}) {
					both = append(both, x)
				}
			}
		}
	}
	o.mem = both
}

// watch notes writes to what an argument points to beyond what belongs to it.
func (f *follower) watch(s *state, in *machine.Inst) {
	mem, ok := destination(in)
	if !ok {
		return
	}
	val := s.address(mem)
	if in.Op == machine.StringMove || in.Op == machine.StringStore {
		val = val.onward()
	}
	if val.kind < pointer || val.region == frame {
		return
	}
	if w := f.n.with.args[val.region-1].off; val.kind == blurred || val.off < 0 || val.off+int64(mem.Width) > w {
		f.n.out.wild[val.region-1] = true
	}
}

// lead notes where one call leads to.
func (f *follower) lead(call *model.Call, cur *state, block, at int) {
	parent, an := f.n, f.a
	tail := call.Kind.IsTail()

	// Through a pointer that is kept under a key: to all functions that are kept there.
	if call.Target == model.NoFunc {
		if from, ok := an.keyAt[call.Site]; ok {
			for _, t := range an.kept[from.key] {
				parent.to = append(parent.to, edge{an.node(t, an.contextAt(cur, an.params(t))), tail, true,
					from.detail})
			}
		}
		return
	}

	switch p := an.prim[call.Target]; {
	case p == boundedWait:
		return
	case p != notPrimitive:
		if w, ok := f.waits(call, cur, block, at); ok {
			parent.waits = append(parent.waits, w)
		}
		return
	}

	// An object's calls into the kernel lead to the kernel's own analysis, which decides at once.
	whole, id := an, call.Target
	if an.m.Func(id).Flags&model.FuncExtern != 0 {
		if whole, id = an.inKernel(id); whole == nil {
			return
		}
	}
	if !whole.reach[id] {
		return
	}
	with := an.contextAt(cur, an.params(call.Target))
	if whole != an {
		whole.mu.Lock()
		k := whole.node(id, with)
		whole.judge([]*node{k})
		whole.mu.Unlock()
		parent.to = append(parent.to, edge{to: k, tail: tail, pointer: f.compared(call.Target),
			detail: "a pointer that is compared with " + an.name(call.Target)})
		return
	}

	caller := an.node(id, with)
	e := edge{to: caller, tail: tail}
	if f.compared(call.Target) {
		e.pointer, e.detail = true, "a pointer that is compared with "+an.name(call.Target)
	}
	parent.to = append(parent.to, e)
	if !caller.with.plain() {
		if caller.follow(f.depth + 1); caller.done && caller.out.timed && f.rearmed(call, cur, block, at) {
			parent.waits = append(parent.waits, wait{in: id, how: "again and again", tail: tail})
		}
	}
}

// compared reports whether the function compares something with a function's
// address: then a direct call of it stands for one through a pointer
// (INDIRECT_CALL_1, include/linux/indirect_call_wrapper.h, v6.1).
func (f *follower) compared(id model.FuncID) bool {
	for _, l := range f.insns {
		for i := range l {
			with := &l[i].Args[1]
			if l[i].Op == machine.Compare && with.Kind == machine.KindImm && uint64(with.Imm) == f.a.m.Func(id).Addr {
				return true
			}
		}
	}
	return false
}
