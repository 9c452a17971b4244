package kbuild

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestScanIncludes(t *testing.T) {
	text := `
#include <linux/a.h>
  #  include "b.h" // comment
#include_next <next.h>
	#include MACRO
#define MACRO <linux/from_macro.h>
#define PATH "../c.h"
#define NAME "not a file"
#define TWO <a> <b>
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE my_trace
#include "unclosed
#include <>
#include
"include" #include <no.h>
#includes <no2.h>
#if 0
#include <disabled.h>
#endif
#include "last.h"`
	want := []include{
		{"linux/a.h", false}, {"b.h", true}, {"next.h", false}, {"linux/from_macro.h", false},
		{"../c.h", true}, {"my_trace.h", true}, {"disabled.h", false}, {"last.h", true},
	}
	if diff := cmp.Diff(want, scanIncludes([]byte(text)), cmp.AllowUnexported(include{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func FuzzScanIncludes(f *testing.F) {
	f.Add([]byte("#include <a.h>\n#define X \"y.h\"\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, inc := range scanIncludes(data) {
			if inc.name == "" {
				t.Error("empty name")
			}
		}
	})
}

func TestResolveInclude(t *testing.T) {
	r := newIncludeResolver([]string{
		"arch/x86/include/asm/io.h", "arch/arm/include/asm/io.h", "arch/arm/lib/only.h",
		"include/asm-generic/io.h", "include/linux/fs.h", "include/uapi/linux/fs.h", "tools/include/linux/fs.h",
		"tools/lib/only.h", "drivers/a/reg.h", "drivers/b/reg.h", "drivers/b/sub/reg.h", "fs/x/local.h", "fs/local.h",
		"include/linux/string.h", "scripts/include/list.h", "include/linux/list.h", "certs/own.h",
	}, "x86")
	r.host = map[string]hostFlags{"certs/program.c": hostDirectory, "certs/plain.c": hostPlain}
	tests := []struct {
		from, name string
		quoted     bool
		want       []string
	}{
		{"fs/x/a.c", "linux/fs.h", false, []string{"include/linux/fs.h", "include/uapi/linux/fs.h"}},
		{"fs/x/a.c", "asm/io.h", false, []string{"arch/x86/include/asm/io.h"}},
		{"fs/x/a.c", "local.h", true, []string{"fs/x/local.h"}},
		{"fs/x/a.c", "../local.h", true, []string{"fs/local.h"}},
		{"fs/y/a.c", "local.h", true, []string{"fs/x/local.h", "fs/local.h"}},
		{"drivers/c/a.c", "reg.h", true, []string{"drivers/a/reg.h", "drivers/b/reg.h", "drivers/b/sub/reg.h"}},
		{"drivers/c/a.c", "b/reg.h", false, []string{"drivers/b/reg.h"}},
		{"drivers/c/a.c", "../../b/reg.h", true, []string{"drivers/b/reg.h"}},
		{"drivers/c/a.c", "only.h", true, nil},
		{"tools/lib/x.c", "only.h", false, []string{"tools/lib/only.h"}},
		{"fs/x/a.c", "absent.h", true, nil},
		{"fs/x/a.c", "string.h", false, []string{"include/linux/string.h"}},
		{"certs/program.c", "string.h", false, nil},
		{"certs/program.c", "list.h", false, []string{"scripts/include/list.h"}},
		{"certs/program.c", "linux/string.h", false, []string{"include/linux/string.h"}},
		{"certs/program.c", "own.h", true, []string{"certs/own.h"}},
		{"certs/plain.c", "linux/string.h", false, nil},
		{"certs/plain.c", "list.h", false, []string{"scripts/include/list.h"}},
		{"certs/plain.c", "own.h", true, []string{"certs/own.h"}},
	}
	for _, test := range tests {
		got := r.resolve(test.from, include{test.name, test.quoted})
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s in %s (-want +got):\n%s", test.name, test.from, diff)
		}
	}
}

func TestScanTree(t *testing.T) {
	dir := t.TempDir()
	files := map[string]string{
		"fs/a.c":                    "#include <linux/one.h>\n#include <c.h>\n",
		"fs/c.h":                    "",
		"fs/host.c":                 "#include <one.h>\n",
		"fs/b.c":                    "#include \"b.h\"\n#include \"absent/new.h\"\n",
		"fs/b.h":                    "#include <linux/two.h>\n#include \"b.h\"\n",
		"include/linux/one.h":       "",
		"include/linux/two.h":       "#include <linux/one.h>\n",
		"include/linux/kconfig.h":   "",
		"include/linux/unrelated.h": "",
	}
	var names []string
	for name, text := range files {
		names = append(names, name)
		if err := os.MkdirAll(filepath.Join(dir, filepath.Dir(name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	roots := []rootSource{{object: "fs/a.o", source: "fs/a.c"}, {object: "fs/b.o", source: "fs/b.c"},
		{object: "fs/host.o", source: "fs/host.c", special: true, host: hostPlain}}
	g, err := scanTree(context.Background(), dir, "x86", names, roots, 2)
	if err != nil {
		t.Fatal(err)
	}
	g.link()
	for changed, want := range map[string][]string{
		"fs/a.c":                  {"fs/a.o"},
		"fs/b.h":                  {"fs/b.o"},
		"include/linux/one.h":     {"fs/a.o", "fs/b.o"},
		"include/linux/two.h":     {"fs/b.o"},
		"include/linux/kconfig.h": {"fs/a.o", "fs/b.o"},
		"drivers/absent/new.h":    {"fs/b.o"}, // could come to be what fs/b.c means
		"drivers/new.h":           nil,
		"include/linux/b.h":       nil, // fs/b.c has one beside it
		"fs/other/b.h":            nil,
		"include/c.h":             {"fs/a.o"}, // <c.h> is not looked for beside the includer first
	} {
		deps := g.dependents([]string{changed})
		var got []string
		for _, r := range g.Roots {
			if deps[r.File] {
				got = append(got, r.Object)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", changed, diff)
		}
	}
	if !g.reaches([]string{"include/linux/one.h"}, "fs/b.c") || g.reaches([]string{"include/linux/two.h"}, "fs/a.c") {
		t.Error("reaches disagrees")
	}
}

func TestAffected(t *testing.T) {
	ctx := context.Background()
	tree := mustPrepare(t, fakeOptions(t))
	tests := []struct {
		file  string
		class Class
		want  []string
	}{
		{"init/main.c", ClassSource, []string{"init/main.o"}},
		{"fs/demo/demo.h", ClassInclude, []string{"fs/demo/inode.o"}},
		{"fs/demo/impl.c", ClassInclude, []string{"fs/demo/super.o"}},
		{"fs/demo/acl.c", ClassSource, nil},
		{"drivers/demo/lost.c", ClassSource, nil},
		{"include/linux/value.h", ClassInclude, []string{"drivers/demo/a.o", "drivers/demo/c.o", "drivers/demo/shared.o", "drivers/demo/sub/b.o", "fs/demo/inode.o", "fs/demo/super.o", "init/main.o", "kernel/core.o", "lib/str.o", "lib/table.o"}},
		{"fs/demo/fresh.c", ClassNewSource, nil},
		{"fs/demo/Makefile", ClassBuild, nil},
		{"fs/Kconfig.debug", ClassBuild, nil},
		{"Documentation/x.rst", ClassDoc, nil},
		{"MAINTAINERS", ClassDoc, nil},
		{"arch/arm/boot/dts/x.dts", ClassOther, nil},
		{"arch/x86/entry/new.S", ClassAssembly, nil},
		{"tools/perf/x.c", ClassTool, nil},
		{"scripts/x.pl", ClassTool, nil},
		{"lib/gen.pl", ClassOther, nil},
		{"fs/blob.bin", ClassOther, nil},
	}
	for _, test := range tests {
		a, err := tree.Affected(ctx, []string{test.file})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, o := range a.Objects {
			got = append(got, o.Object)
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.file, diff)
		}
		if a.Files[0].Class != test.class {
			t.Errorf("%s: class %s, want %s", test.file, a.Files[0].Class, test.class)
		}
	}
	a, err := tree.Affected(ctx, []string{"fs/demo/demo.h", "fs/demo/inode.c", "drivers/demo/lost.c"})
	if err != nil {
		t.Fatal(err)
	}
	want := []AffectedObject{{
		Object: "fs/demo/inode.o", Source: "fs/demo/inode.c", Owner: Owner{Kind: KindVmlinux},
		Because: []string{"fs/demo/demo.h", "fs/demo/inode.c"},
	}}
	if diff := cmp.Diff(want, a.Objects); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if len(a.Special) != 1 || a.Special[0].Object != "drivers/demo/lost.o" || a.Special[0].Owner.Kind != KindSpecial {
		t.Errorf("special: %+v", a.Special)
	}
	if _, err := tree.Affected(ctx, []string{"../x.c"}); err == nil {
		t.Error("no error for a path outside")
	}
}

// TestFlagsOfHost covers makefiles that give host programs directories to look in.
func TestFlagsOfHost(t *testing.T) {
	for text, want := range map[string]hostFlags{
		"hostprogs += a\nccflags-y := -I$(src)\n":                    hostPlain,
		"# HOSTCFLAGS_a.o := -Ix\n":                                  hostPlain,
		"HOSTCFLAGS_a.o := -Wall -I$(srctree)/include\n":             hostDirectory,
		"HOSTCFLAGS_a.o := -Wall \\\n\t-I$(srctree)/include\n":       hostDirectory,
		"KBUILD_HOSTCFLAGS += -I $(srctree)/tools/include\n":         hostDirectory,
		"include $(srctree)/scripts/Makefile.more\nhostprogs := a\n": hostDirectory,
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "Makefile"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if got := flagsOfHost(dir, "a.c"); got != want {
			t.Errorf("%q: %d, want %d", text, got, want)
		}
	}
	if got := flagsOfHost(t.TempDir(), "a.c"); got != hostDirectory {
		t.Errorf("no makefile: %d", got)
	}
}
