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
	if l := sys.find(mod.Name); l != nil {
		if in.identity, err = m.identify(mod); err != nil {
			return nil, err
		}
	}
	missing := new(Refusal)
	if mod.Release == sys.Release {
		if in.deps, err = m.dependencies(sys, mod); err != nil && !errors.As(err, &missing) {
			return nil, err
		}
	}
	p := in.decide()
	if err != nil && p.Refusal == nil {
		p.Refusal = missing
	}
	p.Schema, p.Release, p.Policy = PlanSchema, sys.Release, policy
	p.Module, p.File, p.Version = mod.Name, mod.File, mod.Facts.Version
	p.NoteTrusted, p.NoteTrust = mod.Facts.NoteTrusted, mod.Facts.NoteTrust
	if p.Refusal != nil || p.Actions == nil {
		p.Actions = []Action{}
	}
	if p.Notes == nil {
		p.Notes = []string{}
	}
	return p, nil
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
	if !mod.Livepatch {
		return in.refuse("", "%s is no livepatch module: its modinfo has no livepatch=Y", mod.File)
	}
	if mod.Release != sys.Release {
		return in.refuse("build the livepatch for this kernel", "%s is for kernel %s, and this is %s", mod.File, orUnknown(mod.Release), sys.Release)
	}
	if done := in.sameName(); done {
		return &in.plan
	}
	if in.signature(); in.plan.Refusal != nil {
		return &in.plan
	}
	var active []*Livepatch
	for i := range sys.Livepatches {
		l := &sys.Livepatches[i]
		if l.Name == mod.Name {
			continue
		}
		if l.inTransition() {
			in.add(OpWait, l.Name, "its transition is under way, and the kernel does one at a time")
		}
		if l.Problem != "" {
			in.note("%s: %s", l.Name, l.Problem)
		}
		if l.Phase == Enabled || l.Phase == Enabling {
			active = append(active, l)
		}
	}
	how, replaced := in.place(active)
	if in.plan.Refusal != nil {
		return &in.plan
	}
	for _, d := range in.deps {
		in.plan.Actions = append(in.plan.Actions, Action{Op: OpDependency, Module: d.name, File: d.file, Reason: mod.Name + " uses its symbols"})
	}
	load := Action{Op: OpLoad, Module: mod.Name, File: mod.File, How: how, Reason: "no other livepatch is in force"}
	switch how {
	case "stack":
		load.Reason = "beside " + names(active)
	case "replace":
		load.Reason = "the kernel replaces " + names(replaced) + " in the same transition"
	}
	in.plan.Actions = append(in.plan.Actions, load)
	if in.replaces() {
		for _, l := range replaced {
			in.add(OpRemove, l.Name, "it is replaced")
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
		in.note("that %s is safe to force (KLP402) is what its note says, and nobody vouches for the note: %s", mod.Name, mod.Facts.NoteTrust)
	}
}

// replaces says whether the module is known to replace all others.
func (in *input) replaces() bool { return in.mod.Facts.Replace != nil && *in.mod.Facts.Replace }

// sameName deals with a loaded module of the same name. done means that the
// plan is complete.
func (in *input) sameName() (done bool) {
	mod := in.mod
	l := in.sys.find(mod.Name)
	if l == nil {
		if slices.Contains(in.sys.Modules, mod.Name) {
			in.refuse("give the livepatch another name", "a module %s that is no livepatch is loaded", mod.Name)
			return true
		}
		return false
	}
	if l.Phase != Disabled && in.identity == unknown {
		in.refuse("klpforge unload "+mod.Name, "a livepatch %s is loaded, and whether it is %s cannot be told", mod.Name, mod.File)
		return true
	}
	switch {
	case l.Phase == Disabled:
		in.add(OpRemove, l.Name, "it is disabled, and a disabled livepatch cannot be enabled again")
		return false
	case in.identity == different:
		if in.policy == Stack || in.policy == Replace {
			in.refuse("klpforge unload "+mod.Name+", or --policy disable", "another build of %s is loaded, and a kernel has no two modules of one name", mod.Name)
			return true
		}
		switch l.Phase {
		case Disabling:
			in.add(OpWait, l.Name, "it is being disabled")
		default:
			in.add(OpDisable, l.Name, "it is another build, and a kernel has no two modules of one name")
		}
		in.add(OpRemove, l.Name, "to make room for %s", mod.File)
		return false
	case l.Phase == Enabling:
		in.add(OpWait, l.Name, "it is loaded, and its transition is under way")
	case l.Phase == Disabling:
		in.add(OpResume, l.Name, "it is loaded and being disabled")
	}
	// In force, or about to be: what it replaced may still be there.
	for i := range in.sys.Livepatches {
		o := &in.sys.Livepatches[i]
		switch {
		case o.Name == mod.Name || !in.replaces():
		case o.Phase == Disabled:
			in.add(OpRemove, o.Name, "it is not in force any more")
		case o.Phase == Enabled && l.Phase == Enabling:
			in.add(OpRemove, o.Name, "it is being replaced")
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
	f := &in.mod.Facts
	policy := in.policy
	if policy == Auto {
		switch {
		case f.Replace == nil:
			in.refuse("say --policy disable, stack or replace", "%s does not say whether it replaces others, and %s is in force", in.mod.File, names(active))
			return "", nil
		case *f.Replace:
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
		if f.Replace == nil {
			in.note("%s does not say whether it replaces others; --policy replace takes it that it does", in.mod.Name)
		} else if !*f.Replace {
			in.refuse("--policy stack or disable", "%s does not replace other livepatches", in.mod.File)
		}
		in.replace(active)
		return "replace", active
	case Disable:
		for _, l := range slices.Backward(active) {
			in.disable(l, "the policy disables everything first")
			in.unpaired(l)
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
	f := &in.mod.Facts
	for _, l := range slices.Backward(active) {
		v := in.verdict(l)
		c, comparable := newer(*f, l.Facts)
		switch {
		case v.Decision == release.Refused:
			in.refuseFor(v, "klpforge unload "+l.Name+", or --policy disable")
		case !in.replaces() && f.Replace == nil:
			in.disable(l, "%s is not known to be cumulative", in.mod.Name)
		case !in.replaces():
			in.disable(l, "%s is not cumulative", in.mod.Name)
		case l.Replace == nil:
			in.disable(l, "it is not known to be cumulative")
		case !*l.Replace:
			in.disable(l, "it is not cumulative")
		case !comparable:
			in.disable(l, "it is not known to be an earlier release of the same series")
		case c == 0:
			in.disable(l, "it has the same version %s, and the kernel replaces only for an upgrade", l.Version)
		case c < 0:
			in.disable(l, "a downgrade from %s to %s: it has to clean up itself", l.Version, f.Version)
		case v.Decision == release.DisableFirst:
			in.disable(l, "%s", reasons(v, release.DisableFirst))
		default:
			in.notes(v)
			if !f.NoteTrusted {
				in.note("that %s is a later release than %s is what its note says, and nobody vouches for the note: %s", in.mod.Name, l.Name, f.NoteTrust)
			}
			replaced = append(replaced, l)
		}
	}
	if len(replaced) == 0 {
		return "alone", nil
	}
	slices.Reverse(replaced)
	return "replace", replaced
}

// verdict is what the manifests of both say about loading the module while l
// is in force; without both there is none, and nothing stands against it.
func (in *input) verdict(l *Livepatch) release.Verdict {
	if in.mod.Facts.manifest == nil || l.manifest == nil {
		return release.Verdict{Decision: release.Allowed}
	}
	return release.Replaceable(l.manifest, in.mod.Facts.manifest)
}

// reasons joins those of a verdict that led to a decision.
func reasons(v release.Verdict, d release.Decision) string {
	var out []string
	for _, r := range v.Reasons {
		if r.Decision == d {
			out = append(out, r.Message+" ("+string(r.ID)+")")
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
func (in *input) disable(l *Livepatch, reason string, args ...any) {
	in.add(OpDisable, l.Name, reason, args...)
	in.add(OpRemove, l.Name, "it is disabled")
}

// replace lets the kernel replace everything; only what the kernel itself
// would refuse is refused.
func (in *input) replace(old []*Livepatch) {
	for _, l := range old {
		v := in.verdict(l)
		if i := slices.IndexFunc(v.Reasons, func(r release.Reason) bool { return r.ID == finding.IDStates }); i >= 0 {
			in.refuse("--policy cumulative, which disables "+l.Name+" first, or --policy disable", "%s (%s)", v.Reasons[i].Message, v.Reasons[i].ID)
			return
		}
		in.notes(v)
		if c, ok := newer(in.mod.Facts, l.Facts); ok && c < 0 {
			in.note("this replaces version %s of %s by the older %s", l.Version, l.Product, in.mod.Facts.Version)
		}
	}
}

// stack checks that the module can come beside others.
func (in *input) stack(active []*Livepatch) {
	f := &in.mod.Facts
	switch {
	case f.Replace == nil:
		in.note("%s does not say whether it replaces others; --policy stack takes it that it does not", in.mod.Name)
	case *f.Replace:
		in.refuse("--policy cumulative", "%s replaces all other livepatches, it cannot be stacked", in.mod.File)
		return
	}
	if !f.Manifest {
		in.note("the functions of %s are not known before it is loaded: whether it changes one that %s changes cannot be told", in.mod.Name, names(active))
	}
	for _, l := range active {
		remedy := "klpforge unload " + l.Name + ", or --policy disable"
		if v := in.verdict(l); v.Decision != release.Allowed {
			in.refuseFor(v, remedy)
		} else if both := overlap(f.Objects, l.Objects); len(both) > 0 { // l has no manifest
			in.refuse(remedy, "%s and %s both change %s: the one loaded last hides what the other does there (KLP406)", in.mod.Name, l.Name, strings.Join(both, ", "))
		}
	}
}

// unpaired notes what disabling a livepatch does not undo.
func (in *input) unpaired(l *Livepatch) {
	if l.manifest == nil {
		return
	}
	for _, o := range l.manifest.Objects {
		if c := o.Callbacks; c != nil && c.PreUnpatch == "" && c.PostUnpatch == "" {
			in.note("disabling %s does not undo what its callbacks did to %s: it has none for unpatching (KLP403)", l.Name, o.Name)
		}
	}
}

// overlap lists functions that both change, as "object:function".
func overlap(a, b []Object) []string {
	var out []string
	for _, x := range a {
		for _, y := range b {
			if x.Name != y.Name {
				continue
			}
			for _, f := range x.Functions {
				if slices.ContainsFunc(y.Functions, func(g Func) bool { return g.Name == f.Name && g.Sympos == f.Sympos }) {
					out = append(out, x.Name+":"+f.Name)
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
