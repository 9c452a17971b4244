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
	if size := in.Args[0].Width(); size > 0 && (in.Args[0].Kind == machine.KindMem ||
		in.Args[0].Reg.Class == machine.General) {
		return uint64(size) * 8
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
	pool := w.p
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
	t = pool.constant(0)
	disp := uint64(m.Disp)
	if in.disp != nil {
		if in.disp.piece >= 0 {
			return 0, false, refuse(in.at, "an address in its own code")
		}
		t, disp = pool.symbol(in.disp.name), in.disp.off
	} else if m.PC {
		return 0, false, refuse(in.at, "an address in its own code")
	}

	if m.Base != machine.NoReg {
		t = pool.add(t, w.m().regs[m.Base])
	}
	if m.Index != machine.NoReg {
		index := w.m().regs[m.Index]
		for scale := m.Scale; scale > 1; scale /= 2 {
			index = pool.shl(index, 1)
		}
		t = pool.add(t, index)
	}
	return pool.plus(t, disp), gs, nil
}

// get reads an operand as a value of that width.
func (w *walker) get(in *insn, i int, width uint64) (term, error) {
	pool := w.p
	operand := &in.Args[i]
	if reg, rw, high, ok := general(operand); ok {
		val := w.m().regs[reg]
		if high {
			return pool.low(8, pool.shr(64, val, pool.constant(8))), nil
		}
		return pool.low(min(rw, width), val), nil
	}
	switch operand.Kind {
	case machine.KindImm:
		if in.imm != nil {
			if in.imm.piece >= 0 && (in.imm.piece != 0 || in.imm.off != 0) {
				return 0, refuse(in.at, "an address in its own code")
			}
			return pool.plus(pool.symbol(in.imm.name), in.imm.off), nil
		}
		imm := uint64(operand.Imm)
		if width == 64 && imm>>31 == 1 && in.Len < 10 {
			imm = signed(32, imm) // an immediate of 4 bytes; the decoder may leave it unsigned
		}
		return pool.constant(imm & mask(width)), nil
	case machine.KindMem:
		if in.Op == machine.Address {
			addr, gs, err := w.address(in, operand.Mem)
			if err == nil && gs {
				err = refuse(in.at, "a segment that is not known")
			}
			return addr, err
		}
		return w.load(in, operand.Mem, width/8)
	}
	return 0, refuse(in.at, "an operand that is not known (%s)", in.Inst.String())
}

// canary is where the stack protector's word is (arch/x86/include/asm/processor.h:
// struct fixed_percpu_data, v6.1).
const canary = 0x28

// load reads memory.
func (w *walker) load(in *insn, a machine.Mem, size uint64) (term, error) {
	pool := w.p
	addr, gs, err := w.address(in, a)
	if err != nil {
		return 0, err
	}
	if gs {
		if addrImm, ok := pool.isConst(addr); ok && addrImm == canary || pool.nodes[addr].s == "__stack_chk_guard" {
			return pool.cons(node{op: "gsload", k: size * 8, a: pool.constant(canary)}), nil
		}
		return pool.cons(node{op: "gsload", k: size * 8, a: addr, b: w.s.epoch}), nil
	}
	if slotOff, ok := w.frame(addr); ok {
		return w.loadSlot(slotOff, size), nil
	}
	w.reads = append(w.reads, read{addr, in.at, in.special == "__ex_table"})
	return pool.cons(node{op: "load", k: size * 8, a: addr, b: w.s.epoch}), nil
}

// frame gives the offset of an address in the function's own frame.
func (w *walker) frame(addr term) (int64, bool) {
	base, off := w.p.offset(addr)
	return int64(off), w.p.nodes[base].op == "frame"
}

// loadSlot reads the frame. What was not stored there by instructions of the
// function that are known is unknown; arguments on the stack are the caller's.
func (w *walker) loadSlot(k int64, size uint64) term {
	pool, half := w.p, w.m()
	if slot, ok := half.slots[k]; ok && slot.size >= size {
		return pool.low(size*8, slot.val)
	}
	if w.overlaps(k, size) {
		return pool.unknownAt("stack", w.side, w.at, w.s.epoch)
	}
	if k >= 8 {
		return pool.cons(node{op: "stackarg", k: size*8 | uint64(k)<<8})
	}
	if w.s.escaped {
		if w.side == 1 && *w.delta != nil {
			k -= **w.delta
		}
		return pool.cons(node{op: "load", k: size * 8, a: pool.plus(pool.symbol("(frame)"), uint64(k)), b: w.s.epoch})
	}
	return pool.unknownAt("stack", w.side, w.at, w.s.epoch)
}

func (w *walker) overlaps(k int64, size uint64) bool {
	for off, slot := range w.m().slots {
		if off < k+int64(size) && k < off+int64(slot.size) {
			return true
		}
	}
	return false
}

func (w *walker) storeSlot(k int64, size uint64, v term, private bool) {
	half := w.m()
	for _, off := range half.offsets() {
		kept := half.slots[off]
		if off < k+int64(size) && k < off+int64(kept.size) {
			delete(half.slots, off)
			if off < k || off+int64(kept.size) > k+int64(size) { // the rest of a larger one
				for at := off; at < off+int64(kept.size); at++ {
					if at < k || at >= k+int64(size) {
						half.slots[at] = slot{size: 1, val: w.p.cons(node{op: "byte", k: uint64(at - off),
							a: kept.val})}
					}
				}
			}
		}
	}
	half.slots[k] = slot{size: size, val: v, private: private}
}
