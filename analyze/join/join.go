package join

import (
	"maps"
	"slices"
	"strings"

	"github.com/klpforge/klpforge/analyze"
	"github.com/klpforge/klpforge/analyze/lockdiff"
	"github.com/klpforge/klpforge/analyze/locks"
	"github.com/klpforge/klpforge/analyze/model"
	"github.com/klpforge/klpforge/elfdiff"
)

// Input is what the decision rests on. It is only read.
type Input struct {
	// Units are the object files at hand, each located in the target. Those that no
	// patch changes have an empty Replace.
	Units   []*analyze.Unit
	Shipped Shipped
	// Lost are the callers whose object file was looked for, and not found.
	Lost map[Caller]bool
	// LookOnly joins nobody; it only tells who would have to, so that a finding can
	// name them.
	LookOnly bool
}

// Shipped is the linked code of the target.
type Shipped interface {
	// Code returns vmlinux or a module; nil when it cannot be decoded.
	Code(owner string) *Code
	// Exported reports whether a symbol is exported, by whatever owner.
	Exported(symbol string) bool
	// Users lists the modules besides owner that refer to a symbol which they do not
	// define.
	Users(symbol, owner string) ([]string, error)
}

// Code is one linked object: its program, and what its functions do to locks.
type Code struct {
	Model *model.Model
	Locks func() *locks.Result
}

// Caller is a function of the shipped kernel.
type Caller struct {
	Owner string // vmlinux or a module
	Name  string
}

// Func is an original function of a unit.
type Func struct {
	Unit *analyze.Unit
	Orig elfdiff.AtomID
}

// Join is an unchanged function that must be replaced.
type Join struct {
	Func
	Name    string
	Patched elfdiff.AtomID
	Because []string // what it calls and must switch together with
}

// Change is the join as the differ would say it.
func (j *Join) Change() elfdiff.Change {
	return elfdiff.Change{Name: j.Name, Kind: elfdiff.Changed, Section: j.Unit.Diff.Orig.Section(j.Orig), Orig: j.Orig,
		Patched: j.Patched,
		Reasons: []string{"unchanged; switches with " + strings.Join(j.Because, ", ") +
			", which it calls: other locks are held afterwards than before the patch (KLP201)"}}
}

// Gone is a caller in code that has run: it need not join.
type Gone struct{ Caller, Callee string }

// Decision is who joins, why, and who cannot.
type Decision struct {
	Joins []*Join // in the order in which they were found
	// Outside tells of callers in other object files, for each non-static function
	// whose callers had to be looked at.
	Outside map[Func]analyze.Outside
	Gone    []Gone
	// Wanted are callers in object files that Input.Units lacks. While there are any,
	// the rest is not complete.
	Wanted []Caller
}

// Decide decides about the callers of all replaced functions. The error is one of
// Input.Shipped.
func Decide(in Input) (*Decision, error) {
	decide := &decider{Input: in, Decision: &Decision{Outside: map[Func]analyze.Outside{}}, joins: map[Func]*Join{}}

	// Where it begins: functions that certainly leave other locks held.
	for _, u := range in.Units {
		for _, ch := range u.Replace {
			if effectChanged(u, ch) {
				decide.todo = append(decide.todo, Func{u, ch.Orig})
			}
		}
	}

	for len(decide.todo) > 0 && len(decide.Wanted) == 0 {
		callee := decide.todo[0]
		decide.todo = decide.todo[1:]
		if err := decide.callers(callee); err != nil {
			return nil, err
		}
	}
	return decide.Decision, nil
}

// decider is a decision in the making.
type decider struct {
	Input
	*Decision
	todo  []Func // their callers have to be looked at
	joins map[Func]*Join
}

// effectChanged reports whether a function is certain to do something else to locks
// than before.
func effectChanged(u *analyze.Unit, ch elfdiff.Change) bool {
	old, newer, known := effects(u, ch.Orig, ch.Patched)
	return known && old.Certain() && newer.Certain() && lockdiff.Compare(&old, &newer) == lockdiff.Changed
}

// effects are what a function does to locks before and after, as its object file
// alone tells. known is false when that cannot be found out.
func effects(u *analyze.Unit, orig, patched elfdiff.AtomID) (old, newer lockdiff.Effect, known bool) {
	if u.New {
		return old, newer, false
	}
	before, after, decoded := u.Sides()
	if !decoded {
		return old, newer, false // a check says so
	}
	old, hasOld := lockdiff.Of(before, before.Locks(), orig)
	newer, hasNew := lockdiff.Of(after, after.Locks(), patched)
	return old, newer, hasOld && hasNew
}

// callers makes the callers of one function join.
func (d *decider) callers(callee Func) error {
	unit := callee.Unit
	name := unit.Name(callee.Orig)

	// Those of the same object file. One that cannot be decoded is a finding of a check.
	if before, err := unit.Before(); err == nil {
		own, _ := before.Callers(callee.Orig)
		for _, a := range own {
			d.join(Func{unit, a}, name)
		}
	}
	if unit.Diff.Orig.Local(callee.Orig) {
		return nil
	}

	// Those of others, as the linked code shows them.
	seen, err := d.shippedCallers(callee)
	if err != nil {
		return err
	}
	outside := analyze.Outside{Complete: seen.complete, Pointers: seen.pointers}
	for _, caller := range seen.callers {
		fn, found := d.holder(caller)
		switch {
		case !found && !d.Lost[caller]:
			d.Wanted = append(d.Wanted, caller)
		case !found, d.LookOnly && fn.Unit != unit && !d.replaced(fn):
			outside.Unpatched = append(outside.Unpatched, caller.Name+" ["+caller.Owner+"]")
		case fn.Unit != unit:
			d.join(fn, name)
		}
	}
	d.Outside[callee] = outside
	return nil
}

// join makes one caller join, and has its own callers looked at when it does not
// leave the locks as they were.
func (d *decider) join(fn Func, callee string) {
	if d.LookOnly {
		return
	}
	unit := fn.Unit
	if j := d.joins[fn]; j != nil {
		if !slices.Contains(j.Because, callee) {
			j.Because = append(j.Because, callee)
		}
		return
	}
	name, patched := unit.Name(fn.Orig), unit.Diff.PatchedOf(fn.Orig)
	if unit.Replaced(fn.Orig) || patched < 0 || name == "" {
		return
	}
	if elfdiff.InitSection(unit.Diff.Orig.Section(fn.Orig)) {
		d.Gone = append(d.Gone, Gone{name, callee})
		return
	}
	j := &Join{Func: fn, Name: name, Patched: patched, Because: []string{callee}}
	d.joins[fn] = j
	d.Joins = append(d.Joins, j)
	if !d.balanced(j) {
		d.todo = append(d.todo, fn)
	}
}

// replaced reports whether a function is on the list, changed or joined.
func (d *decider) replaced(f Func) bool { return d.joins[f] != nil || f.Unit.Replaced(f.Orig) }

// balanced reports whether a caller leaves all locks as they were, before and after.
func (d *decider) balanced(joined *Join) bool {
	old, newer, known := effects(joined.Unit, joined.Orig, joined.Patched)
	// In its own object file it may look neutral only because what it calls is
	// elsewhere; the linked code below has the last word then.
	certain := known && old.Neutral && newer.Neutral && old.Certain() && newer.Certain()
	if known && !certain && callsOwnOnly(joined.Unit, joined.Orig) {
		return false
	}

	linked := d.Shipped.Code(joined.Unit.Owner)
	if linked == nil {
		return false
	}
	ids := linked.Model.Lookup(joined.Name)
	if len(ids) != 1 {
		return false
	}
	effect := linked.Locks().Effect(ids[0])
	return effect.Neutral() && effect.Unknown == 0
}

// callsOwnOnly reports whether all that a function calls directly, but for its ftrace
// entry, is in its object file, so that what is known of the file holds for the function.
func callsOwnOnly(u *analyze.Unit, a elfdiff.AtomID) bool {
	before, err := u.Before()
	if err != nil {
		return false
	}
	id, err := before.Func(a)
	if err != nil {
		return false
	}
	for _, c := range before.Model.Calls(id) {
		if c.Target == model.NoFunc {
			return false
		}
		if f := before.Model.Func(c.Target); f.Flags&model.FuncExtern != 0 && f.Name != "__fentry__" {
			return false
		}
	}
	return true
}

// holder finds the unit and the original function of a shipped caller: the one of
// its name that was located. It reports false when no unit has it for certain.
func (d *decider) holder(c Caller) (Func, bool) {
	for _, u := range d.Units {
		if a, ok := Holds(u, c); ok {
			return Func{u, a}, true
		}
	}
	return Func{}, false
}

// Holds finds a shipped function in a unit. It reports false when the unit lacks it,
// or when two functions of the unit were located under that name.
func Holds(unit *analyze.Unit, caller Caller) (elfdiff.AtomID, bool) {
	if unit.Owner != caller.Owner || unit.Place == nil {
		return 0, false
	}
	found := elfdiff.AtomID(-1)
	for _, atom := range slices.Sorted(maps.Keys(unit.Place.Funcs)) {
		if unit.Place.Funcs[atom].Name != caller.Name || unit.Diff.Orig.Root(atom) != atom {
			continue
		}
		if found >= 0 {
			return 0, false
		}
		found = atom
	}
	return found, found >= 0
}
