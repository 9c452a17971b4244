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
	promised := plan.Plan{Name: ModuleName(m, "RELEASE"), Product: m.Name, Vendor: m.Vendor, Version: m.Version,
		Description: m.Description,
		Replace:     m.Replaces(), Immediate: m.Immediate}
	for _, listed := range list {
		for _, patch := range listed.patches {
			promised.Patches = append(promised.Patches, plan.Patch{Name: patch.ID, Subject: patch.Subject,
				IDs: patch.IDs(), Content: patch.Content()})
		}
	}

	// Callbacks have names in the patched source only: their kinds stand for them.
	for object, kinds := range m.Callbacks {
		has := func(kind string) string {
			if slices.Contains(kinds, kind) {
				return kind
			}
			return ""
		}
		promised.Objects = append(promised.Objects, plan.Object{Name: object,
			Callbacks: plan.Callbacks{PrePatch: has("pre_patch"), PostPatch: has("post_patch"),
				PreUnpatch: has("pre_unpatch"), PostUnpatch: has("post_unpatch")}})
	}
	promised.Sort()

	// What follows keeps the order of the manifest.
	for _, state := range m.States {
		promised.States = append(promised.States, plan.State(state))
	}
	for _, shadow := range m.Shadows {
		promised.Shadows = append(promised.Shadows, plan.Shadow(shadow))
	}
	for _, allowed := range m.Allow {
		promised.Allowed = append(promised.Allowed, plan.Allowed{ID: allowed.ID, Reason: allowed.Reason,
			From: "release manifest"})
	}
	return generate.NewNote(promised, klpapi.API{}), nil
}
