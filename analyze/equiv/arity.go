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
	if p, ok := w.opt.Proto(name); ok {
		return &p
	}
	return nil
}

// parameters is proto, or what a function's own code says of its parameters when
// it is in the object and the same before and after.
func (w *walk) parameters(name string) *Proto {
	if p := w.proto(name); p != nil {
		return p
	}
	if p, ok := w.arity[name]; ok {
		return p
	}
	w.arity[name] = nil
	p := &Proto{Ret: 8, Registers: true, setsPair: true}
	for _, b := range w.body {
		n := w.reads(b, name, 3)
		if n < 0 {
			return nil
		}
		p.Args = slices.Repeat([]uint8{8}, max(n, len(p.Args)))
		p.setsPair = p.setsPair && w.setsPair(b, name)
	}
	w.arity[name] = p
	return p
}

// reads counts the registers for parameters up to the last that a function of the
// object may read before it sets it; -1 when it is not in the object.
func (w *walk) reads(b *body, name string, depth int) int {
	f := w.function(b, name)
	if f == nil {
		return -1
	}
	callees := func(to string) int {
		if p := w.proto(to); p != nil && !p.Variadic {
			return min(len(p.Args), len(argRegs))
		}
		if depth == 0 {
			return -1
		}
		return w.reads(f, to, depth-1)
	}
	for n := len(argRegs); n > 0; n-- {
		if !f.unread(place{}, argRegs[n-1], search{callees: callees}) {
			return n
		}
	}
	return 0
}

// setsPair reports whether a function of the object surely sets the register that
// returns the second half of a result.
func (w *walk) setsPair(b *body, name string) bool {
	f := w.function(b, name)
	return f != nil && f.unread(place{}, pairReg, search{results: machine.Regs(pairReg)})
}

// function is the body of a function of an object, nil when the object has none of
// that name or several.
func (w *walk) function(b *body, name string) *body {
	id := elfdiff.AtomID(-1)
	for i := range b.o.Atoms {
		if a := elfdiff.AtomID(i); b.o.Atoms[i].Name == name && b.o.IsFunction(a) {
			if id >= 0 {
				return nil
			}
			id = a
		}
	}
	if id < 0 || name == "" {
		return nil
	}
	return load(b.o, id, b.same)
}
