package analyze

import (
	"github.com/klpforge/klpforge/elfdiff"
	"github.com/klpforge/klpforge/finding"
)

// Pass is one analyzer's view of the patch.
type Pass struct {
	*Input
	Analyzer *Analyzer

	found map[*Analyzer][]finding.Finding
	out   []finding.Finding
}

// Found returns the findings of an analyzer that this one requires.
func (p *Pass) Found(a *Analyzer) []finding.Finding { return p.found[a] }

// unknownHere reports that none of the analyzer's checks can be decided for an architecture.
func (p *Pass) unknownHere(arch string) {
	for _, check := range p.Analyzer.Checks {
		p.Report(finding.Finding{ID: check.ID, Severity: finding.Note, Unknown: true,
			Message: "unknown on this architecture: what instructions of " + arch + " do is not known here",
			Remedy:  "have a person look at it: " + check.Title})
	}
}

// Report adds a finding. Places that it leaves open are filled from the unit.
func (p *Pass) Report(f finding.Finding) { p.out = append(p.out, f) }

// ReportChange adds a finding about a function of a unit.
func (p *Pass) ReportChange(u *Unit, ch elfdiff.Change, f finding.Finding) {
	f.Symbol, f.Object, f.Unit = ch.Name, u.Owner, u.Object
	p.Report(f)
}

// Name returns the name of an atom of the unit's object before the patch.
func (u *Unit) Name(a elfdiff.AtomID) string { return u.Diff.Orig.Atoms[a].Name }
