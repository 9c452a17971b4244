package equiv

import (
	"strings"

	"golang.org/x/arch/x86/x86asm"
)

// eventKind says what an instruction does that others can see, or where control
// divides.
type eventKind uint8

const (
	evNone eventKind = iota
	evBranch
	evStore
	evCall
	evReturn
	evTrap
	evOther // has an effect that only its own name tells
	evLoad  // reads memory and drops the value: a register of a device
)

// event is one such thing.
type event struct {
	kind eventKind
	in   *insn
	// evBranch: whether cond (or, with not, its contrary) holds decides for yes.
	cond    term
	not     bool
	yes, no place
	// evStore, evLoad
	addr, val term
	size      uint64 // bytes
	// evCall: to names the function, or val is its address.
	to   string
	tail bool
	// evOther: what it does and with which values; outs are the registers that it
	// sets.
	what string
	args []term
	outs []int
	next place
}

// walker executes one side.
type walker struct {
	p    *pool
	b    *body
	side int
	s    *state // the machine and the epoch of
	at   place
	// reads are the addresses that were read since the last event, and by which
	// instruction.
	reads []read
	// facts hold for this side alone, in place of the state's; nil for those.
	facts []fact
	// delta is the walk's: from a place in the old frame to the same in the new one's.
	delta **int64
	steps int
}

type read struct {
	addr term
	at   place
	may  bool // a fault is caught
}

func (w *walker) m() *machine { return &w.s.m[w.side] }

const maxStraight = 4000 // instructions without an event

// advance executes what nobody can see, up to the next event.
func (w *walker) advance() (*event, error) {
	if w.at.piece < 0 {
		return &event{kind: evReturn, in: &insn{at: w.at}}, nil
	}
	for n := 0; ; n++ {
		if n > maxStraight {
			return nil, refuse(w.at, "a loop without effect")
		}
		w.steps++
		in, err := w.b.at(w.at)
		if err != nil {
			return nil, err
		}
		ev, err := w.step(in)
		if err != nil || ev != nil {
			return ev, err
		}
	}
}

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

// set writes an operand. The event is a store that others can see.
func (w *walker) set(in *insn, a x86asm.Arg, width uint64, v term) (*event, error) {
	p, m := w.p, w.m()
	if n, rw, high, ok := regOf(a); ok {
		switch {
		case high:
			m.regs[n] = p.cons(node{op: "insh", a: m.regs[n], b: p.low(8, v)})
		case rw < 32:
			m.regs[n] = p.cons(node{op: "ins", k: rw, a: m.regs[n], b: p.low(rw, v)})
		default:
			m.regs[n] = p.low(rw, v)
		}
		return nil, nil
	}
	mem, ok := a.(x86asm.Mem)
	if !ok {
		return nil, refuse(in.at, "an operand that is not known (%v)", in.Inst)
	}
	addr, gs, err := w.address(in, mem)
	if err != nil {
		return nil, err
	}
	if k, ok := w.frame(addr); ok && !gs {
		v = p.low(width, v)
		w.storeSlot(k, width/8, v, p.nodes[v].op == "gsload" && p.nodes[p.nodes[v].a].k == canary && p.nodes[v].b == 0)
		return nil, nil
	}
	ev := &event{kind: evStore, in: in, addr: addr, val: p.low(width, v), size: width / 8, next: in.next()}
	if gs {
		ev.what = "gs"
	}
	return ev, nil
}

// step executes one instruction. Without an event, the walker stands at the
// next one.
func (w *walker) step(in *insn) (*event, error) {
	for _, pre := range in.Prefix {
		switch pre & 0xff {
		case 0:
		case x86asm.PrefixLOCK:
			return w.atomic(in)
		case x86asm.PrefixREP, x86asm.PrefixREPN:
			if !strings.HasPrefix(in.Op.String(), "STOS") && !strings.HasPrefix(in.Op.String(), "MOVS") && in.Op != x86asm.PAUSE && in.Op != x86asm.RET &&
				in.Op != x86asm.TZCNT && in.Op != x86asm.LZCNT && in.Op != x86asm.POPCNT && in.Op != x86asm.NOP && in.Op != x86asm.BSF && in.Op != x86asm.BSR && in.Op != x86asm.JMP && in.Op != x86asm.CALL {
				return nil, refuse(in.at, "an instruction that is not known (%v)", in.Inst)
			}
		}
	}
	switch in.special {
	case "__ex_table":
		return nil, refuse(in.at, "an access to user space or another one whose fault is caught")
	case "__jump_table":
		if in.site.key == nil {
			return nil, refuse(in.at, "a static key that has no name on both sides")
		}
		// What a key says may change at any time: it is asked for each time anew.
		key := w.p.cons(node{op: "key", s: in.site.key.name, k: in.site.key.off, a: w.s.epoch})
		return &event{kind: evBranch, in: in, cond: key, not: in.site.branch, yes: in.site.target, no: in.next()}, nil
	case ".altinstructions":
		return nil, refuse(in.at, "an alternative that the kernel chooses when it boots")
	}
	if ev, done, err := w.control(in); done {
		return ev, err
	}
	ev, err := w.compute(in)
	if ev == nil {
		w.at = in.next()
	}
	return ev, err
}

// control executes what decides where control goes.
func (w *walker) control(in *insn) (ev *event, done bool, err error) {
	p, m := w.p, w.m()
	switch in.Op {
	case x86asm.JMP, x86asm.CALL:
		tail := in.Op == x86asm.JMP
		if _, ok := in.Args[0].(x86asm.Rel); !ok {
			if tail {
				return nil, true, refuse(in.at, "a jump through a pointer")
			}
			v, err := w.get(in, in.Args[0], 64)
			if in.special == ".parainstructions" {
				return nil, true, refuse(in.at, "a call that the kernel rewrites when it boots")
			}
			return &event{kind: evCall, in: in, val: v, next: in.next()}, true, err
		}
		at, to, err := w.b.target(in)
		if err != nil {
			return nil, true, err
		}
		if to == nil && (!tail || at == place{}) {
			if at != (place{}) {
				return nil, true, refuse(in.at, "a call into its own code")
			}
			to = &ref{name: w.b.name, piece: -1}
			if tail && in.at.off == 0 {
				return nil, true, refuse(in.at, "a loop without effect")
			}
			if tail {
				w.at = at
				return nil, true, nil
			}
		}
		if to == nil {
			w.at = at
			return nil, true, nil
		}
		switch {
		case to.off != 0:
			return nil, true, refuse(in.at, "a call into the middle of %s", to.name)
		case to.name == "__fentry__" || to.name == "__cfi_check":
			w.at = in.next()
			return nil, true, nil
		case tail && strings.HasSuffix(to.name, "_return_thunk"):
			return &event{kind: evReturn, in: in}, true, nil
		}
		if reg, ok := strings.CutPrefix(to.name, "__x86_indirect_thunk_"); ok {
			for n, name := range regNames {
				if name == reg {
					return &event{kind: evCall, in: in, val: m.regs[n], tail: tail, next: in.next()}, true, nil
				}
			}
		}
		return &event{kind: evCall, in: in, to: to.name, tail: tail, next: in.next()}, true, nil
	case x86asm.RET:
		return &event{kind: evReturn, in: in}, true, nil
	case x86asm.UD2:
		return &event{kind: evTrap, in: in, what: in.special + in.extra, next: in.next()}, true, nil
	}
	if cc, ok := jumps[in.Op]; ok {
		at, to, err := w.b.target(in)
		if err != nil {
			return nil, true, err
		}
		if to != nil {
			return nil, true, refuse(in.at, "a conditional jump to %s", to.name)
		}
		cond, not := p.condition(cc, m.flags)
		return &event{kind: evBranch, in: in, cond: cond, not: not, yes: at, no: in.next()}, true, nil
	}
	return nil, false, nil
}
