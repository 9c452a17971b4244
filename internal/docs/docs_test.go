package docs

import (
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/klpforge/klpforge/analyze"
	"github.com/klpforge/klpforge/analyze/all"
	"github.com/klpforge/klpforge/release/manifest"
)

var update = flag.Bool("update", false, "write docs/findings.md")

const root = "../.."

func read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// goFiles calls f for each Go file that is no test.
func goFiles(t *testing.T, f func(rel string, file *ast.File)) {
	t.Helper()
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name := d.Name(); p != root && (name == "testdata" || name == "bin" || strings.HasPrefix(name, ".")) {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(p, ".go") || strings.HasSuffix(p, "_test.go") {
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), p, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, p)
		f(filepath.ToSlash(rel), file)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func checks() []analyze.Check { return all.Registry().Checks() }

const findingsHead = `# Findings

What klpforge reports, and what to do about it. This file is made from the help
texts of the checks (` + "`go test ./internal/docs -update`" + `).

A finding has a severity: an **error** must not ship, and makes klpforge exit with
1 and leave no module; a **warning** wants a person to decide; a **note** informs.
Where the text below names no severity, it is an error. An error that its author
has judged is accepted with ` + "`--allow ID=reason`" + `; the reason is printed and recorded.

KLP1xx decide whether the patch can become a livepatch at all; KLP12x are made when
the finished module is read back; KLP2xx are about old and new code running at
once; KLP3xx about whether the transition ends; KLP4xx about policy and what the
patch needs.

`

func findings() string {
	var b strings.Builder
	b.WriteString(findingsHead)
	for _, c := range checks() {
		fmt.Fprintf(&b, "## %s: %s\n\n%s\n", c.ID, c.Title, c.Doc)
	}
	return strings.TrimRight(b.String(), "\n") + "\n"
}

func TestFindings(t *testing.T) {
	want := findings()
	if *update {
		if err := os.WriteFile(filepath.Join(root, "docs/findings.md"), []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if d := cmp.Diff(want, read(t, "docs/findings.md")); d != "" {
		t.Errorf("docs/findings.md is stale: run go test ./internal/docs -update (-want +got)\n%s", d)
	}
}

// TestManifestKeys: docs/releases.md lists the keys of the release manifest.
func TestManifestKeys(t *testing.T) {
	const page = "docs/releases.md"
	text := read(t, page)
	head, rest, ok := strings.Cut(text, "<!-- keys -->\n")
	_, tail, ok2 := strings.Cut(rest, "<!-- /keys -->\n")
	if !ok || !ok2 {
		t.Fatalf("%s has no place for the keys", page)
	}
	want := head + "<!-- keys -->\n" + manifest.Reference() + "<!-- /keys -->\n" + tail
	if *update {
		if err := os.WriteFile(filepath.Join(root, page), []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if d := cmp.Diff(want, read(t, page)); d != "" {
		t.Errorf("%s is stale: run go test ./internal/docs -update (-want +got)\n%s", page, d)
	}
}

// TestPackageMap wants every package in the map of docs/architecture.md.
func TestPackageMap(t *testing.T) {
	text := read(t, "docs/architecture.md")
	seen := map[string]bool{}
	goFiles(t, func(rel string, _ *ast.File) { seen[filepath.ToSlash(filepath.Dir(rel))] = true })
	for dir := range seen {
		if strings.HasPrefix(dir, "analyze/passes/") {
			dir = "analyze/passes/<name>"
		}
		if !strings.Contains(text, "`"+dir+"`") {
			t.Errorf("docs/architecture.md does not name package %s", dir)
		}
	}
}

// pages are all that is written for people.
func pages(t *testing.T) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(root, "docs/*.md"))
	if err != nil || len(found) == 0 {
		t.Fatalf("no pages: %v", err)
	}
	out := []string{"README.md", "CHANGELOG.md"}
	for _, p := range found {
		out = append(out, "docs/"+filepath.Base(p))
	}
	return out
}

func TestLinks(t *testing.T) {
	linkRE := regexp.MustCompile(`\]\(([^)#:]+)(#[^)]*)?\)`)
	for _, page := range pages(t) {
		for _, m := range linkRE.FindAllStringSubmatch(read(t, page), -1) {
			if _, err := os.Stat(filepath.Join(root, filepath.Dir(page), m[1])); err != nil {
				t.Errorf("%s links to %s: %v", page, m[1], err)
			}
		}
	}
}

// TestGuide: the index of the guide leads to every page.
func TestGuide(t *testing.T) {
	index := read(t, "docs/README.md")
	for _, page := range pages(t) {
		if name, ok := strings.CutPrefix(page, "docs/"); ok && name != "README.md" && !strings.Contains(index, "("+name+")") {
			t.Errorf("docs/README.md does not lead to %s", page)
		}
	}
}

// TestPagesNameFlags: long flags that the pages on writing and reading name are
// flags of commands.
func TestPagesNameFlags(t *testing.T) {
	flags := map[string]bool{}
	goFiles(t, func(rel string, file *ast.File) {
		if !strings.HasPrefix(rel, "cmd/klpforge/") {
			return
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
				if s, err := strconv.Unquote(lit.Value); err == nil {
					flags[s] = true
				}
			}
			return true
		})
	})
	flagRE := regexp.MustCompile(`--([a-z][a-z-]+)`)
	for _, page := range []string{"docs/writing.md", "docs/report.md", "docs/releases.md"} {
		for _, m := range flagRE.FindAllStringSubmatch(read(t, page), -1) {
			if !flags[m[1]] {
				t.Errorf("%s names --%s, which no command has", page, m[1])
			}
		}
	}
}

// TestMakeTargets wants `make x` only where the Makefile has x.
func TestMakeTargets(t *testing.T) {
	makefile := read(t, "Makefile")
	makeRE := regexp.MustCompile("`make ([a-z0-9]+)`")
	for _, page := range pages(t) {
		for _, m := range makeRE.FindAllStringSubmatch(read(t, page), -1) {
			if !strings.Contains(makefile, "\n"+m[1]+":") {
				t.Errorf("%s speaks of make %s, which the Makefile does not have", page, m[1])
			}
		}
	}
}
