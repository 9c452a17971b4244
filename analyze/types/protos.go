package types

import (
	"debug/dwarf"
	"fmt"

	"github.com/klpforge/klpforge/elfobj"
)

// Proto is a function's parameters as debug information declares them.
type Proto struct {
	Args     []int64 // size of each, bytes
	Ret      int64   // size of the result, bytes; 0 for none
	Result   Result  // what kind of value that is
	Variadic bool
}

// Result is the kind of value that a function returns.
type Result uint8

// Kinds of results.
const (
	ResultUnknown Result = iota
	ResultNone           // void
	ResultSigned
	ResultUnsigned
	ResultPointer
	ResultOther // truth values, enumerations, structures
)

// Protos reads the prototypes of the functions that an object defines, and of
// those that it declares and calls, by name. Names with several prototypes and
// functions without one are left out. The error is ErrNoDebug for an object
// without debug information.
func Protos(elfFile *elfobj.File) (out map[string]Proto, err error) {
	defer func() {
		if r := recover(); r != nil { // debug/dwarf is not safe against all input
			out, err = nil, fmt.Errorf("read debug information: %v", r)
		}
	}()
	data, err := OpenDWARF(elfFile)
	if err != nil {
		return nil, err
	}
	out, several := map[string]Proto{}, map[string]bool{}
	entries := data.Reader()
	for {
		entry, err := entries.Next()
		if err != nil {
			return nil, fmt.Errorf("read debug information: %w", err)
		}
		if entry == nil {
			return out, nil
		}
		if entry.Tag == dwarf.TagCompileUnit || entry.Tag == 0 {
			continue
		}
		name, _ := entry.Val(dwarf.AttrName).(string)
		prototyped, _ := entry.Val(dwarf.AttrPrototyped).(bool)
		if entry.Tag != dwarf.TagSubprogram || name == "" || !prototyped {
			entries.SkipChildren()
			continue
		}
		parsed, err := proto(data, entries, entry)
		if err != nil {
			return nil, fmt.Errorf("read debug information: %s: %w", name, err)
		}
		if old, seen := out[name]; seen && fmt.Sprint(old) != fmt.Sprint(parsed) {
			several[name] = true
		}
		if out[name] = parsed; several[name] {
			delete(out, name)
		}
	}
}

// proto reads the children of a function's entry.
func proto(data *dwarf.Data, entries *dwarf.Reader, e *dwarf.Entry) (parsed Proto, err error) {
	if parsed.Result, err = resultOf(data, e); err != nil {
		return parsed, err
	}
	if parsed.Ret, err = sizeOf(data, e); err != nil || !e.Children {
		return parsed, err
	}
	for {
		entry, err := entries.Next()
		if err != nil || entry == nil || entry.Tag == 0 {
			return parsed, err
		}
		switch entry.Tag {
		case dwarf.TagFormalParameter:
			n, err := sizeOf(data, entry)
			if err != nil {
				return parsed, err
			}
			parsed.Args = append(parsed.Args, n)
		case dwarf.TagUnspecifiedParameters:
			parsed.Variadic = true
		}
		entries.SkipChildren()
	}
}

func sizeOf(d *dwarf.Data, e *dwarf.Entry) (int64, error) {
	at, ok := e.Val(dwarf.AttrType).(dwarf.Offset)
	if !ok {
		return 0, nil
	}
	typ, err := d.Type(at)
	if err != nil {
		return 0, err
	}
	if _, void := bare(typ).(*dwarf.VoidType); void {
		return 0, nil
	}
	return typ.Size(), nil
}

func resultOf(d *dwarf.Data, e *dwarf.Entry) (Result, error) {
	at, ok := e.Val(dwarf.AttrType).(dwarf.Offset)
	if !ok {
		return ResultNone, nil
	}
	typ, err := d.Type(at)
	if err != nil {
		return ResultUnknown, err
	}
	switch bare(typ).(type) {
	case *dwarf.VoidType:
		return ResultNone, nil
	case *dwarf.PtrType:
		return ResultPointer, nil
	case *dwarf.IntType, *dwarf.CharType:
		return ResultSigned, nil
	case *dwarf.UintType, *dwarf.UcharType:
		return ResultUnsigned, nil
	}
	return ResultOther, nil
}
