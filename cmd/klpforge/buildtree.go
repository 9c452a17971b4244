package main

import (
	"github.com/spf13/cobra"

	"github.com/klpforge/klpforge/kernel"
	"github.com/klpforge/klpforge/kernel/buildtree"
)

// buildTreeFlag adds the flag for kernels of one's own. It is looked at before the
// command runs.
func buildTreeFlag(cmd *cobra.Command, opts *kernel.Options) {
	var dir string
	cmd.Flags().StringVar(&dir, "build-tree", "",
		"`DIR` that the kernel was built in (in place, or the one of O=): its parts are found there, and its release")
	cmd.PreRunE = func(*cobra.Command, []string) error {
		if dir == "" {
			return nil
		}
		tree, err := buildtree.Open(dir)
		if err != nil {
			return err
		}
		opts.Finder = tree
		return nil
	}
}

// named reports whether the flags say which kernel is meant.
func named(o kernel.Options) bool {
	return o.Release != "" || o.Image != "" || o.Vmlinux != "" || o.Finder != nil
}
