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
	return &analyze.Analyzer{Name: "optable", Doc: analyze.PackageDoc(doc), Checks: analyze.Checks(finding.IDOpTable), Run: run}
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

func slots(o *elfdiff.Object, a elfdiff.AtomID) (map[uint64]slot, []uint64) {
	m := map[uint64]slot{}
	var order []uint64
	for _, r := range o.References(a) {
		var s slot
		switch t := r.Target; {
		case t.Kind == elfdiff.TargetExtern:
			s.name = t.Name
		case t.Kind == elfdiff.TargetAtom && o.IsCode(t.Atom) && t.Off == 0:
			s = slot{o.Atoms[o.Root(t.Atom)].Name, true}
		default:
			continue
		}
		m[r.Off] = s
		order = append(order, r.Off)
	}
	return m, order
}

func table(p *analyze.Pass, u *analyze.Unit, ch elfdiff.Change) {
	before, _ := slots(u.Diff.Orig, ch.Orig)
	after, order := slots(u.Diff.Patched, ch.Patched)
	paired := func(x, y slot) bool {
		return x.name == y.name || x.code && y.code && samePair(u.Diff, x.name, y.name)
	}
	var evidence []string
	functions := false
	for _, off := range order {
		old, had := before[off]
		if had && paired(old, after[off]) {
			continue
		}
		functions = functions || isFunction(p, after[off]) || isFunction(p, old)
		was := "no function"
		if had {
			was = old.name
		}
		evidence = append(evidence, fmt.Sprintf("+%#x%s: %s becomes %s", off, member(p.Input, u, after[off].name), was, after[off].name))
	}
	for _, off := range slices.Sorted(maps.Keys(before)) {
		old := before[off]
		if _, still := after[off]; !still && isFunction(p, old) {
			functions = true
			evidence = append(evidence, fmt.Sprintf("+%#x: %s is taken out", off, old.name))
		}
	}
	if !functions {
		return
	}
	f := finding.Finding{ID: finding.IDOpTable, Severity: finding.Warning, Evidence: evidence,
		Message: "a table of functions changes; the running kernel keeps the table it has, so the new callback is never called",
		Remedy:  "patch a function that reads the table so that it calls the new callback, or give the old callback the new behaviour"}
	if o, err := u.Before(); err != nil {
		f.Evidence = append(f.Evidence, "who reads the table could not be found: "+err.Error())
	} else {
		_, holders := o.Callers(ch.Orig)
		for _, h := range holders {
			if name := u.Name(h); name != "" {
				f.Who = append(f.Who, name)
			}
		}
	}
	if !u.Diff.Orig.Local(ch.Orig) {
		f.Evidence = append(f.Evidence, "other object files can read the table too")
	}
	p.ReportChange(u, ch, f)
}

// isFunction reports whether a slot holds a function, as far as is known.
func isFunction(p *analyze.Pass, s slot) bool {
	if s.code || s.name == "" || p.Kernel == nil {
		return s.code
	}
	k, err := p.Kernel()
	if err != nil {
		return false // the table's change is KLP103 anyway
	}
	if len(k.Model.Lookup(s.name)) > 0 {
		return true
	}
	if k.Exporter == nil {
		return false
	}
	m := k.Exporter(s.name)
	return m != nil && len(m.Lookup(s.name)) > 0
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
