package patchset

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// readOne reads the text of one patch from standard input.
func readOne(t testing.TB, text string) *Series {
	t.Helper()
	s, err := Read([]string{"-"}, ReadOptions{Stdin: strings.NewReader(text)})
	if err != nil {
		t.Fatalf("read patch: %v", err)
	}
	return s
}

// writeTree writes files below a new directory. A value "-> x" makes a
// symbolic link to x.
func writeTree(t testing.TB, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		p := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		var err error
		if target, ok := strings.CutPrefix(text, "-> "); ok {
			err = os.Symlink(target, p)
		} else {
			err = os.WriteFile(p, []byte(text), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}
