package kbuild

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// manifest lists a prepared tree, so that copying it needs no walk.
//
// Files of the source are hard-linked into work trees: kbuild never writes to a
// source. What the preparation produced is copied, because kbuild rewrites such
// files in place (.cmd files by shell redirection, for one), which would reach the
// prepared tree through a link. Empty files mark options for fixdep and are only
// ever touched; they are linked as well.
//
// Two thirds of a kernel tree are of no concern to a configuration. A directory
// that kbuild does not visit and of which no object reads a file, according to the
// include graph, is pruned: work trees get a symbolic link to it, until something is
// written there.
type manifest struct {
	dirs     []string // parents first
	links    []string
	copies   []string
	symlinks []string
	pruned   []string // sorted; no path here is below another
}

// listTree walks the prepared tree; source tells which files came with the source.
func (t *Tree) listTree(source map[string]bool) (*manifest, error) {
	listing := &manifest{}
	err := filepath.WalkDir(t.Dir, func(path string, item fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(t.Dir, path)
		if err != nil || rel == "." {
			return err
		}
		if strings.Contains(rel, "\n") {
			return fmt.Errorf("file name %q holds a line break", rel)
		}

		// Hard links suffice for what nothing writes in place: the source, and empty files.
		switch {
		case item.IsDir():
			listing.dirs = append(listing.dirs, rel)
		case item.Type()&fs.ModeSymlink != 0:
			listing.symlinks = append(listing.symlinks, rel)
		case !item.Type().IsRegular():
		case source[rel]:
			listing.links = append(listing.links, rel)
		default:
			info, err := item.Info()
			if err != nil {
				return err
			}
			if info.Size() > 0 {
				listing.copies = append(listing.copies, rel)
			} else {
				listing.links = append(listing.links, rel)
			}
		}
		return nil
	})
	return listing, err
}

// prune returns m without the directories that no build of the configuration
// touches. visited are the directories kbuild goes to, read the files that objects
// may read.
func (m *manifest) prune(arch string, visited, read []string) *manifest {
	files := slices.Concat(read, m.copies, m.symlinks)
	return m.without(m.keeping(visited, files, "include", "scripts", "arch/"+arch))
}

// keeping are the directories in dirs, those of files, and all below those of whole, with
// all above them.
func (m *manifest) keeping(dirs, files []string, whole ...string) map[string]bool {
	keep := map[string]bool{".": true}
	add := func(dir string) {
		for ; !keep[dir]; dir = path.Dir(dir) {
			keep[dir] = true
		}
	}
	for _, d := range dirs {
		add(path.Clean(d))
	}
	for _, f := range files {
		add(path.Dir(f))
	}
	for _, d := range m.dirs {
		for _, top := range whole {
			if d == top || strings.HasPrefix(d, top+"/") {
				add(d)
			}
		}
	}
	return keep
}

// without returns m with the directories that are not in keep as pruned ones. With a
// directory, keep has all above it.
func (m *manifest) without(keep map[string]bool) *manifest {
	// Of a pruned directory the topmost counts: it becomes one link.
	out := &manifest{copies: m.copies}
	for _, d := range m.dirs {
		switch {
		case keep[d]:
			out.dirs = append(out.dirs, d)
		case keep[path.Dir(d)]:
			out.pruned = append(out.pruned, d)
		}
	}
	for _, d := range m.pruned {
		if keep[path.Dir(d)] {
			out.pruned = append(out.pruned, d)
		}
	}
	slices.Sort(out.pruned)
	kept := func(files []string) (out []string) {
		for _, file := range files {
			if keep[path.Dir(file)] {
				out = append(out, file)
			}
		}
		return out
	}
	out.links, out.symlinks = kept(m.links), kept(m.symlinks)
	return out
}

// letters of the lines in a stored manifest.
func (m *manifest) lists() map[byte]*[]string {
	return map[byte]*[]string{'d': &m.dirs, 'l': &m.links, 'c': &m.copies, 's': &m.symlinks, 'p': &m.pruned}
}

// encode is the stored form of a manifest, one path per line behind a letter.
func (m *manifest) encode() []byte {
	var buf bytes.Buffer
	lists := m.lists()
	for _, kind := range []byte("dlcsp") {
		for _, rel := range *lists[kind] {
			fmt.Fprintf(&buf, "%c %s\n", kind, rel)
		}
	}
	return buf.Bytes()
}

// readManifest reads the list of that name beside the tree.
func (t *Tree) readManifest(name string) (*manifest, error) {
	data, err := t.kept(name)
	if err != nil {
		return nil, fmt.Errorf("list prepared tree: %w", err)
	}
	listing := &manifest{}
	lists := listing.lists()
	lines := bufio.NewScanner(bytes.NewReader(data))
	for lines.Scan() {
		line := lines.Text()
		if len(line) < 3 || lists[line[0]] == nil {
			return nil, fmt.Errorf("list prepared tree: unexpected line %q", line)
		}
		list := lists[line[0]]
		*list = append(*list, line[2:])
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("list prepared tree: %w", err)
	}
	return listing, nil
}

// allFiles lists everything in the prepared tree.
func (t *Tree) allFiles() (*manifest, error) {
	return t.readManifest("files.lst")
}

// workFiles lists what work trees are made of.
func (t *Tree) workFiles() (*manifest, error) {
	t.facts.mu.Lock()
	defer t.facts.mu.Unlock()
	if t.facts.manifest == nil {
		m, err := t.readManifest("work.lst")
		if err != nil {
			return nil, err
		}
		t.facts.manifest = m
	}
	return t.facts.manifest, nil
}

// replicate makes dst, which exists and is empty, a private copy of src.
//
// With share, files of the source are links to those of src, else copies, which
// nothing that runs in dst can reach src through.
func (m *manifest) replicate(ctx context.Context, src, dst string, jobs int, share bool) error {
	for _, d := range m.dirs {
		if err := os.Mkdir(dst+"/"+d, 0o755); err != nil {
			return err
		}
	}

	// Links and copies are most of the work, and independent of each other.
	err := eachChunk(ctx, m.links, jobs, func(rel string) error { return shareFile(src+"/"+rel, dst+"/"+rel, share) },
		nil)
	if err != nil {
		return err
	}
	err = eachChunk(ctx, m.copies, jobs, func(rel string) error {
		info, err := os.Stat(src + "/" + rel)
		if err != nil {
			return err
		}
		return copyKeepTime(src+"/"+rel, dst+"/"+rel, info)
	}, nil)
	if err != nil {
		return err
	}

	for _, rel := range m.symlinks {
		target, err := os.Readlink(src + "/" + rel)
		if err != nil {
			return err
		}
		if err := os.Symlink(target, dst+"/"+rel); err != nil {
			return err
		}
	}

	for _, rel := range m.pruned {
		if err := os.Symlink(src+"/"+rel, dst+"/"+rel); err != nil {
			return err
		}
	}
	return nil
}

// shareFile links or copies a file of the source.
func shareFile(src, dst string, share bool) error {
	if share {
		return os.Link(src, dst)
	}
	info, err := os.Lstat(src)
	if err != nil {
		return err
	}
	return copyKeepTime(src, dst, info)
}

// shareEntry is shareFile for what may be a symbolic link, which is made anew: another name for
// it would change its times.
func shareEntry(entry fs.DirEntry, src, dst string, share bool) error {
	if entry.Type()&fs.ModeSymlink == 0 {
		return shareFile(src, dst, share)
	}
	target, err := os.Readlink(src)
	if err != nil {
		return err
	}
	return os.Symlink(target, dst)
}

// linkSubtree replaces the symbolic link dst to the pruned directory src by a copy
// made as by replicate. A pruned directory holds files of the source only.
func linkSubtree(src, dst string, share bool) error {
	tmp := dst + ".klpforge"
	err := filepath.WalkDir(src, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		to := tmp + strings.TrimPrefix(path, src)
		if d.IsDir() {
			return os.Mkdir(to, 0o755)
		}
		return shareEntry(d, path, to, share)
	})
	if err == nil {
		err = os.Remove(dst)
	}
	if err == nil {
		err = os.Rename(tmp, dst)
	}
	if err != nil {
		os.RemoveAll(tmp)
	}
	return err
}

// copyKeepTime keeps the exact time: make compares them.
func copyKeepTime(src, dst string, info fs.FileInfo) error {
	// kbuild writes to some of what it made; the prepared tree is write-protected.
	if err := copyFile(src, dst, info.Mode().Perm()|0o200); err != nil {
		return err
	}
	return os.Chtimes(dst, time.Time{}, info.ModTime())
}
