package stacks

import (
	"fmt"
	"slices"
	"strings"

	"github.com/klpforge/klpforge/analyze/fields"
	"github.com/klpforge/klpforge/analyze/machine"
	"github.com/klpforge/klpforge/analyze/model"
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
		sig, from := a.pointer(call, in, at)
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

// pointer returns the signature of what a call goes to and where the pointer
// comes from.
func (a *analysis) pointer(call *model.Call, in *machine.Inst, at *fields.At) (sig, from string) {
	reg := machine.NoReg
	switch to := &in.Args[0]; to.Kind {
	case machine.KindMem:
		if field, ok := at.Field(to.Mem); ok {
			return fields.PointerSignature(field.Type), field.Inner()
		}
	case machine.KindReg:
		if num, _, ok := to.General(); ok {
			reg = num
		}
	default:
		if call.Via != model.NoFunc {
			reg = convention.Callee(a.name(call.Via)).Via
		}
	}
	if reg == machine.NoReg {
		return "", ""
	}
	proto, from, ok := at.Pointer(reg)
	if !ok {
		return "", ""
	}
	return fields.Signature(proto), from
}

// findKept finds the members and parameters that functions' addresses are kept
// in.
func (a *analysis) findKept(tables *fields.Tables) {
	sig := func(id model.FuncID) string {
		fn := a.m.Func(id)
		for _, name := range append([]string{fn.Name}, fn.Aliases...) {
			if proto := a.t.Proto(name); proto != nil {
				return fields.Signature(proto)
			}
		}
		return ""
	}
	keep := func(id model.FuncID, key string) {
		if !slices.Contains(a.keys[id], key) {
			a.keys[id] = append(a.keys[id], key)
		}
	}
	// Data: all pointers of one object together tell its type.
	refs := a.m.DataRefs
	for first := 0; first < len(refs); {
		sym, off, ok := a.m.Prog.SymbolAt(refs[first].Addr)
		start := refs[first].Addr - off
		end := first + 1
		for ok && end < len(refs) {
			if other, otherOff, ok := a.m.Prog.SymbolAt(refs[end].Addr); !ok || refs[end].Addr-otherOff != start ||
				other.Name != sym.Name {
				break
			}
			end++
		}
		var entries []fields.Entry
		for _, ref := range refs[first:end] {
			entries = append(entries, fields.Entry{Off: int64(ref.Addr - start), Sig: sig(ref.Func)})
		}
		if ok && tables != nil {
			list, structure := tables.Members(entries)
			if structure != nil {
				a.objects[start] = tables.Number(structure)
			}
			for at, members := range list {
				common := false
				for _, member := range members {
					keep(refs[first+at].Func, member)
					common = common || generic[member]
				}
				if entries[at].Sig != "" && (len(members) == 0 || common) {
					a.sigOf[refs[first+at].Func] = entries[at].Sig
				}
			}
		}
		first = end
	}
	a.findStored(keep, sig)
}

// findStored finds where code puts the addresses of functions.
func (a *analysis) findStored(keep func(model.FuncID, string), sig func(model.FuncID) string) {
	byFunc := map[model.FuncID]map[uint64]model.CodeRef{}
	for _, ref := range a.m.CodeRefs {
		if ref.Call != 0 {
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
			continue
		}
		if byFunc[ref.In] == nil {
			byFunc[ref.In] = map[uint64]model.CodeRef{}
		}
		byFunc[ref.In][ref.Addr] = ref
	}
	for i := range a.m.Funcs {
		stores := byFunc[model.FuncID(i)]
		if len(stores) == 0 {
			continue
		}
		fields.Walk(a.m, a.types, model.FuncID(i), func(in *machine.Inst, at *fields.At) {
			ref, ok := stores[in.Addr]
			if !ok {
				return
			}
			if to := &in.Args[0]; to.Kind == machine.KindMem {
				if field, ok := at.Field(to.Mem); ok {
					if keep(ref.Func, field.Inner()); !generic[field.Inner()] {
						return
					}
				}
			}
			if signature := sig(ref.Func); signature != "" {
				a.sigOf[ref.Func] = signature
			}
		})
	}
}
