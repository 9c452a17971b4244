package analyze

import (
	"sync"

	"github.com/klpforge/klpforge/analyze/code"
	"github.com/klpforge/klpforge/analyze/types"
	"github.com/klpforge/klpforge/elfdiff"
	"github.com/klpforge/klpforge/locate"
)

// Unit is one object file for one owner, compiled before and after: the value that the
// stages from the comparison to the analysis hand on. Each stage fills the fields that
// it finds; analyzers change none. An object that two modules share is two units, which
// share what does not depend on the owner.
type Unit struct {
	Object string // object file, "fs/ext4/mballoc.o"
	Owner  string // plan.Vmlinux or a module
	Source string // "fs/ext4/mballoc.c"
	New    bool   // the patch adds the object

	// What compiling told. Configs are options, "CONFIG_AUDIT", that files name which
	// either compilation reads, by kbuild's record; Deps are the files that the patched
	// object is made of. Both are in no order.
	Configs, Deps []string

	// Diff is the comparison of both objects.
	Diff *elfdiff.Result
	// Place is where the object before the patch lies in the target; nil when the
	// target has nothing of the owner's name.
	Place *locate.Placement
	// Replace are the functions of Diff that the livepatch redirects, and those that
	// have new code without that, because all that calls them is redirected (Carried).
	Replace []elfdiff.Change
	// Joined are those of Replace, by their original, whose own code stays as it
	// is, with the names of what they call and must switch together with.
	Joined map[elfdiff.AtomID][]string
	// Outside tells of callers in other object files, for the original functions
	// that were looked at.
	Outside map[elfdiff.AtomID]Outside
	// Travels names what the unit brings into the module; nil when it brings nothing.
	Travels *Travels

	// Types is how the types of the object differ before and after, nil when the patches
	// touch no definition of a type; see File.TouchesTypes. TypesErr says why that
	// could not be had.
	Types    *types.Difference
	TypesErr error
	// Target is how the types of a unit whose code travels compare with the target's;
	// nil for other units.
	Target *TypeCheck

	decoded *decoded // shared with the units of other owners
	once    sync.Once
}

// Travels are the names, as in the source, of what a unit brings into the module.
type Travels struct {
	Funcs []string // replaced and new ones, sorted
	Data  []string // new variables
}

// Outside is what is known of a function's callers in other object files.
type Outside struct {
	Unpatched []string // callers that the livepatch does not hold, with their object
	Pointers  []string // variables that hold the function's address, and functions that take it
	Complete  bool     // there are no other callers, but through the pointers
}

// decoded are the two objects of a unit, decoded when first asked for.
type decoded struct {
	before, after func() (*code.Object, error)
}

// ForOwner returns the unit of another owner of the same object file: with what was
// compiled and compared, and nothing that was found out since.
func (u *Unit) ForOwner(owner string) *Unit {
	return &Unit{Object: u.Object, Owner: owner, Source: u.Source, New: u.New, Configs: u.Configs, Deps: u.Deps,
		Diff: u.Diff, decoded: u.sides()}
}

func (u *Unit) sides() *decoded {
	u.once.Do(func() {
		if u.decoded != nil {
			return
		}
		all := &decoded{before: sync.OnceValues(func() (*code.Object, error) { return code.New(u.Diff.Orig) })}
		all.after = sync.OnceValues(func() (*code.Object, error) {
			if u.Diff.Patched.File != u.Diff.Orig.File {
				return code.New(u.Diff.Patched)
			}
			// An unchanged file that callers brought in, compared with itself.
			before, err := all.before()
			if err != nil {
				return nil, err
			}
			return before.Twin(u.Diff.Patched), nil
		})
		u.decoded = all
	})
	return u.decoded
}

// Before returns the decoded object before the patch. It is decoded once.
func (u *Unit) Before() (*code.Object, error) { return u.sides().before() }

// After returns the decoded object after the patch. It is decoded once.
func (u *Unit) After() (*code.Object, error) { return u.sides().after() }

// Sides returns both decoded objects, and false when one cannot be decoded.
func (u *Unit) Sides() (before, after *code.Object, ok bool) {
	before, err := u.Before()
	if err != nil {
		return nil, nil, false
	}
	after, err = u.After()
	return before, after, err == nil
}

// TypesDiffer reports whether a type of the object is known to have another layout than before.
func (u *Unit) TypesDiffer() bool { return u.Types != nil && len(u.Types.Changes) > 0 }

// Replaced reports whether the livepatch redirects the original function a.
func (u *Unit) Replaced(a elfdiff.AtomID) bool {
	for i := range u.Replace {
		if u.Replace[i].Orig == a {
			return true
		}
	}
	return false
}
