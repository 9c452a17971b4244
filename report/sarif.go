package report

import (
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"strings"

	"github.com/owenrumney/go-sarif/v2/sarif"

	"github.com/klpforge/klpforge/finding"
)

const home = "https://github.com/klpforge/klpforge"

// SARIF writes the report as a SARIF 2.1.0 log. Results point at lines of the
// patched files, relative to the source tree (SRCROOT); every check that ran is
// a rule with its text.
func SARIF(w io.Writer, r *Report) error {
	log, err := sarif.New(sarif.Version210)
	if err != nil {
		return fmt.Errorf("write SARIF: %w", err)
	}
	run := sarif.NewRunWithInformationURI("klpforge", home)
	if r.Version != "" {
		run.Tool.Driver.Version = &r.Version
	}
	index := map[finding.ID]int{}
	for i, c := range r.Checks {
		index[c.ID] = i
		run.AddRule(string(c.ID)).WithName(ruleName(c.Title)).WithDescription(c.Title).
			WithFullDescription(sarif.NewMultiformatMessageString(firstParagraph(c.Doc))).WithTextHelp(c.Doc)
	}
	for i := range r.Findings {
		f := &r.Findings[i]
		res := run.CreateResultForRule(string(f.ID)).WithMessage(sarif.NewTextMessage(message(f)))
		if k, ok := index[f.ID]; ok {
			res.WithRuleIndex(k)
		}
		kind := "fail"
		switch {
		case f.Given:
			kind = "pass"
		case f.Unknown:
			kind = "open"
		case f.ID.IsVerdict():
			kind = "informational"
		}
		res.WithKind(kind)
		// SARIF wants level "none" for every kind but "fail".
		res.WithLevel("none")
		if kind == "fail" {
			res.WithLevel(f.Severity.String())
		}
		if l := location(f); l != nil {
			res.AddLocation(l)
		}
		res.WithPartialFingerPrints(map[string]any{"klpforge/v1": strings.Join([]string{string(f.ID), f.Object, f.Unit, f.Symbol}, "|")})
		if f.Allowed != "" {
			res.AddSuppression(suppression(r, f))
		}
	}
	inv := run.AddInvocation(r.Error == "" || len(r.Findings) > 0)
	inv.ExitCode = &r.Exit
	log.AddRun(run)
	return writeWithoutNulls(w, log)
}

func message(f *finding.Finding) string {
	var b strings.Builder
	if f.Symbol != "" {
		b.WriteString(f.Symbol + ": ")
	}
	b.WriteString(f.Message)
	for _, e := range f.Evidence {
		b.WriteString("\n- " + e)
	}
	if len(f.Who) > 0 {
		b.WriteString("\nAffects: " + strings.Join(f.Who, ", "))
	}
	if f.Remedy != "" {
		b.WriteString("\nRemedy: " + f.Remedy)
	}
	return b.String()
}

// uri makes a relative reference of a slash path.
func uri(path string) string { return (&url.URL{Path: path}).String() }

func physical(p finding.Position) *sarif.PhysicalLocation {
	a := sarif.NewSimpleArtifactLocation(uri(p.File)).WithUriBaseId("SRCROOT")
	l := sarif.NewPhysicalLocation().WithArtifactLocation(a)
	if p.Line > 0 {
		l.WithRegion(sarif.NewRegion().WithStartLine(p.Line))
	}
	return l
}

func location(f *finding.Finding) *sarif.Location {
	l := sarif.NewLocation()
	p := f.New
	if p.File == "" {
		p = f.Old
	}
	if p.File != "" {
		l.WithPhysicalLocation(physical(p))
	}
	if f.Symbol != "" {
		full := f.Symbol
		if f.Object != "" {
			full = f.Object + ":" + full
		}
		kind := "function"
		l.AddLogicalLocations(&sarif.LogicalLocation{Name: &f.Symbol, FullyQualifiedName: &full, Kind: &kind})
	}
	if p.File == "" && f.Symbol == "" {
		return nil
	}
	return l
}

func suppression(r *Report, f *finding.Finding) *sarif.Suppression {
	s := sarif.NewSuppression("external").WithStatus("accepted").WithJustifcation(f.Allowed)
	for _, have := range r.Suppressions {
		file, line, ok := strings.Cut(have.From, ":")
		n, err := strconv.Atoi(line)
		if have.ID == f.ID && ok && err == nil {
			s.Kind = "inSource"
			s.WithLocation(sarif.NewLocation().WithPhysicalLocation(sarif.NewPhysicalLocation().
				WithArtifactLocation(sarif.NewSimpleArtifactLocation(uri(file))).WithRegion(sarif.NewRegion().WithStartLine(n))))
		}
	}
	return s
}

// ruleName makes the identifier that viewers show from a title.
func ruleName(title string) string {
	var b strings.Builder
	for _, w := range strings.FieldsFunc(title, func(c rune) bool { return !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9') }) {
		b.WriteString(strings.ToUpper(w[:1]) + w[1:])
	}
	return b.String()
}

func firstParagraph(doc string) string {
	p, _, _ := strings.Cut(strings.TrimSpace(doc), "\n\n")
	return strings.Join(strings.Fields(p), " ")
}

// writeWithoutNulls drops members that are null, which the schema forbids and
// the library writes for what is not set.
func writeWithoutNulls(w io.Writer, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("write SARIF: %w", err)
	}
	var tree any
	if err := json.Unmarshal(data, &tree); err != nil {
		return fmt.Errorf("write SARIF: %w", err)
	}
	prune(tree)
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(tree)
}

func prune(v any) {
	switch v := v.(type) {
	case map[string]any:
		for k, x := range v {
			if x == nil {
				delete(v, k)
			} else {
				prune(x)
			}
		}
	case []any:
		for _, x := range v {
			prune(x)
		}
	}
}
