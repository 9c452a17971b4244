package model

// FuncID indexes Model.Funcs. NoFunc stands for none.
type FuncID int32

// NoFunc is the absence of a function.
const NoFunc FuncID = -1

// Range is a range of addresses.
type Range struct{ Start, End uint64 }

// Contains reports whether a lies in the range.
func (r Range) Contains(a uint64) bool { return a >= r.Start && a < r.End }

// FuncFlags are facts about one function.
type FuncFlags uint16

const (
	// FuncUnknown: bytes that do not decode, or an indirect jump within the
	// function that nothing resolves; its control flow is not complete.
	FuncUnknown FuncFlags = 1 << iota
	// FuncNoReturn: no path returns, by its own code or by its name.
	FuncNoReturn
	// FuncEndless: does not return because it loops for ever, not because it
	// ends in BUG or in a call that does not return.
	FuncEndless
	// FuncExtern: the program does not hold its code.
	FuncExtern
	// FuncTrampoline: a static call's trampoline (__SCT__*).
	FuncTrampoline
	// FuncThunk: a retpoline or return thunk.
	FuncThunk
	// FuncCold: a .cold part that no parent was found for.
	FuncCold
	// FuncContext: its own instructions change the interrupt flag or the
	// per-CPU preempt count.
	FuncContext
	// FuncIndirect: makes indirect calls or jumps.
	FuncIndirect
)

// Func is one function. Its control flow covers its .cold part and code that
// the kernel keeps out of line for it (.altinstr_aux, .fixup).
type Func struct {
	Name       string
	Addr, End  uint64  // the main range; End is where the next symbol begins, so padding may be included
	Parts      []Range // out-of-line ranges, by address
	Aliases    []string
	Flags      FuncFlags
	block, nbl int32 // its blocks in Model.blocks
	call, ncl  int32 // its calls in Model.calls
}

// Unknown reports whether the function's control flow is incomplete.
func (f *Func) Unknown() bool { return f.Flags&FuncUnknown != 0 }

// Contains reports whether an address belongs to the function.
func (f *Func) Contains(a uint64) bool {
	if a >= f.Addr && a < f.End {
		return true
	}
	for _, part := range f.Parts {
		if part.Contains(a) {
			return true
		}
	}
	return false
}

// Term is how a basic block ends.
type Term uint8

const (
	TermFall     Term = iota // into the next block, nothing else
	TermJump                 // direct jump
	TermCond                 // conditional jump: taken and fall-through edge
	TermReturn               // returns to the caller
	TermTail                 // jumps to another function (Call of the same site)
	TermCondTail             // conditionally jumps to another function, else falls through
	TermIndirect             // indirect jump out of the function, or to edges of kind EdgeIndirect
	TermNoReturn             // BUG, or a call that does not return
	TermUnknown              // cannot be followed
)

func (t Term) String() string {
	return [...]string{"fall", "jump", "cond", "return", "tail", "condtail", "indirect", "noreturn", "unknown"}[t]
}

// EdgeKind says why control may pass along an edge.
type EdgeKind uint8

const (
	EdgeFall     EdgeKind = iota
	EdgeJump              // direct jump, or taken conditional jump
	EdgeLabel             // jump label: a nop or jump that is patched at run time
	EdgeExcept            // the block's last instruction faulted (exception table)
	EdgeAlt               // an alternative's replacement jumps
	EdgeIndirect          // a computed jump within the function
)

// Edge leads to another block of the same function.
type Edge struct {
	To   int32 // index into the function's blocks
	Kind EdgeKind
}

// Block is a basic block: instructions from Start to End, executed in order.
// Calls do not end a block unless they do not return.
type Block struct {
	Start, End uint64
	// Last is the address of the last instruction.
	Last uint64
	Term Term
	edge int32
	nedg uint8
}

// CallKind says how a function is called.
type CallKind uint8

const (
	CallDirect    CallKind = iota
	CallTail               // direct jump to a function
	CallIndirect           // through a register or memory
	CallTailInd            // indirect jump out of the function
	CallStatic             // call of a static call's trampoline; Target is what it is built to lead to
	CallStaticEnd          // jump to a static call's trampoline
	CallParavirt           // through pv_ops; Target is what the image stores there
	CallAlt                // an alternative's replacement calls
)

func (k CallKind) String() string {
	return [...]string{"direct", "tail", "indirect", "tail-indirect", "static", "static-tail", "paravirt",
		"alternative"}[k]
}

// IsTail reports whether the caller's frame is gone when the callee runs.
func (k CallKind) IsTail() bool { return k == CallTail || k == CallTailInd || k == CallStaticEnd }

// Call is one call site.
type Call struct {
	Site   uint64
	Caller FuncID
	Target FuncID // NoFunc when it cannot be followed
	// Via is the trampoline of a static call, NoFunc otherwise.
	Via FuncID
	// Slot is the address of the memory word that an indirect call goes
	// through, when that is fixed; else 0.
	Slot uint64
	Kind CallKind
	// Interior: the target is not a function's first instruction.
	Interior bool
}

// DataRef is a function's address stored in data.
type DataRef struct {
	Addr uint64 // of the word, or 4-byte self-relative field
	Func FuncID
}

// CodeRef is a function's address taken by an instruction. When it is seen to
// become an argument of a call, Call is that site and Arg the number of the
// argument from 0.
type CodeRef struct {
	Addr uint64 // of the instruction
	In   FuncID
	Func FuncID
	Call uint64 // 0 when not seen
	Arg  int8   // -1 when not seen
}
