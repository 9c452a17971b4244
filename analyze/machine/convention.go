package machine

import (
	"slices"

	"github.com/klpforge/klpforge/analyze/kfuncs"
)

// x86Convention is that of the System V ABI for AMD64 (version 1.0, 3.2) with
// the kernel's additions: no red zone, no vector registers, and what the
// kernel's assembly agrees on with its compiler.
var x86Convention = Convention{
	Args:     []Num{RDI, RSI, RDX, RCX, R8, R9},
	Result:   []Num{RAX, RDX},
	Saved:    Regs(RBX, RBP, RSP, R12, R13, R14, R15),
	Scratch:  x86Scratch,
	StackPtr: RSP,
	FramePtr: RBP,
	special:  x86Callee,
}

const x86Scratch RegSet = 1<<RAX | 1<<RCX | 1<<RDX | 1<<RSI | 1<<RDI | 1<<R8 | 1<<R9 | 1<<R10 | 1<<R11

func (x86) Convention() *Convention { return &x86Convention }

// x86Callee knows the callees that are no C functions.
func x86Callee(name string) (Callee, bool) {
	kind, register := kfuncs.CalleeOf(name)
	switch kind {
	case kfuncs.CalleeHook: // arch/x86/kernel/ftrace_64.S, save_mcount_regs
		return Callee{Kind: CalleeHook, Via: NoReg}, true
	case kfuncs.CalleeKeeps: // arch/x86/entry/thunk_64.S
		return Callee{Kind: CalleeKeeps, Via: NoReg, Flags: true, Memory: true}, true
	case kfuncs.CalleeReturn: // __x86_, retbleed_, srso_, its_ and call_depth_return_thunk
		return Callee{Kind: CalleeReturn, Via: NoReg}, true
	case kfuncs.CalleeStatic:
		return Callee{Kind: CalleeStatic, Via: NoReg, Changed: x86Scratch, Flags: true, Memory: true}, true
	case kfuncs.CalleeThunk: // arch/x86/lib/retpoline.S, 5.10 to 6.12
		if register == "array" {
			register = "rax" // the array begins with the thunk of rax
		}
		if reg := slices.Index(x86Names[3][:], register); reg >= 0 {
			return Callee{Kind: CalleeThunk, Via: Num(reg), Changed: x86Scratch, Flags: true, Memory: true}, true
		}
	}
	return Callee{}, false
}
