package pipeline

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/klpforge/klpforge/patchset"
	"github.com/klpforge/klpforge/plan"
)

// nameOf decides the module's name. The note says what a person who reads the names
// of the files would not expect; it is "" if there is nothing to say.
func nameOf(opt *Options, series *patchset.Series) (name, note string) {
	switch {
	case opt.Name != "":
		if opt.NameFrom != "" {
			note = fmt.Sprintf("the module is called %s, which others may be too: %s cannot be a module's name",
				opt.Name, opt.NameFrom)
		}
		return strings.ReplaceAll(opt.Name, "-", "_"), note
	case opt.Output != "":
		name, same := plan.ModuleNameOf(strings.TrimSuffix(filepath.Base(opt.Output), ".ko"))
		if !same {
			note = fmt.Sprintf("the module is called %s: %s cannot be a module's name", name, filepath.Base(opt.Output))
		}
		return name, note
	}
	first := filepath.Base(series.Patches[0].ID)
	from := "livepatch_" + strings.TrimSuffix(strings.TrimSuffix(first, ".patch"), ".diff")
	name, same := plan.ModuleNameOf(from)
	if !same {
		note = fmt.Sprintf("the module is called %s: %s cannot be a module's name", name, from)
	} else if len(series.Patches) > 1 {
		note = fmt.Sprintf("the module is called %s, after the first of %d patches; --name gives another", name,
			len(series.Patches))
	}
	return name, note
}

// checkFree makes sure that the target has no module of the name: the kernel loads
// one module of a name.
func (t *Target) checkFree(name string) error {
	if t.modules.Builtin(name) {
		return &plan.NameError{Name: name, Why: "a part of " + t.Release() +
			" is called so (modules.builtin), and the kernel has one of a name; give another with --name"}
	}
	_, taken := t.modules.Find(name)
	for _, m := range t.extra {
		taken = taken || m.Name == name
	}
	if taken {
		return &plan.NameError{Name: name, Why: "a module of " + t.Release() +
			" is called so, and the kernel loads one of a name; give another with --name"}
	}
	return nil
}
