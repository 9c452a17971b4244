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
	return &analyze.Analyzer{Code: true, Name: "handler", Doc: analyze.PackageDoc(doc),
		Checks: analyze.Checks(finding.IDPatchingPath), Run: run}
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

func run(pass *analyze.Pass) error {
	features := klpapi.API{Consistency: true, Callbacks: true}
	if pass.API != nil {
		features = *pass.API
	}
	var whole *model.Model
	reached := map[*model.Model][]map[model.FuncID]model.FuncID{}
	for _, unit := range pass.Units {
		if len(unit.Replace) == 0 || unit.Owner != plan.Vmlinux {
			continue // nothing of this is in a module
		}
		mod := whole
		if mod == nil && pass.Stacks != nil {
			result, err := pass.Stacks()
			if err != nil {
				pass.Report(finding.Finding{ID: finding.IDPatchingPath, Severity: finding.Note, Unknown: true,
					Object: unit.Owner, Unit: unit.Object, Evidence: []string{err.Error()},
					Message: "whether livepatching itself runs the changed functions could not be found"})
				return nil
			}
			whole, mod = result.Model(), result.Model()
		}
		if mod == nil {
			o, err := unit.Before()
			if err != nil {
				continue // other checks say that the object cannot be decoded
			}
			mod = o.Model
		}
		if reached[mod] == nil {
			for _, g := range grounds {
				reached[mod] = append(reached[mod], below(mod, kfuncs.Patching(g.part)))
			}
		}
		for _, ch := range unit.Replace {
			for i, reason := range grounds {
				if !reason.holds(features) {
					continue
				}
				for _, id := range mod.Lookup(unit.Name(ch.Orig)) {
					if _, ok := reached[mod][i][id]; ok {
						pass.ReportChange(unit, ch, finding.Finding{ID: finding.IDPatchingPath,
							Severity: finding.Warning, Message: reason.message,
							Evidence: []string{callPath(mod, reached[mod][i], id)},
							Remedy:   "leave the function as it is, or change its callers"})
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
func below(mod *model.Model, roots []string) map[model.FuncID]model.FuncID {
	from := map[model.FuncID]model.FuncID{}
	var work []model.FuncID
	for _, name := range roots {
		for _, id := range mod.Lookup(name) {
			if _, seen := from[id]; !seen {
				from[id] = id
				work = append(work, id)
			}
		}
	}
	for len(work) > 0 {
		id := work[0]
		work = work[1:]
		for _, call := range mod.Calls(id) {
			if call.Target == model.NoFunc || aside(mod.Func(call.Target)) {
				continue
			}
			if _, seen := from[call.Target]; !seen {
				from[call.Target] = id
				work = append(work, call.Target)
			}
		}
	}
	return from
}

// aside tells functions that are not on the ordinary path.
func aside(f *model.Func) bool { return f.Flags&model.FuncNoReturn != 0 || kfuncs.Aside(f.Name) }

// callPath writes the calls that lead to a function.
func callPath(m *model.Model, from map[model.FuncID]model.FuncID, id model.FuncID) string {
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
