package coupled

import (
	_ "embed"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/klpforge/klpforge/analyze"
	"github.com/klpforge/klpforge/analyze/code"
	"github.com/klpforge/klpforge/analyze/model"
	"github.com/klpforge/klpforge/elfdiff"
	"github.com/klpforge/klpforge/finding"
)

//go:embed doc.go
var doc string

// New makes the analyzer.
func New() *analyze.Analyzer {
	return &analyze.Analyzer{Code: true, Name: "coupled", Doc: analyze.PackageDoc(doc),
		Checks: analyze.Checks(finding.IDCoupled),
		Run:    run}
}

// member is one changed function with its effects, before and after together.
type member struct {
	unit                 *analyze.Unit
	change               elfdiff.Change
	calls, writes, reads []string
	contract             []string           // how it is called otherwise than before
	sides                [2]func() []string // variables that it writes before and after, or what it calls does
}

// tie is one way in which two functions communicate. It is firm when what passes
// between them is known to change.
type tie struct {
	text string
	firm bool
}

func run(pass *analyze.Pass) error {
	var list []*member
	for _, u := range pass.Units {
		for _, ch := range u.Replace {
			side := &member{unit: u, change: ch, contract: pass.NewContract(u, ch)}
			if err := side.look(); err != nil {
				pass.ReportChange(u, ch, finding.Finding{ID: finding.IDCoupled, Severity: finding.Note, Unknown: true,
					Evidence: []string{err.Error()},
					Message:  "what the function shares with others could not be found"})
				continue
			}
			list = append(list, side)
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
	why := map[int][]tie{}
	for i := range list {
		for j := i + 1; j < len(list); j++ {
			reasons := between(list[i], list[j])
			if len(reasons) == 0 {
				continue
			}
			left, right := find(i), find(j)
			if left > right {
				left, right = right, left
			}
			group[right] = left
			if left != right {
				why[left] = append(why[left], why[right]...)
			}
			why[left] = append(why[left], reasons...)
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
		found := finding.Finding{ID: finding.IDCoupled, Severity: finding.Note, Who: who,
			Message: fmt.Sprintf("%d changed functions communicate with each other; whether they must switch "+
				"together is not known", len(who)), Unknown: true,
			Remedy: "do not use the immediate flag, and do not force the transition, unless each of them works " +
				"beside the others' old code"}
		slices.SortStableFunc(why[i], func(a, b tie) int {
			switch {
			case a.firm && !b.firm:
				return -1
			case b.firm && !a.firm:
				return 1
			}
			return 0
		})
		for _, t := range why[i] {
			found.Evidence = append(found.Evidence, t.text)
		}
		if why[i][0].firm {
			found.Message, found.Unknown = fmt.Sprintf("%d changed functions communicate with each other and must "+
				"switch together", len(who)), false
			found.Remedy = "do not use the immediate flag, and do not force the transition"
		}
		pass.ReportChange(list[i].unit, list[i].change, found)
	}
	return nil
}

func (m *member) look() error {
	for i, side := range []struct {
		object func() (*code.Object, error)
		atom   elfdiff.AtomID
	}{{m.unit.Before, m.change.Orig}, {m.unit.After, m.change.Patched}} {
		obj, err := side.object()
		if err != nil {
			return err
		}
		id, err := obj.Func(side.atom)
		if err != nil {
			return err
		}
		e := obj.Effects(id)
		m.calls = append(m.calls, e.Calls...)
		m.writes = append(m.writes, e.Writes...)
		m.reads = append(m.reads, e.Reads...)
		m.reads = append(m.reads, e.Takes...)
		m.sides[i] = sync.OnceValue(func() []string { return m.written(obj, id) })
	}
	return nil
}

// rewrites reports whether the function writes a variable on one side only.
func (m *member) rewrites(v string) bool {
	return slices.Contains(m.sides[0](), v) != slices.Contains(m.sides[1](), v)
}

// written lists the variables that a function writes itself or through functions
// of its object that are not replaced, so that it does not matter which of them
// the compiler inlined, or the patch made functions of their own.
func (m *member) written(obj *code.Object, id model.FuncID) []string {
	var out []string
	seen := map[model.FuncID]bool{id: true}
	for todo := []model.FuncID{id}; len(todo) > 0; todo = todo[1:] {
		out = append(out, obj.Effects(todo[0]).Writes...)
		calls := obj.Model.Calls(todo[0])
		for i := range calls {
			t := calls[i].Target
			if t == model.NoFunc || seen[t] || slices.ContainsFunc(m.unit.Replace,
				func(ch elfdiff.Change) bool { return ch.Name == obj.Model.Func(t).Name }) {
				continue
			}
			seen[t] = true
			todo = append(todo, t)
		}
	}
	return out
}

// between says how two functions communicate, by name.
func between(first, second *member) []tie {
	var out []tie
	same := first.unit == second.unit
	call := func(from, to *member) {
		if slices.Contains(from.calls, to.change.Name) && (same || !to.unit.Diff.Orig.Local(to.change.Orig)) {
			t := tie{from.change.Name + " calls " + to.change.Name, len(to.contract) > 0}
			if t.firm {
				t.text += ": " + strings.Join(to.contract, "; ")
			}
			out = append(out, t)
		}
	}
	call(first, second)
	call(second, first)
	at := map[string]int{} // of a variable in out
	share := func(from, to *member) {
		for _, name := range from.writes {
			if (slices.Contains(to.reads, name) || slices.Contains(to.writes, name)) &&
				(same || global(from.unit, name) && global(to.unit, name)) {
				link := tie{fmt.Sprintf("%s writes %s, which %s uses", from.change.Name, name, to.change.Name),
					from.rewrites(name)}
				if link.firm {
					link.text += ", before or after but not both"
				}
				switch k, seen := at[name]; {
				case !seen:
					at[name] = len(out)
					out = append(out, link)
				case link.firm && !out[k].firm:
					out[k] = link
				}
			}
		}
	}
	share(first, second)
	share(second, first)
	slices.SortFunc(out, func(a, b tie) int { return strings.Compare(a.text, b.text) })
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
