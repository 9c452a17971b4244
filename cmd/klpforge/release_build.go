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
	var o releases.Options
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
				if o.Part, err = parsePart(part); err != nil {
					return err
				}
			}
			m, err := readManifest(file)
			if err != nil {
				return err
			}
			o.Manifest, o.Targets, o.Cache, o.Builder = m, args, cachedir.Dir(cache), builder()
			if gitDir != "" {
				if o.History, err = patchset.OpenHistory(gitDir, gitHead); err != nil {
					return err
				}
				o.History.Contents = gitDepth
			}
			var mu sync.Mutex
			last := map[string]string{}
			o.Progress = func(rel, what string) {
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
			s, err := releases.Run(cmd.Context(), o)
			if err != nil {
				return asUsage(err)
			}
			return a.releaseSummary(s, format)
		},
	}
	f := cmd.Flags()
	manifestFlag(cmd, &file)
	f.StringVarP(&o.Dir, "output", "o", ".", "`DIR` for the modules, one directory for each target in it")
	f.StringVar(&cache, "cache", "", "cache `DIR` (default $KLPFORGE_CACHE, else klpforge in the user's cache directory)")
	f.StringVar(&gitDir, "git", "", "search the history of the repository `DIR` for follow-ups and prerequisites")
	f.StringVar(&gitHead, "git-head", "HEAD", "commit of --git from which to search backwards")
	f.IntVar(&gitDepth, "git-depth", patchset.DefaultContents, "commits of --git whose contents are searched for prerequisites, at most")
	toolchainFlags(cmd, &o.Toolchain)
	launcherFlag(cmd, &o.Toolchain)
	f.IntVarP(&o.Jobs, "jobs", "j", 0, "parallel compilers for each target (default: number of CPUs)")
	f.IntVar(&o.Parallel, "parallel", 1, "targets to build at a time")
	f.StringVar(&part, "part", "", "compile only share `K/N` of the objects, into the cache, and make no module")
	f.BoolVar(&o.Emit, "emit", false, "keep the generated sources beside the modules")
	sandboxFlag(cmd, &o.Sandbox)
	trustFlag(cmd, &o.TrustPatch)
	f.StringVar(&format, "format", "text", "text or json")
	return cmd
}

// parsePart reads K/N.
func parsePart(s string) (p pipeline.Part, err error) {
	k, n, ok := strings.Cut(s, "/")
	if ok {
		p.Number, err = strconv.Atoi(k)
	}
	if ok && err == nil {
		p.Of, err = strconv.Atoi(n)
	}
	if !ok || err != nil || p.Number < 1 || p.Number > p.Of {
		return p, usageError("--part %q: want K/N, as in 2/4 for the second of four", s)
	}
	return p, nil
}

func manifestFlag(cmd *cobra.Command, file *string) {
	cmd.Flags().StringVarP(file, "file", "f", manifest.File, "release `MANIFEST`")
}

// readManifest reads a release manifest; faults in its text are the release's.
func readManifest(path string) (*manifest.Manifest, error) {
	m, err := manifest.Read(path)
	if err != nil {
		return nil, asFinding(err)
	}
	return m, nil
}

func (a *app) releaseCollectCmd() *cobra.Command {
	var file, format string
	cmd := &cobra.Command{
		Use:   "collect [flags] RESULT.json...",
		Short: "Merge the results of the jobs that built a release",
		Long: `Merge what 'klpforge release build --format json' printed in several jobs into one
summary. With -f, targets of the manifest that no job reported are failures.`,
		Example: `  klpforge release collect -f livepatch.yaml results/*.json`,
		RunE: func(_ *cobra.Command, args []string) error {
			if err := checkFormat(format); err != nil {
				return err
			}
			if len(args) == 0 {
				return usageError("want at least one result")
			}
			var m *manifest.Manifest
			if file != "" {
				var err error
				if m, err = readManifest(file); err != nil {
					return err
				}
			}
			s, err := releases.Collect(args, m)
			if err != nil {
				return err
			}
			return a.releaseSummary(s, format)
		},
	}
	cmd.Flags().StringVarP(&file, "file", "f", "", "release `MANIFEST` whose targets must all be there")
	cmd.Flags().StringVar(&format, "format", "text", "text or json")
	return cmd
}

// releaseSummary prints what became of a release and gives the exit code.
func (a *app) releaseSummary(s *releases.Summary, format string) error {
	if format == "json" {
		if err := writeJSON(a, s); err != nil {
			return err
		}
	} else {
		printSummary(a.out, s)
	}
	failed, machine := s.Failed()
	switch {
	case machine:
		return &exitError{code: exitEnv, err: fmt.Errorf("release %s %s: not all targets could be built", s.Name, s.Version), quiet: format == "json"}
	case failed:
		return &exitError{code: exitFindings, err: fmt.Errorf("release %s %s: not all targets have a module", s.Name, s.Version), quiet: format == "json"}
	}
	return nil
}

func printSummary(w io.Writer, s *releases.Summary) {
	fmt.Fprintf(w, "%s %s\n", s.Name, s.Version)
	for _, f := range s.Findings {
		fmt.Fprintln(w, f.Text())
	}
	for _, t := range s.Targets {
		switch {
		case t.Error != "":
			fmt.Fprintf(w, "%s: FAILED: %s\n", t.Release, t.Error)
		case t.Empty:
			fmt.Fprintf(w, "%s: nothing to build: its source has all patches that are for it\n", t.Release)
		case t.Part != nil:
			fmt.Fprintf(w, "%s: part %d of %d: %d object(s) compiled, %.1f s\n", t.Release, t.Part.Number, t.Part.Of, len(t.Compiled), t.Seconds)
		default:
			fmt.Fprintf(w, "%s: %s, %d function(s), %.1f s\n", t.Release, t.Module, len(t.Functions), t.Seconds)
		}
		for _, p := range t.Included {
			fmt.Fprintf(w, "  + %s\n", p)
		}
		for _, p := range t.Skipped {
			fmt.Fprintf(w, "  = %s: skipped, the target's source has it already\n", p)
		}
		for _, p := range t.Problems {
			fmt.Fprintf(w, "  %s\n", p.Text())
		}
		for _, f := range t.Findings {
			fmt.Fprintf(w, "  %s\n", f.Text())
		}
		for _, n := range t.Notes {
			fmt.Fprintf(w, "  note: %s\n", n)
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
