package kbuild

import (
	"context"
	"slices"
	"strings"

	"github.com/klpforge/klpforge/finding"
)

// CheckInputs judges the changed files that the target's build reads otherwise than by
// compiling them. The work tree has the changes; text gives the new contents of a
// changed file, nil for one that is gone.
func (w *Work) CheckInputs(ctx context.Context, hit *Affected,
	text func(file string) []byte) ([]finding.Finding, error) {
	var out []finding.Finding
	for _, changed := range hit.Files {
		readers := changed.Readers
		if changed.Class == ClassInclude && len(readers) > 0 {
			var err error
			if readers, err = w.affectedReaders(ctx, &changed, text(changed.Path)); err != nil {
				return nil, err
			}
		}
		out = append(out, checkInput(changed.Path, readers)...)
	}
	found, err := w.checkIncluders(ctx, hit)
	return append(out, found...), err
}

// affectedReaders are the readers of a changed header that make something else of it
// than before, or of which that is not known.
func (w *Work) affectedReaders(ctx context.Context, f *ChangedFile, text []byte) ([]Reader, error) {
	var left []Reader
	for _, reader := range f.Readers {
		differs, known, err := w.Regenerates(ctx, f.Path, text, reader.Made)
		if err != nil {
			return nil, err
		}
		if differs || !known {
			left = append(left, reader)
		}
	}
	return left, nil
}

// checkIncluders judges changed headers by the programs of the build and the linker
// scripts that include them.
func (w *Work) checkIncluders(ctx context.Context, a *Affected) ([]finding.Finding, error) {
	// What is changed itself is reported by another check; here it is a header that is included.
	because := map[string][]string{}
	var objects []string
	for _, o := range a.Special {
		changed := slices.ContainsFunc(a.Files, func(f ChangedFile) bool { return f.Path == o.Source })
		if o.Input && !changed {
			objects = append(objects, o.Object)
			because[o.Object] = o.Because
		}
	}
	if len(objects) == 0 {
		return nil, nil
	}

	// Only where its preprocessed text differs can the header change what is made.
	slices.Sort(objects)
	altered, err := w.Altered(ctx, slices.Compact(objects))
	if err != nil {
		return nil, err
	}

	var out []finding.Finding
	for _, object := range altered {
		readers, err := w.tree.readersOf(ctx, object)
		if err != nil {
			return nil, err
		}
		for _, header := range because[object] {
			out = append(out, checkInput(header, readers)...)
		}
	}
	return out, nil
}

// readersOf is what is made with a program of the build or a linker script, given by
// its object, as readers of the headers that it includes.
func (t *Tree) readersOf(ctx context.Context, object string) ([]Reader, error) {
	made := strings.TrimSuffix(object, ".o")
	script := strings.HasSuffix(made, ".lds")
	readers, err := t.Readers(ctx, made)
	if err != nil {
		return nil, err
	}
	if len(readers) == 0 {
		readers = []Reader{{Made: made, Tool: !script}}
	}
	for i := range readers {
		if script {
			readers[i].Made = made
		}
		readers[i].Where = made + ", which includes it"
	}
	return readers, nil
}
