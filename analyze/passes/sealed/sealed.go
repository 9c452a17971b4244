package sealed

import (
	_ "embed"
	"fmt"
	"slices"

	"github.com/klpforge/klpforge/analyze"
	"github.com/klpforge/klpforge/analyze/code"
	"github.com/klpforge/klpforge/analyze/model"
	"github.com/klpforge/klpforge/elfdiff"
	"github.com/klpforge/klpforge/finding"
	"github.com/klpforge/klpforge/plan"
)

//go:embed doc.go
var doc string

// New makes the analyzer.
func New() *analyze.Analyzer {
	return &analyze.Analyzer{Code: true, Name: "sealed", Doc: analyze.PackageDoc(doc),
		Checks: analyze.Checks(finding.IDWriteProtected), Run: run}
}

func run(pass *analyze.Pass) error {
	for _, u := range pass.Units {
		for _, ch := range u.Diff.Functions {
			if ch.Kind == elfdiff.Removed || ch.Init {
				continue
			}
			if err := function(pass, u, ch); err != nil {
				return err
			}
		}
	}
	return nil
}

// function judges the stores that a function has after the patch and had not before.
func function(pass *analyze.Pass, unit *analyze.Unit, ch elfdiff.Change) error {
	after, err := unit.After()
	if err != nil {
		return nil // what cannot be decoded is refused elsewhere
	}
	stores := storesOf(after, ch.Patched)
	if len(stores) == 0 {
		return nil
	}
	var old []code.Store
	before, err := unit.Before()
	if err == nil && ch.Orig >= 0 {
		old = storesOf(before, ch.Orig)
	}
	seen := map[string]bool{}
	for i := range stores {
		st := &stores[i]
		name := code.Name(st.To)
		if seen[st.To] || slices.ContainsFunc(old, func(o code.Store) bool { return code.Name(o.To) == name }) {
			continue
		}
		seen[st.To] = true
		why, where, err := protected(pass, unit, st)
		if err != nil {
			return err
		}
		if why == "" {
			continue
		}
		found := finding.Finding{ID: finding.IDWriteProtected, Severity: finding.Error,
			Message: fmt.Sprintf("function writes to %s, which lies in %s: %s, and the write faults", name, where, why),
			Remedy:  "keep the value in a new variable, or change the code that reads " + name}
		by := "an instruction writes to it"
		if st.By != "" {
			by = st.By + " is given its address"
		}
		found.Evidence = append(found.Evidence, fmt.Sprintf("%s at %s", by, after.Place(st.At)))
		if before != nil {
			if others := othersThat(before, unit, name); len(others) > 0 {
				found.Severity = finding.Warning
				found.Who = others
				found.Evidence = append(found.Evidence,
					"others wrote to it before the patch too; they may run while booting only")
			}
		}
		pass.ReportChange(unit, ch, found)
	}
	return nil
}

// storesOf lists the stores of a function and its pieces.
func storesOf(obj *code.Object, root elfdiff.AtomID) []code.Store {
	var out []code.Store
	for i := range obj.Atoms.Atoms {
		a := elfdiff.AtomID(i)
		if !obj.Atoms.IsCode(a) || obj.Atoms.Root(a) != root || obj.Atoms.Atoms[i].Name == "" {
			continue
		}
		if id, err := obj.Func(a); err == nil {
			out = append(out, obj.Stores(id)...)
		}
	}
	return out
}

// othersThat names functions of the object that wrote to a variable before the patch,
// without those that only run while booting, loading or unloading.
func othersThat(obj *code.Object, unit *analyze.Unit, variable string) []string {
	var out []string
	for i := range obj.Atoms.Atoms {
		a := elfdiff.AtomID(i)
		if !obj.Atoms.IsFunction(a) || obj.Atoms.InitOnly(a) {
			continue
		}
		if slices.ContainsFunc(storesOf(obj, a), func(s code.Store) bool { return code.Name(s.To) == variable }) {
			out = append(out, unit.Name(a))
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// protected says why a variable may not be written, and where it lies; "" when it
// may, or when that is not known.
func protected(pass *analyze.Pass, unit *analyze.Unit, st *code.Store) (why, where string, err error) {
	if st.Section != "" {
		// The running kernel has the variable where it was before the patch.
		section := st.Section
		for i := range unit.Diff.Patched.Atoms {
			b := elfdiff.AtomID(i)
			if unit.Diff.Patched.Atoms[i].Name != st.To || unit.Diff.Patched.Section(b) != section {
				continue
			}
			if a := unit.Diff.OrigOf(b); a >= 0 {
				section = unit.Diff.Orig.Section(a)
			}
		}
		why, _ = elfdiff.WriteProtected(section)
		return why, section, nil
	}
	if pass.Kernel == nil {
		return "", "", nil
	}
	kern, err := pass.Kernel()
	if err != nil {
		return "", "", fmt.Errorf("look for %s in the kernel: %w", st.To, err)
	}
	if unit.Owner != plan.Vmlinux && kern.Module != nil {
		if why, where := inModule(kern.Module(unit.Owner), st.To); where != "" {
			return why, where, nil
		}
	}
	if at, ok := kern.Model.Prog.Lookup(st.To); ok {
		why, where := inImage(kern.Model.Prog, at)
		return why, where, nil
	}
	if kern.Exporter != nil {
		why, where = inModule(kern.Exporter(st.To), st.To)
	}
	return why, where, nil
}

func inModule(mod *model.Model, name string) (why, where string) {
	if mod == nil {
		return "", ""
	}
	at, ok := mod.Prog.Lookup(name)
	if !ok {
		return "", ""
	}
	seg, ok := mod.Prog.SegmentAt(at)
	if !ok {
		return "", ""
	}
	why, _ = elfdiff.WriteProtected(seg.Name)
	return why, seg.Name
}

// inImage tells by the bounds that the linker script sets: what lies between them
// mark_rodata_ro() protects (arch/x86/mm/init_64.c, v6.1 and v6.12); on x86 the variables
// that are constant after boot lie there too.
func inImage(prog *model.Program, at uint64) (why, where string) {
	within := func(start, end string) bool {
		lo, ok := prog.Lookup(start)
		hi, ok2 := prog.Lookup(end)
		return ok && ok2 && at >= lo && at < hi
	}
	switch {
	case within("__start_ro_after_init", "__end_ro_after_init"):
		why, _ = elfdiff.WriteProtected(".data..ro_after_init")
		return why, ".data..ro_after_init"
	case within("__start_rodata", "__end_rodata"):
		why, _ = elfdiff.WriteProtected(".rodata")
		return why, ".rodata"
	}
	return "", ""
}
