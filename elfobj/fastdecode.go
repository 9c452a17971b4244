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
var oneByte = func() (t [256]form) {
	set := func(f form, ops ...int) {
		for _, op := range ops {
			t[op] = f
		}
	}
	span := func(f form, from, to int) {
		for op := from; op <= to; op++ {
			t[op] = f
		}
	}
	for op := 0; op < 0x40; op += 8 { // add, or, adc, sbb, and, sub, xor, cmp
		span(formModRM, op, op+3)
		t[op+4], t[op+5] = formImm8, formImm
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
	return t
}()

// twoByte are the opcodes behind 0f.
var twoByte = func() (t [256]form) {
	for _, op := range []int{0x1f, 0xa3, 0xa5, 0xab, 0xad, 0xaf, 0xb3, 0xb6, 0xb7, 0xbb, 0xbe, 0xbf} { // nop, bt, shld, bts, shrd, imul, btr, movzx, btc, movsx
		t[op] = formModRM
	}
	for op := 0x40; op <= 0x4f; op++ { // cmov
		t[op] = formModRM
		t[op+0x50] = formModRM // set
	}
	t[0xa4], t[0xac] = formModRM|formImm8, formModRM|formImm8
	return t
}()

// fastDecode decodes the most frequent instructions. It is false for all others
// and for those that the bytes do not hold entirely.
func fastDecode(c []byte) (Insn, bool) {
	i, short, rexW := 0, false, false
	for i < len(c) && (c[i] == 0x65 || c[i] == 0x66) { // %gs, operand size
		if c[i] == 0x66 {
			short = true
		}
		if i++; i > 2 {
			return Insn{}, false
		}
	}
	prefixed := i > 0
	if i < len(c) && c[i]&0xf0 == 0x40 {
		rexW = c[i]&8 != 0
		prefixed = true
		i++
	}
	if i >= len(c) {
		return Insn{}, false
	}
	op := c[i]
	f := oneByte[op]
	i++
	if f == 0 {
		if !prefixed {
			if in, ok := branchDecode(c); ok {
				return in, true
			}
		}
		if op != 0x0f || i >= len(c) {
			return Insn{}, false
		}
		f = twoByte[c[i]]
		op = 0
		i++
	}
	in := Insn{}
	if f&formModRM != 0 {
		if i >= len(c) {
			return in, false
		}
		mod, reg, rm := c[i]>>6, c[i]>>3&7, c[i]&7
		i++
		if f&formGroup != 0 {
			switch {
			case op == 0x8d && mod != 3: // lea
			case (op&0xfe == 0xc0 || op&0xfc == 0xd0) && reg != 6: // shifts
			case op == 0xc6 && reg == 0:
				f |= formImm8
			case op == 0xc7 && reg == 0:
				f |= formImm
			case op == 0xf6 && reg == 0: // test
				f |= formImm8
			case op == 0xf7 && reg == 0:
				f |= formImm
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
				if i >= len(c) {
					return in, false
				}
				base = c[i] & 7
				i++
			}
			switch {
			case mod == 1:
				i++
			case mod == 2, mod == 0 && base == 5:
				if mod == 0 && rm == 5 {
					in.PCOff, in.PCLen = i, 4
				}
				i += 4
			}
		}
	}
	if f&formImm8 != 0 {
		i++
	}
	if f&formImm != 0 {
		switch {
		case op&0xf8 == 0xb8 && rexW:
			i += 8
		case short && !rexW:
			i += 2
		default:
			i += 4
		}
	}
	if f == 0 || i > len(c) || i > maxInsn {
		return Insn{}, false
	}
	if in.PCLen > 0 {
		in.Disp = signed(c[in.PCOff:], 4)
	}
	in.Len = i
	return in, true
}

// branchDecode decodes direct branches and returns without prefixes.
func branchDecode(c []byte) (Insn, bool) {
	switch op := c[0]; {
	case op == 0xc3:
		return Insn{Len: 1, Kind: BranchReturn}, true
	case len(c) >= 2 && op&0xf0 == 0x70:
		return Insn{Len: 2, Kind: BranchCond, PCOff: 1, PCLen: 1, Disp: signed(c[1:], 1)}, true
	case len(c) >= 2 && op == 0xeb:
		return Insn{Len: 2, Kind: BranchJump, PCOff: 1, PCLen: 1, Disp: signed(c[1:], 1)}, true
	case len(c) >= 5 && (op == 0xe8 || op == 0xe9):
		return Insn{Len: 5, Kind: pick(op == 0xe8, BranchCall, BranchJump), PCOff: 1, PCLen: 4, Disp: signed(c[1:], 4)}, true
	case len(c) >= 6 && op == 0x0f && c[1]&0xf0 == 0x80:
		return Insn{Len: 6, Kind: BranchCond, PCOff: 2, PCLen: 4, Disp: signed(c[2:], 4)}, true
	}
	return Insn{}, false
}
