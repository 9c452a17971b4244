package arch

import (
	"go/ast"
	"go/parser"
	"go/token"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/klpforge/klpforge/analyze/kfuncs"
)

// nameLists are the lists of C names below analyze that are no list of functions of
// the kernel, with what they are.
var nameLists = map[string]string{
	"analyze/code/effects.go: varName":            "sections",
	"analyze/code/effects.go: infrastructure":     "variables",
	"analyze/equiv/code.go: tables":               "sections",
	"analyze/equiv/code.go: readTables":           "sections",
	"analyze/equiv/exec.go: step":                 "sections",
	"analyze/fields/walk.go: current":             "variables",
	"analyze/locks/analyze.go: newAnalysis":       "variables",
	"analyze/locks/annot/extract.go: words":       "annotations of sources",
	"analyze/locks/annot/extract.go: read":        "annotations of sources",
	"analyze/locks/annot/extract.go: ExtractTree": "annotations of sources",
	"analyze/locks/btf.go: isLock":                "types",
	"analyze/model/data.go: scanData":             "sections",
	"analyze/model/data.go: skipData":             "sections",
	"analyze/model/program.go: marker":            "symbols of the linker script",
	"analyze/passes/future/future.go: members":    "members of tables of operations",
	"analyze/passes/meaning/meaning.go: uses":     "macros that write a constant, as tokens of an expression",
	"analyze/source.go: entries":                  "names that macros make, of any module",
	"analyze/source.go: trailing":                 "annotations of sources",
	"analyze/stacks/stacks.go: Roots":             "what macros put before names of system calls",
	"analyze/typecheck/text.go: attributes":       "words of the compiler",
	"analyze/types/dwarf.go: openDWARF":           "sections of debug information",
	"analyze/types/uses.go: links":                "types",
}

// TestKernelFunctionsAreKfuncs: what is known of functions of the kernel stands in the
// table of analyze/kfuncs alone. A list of names elsewhere below analyze, in a map, a
// slice, the cases of a switch, a chain of comparisons or the words of a string, is a
// second table, unless it is named above with what else it is.
func TestKernelFunctionsAreKfuncs(t *testing.T) {
	seen := map[string]bool{}
	for _, s := range sources(t) {
		if !strings.HasPrefix(s.pkg, "analyze") || s.pkg == "analyze/kfuncs" {
			continue
		}
		for at, names := range functionLists(s) {
			seen[at] = true
			if nameLists[at] == "" {
				t.Errorf("%s lists %q: facts about functions of the kernel belong into analyze/kfuncs/table.txt", at, names)
			}
		}
	}
	for at := range nameLists {
		if !seen[at] {
			t.Errorf("%s: no such list any more; take it off", at)
		}
	}
}

// functionLists finds the lists in a file that may be of functions of the kernel, by
// "file: declaration".
func functionLists(s source) map[string][]string {
	out := map[string][]string{}
	for _, decl := range s.file.Decls {
		if d, ok := decl.(*ast.GenDecl); ok && d.Tok == token.IMPORT {
			continue
		}
		ast.Inspect(decl, func(n ast.Node) bool {
			words := listed(n)
			if len(words) == 0 {
				return true
			}
			if names := functionNames(words); len(names) > 0 {
				at := s.path + ": " + declName(decl, n)
				out[at] = append(out[at], names...)
			}
			// What lies within a list is part of it.
			_, chain := n.(*ast.BinaryExpr)
			_, literal := n.(*ast.CompositeLit)
			return !chain && !literal
		})
	}
	return out
}

// listed returns the words of a node that is a list of words.
func listed(n ast.Node) []string {
	var out []string
	switch n := n.(type) {
	case *ast.CompositeLit:
		out = literals(n)
	case *ast.SwitchStmt:
		for _, c := range n.Body.List {
			for _, e := range c.(*ast.CaseClause).List {
				if w, ok := word(e); ok {
					out = append(out, w)
				}
			}
		}
	case *ast.BinaryExpr:
		if n.Op == token.LOR || n.Op == token.LAND {
			out = literals(n)
		}
	case *ast.BasicLit:
		if w, ok := word(n); ok {
			if fields := strings.Fields(w); len(fields) > 1 && !slices.ContainsFunc(fields, prose) {
				out = fields
			}
		}
	}
	return out
}

// literals returns the string literals below a node, but for those in functions.
func literals(n ast.Node) []string {
	var out []string
	ast.Inspect(n, func(n ast.Node) bool {
		if _, ok := n.(*ast.FuncLit); ok {
			return false
		}
		if e, ok := n.(ast.Expr); ok {
			if w, ok := word(e); ok {
				if fields := strings.Fields(w); !slices.ContainsFunc(fields, prose) {
					out = append(out, fields...)
				}
			}
		}
		return true
	})
	return out
}

// prose tells a word that is no name of C's.
func prose(word string) bool { return !identifier.MatchString(word) }

var identifier = regexp.MustCompile(`^\w+$`)

func word(e ast.Expr) (string, bool) {
	lit, ok := e.(*ast.BasicLit)
	if !ok || lit.Kind != token.STRING {
		return "", false
	}
	w, err := strconv.Unquote(lit.Value)
	return w, err == nil
}

// cName matches a name of C's as functions of the kernel have them, or the beginning
// of some.
var cName = regexp.MustCompile(`^_*[a-z][a-z0-9]*(_[a-z0-9]+)+_?$|^_+[a-z][a-z0-9]*_?$`)

// functionNames returns those of a list that may be functions of the kernel: two of
// them that the table knows, or two that look like some.
func functionNames(words []string) []string {
	var known, like []string
	for _, w := range words {
		switch {
		case hasRow(w):
			known = append(known, w)
		case cName.MatchString(w):
			like = append(like, w)
		}
	}
	if len(known)+len(like) < 2 {
		return nil
	}
	return slices.Concat(known, like)
}

// hasRow reports whether the table knows a function of that name, or a family that
// begins so. A word alone, as "up", may mean anything.
func hasRow(name string) bool { return tabled[name] && strings.Contains(name, "_") }

var tabled = func() map[string]bool {
	out := map[string]bool{}
	for row := range kfuncs.All() {
		out[strings.TrimSuffix(row.Name, "*")] = true
	}
	return out
}()

func TestFunctionLists(t *testing.T) {
	for _, c := range []struct {
		code string
		want []string
	}{
		{`var m = map[string]bool{"kfree_skb": true, "mutex_lock": true}`, []string{"kfree_skb", "mutex_lock"}},
		{`var m = map[string]int{"my_new_function": 1, "other_function": 2}`, []string{"my_new_function", "other_function"}},
		{`var l = []struct{ take, give string }{{"mutex_lock", "mutex_unlock"}}`, []string{"mutex_lock", "mutex_unlock"}},
		{`var l = set("mutex_lock down_read\n up_read")`, []string{"mutex_lock", "down_read", "up_read"}},
		{`func f(s string) bool { switch s { case "mutex_lock": case "down_read", "x": }; return false }`, []string{"mutex_lock", "down_read"}},
		{`func f(s string) bool { return s == "mutex_lock" || s == "mutex_unlock" }`, []string{"mutex_lock", "mutex_unlock"}},
		{`func f(s string) bool { return s == "__fentry__" }`, nil},
		{`var s = "calls mutex_lock, which mutex_unlock gives back"`, nil},
		{`var m = map[string]bool{"add": true, "sub": true, "X_Y": true}`, nil},
		{`var m = map[string]string{"a.b_c": "the lock_name", ".text_x": "y"}`, nil},
	} {
		f, err := parser.ParseFile(token.NewFileSet(), "a.go", "package a\n"+c.code, 0)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, names := range functionLists(source{path: "a.go", file: f}) {
			got = append(got, names...)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", c.code, got, c.want)
		}
	}
}
