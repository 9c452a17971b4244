package report

import (
	"fmt"
	"slices"
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
	New          []string   // functions and variables that the module carries
	Findings     []finding.Finding
	Checks       []analyze.Check // those that ran, with their texts
	Suppressions []Suppression
	Notes        []finding.Remark
	Files        []analyze.File // changed files, for the HTML page
	Graph        *Graph         // calls around the functions; nil when not known
	Refused      bool           // errors stand against the livepatch, whether Findings has them or not
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
func (r *Report) Count(severity finding.Severity) int {
	total := 0
	for i := range r.Findings {
		if f := &r.Findings[i]; f.Severity == severity && f.Allowed == "" && !f.ID.IsVerdict() {
			total++
		}
	}
	return total
}

// AtLeast reports whether a finding of that severity or above was not accepted.
// Verdicts do not count.
func (r *Report) AtLeast(severity finding.Severity) bool {
	for i := range r.Findings {
		if f := &r.Findings[i]; f.Severity >= severity && f.Allowed == "" && !f.ID.IsVerdict() {
			return true
		}
	}
	return false
}

// Answer is the sentence that a reader came for, "" when Error says why there is none:
// whether the patches can be livepatched, with what proof, and what is left to decide.
func (r *Report) Answer() string {
	// What stops the livepatch is all the reader needs to know then.
	switch {
	case r.Error != "":
		return ""
	case r.Refused || r.Count(finding.Error) > 0:
		var ids []string
		for i := range r.Findings {
			found := &r.Findings[i]
			if found.Severity == finding.Error && found.Allowed == "" && !slices.Contains(ids, string(found.ID)) {
				ids = append(ids, string(found.ID))
			}
		}
		if len(ids) == 0 {
			return "cannot be livepatched as it is: errors of checks that this report leaves out"
		}
		return "cannot be livepatched as it is: " + strings.Join(ids, ", ")
	}

	parts := []string{"can be livepatched"}
	switch immediate, force := r.given(finding.IDImmediate), r.given(finding.IDForce); {
	case immediate && force:
		parts = append(parts, "proven safe to apply immediately and to force")
	case immediate:
		parts = append(parts, "proven safe to apply immediately")
	case force:
		parts = append(parts, "proven safe to force")
	default:
		parts = append(parts, "needs the consistency model")
	}
	if n := r.Count(finding.Warning); n > 0 {
		parts = append(parts, count(n, "warning")+" to decide")
	}

	// What could not be decided is said, even when it stops nothing.
	open := 0
	for i := range r.Findings {
		if f := &r.Findings[i]; f.Unknown && f.Severity == finding.Note && f.Allowed == "" && !f.ID.IsVerdict() {
			open++
		}
	}
	if open > 0 {
		parts = append(parts, count(open, "open question"))
	}
	return strings.Join(parts, "; ")
}

// given reports whether a verdict holds.
func (r *Report) given(id finding.ID) bool {
	return slices.ContainsFunc(r.Findings, func(f finding.Finding) bool { return f.ID == id && f.Given })
}

// summary is one line about the whole.
func (r *Report) summary() string {
	parts := []string{count(len(r.Functions), "function"), count(r.Count(finding.Error), "error"),
		count(r.Count(finding.Warning), "warning"), count(r.Count(finding.Note), "note")}
	return strings.Join(parts, ", ")
}

func count(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}
