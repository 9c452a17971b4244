package kernel

import (
	"errors"
	"os"
	"path/filepath"
	"sort"
	"strings"

	"github.com/klpforge/klpforge/kernel/cachedir"
	"github.com/klpforge/klpforge/kernel/klpapi"
)

// Installed is a release that can be opened.
type Installed struct {
	Release string `json:"release"`
	Where   string `json:"where"` // the root it was found under
	Cached  bool   `json:"cached"`
	// What is there.
	Image   bool `json:"image"`
	Modules bool `json:"modules"`
	Headers bool `json:"headers"`
	Source  bool `json:"source"`
	Debug   bool `json:"debug"` // vmlinux with symbols
}

// List finds the releases under a root ("" means "/") and in the cache, those
// of the root first, each sorted by release.
func List(rootDir string, cache cachedir.Dir) ([]Installed, error) {
	if rootDir == "" {
		rootDir = "/"
	}
	cache, err := cache.Resolve()
	if err != nil {
		return nil, err
	}
	out := listRoot(root(rootDir), false, cache)
	dirs, err := os.ReadDir(cache.Targets())
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	for _, entry := range dirs {
		if entry.IsDir() && !strings.HasPrefix(entry.Name(), ".") {
			out = append(out, listRoot(root(cache.TargetRoot(entry.Name())), true, cache)...)
		}
	}
	return out, nil
}

func listRoot(under root, cached bool, cache cachedir.Dir) []Installed {
	// An image alone, or modules alone, is a kernel to list too.
	found := map[string]bool{}
	for _, glob := range []struct{ pattern, prefix string }{
		{"boot/vmlinuz-*", "vmlinuz-"}, {"lib/modules/*", ""}, {"usr/lib/modules/*", ""},
	} {
		m, _ := filepath.Glob(under.join(glob.pattern))
		for _, p := range m {
			rel := strings.TrimPrefix(filepath.Base(p), glob.prefix)
			if cachedir.ValidRelease(rel) && majorMinor.MatchString(rel) {
				found[rel] = true
			}
		}
	}

	var out []Installed
	for rel := range found {
		has := func(paths []string) bool { return len(under.existing(paths)) > 0 }
		kernel := Installed{
			Release: rel, Where: string(under), Cached: cached,
			Image: has(under.images(rel)), Modules: has(under.inModules(rel, "kernel")),
			Headers: has(under.headers(rel)),
			Source:  has(under.sources(rel)), Debug: has(under.vmlinuxes(rel)),
		}
		if cached {
			m, _ := filepath.Glob(filepath.Join(cache.TargetSource(rel), "*.tar.*"))
			kernel.Source = kernel.Source || len(m) > 0
		}
		if kernel.Image || kernel.Modules || kernel.Headers {
			out = append(out, kernel)
		}
	}

	// Sorted, because the order of a map would show.
	sort.Slice(out, func(i, j int) bool { return out[i].Release < out[j].Release })
	return out
}

// InfoAPI is the livepatch interface of a kernel.
type InfoAPI struct {
	Name     string     `json:"name"`     // see klpapi.API.Generation
	Features klpapi.API `json:"features"` // in the words of the note that modules carry
}

// Info is a summary of a target. Parts that are missing are named in Missing
// with the remedy, and leave their fields empty.
type Info struct {
	Schema    string            `json:"schema"`
	Release   string            `json:"release"`
	Arch      string            `json:"arch,omitempty"`
	Version   string            `json:"version,omitempty"` // kernel.org version
	Package   string            `json:"package,omitempty"` // distribution's source version
	Banner    string            `json:"banner,omitempty"`
	Compiler  string            `json:"compiler,omitempty"`
	Vermagic  string            `json:"vermagic,omitempty"`
	API       *InfoAPI          `json:"api,omitempty"`
	Livepatch bool              `json:"livepatch"` // CONFIG_LIVEPATCH
	BTF       bool              `json:"btf"`
	Symbols   int               `json:"symbols,omitempty"`
	SymbolsBy string            `json:"symbolsFrom,omitempty"`
	Traceable int               `json:"traceable,omitempty"` // ftrace locations in vmlinux
	Modules   int               `json:"modules,omitempty"`
	Exports   int               `json:"exports,omitempty"`
	Paths     map[string]string `json:"paths"`
	Missing   []string          `json:"missing,omitempty"`
}

// Info collects what there is to say about a target. It reads everything.
func (t *Target) Info() Info {
	in := Info{Schema: "klpforge.kernel/v2", Release: t.release, Paths: map[string]string{}}
	seen := map[string]bool{}
	miss := func(err error) bool {
		if err != nil && !seen[err.Error()] {
			seen[err.Error()] = true
			in.Missing = append(in.Missing, err.Error())
		}
		return err == nil
	}
	path := func(name string, p string, err error) {
		if err == nil {
			in.Paths[name] = p
		}
	}

	// Each part by itself: a kernel with a part missing is described by the others.
	if im, err := t.Image(); miss(err) {
		in.Arch = im.Arch.Kbuild
		path("image", im.Path, nil)
		_, berr := im.BTF()
		in.BTF = berr == nil
	}
	if b, err := t.Banner(); miss(err) {
		in.Banner, in.Package, in.Compiler = b.Text, b.Package, b.Compiler.Text
	}
	if config, err := t.Config(); miss(err) {
		in.Livepatch = config.Bool("LIVEPATCH")
		if cc := config.Compiler().Text; cc != "" {
			in.Compiler = cc
		}
		path("config", config.Path, nil)
	}

	in.Version, _ = t.Version()
	if v, err := t.Vermagic(); miss(err) {
		in.Vermagic = v
	}
	if s, err := t.Symbols(); miss(err) {
		in.Symbols, in.SymbolsBy = s.Len(), s.Source
	}
	if tr, err := t.Trace(); miss(err) {
		in.Traceable = len(tr.Locs)
	}
	if s, err := t.Symvers(); miss(err) {
		in.Exports = s.Len()
		path("symvers", s.Path, nil)
	}
	if index, err := t.Modules(); miss(err) {
		in.Modules = index.Len()
		path("modules", index.Dir, nil)
	}
	if headers, err := t.Headers(); miss(err) {
		path("headers", headers.Dir, nil)
		path("headersCommon", headers.Common, nil)
	}
	if a, err := t.API(); miss(err) {
		in.API = &InfoAPI{Name: a.Generation(), Features: a}
	}
	if s, err := t.Source(); miss(err) {
		path("source", s.Dir+s.Tarball, nil)
	}

	miss(t.CheckParts())
	if p, err := t.DebugImagePath(); err == nil {
		path("vmlinux", p, nil)
	}
	return in
}
