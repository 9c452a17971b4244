package elfdiff

import (
	"debug/elf"
	"strings"

	"github.com/klpforge/klpforge/elfobj"
)

// class says what a section holds.
type class uint8

const (
	classIgnore  class = iota // debug information, .discard.*, compiler notes
	classText                 // code
	classData                 // writable data
	classROData               // constant data
	classBSS                  // zeroed data
	classString               // mergeable strings
	classConst                // mergeable constants of EntSize bytes
	classTable                // a special section with a row in tables
	classMeta                 // what registers something at boot or module load
	classAlt                  // .altinstr_replacement, __ftr_alt_*: pieces owned by table entries
	classSlots                // addresses and constants, 8 bytes each, that code looks up: .toc
	classUnknown              // allocated, but of no known kind
)

// shfExclude marks sections that the linker leaves out (gABI extension).
const shfExclude = elf.SectionFlag(0x80000000)

// InitSection reports whether code or data in a section of that name is only used
// while booting or loading, or only at unloading.
func InitSection(name string) bool { return initSection(name) }

// initSection reports whether code or data in the section is only used while
// booting or loading, or only at unloading.
func initSection(name string) bool {
	for _, p := range []string{".init.", ".exit.", ".initcall", ".con_initcall", ".exitcall", ".meminit.", ".memexit.",
		".devinit.", ".devexit.", ".cpuinit.", ".cpuexit.", ".head.text", ".x86_cpu_dev.init"} {
		if strings.HasPrefix(name, p) {
			return true
		}
	}
	return false
}

// metaConstruct maps sections whose contents are registered once, by the boot
// code or the module loader, to the source construct that fills them. The
// names come from include/asm-generic/vmlinux.lds.h and kernel/module/main.c
// (v6.1).
var metaConstruct = []struct{ prefix, construct string }{
	{"___ksymtab", "EXPORT_SYMBOL"}, {"__ksymtab", "EXPORT_SYMBOL"}, {"__kcrctab", "EXPORT_SYMBOL"}, {"___kcrctab", "EXPORT_SYMBOL"},
	{".export_symbol", "EXPORT_SYMBOL"}, {".modinfo", "module information"}, {"__param", "module parameter"}, {"__modver", "MODULE_VERSION"},
	{".initcall", "initcall"}, {".con_initcall", "console initcall"}, {".exitcall", "exit call"},
	{".init.setup", "__setup parameter"}, {".init.rodata", "__initconst data"}, {".init.data", "__initdata"},
	{"__tracepoints_ptrs", "tracepoint"}, {"__tracepoints_strings", "tracepoint"}, {"__tracepoints", "tracepoint"},
	{"__bpf_raw_tp_map", "tracepoint"}, {"_ftrace_events", "trace event"}, {"_ftrace_eval_map", "TRACE_DEFINE_ENUM"},
	{"__syscalls_metadata", "SYSCALL_DEFINE"}, {"__tracepoint_str", "tracepoint string"}, {"__trace_printk_fmt", "trace_printk"},
	{".BTF_ids", "BTF id set"}, {".BTF.ext", "BTF"}, {".BTF", "BTF"}, {"__bpf_kfunc", "BPF kfunc"},
	{"_error_injection_whitelist", "ALLOW_ERROR_INJECTION"}, {"_kprobe_blacklist", "NOKPROBE_SYMBOL"},
	{".static_call_tramp_key", "static call export"}, {".printk_index", "printk index"},
	{"__lsm_", "LSM registration"}, {".lsm_info", "LSM registration"}, {".early_lsm_info", "LSM registration"},
	{".pci_fixup", "PCI quirk"}, {"__clk_of_table", "clock table"}, {"__timer_acpi_probe_table", "timer table"},
	{".builtin_fw", "built-in firmware"}, {"__earlycon_table", "early console"}, {".tracedata", "PM trace data"},
	{".apicdrivers", "APIC driver"}, {".x86_cpu_dev.init", "CPU vendor table"}, {".x86_intel_mid_dev.init", "platform table"},
	{".dtb.", "device tree"}, {"__ubsan", "UBSAN metadata"}, {".kunit_test_suites", "KUnit suite"}, {".sched_class", "scheduler class"},
	{"__dummy_sched_class", "scheduler class"}, {"__stop_sched_class", "scheduler class"}, {"__dl_sched_class", "scheduler class"},
	{"__rt_sched_class", "scheduler class"}, {"__fair_sched_class", "scheduler class"}, {"__idle_sched_class", "scheduler class"},
	{".gnu.linkonce.this_module", "module descriptor"}, {"__versions", "module versions"}, {".note", "ELF note"},
	{"__modver", "module version"}, {"__cpuidle_method", "cpuidle method"}, {"__irqchip_acpi_probe_table", "irqchip table"},
	{"__iommu_table", "IOMMU table"}, {"__acpi_probe_table", "ACPI probe table"}, {"__governor_thermal_table", "thermal governor"},
	{"__thermal_table_entry", "thermal governor"}, {"__reservedmem_of_table", "reserved memory table"}, {".alloc_tags", "allocation tag"},
	{".codetag", "code tag"},
	{".init_array", "constructor"}, {".ctors", "constructor"}, {".fini_array", "destructor"}, {".dtors", "destructor"},
}

func metaOf(name string) (string, bool) {
	for _, m := range metaConstruct {
		if strings.HasPrefix(name, m.prefix) {
			return m.construct, true
		}
	}
	return "", false
}

var dataPrefixes = []string{".data", ".bss", ".rodata", ".sdata", ".sbss", ".ldata", ".lbss", ".lrodata", ".ref.data", ".ref.rodata",
	"__dyndbg", ".tbss", ".tdata", ".cpuidle.data", ".spinlock.data", "runtime_", ".dynamic_debug"}

func (o *Object) classify(s *elfobj.Section) class {
	name := s.Name
	switch {
	case o.Arch.Slots(name) && s.Type != elf.SHT_NOBITS && s.Flags&elf.SHF_ALLOC != 0:
		return classSlots
	case s.Type == elf.SHT_GROUP, s.Type == elf.SHT_STRTAB:
		return classIgnore
	case strings.HasPrefix(name, ".discard"), s.Flags&shfExclude != 0:
		return classIgnore
	case s.Flags&elf.SHF_ALLOC == 0:
		return classIgnore
	case (name == ".altinstr_replacement" || strings.HasPrefix(name, "__ftr_alt_")) && s.Type != elf.SHT_NOBITS:
		return classAlt
	case tableRow(name) != nil && s.Type != elf.SHT_NOBITS:
		return classTable
	case strings.HasPrefix(name, ".note.gnu"), strings.HasPrefix(name, ".eh_frame"), name == ".llvm_addrsig":
		return classIgnore
	}
	if _, ok := metaOf(name); ok {
		return classMeta
	}
	switch {
	case s.Type == elf.SHT_NOBITS:
		return classBSS
	case s.Flags&elf.SHF_EXECINSTR != 0:
		return classText
	case s.Flags&elf.SHF_MERGE != 0 && s.Flags&elf.SHF_STRINGS != 0 && s.Flags&elf.SHF_WRITE == 0 && s.EntSize <= 4:
		return classString
	case s.Flags&elf.SHF_MERGE != 0 && s.EntSize > 0 && s.EntSize <= maxString && s.Flags&elf.SHF_WRITE == 0:
		return classConst
	}
	for _, p := range dataPrefixes {
		if strings.HasPrefix(name, p) {
			if s.Flags&elf.SHF_WRITE != 0 {
				return classData
			}
			return classROData
		}
	}
	if initSection(name) {
		return classMeta
	}
	return classUnknown
}
