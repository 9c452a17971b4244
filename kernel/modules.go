package kernel

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"sync"
)

// ModuleName gives the name the kernel knows a module by, from its file name
// or a Kbuild object name: the base name without suffixes, - replaced by _.
func ModuleName(path string) string {
	b := filepath.Base(path)
	for _, s := range []string{".gz", ".xz", ".zst"} {
		b = strings.TrimSuffix(b, s)
	}
	b = strings.TrimSuffix(strings.TrimSuffix(b, ".ko"), ".o")
	return strings.ReplaceAll(b, "-", "_")
}

// ModuleFile is a module on disk.
type ModuleFile struct {
	Name string // normalised
	Path string
}

// Modules indexes the modules of one release. It is safe for concurrent use.
type Modules struct {
	Dir     string // /lib/modules/<release>
	release string
	rules   kallsymsRules
	byName  map[string]ModuleFile
	builtin map[string]string // name to the path in modules.builtin

	mu   sync.Mutex
	read map[string]*lazy[*Module]
}

// openModules indexes dir. When several files carry one name, depmod's default
// order decides: updates/ before everything else, then by path.
func openModules(dir, release string, cfg *Config) (*Modules, error) {
	m := &Modules{
		Dir: dir, release: release, rules: rulesOf(cfg),
		byName: map[string]ModuleFile{}, builtin: map[string]string{}, read: map[string]*lazy[*Module]{},
	}
	rank := func(p string) int {
		if rel, err := filepath.Rel(dir, p); err == nil && strings.HasPrefix(rel, "updates/") {
			return 0
		}
		return 1
	}
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() || !hasSuffixAny(p, ".ko", ".ko.xz", ".ko.zst", ".ko.gz") {
			return nil
		}
		f := ModuleFile{ModuleName(p), p}
		if old, ok := m.byName[f.Name]; !ok || rank(p) < rank(old.Path) {
			m.byName[f.Name] = f
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	b, err := os.ReadFile(filepath.Join(dir, "modules.builtin"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for l := range strings.Lines(string(b)) {
		if l = strings.TrimSpace(l); l != "" {
			m.builtin[ModuleName(l)] = l
		}
	}
	return m, nil
}

// add takes up files of modules that lie elsewhere. A module built for another
// release, and what is no module, is an error.
func (m *Modules) add(files []string) error {
	for _, p := range files {
		mod, err := readModule(p, m.rules)
		if err != nil {
			return err
		}
		if magic, _, _ := strings.Cut(mod.Info.Get("vermagic"), " "); magic != m.release {
			return &PartsMismatchError{Release: m.release, What: "the release", A: m.release, PathA: "the target", B: magic, PathB: p}
		}
		m.byName[mod.Name] = ModuleFile{mod.Name, p}
	}
	return nil
}

// List returns all modules, by name.
func (m *Modules) List() []ModuleFile {
	out := make([]ModuleFile, 0, len(m.byName))
	for _, f := range m.byName {
		out = append(out, f)
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Name < out[j].Name })
	return out
}

// Find returns the file of a module; its name may be spelled with - or _.
func (m *Modules) Find(name string) (ModuleFile, bool) {
	f, ok := m.byName[ModuleName(name)]
	return f, ok
}

// Builtin reports whether modules.builtin lists the name.
func (m *Modules) Builtin(name string) bool {
	_, ok := m.builtin[ModuleName(name)]
	return ok
}

// Module reads a module, once. The error is a [ModuleNotFoundError] when the
// release has none of that name.
func (m *Modules) Module(name string) (*Module, error) {
	name = ModuleName(name)
	f, ok := m.byName[name]
	if !ok {
		return nil, &ModuleNotFoundError{Release: m.release, Name: name, Builtin: m.Builtin(name)}
	}
	m.mu.Lock()
	l := m.read[name]
	if l == nil {
		l = new(lazy[*Module])
		m.read[name] = l
	}
	m.mu.Unlock()
	return l.get(func() (*Module, error) { return readModule(f.Path, m.rules) })
}
