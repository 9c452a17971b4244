package selection

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/klpforge/klpforge/kbuild"
	"github.com/klpforge/klpforge/patchset"
	"github.com/klpforge/klpforge/pipeline"
	"github.com/klpforge/klpforge/plan"
	"github.com/klpforge/klpforge/release/manifest"
)

// Options say which part of which update is wanted for which kernel.
type Options struct {
	// Target is the kernel, the toolchain, accepted findings, and what is recorded in the
	// module: Product, Version, Vendor. With a Part, a share of the objects is compiled into
	// the cache, and nothing is selected.
	Target pipeline.Options
	// From and To are source trees before and after; else GitDir and GitRange name commits.
	From, To         string
	GitDir, GitRange string
	// IDs is a file that says what parts of the update are known by; "" for none. Each line
	// has a file, or a file:name, and ids behind it.
	IDs          string
	KeepStalling bool
	// Dir takes the patches, the manifest and the module; "" leaves nothing.
	Dir     string
	NoBuild bool
	// Say tells what happens, a line each.
	Say func(format string, args ...any)
}

// Run makes a selection. A *UnexplainedError means that a fault was found behind which
// no part of the update could be; other errors are those of package pipeline.
func Run(ctx context.Context, o Options) (*Result, error) {
	if o.Say == nil {
		o.Say = func(string, ...any) {}
	}
	target, err := pipeline.OpenTarget(o.Target.Kernel)
	if err != nil {
		return nil, err
	}
	defer target.Close()
	o.Say("prepare the source of %s", target.Release())
	tree, err := pipeline.Prepare(ctx, target.K, kbuild.PrepareOptions{Toolchain: o.Target.Toolchain,
		Jobs:    o.Target.Jobs,
		Sandbox: o.Target.Sandbox, AllowCompilerMismatch: o.Target.AllowCompilerMismatch,
		AllowSourceMismatch: o.Target.AllowSourceMismatch})
	if err != nil {
		return nil, err
	}

	root, err := os.OpenRoot(tree.Dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	o.Say("read the update")
	src, present, binary, err := o.read(root.FS())
	if err != nil {
		return nil, err
	}
	if o.IDs != "" {
		if err := addIDs(o.IDs, src.slices()); err != nil {
			return nil, err
		}
	}

	// What is live at all, then the search.
	reviewer := &Pipeline{Options: o.Target, KeepStalling: o.KeepStalling}
	selecting := newEngine(src, reviewer, o.Say)
	if err := selecting.sort(ctx, &builtBy{tree}, present); err != nil {
		return nil, err
	}
	o.tellCost(ctx, tree, selecting)

	if o.Target.Part.Of > 0 {
		return selecting.compilePart(ctx, &o, target.Release())
	}

	out := &output{options: &o, engine: selecting, reviewer: reviewer, release: target.Release()}
	var build func(context.Context) ([]Fault, error)
	if o.Dir != "" {
		build = out.make
	}
	last, err := selecting.run(ctx, build)
	if err != nil {
		return nil, err
	}
	res := selecting.result(last)
	res.Release, res.Binary, res.Manifest, res.Module = target.Release(), binary, out.manifest, out.module
	res.Update = o.update()
	return res, nil
}

// compilePart compiles a share of what the first review looks at into the cache.
func (e *engine) compilePart(ctx context.Context, o *Options, release string) (*Result, error) {
	if _, err := e.settle(); err != nil {
		return nil, err
	}
	reviewed, err := e.review(ctx, e.state.texts, scope{})
	if err != nil {
		return nil, err
	}
	return &Result{Schema: Schema, Release: release, Update: o.update(), CVEs: []CVE{}, Subsystems: []Subsystem{},
		Slices: []Verdict{}, Cost: e.cost(), Part: &Share{Part: o.Target.Part, Objects: reviewed.Compiled}}, nil
}

// update is what was asked for, in words.
func (o *Options) update() string {
	if o.GitRange != "" {
		return o.GitRange
	}
	return o.From + " to " + o.To
}

// tellCost says before it begins what the first review may compile.
func (o *Options) tellCost(ctx context.Context, tree *kbuild.Tree, e *engine) {
	var files []string
	kept := 0
	for i, slice := range e.slices {
		if e.keep[i] {
			kept++
			files = append(files, slice.Files...)
		}
	}
	slices.Sort(files)
	affected, err := tree.Affected(ctx, slices.Compact(files))
	if err != nil {
		return // the review says it
	}
	sources, others := 0, 0
	for _, obj := range affected.Objects {
		switch {
		case len(obj.Owner.Names()) == 0:
		case slices.Contains(obj.Because, obj.Source):
			sources++
		default:
			others++
		}
	}
	o.Say("%d of %d slices are looked at; %d objects have a changed source and are compiled before and after, "+
		"%d more read a changed header and are preprocessed twice; what was compiled stays in the cache if this is stopped",
		kept, len(e.slices), sources, others)
}

// read reads the update. present are the slices that the target's source has.
func (o *Options) read(base fs.FS) (src source, present map[int]bool, binary []string, err error) {
	if o.GitRange != "" {
		series, err := patchset.ReadGitRange(o.GitDir, o.GitRange)
		if err != nil {
			return nil, nil, nil, &pipeline.PatchError{Err: err}
		}
		for _, patch := range series.Patches {
			for _, change := range patch.Binary {
				binary = append(binary, change.Path)
			}
		}
		commits := fromCommits(base, series)
		there, err := commits.there()
		return commits, there, binary, err
	}
	changes, binary, err := patchset.CompareDirs(o.From, o.To)
	if err != nil {
		return nil, nil, nil, err
	}
	if len(changes) == 0 {
		return nil, nil, nil, &pipeline.PatchError{Err: fmt.Errorf("%s and %s have the same files", o.From, o.To)}
	}
	pairs := fromTrees(changes)
	there := map[int]bool{}
	for i := range pairs.files {
		file := &pairs.files[i]
		have, err := fs.ReadFile(base, file.Path)
		if errors.Is(err, fs.ErrNotExist) {
			have, err = nil, nil
		}
		switch {
		case err != nil:
			return nil, nil, nil, err
		case string(have) == string(file.Old) && (have == nil) == (file.Old == nil):
		case string(have) == string(file.New) && (have == nil) == (file.New == nil):
			for _, change := range file.edits {
				there[change.slice] = true
			}
		case have == nil:
			file.edits = nil // a prepared tree has no more than a build needs
		default:
			return nil, nil, nil, fmt.Errorf("%s: %s has it otherwise than the source of the target; give the source that "+
				"the target was built from with --from", file.Path, o.From)
		}
	}
	return pairs, there, binary, nil
}

// there finds the commits that the target's source has: such a one does not apply on top
// of those before it, but undoing it does, on the source as it is.
func (c *commits) there() (map[int]bool, error) {
	out := map[int]bool{}
	keep := make([]bool, len(c.list))
	for i := range keep {
		keep[i] = true
	}
	for {
		_, failed, err := c.texts(keep)
		if err != nil {
			return nil, err
		}
		found := false
		for i := range failed {
			_, have, err := (&patchset.Series{Patches: c.patches[i : i+1]}).Filter(c.base, patchset.ApplyOptions{})
			if err == nil && len(have) == 1 {
				keep[i], out[i], found = false, true, true
			}
		}
		if !found {
			return out, nil
		}
	}
}

// addIDs reads a file of ids.
func addIDs(path string, list []*Slice) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()

	// A line names a slice, by its name, a part of its title or one of its files, and then its ids.
	in := bufio.NewScanner(file)
	for number := 1; in.Scan(); number++ {
		words := strings.Fields(in.Text())
		if len(words) == 0 || strings.HasPrefix(words[0], "#") {
			continue
		}
		found := false
		for _, slice := range list {
			all := append([]string{slice.Name}, strings.Split(slice.Title, ", ")...)
			if !slices.Contains(all, words[0]) && !slices.Contains(slice.Files, words[0]) {
				continue
			}
			found = true
			for _, id := range words[1:] {
				if !slices.Contains(slice.IDs, id) {
					slice.IDs = append(slice.IDs, id)
				}
			}
		}
		if !found || len(words) < 2 {
			return &pipeline.PatchError{Err: fmt.Errorf("%s:%d: want a changed file, or a file:name of the update, "+
				"and ids; "+
				"nothing of the update is %q", path, number, words[0])}
		}
	}
	return in.Err()
}

// builtBy tells what a prepared tree compiles.
type builtBy struct{ tree *kbuild.Tree }

// Compiled implements Kernel.
func (b *builtBy) Compiled(ctx context.Context, files []string) (map[string]bool, error) {
	affected, err := b.tree.Affected(ctx, files)
	if err != nil {
		return nil, err
	}
	out := map[string]bool{}
	for i := range affected.Files {
		file := &affected.Files[i]
		switch file.Class {
		case kbuild.ClassDoc, kbuild.ClassTool:
		case kbuild.ClassNewSource, kbuild.ClassBuild:
			out[file.Path] = true // the review tells
		default:
			out[file.Path] = file.Used || file.Read()
		}
	}
	for _, object := range affected.Objects {
		if len(object.Owner.Names()) == 0 {
			continue
		}
		for _, name := range object.Because {
			out[name] = true
		}
	}
	return out, nil
}

// output makes the release of what is kept.
type output struct {
	options          *Options
	engine           *engine
	reviewer         *Pipeline
	release          string
	manifest, module string
}

// make writes the patches and the manifest, and builds the module of them. What was there
// of an earlier try is replaced.
func (w *output) make(ctx context.Context) ([]Fault, error) {
	options := w.options
	dir := filepath.Join(options.Dir, "patches")
	if err := os.RemoveAll(dir); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return nil, fmt.Errorf("make a directory for the patches: %w", err)
	}
	files, ids, err := w.engine.writePatches(dir)
	if err != nil {
		return nil, err
	}
	w.manifest = filepath.Join(options.Dir, manifest.File)
	if err := os.WriteFile(w.manifest, w.manifestText(files, ids), 0o666); err != nil {
		return nil, fmt.Errorf("write the manifest: %w", err)
	}
	if _, err := manifest.Read(w.manifest); err != nil {
		return nil, err
	}

	// The patches and the manifest are written in any case: they are what a person goes on with.
	if options.NoBuild {
		return nil, nil
	}

	options.Say("build the livepatch of %d patches", len(files))
	series, err := patchset.Read(files, patchset.ReadOptions{})
	if err != nil {
		return nil, err
	}
	for i, patch := range series.Patches {
		patch.Known = ids[i]
	}

	// The build checks what no review of parts can: the module as a whole.
	opt := options.Target
	opt.Series, opt.Provenance = series, true
	opt.Name = plan.ModuleName("livepatch_" + opt.Product + "_" + opt.Version)
	opt.Output = filepath.Join(options.Dir, w.release, opt.Name+".ko")
	if err := os.MkdirAll(filepath.Dir(opt.Output), 0o777); err != nil {
		return nil, fmt.Errorf("make a directory for the module: %w", err)
	}
	opt.KeepAfter = true
	res, err := pipeline.Run(ctx, opt)
	var refusal *pipeline.Refusal
	if errors.As(err, &refusal) {
		reviewed, err := w.reviewer.read(res, err)
		if err != nil {
			return nil, err
		}
		return reviewed.Faults, nil
	}
	if err != nil {
		return nil, err
	}
	w.module = res.Module
	return nil, nil
}

// writePatches writes a patch for each kept slice, each on top of those before it.
func (e *engine) writePatches(dir string) (files []string, ids [][]string, err error) {
	below := make([]bool, len(e.slices))
	for i, slice := range e.slices {
		if !e.keep[i] {
			continue
		}
		text, err := e.source.patch(i, below)
		if err != nil {
			return nil, nil, err
		}
		below[i] = true
		slug := strings.Trim(strings.Map(func(char rune) rune {
			if char >= 'a' && char <= 'z' || char >= 'A' && char <= 'Z' || char >= '0' && char <= '9' || char == '_' ||
				char == '.' {
				return char
			}
			return '-'
		}, slice.Name), "-.")
		if len(slug) > 60 {
			slug = slug[len(slug)-60:]
		}
		name := filepath.Join(dir, fmt.Sprintf("%04d-%s.patch", len(files)+1, slug))
		if err := os.WriteFile(name, []byte(text), 0o666); err != nil {
			return nil, nil, fmt.Errorf("write a patch: %w", err)
		}
		files, ids = append(files, name), append(ids, slice.IDs)
	}
	return files, ids, nil
}

// manifestText is the release manifest of the selection.
func (w *output) manifestText(files []string, ids [][]string) []byte {
	var out strings.Builder
	target := &w.options.Target
	fmt.Fprintf(&out, "# Written by klpforge release select.\nname: %q\nversion: %q\n", target.Product, target.Version)
	if target.Vendor != "" {
		fmt.Fprintf(&out, "vendor: %q\n", target.Vendor)
	}
	fmt.Fprintf(&out, "targets:\n  - release: %q\n", w.release)
	if root := target.Kernel.Root; root != "" && root != "/" {
		if abs, err := filepath.Abs(root); err == nil {
			fmt.Fprintf(&out, "    root: %q\n", abs)
		}
	}
	out.WriteString("patches:\n")
	for i, name := range files {
		fmt.Fprintf(&out, "  - file: %q\n", filepath.Join("patches", filepath.Base(name)))
		if len(ids[i]) > 0 {
			fmt.Fprintf(&out, "    ids: [%s]\n", quoted(ids[i]))
		}
	}
	if len(target.Allow) > 0 {
		out.WriteString("allow:\n")
	}
	for _, id := range slices.Sorted(maps.Keys(target.Allow)) {
		fmt.Fprintf(&out, "  - id: %s\n    reason: %q\n", id, target.Allow[id])
	}
	return []byte(out.String())
}

func quoted(list []string) string {
	var out []string
	for _, one := range list {
		out = append(out, fmt.Sprintf("%q", one))
	}
	return strings.Join(out, ", ")
}
