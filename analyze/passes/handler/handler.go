package handler

import (
	_ "embed"
	"fmt"
	"slices"
	"strings"

	"github.com/klpforge/klpforge/analyze"
	"github.com/klpforge/klpforge/analyze/kfuncs"
	"github.com/klpforge/klpforge/analyze/model"
	"github.com/klpforge/klpforge/finding"
	"github.com/klpforge/klpforge/kernel/klpapi"
	"github.com/klpforge/klpforge/plan"
)

//go:embed doc.go
var doc string

// New makes the analyzer.
func New() *analyze.Analyzer {
	return &analyze.Analyzer{Name: "handler", Doc: analyze.PackageDoc(doc), Checks: analyze.Checks(finding.IDPatchingPath), Run: run}
}

// ground is a part of the kernel that livepatching stands on.
type ground struct {
	message string
	part    string // what package kfuncs calls it
	holds   func(klpapi.API) bool
}

var grounds = []ground{
	{"livepatch's ftrace handler runs this function: it finds the old code there, whatever the task's state",
		kfuncs.PatchingHandler,
		func(klpapi.API) bool { return true }},
	{"the unwinder runs this function to decide which tasks may change over",
		kfuncs.PatchingUnwinder,
		func(f klpapi.API) bool { return f.Consistency }},
	{"the function runs where RCU may not be watching, which handlers before 4.13 rely on",
		kfuncs.PatchingRCU,
		func(f klpapi.API) bool { return !f.Callbacks || f.FuncImmediate }},
}

func run(p *analyze.Pass) error {
	features := klpapi.API{Consistency: true, Callbacks: true}
	if p.API != nil {
		features = *p.API
	}
	var whole *model.Model
	reached := map[*model.Model][]map[model.FuncID]model.FuncID{}
	for _, u := range p.Units {
		if len(u.Replace) == 0 || u.Owner != plan.Vmlinux {
			continue // nothing of this is in a module
		}
		m := whole
		if m == nil && p.Stacks != nil {
			r, err := p.Stacks()
			if err != nil {
				p.Report(finding.Finding{ID: finding.IDPatchingPath, Severity: finding.Note, Unknown: true, Object: u.Owner, Unit: u.Object, Evidence: []string{err.Error()},
					Message: "whether livepatching itself runs the changed functions could not be found"})
				return nil
			}
			whole, m = r.Model(), r.Model()
		}
		if m == nil {
			o, err := u.Before()
			if err != nil {
				continue // other checks say that the object cannot be decoded
			}
			m = o.Model
		}
		if reached[m] == nil {
			for _, g := range grounds {
				reached[m] = append(reached[m], below(m, kfuncs.Patching(g.part)))
			}
		}
		for _, ch := range u.Replace {
			for i, g := range grounds {
				if !g.holds(features) {
					continue
				}
				for _, id := range m.Lookup(u.Name(ch.Orig)) {
					if _, ok := reached[m][i][id]; ok {
						p.ReportChange(u, ch, finding.Finding{ID: finding.IDPatchingPath, Severity: finding.Warning, Message: g.message, Evidence: []string{way(m, reached[m][i], id)},
							Remedy: "leave the function as it is, or change its callers"})
						break
					}
				}
			}
		}
	}
	return nil
}

// below returns all that the roots call directly, each with who calls it; roots
// are there with themselves.
func below(m *model.Model, roots []string) map[model.FuncID]model.FuncID {
	from := map[model.FuncID]model.FuncID{}
	var work []model.FuncID
	for _, name := range roots {
		for _, id := range m.Lookup(name) {
			if _, seen := from[id]; !seen {
				from[id] = id
				work = append(work, id)
			}
		}
	}
	for len(work) > 0 {
		id := work[0]
		work = work[1:]
		for _, c := range m.Calls(id) {
			if c.Target == model.NoFunc || aside(m.Func(c.Target)) {
				continue
			}
			if _, seen := from[c.Target]; !seen {
				from[c.Target] = id
				work = append(work, c.Target)
			}
		}
	}
	return from
}

// aside tells functions that are not on the ordinary path.
func aside(f *model.Func) bool { return f.Flags&model.FuncNoReturn != 0 || kfuncs.Aside(f.Name) }

// way writes the calls that lead to a function.
func way(m *model.Model, from map[model.FuncID]model.FuncID, id model.FuncID) string {
	names := []string{m.Func(id).Name}
	for from[id] != id {
		id = from[id]
		names = append(names, m.Func(id).Name)
	}
	slices.Reverse(names)
	if len(names) == 1 {
		return names[0]
	}
	return fmt.Sprintf("called by %s", strings.Join(names, " → "))
}
