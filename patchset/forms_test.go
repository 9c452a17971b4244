package patchset

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// More forms in which patches come.
func TestReadForms(t *testing.T) {
	header := "From: A <a@b.c>\nSubject: [PATCH] q\n"
	diff := "--- a/x.c\n+++ b/x.c\n" + hunk
	long := "0123456789012345678901234567890123456789"
	for _, c := range []struct {
		name, text string
		want       []string
	}{
		{"time behind blanks", "--- a/x.c   2024-01-01 10:00:00.000000000 +0100\n+++ b/x.c  2024-01-02 10:00:00\n" + hunk, []string{"<stdin>", "  modify x.c 1"}},
		{"epoch behind blanks", "--- o/n.c  1970-01-01 00:00:00.000000000 +0000\n+++ w/n.c  2024-01-02 10:00:00\n@@ -0,0 +1 @@\n+x\n", []string{"<stdin>", "  create n.c 1"}},
		{"blanks behind names", "--- a/x.c  \n+++ b/x.c \n" + hunk, []string{"<stdin>", "  modify x.c 1"}},
		{"tab before the time", "--- a/x 2024.c\t2024-01-01 10:00:00\n+++ b/x 2024.c\t2024-01-02 10:00:00\n" + hunk, []string{"<stdin>", "  modify x 2024.c 1"}},
		{"old names of renames", "diff --git a/o.c b/n.c\nsimilarity index 100%\nrename old o.c\nrename new n.c\n", []string{"<stdin>", "  rename o.c => n.c 0"}},
		{"renamed below directories like prefixes", "diff --git a/a/o.c b/b/n.c\nsimilarity index 100%\nrename from a/o.c\nrename to b/n.c\n", []string{"<stdin>", "  rename a/o.c => b/n.c 0"}},
		{"copied below directories like prefixes", "diff --git a/a/o.c b/b/n.c\nsimilarity index 100%\ncopy from a/o.c\ncopy to b/n.c\n", []string{"<stdin>", "  copy a/o.c => b/n.c 0"}},
		{"two hunks, the first at position zero", "--- a/x.c\n+++ b/x.c\n@@ -0,0 +1 @@\n+n\n@@ -3,2 +4,2 @@\n x\n-a\n+b\n", []string{"<stdin>", "  modify x.c 2"}},
		{"two mails, the second first", "From " + long + " Mon Sep 17 00:00:00 2001\nFrom: A <a@b.c>\nSubject: [PATCH 2/2] two\n\nlog\n---\n--- a/y.c\n+++ b/y.c\n" + hunk + "\nFrom 1" + long[1:] + " Mon Sep 17 00:00:00 2001\nFrom: A <a@b.c>\nSubject: [PATCH 1/2] one\n\nlog\n---\n" + diff,
			[]string{"<stdin>#2 | one | A <a@b.c>", "  modify x.c 1", "<stdin>#1 | two | A <a@b.c>", "  modify y.c 1"}},
		{"two mails of two sets stay in order", "From " + long + " Mon Sep 17 00:00:00 2001\nFrom: A <a@b.c>\nSubject: [PATCH 2/2] two\n\nlog\n---\n--- a/y.c\n+++ b/y.c\n" + hunk + "\nFrom 1" + long[1:] + " Mon Sep 17 00:00:00 2001\nFrom: A <a@b.c>\nSubject: [PATCH 1/3] one\n\nlog\n---\n" + diff,
			[]string{"<stdin>#1 | two | A <a@b.c>", "  modify y.c 1", "<stdin>#2 | one | A <a@b.c>", "  modify x.c 1"}},
		{"two mails without numbers stay in order", "From " + long + " Mon Sep 17 00:00:00 2001\nFrom: A <a@b.c>\nSubject: [PATCH] two\n\nlog\n---\n--- a/y.c\n+++ b/y.c\n" + hunk + "\nFrom 1" + long[1:] + " Mon Sep 17 00:00:00 2001\nFrom: A <a@b.c>\nSubject: [PATCH] one\n\nlog\n---\n" + diff,
			[]string{"<stdin>#1 | two | A <a@b.c>", "  modify y.c 1", "<stdin>#2 | one | A <a@b.c>", "  modify x.c 1"}},
		{"blank lines before a mail", "\n\n" + header + "\nlog\n---\n" + diff, []string{"<stdin> | q | A <a@b.c>", "  modify x.c 1"}},
		{"base64 with blanks", "From: A <a@b.c>\nSubject: q\nContent-Transfer-Encoding: base64\n\n LS0t IGEveC5j\tCisrKyBiL3guYwpAQCAtMSwyICsxLDIgQEAK\r\nIHgKLWEKK2IK\n", []string{"<stdin> | q | A <a@b.c>", "  modify x.c 1"}},
		{"both sides at position zero", "--- a/n.c\n+++ b/n.c\n@@ -0,0 +1 @@\n+x\n", []string{"<stdin>", "  create n.c 1"}},
		{"insertion behind the first line", "--- a/n.c\n+++ b/n.c\n@@ -1,0 +2 @@\n+x\n", []string{"<stdin>", "  modify n.c 1"}},
		{"blank line without its mark", "--- a/x.c\n+++ b/x.c\n@@ -1,3 +1,3 @@\n x\n\n-a\n+b\n", []string{"<stdin>", "  modify x.c 1"}},
		{"blank line of CR LF", "--- a/x.c\r\n+++ b/x.c\r\n@@ -1,3 +1,3 @@\r\n x\r\n\r\n-a\r\n+b\r\n", []string{"<stdin>", "  modify x.c 1"}},
		{"no newline at the end, of both", "--- a/x.c\n+++ b/x.c\n@@ -1 +1 @@\n-a\n\\ No newline at end of file\n+b\n\\ No newline at end of file\n--- a/y.c\n+++ b/y.c\n" + hunk, []string{"<stdin>", "  modify x.c 1", "  modify y.c 1"}},
		{"prose like a context diff", "*** a\n--- b\nprose\n" + diff, []string{"<stdin> | *** a | ", "  modify x.c 1"}},
		{"prose like a hunk", "@@ -x @@\n" + diff, []string{"<stdin> | @@ -x @@ | ", "  modify x.c 1"}},
		{"prose like a header", "--- a/x.c\n+++ b/x.c\nno hunk\n" + diff, []string{"<stdin> | +++ b/x.c | ", "  modify x.c 1"}},

		{"mail with a log that has a line like a header", header + "\n--- not\nlog\n+++ nor\n---\n" + diff, []string{"<stdin> | q | A <a@b.c>", "  modify x.c 1"}},
		{"mail without the three dashes", header + "\nlog\n" + diff, []string{"<stdin> | q | A <a@b.c>", "  modify x.c 1"}},
		{"mail with diff's own line", header + "\nlog\ndiff -ru a b\n" + diff, []string{"<stdin> | q | A <a@b.c>", "  modify x.c 1"}},
		{"mail with an index line", header + "\nlog\nIndex: x.c\n" + diff, []string{"<stdin> | q | A <a@b.c>", "  modify x.c 1"}},
		{"author without a name", "From: a@b.c\nSubject: q\n\nlog\n---\n" + diff, []string{"<stdin> | q | a@b.c", "  modify x.c 1"}},
		{"author that is no address", "From: somebody   else\nSubject: q\n\nlog\n---\n" + diff, []string{"<stdin> | q | somebody else", "  modify x.c 1"}},
		{"author in the body", header + "\n\nFrom:  B   <b@b.c>\n\nlog\n---\n" + diff, []string{"<stdin> | q | B <b@b.c>", "  modify x.c 1"}},
		{"tags and answers in the subject", "From: A <a@b.c>\nSubject: [PATCH v2 stable]  [RFC] mm:   fix\n\nlog\n---\n" + diff, []string{"<stdin> | mm: fix | A <a@b.c>", "  modify x.c 1"}},
		{"encoded subject", "From: A <a@b.c>\nSubject: =?utf-8?q?f=C3=BCr?=\n\nlog\n---\n" + diff, []string{"<stdin> | für | A <a@b.c>", "  modify x.c 1"}},
		{"fields of a Debian patch", "Author:   A   B  <a@b.c>\nSubject:  fix  it \nLast-Update: x\n" + diff, []string{"<stdin> | fix it | A B <a@b.c>", "  modify x.c 1"}},
		{"first of two authors", "Author: A <a@b.c>\nFrom: B <b@b.c>\nDescription: one\nSubject: two\n" + diff, []string{"<stdin> | one | A <a@b.c>", "  modify x.c 1"}},
		{"comments and rules are no prose", "# comment\n=====\n\nOnly in a: b\nfix it: now and then\n" + diff, []string{"<stdin> | fix it: now and then | ", "  modify x.c 1"}},
		{"HTML is the same once more", "From: A <a@b.c>\nSubject: q\nMIME-Version: 1.0\nContent-Type: multipart/alternative; boundary=\"B\"\n\n--B\nContent-Type: text/html\n\n" + diff + "\n--B\nContent-Type: image/png\n\n" + diff + "\n--B\nContent-Type: application/octet-stream\n\n" + diff + "\n--B\n\n--- a/y.c\n+++ b/y.c\n" + hunk + "--B--\n", []string{"<stdin> | q | A <a@b.c>", "  modify x.c 1", "  modify y.c 1"}},
		{"parts within parts", "From: A <a@b.c>\nSubject: q\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=\"B\"\n\n--B\nContent-Type: multipart/alternative; boundary=\"C\"\n\n--C\nContent-Type: text/plain\n\n" + diff + "--C--\n--B--\n", []string{"<stdin> | q | A <a@b.c>", "  modify x.c 1"}},
		{"a line From in a mail", "From " + long + " Mon Sep 17 00:00:00 2001\n" + header + "\nlog\n\nFrom now on: it works\n---\n" + diff, []string{"<stdin> | q | A <a@b.c>", "  modify x.c 1"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, err := Read([]string{"-"}, ReadOptions{Stdin: strings.NewReader(c.text)})
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(c.want, brief(s)); d != "" {
				t.Errorf("(-want +got)\n%s", d)
			}
		})
	}

	for text, want := range map[string]string{diff: "", "why\n\n" + diff: "why\n\n", header + "\nwhy\n---\n" + diff: "why\n"} {
		if got := readOne(t, text).Patches[0].Log; strings.TrimPrefix(got, "\n") != want {
			t.Errorf("log %q, want %q", got, want)
		}
	}
	s := readOne(t, "commit "+long+"\nAuthor: A <a@b.c>\n\n    fix\n\n"+diff)
	if s.Patches[0].Commit != long {
		t.Errorf("commit %q", s.Patches[0].Commit)
	}
	s = readOne(t, "commit to it\n\n"+diff)
	if p := s.Patches[0]; p.Commit != "" || p.Subject != "commit to it" {
		t.Errorf("%q, %q", p.Commit, p.Subject)
	}
}

// More that is refused, with the line and what to do.
func TestReadRefusesMore(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"submodule", "diff --git a/l b/l\nnew file mode 160000\nindex 0..2\n--- /dev/null\n+++ b/l\n@@ -0,0 +1 @@\n+Subproject commit 1\n", "b/l: is a submodule"},
		{"directory", "diff --git a/l b/l\nold mode 040000\nnew mode 100644\n", "b/l: is a directory"},
		{"link that goes", "diff --git a/l b/l\ndeleted file mode 120000\nindex 1..0\n--- a/l\n+++ /dev/null\n@@ -1 +0,0 @@\n-/etc\n\\ No newline at end of file\n", "is a symbolic link"},
		{"type change", "File a/x is a directory while file b/x is a symbolic link\n", "a/x: changes from directory to symbolic link"},
		{"deleted file that keeps lines", "--- a/x\n+++ /dev/null\n" + hunk, "line 1: deleted file keeps lines"},
		{"carriage return in a hunk", "--- a/x\n+++ b/x\n@@ -1,2 +1,2 @@\n\rx\n-a\n+b\n", "line 4: line in a hunk starts with a carriage return"},
		{"malformed name", "--- \"a/x\n+++ b/x\n" + hunk, "line 1: malformed file name"},
		{"malformed second name", "--- a/x\n+++ \"b/x\n" + hunk, "line 2: malformed file name"},
		{"malformed name of a rename", "diff --git a/o b/n\nsimilarity index 100%\nrename from \"o\nrename to n\n", "line 3: malformed file name"},
		{"names that do not agree", "diff --git a/o b/n\nold mode 100644\nnew mode 100755\n", "line 1: cannot tell the file names"},
		{"a hunk without lines", "--- a/x\n+++ b/x\n@@ -1,0 +1,0 @@\n", "line 3: hunk has no lines"},
		{"more new lines", "--- a/x\n+++ b/x\n@@ -1,2 +1 @@\n-a\n+b\n+c\n-d\n", "line 3: hunk has more lines than its header says"},
		{"cut off", "--- a/x\n+++ b/x\n@@ -1,3 +1,4 @@\n x\n-a\n", "line 3: hunk is cut off: 1 old and 3 new lines are missing"},
		{"ends early", "--- a/x\n+++ b/x\n@@ -1,3 +1,4 @@\n x\n-a\nfoo\n", "line 6: hunk ends early: 1 old and 3 new lines are missing"},
		{"long line", "--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+" + strings.Repeat("x", maxLine+1) + "\n", fmt.Sprintf("line 5: a line of more than %d bytes", maxLine)},
	} {
		if s, err := Read([]string{"-"}, ReadOptions{Stdin: strings.NewReader(c.text)}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, error %v; want %q", c.name, s, err, c.want)
		}
	}

	text := "--- a/1.c\n+++ b/1.c\n" + hunk
	for limit, ok := range map[int64]bool{int64(len(text)): true, int64(len(text)) - 1: false} {
		if _, err := Read([]string{"-"}, ReadOptions{MaxBytes: limit, Stdin: strings.NewReader(text)}); (err == nil) != ok {
			t.Errorf("%d bytes at most: %v", limit, err)
		}
	}
	for series, ok := range map[string]bool{"p -p100": true, "p -p101": false, "p -p-1": false, "p -px": false, "p -p": false, "p -p1 -p0": true, "p -R": false, "/p": false, "a/../p": false, "./p": true} {
		list, err := parseQuilt("series", series, 0)
		if (err == nil) != ok || ok && (len(list) != 1 || list[0].name != "p" || list[0].line != 1) {
			t.Errorf("%s: %+v, %v", series, list, err)
		}
	}
	for series, strip := range map[string]int{"p": 7, "p -p0": StripNone, "p -p1": 1, "p -p 2": 2, "p -p3 # x": 3, "p -pab": 1} {
		if list, err := parseQuilt("series", series, 7); err != nil || list[0].strip != strip {
			t.Errorf("%s: %+v, %v", series, list, err)
		}
	}
	for name, ok := range map[string]bool{"a/b.c": true, "./a": true, "a//b": true, "a/./b": true, ".": false, "./": false, "a/": false, "/a": false, "": false, "a/.git/b": false, ".gitignore": true, "a/..": false, "a/../b": false, "a/...": true, "a\x00": false,
		"a\n": false, "\xff": false, strings.Repeat("x", 255): true, strings.Repeat("x", 256): false, strings.Repeat("x/", 1023) + "yy": true, strings.Repeat("x/", 1024) + "y": false} {
		clean, err := checkPath("p", name)
		if (err == nil) != ok || ok && clean != filepath.Clean(name) {
			t.Errorf("%.20q: %q, %v", name, clean, err)
		}
	}
}

// Files that come, go and move, in one patch and over several.
func TestApplyFiles(t *testing.T) {
	rename := "diff --git a/o.c b/n.c\nsimilarity index 100%\nrename from o.c\nrename to n.c\n"
	for _, c := range []struct {
		name    string
		tree    map[string]string
		patches []string
		want    map[string]string
		fails   string
	}{
		{name: "an empty file goes", tree: map[string]string{"x.c": ""}, patches: []string{"diff --git a/x.c b/x.c\ndeleted file mode 100644\nindex e..0\n"}, want: map[string]string{"x.c": "(deleted)"}},
		{name: "an empty file comes", patches: []string{"diff --git a/x.c b/x.c\nnew file mode 100644\nindex 0..e\n"}, want: map[string]string{"x.c": ""}},
		{name: "renamed, and another takes its name", tree: map[string]string{"o.c": "1\n2\n3\n"}, want: map[string]string{"n.c": "1\n2\n3\n", "o.c": "1\nzwei\n3\n"},
			patches: []string{rename + "diff --git a/o.c b/o.c\n--- a/o.c\n+++ b/o.c\n@@ -1,3 +1,3 @@\n 1\n-2\n+zwei\n 3\n"}},
		{name: "two change names", tree: map[string]string{"a.c": "a\n", "b.c": "b\n"}, want: map[string]string{"a.c": "b\n", "b.c": "a\n"},
			patches: []string{"diff --git a/a.c b/b.c\nsimilarity index 100%\nrename from a.c\nrename to b.c\ndiff --git a/b.c b/a.c\nsimilarity index 100%\nrename from b.c\nrename to a.c\n"}},
		{name: "renamed after a failure", tree: map[string]string{"o.c": "1\n"}, fails: "o.c: hunk 1", patches: []string{"--- a/o.c\n+++ b/o.c\n@@ -1 +1 @@\n-x\n+y\n", rename}},
		{name: "changed after a failure", tree: map[string]string{"o.c": "1\n"}, fails: "o.c: hunk 1", patches: []string{"--- a/o.c\n+++ b/o.c\n@@ -1 +1 @@\n-x\n+y\n", "--- a/o.c\n+++ b/o.c\n@@ -1 +1 @@\n-z\n+y\n"}},
		{name: "a line without newline in the middle", tree: map[string]string{"x.c": "1\n2"}, fails: "a line without newline would be followed by another",
			patches: []string{"--- a/x.c\n+++ b/x.c\n@@ -2,0 +3 @@\n+3\n"}},
		{name: "the other name, below a directory", tree: map[string]string{"fs/x.c": "1\n"}, want: map[string]string{"fs/x.c": "2\n"}, patches: []string{"--- a/fs/x.c\n+++ b/fs/y.c\n@@ -1 +1 @@\n-1\n+2\n"}},
		{name: "names fit as they are", tree: map[string]string{"b/x.c": "1\n"}, want: map[string]string{"b/x.c": "2\n"}, patches: []string{"--- a/x.c\n+++ b/x.c\n@@ -1 +1 @@\n-1\n+2\n"}},
		{name: "created although empty is there", tree: map[string]string{"x.c": ""}, want: map[string]string{"x.c": "1\n"}, patches: []string{"--- a/x.c\n+++ b/x.c\n@@ -0,0 +1 @@\n+1\n"}},
		{name: "created by word although empty is there", tree: map[string]string{"x.c": ""}, fails: "file to create exists", patches: []string{"--- /dev/null\n+++ b/x.c\n@@ -0,0 +1 @@\n+1\n"}},
		{name: "both hunks of one file, in two sections", tree: map[string]string{"x.c": "1\n2\n3\n"}, fails: "x.c: hunk 2", patches: []string{"--- a/x.c\n+++ b/x.c\n@@ -1 +1 @@\n-1\n+one\n--- a/x.c\n+++ b/x.c\n@@ -3 +3 @@\n-x\n+y\n"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := &Series{}
			for _, p := range c.patches {
				s.Patches = append(s.Patches, readOne(t, p).Patches...)
			}
			o, err := s.Apply(tree(c.tree), ApplyOptions{})
			if c.fails != "" {
				var list ApplyErrors
				if !errors.As(err, &list) || len(list) != 1 || !strings.Contains(list[0].Error(), c.fails) {
					t.Errorf("%v, want one failure: %q", err, c.fails)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(c.want, after(o)); d != "" {
				t.Errorf("(-want +got)\n%s", d)
			}
		})
	}
}

// A rename that is in the tree already is recognized by undoing it; what cannot be undone
// from the patch alone conflicts.
func TestSiftKinds(t *testing.T) {
	rename := "diff --git a/a.c b/b.c\nsimilarity index 90%\nrename from a.c\nrename to b.c\n--- a/a.c\n+++ b/b.c\n@@ -2,3 +2,3 @@\n line 2\n-line 3\n+three\n line 4\n"
	remove := "--- a/c.c\n+++ /dev/null\n@@ -1 +0,0 @@\n-c\n"
	for name, c := range map[string]struct {
		patches       []string
		kept, present []string
		conflict      bool
	}{
		"renamed twice":   {[]string{rename, rename}, []string{"1.patch"}, []string{"2.patch"}, false},
		"removed":         {[]string{remove}, nil, []string{"1.patch"}, false},
		"copied twice":    {[]string{strings.ReplaceAll(rename, "rename ", "copy "), strings.ReplaceAll(rename, "rename ", "copy ")}, nil, nil, true},
		"mode and a line": {[]string{"diff --git a/a.c b/a.c\nold mode 100644\nnew mode 100755\n", change(3, "three", "line 3")}, []string{"1.patch"}, []string{"2.patch"}, false},
	} {
		dir := filterTree(t)
		kept, present, err := filterSeries(t, c.patches...).FilterDir(dir, ApplyOptions{})
		var conflict *ConflictError
		if errors.As(err, &conflict) != c.conflict {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if c.conflict {
			if text := err.Error(); !strings.HasPrefix(text, "patch 2.patch conflicts with patch 1.patch: ") || !errors.As(err, new(*ApplyError)) {
				t.Errorf("%s: %s", name, text)
			}
			continue
		}
		if d := cmp.Diff([][]string{c.kept, c.present}, [][]string{ids(kept), ids(present)}); d != "" {
			t.Errorf("%s: kept, present (-want +got)\n%s", name, d)
		}
	}
	if _, _, err := (&Series{}).FilterDir(filepath.Join(t.TempDir(), "none"), ApplyOptions{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no tree: %v", err)
	}
	alone := &ConflictError{Patch: &Patch{ID: "p", Subject: "s"}, Err: errors.New("why")}
	if got := alone.Error(); got != "patch p (s) does not fit the source: why" {
		t.Error(got)
	}
	for line, want := range map[string]bool{"#else\n": true, "# elif X\n": true, " #endif /* x */\n": true, "#elifdef X": true, "#if X\n": false, "else\n": false, "#define else\n": false, "#e": false, "#end": false} {
		if got := endsBranch(line); got != want {
			t.Errorf("endsBranch(%q) is %v", line, got)
		}
	}
}

// A hunk that was applied already is recognized by its new lines, if these say something.
func TestReverses(t *testing.T) {
	file := newText([]byte("int f(void)\n{\n\ta();\n\tb();\n}\n\n")).lines
	for text, want := range map[string]bool{
		" \ta();\n-\tx();\n+\tb();\n }\n": true, "-\tx();\n+\tb();\n": true, " {\n-\tx();\n }\n": false, "-x\n }\n": false, "-x\n \n": false, "+\tz();\n": false, "-\tx();\n \tb();\n": false, " \ta();\n-\tx();\n \tb();\n": true, "+}\n": true, "+\n": false, "-x\n": false,
	} {
		old, newer := 0, 0
		for line := range strings.Lines(text) {
			if line[0] != '+' {
				old++
			}
			if line[0] != '-' {
				newer++
			}
		}
		hunks := readOne(t, fmt.Sprintf("--- a/x.c\n+++ b/x.c\n@@ -%d,%d +%d,%d @@\n%s", min(old, 1), old, min(newer, 1), newer, text)).Patches[0].Files[0].Hunks
		if got := reverses(file, hunks[0]); got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
}

// A file that set its own line numbers on either side keeps none.
func TestOwnLinesOnOneSide(t *testing.T) {
	with, without := "int a;\n#line 7\nint b;\nint c;\n", "int a;\nint n;\nint m;\nint b;\nint c;\n"
	for _, c := range [][2]string{{with, without}, {without, with}} {
		if f := overlayOf(t, "f.c", c[0], c[1]); string(f.Stable) != c[1] {
			t.Errorf("stable text %q of %q", f.Stable, c[1])
		}
	}
}
