package object

import (
	_ "embed"

	"github.com/klpforge/klpforge/analyze"
	"github.com/klpforge/klpforge/finding"
)

//go:embed doc.go
var doc string

// New makes the analyzer.
func New() *analyze.Analyzer {
	return &analyze.Analyzer{Name: "object", Doc: analyze.PackageDoc(doc), Checks: analyze.Checks(finding.IDNoObject),
		Run: run}
}

func run(pass *analyze.Pass) error {
	if pass.HasObject == nil {
		return nil
	}
	said := map[string]bool{}
	for _, unit := range pass.Units {
		if said[unit.Owner] || pass.HasObject(unit.Owner) || len(unit.Diff.Functions) == 0 {
			continue
		}
		said[unit.Owner] = true
		pass.Report(finding.Finding{ID: finding.IDNoObject, Severity: finding.Error, Object: unit.Owner,
			Unit: unit.Object, Who: []string{unit.Owner},
			Message: "the target " + pass.Release + " has no module " + unit.Owner +
				": a livepatch for it would load and do nothing",
			Remedy: "install the package with this module, or leave its files out of the patch"})
	}
	return nil
}
