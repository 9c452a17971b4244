// Package code answers small questions about the compiled functions of one
// object file: what a function calls, which variables and memory it writes,
// which constants it returns, and what its callers do with its result.
//
// Everything is decided from decoded instructions. What the decoder or the
// program model cannot follow is reported as unknown, never left out.
package code

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/klpforge/klpforge/analyze/locks"
	"github.com/klpforge/klpforge/analyze/model"
	"github.com/klpforge/klpforge/elfdiff"
)

// Object is one decoded object file. What it says does not change, and it is safe for
// concurrent use.
type Object struct {
	Atoms *elfdiff.Object
	Model *model.Model

	// Found when first asked for, once: the analysis of locks executes every function
	// of the object.
	locks  func() *locks.Result
	flows  func() *locks.Flows
	events *eventCache
}

// New decodes an object.
func New(o *elfdiff.Object) (*Object, error) {
	p, err := model.FromObject(o.File, model.ObjectOptions{})
	if err != nil {
		return nil, fmt.Errorf("decode object: %w", err)
	}
	x := &Object{Atoms: o, Model: build(p), events: &eventCache{of: map[model.FuncID]*locks.Events{}}}
	x.locks = sync.OnceValue(func() *locks.Result { return analyzeLocks(x.Model, locks.Options{}) })
	x.flows = sync.OnceValue(func() *locks.Flows { return x.locks().Flows() })
	return x, nil
}

// What costs time; tests count it.
var (
	build        = model.Build
	analyzeLocks = locks.Analyze
)

// Twin is the same object for other atoms of the same file: those of the other side
// where a file is compared with itself. Nothing is decoded or analysed again.
func (o *Object) Twin(atoms *elfdiff.Object) *Object {
	return &Object{Atoms: atoms, Model: o.Model, locks: o.locks, flows: o.flows, events: o.events}
}

// ErrAmbiguous means that an object has several functions of one name, or none.
var ErrAmbiguous = errors.New("no function is meant for certain")

// Func finds the decoded function of an atom.
func (o *Object) Func(a elfdiff.AtomID) (model.FuncID, error) {
	ids := o.Model.Lookup(o.Atoms.Atoms[a].Name)
	if len(ids) != 1 {
		return model.NoFunc, fmt.Errorf("find function %s: %w", o.Atoms.Atoms[a].Name, ErrAmbiguous)
	}
	return ids[0], nil
}

// Both finds a changed function in the object before the patch and in the one after it. The
// error is that of Func.
func Both(before, after *Object, ch elfdiff.Change) (old, newer model.FuncID, err error) {
	if old, err = before.Func(ch.Orig); err == nil {
		newer, err = after.Func(ch.Patched)
	}
	return old, newer, err
}

// Callers returns the functions of the object that call or jump to a, and
// holders the other atoms that refer to it: variables, and functions that take
// its address. Both are sorted; a itself is left out.
func (o *Object) Callers(a elfdiff.AtomID) (callers, holders []elfdiff.AtomID) {
	for i := range o.Atoms.Atoms {
		from := o.Atoms.Root(elfdiff.AtomID(i))
		for _, r := range o.Atoms.References(elfdiff.AtomID(i)) {
			if r.Target.Kind != elfdiff.TargetAtom || o.Atoms.Root(r.Target.Atom) != a || from == a {
				continue
			}
			if r.Branch && o.Atoms.IsCode(from) {
				callers = append(callers, from)
			} else {
				holders = append(holders, from)
			}
		}
	}
	return compact(callers), compact(holders)
}

func compact(l []elfdiff.AtomID) []elfdiff.AtomID {
	slices.Sort(l)
	return slices.Compact(l)
}

// CallNames returns the names of what a function calls or jumps to, one for
// each call site, sorted. indirect counts the calls that cannot be followed.
func (o *Object) CallNames(id model.FuncID) (names []string, indirect int) {
	calls := o.Model.Calls(id)
	for i := range calls {
		c := &calls[i]
		if c.Target == model.NoFunc {
			indirect++
			continue
		}
		names = append(names, o.Model.Func(c.Target).Name)
	}
	slices.Sort(names)
	return names, indirect
}

// Name is the C name of a function, without what the compiler adds for a copy or
// a part of it (.constprop.0, .isra.0, .part.0).
func Name(symbol string) string {
	name, _, _ := strings.Cut(symbol, ".")
	return name
}
