package registered

import (
	"fmt"
	"slices"
	"strings"

	"github.com/klpforge/klpforge/analyze/fields"
	"github.com/klpforge/klpforge/analyze/kfuncs"
	"github.com/klpforge/klpforge/analyze/machine"
	"github.com/klpforge/klpforge/analyze/model"
)

// Place is where a function's address is kept.
type Place struct {
	Members []string // the members that it may be, "net_device_ops.ndo_open"; one when it is known which
	// Given is the function that it is given to, as argument Arg, from 0, or in an array that
	// is; or the member through which that is called, "virtio_config_ops.find_vqs".
	Given string
	Arg   int
}

// Context is a context in which a function is called, and what is behind that.
type Context struct {
	In   kfuncs.Context
	By   string // the member or the function that it is given to, "net_device_ops.ndo_start_xmit"
	File string // of the kernel, that calls it; "" when a function says it by its name
}

// Site is a call through a member.
type Site struct {
	Caller model.FuncID
	At     uint64 // of the call
}

// Result is what is known of one program. It is immutable.
type Result struct {
	Model *model.Model
	// places are sorted by what they say.
	places  map[model.FuncID][]Place
	through map[string][]Site // by member
}

// Find looks through a program. Types without prototypes (nil) leave only what functions
// are given.
func Find(m *model.Model, t *fields.Types, known *fields.Tables) *Result {
	found := &Result{Model: m, places: map[model.FuncID][]Place{}, through: map[string][]Site{}}
	for table := range Tables(m, t, known) {
		for i, members := range table.Members {
			if len(members) > 0 {
				found.add(table.Refs[i].Func, Place{Members: slices.Sorted(slices.Values(members))})
			}
		}
	}
	Stores(m, t, func(ref model.CodeRef, member string) {
		if member != "" {
			found.add(ref.Func, Place{Members: []string{member}})
		}
	})
	if t != nil {
		for id, refs := range stored(m) {
			found.objects(t, id, refs)
		}
	}
	for _, ref := range m.CodeRefs {
		if ref.Call == 0 {
			continue
		}
		for _, call := range m.Calls(ref.In) {
			if call.Site == ref.Call && call.Target != model.NoFunc {
				found.add(ref.Func, Place{Given: m.Func(call.Target).Name, Arg: int(ref.Arg)})
			}
		}
	}
	for i := range m.Funcs {
		if t != nil && m.Funcs[i].Flags&model.FuncIndirect != 0 {
			found.calls(t, model.FuncID(i))
		}
	}
	return found
}

func (r *Result) add(id model.FuncID, place Place) {
	same := func(o Place) bool {
		return o.Given == place.Given && o.Arg == place.Arg && slices.Equal(o.Members, place.Members)
	}
	if !slices.ContainsFunc(r.places[id], same) {
		r.places[id] = append(r.places[id], place)
	}
}

// calls notes the calls of a function through members.
func (r *Result) calls(t *fields.Types, id model.FuncID) {
	open := map[uint64]*model.Call{}
	calls := r.Model.Calls(id)
	for i := range calls {
		if call := &calls[i]; call.Target == model.NoFunc &&
			(call.Kind == model.CallIndirect || call.Kind == model.CallTailInd) {
			open[call.Site] = call
		}
	}
	fields.Walk(r.Model, t, id, func(in *machine.Inst, at *fields.At) {
		call := open[in.Addr]
		if call == nil {
			return
		}
		delete(open, in.Addr)
		if _, from := Pointer(r.Model, call, in, at); from != "" && from[0] != '#' {
			r.through[from] = append(r.through[from], Site{id, call.Site})
		}
	})
}

// Places lists where a function's address is kept.
func (r *Result) Places(id model.FuncID) []Place { return r.places[id] }

// Members lists the members that surely hold a function, sorted.
func (r *Result) Members(id model.FuncID) []string {
	var out []string
	for _, place := range r.places[id] {
		if len(place.Members) == 1 {
			out = append(out, place.Members[0])
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// Holds lists the functions that a member surely holds, ascending.
func (r *Result) Holds(member string) []model.FuncID {
	var out []model.FuncID
	for id := range r.places {
		if slices.Contains(r.Members(id), member) {
			out = append(out, id)
		}
	}
	slices.Sort(out)
	return out
}

// Through lists the calls through a member, by function and place.
func (r *Result) Through(member string) []Site { return r.through[member] }

// Context says in what context that forbids sleeping a function is called because of
// where its address is kept; false when there is none.
func (r *Result) Context(id model.FuncID) (Context, bool) {
	for _, place := range r.places[id] {
		if in, ok := place.context(); ok {
			return in, true
		}
	}
	return Context{}, false
}

// context is that of one place. Where a table may be of several structures, each has to
// forbid it.
func (p *Place) context() (Context, bool) {
	if strings.Contains(p.Given, ".") {
		row, ok := kfuncs.MemberRuns(fmt.Sprintf("%s[%d]", p.Given, p.Arg))
		return Context{In: row.In, By: p.Given, File: row.File}, ok
	}
	if p.Given != "" {
		in := kfuncs.Runs(p.Given, p.Arg)
		return Context{In: in, By: p.Given}, in.ForbidsSleep()
	}
	var out Context
	for _, member := range p.Members {
		row, ok := kfuncs.MemberRuns(member)
		if !ok {
			return Context{}, false
		}
		out = Context{In: row.In, By: member, File: row.File}
	}
	return out, out.By != ""
}
