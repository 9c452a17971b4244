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
	// instruction (a branch or a PC-relative memory operand), in bytes from the
	// start of the instruction; PCLen 0 means there is none.
	PCOff, PCLen int
	Disp         int64  // value of that field in bytes
	PCType       uint32 // the relocation type that fills that field
	// PCBase is where displacements count from, bytes from the start of the
	// instruction. It holds for relocations in the instruction too, whose addend
	// is taken relative to their own place.
	PCBase int
}

// ErrUndecodable reports an instruction that the decoder does not know.
var ErrUndecodable = errors.New("undecodable instruction")

// Mark says what a symbol means that the assembler makes for itself.
type Mark uint8

const (
	MarkNone Mark = iota // an ordinary symbol
	MarkCode             // code follows
	MarkData             // data follows, in a section of code
	MarkHere             // a label that only relocations need
)

// AltEntry is a layout of an entry in .altinstructions. It starts with the
// distances to the code and to what may replace it, 4 bytes each.
type AltEntry struct {
	Size            uint64 // bytes
	SiteLen, AltLen uint64 // offsets of the bytes with the lengths of the code and of its replacement
	Kernels         string // that have this layout, by the headers that say so
}

// Trace is what compilers leave at the entry of a function for ftrace, where no table tells.
type Trace struct {
	Calls []string // functions that are called there
	// Kept: scripts/recordmcount of older kernels leaves the calls as they are in sections that it
	// does not count. Where it is false, it makes no-ops of them, with relocations that write nothing.
	Kept bool
	Nop  []byte // the first instruction of functions that ftrace can redirect; nil: none tells
}

// Arch holds the facts of one architecture. Values are stateless.
type Arch interface {
	Name() string
	BigEndian() bool
	// Known reports whether the methods below know the relocation type. What
	// holds an unknown one must be refused.
	Known(rtype uint32) bool
	// PCRelative reports whether the relocation stores a distance from the
	// place it is applied to.
	PCRelative(rtype uint32) bool
	// Width is the number of bytes the relocation writes to, 0 for none.
	Width(rtype uint32) int
	// Clear zeroes the bits that the relocation writes in field, Width bytes.
	// The other bits of an instruction stay.
	Clear(field []byte, rtype uint32)
	// RelocName is the ABI's name of the relocation type.
	RelocName(rtype uint32) string
	// Apply stores a relocation: buf is what it writes to, place the address of
	// buf, value the symbol's address plus addend. It reports an overflow, and
	// types that it cannot store.
	Apply(buf []byte, rtype uint32, value, place uint64) error
	// Linked reads a place that a linker has filled, back to what it says of the relocation's
	// value, the symbol's address plus addend: known are the bits of it that value has. code
	// begins with the place, whose address is place. Nothing is known of a field whose meaning
	// depends on the instruction around it (x86, see PCBase).
	Linked(code []byte, rtype uint32, place uint64) (value, known uint64)
	// Near is how far a direct call leads, bytes in either direction.
	Near() uint64
	// Nop reports whether an instruction is one that compilers and assemblers pad code with.
	Nop(insn []byte) bool
	// FieldBase is PCBase minus the place of a relocation in an instruction that
	// cannot be decoded.
	FieldBase() int8
	// AltEntries are the layouts of the entries of .altinstructions.
	AltEntries() []AltEntry
	// NearJump is an unconditional jump with a field of 32 bits at its end, and
	// the type of the relocation for that field; nil where short jumps to
	// other functions do not occur.
	NearJump() (code []byte, rtype uint32)
	// Decode decodes the instruction at the start of code.
	Decode(code []byte) (Insn, error)
	// Text is the instruction at the start of code, which lies at that address, as the GNU
	// assembler writes it; false for one that the disassembler does not know. It is for people.
	Text(code []byte, at uint64) (string, bool)
	// BranchesTo returns the addresses of the direct calls and jumps to one address, in order, of
	// code that lies at base. Conditional and short jumps, which stay inside a function, are not among them.
	BranchesTo(code []byte, base, to uint64) []uint64
	// BranchReloc reports whether a relocation of this type at this place in
	// code belongs to a direct call or jump, not to a taken address.
	BranchReloc(code []byte, r Reloc) bool
	// CallReloc reports whether it is that of a direct call, which comes back to
	// the instruction behind it.
	CallReloc(code []byte, r Reloc) bool
	// Constant reports whether the instruction at the start of code does nothing but
	// load a constant into the register of an integer argument.
	Constant(code []byte) (Constant, bool)
	// Spares reports whether the instruction at the start of code goes on to the one
	// behind it and neither reads nor writes the register of an integer argument, 0 for
	// the first. False is also the answer for an instruction that it does not know.
	Spares(code []byte, arg int) bool
	// Outside says why a relocation in code cannot lead to a symbol outside of
	// the module; nil when it can. code is the whole section.
	Outside(code []byte, r Reloc) error
	// OutsideRemedy is what an author can do about it.
	OutsideRemedy() string
	// LoadsOntoZero says that the kernel refuses a livepatch relocation of a place whose bytes,
	// Width of them, are not zero.
	LoadsOntoZero() bool
	// MayMiss reports a symbol that a module may leave undefined although no kernel defines it.
	MayMiss(symbol string) bool
	// TracksBranches says that kernels may let the processor refuse indirect branches to functions
	// that do not begin with an instruction for it, and that objects tell of these.
	TracksBranches() bool
	// ByName reports a symbol that the linker defines or the module loader knows
	// by its name, and that must keep this name.
	ByName(symbol string) bool
	// Mark tells what the assembler's own symbols mean.
	Mark(symbol string) Mark
	// Merge returns the relocations of a section, with one in place of several that
	// mean something only together.
	Merge(f *File, id SecID) []Reloc
	// Prefix reports whether a relocation in code marks the start of bytes that
	// belong to the function behind them.
	Prefix(rtype uint32, symbol string) bool
	// Trace is what functions begin with that ftrace can redirect.
	Trace() Trace
	// Slots reports whether a section is a table of addresses, 8 bytes each, in
	// which code looks up what it refers to.
	Slots(section string) bool
}

// ArchOf returns the architecture of m.
func ArchOf(m elf.Machine) (Arch, error) {
	if a, ok := archs[m]; ok {
		return a, nil
	}
	return nil, fmt.Errorf("architecture %v is not supported", m)
}

var archs = map[elf.Machine]Arch{
	elf.EM_X86_64:    amd64{},
	elf.EM_AARCH64:   arm64{arm64Relocs},
	elf.EM_PPC64:     ppc64le{ppc64Relocs},
	elf.EM_S390:      s390x{s390xRelocs},
	elf.EM_LOONGARCH: loongarch64{loongRelocs},
}

// Arch returns the architecture of the object. The error tells of one that is
// not supported, or in this byte order is not.
func (f *File) Arch() (Arch, error) {
	a, err := ArchOf(f.Machine)
	if err == nil && a.BigEndian() != f.BigEndian {
		order := map[bool]string{false: "little-endian", true: "big-endian"}
		return nil, fmt.Errorf("%s %v is not supported, only %s", order[f.BigEndian], f.Machine, order[a.BigEndian()])
	}
	return a, err
}
