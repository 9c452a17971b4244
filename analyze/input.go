package analyze

import (
	"sync"

	"github.com/klpforge/klpforge/analyze/code"
	"github.com/klpforge/klpforge/analyze/stacks"
	"github.com/klpforge/klpforge/analyze/types"
	"github.com/klpforge/klpforge/elfdiff"
	"github.com/klpforge/klpforge/finding"
	"github.com/klpforge/klpforge/kernel/klpapi"
	"github.com/klpforge/klpforge/locate"
	"github.com/klpforge/klpforge/plan"
)

// Input is what a patch became up to the plan. Nothing in it is changed by
// analyzers.
type Input struct {
	Release string
	Plan    *plan.Plan // as far as it was made
	Units   []*Unit
	Files   []File // every file that the patches change, by path
	// Problems are what earlier stages found.
	Problems []finding.Finding
	// HasObject reports whether the target has an object of that name: a
	// module, or plan.Vmlinux. nil means that it is not known.
	HasObject func(name string) bool
	// Kernel finds what is known of the whole target kernel; it takes seconds
	// the first time. nil when that cannot be known.
	Kernel func() (*Kernel, error)
	// Stacks finds where tasks of the target kernel sleep; it takes a second or
	// two the first time. nil when that cannot be known.
	Stacks func() (*stacks.Result, error)
	// Config are options that the prepared tree has otherwise than the target, when the
	// configuration was given by hand; by name.
	Config []ConfigDiff
	// API is the target's livepatch interface; nil when not known.
	API *klpapi.API
	// Allow accepts findings by id; the value is the reason.
	Allow map[finding.ID]string
}

// Unit is one object file for one owner, compiled before and after.
type Unit struct {
	Object string // object file, "fs/ext4/mballoc.o"
	Owner  string // plan.Vmlinux or a module
	Source string // "fs/ext4/mballoc.c"
	New    bool   // the patch adds the object
	Diff   *elfdiff.Result
	// Place is where the object before the patch lies in the target; nil when the
	// target has nothing of the owner's name.
	Place *locate.Placement
	// Replace are the functions of Diff that the livepatch redirects, and those that
	// have new code without that, because all that calls them is redirected (Along).
	Replace []elfdiff.Change
	// Joined are those of Replace, by their original, whose own code stays as it
	// is, with the names of what they call and must switch together with.
	Joined map[elfdiff.AtomID][]string
	// Outside tells of callers in other object files, for the original functions
	// that were looked at.
	Outside map[elfdiff.AtomID]Outside
	// Types are the types of the object before and after, nil when the patches
	// touch no definition of a type; see File.TouchesTypes. TypesErr says why
	// they could not be had.
	Types    [2]*types.Info
	TypesErr error
	// Target is how the types of a unit whose code travels compare with the target's;
	// nil for other units.
	Target *TypeCheck

	once          [2]sync.Once
	before, after *code.Object
	err           [2]error
}

// Outside is what is known of a function's callers in other object files.
type Outside struct {
	Unpatched []string // callers that the livepatch does not hold, with their object
	Pointers  []string // variables that hold the function's address, and functions that take it
	Complete  bool     // there are no other callers, but through the pointers
}

// Before returns the decoded object before the patch. It is decoded once.
func (u *Unit) Before() (*code.Object, error) {
	u.once[0].Do(func() { u.before, u.err[0] = code.New(u.Diff.Orig) })
	return u.before, u.err[0]
}

// After returns the decoded object after the patch. It is decoded once.
func (u *Unit) After() (*code.Object, error) {
	u.once[1].Do(func() {
		if u.Diff.Patched.File != u.Diff.Orig.File {
			u.after, u.err[1] = code.New(u.Diff.Patched)
			return
		}
		// An unchanged file that callers brought in, compared with itself.
		var before *code.Object
		if before, u.err[1] = u.Before(); u.err[1] == nil {
			u.after = before.Twin(u.Diff.Patched)
		}
	})
	return u.after, u.err[1]
}

// Sides returns both decoded objects, and false when one cannot be decoded.
func (u *Unit) Sides() (before, after *code.Object, ok bool) {
	before, err := u.Before()
	if err != nil {
		return nil, nil, false
	}
	after, err = u.After()
	return before, after, err == nil
}

// Replaced reports whether the livepatch redirects the original function a.
func (u *Unit) Replaced(a elfdiff.AtomID) bool {
	for i := range u.Replace {
		if u.Replace[i].Orig == a {
			return true
		}
	}
	return false
}

// File is one changed source file.
type File struct {
	Path string
	Old  []byte // nil when the file is new
	New  []byte // nil when the file is gone
	// Hunks are the changed ranges without context, in order.
	Hunks []Hunk
}

// Hunk is one changed group of lines. Starts are 1-based; a side without lines
// starts at the line after which the other side's lines stand.
type Hunk struct {
	OldStart, OldLines int
	NewStart, NewLines int
}
