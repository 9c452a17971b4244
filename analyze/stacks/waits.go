package stacks

import (
	"slices"
	"strings"

	"github.com/cilium/ebpf/btf"
	"golang.org/x/arch/x86/x86asm"

	"github.com/klpforge/klpforge/analyze/fields"
	"github.com/klpforge/klpforge/analyze/model"
)

// Bits of a task's state (include/linux/sched.h, v6.1 and v6.12).
const (
	taskInterruptible   = 0x1
	taskUninterruptible = 0x2
	taskStopped         = 0x4 | 0x8 // __TASK_STOPPED, __TASK_TRACED
	taskWakekill        = 0x100
	taskNoload          = 0x400
	maxTimeout          = 1<<63 - 1 // MAX_SCHEDULE_TIMEOUT
)

// stateSet are the states that a function takes before it waits.
type stateSet struct {
	list  []uint64
	other bool // some could not be found
}

// long says how a state may last, "" when it is bounded.
func long(s uint64) string {
	switch {
	case s&taskStopped != 0:
		return "stopped"
	case s&taskInterruptible != 0:
		return "interruptible"
	case s&taskUninterruptible != 0 && s&taskNoload != 0:
		return "idle"
	}
	return ""
}

// findWaits finds every function that calls a primitive that may last, and the
// threads' main functions that loop.
func (a *analysis) findWaits() {
	var list []model.FuncID
	for i := range a.m.Funcs {
		if a.prim[i] == notPrimitive || a.prim[i] == boundedWait {
			continue
		}
		for c := range a.m.Callers(model.FuncID(i)) {
			if a.prim[c.Caller] == notPrimitive {
				list = append(list, c.Caller)
			}
		}
	}
	slices.Sort(list)
	for _, id := range slices.Compact(list) {
		calls := a.m.Calls(id)
		for i := range calls {
			if c := &calls[i]; c.Target != model.NoFunc && a.waits(id, c) != "" {
				a.mayWait(id)
			}
		}
	}
	for _, t := range a.Threads {
		if a.loops(t.Func) {
			if a.mainLoop[t.Func] == "" && t.Name != "" {
				a.mainLoop[t.Func] = " (" + t.Name + ")"
			} else if _, ok := a.mainLoop[t.Func]; !ok {
				a.mainLoop[t.Func] = ""
			}
			a.mayWait(t.Func)
		}
	}
}

// waits says how a call of a primitive may last as far as the task's state
// tells, "" when it is bounded.
func (a *analysis) waits(id model.FuncID, c *model.Call) string {
	switch a.prim[c.Target] {
	case longWait:
		return "interruptible"
	case timedWait, stateWait:
	default:
		return ""
	}
	s := a.statesOf(id, 0)
	for _, v := range s.list {
		if how := long(v); how != "" {
			return how
		}
	}
	if len(s.list) == 0 && s.other {
		return "in a state that is not known"
	}
	return ""
}

// statesOf collects the constants that a function stores as the task's state
// or passes on as one. A function that does neither gets its state as a
// parameter, or from its callers by other means.
func (a *analysis) statesOf(id model.FuncID, depth int) stateSet {
	if s, ok := a.states[id]; ok {
		return s
	}
	a.states[id] = stateSet{other: true} // recursion
	var s stateSet
	add := func(v uint64, ok bool) {
		if !ok {
			s.other = true
		} else if v != 0 && !slices.Contains(s.list, v) { // running: no wait
			s.list = append(s.list, v)
		}
	}
	stores := map[uint64]bool{}
	fields.Walk(a.m, a.types, id, func(in *model.Inst, at *fields.At) {
		if m, ok := in.Args[0].(x86asm.Mem); ok && (in.Op == x86asm.MOV || in.Op == x86asm.XCHG) && in.MemBytes >= 4 {
			if f, ok := at.Field(m); ok && (f.Inner() == "task_struct.__state" || f.Inner() == "task_struct.state") {
				stores[in.Addr] = true
			}
		}
	})
	if len(stores) > 0 {
		eachConst(a.m, id, func(in *model.Inst, c *consts) {
			if !stores[in.Addr] {
				return
			}
			switch x := in.Args[1].(type) {
			case x86asm.Imm:
				add(uint64(uint32(x)), true)
			case x86asm.Reg:
				n, _, _ := fields.Reg(x)
				v, known := c.get(n)
				add(uint64(uint32(v)), known)
			}
		})
	}
	calls := a.m.Calls(id)
	for i := range calls {
		c := &calls[i]
		if c.Target == model.NoFunc {
			continue
		}
		if arg := a.stateParam(c.Target); arg >= 0 && a.prim[c.Target] == notPrimitive {
			add(constArg(a.m, id, c.Site, arg))
		}
	}
	if arg := a.stateParam(id); arg >= 0 && len(s.list) == 0 && depth < 4 {
		s.other = false
		for c := range a.m.Callers(id) {
			if v, ok := constArg(a.m, c.Caller, c.Site, arg); ok {
				add(v, true)
			} else if up := a.statesOf(c.Caller, depth+1); len(up.list) > 0 {
				s.list = append(s.list, up.list...)
			} else {
				s.other = true
			}
		}
		s.other = s.other || a.m.AddressTaken(id)
	}
	a.states[id] = s
	return s
}

// stateParam returns the number of the parameter that is a task's state, -1
// for none.
func (a *analysis) stateParam(id model.FuncID) int {
	name := a.name(id)
	p := a.t.Proto(name)
	if p == nil {
		if i, ok := stateArgs[name]; ok {
			return i
		}
		return -1
	}
	for i := range p.Params {
		n := p.Params[i].Name
		if n != "state" && n != "task_state" && !(n == "mode" && strings.Contains(name, "wait")) || i >= 6 {
			continue
		}
		if _, ok := btf.UnderlyingType(p.Params[i].Type).(*btf.Int); ok {
			return i
		}
	}
	return -1
}

// loops reports whether a function has a cycle in which it calls something.
func (a *analysis) loops(id model.FuncID) bool {
	blocks := a.m.Blocks(id)
	calls := a.m.Calls(id)
	has := make([]bool, len(blocks))
	for k := range blocks {
		has[k] = slices.ContainsFunc(calls, func(c model.Call) bool { return c.Site >= blocks[k].Start && c.Site < blocks[k].End })
	}
	// A block with a call that can be reached again from itself.
	for k := range blocks {
		if !has[k] {
			continue
		}
		seen := make([]bool, len(blocks))
		work := []int{k}
		for len(work) > 0 {
			x := work[len(work)-1]
			work = work[:len(work)-1]
			for _, e := range a.m.Edges(&blocks[x]) {
				if int(e.To) == k {
					return true
				}
				if !seen[e.To] {
					seen[e.To] = true
					work = append(work, int(e.To))
				}
			}
		}
	}
	return false
}

// consts are constants in registers, followed through straight-line code.
type consts struct {
	known [16]bool
	value [16]uint64
}

func (c *consts) get(n int) (uint64, bool) { return c.value[n], c.known[n] }

func (c *consts) step(in *model.Inst) {
	if !in.Known {
		*c = consts{}
		return
	}
	if in.Op == x86asm.CALL {
		for _, n := range scratch {
			c.known[n] = false
		}
		return
	}
	if in.Op == x86asm.XCHG || in.Op == x86asm.CMPXCHG || in.Op == x86asm.XADD {
		for _, a := range in.Args[:2] {
			if r, ok := a.(x86asm.Reg); ok {
				if n, _, ok := fields.Reg(r); ok {
					c.known[n] = false
				}
			}
		}
		c.known[0] = false
		return
	}
	r, ok := in.Args[0].(x86asm.Reg)
	if !ok || in.Op == x86asm.CMP || in.Op == x86asm.TEST || in.Op == x86asm.PUSH {
		return
	}
	n, size, ok := fields.Reg(r)
	if !ok {
		return
	}
	c.known[n] = false
	switch x := in.Args[1].(type) {
	case x86asm.Imm:
		if in.Op == x86asm.MOV && size >= 4 {
			c.known[n], c.value[n] = true, uint64(x)
			if size == 4 {
				c.value[n] = uint64(uint32(x))
			}
		}
	case x86asm.Reg:
		m, _, ok := fields.Reg(x)
		switch {
		case ok && in.Op == x86asm.XOR && m == n:
			c.known[n], c.value[n] = true, 0
		case ok && in.Op == x86asm.MOV && size == 8:
			c.known[n], c.value[n] = c.known[m], c.value[m]
		}
	case x86asm.Mem:
		if a, ok := in.MemAddr(x); ok && in.Op == x86asm.LEA {
			c.known[n], c.value[n] = true, a
		}
	}
}

// scratch are the registers that a call may change.
var scratch = [...]int{0, 1, 2, 6, 7, 8, 9, 10, 11}

var argRegs = [...]int{7, 6, 2, 1, 8, 9}

// constArg returns the constant that an argument, from 0, has at a call.
func constArg(m *model.Model, id model.FuncID, site uint64, arg int) (v uint64, ok bool) {
	eachConst(m, id, func(in *model.Inst, c *consts) {
		if in.Addr == site {
			v, ok = c.get(argRegs[arg])
		}
	})
	return v, ok
}

// eachConst visits every instruction with the constants that registers hold
// before it, on all ways that lead there.
func eachConst(m *model.Model, id model.FuncID, visit func(*model.Inst, *consts)) {
	blocks := m.Blocks(id)
	if len(blocks) == 0 {
		return
	}
	in := make([]*consts, len(blocks))
	in[0] = &consts{}
	work := []int{0}
	for len(work) > 0 {
		k := work[0]
		work = work[1:]
		c := *in[k]
		for x := range m.Instructions(&blocks[k]) {
			c.step(&x)
		}
		for _, e := range m.Edges(&blocks[k]) {
			if in[e.To] == nil {
				d := c
				in[e.To] = &d
			} else if !in[e.To].meet(&c) {
				continue
			}
			work = append(work, int(e.To))
		}
	}
	for k := range blocks {
		if in[k] == nil {
			continue
		}
		c := *in[k]
		for x := range m.Instructions(&blocks[k]) {
			visit(&x, &c)
			c.step(&x)
		}
	}
}

// meet keeps what both agree on and reports whether c changed.
func (c *consts) meet(o *consts) bool {
	changed := false
	for i := range c.known {
		if c.known[i] && (!o.known[i] || o.value[i] != c.value[i]) {
			c.known[i], changed = false, true
		}
	}
	return changed
}
