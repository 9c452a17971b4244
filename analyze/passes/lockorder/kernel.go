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
// way round than o, and returns the way of calls; "" when there is none, or
// when that cannot be looked up.
func inKernel(p *analyze.Pass, obj *code.Object, o locks.Order) (string, error) {
	if p.Kernel == nil || o.First.Path.Root != locks.RootGlobal || o.Second.Path.Root != locks.RootGlobal || len(o.First.Path.Offs) > 1 || len(o.Second.Path.Offs) > 1 {
		return "", nil
	}
	k, err := p.Kernel()
	if err != nil {
		return "", fmt.Errorf("look for lock orders in the kernel: %w", err)
	}
	first, ok1 := k.Translate(obj, o.Second)
	second, ok2 := k.Translate(obj, o.First)
	if !ok1 || !ok2 {
		return "", nil
	}
	takers := map[model.FuncID]bool{}
	users := naming(k.Model, second.Path)
	flows := k.Locks.FlowsOf(users...)
	for _, id := range users {
		if f := flows.Flow(id); f != nil {
			for _, t := range f.Takes {
				takers[id] = takers[id] || locks.Same(t.Lock, second)
			}
		}
	}
	holders := naming(k.Model, first.Path)
	flows = k.Locks.FlowsOf(holders...)
	for _, id := range holders {
		f := flows.Flow(id)
		if f == nil {
			continue
		}
		for _, x := range f.Orders {
			if locks.Same(x.First, first) && locks.Same(x.Second, second) {
				return strings.Join(append([]string{k.Model.Func(id).Name}, x.Via...), " -> "), nil
			}
		}
		for _, c := range f.Calls {
			if c.Callee == model.NoFunc || !holds(c.Held, first) {
				continue
			}
			if way := reach(k.Model, c.Callee, takers, maxDown, map[model.FuncID]bool{}); way != nil {
				return strings.Join(append([]string{k.Model.Func(id).Name}, way...), " -> "), nil
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

// reach finds a way of direct calls to one of the functions.
func reach(m *model.Model, from model.FuncID, to map[model.FuncID]bool, depth int, seen map[model.FuncID]bool) []string {
	if to[from] {
		return []string{m.Func(from).Name}
	}
	if depth == 0 || seen[from] {
		return nil
	}
	seen[from] = true
	for _, c := range m.Calls(from) {
		if c.Target != model.NoFunc && !c.Interior {
			if way := reach(m, c.Target, to, depth-1, seen); way != nil {
				return append([]string{m.Func(from).Name}, way...)
			}
		}
	}
	return nil
}

// naming lists the functions with an instruction that names the address of a
// global lock, by address, up to maxHolders.
func naming(m *model.Model, p locks.Path) []model.FuncID {
	addr := p.Addr
	if len(p.Offs) == 1 {
		addr += uint64(p.Offs[0])
	}
	var out []model.FuncID
	for i := range m.Funcs {
		if id := model.FuncID(i); names(m, id, addr) {
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
				switch a := &in.Args[i]; a.Kind {
				case machine.KindImm:
					if uint64(a.Imm) == addr {
						return true
					}
				case machine.KindMem:
					if at, ok := in.FixedAddr(a.Mem); ok && at == addr {
						return true
					}
				}
			}
		}
	}
	return false
}
