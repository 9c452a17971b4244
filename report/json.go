package report

import (
	"encoding/json"
	"io"

	"github.com/klpforge/klpforge/analyze"
)

type document struct {
	Schema       string            `json:"schema"`
	Release      string            `json:"release"`
	Sources      []string          `json:"sources"`
	Error        string            `json:"error,omitempty"`
	Exit         int               `json:"exit"`
	Counts       counts            `json:"counts"`
	Functions    []Function        `json:"functions"`
	New          []string          `json:"new"`
	Findings     []analyze.Finding `json:"findings"`
	Suppressions []Suppression     `json:"suppressions"`
	Notes        []string          `json:"notes"`
	Graph        *Graph            `json:"graph,omitempty"`
}

type counts struct {
	Error    int `json:"error"`
	Warning  int `json:"warning"`
	Note     int `json:"note"`
	Accepted int `json:"accepted"`
}

// JSON writes the report as one document. Lists are never null.
func JSON(w io.Writer, r *Report) error {
	d := document{Schema: Schema, Release: r.Release, Sources: list(r.Sources), Error: r.Error, Exit: r.Exit, Functions: list(r.Functions), New: list(r.New),
		Findings: list(r.Findings), Suppressions: list(r.Suppressions), Notes: list(r.Notes), Graph: r.Graph,
		Counts: counts{r.Count(analyze.Error), r.Count(analyze.Warning), r.Count(analyze.Note), 0}}
	for i := range r.Findings {
		if r.Findings[i].Allowed != "" {
			d.Counts.Accepted++
		}
	}
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(d)
}

func list[T any](l []T) []T {
	if l == nil {
		return []T{}
	}
	return l
}
