package reported

import (
	_ "embed"
	"fmt"
	"regexp"
	"strings"

	"github.com/klpforge/klpforge/analyze"
)

//go:embed doc.go
var doc string

//go:embed ids.txt
var ids string

// New makes the analyzer.
func New() *analyze.Analyzer {
	return &analyze.Analyzer{Name: "reported", Doc: analyze.PackageDoc(doc), Checks: checks(ids), Run: run}
}

var headRE = regexp.MustCompile(`(?m)^(KLP[0-9]{3}): (.+)\n`)

// checks reads the texts of the ids: "KLPnnn: title", then paragraphs.
func checks(text string) []analyze.Check {
	var out []analyze.Check
	at := headRE.FindAllStringSubmatchIndex(text, -1)
	for i, m := range at {
		end := len(text)
		if i+1 < len(at) {
			end = at[i+1][0]
		}
		out = append(out, analyze.Check{ID: text[m[2]:m[3]], Title: text[m[4]:m[5]], Doc: strings.TrimSpace(text[m[1]:end]) + "\n"})
	}
	return out
}

func run(p *analyze.Pass) error {
	for i := range p.Problems {
		p.Report(Finding(&p.Problems[i]))
	}
	return nil
}

// Finding is the adapter: it says the problem as a finding.
func Finding(p *analyze.Problem) analyze.Finding {
	f := analyze.Finding{ID: p.ID, Severity: p.Severity, Function: p.Symbol, Object: p.Object, Unit: p.Unit, Message: p.Message, Remedy: p.Remedy}
	if p.Section != "" {
		f.Evidence = append(f.Evidence, "section "+p.Section)
	}
	// A problem may be about a source file instead of a symbol.
	if strings.Contains(p.Symbol, "/") {
		f.New = analyze.Place{File: p.Symbol}
		f.Evidence = append(f.Evidence, fmt.Sprintf("file %s", p.Symbol))
	}
	return f
}
