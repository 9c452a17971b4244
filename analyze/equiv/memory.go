package equiv

import (
	"strings"

	"golang.org/x/arch/x86/x86asm"
)

// bitAnywhere tests a bit of memory whose number may be beyond the operand.
func (w *walker) bitAnywhere(in *insn, mem x86asm.Mem, width uint64) error {
	addr, gs, err := w.address(in, mem)
	if err != nil {
		return err
	}
	if _, own := w.frame(addr); own || gs {
		return refuse(in.at, "a test of a bit anywhere in its own frame or the processor's data")
	}
	n, err := w.get(in, in.Args[1], width)
	if err != nil {
		return err
	}
	w.reads = append(w.reads, read{addr, in.at, true}) // where it reads depends on the number
	w.m().flags = w.p.cons(node{op: "bit", k: width, a: w.p.cons(node{op: "bits", a: addr, b: w.s.epoch}),
		b: w.p.sext(width, 64, n)})
	return nil
}

// atomic is an instruction that reads and writes memory at once.
func (w *walker) atomic(in *insn) (*event, error) {
	ev := &event{kind: evOther, in: in, what: "locked " + in.Op.String(), next: in.next()}
	width := widthOf(in)
	ev.size = width / 8
	mems := 0
	for _, a := range in.Args {
		switch a := a.(type) {
		case x86asm.Mem:
			addr, gs, err := w.address(in, a)
			if err != nil {
				return nil, err
			}
			if _, own := w.frame(addr); own {
				// lock addl $0,-4(%rsp) is how the kernel writes a barrier.
				if imm, ok := in.Args[1].(x86asm.Imm); ok && imm == 0 && in.imm == nil && in.Op == x86asm.ADD {
					ev.what = "barrier"
					return ev, nil
				}
				return nil, refuse(in.at, "a locked instruction on its own frame")
			}
			if gs {
				ev.what += " gs"
			}
			mems++
			ev.addr = addr
		case x86asm.Reg, x86asm.Imm:
			v, err := w.get(in, a, width)
			if err != nil {
				return nil, err
			}
			ev.args = append(ev.args, v)
		}
	}
	switch in.Op {
	case x86asm.CMPXCHG:
		ev.args = append(ev.args, w.p.low(width, w.m().regs[rax]))
		ev.outs = []int{rax}
	case x86asm.XADD, x86asm.XCHG:
		for _, a := range in.Args[:2] {
			if n, rw, high, ok := regOf(a); ok {
				if rw < 32 || high {
					return nil, refuse(in.at, "an instruction that is not known (%v)", in.Inst)
				}
				ev.outs = []int{n}
			}
		}
	case x86asm.ADD, x86asm.SUB, x86asm.AND, x86asm.OR, x86asm.XOR, x86asm.INC, x86asm.DEC, x86asm.NEG, x86asm.NOT:
	case x86asm.BTS, x86asm.BTR, x86asm.BTC:
		if _, imm := in.Args[1].(x86asm.Imm); !imm && mems == 1 {
			ev.what += " anywhere" // the address and the number are compared
		}
	default:
		return nil, refuse(in.at, "an instruction that is not known (%v)", in.Inst)
	}
	if mems != 1 {
		return nil, refuse(in.at, "an instruction that is not known (%v)", in.Inst)
	}
	return ev, nil
}

// text is a string instruction.
func (w *walker) text(in *insn) (*event, error) {
	p, m := w.p, w.m()
	op := in.Op.String()
	size := map[byte]uint64{'B': 1, 'W': 2, 'D': 4, 'Q': 8}[op[len(op)-1]]
	rep := false
	for _, pre := range in.Prefix {
		rep = rep || pre&0xff == x86asm.PrefixREP
	}
	count := p.constant(1)
	if rep {
		count = m.regs[rcx]
	}
	n, fixed := p.isConst(count)
	k, own := w.frame(m.regs[rdi])
	moves := strings.HasPrefix(op, "MOVS")
	if moves {
		if _, from := w.frame(m.regs[rsi]); from || own {
			return nil, refuse(in.at, "a copy to or from its own frame")
		}
	}
	if own {
		const most = 512
		if !fixed || n > most {
			return nil, refuse(in.at, "a store of unknown length to its own frame")
		}
		for i := range n {
			w.storeSlot(k+int64(i*size), size, p.low(size*8, m.regs[rax]), false)
		}
		m.regs[rdi] = p.plus(m.regs[rdi], n*size)
		if rep {
			m.regs[rcx] = p.constant(0)
		}
		return nil, nil
	}
	ev := &event{kind: evOther, in: in, what: op, addr: m.regs[rdi], size: size, args: []term{count},
		outs: []int{rdi, rcx}, next: in.next()}
	if moves {
		ev.args, ev.outs = append(ev.args, m.regs[rsi]), append(ev.outs, rsi)
	} else {
		ev.args = append(ev.args, p.low(size*8, m.regs[rax]))
	}
	return ev, nil
}
