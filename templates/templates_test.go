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

func TestModel(t *testing.T) {
	for _, c := range []struct {
		api  API
		want Model
	}{
		{API{HasRegister: true, OldAddr: true}, ModelDirect},
		{API{HasRegister: true, OldSympos: true, ElfRelocs: true}, ModelDirect},
		{API{HasRegister: true, PatchImmediate: true}, ModelRegister},
		{API{HasRegister: true, Callbacks: true}, ModelRegister},
		{API{Callbacks: true, Replace: true}, ModelEnable},
	} {
		if got := c.api.Model(); got != c.want {
			t.Errorf("%+v: model %v, want %v", c.api, got, c.want)
		}
	}
}

func TestDetectNamespaces(t *testing.T) {
	for _, c := range []struct {
		text     string
		has, str bool
	}{
		{"#define MODULE_INFO(tag, info) x", false, false},
		{"#define MODULE_IMPORT_NS(ns) MODULE_INFO(import_ns, #ns)\n", true, false},
		{"x\n#define MODULE_IMPORT_NS(ns)\tMODULE_INFO(import_ns, __stringify(ns))\n", true, false},
		{"x\n#define MODULE_IMPORT_NS(ns)\tMODULE_INFO(import_ns, ns)\n", true, true},
	} {
		a := API{ImportNS: true, ImportNSString: true}
		a.DetectNamespaces(c.text)
		if a.ImportNS != c.has || a.ImportNSString != c.str {
			t.Errorf("%q: %t, %t, want %t, %t", c.text, a.ImportNS, a.ImportNSString, c.has, c.str)
		}
	}
}
