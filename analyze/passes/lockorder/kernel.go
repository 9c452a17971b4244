package lockorder

import (
	"fmt"
	"strings"

	"github.com/klpforge/klpforge/analyze"
	"github.com/klpforge/klpforge/analyze/code"
	"github.com/klpforge/klpforge/analyze/locks"
	"github.com/klpforge/klpforge/analyze/machine"
	"github.com/klpforge/klpforge/analyze/model"
)

// maxDown is how many calls below a function that holds a lock are looked at.
const maxDown = 5

// maxHolders bounds the functions that are executed for one lock.
const maxHolders = 300

// inKernel looks for code of the kernel that takes two global locks the other
// way round than o, and returns the path of calls; "" when there is none, or
// when that cannot be looked up.
func inKernel(p *analyze.Pass, obj *code.Object, order locks.Order) (string, error) {
	if p.Kernel == nil || order.First.Path.Root != locks.RootGlobal || order.Second.Path.Root != locks.RootGlobal ||
		len(order.First.Path.Offs) > 1 || len(order.Second.Path.Offs) > 1 {
		return "", nil
	}

	// Only locks that both the object and the kernel name can be found again there.
	kern, err := p.Kernel()
	if err != nil {
		return "", fmt.Errorf("look for lock orders in the kernel: %w", err)
	}
	first, ok1 := kern.Translate(obj, order.Second)
	second, ok2 := kern.Translate(obj, order.First)
	if !ok1 || !ok2 {
		return "", nil
	}

	// Who takes the second lock, and then who holds the first: in the same function, or on the
	// way down to one of the former.
	takers := map[model.FuncID]bool{}
	users := naming(kern.Model, second.Path)
	flows := kern.Locks.FlowsOf(users...)
	for _, id := range users {
		if f := flows.Flow(id); f != nil {
			for _, t := range f.Takes {
				takers[id] = takers[id] || locks.Same(t.Lock, second)
			}
		}
	}

	holders := naming(kern.Model, first.Path)
	flows = kern.Locks.FlowsOf(holders...)
	for _, id := range holders {
		flow := flows.Flow(id)
		if flow == nil {
			continue
		}
		for _, x := range flow.Orders {
			if locks.Same(x.First, first) && locks.Same(x.Second, second) {
				return strings.Join(append([]string{kern.Model.Func(id).Name}, x.Via...), " -> "), nil
			}
		}
		for _, c := range flow.Calls {
			if c.Callee == model.NoFunc || !holds(c.Held, first) {
				continue
			}
			if path := reach(kern.Model, c.Callee, takers, maxDown, map[model.FuncID]bool{}); path != nil {
				return strings.Join(append([]string{kern.Model.Func(id).Name}, path...), " -> "), nil
			}
		}
	}
	return "", nil
}

func holds(held []locks.Lock, l locks.Lock) bool {
	for _, h := range held {
		if locks.Same(h, l) {
			return true
		}
	}
	return false
}

// reach finds a path of direct calls to one of the functions.
func reach(mod *model.Model, from model.FuncID, to map[model.FuncID]bool, depth int,
	seen map[model.FuncID]bool) []string {
	if to[from] {
		return []string{mod.Func(from).Name}
	}
	if depth == 0 || seen[from] {
		return nil
	}
	seen[from] = true
	for _, c := range mod.Calls(from) {
		if c.Target != model.NoFunc && !c.Interior {
			if path := reach(mod, c.Target, to, depth-1, seen); path != nil {
				return append([]string{mod.Func(from).Name}, path...)
			}
		}
	}
	return nil
}

// naming lists the functions with an instruction that names the address of a
// global lock, by address, up to maxHolders.
func naming(mod *model.Model, p locks.Path) []model.FuncID {
	addr := p.Addr
	if len(p.Offs) == 1 {
		addr += uint64(p.Offs[0])
	}
	var out []model.FuncID
	for i := range mod.Funcs {
		if id := model.FuncID(i); names(mod, id, addr) {
			if out = append(out, id); len(out) == maxHolders {
				break
			}
		}
	}
	return out
}

func names(m *model.Model, id model.FuncID, addr uint64) bool {
	blocks := m.Blocks(id)
	for k := range blocks {
		for in := range m.Instructions(&blocks[k]) {
			for i := range in.Args {
				switch operand := &in.Args[i]; operand.Kind {
				case machine.KindImm:
					if uint64(operand.Imm) == addr {
						return true
					}
				case machine.KindMem:
					if at, ok := in.FixedAddr(operand.Mem); ok && at == addr {
						return true
					}
				}
			}
		}
	}
	return false
}
