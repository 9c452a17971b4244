package sleeps

import (
	"iter"
	"maps"
	"slices"

	"github.com/klpforge/klpforge/analyze/model"
	"github.com/klpforge/klpforge/analyze/pack"
)

// Pack writes a result without its model.
func (r *Result) Pack(w *pack.Writer) {
	w.Uint(uint64(len(r.facts)))
	for i := range r.facts {
		packFact(w, &r.facts[i])
	}
	for site := range ascending(w, r.sites) {
		w.Uint(uint64(r.sites[site]))
	}
	for site := range ascending(w, r.to) {
		w.Uint(uint64(r.to[site]))
	}
	for id := range ascending(w, r.borrowed) {
		w.Bool(r.borrowed[id])
	}
	for site := range ascending(w, r.flagged) {
		w.Bool(r.flagged[site])
	}
	for off := range ascending(w, r.pv) {
		f := r.pv[off]
		packFact(w, &f)
	}
}

// Unpack reads a result of a model that Pack has written. The error is
// pack.ErrCorrupt; a result that is returned is consistent with its model.
func Unpack(m *model.Model, r *pack.Reader) (*Result, error) {
	n := r.Len()
	if n != len(m.Funcs) {
		return nil, pack.ErrCorrupt
	}
	res := &Result{Model: m, facts: make([]Fact, n)}
	for i := range res.facts {
		res.facts[i] = unpackFact(r)
	}
	res.sites = table[uint64](r, unpackAnswer)
	res.to = table[uint64](r, func(r *pack.Reader) model.FuncID {
		id := r.Uint()
		if id >= uint64(n) {
			r.Fail()
			return model.NoFunc
		}
		return model.FuncID(id)
	})
	res.borrowed = table[model.FuncID](r, (*pack.Reader).Bool)
	res.flagged = table[uint64](r, (*pack.Reader).Bool)
	res.pv = table[uint64](r, unpackFact)
	if r.Err() != nil {
		return nil, r.Err()
	}
	return res, nil
}

func packFact(w *pack.Writer, f *Fact) {
	w.Uint(uint64(f.Answer))
	w.Bool(f.Always)
	w.Uint(uint64(f.Args))
	w.Bool(f.Hidden)
	w.Uint(uint64(f.Calls))
	w.Bool(f.Open)
	w.Uint(f.At)
	w.Text(f.Why)
}

func unpackFact(r *pack.Reader) Fact {
	return Fact{Answer: unpackAnswer(r), Always: r.Bool(), Args: uint8(r.Uint()), Hidden: r.Bool(), Calls: uint8(r.Uint()), Open: r.Bool(), At: r.Uint(), Why: r.Text()}
}

func unpackAnswer(r *pack.Reader) Answer {
	a := r.Uint()
	if a > uint64(May) {
		r.Fail()
		return Never
	}
	return Answer(a)
}

type ordinal interface{ ~int32 | ~uint64 }

// ascending writes the keys of a table one by one, each for the caller to write
// its value after it.
func ascending[K ordinal, V any](w *pack.Writer, t map[K]V) iter.Seq[K] {
	return func(yield func(K) bool) {
		w.Uint(uint64(len(t)))
		var last K
		for _, k := range slices.Sorted(maps.Keys(t)) {
			w.Uint(uint64(k - last))
			last = k
			if !yield(k) {
				return
			}
		}
	}
}

// table reads what was written with ascending.
func table[K ordinal, V any](r *pack.Reader, value func(*pack.Reader) V) map[K]V {
	n := r.Len()
	t := make(map[K]V, n)
	var last K
	for range n {
		last += K(r.Uint())
		t[last] = value(r)
	}
	return t
}
