package kbuild

import (
	"context"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// A work tree of links to thirty thousand files takes longer to make and to remove than some
// objects to compile, and an object reads a few thousand of them. So it begins lean: beside
// the pruned directories, those of which nothing is wanted yet are symbolic links too.
//
// Such a directory must be real before something that lies in it is compiled or read by a
// compilation: from behind the link, "../" leads into the prepared tree, past the changes
// made in the work tree. For objects that the include graph knows that is their own and the
// directory of each file they may read; for all else the whole list is made real.

// lean returns m with the directories left out that hold sources and headers only and that
// nothing is wanted of yet. What the preparation made is always there, and so are the
// programs of the build and what the architecture's makefiles name from afar.
//
// The empty files that stand for options are left out, a third of the links: they tell make
// that an object is older than a change of the configuration, which nothing in a work tree makes.
func (m *manifest) lean(arch string) *manifest {
	out := m.without(m.keeping(nil, m.copies, "scripts", "arch/"+arch))
	out.links = slices.DeleteFunc(out.links, func(file string) bool { return strings.HasPrefix(file, "include/config/") })
	return out
}

// reach makes real what compiling the objects may read, according to the include graph; for
// an object that it does not know, all that any object may read.
func (w *Work) reach(ctx context.Context, objects []string) error {
	if !w.isLean() {
		return nil
	}
	graph, err := w.tree.graph(ctx)
	if err != nil {
		return err
	}
	var from []int32
	for _, obj := range objects {
		known := false
		at, _ := slices.BinarySearchFunc(graph.Roots, obj, func(r rootFile, name string) int {
			return strings.Compare(r.Object, name)
		})
		for ; at < len(graph.Roots) && graph.Roots[at].Object == obj; at++ {
			from, known = append(from, graph.Roots[at].File), true
		}
		if !known {
			return w.wide()
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	// An object may lie elsewhere than its source: kernel/bpf/relo_core.o.
	for _, obj := range objects {
		if err := w.open(path.Dir(obj)); err != nil {
			return err
		}
	}
	return w.openFor(graph, from)
}

// isLean reports whether a directory is still a link.
func (w *Work) isLean() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.pruned) > 0
}

// openFor makes real the directories of the given files and of all that they may include.
// w.mu is held.
func (w *Work) openFor(graph *includeGraph, from []int32) error {
	done := map[string]bool{}
	for file := range graph.closure(from) {
		dir := path.Dir(graph.Files[file])
		if done[dir] {
			continue
		}
		done[dir] = true
		if err := w.open(dir); err != nil {
			return err
		}
	}
	return nil
}

// closure returns the given files and all that they may include, directly or not.
func (g *includeGraph) closure(from []int32) map[int32]bool {
	seen := map[int32]bool{}
	todo := slices.Clone(from)
	for len(todo) > 0 {
		i := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if seen[i] {
			continue
		}
		seen[i] = true
		if int(i) < len(g.Edges) {
			todo = append(todo, g.Edges[i]...)
		}
	}
	return seen
}

// wide makes real all that builds of the configuration may read.
func (w *Work) wide() error {
	if !w.isLean() {
		return nil
	}
	files, err := w.tree.workFiles()
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, dir := range files.dirs {
		if err := w.open(dir); err != nil {
			return err
		}
	}
	return nil
}

// open makes a directory real: its files are shared with the prepared tree, the directories
// in it become links. One that the tree does not have is fine. w.mu is held.
func (w *Work) open(dir string) error {
	if w.root == nil {
		return ErrClosed
	}
	for {
		link := dir
		for link != "." && !w.pruned[link] {
			link = path.Dir(link)
		}
		if link == "." {
			return nil
		}
		below, err := shareLevel(filepath.Join(w.tree.Dir, link), filepath.Join(w.Dir, link), !w.trust)
		if err != nil {
			return fmt.Errorf("copy %s into the work tree: %w", link, err)
		}
		delete(w.pruned, link)
		for _, name := range below {
			w.pruned[link+"/"+name] = true
		}
	}
}

// shareLevel replaces the symbolic link dst to the directory src by a directory with the
// same files, and with links to the directories in src, whose names it returns. A compiler
// that runs meanwhile finds one or the other at any time.
func shareLevel(src, dst string, share bool) (below []string, err error) {
	entries, err := os.ReadDir(src)
	if err != nil {
		return nil, err
	}
	made := dst + ".klpforge"
	if err := os.Mkdir(made, 0o755); err != nil {
		return nil, err
	}
	for _, entry := range entries {
		from, to := filepath.Join(src, entry.Name()), filepath.Join(made, entry.Name())
		if entry.IsDir() {
			below, err = append(below, entry.Name()), os.Symlink(from, to)
		} else {
			err = shareEntry(entry, from, to, share)
		}
		if err != nil {
			os.RemoveAll(made)
			return nil, err
		}
	}
	err = unix.Renameat2(unix.AT_FDCWD, made, unix.AT_FDCWD, dst, unix.RENAME_EXCHANGE)
	if err == nil {
		return below, os.Remove(made)
	}
	// A file system that cannot exchange two names.
	if err = os.Remove(dst); err == nil {
		err = os.Rename(made, dst)
	}
	return below, err
}
