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
func (r *Result) Pack(writer *pack.Writer) {
	if r.base != nil {
		panic("stacks: the result of an object is packed")
	}
	// Maps in the order of their keys, so that equal results have equal bytes.
	writer.Uint(uint64(len(r.Facts)))
	for id := range r.Facts {
		fact := &r.Facts[id]
		writer.Uint(uint64(fact.Reason))
		packMaybe(writer, fact.Next)
		writer.Text(fact.Detail)
		writer.Bool(fact.Sure)
		writer.Bool(fact.Unknown)
		writer.Bool(r.reach[id])
		writer.Uint(uint64(r.first[id]))
		writer.Uint(uint64(r.via[id]))
		writer.Bool(r.sure[id])
	}

	writer.Uint(uint64(len(r.steps)))
	for _, step := range r.steps {
		writer.Text(step.text)
		writer.Uint(uint64(step.next))
	}

	writer.Uint(uint64(len(r.Threads)))
	for _, thread := range r.Threads {
		writer.Uint(uint64(thread.Func))
		writer.Text(thread.Name)
	}

	writer.Uint(uint64(len(r.sites)))
	for _, key := range slices.Sorted(maps.Keys(r.sites)) {
		writer.Text(key)
		writer.Uint(uint64(len(r.sites[key])))
		for _, site := range r.sites[key] {
			writer.Uint(uint64(site.in))
			writer.Text(site.from)
			writer.Bool(site.tail)
			writer.Uint(site.at)
		}
	}
	r.packBasis(writer)

	writer.Uint(uint64(len(r.keys)))
	for _, id := range slices.Sorted(maps.Keys(r.keys)) {
		writer.Uint(uint64(id))
		writer.Uint(uint64(len(r.keys[id])))
		for _, key := range r.keys[id] {
			writer.Text(key)
		}
	}
}

// packBasis writes what objects are judged by.
func (r *Result) packBasis(writer *pack.Writer) {
	writer.Uint(uint64(len(r.keyAt)))
	for _, site := range slices.Sorted(maps.Keys(r.keyAt)) {
		writer.Uint(site)
		writer.Text(r.keyAt[site].key)
		writer.Text(r.keyAt[site].detail)
	}
	writer.Uint(uint64(len(r.kept)))
	for _, key := range slices.Sorted(maps.Keys(r.kept)) {
		writer.Text(key)
		writer.Uint(uint64(len(r.kept[key])))
		for _, id := range r.kept[key] {
			writer.Uint(uint64(id))
		}
	}
	writer.Uint(uint64(len(r.forever)))
	for _, member := range slices.Sorted(maps.Keys(r.forever)) {
		writer.Text(member)
		writer.Bool(r.forever[member])
	}
	writer.Uint(uint64(len(r.objects)))
	for _, at := range slices.Sorted(maps.Keys(r.objects)) {
		writer.Uint(at)
		writer.Uint(uint64(r.objects[at]))
	}
}

// unpackBasis reads it back; fn reads the number of a function.
func (r *Result) unpackBasis(basis *pack.Reader, fn func() model.FuncID) {
	count := basis.Len()
	r.keyAt = make(map[uint64]keyed, count)
	for range count {
		site := basis.Uint()
		r.keyAt[site] = keyed{basis.Text(), basis.Text()}
	}
	count = basis.Len()
	r.kept = make(map[string][]model.FuncID, count)
	for range count {
		key := basis.Text()
		for range basis.Len() {
			r.kept[key] = append(r.kept[key], fn())
		}
	}
	count = basis.Len()
	r.forever = make(map[string]bool, count)
	for range count {
		member := basis.Text()
		r.forever[member] = basis.Bool()
	}
	count = basis.Len()
	r.objects = make(map[uint64]int, count)
	for range count {
		at := basis.Uint()
		r.objects[at] = int(basis.Uint())
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
func Unpack(m *model.Model, reader *pack.Reader, options func() (Options, error)) (*Result, error) {
	count := reader.Len()
	if count != len(m.Funcs) {
		return nil, pack.ErrCorrupt
	}
	res := &Result{m: m, Facts: make([]Fact, count), reach: make([]bool, count), first: make([]uint32, count),
		via: make([]uint32, count), sure: make([]bool, count)}
	fn := func() model.FuncID {
		id := reader.Uint()
		if id >= uint64(count) {
			reader.Fail()
			return model.NoFunc
		}
		return model.FuncID(id)
	}
	maybe := func() model.FuncID { // with NoFunc, which is no number of a function
		if reader.Bool() {
			return fn()
		}
		return model.NoFunc
	}
	reason := func() Reason {
		count := reader.Uint()
		if count > uint64(Idle) {
			reader.Fail()
			return None
		}
		return Reason(count)
	}
	for nth := range res.Facts {
		res.Facts[nth] = Fact{Reason: reason(), Next: maybe(), Detail: reader.Text(), Sure: reader.Bool(),
			Unknown: reader.Bool()}
		res.reach[nth] = reader.Bool()
		res.first[nth] = uint32(reader.Uint())
		res.via[nth] = uint32(reader.Uint())
		res.sure[nth] = reader.Bool()
	}
	facts := reader.Len()
	for range facts {
		res.steps = append(res.steps, step{reader.Text(), uint32(reader.Uint())})
	}
	for i := range res.first {
		if uint64(max(res.first[i], res.via[i])) > uint64(facts) {
			reader.Fail()
		}
	}
	for i := range res.steps {
		if uint64(res.steps[i].next) > uint64(facts) {
			reader.Fail()
		}
	}
	for range reader.Len() {
		res.Threads = append(res.Threads, Thread{fn(), reader.Text()})
	}
	facts = reader.Len()
	res.sites = make(map[string][]site, facts)
	for range facts {
		key := reader.Text()
		for range reader.Len() {
			res.sites[key] = append(res.sites[key], site{fn(), reader.Text(), reader.Bool(), reader.Uint()})
		}
	}
	res.unpackBasis(reader, fn)
	facts = reader.Len()
	res.keys = make(map[model.FuncID][]string, facts)
	for range facts {
		id := fn()
		for range reader.Len() {
			res.keys[id] = append(res.keys[id], reader.Text())
		}
	}
	if reader.Err() != nil {
		return nil, reader.Err()
	}
	res.resume = sync.OnceValues(func() (*analysis, error) {
		opt, err := options()
		if err != nil {
			return nil, err
		}
		return resumed(res, opt), nil
	})
	return res, nil
}
