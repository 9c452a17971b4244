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
		RunE: func(_ *cobra.Command, args []string) error { return a.releaseDiff(args[0], args[1], format) },
	}
	cmd.Flags().StringVar(&format, "format", "text", "text or json")
	return cmd
}

// releaseDiff compares two releases and fails when the new one may not follow the old.
func (a *app) releaseDiff(oldPath, newPath, format string) error {
	if err := checkFormat(format); err != nil {
		return err
	}
	old, err := subject(oldPath)
	if err != nil {
		return err
	}
	newer, err := subject(newPath)
	if err != nil {
		return err
	}

	diff := release.Compare(old, newer)
	if format == "json" {
		if err := writeJSON(a, diff); err != nil {
			return err
		}
	} else {
		printReleaseDiff(a.out, diff)
	}
	if diff.Upgrade.Decision == release.Refused || worst(diff.Findings) >= finding.Error {
		return &exitError{code: exitFindings, err: fmt.Errorf("%s may not follow %s", newPath, oldPath),
			quiet: true}
	}
	return nil
}

// subject reads one side of a comparison.
func subject(path string) (release.Subject, error) {
	if ext := filepath.Ext(path); ext == ".yaml" || ext == ".yml" {
		planned, err := readManifest(path)
		if err != nil {
			return release.Subject{}, err
		}
		p, err := releases.Promise(planned)
		return release.Subject{File: path, Note: p, Promised: true}, err
	}
	info, err := module.Read(path)
	if err != nil {
		return release.Subject{}, err
	}
	if info.Note == nil {
		return release.Subject{}, fmt.Errorf("compare %s: it carries no note of klpforge, so what "+
			"it contains is not known", path)
	}
	return release.Subject{File: path, Note: info.Note}, nil
}

func worst(list []finding.Finding) finding.Severity {
	severity := finding.Note
	for _, f := range list {
		severity = max(severity, f.Severity)
	}
	return severity
}

func printReleaseDiff(out io.Writer, diff *release.Diff) {
	fmt.Fprintf(out, "%s -> %s\n", sideText(diff.Old), sideText(diff.New))

	// What each release holds, as additions and losses.
	for _, kind := range []struct {
		name string
		c    release.Changes
		line func(string) string
	}{
		{"patches", diff.Patches, nil}, {"objects", diff.Objects, nil}, {"functions", diff.Functions, nil},
		{"callbacks", diff.Callbacks, nil},
		{"states", diff.States, func(id string) string { return stateText(diff, id) }},
		{"shadow variables", diff.Shadows, nil}, {"accepted findings", diff.Allowed, nil},
	} {
		if !kind.c.Any() {
			continue
		}
		fmt.Fprintf(out, "%s: %s\n", kind.name, counts(kind.c))
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
				fmt.Fprintf(out, "  %s %s\n", list.sign, n)
			}
		}
	}

	// Then what that means for a machine on which one of the two is loaded.
	for _, judged := range []struct {
		name         string
		v            release.Verdict
		loaded, next release.Side
	}{{"upgrade", diff.Upgrade, diff.Old, diff.New}, {"downgrade", diff.Downgrade, diff.New, diff.Old}} {
		printVerdict(out, judged.name, judged.v)
		switch {
		case judged.v.Decision == release.DisableFirst:
			fmt.Fprintf(out, "  so unload %s, then load %s; in between the machine runs unpatched code\n",
				judged.loaded.Name, judged.next.Name)
		case judged.v.Decision == release.Allowed && judged.next.Replace && judged.name == "downgrade":
			fmt.Fprintf(out, "  %s may replace %s (klpforge load --policy replace); by default it is unloaded first\n",
				judged.next.Name, judged.loaded.Name)
		case judged.v.Decision == release.Allowed && judged.next.Replace:
			fmt.Fprintf(out, "  %s replaces %s in one transition\n", judged.next.Name, judged.loaded.Name)
		case judged.v.Decision == release.Allowed:
			fmt.Fprintf(out, "  %s comes beside %s, which stays\n", judged.next.Name, judged.loaded.Name)
		}
	}

	printVerdict(out, "side by side", diff.SideBySide)
	for _, f := range diff.Findings {
		fmt.Fprintln(out, f.Text())
	}
}

func printVerdict(w io.Writer, name string, verdict release.Verdict) {
	fmt.Fprintf(w, "%s: %s\n", name, verdict.Decision)
	for _, r := range verdict.Reasons {
		fmt.Fprintf(w, "  %s %s\n", r.ID, r.Message)
	}
}

// counts sums up in words what the signs below it say.
func counts(changes release.Changes) string {
	var out []string
	for _, counted := range []struct {
		n    int
		what string
	}{{len(changes.Added), "added"}, {len(changes.Changed), "changed"}, {len(changes.Dropped), "dropped"},
		{len(changes.Present), "in the kernel's source now"}, {len(changes.Kept), "kept"}} {
		if counted.n > 0 {
			out = append(out, fmt.Sprintf("%d %s", counted.n, counted.what))
		}
	}
	return strings.Join(out, ", ")
}

// stateText says what became of a state.
func stateText(d *release.Diff, id string) string {
	for _, state := range d.StateVersions {
		if fmt.Sprint(state.ID) != id {
			continue
		}
		text := id
		switch {
		case state.Old == nil:
			text += fmt.Sprintf(" version %d", *state.New)
		case state.New == nil:
			text += fmt.Sprintf(" version %d", *state.Old)
		default:
			text += fmt.Sprintf(" version %d -> %d", *state.Old, *state.New)
		}
		if state.Meaning != "" {
			text += ": " + state.Meaning
		}
		return text
	}
	return id
}

func sideText(side release.Side) string {
	text := side.Name
	if side.Version != "" {
		text += " " + side.Version
	}
	return text + " (" + cmp.Or(side.Release, "any kernel") + ")"
}
