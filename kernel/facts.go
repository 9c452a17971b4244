package kernel

import (
	"bufio"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/klpforge/klpforge/kernel/kconfig"
	"github.com/klpforge/klpforge/kernel/kimage"
	"github.com/klpforge/klpforge/kernel/kmod"
)

// Banner is linux_banner as the image holds it.
func (t *Target) Banner() (kimage.Banner, error) {
	return t.banner.get(func() (kimage.Banner, error) {
		im, err := t.Image()
		if err != nil {
			return kimage.Banner{}, err
		}
		s, _ := t.Symbols()
		b, err := im.Banner(s)
		if err != nil {
			return b, err
		}
		if b.Release != t.release {
			return b, t.otherRelease(b.Release, im.Path)
		}
		return b, nil
	})
}

// otherRelease is the error for a part that says it is of another release.
func (t *Target) otherRelease(release, path string) *PartsMismatchError {
	return &PartsMismatchError{
		Release: t.release, What: "the release", A: t.release, PathA: "the request", B: release, PathB: path,
	}
}

// Vermagic is the string a module must carry to load. It is taken from a
// shipped module, or built from the config as include/linux/vermagic.h does
// when the release ships none.
func (t *Target) Vermagic() (string, error) {
	return t.magic.get(func() (string, error) {
		m, err := t.Modules()
		if err == nil {
			if list := m.List(); len(list) > 0 {
				mod, err := kmod.Read(list[0].Path)
				if err != nil {
					return "", fmt.Errorf("find vermagic: %w", err)
				}
				v := mod.Info.Get("vermagic")
				if rel, _, _ := strings.Cut(v, " "); rel != t.release {
					return "", t.otherRelease(rel, mod.Path)
				}
				return v, nil
			}
		}
		c, err := t.Config()
		if err != nil {
			return "", fmt.Errorf("find vermagic: %w", err)
		}
		return vermagicOf(t.release, c)
	})
}

// vermagicOf builds VERMAGIC_STRING (include/linux/vermagic.h, v6.1).
func vermagicOf(release string, c *kconfig.Config) (string, error) {
	if c.Bool("RANDSTRUCT") || c.Bool("GCC_PLUGIN_RANDSTRUCT") {
		return "", errors.New("find vermagic: it holds a random seed (CONFIG_RANDSTRUCT), and no shipped module tells it")
	}
	v := release + " "
	if c.Bool("SMP") {
		v += "SMP "
	}
	switch {
	case c.Bool("PREEMPT_RT"):
		v += "preempt_rt "
	case c.Bool("PREEMPT_BUILD"), c.Bool("PREEMPT"):
		v += "preempt "
	}
	if c.Bool("MODULE_UNLOAD") {
		v += "mod_unload "
	}
	if c.Bool("MODVERSIONS") {
		v += "modversions "
	}
	if c.Bool("ARM64") {
		v += "aarch64"
	}
	return v, nil
}

// Compiler is the compiler that built the kernel, from the config, else from
// the banner.
func (t *Target) Compiler() (kconfig.Compiler, error) {
	if c, err := t.Config(); err == nil {
		if cc := c.Compiler(); cc.Text != "" {
			return cc, nil
		}
	}
	b, err := t.Banner()
	return b.Compiler, err
}

// MatchCompiler compares the kernel's compiler with the text that another one
// prints for --version.
func (t *Target) MatchCompiler(versionText string) (kconfig.CompilerMatch, error) {
	c, err := t.Compiler()
	if err != nil {
		return kconfig.CompilerUnknown, err
	}
	return c.Match(kconfig.ParseCompiler(versionText)), nil
}

// Version is the kernel.org version the target was built from ("6.1.192"),
// from the image's banner, else from the headers' Makefile.
func (t *Target) Version() (string, error) {
	b, err := t.Banner()
	if err == nil {
		if v := b.Upstream(); v != "" {
			return v, nil
		}
	}
	h, herr := t.Headers()
	if herr != nil {
		return "", errors.Join(err, herr)
	}
	return makefileVersion(filepath.Join(h.Common, "Makefile"))
}

// Source is where the target's source is: exactly one of Dir and Tarball is
// set.
type Source struct {
	Dir     string
	Tarball string
	// Version is the package version ("6.1.192-1") or the kernel.org
	// version, as far as it can be told without unpacking; "" when not.
	Version string
}

// Source finds the target's source. The error is a [SourceMismatchError] when
// what is there is known to be of another version.
func (t *Target) Source() (Source, error) {
	p, err := t.part(t.opts.Source, PartSource)
	if err != nil {
		return Source{}, err
	}
	st, err := os.Stat(p)
	if err != nil {
		return Source{}, fmt.Errorf("find the source: %w", err)
	}
	if st.IsDir() {
		v, err := makefileVersion(filepath.Join(p, "Makefile"))
		if err != nil {
			return Source{}, fmt.Errorf("%s is not a kernel source: %w", p, err)
		}
		return Source{Dir: p, Version: v}, t.checkSourceVersion(p, v)
	}
	s := Source{Tarball: p}
	if filepath.Dir(p) != t.cache.TargetSource(t.release) {
		s.Version = packagedVersion(p)
	} else if m, err := t.cache.Manifest(t.release); err == nil {
		s.Version = m.Source
	}
	return s, t.checkSourceVersion(p, s.Version)
}

// CheckSource verifies that the source tree at dir has the version that the
// target was built from. The error is a [SourceMismatchError] when it has
// another one. Package revisions of one upstream version cannot be told apart
// this way; comparing compiled code with shipped code does that.
func (t *Target) CheckSource(dir string) error {
	v, err := makefileVersion(filepath.Join(dir, "Makefile"))
	if err != nil {
		return fmt.Errorf("%s is not a kernel source: %w", dir, err)
	}
	return t.checkSourceVersion(dir, v)
}

// checkSourceVersion compares a version of the source with the target's. A
// target or source that does not say its version passes: nothing is known.
func (t *Target) checkSourceVersion(path, have string) error {
	if have == "" {
		return nil
	}
	want, err := t.Version()
	if err != nil {
		var mismatch *PartsMismatchError
		if errors.As(err, &mismatch) {
			return err
		}
		return nil
	}
	if strings.ContainsAny(have, "-~") { // a package version
		b, err := t.Banner()
		switch m := rpmRelease.FindStringSubmatch(t.release); {
		case err == nil && b.Package != "":
			want = b.Package
		case m != nil:
			want = m[1]
		default:
			have = kimage.Banner{Package: have}.Upstream()
		}
	}
	if have != want {
		return &SourceMismatchError{
			Release: t.release, Path: path, Have: have, Want: want, Remedy: t.finder.Remedy(PartSource),
		}
	}
	return nil
}

// rpmRelease is how RPM distributions name a release: version and release of the package
// that it was built from, architecture, flavour.
var rpmRelease = regexp.MustCompile(`^([^-]+-[^-]+)\.(?:x86_64|aarch64|ppc64le|s390x)(?:\+.*)?$`)

// makefileVersion reads VERSION.PATCHLEVEL.SUBLEVEL from the top of a kernel
// Makefile.
func makefileVersion(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	v := map[string]string{}
	sc := bufio.NewScanner(f)
	for n := 0; sc.Scan() && n < 50; n++ {
		k, val, ok := strings.Cut(sc.Text(), "=")
		k = strings.TrimSpace(k)
		if ok && (k == "VERSION" || k == "PATCHLEVEL" || k == "SUBLEVEL") && v[k] == "" {
			v[k] = strings.TrimSpace(val)
		}
	}
	if err := sc.Err(); err != nil {
		return "", fmt.Errorf("%s: %w", path, err)
	}
	for _, k := range []string{"VERSION", "PATCHLEVEL", "SUBLEVEL"} {
		if v[k] == "" {
			return "", fmt.Errorf("%s: no %s in the first lines", path, k)
		}
	}
	return v["VERSION"] + "." + v["PATCHLEVEL"] + "." + v["SUBLEVEL"], nil
}

// packagedVersion reads the version of the Debian package a file under
// …/usr/src belongs to, from the package's changelog; "" when it has none.
func packagedVersion(path string) string {
	name := filepath.Base(path)
	if i := strings.Index(name, ".tar."); i >= 0 {
		name = name[:i]
	}
	doc := filepath.Join(filepath.Dir(path), "../share/doc", name)
	for _, c := range []string{"changelog.Debian.gz", "changelog.gz"} {
		if v := changelogVersion(filepath.Join(doc, c)); v != "" {
			return v
		}
	}
	return ""
}

var changelogHead = regexp.MustCompile(`^\S+ \(([^)]+)\)`)

func changelogVersion(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return ""
	}
	line, err := bufio.NewReader(io.LimitReader(z, 4096)).ReadString('\n')
	if err != nil {
		return ""
	}
	if m := changelogHead.FindStringSubmatch(line); m != nil {
		return m[1]
	}
	return ""
}

// CheckParts verifies that the parts belong to one build, as far as they say:
// release and build version of image and headers. The error is a
// [PartsMismatchError]. Parts that are missing are not checked.
func (t *Target) CheckParts() error {
	b, err := t.Banner()
	var mismatch *PartsMismatchError
	if errors.As(err, &mismatch) {
		return err
	}
	h, herr := t.Headers()
	if err != nil || herr != nil {
		return nil
	}
	gen := filepath.Join(h.Dir, "include/generated")
	for _, c := range []struct {
		what, want string
		re         *regexp.Regexp
		files      []string
	}{
		{"the release", b.Release, utsRelease, []string{"utsrelease.h"}},
		{"the build version", b.Build, utsVersion, []string{"utsversion.h", "compile.h"}},
	} {
		for _, f := range c.files {
			text, err := os.ReadFile(filepath.Join(gen, f))
			if err != nil {
				continue
			}
			if m := c.re.FindSubmatch(text); m != nil && string(m[1]) != c.want {
				return &PartsMismatchError{
					Release: t.release, What: c.what, A: c.want, PathA: b.Text,
					B: string(m[1]), PathB: filepath.Join(gen, f),
				}
			}
		}
	}
	return nil
}
