package kbuild

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/klpforge/klpforge/internal/sealed"
)

// What is kept beside a tree is sealed: damage is noticed when it is read. Without
// these files the tree cannot be used, and is prepared again; the include graph and
// environments are made anew from it.
var treeFiles = []string{"owners.json", "files.lst", "work.lst", "rest.seal"}

// kind is what a file beside a tree is sealed as.
func factKind(key, name string) string { return "tree " + key + " " + name }

// keep writes a file beside the tree.
func (t *Tree) keep(name string, content []byte) error {
	return writeAtomic(filepath.Join(t.base, name), sealed.Seal(factKind(t.Key, name), content), 0o644)
}

// keepJSON is keep for a value as JSON.
func (t *Tree) keepJSON(name string, v any) error {
	data, err := json.MarshalIndent(v, "", "\t")
	if err != nil {
		return fmt.Errorf("encode %s: %w", name, err)
	}
	return t.keep(name, append(data, '\n'))
}

// kept reads a file beside the tree. One that is damaged is noted and removed;
// the error then wraps sealed.ErrDamaged.
func (t *Tree) kept(name string) ([]byte, error) {
	return readSealed(t.cache, filepath.Join(t.base, name), factKind(t.Key, name))
}

// readSealed reads a file of a cache, and notes and removes it when it is damaged.
func readSealed(cache, path, kind string) ([]byte, error) {
	content, err := sealed.Read(path, kind)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		sealed.Note(cache, path, err)
	}
	return content, err
}

// whole makes sure that what the tree cannot be used without is there and sound.
func (t *Tree) whole() error {
	for _, name := range treeFiles {
		if _, err := t.kept(name); err != nil {
			return fmt.Errorf("read prepared tree: %w", err)
		}
	}
	return nil
}

// patience is how long a damaged tree may be used by other runs before this one gives up.
const patience = time.Minute

// outOfUse waits until no other run uses a tree that is to be made again.
func (p *preparation) outOfUse(ctx context.Context) error {
	if _, err := os.Lstat(p.base); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	ctx, cancel := context.WithTimeoutCause(ctx, patience,
		fmt.Errorf("%w; it is damaged, and is made anew once the run that uses it has ended", ErrTreeInUse))
	defer cancel()
	unlock, err := lockFile(ctx, p.base+".use", func() { p.progress("wait for a run that uses the tree", 0, 0) })
	if err != nil {
		return err
	}
	unlock()
	return nil
}

// discard removes what a failed preparation made, but for its locks: the next one
// begins anew in any case, and a full disk needs the room.
func (p *preparation) discard() {
	_ = removeTree(p.base) // what is left has no meta.json, and is removed by the next run
}

// sweepTrees removes what killed runs left of trees that were being made. That
// of the key at hand is dealt with anyway; others may never be asked for again.
func (p *preparation) sweepTrees() {
	metas, err := os.ReadDir(filepath.Join(p.Cache, "trees"))
	if err != nil {
		return
	}
	for _, e := range metas {
		base := filepath.Join(p.Cache, "trees", e.Name())
		if base == p.base || !e.IsDir() || !exists(base+".lock") || exists(filepath.Join(base, "meta.json")) {
			continue
		}
		_ = PruneTree(p.Cache, e.Name()) // not one that is being made
	}
}

// openLock opens the file of a lock, whatever has taken its place.
func openLock(path string, mode int) (*os.File, error) {
	flags := mode | os.O_CREATE | unix.O_NONBLOCK | unix.O_NOFOLLOW
	file, err := os.OpenFile(path, flags, 0o644)
	if errors.Is(err, unix.EISDIR) || errors.Is(err, unix.ELOOP) {
		if err = os.RemoveAll(path); err == nil {
			file, err = os.OpenFile(path, flags, 0o644)
		}
	}
	return file, err
}

// equalFile reports whether a file has a content.
func equalFile(path string, want []byte) bool {
	got, err := sealed.ReadPlain(path)
	return err == nil && bytes.Equal(got, want)
}
