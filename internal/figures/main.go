// Command figures measures how Go code is written: lengths of functions and files,
// decisions, comments, names and exports, of product code (no tests, no generated
// files). It prints one table, a column for each directory given, so that this project
// can be laid beside others.
package main

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

func main() {
	dirs := os.Args[1:]
	if len(dirs) == 0 {
		dirs = []string{"."}
	}
	if err := run(os.Stdout, dirs); err != nil {
		fmt.Fprintln(os.Stderr, "figures:", err)
		os.Exit(1)
	}
}

func run(w io.Writer, dirs []string) error {
	var columns []*figures
	for _, dir := range dirs {
		f, err := measure(dir)
		if err != nil {
			return err
		}
		columns = append(columns, f)
	}
	line := func(what string, cell func(*figures) string) {
		fmt.Fprintf(w, "| %s |", what)
		for _, f := range columns {
			fmt.Fprintf(w, " %s |", cell(f))
		}
		fmt.Fprintln(w)
	}
	line("", func(f *figures) string { return f.name })
	line("---", func(*figures) string { return "---" })
	line("functions", func(f *figures) string { return fmt.Sprint(len(f.lengths)) })
	line("function lines, median / p95 / max", func(f *figures) string { return spread(f.lengths) })
	line("decisions per function, median / p95 / max", func(f *figures) string { return spread(f.decisions) })
	line("file lines, median / p95 / max", func(f *figures) string { return spread(f.files) })
	line("whole-line comments, %", func(f *figures) string { return percent(f.comments, f.lines) })
	line("functions of 30 lines and more with no comment inside, %", func(f *figures) string { return percent(f.bare, f.long) })
	line("blank lines, %", func(f *figures) string { return percent(f.blank, f.lines) })
	line("one-letter locals, %", func(f *figures) string { return percent(f.short, f.locals) })
	line("lines over 120 columns, %", func(f *figures) string { return percent(f.wide, f.lines) })
	line("exported names per package, median / p95 / max", func(f *figures) string { return spread(f.exports()) })
	return nil
}

// figures is what was counted in one directory.
type figures struct {
	name                         string
	lengths, decisions           []int // of functions
	files                        []int // lines
	lines, comments, blank, wide int
	long, bare                   int // functions of 30 lines and more; those without a comment
	locals, short                int
	exported                     map[string]int // by package directory
}

// longFunction is from how many lines on a function is expected to have landmarks.
const longFunction = 30

func (f *figures) exports() []int {
	var out []int
	for _, n := range f.exported {
		out = append(out, n)
	}
	return out
}

// measure reads all product code below a directory.
func measure(dir string) (*figures, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	f := &figures{name: filepath.Base(abs), exported: map[string]int{}}
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != dir && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" || d.Name() == "vendor"):
			return filepath.SkipDir
		case d.IsDir(), !strings.HasSuffix(path, ".go"), strings.HasSuffix(path, "_test.go"):
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return f.file(path, text)
	})
	return f, err
}

func (f *figures) file(path string, text []byte) error {
	fset := token.NewFileSet()
	tree, err := parser.ParseFile(fset, path, text, parser.ParseComments)
	if err != nil {
		return err
	}
	if ast.IsGenerated(tree) {
		return nil
	}
	lines := bytes.Split(bytes.TrimSuffix(text, []byte("\n")), []byte("\n"))
	f.files = append(f.files, len(lines))
	f.lines += len(lines)
	for _, l := range lines {
		trimmed := bytes.TrimSpace(l)
		switch {
		case len(trimmed) == 0:
			f.blank++
		case bytes.HasPrefix(trimmed, []byte("//")):
			f.comments++
		}
		if len([]rune(strings.ReplaceAll(string(l), "\t", "    "))) > 120 {
			f.wide++
		}
	}
	inside := map[int]bool{} // lines that have a comment
	for _, group := range tree.Comments {
		inside[fset.Position(group.Pos()).Line] = true
	}
	for _, decl := range tree.Decls {
		f.declared(filepath.Dir(path), decl)
		fn, ok := decl.(*ast.FuncDecl)
		if !ok || fn.Body == nil {
			continue
		}
		first, last := fset.Position(fn.Pos()).Line, fset.Position(fn.End()).Line
		f.lengths = append(f.lengths, last-first+1)
		f.decisions = append(f.decisions, decisions(fn))
		if last-first+1 >= longFunction {
			f.long++
			commented := false
			for l := first; l <= last; l++ {
				commented = commented || inside[l]
			}
			if !commented {
				f.bare++
			}
		}
		f.names(fn)
	}
	return nil
}

// declared counts the exported names of a declaration, methods of exported types too.
func (f *figures) declared(dir string, decl ast.Decl) {
	if _, ok := f.exported[dir]; !ok {
		f.exported[dir] = 0
	}
	switch decl := decl.(type) {
	case *ast.FuncDecl:
		if decl.Name.IsExported() && (decl.Recv == nil || receiverExported(decl.Recv)) {
			f.exported[dir]++
		}
	case *ast.GenDecl:
		for _, spec := range decl.Specs {
			switch spec := spec.(type) {
			case *ast.TypeSpec:
				if spec.Name.IsExported() {
					f.exported[dir]++
				}
			case *ast.ValueSpec:
				for _, name := range spec.Names {
					if name.IsExported() {
						f.exported[dir]++
					}
				}
			}
		}
	}
}

func receiverExported(recv *ast.FieldList) bool {
	exported := false
	ast.Inspect(recv.List[0].Type, func(n ast.Node) bool {
		if id, ok := n.(*ast.Ident); ok && !exported {
			exported = id.IsExported()
			return false
		}
		return true
	})
	return exported
}

// decisions counts the branches of a function: what a reader has to keep apart.
func decisions(fn *ast.FuncDecl) int {
	n := 0
	ast.Inspect(fn.Body, func(node ast.Node) bool {
		switch node := node.(type) {
		case *ast.IfStmt, *ast.ForStmt, *ast.RangeStmt:
			n++
		case *ast.CaseClause:
			if node.List != nil {
				n++
			}
		case *ast.CommClause:
			if node.Comm != nil {
				n++
			}
		case *ast.BinaryExpr:
			if node.Op == token.LAND || node.Op == token.LOR {
				n++
			}
		}
		return true
	})
	return n
}

// names counts the variables that a function declares in its body.
func (f *figures) names(fn *ast.FuncDecl) {
	count := func(e ast.Expr) {
		id, ok := e.(*ast.Ident)
		if !ok || id.Name == "_" {
			return
		}
		f.locals++
		if len(id.Name) == 1 {
			f.short++
		}
	}
	ast.Inspect(fn.Body, func(node ast.Node) bool {
		switch node := node.(type) {
		case *ast.AssignStmt:
			if node.Tok == token.DEFINE {
				for _, e := range node.Lhs {
					count(e)
				}
			}
		case *ast.RangeStmt:
			if node.Tok == token.DEFINE {
				count(node.Key)
				count(node.Value)
			}
		case *ast.ValueSpec:
			for _, id := range node.Names {
				count(id)
			}
		}
		return true
	})
}

func spread(list []int) string {
	if len(list) == 0 {
		return "-"
	}
	list = slices.Sorted(slices.Values(list))
	return fmt.Sprintf("%d / %d / %d", list[len(list)/2], list[len(list)*95/100], list[len(list)-1])
}

func percent(part, whole int) string {
	if whole == 0 {
		return "-"
	}
	return fmt.Sprintf("%.1f", 100*float64(part)/float64(whole))
}
