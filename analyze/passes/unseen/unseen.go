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
)

//go:embed doc.go
var doc string

// New makes the analyzer.
func New() *analyze.Analyzer {
	return &analyze.Analyzer{Name: "unseen", Doc: analyze.PackageDoc(doc), Checks: []analyze.Check{{ID: "KLP216", Title: "sleeps in code that the stack check does not see"}}, Run: run}
}

func run(p *analyze.Pass) error {
	if p.API != nil && !p.API.Features.Consistency {
		return nil // no stack is checked
	}
	l := newLivepatch(p.Units)
	found := l.search()
	if !slices.ContainsFunc(found, func(f *finding) bool { return f.answer != sleeps.Never }) {
		return nil
	}
	if p.Kernel != nil { // it may know what the objects do not
		k, err := p.Kernel()
		if err != nil {
			return fmt.Errorf("look for sleeping functions in the kernel: %w", err)
		}
		l.ask(k)
		found = l.search()
	}
	for _, f := range found {
		f.report(p)
	}
	return nil
}

// finding is what is known of one helper, or of the cold part of one function.
type finding struct {
	unit    *unit
	change  elfdiff.Change
	helper  bool
	answer  sleeps.Answer // the worst
	sleeps  []string      // ways to where it sleeps, or may
	unknown []string      // ways to what is not known
	from    map[string]bool
}

// add notes a way on which something was found.
func (f *finding) add(a sleeps.Answer, from, way string) {
	list := &f.unknown
	switch a {
	case sleeps.Never:
		return
	case sleeps.May:
		list = &f.sleeps
	}
	f.answer = max(f.answer, a)
	if f.from[from] = true; !slices.Contains(*list, way) {
		*list = append(*list, way)
	}
}

// shown is how many ways a finding names.
const shown = 4

func (f *finding) report(p *analyze.Pass) {
	if f.answer == sleeps.Never {
		return
	}
	out := analyze.Finding{ID: "KLP216", Severity: analyze.Warning, Remedy: "write barrier() before the message that the cold path begins with, which keeps it in the function, or never unload the module"}
	what, ways := "may sleep", f.sleeps
	if f.answer != sleeps.May {
		out.Severity, out.Unknown, what, ways = analyze.Note, true, "calls what is not known to sleep or not", f.unknown
	}
	switch {
	case f.helper:
		from := slices.Sorted(maps.Keys(f.from))
		out.Message = fmt.Sprintf("only the livepatch has it, it %s, and %s jumps to it instead of calling it: a task in it is not seen when the livepatch is disabled, and returns to freed memory when the module is unloaded",
			what, strings.Join(from, ", "))
		out.Remedy = "write barrier() between the call of it and the return in " + strings.Join(from, ", ") + ", so that it stays a call, or never unload the module"
	default:
		out.Message = "its cold part, which the stack check does not see, " + what + ": a task in it is passed over when the livepatch is disabled, and returns to freed memory when the module is unloaded"
	}
	out.Evidence = append(out.Evidence, ways[:min(len(ways), shown)]...)
	if n := len(ways) - shown; n > 0 {
		out.Evidence = append(out.Evidence, fmt.Sprintf("and %d more", n))
	}
	p.ReportChange(f.unit.Unit, f.change, out)
}
