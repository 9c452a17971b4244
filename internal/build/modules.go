package build

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/klpforge/klpforge/elfdiff"
	"github.com/klpforge/klpforge/finding"
	"github.com/klpforge/klpforge/kernel/kmod"
	"github.com/klpforge/klpforge/locate"
	"github.com/klpforge/klpforge/plan"
)

// exporter gives the view of the module whose export the patched code of a unit
// uses. The reference is written when that module loads. So the patched object
// must depend on it already: one that it depends on by the patch need not be
// there when the code runs, which would call nowhere.
func (r *run) exporter(u *unit, module string) (locate.View, error) {
	needs, err := r.target.Needs(u.owner)
	if err != nil {
		return nil, err
	}
	if !slices.Contains(needs, module) {
		return nil, &finding.Finding{ID: finding.IDPrerequisite, Severity: finding.Error,
			Message: fmt.Sprintf("module %s exports it, on which %s does not depend: it need not be loaded when the patched code runs", module, u.owner),
			Remedy:  "look the symbol up when the code runs, with symbol_get(), or leave this part out"}
	}
	return r.target.View(module)
}

// Needs implements generate.VerifyTarget.
func (t *Target) Needs(object string) ([]string, error) {
	var out []string
	todo := []string{object}
	for len(todo) > 0 {
		name := todo[0]
		todo = todo[1:]
		if name == plan.Vmlinux {
			continue
		}
		m, err := t.module(name)
		if err != nil {
			return nil, err
		}
		for dep := range strings.SplitSeq(m.m.Info.Get("depends"), ",") {
			dep = strings.ReplaceAll(strings.TrimSpace(dep), "-", "_")
			if dep != "" && !slices.Contains(out, dep) {
				out = append(out, dep)
				todo = append(todo, dep)
			}
		}
	}
	slices.Sort(out)
	return out, nil
}

// resolver is names.Resolve with the symbol named in every problem.
func resolver(names *locate.Names) elfdiff.Resolver {
	return func(e elfdiff.External) (string, error) {
		name, err := names.Resolve(e)
		if p, ok := err.(*finding.Finding); ok && p.Symbol == "" {
			p.Symbol = e.Name
		}
		return name, err
	}
}

// export looks an exported symbol up. What a module from outside of the kernel's
// tree exports is in no Module.symvers, but in the module's own table of names; its
// version is not known then.
func (t *Target) export(name string) (kmod.Export, bool) {
	if e, ok := t.symvers.Lookup(name); ok {
		return e, true
	}
	for _, m := range t.extra {
		for i := range m.File.Sections {
			s := &m.File.Sections[i]
			if s.Name == "__ksymtab_strings" && bytes.Contains(append([]byte{0}, s.Data...), []byte("\x00"+name+"\x00")) {
				return kmod.Export{Name: name, Module: m.Name}, true
			}
		}
	}
	return kmod.Export{}, false
}
