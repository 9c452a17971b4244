package code

import (
	"golang.org/x/arch/x86/x86asm"

	"github.com/klpforge/klpforge/elfobj"
)

// ConstArg returns the constant that a call passes as argument arg (0 is the
// first). code is one function and call the offset of the call instruction in
// it. A value is only known when it was set on the way from the last place
// that other code jumps to; ok is false for anything else, and for a function
// with indirect jumps.
func ConstArg(arch elfobj.Arch, code []byte, call, arg int) (value uint64, ok bool) {
	entered, good := jumpTargets(arch, code)
	if !good || arg >= len(arguments) {
		return 0, false
	}
	reg := arguments[arg]
	known := false
	for at := 0; at < len(code); {
		if entered[at] {
			known = false
		}
		if at == call {
			return value, known
		}
		in, err := arch.Decode(code[at:])
		if err != nil || in.Len == 0 {
			return 0, false
		}
		x, err := x86asm.Decode(code[at:], 64)
		at += in.Len
		switch {
		case err != nil || x.Len != in.Len:
			known = false
		case in.Kind != elfobj.BranchNone && in.Kind != elfobj.BranchCond:
			known = false // a call changes it, a jump does not come here
		default:
			value, known = after(x, reg, value, known)
		}
	}
	return 0, false
}

// after is what is known of a register behind an instruction.
func after(x x86asm.Inst, reg int, value uint64, known bool) (uint64, bool) {
	for _, r := range implicit(x.Op) {
		if r == reg {
			known = false
		}
	}
	n, size, isReg := regArg(x.Args[0])
	if x.Op == x86asm.XCHG || x.Op == x86asm.XADD {
		if m, _, is := regArg(x.Args[1]); is && m == reg {
			known = false
		}
	}
	if !isReg || n != reg || readsOnly[x.Op] {
		return value, known
	}
	if imm, is := x.Args[1].(x86asm.Imm); is && x.Op == x86asm.MOV && size >= 4 {
		if size == 4 {
			return uint64(uint32(imm)), true
		}
		return uint64(imm), true
	}
	if imm, is := x.Args[1].(x86asm.Imm); is && x.Op == x86asm.OR && imm == -1 && size == 8 {
		return ^uint64(0), true
	}
	if m, _, is := regArg(x.Args[1]); is && x.Op == x86asm.XOR && m == reg && size >= 4 {
		return 0, true
	}
	return value, false
}

// jumpTargets are the offsets that the function jumps to. It is not good when
// there are jumps that could lead anywhere, or instructions that cannot be read.
func jumpTargets(arch elfobj.Arch, code []byte) (targets map[int]bool, good bool) {
	targets = map[int]bool{}
	for at := 0; at < len(code); {
		in, err := arch.Decode(code[at:])
		if err != nil || in.Len == 0 {
			return nil, false
		}
		at += in.Len
		switch in.Kind {
		case elfobj.BranchIndirect:
			if x, err := x86asm.Decode(code[at-in.Len:], 64); err != nil || x.Op != x86asm.CALL {
				return nil, false
			}
		case elfobj.BranchJump, elfobj.BranchCond:
			targets[at+int(in.Disp)] = true
		}
	}
	return targets, true
}
