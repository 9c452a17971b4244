// Package e2e runs klpforge on real Debian kernels: it fetches them, builds
// livepatches as a user does, and boots the kernels in a VM. Its tests are the
// project's proof; the demo shows the same to a person.
package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/klpforge/klpforge/internal/vm"
	"github.com/klpforge/klpforge/kernel"
	"github.com/klpforge/klpforge/kernel/cachedir"
	"github.com/klpforge/klpforge/kernel/fetch"
	"github.com/klpforge/klpforge/kernel/fetch/apt"
	"github.com/klpforge/klpforge/kernel/fetch/provider"
	"github.com/klpforge/klpforge/pipeline"
)

// The ext4 case: source 6.1.192-1, of which this release was built, tests
// IS_ERR() where 6.1's __filemap_get_folio() returns NULL; 6.1.192-2 fixes it
// in one file.
const (
	CloudRelease  = "6.1.0-55-cloud-amd64" // ext4 built in
	ModuleRelease = "6.1.0-55-amd64"       // ext4 a module
	BrokenSource  = "6.1.192-1"
	FixedSource   = "6.1.192-2"
	FixedFile     = "fs/ext4/mballoc.c"
)

// Env is where the tests and the demo keep what they download and build.
type Env struct {
	Cache cachedir.Dir
	Dir   string // scratch directory
	Log   io.Writer
}

// Fetch brings a release into the cache.
func (e *Env) Fetch(ctx context.Context, release string) error {
	_, err := fetch.Kernel(ctx, release, fetch.Options{Cache: e.Cache, Progress: func(s string) { fmt.Fprintln(e.Log, "  "+s) }})
	return err
}

// SourceFile returns one file of a Debian kernel source package version, with
// apt's download kept in the cache.
func (e *Env) SourceFile(ctx context.Context, pkg, version, file string) ([]byte, error) {
	deb, err := e.deb(ctx, pkg, version)
	if err != nil {
		return nil, err
	}
	series := strings.TrimPrefix(pkg, "linux-source-")
	// The package holds one tarball; both streams are read through pipes.
	script := fmt.Sprintf("dpkg --fsys-tarfile %q | tar -xO ./usr/src/linux-source-%s.tar.xz | tar -xJO linux-source-%s/%s", deb, series, series, file)
	out, err := exec.CommandContext(ctx, "bash", "-o", "pipefail", "-c", script).Output()
	if err != nil && len(out) == 0 {
		return nil, fmt.Errorf("read %s of %s %s: %w", file, pkg, version, err)
	}
	return out, nil
}

// suiteDeb downloads a package version from a suite of the archive.
func (e *Env) suiteDeb(ctx context.Context, suite, pkg, version string) (string, error) {
	if suite == "" {
		return e.deb(ctx, pkg, version)
	}
	const age = 24 * time.Hour
	from, err := apt.Provider{}.InSuite(ctx, e.Cache.Lists(suite), suite, age, func(s string) { fmt.Fprintln(e.Log, "  "+s) })
	if err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp(e.Dir, "deb-")
	if err != nil {
		return "", err
	}
	p := provider.Package{Name: pkg, Version: version}
	if err := from.Download(ctx, dir, p); err != nil {
		return "", fmt.Errorf("download %s=%s: %w", pkg, version, err)
	}
	found, err := filepath.Glob(filepath.Join(dir, "*.deb"))
	if err != nil || len(found) != 1 {
		return "", errors.Join(err, fmt.Errorf("download %s=%s: %q was left", pkg, version, found))
	}
	return found[0], nil
}

// deb downloads a package version with apt, which checks it.
func (e *Env) deb(ctx context.Context, pkg, version string) (string, error) {
	dir := e.Cache.Debs()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	find := func() string {
		m, _ := filepath.Glob(filepath.Join(dir, pkg+"_"+strings.ReplaceAll(version, ":", "%3a")+"_*.deb"))
		if len(m) == 0 {
			return ""
		}
		return m[0]
	}
	if p := find(); p != "" {
		return p, nil
	}
	cmd := exec.CommandContext(ctx, "apt-get", "-q", "download", pkg+"="+version)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		if bytes.Contains(out, []byte("was not found")) { // so apt-get says it; its exit code says nothing
			err = &notServedError{err}
		}
		return "", fmt.Errorf("download %s=%s: %w: %s", pkg, version, err, strings.TrimSpace(string(out)))
	}
	if p := find(); p != "" {
		return p, nil
	}
	return "", errors.New("apt-get download left no file for " + pkg + "=" + version)
}

// notServedError means that the archive does not have a package in the version asked for.
type notServedError struct{ error }

func (e *notServedError) Unwrap() error { return e.error }

// Ext4Patch writes the fix as a patch, made by comparing the two source
// packages, and returns its path, which is in the cache: unpacking takes long.
func (e *Env) Ext4Patch(ctx context.Context) (string, error) {
	out := filepath.Join(string(e.Cache), "pairs", "ext4-"+BrokenSource+"-"+FixedSource+".patch")
	if _, err := os.Stat(out); err == nil {
		return out, nil
	}
	dir, err := os.MkdirTemp(e.Dir, "ext4-patch-")
	if err != nil {
		return "", err
	}
	for side, version := range map[string]string{"a": BrokenSource, "b": FixedSource} {
		text, err := e.SourceFile(ctx, "linux-source-6.1", version, FixedFile)
		if err != nil {
			return "", err
		}
		p := filepath.Join(dir, side, FixedFile)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			return "", err
		}
		if err := os.WriteFile(p, text, 0o644); err != nil {
			return "", err
		}
	}
	made := filepath.Join(dir, "patch")
	if err := diffDirs(ctx, dir, FixedFile, made); err != nil {
		return "", err
	}
	// By rename, because other tests may be making it, too.
	text, err := os.ReadFile(made)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(filepath.Dir(out), 0o755); err != nil {
		return "", err
	}
	tmp, err := os.CreateTemp(filepath.Dir(out), ".ext4-")
	if err != nil {
		return "", err
	}
	defer os.Remove(tmp.Name())
	if _, err := tmp.Write(text); err != nil {
		return "", errors.Join(err, tmp.Close())
	}
	if err := errors.Join(tmp.Chmod(0o644), tmp.Close()); err != nil {
		return "", err
	}
	return out, os.Rename(tmp.Name(), out)
}

// Build makes a livepatch of patches for a release in the cache.
func (e *Env) Build(ctx context.Context, release, out string, patches ...string) (*pipeline.Result, error) {
	return pipeline.Run(ctx, pipeline.Options{Kernel: kernel.Options{Release: release, Root: string(e.Cache.TargetRoot(release)), Cache: e.Cache},
		Patches: patches, Output: out})
}

// VM returns options to boot a release of the cache.
func (e *Env) VM(ctx context.Context, release string) (vm.Options, error) {
	init := filepath.Join(e.Dir, "vminit")
	if _, err := os.Stat(init); err != nil {
		if err := vm.BuildInit(ctx, init); err != nil {
			return vm.Options{}, err
		}
	}
	dir, err := os.MkdirTemp(e.Dir, "boot-")
	if err != nil {
		return vm.Options{}, err
	}
	root := e.Cache.TargetRoot(release)
	o := vm.Options{Root: root, Release: release, Init: init, Dir: dir, Log: e.Log}
	// Debian's own packages until 13; those since, which are split, and RPM's.
	for _, image := range []string{"boot/vmlinuz-" + release, "usr/lib/modules/" + release + "/vmlinuz", "lib/modules/" + release + "/vmlinuz"} {
		o.Kernel = filepath.Join(root, image)
		if _, err := os.Stat(o.Kernel); err == nil {
			return o, nil
		}
	}
	return vm.Options{}, fmt.Errorf("find the image of %s: none below %s", release, root)
}

// Ext4 boots a release and runs the ext4 case; ko is "" for the control run.
func (e *Env) Ext4(ctx context.Context, release, ko string, order vm.Ext4Order) (*vm.Result, error) {
	img := filepath.Join(e.Dir, "ext4.img")
	if err := vm.MakeExt4Image(ctx, img); err != nil {
		return nil, err
	}
	o := vm.Ext4Options{Image: img, Livepatch: ko, Order: order, Unload: ko != ""}
	script, err := vm.Ext4Steps(o)
	if err != nil {
		return nil, err
	}
	opt, err := e.VM(ctx, release)
	if err != nil {
		return nil, err
	}
	r, err := vm.Run(ctx, opt, script)
	if err != nil {
		return r, err
	}
	return r, vm.CheckExt4(r, o)
}
