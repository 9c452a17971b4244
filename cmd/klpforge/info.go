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
		RunE: func(_ *cobra.Command, args []string) error { return a.info(args[0], format) },
	}
	cmd.Flags().StringVar(&format, "format", "text", "text or json")
	return cmd
}

// info prints what the module in file says of itself.
func (a *app) info(file, format string) error {
	if err := checkFormat(format); err != nil {
		return err
	}
	info, err := module.Read(file)
	if err != nil {
		return err
	}
	if format == "json" {
		return writeJSON(a, info)
	}
	printInfo(a.out, info)
	return nil
}

func printInfo(out io.Writer, info *module.Info) {
	table := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	defer table.Flush()
	row := func(key, value string) {
		if value != "" {
			fmt.Fprintf(table, "%s\t%s\n", key, value)
		}
	}
	row("module", info.Name)
	row("livepatch", yesNo(info.Livepatch))
	if s := info.Signature; s != nil {
		row("signed", fmt.Sprintf("by %s, certificate %s, %s; not checked", s.Issuer, s.Serial, s.Hash))
	} else {
		row("signed", "no")
	}

	// Modules that klpforge did not make say little; what is known of them comes from modinfo.
	recorded := info.Note
	if recorded == nil {
		row("version", info.Get("version"))
		row("description", info.Get("description"))
		row("vermagic", info.Get("vermagic"))
		row("refers to", strings.Join(info.Objects, ", "))
		row("manifest", "none: klpforge did not make this module")
		return
	}

	row("series", recorded.Product)
	row("vendor", recorded.Vendor)
	row("version", recorded.Version)
	row("description", recorded.Description)
	row("kernel", recorded.Release)
	row("interface", recorded.Generation)
	row("replace", yesNo(recorded.Replace))
	row("immediate", yesNo(recorded.Immediate))
	row("safe to force", yesNo(recorded.Force))

	// What the kernel will be told to patch, then what stays in it when the livepatch goes.
	for _, object := range recorded.Objects {
		for _, fn := range object.Funcs {
			name := fn.Name
			if fn.Sympos > 0 {
				name += fmt.Sprintf(",%d", fn.Sympos)
			}
			row("function", object.Name+": "+name+"  "+strings.Join(fn.Reasons, "; "))
		}
		for _, c := range object.Callbacks.Names() {
			row("callback", object.Name+": "+c[0]+"  "+c[1])
		}
	}
	for _, s := range recorded.States {
		row("state", fmt.Sprintf("%d version %d  %s", s.ID, s.Version, s.Meaning))
	}
	for _, s := range recorded.Shadows {
		row("shadow variable", fmt.Sprintf("%#x  %s", uint64(s.ID), s.Meaning))
	}

	for _, t := range recorded.Types {
		row("types", typesText(t))
	}

	// What people decided.
	for _, p := range recorded.Patches {
		row("patch", patchText(p))
	}
	for _, p := range recorded.Present {
		row("in the source", patchText(p))
	}
	for _, x := range recorded.Allowed {
		row("accepted", string(x.ID)+"  "+x.Reason)
	}
}

// typesText is one line about what an object's types were compared with.
func typesText(recorded note.Types) string {
	if recorded.Source == "" {
		return recorded.Object + ": not compared, the kernel tells none"
	}
	s := fmt.Sprintf("%s: %d compared with %s, SHA-256 %.12s…", recorded.Object, recorded.Checked, recorded.Source,
		recorded.SHA256)
	if recorded.Absent > 0 {
		s += fmt.Sprintf("; %d that it does not know", recorded.Absent)
	}
	return s
}

// patchText is one line about a patch.
func patchText(patch note.Patch) string {
	text := patch.Name
	if patch.Subject != "" {
		text += "  " + patch.Subject
	}
	if len(patch.IDs) > 0 {
		text += "  (" + strings.Join(patch.IDs, ", ") + ")"
	}
	return text
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}
