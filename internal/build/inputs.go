package build

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/klpforge/klpforge/finding"
	"github.com/klpforge/klpforge/kbuild"
	"github.com/klpforge/klpforge/patchset"
)

const inputRemedy = "leave this file out of the livepatch, or change the C code that uses what is generated"

// checkInputs judges the changed files that the target's build reads otherwise than by
// compiling them. work has the changes.
func (r *run) checkInputs(ctx context.Context, work *kbuild.Work, overlay *patchset.Overlay, a *kbuild.Affected) error {
	for _, f := range a.Files {
		if f.Class == kbuild.ClassInclude && len(f.Readers) > 0 {
			var left []kbuild.Reader
			for _, reader := range f.Readers {
				differs, known, err := work.Regenerates(ctx, f.Path, overlay.Files[f.Path].New, reader.Made)
				if err != nil {
					return err
				}
				if differs || !known {
					left = append(left, reader)
				}
			}
			f.Readers = left
		}
		r.input(f.Path, f.Readers)
	}

	// Programs and linker scripts that include a changed header.
	sources := map[string]bool{}
	for _, f := range a.Files {
		sources[f.Path] = true
	}
	var objects []string
	because := map[string][]string{}
	for _, o := range a.Special {
		if o.Input && !sources[o.Source] {
			objects = append(objects, o.Object)
			because[o.Object] = o.Because
		}
	}
	if len(objects) == 0 {
		return nil
	}
	slices.Sort(objects)
	altered, err := work.Altered(ctx, slices.Compact(objects))
	if err != nil {
		return err
	}
	for _, obj := range altered {
		made := strings.TrimSuffix(obj, ".o")
		readers, err := r.tree.Readers(ctx, made)
		if err != nil {
			return err
		}
		if len(readers) == 0 {
			readers = []kbuild.Reader{{Made: made, Where: made, Tool: !strings.HasSuffix(made, ".lds")}}
		}
		for i := range readers {
			if strings.HasSuffix(made, ".lds") {
				readers[i].Made = made
			}
			readers[i].Where = made + ", which includes it"
		}
		for _, header := range because[obj] {
			r.input(header, readers)
		}
	}
	return nil
}

// input reports what the build makes of a changed file: an error if that gets into
// the kernel, a warning if it is one of the build's own programs.
func (r *run) input(file string, readers []kbuild.Reader) {
	var made, tools []string
	where := ""
	for _, reader := range readers {
		if reader.Tool {
			tools = append(tools, reader.Made)
		} else {
			made = append(made, reader.Made)
			where = reader.Where
		}
	}
	slices.Sort(made)
	slices.Sort(tools)
	made, tools = slices.Compact(made), slices.Compact(tools)
	if len(made) > 0 {
		r.problem(nil, finding.Finding{ID: finding.IDBuildInput, Severity: finding.Error, Remedy: inputRemedy,
			Message: fmt.Sprintf("the build generates %s from it (%s), and a livepatch does not carry what changes there", shortList(made, 3), where)}.InFile(finding.Position{File: file}))
		return
	}
	if len(tools) > 0 && !strings.HasPrefix(file, "tools/") && !slices.Contains(tools, file) {
		r.problem(nil, finding.Finding{ID: finding.IDBuildInput, Severity: finding.Warning,
			Message: fmt.Sprintf("it is a part of %s, a program of the build; the livepatch is made with the target's own, without the change", shortList(tools, 3)),
			Remedy:  "make sure that the fix does not depend on it"}.InFile(finding.Position{File: file}))
	}
}

// binaries leaves out changes of binary files that no rule reads, with a note each,
// and refuses the others: there is nothing to apply them with.
func (r *run) binaries(ctx context.Context, overlay *patchset.Overlay) error {
	for _, b := range overlay.Binary {
		a, err := r.tree.Affected(ctx, []string{b.Path})
		if err != nil {
			return err
		}
		f := a.Files[0]
		read := f.Used || len(f.Readers) > 0 || f.Class == kbuild.ClassBuild || f.Class == kbuild.ClassNewSource
		if read {
			return &PatchError{&patchset.BinaryError{Patch: b.Patch, Path: b.Path}}
		}
		r.res.Notes = append(r.res.Notes, fmt.Sprintf("patch %s: %s: a binary change, and no rule of the kernel's build reads the file; left out", b.Patch, b.Path))
	}
	return nil
}

// unread says why a file that is no code is left out, "" if input tells.
func unread(f kbuild.ChangedFile) string {
	switch {
	case len(f.Readers) == 0:
		return "no rule of the kernel's build reads it; left out"
	case slices.ContainsFunc(f.Readers, func(r kbuild.Reader) bool { return !r.Tool }):
		return ""
	case f.Readers[0].Made == f.Path:
		return "a script of the build (" + f.Readers[0].Where + "), which makes the livepatch with the target's own; left out"
	case strings.HasPrefix(f.Path, "tools/"):
		return "a part of " + f.Readers[0].Made + ", a program of the build, which makes the livepatch with the target's own; left out"
	}
	return ""
}

// removed refuses patches that delete or rename a source that objects of the target
// are made of; the objects are dropped, as they cannot be compiled.
func (r *run) removed(a *kbuild.Affected, overlay *patchset.Overlay, objects map[string]kbuild.Owner) {
	for _, o := range a.Objects {
		f := overlay.Files[o.Source]
		if f == nil || f.New != nil {
			continue
		}
		delete(objects, o.Object)
		names := o.Owner.Names()
		p := finding.Finding{ID: finding.IDRemovedSource, Severity: finding.Error,
			Message: fmt.Sprintf("it is built into %s, and the patches delete it; a livepatch cannot take code out of the running kernel", strings.Join(names, ", ")),
			Remedy:  "leave the deletion out of the livepatch, and make the functions that must not run any more return at once"}
		for _, path := range overlay.Paths() {
			if to := overlay.Files[path]; to.From == o.Source && to.New != nil {
				p.Message = fmt.Sprintf("it is built into %s, and the patches rename it to %s; the functions of both would not be compared", strings.Join(names, ", "), path)
				p.Remedy = "make the change to " + o.Source + " under its own name, without the rename"
				break
			}
		}
		r.problem(nil, p.InFile(finding.Position{File: o.Source}))
	}
}

// refuseEarly returns a refusal if a file was found that the build cannot do
// without: what would be compiled without it says nothing, or fails.
func (r *run) refuseEarly() error {
	errs := r.errorsOnly()
	if slices.ContainsFunc(errs, func(p finding.Finding) bool { return p.ID == finding.IDBuildInput || p.ID == finding.IDRemovedSource }) {
		return &Refusal{errs}
	}
	return nil
}
