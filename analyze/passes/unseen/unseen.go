package unseen

import (
	_ "embed"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/klpforge/klpforge/analyze"
	"github.com/klpforge/klpforge/analyze/sleeps"
	"github.com/klpforge/klpforge/elfdiff"
	"github.com/klpforge/klpforge/finding"
)

//go:embed doc.go
var doc string

// New makes the analyzer.
func New() *analyze.Analyzer {
	return &analyze.Analyzer{Code: true, Name: "unseen", Doc: analyze.PackageDoc(doc),
		Checks: analyze.Checks(finding.IDUnseenSleep), Run: run}
}

func run(pass *analyze.Pass) error {
	if pass.API != nil && !pass.API.Consistency {
		return nil // no stack is checked
	}
	live := newLivepatch(pass.Units)
	found := live.search()
	if !slices.ContainsFunc(found, func(f *helper) bool { return f.answer != sleeps.Never }) {
		return nil
	}
	if pass.Kernel != nil { // it may know what the objects do not
		k, err := pass.Kernel()
		if err != nil {
			return fmt.Errorf("look for sleeping functions in the kernel: %w", err)
		}
		live.ask(k)
		found = live.search()
	}
	for _, f := range found {
		f.report(pass)
	}
	return nil
}

// helper is what is known of one helper.
type helper struct {
	unit    *unit
	change  elfdiff.Change
	answer  sleeps.Answer // the worst
	sleeps  []*step       // where it sleeps, or may
	unknown []*step       // where that is not known
	from    map[string]bool
}

// add notes a call out of the livepatch, and the function on which it all began.
func (f *helper) add(path *step, from string) {
	answer := path.answer()
	switch answer {
	case sleeps.Never:
		return
	case sleeps.May:
		f.sleeps = append(f.sleeps, path)
	default:
		f.unknown = append(f.unknown, path)
	}
	f.answer = max(f.answer, answer)
	f.from[from] = true
}

// shown is how many paths a finding names.
const shown = 4

func (f *helper) report(pass *analyze.Pass) {
	if f.answer == sleeps.Never {
		return
	}
	from := strings.Join(slices.Sorted(maps.Keys(f.from)), ", ")
	out := finding.Finding{ID: finding.IDUnseenSleep, Severity: finding.Warning,
		Remedy: "write barrier() between the call and the return in " + from +
			", so that it stays a call, or never unload the module"}
	what, steps := "may sleep", f.sleeps
	if f.answer != sleeps.May {
		out.Severity, out.Unknown, what, steps = finding.Note, true, "calls what is not known to sleep or not",
			f.unknown
	}
	out.Message = fmt.Sprintf("only the livepatch has it, it %s, and %s jumps to it instead of calling it: a task in "+
		"it is not seen when the livepatch is disabled, and returns to freed memory when the module is unloaded", what,
		from)
	var paths []string
	for _, s := range steps {
		if w := s.path(); !slices.Contains(paths, w) {
			paths = append(paths, w)
		}
	}
	out.Evidence = append(out.Evidence, paths[:min(len(paths), shown)]...)
	if n := len(paths) - shown; n > 0 {
		out.Evidence = append(out.Evidence, fmt.Sprintf("and %d more", n))
	}
	pass.ReportChange(f.unit.Unit, f.change, out)
}
