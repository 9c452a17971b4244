package generate_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/klpforge/klpforge/elfobj"
	"github.com/klpforge/klpforge/finding"
	"github.com/klpforge/klpforge/generate"
	"github.com/klpforge/klpforge/internal/vm"
	"github.com/klpforge/klpforge/internal/vm/guest"
	"github.com/klpforge/klpforge/kernel"
	"github.com/klpforge/klpforge/kernel/cachedir"
	"github.com/klpforge/klpforge/kernel/klpapi"
	"github.com/klpforge/klpforge/module/note"
	"github.com/klpforge/klpforge/plan"
)

// These tests build against a real kernel's prepared tree and boot that kernel.
// KLPFORGE_E2E_CACHE names the cache with trees/* and targets/*; with
// KLPFORGE_E2E=1 what is missing is a failure.

// realReleases are kernels that differ in how objtool is used: the first runs
// it on each object, the second (CONFIG_X86_KERNEL_IBT) on linked modules.
var realReleases = []string{"6.1.0-55-cloud-amd64", "6.12.117+deb12-cloud-amd64"}

// realKernel is a kernel to build for and to boot.
type realKernel struct {
	release string
	tree    string // prepared for external modules
	root    string // unpacked packages
	target  kernelTarget
}

// onRealKernels runs test for each release.
func onRealKernels(t *testing.T, test func(*testing.T, realKernel)) {
	for _, release := range realReleases {
		t.Run(release, func(t *testing.T) { test(t, openReal(t, release)) })
	}
}

func openReal(t *testing.T, release string) realKernel {
	t.Helper()
	k := realKernel{release: release}
	missing := func(format string, args ...any) {
		if os.Getenv("KLPFORGE_E2E") == "1" {
			t.Fatalf(format, args...)
		}
		t.Skipf(format, args...)
	}
	cache := os.Getenv("KLPFORGE_E2E_CACHE")
	if cache == "" {
		missing("KLPFORGE_E2E_CACHE is not set: no prepared kernel tree")
	}
	for _, pattern := range []string{"trees/*/linux/Module.symvers", "trees/*/Module.symvers"} {
		found, _ := filepath.Glob(filepath.Join(cache, pattern))
		for _, f := range found {
			uts, err := os.ReadFile(filepath.Join(filepath.Dir(f), "include/generated/utsrelease.h"))
			if err == nil && strings.Contains(string(uts), `"`+release+`"`) {
				k.tree = filepath.Dir(f)
			}
		}
	}
	if k.tree == "" {
		missing("no prepared tree of %s under %s/trees", release, cache)
	}
	k.root = filepath.Join(cache, "targets", release, "root")
	target, err := kernel.Open(kernel.Options{Release: release, Root: k.root,
		Cache: cachedir.Dir(t.TempDir()), Symvers: filepath.Join(k.tree, "Module.symvers")})
	if err != nil {
		missing("no target: %v", err)
	}
	t.Cleanup(func() {
		if err := target.Close(); err != nil {
			t.Error(err)
		}
	})
	k.target = kernelTarget{Target: target}
	return k
}

// realAPI is the interface of Linux 6.1 and 6.12.
func realAPI() klpapi.API { return apiOf("5.8") }

// kbuildUnit compiles one C text as kbuild does for a module, gives symbols
// their livepatch names as compile does, and returns the object.
func kbuildUnit(t *testing.T, tree, text string) []byte {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "unit.c"), text)
	write(t, filepath.Join(dir, "Kbuild"), "obj-m := unit.o\nccflags-y += -g0\n")
	run(t, dir, "make", "-C", tree, "M="+dir, "CC=gcc-12", "unit.o")
	f := parse(t, read(t, filepath.Join(dir, "unit.o")))
	nameKlpSymbols(f)
	out, err := f.Write()
	if err != nil {
		t.Fatal(err)
	}
	return out
}

const cmdlineUnit = `
#include <linux/seq_file.h>
extern char *klp__vmlinux__saved_command_line__0;
int klp_cmdline_proc_show(struct seq_file *m, void *v);
int klp_cmdline_proc_show(struct seq_file *m, void *v)
{
	seq_puts(m, "klpforge: ");
	seq_puts(m, klp__vmlinux__saved_command_line__0);
	seq_putc(m, '\n');
	return 0;
}
`

// cmdlineInput is a livepatch of cmdline_proc_show that reads a variable which
// the kernel does not export.
func cmdlineInput(t *testing.T, k realKernel) generate.Input {
	return generate.Input{
		Plan: plan.Plan{
			Name: "klpforge_cmdline", Description: "Shows that /proc/cmdline can be replaced", Version: "1.2",
			Release: k.release,
			Objects: []plan.Object{{Name: plan.Vmlinux, Funcs: []plan.Func{{
				Name: "cmdline_proc_show", NewSymbol: "klp_cmdline_proc_show", Unit: "fs/proc/cmdline.o",
				Reasons: []string{"its code changed"}, Shipped: realShipped(t, k.target, plan.Vmlinux, "cmdline_proc_show"),
			}}}},
		},
		API:   realAPI(),
		Units: []generate.Unit{{Name: "fs/proc/cmdline.o", Object: kbuildUnit(t, k.tree, cmdlineUnit)}},
	}
}

// realShipped fingerprints the shipped function itself, without masks.
func realShipped(t *testing.T, target kernelTarget, object, name string) plan.Shipped {
	t.Helper()
	syms, err := target.Symbols(object, name)
	if err != nil || len(syms) != 1 {
		t.Fatalf("%s in %s: %v, %v", name, object, syms, err)
	}
	size := syms[0].Size
	if size == 0 {
		table, err := target.Target.Symbols()
		if err != nil {
			t.Fatal(err)
		}
		next, _ := table.Next(syms[0].Addr)
		size = next - syms[0].Addr
	}
	b, err := target.Code(object, syms[0], size)
	if err != nil {
		t.Fatal(err)
	}
	sum, err := generate.Fingerprint(b, nil)
	if err != nil {
		t.Fatal(err)
	}
	return plan.Shipped{Addr: syms[0].Addr, Size: size, SHA256: sum}
}

// realModule emits, links with the kernel's kbuild, and finishes.
func realModule(t *testing.T, tree string, in generate.Input) (path string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "module")
	m, err := generate.Emit(dir, in)
	if err != nil {
		t.Fatal(err)
	}
	out := run(t, dir, "make", "KDIR="+tree, "CC=gcc-12", "KLPFORGE=true")
	if strings.Contains(out, "objtool") {
		t.Errorf("objtool has something to say:\n%s", out)
	}
	// The compiled object must go through objtool on every kernel.
	section(t, parse(t, read(t, filepath.Join(dir, in.Plan.Name+"_main.o"))), ".orc_unwind")
	path = filepath.Join(dir, in.Plan.Name+".ko")
	if err := generate.PostLinkFile(path); err != nil {
		t.Fatal(err)
	}
	ko := read(t, path)
	again, err := generate.PostLink(ko, m)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(ko, again) {
		t.Error("a second PostLink changes the module")
	}
	return path
}

func klpTables(f *elfobj.File) []string {
	var names []string
	for _, s := range f.Sections {
		for _, k := range s.KlpRelocs {
			names = append(names, k.Name)
		}
	}
	return names
}

func verifyReal(t *testing.T, path string, target generate.VerifyTarget) {
	t.Helper()
	problems, err := generate.Verify(read(t, path), target)
	if err != nil {
		t.Fatal(err)
	}
	if len(problems) > 0 {
		t.Errorf("problems of a good module: %v", problems)
	}
}

// TestRealCmdline patches the kernel image, and looks at the effect in a VM.
func TestRealCmdline(t *testing.T) { onRealKernels(t, testRealCmdline) }

func testRealCmdline(t *testing.T, k realKernel) {
	in := cmdlineInput(t, k)
	path := realModule(t, k.tree, in)
	if !bytes.Equal(read(t, path), read(t, realModule(t, k.tree, in))) {
		t.Error("two directories give different modules")
	}
	if diff := cmp.Diff([]string{".klp.rela.vmlinux.text"}, klpTables(parse(t, read(t, path)))); diff != "" {
		t.Errorf("livepatch relocation sections (-want +got):\n%s", diff)
	}
	verifyReal(t, path, k.target)

	in.Plan.Objects[0].Funcs[0].Shipped.SHA256 = strings.Repeat("0", 64)
	problems, err := generate.Verify(read(t, realModule(t, k.tree, in)), k.target)
	if err != nil {
		t.Fatal(err)
	}
	if len(problems) != 1 || problems[0].ID != finding.IDShippedCode {
		t.Errorf("problems of a module with another fingerprint: %v", problems)
	}

	const file = "/proc/cmdline"
	name := in.Plan.Name
	round := []guest.Step{
		guest.Expect(file, guest.MatchAbsent, "klpforge: "),
		guest.Insmod("/ko/"+name+".ko", ""),
		guest.WaitTransition(name, time.Minute),
		guest.ExpectEnabled(name),
		guest.Expect(file, guest.MatchContains, "klpforge: console="),
		guest.Expect("/sys/module/"+name+"/notes/.note.klpforge", guest.MatchContains, note.Schema),
		guest.Disable(name, time.Minute),
		guest.Rmmod(name),
		guest.Expect(file, guest.MatchAbsent, "klpforge: "),
	}
	boot(t, k, vm.Script{Files: []vm.File{vm.ModuleFile(path)}, Steps: []guest.Step{guest.Repeat(2, round...)}})
}

// boot runs the script and fails on any complaint of the kernel.
func boot(t *testing.T, k realKernel, s vm.Script) {
	t.Helper()
	r, err := vm.Run(context.Background(), vm.Options{
		Kernel: filepath.Join(k.root, "boot", "vmlinuz-"+k.release), Root: k.root, Release: k.release, Accel: vm.AccelTCG,
	}, s.Add(guest.CheckDmesg(), guest.CheckTaint(guest.TaintAllowed)))
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Err(); err != nil {
		t.Errorf("%+v", err)
	}
}
