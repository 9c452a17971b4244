package selection

import (
	"slices"
	"strings"

	"github.com/klpforge/klpforge/patchset"
)

// text is one file of the update with some slices in it.
type text struct {
	path   string
	old    []byte // in the target's source; nil when it is not there
	lines  []line
	exists bool
	// cuts are the slices that removed lines in front of a line, by its index; len(lines)
	// stands for the end.
	cuts map[int][]int
	// removed are the slices that removed a line of old, by its 1-based number.
	removed map[int]int
	touched map[int]bool // slices that changed it

	items []patchset.Item // of the text as it is now; nil until asked for
}

// parsed are the items of the text as it is now.
func (t *text) parsed() []patchset.Item {
	if t.items == nil {
		t.items = patchset.Items(t.bytes())
	}
	return t.items
}

// lineText is the text of an item.
func (t *text) lineText(item patchset.Item) string {
	var out strings.Builder
	for _, row := range t.lines[item.Start-1 : item.End] {
		out.WriteString(row.text)
	}
	return out.String()
}

// line is one line of a text with the slice that added it, or -1.
type line struct {
	text string
	orig int // 1-based line of text.old; 0 for an added line
	by   int
}

func newText(path string, old []byte) *text {
	file := &text{path: path, old: old, exists: old != nil, cuts: map[int][]int{}, removed: map[int]int{},
		touched: map[int]bool{}}
	for i, content := range splitLines(old) {
		file.lines = append(file.lines, line{content, i + 1, -1})
	}
	return file
}

// splitLines cuts a text into lines with their newlines.
func splitLines(b []byte) []string { return slices.Collect(strings.Lines(string(b))) }

// bytes is the text as it is now; nil when there is none.
func (t *text) bytes() []byte {
	if !t.exists {
		return nil
	}
	out := []byte{}
	for _, row := range t.lines {
		if total := len(out); total > 0 && out[total-1] != '\n' {
			out = append(out, '\n') // it was the last line before
		}
		out = append(out, row.text...)
	}
	return out
}

// become makes the text another one; what differs is a slice's.
func (t *text) become(newer []byte, slice int) {
	before := t.bytes()
	next := splitLines(newer)
	old := t.lines
	var lines []line
	cuts := map[int][]int{}
	keep := func(from, to int) {
		for i := from; i < to; i++ {
			cuts[len(lines)] = append(cuts[len(lines)], t.cuts[i]...)
			lines = append(lines, old[i])
		}
	}

	at := 0
	for _, edit := range patchset.Edits(before, newer) {
		start, end := edit.Old()
		newStart, newEnd := edit.New()
		keep(at, start)

		// Who removed what goes is remembered at the place where it was.
		at = end
		for i := start; i < end; i++ {
			for _, one := range slices.Concat(t.cuts[i], []int{slice}) {
				if list := cuts[len(lines)]; !slices.Contains(list, one) {
					cuts[len(lines)] = append(list, one)
				}
			}
			if old[i].orig > 0 {
				t.removed[old[i].orig] = slice
			}
		}
		for i := newStart; i < newEnd; i++ {
			lines = append(lines, line{text: next[i], by: slice})
		}
	}
	keep(at, len(old))
	cuts[len(lines)] = append(cuts[len(lines)], t.cuts[len(old)]...)
	t.lines, t.cuts, t.exists, t.items = lines, cuts, newer != nil, nil
	t.touched[slice] = true
}

// by lists the slices that changed something in the lines from start to end, 1-based and
// both included, or removed what stood right behind them.
func (t *text) by(start, end int) []int {
	seen := map[int]bool{}
	for i := max(start-1, 0); i < min(end, len(t.lines)); i++ {
		if slice := t.lines[i].by; slice >= 0 {
			seen[slice] = true
		}
		if i >= start {
			for _, slice := range t.cuts[i] {
				seen[slice] = true
			}
		}
	}
	return sorted(seen)
}

// of lists the slices that changed an item of that name, in the text or in the old one.
func (t *text) of(name string) []int {
	seen := map[int]bool{}
	for _, item := range t.parsed() {
		if item.Name == name {
			for _, slice := range t.by(item.Start, item.End) {
				seen[slice] = true
			}
		}
	}
	for _, item := range patchset.Items(t.old) {
		if item.Name != name {
			continue
		}
		for number := item.Start; number <= item.End; number++ {
			if slice, ok := t.removed[number]; ok {
				seen[slice] = true
			}
		}
	}
	return sorted(seen)
}

// mentioning lists the slices that add or remove a line with one of the words.
func (t *text) mentioning(words map[string]bool) []int {
	seen := map[int]bool{}
	for _, row := range t.lines {
		if row.by >= 0 && has(row.text, words) {
			seen[row.by] = true
		}
	}
	old := splitLines(t.old)
	for number, slice := range t.removed {
		if has(old[number-1], words) {
			seen[slice] = true
		}
	}
	return sorted(seen)
}

// numbered lists the slices that added a line which the compiler may have meant by a
// number: those of unchanged lines stay what they were, those of added ones go on from
// the unchanged line before (patchset.File.Stable).
func (t *text) numbered(number int, words map[string]bool) []int {
	near, named := map[int]bool{}, map[int]bool{}
	last, added := 0, 0
	for _, row := range t.lines {
		if row.by < 0 {
			last, added = row.orig, 0
			continue
		}
		added++
		if place := last + added; place >= number-3 && place <= number+3 {
			near[row.by] = true
			if has(row.text, words) {
				named[row.by] = true
			}
		}
	}
	if len(named) > 0 {
		return sorted(named)
	}
	if len(words) > 0 {
		return nil
	}
	return sorted(near)
}

func sorted(set map[int]bool) []int {
	var out []int
	for slice := range set {
		out = append(out, slice)
	}
	slices.Sort(out)
	return out
}

// has reports whether a text has one of the words.
func has(text string, words map[string]bool) bool {
	for word := range names(text) {
		if words[word] {
			return true
		}
	}
	return false
}

// names are the words of a text that can be names in C.
func names(text string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for i := 0; i < len(text); {
			start := i
			for i < len(text) && nameByte(text[i]) {
				i++
			}
			if i == start {
				i++
				continue
			}
			if first := text[start]; first < '0' || first > '9' {
				if !yield(text[start:i]) {
					return
				}
			}
		}
	}
}

func nameByte(c byte) bool {
	return c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}
