package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// commandTree is the tree as run makes it.
func commandTree() *cobra.Command {
	root, _ := (&app{in: strings.NewReader(""), out: new(bytes.Buffer), err: new(bytes.Buffer)}).commands()
	return root
}

// eachCommand calls f for each command that users see, the root included.
func eachCommand(cmd *cobra.Command, f func(*cobra.Command)) {
	f(cmd)
	for _, c := range cmd.Commands() {
		if !c.Hidden {
			eachCommand(c, f)
		}
	}
}

// TestMan: every command has a page with its flags; the README names it; the
// pages depend on nothing but the program and $SOURCE_DATE_EPOCH.
func TestMan(t *testing.T) {
	t.Setenv("SOURCE_DATE_EPOCH", "1700000000") // November 2023
	pages := func(cc string) map[string]string {
		t.Setenv("CC", cc)
		dir := filepath.Join(t.TempDir(), "man1")
		var stderr bytes.Buffer
		if code := run(t.Context(), []string{"klpforge", "man", dir}, strings.NewReader(""), new(bytes.Buffer), &stderr); code != exitDone {
			t.Fatalf("exit code %d: %s", code, stderr.String())
		}
		files, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		out := map[string]string{}
		for _, f := range files {
			b, err := os.ReadFile(filepath.Join(dir, f.Name()))
			if err != nil {
				t.Fatal(err)
			}
			out[f.Name()] = string(b)
		}
		return out
	}
	got := pages("")
	if d := cmp.Diff(got, pages("a-compiler")); d != "" {
		t.Errorf("pages depend on the environment:\n%s", d)
	}
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	eachCommand(commandTree(), func(cmd *cobra.Command) {
		n++
		name := strings.ReplaceAll(cmd.CommandPath(), " ", "-") + ".1"
		text := strings.ReplaceAll(got[name], `\-`, "-")
		if !strings.Contains(text, `"Nov 2023"`) || !strings.Contains(text, cmd.Short) {
			t.Errorf("%s is not a page about %s:\n%s", name, cmd.CommandPath(), text)
		}
		cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
			if !f.Hidden && !strings.Contains(text, "--"+f.Name) {
				t.Errorf("%s does not have --%s", name, f.Name)
			}
		})
		if path := strings.TrimPrefix(cmd.CommandPath(), "klpforge "); !cmd.HasSubCommands() && !strings.Contains(string(readme), path) && !strings.Contains(string(readme), "`"+cmd.Name()+"`") {
			t.Errorf("README.md does not name klpforge %s", path)
		}
	})
	if n < 30 {
		t.Errorf("only %d commands were looked at", n)
	}
	t.Setenv("SOURCE_DATE_EPOCH", "today")
	if code := run(t.Context(), []string{"klpforge", "man", t.TempDir()}, strings.NewReader(""), new(bytes.Buffer), new(bytes.Buffer)); code != exitUsage {
		t.Errorf("a bad SOURCE_DATE_EPOCH: exit code %d", code)
	}
}

// complete returns what the shell would be offered, without descriptions, and
// the directive.
func complete(t *testing.T, args ...string) (words []string, directive string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	if code := run(t.Context(), append([]string{"klpforge", cobra.ShellCompNoDescRequestCmd}, args...), strings.NewReader(""), &stdout, &stderr); code != exitDone {
		t.Fatalf("%q: exit code %d: %s", args, code, stderr.String())
	}
	lines := strings.Split(strings.TrimSuffix(stdout.String(), "\n"), "\n")
	return lines[:len(lines)-1], lines[len(lines)-1]
}

func TestCompletion(t *testing.T) {
	dir := t.TempDir()
	for _, d := range []string{"cache/targets/6.1.0-55-cloud-amd64/root/boot", "machine/lib/modules/6.12.1/kernel"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o777); err != nil {
			t.Fatal(err)
		}
	}
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	write("cache/targets/6.1.0-55-cloud-amd64/root/boot/vmlinuz-6.1.0-55-cloud-amd64", "")
	write("livepatch.yaml", "name: a\nversion: '1'\ntargets:\n  - release: 6.1.1\n  - release: 6.1.2\npatches:\n  - file: x\n")
	t.Setenv("KLPFORGE_CACHE", filepath.Join(dir, "cache"))
	machine := filepath.Join(dir, "machine")
	const files, nothing, nospace, ext, dirs = ":0", ":4", ":6", ":8", ":16"
	for _, c := range []struct {
		args      []string
		want      string // all words, or one among many after "…"
		directive string
	}{
		{[]string{"build", "--root", machine, "-k", ""}, "6.12.1 6.1.0-55-cloud-amd64", nothing},
		{[]string{"kpatch-build", "-a", "6.1.0"}, "6.1.0-55-cloud-amd64", nothing},
		{[]string{"build", "-k", "x", ""}, "", files},
		{[]string{"lint", "--format", ""}, "text json sarif html", nothing},
		{[]string{"lint", "--fail-on", ""}, "error warning note", nothing},
		{[]string{"lint", "--disable", "KLP101,KLP20"}, "… KLP101,KLP201", nospace},
		{[]string{"build", "--allow", "KLP103"}, "… KLP103=", nospace},
		{[]string{"build", "--emit", ""}, "", dirs},
		{[]string{"explain", "KLP10"}, "… KLP103", nothing},
		{[]string{"release", "matrix", ""}, "github gitlab kubernetes", nothing},
		{[]string{"release", "build", "-f", filepath.Join(dir, "livepatch.yaml"), "6.1.1", ""}, "6.1.2", nothing},
		{[]string{"load", "--policy", ""}, "auto cumulative stack replace disable", nothing},
		{[]string{"load", "--on-timeout", ""}, "reverse leave force", nothing},
		{[]string{"load", ""}, "ko xz zst gz", ext},
		{[]string{"status", ""}, "", nothing},
	} {
		words, directive := complete(t, c.args...)
		want, among := strings.CutPrefix(c.want, "… ")
		ok := strings.Join(words, " ") == want
		if among {
			ok = false
			for _, w := range words {
				ok = ok || w == want
			}
		}
		if !ok || directive != c.directive {
			t.Errorf("%q: %q %s, want %q %s", c.args, words, directive, c.want, c.directive)
		}
	}
}

// TestCompletionKnowsCommands: what completion says of arguments is about
// commands that exist, and all words that it offers for a flag are words.
func TestCompletionKnowsCommands(t *testing.T) {
	root := commandTree()
	left := argumentCompletion()
	formats := 0
	eachCommand(root, func(cmd *cobra.Command) {
		delete(left, cmd.CommandPath())
		if f := cmd.Flags().Lookup("format"); f != nil {
			formats++
			for _, w := range choices(f.Usage) {
				if w == "" || strings.ContainsAny(w, " `") {
					t.Errorf("%s --format: %q is no word (from %q)", cmd.CommandPath(), w, f.Usage)
				}
			}
		}
	})
	delete(left, "klpforge man") // hidden
	if len(left) != 0 || formats < 10 {
		t.Errorf("no such commands: %v; %d flags --format", left, formats)
	}
}
