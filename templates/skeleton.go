package templates

import (
	"hash/fnv"
	"io"
	"strings"
)

// NewState is what the skeleton of a system state shows. Name must be a C
// identifier. With Variable, an expression in C, the skeleton is complete: it
// sets the variable to Value, another; without, it does not compile until its
// author has said what to save, change and restore. With Object, a module, the
// callbacks are that module's.
type NewState struct {
	Name     string
	ID       uint64
	Version  uint32
	Meaning  string
	Object   string
	Variable string
	Value    string
}

// StateSkeleton writes callbacks that follow the life-cycle of a system state.
func StateSkeleton(w io.Writer, s NewState) error { return execute(w, "state.c.skel.tmpl", s) }

// NewShadow is what the skeleton of a shadow variable shows.
type NewShadow struct {
	Name    string // C identifier
	Type    string // of the object, "struct inode"
	ID      uint64
	Members []ShadowMember
}

// ShadowMember is one new member: a type as C writes it, and a name.
type ShadowMember struct{ Type, Name string }

// ShadowSkeleton writes accessors of a shadow variable.
func ShadowSkeleton(w io.Writer, s NewShadow) error { return execute(w, "shadow.c.skel.tmpl", s) }

// ShadowID makes an id from what it stands for. The kernel takes any number;
// one from a name is unlikely to be anyone else's.
func ShadowID(name string) uint64 {
	h := fnv.New64a()
	io.WriteString(h, name)
	return h.Sum64()
}

// Identifier makes a C identifier that resembles s.
func Identifier(text string) string {
	text = strings.Map(func(r rune) rune {
		if r == '_' || r >= '0' && r <= '9' || r|0x20 >= 'a' && r|0x20 <= 'z' {
			return r
		}
		return '_'
	}, text)
	if text == "" || text[0] >= '0' && text[0] <= '9' {
		text = "_" + text
	}
	return text
}
