package kbuild

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/klpforge/klpforge/internal/sealed"
)

// A prepared tree is used for months, and code of the next build comes from it. So
// it is sealed when it is made: for each file its size, times, inode and digest.
// Before each use
//
//   - what builds run or interpret (makefiles, scripts, programs) is digested again,
//   - everything else is compared by size, modification time, mode and inode, and what
//     work trees do not share by its change time as well, which cannot be set back,
//   - a directory must have the entries that it had.
//
// Making a work tree links sources into it, which changes their change times. That
// a source or header was altered with its size and modification time kept is found
// when it has been read: the digests of all files that went into an object, or into
// the module, are compared before the object is used (checkRead).
//
// What differs by times only, but not in contents, was copied or touched: that is
// sealed anew. What differs in contents makes the tree be prepared again.

// sealEntry is one entry of the tree as it was when it was sealed.
type sealEntry struct {
	path  string
	kind  byte // as in manifest.lists: 'd', 'l', 'c' or 's'
	mode  uint32
	size  int64
	mtime int64
	ctime int64
	inode uint64
	runs  bool              // interpreted, and shared with work trees
	sum   [sha256.Size]byte // of contents, or of a symbolic link's target; zero for directories
}

// TreeChangedError reports a prepared tree that something altered.
type TreeChangedError struct {
	Path string // one entry of the tree that differs
	Why  string
}

func (e *TreeChangedError) Error() string {
	return fmt.Sprintf("check prepared tree: %s %s since it was prepared", e.Path, e.Why)
}

// interpreted reports whether builds run a file, or act on what it says, beside
// compiling it.
var interpretedName = regexp.MustCompile(`(?i)^(gnumakefile|makefile|kbuild|kconfig|platform)|\.(mk|mak|make|sh|bash|pl|pm|py|awk|sed|bc|m4|lua|rb|tcl|cmd|include)$`)

func interpreted(rel string, mode uint32) bool {
	return mode&0o111 != 0 || interpretedName.MatchString(path.Base(rel)) || strings.HasPrefix(rel, "scripts/") ||
		strings.HasPrefix(rel, "tools/") || strings.HasPrefix(path.Base(rel), ".") ||
		strings.HasPrefix(rel, "include/config/")
}

// look describes an entry of the tree as it is now, without its digest.
func (t *Tree) look(rel string, kind byte) (sealEntry, error) {
	return lookAt(unix.AT_FDCWD, t.Dir+"/"+rel, rel, kind)
}

// lookAt is look for an entry that is called name below an open directory.
func lookAt(dir int, name, rel string, kind byte) (sealEntry, error) {
	var st unix.Stat_t
	if err := unix.Fstatat(dir, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return sealEntry{}, &fs.PathError{Op: "lstat", Path: rel, Err: err}
	}
	return sealEntry{path: rel, kind: kind, mode: st.Mode, size: st.Size, mtime: st.Mtim.Nano(), ctime: st.Ctim.Nano(),
		inode: st.Ino}, nil
}

// digest is that of a file's contents, or of where a symbolic link leads.
func (t *Tree) digest(rel string, kind byte) (sum [sha256.Size]byte, err error) {
	switch kind {
	case 'd':
		return sum, nil
	case 's':
		target, err := os.Readlink(t.Dir + "/" + rel)
		return sha256.Sum256([]byte(target)), err
	}
	data, err := os.ReadFile(t.Dir + "/" + rel)
	return sha256.Sum256(data), err
}

// same reports whether the quick look at an entry shows what was sealed.
func (s *sealEntry) same(now *sealEntry) bool {
	if s.mode != now.mode || s.inode != now.inode || s.mtime != now.mtime || s.kind != 'd' && s.size != now.size {
		return false
	}
	return s.ctime == now.ctime || s.kind == 'l' || s.kind == 'd'
}

// entries lists what m names, in a fixed order.
func (m *manifest) entries() []sealEntry {
	out := []sealEntry{{path: ".", kind: 'd'}}
	lists := m.lists()
	for _, kind := range []byte("dlcs") {
		for _, rel := range *lists[kind] {
			out = append(out, sealEntry{path: rel, kind: kind})
		}
	}
	return out
}

// seal takes the right to write from all files of the tree, and records them: those
// that work trees are made of in one file, the others in another.
func (t *Tree) seal(ctx context.Context) error {
	all, err := t.allFiles()
	if err != nil {
		return err
	}
	kept, err := t.workFiles()
	if err != nil {
		return err
	}

	// What work trees are made of goes to a file of its own.
	used := map[string]bool{}
	for _, e := range kept.entries() {
		used[e.path] = true
	}

	// The right to write goes first: the mode that is recorded is the one that a file then has.
	entries := all.entries()
	index := make([]int, len(entries))
	for i := range index {
		index[i] = i
	}
	err = eachChunk(ctx, index, t.jobs, func(i int) error {
		have := &entries[i]
		var err error
		if have.kind == 'l' || have.kind == 'c' {
			info, err := os.Lstat(t.Dir + "/" + have.path)
			if err == nil && info.Mode()&0o222 != 0 {
				err = os.Chmod(t.Dir+"/"+have.path, info.Mode().Perm()&^0o222)
			}
			if err != nil {
				return err
			}
		}
		if *have, err = t.look(have.path, have.kind); err == nil {
			have.runs = have.kind == 'l' && interpreted(have.path, have.mode)
			have.sum, err = t.digest(have.path, have.kind)
		}
		return err
	}, nil)
	if err != nil {
		return err
	}

	var work, rest []sealEntry
	for _, e := range entries {
		if used[e.path] {
			work = append(work, e)
		} else {
			rest = append(rest, e)
		}
	}
	if err := t.writeSeal("rest", rest); err != nil {
		return err
	}
	return t.writeSeal("work", work)
}

// record is the fixed part of a stored entry, before the path.
type record struct {
	Kind, Runs  byte
	Length      uint16
	Mode        uint32
	Size, Mtime int64
	Ctime       int64
	Inode       uint64
	Sum         [sha256.Size]byte
}

const recordSize = 72

func (t *Tree) writeSeal(part string, entries []sealEntry) error {
	var buf bytes.Buffer
	for _, stamp := range entries {
		r := record{Kind: stamp.kind, Length: uint16(len(stamp.path)), Mode: stamp.mode, Size: stamp.size,
			Mtime: stamp.mtime, Ctime: stamp.ctime, Inode: stamp.inode, Sum: stamp.sum}
		if stamp.runs {
			r.Runs = 1
		}
		if err := binary.Write(&buf, binary.LittleEndian, r); err != nil {
			return err
		}
		buf.WriteString(stamp.path)
	}
	return t.keep(part+".seal", buf.Bytes())
}

// readSeal reads a part of the seal. The error wraps sealed.ErrDamaged, or is a
// *TreeChangedError when the part is gone.
func (t *Tree) readSeal(part string) ([]sealEntry, error) {
	data, err := t.kept(part + ".seal")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &TreeChangedError{Path: part + ".seal", Why: "is missing"}
	}
	if err != nil {
		return nil, fmt.Errorf("check prepared tree: %w", err)
	}
	damaged := fmt.Errorf("read %s.seal: %w", part, sealed.ErrDamaged)
	names := string(data) // paths share it
	out := make([]sealEntry, 0, len(data)/100)
	for at := 0; at < len(data); {
		if len(data)-at < recordSize {
			return nil, damaged
		}
		rest := data[at:]
		stamp := sealEntry{
			kind: rest[0], runs: rest[1] == 1, mode: binary.LittleEndian.Uint32(rest[4:]),
			size: int64(binary.LittleEndian.Uint64(rest[8:])), mtime: int64(binary.LittleEndian.Uint64(rest[16:])),
			ctime: int64(binary.LittleEndian.Uint64(rest[24:])), inode: binary.LittleEndian.Uint64(rest[32:]),
			sum: [sha256.Size]byte(rest[40:72]),
		}
		at += recordSize
		length := int(binary.LittleEndian.Uint16(rest[2:]))
		if len(data)-at < length {
			return nil, damaged
		}
		stamp.path = names[at : at+length]
		at += length
		out = append(out, stamp)
	}
	return out, nil
}

// check compares the part of the tree that work trees are made of with its seal.
// The error is *TreeChangedError when the tree cannot be used.
func (t *Tree) check(ctx context.Context) error { return t.checkPart(ctx, "work") }

// checkPruned is check for the rest of the tree, which few runs need.
func (t *Tree) checkPruned(ctx context.Context) error {
	t.facts.mu.Lock()
	done := t.facts.prunedChecked
	t.facts.mu.Unlock()
	if done {
		return nil
	}
	if err := t.checkPart(ctx, "rest"); err != nil {
		return err
	}
	t.facts.mu.Lock()
	t.facts.prunedChecked = true
	t.facts.mu.Unlock()
	return nil
}

func (t *Tree) checkPart(ctx context.Context, part string) error {
	entries, err := t.readSeal(part)
	if err != nil {
		return err
	}
	var mu sync.Mutex
	var touched []int
	err = eachChunk(ctx, byDirectory(entries), t.jobs, func(group []int) error {
		// One walk to the directory, not one for each of its entries.
		dir := path.Dir(entries[group[0]].path)
		fd, err := unix.Open(filepath.Join(t.Dir, dir), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			return &TreeChangedError{Path: dir, Why: "was removed"}
		}
		defer unix.Close(fd)
		for _, i := range group {
			changed, err := t.checkEntry(fd, &entries[i])
			if err != nil {
				return err
			}
			if changed {
				mu.Lock()
				touched = append(touched, i)
				mu.Unlock()
			}
		}
		return nil
	}, nil)
	if err != nil {
		return err
	}
	t.facts.mu.Lock()
	t.keepSeal(part, entries)
	t.facts.mu.Unlock()
	if len(touched) == 0 {
		return nil
	}
	if err := t.checkEntries(entries, touched); err != nil {
		return err
	}
	return t.writeSeal(part, entries)
}

// byDirectory groups entries, which are given by their indices, by the directory that
// holds them.
func byDirectory(entries []sealEntry) [][]int {
	groups := map[string]int{}
	var out [][]int
	for i := range entries {
		dir := path.Dir(entries[i].path)
		group, ok := groups[dir]
		if !ok {
			group = len(out)
			groups[dir] = group
			out = append(out, nil)
		}
		out[group] = append(out[group], i)
	}
	return out
}

// checkEntry compares an entry of an open directory, and takes over times that changed
// alone.
func (t *Tree) checkEntry(dir int, have *sealEntry) (touched bool, err error) {
	now, err := lookAt(dir, path.Base(have.path), have.path, have.kind)
	if err != nil {
		return false, &TreeChangedError{Path: have.path, Why: "was removed"}
	}
	same := have.same(&now)
	if same && !have.runs {
		return false, nil
	}
	if now.mode&unix.S_IFMT != have.mode&unix.S_IFMT || now.mode&0o111 != have.mode&0o111 {
		return false, &TreeChangedError{Path: have.path, Why: "became another kind of file"}
	}
	if sum, err := t.digest(have.path, have.kind); err != nil || sum != have.sum {
		return false, &TreeChangedError{Path: have.path, Why: "was changed"}
	}
	if same {
		return false, nil
	}
	now.sum, now.runs = have.sum, have.runs
	*have = now
	return true, nil
}

// checkEntries makes sure that directories whose time changed have the entries that
// they had.
func (t *Tree) checkEntries(entries []sealEntry, touched []int) error {
	// A directory's time changes when something is added to it; what was removed or changed is
	// seen at the entry itself.
	var dirs []string
	for _, i := range touched {
		if entries[i].kind == 'd' {
			dirs = append(dirs, entries[i].path)
		}
	}
	if len(dirs) == 0 {
		return nil
	}

	all, err := t.allFiles()
	if err != nil {
		return err
	}
	known := map[string]bool{}
	for _, e := range all.entries() {
		known[e.path] = true
	}

	for _, dir := range dirs {
		list, err := os.ReadDir(filepath.Join(t.Dir, dir))
		if err != nil {
			return &TreeChangedError{Path: dir, Why: "was changed"}
		}
		for _, e := range list {
			if rel := path.Join(dir, e.Name()); !known[rel] {
				return &TreeChangedError{Path: rel, Why: "was added"}
			}
		}
	}
	return nil
}

// checkRead compares the digests of files that were read, which are tree-relative;
// those that the tree does not have, or that were changed on purpose, are left out
// by the caller or by it.
func (t *Tree) checkRead(files []string) error {
	t.facts.mu.Lock()
	defer t.facts.mu.Unlock()
	if t.facts.verified == nil {
		t.facts.verified = map[string]bool{}
	}
	want := map[string]bool{}
	for _, f := range files {
		if !t.facts.verified[f] && !path.IsAbs(f) {
			want[f] = true
		}
	}
	for _, part := range []string{"work", "rest"} {
		if len(want) == 0 {
			return nil
		}
		entries := t.facts.sealed[part]
		if entries == nil {
			var err error
			if entries, err = t.readSeal(part); err != nil {
				return err
			}
			t.keepSeal(part, entries)
		}
		for i := range entries {
			have := &entries[i]
			if !want[have.path] || have.kind == 'd' {
				continue
			}
			if sum, err := t.digest(have.path, have.kind); err != nil || sum != have.sum {
				return &TreeChangedError{Path: have.path, Why: "was changed"}
			}
			delete(want, have.path)
			t.facts.verified[have.path] = true
		}
	}
	return nil // what is left was generated in a work tree
}

// keepSeal keeps a part of the seal for checkRead; t.facts.mu is held.
func (t *Tree) keepSeal(part string, entries []sealEntry) {
	if t.facts.sealed == nil {
		t.facts.sealed = map[string][]sealEntry{}
	}
	t.facts.sealed[part] = entries
}

// Forget makes the next Prepare make the tree again.
func (t *Tree) Forget() error {
	if err := os.Remove(filepath.Join(t.base, "meta.json")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("forget prepared tree: %w", err)
	}
	return nil
}

// unchangedOf leaves out of files what was changed in the work tree.
func (w *Work) unchangedOf(files []string) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(files), func(f string) bool { return w.changed[f] })
}
