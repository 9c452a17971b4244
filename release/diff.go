package release

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/klpforge/klpforge/elfdiff"
	"github.com/klpforge/klpforge/generate"
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

// Changes names what one kind of content gained and lost, each sorted but for
// patches, which keep their order.
type Changes struct {
	Added   []string `json:"added"`
	Changed []string `json:"changed"`
	Dropped []string `json:"dropped"`
}

// Any reports whether there is a difference.
func (c Changes) Any() bool { return len(c.Added)+len(c.Changed)+len(c.Dropped) > 0 }

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

	Upgrade    Verdict `json:"upgrade"`
	Downgrade  Verdict `json:"downgrade"`
	SideBySide Verdict `json:"side_by_side"`
	// Findings are what a person should know beside the verdicts.
	Findings []Finding `json:"findings"`
}

// Subject is a livepatch to compare: a finished module, or what a release
// manifest promises.
type Subject struct {
	File     string
	Manifest *generate.Manifest
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
func Compare(old, new Subject) *Diff {
	d := &Diff{Schema: DiffSchema, Old: old.side(), New: new.side(), Findings: []Finding{}}
	a, b := old.Manifest, new.Manifest
	d.Patches = comparePatches(a.Patches, b.Patches)
	none := map[string]string{}
	d.Objects, d.Functions, d.Callbacks = compare(none, none), compare(none, none), compare(none, none)
	if !old.Promised && !new.Promised {
		d.Objects = compare(objects(a), objects(b))
		d.Functions = compare(functions(a), functions(b))
		d.Callbacks = compare(callbacks(a), callbacks(b))
	}
	if old.Promised != new.Promised {
		d.Findings = append(d.Findings, Finding{ID: "KLP404", Severity: elfdiff.Note, Message: "one side is a manifest: functions are not compared"})
	}
	d.States = compare(states(a), states(b))
	d.Shadows = compare(shadows(a), shadows(b))
	d.Allowed = compare(allowed(a), allowed(b))
	d.judge(old, new)
	return d
}

// compare compares two tables of names with their contents.
func compare(a, b map[string]string) Changes {
	c := Changes{Added: []string{}, Changed: []string{}, Dropped: []string{}}
	for name, content := range b {
		if was, ok := a[name]; !ok {
			c.Added = append(c.Added, name)
		} else if was != content {
			c.Changed = append(c.Changed, name)
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
	return c
}

func objects(m *generate.Manifest) map[string]string {
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
func functions(m *generate.Manifest) map[string]string {
	out := map[string]string{}
	for _, o := range m.Objects {
		for _, f := range o.Funcs {
			out[functionName(o.Name, f)] = f.Content
		}
	}
	return out
}

func functionName(object string, f generate.ManifestFunc) string {
	name := object + ":" + f.Name
	if f.Sympos > 1 {
		name += fmt.Sprintf(",%d", f.Sympos)
	}
	return name
}

func callbacks(m *generate.Manifest) map[string]string {
	out := map[string]string{}
	for _, o := range m.Objects {
		for _, c := range o.Callbacks.Names() {
			out[o.Name+":"+c[0]] = ""
		}
	}
	return out
}

func states(m *generate.Manifest) map[string]string {
	out := map[string]string{}
	for _, s := range m.States {
		out[fmt.Sprint(s.ID)] = fmt.Sprint(s.Version)
	}
	return out
}

func shadows(m *generate.Manifest) map[string]string {
	out := map[string]string{}
	for _, s := range m.Shadows {
		out[fmt.Sprintf("%#x", uint64(s.ID))] = ""
	}
	return out
}

func allowed(m *generate.Manifest) map[string]string {
	out := map[string]string{}
	for _, a := range m.Allowed {
		out[a.ID] = a.Reason
	}
	return out
}

// comparePatches pairs patches by content, then by an id, then by name.
func comparePatches(a, b []generate.ManifestPatch) Changes {
	c := Changes{Added: []string{}, Changed: []string{}, Dropped: []string{}}
	used := make([]bool, len(a))
	pairs := make([]int, len(b))
	for i := range pairs {
		pairs[i] = -1
	}
	for _, same := range []func(x, y *generate.ManifestPatch) bool{
		func(x, y *generate.ManifestPatch) bool { return x.Content != "" && x.Content == y.Content },
		func(x, y *generate.ManifestPatch) bool {
			return slices.ContainsFunc(x.IDs, func(id string) bool { return slices.Contains(y.IDs, id) })
		},
		func(x, y *generate.ManifestPatch) bool { return x.Name == y.Name },
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
		}
	}
	for i := range a {
		if !used[i] {
			c.Dropped = append(c.Dropped, PatchLine(a[i]))
		}
	}
	return c
}

// PatchLine is one line about a patch: its subject, or name, and ids.
func PatchLine(p generate.ManifestPatch) string {
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
