package locks

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"

	"github.com/klpforge/klpforge/analyze/machine"
	"github.com/klpforge/klpforge/analyze/model"
)

// ExprOp says how a value is made.
type ExprOp uint8

// The forms of an Expr.
const (
	ExprUnknown ExprOp = iota // Text: what hides it
	ExprConst                 // Imm
	ExprSymbol                // the address of Text, plus Imm; Text in quotes is a string
	ExprArg                   // argument Imm at entry
	ExprSum                   // Args[0] plus Imm
	ExprLoad                  // Size bytes of memory at Args[0]
	ExprPercpu                // likewise, of this CPU's variable at Args[0]; Text where it is the running task
	ExprResult                // what a call of Text returned; with a number where there are several
	ExprEither                // one of Args, as paths meet
	ExprEach                  // an element found by following one member again and again, from Args[0]
	ExprSelf                  // within an ExprEither: what it was on the path before
	ExprLow                   // the low Size bytes of Args[0]
	ExprTest                  // whether the condition Text holds of Args[0]
	ExprCompute               // the operation Text on Args
)

// Expr is a value by how a function's code makes it: from arguments, variables,
// memory and the results of calls. Registers, stack slots, addresses of code and
// numbers of blocks are no part of it, so that it compares between two builds.
// When memory was read is no part of it either. Immutable.
type Expr struct {
	Op   ExprOp
	Text string
	Imm  int64
	Size uint8
	Args []*Expr
	str  string
	// hidden: a part is ExprUnknown.
	hidden bool
}

// String is the same for equal expressions, and for no others. That of a long one is a
// digest.
func (e *Expr) String() string { return e.str }

// Known reports whether nothing in an expression is hidden.
func (e *Expr) Known() bool { return !e.hidden }

// Contains reports whether an expression is part of another one, or the same.
func (e *Expr) Contains(part *Expr) bool {
	for inner := range e.Parts {
		if inner.str == part.str {
			return true
		}
	}
	return false
}

// Parts yields an expression and all that it is made of, each once.
func (e *Expr) Parts(yield func(*Expr) bool) {
	seen := map[*Expr]bool{}
	var walk func(e *Expr) bool
	walk = func(e *Expr) bool {
		if seen[e] {
			return true
		}
		seen[e] = true
		if !yield(e) {
			return false
		}
		for _, arg := range e.Args {
			if !walk(arg) {
				return false
			}
		}
		return true
	}
	walk(e)
}

// Base takes an address apart into that of an object and an offset within it.
func (e *Expr) Base() (object *Expr, off int64) {
	if e.Op == ExprSum {
		return e.Args[0], e.Imm
	}
	return e, 0
}

// Origin is where an address comes from: what no pointer was followed to reach.
func (e *Expr) Origin() *Expr {
	for len(e.Args) > 0 && e.Op != ExprCompute && e.Op != ExprEither {
		e = e.Args[0]
	}
	if e.Op == ExprEither || e.Op == ExprCompute {
		return e.Args[0].Origin()
	}
	return e
}

// Shared reports whether an address is known and others may know it too: it is reached
// from an argument or a variable, and not by what the function made itself, or by
// what another function returned. What belongs to the running task or to this CPU is
// not, but what the task points to is.
func (e *Expr) Shared() bool {
	if !e.Known() {
		return false
	}
	for part := range e.Parts {
		if part.Op == ExprPercpu && (!part.isCurrent() || e.object().str == part.str) {
			return false
		}
	}
	origin := e.Origin()
	return origin.Op == ExprArg || origin.Op == ExprSymbol
}

// runningTask is the Text of an ExprPercpu that is the pointer to the running task.
const runningTask = "task"

func (e *Expr) isCurrent() bool { return e.Text == runningTask && e.Size == wordSize }

func (e *Expr) hasOp(op ExprOp) bool {
	for part := range e.Parts {
		if part.Op == op {
			return true
		}
	}
	return false
}

// maxText bounds what is printed of an expression, in bytes.
const maxText = 600

func newExpr(e Expr) *Expr {
	e.str = e.text()
	if len(e.str) > maxText {
		sum := sha256.Sum256([]byte(e.str))
		e.str = fmt.Sprintf("%.60s... (%x)", e.str, sum[:6])
	}
	e.hidden = e.Op == ExprUnknown || slices.ContainsFunc(e.Args, func(a *Expr) bool { return a.hidden })
	return &e
}

func (e *Expr) text() string {
	list := func(sep string) string {
		words := make([]string, len(e.Args))
		for i, a := range e.Args {
			words[i] = a.str
		}
		return strings.Join(words, sep)
	}
	switch e.Op {
	case ExprConst:
		return fmt.Sprintf("%#x", e.Imm)
	case ExprSymbol:
		if e.Imm == 0 {
			return e.Text
		}
		return fmt.Sprintf("%s%+#x", e.Text, e.Imm)
	case ExprArg:
		return fmt.Sprintf("arg%d", e.Imm)
	case ExprSum:
		return fmt.Sprintf("%s%+#x", e.Args[0].str, e.Imm)
	case ExprLoad:
		if e.Size == wordSize {
			return "*(" + e.Args[0].str + ")"
		}
		return fmt.Sprintf("*%d(%s)", e.Size, e.Args[0].str)
	case ExprPercpu:
		return fmt.Sprintf("percpu%d(%s)", e.Size, e.Args[0].str)
	case ExprResult:
		return e.Text + "()"
	case ExprEither:
		return "either(" + list(", ") + ")"
	case ExprEach:
		return fmt.Sprintf("each(%s, %+#x)", e.Args[0].str, e.Imm)
	case ExprSelf:
		return "itself"
	case ExprLow:
		return fmt.Sprintf("low%d(%s)", e.Size, e.Args[0].str)
	case ExprTest:
		return fmt.Sprintf("(%s in %s)", e.Args[0].str, e.Text)
	case ExprCompute:
		return e.Text + "(" + list(", ") + ")"
	}
	return "?" + e.Text
}

// origins are what merged values and results of instructions were made of, which
// the values themselves do not say. They are noted while a function is executed.
type origins struct {
	merged map[vid][]vid // a phi: what it may be
	made   map[node]made // opaque values by their node
	conds  map[vid]chosen
}

// made is an operation that the values have no expression for.
type made struct {
	text string
	args []vid // nil where it is done with several
}

// record notes an operation; what one instruction computes of several operands, in
// different states, is not told apart.
func (o *origins) record(n node, text string, args ...vid) {
	if had, ok := o.made[n]; ok && !slices.Equal(had.args, args) {
		args = nil
	}
	o.made[n] = made{text, args}
}

// chosen is a value that a conditional move made.
type chosen struct {
	cond        pred
	moved, kept vid
}

func newOrigins() *origins {
	return &origins{merged: map[vid][]vid{}, made: map[node]made{}, conds: map[vid]chosen{}}
}

// note adds what a phi may be.
func (o *origins) note(phi vid, values ...vid) {
	if o == nil {
		return
	}
	for _, v := range values {
		if v != phi && !slices.Contains(o.merged[phi], v) && len(o.merged[phi]) < 2*maxEither {
			o.merged[phi] = append(o.merged[phi], v)
		}
	}
}

const (
	maxEither = 4    // values of one ExprEither
	maxNested = 400  // how deep expressions are taken apart
	maxParts  = 4000 // of one expression
)

// naming turns the values of one function into expressions.
type naming struct {
	w    *walker
	memo map[vid]*Expr
	open map[vid]bool // phis that are being named
	self bool         // an open phi was met since this was cleared
	work int          // parts that were named of one expression
}

func (w *walker) naming() *naming {
	return &naming{w: w, memo: map[vid]*Expr{}, open: map[vid]bool{}}
}

func (n *naming) expr(v vid) *Expr {
	n.work = 0
	return n.name(v, 0)
}

func (n *naming) name(v vid, depth int) *Expr {
	if known := n.memo[v]; known != nil {
		return known
	}
	if n.work++; depth > maxNested || n.work > maxParts {
		return newExpr(Expr{Op: ExprUnknown, Text: "deep"})
	}
	outer := n.self
	n.self = false
	e := n.make(v, depth)
	if !n.self {
		n.memo[v] = e
	}
	n.self = n.self || outer
	return e
}

var binNames = [...]string{binAdd: "add", binSub: "sub", binAnd: "and", binOr: "or", binXor: "xor", binShl: "shl",
	binShr: "shr", binSar: "sar", binMul: "mul", binEq: "eq", binLtu: "ltu", binLt: "lt"}

func (n *naming) make(v vid, depth int) *Expr {
	vals := &n.w.t
	expr := *vals.n(v)
	down := func(v vid) *Expr { return n.name(v, depth+1) }
	switch expr.op {
	case opConst:
		return n.constant(expr.imm)
	case opEntry:
		if i, ok := paramOf(expr.imm); ok {
			return newExpr(Expr{Op: ExprArg, Imm: int64(i)})
		}
	case opAdd:
		inner := down(expr.a)
		if inner.Op == ExprSum || inner.Op == ExprSymbol || inner.Op == ExprConst {
			sum := *inner
			sum.Imm += expr.imm
			return newExpr(sum)
		}
		if table := n.constant(expr.imm); table.Op == ExprSymbol { // an element of it
			args := []*Expr{inner, table}
			slices.SortFunc(args, func(a, b *Expr) int { return strings.Compare(a.str, b.str) })
			return newExpr(Expr{Op: ExprCompute, Text: binNames[binAdd], Args: args})
		}
		return newExpr(Expr{Op: ExprSum, Args: []*Expr{inner}, Imm: expr.imm})
	case opBin:
		args := []*Expr{down(expr.a), down(expr.b)}
		switch bin(expr.k) {
		case binAdd, binAnd, binOr, binXor, binMul, binEq:
			slices.SortFunc(args, func(a, b *Expr) int { return strings.Compare(a.str, b.str) })
		}
		return newExpr(Expr{Op: ExprCompute, Text: binNames[expr.k], Args: args})
	case opLoad:
		if expr.k == 1 {
			own := Expr{Op: ExprPercpu, Size: expr.size, Args: []*Expr{down(expr.a)}}
			if imm, ok := vals.isConst(expr.a); ok {
				addr := int64(int32(imm)) // a displacement
				own.Args[0] = n.constant(addr)
				if task := n.w.a.currentTask; task != 0 && (uint64(addr) == task || uint64(imm) == task) {
					own.Text = runningTask
				}
			}
			return newExpr(own)
		}
		return chained(newExpr(Expr{Op: ExprLoad, Size: expr.size, Args: []*Expr{down(expr.a)}}))
	case opRet:
		if call := n.w.calls[uint64(expr.imm)]; call != nil && call.Target >= 0 {
			return newExpr(Expr{Op: ExprResult, Text: plain(n.w.m.Func(call.Target).Name) + n.which(call)})
		}
		return newExpr(Expr{Op: ExprUnknown, Text: "call"})
	case opPhi:
		return n.either(v, depth)
	case opStale:
		return down(expr.a)
	case opExt:
		return newExpr(Expr{Op: ExprLow, Size: expr.size, Args: []*Expr{down(expr.a)}})
	case opSet:
		cond := vals.preds[expr.imm]
		return newExpr(Expr{Op: ExprTest, Text: cond.set.String(), Args: []*Expr{down(cond.v)}})
	case opOpaque:
		if from, ok := n.w.origins.made[expr]; ok && from.args != nil && !n.open[v] {
			n.open[v] = true
			args := make([]*Expr, len(from.args))
			for i, arg := range from.args {
				args[i] = down(arg)
			}
			delete(n.open, v)
			return newExpr(Expr{Op: ExprCompute, Text: from.text, Args: args})
		}
	}
	return newExpr(Expr{Op: ExprUnknown})
}

// which tells the calls of one function apart, in the order of their sites; "" where
// there is one.
func (n *naming) which(of *model.Call) string {
	number, calls := 0, n.w.m.Calls(n.w.fn)
	sites := map[uint64]bool{}
	for i := range calls {
		if call := &calls[i]; call.Target == of.Target && call.Kind != model.CallAlt && !sites[call.Site] {
			sites[call.Site] = true
			if call.Site <= of.Site {
				number++
			}
		}
	}
	if len(sites) < 2 {
		return ""
	}
	return fmt.Sprintf("#%d", number)
}

// constant names a number that is the address of something.
func (n *naming) constant(number int64) *Expr {
	prog := n.w.m.Prog
	addr := uint64(number)
	if name, is := Named(addr); is {
		return newExpr(Expr{Op: ExprSymbol, Text: name})
	}
	if number < 0 && number > -1<<20 || number >= 0 && number < 1<<32 {
		return newExpr(Expr{Op: ExprConst, Imm: number})
	}
	if seg, ok := prog.SegmentAt(addr); ok && strings.Contains(seg.Name, ".str") && addr-seg.Addr < uint64(len(seg.Data)) {
		text, _, _ := strings.Cut(string(seg.Data[addr-seg.Addr:]), "\x00")
		return newExpr(Expr{Op: ExprSymbol, Text: fmt.Sprintf("%q", text)})
	}
	if sym, off, ok := prog.SymbolAt(addr); ok && sym.Name != "" && off < 1<<24 {
		return newExpr(Expr{Op: ExprSymbol, Text: plain(sym.Name), Imm: int64(off)})
	}
	return newExpr(Expr{Op: ExprConst, Imm: number})
}

// plain is a name without the number that the compiler gives to local ones.
func plain(name string) string {
	if i := strings.LastIndexByte(name, '.'); i > 0 && strings.Trim(name[i+1:], "0123456789") == "" {
		return name[:i]
	}
	return name
}

// either names what paths meet with. An element of a list is what a member leads
// to that is followed again and again: first from the head, then from itself.
func (n *naming) either(phi vid, depth int) *Expr {
	if n.open[phi] {
		n.self = true
		return newExpr(Expr{Op: ExprSelf})
	}
	n.open[phi] = true
	defer delete(n.open, phi)
	from := n.w.origins
	if choice, ok := from.conds[phi]; ok {
		return n.chosen(choice, depth)
	}
	var parts []*Expr
	for _, v := range from.merged[phi] {
		part := n.name(v, depth+1)
		if part.Op == ExprEither { // of one place, merged at several
			parts = append(parts, part.Args...)
			continue
		}
		parts = append(parts, part)
	}
	parts = slices.DeleteFunc(parts, func(e *Expr) bool { return e.Op == ExprSelf })
	slices.SortFunc(parts, func(a, b *Expr) int { return strings.Compare(a.str, b.str) })
	parts = slices.CompactFunc(parts, func(a, b *Expr) bool { return a.str == b.str })
	n.self = len(n.open) > 1 && slices.ContainsFunc(parts, (*Expr).recurs) // closed for the outermost alone
	switch {
	case len(parts) == 0 || len(parts) > maxEither:
		return newExpr(Expr{Op: ExprUnknown, Text: "paths"})
	case len(parts) == 1:
		return parts[0]
	}
	if each, ok := element(parts); ok {
		return each
	}
	return newExpr(Expr{Op: ExprEither, Args: parts})
}

func (e *Expr) recurs() bool { return e.hasOp(ExprSelf) }

// chained makes an element of what one member leads to that is followed three times:
// the first rounds of a loop.
func chained(e *Expr) *Expr {
	from, off := e.Args[0].Base()
	if e.Size != wordSize {
		return e
	}
	if from.Op == ExprEach && from.Imm == 0 && from.Args[0].offset() == off {
		return from
	}
	at := from
	for range 2 {
		if at.Op != ExprLoad || at.Size != wordSize || at.Args[0].offset() != off {
			return e
		}
		from, at = at, at.Args[0].object()
	}
	return newExpr(Expr{Op: ExprEach, Args: []*Expr{from.Args[0]}})
}

func (e *Expr) offset() int64 { _, off := e.Base(); return off }
func (e *Expr) object() *Expr { object, _ := e.Base(); return object }

// element recognises the walk along a list: one of the parts is reached from itself
// by a pointer, the other is where it begins.
func element(parts []*Expr) (*Expr, bool) {
	for i, next := range parts {
		to, off := next.Base()
		if to.Op != ExprLoad {
			continue
		}
		if at, _ := to.Args[0].Base(); at.Op != ExprSelf {
			continue
		}
		rest := slices.Delete(slices.Clone(parts), i, i+1)
		if len(rest) != 1 {
			return nil, false
		}
		begin, _ := rest[0].Base()
		if begin.Op == ExprEach {
			return begin, true
		}
		if begin.Op == ExprLoad {
			begin = begin.Args[0]
		}
		if begin.recurs() {
			return nil, false
		}
		return newExpr(Expr{Op: ExprEach, Imm: off, Args: []*Expr{begin}}), true
	}
	return nil, false
}

// chosen names what a conditional move made: the smaller or greater of two values
// where it is that.
func (n *naming) chosen(c chosen, depth int) *Expr {
	vals := &n.w.t
	moved, kept := n.name(c.moved, depth+1), n.name(c.kept, depth+1)
	cond := *vals.n(c.cond.v)
	pair := []*Expr{moved, kept}
	slices.SortFunc(pair, func(a, b *Expr) int { return strings.Compare(a.str, b.str) })
	if cond.op == opBin && (bin(cond.k) == binLtu || bin(cond.k) == binLt) {
		left, right := n.name(cond.a, depth+1), n.name(cond.b, depth+1)
		holds := !c.cond.set.Contains(0)
		least := ""
		switch {
		case same(moved, left) && same(kept, right) && holds, same(moved, right) && same(kept, left) && !holds:
			least = "min"
		case same(moved, right) && same(kept, left) && holds, same(moved, left) && same(kept, right) && !holds:
			least = "max"
		}
		if least != "" {
			return newExpr(Expr{Op: ExprCompute, Text: least, Args: pair})
		}
	}
	if pair[0].str == pair[1].str {
		return pair[0]
	}
	return newExpr(Expr{Op: ExprEither, Args: pair})
}

// same compares without what cuts values to the size of their comparison.
func same(a, b *Expr) bool {
	for a.Op == ExprLow {
		a = a.Args[0]
	}
	for b.Op == ExprLow {
		b = b.Args[0]
	}
	return a.str == b.str
}

// computed notes the operands of an instruction whose result the values have no
// expression for, before it is executed.
func (w *walker) computed(s *state, in *machine.Inst) {
	var results []int32 // as other and step number them
	var args []vid
	operand := func(i int) {
		v, _ := w.arg(s, in, i)
		args = append(args, v)
	}
	switch in.Op {
	case machine.ByteSwap, machine.RotateLeft, machine.RotateRight:
		if dst, _, ok := in.Args[0].General(); ok {
			results = append(results, int32(dst))
		}
		operand(0)
		if in.Op != machine.ByteSwap {
			operand(1)
		}
	case machine.BitSet, machine.BitReset, machine.BitFlip:
		results = append(results, 1)
		operand(0)
		operand(1)
	case machine.Multiply, machine.Divide:
		switch dst, _, ok := in.Args[0].General(); {
		case in.Args[1].Kind == machine.KindNone: // the accumulator's pair
			results = append(results, int32(machine.RAX), int32(machine.RDX))
			args = append(args, s.regs[machine.RAX])
			operand(0)
		case ok && in.Args[2].Kind == machine.KindNone:
			results = append(results, int32(dst))
			operand(0)
			operand(1)
		default:
			return // the values have it
		}
	default:
		return
	}
	for _, result := range results {
		w.origins.record(node{op: opOpaque, imm: int64(in.Addr), k: result}, strings.ToLower(in.Name), args...)
	}
}

// Expr is the expression of an address that a path leads to; nil for one that does not
// begin at an argument or a variable.
func (f *Flows) Expr(path Path) *Expr {
	var at *Expr
	switch path.Root {
	case RootArg:
		at = newExpr(Expr{Op: ExprArg, Imm: int64(path.Arg)})
	case RootGlobal:
		at = (&naming{w: &walker{m: f.Result.Model}}).constant(int64(path.Addr))
	default:
		return nil
	}
	for i, off := range path.Offs {
		if i > 0 {
			at = newExpr(Expr{Op: ExprLoad, Size: wordSize, Args: []*Expr{at}})
		}
		switch {
		case off == 0:
		case at.Op == ExprSymbol:
			at = newExpr(Expr{Op: ExprSymbol, Text: at.Text, Imm: at.Imm + off})
		default:
			at = newExpr(Expr{Op: ExprSum, Imm: off, Args: []*Expr{at}})
		}
	}
	return at
}
