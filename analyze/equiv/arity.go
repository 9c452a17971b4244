package equiv

import (
	"slices"
	"strings"

	"github.com/klpforge/klpforge/analyze/kfuncs"
	"github.com/klpforge/klpforge/analyze/machine"
	"github.com/klpforge/klpforge/elfdiff"
)

func (w *walk) proto(name string) *Proto {
	if kfuncs.NoArgs(name) {
		return &Proto{Ret: 4}
	}
	if w.opt.Proto == nil || name == "" || strings.Contains(name, ".") {
		return nil
	}
	if proto, ok := w.opt.Proto(name); ok {
		return &proto
	}
	return nil
}

// parameters is proto, or what a function's own code says of its parameters when
// it is in the object and the same before and after.
func (w *walk) parameters(name string) *Proto {
	if proto := w.proto(name); proto != nil {
		return proto
	}
	if proto, ok := w.arity[name]; ok {
		return proto
	}
	w.arity[name] = nil
	proto := &Proto{Ret: 8, Registers: true, setsPair: true}
	for _, body := range w.body {
		read := w.reads(body, name, 3)
		if read < 0 {
			return nil
		}
		proto.Args = slices.Repeat([]uint8{8}, max(read, len(proto.Args)))
		proto.setsPair = proto.setsPair && w.setsPair(body, name)
	}
	w.arity[name] = proto
	return proto
}

// reads counts the registers for parameters up to the last that a function of the
// object may read before it sets it; -1 when it is not in the object.
func (w *walk) reads(b *body, name string, depth int) int {
	callee := w.function(b, name)
	if callee == nil {
		return -1
	}
	callees := func(to string) int {
		if proto := w.proto(to); proto != nil && !proto.Variadic {
			return min(len(proto.Args), len(argRegs))
		}
		if depth == 0 {
			return -1
		}
		return w.reads(callee, to, depth-1)
	}
	for arg := len(argRegs); arg > 0; arg-- {
		if !callee.unread(place{}, argRegs[arg-1], search{callees: callees}) {
			return arg
		}
	}
	return 0
}

// setsPair reports whether a function of the object surely sets the register that
// returns the second half of a result.
func (w *walk) setsPair(b *body, name string) bool {
	callee := w.function(b, name)
	return callee != nil && callee.unread(place{}, pairReg, search{results: machine.Regs(pairReg)})
}

// function is the body of a function of an object, nil when the object has none of
// that name or several.
func (w *walk) function(b *body, name string) *body {
	id := elfdiff.AtomID(-1)
	for i := range b.o.Atoms {
		if atom := elfdiff.AtomID(i); b.o.Atoms[i].Name == name && b.o.IsFunction(atom) {
			if id >= 0 {
				return nil
			}
			id = atom
		}
	}
	if id < 0 || name == "" {
		return nil
	}
	return load(b.o, id, b.same)
}
