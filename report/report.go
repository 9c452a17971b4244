package report

import (
	"fmt"
	"strings"

	"github.com/klpforge/klpforge/analyze"
	"github.com/klpforge/klpforge/finding"
)

// Schema names the JSON form.
const Schema = "klpforge.lint/v1"

// Report is one result. Lists are in the order in which they are shown.
type Report struct {
	Version      string // of klpforge
	Release      string // of the kernel
	Sources      []string
	Functions    []Function // that a livepatch would redirect
	New          []string   // functions and variables that travel along
	Findings     []finding.Finding
	Checks       []analyze.Check // those that ran, with their texts
	Suppressions []Suppression
	Notes        []string
	Files        []analyze.File // changed files, for the HTML page
	Graph        *Graph         // calls around the functions; nil when not known
	Error        string         // why there is no complete result; empty otherwise
	Exit         int            // exit code of the command
}

// Function is one redirected function.
type Function struct {
	Object  string           `json:"object"`
	Name    string           `json:"name"`
	Sympos  int              `json:"sympos"`
	Unit    string           `json:"unit"`
	Reasons []string         `json:"reasons"`
	Old     finding.Position `json:"old"`
	New     finding.Position `json:"new"`
	Code    []Row            `json:"-"` // instructions side by side, for the HTML page
}

// Suppression accepts the findings of an id.
type Suppression struct {
	ID     finding.ID `json:"id"`
	Reason string     `json:"reason"`
	From   string     `json:"from"` // patch file and line, or "command line"
}

// Unused reports whether no finding made use of the suppression.
func (r *Report) Unused(s Suppression) bool {
	for i := range r.Findings {
		if r.Findings[i].ID == s.ID && r.Findings[i].Allowed != "" {
			return false
		}
	}
	return true
}

// Count counts the findings of a severity that were not accepted. Verdicts do
// not count.
func (r *Report) Count(s finding.Severity) int {
	n := 0
	for i := range r.Findings {
		if f := &r.Findings[i]; f.Severity == s && f.Allowed == "" && !f.ID.IsVerdict() {
			n++
		}
	}
	return n
}

// AtLeast reports whether a finding of that severity or above was not accepted.
// Verdicts do not count.
func (r *Report) AtLeast(s finding.Severity) bool {
	for i := range r.Findings {
		if f := &r.Findings[i]; f.Severity >= s && f.Allowed == "" && !f.ID.IsVerdict() {
			return true
		}
	}
	return false
}

func place(p finding.Position) string {
	switch {
	case p.File == "":
		return ""
	case p.Line == 0:
		return p.File
	}
	return fmt.Sprintf("%s:%d", p.File, p.Line)
}

// summary is one line about the whole.
func (r *Report) summary() string {
	count := func(n int, what string) string {
		if n != 1 {
			what += "s"
		}
		return fmt.Sprintf("%d %s", n, what)
	}
	s := []string{count(len(r.Functions), "function"), count(r.Count(finding.Error), "error"), count(r.Count(finding.Warning), "warning"), count(r.Count(finding.Note), "note")}
	return strings.Join(s, ", ")
}
