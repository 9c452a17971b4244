package analyze

import (
	"iter"
	"path"
	"strings"
	"sync"

	"github.com/klpforge/klpforge/finding"
)

// Locate finds the lines that a finding about a function or variable of an
// object file should point at: the first change inside its text on each side,
// else its first line; without such text the first change of the object's
// source, or of any changed file.
func (in *Input) Locate(unit, name string) (old, newer finding.Position) {
	base, _, _ := strings.Cut(name, ".")
	source := ""
	for _, u := range in.Units {
		if u.Object == unit {
			source = u.Source
		}
	}
	if source == "" && unit != "" {
		source = strings.TrimSuffix(unit, path.Ext(unit)) + ".c"
	}

	// The unit's own source first; a function may also be in a header or another changed file.
	order := make([]*File, 0, len(in.Files))
	for i := range in.Files {
		if f := &in.Files[i]; f.Path == source {
			order = append([]*File{f}, order...)
		} else {
			order = append(order, f)
		}
	}
	if base != "" {
		for _, f := range order {
			base := f.entry(base)
			o, inOld := f.Definition(base, false)
			n, inNew := f.Definition(base, true)
			if inOld || inNew {
				return f.firstChange(o, n)
			}
		}
	}

	// Without a definition, the first change of the file is the place.
	for _, f := range order {
		if f.Path == name || f.Path == source {
			return f.firstChange(Text{}, Text{})
		}
	}
	if source != "" {
		return finding.Position{File: source}, finding.Position{File: source}
	}
	return finding.Position{}, finding.Position{}
}

// entries are the symbols of a module's entry points, whose functions have
// names of their own in the source (include/linux/module.h, v6.1).
var entries = map[string]string{"init_module": "module_init", "cleanup_module": "module_exit"}

// entry names the function that the file makes a module's entry point of that
// name; other names stay as they are.
func (f *File) entry(name string) string {
	macro, ok := entries[name]
	if !ok {
		return name
	}
	for _, text := range [][]byte{f.New, f.Old} {
		var last [2]string
		for tok := range Tokens(text) {
			if last[0] == macro && last[1] == "(" {
				return tok
			}
			last[0], last[1] = last[1], tok
		}
	}
	return name
}

// firstChange points at the first hunk that touches the given texts; zero texts
// stand for the whole file.
func (f *File) firstChange(oldText, newText Text) (old, newer finding.Position) {
	whole := oldText == (Text{}) && newText == (Text{})
	if f.Old != nil {
		old = finding.Position{File: f.Path, Line: oldText.Line}
	}
	if f.New != nil {
		newer = finding.Position{File: f.Path, Line: newText.Line}
	}
	for _, hunk := range f.Hunks {
		if !whole && !oldText.touches(hunk.OldStart, hunk.OldLines) && !newText.touches(hunk.NewStart, hunk.NewLines) {
			continue
		}
		if f.Old != nil {
			old.Line = max(hunk.OldStart, 1)
		}
		if f.New != nil {
			newer.Line = max(hunk.NewStart, 1)
		}
		break
	}
	return old, newer
}

func (t Text) touches(start, lines int) bool {
	return t.Line > 0 && start <= t.End && start+max(lines, 1)-1 >= t.Line
}

// CallPlace finds the line of the new source on which a function first calls
// another. It is the zero Position when the text does not show such a call: the
// source is not among the changed files, or a macro makes the call.
func (in *Input) CallPlace(u *Unit, caller, callee string) finding.Position {
	for i := range in.Files {
		file := &in.Files[i]
		if file.Path != u.Source {
			continue
		}
		t, ok := file.Definition(caller, true)
		line := 0
		Uses(file.New, callee, func(l int, _, _, after string) {
			if ok && line == 0 && l >= t.Line && l <= t.End && after == "(" {
				line = l
			}
		})
		if line > 0 {
			return finding.Position{File: file.Path, Line: line}
		}
	}
	return finding.Position{}
}

// Text is the definition of a function or variable in a C file.
type Text struct {
	Line, End int    // 1-based, first and last line
	Head      string // up to the brace or the equals sign, white space normalised
	Func      bool
}

// Definition finds the definition of a function or variable at the top level
// of the file, in its new or its old text.
func (f *File) Definition(name string, newSide bool) (Text, bool) {
	side, text := 0, f.Old
	if newSide {
		side, text = 1, f.New
	}
	if index := f.index[side]; index != nil {
		return index.definition(text, name)
	}
	return findDefinition(text, name)
}

// Index has Definition read each text once for what it does not define, and once for each
// name that it may. The texts must not change afterwards.
func (f *File) Index() { f.index = [2]*definitions{{}, {}} }

// definitions are what is known of one text. It is safe for concurrent use.
type definitions struct {
	mu    sync.Mutex
	names map[string]bool // at its top level; nil before it is read
	known map[string]Text // of names that were asked for; the zero Text for those without a definition
}

func (d *definitions) definition(text []byte, name string) (Text, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.names == nil {
		d.names, d.known = topLevel(text), map[string]Text{}
	}
	if !d.names[name] {
		return Text{}, false
	}
	found, asked := d.known[name]
	if !asked {
		found, _ = findDefinition(text, name)
		d.known[name] = found
	}
	return found, found != (Text{})
}

// topLevel are the identifiers of a C file outside of all braces, as findDefinition
// counts them.
func topLevel(text []byte) map[string]bool {
	names := map[string]bool{}
	depth := 0
	scanner := &cScanner{text: text, line: 1, bol: true}
	for {
		tok, _, col := scanner.next()
		switch {
		case tok == "":
			return names
		case tok == "{":
			depth++
		case tok == "}" && col == 1:
			depth = 0
		case tok == "}":
			depth = max(depth-1, 0)
		case depth == 0 && word(tok[0]):
			names[tok] = true
		}
	}
}

// findDefinition walks a C file at brace depth 0. Preprocessor lines are
// skipped; where conditionals unbalance the braces, a closing brace in the
// first column ends whatever is open, as kernel style has it.
func findDefinition(text []byte, name string) (Text, bool) {
	scanner := &cScanner{text: text, line: 1, bol: true}
	depth, start := 0, 0
	var head []string
	var found *Text
	parens, args := 0, false
	for {
		tok, line, col := scanner.next()
		if tok == "" {
			return Text{}, false
		}
		if depth == 0 && parens == 0 && endsMacro(head, name, tok, col) {
			head = head[:0]
		}
		if depth == 0 && len(head) == 0 && tok != ";" && tok != "}" {
			start, args = line, false
		}
		switch tok {
		case "{":
			depth++
			if depth == 1 && found == nil && parens == 0 {
				if isFunc, ok := defines(head, name); ok {
					found = &Text{Line: start, Head: strings.Join(head, " "), Func: isFunc}
				}
			}
		case "}":
			depth--
			if col == 1 {
				depth = 0
			}
			depth = max(depth, 0)
			if depth == 0 {
				if found != nil {
					found.End = line
					return *found, true
				}
				if len(head) > 0 && !args {
					continue // a type or an initialiser: its name may follow
				}
				head = head[:0]
			}
		case ";":
			if depth == 0 {
				if _, ok := defines(head, name); ok && !contains(head, "(") && !contains(head, "extern") &&
					!contains(head, "typedef") {
					return Text{Line: start, End: line, Head: strings.Join(head, " ")}, true
				}
				head, parens = head[:0], 0
			}
		default:
			if depth > 0 {
				continue
			}
			if tok == "(" {
				parens++
				args = true
			}
			if tok == ")" {
				parens = max(parens-1, 0)
			}
			head = append(head, tok)
		}
	}
}

// endsMacro reports whether tok begins a declaration behind a call of a macro that
// has no semicolon, as BTF_SET8_END(x) and module_init(x) may stand, so that head is
// no part of it. Attributes behind the parameters of the function looked for, and
// the variants of a definition under #if, are.
func endsMacro(head []string, name, tok string, col int) bool {
	if len(head) < 3 || head[len(head)-1] != ")" || !word(tok[0]) || tok[0] >= '0' && tok[0] <= '9' {
		return false
	}
	if _, ok := defines(head, name); ok {
		return false
	}
	if head[1] == "(" {
		// __attribute__((x)) int f(), typeof(x) f(): decorations and types.
		return !contains([]string{"typeof", "__typeof__", "__typeof"}, head[0])
	}
	return col == 1 && !trailing(tok)
}

// trailing recognizes what may stand between the parameters of a function and its
// body (include/linux/compiler_types.h, v6.1).
func trailing(tok string) bool {
	for _, p := range []string{"__acquire", "__release", "__must_hold", "__cond_acquires", "__attribute__", "__no_",
		"noinline", "__section"} {
		if strings.HasPrefix(tok, p) {
			return true
		}
	}
	return false
}

// defines reports whether the tokens before a brace or semicolon define name.
func defines(head []string, name string) (isFunc, ok bool) {
	for i, t := range head {
		if t == "=" {
			break
		}
		if t != name {
			continue
		}
		if i+1 < len(head) && head[i+1] == "(" && !contains(head[i:], "=") {
			return true, true
		}
		if i > 0 && !contains(head[:i], "(") && (i+1 == len(head) || head[i+1] == "=" || head[i+1] == "[") {
			return false, true
		}
	}
	return false, false
}

func contains(list []string, s string) bool {
	for _, t := range list {
		if t == s {
			return true
		}
	}
	return false
}

// cScanner cuts C text into identifiers, numbers and single characters. It
// skips white space, comments, literals and preprocessor lines.
type cScanner struct {
	text []byte
	pos  int
	line int
	from int // start of the current line
	bol  bool
}

func (s *cScanner) newline() {
	s.line++
	s.from = s.pos + 1
	s.bol = true
}

// next returns a token, its line and its column; "" at the end. A literal
// comes back as `"`.
func (s *cScanner) next() (tok string, line, col int) {
	for s.pos < len(s.text) {
		char := s.text[s.pos]
		switch {
		case char == '\n':
			s.newline()
			s.pos++
		case char == ' ' || char == '\t' || char == '\r' || char == '\f' || char == '\\':
			s.pos++
		case char == '#' && s.bol:
			s.skipDirective()
		case char == '/' && s.peek() == '/':
			for s.pos < len(s.text) && s.text[s.pos] != '\n' {
				s.pos++
			}
		case char == '/' && s.peek() == '*':
			s.skipComment()
		case char == '"' || char == '\'':
			line, col = s.line, s.pos-s.from+1
			s.skipLiteral(char)
			s.bol = false
			return `"`, line, col
		default:
			s.bol = false
			start := s.pos
			for s.pos < len(s.text) && word(s.text[s.pos]) {
				s.pos++
			}
			if s.pos == start {
				s.pos++
			}
			return string(s.text[start:s.pos]), s.line, start - s.from + 1
		}
	}
	return "", s.line, 0
}

// peek is the character behind the next, 0 at the end.
func (s *cScanner) peek() byte {
	if s.pos+1 < len(s.text) {
		return s.text[s.pos+1]
	}
	return 0
}

func (s *cScanner) skipDirective() {
	for s.pos < len(s.text) {
		switch char := s.text[s.pos]; {
		case char == '\n' && !(s.pos > 0 && s.text[s.pos-1] == '\\'):
			return
		case char == '\n':
			s.newline()
			s.pos++
		case char == '/' && s.peek() == '*':
			s.skipComment()
		default:
			s.pos++
		}
	}
}

func (s *cScanner) skipComment() {
	for s.pos += 2; s.pos < len(s.text); s.pos++ {
		if s.text[s.pos] == '\n' {
			s.newline()
		}
		if s.text[s.pos] == '*' && s.peek() == '/' {
			s.pos += 2
			return
		}
	}
}

func (s *cScanner) skipLiteral(quote byte) {
	for s.pos++; s.pos < len(s.text); s.pos++ {
		switch s.text[s.pos] {
		case '\\':
			s.pos++
			if s.pos < len(s.text) && s.text[s.pos] == '\n' {
				s.newline()
			}
		case '\n':
			return // unterminated
		case quote:
			s.pos++
			return
		}
	}
}

func word(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= 0x80
}

// Uses calls yield for every place that names an identifier in C text outside
// of comments, literals and preprocessor lines, with the two tokens before and
// the one behind it.
func Uses(text []byte, name string, yield func(line int, before2, before, after string)) {
	s := &cScanner{text: text, line: 1, bol: true}
	var b2, b1, cur string
	var curLine int
	for {
		tok, line, _ := s.next()
		if cur == name {
			yield(curLine, b2, b1, tok)
		}
		if tok == "" {
			return
		}
		b2, b1, cur, curLine = b1, cur, tok, line
	}
}

// Tokens yields the identifiers, numbers and single characters of C text with
// their lines; white space, comments, literals (as `"`) and preprocessor lines
// are skipped.
func Tokens(text []byte) iter.Seq2[string, int] {
	return func(yield func(string, int) bool) {
		s := &cScanner{text: text, line: 1, bol: true}
		for {
			tok, line, _ := s.next()
			if tok == "" || !yield(tok, line) {
				return
			}
		}
	}
}
