package pipeline

import (
	"context"
	"fmt"
	"slices"

	"github.com/klpforge/klpforge/analyze"
	"github.com/klpforge/klpforge/analyze/join"
	"github.com/klpforge/klpforge/elfdiff"
	"github.com/klpforge/klpforge/kbuild"
)

// joinCallers puts functions on the list whose own code stays as it is, because what
// they call takes or releases other locks than before (KLP201). It returns the units
// that had to be brought in for it, also with an error. With NoAutoCallers it only looks
// who they are.
func joinCallers(ctx context.Context, opt *Options, target *Target, shipped *shippedCode, change *change,
	objects *compiled, units []*analyze.Unit, say *journal) ([]*analyze.Unit, error) {
	in := join.Input{Units: slices.Clone(units), Shipped: shipped, Lost: map[join.Caller]bool{},
		LookOnly: opt.NoAutoCallers}
	home := &homes{tree: change.tree, objects: objects, target: target}
	brought := func() []*analyze.Unit { return in.Units[len(units):] }
	for {
		decision, err := join.Decide(in)
		if err != nil {
			return brought(), err
		}
		if len(decision.Wanted) == 0 {
			target.apply(decision, say)
			return brought(), nil
		}
		for _, caller := range decision.Wanted {
			unit, err := home.find(ctx, caller, brought())
			switch {
			case err != nil:
				return brought(), err
			case unit == nil:
				in.Lost[caller] = true
			case !slices.Contains(in.Units, unit):
				in.Units = append(in.Units, unit)
				say.res.Units = append(say.res.Units, unit.Object)
			}
		}
	}
}

// apply writes a decision into its units, and judges those that join by the shipped code.
func (t *Target) apply(decision *join.Decision, say *journal) {
	for _, g := range decision.Gone {
		say.note("%s calls %s, but only while booting, loading or unloading; it does not join", g.Caller, g.Callee)
	}
	judge := t.judge()
	for _, joined := range decision.Joins {
		unit, ch := joined.Unit, joined.Change()
		unit.Replace = append(unit.Replace, ch)
		if unit.Joined == nil {
			unit.Joined = map[elfdiff.AtomID][]string{}
		}
		unit.Joined[joined.Orig] = joined.Because
		found := judge.Function(unit.Diff, unit.Place, ch)
		for i := range found {
			// Why it is replaced at all, and for whom.
			found[i].Evidence = append(found[i].Evidence, ch.Reasons...)
			found[i].Who = append(found[i].Who, joined.Because...)
		}
		say.about(unit, found...)
	}
	for f, outside := range decision.Outside {
		if f.Unit.Outside == nil {
			f.Unit.Outside = map[elfdiff.AtomID]analyze.Outside{}
		}
		f.Unit.Outside[f.Orig] = outside
	}
}

// homes finds the object files that callers are in.
type homes struct {
	tree    *kbuild.Tree
	objects *compiled
	target  *Target
	looked  map[*pair]*analyze.Unit // unchanged objects that were compared
}

// maxCandidates bounds how many source files are compiled to find one caller.
const maxCandidates = 8

// find gives the unit of a shipped caller: one that was brought in for another, or one of
// an object that the module's build left unchanged, or of a source file that seems to
// define it, compiled. It is nil when none has the caller at the shipped place, or that
// is not certain.
func (h *homes) find(ctx context.Context, caller join.Caller, brought []*analyze.Unit) (*analyze.Unit, error) {
	// What is compiled already is asked first: the changed units, then those that stayed as they
	// were.
	for _, u := range brought {
		if _, ok := join.Holds(u, caller); ok {
			return u, nil
		}
	}
	for _, p := range h.objects.unchanged {
		if !slices.Contains(p.owners, caller.Owner) {
			continue
		}
		u, err := h.unit(ctx, p, caller.Owner)
		if err != nil {
			return nil, err
		}
		if _, ok := join.Holds(u, caller); ok {
			return u, nil
		}
	}
	if h.objects.work == nil {
		return nil, nil
	}

	// Then every file that may define it: several can have a static function of that name.
	names, err := h.tree.Defining(caller.Name, caller.Owner, maxCandidates)
	if err != nil || len(names) == 0 {
		return nil, err
	}
	built, err := h.objects.work.Before(ctx, names)
	if err != nil {
		return nil, fmt.Errorf("compile files that may hold %s: %w", caller.Name, err)
	}
	for i, object := range names {
		owner, err := h.tree.Owner(object)
		if err != nil {
			return nil, err
		}
		objects := &pair{object: object, owners: owner.Names(), before: built[i], after: built[i]}
		unit, err := h.unit(ctx, objects, caller.Owner)
		if err != nil {
			return nil, err
		}
		if _, ok := join.Holds(unit, caller); ok {
			h.objects.shared[object] = len(objects.owners)
			return unit, nil
		}
	}
	return nil, nil
}

// unit compares an unchanged object with itself, and finds it in the shipped code.
func (h *homes) unit(ctx context.Context, objects *pair, owner string) (*analyze.Unit, error) {
	if u := h.looked[objects]; u != nil && u.Owner == owner {
		return u, nil
	}
	d, err := objects.unchanged()
	if err != nil {
		return nil, err
	}
	unit := objects.unit(owner, d)
	if err := h.target.place(ctx, h.objects, unit); err != nil {
		return nil, err
	}
	if h.looked == nil {
		h.looked = map[*pair]*analyze.Unit{}
	}
	h.looked[objects] = unit
	return unit, nil
}
