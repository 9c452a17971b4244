package code

import (
	"strings"

	"github.com/klpforge/klpforge/analyze/machine"
	"github.com/klpforge/klpforge/analyze/model"
)

// Use is what a function does with a value, a result or an argument: a set, over all
// paths that could be followed.
type Use uint16

// Uses. A test counts for what follows it on a path: an address that was only tested
// for an error number is used UseErrorTested, not UseDereferenced.
const (
	UseTestedZero     Use = 1 << iota // compared with zero alone
	UseTestedSign                     // tested for being negative
	UseTestedPositive                 // tested for being greater than zero
	UseTested                         // otherwise compared or computed with
	UsePassedOn                       // stored, or given to a function that is not followed
	UseReturned                       // handed on as the function's own result, without a test that tells
	UseReturnedTested                 // the same, behind a test for zero or of its sign
	UseUnknown                        // could not be followed
	UseIgnored                        // lost without a look, on some path
	UseErrorTested                    // used as an address after a test for an error number alone
	UseZeroTested                     // used as an address after a test for zero alone
	UseDereferenced                   // used as an address without a test
	UseDivides                        // divided by, without a test
)

var useWords = []string{"tests it for zero", "tests its sign", "tests it for more than zero", "tests it", "passes it on",
	"returns it", "returns it after a test", "does what is not known", "ignores it",
	"tests it for an error number alone and uses it as an address", "tests it for zero alone and uses it as an address",
	"uses it as an address without a test", "divides by it without a test"}

func (u Use) String() string {
	if u == 0 {
		return "does nothing"
	}
	var out []string
	for bit := range useWords {
		if u&(1<<bit) != 0 {
			out = append(out, useWords[bit])
		}
	}
	return strings.Join(out, ", ")
}

// Has reports whether one of the uses wanted is among them.
func (u Use) Has(wanted Use) bool { return u&wanted != 0 }

// Ignores reports whether the value is lost without a look on every path.
func (u Use) Ignores() bool { return u == UseIgnored }

// Bounds of what is looked at for one value.
const (
	maxFollowed = 1500 // instructions of one function
	maxDeep     = 2    // functions that an argument is followed into, one below the other
)

// Follower says what functions do with values. It remembers what it found, and is not safe
// for concurrent use.
type Follower struct {
	// Elsewhere finds the code of a function that a model only declares, nil when there is
	// none; may be nil itself.
	Elsewhere func(name string) (*model.Model, model.FuncID)

	arguments map[argument]Use
}

// argument is one of a function, followed so many functions deep.
type argument struct {
	m    *model.Model
	id   model.FuncID
	reg  machine.Num
	deep int
}

// ResultUse follows the result of one call through registers, one place of the frame, and
// into the functions that it is given to. What cannot be followed is UseUnknown.
func (f *Follower) ResultUse(m *model.Model, call *model.Call) Use {
	if call.Kind.IsTail() {
		return UseReturned
	}
	w := f.walk(m, call.Caller, maxDeep)
	for k := range w.blocks {
		if w.blocks[k].Start <= call.Site && call.Site <= w.blocks[k].Last {
			w.walk(useState{block: k, holds: 1 << machine.RAX}, call.Site+1)
			return w.found
		}
	}
	return UseUnknown
}

// argument follows an argument through a function.
func (f *Follower) argument(arg argument) Use {
	if known, ok := f.arguments[arg]; ok {
		return known
	}
	if f.arguments == nil {
		f.arguments = map[argument]Use{}
	}
	f.arguments[arg] = 0 // for recursion
	w := f.walk(arg.m, arg.id, arg.deep)
	if len(w.blocks) == 0 || arg.m.Func(arg.id).Unknown() {
		w.found = UseUnknown
	} else {
		w.walk(useState{holds: 1 << arg.reg}, 0)
	}
	f.arguments[arg] = w.found
	return w.found
}

func (f *Follower) walk(m *model.Model, id model.FuncID, deep int) *useWalk {
	return &useWalk{follower: f, m: m, caller: id, blocks: m.Blocks(id), deep: deep, seen: map[useState]bool{}}
}

// useState is what is known at one place of a path.
type useState struct {
	block   int
	holds   uint16 // registers with the value
	slot    int64  // place of the frame that has it too, from the stack pointer
	spilled bool
	tested  tests
	pending bool // flags are those of a comparison of it with zero
	again   bool // it had been compared with zero before that
	used    bool // something was done with it on the path
}

// tests are those that a path has behind it.
type tests uint8

const (
	testedError tests = 1 << iota // it was compared with the error numbers
	testedZero
	testedOther // in a way that tells negative or positive numbers apart
)

// maxMember is how far from an address its members lie, in bytes; beyond, the displacement
// is the address of a table.
const maxMember = 1 << 20

// lowestError is what IS_ERR compares with: addresses above it are error numbers
// (IS_ERR_VALUE, include/linux/err.h, v6.1).
const lowestError = -4096

// useWalk follows one value through one function.
type useWalk struct {
	follower *Follower
	m        *model.Model
	caller   model.FuncID
	blocks   []model.Block
	deep     int // functions that an argument may still be followed into
	seen     map[useState]bool
	count    int
	found    Use
}

// walk looks from the address on. Paths that meet an earlier one add nothing.
func (w *useWalk) walk(state useState, from uint64) {
	block := &w.blocks[state.block]
	for in := range w.m.Instructions(block) {
		if in.Addr < from {
			continue
		}
		effects := in.Effects()
		if w.count++; w.count > maxFollowed || effects.Unknown {
			w.lost(&state)
			return
		}
		if w.step(&state, &in, &effects) {
			return
		}
	}
	switch block.Term {
	case model.TermReturn:
		w.returned(&state)
	case model.TermTail:
		w.tail(block, &state)
	case model.TermIndirect, model.TermUnknown, model.TermCondTail:
		w.lost(&state)
	case model.TermNoReturn:
		w.found |= UseTested // dies on this path: nothing depends on the value
	default:
		for _, e := range w.m.Edges(block) {
			next := state
			next.block = int(e.To)
			if !w.seen[next] {
				w.seen[next] = true
				w.walk(next, 0)
			}
		}
	}
}

// lost ends a path that cannot be followed: that is unknown, unless something was done
// with the value before.
func (w *useWalk) lost(state *useState) {
	if state.tested == 0 && !state.used {
		w.found |= UseUnknown
	}
}

// dropped ends a path on which nothing has the value any more.
func (w *useWalk) dropped(state *useState) {
	if state.tested == 0 && !state.used {
		w.found |= UseIgnored
	}
}

func (w *useWalk) returned(state *useState) {
	switch {
	case state.holds&(1<<machine.RAX) == 0:
		w.dropped(state)
	case state.tested != 0:
		w.found |= UseReturnedTested
	default:
		w.found |= UseReturned
	}
}

// tail judges a jump to another function: registers of arguments go on, all others are
// dead.
func (w *useWalk) tail(block *model.Block, state *useState) {
	id := w.target(block.Last)
	switch {
	case id == model.NoFunc:
		w.lost(state)
	case convention.Callee(w.m.Func(id).Name).Kind == machine.CalleeReturn:
		w.returned(state)
	case !w.given(state, id):
		w.dropped(state)
	}
}

// target is what the instruction at an address calls or jumps to outside of the function.
func (w *useWalk) target(site uint64) model.FuncID {
	calls := w.m.Calls(w.caller)
	for i := range calls {
		if calls[i].Site == site && calls[i].Target != model.NoFunc {
			return calls[i].Target
		}
	}
	return model.NoFunc
}

// given notes what a function does with the registers of arguments that have the value,
// and reports whether there are any. In one that the function has no parameter for, the
// value only lingers, and is overwritten there.
func (w *useWalk) given(state *useState, id model.FuncID) bool {
	some := false
	for _, reg := range convention.Args {
		if state.holds&(1<<reg) == 0 {
			continue
		}
		some = true
		use := w.argument(id, reg)
		if use.Has(UseDereferenced) {
			w.address(state.tested)
		}
		if use.Has(UseErrorTested) {
			w.address(state.tested | testedError)
		}
		if use.Has(UseZeroTested) {
			w.address(state.tested | testedZero)
		}
		if use.Has(UseDivides) && state.tested == 0 {
			w.found |= UseDivides
		}
		w.found |= UsePassedOn
		state.used = true
	}
	return some
}

// argument says what a function does with an argument, 0 where that is not looked at.
func (w *useWalk) argument(id model.FuncID, reg machine.Num) Use {
	if w.deep == 0 || id == model.NoFunc {
		return 0
	}
	m := w.m
	if fn := m.Func(id); fn.Flags&model.FuncExtern != 0 || len(m.Blocks(id)) == 0 {
		if w.follower.Elsewhere == nil {
			return 0
		}
		if m, id = w.follower.Elsewhere(fn.Name); m == nil {
			return 0
		}
	}
	return w.follower.argument(argument{m, id, reg, w.deep - 1})
}

// address notes that the value is used as an address behind some tests.
func (w *useWalk) address(tested tests) {
	switch tested {
	case 0:
		w.found |= UseDereferenced
	case testedError:
		w.found |= UseErrorTested
	case testedZero:
		w.found |= UseZeroTested
	}
}

// step follows one instruction; done says that nothing more can come of this path.
func (w *useWalk) step(s *useState, in *machine.Inst, effects *machine.Effects) (done bool) {
	has := func(n machine.Num) bool { return n >= 0 && s.holds&(1<<n) != 0 }
	if s.pending && effects.FlagsRead != 0 {
		w.condition(s, in)
	}
	for i := range in.Args {
		a := &in.Args[i]
		if a.Kind != machine.KindMem || in.Op == machine.Address || in.Hint() {
			continue
		}
		switch {
		case has(a.Mem.Base) && (a.Mem.Disp < -maxMember || a.Mem.Disp > maxMember) || has(a.Mem.Index):
			w.found |= UsePassedOn // an index into a table
			return true
		case has(a.Mem.Base):
			w.address(s.tested)
			return true
		}
	}
	if in.Op == machine.Call {
		return w.call(s, w.target(in.Addr))
	}
	if handled, over := w.named(s, in, effects); handled {
		return over
	}
	// What is overwritten without being read is gone; a part of it is not all.
	// One that goes into its own new value is another one then.
	s.holds &^= uint16(effects.Replaced() | effects.Reads&effects.Writes)
	s.frame(in, effects)
	s.pending = s.pending && effects.FlagsWritten == 0
	return w.over(s)
}

// call follows a call; the function is NoFunc where that is not known.
func (w *useWalk) call(s *useState, id model.FuncID) (done bool) {
	changed := convention.Scratch
	switch {
	case id != model.NoFunc:
		// A hook of the tracer, and what keeps its caller's registers, take no arguments.
		if changed = convention.Callee(w.m.Func(id).Name).Changed; changed == convention.Scratch {
			w.given(s, id)
		}
	case machine.RegSet(s.holds)&machine.Regs(convention.Args...) != 0:
		w.pass(s) // perhaps: it may only linger in the register
	}
	s.holds &^= uint16(changed)
	s.pending = false
	return w.over(s)
}

// named follows an instruction whose operands have the value, but for calls and addresses.
// What is left to the caller is what it overwrites.
func (w *useWalk) named(s *useState, in *machine.Inst, effects *machine.Effects) (handled, done bool) {
	has := func(n machine.Num) bool { return n >= 0 && s.holds&(1<<n) != 0 }
	dst, size, dstReg := general(in, 0)
	src, srcSize, srcReg := general(in, 1)
	fromSrc := srcReg && has(src) && srcSize >= 4
	switch {
	case in.Op == machine.Compare || in.Op == machine.Test:
		return w.compared(s, in)
	case in.Op == machine.Divide && (dstReg && has(dst) || s.inSlot(&in.Args[0])):
		if s.tested == 0 {
			w.found |= UseDivides
		}
		return true, true
	case (in.Op == machine.Move || in.Op == machine.MoveSign) && dstReg && size >= 4 &&
		(fromSrc || s.inSlot(&in.Args[1])):
		s.holds |= 1 << dst
		return true, false
	case in.Op == machine.Move && fromSrc && in.Args[0].Kind == machine.KindMem && onStack(in.Args[0].Mem):
		s.slot, s.spilled = in.Args[0].Mem.Disp, true
		return true, false
	case (in.Op == machine.WidenHalf || in.Op == machine.WidenPair) && has(machine.RAX):
		return true, false // the same number, wider
	case in.Op == machine.Address && in.Args[1].Mem.Disp == -1 && has(in.Args[1].Mem.Base):
		s.tested |= testedError | testedZero // IS_ERR_OR_NULL begins so
	case in.Op == machine.Address:
		// A member's address, from a result that is an address: not looked at yet.
	case dstReg && has(dst) && effects.Reads.Has(dst) && effects.Writes.Has(dst):
		w.found |= UseTested // and, shift, neg: their flags and value are looked at
		return true, true
	case effects.Reads&machine.RegSet(s.holds) != 0:
		w.pass(s) // stored, computed with, or an operand that is not named
	}
	return false, false
}

// pass notes that the value goes elsewhere, and may still be here.
func (w *useWalk) pass(s *useState) {
	w.found |= UsePassedOn
	s.used = true
}

// over ends a path when the value is nowhere any more.
func (w *useWalk) over(s *useState) bool {
	// A comparison of it may still be told by the flags: "return f() ? -EINVAL : count" is test, mov, cmov.
	if s.holds != 0 || s.spilled || s.pending {
		return false
	}
	w.dropped(s)
	return true
}

// compared follows a comparison: with zero what it means shows by the condition behind it.
func (w *useWalk) compared(s *useState, in *machine.Inst) (handled, done bool) {
	operand := func(i int) bool {
		n, _, ok := general(in, i)
		return ok && s.holds&(1<<n) != 0 || s.inSlot(&in.Args[i])
	}
	second := &in.Args[1]
	isImm := second.Kind == machine.KindImm
	one, two, same := general2(in)
	switch {
	case !operand(0) && !operand(1):
		return false, false
	case in.Op == machine.Compare && in.Args[0].Width() == 8 && isImm && second.Imm == lowestError:
		s.tested |= testedError
		s.pending = false
		return true, false
	case in.Op == machine.Compare && isImm && second.Imm == 0, in.Op == machine.Test && same && one == two:
		s.pending, s.again = true, s.tested&testedZero != 0
		return true, false
	}
	w.found |= UseTested
	return true, true
}

// general2 are the numbers of two operands that are general registers.
func general2(in *machine.Inst) (one, two machine.Num, ok bool) {
	one, _, first := general(in, 0)
	two, _, second := general(in, 1)
	return one, two, first && second
}

// condition notes what a comparison with zero was made for.
func (w *useWalk) condition(s *useState, in *machine.Inst) {
	switch in.Op {
	case machine.JumpIf, machine.SetIf, machine.MoveIf:
		switch in.Cond {
		case machine.CondE, machine.CondNE:
			w.found |= UseTestedZero
			s.tested |= testedZero
			return
		case machine.CondS, machine.CondNS, machine.CondL, machine.CondGE:
			w.found |= UseTestedSign
			s.tested |= testedOther
			return
		case machine.CondG, machine.CondLE:
			if s.tested |= testedOther; s.again {
				break // what is left behind a test for zero is something else by then, as a count
			}
			w.found |= UseTestedPositive
			return
		}
	}
	w.found |= UseTested
	s.tested |= testedOther
}

// onStack reports whether an operand is at a fixed distance from the stack pointer.
func onStack(mem machine.Mem) bool {
	return mem.Base == machine.RSP && mem.Index == machine.NoReg && mem.Seg == machine.SegNone
}

// inSlot reports whether an operand is the place of the frame that has the value.
func (s *useState) inSlot(operand *machine.Operand) bool {
	return s.spilled && operand.Kind == machine.KindMem && onStack(operand.Mem) && operand.Mem.Disp == s.slot
}

// frame forgets the place of the frame where it may be overwritten, its address is taken,
// or the stack pointer moves.
func (s *useState) frame(in *machine.Inst, effects *machine.Effects) {
	if !s.spilled {
		return
	}
	lose := effects.Stack != machine.StackSame
	for i := range in.Args {
		operand := &in.Args[i]
		if operand.Kind == machine.KindMem && onStack(operand.Mem) && (in.Op == machine.Address || in.Writes(i)) {
			distance := operand.Mem.Disp - s.slot
			lose = lose || distance > -max(int64(operand.Mem.Width), 8) && distance < 8
		}
	}
	if lose {
		s.slot, s.spilled = 0, false
	}
}
