package build

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestAddDir compares the digest of a directory with what in-toto's
// specification of dirHash says computes it.
func TestAddDir(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"b": "1", "a/c d": "2", "a/b": "", ".hidden": "3", ".git/objects": "left out"} {
		p := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("b", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	var out []resource
	if err := addDir(&out, "source", dir); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "sh", "-c", "find . -name .git -prune -o -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum | sed 's:  \\./:  :' | sha256sum")
	cmd.Dir = dir
	want, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	if got := out[0].Digest["dirHash"]; len(out) != 1 || got != strings.Fields(string(want))[0] || out[0].Annotations["files"] != "4" {
		t.Errorf("%+v, want %s", out, want)
	}
	if err := addDir(&out, "source", filepath.Join(dir, "none")); err == nil {
		t.Error("a directory that is not there has a digest")
	}
}
