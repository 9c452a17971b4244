package locks

import (
	"maps"
	"slices"

	"github.com/klpforge/klpforge/analyze/model"
	"github.com/klpforge/klpforge/analyze/pack"
)

// Pack writes a result without its model.
func (r *Result) Pack(w *pack.Writer) {
	w.Uint(uint64(r.Analysed))
	w.Uint(r.sockOwned)
	w.Uint(uint64(len(r.effects)))
	for _, id := range slices.Sorted(maps.Keys(r.effects)) {
		effect := r.effects[id]
		w.Uint(uint64(id))
		w.Uint(uint64(effect.Unknown))
		w.Bool(effect.Assumed)
		w.Bool(effect.Primitive)
		w.Uint(uint64(len(effect.Outcomes)))
		for i := range effect.Outcomes {
			packOutcome(w, &effect.Outcomes[i])
		}
	}
}

func packOutcome(w *pack.Writer, o *Outcome) {
	w.Uint(uint64(len(o.Changes)))
	for _, change := range o.Changes {
		packLock(w, change.Lock)
		w.Int(int64(change.Delta))
		w.Bool(change.Unsure)
	}
	w.Uint(uint64(len(o.Dropped)))
	for _, drop := range o.Dropped {
		packLock(w, drop.Lock)
		w.Bool(drop.Callee)
		w.Bool(drop.Vague)
	}
	packSet(w, o.Ret.B1)
	packSet(w, o.Ret.B4)
	packSet(w, o.Ret.B8)
	w.Uint(uint64(len(o.When)))
	for _, cond := range o.When {
		w.Int(int64(cond.Arg))
		w.Uint(uint64(cond.Size))
		packSet(w, cond.In)
	}
	w.Int(int64(o.RetArg))
}

func packLock(w *pack.Writer, l Lock) {
	w.Uint(uint64(l.Kind))
	w.Uint(uint64(l.Path.Root))
	w.Uint(l.Path.Addr)
	w.Int(int64(l.Path.Arg))
	w.Uint(uint64(len(l.Path.Offs)))
	for _, off := range l.Path.Offs {
		w.Int(off)
	}
}

func packSet(w *pack.Writer, s Set) {
	w.Bool(s != nil)
	if s == nil {
		return
	}
	w.Uint(uint64(len(s)))
	for _, span := range s {
		w.Int(span.Lo)
		w.Int(span.Hi)
	}
}

// Unpack reads a result about a model that Pack has written. The error is
// pack.ErrCorrupt.
func Unpack(m *model.Model, r *pack.Reader) (*Result, error) {
	res := &Result{Model: m, Analysed: int(r.Uint()), sockOwned: r.Uint(), effects: map[model.FuncID]*Effect{}}
	for range r.Len() {
		id := r.Uint()
		if id >= uint64(len(m.Funcs)) {
			return nil, pack.ErrCorrupt
		}
		effect := &Effect{Func: model.FuncID(id), Unknown: Why(r.Uint()), Assumed: r.Bool(), Primitive: r.Bool()}
		for range r.Len() {
			effect.Outcomes = append(effect.Outcomes, unpackOutcome(r))
		}
		if r.Err() != nil {
			return nil, r.Err()
		}
		res.effects[effect.Func] = effect
	}
	if r.Err() != nil {
		return nil, r.Err()
	}
	return res, nil
}

func unpackOutcome(r *pack.Reader) Outcome {
	var outcome Outcome
	for range r.Len() {
		outcome.Changes = append(outcome.Changes, Change{unpackLock(r), int8(r.Int()), r.Bool()})
	}
	for range r.Len() {
		outcome.Dropped = append(outcome.Dropped, Drop{unpackLock(r), r.Bool(), r.Bool()})
	}
	outcome.Ret = Ret{unpackSet(r), unpackSet(r), unpackSet(r)}
	for range r.Len() {
		cond := Cond{int8(r.Int()), uint8(r.Uint()), unpackSet(r)}
		if cond.Arg < 0 || cond.Arg >= maxArgs || !slices.Contains(phiSizes, cond.Size) {
			r.Fail()
		}
		outcome.When = append(outcome.When, cond)
	}
	if outcome.RetArg = int8(r.Int()); outcome.RetArg < -1 || outcome.RetArg >= maxArgs {
		r.Fail()
	}
	return outcome
}

func unpackLock(r *pack.Reader) Lock {
	kind, root := r.Uint(), r.Uint()
	if kind >= uint64(nKinds) || root > uint64(RootUnknown) {
		r.Fail()
		return Lock{}
	}
	lock := Lock{Kind(kind), Path{Root: Root(root), Addr: r.Uint(), Arg: int8(r.Int())}}
	if lock.Path.Arg < 0 || lock.Path.Arg >= maxArgs {
		r.Fail()
	}
	for range r.Len() {
		lock.Path.Offs = append(lock.Path.Offs, r.Int())
	}
	return lock
}

func unpackSet(r *pack.Reader) Set {
	if !r.Bool() {
		return nil
	}
	set := Set{}
	for range r.Len() {
		set = append(set, Span{r.Int(), r.Int()})
	}
	return set
}
