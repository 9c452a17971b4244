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
func dwarfShape(typ dwarf.Type, refs *[]string, depth int) string {
	if depth > maxDepth {
		return "?"
	}
	typedef := ""
	for {
		switch under := typ.(type) {
		case *dwarf.TypedefType:
			typ, typedef = under.Type, under.Name
			if depth++; depth > maxDepth {
				return "?"
			}
			continue
		case *dwarf.QualType:
			typ = under.Type
			continue
		case nil, *dwarf.VoidType, *dwarf.UnspecifiedType:
			return "void"
		case *dwarf.PtrType:
			return "*" + dwarfShape(under.Type, refs, depth+1)
		case *dwarf.ArrayType:
			// BTF has one dimension: pahole multiplies them.
			count, elem := max(under.Count, 0), under.Type
			for {
				inner, ok := dwarfBare(elem).(*dwarf.ArrayType)
				if !ok {
					break
				}
				count, elem = count*max(inner.Count, 0), inner.Type
			}
			return fmt.Sprintf("[%d]%s", count, dwarfShape(elem, refs, depth+1))
		case *dwarf.FuncType:
			var params []string
			for _, p := range under.ParamType {
				if _, ok := p.(*dwarf.DotDotDotType); ok {
					params = append(params, "...")
				} else {
					params = append(params, dwarfShape(p, refs, depth+1))
				}
			}
			return dwarfShape(under.ReturnType, refs, depth+1) + "(" + strings.Join(params, ", ") + ")"
		case *dwarf.StructType:
			name := typedef
			if under.StructName != "" {
				name = under.Kind + " " + under.StructName
			}
			if name == "" {
				inner := &Type{Size: max(under.ByteSize, 0)}
				inner.dwarfMembers(under, 0, "", depth+1)
				for i := range inner.Parts {
					note(refs, inner.Parts[i].Refs...)
				}
				return inner.inline(under.Kind)
			}
			note(refs, name)
			return name
		case *dwarf.EnumType:
			if under.EnumName == "" {
				return fmt.Sprintf("enum:%d", under.ByteSize)
			}
			note(refs, "enum "+under.EnumName)
			return "enum " + under.EnumName
		case *dwarf.BoolType:
			return fmt.Sprintf("b%d", under.ByteSize)
		case *dwarf.FloatType:
			return fmt.Sprintf("f%d", under.ByteSize)
		case *dwarf.IntType:
			return integer(under.ByteSize, true)
		case *dwarf.CharType:
			return integer(under.ByteSize, true)
		case *dwarf.UintType:
			return integer(under.ByteSize, false)
		case *dwarf.UcharType:
			return integer(under.ByteSize, false)
		default:
			return fmt.Sprintf("%s:%d", typ.Common().Name, typ.Size())
		}
	}
}

func dwarfBare(typ dwarf.Type) dwarf.Type {
	for range maxDepth {
		switch x := typ.(type) {
		case *dwarf.TypedefType:
			typ = x.Type
		case *dwarf.QualType:
			typ = x.Type
		default:
			return typ
		}
	}
	return typ
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
	for _, field := range s.Field {
		bit := base + field.ByteOffset*8
		if field.BitSize > 0 {
			bit = base + types.FieldBit(field)
		}
		inner, isStruct := field.Type.(*dwarf.StructType)
		if isStruct && inner.StructName == "" && depth < maxDepth {
			p := prefix
			if field.Name != "" {
				p += field.Name + "."
			}
			t.dwarfMembers(inner, bit, p, depth+1)
			continue
		}
		if field.Name == "" {
			continue
		}
		part := Part{Name: prefix + field.Name, Bit: bit, Bits: field.BitSize}
		part.Shape = dwarfShape(field.Type, &part.Refs, depth)
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
