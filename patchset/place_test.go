package patchset

import (
	"fmt"
	"strings"
	"testing"

	"github.com/bluekeyes/go-gitdiff/gitdiff"
	"github.com/google/go-cmp/cmp"
)

// TestPlace: where a hunk may go. Each letter of a text is a line; the hunk is written as
// its lines with their marks, a space for those that stay.
func TestPlace(t *testing.T) {
	const refused = -1
	for _, c := range []struct {
		name   string
		text   string
		at     int    // the 1-based line that the hunk names
		hunk   string // two bytes a line
		in     string // the function that it names
		cursor int
		drift  int
		fuzz   int
		want   int // 0-based
		fuzzed int
		says   string
	}{
		{name: "where it says", text: "abcdef", at: 2, hunk: " b-c d", want: 1},
		{name: "with the drift of the one before", text: "xxabcdxbcd", at: 2, hunk: " b-c d", drift: 2, want: 3},
		{name: "where it says, although others drifted", text: "abcdx", at: 2, hunk: " b-c d", drift: 2, want: 1},
		{name: "the drift comes first", text: "abcdbcdx", at: 2, hunk: " b-c d", drift: 3, want: 4},
		{name: "elsewhere", text: "xxxxabcd", at: 2, hunk: " b-c d", want: 5},
		{name: "at the very end", text: "xxbcd", at: 9, hunk: " b-c d", want: 2},
		{name: "at the start", text: "bcdxx", at: 4, hunk: " b-c d", want: 0},
		{name: "elsewhere, twice", text: "bcdxbcd", at: 4, hunk: " b-c d", want: refused, says: "found at 2 places (lines 1, 5, …)"},
		{name: "twice, one before the previous hunk", text: "bcdxbcd", at: 4, hunk: " b-c d", cursor: 1, want: 4},
		{name: "twice, one right behind the previous hunk", text: "bcdxxbcd", at: 3, hunk: " b-c d", cursor: 5, want: 5},
		{name: "before the previous hunk", text: "xbcdxx", at: 2, hunk: " b-c d", cursor: 2, want: refused, says: "only at line 2, before the end of the previous hunk"},
		{name: "nowhere", text: "xyz", at: 1, hunk: " b-c d", want: refused, says: "none of its lines"},
		{name: "empty file", text: "", at: 1, hunk: " b-c d", want: refused, says: "the file is empty"},
		{name: "nearly", text: "xbcex", at: 2, hunk: " b-c d", want: refused, says: `closest match at line 2: line 4 is "e" where the patch expects "d"`},
		{name: "nearly, twice", text: "bxdxxxbcx", at: 6, hunk: " b-c d", want: refused, says: `closest match at line 7: line 9 is "x"`},
		{name: "nearly, best", text: "bxxxxxbcx", at: 1, hunk: " b-c d", want: refused, says: `closest match at line 7`},
		{name: "nearly, at the end", text: "xxbc", at: 3, hunk: " b-c d", want: refused, says: `closest match at line 3: the file ends there, the patch expects "d"`},

		{name: "a hunk of the top", text: "bcd", at: 1, hunk: "-b c d", want: 0},
		{name: "a hunk of the top further down", text: "xbcd", at: 1, hunk: "-b c d", want: refused, says: "the hunk starts its file"},
		{name: "less context in front, but not of the top", text: "xxbcd", at: 2, hunk: "-b c d", want: 2},
		{name: "a hunk of the end", text: "xbcd", at: 9, hunk: " b c-d", want: 1},
		{name: "a hunk of the end in the middle", text: "xbcdx", at: 2, hunk: " b c-d", want: refused, says: "the hunk ends its file and this one goes on"},
		{name: "top, with fuzz", text: "xbcd", at: 1, hunk: "-b c d", fuzz: 2, want: 1, fuzzed: 2},
		{name: "end, with fuzz", text: "bcdx", at: 1, hunk: " b c-d", fuzz: 2, want: 0, fuzzed: 2},

		{name: "fuzz at both ends", text: "xyczw", at: 2, hunk: " b-c d", fuzz: 1, want: 1, fuzzed: 1},
		{name: "no fuzz is needed", text: "abcd", at: 2, hunk: " b-c d", fuzz: 2, want: 1},
		{name: "fuzz is not allowed", text: "xyczw", at: 2, hunk: " b-c d", want: refused, says: "closest match"},
		{name: "what changes is never fuzzy", text: "abxd", at: 2, hunk: " b-c d", fuzz: 2, want: refused, says: "closest match"},
		{name: "fuzz of the longer end first", text: "xbcd", at: 1, hunk: " a b-c d", fuzz: 1, want: 0, fuzzed: 1},
		{name: "fuzz does not take all", text: "xyz", at: 1, hunk: " b+c", fuzz: 2, want: refused, says: "none of its lines"},
		{name: "twice with fuzz", text: "xcyzcw", at: 9, hunk: " b-c d", fuzz: 1, want: refused, says: "found at 2 places (lines 1, 4, …)"},
		{name: "twice without fuzz, once with less", text: "bcdbcd", at: 9, hunk: " b-c d", fuzz: 1, want: refused, says: "found at 2 places"},

		{name: "by its function", text: "FxbcdGybcd", at: 40, hunk: " b-c d", in: "G", want: 7},
		{name: "by its function, the first", text: "FxbcdGybcd", at: 40, hunk: " b-c d", in: "F", want: 2},
		{name: "by another function", text: "FxbcdGybcd", at: 40, hunk: " b-c d", in: "H", want: refused, says: "found at 2 places"},
		{name: "twice in its function", text: "FbcdGbcdbcd", at: 40, hunk: " b-c d", in: "G", want: refused, says: "found at 2 places (lines 6, 9, …)"},
		{name: "once, in another function", text: "Fbcd", at: 40, hunk: " b-c d", in: "G", want: 1},

		{name: "nothing to go by", text: "abc", at: 2, hunk: "+x", want: 2},
		{name: "nothing to go by, at the start", text: "abc", at: 0, hunk: "+x", want: 0},
		{name: "nothing to go by, at the end", text: "abc", at: 3, hunk: "+x", want: 3},
		{name: "nothing to go by, behind the end", text: "abc", at: 4, hunk: "+x", want: refused, says: "its line is not in the file of 3 lines"},
		{name: "nothing to go by, before the previous hunk", text: "abc", at: 1, hunk: "+x", cursor: 2, want: refused, says: "its line is not in the file"},
		{name: "nothing to go by, right behind the previous hunk", text: "abc", at: 2, hunk: "+x", cursor: 2, want: 2},
		{name: "nothing to go by, and others drifted", text: "abc", at: 2, hunk: "+x", drift: 1, want: refused, says: "earlier hunks were moved"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var lines []srcLine
			for i, r := range c.text {
				text := string(r) + "\n"
				if r >= 'a' && r <= 'z' {
					text = "\t" + text // only capitals begin a function
				}
				lines = append(lines, srcLine{text, i + 1})
			}
			hunk := &gitdiff.TextFragment{OldPosition: int64(c.at), Comment: c.in}
			changed := false
			for i := 0; i < len(c.hunk); i += 2 {
				line := gitdiff.Line{Line: "\t" + c.hunk[i+1:i+2] + "\n"}
				switch c.hunk[i] {
				case '-':
					line.Op, changed = gitdiff.OpDelete, true
					hunk.TrailingContext = 0
				case '+':
					line.Op, changed = gitdiff.OpAdd, true
					hunk.TrailingContext = 0
				default:
					if changed {
						hunk.TrailingContext++
					} else {
						hunk.LeadingContext++
					}
				}
				if line.Old() {
					hunk.OldLines++
				}
				hunk.Lines = append(hunk.Lines, line)
			}
			found, why := place(lines, hunk, c.cursor, c.drift, c.fuzz)
			why = strings.ReplaceAll(why, `\t`, "")
			if c.want == refused {
				if why == "" || !strings.Contains(why, c.says) {
					t.Errorf("at %d, %q; want it refused: %q", found.pos, why, c.says)
				}
				return
			}
			if d := cmp.Diff(match{c.want, c.fuzzed}, found, cmp.AllowUnexported(match{})); d != "" || why != "" {
				t.Errorf("%q (-want +got)\n%s", why, d)
			}
		})
	}
}

// A hunk names the nearest line before it that looks like a function's; labels may stand
// between.
func TestInFunction(t *testing.T) {
	lines := []srcLine{{text: "int f(void)\n"}, {text: "{\n"}, {text: "\tx();\n"}, {text: "out:\n"}, {text: "\ty();\n"}, {text: "\n"}, {text: "$g\n"}, {text: "1\n"}, {text: "_h\n"}}
	for _, c := range []struct {
		at      int
		comment string
		want    bool
	}{
		{2, "int f(void)", true}, {4, "int f(void)", true}, {4, "out:", true}, {4, "int f", true}, {4, " int f(void) ", true}, {4, "", false}, {4, " ", false}, {0, "int f(void)", false},
		{1, "int f(void)", true}, {4, "f(void)", false}, {8, "$g", true}, {7, "int f(void)", false}, {6, "int f(void)", true}, {9, "_h", true}, {9, "$g", false},
	} {
		if got := inFunction(lines, c.at, c.comment); got != c.want {
			t.Errorf("line %d in %q: %v", c.at, c.comment, got)
		}
	}
	for line, want := range map[string]bool{"": false, "a": true, "z": true, "A": true, "Z": true, "_": true, "$": true, "1": false, " a": false, "`": false, "{": false, "@": false, "[": false} {
		if got := isHeading(line); got != want {
			t.Errorf("isHeading(%q) is %v", line, got)
		}
	}
}

// Hunks of a comparison have three lines around them, and are one when these touch; their
// counts are those of their lines.
func TestFragments(t *testing.T) {
	text := func(n int, changed ...int) (old, newer string) {
		for i := range n {
			line := fmt.Sprintf("\t%d\n", i)
			old += line
			for _, c := range changed {
				if i == c {
					line = fmt.Sprintf("\tnew %d\n", i)
				}
			}
			newer += line
		}
		return old, newer
	}
	for _, c := range []struct {
		n       int
		changed []int
		want    string
	}{
		{20, []int{10}, "@@ -8,7 +8,7 @@ 3 3"},
		{20, []int{0}, "@@ -1,4 +1,4 @@ 0 3"},
		{20, []int{2}, "@@ -1,6 +1,6 @@ 2 3"},
		{20, []int{3}, "@@ -1,7 +1,7 @@ 3 3"},
		{20, []int{19}, "@@ -17,4 +17,4 @@ 3 0"},
		{20, []int{16}, "@@ -14,7 +14,7 @@ 3 3"},
		{20, []int{5, 11}, "@@ -3,13 +3,13 @@ 3 3"},
		{20, []int{5, 12}, "@@ -3,7 +3,7 @@ 3 3; @@ -10,7 +10,7 @@ 3 3"},
		{20, []int{5, 13}, "@@ -3,7 +3,7 @@ 3 3; @@ -11,7 +11,7 @@ 3 3"},
		{1, []int{0}, "@@ -1,1 +1,1 @@ 0 0"},
	} {
		hunks, err := fragments(text(c.n, c.changed...))
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, h := range hunks {
			got = append(got, fmt.Sprintf("@@ -%d,%d +%d,%d @@ %d %d", h.OldPosition, h.OldLines, h.NewPosition, h.NewLines, h.LeadingContext, h.TrailingContext))
			if err := h.Validate(); err != nil {
				t.Errorf("%v: %v", c.changed, err)
			}
			if h.LinesAdded != int64(strings.Count(fmt.Sprint(h), "\n+")) || h.LinesAdded != h.LinesDeleted {
				t.Errorf("%v: %d added, %d deleted in\n%v", c.changed, h.LinesAdded, h.LinesDeleted, h)
			}
		}
		if d := cmp.Diff(c.want, strings.Join(got, "; ")); d != "" {
			t.Errorf("%v (-want +got)\n%s", c.changed, d)
		}
	}
	// Of a side that is empty the line before it is named; the function is the nearest before
	// the hunk, not a label.
	for _, c := range [][3]string{
		{"", "a\n", "-0,0 +1,1 "}, {"a\n", "", "-1,1 +0,0 "}, {"a\n", "a\nb\n", "-1,1 +1,2 "},
		{"int f\n1\n2\n3\n4\nx\n", "int f\n1\n2\n3\n4\ny\n", "-3,4 +3,4 int f"},
		{"int f\nl:\n1\n2\n3\n4\nx\n", "int f\nl:\n1\n2\n3\n4\ny\n", "-4,4 +4,4 int f"},
		{"1\n2\nint f\n4\nx\n", "1\n2\nint f\n4\ny\n", "-2,4 +2,4 "},
	} {
		hunks, err := fragments(c[0], c[1])
		if err != nil || len(hunks) != 1 {
			t.Fatalf("%q: %v, %v", c[0], hunks, err)
		}
		h := hunks[0]
		if got := fmt.Sprintf("-%d,%d +%d,%d %s", h.OldPosition, h.OldLines, h.NewPosition, h.NewLines, h.Comment); got != c[2] {
			t.Errorf("%q to %q: %q, want %q", c[0], c[1], got, c[2])
		}
	}
}
