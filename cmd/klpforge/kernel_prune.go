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
			limit := time.Now().AddDate(0, 0, -days)
			out := make([]prunedTree, len(list))
			for i, t := range list {
				out[i].CachedTree = t
				if t.InUse || !all && (!some || t.Used.After(limit)) {
					continue
				}
				if !dry {
					err := kbuild.PruneTree(string(dir), t.Key)
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
				return writeJSON(a, map[string]any{"schema": "klpforge.trees/v1", "cache": dir, "dryRun": dry, "trees": out})
			}
			return a.prunedTrees(out, dry)
		},
	}
	f := cmd.Flags()
	f.StringVar(&cache, "cache", "", "cache `DIR` (default $KLPFORGE_CACHE, else klpforge in the user's cache directory)")
	f.IntVar(&days, "unused-for", 0, "remove trees that no run has asked for in so many `DAYS`")
	f.BoolVar(&all, "all", false, "remove all trees")
	f.BoolVar(&dry, "dry-run", false, "only say what would be removed")
	f.StringVar(&format, "format", "text", "text or json")
	return cmd
}

func (a *app) prunedTrees(list []prunedTree, dry bool) error {
	var kept, removed int64
	w := tabwriter.NewWriter(a.out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "TREE\tMIB\tLAST USED\tSTATE")
	for _, t := range list {
		state := "kept"
		switch {
		case t.Removed && dry:
			state = "would be removed"
		case t.Removed:
			state = "removed"
		case t.InUse:
			state = "in use"
		case !t.Complete:
			state = "not complete"
		}
		if t.Removed {
			removed += t.Bytes
		} else {
			kept += t.Bytes
		}
		fmt.Fprintf(w, "%s\t%d\t%s\t%s\n", t.Key, t.Bytes>>20, t.Used.UTC().Format(time.DateOnly), state)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	verb := "removed"
	if dry {
		verb = "would be removed"
	}
	_, err := fmt.Fprintf(a.out, "%d trees, %d MiB kept, %d MiB %s\n", len(list), kept>>20, removed>>20, verb)
	return err
}
