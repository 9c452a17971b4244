package release

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/klpforge/klpforge/finding"
	"github.com/klpforge/klpforge/module/note"
	"github.com/klpforge/klpforge/plan"
)

// CheckCallbacks compares the callbacks that patched sources brought with those that a
// release manifest promises for each object: "vmlinux": {"pre_patch"}. No promise for
// an object means that it has none.
func CheckCallbacks(objects []plan.Object, promised map[string][]string) []finding.Finding {
	have := map[string][]string{}
	for _, object := range objects {
		callbacks := note.Callbacks(object.Callbacks)
		for _, callback := range callbacks.Names() {
			have[object.Name] = append(have[object.Name], callback[0])
		}
	}
	all := maps.Clone(have)
	maps.Copy(all, promised)

	var out []finding.Finding
	for _, object := range slices.Sorted(maps.Keys(all)) {
		got, want := slices.Sorted(slices.Values(have[object])), slices.Sorted(slices.Values(promised[object]))
		if !slices.Equal(got, want) {
			out = append(out, finding.Finding{ID: finding.IDSuccession, Severity: finding.Error, Symbol: object,
				Message: fmt.Sprintf("the release manifest promises the callbacks [%s], the patched sources have [%s]",
					strings.Join(want, " "), strings.Join(got, " ")),
				Remedy: "correct the manifest or the sources"})
		}
	}
	return out
}

// UnknownShadow is the finding about a call whose id of shadow variables cannot be
// told: function is called, in a section of an object.
func UnknownShadow(function, section string) finding.Finding {
	return finding.Finding{ID: finding.IDDropped, Severity: finding.Warning, Symbol: function, Section: section,
		Message: "which id of shadow variables this call uses is not seen in the code",
		Remedy:  "declare the id in the release manifest; nobody else may use it"}
}
