package verdict

import (
	_ "embed"
	"fmt"
	"slices"
	"strings"

	"github.com/klpforge/klpforge/analyze"
	"github.com/klpforge/klpforge/analyze/code"
	"github.com/klpforge/klpforge/elfdiff"
)

//go:embed doc.go
var doc string

// New makes the analyzer. It rests on the findings of the others.
func New(requires ...*analyze.Analyzer) *analyze.Analyzer {
	return &analyze.Analyzer{Name: "verdict", Doc: analyze.PackageDoc(doc), Requires: requires, Run: run,
		Checks: []analyze.Check{{ID: "KLP401", Title: "verdict: safe to apply immediately"}, {ID: "KLP402", Title: "verdict: safe to force"}}}
}

func run(p *analyze.Pass) error {
	unit, change, against := single(p)
	if unit == nil && len(against) == 0 {
		return nil // nothing is patched
	}
	against = append(against, findings(p)...)
	var proof []string
	if len(against) == 0 {
		proof, against = compare(unit, change)
	}
	for _, v := range []struct{ id, safe, not, remedy string }{
		{"KLP401", "safe to apply immediately, as far as compiled code tells", "not shown to be safe immediately", "set the immediate flag where the target's interface has it; the consistency model works too"},
		{"KLP402", "safe to force, as far as compiled code tells", "not shown to be safe to force", "a forced livepatch can never be unloaded: force only a transition that does not end"},
	} {
		f := analyze.Finding{ID: v.id, Severity: analyze.Note}
		if unit != nil {
			f.Function, f.Object, f.Unit = change.Name, unit.Owner, unit.Object
		}
		if len(against) == 0 {
			f.Given, f.Message, f.Evidence, f.Remedy = true, v.safe, proof, v.remedy
		} else if v.id == "KLP401" {
			f.Message = v.not + ": " + against[0]
			f.Evidence = against[1:]
		} else {
			f.Message = v.not + ", for the same reasons"
		}
		p.Report(f)
	}
	return nil
}

// single returns the one changed function, or what stands against there being
// just one.
func single(p *analyze.Pass) (unit *analyze.Unit, change elfdiff.Change, against []string) {
	var names, travels []string
	for _, u := range p.Units {
		for _, ch := range u.Replace {
			unit, change = u, ch
			names = append(names, ch.Name)
		}
	}
	if len(names) == 0 {
		return nil, change, nil
	}
	for _, u := range p.Units {
		for _, ch := range slices.Concat(u.Diff.Functions, u.Diff.Data) {
			if ch.Kind == elfdiff.New && !ch.Init {
				travels = append(travels, ch.Name)
			}
		}
		for _, ch := range u.Diff.Data {
			if ch.Kind == elfdiff.Changed {
				against = append(against, "data changes: "+ch.Name)
			}
		}
	}
	slices.Sort(names)
	if len(names) > 1 {
		against = append([]string{fmt.Sprintf("%d functions change, and whether they may switch one by one is not known: %s", len(names), strings.Join(names, ", "))}, against...)
		unit = nil
	}
	if len(travels) > 0 {
		against = append(against, "new code or data travels along: "+strings.Join(travels, ", "))
	}
	return unit, change, against
}

// findings lists what the other checks say about consistency, and every error.
func findings(p *analyze.Pass) []string {
	var out []string
	for _, a := range p.Analyzer.Requires {
		for _, f := range p.Found(a) {
			if strings.HasPrefix(f.ID, "KLP2") && f.ID != "KLP213" || f.Severity == analyze.Error {
				out = append(out, f.Line())
			}
		}
	}
	return out
}

// messages are functions that only tell people something.
var messages = map[string]bool{"_printk": true, "printk": true, "_dev_err": true, "_dev_warn": true, "_dev_info": true, "_dev_notice": true, "__dynamic_pr_debug": true,
	"__dynamic_dev_dbg": true, "__warn_printk": true, "__stack_chk_fail": true, "netdev_err": true, "netdev_warn": true, "netdev_info": true}

func compare(u *analyze.Unit, ch elfdiff.Change) (proof, against []string) {
	var sides [2]code.Effects
	for i, side := range []struct {
		object func() (*code.Object, error)
		atom   elfdiff.AtomID
	}{{u.Before, ch.Orig}, {u.After, ch.Patched}} {
		o, err := side.object()
		if err != nil {
			return nil, []string{err.Error()}
		}
		id, err := o.Func(side.atom)
		if err != nil {
			return nil, []string{err.Error()}
		}
		sides[i] = o.Effects(id)
		sides[i].Calls = slices.Compact(slices.DeleteFunc(sides[i].Calls, func(n string) bool { return messages[n] }))
	}
	b, a := &sides[0], &sides[1]
	against = append(against, slices.Compact(slices.Sorted(slices.Values(slices.Concat(b.Unknown, a.Unknown))))...)
	same := func(what string, x, y []string) {
		if slices.Equal(x, y) {
			if len(x) == 0 {
				proof = append(proof, what+": none, before and after")
			} else {
				proof = append(proof, what+": the same before and after ("+strings.Join(x, ", ")+")")
			}
			return
		}
		var diff []string
		for _, s := range missing(x, y) {
			diff = append(diff, "no more: "+s)
		}
		for _, s := range missing(y, x) {
			diff = append(diff, "new: "+s)
		}
		against = append(against, what+" differ ("+strings.Join(diff, "; ")+")")
	}
	proof = append(proof, "one function changes, and no new code or data travels with it")
	same("functions called", b.Calls, a.Calls)
	same("lock primitives", b.Locks, a.Locks)
	same("variables written", b.Writes, a.Writes)
	same("variables whose address is used", b.Takes, a.Takes)
	same("stores", b.Stores, a.Stores)
	proof = append(proof, "not compared: values that are computed and then stored or passed on, and what callers make of an old and a new result in turn")
	return proof, against
}

// missing returns what x has more often than y.
func missing(x, y []string) []string {
	left := map[string]int{}
	for _, s := range y {
		left[s]++
	}
	var out []string
	for _, s := range x {
		if left[s]--; left[s] < 0 {
			out = append(out, s)
		}
	}
	return out
}
