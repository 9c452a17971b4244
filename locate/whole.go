package locate

import (
	"debug/elf"
	"fmt"

	"github.com/klpforge/klpforge/elfdiff"
	"github.com/klpforge/klpforge/elfobj"
)

// Where compilers reach several variables over one address (karch.Arch.SharesAddresses), code depends
// on which section each variable is in: functions of an object that has a section for each are not what
// is shipped, though nothing but addresses differs. Such an object is found by another of the same source,
// compiled as the kernel's build compiles it. That one is compared with shipped code to the byte, as
// ever; then functions and variables of both are paired by name, which no two of a source file share.
// A variable that no code names is found by its distance from another in its section, for a linker
// keeps what a section of an object has together. An address must be one of the symbol's, where the
// target has the name.

// FindWhole is Find for an object with a section for each function and variable, by whole, of the
// same source, which is compiled without.
func FindWhole(orig, whole *elfdiff.Object, view View) *Placement {
	direct, shipped := Find(orig, view), Find(whole, view)
	shipped.spread(whole)
	pairs, twice := byName(whole)

	placed := &Placement{View: view, Funcs: direct.Funcs, Addr: direct.Addr, Ext: shipped.Ext, Miss: map[elfdiff.AtomID]string{},
		Twins: map[elfdiff.AtomID]int{}, conflict: map[elfdiff.AtomID][2]uint64{}}
	for ext, addr := range direct.Ext {
		if _, known := placed.Ext[ext]; !known {
			placed.Ext[ext] = addr
		}
	}
	for i := range orig.Atoms {
		atom := elfdiff.AtomID(i)
		name := key{orig.Atoms[atom].Name, orig.IsCode(atom)}
		other, ok := pairs[name]
		switch {
		case name.name == "":
		case twice[name]:
			placed.miss(atom, direct.Miss[atom], fmt.Sprintf("the source has several called %s", name.name))
		case !ok:
			placed.miss(atom, direct.Miss[atom], "the compiler makes none of this name for the kernel's own build")
		default:
			placed.take(atom, other, shipped)
		}
	}
	placed.settle()
	return placed
}

// key names a function or variable of an object.
type key struct {
	name string
	code bool
}

// byName are the functions and variables of an object by name; twice are the names that several have.
func byName(object *elfdiff.Object) (pairs map[key]elfdiff.AtomID, twice map[key]bool) {
	pairs, twice = map[key]elfdiff.AtomID{}, map[key]bool{}
	for i := range object.Atoms {
		atom := elfdiff.AtomID(i)
		name := key{object.Atoms[atom].Name, object.IsCode(atom)}
		if _, ok := pairs[name]; ok {
			twice[name] = true
		}
		pairs[name] = atom
	}
	return pairs, twice
}

// miss keeps why a function was not placed, in the words of whichever said so.
func (p *Placement) miss(atom elfdiff.AtomID, direct, otherwise string) {
	if _, placed := p.Funcs[atom]; placed || direct == "" {
		return
	}
	p.Miss[atom] = otherwise
}

// take gives an atom the place of the one that is paired with it. What was found without that has to
// agree.
func (p *Placement) take(atom, other elfdiff.AtomID, shipped *Placement) {
	found, ok := shipped.Funcs[other]
	have, placed := p.Funcs[atom]
	switch {
	case ok && placed && have.Addr != found.Addr:
		p.disagree(atom, have.Addr, found.Addr)
	case ok:
		p.Funcs[atom] = found
	case !placed && shipped.Miss[other] != "":
		p.Miss[atom] = shipped.Miss[other]
		if n := shipped.Twins[other]; n > 0 {
			p.Twins[atom] = n
		}
	}
	addr, ok := shipped.Addr[other]
	if !ok {
		return
	}
	if known, ok := p.Addr[atom]; ok && known != addr {
		p.disagree(atom, known, addr)
	}
	p.Addr[atom] = addr
}

// disagree notes that an atom seems to be at two addresses.
func (p *Placement) disagree(atom elfdiff.AtomID, one, two uint64) {
	p.conflict[atom] = [2]uint64{min(one, two), max(one, two)}
}

// spread gives an address to the variables of each section in which the shipped code says where one
// is. Those that contradict each other, or the target's symbols, are missing.
func (p *Placement) spread(object *elfdiff.Object) {
	type base struct {
		addr   uint64
		differ bool
	}
	bases := map[elfobj.SecID]base{}
	for i := range object.Atoms {
		at := &object.Atoms[i]
		addr, known := p.Addr[elfdiff.AtomID(i)]
		if !known || !variable(object, elfdiff.AtomID(i)) {
			continue
		}
		have, ok := bases[at.Sec]
		bases[at.Sec] = base{addr - at.Base, ok && (have.differ || have.addr != addr-at.Base)}
	}
	for i := range object.Atoms {
		atom, at := elfdiff.AtomID(i), &object.Atoms[i]
		section, ok := bases[at.Sec]
		if !ok || !variable(object, atom) {
			continue
		}
		addr := section.addr + at.Base
		list := p.View.Lookup(at.Name)
		switch {
		case section.differ:
			p.Miss[atom] = "the shipped code has the variables of its section in other places than the object"
		case len(list) > 0 && !anyAt(list, addr):
			p.Miss[atom] = fmt.Sprintf("the shipped code has it at %#x, where the target has %s", addr, nameAt(p.View, addr))
		default:
			p.Addr[atom] = addr
			continue
		}
		delete(p.Addr, atom)
	}
}

// variable reports whether an atom is a variable with a name, in memory.
func variable(object *elfdiff.Object, atom elfdiff.AtomID) bool {
	at := &object.Atoms[atom]
	return at.Name != "" && !object.IsCode(atom) && object.File.Sections[at.Sec].Flags&elf.SHF_ALLOC != 0
}
