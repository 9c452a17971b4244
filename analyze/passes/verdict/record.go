package verdict

import (
	"encoding/json"
	"slices"

	"github.com/klpforge/klpforge/analyze"
	"github.com/klpforge/klpforge/finding"
	"github.com/klpforge/klpforge/kernel/klpapi"
	"github.com/klpforge/klpforge/plan"
)

// Record writes the verdicts among the findings into a plan, and what was asked for:
// that tasks need not be waited for, where the target's interface can say so, and that
// the transition may be forced, which loaders read from the module. The notes say where
// the wish and the verdict, or the interface, part.
func Record(planned *plan.Plan, findings []finding.Finding, api klpapi.API, immediate bool) (notes []finding.Remark) {
	// A verdict without its proofs is none.
	planned.Proofs = proofs(planned, findings, finding.IDForce)
	planned.Force = planned.Proofs != nil
	proven := proofs(planned, findings, finding.IDImmediate) != nil

	want := immediate || proven
	planned.Immediate = want && api.PatchImmediate
	for i := range planned.Objects {
		for j := range planned.Objects[i].Funcs {
			// What the author of the patch asked for function by function stays.
			f := &planned.Objects[i].Funcs[j]
			f.Immediate = f.Immediate || want && !api.PatchImmediate && api.FuncImmediate
		}
	}
	if immediate && !api.PatchImmediate && !api.FuncImmediate {
		notes = append(notes, finding.Remarkf(finding.RemarkLeftOut,
			"immediate: the target's livepatch interface has no such flag; left out"))
	}
	if immediate && !proven {
		notes = append(notes, finding.Remarkf(finding.RemarkPlain,
			"immediate: asked for, but not proven to be safe (%s)", finding.IDImmediate))
	}
	return notes
}

// proofs returns the certificates of a verdict that was given; nil when it was
// not, or when a function that the plan replaces has none.
func proofs(planned *plan.Plan, findings []finding.Finding, id finding.ID) []json.RawMessage {
	i := slices.IndexFunc(findings, func(f finding.Finding) bool { return f.ID == id && f.Given })
	if i < 0 || slices.ContainsFunc(findings, func(f finding.Finding) bool { return f.Severity >= finding.Warning }) {
		return nil // a later stage may have found something meanwhile
	}
	var out []json.RawMessage
	proven := map[string]int{}
	for _, cert := range analyze.Proofs(&findings[i]) {
		text, err := json.Marshal(cert)
		if err != nil {
			return nil
		}
		out = append(out, text)
		proven[cert.Function]++
	}
	for _, o := range planned.Objects {
		for _, f := range o.Funcs {
			if proven[f.Name]--; proven[f.Name] < 0 {
				return nil
			}
		}
	}
	return out
}
