package build

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/klpforge/klpforge/analyze"
	"github.com/klpforge/klpforge/analyze/model"
	"github.com/klpforge/klpforge/analyze/typecheck"
	"github.com/klpforge/klpforge/analyze/types"
	"github.com/klpforge/klpforge/elfobj"
	"github.com/klpforge/klpforge/kbuild"
	"github.com/klpforge/klpforge/plan"
)

// travels are the names of what a unit brings into the module.
type travels struct{ funcs, data []string }

// checkTypes compares the types of the units whose code travels with the target's,
// and records it in the plan.
func (r *run) checkTypes(ctx context.Context, work *kbuild.Work, units []*unit) {
	r.enter("compare types with the target's")
	checked := map[string][]string{}
	records := map[string]*plan.Types{}
	for _, u := range units {
		if u.travels == nil {
			continue
		}
		c := &analyze.TypeCheck{}
		u.target = c
		source, err := r.target.Types(u.owner)
		if err == nil {
			err = r.checkUnit(ctx, work, u, source)
		}
		if c.Err = err; err != nil {
			continue
		}
		rec := records[u.owner]
		if rec == nil {
			rec = &plan.Types{Object: u.owner}
			records[u.owner] = rec
		}
		if source == nil {
			continue
		}
		rec.Source, rec.Digest = source.Name(), source.Digest()
		rec.Absent += len(c.Report.Absent)
		checked[u.owner] = append(checked[u.owner], c.Report.Checked...)
	}
	for owner, rec := range records {
		names := checked[owner]
		slices.Sort(names)
		names = slices.Compact(names)
		if rec.Checked = len(names); rec.Checked > 0 {
			sum := sha256.Sum256([]byte(strings.Join(names, "\n")))
			rec.Names = hex.EncodeToString(sum[:])
		}
		r.res.Plan.Types = append(r.res.Plan.Types, *rec)
	}
}

// checkUnit compares one unit. Only when something differs is the unit's text read, to
// tell whether the code depends on it.
func (r *run) checkUnit(ctx context.Context, work *kbuild.Work, u *unit, source typecheck.Source) error {
	o, err := typecheck.ReadObject(u.diff.Patched.File)
	if err != nil {
		return err
	}
	if source == nil {
		return r.checkWithoutTypes(ctx, work, u, o)
	}
	if d, ok := source.(*typecheck.Image); ok {
		if err := d.Prefer(u.after.Source); err != nil {
			return err
		}
	}
	u.target.Source = source.Name()
	u.target.Report, err = typecheck.Check(o, source, func(fn string) bool { return r.target.uniqueFunc(u.owner, fn) }, u.typesBefore)
	if err != nil || len(u.target.Report.Mismatches) == 0 {
		return err
	}
	text, err := r.text(ctx, work, u)
	if err != nil {
		return err
	}
	typecheck.Judge(u.target.Report.Mismatches, text, o, u.travels.funcs, u.travels.data)
	return nil
}

// typesBefore reads the types of the unit before the patch; nil when it has none.
func (u *unit) typesBefore() (*typecheck.Object, error) {
	if u.isNew {
		return nil, nil
	}
	f, err := elfobj.ReadFile(u.before.Path)
	if err != nil {
		return nil, err
	}
	o, err := typecheck.ReadObject(f)
	if errors.Is(err, types.ErrNoDebug) {
		return nil, nil
	}
	return o, err
}

// text returns what the compiler sees of the patched unit; nil when it cannot be had:
// modules outside of the tree are compiled by their own makefiles.
func (r *run) text(ctx context.Context, work *kbuild.Work, u *unit) (*typecheck.Text, error) {
	if work == nil {
		return nil, nil
	}
	text, err := work.Text(ctx, u.object)
	if err != nil {
		return nil, fmt.Errorf("read the text of %s: %w", u.object, err)
	}
	return typecheck.ReadText(text), nil
}

// travelling lists what a unit's extracted object holds, by names of C.
func travelling(u *unit, newFuncs, newData []string) *travels {
	t := &travels{}
	for _, ch := range u.replace {
		t.funcs = append(t.funcs, cName(ch.Name))
	}
	for _, n := range newFuncs {
		t.funcs = append(t.funcs, cName(n))
	}
	for _, n := range newData {
		t.data = append(t.data, cName(n))
	}
	slices.Sort(t.funcs)
	t.funcs = slices.Compact(t.funcs)
	return t
}

// checkWithoutTypes lists the members that the unit's code can use, and those of them
// whose offsets shipped code of the same object has.
func (r *run) checkWithoutTypes(ctx context.Context, work *kbuild.Work, u *unit, o *typecheck.Object) error {
	text, err := r.text(ctx, work, u)
	if err != nil || text == nil {
		return err
	}
	members, complete := typecheck.Members(text, o, u.travels.funcs, u.travels.data)
	if !complete {
		members = append(members, "others: not all of the code was found in the preprocessed text")
	}
	u.target.Members, u.target.Headers = members, r.tree.Warnings
	old, err := u.typesBefore()
	if err != nil || old == nil {
		return err
	}
	p, err := model.FromObject(u.diff.Orig.File, model.ObjectOptions{Name: u.object})
	if err != nil {
		return err
	}
	shipped := map[string]bool{}
	for a := range u.place.Funcs {
		shipped[u.diff.Orig.Atoms[a].Name] = true
	}
	for _, m := range typecheck.Proofs(model.Build(p), old, func(fn string) bool { return shipped[fn] }) {
		if slices.Contains(members, m) {
			u.target.Proved = append(u.target.Proved, m)
		}
	}
	return nil
}
