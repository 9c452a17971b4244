package generate

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/klpforge/klpforge/elfobj"
	"github.com/klpforge/klpforge/finding"
	"github.com/klpforge/klpforge/plan"
)

// CheckReload notes the modules whose symbols the objects of a livepatch refer to, for
// a kernel that leaves these references filled in when the module goes. When it comes
// again, apply_relocate_add finds them not zero, and klp_module_coming refuses the
// module (arch/x86/kernel/module.c and kernel/livepatch/core.c, v6.1). Kernels since
// v6.3 clear them, with clear_relocate_add, and need no such note. The findings are
// about the modules.
func CheckReload(units []Unit, objects []plan.Object, release string) []finding.Finding {
	var out []finding.Finding
	for _, module := range referredModules(units) {
		note := finding.Finding{ID: finding.IDReload, Severity: finding.Note, Object: module,
			Message: fmt.Sprintf("the livepatch refers to symbols of %s, of which it patches no function: "+
				"once that module is removed, %s cannot load it again while the livepatch is there", module, release),
			Remedy: fmt.Sprintf("do not unload %s while the livepatch is in force; "+
				"if it must be, unload the livepatch first and load it again afterwards", module)}
		if slices.ContainsFunc(objects, func(o plan.Object) bool { return o.Name == module && len(o.Funcs) > 0 }) {
			note.Message = fmt.Sprintf("the livepatch patches %s and refers to its symbols: "+
				"once that module is removed, %s cannot load it again while the livepatch is there", module, release)
		}
		out = append(out, note)
	}
	return out
}

// referredModules lists the modules whose symbols units refer to, sorted.
func referredModules(units []Unit) []string {
	var out []string
	for _, unit := range units {
		elfFile, err := elfobj.Read(bytes.Clone(unit.Object))
		if err != nil {
			continue // Emit reads it too, and says so
		}
		for i := range elfFile.Symbols {
			if klp, err := elfobj.ParseKlpSymbol(elfFile.Symbols[i].Name); err == nil && klp.Object != plan.Vmlinux {
				out = append(out, klp.Object)
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}
