package build

import (
	"context"
	"fmt"
	"slices"

	"github.com/klpforge/klpforge/analyze/types"
	"github.com/klpforge/klpforge/elfobj"
	"github.com/klpforge/klpforge/kbuild"
	"github.com/klpforge/klpforge/patchset"
)

// maxDebug bounds the objects that are compiled for their types. A header that
// many include shows the same layouts in each.
const maxDebug = 8

// debugInfo compiles the units once more, with debug information, when the
// patches touch definitions of types. The objects of the other builds have none:
// it costs time, and types seldom change.
func (r *run) debugInfo(ctx context.Context, units []*unit, overlay *patchset.Overlay) error {
	touched := false
	for _, f := range files(overlay) {
		touched = touched || f.TouchesTypes()
	}
	var of []*unit
	var names []string
	for _, u := range units {
		if u.isNew || u.diff == nil || len(u.replace) == 0 || slices.Contains(names, u.object) {
			continue
		}
		of, names = append(of, u), append(names, u.object)
	}
	if !touched || len(of) == 0 {
		return nil
	}
	if len(of) > maxDebug {
		r.res.Notes = append(r.res.Notes, fmt.Sprintf("layouts of types are compared in %d of the %d objects that change", maxDebug, len(of)))
		of, names = of[:maxDebug], names[:maxDebug]
	}
	r.enter("compare types")
	before, after, done, err := r.compileDebug(ctx, names, overlay)
	if err != nil {
		return err
	}
	defer done()
	for i, u := range of {
		for side, path := range []string{before[i].Path, after[i].Path} {
			var f *elfobj.File
			if f, u.typesErr = elfobj.ReadFile(path); u.typesErr == nil {
				u.types[side], u.typesErr = types.Read(f)
			}
			if u.typesErr != nil {
				break
			}
		}
	}
	return nil
}

// compileDebug compiles objects before and after the patches, with debug
// information. done removes what was compiled.
func (r *run) compileDebug(ctx context.Context, names []string, overlay *patchset.Overlay) (before, after []kbuild.Built, done func() error, err error) {
	o := kbuild.WorkOptions{Debug: true, Jobs: r.opt.Jobs, Progress: r.opt.Progress, Trust: r.trusts() && len(r.withheld) > 0}
	var work privateTree
	var compile func(label string) ([]kbuild.Built, error)
	if r.external != nil {
		x, err := r.tree.External(ctx, r.opt.ExternalSource, o)
		if err != nil {
			return nil, nil, nil, err
		}
		work, done = x, x.Close
		compile = func(label string) ([]kbuild.Built, error) {
			all, err := x.Build(ctx, label)
			return pick(all, names), err
		}
	} else {
		w, err := r.tree.Work(ctx, o)
		if err != nil {
			return nil, nil, nil, err
		}
		work, done = w, w.Close
		compile = func(label string) ([]kbuild.Built, error) {
			if label == "before" {
				return w.Before(ctx, names)
			}
			return w.After(ctx, names)
		}
	}
	if before, err = compile("before"); err != nil {
		err = fmt.Errorf("compile the unpatched source with debug information: %w", err)
	} else if err = r.apply(work, overlay); err == nil {
		if after, err = compile("after"); err != nil {
			err = r.compileFault(err)
		}
	}
	if err != nil {
		done()
		return nil, nil, nil, err
	}
	return before, after, done, nil
}

// pick returns the named objects in the order of the names; the zero value stands
// for one that is not there.
func pick(all []kbuild.ExternalObject, names []string) []kbuild.Built {
	out := make([]kbuild.Built, len(names))
	for i, n := range names {
		for _, o := range all {
			if o.Object == n {
				out[i] = o.Built
			}
		}
	}
	return out
}
