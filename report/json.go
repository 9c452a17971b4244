package report

import (
	"encoding/json"
	"io"

	"github.com/klpforge/klpforge/analyze"
	"github.com/klpforge/klpforge/analyze/equiv"
	"github.com/klpforge/klpforge/analyze/types"
	"github.com/klpforge/klpforge/finding"
)

type document struct {
	Schema       string        `json:"schema"`
	Release      string        `json:"release"`
	Sources      []string      `json:"sources"`
	Error        string        `json:"error,omitempty"`
	Exit         int           `json:"exit"`
	Counts       counts        `json:"counts"`
	Functions    []Function    `json:"functions"`
	New          []string      `json:"new"`
	Findings     []Finding     `json:"findings"`
	Suppressions []Suppression `json:"suppressions"`
	Notes        []string      `json:"notes"`
	// NoteKinds are the kinds of Notes, in their order.
	NoteKinds []finding.RemarkKind `json:"noteKinds"`
	Graph     *Graph               `json:"graph,omitempty"`
}

type counts struct {
	Error    int `json:"error"`
	Warning  int `json:"warning"`
	Note     int `json:"note"`
	Accepted int `json:"accepted"`
}

// Finding is a finding in the JSON form of a report, the long one.
type Finding struct {
	ID       finding.ID           `json:"id"`
	Severity finding.Severity     `json:"severity"`
	Function string               `json:"function"`
	Object   string               `json:"object,omitempty"`
	Unit     string               `json:"unit,omitempty"`
	Old      finding.Position     `json:"old"`
	New      finding.Position     `json:"new"`
	Message  string               `json:"message"`
	Unknown  bool                 `json:"unknown,omitempty"`
	Given    bool                 `json:"given,omitempty"`
	Evidence []string             `json:"evidence,omitempty"`
	Who      []string             `json:"who,omitempty"`
	Layouts  []types.Change       `json:"layouts,omitempty"`
	Proofs   []*equiv.Certificate `json:"proofs,omitempty"`
	Remedy   string               `json:"remedy,omitempty"`
	Allowed  string               `json:"allowed,omitempty"`
}

// Findings brings findings into that form.
func Findings(found []finding.Finding) []Finding {
	out := make([]Finding, len(found))
	for i := range found {
		f := &found[i]
		out[i] = Finding{ID: f.ID, Severity: f.Severity, Function: f.Symbol, Object: f.Object, Unit: f.Unit, Old: f.Old,
			New:     f.New,
			Message: f.Message, Unknown: f.Unknown, Given: f.Given, Evidence: f.Evidence, Who: f.Who,
			Layouts: analyze.Layouts(f), Proofs: analyze.Proofs(f), Remedy: f.Remedy, Allowed: f.Allowed}
	}
	return out
}

// JSON writes the report as one document. Lists are never null.
func JSON(out io.Writer, report *Report) error {
	doc := document{Schema: Schema, Release: report.Release, Sources: list(report.Sources), Error: report.Error,
		Exit: report.Exit, Functions: list(report.Functions), New: list(report.New),
		Findings: Findings(report.Findings), Suppressions: list(report.Suppressions), Notes: list(finding.RemarkTexts(report.Notes)),
		NoteKinds: list(finding.RemarkKinds(report.Notes)),
		Graph:     report.Graph,
		Counts:    counts{report.Count(finding.Error), report.Count(finding.Warning), report.Count(finding.Note), 0}}
	for i := range report.Findings {
		if report.Findings[i].Allowed != "" {
			doc.Counts.Accepted++
		}
	}
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(doc)
}

func list[T any](l []T) []T {
	if l == nil {
		return []T{}
	}
	return l
}
