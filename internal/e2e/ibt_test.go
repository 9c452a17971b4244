package e2e

import (
	"debug/elf"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/klpforge/klpforge/elfobj"
	"github.com/klpforge/klpforge/internal/vm"
	"github.com/klpforge/klpforge/internal/vm/guest"
)

// TestLateObjtool builds a livepatch for a kernel whose own objtool runs only
// at links (CONFIG_X86_KERNEL_IBT), with functions that need what objtool makes:
// unwind data for code behind a WARN, static calls, jump labels as no-ops, sites
// of returns. In the VM a patched function prints the stack it runs on: the
// unwinder must get through it.
func TestLateObjtool(t *testing.T) {
	t.Parallel() // mostly waits for a VM
	e := env(t)
	ctx := t.Context()
	if err := e.Fetch(ctx, IBTRelease); err != nil {
		t.Fatal(err)
	}
	c := newCLI(t, e, IBTRelease)
	patch := c.patch(t,
		edit{"fs/proc/cmdline.c", "#include <linux/seq_file.h>\n", "#include <linux/seq_file.h>\n#include <linux/stacktrace.h>\n"},
		edit{"fs/proc/cmdline.c", "{\n\tseq_puts(m, saved_command_line);\n", `{
	unsigned long pc[16];
	unsigned int i, n;

	WARN_ON_ONCE(!m->buf);
	n = stack_trace_save(pc, ARRAY_SIZE(pc), 0);
	for (i = 0; i < n; i++)
		seq_printf(m, "%ps\n", (void *)pc[i]);
	seq_puts(m, saved_command_line);
`},
		edit{"security/security.c", "\treturn call_int_hook(file_permission, file, mask);\n", "\tif (WARN_ON(mask < 0))\n\t\treturn -EINVAL;\n\treturn call_int_hook(file_permission, file, mask);\n"})
	ko := filepath.Join(e.Dir, "late_objtool.ko")
	res, err := e.Build(ctx, IBTRelease, ko, patch)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("built in %+v", res.Stages)
	checkObjtool(t, ko)

	opt, err := e.VM(ctx, IBTRelease)
	if err != nil {
		t.Fatal(err)
	}
	const file = "/proc/cmdline"
	s := vm.Script{Files: []vm.File{vm.ModuleFile(ko)}}
	s = s.Add(guest.Insmod(vm.ModuleFile(ko).Name, ""), guest.WaitTransition("late_objtool", time.Minute))
	for _, fn := range []string{"cmdline_proc_show [late_objtool]", "seq_read_iter", "vfs_read", "entry_SYSCALL_64_after_hwframe"} {
		s = s.Add(guest.Expect(file, guest.MatchContains, fn+"\n"))
	}
	s = s.Add(guest.CheckDmesg(), guest.Disable("late_objtool", time.Minute), guest.Rmmod("late_objtool"),
		guest.Expect(file, guest.MatchContains, "console="), guest.CheckDmesg())
	r, err := vm.Run(ctx, opt, s)
	if err == nil {
		err = r.Err()
	}
	if err != nil {
		t.Fatal(err)
	}
}

// checkObjtool looks for what objtool leaves in a module.
func checkObjtool(t *testing.T, ko string) {
	t.Helper()
	f, err := elfobj.ReadFile(ko)
	if err != nil {
		t.Fatal(err)
	}
	section := func(name string) *elfobj.Section {
		i := slices.IndexFunc(f.Sections, func(s elfobj.Section) bool { return s.Name == name })
		if i < 0 {
			t.Fatalf("the module has no section %s", name)
		}
		return &f.Sections[i]
	}
	// Of each function the unwind table names the start.
	unwind := map[elfobj.SecID]bool{}
	for _, r := range section(".orc_unwind_ip").Relocs {
		unwind[f.Symbols[r.Sym].Sec] = true
	}
	for i := range f.Sections {
		if s := &f.Sections[i]; s.Flags&elf.SHF_EXECINSTR != 0 && s.Size > 0 && s.Name != ".altinstr_replacement" && !unwind[elfobj.SecID(i)] {
			t.Errorf("no unwind data for %s", s.Name)
		}
	}
	for _, name := range []string{".static_call_sites", ".return_sites", ".call_sites", "__bug_table"} {
		if section(name).Size == 0 {
			t.Errorf("%s is empty", name)
		}
	}
	// The second bit of the key's reference marks jumps that objtool makes
	// no-ops (arch/x86/include/asm/jump_label.h, v5.14 to v6.12).
	const entry, marked = 16, 2
	jumps := section("__jump_table")
	all := slices.Clone(jumps.Relocs)
	for _, k := range jumps.KlpRelocs {
		all = append(all, k.Relocs...)
	}
	seen := 0
	for _, key := range all {
		if key.Off%entry != 8 || key.Addend&marked == 0 {
			continue
		}
		site := slices.IndexFunc(all, func(r elfobj.Reloc) bool { return r.Off == key.Off-8 })
		r := all[site]
		code := f.Sections[f.Symbols[r.Sym].Sec].Data[int64(f.Symbols[r.Sym].Value)+r.Addend:]
		if seen++; !(code[0] == 0x0f && code[1] == 0x1f) && !(code[0] == 0x66 && code[1] == 0x90) {
			t.Errorf("jump label at %#x of %s is no no-op: % x", r.Addend, f.Sections[f.Symbols[r.Sym].Sec].Name, code[:5])
		}
	}
	if seen == 0 {
		t.Error("the module has no jump label to look at")
	}
}

// TestSealed takes addresses of functions that the kernel calls directly only:
// one of another file, which it seals when it boots, and a static one, to which
// the compiler gave no endbr64. Functions that call them may be pointed to.
func TestSealed(t *testing.T) {
	t.Parallel()
	e := env(t)
	if err := e.Fetch(t.Context(), IBTRelease); err != nil {
		t.Fatal(err)
	}
	c := newCLI(t, e, IBTRelease)
	const file, place = "fs/proc/array.c", "\treturn do_task_stat(m, ns, pid, task, 1);\n"
	include := edit{file, "#include <linux/fs_struct.h>\n", "#include <linux/fs_struct.h>\n#include <linux/sched/loadavg.h>\n"}
	call := func(stat, load string) edit {
		return edit{file, place, `	int (*volatile stat)(struct seq_file *, struct pid_namespace *, struct pid *, struct task_struct *, int) = ` + stat + `;
	void (*volatile load)(unsigned long *, unsigned long, int) = ` + load + `;
	unsigned long loads[3];

	load(loads, 0, 0);
	return loads[0] == ~0UL ? -EINVAL : stat(m, ns, pid, task, 1);
`}
	}
	out := c.run(t, "lint", "-k", IBTRelease, c.patch(t, include, call("do_task_stat", "get_avenrun")))
	said := strings.Join(strings.Fields(out.out), " ") // lines are wrapped
	for _, text := range []string{"KLP119 get_avenrun", "proc_tgid_stat takes its address", "the kernel seals (.ibt_endbr_seal)", "KLP119 do_task_stat", "has no endbr64"} {
		if out.code != exitRefused || !strings.Contains(said, text) {
			t.Errorf("exit code %d, or %q is not in the result:\n%s", out.code, text, out.out)
		}
	}
	with := c.patch(t, include, call("new_stat", "new_load"), edit{file, "int proc_tgid_stat(", `static int new_stat(struct seq_file *m, struct pid_namespace *ns, struct pid *pid, struct task_struct *task, int whole)
{
	return do_task_stat(m, ns, pid, task, whole);
}

static void new_load(unsigned long *loads, unsigned long offset, int shift)
{
	get_avenrun(loads, offset, shift);
}

int proc_tgid_stat(`})
	out = c.run(t, "lint", "-k", IBTRelease, with)
	if !strings.Contains(out.out, "proc_tgid_stat") || strings.Contains(out.out, "KLP119") {
		t.Errorf("a wrapper is reported as well, or nothing is:\n%s%s", out.out, out.err)
	}
}
