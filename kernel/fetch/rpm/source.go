package rpm

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/klpforge/klpforge/kernel/fetch/provider"
)

// UnpackSource implements [provider.Provider]: the source that was compiled is what
// %prep of the package's spec file makes of the tarball and patches in it, so that is run,
// without the packages that a whole build would need. It is a script of the distribution
// and does what it likes, as it does for everybody who builds the package. The tree is packed
// again without its configuration, which is that of the last flavour prepared.
func (r Provider) UnpackSource(ctx context.Context, pkg provider.Package, file, dir, scratch string) error {
	if _, err := exec.LookPath("rpmbuild"); err != nil {
		return fmt.Errorf("prepare the source: rpmbuild is not installed; %s", r.Install(ctx, "", "rpm-build"))
	}
	sources := filepath.Join(scratch, "SOURCES")
	if err := r.Unpack(ctx, file, sources); err != nil {
		return err
	}
	specs, _ := filepath.Glob(filepath.Join(sources, "*.spec"))
	if len(specs) != 1 {
		return fmt.Errorf("%s holds %d spec files, want 1", filepath.Base(file), len(specs))
	}
	_, err := provider.Run(ctx, scratch, "rpmbuild", "--nodeps", "--define", "_topdir "+scratch, "-bp", specs[0])
	if err != nil {
		return fmt.Errorf("prepare the source: %w", err)
	}
	tree, err := findTree(filepath.Join(scratch, "BUILD"))
	if err != nil {
		return err
	}
	return provider.Pack(ctx, tree, filepath.Join(dir, pkg.Name+".tar.zst"))
}

// findTree finds the kernel's tree below dir, which spec files put at different depths.
func findTree(dir string) (string, error) {
	const deepest = 4
	var found []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		if isTree(path) {
			found = append(found, path)
			return fs.SkipDir
		}
		if rel, err := filepath.Rel(dir, path); err == nil && strings.Count(rel, "/") >= deepest {
			return fs.SkipDir
		}
		return nil
	})
	if err != nil {
		return "", fmt.Errorf("find the prepared source: %w", err)
	}
	if len(found) != 1 {
		return "", fmt.Errorf("find the prepared source: %d trees of a kernel, want 1 (%s)",
			len(found), strings.Join(found, ", "))
	}
	return found[0], nil
}

// isTree reports whether a directory is the top of a kernel's source.
func isTree(dir string) bool {
	for _, name := range []string{"Makefile", "Kbuild", "init/main.c", "include/linux/module.h"} {
		if _, err := os.Stat(filepath.Join(dir, name)); errors.Is(err, fs.ErrNotExist) {
			return false
		}
	}
	return true
}
