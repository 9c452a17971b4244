package equiv

import (
	"strings"

	"github.com/klpforge/klpforge/analyze/machine"
)

// general takes an operand that is a general register apart; the width is in bits.
func general(o *machine.Operand) (n machine.Num, width uint64, high, ok bool) {
	n, size, ok := o.General()
	return n, uint64(size) * 8, o.Reg.High, ok
}

// widthOf is the size of the instruction's first operand, in bits.
func widthOf(in *insn) uint64 {
	if n := in.Args[0].Width(); n > 0 && (in.Args[0].Kind == machine.KindMem || in.Args[0].Reg.Class == machine.General) {
		return uint64(n) * 8
	}
	return uint64(in.Size) * 8
}

// nameOf is the operation's name in certificates: the processor's manuals' own.
func nameOf(in *insn) string { return strings.ToUpper(in.Name) }

// notKnown refuses an instruction.
func notKnown(in *insn) *Obstacle {
	return refuse(in.at, "an instruction that is not known (%s)", in.Inst.String())
}

// address computes a memory operand's address; gs is set for the processor's
// own data.
func (w *walker) address(in *insn, m machine.Mem) (t term, gs bool, err error) {
	p := w.p
	switch m.Seg {
	case machine.SegNone:
	case machine.SegGS:
		gs = true
	default:
		return 0, false, refuse(in.at, "a segment that is not known")
	}
	if m.Addr32 {
		return 0, false, refuse(in.at, "an address of less than 64 bits")
	}

	// What a relocation says stands in for the displacement.
	t = p.constant(0)
	disp := uint64(m.Disp)
	if in.disp != nil {
		if in.disp.piece >= 0 {
			return 0, false, refuse(in.at, "an address in its own code")
		}
		t, disp = p.symbol(in.disp.name), in.disp.off
	} else if m.PC {
		return 0, false, refuse(in.at, "an address in its own code")
	}

	if m.Base != machine.NoReg {
		t = p.add(t, w.m().regs[m.Base])
	}
	if m.Index != machine.NoReg {
		i := w.m().regs[m.Index]
		for s := m.Scale; s > 1; s /= 2 {
			i = p.shl(i, 1)
		}
		t = p.add(t, i)
	}
	return p.plus(t, disp), gs, nil
}

// get reads an operand as a value of that width.
func (w *walker) get(in *insn, i int, width uint64) (term, error) {
	p := w.p
	a := &in.Args[i]
	if n, rw, high, ok := general(a); ok {
		v := w.m().regs[n]
		if high {
			return p.low(8, p.shr(64, v, p.constant(8))), nil
		}
		return p.low(min(rw, width), v), nil
	}
	switch a.Kind {
	case machine.KindImm:
		if in.imm != nil {
			if in.imm.piece >= 0 && (in.imm.piece != 0 || in.imm.off != 0) {
				return 0, refuse(in.at, "an address in its own code")
			}
			return p.plus(p.symbol(in.imm.name), in.imm.off), nil
		}
		v := uint64(a.Imm)
		if width == 64 && v>>31 == 1 && in.Len < 10 {
			v = signed(32, v) // an immediate of 4 bytes; the decoder may leave it unsigned
		}
		return p.constant(v & mask(width)), nil
	case machine.KindMem:
		if in.Op == machine.Address {
			t, gs, err := w.address(in, a.Mem)
			if err == nil && gs {
				err = refuse(in.at, "a segment that is not known")
			}
			return t, err
		}
		return w.load(in, a.Mem, width/8)
	}
	return 0, refuse(in.at, "an operand that is not known (%s)", in.Inst.String())
}

// canary is where the stack protector's word is (arch/x86/include/asm/processor.h:
// struct fixed_percpu_data, v6.1).
const canary = 0x28

// load reads memory.
func (w *walker) load(in *insn, a machine.Mem, size uint64) (term, error) {
	p := w.p
	addr, gs, err := w.address(in, a)
	if err != nil {
		return 0, err
	}
	if gs {
		if v, ok := p.isConst(addr); ok && v == canary || p.nodes[addr].s == "__stack_chk_guard" {
			return p.cons(node{op: "gsload", k: size * 8, a: p.constant(canary)}), nil
		}
		return p.cons(node{op: "gsload", k: size * 8, a: addr, b: w.s.epoch}), nil
	}
	if k, ok := w.frame(addr); ok {
		return w.loadSlot(k, size), nil
	}
	w.reads = append(w.reads, read{addr, in.at, in.special == "__ex_table"})
	return p.cons(node{op: "load", k: size * 8, a: addr, b: w.s.epoch}), nil
}

// frame gives the offset of an address in the function's own frame.
func (w *walker) frame(addr term) (int64, bool) {
	base, k := w.p.offset(addr)
	return int64(k), w.p.nodes[base].op == "frame"
}

// loadSlot reads the frame. What was not stored there by instructions of the
// function that are known is unknown; arguments on the stack are the caller's.
func (w *walker) loadSlot(k int64, size uint64) term {
	p, m := w.p, w.m()
	if s, ok := m.slots[k]; ok && s.size >= size {
		return p.low(size*8, s.val)
	}
	if w.overlaps(k, size) {
		return p.unknownAt("stack", w.side, w.at, w.s.epoch)
	}
	if k >= 8 {
		return p.cons(node{op: "stackarg", k: size*8 | uint64(k)<<8})
	}
	if w.s.escaped {
		if w.side == 1 && *w.delta != nil {
			k -= **w.delta
		}
		return p.cons(node{op: "load", k: size * 8, a: p.plus(p.symbol("(frame)"), uint64(k)), b: w.s.epoch})
	}
	return p.unknownAt("stack", w.side, w.at, w.s.epoch)
}

func (w *walker) overlaps(k int64, size uint64) bool {
	for o, s := range w.m().slots {
		if o < k+int64(size) && k < o+int64(s.size) {
			return true
		}
	}
	return false
}

func (w *walker) storeSlot(k int64, size uint64, v term, private bool) {
	m := w.m()
	for _, o := range m.offsets() {
		s := m.slots[o]
		if o < k+int64(size) && k < o+int64(s.size) {
			delete(m.slots, o)
			if o < k || o+int64(s.size) > k+int64(size) { // the rest of a larger one
				for i := o; i < o+int64(s.size); i++ {
					if i < k || i >= k+int64(size) {
						m.slots[i] = slot{size: 1, val: w.p.cons(node{op: "byte", k: uint64(i - o), a: s.val})}
					}
				}
			}
		}
	}
	m.slots[k] = slot{size: size, val: v, private: private}
}
