package main

import (
	"cmp"
	"fmt"
	"regexp"

	"github.com/spf13/cobra"

	"github.com/klpforge/klpforge/templates"
)

var nameRE = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

func (a *app) releaseNewStateCmd() *cobra.Command {
	var state templates.NewState
	cmd := &cobra.Command{
		Use:   "new-state --id N --meaning TEXT [flags] NAME",
		Short: "Print the callbacks of a new system state",
		Long: `Print C code with the callbacks of a new system state, for the end of a patched
source file, and the lines for the release manifest. The code follows the
kernel's life-cycle: an upgrade takes over what the earlier version did, disabling
undoes it, and a reversed transition leaves things as they were.

With --object MODULE the state is of that module and the code is for one of its
source files: it also follows the module when that comes and goes.

With --variable and --value the code is complete and sets a variable in place.
Without, it does not compile until you have said what to save, change and restore.`,
		Example: `  klpforge release new-state --id 1001 --meaning "pipes may be larger" --variable pipe_max_size --value 2097152 pipe_limit
  klpforge release new-state --id 1002 --meaning "loop devices have partitions" --object loop --variable max_part --value 7 loop_parts`,
		Args: exactArgs(1, "the name of the state"),
		RunE: func(_ *cobra.Command, args []string) error {
			state.Name = args[0]
			return a.releaseNewState(state)
		},
	}
	flags := cmd.Flags()
	flags.Uint64Var(&state.ID, "id", 0, "number of the state")
	flags.Uint32Var(&state.Version, "state-version", 1, "version of the state")
	flags.StringVar(&state.Meaning, "meaning", "", "what the callbacks change")
	flags.StringVar(&state.Object, "object", "",
		"`MODULE` whose source the callbacks are put into (default: the kernel image's)")
	flags.StringVar(&state.Variable, "variable", "", "variable to set, as C writes it")
	flags.StringVar(&state.Value, "value", "", "value to set it to, as C writes it")
	return cmd
}

// releaseNewState prints the code of a state, and on standard error what the manifest needs for it.
func (a *app) releaseNewState(state templates.NewState) error {
	switch {
	case !nameRE.MatchString(state.Name):
		return usageError("name %q: want a C identifier", state.Name)
	case state.ID == 0:
		return usageError("a state needs an --id other than 0, which no other state has or had")
	case state.Meaning == "":
		return usageError("say with --meaning what the state stands for")
	case (state.Variable == "") != (state.Value == ""):
		return usageError("--variable and --value belong together")
	case state.Object != "" && !nameRE.MatchString(state.Object):
		return usageError("--object %q: want the name of a module as /proc/modules has it, with _ for -",
			state.Object)
	}

	object := cmp.Or(state.Object, "vmlinux")
	if object == "vmlinux" {
		state.Object = ""
	}
	if err := templates.StateSkeleton(a.out, state); err != nil {
		return err
	}
	fmt.Fprintf(a.err,
		"for livepatch.yaml:\nstates:\n  - id: %d\n    version: %d\n    meaning: %q\ncallbacks:\n  %s: "+
			"[pre_patch, post_patch, pre_unpatch, post_unpatch]\n", state.ID, state.Version, state.Meaning,
		object)
	return nil
}
