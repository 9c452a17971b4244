package report

import (
	"fmt"
	"strings"

	"github.com/klpforge/klpforge/analyze"
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
	Findings     []analyze.Finding
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
	Object  string        `json:"object"`
	Name    string        `json:"name"`
	Sympos  int           `json:"sympos"`
	Unit    string        `json:"unit"`
	Reasons []string      `json:"reasons"`
	Old     analyze.Place `json:"old"`
	New     analyze.Place `json:"new"`
	Code    []Row         `json:"-"` // instructions side by side, for the HTML page
}

// Suppression accepts the findings of an id.
type Suppression struct {
	ID     string `json:"id"`
	Reason string `json:"reason"`
	From   string `json:"from"` // patch file and line, or "command line"
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
func (r *Report) Count(s analyze.Severity) int {
	n := 0
	for i := range r.Findings {
		if f := &r.Findings[i]; f.Severity == s && f.Allowed == "" && !IsVerdict(f) {
			n++
		}
	}
	return n
}

// AtLeast reports whether a finding of that severity or above was not accepted.
// Verdicts do not count.
func (r *Report) AtLeast(s analyze.Severity) bool {
	for i := range r.Findings {
		if f := &r.Findings[i]; f.Severity >= s && f.Allowed == "" && !IsVerdict(f) {
			return true
		}
	}
	return false
}

// IsVerdict reports whether the finding is a verdict, given or not.
func IsVerdict(f *analyze.Finding) bool { return f.ID == "KLP401" || f.ID == "KLP402" }

func place(p analyze.Place) string {
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
	s := []string{count(len(r.Functions), "function"), count(r.Count(analyze.Error), "error"), count(r.Count(analyze.Warning), "warning"), count(r.Count(analyze.Note), "note")}
	return strings.Join(s, ", ")
}
