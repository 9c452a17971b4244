package sleeps

import (
	"slices"

	"golang.org/x/arch/x86/x86asm"

	"github.com/klpforge/klpforge/analyze/fields"
	"github.com/klpforge/klpforge/analyze/model"
)

// value is what a register holds, as far as GFP flags and addresses of
// functions are concerned.
type value struct {
	kind uint8
	c    int64 // valConst: the constant; valArg: the argument's number; valSlot: an address
}

const (
	valTop   uint8 = iota // anything
	valConst              // only the bit direct is certain once it was masked
	valArg
	valSlot // what is stored at a fixed address
)

// passed is what a call is given.
type passed struct {
	args   [6]value
	callee value // of a call through a pointer
}

type regs [16]value

// argRegs are the registers of the first six arguments (System V AMD64 ABI),
// as the processor numbers them.
var argRegs = [6]int{7, 6, 2, 1, 8, 9}

// scratch are the registers that a call may change.
var scratch = []int{0, 1, 2, 6, 7, 8, 9, 10, 11}

// given6 returns the arguments of a call, nil when they are not known.
func (a *analysis) given6(id model.FuncID, site uint64) *[6]value {
	if p := a.site(id, site); p != nil {
		return &p.args
	}
	return nil
}

// site returns what a call is given, nil when it is not known.
func (a *analysis) site(id model.FuncID, site uint64) *passed {
	of, ok := a.passed[id]
	if !ok {
		of = arguments(a.m, id)
		a.passed[id] = of
	}
	return of[site]
}

// arguments returns what the calls of a function are given.
func arguments(m *model.Model, id model.FuncID) map[uint64]*passed {
	out := map[uint64]*passed{}
	via := map[uint64]int{} // registers that thunks call
	calls := m.Calls(id)
	for i := range calls {
		c := &calls[i]
		via[c.Site] = -1
		if c.Target == model.NoFunc && c.Via != model.NoFunc {
			if word, ok := model.ThunkRegister(m.Func(c.Via).Name); ok {
				via[c.Site] = slices.Index(regNames, word)
			}
		}
	}
	follow(m, id, func(in *model.Inst, s *regs) {
		reg, call := via[in.Addr]
		if !call {
			return
		}
		var p passed
		for i, r := range argRegs {
			p.args[i] = s[r]
		}
		switch x := in.Args[0].(type) {
		case x86asm.Mem:
			if at, ok := in.MemAddr(x); ok && x.Segment == 0 {
				p.callee = value{valSlot, int64(at)}
			}
		case x86asm.Reg:
			if n, size, ok := number(x); ok && size == 8 {
				p.callee = s[n]
			}
		default:
			if reg >= 0 {
				p.callee = s[reg]
			}
		}
		out[in.Addr] = &p // the last round has joined all paths
	})
	return out
}

var regNames = []string{"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15"}

// follow follows constants, the function's own arguments and what is loaded
// from fixed addresses through registers, along all paths. visit is called
// before each instruction, more than once; the last time all paths are joined.
func follow(m *model.Model, id model.FuncID, visit func(in *model.Inst, s *regs)) {
	blocks := m.Blocks(id)
	if len(blocks) == 0 {
		return
	}
	in := make([]*regs, len(blocks))
	in[0] = &regs{}
	for i, r := range argRegs {
		in[0][r] = value{valArg, int64(i)}
	}
	keep := map[uint64]bool{}
	for _, c := range m.Calls(id) {
		if c.Target != model.NoFunc && keeps[m.Func(c.Target).Name] {
			keep[c.Site] = true
		}
	}
	work := []int32{0}
	for len(work) > 0 {
		k := work[0]
		work = work[1:]
		s := *in[k]
		for x := range m.Instructions(&blocks[k]) {
			visit(&x, &s)
			if !keep[x.Addr] {
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
}

// keeps are functions that leave all registers alone.
var keeps = names("__fentry__ preempt_schedule_thunk preempt_schedule_notrace_thunk")

// number returns a general register's number and size in bytes.
func number(a x86asm.Arg) (n, size int, ok bool) {
	r, is := a.(x86asm.Reg)
	if !is {
		return 0, 0, false
	}
	return fields.Reg(r)
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
	case in.Op == x86asm.LEA && size == 8:
		if at, ok := memAddr(in, 1); ok {
			s[n] = value{valConst, int64(at)}
		}
	case in.Op == x86asm.MOV && size == 8 && in.MemBytes == 8:
		if at, ok := memAddr(in, 1); ok {
			s[n] = value{valSlot, int64(at)}
		}
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

// memAddr returns the fixed address of a memory operand.
func memAddr(in *model.Inst, arg int) (uint64, bool) {
	x, ok := in.Args[arg].(x86asm.Mem)
	if !ok || x.Segment != 0 {
		return 0, false
	}
	return in.MemAddr(x)
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
