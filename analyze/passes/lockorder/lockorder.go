package lockorder

import (
	"cmp"
	_ "embed"
	"fmt"
	"slices"
	"strings"

	"github.com/klpforge/klpforge/analyze"
	"github.com/klpforge/klpforge/analyze/code"
	"github.com/klpforge/klpforge/analyze/locks"
	"github.com/klpforge/klpforge/elfdiff"
	"github.com/klpforge/klpforge/finding"
)

//go:embed doc.go
var doc string

// New makes the analyzer.
func New() *analyze.Analyzer {
	return &analyze.Analyzer{Code: true, Name: "lockorder", Doc: analyze.PackageDoc(doc),
		Checks: analyze.Checks(finding.IDLockOrder), Run: run}
}

// pair is one lock waited for while another is held.
type pair struct{ first, second string }

func (p pair) turned() pair { return pair{p.second, p.first} }

// seen is where a pair occurs.
type seen struct {
	locks.Order
	holder string
	at     string
	why    locks.Why
}

func callPath(s seen) string { return strings.Join(append([]string{s.holder}, s.Via...), " -> ") }

func run(pass *analyze.Pass) error {
	for _, unit := range pass.Units {
		if len(unit.Replace) == 0 {
			continue
		}
		before, after, ok := unit.Sides()
		if !ok {
			continue // other checks say that the object cannot be decoded
		}
		compared(pass, unit, before, after)
		old, newer := orders(before), orders(after)
		by := map[string][]pair{}
		for x := range newer {
			if len(old[x]) == 0 {
				if name := culprit(unit, newer[x]); name != "" {
					by[name] = append(by[name], x)
				}
			}
		}
		for _, ch := range unit.Replace {
			list := by[ch.Name]
			slices.SortFunc(list, func(a, b pair) int { return strings.Compare(a.first+a.second, b.first+b.second) })
			if err := report(pass, unit, ch, after, list, old, newer); err != nil {
				return err
			}
		}
	}
	return nil
}

// shortest picks what is easiest to follow.
func shortest(list []seen) seen {
	return slices.MinFunc(list, func(a, b seen) int { return cmp.Compare(len(a.Via), len(b.Via)) })
}

// orders lists the pairs of an object. Global locks go by name; others by name
// within one function.
func orders(obj *code.Object) map[pair][]seen {
	out := map[pair][]seen{}
	flows := obj.Flows()
	for i := range obj.Model.Funcs {
		flow := flows.Flow(obj.ID(i))
		if flow == nil {
			continue
		}
		holder := obj.Model.Funcs[i].Name
		for _, x := range flow.Orders {
			k := pair{name(obj, holder, x.First), name(obj, holder, x.Second)}
			out[k] = append(out[k], seen{Order: x, holder: holder, at: obj.Place(x.Site), why: flow.Unknown})
		}
	}
	return out
}

// name is a lock's name without the way in which it is taken.
func name(o *code.Object, fn string, l locks.Lock) string {
	l.Kind = l.Kind.Family()
	n := o.LockName(l)
	if l.Path.Root != locks.RootGlobal {
		n += " of " + fn
	}
	return n
}

// culprit is the changed function that a pair comes about by.
func culprit(u *analyze.Unit, list []seen) string {
	for _, s := range list {
		for _, name := range slices.Backward(append([]string{s.holder}, s.Via...)) {
			if slices.ContainsFunc(u.Replace, func(ch elfdiff.Change) bool { return ch.Name == name }) {
				return name
			}
		}
	}
	return ""
}

func report(pass *analyze.Pass, unit *analyze.Unit, ch elfdiff.Change, obj *code.Object, list []pair, old,
	newer map[pair][]seen) error {
	// An order that something else turns round is a deadlock; one that is merely new is told.
	inverted := finding.Finding{ID: finding.IDLockOrder, Severity: finding.Warning,
		Remedy: "keep the old order (a trylock with a way back does), or go in two steps with a livepatch between " +
			"that takes neither lock under the other"}
	fresh := finding.Finding{ID: finding.IDLockOrder, Severity: finding.Note, Unknown: true,
		Message: "newly takes a lock while it holds another; whether other code takes them the other way round is " +
			"not known",
		Remedy: "see in which order the rest of the kernel takes these locks"}

	lasting, elsewhere := false, false
	for _, order := range list {
		first := shortest(newer[order])
		line := fmt.Sprintf("new code holds %s and takes %s at %s: %s", order.first, order.second, first.at, callPath(first))
		was := old[order.turned()]
		if len(was) == 0 {
			far, err := inKernel(pass, obj, first.Order)
			if err != nil {
				return err
			}
			if far != "" {
				elsewhere = true
				inverted.Evidence = append(inverted.Evidence, line,
					"the rest of the kernel takes them the other way round: "+far)
				continue
			}
			fresh.Evidence = append(fresh.Evidence, line)
			continue
		}
		o := shortest(was)
		if first.why == 0 && o.why == 0 {
			inverted.Severity = finding.Error
		}
		inverted.Evidence = append(inverted.Evidence, line,
			fmt.Sprintf("old code holds %s and takes %s at %s: %s", order.second, order.first, o.at, callPath(o)))
		for _, s := range was {
			if !slices.Contains(inverted.Who, s.holder) {
				inverted.Who = append(inverted.Who, s.holder)
			}
		}
		if still := newer[order.turned()]; len(still) > 0 {
			lasting = true
			inverted.Evidence = append(inverted.Evidence, "unpatched code keeps the old order: "+callPath(shortest(still)))
		}
	}

	if len(inverted.Evidence) > 0 {
		switch {
		case lasting:
			inverted.Message = "takes locks in another order than old code, and than code that stays: tasks wait for " +
				"each other for ever, during the transition and after it"
		case elsewhere && len(inverted.Who) == 0:
			inverted.Message = "takes locks in another order than the rest of the kernel: tasks may wait for each " +
				"other for ever"
		default:
			inverted.Message = "takes locks in another order than old code: during the transition an old and a new " +
				"task wait for each other for ever"
		}
		inverted.Unknown = inverted.Severity == finding.Warning
		pass.ReportChange(unit, ch, inverted)
	}

	if len(fresh.Evidence) > 0 {
		pass.ReportChange(unit, ch, fresh)
	}
	return nil
}
