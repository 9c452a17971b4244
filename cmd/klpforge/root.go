package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/klpforge/klpforge/kernel"
	"github.com/klpforge/klpforge/pipeline"
	"github.com/klpforge/klpforge/plan"
)

// Exit codes; scripts depend on them.
const (
	exitDone     = 0
	exitFindings = 1 // findings at or above --fail-on, or the patch cannot be a livepatch
	exitUsage    = 2
	exitEnv      = 3 // compiler, missing file, I/O
)

// version is set by the linker for releases.
var version = "devel"

// builder is the version for the provenance of modules; "" leaves it to the
// toolchain.
func builder() string {
	if version == "devel" {
		return ""
	}
	return version
}

// exitError carries an exit code; quiet means that all has been said.
type exitError struct {
	code  int
	err   error
	quiet bool
}

func (e *exitError) Error() string { return e.err.Error() }
func (e *exitError) Unwrap() error { return e.err }

func usageError(format string, args ...any) error {
	return &exitError{code: exitUsage, err: fmt.Errorf(format, args...)}
}

// app is what commands share.
type app struct {
	in       io.Reader
	out, err io.Writer
}

// commands is the whole command tree. kpatch is the one command of it whose
// arguments need translation (kpatchArgs).
func (a *app) commands() (root, kpatch *cobra.Command) {
	root = &cobra.Command{
		Use:   "klpforge",
		Short: "Build and check Linux kernel livepatch modules",
		Long: `klpforge turns a source patch and a target kernel into a livepatch module.

It compiles only what the patch touches, compares the objects before and after,
builds a module of the functions that changed, and checks it byte by byte
against the kernel that runs.

Exit codes: 0 done; 1 the patch cannot be a livepatch, or findings at or above
--fail-on; 2 usage; 3 the environment failed (compiler, missing file, I/O).`,
		SilenceUsage: true, SilenceErrors: true, Version: version, DisableAutoGenTag: true,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usageError("unknown command %q", args[0])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}

	root.SetIn(a.in)
	root.SetOut(a.out)
	root.SetErr(a.err)
	kpatch = a.kpatchCmd()

	// A wrong flag is a usage error like any other.
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return &exitError{code: exitUsage, err: err} })
	root.AddCommand(a.buildCmd(), a.diffCmd(), a.verifyCmd(), a.kernelCmd(), a.postlinkCmd(), a.infoCmd(),
		a.releaseCmd(), a.lintCmd(), a.explainCmd(), a.inspectCmd(),
		a.loadCmd(), a.unloadCmd(), a.statusCmd(), a.planCmd(), a.tryCmd(), a.manCmd(), kpatch)
	root.SetHelpCommand(helpCmd())
	addCompletion(root)
	return root, kpatch
}

// run is the program without its process: it returns the exit code.
func run(ctx context.Context, args []string, in io.Reader, out, errw io.Writer) int {
	stdout := &results{w: out}
	a := &app{in: in, out: stdout, err: errw}
	root, kpatch := a.commands()
	args = kpatchArgs(kpatch, args)
	root.SetArgs(args[1:])
	err := root.ExecuteContext(ctx)
	if stdout.err != nil {
		err = fmt.Errorf("print the result: %w", stdout.err)
	}
	if err == nil {
		return exitDone
	}
	code := exitCode(err)
	var e *exitError
	if !errors.As(err, &e) || !e.quiet {
		fmt.Fprintf(errw, "klpforge: %v\n", err)
		if code == exitUsage {
			fmt.Fprintln(errw, "Run 'klpforge --help' or 'klpforge COMMAND --help' for usage.")
		}
	}
	return code
}

// exitCode sorts an error into the documented codes.
func exitCode(err error) int {
	var exit *exitError
	var refusal *pipeline.Refusal
	var patch *pipeline.PatchError
	var name *plan.NameError
	switch {
	case errors.As(err, &exit):
		return exit.code
	case errors.As(err, &name):
		return exitUsage
	case errors.As(err, &refusal), errors.As(err, &patch), errors.Is(err, pipeline.ErrNothing):
		return exitFindings
	}
	return exitEnv
}

// exactArgs is cobra.ExactArgs with the usage exit code.
func exactArgs(n int, what string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) != n {
			return usageError("want %s, got %d argument(s)", what, len(args))
		}
		return nil
	}
}

// targetFlags adds the flags that say which kernel is meant.
func targetFlags(cmd *cobra.Command, opts *kernel.Options) {
	flags := cmd.Flags()
	flags.StringVarP(&opts.Release, "kernel", "k", "", "kernel `RELEASE`, as uname -r prints it")
	flags.StringVar(&opts.Root, "root", "/", "`DIR` to look for the kernel's files in, as if it were /")
	flags.StringVar((*string)(&opts.Cache), "cache", "",
		"cache `DIR` (default $KLPFORGE_CACHE, else klpforge in the user's cache directory)")
	flags.StringVar(&opts.Source, "source", "", "source tree or tarball")
	flags.StringVar(&opts.Config, "config", "", "kernel configuration")
	flags.StringVar(&opts.Symvers, "symvers", "", "Module.symvers")
	flags.StringVar(&opts.SystemMap, "system-map", "", "System.map")
	flags.StringVar(&opts.Vmlinux, "vmlinux", "", "ELF vmlinux, with or without symbols")
	flags.StringVar(&opts.Image, "image", "", "compressed kernel image")
	flags.StringVar(&opts.Headers, "headers", "", "configured headers of the target")
	flags.StringVar(&opts.ModulesDir, "modules", "", "directory like /lib/modules/RELEASE")
	buildTreeFlag(cmd, opts)
}

// externalFlags are those of commands that also work on modules built outside of
// the kernel's tree.
func externalFlags(cmd *cobra.Command, o *pipeline.Options) {
	flags := cmd.Flags()
	flags.StringArrayVar(&o.Kernel.ExtraModules, "oot-module", nil,
		"`FILE.ko` that was built outside of the kernel's tree, as it is loaded; with --oot-module-src")
	flags.StringVar(&o.ExternalSource, "oot-module-src", "",
		"`DIR` with the source and makefile of --oot-module; patches apply there")
	flags.StringVar(&o.ExternalSource, "module-src", "", "the same as --oot-module-src")
	if err := flags.MarkHidden("module-src"); err != nil {
		panic(err) // the flag was defined just above
	}
}

// checkExternal refuses half of what --oot-module needs.
func checkExternal(o *pipeline.Options) error {
	switch {
	case o.ExternalSource != "" && len(o.Kernel.ExtraModules) == 0:
		return usageError("--oot-module-src needs --oot-module FILE.ko, the module that is loaded: its code decides " +
			"what can be patched")
	case o.ExternalSource == "" && len(o.Kernel.ExtraModules) > 0:
		return usageError("--oot-module needs --oot-module-src DIR, the source that it was built from")
	}
	return nil
}

func isTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	if !ok {
		return false
	}
	return term.IsTerminal(int(file.Fd()))
}
