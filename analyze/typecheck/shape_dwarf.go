package typecheck

import (
	"debug/dwarf"
	"fmt"
	"strings"

	"github.com/klpforge/klpforge/analyze/types"
)

// maxDepth bounds pointers to pointers and arrays of arrays. Types refer to
// themselves through names only, so that what is deeper comes from broken input.
const maxDepth = 32

// dwarfShape writes the shape of a type. refs collects the named types in it.
func dwarfShape(t dwarf.Type, refs *[]string, depth int) string {
	if depth > maxDepth {
		return "?"
	}
	typedef := ""
	for {
		switch x := t.(type) {
		case *dwarf.TypedefType:
			t, typedef = x.Type, x.Name
			if depth++; depth > maxDepth {
				return "?"
			}
			continue
		case *dwarf.QualType:
			t = x.Type
			continue
		case nil, *dwarf.VoidType, *dwarf.UnspecifiedType:
			return "void"
		case *dwarf.PtrType:
			return "*" + dwarfShape(x.Type, refs, depth+1)
		case *dwarf.ArrayType:
			// BTF has one dimension: pahole multiplies them.
			n, elem := max(x.Count, 0), x.Type
			for {
				inner, ok := dwarfBare(elem).(*dwarf.ArrayType)
				if !ok {
					break
				}
				n, elem = n*max(inner.Count, 0), inner.Type
			}
			return fmt.Sprintf("[%d]%s", n, dwarfShape(elem, refs, depth+1))
		case *dwarf.FuncType:
			var params []string
			for _, p := range x.ParamType {
				if _, ok := p.(*dwarf.DotDotDotType); ok {
					params = append(params, "...")
				} else {
					params = append(params, dwarfShape(p, refs, depth+1))
				}
			}
			return dwarfShape(x.ReturnType, refs, depth+1) + "(" + strings.Join(params, ", ") + ")"
		case *dwarf.StructType:
			name := typedef
			if x.StructName != "" {
				name = x.Kind + " " + x.StructName
			}
			if name == "" {
				inner := &Type{Size: max(x.ByteSize, 0)}
				inner.dwarfMembers(x, 0, "", depth+1)
				for i := range inner.Parts {
					note(refs, inner.Parts[i].Refs...)
				}
				return inner.inline(x.Kind)
			}
			note(refs, name)
			return name
		case *dwarf.EnumType:
			if x.EnumName == "" {
				return fmt.Sprintf("enum:%d", x.ByteSize)
			}
			note(refs, "enum "+x.EnumName)
			return "enum " + x.EnumName
		case *dwarf.BoolType:
			return fmt.Sprintf("b%d", x.ByteSize)
		case *dwarf.FloatType:
			return fmt.Sprintf("f%d", x.ByteSize)
		case *dwarf.IntType:
			return integer(x.ByteSize, true)
		case *dwarf.CharType:
			return integer(x.ByteSize, true)
		case *dwarf.UintType:
			return integer(x.ByteSize, false)
		case *dwarf.UcharType:
			return integer(x.ByteSize, false)
		default:
			return fmt.Sprintf("%s:%d", t.Common().Name, t.Size())
		}
	}
}

func dwarfBare(t dwarf.Type) dwarf.Type {
	for range maxDepth {
		switch x := t.(type) {
		case *dwarf.TypedefType:
			t = x.Type
		case *dwarf.QualType:
			t = x.Type
		default:
			return t
		}
	}
	return t
}

func integer(size int64, signed bool) string {
	switch {
	case size == 1: // BTF does not tell char, signed char and unsigned char apart
		return "c1"
	case signed:
		return fmt.Sprintf("s%d", size)
	}
	return fmt.Sprintf("u%d", size)
}

// note adds types that a shape refers to.
func note(refs *[]string, names ...string) {
	if refs != nil {
		*refs = append(*refs, names...)
	}
}

// dwarfStruct flattens a structure or union.
func dwarfStruct(name string, s *dwarf.StructType) *Type {
	t := &Type{Name: name, Size: max(s.ByteSize, 0)}
	t.dwarfMembers(s, 0, "", 0)
	return t
}

// dwarfMembers adds members that begin base bits into t.
func (t *Type) dwarfMembers(s *dwarf.StructType, base int64, prefix string, depth int) {
	for _, f := range s.Field {
		bit := base + f.ByteOffset*8
		if f.BitSize > 0 {
			bit = base + types.FieldBit(f)
		}
		inner, isStruct := f.Type.(*dwarf.StructType)
		if isStruct && inner.StructName == "" && depth < maxDepth {
			p := prefix
			if f.Name != "" {
				p += f.Name + "."
			}
			t.dwarfMembers(inner, bit, p, depth+1)
			continue
		}
		if f.Name == "" {
			continue
		}
		part := Part{Name: prefix + f.Name, Bit: bit, Bits: f.BitSize}
		part.Shape = dwarfShape(f.Type, &part.Refs, depth)
		t.Parts = append(t.Parts, part)
	}
}

func dwarfEnum(name string, e *dwarf.EnumType) *Type {
	t := &Type{Name: name, Size: e.ByteSize, Enum: true}
	for _, v := range e.Val {
		t.Parts = append(t.Parts, Part{Name: v.Name, Value: v.Val})
	}
	return t
}
