package analyze

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/klpforge/klpforge/analyze/code"
	"github.com/klpforge/klpforge/analyze/machine"
	"github.com/klpforge/klpforge/analyze/typecheck"
	"github.com/klpforge/klpforge/analyze/types"
	"github.com/klpforge/klpforge/plan"
)

// TypeCheck is what comparing a unit's types with the target's brought.
type TypeCheck struct {
	Source string            // "vmlinux's BTF"; "" when the target has no types
	Digest string            // of what Source names, as typecheck.Source has it
	Report *typecheck.Report // nil without a Source
	Err    error             // the comparison failed
	// Without a Source, members that the code that travels can use, "struct inode.i_mode",
	// and those of them whose offset code of the same object shows that the target has
	// byte by byte, both sorted.
	Members, Proved []string
	// Headers are differences between the prepared tree's generated headers and the
	// target's, without a Source.
	Headers []string
	Other   *OtherHeaders // nil when all headers are the target's, or the target has none
}

// OtherHeaders is what the code that travels makes of headers that the target has
// otherwise.
type OtherHeaders struct {
	Headers []string // headers of the target that were read in their place
	Changed []string // headers that the patches change too, so that they were not
	Where   []typecheck.Otherwise
	Err     error // the target's could not be read in their place
}

// TargetTypes is what a unit's types are compared with.
type TargetTypes struct {
	// Source finds the target's types; it gives nil when the target has none.
	Source func() (typecheck.Source, error)
	// Text is what the compiler sees of the patched unit; nil when that cannot be had.
	// It is asked for only when code has to be looked at.
	Text func() (*typecheck.Text, error)
	// Other is the same with the target's headers in place of those of the source that
	// differ, with what they are; nil when none does. It may be nil.
	Other func() (*typecheck.Text, *OtherHeaders)
	// Unique reports whether one function alone has a name in the unit's reach, so that
	// a prototype which the target has under that name is its own.
	Unique func(function string) bool
	// Headers are differences between the generated headers of the prepared tree and of
	// the target.
	Headers []string
}

// CompareTypes compares the types of the unit, whose code travels, with the target's.
func (u *Unit) CompareTypes(in TargetTypes) *TypeCheck {
	check := &TypeCheck{}
	source, err := in.Source()
	if err == nil {
		err = u.compareTypes(check, source, in)
	}
	check.Err = err
	if in.Other != nil {
		check.Other = u.compareHeaders(in)
	}
	return check
}

// compareHeaders compares what the code that travels is made of with what the target's
// headers would make of it.
func (u *Unit) compareHeaders(in TargetTypes) *OtherHeaders {
	there, other := in.Other()
	if there == nil {
		return other
	}
	here, err := in.Text()
	if err != nil {
		other.Err = err
		return other
	}
	other.Where = here.Compare(there, u.Travels.Funcs, u.Travels.Data)
	return other
}

func (u *Unit) compareTypes(check *TypeCheck, source typecheck.Source, in TargetTypes) error {
	obj, err := typecheck.ReadObject(u.Diff.Patched.File)
	if err != nil {
		return err
	}
	if source == nil {
		return u.withoutTypes(check, obj, in)
	}
	if image, ok := source.(*typecheck.Image); ok {
		if err := image.Prefer(u.Source); err != nil {
			return err
		}
	}
	check.Source, check.Digest = source.Name(), source.Digest()
	check.Report, err = typecheck.Check(obj, source, in.Unique, u.typesBefore)
	if err != nil || len(check.Report.Mismatches) == 0 {
		return err
	}

	// Something differs: what does the code that travels make of it?
	text, err := in.Text()
	if err != nil {
		return err
	}
	typecheck.Judge(check.Report.Mismatches, text, obj, u.Travels.Funcs, u.Travels.Data)
	return nil
}

// withoutTypes lists the members that the unit's code can use, and those of them whose
// offsets shipped code of the same object has.
func (u *Unit) withoutTypes(check *TypeCheck, o *typecheck.Object, in TargetTypes) error {
	text, err := in.Text()
	if err != nil || text == nil {
		return err
	}
	members, complete := typecheck.Members(text, o, u.Travels.Funcs, u.Travels.Data)
	if !complete {
		members = append(members, "others: not all of the code was found in the preprocessed text")
	}
	check.Members, check.Headers = members, in.Headers

	old, err := u.typesBefore()
	if err != nil || old == nil {
		return err
	}
	before, err := u.Before()
	if errors.Is(err, machine.ErrArch) {
		return nil // no instruction tells an offset: none is proved
	}
	if err != nil {
		return err
	}

	// An offset that shipped code has shows where the target has the member.
	shipped := map[string]bool{}
	for a := range u.Place.Funcs {
		shipped[u.Name(a)] = true
	}
	for _, m := range typecheck.Proofs(before.Model, old, func(fn string) bool { return shipped[fn] }) {
		if slices.Contains(members, m) {
			check.Proved = append(check.Proved, m)
		}
	}
	return nil
}

// typesBefore reads the types of the unit before the patch; nil when it has none.
func (u *Unit) typesBefore() (*typecheck.Object, error) {
	if u.New {
		return nil, nil
	}
	o, err := typecheck.ReadObject(u.Diff.Orig.File)
	if errors.Is(err, types.ErrNoDebug) {
		return nil, nil
	}
	return o, err
}

// Travelling names what the unit's extracted object holds, besides the functions of
// Replace these new ones and this new data. The names are symbols.
func (u *Unit) Travelling(newFuncs, newData []string) *Travels {
	travels := &Travels{}
	for _, ch := range u.Replace {
		travels.Funcs = append(travels.Funcs, code.Name(ch.Name))
	}
	for _, n := range newFuncs {
		travels.Funcs = append(travels.Funcs, code.Name(n))
	}
	for _, n := range newData {
		travels.Data = append(travels.Data, code.Name(n))
	}
	slices.Sort(travels.Funcs)
	travels.Funcs = slices.Compact(travels.Funcs)
	return travels
}

// RecordTypes says for the plan what the types of the units were compared with, by
// object. Objects of which no comparison came to an end are not among them.
func RecordTypes(units []*Unit) []plan.Types {
	// One record for each object that is patched, of all its units together.
	records := map[string]*plan.Types{}
	checked := map[string][]string{}
	for _, unit := range units {
		if unit.Target == nil || unit.Target.Err != nil {
			continue
		}
		rec := records[unit.Owner]
		if rec == nil {
			rec = &plan.Types{Object: unit.Owner}
			records[unit.Owner] = rec
		}
		if c := unit.Target; c.Report != nil {
			rec.Source, rec.Digest = c.Source, c.Digest
			rec.Absent += len(c.Report.Absent)
			checked[unit.Owner] = append(checked[unit.Owner], c.Report.Checked...)
		}
	}

	var out []plan.Types
	for _, owner := range slices.Sorted(maps.Keys(records)) {
		rec, names := records[owner], checked[owner]
		slices.Sort(names)
		names = slices.Compact(names)
		if rec.Checked = len(names); rec.Checked > 0 {
			sum := sha256.Sum256([]byte(strings.Join(names, "\n")))
			rec.Names = hex.EncodeToString(sum[:])
		}
		out = append(out, *rec)
	}
	return out
}
