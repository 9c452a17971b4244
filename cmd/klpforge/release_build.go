package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"

	"github.com/spf13/cobra"

	"github.com/klpforge/klpforge/internal/releases"
	"github.com/klpforge/klpforge/kernel/cachedir"
	"github.com/klpforge/klpforge/patchset"
	"github.com/klpforge/klpforge/pipeline"
	"github.com/klpforge/klpforge/release/manifest"
)

func (a *app) releaseBuildCmd() *cobra.Command {
	var opts releases.Options
	var file, gitDir, gitHead, cache, format, part string
	var gitDepth int
	cmd := &cobra.Command{
		Use:   "build [flags] [RELEASE...]",
		Short: "Build the modules of a release manifest",
		Long: `Build the modules of a release manifest (livepatch.yaml) for the named target
kernels, or for all of them. A target that fails does not stop the others; the
summary at the end names each with its module or the reason.

A patch that a target's source has already is recognised by its content and left
out with a note. Two patches that do not go together are both named. With --git,
a history is searched for follow-ups of the included commits (KLP408) and for
what they need (KLP409).

With --part K/N, the K-th of N shares of the objects is compiled into the cache, and
no module is made. A run without it, with the directory objects/ of all these caches
in its own, finds them there: see 'klpforge release matrix --parts'.`,
		Example: `  klpforge release build
  klpforge release build -f ext4/livepatch.yaml -o out 6.1.0-55-cloud-amd64
  klpforge release build --git ~/linux --launcher ccache`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkFormat(format); err != nil {
				return err
			}
			if gitDepth < 1 {
				return usageError("--git-depth %d: want 1 or more", gitDepth)
			}
			var err error
			if part != "" {
				if opts.Part, err = parsePart(part); err != nil {
					return err
				}
			}
			planned, err := readManifest(file)
			if err != nil {
				return err
			}
			opts.Manifest, opts.Targets, opts.Cache, opts.Builder = planned, args, cachedir.Dir(cache), builder()
			if gitDir != "" {
				if opts.History, err = patchset.OpenHistory(gitDir, gitHead); err != nil {
					return err
				}
				opts.History.Contents = gitDepth
			}
			var mu sync.Mutex
			last := map[string]string{}
			opts.Progress = func(rel, what string) {
				mu.Lock()
				defer mu.Unlock()
				if last[rel] == what {
					return // a stage tells of each of its steps
				}
				last[rel] = what
				if rel != "" {
					what = rel + ": " + what
				}
				fmt.Fprintln(a.err, what)
			}
			summary, err := releases.Run(cmd.Context(), opts)
			if err != nil {
				return asUsage(err)
			}
			return a.releaseSummary(summary, format)
		},
	}
	flags := cmd.Flags()
	manifestFlag(cmd, &file)
	flags.StringVarP(&opts.Dir, "output", "o", ".", "`DIR` for the modules, one directory for each target in it")
	flags.StringVar(&cache, "cache", "",
		"cache `DIR` (default $KLPFORGE_CACHE, else klpforge in the user's cache directory)")
	flags.StringVar(&gitDir, "git", "", "search the history of the repository `DIR` for follow-ups and prerequisites")
	flags.StringVar(&gitHead, "git-head", "HEAD", "commit of --git from which to search backwards")
	flags.IntVar(&gitDepth, "git-depth", patchset.DefaultContents,
		"commits of --git whose contents are searched for prerequisites, at most")
	toolchainFlags(cmd, &opts.Toolchain)
	launcherFlag(cmd, &opts.Toolchain)
	flags.IntVarP(&opts.Jobs, "jobs", "j", 0, "parallel compilers for each target (default: number of CPUs)")
	flags.IntVar(&opts.Parallel, "parallel", 1, "targets to build at a time")
	flags.StringVar(&part, "part", "", "compile only share `K/N` of the objects, into the cache, and make no module")
	flags.BoolVar(&opts.Emit, "emit", false, "keep the generated sources beside the modules")
	sandboxFlag(cmd, &opts.Sandbox)
	trustFlag(cmd, &opts.TrustPatch)
	flags.StringVar(&format, "format", "text", "text or json")
	return cmd
}

// parsePart reads K/N.
func parsePart(text string) (part pipeline.Part, err error) {
	k, number, ok := strings.Cut(text, "/")
	if ok {
		part.Number, err = strconv.Atoi(k)
	}
	if ok && err == nil {
		part.Of, err = strconv.Atoi(number)
	}
	if !ok || err != nil || part.Number < 1 || part.Number > part.Of {
		return part, usageError("--part %q: want K/N, as in 2/4 for the second of four", text)
	}
	return part, nil
}

func manifestFlag(cmd *cobra.Command, file *string) {
	cmd.Flags().StringVarP(file, "file", "f", manifest.File, "release `MANIFEST`")
}

// readManifest reads a release manifest; faults in its text are the release's.
func readManifest(path string) (*manifest.Manifest, error) {
	planned, err := manifest.Read(path)
	if err != nil {
		return nil, asFinding(err)
	}
	return planned, nil
}

func (a *app) releaseCollectCmd() *cobra.Command {
	var file, format string
	cmd := &cobra.Command{
		Use:   "collect [flags] RESULT.json...",
		Short: "Merge the results of the jobs that built a release",
		Long: `Merge what 'klpforge release build --format json' printed in several jobs into one
summary. With -f, targets of the manifest that no job reported are failures.`,
		Example: `  klpforge release collect -f livepatch.yaml results/*.json`,
		RunE:    func(_ *cobra.Command, args []string) error { return a.releaseCollect(args, file, format) },
	}
	cmd.Flags().StringVarP(&file, "file", "f", "", "release `MANIFEST` whose targets must all be there")
	cmd.Flags().StringVar(&format, "format", "text", "text or json")
	return cmd
}

// releaseCollect merges the results of jobs; with a manifest, a target that no job reported is a failure.
func (a *app) releaseCollect(results []string, file, format string) error {
	if err := checkFormat(format); err != nil {
		return err
	}
	if len(results) == 0 {
		return usageError("want at least one result")
	}

	var planned *manifest.Manifest
	if file != "" {
		var err error
		if planned, err = readManifest(file); err != nil {
			return err
		}
	}

	summary, err := releases.Collect(results, planned)
	if err != nil {
		return err
	}
	return a.releaseSummary(summary, format)
}

// releaseSummary prints what became of a release and gives the exit code.
func (a *app) releaseSummary(summary *releases.Summary, format string) error {
	if format == "json" {
		if err := writeJSON(a, summary); err != nil {
			return err
		}
	} else {
		printSummary(a.out, summary)
	}
	failed, machine := summary.Failed()
	switch {
	case machine:
		return &exitError{code: exitEnv, err: fmt.Errorf("release %s %s: not all targets could be built", summary.Name,
			summary.Version), quiet: format == "json"}
	case failed:
		return &exitError{code: exitFindings, err: fmt.Errorf("release %s %s: not all targets have a module",
			summary.Name, summary.Version), quiet: format == "json"}
	}
	return nil
}

func printSummary(out io.Writer, summary *releases.Summary) {
	fmt.Fprintf(out, "%s %s\n", summary.Name, summary.Version)
	for _, f := range summary.Findings {
		fmt.Fprintln(out, f.Text())
	}

	// A line for what became of each target, then what led to it.
	for _, target := range summary.Targets {
		switch {
		case target.Error != "":
			fmt.Fprintf(out, "%s: FAILED: %s\n", target.Release, target.Error)
		case target.Empty:
			fmt.Fprintf(out, "%s: nothing to build: its source has all patches that are for it\n", target.Release)
		case target.Part != nil:
			fmt.Fprintf(out, "%s: part %d of %d: %d object(s) compiled, %.1f s\n", target.Release, target.Part.Number,
				target.Part.Of, len(target.Compiled), target.Seconds)
		default:
			fmt.Fprintf(out, "%s: %s, %d function(s), %.1f s\n", target.Release, target.Module, len(target.Functions),
				target.Seconds)
		}

		for _, p := range target.Included {
			fmt.Fprintf(out, "  + %s\n", p)
		}
		for _, p := range target.Skipped {
			fmt.Fprintf(out, "  = %s: skipped, the target's source has it already\n", p)
		}
		for _, p := range target.Problems {
			fmt.Fprintf(out, "  %s\n", p.Text())
		}
		for _, f := range target.Findings {
			fmt.Fprintf(out, "  %s\n", f.Text())
		}
		for _, n := range target.Notes {
			fmt.Fprintf(out, "  note: %s\n", n)
		}
	}
}

func (a *app) releaseSchemaCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "Print the JSON schema of the release manifest",
		Long: `Print the JSON schema of livepatch.yaml, for editors and validators. It is made
from the types that read the manifest.`,
		Args: exactArgs(0, "no argument"),
		RunE: func(*cobra.Command, []string) error {
			_, err := a.out.Write(manifest.Schema())
			return err
		},
	}
}
