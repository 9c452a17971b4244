package patchset

import (
	"bytes"
	"debug/elf"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
)

// overlayOf applies the difference between two texts as a patch.
func overlayOf(t testing.TB, path, old, newer string) *File {
	t.Helper()
	hunks, err := fragments(old, newer)
	if err != nil {
		t.Fatal(err)
	}
	s := &Series{Patches: []*Patch{{ID: "test", strip: StripNone, Files: []*Change{{Path: path, Hunks: hunks, names: names{old: path, new: path, git: true, bare: true}}}}}}
	o, err := s.Apply(fstest.MapFS{path: {Data: []byte(old)}}, ApplyOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return o.Files[path]
}

func TestStablePlacement(t *testing.T) {
	const two = "int a(void)\n{\n\treturn __LINE__;\n}\n\nint b(void)\n{\n\treturn __LINE__;\n}\n"
	tests := []struct {
		name      string
		path      string
		old, want string // want has the directives; New is want without them
	}{
		{"inside the first function", "f.c", two,
			"int a(void)\n{\n\tint x;\n\treturn __LINE__;\n}\n#line 5\n\nint b(void)\n{\n\treturn __LINE__;\n}\n"},
		{"at the top", "f.c", two,
			"#include <x.h>\n#line 1\n" + two},
		{"same number of lines", "f.c", two, strings.Replace(two, "return", "return 1 +", 1)},
		{"removed lines", "f.c", two,
			"int a(void)\n{\n}\n#line 5\n\nint b(void)\n{\n\treturn __LINE__;\n}\n"},
		{"new function between", "f.c", two,
			"int a(void)\n{\n\treturn __LINE__;\n}\n\nint n(void)\n{\n\treturn 0;\n}\n\n#line 6\nint b(void)\n{\n\treturn __LINE__;\n}\n"},
		{"at the end", "f.c", two, two + "\nint c;\n"},
		{"assembler", "f.S", two, "x\n" + two},
		{"header", "f.h", "#ifndef F_H\n#define F_H\nint a;\nint b;\n#endif\n",
			"#ifndef F_H\n#define F_H\nint a;\nint n;\n#line 4\nint b;\n#endif\n"},
		{"nothing left to number in a header", "f.h", "#ifndef F_H\nint a;\n\n#endif /* F_H */\n", "#ifndef F_H\nint a;\nint n;\n\n#endif /* F_H */\n"},
		{"not in a comment", "f.c", "/* one\n * two\n */\nint a;\n", "/* one\n * one and a half\n * two\n */\n#line 4\nint a;\n"},
		{"not in a macro", "f.c", "#define M(x) \\\n\tdo {} while (0) \\\n\t+ 1\nint a;\n", "#define M(x) \\\n\tn \\\n\tdo {} while (0) \\\n\t+ 1\n#line 4\nint a;\n"},
		{"not in macro arguments", "f.c", "FOO(a,\n    {\n}\n);\nint b;\n", "FOO(a, n,\n    m,\n    {\n}\n);\n#line 5\nint b;\n"},
		{"in a branch and behind it", "f.c", "int a;\n#ifdef X\nint b;\nint c;\n#else\nint d;\n#endif\nint e;\n",
			"int a;\n#ifdef X\nint n;\n#line 3\nint b;\nint c;\n#else\n#line 6\nint d;\n#endif\n#line 8\nint e;\n"},
		{"two groups in one hunk", "f.c", "int a(void)\n{\n\tx();\n}\nint b(void)\n{\n\ty();\n}\nint c;\n",
			"int a(void)\n{\n\tn();\n\tx();\n}\n#line 5\nint b(void)\n{\n\tn();\n\ty();\n}\n#line 9\nint c;\n"},
		{"quote in dead text", "f.c", "#if 0\ndon't {\n#endif\nint a(void)\n{\n\tx();\n}\nint b;\n",
			"#if 0\ndon't {\n#endif\nint a(void)\n{\n\tn();\n\tx();\n}\n#line 8\nint b;\n"},
		{"extern C", "f.h", "#ifdef __cplusplus\nextern \"C\" {\n#endif\nint a;\nint b;\n#ifdef __cplusplus\n}\n#endif\nint c;\n",
			"#ifdef __cplusplus\nextern \"C\" {\n#endif\nint a;\nint n;\n#line 5\nint b;\n#ifdef __cplusplus\n}\n#endif\nint c;\n"},
		{"brace opened in both branches", "f.c", "#ifdef X\nint a(int x) {\n#else\nint a(void) {\n#endif\n\tx();\n}\nint b;\n",
			"#ifdef X\nint a(int x) {\n#else\nint a(void) {\n#endif\n\tn();\n\tx();\n}\n#line 8\nint b;\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := overlayOf(t, tt.path, tt.old, stripDirectives(tt.want))
			if diff := cmp.Diff(tt.want, string(f.Stable)); diff != "" {
				t.Errorf("stable text (-want +got):\n%s", diff)
			}
			if got := stripDirectives(string(f.Stable)); got != string(f.New) {
				t.Errorf("stable text without directives differs from the new text:\n%s", got)
			}
		})
	}
}

func TestStableOwnLines(t *testing.T) {
	old := "int a;\n#line 7 \"gram.y\"\nint b;\n"
	s := readOne(t, "--- a/f.c\n+++ b/f.c\n@@ -1,3 +1,4 @@\n int a;\n+int n;\n #line 7 \"gram.y\"\n int b;\n")
	o, err := s.Apply(fstest.MapFS{"f.c": {Data: []byte(old)}}, ApplyOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := string(o.Files["f.c"].Stable), "int a;\nint n;\n#line 7 \"gram.y\"\nint b;\n"; got != want {
		t.Errorf("stable = %q, want the new text %q", got, want)
	}
	if len(o.Notes) != 1 || !strings.Contains(o.Notes[0].String(), "#line") {
		t.Errorf("notes = %v, want one about #line", o.Notes)
	}
}

func stripDirectives(s string) string {
	var b strings.Builder
	for l := range strings.Lines(s) {
		if !strings.HasPrefix(l, "#line ") {
			b.WriteString(l)
		}
	}
	return b.String()
}

func configs() []map[string]bool {
	var out []map[string]bool
	for m := range 8 {
		out = append(out, map[string]bool{"X1": m&1 != 0, "X2": m&2 != 0, "X3": m&4 != 0})
	}
	return out
}

// checkStable asserts the property on one sample.
func checkStable(t *testing.T, old, newer string) {
	t.Helper()
	f := overlayOf(t, "f.c", old, newer)
	stable := string(f.Stable)
	if stripDirectives(stable) != newer {
		t.Fatalf("stable text is not the new text plus directives:\n%s", stable)
	}
	for _, defs := range configs() {
		before, after := numbers(old, defs), numbers(stable, defs)
		if len(before) != len(after) {
			t.Fatalf("%d markers before, %d after", len(before), len(after))
		}
		for m, got := range after {
			if got != m || before[m] != m {
				t.Fatalf("config %v: unchanged line %d has number %d before and %d after\n--- old\n%s--- stable\n%s", defs, m, before[m], got, numbered(old), stable)
			}
		}
	}
}

func numbered(s string) string {
	var b strings.Builder
	n := 0
	for l := range strings.Lines(s) {
		n++
		fmt.Fprintf(&b, "%4d %s", n, l)
	}
	return b.String()
}

func TestStableProperty(t *testing.T) {
	tested := 0
	for seed := range uint64(3000) {
		old, newer := newSample(seed)
		if old == newer {
			continue
		}
		tested++
		checkStable(t, old, newer)
	}
	if tested < 2000 {
		t.Errorf("only %d samples had an edit", tested)
	}
}

func FuzzStable(f *testing.F) {
	f.Add(uint64(1))
	f.Fuzz(func(t *testing.T, seed uint64) {
		if old, newer := newSample(seed); old != newer {
			checkStable(t, old, newer)
		}
	})
}

// TestStableAgainstGCC checks the same property with a real preprocessor.
func TestStableAgainstGCC(t *testing.T) {
	gcc, err := exec.LookPath("gcc")
	if err != nil {
		t.Skip("no gcc: the property is still tested against a model of cpp")
	}
	dir := t.TempDir()
	tested := 0
	for seed := uint64(10_000); tested < 12; seed++ {
		old, newer := newSample(seed)
		if old == newer {
			continue
		}
		f := overlayOf(t, "f.c", old, newer)
		if string(f.Stable) == newer {
			continue
		}
		tested++
		file := filepath.Join(dir, "f.c")
		if err := os.WriteFile(file, f.Stable, 0o644); err != nil {
			t.Fatal(err)
		}
		for i, defs := range configs() {
			args := []string{"-E", "-P", "-w"}
			for _, k := range []string{"X1", "X2", "X3"} {
				if defs[k] {
					args = append(args, "-D"+k+"=1")
				}
			}
			out, err := exec.Command(gcc, append(args, file)...).Output()
			if err != nil {
				t.Fatalf("seed %d config %d: gcc: %v", seed, i, err)
			}
			fields := strings.Fields(string(out))
			marks := 0
			for j, w := range fields {
				if n, ok := strings.CutPrefix(w, "MARK_"); ok {
					marks++
					if fields[j+1] != n {
						t.Fatalf("seed %d config %v: gcc numbers unchanged line %s as %s\n%s", seed, defs, n, fields[j+1], f.Stable)
					}
				}
			}
			if want := len(numbers(old, defs)); marks != want {
				t.Fatalf("seed %d config %v: gcc shows %d markers, want %d", seed, defs, marks, want)
			}
		}
	}
}

// TestStableObjectCode compiles functions that use __LINE__ before and after
// a patch: the unchanged ones must have the same bytes, and would not
// without the directives.
func TestStableObjectCode(t *testing.T) {
	gcc, err := exec.LookPath("gcc")
	if err != nil {
		t.Skip("no gcc to compile with")
	}
	var old strings.Builder
	for i := range 6 {
		fmt.Fprintf(&old, "int f%d(void)\n{\n\treturn __LINE__;\n}\n\n", i)
	}
	newer := strings.Replace(old.String(), "int f2(void)\n{\n", "int f2(void)\n{\n\t/* one */\n\t/* more */\n", 1)
	newer = strings.Replace(newer, "int f4(void)\n", "int added(void)\n{\n\treturn __LINE__;\n}\n\nint f4(void)\n", 1)
	f := overlayOf(t, "f.c", old.String(), newer)
	dir := t.TempDir()
	sections := func(name string, text []byte) map[string][]byte {
		src, obj := filepath.Join(dir, "f.c"), filepath.Join(dir, name+".o")
		if err := os.WriteFile(src, text, 0o644); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command(gcc, "-g0", "-O1", "-ffunction-sections", "-c", "-o", obj, src).CombinedOutput(); err != nil {
			t.Fatalf("gcc: %v\n%s", err, out)
		}
		e, err := elf.Open(obj)
		if err != nil {
			t.Fatal(err)
		}
		defer e.Close()
		m := map[string][]byte{}
		for _, s := range e.Sections {
			if strings.HasPrefix(s.Name, ".text.") {
				m[s.Name[6:]], _ = s.Data()
			}
		}
		return m
	}
	differ := func(a, b map[string][]byte) (names []string) {
		for n, code := range a {
			if !bytes.Equal(code, b[n]) {
				names = append(names, n)
			}
		}
		slices.Sort(names)
		return names
	}
	before := sections("before", f.Old)
	if diff := cmp.Diff([]string{"f2"}, differ(before, sections("stable", f.Stable))); diff != "" {
		t.Errorf("functions with other code, compiled from the stable text (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"f2", "f3", "f4", "f5"}, differ(before, sections("new", f.New))); diff != "" {
		t.Errorf("control: functions with other code, compiled from the new text (-want +got):\n%s", diff)
	}
}
