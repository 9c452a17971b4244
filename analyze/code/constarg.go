package code

import (
	"github.com/klpforge/klpforge/analyze/machine"
	"github.com/klpforge/klpforge/elfobj"
)

// ConstArg returns the constant that a call passes as argument arg (0 is the
// first). code is one function and call the offset of the call instruction in
// it. A value is only known when it was set on the way from the last place
// that other code jumps to; ok is false for anything else, and for a function
// with indirect jumps.
func ConstArg(arch elfobj.Arch, code []byte, call, arg int) (value uint64, ok bool) {
	machineArch, err := machine.Like(arch)
	if err != nil || arg >= len(machineArch.Convention().Args) {
		return 0, false
	}
	entered, good := jumpTargets(arch, machineArch, code)
	if !good {
		return 0, false
	}
	reg := machineArch.Convention().Args[arg]
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
		inst, err := machineArch.Decode(code[at:], uint64(at))
		at += in.Len
		switch {
		case err != nil || inst.Len != in.Len:
			known = false
		case in.Kind != elfobj.BranchNone && in.Kind != elfobj.BranchCond:
			known = false // a call changes it, a jump does not come here
		default:
			value, known = after(&inst, reg, value, known)
		}
	}
	return 0, false
}

// after is what is known of a register behind an instruction.
func after(inst *machine.Inst, reg machine.Num, value uint64, known bool) (uint64, bool) {
	e := inst.Effects()
	if !e.Writes.Has(reg) {
		return value, known
	}
	n, size, isReg := general(inst, 0)
	if !isReg || n != reg || size < 4 {
		return value, false
	}
	from, _, fromReg := general(inst, 1)
	imm := &inst.Args[1]
	switch {
	case inst.Op == machine.Move && imm.Kind == machine.KindImm && size == 4:
		return uint64(uint32(imm.Imm)), true
	case inst.Op == machine.Move && imm.Kind == machine.KindImm:
		return uint64(imm.Imm), true
	case inst.Op == machine.Or && imm.Kind == machine.KindImm && imm.Imm == -1 && size == 8:
		return ^uint64(0), true
	case inst.Op == machine.Xor && fromReg && from == reg:
		return 0, true
	}
	return value, false
}

// jumpTargets are the offsets that the function jumps to. It is not good when
// there are jumps that could lead anywhere, or instructions that cannot be read.
func jumpTargets(arch elfobj.Arch, machineArch machine.Arch, code []byte) (targets map[int]bool, good bool) {
	targets = map[int]bool{}
	for at := 0; at < len(code); {
		in, err := arch.Decode(code[at:])
		if err != nil || in.Len == 0 {
			return nil, false
		}
		at += in.Len
		switch in.Kind {
		case elfobj.BranchIndirect:
			if x, err := machineArch.Decode(code[at-in.Len:], 0); err != nil || x.Op != machine.Call {
				return nil, false
			}
		case elfobj.BranchJump, elfobj.BranchCond:
			targets[at+int(in.Disp)] = true
		}
	}
	return targets, true
}
