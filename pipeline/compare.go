package pipeline

import (
	"bytes"
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

// comparison is what came out of a pair.
type comparison struct {
	// diff is nil when both sides have the same code: then nothing of the pair is kept, as
	// an update compares thousands of them.
	diff *elfdiff.Result
	// versions are those of exported symbols that the objects themselves have, before and after.
	versions [2]map[string]uint32
}

// compare diffs all pairs of objects, several at a time, and makes a unit of each pair
// that differs for each of its owners. The others are told in the result.
func compare(ctx context.Context, opt *Options, objects *compiled, change *change,
	say *journal) ([]*analyze.Unit, error) {
	compared := make([]comparison, len(objects.pairs))
	group, _ := errgroup.WithContext(ctx)
	group.SetLimit(max(opt.Jobs, runtime.NumCPU()))
	for i, p := range objects.pairs {
		group.Go(func() (err error) {
			compared[i], err = p.compare()
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
			after[i], err = versionsAfter(versioned, objects.work, objs, &compared[i])
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, compileFault(err, say)
	}
	var units []*analyze.Unit
	for i, objs := range objects.pairs {
		first := objs.unit(objs.owners[0], compared[i].diff)
		if compared[i].diff == nil {
			say.res.Same = append(say.res.Same, first)
		} else {
			units = append(units, first)
			for _, owner := range objs.owners[1:] {
				units = append(units, first.ForOwner(owner))
			}
		}
		if after[i] != nil {
			say.about(first, kbuild.CheckCRCs(versionsBefore(objs, &compared[i]), after[i], change.addsInclude())...)
		}
	}
	return units, nil
}

// compare compares the pair. Debug information, which is most of an object, stays in the
// files: few pairs are asked for their types.
func (p *pair) compare() (comparison, error) {
	patched, err := elfobj.ReadCode(p.after.Path)
	if err != nil {
		return comparison{}, fmt.Errorf("object after the patch: %w", err)
	}
	orig := &elfobj.File{Machine: patched.Machine, Type: patched.Type, BigEndian: patched.BigEndian,
		Sections: make([]elfobj.Section, 1), Symbols: make([]elfobj.Symbol, 1)}
	if !p.isNew {
		if orig, err = elfobj.ReadCode(p.before.Path); err != nil {
			return comparison{}, fmt.Errorf("object before the patch: %w", err)
		}
	}
	out := comparison{versions: [2]map[string]uint32{objectVersions(orig), objectVersions(patched)}}
	if !p.isNew && sameObject(orig, patched) {
		return out, nil
	}
	if out.diff, err = elfdiff.Diff(orig, patched); err != nil {
		return comparison{}, fmt.Errorf("compare %s: %w", p.object, err)
	}
	return out, nil
}

// sameObject compares two objects but for what describes them to a debugger: lines that
// move change it, and no code.
func sameObject(before, after *elfobj.File) bool {
	return before.Flags == after.Flags && slices.Equal(before.Symbols, after.Symbols) &&
		slices.EqualFunc(before.Sections, after.Sections, sameSection)
}

func sameSection(old, newer elfobj.Section) bool {
	if old.Name != newer.Name || old.Flags != newer.Flags || old.Type != newer.Type {
		return false
	}
	return old.Debug() || old.Align == newer.Align && old.EntSize == newer.EntSize && old.Size == newer.Size &&
		old.Link == newer.Link && old.Group == newer.Group && old.GroupFlag == newer.GroupFlag &&
		slices.Equal(old.Members, newer.Members) && bytes.Equal(old.Data, newer.Data) &&
		slices.Equal(old.Relocs, newer.Relocs)
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

// unit is the pair for one owner, compared; diff is nil when it has the same code on both sides.
func (p *pair) unit(owner string, diff *elfdiff.Result) *analyze.Unit {
	return &analyze.Unit{Object: p.object, Owner: owner, Source: p.after.Source, New: p.isNew,
		Configs: slices.Concat(p.before.Configs, p.after.Configs), Deps: p.after.Deps, Diff: diff}
}

// versionsBefore are the versions of exported symbols before the patches.
func versionsBefore(objects *pair, compared *comparison) map[string]uint32 {
	if inObject := compared.versions[0]; len(inObject) > 0 {
		return inObject
	}
	return objects.before.CRCs
}

// versionsAfter are those after the patches, nil where none are to be compared. They are in the
// object, or come from the private tree, or for a module outside of the kernel's tree from its own
// build.
func versionsAfter(ctx context.Context, work *kbuild.Work, objects *pair, compared *comparison) (map[string]uint32,
	error) {
	switch {
	case objects.isNew || len(versionsBefore(objects, compared)) == 0:
		return nil, nil
	case len(compared.versions[0]) > 0:
		return compared.versions[1], nil
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
