package coupled

import (
	_ "embed"
	"fmt"
	"slices"

	"github.com/klpforge/klpforge/analyze"
	"github.com/klpforge/klpforge/analyze/code"
	"github.com/klpforge/klpforge/elfdiff"
)

//go:embed doc.go
var doc string

// New makes the analyzer.
func New() *analyze.Analyzer {
	return &analyze.Analyzer{Name: "coupled", Doc: analyze.PackageDoc(doc), Checks: []analyze.Check{{ID: "KLP210", Title: "changed functions communicate"}}, Run: run}
}

// member is one changed function with its effects, before and after together.
type member struct {
	unit                 *analyze.Unit
	change               elfdiff.Change
	calls, writes, reads []string
}

func run(p *analyze.Pass) error {
	var list []member
	for _, u := range p.Units {
		for _, ch := range u.Replace {
			m := member{unit: u, change: ch}
			if err := m.look(); err != nil {
				p.ReportChange(u, ch, analyze.Finding{ID: "KLP210", Severity: analyze.Note, Unknown: true, Evidence: []string{err.Error()},
					Message: "what the function shares with others could not be found"})
				continue
			}
			list = append(list, m)
		}
	}
	// Connected functions form one group, named by its first.
	group := make([]int, len(list))
	for i := range group {
		group[i] = i
	}
	find := func(i int) int {
		for group[i] != i {
			i = group[i]
		}
		return i
	}
	why := map[int][]string{}
	for i := range list {
		for j := i + 1; j < len(list); j++ {
			reasons := between(&list[i], &list[j])
			if len(reasons) == 0 {
				continue
			}
			a, b := find(i), find(j)
			if a > b {
				a, b = b, a
			}
			group[b] = a
			if a != b {
				why[a] = append(why[a], why[b]...)
			}
			why[a] = append(why[a], reasons...)
		}
	}
	for i := range list {
		if find(i) != i || len(why[i]) == 0 {
			continue
		}
		var who []string
		for j := range list {
			if find(j) == i {
				who = append(who, list[j].change.Name)
			}
		}
		p.ReportChange(list[i].unit, list[i].change, analyze.Finding{ID: "KLP210", Severity: analyze.Note, Evidence: why[i], Who: who,
			Message: fmt.Sprintf("%d changed functions communicate with each other and must switch together", len(who)),
			Remedy:  "do not use the immediate flag, and do not force the transition"})
	}
	return nil
}

func (m *member) look() error {
	for _, side := range []struct {
		object func() (*code.Object, error)
		atom   elfdiff.AtomID
	}{{m.unit.Before, m.change.Orig}, {m.unit.After, m.change.Patched}} {
		o, err := side.object()
		if err != nil {
			return err
		}
		id, err := o.Func(side.atom)
		if err != nil {
			return err
		}
		e := o.Effects(id)
		m.calls = append(m.calls, e.Calls...)
		m.writes = append(m.writes, e.Writes...)
		m.reads = append(m.reads, e.Reads...)
		m.reads = append(m.reads, e.Takes...)
	}
	return nil
}

// between says how two functions communicate.
func between(a, b *member) []string {
	var out []string
	same := a.unit == b.unit
	call := func(from, to *member) {
		if slices.Contains(from.calls, to.change.Name) && (same || !to.unit.Diff.Orig.Local(to.change.Orig)) {
			out = append(out, from.change.Name+" calls "+to.change.Name)
		}
	}
	call(a, b)
	call(b, a)
	vars := map[string]bool{}
	share := func(from, to *member) {
		for _, v := range from.writes {
			if !vars[v] && (slices.Contains(to.reads, v) || slices.Contains(to.writes, v)) && (same || global(from.unit, v) && global(to.unit, v)) {
				vars[v] = true
				out = append(out, fmt.Sprintf("%s writes %s, which %s uses", from.change.Name, v, to.change.Name))
			}
		}
	}
	share(a, b)
	share(b, a)
	slices.Sort(out)
	return out
}

// global reports whether a variable's name means the same in other objects.
func global(u *analyze.Unit, name string) bool {
	for i := range u.Diff.Orig.Atoms {
		if a := elfdiff.AtomID(i); u.Diff.Orig.Atoms[i].Name == name {
			return !u.Diff.Orig.Local(a)
		}
	}
	return true
}
