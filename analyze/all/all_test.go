package all

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/klpforge/klpforge/analyze"
	"github.com/klpforge/klpforge/elfdiff"
	"github.com/klpforge/klpforge/elfobj"
	"github.com/klpforge/klpforge/finding"
	"github.com/klpforge/klpforge/plan"
)

// TestEveryIDIsExplained: the analyzers together have each registered id once, with
// its title and a text.
func TestEveryIDIsExplained(t *testing.T) {
	r := Registry()
	for _, k := range finding.Kinds() {
		c, ok := r.Check(k.ID)
		if !ok || c.Title != k.Title || len(c.Doc) < 60 {
			t.Errorf("klpforge explain has no text of %s, or another title: %+v", k.ID, c)
		}
	}
	if got, want := len(r.Checks()), len(finding.Kinds()); got != want {
		t.Errorf("%d checks, %d registered ids", got, want)
	}
}

// TestOtherArchitectures: where instructions are not modelled, every check that follows them says
// so, none says anything else, and there is no verdict; those on data and tables run.
func TestOtherArchitectures(t *testing.T) {
	registry := Registry()
	code := map[finding.ID]bool{}
	for _, analyzer := range registry.Analyzers() {
		for _, check := range analyzer.Checks {
			code[check.ID] = analyzer.Code
		}
	}
	for _, id := range []finding.ID{finding.IDLockEffect, finding.IDLockedData, finding.IDLockOrder, finding.IDContext, finding.IDRCU,
		finding.IDSelfDeadlock, finding.IDSleepers, finding.IDEndlessLoop} {
		if !code[id] {
			t.Errorf("%s does not say that it follows instructions", id)
		}
	}
	pairs, err := filepath.Glob("../../elfdiff/testdata/cross/*/before.*.o")
	if err != nil || len(pairs) < 50 {
		t.Fatalf("%d pairs, %v", len(pairs), err)
	}
	others := 0 // findings of the checks that run all the same
	for _, before := range pairs {
		in := crossInput(t, before)
		findings, err := registry.Run(in, nil)
		if err != nil {
			t.Fatalf("%s: %v", before, err)
		}
		unknown := map[finding.ID]int{}
		for i := range findings {
			f := &findings[i]
			switch {
			case f.Given:
				t.Errorf("%s: %s is given", before, f.ID)
			case code[f.ID] && (!f.Unknown || !strings.HasPrefix(f.Message, "unknown on this architecture")):
				t.Errorf("%s: %s says %q", before, f.ID, f.Message)
			case code[f.ID]:
				unknown[f.ID]++
			default:
				others++
			}
		}
		for id, follows := range code {
			if follows && unknown[id] != 1 {
				t.Errorf("%s: %s is reported as unknown %d times", before, id, unknown[id])
			}
		}
	}
	if others == 0 {
		t.Error("no other check reported anything")
	}
}

// crossInput is the input of the analysis for a pair of objects of another architecture.
func crossInput(t *testing.T, before string) *analyze.Input {
	t.Helper()
	var sides [2]*elfobj.File
	for i, path := range []string{before, strings.Replace(before, "before.", "after.", 1)} {
		var err error
		if sides[i], err = elfobj.ReadFile(path); err != nil {
			t.Fatal(err)
		}
	}
	diff, err := elfdiff.Diff(sides[0], sides[1])
	if err != nil {
		t.Fatal(err)
	}
	unit := &analyze.Unit{Object: "dir/case.o", Source: "dir/case.c", Owner: plan.Vmlinux, Diff: diff}
	object := plan.Object{Name: unit.Owner}
	for _, change := range diff.Functions {
		if change.Kind == elfdiff.Changed && !change.Init {
			unit.Replace = append(unit.Replace, change)
			object.Funcs = append(object.Funcs, plan.Func{Name: change.Name, Unit: unit.Object, Reasons: change.Reasons})
		}
	}
	in := &analyze.Input{Release: "6.12.0", Plan: &plan.Plan{}, Units: []*analyze.Unit{unit}, Problems: diff.Problems,
		HasObject: func(name string) bool { return name == plan.Vmlinux }}
	if len(object.Funcs) > 0 {
		in.Plan.Objects = []plan.Object{object}
	}
	return in
}

var update = flag.Bool("update", false, "write the checks into docs/architectures.md")

// TestArchitecturesDoc compares the lists of checks in docs/architectures.md with the analyzers.
func TestArchitecturesDoc(t *testing.T) {
	const file, begin, end = "../../docs/architectures.md", "-update -->\n", "<!-- end -->"
	const everywhere, code, verdicts = 0, 1, 2
	var lists [3][]string
	for _, analyzer := range Registry().Analyzers() {
		for _, check := range analyzer.Checks {
			kind := everywhere
			switch {
			case check.ID == finding.IDImmediate || check.ID == finding.IDForce:
				kind = verdicts // TestOtherArchitectures: not given elsewhere
			case analyzer.Code:
				kind = code
			}
			lists[kind] = append(lists[kind], string(check.ID))
		}
	}
	var want strings.Builder
	for kind, what := range [...]string{"Checks on data, types, tables and what earlier stages found, on every architecture",
		"Checks that follow instructions, on x86-64 alone", "Verdicts, on x86-64 alone"} {
		slices.Sort(lists[kind])
		want.WriteString("- " + what + ": " + strings.Join(lists[kind], ", ") + ".\n")
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, ok := strings.Cut(string(text), begin)
	have, tail, closed := strings.Cut(rest, end)
	if !ok || !closed {
		t.Fatalf("%s has no place for the checks", file)
	}
	if *update {
		if err := os.WriteFile(file, []byte(head+begin+want.String()+end+tail), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if have != want.String() {
		t.Errorf("%s has\n%swant\n%s", file, have, want.String())
	}
}
