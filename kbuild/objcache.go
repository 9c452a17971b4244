package kbuild

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// objectKey names an object made from unchanged sources: the tree's key stands for
// source, configuration and compiler.
func (w *Work) objectKey(obj string) string {
	how := w.flags
	if w.tree.lateObjtool {
		how += " objtool"
	}
	sum := sha256.Sum256([]byte(formatVersion + "\x00" + w.tree.Key + "\x00" + how + "\x00" + obj))
	return hex.EncodeToString(sum[:16])
}

func (w *Work) objectPath(key, suffix string) string {
	return filepath.Join(w.tree.cache, "objects", key[:2], key+suffix)
}

// afterKey names an object made from this tree as it is now by a command. state
// is that of stateDigest.
func (w *Work) afterKey(state, obj, command string) string {
	sum := sha256.Sum256([]byte(w.objectKey(obj) + "\x00after\x00" + state + "\x00" + strings.ReplaceAll(command, w.Dir, workPlaceholder)))
	return hex.EncodeToString(sum[:16])
}

// stateDigest stands for everything that was changed in the tree: names and
// contents.
func (w *Work) stateDigest() (string, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.root == nil {
		return "", ErrClosed
	}
	all := sha256.New()
	for _, rel := range slices.Sorted(maps.Keys(w.changed)) {
		data, err := w.root.ReadFile(rel)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			fmt.Fprintf(all, "%q removed\n", rel)
		case err != nil:
			return "", fmt.Errorf("read %s: %w", rel, err)
		default:
			fmt.Fprintf(all, "%q %x\n", rel, sha256.Sum256(data))
		}
	}
	return hex.EncodeToString(all.Sum(nil)), nil
}

// cached looks an object up. The .json file is written after the .o, so its
// presence vouches for both.
func (w *Work) cached(key, obj string) (*Built, bool) {
	data, err := os.ReadFile(w.objectPath(key, ".json"))
	if err != nil {
		return nil, false
	}
	b := &Built{}
	if json.Unmarshal(data, b) != nil || b.Object != obj {
		return nil, false
	}
	b.Path = w.objectPath(key, ".o")
	if !exists(b.Path) {
		return nil, false
	}
	b.Command = strings.ReplaceAll(b.Command, workPlaceholder, w.Dir)
	b.Cached = true
	return b, true
}

// store copies an object, made in the tree dir, into the cache and returns its
// path there.
func (w *Work) store(key, dir string, b *Built) (string, error) {
	path := w.objectPath(key, ".o")
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return "", fmt.Errorf("cache %s: %w", b.Object, err)
	}
	data, err := os.ReadFile(b.Path)
	if err != nil {
		return "", fmt.Errorf("cache %s: %w", b.Object, err)
	}
	if err := writeAtomic(path, data, 0o444); err != nil {
		return "", fmt.Errorf("cache %s: %w", b.Object, err)
	}
	kept := *b
	kept.Path, kept.Elapsed = "", 0
	kept.Command = strings.ReplaceAll(b.Command, dir, workPlaceholder)
	if err := writeJSON(w.objectPath(key, ".json"), kept); err != nil {
		return "", fmt.Errorf("cache %s: %w", b.Object, err)
	}
	return path, nil
}
