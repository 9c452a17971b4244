package report

import (
	"bufio"
	"fmt"
	"io"
	"strings"

	"github.com/klpforge/klpforge/finding"
)

// TextOptions say how text looks.
type TextOptions struct {
	Color bool // use the colours of a terminal
}

// Text writes the report for a person at a terminal.
func Text(w io.Writer, report *Report, o TextOptions) error {
	out := bufio.NewWriter(w)
	text := &texter{w: out, color: o.Color}

	// The answer first, then why; what could not be proven comes last, as it may be long.
	if answer := report.Answer(); answer != "" {
		fmt.Fprintln(text.w, text.paint(bold, answer))
	}
	for _, n := range report.Notes {
		fmt.Fprintf(text.w, "%s %s\n", text.paint(dim, heading(n.Kind)), n.Text)
	}
	for i := range report.Findings {
		if found := &report.Findings[i]; !notProven(found) {
			text.finding(found)
		}
	}

	for _, suppressed := range report.Suppressions {
		unused := ""
		if report.Unused(suppressed) {
			unused = " (nothing to accept)"
		}
		fmt.Fprintf(text.w, "%s %s by %s: %s%s\n", text.paint(dim, "accepted:"), suppressed.ID, suppressed.From,
			suppressed.Reason, unused)
	}

	if len(report.Functions) > 0 {
		fmt.Fprintf(text.w, "a livepatch for %s would replace:\n", report.Release)
	}
	for _, fn := range report.Functions {
		pos := ""
		if fn.Sympos > 0 {
			pos = fmt.Sprintf(",%d", fn.Sympos)
		}
		fmt.Fprintf(text.w, "  %-12s %s  %s\n", fn.Object, text.paint(bold, fn.Name+pos),
			strings.Join(fn.Reasons, "; "))
	}

	text.notProven(report.Findings)
	if report.Error != "" {
		fmt.Fprintf(text.w, "%s\n", text.paint(red, report.Error))
	}
	fmt.Fprintln(text.w, report.summary())
	return out.Flush()
}

// heading is what stands before a note of a kind.
func heading(kind finding.RemarkKind) string {
	switch kind {
	case finding.RemarkApplied:
		return "applied:"
	case finding.RemarkLeftOut:
		return "left out:"
	}
	return "note:"
}

type texter struct {
	w     io.Writer
	color bool
}

const (
	red    = "31;1"
	yellow = "33;1"
	green  = "32;1"
	cyan   = "36"
	bold   = "1"
	dim    = "2"
)

func (t *texter) paint(style, text string) string {
	if !t.color || text == "" {
		return text
	}
	return "\x1b[" + style + "m" + text + "\x1b[0m"
}

func (t *texter) finding(found *finding.Finding) {
	style := map[finding.Severity]string{finding.Error: red, finding.Warning: yellow,
		finding.Note: cyan}[found.Severity]
	word := found.Severity.String()
	// A verdict is no fault, and an accepted finding no longer one: colour and word say so.
	switch {
	case found.Allowed != "":
		style, word = dim, "accepted "+word
	case found.Given:
		style, word = green, "verdict"
	case found.ID.IsVerdict():
		style, word = dim, "verdict"
	}

	where := []string{}
	if found.Symbol != "" {
		where = append(where, t.paint(bold, found.Symbol))
	}
	position := found.New
	if position.File == "" {
		position = found.Old
	}
	if s := position.String(); s != "" && s != found.Symbol {
		where = append(where, s)
	}
	if found.Object != "" && len(where) > 0 {
		where = append(where, "["+found.Object+"]")
	}

	fmt.Fprintln(t.w, strings.Join(append([]string{t.paint(style, word+" "+string(found.ID))}, where...), "  "))
	t.para("", found.Message)
	for _, e := range found.Evidence {
		t.para("- ", e)
	}
	if len(found.Who) > 0 {
		t.para("affects: ", strings.Join(found.Who, ", "))
	}
	if found.Remedy != "" {
		t.para("remedy: ", found.Remedy)
	}
	if found.Allowed != "" {
		t.para("accepted: ", found.Allowed)
	}
}

// notProven reports whether the finding is a verdict that is not given. Most
// livepatches have none, and the kernel's consistency model does not need it: the
// report does not begin with that.
func notProven(f *finding.Finding) bool { return f.ID.IsVerdict() && !f.Given && f.Allowed == "" }

// notProven says in a line or two, at the end, which verdicts are not given, and
// the first reason. The other reasons are in the JSON form.
func (t *texter) notProven(list []finding.Finding) {
	const width = 200
	var ids []string
	why, more := "", 0
	for i := range list {
		if found := &list[i]; notProven(found) {
			if ids = append(ids, string(found.ID)); why == "" {
				why, more = found.Message, len(found.Evidence)
			}
		}
	}
	if len(ids) == 0 {
		return
	}
	if r := []rune(why); len(r) > width {
		why = string(r[:width]) + "…"
	}
	if more > 0 {
		why += fmt.Sprintf(" (and %d more, see --format json)", more)
	}
	t.para(strings.Join(ids, ", ")+": ", why)
}

// para writes text wrapped to 100 columns.
func (t *texter) para(lead, text string) {
	const width, indent = 100, "    "
	line := indent + lead
	used := false
	for _, word := range strings.Fields(text) {
		if used && len(line)+1+len(word) > width {
			fmt.Fprintln(t.w, line)
			line, used = indent+strings.Repeat(" ", len(lead)), false
		}
		if used {
			line += " "
		}
		line += word
		used = true
	}
	fmt.Fprintln(t.w, line)
}
