package main

import (
	_ "embed"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/klpforge/klpforge/internal/ownkernel"
	"github.com/klpforge/klpforge/kernel/kconfig"
)

//go:embed page.md
var pageText string

// compilerOf is what the kernel's configuration says of its compiler.
func compilerOf(k ownkernel.Kernel) string {
	text, err := os.ReadFile(filepath.Join(k.Build, ".config"))
	if err != nil {
		return "unknown"
	}
	for line := range strings.Lines(string(text)) {
		if v, ok := strings.CutPrefix(strings.TrimSpace(line), "CONFIG_CC_VERSION_TEXT="); ok {
			c := kconfig.ParseCompiler(strings.Trim(v, `"`))
			return c.Kind + " " + c.Version
		}
	}
	return "unknown"
}

// outcome says in words what became of a patch.
func (s side) outcome() string {
	switch {
	case s.Module == "":
		return "no module: " + s.Said
	case s.Loads:
		return "loads, unloads"
	}
	return "DOES NOT LOAD: " + s.LoadLog
}

// functions tells the functions that both replace from those that one does.
func functions(r result) string {
	list := func(of, but []string, mark string) (out []string) {
		for _, f := range of {
			if slices.Contains(but, f) == (mark == "") {
				out = append(out, "`"+f+"`"+mark)
			}
		}
		return out
	}
	all := list(r.Ours.Functions, r.Theirs.Functions, "")
	all = append(all, list(r.Ours.Functions, r.Theirs.Functions, " (only klpforge)")...)
	all = append(all, list(r.Theirs.Functions, r.Ours.Functions, " (only klp-build)")...)
	if len(all) == 0 {
		return "none"
	}
	return strings.Join(all, ", ")
}

// page is the table with its explanation.
func page(r results) string {
	var b strings.Builder
	b.WriteString(pageText)
	fmt.Fprintf(&b, "\n%s, %s, %d jobs. Before the first patch: klpforge prepares its tree in %.0f s; klp-build builds the whole kernel in %.0f s.\n\n",
		r.Release, r.Compiler, r.Jobs, r.Prepare, r.Original)
	b.WriteString("| patch | functions | klpforge | s | klp-build | s |\n| --- | --- | --- | --- | --- | --- |\n")
	for _, c := range r.Cases {
		fmt.Fprintf(&b, "| %s | %s | %s | %.1f | %s | %.1f |\n", plain(c.What), functions(c), plain(c.Ours.outcome()), c.Ours.Seconds,
			plain(c.Theirs.outcome()), c.Theirs.Seconds)
	}
	return b.String()
}

// plain makes text fit into a cell of a table.
func plain(text string) string {
	return strings.ReplaceAll(strings.Join(strings.Fields(text), " "), "|", `\|`)
}
