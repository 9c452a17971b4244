package typecheck

import (
	"fmt"
	"strings"
)

// Type is one structure, union or enumeration.
type Type struct {
	Name string // "struct inode"; "" for an anonymous enumeration
	Size int64  // bytes
	// Parts are the members, without those that have neither a name nor members,
	// or the enumerators, in the order of the declaration.
	Parts []Part
	Enum  bool
}

// Part is one member or enumerator.
type Part struct {
	Name  string // "rlim", "seq.count" within a member of an anonymous type
	Bit   int64  // from the start of the type, in bits
	Bits  int64  // width of a bit field, 0 for other members
	Shape string // what it is, see below; "" for an enumerator
	Value int64  // of an enumerator
	// Refs are the named types that the member is, holds or leads to.
	Refs []string
}

// Shapes are written so that two that are spelled alike behave alike: "u8" and "s4"
// for integers of 8 and 4 bytes, "b1" for bool, "f8" for double, "struct x",
// "enum x:4", "*struct x", "[16]u1", "s4(*struct x, u8)" for a function. Names of
// typedefs, qualifiers and the signedness of single bytes, which BTF does not keep,
// are left out.

// Func is the prototype of a function.
type Func struct {
	Name   string
	Return string // shape
	// External: it has external linkage, so that one prototype holds in all files.
	External bool
	Params   []string // shapes; the last is "..." for a variable number
}

func (f *Func) String() string { return f.Return + "(" + strings.Join(f.Params, ", ") + ")" }

// Difference is one thing in which a type of the compiled object is not that of the
// kernel.
type Difference struct {
	Member string // member or enumerator; "" for the type as a whole
	// Text says it in full, but for the names of both sides: "struct x.y is at offset
	// 8 in %[1]s, 16 in %[2]s".
	Text string
}

// Say completes the text. here and there name the two sides.
func (d *Difference) Say(here, there string) string { return fmt.Sprintf(d.Text, here, there) }

// Compare lists how here, the compiled object's, differs from there, the kernel's.
// Members that only the kernel's has are passed over: where they matter, others move
// or the size differs.
func Compare(here, there *Type) []Difference {
	var out []Difference
	add := func(member, format string, args ...any) {
		text := strings.NewReplacer("@H", "%[1]s", "@T", "%[2]s").Replace(fmt.Sprintf(format, args...))
		out = append(out, Difference{member, text})
	}
	if here.Size != there.Size {
		add("", "%s has %d bytes in @H, %d in @T", here.Name, here.Size, there.Size)
	}

	parts := map[string]*Part{}
	for i := range there.Parts {
		parts[there.Parts[i].Name] = &there.Parts[i]
	}

	// One difference a member, the one that explains the others.
	for i := range here.Parts {
		ours := &here.Parts[i]
		name := here.Name + "." + ours.Name
		theirs := parts[ours.Name]
		switch {
		case theirs == nil && here.Enum:
			add(ours.Name, "%s has the enumerator %s = %d in @H, none of that name in @T", here.Name, ours.Name,
				ours.Value)
		case theirs == nil:
			add(ours.Name, "%s is at offset %s in @H, @T has no such member", name, offset(ours))
		case here.Enum && sameValue(ours.Value, theirs.Value, here.Size):
		case here.Enum:
			add(ours.Name, "enumerator %s is %d in @H, %d in @T", ours.Name, ours.Value, theirs.Value)
		case ours.Bit != theirs.Bit:
			add(ours.Name, "%s is at offset %s in @H, %s in @T", name, offset(ours), offset(theirs))
		case ours.Bits != theirs.Bits:
			add(ours.Name, "%s has %s in @H, %s in @T", name, width(ours), width(theirs))
		case ours.Shape != theirs.Shape:
			add(ours.Name, "%s is %s in @H, %s in @T", name, clip(ours.Shape), clip(theirs.Shape))
		}
	}
	return out
}

// clip shortens the shape of an anonymous type, which lists its members.
func clip(shape string) string {
	const most = 80
	if len(shape) <= most {
		return shape
	}
	return shape[:most] + "…"
}

// inline is the shape of a type without a name.
func (t *Type) inline(kind string) string {
	var text strings.Builder
	fmt.Fprintf(&text, "%s{", kind)
	for i := range t.Parts {
		p := &t.Parts[i]
		fmt.Fprintf(&text, "%s@%d", p.Name, p.Bit)
		if p.Bits > 0 {
			fmt.Fprintf(&text, ":%d", p.Bits)
		}
		fmt.Fprintf(&text, " %s; ", p.Shape)
	}
	fmt.Fprintf(&text, "%d}", t.Size)
	return text.String()
}

func offset(p *Part) string {
	if p.Bits > 0 || p.Bit%8 != 0 {
		return fmt.Sprintf("%d, bit %d", p.Bit/8, p.Bit%8)
	}
	return fmt.Sprint(p.Bit / 8)
}

// sameValue compares values of enumerators of a type of size bytes. BTF without
// BTF_KIND_ENUM64 keeps 32 bits without a sign (pahole --skip_encoding_btf_enum64, as
// kernels before 6.6 ask for).
func sameValue(here, there, size int64) bool {
	cut := there>>32 == 0 || there>>31 == -1
	return here == there || uint32(here) == uint32(there) && (size <= 4 || cut)
}

func width(p *Part) string {
	if p.Bits == 0 {
		return "no bit field"
	}
	return fmt.Sprintf("%d bits", p.Bits)
}

// compareFunc lists how a prototype differs from the kernel's.
func compareFunc(here, there *Func) []Difference {
	if here.String() == there.String() {
		return nil
	}
	switch h, t := len(here.Params), len(there.Params); {
	case h != t:
		return []Difference{{"", fmt.Sprintf("%s() takes %d parameters in %%[1]s, %d in %%[2]s", here.Name, h, t)}}
	case here.Return != there.Return:
		return []Difference{{"", fmt.Sprintf("%s() returns %s in %%[1]s, %s in %%[2]s", here.Name, here.Return,
			there.Return)}}
	}
	for i := range here.Params {
		if here.Params[i] != there.Params[i] {
			return []Difference{{"", fmt.Sprintf("parameter %d of %s() is %s in %%[1]s, %s in %%[2]s", i+1, here.Name,
				here.Params[i], there.Params[i])}}
		}
	}
	return nil
}
