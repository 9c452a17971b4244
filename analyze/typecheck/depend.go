package typecheck

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// code is what some functions and variables are made of, with all that can be
// inlined into them.
type code struct {
	text  *Text
	words map[string]bool // every name in it
	// members are names behind "." and "->", and within __builtin_offsetof().
	members map[string]bool
	// byValue are types that it handles as a whole: sizeof, a variable, an array.
	byValue map[string]bool
	// stepped are names that something is added to, or an index follows; pointers the
	// names that are declared as pointers to a type.
	stepped  map[string]bool
	pointers map[string][]string
	types    map[string]bool // that its names can lead to
	missing  []string        // functions whose text was not found
	taken    map[int]taken   // by chunk
}

// Judge says of each mismatch whether the named functions and variables can depend on
// it. Names are those of C, without what the compiler appends; variables that are not
// in the text are those of function bodies, or the compiler's. obj is the object that was
// checked. Without a text (nil), or where a function is not in it, everything counts as
// used.
func Judge(list []Mismatch, t *Text, obj *Object, funcs, data []string) {
	var body *code
	if t != nil {
		body = t.code(funcs, data)
		body.reach(obj)
	}
	for i := range list {
		mismatch := &list[i]
		switch {
		case body == nil:
			mismatch.Use, mismatch.Why = Used, "the preprocessed text is not at hand, so that it counts as used"
		case len(body.missing) > 0:
			mismatch.Use, mismatch.Why = Used, "the text of "+body.missing[0]+" is not found, so that it counts as used"
		default:
			body.judge(mismatch, obj)
		}
	}
	Sort(list)
}

// judge decides about one mismatch and moves what the code uses to the front.
func (c *code) judge(mismatch *Mismatch, obj *Object) {
	if mismatch.Kind != KindType {
		if name := mismatch.Parts[0].Member; c.words[name] {
			mismatch.Use, mismatch.Why = Used, name+" occurs in it"
		}
		return
	}
	t := obj.Type(mismatch.Name)
	rank := func(diff *Difference) Use {
		switch {
		case t != nil && t.Enum && diff.Member != "":
			if c.words[diff.Member] {
				return Used
			}
		case !c.types[mismatch.Name]:
		case diff.Member == "":
			if c.whole(mismatch.Name, obj) {
				return Used
			}
			return Unsure
		default:
			if c.mentions(diff.Member) {
				return Used
			}
		}
		return Unused
	}
	slices.SortStableFunc(mismatch.Parts, func(a, b Difference) int {
		// A member says more than the size that follows from it.
		return cmp.Or(cmp.Compare(rank(&b), rank(&a)), cmp.Compare(b2i(a.Member == ""), b2i(b.Member == "")))
	})
	switch mismatch.Use = rank(&mismatch.Parts[0]); {
	case mismatch.Use == Used && mismatch.Parts[0].Member != "":
		mismatch.Why = mismatch.Parts[0].Member + " occurs in it"
	case mismatch.Use == Used:
		mismatch.Why = "its size is used"
	}
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// mentions reports whether a member occurs. Of a nested one, "a.b", any name counts.
func (c *code) mentions(member string) bool {
	for name := range strings.SplitSeq(member, ".") {
		if c.members[name] {
			return true
		}
	}
	return false
}

// whole reports whether the size of a type can matter: sizeof, copies, arrays,
// arithmetic on pointers.
func (c *code) whole(name string, obj *Object) bool {
	if c.byValue[name] || slices.ContainsFunc(c.pointers[name], func(v string) bool { return c.stepped[v] }) {
		return true
	}
	for i := range obj.named() {
		if !c.types[obj.Types[i].Name] {
			continue
		}
		for _, p := range obj.Types[i].Parts {
			if !slices.Contains(p.Refs, name) || !c.mentions(p.Name) {
				continue
			}
			last := p.Name[strings.LastIndexByte(p.Name, '.')+1:]
			if !strings.HasPrefix(p.Shape, "*") || c.stepped[last] {
				return true
			}
		}
	}
	return false
}

// code gathers what functions and variables are made of.
func (t *Text) code(funcs, data []string) *code {
	body := &code{text: t, words: map[string]bool{}, members: map[string]bool{}, byValue: map[string]bool{},
		stepped:  map[string]bool{},
		pointers: map[string][]string{}, types: map[string]bool{}, taken: map[int]taken{}}
	for _, name := range slices.Concat(funcs, data) {
		for _, id := range t.named[name] {
			body.add(id, true)
		}
	}
	for _, name := range funcs {
		if !slices.ContainsFunc(t.named[name], func(id int) bool { return t.chunks[id].fn }) {
			body.missing = append(body.missing, name)
		}
	}
	return body
}

// taken says how much of a declaration has been taken up.
type taken struct{ head, body bool }

// add takes up a declaration, with its body when that is part of the code, and all
// that its names stand for. One that was taken up for its head alone, because another
// function names it, still brings its body.
func (c *code) add(id int, body bool) {
	ch := &c.text.chunks[id]
	was := c.taken[id]
	c.taken[id] = taken{true, was.body || body}
	var lists [][]string
	if !was.head {
		before := maps.Clone(c.byValue)
		c.scan(ch.head)
		if ch.head[0] == "typedef" {
			c.byValue = before // a name for a type makes no variable
		}
		lists = append(lists, ch.head)
	}
	if body && !was.body {
		c.scan(ch.body)
		lists = append(lists, ch.body)
	}
	for _, list := range lists {
		for i, tok := range list {
			if !isName(tok) || i > 0 && (list[i-1] == "." || list[i-1] == "->") {
				continue
			}
			for _, id := range c.text.named[tok] {
				c.add(id, c.text.chunks[id].inline)
			}
			for _, id := range c.text.typedefs[tok] {
				c.add(id, false)
			}
		}
	}
}

// scan notes names, and how they are used.
func (c *code) scan(list []string) {
	at := func(i int) string {
		if i < 0 || i >= len(list) {
			return ""
		}
		return list[i]
	}
	for i, tok := range list {
		switch {
		case tok == "sizeof" && at(i+1) == "(":
			c.step(list[i+2 : closing(list, i+1)])
		case tok == "sizeof" && at(i+1) == "*":
			c.step(list[i+2 : min(i+8, len(list))]) // sizeof *p->q[n]
		case tok == ")" && (at(i+1) == "[" || at(i+1) == "++" || at(i+1) == "--"):
			open := opening(list, i)
			c.step(list[max(open-1, 0):i]) // with the name of a function that is called
		case tok == "struct" || tok == "union" || tok == "enum":
			if isName(at(i + 1)) {
				c.mention(tok+" "+at(i+1), at(i+2), at(i+3))
			}
		case tok == "__builtin_offsetof":
			for j, depth := i+1, 0; j < len(list); j++ {
				if list[j] == "(" {
					depth++
				}
				if list[j] == ")" {
					if depth--; depth == 0 {
						break
					}
				}
				if isName(list[j]) {
					c.members[list[j]] = true
				}
			}
		case isName(tok):
			c.words[tok] = true
			if prev := at(i - 1); prev == "." || prev == "->" {
				c.members[tok] = true
			}
			switch at(i + 1) {
			case "[", "+", "-", "++", "--", "+=", "-=":
				c.stepped[tok] = true
			}
			if prev := at(i - 1); prev == "++" || prev == "--" {
				c.stepped[tok] = true
			}
			if len(c.text.typedefs[tok]) > 0 {
				c.mention(tok, at(i+1), at(i+2))
			}
		}
	}
}

// step takes the names of an expression for pointers whose type's size is used, and the
// types of casts in it.
func (c *code) step(expr []string) {
	for i, tok := range expr {
		if isName(tok) {
			c.stepped[tok] = true
		}
		if (tok == "struct" || tok == "union") && i+1 < len(expr) {
			c.byValue[tok+" "+expr[i+1]] = true
		}
	}
}

// closing is the place of the parenthesis that closes the one at i, or the end.
func closing(list []string, i int) int {
	depth := 0
	for ; i < len(list); i++ {
		switch list[i] {
		case "(":
			depth++
		case ")":
			if depth--; depth == 0 {
				return i
			}
		}
	}
	return len(list)
}

// opening is the place of the parenthesis that the one at i closes, or 0.
func opening(list []string, i int) int {
	depth := 0
	for ; i > 0; i-- {
		switch list[i] {
		case ")":
			depth++
		case "(":
			if depth--; depth == 0 {
				return i
			}
		}
	}
	return 0
}

// mention notes a type that the code names, by the two words behind it.
func (c *code) mention(name, next, name2 string) {
	c.types[name] = true
	switch {
	case next == "*" && isName(name2):
		c.pointers[name] = append(c.pointers[name], name2)
	case next == "*" || next == "{" || next == ";" || next == "":
	default:
		c.byValue[name] = true
	}
}

// reach adds the types that members lead to whose names occur.
func (c *code) reach(o *Object) {
	todo := slices.Sorted(maps.Keys(c.types))
	for len(todo) > 0 {
		name := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		t := o.Type(name)
		if t == nil {
			continue
		}
		for _, p := range t.Parts {
			if !c.mentions(p.Name) {
				continue
			}
			for _, ref := range p.Refs {
				if !c.types[ref] {
					c.types[ref] = true
					todo = append(todo, ref)
				}
			}
		}
	}
}

// String sums a report up.
func (r *Report) String() string {
	return fmt.Sprintf("%d compared, %d without counterpart, %d otherwise", len(r.Checked), len(r.Absent),
		len(r.Mismatches))
}
