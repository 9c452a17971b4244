package kbuild

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const testModule = `#include <linux/module.h>
#include <linux/livepatch.h>
#include <linux/bug.h>
#include "part.h"

static int hello_init(void)
{
	WARN_ON(!THIS_MODULE);
	pr_info("hello from %s, %d\n", __FILE__, part());
	return klp_enable_patch(NULL);
}
module_init(hello_init);
MODULE_LICENSE("GPL");
MODULE_INFO(livepatch, "Y");
`

const testModulePart = `#include <linux/bug.h>
#include "part.h"

int part(void)
{
	BUG_ON(!hello_elsewhere());
	return 1;
}
`

func writeModule(t *testing.T, dir string) {
	t.Helper()
	files := map[string]string{
		"main.c": testModule,
		"part.c": testModulePart,
		"part.h": "int part(void);\nint hello_elsewhere(void);\n",
		"Kbuild": "obj-m += hello.o\nhello-y := main.o part.o\n",
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func TestRealModule(t *testing.T) {
	tree := e2eTree(t)
	snap := snapshot(t, tree.Dir)
	var ko [2][]byte
	for i, dir := range []string{filepath.Join(t.TempDir(), "a"), filepath.Join(t.TempDir(), "another", "place", "longer")} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		writeModule(t, dir)
		var log bytes.Buffer
		start := time.Now()
		if err := BuildModule(context.Background(), ModuleOptions{Tree: tree, Dir: dir, Log: &log}); err != nil {
			t.Fatal(err)
		}
		t.Logf("module in %v\n%s", time.Since(start), log.String())
		ko[i] = mustRead(t, filepath.Join(dir, "hello.ko"))
		out, err := exec.Command("modinfo", filepath.Join(dir, "hello.ko")).CombinedOutput()
		if err != nil {
			t.Errorf("modinfo: %v\n%s", err, out)
		}
	}
	if !bytes.Equal(ko[0], ko[1]) {
		t.Error("the module depends on the name of its directory")
	}
	if !bytes.Contains(ko[0], []byte("vermagic="+e2eRelease+" ")) {
		t.Error("vermagic is not the target's")
	}
	if diff := cmp.Diff(snap, snapshot(t, tree.Dir)); diff != "" {
		t.Errorf("the prepared tree changed:\n%s", diff)
	}
}

// TestRealOtherCache makes a second tree elsewhere: objects must not depend on
// where the cache is.
func TestRealOtherCache(t *testing.T) {
	if testing.Short() {
		t.Skip("prepares a second tree")
	}
	tree := e2eTree(t)
	opts := e2eOptions(t)
	opts.Source = tree.Dir // as unpacked: built files are left out
	opts.Cache = filepath.Join(t.TempDir(), "elsewhere", "cache")
	other, err := Prepare(context.Background(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("second tree: %v", other.Stages())
	objs := []string{"fs/proc/meminfo.o", "fs/ext4/mballoc.o", "virt/kvm/kvm_main.o", "drivers/net/virtio_net.o"}
	var built [2][]Built
	for i, tr := range []*Tree{tree, other} {
		w, err := tr.Work(context.Background(), WorkOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if built[i], err = w.Before(context.Background(), objs); err != nil {
			t.Fatal(err)
		}
		w.Close()
	}
	for i, obj := range objs {
		a, b := mustRead(t, built[0][i].Path), mustRead(t, built[1][i].Path)
		if !bytes.Equal(a, b) {
			t.Errorf("%s: differs between two caches", obj)
		}
		if strings.Contains(string(b), opts.Cache) || strings.Contains(string(a), tree.cache) {
			t.Errorf("%s: names the cache directory", obj)
		}
	}
}

// TestRealRecipe makes modules by make and by the commands that it left, which must be the
// same module.
func TestRealRecipe(t *testing.T) {
	tree := e2eTree(t)
	recipes := func() []string {
		found, err := filepath.Glob(filepath.Join(tree.base, "module-*.json"))
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	forget := func() {
		for _, name := range recipes() {
			if err := os.Remove(name); err != nil {
				t.Fatal(err)
			}
		}
	}
	build := func(name string, parts ...string) []byte {
		t.Helper()
		dir := filepath.Join(t.TempDir(), "m")
		writePrebuilt(t, dir, name, parts)
		if err := BuildModule(context.Background(), ModuleOptions{Tree: tree, Dir: dir}); err != nil {
			t.Fatal(err)
		}
		return mustRead(t, filepath.Join(dir, name+".ko"))
	}

	// Modules of other names and of fewer and more objects are of the same form.
	others := map[string][]string{"livepatch_other": {"part-1", "part_2"}, "livepatch_first_main2": {"m"}, "livepatch_none": nil}
	forget()
	build("livepatch_first", "fs_one", "fs_two")
	if len(recipes()) != 1 {
		t.Fatalf("%d recipes after the first module", len(recipes()))
	}
	learned := mustRead(t, recipes()[0])
	followed := map[string][]byte{}
	for name, parts := range others {
		followed[name] = build(name, parts...)
	}
	if len(recipes()) != 1 || !bytes.Equal(learned, mustRead(t, recipes()[0])) {
		t.Errorf("%d recipes, or another one: a module was not made by the first one's commands", len(recipes()))
	}
	for name, parts := range others {
		forget()
		if !bytes.Equal(build(name, parts...), followed[name]) {
			t.Errorf("%s: the recipe makes another module than make", name)
		}
	}

	// What the compiler says of a faulty source is make's to tell.
	dir := filepath.Join(t.TempDir(), "m")
	writePrebuilt(t, dir, "b", []string{"x"})
	if err := os.WriteFile(filepath.Join(dir, "b_main.c"), []byte("int wrong(void) { return missing; }\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	err := BuildModule(context.Background(), ModuleOptions{Tree: tree, Dir: dir})
	if err == nil || !strings.Contains(err.Error(), "b_main.c:1:") || !strings.Contains(err.Error(), "missing") {
		t.Errorf("a faulty source: %v", err)
	}
}

// writePrebuilt writes a module of the form that package generate emits.
func writePrebuilt(t *testing.T, dir, name string, parts []string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	kbuild := fmt.Sprintf("# %s\n\nobj-m := %s.o\n%s-y := %s_main.o\n", name, name, name, name)
	rules := "\nccflags-y += -g0 $(call cc-option,-fmacro-prefix-map=$(src)/=)\nquiet_cmd_copy = COPY $@\n" +
		"      cmd_copy = cat $< > $@\n"
	source := strings.ReplaceAll(testModule, "#include \"part.h\"\n", "int part(void);\n")
	for i, part := range parts {
		kbuild += fmt.Sprintf("%s-y += %s.o\t# from somewhere\n", name, part)
		rules += fmt.Sprintf("\n$(obj)/%s.o: $(src)/%s.o_shipped FORCE\n\t$(call if_changed,copy)\n", part, part)
		text := fmt.Sprintf("int part%d(void)\n{\n\treturn %d;\n}\n", i, i)
		if i == 0 {
			text = strings.ReplaceAll(text, "part0", "part")
		}
		compile := exec.Command("gcc", "-O2", "-mcmodel=kernel", "-fno-pic", "-fno-asynchronous-unwind-tables", "-xc", "-c", "-",
			"-o", filepath.Join(dir, part+".o_shipped"))
		compile.Stdin = strings.NewReader(text)
		if out, err := compile.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	for file, text := range map[string]string{"Kbuild": kbuild + rules, name + "_main.c": source} {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
