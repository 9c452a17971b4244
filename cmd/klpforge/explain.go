package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/klpforge/klpforge/analyze/all"
	"github.com/klpforge/klpforge/finding"
)

func (a *app) explainCmd() *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:   "explain [ID...]",
		Short: "Tell what a finding means and what to do",
		Long: `Tell what a finding means, what decides it, and what to do. Without an ID, list
all of them.`,
		Example: `  klpforge explain KLP103`,
		RunE: func(_ *cobra.Command, args []string) error {
			if err := checkFormat(format); err != nil {
				return err
			}
			return a.explain(args, format)
		},
	}
	cmd.Flags().StringVar(&format, "format", "text", "text or json")
	return cmd
}

type explainJSON struct {
	Schema string        `json:"schema"`
	Checks []explainItem `json:"checks"`
}

type explainItem struct {
	ID    finding.ID `json:"id"`
	Title string     `json:"title"`
	Text  string     `json:"text"`
}

func (a *app) explain(ids []string, format string) error {
	registry := all.Registry()
	list := registry.Checks()
	if len(ids) > 0 {
		list = list[:0]
		for _, id := range ids {
			check, ok := registry.Check(finding.ID(strings.ToUpper(id)))
			if !ok {
				return usageError("no check is called %q; 'klpforge explain' lists all", id)
			}
			list = append(list, check)
		}
	}

	if format == "json" {
		doc := explainJSON{Schema: "klpforge.explain/v1", Checks: []explainItem{}}
		for _, check := range list {
			doc.Checks = append(doc.Checks, explainItem{check.ID, check.Title, check.Doc})
		}
		return writeJSON(a, doc)
	}

	// Without ids a list to choose from; the texts only of what was asked for.
	for i, check := range list {
		if len(ids) == 0 {
			fmt.Fprintf(a.out, "%s  %s\n", check.ID, check.Title)
			continue
		}
		if i > 0 {
			fmt.Fprintln(a.out)
		}
		fmt.Fprintf(a.out, "%s: %s\n\n%s", check.ID, check.Title, check.Doc)
	}
	return nil
}
