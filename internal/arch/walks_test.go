package arch

import (
	"go/ast"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The walks of docs/architecture.md, "To change X, touch Y": what is named there is
// there, and what is added in a room of its own is registered in the one place that
// the row names.

// table returns the rows of that part, each with its two cells.
func table(t *testing.T) [][2]string {
	t.Helper()
	text, err := os.ReadFile("../../docs/architecture.md")
	if err != nil {
		t.Fatal(err)
	}
	_, part, ok := strings.Cut(string(text), "\n## To change X, touch Y\n")
	if !ok {
		t.Fatal("docs/architecture.md: no such part")
	}
	part, _, _ = strings.Cut(part, "\n## ")
	var rows [][2]string
	for _, line := range strings.Split(part, "\n") {
		if cells := strings.Split(line, " | "); len(cells) == 2 && strings.HasPrefix(line, "| ") {
			rows = append(rows, [2]string{cells[0], cells[1]})
		}
	}
	if len(rows) < 10 {
		t.Fatalf("docs/architecture.md: only %d rows were understood", len(rows))
	}
	return rows
}

var (
	quoted   = regexp.MustCompile("`([^`]+)`")
	goFile   = regexp.MustCompile(`\b[a-z0-9_]+\.go\b`)
	testFunc = regexp.MustCompile(`(?m)^func (Test\w+)\(`)
	dotted   = regexp.MustCompile(`^([a-z]+)\.([A-Z]\w*)$`)
)

// TestWalksAreTrue looks each name of the table up: packages, files, tests, types and
// variables.
func TestWalksAreTrue(t *testing.T) {
	tests, declared := map[string]bool{}, map[string]map[string]bool{}
	for _, s := range sources(t) {
		if declared[s.pkg] == nil {
			declared[s.pkg] = map[string]bool{}
		}
		for name := range s.file.Scope.Objects {
			declared[s.pkg][name] = true
		}
	}
	files, err := filepath.Glob("../../*/*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, deeper := range []string{"../../*/*/*_test.go", "../../*/*/*/*_test.go"} {
		more, err := filepath.Glob(deeper)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, more...)
	}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range testFunc.FindAllStringSubmatch(string(text), -1) {
			tests[m[1]] = true
		}
	}

	exists := func(p string) bool {
		_, err := os.Stat(filepath.Join("../..", p))
		return err == nil
	}
	looked := 0
	for _, row := range table(t) {
		// Files stand after the package that has them.
		var dirs []string
		for _, m := range quoted.FindAllStringSubmatch(row[1], -1) {
			if p, _, _ := strings.Cut(m[1], "/<"); exists(p) {
				if path.Ext(p) != "" {
					p = path.Dir(p)
				}
				dirs = append(dirs, p)
			}
		}
		known := func(name string) bool {
			return slices.ContainsFunc(dirs, func(d string) bool {
				return declared[d][name] || path.Ext(name) == ".go" && exists(path.Join(d, name))
			})
		}
		for _, m := range quoted.FindAllStringSubmatch(row[1], -1) {
			name, _, _ := strings.Cut(m[1], "/<")
			looked++
			switch d := dotted.FindStringSubmatch(name); {
			case exists(name), strings.HasPrefix(name, "make "), known(name):
			case strings.HasPrefix(name, "Test"):
				if !tests[name] {
					t.Errorf("%s: no test %s", row[0], name)
				}
			case d != nil:
				if !slices.ContainsFunc(slices.Collect(maps.Keys(declared)), func(pkg string) bool {
					return path.Base(pkg) == d[1] && declared[pkg][d[2]]
				}) {
					t.Errorf("%s: no %s", row[0], name)
				}
			default:
				t.Errorf("%s: %s is no package, file, test or name in %q", row[0], name, dirs)
			}
		}
		plain := quoted.ReplaceAllString(row[1], "")
		for _, f := range goFile.FindAllString(plain, -1) {
			looked++
			if !slices.ContainsFunc(dirs, func(d string) bool { return exists(path.Join(d, f)) }) {
				t.Errorf("%s: no file %s in %q", row[0], f, dirs)
			}
		}
	}
	if looked < 30 {
		t.Errorf("only %d names were looked up", looked)
	}
}

// TestRegistered: a room that is not registered is not reached. Checks are put together
// in analyze/all, package systems in kernel/fetch.
func TestRegistered(t *testing.T) {
	imports := map[string][]string{}
	for _, s := range sources(t) {
		imports[s.pkg] = append(imports[s.pkg], s.imports...)
	}
	for in, rooms := range map[string]string{"analyze/all": "analyze/passes", "kernel/fetch": "kernel/fetch"} {
		seen := 0
		for pkg := range imports {
			if path.Dir(pkg) != rooms || pkg == in {
				continue
			}
			seen++
			if !slices.Contains(imports[in], Module+"/"+pkg) {
				t.Errorf("%s is not registered in %s", pkg, in)
			}
		}
		if seen < 2 {
			t.Errorf("only %d packages below %s", seen, rooms)
		}
	}
}

// TestFormats: every writer of a report, which takes where to write and the report, is
// one that the command line offers.
func TestFormats(t *testing.T) {
	writers, used := map[string]bool{}, map[string]bool{}
	for _, s := range sources(t) {
		switch s.pkg {
		case "report":
			for _, decl := range s.file.Decls {
				if fn, ok := decl.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.IsExported() && writesReport(fn) {
					writers[fn.Name.Name] = true
				}
			}
		case "cmd/klpforge":
			ast.Inspect(s.file, func(n ast.Node) bool {
				if sel, ok := n.(*ast.SelectorExpr); ok {
					if x, ok := sel.X.(*ast.Ident); ok && x.Name == "report" {
						used[sel.Sel.Name] = true
					}
				}
				return true
			})
		}
	}
	if len(writers) < 4 {
		t.Errorf("only %d formats were found", len(writers))
	}
	for name := range writers {
		if !used[name] {
			t.Errorf("cmd/klpforge does not offer report.%s", name)
		}
	}
}

// writesReport reports whether a function's second parameter is a *Report.
func writesReport(fn *ast.FuncDecl) bool {
	params := fn.Type.Params.List
	if len(params) < 2 {
		return false
	}
	star, ok := params[1].Type.(*ast.StarExpr)
	if !ok {
		return false
	}
	name, ok := star.X.(*ast.Ident)
	return ok && name.Name == "Report"
}
