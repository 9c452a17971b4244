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
	at := 0
	for ; at < len(c) && at < 14; at++ {
		switch c[at] {
		case 0x66:
			r.opsize = true
		case 0xf2, 0xf3:
			r.pp = c[at]
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
	if at+3 > len(c) {
		return r, false
	}
	var extR, extX, extB Num
	bit := func(b byte, n uint) Num { return Num(b>>n&1) << 3 }
	pps := [4]byte{0, 0x66, 0xf3, 0xf2}
	switch prefix := c[at]; {
	case prefix == 0xc5:
		r.kind, r.opmap = prefix, 1
		extR = bit(^c[at+1], 7)
		r.vvvv, r.long, r.pp = Num(^c[at+1]>>3&15), c[at+1]>>2&1, pps[c[at+1]&3]
		at += 2
	case prefix == 0xc4:
		r.kind, r.opmap = prefix, c[at+1]&0x1f
		extR, extX, extB = bit(^c[at+1], 7), bit(^c[at+1], 6), bit(^c[at+1], 5)
		r.w, r.vvvv, r.long, r.pp = c[at+2]>>7 == 1, Num(^c[at+2]>>3&15), c[at+2]>>2&1, pps[c[at+2]&3]
		at += 3
	case prefix == 0x62:
		if at+4 > len(c) {
			return r, false
		}
		r.kind, r.opmap = prefix, c[at+1]&7
		extR, extX, extB = bit(^c[at+1], 7), bit(^c[at+1], 6), bit(^c[at+1], 5)
		r.w, r.vvvv, r.pp, r.long = c[at+2]>>7 == 1, Num(^c[at+2]>>3&15), pps[c[at+2]&3], c[at+3]>>5&3
		at += 4
	default:
		if prefix&0xf0 == 0x40 {
			r.w, extR, extX, extB = prefix>>3&1 == 1, bit(prefix, 2), bit(prefix, 1), bit(prefix, 0)
			at++
		}
		if at+1 >= len(c) || c[at] != 0x0f {
			return r, false
		}
		at, r.opmap = at+1, 1
		if c[at] == 0x38 || c[at] == 0x3a {
			r.opmap = 2 + c[at]>>1&1
			at++
		}
	}
	if at >= len(c) {
		return r, false
	}
	r.op = c[at]
	at++
	if r.opmap == 1 && (r.op == 0x77 || r.kind == 0 && r.op == 0x37) { // vzeroupper, emms, getsec: no ModRM
		r.len = at
		return r, true
	}
	if at >= len(c) {
		return r, false
	}
	r.mod, r.reg, r.rm = c[at]>>6, Num(c[at]>>3&7)+extR, Num(c[at]&7)
	at++
	if r.mod == 3 {
		r.rm += extB
		r.len = at
		return r, true
	}
	return r.address(c, at, extX, extB)
}

// address reads SIB and displacement, which begin at i.
func (r raw) address(c []byte, i int, extX, extB Num) (raw, bool) {
	mem := Mem{Base: r.rm + extB, Index: NoReg, Seg: r.seg, Addr32: r.addr32}
	noBase := r.mod == 0 && r.rm == 5
	mem.PC = noBase
	if r.rm == 4 {
		if i >= len(c) {
			return r, false
		}
		sib := c[i]
		i++
		mem.Base = Num(sib&7) + extB
		noBase = r.mod == 0 && sib&7 == 5
		if index := Num(sib>>3&7) + extX; index != RSP {
			mem.Index, mem.Scale = index, 1<<(sib>>6)
		}
	}
	size := 0
	switch {
	case r.mod == 1:
		size = 1
	case r.mod == 2, noBase:
		size = 4
	}
	if noBase {
		mem.Base = NoReg
	}
	if i+size > len(c) {
		return r, false
	}
	switch size {
	case 1:
		mem.Disp = int64(int8(c[i]))
	case 4:
		mem.Disp = int64(int32(binary.LittleEndian.Uint32(c[i:])))
	}
	r.mem, r.len = mem, i+size
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
	mem := r.mem
	mem.Width = width
	// EVEX scales short displacements by the size of what is accessed, which is
	// not derived here: the extent is not known.
	if r.kind == 0x62 {
		mem.Width = 0
	}
	return Operand{Kind: KindMem, Mem: mem}
}

// inst puts an instruction together; imm is the number of bytes that follow.
func (r *raw) inst(name string, rule *rule, imm int, args ...Operand) Inst {
	in := Inst{Len: r.len + imm, Op: rule.op, Name: name, Lock: r.lock, rule: rule}
	copy(in.Args[:], args)
	in.Size = x86Size(&in, int(r.size()))
	return in
}
