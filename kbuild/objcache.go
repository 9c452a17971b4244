package kbuild

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
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

func (w *Work) objectPath(obj, suffix string) string {
	key := w.objectKey(obj)
	return filepath.Join(w.tree.cache, "objects", key[:2], key+suffix)
}

// cached looks an object up. The .json file is written after the .o, so its
// presence vouches for both.
func (w *Work) cached(obj string) (*Built, bool) {
	data, err := os.ReadFile(w.objectPath(obj, ".json"))
	if err != nil {
		return nil, false
	}
	b := &Built{}
	if json.Unmarshal(data, b) != nil || b.Object != obj {
		return nil, false
	}
	b.Path = w.objectPath(obj, ".o")
	if !exists(b.Path) {
		return nil, false
	}
	b.Command = strings.ReplaceAll(b.Command, workPlaceholder, w.Dir)
	b.Cached = true
	return b, true
}

// store copies an object into the cache and returns its path there.
func (w *Work) store(b *Built) (string, error) {
	path := w.objectPath(b.Object, ".o")
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
	kept.Command = strings.ReplaceAll(b.Command, strings.TrimSuffix(b.Path, "/"+b.Object), workPlaceholder)
	if err := writeJSON(w.objectPath(b.Object, ".json"), kept); err != nil {
		return "", fmt.Errorf("cache %s: %w", b.Object, err)
	}
	return path, nil
}
