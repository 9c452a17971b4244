package fields

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/cilium/ebpf/btf"
)

// Types are prototypes and structures of a kernel. It is safe for concurrent
// use.
type Types struct {
	protos map[string]*btf.FuncProto // nil for a name with several prototypes
	task   *btf.Struct
	// objects are the types of data objects by address, as far as they are known.
	objects map[uint64]btf.Type
}

// WithObjects returns types that also know what some data objects of the
// program are, by address.
func (t *Types) WithObjects(objects map[uint64]btf.Type) *Types {
	if t == nil {
		return nil
	}
	c := *t
	c.objects = objects
	return &c
}

// Load reads raw BTF, for example section .BTF of a vmlinux.
func Load(raw []byte) (*Types, *Tables, error) {
	spec, err := btf.LoadSpecFromReader(bytes.NewReader(raw))
	if err != nil {
		return nil, nil, fmt.Errorf("read BTF: %w", err)
	}
	types, err := newTypes(spec)
	if err != nil {
		return nil, nil, fmt.Errorf("read BTF: %w", err)
	}
	tables, err := newTables(spec)
	if err != nil {
		return nil, nil, fmt.Errorf("read BTF: %w", err)
	}
	return types, tables, nil
}

func newTypes(spec *btf.Spec) (*Types, error) {
	t := &Types{protos: map[string]*btf.FuncProto{}}
	for typ, err := range spec.All() {
		if err != nil {
			return nil, err
		}
		switch x := typ.(type) {
		case *btf.Func:
			p, ok := x.Type.(*btf.FuncProto)
			if !ok {
				continue
			}
			if old, seen := t.protos[x.Name]; seen && (old == nil || Signature(old) != Signature(p)) {
				p = nil
			}
			t.protos[x.Name] = p
		case *btf.Struct:
			if x.Name == "task_struct" && t.task == nil {
				t.task = x
			}
		}
	}
	return t, nil
}

// Proto returns the prototype of a function, nil when none or several are
// known. Clones, which the compiler gave parameters of its own, have none.
func (t *Types) Proto(name string) *btf.FuncProto {
	if t == nil || strings.Contains(name, ".") {
		return nil
	}
	return t.protos[name]
}

// Signature spells a prototype so that equal ones compare equal.
func Signature(p *btf.FuncProto) string {
	var b strings.Builder
	b.WriteString(key(p.Return))
	for i := range p.Params {
		b.WriteByte(',')
		b.WriteString(key(p.Params[i].Type))
	}
	return b.String()
}

func key(t btf.Type) string {
	s := ""
	for range 8 {
		switch x := btf.UnderlyingType(t).(type) {
		case *btf.Pointer:
			s += "*"
			t = x.Target
			continue
		case *btf.Struct:
			return s + "struct " + x.Name
		case *btf.Union:
			return s + "union " + x.Name
		case *btf.Fwd:
			return s + "struct " + x.Name
		case *btf.Int:
			return s + x.Name
		case *btf.Enum:
			return s + "unsigned int" // enums convert silently
		case *btf.FuncProto:
			return s + "()"
		case *btf.Void:
			return s + "void"
		default:
			return s + x.TypeName()
		}
	}
	return s
}

// PointerSignature is the signature of what a function pointer points to, ""
// for other types.
func PointerSignature(t btf.Type) string {
	p, ok := btf.UnderlyingType(t).(*btf.Pointer)
	if !ok {
		return ""
	}
	if f, ok := btf.UnderlyingType(p.Target).(*btf.FuncProto); ok {
		return Signature(f)
	}
	return ""
}
