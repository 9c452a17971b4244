// Package fetch brings kernels into the cache: downloads their packages once, checks
// and unpacks them, all or nothing, beside their packed source. Whose packages
// they are, a provider says.
package fetch

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/klpforge/klpforge/kernel/cachedir"
	"github.com/klpforge/klpforge/kernel/fetch/provider"
)

// Options say what [Kernel] brings and from where.
type Options struct {
	Cache      cachedir.Dir
	IncludeDbg bool // also the debug package: vmlinux with symbols and DWARF (several GB unpacked)
	ImageOnly  bool // neither headers nor source
	// From is where the packages come from; nil means the machine's own package
	// system, see [Detect].
	From provider.Provider
	// Suite names the suite of the archive that has the kernel; "" means the
	// machine's own package sources, and the suite that the release's name tells when they
	// have no such kernel.
	Suite string
	// Progress, when not nil, is told what happens, one short line each.
	Progress func(string)
}

// Result is what [Kernel] brought.
type Result struct {
	Release  string   `json:"release"`
	Root     string   `json:"root"`     // stands for / of the target
	Source   string   `json:"source"`   // version of the source package; "" with ImageOnly
	Tarball  string   `json:"tarball"`  // the packed source; "" with ImageOnly
	Packages []string `json:"packages"` // name=version, sorted
	Reused   bool     `json:"reused"`   // everything was there already
	// Suite is the suite of the archive that has it; "" for the machine's own sources.
	Suite string            `json:"suite,omitempty"`
	From  provider.Provider `json:"-"` // what it was fetched with, or would have been
}

// Kernel brings a release into the cache with the package system's own programs,
// without installing anything: image, modules, configured headers, and the source of
// exactly the version the image was built from, which stays packed. Packages are
// verified with the archive's signed index. It may be interrupted and run again, and
// two runs may share a cache.
func Kernel(ctx context.Context, release string, opts Options) (*Result, error) {
	if !cachedir.ValidRelease(release) {
		return nil, fmt.Errorf("fetch kernel: %q is not a kernel release", release)
	}
	cache, err := opts.Cache.Resolve()
	if err != nil {
		return nil, err
	}
	say := opts.Progress
	if say == nil {
		say = func(string) {}
	}
	fetching := &fetcher{release: release, cache: cache, say: say, from: opts.From}
	if fetching.from == nil {
		if fetching.from, err = Detect(); err != nil {
			return nil, fmt.Errorf("fetch kernel %s: %w", release, err)
		}
	}

	unlock, err := cachedir.Lock(ctx, filepath.Join(cache.Targets(), "."+release+".lock"), func() {
		say("waiting for another run that fetches " + release)
	})
	if err != nil {
		return nil, fmt.Errorf("fetch kernel %s: %w", release, err)
	}
	defer unlock()
	want := provider.Want{Debug: opts.IncludeDbg, ImageOnly: opts.ImageOnly}
	if done := fetching.complete(want); done != nil {
		return done, nil
	}
	suite := opts.Suite
	if manifest, err := cache.Manifest(release); err == nil {
		// What is there stays there when the rest joins it, from the same place.
		want.Debug = want.Debug || fetching.from.Complete(release, provider.Want{Debug: true, ImageOnly: true},
			manifest.Names(), "")
		suite = cmp.Or(suite, manifest.Suite)
	}
	p, err := fetching.plan(ctx, suite, want)
	if err != nil {
		return nil, err
	}
	return fetching.do(ctx, p)
}

type fetcher struct {
	release string
	cache   cachedir.Dir
	from    provider.Provider
	say     func(string)
}

// complete returns what an earlier run brought when nothing is missing. A
// release names one build, so the archive need not be asked again.
func (f *fetcher) complete(want provider.Want) *Result {
	manifest, err := f.cache.Manifest(f.release)
	if err != nil || !exists(f.cache.TargetRoot(f.release)) {
		return nil
	}
	tarball := ""
	if tars := f.tarballs(); len(tars) == 1 && manifest.Source != "" {
		tarball = tars[0]
	}
	if !f.from.Complete(f.release, want, manifest.Names(), filepath.Base(tarball)) || !want.ImageOnly && tarball == "" {
		return nil
	}
	return &Result{
		Release: f.release, Root: f.cache.TargetRoot(f.release), Source: manifest.Source, Tarball: tarball,
		Packages: manifest.Packages, Reused: true, Suite: manifest.Suite, From: f.from,
	}
}

func (f *fetcher) tarballs() []string {
	m, _ := filepath.Glob(filepath.Join(f.cache.TargetSource(f.release), "*.tar.*"))
	return m
}

// manifestOf is the manifest of a release that consists of the packages of a plan.
func manifestOf(release string, planned provider.Plan) cachedir.Manifest {
	manifest := cachedir.Manifest{Release: release, Suite: planned.Suite}
	for _, d := range planned.Root {
		manifest.Packages = append(manifest.Packages, d.Name+"="+d.Version)
	}
	if planned.Source != nil {
		manifest.Source = planned.Source.Version
	}
	sort.Strings(manifest.Packages)
	return manifest
}

// do downloads and unpacks what is not there yet.
func (f *fetcher) do(ctx context.Context, planned provider.Plan) (*Result, error) {
	want := manifestOf(f.release, planned)
	have, err := f.cache.Manifest(f.release)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		f.say("unpacking again: " + err.Error())
		have = cachedir.Manifest{}
	}
	out := &Result{
		Release: f.release, Root: f.cache.TargetRoot(f.release), Source: want.Source, Packages: want.Packages,
		Suite: want.Suite, From: f.from,
	}

	// What the manifest in the cache says is there counts only with the files themselves.
	rootDone := subset(want.Packages, have.Packages) && exists(out.Root)
	if rootDone {
		out.Packages = have.Packages
	}
	tarballs := f.tarballs()
	sourceDone := planned.Source == nil || have.Source == want.Source && len(tarballs) == 1 &&
		strings.HasPrefix(filepath.Base(tarballs[0]), planned.Source.Name+".tar.")
	if sourceDone && len(tarballs) == 1 && have.Source != "" {
		out.Source, out.Tarball = have.Source, tarballs[0]
	}
	if rootDone && sourceDone {
		out.Reused = true
		return out, nil
	}

	if err := os.MkdirAll(f.cache.Target(f.release), 0o755); err != nil {
		return nil, fmt.Errorf("fetch kernel %s: %w", f.release, err)
	}
	f.removeLeftovers()

	// The manifest is written after each part, so that a run that is killed between them resumes
	// there.
	if !rootDone {
		if err := f.unpackRoot(ctx, planned.Root); err != nil {
			return nil, err
		}
		have.Release, have.Packages, have.Suite = f.release, want.Packages, want.Suite
		if err := f.writeManifest(have); err != nil {
			return nil, err
		}
	}
	if !sourceDone {
		if out.Tarball, err = f.unpackSource(ctx, *planned.Source); err != nil {
			return nil, err
		}
		have.Release, have.Source = f.release, want.Source
		if err := f.writeManifest(have); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (f *fetcher) writeManifest(m cachedir.Manifest) error {
	if err := f.cache.WriteManifest(m); err != nil {
		return fmt.Errorf("fetch kernel %s: %w", f.release, err)
	}
	return nil
}

// removeLeftovers deletes what a killed run left; the lock is held.
func (f *fetcher) removeLeftovers() {
	old, _ := filepath.Glob(filepath.Join(f.cache.Target(f.release), ".tmp-*"))
	for _, o := range old {
		os.RemoveAll(o)
	}
}

// unpackRoot makes root/ anew from packages, all or nothing.
func (f *fetcher) unpackRoot(ctx context.Context, packages []provider.Package) error {
	var files []string
	for _, pkg := range packages {
		f.say(fmt.Sprintf("downloading %s %s (%d MB)", pkg.Name, pkg.Version, (pkg.Size+1<<19)>>20))
		file, err := f.download(ctx, pkg)
		if err != nil {
			return err
		}
		files = append(files, file)
	}
	tmp, err := os.MkdirTemp(f.cache.Target(f.release), ".tmp-root-")
	if err != nil {
		return fmt.Errorf("fetch kernel %s: %w", f.release, err)
	}
	defer os.RemoveAll(tmp)
	if err := os.Chmod(tmp, 0o755); err != nil {
		return fmt.Errorf("fetch kernel %s: %w", f.release, err)
	}
	for _, file := range files {
		f.say("unpacking " + filepath.Base(file))
		if err := f.unpack(ctx, file, tmp); err != nil {
			return err
		}
	}
	// The manifest must not describe a root that is being replaced.
	dst := f.cache.TargetRoot(f.release)
	if err := replaceDir(tmp, dst); err != nil {
		return fmt.Errorf("fetch kernel %s: %w", f.release, err)
	}
	return nil
}

// replaceDir puts the directory src at dst. A dst that was there ends up at src.
func replaceDir(src, dst string) error {
	if !exists(dst) {
		return os.Rename(src, dst)
	}
	err := unix.Renameat2(unix.AT_FDCWD, src, unix.AT_FDCWD, dst, unix.RENAME_EXCHANGE)
	if err == nil {
		return nil
	}
	// A filesystem that cannot exchange: there is a moment without dst.
	old := src + "-old"
	if err := os.Rename(dst, old); err != nil {
		return err
	}
	if err := os.Rename(src, dst); err != nil {
		return errors.Join(err, os.Rename(old, dst))
	}
	return os.RemoveAll(old)
}

// unpackSource puts the tarball of a linux-source package into source/. The
// tarball is not unpacked. It is hard-linked from the same package's tarball
// of another release when there is one.
func (f *fetcher) unpackSource(ctx context.Context, pkg provider.Package) (string, error) {
	dst := f.cache.TargetSource(f.release)
	tmp, err := os.MkdirTemp(f.cache.Target(f.release), ".tmp-source-")
	if err != nil {
		return "", fmt.Errorf("fetch kernel %s: %w", f.release, err)
	}
	defer os.RemoveAll(tmp)
	fresh := filepath.Join(tmp, "source")
	if err := os.Mkdir(fresh, 0o755); err != nil {
		return "", fmt.Errorf("fetch kernel %s: %w", f.release, err)
	}
	name, ok := f.linkSource(pkg, fresh)
	if !ok {
		f.say(fmt.Sprintf("downloading %s %s (%d MB)", pkg.Name, pkg.Version, (pkg.Size+1<<19)>>20))
		// Until the file is removed: another release may want the same.
		unlock, err := f.lockPackage(ctx, pkg)
		if err != nil {
			return "", err
		}
		defer unlock()
		file, err := f.downloadLocked(ctx, pkg)
		if err != nil {
			return "", err
		}
		f.say("unpacking " + filepath.Base(file))
		scratch := filepath.Join(tmp, "scratch")
		if err := os.Mkdir(scratch, 0o755); err != nil {
			return "", fmt.Errorf("fetch kernel %s: %w", f.release, err)
		}
		if err := f.from.UnpackSource(ctx, pkg, file, fresh, scratch); err != nil {
			return "", fmt.Errorf("unpack %s: %w", filepath.Base(file), err)
		}
		left, _ := filepath.Glob(filepath.Join(fresh, pkg.Name+".tar.*"))
		if len(left) != 1 {
			return "", fmt.Errorf("unpack %s: %d packed sources, want 1", filepath.Base(file), len(left))
		}
		name = filepath.Base(left[0])
		// The tarball in source/ is all of the package that is wanted.
		os.Remove(file)
	}
	if err := replaceDir(fresh, dst); err != nil {
		return "", fmt.Errorf("fetch kernel %s: %w", f.release, err)
	}
	return filepath.Join(dst, name), nil
}

// linkSource looks for the tarball of the same source version in the other
// releases of the cache.
func (f *fetcher) linkSource(pkg provider.Package, dir string) (string, bool) {
	others, _ := os.ReadDir(f.cache.Targets())
	for _, other := range others {
		if !other.IsDir() || other.Name() == f.release {
			continue
		}
		m, err := f.cache.Manifest(other.Name())
		if err != nil || m.Source != pkg.Version {
			continue
		}
		tars, _ := filepath.Glob(filepath.Join(f.cache.TargetSource(other.Name()), pkg.Name+".tar.*"))
		if len(tars) == 1 && os.Link(tars[0], filepath.Join(dir, filepath.Base(tars[0]))) == nil {
			return filepath.Base(tars[0]), true
		}
	}
	return "", false
}

// subset reports whether all of a are in b.
func subset(a, b []string) bool {
	for _, x := range a {
		if !slices.Contains(b, x) {
			return false
		}
	}
	return true
}
