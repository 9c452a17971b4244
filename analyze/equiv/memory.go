package equiv

import "github.com/klpforge/klpforge/analyze/machine"

// bitAnywhere tests a bit of memory whose number may be beyond the operand.
func (w *walker) bitAnywhere(in *insn, mem machine.Mem, width uint64) error {
	addr, gs, err := w.address(in, mem)
	if err != nil {
		return err
	}
	if _, own := w.frame(addr); own || gs {
		return refuse(in.at, "a test of a bit anywhere in its own frame or the processor's data")
	}
	index, err := w.get(in, 1, width)
	if err != nil {
		return err
	}
	w.reads = append(w.reads, read{addr, in.at, true}) // where it reads depends on the number
	w.m().flags = w.p.cons(node{op: "bit", k: width, a: w.p.cons(node{op: "bits", a: addr, b: w.s.epoch}),
		b: w.p.sext(width, 64, index)})
	return nil
}

// atomic is an instruction that reads and writes memory at once.
func (w *walker) atomic(in *insn) (*event, error) {
	ev := &event{kind: evOther, in: in, what: "locked " + nameOf(in), next: in.next()}
	width := widthOf(in)
	ev.size = width / 8
	mems := 0
	for nth := range in.Args {
		switch operand := &in.Args[nth]; operand.Kind {
		case machine.KindMem:
			addr, gs, err := w.address(in, operand.Mem)
			if err != nil {
				return nil, err
			}
			if _, own := w.frame(addr); own {
				// lock addl $0,-4(%rsp) is how the kernel writes a barrier.
				if by := &in.Args[1]; by.Kind == machine.KindImm && by.Imm == 0 && in.imm == nil && in.Op == machine.Add {
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
		case machine.KindReg, machine.KindImm:
			val, err := w.get(in, nth, width)
			if err != nil {
				return nil, err
			}
			ev.args = append(ev.args, val)
		}
	}
	switch in.Op {
	case machine.CompareExchange:
		ev.args = append(ev.args, w.p.low(width, w.m().regs[retReg]))
		ev.outs = []machine.Num{retReg}
	case machine.ExchangeAdd, machine.Exchange:
		for i := range in.Args[:2] {
			if reg, rw, high, ok := general(&in.Args[i]); ok {
				if rw < 32 || high {
					return nil, notKnown(in)
				}
				ev.outs = []machine.Num{reg}
			}
		}
	case machine.Add, machine.Sub, machine.And, machine.Or, machine.Xor, machine.Increment, machine.Decrement,
		machine.Negate, machine.Not:
	case machine.BitSet, machine.BitReset, machine.BitFlip:
		if in.Args[1].Kind != machine.KindImm && mems == 1 {
			ev.what += " anywhere" // the address and the number are compared
		}
	default:
		return nil, notKnown(in)
	}
	if mems != 1 {
		return nil, notKnown(in)
	}
	return ev, nil
}

// text is a string instruction.
func (w *walker) text(in *insn) (*event, error) {
	pool, half := w.p, w.m()
	size := uint64(in.Size)
	count := pool.constant(1)
	if in.Repeat {
		count = half.regs[machine.RCX]
	}
	times, fixed := pool.isConst(count)
	slotOff, own := w.frame(half.regs[machine.RDI])
	moves := in.Op == machine.StringMove
	if moves {
		if _, from := w.frame(half.regs[machine.RSI]); from || own {
			return nil, refuse(in.at, "a copy to or from its own frame")
		}
	}

	if own {
		const most = 512
		if !fixed || times > most {
			return nil, refuse(in.at, "a store of unknown length to its own frame")
		}
		for nth := range times {
			w.storeSlot(slotOff+int64(nth*size), size, pool.low(size*8, half.regs[machine.RAX]), false)
		}
		half.regs[machine.RDI] = pool.plus(half.regs[machine.RDI], times*size)
		if in.Repeat {
			half.regs[machine.RCX] = pool.constant(0)
		}
		return nil, nil
	}

	ev := &event{kind: evOther, in: in, what: nameOf(in), addr: half.regs[machine.RDI], size: size, args: []term{count},
		outs: []machine.Num{machine.RDI, machine.RCX}, next: in.next()}
	if moves {
		ev.args, ev.outs = append(ev.args, half.regs[machine.RSI]), append(ev.outs, machine.RSI)
	} else {
		ev.args = append(ev.args, pool.low(size*8, half.regs[machine.RAX]))
	}
	return ev, nil
}
