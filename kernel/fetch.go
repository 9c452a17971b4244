package kernel

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/klpforge/klpforge/internal/sealed"
)

// FetchOptions say what [Fetch] brings and from where.
type FetchOptions struct {
	Cache      Cache
	IncludeDbg bool // also the debug package: vmlinux with symbols and DWARF (several GB unpacked)
	ImageOnly  bool // neither headers nor source
	// AptOptions are handed to apt-get and apt-cache as -o Key=value, to use
	// other package sources than the machine's.
	AptOptions []string
	// Progress, when not nil, is told what happens, one short line each.
	Progress func(string)
}

// NotInArchiveError means that no configured package source has a package, or
// not in the version that belongs to the release.
type NotInArchiveError struct {
	Release   string
	Package   string
	Version   string   // "" when no version at all is there
	Available []string // versions that are there
}

func (e *NotInArchiveError) Error() string {
	s := fmt.Sprintf("fetch kernel %s: package %s", e.Release, e.Package)
	if e.Version != "" {
		s += " " + e.Version
	}
	s += " is not in the archive"
	if len(e.Available) > 0 {
		s += " (it has " + strings.Join(e.Available, ", ") + ")"
	}
	return s + "; run apt-get update, add the package source that has it, or unpack the packages elsewhere and use --root"
}

// Fetched is what [Fetch] brought.
type Fetched struct {
	Release  string   `json:"release"`
	Root     string   `json:"root"`     // stands for / of the target
	Source   string   `json:"source"`   // version of the source package; "" with ImageOnly
	Tarball  string   `json:"tarball"`  // the packed source; "" with ImageOnly
	Packages []string `json:"packages"` // name=version, sorted
	Reused   bool     `json:"reused"`   // everything was there already
}

// manifest is written beside root/ when it is complete.
type manifest struct {
	Release  string   `json:"release"`
	Source   string   `json:"source,omitempty"`   // version of the packed source
	Packages []string `json:"packages,omitempty"` // name=version, sorted
	// Sum is the digest of the rest; "" in manifests of earlier versions.
	Sum string `json:"sum,omitempty"`
}

// digest is that of the content, for Sum.
func (m manifest) digest() string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%q %q %q", m.Release, m.Source, m.Packages))
	return hex.EncodeToString(sum[:])
}

// has reports whether a package was unpacked, in whatever version.
func (m manifest) has(pkg string) bool {
	return slices.ContainsFunc(m.Packages, func(p string) bool { return strings.HasPrefix(p, pkg+"=") })
}

func manifestPath(c Cache, release string) string {
	return filepath.Join(c.Target(release), "manifest.json")
}

func readManifest(c Cache, release string) (manifest, error) {
	var m manifest
	path := manifestPath(c, release)
	b, err := sealed.ReadPlain(path)
	if errors.Is(err, os.ErrNotExist) {
		return m, err
	}
	if err == nil {
		err = json.Unmarshal(b, &m)
	}
	if err == nil && (m.Release != release || m.Sum != "" && m.Sum != m.digest()) {
		err = fmt.Errorf("%w: its checksum does not match", sealed.ErrDamaged)
	}
	if err != nil {
		sealed.Note(string(c), path, err)
		return manifest{}, fmt.Errorf("%s: %w", path, err)
	}
	return m, nil
}

// Fetch brings a Debian release into the cache with apt, without installing
// anything: image, modules, configured headers, the headers shared between
// flavours, and the source of exactly the version the image was built from,
// which stays packed. Packages are verified with the hashes of apt's signed
// index. It may be interrupted and run again, and two runs may share a cache.
func Fetch(ctx context.Context, release string, o FetchOptions) (*Fetched, error) {
	if !validRelease(release) {
		return nil, fmt.Errorf("fetch kernel: %q is not a kernel release", release)
	}
	c, err := o.Cache.resolve()
	if err != nil {
		return nil, err
	}
	say := o.Progress
	if say == nil {
		say = func(string) {}
	}
	f := &fetcher{release: release, cache: c, say: say}
	for _, x := range o.AptOptions {
		f.apt.options = append(f.apt.options, "-o", x)
	}
	unlock, err := lockFile(ctx, filepath.Join(c.Targets(), "."+release+".lock"), func() {
		say("waiting for another run that fetches " + release)
	})
	if err != nil {
		return nil, fmt.Errorf("fetch kernel %s: %w", release, err)
	}
	defer unlock()
	if done := f.complete(o); done != nil {
		return done, nil
	}
	if m, err := readManifest(c, release); err == nil && m.has("linux-image-"+release+"-dbg") {
		o.IncludeDbg = true // what is there stays there when the rest joins it
	}
	p, err := f.plan(ctx, o)
	if err != nil {
		return nil, err
	}
	return f.do(ctx, p)
}

type fetcher struct {
	release string
	cache   Cache
	apt     apt
	say     func(string)
}

// complete returns what an earlier run brought when nothing is missing. A
// release names one build, so the archive need not be asked again.
func (f *fetcher) complete(o FetchOptions) *Fetched {
	m, err := readManifest(f.cache, f.release)
	if err != nil || !exists(f.cache.TargetRoot(f.release)) {
		return nil
	}
	out := &Fetched{Release: f.release, Root: f.cache.TargetRoot(f.release), Source: m.Source, Packages: m.Packages, Reused: true}
	if o.IncludeDbg && !m.has("linux-image-"+f.release+"-dbg") {
		return nil
	}
	if tars := f.tarballs(); len(tars) == 1 && m.Source != "" {
		out.Tarball = tars[0]
	}
	if !o.ImageOnly && (!m.has("linux-headers-"+f.release) || out.Tarball == "") {
		return nil
	}
	return out
}

func (f *fetcher) tarballs() []string {
	m, _ := filepath.Glob(filepath.Join(f.cache.TargetSource(f.release), "*.tar.*"))
	return m
}

// do downloads and unpacks what is not there yet.
func (f *fetcher) do(ctx context.Context, p fetchPlan) (*Fetched, error) {
	want := p.manifest(f.release)
	have, err := readManifest(f.cache, f.release)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		f.say("unpacking again: " + err.Error())
		have = manifest{}
	}
	out := &Fetched{Release: f.release, Root: f.cache.TargetRoot(f.release), Source: want.Source, Packages: want.Packages}
	rootDone := subset(want.Packages, have.Packages) && exists(out.Root)
	if rootDone {
		out.Packages = have.Packages
	}
	tarballs := f.tarballs()
	sourceDone := p.source == nil || have.Source == want.Source && len(tarballs) == 1
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
	if !rootDone {
		if err := f.unpackRoot(ctx, p.root); err != nil {
			return nil, err
		}
		have.Release, have.Packages = f.release, want.Packages
		if err := f.writeManifest(have); err != nil {
			return nil, err
		}
	}
	if !sourceDone {
		if out.Tarball, err = f.unpackSource(ctx, *p.source); err != nil {
			return nil, err
		}
		have.Release, have.Source = f.release, want.Source
		if err := f.writeManifest(have); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (f *fetcher) writeManifest(m manifest) error {
	m.Sum = m.digest()
	b, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	if err := writeFileAtomic(manifestPath(f.cache, f.release), append(b, '\n')); err != nil {
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
func (f *fetcher) unpackRoot(ctx context.Context, debs []deb) error {
	var files []string
	for _, d := range debs {
		f.say(fmt.Sprintf("downloading %s %s (%d MB)", d.Name, d.Version, (d.Size+1<<19)>>20))
		file, err := f.download(ctx, d)
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
		if err := f.apt.unpack(ctx, file, tmp); err != nil {
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
func (f *fetcher) unpackSource(ctx context.Context, d deb) (string, error) {
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
	name, ok := f.linkSource(d, fresh)
	if !ok {
		f.say(fmt.Sprintf("downloading %s %s (%d MB)", d.Name, d.Version, (d.Size+1<<19)>>20))
		// Until the file is removed: another release may want the same.
		unlock, err := f.lockDeb(ctx, d)
		if err != nil {
			return "", err
		}
		defer unlock()
		file, err := f.apt.download(ctx, f.cache.Debs(), d)
		if err != nil {
			return "", err
		}
		f.say("unpacking " + filepath.Base(file))
		all := filepath.Join(tmp, "all")
		if err := f.apt.unpack(ctx, file, all); err != nil {
			return "", err
		}
		m, _ := filepath.Glob(filepath.Join(all, "usr/src/linux-source-*.tar.*"))
		if len(m) != 1 {
			return "", fmt.Errorf("fetch kernel %s: %s holds %d source tarballs, want 1", f.release, filepath.Base(file), len(m))
		}
		name = filepath.Base(m[0])
		if err := os.Rename(m[0], filepath.Join(fresh, name)); err != nil {
			return "", fmt.Errorf("fetch kernel %s: %w", f.release, err)
		}
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
func (f *fetcher) linkSource(d deb, dir string) (string, bool) {
	others, _ := os.ReadDir(f.cache.Targets())
	for _, o := range others {
		if !o.IsDir() || o.Name() == f.release {
			continue
		}
		m, err := readManifest(f.cache, o.Name())
		if err != nil || m.Source != d.Version {
			continue
		}
		tars, _ := filepath.Glob(filepath.Join(f.cache.TargetSource(o.Name()), d.Name+".tar.*"))
		if len(tars) == 1 && os.Link(tars[0], filepath.Join(dir, filepath.Base(tars[0]))) == nil {
			return filepath.Base(tars[0]), true
		}
	}
	return "", false
}

// lockDeb locks the file of one package, since releases share packages.
func (f *fetcher) lockDeb(ctx context.Context, d deb) (unlock func(), err error) {
	unlock, err = lockFile(ctx, filepath.Join(f.cache.Debs(), "."+d.file()+".lock"), func() {
		f.say("waiting for another run that downloads " + d.Name)
	})
	if err != nil {
		return nil, fmt.Errorf("fetch kernel %s: %w", f.release, err)
	}
	return unlock, nil
}

// download fetches one package.
func (f *fetcher) download(ctx context.Context, d deb) (string, error) {
	unlock, err := f.lockDeb(ctx, d)
	if err != nil {
		return "", err
	}
	defer unlock()
	return f.apt.download(ctx, f.cache.Debs(), d)
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
