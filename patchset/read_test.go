package patchset

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/klpforge/klpforge/finding"
)

// brief shows a series in a form that tables can hold.
func brief(s *Series) []string {
	var out []string
	for _, p := range s.Patches {
		line := p.ID
		if p.Subject != "" || p.Author != "" {
			line += " | " + p.Subject + " | " + p.Author
		}
		out = append(out, line)
		for _, c := range p.Files {
			name := c.Path
			if c.OldPath != "" {
				name = c.OldPath + " => " + name
			}
			out = append(out, fmt.Sprintf("  %s %s %d", c.Kind, name, len(c.Hunks)))
		}
	}
	return out
}

const hunk = "@@ -1,2 +1,2 @@\n x\n-a\n+b\n"

func TestReadText(t *testing.T) {
	tests := []struct {
		name, text string
		strip      int
		want       []string
	}{
		{"git", "diff --git a/fs/x.c b/fs/x.c\nindex 1..2 100644\n--- a/fs/x.c\n+++ b/fs/x.c\n" + hunk, 0, []string{"<stdin>", "  modify fs/x.c 1"}},
		{"git without prefix", "diff --git fs/x.c fs/x.c\nindex 1..2 100644\n--- fs/x.c\n+++ fs/x.c\n" + hunk, 0, []string{"<stdin>", "  modify fs/x.c 1"}},
		{"git mnemonic prefix", "diff --git i/fs/x.c w/fs/x.c\n--- i/fs/x.c\n+++ w/fs/x.c\n" + hunk, 0, []string{"<stdin>", "  modify fs/x.c 1"}},
		{"git new", "diff --git a/n.c b/n.c\nnew file mode 100644\nindex 0..2\n--- /dev/null\n+++ b/n.c\n@@ -0,0 +1 @@\n+int a;\n", 0, []string{"<stdin>", "  create n.c 1"}},
		{"git new empty", "diff --git a/n.c b/n.c\nnew file mode 100644\nindex 0..0\n", 0, []string{"<stdin>", "  create n.c 0"}},
		{"git delete", "diff --git a/n.c b/n.c\ndeleted file mode 100644\nindex 2..0\n--- a/n.c\n+++ /dev/null\n@@ -1 +0,0 @@\n-int a;\n", 0, []string{"<stdin>", "  delete n.c 1"}},
		{"git rename", "diff --git a/o.c b/d/n.c\nsimilarity index 100%\nrename from o.c\nrename to d/n.c\n", 0, []string{"<stdin>", "  rename o.c => d/n.c 0"}},
		{"git rename and edit", "diff --git a/o.c b/d/n.c\nsimilarity index 90%\nrename from o.c\nrename to d/n.c\n--- a/o.c\n+++ b/d/n.c\n" + hunk, 0, []string{"<stdin>", "  rename o.c => d/n.c 1"}},
		{"git copy", "diff --git a/o.c b/n.c\nsimilarity index 90%\ncopy from o.c\ncopy to n.c\n--- a/o.c\n+++ b/n.c\n" + hunk, 0, []string{"<stdin>", "  copy o.c => n.c 1"}},
		{"git mode", "diff --git a/s.sh b/s.sh\nold mode 100644\nnew mode 100755\n", 0, []string{"<stdin>", "  mode s.sh 0"}},
		{"git quoted name", "diff --git \"a/f\\303\\251 \\\"q\\\".c\" \"b/f\\303\\251 \\\"q\\\".c\"\n--- \"a/f\\303\\251 \\\"q\\\".c\"\n+++ \"b/f\\303\\251 \\\"q\\\".c\"\n" + hunk, 0, []string{"<stdin>", "  modify fé \"q\".c 1"}},
		{"git name with blanks", "diff --git a/x y.c b/x y.c\n--- a/x y.c\t\n+++ b/x y.c\t\n" + hunk, 0, []string{"<stdin>", "  modify x y.c 1"}},
		{"diff -ru with trees and noise", "Only in linux.orig: y\ndiff -ru linux.orig/fs/x.c linux/fs/x.c\n--- linux.orig/fs/x.c\t2024-01-01 10:00:00.000000000 +0100\n+++ linux/fs/x.c\t2024-01-02 10:00:00.000000000 +0100\n" + hunk + "Only in linux/fs: z.c\n", 0, []string{"<stdin>", "  modify fs/x.c 1"}},
		{"diff of deeper trees", "--- w/old/fs/x.c\n+++ w/new/fs/x.c\n" + hunk, 0, []string{"<stdin>", "  modify fs/x.c 1"}},
		{"diff against backup", "--- fs/x.c.orig\n+++ fs/x.c\n" + hunk, 0, []string{"<stdin>", "  modify fs/x.c 1"}},
		{"diff -N new file", "diff -ruN o/n.c w/n.c\n--- o/n.c\t1970-01-01 01:00:00.000000000 +0100\n+++ w/n.c\t2024-01-02 10:00:00.000000000 +0100\n@@ -0,0 +1 @@\n+int a;\n", 0, []string{"<stdin>", "  create n.c 1"}},
		{"diff -N removed file", "--- o/n.c\t2024-01-02 10:00:00.000000000 +0100\n+++ w/n.c\t1970-01-01 00:00:00.000000000 +0000\n@@ -1 +0,0 @@\n-int a;\n", 0, []string{"<stdin>", "  delete n.c 1"}},
		{"both sides at the epoch", "--- o/n.c\t1970-01-01 00:00:00.000000000 +0000\n+++ w/n.c\t1970-01-01 00:00:00.000000000 +0000\n" + hunk, 0, []string{"<stdin>", "  modify n.c 1"}},
		{"names that do not agree take the level of the others", "--- /dev/null\n+++ p/v/n.c\n@@ -0,0 +1 @@\n+x\n--- p/u/fs/x.c\n+++ p/v/fs/x.c\n" + hunk, 0, []string{"<stdin>", "  create n.c 1", "  modify fs/x.c 1"}},
		{"explicit level", "--- one/two/fs/x.c\n+++ one/two/fs/x.c\n" + hunk, 2, []string{"<stdin>", "  modify fs/x.c 1"}},
		{"explicit level of absolute names", "--- /usr/src/linux/fs/x.c\n+++ /usr/src/linux/fs/x.c\n" + hunk, 4, []string{"<stdin>", "  modify fs/x.c 1"}},
		{"explicit none", "--- a/x.c\n+++ a/x.c\n" + hunk, StripNone, []string{"<stdin>", "  modify a/x.c 1"}},
		{"CRLF", strings.ReplaceAll("--- a/x.c\n+++ b/x.c\n"+hunk, "\n", "\r\n"), 0, []string{"<stdin>", "  modify x.c 1"}},
		{"byte order mark", "\ufeff--- a/x.c\n+++ b/x.c\n" + hunk, 0, []string{"<stdin>", "  modify x.c 1"}},
		{"removed line that looks like a header", "--- a/x.c\n+++ b/x.c\n@@ -1,3 +1,3 @@\n-- old\n--- a/y.c\n+++ b/y.c\n+++ more\n x\n", 0, []string{"<stdin>", "  modify x.c 1"}},
		{"signature", "--- a/x.c\n+++ b/x.c\n" + hunk + "-- \n2.39.2\n\n", 0, []string{"<stdin>", "  modify x.c 1"}},
		{"svn", "Index: fs/x.c\n=====\n--- fs/x.c\t(revision 1)\n+++ fs/x.c\t(working copy)\n" + hunk, 0, []string{"<stdin>", "  modify fs/x.c 1"}},
		{"git show", "commit 0123456789012345678901234567890123456789\nAuthor: A B <a@b.c>\nDate:   x\n\n    fix: it\n\n    more\n\ndiff --git a/x.c b/x.c\n--- a/x.c\n+++ b/x.c\n" + hunk, 0, []string{"<stdin> | fix: it | A B <a@b.c>", "  modify x.c 1"}},
		{"Debian header", "Description: fix it\n in full\nAuthor: A B <a@b.c>\nOrigin: x\n--- a/x.c\n+++ b/x.c\n" + hunk, 0, []string{"<stdin> | fix it | A B <a@b.c>", "  modify x.c 1"}},
		{"prose", "Repair the thing.\n\nIndex: x\n--- a/x.c\n+++ b/x.c\n" + hunk, 0, []string{"<stdin> | Repair the thing. | ", "  modify x.c 1"}},
		{"format-patch", mail1, 0, []string{"<stdin> | mm: fix | Jörg B <j@b.c>", "  modify x.c 1"}},
		{"mbox with cover letter, out of order, and an answer", mbox, 0, []string{
			"<stdin>#3 | mm: one | A <a@b.c>", "  modify x.c 1",
			"<stdin>#2 | mm: two | Real Author <r@b.c>", "  modify y.c 1",
		}},
		{"quoted-printable", "From: A <a@b.c>\nSubject: [PATCH] q\nMIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: quoted-printable\n\nlog\n---\n--- a/x.c\n+++ b/x.c\n@@ -1,2 +1,2 @@\n x\n-a =3D =\n1;\n+b =3D 1;\n", 0, []string{"<stdin> | q | A <a@b.c>", "  modify x.c 1"}},
		{"base64", "From: A <a@b.c>\nSubject: [PATCH] q\nContent-Transfer-Encoding: base64\n\nLS0tIGEveC5jCisrKyBiL3guYwpAQCAtMSwyICsxLDIgQEAK\nIHgKLWEKK2IK\n", 0, []string{"<stdin> | q | A <a@b.c>", "  modify x.c 1"}},
		{"multipart", "From: A <a@b.c>\nSubject: [PATCH] q\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=\"B\"\n\n--B\nContent-Type: text/plain\n\nlog\n--B\nContent-Type: text/x-patch; name=x.patch\n\n--- a/x.c\n+++ b/x.c\n" + hunk + "\n--B--\n", 0, []string{"<stdin> | q | A <a@b.c>", "  modify x.c 1"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, err := Read([]string{"-"}, ReadOptions{Stdin: strings.NewReader(tt.text), Strip: tt.strip})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, brief(s)); diff != "" {
				t.Errorf("series (-want +got):\n%s", diff)
			}
		})
	}
}

const mail1 = "From 0123456789012345678901234567890123456789 Mon Sep 17 00:00:00 2001\n" +
	"From: =?UTF-8?q?J=C3=B6rg=20B?= <j@b.c>\nDate: Tue, 2 Jan 2024 10:00:00 +0100\nSubject: [PATCH v2 1/1] mm:\n fix\n\n" +
	"A log with a diff in it:\n\n @@ -1 +1 @@\nBinary files a and b differ\nSigned-off-by: J\n---\n x.c | 2 +-\n 1 file changed\n\n" +
	"diff --git a/x.c b/x.c\nindex 1..2 100644\n--- a/x.c\n+++ b/x.c\n" + hunk + "-- \n2.39.2\n\n"

const mbox = "From 0000000000000000000000000000000000000000 Mon Sep 17 00:00:00 2001\nFrom: A <a@b.c>\nSubject: [PATCH 0/2] mm: cover\n\nHello,\n>From here on it is escaped.\n\n-- \n2.39.2\n\n" +
	"From 0123456789012345678901234567890123456789 Mon Sep 17 00:00:00 2001\nFrom: A <a@b.c>\nSubject: [PATCH 2/2] mm: two\n\nFrom: Real Author <r@b.c>\n\nlog\n---\n--- a/y.c\n+++ b/y.c\n" + hunk + "-- \n2.39.2\n\n" +
	"From 1123456789012345678901234567890123456789 Mon Sep 17 00:00:00 2001\nFrom: A <a@b.c>\nSubject: [PATCH 1/2] mm: one\n\nFrom now on things change.\n---\n--- a/x.c\n+++ b/x.c\n" + hunk + "-- \n2.39.2\n\n" +
	"From a@b Mon Sep 17 00:00:00 2001\nFrom: B <a@b.c>\nSubject: Re: [PATCH 1/2] mm: one\n\nWhat of:\n--- a/x.c\n+++ b/x.c\n" + hunk + "\n"

func TestReadCommitAndNotes(t *testing.T) {
	s := readOne(t, mail1)
	if got, want := s.Patches[0].Commit, "0123456789012345678901234567890123456789"; got != want {
		t.Errorf("commit = %q, want %q", got, want)
	}
	if s = readOne(t, mbox); len(s.Notes) != 1 || s.Notes[0].Kind != finding.RemarkLeftOut || !strings.Contains(s.Notes[0].Text, "answer") {
		t.Errorf("notes = %q, want one about the answer left out", s.Notes)
	}
	s = readOne(t, "Only in a: x\n--- a/x.c\n+++ b/x.c\n"+hunk)
	if diff := cmp.Diff([]string{"Only in a: x"}, s.Patches[0].Notes); diff != "" {
		t.Errorf("notes (-want +got):\n%s", diff)
	}
}

func TestReadRefuses(t *testing.T) {
	head := func(name string) string { return "--- " + name + "\n+++ " + name + "\n" + hunk }
	tests := []struct {
		name, text string
		strip      int
		target     any
		want       string
	}{
		{"nothing", "", 0, ErrEmpty, "no unified diff"},
		{"prose only", "hello\n", 0, ErrEmpty, "no unified diff"},
		{"headers only", "--- a/x\n+++ b/x\n", 0, ErrEmpty, "no unified diff"},
		{"absolute", head("/etc/passwd"), 0, new(*PathError), "absolute"},
		{"parent", head("a/../../x"), 0, new(*PathError), `".."`},
		{"parent hidden by strip", head("../../x.c"), 2, new(*PathError), `".."`},
		{"parent in rename", "diff --git a/o b/n\nsimilarity index 100%\nrename from o\nrename to ../n\n", 0, new(*PathError), `".."`},
		{"quoted parent", "diff --git \"a/\\056\\056/x\" \"b/\\056\\056/x\"\n--- \"a/\\056\\056/x\"\n+++ \"b/\\056\\056/x\"\n" + hunk, 0, new(*PathError), `".."`},
		{"NUL", head("\"a/x\\000y\""), 0, new(*PathError), "NUL"},
		{"repository metadata", head("a/.git/hooks/x"), StripNone, new(*PathError), "metadata"},
		{"too much stripped", head("a/x.c"), 3, new(*PathError), "strip level"},
		{"git binary", "diff --git a/x b/x\nindex 1..2 100644\nGIT binary patch\nliteral 1\nIcmZ\n\n", 0, new(*BinaryError), "x is a binary change"},
		{"diff binary", "Binary files a/x.o and b/x.o differ\n", 0, new(*BinaryError), "x.o is a binary"},
		{"git binary without data", "diff --git a/x b/x\nindex 1..2 100644\nBinary files a/x and b/x differ\n", 0, new(*BinaryError), "x is a binary"},
		{"symlink", "diff --git a/l b/l\nnew file mode 120000\nindex 0..2\n--- /dev/null\n+++ b/l\n@@ -0,0 +1 @@\n+/etc\n\\ No newline at end of file\n", 0, new(*UnsupportedError), "symbolic link"},
		{"submodule", "diff --git a/l b/l\nindex 1..2 160000\n--- a/l\n+++ b/l\n@@ -1 +1 @@\n-Subproject commit 1\n+Subproject commit 2\n", 0, new(*UnsupportedError), "submodule"},
		{"type change", "File a/x is a directory while file b/x is a regular file\n", 0, new(*UnsupportedError), "changes from directory"},
		{"context diff", "*** a/x\n--- b/x\n***************\n*** 1 ****\n", 0, new(*ParseError), "diff -u"},
		{"merge diff", "diff --cc x\nindex 1,2..3\n", 0, new(*ParseError), "combined diff"},
		{"hunk alone", hunk, 0, new(*ParseError), "line 1: hunk without file header"},
		{"cut off", "--- a/x\n+++ b/x\n@@ -1,3 +1,3 @@\n x\n-a\n", 0, new(*ParseError), "line 3: hunk is cut off"},
		{"damaged", "--- a/x\n+++ b/x\n@@ -1,3 +1,3 @@\n x\nfoo\n", 0, new(*ParseError), "line 5: hunk ends early"},
		{"tabs eaten", "--- a/x\n+++ b/x\n@@ -1,3 +1,3 @@\n\tx\n", 0, new(*ParseError), "white space"},
		{"too many old lines", "--- a/x\n+++ b/x\n@@ -1 +1,2 @@\n-a\n-b\n+b\n", 0, new(*ParseError), "more lines"},
		{"huge counts", "--- a/x\n+++ b/x\n@@ -1,999999999999 +1 @@\n-a\n", 0, new(*ParseError), "malformed hunk header"},
		{"no change in hunk", "--- a/x\n+++ b/x\n@@ -1 +1 @@\n a\n", 0, new(*ParseError), "no changes"},
		{"newline lost in the middle", "--- a/x\n+++ b/x\n@@ -1,2 +1,2 @@\n-a\n\\ No newline at end of file\n+b\n c\n", 0, new(*ParseError), "without newline"},
		{"new file with old lines", "--- /dev/null\n+++ b/x\n" + hunk, 0, new(*ParseError), "new file has old lines"},
		{"error inside a mail names the line", strings.Replace(mail1, "@@ -1,2 +1,2 @@\n", "@@ -1,2 +1,9 @@\n", 1), 0, new(*ParseError), "line 20"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, err := Read([]string{"-"}, ReadOptions{Stdin: strings.NewReader(tt.text), Strip: tt.strip})
			if err == nil {
				t.Fatalf("read it as %v", brief(s))
			}
			if sentinel, ok := tt.target.(error); ok {
				if !errors.Is(err, sentinel) {
					t.Errorf("error %v is not %v", err, sentinel)
				}
			} else if !errors.As(err, tt.target) {
				t.Errorf("error %T %v, want a %T", err, err, tt.target)
			}
			if !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %q does not say %q", err, tt.want)
			}
		})
	}
}

func TestReadQuilt(t *testing.T) {
	patch := func(prefix, name string) string {
		return "--- " + prefix + "old/" + name + "\n+++ " + prefix + "new/" + name + "\n" + hunk
	}
	dir := writeTree(t, map[string]string{
		"series":          "# first things first\n\nfixes/one.patch\ntwo.patch -p0 # whole names\n  three.patch -p 2\t# deep\nfour.patch -pab\n#five.patch\n",
		"my.series":       "two.patch -R\n",
		"out.series":      "../x.patch\n",
		"lost.series":     "lost.patch\n",
		"nil.series":      "# nothing\n",
		"fixes/one.patch": patch("", "a.c"), "two.patch": "--- b/b.c\n+++ b/b.c\n" + hunk,
		"three.patch": patch("x/", "c.c"), "four.patch": patch("", "d.c"),
		"none/x": "",
	})
	want := []string{"fixes/one.patch", "  modify a.c 1", "two.patch", "  modify b/b.c 1", "three.patch", "  modify c.c 1", "four.patch", "  modify d.c 1"}
	for _, p := range []string{dir, filepath.Join(dir, "series")} {
		s, err := Read([]string{p}, ReadOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, brief(s)); diff != "" {
			t.Errorf("series (-want +got):\n%s", diff)
		}
	}
	var perr *ParseError
	if _, err := Read([]string{filepath.Join(dir, "my.series")}, ReadOptions{}); !errors.As(err, &perr) || perr.Line != 1 {
		t.Errorf("-R: error %v, want a ParseError in line 1", err)
	}
	var path *PathError
	if _, err := Read([]string{filepath.Join(dir, "out.series")}, ReadOptions{}); !errors.As(err, &path) {
		t.Errorf("name outside: error %v, want a PathError", err)
	}
	if _, err := Read([]string{filepath.Join(dir, "lost.series")}, ReadOptions{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing patch: error %v, want not-exist", err)
	}
	if _, err := Read([]string{filepath.Join(dir, "nil.series")}, ReadOptions{}); !errors.Is(err, ErrEmpty) {
		t.Errorf("empty series: error %v, want ErrEmpty", err)
	}
	if _, err := Read([]string{filepath.Join(dir, "none")}, ReadOptions{}); err == nil || !strings.Contains(err.Error(), "series file") {
		t.Errorf("directory without series: error %v", err)
	}
}

func TestReadOrderAndLimits(t *testing.T) {
	dir := writeTree(t, map[string]string{
		"b.patch": "--- a/1.c\n+++ b/1.c\n" + hunk,
		"a.patch": "--- a/2.c\n+++ b/2.c\n" + hunk,
	})
	s, err := Read([]string{filepath.Join(dir, "b.patch"), "-", filepath.Join(dir, "a.patch")}, ReadOptions{Stdin: strings.NewReader("--- a/3.c\n+++ b/3.c\n" + hunk)})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"1.c", "3.c", "2.c"}, s.Paths()); diff != "" {
		t.Errorf("paths (-want +got):\n%s", diff)
	}
	if _, err := Read([]string{"-", "-"}, ReadOptions{Stdin: strings.NewReader("--- a/3.c\n+++ b/3.c\n" + hunk)}); err == nil {
		t.Error("standard input read twice")
	}
	if _, err := Read([]string{filepath.Join(dir, "a.patch")}, ReadOptions{MaxBytes: 10}); err == nil || !strings.Contains(err.Error(), "larger than 10") {
		t.Errorf("limit: error %v", err)
	}
	if _, err := Read(nil, ReadOptions{}); !errors.Is(err, ErrEmpty) {
		t.Errorf("no paths: error %v, want ErrEmpty", err)
	}
}

func FuzzRead(f *testing.F) {
	for _, seed := range []string{mail1, mbox, "--- a/x\n+++ b/x\n" + hunk, strings.ReplaceAll("--- a/x\n+++ b/x\n"+hunk, "\n", "\r\n"),
		"diff --git a/o.c b/n.c\nsimilarity index 90%\ncopy from o.c\ncopy to n.c\n--- a/o.c\n+++ b/n.c\n" + hunk,
		"diff --git \"a/x\\000\" \"b/\\303\"\nold mode 100644\nnew mode 1\n@@ -0,0 +1 @@\n+\\ No newline at end of file\n",
		"--- a/x\t1970-01-01 00:00:00 +0000\n+++ b/x\n@@ -0,0 +1 @@\n+a\n\\ No newline at end of file\n",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := Read([]string{"-"}, ReadOptions{Stdin: strings.NewReader(text)})
		if (err == nil) == (s == nil) {
			t.Fatalf("error %v and series %v", err, s)
		}
		if err != nil {
			return
		}
		for _, p := range s.Paths() {
			if _, err := checkPath("", p); err != nil {
				t.Fatalf("read let a path through: %v", err)
			}
		}
	})
}
