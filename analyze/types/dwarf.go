package types

import (
	"debug/dwarf"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/klpforge/klpforge/elfobj"
)

// Info is what one object's debug information says of types.
type Info struct {
	Layouts map[string]Layout // complete structures and unions by name
	uses    []use
}

// use is one place that has a type.
type use struct {
	typ  string // structure or union, behind arrays and pointers
	ptr  bool   // a pointer to it
	kind useKind
	name string // variable or parameter
	in   string // function, or the structure of a member
}

type useKind uint8

const (
	useGlobal useKind = iota // static storage
	useLocal
	useParam
	useMember
)

// ErrNoDebug means that an object carries no debug information.
var ErrNoDebug = errors.New("no debug information")

// Read reads the DWARF of a relocatable object. Broken debug information is an
// error, not a panic.
func Read(elfFile *elfobj.File) (info *Info, err error) {
	defer func() {
		if r := recover(); r != nil { // debug/dwarf is not safe against all input
			info, err = nil, fmt.Errorf("read debug information: %v", r)
		}
	}()
	d, err := OpenDWARF(elfFile)
	if err != nil {
		return nil, err
	}
	r := &reader{d: d, info: &Info{Layouts: map[string]Layout{}}}
	if err := r.walk(); err != nil {
		return nil, fmt.Errorf("read debug information: %w", err)
	}
	return r.info, nil
}

// OpenDWARF relocates the debug sections of an object: their references to each
// other are relocations in an object that is not linked. Addresses of code stay
// offsets. The error wraps ErrNoDebug when there are none.
func OpenDWARF(f *elfobj.File) (*dwarf.Data, error) {
	return openDWARF(f, func(elfobj.SecID) uint64 { return 0 })
}

// openDWARF is OpenDWARF with each section of code moved to an address of its own.
func openDWARF(elfFile *elfobj.File, base func(elfobj.SecID) uint64) (*dwarf.Data, error) {
	arch, err := elfobj.ArchOf(elfFile.Machine)
	if err != nil {
		return nil, fmt.Errorf("read debug information: %w", err)
	}

	if elfFile, err = elfFile.Whole(); err != nil {
		return nil, fmt.Errorf("read debug information: %w", err)
	}

	// In an object file that is not linked, debug information refers to itself by relocations.
	sections := map[string][]byte{}
	for i := range elfFile.Sections {
		section := &elfFile.Sections[i]
		name, ok := strings.CutPrefix(section.Name, ".debug_")
		if !ok || len(section.Data) == 0 || sections[name] != nil {
			continue
		}
		data := slices.Clone(section.Data)
		for _, rel := range section.Relocs {
			if int(rel.Sym) >= len(elfFile.Symbols) || rel.Off > uint64(len(data)) {
				return nil, fmt.Errorf("read debug information: relocation at %s+%#x is out of range", section.Name,
					rel.Off)
			}
			sym := &elfFile.Symbols[rel.Sym]
			if err := arch.Apply(data[rel.Off:], rel.Type, base(sym.Sec)+sym.Value+uint64(rel.Addend), 0); err != nil {
				return nil, fmt.Errorf("read debug information: %s+%#x: %w", section.Name, rel.Off, err)
			}
		}
		sections[name] = data
	}

	if sections["info"] == nil || sections["abbrev"] == nil {
		return nil, ErrNoDebug
	}
	debug, err := dwarf.New(sections["abbrev"], nil, nil, sections["info"], sections["line"], nil, sections["ranges"],
		sections["str"])
	if err != nil {
		return nil, fmt.Errorf("read debug information: %w", err)
	}

	// DWARF 5 has more sections.
	for _, name := range []string{"addr", "line_str", "str_offsets", "rnglists", "loclists"} {
		if sections[name] != nil {
			if err := debug.AddSection(".debug_"+name, sections[name]); err != nil {
				return nil, fmt.Errorf("read debug information: %w", err)
			}
		}
	}
	return debug, nil
}

type reader struct {
	d    *dwarf.Data
	info *Info
}

// walk visits every entry once.
func (r *reader) walk() error {
	in := r.d.Reader()
	var functions []string // of the entries that the current one lies in; "" for what is no function
	for {
		entry, err := in.Next()
		if err != nil || entry == nil {
			return err
		}
		switch entry.Tag {
		case 0:
			if len(functions) > 0 {
				functions = functions[:len(functions)-1]
			}
			continue
		case dwarf.TagStructType, dwarf.TagUnionType:
			if name, _ := entry.Val(dwarf.AttrName).(string); name != "" {
				if err := r.layout(entry.Offset, ""); err != nil {
					return err
				}
			}
		case dwarf.TagTypedef:
			name, _ := entry.Val(dwarf.AttrName).(string)
			if at, ok := entry.Val(dwarf.AttrType).(dwarf.Offset); ok {
				if err := r.layout(at, name); err != nil {
					return err
				}
			}
		case dwarf.TagVariable, dwarf.TagFormalParameter:
			if err := r.variable(entry, functions); err != nil {
				return err
			}
		}
		if entry.Children {
			name := ""
			if entry.Tag == dwarf.TagSubprogram {
				name, _ = entry.Val(dwarf.AttrName).(string)
			} else if len(functions) > 0 {
				name = functions[len(functions)-1] // a block within the function
			}
			functions = append(functions, name)
		}
	}
}

// layout records the structure or union at an offset, and the uses that its
// members make of others. An anonymous one goes by the typedef's name.
func (r *reader) layout(at dwarf.Offset, typedef string) error {
	t, err := r.d.Type(at)
	if err != nil {
		return err
	}
	typ, ok := t.(*dwarf.StructType)
	if !ok || typ.Incomplete || typ.StructName == "" && typedef == "" || typ.StructName != "" && typedef != "" {
		return nil
	}
	layout := Layout{Name: typedef, Size: typ.ByteSize, Union: typ.Kind == "union"}
	if typedef == "" {
		layout.Name = typ.Kind + " " + typ.StructName
	}
	if _, seen := r.info.Layouts[layout.Name]; seen {
		return nil // of one name the first counts; C allows another one in an inner scope only
	}
	r.members(&layout, typ, 0)
	r.info.Layouts[layout.Name] = layout
	return nil
}

func (r *reader) members(layout *Layout, s *dwarf.StructType, base int64) {
	for _, field := range s.Field {
		inner, isStruct := bare(field.Type).(*dwarf.StructType)
		if field.Name == "" && isStruct {
			r.members(layout, inner, base+field.ByteOffset)
			continue
		}
		member := Member{Name: field.Name, Type: cName(field.Type), Offset: base + field.ByteOffset,
			Size: field.Type.Size(), Bits: field.BitSize}
		if member.Name == "" {
			member.Name = anonymous
		}
		if member.Bits > 0 {
			bit := FieldBit(field)
			member.Offset, member.Bit = base+bit/8, bit%8
		}
		typ, ptr := refersTo(field.Type)
		if typ != "" {
			r.info.uses = append(r.info.uses, use{typ: typ, ptr: ptr, kind: useMember, name: member.Name,
				in: layout.Name})
			if !ptr {
				member.holds = typ
			}
		}
		layout.Members = append(layout.Members, member)
	}
}

// FieldBit is where a bit-field begins, in bits from the start of its structure, on a
// little-endian machine.
//
// DWARF 4 has DW_AT_data_bit_offset, which counts from there. DWARF 2 and 3 say in which
// bytes the field lies (DW_AT_data_member_location, DW_AT_byte_size) and how far below
// their high end (DW_AT_bit_offset, which may be 0); gcc 10 still does so with -gdwarf-4.
// debug/dwarf does not tell an attribute that is absent from one that is 0; but only the old
// form gives a bit-field a size in bytes.
func FieldBit(f *dwarf.StructField) int64 {
	if f.DataBitOffset == 0 && f.ByteSize > 0 {
		return (f.ByteOffset+f.ByteSize)*8 - f.BitOffset - f.BitSize
	}
	return f.ByteOffset*8 + f.DataBitOffset
}

func (r *reader) variable(entry *dwarf.Entry, functions []string) error {
	at, ok := entry.Val(dwarf.AttrType).(dwarf.Offset)
	if !ok {
		return nil // the concrete half of an inlined one
	}
	t, err := r.d.Type(at)
	if err != nil {
		return err
	}
	typ, ptr := refersTo(t)
	if typ == "" {
		return nil
	}
	ref := use{typ: typ, ptr: ptr, kind: useLocal}
	ref.name, _ = entry.Val(dwarf.AttrName).(string)
	if len(functions) > 0 {
		ref.in = functions[len(functions)-1]
	}
	loc, _ := entry.Val(dwarf.AttrLocation).([]byte)
	const opAddr = 0x03
	switch {
	case entry.Tag == dwarf.TagFormalParameter:
		ref.kind = useParam
	case ref.in == "" || len(loc) > 0 && loc[0] == opAddr:
		ref.kind = useGlobal
	}
	r.info.uses = append(r.info.uses, ref)
	return nil
}

// bare strips names and qualifiers off a type.
func bare(typ dwarf.Type) dwarf.Type {
	for range 64 {
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

// refersTo names the structure or union that a value of the type is, holds as
// an array, or points to; "" for other types.
func refersTo(typ dwarf.Type) (name string, ptr bool) {
	typedef := ""
	for range 64 {
		switch under := typ.(type) {
		case *dwarf.TypedefType:
			typ, typedef = under.Type, under.Name
		case *dwarf.QualType:
			typ = under.Type
		case *dwarf.ArrayType:
			typ, typedef = under.Type, ""
		case *dwarf.PtrType:
			typ, typedef, ptr = under.Type, "", true
		case *dwarf.StructType:
			if under.StructName != "" {
				return under.Kind + " " + under.StructName, ptr
			}
			return typedef, ptr
		default:
			return "", false
		}
	}
	return "", false
}

// cName writes a type as C does, without a declarator.
func cName(typ dwarf.Type) string {
	// From the outside in: arrays are written behind, pointers and qualifiers around the rest.
	suffix := ""
	for range 64 {
		switch under := typ.(type) {
		case *dwarf.TypedefType:
			return under.Name + suffix
		case *dwarf.QualType:
			if under.Qual == "const" || under.Qual == "volatile" {
				return under.Qual + " " + cName(under.Type) + suffix
			}
			typ = under.Type
		case *dwarf.ArrayType:
			name := "[]"
			if under.Count >= 0 {
				name = fmt.Sprintf("[%d]", under.Count)
			}
			if suffix == "" {
				name = " " + name
			}
			suffix += name
			typ = under.Type
		case *dwarf.PtrType:
			if _, ok := bare(under.Type).(*dwarf.FuncType); ok {
				if _, named := under.Type.(*dwarf.TypedefType); !named {
					return "function pointer" + suffix
				}
			}
			inner := cName(under.Type)
			if !strings.HasSuffix(inner, "*") {
				inner += " "
			}
			return inner + "*" + suffix
		case *dwarf.StructType:
			if under.StructName == "" {
				return under.Kind + suffix
			}
			return under.Kind + " " + under.StructName + suffix
		case *dwarf.EnumType:
			return strings.TrimSpace("enum "+under.EnumName) + suffix
		case *dwarf.VoidType:
			return "void" + suffix
		case nil:
			return "void" + suffix
		default:
			return typ.Common().Name + suffix
		}
	}
	return "?"
}
