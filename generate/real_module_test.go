package generate_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/klpforge/klpforge/generate"
	"github.com/klpforge/klpforge/internal/vm"
	"github.com/klpforge/klpforge/internal/vm/guest"
	"github.com/klpforge/klpforge/kernel/kmod"
	"github.com/klpforge/klpforge/plan"
)

// Two modules of which the second needs the first.
const baseModule = `
#include <linux/module.h>
static int klpt_b_hidden = 41;
int klpt_b_value(void);
noinline int klpt_b_value(void) { return READ_ONCE(klpt_b_hidden) + 1; }
EXPORT_SYMBOL_GPL(klpt_b_value);
static int __init b_init(void) { WRITE_ONCE(klpt_b_hidden, 6); return 0; }
static void __exit b_exit(void) { }
module_init(b_init);
module_exit(b_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("test");
`

const userModule = `
#include <linux/module.h>
#include <linux/proc_fs.h>
#include <linux/seq_file.h>
int klpt_b_value(void);
static int klpt_a_own;
static int klpt_a_show(struct seq_file *m, void *v)
{
	seq_printf(m, "old %d %d\n", READ_ONCE(klpt_a_own), klpt_b_value());
	return 0;
}
static int __init a_init(void)
{
	WRITE_ONCE(klpt_a_own, 5);
	return proc_create_single("klpt_a", 0444, NULL, klpt_a_show) ? 0 : -ENOMEM;
}
static void __exit a_exit(void) { remove_proc_entry("klpt_a", NULL); }
module_init(a_init);
module_exit(a_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("test");
`

// The replacement uses a static variable of its own module, a static variable
// and an exported function of another one, and a variable of the kernel.
const userUnit = `
#include <linux/seq_file.h>
extern int klp__klpt_a__klpt_a_own__0;
extern int klp__klpt_b__klpt_b_hidden__0;
extern int klp__klpt_b__klpt_b_value__0(void);
extern char *klp__vmlinux__saved_command_line__0;
int klp_a_show(struct seq_file *m, void *v);
int klp_a_show(struct seq_file *m, void *v)
{
	seq_printf(m, "new %d %d %d %s\n", klp__klpt_a__klpt_a_own__0, klp__klpt_b__klpt_b_hidden__0,
		   klp__klpt_b__klpt_b_value__0(), klp__vmlinux__saved_command_line__0);
	return 0;
}
`

// TestRealModules patches a module that refers to another module, with the
// livepatch loaded before them and after them.
func TestRealModules(t *testing.T) { onRealKernels(t, testRealModules) }

func testRealModules(t *testing.T, k realKernel) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "klpt_b.c"), baseModule)
	write(t, filepath.Join(dir, "klpt_a.c"), userModule)
	write(t, filepath.Join(dir, "Kbuild"), "obj-m := klpt_b.o klpt_a.o\nccflags-y += -g0\n")
	run(t, dir, "make", "-C", k.tree, "M="+dir, "CC=gcc-12", "modules")
	target := k.target
	target.extra = map[string]*kmod.Module{}
	for _, name := range []string{"klpt_a", "klpt_b"} {
		m, err := kmod.Read(filepath.Join(dir, name+".ko"))
		if err != nil {
			t.Fatal(err)
		}
		target.extra[name] = m
	}
	in := generate.Input{
		Plan: plan.Plan{
			Name: "klpforge_modules", Release: k.release,
			Objects: []plan.Object{{Name: "klpt_a", Funcs: []plan.Func{{
				Name: "klpt_a_show", NewSymbol: "klp_a_show", Unit: "klpt_a.o",
				Reasons: []string{"its code changed"}, Shipped: realShipped(t, target, "klpt_a", "klpt_a_show"),
			}}}},
		},
		API:   realAPI(),
		Units: []generate.Unit{{Name: "klpt_a.o", Object: kbuildUnit(t, k.tree, userUnit)}},
	}
	path := realModule(t, k.tree, in)
	want := []string{".klp.rela.klpt_a.text", ".klp.rela.klpt_b.text", ".klp.rela.vmlinux.text"}
	if diff := cmp.Diff(want, klpTables(parse(t, read(t, path)))); diff != "" {
		t.Errorf("livepatch relocation sections (-want +got):\n%s", diff)
	}
	verifyReal(t, path, target)

	const file, before, after = "/proc/klpt_a", "old 5 7\n", "new 5 6 7 console="
	name := in.Plan.Name
	load := []guest.Step{
		guest.Insmod("/ko/"+name+".ko", ""),
		guest.WaitTransition(name, time.Minute),
		guest.ExpectEnabled(name),
	}
	unload := []guest.Step{
		guest.Disable(name, time.Minute),
		guest.Rmmod(name),
		guest.Expect(file, guest.MatchExact, before),
		guest.Rmmod("klpt_a"),
		guest.Rmmod("klpt_b"),
	}
	b, a := guest.Insmod("/ko/klpt_b.ko", ""), guest.Insmod("/ko/klpt_a.ko", "")
	s := vm.Script{Files: []vm.File{
		vm.ModuleFile(path), vm.ModuleFile(filepath.Join(dir, "klpt_b.ko")), vm.ModuleFile(filepath.Join(dir, "klpt_a.ko")),
	}}
	// Before both modules.
	s = s.Add(load...).Add(b, a, guest.Expect(file, guest.MatchContains, after)).Add(unload...)
	// Between them.
	s = s.Add(b).Add(load...).Add(a, guest.Expect(file, guest.MatchContains, after)).Add(unload...)
	// After both.
	s = s.Add(b, a, guest.Expect(file, guest.MatchExact, before)).Add(load...)
	s = s.Add(guest.Expect(file, guest.MatchContains, after)).Add(unload...)
	boot(t, k, s)
}
