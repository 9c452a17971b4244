package build

import (
	"encoding/json"
	"slices"

	"github.com/klpforge/klpforge/analyze"
	"github.com/klpforge/klpforge/finding"
	"github.com/klpforge/klpforge/kernel/klpapi"
)

// verdicts writes what was proven, and what was asked for, into the plan: that
// tasks need not be waited for, where the target's interface can say so, and that
// the transition may be forced, which loaders read from the module.
func (r *run) verdicts(api klpapi.API) {
	p := &r.res.Plan
	// A verdict without its proofs is none.
	p.Proofs = r.proofs(finding.IDForce)
	p.Force = p.Proofs != nil
	proven := r.proofs(finding.IDImmediate) != nil
	want := r.opt.Immediate || proven
	p.Immediate = want && api.PatchImmediate
	for i := range p.Objects {
		for j := range p.Objects[i].Funcs {
			// What the author of the patch asked for function by function stays.
			f := &p.Objects[i].Funcs[j]
			f.Immediate = f.Immediate || want && !api.PatchImmediate && api.FuncImmediate
		}
	}
	if r.opt.Immediate && !api.PatchImmediate && !api.FuncImmediate {
		r.res.Notes = append(r.res.Notes, "immediate: the target's livepatch interface has no such flag; left out")
	}
	if r.opt.Immediate && !proven {
		r.res.Notes = append(r.res.Notes, "immediate: asked for, but not proven to be safe (KLP401)")
	}
}

// proofs returns the certificates of a verdict that was given; nil when it was
// not, or when a function that the plan replaces has none.
func (r *run) proofs(id finding.ID) []json.RawMessage {
	i := slices.IndexFunc(r.res.Findings, func(f finding.Finding) bool { return f.ID == id && f.Given })
	if i < 0 || slices.ContainsFunc(r.res.Findings, func(f finding.Finding) bool { return f.Severity >= finding.Warning }) {
		return nil // a later stage may have found something meanwhile
	}
	var out []json.RawMessage
	proven := map[string]int{}
	for _, c := range analyze.Proofs(&r.res.Findings[i]) {
		text, err := json.Marshal(c)
		if err != nil {
			return nil
		}
		out = append(out, text)
		proven[c.Function]++
	}
	for _, o := range r.res.Plan.Objects {
		for _, f := range o.Funcs {
			if proven[f.Name]--; proven[f.Name] < 0 {
				return nil
			}
		}
	}
	return out
}
