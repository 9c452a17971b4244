package patchset

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

// How many leading directories of a name are not the tree's, as far as the two names of
// a change tell.
func TestNamesLevel(t *testing.T) {
	for _, c := range []struct {
		n     names
		level int
		ok    bool
	}{
		{names{old: "a/fs/x.c", new: "b/fs/x.c"}, 1, true},
		{names{old: "a/x.c", new: "b/x.c"}, 1, true},
		{names{old: "a/fs/x.c", new: "a/fs/x.c"}, 1, true}, // git's prefix, twice
		{names{old: "a/x.c", new: "a/x.c"}, 0, true},       // or a directory of that name
		{names{old: "z/fs/x.c", new: "z/fs/x.c"}, 0, true},
		{names{old: "fs/x.c", new: "fs/x.c"}, 0, true},
		{names{old: "x.c", new: "x.c"}, 0, true},
		{names{old: "linux.orig/fs/x.c", new: "linux/fs/x.c"}, 1, true},
		{names{old: "w/old/fs/x.c", new: "w/new/fs/x.c"}, 2, true},
		{names{old: "w/o/fs/x.c", new: "fs/x.c"}, 0, false},
		{names{old: "fs/x.c.orig", new: "fs/x.c"}, 0, true},
		{names{old: "o/fs/x.c.orig", new: "n/fs/x.c"}, 1, true},
		{names{old: "o/p/x.c.orig", new: "n/q/x.c"}, 2, true},
		{names{old: "x.c.orig", new: "x.c"}, 0, true},
		{names{old: "o/x.c", new: "n/y.c"}, 1, true},
		{names{old: devNull, new: "b/fs/x.c"}, 1, true},
		{names{old: "a/fs/x.c", new: devNull}, 1, true},
		{names{old: devNull, new: "fs/x.c"}, 0, false},
		{names{old: devNull, new: "fs/x.c", git: true}, 0, true},
		{names{old: "fs/x.c", new: devNull, git: true}, 0, true},
		{names{old: devNull, new: "x.c"}, 0, true},
		{names{old: "a/x.c", new: "b/y.c", bare: true}, 0, true},
	} {
		if level, ok := c.n.level(); level != c.level || ok != c.ok {
			t.Errorf("%+v: %d %v, want %d %v", c.n, level, ok, c.level, c.ok)
		}
	}
	for name, want := range map[string]bool{"a/x": true, "b/x": true, "c/x": true, "i/x": true, "o/x": true, "w/x": true, "1/x": true, "2/x": true,
		"d/x": false, "a/": false, "a": false, "ab/x": false, "/a/x": false, "": false} {
		if got := prefixed(name); got != want {
			t.Errorf("prefixed(%q) is %v", name, got)
		}
	}
	for _, c := range []struct {
		name string
		n    int
		want string
	}{{"a/b/c", 0, "a/b/c"}, {"a/b/c", 1, "b/c"}, {"a/b/c", 2, "c"}, {"a/b/c", 3, ""}, {"a//b", 1, "b"}, {"/a/b", 1, "a/b"}, {"//a/b", 1, "a/b"}, {"a/", 1, ""}, {"", 1, ""}} {
		if got := stripName(c.name, c.n); got != c.want {
			t.Errorf("stripName(%q, %d) is %q, want %q", c.name, c.n, got, c.want)
		}
	}
	for _, c := range [][3]string{{"x.c", "x.c.new", "x.c"}, {"x.c.orig", "x.c", "x.c"}, {"", "x.c", "x.c"}, {"x.c", "", "x.c"}, {"x.c", "y.c", "y.c"}, {"x.c", "x.c", "x.c"}} {
		if got := pick(c[0], c[1]); got != c[2] {
			t.Errorf("pick(%q, %q) is %q", c[0], c[1], got)
		}
	}
}

// The level of one change counts for those whose names do not tell, unless one is given.
func TestGuessLevels(t *testing.T) {
	change := func(old, newer string, bare bool) *Change {
		return &Change{names: names{old: old, new: newer, bare: bare}}
	}
	added := change(devNull, "p/v/n.c", false)
	for _, c := range []struct {
		name    string
		changes []*Change
		strip   int
		want    []int
	}{
		{"none tells", []*Change{added}, 0, []int{1}},
		{"one behind tells", []*Change{added, change("p/u/fs/x.c", "p/v/fs/x.c", false)}, 0, []int{2, 2}},
		{"one in front tells", []*Change{change("p/u/fs/x.c", "p/v/fs/x.c", false), added}, 0, []int{2, 2}},
		{"the first of two tells", []*Change{added, change("p/q/u/x.c", "p/q/v/x.c", false), change("u/x.c", "v/x.c", false)}, 0, []int{3, 3, 1}},
		{"names without prefix tell nothing of others", []*Change{added, change("o.c", "d/n.c", true)}, 0, []int{1, 0}},
		{"given", []*Change{added, change("u/x.c", "v/x.c", false)}, 3, []int{3, 3}},
		{"given as none", []*Change{added, change("u/x.c", "v/x.c", false)}, StripNone, []int{0, 0}},
	} {
		if got := guessLevels(c.changes, c.strip); fmt.Sprint(got) != fmt.Sprint(c.want) {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

// Which file a change means at a strip level, and what is refused.
func TestPathsAt(t *testing.T) {
	for _, c := range []struct {
		kind           Kind
		old, new       string
		bare           bool
		level          int
		path, from     string
		refused, about string
	}{
		{Modify, "a/x.c", "b/x.c", false, 1, "x.c", "", "", ""},
		{Modify, "a/x.c", "b/x.c", false, 0, "b/x.c", "", "", ""},
		{Modify, "a/x.c.orig", "b/x.c", false, 1, "x.c", "", "", ""},
		{Modify, "a/x.c", "b/x.c", false, 2, "", "", "nothing is left", "b/x.c"},
		{Create, devNull, "b/n.c", false, 1, "n.c", "", "", ""},
		{Create, "a/n.c.orig", "b/n.c", false, 1, "n.c", "", "", ""},
		{Create, "a/n.c", devNull, false, 1, "n.c", "", "", ""},
		{Create, devNull, "n.c", false, 1, "", "", "nothing is left", "n.c"},
		{Delete, "a/x.c", devNull, false, 1, "x.c", "", "", ""},
		{Delete, "a/x.c", "b/x.c.new", false, 1, "x.c", "", "", ""},
		{Delete, devNull, "b/x.c", false, 1, "x.c", "", "", ""},
		{Delete, "x.c", devNull, false, 1, "", "", "nothing is left", "x.c"},
		{Rename, "o.c", "d/n.c", true, 1, "d/n.c", "o.c", "", ""},
		{Copy, "a/o.c", "b/n.c", false, 1, "n.c", "o.c", "", ""},
		{Rename, "o.c", "n.c", false, 1, "", "", " ", ""},
		{Modify, "a/../x.c", "b/x.c", false, 1, "", "", `holds ".."`, "a/../x.c"},
		{Modify, "a/x.c", "../x.c", false, 1, "", "", `holds ".."`, "../x.c"},
		{Modify, "a/..x/y..c", "b/..x/y..c", false, 1, "..x/y..c", "", "", ""},
	} {
		change := &Change{Kind: c.kind, Line: 7, names: names{old: c.old, new: c.new, bare: c.bare}}
		path, from, err := change.pathsAt("p", c.level)
		var bad *PathError
		switch {
		case c.refused == "":
			if err != nil || path != c.path || from != c.from {
				t.Errorf("%v %s %s at %d: %q from %q, %v", c.kind, c.old, c.new, c.level, path, from, err)
			}
		case !errors.As(err, &bad) || !strings.Contains(bad.Error(), c.refused) || bad.Line != 7 || bad.Patch != "p" || c.about != "" && bad.Path != c.about || path+from != "":
			t.Errorf("%v %s %s at %d: %q, %+v", c.kind, c.old, c.new, c.level, path, err)
		}
	}
}

// GNU diff marks the side without a file by the epoch, in any zone.
func TestEpoch(t *testing.T) {
	for text, want := range map[string]bool{
		"1970-01-01 00:00:00.000000000 +0000": true, "1970-01-01 01:00:00.000000000 +0100": true, "1969-12-31 19:00:00 -0500": true, " 1970-01-01 00:00:00 +00:00 ": true,
		"1970-01-01 00:00:00": true, "Thu Jan  1 00:00:00 1970": true, "1970-01-01 00:00:00.000000000 +0100": false, "1970-01-01 00:00:01 +0000": false,
		"2024-01-01 10:00:00.000000000 +0100": false, "": false, "(revision 1)": false,
	} {
		if got := epoch(text); got != want {
			t.Errorf("epoch(%q) is %v", text, got)
		}
	}
}

// The two names of a git header are told apart where that can be done.
func TestSplitGitNames(t *testing.T) {
	for header, want := range map[string][2]string{
		"a/x.c b/x.c":               {"a/x.c", "b/x.c"},
		"a/x y.c b/x y.c":           {"a/x y.c", "b/x y.c"},
		"x.c x.c":                   {"x.c", "x.c"},
		"a b a b":                   {"a b", "a b"},
		`"a/\303\251" "b/\303\251"`: {"a/é", "b/é"},
		`"a/q\"" b/y`:               {`a/q"`, "b/y"},
		`a/y "b/q\""`:               {"a/y", `b/q"`},
		"a/x.c b/y.c":               {}, "x.c": {}, "": {}, " x.c": {}, "x.c ": {}, "a b": {}, `"a/x b/x`: {}, `a/x b/x"`: {}, ` "b/x"`: {}, `"" ""`: {}, `"a/x" ""`: {}, "a/ b/": {},
		strings.Repeat("x", maxNames/2-1) + " " + strings.Repeat("x", maxNames/2):   {},
		strings.Repeat("y", maxNames/2-1) + " " + strings.Repeat("y", maxNames/2-1): {strings.Repeat("y", maxNames/2-1), strings.Repeat("y", maxNames/2-1)},
		strings.Repeat("z", maxNames/2) + " " + strings.Repeat("z", maxNames/2):     {},
	} {
		old, newer, ok := splitGitNames(header)
		if ok != (want[0] != "") || ok && (old != want[0] || newer != want[1]) {
			t.Errorf("%.40q: %.40q %.40q %v", header, old, newer, ok)
		}
	}
}
