package code

import (
	"slices"
	"strings"

	"golang.org/x/arch/x86/x86asm"

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
}

func (v values) with(w values) values {
	out := values{top: v.top || w.top, consts: slices.Clone(v.consts)}
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

func (v values) equal(w values) bool { return v.top == w.top && slices.Equal(v.consts, w.consts) }

type regs [nregs]values

var anything = values{top: true}

// Returns follows constants through the registers of a function, along all
// paths, to where it returns. Values that pass through memory are not followed
// and count as Other. Conditions are not evaluated.
func (o *Object) Returns(id model.FuncID) Returns {
	f := o.Model.Func(id)
	blocks := o.Model.Blocks(id)
	out := Returns{Other: f.Unknown() || f.Flags&model.FuncExtern != 0}
	if len(blocks) == 0 {
		out.Other = true
		return out
	}
	in := make([]*regs, len(blocks))
	in[0] = &regs{}
	for i := range in[0] {
		in[0][i] = anything
	}
	var result values
	work := []int{0}
	for len(work) > 0 {
		k := work[0]
		work = work[1:]
		s := *in[k]
		for x := range o.Model.Instructions(&blocks[k]) {
			s.step(&x)
		}
		switch blocks[k].Term {
		case model.TermReturn:
			result = result.with(s[rax])
		case model.TermTail, model.TermCondTail, model.TermIndirect, model.TermUnknown:
			name := o.tailName(id, blocks[k].Last)
			switch {
			case strings.Contains(name, "return_thunk"):
				result = result.with(s[rax])
			case name != "":
				out.From = append(out.From, name)
				out.Other = true
			default:
				out.Other = true
			}
		}
		for _, e := range o.Model.Edges(&blocks[k]) {
			to := int(e.To)
			if in[to] == nil {
				c := s
				in[to] = &c
				work = append(work, to)
				continue
			}
			merged, changed := *in[to], false
			for r := range merged {
				if m := merged[r].with(s[r]); !m.equal(merged[r]) {
					merged[r], changed = m, true
				}
			}
			if changed {
				in[to] = &merged
				work = append(work, to)
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

// step follows one instruction.
func (s *regs) step(in *model.Inst) {
	if !in.Known {
		for i := range s {
			s[i] = anything
		}
		return
	}
	op := in.Op
	if op == x86asm.CALL {
		for _, r := range scratch {
			s[r] = anything
		}
		return
	}
	for _, r := range implicit(op) {
		s[r] = anything
	}
	if op == x86asm.XCHG || op == x86asm.XADD {
		if n, _, ok := regArg(in.Args[1]); ok {
			s[n] = anything
		}
	}
	n, size, ok := regArg(in.Args[0])
	if !ok || readsOnly[op] {
		return
	}
	v := anything
	m, msize, isReg := regArg(in.Args[1])
	imm, isImm := in.Args[1].(x86asm.Imm)
	switch {
	case size < 4:
	case op == x86asm.MOV && isImm && size == 4:
		v = values{consts: []int64{int64(int32(imm))}}
	case op == x86asm.MOV && isImm:
		v = values{consts: []int64{int64(imm)}}
	case (op == x86asm.MOV || op == x86asm.MOVSXD) && isReg && msize >= 4:
		v = s[m]
	case op == x86asm.XOR && isReg && m == n:
		v = values{consts: []int64{0}}
	case op == x86asm.OR && isImm && int64(imm) == -1:
		v = values{consts: []int64{-1}}
	case strings.HasPrefix(op.String(), "CMOV") && isReg:
		v = s[n].with(s[m])
	case strings.HasPrefix(op.String(), "CMOV"):
		v = s[n].with(anything)
	}
	s[n] = v
}
