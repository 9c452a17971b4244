package selection

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/klpforge/klpforge/finding"
	"github.com/klpforge/klpforge/kbuild"
	"github.com/klpforge/klpforge/patchset"
	"github.com/klpforge/klpforge/pipeline"
)

// Reviewer reviews a part of an update.
type Reviewer interface {
	// Review compiles and checks the target's source with these changes. Where only is not
	// nil, it looks at these object files alone. An error is one of the environment.
	Review(ctx context.Context, changes []patchset.TextChange, only map[string]bool) (*Review, error)
}

// Review is what a review found.
type Review struct {
	Faults  []Fault
	Objects []Object
	Funcs   []Function // that the livepatch would replace
	// Notes are findings that stop nothing, by severity.
	Notes []finding.Finding
	// Compiled are the objects that were compiled or taken from the cache; where a review is of
	// a part, nothing else of it is known.
	Compiled int
	Seconds  float64
	// Compile is the pure time of the compilations.
	Compile float64
}

// Object is an object file that was compared.
type Object struct {
	Name, Source string
	Reads        []string // files that it is compiled from
}

// Function is one that the livepatch replaces.
type Function struct {
	Object, Unit, Name string
}

// Fault is what forbids a livepatch: a finding, or an object that does not compile.
type Fault struct {
	Finding *finding.Finding // nil for a compile error
	Object  string           // object file; may be empty
	// Errors are the compiler's.
	Errors []kbuild.Diagnostic
	// Other is what stands against the whole, in words; "" for all other faults.
	Other string
	// everything: a review of the object shows it only where all of the update is in the source.
	everything bool
}

// Text is the fault in one line.
func (f *Fault) Text() string {
	switch {
	case f.Finding != nil:
		return f.Finding.Line()
	case f.Other != "":
		return f.Other
	case len(f.Errors) > 0:
		diagnostic := f.Errors[0]
		return fmt.Sprintf("%s does not compile: %s:%d: %s", f.Object, diagnostic.File, diagnostic.Line,
			diagnostic.Message)
	}
	return f.Object + " does not compile"
}

// ID is the finding's, "" for a compile error.
func (f *Fault) ID() finding.ID {
	if f.Finding == nil {
		return ""
	}
	return f.Finding.ID
}

// same reports whether two faults are one: the same finding about the same thing.
func (f *Fault) same(o *Fault) bool {
	if f.Finding == nil || o.Finding == nil {
		return f.Finding == nil && o.Finding == nil && f.Object == o.Object && f.Other == o.Other
	}
	return f.Finding.ID == o.Finding.ID && f.Finding.Symbol == o.Finding.Symbol && f.Finding.Unit == o.Finding.Unit &&
		f.Finding.Object == o.Finding.Object
}

// Pipeline reviews with package pipeline.
type Pipeline struct {
	Options pipeline.Options // kernel and toolchain
	// KeepStalling leaves functions in on whose frames tasks sleep without end.
	KeepStalling bool
}

// Review implements Reviewer.
func (p *Pipeline) Review(ctx context.Context, changes []patchset.TextChange, only map[string]bool) (*Review, error) {
	patch, err := patchset.FromTexts("update", "", changes)
	if err != nil {
		return nil, err
	}
	opt := p.Options
	opt.Series, opt.Only = &patchset.Series{Patches: []*patchset.Patch{patch}}, only
	opt.DiffOnly, opt.KeepGoing, opt.KeepAfter = true, true, true
	opt.Name = "selection"
	res, err := pipeline.Run(ctx, opt)
	return p.read(res, err)
}

// read makes a review of what the pipeline said.
func (p *Pipeline) read(res *pipeline.Result, err error) (*Review, error) {
	out := &Review{Compile: res.CompileSeconds, Compiled: len(res.Units)}
	for _, stage := range res.Stages {
		out.Seconds += stage.Seconds
	}

	// A refusal is a fault of the update, which the findings tell. What the machine lacks is an error.
	var refusal *pipeline.Refusal
	var broken *kbuild.CompileError
	var generated *kbuild.GeneratedChangedError
	switch {
	case err == nil, errors.As(err, &refusal), errors.Is(err, pipeline.ErrNothing):
	case errors.As(err, &generated):
		out.Faults = append(out.Faults, Fault{Other: generated.Error()})
	case errors.As(err, &broken) && kbuild.SourceFault(err):
		out.Faults = append(out.Faults, brokenObject(broken))
	default:
		return nil, err
	}

	// What the author has accepted is no fault; that tasks sleep on a frame is one unless asked for.
	for i := range res.Problems {
		found := &res.Problems[i]
		switch {
		case found.Allowed != "":
		case found.Severity == finding.Error, !p.KeepStalling && stalls(found):
			out.Faults = append(out.Faults, Fault{Finding: found, Object: found.Unit})
		default:
			out.Notes = append(out.Notes, *found)
		}
	}
	for _, failed := range res.Broken {
		out.Faults = append(out.Faults, brokenObject(failed))
	}

	// Objects and functions tell later which slices a fault may be of.
	if res.Analysis != nil {
		for _, unit := range slices.Concat(res.Analysis.Units, res.Same) {
			out.Objects = append(out.Objects, Object{unit.Object, unit.Source, unit.Deps})
		}
	}
	for _, object := range res.Plan.Objects {
		for _, function := range object.Funcs {
			out.Funcs = append(out.Funcs, Function{object.Name, function.Unit, function.Name})
		}
	}
	return out, nil
}

// stalls reports whether a finding predicts that the transition does not end by itself.
func stalls(f *finding.Finding) bool {
	switch f.ID {
	case finding.IDSleepers, finding.IDEndlessLoop, finding.IDIdle:
		return f.Severity >= finding.Warning
	}
	return false
}

func brokenObject(e *kbuild.CompileError) Fault {
	return Fault{Object: e.Object, Errors: e.Diagnostics()}
}

// named are the names that a compiler's message quotes.
func named(d *kbuild.Diagnostic) map[string]bool {
	out := map[string]bool{}
	for _, name := range d.Names {
		out[name] = true
	}
	return out
}
