package selection

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"slices"
	"strings"
)

// Text prints the result for a terminal: the CVEs, the totals, what is left out and why,
// and what is live.
func (r *Result) Text(out io.Writer) {
	if r.Part != nil {
		fmt.Fprintf(out, "%s\n%s: part %d of %d: %d object(s) compiled, %.0f s\n", r.Update, r.Release, r.Part.Number, r.Part.Of,
			r.Part.Objects, r.Cost.Seconds)
		return
	}
	fmt.Fprintf(out, "%s\n%s\n", r.Update, r.Headline())
	if r.Module != "" {
		fmt.Fprintf(out, "module: %s\n", r.Module)
	}
	if r.Manifest != "" {
		fmt.Fprintf(out, "manifest: %s\n", r.Manifest)
	}

	// What is asked for first.
	if len(r.CVEs) > 0 {
		fmt.Fprintln(out, "\nCVEs")
	}
	for _, cve := range r.CVEs {
		line := fmt.Sprintf("  %-16s %-12s", cve.ID, strings.ReplaceAll(string(cve.Status), "_", " "))
		if len(cve.LeftOut) > 0 {
			line += " left out: " + strings.Join(cve.LeftOut, ", ")
		}
		fmt.Fprintln(out, strings.TrimRight(line, " "))
	}

	fmt.Fprintf(out, "\n%-28s %6s %9s %9s %13s %9s\n", "subsystem", "live", "left out", "no code", "not compiled",
		"there")
	for _, row := range r.Subsystems {
		fmt.Fprintf(out, "%-28s %6d %9d %9d %13d %9d\n", row.Name, row.Live, row.LeftOut, row.NoCode, row.Elsewhere,
			row.Present)
	}

	// What is left out comes first: it is what somebody has to act on.
	for _, fate := range []Fate{LeftOut, Live, NoCode, Present, Elsewhere} {
		list := r.of(fate)
		if len(list) == 0 {
			continue
		}
		fmt.Fprintf(out, "\n%s (%d)\n", fate, len(list))
		for _, verdict := range list {
			fmt.Fprintf(out, "  %s\n", verdict.line())
			if verdict.Why != "" {
				fmt.Fprintf(out, "      %s\n", verdict.Why)
			}
			for _, remark := range verdict.Know {
				fmt.Fprintf(out, "      %s\n", remark)
			}
			if verdict.Rescue != "" {
				fmt.Fprintf(out, "      to have it live: %s\n", verdict.Rescue)
			}
		}
	}
	if len(r.Binary) > 0 {
		fmt.Fprintf(out, "\nbinary files, left out: %s\n", strings.Join(r.Binary, ", "))
	}
	fmt.Fprintf(out, "\n%d reviews, %.0f s, of them %.0f s of compilations on all processors\n", r.Cost.Reviews,
		r.Cost.Seconds,
		r.Cost.Compile)
}

// of lists the slices of one fate.
func (r *Result) of(f Fate) []Verdict {
	return slices.DeleteFunc(slices.Clone(r.Slices), func(verdict Verdict) bool { return verdict.Fate != f })
}

// line is a slice with its title and ids, cut to what fits a line.
func (v *Verdict) line() string {
	line := v.Name
	if v.Title != "" {
		line += "  " + v.Title
	}
	if len(line) > 100 {
		line = line[:97] + "..."
	}
	if len(v.IDs) > 0 {
		line += "  [" + strings.Join(v.IDs, " ") + "]"
	}
	return line
}

//go:embed selection.html
var page string

var pageTemplate = template.Must(template.New("selection").Funcs(template.FuncMap{
	"join": strings.Join, "words": func(status Status) string { return strings.ReplaceAll(string(status), "_", " ") },
}).Parse(page))

// HTML writes the result as one page that needs nothing else.
func (r *Result) HTML(out io.Writer) error {
	values := struct {
		*Result
		Groups []group
	}{Result: r}
	for _, fate := range []Fate{LeftOut, Live, NoCode, Present, Elsewhere} {
		if list := r.of(fate); len(list) > 0 {
			values.Groups = append(values.Groups, group{fate, list})
		}
	}
	return pageTemplate.Execute(out, values)
}

// group is the slices of one fate.
type group struct {
	Fate   Fate
	Slices []Verdict
}
