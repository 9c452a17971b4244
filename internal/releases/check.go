package releases

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/klpforge/klpforge/finding"
	"github.com/klpforge/klpforge/module"
	"github.com/klpforge/klpforge/module/note"
	"github.com/klpforge/klpforge/release"
	"github.com/klpforge/klpforge/release/manifest"
)

// Check compares a finished module with the manifest that it should be of. Its
// patches are read again.
func Check(m *manifest.Manifest, info *module.Info) ([]finding.Finding, error) {
	out := []finding.Finding{}
	noted := info.Note
	wrong := func(format string, args ...any) {
		out = append(out, finding.Finding{ID: finding.IDSuccession, Severity: finding.Error,
			Message: fmt.Sprintf(format, args...), Remedy: "build it again from the manifest"})
	}
	if noted == nil {
		wrong("klpforge did not make this module")
		return out, nil
	}

	// What the module says of itself.
	for _, claim := range []struct{ what, got, want string }{
		{"the series", noted.Product, m.Name}, {"the vendor", noted.Vendor, m.Vendor},
		{"the version", noted.Version, m.Version},
		{"the module's name", noted.Name, ModuleName(m, noted.Release)},
		{"replace", fmt.Sprint(noted.Replace), fmt.Sprint(m.Replaces() && noted.API.Replace)},
	} {
		if claim.got != claim.want {
			wrong("%s is %q, the manifest says %q", claim.what, claim.got, claim.want)
		}
	}
	if !slices.ContainsFunc(m.Targets, func(target manifest.Target) bool { return target.Release == noted.Release }) {
		wrong("it is for %s, which is no target of the manifest", noted.Release)
	}
	if m.Signing != nil && !info.Signed {
		wrong("it is not signed")
	}
	checkStates(m, noted, wrong)

	// A note has the callbacks' names in the code, a manifest their kinds: only their number compares.
	have := map[string][]string{}
	for _, object := range noted.Objects {
		for _, callback := range object.Callbacks.Names() {
			have[object.Name] = append(have[object.Name], callback[0])
		}
	}
	for _, object := range slices.Sorted(maps.Keys(m.Callbacks)) {
		if got := have[object]; len(got) != len(m.Callbacks[object]) {
			wrong("%s has the callbacks [%s], the manifest says [%s]", object, strings.Join(got, " "),
				strings.Join(m.Callbacks[object], " "))
		}
	}
	list, err := readPatches(m)
	if err != nil {
		return nil, err
	}

	// Patches are known by their contents: a file may have changed since under its name.
	series, _ := forTarget(list, noted.Release)
	known := map[string]bool{}
	for _, patch := range series.Patches {
		known[patch.Content()] = true
	}
	for _, patch := range noted.Patches {
		if !known[patch.Content] {
			wrong("it holds patch %s, which the manifest does not have for this target, or not in this form",
				release.PatchLine(patch))
		}
	}
	return append(out, release.CheckModule(noted)...), nil
}

func checkStates(m *manifest.Manifest, n *note.Note, wrong func(string, ...any)) {
	if !n.API.States {
		return
	}
	want := map[uint64]uint32{}
	for _, state := range m.States {
		want[state.ID] = state.Version
	}
	for _, state := range n.States {
		if version, ok := want[state.ID]; !ok || version != state.Version {
			wrong("it has state %d in version %d, the manifest has not", state.ID, state.Version)
		}
		delete(want, state.ID)
	}
	for _, id := range slices.Sorted(maps.Keys(want)) {
		wrong("it lacks state %d", id)
	}
}
