package selection

import (
	"context"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/klpforge/klpforge/finding"
	"github.com/klpforge/klpforge/kbuild"
	"github.com/klpforge/klpforge/patchset"
)

// compiler stands for the pipeline: each .c file is an object that reads every header. A
// line with BAD is an error about the function that it is in, HIDDEN one about the object
// that names nothing else, JOINS one about a.o where all objects are looked at,
// IMAGE one about a.o wherever it is, and use_NAME() needs a line that says "int use_NAME(void);".
type compiler struct {
	tree    map[string]string
	reviews []string // what was looked at
}

func (c *compiler) Review(_ context.Context, list []patchset.TextChange, only map[string]bool) (*Review, error) {
	now := map[string]string{}
	for name, text := range c.tree {
		now[name] = text
	}
	changed := map[string]bool{}
	for _, ch := range list {
		now[ch.Path] = string(ch.New)
		changed[ch.Path] = true
		if string(ch.Old) != c.tree[ch.Path] {
			return nil, fmt.Errorf("%s: the old text is not the tree's", ch.Path)
		}
	}
	var headers []string
	declared := map[string]bool{}
	header := false
	for name, text := range now {
		for _, m := range regexp.MustCompile(`int (use_\w+)\(void\);`).FindAllStringSubmatch(text, -1) {
			declared[m[1]] = true
		}
		if path.Ext(name) == ".h" {
			headers = append(headers, name)
			header = header || changed[name]
		}
	}
	slices.Sort(headers)
	r := &Review{}
	for name := range changed {
		if strings.Contains(now[name], "IMAGE") && (only == nil || only["a.o"]) {
			r.Faults = append(r.Faults, Fault{Object: "a.o", Finding: &finding.Finding{ID: finding.IDChangedData,
				Severity: finding.Error, Symbol: "image", Unit: "a.o", Message: "made of " + name}})
		}
	}
	var looked []string
	for _, name := range slices.Sorted(func(yield func(string) bool) {
		for n := range now {
			if !yield(n) {
				return
			}
		}
	}) {
		object := strings.TrimSuffix(name, ".c") + ".o"
		if path.Ext(name) != ".c" || !changed[name] && !header || only != nil && !only[object] {
			continue
		}
		looked = append(looked, object)
		for _, other := range headers {
			for nth := range strings.Count(now[other], "SPREAD") {
				for _, symbol := range []string{"trace_a", "trace_b"} {
					r.Faults = append(r.Faults, Fault{Object: object, Finding: &finding.Finding{ID: finding.IDNotTraceable,
						Severity: finding.Error, Symbol: symbol + strconv.Itoa(nth), Unit: object, Message: "made by a macro"}})
				}
			}
		}
		r.Objects = append(r.Objects, Object{object, name, append([]string{name}, headers...)})
		function := ""
		for i, l := range strings.Split(now[name], "\n") {
			if m := regexp.MustCompile(`^int (\w+)\(void\)$`).FindStringSubmatch(l); m != nil {
				function = m[1]
			}
			if strings.Contains(l, "BAD") {
				r.Faults = append(r.Faults, Fault{Object: object, Finding: &finding.Finding{ID: finding.IDChangedData,
					Severity: finding.Error, Symbol: function, Unit: object, Message: "bad"}})
			}
			if strings.Contains(l, "INIT") { // left alone beside other changes
				r.Notes = append(r.Notes, finding.Finding{ID: finding.IDAlreadyRun, Severity: finding.Warning, Symbol: function, Unit: object})
			}
			if strings.Contains(l, "HIDDEN") {
				r.Faults = append(r.Faults, Fault{Object: object, Finding: &finding.Finding{ID: finding.IDUnsupported,
					Severity: finding.Error, Unit: object, Message: "hidden"}})
			}
			for _, m := range regexp.MustCompile(`(use_\w+)\(\);`).FindAllStringSubmatch(l, -1) {
				if !declared[m[1]] {
					r.Faults = append(r.Faults, Fault{Object: object, Errors: []kbuild.Diagnostic{{File: name, Line: i + 1,
						Message: "implicit declaration of function ‘" + m[1] + "’", Names: []string{m[1]}}}})
				}
			}
			if strings.Contains(l, "JOINS") && only == nil {
				far := &finding.Finding{ID: finding.IDNotTraceable, Severity: finding.Error, Symbol: "caller", Unit: "a.o",
					Message: "joins"}
				if strings.Contains(l, "TOLD") {
					far.Symbol, far.Who = "told", []string{function}
				}
				r.Faults = append(r.Faults, Fault{Object: "a.o", Finding: far})
			}
			if strings.Contains(l, "GOOD") {
				r.Funcs = append(r.Funcs, Function{"vmlinux", object, function})
			}
		}
	}
	c.reviews = append(c.reviews, strings.Join(looked, " "))
	return r, nil
}

func (c *compiler) Compiled(_ context.Context, files []string) (map[string]bool, error) {
	out := map[string]bool{}
	for _, f := range files {
		out[f] = !strings.HasPrefix(f, "Documentation/")
	}
	return out, nil
}

// cfile is a C file with functions f0, f1, … of these bodies, far enough apart for their
// changes to be hunks of their own.
func cfile(bodies ...string) string {
	var b strings.Builder
	for i, body := range bodies {
		fmt.Fprintf(&b, "int f%d(void)\n{\n\ta%d();\n\tb%d();\n\t%s\n\tc%d();\n\td%d();\n}\n\n", i, i, i, body, i, i)
	}
	return b.String()
}

func outcome(e *engine) map[string]string {
	out := map[string]string{}
	for i, s := range e.slices {
		out[s.Name] = string(e.fate[i])
		if why := e.why[i]; why != nil {
			out[s.Name] += ": " + why.text
		}
	}
	return out
}

// TestTreePair: each function is a slice; what is tied by a name is one, and nothing is
// left out but what has a fault or needs such a thing.
func TestTreePair(t *testing.T) {
	old := map[string]string{
		"a.c": cfile("x();", "x();", "x();", "x();"), "b.c": cfile("x();", "x();"), "c.c": cfile("x();", "x();"),
		"h.h": "int first(void);\n\n\n\n\nint last(void);\n",
	}
	newer := map[string]string{
		"a.c": cfile("GOOD();", "BAD();", "x();", "GOOD(1); use_it();"), "b.c": cfile("GOOD(); use_it();", "GOOD(2);"),
		"c.c": cfile("HIDDEN();", "GOOD(3);"),
		"h.h": "int first(void);\n\nint use_it(void);\n\n\n\nint last(void);\n", "Documentation/x.c": "text\n",
	}
	c := &compiler{tree: old}
	e := newEngine(fromTrees(texts(old, newer)), c, func(format string, args ...any) { t.Logf(format, args...) })
	if err := e.sort(t.Context(), c, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := e.run(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"Documentation/x.c:1": "not compiled here",
		"a.c:f0":              "live",
		"a.c:f1":              "left out: KLP103 error: f1 (a.o): bad",
		"a.c:f3":              "live", // with the other use, and the declaration
		"b.c:f1":              "live",
		"c.c:f0":              "left out: KLP109 error: (c.o): hidden",
		"c.c:f1":              "live",
	}
	if diff := cmp.Diff(want, outcome(e)); diff != "" {
		t.Error(diff)
	}
}

// TestFarCause: what names nothing of its cause is looked for, and nothing else goes with
// it: not for a second fault of the same cause, nor for one that takes another object.
func TestFarCause(t *testing.T) {
	header := func(lines ...string) string { return strings.Join(lines, "\n\n\n\n\n\n\n") + "\n" }
	old := map[string]string{"a.c": cfile("x();", "x();"), "b.c": cfile("x();"), "c.c": cfile("x();"),
		"d.c": strings.ReplaceAll(cfile("x();"), "f0", "told"), "Makefile": "x\n",
		"h.h": header("#define A 1", "#define B 1", "#define C 1", "#define D 1")}
	newer := map[string]string{"a.c": cfile("GOOD();", "GOOD(1);"), "b.c": cfile("GOOD();"), "c.c": cfile("JOINS();"),
		"d.c": strings.ReplaceAll(cfile("JOINS(TOLD);"), "f0", "told"), "Makefile": "IMAGE\n",
		"h.h": header("#define A 2", "#define B SPREAD", "#define C 2", "#define D 2")}
	c := &compiler{tree: old}
	e := newEngine(fromTrees(texts(old, newer)), c, func(format string, args ...any) { t.Logf(format, args...) })
	if _, err := e.run(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	var out []string
	for name, fate := range outcome(e) {
		if fate != "live" {
			out = append(out, name+": "+fate)
		}
	}
	slices.Sort(out)
	want := []string{"Makefile:1: left out: KLP103 error: image (a.o): made of Makefile",
		"c.c:f0: left out: KLP101 error: caller (a.o): joins", "d.c:told: left out: KLP101 error: told (a.o): joins",
		"h.h:B: left out: KLP101 error: trace_a0 (a.o): made by a macro"}
	if diff := cmp.Diff(want, out); diff != "" {
		t.Error(diff)
	}
}

// TestTwoCauses: where either of two changes makes a fault, both are found among hundreds
// without asking for each of them.
func TestTwoCauses(t *testing.T) {
	old, newer := map[string]string{"a.c": cfile("x();")}, map[string]string{"a.c": cfile("GOOD();")}
	for i := range 300 {
		name := fmt.Sprintf("f%03d", i)
		old[name], newer[name] = "x\n", "y\n"
	}
	newer["f017"], newer["f222"] = "IMAGE\n", "IMAGE\n"
	e := newEngine(fromTrees(texts(old, newer)), &compiler{tree: old}, func(string, ...any) {})
	if _, err := e.run(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	var out []string
	for name, fate := range outcome(e) {
		if fate != "live" {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	if diff := cmp.Diff([]string{"f017:1", "f222:1"}, out); diff != "" {
		t.Error(diff)
	}
	if e.reviews > 60 {
		t.Errorf("%d reviews", e.reviews)
	}
}

func texts(old, newer map[string]string) []patchset.TextChange {
	names := map[string]bool{}
	for n := range old {
		names[n] = true
	}
	for n := range newer {
		names[n] = true
	}
	var out []patchset.TextChange
	for n := range names {
		ch := patchset.TextChange{Path: n}
		if text, ok := old[n]; ok {
			ch.Old = []byte(text)
		}
		if text, ok := newer[n]; ok {
			ch.New = []byte(text)
		}
		if string(ch.Old) != string(ch.New) {
			out = append(out, ch)
		}
	}
	slices.SortFunc(out, func(a, b patchset.TextChange) int { return strings.Compare(a.Path, b.Path) })
	return out
}

// history makes a series of commits: each is a function from the tree to the next.
type history struct {
	t      *testing.T
	tree   map[string]string
	series patchset.Series
}

func (h *history) commit(id, log string, change map[string]string) {
	h.t.Helper()
	next := map[string]string{}
	for n, text := range h.tree {
		next[n] = text
	}
	for n, text := range change {
		next[n] = text
	}
	p, err := patchset.FromTexts(id, "subject of "+id, texts(h.tree, next))
	if err != nil {
		h.t.Fatal(err)
	}
	p.Log, p.Commit = log, id
	h.series.Patches = append(h.series.Patches, p)
	h.tree = next
}

// hash is a commit's name that begins with a letter of the alphabet.
func hash(c string) string { return strings.Repeat(c, 40) }

// TestCommits: a commit is a slice. It goes with one that it needs, by its text, by a name
// or because that one corrects it; a pair that takes itself back is no change.
func TestCommits(t *testing.T) {
	base := map[string]string{"a.c": cfile("x();", "x();", "x();"), "b.c": cfile("x();", "x();"), "c.c": cfile("x();")}
	h := &history{t: t, tree: base}
	h.commit(hash("a"), "", map[string]string{"a.c": cfile("GOOD();", "x();", "x();")})
	h.commit(hash("b"), "", map[string]string{"a.c": cfile("GOOD();", "BAD();", "x();")})                            // a fault
	h.commit(hash("c"), "", map[string]string{"a.c": cfile("GOOD();", "BAD(); more();", "x();")})                    // on top of it
	h.commit(hash("d"), "", map[string]string{"b.c": cfile("BAD(); int use_d(void);", "x();")})                      // a fault that brings a name
	h.commit(hash("e"), "", map[string]string{"c.c": cfile("GOOD(); use_d();")})                                     // needs it
	h.commit(hash("f"), "", map[string]string{"b.c": cfile("BAD(); int use_d(void);", "GOOD(); wrong();")})          // good,
	h.commit("1"+hash("0")[1:], "Fixes: ffffffffffff (\"subject\")\n", map[string]string{"c.c": cfile("HIDDEN();")}) // corrected by what cannot go
	h.commit("2"+hash("0")[1:], "", map[string]string{"a.c": cfile("GOOD();", "BAD(); more();", "GOOD(); twice();")})
	h.commit("3"+hash("0")[1:], "This reverts commit 2000000000000.\n", map[string]string{"a.c": cfile("GOOD();", "BAD(); more();", "x();")})

	tree := fstest.MapFS{}
	for n, text := range base {
		tree[n] = &fstest.MapFile{Data: []byte(text)}
	}
	c := &compiler{tree: base}
	src := fromCommits(tree, &h.series)
	e := newEngine(src, c, func(format string, args ...any) { t.Logf(format, args...) })
	there, err := src.there()
	if err != nil || len(there) > 0 {
		t.Fatalf("already there: %v, %v", there, err)
	}
	if _, err := e.run(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	got := outcome(e)
	want := map[string]string{
		"aaaaaaaaaaaa": "live",
		"bbbbbbbbbbbb": "left out: KLP103 error: f1 (a.o): bad",
		"cccccccccccc": "left out: needs bbbbbbbbbbbb, which is left out: it does not apply without",
		"dddddddddddd": "left out: KLP103 error: f0 (b.o): bad",
		"eeeeeeeeeeee": "left out: needs dddddddddddd, which is left out: c.o does not compile: c.c:5: implicit declaration of function ‘use_d’",
		"ffffffffffff": "left out: needs 100000000000, which corrects it and is left out",
		"100000000000": "left out: needs eeeeeeeeeeee, which is left out: it does not apply without",
		"200000000000": "live",
		"300000000000": "live",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}

	// What is kept is without a fault, and any slice more brings one.
	keep := slices.Clone(e.keep)
	for i := range keep {
		if keep[i] {
			continue
		}
		keep[i] = true
		now, failed, err := e.source.texts(keep)
		keep[i] = false
		if err != nil {
			t.Fatal(err)
		}
		if len(failed) > 0 || strings.HasPrefix(got[e.slices[i].Name], "left out: needs 1") {
			continue
		}
		r, err := c.Review(t.Context(), changes(now), nil)
		if err != nil || len(r.Faults) == 0 {
			t.Errorf("%s is left out without need (%v)", e.slices[i].Name, err)
		}
	}
}

// TestWrongBlame: a slice that was taken out for another's fault comes back.
func TestWrongBlame(t *testing.T) {
	old := map[string]string{"a.c": cfile("x();", "x();"), "b.c": cfile("x();")}
	newer := map[string]string{"a.c": cfile("GOOD();", "BAD();"), "b.c": cfile("GOOD(); a1();")}
	c := &compiler{tree: old}
	e := newEngine(fromTrees(texts(old, newer)), c, t.Logf)
	e.drop(0, &reason{text: "by mistake"})
	if _, err := e.run(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"a.c:f0": "live", "a.c:f1": "left out: KLP103 error: f1 (a.o): bad", "b.c:f0": "live"}
	if diff := cmp.Diff(want, outcome(e)); diff != "" {
		t.Error(diff)
	}
}

// TestBuildFault: what the last checks of the module find takes slices out too.
func TestBuildFault(t *testing.T) {
	old := map[string]string{"a.c": cfile("x();", "x();"), "b.c": cfile("x();")}
	newer := map[string]string{"a.c": cfile("GOOD();", "GOOD(1);"), "b.c": cfile("GOOD();")}
	c := &compiler{tree: old}
	e := newEngine(fromTrees(texts(old, newer)), c, t.Logf)
	builds := 0
	if _, err := e.run(t.Context(), func(context.Context) ([]Fault, error) {
		if builds++; builds > 1 {
			return nil, nil
		}
		return []Fault{{Finding: &finding.Finding{ID: finding.IDIndirect, Severity: finding.Error, Symbol: "f1.isra.0",
			Unit: "a.o"}, Object: "a.o"}}, nil
	}); err != nil {
		t.Fatal(err)
	}
	if builds != 2 || e.fate[0] != Live || e.fate[1] != LeftOut || e.fate[2] != Live {
		t.Errorf("%d builds, %v", builds, outcome(e))
	}
}

// TestPresent: a commit that the source has is found, also where later ones build on it.
func TestPresent(t *testing.T) {
	h := &history{t: t, tree: map[string]string{"a.c": cfile("x();", "x();")}}
	h.commit(hash("a"), "", map[string]string{"a.c": cfile("GOOD();", "x();")})
	have := h.tree
	h.commit(hash("b"), "", map[string]string{"a.c": cfile("GOOD(1);", "x();")})
	h.commit(hash("c"), "", map[string]string{"a.c": cfile("GOOD(1);", "GOOD();")})
	tree := fstest.MapFS{"a.c": &fstest.MapFile{Data: []byte(have["a.c"])}}
	there, err := fromCommits(tree, &h.series).there()
	if err != nil || !cmp.Equal(there, map[int]bool{0: true}) {
		t.Errorf("%v, %v", there, err)
	}
}

// TestIdle: a slice of which nothing but code that has run changes is no live one, and a
// CVE of which a part has run is not said to be fixed.
func TestIdle(t *testing.T) {
	old := map[string]string{"a.c": cfile("x();", "x();"), "b.c": cfile("x();")}
	newer := map[string]string{"a.c": cfile("GOOD(); used_twice();", "INIT(); used_twice();") + "int used_twice(void);\n", "b.c": cfile("INIT();")}
	c := &compiler{tree: old}
	e := newEngine(fromTrees(texts(old, newer)), c, t.Logf)
	e.slices[0].IDs, e.slices[1].IDs = []string{"CVE-2026-1"}, []string{"CVE-2026-2"}
	last, err := e.run(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	r := e.result(last)
	if len(r.Slices) != 2 || r.Slices[0].Fate != Live || len(r.Slices[0].Know) != 1 || r.Slices[1].Fate != LeftOut ||
		r.Slices[1].Finding != finding.IDAlreadyRun {
		t.Errorf("%+v", r.Slices)
	}
	got := map[string]Status{}
	for _, cve := range r.CVEs {
		got[cve.ID] = cve.Status
	}
	if diff := cmp.Diff(map[string]Status{"CVE-2026-1": Open, "CVE-2026-2": Affected}, got); diff != "" {
		t.Error(diff)
	}
}

// TestInlined: a slice that changes a static function has the function that it was put
// into, also where that changes for itself; not one that stays a function.
func TestInlined(t *testing.T) {
	helper := "static int helper(void)\n{\n\ta();\n\t%s\n\tb();\n}\n\nstatic int apart(void)\n{\n\tc();\n\t%s\n\td();\n}\n\n"
	body := "int f(void)\n{\n\te();\n\thelper(); apart();\n\tg();\n\t%s\n}\n"
	base := map[string]string{"a.c": fmt.Sprintf(helper+body, "x();", "x();", "x();")}
	h := &history{t: t, tree: base}
	h.commit(hash("a"), "", map[string]string{"a.c": fmt.Sprintf(helper+body, "y();", "x();", "x();")})
	h.commit(hash("b"), "", map[string]string{"a.c": fmt.Sprintf(helper+body, "y();", "y();", "x();")})
	h.commit(hash("c"), "", map[string]string{"a.c": fmt.Sprintf(helper+body, "y();", "y();", "y();")})
	tree := fstest.MapFS{"a.c": &fstest.MapFile{Data: []byte(base["a.c"])}}
	e := newEngine(fromCommits(tree, &h.series), &compiler{tree: base}, t.Logf)
	if _, err := e.settle(); err != nil {
		t.Fatal(err)
	}
	e.state.reads["a.o"] = Object{"a.o", "a.c", []string{"a.c"}}
	got := e.functions(&Review{Funcs: []Function{{"vmlinux", "a.o", "f"}, {"vmlinux", "a.o", "apart.isra.0"}}})
	want := map[int][]string{0: {"vmlinux:f"}, 1: {"vmlinux:apart.isra.0"}, 2: {"vmlinux:f"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestTies: what is one slice, and what is two.
func TestTies(t *testing.T) {
	two := func(first, second string) string {
		return "int one(void)\n{\n\ta();\n\t" + first + "\n\tb();\n}\n\nint two(void)\n{\n\tc();\n\t" + second + "\n\td();\n}\n"
	}
	const call = "\n\te();\n\tone();"
	tests := []struct {
		name       string
		old, newer map[string]string
		slices     int
	}{
		{"two functions", map[string]string{"a/a.c": two("x();", "x();")}, map[string]string{"a/a.c": two("y();", "y();")}, 2},
		{"a caller of what changes, by a call that stays", map[string]string{"a/a.c": two("x();", "x();"+call)},
			map[string]string{"a/a.c": two("free(p);", "y();"+call)}, 1},
		{"the same in two files of a directory", map[string]string{"a/a.c": "int one(void)\n{\n\tx();\n}\n", "a/b.c": "int two(void)\n{\n\tx();\n\tone();\n}\n"},
			map[string]string{"a/a.c": "int one(void)\n{\n\tfree(p);\n}\n", "a/b.c": "int two(void)\n{\n\ty();\n\tone();\n}\n"}, 1},
		{"in files of two directories", map[string]string{"a/a.c": "int one(void)\n{\n\tx();\n}\n", "b/b.c": "int two(void)\n{\n\tx();\n\tone();\n}\n"},
			map[string]string{"a/a.c": "int one(void)\n{\n\tfree(p);\n}\n", "b/b.c": "int two(void)\n{\n\ty();\n\tone();\n}\n"}, 2},
		{"a call that comes, from anywhere", map[string]string{"a/a.c": "int one(void)\n{\n\tx();\n}\n", "b/b.c": "int two(void)\n{\n\tx();\n}\n"},
			map[string]string{"a/a.c": "int one(void)\n{\n\tfree(p);\n}\n", "b/b.c": "int two(void)\n{\n\tone();\n}\n"}, 1},
		{"a static function of the same name elsewhere", map[string]string{"a/a.c": "static int one(void)\n{\n\tx();\n}\n", "b/b.c": "int two(void)\n{\n\tx();\n}\n"},
			map[string]string{"a/a.c": "static int one(void)\n{\n\tfree(p);\n}\n", "b/b.c": "int two(void)\n{\n\tone();\n}\n"}, 2},
		{"a new member and its user", map[string]string{"a/a.h": "struct s {\n\tint a;\n};\n", "b/b.c": "int two(void)\n{\n\tx();\n}\n"},
			map[string]string{"a/a.h": "struct s {\n\tint a;\n\tint fresh;\n};\n", "b/b.c": "int two(void)\n{\n\ts->fresh = 1;\n}\n"}, 1},
		{"a new file and its makefile", map[string]string{"a/Makefile": "obj-y += old.o\n"},
			map[string]string{"a/Makefile": "obj-y += old.o fresh.o\n", "a/fresh.c": "int x;\n"}, 1},
		{"an option and its user", map[string]string{"a/Kconfig": "config OLD\n\tbool\n", "a/a.c": "int one(void)\n{\n\tx();\n}\n"},
			map[string]string{"a/Kconfig": "config OLD\n\tbool\n\nconfig FRESH\n\tbool\n",
				"a/a.c": "int one(void)\n{\n\tif (IS_ENABLED(CONFIG_FRESH))\n\t\tx();\n}\n"}, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := fromTrees(texts(tt.old, tt.newer)).list
			if len(got) != tt.slices {
				t.Errorf("%d slices, want %d", len(got), tt.slices)
				for _, s := range got {
					t.Logf("%s: %s", s.Name, s.Title)
				}
			}
		})
	}
}

// TestCorrectedBySubject: the hash in a Fixes: line is mostly that of mainline, which a
// backport need not name; the subject is the same.
func TestCorrectedBySubject(t *testing.T) {
	h := &history{t: t, tree: map[string]string{"a.c": cfile("x();", "x();")}}
	h.commit(hash("a"), "", map[string]string{"a.c": cfile("GOOD();", "x();")})
	h.commit(hash("b"), "Fixes: 123456789abc (\"subject of "+hash("a")+"\")\n", map[string]string{"a.c": cfile("GOOD(1);", "x();")})
	if got := fromCommits(fstest.MapFS{}, &h.series).list[1].corrects; !cmp.Equal(got, []int{0}) {
		t.Errorf("corrects %v", got)
	}
}
