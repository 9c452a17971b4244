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
func Read(f *elfobj.File) (info *Info, err error) {
	defer func() {
		if r := recover(); r != nil { // debug/dwarf is not safe against all input
			info, err = nil, fmt.Errorf("read debug information: %v", r)
		}
	}()
	d, err := OpenDWARF(f)
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
func openDWARF(f *elfobj.File, base func(elfobj.SecID) uint64) (*dwarf.Data, error) {
	arch, err := elfobj.ArchOf(f.Machine)
	if err != nil {
		return nil, fmt.Errorf("read debug information: %w", err)
	}
	sections := map[string][]byte{}
	for i := range f.Sections {
		s := &f.Sections[i]
		name, ok := strings.CutPrefix(s.Name, ".debug_")
		if !ok || len(s.Data) == 0 || sections[name] != nil {
			continue
		}
		data := slices.Clone(s.Data)
		for _, r := range s.Relocs {
			if int(r.Sym) >= len(f.Symbols) || r.Off > uint64(len(data)) {
				return nil, fmt.Errorf("read debug information: relocation at %s+%#x is out of range", s.Name, r.Off)
			}
			sym := &f.Symbols[r.Sym]
			if err := arch.Apply(data[r.Off:], r.Type, base(sym.Sec)+sym.Value+uint64(r.Addend), 0); err != nil {
				return nil, fmt.Errorf("read debug information: %s+%#x: %w", s.Name, r.Off, err)
			}
		}
		sections[name] = data
	}
	if sections["info"] == nil || sections["abbrev"] == nil {
		return nil, ErrNoDebug
	}
	d, err := dwarf.New(sections["abbrev"], nil, nil, sections["info"], sections["line"], nil, sections["ranges"], sections["str"])
	if err != nil {
		return nil, fmt.Errorf("read debug information: %w", err)
	}
	for _, name := range []string{"addr", "line_str", "str_offsets", "rnglists", "loclists"} {
		if sections[name] != nil {
			if err := d.AddSection(".debug_"+name, sections[name]); err != nil {
				return nil, fmt.Errorf("read debug information: %w", err)
			}
		}
	}
	return d, nil
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
		e, err := in.Next()
		if err != nil || e == nil {
			return err
		}
		switch e.Tag {
		case 0:
			if len(functions) > 0 {
				functions = functions[:len(functions)-1]
			}
			continue
		case dwarf.TagStructType, dwarf.TagUnionType:
			if name, _ := e.Val(dwarf.AttrName).(string); name != "" {
				if err := r.layout(e.Offset, ""); err != nil {
					return err
				}
			}
		case dwarf.TagTypedef:
			name, _ := e.Val(dwarf.AttrName).(string)
			if at, ok := e.Val(dwarf.AttrType).(dwarf.Offset); ok {
				if err := r.layout(at, name); err != nil {
					return err
				}
			}
		case dwarf.TagVariable, dwarf.TagFormalParameter:
			if err := r.variable(e, functions); err != nil {
				return err
			}
		}
		if e.Children {
			name := ""
			if e.Tag == dwarf.TagSubprogram {
				name, _ = e.Val(dwarf.AttrName).(string)
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
	s, ok := t.(*dwarf.StructType)
	if !ok || s.Incomplete || s.StructName == "" && typedef == "" || s.StructName != "" && typedef != "" {
		return nil
	}
	l := Layout{Name: typedef, Size: s.ByteSize, Union: s.Kind == "union"}
	if typedef == "" {
		l.Name = s.Kind + " " + s.StructName
	}
	if _, seen := r.info.Layouts[l.Name]; seen {
		return nil // of one name the first counts; C allows another one in an inner scope only
	}
	r.members(&l, s, 0)
	r.info.Layouts[l.Name] = l
	return nil
}

func (r *reader) members(l *Layout, s *dwarf.StructType, base int64) {
	for _, f := range s.Field {
		inner, isStruct := bare(f.Type).(*dwarf.StructType)
		if f.Name == "" && isStruct {
			r.members(l, inner, base+f.ByteOffset)
			continue
		}
		m := Member{Name: f.Name, Type: cName(f.Type), Offset: base + f.ByteOffset, Size: f.Type.Size(), Bits: f.BitSize}
		if m.Name == "" {
			m.Name = anonymous
		}
		if m.Bits > 0 {
			bit := FieldBit(f)
			m.Offset, m.Bit = base+bit/8, bit%8
		}
		typ, ptr := refersTo(f.Type)
		if typ != "" {
			r.info.uses = append(r.info.uses, use{typ: typ, ptr: ptr, kind: useMember, name: m.Name, in: l.Name})
			if !ptr {
				m.holds = typ
			}
		}
		l.Members = append(l.Members, m)
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

func (r *reader) variable(e *dwarf.Entry, functions []string) error {
	at, ok := e.Val(dwarf.AttrType).(dwarf.Offset)
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
	u := use{typ: typ, ptr: ptr, kind: useLocal}
	u.name, _ = e.Val(dwarf.AttrName).(string)
	if len(functions) > 0 {
		u.in = functions[len(functions)-1]
	}
	loc, _ := e.Val(dwarf.AttrLocation).([]byte)
	const opAddr = 0x03
	switch {
	case e.Tag == dwarf.TagFormalParameter:
		u.kind = useParam
	case u.in == "" || len(loc) > 0 && loc[0] == opAddr:
		u.kind = useGlobal
	}
	r.info.uses = append(r.info.uses, u)
	return nil
}

// bare strips names and qualifiers off a type.
func bare(t dwarf.Type) dwarf.Type {
	for range 64 {
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

// refersTo names the structure or union that a value of the type is, holds as
// an array, or points to; "" for other types.
func refersTo(t dwarf.Type) (name string, ptr bool) {
	typedef := ""
	for range 64 {
		switch x := t.(type) {
		case *dwarf.TypedefType:
			t, typedef = x.Type, x.Name
		case *dwarf.QualType:
			t = x.Type
		case *dwarf.ArrayType:
			t, typedef = x.Type, ""
		case *dwarf.PtrType:
			t, typedef, ptr = x.Type, "", true
		case *dwarf.StructType:
			if x.StructName != "" {
				return x.Kind + " " + x.StructName, ptr
			}
			return typedef, ptr
		default:
			return "", false
		}
	}
	return "", false
}

// cName writes a type as C does, without a declarator.
func cName(t dwarf.Type) string {
	suffix := ""
	for range 64 {
		switch x := t.(type) {
		case *dwarf.TypedefType:
			return x.Name + suffix
		case *dwarf.QualType:
			if x.Qual == "const" || x.Qual == "volatile" {
				return x.Qual + " " + cName(x.Type) + suffix
			}
			t = x.Type
		case *dwarf.ArrayType:
			n := "[]"
			if x.Count >= 0 {
				n = fmt.Sprintf("[%d]", x.Count)
			}
			if suffix == "" {
				n = " " + n
			}
			suffix += n
			t = x.Type
		case *dwarf.PtrType:
			if _, ok := bare(x.Type).(*dwarf.FuncType); ok {
				if _, named := x.Type.(*dwarf.TypedefType); !named {
					return "function pointer" + suffix
				}
			}
			inner := cName(x.Type)
			if !strings.HasSuffix(inner, "*") {
				inner += " "
			}
			return inner + "*" + suffix
		case *dwarf.StructType:
			if x.StructName == "" {
				return x.Kind + suffix
			}
			return x.Kind + " " + x.StructName + suffix
		case *dwarf.EnumType:
			return strings.TrimSpace("enum "+x.EnumName) + suffix
		case *dwarf.VoidType:
			return "void" + suffix
		case nil:
			return "void" + suffix
		default:
			return t.Common().Name + suffix
		}
	}
	return "?"
}
