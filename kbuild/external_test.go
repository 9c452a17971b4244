package kbuild

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestCopySource has links: whatever is written to the copy must stay in it.
func TestCopySource(t *testing.T) {
	top := t.TempDir()
	module, copied := filepath.Join(top, "module"), filepath.Join(top, "copy")
	kernel := filepath.Join(top, "kernel")
	for _, d := range []string{module + "/sub", module + "/.git", top + "/shared/deep", kernel + "/include", kernel + "/scripts", copied} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, f := range []string{module + "/sub/s.c", module + "/.git/config", module + "/old.ko", top + "/shared/deep/d.c", kernel + "/Makefile", top + "/one.c"} {
		if err := os.WriteFile(f, []byte("old"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	link := func(to, name string) {
		t.Helper()
		if err := os.Symlink(to, filepath.Join(module, name)); err != nil {
			t.Fatal(err)
		}
	}
	link("../shared", "shared")
	link(module+"/sub", "inside")
	link(kernel, "build")
	link("../one.c", "one.c")
	if err := copySource(module, copied); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]bool{"sub/s.c": true, "shared/deep/d.c": true, "inside/s.c": true, "build/Makefile": true, "one.c": true, ".git": false, "old.ko": false} {
		if exists(filepath.Join(copied, name)) != want {
			t.Errorf("%s: copied is %v", name, !want)
		}
	}
	root, err := os.OpenRoot(copied)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	for _, name := range []string{"shared/deep/d.c", "inside/s.c", "one.c"} {
		if err := replaceFile(root, name, []byte("new")); err != nil {
			t.Error(err)
		}
	}
	if err := replaceFile(root, "build/Makefile", []byte("new")); err == nil {
		t.Error("a file outside of the copy was written")
	}
	for _, f := range []string{module + "/sub/s.c", top + "/shared/deep/d.c", kernel + "/Makefile", top + "/one.c"} {
		if got := string(mustRead(t, f)); got != "old" {
			t.Errorf("%s became %q", f, got)
		}
	}

	link("..", "up")
	if err := copySource(module, filepath.Join(top, "again")); err == nil || !strings.Contains(err.Error(), "holds the module itself") {
		t.Errorf("a link to a directory above: %v", err)
	}
}
