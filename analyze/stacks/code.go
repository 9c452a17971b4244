package stacks

import (
	"sync"

	"github.com/klpforge/klpforge/analyze/fields"
	"github.com/klpforge/klpforge/analyze/machine"
	"github.com/klpforge/klpforge/analyze/model"
)

// code is a function decoded for being followed.
type code struct {
	blocks []model.Block
	insns  [][]insn // by block
	size   int      // instructions
}

// insn is an instruction with what is known of it besides its bytes.
type insn struct {
	machine.Inst
	calls  []*model.Call // that it makes
	loaded member        // that it loads, if that may be a time
}

// maxDecoded is how many instructions are kept decoded, about 200 bytes each.
const maxDecoded = 1 << 17

// decoded are the functions that were decoded last: one is followed again for each
// set of arguments, mostly soon.
type decoded struct {
	by    map[model.FuncID]*code
	order []model.FuncID // oldest first
	size  int
}

// codeOf decodes a function.
func (a *analysis) codeOf(id model.FuncID) *code {
	all := &a.decoded
	if code := all.by[id]; code != nil {
		return code
	}
	body := a.decode(id)
	for all.size+body.size > maxDecoded && len(all.order) > 0 {
		all.size -= all.by[all.order[0]].size
		delete(all.by, all.order[0])
		all.order = all.order[1:]
	}
	all.by[id], all.order, all.size = body, append(all.order, id), all.size+body.size
	return body
}

func (a *analysis) decode(id model.FuncID) *code {
	body := &code{blocks: a.m.Blocks(id)}
	if len(body.blocks) == 0 {
		return body
	}
	sites := map[uint64][]*model.Call{}
	calls := a.m.Calls(id)
	for i := range calls {
		sites[calls[i].Site] = append(sites[calls[i].Site], &calls[i])
	}
	decoded := a.m.Code(body.blocks)
	loads := a.loadsOf(id, decoded)

	body.insns = make([][]insn, len(body.blocks))
	for k, block := range decoded {
		body.insns[k] = make([]insn, len(block))
		for i := range block {
			at := block[i].Addr
			body.insns[k][i] = insn{block[i], sites[at], loads[at]}
		}
		body.size += len(block)
	}
	return body
}

// loadsOf names the members that a function loads and that may be times.
func (a *analysis) loadsOf(id model.FuncID, code [][]machine.Inst) map[uint64]member {
	if loads, ok := a.loads[id]; ok {
		return loads
	}
	var out map[uint64]member
	fields.WalkCode(a.m, a.types, id, code, func(in *machine.Inst, at *fields.At) {
		if name := timeMember(in, at); name != "" {
			if out == nil {
				out = map[uint64]member{}
			}
			out[in.Addr] = a.members.number(name)
		}
	})
	a.loads[id] = out
	return out
}

// member is the number of a structure's member among members; 0 is none. Values hold
// numbers, for they are copied often, and the garbage collector then leaves them
// alone.
type member uint32

// members numbers the names of members. A kernel and the objects that it judges
// share one, as values pass from one to the other. It is safe for concurrent use.
type members struct {
	mu    sync.Mutex
	by    map[string]member
	names []string // by number, from 1 on
}

func (m *members) number(name string) member {
	m.mu.Lock()
	defer m.mu.Unlock()
	index, ok := m.by[name]
	if !ok {
		m.names = append(m.names, name)
		index = member(len(m.names))
		m.by[name] = index
	}
	return index
}

func (m *members) name(n member) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.names[n-1]
}
