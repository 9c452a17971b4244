package kbuild

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/klpforge/klpforge/internal/sealed"
)

// ErrTreeInUse says that a running klpforge uses a prepared tree, or makes it.
var ErrTreeInUse = errors.New("prepared tree is in use")

// CachedTree is one prepared tree in a cache.
type CachedTree struct {
	Key      string    `json:"key"`
	Release  string    `json:"release,omitempty"` // "" for a tree that was not completed
	Bytes    int64     `json:"bytes"`             // disk space, files with several names counted once
	Used     time.Time `json:"used"`              // when a run last asked for it, or it was made
	Complete bool      `json:"complete"`
	InUse    bool      `json:"inUse"`
}

// A tree is used under a shared lock on trees/<key>.use, whose time says when a
// run last asked for the tree. It is made under the lock trees/<key>.lock, and
// removed under both.

// useTree locks a tree for as long as the file stays open.
func useTree(base string) (*os.File, error) {
	file, err := openLock(base+".use", os.O_RDONLY)
	if err != nil {
		return nil, fmt.Errorf("use prepared tree: %w", err)
	}
	for {
		// Waits for a run that removes the tree, which takes seconds.
		err = unix.Flock(int(file.Fd()), unix.LOCK_SH)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	if err == nil {
		now := time.Now()
		err = os.Chtimes(file.Name(), now, now)
	}
	if err != nil {
		file.Close()
		return nil, fmt.Errorf("use prepared tree: %w", err)
	}
	return file, nil
}

// read reads the description of any tree, also one that another version made and did not seal.
func (m *treeMeta) read(path, key string) bool {
	data, err := sealed.ReadPlain(path)
	if err != nil {
		return false
	}
	if content, err := sealed.Open(factKind(key, "meta.json"), data); err == nil {
		data = content
	}
	return json.Unmarshal(data, m) == nil
}

// CachedTrees lists the prepared trees in a cache, the one used last first.
func CachedTrees(ctx context.Context, cache string) ([]CachedTree, error) {
	entries, err := os.ReadDir(filepath.Join(cache, "trees"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list prepared trees: %w", err)
	}
	var out []CachedTree
	for _, e := range entries {
		base := filepath.Join(cache, "trees", e.Name())
		if !e.IsDir() || !exists(base+".lock") {
			continue // no tree
		}
		cached := CachedTree{Key: e.Name(), InUse: locked(base+".use") || locked(base+".lock")}
		var m treeMeta
		if m.read(filepath.Join(base, "meta.json"), cached.Key) {
			cached.Complete, cached.Release = true, m.Release
		}
		for _, f := range []string{base + ".use", filepath.Join(base, "meta.json"), base} {
			if info, err := os.Stat(f); err == nil {
				cached.Used = info.ModTime()
				break
			}
		}
		if cached.Bytes, err = diskUsage(ctx, base); err != nil {
			return nil, fmt.Errorf("measure prepared tree %s: %w", cached.Key, err)
		}
		out = append(out, cached)
	}
	slices.SortFunc(out, func(a, b CachedTree) int { return cmp.Or(b.Used.Compare(a.Used), cmp.Compare(a.Key, b.Key)) })
	return out, nil
}

// locked reports whether somebody holds a lock on a file.
func locked(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	return unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) != nil
}

// diskUsage is the space that the files below dir take, in bytes. Files that go
// away meanwhile do not count.
func diskUsage(ctx context.Context, dir string) (int64, error) {
	seen := map[[2]uint64]bool{}
	var sum int64
	err := filepath.WalkDir(dir, func(_ string, item fs.DirEntry, err error) error {
		// Other runs may remove files meanwhile.
		if err == nil {
			err = ctx.Err()
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		info, err := item.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}

		// A file with several links takes its blocks once.
		st, ok := info.Sys().(*syscall.Stat_t)
		if !ok {
			sum += info.Size()
			return nil
		}
		id := [2]uint64{uint64(st.Dev), st.Ino}
		if st.Nlink > 1 && !item.IsDir() {
			if seen[id] {
				return nil
			}
			seen[id] = true
		}
		sum += st.Blocks * 512
		return nil
	})
	return sum, err
}

// PruneTree removes a prepared tree from a cache; a later run that needs it makes it
// again. It returns ErrTreeInUse for a tree that is used or being made.
func PruneTree(cache, key string) error {
	if clean, err := cleanRel(key); err != nil || clean != key || filepath.Base(key) != key {
		return fmt.Errorf("remove prepared tree %q: %w", key, ErrUnsafePath)
	}
	base := filepath.Join(cache, "trees", key)
	for _, p := range []string{base, base + ".lock"} {
		if _, err := os.Stat(p); err != nil {
			return fmt.Errorf("remove prepared tree: %w", err)
		}
	}
	for _, suffix := range []string{".lock", ".use"} {
		f, err := os.OpenFile(base+suffix, os.O_CREATE|os.O_RDONLY, 0o644)
		if err != nil {
			return fmt.Errorf("remove prepared tree: %w", err)
		}
		defer f.Close()
		if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
			return fmt.Errorf("remove prepared tree %s: %w", key, ErrTreeInUse)
		}
	}
	// First what vouches for the rest, should this be interrupted.
	if err := os.Remove(filepath.Join(base, "meta.json")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove prepared tree: %w", err)
	}
	return removeTree(base)
}
