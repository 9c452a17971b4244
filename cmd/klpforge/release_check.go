package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/klpforge/klpforge/finding"
	"github.com/klpforge/klpforge/internal/releases"
	"github.com/klpforge/klpforge/module"
)

type checkJSON struct {
	Schema  string        `json:"schema"`
	Modules []checkModule `json:"modules"`
}

type checkModule struct {
	File     string            `json:"file"`
	Findings []finding.Finding `json:"findings"`
}

func (a *app) releaseCheckCmd() *cobra.Command {
	var file, format string
	cmd := &cobra.Command{
		Use:   "check [-f MANIFEST] [MODULE.ko...]",
		Short: "Check a release manifest, and modules against it",
		Long: `Check a release manifest, and with modules, whether each is what the manifest says
(KLP407) and leaves nothing behind when it goes (KLP403). The exit code is 1 when
there is an error.`,
		Example: `  klpforge release check
  klpforge release check -f livepatch.yaml out/*/*.ko`,
		RunE: func(_ *cobra.Command, args []string) error { return a.releaseCheck(file, format, args) },
	}
	manifestFlag(cmd, &file)
	cmd.Flags().StringVar(&format, "format", "text", "text or json")
	return cmd
}

// releaseCheck checks the manifest in file, and modules against it.
func (a *app) releaseCheck(file, format string, modules []string) error {
	if err := checkFormat(format); err != nil {
		return err
	}
	manifest, err := readManifest(file)
	if err != nil {
		return err
	}

	// Every module is judged before the worst finding decides.
	doc := checkJSON{Schema: "klpforge.release-check/v1", Modules: []checkModule{}}
	severity := finding.Note
	for _, path := range modules {
		info, err := module.Read(path)
		if err != nil {
			return err
		}
		list, err := releases.Check(manifest, info)
		if err != nil {
			return err
		}
		doc.Modules = append(doc.Modules, checkModule{path, list})
		severity = max(severity, worst(list))
	}

	if format == "json" {
		if err := writeJSON(a, doc); err != nil {
			return err
		}
	} else {
		a.printCheck(file, doc)
	}
	if severity >= finding.Error {
		return &exitError{code: exitFindings, err: fmt.Errorf("not what %s says", file), quiet: true}
	}
	return nil
}

func (a *app) printCheck(file string, doc checkJSON) {
	if len(doc.Modules) == 0 {
		fmt.Fprintf(a.out, "%s is well-formed\n", file)
	}
	for _, checked := range doc.Modules {
		if len(checked.Findings) == 0 {
			fmt.Fprintf(a.out, "%s: as %s says\n", checked.File, file)
		}
		for _, f := range checked.Findings {
			fmt.Fprintf(a.out, "%s: %s\n", checked.File, f.Text())
		}
	}
}
