package code

import "github.com/klpforge/klpforge/analyze/machine"

// nregs is the number of general registers.
const nregs = 16

// convention is how the functions of the code at hand call each other.
var convention = machine.X86.Convention()

// general returns the number and size in bytes of an operand that is a general
// register.
func general(in *machine.Inst, arg int) (n machine.Num, size int, ok bool) {
	return in.Args[arg].General()
}

// storesString reports whether a string instruction writes memory.
func storesString(in *machine.Inst, e *machine.Effects) bool {
	switch in.Op {
	case machine.StringMove, machine.StringStore, machine.StringLoad, machine.StringCompare, machine.StringScan:
		return e.WritesMemory()
	}
	return false
}
