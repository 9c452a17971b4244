package typecheck

import (
	"slices"
	"strings"

	"golang.org/x/arch/x86/x86asm"

	"github.com/klpforge/klpforge/analyze/model"
)

// Members lists the members that functions and variables can use, "struct inode.i_mode",
// sorted. It errs on the side of more, as Judge does; of functions that are not in the
// text nothing is known, and complete is false.
func Members(t *Text, o *Object, funcs, data []string) (members []string, complete bool) {
	c := t.code(funcs, data)
	c.reach(o)
	for i := range o.named() {
		ty := &o.Types[i]
		if ty.Enum || !c.types[ty.Name] {
			continue
		}
		for _, p := range ty.Parts {
			if c.mentions(p.Name) {
				members = append(members, ty.Name+"."+p.Name)
			}
		}
	}
	slices.Sort(members)
	return members, len(c.missing) == 0
}

// Proofs lists the members whose offset the code of some functions has in it, as
// Members does. The functions are those whose code the target has byte by byte, so that
// the target has these offsets too. Followed are pointers that come as arguments, and
// what is loaded through them, along code that can be reached in one way only. A member
// counts when an instruction uses its very offset, and no other member lies there.
func Proofs(m *model.Model, o *Object, shipped func(fn string) bool) []string {
	w := &prover{m: m, o: o, found: map[string]bool{}}
	for i := range m.Funcs {
		name := m.Funcs[i].Name
		// A clone has parameters of its own.
		if f := o.Func(name); f != nil && shipped(name) {
			w.function(model.FuncID(i), f)
		}
	}
	var out []string
	for name := range w.found {
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

// Registers of the arguments, and those that a call leaves to its callee (System V ABI
// for x86-64).
var (
	argRegs    = []x86asm.Reg{x86asm.RDI, x86asm.RSI, x86asm.RDX, x86asm.RCX, x86asm.R8, x86asm.R9}
	calleeKept = map[x86asm.Reg]bool{x86asm.RBX: true, x86asm.RBP: true, x86asm.RSP: true, x86asm.R12: true, x86asm.R13: true, x86asm.R14: true, x86asm.R15: true}
)

func (w *prover) function(id model.FuncID, f *Func) {
	var regs held
	for i, p := range f.Params {
		// What is not an integer or a pointer may shift the others.
		if i == len(argRegs) || !strings.HasPrefix(p, "*") && !slices.Contains([]string{"c1", "b1", "s2", "u2", "s4", "u4", "s8", "u8"}, p) && !strings.HasPrefix(p, "enum") {
			break
		}
		if name, ok := strings.CutPrefix(p, "*"); ok {
			regs[argRegs[i]-x86asm.RAX] = w.o.Type(name)
		}
	}
	blocks := w.m.Blocks(id)
	if len(blocks) == 0 {
		return
	}
	ways := make([]int, len(blocks)) // into each block
	for i := range blocks {
		for _, e := range w.m.Edges(&blocks[i]) {
			ways[e.To]++
		}
	}
	ways[0]++
	w.walk(id, blocks, ways, 0, regs)
}

// walk follows one block, then those that only it leads to.
func (w *prover) walk(id model.FuncID, blocks []model.Block, ways []int, at int32, regs held) {
	for at >= 0 && ways[at] == 1 {
		for in := range w.m.Instructions(&blocks[at]) {
			w.step(&in, &regs, w.m.Func(id).Addr)
		}
		ways[at] = 0 // once
		next := int32(-1)
		for _, e := range w.m.Edges(&blocks[at]) {
			if next >= 0 {
				w.walk(id, blocks, ways, next, regs)
			}
			next = e.To
		}
		at = next
	}
}

// step notes what one instruction touches and what it leaves in registers.
func (w *prover) step(in *model.Inst, regs *held, start uint64) {
	if !in.Known {
		*regs = held{}
		return
	}
	var loaded *Type
	for _, a := range in.Args {
		m, ok := a.(x86asm.Mem)
		if !ok || m.Segment != 0 {
			continue
		}
		if i, ok := full(m.Base); ok && regs[i] != nil {
			loaded = w.touch(regs[i], m.Disp)
		}
	}
	dst, isReg := in.Args[0].(x86asm.Reg)
	i, ok := full(dst)
	switch in.Op {
	case x86asm.CMP, x86asm.TEST, x86asm.PUSH, x86asm.NOP, x86asm.BT:
	case x86asm.CALL:
		if in.Addr <= start+4 {
			return // of __fentry__, which keeps all registers
		}
		for r := range regs {
			if !calleeKept[x86asm.RAX+x86asm.Reg(r)] {
				regs[r] = nil
			}
		}
	case x86asm.MOV:
		if !isReg {
			return
		}
		if !ok {
			*regs = held{}
			return
		}
		value := (*Type)(nil)
		if src, copied := in.Args[1].(x86asm.Reg); copied && dst >= x86asm.RAX && dst <= x86asm.R15 {
			if j, ok := full(src); ok {
				value = regs[j]
			}
		}
		if _, isLoad := in.Args[1].(x86asm.Mem); isLoad && dst >= x86asm.RAX && dst <= x86asm.R15 {
			value = loaded
		}
		regs[i] = value
	case x86asm.ADD, x86asm.SUB, x86asm.AND, x86asm.OR, x86asm.XOR, x86asm.LEA, x86asm.MOVZX, x86asm.MOVSX, x86asm.MOVSXD,
		x86asm.SHL, x86asm.SHR, x86asm.SAR, x86asm.INC, x86asm.DEC, x86asm.NOT, x86asm.NEG, x86asm.POP:
		if ok {
			regs[i] = nil
		} else if isReg {
			*regs = held{}
		}
	case x86asm.JMP, x86asm.JA, x86asm.JAE, x86asm.JB, x86asm.JBE, x86asm.JE, x86asm.JNE, x86asm.JG, x86asm.JGE, x86asm.JL, x86asm.JLE, x86asm.JS, x86asm.JNS:
	default:
		*regs = held{} // it may write more than its first operand
	}
}

// touch notes the member at an offset and returns what it points to.
func (w *prover) touch(t *Type, off int64) *Type {
	var at *Part
	for i := range t.Parts {
		p := &t.Parts[i]
		if p.Bit != off*8 || p.Bits > 0 {
			continue
		}
		if at != nil {
			return nil // a union
		}
		at = p
	}
	if at == nil {
		return nil
	}
	w.found[t.Name+"."+at.Name] = true
	if name, ok := strings.CutPrefix(at.Shape, "*"); ok {
		return w.o.Type(name)
	}
	return nil
}

// full is the number of the 64-bit register that a register is part of.
func full(r x86asm.Reg) (int, bool) {
	switch {
	case r >= x86asm.RAX && r <= x86asm.R15:
		return int(r - x86asm.RAX), true
	case r >= x86asm.EAX && r <= x86asm.R15L:
		return int(r - x86asm.EAX), true
	case r >= x86asm.AX && r <= x86asm.R15W:
		return int(r - x86asm.AX), true
	case r >= x86asm.AL && r <= x86asm.BL:
		return int(r - x86asm.AL), true
	case r >= x86asm.SPB && r <= x86asm.R15B:
		return int(r-x86asm.SPB) + 4, true
	}
	return 0, false
}
