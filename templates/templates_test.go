package templates

import (
	"strings"
	"testing"
)

func TestCString(t *testing.T) {
	for in, want := range map[string]string{
		`plain`:        `"plain"`,
		`say "x" \ y`:  `"say \"x\" \\ y"`,
		"tab\t1":       `"tab\0111"`,
		"ü":            `"\303\274"`,
		"what??=":      `"what\?\?="`,
		"\x00":         `"\000"`,
		"%s is kept %": `"%s is kept %"`,
	} {
		if got := CString(in); got != want {
			t.Errorf("CString(%q) = %s, want %s", in, got, want)
		}
	}
}

func TestComment(t *testing.T) {
	for in, want := range map[string]string{
		"a */ b":        "a * / b",
		"/* a":          "/ * a",
		"two\nlines":    "two lines",
		"ends with \\":  "ends with ?",
		"bell \a":       "bell ?",
		"*/":            "* /",
		"keeps ü and $": "keeps ü and $",
	} {
		if got := comment(in); got != want {
			t.Errorf("comment(%q) = %q, want %q", in, got, want)
		}
	}
}

// TestCommentStaysClosed: whatever goes in, the C comment ends where it should.
func TestCommentStaysClosed(t *testing.T) {
	for _, s := range []string{"*/", "**//", "*\n/", "*/*/", "/*/"} {
		if strings.Contains(comment(s), "*/") {
			t.Errorf("comment(%q) = %q", s, comment(s))
		}
	}
}
