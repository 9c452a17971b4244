package returns

import (
	"fmt"
	"slices"

	"github.com/klpforge/klpforge/analyze/code"
	"github.com/klpforge/klpforge/analyze/types"
	"github.com/klpforge/klpforge/plan"
)

// A function of type int that returns zero or an error number, by the kernel's convention
// (Documentation/process/coding-style.rst, "Function return values and names", v6.1): who
// calls it takes every other value for an error, or hands it on, in the end to user space
// or into ERR_PTR. That a function keeps to it shows by its own constants, when it returns
// nothing else, or else by the other functions of the ops tables that hold it. A caller
// that looks for values above zero shows that it does not.

// minPeers is how many other functions of a member have to return constants, none above
// zero and one an error number, for that to be what the member's functions return.
const minPeers = 3

// maxPeers bounds the other functions that are looked at.
const maxPeers = 300

// convention says why a function returned zero or error numbers alone before; "" when
// that is not known, or it did not.
func (s *search) convention(old code.Returns, result types.Result) (string, error) {
	if result != types.ResultSigned && result != types.ResultUnknown || slices.ContainsFunc(old.Const, above) {
		return "", nil
	}
	if len(s.with(func(use code.Use) bool { return use.Has(code.UseTestedPositive) })) > 0 {
		return "", nil
	}
	why := ""
	if !old.Other && negative(old) {
		why = "it returned zero or an error number before"
	}
	for _, member := range s.members {
		peers, errors, positive, err := s.peers(member)
		if err != nil || positive {
			return "", err
		}
		if peers >= minPeers && (errors || negative(old)) {
			why = fmt.Sprintf("no one of %d other functions of %s returns a constant above zero", peers, member)
		}
	}
	return why, nil
}

// peers counts the other functions that a member surely holds in the kernel and in the
// function's own module, of those that return constants, and says whether one returns an
// error number, and whether one a constant above zero.
func (s *search) peers(member string) (count int, errors, positive bool, err error) {
	owners := []string{plan.Vmlinux}
	if s.unit.Owner != plan.Vmlinux {
		owners = append(owners, s.unit.Owner)
	}
	for _, owner := range owners {
		kept, err := s.kernel.Registered(owner)
		if err != nil {
			return 0, false, false, err
		}
		if kept == nil {
			continue
		}
		holds := kept.Holds(member)
		for _, id := range holds[:min(len(holds), maxPeers)] {
			if s.replaced(kept.Model.Func(id).Name) {
				continue
			}
			returns := code.ReturnsOf(kept.Model, id)
			if slices.ContainsFunc(returns.Const, above) {
				return 0, false, true, nil
			}
			if len(returns.Const) > 0 {
				count++
			}
			errors = errors || negative(returns)
		}
	}
	return count, errors, false, nil
}

func above(v int64) bool { return v > 0 }

// misreads are the callers that take a value above zero for an error, or hand it on.
func misreads(use code.Use) bool {
	return use.Has(code.UseTestedZero|code.UseReturned) && !use.Has(code.UseTestedSign|code.UseTestedPositive)
}
