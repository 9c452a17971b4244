package main

import "github.com/spf13/cobra"

// helpCmd is cobra's own help command, but for what it does not know: that is a
// usage error.
func helpCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "help [COMMAND]",
		Short: "Help about any command",
		RunE: func(cmd *cobra.Command, args []string) error {
			found, rest, err := cmd.Root().Find(args)
			if err != nil {
				return &exitError{code: exitUsage, err: err}
			}
			if len(rest) > 0 {
				return usageError("unknown command %q", rest[0])
			}
			found.InitDefaultHelpFlag()
			return found.Help()
		},
	}
}
