package machine

import (
	"encoding/binary"

	"golang.org/x/arch/x86/x86asm"
)

// x86Branch decodes direct calls and jumps without prefixes, every eighth
// instruction of a kernel, without a way through x86asm's tables.
func x86Branch(code []byte) (Inst, bool) {
	short := func(op x86asm.Op) (Inst, bool) {
		if len(code) < 2 {
			return Inst{}, false
		}
		return branch(op, 2, int64(int8(code[1]))), true
	}
	near := func(op x86asm.Op, opcode int) (Inst, bool) {
		size := opcode + 4
		if len(code) < size {
			return Inst{}, false
		}
		return branch(op, size, int64(int32(binary.LittleEndian.Uint32(code[opcode:])))), true
	}
	if len(code) < 2 {
		return Inst{}, false
	}
	switch op := code[0]; {
	case op == 0xe8:
		return near(x86asm.CALL, 1)
	case op == 0xe9:
		return near(x86asm.JMP, 1)
	case op == 0xeb:
		return short(x86asm.JMP)
	case op&0xf0 == 0x70:
		return short(x86Jumps[op&15])
	case op == 0x0f && code[1]&0xf0 == 0x80:
		return near(x86Jumps[code[1]&15], 2)
	}
	return Inst{}, false
}

// x86Jumps are x86asm's conditional jumps by the condition's encoding.
var x86Jumps = [16]x86asm.Op{
	CondO: x86asm.JO, CondNO: x86asm.JNO, CondB: x86asm.JB, CondAE: x86asm.JAE,
	CondE: x86asm.JE, CondNE: x86asm.JNE, CondBE: x86asm.JBE, CondA: x86asm.JA,
	CondS: x86asm.JS, CondNS: x86asm.JNS, CondP: x86asm.JP, CondNP: x86asm.JNP,
	CondL: x86asm.JL, CondGE: x86asm.JGE, CondLE: x86asm.JLE, CondG: x86asm.JG,
}

func branch(op x86asm.Op, n int, distance int64) Inst {
	rule := x86Rules[op]
	in := Inst{Len: n, Op: rule.op, Cond: rule.cond, Size: branchSize, Name: x86OpNames[op], rule: rule}
	in.Args[0] = Operand{Kind: KindRel, Imm: distance}
	return in
}

// branchSize is the operand size that x86asm gives branches, bytes.
const branchSize = 4
