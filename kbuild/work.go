package kbuild

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"
)

// WorkOptions says how objects of a work tree are compiled.
type WorkOptions struct {
	Jobs int // parallel jobs; 0 takes the tree's
	// ShareAfter keeps what After compiles in the cache, for another run that makes
	// the same changes, also on another machine.
	ShareAfter bool
	// KeepAfter keeps what After compiles in the cache, for another run that makes other
	// changes too: an object is taken again where all that its compilation read is the same.
	KeepAfter bool
	// Trust says that makefiles, scripts and host programs that are changed in the
	// tree may be run. The tree then shares no files with the prepared one.
	Trust bool
	// asShipped compiles without a section for each function and variable, see AsShipped.
	asShipped bool
	// Progress is called as in PrepareOptions.
	Progress func(stage string, done, total int)
}

// Work is a private copy of a prepared tree that may be changed and built in. Its
// methods may be called concurrently, but not Write and Remove during builds.
type Work struct {
	// Dir is the root of the private tree. Use Write and Remove to change it: files
	// share their contents with the prepared tree, and directories that no build
	// needs are links into it.
	Dir string

	tree      *Tree
	base      string // work/<pid>-<random>
	flags     string // KCFLAGS with workPlaceholder
	asShipped bool   // WorkOptions.asShipped
	jobs      int
	// shareAfter is WorkOptions.ShareAfter.
	shareAfter bool
	remembers  bool // WorkOptions.KeepAfter
	trust      bool // WorkOptions.Trust
	progress   func(stage string, done, total int)

	mu        sync.Mutex
	root      *os.Root
	unlock    func()
	changed   map[string]bool   // paths written or removed
	commands  map[string]string // object -> compile command
	generated bool              // generated headers were compared since the last change
	texts     *textMemory       // of what was changed so far; nil until asked for
	pruned    map[string]bool   // directories that are still links into the prepared tree
}

// Work makes a private tree in cache/work. Close removes it; if the process dies
// first, the next call of Work by any process does.
func (t *Tree) Work(ctx context.Context, opts WorkOptions) (*Work, error) {
	m, err := t.workFiles()
	if err != nil {
		return nil, err
	}
	if !opts.Trust {
		m = m.lean(t.Arch)
	}
	return t.newWork(ctx, opts, m)
}

func (t *Tree) newWork(ctx context.Context, opts WorkOptions, listing *manifest) (*Work, error) {
	base, unlock, err := t.workDir(ctx, "linux")
	if err != nil {
		return nil, err
	}
	work := &Work{
		Dir: filepath.Join(base, "linux"), tree: t, base: base, shareAfter: opts.ShareAfter, remembers: opts.KeepAfter,
		trust:  opts.Trust,
		unlock: unlock,
		flags:  t.kcflags(opts.asShipped), asShipped: opts.asShipped, jobs: opts.Jobs, progress: opts.Progress,
		changed: map[string]bool{}, commands: map[string]string{}, pruned: map[string]bool{},
	}
	for _, dir := range listing.pruned {
		work.pruned[dir] = true
	}
	if work.jobs <= 0 {
		work.jobs = t.jobs
	}
	if work.progress == nil {
		work.progress = func(string, int, int) {}
	}
	if err = listing.replicate(ctx, t.Dir, work.Dir, work.jobs, !opts.Trust); err == nil {
		work.root, err = os.OpenRoot(work.Dir)
	}
	if err != nil {
		work.unlock()
		removeTree(base)
		return nil, fmt.Errorf("create work tree: %w", err)
	}
	return work, nil
}

// workDir makes a private directory with an empty directory name in it. The caller
// removes it, then unlocks.
func (t *Tree) workDir(ctx context.Context, name string) (base string, unlock func(), err error) {
	if base, unlock, err = PrivateDir(ctx, t.cache, ""); err != nil {
		return "", nil, err
	}
	if err := os.Mkdir(filepath.Join(base, name), 0o755); err != nil {
		removeTree(base)
		unlock()
		return "", nil, fmt.Errorf("create work tree: %w", err)
	}
	return base, unlock, nil
}

// Tree returns the prepared tree that w is a copy of.
func (w *Work) Tree() *Tree { return w.tree }

// Close removes the private tree with everything in it, objects made by After
// included. Calling it twice is fine.
func (w *Work) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.root == nil {
		return nil
	}
	w.root.Close()
	w.root = nil
	err := removeTree(w.base)
	w.unlock()
	return err
}

func (w *Work) alive() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.root == nil {
		return ErrClosed
	}
	return nil
}

// cleanRel checks a tree-relative path.
func cleanRel(rel string) (string, error) {
	c := path.Clean(rel)
	if c == "." || !filepath.IsLocal(c) || strings.ContainsAny(c, "\n\x00") {
		return "", fmt.Errorf("use path %q: %w", rel, ErrUnsafePath)
	}
	return c, nil
}

// change notes that rel is about to change.
func (w *Work) change(rel string) (*os.Root, string, error) {
	rel, err := cleanRel(rel)
	if err != nil {
		return nil, "", err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.root == nil {
		return nil, "", ErrClosed
	}
	if err := w.open(path.Dir(rel)); err != nil {
		return nil, "", err
	}
	w.changed[rel] = true
	w.generated, w.texts = false, nil
	return w.root, rel, nil
}

// materialize makes all pruned directories real. w.mu is held.
func (w *Work) materialize() error {
	for _, dir := range slices.Sorted(maps.Keys(w.pruned)) {
		if err := linkSubtree(filepath.Join(w.tree.Dir, dir), filepath.Join(w.Dir, dir), !w.trust); err != nil {
			return fmt.Errorf("copy %s into the work tree: %w", dir, err)
		}
		delete(w.pruned, dir)
	}
	return nil
}

// whole makes the private tree a complete one.
func (w *Work) whole() error {
	if err := w.tree.checkPruned(context.Background()); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.materialize()
}

// Write replaces a file of the private tree, making directories as needed. The new
// contents get a new inode, so the prepared tree keeps the old ones.
func (w *Work) Write(rel string, data []byte) error {
	root, rel, err := w.change(rel)
	if err != nil {
		return err
	}
	if err := w.followIncludes(rel, data); err != nil {
		return err
	}
	return replaceFile(root, rel, data)
}

// replaceFile writes a file by renaming a new one over it; it keeps its mode.
func replaceFile(root *os.Root, rel string, data []byte) error {
	mode := fs.FileMode(0o644)
	if info, err := root.Stat(rel); err == nil {
		mode = info.Mode().Perm() | 0o200
	}
	if err := root.MkdirAll(path.Dir(rel), 0o755); err != nil {
		return fmt.Errorf("write %s: %w", rel, err)
	}
	tmp := path.Join(path.Dir(rel), ".klpforge-"+path.Base(rel))
	if err := root.WriteFile(tmp, data, mode); err != nil {
		root.Remove(tmp)
		return fmt.Errorf("write %s: %w", rel, err)
	}
	if err := root.Rename(tmp, rel); err != nil {
		root.Remove(tmp)
		return fmt.Errorf("write %s: %w", rel, err)
	}
	return nil
}

// followIncludes makes real what the new text of a file may read by a name that the old did
// not include: from a directory that is a link, "../" would lead into the prepared tree, past the
// changes made here.
func (w *Work) followIncludes(rel string, data []byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.pruned) == 0 {
		return nil
	}

	// Only names that the old text did not include can lead anywhere new.
	known := map[string]bool{}
	if old, err := w.root.ReadFile(rel); err == nil {
		for _, inc := range scanIncludes(old) {
			known[inc.name] = true
		}
	}
	fresh := map[string]bool{}
	for _, inc := range scanIncludes(data) {
		if !known[inc.name] {
			fresh[path.Base(inc.name)] = true
		}
	}
	if len(fresh) == 0 {
		return nil
	}

	// What objects read already, the include graph follows further; of other files nothing is known.
	graph, err := w.tree.graph(context.Background())
	if err != nil {
		return err
	}
	all, err := w.tree.allFiles()
	if err != nil {
		return err
	}
	var named []int32
	for _, file := range slices.Concat(all.links, all.copies) {
		if !fresh[path.Base(file)] {
			continue
		}
		node, ok := graph.index[file]
		if !ok && w.behindLink(file) {
			return w.materialize()
		}
		if ok {
			named = append(named, node)
		}
	}
	return w.openFor(graph, named)
}

// behindLink reports whether a file lies in a directory that is a link. w.mu is held.
func (w *Work) behindLink(file string) bool {
	for dir := path.Dir(file); dir != "."; dir = path.Dir(dir) {
		if w.pruned[dir] {
			return true
		}
	}
	return false
}

// Remove deletes a file of the private tree; a file that does not exist is fine.
func (w *Work) Remove(rel string) error {
	root, rel, err := w.change(rel)
	if err != nil {
		return err
	}
	return removeFile(root, rel)
}

// removeFile deletes a file that may not exist.
func removeFile(root *os.Root, rel string) error {
	if err := root.Remove(rel); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove %s: %w", rel, err)
	}
	return nil
}

// Read returns a file of the private tree as it is now.
func (w *Work) Read(rel string) ([]byte, error) {
	rel, err := cleanRel(rel)
	if err != nil {
		return nil, err
	}
	if err := w.alive(); err != nil {
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.open(path.Dir(rel)); err != nil {
		return nil, err
	}
	return w.root.ReadFile(rel)
}

// pristine reports whether nothing has been changed yet.
func (w *Work) pristine() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.changed) == 0
}

// removeTree is os.RemoveAll with the subdirectories of the tree in parallel.
func removeTree(base string) error {
	var group errgroup.Group
	group.SetLimit(4)
	for _, dir := range []string{"linux/drivers", "linux", ""} {
		dir := filepath.Join(base, dir)
		// A link leads into the prepared tree.
		if info, err := os.Lstat(dir); err != nil || !info.IsDir() {
			continue
		}
		entries, err := os.ReadDir(dir)
		if err != nil {
			continue
		}
		for _, e := range entries {
			if e.IsDir() && e.Name() != "drivers" && e.Name() != "linux" {
				group.Go(func() error { return os.RemoveAll(filepath.Join(dir, e.Name())) })
			}
		}
	}
	err := group.Wait()
	if rerr := os.RemoveAll(base); err == nil {
		err = rerr
	}
	if err != nil {
		return fmt.Errorf("remove work tree: %w", err)
	}
	return nil
}
