package deploy

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/klpforge/klpforge/finding"
	"github.com/klpforge/klpforge/release"
)

// Policy says how a livepatch may come beside, or in place of, those that are
// in force.
type Policy string

// The policies.
const (
	// Auto is Cumulative for a module that replaces others, Stack for one that
	// does not, and refuses to guess when the module does not say.
	Auto Policy = "auto"
	// Cumulative lets the kernel replace only what is known to be an earlier
	// release of the same series, and disables everything else first.
	Cumulative Policy = "cumulative"
	// Stack adds the livepatch to those in force.
	Stack Policy = "stack"
	// Replace lets the kernel replace everything, whatever it is.
	Replace Policy = "replace"
	// Disable disables everything, then loads.
	Disable Policy = "disable"
)

// Policies lists them all.
func Policies() []Policy { return []Policy{Auto, Cumulative, Stack, Replace, Disable} }

// Op is what an action does.
type Op string

// The operations.
const (
	OpWait       Op = "wait"       // for the end of the module's transition
	OpResume     Op = "resume"     // turn the disabling of the module back
	OpDisable    Op = "disable"    // and wait for the transition
	OpRemove     Op = "remove"     // unload the module, which changes nothing any more
	OpDependency Op = "dependency" // load a module that the livepatch needs
	OpLoad       Op = "load"       // and wait for the transition
)

// Action is one step of a plan.
type Action struct {
	Op     Op     `json:"op"`
	Module string `json:"module"`
	File   string `json:"file,omitempty"` // of what is loaded
	How    string `json:"how,omitempty"`  // of OpLoad: alone, stack, replace
	Reason string `json:"reason"`
}

// Refusal says why a module is not loaded, and what to do.
type Refusal struct {
	Reason string `json:"reason"` // with the ids of findings, such as (KLP405)
	Remedy string `json:"remedy,omitempty"`
}

func (r *Refusal) Error() string {
	s := r.Reason
	if r.Remedy != "" {
		s += "; remedy: " + r.Remedy
	}
	return s
}

// PlanSchema identifies the JSON form of Plan.
const PlanSchema = "klpforge.plan/v1"

// Plan is what loading a module would do.
type Plan struct {
	Schema  string   `json:"schema"`
	Release string   `json:"release"` // of the running kernel
	Policy  Policy   `json:"policy"`
	Module  string   `json:"module"`
	File    string   `json:"file"`
	Version string   `json:"version,omitempty"`
	Actions []Action `json:"actions"` // empty when the livepatch is in force already
	Refusal *Refusal `json:"refusal"` // nil when there is none; else there are no actions
	// NoteTrusted and NoteTrust are those of the module's facts.
	NoteTrusted bool     `json:"note_trusted"`
	NoteTrust   string   `json:"note_trust"`
	Notes       []string `json:"notes"`
}

// Plan decides what loading mod would do now. It changes nothing.
func (m *Machine) Plan(mod *Module, policy Policy) (*Plan, error) {
	sys, err := m.System()
	if err != nil {
		return nil, err
	}
	return m.plan(sys, mod, policy)
}

func (m *Machine) plan(sys *System, mod *Module, policy Policy) (*Plan, error) {
	m.trust(mod, sys.Release)
	in := input{sys: sys, mod: mod, policy: policy, enforced: m.enforced()}
	var err error

	// Only a livepatch of that name raises the question whether it is this very module.
	if l := sys.find(mod.Name); l != nil {
		if in.identity, err = m.identify(mod); err != nil {
			return nil, err
		}
	}

	// What is missing becomes the refusal only if nothing weightier speaks against loading.
	missing := new(Refusal)
	if mod.Release == sys.Release {
		if in.deps, err = m.dependencies(sys, mod); err != nil && !errors.As(err, &missing) {
			return nil, err
		}
	}
	decided := in.decide()
	if err != nil && decided.Refusal == nil {
		decided.Refusal = missing
	}

	decided.Schema, decided.Release, decided.Policy = PlanSchema, sys.Release, policy
	decided.Module, decided.File, decided.Version = mod.Name, mod.File, mod.Facts.Version
	decided.NoteTrusted, decided.NoteTrust = mod.Facts.NoteTrusted, mod.Facts.NoteTrust

	// Lists are never null in JSON.
	if decided.Refusal != nil || decided.Actions == nil {
		decided.Actions = []Action{}
	}
	if decided.Notes == nil {
		decided.Notes = []string{}
	}
	return decided, nil
}

// input is all that a decision rests on.
type input struct {
	sys      *System
	mod      *Module
	policy   Policy
	identity identity     // of mod and the loaded module of its name
	deps     []dependency // to be loaded first, in order
	enforced string       // why the kernel takes only modules with a valid signature, "" when it takes others
	plan     Plan
}

func (in *input) add(op Op, module, reason string, args ...any) {
	in.plan.Actions = append(in.plan.Actions, Action{Op: op, Module: module, Reason: fmt.Sprintf(reason, args...)})
}

func (in *input) note(format string, args ...any) {
	in.plan.Notes = append(in.plan.Notes, fmt.Sprintf(format, args...))
}

func (in *input) refuse(remedy, reason string, args ...any) *Plan {
	in.plan.Refusal = &Refusal{Reason: fmt.Sprintf(reason, args...), Remedy: remedy}
	return &in.plan
}

// decide works in three steps: what a loaded module of the same name means,
// what has to end first, and what the policy makes of what is in force.
func (in *input) decide() *Plan {
	mod, sys := in.mod, in.sys

	// What forbids loading at all comes before any question of order.
	if !mod.Livepatch {
		return in.refuse("", "%s is no livepatch module: its modinfo has no livepatch=Y", mod.File)
	}
	if mod.Release != sys.Release {
		return in.refuse("build the livepatch for this kernel", "%s is for kernel %s, and this is %s", mod.File,
			orUnknown(mod.Release), sys.Release)
	}
	if done := in.sameName(); done {
		return &in.plan
	}
	if in.signature(); in.plan.Refusal != nil {
		return &in.plan
	}

	var active []*Livepatch
	for i := range sys.Livepatches {
		loaded := &sys.Livepatches[i]
		if loaded.Name == mod.Name {
			continue
		}
		if loaded.inTransition() {
			in.add(OpWait, loaded.Name, "its transition is under way, and the kernel does one at a time")
		}
		if loaded.Problem != "" {
			in.note("%s: %s", loaded.Name, loaded.Problem)
		}
		if loaded.Phase == Enabled || loaded.Phase == Enabling {
			active = append(active, loaded)
		}
	}

	// How it goes beside what is in force, then what must be loaded first, then the livepatch
	// itself.
	how, replaced := in.place(active)
	if in.plan.Refusal != nil {
		return &in.plan
	}
	for _, d := range in.deps {
		in.plan.Actions = append(in.plan.Actions, Action{Op: OpDependency, Module: d.name, File: d.file,
			Reason: mod.Name + " uses its symbols"})
	}
	load := Action{Op: OpLoad, Module: mod.Name, File: mod.File, How: how, Reason: "no other livepatch is in force"}
	switch how {
	case "stack":
		load.Reason = "beside " + names(active)
	case "replace":
		load.Reason = "the kernel replaces " + names(replaced) + " in the same transition"
	}
	in.plan.Actions = append(in.plan.Actions, load)

	// The kernel disables what is replaced and leaves the module loaded.
	if in.replaces() {
		for _, loaded := range replaced {
			in.add(OpRemove, loaded.Name, "it is replaced")
		}
	}
	return &in.plan
}

// signature refuses what the kernel certainly will, before anything else is
// disabled for it, and says when a verdict on the module is nobody's word.
func (in *input) signature() {
	mod := in.mod
	unsigned := mod.checked && !mod.signed
	switch {
	case mod.forged:
		in.refuse("sign the module anew", "%s: %s; no kernel takes it", mod.File, mod.Facts.NoteTrust)
	case in.enforced != "" && unsigned:
		in.refuse("sign the module (klpforge build --sign-key)", "%s is not signed, and %s", mod.File, in.enforced)
	case in.enforced != "" && !mod.Facts.NoteTrusted:
		in.note("%s, and the kernel may refuse the module: %s", in.enforced, mod.Facts.NoteTrust)
	}
	if mod.Facts.SafeToForce && !mod.Facts.NoteTrusted {
		in.note("that %s is safe to force (KLP402) is what its note says, and nobody vouches for the note: %s",
			mod.Name, mod.Facts.NoteTrust)
	}
}

// replaces says whether the module is known to replace all others.
func (in *input) replaces() bool { return in.mod.Facts.Replace != nil && *in.mod.Facts.Replace }

// sameName deals with a loaded module of the same name. done means that the
// plan is complete.
func (in *input) sameName() (done bool) {
	mod := in.mod
	loaded := in.sys.find(mod.Name)
	if loaded == nil {
		if slices.Contains(in.sys.Modules, mod.Name) {
			in.refuse("give the livepatch another name", "a module %s that is no livepatch is loaded", mod.Name)
			return true
		}
		return false
	}
	if loaded.Phase != Disabled && in.identity == unknown {
		in.refuse("klpforge unload "+mod.Name, "a livepatch %s is loaded, and whether it is %s cannot be told",
			mod.Name, mod.File)
		return true
	}
	switch {
	case loaded.Phase == Disabled:
		in.add(OpRemove, loaded.Name, "it is disabled, and a disabled livepatch cannot be enabled again")
		return false
	case in.identity == different:
		if in.policy == Stack || in.policy == Replace {
			in.refuse("klpforge unload "+mod.Name+", or --policy disable",
				"another build of %s is loaded, and a kernel has no two modules of one name", mod.Name)
			return true
		}
		switch loaded.Phase {
		case Disabling:
			in.add(OpWait, loaded.Name, "it is being disabled")
		default:
			in.add(OpDisable, loaded.Name, "it is another build, and a kernel has no two modules of one name")
		}
		in.add(OpRemove, loaded.Name, "to make room for %s", mod.File)
		return false
	case loaded.Phase == Enabling:
		in.add(OpWait, loaded.Name, "it is loaded, and its transition is under way")
	case loaded.Phase == Disabling:
		in.add(OpResume, loaded.Name, "it is loaded and being disabled")
	}
	// In force, or about to be: what it replaced may still be there.
	for i := range in.sys.Livepatches {
		other := &in.sys.Livepatches[i]
		switch {
		case other.Name == mod.Name || !in.replaces():
		case other.Phase == Disabled:
			in.add(OpRemove, other.Name, "it is not in force any more")
		case other.Phase == Enabled && loaded.Phase == Enabling:
			in.add(OpRemove, other.Name, "it is being replaced")
		}
	}
	return true
}

// place decides how the module comes in, adds what has to be disabled for it,
// and returns which livepatches the kernel will replace.
func (in *input) place(active []*Livepatch) (how string, replaced []*Livepatch) {
	if len(active) == 0 {
		return "alone", nil
	}

	facts := &in.mod.Facts
	policy := in.policy
	if policy == Auto {
		// What the module was built for decides: one that replaces others holds their fixes too.
		switch {
		case facts.Replace == nil:
			in.refuse("say --policy disable, stack or replace",
				"%s does not say whether it replaces others, and %s is in force", in.mod.File, names(active))
			return "", nil
		case *facts.Replace:
			policy = Cumulative
		default:
			policy = Stack
		}
	}

	switch policy {
	case Stack:
		in.stack(active)
		return "stack", nil
	case Replace:
		if facts.Replace == nil {
			in.note("%s does not say whether it replaces others; --policy replace takes it that it does", in.mod.Name)
		} else if !*facts.Replace {
			in.refuse("--policy stack or disable", "%s does not replace other livepatches", in.mod.File)
		}
		in.replace(active)
		return "replace", active
	case Disable:
		for _, loaded := range slices.Backward(active) {
			in.disable(loaded, "the policy disables everything first")
			in.unpaired(loaded)
		}
		return "alone", nil
	}
	return in.cumulative(active)
}

// cumulative is the rule of a vendor's loader: in-kernel replace serves
// upgrades only. It runs the callbacks of the new livepatch and none of the
// old one, so where the old one is not known to be an earlier release of the
// same series, it is disabled first and its callbacks clean up. What the
// modules say of each other decides for the worse: it may want the old one
// disabled for an upgrade too, or forbid the change.
func (in *input) cumulative(active []*Livepatch) (how string, replaced []*Livepatch) {
	facts := &in.mod.Facts

	// From the last that was loaded: kernels before 5.1 disable in this order only. The first
	// reason that applies decides what becomes of each.
	for _, loaded := range slices.Backward(active) {
		verdict := in.verdict(loaded)
		order, comparable := newer(*facts, loaded.Facts)
		switch {
		case verdict.Decision == release.Refused:
			in.refuseFor(verdict, "klpforge unload "+loaded.Name+", or --policy disable")
		case !in.replaces() && facts.Replace == nil:
			in.disable(loaded, "%s is not known to be cumulative", in.mod.Name)
		case !in.replaces():
			in.disable(loaded, "%s is not cumulative", in.mod.Name)
		case loaded.Replace == nil:
			in.disable(loaded, "it is not known to be cumulative")
		case !*loaded.Replace:
			in.disable(loaded, "it is not cumulative")
		case !comparable:
			in.disable(loaded, "it is not known to be an earlier release of the same series")
		case order == 0:
			in.disable(loaded, "it has the same version %s, and the kernel replaces only for an upgrade",
				loaded.Version)
		case order < 0:
			in.disable(loaded, "a downgrade from %s to %s: it has to clean up itself", loaded.Version, facts.Version)
		case verdict.Decision == release.DisableFirst:
			in.disable(loaded, "%s", reasons(verdict, release.DisableFirst))
		default:
			in.notes(verdict)
			if !facts.NoteTrusted {
				in.note("that %s is a later release than %s is what its note says, and nobody vouches for the note: %s",
					in.mod.Name, loaded.Name, facts.NoteTrust)
			}
			replaced = append(replaced, loaded)
		}
	}

	if len(replaced) == 0 {
		return "alone", nil
	}
	slices.Reverse(replaced)
	return "replace", replaced
}

// verdict is what the notes of both say about loading the module while loadedoaded
// is in force; without both there is none, and nothing stands against it.
func (in *input) verdict(loaded *Livepatch) release.Verdict {
	if in.mod.Facts.recorded == nil || loaded.recorded == nil {
		return release.Verdict{Decision: release.Allowed}
	}
	return release.Replaceable(loaded.recorded, in.mod.Facts.recorded)
}

// reasons joins those of a verdict that led to a decision.
func reasons(verdict release.Verdict, d release.Decision) string {
	var out []string
	for _, reason := range verdict.Reasons {
		if reason.Decision == d {
			out = append(out, reason.Message+" ("+string(reason.ID)+")")
		}
	}
	return strings.Join(out, "; ")
}

func (in *input) refuseFor(v release.Verdict, remedy string) {
	in.refuse(remedy, "%s", reasons(v, v.Decision))
}

// notes passes on what a verdict allows and a person should know.
func (in *input) notes(v release.Verdict) {
	for _, r := range v.Reasons {
		in.note("%s (%s)", r.Message, r.ID)
	}
}

// disable adds the actions that take a livepatch out.
func (in *input) disable(loaded *Livepatch, reason string, args ...any) {
	in.add(OpDisable, loaded.Name, reason, args...)
	in.add(OpRemove, loaded.Name, "it is disabled")
}

// replace lets the kernel replace everything; only what the kernel itself
// would refuse is refused.
func (in *input) replace(old []*Livepatch) {
	for _, loaded := range old {
		verdict := in.verdict(loaded)
		if i := slices.IndexFunc(verdict.Reasons,
			func(r release.Reason) bool { return r.ID == finding.IDStates }); i >= 0 {
			in.refuse("--policy cumulative, which disables "+loaded.Name+" first, or --policy disable", "%s (%s)",
				verdict.Reasons[i].Message, verdict.Reasons[i].ID)
			return
		}
		in.notes(verdict)
		if c, ok := newer(in.mod.Facts, loaded.Facts); ok && c < 0 {
			in.note("this replaces version %s of %s by the older %s", loaded.Version, loaded.Product,
				in.mod.Facts.Version)
		}
	}
}

// stack checks that the module can come beside others.
func (in *input) stack(active []*Livepatch) {
	facts := &in.mod.Facts
	switch {
	case facts.Replace == nil:
		in.note("%s does not say whether it replaces others; --policy stack takes it that it does not", in.mod.Name)
	case *facts.Replace:
		in.refuse("--policy cumulative", "%s replaces all other livepatches, it cannot be stacked", in.mod.File)
		return
	}
	if !facts.FromNote {
		in.note("the functions of %s are not known before it is loaded: whether it changes one that %s changes "+
			"cannot be told", in.mod.Name, names(active))
	}
	for _, loaded := range active {
		remedy := "klpforge unload " + loaded.Name + ", or --policy disable"
		if v := in.verdict(loaded); v.Decision != release.Allowed {
			in.refuseFor(v, remedy)
		} else if both := overlap(facts.Objects, loaded.Objects); len(both) > 0 { // that one has no note
			in.refuse(remedy, "%s and %s both change %s: the one loaded last hides what the other does there (KLP406)",
				in.mod.Name, loaded.Name, strings.Join(both, ", "))
		}
	}
}

// unpaired notes what disabling a livepatch does not undo.
func (in *input) unpaired(loaded *Livepatch) {
	if loaded.recorded == nil {
		return
	}
	for _, object := range loaded.recorded.Objects {
		if c := object.Callbacks; c != nil && c.PreUnpatch == "" && c.PostUnpatch == "" {
			in.note("disabling %s does not undo what its callbacks did to %s: it has none for unpatching (KLP403)",
				loaded.Name, object.Name)
		}
	}
}

// overlap lists functions that both change, as "object:function".
func overlap(a, b []Object) []string {
	var out []string
	for _, left := range a {
		for _, right := range b {
			if left.Name != right.Name {
				continue
			}
			for _, fn := range left.Functions {
				if slices.ContainsFunc(right.Functions, func(g Func) bool {
					return g.Name == fn.Name && g.Sympos == fn.Sympos
				}) {
					out = append(out, left.Name+":"+fn.Name)
				}
			}
		}
	}
	return out
}

func names(l []*Livepatch) string {
	var out []string
	for _, p := range l {
		out = append(out, p.Name)
	}
	return strings.Join(out, ", ")
}

func orUnknown(s string) string {
	if s == "" {
		return "unknown"
	}
	return s
}
