package build

import (
	"slices"

	"github.com/klpforge/klpforge/analyze"
	"github.com/klpforge/klpforge/kernel/klpapi"
)

// verdicts writes what was proven, and what was asked for, into the plan: that
// tasks need not be waited for, where the target's interface can say so, and that
// the transition may be forced, which loaders read from the module.
func (r *run) verdicts(api klpapi.API) {
	given := func(id string) bool {
		return slices.ContainsFunc(r.res.Findings, func(f analyze.Finding) bool { return f.ID == id && f.Given })
	}
	p := &r.res.Plan
	p.Force = given("KLP402")
	want := r.opt.Immediate || given("KLP401")
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
	if r.opt.Immediate && !given("KLP401") {
		r.res.Notes = append(r.res.Notes, "immediate: asked for, but not shown to be safe (KLP401)")
	}
}
