package build

import (
	"slices"
	"sync"

	"github.com/klpforge/klpforge/analyze"
	"github.com/klpforge/klpforge/analyze/all"
	"github.com/klpforge/klpforge/analyze/model"
	"github.com/klpforge/klpforge/analyze/passes/reported"
	"github.com/klpforge/klpforge/analyze/stacks"
	"github.com/klpforge/klpforge/finding"
	"github.com/klpforge/klpforge/internal/facts"
	"github.com/klpforge/klpforge/patchset"
	"github.com/klpforge/klpforge/plan"
)

// analyze runs all analyzers on what is known so far. Findings of the earlier
// stages are among the result; those of the checks are also added to the
// problems, so that errors stop a build.
func (r *run) analyze() error {
	in := &analyze.Input{Release: r.res.Release, Plan: &r.res.Plan, Allow: r.opt.Allow, Files: files(r.overlay), Config: r.config}
	if r.target != nil {
		in.HasObject = r.target.HasObject
		in.Kernel = r.whole
		in.Stacks = r.sleepers
		if api, err := r.target.K.API(); err == nil {
			in.API = &api
		}
	}
	in.Problems = slices.Clone(r.res.Problems)
	for _, u := range r.units {
		if u.diff == nil {
			continue
		}
		in.Units = append(in.Units, &analyze.Unit{Object: u.object, Owner: u.owner, Source: u.after.Source, New: u.isNew, Diff: u.diff, Replace: u.replace, Joined: u.joined, Outside: u.outside,
			Types: u.types, TypesErr: u.typesErr, Target: u.target})
	}
	r.res.Analysis, r.analysed = in, true
	known := len(r.res.Problems)
	var err error
	r.res.Findings, err = all.Registry().Run(in, nil)
	for _, f := range r.res.Findings {
		if f.Severity == finding.Note && !f.Given || r.isProblem(&f, known) {
			continue
		}
		r.res.Problems = append(r.res.Problems, f)
	}
	return err
}

// wholeKernel decodes the target's kernel, which Run closes.
func (r *run) wholeKernel() (*analyze.Kernel, error) {
	k, err := facts.Open(r.opt.Kernel)
	if err != nil {
		return nil, err
	}
	r.kernel = k
	named, exporter := r.shipped()
	return &analyze.Kernel{Model: k.Model, Locks: k.Locks, Types: k.Types, Sleeps: sync.OnceValue(k.Sleeps), Module: named, Exporter: exporter}, nil
}

// shipped makes the functions that decode a module, and the module that exports a
// symbol. What cannot be had is not known; no check fails for that.
func (r *run) shipped() (named, exporter func(string) *model.Model) {
	models := map[string]*model.Model{}
	named = func(name string) *model.Model {
		m, ok := models[name]
		if ok {
			return m
		}
		if shipped, err := r.kernel.Target.Module(name); err == nil {
			if p, err := model.FromObject(shipped.File, model.ObjectOptions{Name: shipped.Name}); err == nil {
				m = model.Build(p)
			}
		}
		models[name] = m
		return m
	}
	return named, func(symbol string) *model.Model {
		exports, err := r.kernel.Target.Symvers()
		if err != nil {
			return nil
		}
		e, ok := exports.Lookup(symbol)
		if !ok || e.Object() == plan.Vmlinux {
			return nil
		}
		return named(e.Object())
	}
}

// stacks finds where tasks sleep. It needs nothing but the target, so that it runs
// while the compiler does.
func (r *run) stacks() (*stacks.Result, error) { return facts.Stacks(r.target.K, nil) }

// isProblem reports whether a finding says one of the first n problems.
func (r *run) isProblem(f *finding.Finding, n int) bool {
	return slices.ContainsFunc(r.res.Problems[:n], func(p finding.Finding) bool {
		return p.ID == f.ID && p.Symbol == f.Symbol && p.Message == f.Message && p.Object == f.Object && p.Unit == f.Unit
	})
}

// found adds a problem of a late stage to the findings.
func (r *run) found(p finding.Finding) {
	f := reported.Finding(&p)
	f.Allowed = p.Allowed
	r.res.Findings = append(r.res.Findings, f)
	finding.Sort(r.res.Findings)
}

func files(o *patchset.Overlay) []analyze.File {
	if o == nil {
		return nil
	}
	var out []analyze.File
	for _, p := range o.Paths() {
		f := o.Files[p]
		x := analyze.File{Path: p, Old: f.Old, New: f.New}
		for _, h := range f.Hunks {
			x.Hunks = append(x.Hunks, analyze.Hunk{OldStart: h.OldStart, OldLines: h.OldLines, NewStart: h.NewStart, NewLines: h.NewLines})
		}
		out = append(out, x)
	}
	return out
}
