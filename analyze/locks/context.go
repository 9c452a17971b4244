package locks

import "github.com/klpforge/klpforge/analyze/machine"

// interruptFlag is the bit of a saved flags word that says whether interrupts were
// enabled.
const interruptFlag = int64(machine.IF)

// isPreemptCount reports whether the operand is this CPU's preempt count.
func (w *walker) isPreemptCount(in *machine.Inst, i int) bool {
	a := &in.Args[i]
	if a.Kind != machine.KindMem || a.Mem.Seg != machine.SegGS {
		return false
	}
	c, ok := in.FixedAddr(a.Mem)
	return ok && c == w.preemptCount && c != 0
}

// addCount notes what an addition to the preempt count, or a subtraction, changes.
func (w *walker) addCount(s *state, in *machine.Inst) {
	if by := &in.Args[1]; by.Kind == machine.KindImm {
		d := int64(int32(by.Imm))
		if in.Op == machine.Sub {
			d = -d
		}
		w.countChange(s, d)
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
	if b := d / 0x200 * 0x200; d-b == 1 || d-b == -1 { // SOFTIRQ_LOCK_OFFSET
		w.t.change(s, BH, 0, int8(b/0x200))
		w.t.change(s, Preempt, 0, int8(d-b))
	}
}

// restore puts the interrupt flag back to a saved value.
func (w *walker) restore(s *state, v vid) {
	t := &w.t
	if n := t.n(v); n.op == opFlags {
		s.setIRQ(int8(n.k - 8))
		return
	}
	switch n := s.irq(); {
	case n > 0:
		s.setIRQ(0)
		s.assumed = true
	case t.precise(t.stripped(v)) && n == 0:
		s.setIRQ(-1) // the caller's saved flag
	}
}

// sockOwner notes that lock_sock or release_sock, compiled inline within
// net/core/sock.c, marks a socket as owned or free: sk_lock.owned, which
// follows sk_lock.slock, is written while that is held.
func (w *walker) sockOwner(s *state, p place, v vid) {
	t := &w.t
	c, ok := t.isConst(v)
	if !ok || c != 0 && c != 1 {
		return
	}
	slock := t.stripped(t.addImm(p.addr, -4))
	if _, off := t.split(slock); off != int64(w.a.sockOwned)-4 {
		return
	}
	for _, h := range s.locks {
		if h.kind == Spin && h.name == slock && h.n > 0 {
			d := int8(1)
			if c == 0 {
				d = -1
			}
			t.change(s, Sock, t.addImm(slock, 4-int64(w.a.sockOwned)), d)
			return
		}
	}
}
