package targettypes

import (
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/klpforge/klpforge/analyze"
	"github.com/klpforge/klpforge/analyze/typecheck"
	"github.com/klpforge/klpforge/elfobj"
	"github.com/klpforge/klpforge/plan"
)

const data = "../../typecheck/testdata/"

// check compares an object of the testdata with the BTF there, as a function uses it.
func check(t *testing.T, object, text string, funcs ...string) *analyze.TypeCheck {
	t.Helper()
	raw, err := os.ReadFile(data + "kernel.btf")
	if err != nil {
		t.Fatal(err)
	}
	src, err := typecheck.LoadBTF("vmlinux's BTF", raw, nil)
	if err != nil {
		t.Fatal(err)
	}
	f, err := elfobj.ReadFile(data + object)
	if err != nil {
		t.Fatal(err)
	}
	o, err := typecheck.ReadObject(f)
	if err != nil {
		t.Fatal(err)
	}
	c := &analyze.TypeCheck{Source: src.Name()}
	if c.Report, err = typecheck.Check(o, src, func(string) bool { return true }, func() (*typecheck.Object, error) { return nil, nil }); err != nil {
		t.Fatal(err)
	}
	typecheck.Judge(c.Report.Mismatches, typecheck.ReadText([]byte(text)), o, funcs, nil)
	return c
}

func TestFindings(t *testing.T) {
	const text = `
int reads(struct plain *p) { return p->flag; }
int neutral(int x) { return x; }
int sees(union all *a) { return a->i; }
`
	for _, c := range []struct {
		name   string
		target *analyze.TypeCheck
		want   []string // severity and message of each
		text   string   // in the evidence
	}{
		{"fits", check(t, "same.o", text, "reads"), nil, ""},
		{"member", check(t, "other.o", text, "reads"), []string{
			"error struct plain.flag is at offset 32 in the compiled object, 28 in vmlinux's BTF",
			"note 10 of 19 types, enumerators and prototypes differ from vmlinux's BTF, in parts that the patched code does not use",
		}, "struct plain.next is at offset 40 in the compiled object, 32 in vmlinux's BTF"},
		{"unused", check(t, "other.o", text, "neutral"), []string{
			"note 11 of 19 types, enumerators and prototypes differ from vmlinux's BTF, in parts that the patched code does not use",
		}, "struct plain"},
		{"size", check(t, "other.o", text, "sees"), []string{
			"warning union all has 24 bytes in the compiled object, 16 in vmlinux's BTF",
			"note 10 of 19 types, enumerators and prototypes differ from vmlinux's BTF, in parts that the patched code does not use",
		}, "whether it depends on the size is not seen"},
		{"failed", &analyze.TypeCheck{Err: errors.New("malformed")}, []string{
			"warning the types that the code uses could not be compared with the target's",
		}, "malformed"},
		{"no types", &analyze.TypeCheck{Members: []string{"struct a.b", "struct a.c"}, Proved: []string{"struct a.c"}}, []string{
			"note the target has neither BTF nor DWARF: types were not compared with it; of 2 members that the patched code can use, shipped code proves the offsets of 1",
		}, "not proved: struct a.b"},
		{"stays", nil, nil, ""},
	} {
		in := &analyze.Input{Plan: &plan.Plan{}, Units: []*analyze.Unit{{Object: "a/b.o", Owner: plan.Vmlinux, Source: "a/b.c", Target: c.target}}}
		got, all := run1(t, in)
		if d := cmp.Diff(c.want, got); d != "" {
			t.Errorf("%s (-want +got)\n%s", c.name, d)
		}
		if !strings.Contains(all, c.text) {
			t.Errorf("%s: nothing says %q:\n%s", c.name, c.text, all)
		}
	}
}

func TestConfig(t *testing.T) {
	in := &analyze.Input{Plan: &plan.Plan{}, Config: []analyze.ConfigDiff{
		{Name: "CONFIG_AUDIT", Target: "y", From: "/boot/config-6.1", Reaches: []string{"a/b.o"}},
		{Name: "CONFIG_FOO", Tree: "m", From: "/boot/config-6.1"},
	}}
	got, all := run1(t, in)
	want := []string{
		"error CONFIG_AUDIT is not set, in the target y, and the patched code is compiled from files that name it",
		"note 1 options of the configuration differ from the target's own and reach no patched object",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
	for _, s := range []string{"/boot/config-6.1", "CONFIG_FOO is m, in the target not set", "reaches a/b.o"} {
		if !strings.Contains(all, s) {
			t.Errorf("nothing says %q:\n%s", s, all)
		}
	}
}

// run1 returns the severity and message of each finding, and all that they say.
func run1(t *testing.T, in *analyze.Input) (lines []string, all string) {
	t.Helper()
	r, err := analyze.NewRegistry(New())
	if err != nil {
		t.Fatal(err)
	}
	findings, err := r.Run(in, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := range findings {
		f := &findings[i]
		lines = append(lines, f.Severity.String()+" "+f.Message)
		all += strings.Join(slices.Concat([]string{f.Message, f.Remedy}, f.Evidence), "\n") + "\n"
	}
	return lines, all
}
