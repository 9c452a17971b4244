package registered

import (
	"iter"
	"maps"
	"slices"

	"github.com/cilium/ebpf/btf"

	"github.com/klpforge/klpforge/analyze/fields"
	"github.com/klpforge/klpforge/analyze/machine"
	"github.com/klpforge/klpforge/analyze/model"
)

// Table is one object in data with addresses of functions.
type Table struct {
	Start   uint64 // address of the object
	Named   bool   // it has a symbol; else it is one pointer
	Refs    []model.DataRef
	Entries []fields.Entry // for each of Refs
	// Members are, for each of Refs, the members that it may be, as fields.Field.Inner
	// names them. Structure is that of the object, nil unless only one fits.
	Members   [][]string
	Structure *btf.Struct
}

// Signature is the prototype of a function of the model, under any of its names, as
// fields.Signature spells it; "" when it is not known.
func Signature(m *model.Model, t *fields.Types, id model.FuncID) string {
	fn := m.Func(id)
	for _, name := range append([]string{fn.Name}, fn.Aliases...) {
		if proto := t.Proto(name); proto != nil {
			return fields.Signature(proto)
		}
	}
	return ""
}

// Tables yields the data objects of a program that hold addresses of functions, by
// address. Without fields.Tables they have no members.
func Tables(m *model.Model, t *fields.Types, known *fields.Tables) iter.Seq[Table] {
	return func(yield func(Table) bool) {
		refs := m.DataRefs
		for first := 0; first < len(refs); {
			sym, off, ok := m.Prog.SymbolAt(refs[first].Addr)
			table := Table{Start: refs[first].Addr - off, Named: ok}
			end := first + 1
			for ok && end < len(refs) {
				if other, otherOff, ok := m.Prog.SymbolAt(refs[end].Addr); !ok ||
					refs[end].Addr-otherOff != table.Start || other.Name != sym.Name {
					break
				}
				end++
			}
			table.Refs = refs[first:end]
			for _, ref := range table.Refs {
				table.Entries = append(table.Entries,
					fields.Entry{Off: int64(ref.Addr - table.Start), Sig: Signature(m, t, ref.Func)})
			}
			if ok && known != nil {
				table.Members, table.Structure = known.Members(table.Entries)
			}
			if !yield(table) {
				return
			}
			first = end
		}
	}
}

// Stores finds where code puts the addresses of functions, other than into arguments of
// calls. The member is "" when it is not known.
func Stores(m *model.Model, t *fields.Types, visit func(ref model.CodeRef, member string)) {
	for id, refs := range stored(m) {
		fields.Walk(m, t, id, func(in *machine.Inst, at *fields.At) {
			ref, ok := refs[in.Addr]
			if !ok {
				return
			}
			member := ""
			if to := &in.Args[0]; to.Kind == machine.KindMem {
				if field, ok := at.Field(to.Mem); ok {
					member = field.Inner()
				}
			}
			visit(ref, member)
		})
	}
}

// stored yields the functions that take the address of others for what is no argument of a
// call, ascending, with the instructions that do so.
func stored(m *model.Model) iter.Seq2[model.FuncID, map[uint64]model.CodeRef] {
	byFunc := map[model.FuncID]map[uint64]model.CodeRef{}
	for _, ref := range m.CodeRefs {
		if ref.Call != 0 {
			continue
		}
		if byFunc[ref.In] == nil {
			byFunc[ref.In] = map[uint64]model.CodeRef{}
		}
		byFunc[ref.In][ref.Addr] = ref
	}
	return func(yield func(model.FuncID, map[uint64]model.CodeRef) bool) {
		for _, id := range slices.Sorted(maps.Keys(byFunc)) {
			if !yield(id, byFunc[id]) {
				return
			}
		}
	}
}

var convention = machine.X86.Convention()

// Pointer says of a call through a pointer what prototype that has, and where it comes
// from, as fields.At.Pointer; "" for what is not known.
func Pointer(m *model.Model, call *model.Call, in *machine.Inst, at *fields.At) (sig, from string) {
	proto, from := pointerProto(m, call, in, at)
	if proto == nil {
		return "", from
	}
	return fields.Signature(proto), from
}

func pointerProto(m *model.Model, call *model.Call, in *machine.Inst, at *fields.At) (proto *btf.FuncProto, from string) {
	reg := machine.NoReg
	switch to := &in.Args[0]; to.Kind {
	case machine.KindMem:
		if field, ok := at.Field(to.Mem); ok {
			return fields.Prototype(field.Type), field.Inner()
		}
	case machine.KindReg:
		if num, _, ok := to.General(); ok {
			reg = num
		}
	default:
		if call.Via != model.NoFunc {
			reg = convention.Callee(m.Func(call.Via).Name).Via
		}
	}
	if reg == machine.NoReg {
		return nil, ""
	}
	proto, from, ok := at.Pointer(reg)
	if !ok {
		return nil, ""
	}
	return proto, from
}
