package model

import (
	"github.com/klpforge/klpforge/elfobj"
	"golang.org/x/arch/x86/x86asm"
)

// Inst is one decoded instruction. When Known is false only the length is
// known: it neither transfers control nor is anything said of what it writes.
type Inst struct {
	x86asm.Inst
	Addr  uint64
	Known bool
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
	if len(code) >= 3 && code[0] == 0xc5 && code[2] == 0x77 {
		// vzeroupper and vzeroall have no ModRM byte; the decoder thinks so.
		return Inst{Inst: x86asm.Inst{Len: 3}, Addr: addr}, nil
	}
	x, err := x86asm.Decode(code, 64)
	if err == nil && x.Len == 1 && len(code) > 1 && isPrefix(code[0]) {
		// The decoder gives a prefix alone when it does not know the rest.
		in, err := Decode(code[1:], addr+1)
		if err != nil {
			return Inst{}, err
		}
		return Inst{Inst: x86asm.Inst{Len: in.Len + 1}, Addr: addr}, nil
	}
	if err == nil && x.Len > 0 && x.Len <= len(code) {
		signDisp(&x)
		return Inst{Inst: x, Addr: addr, Known: true}, nil
	}
	in, err := x86.Decode(code)
	if err != nil {
		return Inst{}, err
	}
	return Inst{Inst: x86asm.Inst{Len: in.Len}, Addr: addr}, nil
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

func isPrefix(b byte) bool {
	switch b {
	case 0x66, 0x67, 0xf0, 0xf2, 0xf3, 0x2e, 0x36, 0x3e, 0x26, 0x64, 0x65:
		return true
	}
	return b&0xf0 == 0x40
}

var x86 = func() elfobj.Arch {
	a, err := elfobj.ArchOf(62) // EM_X86_64
	if err != nil {
		panic(err)
	}
	return a
}()

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
