package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/klpforge/klpforge/finding"
	"github.com/klpforge/klpforge/generate"
	"github.com/klpforge/klpforge/internal/regular"
	"github.com/klpforge/klpforge/internal/unpack"
	"github.com/klpforge/klpforge/kernel"
	"github.com/klpforge/klpforge/modsign"
	"github.com/klpforge/klpforge/module"
	"github.com/klpforge/klpforge/pipeline"
)

func (a *app) verifyCmd() *cobra.Command {
	var opts kernel.Options
	var format string
	cmd := &cobra.Command{
		Use:   "verify -k RELEASE MODULE.ko",
		Short: "Check a finished livepatch module against a kernel",
		Example: `  klpforge verify -k 6.1.0-55-cloud-amd64 livepatch_fix.ko
  klpforge verify -k 6.1.0-55-cloud-amd64 --oot-module foo.ko livepatch_foo.ko`,
		Args: exactArgs(1, "one module"),
		RunE: func(_ *cobra.Command, args []string) error { return a.verify(opts, args[0], format) },
	}
	targetFlags(cmd, &opts)
	cmd.Flags().StringArrayVar(&opts.ExtraModules, "oot-module", nil,
		"`FILE.ko` that was built outside of the kernel's tree and that the livepatch is for")
	cmd.Flags().StringVar(&format, "format", "text", "text or json")
	return cmd
}

// verify checks the module in file against a kernel, and fails when it does not fit.
func (a *app) verify(opts kernel.Options, file, format string) error {
	if !named(opts) {
		return usageError("which kernel? give -k RELEASE, or --build-tree DIR for one of your own")
	}
	if err := checkFormat(format); err != nil {
		return err
	}

	// Signature and compression are not what the kernel links.
	ko, err := regular.Read(file, module.MaxFile)
	if err != nil {
		return err
	}
	if ko, err = unpack.File(file, ko); err != nil {
		return fmt.Errorf("verify %s: %w", file, err)
	}
	if ko, _, err = modsign.Split(ko); err != nil {
		return fmt.Errorf("verify %s: %w", file, err)
	}

	target, err := pipeline.OpenTarget(opts)
	if err != nil {
		return err
	}
	defer target.Close()
	problems, err := generate.Verify(ko, target)
	if err != nil {
		return fmt.Errorf("verify %s: %w", file, err)
	}

	failed := false
	for _, p := range problems {
		failed = failed || p.Severity == finding.Error
	}
	if format == "json" {
		if err := writeJSON(a, map[string]any{"schema": "klpforge.verify/v1", "module": file,
			"release": target.Release(), "ok": !failed, "problems": verifyProblems(problems)}); err != nil {
			return err
		}
	} else {
		for _, p := range problems {
			fmt.Fprintln(a.out, p.String())
		}
		if !failed {
			fmt.Fprintf(a.out, "%s fits %s\n", file, target.Release())
		}
	}
	if failed {
		return &exitError{code: exitFindings, err: fmt.Errorf("%s does not fit %s", file, target.Release()),
			quiet: true}
	}
	return nil
}

// verifyProblem is a finding in the JSON form of verify.
type verifyProblem struct {
	ID       finding.ID       `json:"id"`
	Severity finding.Severity `json:"severity"`
	Object   string           `json:"object,omitempty"`
	Symbol   string           `json:"symbol,omitempty"`
	Message  string           `json:"message"`
	Remedy   string           `json:"remedy,omitempty"`
}

func verifyProblems(problems []finding.Finding) []verifyProblem {
	out := make([]verifyProblem, len(problems))
	for i, p := range problems {
		out[i] = verifyProblem{p.ID, p.Severity, p.Object, p.Symbol, p.Message, p.Remedy}
	}
	return out
}

func (a *app) postlinkCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "postlink MODULE.ko",
		Short: "Turn a freshly linked module into a livepatch (run by the emitted Makefile)",
		Long: `Move relocations against .klp.sym.* symbols to .klp.rela.* sections and attach the
manifest that lies beside the module. A second run changes nothing.`,
		Args: exactArgs(1, "one module"),
		RunE: func(_ *cobra.Command, args []string) error { return generate.PostLinkFile(args[0]) },
	}
}
