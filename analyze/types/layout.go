package types

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Layout is how a structure or union lies in memory.
type Layout struct {
	Name    string   `json:"name"`  // "struct inode"
	Size    int64    `json:"size"`  // bytes
	Union   bool     `json:"union"` // members lie over each other
	Members []Member `json:"members"`
}

// Member is one member, in the order of the declaration.
type Member struct {
	Name   string `json:"name"` // "(anonymous)" for one without a name and without members
	Type   string `json:"type"` // as C writes it, without the name
	Offset int64  `json:"offset"`
	Size   int64  `json:"size"` // bytes
	// Bits is the width of a bit field, 0 for other members; Bit is the number
	// of its first bit from Offset.
	Bits int64 `json:"bits,omitempty"`
	Bit  int64 `json:"bit,omitempty"`

	holds string // structure or union that the member is, or is an array of
}

// Change is one type whose layout differs.
type Change struct {
	Before Layout `json:"before"`
	After  Layout `json:"after"`
	// Because names the changed type inside this one that alone makes the
	// difference; empty when the type's own members changed.
	Because string `json:"because,omitempty"`
}

// Filled reports whether the change does no more than put members where
// nothing or only padding was: what code compiled before relies on still holds.
func (c *Change) Filled() bool {
	if c.Before.Size != c.After.Size {
		return false
	}
	for _, m := range c.Before.Members {
		if i := c.After.index(m.Name); i < 0 || !m.samePlace(&c.After.Members[i]) {
			return false
		}
	}
	return true
}

// Words describes what changed, one fact each.
func (c *Change) Words() []string {
	var out []string
	if c.Before.Size != c.After.Size {
		out = append(out, fmt.Sprintf("size: %d bytes before, %d after", c.Before.Size, c.After.Size))
	}

	// One new member can move all those behind it, so of those that only move the first is named.
	moved, first := 0, ""
	for _, member := range c.After.Members {
		i := c.Before.index(member.Name)
		switch {
		case i < 0:
			out = append(out, fmt.Sprintf("new member %s %s at %s", member.Type, member.Name, member.place()))
		case c.Before.Members[i].Size != member.Size || c.Before.Members[i].Bits != member.Bits:
			out = append(out, fmt.Sprintf("%s: %s (%d bytes) before, %s (%d bytes) after", member.Name,
				c.Before.Members[i].Type, c.Before.Members[i].Size, member.Type, member.Size))
		case !c.Before.Members[i].samePlace(&member):
			if moved++; first == "" {
				first = fmt.Sprintf("%s from %s to %s", member.Name, c.Before.Members[i].place(), member.place())
			}
		}
	}

	if moved > 0 {
		out = append(out, fmt.Sprintf("%d member(s) move: %s first", moved, first))
	}
	for _, m := range c.Before.Members {
		if c.After.index(m.Name) < 0 {
			out = append(out, fmt.Sprintf("member %s, at %s before, is gone", m.Name, m.place()))
		}
	}
	return out
}

func (m *Member) place() string {
	if m.Bits > 0 {
		return fmt.Sprintf("%d bit %d", m.Offset, m.Bit)
	}
	return fmt.Sprint(m.Offset)
}

func (m *Member) samePlace(o *Member) bool {
	return m.Offset == o.Offset && m.Size == o.Size && m.Bits == o.Bits && m.Bit == o.Bit
}

func (l *Layout) index(name string) int {
	return slices.IndexFunc(l.Members, func(m Member) bool { return m.Name == name && name != anonymous })
}

const anonymous = "(anonymous)"

// Difference is what differs between the types of an object before and after.
type Difference struct {
	Changes []Change // as Compare lists them
	// Sharing is, by the name of a type that changes itself, who may hold objects of it, before
	// and after.
	Sharing map[string][2]Sharing
}

// Differ compares the types of both sides, and keeps nothing of those that are the same.
func Differ(before, after *Info) *Difference {
	out := &Difference{Changes: Compare(before, after), Sharing: map[string][2]Sharing{}}
	for i := range out.Changes {
		if change := &out.Changes[i]; change.Because == "" {
			out.Sharing[change.Before.Name] = [2]Sharing{before.Sharing(change.Before.Name),
				after.Sharing(change.Before.Name)}
		}
	}
	return out
}

// Compare lists the types of both sides whose layout differs, sorted by name.
// Members are told apart by name; a renamed one counts as one that is gone and
// one that is new, unless all else is the same. Types of other names but the same layout do not
// differ.
func Compare(before, after *Info) []Change {
	var out []Change
	changed := map[string]bool{}
	for name, b := range before.Layouts {
		a, ok := after.Layouts[name]
		if ok && !same(&b, &a) {
			out = append(out, Change{Before: b, After: a})
			changed[name] = true
		}
	}
	slices.SortFunc(out, func(a, b Change) int { return cmp.Compare(a.Before.Name, b.Before.Name) })
	for i := range out {
		out[i].Because = out[i].cause(changed)
	}
	return out
}

func same(a, b *Layout) bool {
	return a.Size == b.Size && slices.EqualFunc(a.Members, b.Members, func(x, y Member) bool { return x.samePlace(&y) })
}

// cause returns the changed type inside, when the members' names, order and own
// types are as before.
func (c *Change) cause(changed map[string]bool) string {
	if len(c.Before.Members) != len(c.After.Members) {
		return ""
	}
	why := ""
	for i := range c.Before.Members {
		right, left := &c.Before.Members[i], &c.After.Members[i]
		if right.Name != left.Name {
			return ""
		}
		if right.Size == left.Size && right.Bits == left.Bits {
			continue
		}
		if right.holds == "" || right.holds != left.holds || !changed[right.holds] {
			return ""
		}
		why = cmp.Or(why, right.holds)
	}
	return why
}

// String draws the layout, one member a line.
func (l *Layout) String() string {
	var text strings.Builder
	fmt.Fprintf(&text, "%s {  /* %d bytes */\n", l.Name, l.Size)
	end := int64(0)
	for _, member := range l.Members {
		if !l.Union && member.Bits == 0 && member.Offset > end {
			fmt.Fprintf(&text, "\t/* %d bytes of padding */\n", member.Offset-end)
		}
		end = max(end, member.Offset+member.Size)
		bits := ""
		if member.Bits > 0 {
			bits = fmt.Sprintf(":%d", member.Bits)
		}
		decl := member.Type + " " + member.Name
		if base, dims, ok := strings.Cut(member.Type, " ["); ok {
			decl = base + " " + member.Name + "[" + dims
		}
		fmt.Fprintf(&text, "\t%-48s /* %5s %5d */\n", decl+bits+";", member.place(), member.Size)
	}
	if !l.Union && l.Size > end {
		fmt.Fprintf(&text, "\t/* %d bytes of padding */\n", l.Size-end)
	}
	text.WriteString("}\n")
	return text.String()
}

// Named returns the layout of a type, whose name may leave "struct " or "union
// " out. ErrNoType when there is none.
func (i *Info) Named(name string) ([]Layout, error) {
	var out []Layout
	for _, n := range []string{name, "struct " + name, "union " + name} {
		if l, ok := i.Layouts[n]; ok {
			out = append(out, l)
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("look up %s: %w", name, ErrNoType)
	}
	return out, nil
}
