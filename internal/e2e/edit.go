package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/klpforge/klpforge/kernel/fetch"
)

// EditPatch writes a patch that replaces old, which must occur once, by new in
// one file of the source of a fetched release, and returns its path.
func (e *Env) EditPatch(ctx context.Context, fetched *fetch.Result, file, old, newer string) (string, error) {
	text, err := e.SourceFile(ctx, sourcePackage(fetched.Release), fetched.Source, file)
	if err != nil {
		return "", err
	}
	if n := strings.Count(string(text), old); n != 1 {
		return "", fmt.Errorf("edit %s of %s: %q occurs %d times, want once", file, fetched.Release, old, n)
	}
	dir, err := os.MkdirTemp(e.Dir, "edit-")
	if err != nil {
		return "", err
	}
	for side, text := range map[string]string{"a": string(text), "b": strings.Replace(string(text), old, newer, 1)} {
		p := filepath.Join(dir, side, file)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			return "", err
		}
		if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
			return "", err
		}
	}
	out := filepath.Join(dir, strings.NewReplacer("/", "_", ".", "_").Replace(file)+".patch")
	return out, diffDirs(ctx, dir, file, out)
}

// Edit replaces text that occurs once in a file of a source.
type Edit struct{ File, Old, New string }

// WriteEdits writes the patch that makes some changes of the source in tree, one after the
// other, to path.
func WriteEdits(ctx context.Context, tree, path string, edits []Edit) error {
	dir, err := os.MkdirTemp(filepath.Dir(path), "patch-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	before, after := map[string]string{}, map[string]string{}
	for _, e := range edits {
		if _, ok := before[e.File]; !ok {
			text, err := os.ReadFile(filepath.Join(tree, e.File))
			if err != nil {
				return err
			}
			before[e.File], after[e.File] = string(text), string(text)
		}
		if n := strings.Count(after[e.File], e.Old); n != 1 {
			return fmt.Errorf("edit %s: %q occurs %d times, want once", e.File, e.Old, n)
		}
		after[e.File] = strings.Replace(after[e.File], e.Old, e.New, 1)
	}
	for side, texts := range map[string]map[string]string{"a": before, "b": after} {
		for file, text := range texts {
			p := filepath.Join(dir, side, file)
			if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
				return err
			}
			if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
				return err
			}
		}
	}
	diff := exec.CommandContext(ctx, "diff", "-ur", "a", "b")
	diff.Dir = dir
	out, err := diff.Output() // exits 1 when the files differ
	if len(out) == 0 {
		return fmt.Errorf("compare the sources before and after: no difference (%v)", err)
	}
	return os.WriteFile(path, out, 0o644)
}

// diffDirs compares a/file with b/file of dir into the patch out.
func diffDirs(ctx context.Context, dir, file, out string) error {
	labels := []string{"--label", "a/" + file, "--label", "b/" + file}
	cmd := exec.CommandContext(ctx, "diff", append(append([]string{"-u"}, labels...), "a/"+file, "b/"+file)...)
	cmd.Dir = dir
	text, err := cmd.Output() // exits 1 when the files differ
	if len(text) == 0 {
		return fmt.Errorf("compare both versions of %s: no difference (%v)", file, err)
	}
	return os.WriteFile(out, text, 0o644)
}

// sourcePackage is the Debian package that holds the source of a release.
func sourcePackage(release string) string {
	return "linux-source-" + strings.Join(strings.SplitN(release, ".", 3)[:2], ".")
}
