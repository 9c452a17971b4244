package typecheck

import (
	"cmp"
	"slices"
	"strings"
)

// Otherwise is a function or constant of which two texts of an object differ.
type Otherwise struct {
	Name string
	// Here and There are where the texts part, some words of each; both "" when only one
	// has it.
	Here, There string
}

// Compare lists the functions and constants that the named functions and variables are
// made of, themselves included, and what they call, that another text of the object has
// otherwise. Types are not compared: the target's own are, see [Check]. A named function
// that is not in the text counts as one that differs.
func (t *Text) Compare(there *Text, funcs, data []string) []Otherwise {
	c := t.code(funcs, data)
	var out []Otherwise
	for _, name := range c.missing {
		out = append(out, Otherwise{Name: name})
	}
	for id, took := range c.taken {
		ch := &t.chunks[id]
		names := declared(ch.head)
		defines := took.body && len(ch.body) > 0
		declares := len(ch.body) == 0 && ch.head[0] != "typedef" && !slices.Contains(ch.head, "{")
		if !defines && !declares || len(names) == 0 || counted(names[0]) != names[0] {
			continue
		}
		if o := ch.otherwise(there, names[0]); o != nil {
			out = append(out, *o)
		}
	}
	slices.SortFunc(out, func(a, b Otherwise) int {
		x, y := slices.Index(funcs, a.Name), slices.Index(funcs, b.Name)
		return cmp.Or(cmp.Compare(b2i(y >= 0), b2i(x >= 0)), cmp.Compare(x, y), cmp.Compare(a.Name, b.Name),
			cmp.Compare(a.Here, b.Here))
	})
	return slices.Compact(out)
}

// otherwise compares a definition, or a declaration, with those of its name in another
// text; nil when one is the same.
func (ch *chunk) otherwise(there *Text, name string) *Otherwise {
	out := &Otherwise{Name: name}
	here := slices.Concat(ch.head, ch.body)
	for _, id := range there.named[name] {
		o := &there.chunks[id]
		if (len(o.body) == 0) != (len(ch.body) == 0) {
			continue
		}
		other := slices.Concat(o.head, o.body)
		i := 0
		for i < len(here) && i < len(other) && counted(here[i]) == counted(other[i]) {
			i++
		}
		if i == len(here) && i == len(other) {
			return nil
		}
		out.Here, out.There = around(here, i), around(other, i)
	}
	return out
}

// counted takes the number off a name that the kernel makes with __COUNTER__: it tells
// how many were made before, which any header can change.
func counted(word string) string {
	if strings.HasPrefix(word, "__compiletime_assert_") || strings.HasPrefix(word, "__UNIQUE_ID_") {
		return strings.TrimRight(word, "0123456789")
	}
	return word
}

// around are some words of a text around the place i.
func around(words []string, i int) string {
	const before, behind = 3, 5
	return strings.Join(words[max(0, i-before):min(len(words), i+behind)], " ")
}
