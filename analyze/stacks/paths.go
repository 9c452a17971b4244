package stacks

import (
	"cmp"
	"encoding/binary"
	"slices"

	"github.com/cilium/ebpf/btf"

	"github.com/klpforge/klpforge/analyze/model"
)

// A path to a wait is judged with what is known of the arguments: a node is a
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
	via     hop
	frame   hop // the first that leaves the frame on the stack
	fact    Fact
	decided bool
	at      uint32 // in place of via, where what was found before was adopted: as Result.via
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

// hop is one step of a path towards a wait.
type hop struct {
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
	key := binary.LittleEndian.AppendUint32(nil, uint32(id))
	put := func(v value) {
		key = append(key, byte(v.kind))
		for _, bits := range []uint64{v.ones, v.zeros, uint64(v.lo), uint64(v.hi), uint64(v.off)} {
			key = binary.AppendUvarint(key, bits)
		}
		key = binary.AppendUvarint(key, uint64(v.from))
	}
	for _, val := range c.args {
		put(val)
	}
	for _, hold := range c.mem {
		key = append(key, byte(hold.arg), byte(hold.cell.size))
		key = binary.AppendVarint(key, hold.off)
		put(hold.cell.v)
	}
	return string(key)
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
	key := with.key(id)
	if visit := a.nodes[key]; visit != nil {
		return visit
	}
	if !with.plain() {
		if a.contexts[id] >= maxContexts {
			return a.node(id, context{})
		}
		a.contexts[id]++
	}
	visit := &node{a: a, id: id, with: with, fact: Fact{Next: model.NoFunc}}
	a.nodes[key] = visit
	return visit
}

// judge finds out which nodes may wait, and what leads there.
func (a *analysis) judge(nodes []*node) {
	all := a.undecided(nodes)
	linkUsers(all)

	// First what is sure: direct calls of waits that surely have no bound.
	for _, sure := range []bool{true, false} {
		a.settle(all, sure)
	}
	for _, visit := range all {
		visit.decided, visit.users = true, nil
	}
}

// undecided follows the nodes, and all that they lead to, whose facts are not settled yet.
func (a *analysis) undecided(nodes []*node) []*node {
	var all []*node
	seen := map[*node]bool{}
	add := func(n *node) {
		if n.a == a && !n.decided && !seen[n] {
			seen[n] = true
			all = append(all, n)
		}
	}
	for _, visit := range nodes {
		add(visit)
	}
	for i := 0; i < len(all); i++ {
		visit := all[i]
		visit.follow(0)
		for _, edge := range visit.to {
			add(edge.to)
		}
	}
	return all
}

// linkUsers gives each node the edges that lead to it from the others.
func linkUsers(all []*node) {
	seen := make(map[*node]bool, len(all))
	for _, visit := range all {
		visit.users, seen[visit] = nil, true
	}
	for _, visit := range all {
		for _, edge := range visit.to {
			if seen[edge.to] {
				user := edge
				user.to = visit
				edge.to.users = append(edge.to.users, user)
			}
		}
	}
}

// settle marks the nodes that may wait, and from there all that lead to them. A first round with
// sure follows direct calls only, so that they are preferred to what may be.
func (a *analysis) settle(all []*node, sure bool) {
	var queue []*node
	if !sure {
		for _, visit := range all {
			if visit.reach && !a.barred(visit.id) {
				queue = append(queue, visit) // for the pointers that lead there
			}
		}
	}
	mark := func(parent *node, tail bool, found hop, f Fact) {
		if !tail && parent.fact.Reason == None {
			f.Sure = sure
			parent.fact, parent.frame = f, found
		}
		if !parent.reach {
			parent.reach, parent.sure, parent.via = true, sure, found
			if !a.barred(parent.id) {
				queue = append(queue, parent)
			}
		}
	}

	for _, parent := range all {
		for _, wait := range parent.waits {
			if wait.sure == sure {
				mark(parent, wait.tail, hop{prim: wait.in, how: Waits, detail: wait.how},
					Fact{Reason: Waits, Next: wait.in, Detail: wait.how})
			}
		}
		if loop, ok := a.mainLoop[parent.id]; ok && sure && parent.with.plain() {
			mark(parent, false, hop{how: Loops, detail: loop}, Fact{Reason: Loops, Next: model.NoFunc, Detail: loop})
		}
		for _, edge := range parent.to {
			if edge.to.decided && edge.to.reach && (!sure || edge.to.sure && !edge.pointer) {
				a.markUser(parent, edge, mark)
			}
		}
	}

	// From there to those that call them; a thread's function is called by kthread, through a
	// pointer that is not followed.
	for len(queue) > 0 {
		parent := queue[0]
		queue = queue[1:]
		for _, user := range parent.users {
			if !sure || !user.pointer {
				edge := user
				edge.to = parent
				a.markUser(user.to, edge, mark)
			}
		}
		if _, ok := a.isThread[parent.id]; ok && !sure {
			for _, creator := range a.m.Lookup("kthread") {
				mark(a.node(creator, context{}), false, hop{next: parent, how: Pointer,
					detail: "the thread's function"},
					Fact{Reason: Pointer, Next: parent.id, Detail: "the thread's function"})
			}
		}
	}
}

// frameHop is the hop of the path on which the function's frame stays, if there is one.
func (n *node) frameHop() hop {
	if n.fact.Reason != None {
		return n.frame
	}
	return n.via
}

// markUser marks a node that calls one that may wait.
func (a *analysis) markUser(parent *node, to edge, mark func(*node, bool, hop, Fact)) {
	next := to.to.id
	if to.to.a != a {
		next = model.NoFunc // of another model
	}
	how := Calls
	if to.pointer {
		how = Pointer
	}
	found := hop{next: to.to, how: how, detail: to.detail}
	if to.tail {
		found.how, found.detail = None, ""
	}
	mark(parent, to.tail, found, Fact{Reason: how, Next: next, Detail: to.detail})
}

// params is how many arguments a function takes; 7 when that is not known.
func (a *analysis) params(id model.FuncID) int {
	if id == model.NoFunc {
		return 7
	}
	proto := a.t.Proto(a.name(id))
	if proto == nil {
		return 7
	}
	if count := len(proto.Params); count > 0 {
		if _, variadic := proto.Params[count-1].Type.(*btf.Void); variadic {
			return 7
		}
	}
	return min(len(proto.Params), 7)
}

// given are the arguments in registers that a function gets.
func (s *state) given(params int) []value {
	var out [6]value
	count := min(params, 6)
	for i, reg := range convention.Args[:count] {
		out[i] = s.regs[reg]
	}
	return out[:count]
}

// windowOf is how many bytes of what argument i points to belong to it: not
// those that another points to. 0 when it cannot be told.
func windowOf(args []value, i int) int64 {
	arg := args[i]
	if arg.kind != pointer || arg.region != frame && arg.off < 0 {
		return 0
	}
	size := int64(window)
	if arg.region == frame {
		size = min(size, -arg.off) // up to the return address
	}
	for j, other := range args {
		switch {
		case j == i || other.kind < pointer || other.region != arg.region:
		case other.kind == blurred, other.off == arg.off:
			return 0
		case other.off > arg.off:
			size = min(size, other.off-arg.off)
		}
	}
	return max(size, 0)
}

// telling reports whether a number is worth knowing for a callee: a constant
// that is no address, a flag that is set, what is left of a time.
func (v value) telling() bool {
	return v.isConst() && v.lo >= -4096 || !v.isConst() && (v.ones != 0 || v.left)
}

// contextAt is what a callee is given.
func (a *analysis) contextAt(cur *state, params int) context {
	var ctx context
	args := cur.given(params)
	for nth, arg := range args {
		switch arg.kind {
		case pointer:
			size := windowOf(args, nth)
			if size == 0 {
				continue
			}
			for _, stored := range cur.mem {
				inside := stored.region == arg.region && stored.off >= arg.off && stored.end() <= arg.off+size
				if inside && (stored.v.kind == number && stored.v.telling() || stored.v.kind == top &&
					stored.v.from != 0) {
					stored.v.left = false
					ctx.mem = append(ctx.mem, held{int8(nth), stored.off - arg.off, stored.cell})
				}
			}
			ctx.args[nth] = value{kind: pointer, off: size}
		case number:
			if !arg.telling() {
				continue
			}
			arg.left = false
			ctx.args[nth] = arg
		case top:
			ctx.args[nth] = value{from: arg.from}
		}
	}
	if len(ctx.mem) == 0 { // nothing of it is worth following
		for i := range ctx.args {
			if ctx.args[i].kind == pointer {
				ctx.args[i] = value{}
			}
		}
	}
	slices.SortFunc(ctx.mem, func(x, y held) int {
		return cmp.Or(cmp.Compare(x.arg, y.arg), cmp.Compare(x.off, y.off))
	})
	return ctx
}
