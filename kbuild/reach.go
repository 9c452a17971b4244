package kbuild

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

// codeDigest stands for what of a preprocessed C text can reach the object that is made
// of it: functions and variables that are defined there, and whatever declaration their
// names lead to, over and over. An inline function, a prototype or a type that nothing of
// them names is left out; so are white space, line markers, and the numbers that
// __COUNTER__ gave to names. Where two digests are equal, the compiler makes the same code.
//
// What is doubtful counts as part of the object: a text that this reads wrongly gives a
// digest that differs too often.
func codeDigest(text []byte) string {
	r := &reachReader{text: text, ids: map[string]int32{}}
	r.read()
	sum := sha256.New()
	for _, id := range r.reached() {
		d := &r.decls[id]
		for _, t := range r.tokens[d.first:d.end] {
			sum.Write(plainCounter(text[t.start:t.end]))
			sum.Write([]byte{0})
		}
	}
	return hex.EncodeToString(sum.Sum(nil))
}

// reachReader cuts a text into its declarations at the top level.
type reachReader struct {
	text   []byte
	ids    map[string]int32 // names, numbered
	tokens []token
	decls  []decl
}

// token is a word of the text; id is its number where it is a name, else -1.
type token struct{ start, end, id int32 }

// decl is one declaration or definition: tokens first to end. The head goes up to the
// body of a function or the initialiser.
type decl struct {
	first, head, end int32
	root             bool // part of the object by itself
}

// is reports whether a token is a word.
func (r *reachReader) is(t token, word string) bool { return string(r.text[t.start:t.end]) == word }

// read cuts the text into tokens, and these into declarations. A declaration ends with a
// semicolon outside of all brackets, or with the body of a function.
func (r *reachReader) read() {
	first, head := int32(0), int32(-1)
	depth, parens := 0, 0
	function := false
	flush := func() {
		end := int32(len(r.tokens))
		if end > first {
			if head < 0 {
				head = end
			}
			d := decl{first: first, head: head, end: end}
			d.root = r.isRoot(d, function)
			r.decls = append(r.decls, d)
		}
		first, head, function = end, -1, false
	}
	r.scan(func(t token) {
		r.tokens = append(r.tokens, t)
		if t.end-t.start != 1 {
			return
		}
		switch r.text[t.start] {
		case ';':
			if depth == 0 && parens == 0 {
				flush()
			}
		case '=':
			if depth == 0 && parens == 0 && head < 0 {
				head = int32(len(r.tokens)) - 1
			}
		case '(':
			parens++
		case ')':
			parens--
		case '{':
			if depth == 0 && parens == 0 && head < 0 && r.takesBody(r.tokens[first:len(r.tokens)-1]) {
				head, function = int32(len(r.tokens))-1, true
			}
			depth++
		case '}':
			depth--
			if depth == 0 && parens == 0 && function {
				flush()
			}
		}
	})
	flush()
}

// takesBody reports whether the tokens before a brace declare a function: a name in front
// of a parenthesis outside of all others.
func (r *reachReader) takesBody(head []token) bool {
	parens := 0
	for i, t := range head {
		switch r.text[t.start] {
		case '(':
			if parens == 0 && i > 0 && head[i-1].id >= 0 && !attributeWords[r.word(head[i-1])] {
				return true
			}
			parens++
		case ')':
			parens--
		}
	}
	return false
}

func (r *reachReader) word(t token) string { return string(r.text[t.start:t.end]) }

// attributeWords stand before a parenthesis and declare nothing.
var attributeWords = map[string]bool{"__attribute__": true, "__attribute": true, "asm": true, "__asm__": true,
	"__asm": true, "typeof": true, "__typeof__": true, "__typeof": true, "typeof_unqual": true, "_Alignas": true,
	"__alignof__": true, "__declspec": true}

// isRoot reports whether a declaration puts something into the object whoever names it.
// Only what certainly does not is left out: types, prototypes, declarations of what is
// elsewhere, and inline functions that are emitted where they are used.
func (r *reachReader) isRoot(d decl, function bool) bool {
	var static, extern, inline bool
	parens, braces := 0, 0
	plain := true // no parenthesis that could be the one of parameters
	for i := d.first; i < d.head; i++ {
		switch word := r.word(r.tokens[i]); word {
		case "(":
			// "(*" begins the declarator of a pointer to a function.
			if parens == 0 && braces == 0 && i > d.first && r.tokens[i-1].id >= 0 &&
				!attributeWords[r.word(r.tokens[i-1])] && !r.is(r.tokens[min(i+1, d.end-1)], "*") {
				plain = false
			}
			parens++
		case ")":
			parens--
		case "{":
			braces++
		case "}":
			braces--
		case "static":
			static = static || braces == 0
		case "extern":
			extern = extern || braces == 0
		case "inline", "__inline", "__inline__":
			inline = inline || braces == 0
		case "used", "__used__", "constructor", "__constructor__", "alias", "__alias__", "ifunc", "__ifunc__":
			return true
		case "typedef":
			if i == d.first {
				return false
			}
		}
	}
	first := r.word(r.tokens[d.first])
	switch {
	case first == "asm" || first == "__asm__" || first == "__asm" || first[0] == '#':
		return true
	case function:
		return !inline || !static && !extern
	case d.head < d.end:
		return true // an initialiser
	case extern || first == ";":
		return false
	case !plain:
		return first == "_Static_assert" // else a prototype
	}
	return r.definesVariable(d)
}

// definesVariable reports whether a declaration without parameters and initialiser says
// more than a type: a name that is no tag.
func (r *reachReader) definesVariable(d decl) bool {
	braces, parens := 0, 0
	names := 0
	for i := d.first; i < d.head; i++ {
		t := r.tokens[i]
		switch r.text[t.start] {
		case '{':
			braces++
		case '}':
			braces--
		case '(':
			parens++
		case ')':
			parens--
		}
		if braces != 0 || parens != 0 || t.id < 0 || typeWords[r.word(t)] {
			continue
		}
		if i > d.first && tagWords[r.word(r.tokens[i-1])] {
			names++ // a type by its tag: a variable has a name behind it
			continue
		}
		names += 2
	}
	// "struct a;" and "struct a {…};" have a tag alone; "struct {…};" and "enum {…};" nothing.
	return names > 1
}

var tagWords = map[string]bool{"struct": true, "union": true, "enum": true}

var typeWords = map[string]bool{"struct": true, "union": true, "enum": true, "__attribute__": true, "__attribute": true,
	"const": true, "volatile": true, "__extension__": true}

// declared are the numbers of the names that a declaration may be meant by.
func (r *reachReader) declared(d decl, add func(id int32)) {
	braces, parens := 0, 0
	enum := 0 // braces inside of those of an enum, 0 outside; the enum can be a member's type
	for i := d.first; i < d.head; i++ {
		t := r.tokens[i]
		switch r.text[t.start] {
		case '{':
			braces++
			if enum == 0 && r.enumBefore(d.first, i) {
				enum = braces
			}
		case '}':
			if braces == enum {
				enum = 0
			}
			braces--
		case '(':
			parens++
		case ')':
			parens--
		}
		if t.id < 0 || attributeWords[r.word(t)] {
			continue
		}
		next := byte(';')
		var behind token
		if i+1 < d.end {
			behind = r.tokens[i+1]
			next = r.text[behind.start]
		}
		switch {
		case enum > 0:
			add(t.id)
		case braces > 0:
		case parens == 0 && (strings.IndexByte("=[,(:;{", next) >= 0 || behind.id >= 0 && attributeWords[r.word(behind)]):
			add(t.id)
		case parens > 0 && i > d.first+1 && r.is(r.tokens[i-1], "*") && r.is(r.tokens[i-2], "(") &&
			strings.IndexByte(")[(", next) >= 0:
			add(t.id) // a pointer to a function
		}
	}
}

// enumBefore reports whether the brace at i opens an enum.
func (r *reachReader) enumBefore(first, i int32) bool {
	for j := i - 1; j >= first && j >= i-8; j-- {
		switch {
		case r.is(r.tokens[j], "enum"):
			return true
		case r.is(r.tokens[j], "struct"), r.is(r.tokens[j], "union"):
			return false
		}
	}
	return false
}

// reached lists the declarations that the roots lead to, in the order of the text.
func (r *reachReader) reached() []int32 {
	by := make([][]int32, len(r.ids))
	for id := range r.decls {
		r.declared(r.decls[id], func(name int32) {
			if n := len(by[name]); n == 0 || by[name][n-1] != int32(id) {
				by[name] = append(by[name], int32(id))
			}
		})
	}

	took := make([]bool, len(r.decls))
	named := make([]bool, len(r.ids))
	var todo []int32
	for id := range r.decls {
		if r.decls[id].root {
			took[id] = true
			todo = append(todo, int32(id))
		}
	}
	for len(todo) > 0 {
		d := r.decls[todo[len(todo)-1]]
		todo = todo[:len(todo)-1]
		for _, t := range r.tokens[d.first:d.end] {
			if t.id < 0 || named[t.id] {
				continue
			}
			named[t.id] = true
			names := by[t.id]
			// A builtin has the attributes of the function that it stands for.
			if plain, ok := strings.CutPrefix(r.word(t), "__builtin_"); ok {
				if id, ok := r.ids[plain]; ok {
					names = append(names[:len(names):len(names)], by[id]...)
				}
			}
			for _, id := range names {
				if !took[id] {
					took[id] = true
					todo = append(todo, id)
				}
			}
		}
	}

	var out []int32
	for id := range took {
		if took[id] {
			out = append(out, int32(id))
		}
	}
	return out
}

// scan cuts C into names, numbers, literals and single characters, without white space
// and line markers. A directive that the preprocessor leaves, as #pragma, is a
// declaration of its own that counts.
func (r *reachReader) scan(yield func(token)) {
	text := r.text
	bol := true
	for i := 0; i < len(text); {
		char := text[i]
		start := i
		switch {
		case char == '\n':
			bol = true
			i++
			continue
		case char == ' ' || char == '\t' || char == '\r' || char == '\f' || char == '\v':
			i++
			continue
		case char == '#' && bol:
			for i < len(text) && text[i] != '\n' {
				i++
			}
			if line := strings.TrimLeft(string(text[start+1:i]), " \t"); line == "" || line[0] >= '0' && line[0] <= '9' ||
				strings.HasPrefix(line, "line") {
				continue
			}
			yield(token{int32(start), int32(i), r.name([]byte("#"))})
			continue
		case char == '"' || char == '\'':
			for i++; i < len(text) && text[i] != char && text[i] != '\n'; i++ {
				if text[i] == '\\' {
					i++
				}
			}
			i = min(i+1, len(text))
			yield(token{int32(start), int32(i), -1})
		case wordByte(char):
			for i < len(text) && wordByte(text[i]) {
				i++
			}
			id := int32(-1)
			if char < '0' || char > '9' {
				id = r.name(text[start:i])
			}
			yield(token{int32(start), int32(i), id})
		default:
			i++
			yield(token{int32(start), int32(i), -1})
		}
		bol = false
	}
}

// name numbers a name.
func (r *reachReader) name(word []byte) int32 {
	if id, ok := r.ids[string(word)]; ok {
		return id
	}
	id := int32(len(r.ids))
	r.ids[string(word)] = id
	return id
}

func wordByte(c byte) bool {
	return c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '$'
}

// plainCounter takes the number off a name that was made with __COUNTER__: it tells how
// many were made before, in whatever header. No symbol that is called or shipped has such
// a name (__compiletime_assert, include/linux/compiler_types.h; __UNIQUE_ID,
// include/linux/compiler.h; v6.1).
func plainCounter(word []byte) []byte {
	if len(word) > 12 && word[0] == '_' &&
		(strings.HasPrefix(string(word), "__compiletime_assert_") || strings.HasPrefix(string(word), "__UNIQUE_ID_")) {
		for len(word) > 0 && word[len(word)-1] >= '0' && word[len(word)-1] <= '9' {
			word = word[:len(word)-1]
		}
	}
	return word
}
