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
	f := &follower{n: n, a: a, depth: depth, code: a.codeOf(n.id)}
	defer func() { n.done = true }()
	if len(f.blocks) == 0 {
		return
	}
	f.run(0, 0, f.entry())
	f.collect()
}

// entry is the state at the function's entry.
func (f *follower) entry() *state {
	s := &state{}
	for r := range s.known {
		s.known[r] = maxInt
	}
	s.regs[convention.StackPtr] = value{kind: pointer, region: frame}
	for i, v := range f.n.with.args {
		if v.kind == pointer {
			v = value{kind: pointer, region: int8(i + 1)}
		}
		v.left = v.kind != pointer && v != value{}
		s.regs[convention.Args[i]] = v
	}
	for _, h := range f.n.with.mem {
		c := h.cell
		c.v.left = true
		s.mem.set(place{h.arg + 1, h.off}, c)
	}
	return s
}

// run follows all paths from an instruction of a block.
func (f *follower) run(block, from int, s *state) {
	f.in = make([]*state, len(f.blocks))
	f.visits = make([]int, len(f.blocks))
	var work []int
	lead := func(k int, s *state) {
		for _, e := range f.a.m.Edges(&f.blocks[k]) {
			if f.dead(k, e.Kind, s) {
				continue
			}
			to := int(e.To)
			if f.in[to] == nil {
				f.in[to] = s.clone()
			} else if f.visits[to] > 20 && !f.in[to].lost {
				f.in[to].lose() // so that it ends
			} else if !f.in[to].meet(s, f.visits[to] > 6) {
				continue
			}
			if !slices.Contains(work, to) {
				work = append(work, to)
			}
		}
	}
	if from == 0 {
		f.in[block] = s
		work = append(work, block)
	} else {
		for i := range f.insns[block][from:] {
			f.instruction(s, &f.insns[block][from+i], nil)
		}
		lead(block, s)
	}
	for len(work) > 0 {
		k := work[0]
		work = work[1:]
		f.visits[k]++
		s := &f.now
		s.become(f.in[k])
		for i := range f.insns[k] {
			f.instruction(s, &f.insns[k][i], nil)
		}
		lead(k, s)
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
func (f *follower) dead(k int, kind model.EdgeKind, s *state) bool {
	in := f.last(k)
	if in == nil || kind != model.EdgeFall && kind != model.EdgeJump {
		return false
	}
	if !in.Conditional() {
		return false
	}
	yes, known := s.flags.holds(in.Cond)
	return known && yes == (kind == model.EdgeFall)
}

// instruction follows one instruction; visit is told of the calls that it
// makes.
func (f *follower) instruction(s *state, in *insn, visit func(*model.Call, *state)) {
	if visit != nil {
		for _, c := range in.calls {
			visit(c, s)
		}
	}
	if len(in.calls) == 0 && in.Op != machine.Call {
		s.step(&in.Inst, in.loaded)
		return
	}
	if len(in.calls) == 1 && in.calls[0].Target != model.NoFunc && convention.Callee(f.a.name(in.calls[0].Target)).Changed == 0 {
		return
	}
	if !in.Conditional() { // else s is the other way's, without the tail call
		f.made(s, in.calls)
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
func (f *follower) outcome(c *model.Call, s *state) outcome {
	a := f.a
	if c.Target == model.NoFunc || c.Interior || f.depth >= maxDepth {
		return outcome{}
	}
	if a.prim[c.Target] != notPrimitive {
		if a.prim[c.Target] == timedWait && !strings.Contains(a.name(c.Target), "hrtimeout") {
			v := s.regs[convention.Args[0]]
			if v.kind == number && v.lo >= 0 {
				v = value{kind: number, lo: 0, hi: v.hi}.tidy()
			} else if v.kind == number {
				v = value{}
			}
			v.left = true
			return outcome{ret: v}
		}
		return outcome{}
	}
	with := a.contextAt(s, a.params(c.Target))
	interesting := len(with.mem) > 0
	o, id := a, c.Target
	if a.m.Func(id).Flags&model.FuncExtern != 0 {
		if o, id = a.inKernel(id); o == nil {
			return outcome{}
		}
	}
	if !interesting && (!o.reach[id] || with.plain()) {
		return outcome{}
	}
	if o != a {
		o.mu.Lock()
		defer o.mu.Unlock()
	}
	depth := f.depth + 1
	if !o.reach[id] {
		if depth = f.depth + maxDepth/2; len(o.m.Blocks(id)) > maxAside {
			return outcome{}
		}
	}
	n := o.node(id, with)
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
func (f *follower) apply(s *state, c *model.Call, o outcome) {
	params := 7
	if c != nil {
		params = f.a.params(c.Target)
	}
	args := s.given(params)
	for i, v := range args {
		if v.kind < pointer {
			continue
		}
		w := windowOf(args, i)
		switch {
		case !o.known || v.kind == blurred || w == 0 || o.given[i] || !o.tracked[i]:
			s.give(v)
			continue
		case o.wild[i]:
			s.mem.drop(v.region, minInt, maxInt)
			s.wild[v.region] = true
			continue
		}
		s.mem.drop(v.region, v.off, v.off+w)
		for _, h := range o.mem {
			if int(h.arg) == i {
				s.mem.set(place{v.region, v.off + h.off}, h.cell)
			}
		}
	}
	// Arguments beyond the sixth are on the stack.
	if sp := s.regs[convention.StackPtr]; sp.kind == pointer && params > 6 {
		for _, e := range slices.Clone(s.mem) {
			if e.region == frame && e.off >= sp.off && e.off < sp.off+48 {
				s.give(e.v)
			}
		}
	}
	for r := range s.known {
		s.forget(int8(r))
	}
	for r := range convention.Scratch.All {
		s.regs[r] = value{}
	}
	s.regs[convention.Result[0]] = o.ret
	s.flags = flags{}
}

// collect notes, of all that can be reached, where the function leads to and
// what it leaves behind.
func (f *follower) collect() {
	n, a := f.n, f.a
	in := f.in
	out := &n.out
	out.known = true
	for i, v := range n.with.args {
		out.tracked[i] = v.kind == pointer
	}
	first := true
	end := func(s *state) {
		var mem []held
		for i := range n.with.args {
			v := n.with.args[i]
			r := int8(i + 1)
			if v.kind != pointer {
				continue
			}
			out.given[i] = out.given[i] || s.known[r] < maxInt
			out.wild[i] = out.wild[i] || s.wild[r]
			for _, e := range s.mem {
				if e.region == r && e.off >= 0 && e.end() <= v.off && e.v.kind < pointer {
					mem = append(mem, held{int8(i), e.off, e.cell})
				}
			}
		}
		ret := s.regs[convention.Result[0]]
		if ret.kind >= pointer {
			ret = value{}
		}
		if first {
			first, out.ret, out.mem = false, ret, mem
			return
		}
		out.ret, _ = join(out.ret, ret)
		var both []held
		for _, x := range out.mem {
			for _, y := range mem {
				if x.arg == y.arg && x.off == y.off && x.cell.size == y.cell.size {
					if x.cell.v, _ = join(x.cell.v, y.cell.v); x.cell.v != (value{}) {
						both = append(both, x)
					}
				}
			}
		}
		out.mem = both
	}
	type site struct {
		c *model.Call
		s *state
		k int
		i int
	}
	var sites []site
	for k := range f.blocks {
		if in[k] == nil {
			continue
		}
		s := in[k].clone()
		for i := range f.insns[k] {
			x := &f.insns[k][i]
			f.watch(s, &x.Inst)
			f.instruction(s, x, func(c *model.Call, s *state) {
				sites = append(sites, site{c, s.clone(), k, i})
			})
		}
		b := &f.blocks[k]
		edges := a.m.Edges(b)
		jumps := slices.ContainsFunc(edges, func(e model.Edge) bool { return e.Kind != model.EdgeFall })
		switch b.Term {
		case model.TermReturn, model.TermTail, model.TermUnknown, model.TermIndirect:
			end(s)
		case model.TermCondTail:
			f.made(s, f.last(k).calls)
			end(s)
		case model.TermCond:
			if !jumps {
				end(s)
			}
		}
	}
	slices.SortFunc(out.mem, func(x, y held) int { return cmp.Or(cmp.Compare(x.arg, y.arg), cmp.Compare(x.off, y.off)) })
	for _, x := range sites {
		if x.c.Kind.IsTail() {
			if in := &f.insns[x.k][x.i]; in.Conditional() {
				if yes, known := x.s.flags.holds(in.Cond); known && !yes {
					continue
				}
			}
		}
		f.lead(x.c, x.s, x.k, x.i)
	}
}

// watch notes writes to what an argument points to beyond what belongs to it.
func (f *follower) watch(s *state, in *machine.Inst) {
	m, ok := destination(in)
	if !ok {
		return
	}
	v := s.address(m)
	if in.Op == machine.StringMove || in.Op == machine.StringStore {
		v = v.onward()
	}
	if v.kind < pointer || v.region == frame {
		return
	}
	if w := f.n.with.args[v.region-1].off; v.kind == blurred || v.off < 0 || v.off+int64(m.Width) > w {
		f.n.out.wild[v.region-1] = true
	}
}

// lead notes where one call leads to.
func (f *follower) lead(c *model.Call, s *state, block, at int) {
	n, a := f.n, f.a
	tail := c.Kind.IsTail()
	if c.Target == model.NoFunc {
		if from, ok := a.keyAt[c.Site]; ok {
			for _, t := range a.kept[from.key] {
				n.to = append(n.to, edge{a.node(t, a.contextAt(s, a.params(t))), tail, true, from.detail})
			}
		}
		return
	}
	switch p := a.prim[c.Target]; {
	case p == boundedWait:
		return
	case p != notPrimitive:
		if w, ok := f.waits(c, s, block, at); ok {
			n.waits = append(n.waits, w)
		}
		return
	}
	o, id := a, c.Target
	if a.m.Func(id).Flags&model.FuncExtern != 0 {
		if o, id = a.inKernel(id); o == nil {
			return
		}
	}
	if !o.reach[id] {
		return
	}
	with := a.contextAt(s, a.params(c.Target))
	if o != a {
		o.mu.Lock()
		k := o.node(id, with)
		o.judge([]*node{k})
		o.mu.Unlock()
		n.to = append(n.to, edge{to: k, tail: tail, pointer: f.compared(c.Target), detail: "a pointer that is compared with " + a.name(c.Target)})
		return
	}
	k := a.node(id, with)
	e := edge{to: k, tail: tail}
	if f.compared(c.Target) {
		e.pointer, e.detail = true, "a pointer that is compared with "+a.name(c.Target)
	}
	n.to = append(n.to, e)
	if !k.with.plain() {
		if k.follow(f.depth + 1); k.done && k.out.timed && f.rearmed(c, s, block, at) {
			n.waits = append(n.waits, wait{in: id, how: "again and again", tail: tail})
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
