package analyze

import (
	"path"
	"slices"
	"strings"
)

// TouchesTypes reports whether a changed line can change a type: it lies in the
// definition of a structure, union or enumeration, or is a typedef or a
// preprocessor line. Changed statements and initialisers cannot.
func (f *File) TouchesTypes() bool {
	if ext := path.Ext(f.Path); ext != ".c" && ext != ".h" {
		return f.New != nil && ext != ".S" && ext != ".rst" && ext != ".txt" // something that is included, perhaps
	}
	var old, newer []Span
	for _, h := range f.Hunks {
		old = append(old, Span{h.OldStart, h.OldLines})
		newer = append(newer, Span{h.NewStart, h.NewLines})
	}
	return f.Old != nil && f.New != nil && (touchesTypes(f.Old, old) || touchesTypes(f.New, newer))
}

// Span is a run of lines, the first counted from 1.
type Span struct{ Start, Lines int }

func touchesTypes(text []byte, spans []Span) bool {
	if len(spans) == 0 {
		return false
	}
	changed := func(from, to int) bool {
		return slices.ContainsFunc(spans, func(s Span) bool {
			return s.Lines > 0 && s.Start <= to &&
				from < s.Start+s.Lines
		})
	}
	line := 0
	directive := false
	for row := range strings.Lines(string(text)) {
		line++
		directive = directive || strings.HasPrefix(strings.TrimLeft(row, " \t"), "#")
		if directive && changed(line, line) {
			return true
		}
		directive = directive && strings.HasSuffix(strings.TrimRight(row, "\r\n"), "\\")
	}
	// head are the tokens since the last statement or block; a brace behind a
	// parenthesis or "=" opens no type.
	scanner := &cScanner{text: text, line: 1, bol: true}
	var head []string
	first := 1
	var open []bool // of each brace that is open: it belongs to a type
	var from []int
	for {
		tok, at, _ := scanner.next()
		if len(head) == 0 {
			first = at
		}
		switch tok {
		case "":
			return false
		case "{":
			isType := slices.ContainsFunc(head, func(t string) bool {
				return t == "struct" || t == "union" ||
					t == "enum"
			}) && !slices.Contains(head, "=") &&
				(len(head) == 0 || head[len(head)-1] != ")" || attribute(head))
			open, from = append(open, isType), append(from, first)
			head = head[:0]
		case "}":
			if n := len(open) - 1; n >= 0 {
				if open[n] && changed(from[n], at) {
					return true
				}
				open, from = open[:n], from[:n]
			}
			head = head[:0]
		case ";":
			if len(head) > 0 && head[0] == "typedef" && changed(first, at) {
				return true
			}
			head = head[:0]
		default:
			head = append(head, tok)
		}
	}
}

// attribute reports whether a head that ends in a parenthesis is that of a type
// with attributes, "struct __aligned ( 8 )", not that of a function.
func attribute(head []string) bool {
	i := slices.IndexFunc(head, func(t string) bool { return t == "struct" || t == "union" || t == "enum" })
	return i >= 0 && i+1 < len(head) && strings.HasPrefix(head[i+1], "__")
}
