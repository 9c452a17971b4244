package main

import (
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/klpforge/klpforge/deploy"
)

func (a *app) planCmd() *cobra.Command {
	var machine deploy.Machine
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
		RunE: func(_ *cobra.Command, args []string) error { return a.plan(machine, args[0], policy, format) },
	}
	rootFlag(cmd, &machine)
	policyFlag(cmd, &policy)
	cmd.Flags().StringVar(&format, "format", "text", "text or json")
	return cmd
}

// plan prints what load would do with the module in file, and fails when it would be refused.
func (a *app) plan(machine deploy.Machine, file, policy, format string) error {
	if err := checkFormat(format); err != nil {
		return err
	}
	pol, err := parsePolicy(policy)
	if err != nil {
		return err
	}

	mod, err := deploy.ReadModule(file)
	if err != nil {
		return err
	}
	planned, err := machine.Plan(mod, pol)
	if err != nil {
		return a.machineError(err)
	}

	if format == "json" {
		if err := writeJSON(a, planned); err != nil {
			return err
		}
	} else {
		printPlan(a.out, planned)
	}
	// A refusal is an answer, too: it was printed with its reason.
	if planned.Refusal != nil {
		return &exitError{code: exitFindings, err: planned.Refusal, quiet: true}
	}
	return nil
}

func printPlan(out io.Writer, planned *deploy.Plan) {
	fmt.Fprintf(out, "%s", planned.Module)
	if planned.Version != "" {
		fmt.Fprintf(out, " %s", planned.Version)
	}
	fmt.Fprintf(out, " on %s, policy %s:\n", planned.Release, planned.Policy)
	switch {
	case planned.Refusal != nil:
		fmt.Fprintf(out, "  refused: %v\n", planned.Refusal)
	case len(planned.Actions) == 0:
		fmt.Fprintln(out, "  nothing to do: it is in force")
	}
	table := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	for i, action := range planned.Actions {
		op := string(action.Op)
		if action.How != "" && action.How != "alone" {
			op += " (" + action.How + ")"
		}
		fmt.Fprintf(table, "  %d. %s\t%s\t%s\n", i+1, op, action.Module, action.Reason)
	}
	_ = table.Flush() // results remembers a failure
	if planned.NoteTrust != "" {
		fmt.Fprintf(out, "  signature: %s\n", planned.NoteTrust)
	}
	for _, n := range planned.Notes {
		fmt.Fprintf(out, "  note: %s\n", n)
	}
}
