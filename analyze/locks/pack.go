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
		e := r.effects[id]
		w.Uint(uint64(id))
		w.Uint(uint64(e.Unknown))
		w.Bool(e.Assumed)
		w.Bool(e.Primitive)
		w.Uint(uint64(len(e.Outcomes)))
		for i := range e.Outcomes {
			packOutcome(w, &e.Outcomes[i])
		}
	}
}

func packOutcome(w *pack.Writer, o *Outcome) {
	w.Uint(uint64(len(o.Changes)))
	for _, c := range o.Changes {
		packLock(w, c.Lock)
		w.Int(int64(c.Delta))
		w.Bool(c.Unsure)
	}
	w.Uint(uint64(len(o.Dropped)))
	for _, d := range o.Dropped {
		packLock(w, d.Lock)
		w.Bool(d.Callee)
		w.Bool(d.Vague)
	}
	packSet(w, o.Ret.B1)
	packSet(w, o.Ret.B4)
	packSet(w, o.Ret.B8)
	w.Uint(uint64(len(o.When)))
	for _, c := range o.When {
		w.Int(int64(c.Arg))
		w.Uint(uint64(c.Size))
		packSet(w, c.In)
	}
	w.Int(int64(o.RetArg))
}

func packLock(w *pack.Writer, l Lock) {
	w.Uint(uint64(l.Kind))
	w.Uint(uint64(l.Path.Root))
	w.Uint(l.Path.Addr)
	w.Int(int64(l.Path.Arg))
	w.Uint(uint64(len(l.Path.Offs)))
	for _, o := range l.Path.Offs {
		w.Int(o)
	}
}

func packSet(w *pack.Writer, s Set) {
	w.Bool(s != nil)
	if s == nil {
		return
	}
	w.Uint(uint64(len(s)))
	for _, x := range s {
		w.Int(x.Lo)
		w.Int(x.Hi)
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
		e := &Effect{Func: model.FuncID(id), Unknown: Why(r.Uint()), Assumed: r.Bool(), Primitive: r.Bool()}
		for range r.Len() {
			e.Outcomes = append(e.Outcomes, unpackOutcome(r))
		}
		if r.Err() != nil {
			return nil, r.Err()
		}
		res.effects[e.Func] = e
	}
	if r.Err() != nil {
		return nil, r.Err()
	}
	return res, nil
}

func unpackOutcome(r *pack.Reader) Outcome {
	var o Outcome
	for range r.Len() {
		o.Changes = append(o.Changes, Change{unpackLock(r), int8(r.Int()), r.Bool()})
	}
	for range r.Len() {
		o.Dropped = append(o.Dropped, Drop{unpackLock(r), r.Bool(), r.Bool()})
	}
	o.Ret = Ret{unpackSet(r), unpackSet(r), unpackSet(r)}
	for range r.Len() {
		o.When = append(o.When, Cond{int8(r.Int()), uint8(r.Uint()), unpackSet(r)})
	}
	if o.RetArg = int8(r.Int()); o.RetArg < -1 || o.RetArg >= maxArgs {
		r.Fail()
	}
	return o
}

func unpackLock(r *pack.Reader) Lock {
	kind, root := r.Uint(), r.Uint()
	if kind >= uint64(nKinds) || root > uint64(RootUnknown) {
		r.Fail()
		return Lock{}
	}
	l := Lock{Kind(kind), Path{Root: Root(root), Addr: r.Uint(), Arg: int8(r.Int())}}
	if l.Path.Arg < 0 || l.Path.Arg >= maxArgs {
		r.Fail()
	}
	for range r.Len() {
		l.Path.Offs = append(l.Path.Offs, r.Int())
	}
	return l
}

func unpackSet(r *pack.Reader) Set {
	if !r.Bool() {
		return nil
	}
	s := Set{}
	for range r.Len() {
		s = append(s, Span{r.Int(), r.Int()})
	}
	return s
}
