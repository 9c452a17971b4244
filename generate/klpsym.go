package generate

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/klpforge/klpforge/plan"
)

const (
	klpSymPrefix  = ".klp.sym."
	klpRelaPrefix = ".klp.rela."
)

// Lengths that the kernel's parser accepts, in bytes without the terminating
// zero (klp_resolve_symbols, kernel/livepatch/core.c, v6.1). Before 6.1 names
// end at 127 bytes, but then no symbol of the target is longer either.
const (
	maxObjectName = 55
	maxSymbolName = 511
)

// KlpSymbol is what a name of the form .klp.sym.<object>.<symbol>,<position>
// says.
type KlpSymbol struct {
	Object string // plan.Vmlinux or a module
	Name   string // as in the object's kallsyms
	Pos    int    // 0 when unique, else 1-based position among namesakes
}

// String gives the symbol's full name in the module.
func (k KlpSymbol) String() string {
	return klpSymPrefix + k.Object + "." + k.Name + "," + strconv.Itoa(k.Pos)
}

// ParseKlpSymbol reads the name of a livepatch symbol, with the limits of the
// kernel's own parser. The error names what is wrong.
func ParseKlpSymbol(name string) (KlpSymbol, error) {
	rest, ok := strings.CutPrefix(name, klpSymPrefix)
	if !ok {
		return KlpSymbol{}, fmt.Errorf("livepatch symbol %q: does not begin with %s", name, klpSymPrefix)
	}
	object, rest, ok := strings.Cut(rest, ".")
	if !ok || object == "" {
		return KlpSymbol{}, fmt.Errorf("livepatch symbol %q: has no object name", name)
	}
	sym, pos, ok := strings.Cut(rest, ",")
	if !ok || sym == "" {
		return KlpSymbol{}, fmt.Errorf("livepatch symbol %q: has no symbol name and position", name)
	}
	n, err := strconv.ParseUint(pos, 10, 31)
	if err != nil || pos[0] == '+' {
		return KlpSymbol{}, fmt.Errorf("livepatch symbol %q: position %q is not a number", name, pos)
	}
	switch {
	case len(object) > maxObjectName:
		return KlpSymbol{}, fmt.Errorf("livepatch symbol %q: object name is longer than %d bytes", name, maxObjectName)
	case len(sym) > maxSymbolName:
		return KlpSymbol{}, fmt.Errorf("livepatch symbol %q: symbol name is longer than %d bytes", name, maxSymbolName)
	}
	return KlpSymbol{Object: object, Name: sym, Pos: int(n)}, nil
}

// klpRelaName names the relocation table that patches section for object. The
// kernel reads the object only; the rest is for people.
func klpRelaName(object, section string) string {
	return klpRelaPrefix + object + "." + strings.TrimPrefix(section, ".")
}

// RelocObject returns the object that a .klp.rela.<object>.<section> table is
// for, as the kernel reads it.
func RelocObject(name string) (string, error) {
	rest, ok := strings.CutPrefix(name, klpRelaPrefix)
	if !ok {
		return "", fmt.Errorf("livepatch relocation section %q: does not begin with %s", name, klpRelaPrefix)
	}
	object, _, ok := strings.Cut(rest, ".")
	if !ok || object == "" || len(object) > maxObjectName {
		return "", fmt.Errorf("livepatch relocation section %q: has no proper object name", name)
	}
	return object, nil
}

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
