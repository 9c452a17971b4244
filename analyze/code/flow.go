package code

import (
	"fmt"
	"strings"

	"github.com/klpforge/klpforge/analyze/locks"
	"github.com/klpforge/klpforge/analyze/model"
	"github.com/klpforge/klpforge/elfdiff"
)

// Locks returns what the object's functions do to locks. Functions of other objects
// count as neutral, but for the lock primitives. It is found once.
func (o *Object) Locks() *locks.Result { return o.locks() }

// Flows returns what happens in the object's functions while locks are held, in the
// same sense. It is found once.
func (o *Object) Flows() *locks.Flows { return o.flows() }

// Open reports whether a function may be called by code that is not in the
// object, or through a pointer.
func (o *Object) Open(id model.FuncID) bool {
	if o.Model.AddressTaken(id) {
		return true
	}
	name := o.Model.Func(id).Name
	for i := range o.Atoms.Atoms {
		if o.Atoms.Atoms[i].Name == name && o.Atoms.IsCode(elfdiff.AtomID(i)) {
			return !o.Atoms.Local(elfdiff.AtomID(i))
		}
	}
	return true
}

// LockName names a lock as a function sees it, so that the name compares
// between two builds of an object: "spin:big", "mutex:arg0+0x10".
func (o *Object) LockName(l locks.Lock) string {
	if l.Path.Root == locks.RootNone {
		return l.Kind.String()
	}
	return l.Kind.String() + ":" + o.PathName(l.Path)
}

// maxTable bounds how far into a table its first element may lie.
const maxTable = 1 << 16

// PathName names the address that a path leads to, likewise. Where addresses are
// given to an object's symbols depends on what else it has.
func (o *Object) PathName(path locks.Path) string {
	whole := path.String()
	addr, begin := path.Addr, "%s"
	switch {
	case path.Root == locks.RootGlobal:
	case path.Root == locks.RootPercpu:
		addr = uint64(int64(int32(addr))) // a displacement
	case path.Root == locks.RootUnknown && len(path.Offs) > 0 && path.Offs[0] < 0:
		addr, begin = uint64(path.Offs[0]), "%s[?]" // an element of a table
		path.Offs = append([]int64{0}, path.Offs[1:]...)
	default:
		return whole
	}
	sym, off, ok := o.Model.Prog.SymbolAt(addr)
	if name, is := locks.Named(addr); is {
		sym.Name, off, ok = name, 0, true
	}
	// A small negative offset is no address, but lies behind all that have one.
	if !ok || sym.Name == "" || path.Root == locks.RootUnknown && off > maxTable {
		return whole
	}
	base := sym.Name
	if off != 0 {
		base = fmt.Sprintf("%s+%#x", sym.Name, off)
	}
	path.Root, path.Arg = locks.RootArg, 0
	return strings.Replace(path.String(), "arg0", fmt.Sprintf(begin, base), 1)
}

// ID is the number of the i-th function.
func (o *Object) ID(i int) model.FuncID { return model.FuncID(i) }

// Place is function+offset for an address in the object's code.
func (o *Object) Place(addr uint64) string {
	id := o.Model.At(addr)
	if id == model.NoFunc {
		return fmt.Sprintf("%#x", addr)
	}
	f := o.Model.Func(id)
	if addr < f.Addr || addr >= f.End {
		return f.Name + " (out of line)"
	}
	return fmt.Sprintf("%s+%#x", f.Name, addr-f.Addr)
}
