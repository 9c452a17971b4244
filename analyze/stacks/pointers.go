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
		if c := &calls[i]; c.Target == model.NoFunc && (c.Kind == model.CallIndirect || c.Kind == model.CallTailInd) {
			open[c.Site] = c
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
		if f, ok := at.Field(to.Mem); ok {
			return fields.PointerSignature(f.Type), f.Inner()
		}
	case machine.KindReg:
		if n, _, ok := to.General(); ok {
			reg = n
		}
	default:
		if call.Via != model.NoFunc {
			reg = convention.Callee(a.name(call.Via)).Via
		}
	}
	if reg == machine.NoReg {
		return "", ""
	}
	p, from, ok := at.Pointer(reg)
	if !ok {
		return "", ""
	}
	return fields.Signature(p), from
}

// findKept finds the members and parameters that functions' addresses are kept
// in.
func (a *analysis) findKept(tables *fields.Tables) {
	sig := func(id model.FuncID) string {
		f := a.m.Func(id)
		for _, name := range append([]string{f.Name}, f.Aliases...) {
			if p := a.t.Proto(name); p != nil {
				return fields.Signature(p)
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
	for i := 0; i < len(refs); {
		s, off, ok := a.m.Prog.SymbolAt(refs[i].Addr)
		start := refs[i].Addr - off
		j := i + 1
		for ok && j < len(refs) {
			if t, o, ok := a.m.Prog.SymbolAt(refs[j].Addr); !ok || refs[j].Addr-o != start || t.Name != s.Name {
				break
			}
			j++
		}
		var entries []fields.Entry
		for _, r := range refs[i:j] {
			entries = append(entries, fields.Entry{Off: int64(r.Addr - start), Sig: sig(r.Func)})
		}
		if ok && tables != nil {
			list, structure := tables.Members(entries)
			if structure != nil {
				a.objects[start] = tables.Number(structure)
			}
			for at, members := range list {
				common := false
				for _, m := range members {
					keep(refs[i+at].Func, m)
					common = common || generic[m]
				}
				if entries[at].Sig != "" && (len(members) == 0 || common) {
					a.sigOf[refs[i+at].Func] = entries[at].Sig
				}
			}
		}
		i = j
	}
	a.findStored(keep, sig)
}

// findStored finds where code puts the addresses of functions.
func (a *analysis) findStored(keep func(model.FuncID, string), sig func(model.FuncID) string) {
	byFunc := map[model.FuncID]map[uint64]model.CodeRef{}
	for _, ref := range a.m.CodeRefs {
		if ref.Call != 0 {
			for _, c := range a.m.Calls(ref.In) {
				if c.Site != ref.Call || c.Target == model.NoFunc {
					continue
				}
				if !creates(a.name(c.Target)) {
					keep(ref.Func, fmt.Sprintf("%d#%d", c.Target, ref.Arg))
					if s := sig(ref.Func); s != "" {
						a.sigOf[ref.Func] = s // the callee may keep it
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
				if f, ok := at.Field(to.Mem); ok {
					if keep(ref.Func, f.Inner()); !generic[f.Inner()] {
						return
					}
				}
			}
			if s := sig(ref.Func); s != "" {
				a.sigOf[ref.Func] = s
			}
		})
	}
}
