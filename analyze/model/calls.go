package model

import (
	"slices"

	"github.com/klpforge/klpforge/analyze/machine"
)

// call records a direct call and reports whether it is known not to return.
func (s *scanner) call(site, target uint64, regs *argRegs) bool {
	build := s.b
	call := Call{Site: site, Caller: s.fn, Via: NoFunc, Kind: CallDirect}
	call.Target = build.funcAt(target)
	if call.Target == NoFunc {
		s.out.calls = append(s.out.calls, call)
		return false
	}
	fn := &build.m.Funcs[call.Target]
	switch {
	case build.indirectThunk[call.Target]:
		call.Kind, call.Via, call.Target = CallIndirect, call.Target, NoFunc
		s.out.flags |= FuncIndirect
	case fn.Flags&FuncTrampoline != 0:
		call.Kind, call.Via, call.Target = CallStatic, call.Target, build.trampoline[call.Target]
	default:
		call.Interior = target != fn.Addr
	}
	s.out.calls = append(s.out.calls, call)
	regs.flush(s, site)
	return call.Target != NoFunc && !call.Interior && build.noReturn[call.Target]
}

// tail records a jump out of the function and says how it ends the block.
func (s *scanner) tail(site, target uint64, regs *argRegs) ctl {
	build := s.b
	call := Call{Site: site, Caller: s.fn, Via: NoFunc, Kind: CallTail}
	call.Target = build.funcAt(target)
	if call.Target == NoFunc {
		s.out.flags |= FuncUnknown
		return ctl{term: TermUnknown}
	}
	fn := &build.m.Funcs[call.Target]
	switch {
	case build.returnThunk[call.Target]:
		return ctl{term: TermReturn}
	case build.indirectThunk[call.Target]:
		call.Kind, call.Via, call.Target = CallTailInd, call.Target, NoFunc
		s.out.flags |= FuncIndirect
		s.out.calls = append(s.out.calls, call)
		return s.indirectEnd()
	case fn.Flags&FuncTrampoline != 0:
		call.Kind, call.Via, call.Target = CallStaticEnd, call.Target, build.trampoline[call.Target]
	default:
		call.Interior = target != fn.Addr
	}
	s.out.calls = append(s.out.calls, call)
	if regs != nil {
		regs.flush(s, site)
	}
	return ctl{term: TermTail}
}

// indirect records a call or jump through a register or memory.
func (s *scanner) indirect(in *machine.Inst, jump bool) {
	call := Call{Site: in.Addr, Caller: s.fn, Target: NoFunc, Via: NoFunc, Kind: CallIndirect}
	if jump {
		call.Kind = CallTailInd
	}
	if to := &in.Args[0]; to.Kind == machine.KindMem && to.Mem.Seg == machine.SegNone {
		if slot, ok := in.FixedAddr(to.Mem); ok {
			call.Slot = slot
			if s.b.pvOps.Contains(slot) {
				call.Kind = CallParavirt
				if word, err := s.b.p.Read(slot, 8); err == nil {
					call.Target = s.b.entryAt(le.Uint64(word))
				}
			}
		}
	}
	if call.Kind != CallParavirt {
		s.out.flags |= FuncIndirect
	}
	s.out.calls = append(s.out.calls, call)
}

// indirectEnd is the end of a block with an indirect jump: a computed goto in
// functions that data holds inner addresses of, a tail call elsewhere.
func (s *scanner) indirectEnd() ctl { return ctl{term: TermIndirect} }

// altTargets lists where replacements of the instruction at a jump to; 0
// stands for a replacement that does not jump.
func (s *scanner) altTargets(addr uint64) []uint64 {
	alts := s.b.tab.alt[addr]
	if len(alts) == 0 {
		return nil
	}
	var out []uint64
	for _, alt := range alts {
		to, _ := s.b.p.branchAt(alt.repl, alt.replLen, machine.Jump)
		out = append(out, to)
	}
	if slices.IndexFunc(out, func(t uint64) bool { return t != 0 }) < 0 {
		if _, jumps := s.b.p.branchAt(addr, maxInst, machine.Jump); !jumps {
			return nil // nothing here transfers control
		}
	}
	return out
}

func (s *scanner) withAlts(kind ctl, alts []uint64) ctl {
	for _, to := range alts {
		switch {
		case to == 0:
			kind.falls = true
		case s.own(to):
			kind.add(to, EdgeAlt)
		default:
			s.tail(kind.site, to, nil)
		}
	}
	if kind.term == TermJump && (kind.falls || kind.nto > 1) {
		kind.term = TermCond
	}
	return kind
}

// altCall records a call that a replacement of the instruction at a makes.
func (s *scanner) altCall(addr uint64, alt altInsn) {
	target, ok := s.b.p.branchAt(alt.repl, alt.replLen, machine.Call)
	if !ok {
		return
	}
	callee := s.b.funcAt(target)
	if callee == NoFunc || s.b.indirectThunk[callee] {
		return
	}
	s.out.calls = append(s.out.calls, Call{Site: addr, Caller: s.fn, Target: callee, Via: NoFunc, Kind: CallAlt})
}
