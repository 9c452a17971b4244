package main

import (
	"errors"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/klpforge/klpforge/kbuild"
	"github.com/klpforge/klpforge/kernel/cachedir"
)

// prunedTree is a prepared tree and what became of it.
type prunedTree struct {
	kbuild.CachedTree
	Removed bool `json:"removed"`
}

func (a *app) kernelPruneCmd() *cobra.Command {
	var cache, format string
	var days int
	var all, dry bool
	cmd := &cobra.Command{
		Use:   "prune [--unused-for DAYS | --all]",
		Short: "List the prepared source trees in the cache, and remove those that are not needed",
		Long: `List the prepared source trees in the cache with their sizes, and remove those
that are not needed. Without --unused-for and --all, nothing is removed. A tree
that a running klpforge uses always stays; one that is removed is prepared again
when a build needs it.`,
		Example: `  klpforge kernel prune
  klpforge kernel prune --unused-for 30
  klpforge kernel prune --all --dry-run`,
		Args: exactArgs(0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkFormat(format); err != nil {
				return err
			}
			some := cmd.Flags().Changed("unused-for")
			switch {
			case some && all:
				return usageError("give --unused-for or --all, not both")
			case some && days < 0:
				return usageError("--unused-for %d: want a number of days", days)
			}

			dir := cachedir.Dir(cache)
			if dir == "" {
				var err error
				if dir, err = cachedir.Default(); err != nil {
					return err
				}
			}

			list, err := kbuild.CachedTrees(cmd.Context(), string(dir))
			if err != nil {
				return err
			}
			// A tree may come into use between the list and its removal: the lock decides then.
			limit := time.Now().AddDate(0, 0, -days)
			out := make([]prunedTree, len(list))
			for i, tree := range list {
				out[i].CachedTree = tree
				if tree.InUse || !all && (!some || tree.Used.After(limit)) {
					continue
				}
				if !dry {
					err := kbuild.PruneTree(string(dir), tree.Key)
					if errors.Is(err, kbuild.ErrTreeInUse) {
						out[i].InUse = true
						continue
					}
					if err != nil {
						return err
					}
				}
				out[i].Removed = true
			}

			if format == "json" {
				return writeJSON(a, map[string]any{"schema": "klpforge.trees/v1", "cache": dir, "dryRun": dry,
					"trees": out})
			}
			return a.prunedTrees(out, dry)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&cache, "cache", "",
		"cache `DIR` (default $KLPFORGE_CACHE, else klpforge in the user's cache directory)")
	flags.IntVar(&days, "unused-for", 0, "remove trees that no run has asked for in so many `DAYS`")
	flags.BoolVar(&all, "all", false, "remove all trees")
	flags.BoolVar(&dry, "dry-run", false, "only say what would be removed")
	flags.StringVar(&format, "format", "text", "text or json")
	return cmd
}

func (a *app) prunedTrees(list []prunedTree, dry bool) error {
	var kept, removed int64
	table := tabwriter.NewWriter(a.out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(table, "TREE\tMIB\tLAST USED\tSTATE")
	for _, tree := range list {
		state := "kept"
		switch {
		case tree.Removed && dry:
			state = "would be removed"
		case tree.Removed:
			state = "removed"
		case tree.InUse:
			state = "in use"
		case !tree.Complete:
			state = "not complete"
		}
		if tree.Removed {
			removed += tree.Bytes
		} else {
			kept += tree.Bytes
		}
		fmt.Fprintf(table, "%s\t%d\t%s\t%s\n", tree.Key, tree.Bytes>>20, tree.Used.UTC().Format(time.DateOnly), state)
	}

	if err := table.Flush(); err != nil {
		return err
	}
	verb := "removed"
	if dry {
		verb = "would be removed"
	}
	_, err := fmt.Fprintf(a.out, "%d trees, %d MiB kept, %d MiB %s\n", len(list), kept>>20, removed>>20, verb)
	return err
}
