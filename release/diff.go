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
		slices.SortFunc(list, func(a, b string) int { return cmp.Compare(slices.Index(order, a), slices.Index(order, b)) })
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
	File     string
	Manifest *note.Note
	// Promised says that there is no module yet: objects, functions and
	// callbacks are not known and are left out of the comparison.
	Promised bool
}

func (s Subject) side() Side {
	m := s.Manifest
	return Side{s.File, m.Name, m.Product, m.Vendor, m.Version, m.Release, m.Replace, !s.Promised}
}

// Compare compares two releases. Neither manifest may be nil; they are not
// changed.
func Compare(old, newer Subject) *Diff {
	d := &Diff{Schema: DiffSchema, Old: old.side(), New: newer.side(), Findings: []finding.Finding{}}
	a, b := old.Manifest, newer.Manifest
	d.Patches = comparePatches(a.Patches, b.Patches, b.Present)
	none := map[string]string{}
	d.Objects, d.Functions, d.Callbacks = compare(none, none), compare(none, none), compare(none, none)
	if !old.Promised && !newer.Promised {
		d.Objects = compare(objects(a), objects(b))
		d.Functions = compare(functions(a), functions(b))
		d.Callbacks = compare(callbacks(a), callbacks(b))
	}
	if old.Promised != newer.Promised {
		d.Findings = append(d.Findings, finding.Finding{ID: finding.IDDropped, Severity: finding.Note, Message: "one side is a manifest: functions are not compared"})
	}
	d.States = compare(states(a), states(b))
	d.StateVersions = stateVersions(a, b)
	d.Shadows = compare(shadows(a), shadows(b))
	d.Allowed = compare(allowed(a), allowed(b))
	d.judge(old, newer)
	return d
}

// compare compares two tables of names with their contents.
func compare(a, b map[string]string) Changes {
	c := Changes{Added: []string{}, Changed: []string{}, Dropped: []string{}, Kept: []string{}}
	for name, content := range b {
		if was, ok := a[name]; !ok {
			c.Added = append(c.Added, name)
		} else if was != content {
			c.Changed = append(c.Changed, name)
		} else {
			c.Kept = append(c.Kept, name)
		}
	}
	for name := range a {
		if _, ok := b[name]; !ok {
			c.Dropped = append(c.Dropped, name)
		}
	}
	slices.Sort(c.Added)
	slices.Sort(c.Changed)
	slices.Sort(c.Dropped)
	slices.Sort(c.Kept)
	return c
}

func objects(m *note.Note) map[string]string {
	out := map[string]string{}
	for _, o := range m.Objects {
		if len(o.Funcs) > 0 || o.Callbacks != nil {
			out[o.Name] = ""
		}
	}
	return out
}

// functions maps each replaced function to why it is replaced: the code itself
// is not in the note.
func functions(m *note.Note) map[string]string {
	out := map[string]string{}
	for _, o := range m.Objects {
		for _, f := range o.Funcs {
			out[functionName(o.Name, f)] = f.Content
		}
	}
	return out
}

func functionName(object string, f note.Func) string {
	name := object + ":" + f.Name
	if f.Sympos > 1 {
		name += fmt.Sprintf(",%d", f.Sympos)
	}
	return name
}

func callbacks(m *note.Note) map[string]string {
	out := map[string]string{}
	for _, o := range m.Objects {
		for _, c := range o.Callbacks.Names() {
			out[o.Name+":"+c[0]] = ""
		}
	}
	return out
}

func states(m *note.Note) map[string]string {
	out := map[string]string{}
	for _, s := range m.States {
		out[fmt.Sprint(s.ID)] = fmt.Sprint(s.Version)
	}
	return out
}

// stateVersions joins the states of both sides. The later meaning counts.
func stateVersions(a, b *note.Note) []StateVersion {
	byID := map[uint64]*StateVersion{}
	of := func(s note.State) *StateVersion {
		v := byID[s.ID]
		if v == nil {
			v = &StateVersion{ID: s.ID}
			byID[s.ID] = v
		}
		v.Meaning = cmp.Or(s.Meaning, v.Meaning)
		return v
	}
	for _, s := range a.States {
		of(s).Old = &s.Version
	}
	for _, s := range b.States {
		of(s).New = &s.Version
	}
	out := []StateVersion{}
	for _, id := range slices.Sorted(maps.Keys(byID)) {
		out = append(out, *byID[id])
	}
	return out
}

func shadows(m *note.Note) map[string]string {
	out := map[string]string{}
	for _, s := range m.Shadows {
		out[fmt.Sprintf("%#x", uint64(s.ID))] = ""
	}
	return out
}

func allowed(m *note.Note) map[string]string {
	out := map[string]string{}
	for _, a := range m.Allowed {
		out[string(a.ID)] = a.Reason
	}
	return out
}

// comparePatches pairs patches by content, then by an id, then by name. present
// are those that need not be in b.
func comparePatches(a, b, present []note.Patch) Changes {
	c := Changes{Added: []string{}, Changed: []string{}, Dropped: []string{}, Kept: []string{}}
	used := make([]bool, len(a))
	pairs := make([]int, len(b))
	for i := range pairs {
		pairs[i] = -1
	}
	for _, same := range []func(x, y *note.Patch) bool{
		func(x, y *note.Patch) bool { return x.Content != "" && x.Content == y.Content },
		func(x, y *note.Patch) bool {
			return slices.ContainsFunc(x.IDs, func(id string) bool { return slices.Contains(y.IDs, id) })
		},
		func(x, y *note.Patch) bool { return x.Name == y.Name },
	} {
		for j := range b {
			for i := range a {
				if pairs[j] < 0 && !used[i] && same(&a[i], &b[j]) {
					pairs[j], used[i] = i, true
				}
			}
		}
	}
	for j := range b {
		switch i := pairs[j]; {
		case i < 0:
			c.Added = append(c.Added, PatchLine(b[j]))
		case a[i].Content != b[j].Content:
			c.Changed = append(c.Changed, PatchLine(b[j]))
		default:
			c.Kept = append(c.Kept, PatchLine(b[j]))
		}
	}
	for i := range a {
		switch {
		case used[i]:
		case slices.ContainsFunc(present, func(p note.Patch) bool { return p.Content == a[i].Content }):
			c.Present = append(c.Present, PatchLine(a[i]))
		default:
			c.Dropped = append(c.Dropped, PatchLine(a[i]))
		}
	}
	return c
}

// PatchLine is one line about a patch: its subject, or name, and ids.
func PatchLine(p note.Patch) string {
	s := cmp.Or(p.Subject, p.Name)
	ids := slices.DeleteFunc(slices.Clone(p.IDs), func(id string) bool { return id == p.Name && p.Subject == "" })
	for i, id := range ids {
		if len(id) == 40 {
			ids[i] = id[:12]
		}
	}
	if len(ids) > 0 {
		s += " (" + strings.Join(ids, ", ") + ")"
	}
	return s
}
