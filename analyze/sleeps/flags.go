package sleeps

import (
	"golang.org/x/arch/x86/x86asm"

	"github.com/klpforge/klpforge/analyze/model"
)

// value is what a register holds, as far as GFP flags are concerned.
type value struct {
	kind uint8
	c    int64 // valConst: the constant; valArg: the argument's number
}

const (
	valTop   uint8 = iota // anything
	valConst              // only the bit direct is certain once it was masked
	valArg
)

type regs [16]value

// argRegs are the registers of the first six arguments (System V AMD64 ABI),
// as the processor numbers them.
var argRegs = [6]int{7, 6, 2, 1, 8, 9}

// scratch are the registers that a call may change.
var scratch = []int{0, 1, 2, 6, 7, 8, 9, 10, 11}

// arguments follows constants and the function's own arguments through its
// registers, along all paths, and returns what its calls are given.
func (a *analysis) arguments(id model.FuncID) map[uint64]*[6]value {
	m := a.m
	blocks := m.Blocks(id)
	out := map[uint64]*[6]value{}
	if len(blocks) == 0 {
		return out
	}
	in := make([]*regs, len(blocks))
	in[0] = &regs{}
	for i, r := range argRegs {
		in[0][r] = value{valArg, int64(i)}
	}
	calls := map[uint64]bool{} // whether the call leaves registers alone
	for _, c := range m.Calls(id) {
		calls[c.Site] = c.Target != model.NoFunc && keeps[m.Func(c.Target).Name]
	}
	work := []int32{0}
	for len(work) > 0 {
		k := work[0]
		work = work[1:]
		s := *in[k]
		for x := range m.Instructions(&blocks[k]) {
			keep, call := calls[x.Addr]
			if call {
				var v [6]value
				for i, r := range argRegs {
					v[i] = s[r]
				}
				out[x.Addr] = &v // the last round has joined all paths
			}
			if !keep {
				s.step(&x)
			}
		}
		for _, e := range m.Edges(&blocks[k]) {
			if in[e.To] == nil {
				c := s
				in[e.To] = &c
				work = append(work, e.To)
				continue
			}
			merged, changed := *in[e.To], false
			for r := range merged {
				if merged[r].kind != valTop && merged[r] != s[r] {
					merged[r], changed = value{}, true
				}
			}
			if changed {
				in[e.To] = &merged
				work = append(work, e.To)
			}
		}
	}
	return out
}

// keeps are functions that leave all registers alone.
var keeps = names("__fentry__ preempt_schedule_thunk preempt_schedule_notrace_thunk")

// number returns a general register's number and size in bytes.
func number(a x86asm.Arg) (n, size int, ok bool) {
	r, is := a.(x86asm.Reg)
	if !is {
		return 0, 0, false
	}
	switch {
	case r >= x86asm.AL && r <= x86asm.BL:
		return int(r - x86asm.AL), 1, true
	case r >= x86asm.AH && r <= x86asm.BH:
		return int(r - x86asm.AH), 1, true
	case r >= x86asm.SPB && r <= x86asm.DIB:
		return int(r-x86asm.SPB) + 4, 1, true
	case r >= x86asm.R8B && r <= x86asm.R15B:
		return int(r-x86asm.R8B) + 8, 1, true
	case r >= x86asm.AX && r <= x86asm.R15W:
		return int(r - x86asm.AX), 2, true
	case r >= x86asm.EAX && r <= x86asm.R15L:
		return int(r - x86asm.EAX), 4, true
	case r >= x86asm.RAX && r <= x86asm.R15:
		return int(r - x86asm.RAX), 8, true
	}
	return 0, 0, false
}

// step follows one instruction.
func (s *regs) step(in *model.Inst) {
	if !in.Known {
		*s = regs{}
		return
	}
	switch in.Op {
	case x86asm.CALL:
		for _, r := range scratch {
			s[r] = value{}
		}
		return
	case x86asm.CMP, x86asm.TEST, x86asm.PUSH, x86asm.NOP, x86asm.JMP, x86asm.BT:
		return
	case x86asm.XCHG, x86asm.XADD:
		if n, _, ok := number(in.Args[1]); ok {
			s[n] = value{}
		}
	case x86asm.MUL, x86asm.IMUL, x86asm.DIV, x86asm.IDIV, x86asm.CDQ, x86asm.CQO, x86asm.RDTSC, x86asm.CMPXCHG, x86asm.CPUID, x86asm.RDMSR:
		s[0], s[2] = value{}, value{}
		if in.Op == x86asm.CPUID {
			s[1], s[3] = value{}, value{}
		}
	case x86asm.MOVSB, x86asm.MOVSD, x86asm.MOVSQ, x86asm.STOSB, x86asm.STOSD, x86asm.STOSQ, x86asm.MOVSW, x86asm.STOSW:
		s[1], s[6], s[7] = value{}, value{}, value{}
		return
	}
	n, size, ok := number(in.Args[0])
	if !ok {
		return
	}
	was := s[n]
	s[n] = value{}
	imm, isImm := in.Args[1].(x86asm.Imm)
	m, msize, isReg := number(in.Args[1])
	if r, _ := in.Args[0].(x86asm.Reg); r >= x86asm.AH && r <= x86asm.BH {
		imm <<= 8
	}
	switch {
	case in.Op == x86asm.XOR && isReg && m == n && size >= 4:
		s[n] = value{valConst, 0}
	case in.Op == x86asm.MOV && isImm && size >= 4:
		s[n] = value{valConst, int64(imm)}
	case in.Op == x86asm.MOV && isReg && size >= 4 && msize >= 4:
		s[n] = s[m]
		if m == n {
			s[n] = was
		}
	case in.Op == x86asm.OR && isImm:
		s[n] = was.or(int64(imm))
	case in.Op == x86asm.AND && isImm && size >= 4:
		s[n] = was.and(int64(imm))
	case in.Op == x86asm.OR && isReg && size >= 4 && s[m].kind == valConst:
		s[n] = was.or(s[m].c)
	case in.Op == x86asm.AND && isReg && size >= 4 && s[m].kind == valConst:
		s[n] = was.and(s[m].c)
	}
}

func (v value) or(c int64) value {
	switch {
	case v.kind == valConst:
		return value{valConst, v.c | c}
	case c&direct != 0:
		return value{valConst, direct}
	}
	return v
}

func (v value) and(c int64) value {
	switch {
	case v.kind == valConst:
		return value{valConst, v.c & c}
	case c&direct == 0:
		return value{valConst, 0}
	}
	return v
}
