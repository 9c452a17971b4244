package returns

import (
	_ "embed"
	"fmt"
	"slices"
	"strings"

	"github.com/klpforge/klpforge/analyze"
	"github.com/klpforge/klpforge/analyze/code"
	"github.com/klpforge/klpforge/analyze/types"
	"github.com/klpforge/klpforge/elfdiff"
	"github.com/klpforge/klpforge/finding"
)

//go:embed doc.go
var doc string

// New makes the analyzer.
func New() *analyze.Analyzer {
	return &analyze.Analyzer{Code: true, Name: "returns", Doc: analyze.PackageDoc(doc),
		Checks: analyze.Checks(finding.IDReturnContract), Run: run}
}

func run(pass *analyze.Pass) error {
	for _, unit := range pass.Units {
		for _, ch := range unit.Replace {
			before, err := unit.Before()
			if err == nil {
				var after *code.Object
				if after, err = unit.After(); err == nil {
					err = compare(pass, unit, ch, before, after)
				}
			}
			if err != nil {
				pass.ReportChange(unit, ch, finding.Finding{ID: finding.IDReturnContract, Severity: finding.Note,
					Unknown: true, Evidence: []string{err.Error()},
					Message: "what the function returns could not be found"})
			}
		}
	}
	return nil
}

const maxErrno = 4095 // MAX_ERRNO, include/linux/err.h

// news is what a function can return now and could not before.
type news struct {
	errnos, positive []int64
	zero             bool
}

// fresh compares the constants that a function returns. Of a result that is no error
// number by its type none are new.
func fresh(old, newer code.Returns, result types.Result) news {
	var out news
	if result == types.ResultNone || result == types.ResultOther {
		return out
	}
	// Zero is success for who returns error numbers: no divisor, and no address.
	out.zero = newer.Has(0) && !old.Has(0) && !(result == types.ResultSigned && negative(old))
	for _, v := range newer.Const {
		switch {
		case old.Has(v):
		case v < 0 && v >= -maxErrno:
			out.errnos = append(out.errnos, v)
		case v > 0 && v <= maxErrno && result != types.ResultPointer && result != types.ResultUnsigned:
			out.positive = append(out.positive, v)
		}
	}
	return out
}

func compare(pass *analyze.Pass, unit *analyze.Unit, ch elfdiff.Change, before, after *code.Object) error {
	oldFn, newFn, err := code.Both(before, after, ch)
	if err != nil {
		return err
	}
	old, newer := before.Returns(oldFn), after.Returns(newFn)
	if fresh(old, newer, types.ResultUnknown).none() {
		return nil // the type takes away, and costs time
	}
	result := resultOf(unit, ch.Name)
	now := fresh(old, newer, result)
	if now.none() || !now.zero && len(now.positive) == 0 && negative(old) {
		return nil // errors were returned before: the contract is the same as far as it shows
	}
	found, err := find(pass, unit, ch, before, oldFn)
	if err != nil {
		return err
	}
	return report(pass, found, old, newer, now, result)
}

func (n news) none() bool { return !n.zero && len(n.errnos) == 0 && len(n.positive) == 0 }

// resultOf is what the debug information says of a function's result.
func resultOf(unit *analyze.Unit, name string) types.Result {
	protos, err := types.Protos(unit.Diff.Orig.File)
	if err != nil {
		return types.ResultUnknown // an object without debug information
	}
	return protos[code.Name(name)].Result
}

// report says what callers that are not patched make of a new value, the worst first.
func report(pass *analyze.Pass, found *search, old, newer code.Returns, now news, result types.Result) error {
	evidence := []string{"returned constants before: " + list(old) + "; after: " + list(newer)}
	if len(old.From) > 0 {
		evidence = append(evidence, "it also passed on results of "+strings.Join(old.From, ", "))
	}
	if unsure := found.unsure(); len(unsure) > 0 {
		evidence = append(evidence, "not decided for the callers "+shortList(unsure))
	}
	if !found.unit.Diff.Orig.Local(found.ch.Orig) && !found.everywhere {
		evidence = append(evidence, "callers in other object files were not looked at")
	}
	out := finding.Finding{ID: finding.IDReturnContract, Severity: finding.Warning, Evidence: evidence,
		Remedy: "patch these callers so that they check, or keep to what the function could return before"}
	has := func(wanted code.Use) []string {
		return found.with(func(use code.Use) bool { return use.Has(wanted) })
	}
	address := result == types.ResultPointer || result == types.ResultUnknown
	newErrnos := len(now.errnos) > 0 && !negative(old)

	dereferencing, dividing := has(code.UseDereferenced), has(code.UseDivides)
	errorTested, zeroTested := has(code.UseErrorTested), has(code.UseZeroTested)
	ignoring := found.with(code.Use.Ignores)
	switch {
	case address && (now.zero || newErrnos) && len(dereferencing) > 0:
		out.Message = fmt.Sprintf("can now return %s, and callers that are not patched use the result as an "+
			"address without a test", words(now.errnos, now.zero))
		out.Who = dereferencing
	case address && now.zero && len(errorTested) > 0:
		out.Message = "can now return zero, and callers that are not patched test for an error number alone before they " +
			"use the result as an address"
		out.Who = errorTested
	case address && newErrnos && len(zeroTested) > 0:
		out.Message = fmt.Sprintf("can now return %s, and callers that are not patched test for NULL alone before they "+
			"use the result as an address", words(now.errnos, false))
		out.Who = zeroTested
	case now.zero && result != types.ResultPointer && len(dividing) > 0:
		out.Message = "can now return zero, and callers that are not patched divide by the result without a test"
		out.Who = dividing
	case newErrnos && len(ignoring) > 0:
		out.Message = fmt.Sprintf("can now return %s, and callers that are not patched ignore the result",
			words(now.errnos, false))
		out.Who = ignoring
		if old.Other {
			// It may have returned errors before, as results of others.
			out.Severity, out.Unknown = finding.Note, true
		}
	case newErrnos && !old.Other:
		out.Severity = finding.Note
		out.Message = fmt.Sprintf("can now return %s, but returned only %s before: callers need not expect an error",
			words(now.errnos, false), list(old))
		out.Remedy = "see whether the callers check for an error"
	case len(now.positive) > 0:
		why, err := found.convention(old, result)
		misreading := found.with(misreads)
		if err != nil || why == "" || len(misreading) == 0 {
			return err
		}
		out.Message = fmt.Sprintf("can now return %s, and callers that are not patched take every value but zero for an "+
			"error, or hand it on", words(now.positive, false))
		out.Evidence = append(out.Evidence, why)
		out.Who = misreading
	default:
		return nil // errors were returned before, or may have been: the contract is the same as far as it shows
	}
	pass.ReportChange(found.unit, found.ch, out)
	return nil
}

func negative(r code.Returns) bool {
	return slices.ContainsFunc(r.Const, func(v int64) bool { return v < 0 && v >= -maxErrno })
}

func words(errnos []int64, zero bool) string {
	var out []string
	for _, v := range errnos {
		out = append(out, fmt.Sprint(v))
	}
	if zero {
		out = append(out, "zero")
	}
	return strings.Join(out, ", ")
}

func list(r code.Returns) string {
	var out []string
	for _, v := range r.Const {
		out = append(out, fmt.Sprint(v))
	}
	if r.Other {
		out = append(out, "values that are not constant")
	}
	if len(out) == 0 {
		return "nothing"
	}
	return strings.Join(out, ", ")
}
