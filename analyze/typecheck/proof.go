package typecheck

import (
	"slices"
	"strings"

	"github.com/klpforge/klpforge/analyze/machine"
	"github.com/klpforge/klpforge/analyze/model"
)

// Members lists the members that functions and variables can use, "struct inode.i_mode",
// sorted. It errs on the side of more, as Judge does; of functions that are not in the
// text nothing is known, and complete is false.
func Members(t *Text, o *Object, funcs, data []string) (members []string, complete bool) {
	body := t.code(funcs, data)
	body.reach(o)
	for i := range o.named() {
		ty := &o.Types[i]
		if ty.Enum || !body.types[ty.Name] {
			continue
		}
		for _, p := range ty.Parts {
			if body.mentions(p.Name) {
				members = append(members, ty.Name+"."+p.Name)
			}
		}
	}
	slices.Sort(members)
	return members, len(body.missing) == 0
}

// Proofs lists the members whose offset the code of some functions has in it, as
// Members does. The functions are those whose code the target has byte by byte, so that
// the target has these offsets too. Followed are pointers that come as arguments, and
// what is loaded through them, along code that can be reached in one way only. A member
// counts when an instruction uses its very offset, and no other member lies there.
func Proofs(m *model.Model, o *Object, shipped func(fn string) bool) []string {
	proof := &prover{m: m, o: o, found: map[string]bool{}}
	for i := range m.Funcs {
		name := m.Funcs[i].Name
		// A clone has parameters of its own.
		if f := o.Func(name); f != nil && shipped(name) {
			proof.function(model.FuncID(i), f)
		}
	}
	var out []string
	for name := range proof.found {
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}

type prover struct {
	m     *model.Model
	o     *Object
	found map[string]bool
}

// held are the types that registers point to, by number of the register; nil for not
// known.
type held [16]*Type

// convention is how the functions of the code at hand call each other.
var convention = machine.X86.Convention()

func (w *prover) function(id model.FuncID, f *Func) {
	var regs held
	for i, p := range f.Params {
		// What is not an integer or a pointer may shift the others.
		if i == len(convention.Args) || !strings.HasPrefix(p, "*") &&
			!slices.Contains([]string{"c1", "b1", "s2", "u2", "s4", "u4", "s8", "u8"}, p) &&
			!strings.HasPrefix(p, "enum") {
			break
		}
		if name, ok := strings.CutPrefix(p, "*"); ok {
			regs[convention.Args[i]] = w.o.Type(name)
		}
	}
	blocks := w.m.Blocks(id)
	if len(blocks) == 0 {
		return
	}
	entries := make([]int, len(blocks)) // into each block
	for i := range blocks {
		for _, e := range w.m.Edges(&blocks[i]) {
			entries[e.To]++
		}
	}
	entries[0]++
	w.walk(id, blocks, entries, 0, regs)
}

// walk follows one block, then those that only it leads to.
func (w *prover) walk(id model.FuncID, blocks []model.Block, entries []int, at int32, regs held) {
	for at >= 0 && entries[at] == 1 {
		for in := range w.m.Instructions(&blocks[at]) {
			w.step(&in, &regs, w.m.Func(id).Addr)
		}
		entries[at] = 0 // once
		next := int32(-1)
		for _, e := range w.m.Edges(&blocks[at]) {
			if next >= 0 {
				w.walk(id, blocks, entries, next, regs)
			}
			next = e.To
		}
		at = next
	}
}

// step notes what one instruction touches and what it leaves in registers.
func (w *prover) step(in *machine.Inst, regs *held, start uint64) {
	does := in.Effects()
	if does.Unknown {
		*regs = held{}
		return
	}
	var loaded *Type
	for i := range in.Args {
		m := &in.Args[i].Mem
		if in.Args[i].Kind == machine.KindMem && m.Seg == machine.SegNone && m.Base != machine.NoReg &&
			regs[m.Base] != nil {
			loaded = w.touch(regs[m.Base], m.Disp)
		}
	}

	// What the first operand holds afterwards.
	var value *Type
	dst, size, ok := in.Args[0].General()
	if ok && size == 8 && in.Op == machine.Move {
		switch src := &in.Args[1]; src.Kind {
		case machine.KindReg:
			if n, _, general := src.General(); general {
				value = regs[n]
			}
		case machine.KindMem:
			value = loaded
		}
	}

	if in.Op == machine.Call {
		if in.Addr <= start+4 {
			return // of __fentry__, which keeps all registers
		}
		for n := range convention.Scratch.All {
			regs[n] = nil
		}
		return
	}
	for n := range does.Writes.All {
		regs[n] = nil
	}
	if ok && does.Writes.Has(dst) {
		regs[dst] = value
	}
}

// touch notes the member at an offset and returns what it points to.
func (w *prover) touch(typ *Type, off int64) *Type {
	var at *Part
	for i := range typ.Parts {
		part := &typ.Parts[i]
		if part.Bit != off*8 || part.Bits > 0 {
			continue
		}
		if at != nil {
			return nil // a union
		}
		at = part
	}
	if at == nil {
		return nil
	}
	w.found[typ.Name+"."+at.Name] = true
	if name, ok := strings.CutPrefix(at.Shape, "*"); ok {
		return w.o.Type(name)
	}
	return nil
}
