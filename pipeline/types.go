package pipeline

import (
	"context"
	"fmt"
	"slices"

	"github.com/klpforge/klpforge/analyze"
	"github.com/klpforge/klpforge/analyze/typecheck"
	"github.com/klpforge/klpforge/analyze/types"
	"github.com/klpforge/klpforge/elfobj"
)

// compareTypes reads the types of the units before and after, when the patches touch
// definitions of types, and compares those of the code that travels with the target's.
// Reading takes some milliseconds for an object, and types seldom change.
func compareTypes(ctx context.Context, target *Target, change *change, objects *compiled, units []*analyze.Unit,
	say *journal) {
	if slices.ContainsFunc(change.files, func(f analyze.File) bool { return f.TouchesTypes() }) {
		say.enter("compare types")
		readTypes(units)
	}

	say.enter("compare types with the target's")
	for _, unit := range units {
		if unit.Travels == nil {
			continue
		}
		unit.Target = unit.CompareTypes(analyze.TargetTypes{
			Source:  func() (typecheck.Source, error) { return target.Types(unit.Owner) },
			Text:    func() (*typecheck.Text, error) { return objects.text(ctx, unit.Object) },
			Other:   func() (*typecheck.Text, *analyze.OtherHeaders) { return objects.otherText(ctx, unit.Object) },
			Unique:  func(fn string) bool { return target.uniqueFunc(unit.Owner, fn) },
			Headers: change.tree.Warnings,
		})
	}
	say.res.Plan.Types = analyze.RecordTypes(units)
}

// readTypes compares the types of the units that replace something, once for each object.
func readTypes(units []*analyze.Unit) {
	read := map[string]*analyze.Unit{}
	for _, unit := range units {
		if unit.New || len(unit.Replace) == 0 {
			continue
		}
		if same := read[unit.Object]; same != nil {
			unit.Types, unit.TypesErr = same.Types, same.TypesErr
			continue
		}
		read[unit.Object] = unit
		var sides [2]*types.Info
		for side, f := range []*elfobj.File{unit.Diff.Orig.File, unit.Diff.Patched.File} {
			if sides[side], unit.TypesErr = types.Read(f); unit.TypesErr != nil {
				break
			}
		}
		if unit.TypesErr == nil {
			unit.Types = types.Differ(sides[0], sides[1])
		}
	}
}

// text is what the compiler sees of a patched object; nil when it cannot be had: modules
// outside of the tree are compiled by their own makefiles.
func (c *compiled) text(ctx context.Context, object string) (*typecheck.Text, error) {
	if c.work == nil {
		return nil, nil
	}
	text, err := c.work.Text(ctx, object)
	if err != nil {
		return nil, fmt.Errorf("read the text of %s: %w", object, err)
	}
	return typecheck.ReadText(text), nil
}

// otherText is what the compiler would see with the target's headers in place of those of
// the source that differ; nil when none does.
func (c *compiled) otherText(ctx context.Context, object string) (*typecheck.Text, *analyze.OtherHeaders) {
	if c.work == nil {
		return nil, nil
	}
	text, err := c.work.TargetText(ctx, object)
	switch {
	case err != nil:
		return nil, &analyze.OtherHeaders{Err: err}
	case text == nil || len(text.Headers)+len(text.Changed) == 0:
		return nil, nil
	}
	return typecheck.ReadText(text.Text), &analyze.OtherHeaders{Headers: text.Headers, Changed: text.Changed}
}

// compareConfig compares the configuration of the prepared tree with the target's own,
// when another one was given by hand. Without one, kbuild has compared them.
func compareConfig(target *Target, change *change, units []*analyze.Unit, say *journal) ([]analyze.ConfigDiff, error) {
	if !target.K.ConfigGiven() {
		return nil, nil
	}
	text, from, err := target.K.OwnConfig()
	if err != nil {
		return nil, err
	}
	if text == nil {
		say.note("the configuration that was given cannot be compared: the target comes with none, in its image or " +
			"beside it")
		return nil, nil
	}
	diffs, err := change.tree.DiffConfig(from, text)
	if err != nil {
		return nil, err
	}
	var out []analyze.ConfigDiff
	for _, d := range diffs {
		if !d.Expected {
			out = append(out, analyze.ConfigDiff{Name: d.Name, Tree: d.Got, Target: d.Want, From: from,
				Reaches: analyze.Reached(d.Name, units, change.files)})
		}
	}
	return out, nil
}
