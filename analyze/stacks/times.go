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
func (f *follower) waits(c *model.Call, s *state, block, at int) (w wait, ok bool) {
	a := f.a
	w = wait{in: c.Target, sure: true, tail: c.Kind.IsTail()}
	long := a.waits(f.n.id, c)
	if long == "" {
		return w, false
	}
	time := ""
	v := s.regs[convention.Args[0]]
	switch {
	case a.prim[c.Target] != timedWait:
	case strings.Contains(a.name(c.Target), "hrtimeout"): // a pointer to the time; none means for ever
		if v.isConst() && v.ones != 0 {
			return w, false
		}
	case v.kind == number && v.hi <= a.limit():
		if !f.rearmed(c, s, block, at) {
			f.n.out.timed = f.n.out.timed || !f.n.with.plain()
			return w, false
		}
		w.sure, time = false, ", again and again"
	case v.kind == number && v.lo > a.limit():
	case v.from != 0 && a.endless(a.members.name(v.from)):
	case v.from != 0:
		w.sure, time = false, ", for as long as "+a.members.name(v.from)+" says"
	default:
		w.sure, time = false, ", for a time that is not known"
	}
	w.how = long + time
	return w, true
}

// rearmed reports whether a call may be made again for another time than what
// the last one has left.
func (f *follower) rearmed(c *model.Call, s *state, block, at int) bool {
	g := follower{n: f.n, a: f.a, depth: f.depth, code: f.code}
	s = s.clone()
	for i := range s.regs {
		s.regs[i].left = false
	}
	for i := range s.mem {
		s.mem[i].v.left = false
	}
	f.made(s, []*model.Call{c})
	g.run(block, at+1, s)
	if g.in[block] == nil {
		return false // not in a loop
	}
	s = g.in[block].clone()
	for i := range at {
		g.instruction(s, &g.insns[block][i], nil)
	}
	if f.a.prim[c.Target] == timedWait {
		return !s.regs[convention.Args[0]].left
	}
	for _, r := range convention.Args {
		v := s.regs[r]
		if v.left || v.kind == pointer && s.load(v, 8).left {
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
	f, ok := at.Field(from.Mem)
	if !ok {
		return ""
	}
	if t, ok := btf.UnderlyingType(f.Type).(*btf.Int); !ok || t.Size != 8 {
		return ""
	}
	return f.Inner()
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
			if f, ok := at.Field(to.Mem); ok {
				stores[in.Addr] = f.Inner()
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
		if n, size, ok := in.Args[1].General(); ok && size == 8 {
			if v, known := c.get(n); known && v == maxTimeout {
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
