package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/klpforge/klpforge/finding"
	"github.com/klpforge/klpforge/kernel/klpapi"
	"github.com/klpforge/klpforge/modsign"
	"github.com/klpforge/klpforge/pipeline"
	"github.com/klpforge/klpforge/release/manifest"
)

func (a *app) buildCmd() *cobra.Command {
	var opts pipeline.Options
	var allow []string
	var format string
	var rng string
	var sign manifest.Signing
	cmd := &cobra.Command{
		Use:   "build -k RELEASE [flags] PATCH...",
		Short: "Build a livepatch module from patches",
		Long: `Build a livepatch module from patches: unified diffs, mails, quilt series.

The source, headers and image of the kernel are found under --root, in the cache
that 'klpforge kernel fetch' fills, or where the flags say. The user's source
tree is only read.

Makefiles, scripts and programs of the build that the patches change are not run,
and what only they could make is refused, unless --trust-patch is given. Compiler,
objtool and make are confined: docs/security.md says what that holds.`,
		Example: `  klpforge kernel fetch 6.1.0-55-cloud-amd64
  klpforge build -k 6.1.0-55-cloud-amd64 fix.patch
  klpforge build -k 6.1.0-55-cloud-amd64 -o out/fix.ko --emit out/src 0001-*.patch
  klpforge build -k 6.1.0-55-cloud-amd64 --git ~/linux --range v6.1.192..my-fixes`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if !named(opts.Kernel) {
				return usageError("which kernel? give -k RELEASE, or --build-tree DIR for one of your own")
			}
			if len(args) == 0 && rng == "" {
				return usageError("no patch given")
			}
			if len(args) > 0 && rng != "" {
				return usageError("give patch files or --range, not both")
			}
			if rng != "" && !strings.Contains(rng, "..") {
				return usageError("--range %q: want the form A..B", rng)
			}
			if err := checkExternal(&opts); err != nil {
				return err
			}
			if sign.Key != "" || sign.Cert != "" {
				if sign.Key == "" || sign.Cert == "" {
					return usageError("--sign-key and --sign-cert belong together")
				}
				signer, err := modsign.Load(sign.Key, sign.Cert, sign.Hash)
				if err != nil {
					return err
				}
				opts.Sign = signer
			}
			if opts.API != "" {
				if _, err := klpapi.Mainline(opts.API); err != nil {
					return &exitError{code: exitUsage, err: fmt.Errorf("--api: %w", err)}
				}
			}
			if err := checkFormat(format); err != nil {
				return err
			}
			var err error
			if opts.Allow, err = parseAllow(allow); err != nil {
				return err
			}
			opts.Patches, opts.GitRange, opts.Builder = args, rng, builder()
			bars := newProgress(a.err)
			opts.Progress = bars.update
			start := time.Now()
			res, err := pipeline.Run(cmd.Context(), opts)
			bars.done()
			if format == "json" {
				if jerr := writeBuildJSON(a, res, err); jerr != nil {
					return jerr
				}
				return quietly(err)
			}
			a.summary(res, err, time.Since(start))
			return quietly2(err)
		},
	}
	targetFlags(cmd, &opts.Kernel)
	externalFlags(cmd, &opts)
	flags := cmd.Flags()
	flags.StringVarP(&opts.Output, "output", "o", "", "path of the module (default NAME.ko)")
	flags.StringVar(&opts.Name, "name", "", "module name (default from --output or the first patch)")
	flags.StringVar(&opts.Product, "series", "",
		"name of the series of releases that this is one of; recorded in the module")
	flags.StringVar(&opts.Version, "module-version", "", "version within the series; recorded in the module")
	flags.StringVar(&opts.Vendor, "vendor", "", "who ships it; recorded in the module")
	flags.StringVar(&opts.Description, "description", "", "what the module says it is for")
	flags.StringVar(&opts.Emit, "emit", "", "keep the generated sources in `DIR`; plain make builds them")
	flags.StringVar(&opts.GitDir, "git", ".", "repository for --range")
	flags.StringVar(&rng, "range", "", "take the commits `A..B` of --git instead of patch files")
	flags.IntVarP(&opts.Strip, "strip", "p", 0,
		"leading directories to drop from names in patches (default: found out)")
	flags.IntVar(&opts.Fuzz, "fuzz", 0, "context lines at each end of a hunk that may differ")
	toolchainFlags(cmd, &opts.Toolchain)
	launcherFlag(cmd, &opts.Toolchain)
	flags.IntVarP(&opts.Jobs, "jobs", "j", 0, "parallel jobs (default: number of CPUs)")
	flags.StringVar(&sign.Key, "sign-key", "",
		"sign the module with this private key: a file (PEM), or the pkcs11: `URI` of one in a token")
	flags.StringVar(&sign.Cert, "sign-cert", "", "certificate of --sign-key (PEM or DER)")
	flags.StringVar(&sign.Hash, "sign-hash", "",
		"hash to sign with, if not the one of the target's own modules: sha256, sha384 or sha512")
	flags.BoolVar(&opts.Provenance, "provenance", false,
		"write NAME.ko.intoto.json beside the module: what it was made of (in-toto, SLSA)")
	flags.StringVar(&opts.API, "api", "", "livepatch interface to write for, as the Linux `VERSION` that brought it: "+
		strings.Join(klpapi.Versions(), ", ")+" (default: as the target's headers have it)")
	flags.BoolVar(&opts.NoReplace, "no-replace", false, "do not make the livepatch replace all earlier ones")
	flags.StringArrayVar(&allow, "allow", nil, "accept findings `ID=reason`; recorded in the report")
	flags.BoolVar(&opts.NoAutoCallers, "no-auto-callers", false,
		"leave out unchanged callers of functions whose lock effect changed; KLP201 is an error then")
	flags.BoolVar(&opts.AllowCompilerMismatch, "skip-compiler-check", false,
		"accept another compiler version; shipped code is compared all the same")
	flags.BoolVar(&opts.AllowSourceMismatch, "skip-source-check", false,
		"accept source of another version; shipped code is compared all the same")
	sandboxFlag(cmd, &opts.Sandbox)
	trustFlag(cmd, &opts.TrustPatch)
	flags.StringVar(&format, "format", "text", "text or json")
	return cmd
}

func parseAllow(list []string) (map[finding.ID]string, error) {
	allowed := map[finding.ID]string{}
	for _, s := range list {
		id, reason, ok := strings.Cut(s, "=")
		if !ok || strings.TrimSpace(reason) == "" || !strings.HasPrefix(id, "KLP") {
			return nil, usageError("--allow %q: want an id and a reason, as in KLP103=\"set by the callback\"", s)
		}
		allowed[finding.ID(id)] = reason
	}
	return allowed, nil
}

// quietly keeps the exit code of an error that a JSON document has told.
func quietly(err error) error {
	if err == nil {
		return nil
	}
	return &exitError{code: exitCode(err), err: err, quiet: true}
}

// quietly2 is quiet only about refusals, which the summary has listed.
func quietly2(err error) error {
	var r *pipeline.Refusal
	if errors.As(err, &r) {
		return quietly(err)
	}
	return err
}

// summary says what will be patched and why, and where time went.
func (a *app) summary(res *pipeline.Result, err error, total time.Duration) {
	out := a.err
	for _, n := range res.Notes {
		fmt.Fprintf(out, "note: %s\n", n)
	}
	for _, p := range res.Problems {
		fmt.Fprintf(out, "%s\n", p.Text())
	}
	var refusal *pipeline.Refusal
	if errors.As(err, &refusal) {
		fmt.Fprintf(out, "the patch cannot become a livepatch for %s: %d error(s) above\n", res.Release,
			len(refusal.Problems))
	}
	defer a.times(res, total)
	if err != nil {
		return
	}
	n := 0
	for _, object := range res.Plan.Objects {
		n += len(object.Funcs)
	}
	fmt.Fprintf(a.out, "%s for %s: %d function(s)\n", res.Module, res.Release, n)
	for _, object := range res.Plan.Objects {
		for _, fn := range object.Funcs {
			pos := ""
			if fn.Sympos > 0 {
				pos = fmt.Sprintf(",%d", fn.Sympos)
			}
			fmt.Fprintf(a.out, "  %-12s %s%s  %s\n", object.Name, fn.Name, pos, strings.Join(fn.Reasons, "; "))
		}
	}
	if len(res.NewFuncs) > 0 {
		fmt.Fprintf(a.out, "  new functions: %s\n", strings.Join(res.NewFuncs, ", "))
	}
	if len(res.NewData) > 0 {
		fmt.Fprintf(a.out, "  new data: %s\n", strings.Join(res.NewData, ", "))
	}
	if res.Emitted != "" {
		fmt.Fprintf(a.out, "  sources in %s\n", res.Emitted)
	}
}

// times says where time went.
func (a *app) times(res *pipeline.Result, total time.Duration) {
	out := a.err
	var parts []string
	for _, stage := range res.Stages {
		if stage.Seconds >= 0.05 {
			parts = append(parts, fmt.Sprintf("%s %.1f", stage.Name, stage.Seconds))
		}
	}
	if len(parts) > 0 {
		fmt.Fprintf(out, "time: %.1f s (%s)\n", total.Seconds(), strings.Join(parts, ", "))
	}
}

type buildJSON struct {
	Schema    string            `json:"schema"`
	Release   string            `json:"release"`
	Module    string            `json:"module,omitempty"`
	Bytes     int               `json:"bytes,omitempty"`
	Error     string            `json:"error,omitempty"`
	Exit      int               `json:"exit"`
	Functions []buildFunc       `json:"functions"`
	NewFuncs  []string          `json:"newFunctions,omitempty"`
	NewData   []string          `json:"newData,omitempty"`
	Problems  []finding.Finding `json:"problems"`
	Notes     []string          `json:"notes,omitempty"`
	Units     []string          `json:"units"`
	Stages    []pipeline.Stage  `json:"stages"`
	Compile   float64           `json:"compileSeconds"`
}

type buildFunc struct {
	Object  string   `json:"object"`
	Name    string   `json:"name"`
	Sympos  int      `json:"sympos"`
	Unit    string   `json:"unit"`
	Reasons []string `json:"reasons"`
}

func writeBuildJSON(cli *app, res *pipeline.Result, err error) error {
	doc := buildJSON{Schema: "klpforge.build/v1", Release: res.Release, Module: res.Module, Bytes: res.Bytes,
		Functions: []buildFunc{}, NewFuncs: res.NewFuncs, NewData: res.NewData, Problems: res.Problems,
		Notes: res.Notes,
		Units: res.Units, Stages: res.Stages, Compile: res.CompileSeconds}
	if doc.Problems == nil {
		doc.Problems = []finding.Finding{}
	}
	if doc.Units == nil {
		doc.Units = []string{}
	}
	if err != nil {
		doc.Error, doc.Exit = err.Error(), exitCode(err)
	}
	for _, object := range res.Plan.Objects {
		for _, fn := range object.Funcs {
			doc.Functions = append(doc.Functions, buildFunc{object.Name, fn.Name, fn.Sympos, fn.Unit, fn.Reasons})
		}
	}
	return writeJSON(cli, doc)
}
