package kbuild

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/klpforge/klpforge/internal/sealed"
)

// changes are what was changed in a work tree, with the digest of each file's contents,
// "" for one that is gone.
type changes struct {
	digests map[string]string
	// names stands for the headers that came or went, of which one can take another's place
	// on the include path, and for the contents of what is neither C nor a header.
	names string
}

// changedFiles reads what was changed in the tree.
func (w *Work) changedFiles() (*changes, error) {
	if !w.remembers {
		return nil, nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.root == nil {
		return nil, ErrClosed
	}
	out := &changes{digests: map[string]string{}}
	for rel := range w.changed {
		data, err := w.root.ReadFile(rel)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			out.digests[rel] = ""
		case err != nil:
			return nil, fmt.Errorf("read %s: %w", rel, err)
		default:
			sum := sha256.Sum256(data)
			out.digests[rel] = hex.EncodeToString(sum[:16])
		}
	}
	var names []string
	for _, rel := range slices.Sorted(maps.Keys(out.digests)) {
		ext, digest := path.Ext(rel), out.digests[rel]
		switch {
		case ext != ".c" && ext != ".h":
			names = append(names, rel+" "+digest) // an assembler may read it, which no list of dependencies tells
		case ext == ".h" && (digest == "" || !exists(filepath.Join(w.tree.Dir, rel))):
			names = append(names, fmt.Sprintf("%s %v", rel, digest == ""))
		}
	}
	sum := sha256.Sum256([]byte(strings.Join(names, "\n")))
	out.names = hex.EncodeToString(sum[:8])
	return out, nil
}

// madeAfter is one compilation of changed source: what it read of the changes, and the
// key of the object.
type madeAfter struct {
	Read  map[string]string // changed files, with their digests
	Names string
	Key   string
}

// maxMade is how many compilations of one object are kept.
const maxMade = 16

func (w *Work) madePath(obj, command string) (path, kind string) {
	key := w.afterKey("", obj, command)
	return w.objectPath(key, ".made"), "compilations of " + key
}

// made lists the compilations of an object that are kept, the latest last.
func (w *Work) made(obj, command string) []madeAfter {
	path, kind := w.madePath(obj, command)
	data, err := readSealed(w.tree.cache, path, kind)
	var list []madeAfter
	if err != nil || json.Unmarshal(data, &list) != nil {
		return nil
	}
	return list
}

// recall finds an object that was compiled from the same text: whatever that compilation
// read is now as it was then.
func (w *Work) recall(now *changes, obj, command string) (*Built, bool) {
	if now == nil {
		return nil, false
	}
	for _, then := range slices.Backward(w.made(obj, command)) {
		if then.Names != now.names {
			continue
		}
		built, ok := w.cached(then.Key, obj)
		if !ok {
			continue
		}
		same := !slices.ContainsFunc(built.Deps, func(dep string) bool {
			digest, changed := now.digests[dep]
			return changed && then.Read[dep] != digest
		})
		for dep, digest := range then.Read {
			same = same && now.digests[dep] == digest
		}
		if same {
			return built, true
		}
	}
	return nil, false
}

// keepMade puts an object that was compiled just now into the cache, as the options of
// the tree say.
func (w *Work) keepMade(state string, now *changes, command string, made *Built) error {
	if w.shareAfter {
		_, err := w.store(w.afterKey(state, made.Object, command), w.Dir, made)
		return err
	}
	if now == nil {
		return nil
	}
	entry := madeAfter{Read: map[string]string{}, Names: now.names}
	text := now.names
	for _, dep := range made.Deps {
		if digest, changed := now.digests[dep]; changed {
			entry.Read[dep] = digest
			text += "\x00" + dep + "\x00" + digest
		}
	}
	entry.Key = w.afterKey("read\x00"+text, made.Object, command)
	if _, err := w.store(entry.Key, w.Dir, made); err != nil {
		return err
	}
	list := append(w.made(made.Object, command), entry)
	list = list[max(0, len(list)-maxMade):]
	data, err := json.Marshal(list)
	if err != nil {
		return err
	}
	path, kind := w.madePath(made.Object, command)
	if err := sealed.MakeDir(w.tree.cache, filepath.Dir(path)); err != nil {
		return err
	}
	return writeAtomic(path, sealed.Seal(kind, data), 0o644)
}
