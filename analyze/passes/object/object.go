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
	return &analyze.Analyzer{Name: "object", Doc: analyze.PackageDoc(doc), Checks: analyze.Checks(finding.IDNoObject), Run: run}
}

func run(p *analyze.Pass) error {
	if p.HasObject == nil {
		return nil
	}
	said := map[string]bool{}
	for _, u := range p.Units {
		if said[u.Owner] || p.HasObject(u.Owner) || len(u.Diff.Functions) == 0 {
			continue
		}
		said[u.Owner] = true
		p.Report(finding.Finding{ID: finding.IDNoObject, Severity: finding.Error, Object: u.Owner, Unit: u.Object, Who: []string{u.Owner},
			Message: "the target " + p.Release + " has no module " + u.Owner + ": a livepatch for it would load and do nothing",
			Remedy:  "install the package with this module, or leave its files out of the patch"})
	}
	return nil
}
