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
