// Package releases builds what a release manifest describes: one module for
// each target kernel, from the patches that the target lacks.
package releases

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/klpforge/klpforge/finding"
	"github.com/klpforge/klpforge/kbuild"
	"github.com/klpforge/klpforge/kernel"
	"github.com/klpforge/klpforge/kernel/cachedir"
	"github.com/klpforge/klpforge/modsign"
	"github.com/klpforge/klpforge/patchset"
	"github.com/klpforge/klpforge/pipeline"
	"github.com/klpforge/klpforge/plan"
	"github.com/klpforge/klpforge/release/manifest"
)

// Options say what to build of a release.
type Options struct {
	Manifest *manifest.Manifest
	Targets  []string // releases to build for; none means all of the manifest
	Dir      string   // directory for the modules, made when absent
	Cache    cachedir.Dir
	Parallel int // targets at a time; 0 is 1
	Jobs     int // compilers at a time, for each target; 0 is the number of CPUs
	kbuild.Toolchain
	// Sandbox and TrustPatch are those of pipeline.Options.
	Sandbox    kbuild.Sandbox
	TrustPatch bool
	// Part, when its Of is not 0, compiles one share of each target's objects into
	// the cache instead of making modules.
	Part    pipeline.Part
	Builder string // version of this program, for the provenance
	Emit    bool   // keep the generated sources, in Dir/<module>.src
	// History, when not nil, is searched for follow-ups and prerequisites.
	History *patchset.History
	// Progress tells what happens; it is called from several goroutines.
	Progress func(release, what string)

	sign *modsign.Signer
}

// Run builds the release. Targets fail one by one; the error is for what
// concerns all of them: patches that cannot be read, a history, a directory.
func Run(ctx context.Context, o Options) (*Summary, error) {
	if o.Progress == nil {
		o.Progress = func(string, string) {}
	}
	if signing := o.Manifest.Signing; signing != nil && o.Part.Of == 0 {
		key := signing.Key
		if !modsign.InToken(key) {
			key = under(o.Manifest.Dir, key)
		}
		signer, err := modsign.Load(key, under(o.Manifest.Dir, signing.Cert), signing.Hash)
		if err != nil {
			return nil, err
		}
		o.sign = signer
	}

	// What concerns all targets is found out first: an error here is not that of one of them.
	targets, err := o.targets()
	if err != nil {
		return nil, err
	}
	list, err := readPatches(o.Manifest)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(o.Dir, 0o777); err != nil {
		return nil, fmt.Errorf("make a directory for the modules: %w", err)
	}
	summary := &Summary{Schema: SummarySchema, Name: o.Manifest.Name, Version: o.Manifest.Version,
		Findings: []finding.Finding{}, Targets: make([]Target, len(targets))}
	if summary.Findings, err = followUps(ctx, o, list); err != nil {
		return nil, err
	}

	// Targets fail one by one, in their results, so that the others are still built.
	var group errgroup.Group
	group.SetLimit(max(o.Parallel, 1))
	for i, target := range targets {
		group.Go(func() error {
			began := time.Now()
			summary.Targets[i] = o.one(ctx, target, list)
			summary.Targets[i].Seconds = time.Since(began).Seconds()
			return nil
		})
	}
	return summary, group.Wait()
}

// UnknownTargetError names a target that the manifest does not have.
type UnknownTargetError struct {
	Release string
	Known   []string
}

func (e *UnknownTargetError) Error() string {
	return fmt.Sprintf("%s is no target of the manifest; it has %s", e.Release, strings.Join(e.Known, ", "))
}

func (o *Options) targets() ([]manifest.Target, error) {
	if len(o.Targets) == 0 {
		return o.Manifest.Targets, nil
	}
	var out []manifest.Target
	for _, want := range o.Targets {
		i := slices.IndexFunc(o.Manifest.Targets, func(target manifest.Target) bool { return target.Release == want })
		if i < 0 {
			unknown := &UnknownTargetError{Release: want}
			for _, target := range o.Manifest.Targets {
				unknown.Known = append(unknown.Known, target.Release)
			}
			return nil, unknown
		}
		out = append(out, o.Manifest.Targets[i])
	}
	return out, nil
}

// entry is what one item of the manifest's list of patches brought.
type entry struct {
	item    manifest.Patch
	path    string // the file, "" for a git range
	patches []*patchset.Patch
}

// readPatches reads all patches of the manifest.
func readPatches(m *manifest.Manifest) ([]entry, error) {
	var out []entry
	for _, item := range m.Patches {
		listed := entry{item: item}
		var series *patchset.Series
		var err error
		if item.Git != "" {
			series, err = patchset.ReadGitRange(under(m.Dir, item.Git), item.Range)
		} else {
			listed.path = under(m.Dir, item.File)
			series, err = patchset.Read([]string{listed.path}, patchset.ReadOptions{})
		}
		if err != nil {
			err = fmt.Errorf("patches, line %d: %w", item.Line, err)
			if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
				return nil, err
			}
			return nil, &pipeline.PatchError{Err: err}
		}
		for _, patch := range series.Patches {
			patch.Known = item.IDs
		}
		listed.patches = series.Patches
		out = append(out, listed)
	}
	return out, nil
}

func under(dir, path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(dir, path)
}

// forTarget selects the patches that are meant for a kernel, and their files.
func forTarget(list []entry, rel string) (series *patchset.Series, files []string) {
	series = &patchset.Series{}
	for _, listed := range list {
		if len(listed.item.Targets) > 0 && !slices.ContainsFunc(listed.item.Targets,
			func(pattern string) bool { ok, _ := filepath.Match(pattern, rel); return ok }) {
			continue
		}
		series.Patches = append(series.Patches, listed.patches...)
		if listed.path != "" {
			files = append(files, listed.path)
		}
	}
	return series, files
}

// one builds for one kernel and never fails otherwise than in its result.
func (o *Options) one(ctx context.Context, t manifest.Target, list []entry) Target {
	res := Target{Release: t.Release, Part: o.part(), Included: []string{}, Skipped: []string{},
		Findings: []finding.Finding{}}
	fail := func(err error) Target {
		res.Error, res.Refused = err.Error(), refused(err)
		return res
	}
	opt := o.buildOptions(t)
	series, files := forTarget(list, t.Release)
	if len(series.Patches) == 0 {
		res.Empty = true
		return res
	}

	// Which patches the target has already, its source tells and not the manifest.
	o.Progress(t.Release, "prepare source tree")
	dir, err := o.source(ctx, opt)
	if err != nil {
		return fail(err)
	}
	kept, present, err := series.FilterDir(dir, patchset.ApplyOptions{})
	if err != nil {
		var ce *patchset.ConflictError
		if errors.As(err, &ce) {
			res.Findings = append(res.Findings, o.before(ctx, ce.Patch, dir, series.Patches)...)
		}
		return fail(err)
	}
	for _, patch := range present {
		res.Skipped = append(res.Skipped, patch.Title())
	}
	for _, patch := range kept {
		res.Included = append(res.Included, patch.Title())
	}
	if len(kept) == 0 {
		res.Empty = true
		return res
	}

	// What a failed build lacked may be in the history: the finding names the commit.
	opt.Series, opt.Patches = &patchset.Series{Patches: kept}, files
	opt.Present = present
	opt.Progress = func(stage string, _, _ int) { o.Progress(t.Release, stage) }
	out, err := pipeline.Run(ctx, opt)
	res.fill(out)
	if err != nil {
		res.Findings = append(res.Findings, o.prerequisites(ctx, out, err, kept)...)
		return fail(err)
	}
	return res
}

// part is what a summary says of Part.
func (o *Options) part() *pipeline.Part {
	if o.Part.Of == 0 {
		return nil
	}
	return &o.Part
}

// refused reports whether an error is the fault of the release, not of the
// machine that builds it.
func refused(err error) bool {
	var refusal *pipeline.Refusal
	var patch *pipeline.PatchError
	var conflict *patchset.ConflictError
	var name *plan.NameError
	return errors.As(err, &refusal) || errors.As(err, &patch) || errors.As(err, &conflict) || errors.As(err, &name) ||
		errors.Is(err, pipeline.ErrNothing)
}

func (o *Options) buildOptions(t manifest.Target) pipeline.Options {
	wanted := o.Manifest
	name := ModuleName(wanted, t.Release)
	opt := pipeline.Options{Kernel: kernel.Options{Release: t.Release, Cache: o.Cache}, Name: name,
		Product: wanted.Name, Vendor: wanted.Vendor, Version: wanted.Version, Description: wanted.Description,
		NoReplace: !wanted.Replaces(), Immediate: wanted.Immediate, Callbacks: map[string][]string{},
		Allow: map[finding.ID]string{}, AllowFrom: "release manifest",
		Output: filepath.Join(o.Dir, t.Release, name+".ko"), Jobs: o.Jobs, Toolchain: o.Toolchain, Sandbox: o.Sandbox,
		TrustPatch: o.TrustPatch, Sign: o.sign, Provenance: true, Builder: o.Builder, Part: o.Part}
	if t.Root != "" {
		opt.Kernel.Root = under(wanted.Dir, t.Root)
	}
	if o.Emit {
		opt.Emit = filepath.Join(o.Dir, t.Release, name+".src")
	}
	maps.Copy(opt.Callbacks, wanted.Callbacks)
	for _, allowed := range wanted.Allow {
		opt.Allow[allowed.ID] = allowed.Reason
	}
	for _, state := range wanted.States {
		opt.States = append(opt.States, plan.State(state))
	}
	for _, shadow := range wanted.Shadows {
		opt.Shadows = append(opt.Shadows, plan.Shadow(shadow))
	}
	return opt
}

// source prepares the target's source tree and makes the place for its module.
func (o *Options) source(ctx context.Context, opt pipeline.Options) (string, error) {
	if err := os.MkdirAll(filepath.Dir(opt.Output), 0o777); err != nil {
		return "", err
	}
	target, err := pipeline.OpenTarget(opt.Kernel)
	if err != nil {
		return "", err
	}
	defer target.Close()
	tree, err := pipeline.Prepare(ctx, target.K, kbuild.PrepareOptions{Toolchain: opt.Toolchain, Jobs: opt.Jobs,
		Sandbox: opt.Sandbox})
	if err != nil {
		return "", err
	}
	return tree.Dir, nil
}

// ModuleName is the name of the module for one kernel.
func ModuleName(m *manifest.Manifest, rel string) string {
	pattern := m.Module
	if pattern == "" {
		pattern = "livepatch_{name}_{version}"
	}
	return plan.ModuleName(strings.NewReplacer("{name}", m.Name, "{version}", m.Version, "{release}",
		rel).Replace(pattern))
}

// fill takes over what a build found, as far as it came.
func (t *Target) fill(r *pipeline.Result) {
	t.Module, t.Bytes = r.Module, r.Bytes
	if t.Part != nil {
		t.Compiled = append([]string{}, r.Units...)
	}
	t.Notes = finding.RemarkTexts(r.Notes)
	for _, obj := range r.Plan.Objects {
		for _, function := range obj.Funcs {
			t.Functions = append(t.Functions, obj.Name+":"+function.Name)
		}
	}
	for _, problem := range r.Problems {
		if problem.Severity >= finding.Warning {
			t.Problems = append(t.Problems, problem)
		}
	}
	allowed := map[string]bool{}
	for _, suppression := range r.Suppressions {
		allowed[string(suppression.ID)] = true
	}
	t.Accepted = slices.Sorted(maps.Keys(allowed))
}
