package code

import (
	"slices"

	"github.com/klpforge/klpforge/analyze/flow"
	"github.com/klpforge/klpforge/analyze/machine"
	"github.com/klpforge/klpforge/analyze/model"
)

// Returns are the values that a function returns.
type Returns struct {
	Const []int64 // constants that some path returns, sorted
	// Other says that it also returns values that are not constants, or that
	// could not be followed.
	Other bool
	// From names the functions whose result it passes on by a tail call.
	From []string
}

// Has reports whether v is among the constants.
func (r Returns) Has(v int64) bool { return slices.Contains(r.Const, v) }

// maxValues bounds the constants that a register is followed with.
const maxValues = 32

// values are what a register may hold: the constants, and anything if top.
type values struct {
	consts []int64 // sorted
	top    bool
	// from is the address of the instruction that made a value which is not known: registers
	// with the same hold the same. 0 when they need not.
	from uint64
	// flag says that the lowest byte is 0 or 1, whatever the rest.
	flag bool
}

func (v values) with(w values) values {
	out := values{top: v.top || w.top, consts: slices.Clone(v.consts), flag: v.flag && w.flag}
	if v.from == w.from {
		out.from = v.from
	}
	for _, c := range w.consts {
		if i, ok := slices.BinarySearch(out.consts, c); !ok {
			out.consts = slices.Insert(out.consts, i, c)
		}
	}
	if len(out.consts) > maxValues {
		return values{top: true}
	}
	return out
}

func (v values) equal(w values) bool {
	return v.top == w.top && v.from == w.from && v.flag == w.flag && slices.Equal(v.consts, w.consts)
}

// within reports whether all that the register may hold is known and from 0 to most.
func (v values) within(most int64) bool {
	return !v.top && len(v.consts) > 0 && v.consts[0] >= 0 && v.consts[len(v.consts)-1] <= most
}

type regs [nregs]values

var anything = values{top: true}

// ReturnsOf is Object.Returns for a program that is no object file.
func ReturnsOf(m *model.Model, id model.FuncID) Returns { return (&Object{Model: m}).Returns(id) }

// Returns follows constants through the registers of a function, along all
// paths, to where it returns. Values that pass through memory are not followed
// and count as Other. Of conditions only comparisons for equality with a constant are
// evaluated, for what they say on the path where it is equal.
func (o *Object) Returns(id model.FuncID) Returns {
	f := o.Model.Func(id)
	blocks := o.Model.Blocks(id)
	out := Returns{Other: f.Unknown() || f.Flags&model.FuncExtern != 0}
	if len(blocks) == 0 {
		out.Other = true
		return out
	}

	// On entry RAX, as every register, may hold anything; what holds behind each block is kept
	// for its end.
	entry := regs{}
	for i := range entry {
		entry[i] = anything
	}
	behind := make([]regs, len(blocks))
	solved := flow.Forward(o.Model, blocks, flow.Problem[regs]{
		Entry: entry,
		Join:  (*regs).join,
		Transfer: func(s *regs, k int) {
			for x := range o.Model.Instructions(&blocks[k]) {
				s.step(&x)
			}
			behind[k] = *s
		},
		Edge: func(s *regs, k int, e model.Edge) bool {
			o.assume(s, &blocks[k], blocks[int(e.To)].Start)
			return true
		},
	})
	out.Other = out.Other || !solved.Complete

	var result values
	for block := range blocks {
		if !solved.Reached[block] {
			continue
		}
		state := behind[block]
		switch blocks[block].Term {
		case model.TermReturn:
			result = result.with(state[machine.RAX])
		case model.TermTail, model.TermCondTail, model.TermIndirect, model.TermUnknown:
			name := o.tailName(id, blocks[block].Last)
			switch {
			case convention.Callee(name).Kind == machine.CalleeReturn:
				result = result.with(state[machine.RAX])
			case name != "":
				out.From = append(out.From, name)
				out.Other = true
			default:
				out.Other = true
			}
		}
	}
	out.Const = result.consts
	out.Other = out.Other || result.top
	slices.Sort(out.From)
	out.From = slices.Compact(out.From)
	return out
}

// tailName names what a block's last instruction jumps to outside of the
// function, "" when that is not known.
func (o *Object) tailName(id model.FuncID, site uint64) string {
	calls := o.Model.Calls(id)
	for i := range calls {
		if calls[i].Site == site && calls[i].Target != model.NoFunc {
			return o.Model.Func(calls[i].Target).Name
		}
	}
	return ""
}

// join adds what the registers may hold on another path.
func (s *regs) join(from regs, _ int) (changed bool) {
	for r := range s {
		if m := s[r].with(from[r]); !m.equal(s[r]) {
			s[r], changed = m, true
		}
	}
	return changed
}

// assume notes what taking the edge to an address says of registers: the constant that they
// were found equal to.
func (o *Object) assume(s *regs, block *model.Block, to uint64) {
	reg, imm, jump := machine.NoReg, int64(0), machine.Inst{}
	for in := range o.Model.Instructions(block) {
		if in.Op == machine.JumpIf {
			jump = in
			continue
		}
		n, size, ok := general(&in, 0)
		other, _, isReg := general(&in, 1)
		effects := in.Effects()
		switch {
		case in.Op == machine.Test && ok && isReg && other == n && size >= 4:
			reg, imm = n, 0
		case in.Op == machine.Compare && ok && size >= 4 && in.Args[1].Kind == machine.KindImm:
			reg, imm = n, in.Args[1].Imm
		case reg != machine.NoReg && (effects.FlagsWritten != 0 || effects.Writes.Has(reg)), in.Op == machine.Call:
			reg = machine.NoReg
		}
	}
	target, ok := jump.Target()
	if reg == machine.NoReg || !ok || target == jump.Addr+uint64(jump.Len) {
		return
	}
	equal := jump.Cond == machine.CondE && to == target || jump.Cond == machine.CondNE && to != target
	if !equal {
		return
	}
	same := s[reg].from
	for n := range s {
		if machine.Num(n) == reg || same != 0 && s[n].from == same {
			s[n] = values{consts: []int64{imm}}
		}
	}
}

// step follows one instruction.
func (s *regs) step(in *machine.Inst) {
	e := in.Effects()
	changed := e.Writes
	if in.Op == machine.Call {
		changed |= convention.Scratch
	}
	n, v, ok := s.result(in)
	// What the instruction made before, in a loop, is another value.
	for r := range s {
		if s[r].from == in.Addr {
			s[r].from = 0
		}
	}
	for r := range changed.All {
		s[r] = anything
	}
	if dst, size, isReg := general(in, 0); isReg && size >= 4 && in.Op == machine.Move && !ok {
		s[dst].from = in.Addr // loaded
	}
	if in.Op == machine.Call {
		s[machine.RAX].from = in.Addr
	}
	if ok {
		s[n] = v
	}
}

// result is what an instruction that constants can be followed through leaves
// in its destination.
func (s *regs) result(in *machine.Inst) (dst machine.Num, vals values, ok bool) {
	dst, size, isReg := general(in, 0)
	if isReg && in.Op == machine.SetIf && !in.Args[0].Reg.High {
		if s[dst].within(0xff) {
			return dst, values{consts: []int64{0, 1}}, true
		}
		return dst, values{top: true, flag: true}, true
	}
	if !isReg || size < 4 {
		return 0, vals, false
	}
	from, fromSize, fromReg := general(in, 1)
	imm := &in.Args[1]
	isImm := imm.Kind == machine.KindImm
	switch {
	case in.Op == machine.Move && isImm && size == 4:
		return dst, values{consts: []int64{int64(int32(imm.Imm))}}, true
	case in.Op == machine.Move && isImm:
		return dst, values{consts: []int64{imm.Imm}}, true
	case (in.Op == machine.Move || in.Op == machine.MoveSign) && fromReg && fromSize >= 4:
		return dst, s[from], true
	case in.Op == machine.MoveZero && fromReg && fromSize == 1 && !imm.Reg.High && s[from].within(0xff):
		return dst, s[from], true
	case in.Op == machine.MoveZero && fromReg && fromSize == 1 && !imm.Reg.High && s[from].flag:
		return dst, values{consts: []int64{0, 1}}, true
	case in.Op == machine.Xor && fromReg && from == dst:
		return dst, values{consts: []int64{0}}, true
	case in.Op == machine.And && isImm && imm.Imm == 1:
		return dst, values{consts: []int64{0, 1}}, true
	case in.Op == machine.Or && isImm && imm.Imm == -1:
		return dst, values{consts: []int64{-1}}, true
	case in.Op == machine.MoveIf && fromReg:
		return dst, s[dst].with(s[from]), true
	}
	return 0, vals, false
}
