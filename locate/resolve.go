package locate

import (
	"fmt"
	"slices"

	"github.com/klpforge/klpforge/elfdiff"
	"github.com/klpforge/klpforge/elfobj"
	"github.com/klpforge/klpforge/finding"
	"github.com/klpforge/klpforge/kernel/kmod"
)

// Names decides by which symbol a livepatch reaches what stays in the kernel.
type Names struct {
	Orig  *elfdiff.Object // the original object
	Place *Placement      // where it lies in its own shipped object
	// Vmlinux is the kernel image's view; equal to Place.View for built-in code.
	Vmlinux View
	// Export looks a symbol up in the target's Module.symvers.
	Export func(name string) (kmod.Export, bool)
	// Provided reports whether this livepatch defines a new global of the name.
	Provided func(name string) bool
	// Source says why a symbol that the target's source names is in none of its tables;
	// "" if the source does not name it. nil is not known.
	Source func(name string) string
	// Module gives the view of a module that exports a symbol.
	Module func(module string) (View, error)
	// Needs lists the modules that must be loaded before an object, its own dependencies
	// and theirs; nil is not known.
	Needs func(object string) ([]string, error)

	Namespaces map[string]bool // symbol namespaces of the exports used
}

// Resolve implements elfdiff.Resolver. An ordinary undefined symbol serves
// exports of vmlinux; all else is a livepatch symbol.
func (n *Names) Resolve(e elfdiff.External) (string, error) {
	if e.Orig >= 0 {
		addr, known := n.Place.Addr[e.Orig]
		why, missed := n.Place.Miss[e.Orig]
		switch {
		case missed && !e.Func:
			return "", &finding.Finding{ID: finding.IDSymbol, Severity: finding.Error, Symbol: e.Name,
				Message: "variable cannot be found in the target: " + why, Remedy: "check compiler, config and source against the target"}
		case missed && !known:
			// A weak function that another object overrides: only the name counts.
			if list := n.Place.View.Lookup(e.Name); e.Local || len(list) != 1 || !list[0].Global {
				return "", &finding.Finding{ID: finding.IDSymbol, Severity: finding.Error, Symbol: e.Name,
					Message: "function cannot be found in the target: " + why, Remedy: "check compiler, config and source against the target"}
			}
		}
		if n.Place.View.Object() == "vmlinux" && !e.Local && !e.Original {
			if name, ok := n.exported(e.Name); ok {
				return name, nil
			}
		}
		return n.inView(n.Place.View, e, addr, known)
	}
	if n.Place.View.Object() != "vmlinux" && hasGlobal(n.Place.View, e.Name) {
		addr, known := n.Place.Ext[e.Name]
		return n.inView(n.Place.View, e, addr, known)
	}
	if name, ok := n.exported(e.Name); ok {
		return name, nil
	}
	if n.Provided != nil && n.Provided(e.Name) {
		return e.Name, nil
	}
	if x, ok := n.Export(e.Name); ok && x.Object() != "vmlinux" {
		if err := n.checkExporter(e.Name, x.Object()); err != nil {
			return "", err
		}
		v, err := n.Module(x.Object())
		if err != nil {
			return "", err
		}
		return n.inView(v, e, 0, false)
	}
	addr, known := n.Place.Ext[e.Name]
	if len(n.Vmlinux.Lookup(e.Name)) > 0 {
		return n.inView(n.Vmlinux, e, addr, known && n.Place.View.Object() == "vmlinux")
	}
	if n.Source != nil {
		if why := n.Source(e.Name); why != "" {
			return "", &finding.Finding{ID: finding.IDSymbol, Severity: finding.Error, Symbol: e.Name,
				Message: "the target's kallsyms does not list it, so that a livepatch cannot refer to it: " + why,
				Remedy:  "find what is needed by way of a function or variable that kallsyms lists"}
		}
	}
	return "", &finding.Finding{ID: finding.IDPrerequisite, Severity: finding.Error, Symbol: e.Name,
		Message: "the patched code needs a symbol that neither the target nor this patch has",
		Remedy:  "add the patch that introduces it"}
}

// exported returns the plain name when vmlinux exports it. What a module
// exports becomes a livepatch symbol, so that the livepatch can load first.
func (n *Names) exported(name string) (string, bool) {
	x, ok := n.Export(name)
	if !ok || x.Object() != "vmlinux" {
		return "", false
	}
	if x.Namespace != "" {
		n.Namespaces[x.Namespace] = true
	}
	return name, true
}

// checkExporter makes sure that a module which exports a symbol is there when the
// patched code runs. The reference is written when that module loads; so the patched
// object must depend on it already, as one that it depends on by the patch need not be
// loaded: the code would call nowhere.
func (n *Names) checkExporter(symbol, module string) error {
	if n.Needs == nil {
		return nil
	}
	object := n.Place.View.Object()
	needs, err := n.Needs(object)
	if err != nil || slices.Contains(needs, module) {
		return err
	}
	return &finding.Finding{ID: finding.IDPrerequisite, Severity: finding.Error, Symbol: symbol,
		Message: fmt.Sprintf("module %s exports it, on which %s does not depend: it need not be loaded when the patched code runs", module, object),
		Remedy:  "look the symbol up when the code runs, with symbol_get(), or leave this part out"}
}

func hasGlobal(v View, name string) bool {
	return slices.ContainsFunc(v.Lookup(name), func(s Symbol) bool { return s.Global })
}

// inView picks the symbol among its namesakes: the one at the address that
// shipped code refers to, else the only one, else the only global one.
func (n *Names) inView(v View, e elfdiff.External, addr uint64, known bool) (string, error) {
	list := v.Lookup(e.Name)
	var pick []Symbol
	switch {
	case known:
		for _, s := range list {
			if s.Addr == addr {
				pick = append(pick, s)
			}
		}
		if len(pick) == 0 {
			// The compiler numbered it otherwise in the shipped build.
			pick = v.At(addr)
		}
	case len(list) > 1 && !e.Local:
		for _, s := range list {
			if s.Global {
				pick = append(pick, s)
			}
		}
	default:
		pick = list
	}
	problem := func(format string, args ...any) error {
		return &finding.Finding{ID: finding.IDSymbol, Severity: finding.Error, Symbol: e.Name, Message: fmt.Sprintf(format, args...),
			Remedy: "check compiler, config and source against the target; a debug package does not help here"}
	}
	switch {
	case len(pick) == 0:
		return "", problem("%s has no symbol %s to refer to", v.Object(), e.Name)
	case len(pick) > 1 && !known:
		return "", problem("%s has %d symbols %s and nothing tells which is meant", v.Object(), len(pick), e.Name)
	}
	s := pick[0]
	if s.Init {
		return "", problem("%s of %s is discarded after initialisation", e.Name, v.Object())
	}
	if !s.Stable {
		return "", problem("the position of %s in %s depends on whether the module is still loading", e.Name, v.Object())
	}
	return elfobj.KlpSymbol{Object: v.Object(), Name: s.Name, Pos: s.Sympos()}.String(), nil
}
