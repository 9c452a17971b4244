package kernel

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/klpforge/klpforge/internal/regular"
	"github.com/klpforge/klpforge/internal/unpack"
	"github.com/klpforge/klpforge/kernel/cachedir"
	"github.com/klpforge/klpforge/kernel/kconfig"
	"github.com/klpforge/klpforge/kernel/kimage"
	"github.com/klpforge/klpforge/kernel/klpapi"
	"github.com/klpforge/klpforge/kernel/kmod"
)

// Options say which kernel to open and where its parts are.
type Options struct {
	// Release is the kernel release, as `uname -r` prints it. It may be
	// empty when Vmlinux, Image, Headers or ModulesDir say it.
	Release string
	// Root stands for /; "" means "/". Packages may be merely unpacked there.
	Root string
	// Cache is searched after Root; "" means [cachedir.Default].
	Cache cachedir.Dir
	// Finder knows where the parts are; nil means to look where distributions
	// put them, under Root and in the cache. Release may then be empty.
	Finder Finder

	// The rest overrides one part each; "" means to look for it.
	Source     string // directory or tarball of the source
	Config     string // .config
	Symvers    string // Module.symvers
	SystemMap  string
	Vmlinux    string // ELF vmlinux, with or without a symbol table
	Headers    string // configured headers, or a built tree
	Image      string // bzImage or ELF vmlinux
	ModulesDir string // as /lib/modules/<release>
	// ExtraModules are files of modules that were built outside the kernel's
	// tree. They count as modules of the target, before all others.
	ExtraModules []string
}

// Target is one kernel. Its parts are found by [Open] and read when asked
// for, once. It is safe for concurrent use, but for Close.
type Target struct {
	release string
	opts    Options
	cache   cachedir.Dir
	finder  Finder

	config  lazy[*kconfig.Config]
	symvers lazy[*kmod.Symvers]
	image   lazy[*kimage.Image]
	debug   lazy[*kimage.Image]
	symbols lazy[*kimage.Symbols]
	trace   lazy[*kimage.Trace]
	endbr   lazy[*kimage.Endbr]
	modules lazy[*kmod.Index]
	banner  lazy[kimage.Banner]
	api     lazy[klpapi.API]
	headers lazy[Headers]
	magic   lazy[string]
}

// Open finds a target. The error is an [UnknownReleaseError] when neither the
// root nor the cache has an image, modules or headers of the release and no
// override names a part. Nothing but directory entries is read.
func Open(opts Options) (*Target, error) {
	if opts.Root == "" {
		opts.Root = "/"
	}
	cache, err := opts.Cache.Resolve()
	if err != nil {
		return nil, err
	}

	// A path that the user gave must be there; falling back to another place would hide the
	// typing error.
	for _, given := range []struct{ flag, path string }{
		{"--root", opts.Root}, {"--source", opts.Source}, {"--config", opts.Config}, {"--symvers", opts.Symvers},
		{"--system-map", opts.SystemMap},
		{"--vmlinux", opts.Vmlinux}, {"--headers", opts.Headers}, {"--image", opts.Image},
		{"--modules", opts.ModulesDir},
	} {
		if given.path == "" {
			continue
		}
		if _, err := os.Stat(given.path); err != nil {
			return nil, fmt.Errorf("open kernel: %s: %w", given.flag, err)
		}
	}

	target := &Target{release: opts.Release, opts: opts, cache: cache, finder: opts.Finder}
	switch {
	case target.finder != nil && target.release == "":
		target.release = target.finder.Release()
	case target.finder != nil && target.release != target.finder.Release():
		return nil, fmt.Errorf("open kernel: what was found is kernel %s, not %s", target.finder.Release(),
			target.release)
	case target.release == "":
		if target.release, err = deriveRelease(opts); err != nil {
			return nil, err
		}
	}
	if !cachedir.ValidRelease(target.release) {
		return nil, fmt.Errorf("open kernel: %q is not a kernel release", target.release)
	}

	if target.finder == nil {
		dist, known, searched := findDistribution(target.release, opts, cache)
		override := opts.Source + opts.Vmlinux + opts.Headers + opts.Image + opts.ModulesDir
		if !known && override == "" {
			return nil, &UnknownReleaseError{Release: target.release, Searched: searched}
		}
		target.finder = dist
	}
	return target, nil
}

// deriveRelease finds the release when only parts were named.
func deriveRelease(opts Options) (string, error) {
	if opts.Headers != "" {
		// Debian's kernel.release holds the version only.
		for _, f := range []string{"include/generated/utsrelease.h", "include/config/kernel.release"} {
			b, err := os.ReadFile(filepath.Join(opts.Headers, f))
			if err != nil {
				continue
			}
			s := strings.TrimSpace(string(b))
			if m := utsRelease.FindStringSubmatch(s); m != nil {
				s = m[1]
			}
			return s, nil
		}
	}
	if opts.ModulesDir != "" && majorMinor.MatchString(filepath.Base(opts.ModulesDir)) {
		return filepath.Base(opts.ModulesDir), nil
	}
	for _, p := range []string{opts.Vmlinux, opts.Image} {
		if p == "" {
			continue
		}
		im, err := kimage.Open(p, "")
		if err != nil {
			return "", err
		}
		defer im.Close()
		banner, err := im.Banner(nil)
		if err != nil {
			return "", err
		}
		return banner.Release, nil
	}
	return "", errors.New("open kernel: no release given, and none of the given parts says one; name it with -k")
}

var (
	utsRelease = regexp.MustCompile(`#define\s+UTS_RELEASE\s+"([^"]*)"`)
	utsVersion = regexp.MustCompile(`#define\s+UTS_VERSION\s+"([^"]*)"`)
)

// Close unmaps images. Bytes taken from them must not be used afterwards.
func (t *Target) Close() error {
	var errs []error
	for _, l := range []*lazy[*kimage.Image]{&t.image, &t.debug} {
		if im, _ := l.get(func() (*kimage.Image, error) { return nil, errors.New("closed") }); im != nil {
			errs = append(errs, im.Close())
		}
	}
	return errors.Join(errs...)
}

// Release is the kernel release, as `uname -r` prints it.
func (t *Target) Release() string { return t.release }

// Cache is the cache directory in use.
func (t *Target) Cache() cachedir.Dir { return t.cache }

// part returns the path of a part: the override, or what the finder finds.
func (t *Target) part(override string, part Part) (string, error) {
	if override != "" {
		return override, nil
	}
	path, searched := t.finder.Find(part)
	if path == "" {
		return "", &MissingPartError{Release: t.release, Part: part.String(), Searched: searched,
			Remedy: t.finder.Remedy(part)}
	}
	return path, nil
}

// ConfigPath finds the kernel's .config.
func (t *Target) ConfigPath() (string, error) {
	if t.opts.Config == "" && t.opts.Headers != "" {
		if p := filepath.Join(t.opts.Headers, ".config"); exists(p) {
			return p, nil
		}
	}
	return t.part(t.opts.Config, PartConfig)
}

// Config is the kernel's configuration.
func (t *Target) Config() (*kconfig.Config, error) {
	return t.config.get(func() (*kconfig.Config, error) {
		p, err := t.ConfigPath()
		if err != nil {
			return nil, err
		}
		return kconfig.Read(p)
	})
}

// SymversPath finds Module.symvers; it may be compressed.
func (t *Target) SymversPath() (string, error) {
	if t.opts.Symvers == "" && t.opts.Headers != "" {
		if p := filepath.Join(t.opts.Headers, "Module.symvers"); exists(p) {
			return p, nil
		}
	}
	return t.part(t.opts.Symvers, PartSymvers)
}

// Symvers is the kernel's Module.symvers.
func (t *Target) Symvers() (*kmod.Symvers, error) {
	return t.symvers.get(func() (*kmod.Symvers, error) {
		p, err := t.SymversPath()
		if err != nil {
			return nil, err
		}
		return kmod.ReadSymvers(p)
	})
}

// ImagePath finds the kernel image as it is booted, or the uncompressed
// vmlinux when only that is there.
func (t *Target) ImagePath() (string, error) {
	over := t.opts.Image
	if over == "" {
		over = t.opts.Vmlinux
	}
	return t.part(over, PartImage)
}

// Image is vmlinux as it is shipped: what runs, before boot-time patching.
func (t *Target) Image() (*kimage.Image, error) {
	return t.image.get(func() (*kimage.Image, error) {
		p, err := t.ImagePath()
		if err != nil {
			return nil, err
		}
		return kimage.Open(p, t.cache.Target(t.release))
	})
}

// DebugImagePath finds a vmlinux with a symbol table; missing when no debug
// package is there and --vmlinux was not given.
func (t *Target) DebugImagePath() (string, error) {
	return t.part(t.opts.Vmlinux, PartVmlinux)
}

// DebugImage is the vmlinux of the debug package: the same code, with a
// symbol table and DWARF.
func (t *Target) DebugImage() (*kimage.Image, error) {
	return t.debug.get(func() (*kimage.Image, error) {
		p, err := t.DebugImagePath()
		if err != nil {
			return nil, err
		}
		return kimage.Open(p, "")
	})
}

// Symbols are vmlinux's symbols as the running kernel's kallsyms will show
// them. The tables in the image decide when they are there, since it is they
// that the kernel searches; then a symbol table; then a System.map. A
// System.map named explicitly must agree with the tables in the image: the
// error is a [PartsMismatchError] when it does not.
func (t *Target) Symbols() (*kimage.Symbols, error) {
	return t.symbols.get(func() (*kimage.Symbols, error) {
		syms, err := t.imageSymbols()
		// A System.map that the user names is a claim about this kernel, and is checked where the
		// image has a table of its own.
		if t.opts.SystemMap != "" {
			mapped, merr := t.readSystemMap(t.opts.SystemMap)
			if merr != nil {
				return nil, merr
			}
			if err != nil {
				return mapped, nil
			}
			if what, a, b := syms.Differ(mapped); what != "" {
				return nil, &PartsMismatchError{Release: t.release, What: what, A: a, PathA: syms.Path, B: b,
					PathB: mapped.Path}
			}
			return syms, nil
		}
		if err == nil {
			return syms, nil
		}

		// The tables in the image failed, so what was installed beside it is taken unchecked.
		path, merr := t.part("", PartSystemMap)
		if merr != nil {
			return nil, err
		}
		m, merr := t.readSystemMap(path)
		if merr != nil {
			return nil, fmt.Errorf("%w; and %w", err, merr)
		}
		return m, nil
	})
}

func (t *Target) imageSymbols() (*kimage.Symbols, error) {
	im, err := t.Image()
	if err != nil {
		return nil, err
	}
	syms, err := im.Kallsyms()
	if err == nil {
		return syms, nil
	}
	// Without kallsyms tables a symbol table says what they would hold.
	for _, get := range []func() (*kimage.Image, error){t.Image, t.DebugImage} {
		if im, ierr := get(); ierr == nil && im.HasSymtab() {
			return im.SymtabSymbols(t.optionalConfig())
		}
	}
	return nil, err
}

func (t *Target) optionalConfig() *kconfig.Config {
	config, err := t.Config()
	if err != nil {
		return nil
	}
	return config
}

func (t *Target) readSystemMap(path string) (*kimage.Symbols, error) {
	b, err := regular.Read(path, unpack.MaxFile)
	if err != nil {
		return nil, err
	}
	return kimage.ParseSystemMap(path, string(b), t.optionalConfig())
}

// Trace says where ftrace can hook into vmlinux.
func (t *Target) Trace() (*kimage.Trace, error) {
	return t.trace.get(func() (*kimage.Trace, error) {
		im, err := t.Image()
		if err != nil {
			return nil, err
		}
		syms, err := t.Symbols()
		if err != nil {
			return nil, err
		}
		return kimage.NewTrace(im, syms), nil
	})
}

// Endbr says which functions of vmlinux indirect branches may enter; it is nil
// for a kernel that does not track them.
func (t *Target) Endbr() (*kimage.Endbr, error) {
	return t.endbr.get(func() (*kimage.Endbr, error) {
		im, err := t.Image()
		if err != nil {
			return nil, err
		}
		syms, err := t.Symbols()
		if err != nil {
			return nil, err
		}
		return kimage.NewEndbr(im, syms)
	})
}

// BTF is vmlinux's raw type information. The slice is read-only memory, valid
// until Close. The error wraps [kimage.ErrNoBTF] when the kernel has none.
func (t *Target) BTF() ([]byte, error) {
	im, err := t.Image()
	if err != nil {
		return nil, err
	}
	return im.BTF()
}

// ModulesPath finds /lib/modules/<release>.
func (t *Target) ModulesPath() (string, error) {
	return t.part(t.opts.ModulesDir, PartModules)
}

// Modules indexes the shipped modules.
func (t *Target) Modules() (*kmod.Index, error) {
	return t.modules.get(func() (*kmod.Index, error) {
		p, err := t.ModulesPath()
		if err != nil {
			return nil, err
		}
		index, err := kmod.Open(filepath.Clean(p), t.release, t.optionalConfig())
		if err != nil {
			return nil, err
		}
		for _, file := range t.opts.ExtraModules {
			mod, err := index.Add(file)
			if err != nil {
				return nil, err
			}
			if magic, _, _ := strings.Cut(mod.Info.Get("vermagic"), " "); magic != t.release {
				return nil, t.otherRelease(magic, file)
			}
		}
		return index, nil
	})
}

// Module reads one shipped module; - and _ in its name are the same.
func (t *Target) Module(name string) (*kmod.Module, error) {
	index, err := t.Modules()
	if err != nil {
		return nil, err
	}
	return index.Module(name)
}

// Headers are the configured headers that modules are built against.
type Headers struct {
	Dir    string // holds .config, Module.symvers, include/generated, arch/*/include/generated
	Common string // holds the headers proper; the same as Dir when there is no split
}

// Headers finds the kernel headers.
func (t *Target) Headers() (Headers, error) {
	return t.headers.get(func() (Headers, error) {
		dir, err := t.part(t.opts.Headers, PartHeaders)
		if err != nil {
			return Headers{}, err
		}
		headers := Headers{Dir: dir, Common: dir}
		if exists(filepath.Join(dir, "include/linux/module.h")) {
			return headers, nil
		}
		headers.Common, err = t.part("", PartCommonHeaders)
		return headers, err
	})
}

// API is the livepatch interface of the kernel, detected from its headers, or
// from its source when there are none.
func (t *Target) API() (klpapi.API, error) {
	return t.api.get(func() (klpapi.API, error) {
		h, err := t.Headers()
		dir := h.Common
		if err != nil {
			// Headers as packages have them, or an unpacked source tree: livepatch.h is the same.
			src, serr := t.Source()
			if serr != nil || src.Dir == "" {
				return klpapi.API{}, err
			}
			dir = src.Dir
		}
		path := filepath.Join(dir, "include/linux/livepatch.h")
		header, err := os.ReadFile(path)
		if err != nil {
			return klpapi.API{}, fmt.Errorf("detect the livepatch API: %w", err)
		}
		ext, err := os.ReadFile(filepath.Join(dir, "include/linux/livepatch_external.h"))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return klpapi.API{}, fmt.Errorf("detect the livepatch API: %w", err)
		}
		api, err := klpapi.Detect(string(header) + "\n" + string(ext))
		if err != nil {
			return klpapi.API{}, fmt.Errorf("detect the livepatch API from %s: %w", path, err)
		}

		moduleH, err := os.ReadFile(filepath.Join(dir, "include/linux/module.h"))
		if err != nil {
			return klpapi.API{}, fmt.Errorf("detect symbol namespaces: %w", err)
		}
		api.DetectNamespaces(string(moduleH))
		return api, nil
	})
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
