package machine

import "encoding/binary"

// raw is an x86 encoding taken apart: prefixes, opcode map and opcode, ModRM.
type raw struct {
	kind   byte // 0 legacy, 0xc5 and 0xc4 VEX, 0x62 EVEX
	pp     byte // mandatory prefix: 0, 0x66, 0xf3, 0xf2; of a legacy encoding the last of f2 and f3, else 66
	opsize bool // 66 is among the legacy prefixes
	lock   bool
	addr32 bool
	seg    SegReg
	w      bool // REX.W or its like
	long   byte // vector length: 0 is 16 bytes, 1 is 32, 2 is 64
	vvvv   Num
	opmap  byte // 1 is 0f, 2 is 0f38, 3 is 0f3a
	op     byte
	mod    byte
	reg    Num // with its extension bits
	rm     Num // when mod is 3
	mem    Mem // otherwise
	len    int // up to the end of ModRM, SIB and displacement; immediates follow
}

// parseRaw takes an encoding of the maps 0f, 0f38 and 0f3a apart, VEX and EVEX
// among them. ok is false for other maps and for too few bytes.
func parseRaw(c []byte) (r raw, ok bool) {
	i := 0
	for ; i < len(c) && i < 14; i++ {
		switch c[i] {
		case 0x66:
			r.opsize = true
		case 0xf2, 0xf3:
			r.pp = c[i]
		case 0x64:
			r.seg = SegFS
		case 0x65:
			r.seg = SegGS
		case 0x67:
			r.addr32 = true
		case 0xf0:
			r.lock = true
		case 0x2e, 0x36, 0x3e, 0x26:
		default:
			goto opcode
		}
	}
opcode:
	if r.pp == 0 && r.opsize {
		r.pp = 0x66
	}
	if i+3 > len(c) {
		return r, false
	}
	var extR, extX, extB Num
	bit := func(b byte, n uint) Num { return Num(b>>n&1) << 3 }
	pps := [4]byte{0, 0x66, 0xf3, 0xf2}
	switch b := c[i]; {
	case b == 0xc5:
		r.kind, r.opmap = b, 1
		extR = bit(^c[i+1], 7)
		r.vvvv, r.long, r.pp = Num(^c[i+1]>>3&15), c[i+1]>>2&1, pps[c[i+1]&3]
		i += 2
	case b == 0xc4:
		r.kind, r.opmap = b, c[i+1]&0x1f
		extR, extX, extB = bit(^c[i+1], 7), bit(^c[i+1], 6), bit(^c[i+1], 5)
		r.w, r.vvvv, r.long, r.pp = c[i+2]>>7 == 1, Num(^c[i+2]>>3&15), c[i+2]>>2&1, pps[c[i+2]&3]
		i += 3
	case b == 0x62:
		if i+4 > len(c) {
			return r, false
		}
		r.kind, r.opmap = b, c[i+1]&7
		extR, extX, extB = bit(^c[i+1], 7), bit(^c[i+1], 6), bit(^c[i+1], 5)
		r.w, r.vvvv, r.pp, r.long = c[i+2]>>7 == 1, Num(^c[i+2]>>3&15), pps[c[i+2]&3], c[i+3]>>5&3
		i += 4
	default:
		if b&0xf0 == 0x40 {
			r.w, extR, extX, extB = b>>3&1 == 1, bit(b, 2), bit(b, 1), bit(b, 0)
			i++
		}
		if i+1 >= len(c) || c[i] != 0x0f {
			return r, false
		}
		i, r.opmap = i+1, 1
		if c[i] == 0x38 || c[i] == 0x3a {
			r.opmap = 2 + c[i]>>1&1
			i++
		}
	}
	if i >= len(c) {
		return r, false
	}
	r.op = c[i]
	i++
	if r.opmap == 1 && (r.op == 0x77 || r.kind == 0 && r.op == 0x37) { // vzeroupper, emms, getsec: no ModRM
		r.len = i
		return r, true
	}
	if i >= len(c) {
		return r, false
	}
	r.mod, r.reg, r.rm = c[i]>>6, Num(c[i]>>3&7)+extR, Num(c[i]&7)
	i++
	if r.mod == 3 {
		r.rm += extB
		r.len = i
		return r, true
	}
	return r.address(c, i, extX, extB)
}

// address reads SIB and displacement, which begin at i.
func (r raw) address(c []byte, i int, extX, extB Num) (raw, bool) {
	m := Mem{Base: r.rm + extB, Index: NoReg, Seg: r.seg, Addr32: r.addr32}
	noBase := r.mod == 0 && r.rm == 5
	m.PC = noBase
	if r.rm == 4 {
		if i >= len(c) {
			return r, false
		}
		sib := c[i]
		i++
		m.Base = Num(sib&7) + extB
		noBase = r.mod == 0 && sib&7 == 5
		if x := Num(sib>>3&7) + extX; x != RSP {
			m.Index, m.Scale = x, 1<<(sib>>6)
		}
	}
	n := 0
	switch {
	case r.mod == 1:
		n = 1
	case r.mod == 2, noBase:
		n = 4
	}
	if noBase {
		m.Base = NoReg
	}
	if i+n > len(c) {
		return r, false
	}
	switch n {
	case 1:
		m.Disp = int64(int8(c[i]))
	case 4:
		m.Disp = int64(int32(binary.LittleEndian.Uint32(c[i:])))
	}
	r.mem, r.len = m, i+n
	return r, true
}

// size is 8 with the W bit and 4 without.
func (r *raw) size() uint8 {
	if r.w {
		return 8
	}
	return 4
}

// general makes an operand of a general register.
func general(n Num, size uint8) Operand { return Operand{Kind: KindReg, Reg: Reg{Num: n, Size: size}} }

// vector makes an operand of a vector register.
func vector(n Num) Operand {
	return Operand{Kind: KindReg, Reg: Reg{Class: Vector, Num: n, Size: 16}}
}

// rmGeneral is the operand that ModRM's r/m names, when it is a general
// register or memory.
func (r *raw) rmGeneral(size uint8) Operand {
	if r.mod == 3 {
		return general(r.rm, size)
	}
	return r.memory(uint16(size))
}

func (r *raw) rmVector(width uint16) Operand {
	if r.mod == 3 {
		return vector(r.rm)
	}
	return r.memory(width)
}

func (r *raw) memory(width uint16) Operand {
	m := r.mem
	m.Width = width
	// EVEX scales short displacements by the size of what is accessed, which is
	// not derived here: the extent is not known.
	if r.kind == 0x62 {
		m.Width = 0
	}
	return Operand{Kind: KindMem, Mem: m}
}

// inst puts an instruction together; imm is the number of bytes that follow.
func (r *raw) inst(name string, rule *rule, imm int, args ...Operand) Inst {
	in := Inst{Len: r.len + imm, Op: rule.op, Name: name, Lock: r.lock, rule: rule}
	copy(in.Args[:], args)
	in.Size = x86Size(&in, int(r.size()))
	return in
}
