package kbuild

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/klpforge/klpforge/finding"
)

// said lists findings as "ID severity symbol".
func said(list []finding.Finding) []string {
	var out []string
	for _, f := range list {
		out = append(out, fmt.Sprintf("%s %v %s", f.ID, f.Severity, f.Symbol))
	}
	return out
}

// What becomes of each kind of changed file and affected object.
func TestSelect(t *testing.T) {
	vmlinux := Owner{Kind: KindVmlinux}
	reads := func(made string, tool bool) []Reader {
		return []Reader{{Made: made, Where: "lib/Makefile:7", Tool: tool}}
	}
	for _, c := range []struct {
		name    string
		in      Affected
		objects []string
		headers bool
		found   []string
		says    string // in a message, remedy or note; "" wants no note
	}{
		{"a source", Affected{Files: []ChangedFile{{Path: "a.c", Class: ClassSource, Used: true}}, Objects: []AffectedObject{{Object: "a.o", Owner: vmlinux}}}, []string{"a.o"}, false, nil, ""},
		{"a source that is not built", Affected{Files: []ChangedFile{{Path: "a.c", Class: ClassSource}}}, nil, false, nil, "a.c: not built by the target's configuration"},
		{"a source that is only read", Affected{Files: []ChangedFile{{Path: "a.c", Class: ClassSource, Readers: reads("x", true)}}}, nil, false, nil, ""},
		{"a new source", Affected{Files: []ChangedFile{{Path: "a.c", Class: ClassNewSource}}}, nil, false, nil, ""},
		{"a header", Affected{Files: []ChangedFile{{Path: "a.h", Class: ClassInclude, Used: true}}, Objects: []AffectedObject{{Object: "a.o", Owner: vmlinux}}}, []string{"a.o"}, true, nil, ""},
		{"a header that nothing includes", Affected{Files: []ChangedFile{{Path: "a.h", Class: ClassInclude}}}, nil, true, nil, "a.h: not included by anything"},
		{"a header that is only read", Affected{Files: []ChangedFile{{Path: "a.h", Class: ClassInclude, Readers: reads("x", true)}}}, nil, true, nil, ""},
		{"assembly", Affected{Files: []ChangedFile{{Path: "a.S", Class: ClassAssembly, Used: true}}, Objects: []AffectedObject{{Object: "a.o", Assembly: true, Because: []string{"a.S"}}}}, nil, false,
			[]string{"KLP109 error a.S", "KLP109 warning a.o"}, "no ftrace entries"},
		{"assembly that is not built", Affected{Files: []ChangedFile{{Path: "a.S", Class: ClassAssembly}}}, nil, false, nil, "a.S: assembly that the target's configuration does not build"},
		{"assembly that includes a header", Affected{Objects: []AffectedObject{{Object: "a.o", Assembly: true, Because: []string{"a.h", "b.h"}}}}, nil, false,
			[]string{"KLP109 warning a.o"}, "depends on a.h, b.h; it is not compared"},
		{"a makefile", Affected{Files: []ChangedFile{{Path: "lib/Makefile", Class: ClassBuild}}}, nil, false, []string{"KLP109 warning lib/Makefile"}, "build rules"},
		{"Rust", Affected{Files: []ChangedFile{{Path: "a.rs", Class: ClassRust, Used: true}}, Objects: []AffectedObject{{Object: "a.o", Source: "a.rs", Owner: vmlinux}}}, nil, false,
			[]string{"KLP109 error a.rs"}, "Rust objects are not built"},
		{"Rust that is not built", Affected{Files: []ChangedFile{{Path: "a.rs", Class: ClassRust}}}, nil, false, nil, "a.rs: not built by the target's configuration"},
		{"a document", Affected{Files: []ChangedFile{{Path: "README", Class: ClassDoc}}}, nil, false, nil, "README: no rule of the kernel's build reads it"},
		{"an input", Affected{Files: []ChangedFile{{Path: "x.tbl", Class: ClassOther, Readers: reads("x.h", false)}}}, nil, false, nil, ""},
		{"a script of the build", Affected{Files: []ChangedFile{{Path: "scripts/x", Class: ClassTool, Readers: reads("scripts/x", true)}}}, nil, false, nil, "scripts/x: a script of the build (lib/Makefile:7)"},
		{"a part of a tool", Affected{Files: []ChangedFile{{Path: "tools/x.c", Class: ClassTool, Readers: reads("tools/x", true)}}}, nil, false, nil, "tools/x.c: a part of tools/x, a program of the build"},
		{"a part of a program elsewhere", Affected{Files: []ChangedFile{{Path: "usr/x.c", Class: ClassTool, Readers: reads("usr/x", true)}}}, nil, false, nil, ""},
		{"boot code", Affected{Special: []AffectedObject{{Object: "boot/a.o", Source: "boot/a.c", Owner: Owner{Reason: "boot code"}, Because: []string{"boot/a.c"}}}}, nil, false,
			[]string{"KLP109 error boot/a.o"}, "cannot reach (boot code); depends on boot/a.c"},
		{"boot code that includes a header", Affected{Special: []AffectedObject{{Object: "boot/a.o", Source: "boot/a.c", Because: []string{"a.h"}}}}, nil, false,
			[]string{"KLP109 warning boot/a.o"}, "leave this part out"},
		{"a program of the build", Affected{Special: []AffectedObject{{Object: "x.o", Source: "x.c", Input: true, Because: []string{"x.c"}}}}, nil, false, nil, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := c.in.Select()
			if diff := cmp.Diff(c.objects, slices.Sorted(maps.Keys(s.Objects))); diff != "" {
				t.Errorf("objects (-want +got)\n%s", diff)
			}
			if diff := cmp.Diff(c.found, said(s.Found)); diff != "" {
				t.Errorf("found (-want +got)\n%s", diff)
			}
			if s.Headers != c.headers {
				t.Errorf("headers: %v", s.Headers)
			}
			text := strings.Join(finding.RemarkTexts(s.Notes), "\n")
			for _, f := range s.Found {
				text += f.Message + "\n" + f.Remedy + "\n"
				if !f.AboutFile() {
					t.Errorf("not about a file: %+v", f)
				}
			}
			if c.says == "" && text != "" || !strings.Contains(text, c.says) {
				t.Errorf("%q, want %q", text, c.says)
			}
		})
	}
}

// Which changes of files that are no code matter.
func TestRead(t *testing.T) {
	for _, c := range []struct {
		f    ChangedFile
		want bool
	}{
		{ChangedFile{Class: ClassDoc}, false},
		{ChangedFile{Class: ClassOther}, false},
		{ChangedFile{Class: ClassOther, Used: true}, true},
		{ChangedFile{Class: ClassOther, Readers: []Reader{{}}}, true},
		{ChangedFile{Class: ClassBuild}, true},
		{ChangedFile{Class: ClassNewSource}, true},
	} {
		if c.f.Read() != c.want {
			t.Errorf("%+v: %v", c.f, !c.want)
		}
	}
}

func TestDropRemoved(t *testing.T) {
	a := &Affected{Objects: []AffectedObject{
		{Object: "kept.o", Source: "kept.c", Owner: Owner{Kind: KindVmlinux}},
		{Object: "gone.o", Source: "gone.c", Owner: Owner{Kind: KindVmlinux, Modules: []Module{{Name: "m"}}}},
		{Object: "old.o", Source: "old.c", Owner: Owner{Kind: KindVmlinux}},
	}}
	s := a.Select()
	s.DropRemoved(a, map[string]string{"gone.c": "", "old.c": "new.c", "other.c": ""})
	if diff := cmp.Diff([]string{"kept.o"}, slices.Sorted(maps.Keys(s.Objects))); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if diff := cmp.Diff([]string{"KLP131 error gone.c", "KLP131 error old.c"}, said(s.Found)); diff != "" {
		t.Fatalf("(-want +got)\n%s", diff)
	}
	if m := s.Found[0].Message; !strings.Contains(m, "built into vmlinux, m, and the patches delete it") {
		t.Errorf("%q", m)
	}
	if f := s.Found[1]; !strings.Contains(f.Message, "rename it to new.c") || !strings.Contains(f.Remedy, "old.c under its own name") {
		t.Errorf("%q, %q", f.Message, f.Remedy)
	}
}

// What the build makes of a changed file: into the kernel, into one of its programs, or
// nothing that matters.
func TestCheckInput(t *testing.T) {
	read := func(made string, tool bool) Reader { return Reader{Made: made, Where: "Makefile:1", Tool: tool} }
	for _, c := range []struct {
		file    string
		readers []Reader
		found   []string
		says    string
	}{
		{"lib/x.tbl", []Reader{read("lib/x.c", false)}, []string{"KLP130 error lib/x.tbl"}, "generates lib/x.c from it (Makefile:1)"},
		{"lib/x.tbl", []Reader{read("tool", true), read("lib/x.c", false)}, []string{"KLP130 error lib/x.tbl"}, "generates lib/x.c from it"},
		{"lib/x.tbl", []Reader{read("d", false), read("b", false), read("c", false), read("a", false), read("a", false)}, []string{"KLP130 error lib/x.tbl"}, "generates a, b, c, … from it"},
		{"lib/x.tbl", []Reader{read("c", false), read("b", false), read("a", false)}, []string{"KLP130 error lib/x.tbl"}, "generates a, b, c from it"},
		{"scripts/x.h", []Reader{read("scripts/b", true), read("scripts/a", true)}, []string{"KLP130 warning scripts/x.h"}, "a part of scripts/a, scripts/b, a program"},
		{"tools/x.h", []Reader{read("tools/x", true)}, nil, ""},
		{"scripts/x", []Reader{read("scripts/x", true)}, nil, ""},
		{"lib/x.tbl", nil, nil, ""},
	} {
		got := checkInput(c.file, c.readers)
		if diff := cmp.Diff(c.found, said(got)); diff != "" {
			t.Errorf("%s of %+v (-want +got)\n%s", c.file, c.readers, diff)
		}
		if len(got) > 0 && !strings.Contains(got[0].Message, c.says) {
			t.Errorf("%q does not say %q", got[0].Message, c.says)
		}
	}
}

func TestOutsideFindings(t *testing.T) {
	text := []byte("int a;\n#include \"/etc/passwd\"\n")
	for file, want := range map[string]int{"a.c": 1, "a.h": 1, "a.S": 1, "a.inc": 1, "a.def": 1, "a.lds": 1, "a.txt": 0, "a": 0} {
		got := CheckOutside(file, nil, text)
		if len(got) != want {
			t.Errorf("%s: %v", file, got)
		}
		if want > 0 && (got[0].ID != finding.IDOutsideFile || got[0].Severity != finding.Error || got[0].New != (finding.Position{File: file, Line: 2}) ||
			!strings.HasPrefix(got[0].Message, `#include names /etc/passwd, which is outside`)) {
			t.Errorf("%s: %+v", file, got[0])
		}
	}
	if got := CheckOutside("a.c", text, text); len(got) > 0 {
		t.Errorf("what was there before: %v", got)
	}
	for construct, want := range map[string]string{"#include": "#include reads /etc/passwd,", "": "a source reads /etc/passwd,"} {
		f := (&OutsideError{Object: "a.o", Path: "/etc/passwd", Construct: construct}).Finding()
		if f.ID != finding.IDOutsideFile || f.Severity != finding.Error || f.Symbol != "a.o" || !strings.HasPrefix(f.Message, want) {
			t.Errorf("%+v", f)
		}
	}
}

func TestRuleFindings(t *testing.T) {
	e := &RulesError{Object: "lib/a.o", Problems: []*RuleProblem{{File: "lib/Makefile", Line: 3, Why: "a shell command"}}}
	f := e.Finding()
	if f.ID != finding.IDBuildRules || f.Severity != finding.Error || f.Symbol != "lib/a.o" || !strings.Contains(f.Message, "a shell command") || !strings.Contains(f.Remedy, "--trust-patch") {
		t.Errorf("%+v", f)
	}
	if f := e.FindingAt("lib/a.c"); f.Symbol != "lib/a.c" || f.ID != finding.IDBuildRules {
		t.Errorf("%+v", f)
	}
	if f := (Withholding{Why: "builds may run it"}).Finding("x.sh"); f.ID != finding.IDBuildRules || f.Symbol != "x.sh" || !strings.Contains(f.Message, "builds may run it") {
		t.Errorf("%+v", f)
	}
}

// A version that changes is an error; one that comes or goes is told elsewhere.
func TestCheckCRCs(t *testing.T) {
	five := map[string]uint32{"e": 1, "d": 1, "c": 1, "b": 1, "a": 1}
	for _, c := range []struct {
		before, after map[string]uint32
		includes      bool
		found         []string
		says          string
	}{
		{nil, nil, false, nil, ""},
		{five, five, false, nil, ""},
		{five, map[string]uint32{"f": 2}, false, nil, ""},
		{five, map[string]uint32{"a": 1, "c": 2, "b": 2}, false, []string{"KLP106 error b"}, "versions of 2 exported symbol(s) changed (b, c): a type"},
		{five, map[string]uint32{"d": 2, "c": 2, "b": 2, "a": 2}, false, []string{"KLP106 error a"}, "4 exported symbol(s) changed (a, b, c, d): a type"},
		{five, map[string]uint32{"e": 2, "d": 2, "c": 2, "b": 2, "a": 2}, false, []string{"KLP106 error a"}, "5 exported symbol(s) changed (a, b, c, d, …): a type"},
		{five, map[string]uint32{"e": 2}, true, []string{"KLP106 warning e"}, "completes a type that was opaque"},
	} {
		got := CheckCRCs(c.before, c.after, c.includes)
		if diff := cmp.Diff(c.found, said(got)); diff != "" || len(got) > 0 && !strings.Contains(got[0].Message, c.says) {
			t.Errorf("%v, %v (-want +got)\n%s\n%+v", c.before, c.after, diff, got)
		}
	}
}

func TestCheckConfig(t *testing.T) {
	tree := &Tree{}
	tree.ConfigDiffs = []ConfigDiff{{Name: "CONFIG_A", Want: "y", Got: "m", Remedy: "install it"}, {Name: "CONFIG_B", Want: "y", Expected: true}}
	got := tree.CheckConfig()
	if diff := cmp.Diff([]string{"KLP108 warning CONFIG_A"}, said(got)); diff != "" || !strings.Contains(got[0].Message, tree.ConfigDiffs[0].String()) || got[0].Remedy != "install it" {
		t.Errorf("(-want +got)\n%s\n%+v", diff, got)
	}
}

// New sources with and without a rule: run when that is trusted, else read.
func TestNewObjects(t *testing.T) {
	ctx := context.Background()
	tree := mustPrepare(t, fakeOptions(t))
	w := mustWork(t, tree)
	for _, file := range []string{"lib/listed.c", "kernel/lost.c"} {
		if err := w.Write(file, []byte("int value;\n")); err != nil {
			t.Fatal(err)
		}
	}
	old, err := w.Read("lib/Makefile")
	if err != nil {
		t.Fatal(err)
	}
	rules := map[string]RuleChange{"lib/Makefile": {Old: old, New: append(slices.Clone(old), "\nobj-$(shell echo y) += listed.o\n"...)}}
	a, err := tree.Affected(ctx, []string{"lib/listed.c", "kernel/lost.c", "init/main.c"})
	if err != nil {
		t.Fatal(err)
	}

	// What only running the rule would tell is refused, by reading.
	s, err := w.NewObjects(ctx, a, rules, false)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"KLP134 error lib/listed.c"}, said(s.Found)); diff != "" || len(s.Objects) > 0 {
		t.Errorf("(-want +got)\n%s\n%v", diff, s.Objects)
	}
	const lost = "kernel/lost.c: no makefile of the patched tree builds it; left out"
	if diff := cmp.Diff([]finding.Remark{{Kind: finding.RemarkLeftOut, Text: lost}}, s.Notes); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}

	// Trusted, it is run.
	if err := w.Write("lib/Makefile", rules["lib/Makefile"].New); err != nil {
		t.Fatal(err)
	}
	if s, err = w.NewObjects(ctx, a, rules, true); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]Owner{"lib/listed.o": {Kind: KindVmlinux}}, s.Objects); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if diff := cmp.Diff([]finding.Remark{{Kind: finding.RemarkLeftOut, Text: lost}}, s.Notes); diff != "" || len(s.Found) > 0 {
		t.Errorf("(-want +got)\n%s\n%v", diff, s.Found)
	}
	built, err := w.BuildObjects(ctx, []string{"lib/listed.o"}, true)
	if err != nil || len(built) != 1 || len(mustRead(t, built[0].Path)) == 0 {
		t.Errorf("%+v, %v", built, err)
	}

	// No new source at all.
	if s, err := w.NewObjects(ctx, &Affected{Files: []ChangedFile{{Path: "init/main.c", Class: ClassSource}}}, nil, true); err != nil || len(s.Objects)+len(s.Notes)+len(s.Found) > 0 {
		t.Errorf("%+v, %v", s, err)
	}
}
