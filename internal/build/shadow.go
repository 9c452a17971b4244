package build

import (
	"fmt"
	"slices"

	"github.com/klpforge/klpforge/analyze/code"
	"github.com/klpforge/klpforge/elfobj"
	"github.com/klpforge/klpforge/finding"
	"github.com/klpforge/klpforge/plan"
)

// shadowCalls are the functions that take an id of shadow variables, and which
// of their arguments it is (include/linux/livepatch.h, v6.1).
var shadowCalls = map[string]int{"klp_shadow_get": 1, "klp_shadow_alloc": 1, "klp_shadow_get_or_alloc": 1, "klp_shadow_free": 1, "klp_shadow_free_all": 0}

// shadows finds the ids of shadow variables that an extracted object uses, and
// says what is not declared or cannot be told.
func (r *run) shadows(u *unit, f *elfobj.File) error {
	arch, err := elfobj.ArchOf(f.Machine)
	if err != nil {
		return err
	}
	for i := range f.Sections {
		s := &f.Sections[i]
		for _, rel := range s.Relocs {
			arg, is := shadowCalls[f.Symbols[rel.Sym].Name]
			if !is {
				continue
			}
			id, ok := uint64(0), false
			if rel.Off > 0 && rel.Off <= uint64(len(s.Data)) && (s.Data[rel.Off-1] == 0xe8 || s.Data[rel.Off-1] == 0xe9) { // a call, or a jump at the end
				id, ok = code.ConstArg(arch, s.Data, int(rel.Off)-1, arg)
			}
			if !ok {
				r.problem(u, finding.Finding{ID: finding.IDDropped, Severity: finding.Warning, Symbol: f.Symbols[rel.Sym].Name, Section: s.Name,
					Message: "which id of shadow variables this call uses is not seen in the code", Remedy: "declare the id in the release manifest; nobody else may use it"})
				continue
			}
			if !slices.ContainsFunc(r.res.Plan.Shadows, func(x plan.Shadow) bool { return x.ID == id }) {
				r.res.Plan.Shadows = append(r.res.Plan.Shadows, plan.Shadow{ID: id})
				r.res.Notes = append(r.res.Notes, fmt.Sprintf("%s: uses the shadow variables %#x, which no manifest declares", u.object, id))
			}
		}
	}
	return nil
}
