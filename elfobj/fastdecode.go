package elfobj

// Nearly all time of a comparison would go into the general decoder. What a
// kernel's code consists of mostly has few forms, whose lengths follow from the
// opcode (Intel SDM vol. 2, appendix A): fastDecode knows those and leaves all
// others to slowDecode, which must agree (FuzzFastDecode).

// form says what follows an opcode.
type form uint8

const (
	formNone  form = 1 << iota // nothing; set alone, it tells the opcode from an unknown one
	formModRM                  // ModRM, SIB and displacement
	formImm8                   // an immediate byte
	formImm                    // an immediate of 4 bytes, 2 with the operand size prefix
	formGroup                  // forms depend on the reg field of ModRM
)

// oneByte are the opcodes of one byte; a zero is left to slowDecode.
var oneByte = func() (table [256]form) {
	set := func(f form, ops ...int) {
		for _, op := range ops {
			table[op] = f
		}
	}
	span := func(f form, from, to int) {
		for op := from; op <= to; op++ {
			table[op] = f
		}
	}
	for op := 0; op < 0x40; op += 8 { // add, or, adc, sbb, and, sub, xor, cmp
		span(formModRM, op, op+3)
		table[op+4], table[op+5] = formImm8, formImm
	}
	span(formNone, 0x50, 0x5f) // push, pop
	set(formModRM, 0x63)       // movsxd
	set(formImm, 0x68, 0xa9)   // push, test
	set(formModRM|formImm, 0x69, 0x81)
	set(formImm8, 0x6a, 0xa8)
	set(formModRM|formImm8, 0x6b, 0x80, 0x83)
	set(formModRM|formImm8|formGroup, 0xc0, 0xc1)
	span(formModRM, 0x84, 0x8b) // test, xchg, mov
	set(formNone, 0x90, 0x98, 0x99, 0xc9, 0xcc)
	span(formImm8, 0xb0, 0xb7) // mov
	span(formImm, 0xb8, 0xbf)
	span(formModRM|formGroup, 0xd0, 0xd3) // shifts
	set(formModRM|formGroup, 0x8d, 0xc6, 0xc7, 0xf6, 0xf7, 0xfe, 0xff)
	return table
}()

// twoByte are the opcodes behind 0f.
var twoByte = func() (table [256]form) {
	for _, op := range []int{0x1f, 0xa3, 0xa5, 0xab, 0xad, 0xaf, 0xb3, 0xb6, 0xb7, 0xbb, 0xbe, 0xbf} {
		// nop, bt, shld, bts, shrd, imul, btr, movzx, btc, movsx
		table[op] = formModRM
	}
	for op := 0x40; op <= 0x4f; op++ { // cmov
		table[op] = formModRM
		table[op+0x50] = formModRM // set
	}
	table[0xa4], table[0xac] = formModRM|formImm8, formModRM|formImm8
	return table
}()

// fastDecode decodes the most frequent instructions. It is false for all others
// and for those that the bytes do not hold entirely.
func fastDecode(code []byte) (Insn, bool) {
	pos, short, rexW := 0, false, false
	for pos < len(code) && (code[pos] == 0x65 || code[pos] == 0x66) { // %gs, operand size
		if code[pos] == 0x66 {
			short = true
		}
		if pos++; pos > 2 {
			return Insn{}, false
		}
	}
	prefixed := pos > 0
	if pos < len(code) && code[pos]&0xf0 == 0x40 {
		rexW = code[pos]&8 != 0
		prefixed = true
		pos++
	}
	if pos >= len(code) {
		return Insn{}, false
	}
	op := code[pos]
	shape := oneByte[op]
	pos++
	if shape == 0 {
		if !prefixed {
			if in, ok := branchDecode(code); ok {
				return in, true
			}
		}
		if op != 0x0f || pos >= len(code) {
			return Insn{}, false
		}
		shape = twoByte[code[pos]]
		op = 0
		pos++
	}
	in := Insn{}
	if shape&formModRM != 0 {
		if pos >= len(code) {
			return in, false
		}
		mod, reg, rm := code[pos]>>6, code[pos]>>3&7, code[pos]&7
		pos++
		if shape&formGroup != 0 {
			switch {
			case op == 0x8d && mod != 3: // lea
			case (op&0xfe == 0xc0 || op&0xfc == 0xd0) && reg != 6: // shifts
			case op == 0xc6 && reg == 0:
				shape |= formImm8
			case op == 0xc7 && reg == 0:
				shape |= formImm
			case op == 0xf6 && reg == 0: // test
				shape |= formImm8
			case op == 0xf7 && reg == 0:
				shape |= formImm
			case (op == 0xf6 || op == 0xf7) && reg > 1:
			case (op == 0xfe || op == 0xff) && reg < 2: // inc, dec
			case op == 0xff && (reg == 2 || reg == 4) && !short: // call, jmp
				in.Kind = BranchIndirect
			default:
				return in, false
			}
		}
		if mod != 3 {
			base := rm
			if rm == 4 {
				if pos >= len(code) {
					return in, false
				}
				base = code[pos] & 7
				pos++
			}
			switch {
			case mod == 1:
				pos++
			case mod == 2, mod == 0 && base == 5:
				if mod == 0 && rm == 5 {
					in.PCOff, in.PCLen = pos, 4
				}
				pos += 4
			}
		}
	}
	if shape&formImm8 != 0 {
		pos++
	}
	if shape&formImm != 0 {
		switch {
		case op&0xf8 == 0xb8 && rexW:
			pos += 8
		case short && !rexW:
			pos += 2
		default:
			pos += 4
		}
	}
	if shape == 0 || pos > len(code) || pos > maxInsn {
		return Insn{}, false
	}
	if in.PCLen > 0 {
		in.Disp = signed(code[in.PCOff:], 4)
	}
	in.Len = pos
	return in, true
}

// branchDecode decodes direct branches and returns without prefixes.
func branchDecode(code []byte) (Insn, bool) {
	switch op := code[0]; {
	case op == 0xc3:
		return Insn{Len: 1, Kind: BranchReturn}, true
	case len(code) >= 2 && op&0xf0 == 0x70:
		return Insn{Len: 2, Kind: BranchCond, PCOff: 1, PCLen: 1, Disp: signed(code[1:], 1)}, true
	case len(code) >= 2 && op == 0xeb:
		return Insn{Len: 2, Kind: BranchJump, PCOff: 1, PCLen: 1, Disp: signed(code[1:], 1)}, true
	case len(code) >= 5 && (op == 0xe8 || op == 0xe9):
		return Insn{Len: 5, Kind: pick(op == 0xe8, BranchCall, BranchJump), PCOff: 1, PCLen: 4,
			Disp: signed(code[1:], 4)}, true
	case len(code) >= 6 && op == 0x0f && code[1]&0xf0 == 0x80:
		return Insn{Len: 6, Kind: BranchCond, PCOff: 2, PCLen: 4, Disp: signed(code[2:], 4)}, true
	}
	return Insn{}, false
}
