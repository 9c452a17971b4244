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
	spec   *btf.Spec
	base   *Types                    // the kernel's, for a module's; nil for a kernel's
	protos map[string]*btf.FuncProto // nil for a name with several prototypes
	task   *btf.Struct
	// elsewhere finds the types of the module that defines a function; may be nil.
	elsewhere func(name string) *Types
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

// WithElsewhere returns types that ask for the prototypes of functions which they lack:
// what a module calls of another one is not in its own BTF. The function gives the types of
// the module that defines one, nil where that is not known.
func (t *Types) WithElsewhere(of func(name string) *Types) *Types {
	if t == nil {
		return nil
	}
	c := *t
	c.elsewhere = of
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
	tables, err := newTables(spec, nil)
	if err != nil {
		return nil, nil, fmt.Errorf("read BTF: %w", err)
	}
	return types, tables, nil
}

// LoadModule reads the raw BTF of a module, which counts on from the kernel's; what Load
// gave of that is base. The result tells of both, the module first.
func LoadModule(raw []byte, base *Types, tables *Tables) (*Types, *Tables, error) {
	spec, err := btf.LoadSplitSpecFromReader(bytes.NewReader(raw), base.spec)
	if err != nil {
		return nil, nil, fmt.Errorf("read BTF: %w", err)
	}
	types, err := newTypes(spec)
	if err != nil {
		return nil, nil, fmt.Errorf("read BTF: %w", err)
	}
	types.base, types.task = base, base.task
	own, err := newTables(spec, tables)
	if err != nil {
		return nil, nil, fmt.Errorf("read BTF: %w", err)
	}
	return types, own, nil
}

func newTypes(spec *btf.Spec) (*Types, error) {
	types := &Types{spec: spec, protos: map[string]*btf.FuncProto{}}
	for typ, err := range spec.All() {
		if err != nil {
			return nil, err
		}
		switch named := typ.(type) {
		case *btf.Func:
			proto, ok := named.Type.(*btf.FuncProto)
			if !ok {
				continue
			}
			if old, seen := types.protos[named.Name]; seen && (old == nil || Signature(old) != Signature(proto)) {
				proto = nil
			}
			types.protos[named.Name] = proto
		case *btf.Struct:
			if named.Name == "task_struct" && types.task == nil {
				types.task = named
			}
		}
	}
	return types, nil
}

// Proto returns the prototype of a function, nil when none or several are
// known. Clones, which the compiler gave parameters of its own, have none.
func (t *Types) Proto(name string) *btf.FuncProto {
	if t == nil || strings.Contains(name, ".") {
		return nil
	}
	proto, ok := t.protos[name]
	if !ok && t.base != nil {
		proto = t.base.Proto(name)
	}
	if !ok && proto == nil && t.elsewhere != nil {
		proto = t.elsewhere(name).Proto(name)
	}
	return proto
}

// Signature spells a prototype so that equal ones compare equal.
func Signature(p *btf.FuncProto) string {
	var text strings.Builder
	text.WriteString(key(p.Return))
	for i := range p.Params {
		text.WriteByte(',')
		text.WriteString(key(p.Params[i].Type))
	}
	return text.String()
}

func key(typ btf.Type) string {
	text := ""
	for range 8 {
		switch under := btf.UnderlyingType(typ).(type) {
		case *btf.Pointer:
			text += "*"
			typ = under.Target
			continue
		case *btf.Struct:
			return text + "struct " + under.Name
		case *btf.Union:
			return text + "union " + under.Name
		case *btf.Fwd:
			return text + "struct " + under.Name
		case *btf.Int:
			return text + under.Name
		case *btf.Enum:
			return text + "unsigned int" // enums convert silently
		case *btf.FuncProto:
			return text + "()"
		case *btf.Void:
			return text + "void"
		default:
			return text + under.TypeName()
		}
	}
	return text
}

// PointerSignature is the signature of what a function pointer points to, ""
// for other types.
func PointerSignature(t btf.Type) string {
	if proto := Prototype(t); proto != nil {
		return Signature(proto)
	}
	return ""
}

// Prototype is that of what a function pointer points to, nil for other types.
func Prototype(t btf.Type) *btf.FuncProto {
	p, ok := btf.UnderlyingType(t).(*btf.Pointer)
	if !ok {
		return nil
	}
	proto, _ := btf.UnderlyingType(p.Target).(*btf.FuncProto)
	return proto
}
