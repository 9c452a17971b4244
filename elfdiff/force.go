package elfdiff

import (
	"slices"

	"github.com/klpforge/klpforge/finding"
)

// IdleForce names the functions that the patch's author marked as ones that may switch
// while they run, and that are not among those which the livepatch redirects.
func (r *Result) IdleForce(replaced []Change) []finding.Finding {
	var out []finding.Finding
	for _, fn := range r.Forced() {
		if slices.ContainsFunc(replaced, func(ch Change) bool { return ch.Patched == fn && !ch.Carried }) {
			continue
		}
		out = append(out, finding.Finding{ID: finding.IDDirective, Severity: finding.Note,
			Symbol:  r.Patched.Atoms[fn].Name,
			Message: "KPATCH_FORCE_UNSAFE has no effect: the function is not replaced",
			Remedy:  "take the macro out of the patch"})
	}
	return out
}

// CheckForce says what becomes of such a mark of a function that is redirected; nil
// when it has none. able says that the target can switch single functions at once.
func (r *Result) CheckForce(ch Change, able bool) *finding.Finding {
	if !slices.Contains(r.Forced(), ch.Patched) {
		return nil
	}
	warning := &finding.Finding{ID: finding.IDDirective, Severity: finding.Warning, Symbol: ch.Name,
		Message: "KPATCH_FORCE_UNSAFE: old and new code of this function run at once, without a check of the stacks"}
	if !able {
		warning.Message = "KPATCH_FORCE_UNSAFE has no effect: this kernel cannot switch single functions at once " +
			"(mainline: 4.12 to 4.15)"
		warning.Remedy = "take the macro out; if the transition stalls, force it for the whole livepatch by its " +
			"force attribute in sysfs"
	}
	return warning
}
