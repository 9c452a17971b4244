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
func joinCallers(ctx context.Context, opt *Options, target *Target, shipped *shippedCode, change *change, objects *compiled, units []*analyze.Unit, say *journal) ([]*analyze.Unit, error) {
	in := join.Input{Units: slices.Clone(units), Shipped: shipped, Lost: map[join.Caller]bool{}, LookOnly: opt.NoAutoCallers}
	home := &homes{tree: change.tree, objects: objects, target: target}
	brought := func() []*analyze.Unit { return in.Units[len(units):] }
	for {
		d, err := join.Decide(in)
		if err != nil {
			return brought(), err
		}
		if len(d.Wanted) == 0 {
			target.apply(d, say)
			return brought(), nil
		}
		for _, c := range d.Wanted {
			u, err := home.find(ctx, c, brought())
			switch {
			case err != nil:
				return brought(), err
			case u == nil:
				in.Lost[c] = true
			case !slices.Contains(in.Units, u):
				in.Units = append(in.Units, u)
				say.res.Units = append(say.res.Units, u.Object)
			}
		}
	}
}

// apply writes a decision into its units, and judges those that join by the shipped code.
func (t *Target) apply(d *join.Decision, say *journal) {
	for _, g := range d.Gone {
		say.note("%s calls %s, but only while booting, loading or unloading; it does not join", g.Caller, g.Callee)
	}
	judge := t.judge()
	for _, j := range d.Joins {
		u, ch := j.Unit, j.Change()
		u.Replace = append(u.Replace, ch)
		if u.Joined == nil {
			u.Joined = map[elfdiff.AtomID][]string{}
		}
		u.Joined[j.Orig] = j.Because
		say.about(u, judge.Function(u.Diff, u.Place, ch)...)
	}
	for f, outside := range d.Outside {
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
func (h *homes) find(ctx context.Context, c join.Caller, brought []*analyze.Unit) (*analyze.Unit, error) {
	for _, u := range brought {
		if _, ok := join.Holds(u, c); ok {
			return u, nil
		}
	}
	for _, p := range h.objects.unchanged {
		if !slices.Contains(p.owners, c.Owner) {
			continue
		}
		u, err := h.unit(p, c.Owner)
		if err != nil {
			return nil, err
		}
		if _, ok := join.Holds(u, c); ok {
			return u, nil
		}
	}
	if h.objects.work == nil {
		return nil, nil
	}

	names, err := h.tree.Defining(c.Name, c.Owner, maxCandidates)
	if err != nil || len(names) == 0 {
		return nil, err
	}
	built, err := h.objects.work.Before(ctx, names)
	if err != nil {
		return nil, fmt.Errorf("compile files that may hold %s: %w", c.Name, err)
	}
	for i, object := range names {
		owner, err := h.tree.Owner(object)
		if err != nil {
			return nil, err
		}
		p := &pair{object: object, owners: owner.Names(), before: built[i], after: built[i]}
		u, err := h.unit(p, c.Owner)
		if err != nil {
			return nil, err
		}
		if _, ok := join.Holds(u, c); ok {
			h.objects.shared[object] = len(p.owners)
			return u, nil
		}
	}
	return nil, nil
}

// unit compares an unchanged object with itself, and finds it in the shipped code.
func (h *homes) unit(p *pair, owner string) (*analyze.Unit, error) {
	if u := h.looked[p]; u != nil && u.Owner == owner {
		return u, nil
	}
	d, err := p.unchanged()
	if err != nil {
		return nil, err
	}
	u := p.unit(owner, d)
	if err := h.target.place(u); err != nil {
		return nil, err
	}
	if h.looked == nil {
		h.looked = map[*pair]*analyze.Unit{}
	}
	h.looked[p] = u
	return u, nil
}
