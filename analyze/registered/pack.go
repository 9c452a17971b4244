package registered

import (
	"maps"
	"slices"

	"github.com/klpforge/klpforge/analyze/model"
	"github.com/klpforge/klpforge/analyze/pack"
)

// Pack writes a result without its model.
func (r *Result) Pack(writer *pack.Writer) {
	writer.Uint(uint64(len(r.places)))
	for _, id := range slices.Sorted(maps.Keys(r.places)) {
		writer.Uint(uint64(id))
		writer.Uint(uint64(len(r.places[id])))
		for _, place := range r.places[id] {
			writer.Uint(uint64(len(place.Members)))
			for _, member := range place.Members {
				writer.Text(member)
			}
			writer.Text(place.Given)
			writer.Int(int64(place.Arg))
		}
	}
	writer.Uint(uint64(len(r.through)))
	for _, member := range slices.Sorted(maps.Keys(r.through)) {
		writer.Text(member)
		writer.Uint(uint64(len(r.through[member])))
		for _, site := range r.through[member] {
			writer.Uint(uint64(site.Caller))
			writer.Uint(site.At)
		}
	}
}

// Unpack reads a result of a model that Pack has written. The error is
// pack.ErrCorrupt; a result that is returned is consistent with its model.
func Unpack(m *model.Model, reader *pack.Reader) (*Result, error) {
	res := &Result{Model: m, places: map[model.FuncID][]Place{}, through: map[string][]Site{}}
	for range reader.Len() {
		id := unpackFunc(m, reader)
		for range reader.Len() {
			var place Place
			for range reader.Len() {
				place.Members = append(place.Members, reader.Text())
			}
			place.Given, place.Arg = reader.Text(), int(reader.Int())
			res.places[id] = append(res.places[id], place)
		}
	}
	for range reader.Len() {
		member := reader.Text()
		for range reader.Len() {
			res.through[member] = append(res.through[member], Site{Caller: unpackFunc(m, reader), At: reader.Uint()})
		}
	}
	if reader.Err() != nil {
		return nil, reader.Err()
	}
	return res, nil
}

func unpackFunc(m *model.Model, reader *pack.Reader) model.FuncID {
	id := reader.Uint()
	if id >= uint64(len(m.Funcs)) {
		reader.Fail()
		return 0
	}
	return model.FuncID(id)
}
