package pipeline

import (
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"slices"

	"github.com/klpforge/klpforge/analyze/code"
	"github.com/klpforge/klpforge/elfdiff"
	"github.com/klpforge/klpforge/generate"
	"github.com/klpforge/klpforge/kernel/klpapi"
	"github.com/klpforge/klpforge/patchset"
	"github.com/klpforge/klpforge/plan"
	"github.com/klpforge/klpforge/release"
)

// register puts what was cut out on the plan: functions, callbacks, shadow variables.
func register(patchPlan *plan.Plan, opt *Options, target *Target, cut *extraction, say *journal) error {
	patchPlan.Shadows = slices.Clone(opt.Shadows)
	api, apiErr := target.K.API()
	for _, piece := range cut.cuts {
		if err := piece.registerShadows(patchPlan, say); err != nil {
			return err
		}
		if err := piece.registerFuncs(patchPlan, target, apiErr == nil && api.FuncImmediate, say); err != nil {
			return err
		}
		for _, cb := range piece.diff.Callbacks() {
			if twice := patchPlan.Object(piece.unit.Owner).Register(cb.Kind, piece.symbols[cb.Func]); twice != nil {
				say.about(piece.unit, *twice)
			}
		}
	}
	if len(target.vmlinux.Lookup("clear_relocate_add")) == 0 {
		say.found(generate.CheckReload(cut.units(), patchPlan.Objects, target.Release())...)
	}
	return nil
}

// registerFuncs puts the functions of one cut on the plan. able says that the target can
// switch single functions at once.
func (c *cut) registerFuncs(patchPlan *plan.Plan, target *Target, able bool, say *journal) error {
	for i, ch := range c.unit.Replace {
		place, placed := c.unit.Place.Funcs[ch.Orig]
		if ch.Carried || !placed {
			continue // needs no entry, or is a finding already
		}
		shipped, addr, err := target.shipped(c.unit.Owner, place)
		if err != nil {
			return err
		}
		sum := sha256.Sum256(shipped)
		f := plan.Func{Name: place.Name, Sympos: place.Sympos(), NewSymbol: c.symbols[c.functions[i]], Unit: c.name,
			Reasons: ch.Reasons,
			Shipped: plan.Shipped{Addr: addr, Size: place.Size, SHA256: hex.EncodeToString(sum[:])}}
		f.Immediate = c.forced(ch, able, say)
		o := patchPlan.Object(c.unit.Owner)
		o.Funcs = append(o.Funcs, f)
	}
	return nil
}

// forced says what becomes of the wish that a function may switch while it runs:
// whether klp_func.immediate is set.
func (c *cut) forced(ch elfdiff.Change, able bool, say *journal) bool {
	f := c.unit.Diff.CheckForce(ch, able)
	if f == nil {
		return false
	}
	say.about(c.unit, *f)
	return able
}

// registerShadows puts the ids of shadow variables that the code uses on the plan.
func (c *cut) registerShadows(patchPlan *plan.Plan, say *journal) error {
	calls, err := code.ShadowCalls(c.file)
	if err != nil {
		return err
	}
	for _, call := range calls {
		if !call.Known {
			say.about(c.unit, release.UnknownShadow(call.Function, call.Section))
			continue
		}
		if !slices.ContainsFunc(patchPlan.Shadows, func(s plan.Shadow) bool { return s.ID == call.ID }) {
			patchPlan.Shadows = append(patchPlan.Shadows, plan.Shadow{ID: call.ID})
			say.note("%s: uses the shadow variables %#x, which no manifest declares", c.unit.Object, call.ID)
		}
	}
	return nil
}

// finishPlan adds to the plan what does not come from the code, and checks it against
// what the release promises.
func finishPlan(patchPlan *plan.Plan, opt *Options, target *Target, request *request, cut *extraction, say *journal) {
	patchPlan.Release, patchPlan.Name = target.Release(), request.name
	for _, patch := range request.series.Patches {
		patchPlan.Patches = append(patchPlan.Patches, planned(patch))
	}
	for _, patch := range opt.Present {
		patchPlan.Present = append(patchPlan.Present, planned(patch))
	}
	patchPlan.Product, patchPlan.Vendor, patchPlan.Version, patchPlan.Description = opt.Product, opt.Vendor,
		opt.Version, opt.Description
	patchPlan.States = opt.States
	for _, s := range say.res.Suppressions {
		patchPlan.Allowed = append(patchPlan.Allowed, plan.Allowed(s))
	}
	patchPlan.ImportNS = slices.Sorted(maps.Keys(cut.namespaces))
	patchPlan.Sort()

	if opt.Callbacks != nil {
		say.found(release.CheckCallbacks(patchPlan.Objects, opt.Callbacks)...)
	}
	// What callbacks would leave behind.
	promised := *patchPlan
	promised.Replace = !opt.NoReplace
	say.found(release.CheckModule(generate.NewNote(promised, klpapi.API{}))...)

	slices.Sort(say.res.NewFuncs)
	slices.Sort(say.res.NewData)
}

func planned(p *patchset.Patch) plan.Patch {
	return plan.Patch{Name: p.ID, Subject: p.Subject, IDs: p.IDs(), Content: p.Content()}
}
