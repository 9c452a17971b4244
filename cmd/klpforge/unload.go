package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/klpforge/klpforge/deploy"
)

func (a *app) unloadCmd() *cobra.Command {
	machine := deploy.Machine{Root: "/", Calls: deploy.Kernel{}}
	var transition transitionFlags
	var all bool
	cmd := &cobra.Command{
		Use:   "unload NAME|MODULE.ko...",
		Short: "Take livepatches out of force and unload them",
		Long: `Disable livepatches, wait until every task uses the old code, and unload their
modules. It starts from whatever state the kernel is in: a livepatch that is coming
into force is reversed, one that is disabled is only unloaded, and for one that is
not loaded nothing is done.

When a transition does not end within --timeout, the tasks that hold it up are
named with their stacks, and it is reversed, so that the livepatch is in force
again (--on-timeout reverse), left alone (leave) or forced (force); see
'klpforge load --help'.`,
		Example: `  klpforge unload livepatch_fix
  klpforge unload --all`,
		Args: func(_ *cobra.Command, args []string) error {
			if all == (len(args) > 0) {
				return usageError("want names of livepatches, or --all")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.unload(cmd.Context(), machine, transition, args)
		},
	}
	transition.add(cmd)
	cmd.Flags().BoolVar(&all, "all", false, "all livepatches, the last one first")
	return cmd
}

// unload takes livepatches out of force, one after the other; args are names or modules, none for all.
func (a *app) unload(ctx context.Context, machine deploy.Machine, transition transitionFlags, args []string) error {
	opts, line, err := transition.options(a)
	if err != nil {
		return err
	}
	defer line.done()

	names, err := unloadNames(&machine, args)
	if err != nil {
		return err
	}
	for _, name := range names {
		done, err := machine.Unload(ctx, name, opts)
		line.done()
		if err != nil {
			return a.machineError(err)
		}
		if done {
			fmt.Fprintf(a.out, "%s is unloaded\n", name)
		} else {
			fmt.Fprintf(a.out, "%s is not loaded\n", name)
		}
	}
	return nil
}

// unloadNames are the names of modules; no argument means all livepatches.
func unloadNames(m *deploy.Machine, args []string) ([]string, error) {
	var names []string
	if len(args) == 0 {
		sys, err := m.System()
		if err != nil {
			return nil, err
		}
		for _, l := range slices.Backward(sys.Livepatches) {
			names = append(names, l.Name)
		}
		return names, nil
	}
	for _, arg := range args {
		if strings.Contains(arg, "/") || strings.Contains(arg, ".ko") {
			mod, err := deploy.ReadModule(arg)
			if err != nil {
				return nil, err
			}
			arg = mod.Name
		}
		names = append(names, strings.ReplaceAll(arg, "-", "_"))
	}
	return names, nil
}
