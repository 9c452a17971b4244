// Package lockdiff compares what a function does to locks in two builds of an
// object.
package lockdiff

import (
	"fmt"
	"slices"
	"strings"

	"github.com/klpforge/klpforge/analyze/code"
	"github.com/klpforge/klpforge/analyze/locks"
	"github.com/klpforge/klpforge/elfdiff"
)

// Effect is what a function does to locks, in words that compare between two
// builds.
type Effect struct {
	Full    []string // one for each return path, sorted
	Neutral bool     // every return path leaves all locks as they were
	Unsure  string   // why the effect is not certain, "" when it is

	kinds  []string // like Full, but kinds and directions of locks only
	global bool     // every lock is a known variable
}

// Certain reports whether the effect is known.
func (e *Effect) Certain() bool { return e.Unsure == "" }

// Of is the effect of a function of a decoded object, of which r was found. ok is
// false when the object has no single function of that name.
func Of(o *code.Object, r *locks.Result, a elfdiff.AtomID) (e Effect, ok bool) {
	id, err := o.Func(a)
	if err != nil {
		return Effect{}, false
	}
	found := r.Effect(id)
	e = Effect{Neutral: found.Neutral(), global: true}
	for i := range found.Outcomes {
		var kinds, full []string
		for _, c := range found.Outcomes[i].Changes {
			word := "takes "
			if c.Delta < 0 {
				word = "releases "
			}
			name, global := lockName(o, c.Lock)
			e.global = e.global && global
			kinds = append(kinds, fmt.Sprintf("%s%v", word, c.Kind))
			full = append(full, word+name)
		}
		for _, l := range found.Outcomes[i].Dropped {
			name, global := lockName(o, l.Lock)
			e.global = e.global && global
			kinds = append(kinds, fmt.Sprintf("drops and retakes %v", l.Kind))
			full = append(full, "drops and retakes "+name)
		}
		slices.Sort(kinds)
		slices.Sort(full)
		e.kinds = append(e.kinds, words(kinds))
		e.Full = append(e.Full, words(full))
	}
	for _, l := range []*[]string{&e.kinds, &e.Full} {
		slices.Sort(*l)
		*l = slices.Compact(*l)
	}
	switch {
	case found.Unknown != 0:
		e.Unsure = found.Unknown.String()
	case found.Assumed:
		e.Unsure = "two expressions were taken to mean the same lock"
	}
	return e, true
}

func words(l []string) string {
	if len(l) == 0 {
		return "leaves all locks as they were"
	}
	return strings.Join(l, ", ")
}

// lockName names a lock so that it compares between two builds of an object.
// global says that it is a variable, or a part of one.
func lockName(o *code.Object, l locks.Lock) (name string, global bool) {
	name = o.LockName(l)
	variable := l.Path.Root == locks.RootGlobal || l.Path.Root == locks.RootPercpu
	return name, variable && len(l.Path.Offs) <= 1 && name != l.String()
}

// Verdict says how two effects of one function differ.
type Verdict uint8

// Verdicts.
const (
	Same    Verdict = iota
	Lost            // a return path that changed locks is gone: a repaired leak
	Renamed         // locks of the same kinds; whether they are the same ones is not known
	Changed         // other locks, or in other ways
)

// Compare compares the effects before and after a change.
func Compare(old, newer *Effect) Verdict {
	switch {
	case old.Neutral && newer.Neutral || slices.Equal(old.Full, newer.Full):
		return Same
	case slices.Equal(old.kinds, newer.kinds) && old.global && newer.global:
		return Changed
	case slices.Equal(old.kinds, newer.kinds):
		return Renamed
	case !slices.ContainsFunc(newer.kinds, func(s string) bool { return !slices.Contains(old.kinds, s) }):
		return Lost
	}
	return Changed
}
