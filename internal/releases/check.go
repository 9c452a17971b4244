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
	n := info.Note
	wrong := func(format string, args ...any) {
		out = append(out, finding.Finding{ID: finding.IDSuccession, Severity: finding.Error, Message: fmt.Sprintf(format, args...), Remedy: "build it again from the manifest"})
	}
	if n == nil {
		wrong("klpforge did not make this module")
		return out, nil
	}
	for _, x := range []struct{ what, got, want string }{
		{"the series", n.Product, m.Name}, {"the vendor", n.Vendor, m.Vendor}, {"the version", n.Version, m.Version},
		{"the module's name", n.Name, ModuleName(m, n.Release)}, {"replace", fmt.Sprint(n.Replace), fmt.Sprint(m.Replaces() && n.API.Replace)},
	} {
		if x.got != x.want {
			wrong("%s is %q, the manifest says %q", x.what, x.got, x.want)
		}
	}
	if !slices.ContainsFunc(m.Targets, func(t manifest.Target) bool { return t.Release == n.Release }) {
		wrong("it is for %s, which is no target of the manifest", n.Release)
	}
	if m.Signing != nil && !info.Signed {
		wrong("it is not signed")
	}
	checkStates(m, n, wrong)
	have := map[string][]string{}
	for _, o := range n.Objects {
		for _, c := range o.Callbacks.Names() {
			have[o.Name] = append(have[o.Name], c[0])
		}
	}
	for _, object := range slices.Sorted(maps.Keys(m.Callbacks)) {
		if got := have[object]; len(got) != len(m.Callbacks[object]) {
			wrong("%s has the callbacks [%s], the manifest says [%s]", object, strings.Join(got, " "), strings.Join(m.Callbacks[object], " "))
		}
	}
	list, err := readPatches(m)
	if err != nil {
		return nil, err
	}
	series, _ := forTarget(list, n.Release)
	known := map[string]bool{}
	for _, p := range series.Patches {
		known[p.Content()] = true
	}
	for _, p := range n.Patches {
		if !known[p.Content] {
			wrong("it holds patch %s, which the manifest does not have for this target, or not in this form", release.PatchLine(p))
		}
	}
	return append(out, release.CheckModule(n)...), nil
}

func checkStates(m *manifest.Manifest, n *note.Note, wrong func(string, ...any)) {
	if !n.API.States {
		return
	}
	want := map[uint64]uint32{}
	for _, s := range m.States {
		want[s.ID] = s.Version
	}
	for _, s := range n.States {
		if v, ok := want[s.ID]; !ok || v != s.Version {
			wrong("it has state %d in version %d, the manifest has not", s.ID, s.Version)
		}
		delete(want, s.ID)
	}
	for _, id := range slices.Sorted(maps.Keys(want)) {
		wrong("it lacks state %d", id)
	}
}
