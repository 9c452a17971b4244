package pipeline

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/klpforge/klpforge/analyze"
	"github.com/klpforge/klpforge/elfdiff"
	"github.com/klpforge/klpforge/elfobj"
	"github.com/klpforge/klpforge/finding"
	"github.com/klpforge/klpforge/generate"
	"github.com/klpforge/klpforge/kbuild"
	"github.com/klpforge/klpforge/locate"
)

// extraction is what was cut out of all units.
type extraction struct {
	cuts       []*cut
	namespaces map[string]bool // symbol namespaces of the exports that the code uses
}

// cut is what was cut out of one unit.
type cut struct {
	unit *analyze.Unit
	name string // of the object in the module's directory
	// diff has the patched atoms that functions and symbols are about: unit.Diff, or the
	// comparison with another build.
	diff      *elfdiff.Result
	functions []elfdiff.AtomID // those of unit.Replace, in its order
	symbols   map[elfdiff.AtomID]string
	file      *elfobj.File
	object    []byte   // file, written
	newFuncs  []string // new functions and variables that the module carries
	newData   []string
}

// units are the prebuilt objects of the module.
func (x *extraction) units() []generate.Unit {
	var out []generate.Unit
	for _, c := range x.cuts {
		out = append(out, generate.Unit{Name: c.name, Object: c.object})
	}
	return out
}

// thisPatch is the variable through which patched sources reach the struct
// klp_patch of the livepatch that they become part of, for klp_get_state().
const thisPatch = "klpforge_patch"

// extract cuts every unit. What stops one is a finding, so that those of all units are
// told.
func extract(ctx context.Context, target *Target, change *change, objects *compiled, units []*analyze.Unit,
	say *journal) (*extraction, error) {
	out := &extraction{namespaces: map[string]bool{}}
	provided := wanted(units)
	provided[thisPatch] = true
	for _, u := range units {
		piece, err := cutUnit(ctx, target, change, objects, u, provided, out.namespaces, say)
		if err != nil {
			return nil, err
		}
		if piece == nil {
			continue
		}
		out.cuts = append(out.cuts, piece)
		say.res.NewFuncs = append(say.res.NewFuncs, piece.newFuncs...)
		say.res.NewData = append(say.res.NewData, piece.newData...)
	}
	return out, nil
}

// wanted lists the new globals of all units that another unit refers to.
func wanted(units []*analyze.Unit) map[string]bool {
	defined := map[string]bool{}
	for _, u := range units {
		for _, n := range u.Diff.NewGlobals() {
			defined[n] = true
		}
	}
	need := map[string]bool{}
	for _, u := range units {
		for i := range u.Diff.Patched.File.Symbols {
			s := &u.Diff.Patched.File.Symbols[i]
			if s.Sec == elfobj.SecUndef && defined[s.Name] {
				need[s.Name] = true
			}
		}
	}
	return need
}

// cutUnit cuts one unit; nil when nothing of it travels, or a finding stops it.
// provided are the names of globals that the livepatch itself defines.
func cutUnit(ctx context.Context, target *Target, change *change, objects *compiled, unit *analyze.Unit, provided,
	namespaces map[string]bool, say *journal) (*cut, error) {
	piece := &cut{unit: unit, name: objects.name(unit), diff: unit.Diff}
	opt := elfdiff.ExtractOptions{Unit: piece.name, Object: unit.Owner,
		Resolve: names(ctx, target, change, unit, provided, namespaces).Resolve}
	for _, ch := range unit.Replace {
		opt.Functions = append(opt.Functions, ch.Patched)
	}

	// What nothing in the patch replaces must be asked for: new functions and data that others
	// use, and callbacks.
	newFuncs, newData := keepNew(&opt, unit, unit.Diff.Functions, provided), keepNew(&opt, unit, unit.Diff.Data,
		provided)
	for _, cb := range unit.Diff.Callbacks() {
		if !slices.Contains(opt.Keep, cb.Func) {
			opt.Keep = append(opt.Keep, cb.Func)
		}
	}
	say.about(unit, unit.Diff.IdleForce(unit.Replace)...)
	if len(opt.Functions)+len(opt.Keep) == 0 {
		return nil, nil
	}

	extracted, err := piece.extract(ctx, objects, opt)
	var stopped *finding.Finding
	switch {
	case errors.As(err, &stopped):
		say.about(unit, *stopped)
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("extract %s: %w", unit.Object, err)
	}
	say.about(unit, extracted.Problems...)
	piece.symbols, piece.file = extracted.NewSymbols, extracted.File
	piece.newFuncs, piece.newData = slices.Concat(newFuncs, extracted.NewFuncs), slices.Concat(newData,
		extracted.NewData)
	unit.Travels = unit.Travelling(piece.newFuncs, piece.newData)

	indirect, err := generate.CheckIndirect(extracted.File, target)
	if err != nil {
		return nil, err
	}
	say.about(unit, indirect...)
	if piece.object, err = extracted.File.Write(); err != nil {
		return nil, fmt.Errorf("write %s: %w", unit.Object, err)
	}
	return piece, nil
}

// keepNew has the new globals among changes travel that the livepatch provides to its
// other units, and names them.
func keepNew(opt *elfdiff.ExtractOptions, u *analyze.Unit, changes []elfdiff.Change,
	provided map[string]bool) (names []string) {
	for _, ch := range changes {
		if ch.Kind == elfdiff.New && !ch.Init && provided[ch.Name] && !u.Diff.Patched.Local(ch.Patched) {
			opt.Keep = append(opt.Keep, ch.Patched)
			names = append(names, ch.Name)
		}
	}
	return names
}

// names resolves what a unit refers to in the target.
func names(ctx context.Context, target *Target, change *change, u *analyze.Unit, provided,
	namespaces map[string]bool) *locate.Names {
	return &locate.Names{Orig: u.Diff.Orig, Place: u.Place, Vmlinux: target.vmlinux,
		Export:     target.export,
		Provided:   func(n string) bool { return provided[n] },
		Source:     func(n string) string { return change.tree.Unlisted(ctx, n) },
		Module:     target.View,
		Needs:      target.Needs,
		Namespaces: namespaces}
}

// extract cuts out of the ordinary build, or where a construct stops that which the
// object can be compiled without, out of another one. The error is a *finding.Finding
// when something stops it.
func (c *cut) extract(ctx context.Context, objects *compiled, opt elfdiff.ExtractOptions) (*elfdiff.Extracted, error) {
	c.functions = opt.Functions
	extracted, err := c.unit.Diff.Extract(opt)
	var first *finding.Finding
	if !errors.As(err, &first) {
		return extracted, err
	}

	// Avoid what stops it, one construct after the other. When that leads nowhere, what
	// stopped the ordinary build is told.
	stopped := first
	var variants []*kbuild.Variant
	var notes []finding.Finding
	for {
		variant := variantFor(elfdiff.Avoidable(stopped))
		if variant == nil || slices.Contains(variants, variant) {
			return nil, stopped
		}
		variants, notes = append(variants, variant), append(notes, elfdiff.Avoided(stopped))
		extracted, err = c.extractVaried(ctx, objects, opt, variants)
		switch {
		case err == nil && extracted == nil:
			return nil, first
		case err == nil:
			extracted.Problems = append(extracted.Problems, notes...)
			return extracted, nil
		case !errors.As(err, &stopped):
			return nil, err
		}
	}
}

// variantFor is the variant of the kernel's headers that avoids a construct.
func variantFor(c elfdiff.Construct) *kbuild.Variant {
	switch c {
	case elfdiff.StaticKey:
		return kbuild.StaticBranches
	case elfdiff.RuntimeConstant:
		return kbuild.RuntimeConstants
	}
	return nil
}

// extractVaried cuts out of a build with variants. Both results are nil when there is no
// such build, or it lacks a function.
func (c *cut) extractVaried(ctx context.Context, objects *compiled, opt elfdiff.ExtractOptions,
	variants []*kbuild.Variant) (*elfdiff.Extracted, error) {
	if objects.work == nil {
		return nil, nil
	}
	built, ok, err := objects.work.Varied(ctx, c.unit.Object, c.unit.New, variants)
	if err != nil || !ok {
		return nil, err
	}
	rebuilt, err := elfobj.ReadFile(built.Path)
	if err != nil {
		return nil, err
	}
	orig := make([]elfdiff.AtomID, len(c.unit.Replace))
	for i, ch := range c.unit.Replace {
		orig[i] = ch.Orig
	}
	other, functions, x, err := c.unit.Diff.ExtractFrom(rebuilt, orig, opt)
	if other != nil {
		c.diff, c.functions = other, functions
	}
	return x, err
}
