package reported

import (
	_ "embed"

	"github.com/klpforge/klpforge/analyze"
	"github.com/klpforge/klpforge/finding"
)

//go:embed doc.go
var doc string

// New makes the analyzer.
func New() *analyze.Analyzer {
	return &analyze.Analyzer{Name: "reported", Doc: analyze.PackageDoc(doc), Checks: checks(), Run: run}
}

// checks are the ids whose text the registry has: all that no check of its own reports.
func checks() []analyze.Check {
	var out []analyze.Check
	for _, k := range finding.Kinds() {
		if text := finding.Text(k.ID); text != "" {
			out = append(out, analyze.Check{ID: k.ID, Title: k.Title, Doc: text})
		}
	}
	return out
}

func run(p *analyze.Pass) error {
	for i := range p.Problems {
		p.Report(Finding(&p.Problems[i]))
	}
	return nil
}

// Finding says as a finding of the analysis what an earlier stage found: section and
// file become evidence.
func Finding(found *finding.Finding) finding.Finding {
	problem := *found
	problem.Section, problem.Allowed = "", ""
	if found.Section != "" {
		problem.Evidence = append(problem.Evidence, "section "+found.Section)
	}
	if found.AboutFile() {
		problem.Evidence = append(problem.Evidence, "file "+found.Symbol)
	}
	return problem
}
