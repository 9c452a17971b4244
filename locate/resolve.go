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
func (n *Names) Resolve(external elfdiff.External) (string, error) {
	if external.Orig >= 0 {
		addr, known := n.Place.Addr[external.Orig]
		why, missed := n.Place.Miss[external.Orig]
		switch {
		case missed && !external.Func:
			return "", &finding.Finding{ID: finding.IDSymbol, Severity: finding.Error, Symbol: external.Name,
				Message: "variable cannot be found in the target: " + why,
				Remedy:  "check compiler, config and source against the target"}
		case missed && !known:
			// A weak function that another object overrides: only the name counts.
			if list := n.Place.View.Lookup(external.Name); external.Local || len(list) != 1 || !list[0].Global {
				return "", &finding.Finding{ID: finding.IDSymbol, Severity: finding.Error, Symbol: external.Name,
					Message: "function cannot be found in the target: " + why,
					Remedy:  "check compiler, config and source against the target"}
			}
		}
		if n.Place.View.Object() == "vmlinux" && !external.Local && !external.Original {
			if name, ok := n.exported(external.Name); ok {
				return name, nil
			}
		}
		return n.inView(n.Place.View, external, addr, known)
	}
	if n.Place.View.Object() != "vmlinux" && hasGlobal(n.Place.View, external.Name) {
		addr, known := n.Place.Ext[external.Name]
		return n.inView(n.Place.View, external, addr, known)
	}
	if name, ok := n.exported(external.Name); ok {
		return name, nil
	}
	if n.Provided != nil && n.Provided(external.Name) {
		return external.Name, nil
	}
	if x, ok := n.Export(external.Name); ok && x.Object() != "vmlinux" {
		if err := n.checkExporter(external.Name, x.Object()); err != nil {
			return "", err
		}
		view, err := n.Module(x.Object())
		if err != nil {
			return "", err
		}
		return n.inView(view, external, 0, false)
	}
	addr, known := n.Place.Ext[external.Name]
	if len(n.Vmlinux.Lookup(external.Name)) > 0 {
		return n.inView(n.Vmlinux, external, addr, known && n.Place.View.Object() == "vmlinux")
	}
	if n.Source != nil {
		if why := n.Source(external.Name); why != "" {
			return "", &finding.Finding{ID: finding.IDSymbol, Severity: finding.Error, Symbol: external.Name,
				Message: "the target's kallsyms does not list it, so that a livepatch cannot refer to it: " + why,
				Remedy:  "find what is needed by way of a function or variable that kallsyms lists"}
		}
	}
	return "", &finding.Finding{ID: finding.IDPrerequisite, Severity: finding.Error, Symbol: external.Name,
		Message: "the patched code needs a symbol that neither the target nor this patch has",
		Remedy:  "add the patch that introduces it"}
}

// exported returns the plain name when vmlinux exports it. What a module
// exports becomes a livepatch symbol, so that the livepatch can load first.
func (n *Names) exported(name string) (string, bool) {
	export, ok := n.Export(name)
	if !ok || export.Object() != "vmlinux" {
		return "", false
	}
	if export.Namespace != "" {
		n.Namespaces[export.Namespace] = true
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
		Message: fmt.Sprintf("module %s exports it, on which %s does not depend: it need not be loaded when the "+
			"patched code runs", module, object),
		Remedy: "look the symbol up when the code runs, with symbol_get(), or leave this part out"}
}

func hasGlobal(view View, name string) bool {
	return slices.ContainsFunc(view.Lookup(name), func(s Symbol) bool { return s.Global })
}

// inView picks the symbol among its namesakes: the one at the address that
// shipped code refers to, else the only one, else the only global one.
func (n *Names) inView(view View, external elfdiff.External, addr uint64, known bool) (string, error) {
	list := view.Lookup(external.Name)
	var pick []Symbol
	switch {
	case known:
		for _, sym := range list {
			if sym.Addr == addr {
				pick = append(pick, sym)
			}
		}
		if len(pick) == 0 {
			// The compiler numbered it otherwise in the shipped build.
			pick = view.At(addr)
		}
	case len(list) > 1 && !external.Local:
		for _, sym := range list {
			if sym.Global {
				pick = append(pick, sym)
			}
		}
	default:
		pick = list
	}
	problem := func(format string, args ...any) error {
		return &finding.Finding{ID: finding.IDSymbol, Severity: finding.Error, Symbol: external.Name,
			Message: fmt.Sprintf(format, args...),
			Remedy:  "check compiler, config and source against the target; a debug package does not help here"}
	}
	switch {
	case len(pick) == 0:
		return "", problem("%s has no symbol %s to refer to", view.Object(), external.Name)
	case len(pick) > 1 && !known:
		return "", problem("%s has %d symbols %s and nothing tells which is meant", view.Object(), len(pick),
			external.Name)
	}
	only := pick[0]
	if only.Init {
		return "", problem("%s of %s is discarded after initialisation", external.Name, view.Object())
	}
	if !only.Stable {
		return "", problem("the position of %s in %s depends on whether the module is still loading", external.Name,
			view.Object())
	}
	return elfobj.KlpSymbol{Object: view.Object(), Name: only.Name, Pos: only.Sympos()}.String(), nil
}
