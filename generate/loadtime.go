package generate

import (
	"strings"

	"github.com/klpforge/klpforge/plan"
)

// loadTimeSections are consumed when the livepatch itself loads, before any
// later module can be there (find_module_sections and the architecture's
// module_finalize, v6.1). References to vmlinux symbols from them need
// relocations applied that early, which the kernel does since 5.8.
var loadTimeSections = map[string]bool{
	"__jump_table":                 true,
	".static_call_sites":           true,
	".altinstructions":             true,
	".altinstr_replacement":        true,
	".parainstructions":            true,
	".smp_locks":                   true,
	".retpoline_sites":             true,
	".return_sites":                true,
	".call_sites":                  true,
	".ibt_endbr_seal":              true,
	".cfi_sites":                   true,
	".orc_header":                  true,
	".orc_unwind":                  true,
	".orc_unwind_ip":               true,
	"__ex_table":                   true,
	"__bug_table":                  true,
	"__mcount_loc":                 true,
	"__patchable_function_entries": true,
	"__tracepoints_ptrs":           true,
	"_ftrace_events":               true,
	".printk_index":                true,
	".gnu.linkonce.this_module":    true,
}

// isLoadTimeSection reports whether the loader consumes the section, which a
// relocation for a later module would come too late for. Initialisation code
// counts: it runs once and is freed.
func isLoadTimeSection(name string) bool {
	return loadTimeSections[name] || strings.HasPrefix(name, ".init.") || name == ".init" ||
		strings.HasPrefix(name, "__ksymtab") || strings.HasPrefix(name, "___ksymtab")
}

func isVmlinux(object string) bool { return object == plan.Vmlinux }
