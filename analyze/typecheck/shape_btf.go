package typecheck

import (
	"fmt"
	"strings"

	"github.com/cilium/ebpf/btf"
)

// btfShape writes the shape of a type as dwarfShape does.
func btfShape(t btf.Type, depth int) string {
	if depth > maxDepth {
		return "?"
	}
	typedef := ""
	for {
		switch x := t.(type) {
		case *btf.Typedef:
			t, typedef = x.Type, x.Name
			continue
		case *btf.Const:
			t = x.Type
			continue
		case *btf.Volatile:
			t = x.Type
			continue
		case *btf.Restrict:
			t = x.Type
			continue
		case *btf.TypeTag:
			t = x.Type
			continue
		case nil, *btf.Void:
			return "void"
		case *btf.Pointer:
			return "*" + btfShape(x.Target, depth+1)
		case *btf.Array:
			n, elem := int64(x.Nelems), x.Type
			for {
				inner, ok := btf.UnderlyingType(elem).(*btf.Array)
				if !ok {
					break
				}
				n, elem = n*int64(inner.Nelems), inner.Type
			}
			return fmt.Sprintf("[%d]%s", n, btfShape(elem, depth+1))
		case *btf.FuncProto:
			return btfShape(x.Return, depth+1) + "(" + strings.Join(btfParams(x, depth), ", ") + ")"
		case *btf.Struct:
			return btfNamed("struct", x.Name, typedef, x, depth)
		case *btf.Union:
			return btfNamed("union", x.Name, typedef, x, depth)
		case *btf.Fwd:
			return x.Kind.String() + " " + x.Name
		case *btf.Enum:
			if x.Name == "" {
				return fmt.Sprintf("enum:%d", x.Size)
			}
			return "enum " + x.Name
		case *btf.Float:
			return fmt.Sprintf("f%d", x.Size)
		case *btf.Int:
			if x.Encoding == btf.Bool {
				return fmt.Sprintf("b%d", x.Size)
			}
			return integer(int64(x.Size), x.Encoding == btf.Signed)
		default:
			return t.TypeName()
		}
	}
}

func btfNamed(kind, name, typedef string, t btf.Type, depth int) string {
	switch {
	case name != "":
		return kind + " " + name
	case typedef != "":
		return typedef
	}
	inner := &Type{}
	switch x := t.(type) {
	case *btf.Struct:
		inner.Size = int64(x.Size)
		inner.btfMembers(x.Members, 0, "", depth+1)
	case *btf.Union:
		inner.Size = int64(x.Size)
		inner.btfMembers(x.Members, 0, "", depth+1)
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
	switch x := t.(type) {
	case *btf.Struct:
		out := &Type{Name: name, Size: int64(x.Size)}
		out.btfMembers(x.Members, 0, "", 0)
		return out
	case *btf.Union:
		out := &Type{Name: name, Size: int64(x.Size)}
		out.btfMembers(x.Members, 0, "", 0)
		return out
	case *btf.Enum:
		out := &Type{Name: name, Size: int64(x.Size), Enum: true}
		for _, v := range x.Values {
			out.Parts = append(out.Parts, Part{Name: v.Name, Value: int64(v.Value)})
		}
		return out
	}
	return nil
}

func (t *Type) btfMembers(members []btf.Member, base int64, prefix string, depth int) {
	for _, f := range members {
		bit := base + int64(f.Offset)
		p := prefix
		if f.Name != "" {
			p += f.Name + "."
		}
		if depth < maxDepth {
			switch x := f.Type.(type) {
			case *btf.Struct:
				if x.Name == "" {
					t.btfMembers(x.Members, bit, p, depth+1)
					continue
				}
			case *btf.Union:
				if x.Name == "" {
					t.btfMembers(x.Members, bit, p, depth+1)
					continue
				}
			}
		}
		if f.Name == "" {
			continue
		}
		t.Parts = append(t.Parts, Part{Name: prefix + f.Name, Bit: bit, Bits: int64(f.BitfieldSize), Shape: btfShape(f.Type, depth)})
	}
}
