package pipeline

import (
	"bytes"
	"slices"
	"strings"

	"github.com/klpforge/klpforge/kernel/kmod"
	"github.com/klpforge/klpforge/plan"
)

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
			if s.Name == "__ksymtab_strings" && bytes.Contains(append([]byte{0}, s.Data...),
				[]byte("\x00"+name+"\x00")) {
				return kmod.Export{Name: name, Module: m.Name}, true
			}
		}
	}
	return kmod.Export{}, false
}
