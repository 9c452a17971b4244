package kmod

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"sync"

	"github.com/klpforge/klpforge/kernel/kconfig"
)

// Name gives the name the kernel knows a module by, from its file name
// or a Kbuild object name: the base name without suffixes, - replaced by _.
func Name(path string) string {
	base := filepath.Base(path)
	for _, s := range []string{".gz", ".xz", ".zst"} {
		base = strings.TrimSuffix(base, s)
	}
	base = strings.TrimSuffix(strings.TrimSuffix(base, ".ko"), ".o")
	return strings.ReplaceAll(base, "-", "_")
}

// File is a module on disk.
type File struct {
	Name string // normalised
	Path string
}

// Index knows the modules of one release. It is safe for concurrent use, but for Add.
type Index struct {
	Dir     string // /lib/modules/<release>
	release string
	rules   rules
	byName  map[string]File
	builtin map[string]string // name to the path in modules.builtin

	mu   sync.Mutex
	read map[string]func() (*Module, error) // by name; each reads once
}

// Open indexes dir. When several files carry one name, depmod's default
// order decides: updates/ before everything else, then by path.
func Open(dir, release string, cfg *kconfig.Config) (*Index, error) {
	index := &Index{
		Dir: dir, release: release, rules: rulesOf(cfg),
		byName: map[string]File{}, builtin: map[string]string{}, read: map[string]func() (*Module, error){},
	}

	rank := func(path string) int {
		if rel, err := filepath.Rel(dir, path); err == nil && strings.HasPrefix(rel, "updates/") {
			return 0
		}
		return 1
	}
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() || !isModule(path) {
			return nil
		}
		file := File{Name(path), path}
		if old, ok := index.byName[file.Name]; !ok || rank(path) < rank(old.Path) {
			index.byName[file.Name] = file
		}
		return nil
	})
	if err != nil {
		return nil, err
	}

	// A kernel without the list has nothing built in that anybody asks for by module.
	b, err := os.ReadFile(filepath.Join(dir, "modules.builtin"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for l := range strings.Lines(string(b)) {
		if l = strings.TrimSpace(l); l != "" {
			index.builtin[Name(l)] = l
		}
	}
	return index, nil
}

// Add reads a module that lies elsewhere and takes it up, before all others of its name.
func (m *Index) Add(path string) (*Module, error) {
	mod, err := read(path, m.rules)
	if err != nil {
		return nil, err
	}
	m.byName[mod.Name] = File{mod.Name, path}
	return mod, nil
}

// isModule reports whether a file is named as a module is.
func isModule(path string) bool {
	for _, suffix := range []string{".ko", ".ko.xz", ".ko.zst", ".ko.gz"} {
		if strings.HasSuffix(path, suffix) {
			return true
		}
	}
	return false
}

// Len is the number of modules.
func (m *Index) Len() int { return len(m.byName) }

// List returns all modules, by name.
func (m *Index) List() []File {
	out := make([]File, 0, len(m.byName))
	for _, f := range m.byName {
		out = append(out, f)
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Name < out[j].Name })
	return out
}

// Find returns the file of a module; its name may be spelled with - or _.
func (m *Index) Find(name string) (File, bool) {
	f, ok := m.byName[Name(name)]
	return f, ok
}

// Builtin reports whether modules.builtin lists the name.
func (m *Index) Builtin(name string) bool {
	_, ok := m.builtin[Name(name)]
	return ok
}

// Module reads a module, once. The error is a [NotFoundError] when the
// release has none of that name.
func (m *Index) Module(name string) (*Module, error) {
	name = Name(name)
	file, ok := m.byName[name]
	if !ok {
		return nil, &NotFoundError{Release: m.release, Name: name, Builtin: m.Builtin(name)}
	}
	m.mu.Lock()
	get := m.read[name]
	if get == nil {
		get = sync.OnceValues(func() (*Module, error) { return read(file.Path, m.rules) })
		m.read[name] = get
	}
	m.mu.Unlock()
	return get()
}
