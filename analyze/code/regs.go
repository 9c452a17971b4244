package code

import "golang.org/x/arch/x86/x86asm"

// Numbers of general registers as the processor encodes them.
const (
	rax = iota
	rcx
	rdx
	rbx
	rsp
	rbp
	rsi
	rdi
	r8
	r9
	r10
	r11
	nregs = 16
)

// scratch are the registers that a call may change (System V ABI).
var scratch = []int{rax, rcx, rdx, rsi, rdi, r8, r9, r10, r11}

// arguments are the registers that hold the first six arguments.
var arguments = []int{rdi, rsi, rdx, rcx, r8, r9}

// regOf returns the number and size in bytes of a general register.
func regOf(r x86asm.Reg) (n, size int, ok bool) {
	switch {
	case r >= x86asm.AL && r <= x86asm.BL:
		return int(r - x86asm.AL), 1, true
	case r >= x86asm.AH && r <= x86asm.BH:
		return int(r - x86asm.AH), 1, true
	case r >= x86asm.SPB && r <= x86asm.DIB:
		return int(r-x86asm.SPB) + rsp, 1, true
	case r >= x86asm.R8B && r <= x86asm.R15B:
		return int(r-x86asm.R8B) + r8, 1, true
	case r >= x86asm.AX && r <= x86asm.R15W:
		return int(r - x86asm.AX), 2, true
	case r >= x86asm.EAX && r <= x86asm.R15L:
		return int(r - x86asm.EAX), 4, true
	case r >= x86asm.RAX && r <= x86asm.R15:
		return int(r - x86asm.RAX), 8, true
	}
	return 0, 0, false
}

func regArg(a x86asm.Arg) (n, size int, ok bool) {
	if r, is := a.(x86asm.Reg); is {
		return regOf(r)
	}
	return 0, 0, false
}

// readsOnly are the instructions that do not write their first operand.
var readsOnly = map[x86asm.Op]bool{
	x86asm.CMP: true, x86asm.TEST: true, x86asm.PUSH: true, x86asm.CALL: true, x86asm.JMP: true, x86asm.BT: true, x86asm.NOP: true,
	x86asm.PREFETCHNTA: true, x86asm.PREFETCHT0: true, x86asm.PREFETCHT1: true, x86asm.PREFETCHT2: true, x86asm.PREFETCHW: true,
	x86asm.MUL: true, x86asm.DIV: true, x86asm.IDIV: true, x86asm.RET: true, x86asm.UD2: true, x86asm.PAUSE: true,
	x86asm.INVLPG: true, x86asm.CLFLUSH: true, x86asm.LGDT: true, x86asm.LIDT: true, x86asm.LLDT: true, x86asm.LTR: true, x86asm.OUT: true,
	x86asm.JA: true, x86asm.JAE: true, x86asm.JB: true, x86asm.JBE: true, x86asm.JE: true, x86asm.JNE: true, x86asm.JG: true, x86asm.JGE: true,
	x86asm.JL: true, x86asm.JLE: true, x86asm.JO: true, x86asm.JNO: true, x86asm.JP: true, x86asm.JNP: true, x86asm.JS: true, x86asm.JNS: true,
	x86asm.LFENCE: true, x86asm.MFENCE: true, x86asm.SFENCE: true, x86asm.CLI: true, x86asm.STI: true, x86asm.CLD: true, x86asm.STD: true,
}

// implicit lists the registers that an instruction changes besides its
// operands.
func implicit(op x86asm.Op) []int {
	switch op {
	case x86asm.MUL, x86asm.IMUL, x86asm.DIV, x86asm.IDIV, x86asm.CDQ, x86asm.CQO, x86asm.CWD, x86asm.CBW, x86asm.CWDE, x86asm.CDQE, x86asm.CMPXCHG, x86asm.IN, x86asm.LAHF:
		return []int{rax, rdx}
	case x86asm.RDTSC, x86asm.RDTSCP, x86asm.RDMSR, x86asm.CPUID, x86asm.RDPMC, x86asm.XGETBV, x86asm.CMPXCHG8B, x86asm.CMPXCHG16B:
		return []int{rax, rbx, rcx, rdx}
	case x86asm.MOVSB, x86asm.MOVSW, x86asm.MOVSD, x86asm.MOVSQ, x86asm.STOSB, x86asm.STOSW, x86asm.STOSD, x86asm.STOSQ,
		x86asm.LODSB, x86asm.LODSW, x86asm.LODSD, x86asm.LODSQ, x86asm.SCASB, x86asm.SCASW, x86asm.SCASD, x86asm.SCASQ,
		x86asm.CMPSB, x86asm.CMPSW, x86asm.CMPSD, x86asm.CMPSQ, x86asm.INSB, x86asm.INSW, x86asm.INSD, x86asm.OUTSB, x86asm.OUTSW, x86asm.OUTSD:
		return []int{rax, rcx, rsi, rdi}
	case x86asm.SYSCALL:
		return []int{rax, rcx, r11}
	}
	return nil
}

// storesString reports whether a string instruction writes memory.
func storesString(op x86asm.Op) bool {
	switch op {
	case x86asm.MOVSB, x86asm.MOVSW, x86asm.MOVSD, x86asm.MOVSQ, x86asm.STOSB, x86asm.STOSW, x86asm.STOSD, x86asm.STOSQ, x86asm.INSB, x86asm.INSW, x86asm.INSD:
		return true
	}
	return false
}
