package stacks

import (
	"bytes"
	"encoding/binary"
	"strings"

	"github.com/cilium/ebpf/btf"

	"github.com/klpforge/klpforge/analyze/fields"
	"github.com/klpforge/klpforge/analyze/machine"
	"github.com/klpforge/klpforge/analyze/model"
)

// maxSeconds is how long a wait may last to count as bounded: what the kernel's
// hung task detector takes for a hang (CONFIG_DEFAULT_HUNG_TASK_TIMEOUT, 120
// seconds unless configured otherwise, v6.1).
const maxSeconds = 120

// slowest is the lowest number of ticks a second that x86 kernels have.
const slowest = 100

// limit is the longest time, in ticks, that counts as bounded.
func (a *analysis) limit() int64 {
	hz := a.hz
	if hz == 0 {
		hz = slowest
	}
	return int64(hz) * maxSeconds
}

// waits judges one call of a primitive, with what is known before it; ok is
// false when it has a bound.
func (f *follower) waits(call *model.Call, cur *state, block, at int) (waiting wait, ok bool) {
	an := f.a
	waiting = wait{in: call.Target, sure: true, tail: call.Kind.IsTail()}
	long := an.waits(f.n.id, call)
	if long == "" {
		return waiting, false
	}
	time := ""
	val := cur.regs[convention.Args[0]]
	switch {
	case an.prim[call.Target] != timedWait:
	case strings.Contains(an.name(call.Target), "hrtimeout"): // a pointer to the time; none means for ever
		if val.isConst() && val.ones != 0 {
			return waiting, false
		}
	case val.kind == number && val.hi <= an.limit():
		if !f.rearmed(call, cur, block, at) {
			f.n.out.timed = f.n.out.timed || !f.n.with.plain()
			return waiting, false
		}
		waiting.sure, time = false, ", again and again"
	case val.kind == number && val.lo > an.limit():
	case val.from != 0 && an.endless(an.members.name(val.from)):
	case val.from != 0:
		waiting.sure, time = false, ", for as long as "+an.members.name(val.from)+" says"
	default:
		waiting.sure, time = false, ", for a time that is not known"
	}
	waiting.how = long + time
	return waiting, true
}

// rearmed reports whether a call may be made again for another time than what
// the last one has left.
func (f *follower) rearmed(call *model.Call, cur *state, block, at int) bool {
	follow := follower{n: f.n, a: f.a, depth: f.depth, code: f.code}
	cur = cur.clone()
	for i := range cur.regs {
		cur.regs[i].left = false
	}
	for i := range cur.mem {
		cur.mem[i].v.left = false
	}
	f.made(cur, []*model.Call{call})
	follow.run(block, at+1, cur)
	if follow.in[block] == nil {
		return false // not in a loop
	}
	cur = follow.in[block].clone()
	for i := range at {
		follow.instruction(cur, &follow.insns[block][i], nil)
	}
	if f.a.prim[call.Target] == timedWait {
		return !cur.regs[convention.Args[0]].left
	}
	for _, reg := range convention.Args {
		val := cur.regs[reg]
		if val.left || val.kind == pointer && cur.load(val, 8).left {
			return false
		}
	}
	return true
}

// timeMember names the member that an instruction loads a signed or unsigned
// number of eight bytes from, as times in ticks have; "" for others.
func timeMember(in *machine.Inst, at *fields.At) string {
	from := &in.Args[1]
	loads := in.Op == machine.Move || in.Op == machine.MoveIf
	if !loads || in.Args[0].Kind != machine.KindReg || from.Kind != machine.KindMem || from.Mem.Width != 8 {
		return ""
	}
	field, ok := at.Field(from.Mem)
	if !ok {
		return ""
	}
	if integer, ok := btf.UnderlyingType(field.Type).(*btf.Int); !ok || integer.Size != 8 {
		return ""
	}
	return field.Inner()
}

// endless reports whether a member is known to be set to the time that has no
// end.
func (a *analysis) endless(member string) bool {
	return a.forever[member] || a.base != nil && a.base.endless(member)
}

// findForever finds the members that code stores MAX_SCHEDULE_TIMEOUT into.
func (a *analysis) findForever() {
	a.forever = map[string]bool{}
	want := binary.LittleEndian.AppendUint64(nil, maxTimeout)
	seen := map[model.FuncID]bool{}
	for _, seg := range a.m.Prog.Segments() {
		if !seg.Exec {
			continue
		}
		for at := 0; ; {
			i := bytes.Index(seg.Data[at:], want)
			if i < 0 {
				break
			}
			at += i + 1
			if id := a.m.At(seg.Addr + uint64(at-1)); id != model.NoFunc && !seen[id] {
				seen[id] = true
				a.foreverIn(id)
			}
		}
	}
}

func (a *analysis) foreverIn(id model.FuncID) {
	stores := map[uint64]string{}
	fields.Walk(a.m, a.types, id, func(in *machine.Inst, at *fields.At) {
		if to := &in.Args[0]; to.Kind == machine.KindMem && in.Op == machine.Move && to.Mem.Width == 8 {
			if field, ok := at.Field(to.Mem); ok {
				stores[in.Addr] = field.Inner()
			}
		}
	})
	if len(stores) == 0 {
		return
	}
	eachConst(a.m, id, func(in *machine.Inst, c *consts) {
		name := stores[in.Addr]
		if name == "" {
			return
		}
		if reg, size, ok := in.Args[1].General(); ok && size == 8 {
			if val, known := c.get(reg); known && val == maxTimeout {
				a.forever[name] = true
			}
		}
	})
}

// destination is the memory that an instruction writes to by an operand.
func destination(in *machine.Inst) (machine.Mem, bool) {
	for i := range in.Args {
		if in.Args[i].Kind == machine.KindMem && in.Writes(i) {
			return in.Args[i].Mem, true
		}
	}
	return machine.Mem{}, false
}
