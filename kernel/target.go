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
	"github.com/klpforge/klpforge/kernel/klpapi"
)

// Options say which kernel to open and where its parts are.
type Options struct {
	// Release is the kernel release, as `uname -r` prints it. It may be
	// empty when Vmlinux, Image, Headers or ModulesDir say it.
	Release string
	// Root stands for /; "" means "/". Packages may be merely unpacked there.
	Root string
	// Cache is searched after Root; "" means [DefaultCache].
	Cache Cache

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
	cache   Cache
	roots   []root // where parts are searched, in order

	config  lazy[*Config]
	symvers lazy[*Symvers]
	image   lazy[*Image]
	debug   lazy[*Image]
	symbols lazy[*Symbols]
	trace   lazy[*Trace]
	endbr   lazy[*Endbr]
	modules lazy[*Modules]
	banner  lazy[Banner]
	api     lazy[klpapi.API]
	headers lazy[Headers]
	magic   lazy[string]
}

// Open finds a target. The error is an [UnknownReleaseError] when neither the
// root nor the cache has an image, modules or headers of the release and no
// override names a part. Nothing but directory entries is read.
func Open(o Options) (*Target, error) {
	if o.Root == "" {
		o.Root = "/"
	}
	c, err := o.Cache.resolve()
	if err != nil {
		return nil, err
	}
	for _, p := range []struct{ flag, path string }{
		{"--root", o.Root}, {"--source", o.Source}, {"--config", o.Config}, {"--symvers", o.Symvers}, {"--system-map", o.SystemMap},
		{"--vmlinux", o.Vmlinux}, {"--headers", o.Headers}, {"--image", o.Image}, {"--modules", o.ModulesDir},
	} {
		if p.path == "" {
			continue
		}
		if _, err := os.Stat(p.path); err != nil {
			return nil, fmt.Errorf("open kernel: %s: %w", p.flag, err)
		}
	}
	t := &Target{release: o.Release, opts: o, cache: c}
	override := o.Source + o.Vmlinux + o.Headers + o.Image + o.ModulesDir
	if t.release == "" {
		if t.release, err = deriveRelease(o); err != nil {
			return nil, err
		}
	}
	if !validRelease(t.release) {
		return nil, fmt.Errorf("open kernel: %q is not a kernel release", t.release)
	}
	var searched []string
	known := false
	system, cached := root(o.Root), root(c.TargetRoot(t.release))
	for _, r := range []root{system, cached} {
		for _, places := range [][]string{r.images(t.release), r.moduleDirs(t.release), r.headers(t.release), r.vmlinuxes(t.release)} {
			searched = append(searched, places[0])
			known = known || len(r.existing(places)) > 0
		}
	}
	// Parts of one release shall come from one place: the one with the image.
	t.roots = []root{system, cached}
	if len(system.existing(system.images(t.release))) == 0 && len(cached.existing(cached.images(t.release))) > 0 {
		t.roots = []root{cached, system}
	}
	if !known && override == "" {
		return nil, &UnknownReleaseError{Release: t.release, Searched: searched}
	}
	return t, nil
}

// deriveRelease finds the release when only parts were named.
func deriveRelease(o Options) (string, error) {
	if o.Headers != "" {
		// Debian's kernel.release holds the version only.
		for _, f := range []string{"include/generated/utsrelease.h", "include/config/kernel.release"} {
			b, err := os.ReadFile(filepath.Join(o.Headers, f))
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
	if o.ModulesDir != "" && majorMinor.MatchString(filepath.Base(o.ModulesDir)) {
		return filepath.Base(o.ModulesDir), nil
	}
	for _, p := range []string{o.Vmlinux, o.Image} {
		if p == "" {
			continue
		}
		im, err := OpenImage(p, "")
		if err != nil {
			return "", err
		}
		defer im.Close()
		b, err := findBanner(im, nil)
		if err != nil {
			return "", err
		}
		return b.Release, nil
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
	for _, l := range []*lazy[*Image]{&t.image, &t.debug} {
		if im, _ := l.get(func() (*Image, error) { return nil, errors.New("closed") }); im != nil {
			errs = append(errs, im.Close())
		}
	}
	return errors.Join(errs...)
}

// Release is the kernel release, as `uname -r` prints it.
func (t *Target) Release() string { return t.release }

// Cache is the cache directory in use.
func (t *Target) Cache() Cache { return t.cache }

func (t *Target) fetchRemedy() string { return "run `klpforge kernel fetch " + t.release + "`" }

// part returns the path of a part: the override, or the first place under
// the roots that exists.
func (t *Target) part(override, what, flag string, places func(root) []string) (string, error) {
	if override != "" {
		return override, nil
	}
	var searched []string
	for _, r := range t.roots {
		ps := places(r)
		if found := r.existing(ps); len(found) > 0 {
			return found[0], nil
		}
		searched = append(searched, ps...)
	}
	remedy := t.fetchRemedy()
	if flag != "" {
		remedy += " or name it with " + flag
	}
	return "", &MissingPartError{Release: t.release, Part: what, Searched: searched, Remedy: remedy}
}

// ConfigPath finds the kernel's .config.
func (t *Target) ConfigPath() (string, error) {
	if t.opts.Config == "" && t.opts.Headers != "" {
		if p := filepath.Join(t.opts.Headers, ".config"); exists(p) {
			return p, nil
		}
	}
	return t.part(t.opts.Config, "config", "--config", func(r root) []string { return r.configs(t.release) })
}

// Config is the kernel's configuration.
func (t *Target) Config() (*Config, error) {
	return t.config.get(func() (*Config, error) {
		p, err := t.ConfigPath()
		if err != nil {
			return nil, err
		}
		return readConfig(p)
	})
}

// SymversPath finds Module.symvers; it may be compressed.
func (t *Target) SymversPath() (string, error) {
	if t.opts.Symvers == "" && t.opts.Headers != "" {
		if p := filepath.Join(t.opts.Headers, "Module.symvers"); exists(p) {
			return p, nil
		}
	}
	return t.part(t.opts.Symvers, "Module.symvers", "--symvers", func(r root) []string { return r.symvers(t.release) })
}

// Symvers is the kernel's Module.symvers.
func (t *Target) Symvers() (*Symvers, error) {
	return t.symvers.get(func() (*Symvers, error) {
		p, err := t.SymversPath()
		if err != nil {
			return nil, err
		}
		return readSymvers(p)
	})
}

// ImagePath finds the kernel image as it is booted, or the uncompressed
// vmlinux when only that is there.
func (t *Target) ImagePath() (string, error) {
	over := t.opts.Image
	if over == "" {
		over = t.opts.Vmlinux
	}
	return t.part(over, "kernel image", "--vmlinux", func(r root) []string {
		return append(r.images(t.release), r.vmlinuxes(t.release)...)
	})
}

// Image is vmlinux as it is shipped: what runs, before boot-time patching.
func (t *Target) Image() (*Image, error) {
	return t.image.get(func() (*Image, error) {
		p, err := t.ImagePath()
		if err != nil {
			return nil, err
		}
		return OpenImage(p, t.cache.Target(t.release))
	})
}

// DebugImagePath finds a vmlinux with a symbol table; missing when no debug
// package is there and --vmlinux was not given.
func (t *Target) DebugImagePath() (string, error) {
	p, err := t.part(t.opts.Vmlinux, "vmlinux with symbols", "--vmlinux", func(r root) []string { return r.vmlinuxes(t.release) })
	var missing *MissingPartError
	if errors.As(err, &missing) {
		missing.Remedy = "run `klpforge kernel fetch --dbg " + t.release + "` or name it with --vmlinux"
	}
	return p, err
}

// DebugImage is the vmlinux of the debug package: the same code, with a
// symbol table and DWARF.
func (t *Target) DebugImage() (*Image, error) {
	return t.debug.get(func() (*Image, error) {
		p, err := t.DebugImagePath()
		if err != nil {
			return nil, err
		}
		return OpenImage(p, "")
	})
}

// Symbols are vmlinux's symbols as the running kernel's kallsyms will show
// them. The tables in the image decide when they are there, since it is they
// that the kernel searches; then a symbol table; then a System.map. A
// System.map named explicitly must agree with the tables in the image: the
// error is a [PartsMismatchError] when it does not.
func (t *Target) Symbols() (*Symbols, error) {
	return t.symbols.get(func() (*Symbols, error) {
		s, err := t.imageSymbols()
		if t.opts.SystemMap != "" {
			m, merr := t.readSystemMap(t.opts.SystemMap)
			if merr != nil {
				return nil, merr
			}
			if err != nil {
				return m, nil
			}
			if d := diffSymbols(s, m); d != nil {
				d.Release, d.PathA, d.PathB = t.release, s.Path, m.Path
				return nil, d
			}
			return s, nil
		}
		if err == nil {
			return s, nil
		}
		path, merr := t.part("", "System.map", "--system-map", func(r root) []string { return r.systemMaps(t.release) })
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

func (t *Target) imageSymbols() (*Symbols, error) {
	im, err := t.Image()
	if err != nil {
		return nil, err
	}
	s, err := decodeKallsyms(im)
	if err == nil {
		return s, nil
	}
	// Without kallsyms tables a symbol table says what they would hold.
	for _, get := range []func() (*Image, error){t.Image, t.DebugImage} {
		if im, ierr := get(); ierr == nil && im.HasSymtab() {
			return symtabSymbols(im, t.optionalConfig())
		}
	}
	return nil, err
}

func (t *Target) optionalConfig() *Config {
	c, err := t.Config()
	if err != nil {
		return nil
	}
	return c
}

func (t *Target) readSystemMap(path string) (*Symbols, error) {
	b, err := regular.Read(path, maxFile)
	if err != nil {
		return nil, err
	}
	return ParseSystemMap(path, string(b), t.optionalConfig())
}

// diffSymbols returns how b differs from a in a way that matters to sympos:
// a name with other addresses. Names that only one of the two has do not
// matter: builds differ in which marker symbols they keep.
func diffSymbols(a, b *Symbols) *PartsMismatchError {
	for s := range b.All() {
		if s.Pos != 1 {
			continue
		}
		x, y := a.Lookup(s.Name), b.Lookup(s.Name)
		if len(x) == 0 {
			continue
		}
		for i := range max(len(x), len(y)) {
			switch {
			case len(x) != len(y):
				return &PartsMismatchError{What: "the number of symbols " + s.Name, A: fmt.Sprint(len(x)), B: fmt.Sprint(len(y))}
			case x[i].Addr != y[i].Addr:
				return &PartsMismatchError{What: fmt.Sprintf("the address of %s,%d", s.Name, i+1), A: fmt.Sprintf("%#x", x[i].Addr), B: fmt.Sprintf("%#x", y[i].Addr)}
			}
		}
	}
	return nil
}

// Trace says where ftrace can hook into vmlinux.
func (t *Target) Trace() (*Trace, error) {
	return t.trace.get(func() (*Trace, error) {
		im, err := t.Image()
		if err != nil {
			return nil, err
		}
		s, err := t.Symbols()
		if err != nil {
			return nil, err
		}
		return newTrace(im, s), nil
	})
}

// Endbr says which functions of vmlinux indirect branches may enter; it is nil
// for a kernel that does not track them.
func (t *Target) Endbr() (*Endbr, error) {
	return t.endbr.get(func() (*Endbr, error) {
		im, err := t.Image()
		if err != nil {
			return nil, err
		}
		s, err := t.Symbols()
		if err != nil {
			return nil, err
		}
		return newEndbr(im, s)
	})
}

// BTF is vmlinux's raw type information. The slice is read-only memory, valid
// until Close. The error wraps [ErrNoBTF] when the kernel has none.
func (t *Target) BTF() ([]byte, error) {
	im, err := t.Image()
	if err != nil {
		return nil, err
	}
	return im.BTF()
}

// ModulesPath finds /lib/modules/<release>.
func (t *Target) ModulesPath() (string, error) {
	return t.part(t.opts.ModulesDir, "modules", "", func(r root) []string {
		return append(r.inModules(t.release, "kernel/.."), r.moduleDirs(t.release)...)
	})
}

// Modules indexes the shipped modules.
func (t *Target) Modules() (*Modules, error) {
	return t.modules.get(func() (*Modules, error) {
		p, err := t.ModulesPath()
		if err != nil {
			return nil, err
		}
		m, err := openModules(filepath.Clean(p), t.release, t.optionalConfig())
		if err != nil {
			return nil, err
		}
		return m, m.add(t.opts.ExtraModules)
	})
}

// Module reads one shipped module; - and _ in its name are the same.
func (t *Target) Module(name string) (*Module, error) {
	m, err := t.Modules()
	if err != nil {
		return nil, err
	}
	return m.Module(name)
}

// Headers are the configured headers that modules are built against.
type Headers struct {
	Dir    string // holds .config, Module.symvers, include/generated, arch/*/include/generated
	Common string // holds the headers proper; the same as Dir when there is no split
}

// Headers finds the kernel headers.
func (t *Target) Headers() (Headers, error) {
	return t.headers.get(func() (Headers, error) {
		dir, err := t.part(t.opts.Headers, "kernel headers", "--headers", func(r root) []string { return r.headers(t.release) })
		if err != nil {
			return Headers{}, err
		}
		h := Headers{Dir: dir, Common: dir}
		if exists(filepath.Join(dir, "include/linux/module.h")) {
			return h, nil
		}
		h.Common, err = t.part("", "common kernel headers", "", func(r root) []string { return r.commons(t.release, dir) })
		return h, err
	})
}

// API is the livepatch interface of the kernel, detected from its headers, or
// from its source when there are none.
func (t *Target) API() (klpapi.API, error) {
	return t.api.get(func() (klpapi.API, error) {
		h, err := t.Headers()
		dir := h.Common
		if err != nil {
			src, serr := t.Source()
			if serr != nil || src.Dir == "" {
				return klpapi.API{}, err
			}
			dir = src.Dir
		}
		path := filepath.Join(dir, "include/linux/livepatch.h")
		b, err := os.ReadFile(path)
		if err != nil {
			return klpapi.API{}, fmt.Errorf("detect the livepatch API: %w", err)
		}
		ext, err := os.ReadFile(filepath.Join(dir, "include/linux/livepatch_external.h"))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return klpapi.API{}, fmt.Errorf("detect the livepatch API: %w", err)
		}
		a, err := klpapi.Detect(string(b) + "\n" + string(ext))
		if err != nil {
			return klpapi.API{}, fmt.Errorf("detect the livepatch API from %s: %w", path, err)
		}

		moduleH, err := os.ReadFile(filepath.Join(dir, "include/linux/module.h"))
		if err != nil {
			return klpapi.API{}, fmt.Errorf("detect symbol namespaces: %w", err)
		}
		a.DetectNamespaces(string(moduleH))
		return a, nil
	})
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
