package annot

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Annotation is one annotated function definition.
type Annotation struct {
	File     string // relative to the tree, with slashes
	Line     int    // of the function's name, 1-based
	Func     string
	Acquires []string // the annotations' arguments, as written
	Releases []string
}

// ExtractTree finds the annotated definitions in all .c and .h files below
// dir, by file and line.
func ExtractTree(dir string) ([]Annotation, error) {
	var out []Annotation
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() || !strings.HasSuffix(path, ".c") && !strings.HasSuffix(path, ".h") {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if !bytes.Contains(text, []byte("__acquires")) && !bytes.Contains(text, []byte("__releases")) && !bytes.Contains(text, []byte("__cond_acquires")) {
			return nil
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		out = append(out, Extract(filepath.ToSlash(rel), string(text))...)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read annotations below %s: %w", dir, err)
	}
	slices.SortFunc(out, func(a, b Annotation) int {
		if c := strings.Compare(a.File, b.File); c != 0 {
			return c
		}
		return a.Line - b.Line
	})
	return out, nil
}

// Extract finds the annotated definitions in the text of one file.
// Declarations, and uses inside macros, are not listed.
func Extract(file, text string) []Annotation {
	text = blank(text)
	var out []Annotation
	seen := map[int]bool{}
	for pos := 0; ; {
		i := nextAnnotation(text, pos)
		if i < 0 {
			return out
		}
		pos = i + 1
		name, at, ok := definedBefore(text, i)
		if !ok || seen[at] {
			continue
		}
		a := Annotation{File: file, Line: 1 + strings.Count(text[:at], "\n"), Func: name}
		j, ok := a.read(text, i)
		if ok && j < len(text) && text[j] == '{' {
			seen[at] = true
			out = append(out, a)
		}
		pos = max(pos, j)
	}
}

var words = []string{"__acquires", "__releases", "__must_hold", "__cond_acquires"}

// nextAnnotation returns the position of the next annotation of any kind.
func nextAnnotation(text string, from int) int {
	best := -1
	for _, w := range words {
		for p := from; ; {
			k := strings.Index(text[p:], w)
			if k < 0 {
				break
			}
			k += p
			if (k == 0 || !ident(text[k-1])) && !ident(text[k+len(w)]) {
				if best < 0 || k < best {
					best = k
				}
				break
			}
			p = k + 1
		}
	}
	return best
}

// definedBefore finds the function whose parameter list ends before i.
func definedBefore(text string, i int) (name string, at int, ok bool) {
	j := i - 1
	for {
		for j >= 0 && space(text[j]) {
			j--
		}
		// Other attributes may stand between: skip plain identifiers.
		if j >= 0 && ident(text[j]) {
			for j >= 0 && ident(text[j]) {
				j--
			}
			continue
		}
		break
	}
	if j < 0 || text[j] != ')' {
		return "", 0, false
	}
	depth := 0
	for ; j >= 0; j-- {
		if text[j] == ')' {
			depth++
		} else if text[j] == '(' {
			if depth--; depth == 0 {
				break
			}
		}
	}
	if j < 0 {
		return "", 0, false
	}
	j--
	for j >= 0 && space(text[j]) {
		j--
	}
	end := j + 1
	for j >= 0 && ident(text[j]) {
		j--
	}
	name = text[j+1 : end]
	if name == "" || slices.Contains(words, name) {
		return "", 0, false
	}
	return name, j + 1, true
}

// read collects the annotations from i on and returns the position of what
// follows them.
func (a *Annotation) read(text string, i int) (int, bool) {
	for {
		for i < len(text) && space(text[i]) {
			i++
		}
		s := i
		for i < len(text) && ident(text[i]) {
			i++
		}
		word := text[s:i]
		if word == "" {
			return i, len(a.Acquires)+len(a.Releases) > 0
		}
		for i < len(text) && space(text[i]) {
			i++
		}
		if i >= len(text) || text[i] != '(' {
			continue // an attribute without arguments
		}
		open, depth := i+1, 0
		for ; i < len(text); i++ {
			if text[i] == '(' {
				depth++
			} else if text[i] == ')' {
				if depth--; depth == 0 {
					break
				}
			}
		}
		if i >= len(text) {
			return i, false
		}
		arg := strings.Join(strings.Fields(text[open:i]), " ")
		i++
		switch word {
		case "__acquires", "__cond_acquires":
			a.Acquires = append(a.Acquires, arg)
		case "__releases":
			a.Releases = append(a.Releases, arg)
		}
	}
}

func ident(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

func space(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }

// blank replaces comments, strings and preprocessor lines by spaces, keeping
// line ends.
func blank(text string) string {
	b := []byte(text)
	wipe := func(i, j int) {
		for ; i < j && i < len(b); i++ {
			if b[i] != '\n' {
				b[i] = ' '
			}
		}
	}
	start := true // at the start of a line
	for i := 0; i < len(b); {
		switch {
		case b[i] == '/' && i+1 < len(b) && b[i+1] == '*':
			j := bytes.Index(b[i+2:], []byte("*/"))
			if j < 0 {
				j = len(b)
			} else {
				j += i + 4
			}
			wipe(i, j)
			i = j
		case b[i] == '/' && i+1 < len(b) && b[i+1] == '/':
			j := i
			for j < len(b) && b[j] != '\n' {
				j++
			}
			wipe(i, j)
			i = j
		case b[i] == '"' || b[i] == '\'':
			j := i + 1
			for j < len(b) && b[j] != b[i] && b[j] != '\n' {
				if b[j] == '\\' {
					j++
				}
				j++
			}
			wipe(i, j+1)
			i = j + 1
		case b[i] == '#' && start:
			j := i
			for j < len(b) && b[j] != '\n' {
				if b[j] == '\\' && j+1 < len(b) && b[j+1] == '\n' {
					j++
				}
				j++
			}
			wipe(i, j)
			i = j
		case b[i] == '\n':
			start = true
			i++
			continue
		case space(b[i]):
			i++
			continue
		default:
			i++
		}
		start = false
	}
	return string(b)
}
