package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/klpforge/klpforge/deploy"
)

const policyHelp = `Policies:
  auto        cumulative for a module that replaces others, stack for one that
              does not; refuses when the module does not say
  cumulative  the kernel replaces only what is known to be an earlier release of
              the same series; everything else is disabled first, so that a
              downgrade lets the newer release clean up
  stack       beside what is in force; refused when a function is in both
  replace     the kernel replaces everything, whatever it is
  disable     everything is disabled, then the module is loaded`

func (a *app) loadCmd() *cobra.Command {
	machine := deploy.Machine{Root: "/", Calls: deploy.Kernel{}}
	var transition transitionFlags
	var places deploy.Places
	var policy string
	var boot bool
	cmd := &cobra.Command{
		Use:   "load MODULE.ko",
		Short: "Bring a livepatch into force on this machine",
		Long: `Bring a livepatch into force on this machine, and wait until every task uses the
new code. The module may be compressed (.xz, .zst, .gz). 'klpforge plan' shows
beforehand what this would do. A second run, also after one that was killed, goes
on from the state in which the kernel is; for a livepatch in force it does nothing.

` + policyHelp + `

When a transition does not end within --timeout, the tasks that hold it up are
named with their stacks, and it is reversed (--on-timeout reverse), left alone
(leave) or forced (force). Forcing gives up consistency, and old code that tasks may
still run stays loaded until the next boot; it is done only for a module that carries
the verdict that it is safe to force (KLP402) and a signature that this machine can
verify, or with --force "give up consistency for NAME".

With --boot, all modules of ` + deploy.ModulesDir + `/RELEASE are brought into force:
of a cumulative series the newest release, and everything else beside it. A module
that failed at two boots is set aside; loading it by hand takes it back.

Exit codes: 0 in force; 1 the policy or the kernel refused it, or a transition did
not end in time; 2 usage; 3 the environment failed (not root, no such file).`,
		Example: `  klpforge load livepatch_fix.ko
  klpforge load --policy cumulative --timeout 2m livepatch_fix.ko.xz
  klpforge load --on-timeout force --force "give up consistency for livepatch_fix" livepatch_fix.ko
  klpforge load --boot`,
		Args: func(_ *cobra.Command, args []string) error {
			switch {
			case boot && len(args) > 0:
				return usageError("--boot takes no module: it loads those of --modules-dir")
			case !boot && len(args) != 1:
				return usageError("want one module, got %d argument(s)", len(args))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			opts, line, err := transition.options(a)
			if err != nil {
				return err
			}
			defer line.done()
			if opts.Policy, err = parsePolicy(policy); err != nil {
				return err
			}
			if boot {
				return a.loadAtBoot(cmd.Context(), &machine, places, opts, line)
			}
			return a.load(cmd.Context(), &machine, args[0], places, opts, line)
		},
	}
	policyFlag(cmd, &policy)
	transition.add(cmd)
	placesFlags(cmd, &places)
	cmd.Flags().BoolVar(&boot, "boot", false, "load what is installed for the running kernel")
	return cmd
}

// loadAtBoot brings what is installed for the running kernel into force, and prints
// what became of each file.
func (a *app) loadAtBoot(
	ctx context.Context, machine *deploy.Machine, places deploy.Places, opts deploy.Options, line *transitionLine,
) error {
	done, err := machine.Boot(ctx, places, opts)
	line.done()
	printBoot(a.out, done)
	var failed *deploy.BootError
	if errors.As(err, &failed) { // the list above has the reasons
		return &exitError{code: exitFindings, err: fmt.Errorf("%d of %d not brought into force: %s",
			len(failed.Failed), len(done), failed.Files())}
	}
	if err == nil && len(done) == 0 {
		release, err := machine.Release()
		if err != nil {
			return err
		}
		fmt.Fprintf(a.out, "no livepatch is installed for this kernel: %s has no modules\n",
			filepath.Join(cmp.Or(places.Modules, deploy.ModulesDir), release))
	}
	return a.machineError(err)
}

// load brings the module in file into force, and takes it back among those that are
// loaded at boot.
func (a *app) load(
	ctx context.Context, machine *deploy.Machine, file string, places deploy.Places, opts deploy.Options,
	line *transitionLine,
) error {
	mod, err := deploy.ReadModule(file)
	if err != nil {
		return err
	}
	out, err := machine.Load(ctx, mod, opts)
	line.done()

	// Notes first: they tell why it failed, too.
	if out != nil {
		for _, n := range out.Notes {
			fmt.Fprintf(a.err, "note: %s\n", n)
		}
	}
	if err != nil {
		return a.machineError(err)
	}
	if len(out.Did) == 0 {
		fmt.Fprintf(a.out, "%s is in force already\n", mod.Name)
	} else {
		fmt.Fprintf(a.out, "%s is in force, after %v\n", mod.Name, out.Duration.Round(10*time.Millisecond))
	}

	if err := machine.Forget(places, mod); err != nil { // the livepatch is in force all the same
		fmt.Fprintf(a.err, "note: %v\n", err)
	}
	return nil
}

// printBoot prints one line for each file of the modules directory.
func printBoot(w io.Writer, list []deploy.BootModule) {
	table := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	for _, b := range list {
		fmt.Fprintf(table, "%s\t%s", b.File, b.Result)
		if b.Reason != "" {
			fmt.Fprintf(table, "\t%s", b.Reason)
		}
		fmt.Fprintln(table)
	}
	_ = table.Flush() // results remembers a failure
}
