package analyze

import (
	"strings"

	"github.com/klpforge/klpforge/finding"
)

// Check describes one id that an analyzer may report.
type Check struct {
	ID    finding.ID
	Title string // a few words, lower case
	Doc   string // help text; the analyzer's Doc when empty
}

// Checks describes ids by their rows in the registry; their text is the analyzer's.
func Checks(ids ...finding.ID) []Check {
	out := make([]Check, len(ids))
	for i, id := range ids {
		kind, _ := finding.Lookup(id)
		out[i] = Check{ID: id, Title: kind.Title}
	}
	return out
}

// Analyzer is one check, or a family of checks that share their work.
type Analyzer struct {
	Name   string // lower case, unique
	Doc    string // help text, from the package comment
	Checks []Check
	// Code says that it follows instructions. On an architecture whose instructions are not
	// modelled it is not run, and each of its checks is reported as unknown.
	Code bool
	// Requires are analyzers that must run first; their findings are at hand
	// by Pass.Found.
	Requires []*Analyzer
	// Run reports through the pass. The error is for an analysis that failed,
	// not for what it found.
	Run func(*Pass) error
}

// PackageDoc returns the package comment of the text of a Go file, without the
// comment marks. It is made for doc.go files of checks, which embed themselves.
func PackageDoc(source string) string {
	var out strings.Builder
	for line := range strings.Lines(source) {
		text, ok := strings.CutPrefix(line, "//")
		if !ok {
			break
		}
		out.WriteString(strings.TrimPrefix(text, " "))
	}
	return strings.TrimSpace(out.String()) + "\n"
}
