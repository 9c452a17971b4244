package pipeline

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/klpforge/klpforge/analyze"
	"github.com/klpforge/klpforge/elfdiff"
	"github.com/klpforge/klpforge/elfobj"
	"github.com/klpforge/klpforge/kbuild"
)

// compare diffs all pairs of objects, several at a time, and makes a unit of each pair
// for each of its owners.
func compare(ctx context.Context, opt *Options, objects *compiled, change *change,
	say *journal) ([]*analyze.Unit, error) {
	diffs := make([]*elfdiff.Result, len(objects.pairs))
	group, _ := errgroup.WithContext(ctx)
	group.SetLimit(max(opt.Jobs, runtime.NumCPU()))
	for i, p := range objects.pairs {
		group.Go(func() (err error) {
			diffs[i], err = p.diff()
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}

	// Versions are computed by programs, several at a time; what they say is told in the order of the objects.
	after := make([]map[string]uint32, len(objects.pairs))
	group, versioned := errgroup.WithContext(ctx)
	group.SetLimit(max(opt.Jobs, runtime.NumCPU()))
	for i, objs := range objects.pairs {
		group.Go(func() (err error) {
			after[i], err = versionsAfter(versioned, objects.work, objs, diffs[i])
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, compileFault(err, say)
	}
	var units []*analyze.Unit
	for i, objs := range objects.pairs {
		first := objs.unit(objs.owners[0], diffs[i])
		units = append(units, first)
		for _, owner := range objs.owners[1:] {
			units = append(units, first.ForOwner(owner))
		}
		if after[i] != nil {
			say.about(first, kbuild.CheckCRCs(versionsBefore(objs, diffs[i]), after[i], change.addsInclude())...)
		}
	}
	return units, nil
}

// diff compares the pair. Debug information, which is most of an object, stays in the files: an
// update compares thousands of pairs, and asks for the types of few.
func (p *pair) diff() (*elfdiff.Result, error) {
	patched, err := elfobj.ReadCode(p.after.Path)
	if err != nil {
		return nil, fmt.Errorf("object after the patch: %w", err)
	}
	orig := &elfobj.File{Machine: patched.Machine, Type: patched.Type, BigEndian: patched.BigEndian,
		Sections: make([]elfobj.Section, 1), Symbols: make([]elfobj.Symbol, 1)}
	if !p.isNew {
		if orig, err = elfobj.ReadCode(p.before.Path); err != nil {
			return nil, fmt.Errorf("object before the patch: %w", err)
		}
	}
	d, err := elfdiff.Diff(orig, patched)
	if err != nil {
		return nil, fmt.Errorf("compare %s: %w", p.object, err)
	}
	return d, nil
}

// unchanged compares the object before the patches with itself, which correlates its
// functions.
func (p *pair) unchanged() (*elfdiff.Result, error) {
	f, err := elfobj.ReadCode(p.before.Path)
	if err != nil {
		return nil, fmt.Errorf("object of a caller: %w", err)
	}
	d, err := elfdiff.Diff(f, f)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", p.object, err)
	}
	return d, nil
}

// unit is the pair for one owner, compared.
func (p *pair) unit(owner string, d *elfdiff.Result) *analyze.Unit {
	return &analyze.Unit{Object: p.object, Owner: owner, Source: p.after.Source, New: p.isNew,
		Configs: slices.Concat(p.before.Configs, p.after.Configs), Deps: p.after.Deps, Diff: d}
}

// versionsBefore are the versions of exported symbols before the patches.
func versionsBefore(objects *pair, diff *elfdiff.Result) map[string]uint32 {
	if inObject := objectVersions(diff.Orig.File); len(inObject) > 0 {
		return inObject
	}
	return objects.before.CRCs
}

// versionsAfter are those after the patches, nil where none are to be compared. They are in the
// object, or come from the private tree, or for a module outside of the kernel's tree from its own
// build.
func versionsAfter(ctx context.Context, work *kbuild.Work, objects *pair, diff *elfdiff.Result) (map[string]uint32, error) {
	switch {
	case objects.isNew || len(versionsBefore(objects, diff)) == 0:
		return nil, nil
	case len(objectVersions(diff.Orig.File)) > 0:
		return objectVersions(diff.Patched.File), nil
	case work != nil:
		return work.SymbolCRCs(ctx, objects.object)
	}
	return objects.after.CRCs, nil
}

// objectVersions are the versions of exported symbols in an object that has them: in v5.10
// genksyms gives them to the linker as the values of symbols, in v6.1 no object has them
// (cmd_modversions_c, scripts/Makefile.build).
func objectVersions(f *elfobj.File) map[string]uint32 {
	out := map[string]uint32{}
	for _, s := range f.Symbols {
		if name, ok := strings.CutPrefix(s.Name, "__crc_"); ok && s.Sec == elfobj.SecAbs {
			out[name] = uint32(s.Value)
		}
	}
	return out
}
