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
	count := len(w.blocks)
	w.live = make([]machine.RegSet, count)
	use, def := make([]machine.RegSet, count), make([]machine.RegSet, count)
	for at := range w.blocks {
		block := &w.blocks[at]
		for k := range block.code {
			used, defined := uses(&block.code[k])
			use[at] |= used &^ def[at]
			def[at] |= defined
		}
		switch block.term {
		case model.TermReturn:
			use[at] |= returnSet &^ def[at]
		case model.TermTail, model.TermCondTail, model.TermIndirect, model.TermUnknown:
			use[at] |= (argSet | returnSet) &^ def[at]
		case model.TermCond:
			if len(block.edges) == 1 {
				use[at] |= returnSet &^ def[at]
			}
		}
	}
	for changed := true; changed; {
		changed = false
		for at := count - 1; at >= 0; at-- {
			var out machine.RegSet
			for _, edge := range w.blocks[at].edges {
				out |= w.live[edge.To]
			}
			if in := use[at] | out&^def[at]; in != w.live[at] {
				w.live[at] = in
				changed = true
			}
		}
	}
}

// uses returns the registers that an instruction reads, and those whose value
// it replaces as a whole.
func uses(in *machine.Inst) (use, def machine.RegSet) {
	effects := in.Effects()
	if in.Op == machine.Call {
		return effects.Reads | argSet | machine.Regs(stackReg), convention.Scratch
	}
	return effects.Reads & machine.X86.Registers(), effects.Replaced()
}
