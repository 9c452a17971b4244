package locks

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/cilium/ebpf/btf"
)

// Types are a kernel's types as its BTF says: prototypes of functions and the
// layout of structures. It is immutable and safe for concurrent use.
type Types struct {
	spec   *btf.Spec
	protos map[string]*btf.FuncProto // nil for a name with several prototypes
}

// LoadTypes reads raw BTF (section .BTF of a vmlinux).
func LoadTypes(raw []byte) (*Types, error) {
	spec, err := btf.LoadSpecFromReader(bytes.NewReader(raw))
	if err != nil {
		return nil, fmt.Errorf("read BTF: %w", err)
	}
	types := &Types{spec: spec, protos: map[string]*btf.FuncProto{}}
	for typ, err := range spec.All() {
		if err != nil {
			return nil, fmt.Errorf("read BTF: %w", err)
		}
		fn, ok := typ.(*btf.Func)
		if !ok {
			continue
		}
		proto, ok := fn.Type.(*btf.FuncProto)
		if !ok {
			continue
		}
		if old, seen := types.protos[fn.Name]; seen && (old == nil || !sameProto(old, proto)) {
			proto = nil
		}
		types.protos[fn.Name] = proto
	}
	return types, nil
}

func sameProto(a, b *btf.FuncProto) bool {
	if len(a.Params) != len(b.Params) || typeKey(a.Return) != typeKey(b.Return) {
		return false
	}
	for i := range a.Params {
		if typeKey(a.Params[i].Type) != typeKey(b.Params[i].Type) {
			return false
		}
	}
	return true
}

func typeKey(t btf.Type) string {
	prefix := ""
	for range 8 {
		switch under := btf.UnderlyingType(t).(type) {
		case *btf.Pointer:
			prefix += "*"
			t = under.Target
			continue
		case *btf.Struct:
			return prefix + "struct " + under.Name
		case *btf.Union:
			return prefix + "union " + under.Name
		case *btf.Fwd:
			return prefix + "struct " + under.Name
		case *btf.Int:
			return prefix + under.Name
		case *btf.Enum:
			return prefix + "enum"
		case *btf.FuncProto:
			return prefix + "()"
		default:
			return prefix + fmt.Sprintf("%T", under)
		}
	}
	return prefix
}

// result describes what a function returns.
type retType struct {
	known   bool
	void    bool
	size    uint8 // bytes, 1 to 8
	pointer bool
}

// returns looks a function's result type up. Clones (.isra, .constprop,
// .part) have no prototype of their own.
func (t *Types) returns(name string) retType {
	if t == nil || strings.Contains(name, ".") {
		return retType{}
	}
	proto := t.protos[name]
	if proto == nil {
		return retType{}
	}
	switch under := btf.UnderlyingType(proto.Return).(type) {
	case *btf.Void:
		return retType{known: true, void: true}
	case *btf.Pointer:
		return retType{known: true, size: 8, pointer: true}
	case *btf.Int:
		return retType{known: true, size: uint8(min(under.Size, 8))}
	case *btf.Enum:
		return retType{known: true, size: uint8(min(under.Size, 8))}
	}
	return retType{}
}

// Field names the member of an argument's type at a path: "inode.i_lock" for
// arg0+0x88 of a function whose first argument is a struct inode *. It
// returns "" when the types do not say.
func (t *Types) Field(fn string, p Path) string {
	if t == nil || len(p.Offs) == 0 {
		return ""
	}
	if p.Root == RootCurrent {
		if types, err := t.spec.AnyTypesByName("task_struct"); err == nil && len(types) > 0 {
			return fieldFrom(&btf.Pointer{Target: types[0]}, p.Offs)
		}
		return ""
	}
	if strings.Contains(fn, ".") {
		return "" // a clone may have lost arguments
	}
	proto := t.protos[fn]
	if proto == nil {
		return ""
	}
	var typ btf.Type
	switch p.Root {
	case RootArg:
		if int(p.Arg) >= len(proto.Params) {
			return ""
		}
		typ = proto.Params[p.Arg].Type
	case RootRet:
		typ = proto.Return
	default:
		return ""
	}
	return fieldFrom(typ, p.Offs)
}

// fieldFrom follows a pointer type along offsets.
func fieldFrom(typ btf.Type, offs []int64) string {
	for nth, off := range offs {
		ptr, ok := btf.UnderlyingType(typ).(*btf.Pointer)
		if !ok || off < 0 {
			return ""
		}
		if nth == len(offs)-1 && off == 0 && isLock(typeName(ptr.Target)) {
			return typeName(ptr.Target)
		}
		owner, member, mt, ok := memberAt(ptr.Target, uint32(off))
		if nth == len(offs)-1 {
			if !ok || member == "" {
				if off == 0 {
					return typeName(ptr.Target)
				}
				return ""
			}
			return owner + "." + member
		}
		if !ok {
			return ""
		}
		typ = mt
	}
	return ""
}

func typeName(t btf.Type) string {
	for {
		switch typ := t.(type) {
		case *btf.Struct:
			return typ.Name
		case *btf.Union:
			return typ.Name
		case *btf.Const:
			t = typ.Type
		case *btf.Volatile:
			t = typ.Type
		case *btf.Typedef:
			if aggregate, ok := btf.UnderlyingType(typ).(*btf.Struct); ok && aggregate.Name == "" {
				return typ.Name // rwlock_t
			}
			t = typ.Type
		default:
			return ""
		}
	}
}

// isLock tells structure types that are locks themselves, whose members do
// not make a better name.
func isLock(name string) bool {
	switch name {
	case "spinlock", "raw_spinlock", "mutex", "rw_semaphore", "qspinlock", "rwlock_t", "semaphore", "rt_mutex", "srcu_struct", "percpu_rw_semaphore", "ww_mutex":
		return true
	}
	return false
}

// memberAt finds the member at an offset in bytes, of the innermost named
// structure that holds it: "sk_lock.slock" of sock.
func memberAt(t btf.Type, off uint32) (owner, member string, typ btf.Type, ok bool) {
	t = btf.UnderlyingType(t)
	owner = typeName(t)
	lock := false // rwlock_t has no name but that of its typedef
	for range 12 {
		if lock {
			return owner, member, t, true
		}
		var members []btf.Member
		switch x := t.(type) {
		case *btf.Struct:
			members = x.Members
		case *btf.Union:
			members = x.Members
		case *btf.Array:
			size, err := btf.Sizeof(x.Type)
			if err != nil || size == 0 {
				return "", "", nil, false
			}
			off %= uint32(size)
			lock = member != "" && isLock(typeName(x.Type))
			t = btf.UnderlyingType(x.Type)
			continue
		default:
			return owner, member, t, off == 0 && member != ""
		}
		found := false
		for _, m := range members {
			start := m.Offset.Bytes()
			size, err := btf.Sizeof(m.Type)
			if err != nil || off < start || off >= start+uint32(max(size, 1)) {
				continue
			}
			if m.Name != "" {
				if member != "" {
					member += "."
				}
				member += m.Name
			}
			off -= start
			lock = member != "" && isLock(typeName(m.Type))
			t = btf.UnderlyingType(m.Type)
			found = true
			break
		}
		if !found {
			return "", "", nil, false
		}
	}
	return "", "", nil, false
}
