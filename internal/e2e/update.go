package e2e

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/klpforge/klpforge/kbuild"
	"github.com/klpforge/klpforge/patchset"
)

// update is where the patches of a corpus come from: the difference between a kernel's
// source and a newer one of the same line.
//
// Of a line of which the archive has one version only there is no such difference. There
// takenBack is an older source and newer a newer one of another line, and the patches are
// those changes between the two that the kernel's source has as well, taken back: real
// changes of a real update, in the other direction.
type update struct {
	ctx       context.Context
	tree      *kbuild.Tree // of the kernel, prepared
	newer     string       // directory
	takenBack string       // directory; "" for an update of the kernel's own line
	scratch   string       // directory
}

// files lists the .c files that the update changes and that go into vmlinux or a module.
func (u *update) files() ([]string, error) {
	older := u.tree.Dir
	if u.takenBack != "" {
		older = u.takenBack
	}
	var out []string
	err := filepath.WalkDir(u.newer, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(p, ".c") {
			return err
		}
		rel, err := filepath.Rel(u.newer, p)
		if err != nil {
			return err
		}
		o, err := u.tree.Owner(strings.TrimSuffix(rel, ".c") + ".o")
		if err != nil || o.Kind != kbuild.KindVmlinux && o.Kind != kbuild.KindModule {
			return err
		}
		a, err := os.ReadFile(filepath.Join(older, rel))
		if err != nil {
			return nil // a new file
		}
		b, err := os.ReadFile(p)
		if err == nil && !bytes.Equal(a, b) && u.applies(rel) {
			out = append(out, rel)
		}
		return err
	})
	slices.Sort(out)
	return out, err
}

// applies reports whether a change fits the kernel's source. A change of its own line does.
func (u *update) applies(file string) bool {
	if u.takenBack == "" {
		return true
	}
	text, err := u.patch(file)
	if err != nil {
		return false
	}
	path := filepath.Join(u.scratch, "try.patch")
	if os.WriteFile(path, text, 0o644) != nil {
		return false
	}
	series, err := patchset.Read([]string{path}, patchset.ReadOptions{})
	if err != nil {
		return false
	}
	_, err = series.ApplyDir(u.tree.Dir, patchset.ApplyOptions{})
	return err == nil
}

// patch is the change of one file as a unified diff.
func (u *update) patch(file string) ([]byte, error) {
	from, to := u.tree.Dir, u.newer
	if u.takenBack != "" {
		from, to = u.newer, u.takenBack
	}
	out, err := exec.CommandContext(u.ctx, "diff", "-u", "--label", "a/"+file, "--label", "b/"+file,
		filepath.Join(from, file), filepath.Join(to, file)).Output()
	if len(out) == 0 { // diff exits 1 when the files differ
		return nil, fmt.Errorf("no difference in %s: %v", file, err)
	}
	return out, nil
}

// spread picks limit of all, evenly; 0 picks all.
func spread(all []string, limit int) []string {
	if limit <= 0 || limit >= len(all) {
		return all
	}
	out := make([]string, limit)
	for i := range out {
		out[i] = all[i*len(all)/limit]
	}
	return out
}
