package release

import (
	"fmt"
	"slices"
	"strings"

	"github.com/klpforge/klpforge/finding"
	"github.com/klpforge/klpforge/module/note"
	"github.com/klpforge/klpforge/plan"
)

// Decision says whether a machine can go from one livepatch to another.
type Decision string

// The decisions, from best to worst.
const (
	Allowed      Decision = "allowed"
	DisableFirst Decision = "disable first" // disable and unload the loaded one, then load the other
	Refused      Decision = "refused"
)

// Verdict is a decision with its reasons; the worst reason decides. Allowed
// may have reasons too: what to know.
type Verdict struct {
	Decision Decision `json:"decision"`
	Reasons  []Reason `json:"reasons"`
}

// Reason is why a decision is not better than it is.
type Reason struct {
	ID       finding.ID `json:"id"`
	Decision Decision   `json:"decision"`
	Message  string     `json:"message"`
}

func (v *Verdict) add(id finding.ID, d Decision, format string, args ...any) {
	v.Reasons = append(v.Reasons, Reason{id, d, fmt.Sprintf(format, args...)})
	rank := []Decision{Allowed, DisableFirst, Refused}
	if slices.Index(rank, d) > slices.Index(rank, v.Decision) {
		v.Decision = d
	}
}

// Replaceable judges loading next while loaded is in force, as a release
// engineer or a loader asks: with next replacing it if next is made to, and
// otherwise on top of it.
func Replaceable(loaded, next *note.Note) Verdict {
	if next.Replace {
		return replacing(loaded, next)
	}
	v := stacking(loaded, next)
	for i := range v.Reasons {
		// Disabling what is loaded takes the obstacle away.
		if v.Reasons[i].Decision == Refused && v.Reasons[i].ID != finding.IDSuccession {
			v.Reasons[i].Decision = DisableFirst
		}
	}
	return regrade(undoable(loaded, v))
}

func regrade(v Verdict) Verdict {
	reasons := v.Reasons
	v = Verdict{Decision: Allowed, Reasons: []Reason{}}
	for _, r := range reasons {
		v.add(r.ID, r.Decision, "%s", r.Message)
	}
	return v
}

// undoable turns "disable first" into a refusal when disabling loaded leaves
// behind what its callbacks did.
func undoable(loaded *note.Note, v Verdict) Verdict {
	if v.Decision != DisableFirst {
		return v
	}
	for _, o := range unpaired(loaded) {
		v.add(finding.IDLeftBehind, Refused, "disabling %s does not undo what its callbacks did to %s: it has none for unpatching; only a reboot does", loaded.Name, o)
	}
	return v
}

// replacing judges the atomic replace of loaded by next.
func replacing(loaded, next *note.Note) Verdict {
	v := Verdict{Decision: Allowed, Reasons: []Reason{}}
	if identity(&v, loaded, next); otherKernel(loaded, next) {
		return v
	}
	covered := len(loaded.States) > 0
	for _, s := range loaded.States {
		t, ok := state(next, s.ID)
		switch {
		case !ok:
			covered = false
			v.add(finding.IDStates, DisableFirst, "%s does not know state %d%s of %s, so the kernel refuses to replace it", next.Name, s.ID, meaning(s.Meaning), loaded.Name)
		case t.Version < s.Version:
			covered = false
			v.add(finding.IDStates, DisableFirst, "%s knows state %d%s in version %d only, %s has version %d, so the kernel refuses to replace it",
				next.Name, s.ID, meaning(s.Meaning), t.Version, loaded.Name, s.Version)
		}
	}
	for _, o := range loaded.Objects {
		if o.Callbacks == nil || covered {
			continue
		}
		if n := next.Object(o.Name); n == nil || n.Callbacks == nil {
			v.add(finding.IDLeftBehind, DisableFirst, "replacing runs no callback of %s, and %s has none for %s: what was done there would stay", loaded.Name, next.Name, o.Name)
		} else {
			v.add(finding.IDLeftBehind, DisableFirst, "replacing runs no callback of %s, and without a common state those of %s cannot know what was done to %s", loaded.Name, next.Name, o.Name)
		}
	}
	for _, s := range loaded.Shadows {
		if slices.ContainsFunc(next.Shadows, func(t note.Shadow) bool { return t.ID == s.ID }) {
			continue
		}
		if hasUnpatch(loaded) {
			v.add(finding.IDDropped, DisableFirst, "%s does not know the shadow variables %#x; only the callbacks of %s free them", next.Name, uint64(s.ID), loaded.Name)
		} else {
			v.add(finding.IDDropped, Allowed, "nothing frees the shadow variables %#x of %s", uint64(s.ID), loaded.Name)
		}
	}
	return undoable(loaded, v)
}

// stacking judges loading next on top of loaded, which stays.
func stacking(loaded, next *note.Note) Verdict {
	v := Verdict{Decision: Allowed, Reasons: []Reason{}}
	if identity(&v, loaded, next); otherKernel(loaded, next) {
		return v
	}
	have := functions(loaded)
	var both []string
	for f := range functions(next) {
		if _, ok := have[f]; ok {
			both = append(both, f)
		}
	}
	if slices.Sort(both); len(both) > 0 {
		v.add(finding.IDOverlap, Refused, "both replace %s: the one loaded last hides what the other does there", strings.Join(both, ", "))
	}
	for _, s := range next.States {
		if t, ok := state(loaded, s.ID); ok {
			if s.Version < t.Version {
				v.add(finding.IDStates, Refused, "%s knows state %d%s in version %d only, %s has version %d, so the kernel refuses to load it",
					next.Name, s.ID, meaning(s.Meaning), s.Version, loaded.Name, t.Version)
			} else {
				v.add(finding.IDStates, Refused, "both own state %d%s: unloading one undoes what the other relies on", s.ID, meaning(s.Meaning))
			}
		}
	}
	for _, s := range next.Shadows {
		if slices.ContainsFunc(loaded.Shadows, func(t note.Shadow) bool { return t.ID == s.ID }) {
			v.add(finding.IDOverlap, Refused, "both use the shadow variables %#x", uint64(s.ID))
		}
	}
	return v
}

// otherKernel says that the two never meet on a machine.
func otherKernel(a, b *note.Note) bool {
	return a.Release != "" && b.Release != "" && a.Release != b.Release
}

// identity judges names, vendors and kernels.
func identity(v *Verdict, loaded, next *note.Note) {
	if otherKernel(loaded, next) {
		v.add(finding.IDSuccession, Refused, "%s is for kernel %s, %s for %s: no machine has both", loaded.Name, loaded.Release, next.Name, next.Release)
		return
	}
	if next.Replace && (loaded.Vendor != "" && next.Vendor != "" && loaded.Vendor != next.Vendor) {
		v.add(finding.IDSuccession, Refused, "%s of %s would replace %s of %s", next.Name, next.Vendor, loaded.Name, loaded.Vendor)
	}
	if next.Replace && (loaded.Product != "" && next.Product != "" && loaded.Product != next.Product) {
		v.add(finding.IDSuccession, Refused, "%s of the series %s would replace %s of the series %s", next.Name, next.Product, loaded.Name, loaded.Product)
	}
	if loaded.Name == next.Name {
		v.add(finding.IDSuccession, DisableFirst, "both modules are called %s, and the kernel loads a name once", next.Name)
	}
}

func state(m *note.Note, id uint64) (note.State, bool) {
	i := slices.IndexFunc(m.States, func(s note.State) bool { return s.ID == id })
	if i < 0 {
		return note.State{}, false
	}
	return m.States[i], true
}

func meaning(s string) string {
	if s == "" {
		return ""
	}
	return " (" + s + ")"
}

// unpaired lists the objects with callbacks for patching and none for
// unpatching.
func unpaired(m *note.Note) []string {
	var out []string
	for _, o := range m.Objects {
		if c := o.Callbacks; c != nil && c.PreUnpatch == "" && c.PostUnpatch == "" {
			out = append(out, o.Name)
		}
	}
	return out
}

func hasUnpatch(m *note.Note) bool {
	return slices.ContainsFunc(m.Objects, func(o note.Object) bool {
		return o.Callbacks != nil && (o.Callbacks.PreUnpatch != "" || o.Callbacks.PostUnpatch != "")
	})
}

// judge fills in the verdicts and the findings about the step from old to new.
func (d *Diff) judge(old, newer Subject) {
	a, b := old.Manifest, newer.Manifest
	d.Upgrade, d.Downgrade = Replaceable(a, b), Replaceable(b, a)
	d.SideBySide = stacking(a, b)
	if b.Replace && !otherKernel(a, b) {
		d.SideBySide.add(finding.IDOverlap, Refused, "%s replaces what is loaded; build it without replace to load it beside", b.Name)
	}
	d.SideBySide = sameName(d.SideBySide)
	if old.Promised || newer.Promised {
		for _, v := range []*Verdict{&d.Upgrade, &d.Downgrade, &d.SideBySide} {
			v.add(finding.IDOverlap, Allowed, "functions are judged only when both modules are built")
		}
	}
	find := func(id finding.ID, s finding.Severity, remedy, format string, args ...any) {
		d.Findings = append(d.Findings, finding.Finding{ID: id, Severity: s, Message: fmt.Sprintf(format, args...), Remedy: remedy})
	}
	switch c := plan.CompareVersions(a.Version, b.Version); {
	case c == 0 && otherKernel(a, b): // one release, for two kernels
	case a.Version == "" || b.Version == "":
		find(finding.IDSuccession, finding.Warning, "give each release a version", "a release has no version, so nothing says which is newer")
	case c == 0:
		find(finding.IDSuccession, finding.Error, "raise the version", "both have version %s", b.Version)
	case c > 0:
		find(finding.IDSuccession, finding.Error, "compare them the other way round, or correct the version", "the new version %s comes before the old one, %s", b.Version, a.Version)
	}
	for _, kind := range []struct {
		what string
		c    Changes
	}{{"patch", d.Patches}, {"function", d.Functions}, {"callbacks of", d.Callbacks.ByObject()}, {"state", d.States}, {"shadow variable", d.Shadows}} {
		if kind.what == "function" && otherKernel(a, b) {
			continue // another kernel is another list, and KLP407 says so
		}
		for _, name := range kind.c.Dropped {
			find(finding.IDDropped, finding.Warning, "keep it, or say in the release note why it went", "%s %s: dropped", kind.what, name)
		}
	}
	for _, id := range d.States.Changed {
		x := slices.IndexFunc(a.States, func(s note.State) bool { return fmt.Sprint(s.ID) == id })
		y := slices.IndexFunc(b.States, func(s note.State) bool { return fmt.Sprint(s.ID) == id })
		if b.States[y].Version < a.States[x].Version {
			find(finding.IDStates, finding.Error, "a state's version never goes down", "state %s goes from version %d to %d", id, a.States[x].Version, b.States[y].Version)
		}
	}
	if !newer.Promised {
		d.Findings = append(d.Findings, CheckModule(b)...)
	}
}

// sameName: of two modules that stay loaded, disabling one is no way out.
func sameName(v Verdict) Verdict {
	for i := range v.Reasons {
		if v.Reasons[i].Decision == DisableFirst {
			v.Reasons[i].Decision = Refused
		}
	}
	return regrade(v)
}

// CheckModule looks at one livepatch by itself.
func CheckModule(m *note.Note) []finding.Finding {
	var out []finding.Finding
	add := func(id finding.ID, s finding.Severity, remedy, format string, args ...any) {
		out = append(out, finding.Finding{ID: id, Severity: s, Message: fmt.Sprintf(format, args...), Remedy: remedy})
	}
	for _, o := range unpaired(m) {
		add(finding.IDLeftBehind, finding.Warning, "undo it in a pre_unpatch or post_unpatch callback", "%s: callbacks for patching and none for unpatching: what they do stays when the livepatch goes", o)
	}
	for _, o := range m.Objects {
		c := o.Callbacks
		if c == nil {
			continue
		}
		if c.PrePatch != "" && c.PostUnpatch == "" && (c.PreUnpatch != "" || c.PostPatch != "") {
			add(finding.IDLeftBehind, finding.Warning, "undo in post_unpatch what pre_patch did: it also runs when patching is given up",
				"%s: pre_patch without post_unpatch: a transition that is reversed does not undo it", o.Name)
		}
		if m.Replace && len(m.States) == 0 {
			add(finding.IDLeftBehind, finding.Warning, "give what the callbacks change a state: klpforge release new-state", "%s: callbacks without a state: the next cumulative release cannot know what they did", o.Name)
		}
	}
	return out
}
