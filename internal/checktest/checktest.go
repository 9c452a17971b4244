// Package checktest runs analyzers on small pairs of C files, before and after
// a change, and on the objects that the compiler made of them.
//
// A case is a directory with before.c, after.c and the committed before.o and
// after.o; kernel.c and kernel.o, if there, stand for the rest of the kernel, and module.c and
// module.o for the module "module" of it. Lines of after.c say what is expected:
//
//	// want: KLP204 warning foo        a finding, in the order of the report
//	// want: nothing                   no finding
//	// text: a part of what it says    in the message, evidence, who or remedy
//	// cflags: -g                      further options for all compilations; -gbtf gives the kernel types
//	// orc: yes                        unwind data as a kernel's build adds it to both objects; with -update,
//	                                   $KLPFORGE_OBJTOOL names the program for that (compile.sh)
//
// "go test -update" compiles the cases again.
package checktest

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/klpforge/klpforge/analyze"
	"github.com/klpforge/klpforge/analyze/fields"
	"github.com/klpforge/klpforge/analyze/locks"
	"github.com/klpforge/klpforge/analyze/model"
	"github.com/klpforge/klpforge/analyze/registered"
	"github.com/klpforge/klpforge/analyze/sleeps"
	"github.com/klpforge/klpforge/analyze/types"
	"github.com/klpforge/klpforge/elfdiff"
	"github.com/klpforge/klpforge/elfobj"
	"github.com/klpforge/klpforge/finding"
	"github.com/klpforge/klpforge/plan"
)

var update = flag.Bool("update", false, "compile the cases again")

// compilerVersion is the compiler that the committed objects come from.
const compilerVersion = "12.2.0"

// Run checks every case below dir.
func Run(t *testing.T, dir string, analyzers ...*analyze.Analyzer) {
	t.Helper()
	r, err := analyze.NewRegistry(analyzers...)
	if err != nil {
		t.Fatal(err)
	}
	cases, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	fired, quiet := false, false
	for _, c := range cases {
		path := filepath.Join(dir, c.Name())
		want := directives(t, path, "want")
		if len(want) == 0 {
			t.Fatalf("%s has no // want: line", path)
		}
		fired, quiet = fired || want[0] != "nothing", quiet || want[0] == "nothing"
		t.Run(c.Name(), func(t *testing.T) {
			Compile(t, path)
			check(t, r, path, want)
		})
	}
	if !fired || !quiet {
		t.Error("a check needs a case that fires and a twin that does not")
	}
}

func check(t *testing.T, r *analyze.Registry, path string, want []string) {
	t.Helper()
	findings, err := r.Run(Load(t, path), nil)
	if err != nil {
		t.Fatal(err)
	}
	var got, text []string
	for i := range findings {
		f := &findings[i]
		what := f.Severity.String()
		if f.Given {
			what = "given"
		} else if f.Unknown {
			what = "unknown"
		}
		got = append(got, strings.TrimSpace(fmt.Sprintf("%s %s %s", f.ID, what, f.Symbol)))
		text = append(text, slices.Concat([]string{f.Message, f.Remedy}, f.Evidence, f.Who)...)
		if kind, ok := finding.Lookup(f.ID); !ok || f.Severity > kind.Worst {
			t.Errorf("%s is not registered, or not for a finding that is %s", f.ID, f.Severity)
		}
		if f.Message == "" {
			t.Errorf("%s has no message", f.ID)
		}
		if f.Symbol != "" && f.New.Line == 0 {
			t.Errorf("%s on %s points at no line", f.ID, f.Symbol)
		}
	}
	if len(got) == 0 {
		got = []string{"nothing"}
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
	all := strings.Join(text, "\n")
	for _, s := range directives(t, path, "text") {
		if !strings.Contains(all, s) {
			t.Errorf("nothing says %q", s)
		}
	}
	if t.Failed() {
		t.Log("\n" + all)
	}
}

// Load makes the input of one case.
func Load(t *testing.T, path string) *analyze.Input {
	t.Helper()
	object := func(side string) *elfobj.File {
		f, err := elfobj.ReadFile(filepath.Join(path, side+".o"))
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	d, err := elfdiff.Diff(object("before"), object("after"))
	if err != nil {
		t.Fatal(err)
	}
	old, newer := read(t, filepath.Join(path, "before.c")), read(t, filepath.Join(path, "after.c"))
	u := &analyze.Unit{Object: "dir/case.o", Source: "dir/case.c", Owner: plan.Vmlinux, Diff: d}
	in := &analyze.Input{Release: "6.1.0", Plan: &plan.Plan{}, Units: []*analyze.Unit{u}, Files: []analyze.File{{Path: u.Source, Old: old, New: newer, Hunks: hunks(old, newer)}},
		HasObject: func(name string) bool { return name == plan.Vmlinux }}
	var sides []*types.Info
	for _, side := range []string{"before", "after"} {
		info, err := types.Read(object(side))
		if errors.Is(err, types.ErrNoDebug) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		sides = append(sides, info)
	}
	if len(sides) == 2 {
		u.Types = types.Differ(sides[0], sides[1])
	}
	ob := plan.Object{Name: u.Owner}
	for _, ch := range d.Functions {
		if ch.Kind == elfdiff.Changed && !ch.Init {
			u.Replace = append(u.Replace, ch)
			ob.Funcs = append(ob.Funcs, plan.Func{Name: ch.Name, Unit: u.Object, Reasons: ch.Reasons})
		}
	}
	if len(ob.Funcs) > 0 {
		in.Plan.Objects = []plan.Object{ob}
	}
	if _, err := os.Stat(filepath.Join(path, "kernel.o")); err == nil {
		in.Kernel = func() (*analyze.Kernel, error) { return kernelOf(t, path, object), nil }
	}
	for _, p := range d.Problems {
		p.Object, p.Unit = u.Owner, u.Object
		in.Problems = append(in.Problems, p)
	}
	return in
}

// kernelOf makes the kernel of a case, with its module if it has one.
func kernelOf(t *testing.T, path string, object func(name string) *elfobj.File) *analyze.Kernel {
	t.Helper()
	programs := map[string]*analyze.Program{}
	kept := map[string]*registered.Result{}
	for _, name := range []string{"kernel", "module"} {
		if _, err := os.Stat(filepath.Join(path, name+".o")); err != nil {
			continue
		}
		file := object(name)
		owner := name
		if name == "kernel" {
			owner = plan.Vmlinux
		}
		p, err := model.FromObject(file, model.ObjectOptions{Name: owner})
		if err != nil {
			t.Fatal(err)
		}
		m := model.Build(p)
		types, tables := btfOf(t, file)
		programs[owner] = &analyze.Program{Model: m, Locks: locks.Analyze(m, locks.Options{})}
		kept[owner] = registered.Find(m, types, tables)
	}
	main := programs[plan.Vmlinux]
	return &analyze.Kernel{Model: main.Model, Locks: main.Locks,
		Sleeps: func() *sleeps.Result {
			return sleeps.Analyze(main.Model, sleeps.Options{Flows: main.Locks.FlowsApart})
		},
		Registered: func(owner string) (*registered.Result, error) { return kept[owner], nil },
		Module: func(name string) *model.Model {
			if program := programs[name]; program != nil {
				return program.Model
			}
			return nil
		},
		ModuleLocks: func(name string) *locks.Result { return programs[name].Locks },
		Users: func(symbol string) ([]string, error) {
			if mod := programs["module"]; mod != nil && len(mod.Model.Lookup(symbol)) > 0 {
				return []string{"module"}, nil
			}
			return nil, nil
		}}
}

// btfOf reads the types of an object that was compiled with -gbtf, nil for others.
func btfOf(t *testing.T, f *elfobj.File) (*fields.Types, *fields.Tables) {
	t.Helper()
	for i := range f.Sections {
		if s := &f.Sections[i]; s.Name == ".BTF" {
			types, tables, err := fields.Load(s.Data)
			if err != nil {
				t.Fatal(err)
			}
			return types, tables
		}
	}
	return nil, nil
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func directives(t *testing.T, path, key string) []string {
	t.Helper()
	var out []string
	for line := range strings.Lines(string(read(t, filepath.Join(path, "after.c")))) {
		if v, ok := strings.CutPrefix(line, "// "+key+": "); ok {
			out = append(out, strings.TrimSpace(v))
		}
	}
	return out
}

// hunks returns the one range that differs; lines of comments do not count.
func hunks(old, newer []byte) []analyze.Hunk {
	a, b := strings.SplitAfter(string(old), "\n"), strings.SplitAfter(string(newer), "\n")
	skip := 0
	for skip < len(b) && strings.HasPrefix(b[skip], "// ") {
		skip++
	}
	head := 0
	for head < len(a) && head+skip < len(b) && a[head] == b[head+skip] {
		head++
	}
	tail := 0
	for tail < len(a)-head && tail < len(b)-skip-head && a[len(a)-1-tail] == b[len(b)-1-tail] {
		tail++
	}
	if len(a)-head-tail == 0 && len(b)-skip-head-tail == 0 {
		return nil
	}
	return []analyze.Hunk{{OldStart: head + 1, OldLines: len(a) - head - tail, NewStart: skip + head + 1, NewLines: len(b) - skip - head - tail}}
}

// compiled are the cases that Compile has seen.
var compiled sync.Map

// Compile compares the committed objects of one case with what the compiler makes of
// the sources, or writes them, once for each case.
func Compile(t *testing.T, path string) {
	t.Helper()
	if testing.Short() && !*update {
		return
	}
	if _, done := compiled.LoadOrStore(path, true); done {
		return
	}
	version, err := exec.Command(compiler()).Output()
	if err != nil || strings.TrimSpace(string(version)) != compilerVersion {
		t.Logf("the committed objects are not compared: they need compiler %s", compilerVersion)
		return
	}
	orc := len(directives(t, path, "orc")) > 0
	if orc && !*update {
		t.Log("the committed objects are not compared: they hold unwind data that the compiler does not make")
		return
	}
	for _, side := range []string{"before", "after", "kernel", "module"} {
		if _, err := os.Stat(filepath.Join(path, side+".c")); (side == "kernel" || side == "module") && err != nil {
			continue
		}
		out := filepath.Join(t.TempDir(), side+".o")
		cmd := exec.Command(compiler(), append([]string{filepath.Join(path, side+".c"), out}, directives(t, path, "cflags")...)...)
		if orc {
			cmd.Env = append(os.Environ(), "ORC=1")
		}
		if msg, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("compile %s/%s.c: %v\n%s", path, side, err, msg)
		}
		object := filepath.Join(path, side+".o")
		fresh := read(t, out)
		if *update {
			if err := os.WriteFile(object, fresh, 0o644); err != nil {
				t.Fatal(err)
			}
		} else if have, err := os.ReadFile(object); err != nil || !sameObject(have, fresh) {
			t.Errorf("%s is stale: run go test -update (error %v)", object, err)
		}
	}
}

// sameObject reports whether two objects are the same, but for the order of types in .BTF:
// gcc 12 goes by the addresses that its own memory has, so that it differs from run to run, and
// so does how often a name stands there.
func sameObject(a, b []byte) bool {
	if bytes.Equal(a, b) {
		return true
	}
	one, err1 := elfobj.Read(a)
	other, err2 := elfobj.Read(b)
	if err1 != nil || err2 != nil || len(one.Sections) != len(other.Sections) {
		return false
	}
	types := false
	for i := range one.Sections {
		if types = types || one.Sections[i].Name == ".BTF"; one.Sections[i].Name == ".BTF" {
			for _, section := range []*elfobj.Section{&one.Sections[i], &other.Sections[i]} {
				section.Data, section.Size = nil, 0
			}
		}
	}
	return types && cmp.Equal(one.Sections, other.Sections, cmpopts.EquateEmpty()) &&
		cmp.Equal(one.Symbols, other.Symbols, cmpopts.EquateEmpty())
}

// compiler is the script beside this file.
func compiler() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Join(filepath.Dir(file), "compile.sh")
}
