package build

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/klpforge/klpforge/analyze"
	"github.com/klpforge/klpforge/analyze/stacks"
	"github.com/klpforge/klpforge/finding"
	"github.com/klpforge/klpforge/generate"
	"github.com/klpforge/klpforge/internal/facts"
	"github.com/klpforge/klpforge/kbuild"
	"github.com/klpforge/klpforge/kernel"
	"github.com/klpforge/klpforge/kernel/klpapi"
	"github.com/klpforge/klpforge/patchset"
	"github.com/klpforge/klpforge/plan"
)

// run is the state of one build.
type run struct {
	opt      Options
	res      *Result
	target   *Target
	name     string                          // of the module
	kernel   *facts.Kernel                   // opened by whole
	sleepers func() (*stacks.Result, error)  // where the target's tasks sleep; nil before the compiler runs
	whole    func() (*analyze.Kernel, error) // the target's kernel, decoded when first asked for
	tree     *kbuild.Tree
	stage    string
	began    time.Time

	overlay  *patchset.Overlay
	withheld map[string]kbuild.Withholding // changed files that builds would run, and why
	units    []*unit
	analysed bool

	external  *kbuild.External // source of modules outside of the kernel's tree; nil for none
	unchanged []*unit          // compiled objects of external that the patches leave alone

	config []analyze.ConfigDiff // see analyze.Input

	shared     map[string]int // owners per object file
	namespaces map[string]bool
}

// Run builds a livepatch module. The result is never nil; it holds what was
// found up to an error. A *Refusal means that the patch cannot become a
// livepatch, a *PatchError that the patches are at fault; ErrNothing that they
// change no code; any other error that the environment failed.
func Run(ctx context.Context, opt Options) (*Result, error) {
	res, tree, err := runOnce(ctx, opt)
	var changed *kbuild.TreeChangedError
	if tree == nil || !errors.As(err, &changed) {
		return res, err
	}
	// Somebody altered the prepared tree, and reading it showed that.
	if ferr := tree.Forget(); ferr != nil {
		return res, errors.Join(err, ferr)
	}
	res, _, err = runOnce(ctx, opt)
	res.Notes = append(res.Notes, fmt.Sprintf("the prepared tree in the cache was made again: %s %s", changed.Path, changed.Why))
	return res, err
}

// runOnce is Run with the tree as it is in the cache, which it returns.
func runOnce(ctx context.Context, opt Options) (*Result, *kbuild.Tree, error) {
	r := &run{opt: opt, res: &Result{}, shared: map[string]int{}, namespaces: map[string]bool{}}
	if r.opt.Progress == nil {
		r.opt.Progress = func(string, int, int) {}
	}
	r.whole = sync.OnceValues(r.wholeKernel)
	err := r.run(ctx)
	if !r.analysed {
		// A refusal came early: say what is known by then.
		err = cmp.Or(err, r.analyze())
	}
	r.enter("")
	if r.kernel != nil {
		r.kernel.Close()
	}
	if r.sleepers != nil {
		_, _ = r.sleepers() // it reads the target; its error is the checks' to report
	}
	if r.target != nil {
		r.target.Close()
	}
	return r.res, r.tree, err
}

func (r *run) run(ctx context.Context) error {
	if !r.opt.DiffOnly {
		if err := checkOutput(r.opt.Output); err != nil {
			return fmt.Errorf("write module: %w", err)
		}
	}
	r.enter("read patches")
	if err := CheckName(r.opt.Name); err != nil {
		return err
	}
	series, err := r.read()
	if err != nil {
		return err
	}
	var changed string
	if r.name, changed = nameOf(&r.opt, series); changed != "" && !r.opt.DiffOnly {
		r.res.Notes = append(r.res.Notes, changed)
	}
	if r.name == "" {
		return &NameError{r.name, "the output's name has nothing before .ko; give one with --name"}
	}
	if err := r.suppressions(series); err != nil {
		return err
	}
	r.enter("open target kernel")
	if r.target, err = openTarget(r.opt.Kernel, r.opt.DiffOnly, r.parts()...); err != nil {
		return err
	}
	if err := checkArch(r.target.vmlinux.Image.Arch); err != nil {
		return err
	}
	r.res.Release = r.target.Release()
	if err := r.nameIsFree(); err != nil {
		return err
	}
	if r.target.missing != "" {
		r.res.Notes = append(r.res.Notes, "without "+r.target.missing+": the compiled layout is not compared with the target's headers, exports are not known")
	}
	r.enter("prepare source tree")
	if err := r.prepare(ctx); err != nil {
		return err
	}
	r.enter("apply patches")
	source := r.tree.Dir
	if r.opt.ExternalSource != "" {
		if r.external, err = r.tree.External(ctx, r.opt.ExternalSource, kbuild.WorkOptions{Jobs: r.opt.Jobs, Trust: r.trusts()}); err != nil {
			return err
		}
		defer r.external.Close()
		source = r.external.Dir
	}
	overlay, err := series.ApplyDir(source, patchset.ApplyOptions{Fuzz: r.opt.Fuzz})
	if err != nil {
		return patchFault(err)
	}
	r.overlay = overlay
	if r.external != nil {
		err = r.withhold(r.external, overlay)
	} else {
		err = r.withhold(r.tree, overlay)
	}
	if err != nil {
		return err
	}
	for _, n := range overlay.Notes {
		r.res.Notes = append(r.res.Notes, n.String())
	}
	if r.opt.Part.Of == 0 {
		r.sleepers = sync.OnceValues(r.stacks)
		go r.sleepers() // every caller, Run at its end included, waits for the result
	}
	if err := r.readsOutside(overlay); err != nil {
		return err
	}
	units, work, err := r.compile(ctx, overlay)
	if work != nil {
		defer work.Close()
	}
	if err != nil {
		return err
	}
	if r.opt.Part.Of > 0 {
		r.analysed = true // there is nothing to look at yet
		return nil
	}
	r.enter("compare objects")
	if err := r.compare(ctx, units); err != nil {
		return err
	}
	if err := r.exportCRCs(ctx, work, units, overlay); err != nil {
		return err
	}
	r.units = units
	if units = r.present(units); len(units) == 0 {
		return r.conclude(series)
	}
	r.enter("match with shipped kernel")
	for _, u := range units {
		if err := r.locateUnit(u); err != nil {
			return err
		}
	}
	r.enter("find callers that must join")
	if units, err = r.join(ctx, work, units); err != nil {
		return err
	}
	r.enter("extract")
	prebuilt, err := r.extractAll(ctx, work, units)
	if err != nil {
		return err
	}
	r.debugInfo(units, overlay)
	r.checkTypes(ctx, work, units)
	r.reloading(prebuilt)
	if err := r.compareConfig(units); err != nil {
		return err
	}
	if err := r.conclude(series); err != nil || r.opt.DiffOnly {
		return err
	}
	return r.make(ctx, prebuilt)
}

// parts are those of the kernel without which nothing can be said of a patch, or nothing
// be built.
func (r *run) parts() []kernel.Part {
	parts := []kernel.Part{kernel.PartImage, kernel.PartConfig, kernel.PartSource}
	if !r.opt.DiffOnly {
		parts = append(parts, kernel.PartSymvers, kernel.PartHeaders)
	}
	return parts
}

// present drops units of objects that the target lacks; a check names them.
func (r *run) present(units []*unit) []*unit {
	return slices.DeleteFunc(slices.Clone(units), func(u *unit) bool { return !r.target.HasObject(u.owner) })
}

// conclude completes the plan and judges it.
func (r *run) conclude(series *patchset.Series) error {
	r.enter("analyze")
	r.finishPlan(series)
	if err := r.analyze(); err != nil {
		return err
	}
	r.sortProblems()
	return r.verdict()
}

// enter ends the current stage and begins the next.
func (r *run) enter(stage string) {
	now := time.Now()
	if r.stage != "" {
		d := now.Sub(r.began)
		r.res.Stages = append(r.res.Stages, Stage{Name: r.stage, Seconds: d.Seconds(), elapsed: d})
	}
	r.stage, r.began = stage, now
	if stage != "" {
		r.opt.Progress(stage, 0, 0)
	}
}

func (r *run) problem(u *unit, p finding.Finding) {
	x := p
	if u != nil {
		x.Object, x.Unit = u.owner, u.object
	}
	if x.Severity == finding.Error {
		x.Allowed = r.opt.Allow[x.ID]
	}
	if slices.ContainsFunc(r.res.Problems, func(have finding.Finding) bool { return finding.Same(have, x) }) {
		return
	}
	r.res.Problems = append(r.res.Problems, x)
}

// patchFault tells what is wrong with the patches from what is wrong with the
// files that hold them.
func patchFault(err error) error {
	for _, fault := range []any{new(*patchset.ParseError), new(*patchset.PathError), new(*patchset.BinaryError),
		new(*patchset.UnsupportedError), new(*patchset.ApplyError)} {
		if errors.As(err, fault) {
			return &PatchError{err}
		}
	}
	if errors.Is(err, patchset.ErrEmpty) {
		return &PatchError{err}
	}
	return err
}

func (r *run) read() (*patchset.Series, error) {
	var series *patchset.Series
	var err error
	if r.opt.Series != nil {
		return r.opt.Series, nil
	}
	if r.opt.GitRange != "" {
		series, err = patchset.ReadGitRange(r.opt.GitDir, r.opt.GitRange)
	} else {
		series, err = patchset.Read(r.opt.Patches, patchset.ReadOptions{Strip: r.opt.Strip})
	}
	if err != nil {
		return nil, patchFault(err)
	}
	return series, nil
}

func (r *run) prepare(ctx context.Context) error {
	var err error
	r.tree, err = Prepare(ctx, r.target.K, kbuild.PrepareOptions{Toolchain: r.opt.Toolchain, Jobs: r.opt.Jobs, Progress: r.opt.Progress, Sandbox: r.opt.Sandbox,
		AllowCompilerMismatch: r.opt.AllowCompilerMismatch, AllowSourceMismatch: r.opt.AllowSourceMismatch})
	if err != nil {
		return err
	}
	if r.tree.Unconfined != "" {
		r.res.Notes = append(r.res.Notes, "sandbox: programs of the build are not confined: "+r.tree.Unconfined)
	}
	if r.tree.Healed != "" {
		r.res.Notes = append(r.res.Notes, r.tree.Healed)
	}
	for _, d := range r.tree.ConfigDiffs {
		if !d.Expected {
			r.problem(nil, finding.Finding{ID: finding.IDShippedCode, Severity: finding.Warning, Symbol: d.Name,
				Message: "the prepared tree's configuration differs from the target's: " + d.String(), Remedy: d.Remedy})
		}
	}
	return nil
}

// Prepare prepares the source tree of a target in its cache, or finds it
// prepared. Source, config, headers and release of o come from the target. Headers
// and Module.symvers may be missing: compiling needs neither.
func Prepare(ctx context.Context, k *kernel.Target, o kbuild.PrepareOptions) (*kbuild.Tree, error) {
	src, err := k.Source()
	if err != nil {
		return nil, err
	}
	if o.Config, err = k.ConfigPath(); err != nil {
		return nil, err
	}
	var missing *kernel.MissingPartError
	if o.Symvers, err = k.SymversPath(); err != nil && !errors.As(err, &missing) {
		return nil, err
	}
	headers, err := k.Headers()
	switch {
	case err == nil:
		o.Headers = []string{headers.Dir, headers.Common}
	case !errors.As(err, &missing):
		return nil, err
	}
	o.Source = cmp.Or(src.Dir, src.Tarball)
	o.Release, o.Cache, o.BuildTree = k.Release(), string(k.Cache()), k.BuildTree()
	tree, err := kbuild.Prepare(ctx, o)
	if err != nil || o.AllowSourceMismatch {
		return tree, err
	}
	return tree, k.CheckSource(tree.Dir)
}

// extractAll cuts every unit and gathers the prebuilt objects.
func (r *run) extractAll(ctx context.Context, work *kbuild.Work, units []*unit) ([]generate.Unit, error) {
	r.res.Plan.Shadows = slices.Clone(r.opt.Shadows)
	provided := wanted(units)
	provided[thisPatch] = true
	var out []generate.Unit
	for _, u := range units {
		x, err := r.extract(ctx, work, u, provided)
		if err != nil {
			return nil, err
		}
		if x != nil {
			out = append(out, *x)
		}
	}
	return out, nil
}

func planned(p *patchset.Patch) plan.Patch {
	return plan.Patch{Name: p.ID, Subject: p.Subject, IDs: p.IDs(), Content: p.Content()}
}

func (r *run) finishPlan(series *patchset.Series) {
	p := &r.res.Plan
	p.Release = r.res.Release
	for _, patch := range series.Patches {
		p.Patches = append(p.Patches, planned(patch))
	}
	for _, patch := range r.opt.Present {
		p.Present = append(p.Present, planned(patch))
	}
	p.Name = r.name
	p.Product, p.Vendor, p.Version, p.Description = r.opt.Product, r.opt.Vendor, r.opt.Version, r.opt.Description
	p.States = r.opt.States
	for _, s := range r.res.Suppressions {
		p.Allowed = append(p.Allowed, plan.Allowed(s))
	}
	for ns := range r.namespaces {
		p.ImportNS = append(p.ImportNS, ns)
	}
	slices.Sort(p.ImportNS)
	p.Sort()
	r.checkCallbacks()
	r.judgeCallbacks()
	slices.Sort(r.res.NewFuncs)
	slices.Sort(r.res.NewData)
}

func (r *run) sortProblems() {
	slices.SortStableFunc(r.res.Problems, func(a, b finding.Finding) int {
		return cmp.Or(-cmp.Compare(a.Severity, b.Severity), cmp.Compare(a.ID, b.ID), cmp.Compare(a.Unit, b.Unit), cmp.Compare(a.Symbol, b.Symbol))
	})
}

// verdict refuses when errors remain or nothing is left to patch.
func (r *run) verdict() error {
	if errs := r.errorsOnly(); len(errs) > 0 {
		return &Refusal{errs}
	}
	if len(r.res.Plan.Objects) == 0 {
		return ErrNothing
	}
	return nil
}

// make generates, links and checks the module, and puts it in place.
func (r *run) make(ctx context.Context, prebuilt []generate.Unit) error {
	r.enter("generate and link")
	api, err := r.target.K.API()
	if err != nil {
		return err
	}
	if r.opt.API != "" {
		if api, err = klpapi.Mainline(r.opt.API); err != nil {
			return err
		}
		r.res.Notes = append(r.res.Notes, "the sources are for the livepatch interface of Linux "+r.opt.API+", whatever the target's headers say")
	}
	r.res.Plan.Replace = api.Replace && !r.opt.NoReplace
	r.verdicts(api)
	if len(r.opt.States) > 0 && !api.States {
		r.res.Plan.States = nil
		r.res.Notes = append(r.res.Notes, "states: the target's livepatch interface has none; left out")
	}
	dir, err := r.moduleDir()
	if err != nil {
		return fmt.Errorf("make a directory for the module: %w", err)
	}
	defer os.RemoveAll(dir)
	in := generate.Input{Plan: r.res.Plan, API: api, Units: prebuilt}
	manifest, err := generate.Emit(dir, in)
	if err != nil {
		return err
	}
	if r.opt.Emit != "" {
		if _, err := generate.Emit(r.opt.Emit, in); err != nil {
			return fmt.Errorf("keep the generated sources: %w", err)
		}
		r.res.Emitted = r.opt.Emit
	}
	if err := kbuild.BuildModule(ctx, kbuild.ModuleOptions{Tree: r.tree, Dir: dir, Jobs: r.opt.Jobs}); err != nil {
		return err
	}
	linked, err := os.ReadFile(filepath.Join(dir, r.res.Plan.Name+".ko"))
	if err != nil {
		return err
	}
	ko, err := generate.PostLink(linked, manifest)
	if err != nil {
		return fmt.Errorf("finish module: %w", err)
	}
	r.enter("verify")
	problems, err := generate.Verify(ko, r.target)
	if err != nil {
		return fmt.Errorf("verify module: %w", err)
	}
	if err := r.verified(problems); err != nil {
		return err
	}
	unsigned := ko
	if r.opt.Sign != nil {
		if ko, err = r.sign(ko); err != nil {
			return fmt.Errorf("sign module: %w", err)
		}
	}
	out := r.opt.Output
	if out == "" {
		out = r.res.Plan.Name + ".ko"
	}
	var statement []byte
	if r.opt.Provenance {
		r.enter("state provenance")
		if statement, err = r.provenance(ko, unsigned); err != nil {
			return err
		}
	}
	if err := writeFile(out, ko); err != nil {
		return fmt.Errorf("write module: %w", err)
	}
	if r.opt.Provenance {
		if err := writeFile(out+ProvenanceSuffix, statement); err != nil {
			return fmt.Errorf("write provenance: %w", err)
		}
	}
	r.res.Module, r.res.Bytes = out, len(ko)
	return nil
}

// sign signs with the hash that the target's own modules have, unless another was
// asked for, and notes what the target's kernel lacks to check it.
func (r *run) sign(ko []byte) ([]byte, error) {
	config, err := r.target.K.Config()
	if err != nil {
		return nil, err
	}
	s, err := r.opt.Sign.For(config.Value("MODULE_SIG_HASH"))
	if err != nil {
		return nil, err
	}
	for _, option := range s.Needs() {
		if !config.Bool(option) {
			r.res.Notes = append(r.res.Notes, "signature: the target has CONFIG_"+option+" not built in; where signatures are enforced, it refuses this one as unsupported")
		}
	}
	return s.Sign(ko)
}

// verified adds what the check of the finished module found.
func (r *run) verified(problems []finding.Finding) error {
	var errs []finding.Finding
	for _, x := range problems {
		if x.ID == finding.IDIndirect && slices.ContainsFunc(r.res.Problems, func(h finding.Finding) bool { return h.ID == x.ID && h.Symbol == x.Symbol }) {
			continue // found in the object that the module was linked of
		}
		if x.Severity == finding.Error {
			if x.Allowed = r.opt.Allow[x.ID]; x.Allowed == "" {
				errs = append(errs, x)
			}
		}
		r.res.Problems = append(r.res.Problems, x)
		r.found(x)
	}
	if len(errs) > 0 {
		return &Refusal{errs}
	}
	return nil
}

// moduleDir makes a private directory beside the work trees. Its name begins
// as theirs do: a later run removes it if this process dies.
func (r *run) moduleDir() (string, error) {
	work := r.target.K.Cache().Work()
	if err := os.MkdirAll(work, 0o755); err != nil {
		return "", err
	}
	return os.MkdirTemp(work, fmt.Sprintf("%d-module-", os.Getpid()))
}
