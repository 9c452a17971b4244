package pipeline

import (
	"slices"

	"github.com/klpforge/klpforge/analyze"
	"github.com/klpforge/klpforge/locate"
)

// present leaves out units of objects that the target lacks; a check names them.
func (t *Target) present(units []*analyze.Unit) []*analyze.Unit {
	return slices.DeleteFunc(slices.Clone(units), func(u *analyze.Unit) bool { return !t.HasObject(u.Owner) })
}

// locate finds the units in the shipped kernel, and which of their functions have to be
// replaced.
func (t *Target) locate(units []*analyze.Unit, say *journal) error {
	judge := t.judge()
	for _, unit := range units {
		if err := t.place(unit); err != nil {
			return err
		}
		say.about(unit, unit.Diff.Problems...)
		replace, found := judge.Replaceable(unit.Diff, unit.Place)
		unit.Replace = replace
		say.about(unit, found...)
	}
	return nil
}

// place finds a unit in the shipped object of its owner.
func (t *Target) place(u *analyze.Unit) error {
	view, err := t.View(u.Owner)
	if err != nil {
		return err
	}
	u.Place = locate.Find(u.Diff.Orig, view)
	return nil
}

// judge judges functions by this target.
func (t *Target) judge() *locate.Judge {
	return &locate.Judge{Release: t.Release(), Traceable: t.traceableAt, Untraced: t.trace.Why,
		Callers: func(p locate.Place) []string { return t.callers(p.Addr) }}
}
