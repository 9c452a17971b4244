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
	locking, ok := kfuncs.Locks(name)
	if !ok || len(locking.Ops) != 1 || locking.Ops[0].Members == nil {
		return contract{}, false
	}
	op := locking.Ops[0]
	return contract{results[locking.When], kindOf(op.Kind), op.Delta, op.Members}, true
}

// effect is a contract's effect; fields that the types do not have leave the
// lock unidentified.
func (c *contract) effect(id model.FuncID, types *Types) *Effect {
	lock := Lock{c.kind, Path{Root: RootArg}}
	for _, field := range c.path {
		name, member, _ := strings.Cut(field, ".")
		off, ok := types.offset(name, member)
		if !ok {
			lock.Path = Path{Root: RootUnknown, Offs: []int64{0}}
			break
		}
		lock.Path.Offs = append(lock.Path.Offs, off)
	}
	effect := &Effect{Func: id, Primitive: true, Outcomes: []Outcome{{Changes: []Change{{Lock: lock, Delta: c.delta}},
		RetArg: -1}}}
	if c.on != always {
		hit, miss := c.on.sets()
		effect.Outcomes[0].Ret = Ret{B4: hit}
		effect.Outcomes = append(effect.Outcomes, Outcome{Ret: Ret{B4: miss}, RetArg: -1})
	}
	finish(effect, retType{})
	return effect
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
	for _, typ := range types {
		if aggregate, ok := typ.(*btf.Struct); ok {
			for _, m := range aggregate.Members {
				if m.Name == member {
					return int64(m.Offset.Bytes()), true
				}
			}
		}
	}
	return 0, false
}
