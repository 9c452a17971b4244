package pipeline

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/klpforge/klpforge/analyze"
	"github.com/klpforge/klpforge/finding"
	"github.com/klpforge/klpforge/kbuild"
	"github.com/klpforge/klpforge/kernel"
	"github.com/klpforge/klpforge/patchset"
)

// prepare prepares the target's source tree, and tells what it lacks. The tree is also
// returned with an error where there is one.
func prepare(ctx context.Context, opt *Options, target *Target, say *journal) (*kbuild.Tree, error) {
	tree, err := Prepare(ctx, target.K, kbuild.PrepareOptions{Toolchain: opt.Toolchain, Jobs: opt.Jobs,
		Progress: opt.Progress, Sandbox: opt.Sandbox,
		AllowCompilerMismatch: opt.AllowCompilerMismatch, AllowSourceMismatch: opt.AllowSourceMismatch})
	if err != nil {
		return tree, err
	}
	if tree.Unconfined != "" {
		say.note("sandbox: programs of the build are not confined: %s", tree.Unconfined)
	}
	if tree.Healed != "" {
		say.note("%s", tree.Healed)
	}
	say.found(tree.CheckConfig()...)
	return tree, nil
}

// Prepare prepares the source tree of a target in its cache, or finds it
// prepared. Source, config, headers and release of opts come from the target. Headers
// and Module.symvers may be missing: compiling needs neither.
func Prepare(ctx context.Context, target *kernel.Target, opts kbuild.PrepareOptions) (*kbuild.Tree, error) {
	src, err := target.Source()
	if err != nil {
		return nil, err
	}
	if opts.Config, err = target.ConfigPath(); err != nil {
		return nil, err
	}
	var missing *kernel.MissingPartError
	if opts.Symvers, err = target.SymversPath(); err != nil && !errors.As(err, &missing) {
		return nil, err
	}
	headers, err := target.Headers()
	switch {
	case err == nil:
		opts.Headers = []string{headers.Dir, headers.Common}
	case !errors.As(err, &missing):
		return nil, err
	}
	opts.Source = cmp.Or(src.Dir, src.Tarball)
	opts.Release, opts.Cache, opts.BuildTree = target.Release(), string(target.Cache()), target.BuildTree()
	tree, err := kbuild.Prepare(ctx, opts)
	if err != nil || opts.AllowSourceMismatch {
		return tree, err
	}
	return tree, target.CheckSource(tree.Dir)
}

// change is a source and what the patches make of it.
type change struct {
	tree     *kbuild.Tree
	external *kbuild.External // source of modules outside of the kernel's tree; nil for none
	overlay  *patchset.Overlay
	files    []analyze.File
	// withheld are the changed files that builds would run, or act on. Unless the patches
	// are trusted, they do not come into a tree in which anything is built.
	withheld map[string]kbuild.Withholding
	trusted  bool
}

// applyPatches applies the patches to the kernel's source, or to that of a module
// outside of its tree. Nothing of either is changed.
func applyPatches(ctx context.Context, opt *Options, tree *kbuild.Tree, series *patchset.Series, open *closers,
	say *journal) (*change, error) {
	// A review runs nothing of a patch.
	applied := &change{tree: tree, trusted: opt.TrustPatch && !opt.DiffOnly}
	source := tree.Dir
	var builds withholder = tree
	if opt.ExternalSource != "" {
		var err error
		if applied.external, err = tree.External(ctx, opt.ExternalSource,
			kbuild.WorkOptions{Jobs: opt.Jobs, Trust: applied.trusted}); err != nil {
			return nil, err
		}
		open.add(applied.external)
		source, builds = applied.external.Dir, applied.external
	}

	var err error
	if applied.overlay, err = series.ApplyDir(source, patchset.ApplyOptions{Fuzz: opt.Fuzz}); err != nil {
		return nil, patchFault(err)
	}
	applied.files = changedFiles(applied.overlay)
	if applied.withheld, err = withhold(builds, applied.overlay); err != nil {
		return nil, err
	}
	for _, n := range applied.overlay.Notes {
		say.notes(n.Remark())
	}
	return applied, nil
}

// withholder is a tree that tells which files builds would run.
type withholder interface {
	Withheld(rel string, texts ...[]byte) (kbuild.Withholding, error)
}

// withhold finds the changed files that builds would run, or act on.
func withhold(tree withholder, overlay *patchset.Overlay) (map[string]kbuild.Withholding, error) {
	out := map[string]kbuild.Withholding{}
	for _, path := range overlay.Paths() {
		f := overlay.Files[path]
		held, err := tree.Withheld(path, f.Old, f.New)
		if err != nil {
			return nil, fmt.Errorf("judge %s: %w", path, err)
		}
		if held.Why != "" {
			out[path] = held
		}
	}
	return out, nil
}

// changedFiles are the files of an overlay as the analysis sees them.
func changedFiles(o *patchset.Overlay) []analyze.File {
	var out []analyze.File
	for _, p := range o.Paths() {
		f := o.Files[p]
		x := analyze.File{Path: p, Old: f.Old, New: f.New}
		for _, h := range f.Hunks {
			x.Hunks = append(x.Hunks, analyze.Hunk{OldStart: h.OldStart, OldLines: h.OldLines, NewStart: h.NewStart,
				NewLines: h.NewLines})
		}
		x.Index()
		out = append(out, x)
	}
	return out
}

// checkOutside refuses patches that plainly name files of the build machine, before
// anything is compiled.
func (c *change) checkOutside(say *journal) error {
	for _, f := range c.files {
		say.found(kbuild.CheckOutside(f.Path, f.Old, f.New)...)
	}
	if say.forbidden(finding.IDOutsideFile) {
		return say.refuse()
	}
	return nil
}

// rules are the withheld files with their texts.
func (c *change) rules() map[string]kbuild.RuleChange {
	out := map[string]kbuild.RuleChange{}
	for p := range c.withheld {
		out[p] = kbuild.RuleChange{Old: c.overlay.Files[p].Old, New: c.overlay.Files[p].New}
	}
	return out
}

// moved maps the source files that the patches delete to their new names, "" for those
// that have none.
func (c *change) moved() map[string]string {
	out := map[string]string{}
	for _, p := range c.overlay.Paths() {
		if c.overlay.Files[p].New == nil {
			out[p] = ""
		}
	}
	for _, p := range c.overlay.Paths() {
		f := c.overlay.Files[p]
		if to, gone := out[f.From]; gone && to == "" && f.New != nil {
			out[f.From] = p
		}
	}
	return out
}

// addsInclude reports whether a changed file has another number of #include lines.
func (c *change) addsInclude() bool {
	return slices.ContainsFunc(c.files, func(f analyze.File) bool { return includes(f.New) != includes(f.Old) })
}

func includes(text []byte) int { return bytes.Count(text, []byte("\n#include")) }

// privateTree is a copy of a source that may be changed.
type privateTree interface {
	Write(rel string, data []byte) error
	Remove(rel string) error
	ProvideAuthorHeaders(texts [][]byte) error
}

// writeTo brings the change into a private tree, with the headers for authors that its
// texts ask for. What builds would run is left out, unless it is trusted.
func (c *change) writeTo(tree privateTree) error {
	var texts [][]byte
	for _, path := range c.overlay.Paths() {
		file := c.overlay.Files[path]
		if c.withheld[path].Why != "" && !c.trusted {
			continue
		}
		if file.New == nil {
			if err := tree.Remove(path); err != nil {
				return fmt.Errorf("remove %s from the private tree: %w", path, err)
			}
			continue
		}
		text := file.New
		if file.Stable != nil {
			text = file.Stable
		}
		if err := tree.Write(path, text); err != nil {
			return fmt.Errorf("write %s to the private tree: %w", path, err)
		}
		texts = append(texts, text)
	}
	return tree.ProvideAuthorHeaders(texts)
}

// checkExternalRules names withheld files of a module's source that could alter how it
// is compiled.
func (c *change) checkExternalRules(say *journal) {
	for _, path := range slices.Sorted(maps.Keys(c.withheld)) {
		held := c.withheld[path]
		if held.MakefileMay {
			say.leftOut("%s: %s; left out, as the patch is not trusted", path, held.Why)
			continue
		}
		say.found(held.Finding(path))
	}
}
