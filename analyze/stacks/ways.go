package stacks

import (
	"cmp"
	"encoding/binary"
	"slices"
	"strings"

	"github.com/cilium/ebpf/btf"
	"golang.org/x/arch/x86/x86asm"

	"github.com/klpforge/klpforge/analyze/fields"
	"github.com/klpforge/klpforge/analyze/model"
)

// A way to a wait is judged with what is known of the arguments: a node is a
// function that is called with some of them known. Each is followed by itself,
// leaving out branches that its arguments forbid, and leads to the nodes that
// it calls. What leads to a wait without bound may wait.
type node struct {
	a    *analysis
	id   model.FuncID
	with context

	begun, done bool
	// found by following the function
	to    []edge
	waits []wait // its own
	out   outcome
	users []edge // turned around: to is the user
	// judged
	reach   bool
	sure    bool
	via     way
	frame   way // the first that leaves the frame on the stack
	fact    Fact
	decided bool
}

// edge leads to a node that is called.
type edge struct {
	to      *node
	tail    bool
	pointer bool
	detail  string // where the pointer comes from
}

// wait is a call of a primitive that may last.
type wait struct {
	in   model.FuncID
	how  string
	sure bool
	tail bool
}

// way is one step of a way towards a wait.
type way struct {
	next   *node
	prim   model.FuncID // for Waits
	how    Reason
	detail string
}

// context is what is known of a function's arguments, and of what those point
// to. Pointers have, as off, how many bytes of it belong to them.
type context struct {
	args [6]value
	mem  []held
}

// held is what is stored where an argument points to.
type held struct {
	arg  int8
	off  int64
	cell cell
}

func (c *context) plain() bool { return c.args == [6]value{} }

func (c *context) key(id model.FuncID) string {
	if c.plain() {
		return string(binary.LittleEndian.AppendUint32(nil, uint32(id)))
	}
	b := binary.LittleEndian.AppendUint32(nil, uint32(id))
	put := func(v value) {
		b = append(b, byte(v.kind))
		for _, x := range []uint64{v.ones, v.zeros, uint64(v.lo), uint64(v.hi), uint64(v.off)} {
			b = binary.AppendUvarint(b, x)
		}
		b = append(append(b, v.from...), 0)
	}
	for _, v := range c.args {
		put(v)
	}
	for _, h := range c.mem {
		b = append(b, byte(h.arg), byte(h.cell.size))
		b = binary.AppendVarint(b, h.off)
		put(h.cell.v)
	}
	return string(b)
}

// outcome is what a call leaves behind.
type outcome struct {
	known bool // otherwise anything may have happened
	ret   value
	mem   []held
	given [6]bool // what the argument points to is known to others
	wild  [6]bool // more of it was written to than belongs to it
	// tracked are the arguments that were known to be pointers.
	tracked [6]bool
	// timed: it waits for a time that has a bound because of its arguments.
	timed bool
}

const (
	window      = 192 // bytes of what an argument points to that are followed
	maxContexts = 64  // of one function
	maxAside    = 64  // blocks of a function that is followed only for what it leaves behind
	maxDepth    = 12  // of calls that are followed for what they leave behind; two of what does not wait
)

// node returns the node of a function with what is known of its arguments.
func (a *analysis) node(id model.FuncID, with context) *node {
	k := with.key(id)
	if n := a.nodes[k]; n != nil {
		return n
	}
	if !with.plain() {
		if a.contexts[id] >= maxContexts {
			return a.node(id, context{})
		}
		a.contexts[id]++
	}
	n := &node{a: a, id: id, with: with, fact: Fact{Next: model.NoFunc}}
	a.nodes[k] = n
	return n
}

// judge finds out which nodes may wait, and what leads there.
func (a *analysis) judge(nodes []*node) {
	var all []*node
	seen := map[*node]bool{}
	add := func(n *node) {
		if n.a == a && !n.decided && !seen[n] {
			seen[n] = true
			all = append(all, n)
		}
	}
	for _, n := range nodes {
		add(n)
	}
	for i := 0; i < len(all); i++ {
		n := all[i]
		n.follow(0)
		for _, e := range n.to {
			add(e.to)
		}
	}
	for _, n := range all {
		n.users = nil
	}
	for _, n := range all {
		for _, e := range n.to {
			if seen[e.to] {
				u := e
				u.to = n
				e.to.users = append(e.to.users, u)
			}
		}
	}
	// First what is sure: direct calls of waits that surely have no bound.
	var queue []*node
	for _, sure := range []bool{true, false} {
		if !sure {
			for _, n := range all {
				if n.reach && !a.barred(n.id) {
					queue = append(queue, n) // for the pointers that lead there
				}
			}
		}
		mark := func(n *node, tail bool, w way, f Fact) {
			if !tail && n.fact.Reason == None {
				f.Sure = sure
				n.fact, n.frame = f, w
			}
			if !n.reach {
				n.reach, n.sure, n.via = true, sure, w
				if !a.barred(n.id) {
					queue = append(queue, n)
				}
			}
		}
		for _, n := range all {
			for _, w := range n.waits {
				if w.sure == sure {
					mark(n, w.tail, way{prim: w.in, how: Waits, detail: w.how}, Fact{Reason: Waits, Next: w.in, Detail: w.how})
				}
			}
			if t, ok := a.mainLoop[n.id]; ok && sure && n.with.plain() {
				mark(n, false, way{how: Loops, detail: t}, Fact{Reason: Loops, Next: model.NoFunc, Detail: t})
			}
			for _, e := range n.to {
				if e.to.decided && e.to.reach && (!sure || e.to.sure && !e.pointer) {
					a.markUser(n, e, mark)
				}
			}
		}
		for len(queue) > 0 {
			n := queue[0]
			queue = queue[1:]
			for _, u := range n.users {
				if !sure || !u.pointer {
					e := u
					e.to = n
					a.markUser(u.to, e, mark)
				}
			}
			if _, ok := a.isThread[n.id]; ok && !sure {
				for _, k := range a.m.Lookup("kthread") {
					mark(a.node(k, context{}), false, way{next: n, how: Pointer, detail: "the thread's function"}, Fact{Reason: Pointer, Next: n.id, Detail: "the thread's function"})
				}
			}
		}
	}
	for _, n := range all {
		n.decided, n.users = true, nil
	}
}

// frameWay is the way on which the function's frame stays, if there is one.
func (n *node) frameWay() way {
	if n.fact.Reason != None {
		return n.frame
	}
	return n.via
}

// markUser marks a node that calls one that may wait.
func (a *analysis) markUser(n *node, e edge, mark func(*node, bool, way, Fact)) {
	next := e.to.id
	if e.to.a != a {
		next = model.NoFunc // of another model
	}
	how := Calls
	if e.pointer {
		how = Pointer
	}
	w := way{next: e.to, how: how, detail: e.detail}
	if e.tail {
		w.how, w.detail = None, ""
	}
	mark(n, e.tail, w, Fact{Reason: how, Next: next, Detail: e.detail})
}

// follower follows one function.
type follower struct {
	n      *node
	a      *analysis
	depth  int
	blocks []model.Block
	code   [][]model.Inst
	calls  map[uint64][]*model.Call
	loads  map[uint64]string
	in     []*state
	visits []int
	cyclic []bool // blocks that can be reached again from themselves
}

// follow follows the function of a node, unless that is done or under way.
func (n *node) follow(depth int) {
	if n.begun {
		return
	}
	n.begun = true
	a := n.a
	f := &follower{n: n, a: a, depth: depth, blocks: a.m.Blocks(n.id), calls: map[uint64][]*model.Call{}}
	defer func() { n.done = true }()
	if len(f.blocks) == 0 {
		return
	}
	f.code = make([][]model.Inst, len(f.blocks))
	for k := range f.blocks {
		f.code[k] = slices.Collect(a.m.Instructions(&f.blocks[k]))
	}
	calls := a.m.Calls(n.id)
	for i := range calls {
		f.calls[calls[i].Site] = append(f.calls[calls[i].Site], &calls[i])
	}
	f.loads = a.loadsOf(n.id)
	f.run(0, 0, f.entry())
	f.collect()
}

// entry is the state at the function's entry.
func (f *follower) entry() *state {
	s := &state{mem: map[place]cell{}}
	for r := range s.known {
		s.known[r] = maxInt
	}
	s.regs[4] = value{kind: pointer, region: frame}
	for i, v := range f.n.with.args {
		if v.kind == pointer {
			v = value{kind: pointer, region: int8(i + 1)}
		}
		v.left = v.kind != pointer && v != value{}
		s.regs[argRegs[i]] = v
	}
	for _, h := range f.n.with.mem {
		c := h.cell
		c.v.left = true
		s.mem[place{h.arg + 1, h.off}] = c
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
		for i := from; i < len(f.code[block]); i++ {
			f.instruction(s, &f.code[block][i], nil)
		}
		lead(block, s)
	}
	for len(work) > 0 {
		k := work[0]
		work = work[1:]
		f.visits[k]++
		s := f.in[k].clone()
		for i := range f.code[k] {
			f.instruction(s, &f.code[k][i], nil)
		}
		lead(k, s)
	}
}

// last is the instruction that ends a block, nil when it cannot be decoded.
func (f *follower) last(k int) *model.Inst {
	if n := len(f.code[k]); n > 0 {
		return &f.code[k][n-1]
	}
	return nil
}

// dead reports whether a block's end surely does not lead along an edge.
func (f *follower) dead(k int, kind model.EdgeKind, s *state) bool {
	in := f.last(k)
	if in == nil || kind != model.EdgeFall && kind != model.EdgeJump {
		return false
	}
	c, ok := conditional[in.Op]
	if _, jump := in.Args[0].(x86asm.Rel); !ok || !jump {
		return false
	}
	yes, known := s.flags.holds(c)
	return known && yes == (kind == model.EdgeFall)
}

// instruction follows one instruction; visit is told of the calls that it
// makes.
func (f *follower) instruction(s *state, in *model.Inst, visit func(*model.Call, *state)) {
	calls := f.calls[in.Addr]
	for _, c := range calls {
		if visit != nil {
			visit(c, s)
		}
	}
	if len(calls) == 0 && in.Op != x86asm.CALL {
		s.step(in, f.loads[in.Addr])
		return
	}
	if len(calls) == 1 && calls[0].Target != model.NoFunc && leaves[f.a.name(calls[0].Target)] {
		return
	}
	if _, ok := conditional[in.Op]; !ok { // else s is the other way's, without the tail call
		f.made(s, calls)
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

// leaves are functions that leave all registers alone.
var leaves = map[string]bool{"__fentry__": true, "preempt_schedule_thunk": true, "preempt_schedule_notrace_thunk": true}

// outcome is what a call leaves behind.
func (f *follower) outcome(c *model.Call, s *state) outcome {
	a := f.a
	if c.Target == model.NoFunc || c.Interior || f.depth >= maxDepth {
		return outcome{}
	}
	if a.prim[c.Target] != notPrimitive {
		if a.prim[c.Target] == timedWait && !strings.Contains(a.name(c.Target), "hrtimeout") {
			v := s.regs[argRegs[0]]
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
	if a.base == nil || a.base.a == nil {
		return nil, model.NoFunc
	}
	list := a.base.m.Lookup(a.name(id))
	for _, k := range list {
		if a.base.reach[k] {
			return a.base.a, k
		}
	}
	if len(list) == 1 {
		return a.base.a, list[0]
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
			s.drop(v.region, minInt, maxInt)
			s.wild[v.region] = true
			continue
		}
		s.drop(v.region, v.off, v.off+w)
		for _, h := range o.mem {
			if int(h.arg) == i {
				s.mem[place{v.region, v.off + h.off}] = h.cell
			}
		}
	}
	// Arguments beyond the sixth are on the stack.
	if sp := s.regs[4]; sp.kind == pointer && params > 6 {
		for k, x := range s.mem {
			if k.region == frame && k.off >= sp.off && k.off < sp.off+48 && x.v.kind >= pointer {
				s.give(x.v)
			}
		}
	}
	for r := range s.known {
		s.forget(int8(r))
	}
	for _, r := range scratch {
		s.regs[r] = value{}
	}
	s.regs[0] = o.ret
	s.flags = flags{}
}

// params is how many arguments a function takes; 7 when that is not known.
func (a *analysis) params(id model.FuncID) int {
	if id == model.NoFunc {
		return 7
	}
	p := a.t.Proto(a.name(id))
	if p == nil {
		return 7
	}
	if n := len(p.Params); n > 0 {
		if _, variadic := p.Params[n-1].Type.(*btf.Void); variadic {
			return 7
		}
	}
	return min(len(p.Params), 7)
}

// given are the arguments in registers that a function gets.
func (s *state) given(params int) []value {
	var out [6]value
	n := min(params, 6)
	for i, r := range argRegs[:n] {
		out[i] = s.regs[r]
	}
	return out[:n]
}

// windowOf is how many bytes of what argument i points to belong to it: not
// those that another points to. 0 when it cannot be told.
func windowOf(args []value, i int) int64 {
	v := args[i]
	if v.kind != pointer || v.region != frame && v.off < 0 {
		return 0
	}
	w := int64(window)
	if v.region == frame {
		w = min(w, -v.off) // up to the return address
	}
	for j, o := range args {
		switch {
		case j == i || o.kind < pointer || o.region != v.region:
		case o.kind == blurred, o.off == v.off:
			return 0
		case o.off > v.off:
			w = min(w, o.off-v.off)
		}
	}
	return max(w, 0)
}

// telling reports whether a number is worth knowing for a callee: a constant
// that is no address, a flag that is set, what is left of a time.
func (v value) telling() bool {
	return v.isConst() && v.lo >= -4096 || !v.isConst() && (v.ones != 0 || v.left)
}

// contextAt is what a callee is given.
func (a *analysis) contextAt(s *state, params int) context {
	var c context
	args := s.given(params)
	for i, v := range args {
		switch v.kind {
		case pointer:
			w := windowOf(args, i)
			if w == 0 {
				continue
			}
			for k, x := range s.mem {
				if k.region == v.region && k.off >= v.off && k.off+x.size <= v.off+w && (x.v.kind == number && x.v.telling() || x.v.kind == top && x.v.from != "") {
					x.v.left = false
					c.mem = append(c.mem, held{int8(i), k.off - v.off, x})
				}
			}
			c.args[i] = value{kind: pointer, off: w}
		case number:
			if !v.telling() {
				continue
			}
			v.left = false
			c.args[i] = v
		case top:
			c.args[i] = value{from: v.from}
		}
	}
	if len(c.mem) == 0 { // nothing of it is worth following
		for i := range c.args {
			if c.args[i].kind == pointer {
				c.args[i] = value{}
			}
		}
	}
	slices.SortFunc(c.mem, func(x, y held) int { return cmp.Or(cmp.Compare(x.arg, y.arg), cmp.Compare(x.off, y.off)) })
	return c
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
			for k, c := range s.mem {
				if k.region == r && k.off >= 0 && k.off+c.size <= v.off && c.v.kind < pointer {
					mem = append(mem, held{int8(i), k.off, c})
				}
			}
		}
		ret := s.regs[0]
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
		for i := range f.code[k] {
			x := &f.code[k][i]
			f.watch(s, x)
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
			f.made(s, f.calls[b.Last])
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
			if cond, ok := conditional[f.code[x.k][x.i].Op]; ok {
				if yes, known := x.s.flags.holds(cond); known && !yes {
					continue
				}
			}
		}
		f.lead(x.c, x.s, x.k, x.i)
	}
}

// repeated are the instructions that write to where rdi points to.
var repeated = map[x86asm.Op]bool{x86asm.STOSB: true, x86asm.STOSW: true, x86asm.STOSD: true, x86asm.STOSQ: true, x86asm.MOVSB: true, x86asm.MOVSW: true, x86asm.MOVSD: true, x86asm.MOVSQ: true}

// watch notes writes to what an argument points to beyond what belongs to it.
func (f *follower) watch(s *state, in *model.Inst) {
	m, ok := destination(in)
	if !ok {
		return
	}
	v := s.address(m)
	if repeated[in.Op] {
		v = s.regs[7].blur7()
	}
	if v.kind < pointer || v.region == frame {
		return
	}
	if w := f.n.with.args[v.region-1].off; v.kind == blurred || v.off < 0 || v.off+int64(in.MemBytes) > w {
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
	for _, l := range f.code {
		for i := range l {
			if l[i].Op != x86asm.CMP {
				continue
			}
			if imm, ok := l[i].Args[1].(x86asm.Imm); ok && uint64(imm) == f.a.m.Func(id).Addr {
				return true
			}
		}
	}
	return false
}

// loadsOf names the members that a function loads and that may be times.
func (a *analysis) loadsOf(id model.FuncID) map[uint64]string {
	if l, ok := a.loads[id]; ok {
		return l
	}
	var out map[uint64]string
	fields.Walk(a.m, a.types, id, func(in *model.Inst, at *fields.At) {
		if in.MemBytes != 8 {
			return
		}
		if name := timeMember(in, at); name != "" {
			if out == nil {
				out = map[uint64]string{}
			}
			out[in.Addr] = name
		}
	})
	a.loads[id] = out
	return out
}
