package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/klpforge/klpforge/kbuild"
	"github.com/klpforge/klpforge/kernel"
	"github.com/klpforge/klpforge/kernel/cachedir"
	"github.com/klpforge/klpforge/kernel/fetch"
	"github.com/klpforge/klpforge/pipeline"
)

func (a *app) kernelCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use: "kernel", Short: "List, fetch, prepare, prune and describe target kernels",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usageError("unknown command %q for klpforge kernel", args[0])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(a.kernelListCmd(), a.kernelFetchCmd(), a.kernelInfoCmd(), a.kernelPrepareCmd(), a.kernelPruneCmd())
	return cmd
}

func (a *app) kernelPrepareCmd() *cobra.Command {
	var opts kernel.Options
	var tools kbuild.Toolchain
	var jobs int
	var sandbox kbuild.Sandbox
	cmd := &cobra.Command{
		Use:     "prepare -k RELEASE",
		Short:   "Prepare a kernel's source tree in the cache, so that builds start at once",
		Example: `  klpforge kernel prepare -k 6.1.0-55-cloud-amd64`,
		Args:    exactArgs(0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.kernelPrepare(cmd.Context(), opts, kbuild.PrepareOptions{Toolchain: tools, Jobs: jobs,
				Sandbox: sandbox})
		},
	}
	targetFlags(cmd, &opts)
	toolchainFlags(cmd, &tools)
	cmd.Flags().IntVarP(&jobs, "jobs", "j", 0, "parallel jobs")
	sandboxFlag(cmd, &sandbox)
	return cmd
}

// kernelPrepare makes the prepared tree of a kernel and prints where it lies.
func (a *app) kernelPrepare(ctx context.Context, opts kernel.Options, prepare kbuild.PrepareOptions) error {
	if !named(opts) {
		return usageError("which kernel? give -k RELEASE, or --build-tree DIR for one of your own")
	}
	target, err := kernel.Open(opts)
	if err != nil {
		return err
	}
	defer target.Close()

	bars := newProgress(a.err)
	prepare.Progress = bars.update
	tree, err := pipeline.Prepare(ctx, target, prepare)
	bars.done()
	if err != nil {
		return err
	}

	if tree.Unconfined != "" {
		fmt.Fprintf(a.err, "note: sandbox: programs of the build are not confined: %s\n", tree.Unconfined)
	}
	if tree.Healed != "" {
		fmt.Fprintf(a.err, "note: %s\n", tree.Healed)
	}
	fmt.Fprintln(a.out, tree.Dir)
	return nil
}

func (a *app) kernelListCmd() *cobra.Command {
	var root, cache, format string
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the kernels that can be opened, and which of their parts are there",
		Args:  exactArgs(0, "no arguments"),
		RunE:  func(*cobra.Command, []string) error { return a.kernelList(root, cache, format) },
	}
	cmd.Flags().StringVar(&root, "root", "/", "`DIR` to look in, as if it were /")
	cmd.Flags().StringVar(&cache, "cache", "", "cache `DIR`")
	cmd.Flags().StringVar(&format, "format", "text", "text or json")
	return cmd
}

// kernelList prints the kernels below root and in the cache.
func (a *app) kernelList(root, cache, format string) error {
	if err := checkFormat(format); err != nil {
		return err
	}
	list, err := kernel.List(root, cachedir.Dir(cache))
	if err != nil {
		return err
	}
	if format == "json" {
		if list == nil {
			list = []kernel.Installed{}
		}
		return writeJSON(a, map[string]any{"schema": "klpforge.kernels/v1", "kernels": list})
	}

	table := tabwriter.NewWriter(a.out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(table, "RELEASE\tIMAGE\tMODULES\tHEADERS\tSOURCE\tDEBUG\tWHERE")
	for _, k := range list {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", k.Release, yes(k.Image), yes(k.Modules),
			yes(k.Headers), yes(k.Source), yes(k.Debug), k.Where)
	}
	return table.Flush()
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "-"
}

func (a *app) kernelFetchCmd() *cobra.Command {
	var opts fetch.Options
	var from string
	cmd := &cobra.Command{
		Use:   "fetch RELEASE",
		Short: "Bring a distribution's kernel, its headers and source into the cache",
		Long: `Bring a kernel's image, modules, headers and source into the cache, with apt or,
where there is none, with dnf. Nothing is installed; packages are checked as the
package system does. With apt, run 'apt-get update' first.

A kernel of another Debian than this machine's is looked for in the suite that its
name tells (5.10.0-*: bullseye, +deb13: trixie), or in that of --suite. The
archive is that of the machine's own package sources, which stay as they are.`,
		Example: `  klpforge kernel fetch 6.1.0-55-cloud-amd64
  klpforge kernel fetch --dbg 6.1.0-55-cloud-amd64
  klpforge kernel fetch --suite trixie 6.12.117+deb13-amd64`,
		Args: exactArgs(1, "one release"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.kernelFetch(cmd.Context(), args[0], from, opts)
		},
	}
	cmd.Flags().StringVar((*string)(&opts.Cache), "cache", "", "cache `DIR`")
	cmd.Flags().StringVar(&from, "from", "", "package system: "+strings.Join(fetch.Names(), " or ")+
		" (default: the first that is here)")
	cmd.Flags().StringVar(&opts.Suite, "suite", "",
		"suite of Debian that has the kernel (default: this machine's, else by the release)")
	cmd.Flags().BoolVar(&opts.IncludeDbg, "dbg", false, "also the debug package (several GB)")
	cmd.Flags().BoolVar(&opts.ImageOnly, "image-only", false, "neither headers nor source")
	return cmd
}

// kernelFetch brings a kernel into the cache; from names the package system, "" the first that is here.
func (a *app) kernelFetch(ctx context.Context, release, from string, opts fetch.Options) error {
	if from != "" {
		if !slices.Contains(fetch.Names(), from) {
			return usageError("--from: %q is none of %s", from, strings.Join(fetch.Names(), ", "))
		}
		p, err := fetch.Named(from)
		if err != nil {
			return err
		}
		opts.From = p
	}

	opts.Progress = func(s string) { fmt.Fprintln(a.err, s) }
	fetched, err := fetch.Kernel(ctx, release, opts)
	if err != nil {
		return err
	}
	if !opts.ImageOnly {
		a.adviseCompiler(ctx, fetched, opts.Cache)
	}
	fmt.Fprintf(a.out, "%s is in the cache\n", release)
	return nil
}

// adviseCompiler says which compiler made a kernel that was fetched, and where it is had.
func (a *app) adviseCompiler(ctx context.Context, fetched *fetch.Result, cache cachedir.Dir) {
	target, err := kernel.Open(kernel.Options{Release: fetched.Release, Root: fetched.Root, Cache: cache})
	if err != nil {
		return // it can be fetched, though not used: who opens it says why
	}
	defer target.Close()
	compiler, err := target.Compiler()
	if err != nil || compiler.Text == "" {
		return
	}
	fmt.Fprintf(a.err, "compiled with: %s\n", compiler.Text)
	if packages := fetched.From.Compiler(compiler); len(packages) > 0 {
		fmt.Fprintf(a.err, "for the compiler: %s\n", fetched.From.Install(ctx, fetched.Suite, packages...))
	}
}

func (a *app) kernelInfoCmd() *cobra.Command {
	var opts kernel.Options
	cmd := &cobra.Command{
		Use:     "info -k RELEASE",
		Short:   "Describe a kernel as klpforge sees it (JSON)",
		Example: `  klpforge kernel info -k 6.1.0-55-cloud-amd64 | jq .api`,
		Args:    exactArgs(0, "no arguments"),
		RunE: func(*cobra.Command, []string) error {
			if !named(opts) {
				return usageError("which kernel? give -k RELEASE, or --build-tree DIR for one of your own")
			}
			target, err := kernel.Open(opts)
			if err != nil {
				return err
			}
			defer target.Close()
			return writeJSON(a, target.Info())
		},
	}
	targetFlags(cmd, &opts)
	return cmd
}
