package e2e

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"path/filepath"
	"testing"
	"time"

	"github.com/klpforge/klpforge/elfobj"
	"github.com/klpforge/klpforge/internal/vm"
	"github.com/klpforge/klpforge/internal/vm/guest"
)

// TestTables changes tables that the running kernel goes on reading, and their entries
// without a symbol, in the source of a real kernel: nothing of that may pass for a patch
// that changes no code, or as used up while booting.
func TestTables(t *testing.T) {
	e := env(t)
	c := newCLI(t, e, CloudRelease)
	for _, test := range []struct {
		name  string
		edits []edit
		texts []string
	}{
		{
			name: "a PCI quirk with a new function",
			edits: []edit{{"drivers/pci/quirks.c", "DECLARE_PCI_FIXUP_HEADER(PCI_VENDOR_ID_RICOH, 0xe832, quirk_dma_func0_alias);\n", `DECLARE_PCI_FIXUP_HEADER(PCI_VENDOR_ID_RICOH, 0xe832, quirk_dma_func0_alias);
static void quirk_of_the_patch(struct pci_dev *dev)
{
	dev->no_d1d2 = 1;
}
DECLARE_PCI_FIXUP_FINAL(PCI_VENDOR_ID_INTEL, 0x1234, quirk_of_the_patch);
`}},
			texts: []string{"KLP110", ".pci_fixup_final", "new function quirk_of_the_patch: only an entry of .pci_fixup_final", "nothing will call it"},
		},
		{
			name:  "flags of a kfunc",
			edits: []edit{{"kernel/bpf/helpers.c", "BTF_ID_FLAGS(func, crash_kexec, KF_DESTRUCTIVE)", "BTF_ID_FLAGS(func, crash_kexec, KF_DESTRUCTIVE | KF_SLEEPABLE)"}},
			texts: []string{"KLP103", ".BTF_ids", "func crash_kexec"},
		},
		{
			name:  "the type in a list of BTF ids",
			edits: []edit{{"net/core/filter.c", "BTF_ID_LIST_SINGLE(bpf_xdp_get_buff_len_bpf_ids, struct, xdp_buff)", "BTF_ID_LIST_SINGLE(bpf_xdp_get_buff_len_bpf_ids, struct, sk_buff)"}},
			texts: []string{"KLP103", ".BTF_ids", "struct sk_buff"},
		},
		{
			name:  "a scheduler class",
			edits: []edit{{"kernel/sched/fair.c", "\t.task_dead\t\t= task_dead_fair,\n", ""}},
			texts: []string{"KLP103", "__fair_sched_class", "KLP115"},
		},
		{
			name:  "a store to a variable of the kernel",
			edits: []edit{{"fs/proc/cmdline.c", "\tseq_puts(m, saved_command_line);\n", "\tseq_puts(m, saved_command_line);\n\tsaved_command_line = NULL;\n"}},
			texts: nil, // it may be written here; in 6.12 it may not, see TestSealedVariable
		},
		{
			name:  "a store to a constant",
			edits: []edit{{"fs/proc/version.c", "\tseq_printf(m, linux_proc_banner,\n", "\t((char *)linux_proc_banner)[0] = 'L';\n\tseq_printf(m, linux_proc_banner,\n"}},
			texts: []string{"KLP129", "linux_proc_banner", ".rodata"},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := c.run(t, "lint", "-k", c.release, "--fail-on", "error", c.patch(t, test.edits...))
			want := exitRefused
			if test.texts == nil {
				want = exitDone
			}
			if r.code != want {
				t.Fatalf("exit code %d, want %d\n%s%s", r.code, want, r.out, r.err)
			}
			text := bytes.Join(bytes.Fields([]byte(r.out)), []byte(" "))
			for _, s := range test.texts {
				if !bytes.Contains(text, []byte(s)) {
					t.Errorf("the report does not say %q:\n%s", s, r.out)
				}
			}
		})
	}
}

// TestSealedVariable writes to what another object of the kernel defines: its place in the
// image tells that it is constant after boot (6.12).
func TestSealedVariable(t *testing.T) {
	c := newCLI(t, env(t), IBTRelease)
	patch := c.patch(t, edit{"fs/proc/cmdline.c", "\tseq_puts(m, saved_command_line);\n", "\tseq_puts(m, saved_command_line);\n\tsaved_command_line = NULL;\n"})
	r := c.run(t, "lint", "-k", c.release, "--fail-on", "error", patch)
	if r.code != exitRefused || !bytes.Contains([]byte(r.out), []byte("KLP129")) || !bytes.Contains([]byte(r.out), []byte("ro_after_init")) {
		t.Errorf("exit code %d\n%s%s", r.code, r.out, r.err)
	}
}

// placeholder is what stands in an instruction until boot code writes the constant there
// (arch/x86/include/asm/runtime-const.h, v6.12).
const placeholder = 0x0123456789abcdef

// TestRuntimeConstants patches functions whose instructions hold constants that the
// kernel writes while booting, and does not write for modules: the patched ones must read
// the variables. Every lookup of a name goes through them; with the placeholder the first
// one would end the kernel.
func TestRuntimeConstants(t *testing.T) {
	t.Parallel() // mostly waits for a VM
	e := env(t)
	ctx := t.Context()
	c := newCLI(t, e, IBTRelease)
	const check = "\tif (unlikely(name->len > 4096))\n\t\treturn NULL;\n\n"
	patch := c.patch(t,
		edit{"fs/dcache.c", "\trcu_read_lock();\n\t\n\thlist_bl_for_each_entry_rcu(dentry, node, b, d_hash) {\n\n\t\tif (dentry->d_name.hash != hash)", check + "\trcu_read_lock();\n\t\n\thlist_bl_for_each_entry_rcu(dentry, node, b, d_hash) {\n\n\t\tif (dentry->d_name.hash != hash)"},
		edit{"fs/dcache.c", "\thlist_bl_for_each_entry_rcu(dentry, node, b, d_hash) {\n\t\tunsigned seq;\n\n\t\t/*\n\t\t * The dentry sequence count", check + "\thlist_bl_for_each_entry_rcu(dentry, node, b, d_hash) {\n\t\tunsigned seq;\n\n\t\t/*\n\t\t * The dentry sequence count"})
	ko := filepath.Join(e.Dir, "runtime_constants.ko")
	res, err := e.Build(ctx, IBTRelease, ko, patch)
	if err != nil {
		t.Fatal(err)
	}
	told := false
	for _, f := range res.Findings {
		told = told || f.ID == "KLP111"
	}
	if !told {
		t.Error("nothing says that the constants are read from their variables")
	}
	f, err := elfobj.ReadFile(ko)
	if err != nil {
		t.Fatal(err)
	}
	for i := range f.Sections {
		s := &f.Sections[i]
		if s.Flags&elf.SHF_EXECINSTR != 0 && bytes.Contains(s.Data, binary.LittleEndian.AppendUint64(nil, placeholder)) {
			t.Errorf("%s holds the placeholder", s.Name)
		}
	}

	opt, err := e.VM(ctx, IBTRelease)
	if err != nil {
		t.Fatal(err)
	}
	const file = "/proc/sys/kernel/ostype"
	s := vm.Script{Files: []vm.File{vm.ModuleFile(ko)}}
	s = s.Add(guest.Insmod(vm.ModuleFile(ko).Name, ""), guest.WaitTransition(res.Plan.Name, time.Minute),
		guest.DropCaches(), guest.Expect(file, guest.MatchExact, "Linux"), guest.Expect(file, guest.MatchExact, "Linux"),
		guest.CheckDmesg(), guest.Disable(res.Plan.Name, time.Minute), guest.Rmmod(res.Plan.Name), guest.CheckDmesg())
	r, err := vm.Run(ctx, opt, s)
	if err == nil {
		err = r.Err()
	}
	if err != nil {
		t.Fatal(err)
	}
}
