package analyze

import (
	"github.com/klpforge/klpforge/analyze/machine"
	"github.com/klpforge/klpforge/analyze/stacks"
	"github.com/klpforge/klpforge/finding"
	"github.com/klpforge/klpforge/kernel/klpapi"
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

// File is one changed source file.
type File struct {
	Path string
	Old  []byte // nil when the file is new
	New  []byte // nil when the file is gone
	// Hunks are the changed ranges without context, in order.
	Hunks []Hunk

	index [2]*definitions // of Old and of New; see Index
}

// Hunk is one changed group of lines. Starts are 1-based; a side without lines
// starts at the line after which the other side's lines stand.
type Hunk struct {
	OldStart, OldLines int
	NewStart, NewLines int
}

// Unmodelled names the architecture of the patched objects when what its instructions do is not
// known; "" when it is.
func (in *Input) Unmodelled() string {
	for _, unit := range in.Units {
		if unit.Diff == nil || unit.Diff.Patched == nil || unit.Diff.Patched.Arch == nil {
			continue
		}
		if _, err := machine.Like(unit.Diff.Patched.Arch); err != nil {
			return unit.Diff.Patched.Arch.Name()
		}
	}
	return ""
}
