package equiv

import (
	"golang.org/x/arch/x86/x86asm"
)

func regOf(a x86asm.Arg) (n int, width uint64, high, ok bool) {
	r, is := a.(x86asm.Reg)
	if !is {
		return
	}
	switch {
	case r >= x86asm.AH && r <= x86asm.BH:
		return int(r - x86asm.AH), 8, true, true
	case r >= x86asm.AL && r <= x86asm.BL:
		return int(r - x86asm.AL), 8, false, true
	case r >= x86asm.SPB && r <= x86asm.DIB:
		return int(r-x86asm.SPB) + 4, 8, false, true
	case r >= x86asm.R8B && r <= x86asm.R15B:
		return int(r-x86asm.R8B) + 8, 8, false, true
	case r >= x86asm.AX && r <= x86asm.R15W:
		return int(r - x86asm.AX), 16, false, true
	case r >= x86asm.EAX && r <= x86asm.R15L:
		return int(r - x86asm.EAX), 32, false, true
	case r >= x86asm.RAX && r <= x86asm.R15:
		return int(r - x86asm.RAX), 64, false, true
	}
	return
}

// widthOf is the size of the instruction's first operand, in bits.
func widthOf(in *insn) uint64 {
	if _, width, _, ok := regOf(in.Args[0]); ok {
		return width
	}
	if in.MemBytes > 0 {
		return uint64(in.MemBytes) * 8
	}
	return uint64(in.DataSize)
}

// address computes a memory operand's address; gs is set for the processor's
// own data.
func (w *walker) address(in *insn, m x86asm.Mem) (t term, gs bool, err error) {
	p := w.p
	switch m.Segment {
	case 0, x86asm.DS, x86asm.SS, x86asm.CS, x86asm.ES:
	case x86asm.GS:
		gs = true
	default:
		return 0, false, refuse(in.at, "a segment that is not known")
	}
	if in.AddrSize != 64 {
		return 0, false, refuse(in.at, "an address of less than 64 bits")
	}
	t = p.constant(0)
	disp := uint64(m.Disp)
	if in.disp != nil {
		if in.disp.piece >= 0 {
			return 0, false, refuse(in.at, "an address in its own code")
		}
		t, disp = p.symbol(in.disp.name), in.disp.off
	}
	switch {
	case m.Base == x86asm.RIP:
		if in.disp == nil {
			return 0, false, refuse(in.at, "an address in its own code")
		}
	case m.Base != 0:
		n, _, _, ok := regOf(m.Base)
		if !ok {
			return 0, false, refuse(in.at, "an address that is not known")
		}
		t = p.add(t, w.m().regs[n])
	}
	if m.Index != 0 {
		n, _, _, ok := regOf(m.Index)
		if !ok {
			return 0, false, refuse(in.at, "an address that is not known")
		}
		i := w.m().regs[n]
		for s := m.Scale; s > 1; s /= 2 {
			i = p.shl(i, 1)
		}
		t = p.add(t, i)
	}
	return p.plus(t, disp), gs, nil
}

// get reads an operand as a value of that width.
func (w *walker) get(in *insn, a x86asm.Arg, width uint64) (term, error) {
	p := w.p
	if n, rw, high, ok := regOf(a); ok {
		v := w.m().regs[n]
		if high {
			return p.low(8, p.shr(64, v, p.constant(8))), nil
		}
		return p.low(min(rw, width), v), nil
	}
	switch a := a.(type) {
	case x86asm.Imm:
		if in.imm != nil {
			if in.imm.piece >= 0 && (in.imm.piece != 0 || in.imm.off != 0) {
				return 0, refuse(in.at, "an address in its own code")
			}
			return p.plus(p.symbol(in.imm.name), in.imm.off), nil
		}
		v := uint64(a)
		if width == 64 && v>>31 == 1 && in.Len < 10 {
			v = signed(32, v) // an immediate of 4 bytes; the decoder may leave it unsigned
		}
		return p.constant(v & mask(width)), nil
	case x86asm.Mem:
		if in.Op == x86asm.LEA {
			t, gs, err := w.address(in, a)
			if err == nil && gs {
				err = refuse(in.at, "a segment that is not known")
			}
			return t, err
		}
		return w.load(in, a, width/8)
	}
	return 0, refuse(in.at, "an operand that is not known (%v)", in.Inst)
}

// canary is where the stack protector's word is (arch/x86/include/asm/processor.h:
// struct fixed_percpu_data, v6.1).
const canary = 0x28

// load reads memory.
func (w *walker) load(in *insn, a x86asm.Mem, size uint64) (term, error) {
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
