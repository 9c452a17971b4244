package model

import (
	"runtime"
	"slices"
	"sort"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/klpforge/klpforge/analyze/kfuncs"
	"github.com/klpforge/klpforge/analyze/machine"
)

// Model is a decoded program. It is immutable.
type Model struct {
	Prog *Program
	// Funcs are all functions by address. A .cold part that belongs to a
	// parent is not listed.
	Funcs []Func
	// DataRefs are the functions' addresses in data, by address.
	DataRefs []DataRef
	// CodeRefs are the functions' addresses taken in code, by address of the
	// instruction.
	CodeRefs []CodeRef

	blocks []Block
	edges  []Edge
	calls  []Call

	index index
}

// builder holds what scanning needs besides the program.
type builder struct {
	p             *Program
	m             *Model
	convention    *machine.Convention
	tab           siteTables
	starts        []uint64 // of m.Funcs
	byStart       map[uint64]FuncID
	interior      map[FuncID][]uint64
	noReturn      []bool
	returnThunk   []bool
	indirectThunk []bool
	trampoline    []FuncID
	pvOps         Range
	preemptCount  uint64 // per-CPU offset of __preempt_count; 0 when not known
}

// Build decodes a program. The result depends on the program alone. Bytes
// that do not decode do not make an error; they mark their function unknown.
func Build(p *Program) *Model {
	build := &builder{p: p, m: &Model{Prog: p}, convention: p.arch.Convention(), tab: p.readTables()}
	build.findFuncs()
	build.findThunks()
	build.scanData()
	build.scanCode()
	build.m.finish()
	return build.m
}

// findFuncs makes one function of each address in code that has a symbol.
func (b *builder) findFuncs() {
	syms := b.p.syms

	// Of the symbols at one address the first names the function; the others are its aliases.
	for id := 0; id < len(syms); {
		end := id
		for end < len(syms) && syms[end].Addr == syms[id].Addr {
			end++
		}
		sym := &syms[id]
		group := syms[id:end]
		id = end
		if !sym.Code && (!sym.Extern || sym.Addr < externBase) {
			continue
		}
		fn := Func{Name: sym.Name, Addr: sym.Addr, End: sym.Addr}
		for _, alias := range group[1:] {
			fn.Aliases = append(fn.Aliases, alias.Name)
		}

		// A function ends where the next one begins, or with its section.
		if sym.Extern {
			fn.Flags |= FuncExtern
		} else {
			seg := &b.p.segs[b.p.segmentAt(sym.Addr)]
			fn.End = seg.Addr + seg.Size
			for k := end; k < len(syms); k++ {
				if syms[k].Code {
					fn.End = min(fn.End, syms[k].Addr)
					break
				}
			}
		}
		if strings.HasPrefix(fn.Name, "__SCT__") {
			fn.Flags |= FuncTrampoline
		}
		b.m.Funcs = append(b.m.Funcs, fn)
	}

	count := len(b.m.Funcs)
	b.starts = make([]uint64, count)
	b.byStart = make(map[uint64]FuncID, count)
	b.noReturn = make([]bool, count)
	b.returnThunk = make([]bool, count)
	b.indirectThunk = make([]bool, count)
	b.trampoline = make([]FuncID, count)
	for i := range b.m.Funcs {
		fn := &b.m.Funcs[i]
		b.starts[i] = fn.Addr
		b.byStart[fn.Addr] = FuncID(i)
	}
}

// funcAt returns the function whose main range holds a.
func (b *builder) funcAt(a uint64) FuncID {
	if id, ok := b.byStart[a]; ok {
		return id
	}
	i := sort.Search(len(b.starts), func(i int) bool { return b.starts[i] > a }) - 1
	if i >= 0 && a < b.m.Funcs[i].End {
		return FuncID(i)
	}
	return NoFunc
}

// entryAt returns the function that begins at a.
func (b *builder) entryAt(a uint64) FuncID {
	if id, ok := b.byStart[a]; ok {
		return id
	}
	return NoFunc
}

// findThunks classifies functions that scanning must know by name.
func (b *builder) findThunks() {
	for id := range b.m.Funcs {
		fn := &b.m.Funcs[id]
		b.trampoline[id] = NoFunc
		for _, name := range append([]string{fn.Name}, fn.Aliases...) {
			if kfuncs.NoReturn(name) {
				b.noReturn[id] = true
			}
			switch b.convention.Callee(name).Kind {
			case machine.CalleeReturn:
				b.returnThunk[id] = true
				fn.Flags |= FuncThunk
			case machine.CalleeThunk:
				b.indirectThunk[id] = true
				fn.Flags |= FuncThunk
			}
		}
		if fn.Flags&FuncTrampoline != 0 {
			b.trampoline[id] = FuncID(id) // built to return at once
			if to, ok := b.p.branchAt(fn.Addr, maxInst, machine.Jump); ok {
				if target := b.funcAt(to); target != NoFunc &&
					b.convention.Callee(b.m.Funcs[target].Name).Kind != machine.CalleeReturn {
					b.trampoline[id] = target
				}
			}
		}
	}
	b.preemptCount = b.p.PreemptCount()
	if addr, ok := b.p.Lookup("pv_ops"); ok {
		in := b.p
		if in.base != nil {
			in = in.base
		}
		// not known of an undefined symbol; larger than struct paravirt_patch_template of any kernel
		end := addr + 8*128
		if k := sort.Search(len(in.syms), func(k int) bool { return in.syms[k].Addr > addr }); k < len(in.syms) &&
			addr < externBase {
			end = min(end, in.syms[k].Addr)
		}
		b.pvOps = Range{addr, end}
	}
}

// scanCode decodes all functions, several at a time, and repeats those whose
// callees turn out not to return until nothing changes.
func (b *builder) scanCode() {
	mod := b.m
	count := len(mod.Funcs)
	res := make([]*scanned, count)
	todo := make([]FuncID, 0, count)
	for i := range mod.Funcs {
		todo = append(todo, FuncID(i))
	}

	// A call of a function that does not return ends the block, so finding such functions changes
	// their callers: these are scanned again until no more are found.
	for round := 0; len(todo) > 0; round++ {
		var next atomic.Int64
		var wg sync.WaitGroup
		for range runtime.GOMAXPROCS(0) {
			wg.Go(func() {
				scan := &scanner{b: b}
				for {
					const chunk = 64
					k := int(next.Add(chunk)) - chunk
					if k >= len(todo) {
						return
					}
					for _, id := range todo[k:min(k+chunk, len(todo))] {
						res[id] = scan.scan(id)
					}
				}
			})
		}
		wg.Wait()
		todo = b.newNoReturns(res)
	}
	b.assemble(res)
}

// newNoReturns finds functions that turned out not to return and returns
// those who call them, for another scan.
func (b *builder) newNoReturns(res []*scanned) []FuncID {
	changed := map[FuncID]bool{}
	for {
		more := false
		for i, scan := range res {
			if !b.noReturn[i] && !scan.returns(b) {
				b.noReturn[i] = true
				changed[FuncID(i)] = true
				more = true
			}
		}
		if !more {
			break
		}
	}
	if len(changed) == 0 {
		return nil
	}
	var todo []FuncID
	for i, scan := range res {
		for k := range scan.calls {
			if call := &scan.calls[k]; call.Kind == CallDirect && call.Target != NoFunc && changed[call.Target] {
				todo = append(todo, FuncID(i))
				break
			}
		}
	}
	return todo
}

// returns reports whether the function's code has a path out to its caller, as
// far as is known of those it jumps to.
func (r *scanned) returns(build *builder) bool {
	if len(r.blocks) == 0 || r.flags&FuncUnknown != 0 {
		return true
	}
	tails := map[uint64]bool{}
	for k := range r.calls {
		call := &r.calls[k]
		if call.Kind.IsTail() {
			target := call.Target
			if target == NoFunc || call.Interior || !build.noReturn[target] {
				tails[call.Site] = true
			}
		}
	}
	for i := range r.blocks {
		switch bl := &r.blocks[i]; bl.Term {
		case TermReturn, TermUnknown:
			return true
		case TermIndirect:
			if bl.nedg == 0 {
				return true
			}
		case TermTail, TermCondTail:
			if tails[bl.Last] {
				return true
			}
		case TermCond: // a conditional return has one edge only
			if bl.nedg == 1 {
				return true
			}
		}
	}
	return len(tails) > 0
}

// assemble joins the functions' parts into the model's tables and drops .cold
// parts that a parent has taken in.
func (b *builder) assemble(res []*scanned) {
	mod := b.m
	taken := map[uint64]bool{}
	for i, scan := range res {
		for _, part := range scan.parts {
			if part.Start != mod.Funcs[i].Addr {
				taken[part.Start] = true
			}
		}
	}
	renum := make([]FuncID, len(mod.Funcs))
	owner := map[uint64]FuncID{} // cold part -> old id of its parent
	for i, scan := range res {
		for _, part := range scan.parts {
			if _, ok := owner[part.Start]; !ok {
				owner[part.Start] = FuncID(i)
			}
		}
	}
	nb, ne, nc, nr := 0, 0, 0, 0
	kept := 0
	for id := range mod.Funcs {
		_, cold := coldParent(mod.Funcs[id].Name)
		if cold && taken[mod.Funcs[id].Addr] {
			renum[id] = NoFunc
			continue
		}
		renum[id] = FuncID(kept)
		kept++
		nb, ne, nc, nr = nb+len(res[id].blocks), ne+len(res[id].edges), nc+len(res[id].calls), nr+len(res[id].refs)
	}
	for i := range mod.Funcs {
		if renum[i] == NoFunc {
			if first := owner[mod.Funcs[i].Addr]; first != FuncID(i) {
				renum[i] = renum[first]
			}
		}
	}
	to := func(id FuncID) FuncID {
		if id == NoFunc {
			return NoFunc
		}
		return renum[id]
	}
	mod.blocks, mod.edges = make([]Block, 0, nb), make([]Edge, 0, ne)
	mod.calls, mod.CodeRefs = make([]Call, 0, nc), make([]CodeRef, 0, nr)
	funcs := make([]Func, 0, kept)
	for id := range mod.Funcs {
		fn, parts := mod.Funcs[id], res[id]
		_, cold := coldParent(fn.Name)
		if cold && taken[fn.Addr] {
			continue
		}
		if cold {
			fn.Flags |= FuncCold
		}
		fn.Flags |= parts.flags
		if b.noReturn[id] {
			fn.Flags |= FuncNoReturn
		}
		fn.Parts = parts.parts
		fn.block, fn.nbl = int32(len(mod.blocks)), int32(len(parts.blocks))
		base := int32(len(mod.edges))
		for _, bl := range parts.blocks {
			bl.edge += base
			mod.blocks = append(mod.blocks, bl)
		}
		mod.edges = append(mod.edges, parts.edges...)
		fn.call, fn.ncl = int32(len(mod.calls)), int32(len(parts.calls))
		for _, call := range parts.calls {
			call.Caller, call.Target, call.Via = to(call.Caller), to(call.Target), to(call.Via)
			mod.calls = append(mod.calls, call)
		}
		for _, ref := range parts.refs {
			ref.In, ref.Func = to(ref.In), to(ref.Func)
			mod.CodeRefs = append(mod.CodeRefs, ref)
		}
		if fn.Flags&FuncThunk == 0 && parts.endless(b) {
			fn.Flags |= FuncEndless
		}
		funcs = append(funcs, fn)
	}
	mod.Funcs = funcs
	for i := range mod.DataRefs {
		mod.DataRefs[i].Func = to(mod.DataRefs[i].Func)
	}
	mod.DataRefs = slices.DeleteFunc(mod.DataRefs, func(d DataRef) bool { return d.Func == NoFunc })
	slices.SortStableFunc(mod.CodeRefs, func(a, b CodeRef) int { return cmpU64(a.Addr, b.Addr) })
}

// endless reports whether a function can get into a loop that it never
// leaves: some reachable cycle has no way to a return, to a tail call, or to a
// call that ends the thread. BUG, panic and the like are no way out.
func (r *scanned) endless(build *builder) bool {
	count := len(r.blocks)
	if count == 0 || r.flags&FuncUnknown != 0 {
		return false
	}
	ends := map[uint64]bool{}
	for k := range r.calls {
		if call := &r.calls[k]; call.Kind == CallDirect && call.Target != NoFunc &&
			kfuncs.EndsThread(build.m.Funcs[call.Target].Name) {
			ends[call.Site] = true
		}
	}
	// out: blocks from which the function can be left.
	out := make([]bool, count)
	preds := make([][]int32, count)
	var work []int32
	for block := range r.blocks {
		bl := &r.blocks[block]
		leave := false
		switch bl.Term {
		case TermReturn, TermUnknown, TermTail, TermCondTail:
			leave = true
		case TermIndirect:
			leave = bl.nedg == 0
		case TermCond:
			leave = bl.nedg == 1 // conditional return
		case TermNoReturn:
			leave = ends[bl.Last]
		}
		if leave {
			out[block] = true
			work = append(work, int32(block))
		}
		for _, edge := range r.edges[bl.edge : bl.edge+int32(bl.nedg)] {
			preds[edge.To] = append(preds[edge.To], int32(block))
		}
	}
	for len(work) > 0 {
		block := work[len(work)-1]
		work = work[:len(work)-1]
		for _, pred := range preds[block] {
			if !out[pred] {
				out[pred] = true
				work = append(work, pred)
			}
		}
	}
	// A block that cannot leave and has a successor lies on, or leads to, a
	// cycle that cannot be left, unless all its paths end in BUG: look for a
	// cycle among such blocks.
	state := make([]uint8, count)
	type frame struct{ b, e int32 }
	for i := range r.blocks {
		if out[i] || state[i] != 0 {
			continue
		}
		stack := []frame{{int32(i), 0}}
		state[i] = 1
		for len(stack) > 0 {
			top := &stack[len(stack)-1]
			bl := &r.blocks[top.b]
			if top.e == int32(bl.nedg) {
				state[top.b] = 2
				stack = stack[:len(stack)-1]
				continue
			}
			to := r.edges[bl.edge+top.e].To
			top.e++
			switch state[to] {
			case 1:
				return true
			case 0:
				state[to] = 1
				stack = append(stack, frame{to, 0})
			}
		}
	}
	return false
}
