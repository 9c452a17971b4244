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

// Find places every function of o. What matches under a unique name is placed
// first. Of several namesakes, the one is meant that placed code refers to,
// else the one that lies among the object's own code; code that matches
// elsewhere is another object's copy. Each decision may settle others.
func Find(o *elfdiff.Object, v View) *Placement {
	p := &Placement{View: v, Funcs: map[elfdiff.AtomID]Place{}, Addr: map[elfdiff.AtomID]uint64{}, Ext: map[string]uint64{}, Miss: map[elfdiff.AtomID]string{}, Twins: map[elfdiff.AtomID]int{}, conflict: map[elfdiff.AtomID][2]uint64{}}
	pending := map[elfdiff.AtomID][]candidate{}
	var order []elfdiff.AtomID
	for i := range o.Atoms {
		a := elfdiff.AtomID(i)
		if !o.IsCode(a) || o.Atoms[a].Name == "" {
			continue
		}
		syms := v.Lookup(o.Atoms[a].Name)
		if len(syms) == 0 {
			p.Miss[a] = "the target has no symbol of this name"
			continue
		}
		var fit []candidate
		why := ""
		for _, s := range syms {
			size, ev, reason := match(o, v, a, s.Addr)
			if reason != "" {
				if why == "" || len(syms) == 1 {
					why = reason
				}
				continue
			}
			fit = append(fit, candidate{Place{Symbol: s, Size: size}, ev})
		}
		switch {
		case len(fit) == 0:
			p.Miss[a] = why
		case len(syms) == 1:
			p.accept(a, fit[0].place, fit[0].ev)
		default:
			pending[a] = fit
			order = append(order, a)
		}
	}
	p.byReference(order, pending)
	p.bySpan(o, order, pending, 1)
	p.byReference(order, pending)
	p.bySpan(o, order, pending, 2)
	for _, a := range order {
		if _, done := p.Funcs[a]; done || p.Miss[a] != "" {
			continue
		}
		if addr, ok := p.Addr[a]; ok {
			p.Miss[a] = fmt.Sprintf("the code at %#x, which this object refers to, differs", addr)
			continue
		}
		p.Twins[a] = len(pending[a])
		p.Miss[a] = fmt.Sprintf("%d functions of this name have the same code and nothing tells them apart", len(pending[a]))
	}
	p.settle()
	return p
}

// byReference places the candidates at addresses that placed code refers to.
func (p *Placement) byReference(order []elfdiff.AtomID, pending map[elfdiff.AtomID][]candidate) {
	for progress := true; progress; {
		progress = false
		for _, a := range order {
			addr, known := p.Addr[a]
			if _, done := p.Funcs[a]; done || !known {
				continue
			}
			for _, c := range pending[a] {
				if c.place.Addr == addr {
					p.accept(a, c.place, c.ev)
					progress = true
				}
			}
		}
	}
}

// bySpan places functions that nothing refers to. A single candidate must be
// the namesake nearest to the object's code: where a nearer one differs, that
// is ours in another build. Several candidates are told apart only when one of
// them alone lies between placed functions. most limits the candidates.
func (p *Placement) bySpan(o *elfdiff.Object, order []elfdiff.AtomID, pending map[elfdiff.AtomID][]candidate, most int) {
	lo, hi, ok := p.span(o)
	for _, a := range order {
		list := pending[a]
		_, done := p.Funcs[a]
		_, known := p.Addr[a]
		if done || known || p.Miss[a] != "" || most == 1 && len(list) > 1 {
			continue
		}
		if len(list) == 1 {
			if ok && ordinary(o, a) {
				for _, s := range p.View.Lookup(o.Atoms[a].Name) {
					if distance(s.Addr, lo, hi) < distance(list[0].place.Addr, lo, hi) {
						p.Miss[a] = fmt.Sprintf("the code at %#x, next to the object's other functions, differs", s.Addr)
					}
				}
			}
			if p.Miss[a] == "" {
				p.accept(a, list[0].place, list[0].ev)
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
			p.accept(a, in[0].place, in[0].ev)
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

func (p *Placement) accept(a elfdiff.AtomID, pl Place, ev evidence) {
	p.Funcs[a] = pl
	if old, ok := p.Addr[a]; ok && old != pl.Addr {
		p.conflict[a] = [2]uint64{min(old, pl.Addr), max(old, pl.Addr)}
	}
	p.Addr[a] = pl.Addr
	for k, v := range ev.atoms {
		switch old, ok := p.Addr[k]; {
		case !ok:
			p.Addr[k] = v
		case old != v:
			p.conflict[k] = [2]uint64{min(old, v), max(old, v)}
		}
	}
	for k, v := range ev.exts {
		p.Ext[k] = v
	}
}

// settle drops what shipped code contradicts itself about: one variable or
// function at two addresses is another build.
func (p *Placement) settle() {
	for a, at := range p.conflict {
		delete(p.Addr, a)
		delete(p.Funcs, a)
		p.Miss[a] = fmt.Sprintf("the shipped code refers to it at %#x and at %#x", at[0], at[1])
	}
}

// span is the range of addresses of the object's ordinary code. The linker
// places the .text of one object in one piece, so its functions bound it.
func (p *Placement) span(o *elfdiff.Object) (lo, hi uint64, ok bool) {
	var addrs []uint64
	for a, pl := range p.Funcs {
		if ordinary(o, a) {
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
func ordinary(o *elfdiff.Object, a elfdiff.AtomID) bool {
	sec := o.Section(a)
	for _, p := range []string{".text.unlikely", ".text.hot", ".text.startup", ".text.exit", ".text.asan", ".text.tsan"} {
		if strings.HasPrefix(sec, p) {
			return false
		}
	}
	return o.Root(a) == a && strings.HasPrefix(sec, ".text.")
}
