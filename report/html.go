package report

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"strings"

	"github.com/klpforge/klpforge/analyze"
	"github.com/klpforge/klpforge/analyze/types"
	"github.com/klpforge/klpforge/finding"
)

//go:embed page.html
var page string

var pageTemplate = template.Must(template.New("page").Funcs(template.FuncMap{
	"place": finding.Position.String, "join": strings.Join, "heading": heading,
	"layouts": func(f finding.Finding) []types.Change { return analyze.Layouts(&f) }, "layoutRows": LayoutRows,
	"hex": func(n int) string { return fmt.Sprintf("%#x", n) },
	"where": func(found finding.Finding) string {
		if found.New.File == "" {
			return found.Old.String()
		}
		return found.New.String()
	},
}).Parse(page))

// HTML writes the report as one page that needs nothing else: no script, no
// font, no request.
func HTML(out io.Writer, report *Report) error {
	type file struct {
		Path string
		Rows []Row
	}
	values := struct {
		*Report
		Summary  string
		Verdicts []finding.Finding
		Others   []finding.Finding
		Sources  []file
		Titles   map[finding.ID]string
	}{Report: report, Summary: report.summary(), Titles: map[finding.ID]string{}}
	for _, found := range report.Findings {
		if found.ID.IsVerdict() {
			values.Verdicts = append(values.Verdicts, found)
		} else {
			values.Others = append(values.Others, found)
		}
	}
	for _, c := range report.Checks {
		values.Titles[c.ID] = c.Title
	}
	for i := range report.Files {
		values.Sources = append(values.Sources, file{report.Files[i].Path, SourceRows(&report.Files[i])})
	}
	return pageTemplate.Execute(out, values)
}
