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
	"where": func(f finding.Finding) string {
		if f.New.File == "" {
			return f.Old.String()
		}
		return f.New.String()
	},
}).Parse(page))

// HTML writes the report as one page that needs nothing else: no script, no
// font, no request.
func HTML(w io.Writer, r *Report) error {
	type file struct {
		Path string
		Rows []Row
	}
	d := struct {
		*Report
		Summary  string
		Verdicts []finding.Finding
		Others   []finding.Finding
		Sources  []file
		Titles   map[finding.ID]string
	}{Report: r, Summary: r.summary(), Titles: map[finding.ID]string{}}
	for _, f := range r.Findings {
		if f.ID.IsVerdict() {
			d.Verdicts = append(d.Verdicts, f)
		} else {
			d.Others = append(d.Others, f)
		}
	}
	for _, c := range r.Checks {
		d.Titles[c.ID] = c.Title
	}
	for i := range r.Files {
		d.Sources = append(d.Sources, file{r.Files[i].Path, SourceRows(&r.Files[i])})
	}
	return pageTemplate.Execute(w, d)
}
