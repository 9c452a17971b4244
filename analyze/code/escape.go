package code

import (
	"github.com/klpforge/klpforge/analyze/machine"
	"github.com/klpforge/klpforge/analyze/model"
)

// Fate is what becomes of an address that code takes.
type Fate uint8

// What becomes of it.
const (
	Unseen Fate = iota // it is returned, or is still held where the code branches
	Kept               // it goes nowhere: compared, or stored in the function's own frame
	Given              // it becomes the argument of a call
	Stored             // it is stored in memory other than the function's frame
)

// Escape is one place where code takes the address of a function or a variable
// of its object.
type Escape struct {
	Of   string // name of the function or variable
	At   uint64 // of the instruction
	Fate Fate
	To   string // Given: what is called, "" through a pointer
	Call uint64 // Given: of the call or jump
}

// Escapes lists where a function takes the address of what wanted names, in
// order of place, and follows each through the registers of straight-line code.
func (o *Object) Escapes(id model.FuncID, wanted func(name string) bool) []Escape {
	var out []Escape
	blocks := o.Model.Blocks(id)
	for k := range blocks {
		var open []*tracked
		for in := range o.Model.Instructions(&blocks[k]) {
			e := in.Effects()
			for _, t := range open {
				t.step(o, id, &in, &e)
			}
			if name, ok := o.taken(&in); ok && wanted(name) {
				t := &tracked{Escape: Escape{Of: name, At: in.Addr}}
				t.begin(&in)
				open = append(open, t)
			}
		}
		for _, t := range open {
			if !t.over && t.held != [nregs]bool{} {
				t.Fate = Unseen
			}
			out = append(out, t.Escape)
		}
	}
	return out
}

// taken names what lies at the address that an instruction computes.
func (o *Object) taken(in *machine.Inst) (string, bool) {
	var at uint64
	switch in.Op {
	case machine.Move, machine.Push, machine.Compare:
		for i := range in.Args {
			if a := &in.Args[i]; a.Kind == machine.KindImm {
				at = uint64(a.Imm)
			}
		}
	case machine.Address:
		at, _ = in.FixedAddr(in.Args[1].Mem)
	}
	if ordinary(at) {
		return "", false
	}
	s, _, ok := o.Model.Prog.SymbolAt(at)
	return s.Name, ok && s.Name != ""
}

// tracked is an address on its way.
type tracked struct {
	Escape
	held [nregs]bool
	over bool // its fate is decided
}

func (t *tracked) decide(f Fate) { t.Fate, t.over = f, true }

func (t *tracked) begin(in *machine.Inst) {
	switch dst := &in.Args[0]; dst.Kind {
	case machine.KindMem:
		t.put(in, dst.Mem)
	case machine.KindReg:
		n, size, ok := dst.General()
		if in.Op == machine.Compare || !ok || size < 4 {
			t.decide(Kept)
			return
		}
		t.held[n] = true
	default:
		t.decide(Kept) // pushed
	}
}

// put has the address be an operand of an instruction on memory.
func (t *tracked) put(in *machine.Inst, m machine.Mem) {
	if in.Op == machine.Compare || in.Op == machine.Test || m.Base == machine.RSP && m.Seg == machine.SegNone {
		t.Fate = Kept // until more is seen of it
		return
	}
	t.decide(Stored)
}

func (t *tracked) step(obj *Object, id model.FuncID, in *machine.Inst, effects *machine.Effects) {
	if t.over {
		return
	}
	switch in.Op {
	case machine.Call, machine.Jump:
		t.call(obj, id, in)
		return
	case machine.Return:
		if t.held[machine.RAX] {
			t.decide(Unseen)
		}
		return
	}
	src, size, ok := general(in, 1)
	if carries := ok && size >= 4 && t.held[src]; carries {
		if in.Args[0].Kind == machine.KindMem {
			t.put(in, in.Args[0].Mem)
			return
		}
		if n, _, ok := general(in, 0); ok && (in.Op == machine.Move || in.Op == machine.MoveIf) {
			t.held[n] = true
			return
		}
	}
	if n, _, ok := general(in, 0); ok && in.Op == machine.Exchange && src != machine.NoReg {
		t.held[n], t.held[src] = t.held[src], t.held[n]
		return
	}
	for n := range effects.Writes.All {
		// A conditional move may leave what was there.
		if in.Op == machine.MoveIf && t.held[n] {
			continue
		}
		t.drop(n)
	}
}

func (t *tracked) call(obj *Object, id model.FuncID, in *machine.Inst) {
	for _, call := range obj.Model.Calls(id) {
		if call.Site != in.Addr {
			continue
		}
		for _, n := range convention.Args {
			if !t.held[n] {
				continue
			}
			if call.Target != model.NoFunc {
				t.To = obj.Model.Func(call.Target).Name
			}
			t.Call = call.Site
			t.decide(Given)
			return
		}
		for n := range convention.Scratch.All {
			t.drop(n)
		}
		return
	}
}

// drop has a register lose the address; in none any more, nothing became of it.
func (t *tracked) drop(n machine.Num) {
	if !t.held[n] {
		return
	}
	t.held[n] = false
	if t.held == [nregs]bool{} {
		t.decide(Kept)
	}
}
