package docs

import (
	"go/ast"
	"go/token"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/klpforge/klpforge/finding"
)

// TestIDsAreRegistered: no code but package finding writes an id as a text of its own,
// and every text that mentions one mentions a registered one.
func TestIDsAreRegistered(t *testing.T) {
	idRE := regexp.MustCompile(`KLP[0-9]{3}\b`)
	mentioned := 0
	goFiles(t, func(rel string, file *ast.File) {
		ast.Inspect(file, func(n ast.Node) bool {
			lit, ok := n.(*ast.BasicLit)
			if !ok || lit.Kind != token.STRING {
				return true
			}
			text, err := strconv.Unquote(lit.Value)
			if err != nil {
				t.Fatal(err)
			}
			for _, id := range idRE.FindAllString(text, -1) {
				mentioned++
				if _, ok := finding.Lookup(finding.ID(id)); !ok {
					t.Errorf("%s: %q names %s, which is not registered", rel, text, id)
				}
				if id == text && !strings.HasPrefix(rel, "finding/") {
					t.Errorf("%s writes %s as a text: use its constant of package finding", rel, id)
				}
			}
			return true
		})
	})
	if mentioned < len(finding.Kinds()) {
		t.Errorf("only %d ids were found in the code", mentioned)
	}
}

// TestIDsAreReported: every registered id is used somewhere, with no severity above the
// worst that its row promises.
func TestIDsAreReported(t *testing.T) {
	ids := map[string]finding.Kind{} // by name of the constant
	goFiles(t, func(rel string, file *ast.File) {
		if !strings.HasPrefix(rel, "finding/") {
			return
		}
		ast.Inspect(file, func(n ast.Node) bool {
			spec, ok := n.(*ast.ValueSpec)
			if !ok || len(spec.Values) != 1 {
				return true
			}
			if id, ok := stringOf(spec.Values[0]); ok {
				if kind, ok := finding.Lookup(finding.ID(id)); ok {
					ids[spec.Names[0].Name] = kind
				}
			}
			return true
		})
	})
	if got, want := len(ids), len(finding.Kinds()); got != want {
		t.Fatalf("%d constants for %d registered ids", got, want)
	}

	severities := map[string]finding.Severity{"Note": finding.Note, "Warning": finding.Warning, "Error": finding.Error}
	used, judged := map[string]bool{}, 0
	goFiles(t, func(rel string, file *ast.File) {
		if strings.HasPrefix(rel, "finding/") {
			return
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if name := ofFinding(n); ids[name].ID != "" {
				used[name] = true
			}
			var parts []ast.Expr // of what says an id and a severity together
			switch n := n.(type) {
			case *ast.CompositeLit:
				for _, e := range n.Elts {
					if kv, ok := e.(*ast.KeyValueExpr); ok {
						e = kv.Value
					}
					parts = append(parts, e)
				}
			case *ast.CallExpr:
				parts = n.Args
			}
			var id string
			for _, e := range parts {
				name := ofFinding(e)
				if ids[name].ID != "" {
					id = name
				} else if s, ok := severities[name]; ok && id != "" {
					judged++
					if s > ids[id].Worst {
						t.Errorf("%s reports %s as %s, its worst is %s", rel, ids[id].ID, s, ids[id].Worst)
					}
				}
			}
			return true
		})
	})
	for name, kind := range ids {
		if !used[name] {
			t.Errorf("%s (%s) is registered, but nothing reports it", kind.ID, name)
		}
	}
	if judged < 100 {
		t.Errorf("only %d findings with a severity were found in the code", judged)
	}
}

// ofFinding returns the name after "finding.", or "".
func ofFinding(n ast.Node) string {
	if sel, ok := n.(*ast.SelectorExpr); ok {
		if x, ok := sel.X.(*ast.Ident); ok && x.Name == "finding" {
			return sel.Sel.Name
		}
	}
	return ""
}

func stringOf(e ast.Expr) (string, bool) {
	lit, ok := e.(*ast.BasicLit)
	if !ok || lit.Kind != token.STRING {
		return "", false
	}
	s, err := strconv.Unquote(lit.Value)
	return s, err == nil
}
