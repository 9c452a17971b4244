package returns

import (
	_ "embed"
	"fmt"
	"slices"
	"strings"

	"github.com/klpforge/klpforge/analyze"
	"github.com/klpforge/klpforge/analyze/code"
	"github.com/klpforge/klpforge/analyze/model"
	"github.com/klpforge/klpforge/elfdiff"
	"github.com/klpforge/klpforge/finding"
)

//go:embed doc.go
var doc string

// New makes the analyzer.
func New() *analyze.Analyzer {
	return &analyze.Analyzer{Name: "returns", Doc: analyze.PackageDoc(doc),
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

func compare(pass *analyze.Pass, unit *analyze.Unit, ch elfdiff.Change, before, after *code.Object) error {
	bid, err := before.Func(ch.Orig)
	if err != nil {
		return err
	}
	aid, err := after.Func(ch.Patched)
	if err != nil {
		return err
	}
	old, newer := before.Returns(bid), after.Returns(aid)
	var errnos []int64
	zero := newer.Has(0) && !old.Has(0)
	for _, v := range newer.Const {
		if v < 0 && v >= -maxErrno && !old.Has(v) {
			errnos = append(errnos, v)
		}
	}
	if len(errnos) == 0 && !zero {
		return nil
	}
	ignoring, dereferencing, unsure := callers(unit, ch, before, bid)
	evidence := []string{"returned constants before: " + list(old) + "; after: " + list(newer)}
	if len(old.From) > 0 {
		evidence = append(evidence, "it also passed on results of "+strings.Join(old.From, ", "))
	}
	if len(unsure) > 0 {
		evidence = append(evidence, "not decided for the callers "+strings.Join(unsure, ", "))
	}
	if !unit.Diff.Orig.Local(ch.Orig) {
		evidence = append(evidence, "callers in other object files were not looked at")
	}
	found := finding.Finding{ID: finding.IDReturnContract, Severity: finding.Warning, Evidence: evidence,
		Remedy: "patch these callers so that they check, or keep to what the function could return before"}
	switch {
	case len(dereferencing) > 0:
		found.Message = fmt.Sprintf("can now return %s, and callers that are not patched use the result as an "+
			"address without a test", words(errnos, zero))
		found.Who = dereferencing
	case len(errnos) > 0 && len(ignoring) > 0 && !negative(old):
		found.Message = fmt.Sprintf("can now return %s, and callers that are not patched ignore the result",
			words(errnos, false))
		found.Who = ignoring
		if old.Other {
			// It may have returned errors before, as results of others.
			found.Severity, found.Unknown = finding.Note, true
		}
	case len(errnos) > 0 && !old.Other && !negative(old):
		found.Severity = finding.Note
		found.Message = fmt.Sprintf("can now return %s, but returned only %s before: callers need not expect an error",
			words(errnos, false), list(old))
		found.Remedy = "see whether the callers check for an error"
	default:
		return nil // errors were returned before, or may have been: the contract is the same as far as it shows
	}
	pass.ReportChange(unit, ch, found)
	return nil
}

// callers sorts the unpatched callers in the object by what they do.
func callers(u *analyze.Unit, ch elfdiff.Change, obj *code.Object,
	id model.FuncID) (ignoring, dereferencing, unsure []string) {
	patched := map[string]bool{}
	for _, c := range u.Replace {
		patched[c.Name] = true
	}
	for c := range obj.Model.Callers(id) {
		name := obj.Model.Func(c.Caller).Name
		if patched[name] || name == ch.Name {
			continue
		}
		switch obj.ResultUse(c) {
		case code.UseIgnored:
			ignoring = append(ignoring, name)
		case code.UseDereferenced:
			dereferencing = append(dereferencing, name)
		case code.UseUnknown:
			unsure = append(unsure, name)
		}
	}
	for _, l := range []*[]string{&ignoring, &dereferencing, &unsure} {
		slices.Sort(*l)
		*l = slices.Compact(*l)
	}
	return ignoring, dereferencing, unsure
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
