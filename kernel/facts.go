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

	"github.com/klpforge/klpforge/kernel/karch"
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
		banner, err := im.Banner(s)
		if err != nil {
			return banner, err
		}
		if banner.Release != t.release {
			return banner, t.otherRelease(banner.Release, im.Path)
		}
		return banner, nil
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
		index, err := t.Modules()
		if err == nil {
			if list := index.List(); len(list) > 0 {
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
		config, err := t.Config()
		if err != nil {
			return "", fmt.Errorf("find vermagic: %w", err)
		}
		return vermagicOf(t.release, config)
	})
}

// vermagicOf builds VERMAGIC_STRING (include/linux/vermagic.h, v6.1).
func vermagicOf(release string, config *kconfig.Config) (string, error) {
	if config.Bool("RANDSTRUCT") || config.Bool("GCC_PLUGIN_RANDSTRUCT") {
		return "", errors.New("find vermagic: it holds a random seed (CONFIG_RANDSTRUCT), and no shipped module " +
			"tells it")
	}
	vermagic := release + " "
	if config.Bool("SMP") {
		vermagic += "SMP "
	}
	switch {
	case config.Bool("PREEMPT_RT"):
		vermagic += "preempt_rt "
	case config.Bool("PREEMPT_BUILD"), config.Bool("PREEMPT"):
		vermagic += "preempt "
	}
	if config.Bool("MODULE_UNLOAD") {
		vermagic += "mod_unload "
	}
	if config.Bool("MODVERSIONS") {
		vermagic += "modversions "
	}
	if arch, ok := karch.Configured(config.Bool); ok {
		vermagic += arch.Vermagic(config.Bool)
	}
	return vermagic, nil
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
	banner, err := t.Banner()
	if err == nil {
		if v := banner.Upstream(); v != "" {
			return v, nil
		}
	}
	headers, herr := t.Headers()
	if herr != nil {
		return "", errors.Join(err, herr)
	}
	return makefileVersion(filepath.Join(headers.Common, "Makefile"))
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
	found, err := t.part(t.opts.Source, PartSource)
	if err != nil {
		return Source{}, err
	}
	st, err := os.Stat(found)
	if err != nil {
		return Source{}, fmt.Errorf("find the source: %w", err)
	}
	if st.IsDir() {
		v, err := makefileVersion(filepath.Join(found, "Makefile"))
		if err != nil {
			return Source{}, fmt.Errorf("%s is not a kernel source: %w", found, err)
		}
		return Source{Dir: found, Version: v}, t.checkSourceVersion(found, v)
	}
	source := Source{Tarball: found}
	if filepath.Dir(found) != t.cache.TargetSource(t.release) {
		source.Version = packagedVersion(found)
	} else if m, err := t.cache.Manifest(t.release); err == nil {
		source.Version = m.Source
	}
	return source, t.checkSourceVersion(found, source.Version)
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
		banner, err := t.Banner()
		switch m := rpmRelease.FindStringSubmatch(t.release); {
		case err == nil && banner.Package != "":
			want = banner.Package
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
var rpmRelease = regexp.MustCompile(`^([^-]+-[^-]+)\.(?:` + strings.Join(karch.Unames(), "|") + `)(?:\+.*)?$`)

// makefileVersion reads VERSION.PATCHLEVEL.SUBLEVEL from the top of a kernel
// Makefile.
func makefileVersion(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	vars := map[string]string{}
	sc := bufio.NewScanner(file)
	for n := 0; sc.Scan() && n < 50; n++ {
		k, val, ok := strings.Cut(sc.Text(), "=")
		k = strings.TrimSpace(k)
		if ok && (k == "VERSION" || k == "PATCHLEVEL" || k == "SUBLEVEL") && vars[k] == "" {
			vars[k] = strings.TrimSpace(val)
		}
	}
	if err := sc.Err(); err != nil {
		return "", fmt.Errorf("%s: %w", path, err)
	}
	for _, k := range []string{"VERSION", "PATCHLEVEL", "SUBLEVEL"} {
		if vars[k] == "" {
			return "", fmt.Errorf("%s: no %s in the first lines", path, k)
		}
	}
	return vars["VERSION"] + "." + vars["PATCHLEVEL"] + "." + vars["SUBLEVEL"], nil
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
	file, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer file.Close()
	z, err := gzip.NewReader(file)
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
	banner, err := t.Banner()
	// Only what both sides say can be compared: a missing part is for others to report.
	var mismatch *PartsMismatchError
	if errors.As(err, &mismatch) {
		return err
	}
	headers, herr := t.Headers()
	if err != nil || herr != nil {
		return nil
	}

	gen := filepath.Join(headers.Dir, "include/generated")
	for _, check := range []struct {
		what, want string
		re         *regexp.Regexp
		files      []string
	}{
		{"the release", banner.Release, utsRelease, []string{"utsrelease.h"}},
		{"the build version", banner.Build, utsVersion, []string{"utsversion.h", "compile.h"}},
	} {
		for _, file := range check.files {
			text, err := os.ReadFile(filepath.Join(gen, file))
			if err != nil {
				continue
			}
			if m := check.re.FindSubmatch(text); m != nil && string(m[1]) != check.want {
				return &PartsMismatchError{
					Release: t.release, What: check.what, A: check.want, PathA: banner.Text,
					B: string(m[1]), PathB: filepath.Join(gen, file),
				}
			}
		}
	}
	return nil
}
