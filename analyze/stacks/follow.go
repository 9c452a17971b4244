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
	whole := n.a
	follow := &follower{n: n, a: whole, depth: depth, code: whole.codeOf(n.id)}
	defer func() { n.done = true }()
	if whole.forProgram(n.id) {
		n.waits = append(n.waits, whole.programWait(n.id))
	}
	if len(follow.blocks) == 0 {
		return
	}
	follow.run(0, 0, follow.entry())
	follow.collect()
}

// entry is the state at the function's entry.
func (f *follower) entry() *state {
	cur := &state{}
	for reg := range cur.known {
		cur.known[reg] = maxInt
	}
	cur.regs[convention.StackPtr] = value{kind: pointer, region: frame}
	for i, val := range f.n.with.args {
		if val.kind == pointer {
			val = value{kind: pointer, region: int8(i + 1)}
		}
		val.left = val.kind != pointer && val != value{}
		cur.regs[convention.Args[i]] = val
	}
	for _, hold := range f.n.with.mem {
		stored := hold.cell
		stored.v.left = true
		cur.mem.set(place{hold.arg + 1, hold.off}, stored)
	}
	return cur
}

// run follows all paths from an instruction of a block.
func (f *follower) run(block, from int, cur *state) {
	f.in = make([]*state, len(f.blocks))
	f.visits = make([]int, len(f.blocks))
	var work []int
	lead := func(k int, after *state) {
		for _, edge := range f.a.m.Edges(&f.blocks[k]) {
			if f.dead(k, edge.Kind, after) {
				continue
			}
			to := int(edge.To)
			if f.in[to] == nil {
				f.in[to] = after.clone()
			} else if f.visits[to] > 20 && !f.in[to].lost {
				f.in[to].lose() // so that it ends
			} else if !f.in[to].join(after, f.visits[to] > 6) {
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
		now := &f.now
		now.become(f.in[index])
		for i := range f.insns[index] {
			f.instruction(now, &f.insns[index][i], nil)
		}
		lead(index, now)
	}
}

// last is the instruction that ends a block, nil when it cannot be decoded.
func (f *follower) last(k int) *insn {
	if count := len(f.insns[k]); count > 0 {
		return &f.insns[k][count-1]
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
		for _, call := range in.calls {
			visit(call, cur)
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

	reached := whole.node(id, with)
	reached.follow(depth)
	if !reached.done || reached.with.plain() && !with.plain() {
		return outcome{}
	}
	return reached.out
}

// inKernel finds a function that is only named here in the kernel.
func (a *analysis) inKernel(id model.FuncID) (*analysis, model.FuncID) {
	if a.base == nil {
		return nil, model.NoFunc
	}
	list := a.base.m.Lookup(a.name(id))
	for _, candidate := range list {
		if a.base.reach[candidate] {
			return a.base, candidate
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
	for arg, val := range args {
		if val.kind < pointer {
			continue
		}
		size := windowOf(args, arg)
		switch {
		case !result.known || val.kind == blurred || size == 0 || result.given[arg] || !result.tracked[arg]:
			cur.give(val)
			continue
		case result.wild[arg]:
			cur.mem.drop(val.region, minInt, maxInt)
			cur.wild[val.region] = true
			continue
		}
		cur.mem.drop(val.region, val.off, val.off+size)
		for _, hold := range result.mem {
			if int(hold.arg) == arg {
				cur.mem.set(place{val.region, val.off + hold.off}, hold.cell)
			}
		}
	}
	// Arguments beyond the sixth are on the stack.
	if sp := cur.regs[convention.StackPtr]; sp.kind == pointer && params > 6 {
		for _, stored := range slices.Clone(cur.mem) {
			if stored.region == frame && stored.off >= sp.off && stored.off < sp.off+48 {
				cur.give(stored.v)
			}
		}
	}
	for reg := range cur.known {
		cur.forget(int8(reg))
	}
	for reg := range convention.Scratch.All {
		cur.regs[reg] = value{}
	}
	cur.regs[convention.Result[0]] = result.ret
	cur.flags = flags{}
}

// collect notes, of all that can be reached, where the function leads to and
// what it leaves behind.
func (f *follower) collect() {
	parent := f.n
	out := &parent.out
	out.known = true
	for i, val := range parent.with.args {
		out.tracked[i] = val.kind == pointer
	}

	// Every path is followed once more with what is settled: calls are put aside, with the state
	// that they are reached in, until all that the function leaves is known.
	type site struct {
		call      *model.Call
		reached   *state
		block, at int
	}
	var sites []site
	first := true
	for block := range f.blocks {
		if f.in[block] == nil {
			continue
		}
		cur := f.in[block].clone()
		for i := range f.insns[block] {
			insn := &f.insns[block][i]
			f.watch(cur, &insn.Inst)
			f.instruction(cur, insn, func(c *model.Call, s *state) {
				sites = append(sites, site{c, s.clone(), block, i})
			})
		}
		if f.leaves(cur, block) {
			out.end(parent.with.args[:], cur, first)
			first = false
		}
	}
	slices.SortFunc(out.mem, func(x, y held) int {
		return cmp.Or(cmp.Compare(x.arg, y.arg), cmp.Compare(x.off, y.off))
	})
	for _, from := range sites {
		if in := &f.insns[from.block][from.at]; from.call.Kind.IsTail() && in.Conditional() {
			if yes, known := from.reached.flags.holds(in.Cond); known && !yes {
				continue
			}
		}
		f.lead(from.call, from.reached, from.block, from.at)
	}
}

// leaves reports whether the function may end where a block does; a conditional jump out of it
// is followed into cur first.
func (f *follower) leaves(cur *state, block int) bool {
	source := &f.blocks[block]
	switch source.Term {
	case model.TermReturn, model.TermTail, model.TermUnknown, model.TermIndirect:
		return true
	case model.TermCondTail:
		f.made(cur, f.last(block).calls)
		return true
	case model.TermCond: // a conditional return: no edge but the one to the next block
		return !slices.ContainsFunc(f.a.m.Edges(source), func(e model.Edge) bool { return e.Kind != model.EdgeFall })
	}
	return false
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
		for _, stored := range cur.mem {
			if stored.region == arg && stored.off >= 0 && stored.end() <= val.off && stored.v.kind < pointer {
				mem = append(mem, held{int8(i), stored.off, stored.cell})
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
	for _, ours := range o.mem {
		for _, theirs := range mem {
			if ours.arg == theirs.arg && ours.off == theirs.off && ours.cell.size == theirs.cell.size {
				if ours.cell.v, _ = join(ours.cell.v, theirs.cell.v); ours.cell.v != (value{}) {
					both = append(both, ours)
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
	if watched := f.n.with.args[val.region-1].off; val.kind == blurred || val.off < 0 ||
		val.off+int64(mem.Width) > watched {
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
			for _, target := range an.kept[from.key] {
				parent.to = append(parent.to, edge{an.node(target, an.contextAt(cur, an.params(target))), tail, true,
					from.detail})
			}
		}
		return
	}

	switch primitive := an.prim[call.Target]; {
	case primitive == boundedWait:
		return
	case primitive != notPrimitive:
		if wait, ok := f.waits(call, cur, block, at); ok {
			parent.waits = append(parent.waits, wait)
		}
		return
	}

	if an.m.Func(call.Target).Flags&model.FuncExtern != 0 && an.forProgram(call.Target) {
		parent.waits = append(parent.waits, wait{in: call.Target, how: killable, sure: true, tail: tail})
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
	to := edge{tail: tail}
	if f.compared(call.Target) {
		to.pointer, to.detail = true, "a pointer that is compared with "+an.name(call.Target)
	}
	if whole != an {
		whole.mu.Lock()
		to.to = whole.node(id, with)
		whole.judge([]*node{to.to})
		whole.mu.Unlock()
		parent.to = append(parent.to, to)
		return
	}

	caller := an.node(id, with)
	to.to = caller
	parent.to = append(parent.to, to)
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
	for _, list := range f.insns {
		for i := range list {
			with := &list[i].Args[1]
			if list[i].Op == machine.Compare && with.Kind == machine.KindImm &&
				uint64(with.Imm) == f.a.m.Func(id).Addr {
				return true
			}
		}
	}
	return false
}
