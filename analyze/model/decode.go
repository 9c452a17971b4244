package model

import (
	"golang.org/x/arch/x86/x86asm"

	"github.com/klpforge/klpforge/analyze/machine"
)

// Inst is one decoded instruction. Known says that x86asm.Inst tells what it
// is. Where it is not set, only the length in it counts: the decoder does not
// know the instruction. What it reads and changes is known of either
// (Effects), but of very few.
type Inst struct {
	x86asm.Inst
	Addr  uint64
	Known bool
	other *machine.Inst // when not Known
}

// Machine is the instruction as package machine names it.
func (in *Inst) Machine() machine.Inst {
	switch {
	case in.other != nil:
		return *in.other
	case in.Known:
		return machine.FromX86(&in.Inst, in.Addr)
	}
	return machine.Inst{Addr: in.Addr, Len: in.Len}
}

// Effects says what the instruction reads and changes.
func (in *Inst) Effects() machine.Effects {
	m := in.Machine()
	return m.Effects()
}

// Next is the address of the following instruction.
func (in *Inst) Next() uint64 { return in.Addr + uint64(in.Len) }

// RelTarget returns the destination of a direct branch.
func (in *Inst) RelTarget() (uint64, bool) {
	if r, ok := in.Args[0].(x86asm.Rel); ok {
		return in.Next() + uint64(int64(r)), true
	}
	return 0, false
}

// MemAddr returns the fixed address that a memory operand without registers
// (or relative to the program counter) refers to, ignoring its segment.
func (in *Inst) MemAddr(m x86asm.Mem) (uint64, bool) {
	switch {
	case m.Index != 0:
		return 0, false
	case m.Base == x86asm.RIP:
		return in.Next() + uint64(m.Disp), true
	case m.Base == 0:
		if m.Segment == x86asm.GS || m.Segment == x86asm.FS {
			return uint64(m.Disp), true
		}
		return uint64(int64(int32(m.Disp))), true
	}
	return 0, false
}

// Decode decodes the instruction at the start of code, which lies at addr.
// The error wraps elfobj.ErrUndecodable.
func Decode(code []byte, addr uint64) (Inst, error) {
	if !vectorPrefix(code) {
		x, err := x86asm.Decode(code, 64)
		// A prefix alone means that the decoder does not know the rest. It takes
		// RDRAND with REX.W for one of 32 bits (v0.32).
		if err == nil && x.Op != 0 && x.Op != x86asm.RDRAND && x.Len > 0 && x.Len <= len(code) {
			signDisp(&x)
			return Inst{Inst: x, Addr: addr, Known: true}, nil
		}
	}
	m, err := machine.X86.Decode(code, addr)
	if err != nil {
		return Inst{}, err
	}
	return Inst{Inst: x86asm.Inst{Len: m.Len}, Addr: addr, other: &m}, nil
}

// vectorPrefix reports a VEX or EVEX encoding, of which x86asm knows a part.
func vectorPrefix(c []byte) bool {
	for _, b := range c {
		switch b {
		case 0xc4, 0xc5, 0x62:
			return true
		case 0x66, 0x67, 0xf0, 0xf2, 0xf3, 0x2e, 0x36, 0x3e, 0x26, 0x64, 0x65:
		default:
			return false
		}
	}
	return false
}

// signDisp sign-extends 4-byte displacements, which the decoder leaves as
// unsigned (golang.org/x/arch v0.28).
func signDisp(x *x86asm.Inst) {
	for i, a := range x.Args {
		if m, ok := a.(x86asm.Mem); ok && (m.Base != 0 || m.Index != 0) && m.Disp>>31 == 1 {
			m.Disp = int64(int32(m.Disp))
			x.Args[i] = m
		}
	}
}

// quick decodes the most frequent control transfers without the table: it
// returns the length and the relative target's displacement.
func quick(c []byte) (op x86asm.Op, n int, disp int64) {
	if len(c) < 6 {
		return 0, 0, 0
	}
	switch b := c[0]; {
	case b == 0xe8:
		return x86asm.CALL, 5, int64(int32(le.Uint32(c[1:])))
	case b == 0xe9:
		return x86asm.JMP, 5, int64(int32(le.Uint32(c[1:])))
	case b == 0xeb:
		return x86asm.JMP, 2, int64(int8(c[1]))
	case b&0xf0 == 0x70:
		return x86asm.JE, 2, int64(int8(c[1])) // any conditional jump
	case b == 0x0f && c[1]&0xf0 == 0x80:
		return x86asm.JE, 6, int64(int32(le.Uint32(c[2:])))
	}
	return 0, 0, 0
}
