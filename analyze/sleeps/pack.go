package sleeps

import (
	"iter"
	"maps"
	"slices"

	"github.com/klpforge/klpforge/analyze/model"
	"github.com/klpforge/klpforge/analyze/pack"
)

// Pack writes a result without its model.
func (r *Result) Pack(writer *pack.Writer) {
	writer.Uint(uint64(len(r.facts)))
	for i := range r.facts {
		packFact(writer, &r.facts[i])
	}
	for site := range ascending(writer, r.sites) {
		writer.Uint(uint64(r.sites[site]))
	}
	for site := range ascending(writer, r.to) {
		writer.Uint(uint64(r.to[site]))
	}
	for id := range ascending(writer, r.borrowed) {
		writer.Bool(r.borrowed[id])
	}
	for site := range ascending(writer, r.flagged) {
		writer.Bool(r.flagged[site])
	}
	for off := range ascending(writer, r.pv) {
		f := r.pv[off]
		packFact(writer, &f)
	}
}

// Unpack reads a result of a model that Pack has written. The error is
// pack.ErrCorrupt; a result that is returned is consistent with its model.
func Unpack(m *model.Model, reader *pack.Reader) (*Result, error) {
	count := reader.Len()
	if count != len(m.Funcs) {
		return nil, pack.ErrCorrupt
	}
	res := &Result{Model: m, facts: make([]Fact, count)}
	for i := range res.facts {
		res.facts[i] = unpackFact(reader)
	}
	res.sites = table[uint64](reader, unpackAnswer)
	res.to = table[uint64](reader, func(r *pack.Reader) model.FuncID {
		id := r.Uint()
		if id >= uint64(count) {
			r.Fail()
			return model.NoFunc
		}
		return model.FuncID(id)
	})
	res.borrowed = table[model.FuncID](reader, (*pack.Reader).Bool)
	res.flagged = table[uint64](reader, (*pack.Reader).Bool)
	res.pv = table[uint64](reader, unpackFact)
	if reader.Err() != nil {
		return nil, reader.Err()
	}
	return res, nil
}

func packFact(writer *pack.Writer, fact *Fact) {
	writer.Uint(uint64(fact.Answer))
	writer.Bool(fact.Always)
	writer.Uint(uint64(fact.Args))
	writer.Bool(fact.Hidden)
	writer.Uint(uint64(fact.Calls))
	writer.Bool(fact.Open)
	writer.Uint(fact.At)
	writer.Text(fact.Why)
}

func unpackFact(r *pack.Reader) Fact {
	return Fact{Answer: unpackAnswer(r), Always: r.Bool(), Args: uint8(r.Uint()), Hidden: r.Bool(),
		Calls: uint8(r.Uint()), Open: r.Bool(), At: r.Uint(), Why: r.Text()}
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
func table[K ordinal, V any](reader *pack.Reader, value func(*pack.Reader) V) map[K]V {
	n := reader.Len()
	out := make(map[K]V, n)
	var last K
	for range n {
		last += K(reader.Uint())
		out[last] = value(reader)
	}
	return out
}
