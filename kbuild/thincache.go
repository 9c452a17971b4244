package kbuild

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"sync"

	"github.com/klpforge/klpforge/internal/sealed"
)

// textMemory remembers the digests of preprocessed text after a change, so that a run which
// makes nearly the same changes as an earlier one preprocesses only what they differ in. A digest
// is kept under everything that the text may depend on: the object, its command, and the
// contents of the changed files that it may read.
type textMemory struct {
	work  *Work
	now   *changes
	graph *includeGraph
	// leads are, by changed file, the nodes and the changed files that its new text may include,
	// by base name alone: too many cost a digest that is computed again, too few would be wrong.
	leads map[string]lead
	// anywhere are the changed files that the graph does not know and that an include line of an
	// unchanged file may come to mean.
	anywhere []string

	mu    sync.Mutex
	reads map[int32]string // by root, what the changed files that it may read amount to
}

type lead struct {
	nodes []int32
	files []string // changed ones that the graph does not know
}

// rememberTexts returns the memory of texts after the changes made so far, nil where the options
// of the work tree want none.
func (w *Work) rememberTexts(ctx context.Context) (*textMemory, error) {
	w.mu.Lock()
	known := w.texts
	w.mu.Unlock()
	if known != nil {
		return known, nil
	}
	memory, err := w.readTexts(ctx)
	if err != nil {
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.texts = memory
	return memory, nil
}

func (w *Work) readTexts(ctx context.Context) (*textMemory, error) {
	now, err := w.changedFiles()
	if err != nil || now == nil {
		return nil, err
	}
	graph, err := w.tree.graph(ctx)
	if err != nil {
		return nil, err
	}
	memory := &textMemory{work: w, now: now, graph: graph, leads: map[string]lead{}, reads: map[int32]string{}}

	// What a changed file includes by its new text: whatever has that name.
	byBase := map[string][]int32{}
	for i, file := range graph.Files {
		byBase[path.Base(file)] = append(byBase[path.Base(file)], int32(i))
	}
	unknown := map[string][]string{}
	for file := range now.digests {
		if _, ok := graph.index[file]; !ok {
			unknown[path.Base(file)] = append(unknown[path.Base(file)], file)
			if len(graph.textUses[path.Base(file)]) > 0 {
				memory.anywhere = append(memory.anywhere, file)
			}
		}
	}
	for file, digest := range now.digests {
		if digest == "" {
			continue
		}
		text, err := w.Read(file)
		if err != nil {
			return nil, err
		}
		var to lead
		for _, inc := range scanIncludes(text) {
			base := path.Base(inc.name)
			to.nodes, to.files = append(to.nodes, byBase[base]...), append(to.files, unknown[base]...)
		}
		memory.leads[file] = to
	}
	return memory, nil
}

// readBy stands for the contents of the changed files that the compilation of a source may
// read, "" if the graph does not know the source.
func (m *textMemory) readBy(source string) string {
	root, ok := m.graph.index[source]
	if !ok {
		return ""
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if known, ok := m.reads[root]; ok {
		return known
	}
	seen, read := map[int32]bool{}, map[string]bool{}
	todo := []int32{root}
	var follow func(file string)
	follow = func(file string) {
		if read[file] {
			return
		}
		read[file] = true
		todo = append(todo, m.leads[file].nodes...)
		for _, other := range m.leads[file].files {
			follow(other)
		}
	}
	for _, file := range m.anywhere {
		follow(file)
	}
	for len(todo) > 0 {
		node := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if seen[node] {
			continue
		}
		seen[node] = true
		if _, changed := m.now.digests[m.graph.Files[node]]; changed {
			follow(m.graph.Files[node])
		}
		if int(node) < len(m.graph.Edges) {
			todo = append(todo, m.graph.Edges[node]...)
		}
	}
	text := m.now.names
	for _, file := range slices.Sorted(maps.Keys(read)) {
		text += "\x00" + file + "\x00" + m.now.digests[file]
	}
	sum := sha256.Sum256([]byte(text))
	m.reads[root] = hex.EncodeToString(sum[:16])
	return m.reads[root]
}

// key names what was computed of an object's text, "" where the graph does not know its source.
func (m *textMemory) key(what, object, command string) string {
	read := m.readBy(m.work.sourceOf(command))
	if read == "" {
		return ""
	}
	return m.work.afterKey(what+"\x00"+read, object, command)
}

// digest is Work.digest, from the cache where that has it.
func (m *textMemory) digest(ctx context.Context, object, command string) (string, error) {
	key := m.key("text", object, command)
	if key == "" {
		return m.work.digest(ctx, object, command)
	}
	memo, kind := m.work.objectPath(key, ".reach"), "reached text after "+key
	if data, err := readSealed(m.work.tree.cache, memo, kind); err == nil {
		return string(data), nil
	}
	digest, err := m.work.digest(ctx, object, command)
	if err != nil {
		return "", err
	}
	return digest, m.keep(object, memo, kind, []byte(digest))
}

// versions is Work.SymbolCRCs, from the cache where that has them.
func (m *textMemory) versions(ctx context.Context, object, command string) (map[string]uint32, error) {
	key := m.key("versions", object, command)
	if key == "" {
		return m.work.symbolCRCs(ctx, object, command)
	}
	memo, kind := m.work.objectPath(key, ".crcs"), "versions after "+key
	var out map[string]uint32
	if data, err := readSealed(m.work.tree.cache, memo, kind); err == nil && json.Unmarshal(data, &out) == nil {
		return out, nil
	}
	out, err := m.work.symbolCRCs(ctx, object, command)
	if err != nil {
		return nil, err
	}
	data, err := json.Marshal(out)
	if err != nil {
		return nil, err
	}
	return out, m.keep(object, memo, kind, data)
}

func (m *textMemory) keep(object, memo, kind string, data []byte) error {
	if err := sealed.MakeDir(m.work.tree.cache, filepath.Dir(memo)); err != nil {
		return err
	}
	if err := writeAtomic(memo, sealed.Seal(kind, data), 0o644); err != nil {
		return fmt.Errorf("keep what is known of the text of %s: %w", object, err)
	}
	return nil
}
