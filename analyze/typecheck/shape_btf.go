package typecheck

import (
	"fmt"
	"strings"

	"github.com/cilium/ebpf/btf"
)

// btfShape writes the shape of a type as dwarfShape does.
func btfShape(typ btf.Type, depth int) string {
	if depth > maxDepth {
		return "?"
	}

	// Qualifiers do not change a layout; the name of a typedef counts for a structure without a
	// tag.
	typedef := ""
	for {
		switch under := typ.(type) {
		case *btf.Typedef:
			typ, typedef = under.Type, under.Name
			continue
		case *btf.Const:
			typ = under.Type
			continue
		case *btf.Volatile:
			typ = under.Type
			continue
		case *btf.Restrict:
			typ = under.Type
			continue
		case *btf.TypeTag:
			typ = under.Type
			continue
		case nil, *btf.Void:
			return "void"
		case *btf.Pointer:
			return "*" + btfShape(under.Target, depth+1)
		case *btf.Array:
			count, elem := int64(under.Nelems), under.Type
			for {
				inner, ok := btf.UnderlyingType(elem).(*btf.Array)
				if !ok {
					break
				}
				count, elem = count*int64(inner.Nelems), inner.Type
			}
			return fmt.Sprintf("[%d]%s", count, btfShape(elem, depth+1))
		case *btf.FuncProto:
			return btfShape(under.Return, depth+1) + "(" + strings.Join(btfParams(under, depth), ", ") + ")"
		case *btf.Struct:
			return btfNamed("struct", under.Name, typedef, under, depth)
		case *btf.Union:
			return btfNamed("union", under.Name, typedef, under, depth)
		case *btf.Fwd:
			return under.Kind.String() + " " + under.Name
		case *btf.Enum:
			if under.Name == "" {
				return fmt.Sprintf("enum:%d", under.Size)
			}
			return "enum " + under.Name
		case *btf.Float:
			return fmt.Sprintf("f%d", under.Size)
		case *btf.Int:
			if under.Encoding == btf.Bool {
				return fmt.Sprintf("b%d", under.Size)
			}
			return integer(int64(under.Size), under.Encoding == btf.Signed)
		default:
			return typ.TypeName()
		}
	}
}

func btfNamed(kind, name, typedef string, typ btf.Type, depth int) string {
	switch {
	case name != "":
		return kind + " " + name
	case typedef != "":
		return typedef
	}
	inner := &Type{}
	switch aggregate := typ.(type) {
	case *btf.Struct:
		inner.Size = int64(aggregate.Size)
		inner.btfMembers(aggregate.Members, 0, "", depth+1)
	case *btf.Union:
		inner.Size = int64(aggregate.Size)
		inner.btfMembers(aggregate.Members, 0, "", depth+1)
	}
	return inner.inline(kind)
}

func btfParams(p *btf.FuncProto, depth int) []string {
	var out []string
	for i, param := range p.Params {
		if _, ok := param.Type.(*btf.Void); ok && i == len(p.Params)-1 && param.Name == "" {
			out = append(out, "...")
			continue
		}
		out = append(out, btfShape(param.Type, depth+1))
	}
	return out
}

// btfType flattens a structure, union or enumeration; nil for other types.
func btfType(name string, t btf.Type) *Type {
	switch typ := t.(type) {
	case *btf.Struct:
		out := &Type{Name: name, Size: int64(typ.Size)}
		out.btfMembers(typ.Members, 0, "", 0)
		return out
	case *btf.Union:
		out := &Type{Name: name, Size: int64(typ.Size)}
		out.btfMembers(typ.Members, 0, "", 0)
		return out
	case *btf.Enum:
		out := &Type{Name: name, Size: int64(typ.Size), Enum: true}
		for _, v := range typ.Values {
			out.Parts = append(out.Parts, Part{Name: v.Name, Value: int64(v.Value)})
		}
		return out
	}
	return nil
}

func (t *Type) btfMembers(members []btf.Member, base int64, prefix string, depth int) {
	for _, member := range members {
		bit := base + int64(member.Offset)
		path := prefix
		if member.Name != "" {
			path += member.Name + "."
		}
		if depth < maxDepth {
			switch typ := member.Type.(type) {
			case *btf.Struct:
				if typ.Name == "" {
					t.btfMembers(typ.Members, bit, path, depth+1)
					continue
				}
			case *btf.Union:
				if typ.Name == "" {
					t.btfMembers(typ.Members, bit, path, depth+1)
					continue
				}
			}
		}
		if member.Name == "" {
			continue
		}
		t.Parts = append(t.Parts, Part{Name: prefix + member.Name, Bit: bit, Bits: int64(member.BitfieldSize),
			Shape: btfShape(member.Type, depth)})
	}
}
