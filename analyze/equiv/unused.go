package equiv

import "github.com/klpforge/klpforge/analyze/machine"

// unused reports whether nothing reads the register that an instruction sets:
// on every path, as far as a bounded search sees, it is set anew before. It errs
// towards used.
func (b *body) unused(in *insn, reg machine.Num) bool { return b.unread(in.next(), reg, search{}) }

// search says what else is known while readers of a register are looked for.
type search struct {
	// callees tells how many registers for parameters a called function reads, -1 when
	// that is not known; nil when it is of none.
	callees func(string) int
	// results are registers that a return reads besides that of the result.
	results machine.RegSet
}

// unread is unused from a place on.
func (b *body) unread(from place, reg machine.Num, s search) bool {
	const most = 300
	seen := map[place]bool{}
	work := []place{from}
	for rounds := 0; len(work) > 0; rounds++ {
		if rounds > most {
			return false
		}
		at := work[len(work)-1]
		work = work[:len(work)-1]
		if seen[at] {
			continue
		}
		seen[at] = true

		next, read := b.readBy(at, reg, s)
		if read {
			return false
		}
		work = append(work, next...)
	}
	return true
}

// readBy reports whether the instruction at a place may read a register, and else
// where to look on: nowhere when it sets the register.
func (b *body) readBy(at place, reg machine.Num, s search) (next []place, read bool) {
	in, err := b.at(at)
	if err != nil {
		return nil, true
	}
	if s.callees != nil && in.special == ".altinstructions" {
		return nil, true // what the kernel puts there may read anything
	}
	effects := in.Effects()
	if effects.Reads.Has(reg) {
		return nil, true
	}

	switch in.Op {
	case machine.Call:
		return b.readByCall(in, reg, s)
	case machine.Return, machine.SystemReturn:
		return nil, reg == retReg || s.results.Has(reg)
	case machine.Jump, machine.JumpIf:
		to, other, err := b.target(in)
		switch {
		case err != nil:
			return nil, true
		case other != nil:
			if reg == retReg || s.results.Has(reg) || readByOther(other.name, reg, s) {
				return nil, true // the result of a return, perhaps; else it is not looked at
			}
		default:
			next = append(next, to)
		}
		if in.Op == machine.Jump {
			return next, false
		}
	}
	if effects.Replaced().Has(reg) {
		return nil, false
	}
	return append(next, in.next()), false
}

// readByCall is readBy for a call.
func (b *body) readByCall(in *insn, reg machine.Num, s search) (next []place, read bool) {
	name := "" // through a pointer
	if in.Args[0].Kind == machine.KindRel {
		_, to, err := b.target(in)
		if err != nil {
			return nil, true
		}
		if to != nil {
			name = to.name
		}
	}
	callee := convention.Callee(name)
	if callee.Kind == machine.CalleeHook {
		return []place{in.next()}, false
	}
	if readByOther(name, reg, s) {
		return nil, true
	}
	if callee.Changed.Has(reg) {
		return nil, false
	}
	return []place{in.next()}, false
}

// readByOther reports whether a function may read a register that it is entered
// with. Its name is "" when it is not known.
func readByOther(name string, reg machine.Num, s search) bool {
	callee := convention.Callee(name)
	if callee.Kind == machine.CalleeReturn {
		return reg == retReg
	}
	if reg == callee.Via {
		return true
	}
	arg, isArg := convention.ArgOf(reg)
	if s.callees != nil && name != "" {
		callees := s.callees(name)
		return callees < 0 || isArg && arg < callees
	}
	return isArg
}
