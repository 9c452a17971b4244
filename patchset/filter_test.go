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

// filterTree writes a.c with twenty numbered lines and returns its directory.
func filterTree(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	var b strings.Builder
	for i := range 20 {
		fmt.Fprintf(&b, "line %d\n", i+1)
	}
	if err := os.WriteFile(filepath.Join(dir, "a.c"), []byte(b.String()), 0o666); err != nil {
		t.Fatal(err)
	}
	return dir
}

// change makes a patch of line n of a.c.
func change(n int, old, newer string) string {
	return fmt.Sprintf("--- a/a.c\n+++ b/a.c\n@@ -%d,3 +%d,3 @@\n line %d\n-%s\n+%s\n line %d\n", n-1, n-1, n-1, old, newer, n+1)
}

func filterSeries(t *testing.T, patches ...string) *Series {
	t.Helper()
	var paths []string
	for i, text := range patches {
		p := filepath.Join(t.TempDir(), fmt.Sprintf("%d.patch", i+1))
		if err := os.WriteFile(p, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
		paths = append(paths, p)
	}
	s, err := Read(paths, ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func ids(list []*Patch) []string {
	var out []string
	for _, p := range list {
		out = append(out, p.ID)
	}
	return out
}

func TestFilter(t *testing.T) {
	createB := "--- /dev/null\n+++ b/b.c\n@@ -0,0 +1 @@\n+b\n"
	for _, c := range []struct {
		name          string
		patches       []string
		kept, present []string
		patch, with   string
	}{
		{"all lacking", []string{change(3, "line 3", "three"), change(9, "line 9", "nine")}, []string{"1.patch", "2.patch"}, nil, "", ""},
		{"one there", []string{change(3, "three", "line 3"), change(9, "line 9", "nine")}, []string{"2.patch"}, []string{"1.patch"}, "", ""},
		{"two hunks there", []string{"--- a/a.c\n+++ b/a.c\n@@ -2,3 +2,3 @@\n line 2\n-three\n+line 3\n line 4\n@@ -12,3 +12,4 @@\n line 12\n+line 13\n line 14\n line 15\n"}, nil, []string{"1.patch"}, "", ""},
		{"same twice", []string{change(3, "line 3", "three"), change(3, "line 3", "three")}, []string{"1.patch"}, []string{"2.patch"}, "", ""},
		{"new file there", []string{createB, createB}, []string{"1.patch"}, []string{"2.patch"}, "", ""},
		{"half there", []string{"--- a/a.c\n+++ b/a.c\n@@ -2,3 +2,3 @@\n line 2\n-three\n+line 3\n line 4\n@@ -12,3 +12,3 @@\n line 12\n-line 13\n+thirteen\n line 14\n"}, nil, nil, "1.patch", ""},
		{"no fit", []string{change(9, "line 9", "nine"), change(3, "drei", "three")}, nil, nil, "2.patch", ""},
		{"conflict", []string{change(9, "line 9", "nine"), change(3, "line 3", "three"), change(15, "line 15", "x"), change(3, "line 3", "drei")}, nil, nil, "4.patch", "2.patch"},
		{"builds on one, conflicts with another", []string{change(3, "line 3", "three"), change(3, "three", "drei"), change(3, "three", "tres")}, nil, nil, "3.patch", "2.patch"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := filterTree(t)
			kept, present, err := filterSeries(t, c.patches...).FilterDir(dir, ApplyOptions{})
			if c.patch != "" {
				var ce *ConflictError
				if !errors.As(err, &ce) {
					t.Fatalf("got %v, want a conflict", err)
				}
				with := ""
				if ce.With != nil {
					with = ce.With.ID
				}
				if ce.Patch.ID != c.patch || with != c.with {
					t.Errorf("%s conflicts with %q, want %s with %q", ce.Patch.ID, with, c.patch, c.with)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff([][]string{c.kept, c.present}, [][]string{ids(kept), ids(present)}); d != "" {
				t.Errorf("kept, present (-want +got)\n%s", d)
			}
		})
	}
}
