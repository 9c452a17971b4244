package locks

import (
	"github.com/klpforge/klpforge/analyze/model"
	"golang.org/x/arch/x86/x86asm"
)

// regSet is a set of registers by number.
type regSet uint32

const (
	allRegs  regSet = 1<<16 - 1
	argSet   regSet = 1<<rdi | 1<<rsi | 1<<rdx | 1<<rcx | 1<<r8 | 1<<r9
	callSet  regSet = argSet | 1<<rax | 1<<r10 | 1<<r11
	stackSet regSet = 1 << rsp
)

// liveness finds, for every block, the registers whose value at its start may
// still matter. What is dead is forgotten when states meet, so that it does
// not keep them apart.
func (w *walker) liveness() {
	n := len(w.blocks)
	w.live = make([]regSet, n)
	use, def := make([]regSet, n), make([]regSet, n)
	for i := range w.blocks {
		b := &w.blocks[i]
		for k := range b.code {
			u, d := uses(&b.code[k])
			use[i] |= u &^ def[i]
			def[i] |= d
		}
		switch b.term {
		case model.TermReturn:
			use[i] |= (1<<rax | stackSet) &^ def[i]
		case model.TermTail, model.TermCondTail, model.TermIndirect, model.TermUnknown:
			use[i] |= (argSet | 1<<rax | stackSet) &^ def[i]
		case model.TermCond:
			if len(b.edges) == 1 {
				use[i] |= (1<<rax | stackSet) &^ def[i]
			}
		}
	}
	for changed := true; changed; {
		changed = false
		for i := n - 1; i >= 0; i-- {
			var out regSet
			for _, e := range w.blocks[i].edges {
				out |= w.live[e.To]
			}
			if in := use[i] | out&^def[i]; in != w.live[i] {
				w.live[i] = in
				changed = true
			}
		}
	}
}

// uses returns the registers that an instruction reads, and those it writes
// as a whole.
func uses(in *model.Inst) (use, def regSet) {
	if !in.Known {
		return allRegs, 0
	}
	reg := func(a x86asm.Arg) (regSet, bool) {
		if r, ok := a.(x86asm.Reg); ok {
			if n, size, _, ok := regOf(r); ok {
				return 1 << n, size >= 4
			}
		}
		return 0, false
	}
	for i, a := range in.Args {
		switch a := a.(type) {
		case x86asm.Mem:
			if n, _, _, ok := regOf(a.Base); ok && a.Base != 0 && a.Base != x86asm.RIP {
				use |= 1 << n
			}
			if n, _, _, ok := regOf(a.Index); ok && a.Index != 0 {
				use |= 1 << n
			}
		case x86asm.Reg:
			r, whole := reg(a)
			if i > 0 || !writesOnly(in.Op) {
				use |= r
			}
			if i == 0 && whole && writesOnly(in.Op) {
				def |= r
			}
		}
	}
	switch in.Op {
	case x86asm.XOR, x86asm.SUB, x86asm.SBB:
		if a, ok := reg(in.Args[0]); ok && in.Args[0] == in.Args[1] {
			return use &^ a, a
		}
	case x86asm.CALL:
		return use | argSet | stackSet, callSet
	case x86asm.PUSH, x86asm.POP, x86asm.PUSHFQ, x86asm.POPFQ, x86asm.PUSHF, x86asm.POPF:
		use |= stackSet
	case x86asm.LEAVE:
		use |= 1 << rbp
	case x86asm.CDQE, x86asm.CWDE, x86asm.CDQ, x86asm.CQO, x86asm.CWD, x86asm.SCASB, x86asm.SCASD, x86asm.STOSB, x86asm.STOSD, x86asm.STOSQ,
		x86asm.MUL, x86asm.IMUL, x86asm.DIV, x86asm.IDIV, x86asm.CMPXCHG, x86asm.CMPXCHG8B, x86asm.CMPXCHG16B:
		use |= 1<<rax | 1<<rdx | 1<<rdi | 1<<rcx | 1<<rbx
	case x86asm.MOVSB, x86asm.MOVSQ, x86asm.MOVSW, x86asm.LODSB, x86asm.LODSD, x86asm.LODSQ, x86asm.CMPSB:
		use |= 1<<rsi | 1<<rdi | 1<<rcx
	}
	return use, def
}

// writesOnly reports whether an operation does not read its first operand.
func writesOnly(op x86asm.Op) bool {
	switch op {
	case x86asm.MOV, x86asm.MOVZX, x86asm.MOVSX, x86asm.MOVSXD, x86asm.LEA, x86asm.POP:
		return true
	}
	return false
}
