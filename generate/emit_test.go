package generate_test

import (
	"errors"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/klpforge/klpforge/generate"
	"github.com/klpforge/klpforge/plan"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// TestEmitGolden emits one livepatch for each generation of the interface and
// compiles the source against that generation's declarations.
func TestEmitGolden(t *testing.T) {
	needCompiler(t)
	for _, g := range generations() {
		t.Run(g.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			if _, err := generate.Emit(dir, fullInput(t, g.api)); err != nil {
				t.Fatal(err)
			}
			golden := filepath.Join("testdata", "golden", g.name)
			for _, name := range []string{"klpforge_test_main.c", "Kbuild", "Makefile", "manifest.json"} {
				compareGolden(t, filepath.Join(golden, name), withoutContent(read(t, filepath.Join(dir, name))))
			}
			if len(read(t, filepath.Join(dir, "fs_ext4_go.o_shipped"))) == 0 {
				t.Error("empty prebuilt object")
			}
			argv := append([]string{"gcc", "-fsyntax-only", "klpforge_test_main.c"}, cflags(g)...)
			run(t, dir, argv...)
		})
	}
}

func compareGolden(t *testing.T, path string, got []byte) {
	t.Helper()
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			t.Fatal(err)
		}
		write(t, path, string(got))
		return
	}
	if diff := cmp.Diff(string(read(t, path)), string(got)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

// TestGenerationsDiffer makes sure that the declarations in testdata can tell
// the generations apart: what is meant for one does not compile for another.
func TestGenerationsDiffer(t *testing.T) {
	needCompiler(t)
	for _, c := range []struct{ source, include string }{
		{"4.5", "4.0"}, {"4.12", "4.7"}, {"4.15", "4.12"}, {"4.15", "4.16"},
		{"5.1", "4.16"}, {"4.16", "5.1"}, {"5.5", "5.4"},
	} {
		dir := filepath.Join("testdata", "golden", c.source)
		for _, g := range generations() {
			if g.name == c.include {
				argv := append([]string{"-fsyntax-only", "klpforge_test_main.c"}, cflags(g)...)
				cmd := exec.Command("gcc", argv...)
				cmd.Dir = dir
				if cmd.Run() == nil {
					t.Errorf("source for %s compiles for %s", c.source, c.include)
				}
			}
		}
	}
}

// TestEmitSelf: an object that asks for its own struct klp_patch gets it, and
// no other module has the symbol.
func TestEmitSelf(t *testing.T) {
	needCompiler(t)
	for _, self := range []bool{true, false} {
		in := fullInput(t, apiOf("5.8"))
		if self {
			in.Units[1].Object = compile(t, showUnit+"extern const void *const klpforge_patch;\nconst void *of(void) { return klpforge_patch; }\n")
		}
		dir := t.TempDir()
		if _, err := generate.Emit(dir, in); err != nil {
			t.Fatal(err)
		}
		text := string(read(t, filepath.Join(dir, "klpforge_test_main.c")))
		if got := strings.Contains(text, "klpforge_patch = &patch;"); got != self {
			t.Errorf("defined: %t, want %t", got, self)
		}
		run(t, dir, append([]string{"gcc", "-fsyntax-only", "klpforge_test_main.c"}, cflags(generation{"5.8", in.API})...)...)
	}
}

// TestEmitRCU: a module whose code gives functions to call_rcu waits for them.
func TestEmitRCU(t *testing.T) {
	needCompiler(t)
	const waits = "\trcu_barrier();"
	for _, g := range []string{"4.7", "4.12", "5.8"} {
		for text, want := range map[string]bool{
			"void call_rcu(void *, void (*)(void *));\nstatic void done(void *p) { (void)p; }\nvoid drop(void *p) { call_rcu(p, done); }\n": true,
			// By a livepatch symbol, where the kernel does not export it.
			"void klp__vmlinux__call_rcu__0(void *, void (*)(void *));\nstatic void done(void *p) { (void)p; }\nvoid drop(void *p) { klp__vmlinux__call_rcu__0(p, done); }\n": true,
			"void synchronize_rcu(void);\nvoid drop(void) { synchronize_rcu(); }\n":                                                                                           false,
		} {
			in := fullInput(t, apiOf(g))
			in.Units[1].Object = compile(t, showUnit+text)
			dir := t.TempDir()
			if _, err := generate.Emit(dir, in); err != nil {
				t.Fatal(err)
			}
			if got := strings.Contains(string(read(t, filepath.Join(dir, "klpforge_test_main.c"))), waits); got != want {
				t.Errorf("%s: waits: %t, want %t", g, got, want)
			}
			run(t, dir, append([]string{"gcc", "-fsyntax-only", "klpforge_test_main.c"}, cflags(generation{g, in.API})...)...)
		}
	}
}

func TestEmitRefusesWhatTheAPILacks(t *testing.T) {
	needCompiler(t)
	cases := []struct {
		name    string
		api     string
		has     string // a generation that takes the same plan
		change  func(*generate.Input)
		feature string
	}{
		{"replace", "4.15", "5.1", func(in *generate.Input) { in.Plan.Replace = true }, "atomic replace"},
		{"states", "5.1", "5.5", func(in *generate.Input) { in.Plan.States = []plan.State{{ID: 1, Version: 1}} }, "system states"},
		{"callbacks", "4.12", "4.15", func(in *generate.Input) { in.Plan.Objects[0].Callbacks.PrePatch = "ext4_pre" }, "callbacks"},
		{"immediate patch", "4.16", "4.15", func(in *generate.Input) { in.Plan.Immediate = true }, "immediate patches"},
		{"immediate function", "4.7", "4.12", func(in *generate.Input) { in.Plan.Objects[0].Funcs[0].Immediate = true }, "immediate functions"},
		{"position in a module", "4.0", "4.5", func(in *generate.Input) { in.Plan.Objects[0].Funcs[0].Sympos = 1 }, "symbol positions"},
		{"namespaces", "5.1", "5.4", func(in *generate.Input) { in.Plan.ImportNS = []string{"A"} }, "symbol namespaces"},
		{"namespace with a dash", "5.8", "6.13", func(in *generate.Input) { in.Plan.ImportNS = []string{"module:kvm-amd"} }, "symbol namespaces that are no C identifiers"},
		{"livepatch relocations", "4.5", "4.7", func(in *generate.Input) { in.Units[1].Object = compile(t, showUnit) }, "livepatch relocations in ELF sections"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			in := fullInput(t, apiOf(c.api))
			c.change(&in)
			_, err := generate.Emit(t.TempDir(), in)
			var apiErr *generate.APIError
			if !errors.As(err, &apiErr) || apiErr.Feature != c.feature {
				t.Errorf("got error %v, want an APIError for %s", err, c.feature)
			}
			// What can be left out by itself is named.
			where := map[string]string{"callbacks": "ext4: the", "immediate functions": "ext4: ext4_go: the", "symbol positions": "ext4: ext4_go: the",
				"symbol namespaces": "A: the", "symbol namespaces that are no C identifiers": "module:kvm-amd: the"}[c.feature]
			if err == nil || !strings.HasPrefix(err.Error(), where) || where == "" && !strings.HasPrefix(err.Error(), "the target's livepatch interface has no "+c.feature+" (mainline: ") {
				t.Errorf("error %v does not begin with %q", err, where)
			}
			in = fullInput(t, apiOf(c.has))
			c.change(&in)
			if _, err := generate.Emit(t.TempDir(), in); err != nil {
				t.Errorf("with the interface of %s: %v", c.has, err)
			}
		})
	}
}

func TestEmitRefusesPlan(t *testing.T) {
	needCompiler(t)
	cases := []struct {
		name   string
		change func(*generate.Input)
		want   string
	}{
		{"name", func(in *generate.Input) { in.Plan.Name = "a-b" }, "letters, digits"},
		{"release", func(in *generate.Input) { in.Plan.Release = "6.1/../x" }, "kernel release"},
		{"nothing to do", func(in *generate.Input) { in.Plan.Objects = nil }, "neither functions nor callbacks"},
		{"own object", func(in *generate.Input) { in.Plan.Objects[0].Name = in.Plan.Name }, "patches itself"},
		{"object twice", func(in *generate.Input) { in.Plan.Objects[0].Name = plan.Vmlinux }, "occurs twice"},
		{"object with dash", func(in *generate.Input) { in.Plan.Objects[0].Name = "a-b" }, "object name"},
		{"function twice", func(in *generate.Input) {
			f := &in.Plan.Objects[0].Funcs
			(*f)[0].Name, (*f)[0].Sympos, (*f)[1].Name, (*f)[1].Sympos = "f", 0, "f", 1
		}, "replaced twice"},
		{"replacement twice", func(in *generate.Input) { in.Plan.Objects[0].Funcs[1].NewSymbol = "new_ext4" }, "is also that of"},
		{"no object", func(in *generate.Input) { in.Units = in.Units[:1] }, "no prebuilt object of fs/proc/show.o"},
		{"no symbol", func(in *generate.Input) { in.Plan.Objects[0].Funcs[0].NewSymbol = "absent" }, "no global function absent"},
		{"no callback", func(in *generate.Input) { in.Plan.Objects[0].Callbacks.PostPatch = "absent" }, "callback absent"},
		{"state 0", func(in *generate.Input) { in.Plan.States[0].ID = 0 }, "state id 0"},
		{"state twice", func(in *generate.Input) { in.Plan.States[1].ID = 7 }, "occurs twice"},
		{"control character", func(in *generate.Input) { in.Plan.Version = "1\n2" }, "control characters"},
		{"symbol defined twice", func(in *generate.Input) { in.Units[0].Object = in.Units[1].Object }, "is defined for both"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			in := fullInput(t, apiOf("5.8"))
			c.change(&in)
			_, err := generate.Emit(t.TempDir(), in)
			if !errors.Is(err, generate.ErrPlan) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got error %v, want ErrPlan with %q", err, c.want)
			}
		})
	}
}

func TestEmitDirectory(t *testing.T) {
	needCompiler(t)
	in := fullInput(t, apiOf("5.8"))
	dir := filepath.Join(t.TempDir(), "new", "dir")
	if _, err := generate.Emit(dir, in); err != nil {
		t.Fatal(err)
	}
	// What the next emission does not have must not stay.
	stale := filepath.Join(dir, "old_unit.o_shipped")
	write(t, stale, "x")
	if _, err := generate.Emit(dir, in); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(stale); err == nil {
		t.Error("an earlier emission's object is still there")
	}
	other := t.TempDir()
	write(t, filepath.Join(other, "thesis.tex"), "x")
	if _, err := generate.Emit(other, in); !errors.Is(err, generate.ErrNotEmpty) {
		t.Errorf("emit to a directory with other files: error %v, want ErrNotEmpty", err)
	}
}

func TestEmitDoesNotChangeThePlan(t *testing.T) {
	needCompiler(t)
	in := fullInput(t, apiOf("5.8"))
	want := fullInput(t, apiOf("5.8")).Plan
	if _, err := generate.Emit(t.TempDir(), in); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, in.Plan); diff != "" {
		t.Errorf("Emit changed its input (-before +after):\n%s", diff)
	}
}

func TestUnitNamesCollide(t *testing.T) {
	needCompiler(t)
	in := fullInput(t, apiOf("5.8"))
	in.Units = append(in.Units, generate.Unit{Name: "fs/ext4_go.o", Object: compile(t, "int extra(void); int extra(void) { return 1; }")})
	dir := t.TempDir()
	if _, err := generate.Emit(dir, in); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"fs_ext4_go.o_shipped", "fs_ext4_go_2.o_shipped"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			t.Error(err)
		}
	}
}

var contentRE = regexp.MustCompile(`"content": "[0-9a-f]{32}"`)

// withoutContent blanks the digests of compiled code, which is the compiler's.
func withoutContent(b []byte) []byte { return contentRE.ReplaceAll(b, []byte(`"content": ""`)) }
