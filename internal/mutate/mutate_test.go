package main

import (
	"bytes"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var sample = subject{pkg: "internal/mutate/testdata/sample"}

// The faults of a small package: which are noticed, which are not, and which are
// not reached.
func TestOne(t *testing.T) {
	o := &options{share: 1, seed: 1, jobs: 2}
	p, err := o.one(t.Context(), sample)
	if err != nil {
		t.Fatal(err)
	}
	var survivors, unreached []string
	for _, s := range p.Survivors {
		line := s.Func + " " + s.Op + " " + s.Text
		if s.Reached {
			survivors = append(survivors, line)
		} else {
			unreached = append(unreached, line)
		}
	}
	// Equivalent, all but that of Find, whose index with an error no test looks at.
	want := []string{"Clamp boundary v > limit", "Count boundary v < 0", "Count const 0", "Find const -1", "Forever const 0", "Forever const 1"}
	if d := cmp.Diff(want, survivors); d != "" {
		t.Errorf("not noticed (-want +got)\n%s", d)
	}
	if d := cmp.Diff([]string{"Unused return return v + 1", "Unused arith v + 1", "Unused const 1"}, unreached); d != "" {
		t.Errorf("not reached (-want +got)\n%s", d)
	}
	if p.Killed < 25 || p.Killed+p.Survived+p.Uncovered < 30 {
		t.Errorf("%+v", p)
	}

	// Half of them, each of which has the same fate.
	o.share = 0.5
	first, err := o.one(t.Context(), sample)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range first.Survivors {
		if !slices.Contains(p.Survivors, s) {
			t.Errorf("%+v is no survivor of the whole", s)
		}
	}
	if all := first.Killed + first.Survived + first.Uncovered; all < 10 || all > (p.Killed+p.Survived+p.Uncovered)*3/4 {
		t.Errorf("half of the faults are %d of %d", all, p.Killed+p.Survived+p.Uncovered)
	}
}

func TestFloor(t *testing.T) {
	for floor, want := range map[float64]bool{50: true, 100: false} {
		o := &options{share: 1, seed: 1, jobs: 2, floor: floor, json: filepath.Join(t.TempDir(), "out.json")}
		saved := core
		core = []subject{sample}
		ok, err := o.run(t.Context(), nil)
		core = saved
		if ok != want || (err == nil) != want {
			t.Errorf("floor %v: %v, %v", floor, ok, err)
		}
	}
	for _, o := range []*options{{share: 0}, {share: 1.5}} {
		if ok, err := o.run(t.Context(), nil); ok || err == nil {
			t.Errorf("share %v is taken", o.share)
		}
	}
	if ok, err := (&options{share: 1}).run(t.Context(), []string{"fmt"}); ok || err == nil || !strings.Contains(err.Error(), "fmt") {
		t.Errorf("package fmt: %v, %v", ok, err)
	}
}

// sitesOf finds the faults of a text, checked with the declarations that follow.
func sitesOf(t *testing.T, text string) ([]byte, []site) {
	t.Helper()
	fset := token.NewFileSet()
	src := []byte(text)
	f, err := parser.ParseFile(fset, "x.go", src, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	info := &types.Info{Types: map[ast.Expr]types.TypeAndValue{}, Uses: map[*ast.Ident]types.Object{}, Defs: map[*ast.Ident]types.Object{}}
	conf := types.Config{Importer: importer.Default()}
	pkg, err := conf.Check("x", fset, []*ast.File{f}, info)
	if err != nil {
		t.Fatal(err)
	}
	return src, findSites(fset, info, pkg, f, src)
}

// Each kind of fault, where it belongs.
func TestSites(t *testing.T) {
	for _, c := range []struct {
		name, body string
		want       []string
	}{
		{"condition", "if a == b { a = 2 }", []string{"negate a == b", "drop a = 2", "const 2"}},
		{"order", "if a < b { return }", []string{"negate a < b", "boundary a < b"}},
		{"both", "if p && q { return }", []string{"logic p && q", "negate p", "negate q"}},
		{"mask", "a = a & 6", []string{"drop a = a & 6", "arith a & 6", "const 6"}},
		{"constant alone", "const k = 3 + 4; a = k", []string{"drop a = k"}},
		{"constant expression", "a = 1 << 4", []string{"drop a = 1 << 4", "const 1 << 4"}},
		{"call", "two(a, b)", []string{"drop two(a, b)", "swap two(a, b)"}},
		{"call with effects", "two(one(), one())", []string{"drop two(one(), one())"}},
		{"format", "says(\"%d of %d\", a, b)", []string{"drop says(\"%d of %d\", a, b)"}},
		{"equality", "_ = strings.EqualFold(s, \"x\")", nil},
		{"loop", "for { break }", []string{"loop break"}},
		{"panic stays", "panic(1)", []string{"const 1"}},
		{"cases", "switch a { case 3: a++ }", []string{"const 3", "drop a++"}},
		{"conditions as cases", "switch { case p: a++ }", []string{"negate p", "drop a++"}},
		{"lengths", "s := make([]int, 2, 9); _ = s", []string{"const 2"}},
		{"types", "var s [3]int; _ = s", nil},
		{"truth", "p = true", []string{"drop p = true", "negate true"}},
		{"assignment", "a += b", []string{"drop a += b", "arith a += b"}},
		{"definition stays", "x := a; _ = x", nil},
		{"message only", "_ = errors.New(\"x\")", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, sites := sitesOf(t, "package x\nimport (\"errors\"; \"strings\")\nvar _ = errors.New\nvar s = strings.ToLower(\"X\")\nfunc one() int { return *new(int) }\nfunc two(int, int) {}\nfunc says(string, ...any) {}\nfunc f(a, b int, p, q bool) {\n"+c.body+"\n}\n")
			var got []string
			for _, s := range sites {
				if s.Func == "f" {
					got = append(got, s.Op+" "+s.Text)
				}
			}
			slices.Sort(got)
			want := slices.Sorted(slices.Values(c.want))
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("(-want +got)\n%s", d)
			}
		})
	}
}

// What is rewritten parses, with faults within faults, and is the source again
// without them.
func TestRewrite(t *testing.T) {
	src, sites := sitesOf(t, "package x\nfunc g(int, int) int { return *new(int) }\nfunc f(a, b int, p bool) (int, bool) {\nif p && a < b || g(a, b) == 3 {\na += b % 5\nreturn a, true\n}\nreturn g(b, a), p\n}\n")
	var all []*mutant
	for i, s := range sites {
		all = append(all, &mutant{id: i + 1, site: s})
	}
	out, spans := rewrite(src, all)
	if _, err := parser.ParseFile(token.NewFileSet(), "x.go", out, 0); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if len(spans) != len(all) {
		t.Errorf("%d spans of %d faults", len(spans), len(all))
	}
	for _, s := range spans {
		if s.start < 0 || s.end > len(out) || s.start >= s.end {
			t.Errorf("span %+v of %d bytes", s, len(out))
		}
	}
	if strings.Contains(string(out), "%%") || strings.Contains(string(out), "%!") || !strings.Contains(string(out), "b % 5") {
		t.Errorf("percent signs are lost:\n%s", out)
	}
	if same, _ := rewrite(src, nil); !bytes.Equal(same, src) {
		t.Error("nothing to do changes the text")
	}
}

func TestChosen(t *testing.T) {
	n := 0
	for i := range 10000 {
		key := strings.Repeat("k", i%7) + string(rune('a'+i%26)) + strings.Repeat("x", i/26)
		if chosen(1, 0.2, "p", "f.go", key) {
			n++
		}
		if !chosen(1, 1, "p", "f.go", key) {
			t.Fatal("all are not all")
		}
	}
	if n < 1700 || n > 2300 {
		t.Errorf("a fifth of 10000 are %d", n)
	}
}
