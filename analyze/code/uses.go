package code

import (
	"github.com/klpforge/klpforge/analyze/machine"
	"github.com/klpforge/klpforge/analyze/model"
)

// Use says what a caller does with a result.
type Use uint8

// Uses, from harmless to harmful. Of several paths the most harmful counts.
const (
	UseTested       Use = iota // compared or tested before anything else
	UsePassedOn                // returned, stored or given to another function
	UseUnknown                 // could not be followed
	UseIgnored                 // overwritten without a look, on every path
	UseErrorTested             // used as an address after a test for an error number alone
	UseDereferenced            // used as an address without a test
)

func (u Use) String() string {
	return [...]string{"tests the result", "passes the result on", "use of the result is not known",
		"ignores the result", "tests the result for an error number alone and uses it as an address", "uses the result as an address without a test"}[u]
}

// maxFollowed bounds the instructions looked at behind one call.
const maxFollowed = 600

// ResultUse follows the result of one call through registers until something
// is done with it. The bound and everything in memory give UseUnknown.
func (o *Object) ResultUse(call *model.Call) Use {
	if call.Kind.IsTail() {
		return UsePassedOn
	}
	blocks := o.Model.Blocks(call.Caller)
	w := &useWalk{o: o, caller: call.Caller, blocks: blocks, seen: map[useState]bool{}}
	for k := range blocks {
		if blocks[k].Start <= call.Site && call.Site <= blocks[k].Last {
			return w.walk(useState{block: k, holds: 1 << machine.RAX}, call.Site+1)
		}
	}
	return UseUnknown
}

// ResultUse is Object.ResultUse for a program that is no object file.
func ResultUse(m *model.Model, call *model.Call) Use { return (&Object{Model: m}).ResultUse(call) }

type useState struct {
	block int
	holds uint16 // registers with the result
	valid bool   // it was compared with the error numbers
}

// maxMember is how far from an address its members lie, in bytes; beyond, the displacement
// is the address of a table.
const maxMember = 1 << 20

// lowestError is what IS_ERR compares with: addresses above it are error numbers
// (IS_ERR_VALUE, include/linux/err.h, v6.1).
const lowestError = -4096

type useWalk struct {
	o      *Object
	caller model.FuncID
	blocks []model.Block
	seen   map[useState]bool
	count  int
}

// walk looks from the address on. Paths that meet an earlier one add nothing.
func (w *useWalk) walk(state useState, from uint64) Use {
	block := &w.blocks[state.block]
	for in := range w.o.Model.Instructions(block) {
		if in.Addr < from {
			continue
		}
		e := in.Effects()
		if w.count++; w.count > maxFollowed || e.Unknown {
			return UseUnknown
		}
		if use, done := state.step(&in, &e); done {
			return use
		}
	}
	switch block.Term {
	case model.TermReturn:
		if state.holds&(1<<machine.RAX) != 0 {
			return UsePassedOn
		}
		return UseIgnored
	case model.TermTail:
		return w.tail(block, state.holds)
	case model.TermIndirect, model.TermUnknown, model.TermCondTail:
		return UseUnknown
	case model.TermNoReturn:
		return UseTested // dies on this path: nothing depends on the result
	}
	all, some := UseUnknown, false
	for _, e := range w.o.Model.Edges(block) {
		next := useState{int(e.To), state.holds, state.valid}
		if w.seen[next] {
			continue
		}
		w.seen[next] = true
		use := w.walk(next, 0)
		switch {
		case use >= UseErrorTested:
			return use
		case !some:
			all, some = use, true
		case all != use:
			// Ignored on some paths and used on others: a person's case.
			all = mix(all, use)
		}
	}
	return all
}

// tail judges a jump to another function: registers of arguments go on, all
// others are dead.
func (w *useWalk) tail(b *model.Block, holds uint16) Use {
	name := w.o.tailName(w.caller, b.Last)
	switch {
	case convention.Callee(name).Kind == machine.CalleeReturn:
		if holds&(1<<machine.RAX) != 0 {
			return UsePassedOn
		}
		return UseIgnored
	case name == "":
		return UseUnknown
	}
	for _, r := range convention.Args {
		if holds&(1<<r) != 0 {
			return UsePassedOn
		}
	}
	return UseIgnored
}

func mix(a, b Use) Use {
	if a == UseIgnored || b == UseIgnored || a == UseUnknown || b == UseUnknown {
		return UseUnknown
	}
	return max(a, b)
}

// step follows one instruction; done says that the use is decided.
func (s *useState) step(in *machine.Inst, effects *machine.Effects) (use Use, done bool) {
	has := func(n machine.Num) bool { return n >= 0 && s.holds&(1<<n) != 0 }
	for i := range in.Args {
		if a := &in.Args[i]; a.Kind == machine.KindMem && in.Op != machine.Address && !in.Hint() {
			if has(a.Mem.Base) && (a.Mem.Disp < -maxMember || a.Mem.Disp > maxMember) {
				return UsePassedOn, true // an index into a table
			}
			if has(a.Mem.Base) && s.valid {
				return UseErrorTested, true
			}
			if has(a.Mem.Base) {
				return UseDereferenced, true
			}
			if has(a.Mem.Index) {
				return UsePassedOn, true
			}
		}
	}
	dst, size, dstReg := general(in, 0)
	src, srcSize, srcReg := general(in, 1)
	switch {
	case in.Op == machine.Call:
		for _, r := range convention.Args {
			if has(r) {
				return UsePassedOn, true // perhaps: it may only linger in the register
			}
		}
		s.holds &^= uint16(convention.Scratch)
		return UseIgnored, s.holds == 0
	case in.Op == machine.Compare && dstReg && has(dst) && size == 8 && in.Args[1].Kind == machine.KindImm &&
		in.Args[1].Imm == lowestError:
		s.valid = true
		return 0, false
	case in.Op == machine.Compare || in.Op == machine.Test:
		return UseTested, dstReg && has(dst) || srcReg && has(src)
	case (in.Op == machine.Move || in.Op == machine.MoveSign) && dstReg && srcReg && has(src) && size >= 4 &&
		srcSize >= 4:
		s.holds |= 1 << dst
		return 0, false
	case srcReg && has(src) && effects.Reads.Has(src):
		return UsePassedOn, true // stored, or computed with
	case in.Op == machine.Address:
		// A member's address, from a result that is an address: not looked at yet.
	case dstReg && has(dst) && effects.Reads.Has(dst) && effects.Writes.Has(dst):
		return UseTested, true // and, shift, neg: their flags and value are looked at
	case effects.Reads&machine.RegSet(s.holds) != 0:
		return UsePassedOn, true // pushed, or an operand that is not named
	}
	// What is overwritten without being read is gone; a part of it is not all.
	s.holds &^= uint16(effects.Replaced())
	return UseIgnored, s.holds == 0
}
