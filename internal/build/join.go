package build

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/klpforge/klpforge/analyze"
	"github.com/klpforge/klpforge/analyze/code"
	"github.com/klpforge/klpforge/analyze/lockdiff"
	"github.com/klpforge/klpforge/analyze/locks"
	"github.com/klpforge/klpforge/analyze/model"
	"github.com/klpforge/klpforge/elfdiff"
	"github.com/klpforge/klpforge/elfobj"
	"github.com/klpforge/klpforge/kbuild"
	"github.com/klpforge/klpforge/locate"
	"github.com/klpforge/klpforge/plan"
)

// joiner puts functions on the list whose own code stays as it is, because what
// they call takes or releases other locks than before: a task must not take a lock
// in one universe and release it in the other (KLP201).
type joiner struct {
	r      *run
	ctx    context.Context
	work   *kbuild.Work // nil for modules outside of the kernel's tree
	units  []*unit
	facts  map[*unit]*lockFacts
	models map[string]*model.Model // of shipped objects
	locks  map[string]*locks.Result
}

// lockFacts are the lock effects of a unit's functions, before and after.
type lockFacts struct {
	before, after *code.Object
	old, new      *locks.Result
}

// joining is a function whose callers have to be looked at.
type joining struct {
	u    *unit
	orig elfdiff.AtomID
	name string
}

// join adds the callers that KLP201 asks for and returns all units, with those that
// had to be compiled for it. With NoAutoCallers it only looks who they are.
func (r *run) join(ctx context.Context, work *kbuild.Work, units []*unit) ([]*unit, error) {
	j := &joiner{r: r, ctx: ctx, work: work, units: units, facts: map[*unit]*lockFacts{}, models: map[string]*model.Model{}, locks: map[string]*locks.Result{}}
	var todo []joining
	for _, u := range units {
		f := j.lockFacts(u)
		if f == nil {
			continue
		}
		for _, ch := range u.replace {
			old, ok := lockdiff.Of(f.before, f.old, ch.Orig)
			newer, known := lockdiff.Of(f.after, f.new, ch.Patched)
			if ok && known && old.Certain() && newer.Certain() && lockdiff.Compare(&old, &newer) == lockdiff.Changed {
				todo = append(todo, joining{u, ch.Orig, ch.Name})
			}
		}
	}
	for len(todo) > 0 {
		more, err := j.callers(todo[0])
		if err != nil {
			return nil, err
		}
		todo = append(todo[1:], more...)
	}
	return j.units, nil
}

// lockFacts is nil when an object cannot be decoded, which a check reports.
func (j *joiner) lockFacts(u *unit) *lockFacts {
	if f, ok := j.facts[u]; ok {
		return f
	}
	j.facts[u] = nil
	if u.diff == nil || u.isNew {
		return nil
	}
	before, err := code.New(u.diff.Orig)
	if err != nil {
		return nil
	}
	after, err := code.New(u.diff.Patched)
	if err != nil {
		return nil
	}
	f := &lockFacts{before: before, after: after, old: locks.Analyze(before.Model, locks.Options{}), new: locks.Analyze(after.Model, locks.Options{})}
	j.facts[u] = f
	return f
}

// callers puts the callers of one function on the list and returns those whose own
// callers matter too.
func (j *joiner) callers(x joining) ([]joining, error) {
	var more []joining
	add := func(u *unit, a elfdiff.AtomID) {
		if j.r.opt.NoAutoCallers {
			return
		}
		if next, ok := j.add(u, a, x.name); ok {
			more = append(more, next)
		}
	}
	callers, _ := j.facts[x.u].before.Callers(x.orig)
	for _, a := range callers {
		add(x.u, a)
	}
	if x.u.diff.Orig.Local(x.orig) {
		return more, nil
	}
	out, err := j.outside(x)
	if err != nil {
		return nil, err
	}
	facts := analyze.Outside{Complete: out.complete, Pointers: out.pointers}
	for _, c := range out.callers {
		u, a, err := j.find(c)
		if err != nil {
			return nil, err
		}
		switch {
		case u == nil, j.r.opt.NoAutoCallers && u != x.u && u.replaced(a) < 0:
			facts.Unpatched = append(facts.Unpatched, c.name+" ["+c.owner+"]")
		case u != x.u:
			add(u, a)
		}
	}
	if x.u.outside == nil {
		x.u.outside = map[elfdiff.AtomID]analyze.Outside{}
	}
	x.u.outside[x.orig] = facts
	return more, nil
}

// add puts one caller on the list. It returns the caller when its callers must join
// too, because it does not leave the locks as they were.
func (j *joiner) add(u *unit, a elfdiff.AtomID, callee string) (joining, bool) {
	o := u.diff.Orig
	at := &o.Atoms[a]
	patched := u.diff.PatchedOf(a)
	section := o.Section(a)
	if i := u.replaced(a); i >= 0 {
		if len(u.joined[a]) > 0 && !slices.Contains(u.joined[a], callee) {
			u.joined[a] = append(u.joined[a], callee)
			u.replace[i].Reasons = joinReasons(u.joined[a])
		}
		return joining{}, false
	}
	if patched < 0 || at.Name == "" {
		return joining{}, false
	}
	if elfdiff.InitSection(section) {
		j.r.res.Notes = append(j.r.res.Notes, fmt.Sprintf("%s calls %s, but only while booting, loading or unloading; it does not join", at.Name, callee))
		return joining{}, false
	}
	ch := elfdiff.Change{Name: at.Name, Kind: elfdiff.Changed, Section: section, Orig: a, Patched: patched,
		Reasons: joinReasons([]string{callee})}
	u.replace = append(u.replace, ch)
	if u.joined == nil {
		u.joined = map[elfdiff.AtomID][]string{}
	}
	u.joined[a] = []string{callee}
	j.r.checkShipped(u, ch)
	if j.balanced(u, ch) {
		return joining{}, false
	}
	return joining{u, a, at.Name}, true
}

// joinReasons says why a function is on the list although its code stays as it is.
func joinReasons(callees []string) []string {
	return []string{"unchanged; switches with " + strings.Join(callees, ", ") + ", which it calls: other locks are held afterwards than before the patch (KLP201)"}
}

// replaced returns the index in u.replace of an original function, -1 if none.
func (u *unit) replaced(a elfdiff.AtomID) int {
	return slices.IndexFunc(u.replace, func(c elfdiff.Change) bool { return c.Orig == a })
}

// balanced reports whether a caller leaves all locks as they were, before and after.
func (j *joiner) balanced(u *unit, ch elfdiff.Change) bool {
	if f := j.lockFacts(u); f != nil {
		old, ok := lockdiff.Of(f.before, f.old, ch.Orig)
		newer, known := lockdiff.Of(f.after, f.new, ch.Patched)
		// In its own object file it may look neutral only because what it calls is
		// elsewhere; the linked code below has the last word then.
		if ok && known && (!old.Neutral || !newer.Neutral || !old.Certain() || !newer.Certain()) && j.sees(u, ch) {
			return false
		}
	}
	m := j.model(u.owner)
	if m == nil {
		return false
	}
	ids := m.Lookup(ch.Name)
	if len(ids) != 1 {
		return false
	}
	e := j.effects(u.owner, m).Effect(ids[0])
	return e.Neutral() && e.Unknown == 0
}

// sees reports whether all that a function calls directly is in its object file, so
// that what is known of the file holds for the function.
func (j *joiner) sees(u *unit, ch elfdiff.Change) bool {
	f := j.facts[u]
	id, err := f.before.Func(ch.Orig)
	if err != nil {
		return false
	}
	m := f.before.Model
	for _, c := range m.Calls(id) {
		if c.Target == model.NoFunc || m.Func(c.Target).Flags&model.FuncExtern != 0 {
			return false
		}
	}
	return true
}

func (j *joiner) model(owner string) *model.Model {
	if m, ok := j.models[owner]; ok {
		return m
	}
	j.models[owner] = nil
	// What cannot be decoded is not known, and reported as such.
	if owner == plan.Vmlinux {
		k, err := j.r.whole()
		if err != nil {
			return nil
		}
		j.models[owner], j.locks[owner] = k.Model, k.Locks
		return k.Model
	}
	m, err := j.r.target.module(owner)
	if err != nil {
		return nil
	}
	p, err := model.FromObject(m.m.File, model.ObjectOptions{Name: owner})
	if err != nil {
		return nil
	}
	j.models[owner] = model.Build(p)
	return j.models[owner]
}

func (j *joiner) effects(owner string, m *model.Model) *locks.Result {
	if j.locks[owner] == nil {
		j.locks[owner] = locks.Analyze(m, locks.Options{})
	}
	return j.locks[owner]
}

// shippedCaller is a function of the shipped kernel.
type shippedCaller struct{ owner, name string }

// outsideCallers are the callers of a function in other object files.
type outsideCallers struct {
	callers  []shippedCaller
	pointers []string // what holds its address
	complete bool     // no other caller exists, but through the pointers
}

// outside looks for callers in the linked code: that of the same owner, and when the
// function is exported, that of every module.
func (j *joiner) outside(x joining) (outsideCallers, error) {
	out := outsideCallers{complete: true}
	owner := x.u.owner
	m := j.model(owner)
	if m == nil {
		out.complete = false
		return out, nil
	}
	ids := m.Lookup(x.name)
	if owner == plan.Vmlinux {
		if pl, ok := x.u.place.Funcs[x.orig]; ok {
			ids = []model.FuncID{m.Entry(pl.Addr)}
		}
	}
	if len(ids) != 1 || ids[0] == model.NoFunc {
		out.complete = false
		return out, nil
	}
	add := func(owner string, m *model.Model, id model.FuncID) {
		for c := range m.Callers(id) {
			s := shippedCaller{owner, m.Func(c.Caller).Name}
			if c.Caller != id && !slices.Contains(out.callers, s) {
				out.callers = append(out.callers, s)
			}
		}
	}
	add(owner, m, ids[0])
	for ref := range m.DataRefsTo(ids[0]) {
		if s, _, ok := m.Prog.SymbolAt(ref.Addr); ok && !strings.HasPrefix(s.Name, "__ksymtab") {
			out.pointers = append(out.pointers, s.Name)
		}
	}
	for ref := range m.CodeRefsTo(ids[0]) {
		out.pointers = append(out.pointers, m.Func(ref.In).Name)
	}
	slices.Sort(out.pointers)
	out.pointers = slices.Compact(out.pointers)
	if _, exported := j.r.target.export(x.name); !exported {
		return out, nil
	}
	for _, file := range j.r.target.modules.List() {
		if file.Name == owner {
			continue
		}
		mod, err := j.r.target.modules.Module(file.Name)
		if err != nil {
			return out, err
		}
		if !slices.ContainsFunc(mod.File.Symbols, func(s elfobj.Symbol) bool { return s.Sec == elfobj.SecUndef && s.Name == x.name }) {
			continue
		}
		m := j.model(file.Name)
		if m == nil {
			out.complete = false
			continue
		}
		for _, id := range m.Lookup(x.name) {
			add(file.Name, m, id)
		}
	}
	return out, nil
}

// find gives the unit and the function of a caller, compiling its source file if
// need be; nil when it cannot be found for certain.
func (j *joiner) find(c shippedCaller) (*unit, elfdiff.AtomID, error) {
	for _, u := range j.units {
		if a, ok := holds(u, c); ok {
			return u, a, nil
		}
	}
	for i, u := range j.r.unchanged {
		if u.owner != c.owner {
			continue
		}
		if err := j.load(u); err != nil {
			return nil, 0, err
		}
		if a, ok := holds(u, c); ok {
			j.r.unchanged = slices.Delete(slices.Clone(j.r.unchanged), i, i+1)
			j.take(u)
			return u, a, nil
		}
	}
	if j.work == nil {
		return nil, 0, nil
	}
	objects, err := j.r.tree.Defining(c.name, c.owner, maxCandidates)
	if err != nil || len(objects) == 0 {
		return nil, 0, err
	}
	before, err := j.work.Before(j.ctx, objects)
	if err != nil {
		return nil, 0, fmt.Errorf("compile files that may hold %s: %w", c.name, err)
	}
	for i, object := range objects {
		o, err := j.r.tree.Owner(object)
		if err != nil {
			return nil, 0, err
		}
		u := &unit{object: object, owner: c.owner, before: before[i], after: before[i]}
		if err := j.load(u); err != nil {
			return nil, 0, err
		}
		if a, ok := holds(u, c); ok {
			j.r.shared[object] = len(o.Names())
			j.take(u)
			return u, a, nil
		}
	}
	return nil, 0, nil
}

// take adds a unit that only callers brought in.
func (j *joiner) take(u *unit) {
	j.units = append(j.units, u)
	j.r.units = append(j.r.units, u)
	j.r.res.Units = append(j.r.res.Units, u.object)
}

// load compares an unchanged object with itself, which correlates its functions, and
// finds them in the shipped code.
func (j *joiner) load(u *unit) error {
	if u.diff != nil {
		return nil
	}
	f, err := elfobj.ReadFile(u.before.Path)
	if err != nil {
		return fmt.Errorf("object of a caller: %w", err)
	}
	if u.diff, err = elfdiff.Diff(f, f); err != nil {
		return fmt.Errorf("read %s: %w", u.object, err)
	}
	if u.view, err = j.r.target.View(u.owner); err != nil {
		return err
	}
	u.place = locate.Find(u.diff.Orig, u.view)
	return nil
}

// holds finds a shipped function in a unit: the one of that name that was located.
func holds(u *unit, c shippedCaller) (elfdiff.AtomID, bool) {
	if u.owner != c.owner || u.place == nil {
		return 0, false
	}
	found := elfdiff.AtomID(-1)
	for a, pl := range u.place.Funcs {
		if pl.Name == c.name && u.diff.Orig.Root(a) == a {
			if found >= 0 {
				return 0, false // two of one name: not certain
			}
			found = a
		}
	}
	return found, found >= 0
}

// maxCandidates bounds how many source files are compiled to find one caller.
const maxCandidates = 8
