package main

import (
	"cmp"
	"fmt"
	"io"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/klpforge/klpforge/elfdiff"
	"github.com/klpforge/klpforge/internal/releases"
	"github.com/klpforge/klpforge/module"
	"github.com/klpforge/klpforge/release"
)

func (a *app) releaseDiffCmd() *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:   "diff OLD NEW",
		Short: "Compare two releases and say whether one may follow the other",
		Long: `Compare two releases: patches, objects, functions, callbacks, states, shadow
variables and accepted findings. Then say for three movements whether they are
allowed, need the loaded livepatch disabled first, or are refused, and why:
upgrade (OLD is loaded, NEW is to be), downgrade (NEW is loaded, OLD is to be),
and side by side (OLD stays when NEW is loaded).

OLD and NEW are modules that klpforge made, which may be compressed, stripped and
signed, or release manifests (.yaml), of which functions are not known yet. The exit code is 1 when the upgrade is refused or the new release has an
error.`,
		Example: `  klpforge release diff livepatch_fix_1.ko livepatch_fix_2.ko
  klpforge release diff v1/livepatch.yaml v2/livepatch.yaml`,
		Args: exactArgs(2, "two releases"),
		RunE: func(_ *cobra.Command, args []string) error {
			if err := checkFormat(format); err != nil {
				return err
			}
			old, err := subject(args[0])
			if err != nil {
				return err
			}
			new, err := subject(args[1])
			if err != nil {
				return err
			}
			d := release.Compare(old, new)
			if format == "json" {
				if err := writeJSON(a, d); err != nil {
					return err
				}
			} else {
				printReleaseDiff(a.out, d)
			}
			if d.Upgrade.Decision == release.Refused || worst(d.Findings) >= elfdiff.Error {
				return &exitError{code: exitFindings, err: fmt.Errorf("%s may not follow %s", args[1], args[0]), quiet: true}
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&format, "format", "text", "text or json")
	return cmd
}

// subject reads one side of a comparison.
func subject(path string) (release.Subject, error) {
	if ext := filepath.Ext(path); ext == ".yaml" || ext == ".yml" {
		m, err := readManifest(path)
		if err != nil {
			return release.Subject{}, err
		}
		p, err := releases.Promise(m)
		return release.Subject{File: path, Manifest: p, Promised: true}, err
	}
	info, err := module.Read(path)
	if err != nil {
		return release.Subject{}, err
	}
	if info.Manifest == nil {
		return release.Subject{}, fmt.Errorf("compare %s: it carries no note of klpforge, so what it contains is not known", path)
	}
	return release.Subject{File: path, Manifest: info.Manifest}, nil
}

func worst(list []release.Finding) elfdiff.Severity {
	s := elfdiff.Note
	for _, f := range list {
		s = max(s, f.Severity)
	}
	return s
}

func printReleaseDiff(w io.Writer, d *release.Diff) {
	fmt.Fprintf(w, "%s -> %s\n", sideText(d.Old), sideText(d.New))
	for _, kind := range []struct {
		name string
		c    release.Changes
	}{
		{"patches", d.Patches}, {"objects", d.Objects}, {"functions", d.Functions}, {"callbacks", d.Callbacks},
		{"states", d.States}, {"shadow variables", d.Shadows}, {"accepted findings", d.Allowed},
	} {
		if !kind.c.Any() {
			continue
		}
		fmt.Fprintf(w, "%s\n", kind.name)
		for _, list := range []struct {
			sign  string
			names []string
		}{{"+", kind.c.Added}, {"~", kind.c.Changed}, {"-", kind.c.Dropped}} {
			for _, n := range list.names {
				fmt.Fprintf(w, "  %s %s\n", list.sign, n)
			}
		}
	}
	for _, v := range []struct {
		name string
		v    release.Verdict
	}{{"upgrade", d.Upgrade}, {"downgrade", d.Downgrade}, {"side by side", d.SideBySide}} {
		fmt.Fprintf(w, "%s: %s\n", v.name, v.v.Decision)
		for _, r := range v.v.Reasons {
			fmt.Fprintf(w, "  %s %s\n", r.ID, r.Message)
		}
	}
	for _, f := range d.Findings {
		fmt.Fprintln(w, f.Line())
	}
}

func sideText(s release.Side) string {
	text := s.Name
	if s.Version != "" {
		text += " " + s.Version
	}
	return text + " (" + cmp.Or(s.Release, "any kernel") + ")"
}
