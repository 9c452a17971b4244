package main

import (
	"cmp"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/klpforge/klpforge/finding"
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
			newer, err := subject(args[1])
			if err != nil {
				return err
			}
			d := release.Compare(old, newer)
			if format == "json" {
				if err := writeJSON(a, d); err != nil {
					return err
				}
			} else {
				printReleaseDiff(a.out, d)
			}
			if d.Upgrade.Decision == release.Refused || worst(d.Findings) >= finding.Error {
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

func worst(list []finding.Finding) finding.Severity {
	s := finding.Note
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
		line func(string) string
	}{
		{"patches", d.Patches, nil}, {"objects", d.Objects, nil}, {"functions", d.Functions, nil}, {"callbacks", d.Callbacks, nil},
		{"states", d.States, func(id string) string { return stateText(d, id) }}, {"shadow variables", d.Shadows, nil}, {"accepted findings", d.Allowed, nil},
	} {
		if !kind.c.Any() {
			continue
		}
		fmt.Fprintf(w, "%s: %s\n", kind.name, counts(kind.c))
		if kind.name == "callbacks" {
			kind.c = kind.c.ByObject()
		}
		for _, list := range []struct {
			sign  string
			names []string
		}{{"+", kind.c.Added}, {"~", kind.c.Changed}, {"-", kind.c.Dropped}, {"=", kind.c.Present}} {
			for _, n := range list.names {
				if kind.line != nil {
					n = kind.line(n)
				}
				fmt.Fprintf(w, "  %s %s\n", list.sign, n)
			}
		}
	}
	for _, v := range []struct {
		name         string
		v            release.Verdict
		loaded, next release.Side
	}{{"upgrade", d.Upgrade, d.Old, d.New}, {"downgrade", d.Downgrade, d.New, d.Old}} {
		printVerdict(w, v.name, v.v)
		switch {
		case v.v.Decision == release.DisableFirst:
			fmt.Fprintf(w, "  so unload %s, then load %s; in between the machine runs unpatched code\n", v.loaded.Name, v.next.Name)
		case v.v.Decision == release.Allowed && v.next.Replace && v.name == "downgrade":
			fmt.Fprintf(w, "  %s may replace %s (klpforge load --policy replace); by default it is unloaded first\n", v.next.Name, v.loaded.Name)
		case v.v.Decision == release.Allowed && v.next.Replace:
			fmt.Fprintf(w, "  %s replaces %s in one transition\n", v.next.Name, v.loaded.Name)
		case v.v.Decision == release.Allowed:
			fmt.Fprintf(w, "  %s comes beside %s, which stays\n", v.next.Name, v.loaded.Name)
		}
	}
	printVerdict(w, "side by side", d.SideBySide)
	for _, f := range d.Findings {
		fmt.Fprintln(w, f.Text())
	}
}

func printVerdict(w io.Writer, name string, v release.Verdict) {
	fmt.Fprintf(w, "%s: %s\n", name, v.Decision)
	for _, r := range v.Reasons {
		fmt.Fprintf(w, "  %s %s\n", r.ID, r.Message)
	}
}

// counts sums up in words what the signs below it say.
func counts(c release.Changes) string {
	var out []string
	for _, x := range []struct {
		n    int
		what string
	}{{len(c.Added), "added"}, {len(c.Changed), "changed"}, {len(c.Dropped), "dropped"}, {len(c.Present), "in the kernel's source now"}, {len(c.Kept), "kept"}} {
		if x.n > 0 {
			out = append(out, fmt.Sprintf("%d %s", x.n, x.what))
		}
	}
	return strings.Join(out, ", ")
}

// stateText says what became of a state.
func stateText(d *release.Diff, id string) string {
	for _, s := range d.StateVersions {
		if fmt.Sprint(s.ID) != id {
			continue
		}
		text := id
		switch {
		case s.Old == nil:
			text += fmt.Sprintf(" version %d", *s.New)
		case s.New == nil:
			text += fmt.Sprintf(" version %d", *s.Old)
		default:
			text += fmt.Sprintf(" version %d -> %d", *s.Old, *s.New)
		}
		if s.Meaning != "" {
			text += ": " + s.Meaning
		}
		return text
	}
	return id
}

func sideText(s release.Side) string {
	text := s.Name
	if s.Version != "" {
		text += " " + s.Version
	}
	return text + " (" + cmp.Or(s.Release, "any kernel") + ")"
}
