package release

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/klpforge/klpforge/finding"
	"github.com/klpforge/klpforge/module/note"
)

// DiffSchema identifies the JSON form of Diff.
const DiffSchema = "klpforge.release-diff/v1"

// Side is one of the two that are compared.
type Side struct {
	File     string `json:"file,omitempty"`
	Name     string `json:"name"` // kernel module
	Product  string `json:"product,omitempty"`
	Vendor   string `json:"vendor,omitempty"`
	Version  string `json:"version,omitempty"`
	Release  string `json:"release,omitempty"` // kernel; empty for a release manifest
	Replace  bool   `json:"replace"`
	Compiled bool   `json:"compiled"` // functions and callbacks are known
}

// Changes names what one kind of content gained, lost and kept, each sorted but
// for patches, which keep their order.
type Changes struct {
	Added   []string `json:"added"`
	Changed []string `json:"changed"`
	Dropped []string `json:"dropped"`
	Kept    []string `json:"kept"` // as it was
	// Present is for patches: what the old one changed and the source of the
	// new one's kernel has already. It is not among the dropped.
	Present []string `json:"present,omitempty"`
}

// Any reports whether there is a difference.
func (c Changes) Any() bool {
	return len(c.Added)+len(c.Changed)+len(c.Dropped)+len(c.Present) > 0
}

// ByObject joins names "object:callback" that share an object and a fate into
// "object: callback callback", in the order in which the kernel calls them.
func (c Changes) ByObject() Changes {
	return Changes{byObject(c.Added), byObject(c.Changed), byObject(c.Dropped), byObject(c.Kept), byObject(c.Present)}
}

func byObject(names []string) []string {
	order := []string{"pre_patch", "post_patch", "pre_unpatch", "post_unpatch"}
	of := map[string][]string{}
	for _, n := range names {
		object, callback, _ := strings.Cut(n, ":")
		of[object] = append(of[object], callback)
	}
	out := []string{}
	for _, object := range slices.Sorted(maps.Keys(of)) {
		list := of[object]
		slices.SortFunc(list, func(a, b string) int {
			return cmp.Compare(slices.Index(order, a), slices.Index(order, b))
		})
		out = append(out, object+": "+strings.Join(list, " "))
	}
	return out
}

// Diff is the comparison of two releases.
type Diff struct {
	Schema    string  `json:"schema"`
	Old       Side    `json:"old"`
	New       Side    `json:"new"`
	Patches   Changes `json:"patches"`
	Objects   Changes `json:"objects"`
	Functions Changes `json:"functions"`
	Callbacks Changes `json:"callbacks"`
	States    Changes `json:"states"`
	Shadows   Changes `json:"shadows"`
	Allowed   Changes `json:"allowed"`
	// StateVersions tells of every state on either side, by id.
	StateVersions []StateVersion `json:"state_versions"`

	Upgrade    Verdict `json:"upgrade"`
	Downgrade  Verdict `json:"downgrade"`
	SideBySide Verdict `json:"side_by_side"`
	// Findings are what a person should know beside the verdicts.
	Findings []finding.Finding `json:"findings"`
}

// StateVersion is one system state on both sides.
type StateVersion struct {
	ID      uint64  `json:"id"`
	Old     *uint32 `json:"old"` // null where the side does not know the state
	New     *uint32 `json:"new"`
	Meaning string  `json:"meaning,omitempty"`
}

// Subject is a livepatch to compare: a finished module, or what a release
// manifest promises.
type Subject struct {
	File string
	Note *note.Note
	// Promised says that there is no module yet: objects, functions and
	// callbacks are not known and are left out of the comparison.
	Promised bool
}

func (s Subject) side() Side {
	m := s.Note
	return Side{s.File, m.Name, m.Product, m.Vendor, m.Version, m.Release, m.Replace, !s.Promised}
}

// Compare compares two releases. Neither note may be nil; they are not
// changed.
func Compare(old, newer Subject) *Diff {
	diff := &Diff{Schema: DiffSchema, Old: old.side(), New: newer.side(), Findings: []finding.Finding{}}
	oldNote, newNote := old.Note, newer.Note
	diff.Patches = comparePatches(oldNote.Patches, newNote.Patches, newNote.Present)
	none := map[string]string{}
	diff.Objects, diff.Functions, diff.Callbacks = compare(none, none), compare(none, none), compare(none, none)
	if !old.Promised && !newer.Promised {
		diff.Objects = compare(objects(oldNote), objects(newNote))
		diff.Functions = compare(functions(oldNote), functions(newNote))
		diff.Callbacks = compare(callbacks(oldNote), callbacks(newNote))
	}
	if old.Promised != newer.Promised {
		diff.Findings = append(diff.Findings, finding.Finding{ID: finding.IDDropped, Severity: finding.Note,
			Message: "one side is a manifest: functions are not compared"})
	}
	diff.States = compare(states(oldNote), states(newNote))
	diff.StateVersions = stateVersions(oldNote, newNote)
	diff.Shadows = compare(shadows(oldNote), shadows(newNote))
	diff.Allowed = compare(allowed(oldNote), allowed(newNote))
	diff.judge(old, newer)
	return diff
}

// compare compares two tables of names with their contents.
func compare(old, newer map[string]string) Changes {
	changes := Changes{Added: []string{}, Changed: []string{}, Dropped: []string{}, Kept: []string{}}
	for name, content := range newer {
		if was, ok := old[name]; !ok {
			changes.Added = append(changes.Added, name)
		} else if was != content {
			changes.Changed = append(changes.Changed, name)
		} else {
			changes.Kept = append(changes.Kept, name)
		}
	}
	for name := range old {
		if _, ok := newer[name]; !ok {
			changes.Dropped = append(changes.Dropped, name)
		}
	}
	slices.Sort(changes.Added)
	slices.Sort(changes.Changed)
	slices.Sort(changes.Dropped)
	slices.Sort(changes.Kept)
	return changes
}

func objects(recorded *note.Note) map[string]string {
	out := map[string]string{}
	for _, object := range recorded.Objects {
		if len(object.Funcs) > 0 || object.Callbacks != nil {
			out[object.Name] = ""
		}
	}
	return out
}

// functions maps each replaced function to why it is replaced: the code itself
// is not in the note.
func functions(recorded *note.Note) map[string]string {
	out := map[string]string{}
	for _, object := range recorded.Objects {
		for _, fn := range object.Funcs {
			out[functionName(object.Name, fn)] = fn.Content
		}
	}
	return out
}

func functionName(object string, fn note.Func) string {
	name := object + ":" + fn.Name
	if fn.Sympos > 1 {
		name += fmt.Sprintf(",%d", fn.Sympos)
	}
	return name
}

func callbacks(recorded *note.Note) map[string]string {
	out := map[string]string{}
	for _, object := range recorded.Objects {
		for _, callback := range object.Callbacks.Names() {
			out[object.Name+":"+callback[0]] = ""
		}
	}
	return out
}

func states(recorded *note.Note) map[string]string {
	out := map[string]string{}
	for _, s := range recorded.States {
		out[fmt.Sprint(s.ID)] = fmt.Sprint(s.Version)
	}
	return out
}

// stateVersions joins the states of both sides. The later meaning counts.
func stateVersions(old, newer *note.Note) []StateVersion {
	byID := map[uint64]*StateVersion{}
	of := func(recorded note.State) *StateVersion {
		versions := byID[recorded.ID]
		if versions == nil {
			versions = &StateVersion{ID: recorded.ID}
			byID[recorded.ID] = versions
		}
		versions.Meaning = cmp.Or(recorded.Meaning, versions.Meaning)
		return versions
	}
	for _, recorded := range old.States {
		of(recorded).Old = &recorded.Version
	}
	for _, recorded := range newer.States {
		of(recorded).New = &recorded.Version
	}
	out := []StateVersion{}
	for _, id := range slices.Sorted(maps.Keys(byID)) {
		out = append(out, *byID[id])
	}
	return out
}

func shadows(recorded *note.Note) map[string]string {
	out := map[string]string{}
	for _, s := range recorded.Shadows {
		out[fmt.Sprintf("%#x", uint64(s.ID))] = ""
	}
	return out
}

func allowed(recorded *note.Note) map[string]string {
	out := map[string]string{}
	for _, a := range recorded.Allowed {
		out[string(a.ID)] = a.Reason
	}
	return out
}

// comparePatches pairs patches by content, then by an id, then by name. present
// are those that need not be in b.
func comparePatches(old, newer, present []note.Patch) Changes {
	changes := Changes{Added: []string{}, Changed: []string{}, Dropped: []string{}, Kept: []string{}}
	used := make([]bool, len(old))
	pairs := make([]int, len(newer))
	for i := range pairs {
		pairs[i] = -1
	}

	// By contents first: a patch that was only renamed is the same. Then by what it is known by,
	// then by its name.
	for _, same := range []func(x, y *note.Patch) bool{
		func(x, y *note.Patch) bool { return x.Content != "" && x.Content == y.Content },
		func(x, y *note.Patch) bool {
			return slices.ContainsFunc(x.IDs, func(id string) bool { return slices.Contains(y.IDs, id) })
		},
		func(x, y *note.Patch) bool { return x.Name == y.Name },
	} {
		for j := range newer {
			for i := range old {
				if pairs[j] < 0 && !used[i] && same(&old[i], &newer[j]) {
					pairs[j], used[i] = i, true
				}
			}
		}
	}

	for j := range newer {
		switch i := pairs[j]; {
		case i < 0:
			changes.Added = append(changes.Added, PatchLine(newer[j]))
		case old[i].Content != newer[j].Content:
			changes.Changed = append(changes.Changed, PatchLine(newer[j]))
		default:
			changes.Kept = append(changes.Kept, PatchLine(newer[j]))
		}
	}

	// What is gone from the release may have come with the kernel, and then nothing is lost.
	for i := range old {
		switch {
		case used[i]:
		case slices.ContainsFunc(present, func(p note.Patch) bool { return p.Content == old[i].Content }):
			changes.Present = append(changes.Present, PatchLine(old[i]))
		default:
			changes.Dropped = append(changes.Dropped, PatchLine(old[i]))
		}
	}
	return changes
}

// PatchLine is one line about a patch: its subject, or name, and ids.
func PatchLine(patch note.Patch) string {
	line := cmp.Or(patch.Subject, patch.Name)
	ids := slices.DeleteFunc(slices.Clone(patch.IDs),
		func(id string) bool { return id == patch.Name && patch.Subject == "" })
	for i, id := range ids {
		if len(id) == 40 {
			ids[i] = id[:12]
		}
	}
	if len(ids) > 0 {
		line += " (" + strings.Join(ids, ", ") + ")"
	}
	return line
}
