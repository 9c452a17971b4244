package pipeline_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/klpforge/klpforge/finding"
	"github.com/klpforge/klpforge/pipeline"
)

// Edits of testdata/tiny.
var (
	editClamp  = edit{"kernel/core.c", "seen++;", "seen += 2;"}
	editWeight = edit{"drivers/tiny/handle.c", "handled += v;", "handled += v * 7;"}
	// Locks taken by one function and released by another: the callers of both
	// must not see one old and one new.
	editBegin = edit{"kernel/core.c", "q->len++;", "_raw_spin_lock(&q->lock);\n\tq->len++;"}
	editEnd   = edit{"kernel/core.c", "q->len--;", "q->len--;\n\t_raw_spin_unlock(&q->lock);"}
	// Another layout of what an exported function could reach.
	editQueue = edit{"include/linux/tiny.h", "int limit;", "int limit;\n\tint spare;"}
)

// Which functions are replaced, by which position, and what the module reaches in
// the running kernel.
func TestModules(t *testing.T) {
	k := newTiny(t)
	for _, c := range []struct {
		name      string
		edits     []edit
		functions []string
		symbols   []string
	}{
		{"one function, static data stays", []edit{editClamp},
			[]string{"vmlinux clamp_value 0"}, []string{".klp.sym.vmlinux.core_limit,0", ".klp.sym.vmlinux.seen,0"}},
		{"the first of two namesakes", []edit{{"kernel/twin.c", "v * 3", "v * 9"}},
			[]string{"vmlinux twin 1"}, nil},
		{"the second of two namesakes", []edit{{"lib/twin.c", "v * 5", "v * 9"}},
			[]string{"vmlinux twin 2"}, nil},
		{"a caller of a namesake", []edit{{"lib/twin.c", "twin(v) + 2", "twin(v) + 3"}},
			[]string{"vmlinux lib_twin 0"}, []string{".klp.sym.vmlinux.twin,2"}},
		{"a module's function", []edit{editWeight},
			[]string{"tiny tiny_weight 0"}, []string{".klp.sym.tiny.handled,0"}},
		{"both at once", []edit{editClamp, editWeight},
			[]string{"tiny tiny_weight 0", "vmlinux clamp_value 0"}, []string{".klp.sym.tiny.handled,0", ".klp.sym.vmlinux.core_limit,0", ".klp.sym.vmlinux.seen,0"}},
		{"a new function that another file calls", []edit{
			{"lib/user.c", "core_value(v) * 2", "core_value(v) * 2 + fresh_value(v)"},
			{"lib/user.c", "/* Calls both", "int fresh_value(int v);\n\n/* Calls both"},
			{"lib/twin.c", "int lib_twin(", "noinline int fresh_value(int v)\n{\n\treturn v * 77;\n}\n\nint lib_twin("}},
			[]string{"vmlinux lib_other 0"}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := k.mustBuild(k.patch(c.edits...), nil)
			if d := cmp.Diff(c.functions, b.functions()); d != "" {
				t.Errorf("functions (-want +got)\n%s", d)
			}
			if d := cmp.Diff(c.symbols, b.klpSymbols()); d != "" {
				t.Errorf("symbols (-want +got)\n%s", d)
			}
			if b.manifest.Release != tinyRelease {
				t.Errorf("release %q", b.manifest.Release)
			}
		})
	}
}

// What was shipped is recorded with each function: a loader compares it.
func TestShippedCodeIsRecorded(t *testing.T) {
	k := newTiny(t)
	for _, c := range []struct {
		edit edit
		file string
	}{{editClamp, k.kernel.Image}, {editWeight, filepath.Join(k.kernel.ModulesDir, "kernel/drivers/tiny/tiny.ko")}} {
		b := k.mustBuild(k.patch(c.edit), nil)
		f := b.res.Plan.Objects[0].Funcs[0]
		want := shippedCode(t, c.file, f.Name)
		if f.Shipped.SHA256 != want.sha256 || f.Shipped.Size != want.size || f.Shipped.Addr != want.addr {
			t.Errorf("%s: %+v, want %+v", f.Name, f.Shipped, want)
		}
	}
}

// Callers join, in the same file and in others, where a function leaves other locks
// held than before.
func TestCallersJoin(t *testing.T) {
	k := newTiny(t)
	p := k.patch(editBegin, editEnd)
	b := k.mustBuild(p, nil)
	want := []string{"vmlinux lib_use 0", "vmlinux queue_begin 0", "vmlinux queue_end 0", "vmlinux queue_use 0"}
	if d := cmp.Diff(want, b.functions()); d != "" {
		t.Errorf("functions (-want +got)\n%s", d)
	}
	for _, o := range b.manifest.Objects {
		for _, f := range o.Funcs {
			why := strings.Join(f.Reasons, "\n")
			if joined := strings.HasSuffix(f.Name, "_use"); joined != strings.Contains(why, "KLP201") {
				t.Errorf("%s is replaced because %q", f.Name, why)
			} else if joined && (!strings.Contains(why, "queue_begin") || !strings.Contains(why, "queue_end")) {
				t.Errorf("%s joins because of %q, want both of its callees", f.Name, why)
			}
		}
	}
	if !slices.Contains(b.res.Units, "lib/user.o") {
		t.Errorf("units %q", b.res.Units)
	}

	// Left where they are, they are an error that names both.
	res, err := k.build(p, func(o *pipeline.Options) { o.NoAutoCallers = true })
	if d := cmp.Diff([]string{"KLP201 queue_begin", "KLP201 queue_end"}, slices.Compact(refused(t, res, err))); d != "" {
		t.Errorf("refusal (-want +got)\n%s", d)
	}
	for _, name := range []string{"queue_use", "lib_use"} {
		if !slices.ContainsFunc(res.Findings, func(f finding.Finding) bool {
			return f.ID == "KLP201" && strings.Contains(strings.Join(f.Who, "\n"), name)
		}) {
			t.Errorf("%s is not named: %+v", name, res.Findings)
		}
	}
}

// A function that keeps its locks to itself brings nobody along.
func TestBalancedCallersStay(t *testing.T) {
	k := newTiny(t)
	b := k.mustBuild(k.patch(edit{"kernel/core.c", "q->len++;", "_raw_spin_lock(&q->lock);\n\tq->len++;\n\t_raw_spin_unlock(&q->lock);"}), nil)
	if d := cmp.Diff([]string{"vmlinux queue_begin 0"}, b.functions()); d != "" {
		t.Errorf("functions (-want +got)\n%s", d)
	}
}

// What cannot become a livepatch, and by which id it is refused.
func TestRefusals(t *testing.T) {
	k := newTiny(t)
	for _, c := range []struct {
		name  string
		edits []edit
		want  []string
		says  string
	}{
		{"the version of an exported symbol changes", []edit{editClamp, editQueue}, []string{"KLP106 core_value"}, "core_value"},
		{"no ftrace entry", []edit{{"init/main.c", "v ^ 0x55", "v ^ 0x66"}}, []string{"KLP101 hidden_value"}, "change its traceable callers instead: hidden_user"},
		{"initialised data", []edit{{"kernel/core.c", "core_limit = 10", "core_limit = 20"}}, []string{"KLP103 core_limit"}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			res, err := k.build(k.patch(c.edits...), nil)
			if d := cmp.Diff(c.want, refused(t, res, err)); d != "" {
				t.Errorf("(-want +got)\n%s", d)
			}
			if !strings.Contains(err.Error(), c.says) {
				t.Errorf("%q does not say %q", err, c.says)
			}
		})
	}
}

// An error that was accepted is recorded, in the result and in the module.
func TestAllowed(t *testing.T) {
	k := newTiny(t)
	b := k.mustBuild(k.patch(editClamp, editQueue), func(o *pipeline.Options) { o.Allow = map[finding.ID]string{"KLP106": "nobody else uses it"} })
	if !slices.ContainsFunc(b.res.Problems, func(p finding.Finding) bool {
		return p.ID == "KLP106" && p.Severity == finding.Error && p.Allowed == "nobody else uses it" && p.Unit == "kernel/core.o" && p.Object == "vmlinux"
	}) {
		t.Errorf("problems %+v", b.res.Problems)
	}
	if !b.contains([]byte("nobody else uses it")) {
		t.Error("the module does not say what was accepted")
	}
}

// A version that changes because an #include completes a type is a warning.
func TestIncludeCompletesType(t *testing.T) {
	k := newTiny(t)
	b := k.mustBuild(k.patch(editClamp, edit{"include/linux/more.h", "", "struct more { int x; };\n"},
		edit{"kernel/core.c", "#include <linux/tiny.h>", "#include <linux/tiny.h>\n#include <linux/more.h>"}), nil)
	i := slices.IndexFunc(b.res.Problems, func(p finding.Finding) bool { return p.ID == "KLP106" })
	if i < 0 || b.res.Problems[i].Severity != finding.Warning {
		t.Errorf("problems %+v", b.res.Problems)
	}
}

// The finished module is checked against the target; a module that does not fit is
// not put in place.
func TestVerificationStops(t *testing.T) {
	k := otherTiny(t, nil)
	edit := func(file, old, newer string) {
		text, err := os.ReadFile(filepath.Join(k.source, file))
		if err != nil || !bytes.Contains(text, []byte(old)) {
			t.Fatalf("%s: %v", file, err)
		}
		if err := os.WriteFile(filepath.Join(k.source, file), bytes.Replace(text, []byte(old), []byte(newer), 1), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	p := k.patch(editClamp)
	edit("scripts/modfinal", "6.1.0-tiny SMP", "6.1.0-tiny preempt SMP")
	out := filepath.Join(t.TempDir(), "fix.ko")
	for _, allow := range []map[finding.ID]string{nil, {"KLP206": "another kernel", "KLP109": "x"}} {
		res, err := k.build(p, func(o *pipeline.Options) { o.Output, o.Allow = out, allow })
		ids := refused(t, res, err)
		if len(ids) != 1 || !strings.Contains(err.Error(), "vermagic") {
			t.Errorf("refused for %q: %v", ids, err)
		}
		if _, err := os.Stat(out); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v", out, err)
		}
		if !slices.ContainsFunc(res.Findings, func(f finding.Finding) bool { return strings.Contains(f.Message, "vermagic") }) {
			t.Error("the findings do not say it")
		}
	}
}

// Code that is not what was shipped is refused, for the image and for modules.
func TestShippedCodeIsTheJudge(t *testing.T) {
	k := otherTiny(t, nil)
	for file, change := range map[string][2]string{"kernel/core.c": {"core_limit : v", "core_limit - 1 : v"}, "drivers/tiny/handle.c": {"return handled;", "return handled + 1;"}} {
		text, err := os.ReadFile(filepath.Join(k.source, file))
		if err != nil {
			t.Fatal(err)
		}
		put(t, filepath.Join(k.source, file), strings.Replace(string(text), change[0], change[1], 1))
	}
	for _, c := range []struct {
		edit edit
		want string
	}{{editClamp, "KLP108 clamp_value"}, {editWeight, "KLP108 tiny_weight"}} {
		res, err := k.build(k.patch(c.edit), nil)
		if d := cmp.Diff([]string{c.want}, refused(t, res, err)); d != "" {
			t.Errorf("(-want +got)\n%s", d)
		}
	}
}

// A module's function with a namesake in its initialisation code has a position that
// changes while the module loads.
func TestUnstablePosition(t *testing.T) {
	k := otherTiny(t, func(file, text string) string {
		if file == "drivers/tiny/init.c" {
			return strings.Replace(text, "static int tiny_init(void)\n{",
				"static noinline __attribute__((section(\".init.text\"))) int tiny_weight(int v)\n{\n\treturn v - 3;\n}\n\nstatic __init int tiny_init(void)\n{\n\ttiny_weight(2);", 1)
		}
		return text
	})
	res, err := k.build(k.patch(editWeight), nil)
	ids := refused(t, res, err)
	if !slices.Contains(ids, "KLP107 tiny_weight") || !strings.Contains(err.Error(), "depends on whether the module is still loading") {
		t.Errorf("refused for %q: %v", ids, err)
	}
}

// Patches that change no code, and those that are at fault themselves.
func TestNoLivepatch(t *testing.T) {
	k := newTiny(t)
	broken := filepath.Join(t.TempDir(), "broken.patch")
	put(t, broken, "--- a/kernel/core.c\n+++ b/kernel/core.c\n@@ -1,2 +1,2 @@\n not there\n-at all\n+in the file\n")
	garbage := filepath.Join(t.TempDir(), "garbage.patch")
	put(t, garbage, "--- a/kernel/core.c\n+++ b/kernel/core.c\n@@ -1,9 +1,9 @@\n x\n")
	for _, c := range []struct {
		name, patch string
		nothing     bool
	}{
		{"a comment", k.patch(edit{"kernel/core.c", "/* Calls both, in the same file. */", "/* Calls\n * both.\n */"}), true},
		{"a document", k.patch(edit{"README", "A kernel", "The kernel"}), true},
		{"a file that is not built", k.patch(edit{"kernel/other.c", "", "int other(void) { return 1; }\n"}), true},
		{"a hunk that fits nowhere", broken, false},
		{"a hunk that ends early", garbage, false},
		{"a patch that does not compile", k.patch(edit{"kernel/core.c", "seen++;", "seen +;"}), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			res, err := k.build(c.patch, nil)
			var fault *pipeline.PatchError
			if got := errors.Is(err, pipeline.ErrNothing); got != c.nothing || errors.As(err, &fault) == c.nothing {
				t.Errorf("%v", err)
			}
			if res.Module != "" {
				t.Errorf("a module at %s", res.Module)
			}
		})
	}
}

// The same input gives the same bytes, in whatever directory.
func TestSameBytes(t *testing.T) {
	p := newTiny(t).patch(editClamp, editWeight)
	var first []byte
	for _, k := range []*tiny{newTiny(t), otherTiny(t, nil)} {
		b := k.mustBuild(p, nil)
		text, err := os.ReadFile(b.res.Module)
		if err != nil {
			t.Fatal(err)
		}
		if len(text) != b.res.Bytes {
			t.Errorf("%d bytes, said to be %d", len(text), b.res.Bytes)
		}
		if first == nil {
			first = text
		} else if !bytes.Equal(first, text) {
			t.Error("another directory gives other bytes")
		}
	}
}

// A review compares and judges, but makes nothing.
func TestReview(t *testing.T) {
	k := newTiny(t)
	out := filepath.Join(t.TempDir(), "none.ko")
	res, err := k.build(k.patch(editClamp), func(o *pipeline.Options) { o.DiffOnly, o.Output = true, out })
	if err != nil || res.Module != "" {
		t.Fatalf("%v, module %q", err, res.Module)
	}
	if len(res.Plan.Objects) != 1 || len(res.Plan.Objects[0].Funcs) != 1 {
		t.Errorf("plan %+v", res.Plan.Objects)
	}
	if _, err := os.Stat(out); err == nil {
		t.Error("a module was written")
	}
}

// What else a build leaves: sources, objects, the statement of provenance.
func TestByproducts(t *testing.T) {
	k := newTiny(t)
	dir := t.TempDir()
	var objects = filepath.Join(dir, "objects")
	if err := os.Mkdir(objects, 0o755); err != nil {
		t.Fatal(err)
	}
	emit := filepath.Join(dir, "sources")
	b := k.mustBuild(k.patch(editClamp), func(o *pipeline.Options) {
		o.Emit, o.KeepObjects, o.Provenance, o.Product, o.Version = emit, objects, true, "tinyware", "7"
	})
	if b.manifest.Product != "tinyware" || b.manifest.Version != "7" || b.manifest.Name != "fix" {
		t.Errorf("manifest %+v", b.manifest)
	}
	for _, p := range []string{filepath.Join(emit, "Kbuild"), filepath.Join(emit, "manifest.json"), b.res.Module + pipeline.ProvenanceSuffix,
		filepath.Join(objects, "kernel_core.orig.o"), filepath.Join(objects, "kernel_core.patched.o")} {
		if info, err := os.Stat(p); err != nil || info.Size() == 0 {
			t.Errorf("%s: %v", p, err)
		}
	}
	one, _ := os.ReadFile(filepath.Join(objects, "kernel_core.orig.o"))
	two, _ := os.ReadFile(filepath.Join(objects, "kernel_core.patched.o"))
	if bytes.Equal(one, two) {
		t.Error("before and after are the same object")
	}
	if b.res.Emitted != emit {
		t.Errorf("emitted to %q", b.res.Emitted)
	}
	// Private trees and module directories are gone.
	left, err := filepath.Glob(filepath.Join(string(k.kernel.Cache), "work", "*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %q, %v", left, err)
	}
	if _, err := k.build(k.patch(editClamp), func(o *pipeline.Options) { o.Output = filepath.Join(dir, "none", "fix.ko") }); err == nil || !strings.Contains(err.Error(), "none") {
		t.Errorf("no directory for the module: %v", err)
	}
}

// Goals limit what is patched.
func TestGoals(t *testing.T) {
	k := newTiny(t)
	p := k.patch(editClamp, editWeight)
	for goal, want := range map[string][]string{
		"vmlinux": {"vmlinux clamp_value 0"}, "modules": {"tiny tiny_weight 0"}, "kernel/": {"vmlinux clamp_value 0"}, "drivers/tiny/tiny.ko": {"tiny tiny_weight 0"}} {
		b := k.mustBuild(p, func(o *pipeline.Options) { o.Goals = []string{goal} })
		if d := cmp.Diff(want, b.functions()); d != "" {
			t.Errorf("%s (-want +got)\n%s", goal, d)
		}
	}
}

// Several machines compile shares; the run that follows finds them.
func TestParts(t *testing.T) {
	k := newTiny(t)
	p := k.patch(editClamp, editWeight)
	var units []string
	for n := 1; n <= 2; n++ {
		res, err := k.build(p, func(o *pipeline.Options) { o.Part = pipeline.Part{Number: n, Of: 2} })
		if err != nil || res.Module != "" || len(res.Units) != 1 {
			t.Fatalf("part %d: %v, module %q, units %q", n, err, res.Module, res.Units)
		}
		units = append(units, res.Units...)
	}
	slices.Sort(units)
	if d := cmp.Diff([]string{"drivers/tiny/handle.o", "kernel/core.o"}, units); d != "" {
		t.Errorf("units (-want +got)\n%s", d)
	}
}

// A changed header: only what it changes is compared.
func TestHeader(t *testing.T) {
	k := newTiny(t)
	b := k.mustBuild(k.patch(edit{"include/linux/factor.h", "5", "6"}), nil)
	if d := cmp.Diff([]string{"vmlinux lib_factor 0"}, b.functions()); d != "" {
		t.Errorf("functions (-want +got)\n%s", d)
	}
	if d := cmp.Diff([]string{"lib/user.o"}, b.res.Units); d != "" {
		t.Errorf("units (-want +got)\n%s", d)
	}
}
