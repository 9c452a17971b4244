package main

import (
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

// manCmd writes the manual pages; packages are made with it.
func (a *app) manCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "man DIR",
		Short: "Write the manual pages of all commands",
		Long: "Write the manual pages of all commands to DIR, which is made when absent. They are\ndated " +
			"$SOURCE_DATE_EPOCH, in seconds since 1970, else today.",
		Args:   exactArgs(1, "a directory"),
		Hidden: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			date := time.Now()
			if epoch := os.Getenv("SOURCE_DATE_EPOCH"); epoch != "" {
				n, err := strconv.ParseInt(epoch, 10, 64)
				if err != nil {
					return usageError("SOURCE_DATE_EPOCH %q: want seconds since 1970", epoch)
				}
				date = time.Unix(n, 0)
			}
			return writeMan(cmd.Root(), args[0], date.UTC())
		},
	}
}

// writeMan writes one page for each command of the tree that users see, named
// as klpforge-release-build.1.
func writeMan(root *cobra.Command, dir string, date time.Time) error {
	forgetEnvironment(root)
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return fmt.Errorf("write manual pages: %w", err)
	}
	h := &doc.GenManHeader{Section: "1", Date: &date, Source: "klpforge " + version, Manual: "klpforge"}
	if err := doc.GenManTreeFromOpts(root, doc.GenManTreeOptions{Header: h, Path: dir,
		CommandSeparator: "-"}); err != nil {
		return fmt.Errorf("write manual pages: %w", err)
	}
	return nil
}

// forgetEnvironment takes out defaults that come from this process's
// environment.
func forgetEnvironment(cmd *cobra.Command) {
	if f := cmd.Flags().Lookup("cc"); f != nil {
		f.DefValue = ""
	}
	for _, c := range cmd.Commands() {
		forgetEnvironment(c)
	}
}
