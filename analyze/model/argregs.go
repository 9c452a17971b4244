package model

import (
	"golang.org/x/arch/x86/x86asm"

	"github.com/klpforge/klpforge/analyze/machine"
)

// argRegs remembers, along straight-line code, which argument registers hold
// the address of a function: index 0-5 are rdi, rsi, rdx, rcx, r8, r9.
type argRegs struct {
	ref [6]int32 // 1 + index into scanned.refs, 0 for none
}

func (r *argRegs) reset() { *r = argRegs{} }

// flush attributes the functions held to a call at site.
func (r *argRegs) flush(s *scanner, site uint64) {
	if r == nil {
		return
	}
	for i, x := range r.ref {
		if x != 0 {
			ref := &s.out.refs[x-1]
			ref.Call, ref.Arg = site, int8(i)
		}
	}
}

// track follows an instruction that transfers no control: it notes addresses
// of functions being taken.
func (s *scanner) track(in *Inst, regs *argRegs) {
	switch in.Op {
	case x86asm.CLI, x86asm.STI, x86asm.POPF, x86asm.POPFD, x86asm.POPFQ, x86asm.PUSHF, x86asm.PUSHFD, x86asm.PUSHFQ:
		s.out.flags |= FuncContext
	}
	if m, ok := in.Args[0].(x86asm.Mem); ok && m.Segment == x86asm.GS {
		if a, ok := in.MemAddr(m); ok && a == s.b.preemptCount && a != 0 {
			s.out.flags |= FuncContext
		}
	}
	dst := -1
	if r, ok := in.Args[0].(x86asm.Reg); ok {
		dst = argIndex(r)
	}
	held := *regs
	regs.forget(in)
	var fn = NoFunc
	switch in.Op {
	case x86asm.MOV, x86asm.PUSH:
		for _, a := range in.Args {
			if imm, ok := a.(x86asm.Imm); ok {
				fn = s.b.entryAt(uint64(imm))
			}
		}
		if r, ok := in.Args[1].(x86asm.Reg); ok && dst >= 0 && in.Op == x86asm.MOV {
			if src := argIndex(r); src >= 0 {
				regs.ref[dst] = held.ref[src]
				return
			}
		}
	case x86asm.LEA:
		if m, ok := in.Args[1].(x86asm.Mem); ok {
			if a, ok := in.MemAddr(m); ok {
				fn = s.b.entryAt(a)
			}
		}
	}
	if fn != NoFunc {
		s.out.refs = append(s.out.refs, CodeRef{Addr: in.Addr, In: s.fn, Func: fn, Arg: -1})
	}
	if dst >= 0 && fn != NoFunc && (in.Op == x86asm.MOV || in.Op == x86asm.LEA) {
		regs.ref[dst] = int32(len(s.out.refs))
	}
}

// forget drops what the registers held that an instruction changes.
func (r *argRegs) forget(in *Inst) {
	if *r == (argRegs{}) {
		return
	}
	e := in.Effects()
	for n := range e.Writes.All {
		if i, ok := machine.X86.Convention().ArgOf(n); ok {
			r.ref[i] = 0
		}
	}
}

func argIndex(r x86asm.Reg) int {
	switch r {
	case x86asm.RDI, x86asm.EDI, x86asm.DI, x86asm.DIB:
		return 0
	case x86asm.RSI, x86asm.ESI, x86asm.SI, x86asm.SIB:
		return 1
	case x86asm.RDX, x86asm.EDX, x86asm.DX, x86asm.DL:
		return 2
	case x86asm.RCX, x86asm.ECX, x86asm.CX, x86asm.CL:
		return 3
	case x86asm.R8, x86asm.R8L, x86asm.R8W, x86asm.R8B:
		return 4
	case x86asm.R9, x86asm.R9L, x86asm.R9W, x86asm.R9B:
		return 5
	}
	return -1
}
