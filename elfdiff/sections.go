package elfdiff

import (
	"slices"
	"strings"
	"sync"
)

// This is what is known of sections by their names: one row for each section, or
// for each family of sections, that the linker scripts of the kernel name, and for
// those that only compilers, assembler macros and modules make. Everything else that
// this package, and others, ask of a section's name is derived from these rows.
//
// Sources: include/asm-generic/vmlinux.lds.h, arch/x86/kernel/vmlinux.lds.S and
// scripts/module.lds.S, v6.1 and v6.12, for what there is, what is given back after boot
// and what is write-protected; the files named in the rows for who reads what and until
// when, v6.1 and v6.12 where nothing else is said. Layouts of entries are those of the
// headers that define them: arch/x86/include/asm/{bug,asm,jump_label,alternative,
// paravirt,orc_types}.h, include/linux/{static_call_types,objtool,export,init,pci,
// tracepoint,moduleparam,kprobes,btf_ids}.h, v6.1 to v6.12, and include/asm-generic/bug.h
// up to v6.19. Of arm64, powerpc, s390 and loongarch: kernel/vmlinux.lds.S, kernel/module*.c and
// include/asm of each, v5.10, v6.1, v6.12 and v7.2.

// holding says what a section of a row holds.
type holding uint8

const (
	holdsCode    holding = iota // functions
	holdsData                   // variables, constants, zeroed memory: its flags say which
	holdsEntries                // a table whose entries boot code, the module loader or the kernel reads
	holdsBoot                   // whatever its flags say, for the time of booting, loading or unloading
	holdsSites                  // a table that describes places in code, whose entries follow the code
	holdsHalf                   // the second half of such a table, or its header
	holdsPieces                 // code that entries of such a table own
	holdsNothing                // nothing that reaches a kernel: notes of tools, debug information
)

// life says how long the contents of a section matter to the running kernel.
type life uint8

const (
	lifeEver life = iota // read, run or written as long as the kernel or the module stays
	lifeOnce             // used while booting or loading, or only when unloading
	lifeNone             // not in the kernel's memory
)

// protection says when the kernel takes the right to write from a section.
type protection uint8

const (
	writable  protection = iota
	constant             // mapped read-only once booted or loaded: .rodata and what lies beside it
	afterInit            // variables that boot code sets and that are constant then (__ro_after_init)
)

// entryKind is what in the source fills a section, as its author calls it, and as messages
// name it. Those that anything is decided by are constants.
type entryKind string

const (
	entryExport           entryKind = "EXPORT_SYMBOL"
	entryModInfo          entryKind = "module information"
	entryParam            entryKind = "module parameter"
	entrySetup            entryKind = "__setup parameter"
	entryInitcall         entryKind = "initcall"
	entrySecurityInitcall entryKind = "security initcall"
	entryConsoleInitcall  entryKind = "console initcall"
	entryExitCall         entryKind = "exit call"
	entryConstructor      entryKind = "constructor"
	entryDestructor       entryKind = "destructor"
	entryBootData         entryKind = "boot-time data"
	entryTracepoint       entryKind = "tracepoint"
	entryTraceEvent       entryKind = "trace event"
	entryAlias            entryKind = "MODULE_ALIAS"
	entryFirmware         entryKind = "MODULE_FIRMWARE"
	entryDeviceTable      entryKind = "MODULE_DEVICE_TABLE"
)

// call reports whether entries of the kind are functions that the kernel calls at boot, load
// or unload.
func (k entryKind) call() bool {
	switch k {
	case entryInitcall, entrySecurityInitcall, entryConsoleInitcall, entryExitCall:
		return true
	}
	return false
}

// policy says what extraction does with the entries of a special section.
type policy uint8

const (
	carry  policy = iota // copy entries that belong to carried code
	drop                 // the livepatch does without them
	refuse               // code that has one cannot be carried
)

// row describes one section, or one family.
type row struct {
	section   string // its name; "x*" stands for all that begin with x
	holds     holding
	construct entryKind // what in the source fills it, as its author calls it
	life      life
	boot      bool // its memory is given back after boot or load, or is never loaded
	stripped  bool // of what holds nothing: so also where it is allocated
	protect   protection
	loader    bool   // the module loader reads it, so that it must be in a module that needs it
	reader    string // who reads it: function, file
	// light: nothing that runs depends on it, but what it offers to others: a new
	// or vanished entry is no error.
	light bool
	// harmless says why a change of an entry means nothing to a livepatch; empty when it may.
	harmless string
	perCPU   bool // a template of which each processor has a copy
	ordered  bool // entries take effect in their order

	shapes  []shape // of entries; of those of sites, the one that fits is used
	policy  policy
	instead string // where policy is refuse: what an author can do, if it is more than to patch a caller
	derived bool   // of sites: follows from the code alone, so that it is not compared with it
	pair    string // of sites: parallel table with its own entry size
}

// shape is one layout of an entry. The first of refs is the reference to the
// code that the entry describes.
type shape struct {
	size uint64 // bytes from one entry to the next
	// least is how many bytes of an entry say something. Where macros align entries
	// before, but not behind, the last one of a table ends there; 0: all are whole.
	least uint64
	refs  []uint64 // offsets of the relocations that every entry has
	may   []uint64 // offsets where some have one
	// handler is the offset of the reference to a handler of faults, whose name
	// has handlerName in it; 0: there is none.
	handler uint64
	// file is the offset of the reference to a file's name; 0: there is none.
	file uint64
	// kernels are those that have this layout, by the headers that say so.
	kernels string
	// fromStart: distances count from the start of the entry, not from their own
	// place.
	fromStart bool
	// An alternative: the offset of the reference to the replacement code, those
	// of the bytes with the length of the original and of the replacement, or of
	// the reference to the end of the replacement.
	alt, siteLen, altLen, altEnd uint64
	// lineOff/Len is a field that may differ without a change of meaning: the
	// line number of a bug entry.
	lineOff, lineLen uint64
}

// handlerName is part of the names of what handles a fault in code with an entry in
// __ex_table (arch/x86/mm/extable.c and arch/x86/kernel/cpu/mce/core.c, v5.10).
const handlerName = "ex_handler_"

// sites are entries that are no more than one reference.
func sites(size uint64) []shape { return []shape{{size: size, refs: []uint64{0}}} }

// faults are entries of exception tables. A table of six references may have two with a
// handler or three without: then the names of handlers decide.
var faults = []shape{
	{size: 12, refs: []uint64{0, 4}, kernels: "v6.1 and v6.12 (x86, arm64, s390, loongarch)"},
	{size: 12, refs: []uint64{0, 4, 8}, handler: 8, kernels: "v4.19 and v5.10 (x86)"},
	{size: 8, refs: []uint64{0, 4}, kernels: "v5.10 (arm64), v5.10 to v6.12 (powerpc), before v4.6 (x86)"},
	{size: 16, refs: []uint64{0, 4}, may: []uint64{8}, kernels: "v5.10 (s390)"},
	{size: 16, refs: []uint64{0, 8}, kernels: "with addresses instead of distances (powerpc)"},
}

// features are entries of powerpc's feature sections: a mask, a value, and the
// bounds of code and of its replacement.
var features = []shape{{size: 48, refs: []uint64{16, 24, 32, 40}, fromStart: true, alt: 32, altEnd: 40}}

// pointers are entries that are one address, or one distance.
var pointers = []shape{{size: 8, refs: []uint64{0}}, {size: 4, refs: []uint64{0}}}

// exportEntries are those of symbol tables (include/linux/export.h, v5.10 and v6.1): with the
// distances, or with the addresses, of symbol, name and namespace.
var exportEntries = []shape{
	{size: 12, refs: []uint64{0, 4}, may: []uint64{8}, kernels: "v5.10 (x86, arm64, s390), v6.1 and v6.12"},
	{size: 24, refs: []uint64{0, 8}, may: []uint64{16}, kernels: "v5.10 (powerpc)"},
}

// quirks are entries for PCI devices: with the distance, or with the address, of the function.
var quirks = []shape{{size: 16, refs: []uint64{12}}, {size: 24, refs: []uint64{16}}}

const (
	keyReader   = "jump_label_update, kernel/jump_label.c"
	orcReader   = "unwind_next_frame, arch/x86/kernel/unwind_orc.c"
	altReader   = "apply_alternatives, arch/x86/kernel/alternative.c"
	quirkReader = "pci_do_fixups, drivers/pci/quirks.c, also for devices that are plugged in later"
	powerReader = "pci_do_fixups, drivers/pci/quirks.c, whenever a device is suspended or resumed"
	schedReader = "the scheduler's core, kernel/sched/core.c"
	initReader  = "do_initcalls, init/main.c, or do_init_module, kernel/module/main.c"
	ofReader    = "boot code that walks the table of compatible devices"
	whitelist   = "populate_error_injection_list, lib/error-inject.c"
	ignoredText = "text that tools read from the file; nothing that runs does"
)

var rows = slices.Concat(siteRows, entryRows, codeRows, dataRows, toolRows)

// siteRows describe places in code. That of .altinstructions gets its layout from the architecture.
var siteRows = []row{
	{section: "__bug_table", holds: holdsSites, construct: "WARN or BUG", loader: true,
		reader: "find_bug, lib/bug.c", shapes: []shape{
			{size: 12, refs: []uint64{0, 4}, file: 4, lineOff: 8, lineLen: 2, kernels: "v6.1 and v6.12"},
			{size: 12, refs: []uint64{0, 4}, file: 4, lineOff: 8, lineLen: 2, fromStart: true,
				kernels: "v5.10 (x86, arm64, s390)"},
			{size: 8, refs: []uint64{0}, kernels: "v5.10 (x86, arm64, s390), v6.1 and v6.12, without DEBUG_BUGVERBOSE"},
			{size: 16, refs: []uint64{0, 4, 8}, lineOff: 12, lineLen: 2,
				kernels: "v6.19 and v7.2 (x86-64), v7.2 (s390)"},
			{size: 12, refs: []uint64{0, 4},
				kernels: "v6.19 and v7.2 (x86-64), v7.2 (s390), without DEBUG_BUGVERBOSE"},
			{size: 24, refs: []uint64{0, 8}, lineOff: 16, lineLen: 2, kernels: "v5.10 (powerpc)"},
			{size: 16, refs: []uint64{0}, kernels: "v5.10 (powerpc), without DEBUG_BUGVERBOSE"},
		}},
	{section: "__ex_table", holds: holdsSites, construct: "access that may fault", protect: constant, loader: true,
		reader: "search_exception_tables, kernel/extable.c", shapes: faults},
	{section: ".amode31.ex_table", holds: holdsSites, construct: "access that may fault",
		reader: "ex_table of boot code, arch/s390/mm/extable.c (v6.1)", shapes: faults},
	{section: ".dma.ex_table", holds: holdsSites, construct: "access that may fault",
		reader: "s390_search_extables, arch/s390/mm/fault.c (v5.10)", shapes: faults},
	{section: "__jump_table", holds: holdsSites, construct: "static branch", protect: afterInit, loader: true,
		reader: keyReader,
		shapes: []shape{
			{size: 16, refs: []uint64{0, 4, 8}, kernels: "v5.10 (x86, arm64, s390), v6.1 and v6.12"},
			{size: 24, refs: []uint64{0, 8, 16}, kernels: "v5.10 (powerpc)"},
		}},
	{section: ".static_call_sites", holds: holdsSites, construct: "static call", protect: afterInit, loader: true,
		reader: "__static_call_update, kernel/static_call_inline.c",
		shapes: []shape{{size: 8, refs: []uint64{0, 4}}}},
	{section: ".altinstructions", holds: holdsSites, construct: "alternative", life: lifeOnce, boot: true, loader: true,
		reader: altReader},
	{section: ".parainstructions", holds: holdsSites, construct: "paravirt call", life: lifeOnce, boot: true,
		loader: true,
		reader: "apply_paravirt, arch/x86/kernel/alternative.c (v6.1)",
		// An address, type and length, and clobbered registers in v5.10's C code; v6.1 aligns behind an entry, too.
		shapes: []shape{{size: 16, least: 10, refs: []uint64{0},
			kernels: "v5.10, where the last of a table has 10 or 12 bytes, and v6.1"}}},
	{section: "runtime_*", holds: holdsSites, construct: "constant that boot code writes into the instruction",
		life: lifeOnce, boot: true, policy: refuse,
		instead: "write the patched function so that it reads the variable itself",
		reader:  "runtime_const_fixup, arch/x86/include/asm/runtime-const.h (v6.12)", shapes: sites(4)},
	{section: ".smp_locks", holds: holdsSites, construct: "lock prefix", life: lifeOnce, loader: true,
		reader: "alternatives_smp_module_add, arch/x86/kernel/alternative.c", shapes: sites(4), derived: true},
	{section: ".retpoline_sites", holds: holdsSites, construct: "indirect call", life: lifeOnce, boot: true,
		loader: true,
		reader: "apply_retpolines, arch/x86/kernel/alternative.c", shapes: sites(4), derived: true},
	{section: ".return_sites", holds: holdsSites, construct: "return", life: lifeOnce, boot: true, loader: true,
		reader: "apply_returns, arch/x86/kernel/alternative.c", shapes: sites(4), derived: true},
	{section: ".call_sites", holds: holdsSites, construct: "call", life: lifeOnce, boot: true, loader: true,
		reader: "callthunks_patch_module_calls, arch/x86/kernel/callthunks.c (v6.12)", shapes: sites(4), derived: true},
	{section: ".ibt_endbr_seal", holds: holdsSites, construct: "function whose address nothing takes", life: lifeOnce,
		boot:   true,
		reader: "apply_seal_endbr, arch/x86/kernel/alternative.c", shapes: sites(4), derived: true, policy: drop},
	{section: ".cfi_sites", holds: holdsSites, construct: "function with a CFI prefix", life: lifeOnce, boot: true,
		loader: true,
		reader: "apply_fineibt, arch/x86/kernel/alternative.c (v6.12)", shapes: sites(4), derived: true},
	{section: ".orc_unwind_ip", holds: holdsSites, construct: "unwind data", loader: true,
		reader: orcReader, shapes: sites(4), derived: true, pair: ".orc_unwind"},
	{section: ".kcfi_traps", holds: holdsSites, construct: "kCFI check", protect: constant, loader: true,
		reader: "is_cfi_trap, kernel/cfi.c", shapes: sites(4), derived: true},
	{section: "__ftr_fixup", holds: holdsSites, construct: "feature section", loader: true,
		reader: "apply_feature_fixups, arch/powerpc/lib/feature-fixups.c", life: lifeOnce, shapes: features},
	{section: "__mmu_ftr_fixup", holds: holdsSites, construct: "feature section", loader: true,
		reader: "apply_feature_fixups, arch/powerpc/lib/feature-fixups.c", life: lifeOnce, shapes: features},
	{section: "__fw_ftr_fixup", holds: holdsSites, construct: "feature section", loader: true,
		reader: "apply_feature_fixups, arch/powerpc/lib/feature-fixups.c", life: lifeOnce, shapes: features},
	{section: "__lwsync_fixup", holds: holdsSites, construct: "lwsync", loader: true,
		reader: "do_lwsync_fixups, arch/powerpc/lib/feature-fixups.c", life: lifeOnce, shapes: sites(8)},
	// The loader looks for __spec_barrier_fixup, which is its name in vmlinux: what is in a module stays
	// as the compiler made it, without the barrier (module_finalize, arch/powerpc/kernel/module.c,
	// v5.10 to v7.2).
	{section: "__barrier_nospec_fixup", holds: holdsSites, construct: "barrier_nospec", loader: true,
		reader: "do_barrier_nospec_fixups, arch/powerpc/lib/feature-fixups.c", shapes: sites(8)},
	// Of these the module loader knows nothing: it leaves such code as the compiler made it.
	{section: "__rfi_flush_fixup", holds: holdsSites, construct: "return that flushes the L1 cache", policy: refuse,
		reader: "do_rfi_flush_fixups, arch/powerpc/lib/feature-fixups.c", shapes: sites(8)},
	{section: "__entry_flush_fixup", holds: holdsSites, construct: "entry that flushes the L1 cache", policy: refuse,
		reader: "do_entry_flush_fixups, arch/powerpc/lib/feature-fixups.c", shapes: sites(8)},
	{section: "__scv_entry_flush_fixup", holds: holdsSites, construct: "entry that flushes the L1 cache",
		policy: refuse,
		reader: "do_entry_flush_fixups, arch/powerpc/lib/feature-fixups.c", shapes: sites(8)},
	{section: "__uaccess_flush_fixup", holds: holdsSites, construct: "access to user space that flushes the L1 cache",
		policy: refuse,
		reader: "do_uaccess_flush_fixups, arch/powerpc/lib/feature-fixups.c", shapes: sites(8)},
	{section: "__stf_entry_barrier_fixup", holds: holdsSites, construct: "store forwarding barrier", policy: refuse,
		reader: "do_stf_entry_barrier_fixups, arch/powerpc/lib/feature-fixups.c", shapes: sites(8)},
	{section: "__stf_exit_barrier_fixup", holds: holdsSites, construct: "store forwarding barrier", policy: refuse,
		reader: "do_stf_exit_barrier_fixups, arch/powerpc/lib/feature-fixups.c", shapes: sites(8)},
	{section: "__btb_flush_fixup", holds: holdsSites, construct: "branch target buffer flush", policy: refuse,
		reader: "do_btb_flush_fixups, arch/powerpc/lib/feature-fixups.c",
		shapes: []shape{{size: 16, refs: []uint64{0, 8}, fromStart: true}}},
	{section: "__soft_mask_table", holds: holdsSites, construct: "code with interrupts masked by its address",
		policy: refuse,
		reader: "search_kernel_soft_mask_table, arch/powerpc/lib/restart_table.c (v6.1 and later)",
		shapes: []shape{{size: 16, refs: []uint64{0, 8}}}},
	{section: "__restart_table", holds: holdsSites, construct: "code that starts anew when it is interrupted",
		policy: refuse,
		reader: "search_kernel_restart_table, arch/powerpc/lib/restart_table.c (v6.1 and later)",
		shapes: []shape{{size: 24, refs: []uint64{0, 8, 16}}}},
	{section: "__kvm_ex_table", holds: holdsSites, construct: "access of the hypervisor that may fault",
		policy: refuse,
		reader: "__kvm_unexpected_el2_exception, arch/arm64/kvm/hyp/include/hyp/switch.h",
		shapes: []shape{{size: 8, refs: []uint64{0, 4}}}},
	{section: ".la_abs", holds: holdsSites, construct: "absolute address that boot code writes into instructions",
		life: lifeOnce, policy: refuse,
		reader: "relocate_absolute, arch/loongarch/kernel/relocate.c (v6.12)",
		shapes: []shape{{size: 16, refs: []uint64{0, 8}}}},
	{section: "__stack_protector_loc", holds: holdsSites, construct: "load of the stack protector's guard",
		life: lifeOnce, boot: true, loader: true,
		reader: "__stack_protector_apply, arch/s390/kernel/stackprotector.c (v7.2)", shapes: sites(8),
		derived: true},
	{section: ".s390_indirect_jump", holds: holdsSites, construct: "indirect jump", life: lifeOnce, loader: true,
		reader: "nospec_revert, arch/s390/kernel/nospec-branch.c", shapes: sites(4), derived: true},
	{section: ".s390_indirect_call", holds: holdsSites, construct: "indirect call", life: lifeOnce, loader: true,
		reader: "nospec_revert, arch/s390/kernel/nospec-branch.c", shapes: sites(4), derived: true},
	{section: ".s390_indirect_branches", holds: holdsSites, construct: "indirect branch", life: lifeOnce, loader: true,
		reader: "nospec_revert, arch/s390/kernel/nospec-branch.c", shapes: sites(4), derived: true},
	{section: ".s390_return_mem", holds: holdsSites, construct: "return", life: lifeOnce, loader: true,
		reader: "nospec_revert, arch/s390/kernel/nospec-branch.c", shapes: sites(4), derived: true},
	{section: ".s390_return_reg", holds: holdsSites, construct: "return", life: lifeOnce, loader: true,
		reader: "nospec_revert, arch/s390/kernel/nospec-branch.c", shapes: sites(4), derived: true},
	{section: "__mcount_loc", holds: holdsSites, construct: "ftrace entry", life: lifeOnce, boot: true, loader: true,
		reader: "ftrace_init and ftrace_module_init, kernel/trace/ftrace.c", shapes: sites(8), derived: true},
	{section: "__patchable_function_entries", holds: holdsSites, construct: "ftrace entry", life: lifeOnce, boot: true,
		loader: true,
		reader: "ftrace_init and ftrace_module_init, kernel/trace/ftrace.c", shapes: sites(8), derived: true},

	{section: ".orc_unwind", holds: holdsHalf, construct: "unwind data", loader: true, reader: orcReader},
	{section: ".orc_header", holds: holdsHalf, construct: "unwind data's format", loader: true,
		reader: "orc_module_check_version, arch/x86/kernel/unwind_orc.c (v6.4 and later)", protect: constant},

	{section: ".altinstr_replacement", holds: holdsPieces, construct: "alternative", life: lifeOnce, boot: true,
		loader: true,
		reader: altReader},
	{section: "__ftr_alt_*", holds: holdsPieces, construct: "feature section", life: lifeOnce, loader: true,
		reader: "apply_feature_fixups, arch/powerpc/lib/feature-fixups.c"},
}

// entryRows are tables that boot code, the module loader or the kernel walks.
var entryRows = []row{
	// Exports and what modules say of themselves.
	{section: "___ksymtab*", holds: holdsEntries, construct: entryExport, protect: constant, loader: true,
		light:  true,
		reader: "find_symbol, kernel/module/main.c, whenever a module is loaded", shapes: exportEntries},
	{section: "__ksymtab*", holds: holdsEntries, construct: entryExport, protect: constant, loader: true,
		light:  true,
		reader: "find_symbol, kernel/module/main.c, whenever a module is loaded", shapes: exportEntries},
	{section: "___kcrctab*", holds: holdsEntries, construct: entryExport, protect: constant, loader: true,
		light:  true,
		reader: "check_version, kernel/module/version.c, whenever a module is loaded", shapes: []shape{{size: 4}}},
	{section: "__kcrctab*", holds: holdsEntries, construct: entryExport, protect: constant, loader: true,
		light:  true,
		reader: "check_version, kernel/module/version.c, whenever a module is loaded", shapes: []shape{{size: 4}}},
	{section: "___kflagstab*", holds: holdsEntries, construct: entryExport, protect: constant, loader: true,
		light:  true,
		reader: "find_symbol, kernel/module/main.c, whenever a module is loaded (v7.2)", shapes: []shape{{size: 1}}},
	{section: "__kflagstab*", holds: holdsEntries, construct: entryExport, protect: constant, loader: true,
		light:  true,
		reader: "find_symbol, kernel/module/main.c, whenever a module is loaded (v7.2)", shapes: []shape{{size: 1}}},
	{section: ".export_symbol", holds: holdsEntries, construct: entryExport, life: lifeNone, light: true,
		reader: "modpost, which makes the table of exports of it (v6.5 and later)"},
	{section: ".modinfo", holds: holdsEntries, construct: entryModInfo, life: lifeOnce, boot: true,
		loader: true, light: true,
		reader: "setup_modinfo, kernel/module/main.c; modprobe", harmless: ignoredText},
	{section: "__param", holds: holdsEntries, construct: entryParam, protect: constant, loader: true,
		light:  true,
		reader: "param_attr_show and param_attr_store, kernel/params.c, over sysfs",
		shapes: []shape{{size: 40, refs: []uint64{0, 32}, may: []uint64{8, 16}}}},
	{section: "__modver", holds: holdsEntries, construct: "MODULE_VERSION", protect: constant, loader: true,
		light:  true,
		reader: "__modver_version_show, kernel/params.c, over sysfs", shapes: []shape{{size: 72}}},
	{section: "__versions", holds: holdsEntries, construct: "module versions", life: lifeOnce, boot: true, loader: true,
		reader: "check_version, kernel/module/version.c", shapes: []shape{{size: 64}}},
	{section: ".gnu.linkonce.this_module", holds: holdsEntries, construct: "module descriptor", loader: true,
		reader: "kernel/module/main.c"},
	{section: ".gnu.linkonce.*", holds: holdsEntries, construct: "header of a table", loader: true,
		reader: "what reads the table behind it"},

	// Boot and load.
	{section: ".initcall*", holds: holdsEntries, construct: entryInitcall, life: lifeOnce, boot: true, loader: true,
		reader: initReader, shapes: pointers},
	{section: ".security_initcall*", holds: holdsEntries, construct: entrySecurityInitcall, life: lifeOnce, boot: true,
		reader: "security_init, security/security.c (v4.19)", shapes: pointers},
	{section: "__vermagic", holds: holdsEntries, construct: "version string", protect: constant, light: true,
		reader: "nobody: it is the version in text (v4.19)", harmless: ignoredText},
	{section: ".con_initcall*", holds: holdsEntries, construct: entryConsoleInitcall, life: lifeOnce, boot: true,
		reader: "console_init, kernel/printk/printk.c", shapes: pointers},
	{section: ".exitcall*", holds: holdsEntries, construct: entryExitCall, life: lifeNone, boot: true,
		reader: "nobody: it is left out of a kernel", shapes: pointers},
	{section: ".init.setup", holds: holdsEntries, construct: entrySetup, life: lifeOnce, boot: true,
		reader: "obsolete_checksetup and do_early_param, init/main.c",
		shapes: []shape{{size: 24, refs: []uint64{0, 8}}}},
	{section: ".init.rodata*", holds: holdsEntries, construct: "__initconst data", life: lifeOnce, boot: true,
		loader: true,
		reader: "boot code"},
	{section: ".init.data*", holds: holdsEntries, construct: "__initdata", life: lifeOnce, boot: true, loader: true,
		reader: "boot code"},
	{section: ".init.ramfs*", holds: holdsBoot, construct: "built-in initramfs", life: lifeOnce, boot: true,
		reader: "populate_rootfs, init/initramfs.c"},
	{section: ".init.scratch", holds: holdsBoot, construct: "work area of early boot code", life: lifeOnce, boot: true,
		reader: "sme_encrypt_kernel, arch/x86/mm/mem_encrypt_identity.c"},
	{section: "init.data.*", holds: holdsBoot, construct: "nothing: a name that v6.1 misspells", life: lifeOnce,
		boot:   true,
		reader: "nobody"},
	{section: ".init.*", holds: holdsBoot, construct: entryBootData, life: lifeOnce, boot: true, loader: true,
		reader: "boot code"},
	{section: ".exit.*", holds: holdsBoot, construct: "__exit data", life: lifeOnce, boot: true, loader: true,
		reader: "code that runs when the module is unloaded"},
	{section: ".meminit.*", holds: holdsBoot, construct: "__meminit data", life: lifeOnce, boot: true,
		reader: "boot code (v6.1, without MEMORY_HOTPLUG)"},
	{section: ".memexit.*", holds: holdsBoot, construct: "__memexit data", life: lifeOnce, boot: true,
		reader: "nobody (v6.1, without MEMORY_HOTPLUG)"},
	{section: ".devinit.*", holds: holdsBoot, construct: "__devinit data", life: lifeOnce, boot: true,
		reader: "boot code (before v3.8)"},
	{section: ".devexit.*", holds: holdsBoot, construct: "__devexit data", life: lifeOnce, boot: true,
		reader: "boot code (before v3.8)"},
	{section: ".cpuinit.*", holds: holdsBoot, construct: "__cpuinit data", life: lifeOnce, boot: true,
		reader: "boot code (before v3.11)"},
	{section: ".cpuexit.*", holds: holdsBoot, construct: "__cpuexit data", life: lifeOnce, boot: true,
		reader: "boot code (before v3.11)"},
	{section: "___kentry*", holds: holdsEntries, construct: "entry point that the linker must keep", life: lifeOnce,
		boot:   true,
		reader: "nobody: it keeps the linker from dropping code (v6.12)"},
	{section: ".init_array*", holds: holdsEntries, construct: entryConstructor, life: lifeOnce, boot: true, loader: true,
		reader: "do_ctors, init/main.c; do_mod_ctors, kernel/module/main.c", shapes: pointers},
	{section: ".ctors*", holds: holdsEntries, construct: entryConstructor, life: lifeOnce, boot: true, loader: true,
		reader: "do_ctors, init/main.c; do_mod_ctors, kernel/module/main.c", shapes: pointers},
	{section: ".fini_array*", holds: holdsEntries, construct: entryDestructor, life: lifeNone,
		reader: "nobody: the kernel runs no destructors", shapes: pointers},
	{section: ".dtors*", holds: holdsEntries, construct: entryDestructor, life: lifeNone,
		reader: "nobody: the kernel runs no destructors", shapes: pointers},
	{section: ".x86_cpu_dev.init", holds: holdsEntries, construct: "CPU vendor table", life: lifeOnce, boot: true,
		reader: "early_cpu_init, arch/x86/kernel/cpu/common.c", shapes: pointers},
	{section: ".x86_intel_mid_dev.init", holds: holdsEntries, construct: "platform table", life: lifeOnce, boot: true,
		reader: "arch/x86/platform/intel-mid", shapes: pointers},
	{section: ".apicdrivers", holds: holdsEntries, construct: "APIC driver", life: lifeOnce, boot: true,
		reader: "default_acpi_madt_oem_check and x86_64_probe_apic, arch/x86/kernel/apic/probe_64.c", shapes: pointers},
	{section: "__lsm_*", holds: holdsEntries, construct: "LSM registration", life: lifeOnce, boot: true,
		reader: "ordered_lsm_init, security/security.c"},
	{section: ".lsm_info*", holds: holdsEntries, construct: "LSM registration", life: lifeOnce, boot: true,
		reader: "ordered_lsm_init, security/security.c"},
	{section: ".early_lsm_info*", holds: holdsEntries, construct: "LSM registration", life: lifeOnce, boot: true,
		reader: "early_security_init, security/security.c"},
	{section: "_kprobe_blacklist", holds: holdsEntries, construct: "NOKPROBE_SYMBOL", life: lifeOnce, boot: true,
		loader: true,
		reader: "populate_kprobe_blacklist, kernel/kprobes.c", shapes: pointers},
	{section: "_error_injection_whitelist", holds: holdsEntries, construct: "ALLOW_ERROR_INJECTION", life: lifeOnce,
		boot: true, loader: true,
		reader: whitelist, shapes: []shape{{size: 16, refs: []uint64{0}}}},
	{section: "__earlycon_table", holds: holdsEntries, construct: "early console", life: lifeOnce, boot: true,
		reader: "setup_earlycon, drivers/tty/serial/earlycon.c"},
	{section: "__clk_of_table*", holds: holdsEntries, construct: "clock table", life: lifeOnce, boot: true,
		reader: ofReader},
	{section: "__timer_of_table*", holds: holdsEntries, construct: "timer table", life: lifeOnce, boot: true,
		reader: ofReader},
	{section: "__irqchip_of_table*", holds: holdsEntries, construct: "irqchip table", life: lifeOnce, boot: true,
		reader: ofReader},
	{section: "__cpu_method_of_table*", holds: holdsEntries, construct: "CPU method", life: lifeOnce, boot: true,
		reader: ofReader},
	{section: "__cpuidle_method*", holds: holdsEntries, construct: "cpuidle method", life: lifeOnce, boot: true,
		reader: ofReader},
	{section: "__reservedmem_of_table*", holds: holdsEntries, construct: "reserved memory table", life: lifeOnce,
		boot:   true,
		reader: ofReader},
	{section: "__timer_acpi_probe_table", holds: holdsEntries, construct: "timer table", life: lifeOnce, boot: true,
		reader: "__acpi_probe_device_table, drivers/acpi/scan.c"},
	{section: "__irqchip_acpi_probe_table", holds: holdsEntries, construct: "irqchip table", life: lifeOnce, boot: true,
		reader: "__acpi_probe_device_table, drivers/acpi/scan.c"},
	{section: "__acpi_probe_table*", holds: holdsEntries, construct: "ACPI probe table", life: lifeOnce, boot: true,
		reader: "__acpi_probe_device_table, drivers/acpi/scan.c"},
	{section: ".iommu_table", holds: holdsEntries, construct: "IOMMU table", life: lifeOnce, boot: true,
		reader: "pci_iommu_alloc, arch/x86/kernel/pci-dma.c (v5.10)"},
	{section: "__governor_thermal_table*", holds: holdsEntries, construct: "thermal governor", life: lifeOnce,
		boot:   true,
		reader: "thermal_register_governors, drivers/thermal/thermal_core.c", shapes: pointers},
	{section: "__thermal_table_entry*", holds: holdsEntries, construct: "thermal governor", life: lifeOnce, boot: true,
		reader: "thermal_register_governors, drivers/thermal/thermal_core.c", shapes: pointers},
	{section: ".dtb.*", holds: holdsEntries, construct: "device tree", life: lifeOnce, boot: true, reader: "boot code"},
	{section: ".kunit_init_test_suites", holds: holdsEntries, construct: "KUnit suite", life: lifeOnce, boot: true,
		reader: "kunit_run_all_tests, lib/kunit/executor.c", shapes: pointers},
	{section: ".kunit_test_suites", holds: holdsEntries, construct: "KUnit suite", life: lifeEver, light: true,
		loader: true,
		reader: "kunit_run_all_tests, lib/kunit/executor.c, which debugfs may start again", shapes: pointers},

	// Other architectures.
	{section: ".machine.desc", holds: holdsEntries, construct: "define_machine", life: lifeOnce,
		reader: "probe_machine, arch/powerpc/kernel/setup-common.c"},
	{section: ".boot.data*", holds: holdsBoot, construct: "__bootdata variable", life: lifeOnce, boot: true,
		reader: "boot code, which has it from the decompressor (s390)"},
	{section: ".amode31.refs", holds: holdsEntries, construct: "address of a variable below 2 GB",
		reader: "relocate_amode31_section, arch/s390/kernel/setup.c (v6.1 and later)", shapes: pointers},
	{section: ".s390dbf_info", holds: holdsEntries, construct: "DEFINE_STATIC_DEBUG_INFO", life: lifeOnce,
		reader: "s390dbf_parse, arch/s390/kernel/debug.c (v7.2)", shapes: pointers},
	{section: ".skey_region", holds: holdsEntries, construct: "memory with a storage key", life: lifeOnce,
		reader: "__skey_regions_initialize, arch/s390/kernel/skey.c (v7.2)",
		shapes: []shape{{size: 16, refs: []uint64{0, 8}}}},
	{section: "_hyp_events*", holds: holdsEntries, construct: "hypervisor event", light: true,
		reader: "hyp_trace_init_events, arch/arm64/kvm/hyp_trace.c (v7.2)"},

	// Tracing. What the tables of init data point to is registered and lives on.
	{section: "__tracepoints_ptrs", holds: holdsEntries, construct: entryTracepoint, protect: constant, loader: true,
		light:  true,
		reader: "for_each_kernel_tracepoint, kernel/tracepoint.c", shapes: pointers},
	{section: "__tracepoints_strings", holds: holdsEntries, construct: entryTracepoint, protect: constant, loader: true,
		light:  true,
		reader: "the tracepoints, for their names"},
	{section: "__tracepoints", holds: holdsEntries, construct: entryTracepoint, loader: true, light: true,
		reader: "tracepoint_probe_register, kernel/tracepoint.c"},
	{section: "__bpf_raw_tp_map", holds: holdsEntries, construct: entryTracepoint, loader: true, light: true,
		reader: "bpf_get_raw_tracepoint, kernel/trace/bpf_trace.c, whenever a program is attached",
		shapes: []shape{{size: 32, refs: []uint64{0, 8}}}},
	{section: "_ftrace_events", holds: holdsEntries, construct: entryTraceEvent, life: lifeOnce, boot: true, loader: true,
		light:  true,
		reader: "event_trace_enable and trace_module_add_events, kernel/trace/trace_events.c", shapes: pointers},
	{section: "_ftrace_eval_map", holds: holdsEntries, construct: "TRACE_DEFINE_ENUM", life: lifeOnce, boot: true,
		loader: true, light: true,
		reader: "trace_eval_init, kernel/trace/trace.c", shapes: pointers},
	{section: "__syscalls_metadata", holds: holdsEntries, construct: "SYSCALL_DEFINE", life: lifeOnce, boot: true,
		light:  true,
		reader: "init_ftrace_syscalls, kernel/trace/trace_syscalls.c", shapes: pointers},
	{section: "__tracepoint_str", holds: holdsEntries, construct: "tracepoint string", loader: true, light: true,
		reader: "t_show, kernel/trace/trace_printk.c", harmless: "texts that tools print for addresses in a trace",
		shapes: pointers},
	{section: "__trace_printk_fmt", holds: holdsEntries, construct: "trace_printk", loader: true, light: true,
		reader: "t_show, kernel/trace/trace_printk.c", harmless: "texts that tools print for addresses in a trace",
		shapes: pointers},
	{section: "_ftrace_annotated_branch", holds: holdsEntries, construct: "branch profile", light: true,
		reader: "kernel/trace/trace_branch.c", harmless: "counters of a profile, each in its function's own copy"},
	{section: "_ftrace_branch", holds: holdsEntries, construct: "branch profile", light: true,
		reader: "kernel/trace/trace_branch.c", harmless: "counters of a profile, each in its function's own copy"},
	{section: ".printk_index", holds: holdsEntries, construct: "printk index", protect: constant, loader: true,
		light:  true,
		reader: "pi_next, kernel/printk/index.c", harmless: "a list of messages that tools print", shapes: pointers},
	{section: ".tracedata", holds: holdsEntries, construct: "PM trace data", protect: constant,
		reader: "generate_pm_trace, drivers/base/power/trace.c",
		shapes: []shape{{size: 10, refs: []uint64{2}, lineLen: 2}}},

	// What drivers, BPF and the scheduler look up.
	{section: ".BTF_ids", holds: holdsEntries, construct: "BTF id set", protect: constant, loader: true, ordered: true,
		reader: "the BPF verifier, kernel/bpf/verifier.c and kernel/bpf/btf.c, for each program that is loaded"},
	{section: ".BTF*", holds: holdsEntries, construct: "BTF", protect: constant, loader: true,
		reader: "btf_parse_vmlinux and btf_module_notify, kernel/bpf/btf.c"},
	{section: "__bpf_kfunc*", holds: holdsEntries, construct: "BPF kfunc", protect: constant, loader: true,
		reader: "the BPF verifier"},
	{section: ".pci_fixup_resume*", holds: holdsEntries, construct: "PCI quirk", protect: constant, ordered: true,
		reader: powerReader, shapes: quirks},
	{section: ".pci_fixup_suspend*", holds: holdsEntries, construct: "PCI quirk", protect: constant, ordered: true,
		reader: powerReader, shapes: quirks},
	{section: ".pci_fixup*", holds: holdsEntries, construct: "PCI quirk", protect: constant, ordered: true,
		reader: quirkReader, shapes: quirks},
	{section: ".builtin_fw", holds: holdsEntries, construct: "built-in firmware", protect: constant,
		reader: "firmware_request_builtin, drivers/base/firmware_loader/builtin/main.c, for each request",
		shapes: []shape{{size: 24, refs: []uint64{0, 8}, may: []uint64{16}}}},
	{section: ".static_call_tramp_key", holds: holdsEntries, construct: "static call export", protect: afterInit,
		light:  true,
		reader: "tramp_key_lookup, kernel/static_call_inline.c, whenever a module is loaded",
		shapes: []shape{{size: 8, refs: []uint64{0, 4}}}},
	{section: ".sched_class", holds: holdsEntries, construct: "scheduler class", protect: constant, ordered: true,
		reader: schedReader},
	{section: "__dummy_sched_class", holds: holdsEntries, construct: "scheduler class", protect: constant,
		reader: schedReader},
	{section: "__stop_sched_class", holds: holdsEntries, construct: "scheduler class", protect: constant,
		reader: schedReader},
	{section: "__dl_sched_class", holds: holdsEntries, construct: "scheduler class", protect: constant,
		reader: schedReader},
	{section: "__rt_sched_class", holds: holdsEntries, construct: "scheduler class", protect: constant,
		reader: schedReader},
	{section: "__fair_sched_class", holds: holdsEntries, construct: "scheduler class", protect: constant,
		reader: schedReader},
	{section: "__ext_sched_class", holds: holdsEntries, construct: "scheduler class", protect: constant,
		reader: schedReader + " (v6.12)"},
	{section: "__idle_sched_class", holds: holdsEntries, construct: "scheduler class", protect: constant,
		reader: schedReader},
	{section: "___srcu_struct_ptrs", holds: holdsEntries, construct: "DEFINE_SRCU", loader: true,
		reader: "srcu_module_notify, kernel/rcu/srcutree.c, when the module comes and goes", shapes: pointers},
	{section: ".alloc_tags", holds: holdsEntries, construct: "allocation tag", loader: true, light: true,
		reader:   "lib/alloc_tag.c (v6.10 and later)",
		harmless: "counters of a profile, each in its function's own copy"},
	{section: "alloc_tags", holds: holdsEntries, construct: "allocation tag", loader: true, light: true,
		reader:   "lib/alloc_tag.c (v6.10 and later)",
		harmless: "counters of a profile, each in its function's own copy"},
	{section: ".codetag*", holds: holdsEntries, construct: "code tag", loader: true, light: true,
		reader: "lib/codetag.c (v6.10 and later)", harmless: "counters of a profile, each in its function's own copy"},
	{section: "__ubsan*", holds: holdsEntries, construct: "UBSAN metadata",
		reader: "lib/ubsan.c", harmless: "file names and lines of messages"},
	{section: ".vvar_*", holds: holdsEntries, construct: "variable of the vDSO", reader: "user space, over the vDSO"},
	{section: ".note*", holds: holdsEntries, construct: "ELF note", protect: constant, loader: true, light: true,
		reader: "notes_read, kernel/ksysfs.c, over sysfs", harmless: "what tools read of a kernel's build"},
}

// codeRows are functions.
var codeRows = []row{
	{section: ".init.text*", holds: holdsCode, construct: "__init function", life: lifeOnce, boot: true},
	{section: ".exit.text*", holds: holdsCode, construct: "__exit function", life: lifeOnce, boot: true},
	{section: ".meminit.text", holds: holdsCode, construct: "__meminit function", life: lifeOnce, boot: true},
	{section: ".memexit.text", holds: holdsCode, construct: "__memexit function", life: lifeOnce, boot: true},
	{section: ".head.text", holds: holdsCode, construct: "__head function", life: lifeOnce, boot: true},
	{section: ".altinstr_aux", holds: holdsCode, construct: "code before alternatives are applied", life: lifeOnce},
	{section: ".text*", holds: holdsCode, construct: "function", protect: constant},
	{section: ".noinstr.text*", holds: holdsCode, construct: "noinstr function", protect: constant},
	{section: ".cpuidle.text", holds: holdsCode, construct: "__cpuidle function", protect: constant},
	{section: ".ref.text", holds: holdsCode, construct: "__ref function", protect: constant},
	{section: ".sched.text", holds: holdsCode, construct: "__sched function", protect: constant},
	{section: ".spinlock.text", holds: holdsCode, construct: "lock function", protect: constant},
	{section: ".kprobes.text", holds: holdsCode, construct: "__kprobes function", protect: constant},
	{section: ".entry.text", holds: holdsCode, construct: "entry code", protect: constant},
	{section: ".irqentry.text", holds: holdsCode, construct: "__irq_entry function", protect: constant},
	{section: ".softirqentry.text", holds: holdsCode, construct: "__softirq_entry function", protect: constant},
	{section: ".static_call.text", holds: holdsCode, construct: "static call trampoline", protect: constant},
	{section: ".fixup", holds: holdsCode, construct: "fixup of an access that may fault", protect: constant},
	{section: ".head.text.*", holds: holdsCode, construct: "exception vector of powerpc", protect: constant},
	{section: ".linker_stub_catch", holds: holdsCode, construct: "place of the linker's stubs", protect: constant},
	{section: ".stubs", holds: holdsCode, construct: "place of the module loader's stubs", protect: constant},
	{section: ".ftrace.tramp", holds: holdsCode, construct: "place of ftrace's trampolines", protect: constant},
	{section: ".tramp.ftrace.*", holds: holdsCode, construct: "place of ftrace's trampolines", protect: constant},
	{section: ".sfpr", holds: holdsCode, construct: "linker's functions that save registers", protect: constant},
	{section: ".glink", holds: holdsCode, construct: "linker's stubs", protect: constant},
	{section: ".idmap.text*", holds: holdsCode, construct: "code that runs without address translation",
		protect: constant},
	{section: ".hyp.text*", holds: holdsCode, construct: "code of the hypervisor", protect: constant},
	{section: ".hyp.idmap.text", holds: holdsCode, construct: "code of the hypervisor", protect: constant},
	{section: ".entry.tramp.text", holds: holdsCode, construct: "entry code", protect: constant},
	{section: ".hibernate_exit.text", holds: holdsCode, construct: "code that restores a hibernated kernel",
		protect: constant},
	{section: ".kexec_relocate.text", holds: holdsCode, construct: "code that starts another kernel",
		protect: constant},
	{section: ".amode31.text*", holds: holdsCode, construct: "code below 2 GB", protect: constant},
	{section: ".dma.text*", holds: holdsCode, construct: "code below 2 GB", protect: constant},
	{section: ".xiptext", holds: holdsCode, construct: "__xipram function", protect: constant},
}

// dataRows are variables.
var dataRows = []row{
	{section: ".data..ro_after_init*", holds: holdsData, construct: "__ro_after_init variable", protect: afterInit},
	{section: ".data.rel.ro*", holds: holdsData, construct: "constant with addresses", protect: constant},
	{section: ".data..percpu*", holds: holdsData, construct: "per-CPU variable", perCPU: true,
		reader: "each processor in its own copy, made when the kernel boots or the module loads"},
	{section: ".data*", holds: holdsData, construct: "variable"},
	{section: ".bss*", holds: holdsData, construct: "variable"},
	{section: ".rodata*", holds: holdsData, construct: "constant", protect: constant},
	{section: ".sdata*", holds: holdsData, construct: "variable"},
	{section: ".sbss*", holds: holdsData, construct: "variable"},
	{section: ".dynsbss", holds: holdsData, construct: "variable"},
	{section: ".dynbss", holds: holdsData, construct: "variable"},
	{section: ".scommon", holds: holdsData, construct: "variable"},
	{section: "COMMON", holds: holdsData, construct: "variable"},
	{section: ".ldata*", holds: holdsData, construct: "variable"},
	{section: ".lbss*", holds: holdsData, construct: "variable"},
	{section: ".lrodata*", holds: holdsData, construct: "constant", protect: constant},
	{section: ".ref.data*", holds: holdsData, construct: "__refdata variable"},
	{section: ".ref.rodata*", holds: holdsData, construct: "__refconst constant", protect: constant},
	{section: "__dyndbg_classes", holds: holdsData, construct: "class map of pr_debug", loader: true,
		reader: "ddebug_change, lib/dynamic_debug.c"},
	{section: "__verbose", holds: holdsData, construct: "pr_debug", loader: true,
		reader: "ddebug_change, lib/dynamic_debug.c (v4.19)", harmless: "describes the source line of a message"},
	{section: "__dyndbg*", holds: holdsData, construct: "pr_debug", loader: true,
		reader: "ddebug_change, lib/dynamic_debug.c", harmless: "describes the source line of a message"},
	{section: ".boot.preserved.data*", holds: holdsData, construct: "__bootdata_preserved variable"},
	{section: ".amode31.data", holds: holdsData, construct: "variable below 2 GB"},
	{section: ".dma.data", holds: holdsData, construct: "variable below 2 GB"},
	{section: ".mmuoff.data.*", holds: holdsData, construct: "variable that is read without address translation"},
	{section: ".entry.tramp.rodata", holds: holdsData, construct: "constant", protect: constant},
	{section: ".hyp.data*", holds: holdsData, construct: "variable of the hypervisor"},
	{section: ".hyp.bss*", holds: holdsData, construct: "variable of the hypervisor"},
	{section: ".hyp.event_ids*", holds: holdsData, construct: "number of a hypervisor event"},
	{section: ".hyp.rodata*", holds: holdsData, construct: "constant of the hypervisor", protect: constant},
	{section: ".head.data.*", holds: holdsData, construct: "page with a fixed place on powerpc"},
	{section: ".toc*", holds: holdsData, construct: "addresses that code looks up"},
	{section: ".opd", holds: holdsData, construct: "function descriptors"},
	{section: ".tbss*", holds: holdsData, construct: "variable"},
	{section: ".tdata*", holds: holdsData, construct: "variable"},
	{section: ".cpuidle.data*", holds: holdsData, construct: "variable"},
	{section: ".spinlock.data*", holds: holdsData, construct: "variable"},
	{section: ".dynamic_debug*", holds: holdsData, construct: "pr_debug"},
}

// toolRows never reach a kernel, or are empty in one.
var toolRows = []row{
	{section: ".discard*", holds: holdsNothing, stripped: true, construct: "annotation for build tools",
		life: lifeNone},
	{section: ".comment", holds: holdsNothing, construct: "compiler's name", life: lifeNone},
	{section: ".debug*", holds: holdsNothing, construct: "debug information", life: lifeNone},
	{section: ".line", holds: holdsNothing, construct: "debug information", life: lifeNone},
	{section: ".stab*", holds: holdsNothing, construct: "debug information", life: lifeNone},
	{section: ".gnu.linkonce.wi.*", holds: holdsNothing, construct: "debug information", life: lifeNone},
	{section: ".gnu.version*", holds: holdsNothing, construct: "linker's notes", life: lifeNone},
	{section: ".__restore_ph", holds: holdsNothing, construct: "linker's notes", life: lifeNone},
	{section: ".gnu.warning", holds: holdsNothing, construct: "linker's notes", life: lifeNone},
	{section: ".note.gnu*", holds: holdsNothing, stripped: true, construct: "linker's notes", life: lifeNone},
	{section: ".note.GNU-stack", holds: holdsNothing, stripped: true, construct: "linker's notes", life: lifeNone},
	{section: ".eh_frame*", holds: holdsNothing, stripped: true, construct: "unwind data for user space",
		life: lifeNone},
	{section: "__tracepoint_check", holds: holdsNothing, stripped: true, life: lifeNone,
		construct: "name of a tracepoint that code uses, for scripts/tracepoint-update (v7.2)"},
	{section: ".no_trim_symbol", holds: holdsNothing, stripped: true, life: lifeNone,
		construct: "name of an export, for modpost (v7.2)"},
	{section: ".klp.symid", holds: holdsNothing, stripped: true, life: lifeNone,
		construct: "numbers of namesakes, for klp-build (v7.2)"},
	{section: ".llvm_bb_addr_map", holds: holdsNothing, construct: "basic blocks, for profiles", life: lifeNone},
	{section: ".PPC.EMB.apuinfo", holds: holdsNothing, construct: "linker's notes", life: lifeNone},
	{section: ".ARM.attributes", holds: holdsNothing, construct: "linker's notes", life: lifeNone},
	{section: ".options", holds: holdsNothing, construct: "linker's notes", life: lifeNone},
	{section: ".gptab.*", holds: holdsNothing, construct: "linker's notes", life: lifeNone},
	// What a linked image has to be moved by, or is made of by the linker.
	{section: ".dynamic", holds: holdsNothing, construct: "linker's tables of a relocatable kernel", life: lifeNone},
	{section: ".dynsym", holds: holdsNothing, construct: "linker's tables of a relocatable kernel", life: lifeNone},
	{section: ".dynstr", holds: holdsNothing, construct: "linker's tables of a relocatable kernel", life: lifeNone},
	{section: ".hash", holds: holdsNothing, construct: "linker's tables of a relocatable kernel", life: lifeNone},
	{section: ".gnu.hash", holds: holdsNothing, construct: "linker's tables of a relocatable kernel", life: lifeNone},
	{section: ".interp", holds: holdsNothing, construct: "linker's tables of a relocatable kernel", life: lifeNone},
	{section: ".hyp.reloc", holds: holdsNothing, construct: "linker's tables of the hypervisor", life: lifeNone},
	{section: ".branch_lt", holds: holdsNothing, construct: "linker's tables of long branches", life: lifeNone},
	{section: ".mygot", holds: holdsNothing, construct: "linker's table of addresses, which is empty in a kernel",
		life: lifeNone},
	{section: ".gnu.attributes", holds: holdsNothing, construct: "linker's notes", life: lifeNone},
	{section: ".llvm_addrsig", holds: holdsNothing, stripped: true, construct: "linker's notes", life: lifeNone},
	{section: ".symtab", holds: holdsNothing, construct: "symbols", life: lifeNone},
	{section: ".strtab", holds: holdsNothing, construct: "symbols", life: lifeNone},
	{section: ".shstrtab", holds: holdsNothing, construct: "names of sections", life: lifeNone},
	{section: ".rel*", holds: holdsNothing, construct: "relocations", life: lifeNone},
	{section: ".got*", holds: holdsNothing, construct: "linker's table of addresses, which is empty in a kernel",
		life: lifeNone},
	{section: ".igot*", holds: holdsNothing, construct: "linker's table of addresses, which is empty in a kernel",
		life: lifeNone},
	{section: ".plt*", holds: holdsNothing, construct: "linker's jumps, which a kernel has none of", life: lifeNone},
	{section: ".iplt*", holds: holdsNothing, construct: "linker's jumps, which a kernel has none of", life: lifeNone},
}

// rowIndex finds rows by name.
type rowIndex struct {
	exact    map[string]*row
	families []*row // the longest first
}

var indexed = sync.OnceValue(func() *rowIndex {
	index := &rowIndex{exact: map[string]*row{}}
	for i := range rows {
		known := &rows[i]
		if strings.HasSuffix(known.section, "*") {
			index.families = append(index.families, known)
		} else {
			index.exact[known.section] = known
		}
	}
	slices.SortStableFunc(index.families, func(a, b *row) int { return len(b.section) - len(a.section) })
	return index
})

// rowOf returns the row of a section: that of its name, or of the smallest family it
// belongs to; nil when nothing is known of it.
func rowOf(section string) *row {
	index := indexed()
	if r, ok := index.exact[section]; ok {
		return r
	}
	for _, known := range index.families {
		if strings.HasPrefix(section, known.section[:len(known.section)-1]) {
			return known
		}
	}
	return nil
}
