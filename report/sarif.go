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
func SARIF(out io.Writer, report *Report) error {
	log, err := sarif.New(sarif.Version210)
	if err != nil {
		return fmt.Errorf("write SARIF: %w", err)
	}
	run := sarif.NewRunWithInformationURI("klpforge", home)
	if report.Version != "" {
		run.Tool.Driver.Version = &report.Version
	}
	index := map[finding.ID]int{}
	for i, check := range report.Checks {
		index[check.ID] = i
		run.AddRule(string(check.ID)).WithName(ruleName(check.Title)).WithDescription(check.Title).
			WithFullDescription(sarif.NewMultiformatMessageString(firstParagraph(check.Doc))).WithTextHelp(check.Doc)
	}
	for i := range report.Findings {
		found := &report.Findings[i]
		res := run.CreateResultForRule(string(found.ID)).WithMessage(sarif.NewTextMessage(message(found)))
		if k, ok := index[found.ID]; ok {
			res.WithRuleIndex(k)
		}
		kind := "fail"
		switch {
		case found.Given:
			kind = "pass"
		case found.Unknown:
			kind = "open"
		case found.ID.IsVerdict():
			kind = "informational"
		}
		res.WithKind(kind)
		// SARIF wants level "none" for every kind but "fail".
		res.WithLevel("none")
		if kind == "fail" {
			res.WithLevel(found.Severity.String())
		}
		if l := location(found); l != nil {
			res.AddLocation(l)
		}
		res.WithPartialFingerPrints(map[string]any{"klpforge/v1": strings.Join([]string{string(found.ID), found.Object,
			found.Unit, found.Symbol}, "|")})
		if found.Allowed != "" {
			res.AddSuppression(suppression(report, found))
		}
	}
	inv := run.AddInvocation(report.Error == "" || len(report.Findings) > 0)
	inv.ExitCode = &report.Exit
	log.AddRun(run)
	return writeWithoutNulls(out, log)
}

func message(found *finding.Finding) string {
	var text strings.Builder
	if found.Symbol != "" {
		text.WriteString(found.Symbol + ": ")
	}
	text.WriteString(found.Message)
	for _, e := range found.Evidence {
		text.WriteString("\n- " + e)
	}
	if len(found.Who) > 0 {
		text.WriteString("\nAffects: " + strings.Join(found.Who, ", "))
	}
	if found.Remedy != "" {
		text.WriteString("\nRemedy: " + found.Remedy)
	}
	return text.String()
}

// uri makes a relative reference of a slash path.
func uri(path string) string { return (&url.URL{Path: path}).String() }

func physical(position finding.Position) *sarif.PhysicalLocation {
	a := sarif.NewSimpleArtifactLocation(uri(position.File)).WithUriBaseId("SRCROOT")
	l := sarif.NewPhysicalLocation().WithArtifactLocation(a)
	if position.Line > 0 {
		l.WithRegion(sarif.NewRegion().WithStartLine(position.Line))
	}
	return l
}

func location(found *finding.Finding) *sarif.Location {
	place := sarif.NewLocation()
	position := found.New
	if position.File == "" {
		position = found.Old
	}
	if position.File != "" {
		place.WithPhysicalLocation(physical(position))
	}
	if found.Symbol != "" {
		full := found.Symbol
		if found.Object != "" {
			full = found.Object + ":" + full
		}
		kind := "function"
		place.AddLogicalLocations(&sarif.LogicalLocation{Name: &found.Symbol, FullyQualifiedName: &full, Kind: &kind})
	}
	if position.File == "" && found.Symbol == "" {
		return nil
	}
	return place
}

func suppression(r *Report, found *finding.Finding) *sarif.Suppression {
	suppressed := sarif.NewSuppression("external").WithStatus("accepted").WithJustifcation(found.Allowed)
	for _, have := range r.Suppressions {
		file, line, ok := strings.Cut(have.From, ":")
		n, err := strconv.Atoi(line)
		if have.ID == found.ID && ok && err == nil {
			suppressed.Kind = "inSource"
			suppressed.WithLocation(sarif.NewLocation().WithPhysicalLocation(sarif.NewPhysicalLocation().
				WithArtifactLocation(sarif.NewSimpleArtifactLocation(uri(file))).
				WithRegion(sarif.NewRegion().WithStartLine(n))))
		}
	}
	return suppressed
}

// ruleName makes the identifier that viewers show from a title.
func ruleName(title string) string {
	var out strings.Builder
	for _, word := range strings.FieldsFunc(title, func(c rune) bool {
		return !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9')
	}) {
		out.WriteString(strings.ToUpper(word[:1]) + word[1:])
	}
	return out.String()
}

func firstParagraph(doc string) string {
	p, _, _ := strings.Cut(strings.TrimSpace(doc), "\n\n")
	return strings.Join(strings.Fields(p), " ")
}

// writeWithoutNulls drops members that are null, which the schema forbids and
// the library writes for what is not set.
func writeWithoutNulls(out io.Writer, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("write SARIF: %w", err)
	}
	var tree any
	if err := json.Unmarshal(data, &tree); err != nil {
		return fmt.Errorf("write SARIF: %w", err)
	}
	prune(tree)
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(tree)
}

func prune(value any) {
	switch tree := value.(type) {
	case map[string]any:
		for k, x := range tree {
			if x == nil {
				delete(tree, k)
			} else {
				prune(x)
			}
		}
	case []any:
		for _, x := range tree {
			prune(x)
		}
	}
}
