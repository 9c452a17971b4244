package stacks

import (
	"maps"
	"slices"

	"github.com/klpforge/klpforge/analyze/fields"
	"github.com/klpforge/klpforge/analyze/model"
	"github.com/klpforge/klpforge/analyze/pack"
)

// Pack writes a result without its model and types. A result with a base
// cannot be packed.
func (r *Result) Pack(w *pack.Writer) {
	if r.base != nil {
		panic("stacks: the result of an object is packed")
	}
	w.Uint(uint64(len(r.Facts)))
	for i := range r.Facts {
		f := &r.Facts[i]
		w.Uint(uint64(f.Reason))
		packMaybe(w, f.Next)
		w.Text(f.Detail)
		w.Bool(f.Unknown)
		w.Bool(r.reach[i])
		packMaybe(w, r.via[i].next)
		w.Uint(uint64(r.via[i].how))
		w.Text(r.via[i].detail)
	}
	w.Uint(uint64(len(r.Threads)))
	for _, t := range r.Threads {
		w.Uint(uint64(t.Func))
		w.Text(t.Name)
	}
	w.Uint(uint64(len(r.sites)))
	for _, key := range slices.Sorted(maps.Keys(r.sites)) {
		w.Text(key)
		w.Uint(uint64(len(r.sites[key])))
		for _, s := range r.sites[key] {
			w.Uint(uint64(s.in))
			w.Text(s.from)
			w.Bool(s.tail)
		}
	}
	w.Uint(uint64(len(r.keys)))
	for _, id := range slices.Sorted(maps.Keys(r.keys)) {
		w.Uint(uint64(id))
		w.Uint(uint64(len(r.keys[id])))
		for _, key := range r.keys[id] {
			w.Text(key)
		}
	}
}

func packMaybe(w *pack.Writer, id model.FuncID) {
	w.Bool(id != model.NoFunc)
	if id != model.NoFunc {
		w.Uint(uint64(id))
	}
}

// leads reports whether a step must have a next function: all that are ways to a
// wait and not the end of one.
func leads(how Reason, way bool) bool {
	return way && how != Loops && how != Scheduler && how != Idle
}

// Unpack reads a result of a model that Pack has written. The types are those
// that the kernel was analysed with; nil will do for a result that is no
// object's base. The error is pack.ErrCorrupt; a result that is returned is
// consistent with its model.
func Unpack(m *model.Model, types *fields.Types, r *pack.Reader) (*Result, error) {
	n := r.Len()
	if n != len(m.Funcs) {
		return nil, pack.ErrCorrupt
	}
	res := &Result{m: m, t: types, Facts: make([]Fact, n), reach: make([]bool, n), via: make([]step, n)}
	fn := func() model.FuncID {
		id := r.Uint()
		if id >= uint64(n) {
			r.Fail()
			return model.NoFunc
		}
		return model.FuncID(id)
	}
	maybe := func() model.FuncID { // with NoFunc, which is no number of a function
		if r.Bool() {
			return fn()
		}
		return model.NoFunc
	}
	reason := func() Reason {
		v := r.Uint()
		if v >= uint64(inBase) {
			r.Fail()
			return None
		}
		return Reason(v)
	}
	for i := range res.Facts {
		res.Facts[i] = Fact{Reason: reason(), Next: maybe(), Detail: r.Text(), Unknown: r.Bool()}
		res.reach[i] = r.Bool()
		res.via[i] = step{maybe(), reason(), r.Text()}
		f := &res.Facts[i]
		if leads(f.Reason, f.Reason != None) && f.Next == model.NoFunc || leads(res.via[i].how, res.reach[i]) && res.via[i].next == model.NoFunc {
			r.Fail()
		}
	}
	for range r.Len() {
		res.Threads = append(res.Threads, Thread{fn(), r.Text()})
	}
	k := r.Len()
	res.sites = make(map[string][]site, k)
	for range k {
		key := r.Text()
		for range r.Len() {
			res.sites[key] = append(res.sites[key], site{fn(), r.Text(), r.Bool()})
		}
	}
	k = r.Len()
	res.keys = make(map[model.FuncID][]string, k)
	for range k {
		id := fn()
		for range r.Len() {
			res.keys[id] = append(res.keys[id], r.Text())
		}
	}
	if r.Err() != nil {
		return nil, r.Err()
	}
	return res, nil
}
