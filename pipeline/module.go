package pipeline

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/klpforge/klpforge/analyze/passes/verdict"
	"github.com/klpforge/klpforge/finding"
	"github.com/klpforge/klpforge/generate"
	"github.com/klpforge/klpforge/kbuild"
	"github.com/klpforge/klpforge/kernel/klpapi"
	"github.com/klpforge/klpforge/modsign"
	"github.com/klpforge/klpforge/plan"
)

// buildModule generates, links and checks the module, and puts it in place.
func buildModule(ctx context.Context, opt *Options, target *Target, tree *kbuild.Tree, cut *extraction,
	say *journal) error {
	say.enter("generate and link")
	api, err := interfaceOf(opt, target, say)
	if err != nil {
		return err
	}
	fitPlan(&say.res.Plan, opt, api, say)
	unsigned, err := linkModule(ctx, opt, target, tree,
		generate.Input{Plan: say.res.Plan, API: api, Units: cut.units()}, say)
	if err != nil {
		return err
	}

	say.enter("verify")
	problems, err := generate.Verify(unsigned, target)
	if err != nil {
		return fmt.Errorf("verify module: %w", err)
	}
	if err := say.verified(problems); err != nil {
		return err
	}
	module := unsigned
	if opt.Sign != nil {
		if module, err = sign(opt.Sign, unsigned, target, say); err != nil {
			return fmt.Errorf("sign module: %w", err)
		}
	}

	// Nothing is put in place before all of it is there.
	var statement []byte
	if opt.Provenance {
		say.enter("state provenance")
		if statement, err = state(opt, target, tree, &say.res.Plan, module, unsigned); err != nil {
			return err
		}
	}
	out := opt.Output
	if out == "" {
		out = say.res.Plan.Name + ".ko"
	}
	if err := writeFile(out, module); err != nil {
		return fmt.Errorf("write module: %w", err)
	}
	if opt.Provenance {
		if err := writeFile(out+ProvenanceSuffix, statement); err != nil {
			return fmt.Errorf("write provenance: %w", err)
		}
	}
	say.res.Module, say.res.Bytes = out, len(module)
	return nil
}

// interfaceOf is the livepatch interface that the sources are made for: the target's, or
// that of another version, where it was asked for.
func interfaceOf(opt *Options, target *Target, say *journal) (klpapi.API, error) {
	api, err := target.K.API()
	if err != nil || opt.API == "" {
		return api, err
	}
	if api, err = klpapi.Mainline(opt.API); err != nil {
		return api, err
	}
	say.note("the sources are for the livepatch interface of Linux %s, whatever the target's headers say", opt.API)
	return api, nil
}

// fitPlan fits the plan to what the interface can say.
func fitPlan(p *plan.Plan, opt *Options, api klpapi.API, say *journal) {
	p.Replace = api.Replace && !opt.NoReplace
	say.notes(verdict.Record(p, say.res.Findings, api, opt.Immediate)...)
	if len(opt.States) > 0 && !api.States {
		p.States = nil
		say.leftOut("states: the target's livepatch interface has none; left out")
	}
}

// linkModule writes the sources of the module, links it in a private directory, and
// finishes it.
func linkModule(ctx context.Context, opt *Options, target *Target, tree *kbuild.Tree, in generate.Input,
	say *journal) ([]byte, error) {
	private, unlock, err := kbuild.PrivateDir(ctx, string(target.K.Cache()), "module")
	if err != nil {
		return nil, fmt.Errorf("make a directory for the module: %w", err)
	}
	defer func() { os.RemoveAll(private); unlock() }()
	dir := filepath.Join(private, "module")

	recorded, err := generate.Emit(dir, in)
	if err != nil {
		return nil, err
	}
	// The same sources once more where the user wants to keep them; the build goes on in its own.
	if opt.Emit != "" {
		if _, err := generate.Emit(opt.Emit, in); err != nil {
			return nil, fmt.Errorf("keep the generated sources: %w", err)
		}
		say.res.Emitted = opt.Emit
	}

	if err := kbuild.BuildModule(ctx, kbuild.ModuleOptions{Tree: tree, Dir: dir, Jobs: opt.Jobs}); err != nil {
		return nil, err
	}
	linked, err := os.ReadFile(filepath.Join(dir, in.Plan.Name+".ko"))
	if err != nil {
		return nil, err
	}

	// What no C source can say is left to do: livepatch relocations and symbols.
	module, err := generate.PostLink(linked, recorded)
	if err != nil {
		return nil, fmt.Errorf("finish module: %w", err)
	}
	return module, nil
}

// verified adds what the check of the finished module found, and refuses a module with
// an error that is not accepted.
func (j *journal) verified(problems []finding.Finding) error {
	var errs []finding.Finding
	for _, found := range problems {
		told := func(have finding.Finding) bool { return have.ID == found.ID && have.Symbol == found.Symbol }
		if found.ID == finding.IDIndirect && slices.ContainsFunc(j.res.Problems, told) {
			continue // found in the object that the module was linked of
		}
		if found.Severity == finding.Error {
			if found.Allowed = j.allow[found.ID]; found.Allowed == "" {
				errs = append(errs, found)
			}
		}
		j.late(found)
	}
	if len(errs) > 0 {
		return &Refusal{errs}
	}
	return nil
}

// sign signs with the hash that the target's own modules have, unless another was
// asked for, and notes what the target's kernel lacks to check it.
func sign(signer *modsign.Signer, module []byte, target *Target, say *journal) ([]byte, error) {
	config, err := target.K.Config()
	if err != nil {
		return nil, err
	}
	signedBy, err := signer.For(config.Value("MODULE_SIG_HASH"))
	if err != nil {
		return nil, err
	}
	for _, option := range signedBy.Needs() {
		if !config.Bool(option) {
			say.note("signature: the target has CONFIG_%s not built in; where signatures are enforced, it refuses "+
				"this one as unsupported", option)
		}
	}
	return signedBy.Sign(module)
}
