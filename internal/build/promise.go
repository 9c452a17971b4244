package build

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/klpforge/klpforge/finding"
	"github.com/klpforge/klpforge/generate"
	"github.com/klpforge/klpforge/kernel/klpapi"
	"github.com/klpforge/klpforge/module/note"
	"github.com/klpforge/klpforge/release"
)

// thisPatch is the variable through which patched sources reach the struct
// klp_patch of the livepatch that they become part of, for klp_get_state().
const thisPatch = "klpforge_patch"

// checkCallbacks compares the callbacks that the sources brought with those
// that the release promises.
func (r *run) checkCallbacks() {
	if r.opt.Callbacks == nil {
		return
	}
	have := map[string][]string{}
	for _, o := range r.res.Plan.Objects {
		callbacks := note.Callbacks(o.Callbacks)
		for _, c := range callbacks.Names() {
			have[o.Name] = append(have[o.Name], c[0])
		}
	}
	for _, object := range slices.Sorted(maps.Keys(joined(have, r.opt.Callbacks))) {
		got, want := have[object], slices.Sorted(slices.Values(r.opt.Callbacks[object]))
		if slices.Sort(got); !slices.Equal(got, want) {
			r.problem(nil, finding.Finding{ID: finding.IDSuccession, Severity: finding.Error, Symbol: object,
				Message: fmt.Sprintf("the release manifest promises the callbacks [%s], the patched sources have [%s]", strings.Join(want, " "), strings.Join(got, " ")),
				Remedy:  "correct the manifest or the sources"})
		}
	}
}

func joined(a, b map[string][]string) map[string][]string {
	out := maps.Clone(a)
	maps.Copy(out, b)
	return out
}

// judgeCallbacks says what callbacks would leave behind.
func (r *run) judgeCallbacks() {
	p := r.res.Plan
	p.Replace = !r.opt.NoReplace
	for _, f := range release.CheckModule(generate.NewNote(p, klpapi.API{})) {
		r.problem(nil, f)
	}
}
