package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/klpforge/klpforge/internal/vm"
	"github.com/klpforge/klpforge/internal/vm/guest"
)

// fourCallbacks registers a callback of each kind that prints its kind and
// object. prefix is that of the macros, arg the type of their argument.
func fourCallbacks(prefix, arg, object string) string {
	var b strings.Builder
	for _, kind := range []string{"pre_patch", "post_patch", "pre_unpatch", "post_unpatch"} {
		result, end := "void", ""
		if kind == "pre_patch" {
			result, end = "int", "\treturn 0;\n"
		}
		fmt.Fprintf(&b, "\nstatic %s called_%s(%s *obj)\n{\n\tpr_warn(\"callback: %s %s\\n\");\n%s}\n%s_%s_CALLBACK(called_%s);\n",
			result, kind, arg, object, kind, end, prefix, strings.ToUpper(kind), kind)
	}
	return b.String()
}

// kpatchEdits use the macros that patches for kpatch-build and mainline's
// klp-build use, in vmlinux and in a module.
var kpatchEdits = []edit{
	{"fs/proc/cmdline.c", "\tseq_putc(m, '\\n');\n", "\tseq_puts(m, \" patched\\n\");\n\tKPATCH_PRINTK(\"shown: %s\\n\", saved_command_line);\n"},
	{"fs/proc/cmdline.c", "static int cmdline_proc_show(struct seq_file *m, void *v)\n", "#include \"kpatch-macros.h\"\n\nstatic int cmdline_proc_show(struct seq_file *m, void *v)\n"},
	{"fs/proc/cmdline.c", "fs_initcall(proc_cmdline_init);\n", "fs_initcall(proc_cmdline_init);\n" +
		fourCallbacks("KPATCH", "patch_object", "vmlinux") + "KPATCH_FORCE_UNSAFE(cmdline_proc_show);\n"},
	{"fs/nls/nls_utf8.c", "module_init(init_nls_utf8)\n", "module_init(init_nls_utf8)\n\n#include <linux/livepatch_helpers.h>\n" +
		fourCallbacks("KLP", "struct klp_object", "nls_utf8")},
	{"kernel/sys.c", "SYSCALL_DEFINE3(setpriority, int, which,", "#include \"kpatch-syscall.h\"\nKPATCH_SYSCALL_DEFINE3(setpriority, int, which,"},
	{"kernel/sys.c", "\tint error = -EINVAL;\n\tstruct pid *pgrp;\n\tkuid_t uid;\n\n\tif (which > PRIO_USER", "\tint error = -EDOM;\n\tstruct pid *pgrp;\n\tkuid_t uid;\n\n\tif (which > PRIO_USER"},
}

// TestKpatchMacros builds a patch with the macros and loads it. Each callback
// runs once, at its time: those of vmlinux around the livepatch's life, those
// of a module that is loaded late around the module's.
func TestKpatchMacros(t *testing.T) {
	t.Parallel() // mostly waits for a VM
	e := env(t)
	c := newCLI(t, e, CloudRelease)
	// Built as scripts for the other tool do, by its name.
	dir := t.TempDir()
	k := *c
	k.bin = filepath.Join(dir, "kpatch-build")
	if err := os.Symlink(c.bin, k.bin); err != nil {
		t.Fatal(err)
	}
	patch := c.patch(t, kpatchEdits...)
	b := k.run(t, "-a", CloudRelease, "-o", dir, "-n", "my-macros", "--skip-compiler-check", patch).
		want(t, exitDone, "KPATCH_FORCE_UNSAFE has no effect", "WARNING: the compiler")
	for _, text := range []string{"vmlinux      __ia32_sys_setpriority", "vmlinux      __x64_sys_setpriority", "vmlinux      cmdline_proc_show", "3 function(s)", "SUCCESS\n"} {
		if !strings.Contains(b.out, text) {
			t.Errorf("%q is not in the result:\n%s", text, b.out)
		}
	}
	ko := filepath.Join(dir, "my-macros.ko")
	hook := c.patch(t, cmdlineEdit, edit{"fs/proc/cmdline.c", "fs_initcall(proc_cmdline_init);\n",
		"fs_initcall(proc_cmdline_init);\n#include \"kpatch-macros.h\"\nstatic void on_load(void)\n{\n}\nKPATCH_LOAD_HOOK(on_load);\n"})
	k.run(t, "-a", CloudRelease, "-o", dir, hook).want(t, exitRefused, "KPATCH_LOAD_HOOK is gone: use KPATCH_PRE_PATCH_CALLBACK or KPATCH_POST_PATCH_CALLBACK")
	twice := c.patch(t, edit{"fs/proc/cmdline.c", "fs_initcall(proc_cmdline_init);\n", "fs_initcall(proc_cmdline_init);\n#include \"kpatch-macros.h\"\n" + fourCallbacks("KPATCH", "patch_object", "a")},
		edit{"fs/proc/version.c", "fs_initcall(proc_version_init);\n", "fs_initcall(proc_version_init);\n#include \"kpatch-macros.h\"\n" + fourCallbacks("KPATCH", "patch_object", "b")})
	k.run(t, "-a", CloudRelease, "-o", dir, twice).want(t, exitRefused, "KLP118", "vmlinux has two pre_patch callbacks")
	opt, err := e.VM(t.Context(), CloudRelease)
	if err != nil {
		t.Fatal(err)
	}
	opt.Root = string(e.Cache.TargetRoot(CloudRelease))
	// What is written to the kernel's log stands there between the messages of
	// the callbacks.
	after := func(what string) guest.Step { return guest.Write("/dev/kmsg", "callbacks until here: "+what) }
	file := vm.ModuleFile(ko)
	script := vm.Script{Files: []vm.File{file}}.Add(
		guest.Insmod(file.Name, ""),
		guest.WaitTransition("my_macros", 0),
		after("load"),
		guest.Expect("/proc/cmdline", guest.MatchContains, " patched"),
		guest.Probe(guest.MatchExact, "EDOM", "syscall", "141", "99", "0", "0"),
		guest.Modprobe("nls_utf8"),
		after("module comes"),
		guest.Rmmod("nls_utf8"),
		after("module goes"),
		guest.Modprobe("nls_utf8"),
		after("module comes again"),
		guest.Disable("my_macros", 0),
		after("disable"),
		guest.Rmmod("my_macros"),
		guest.Probe(guest.MatchExact, "EINVAL", "syscall", "141", "99", "0", "0"),
		guest.CheckDmesg(), guest.CheckTaint(guest.TaintAllowed),
	)
	r, err := vm.Run(t.Context(), opt, script)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Err(); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, m := range regexp.MustCompile(`callbacks? ?(?:until here)?: ([\w ]+)`).FindAllStringSubmatch(r.Log, -1) {
		got = append(got, m[1])
	}
	want := []string{
		"vmlinux pre_patch", "vmlinux post_patch", "load",
		"nls_utf8 pre_patch", "nls_utf8 post_patch", "module comes",
		"nls_utf8 pre_unpatch", "nls_utf8 post_unpatch", "module goes",
		"nls_utf8 pre_patch", "nls_utf8 post_patch", "module comes again",
		"vmlinux pre_unpatch", "nls_utf8 pre_unpatch", "vmlinux post_unpatch", "nls_utf8 post_unpatch", "disable",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("callbacks (-want +got)\n%s", diff)
	}
	if !strings.Contains(r.Log, "shown: ") {
		t.Error("KPATCH_PRINTK printed nothing")
	}
}

// TestKpatchPatches builds a directory of patches, one for each macro, by the
// script that can do so with the other tool: PATH alone decides.
func TestKpatchPatches(t *testing.T) {
	t.Parallel() // mostly waits for a VM
	e := env(t)
	c := newCLI(t, e, CloudRelease)
	bin, out := t.TempDir(), t.TempDir()
	if err := os.Symlink(c.bin, filepath.Join(bin, "kpatch-build")); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "../../scripts/kpatch-patches", "testdata/kpatch", out, "-a", CloudRelease)
	cmd.Env = append(os.Environ(), "KLPFORGE_CACHE="+string(c.cache), "PATH="+bin+":"+os.Getenv("PATH"))
	table, err := cmd.CombinedOutput()
	t.Logf("%s", table)
	if err != nil {
		t.Errorf("%v", err)
	}
	for name, want := range map[string]string{
		"callbacks-vmlinux": "cmdline_proc_show",
		"helpers":           "__x64_sys_getpriority",
		"syscall":           "__ia32_sys_getpriority",
		"ignore-function":   "the change of this function is left out because of KPATCH_IGNORE_FUNCTION(version_proc_show)",
		"ignore-section":    `the change of this variable is left out because of KPATCH_IGNORE_SECTION(".data.panic_timeout")`,
		"force":             "KPATCH_FORCE_UNSAFE has no effect",
		"static-call":       "ctr_crypt",
		"load-hook":         "KPATCH_LOAD_HOOK is gone",
	} {
		log := string(readFile(t, filepath.Join(out, name+".log")))
		if !strings.Contains(log, want) {
			t.Errorf("%s: the log does not say %q:\n%s", name, want, log)
		}
	}
}
