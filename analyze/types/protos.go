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
	Variadic bool
}

// Protos reads the prototypes of the functions that an object defines, and of
// those that it declares and calls, by name. Names with several prototypes and
// functions without one are left out. The error is ErrNoDebug for an object
// without debug information.
func Protos(f *elfobj.File) (out map[string]Proto, err error) {
	defer func() {
		if r := recover(); r != nil { // debug/dwarf is not safe against all input
			out, err = nil, fmt.Errorf("read debug information: %v", r)
		}
	}()
	d, err := OpenDWARF(f)
	if err != nil {
		return nil, err
	}
	out, several := map[string]Proto{}, map[string]bool{}
	r := d.Reader()
	for {
		e, err := r.Next()
		if err != nil {
			return nil, fmt.Errorf("read debug information: %w", err)
		}
		if e == nil {
			return out, nil
		}
		if e.Tag == dwarf.TagCompileUnit || e.Tag == 0 {
			continue
		}
		name, _ := e.Val(dwarf.AttrName).(string)
		prototyped, _ := e.Val(dwarf.AttrPrototyped).(bool)
		if e.Tag != dwarf.TagSubprogram || name == "" || !prototyped {
			r.SkipChildren()
			continue
		}
		p, err := proto(d, r, e)
		if err != nil {
			return nil, fmt.Errorf("read debug information: %s: %w", name, err)
		}
		if old, seen := out[name]; seen && fmt.Sprint(old) != fmt.Sprint(p) {
			several[name] = true
		}
		if out[name] = p; several[name] {
			delete(out, name)
		}
	}
}

// proto reads the children of a function's entry.
func proto(d *dwarf.Data, r *dwarf.Reader, e *dwarf.Entry) (p Proto, err error) {
	if p.Ret, err = sizeOf(d, e); err != nil || !e.Children {
		return p, err
	}
	for {
		c, err := r.Next()
		if err != nil || c == nil || c.Tag == 0 {
			return p, err
		}
		switch c.Tag {
		case dwarf.TagFormalParameter:
			n, err := sizeOf(d, c)
			if err != nil {
				return p, err
			}
			p.Args = append(p.Args, n)
		case dwarf.TagUnspecifiedParameters:
			p.Variadic = true
		}
		r.SkipChildren()
	}
}

func sizeOf(d *dwarf.Data, e *dwarf.Entry) (int64, error) {
	at, ok := e.Val(dwarf.AttrType).(dwarf.Offset)
	if !ok {
		return 0, nil
	}
	t, err := d.Type(at)
	if err != nil {
		return 0, err
	}
	if _, void := bare(t).(*dwarf.VoidType); void {
		return 0, nil
	}
	return t.Size(), nil
}
