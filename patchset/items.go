package patchset

import (
	"regexp"
	"strings"
)

// ItemKind says what an item of a C file is.
type ItemKind int

// The kinds of items.
const (
	ItemOther     ItemKind = iota // a directive, an assembly statement, a macro that stands alone
	ItemFunction                  // with its body
	ItemPrototype                 // of a function, or a macro that is used like one
	ItemVariable                  // with or without an initialiser
	ItemType                      // struct, union or enum with its members, or a typedef
	ItemMacro                     // #define
	ItemInclude                   // #include
)

// Item is one declaration, definition or directive at the top level of a C file. What is
// between two items, comments and blank lines, belongs to neither.
type Item struct {
	Kind ItemKind
	// Name is what it declares, without "struct"; of a macro that is used like a function,
	// as SYSCALL_DEFINE3 or module_init, its first argument. "" where there is none.
	Name       string
	Head       string // up to the body or initialiser, white space normalised
	Static     bool
	Start, End int // 1-based lines, both included
}

// Items cuts C source, which need not be preprocessed, into its items. Both branches of
// an #if are read. A macro with unbalanced brackets can make several items one.
func Items(text []byte) []Item {
	var out []Item
	var lex lexer
	var body strings.Builder
	start, number := 0, 0
	end := func(last int) {
		if start > 0 {
			out = append(out, newItem(body.String(), start, last))
		}
		start = 0
		body.Reset()
	}
	for line := range strings.Lines(string(text)) {
		number++
		outside := lex.brace == 0 && lex.paren == 0 && !lex.comment && !lex.cont && !lex.inDir
		if outside && strings.HasPrefix(strings.TrimSpace(line), "#") {
			end(number - 1) // a head whose body comes behind the directive
		}
		kind := lex.feed(line)
		if kind == dirEndif {
			lex.pop()
		}
		if start == 0 && lex.code {
			start = number
		}
		if start > 0 {
			body.WriteString(line)
		}
		if start == 0 || lex.brace != 0 || lex.paren != 0 || lex.comment || lex.cont || lex.inDir {
			continue
		}
		directive := strings.HasPrefix(strings.TrimSpace(body.String()), "#")
		if directive && kind != dirNone || !directive && lex.code && (lex.last == ';' || lex.last == '}') {
			end(number)
		}
	}
	end(number)
	return out
}

var (
	defineRE  = regexp.MustCompile(`^\s*#\s*define\s+(\w+)`)
	includeRE = regexp.MustCompile(`^\s*#\s*include\s+(["<][^">]+[">])`)
	commentRE = regexp.MustCompile(`(?s)/\*.*?\*/|//[^\n]*`)
	tagRE     = regexp.MustCompile(`^(?:typedef\s+)?(?:static\s+)?(?:const\s+)?(?:struct|union|enum)\b\s*(\w*)`)
	callRE    = regexp.MustCompile(`([A-Za-z_]\w*)\s*\(`)
	pointerRE = regexp.MustCompile(`^[^(]*\(\s*\*\s*(?:const\s+)?(\w+)\s*(?:\[[^\]]*\])?\s*\)\s*\(`) // to a function
	wordRE    = regexp.MustCompile(`[A-Za-z_]\w*`)
)

// newItem finds out what the lines of an item declare.
func newItem(text string, start, end int) Item {
	item := Item{Start: start, End: end}
	if m := includeRE.FindStringSubmatch(text); m != nil {
		item.Kind, item.Name, item.Head = ItemInclude, m[1], strings.TrimSpace(text)
		return item
	}
	if m := defineRE.FindStringSubmatch(text); m != nil {
		item.Kind, item.Name, item.Head = ItemMacro, m[1], strings.TrimSpace(text)
		return item
	}
	if strings.HasPrefix(strings.TrimSpace(text), "#") {
		item.Head = strings.TrimSpace(text)
		return item
	}

	// The head ends where the body or the initialiser begins.
	plain := commentRE.ReplaceAllString(text, " ")
	head, stop := plain, byte(';')
	parens := 0
scan:
	for i := range len(plain) {
		switch c := plain[i]; c {
		case '(', '[':
			parens++
		case ')', ']':
			parens--
		case '{', '=', ';':
			if parens == 0 {
				head, stop = plain[:i], c
				break scan
			}
		}
	}
	item.Head = strings.Join(strings.Fields(head), " ")
	words := wordRE.FindAllString(item.Head, -1)
	for _, w := range words {
		item.Static = item.Static || w == "static"
	}

	call := callOf(item.Head)
	if m := pointerRE.FindStringSubmatch(item.Head); m != nil && stop != '{' {
		item.Kind, item.Name = ItemVariable, m[1]
		return item
	}
	tag := tagRE.FindStringSubmatch(item.Head)
	switch {
	case strings.HasPrefix(item.Head, "typedef "):
		item.Kind = ItemType
		if all := wordRE.FindAllString(plain, -1); len(all) > 0 {
			item.Name = all[len(all)-1]
		}
	case call != "" && stop == '{':
		item.Kind, item.Name = ItemFunction, call
	case call != "" && stop == ';':
		item.Kind, item.Name = ItemPrototype, call
	case tag != nil && stop == '{':
		item.Kind, item.Name = ItemType, tag[1]
	case call != "" && stop == '=':
		item.Kind, item.Name = ItemVariable, call
	case len(words) > 1:
		item.Kind = ItemVariable
		declarator, _, _ := strings.Cut(item.Head, "[")
		if all := wordRE.FindAllString(declarator, -1); len(all) > 0 {
			item.Name = all[len(all)-1]
		}
	}
	return item
}

// callOf is the name in front of the parameters in a head; where that is a macro, its
// first argument. Macros that stand for attributes, as __printf(1, 2), are
// passed over if another name follows.
func callOf(head string) string {
	name, args := "", ""
	for at := 0; at < len(head); {
		m := callRE.FindStringSubmatchIndex(head[at:])
		if m == nil {
			break
		}
		word := head[at+m[2] : at+m[3]]
		inside := balanced(head[at+m[1]:])
		if name == "" || strings.HasPrefix(name, "__") && !strings.HasPrefix(word, "__") {
			name, args = word, inside
		}
		at += m[1] + len(inside)
	}
	// A macro stands at the beginning, or is in capitals.
	if name != "" && (strings.ToUpper(name) == name || strings.HasPrefix(head, name)) {
		first, _, _ := strings.Cut(args, ",")
		if w := wordRE.FindString(first); w != "" {
			return w
		}
	}
	return name
}

// balanced is the text up to the parenthesis that closes the one before it.
func balanced(text string) string {
	depth := 1
	for i := range len(text) {
		switch text[i] {
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 {
				return text[:i]
			}
		}
	}
	return text
}
