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
func memberAt(typ btf.Type, off int64) (Field, bool) {
	field := Field{}
	switch under := typ.(type) {
	case *btf.Struct:
		field.Owner = under.Name
	case *btf.Union:
		field.Owner = under.Name
	case *btf.Pointer: // a pointer to a pointer
		return Field{Owner: "", Type: under}, off == 0
	default:
		return field, false
	}
	if off < 0 {
		return field, false
	}
	for range 12 {
		var members []btf.Member
		switch aggregate := typ.(type) {
		case *btf.Struct:
			members = aggregate.Members
		case *btf.Union:
			members = aggregate.Members
		case *btf.Array:
			size, err := btf.Sizeof(aggregate.Type)
			if err != nil || size == 0 {
				return field, false
			}
			off %= int64(size)
			typ = btf.UnderlyingType(aggregate.Type)
			continue
		default:
			field.Type = typ
			return field, off == 0 && field.Member != ""
		}
		found := false
		for i := range members {
			member := &members[i]
			start := int64(member.Offset.Bytes())
			size, err := btf.Sizeof(member.Type)
			if err != nil || off < start || off >= start+int64(max(size, 1)) {
				continue
			}
			if n := structName(typ); n != "" {
				field.inner = n
			}
			if member.Name != "" {
				if field.Member != "" {
					field.Member += "."
				}
				field.Member += member.Name
				field.inner += "." + member.Name
			}
			off -= start
			typ = btf.UnderlyingType(member.Type)
			found = true
			break
		}
		if !found {
			return field, false
		}
	}
	return field, false
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
