package kbuild

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"
)

// Mention finds a file of the unchanged tree that names an identifier, "" if none
// does: a linker script, what makes the tables of kallsyms, or a source or header
// that the configuration builds. Linker scripts come first.
func (t *Tree) Mention(ctx context.Context, name string) (string, error) {
	graph, err := t.graph(ctx)
	if err != nil {
		return "", err
	}

	// Where most such names come from is looked at first.
	first := []string{"include/asm-generic/vmlinux.lds.h", "arch/" + t.Arch + "/kernel/vmlinux.lds.S",
		"scripts/kallsyms.c"}
	for _, f := range first {
		if t.mentions(f, name) {
			return f, nil
		}
	}

	var mu sync.Mutex
	var found []string
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(2 * max(1, t.jobs))
	for part := range slices.Chunk(graph.Files, 256) {
		group.Go(func() error {
			for _, file := range part {
				if ctx.Err() != nil {
					return context.Cause(ctx)
				}
				if t.mentions(file, name) {
					mu.Lock()
					found = append(found, file)
					mu.Unlock()
				}
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil || len(found) == 0 {
		return "", err
	}
	return slices.Min(found), nil
}

// mentions reports whether a file names an identifier, or makes it of parts as
// __start_##sec does in vmlinux.lds.h.
func (t *Tree) mentions(file, name string) bool {
	data, err := os.ReadFile(filepath.Join(t.Dir, file))
	if err != nil {
		return false
	}
	if bytes.Contains(data, []byte(name)) && containsWord(string(data), name) {
		return true
	}
	// BOUNDED_SECTION_PRE_LABEL and friends (v6.3): prefix##label##suffix.
	if !strings.HasSuffix(file, "vmlinux.lds.h") {
		return false
	}
	for _, prefix := range []string{"__start_", "__stop_"} {
		if label, ok := strings.CutPrefix(name, prefix); ok && bytes.Contains(data, []byte(prefix)) &&
			containsWord(string(data), label) {
			return true
		}
	}
	return false
}
