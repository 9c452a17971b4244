package pipeline_test

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/klpforge/klpforge/finding"
	"github.com/klpforge/klpforge/pipeline"
	"github.com/klpforge/klpforge/plan"
)

// problemIDs lists problems as "ID severity symbol", sorted.
func problemIDs(res *pipeline.Result) []string {
	var out []string
	for _, p := range res.Problems {
		out = append(out, string(p.ID)+" "+p.Severity.String()+" "+p.Symbol)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func noted(res *pipeline.Result, text string) bool {
	return slices.ContainsFunc(res.Notes, func(n finding.Remark) bool { return strings.Contains(n.Text, text) })
}

// omitted reports whether a note says that something was left out, by its kind.
func omitted(res *pipeline.Result, text string) bool {
	return slices.ContainsFunc(res.Notes, func(n finding.Remark) bool {
		return n.Kind == finding.RemarkLeftOut && strings.Contains(n.Text, text)
	})
}

// A new source file that a patched makefile builds becomes part of the livepatch,
// for what refers to it.
func TestNewSource(t *testing.T) {
	k := newTiny(t)
	b := k.mustBuild(k.patch(
		edit{"lib/fresh.c", "", "#include <linux/tiny.h>\n\nnoinline int fresh_value(int v)\n{\n\treturn v * 1234567 + core_value(v);\n}\n"},
		edit{"lib/Makefile", "twin.o", "twin.o fresh.o"},
		edit{"lib/user.c", "core_value(v) * 2", "core_value(v) * 2 + fresh_value(v)"},
		edit{"lib/user.c", "/* Calls both", "int fresh_value(int v);\n\n/* Calls both"}), nil)
	if d := cmp.Diff([]string{"vmlinux lib_other 0"}, b.functions()); d != "" {
		t.Errorf("functions (-want +got)\n%s", d)
	}
	if !slices.Contains(b.res.NewFuncs, "fresh_value") || !slices.Contains(b.res.Units, "lib/fresh.o") {
		t.Errorf("new functions %q of %q", b.res.NewFuncs, b.res.Units)
	}
	if !slices.Contains(problemIDs(b.res), "KLP109 warning lib/Makefile") {
		t.Errorf("problems %q: the makefile is not named", problemIDs(b.res))
	}

	// Without the makefile nothing builds it.
	res, err := k.build(k.patch(edit{"lib/fresh.c", "", "int fresh_value(int v)\n{\n\treturn v;\n}\n"}), nil)
	if !errors.Is(err, pipeline.ErrNothing) || !omitted(res, "lib/fresh.c: no makefile of the patched tree builds it") {
		t.Errorf("%v, notes %q", err, res.Notes)
	}
}

// What of a patch no livepatch can carry is named, each with its reason.
func TestLeftOut(t *testing.T) {
	k := newTiny(t)
	b := k.mustBuild(k.patch(editClamp,
		edit{"README", "A kernel", "The kernel"},
		edit{"include/linux/unused.h", "", "#define UNUSED 1\n"},
		edit{"lib/unbuilt.S", "", "nop\n"}), nil)
	if d := cmp.Diff([]string{"vmlinux clamp_value 0"}, b.functions()); d != "" {
		t.Errorf("functions (-want +got)\n%s", d)
	}
	for _, name := range []string{"README", "include/linux/unused.h", "lib/unbuilt.S"} {
		if !omitted(b.res, name+":") {
			t.Errorf("%s is not among the notes %q", name, b.res.Notes)
		}
	}
}

// A weak function that the target has from elsewhere is left out, with a note.
func TestWeakFunction(t *testing.T) {
	k := otherTiny(t, func(file, text string) string {
		switch file {
		case "kernel/twin.c":
			return text + "\n__attribute__((weak)) noinline int chosen(int v)\n{\n\treturn v + 1;\n}\n"
		case "lib/twin.c":
			return text + "\nnoinline int chosen(int v)\n{\n\treturn v * 222 + 7;\n}\n"
		}
		return text
	})
	b := k.mustBuild(k.patch(edit{"kernel/twin.c", "twin(v) + 1", "twin(v) + 9"}, edit{"kernel/twin.c", "return v + 1", "return v + 3"}), nil)
	if d := cmp.Diff([]string{"vmlinux kernel_twin 0"}, b.functions()); d != "" {
		t.Errorf("functions (-want +got)\n%s", d)
	}
	if !slices.Contains(problemIDs(b.res), "KLP107 note chosen") {
		t.Errorf("problems %q", problemIDs(b.res))
	}
}

// Callbacks of patched sources are the module's, and those that a release promises.
func TestCallbacks(t *testing.T) {
	k := newTiny(t)
	text := "\nint core_pre(struct klp_object *obj)\n{\n\treturn core_limit;\n}\nKLP_PRE_PATCH_CALLBACK(core_pre);\nvoid core_post(struct klp_object *obj)\n{\n\tseen = 0;\n}\nKLP_POST_UNPATCH_CALLBACK(core_post);\n"
	with := func(file, text string) edit {
		return edit{file, "#include <linux/tiny.h>", "#include <linux/tiny.h>\n#include <linux/livepatch_helpers.h>\n" + text}
	}
	at := edit{"kernel/core.c", "/* Calls both, in the same file. */", text + "\n/* Calls both. */"}
	p := k.patch(editClamp, with("kernel/core.c", ""), at)
	b := k.mustBuild(p, func(o *pipeline.Options) {
		o.Callbacks = map[string][]string{"vmlinux": {"post_unpatch", "pre_patch"}}
		o.States = []plan.State{{ID: 7, Version: 2}}
	})
	cb := b.res.Plan.Objects[0].Callbacks
	if !strings.Contains(cb.PrePatch, "core_pre") || !strings.Contains(cb.PostUnpatch, "core_post") || cb.PostPatch != "" || cb.PreUnpatch != "" {
		t.Errorf("callbacks %+v", cb)
	}
	if m := b.manifest; m.Object("vmlinux").Callbacks == nil || len(m.States) != 1 || m.States[0].ID != 7 {
		t.Errorf("manifest %+v", m)
	}
	for _, promised := range []map[string][]string{{}, {"vmlinux": {"pre_patch"}}, {"vmlinux": {"pre_patch", "post_unpatch"}, "tiny": {"pre_patch"}}} {
		res, err := k.build(p, func(o *pipeline.Options) { o.Callbacks = promised })
		want := "KLP407 vmlinux"
		if len(promised) == 2 {
			want = "KLP407 tiny"
		}
		if d := cmp.Diff([]string{want}, refused(t, res, err)); d != "" {
			t.Errorf("promised %v (-want +got)\n%s", promised, d)
		}
	}

	// Of two of a kind for one object the kernel would call one.
	second := strings.NewReplacer("core_limit", "0", "core_", "user_", "seen = 0;", "").Replace(text)
	res, err := k.build(k.patch(editClamp, with("kernel/core.c", ""), at, with("lib/user.c", second)), nil)
	if ids := refused(t, res, err); len(ids) != 2 || !strings.HasPrefix(ids[0], "KLP118 ") {
		t.Errorf("refused for %q", ids)
	}
}

// Shadow variables: the ids that the code uses are recorded; those that are not seen
// are a warning.
func TestShadows(t *testing.T) {
	k := otherTiny(t, func(file, text string) string {
		switch file {
		case "include/linux/tiny.h":
			return strings.Replace(text, "int core_value(int v);", "int core_value(int v);\nvoid *klp_shadow_get(void *obj, unsigned long id);\nvoid klp_shadow_free_all(unsigned long id, void *dtor);", 1)
		case "init/main.c":
			return text + "\nvoid *klp_shadow_get(void *obj, unsigned long id)\n{\n\treturn id ? obj : 0;\n}\n\nvoid klp_shadow_free_all(unsigned long id, void *dtor)\n{\n}\n"
		}
		return text
	})
	symvers, err := os.ReadFile(k.kernel.Symvers)
	if err != nil {
		t.Fatal(err)
	}
	put(t, k.kernel.Symvers, string(symvers)+"0x00000004\tklp_shadow_get\tvmlinux\tEXPORT_SYMBOL_GPL\t\n0x00000005\tklp_shadow_free_all\tvmlinux\tEXPORT_SYMBOL_GPL\t\n")
	known := k.patch(edit{"kernel/core.c", "q->len++;", "q->len++;\n\tif (klp_shadow_get(q, 0x4711))\n\t\tq->len++;\n\tklp_shadow_free_all(0x815, 0);"})
	for _, declared := range [][]plan.Shadow{nil, {{ID: 0x4711}}, {{ID: 0x4711}, {ID: 0x815}}} {
		b := k.mustBuild(known, func(o *pipeline.Options) { o.Shadows = declared })
		var ids []uint64
		for _, s := range b.manifest.Shadows {
			ids = append(ids, uint64(s.ID))
		}
		slices.Sort(ids)
		if d := cmp.Diff([]uint64{0x815, 0x4711}, ids); d != "" {
			t.Errorf("ids (-want +got)\n%s", d)
		}
		if got, want := noted(b.res, "0x815"), len(declared) < 2; got != want {
			t.Errorf("declared %v: notes %q", declared, b.res.Notes)
		}
	}
	b := k.mustBuild(k.patch(edit{"kernel/core.c", "q->len++;", "q->len++;\n\tif (klp_shadow_get(q, q->limit))\n\t\tq->len++;"}), nil)
	if d := cmp.Diff([]string{"KLP127 note ", "KLP404 warning klp_shadow_get"}, problemIDs(b.res)); d != "" {
		t.Errorf("problems (-want +got)\n%s", d)
	}
}

// Patches from a git range are built and named.
func TestGitRange(t *testing.T) {
	k := newTiny(t)
	dir := t.TempDir()
	git := func(args ...string) {
		t.Helper()
		cmd := exec.Command("git", append([]string{"-c", "user.name=T", "-c", "user.email=t@example.com", "-C", dir}, args...)...)
		cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("git %q: %v\n%s", args, err, out)
		}
	}
	if err := copyTree(k.source, dir); err != nil {
		t.Fatal(err)
	}
	git("init", "-q")
	git("add", ".")
	git("commit", "-qm", "tiny")
	text, err := os.ReadFile(filepath.Join(dir, editClamp.file))
	if err != nil {
		t.Fatal(err)
	}
	put(t, filepath.Join(dir, editClamp.file), strings.Replace(string(text), editClamp.old, editClamp.new, 1))
	git("commit", "-qam", "core: count twice")
	b := k.mustBuild("", func(o *pipeline.Options) { o.Patches, o.GitDir, o.GitRange = nil, dir, "HEAD~1..HEAD" })
	if d := cmp.Diff([]string{"vmlinux clamp_value 0"}, b.functions()); d != "" {
		t.Errorf("functions (-want +got)\n%s", d)
	}
	if len(b.manifest.Patches) != 1 || b.manifest.Patches[0].Subject != "core: count twice" {
		t.Errorf("patches %+v", b.manifest.Patches)
	}
}

// The statement of provenance names the module's bytes and what they were made of.
func TestProvenanceNamesInputs(t *testing.T) {
	k := newTiny(t)
	p := k.patch(editClamp)
	b := k.mustBuild(p, func(o *pipeline.Options) { o.Provenance, o.Builder = true, "9.9" })
	text, err := os.ReadFile(b.res.Module + pipeline.ProvenanceSuffix)
	if err != nil {
		t.Fatal(err)
	}
	var s struct {
		Subject   []struct{ Digest map[string]string }
		Predicate struct {
			BuildDefinition struct {
				ResolvedDependencies []struct {
					Name   string
					Digest map[string]string
				}
			}
		}
	}
	if err := json.Unmarshal(text, &s); err != nil {
		t.Fatal(err)
	}
	sum, err := exec.Command("sha256sum", b.res.Module).Output()
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Subject) == 0 || s.Subject[0].Digest["sha256"] != strings.Fields(string(sum))[0] {
		t.Errorf("subject %+v, module %s", s.Subject, sum)
	}
	patch, err := exec.Command("sha256sum", p).Output()
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), strings.Fields(string(patch))[0]) {
		t.Errorf("the patch %s is not among %+v", patch, s.Predicate.BuildDefinition.ResolvedDependencies)
	}
	if !strings.Contains(string(text), "9.9") {
		t.Error("the version of the program is missing")
	}
}

// Without a name the module has that of its patch; a name is made one of C.
func TestNames(t *testing.T) {
	k := newTiny(t)
	t.Chdir(t.TempDir())
	p := k.patch(editClamp)
	for _, c := range []struct {
		name, output string
		want, file   string
	}{{"", "", "livepatch_fix", "livepatch_fix.ko"}, {"my-own_fix", "", "my_own_fix", "my_own_fix.ko"}, {"", "some-file.ko", "some_file", "some-file.ko"}} {
		b := k.mustBuild(p, func(o *pipeline.Options) { o.Name, o.Output = c.name, c.output })
		if b.manifest.Name != c.want || b.res.Module != c.file {
			t.Errorf("%+v: module %s in %s", c, b.manifest.Name, b.res.Module)
		}
		if _, err := os.Stat(c.file); err != nil {
			t.Error(err)
		}
	}
}

// Replacing is the default; what the interface lacks is said.
func TestInterface(t *testing.T) {
	k := newTiny(t)
	p := k.patch(editClamp)
	if b := k.mustBuild(p, nil); !b.manifest.Replace {
		t.Error("the livepatch does not replace others")
	}
	if b := k.mustBuild(p, func(o *pipeline.Options) { o.NoReplace = true }); b.manifest.Replace {
		t.Error("the livepatch replaces others")
	}
	b := k.mustBuild(p, func(o *pipeline.Options) { o.Immediate = true })
	if !noted(b.res, "interface has no such flag") || !noted(b.res, "not proven to be safe") {
		t.Errorf("notes %q", b.res.Notes)
	}
	if _, err := k.build(p, func(o *pipeline.Options) { o.API = "2.0" }); err == nil || !strings.Contains(err.Error(), "2.0") {
		t.Errorf("an interface that never was: %v", err)
	}
}

// Problems come worst first, once each.
func TestOrderOfProblems(t *testing.T) {
	k := newTiny(t)
	res, err := k.build(k.patch(editClamp, editQueue, edit{"kernel/core.c", "core_limit = 10", "core_limit = 20"}, edit{"lib/Makefile", "twin.o", "twin.o "}), nil)
	if err == nil {
		t.Fatal("no refusal")
	}
	last := finding.Error
	for i, p := range res.Problems {
		if p.Severity > last {
			t.Errorf("%s after a %s", p.Line(), last)
		}
		last = p.Severity
		for _, other := range res.Problems[:i] {
			if finding.Same(p, other) {
				t.Errorf("twice: %s", p.Line())
			}
		}
	}
	if ids := refused(t, res, err); len(ids) < 2 {
		t.Errorf("refused for %q", ids)
	}
}
