package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/klpforge/klpforge/analyze/all"
	"github.com/klpforge/klpforge/finding"
	"github.com/klpforge/klpforge/pipeline"
	"github.com/klpforge/klpforge/report"
)

// lintFlags are the flags of lint that pipeline.Options does not have.
type lintFlags struct {
	format, failOn string
	checks, not    []string
	allow          []string
	shadow         string
}

func (a *app) lintCmd() *cobra.Command {
	var opts pipeline.Options
	var given lintFlags
	cmd := &cobra.Command{
		Use:   "lint -k RELEASE [flags] PATCH...",
		Short: "Review patches as a livepatch, without making a module",
		Long: `Review patches as a livepatch, without making a module.

The patches are applied, compiled and compared with the shipped kernel as by
'klpforge build'; then every check says what it finds. 'klpforge explain ID'
tells what a finding means. Nothing of the patches is run: no makefile, script or
program of the build that they change.

A finding is accepted by --allow ID=reason, or by a line of the patch before its
diff: "klpforge: allow ID reason". Accepted findings stay in the report.

Exit codes: 1 for findings at or above --fail-on that are not accepted, or when
the patches change no code; 2 usage; 3 the environment failed.`,
		Example: `  klpforge lint -k 6.1.0-55-cloud-amd64 fix.patch
  klpforge lint -k 6.1.0-55-cloud-amd64 --format sarif fix.patch > fix.sarif
  klpforge lint -k 6.1.0-55-cloud-amd64 --disable KLP213 --fail-on warning fix.patch`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if !named(opts.Kernel) {
				return usageError("which kernel? give -k RELEASE, or --build-tree DIR for one of your own")
			}
			if len(args) == 0 && opts.GitRange == "" {
				return usageError("no patch given")
			}
			if len(args) > 0 && opts.GitRange != "" {
				return usageError("give patch files or --range, not both")
			}
			if err := checkExternal(&opts); err != nil {
				return err
			}
			opts.Patches = args
			return a.lint(cmd, opts, given)
		},
	}
	targetFlags(cmd, &opts.Kernel)
	externalFlags(cmd, &opts)
	flags := cmd.Flags()
	flags.StringVar(&given.format, "format", "text", "text, json, sarif or html")
	flags.StringVar(&given.failOn, "fail-on", "error",
		"exit 1 for findings of this severity or above: error, warning or note")
	flags.StringSliceVar(&given.checks, "checks", nil, "report only these checks, by `ID` or name")
	flags.StringSliceVar(&given.not, "disable", nil, "do not report these checks, by `ID` or name")
	flags.StringArrayVar(&given.allow, "allow", nil, "accept findings `ID=reason`; they stay in the report")
	flags.StringVar(&given.shadow, "suggest-shadow", "",
		"write shadow-variable code for changed types (KLP208) to `FILE`")
	flags.StringVar(&opts.GitDir, "git", ".", "repository for --range")
	flags.StringVar(&opts.GitRange, "range", "", "take the commits `A..B` of --git instead of patch files")
	flags.IntVarP(&opts.Strip, "strip", "p", 0,
		"leading directories to drop from names in patches (default: found out)")
	flags.IntVar(&opts.Fuzz, "fuzz", 0, "context lines at each end of a hunk that may differ")
	toolchainFlags(cmd, &opts.Toolchain)
	flags.IntVarP(&opts.Jobs, "jobs", "j", 0, "parallel jobs (default: number of CPUs)")
	flags.BoolVar(&opts.NoAutoCallers, "no-auto-callers", false,
		"leave out unchanged callers of functions whose lock effect changed; KLP201 is an error then")
	flags.BoolVar(&opts.AllowCompilerMismatch, "skip-compiler-check", false,
		"accept another compiler version; shipped code is compared all the same")
	sandboxFlag(cmd, &opts.Sandbox)
	flags.BoolVar(&opts.AllowSourceMismatch, "skip-source-check", false,
		"accept source of another version; shipped code is compared all the same")
	return cmd
}

func (a *app) lint(cmd *cobra.Command, opts pipeline.Options, given lintFlags) error {
	level, err := parseSeverity(given.failOn)
	if err != nil {
		return err
	}
	if !strings.Contains(" text json sarif html ", " "+given.format+" ") {
		return usageError("unknown --format %q: text, json, sarif or html", given.format)
	}

	registry := all.Registry()
	selected, err := registry.Select(given.checks, given.not)
	if err != nil {
		return &exitError{code: exitUsage, err: err}
	}
	if opts.Allow, err = parseAllow(given.allow); err != nil {
		return err
	}

	bars := newProgress(a.err)
	opts.Progress, opts.DiffOnly = bars.update, true
	res, err := pipeline.Run(cmd.Context(), opts)
	bars.done()
	if given.shadow != "" {
		if err := a.suggestShadow(given.shadow, res.Findings); err != nil {
			return err
		}
	}

	// The report holds what was found before a failure, too: errors and exit code are part of it.
	rep := lintReport(res, selected)
	rep.Version = version
	for _, check := range registry.Checks() {
		if selected[check.ID] {
			rep.Checks = append(rep.Checks, check)
		}
	}
	var refusal *pipeline.Refusal
	rep.Refused = errors.As(err, &refusal)
	if err != nil && !rep.Refused {
		rep.Error, rep.Exit = err.Error(), exitCode(err)
	} else if rep.AtLeast(level) {
		rep.Exit = exitFindings
	}

	// A failed environment is no review. As text it is an error message; a document carries it
	// inside.
	if rep.Exit == exitEnv && given.format == "text" {
		return err
	}

	switch given.format {
	case "json":
		err = report.JSON(a.out, rep)
	case "sarif":
		err = report.SARIF(a.out, rep)
	case "html":
		err = report.HTML(a.out, rep)
	default:
		err = report.Text(a.out, rep, report.TextOptions{Color: a.color()})
	}
	if err != nil {
		return fmt.Errorf("print the report: %w", err)
	}
	if rep.Exit != exitDone {
		return &exitError{code: rep.Exit, err: errors.New(rep.Error), quiet: true}
	}
	return nil
}

// color reports whether the result goes to a terminal that wants colours.
func (a *app) color() bool {
	r, ok := a.out.(*results)
	return ok && isTerminal(r.w) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}

// lintReport gathers what is shown.
func lintReport(res *pipeline.Result, selected map[finding.ID]bool) *report.Report {
	rep := &report.Report{Release: res.Release, Notes: res.Notes}
	for _, p := range res.Plan.Patches {
		rep.Sources = append(rep.Sources, p.Name)
	}
	rep.New = append(append(rep.New, res.NewFuncs...), res.NewData...)
	for _, found := range res.Findings {
		if selected[found.ID] {
			rep.Findings = append(rep.Findings, found)
		}
	}
	for _, s := range res.Suppressions {
		rep.Suppressions = append(rep.Suppressions, report.Suppression(s))
	}
	in := res.Analysis
	if in == nil {
		return rep
	}
	rep.Files = in.Files
	rep.Graph = callGraph(in)
	for _, ob := range res.Plan.Objects {
		for _, fn := range ob.Funcs {
			function := report.Function{Object: ob.Name, Name: fn.Name, Sympos: fn.Sympos, Unit: fn.Unit,
				Reasons: fn.Reasons}
			for _, unit := range in.Units {
				for _, ch := range unit.Replace {
					// Where two modules share an object file, the plan's unit also names the owner.
					if unit.Owner == ob.Name && ch.Name == fn.Name &&
						strings.HasPrefix(fn.Unit, strings.TrimSuffix(unit.Object, ".o")) {
						function.Old, function.New = in.Locate(unit.Object, ch.Name)
						function.Code = report.Instructions(unit.Diff, ch)
					}
				}
			}
			rep.Functions = append(rep.Functions, function)
		}
	}
	return rep
}
