package elfobj

import (
	"encoding/binary"

	"golang.org/x/arch/x86/x86asm"
)

// What an instruction does with the registers of integer arguments, as far as is needed to
// follow a constant from where it is loaded to the call that it is for. Only plain moves,
// loads, stores and sums are known: those that compilers put between the arguments of a call.

// Constant is an instruction that loads a constant into the register of an integer argument,
// and does nothing else.
type Constant struct {
	Len   int    // of the instruction, bytes
	Arg   int    // 0 for the first argument
	Value int64  // what the register holds then
	Form  uint64 // the instruction with the constant left out
}

// registers are register numbers, each with its bit.
type registers uint64

func (r registers) has(n int) bool { return r>>uint(n)&1 != 0 }

func regs(numbers ...uint32) (r registers) {
	for _, n := range numbers {
		r |= 1 << n
	}
	return r
}

// amd64Args are the numbers of the registers for integer arguments: rdi, rsi, rdx, rcx, r8, r9.
var amd64Args = [...]byte{7, 6, 2, 1, 8, 9}

// Constant knows mov of 32 bits, and of 32 bits that are extended to 64.
func (amd64) Constant(code []byte) (Constant, bool) {
	rex, op := byte(0), code
	if len(op) > 0 && op[0]&0xf0 == 0x40 {
		rex, op = op[0], op[1:]
	}
	var reg byte
	constant := Constant{Len: len(code) - len(op)}
	switch {
	case len(op) >= 5 && op[0]&0xf8 == 0xb8 && (rex == 0 || rex&^1 == 0x40):
		reg, constant.Value, constant.Len = op[0]&7, int64(binary.LittleEndian.Uint32(op[1:])), constant.Len+5
		constant.Form = uint64(op[0])
	case len(op) >= 6 && op[0] == 0xc7 && op[1]&0xf8 == 0xc0 && rex&^1 == 0x48:
		reg, constant.Value, constant.Len = op[1]&7, int64(int32(binary.LittleEndian.Uint32(op[2:]))), constant.Len+6
		constant.Form = uint64(op[0])<<8 | uint64(op[1])
	default:
		return Constant{}, false
	}
	constant.Form |= uint64(rex) << 16
	reg |= rex & 1 << 3
	for n, r := range amd64Args {
		if r == reg {
			constant.Arg = n
			return constant, true
		}
	}
	return Constant{}, false
}

// Spares knows operations that use no registers but their operands. That this is so is
// analyze/machine's to say: its TestSpares compares.
func (amd64) Spares(code []byte, arg int) bool {
	inst, err := x86asm.Decode(code, 64)
	if err != nil || arg >= len(amd64Args) {
		return false
	}
	switch inst.Op {
	case x86asm.MOV, x86asm.MOVZX, x86asm.MOVSX, x86asm.MOVSXD, x86asm.LEA, x86asm.XOR, x86asm.OR, x86asm.AND,
		x86asm.ADD, x86asm.SUB,
		x86asm.TEST, x86asm.CMP, x86asm.NOP:
	default:
		return false
	}

	// A register counts in any of its widths: writing a part of it changes the argument.
	number := int(amd64Args[arg])
	is := func(reg x86asm.Reg) bool {
		switch {
		case reg >= x86asm.RAX && reg <= x86asm.R15:
			return int(reg-x86asm.RAX) == number
		case reg >= x86asm.EAX && reg <= x86asm.R15L:
			return int(reg-x86asm.EAX) == number
		case reg >= x86asm.AX && reg <= x86asm.R15W:
			return int(reg-x86asm.AX) == number
		case reg >= x86asm.SPB && reg <= x86asm.R15B:
			return int(reg-x86asm.SPB)+4 == number
		case reg >= x86asm.AL && reg <= x86asm.BL:
			return int(reg-x86asm.AL) == number
		case reg >= x86asm.AH && reg <= x86asm.BH:
			return int(reg-x86asm.AH) == number
		}
		return false
	}

	for _, a := range inst.Args {
		switch operand := a.(type) {
		case x86asm.Reg:
			if is(operand) {
				return false
			}
		case x86asm.Mem:
			if is(operand.Base) || is(operand.Index) {
				return false
			}
		}
	}
	return true
}

// Constant knows mov of 16 bits, which is movz.
func (arm64) Constant(code []byte) (Constant, bool) {
	if len(code) < 4 {
		return Constant{}, false
	}
	word := binary.LittleEndian.Uint32(code)
	if word&0x7fe00000 != 0x52800000 || word&0x1f > 7 {
		return Constant{}, false
	}
	return Constant{Len: 4, Arg: int(word & 0x1f), Value: int64(word >> 5 & 0xffff),
		Form: uint64(word &^ (0xffff << 5))}, true
}

// Spares follows the encodings of the Arm Architecture Reference Manual, C4.1.
func (arm64) Spares(code []byte, arg int) bool {
	if len(code) < 4 {
		return false
	}
	word := binary.LittleEndian.Uint32(code)
	rd, rn, rm := word&0x1f, word>>5&0x1f, word>>16&0x1f
	var used registers
	switch {
	case word == 0xd503201f: // nop
	case word&0x1f000000 == 0x10000000, word&0x1f800000 == 0x12800000: // adr and adrp, movn, movz and movk
		used = regs(rd)
	case word&0x1f000000 == 0x11000000, word&0x3f000000 == 0x39000000: // add and sub of a constant, load and store
		used = regs(rd, rn)
	case word&0x1f000000 == 0x0a000000: // and, orr, eor
		used = regs(rd, rn, rm)
	case word&0x3f800000 == 0x29000000: // ldp and stp
		used = regs(rd, rn, word>>10&0x1f)
	default:
		return false
	}
	return !used.has(arg)
}

// ppc64Arg is the register of the first argument.
const ppc64Arg = 3

// Constant knows li, which is addi to nothing.
func (ppc64le) Constant(code []byte) (Constant, bool) {
	if len(code) < 4 {
		return Constant{}, false
	}
	word := binary.LittleEndian.Uint32(code)
	arg := int(word>>21&0x1f) - ppc64Arg
	if word>>26 != 14 || word>>16&0x1f != 0 || arg < 0 || arg > 7 {
		return Constant{}, false
	}
	return Constant{Len: 4, Arg: arg, Value: int64(int16(word)), Form: uint64(word &^ 0xffff)}, true
}

// Spares follows the Power ISA, book I, chapter 3.
func (ppc64le) Spares(code []byte, arg int) bool {
	if len(code) < 4 {
		return false
	}
	word := binary.LittleEndian.Uint32(code)
	rt, ra, rb := word>>21&0x1f, word>>16&0x1f, word>>11&0x1f
	var used registers
	switch op := word >> 26; {
	// addi, addis, ori, loads, stores
	case op == 14, op == 15, op == 24, op == 32, op == 34, op == 36, op == 38, op == 40, op == 44,
		op == 58 && word&3 < 3, op == 62 && word&3 < 2: // ld, ldu, lwa, std, stdu
		used = regs(rt, ra)
	case op == 31 && word>>1&0x3ff == 444: // or, which mr is
		used = regs(rt, ra, rb)
	case op == 31 && word>>1&0x3ff == 986: // extsw
		used = regs(rt, ra)
	default:
		return false
	}
	return !used.has(arg + ppc64Arg)
}

// s390Arg is the register of the first argument.
const s390Arg = 2

// Constant knows lhi, lghi and lgfi.
func (s390x) Constant(code []byte) (Constant, bool) {
	constant, reg := Constant{}, 0
	switch {
	case len(code) >= 4 && code[0] == 0xa7 && (code[1]&0xf == 8 || code[1]&0xf == 9):
		reg, constant.Len, constant.Value = int(code[1]>>4), 4, int64(int16(binary.BigEndian.Uint16(code[2:])))
	case len(code) >= 6 && code[0] == 0xc0 && code[1]&0xf == 1:
		reg, constant.Len, constant.Value = int(code[1]>>4), 6, int64(int32(binary.BigEndian.Uint32(code[2:])))
	default:
		return constant, false
	}
	constant.Arg, constant.Form = reg-s390Arg, uint64(code[0])<<8|uint64(code[1])
	return constant, constant.Arg >= 0 && constant.Arg <= 4
}

// Spares follows the z/Architecture Principles of Operation, chapter 7.
func (s390x) Spares(code []byte, arg int) bool {
	if len(code) < 2 || len(code) < [...]int{2, 4, 4, 6}[code[0]>>6] {
		return false
	}
	r1, r2 := uint32(code[1]>>4), uint32(code[1]&0xf)
	var used registers
	switch op, second := code[0], code[1]&0xf; {
	case op == 0xa7 && (second == 8 || second == 9), op == 0xc0 && (second == 0 || second == 1):
		// lhi, lghi, larl, lgfi
		used = regs(r1)
	case op == 0x18: // lr
		used = regs(r1, r2)
	case op == 0xb9 && (code[1] == 0x04 || code[1] == 0x14): // lgr, lgfr
		used = regs(uint32(code[3]>>4), uint32(code[3]&0xf))
	case op == 0x41, op == 0x50, op == 0x58, // la, st, l
		op == 0xe3 && (code[5] == 0x04 || code[5] == 0x14 || code[5] == 0x24 || code[5] == 0x71): // lg, lgf, stg, lay
		used = regs(r1, r2, uint32(code[2]>>4))
	default:
		return false
	}
	return !used.has(arg + s390Arg)
}

// loongArg is the register of the first argument.
const loongArg = 4

// Constant knows addi.w to nothing and ori with nothing.
func (loongarch64) Constant(code []byte) (Constant, bool) {
	if len(code) < 4 {
		return Constant{}, false
	}
	word := binary.LittleEndian.Uint32(code)
	arg := int(word&0x1f) - loongArg
	if word>>5&0x1f != 0 || arg < 0 || arg > 7 {
		return Constant{}, false
	}
	constant := Constant{Len: 4, Arg: arg, Form: uint64(word &^ (0xfff << 10))}
	switch word >> 22 {
	case 0x0a:
		constant.Value = field(word, 10, 12)
	case 0x0e:
		constant.Value = int64(word >> 10 & 0xfff)
	default:
		return Constant{}, false
	}
	return constant, true
}

// Spares follows the LoongArch Reference Manual, volume 1, 2.2.
func (loongarch64) Spares(code []byte, arg int) bool {
	if len(code) < 4 {
		return false
	}
	word := binary.LittleEndian.Uint32(code)
	rd, rj, rk := word&0x1f, word>>5&0x1f, word>>10&0x1f
	var used registers
	switch {
	case word>>25 == 0x0a, word>>25 == 0x0d, word>>25 == 0x0e: // lu12i.w, pcalau12i, pcaddu12i
		used = regs(rd)
	case word>>22 >= 0x0a && word>>22 <= 0x0f, word>>24 == 0x28, word>>24 == 0x29:
		// addi, andi, ori, xori, loads, stores
		used = regs(rd, rj)
	case word>>15 == 0x2a: // or, which move is
		used = regs(rd, rj, rk)
	default:
		return false
	}
	return !used.has(arg + loongArg)
}
