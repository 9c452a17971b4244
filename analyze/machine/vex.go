package machine

// x86Vex decodes VEX and EVEX encodings, as far as general registers, flags
// and memory are concerned (Intel SDM vol. 2, opcode maps in appendix A). What
// works on vector and mask registers alone gets one rule for all.
func x86Vex(c []byte) (Inst, bool) {
	parsed, ok := parseRaw(c)
	if !ok || parsed.kind == 0 || parsed.opmap == 0 || parsed.opmap > 6 {
		return Inst{}, false
	}
	imm := 0
	if parsed.opmap == 3 || parsed.opmap == 1 && vexImm[parsed.op] {
		imm = 1
	}
	if parsed.len+imm > len(c) || parsed.len+imm > 15 {
		return Inst{}, false
	}
	in, ok := parsed.vexGeneral(imm)
	if !ok {
		in = parsed.vexVector(imm)
	}
	return in, true
}

// vexImm are the opcodes of map 0f with an immediate byte.
var vexImm = map[byte]bool{0x70: true, 0x71: true, 0x72: true, 0x73: true, 0xc2: true, 0xc4: true, 0xc5: true, 0xc6: true}

var (
	vexCount   = rule{op: OpOther, args: "wrr", fw: StatusFlags, undef: AF | PF}
	vexUnary   = rule{op: OpOther, args: "wr", fw: StatusFlags, undef: AF | PF}
	vexQuiet   = rule{op: OpOther, args: "wrr"}
	vexMulx    = rule{op: OpOther, args: "wwr", reads: Regs(RDX)}
	vexTo      = rule{op: OpOther, args: "wr"}                    // into a general register or memory
	vexFrom    = rule{op: OpOther, args: "wr", side: SideVector}  // from a general register or memory
	vexFromTwo = rule{op: OpOther, args: "wrr", side: SideVector} // the same, with another source
	vexFlags   = rule{op: OpOther, args: "rr", fw: StatusFlags}   // compares
	vexZero    = rule{op: OpOther, side: SideVector}              // vzeroupper, vzeroall, tilerelease
	vexAny     = rule{op: OpOther, args: "wr", side: SideVector, special: doUnknownMemory}
	vexIndex   = rule{op: OpOther, args: "rrr", fw: StatusFlags, writes: []implicit{{RCX, 4}}}
	vexMask    = rule{op: OpOther, args: "rrr", fw: StatusFlags, side: SideVector}
	vexIndexE  = rule{op: OpOther, args: "rrr", fw: StatusFlags, reads: Regs(RAX, RDX), writes: []implicit{{RCX, 4}}}
	vexMaskE   = rule{op: OpOther, args: "rrr", fw: StatusFlags, reads: Regs(RAX, RDX), side: SideVector}
)

// unknownMemory: where memory is accessed depends on vector registers.
func unknownMemory(in *Inst, e *Effects) {
	e.AnyMemory = true
	for i := range in.Args {
		if in.Args[i].Kind == KindMem {
			e.Reads |= in.Args[i].Mem.Regs()
		}
	}
}

// vexGeneral knows the encodings that name general registers, flags, or write
// memory.
func (r *raw) vexGeneral(imm int) (Inst, bool) {
	key := uint32(r.opmap)<<16 | uint32(r.pp)<<8 | uint32(r.op)
	size := r.size()
	dst, third := general(r.reg, size), general(r.vvvv, size)
	rm := r.rmGeneral(size)
	width := uint16(16) << r.long
	vec := vector(r.reg)
	evex := r.kind == 0x62
	mask := !evex // kmov and its like are VEX

	switch key {
	// BMI1 and BMI2.
	case 0x2_00_f2:
		return r.inst("andn", &vexCount, imm, dst, third, rm), true
	case 0x2_00_f3:
		if reg := r.reg & 7; reg >= 1 && reg <= 3 {
			return r.inst([...]string{"blsr", "blsmsk", "blsi"}[reg-1], &vexUnary, imm, third, rm), true
		}
	case 0x2_00_f5:
		return r.inst("bzhi", &vexCount, imm, dst, rm, third), true
	case 0x2_f3_f5:
		return r.inst("pext", &vexQuiet, imm, dst, third, rm), true
	case 0x2_f2_f5:
		return r.inst("pdep", &vexQuiet, imm, dst, third, rm), true
	case 0x2_f2_f6:
		return r.inst("mulx", &vexMulx, imm, dst, third, rm), true
	case 0x2_00_f7:
		return r.inst("bextr", &vexCount, imm, dst, rm, third), true
	case 0x2_66_f7:
		return r.inst("shlx", &vexQuiet, imm, dst, rm, third), true
	case 0x2_f3_f7:
		return r.inst("sarx", &vexQuiet, imm, dst, rm, third), true
	case 0x2_f2_f7:
		return r.inst("shrx", &vexQuiet, imm, dst, rm, third), true
	case 0x3_f2_f0:
		return r.inst("rorx", &vexTo, imm, dst, rm), true

	// Between vector and general registers.
	case 0x1_66_6e:
		return r.inst("vmovd", &vexFrom, imm, vec, rm), true
	case 0x1_66_7e:
		return r.inst("vmovd", &vexTo, imm, rm, vec), true
	case 0x1_00_50, 0x1_66_50:
		return r.inst("vmovmskp", &vexTo, imm, general(r.reg, 4), r.rmVector(width)), true
	case 0x1_66_d7:
		return r.inst("vpmovmskb", &vexTo, imm, general(r.reg, 4), r.rmVector(width)), true
	case 0x1_66_c4:
		return r.inst("vpinsrw", &vexFromTwo, imm, vec, vector(r.vvvv), r.narrow(2)), true
	case 0x3_66_20:
		return r.inst("vpinsrb", &vexFromTwo, imm, vec, vector(r.vvvv), r.narrow(1)), true
	case 0x3_66_22:
		return r.inst("vpinsrd", &vexFromTwo, imm, vec, vector(r.vvvv), rm), true
	case 0x1_66_c5:
		return r.inst("vpextrw", &vexTo, imm, general(r.reg, 4), vector(r.rm)), true
	case 0x3_66_14:
		return r.inst("vpextrb", &vexTo, imm, r.narrow(1), vec), true
	case 0x3_66_15:
		return r.inst("vpextrw", &vexTo, imm, r.narrow(2), vec), true
	case 0x3_66_16:
		return r.inst("vpextrd", &vexTo, imm, rm, vec), true
	case 0x3_66_17:
		return r.inst("vextractps", &vexTo, imm, r.rmGeneral(4), vec), true
	case 0x1_f3_2a, 0x1_f2_2a, 0x1_f3_7b, 0x1_f2_7b:
		return r.inst("vcvtsi2s", &vexFromTwo, imm, vec, vector(r.vvvv), rm), true
	case 0x1_f3_2c, 0x1_f2_2c, 0x1_f3_2d, 0x1_f2_2d, 0x1_f3_78, 0x1_f2_78, 0x1_f3_79, 0x1_f2_79:
		if evex || r.op < 0x70 {
			return r.inst("vcvts2si", &vexTo, imm, dst, r.rmVector(8)), true
		}
	case 0x2_66_7a, 0x2_66_7b, 0x2_66_7c:
		if evex {
			return r.inst("vpbroadcast", &vexFrom, imm, vec, general(r.rm, size)), true
		}

	// Flags.
	case 0x1_00_2e, 0x1_66_2e, 0x1_00_2f, 0x1_66_2f:
		return r.inst("vcomis", &vexFlags, imm, vec, r.rmVector(8)), true
	case 0x2_66_17, 0x2_66_0e, 0x2_66_0f:
		if !evex {
			return r.inst("vptest", &vexFlags, imm, vec, r.rmVector(width)), true
		}
	case 0x1_00_98, 0x1_66_98, 0x1_00_99, 0x1_66_99:
		return r.inst("kortest", &vexFlags, imm, vec, vector(r.rm)), true
	case 0x3_66_60:
		return r.inst("vpcmpestrm", &vexMaskE, imm, vec, r.rmVector(16)), true
	case 0x3_66_61:
		return r.inst("vpcmpestri", &vexIndexE, imm, vec, r.rmVector(16)), true
	case 0x3_66_62:
		return r.inst("vpcmpistrm", &vexMask, imm, vec, r.rmVector(16)), true
	case 0x3_66_63:
		return r.inst("vpcmpistri", &vexIndex, imm, vec, r.rmVector(16)), true

	// Mask registers.
	case 0x1_00_92, 0x1_66_92, 0x1_f2_92:
		if mask {
			return r.inst("kmov", &vexFrom, imm, vec, general(r.rm, size)), true
		}
	case 0x1_00_93, 0x1_66_93, 0x1_f2_93:
		if mask {
			return r.inst("kmov", &vexTo, imm, general(r.reg, size), vector(r.rm)), true
		}
	case 0x1_00_91, 0x1_66_91:
		if mask && r.mod != 3 {
			return r.inst("kmov", &vexTo, imm, r.memory(8), vec), true
		}

	// Stores.
	case 0x1_00_11, 0x1_66_11, 0x1_00_29, 0x1_66_29, 0x1_66_7f, 0x1_f3_7f, 0x1_f2_7f, 0x1_66_e7, 0x1_00_2b, 0x1_66_2b:
		return r.inst("vmov", &vexFrom, imm, r.rmVector(width), vec), true
	case 0x1_f3_11, 0x1_f2_11, 0x1_00_13, 0x1_66_13, 0x1_00_17, 0x1_66_17, 0x1_66_d6:
		return r.inst("vmov", &vexFrom, imm, r.rmVector(8), vec), true
	case 0x3_66_19, 0x3_66_39, 0x3_66_1b, 0x3_66_3b, 0x3_66_1d:
		return r.inst("vextract", &vexFrom, imm, r.rmVector(32), vec), true
	case 0x2_66_2e, 0x2_66_2f, 0x2_66_8e: // vmaskmov
		if !evex {
			return r.inst("vmaskmov", &vexAny, imm, r.rmVector(0), vec), true
		}

	// Tiles.
	case 0x2_00_49, 0x2_66_49, 0x2_f2_4b, 0x2_66_4b, 0x2_f3_4b:
		if r.mod == 3 {
			return r.inst("tilerelease", &vexZero, imm), true
		}
		return r.inst("tile", &vexAny, imm, r.rmVector(0)), true
	}
	// Narrowing, compressing and scattering stores of AVX-512.
	if evex && r.opmap == 2 && r.mod != 3 && (r.pp == 0xf3 && r.op>>4 >= 1 && r.op>>4 <= 3 && r.op&15 <= 5 ||
		r.op == 0x8a || r.op == 0x8b || r.op == 0x63 || r.op >= 0xa0 && r.op <= 0xa3) {
		return r.inst("vstore", &vexAny, imm, r.rmVector(0), vec), true
	}
	return Inst{}, false
}

// narrow is a general register read or written as a whole, or a narrower
// memory operand.
func (r *raw) narrow(width uint16) Operand {
	if r.mod == 3 {
		return general(r.rm, 4)
	}
	return r.memory(width)
}

// vexVector is what works on vectors: a memory operand is a source.
func (r *raw) vexVector(imm int) Inst {
	if r.opmap == 1 && r.op == 0x77 {
		return r.inst("vzero", &vexZero, imm)
	}
	if r.opmap == 1 && r.op == 0xae && r.kind != 0x62 && r.reg&7 == 3 { // vstmxcsr
		return r.inst("vstmxcsr", &vexTo, imm, r.rmGeneral(4))
	}
	// Gathers read where an index vector says.
	if r.opmap == 2 && r.op >= 0x90 && r.op <= 0x93 || r.opmap == 2 && (r.op == 0xc6 || r.op == 0xc7) && r.mod != 3 {
		mem := r.mem
		mem.Index = NoReg // a vector
		r.mem = mem
		return r.inst("vgather", &vexAny, imm, vector(r.reg), r.rmVector(0))
	}
	return r.inst("vector", &vexFrom, imm, vector(r.reg), r.rmVector(uint16(16)<<r.long))
}
