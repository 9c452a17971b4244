package main

import (
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/klpforge/klpforge/deploy"
)

func (a *app) planCmd() *cobra.Command {
	var m deploy.Machine
	var policy, format string
	cmd := &cobra.Command{
		Use:   "plan MODULE.ko",
		Short: "Tell what 'klpforge load' would do on this machine, and change nothing",
		Long: `Tell what 'klpforge load' would do with a module on this machine, in which order
and why, and change nothing. It needs no root.

` + policyHelp + `

Exit codes: 0 it would be loaded, or is in force; 1 it would be refused; 2 usage;
3 the environment failed.`,
		Example: `  klpforge plan livepatch_fix.ko
  klpforge plan --policy cumulative --format json livepatch_fix.ko | jq .actions`,
		Args: exactArgs(1, "one module"),
		RunE: func(_ *cobra.Command, args []string) error {
			if err := checkFormat(format); err != nil {
				return err
			}
			pol, err := parsePolicy(policy)
			if err != nil {
				return err
			}
			mod, err := deploy.ReadModule(args[0])
			if err != nil {
				return err
			}
			p, err := m.Plan(mod, pol)
			if err != nil {
				return a.machineError(err)
			}
			if format == "json" {
				if err := writeJSON(a, p); err != nil {
					return err
				}
			} else {
				printPlan(a.out, p)
			}
			if p.Refusal != nil {
				return &exitError{code: exitFindings, err: p.Refusal, quiet: true}
			}
			return nil
		},
	}
	rootFlag(cmd, &m)
	policyFlag(cmd, &policy)
	cmd.Flags().StringVar(&format, "format", "text", "text or json")
	return cmd
}

func printPlan(w io.Writer, p *deploy.Plan) {
	fmt.Fprintf(w, "%s", p.Module)
	if p.Version != "" {
		fmt.Fprintf(w, " %s", p.Version)
	}
	fmt.Fprintf(w, " on %s, policy %s:\n", p.Release, p.Policy)
	switch {
	case p.Refusal != nil:
		fmt.Fprintf(w, "  refused: %v\n", p.Refusal)
	case len(p.Actions) == 0:
		fmt.Fprintln(w, "  nothing to do: it is in force")
	}
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	for i, x := range p.Actions {
		op := string(x.Op)
		if x.How != "" && x.How != "alone" {
			op += " (" + x.How + ")"
		}
		fmt.Fprintf(t, "  %d. %s\t%s\t%s\n", i+1, op, x.Module, x.Reason)
	}
	_ = t.Flush() // results remembers a failure
	if p.NoteTrust != "" {
		fmt.Fprintf(w, "  signature: %s\n", p.NoteTrust)
	}
	for _, n := range p.Notes {
		fmt.Fprintf(w, "  note: %s\n", n)
	}
}
