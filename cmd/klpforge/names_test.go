package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/klpforge/klpforge/analyze/all"
)

// spoken is a text that people read, and where it comes from.
type spoken struct{ where, text string }

// everythingSaid gathers what klpforge says: the explanations of findings, every
// string of the program (messages, remedies, help) and the pages.
func everythingSaid(t *testing.T) []spoken {
	t.Helper()
	var out []spoken
	for _, c := range all.Registry().Checks() {
		out = append(out, spoken{"explain " + string(c.ID), c.Doc})
	}
	const root = "../.."
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if name := d.Name(); d.IsDir() && p != root && (name == "testdata" || name == "bin" || name == "dist" || strings.HasPrefix(name, ".")) {
			return filepath.SkipDir
		}
		switch {
		case strings.HasSuffix(p, ".md"):
			data, err := os.ReadFile(p)
			if err != nil {
				return err
			}
			out = append(out, spoken{p, string(data)})
		case strings.HasSuffix(p, ".go") && !strings.HasSuffix(p, "_test.go"):
			file, err := parser.ParseFile(token.NewFileSet(), p, nil, parser.SkipObjectResolution)
			if err != nil {
				return err
			}
			ast.Inspect(file, func(n ast.Node) bool {
				if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
					if s, err := strconv.Unquote(lit.Value); err == nil {
						out = append(out, spoken{p, s})
					}
				}
				return true
			})
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// calledRE finds calls of the program: quoted, in brackets, at the start of a line of
// an example, or behind a verb that asks for one. What prose says klpforge does is
// none.
var calledRE = regexp.MustCompile("(?m)(?:['`(]|\\$ |^    (?: *)|\\b(?:run|use|see|with|by|give)\\s)klpforge((?:\\s+[a-z][a-z-]*)+)((?:\\s+(?:-[a-z]\\b|--[a-z][a-z-]*)[^\\s'`)]*)*)")

// verbs begin sentences about klpforge in text that is indented or in brackets.
var verbs = []string{"itself", "cannot", "in", "on", "or", "and", "is", "does", "has", "takes", "knows"}

// TestNamedCommandsExist: every command that messages, remedies, explanations, help
// and pages tell to run exists.
func TestNamedCommandsExist(t *testing.T) {
	top := allCommands()
	named := 0
	for _, s := range everythingSaid(t) {
		for _, m := range calledRE.FindAllStringSubmatch(s.text, -1) {
			words := strings.Fields(m[1])
			if slices.Contains(verbs, words[0]) {
				continue
			}
			cmd := child(top, words[0])
			if cmd == nil {
				t.Errorf("%s: %q names the command %q, which does not exist", s.where, strings.TrimSpace(m[0]), words[0])
				continue
			}
			named++
			if len(words) > 1 && cmd.HasSubCommands() {
				if sub := child(cmd, words[1]); sub != nil {
					cmd = sub
				} else if !slices.Contains(verbs, words[1]) {
					t.Errorf("%s: %q names the command %q of %s, which does not exist", s.where, strings.TrimSpace(m[0]), words[1], cmd.Name())
				}
			}
			for _, f := range regexp.MustCompile(`--([a-z][a-z-]*)`).FindAllStringSubmatch(m[2], -1) {
				if cmd.Flags().Lookup(f[1]) == nil && cmd.InheritedFlags().Lookup(f[1]) == nil && f[1] != "help" {
					t.Errorf("%s: %q: %s has no flag --%s", s.where, strings.TrimSpace(m[0]), cmd.CommandPath(), f[1])
				}
			}
		}
	}
	if named < 50 {
		t.Errorf("only %d commands were found in the texts", named)
	}
}

func allCommands() *cobra.Command {
	root, _ := (&app{}).commands()
	root.InitDefaultCompletionCmd()
	root.InitDefaultHelpCmd()
	return root
}

func child(c *cobra.Command, name string) *cobra.Command {
	for _, sub := range c.Commands() {
		if sub.Name() == name || slices.Contains(sub.Aliases, name) {
			return sub
		}
	}
	return nil
}

// TestNamedFlagsExist: every long flag that an explanation, a message or a remedy
// names is one of a command.
func TestNamedFlagsExist(t *testing.T) {
	flags := map[string]bool{"help": true}
	var walk func(c *cobra.Command)
	walk = func(c *cobra.Command) {
		c.Flags().VisitAll(func(f *pflag.Flag) { flags[f.Name] = true })
		c.PersistentFlags().VisitAll(func(f *pflag.Flag) { flags[f.Name] = true })
		for _, sub := range c.Commands() {
			walk(sub)
		}
	}
	walk(allCommands())
	flagRE := regexp.MustCompile(`(?:^|[\s(])--([a-z][a-z-]+)`)
	for _, c := range all.Registry().Checks() {
		for _, m := range flagRE.FindAllStringSubmatch(c.Doc, -1) {
			if !flags[m[1]] {
				t.Errorf("explain %s names --%s, which no command has", c.ID, m[1])
			}
		}
	}
}

// TestNamedMacrosExist: every macro and header for authors of patches that a text
// names is in the headers that builds provide.
func TestNamedMacrosExist(t *testing.T) {
	headers, err := filepath.Glob("../../kbuild/include/*.h")
	if err != nil || len(headers) == 0 {
		t.Fatalf("no headers: %v", err)
	}
	text := ""
	names := map[string]bool{}
	for _, h := range headers {
		data, err := os.ReadFile(h)
		if err != nil {
			t.Fatal(err)
		}
		text += string(data)
		names[filepath.Base(h)] = true
	}
	for _, m := range regexp.MustCompile(`#\s*define\s+(\w+)`).FindAllStringSubmatch(text, -1) {
		names[m[1]] = true
	}
	nameRE := regexp.MustCompile(`\b(KPATCH_[A-Z_]+\w*|(?:kpatch|klpforge)-[a-z]+\.h)\b`)
	for _, s := range everythingSaid(t) {
		if strings.HasSuffix(s.where, ".md") || strings.HasPrefix(s.where, "explain ") || strings.Contains(s.text, " ") {
			for _, m := range nameRE.FindAllStringSubmatch(s.text, -1) {
				if !names[m[1]] {
					t.Errorf("%s names %s, which no header has", s.where, m[1])
				}
			}
		}
	}
}
