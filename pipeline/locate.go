package pipeline

import (
	"context"
	"fmt"
	"slices"

	"github.com/klpforge/klpforge/analyze"
	"github.com/klpforge/klpforge/elfdiff"
	"github.com/klpforge/klpforge/elfobj"
	"github.com/klpforge/klpforge/locate"
)

// present leaves out units of objects that the target lacks; a check names them.
func (t *Target) present(units []*analyze.Unit) []*analyze.Unit {
	return slices.DeleteFunc(slices.Clone(units), func(u *analyze.Unit) bool { return !t.HasObject(u.Owner) })
}

// locate finds the units in the shipped kernel, and which of their functions have to be
// replaced.
func (t *Target) locate(ctx context.Context, objects *compiled, units []*analyze.Unit, say *journal) error {
	judge := t.judge()
	for _, unit := range units {
		if err := t.place(ctx, objects, unit); err != nil {
			return err
		}
		say.about(unit, unit.Diff.Problems...)
		replace, found := judge.Replaceable(unit.Diff, unit.Place)
		unit.Replace = replace
		say.about(unit, found...)
	}
	return nil
}

// place finds a unit in the shipped object of its owner. Where code depends on sections, what is not
// found is looked for by the object as the kernel's own build makes it.
func (t *Target) place(ctx context.Context, objects *compiled, unit *analyze.Unit) error {
	view, err := t.View(unit.Owner)
	if err != nil {
		return err
	}
	orig := unit.Diff.Orig
	unit.Place = locate.Find(orig, view)
	if len(unit.Place.Miss) == 0 || !t.vmlinux.Image.Arch.SharesAddresses || unit.New || objects.work == nil {
		return nil
	}
	built, err := objects.work.AsShipped(ctx, []string{unit.Object})
	if err != nil {
		return fmt.Errorf("compile %s as the kernel's build does: %w", unit.Object, err)
	}
	file, err := elfobj.ReadFile(built[0].Path)
	if err != nil {
		return fmt.Errorf("object as the kernel's build makes it: %w", err)
	}
	whole, err := elfdiff.Load(file)
	if err != nil {
		return fmt.Errorf("read %s: %w", unit.Object, err)
	}
	unit.Place = locate.FindWhole(orig, whole, view)
	return nil
}

// judge judges functions by this target.
func (t *Target) judge() *locate.Judge {
	return &locate.Judge{Release: t.Release(), Traceable: t.traceableAt, Untraced: t.trace.Why,
		Callers: func(p locate.Place) []string { return t.callers(p.Addr) }}
}
