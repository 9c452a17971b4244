package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestFigures measures a file whose figures can be counted by eye.
func TestFigures(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "sample")
	if err := os.MkdirAll(filepath.Join(dir, "testdata"), 0o755); err != nil {
		t.Fatal(err)
	}
	const text = `// Package sample is short.
package sample

type hidden struct{}

// Open is exported.
func Open(n int) int {
	a, second := 1, 2
	for i := range n {
		if i > 1 && a > 0 {
			return second
		}
	}
	return 0
}

func (hidden) Close() {}
`
	for name, text := range map[string]string{"a.go": text, "a_test.go": "not Go", "testdata/b.go": "not Go"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	var out strings.Builder
	if err := run(&out, []string{dir}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"|  | sample |",
		"| functions | 2 |",
		"| function lines, median / p95 / max | 9 / 9 / 9 |",
		"| decisions per function, median / p95 / max | 3 / 3 / 3 |", // for, if, &&
		"| file lines, median / p95 / max | 17 / 17 / 17 |",
		"| whole-line comments, % | 11.8 |",
		"| blank lines, % | 17.6 |",
		"| one-letter locals, % | 66.7 |", // a and i, not second
		"| exported names per package, median / p95 / max | 1 / 1 / 1 |",
	} {
		if !strings.Contains(out.String(), want+"\n") {
			t.Errorf("no line %q in\n%s", want, out.String())
		}
	}
}
