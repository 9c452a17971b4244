package registered

import (
	"github.com/cilium/ebpf/btf"

	"github.com/klpforge/klpforge/analyze/fields"
	"github.com/klpforge/klpforge/analyze/machine"
	"github.com/klpforge/klpforge/analyze/model"
)

// A structure on the stack, and one from the heap whose pointer has no type where it is
// filled in, get their type where their address goes: as an argument, by the prototype of
// who is called, or into a member, by the member's type. All of a function's stores and
// all those places are held against each other, whichever comes first; the prototype of
// the stored function has to be that of the member. So does one that is put into an element
// of an array whose index is not known.

// maxArray is how many elements an array of function pointers has at most that is not
// indexed.
const maxArray = 64

// fill is a function's address that code puts into an object without a type.
type fill struct {
	fn   model.FuncID
	spot fields.Spot
}

// handed is where the address of such an object goes.
type handed struct {
	spot fields.Spot
	to   btf.Type // what the pointer points to there
	// given and arg are as in Place, for an argument; given is "" for a member.
	given string
	arg   int
}

// objects finds the functions whose addresses a function of the program puts into such
// objects.
func (r *Result) objects(t *fields.Types, id model.FuncID, refs map[uint64]model.CodeRef) {
	calls := map[uint64]*model.Call{}
	list := r.Model.Calls(id)
	for i := range list {
		calls[list[i].Site] = &list[i]
	}
	var fills []fill
	var gone []handed
	fields.WalkOrigins(r.Model, t, id, func(in *machine.Inst, at *fields.At) {
		to := &in.Args[0]
		if ref, ok := refs[in.Addr]; ok && to.Kind == machine.KindMem {
			if spot, ok := at.Spot(to.Mem); ok {
				fills = append(fills, fill{ref.Func, spot})
			} else if field, ok := at.Element(to.Mem); ok {
				if sig := Signature(r.Model, t, ref.Func); sig != "" && sig == fields.PointerSignature(field.Type) {
					r.add(ref.Func, Place{Members: []string{field.Inner()}})
				}
			}
			return
		}
		if call := calls[in.Addr]; call != nil {
			gone = append(gone, r.arguments(t, call, in, at)...)
			return
		}
		if in.Op != machine.Move || to.Kind != machine.KindMem {
			return
		}
		from, size, ok := in.Args[1].General()
		if !ok || size != word {
			return
		}
		if spot, ok := at.SpotIn(from); ok {
			if field, ok := at.Field(to.Mem); ok {
				if pointer, ok := btf.UnderlyingType(field.Type).(*btf.Pointer); ok {
					gone = append(gone, handed{spot: spot, to: pointer.Target})
				}
			}
		}
	})
	for _, one := range fills {
		for i := range gone {
			if place, ok := one.place(r.Model, t, &gone[i]); ok {
				r.add(one.fn, place)
			}
		}
	}
}

const word = 8 // bytes of a pointer

// arguments lists the addresses of objects without a type that a call is given.
func (r *Result) arguments(t *fields.Types, call *model.Call, in *machine.Inst, at *fields.At) []handed {
	proto, name := (*btf.FuncProto)(nil), ""
	if call.Target != model.NoFunc {
		name = r.Model.Func(call.Target).Name
		proto = t.Proto(name)
	} else {
		proto, name = pointerProto(r.Model, call, in, at)
	}
	if proto == nil {
		return nil
	}
	var out []handed
	for i := range proto.Params {
		if i >= len(convention.Args) {
			break
		}
		pointer, ok := btf.UnderlyingType(proto.Params[i].Type).(*btf.Pointer)
		if !ok {
			continue
		}
		if spot, ok := at.SpotIn(convention.Args[i]); ok {
			out = append(out, handed{spot, pointer.Target, name, i})
		}
	}
	return out
}

// place says where a function is kept by an object that goes somewhere.
func (f *fill) place(m *model.Model, t *fields.Types, to *handed) (Place, bool) {
	sig := Signature(m, t, f.fn)
	off := f.spot.Off - to.spot.Off
	if f.spot.Of != to.spot.Of || off < 0 || sig == "" {
		return Place{}, false
	}
	target := btf.UnderlyingType(to.to)
	if fields.PointerSignature(target) != "" {
		// An array of pointers to functions.
		if fields.PointerSignature(target) != sig || to.given == "" || off%word != 0 || off >= maxArray*word {
			return Place{}, false
		}
		return Place{Given: to.given, Arg: to.arg}, true
	}
	size, err := btf.Sizeof(target)
	if err != nil || f.spot.Of == fields.OriginFrame && !f.spot.Indexed && off >= int64(size) {
		return Place{}, false // another variable of the frame
	}
	field, ok := fields.MemberIn(target, off)
	if !ok || fields.PointerSignature(field.Type) != sig {
		return Place{}, false
	}
	return Place{Members: []string{field.Inner()}}, true
}
