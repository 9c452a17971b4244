package fields

import "github.com/cilium/ebpf/btf"

// Field is a member of a structure.
type Field struct {
	Owner  string // the structure that the pointer points to, without "struct"
	Member string // with inner members, "f_path.dentry"
	Type   btf.Type
	inner  string // the innermost named structure, and the member in it
}

// Name is "owner.member".
func (f *Field) Name() string { return f.Owner + "." + f.Member }

// Inner is the name of the member in the innermost structure that has a name:
// "path.dentry" for file.f_path.dentry. It is the same wherever that structure
// is embedded.
func (f *Field) Inner() string { return f.inner }

// memberAt finds the innermost member at an offset in bytes.
func memberAt(t btf.Type, off int64) (Field, bool) {
	f := Field{}
	switch x := t.(type) {
	case *btf.Struct:
		f.Owner = x.Name
	case *btf.Union:
		f.Owner = x.Name
	case *btf.Pointer: // a pointer to a pointer
		return Field{Owner: "", Type: x}, off == 0
	default:
		return f, false
	}
	if off < 0 {
		return f, false
	}
	for range 12 {
		var members []btf.Member
		switch x := t.(type) {
		case *btf.Struct:
			members = x.Members
		case *btf.Union:
			members = x.Members
		case *btf.Array:
			size, err := btf.Sizeof(x.Type)
			if err != nil || size == 0 {
				return f, false
			}
			off %= int64(size)
			t = btf.UnderlyingType(x.Type)
			continue
		default:
			f.Type = t
			return f, off == 0 && f.Member != ""
		}
		found := false
		for i := range members {
			m := &members[i]
			start := int64(m.Offset.Bytes())
			size, err := btf.Sizeof(m.Type)
			if err != nil || off < start || off >= start+int64(max(size, 1)) {
				continue
			}
			if n := structName(t); n != "" {
				f.inner = n
			}
			if m.Name != "" {
				if f.Member != "" {
					f.Member += "."
				}
				f.Member += m.Name
				f.inner += "." + m.Name
			}
			off -= start
			t = btf.UnderlyingType(m.Type)
			found = true
			break
		}
		if !found {
			return f, false
		}
	}
	return f, false
}

func structName(t btf.Type) string {
	switch x := t.(type) {
	case *btf.Struct:
		return x.Name
	case *btf.Union:
		return x.Name
	}
	return ""
}
