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
	var m deploy.Machine
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
		RunE: func(*cobra.Command, []string) error {
			if err := checkFormat(format); err != nil {
				return err
			}
			s, err := m.Status(places)
			if err != nil {
				return err
			}
			if format == "json" {
				return writeJSON(a, s)
			}
			printStatus(a.out, s)
			return nil
		},
	}
	rootFlag(cmd, &m)
	placesFlags(cmd, &places)
	cmd.Flags().StringVar(&format, "format", "text", "text or json")
	return cmd
}

func printStatus(w io.Writer, s *deploy.Status) {
	fmt.Fprintf(w, "%s: %d livepatch(es)\n", s.Release, len(s.Livepatches))
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	if len(s.Livepatches) > 0 {
		fmt.Fprintln(t, "NAME\tSTATE\tVERSION\tSERIES\tREPLACES\tFUNCTIONS")
	}
	for _, l := range s.Livepatches {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", l.Name, l.Phase, orDash(l.Version), orDash(series(l.Facts)), replaces(l.Replace), orDash(functions(l.Objects)))
	}
	_ = t.Flush() // results remembers a failure
	for _, l := range s.Livepatches {
		for _, s := range l.States {
			fmt.Fprintf(w, "%s: state %d version %d", l.Name, s.ID, s.Version)
			if s.Meaning != "" {
				fmt.Fprintf(w, ": %s", s.Meaning)
			}
			fmt.Fprintln(w)
		}
		if l.Manifest && !l.NoteTrusted {
			fmt.Fprintf(w, "%s: nobody vouches for what it says of itself: %s\n", l.Name, l.NoteTrust)
		}
		if l.Problem != "" {
			fmt.Fprintf(w, "%s: %s\n", l.Name, l.Problem)
		}
	}
	if tr := s.Transition; tr != nil {
		fmt.Fprintf(w, "\n%s %s: ", tr.Phase, tr.Module)
		if tr.Hidden {
			fmt.Fprintln(w, "only root sees which tasks have not switched")
		} else {
			fmt.Fprintf(w, "%d of %d tasks have not switched\n", tr.Left, tr.Tasks)
		}
		for i := range tr.Blocking {
			fmt.Fprint(w, tr.Blocking[i].String())
		}
	}
	if len(s.Boot) > 0 {
		fmt.Fprintln(w, "\nAt boot:")
		printBoot(w, s.Boot)
	}
	if s.BootProblem != "" {
		fmt.Fprintf(w, "what failed at boot is not known: %s\n", s.BootProblem)
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
	for _, o := range objects {
		var names []string
		for _, f := range o.Functions {
			names = append(names, f.Name)
		}
		s := o.Name + ": " + strings.Join(names, " ")
		if o.Patched != nil && !*o.Patched {
			s = "(" + s + ")"
		}
		out = append(out, s)
	}
	return strings.Join(out, "; ")
}
