package machine

import (
	"debug/elf"
	"errors"
	"fmt"

	"github.com/klpforge/klpforge/elfobj"
)

// ErrArch means that the instructions of an architecture are not known here.
var ErrArch = errors.New("instructions of the architecture are not modelled")

// Arch is one architecture: its registers, its calls, its instructions.
type Arch interface {
	// Name as in the kernel's arch directory.
	Name() string
	// Machine is the ELF machine.
	Machine() elf.Machine
	// Registers are the general registers, the stack pointer among them.
	Registers() RegSet
	// RegName names a general register with its full width.
	RegName(Num) string
	// Convention says what calls between C functions of the kernel do.
	Convention() *Convention
	// Decode decodes the instruction at the start of code, which lies at addr. An
	// instruction of which only the length is known has the operation OpUnknown.
	// The error wraps elfobj.ErrUndecodable: not even the length is known.
	Decode(code []byte, addr uint64) (Inst, error)

	operand(*Operand) string
}

// For returns the architecture of an ELF machine; the error wraps ErrArch.
func For(m elf.Machine) (Arch, error) {
	if m == elf.EM_X86_64 {
		return X86, nil
	}
	return nil, fmt.Errorf("%v: %w", m, ErrArch)
}

// Like returns the architecture of objects; the error wraps ErrArch.
func Like(a elfobj.Arch) (Arch, error) {
	if have, err := elfobj.ArchOf(X86.Machine()); err == nil && have == a {
		return X86, nil
	}
	return nil, fmt.Errorf("%s: %w", a.Name(), ErrArch)
}

// Convention is how the kernel's functions call each other.
type Convention struct {
	Args     []Num  // of the first arguments that are integers or pointers, in order
	Result   []Num  // of the result: the first word, then the second
	Saved    RegSet // come back as they were
	Scratch  RegSet // may have been changed when the call returns
	StackPtr Num    // comes back as it was before the call instruction
	FramePtr Num
	// special says what callees do that are no C functions.
	special func(name string) (Callee, bool)
}

// ArgOf returns which argument a register holds.
func (c *Convention) ArgOf(n Num) (int, bool) {
	for i, reg := range c.Args {
		if reg == n {
			return i, true
		}
	}
	return 0, false
}

// CalleeKind tells apart what is called.
type CalleeKind uint8

const (
	CalleeC      CalleeKind = iota // a C function, or assembly that behaves as one
	CalleeHook                     // returns at once or calls a tracer: nothing changes
	CalleeThunk                    // goes on at what register Via holds, as an indirect call or jump
	CalleeReturn                   // jumping there returns
	CalleeStatic                   // jumps to the target of a static call, a C function
	CalleeKeeps                    // C code behind a stub that keeps all registers
)

// Callee is what is known of a callee by its name.
type Callee struct {
	Kind CalleeKind
	Via  Num // of CalleeThunk
	// Changed are the registers that may have changed when it returns.
	Changed RegSet
	// Flags says that flags may have changed.
	Flags bool
	// Memory says that it may have written memory.
	Memory bool
}

// Callee tells what a call of a function of this name changes. A name that is
// not special, or "", is a C function.
func (c *Convention) Callee(name string) Callee {
	if c.special != nil {
		if special, ok := c.special(name); ok {
			return special
		}
	}
	return Callee{Kind: CalleeC, Via: NoReg, Changed: c.Scratch, Flags: true, Memory: true}
}
