package contract

import (
	_ "embed"
	"slices"
	"strings"

	"github.com/klpforge/klpforge/analyze"
	"github.com/klpforge/klpforge/elfdiff"
	"github.com/klpforge/klpforge/finding"
)

//go:embed doc.go
var doc string

// New makes the analyzer.
func New() *analyze.Analyzer {
	return &analyze.Analyzer{Name: "contract", Doc: analyze.PackageDoc(doc),
		Checks: analyze.Checks(finding.IDCallingContract), Run: run}
}

func run(p *analyze.Pass) error {
	for _, u := range p.Units {
		for _, ch := range u.Replace {
			if why := p.NewContract(u, ch); len(why) > 0 {
				judge(p, u, ch, why)
			}
		}
	}
	return nil
}

func judge(pass *analyze.Pass, unit *analyze.Unit, ch elfdiff.Change, why []string) {
	obj, err := unit.Before()
	if err != nil {
		pass.ReportChange(unit, ch, finding.Finding{ID: finding.IDCallingContract, Severity: finding.Warning,
			Unknown: true, Evidence: append(why, err.Error()),
			Message: "the calling contract changed; who calls the function could not be found"})
		return
	}

	// Patched callers know the new contract, and those that only run at start are gone.
	callers, holders := obj.Callers(ch.Orig)
	var who, held []string
	for _, a := range callers {
		if !unit.Replaced(a) && !unit.Diff.Orig.InitOnly(a) && unit.Diff.PatchedOf(a) >= 0 {
			who = append(who, unit.Name(a))
		}
	}
	for _, a := range holders {
		if name := unit.Name(a); name != "" && !strings.HasPrefix(name, "__ksymtab") && !unit.Replaced(a) &&
			!unit.Diff.Orig.InitOnly(a) && unit.Diff.PatchedOf(a) >= 0 {
			held = append(held, name)
		}
	}

	outside := !unit.Diff.Orig.Local(ch.Orig)
	switch {
	case len(who)+len(held) > 0:
		if len(held) > 0 {
			why = append(why, "its address is held by "+strings.Join(held, ", "))
		}
		if outside {
			why = append(why, "other object files can call it too")
		}
		pass.ReportChange(unit, ch, finding.Finding{ID: finding.IDCallingContract, Severity: finding.Warning,
			Evidence: why, Who: slices.Concat(who, held),
			Message: "the calling contract changed, and code that is not patched calls the function by the old one",
			Remedy:  "patch these callers too, or keep the function and add a new one with the new contract"})
	case outside:
		pass.ReportChange(unit, ch, finding.Finding{ID: finding.IDCallingContract, Severity: finding.Warning,
			Unknown: true, Evidence: why,
			Message: "the calling contract changed, and other object files can call the function: whether all of " +
				"them are patched is not known",
			Remedy: "see that every caller is part of the patch, and that no module outside of the kernel's tree " +
				"calls it"})
	}
}
