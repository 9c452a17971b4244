package typecheck

import (
	"cmp"
	"debug/dwarf"
	"fmt"
	"slices"

	"github.com/klpforge/klpforge/analyze/types"
	"github.com/klpforge/klpforge/elfobj"
)

// Object is what the debug information of one compiled object says of types.
type Object struct {
	Types []Type // complete ones by name, each name once; anonymous enumerations last
	Funcs []Func // of functions, by name
}

// Type returns the type of a name, nil when the object has none.
func (o *Object) Type(name string) *Type {
	i, ok := slices.BinarySearchFunc(o.named(), name,
		func(t Type, name string) int { return cmp.Compare(t.Name, name) })
	if !ok {
		return nil
	}
	return &o.Types[i]
}

func (o *Object) named() []Type {
	n := len(o.Types)
	for n > 0 && o.Types[n-1].Name == "" {
		n--
	}
	return o.Types[:n]
}

// Func returns the prototype of a name, nil when the object has none.
func (o *Object) Func(name string) *Func {
	i, ok := slices.BinarySearchFunc(o.Funcs, name, func(f Func, name string) int { return cmp.Compare(f.Name, name) })
	if !ok {
		return nil
	}
	return &o.Funcs[i]
}

// Enumerator returns the value of an enumerator of an anonymous enumeration.
func (o *Object) Enumerator(name string) (int64, bool) {
	for i := len(o.Types) - 1; i >= 0 && o.Types[i].Name == ""; i-- {
		for _, p := range o.Types[i].Parts {
			if p.Name == name {
				return p.Value, true
			}
		}
	}
	return 0, false
}

// ReadObject reads the DWARF of a relocatable object. The error wraps
// types.ErrNoDebug when it has none; broken debug information is an error, not a
// panic.
func ReadObject(elfFile *elfobj.File) (o *Object, err error) {
	defer func() {
		if r := recover(); r != nil { // debug/dwarf is not safe against all input
			o, err = nil, fmt.Errorf("read debug information: %v", r)
		}
	}()
	d, err := types.OpenDWARF(elfFile)
	if err != nil {
		return nil, err
	}
	reader := &unitReader{d: d}
	in := d.Reader()
	for {
		entry, err := in.Next()
		if err != nil {
			return nil, fmt.Errorf("read debug information: %w", err)
		}
		if entry == nil {
			break
		}
		if entry.Tag != dwarf.TagCompileUnit {
			in.SkipChildren()
			continue
		}
		if err := reader.read(in, entry); err != nil {
			return nil, fmt.Errorf("read debug information: %w", err)
		}
	}
	return reader.object(), nil
}

// unitReader gathers what compilation units declare outside of functions.
type unitReader struct {
	d     *dwarf.Data
	types []Type
	funcs []Func
}

// read reads the entries below a unit's own, behind which in stands.
func (u *unitReader) read(in *dwarf.Reader, unit *dwarf.Entry) error {
	for unit.Children {
		entry, err := in.Next()
		if err != nil {
			return err
		}
		if entry == nil || entry.Tag == 0 {
			return nil
		}
		name, _ := entry.Val(dwarf.AttrName).(string)
		switch entry.Tag {
		case dwarf.TagStructType, dwarf.TagUnionType, dwarf.TagEnumerationType:
			if name != "" || entry.Tag == dwarf.TagEnumerationType {
				err = u.add(entry.Offset, "")
			}
		case dwarf.TagTypedef:
			if at, ok := entry.Val(dwarf.AttrType).(dwarf.Offset); ok {
				err = u.add(at, name)
			}
		case dwarf.TagSubprogram:
			if name != "" {
				external, _ := entry.Val(dwarf.AttrExternal).(bool)
				if err := u.function(in, entry, Func{Name: name, External: external}); err != nil {
					return err
				}
				continue // its children are read
			}
		}
		if err != nil {
			return err
		}
		in.SkipChildren()
	}
	return nil
}

// add records the type at an offset. An anonymous structure goes by a typedef's name.
func (u *unitReader) add(at dwarf.Offset, typedef string) error {
	t, err := u.d.Type(at)
	if err != nil {
		return err
	}
	switch typ := t.(type) {
	case *dwarf.StructType:
		switch {
		case typ.Incomplete || (typ.StructName == "") == (typedef == ""):
		case typedef != "":
			u.types = append(u.types, *dwarfStruct(typedef, typ))
		default:
			u.types = append(u.types, *dwarfStruct(typ.Kind+" "+typ.StructName, typ))
		}
	case *dwarf.EnumType:
		if typedef != "" || len(typ.Val) == 0 {
			break
		}
		name := ""
		if typ.EnumName != "" {
			name = "enum " + typ.EnumName
		}
		u.types = append(u.types, *dwarfEnum(name, typ))
	}
	return nil
}

// function reads the prototype of a function and leaves in behind its children.
func (u *unitReader) function(in *dwarf.Reader, entry *dwarf.Entry, fn Func) error {
	shape := func(e *dwarf.Entry) (string, error) {
		at, ok := e.Val(dwarf.AttrType).(dwarf.Offset)
		if !ok {
			return "void", nil
		}
		t, err := u.d.Type(at)
		if err != nil {
			return "", err
		}
		return dwarfShape(t, nil, 0), nil
	}
	var err error
	if fn.Return, err = shape(entry); err != nil {
		return err
	}

	// Children that are no parameters are local variables and blocks.
	for entry.Children {
		child, err := in.Next()
		if err != nil {
			return err
		}
		if child == nil || child.Tag == 0 {
			break
		}
		switch child.Tag {
		case dwarf.TagFormalParameter:
			p, err := shape(child)
			if err != nil {
				return err
			}
			fn.Params = append(fn.Params, p)
		case dwarf.TagUnspecifiedParameters:
			fn.Params = append(fn.Params, "...")
		}
		in.SkipChildren()
	}
	u.funcs = append(u.funcs, fn)
	return nil
}

// object sorts what was gathered. Of one name the first counts: C allows another
// one in an inner scope only.
func (u *unitReader) object() *Object {
	obj := &Object{Types: u.types, Funcs: u.funcs}
	slices.SortStableFunc(obj.Types, func(left, right Type) int {
		if (left.Name == "") != (right.Name == "") {
			if left.Name == "" {
				return 1
			}
			return -1
		}
		return cmp.Compare(left.Name, right.Name)
	})
	obj.Types = slices.CompactFunc(obj.Types, func(a, b Type) bool { return a.Name != "" && a.Name == b.Name })
	slices.SortStableFunc(obj.Funcs, func(a, b Func) int { return cmp.Compare(a.Name, b.Name) })
	obj.Funcs = slices.CompactFunc(obj.Funcs, func(a, b Func) bool { return a.Name == b.Name })
	return obj
}
