package locks

import (
	"github.com/klpforge/klpforge/analyze/machine"
	"github.com/klpforge/klpforge/analyze/model"
)

// regSet is a set of registers by number.
type regSet uint32

const (
	allRegs  regSet = 1<<16 - 1
	stackSet regSet = 1 << rsp
)

// convention is how functions of the kernel call each other.
var convention = machine.X86.Convention()

var (
	argSet  = regSet(machine.Regs(convention.Args...))
	callSet = regSet(convention.Scratch)
)

// liveness finds, for every block, the registers whose value at its start may
// still matter. What is dead is forgotten when states meet, so that it does
// not keep them apart.
func (w *walker) liveness() {
	n := len(w.blocks)
	w.live = make([]regSet, n)
	use, def := make([]regSet, n), make([]regSet, n)
	for i := range w.blocks {
		b := &w.blocks[i]
		for k := range b.code {
			u, d := uses(&b.code[k])
			use[i] |= u &^ def[i]
			def[i] |= d
		}
		switch b.term {
		case model.TermReturn:
			use[i] |= (1<<rax | stackSet) &^ def[i]
		case model.TermTail, model.TermCondTail, model.TermIndirect, model.TermUnknown:
			use[i] |= (argSet | 1<<rax | stackSet) &^ def[i]
		case model.TermCond:
			if len(b.edges) == 1 {
				use[i] |= (1<<rax | stackSet) &^ def[i]
			}
		}
	}
	for changed := true; changed; {
		changed = false
		for i := n - 1; i >= 0; i-- {
			var out regSet
			for _, e := range w.blocks[i].edges {
				out |= w.live[e.To]
			}
			if in := use[i] | out&^def[i]; in != w.live[i] {
				w.live[i] = in
				changed = true
			}
		}
	}
}

// uses returns the registers that an instruction reads, and those whose value
// it replaces as a whole.
func uses(in *model.Inst) (use, def regSet) {
	m := in.Machine()
	e := m.Effects()
	if m.Op == machine.Call {
		return regSet(e.Reads) | argSet | stackSet, callSet
	}
	return regSet(e.Reads) & allRegs, regSet(e.Replaced())
}
