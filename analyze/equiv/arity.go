package equiv

import (
	"strings"

	"github.com/klpforge/klpforge/elfdiff"
)

func (w *walk) proto(name string) *Proto {
	if resched[name] {
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
	var n [2]int
	for i, b := range w.body {
		if n[i] = w.reads(b, name, 3); n[i] < 0 {
			return nil
		}
	}
	p := &Proto{Args: []uint8{8, 8, 8, 8, 8, 8}[:max(n[0], n[1])], Ret: 8, Registers: true}
	w.arity[name] = p
	return p
}

// reads counts the registers for parameters up to the last that a function of the
// object may read before it sets it; -1 when it is not in the object.
func (w *walk) reads(b *body, name string, depth int) int {
	id := elfdiff.AtomID(-1)
	for i := range b.o.Atoms {
		if a := elfdiff.AtomID(i); b.o.Atoms[i].Name == name && b.o.IsFunction(a) {
			if id >= 0 {
				return -1
			}
			id = a
		}
	}
	if id < 0 || name == "" {
		return -1
	}
	f := load(b.o, id, b.same)
	for n := len(argRegs); n > 0; n-- {
		if !f.unread(place{}, argRegs[n-1], func(to string) int {
			if p := w.proto(to); p != nil && !p.Variadic {
				return min(len(p.Args), len(argRegs))
			}
			if depth == 0 {
				return -1
			}
			return w.reads(f, to, depth-1)
		}) {
			return n
		}
	}
	return 0
}
