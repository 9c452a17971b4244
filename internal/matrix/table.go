package main

import (
	_ "embed"
	"fmt"
	"strings"
	"text/tabwriter"
)

// cell is a cell as text. No cell is empty.
func cell(s *State, c Column) string {
	if s == nil {
		return "not run"
	}
	x, ok := s.Cells[c]
	switch {
	case !ok:
		return "not run"
	case x.Text == "":
		return string(x.Outcome)
	case x.Outcome == Untried:
		return string(Untried) + ": " + x.Text
	case x.Outcome == Done:
		return "ok: " + x.Text
	}
	return string(x.Outcome) + ": " + x.Text
}

// facts are the first columns of a row: what was tried where.
func facts(r Row, s *State) (kernel, compiler, host, program string) {
	unknown := "not run"
	if s == nil {
		return r.Title, unknown, unknown, unknown
	}
	kernel = r.Title
	if s.Release != "" {
		kernel += " " + s.Release
	}
	orUnknown := func(text string) string {
		if text == "" {
			return unknown
		}
		return text
	}
	return kernel, orUnknown(shortCompiler(s.Compiler)), orUnknown(s.Host), s.Program[:min(8, len(s.Program))]
}

// shortCompiler is a compiler as kernels record it, without the distribution's name for it:
// "gcc-12 (Debian 12.2.0-14+deb12u1) 12.2.0" becomes "gcc-12 12.2.0".
func shortCompiler(text string) string {
	before, after, ok := strings.Cut(text, "(")
	if !ok {
		return text
	}
	_, after, _ = strings.Cut(after, ")")
	return strings.Join(strings.Fields(before+after), " ")
}

// table is the table for a terminal: a row of the matrix is a block of lines, because ten
// columns of phrases fit on no screen.
func table(of []Row, states []*State) string {
	var b strings.Builder
	for i, r := range of {
		kernel, compiler, host, program := facts(r, states[i])
		fmt.Fprintf(&b, "%s: %s, %s, on %s, klpforge %s\n", r.Name, kernel, compiler, host, program)
		w := tabwriter.NewWriter(&b, 0, 8, 2, ' ', 0)
		for _, c := range columns {
			fmt.Fprintf(w, "  %s\t%s\n", c, cell(states[i], c))
		}
		w.Flush()
	}
	return b.String()
}

//go:embed page.md
var pageText string

// page is docs/matrix.md.
func page(of []Row, states []*State) string {
	var b strings.Builder
	b.WriteString(pageText)
	b.WriteString("\n| kernel | compiler | host |")
	for _, c := range columns {
		fmt.Fprintf(&b, " %s |", c)
	}
	b.WriteString(" klpforge |\n|" + strings.Repeat(" --- |", len(columns)+4) + "\n")
	for i, r := range of {
		kernel, compiler, host, program := facts(r, states[i])
		fmt.Fprintf(&b, "| %s | %s | %s |", plain(kernel), plain(compiler), plain(host))
		for _, c := range columns {
			fmt.Fprintf(&b, " %s |", plain(cell(states[i], c)))
		}
		fmt.Fprintf(&b, " %s |\n", program)
	}
	for i, r := range of {
		if states[i] == nil || len(states[i].Refused) == 0 {
			continue
		}
		fmt.Fprintf(&b, "\n## %s: what was refused or failed\n\n| file | result | findings | first message |\n| --- | --- | --- | --- |\n", r.Title)
		for _, line := range states[i].Refused {
			b.WriteString("|")
			for _, field := range strings.Split(line, "\t") {
				fmt.Fprintf(&b, " %s |", plain(field))
			}
			b.WriteString("\n")
		}
	}
	return b.String()
}

// plain makes text fit into a cell of a table.
func plain(text string) string {
	text = strings.ReplaceAll(strings.Join(strings.Fields(text), " "), "|", `\|`)
	if len(text) > 240 {
		text = strings.ToValidUTF8(text[:240], "") + " …"
	}
	if text == "" {
		return "-"
	}
	return text
}
