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
	names := byName(whole)
	bases := shipped.bases(whole)

	placed := &Placement{View: view, Funcs: direct.Funcs, Addr: direct.Addr, Ext: shipped.Ext, Miss: map[elfdiff.AtomID]string{},
		Twins: map[elfdiff.AtomID]int{}, conflict: map[elfdiff.AtomID][2]uint64{}}
	for ext, addr := range direct.Ext {
		if _, known := placed.Ext[ext]; !known {
			placed.Ext[ext] = addr
		}
	}
	for i := range orig.Atoms {
		atom := elfdiff.AtomID(i)
		at := &orig.Atoms[atom]
		other, ok := names[at.Name]
		switch {
		case at.Name == "":
		case other.twice:
			placed.miss(atom, direct.Miss[atom], fmt.Sprintf("the source has several called %s", at.Name))
		case !ok || other.code != orig.IsCode(atom):
			placed.miss(atom, direct.Miss[atom], "the compiler makes none of this name for the kernel's own build")
		case other.code:
			placed.takeCode(atom, other.atom, shipped)
		default:
			placed.takeData(atom, at.Name, bases[other.sec], other.off)
		}
	}
	placed.settle()
	return placed
}

// named is a function or variable of an object. Several names may have one.
type named struct {
	code  bool
	atom  elfdiff.AtomID // of a function
	sec   elfobj.SecID
	off   uint64 // in sec
	twice bool   // others have the name, too
}

// byName are the functions and variables of an object by each of their names.
func byName(object *elfdiff.Object) map[string]named {
	type place struct {
		sec elfobj.SecID
		off uint64
	}
	code := map[place]elfdiff.AtomID{}
	for i := range object.Atoms {
		if at := &object.Atoms[i]; object.IsCode(elfdiff.AtomID(i)) {
			code[place{at.Sec, at.Base}] = elfdiff.AtomID(i)
		}
	}
	out := map[string]named{}
	for i := range object.File.Symbols {
		sym := &object.File.Symbols[i]
		if sym.Name == "" || sym.Sec <= 0 || sym.Type == elf.STT_SECTION || sym.Type == elf.STT_FILE ||
			object.Arch.Mark(sym.Name) != elfobj.MarkNone {
			continue
		}
		atom, isCode := code[place{sym.Sec, sym.Value}]
		_, twice := out[sym.Name]
		out[sym.Name] = named{isCode, atom, sym.Sec, sym.Value, twice}
	}
	return out
}

// miss keeps why a function was not placed, in the words of whichever said so.
func (p *Placement) miss(atom elfdiff.AtomID, direct, otherwise string) {
	if _, placed := p.Funcs[atom]; placed || direct == "" {
		return
	}
	p.Miss[atom] = otherwise
}

// takeCode gives a function the place of the one that is paired with it. What was found without that
// has to agree.
func (p *Placement) takeCode(atom, other elfdiff.AtomID, shipped *Placement) {
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
	if addr, ok := shipped.Addr[other]; ok {
		p.takeAddr(atom, addr)
	}
}

// takeData gives a variable its address, off bytes behind where its section begins, if that is known and
// is one of those that the target has for the name.
func (p *Placement) takeData(atom elfdiff.AtomID, name string, section base, off uint64) {
	addr := section.addr + off
	list := p.View.Lookup(name)
	switch {
	case !section.known:
	case section.differ:
		p.Miss[atom] = "the shipped code has the variables of its section in other places than the object"
	case len(list) > 0 && !anyAt(list, addr):
		p.Miss[atom] = fmt.Sprintf("the shipped code has it at %#x, where the target has %s", addr, nameAt(p.View, addr))
	default:
		p.takeAddr(atom, addr)
		return
	}
	if p.Miss[atom] != "" {
		delete(p.Addr, atom)
	}
}

func (p *Placement) takeAddr(atom elfdiff.AtomID, addr uint64) {
	if known, ok := p.Addr[atom]; ok && known != addr {
		p.disagree(atom, known, addr)
	}
	p.Addr[atom] = addr
}

// disagree notes that an atom seems to be at two addresses.
func (p *Placement) disagree(atom elfdiff.AtomID, one, two uint64) {
	p.conflict[atom] = [2]uint64{min(one, two), max(one, two)}
}

// base is where a section of an object begins in the shipped object.
type base struct {
	addr   uint64
	known  bool
	differ bool // variables contradict each other
}

// bases tells of the sections in which the shipped code says where a variable is.
func (p *Placement) bases(object *elfdiff.Object) map[elfobj.SecID]base {
	out := map[elfobj.SecID]base{}
	for i := range object.Atoms {
		at := &object.Atoms[i]
		addr, known := p.Addr[elfdiff.AtomID(i)]
		if !known || at.Name == "" || object.IsCode(elfdiff.AtomID(i)) || object.File.Sections[at.Sec].Flags&elf.SHF_ALLOC == 0 {
			continue
		}
		have := out[at.Sec]
		out[at.Sec] = base{addr - at.Base, true, have.known && (have.differ || have.addr != addr-at.Base)}
	}
	return out
}
