package machine

// x86Extra decodes what x86asm (v0.32) does not: the register forms of 0f 01,
// control-flow enforcement, user interrupts and waits, confidential computing,
// FRED, and late additions of the maps 0f38 and 0f3a (Intel SDM vol. 2 and
// AMD APM vol. 3, opcode maps).
func x86Extra(c []byte) (Inst, bool) {
	parsed, ok := parseRaw(c)
	if !ok || parsed.kind != 0 {
		return Inst{}, false
	}
	var in Inst
	switch parsed.opmap {
	case 1:
		in, ok = parsed.extra0f()
	case 2:
		in, ok = parsed.extra0f38()
	case 3:
		in, ok = parsed.extra0f3a()
	}
	if !ok || in.Len > len(c) || in.Len > 15 {
		return Inst{}, false
	}
	return in, true
}

// x86Random decodes RDRAND, RDSEED and RDPID.
func x86Random(c []byte) (Inst, bool) {
	if len(c) < 3 || c[0] != 0x0f && c[1] != 0x0f && c[2] != 0x0f {
		return Inst{}, false
	}
	parsed, ok := parseRaw(c)
	if !ok || parsed.kind != 0 || parsed.opmap != 1 || parsed.op != 0xc7 || parsed.mod != 3 {
		return Inst{}, false
	}
	return parsed.extra0fc7(parsed.reg&7, parsed.size())
}

// sys is a rule of an instruction without explicit operands.
func sys(side Side, reads RegSet, fw Flags, writes ...implicit) rule {
	return rule{op: OpOther, side: side, reads: reads, fw: fw, writes: writes}
}

var (
	extraNop    = rule{op: Nop, args: "----"}
	extraLand   = rule{op: Landing}
	extraFence  = rule{op: Fence, side: SideOrder}
	extraWrite  = rule{op: OpOther, args: "w"}
	extraWriteF = rule{op: OpOther, args: "w", fw: StatusFlags}
	extraRead   = rule{op: OpOther, args: "r"}
	extraStore  = rule{op: OpOther, args: "wr"}
	extraTwo    = rule{op: OpOther, args: "rr", side: SideSystem, fw: StatusFlags}
	extraCache  = rule{op: OpOther, args: "a", side: SideSystem}
	extraShadow = rule{op: OpOther, args: "x"} // rdssp: stays without shadow stacks
	extraSeg    = rule{op: OpOther, args: "r", side: SideSegment}
	extraWait   = rule{op: OpOther, args: "r", reads: Regs(RAX, RDX), fw: StatusFlags, side: SideHalt}
	extraAddr   = rule{op: OpOther, args: "r"}
	extraGuest  = rule{op: OpOther, side: SideHypervisor, special: doAnything}
	extraReturn = rule{op: SystemReturn, flow: FlowReturn, fw: AllFlags, side: SideSegment | SideInterrupts, special: doAnything}
	extraVector = rule{op: OpOther, args: "wr", side: SideVector}
	extraKeys   = rule{op: OpOther, args: "rr", side: SideVector, fw: StatusFlags, special: doUnknownMemory}
	extraLine   = rule{op: OpOther, args: "rr", special: doStoresLine}
	extraVMRead = rule{op: OpOther, args: "wr", fw: StatusFlags, side: SideHypervisor}
	extraVMRest = rule{op: OpOther, args: "rr", fw: StatusFlags, side: SideHypervisor}
	extraVMPtr  = rule{op: OpOther, args: "x", fw: StatusFlags, side: SideHypervisor}
	extraXState = rule{op: OpOther, args: "x", reads: Regs(RAX, RDX), side: SideVector, special: doStateArea}
)

// storesLine: MOVDIR64B and ENQCMD write 64 bytes to where a register points.
func storesLine(in *Inst, e *Effects) {
	e.access(Mem{Base: in.Args[0].Reg.Num, Index: NoReg, Width: 64, Addr32: in.Args[0].Reg.Size == 4}, true)
}

// hypercall: what the other side changes is its own convention. Registers that
// a C function keeps are kept by every hypervisor that the kernel knows but
// the TDX module, which has rules of its own; so all but the stack pointer.
func hypercall(_ *Inst, e *Effects) {
	regs := x86All &^ Regs(RSP)
	e.Reads, e.Writes, e.Whole, e.Maybe = x86All, regs, regs, regs
	e.AnyMemory = true
	e.FlagsRead, e.FlagsWritten, e.FlagsKept = AllFlags, StatusFlags, StatusFlags
}

// zeroLine: CLZERO writes the cache line around RAX.
func zeroLine(_ *Inst, e *Effects) {
	e.access(Mem{Base: RAX, Index: NoReg}, true)
}

// named is an instruction without operands.
type named struct {
	name string
	rule rule
}

// group01 are the register forms of 0f 01, by mandatory prefix and ModRM.
var group01 = map[uint16]*named{
	0x00c0: {"enclv", rule{op: OpOther, special: doAnything, side: SideHypervisor}},
	0x00c1: {"vmcall", rule{op: OpOther, special: doHypercall, side: SideHypervisor}},
	0x00c2: {"vmlaunch", rule{op: OpOther, special: doAnything, side: SideHypervisor}},
	0x00c3: {"vmresume", rule{op: OpOther, special: doAnything, side: SideHypervisor}},
	0x00c4: {"vmxoff", sys(SideHypervisor, 0, StatusFlags)},
	0x00c5: {"pconfig", sys(SideSystem, Regs(RAX, RBX, RCX, RDX), StatusFlags, implicit{RAX, 4})},
	0x00c6: {"wrmsrns", sys(SideMSR, Regs(RAX, RCX, RDX), 0)},
	0x00ca: {"clac", sys(0, 0, AC)},
	0x00cb: {"stac", sys(0, 0, AC)},
	0x00cf: {"encls", rule{op: OpOther, reads: Regs(RAX, RBX, RCX, RDX), fw: StatusFlags, special: doEnclave}},
	0x00d4: {"vmfunc", rule{op: OpOther, special: doHypercall, side: SideHypervisor}},
	0x00d7: {"enclu", rule{op: OpOther, special: doAnything}},
	0x00d8: {"vmrun", rule{op: OpOther, special: doAnything, side: SideHypervisor}},
	0x00d9: {"vmmcall", rule{op: OpOther, special: doHypercall, side: SideHypervisor}},
	0x00da: {"vmload", sys(SideHypervisor|SideSegment|SideMSR, Regs(RAX), 0)},
	0x00db: {"vmsave", rule{op: OpOther, reads: Regs(RAX), side: SideHypervisor, special: doAnyMemory}},
	0x00dc: {"stgi", sys(SideInterrupts, 0, 0)},
	0x00dd: {"clgi", sys(SideInterrupts, 0, 0)},
	0x00de: {"skinit", rule{op: OpOther, special: doAnything, side: SideHypervisor}},
	0x00df: {"invlpga", sys(SideSystem, Regs(RAX, RCX), 0)},
	0x00e8: {"serialize", sys(SideOrder, 0, 0)},
	0x00ee: {"rdpkru", sys(0, Regs(RCX), 0, implicit{RAX, 4}, implicit{RDX, 4})},
	0x00ef: {"wrpkru", sys(SideSystem, Regs(RAX, RCX, RDX), 0)},
	0x00fa: {"monitorx", sys(0, Regs(RAX, RCX, RDX), 0)},
	0x00fb: {"mwaitx", sys(SideHalt, Regs(RAX, RBX, RCX), 0)},
	0x00fc: {"clzero", rule{op: OpOther, reads: Regs(RAX), special: doZeroLine}},
	0x00fd: {"rdpru", sys(SideMSR, Regs(RCX), StatusFlags, implicit{RAX, 4}, implicit{RDX, 4})},
	0x00fe: {"invlpgb", sys(SideSystem, Regs(RAX, RCX, RDX), 0)},
	0x00ff: {"tlbsync", sys(SideSystem, 0, 0)},
	0x66cc: {"tdcall", rule{op: OpOther, special: doHypercall, side: SideHypervisor}},
	0x66cd: {"seamret", extraReturn},
	0x66ce: {"seamops", rule{op: OpOther, special: doHypercall, side: SideHypervisor}},
	0x66cf: {"seamcall", rule{op: OpOther, special: doHypercall, side: SideHypervisor}},
	0xf2ca: {"erets", extraReturn},
	0xf3ca: {"eretu", extraReturn},
	0xf2c6: {"rdmsrlist", rule{op: OpOther, special: doAnything, side: SideMSR}},
	0xf3c6: {"wrmsrlist", rule{op: OpOther, special: doAnything, side: SideMSR}},
	0xf2d9: {"vmgexit", rule{op: OpOther, special: doAnyMemory, side: SideHypervisor}},
	0xf3d9: {"vmgexit", rule{op: OpOther, special: doAnyMemory, side: SideHypervisor}},
	0xf2e8: {"xsusldtrk", sys(0, 0, 0)},
	0xf2e9: {"xresldtrk", sys(0, 0, 0)},
	0xf3e8: {"setssbsy", sys(SideSystem, 0, 0)},
	0xf3ea: {"saveprevssp", rule{op: OpOther, side: SideSystem, special: doAnyMemory}},
	0xf3ec: {"uiret", extraReturn},
	0xf3ed: {"testui", sys(0, 0, StatusFlags)},
	0xf3ee: {"clui", sys(0, 0, 0)},
	0xf3ef: {"stui", sys(0, 0, 0)},
	0xf2fe: {"rmpupdate", sys(SideSystem, Regs(RAX, RCX), StatusFlags, implicit{RAX, 8})},
	0xf3fe: {"rmpadjust", sys(SideSystem, Regs(RAX, RCX, RDX), StatusFlags, implicit{RAX, 8})},
	0xf2ff: {"pvalidate", sys(SideSystem, Regs(RAX, RCX, RDX), StatusFlags, implicit{RAX, 8})},
	0xf3ff: {"psmash", sys(SideSystem, Regs(RAX), StatusFlags, implicit{RAX, 8})},
}

// enclave: the leaf in EAX says which of the four registers come back changed.
func enclave(_ *Inst, e *Effects) {
	for _, reg := range []Num{RAX, RBX, RCX, RDX} {
		e.write(reg, 8, false)
	}
	e.Maybe = e.Writes
	e.AnyMemory = true
}

func anyMemory(_ *Inst, e *Effects) { e.AnyMemory = true }

func (r *raw) extra0f() (Inst, bool) {
	size := r.size()
	none := func(name string, rule *rule) (Inst, bool) { return r.inst(name, rule, 0), true }
	ext := r.reg & 7
	switch {
	case r.op == 0x01 && r.mod == 3:
		key := uint16(r.pp)<<8 | 0xc0 | uint16(ext)<<3 | uint16(r.rm&7)
		if found := group01[key]; found != nil {
			return none(found.name, &found.rule)
		}
		if found := group01[key&0xff]; found != nil && r.pp == 0x66 { // an idle prefix
			return none(found.name, &found.rule)
		}
	case r.op == 0x01 && r.pp == 0xf3 && ext == 5:
		return r.inst("rstorssp", &extraXState, 0, r.memory(8)), true
	case r.op == 0x00 && r.pp == 0xf2 && ext == 6: // FRED
		return r.inst("lkgs", &extraSeg, 0, r.rmGeneral(2)), true
	case r.op == 0x09: // wbnoinvd
		return Inst{}, false
	case r.op == 0x1e && r.pp == 0xf3 && r.mod == 3 && ext == 1:
		return r.inst("rdssp", &extraShadow, 0, general(r.rm, size)), true
	case r.op == 0x1e && r.pp == 0xf3 && r.mod == 3 && ext == 7 && r.rm == 2:
		return none("endbr64", &extraLand)
	case r.op == 0x1e && r.pp == 0xf3 && r.mod == 3 && ext == 7 && r.rm == 3:
		return none("endbr32", &extraLand)
	case r.op == 0x1c && r.mod != 3 && ext == 0:
		return r.inst("cldemote", &extraCache, 0, r.memory(1)), true
	case r.op == 0x18 || r.op >= 0x19 && r.op <= 0x1f || r.op == 0x0d:
		return r.inst("nop", &extraNop, 0, r.rmGeneral(size)), true
	case r.op == 0x78 && r.pp == 0:
		return r.inst("vmread", &extraVMRead, 0, r.rmGeneral(8), general(r.reg, 8)), true
	case r.op == 0x79 && r.pp == 0:
		return r.inst("vmwrite", &extraVMRest, 0, general(r.reg, 8), r.rmGeneral(8)), true
	case r.op == 0x78 && (r.pp == 0x66 || r.pp == 0xf2):
		return r.inst("extrq", &extraVector, 2, vector(r.reg)), true
	case r.op == 0x37:
		return r.inst("getsec", &extraGuest, 0), true
	case r.op == 0xae:
		return r.extra0fae(ext, size)
	case r.op == 0xc7:
		return r.extra0fc7(ext, size)
	}
	return Inst{}, false
}

func (r *raw) extra0fae(ext Num, size uint8) (Inst, bool) {
	if r.mod == 3 {
		switch {
		case r.pp == 0xf3 && ext == 4:
			return r.inst("ptwrite", &extraRead, 0, general(r.rm, size)), true
		case r.pp == 0xf3 && ext == 5:
			return r.inst("incssp", &extraRead, 0, general(r.rm, size)), true
		case r.pp == 0xf3 && ext == 6:
			return r.inst("umonitor", &extraAddr, 0, general(r.rm, 8)), true
		case r.pp == 0xf2 && ext == 6:
			return r.inst("umwait", &extraWait, 0, general(r.rm, 4)), true
		case r.pp == 0x66 && ext == 6:
			return r.inst("tpause", &extraWait, 0, general(r.rm, 4)), true
		case ext >= 5: // fences with other bits
			return r.inst("fence", &extraFence, 0), true
		}
		return Inst{}, false
	}
	switch {
	case r.pp == 0xf3 && ext == 4:
		return r.inst("ptwrite", &extraRead, 0, r.memory(uint16(size))), true
	case r.pp == 0xf3 && ext == 6:
		return r.inst("clrssbsy", &extraVMPtr, 0, r.memory(8)), true
	case r.pp == 0x66 && ext == 6:
		return r.inst("clwb", &extraCache, 0, r.memory(1)), true
	case r.pp == 0x66 && ext == 7:
		return r.inst("clflushopt", &extraCache, 0, r.memory(1)), true
	case ext == 4 || ext == 5 || ext == 6 || ext == 0 || ext == 1:
		return r.inst("xstate", &extraXState, 0, r.memory(0)), true
	}
	return Inst{}, false
}

func (r *raw) extra0fc7(ext Num, size uint8) (Inst, bool) {
	if r.mod == 3 {
		if r.opsize && !r.w {
			size = 2
		}
		switch {
		case r.pp == 0xf3 && ext == 7:
			return r.inst("rdpid", &extraWrite, 0, general(r.rm, 8)), true
		case r.pp == 0xf3 && ext == 6:
			return r.inst("senduipi", &extraRead, 0, general(r.rm, 8)), true
		case ext == 6:
			return r.inst("rdrand", &extraWriteF, 0, general(r.rm, size)), true
		case ext == 7:
			return r.inst("rdseed", &extraWriteF, 0, general(r.rm, size)), true
		}
		return Inst{}, false
	}
	switch ext {
	case 3, 4, 5:
		return r.inst("xstate", &extraXState, 0, r.memory(0)), true
	case 6, 7:
		return r.inst("vmptr", &extraVMPtr, 0, r.memory(8)), true
	}
	return Inst{}, false
}

func (r *raw) extra0f38() (Inst, bool) {
	size := r.size()
	switch {
	case r.op == 0xf5 && r.pp == 0x66 && r.mod != 3, r.op == 0xf6 && r.pp == 0 && r.mod != 3:
		return r.inst("wrss", &extraStore, 0, r.memory(uint16(size)), general(r.reg, size)), true
	case r.op == 0xf6 && r.pp == 0x66:
		return r.inst("adcx", &extraADCX, 0, general(r.reg, size), r.rmGeneral(size)), true
	case r.op == 0xf6 && r.pp == 0xf3:
		return r.inst("adox", &extraADOX, 0, general(r.reg, size), r.rmGeneral(size)), true
	case r.op == 0xf8 && r.mod != 3 && r.pp != 0:
		address := uint8(8)
		if r.addr32 {
			address = 4
		}
		rule := &extraLine
		if r.pp != 0x66 {
			rule = &extraQueue
		}
		return r.inst("movdir64b", rule, 0, general(r.reg, address), r.memory(64)), true
	case r.op == 0xf9 && r.mod != 3:
		return r.inst("movdiri", &extraStore, 0, r.memory(uint16(size)), general(r.reg, size)), true
	case r.op >= 0x80 && r.op <= 0x82 && r.pp == 0x66 && r.mod != 3:
		return r.inst("inv", &extraTwo, 0, general(r.reg, 8), r.memory(16)), true
	case r.op == 0xfa && r.pp == 0xf3 && r.mod == 3, r.op == 0xfb && r.pp == 0xf3 && r.mod == 3:
		return r.inst("encodekey", &extraEncode, 0, general(r.reg, 4), general(r.rm, 4)), true
	case r.pp == 0xf3 && (r.op == 0xd8 || r.op >= 0xdc && r.op <= 0xdf):
		return r.inst("aeskl", &extraKeys, 0, vector(r.reg), r.rmVector(0)), true
	case r.op < 0x40 || r.op >= 0xc8 && r.op <= 0xcf || r.op >= 0xdb && r.op <= 0xdf:
		const width = 16
		if r.op == 0x17 {
			return r.inst("ptest", &vexFlags, 0, vector(r.reg), r.rmVector(width)), true
		}
		return r.inst("vector", &extraVector, 0, vector(r.reg), r.rmVector(width)), true
	}
	return Inst{}, false
}

var (
	extraADCX   = rule{op: OpOther, args: "xr", fr: CF, fw: CF}
	extraADOX   = rule{op: OpOther, args: "xr", fr: OF, fw: OF}
	extraQueue  = rule{op: OpOther, args: "rr", fw: StatusFlags, special: doStoresLine}
	extraEncode = rule{op: OpOther, args: "wr", fw: StatusFlags, side: SideVector}
)

func (r *raw) extra0f3a() (Inst, bool) {
	switch r.op {
	case 0x14:
		return r.inst("pextrb", &vexTo, 1, r.narrow(1), vector(r.reg)), true
	case 0x15:
		return r.inst("pextrw", &vexTo, 1, r.narrow(2), vector(r.reg)), true
	case 0x16:
		return r.inst("pextrd", &vexTo, 1, r.rmGeneral(r.size()), vector(r.reg)), true
	case 0x17:
		return r.inst("extractps", &vexTo, 1, r.rmGeneral(4), vector(r.reg)), true
	case 0x20:
		return r.inst("pinsrb", &vexFrom, 1, vector(r.reg), r.narrow(1)), true
	case 0x22:
		return r.inst("pinsrd", &vexFrom, 1, vector(r.reg), r.rmGeneral(r.size())), true
	case 0xcc, 0xce, 0xcf: // sha1rnds4, gf2p8
		return r.inst("vector", &extraVector, 1, vector(r.reg), r.rmVector(16)), true
	}
	return Inst{}, false
}
