package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestWriteEdits: several edits of a file are one patch, and text that is there twice, or not
// at all, is an error.
func TestWriteEdits(t *testing.T) {
	dir := t.TempDir()
	tree := filepath.Join(dir, "tree")
	if err := os.Mkdir(tree, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(tree, "a.c"), []byte("one\ntwo\ntwo\nthree\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "x.patch")
	if err := WriteEdits(t.Context(), tree, path, []Edit{{"a.c", "one\n", "1\n"}, {"a.c", "three\n", "3\n"}}); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"-one\n", "+1\n", "-three\n", "+3\n"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
	for _, old := range []string{"two\n", "four\n"} {
		if err := WriteEdits(t.Context(), tree, path, []Edit{{"a.c", old, "x\n"}}); err == nil {
			t.Errorf("%q was replaced", old)
		}
	}
}
