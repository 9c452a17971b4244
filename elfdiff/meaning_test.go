package elfdiff

import (
	"debug/elf"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/klpforge/klpforge/elfobj"
	"github.com/klpforge/klpforge/finding"
)

// compiled is the object of a C text, with kernel-like flags.
func compiled(t testing.TB, text string) *elfobj.File {
	t.Helper()
	object := filepath.Join(t.TempDir(), "unit.o")
	cmd := exec.Command("gcc", "-O2", "-std=gnu11", "-ffunction-sections", "-fdata-sections", "-fno-pic", "-fno-pie", "-mcmodel=kernel", "-mno-red-zone", "-fcf-protection=none",
		"-fno-asynchronous-unwind-tables", "-fno-stack-protector", "-g0", "-pg", "-mfentry", "-mrecord-mcount", "-x", "c", "-c", "-o", object, "-")
	cmd.Stdin = strings.NewReader("#define noinline __attribute__((noipa))\n" + text)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("compile: %v\n%s", err, out)
	}
	f, err := elfobj.ReadFile(object)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func diffed(t testing.TB, before, after string) *Result {
	t.Helper()
	r, err := Diff(compiled(t, before), compiled(t, after))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func changed(r *Result) (out []string) {
	for _, a := range replaceable(r) {
		out = append(out, r.Patched.Atoms[a].Name)
	}
	slices.Sort(out)
	return out
}

// A change of nothing but a distance is a change.
func TestDistances(t *testing.T) {
	const text = "extern int array[9]; extern int f(int); static int mine[9] = {1}; int (*p)(int);\nvoid set(int i) { mine[i]++; }\n"
	for _, c := range []struct{ name, before, after string }{
		{"of an external", "int a(void) { return array[2]; }", "int a(void) { return array[3]; }"},
		{"of an external's address", "int *a(void) { return &array[2]; }", "int *a(void) { return &array[3]; }"},
		{"of the object's own", "int a(void) { return mine[2]; }", "int a(void) { return mine[3]; }"},
		{"behind an immediate", "void a(void) { array[2] = 77777; }", "void a(void) { array[3] = 77777; }"},
		{"in a string", "const char *a(void) { return \"hello world\" + 3; }", "const char *a(void) { return \"hello world\" + 4; }"},
		{"of a negative index", "int a(long i) { return array[i - 2]; }", "int a(long i) { return array[i - 3]; }"},
	} {
		if d := cmp.Diff([]string{"a"}, changed(diffed(t, text+c.before, text+c.after))); d != "" {
			t.Errorf("%s (-want +got)\n%s", c.name, d)
		}
		if got := changed(diffed(t, text+c.before, text+c.before)); got != nil {
			t.Errorf("%s: %q changed by nothing", c.name, got)
		}
	}
}

// Statics of one name in one function: with one more or one less, which of them is
// the old one cannot be told.
func TestNumberOfStatics(t *testing.T) {
	one := "extern void use(int *);\nvoid f(int v) { { static int buf; use(&buf); } }\n"
	two := "extern void use(int *);\nvoid f(int v) { { static int buf; use(&buf); } if (v) { static int buf; use(&buf); } }\n"
	named := "extern void use(int *);\nvoid f(int v) { { static int buf; use(&buf); } if (v) { static int other; use(&other); } }\n"
	for _, c := range []struct {
		name, before, after string
		want                bool
	}{{"one more", one, two, true}, {"one less", two, one, true}, {"of another name", one, named, false}, {"the same", two, two, false}} {
		r := diffed(t, c.before, c.after)
		got := slices.ContainsFunc(r.Problems, func(p finding.Finding) bool {
			return p.ID == "KLP104" && p.Severity == finding.Error && p.Symbol == "buf"
		})
		if got != c.want {
			t.Errorf("%s: problems %+v", c.name, r.Problems)
		}
	}
}

// A part for seldom cases lies right behind its function, in the same section, and
// the function's symbol reaches to its end: the kernel's stack check looks no
// further than that.
func TestColdPartsAdjoin(t *testing.T) {
	text := "extern void report(int) __attribute__((cold));\nint f(int v) { if (v > 20) { report(v); report(v + 1); } return v + N; }\n"
	r := diffed(t, strings.ReplaceAll(text, "N", "1"), strings.ReplaceAll(text, "N", "2"))
	if !slices.ContainsFunc(r.Patched.File.Symbols, func(s elfobj.Symbol) bool { return strings.HasPrefix(s.Name, "f.cold") }) {
		t.Fatal("the compiler made no cold part")
	}
	x, err := extractAll(r)
	if err != nil {
		t.Fatal(err)
	}
	code := 0
	for i := range x.File.Sections {
		s := &x.File.Sections[i]
		if s.Flags&elf.SHF_EXECINSTR == 0 {
			continue
		}
		code++
		for _, sym := range x.File.Symbols {
			if int(sym.Sec) == i && sym.Type == elf.STT_FUNC && (sym.Value != 0 || sym.Size != s.Size) {
				t.Errorf("%s covers %d bytes from %d of %d", sym.Name, sym.Size, sym.Value, s.Size)
			}
		}
		calls := 0
		for _, rel := range s.Relocs {
			if strings.Contains(x.File.Symbols[rel.Sym].Name, "report") {
				calls++
			}
		}
		if calls != 2 {
			t.Errorf("%s calls report %d times", s.Name, calls)
		}
	}
	if code != 1 {
		t.Errorf("%d sections of code", code)
	}
	for _, s := range x.File.Symbols {
		if strings.Contains(s.Name, "cold") {
			t.Errorf("symbol %s is left", s.Name)
		}
	}
}

// New functions and variables keep their linkage: what another unit refers to is
// global, what only this one knows is not, and a replacement's own name is nobody
// else's.
func TestLinkage(t *testing.T) {
	before := "extern int g(int);\nint f(int v) { return v; }\n"
	after := "extern int g(int);\nint fresh_data[2] = {3, 4};\nstatic int own_data[2] = {5, 6};\nnoinline int fresh(int v) { return g(v) + fresh_data[v & 1]; }\nstatic noinline int own(int v) { return g(v) * 2 + own_data[v & 1]++; }\n" +
		"int f(int v) { return fresh(v) + own(v); }\n"
	x, err := extractAll(diffed(t, before, after))
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]elf.SymBind{}
	for _, s := range x.File.Symbols {
		if s.Sec > 0 && s.Name != "" && s.Type != elf.STT_SECTION {
			got[s.Name] = s.Bind
		}
	}
	for name, want := range map[string]elf.SymBind{"fresh": elf.STB_GLOBAL, "fresh_data": elf.STB_GLOBAL, "own": elf.STB_LOCAL, "own_data": elf.STB_LOCAL, "f": elf.STB_LOCAL} {
		if bind, ok := got[name]; !ok || bind != want {
			t.Errorf("%s is %v (there: %v), want %v", name, bind, ok, want)
		}
	}
	if d := cmp.Diff([]string{"fresh", "own"}, x.NewFuncs); d != "" {
		t.Errorf("new functions (-want +got)\n%s", d)
	}
	if d := cmp.Diff([]string{"fresh_data", "own_data"}, x.NewData); d != "" {
		t.Errorf("new data (-want +got)\n%s", d)
	}
	n := 0
	for _, sym := range x.NewSymbols {
		if n++; sym == "f" || got[sym] != elf.STB_GLOBAL {
			t.Errorf("the replacement is %s, %v", sym, got[sym])
		}
	}
	if n != 1 {
		t.Errorf("%d replacements", n)
	}
}

// Exports that come and go are told.
func TestExportNotes(t *testing.T) {
	export := func(name string) string {
		return "extern typeof(" + name + ") " + name + ";\nasm(\".section ___ksymtab+" + name + ",\\\"a\\\"\\n__ksymtab_" + name + ": .long " + name + " - .\\n.previous\\n\");\n"
	}
	text := "int f(int v) { return v; }\nint g(int v) { return v + 1; }\n"
	for _, c := range []struct {
		before, after, symbol string
		want                  bool
	}{{text + export("f"), text + export("f") + export("g"), "g", true}, {text + export("f") + export("g"), text + export("f"), "g", true}, {text + export("f"), text + export("f"), "f", false}} {
		r := diffed(t, c.before, c.after)
		got := slices.ContainsFunc(r.Problems, func(p finding.Finding) bool { return p.ID == "KLP110" && p.Symbol == c.symbol })
		if got != c.want {
			t.Errorf("problems %+v", r.Problems)
		}
	}
}

// A constant that leads to the start of a function before the patch, and inside it after,
// is another value for whoever reads it, although their code is the same.
func TestConstantBecomesLabels(t *testing.T) {
	text := "extern int work(int);\nstatic noinline int start(int v) { return work(v) + 1; }\n" +
		"static char *const places[2] = {(char *)start + N, (char *)work};\nchar *reads(int i) { return places[i]; }\n"
	at := func(n string) string { return strings.ReplaceAll(text, "N", n) }
	if d := cmp.Diff([]string{"reads"}, changed(diffed(t, at("0"), at("4")))); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
	if got := describe(diffed(t, at("4"), at("0"))); got[0] == "nothing" {
		t.Error("nothing is said of the way back")
	}
	if got := describe(diffed(t, at("4"), at("4"))); got[0] != "nothing" {
		t.Errorf("the same: %q", got)
	}
}

// Statics of one name are known by the functions that use them, and what only such a static
// refers to by that static, whatever numbers the compiler gives them.
func TestStaticsOfStatics(t *testing.T) {
	text := "extern void use(int **);\n#define USES(f, n) void f(void) { static int state = n; static int *where = &state; use(&where); }\nUSES(f, 1)\nUSES(g, 2)\nUSES(h, 3)\n"
	before, after := compiled(t, text), compiled(t, text)
	// All of them counted the other way.
	numbers := map[string][]int{}
	for i := range after.Symbols {
		if base, marks := stem(after.Symbols[i].Name); marks == ".N" {
			numbers[base] = append(numbers[base], i)
		}
	}
	if len(numbers["state"]) != 3 || len(numbers["where"]) != 3 {
		t.Fatalf("statics %v", numbers)
	}
	for _, list := range numbers {
		first, last := &after.Symbols[list[0]], &after.Symbols[list[2]]
		first.Name, last.Name = last.Name, first.Name
	}
	r, err := Diff(before, after)
	if err != nil {
		t.Fatal(err)
	}
	if got := describe(r); got[0] != "nothing" {
		t.Errorf("%q", got)
	}
	for _, name := range []string{"f", "g", "h"} {
		places := func(o *Object) (out []uint64) { // the initial values along the pointers
			fn, _ := o.named(name)
			for _, ref := range o.References(fn) {
				if ref.Target.Kind == TargetAtom && !o.IsCode(ref.Target.Atom) {
					inner := o.References(ref.Target.Atom)[0].Target.Atom
					out = append(out, uint64(o.Code(inner)[0]))
				}
			}
			return out
		}
		if x, y := places(r.Orig), places(r.Patched); len(x) != 1 || !slices.Equal(x, y) {
			t.Errorf("%s uses %v and %v", name, x, y)
		}
	}
	for a := range r.Orig.Atoms {
		if base, marks := stem(r.Orig.Atoms[a].Name); marks == ".N" {
			partner := r.PatchedOf(AtomID(a))
			if partner < 0 || r.Orig.Code(AtomID(a))[0] != r.Patched.Code(partner)[0] {
				t.Errorf("%s %d has the partner %d", base, a, partner)
			}
		}
	}
}

// The end of an array is a place of its variable, in the kernel like the others.
func TestBehindTheEnd(t *testing.T) {
	text := "extern int work(int *);\nstatic int array[8];\nint first; int f(void) { int n = N; for (int *p = array; p != array + 8; p++) n += work(p); return n; }\n"
	r := diffed(t, strings.ReplaceAll(text, "N", "1"), strings.ReplaceAll(text, "N", "2"))
	x, err := extractAll(r)
	if err != nil {
		t.Fatal(err)
	}
	var places []int64
	for i := range x.File.Sections {
		for _, rel := range x.File.Sections[i].Relocs {
			if strings.Contains(x.File.Symbols[rel.Sym].Name, ".array,") {
				places = append(places, rel.Addend)
			}
		}
	}
	slices.Sort(places)
	if !slices.Equal(places, []int64{0, 32}) {
		t.Errorf("array is referred to at %v", places)
	}
}
