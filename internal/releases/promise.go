package releases

import (
	"slices"

	"github.com/klpforge/klpforge/generate"
	"github.com/klpforge/klpforge/kernel/klpapi"
	"github.com/klpforge/klpforge/module/note"
	"github.com/klpforge/klpforge/plan"
	"github.com/klpforge/klpforge/release/manifest"
)

// Promise is what modules of the release will say of themselves, as far as the
// manifest and its patches tell: no kernel, no functions, and callbacks by kind
// only.
func Promise(m *manifest.Manifest) (*note.Note, error) {
	list, err := readPatches(m)
	if err != nil {
		return nil, err
	}
	p := plan.Plan{Name: ModuleName(m, "RELEASE"), Product: m.Name, Vendor: m.Vendor, Version: m.Version, Description: m.Description,
		Replace: m.Replaces(), Immediate: m.Immediate}
	for _, e := range list {
		for _, x := range e.patches {
			p.Patches = append(p.Patches, plan.Patch{Name: x.ID, Subject: x.Subject, IDs: x.IDs(), Content: x.Content()})
		}
	}
	for object, kinds := range m.Callbacks {
		has := func(kind string) string {
			if slices.Contains(kinds, kind) {
				return kind
			}
			return ""
		}
		p.Objects = append(p.Objects, plan.Object{Name: object, Callbacks: plan.Callbacks{PrePatch: has("pre_patch"), PostPatch: has("post_patch"),
			PreUnpatch: has("pre_unpatch"), PostUnpatch: has("post_unpatch")}})
	}
	p.Sort()
	for _, s := range m.States {
		p.States = append(p.States, plan.State(s))
	}
	for _, s := range m.Shadows {
		p.Shadows = append(p.Shadows, plan.Shadow(s))
	}
	for _, a := range m.Allow {
		p.Allowed = append(p.Allowed, plan.Allowed{ID: a.ID, Reason: a.Reason, From: "release manifest"})
	}
	return generate.NewNote(p, klpapi.API{}), nil
}
