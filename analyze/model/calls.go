package model

import (
	"slices"

	"github.com/klpforge/klpforge/analyze/machine"
)

// call records a direct call and reports whether it is known not to return.
func (s *scanner) call(site, target uint64, regs *argRegs) bool {
	b := s.b
	c := Call{Site: site, Caller: s.fn, Via: NoFunc, Kind: CallDirect}
	c.Target = b.funcAt(target)
	if c.Target == NoFunc {
		s.out.calls = append(s.out.calls, c)
		return false
	}
	t := &b.m.Funcs[c.Target]
	switch {
	case b.indirectThunk[c.Target]:
		c.Kind, c.Via, c.Target = CallIndirect, c.Target, NoFunc
		s.out.flags |= FuncIndirect
	case t.Flags&FuncTrampoline != 0:
		c.Kind, c.Via, c.Target = CallStatic, c.Target, b.trampoline[c.Target]
	default:
		c.Interior = target != t.Addr
	}
	s.out.calls = append(s.out.calls, c)
	regs.flush(s, site)
	return c.Target != NoFunc && !c.Interior && b.noReturn[c.Target]
}

// tail records a jump out of the function and says how it ends the block.
func (s *scanner) tail(site, target uint64, regs *argRegs) ctl {
	b := s.b
	c := Call{Site: site, Caller: s.fn, Via: NoFunc, Kind: CallTail}
	c.Target = b.funcAt(target)
	if c.Target == NoFunc {
		s.out.flags |= FuncUnknown
		return ctl{term: TermUnknown}
	}
	t := &b.m.Funcs[c.Target]
	switch {
	case b.returnThunk[c.Target]:
		return ctl{term: TermReturn}
	case b.indirectThunk[c.Target]:
		c.Kind, c.Via, c.Target = CallTailInd, c.Target, NoFunc
		s.out.flags |= FuncIndirect
		s.out.calls = append(s.out.calls, c)
		return s.indirectEnd()
	case t.Flags&FuncTrampoline != 0:
		c.Kind, c.Via, c.Target = CallStaticEnd, c.Target, b.trampoline[c.Target]
	default:
		c.Interior = target != t.Addr
	}
	s.out.calls = append(s.out.calls, c)
	if regs != nil {
		regs.flush(s, site)
	}
	return ctl{term: TermTail}
}

// indirect records a call or jump through a register or memory.
func (s *scanner) indirect(in *machine.Inst, jump bool) {
	c := Call{Site: in.Addr, Caller: s.fn, Target: NoFunc, Via: NoFunc, Kind: CallIndirect}
	if jump {
		c.Kind = CallTailInd
	}
	if to := &in.Args[0]; to.Kind == machine.KindMem && to.Mem.Seg == machine.SegNone {
		if slot, ok := in.FixedAddr(to.Mem); ok {
			c.Slot = slot
			if s.b.pvOps.Contains(slot) {
				c.Kind = CallParavirt
				if w, err := s.b.p.Read(slot, 8); err == nil {
					c.Target = s.b.entryAt(le.Uint64(w))
				}
			}
		}
	}
	if c.Kind != CallParavirt {
		s.out.flags |= FuncIndirect
	}
	s.out.calls = append(s.out.calls, c)
}

// indirectEnd is the end of a block with an indirect jump: a computed goto in
// functions that data holds inner addresses of, a tail call elsewhere.
func (s *scanner) indirectEnd() ctl { return ctl{term: TermIndirect} }

// altTargets lists where replacements of the instruction at a jump to; 0
// stands for a replacement that does not jump.
func (s *scanner) altTargets(a uint64) []uint64 {
	alts := s.b.tab.alt[a]
	if len(alts) == 0 {
		return nil
	}
	var out []uint64
	for _, alt := range alts {
		to, _ := s.b.p.branchAt(alt.repl, alt.replLen, machine.Jump)
		out = append(out, to)
	}
	if slices.IndexFunc(out, func(t uint64) bool { return t != 0 }) < 0 {
		if _, jumps := s.b.p.branchAt(a, maxInst, machine.Jump); !jumps {
			return nil // nothing here transfers control
		}
	}
	return out
}

func (s *scanner) withAlts(c ctl, alts []uint64) ctl {
	for _, to := range alts {
		switch {
		case to == 0:
			c.falls = true
		case s.own(to):
			c.add(to, EdgeAlt)
		default:
			s.tail(c.site, to, nil)
		}
	}
	if c.term == TermJump && (c.falls || c.nto > 1) {
		c.term = TermCond
	}
	return c
}

// altCall records a call that a replacement of the instruction at a makes.
func (s *scanner) altCall(a uint64, alt altInsn) {
	target, ok := s.b.p.branchAt(alt.repl, alt.replLen, machine.Call)
	if !ok {
		return
	}
	t := s.b.funcAt(target)
	if t == NoFunc || s.b.indirectThunk[t] {
		return
	}
	s.out.calls = append(s.out.calls, Call{Site: a, Caller: s.fn, Target: t, Via: NoFunc, Kind: CallAlt})
}
