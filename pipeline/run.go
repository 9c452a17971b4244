package pipeline

import (
	"cmp"
	"context"
	"errors"
	"io"
	"slices"

	"github.com/klpforge/klpforge/analyze"
	"github.com/klpforge/klpforge/finding"
	"github.com/klpforge/klpforge/kbuild"
)

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
	res.Notes = append(res.Notes, finding.Remarkf(finding.RemarkPlain,
		"the prepared tree in the cache was made again: %s %s", changed.Path, changed.Why))
	return res, err
}

// runOnce is Run with the prepared tree as it is in the cache, which it returns.
func runOnce(ctx context.Context, opt Options) (res *Result, tree *kbuild.Tree, err error) {
	res = &Result{}
	if opt.Progress == nil {
		opt.Progress = func(string, int, int) {}
	}
	say := &journal{res: res, allow: opt.Allow, progress: opt.Progress}
	seen := &analyze.Input{Plan: &res.Plan, Allow: opt.Allow}
	var open closers
	defer open.close()

	tree, err = flow(ctx, &opt, say, seen, &open)
	if partial := err == nil && opt.Part.Of > 0; res.Analysis == nil && !partial {
		// It ended early: say what is known by then.
		err = cmp.Or(err, judge(seen, say))
	}
	say.enter("")
	return res, tree, err
}

// flow is the pipeline. Each stage takes values and returns its own; what all of them
// find goes to the journal, and what the analysis looks at to seen, also when a later
// stage fails. The prepared tree is returned as soon as there is one.
func flow(ctx context.Context, opt *Options, say *journal, seen *analyze.Input, open *closers) (*kbuild.Tree, error) {
	if err := checkOutput(opt); err != nil {
		return nil, err
	}

	say.enter("read patches")
	request, err := readRequest(opt, say)
	if err != nil {
		return nil, err
	}
	say.allow, seen.Allow = request.allow, request.allow

	say.enter("open target kernel")
	target, err := openFor(opt, open)
	if err != nil {
		return nil, err
	}
	shipped := newShippedCode(target, opt.Kernel)
	open.add(shipped)
	show(seen, target, shipped)
	if err := target.suits(opt, request.name, say); err != nil {
		return nil, err
	}

	say.enter("prepare source tree")
	tree, err := prepare(ctx, opt, target, say)
	if err != nil {
		return tree, err
	}

	say.enter("apply patches")
	change, err := applyPatches(ctx, opt, tree, request.series, open, say)
	if err != nil {
		return tree, err
	}
	seen.Files = change.files
	if opt.Part.Of == 0 {
		seen.Stacks = target.sleepers(open) // while the compiler runs
	}
	if err := change.checkOutside(say); err != nil {
		return tree, err
	}

	objects, err := compile(ctx, opt, target, change, open, say)
	if err != nil || opt.Part.Of > 0 {
		return tree, err
	}

	say.enter("compare objects")
	units, err := compare(ctx, opt, objects, change, say)
	if err != nil {
		return tree, err
	}
	seen.Units = units
	if units = target.present(units); len(units) == 0 {
		return tree, conclude(opt, target, request, &extraction{}, seen, say)
	}

	say.enter("match with shipped kernel")
	if err := target.locate(ctx, objects, units, say); err != nil {
		return tree, err
	}

	say.enter("find callers that must join")
	brought, err := joinCallers(ctx, opt, target, shipped, change, objects, units, say)
	units, seen.Units = append(units, brought...), append(seen.Units, brought...)
	if err != nil {
		return tree, err
	}

	say.enter("extract")
	cut, err := extract(ctx, target, change, objects, units, say)
	if err != nil {
		return tree, err
	}
	if err := register(&say.res.Plan, opt, target, cut, say); err != nil {
		return tree, err
	}
	compareTypes(ctx, target, change, objects, units, say)
	if seen.Config, err = compareConfig(target, change, units, say); err != nil {
		return tree, err
	}
	if err := conclude(opt, target, request, cut, seen, say); err != nil || opt.DiffOnly {
		return tree, err
	}
	return tree, buildModule(ctx, opt, target, tree, cut, say)
}

// conclude completes the plan and judges it.
func conclude(opt *Options, target *Target, request *request, cut *extraction, seen *analyze.Input,
	say *journal) error {
	say.enter("analyze")
	finishPlan(&say.res.Plan, opt, target, request, cut, say)
	if err := judge(seen, say); err != nil {
		return err
	}
	say.sort()
	return say.verdict()
}

// closers are what has to be closed when a run ends, in the order of opening.
type closers []io.Closer

func (c *closers) add(x io.Closer) { *c = append(*c, x) }

// close closes the last first. What it is told only matters to who reads the cache next,
// and is judged there.
func (c *closers) close() {
	for _, x := range slices.Backward(*c) {
		_ = x.Close()
	}
}

// show has the analysis look at the target.
func show(seen *analyze.Input, target *Target, shipped *shippedCode) {
	seen.HasObject, seen.Kernel = target.HasObject, shipped.kernel
	if api, err := target.K.API(); err == nil {
		seen.API = &api
	}
}
