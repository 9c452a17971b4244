package types

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/cilium/ebpf/btf"
)

// BTF is the type information of a kernel, or of a module on top of it. It is
// safe for concurrent use.
type BTF struct{ spec *btf.Spec }

// ErrNoType means that no structure or union has a name.
var ErrNoType = errors.New("no such structure or union")

// LoadBTF reads raw BTF, for example section .BTF of a vmlinux. That of a
// module counts on from the kernel's, which is then given as base.
func LoadBTF(raw []byte, base *BTF) (*BTF, error) {
	var spec *btf.Spec
	var err error
	if base != nil {
		spec, err = btf.LoadSplitSpecFromReader(bytes.NewReader(raw), base.spec)
	} else {
		spec, err = btf.LoadSpecFromReader(bytes.NewReader(raw))
	}
	if err != nil {
		return nil, fmt.Errorf("read BTF: %w", err)
	}
	return &BTF{spec}, nil
}

// Layouts returns the structures and unions of a name, which may begin with
// "struct " or "union ", or be a typedef of an anonymous one. One name can
// stand for several in different files. ErrNoType when there is none.
func (b *BTF) Layouts(name string) ([]Layout, error) {
	kind, tag := "", name
	for _, k := range []string{"struct", "union"} {
		if t, ok := strings.CutPrefix(name, k+" "); ok {
			kind, tag = k, strings.TrimSpace(t)
		}
	}

	found, err := b.spec.AnyTypesByName(tag)
	if err != nil && !errors.Is(err, btf.ErrNotFound) {
		return nil, fmt.Errorf("look up %s: %w", name, err)
	}

	// Of one name there may be several, which the caller has to tell apart.
	var out []Layout
	for _, typ := range found {
		full := ""
		switch named := typ.(type) {
		case *btf.Struct:
			full = "struct " + named.Name
		case *btf.Union:
			full = "union " + named.Name
		case *btf.Typedef:
			if n := structName(named.Type); n == "" && kind == "" {
				full = named.Name
			}
		}
		if full == "" || kind != "" && full != kind+" "+tag {
			continue
		}

		layout := Layout{Name: full}
		switch aggregate := btf.UnderlyingType(typ).(type) {
		case *btf.Struct:
			layout.Size = int64(aggregate.Size)
			layout.add(aggregate.Members, 0)
		case *btf.Union:
			layout.Size, layout.Union = int64(aggregate.Size), true
			layout.add(aggregate.Members, 0)
		default:
			continue
		}
		out = append(out, layout)
	}

	if len(out) == 0 {
		return nil, fmt.Errorf("look up %s: %w", name, ErrNoType)
	}
	slices.SortStableFunc(out, func(a, b Layout) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}

func (l *Layout) add(members []btf.Member, base int64) {
	for _, member := range members {
		// Members of an anonymous structure count as the outer one's, as they do in C.
		off := int64(member.Offset)
		switch typ := btf.UnderlyingType(member.Type).(type) {
		case *btf.Struct:
			if member.Name == "" {
				l.add(typ.Members, base+off)
				continue
			}
		case *btf.Union:
			if member.Name == "" {
				l.add(typ.Members, base+off)
				continue
			}
		}

		size, err := btf.Sizeof(member.Type)
		if err != nil {
			size = 0
		}
		m := Member{Name: member.Name, Type: btfName(member.Type), Offset: (base + off) / 8, Size: int64(size),
			Bits: int64(member.BitfieldSize)}
		if m.Name == "" {
			m.Name = anonymous
		}
		if m.Bits > 0 {
			m.Bit = (base + off) % 8
		}
		l.Members = append(l.Members, m)
	}
}

func structName(t btf.Type) string {
	switch x := btf.UnderlyingType(t).(type) {
	case *btf.Struct:
		return x.Name
	case *btf.Union:
		return x.Name
	}
	return "?"
}

// btfName writes a type as C does, without a declarator.
func btfName(typ btf.Type) string {
	// From the outside in: arrays are written behind, pointers and qualifiers around the rest.
	suffix := ""
	for range 64 {
		switch under := typ.(type) {
		case *btf.Typedef:
			return under.Name + suffix
		case *btf.Const:
			return "const " + btfName(under.Type) + suffix
		case *btf.Volatile:
			return "volatile " + btfName(under.Type) + suffix
		case *btf.Restrict:
			typ = under.Type
		case *btf.TypeTag:
			typ = under.Type
		case *btf.Array:
			n := fmt.Sprintf("[%d]", under.Nelems)
			if suffix == "" {
				n = " " + n
			}
			suffix += n
			typ = under.Type
		case *btf.Pointer:
			if _, ok := under.Target.(*btf.FuncProto); ok {
				return "function pointer" + suffix
			}
			inner := btfName(under.Target)
			if !strings.HasSuffix(inner, "*") {
				inner += " "
			}
			return inner + "*" + suffix
		case *btf.Struct:
			return strings.TrimSpace("struct "+under.Name) + suffix
		case *btf.Union:
			return strings.TrimSpace("union "+under.Name) + suffix
		case *btf.Enum:
			return strings.TrimSpace("enum "+under.Name) + suffix
		case *btf.Fwd:
			return under.Kind.String() + " " + under.Name + suffix
		case *btf.Void:
			return "void" + suffix
		default:
			return typ.TypeName() + suffix
		}
	}
	return "?"
}
