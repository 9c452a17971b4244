package kbuild

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestAdaptTools: objtool's source is changed in the private tree alone, where it asks for
// what the sandbox does not give.
func TestAdaptTools(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"v7.2":         {"int init_signal_handler(void)\n{\n\tif (read_stack_limit())\n\t\treturn -1;\n", "if (0 && read_stack_limit())"},
		"another kind": {"int init_signal_handler(void)\n{\n\treturn 0;\n", "{\n\treturn 0;\n"},
		"none":         {"", ""},
	} {
		dir := t.TempDir()
		p := &preparation{tree: filepath.Join(dir, "linux")}
		shared := filepath.Join(dir, "source.c")
		path := filepath.Join(p.tree, signalFile)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if c.text != "" {
			if err := os.WriteFile(shared, []byte(c.text), 0o644); err != nil {
				t.Fatal(err)
			}
			if err := os.Link(shared, path); err != nil {
				t.Fatal(err)
			}
		}
		if err := p.adaptTools(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if c.text == "" {
			continue
		}
		got, err := os.ReadFile(path)
		if err != nil || !strings.Contains(string(got), c.want) {
			t.Errorf("%s: %v: the tree has %q", name, err, got)
		}
		if source, err := os.ReadFile(shared); err != nil || string(source) != c.text {
			t.Errorf("%s: %v: the source was changed to %q", name, err, source)
		}
	}
}
