package machine

import "strings"

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
	switch name {
	case "__fentry__", "mcount", "ftrace_stub":
		// A nop where nothing traces; a tracer saves what it uses (arch/x86/kernel/ftrace_64.S, save_mcount_regs).
		return Callee{Kind: CalleeHook, Via: NoReg}, true
	case "preempt_schedule_thunk", "preempt_schedule_notrace_thunk":
		// arch/x86/entry/thunk_64.S saves what C functions do not.
		return Callee{Kind: CalleeKeeps, Via: NoReg, Flags: true, Memory: true}, true
	}
	if strings.HasSuffix(name, "_return_thunk") { // __x86_, retbleed_, srso_, its_ and call_depth_return_thunk
		return Callee{Kind: CalleeReturn, Via: NoReg}, true
	}
	for _, p := range x86Thunks {
		if rest, ok := strings.CutPrefix(name, p); ok {
			if rest == "array" {
				rest = "rax" // the array begins with the thunk of rax
			}
			for n, reg := range x86Names[3] {
				if rest == reg {
					c := Callee{Kind: CalleeThunk, Via: Num(n), Changed: x86Scratch, Flags: true, Memory: true}
					return c, true
				}
			}
		}
	}
	if strings.HasPrefix(name, "__SCT__") {
		return Callee{Kind: CalleeStatic, Via: NoReg, Changed: x86Scratch, Flags: true, Memory: true}, true
	}
	return Callee{}, false
}

// x86Thunks are the names of thunks for indirect calls and jumps, before the
// register's name (arch/x86/lib/retpoline.S, 5.10 to 6.12).
var x86Thunks = []string{
	"__x86_indirect_thunk_", "__x86_indirect_call_thunk_", "__x86_indirect_jump_thunk_", "__x86_indirect_its_thunk_", "__x86_indirect_paranoid_thunk_",
}
