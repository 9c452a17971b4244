package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/klpforge/klpforge/deploy"
)

func (a *app) statusCmd() *cobra.Command {
	var machine deploy.Machine
	var places deploy.Places
	var format string
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show the livepatches of this machine, and what a transition waits for",
		Long: `Show the livepatches of this machine: their state, release and functions; the
transition under way with the tasks that have not switched, their stacks and the
patched functions on them (as root); and what is loaded at boot or set aside.`,
		Example: `  klpforge status
  klpforge status --format json | jq '.livepatches[] | select(.state != "enabled")'`,
		Args: exactArgs(0, "no arguments"),
		RunE: func(*cobra.Command, []string) error { return a.status(machine, places, format) },
	}
	rootFlag(cmd, &machine)
	placesFlags(cmd, &places)
	cmd.Flags().StringVar(&format, "format", "text", "text or json")
	return cmd
}

// status prints the livepatches of the machine.
func (a *app) status(machine deploy.Machine, places deploy.Places, format string) error {
	if err := checkFormat(format); err != nil {
		return err
	}
	status, err := machine.Status(places)
	if err != nil {
		return err
	}
	if format == "json" {
		return writeJSON(a, status)
	}
	printStatus(a.out, status)
	return nil
}

func printStatus(out io.Writer, status *deploy.Status) {
	fmt.Fprintf(out, "%s: %d livepatch(es)\n", status.Release, len(status.Livepatches))
	table := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	if len(status.Livepatches) > 0 {
		fmt.Fprintln(table, "NAME\tSTATE\tVERSION\tSERIES\tREPLACES\tFUNCTIONS")
	}
	for _, loaded := range status.Livepatches {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\n", loaded.Name, loaded.Phase, orDash(loaded.Version),
			orDash(series(loaded.Facts)), replaces(loaded.Replace), orDash(functions(loaded.Objects)))
	}
	_ = table.Flush() // results remembers a failure
	for _, loaded := range status.Livepatches {
		for _, state := range loaded.States {
			fmt.Fprintf(out, "%s: state %d version %d", loaded.Name, state.ID, state.Version)
			if state.Meaning != "" {
				fmt.Fprintf(out, ": %s", state.Meaning)
			}
			fmt.Fprintln(out)
		}
		if loaded.FromNote && !loaded.NoteTrusted {
			fmt.Fprintf(out, "%s: nobody vouches for what it says of itself: %s\n", loaded.Name, loaded.NoteTrust)
		}
		if loaded.Problem != "" {
			fmt.Fprintf(out, "%s: %s\n", loaded.Name, loaded.Problem)
		}
	}
	if tr := status.Transition; tr != nil {
		fmt.Fprintf(out, "\n%s %s: ", tr.Phase, tr.Module)
		if tr.Hidden {
			fmt.Fprintln(out, "only root sees which tasks have not switched")
		} else {
			fmt.Fprintf(out, "%d of %d tasks have not switched\n", tr.Left, tr.Tasks)
		}
		for i := range tr.Blocking {
			fmt.Fprint(out, tr.Blocking[i].String())
		}
	}
	if len(status.Boot) > 0 {
		fmt.Fprintln(out, "\nAt boot:")
		printBoot(out, status.Boot)
	}
	if status.BootProblem != "" {
		fmt.Fprintf(out, "what failed at boot is not known: %s\n", status.BootProblem)
	}
}

func series(f deploy.Facts) string {
	if f.Vendor != "" && f.Product != "" {
		return f.Vendor + "/" + f.Product
	}
	return f.Product
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// replaces keeps apart what is known and what is not.
func replaces(b *bool) string {
	switch {
	case b == nil:
		return "unknown"
	case *b:
		return "yes"
	}
	return "no"
}

// functions lists them by object, with what is not patched (yet) in brackets.
func functions(objects []deploy.Object) string {
	var out []string
	for _, object := range objects {
		var names []string
		for _, f := range object.Functions {
			names = append(names, f.Name)
		}
		s := object.Name + ": " + strings.Join(names, " ")
		if object.Patched != nil && !*object.Patched {
			s = "(" + s + ")"
		}
		out = append(out, s)
	}
	return strings.Join(out, "; ")
}
