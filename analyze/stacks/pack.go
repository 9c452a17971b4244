package stacks

import (
	"maps"
	"slices"
	"sync"

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
		w.Bool(f.Sure)
		w.Bool(f.Unknown)
		w.Bool(r.reach[i])
		w.Uint(uint64(r.first[i]))
		w.Uint(uint64(r.via[i]))
		w.Bool(r.sure[i])
	}
	w.Uint(uint64(len(r.steps)))
	for _, s := range r.steps {
		w.Text(s.text)
		w.Uint(uint64(s.next))
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
			w.Uint(s.at)
		}
	}
	r.packBasis(w)
	w.Uint(uint64(len(r.keys)))
	for _, id := range slices.Sorted(maps.Keys(r.keys)) {
		w.Uint(uint64(id))
		w.Uint(uint64(len(r.keys[id])))
		for _, key := range r.keys[id] {
			w.Text(key)
		}
	}
}

// packBasis writes what objects are judged by.
func (r *Result) packBasis(w *pack.Writer) {
	w.Uint(uint64(len(r.keyAt)))
	for _, site := range slices.Sorted(maps.Keys(r.keyAt)) {
		w.Uint(site)
		w.Text(r.keyAt[site].key)
		w.Text(r.keyAt[site].detail)
	}
	w.Uint(uint64(len(r.kept)))
	for _, key := range slices.Sorted(maps.Keys(r.kept)) {
		w.Text(key)
		w.Uint(uint64(len(r.kept[key])))
		for _, id := range r.kept[key] {
			w.Uint(uint64(id))
		}
	}
	w.Uint(uint64(len(r.forever)))
	for _, member := range slices.Sorted(maps.Keys(r.forever)) {
		w.Text(member)
		w.Bool(r.forever[member])
	}
	w.Uint(uint64(len(r.objects)))
	for _, at := range slices.Sorted(maps.Keys(r.objects)) {
		w.Uint(at)
		w.Uint(uint64(r.objects[at]))
	}
}

// unpackBasis reads it back; fn reads the number of a function.
func (r *Result) unpackBasis(b *pack.Reader, fn func() model.FuncID) {
	n := b.Len()
	r.keyAt = make(map[uint64]keyed, n)
	for range n {
		site := b.Uint()
		r.keyAt[site] = keyed{b.Text(), b.Text()}
	}
	n = b.Len()
	r.kept = make(map[string][]model.FuncID, n)
	for range n {
		key := b.Text()
		for range b.Len() {
			r.kept[key] = append(r.kept[key], fn())
		}
	}
	n = b.Len()
	r.forever = make(map[string]bool, n)
	for range n {
		member := b.Text()
		r.forever[member] = b.Bool()
	}
	n = b.Len()
	r.objects = make(map[uint64]int, n)
	for range n {
		at := b.Uint()
		r.objects[at] = int(b.Uint())
	}
}

func packMaybe(w *pack.Writer, id model.FuncID) {
	w.Bool(id != model.NoFunc)
	if id != model.NoFunc {
		w.Uint(uint64(id))
	}
}

// Unpack reads a result of a model that Pack has written. The options are those
// that the model was analysed with; they are asked for once, when an object of the
// kernel is to be judged. The error is pack.ErrCorrupt; a result that is returned is
// consistent with its model.
func Unpack(m *model.Model, r *pack.Reader, options func() (Options, error)) (*Result, error) {
	n := r.Len()
	if n != len(m.Funcs) {
		return nil, pack.ErrCorrupt
	}
	res := &Result{m: m, Facts: make([]Fact, n), reach: make([]bool, n), first: make([]uint32, n), via: make([]uint32, n), sure: make([]bool, n)}
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
		if v > uint64(Idle) {
			r.Fail()
			return None
		}
		return Reason(v)
	}
	for i := range res.Facts {
		res.Facts[i] = Fact{Reason: reason(), Next: maybe(), Detail: r.Text(), Sure: r.Bool(), Unknown: r.Bool()}
		res.reach[i] = r.Bool()
		res.first[i] = uint32(r.Uint())
		res.via[i] = uint32(r.Uint())
		res.sure[i] = r.Bool()
	}
	k := r.Len()
	for range k {
		res.steps = append(res.steps, step{r.Text(), uint32(r.Uint())})
	}
	for i := range res.first {
		if uint64(max(res.first[i], res.via[i])) > uint64(k) {
			r.Fail()
		}
	}
	for i := range res.steps {
		if uint64(res.steps[i].next) > uint64(k) {
			r.Fail()
		}
	}
	for range r.Len() {
		res.Threads = append(res.Threads, Thread{fn(), r.Text()})
	}
	k = r.Len()
	res.sites = make(map[string][]site, k)
	for range k {
		key := r.Text()
		for range r.Len() {
			res.sites[key] = append(res.sites[key], site{fn(), r.Text(), r.Bool(), r.Uint()})
		}
	}
	res.unpackBasis(r, fn)
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
	res.resume = sync.OnceValues(func() (*analysis, error) {
		o, err := options()
		if err != nil {
			return nil, err
		}
		return resumed(res, o), nil
	})
	return res, nil
}
