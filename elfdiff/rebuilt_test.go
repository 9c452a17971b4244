package elfdiff

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/klpforge/klpforge/finding"
)

// What stops an extraction, and what is said once it was avoided.
func TestAvoidable(t *testing.T) {
	for _, c := range []struct {
		stopped finding.Finding
		want    Construct
		says    string
	}{
		{finding.Finding{ID: finding.IDModuleKey, Symbol: "f", Message: "key of ext4"}, StaticKey, "tested as ordinary variables in the patched functions (f: key of ext4)"},
		{finding.Finding{ID: finding.IDModuleKey, Message: "key of ext4"}, StaticKey, "functions (key of ext4)"},
		{finding.Finding{ID: finding.IDLoadTime, Symbol: "f", Section: "runtime_ptr_x"}, RuntimeConstant, "read from their variables in the patched functions (f, section runtime_ptr_x)"},
		{finding.Finding{ID: finding.IDLoadTime, Symbol: "f", Section: "__bug_table"}, NoConstruct, ""},
		{finding.Finding{ID: finding.IDStatics, Section: "runtime_ptr_x"}, NoConstruct, ""},
	} {
		if got := Avoidable(&c.stopped); got != c.want {
			t.Errorf("%+v: %v", c.stopped, got)
		}
		if c.want == NoConstruct {
			continue
		}
		if f := Avoided(&c.stopped); f.ID != c.stopped.ID || f.Severity != finding.Note || !strings.Contains(f.Message, c.says) {
			t.Errorf("%+v, want %q", f, c.says)
		}
	}
}

const (
	builtBefore = "static const int table[4] = {1, 2, 3, 4};\nstatic const int fixed[4] = {5, 6, 7, 8};\n" +
		"noinline int f(int i) { return table[i] + 1; }\nnoinline int g(int i) { return fixed[i] * 7; }\n"
	builtAfter = "static const int table[4] = {1, 2, 3, 9};\nstatic const int fixed[4] = {5, 6, 7, 8};\n" +
		"noinline int f(int i) { return table[i] + 2; }\nnoinline int g(int i) { return fixed[i] * 7; }\nnoinline int fresh(int i) { return i ^ 0x1234; }\n"
	// The same once more, but for a construct: f and g are compiled otherwise, and the
	// functions come in another order.
	builtAgain = "static const int table[4] = {1, 2, 3, 9};\nstatic const int fixed[4] = {5, 6, 7, 70};\n" +
		"noinline int fresh(int i) { return i ^ 0x1234; }\nnoinline int g(int i) { return fixed[i] * 70; }\nnoinline int f(int i) { return table[i] + 0x222; }\n"
)

// Which functions travel is decided by the ordinary build, what is in them by the other.
func TestExtractFrom(t *testing.T) {
	r := diffed(t, builtBefore, builtAfter)
	fresh, ok := r.Patched.named("fresh")
	if !ok {
		t.Fatal("no atom fresh")
	}
	replaced := replaceable(r)
	orig := []AtomID{r.OrigOf(replaced[0])}
	opt := ExtractOptions{Unit: "u.o", Object: "vmlinux", Functions: replaced, Keep: []AtomID{fresh}, Resolve: fakeResolver}
	other, functions, x, err := r.ExtractFrom(compiled(t, builtAgain), orig, opt)
	if err != nil || other == nil {
		t.Fatalf("%v, %v", other, err)
	}
	if len(functions) != 1 || other.Patched.Atoms[functions[0]].Name != "f" || x.NewSymbols[functions[0]] == "" {
		t.Errorf("functions %v, symbols %v", functions, x.NewSymbols)
	}
	var names []string
	for _, s := range x.File.Symbols {
		if s.Sec > 0 && s.Name != "" && !strings.HasPrefix(s.Name, ".") {
			names = append(names, s.Name)
		}
	}
	if !slices.Contains(names, "f") || !slices.Contains(names, "fresh") || slices.Contains(names, "g") {
		t.Errorf("travelling: %q", names)
	}
	if !slices.Contains(names, "table") || slices.Contains(x.Externals, klpPrefix+"table,0") {
		t.Errorf("the constant that the ordinary build takes along is not among %q", names)
	}
	var code []byte
	for _, s := range x.File.Sections {
		code = append(code, s.Data...)
	}
	if !strings.Contains(string(code), "\x22\x02") { // 0x222
		t.Error("the code is not of the other build")
	}
	if strings.Contains(string(code), "\x46\x00\x00\x00") { // 70, of fixed, which travels with nothing
		t.Error("constant data travels that the ordinary build leaves where it is")
	}

	// A build without one of them, and with two of a name.
	for name, text := range map[string]string{
		"no f":        "static const int fixed[4] = {5, 6, 7, 8};\nnoinline int g(int i) { return fixed[i] * 7; }\nnoinline int fresh(int i) { return i ^ 0x1234; }\n",
		"nothing new": builtBefore,
	} {
		if other, _, x, err := r.ExtractFrom(compiled(t, text), orig, opt); other != nil || x != nil || err != nil {
			t.Errorf("%s: %v, %v, %v", name, other, x, err)
		}
	}
	if _, ok := r.Patched.named(""); ok {
		t.Error("one of several atoms without a name")
	}

	// Stopped again, by what cannot be resolved.
	opt.Resolve = func(External) (string, error) { return "", &finding.Finding{ID: finding.IDModuleKey} }
	var f *finding.Finding
	calls := strings.Replace(builtAgain, "return table[i] + 0x222", "return ext(table[i])", 1)
	if _, _, _, err := r.ExtractFrom(compiled(t, "int ext(int);\n"+calls), orig, opt); !errors.As(err, &f) || f.ID != finding.IDModuleKey {
		t.Errorf("error %v", err)
	}
}

// What travels as a copy is what the ordinary build takes along, and no other constant: not
// one that only the other build has changed.
func TestCarryLike(t *testing.T) {
	r, other := diffed(t, builtBefore, builtAfter), diffed(t, builtBefore, builtAgain)
	carried := func(r *Result) (out []string) {
		for atom, yes := range r.carry {
			if yes {
				out = append(out, r.Patched.Atoms[atom].Name)
			}
		}
		slices.Sort(out)
		return out
	}
	if own := carried(other); !slices.Equal(own, []string{"fixed", "table"}) {
		t.Fatalf("the other build alone: %q", own)
	}
	want := carried(r)
	other.CarryLike(r)
	if got := carried(other); !slices.Equal(got, want) || !slices.Equal(want, []string{"table"}) {
		t.Errorf("%q, want %q", got, want)
	}
	other.CarryLike(diffed(t, builtBefore, builtBefore))
	if got := carried(other); got != nil {
		t.Errorf("like one that carries nothing: %q", got)
	}
}

// Marks of functions that may switch while they run.
func TestForce(t *testing.T) {
	r := diffCase(t, "kpatch-force")
	forced := r.Forced()
	if len(forced) == 0 {
		t.Fatal("nothing is marked")
	}
	name := r.Patched.Atoms[forced[0]].Name
	ch := Change{Name: name, Patched: forced[0]}
	symbols := func(list []finding.Finding) (out []string) {
		for _, f := range list {
			out = append(out, string(f.ID)+" "+f.Severity.String()+" "+f.Symbol)
		}
		return out
	}
	for _, c := range []struct {
		replaced []Change
		idle     bool
	}{{[]Change{ch}, false}, {nil, true}, {[]Change{{Name: name, Patched: forced[0], Carried: true}}, true}, {[]Change{{Name: "other", Patched: forced[0] + 1}}, true}} {
		got := symbols(r.IdleForce(c.replaced))
		if slices.Contains(got, "KLP117 note "+name) != c.idle {
			t.Errorf("replaced %+v: %q", c.replaced, got)
		}
	}
	for able, says := range map[bool]string{true: "old and new code of this function run at once", false: "has no effect: this kernel cannot"} {
		f := r.CheckForce(ch, able)
		if f == nil || f.ID != finding.IDDirective || f.Severity != finding.Warning || f.Symbol != name || !strings.Contains(f.Message, says) || (f.Remedy == "") != able {
			t.Errorf("able %v: %+v", able, f)
		}
	}
	if f := r.CheckForce(Change{Patched: -1}, true); f != nil {
		t.Errorf("not marked: %+v", f)
	}
	if d := cmp.Diff([]string(nil), symbols((&Result{}).IdleForce(nil))); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
}
