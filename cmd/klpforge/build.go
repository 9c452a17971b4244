package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/klpforge/klpforge/finding"
	"github.com/klpforge/klpforge/internal/trial"
	"github.com/klpforge/klpforge/kernel"
	"github.com/klpforge/klpforge/kernel/klpapi"
	"github.com/klpforge/klpforge/modsign"
	"github.com/klpforge/klpforge/pipeline"
	"github.com/klpforge/klpforge/release/manifest"
)

// buildRequest is what the flags of build say beside the options of the pipeline.
type buildRequest struct {
	opts    pipeline.Options
	allow   []string // ID=reason
	format  string
	commits string // A..B, "" for patch files
	sign    manifest.Signing
	try     bool // the module, in a VM
}

func (a *app) buildCmd() *cobra.Command {
	var req buildRequest
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
			if err := req.check(args); err != nil {
				return err
			}
			if err := req.complete(args); err != nil {
				return err
			}
			return a.build(cmd.Context(), req)
		},
	}
	req.flags(cmd)
	return cmd
}

// flags adds the flags of build, each to where it is kept.
func (r *buildRequest) flags(cmd *cobra.Command) {
	opts, sign := &r.opts, &r.sign
	targetFlags(cmd, &opts.Kernel)
	externalFlags(cmd, opts)

	// What the module is called, says of itself, and where it goes.
	flags := cmd.Flags()
	flags.StringVarP(&opts.Output, "output", "o", "", "path of the module (default NAME.ko)")
	flags.StringVar(&opts.Name, "name", "", "module name (default from --output or the first patch)")
	flags.StringVar(&opts.Product, "series", "",
		"name of the series of releases that this is one of; recorded in the module")
	flags.StringVar(&opts.Version, "module-version", "", "version within the series; recorded in the module")
	flags.StringVar(&opts.Vendor, "vendor", "", "who ships it; recorded in the module")
	flags.StringVar(&opts.Description, "description", "", "what the module says it is for")
	flags.StringVar(&opts.Emit, "emit", "", "keep the generated sources in `DIR`; plain make builds them")

	// What is built, and with which tools.
	flags.StringVar(&opts.GitDir, "git", ".", "repository for --range")
	flags.StringVar(&r.commits, "range", "", "take the commits `A..B` of --git instead of patch files")
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

	// What is decided otherwise than by default.
	flags.BoolVar(&opts.NoReplace, "no-replace", false, "do not make the livepatch replace all earlier ones")
	flags.StringArrayVar(&r.allow, "allow", nil, "accept findings `ID=reason`; recorded in the report")
	flags.BoolVar(&opts.NoAutoCallers, "no-auto-callers", false,
		"leave out unchanged callers of functions whose lock effect changed; KLP201 is an error then")
	flags.BoolVar(&opts.AllowCompilerMismatch, "skip-compiler-check", false,
		"accept another compiler version; shipped code is compared all the same")
	flags.BoolVar(&opts.AllowSourceMismatch, "skip-source-check", false,
		"accept source of another version; shipped code is compared all the same")
	sandboxFlag(cmd, &opts.Sandbox)
	trustFlag(cmd, &opts.TrustPatch)
	flags.BoolVar(&r.try, "try", false, "try the module in a VM at once, as klpforge try does without further flags")
	flags.StringVar(&r.format, "format", "text", "text or json")
}

// check refuses what does not go together, before anything is opened or made.
func (r *buildRequest) check(args []string) error {
	if !named(r.opts.Kernel) {
		return usageError("which kernel? give -k RELEASE, or --build-tree DIR for one of your own")
	}
	if len(args) == 0 && r.commits == "" {
		return usageError("no patch given")
	}
	if len(args) > 0 && r.commits != "" {
		return usageError("give patch files or --range, not both")
	}
	if r.commits != "" && !strings.Contains(r.commits, "..") {
		return usageError("--range %q: want the form A..B", r.commits)
	}
	if r.try && r.format != "text" {
		return usageError("--try prints text: run klpforge try --format %s on the module", r.format)
	}
	return checkExternal(&r.opts)
}

// complete reads what the flags name and fills the options of the pipeline.
func (r *buildRequest) complete(args []string) error {
	if r.sign.Key != "" || r.sign.Cert != "" {
		if r.sign.Key == "" || r.sign.Cert == "" {
			return usageError("--sign-key and --sign-cert belong together")
		}
		signer, err := modsign.Load(r.sign.Key, r.sign.Cert, r.sign.Hash)
		if err != nil {
			return err
		}
		r.opts.Sign = signer
	}
	if r.opts.API != "" {
		if _, err := klpapi.Mainline(r.opts.API); err != nil {
			return &exitError{code: exitUsage, err: fmt.Errorf("--api: %w", err)}
		}
	}
	if err := checkFormat(r.format); err != nil {
		return err
	}
	var err error
	if r.opts.Allow, err = parseAllow(r.allow); err != nil {
		return err
	}
	r.opts.Patches, r.opts.GitRange, r.opts.Builder = args, r.commits, builder()
	return nil
}

// build runs the pipeline and reports, as text or as a JSON document.
func (a *app) build(ctx context.Context, req buildRequest) error {
	if req.try {
		if err := trial.FindEmulator(emulator); err != nil {
			return err // before minutes are spent on a module
		}
	}
	bars := newProgress(a.err)
	req.opts.Progress = bars.update
	start := time.Now()
	res, err := pipeline.Run(ctx, req.opts)
	bars.done()
	if req.format == "json" {
		if jerr := writeBuildJSON(a, res, err); jerr != nil {
			return jerr
		}
		return quietly(err)
	}
	a.summary(res, err, time.Since(start))
	if err != nil || !req.try {
		return quietly2(err)
	}
	k, err := kernel.Open(req.opts.Kernel)
	if err != nil {
		return err
	}
	defer k.Close()
	return a.try(ctx, k, res.Module, defaultTrial(), "text")
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

	// The times come last, also when it failed: they tell in which stage.
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
	// NoteKinds are the kinds of Notes, in their order.
	NoteKinds []finding.RemarkKind `json:"noteKinds,omitempty"`
	Units     []string             `json:"units"`
	Stages    []pipeline.Stage     `json:"stages"`
	Compile   float64              `json:"compileSeconds"`
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
		Notes: finding.RemarkTexts(res.Notes), NoteKinds: finding.RemarkKinds(res.Notes),
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
