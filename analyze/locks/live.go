package locks

import (
	"github.com/klpforge/klpforge/analyze/machine"
	"github.com/klpforge/klpforge/analyze/model"
)

var (
	argSet    = machine.Regs(convention.Args...)
	returnSet = machine.Regs(retReg, stackReg)
)

// liveness finds, for every block, the registers whose value at its start may
// still matter. What is dead is forgotten when states meet, so that it does
// not keep them apart.
func (w *walker) liveness() {
	n := len(w.blocks)
	w.live = make([]machine.RegSet, n)
	use, def := make([]machine.RegSet, n), make([]machine.RegSet, n)
	for i := range w.blocks {
		b := &w.blocks[i]
		for k := range b.code {
			u, d := uses(&b.code[k])
			use[i] |= u &^ def[i]
			def[i] |= d
		}
		switch b.term {
		case model.TermReturn:
			use[i] |= returnSet &^ def[i]
		case model.TermTail, model.TermCondTail, model.TermIndirect, model.TermUnknown:
			use[i] |= (argSet | returnSet) &^ def[i]
		case model.TermCond:
			if len(b.edges) == 1 {
				use[i] |= returnSet &^ def[i]
			}
		}
	}
	for changed := true; changed; {
		changed = false
		for i := n - 1; i >= 0; i-- {
			var out machine.RegSet
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
func uses(in *machine.Inst) (use, def machine.RegSet) {
	e := in.Effects()
	if in.Op == machine.Call {
		return e.Reads | argSet | machine.Regs(stackReg), convention.Scratch
	}
	return e.Reads & machine.X86.Registers(), e.Replaced()
}
