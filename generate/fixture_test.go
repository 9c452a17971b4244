package generate_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/klpforge/klpforge/elfobj"
	"github.com/klpforge/klpforge/generate"
	"github.com/klpforge/klpforge/kernel/klpapi"
	"github.com/klpforge/klpforge/plan"
)

func needCompiler(t *testing.T) {
	t.Helper()
	for _, tool := range []string{"gcc", "ld"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("no %s: %v", tool, err)
		}
	}
}

func run(t *testing.T, dir string, argv ...string) string {
	t.Helper()
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(argv, " "), err, out)
	}
	return string(out)
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// cflags compiles against the declarations of one generation.
func cflags(g generation) []string {
	testdata, err := filepath.Abs("../testdata/livepatch")
	if err != nil {
		panic(err)
	}
	ns := 0
	if g.api.ImportNS {
		ns = 1
	}
	if g.api.ImportNSString {
		ns = 2
	}
	return []string{"-std=gnu11", "-Wall", "-Wextra", "-Werror", "-Wno-missing-field-initializers", "-O2",
		"-ffreestanding", "-fno-pic", "-fno-pie", "-mcmodel=kernel", "-fcf-protection=none",
		"-fno-asynchronous-unwind-tables", "-ffile-prefix-map=" + testdata + "=.",
		fmt.Sprintf("-DTEST_IMPORT_NS=%d", ns), "-I" + filepath.Join(testdata, g.name), "-I" + testdata}
}

// made keeps what compiler and linker made, by all that it depends on: many tests use
// the same objects and modules.
var made sync.Map

// keep returns what build makes, which is made once for each key.
func keep(key string, build func() []byte) []byte {
	if data, ok := made.Load(key); ok {
		return bytes.Clone(data.([]byte))
	}
	data := build()
	made.Store(key, bytes.Clone(data))
	return data
}

// compile gives the object of one C text. A symbol written klp__<object>__<name>__<pos>
// becomes .klp.sym.<object>.<name>,<pos>.
func compile(t *testing.T, text string, flags ...string) []byte {
	t.Helper()
	return keep(fmt.Sprintf("%q %q", text, flags), func() []byte {
		dir := t.TempDir()
		write(t, filepath.Join(dir, "unit.c"), text)
		run(t, dir, append(append([]string{"gcc", "-c", "-o", "unit.o", "unit.c"}, cflags(generations()[0])...), flags...)...)
		f, err := elfobj.Read(read(t, filepath.Join(dir, "unit.o")))
		if err != nil {
			t.Fatal(err)
		}
		nameKlpSymbols(f)
		out, err := f.Write()
		if err != nil {
			t.Fatal(err)
		}
		return out
	})
}

// nameKlpSymbols gives symbols that stand for livepatch symbols their names.
func nameKlpSymbols(f *elfobj.File) {
	for i := range f.Symbols {
		s := &f.Symbols[i]
		if parts := strings.Split(s.Name, "__"); len(parts) == 4 && parts[0] == "klp" {
			s.Name = fmt.Sprintf(".klp.sym.%s.%s,%s", parts[1], parts[2], parts[3])
		}
	}
}

const showUnit = `
extern int klp__vmlinux__hidden__0, klp__vmlinux__twin__2;
extern int helper(int);
int new_show(int x);
int new_show(int x)
{
	return helper(x) + klp__vmlinux__hidden__0 + klp__vmlinux__twin__2;
}
`

const ext4Unit = `
extern int klp__ext4__ext4_state__0;
extern int klp__jbd2__jbd2_count__0;
extern int klp__vmlinux__hidden__0;
int new_ext4(void), new_ext4_b(void);
int new_ext4(void) { return klp__ext4__ext4_state__0 + klp__jbd2__jbd2_count__0; }
int new_ext4_b(void) { return klp__ext4__ext4_state__0 - klp__vmlinux__hidden__0; }
int ext4_pre(void *obj);
int ext4_pre(void *obj) { return !obj; }
`

// code is the shipped code of every function in the tests' target.
var code = []byte{0xf3, 0x0f, 0x1e, 0xfa, 0xe8, 1, 2, 3, 4, 0x31, 0xc0, 0xc3}

func shipped(addr uint64) plan.Shipped {
	sum, err := generate.Fingerprint(code, [][2]uint64{{5, 4}})
	if err != nil {
		panic(err)
	}
	return plan.Shipped{Addr: addr, Size: uint64(len(code)), Masks: []plan.Range{{Off: 5, Len: 4}}, SHA256: sum}
}

// fullInput is a livepatch that uses what the generation has. Its objects are
// real when compile is set, else they are empty and Emit refuses them.
func fullInput(t *testing.T, api klpapi.API) generate.Input {
	ext4 := plan.Object{Name: "ext4", Funcs: []plan.Func{
		{Name: "ext4_go", NewSymbol: "new_ext4", Unit: "fs/ext4/go.o", Reasons: []string{"its code changed"}, Shipped: shipped(0x40)},
		{Name: "ext4_stop.isra.0", NewSymbol: "new_ext4_b", Unit: "fs/ext4/go.o", Shipped: shipped(0x80),
			Reasons: []string{"a function inlined into it changed: ext4_help", "comment */ in a reason"}},
	}}
	if api.OldSympos {
		ext4.Funcs[1].Sympos = 2
	}
	vmlinux := plan.Object{Name: plan.Vmlinux, Funcs: []plan.Func{
		{Name: "show", NewSymbol: "new_show", Unit: "fs/proc/show.o", Sympos: 3, Immediate: api.FuncImmediate,
			Reasons: []string{"its code changed"}, Shipped: shipped(0xffffffff81000100)},
	}}
	if api.Callbacks {
		ext4.Callbacks.PrePatch = "ext4_pre"
	}
	p := plan.Plan{
		Name: "klpforge_test", Description: `A "test"`, Version: "1.0", Release: "6.1.0-test",
		Replace: api.Replace, Immediate: api.PatchImmediate, Force: true,
		Objects: []plan.Object{ext4, vmlinux}, Product: "test-series", Vendor: "Example & Co",
		Patches: []plan.Patch{{Name: "0001-fix.patch", Subject: "x: fix a leak", IDs: []string{"CVE-2026-12345"}, Content: "aa"}, {Name: "0002-fix.patch", Content: "bb"}},
		Allowed: []plan.Allowed{{ID: "KLP103", Reason: "set by the callback", From: "0001-fix.patch:3"}},
		Shadows: []plan.Shadow{{ID: 0x6b6c70, Meaning: "length of the list"}},
	}
	if api.States {
		p.States = []plan.State{{ID: 7, Version: 2, Meaning: "quota files are checked"}, {ID: 9, Version: 1}}
	}
	if api.ImportNS {
		p.ImportNS = []string{"TEST_NS"}
	}
	show, ext4u := showUnit, ext4Unit
	if !api.ElfRelocs {
		show, ext4u = strings.ReplaceAll(show, "klp__", "plain_"), strings.ReplaceAll(ext4u, "klp__", "plain_")
	}
	return generate.Input{Plan: p, API: api, Units: []generate.Unit{
		{Name: "fs/ext4/go.o", Object: compile(t, ext4u)},
		{Name: "fs/proc/show.o", Object: compile(t, show)},
	}}
}

// export is one line of the tests' Module.symvers.
type export struct {
	crc        uint32
	module, ns string
}

func testExports() map[string]export {
	return map[string]export{
		"module_layout":        {0x11111111, plan.Vmlinux, ""},
		"klp_enable_patch":     {0x22222222, plan.Vmlinux, ""},
		"klp_register_patch":   {0x33333333, plan.Vmlinux, ""},
		"helper":               {0x44444444, plan.Vmlinux, "TEST_NS"},
		"klp_unregister_patch": {0x55555555, plan.Vmlinux, ""},
		"klp_disable_patch":    {0x66666666, plan.Vmlinux, ""},
		// What the units refer to where livepatch symbols are not to be had.
		"plain_vmlinux__hidden__0":  {0x77777777, plan.Vmlinux, ""},
		"plain_vmlinux__twin__2":    {0x77777777, plan.Vmlinux, ""},
		"plain_ext4__ext4_state__0": {0x77777777, plan.Vmlinux, ""},
		"plain_jbd2__jbd2_count__0": {0x77777777, plan.Vmlinux, ""},
	}
}

// link plays kbuild: it compiles the emitted source, copies the prebuilt
// objects, adds what modpost makes, and links with ld -r.
func link(t *testing.T, dir string, in generate.Input, extra string) []byte {
	t.Helper()
	key := fmt.Sprintf("%+v %q %q", in.API, extra, read(t, filepath.Join(dir, in.Plan.Name+"_main.c")))
	for _, s := range shippedFiles(t, dir) {
		key += fmt.Sprintf(" %s %x", filepath.Base(s), read(t, s))
	}
	ko := keep(key, func() []byte { return relink(t, dir, in, extra) })
	write(t, filepath.Join(dir, in.Plan.Name+".ko"), string(ko))
	return ko
}

// shippedFiles are the prebuilt objects in a directory.
func shippedFiles(t *testing.T, dir string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.o_shipped"))
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// relink is link, whatever was linked before.
func relink(t *testing.T, dir string, in generate.Input, extra string) []byte {
	t.Helper()
	g := generation{}
	for _, h := range generations() {
		if h.api == in.API {
			g = h
		}
	}
	objs := []string{in.Plan.Name + "_main.o", "mod.o"}
	flags := append([]string{"gcc", "-c", "-g"}, cflags(g)...)
	run(t, dir, append(slices.Clone(flags), "-o", objs[0], in.Plan.Name+"_main.c")...)
	write(t, filepath.Join(dir, "mod.c"), modSource(extra))
	run(t, dir, append(slices.Clone(flags), "-o", "mod.o", "mod.c")...)
	for _, s := range shippedFiles(t, dir) {
		o := strings.TrimSuffix(s, "_shipped")
		write(t, o, string(read(t, s)))
		objs = append(objs, o)
	}
	ko := in.Plan.Name + ".ko"
	run(t, dir, append([]string{"ld", "-r", "--build-id=sha1", "-o", ko}, objs...)...)
	return read(t, filepath.Join(dir, ko))
}

func modSource(extra string) string {
	var b bytes.Buffer
	b.WriteString(`
#include <linux/module.h>
int init_module(void);
void cleanup_module(void);
struct module __this_module __attribute__((section(".gnu.linkonce.this_module"))) = {
	.name = "klpforge_test", .init = init_module, .exit = cleanup_module,
};
MODULE_INFO(vermagic, "6.1.0-test SMP modversions ");
struct version { unsigned long crc; char name[56]; };
static const struct version versions[] __attribute__((used, section("__versions"))) = {
`)
	exports := testExports()
	names := make([]string, 0, len(exports))
	for n := range exports {
		names = append(names, n)
	}
	slices.Sort(names)
	for _, n := range names {
		fmt.Fprintf(&b, "\t{ %#x, %q },\n", exports[n].crc, n)
	}
	b.WriteString("};\n")
	if !strings.Contains(extra, "depends") {
		b.WriteString("MODULE_INFO(depends, \"\");\n")
	}
	b.WriteString(extra)
	return b.String()
}
