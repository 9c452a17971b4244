package apt

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/klpforge/klpforge/kernel/fetch/provider"
)

// Linux has PREEMPT_RT since 6.12. Before, Debian's rt flavours are built from the source of
// the others with more patches, which no binary package has: they are in
// debian/patches-rt of the source package "linux", applied over its other patches.

// rtSuffix is appended to the name of a source package whose tarball has the patches.
const rtSuffix = "-rt"

// patchedForRT reports whether a release is an rt flavour that was built with patches.
func patchedForRT(release string) bool {
	var major, minor int
	if _, err := fmt.Sscanf(release, "%d.%d", &major, &minor); err != nil || !strings.Contains(release, "-rt-") {
		return false
	}
	return major < 6 || major == 6 && minor < 12
}

// haveRTPatches makes sure that the package sources have the source package.
func (p *planner) haveRTPatches(ctx context.Context) error {
	out, err := p.apt(ctx, "", "apt-get", "-q", "source", "--print-uris", "--diff-only", "--only-source",
		"linux="+p.source.Version)
	var failed *provider.CommandError
	if err != nil && !errors.As(err, &failed) {
		return err
	}
	if err != nil || !strings.Contains(string(out), ".debian.tar.") {
		return &provider.NotInArchiveError{
			Release: p.release, Package: "linux (source)", Version: p.source.Version,
			Remedy: "add a deb-src line for it to the package sources, or unpack the packages elsewhere and use --root",
		}
	}
	return nil
}

// patchForRT unpacks the tarball, patches it, and packs it again into dir.
func (a Provider) patchForRT(ctx context.Context, pkg provider.Package, tarball, dir, scratch string) error {
	if _, err := exec.LookPath("patch"); err != nil {
		return fmt.Errorf("patch the source for PREEMPT_RT: patch is not installed; %s", a.Install(ctx, "", "patch"))
	}
	tree, debian := filepath.Join(scratch, "tree"), filepath.Join(scratch, "debian")
	for _, d := range []string{tree, debian} {
		if err := os.Mkdir(d, 0o755); err != nil {
			return err
		}
	}
	if _, err := provider.Run(ctx, "", "tar", "-xf", tarball, "-C", tree, "--strip-components=1"); err != nil {
		return err
	}
	if _, err := a.apt(ctx, debian, "apt-get", "-q", "source", "--download-only", "--diff-only", "--only-source",
		"linux="+pkg.Version); err != nil {
		return fmt.Errorf("download the patches of PREEMPT_RT: %w", err)
	}
	packed, _ := filepath.Glob(filepath.Join(debian, "*.debian.tar.*"))
	if len(packed) != 1 {
		return fmt.Errorf("download the patches of PREEMPT_RT: apt left %d archives, want 1", len(packed))
	}
	if _, err := provider.Run(ctx, "", "tar", "-xf", packed[0], "-C", debian, "debian/patches-rt"); err != nil {
		return err
	}

	patches := filepath.Join(debian, "debian/patches-rt")
	series, err := os.ReadFile(filepath.Join(patches, "series"))
	if err != nil {
		return err
	}
	for _, name := range seriesOf(string(series)) {
		// As Debian's build does it: in order, and where the patch says.
		_, err := provider.Run(ctx, tree, "patch", "-s", "-f", "-p1", "--fuzz=0", "--no-backup-if-mismatch", "-i",
			filepath.Join(patches, name))
		if err != nil {
			return fmt.Errorf("apply %s: %w", name, err)
		}
	}
	return provider.Pack(ctx, tree, filepath.Join(dir, pkg.Name+".tar.zst"))
}

// seriesOf reads a series of quilt: a patch a line, "#" begins a comment.
func seriesOf(text string) []string {
	var out []string
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		if f := strings.Fields(line); len(f) > 0 {
			out = append(out, f[0])
		}
	}
	return out
}
