package equiv

import (
	"strings"

	"github.com/klpforge/klpforge/analyze/machine"
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
	outs []machine.Num
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

func (w *walker) m() *half { return &w.s.m[w.side] }

const maxStraight = 4000 // instructions without an event

// advance executes what nobody can see, up to the next event.
func (w *walker) advance() (*event, error) {
	if w.at.piece < 0 {
		return &event{kind: evReturn, in: &insn{at: w.at}}, nil
	}
	for steps := 0; ; steps++ {
		if steps > maxStraight {
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

// set writes an operand. The event is a store that others can see.
func (w *walker) set(in *insn, i int, width uint64, v term) (*event, error) {
	pool, half := w.p, w.m()
	operand := &in.Args[i]
	if reg, rw, high, ok := general(operand); ok {
		switch {
		case high:
			half.regs[reg] = pool.cons(node{op: "insh", a: half.regs[reg], b: pool.low(8, v)})
		case rw < 32:
			half.regs[reg] = pool.cons(node{op: "ins", k: rw, a: half.regs[reg], b: pool.low(rw, v)})
		default:
			half.regs[reg] = pool.low(rw, v)
		}
		return nil, nil
	}
	if operand.Kind != machine.KindMem {
		return nil, refuse(in.at, "an operand that is not known (%s)", in.Inst.String())
	}
	addr, gs, err := w.address(in, operand.Mem)
	if err != nil {
		return nil, err
	}
	if slotOff, ok := w.frame(addr); ok && !gs {
		v = pool.low(width, v)
		w.storeSlot(slotOff, width/8, v, pool.nodes[v].op == "gsload" && pool.nodes[pool.nodes[v].a].k == canary &&
			pool.nodes[v].b == 0)
		return nil, nil
	}
	ev := &event{kind: evStore, in: in, addr: addr, val: pool.low(width, v), size: width / 8, next: in.next()}
	if gs {
		ev.what = "gs"
	}
	return ev, nil
}

// step executes one instruction. Without an event, the walker stands at the
// next one.
func (w *walker) step(in *insn) (*event, error) {
	if in.Lock {
		return w.atomic(in)
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
	pool, half := w.p, w.m()
	switch in.Op {
	case machine.Jump, machine.Call:
		tail := in.Op == machine.Jump
		if in.Args[0].Kind != machine.KindRel {
			if tail {
				return nil, true, refuse(in.at, "a jump through a pointer")
			}
			val, err := w.get(in, 0, 64)
			if in.special == ".parainstructions" {
				return nil, true, refuse(in.at, "a call that the kernel rewrites when it boots")
			}
			return &event{kind: evCall, in: in, val: val, next: in.next()}, true, err
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
		callee := convention.Callee(to.name).Kind
		switch {
		case to.off != 0:
			return nil, true, refuse(in.at, "a call into the middle of %s", to.name)
		case callee == machine.CalleeHook || to.name == "__cfi_check":
			w.at = in.next()
			return nil, true, nil
		case tail && callee == machine.CalleeReturn:
			return &event{kind: evReturn, in: in}, true, nil
		}
		if strings.HasPrefix(to.name, "__x86_indirect_thunk_") {
			if via := convention.Callee(to.name).Via; via != machine.NoReg {
				return &event{kind: evCall, in: in, val: half.regs[via], tail: tail, next: in.next()}, true, nil
			}
		}
		return &event{kind: evCall, in: in, to: to.name, tail: tail, next: in.next()}, true, nil
	case machine.Return:
		return &event{kind: evReturn, in: in}, true, nil
	case machine.Trap:
		if in.Args[0].Kind != machine.KindNone {
			break // ud1, with which compilers say more
		}
		return &event{kind: evTrap, in: in, what: in.special + in.extra, next: in.next()}, true, nil
	}
	if in.Conditional() {
		at, to, err := w.b.target(in)
		if err != nil {
			return nil, true, err
		}
		if to != nil {
			return nil, true, refuse(in.at, "a conditional jump to %s", to.name)
		}
		cond, not := pool.condition(in.Cond, half.flags)
		return &event{kind: evBranch, in: in, cond: cond, not: not, yes: at, no: in.next()}, true, nil
	}
	return nil, false, nil
}
