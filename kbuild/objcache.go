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

	"github.com/klpforge/klpforge/internal/sealed"
)

// objectKey names an object made from unchanged sources: the tree's key stands for
// source, configuration and compiler.
func (w *Work) objectKey(obj string) string {
	how := w.flags
	if w.tree.lateObjtool {
		how += " objtool"
	}
	if w.tree.stepsApart {
		how += " steps joined"
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
	sum := sha256.Sum256([]byte(w.objectKey(obj) + "\x00after\x00" + state + "\x00" +
		strings.ReplaceAll(command, w.Dir, workPlaceholder)))
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

// cachedObject is what the .json file of an object holds.
type cachedObject struct {
	Built
	SHA256 string // of the .o file, hexadecimal
}

func objectKind(key string) string { return "object " + key }

// cached looks an object up. The .json file is written after the .o and has its
// digest, so it vouches for both. What is damaged is noted and removed, as if it
// had never been there.
func (w *Work) cached(key, obj string) (*Built, bool) {
	data, err := readSealed(w.tree.cache, w.objectPath(key, ".json"), objectKind(key))
	if err != nil {
		return nil, false
	}
	cached := &cachedObject{}
	if json.Unmarshal(data, cached) != nil || cached.Object != obj {
		return nil, false
	}
	made := &cached.Built
	made.Path = w.objectPath(key, ".o")
	if !w.tree.sound(made.Path, cached.SHA256) {
		return nil, false
	}
	made.Command = strings.ReplaceAll(made.Command, workPlaceholder, w.Dir)
	made.Cached = true
	return made, true
}

// sound reports whether an object file of the cache has a digest. It is read
// once in the life of the tree's value.
func (t *Tree) sound(path, digest string) bool {
	if have, ok := t.facts.objects.Load(path); ok && have == digest {
		return true
	}
	data, err := sealed.ReadPlain(path)
	if err == nil {
		if sum := sha256.Sum256(data); hex.EncodeToString(sum[:]) != digest {
			err = fmt.Errorf("%w: its checksum does not match", sealed.ErrDamaged)
		}
	}
	if err != nil {
		sealed.Note(t.cache, path, err)
		return false
	}
	t.facts.objects.Store(path, digest)
	return true
}

// store copies an object, made in the tree dir, into the cache and returns its
// path there.
func (w *Work) store(key, dir string, made *Built) (string, error) {
	path := w.objectPath(key, ".o")
	if err := sealed.MakeDir(w.tree.cache, filepath.Dir(path)); err != nil {
		return "", fmt.Errorf("cache %s: %w", made.Object, err)
	}
	data, err := os.ReadFile(made.Path)
	if err != nil {
		return "", fmt.Errorf("cache %s: %w", made.Object, err)
	}
	if err := writeAtomic(path, data, 0o444); err != nil {
		return "", fmt.Errorf("cache %s: %w", made.Object, err)
	}
	sum := sha256.Sum256(data)
	kept := cachedObject{Built: *made, SHA256: hex.EncodeToString(sum[:])}
	kept.Path, kept.Elapsed = "", 0
	kept.Command = strings.ReplaceAll(made.Command, dir, workPlaceholder)
	text, err := json.MarshalIndent(kept, "", "\t")
	if err == nil {
		err = writeAtomic(w.objectPath(key, ".json"), sealed.Seal(objectKind(key), text), 0o644)
	}
	if err != nil {
		return "", fmt.Errorf("cache %s: %w", made.Object, err)
	}
	w.tree.facts.objects.Store(path, kept.SHA256)
	return path, nil
}
