package locate

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/klpforge/klpforge/elfdiff"
)

// Place is where a function of the object lies in the shipped object.
type Place struct {
	Symbol
	Size uint64 // bytes of shipped code
}

// Placement is what is known of an object in a View.
type Placement struct {
	View  View
	Funcs map[elfdiff.AtomID]Place
	// Addr has the address of every function and variable that placed code
	// refers to or that was placed itself.
	Addr map[elfdiff.AtomID]uint64
	// Ext has the addresses of symbols the object does not define.
	Ext map[string]uint64
	// Miss says, for functions not placed, and for variables that shipped code
	// refers to at several addresses, why.
	Miss map[elfdiff.AtomID]string
	// Twins counts, for functions not placed because several shipped ones of their name
	// have the same code, these.
	Twins map[elfdiff.AtomID]int

	conflict map[elfdiff.AtomID][2]uint64
}

type candidate struct {
	place Place
	ev    evidence
}

// Find places every function of orig. What matches under a unique name is placed
// first. Of several namesakes, the one is meant that placed code refers to,
// else the one that lies among the object's own code; code that matches
// elsewhere is another object's copy. Each decision may settle others.
func Find(orig *elfdiff.Object, view View) *Placement {
	placed := &Placement{View: view, Funcs: map[elfdiff.AtomID]Place{}, Addr: map[elfdiff.AtomID]uint64{},
		Ext: map[string]uint64{}, Miss: map[elfdiff.AtomID]string{}, Twins: map[elfdiff.AtomID]int{},
		conflict: map[elfdiff.AtomID][2]uint64{}}
	pending := map[elfdiff.AtomID][]candidate{}
	var order []elfdiff.AtomID

	// What matches under a name that the target has once is certain. The rest waits until these
	// are known.
	for i := range orig.Atoms {
		atom := elfdiff.AtomID(i)
		if !orig.IsCode(atom) || orig.Atoms[atom].Name == "" {
			continue
		}
		syms := view.Lookup(orig.Atoms[atom].Name)
		if len(syms) == 0 {
			placed.Miss[atom] = "the target has no symbol of this name"
			continue
		}
		var fit []candidate
		why := ""
		for _, sym := range syms {
			size, ev, reason := match(orig, view, atom, sym.Addr)
			if reason != "" {
				if why == "" {
					why = reason
				}
				continue
			}
			fit = append(fit, candidate{Place{Symbol: sym, Size: size}, ev})
		}
		switch {
		case len(fit) == 0:
			placed.Miss[atom] = why
		case len(syms) == 1:
			placed.accept(atom, fit[0].place, fit[0].ev)
		default:
			pending[atom] = fit
			order = append(order, atom)
		}
	}

	// Twice each, the strict rule before the loose one: what one round settles may tell the next
	// which namesake is meant.
	placed.byReference(order, pending)
	placed.bySpan(orig, order, pending, true)
	placed.byReference(order, pending)
	placed.bySpan(orig, order, pending, false)

	for _, atom := range order {
		if _, done := placed.Funcs[atom]; done || placed.Miss[atom] != "" {
			continue
		}
		if addr, ok := placed.Addr[atom]; ok {
			placed.Miss[atom] = fmt.Sprintf("the code at %#x, which this object refers to, differs", addr)
			continue
		}
		placed.Twins[atom] = len(pending[atom])
		placed.Miss[atom] = fmt.Sprintf("%d functions of this name have the same code and nothing tells them apart",
			len(pending[atom]))
	}
	placed.settle()
	return placed
}

// byReference places the candidates at addresses that placed code refers to.
func (p *Placement) byReference(order []elfdiff.AtomID, pending map[elfdiff.AtomID][]candidate) {
	for progress := true; progress; {
		progress = false
		for _, atom := range order {
			addr, known := p.Addr[atom]
			if _, done := p.Funcs[atom]; done || !known {
				continue
			}
			for _, c := range pending[atom] {
				if c.place.Addr == addr {
					p.accept(atom, c.place, c.ev)
					progress = true
				}
			}
		}
	}
}

// bySpan places functions that nothing refers to. A single candidate must be
// the namesake nearest to the object's code: where a nearer one differs, that
// is ours in another build. Several candidates are told apart only when one of
// them alone lies between placed functions; with single they are left for later.
func (p *Placement) bySpan(orig *elfdiff.Object, order []elfdiff.AtomID, pending map[elfdiff.AtomID][]candidate,
	single bool) {
	lo, hi, ok := p.span(orig)
	for _, atom := range order {
		list := pending[atom]
		_, done := p.Funcs[atom]
		_, known := p.Addr[atom]
		if done || known || p.Miss[atom] != "" || single && len(list) > 1 {
			continue
		}

		// One candidate is not enough: it may be a copy of the code in another object, while this
		// object's own was built differently.
		if len(list) == 1 {
			if ok && ordinary(orig, atom) {
				for _, sym := range p.View.Lookup(orig.Atoms[atom].Name) {
					if distance(sym.Addr, lo, hi) < distance(list[0].place.Addr, lo, hi) {
						p.Miss[atom] = fmt.Sprintf("the code at %#x, next to the object's other functions, differs",
							sym.Addr)
					}
				}
			}
			if p.Miss[atom] == "" {
				p.accept(atom, list[0].place, list[0].ev)
			}
			continue
		}

		var in []candidate
		for _, c := range list {
			if ok && distance(c.place.Addr, lo, hi) == 0 {
				in = append(in, c)
			}
		}
		if len(in) == 1 {
			p.accept(atom, in[0].place, in[0].ev)
		}
	}
}

func distance(addr, lo, hi uint64) uint64 {
	switch {
	case addr < lo:
		return lo - addr
	case addr > hi:
		return addr - hi
	}
	return 0
}

func (p *Placement) accept(atom elfdiff.AtomID, pl Place, ev evidence) {
	p.Funcs[atom] = pl
	if old, ok := p.Addr[atom]; ok && old != pl.Addr {
		p.conflict[atom] = [2]uint64{min(old, pl.Addr), max(old, pl.Addr)}
	}
	p.Addr[atom] = pl.Addr
	for known, addr := range ev.atoms {
		switch old, ok := p.Addr[known]; {
		case !ok:
			p.Addr[known] = addr
		case old != addr:
			p.conflict[known] = [2]uint64{min(old, addr), max(old, addr)}
		}
	}
	for ext, addr := range ev.exts {
		p.Ext[ext] = addr
	}
}

// settle drops what shipped code contradicts itself about: one variable or
// function at two addresses is another build.
func (p *Placement) settle() {
	for atom, at := range p.conflict {
		delete(p.Addr, atom)
		delete(p.Funcs, atom)
		p.Miss[atom] = fmt.Sprintf("the shipped code refers to it at %#x and at %#x", at[0], at[1])
	}
}

// span is the range of addresses of the object's ordinary code. The linker
// places the .text of one object in one piece, so its functions bound it.
func (p *Placement) span(obj *elfdiff.Object) (lo, hi uint64, ok bool) {
	var addrs []uint64
	for atom, pl := range p.Funcs {
		if ordinary(obj, atom) {
			addrs = append(addrs, pl.Addr)
		}
	}
	if len(addrs) == 0 {
		return 0, 0, false
	}
	slices.SortFunc(addrs, cmp.Compare)
	return addrs[0], addrs[len(addrs)-1], true
}

// ordinary reports whether the function's code lies with that of the object's
// other functions, and not in a section that the linker collects elsewhere
// (TEXT_TEXT of include/asm-generic/vmlinux.lds.h, v6.1).
func ordinary(orig *elfdiff.Object, atom elfdiff.AtomID) bool {
	sec := orig.Section(atom)
	for _, p := range []string{".text.unlikely", ".text.hot", ".text.startup", ".text.exit", ".text.asan",
		".text.tsan"} {
		if strings.HasPrefix(sec, p) {
			return false
		}
	}
	return orig.Root(atom) == atom && strings.HasPrefix(sec, ".text.")
}
