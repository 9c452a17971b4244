package patchset

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Reading one diff has two steps. The scanner here cuts the text into
// sections, one per changed file, by following the line counts of the hunks,
// so that a removed line "-- x" is never taken for a header and noise
// between sections is skipped. go-gitdiff then parses each section. The
// scanner also keeps the raw names, which go-gitdiff strips by one level.

// section is the text of one changed file.
type section struct {
	line   int // 1-based first line
	names  names
	header []string // with line ends
	hunks  []string
	oldTS  string // what follows the name on the "--- " line
	newTS  string
	binary bool
}

var (
	hunkRE   = regexp.MustCompile(`^@@ -(\d{1,9})(?:,(\d{1,9}))? \+(\d{1,9})(?:,(\d{1,9}))? @@`)
	binaryRE = regexp.MustCompile(`^(?:Binary files|Files) (.+) and (.+) differ$`)
	typeRE   = regexp.MustCompile(`^File (.+) is an? (.+) while file (.+) is an? (.+)$`)
)

// gitHeaders are the lines that may follow "diff --git".
var gitHeaders = []string{
	"--- ", "+++ ", "old mode ", "new mode ", "deleted file mode ", "new file mode ",
	"copy from ", "copy to ", "rename old ", "rename new ", "rename from ", "rename to ",
	"similarity index ", "dissimilarity index ", "index ",
}

// scanner walks the lines of one diff.
type scanner struct {
	id    string
	lines []string // with line ends
	base  int      // number of input lines before lines[0]
	pos   int
	notes []string
	out   []*section

	binary []*Change
}

// at returns line i without its line end, "" past the end.
func (s *scanner) at(i int) string {
	if i < 0 || i >= len(s.lines) {
		return ""
	}
	return strings.TrimRight(s.lines[i], "\r\n")
}

func (s *scanner) errorf(i int, format string, args ...any) error {
	return &ParseError{Patch: s.id, Line: s.base + i + 1, Err: fmt.Errorf(format, args...)}
}

// parseDiff parses the diff in text. base is the number of input lines
// before it. It returns the changes in order, those of binary files apart, the text
// before the first change, and notes; no change at all is not an error here.
func parseDiff(id, text string, base, strip int) (
	changes, binary []*Change, preamble string, notes []string, err error,
) {
	scan := &scanner{id: id, lines: splitLines(text), base: base}
	if err := scan.scan(); err != nil {
		return nil, nil, "", nil, err
	}
	pre := len(scan.lines)
	if len(scan.out) > 0 {
		pre = scan.out[0].line - 1
	}
	preamble = strings.Join(scan.lines[:pre], "")
	for _, sec := range scan.out {
		change, err := scan.parseSection(sec)
		if err != nil {
			return nil, nil, "", nil, err
		}
		changes = append(changes, change)
	}
	// Both together: they have one strip level.
	if err := setPaths(id, slices.Concat(changes, scan.binary), strip); err != nil {
		return nil, nil, "", nil, err
	}
	return changes, scan.binary, preamble, scan.notes, nil
}

// splitLines cuts text after each newline. Joining gives text again.
func splitLines(text string) []string {
	if text == "" {
		return nil
	}
	lines := strings.SplitAfter(text, "\n")
	if lines[len(lines)-1] == "" {
		lines = lines[:len(lines)-1]
	}
	return lines
}

func (s *scanner) scan() error {
	for s.pos < len(s.lines) {
		line := s.at(s.pos)
		var err error
		// Text between sections is skipped, as patch(1) does. What would be a change in a form
		// that is not read is refused: skipping it would lose a part of the patch.
		switch {
		case strings.HasPrefix(line, "diff --git "):
			err = s.gitSection()
		case strings.HasPrefix(line, "diff --cc "), strings.HasPrefix(line, "diff --combined "):
			err = s.errorf(s.pos, "combined diff of a merge: make it against one parent, for example with git diff A B")
		case strings.HasPrefix(line, "--- ") && strings.HasPrefix(s.at(s.pos+1), "+++ ") &&
			strings.HasPrefix(s.at(s.pos+2), "@@ "):
			err = s.plainSection()
		case strings.HasPrefix(line, "*** ") && strings.HasPrefix(s.at(s.pos+1), "--- ") &&
			strings.HasPrefix(s.at(s.pos+2), "*****"):
			err = s.errorf(s.pos, "context diff: make a unified diff with diff -u")
		case strings.HasPrefix(line, "@@ -"):
			if hunkRE.MatchString(line) {
				err = s.errorf(s.pos, "hunk without file header before it")
			} else {
				s.pos++
			}
		case strings.HasPrefix(line, "Only in "):
			s.notes = append(s.notes, line)
			s.pos++
		case binaryRE.MatchString(line):
			m := binaryRE.FindStringSubmatch(line)
			s.binaryFile(names{old: m[1], new: m[2]}, s.pos)
			s.pos++
		case typeRE.MatchString(line):
			m := typeRE.FindStringSubmatch(line)
			err = &UnsupportedError{Patch: s.id, Path: m[1], What: "changes from " + m[2] + " to " + m[4]}
		default:
			s.pos++
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// gitSection reads "diff --git", its header lines, and hunks.
func (s *scanner) gitSection() error {
	start := s.pos
	sec := &section{line: start + 1}
	crlf := strings.HasSuffix(s.lines[start], "\r\n")
	sec.header = append(sec.header, s.lines[start])
	s.pos++

	var oldName, newName string
	var badName int
	name := func(dst *string, from string) string {
		n, rest, ok := unquoteName(from)
		if !ok {
			badName = s.pos + 1
		}
		*dst = n
		return rest
	}
	// Extended header lines, until one that is none of them: the first hunk, or the next file.
header:
	for s.pos < len(s.lines) {
		line := s.at(s.pos)
		switch {
		case line == "GIT binary patch", binaryRE.MatchString(line):
			sec.binary = true
			s.pos++
			break header
		case strings.HasPrefix(line, "rename from "), strings.HasPrefix(line, "copy from "),
			strings.HasPrefix(line, "rename old "):
			name(&oldName, line[strings.Index(line[7:], " ")+8:])
			sec.names.bare = true
		case strings.HasPrefix(line, "rename to "), strings.HasPrefix(line, "copy to "),
			strings.HasPrefix(line, "rename new "):
			name(&newName, line[strings.Index(line[7:], " ")+8:])
			sec.names.bare = true
		case strings.HasPrefix(line, "--- ") && !sec.names.bare:
			sec.oldTS = name(&oldName, line[4:])
		case strings.HasPrefix(line, "+++ ") && !sec.names.bare:
			sec.newTS = name(&newName, line[4:])
		}
		known := false
		for _, p := range gitHeaders {
			known = known || strings.HasPrefix(line, p)
		}
		if !known {
			break
		}
		sec.header = append(sec.header, s.lines[s.pos])
		s.pos++
	}

	if badName > 0 {
		return s.errorf(badName-1, "malformed file name")
	}

	// A change of mode, or of an empty file, has its names in the first line only.
	if oldName == "" || newName == "" {
		o, n, ok := splitGitNames(s.at(start)[len("diff --git "):])
		if !ok {
			return s.errorf(start, "cannot tell the file names in this git header")
		}
		oldName, newName = o, n
	}
	sec.names.old, sec.names.new, sec.names.git = oldName, newName, true

	if sec.binary {
		s.binaryFile(sec.names, start)
		return nil
	}
	return s.finish(sec, crlf)
}

// binaryFile notes a change without lines; what follows in base 85 is passed over.
func (s *scanner) binaryFile(both names, pos int) {
	change := &Change{Kind: Modify, Line: s.base + pos + 1, names: both}
	switch {
	case both.old == devNull:
		change.Kind = Create
	case both.new == devNull:
		change.Kind = Delete
	}
	s.binary = append(s.binary, change)
}

// plainSection reads "--- ", "+++ " and hunks.
func (s *scanner) plainSection() error {
	sec := &section{line: s.pos + 1}
	var ok bool
	if sec.names.old, sec.oldTS, ok = unquoteName(s.at(s.pos)[4:]); !ok {
		return s.errorf(s.pos, "malformed file name")
	}
	if sec.names.new, sec.newTS, ok = unquoteName(s.at(s.pos + 1)[4:]); !ok {
		return s.errorf(s.pos+1, "malformed file name")
	}
	if sec.oldTS == "" {
		sec.names.old, sec.oldTS = cutTimestamp(sec.names.old)
	}
	if sec.newTS == "" {
		sec.names.new, sec.newTS = cutTimestamp(sec.names.new)
	}
	crlf := strings.HasSuffix(s.lines[s.pos+1], "\r\n")
	s.pos += 2
	// The names are kept apart; this header only makes go-gitdiff read the hunks.
	sec.header = []string{"--- a/f\n", "+++ b/f\n"}
	return s.finish(sec, crlf)
}

// blankTSRE matches a timestamp parted from the name by blanks, as left by
// mailers that turn tabs into blanks.
var blankTSRE = regexp.MustCompile(`^(.*\S)\s+(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d.*)$`)

func cutTimestamp(name string) (string, string) {
	if m := blankTSRE.FindStringSubmatch(name); m != nil {
		return m[1], m[2]
	}
	return strings.TrimRight(name, " "), ""
}

// finish reads the hunks of sec and undoes CRLF line ends when the header
// shows that the whole patch, not the patched file, has them.
func (s *scanner) finish(sec *section, crlf bool) error {
	for strings.HasPrefix(s.at(s.pos), "@@ ") {
		if err := s.hunk(sec); err != nil {
			return err
		}
	}
	if crlf {
		for _, lines := range [][]string{sec.header, sec.hunks} {
			for i, l := range lines {
				if strings.HasSuffix(l, "\r\n") {
					lines[i] = l[:len(l)-2] + "\n"
				}
			}
		}
	}
	s.out = append(s.out, sec)
	return nil
}

// hunk reads one hunk by its line counts.
func (s *scanner) hunk(sec *section) error {
	start := s.pos
	fields := hunkRE.FindStringSubmatch(s.at(s.pos))
	if fields == nil {
		return s.errorf(s.pos, "malformed hunk header")
	}
	count := func(t string) int {
		if t == "" {
			return 1
		}
		n, _ := strconv.Atoi(t) // at most nine digits
		return n
	}
	old, newer := count(fields[2]), count(fields[4])
	if old == 0 && newer == 0 {
		return s.errorf(s.pos, "hunk has no lines")
	}
	s.pos++
	for old > 0 || newer > 0 {
		if s.pos >= len(s.lines) {
			return s.errorf(start, "hunk is cut off: %d old and %d new lines are missing", old, newer)
		}
		line := s.lines[s.pos]
		switch line[0] {
		case ' ', '\n':
			old--
			newer--
		case '\r':
			if line != "\r\n" {
				return s.errorf(s.pos, "line in a hunk starts with a carriage return")
			}
			old--
			newer--
		case '-':
			old--
		case '+':
			newer--
		case '\\':
		case '\t':
			return s.errorf(s.pos, "line in a hunk starts with a tab: the patch lost its white space")
		default:
			return s.errorf(s.pos, "hunk ends early: %d old and %d new lines are missing, the patch is damaged", old,
				newer)
		}
		if old < 0 || newer < 0 {
			return s.errorf(start, "hunk has more lines than its header says")
		}
		s.pos++
	}
	if strings.HasPrefix(s.at(s.pos), `\ `) {
		s.pos++
	}
	sec.hunks = append(sec.hunks, s.lines[start:s.pos]...)
	return nil
}
