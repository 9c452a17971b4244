package elfdiff

import (
	"debug/elf"
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/klpforge/klpforge/elfobj"
	"github.com/klpforge/klpforge/finding"
)

var updateMatrix = flag.Bool("update", false, "write docs/differ-matrix.md")

const matrixFile = "../docs/differ-matrix.md"

// condition is one line of testdata/conditions.txt; a heading has no fixture.
type condition struct{ fixture, text string }

func conditions(t *testing.T) []condition {
	t.Helper()
	data, err := os.ReadFile("testdata/conditions.txt")
	if err != nil {
		t.Fatal(err)
	}
	var out []condition
	for line := range strings.Lines(string(data)) {
		line = strings.TrimSpace(line)
		if h, ok := strings.CutPrefix(line, "## "); ok {
			out = append(out, condition{"", h})
			continue
		}
		if line == "" || line[0] == '#' {
			continue
		}
		name, text, ok := strings.Cut(line, ": ")
		if !ok {
			t.Fatalf("testdata/conditions.txt: no colon in %q", line)
		}
		out = append(out, condition{name, text})
	}
	return out
}

// TestMatrix compares docs/differ-matrix.md with what becomes of each fixture.
// Run with -update to write it.
func TestMatrix(t *testing.T) {
	have := fixtures(t)
	var b strings.Builder
	b.WriteString(`# What becomes of each condition

Made from testdata/fixtures by ` + "`go test ./elfdiff -run TestMatrix -update`" + `; the test fails when this page is stale.
Each condition is a pair of objects compiled from C at -O2, before and after a change; for x86-64 unless a table says otherwise.

- *carried* names the functions that a livepatch replaces, then what is new and travels with them, then findings that do not stop it.
- *refused* names the findings that stop it: what ` + "`klpforge explain`" + ` and [findings.md](findings.md) tell more about.
- *no change*: the compiled code means the same.
- *nothing to replace*: there is only what no function of the running kernel refers to yet.
`)
	for _, c := range conditions(t) {
		if c.fixture == "" {
			fmt.Fprintf(&b, "\n## %s\n\n| condition |", c.text)
			for _, comp := range compilers {
				fmt.Fprintf(&b, " %s %s |", comp.name, comp.version)
			}
			b.WriteString(" fixture |\n| --- |" + strings.Repeat(" --- |", len(compilers)) + " --- |\n")
			continue
		}
		fmt.Fprintf(&b, "| %s |", c.text)
		for _, comp := range compilers {
			f := fixture{c.fixture, comp}
			i := slices.Index(have, f)
			if i < 0 {
				fmt.Fprintf(&b, " not made: %s |", strings.Join(sourceLines(t, c.fixture, "gcc only"), ""))
				continue
			}
			have = slices.Delete(have, i, i+1)
			fmt.Fprintf(&b, " %s |", becomes(t, f))
		}
		fmt.Fprintf(&b, " %s |\n", c.fixture)
	}
	for _, f := range have {
		t.Errorf("%s is not in testdata/conditions.txt", f)
	}
	b.WriteString(layoutTable(t))
	b.WriteString(crossTable(t))
	b.WriteString(sweepTable(t))
	if *updateMatrix {
		if err := os.WriteFile(matrixFile, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	old, err := os.ReadFile(matrixFile)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(old), b.String()); d != "" {
		t.Errorf("docs/differ-matrix.md is stale, run go test ./elfdiff -run TestMatrix -update (-old +new)\n%s", d)
	}
}

// layoutTable lists the layouts of tables that changed from kernel to kernel or differ by
// architecture.
func layoutTable(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	b.WriteString("\n## Layouts of entries\n\nWhat an object has is found in the object: the layout must divide the table and give each entry its references, no more and no fewer.\n" +
		"Versions are those whose headers were read, not the first and last that have a layout. Numbers are bytes.\n\n" +
		"| section | entry | references at | kernels |\n| --- | --- | --- | --- |\n")
	for i := range rows {
		r := &rows[i]
		shapes := r.shapes
		if r.section == ".altinstructions" {
			for _, c := range slices.Concat([]compiler{{"x86_64", "", "", ""}}, crossCompilers) {
				shapes = append(shapes, altShapes(archNamed(t, c.name))...)
			}
		}
		for k := range shapes {
			sh := &shapes[k]
			if sh.kernels == "" {
				if len(shapes) > 1 && r.holds == holdsSites && len(features) != len(shapes) {
					t.Errorf("%s: no kernel named for entries of %d bytes", r.section, sh.size)
				}
				continue
			}
			refs := strings.Trim(fmt.Sprint(sh.refs), "[]")
			if len(sh.may) > 0 {
				refs += ", some at " + strings.Trim(fmt.Sprint(sh.may), "[]")
			}
			if sh.fromStart {
				refs += ", from the start of the entry"
			}
			fmt.Fprintf(&b, "| `%s` | %d | %s | %s |\n", r.section, sh.size, refs, sh.kernels)
		}
	}
	return b.String()
}

// archNamed returns an architecture by its name.
func archNamed(t *testing.T, name string) elfobj.Arch {
	t.Helper()
	for _, m := range []elf.Machine{elf.EM_X86_64, elf.EM_AARCH64, elf.EM_PPC64, elf.EM_S390, elf.EM_LOONGARCH} {
		if a, err := elfobj.ArchOf(m); err == nil && a.Name() == name {
			return a
		}
	}
	t.Fatalf("no architecture is called %s", name)
	return nil
}

// becomes says in one cell what klpforge does with a fixture.
func becomes(t *testing.T, f fixture) string {
	t.Helper()
	return becomesOf(t, f, f.diff(t))
}

func becomesOf(t *testing.T, f fixture, r *Result) string {
	t.Helper()
	problems := slices.Clone(r.Problems)
	x, err := f.extract(t, r)
	if err != nil {
		var p *finding.Finding
		if !errors.As(err, &p) {
			t.Errorf("%s: cut: %v", f, err)
			return ""
		}
		problems = append(problems, *p)
	} else {
		problems = append(problems, x.Problems...)
	}
	var refused, said []string
	for _, p := range problems {
		name := p.Symbol
		if name == "" {
			name = p.Section
		}
		if base, marks := stem(name); strings.HasSuffix(marks, ".N") {
			name = base
		}
		item := strings.TrimSpace(string(p.ID) + " " + name)
		if p.Severity != finding.Error {
			said = append(said, p.Severity.String()+" "+item)
			continue
		}
		refused = append(refused, item)
		if p.Remedy == "" || p.Section == "" {
			t.Errorf("%s: %s of %s names section %q and remedy %q", f, p.ID, p.Symbol, p.Section, p.Remedy)
		}
	}
	slices.Sort(refused)
	if len(refused) > 0 {
		return "**refused**: " + strings.Join(slices.Compact(refused), ", ")
	}
	cell := "no change"
	if n := len(replaceable(r)); n > 0 {
		carried := func(ch Change) bool { return ch.Kind == Changed && ch.Carried }
		cell = "carried: " + strings.Join(names(r, func(ch Change) bool { return ch.Kind == Changed && !ch.Carried }), ", ")
		if fresh := slices.Concat(names(r, carried), x.NewFuncs, x.NewData); len(fresh) > 0 {
			for i := range fresh {
				fresh[i], _ = stem(fresh[i])
			}
			cell += " with " + strings.Join(fresh, ", ")
		}
	} else if n := names(r, func(ch Change) bool { return ch.Kind == New }); len(n) > 0 {
		cell = "nothing to replace: new " + strings.Join(n, ", ")
	} else if len(r.Functions)+len(r.Data) > 0 {
		cell = "nothing to replace"
	}
	if len(r.Lines) > 0 {
		var lines []string
		for _, ch := range r.Lines {
			lines = append(lines, ch.Name)
		}
		cell += "; only line numbers: " + strings.Join(lines, ", ")
	}
	slices.Sort(said)
	if len(said) > 0 {
		cell += "; " + strings.Join(slices.Compact(said), ", ")
	}
	return cell
}

// names lists some of the runtime functions.
func names(r *Result, which func(Change) bool) []string {
	var out []string
	for _, ch := range r.Functions {
		if which(ch) && !ch.Init {
			out = append(out, ch.Name)
		}
	}
	return out
}
