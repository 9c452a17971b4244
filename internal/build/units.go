package build

import (
	"context"
	"crypto/sha256"
	"debug/elf"
	"encoding/hex"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/klpforge/klpforge/analyze"
	"github.com/klpforge/klpforge/analyze/types"
	"github.com/klpforge/klpforge/elfdiff"
	"github.com/klpforge/klpforge/elfobj"
	"github.com/klpforge/klpforge/finding"
	"github.com/klpforge/klpforge/generate"
	"github.com/klpforge/klpforge/kbuild"
	"github.com/klpforge/klpforge/kernel/kimage"
	"github.com/klpforge/klpforge/locate"
	"github.com/klpforge/klpforge/plan"
)

func secID(i int) elfobj.SecID { return elfobj.SecID(i) }

// unit is one object file for one owner: an object that two modules share is
// two units.
type unit struct {
	object string // "fs/ext4/mballoc.o"
	owner  string // vmlinux or a module
	before kbuild.Built
	after  kbuild.Built
	isNew  bool // the patch adds the object

	diff    *elfdiff.Result
	place   *locate.Placement
	view    locate.View
	replace []elfdiff.Change            // functions to register, and what travels along
	joined  map[elfdiff.AtomID][]string // as analyze.Unit.Joined
	outside map[elfdiff.AtomID]analyze.Outside

	types    [2]*types.Info // see analyze.Unit
	typesErr error
	travels  *travels // what extract took; nil for nothing
	target   *analyze.TypeCheck
}

// compare diffs all pairs of objects, several at a time.
func (r *run) compare(ctx context.Context, units []*unit) error {
	g, _ := errgroup.WithContext(ctx)
	g.SetLimit(max(r.opt.Jobs, runtime.NumCPU()))
	for _, u := range units {
		g.Go(func() error {
			patched, err := elfobj.ReadFile(u.after.Path)
			if err != nil {
				return fmt.Errorf("object after the patch: %w", err)
			}
			orig := &elfobj.File{Machine: patched.Machine, Type: patched.Type, BigEndian: patched.BigEndian,
				Sections: make([]elfobj.Section, 1), Symbols: make([]elfobj.Symbol, 1)}
			if !u.isNew {
				if orig, err = elfobj.ReadFile(u.before.Path); err != nil {
					return fmt.Errorf("object before the patch: %w", err)
				}
			}
			u.diff, err = elfdiff.Diff(orig, patched)
			if err != nil {
				return fmt.Errorf("compare %s: %w", u.object, err)
			}
			return nil
		})
	}
	return g.Wait()
}

// locateUnit finds the unit in the shipped kernel and decides what to register.
func (r *run) locateUnit(u *unit) error {
	v, err := r.target.View(u.owner)
	if err != nil {
		return err
	}
	u.view = v
	u.place = locate.Find(u.diff.Orig, v)
	for _, p := range u.diff.Problems {
		r.problem(u, p)
	}
	for _, ch := range u.diff.Functions {
		if ch.Kind != elfdiff.Changed || ch.Init {
			continue
		}
		if u.overridden(ch) {
			r.problem(u, finding.Finding{ID: finding.IDSymbol, Severity: finding.Note, Symbol: ch.Name,
				Message: "weak function: the target uses another definition, so this change has no effect there and is left out"})
			continue
		}
		u.replace = append(u.replace, ch)
		r.checkShipped(u, ch)
	}
	return nil
}

// overridden reports whether the target links another definition in place of a
// weak function of the unit.
func (u *unit) overridden(ch elfdiff.Change) bool {
	if _, placed := u.place.Funcs[ch.Orig]; placed {
		return false
	}
	o := u.diff.Orig
	list := u.view.Lookup(ch.Name)
	return o.File.Symbols[o.Atoms[ch.Orig].Sym].Bind == elf.STB_WEAK && len(list) == 1 && list[0].Global
}

// checkShipped judges one changed function by the shipped kernel.
func (r *run) checkShipped(u *unit, ch elfdiff.Change) {
	pl, ok := u.place.Funcs[ch.Orig]
	if !ok {
		why := u.place.Miss[ch.Orig]
		id, remedy := finding.IDShippedCode, "build with the target's own compiler, config and source version"
		if len(u.view.Lookup(ch.Name)) == 0 {
			id, remedy = finding.IDSymbol, "the function was inlined everywhere or named otherwise in the shipped build; check compiler and config"
		} else if strings.Contains(why, "nothing tells them apart") {
			id, remedy = finding.IDSymbol, "several functions of this name exist; none can be chosen safely"
		}
		r.problem(u, finding.Finding{ID: id, Severity: finding.Error, Symbol: ch.Name,
			Message: fmt.Sprintf("the code compiled before the patch is not what %s of %s holds: %s", u.owner, r.target.Release(), why), Remedy: remedy})
		return
	}
	if !pl.Stable {
		r.problem(u, finding.Finding{ID: finding.IDSymbol, Severity: finding.Error, Symbol: ch.Name,
			Message: fmt.Sprintf("the position of %s in %s depends on whether the module is still loading", ch.Name, u.owner)})
	}
	if ch.Along {
		return // ftrace need not know it
	}
	switch r.target.traceableAt(u.owner, pl) {
	case kimage.No:
		for _, p := range u.diff.Problems {
			if p.ID == finding.IDNotTraceable && p.Symbol == ch.Name {
				return
			}
		}
		r.problem(u, finding.Finding{ID: finding.IDNotTraceable, Severity: finding.Error, Symbol: ch.Name,
			Message: "the target has no ftrace entry for the function: it cannot be redirected", Remedy: r.callersRemedy(u.owner, pl)})
	case kimage.Unknown:
		r.problem(u, finding.Finding{ID: finding.IDNotTraceable, Severity: finding.Warning, Symbol: ch.Name,
			Message: "it cannot be told whether the target has an ftrace entry for the function: " + r.target.trace.Why})
	}
}

// extract cuts the unit's object and adds its functions to the plan.
func (r *run) extract(ctx context.Context, work *kbuild.Work, u *unit, provided map[string]bool) (*generate.Unit, error) {
	names := &locate.Names{Orig: u.diff.Orig, Place: u.place, Vmlinux: r.target.vmlinux,
		Export:     r.target.export,
		Provided:   func(n string) bool { return provided[n] },
		Source:     func(n string) string { return r.unlisted(ctx, n) },
		Module:     func(module string) (locate.View, error) { return r.exporter(u, module) },
		Namespaces: r.namespaces}
	opt := elfdiff.ExtractOptions{Unit: r.unitName(u), Object: u.owner, Resolve: resolver(names)}
	for _, ch := range u.replace {
		opt.Functions = append(opt.Functions, ch.Patched)
	}
	keep := func(changes []elfdiff.Change) (names []string) {
		for _, ch := range changes {
			if ch.Kind == elfdiff.New && !ch.Init && provided[ch.Name] && !u.diff.Patched.Local(ch.Patched) {
				opt.Keep = append(opt.Keep, ch.Patched)
				names = append(names, ch.Name)
			}
		}
		return names
	}
	newFuncs, newData := keep(u.diff.Functions), keep(u.diff.Data)
	keepCallbacks(u, &opt)
	r.forcedForNothing(u)
	if len(opt.Functions)+len(opt.Keep) == 0 {
		return nil, nil
	}
	x, err := u.diff.Extract(opt)
	var p *finding.Finding
	if errors.As(err, &p) && plainFor(p) != nil {
		if x, err = r.extractPlain(ctx, work, u, &opt, err); err != nil && !errors.As(err, &p) {
			return nil, err
		}
	}
	if err != nil {
		if errors.As(err, &p) {
			r.problem(u, *p)
			return nil, nil
		}
		return nil, fmt.Errorf("extract %s: %w", u.object, err)
	}
	for _, p := range x.Problems {
		r.problem(u, p)
	}
	u.travels = travelling(u, slices.Concat(newFuncs, x.NewFuncs), slices.Concat(newData, x.NewData))
	r.res.NewFuncs = slices.Concat(r.res.NewFuncs, newFuncs, x.NewFuncs)
	r.res.NewData = slices.Concat(r.res.NewData, newData, x.NewData)
	if err := r.shadows(u, x.File); err != nil {
		return nil, err
	}
	indirect, err := generate.CheckIndirect(x.File, r.target)
	if err != nil {
		return nil, err
	}
	for _, p := range indirect {
		r.problem(u, p)
	}
	data, err := x.File.Write()
	if err != nil {
		return nil, fmt.Errorf("write %s: %w", u.object, err)
	}
	for i, ch := range u.replace {
		if ch.Along {
			continue
		}
		if err := r.register(u, ch, x.NewSymbols[opt.Functions[i]]); err != nil {
			return nil, err
		}
	}
	r.registerCallbacks(u, u.diff.Callbacks(), x.NewSymbols)
	return &generate.Unit{Name: opt.Unit, Object: data}, nil
}

// unlisted says why the target, whose source names a symbol, lists none of that
// name; "" if its source does not name it either, so that a patch must bring it.
func (r *run) unlisted(ctx context.Context, name string) string {
	if r.tree == nil {
		return ""
	}
	file, err := r.tree.Mention(ctx, name)
	switch {
	case err != nil || file == "":
		return ""
	case file == "scripts/kallsyms.c":
		return "it is one of kallsyms' own tables (" + file + ")"
	case strings.Contains(file, ".lds"):
		return "the linker script sets it (" + file + ")"
	}
	return "its source has it (" + file + "), and the target's build made no symbol of it: it is inlined, or not configured"
}

// unitName is the object's path, with the owner's name where several modules
// share one object file.
func (r *run) unitName(u *unit) string {
	if r.shared[u.object] > 1 {
		return strings.TrimSuffix(u.object, ".o") + "." + u.owner + ".o"
	}
	return u.object
}

// wanted lists the new globals of all units that another unit refers to.
func wanted(units []*unit) map[string]bool {
	defined := map[string]bool{}
	for _, u := range units {
		for _, n := range u.diff.NewGlobals() {
			defined[n] = true
		}
	}
	need := map[string]bool{}
	for _, u := range units {
		for i := range u.diff.Patched.File.Symbols {
			s := &u.diff.Patched.File.Symbols[i]
			if s.Sec == elfobj.SecUndef && defined[s.Name] {
				need[s.Name] = true
			}
		}
	}
	return need
}

// register puts one function on the plan.
func (r *run) register(u *unit, ch elfdiff.Change, sym string) error {
	pl, ok := u.place.Funcs[ch.Orig]
	if !ok {
		return nil // already a problem
	}
	code, addr, err := r.target.shipped(u.owner, pl)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(code)
	f := plan.Func{Name: pl.Name, Sympos: pl.Sympos(), NewSymbol: sym, Unit: r.unitName(u), Reasons: ch.Reasons,
		Shipped: plan.Shipped{Addr: addr, Size: pl.Size, SHA256: hex.EncodeToString(sum[:])}}
	f.Immediate = r.forced(u, ch)
	o := r.planObject(u.owner)
	o.Funcs = append(o.Funcs, f)
	return nil
}

// callersRemedy names the traceable functions of vmlinux that call a function.
func (r *run) callersRemedy(owner string, pl locate.Place) string {
	if owner != plan.Vmlinux {
		return "change its traceable callers instead"
	}
	callers := r.target.callers(pl.Addr)
	if len(callers) == 0 {
		return "vmlinux has no traceable function that calls it directly; its users in modules, or what reaches it by pointer, would have to change"
	}
	return "change its traceable callers instead: " + shortList(callers, 8)
}
