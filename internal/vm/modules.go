package vm

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// ErrNoModule means that the kernel has no module of that name, neither as a
// file nor built in.
var ErrNoModule = errors.New("no such module")

// ModuleTree is lib/modules/RELEASE of a root into which packages were
// installed, or merely unpacked: then depmod has not run and there is no
// modules.dep, and dependencies come from the modules themselves.
type ModuleTree struct {
	dir     string
	files   map[string]string   // name -> path
	builtin map[string]bool     // names and aliases of what is built in
	deps    map[string][]string // from modules.dep: name -> names, direct and indirect; nil without that file
	aliases map[string][]string // alias without wildcards -> names; made when first needed
}

// Module is a module file with its place in a load order.
type Module struct {
	Name     string // as in /proc/modules
	Path     string
	Optional bool // only a soft dependency wants it
}

// OpenModuleTree reads the names of all modules of a release. It looks in
// lib/modules and usr/lib/modules.
func OpenModuleTree(root, release string) (*ModuleTree, error) {
	if release == "" {
		return nil, errors.New("open module tree: kernel release unknown: name the image vmlinuz-RELEASE or set Release")
	}
	var dir string
	for _, d := range []string{"lib/modules", "usr/lib/modules"} {
		tree := filepath.Join(root, d, release)
		if st, err := os.Stat(tree); err == nil && st.IsDir() {
			dir = tree
			break
		}
	}
	if dir == "" {
		return nil, fmt.Errorf("open module tree: no lib/modules/%s below %s: unpack the kernel's image package there", release, root)
	}
	return openModules(dir)
}

// openModules reads the names of all modules of a directory like lib/modules/RELEASE.
func openModules(dir string) (*ModuleTree, error) {
	tree := &ModuleTree{dir: dir, files: map[string]string{}, builtin: map[string]bool{}}
	err := filepath.WalkDir(dir, func(p string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if e.Type().IsRegular() && moduleBase(p) != filepath.Base(p) {
			// WalkDir goes in lexical order; updates/ and extra/ sort first or
			// last, so let them win over kernel/ as depmod does.
			if name := moduleName(p); tree.files[name] == "" ||
				!strings.HasPrefix(p, filepath.Join(dir, "kernel")+"/") {
				tree.files[name] = p
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list modules: %w", err)
	}
	if err := tree.readBuiltin(); err != nil {
		return nil, err
	}
	return tree, tree.readDeps()
}

// lines calls f for each line of a file of the tree; a missing file has none.
func (t *ModuleTree) lines(name, sep string, f func(string)) (found bool, err error) {
	data, err := os.ReadFile(filepath.Join(t.dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("read %s: %w", name, err)
	}
	for line := range strings.SplitSeq(string(data), sep) {
		f(line)
	}
	return true, nil
}

func (t *ModuleTree) readBuiltin() error {
	if _, err := t.lines("modules.builtin", "\n", func(l string) {
		if l != "" {
			t.builtin[moduleName(l)] = true
		}
	}); err != nil {
		return err
	}
	// Records are "module.key=value", each ended by a zero byte.
	_, err := t.lines("modules.builtin.modinfo", "\x00", func(l string) {
		if _, kv, ok := strings.Cut(l, "."); ok {
			if alias, ok := strings.CutPrefix(kv, "alias="); ok && !strings.ContainsAny(alias, "*?[") {
				t.builtin[normalize(alias)] = true
			}
		}
	})
	return err
}

func (t *ModuleTree) readDeps() error {
	deps := map[string][]string{}
	found, err := t.lines("modules.dep", "\n", func(l string) {
		file, list, ok := strings.Cut(l, ":")
		if !ok {
			return
		}
		var names []string
		for _, dep := range strings.Fields(list) {
			names = append(names, moduleName(path.Base(dep)))
		}
		deps[moduleName(path.Base(file))] = names
	})
	if found {
		t.deps = deps
	}
	return err
}

// normalize makes the names that the kernel takes for the same equal.
func normalize(name string) string { return strings.ReplaceAll(name, "-", "_") }

// Closure returns the module called name, or having that alias, after all
// modules that it needs, in load order. What is built in gives no files.
func (t *ModuleTree) Closure(name string) ([]Module, error) {
	needed := closure{t: t, at: map[string]int{}}
	if err := needed.add(normalize(name), false); err != nil {
		return nil, fmt.Errorf("find module %s: %w", name, err)
	}
	return needed.out, nil
}

type closure struct {
	t   *ModuleTree
	out []Module
	at  map[string]int // name -> 1 + index in out; 0 while its dependencies are added
}

// add appends name after its dependencies. An optional one that does not
// exist is left out; one whose own hard dependencies are missing too.
func (c *closure) add(name string, optional bool) error {
	if i, ok := c.at[name]; ok {
		if !optional && i > 0 {
			return c.require(i - 1)
		}
		return nil // listed, or a cycle of soft dependencies
	}
	file, ok := c.t.files[name]
	if !ok {
		if c.t.builtin[name] {
			return nil
		}
		names, err := c.t.alias(name)
		if err != nil {
			return err
		}
		for _, name := range names {
			if err := c.add(name, optional); err != nil {
				return err
			}
		}
		if len(names) == 0 && !optional {
			return fmt.Errorf("%w: %s", ErrNoModule, name)
		}
		return nil
	}
	c.at[name] = 0
	info, err := modinfo(file)
	if err != nil {
		return err
	}
	for _, soft := range softdeps(info["softdep"]) {
		if err := c.add(normalize(soft), true); err != nil {
			return err
		}
	}
	hard := c.t.deps[name]
	if c.t.deps == nil {
		hard = nil
		for _, list := range info["depends"] {
			hard = append(hard, strings.FieldsFunc(list, func(r rune) bool { return r == ',' })...)
		}
	} else {
		// modules.dep lists what is to be loaded last first.
		hard = slices.Clone(hard)
		slices.Reverse(hard)
	}
	for _, dep := range hard {
		if err := c.add(normalize(dep), optional); err != nil {
			return err
		}
	}
	c.out = append(c.out, Module{Name: name, Path: file, Optional: optional})
	c.at[name] = len(c.out)
	return nil
}

// require makes an optional entry and what stands before it mandatory again
// where a hard dependency leads to it.
func (c *closure) require(i int) error {
	if !c.out[i].Optional {
		return nil
	}
	c.out[i].Optional = false
	info, err := modinfo(c.out[i].Path)
	if err != nil {
		return err
	}
	for _, list := range info["depends"] {
		for _, dep := range strings.FieldsFunc(list, func(r rune) bool { return r == ',' }) {
			if j := c.at[normalize(dep)]; j > 0 {
				if err := c.require(j - 1); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// softdeps returns the names after "pre:" in softdep records.
func softdeps(recs []string) []string {
	var out []string
	for _, record := range recs {
		pre := false
		for word := range strings.FieldsSeq(record) {
			switch word {
			case "pre:":
				pre = true
			case "post:":
				pre = false
			default:
				if pre {
					out = append(out, word)
				}
			}
		}
	}
	return out
}

// alias returns the sorted names of the modules that have an alias without
// wildcards, such as crypto-crc32c. Reading them all takes a moment and is
// done once; files that are no modules do not count.
func (t *ModuleTree) alias(name string) ([]string, error) {
	if t.aliases == nil {
		t.aliases = map[string][]string{}
		for name, file := range t.files {
			info, err := modinfo(file)
			if errors.Is(err, errNoModinfo) {
				continue
			}
			if err != nil {
				return nil, err
			}
			for _, alias := range info["alias"] {
				if !strings.ContainsAny(alias, "*?[") {
					alias = normalize(alias)
					t.aliases[alias] = append(t.aliases[alias], name)
				}
			}
		}
		for _, names := range t.aliases { // order does not matter: each list is sorted by itself
			slices.Sort(names)
		}
	}
	return slices.Compact(t.aliases[name]), nil
}
