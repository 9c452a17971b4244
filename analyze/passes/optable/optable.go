package optable

import (
	_ "embed"
	"fmt"
	"maps"
	"slices"

	"github.com/klpforge/klpforge/analyze"
	"github.com/klpforge/klpforge/elfdiff"
	"github.com/klpforge/klpforge/finding"
)

//go:embed doc.go
var doc string

// New makes the analyzer.
func New() *analyze.Analyzer {
	return &analyze.Analyzer{Name: "optable", Doc: analyze.PackageDoc(doc), Checks: analyze.Checks(finding.IDOpTable),
		Run: run}
}

func run(p *analyze.Pass) error {
	for _, u := range p.Units {
		for _, ch := range u.Diff.Data {
			if ch.Kind == elfdiff.Changed {
				table(p, u, ch)
			}
		}
	}
	return nil
}

// slot is one pointer of a table.
type slot struct {
	name string
	code bool // of the object itself; the kernel tells what another symbol is
}

func slots(elfObj *elfdiff.Object, a elfdiff.AtomID) (map[uint64]slot, []uint64) {
	members := map[uint64]slot{}
	var order []uint64
	for _, ref := range elfObj.References(a) {
		var entry slot
		switch t := ref.Target; {
		case t.Kind == elfdiff.TargetExtern:
			entry.name = t.Name
		case t.Kind == elfdiff.TargetAtom && elfObj.IsCode(t.Atom) && t.Off == 0:
			entry = slot{elfObj.Atoms[elfObj.Root(t.Atom)].Name, true}
		default:
			continue
		}
		members[ref.Off] = entry
		order = append(order, ref.Off)
	}
	return members, order
}

func table(pass *analyze.Pass, unit *analyze.Unit, ch elfdiff.Change) {
	// A member that keeps its function, by name or as a pair of the diff, does not change.
	before, _ := slots(unit.Diff.Orig, ch.Orig)
	after, order := slots(unit.Diff.Patched, ch.Patched)
	paired := func(x, y slot) bool {
		return x.name == y.name || x.code && y.code && samePair(unit.Diff, x.name, y.name)
	}
	var evidence []string
	functions := false
	for _, off := range order {
		old, had := before[off]
		if had && paired(old, after[off]) {
			continue
		}
		functions = functions || isFunction(pass, after[off]) || isFunction(pass, old)
		was := "no function"
		if had {
			was = old.name
		}
		evidence = append(evidence, fmt.Sprintf("+%#x%s: %s becomes %s", off, member(pass.Input, unit, after[off].name),
			was, after[off].name))
	}

	for _, off := range slices.Sorted(maps.Keys(before)) {
		old := before[off]
		if _, still := after[off]; !still && isFunction(pass, old) {
			functions = true
			evidence = append(evidence, fmt.Sprintf("+%#x: %s is taken out", off, old.name))
		}
	}
	if !functions {
		return
	}

	// Nobody writes to the running kernel's table; who reads it can be patched instead.
	found := finding.Finding{ID: finding.IDOpTable, Severity: finding.Warning, Evidence: evidence,
		Message: "a table of functions changes; the running kernel keeps the table it has, so the new callback is " +
			"never called",
		Remedy: "patch a function that reads the table so that it calls the new callback, or give the old callback " +
			"the new behaviour"}
	if o, err := unit.Before(); err != nil {
		found.Evidence = append(found.Evidence, "who reads the table could not be found: "+err.Error())
	} else {
		_, holders := o.Callers(ch.Orig)
		for _, h := range holders {
			if name := unit.Name(h); name != "" {
				found.Who = append(found.Who, name)
			}
		}
	}

	if !unit.Diff.Orig.Local(ch.Orig) {
		found.Evidence = append(found.Evidence, "other object files can read the table too")
	}
	pass.ReportChange(unit, ch, found)
}

// isFunction reports whether a slot holds a function, as far as is known.
func isFunction(p *analyze.Pass, entry slot) bool {
	if entry.code || entry.name == "" || p.Kernel == nil {
		return entry.code
	}
	kern, err := p.Kernel()
	if err != nil {
		return false // the table's change is KLP103 anyway
	}
	if len(kern.Model.Lookup(entry.name)) > 0 {
		return true
	}
	if kern.Exporter == nil {
		return false
	}
	m := kern.Exporter(entry.name)
	return m != nil && len(m.Lookup(entry.name)) > 0
}

// samePair reports whether two names are one function before and after.
func samePair(d *elfdiff.Result, old, newer string) bool {
	for i := range d.Orig.Atoms {
		a := elfdiff.AtomID(i)
		if d.Orig.Atoms[i].Name == old && d.Orig.IsFunction(a) {
			b := d.PatchedOf(a)
			return b >= 0 && d.Patched.Atoms[b].Name == newer
		}
	}
	return false
}

// member names the member that the source assigns a function to.
func member(in *analyze.Input, u *analyze.Unit, function string) string {
	out := ""
	for i := range in.Files {
		if in.Files[i].Path == u.Source {
			analyze.Uses(in.Files[i].New, function, func(_ int, before2, before, _ string) {
				if before == "=" {
					out = " (." + before2 + ")"
				}
			})
		}
	}
	return out
}
