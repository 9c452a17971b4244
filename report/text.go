package report

import (
	"bufio"
	"fmt"
	"io"
	"regexp"
	"strings"

	"github.com/klpforge/klpforge/finding"
)

// TextOptions say how text looks.
type TextOptions struct {
	Color bool // use the colours of a terminal
}

// Text writes the report for a person at a terminal.
func Text(w io.Writer, r *Report, o TextOptions) error {
	out := bufio.NewWriter(w)
	t := &texter{w: out, color: o.Color}
	if answer := r.Answer(); answer != "" {
		fmt.Fprintln(t.w, t.paint(bold, answer))
	}
	for _, n := range r.Notes {
		fmt.Fprintf(t.w, "%s %s\n", t.paint(dim, heading(n)), n)
	}
	for i := range r.Findings {
		if f := &r.Findings[i]; !notProven(f) {
			t.finding(f)
		}
	}
	for _, s := range r.Suppressions {
		unused := ""
		if r.Unused(s) {
			unused = " (nothing to accept)"
		}
		fmt.Fprintf(t.w, "%s %s by %s: %s%s\n", t.paint(dim, "accepted:"), s.ID, s.From, s.Reason, unused)
	}
	if len(r.Functions) > 0 {
		fmt.Fprintf(t.w, "a livepatch for %s would replace:\n", r.Release)
	}
	for _, f := range r.Functions {
		pos := ""
		if f.Sympos > 0 {
			pos = fmt.Sprintf(",%d", f.Sympos)
		}
		fmt.Fprintf(t.w, "  %-12s %s  %s\n", f.Object, t.paint(bold, f.Name+pos), strings.Join(f.Reasons, "; "))
	}
	t.notProven(r.Findings)
	if r.Error != "" {
		fmt.Fprintf(t.w, "%s\n", t.paint(red, r.Error))
	}
	fmt.Fprintln(t.w, r.summary())
	return out.Flush()
}

// heading is what stands before a note. A note says itself what became of its
// subject: hunks that were applied in another way than written (package patchset)
// and what was left out have headings of their own.
func heading(note string) string {
	switch {
	case appliedRE.MatchString(note):
		return "applied:"
	case strings.Contains(note, "left out"):
		return "left out:"
	}
	return "note:"
}

var appliedRE = regexp.MustCompile(`: hunk \d+: (applied (at line \d+, offset|with fuzz \d)|has no context)`)

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

func (t *texter) paint(style, s string) string {
	if !t.color || s == "" {
		return s
	}
	return "\x1b[" + style + "m" + s + "\x1b[0m"
}

func (t *texter) finding(f *finding.Finding) {
	style := map[finding.Severity]string{finding.Error: red, finding.Warning: yellow, finding.Note: cyan}[f.Severity]
	word := f.Severity.String()
	switch {
	case f.Allowed != "":
		style, word = dim, "accepted "+word
	case f.Given:
		style, word = green, "verdict"
	case f.ID.IsVerdict():
		style, word = dim, "verdict"
	}
	where := []string{}
	if f.Symbol != "" {
		where = append(where, t.paint(bold, f.Symbol))
	}
	p := f.New
	if p.File == "" {
		p = f.Old
	}
	if s := p.String(); s != "" && s != f.Symbol {
		where = append(where, s)
	}
	if f.Object != "" && len(where) > 0 {
		where = append(where, "["+f.Object+"]")
	}
	fmt.Fprintln(t.w, strings.Join(append([]string{t.paint(style, word+" "+string(f.ID))}, where...), "  "))
	t.para("", f.Message)
	for _, e := range f.Evidence {
		t.para("- ", e)
	}
	if len(f.Who) > 0 {
		t.para("affects: ", strings.Join(f.Who, ", "))
	}
	if f.Remedy != "" {
		t.para("remedy: ", f.Remedy)
	}
	if f.Allowed != "" {
		t.para("accepted: ", f.Allowed)
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
		if f := &list[i]; notProven(f) {
			if ids = append(ids, string(f.ID)); why == "" {
				why, more = f.Message, len(f.Evidence)
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
	for _, w := range strings.Fields(text) {
		if used && len(line)+1+len(w) > width {
			fmt.Fprintln(t.w, line)
			line, used = indent+strings.Repeat(" ", len(lead)), false
		}
		if used {
			line += " "
		}
		line += w
		used = true
	}
	fmt.Fprintln(t.w, line)
}
