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

func (v *Verdict) add(id finding.ID, decision Decision, format string, args ...any) {
	v.Reasons = append(v.Reasons, Reason{id, decision, fmt.Sprintf(format, args...)})
	rank := []Decision{Allowed, DisableFirst, Refused}
	if slices.Index(rank, decision) > slices.Index(rank, v.Decision) {
		v.Decision = decision
	}
}

// Replaceable judges loading next while loaded is in force, as a release
// engineer or a loader asks: with next replacing it if next is made to, and
// otherwise on top of it.
func Replaceable(loaded, next *note.Note) Verdict {
	if next.Replace {
		return replacing(loaded, next)
	}
	verdict := stacking(loaded, next)
	for i := range verdict.Reasons {
		// Disabling what is loaded takes the obstacle away.
		if verdict.Reasons[i].Decision == Refused && verdict.Reasons[i].ID != finding.IDSuccession {
			verdict.Reasons[i].Decision = DisableFirst
		}
	}
	return regrade(undoable(loaded, verdict))
}

func regrade(verdict Verdict) Verdict {
	reasons := verdict.Reasons
	verdict = Verdict{Decision: Allowed, Reasons: []Reason{}}
	for _, r := range reasons {
		verdict.add(r.ID, r.Decision, "%s", r.Message)
	}
	return verdict
}

// undoable turns "disable first" into a refusal when disabling loaded leaves
// behind what its callbacks did.
func undoable(loaded *note.Note, verdict Verdict) Verdict {
	if verdict.Decision != DisableFirst {
		return verdict
	}
	for _, object := range unpaired(loaded) {
		verdict.add(finding.IDLeftBehind, Refused,
			"disabling %s does not undo what its callbacks did to %s: it has none for unpatching; only a reboot does",
			loaded.Name, object)
	}
	return verdict
}

// replacing judges the atomic replace of loaded by next.
func replacing(loaded, next *note.Note) Verdict {
	verdict := Verdict{Decision: Allowed, Reasons: []Reason{}}
	if identity(&verdict, loaded, next); otherKernel(loaded, next) {
		return verdict
	}

	// The kernel's own rule (klp_is_patch_compatible, kernel/livepatch/state.c): the new patch
	// must know each state, in the same version or a later one.
	covered := len(loaded.States) > 0
	for _, old := range loaded.States {
		kept, ok := state(next, old.ID)
		switch {
		case !ok:
			covered = false
			verdict.add(finding.IDStates, DisableFirst,
				"%s does not know state %d%s of %s, so the kernel refuses to replace it", next.Name, old.ID,
				meaning(old.Meaning), loaded.Name)
		case kept.Version < old.Version:
			covered = false
			verdict.add(finding.IDStates, DisableFirst,
				"%s knows state %d%s in version %d only, %s has version %d, so the kernel refuses to replace it",
				next.Name, old.ID, meaning(old.Meaning), kept.Version, loaded.Name, old.Version)
		}
	}

	// Of a replaced livepatch no callback runs (Documentation/livepatch/cumulative-patches.rst);
	// only a common state hands over what was done.
	for _, object := range loaded.Objects {
		if object.Callbacks == nil || covered {
			continue
		}
		if n := next.Object(object.Name); n == nil || n.Callbacks == nil {
			verdict.add(finding.IDLeftBehind, DisableFirst,
				"replacing runs no callback of %s, and %s has none for %s: what was done there would stay", loaded.Name,
				next.Name, object.Name)
		} else {
			verdict.add(finding.IDLeftBehind, DisableFirst,
				"replacing runs no callback of %s, and without a common state those of %s cannot "+
					"know what was done to %s", loaded.Name, next.Name, object.Name)
		}
	}

	for _, shadow := range loaded.Shadows {
		if slices.ContainsFunc(next.Shadows, func(t note.Shadow) bool { return t.ID == shadow.ID }) {
			continue
		}
		if hasUnpatch(loaded) {
			verdict.add(finding.IDDropped, DisableFirst,
				"%s does not know the shadow variables %#x; only the callbacks of %s free them", next.Name,
				uint64(shadow.ID), loaded.Name)
		} else {
			verdict.add(finding.IDDropped, Allowed, "nothing frees the shadow variables %#x of %s", uint64(shadow.ID),
				loaded.Name)
		}
	}
	return undoable(loaded, verdict)
}

// stacking judges loading next on top of loaded, which stays.
func stacking(loaded, next *note.Note) Verdict {
	verdict := Verdict{Decision: Allowed, Reasons: []Reason{}}
	if identity(&verdict, loaded, next); otherKernel(loaded, next) {
		return verdict
	}

	// Both stay, so what both touch is the trouble.
	have := functions(loaded)
	var both []string
	for f := range functions(next) {
		if _, ok := have[f]; ok {
			both = append(both, f)
		}
	}
	if slices.Sort(both); len(both) > 0 {
		verdict.add(finding.IDOverlap, Refused, "both replace %s: the one loaded last hides what the other does there",
			strings.Join(both, ", "))
	}

	for _, declared := range next.States {
		if held, ok := state(loaded, declared.ID); ok {
			if declared.Version < held.Version {
				verdict.add(finding.IDStates, Refused,
					"%s knows state %d%s in version %d only, %s has version %d, so the kernel refuses to load it",
					next.Name, declared.ID, meaning(declared.Meaning), declared.Version, loaded.Name, held.Version)
			} else {
				verdict.add(finding.IDStates, Refused,
					"both own state %d%s: unloading one undoes what the other relies on", declared.ID,
					meaning(declared.Meaning))
			}
		}
	}

	for _, shadow := range next.Shadows {
		if slices.ContainsFunc(loaded.Shadows, func(t note.Shadow) bool { return t.ID == shadow.ID }) {
			verdict.add(finding.IDOverlap, Refused, "both use the shadow variables %#x", uint64(shadow.ID))
		}
	}
	return verdict
}

// otherKernel says that the two never meet on a machine.
func otherKernel(a, b *note.Note) bool {
	return a.Release != "" && b.Release != "" && a.Release != b.Release
}

// identity judges names, vendors and kernels.
func identity(verdict *Verdict, loaded, next *note.Note) {
	if otherKernel(loaded, next) {
		verdict.add(finding.IDSuccession, Refused, "%s is for kernel %s, %s for %s: no machine has both", loaded.Name,
			loaded.Release, next.Name, next.Release)
		return
	}
	if next.Replace && (loaded.Vendor != "" && next.Vendor != "" && loaded.Vendor != next.Vendor) {
		verdict.add(finding.IDSuccession, Refused, "%s of %s would replace %s of %s", next.Name, next.Vendor,
			loaded.Name, loaded.Vendor)
	}
	if next.Replace && (loaded.Product != "" && next.Product != "" && loaded.Product != next.Product) {
		verdict.add(finding.IDSuccession, Refused, "%s of the series %s would replace %s of the series %s", next.Name,
			next.Product, loaded.Name, loaded.Product)
	}
	if loaded.Name == next.Name {
		verdict.add(finding.IDSuccession, DisableFirst, "both modules are called %s, and the kernel loads a name once",
			next.Name)
	}
}

func state(recorded *note.Note, id uint64) (note.State, bool) {
	i := slices.IndexFunc(recorded.States, func(s note.State) bool { return s.ID == id })
	if i < 0 {
		return note.State{}, false
	}
	return recorded.States[i], true
}

func meaning(text string) string {
	if text == "" {
		return ""
	}
	return " (" + text + ")"
}

// unpaired lists the objects with callbacks for patching and none for
// unpatching.
func unpaired(recorded *note.Note) []string {
	var out []string
	for _, object := range recorded.Objects {
		if c := object.Callbacks; c != nil && c.PreUnpatch == "" && c.PostUnpatch == "" {
			out = append(out, object.Name)
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
	oldNote, newNote := old.Note, newer.Note
	d.Upgrade, d.Downgrade = Replaceable(oldNote, newNote), Replaceable(newNote, oldNote)
	d.SideBySide = stacking(oldNote, newNote)
	if newNote.Replace && !otherKernel(oldNote, newNote) {
		d.SideBySide.add(finding.IDOverlap, Refused,
			"%s replaces what is loaded; build it without replace to load it beside", newNote.Name)
	}
	d.SideBySide = sameName(d.SideBySide)
	if old.Promised || newer.Promised {
		for _, v := range []*Verdict{&d.Upgrade, &d.Downgrade, &d.SideBySide} {
			v.add(finding.IDOverlap, Allowed, "functions are judged only when both modules are built")
		}
	}
	d.judgeVersions(oldNote, newNote)
	d.judgeDropped(oldNote, newNote)
	d.judgeStates(oldNote, newNote)
	if !newer.Promised {
		d.Findings = append(d.Findings, CheckModule(newNote)...)
	}
}

func (d *Diff) find(id finding.ID, severity finding.Severity, remedy, format string, args ...any) {
	d.Findings = append(d.Findings, finding.Finding{ID: id, Severity: severity, Message: fmt.Sprintf(format, args...),
		Remedy: remedy})
}

// judgeVersions finds what is wrong with the order of the two versions.
func (d *Diff) judgeVersions(oldNote, newNote *note.Note) {
	switch order := plan.CompareVersions(oldNote.Version, newNote.Version); {
	case order == 0 && otherKernel(oldNote, newNote): // one release, for two kernels
	case oldNote.Version == "" || newNote.Version == "":
		d.find(finding.IDSuccession, finding.Warning, "give each release a version",
			"a release has no version, so nothing says which is newer")
	case order == 0:
		d.find(finding.IDSuccession, finding.Error, "raise the version", "both have version %s", newNote.Version)
	case order > 0:
		d.find(finding.IDSuccession, finding.Error, "compare them the other way round, or correct the version",
			"the new version %s comes before the old one, %s", newNote.Version, oldNote.Version)
	}
}

// judgeDropped names what the new release no longer has.
func (d *Diff) judgeDropped(oldNote, newNote *note.Note) {
	for _, kind := range []struct {
		what      string
		c         Changes
		perKernel bool // one release has another list of them for each kernel
	}{{"patch", d.Patches, false}, {"function", d.Functions, true}, {"callbacks of", d.Callbacks.ByObject(), false},
		{"state", d.States, false}, {"shadow variable", d.Shadows, false}} {
		if kind.perKernel && otherKernel(oldNote, newNote) {
			continue // another kernel is another list, and KLP407 says so
		}
		for _, name := range kind.c.Dropped {
			d.find(finding.IDDropped, finding.Warning, "keep it, or say in the release note why it went",
				"%s %s: dropped", kind.what, name)
		}
	}
}

// judgeStates finds states whose version goes down.
func (d *Diff) judgeStates(oldNote, newNote *note.Note) {
	for _, id := range d.States.Changed {
		oldIndex := slices.IndexFunc(oldNote.States, func(s note.State) bool { return fmt.Sprint(s.ID) == id })
		newIndex := slices.IndexFunc(newNote.States, func(s note.State) bool { return fmt.Sprint(s.ID) == id })
		if newNote.States[newIndex].Version < oldNote.States[oldIndex].Version {
			d.find(finding.IDStates, finding.Error, "a state's version never goes down",
				"state %s goes from version %d to %d", id, oldNote.States[oldIndex].Version,
				newNote.States[newIndex].Version)
		}
	}
}

// sameName: of two modules that stay loaded, disabling one is no way out.
func sameName(verdict Verdict) Verdict {
	for i := range verdict.Reasons {
		if verdict.Reasons[i].Decision == DisableFirst {
			verdict.Reasons[i].Decision = Refused
		}
	}
	return regrade(verdict)
}

// CheckModule looks at one livepatch by itself.
func CheckModule(recorded *note.Note) []finding.Finding {
	var out []finding.Finding
	add := func(id finding.ID, s finding.Severity, remedy, format string, args ...any) {
		out = append(out, finding.Finding{ID: id, Severity: s, Message: fmt.Sprintf(format, args...), Remedy: remedy})
	}
	for _, object := range unpaired(recorded) {
		add(finding.IDLeftBehind, finding.Warning, "undo it in a pre_unpatch or post_unpatch callback",
			"%s: callbacks for patching and none for unpatching: what they do stays when the livepatch goes", object)
	}
	for _, object := range recorded.Objects {
		c := object.Callbacks
		if c == nil {
			continue
		}
		if c.PrePatch != "" && c.PostUnpatch == "" && (c.PreUnpatch != "" || c.PostPatch != "") {
			add(finding.IDLeftBehind, finding.Warning,
				"undo in post_unpatch what pre_patch did: it also runs when patching is given up",
				"%s: pre_patch without post_unpatch: a transition that is reversed does not undo it", object.Name)
		}
		if recorded.Replace && len(recorded.States) == 0 {
			add(finding.IDLeftBehind, finding.Warning,
				"give what the callbacks change a state: klpforge release new-state",
				"%s: callbacks without a state: the next cumulative release cannot know what they did", object.Name)
		}
	}
	return out
}
