package locks

import (
	"strings"

	"github.com/cilium/ebpf/btf"
	"github.com/klpforge/klpforge/analyze/kfuncs"
	"github.com/klpforge/klpforge/analyze/model"
)

// contract is the effect of a function whose own code does not show it,
// because the lock changes hands inside an indirect call: on success of
// vfs_get_tree the file system's get_tree has taken s_umount of the super block.
type contract struct {
	on    result
	kind  Kind
	delta int8
	// path begins at argument 0, a pointer to the first structure, and names
	// one member of each structure on the way.
	path []string // "fs_context.root"
}

// contractOf finds a function's contract in package kfuncs.
func contractOf(name string) (c contract, ok bool) {
	l, ok := kfuncs.Locks(name)
	if !ok || len(l.Ops) != 1 || l.Ops[0].Members == nil {
		return contract{}, false
	}
	op := l.Ops[0]
	return contract{results[l.When], kindOf(op.Kind), op.Delta, op.Members}, true
}

// effect is a contract's effect; fields that the types do not have leave the
// lock unidentified.
func (c *contract) effect(id model.FuncID, types *Types) *Effect {
	l := Lock{c.kind, Path{Root: RootArg}}
	for _, f := range c.path {
		name, member, _ := strings.Cut(f, ".")
		off, ok := types.offset(name, member)
		if !ok {
			l.Path = Path{Root: RootUnknown, Offs: []int64{0}}
			break
		}
		l.Path.Offs = append(l.Path.Offs, off)
	}
	e := &Effect{Func: id, Primitive: true, Outcomes: []Outcome{{Changes: []Change{{Lock: l, Delta: c.delta}}, RetArg: -1}}}
	if c.on != always {
		hit, miss := c.on.sets()
		e.Outcomes[0].Ret = Ret{B4: hit}
		e.Outcomes = append(e.Outcomes, Outcome{Ret: Ret{B4: miss}, RetArg: -1})
	}
	finish(e, retType{})
	return e
}

// offset is where a structure's member lies, in bytes.
func (t *Types) offset(name, member string) (int64, bool) {
	if t == nil {
		return 0, false
	}
	types, err := t.spec.AnyTypesByName(name)
	if err != nil {
		return 0, false
	}
	for _, x := range types {
		if s, ok := x.(*btf.Struct); ok {
			for _, m := range s.Members {
				if m.Name == member {
					return int64(m.Offset.Bytes()), true
				}
			}
		}
	}
	return 0, false
}
