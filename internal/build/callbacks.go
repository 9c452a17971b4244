package build

import (
	"fmt"
	"slices"

	"github.com/klpforge/klpforge/elfdiff"
	"github.com/klpforge/klpforge/finding"
	"github.com/klpforge/klpforge/plan"
)

// keepCallbacks adds the unit's callbacks to what is extracted.
func keepCallbacks(u *unit, opt *elfdiff.ExtractOptions) {
	for _, cb := range u.diff.Callbacks() {
		if !slices.Contains(opt.Keep, cb.Func) {
			opt.Keep = append(opt.Keep, cb.Func)
		}
	}
}

// registerCallbacks puts the callbacks of an extracted unit on the plan. The
// kernel calls one of a kind for an object.
func (r *run) registerCallbacks(u *unit, callbacks []elfdiff.Callback, symbols map[elfdiff.AtomID]string) {
	for _, cb := range callbacks {
		o := r.planObject(u.owner)
		field := map[string]*string{
			"pre_patch": &o.Callbacks.PrePatch, "post_patch": &o.Callbacks.PostPatch,
			"pre_unpatch": &o.Callbacks.PreUnpatch, "post_unpatch": &o.Callbacks.PostUnpatch,
		}[cb.Kind]
		if *field != "" {
			r.problem(u, finding.Finding{ID: finding.IDCallbacks, Severity: finding.Error, Symbol: symbols[cb.Func],
				Message: fmt.Sprintf("%s has two %s callbacks, this one and %s; the kernel calls one", u.owner, cb.Kind, *field),
				Remedy:  "register one function that calls both"})
			continue
		}
		*field = symbols[cb.Func]
	}
}

// planObject returns the plan's entry for vmlinux or a module. It is valid until
// the next call.
func (r *run) planObject(name string) *plan.Object {
	list := &r.res.Plan.Objects
	i := slices.IndexFunc(*list, func(o plan.Object) bool { return o.Name == name })
	if i < 0 {
		i = len(*list)
		*list = append(*list, plan.Object{Name: name})
	}
	return &(*list)[i]
}

// forced says what becomes of the wish that a function may switch while it
// runs: whether klp_func.immediate is set.
func (r *run) forced(u *unit, ch elfdiff.Change) bool {
	if !slices.Contains(u.diff.Forced(), ch.Patched) {
		return false
	}
	if api, err := r.target.K.API(); err == nil && api.FuncImmediate {
		r.problem(u, finding.Finding{ID: finding.IDDirective, Severity: finding.Warning, Symbol: ch.Name,
			Message: "KPATCH_FORCE_UNSAFE: old and new code of this function run at once, without a check of the stacks"})
		return true
	}
	r.problem(u, finding.Finding{ID: finding.IDDirective, Severity: finding.Warning, Symbol: ch.Name,
		Message: "KPATCH_FORCE_UNSAFE has no effect: this kernel cannot switch single functions at once (mainline: 4.12 to 4.15)",
		Remedy:  "take the macro out; if the transition stalls, force it for the whole livepatch by its force attribute in sysfs"})
	return false
}

// forcedForNothing names the macros for functions that are not replaced.
func (r *run) forcedForNothing(u *unit) {
	for _, fn := range u.diff.Forced() {
		if !slices.ContainsFunc(u.replace, func(ch elfdiff.Change) bool { return ch.Patched == fn && !ch.Along }) {
			r.problem(u, finding.Finding{ID: finding.IDDirective, Severity: finding.Note, Symbol: u.diff.Patched.Atoms[fn].Name,
				Message: "KPATCH_FORCE_UNSAFE has no effect: the function is not replaced", Remedy: "take the macro out of the patch"})
		}
	}
}
