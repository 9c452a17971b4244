package stacks

import (
	"slices"
	"strings"

	"github.com/cilium/ebpf/btf"

	"github.com/klpforge/klpforge/analyze/fields"
	"github.com/klpforge/klpforge/analyze/flow"
	"github.com/klpforge/klpforge/analyze/kfuncs"
	"github.com/klpforge/klpforge/analyze/machine"
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

// killable is how a wait is named that ends when a program answers, and that of all signals
// only a fatal one ends.
const killable = "killable, for a program"

// forProgram reports whether a function waits itself until a program answers.
func (a *analysis) forProgram(id model.FuncID) bool {
	fn := a.m.Func(id)
	return slices.ContainsFunc(append([]string{fn.Name}, fn.Aliases...), func(name string) bool {
		wait, exact := kfuncs.Waits(name)
		return exact && wait == kfuncs.WaitProgram
	})
}

// programWait is the wait of a function that waits for a program.
func (a *analysis) programWait(id model.FuncID) wait {
	out := wait{in: model.NoFunc, how: killable, sure: true}
	calls := a.m.Calls(id)
	for i := range calls {
		if to := calls[i].Target; to != model.NoFunc && a.prim[to] != notPrimitive && a.prim[to] != boundedWait {
			out.in = to
		}
	}
	return out
}

// long says how a state may last, "" when it is bounded.
func long(bits uint64) string {
	switch {
	case bits&taskStopped != 0:
		return "stopped"
	case bits&taskInterruptible != 0:
		return "interruptible"
	case bits&taskUninterruptible != 0 && bits&taskNoload != 0:
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
		for call := range a.m.Callers(model.FuncID(i)) {
			if a.prim[call.Caller] == notPrimitive {
				list = append(list, call.Caller)
			}
		}
	}
	slices.Sort(list)
	for _, id := range slices.Compact(list) {
		calls := a.m.Calls(id)
		for i := range calls {
			if call := &calls[i]; call.Target != model.NoFunc && a.waits(id, call) != "" {
				a.mayWait(id)
			}
		}
	}
	for i := range a.m.Funcs {
		if a.forProgram(model.FuncID(i)) {
			a.mayWait(model.FuncID(i))
		}
	}
	a.findMainLoops()
	for _, thread := range a.Threads {
		if _, ok := a.mainLoop[thread.Func]; ok {
			a.mayWait(thread.Func)
		}
	}
}

// findMainLoops finds the threads' main functions that loop.
func (a *analysis) findMainLoops() {
	for _, thread := range a.Threads {
		if !a.loops(thread.Func) {
			continue
		}
		if a.mainLoop[thread.Func] == "" && thread.Name != "" {
			a.mainLoop[thread.Func] = " (" + thread.Name + ")"
		} else if _, ok := a.mainLoop[thread.Func]; !ok {
			a.mainLoop[thread.Func] = ""
		}
	}
}

// waits says how a call of a primitive may last as far as the task's state
// tells, "" when it is bounded.
func (a *analysis) waits(id model.FuncID, c *model.Call) string {
	switch a.prim[c.Target] {
	case longWait:
		if arg := a.stateParam(c.Target); arg >= 0 {
			state, ok := constArg(a.m, id, c.Site, arg)
			if ok && long(state) == "" && state&taskWakekill != 0 {
				return killable
			}
		}
		return "interruptible"
	case timedWait, stateWait:
	default:
		return ""
	}
	states := a.statesOf(id, 0)
	for _, state := range states.list {
		if how := long(state); how != "" {
			return how
		}
	}
	if len(states.list) == 0 && states.other {
		return "in a state that is not known"
	}
	return ""
}

// statesOf collects the constants that a function stores as the task's state
// or passes on as one. A function that does neither gets its state as a
// parameter, or from its callers by other means.
func (a *analysis) statesOf(id model.FuncID, depth int) stateSet {
	if known, ok := a.states[id]; ok {
		return known
	}
	a.states[id] = stateSet{other: true} // recursion
	var states stateSet
	add := func(v uint64, ok bool) {
		if !ok {
			states.other = true
		} else if v != 0 && !slices.Contains(states.list, v) { // running: no wait
			states.list = append(states.list, v)
		}
	}
	stores := map[uint64]bool{}
	fields.Walk(a.m, a.types, id, func(in *machine.Inst, at *fields.At) {
		to := &in.Args[0]
		if to.Kind != machine.KindMem || to.Mem.Width < 4 || in.Op != machine.Move && in.Op != machine.Exchange {
			return
		}
		if field, ok := at.Field(to.Mem); ok && (field.Inner() == "task_struct.__state" ||
			field.Inner() == "task_struct.state") {
			stores[in.Addr] = true
		}
	})
	if len(stores) > 0 {
		eachConst(a.m, id, func(in *machine.Inst, c *consts) {
			if !stores[in.Addr] {
				return
			}
			switch from := &in.Args[1]; from.Kind {
			case machine.KindImm:
				add(uint64(uint32(from.Imm)), true)
			case machine.KindReg:
				reg, _, ok := from.General()
				if !ok {
					add(0, false)
					return
				}
				state, known := c.get(reg)
				add(uint64(uint32(state)), known)
			}
		})
	}

	calls := a.m.Calls(id)
	for i := range calls {
		call := &calls[i]
		if call.Target == model.NoFunc {
			continue
		}
		if arg := a.stateParam(call.Target); arg >= 0 && a.prim[call.Target] == notPrimitive {
			add(constArg(a.m, id, call.Site, arg))
		}
	}
	if arg := a.stateParam(id); arg >= 0 && len(states.list) == 0 && depth < 4 {
		states.other = false
		for call := range a.m.Callers(id) {
			if state, ok := constArg(a.m, call.Caller, call.Site, arg); ok {
				add(state, true)
			} else if up := a.statesOf(call.Caller, depth+1); len(up.list) > 0 {
				states.list = append(states.list, up.list...)
			} else {
				states.other = true
			}
		}
		states.other = states.other || a.m.AddressTaken(id)
	}
	a.states[id] = states
	return states
}

// stateParam returns the number of the parameter that is a task's state, -1
// for none.
func (a *analysis) stateParam(id model.FuncID) int {
	name := a.name(id)
	proto := a.t.Proto(name)
	if proto == nil {
		if i, ok := kfuncs.StateArg(name); ok {
			return i
		}
		return -1
	}
	for nth := range proto.Params {
		n := proto.Params[nth].Name
		if n != "state" && n != "task_state" && !(n == "mode" && strings.Contains(name, "wait")) || nth >= 6 {
			continue
		}
		if _, ok := btf.UnderlyingType(proto.Params[nth].Type).(*btf.Int); ok {
			return nth
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
		has[k] = slices.ContainsFunc(calls, func(c model.Call) bool {
			return c.Site >= blocks[k].Start &&
				c.Site < blocks[k].End
		})
	}
	// A block with a call that can be reached again from itself.
	for block := range blocks {
		if !has[block] {
			continue
		}
		seen := make([]bool, len(blocks))
		work := []int{block}
		for len(work) > 0 {
			last := work[len(work)-1]
			work = work[:len(work)-1]
			for _, edge := range a.m.Edges(&blocks[last]) {
				if int(edge.To) == block {
					return true
				}
				if !seen[edge.To] {
					seen[edge.To] = true
					work = append(work, int(edge.To))
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

func (c *consts) get(n machine.Num) (uint64, bool) { return c.value[n], c.known[n] }

// step follows one instruction.
func (c *consts) step(in *machine.Inst) {
	effects := in.Effects()
	changed := effects.Writes
	if in.Op == machine.Call {
		changed |= convention.Scratch
	}
	reg, val, ok := c.result(in)
	for reg := range changed.All {
		c.known[reg] = false
	}
	if ok {
		c.known[reg], c.value[reg] = true, val
	}
}

// result is the constant that an instruction leaves in its destination.
func (c *consts) result(in *machine.Inst) (dst machine.Num, v uint64, ok bool) {
	dst, size, ok := in.Args[0].General()
	if !ok || size < 4 {
		return 0, 0, false
	}
	src, _, fromReg := in.Args[1].General()
	switch imm := in.Args[1].Imm; {
	case in.Op == machine.Move && in.Args[1].Kind == machine.KindImm && size == 4:
		return dst, uint64(uint32(imm)), true
	case in.Op == machine.Move && in.Args[1].Kind == machine.KindImm:
		return dst, uint64(imm), true
	case in.Op == machine.Xor && fromReg && src == dst:
		return dst, 0, true
	case in.Op == machine.Move && fromReg && size == 8:
		return dst, c.value[src], c.known[src]
	case in.Op == machine.Address:
		addr, ok := in.FixedAddr(in.Args[1].Mem)
		return dst, addr, ok
	}
	return 0, 0, false
}

// convention is how functions of the kernel call each other.
var convention = machine.X86.Convention()

// constArg returns the constant that an argument, from 0, has at a call.
func constArg(m *model.Model, id model.FuncID, site uint64, arg int) (val uint64, ok bool) {
	eachConst(m, id, func(in *machine.Inst, c *consts) {
		if in.Addr == site {
			val, ok = c.get(convention.Args[arg])
		}
	})
	return val, ok
}

// eachConst visits every instruction with the constants that registers hold
// before it, on all paths that lead there.
func eachConst(m *model.Model, id model.FuncID, visit func(*machine.Inst, *consts)) {
	blocks := m.Blocks(id)
	code := m.Code(blocks)
	result := flow.Forward(m, blocks, flow.Problem[consts]{
		Join: (*consts).join,
		Transfer: func(c *consts, k int) {
			for i := range code[k] {
				c.step(&code[k][i])
			}
		},
	})
	for block := range blocks {
		if !result.Reached[block] {
			continue
		}
		vals := result.In[block]
		if !result.Complete {
			vals = consts{}
		}
		for i := range code[block] {
			visit(&code[block][i], &vals)
			vals.step(&code[block][i])
		}
	}
}

// join keeps what both agree on and reports whether c changed.
func (c *consts) join(o consts, _ int) (changed bool) {
	for i := range c.known {
		if c.known[i] && (!o.known[i] || o.value[i] != c.value[i]) {
			c.known[i], changed = false, true
		}
	}
	return changed
}
