package main

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/klpforge/klpforge/internal/releases"
	"github.com/klpforge/klpforge/release/manifest"
)

func (a *app) releaseCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "release",
		Short: "Build and compare releases of a livepatch",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usageError("unknown command %q of release", args[0])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(a.releaseBuildCmd(), a.releaseDiffCmd(), a.releaseMatrixCmd(), a.releaseCollectCmd(),
		a.releaseNewStateCmd(), a.releaseCheckCmd(), a.releaseSchemaCmd(), a.releaseSelectCmd())
	return cmd
}

// asFinding gives what is wrong with a manifest's text the exit code of a
// patch that is at fault.
func asFinding(err error) error {
	var faults *manifest.Error
	if errors.As(err, &faults) {
		return &exitError{code: exitFindings, err: err}
	}
	return err
}

// asUsage gives a target that the manifest lacks the exit code of usage.
func asUsage(err error) error {
	var unknown *releases.UnknownTargetError
	if errors.As(err, &unknown) {
		return &exitError{code: exitUsage, err: err}
	}
	return err
}
