package typecheck

import (
	"slices"
	"strings"
)

// Text is the preprocessed text of one object, cut into what it declares. It tells
// what functions can depend on, by the names in them: macros are expanded, and a
// member of a type cannot be reached without its name.
type Text struct {
	chunks []chunk
	// named lists what declares or defines a name that code can use.
	named map[string][]int
	// typedefs lists the typedefs of a name.
	typedefs map[string][]int
}

// chunk is one declaration or definition at the top level.
type chunk struct {
	head []string // up to the body or the initialiser
	body []string // of a function or an initialiser, braces included
	// inline: the body can become part of a function that names it. A compiler needs no
	// word to inline a function, and folds constants.
	inline bool
	fn     bool
}

// ReadText cuts preprocessed C into declarations. Line markers may be in it.
func ReadText(text []byte) *Text {
	side := &Text{named: map[string][]int{}, typedefs: map[string][]int{}}
	var cur chunk
	depth, parens := 0, 0
	inBody := false
	flush := func() {
		if len(cur.head) > 0 {
			side.add(cur)
		}
		cur, inBody = chunk{}, false
	}

	// A declaration ends with a semicolon outside of all brackets, or with the body of a
	// function.
	for tok := range words(text) {
		if depth == 0 && parens == 0 && tok == ";" {
			flush()
			continue
		}
		if depth == 0 && parens == 0 && !inBody {
			inBody = tok == "=" || tok == "{" && isFunction(cur.head)
			cur.fn = cur.fn || tok == "{" && inBody
		}
		if inBody {
			cur.body = append(cur.body, tok)
		} else {
			cur.head = append(cur.head, tok)
		}
		switch tok {
		case "(":
			parens++
		case ")":
			parens--
		case "{":
			depth++
		case "}":
			depth--
			if depth == 0 && parens == 0 && cur.fn {
				flush()
			}
		}
	}
	flush()
	return side
}

// isFunction reports whether the tokens before a brace declare a function: there is
// a parameter list, and no type that is being defined.
func isFunction(head []string) bool {
	depth := 0
	name := ""
	for i, tok := range head {
		switch tok {
		case "(":
			if depth == 0 && i > 0 && isName(head[i-1]) && !attributes[head[i-1]] {
				name = head[i-1]
			}
			depth++
		case ")":
			depth--
		}
	}
	return name != ""
}

// attributes are words before a parenthesis that declare nothing.
var attributes = map[string]bool{"__attribute__": true, "__attribute": true, "asm": true, "__asm__": true,
	"__asm":  true,
	"typeof": true, "__typeof__": true, "__typeof": true, "_Alignas": true, "__alignof__": true, "_Static_assert": true,
	"__declspec": true}

func (t *Text) add(piece chunk) {
	id := len(t.chunks)
	piece.inline = piece.fn || slices.Contains(piece.head, "const") && !slices.Contains(piece.head, "struct") &&
		!slices.Contains(piece.head, "union")
	t.chunks = append(t.chunks, piece)
	into := t.named
	if piece.head[0] == "typedef" {
		into = t.typedefs
	}
	for _, name := range declared(piece.head) {
		if list := into[name]; len(list) == 0 || list[len(list)-1] != id {
			into[name] = append(list, id)
		}
	}
}

// declared lists the names that a declaration declares: those outside of braces and
// parentheses that something follows which can only follow a declarator, and the
// names of pointers to functions. An attribute can follow any word: the last name with
// one behind it counts when there is no other.
func declared(head []string) []string {
	// A name is declared if what may follow a declarator follows it, or if it is a pointer to a
	// function in brackets; one before an attribute only if there is no other.
	var out []string
	attributed := ""
	braces, parens := 0, 0
	for i, tok := range head {
		switch tok {
		case "{":
			braces++
		case "}":
			braces--
		case "(":
			parens++
		case ")":
			parens--
		}
		if braces > 0 || !isName(tok) || attributes[tok] {
			continue
		}
		next := ""
		if i+1 < len(head) {
			next = head[i+1]
		}
		switch {
		case parens == 0 && (next == "" || strings.Contains("=[,(:", next)):
			out = append(out, tok)
		case parens == 0 && attributes[next]:
			attributed = tok
		case parens > 0 && i > 1 && head[i-2] == "(" && head[i-1] == "*" && (next == ")" || next == "[" || next == "("):
			out = append(out, tok)
		}
	}
	if len(out) == 0 && attributed != "" {
		out = append(out, attributed)
	}
	return out
}

// words cuts C into names, numbers, literals and operators, without white space,
// comments and line markers.
func words(text []byte) func(yield func(string) bool) {
	return func(yield func(string) bool) {
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
				continue
			case char == '"' || char == '\'':
				for i++; i < len(text) && text[i] != char && text[i] != '\n'; i++ {
					if text[i] == '\\' {
						i++
					}
				}
				i = min(i+1, len(text))
				bol = false
				if !yield(string(text[start:i])) {
					return
				}
				continue
			case nameByte(char):
				for i < len(text) && (nameByte(text[i]) || char >= '0' && char <= '9' && text[i] == '.') {
					i++
				}
			default:
				i++
				if i < len(text) {
					switch string(text[start : i+1]) {
					case "->", "++", "--", "+=", "-=", "==", "!=", "<=", ">=":
						i++
					}
				}
			}
			bol = false
			if !yield(string(text[start:i])) {
				return
			}
		}
	}
}

func nameByte(c byte) bool {
	return c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '$'
}

func isName(tok string) bool { return tok != "" && nameByte(tok[0]) && (tok[0] < '0' || tok[0] > '9') }
