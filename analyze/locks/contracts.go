package locks

import (
	"strings"

	"github.com/cilium/ebpf/btf"
	"github.com/klpforge/klpforge/analyze/model"
)

// contract is the effect of a function whose own code does not show it,
// because the lock changes hands inside an indirect call.
type contract struct {
	name  string
	on    result
	kind  Kind
	delta int8
	// path begins at argument 0, a pointer to the first structure, and names
	// one member of each structure on the way.
	path []string // "fs_context.root"
}

// contracts lists such functions (fs/super.c, v6.1).
var contracts = []contract{
	// On success s_umount of the super block is held, taken by the file
	// system's get_tree.
	{"vfs_get_tree", onZero, RwsemWrite, 1, []string{"fs_context.root", "dentry.d_sb", "super_block.s_umount"}},
	// The file system's kill_sb releases it.
	{"deactivate_locked_super", always, RwsemWrite, -1, []string{"super_block.s_umount"}},
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
