package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/klpforge/klpforge/module"
	"github.com/klpforge/klpforge/module/note"
)

func (a *app) infoCmd() *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:   "info MODULE.ko",
		Short: "Print what a livepatch module says of itself",
		Long: `Print what a livepatch module says of itself: release and version, functions,
callbacks, states, shadow variables, patches, accepted findings. The module may be
compressed, stripped and signed; no kernel is needed. Of a module that klpforge
did not make only modinfo and the objects it refers to are known.`,
		Example: `  klpforge info livepatch_fix.ko
  klpforge info --format json livepatch_fix.ko.xz | jq .manifest.patches`,
		Args: exactArgs(1, "one module"),
		RunE: func(_ *cobra.Command, args []string) error {
			if err := checkFormat(format); err != nil {
				return err
			}
			info, err := module.Read(args[0])
			if err != nil {
				return err
			}
			if format == "json" {
				return writeJSON(a, info)
			}
			printInfo(a.out, info)
			return nil
		},
	}
	cmd.Flags().StringVar(&format, "format", "text", "text or json")
	return cmd
}

func printInfo(out io.Writer, info *module.Info) {
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	defer w.Flush()
	row := func(key, value string) {
		if value != "" {
			fmt.Fprintf(w, "%s\t%s\n", key, value)
		}
	}
	row("module", info.Name)
	row("livepatch", yesNo(info.Livepatch))
	if s := info.Signature; s != nil {
		row("signed", fmt.Sprintf("by %s, certificate %s, %s; not checked", s.Issuer, s.Serial, s.Hash))
	} else {
		row("signed", "no")
	}
	m := info.Manifest
	if m == nil {
		row("version", info.Get("version"))
		row("description", info.Get("description"))
		row("vermagic", info.Get("vermagic"))
		row("refers to", strings.Join(info.Objects, ", "))
		row("manifest", "none: klpforge did not make this module")
		return
	}
	row("series", m.Product)
	row("vendor", m.Vendor)
	row("version", m.Version)
	row("description", m.Description)
	row("kernel", m.Release)
	row("interface", m.Generation)
	row("replace", yesNo(m.Replace))
	row("immediate", yesNo(m.Immediate))
	row("safe to force", yesNo(m.Force))
	for _, o := range m.Objects {
		for _, f := range o.Funcs {
			name := f.Name
			if f.Sympos > 0 {
				name += fmt.Sprintf(",%d", f.Sympos)
			}
			row("function", o.Name+": "+name+"  "+strings.Join(f.Reasons, "; "))
		}
		for _, c := range o.Callbacks.Names() {
			row("callback", o.Name+": "+c[0]+"  "+c[1])
		}
	}
	for _, s := range m.States {
		row("state", fmt.Sprintf("%d version %d  %s", s.ID, s.Version, s.Meaning))
	}
	for _, s := range m.Shadows {
		row("shadow variable", fmt.Sprintf("%#x  %s", uint64(s.ID), s.Meaning))
	}
	for _, t := range m.Types {
		row("types", typesText(t))
	}
	for _, p := range m.Patches {
		row("patch", patchText(p))
	}
	for _, p := range m.Present {
		row("in the source", patchText(p))
	}
	for _, x := range m.Allowed {
		row("accepted", string(x.ID)+"  "+x.Reason)
	}
}

// typesText is one line about what an object's types were compared with.
func typesText(t note.Types) string {
	if t.Source == "" {
		return t.Object + ": not compared, the kernel tells none"
	}
	s := fmt.Sprintf("%s: %d compared with %s, SHA-256 %.12s…", t.Object, t.Checked, t.Source, t.SHA256)
	if t.Absent > 0 {
		s += fmt.Sprintf("; %d that it does not know", t.Absent)
	}
	return s
}

// patchText is one line about a patch.
func patchText(p note.Patch) string {
	s := p.Name
	if p.Subject != "" {
		s += "  " + p.Subject
	}
	if len(p.IDs) > 0 {
		s += "  (" + strings.Join(p.IDs, ", ") + ")"
	}
	return s
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}
