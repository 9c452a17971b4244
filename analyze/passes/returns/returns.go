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
	found := callers(unit, ch, before, bid)
	if zero || !negative(old) {
		if err := found.elsewhere(pass, unit, ch, before); err != nil {
			return err
		}
	}
	found.sort()
	evidence := []string{"returned constants before: " + list(old) + "; after: " + list(newer)}
	if len(old.From) > 0 {
		evidence = append(evidence, "it also passed on results of "+strings.Join(old.From, ", "))
	}
	if len(found.unsure) > 0 {
		evidence = append(evidence, "not decided for the callers "+strings.Join(found.unsure, ", "))
	}
	if !unit.Diff.Orig.Local(ch.Orig) && !found.everywhere {
		evidence = append(evidence, "callers in other object files were not looked at")
	}
	out := finding.Finding{ID: finding.IDReturnContract, Severity: finding.Warning, Evidence: evidence,
		Remedy: "patch these callers so that they check, or keep to what the function could return before"}
	switch {
	case len(found.dereferencing) > 0:
		out.Message = fmt.Sprintf("can now return %s, and callers that are not patched use the result as an "+
			"address without a test", words(errnos, zero))
		out.Who = found.dereferencing
	case zero && len(found.testing) > 0:
		out.Message = "can now return zero, and callers that are not patched test for an error number alone before they " +
			"use the result as an address"
		out.Who = found.testing
	case len(errnos) > 0 && len(found.ignoring) > 0 && !negative(old):
		out.Message = fmt.Sprintf("can now return %s, and callers that are not patched ignore the result",
			words(errnos, false))
		out.Who = found.ignoring
		if old.Other {
			// It may have returned errors before, as results of others.
			out.Severity, out.Unknown = finding.Note, true
		}
	case len(errnos) > 0 && !old.Other && !negative(old):
		out.Severity = finding.Note
		out.Message = fmt.Sprintf("can now return %s, but returned only %s before: callers need not expect an error",
			words(errnos, false), list(old))
		out.Remedy = "see whether the callers check for an error"
	default:
		return nil // errors were returned before, or may have been: the contract is the same as far as it shows
	}
	pass.ReportChange(unit, ch, out)
	return nil
}

// uses are the unpatched callers of a function by what they do with its result, sorted.
type uses struct {
	ignoring, dereferencing, testing, unsure []string
	everywhere                               bool // callers in the rest of the kernel or the module were looked at, too
}

// callers sorts the unpatched callers in the object by what they do.
func callers(u *analyze.Unit, ch elfdiff.Change, obj *code.Object, id model.FuncID) *uses {
	out := &uses{}
	for c := range obj.Model.Callers(id) {
		out.add(u, ch, obj.Model.Func(c.Caller).Name, obj.ResultUse(c))
	}
	return out
}

// elsewhere adds those in the rest of the kernel, for what is built in, or of the module.
func (x *uses) elsewhere(pass *analyze.Pass, unit *analyze.Unit, ch elfdiff.Change, before *code.Object) error {
	if pass.Kernel == nil || unit.Diff.Orig.Local(ch.Orig) {
		return nil
	}
	kern, err := pass.Kernel()
	if err != nil {
		return fmt.Errorf("look for callers in the kernel: %w", err)
	}
	program := kern.Program(unit.Owner)
	if program == nil {
		return nil
	}
	ids := program.Model.Lookup(ch.Name)
	if len(ids) != 1 {
		return nil // which of several is meant is not known
	}
	x.everywhere = true
	for call := range program.Model.Callers(ids[0]) {
		name := program.Model.Func(call.Caller).Name
		own := before.Model.Lookup(name)
		if slices.ContainsFunc(own, func(id model.FuncID) bool {
			return before.Model.Func(id).Flags&model.FuncExtern == 0
		}) {
			continue // the object was looked at
		}
		x.add(unit, ch, name, code.ResultUse(program.Model, call))
	}
	return nil
}

func (x *uses) add(u *analyze.Unit, ch elfdiff.Change, name string, use code.Use) {
	if name == ch.Name || slices.ContainsFunc(u.Replace, func(c elfdiff.Change) bool { return c.Name == name }) {
		return
	}
	switch use {
	case code.UseIgnored:
		x.ignoring = append(x.ignoring, name)
	case code.UseDereferenced:
		x.dereferencing = append(x.dereferencing, name)
	case code.UseErrorTested:
		x.testing = append(x.testing, name)
	case code.UseUnknown:
		x.unsure = append(x.unsure, name)
	}
}

func (x *uses) sort() {
	for _, l := range []*[]string{&x.ignoring, &x.dereferencing, &x.testing, &x.unsure} {
		slices.Sort(*l)
		*l = slices.Compact(*l)
	}
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
