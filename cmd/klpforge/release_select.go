package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"time"

	"github.com/spf13/cobra"

	"github.com/klpforge/klpforge/internal/selection"
)

// selectFlags are the flags of release select that selection.Options does not have.
type selectFlags struct {
	format, html, vex, author, part string
	allow                           []string
}

func (a *app) releaseSelectCmd() *cobra.Command {
	var opts selection.Options
	var given selectFlags
	cmd := &cobra.Command{
		Use:   "select -k RELEASE {--git DIR --range A..B | --from DIR --to DIR} [-o DIR] [flags]",
		Short: "Find the largest part of an update that can go live as one livepatch",
		Long: `Find the largest part of an update that can go live as one livepatch, make it, and
say of every other part why not.

The update is a range of commits, or the source trees before and after it: --from is
the source that the kernel was built from. Of commits each is a slice, which is live as
a whole or not; of trees it is the smallest set of changes that belong together: those
of one function or declaration, with what brings or uses the same new name.

All of it is compiled and checked once. Slices behind an error are taken out, and those
that need them; what that touches is checked again, until no error is left. Each slice
that was taken out is then tried once more on top of what is live: it comes back, or its
error is in the report. Functions in which tasks sleep without end stall the transition;
their slices are left out too, unless --keep-stalling is given.

With -o, the patches, a release manifest for 'klpforge release build' and the module are
written there. What was compiled stays in the cache, so that a run that was stopped goes
on when it is started again. With --part K/N, the K-th of N shares of what the first review
looks at is compiled into the cache, and nothing else happens; a run that follows, with the
objects of all shares in its cache, finds them there.

Exit codes: 0 also when slices are left out; 1 when nothing can go live; 2 usage; 3 the
environment failed.`,
		Example: `  klpforge release select -k 6.1.0-53-cloud-amd64 --git ~/linux --range v6.1.187..v6.1.190 -o update
  klpforge release select -k 6.1.0-53-cloud-amd64 --from linux-6.1.187 --to linux-6.1.190 -o update --html update.html`,
		Args: exactArgs(0, "no argument"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			trees, commits := opts.From != "" || opts.To != "", opts.GitRange != ""
			switch {
			case !named(opts.Target.Kernel):
				return usageError("which kernel? give -k RELEASE, or --build-tree DIR for one of your own")
			case trees == commits || trees && (opts.From == "" || opts.To == ""):
				return usageError("which update? give --range A..B, or both --from DIR and --to DIR")
			}
			if given.part != "" {
				if opts.Dir != "" || given.html != "" || given.vex != "" {
					return usageError("--part compiles only: -o, --html and --vex belong to the run that selects")
				}
				var err error
				if opts.Target.Part, err = parsePart(given.part); err != nil {
					return err
				}
			}
			return a.releaseSelect(cmd, opts, given)
		},
	}
	target := &opts.Target
	targetFlags(cmd, &target.Kernel)
	flags := cmd.Flags()
	flags.StringVar(&opts.GitDir, "git", ".", "repository for --range")
	flags.StringVar(&opts.GitRange, "range", "", "commits `A..B` of the update")
	flags.StringVar(&opts.From, "from", "", "source tree `DIR` before the update")
	flags.StringVar(&opts.To, "to", "", "source tree `DIR` after the update")
	flags.StringVar(&opts.IDs, "ids", "", "`FILE` with a line for each changed file, or file:name, and the ids (CVE, commit) that it is known by")
	flags.StringVarP(&opts.Dir, "output", "o", "", "`DIR` for patches, manifest and module; without it nothing is written")
	flags.BoolVar(&opts.NoBuild, "no-build", false, "write patches and manifest, but no module")
	flags.BoolVar(&opts.KeepStalling, "keep-stalling", false,
		"keep functions on whose frames tasks sleep without end (KLP301 to 303)")
	flags.StringVar(&target.Product, "name", "update", "series of releases that this is one of, for the manifest")
	flags.StringVar(&target.Version, "release-version", "1", "version of the release, for the manifest")
	flags.StringVar(&target.Vendor, "vendor", "", "who ships it, for the manifest")
	flags.StringArrayVar(&given.allow, "allow", nil, "accept findings `ID=reason`; they go into the manifest")
	flags.StringVar(&given.format, "format", "text", "text or json")
	flags.StringVar(&given.html, "html", "", "write the report as a page to `FILE`")
	flags.StringVar(&given.vex, "vex", "", "write how the patched kernel stands to each CVE to `FILE`, as OpenVEX")
	flags.StringVar(&given.author, "vex-author", "", "author of --vex (default --vendor)")
	flags.StringVar(&given.part, "part", "", "compile only share `K/N` of the objects of the first review, into the cache, and select nothing")
	toolchainFlags(cmd, &target.Toolchain)
	launcherFlag(cmd, &target.Toolchain)
	flags.IntVarP(&target.Jobs, "jobs", "j", 0, "parallel jobs (default: number of CPUs)")
	sandboxFlag(cmd, &target.Sandbox)
	return cmd
}

// collectFrom is from how much memory on garbage is collected as often as it takes to stay
// there, bytes. The collector would else let it grow to twice what is in use.
const collectFrom = 5 << 29

// limitMemory has a review of thousands of objects stay near what it needs, unless the
// environment says how much it may take.
func limitMemory() {
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(collectFrom)
	}
}

func (a *app) releaseSelect(cmd *cobra.Command, opts selection.Options, given selectFlags) error {
	if err := checkFormat(given.format); err != nil {
		return err
	}
	var err error
	if opts.Target.Allow, err = parseAllow(given.allow); err != nil {
		return err
	}
	bars := newProgress(a.err)
	opts.Target.Progress = bars.update
	opts.Target.Builder = builder()
	opts.Say = func(format string, args ...any) { bars.print(a.err, fmt.Sprintf(format, args...)) }
	limitMemory()
	res, err := selection.Run(cmd.Context(), opts)
	bars.done()
	if err != nil {
		return err
	}

	if given.html != "" {
		if err := writeReport(given.html, res.HTML); err != nil {
			return err
		}
	}
	if given.vex != "" {
		author := given.author
		if author == "" {
			author = opts.Target.Vendor
		}
		doc, err := res.VEX(author, filepath.Base(res.Module), time.Now().UTC())
		if err != nil {
			return fmt.Errorf("make the VEX document: %w", err)
		}
		if err := os.WriteFile(given.vex, doc, 0o666); err != nil {
			return err
		}
	}
	if given.format == "json" {
		if err := writeJSON(a, res); err != nil {
			return err
		}
	} else {
		res.Text(a.out)
	}
	if res.Totals.Live == 0 && res.Part == nil {
		return &exitError{code: exitFindings, err: errors.New("nothing of the update can go live"), quiet: given.format == "json"}
	}
	return nil
}

// writeReport writes a file by a function that renders it.
func writeReport(path string, render func(io.Writer) error) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	err = render(f)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}
