package patchset

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
)

// sample is a random C-like file made of top-level constructs, each of which
// may be edited. Lines of unedited constructs carry a marker with their
// original number; the proof is that preprocessing gives that number back.
type sample struct {
	old, new strings.Builder
	line     int // lines in old so far
	rnd      *rand.Rand
	depth    int
	next     int // names
}

func (s *sample) both(l string) {
	s.old.WriteString(l)
	s.new.WriteString(l)
	s.line++
}

// construct emits lines; "@" in a line becomes a marker that names the line
// when the construct stays unedited.
func (s *sample) construct(lines ...string) {
	s.next++
	for i, l := range lines {
		lines[i] = unique(l, s.next)
	}
	mark := func(l string) string {
		s.line++
		return strings.ReplaceAll(l, "@", fmt.Sprintf("MARK_%d __LINE__ ", s.line))
	}
	plain := func(l string) string { return strings.ReplaceAll(l, "@", "/* x */") }
	switch s.rnd.IntN(9) {
	case 0: // removed
		for _, l := range lines {
			s.old.WriteString(plain(l) + "\n")
			s.line++
		}
	case 1: // added
		for _, l := range lines {
			s.new.WriteString(plain(l) + "\n")
		}
	case 2, 3: // edited inside
		at := 1 + s.rnd.IntN(len(lines))
		for i, l := range lines {
			if i == at && !strings.HasSuffix(lines[i-1], `\`) && !strings.Contains(l, "*") {
				for range 1 + s.rnd.IntN(4) {
					s.new.WriteString([]string{"/* more */\n", "\n", "#ifdef X1\n#else\n#endif\n", "#if 0\n#line9\n{ don't (\n#endif\n"}[s.rnd.IntN(4)])
				}
			}
			s.old.WriteString(plain(l) + "\n")
			s.line++
			if i > 0 && i < len(lines)-1 && s.rnd.IntN(4) == 0 && strings.HasSuffix(l, "// cut") {
				continue // removed line
			}
			s.new.WriteString(plain(l) + "\n")
		}
	default:
		for _, l := range lines {
			l = mark(l) + "\n"
			s.old.WriteString(l)
			s.new.WriteString(l)
		}
	}
}

// unique makes a line differ from those of other constructs, so that only one
// smallest comparison of the two files exists.
func unique(l string, n int) string {
	switch {
	case strings.HasSuffix(l, `\`):
		return fmt.Sprintf(`%s/*%d*/ \`, l[:len(l)-1], n)
	case strings.HasSuffix(l, "// cut"):
		return strings.TrimSuffix(l, "// cut") + fmt.Sprintf("/*%d*/ // cut", n)
	case strings.HasPrefix(l, "/*") || strings.HasPrefix(l, " *") && !strings.Contains(l, "*/") || strings.HasPrefix(l, "still"):
		return fmt.Sprintf("%s %d", l, n)
	}
	return fmt.Sprintf("%s /*%d*/", l, n)
}

func (s *sample) any() {
	n := strconv.Itoa(s.next)
	switch s.rnd.IntN(11) {
	case 0:
		s.construct("int f"+n+"(int a)", "{", "\tg(a); @ // cut", "\tif (a) {", "\t\th(@); // cut", "\t}", "}")
	case 1:
		s.construct("struct s"+n+" {", "\tint a; // cut", "\tint b @;", "} t"+n+";")
	case 2:
		s.construct("/*", " * it's { not ( code", " * #endif #line 7 //", " */ int v"+n+" @;")
	case 3:
		s.construct("#define M"+n+"(x) \\", "\tdo { \\", "\t\t(x); \\", "\t} while (0)", "int u"+n+" = 1 @;")
	case 4:
		s.construct("EXPORT(f" + n + ") @;")
	case 5:
		s.construct("char *c"+n+" = \"{ /* \\\" ( \" // cut", "\t\"}\" @;")
	case 6:
		s.construct("FOO(a"+n+",", "\t{", "\t@ // cut", "\t}", ");")
	case 7:
		s.construct("", "int w"+n+" = '{' + '\\'' @;")
	case 8:
		if s.depth < 3 {
			s.depth++
			cond := []string{"#ifdef X1\n", "#ifndef X2\n", "# ifdef X3\n", "#if 0 /* c */\n", "#if defined(X1) && defined(X2)\n"}[s.rnd.IntN(5)]
			s.both(cond)
			s.some(3)
			if s.rnd.IntN(2) == 0 {
				if s.rnd.IntN(2) == 0 {
					s.both("#elif defined(X3)\n")
					s.some(3)
				}
				s.both("#else // no\n")
				s.some(3)
			}
			s.both("#endif /* c */\n")
			s.depth--
		}
	case 9:
		s.construct("#ifdef X2", "int k"+n+"(int a) {", "#else", "int k"+n+"(void) {", "#endif", "\tg(); @ // cut", "}")
	case 10:
		s.construct("int l"+n+"; // comment \\", "still comment { '", "int m"+n+" @;")
	}
}

func (s *sample) some(n int) {
	for range s.rnd.IntN(n + 1) {
		s.any()
	}
}

// newSample makes a random file before and after random edits.
func newSample(seed uint64) (old, newer string) {
	s := &sample{rnd: rand.New(rand.NewPCG(seed, 1))}
	for range 3 + s.rnd.IntN(12) {
		s.any()
	}
	return s.old.String(), s.new.String()
}

// numbers preprocesses text with a small model of cpp, written apart from
// the lexer under test, and returns marker -> presumed line number.
func numbers(text string, defs map[string]bool) map[int]int {
	// Phase 2 and 3: splice lines and blank out comments and literals, but
	// remember how many physical lines each logical one took.
	type logical struct {
		text  string
		lines int
	}
	var list []logical
	var cur strings.Builder
	count := 1
	state := byte(0) // 0 code, '*' block comment, '/' line comment, quote
	for i := 0; i < len(text); i++ {
		c := text[i]
		if c == '\\' && i+1 < len(text) && text[i+1] == '\n' {
			count++
			i++
			continue
		}
		if c == '\n' {
			if state == '*' {
				count++
				continue
			}
			state = 0
			list = append(list, logical{cur.String(), count})
			cur.Reset()
			count = 1
			continue
		}
		two := ""
		if i+1 < len(text) {
			two = text[i : i+2]
		}
		switch {
		case state == '*':
			if two == "*/" {
				state = 0
				i++
			}
		case state == '/':
		case state == '"' || state == '\'':
			if c == '\\' {
				i++
			} else if c == state {
				state = 0
			}
		case two == "/*" || two == "//":
			state = two[1]
			i++
		case c == '"' || c == '\'':
			state = c
		default:
			cur.WriteByte(c)
		}
	}
	out := map[int]int{}
	type frame struct{ outer, taken, on bool }
	var stack []frame
	on := true
	line := 1
	for _, l := range list {
		f := strings.Fields(strings.Replace(l.text, "#", " # ", 1))
		next := line + l.lines
		if len(f) > 1 && f[0] == "#" {
			cond := func() bool {
				switch {
				case strings.HasPrefix(f[1], "ifdef"):
					return defs[f[2]]
				case f[1] == "ifndef":
					return !defs[f[2]]
				case f[2] == "0":
					return false
				}
				v := true
				for _, p := range strings.Split(strings.Join(f[2:], ""), "&&") {
					v = v && defs[strings.Trim(strings.TrimPrefix(p, "defined"), "()")]
				}
				return v
			}
			switch f[1] {
			case "if", "ifdef", "ifndef":
				v := on && cond()
				stack = append(stack, frame{on, v, v})
				on = v
			case "elif":
				top := &stack[len(stack)-1]
				on = top.outer && !top.taken && cond()
				top.taken = top.taken || on
			case "else":
				top := &stack[len(stack)-1]
				on = top.outer && !top.taken
			case "endif":
				on = stack[len(stack)-1].outer
				stack = stack[:len(stack)-1]
			case "line":
				if on {
					next, _ = strconv.Atoi(f[2])
				}
			}
		} else if on {
			for _, w := range f {
				if n, ok := strings.CutPrefix(w, "MARK_"); ok {
					// A marker sits on the last physical line in all samples
					// that splice, and on the only one elsewhere.
					m, _ := strconv.Atoi(n)
					out[m] = line + l.lines - 1
				}
			}
		}
		line = next
	}
	return out
}
