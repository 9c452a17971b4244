package main

import (
	"fmt"
	"strings"

	"github.com/ianlancetaylor/demangle"
	"github.com/spf13/cobra"

	"github.com/klpforge/klpforge/elfdiff"
	"github.com/klpforge/klpforge/elfobj"
	"github.com/klpforge/klpforge/finding"
)

func (a *app) diffCmd() *cobra.Command {
	var format, failOn string
	var countLines bool
	cmd := &cobra.Command{
		Use:   "diff [flags] ORIG.o PATCHED.o",
		Short: "Compare two builds of one object file",
		Long: `Compare two builds of one object file by what their functions and data mean.

Needs the two objects and nothing else. Compile both with -ffunction-sections
-fdata-sections for a fine result.

Functions in which only line numbers differ (those of WARN and BUG, of might_sleep and of
other calls that are known to take one) are named apart and do not count as changed, but
with --count-lines. What could be another number counts.`,
		Example: `  klpforge diff mballoc.orig.o mballoc.o
  klpforge diff --format json a.o b.o | jq '.functions[].name'`,
		Args: exactArgs(2, "two object files"),
		RunE: func(_ *cobra.Command, args []string) error {
			return a.diff(args[0], args[1], format, failOn, countLines)
		},
	}
	cmd.Flags().StringVar(&format, "format", "text", "text or json")
	cmd.Flags().BoolVar(&countLines, "count-lines", false,
		"count functions as changed in which only line numbers differ")
	cmd.Flags().StringVar(&failOn, "fail-on", "error",
		"exit 1 for problems of this severity or above: error, warning or note")
	return cmd
}

// diff compares two object files and fails for problems at or above failOn.
func (a *app) diff(before, after, format, failOn string, countLines bool) error {
	level, err := parseSeverity(failOn)
	if err != nil {
		return err
	}
	if err := checkFormat(format); err != nil {
		return err
	}

	orig, err := elfobj.ReadFile(before)
	if err != nil {
		return err
	}
	patched, err := elfobj.ReadFile(after)
	if err != nil {
		return err
	}
	result, err := elfdiff.DiffWith(orig, patched, elfdiff.Options{CountLines: countLines})
	if err != nil {
		return fmt.Errorf("compare %s with %s: %w", before, after, err)
	}
	if format == "json" {
		err = writeJSON(a, diffDocument(before, after, result))
	} else {
		a.printDiff(result)
	}
	if err != nil {
		return err
	}

	// What was printed is complete; the threshold is for the exit code alone.
	for _, found := range result.Problems {
		if found.Severity >= level {
			return &exitError{code: exitFindings, err: &found, quiet: true}
		}
	}
	return nil
}

func parseSeverity(word string) (finding.Severity, error) {
	severity, err := finding.ParseSeverity(word)
	if err != nil {
		return 0, usageError("unknown severity %q: error, warning or note", word)
	}
	return severity, nil
}

type diffJSON struct {
	Schema    string        `json:"schema"`
	Orig      string        `json:"orig"`
	Patched   string        `json:"patched"`
	Arch      string        `json:"arch"`
	Functions []diffFunc    `json:"functions"`
	Lines     []diffFunc    `json:"lines"` // only their line numbers differ
	Data      []diffData    `json:"data"`
	Problems  []diffProblem `json:"problems"`
}

type diffFunc struct {
	Name    string             `json:"name"`
	Change  elfdiff.ChangeKind `json:"change"`
	Section string             `json:"section"`
	Reasons []string           `json:"reasons"`
}

type diffData struct {
	Name    string             `json:"name"`
	Change  elfdiff.ChangeKind `json:"change"`
	Section string             `json:"section"`
}

// diffProblem is a finding with the fields that the contract promises always
// present.
type diffProblem struct {
	ID       finding.ID       `json:"id"`
	Severity finding.Severity `json:"severity"`
	Symbol   string           `json:"symbol"`
	Section  string           `json:"section,omitempty"`
	Message  string           `json:"message"`
	Remedy   string           `json:"remedy,omitempty"`
}

func diffDocument(orig, patched string, result *elfdiff.Result) diffJSON {
	doc := diffJSON{Schema: "klpforge.diff/v1", Orig: orig, Patched: patched, Arch: result.Orig.Arch.Name(),
		Functions: []diffFunc{}, Lines: []diffFunc{}, Data: []diffData{}, Problems: []diffProblem{}}
	for _, change := range result.Listed() {
		reasons := change.Reasons
		if reasons == nil {
			reasons = []string{}
		}
		doc.Functions = append(doc.Functions, diffFunc{change.Name, change.Kind, change.Section, reasons})
	}
	for _, change := range result.Lines {
		doc.Lines = append(doc.Lines, diffFunc{change.Name, change.Kind, change.Section, change.Reasons})
	}
	for _, change := range result.Data {
		doc.Data = append(doc.Data, diffData{change.Name, change.Kind, change.Section})
	}
	for _, p := range result.Problems {
		doc.Problems = append(doc.Problems, diffProblem{p.ID, p.Severity, p.Symbol, p.Section, p.Message, p.Remedy})
	}
	return doc
}

func (a *app) printDiff(result *elfdiff.Result) {
	listed := result.Listed()
	if len(listed)+len(result.Data)+len(result.Problems) == 0 {
		fmt.Fprintln(a.out, "no difference")
	}
	for _, change := range listed {
		fmt.Fprintf(a.out, "%-8s function  %s", change.Kind, demangle.Filter(change.Name))
		if len(change.Reasons) > 0 {
			fmt.Fprintf(a.out, "  (%s)", strings.Join(change.Reasons, "; "))
		}
		fmt.Fprintln(a.out)
	}

	// Functions that were left out are named all the same, in one line: the reader decides.
	if len(result.Lines) > 0 {
		names := make([]string, len(result.Lines))
		for i := range result.Lines {
			names[i] = demangle.Filter(result.Lines[i].Name)
		}
		what := "only its line numbers differ"
		if len(names) > 1 {
			what = "only their line numbers differ"
		}
		fmt.Fprintf(a.out, "left out function  %s  (%s; --count-lines counts them)\n", strings.Join(names, ", "), what)
	}

	for _, c := range result.Data {
		fmt.Fprintf(a.out, "%-8s data      %s  in %s\n", c.Kind, demangle.Filter(c.Name), c.Section)
	}

	for i := range result.Problems {
		found := &result.Problems[i]
		fmt.Fprintf(a.out, "%s %s\n", found.Severity, found.Error())
		if found.Remedy != "" {
			fmt.Fprintf(a.out, "      remedy: %s\n", found.Remedy)
		}
	}
}
