package patchset

import (
	"bytes"
	"path"
	"strconv"
	"strings"
)

// Line stability. A hunk that adds or removes lines moves everything below
// it, and with it every __LINE__ (WARN_ON, BUG_ON, lockdep classes, …), so
// that functions nobody touched compile to other bytes. The cure is
//
//	#line N
//
// without a file name, so that __FILE__ stays, in front of an unchanged line
// below the change, N being that line's number in the unpatched file.
//
// The directive goes to the first place after each changed group where it is
// harmless (lexer.clean). Changed groups, not the patch's hunks, count: two
// groups in one hunk may lie in two functions.
//
// Conditional compilation needs care: a directive in a branch that is not
// compiled has no effect, yet all its physical lines count. So the number
// state is kept per branch: it starts each branch as it was at the #if,
// provided that no line was added or removed in an earlier branch, and after
// an #endif it is good only if nothing moved in any branch. Otherwise the
// next clean place gets a directive of its own. An unneeded directive does
// no harm: it states a number that already holds.

// stabilizer writes the line-stable text of one file.
type stabilizer struct {
	lexer
	right bool // in every configuration that compiles this point, numbers are original
}

// moved records that physical lines were added or removed here.
func (s *stabilizer) moved() {
	if n := len(s.conds); n > 0 {
		s.conds[n-1].shifted = true
	}
}

// read feeds one line of New and updates the number state.
func (s *stabilizer) read(line string) {
	switch s.feed(line) {
	case dirIf:
		s.conds[len(s.conds)-1].saved = s.right
	case dirElse:
		c := s.conds[len(s.conds)-1]
		s.right = c.saved && !c.shifted
	case dirEndif:
		c := s.conds[len(s.conds)-1]
		s.pop()
		s.right = c.saved && !c.shifted
		if c.shifted {
			s.moved()
		}
	}
}

// stabilize fills f.Stable from the final lines and returns a note when the
// numbers cannot be kept.
func (f *File) stabilize(lines []srcLine) (note string) {
	f.Stable = f.New
	if f.Old == nil || f.New == nil {
		return ""
	}
	if ext := path.Ext(f.Path); ext != ".c" && ext != ".h" {
		return ""
	}
	if !moves(f.Hunks) {
		return ""
	}
	ownOld, _ := survey(f.Old)
	ownNew, last := survey(f.New)
	if ownOld || ownNew {
		return "has #line directives of its own: line numbers below the change are not kept"
	}

	var out bytes.Buffer
	out.Grow(len(f.New) + 16*len(f.Hunks))
	state := stabilizer{right: true}
	groups := f.Hunks
	for i, line := range lines {
		if len(groups) > 0 {
			next := groups[0]
			start := next.NewStart - 1
			if next.NewLines == 0 {
				start = next.NewStart // the removed lines stood before line index start
			}
			if i >= start && next.NewLines != next.OldLines {
				state.right = false
				state.moved()
			}
			if i == start+next.NewLines {
				groups = groups[1:]
			}
		}
		if line.orig > 0 && !state.right && state.clean(line.text) && i <= last && !endsBranch(line.text) {
			out.WriteString("#line ")
			out.WriteString(strconv.Itoa(line.orig))
			out.WriteByte('\n')
			state.right = true
			state.moved()
		}
		out.WriteString(line.text)
		state.read(line.text)
	}
	f.Stable = out.Bytes()
	return ""
}

// moves says whether any group changes the number of lines.
func moves(groups []Range) bool {
	for _, g := range groups {
		if g.OldLines != g.NewLines {
			return true
		}
	}
	return false
}

// survey reads C text once. own says whether it sets line numbers itself, as
// generated parsers do; last is the index of the last line with code, behind
// which nothing needs a number. A directive behind a header's closing #endif
// would only defeat gcc's include guard optimization.
func survey(text []byte) (own bool, last int) {
	var lex lexer
	last = -1
	i := 0
	for line := range strings.Lines(string(text)) {
		kind := lex.feed(line)
		if kind == dirEndif {
			lex.pop()
		} else if lex.code {
			last = i
		}
		i++
	}
	return lex.ownLines, last
}

// endsBranch says whether a line is #else, #elif or #endif: a directive in
// front of it would number nothing.
func endsBranch(line string) bool {
	t, ok := strings.CutPrefix(strings.TrimSpace(line), "#")
	t = strings.TrimSpace(t)
	return ok && (strings.HasPrefix(t, "el") || strings.HasPrefix(t, "endif"))
}
