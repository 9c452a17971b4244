package locks

import "github.com/klpforge/klpforge/analyze/machine"

// interruptFlag is the bit of a saved flags word that says whether interrupts were
// enabled.
const interruptFlag = int64(machine.IF)

// isPreemptCount reports whether the operand is this CPU's preempt count.
func (w *walker) isPreemptCount(in *machine.Inst, i int) bool {
	operand := &in.Args[i]
	if operand.Kind != machine.KindMem || operand.Mem.Seg != machine.SegGS {
		return false
	}
	addr, ok := in.FixedAddr(operand.Mem)
	return ok && addr == w.preemptCount && addr != 0
}

// addCount notes what an addition to the preempt count, or a subtraction, changes.
func (w *walker) addCount(s *state, in *machine.Inst) {
	if by := &in.Args[1]; by.Kind == machine.KindImm {
		delta := int64(int32(by.Imm))
		if in.Op == machine.Sub {
			delta = -delta
		}
		w.countChange(s, delta)
	}
	s.flags = flags{}
}

// countChange notes a change of the preempt count (include/linux/preempt.h,
// v6.1: bits 0-7 preemption, 8-15 bottom halves).
func (w *walker) countChange(s *state, d int64) {
	if d%0x200 == 0 && d != 0 && d > -0x10000 && d < 0x10000 {
		w.t.change(s, BH, 0, int8(d/0x200))
		return
	}
	if d > -0x100 && d < 0x100 {
		for ; d > 0; d-- {
			w.t.change(s, Preempt, 0, 1)
		}
		for ; d < 0; d++ {
			w.t.change(s, Preempt, 0, -1)
		}
		return
	}
	if halves := d / 0x200 * 0x200; d-halves == 1 || d-halves == -1 { // SOFTIRQ_LOCK_OFFSET
		w.t.change(s, BH, 0, int8(halves/0x200))
		w.t.change(s, Preempt, 0, int8(d-halves))
	}
}

// restore puts the interrupt flag back to a saved value.
func (w *walker) restore(s *state, v vid) {
	vals := &w.t
	if expr := vals.n(v); expr.op == opFlags {
		s.setIRQ(int8(expr.k - 8))
		return
	}
	switch depth := s.irq(); {
	case depth > 0:
		s.setIRQ(0)
		s.assumed = true
	case vals.precise(vals.stripped(v)) && depth == 0:
		s.setIRQ(-1) // the caller's saved flag
	}
}

// sockOwner notes that lock_sock or release_sock, compiled inline within
// net/core/sock.c, marks a socket as owned or free: sk_lock.owned, which
// follows sk_lock.slock, is written while that is held.
func (w *walker) sockOwner(s *state, p place, v vid) {
	vals := &w.t
	imm, ok := vals.isConst(v)
	if !ok || imm != 0 && imm != 1 {
		return
	}
	slock := vals.stripped(vals.addImm(p.addr, -4))
	if _, off := vals.split(slock); off != int64(w.a.sockOwned)-4 {
		return
	}
	for _, hold := range s.locks {
		if hold.kind == Spin && hold.name == slock && hold.n > 0 {
			delta := int8(1)
			if imm == 0 {
				delta = -1
			}
			vals.change(s, Sock, vals.addImm(slock, 4-int64(w.a.sockOwned)), delta)
			return
		}
	}
}
