package report

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"strings"

	"github.com/klpforge/klpforge/analyze"
)

//go:embed page.html
var page string

var pageTemplate = template.Must(template.New("page").Funcs(template.FuncMap{
	"place": place, "isVerdict": func(f analyze.Finding) bool { return IsVerdict(&f) }, "join": strings.Join, "heading": heading,
	"layoutRows": LayoutRows,
	"hex":        func(n int) string { return fmt.Sprintf("%#x", n) },
	"where": func(f analyze.Finding) string {
		if f.New.File == "" {
			return place(f.Old)
		}
		return place(f.New)
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
		Verdicts []analyze.Finding
		Others   []analyze.Finding
		Sources  []file
		Titles   map[string]string
	}{Report: r, Summary: r.summary(), Titles: map[string]string{}}
	for _, f := range r.Findings {
		if IsVerdict(&f) {
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
