package stacks

import (
	"fmt"
	"slices"
	"strings"

	"github.com/klpforge/klpforge/analyze/fields"
	"github.com/klpforge/klpforge/analyze/machine"
	"github.com/klpforge/klpforge/analyze/model"
	"github.com/klpforge/klpforge/analyze/registered"
)

// findSites finds where each call through a pointer has the pointer from.
func (a *analysis) findSites() {
	for i := range a.m.Funcs {
		if a.m.Funcs[i].Flags&model.FuncIndirect != 0 {
			a.sitesOf(model.FuncID(i))
		}
	}
}

func (a *analysis) sitesOf(id model.FuncID) {
	open := map[uint64]*model.Call{}
	calls := a.m.Calls(id)
	for i := range calls {
		if call := &calls[i]; call.Target == model.NoFunc && (call.Kind == model.CallIndirect ||
			call.Kind == model.CallTailInd) {
			open[call.Site] = call
		}
	}
	if len(open) == 0 {
		return
	}
	fields.Walk(a.m, a.types, id, func(in *machine.Inst, at *fields.At) {
		call := open[in.Addr]
		if call == nil {
			return
		}
		delete(open, in.Addr)
		sig, from := registered.Pointer(a.m, call, in, at)
		origin := site{in: id, from: from, tail: call.Kind.IsTail(), at: call.Site}
		switch {
		case atomicMembers[from]:
			return
		case sig == "" && !origin.tail:
			a.Facts[id].Unknown = true
			return
		case sig == "":
			return
		case strings.HasPrefix(from, "#"):
			key := fmt.Sprintf("%d%s", id, from)
			origin.from = "its parameter"
			a.sites[key] = append(a.sites[key], origin)
		case from != "" && !generic[from]:
			a.sites[from] = append(a.sites[from], origin)
		}
		a.weak[sig] = append(a.weak[sig], origin)
	})
	for range open { // code that the walk does not reach
		a.Facts[id].Unknown = true
	}
}

// findKept finds the members and parameters that functions' addresses are kept
// in, and the types of data objects.
func (a *analysis) findKept(tables *fields.Tables) {
	sig := func(id model.FuncID) string { return registered.Signature(a.m, a.t, id) }
	keep := func(id model.FuncID, key string) {
		if !slices.Contains(a.keys[id], key) {
			a.keys[id] = append(a.keys[id], key)
		}
	}
	// Data: all pointers of one object together tell its type.
	for table := range registered.Tables(a.m, a.t, tables) {
		if table.Structure != nil {
			a.objects[table.Start] = tables.Number(table.Structure)
		}
		for i, members := range table.Members {
			ref, common := table.Refs[i], false
			for _, member := range members {
				keep(ref.Func, member)
				common = common || generic[member]
			}
			if table.Entries[i].Sig != "" && (len(members) == 0 || common) {
				a.sigOf[ref.Func] = table.Entries[i].Sig
			}
		}
	}
	a.types = a.typesWith(tables) // the data's types, just found, tell where code stores
	a.findStored(keep, sig)
}

// findStored finds where code puts the addresses of functions.
func (a *analysis) findStored(keep func(model.FuncID, string), sig func(model.FuncID) string) {
	for _, ref := range a.m.CodeRefs {
		if ref.Call == 0 {
			continue
		}
		for _, call := range a.m.Calls(ref.In) {
			if call.Site != ref.Call || call.Target == model.NoFunc {
				continue
			}
			if !creates(a.name(call.Target)) {
				keep(ref.Func, fmt.Sprintf("%d#%d", call.Target, ref.Arg))
				if signature := sig(ref.Func); signature != "" {
					a.sigOf[ref.Func] = signature // the callee may keep it
				}
			}
		}
	}
	registered.Stores(a.m, a.types, func(ref model.CodeRef, member string) {
		if member != "" {
			if keep(ref.Func, member); !generic[member] {
				return
			}
		}
		if signature := sig(ref.Func); signature != "" {
			a.sigOf[ref.Func] = signature
		}
	})
}
