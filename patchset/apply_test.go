package patchset

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/klpforge/klpforge/finding"
)

// lines joins lines with newlines.
func lines(l ...string) string { return strings.Join(l, "\n") + "\n" }

// tree makes a file system of texts.
func tree(files map[string]string) fs.FS {
	m := fstest.MapFS{}
	for name, text := range files {
		m[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return m
}

// after shows an overlay: path -> new text, "(deleted)" for none.
func after(o *Overlay) map[string]string {
	m := map[string]string{}
	for _, p := range o.Paths() {
		if f := o.Files[p]; f.New == nil {
			m[p] = "(deleted)"
		} else {
			m[p] = string(f.New)
		}
	}
	return m
}

func notes(o *Overlay) []string {
	var out []string
	for _, n := range o.Notes {
		out = append(out, n.String())
	}
	return out
}

// TestNoteKinds: a note has its kind from where it is made.
func TestNoteKinds(t *testing.T) {
	numbered := lines("1", "2", "3", "4", "5", "6", "7", "8", "9")
	const head = "--- a/x.c\n+++ b/x.c\n"
	for _, c := range []struct {
		name, patch string
		fuzz        int
		want        []finding.RemarkKind
	}{
		{"as written", head + "@@ -3,3 +3,3 @@\n 3\n-4\n+four\n 5\n", 0, nil},
		{"at another line", head + "@@ -1,3 +1,3 @@\n 3\n-4\n+four\n 5\n", 2, []finding.RemarkKind{finding.RemarkApplied}},
		{"with fuzz", head + "@@ -3,3 +3,3 @@\n left out\n-4\n+four\n 5\n", 1, []finding.RemarkKind{finding.RemarkApplied}},
		{"without context", head + "@@ -3,0 +4 @@\n+left out\n", 0, []finding.RemarkKind{finding.RemarkApplied}},
		{"a mode", "diff --git a/x.c b/x.c\nold mode 100644\nnew mode 100755\n" + head + "@@ -4 +4 @@\n-4\n+four\n", 0,
			[]finding.RemarkKind{finding.RemarkLeftOut}},
		{"other names", "--- p/q/lib/x.c\n+++ p/q/lib/x.c\n@@ -4 +4 @@\n-4\n+four\n", 0, []finding.RemarkKind{finding.RemarkPlain}},
	} {
		t.Run(c.name, func(t *testing.T) {
			o, err := readOne(t, c.patch).Apply(tree(map[string]string{"x.c": numbered, "lib/x.c": numbered}), ApplyOptions{Fuzz: c.fuzz})
			if err != nil {
				t.Fatal(err)
			}
			var got []finding.RemarkKind
			for _, n := range o.Notes {
				got = append(got, n.Remark().Kind)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("kinds (-want +got):\n%s\n%q", diff, notes(o))
			}
		})
	}
}

func TestApply(t *testing.T) {
	base := lines("1", "2", "3", "4", "5", "6", "7", "8", "9")
	edit := "@@ -3,3 +3,4 @@\n 3\n-4\n+four\n+and\n 5\n"
	tests := []struct {
		name    string
		tree    map[string]string
		patches []string
		opts    ApplyOptions
		want    map[string]string
		notes   []string
	}{
		{name: "exact", tree: map[string]string{"x.c": base}, patches: []string{"--- a/x.c\n+++ b/x.c\n" + edit},
			want: map[string]string{"x.c": lines("1", "2", "3", "four", "and", "5", "6", "7", "8", "9")}},
		{name: "offset", tree: map[string]string{"x.c": "0\n0\n" + base}, patches: []string{"--- a/x.c\n+++ b/x.c\n" + edit},
			want:  map[string]string{"x.c": lines("0", "0", "1", "2", "3", "four", "and", "5", "6", "7", "8", "9")},
			notes: []string{"patch <stdin>: x.c: hunk 1: applied at line 5, offset +2"}},
		{name: "offset carries to the next hunk", tree: map[string]string{"x.c": "0\nh\n" + base + base}, patches: []string{"--- a/x.c\n+++ b/x.c\n@@ -1,2 +1,3 @@\n h\n+n\n 1\n@@ -15,3 +16,2 @@\n 5\n-6\n 7\n"},
			want:  map[string]string{"x.c": lines("0", "h", "n", "1", "2", "3", "4", "5", "6", "7", "8", "9", "1", "2", "3", "4", "5", "7", "8", "9")},
			notes: []string{"patch <stdin>: x.c: hunk 1: applied at line 2, offset +1", "patch <stdin>: x.c: hunk 2: applied at line 16, offset +1"}},
		{name: "function name decides between two places", tree: map[string]string{"x.c": lines("int a(void)", "{", "\tx();", "\ty();", "}", "int b(void)", "{", "\tx();", "\ty();", "}")},
			patches: []string{"--- a/x.c\n+++ b/x.c\n@@ -33,3 +33,3 @@ int b(void)\n \tx();\n-\ty();\n+\tz();\n }\n"},
			want:    map[string]string{"x.c": lines("int a(void)", "{", "\tx();", "\ty();", "}", "int b(void)", "{", "\tx();", "\tz();", "}")},
			notes:   []string{"patch <stdin>: x.c: hunk 1: applied at line 8, offset -25"}},
		{name: "two patches", tree: map[string]string{"x.c": base}, patches: []string{"--- a/x.c\n+++ b/x.c\n" + edit, "--- a/x.c\n+++ b/x.c\n@@ -4,3 +4,3 @@\n four\n-and\n+or\n 5\n"},
			want: map[string]string{"x.c": lines("1", "2", "3", "four", "or", "5", "6", "7", "8", "9")}},
		{name: "new, deleted, renamed, copied", tree: map[string]string{"del.c": "x\n", "old.c": base, "src.c": base},
			patches: []string{"diff --git a/n.c b/n.c\nnew file mode 100644\n--- /dev/null\n+++ b/n.c\n@@ -0,0 +1 @@\n+int a;\n" +
				"diff --git a/del.c b/del.c\ndeleted file mode 100644\n--- a/del.c\n+++ /dev/null\n@@ -1 +0,0 @@\n-x\n" +
				"diff --git a/old.c b/d/new.c\nsimilarity index 90%\nrename from old.c\nrename to d/new.c\n--- a/old.c\n+++ b/d/new.c\n" + edit +
				"diff --git a/src.c b/src.c\n--- a/src.c\n+++ b/src.c\n@@ -1,2 +1,2 @@\n-1\n+one\n 2\n" +
				"diff --git a/src.c b/cp.c\nsimilarity index 90%\ncopy from src.c\ncopy to cp.c\n--- a/src.c\n+++ b/cp.c\n" + edit},
			want: map[string]string{"n.c": "int a;\n", "del.c": "(deleted)", "old.c": "(deleted)",
				"d/new.c": lines("1", "2", "3", "four", "and", "5", "6", "7", "8", "9"),
				"src.c":   lines("one", "2", "3", "4", "5", "6", "7", "8", "9"),
				"cp.c":    lines("1", "2", "3", "four", "and", "5", "6", "7", "8", "9")}},
		{name: "create, then change in the next patch", tree: map[string]string{}, patches: []string{"--- /dev/null\n+++ b/n.c\n@@ -0,0 +1 @@\n+a\n", "--- a/n.c\n+++ b/n.c\n@@ -1 +1 @@\n-a\n+b\n"},
			want: map[string]string{"n.c": "b\n"}},
		{name: "no newline at the end", tree: map[string]string{"x.c": "a\nb"}, patches: []string{"--- a/x.c\n+++ b/x.c\n@@ -1,2 +1,2 @@\n a\n-b\n\\ No newline at end of file\n+c\n"},
			want: map[string]string{"x.c": "a\nc\n"}},
		{name: "newline removed", tree: map[string]string{"x.c": "a\nb\n"}, patches: []string{"--- a/x.c\n+++ b/x.c\n@@ -1,2 +1,2 @@\n a\n-b\n+b\n\\ No newline at end of file\n"},
			want: map[string]string{"x.c": "a\nb"}},
		{name: "CRLF patch of an LF file", tree: map[string]string{"x.c": base}, patches: []string{strings.ReplaceAll("--- a/x.c\n+++ b/x.c\n"+edit, "\n", "\r\n")},
			want: map[string]string{"x.c": lines("1", "2", "3", "four", "and", "5", "6", "7", "8", "9")}},
		{name: "CRLF file", tree: map[string]string{"x.c": "a\r\nb\r\n"}, patches: []string{"--- a/x.c\n+++ b/x.c\n@@ -1,2 +1,2 @@\n a\r\n-b\r\n+c\r\n"},
			want: map[string]string{"x.c": "a\r\nc\r\n"}},
		{name: "empty file filled", tree: map[string]string{"x.c": ""}, patches: []string{"--- a/x.c\n+++ b/x.c\n@@ -0,0 +1 @@\n+a\n"},
			want: map[string]string{"x.c": "a\n"}},
		{name: "level found in the tree", tree: map[string]string{"fs/x.c": base}, patches: []string{"--- p/q/fs/x.c\n+++ p/q/fs/x.c\n" + edit},
			want:  map[string]string{"fs/x.c": lines("1", "2", "3", "four", "and", "5", "6", "7", "8", "9")},
			notes: []string{"patch <stdin>: names fit the source tree after stripping 2 leading directories"}},
		{name: "other name of the pair is in the tree", tree: map[string]string{"fs/x.c": base}, patches: []string{"--- fs/x.c\n+++ fs/y.c\n" + edit},
			want: map[string]string{"fs/x.c": lines("1", "2", "3", "four", "and", "5", "6", "7", "8", "9")}},
		{name: "mode change is noted", tree: map[string]string{"x.c": base}, patches: []string{"diff --git a/x.c b/x.c\nold mode 100644\nnew mode 100755\n--- a/x.c\n+++ b/x.c\n" + edit},
			want:  map[string]string{"x.c": lines("1", "2", "3", "four", "and", "5", "6", "7", "8", "9")},
			notes: []string{"patch <stdin>: x.c: change of mode 100644 to 100755 has no effect on the build and is left out"}},
		{name: "fuzz", tree: map[string]string{"x.c": base}, patches: []string{"--- a/x.c\n+++ b/x.c\n@@ -3,5 +3,5 @@\n other\n 4\n-5\n+five\n 6\n 7\n"}, opts: ApplyOptions{Fuzz: 1},
			want:  map[string]string{"x.c": lines("1", "2", "3", "4", "five", "6", "7", "8", "9")},
			notes: []string{"patch <stdin>: x.c: hunk 1: applied with fuzz 1: outer context lines differ"}},
		{name: "insertion without context", tree: map[string]string{"x.c": "a\nb\n"}, patches: []string{"--- a/x.c\n+++ b/x.c\n@@ -1,0 +2 @@\n+n\n"},
			want: map[string]string{"x.c": "a\nn\nb\n"}, notes: []string{"patch <stdin>: x.c: hunk 1: has no context, its place is not verified"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := &Series{}
			for _, p := range tt.patches {
				s.Patches = append(s.Patches, readOne(t, p).Patches...)
			}
			o, err := s.Apply(tree(tt.tree), tt.opts)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, after(o)); diff != "" {
				t.Errorf("overlay (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.notes, notes(o)); diff != "" {
				t.Errorf("notes (-want +got):\n%s", diff)
			}
			for p, f := range o.Files {
				old, there := tt.tree[p]
				if (f.Old != nil) != there || string(f.Old) != old || f.Path != p {
					t.Errorf("%s: old = %q, the tree has %q", p, f.Old, old)
				}
			}
		})
	}
}

func TestApplyRefuses(t *testing.T) {
	base := lines("int f(void)", "{", "\ta();", "\tb();", "\tc();", "}")
	edit := "@@ -3,3 +3,3 @@\n \ta();\n-\tb();\n+\tB();\n \tc();\n"
	file := "--- a/x.c\n+++ b/x.c\n"
	tests := []struct {
		name string
		tree map[string]string
		text string
		want []ApplyError
	}{
		{"no match", map[string]string{"x.c": strings.Replace(base, "b();", "q();", 1)}, file + edit,
			[]ApplyError{{File: "x.c", Hunk: 1, Line: 3, Context: []string{"\ta();", "\tb();", "\tc();"}, Reason: `closest match at line 3: line 4 is "\tq();" where the patch expects "\tb();"`}}},
		{"already applied", map[string]string{"x.c": strings.Replace(base, "b();", "B();", 1)}, file + edit,
			[]ApplyError{{File: "x.c", Hunk: 1, Line: 3, Context: []string{"\ta();", "\tb();", "\tc();"}, Reason: `closest match at line 3: line 4 is "\tB();" where the patch expects "\tb();"`, Applied: true}}},
		{"white space", map[string]string{"x.c": strings.Replace(base, "\tb", "  b", 1)}, file + edit,
			[]ApplyError{{File: "x.c", Hunk: 1, Line: 3, Context: []string{"\ta();", "\tb();", "\tc();"}, Reason: `closest match at line 3: line 4 is "  b();" where the patch expects "\tb();" (only white space differs)`}}},
		{"two places", map[string]string{"x.c": "\n" + base + base}, file + edit,
			[]ApplyError{{File: "x.c", Hunk: 1, Line: 3, Context: []string{"\ta();", "\tb();", "\tc();"}, Reason: "its lines are found at 2 places (lines 4, 10, …), none where the hunk says: refresh the patch against this source"}}},
		{"all failures of all files", map[string]string{"x.c": "1\n2\n", "y.c": "1\n2\n"},
			file + "@@ -1 +1 @@\n-a\n+b\n@@ -2 +2 @@\n-2\n+two\n@@ -9 +9 @@\n-c\n+d\n--- a/z.c\n+++ b/z.c\n@@ -1 +1 @@\n-a\n+b\n--- a/y.c\n+++ b/y.c\n@@ -1 +1 @@\n-1\n+one\n",
			[]ApplyError{
				{File: "x.c", Hunk: 1, Line: 1, Context: []string{"a"}, Reason: "none of its lines is in the file"},
				{File: "x.c", Hunk: 3, Line: 9, Context: []string{"c"}, Reason: "none of its lines is in the file"},
				{File: "z.c", Reason: "file is not in the source tree: make the patch against this source, or give the strip level that fits its names"},
			}},
		{"hunk of the end of a file in the middle", map[string]string{"x.c": base + "more\n"}, file + "@@ -4,3 +4,4 @@\n \tb();\n \tc();\n }\n+int n;\n",
			[]ApplyError{{File: "x.c", Hunk: 1, Line: 4, Context: []string{"\tb();", "\tc();", "}"}, Reason: "its lines are found at line 4, but the hunk ends its file and this one goes on: allow fuzz, or refresh the patch"}}},
		{"out of order", map[string]string{"x.c": lines("1", "2", "3", "4", "5", "6", "7", "8")}, file + "@@ -6,3 +6,3 @@\n 6\n-7\n+seven\n 8\n@@ -1,3 +1,3 @@\n 1\n-2\n+two\n 3\n",
			[]ApplyError{{File: "x.c", Hunk: 2, Line: 1, Context: []string{"1", "2", "3"}, Reason: "its lines are found only at line 1, before the end of the previous hunk: the hunks are out of order or overlap"}}},
		{"create what exists", map[string]string{"x.c": "a\n"}, "--- /dev/null\n+++ b/x.c\n@@ -0,0 +1 @@\n+a\n",
			[]ApplyError{{File: "x.c", Reason: "file to create exists", Applied: true}}},
		{"create over other content", map[string]string{"x.c": "b\n"}, "--- /dev/null\n+++ b/x.c\n@@ -0,0 +1 @@\n+a\n",
			[]ApplyError{{File: "x.c", Reason: "file to create exists"}}},
		{"delete what is gone", map[string]string{"y.c": "b\n"}, "--- a/x.c\n+++ /dev/null\n@@ -1 +0,0 @@\n-a\n",
			[]ApplyError{{File: "x.c", Reason: "file to delete is not in the source tree", Applied: true}}},
		{"delete what grew", map[string]string{"x.c": "a\nb\n"}, "--- a/x.c\n+++ /dev/null\n@@ -1 +0,0 @@\n-a\n",
			[]ApplyError{{File: "x.c", Reason: "file to delete has 1 more lines than the patch knows"}}},
		{"rename from nowhere", map[string]string{"y.c": "b\n"}, "diff --git a/o.c b/n.c\nsimilarity index 100%\nrename from o.c\nrename to n.c\n",
			[]ApplyError{{File: "n.c", Reason: "rename from o.c, which is not in the source tree"}}},
		{"rename onto a file", map[string]string{"o.c": "b\n", "n.c": "c\n"}, "diff --git a/o.c b/n.c\nsimilarity index 100%\nrename from o.c\nrename to n.c\n",
			[]ApplyError{{File: "n.c", Reason: "rename from o.c, but the target exists"}}},
		{"insertion without context after a moved hunk", map[string]string{"x.c": "0\n1\n2\n3\n4\n5\n6\n"}, file + "@@ -1,3 +1,3 @@\n 1\n-2\n+two\n 3\n@@ -4,0 +5 @@\n+n\n",
			[]ApplyError{{File: "x.c", Hunk: 2, Line: 4, Reason: "hunk has no context lines to find its place by, and earlier hunks were moved: make the patch with context (diff -u)"}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o, err := readOne(t, tt.text).Apply(tree(tt.tree), ApplyOptions{})
			var list ApplyErrors
			if !errors.As(err, &list) {
				t.Fatalf("overlay %v, error %v", o, err)
			}
			var got []ApplyError
			for _, e := range list {
				if e.Patch != "<stdin>" {
					t.Errorf("patch = %q", e.Patch)
				}
				one := *e
				one.Patch = ""
				got = append(got, one)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("failures (-want +got):\n%s", diff)
			}
			var first *ApplyError
			if !errors.As(err, &first) || first != list[0] {
				t.Error("errors.As does not find the first failure")
			}
		})
	}
}

func TestApplyErrorMessage(t *testing.T) {
	e := &ApplyError{Patch: "p.patch", File: "fs/x.c", Hunk: 2, Line: 40, Reason: "its lines do not match", Applied: true}
	want := "patch p.patch does not apply: fs/x.c: hunk 2 at line 40: its lines do not match (it looks already applied)"
	if got := e.Error(); got != want {
		t.Errorf("message = %q, want %q", got, want)
	}
}

func TestApplyEmpty(t *testing.T) {
	for name, text := range map[string]string{
		"mode only":   "diff --git a/x.c b/x.c\nold mode 100644\nnew mode 100755\n",
		"cancels out": "--- a/x.c\n+++ b/x.c\n@@ -1 +1 @@\n-a\n+b\n--- a/x.c\n+++ b/x.c\n@@ -1 +1 @@\n-b\n+a\n",
	} {
		if o, err := readOne(t, text).Apply(tree(map[string]string{"x.c": "a\n"}), ApplyOptions{}); !errors.Is(err, ErrEmpty) {
			t.Errorf("%s: overlay %v, error %v, want ErrEmpty", name, o, err)
		}
	}
}

// TestApplySettles: a line removed and put back is unchanged, so the ranges
// and the numbering do not suffer from it.
func TestApplySettles(t *testing.T) {
	base := lines("1", "2", "3", "4", "5")
	s := readOne(t, "--- a/x.c\n+++ b/x.c\n@@ -2,3 +2,1 @@\n-2\n-3\n-4\n+n\n--- a/x.c\n+++ b/x.c\n@@ -1,3 +1,5 @@\n 1\n-n\n+2\n+new\n+4\n 5\n")
	o, err := s.Apply(tree(map[string]string{"x.c": base}), ApplyOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]Range{{3, 1, 3, 1}}, o.Files["x.c"].Hunks); diff != "" {
		t.Errorf("ranges (-want +got):\n%s", diff)
	}
}

func TestApplyRanges(t *testing.T) {
	base := lines("1", "2", "3", "4", "5", "6", "7", "8", "9")
	f := overlayOf(t, "x.c", base, lines("n", "1", "3", "4", "five", "FIVE", "6", "7", "8"))
	want := []Range{{0, 0, 1, 1}, {2, 1, 2, 0}, {5, 1, 5, 2}, {9, 1, 9, 0}}
	if diff := cmp.Diff(want, f.Hunks); diff != "" {
		t.Errorf("ranges (-want +got):\n%s", diff)
	}
}

func TestApplyDirLinks(t *testing.T) {
	text := func(name string) string { return "--- a/" + name + "\n+++ b/" + name + "\n@@ -1 +1 @@\n-a\n+b\n" }
	outside := writeTree(t, map[string]string{"x.c": "a\n"})
	dir := writeTree(t, map[string]string{
		"real/x.c":   "a\n",
		"in":         "-> real",
		"file.c":     "-> in/x.c",
		"up":         "-> ..",
		"abs":        "-> " + outside,
		"sub/deep":   "-> ../../../" + filepath.Base(outside),
		"loop":       "-> loop2",
		"loop2":      "-> loop",
		"sub/ok":     "-> ../real",
		"new.c":      "-> real/new.c",
		"sub/absent": "-> ../../gone/x.c",
	})
	for _, name := range []string{"in/x.c", "file.c", "sub/ok/x.c"} {
		o, err := readOne(t, text(name)).ApplyDir(dir, ApplyOptions{})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if diff := cmp.Diff(map[string]string{"real/x.c": "b\n"}, after(o)); diff != "" {
			t.Errorf("%s: overlay (-want +got):\n%s", name, diff)
		}
		if len(o.Notes) != 1 || !strings.Contains(o.Notes[0].Text, "symbolic link") {
			t.Errorf("%s: notes %v", name, o.Notes)
		}
	}
	for _, name := range []string{"up/x.c", "abs/x.c", "sub/deep/x.c", "loop/x.c", "loop", "sub/absent"} {
		o, err := readOne(t, text(name)).ApplyDir(dir, ApplyOptions{})
		var perr *PathError
		if !errors.As(err, &perr) {
			t.Errorf("%s: overlay %v, error %v, want a PathError", name, o, err)
		}
	}
	for _, name := range []string{"up/x.c", "abs/sub/x.c"} {
		o, err := readOne(t, "--- /dev/null\n+++ b/"+name+"\n@@ -0,0 +1 @@\n+a\n").ApplyDir(dir, ApplyOptions{})
		var perr *PathError
		if !errors.As(err, &perr) {
			t.Errorf("create %s: overlay %v, error %v, want a PathError", name, o, err)
		}
	}
	if got, err := os.ReadFile(filepath.Join(dir, "real/x.c")); err != nil || string(got) != "a\n" {
		t.Errorf("the tree was written to: %q, %v", got, err)
	}
}

// randomEdit returns a text of numbered and repeated lines and an edited copy.
func randomEdit(rnd *rand.Rand) (old, newer string) {
	var a, b strings.Builder
	n := rnd.IntN(60)
	for i := range n {
		l := fmt.Sprintf("line %d\n", i)
		if rnd.IntN(4) == 0 {
			l = "}\n"
		}
		if i == n-1 && rnd.IntN(4) == 0 {
			l = strings.TrimSuffix(l, "\n")
		}
		a.WriteString(l)
		if !strings.HasSuffix(l, "\n") || rnd.IntN(12) > 0 {
			b.WriteString(l)
		}
		if strings.HasSuffix(l, "\n") && rnd.IntN(12) == 0 {
			fmt.Fprintf(&b, "new %d\n", rnd.IntN(9))
		}
	}
	return a.String(), b.String()
}

// TestApplyProperty: what fragments finds, Apply does; also when the file
// grew at the top, where every hunk is found by its context or refused.
func TestApplyProperty(t *testing.T) {
	moved := 0
	for seed := range uint64(2000) {
		rnd := rand.New(rand.NewPCG(seed, 2))
		old, newer := randomEdit(rnd)
		if old == newer {
			continue
		}
		if f := overlayOf(t, "x.S", old, newer); string(f.New) != newer {
			t.Fatalf("seed %d: got %q, want %q", seed, f.New, newer)
		}
		hunks, err := fragments(old, newer)
		if err != nil {
			t.Fatal(err)
		}
		s := &Series{Patches: []*Patch{{ID: "p", strip: StripNone, Files: []*Change{{Path: "x.S", Hunks: hunks, names: names{old: "x.S", new: "x.S", git: true, bare: true}}}}}}
		top := strings.Repeat("top\n", 1+rnd.IntN(9))
		o, err := s.Apply(tree(map[string]string{"x.S": top + old}), ApplyOptions{})
		var list ApplyErrors
		switch {
		case errors.As(err, &list):
			// Refused: at the top of its file, or found at two places.
		case err != nil:
			t.Fatal(err)
		case string(o.Files["x.S"].New) != top+newer:
			t.Fatalf("seed %d: a moved hunk went wrong:\n%s", seed, o.Files["x.S"].New)
		default:
			moved++
		}
	}
	if moved < 300 {
		t.Errorf("only %d moved patches applied", moved)
	}
}

func FuzzApply(f *testing.F) {
	f.Add([]byte("1\n2\n3\n"), "--- a/x.c\n+++ b/x.c\n@@ -1,2 +1,3 @@\n 1\n+n\n 2\n", 0)
	f.Add([]byte("a\nb"), "--- a/x.c\n+++ b/x.c\n@@ -1,2 +1,2 @@\n a\n-b\n\\ No newline at end of file\n+c\n", 2)
	f.Add([]byte("#if 0\n'{\n#endif\nint a;\n"), "--- a/x.c\n+++ b/x.c\n@@ -0,0 +1 @@\n+/*\n", 1)
	f.Add([]byte("a\n"), "diff --git a/x.c b/y.c\nsimilarity index 9%\nrename from x.c\nrename to y.c\n@@ -1 +1 @@\n-a\n+b\n", 3)
	f.Fuzz(func(t *testing.T, data []byte, text string, fuzz int) {
		s, err := Read([]string{"-"}, ReadOptions{Stdin: strings.NewReader(text)})
		if err != nil {
			return
		}
		m := fstest.MapFS{"x.c": {Data: data}}
		o, err := s.Apply(m, ApplyOptions{Fuzz: fuzz})
		if (err == nil) == (o == nil) {
			t.Fatalf("error %v and overlay %v", err, o)
		}
		if !bytes.Equal(m["x.c"].Data, data) || len(m) != 1 {
			t.Fatal("the tree was written to")
		}
		if err != nil {
			return
		}
		for _, p := range o.Paths() {
			f := o.Files[p]
			if f.Old != nil && f.New != nil && bytes.Equal(f.Old, f.New) {
				t.Fatal("unchanged file in the overlay")
			}
			if (f.New == nil) != (f.Stable == nil) {
				t.Fatal("stable text of a deleted file")
			}
			var kept strings.Builder
			for l := range strings.Lines(string(f.Stable)) {
				if !strings.HasPrefix(l, "#line ") {
					kept.WriteString(l)
				}
			}
			if !bytes.Contains(f.New, []byte("#line ")) && kept.String() != string(f.New) {
				t.Fatalf("stable text %q of %q", f.Stable, f.New)
			}
		}
	})
}

// TestBinaryIsApart applies a patch with a binary change: the text is applied, and
// the other is named with the path that the tree has.
func TestBinaryIsApart(t *testing.T) {
	text := "diff --git a/top/sub/Documentation/x.png b/top/sub/Documentation/x.png\nnew file mode 100644\nindex 000..2\nGIT binary patch\nliteral 3\nKcmZQzU|?ckU|<ks0ssI3\n\nliteral 0\nHcmV?d00001\n\n" +
		"Binary files a/top/sub/logo.ppm and b/top/sub/logo.ppm differ\n" +
		"diff --git a/top/sub/x.c b/top/sub/x.c\n--- a/top/sub/x.c\n+++ b/top/sub/x.c\n@@ -1 +1 @@\n-a\n+b\n"
	file := filepath.Join(t.TempDir(), "p.patch")
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	s, err := Read([]string{file}, ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for tree, want := range map[string][]string{"top/sub/x.c": {"top/sub/Documentation/x.png", "top/sub/logo.ppm"}, "sub/x.c": {"sub/Documentation/x.png", "sub/logo.ppm"}} {
		o, err := s.Apply(fstest.MapFS{tree: {Data: []byte("a\n")}}, ApplyOptions{})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, b := range o.Binary {
			got = append(got, b.Path)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("tree with %s (-want +got):\n%s", tree, diff)
		}
		if string(o.Files[tree].New) != "b\n" {
			t.Errorf("tree with %s: %q", tree, o.Files[tree].New)
		}
	}
}
