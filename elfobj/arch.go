package elfobj

import (
	"debug/elf"
	"errors"
	"fmt"
)

// BranchKind classifies an instruction by how it transfers control.
type BranchKind uint8

const (
	BranchNone     BranchKind = iota
	BranchCall                // direct call
	BranchJump                // direct unconditional jump
	BranchCond                // direct conditional jump
	BranchIndirect            // indirect call or jump
	BranchReturn
)

// Insn is the little a differ needs to know of one instruction.
type Insn struct {
	Len  int // bytes
	Kind BranchKind
	// PCOff and PCLen give the field that holds a displacement relative to the
	// end of the instruction (a branch or a PC-relative memory operand), in
	// bytes from the start of the instruction; PCLen 0 means there is none.
	PCOff, PCLen int
	Disp         int64 // value of that field as encoded
}

// ErrUndecodable reports an instruction that the decoder does not know.
var ErrUndecodable = errors.New("undecodable instruction")

// Arch holds the facts of one architecture. Values are stateless.
type Arch interface {
	Name() string
	// PCRelative reports whether the relocation stores a distance from the
	// place it is applied to.
	PCRelative(rtype uint32) bool
	// Width is the number of bytes the relocation writes, 0 for none.
	Width(rtype uint32) int
	// RelocName is the ABI's name of the relocation type.
	RelocName(rtype uint32) string
	// PC32 and Abs64 are the types used to make a new PC-relative 32-bit and an
	// absolute 64-bit reference.
	PC32() uint32
	Abs64() uint32
	// Apply stores a relocation: buf is what it writes to, place the address of
	// buf, value the symbol's address plus addend. It reports an overflow.
	Apply(buf []byte, rtype uint32, value, place uint64) error
	// NearJump is an unconditional jump with a field of 32 bits at its end, and
	// the type of the relocation for that field.
	NearJump() (code []byte, rtype uint32)
	// Decode decodes the instruction at the start of code.
	Decode(code []byte) (Insn, error)
	// BranchReloc reports whether a relocation of this type at this place in
	// code belongs to a direct call or jump, not to a taken address.
	BranchReloc(code []byte, r Reloc) bool
}

// ArchOf returns the architecture of m.
func ArchOf(m elf.Machine) (Arch, error) {
	if a, ok := archs[m]; ok {
		return a, nil
	}
	return nil, fmt.Errorf("architecture %v is not supported", m)
}

var archs = map[elf.Machine]Arch{elf.EM_X86_64: amd64{}}
