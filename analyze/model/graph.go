package model

import (
	"iter"
	"slices"
	"sort"

	"github.com/klpforge/klpforge/analyze/machine"
)

// index holds what finish derives from the tables.
type index struct {
	byName map[string][]FuncID
	callIn []int32 // call numbers grouped by target
	callAt []int32 // per function, the start of its group; one more at the end
	dataIn []int32 // DataRefs numbers grouped by function
	dataAt []int32
	codeIn []int32
	codeAt []int32
	parts  []partOf
}

type partOf struct {
	r  Range
	fn FuncID
}

// finish builds the derived indices.
func (m *Model) finish() {
	count := len(m.Funcs)
	idx := &m.index
	idx.byName = make(map[string][]FuncID, count)
	for id := range m.Funcs {
		fn := &m.Funcs[id]
		idx.byName[fn.Name] = append(idx.byName[fn.Name], FuncID(id))
		for _, alias := range fn.Aliases {
			idx.byName[alias] = append(idx.byName[alias], FuncID(id))
		}
		for _, part := range fn.Parts {
			idx.parts = append(idx.parts, partOf{part, FuncID(id)})
		}
	}
	sort.SliceStable(idx.parts, func(i, j int) bool { return idx.parts[i].r.Start < idx.parts[j].r.Start })
	idx.callIn, idx.callAt = group(count, len(m.calls), func(i int) FuncID { return m.calls[i].Target })
	idx.dataIn, idx.dataAt = group(count, len(m.DataRefs), func(i int) FuncID { return m.DataRefs[i].Func })
	idx.codeIn, idx.codeAt = group(count, len(m.CodeRefs), func(i int) FuncID { return m.CodeRefs[i].Func })
}

// group lists the numbers 0..count-1 by key, and where each key's begin.
func group(funcs, count int, key func(int) FuncID) (list, at []int32) {
	at = make([]int32, funcs+1)
	for i := range count {
		if id := key(i); id != NoFunc {
			at[id+1]++
		}
	}
	for i := range funcs {
		at[i+1] += at[i]
	}
	list = make([]int32, at[funcs])
	pos := slices.Clone(at)
	for i := range count {
		if id := key(i); id != NoFunc {
			list[pos[id]] = int32(i)
			pos[id]++
		}
	}
	return list, at
}

// Func returns a function by number.
func (m *Model) Func(id FuncID) *Func { return &m.Funcs[id] }

// Lookup returns the functions of a name, by address; aliases count.
func (m *Model) Lookup(name string) []FuncID { return m.index.byName[name] }

// At returns the function that holds an address, in its main range or out of
// line; NoFunc when none does. Shared out-of-line code counts for the first.
func (m *Model) At(addr uint64) FuncID {
	i := sort.Search(len(m.Funcs), func(i int) bool { return m.Funcs[i].Addr > addr }) - 1
	if i >= 0 && addr < m.Funcs[i].End {
		return FuncID(i)
	}
	parts := m.index.parts
	for j := sort.Search(len(parts), func(j int) bool { return parts[j].r.Start > addr }) - 1; j >= 0; j-- {
		if parts[j].r.Contains(addr) {
			return parts[j].fn
		}
		if parts[j].r.Start+1<<16 < addr {
			break
		}
	}
	return NoFunc
}

// Entry returns the function that begins at an address.
func (m *Model) Entry(a uint64) FuncID {
	i := sort.Search(len(m.Funcs), func(i int) bool { return m.Funcs[i].Addr >= a })
	if i < len(m.Funcs) && m.Funcs[i].Addr == a {
		return FuncID(i)
	}
	return NoFunc
}

// Blocks returns a function's blocks; the first is its entry. The caller must
// not change them.
func (m *Model) Blocks(id FuncID) []Block {
	fn := &m.Funcs[id]
	return m.blocks[fn.block : fn.block+fn.nbl]
}

// Edges returns where a block leads. To counts from the function's first
// block.
func (m *Model) Edges(b *Block) []Edge { return m.edges[b.edge : b.edge+int32(b.nedg)] }

// Calls returns the calls that a function makes, by address.
func (m *Model) Calls(id FuncID) []Call {
	fn := &m.Funcs[id]
	return m.calls[fn.call : fn.call+fn.ncl]
}

// Callers yields the calls of a function that can be followed: direct, tail,
// static and paravirt calls. The order is by caller and site.
func (m *Model) Callers(id FuncID) iter.Seq[*Call] {
	return func(yield func(*Call) bool) {
		for _, at := range m.index.callIn[m.index.callAt[id]:m.index.callAt[id+1]] {
			if !yield(&m.calls[at]) {
				return
			}
		}
	}
}

// DataRefsTo yields the places in data that hold a function's address.
func (m *Model) DataRefsTo(id FuncID) iter.Seq[DataRef] {
	return func(yield func(DataRef) bool) {
		for _, at := range m.index.dataIn[m.index.dataAt[id]:m.index.dataAt[id+1]] {
			if !yield(m.DataRefs[at]) {
				return
			}
		}
	}
}

// CodeRefsTo yields the instructions that take a function's address.
func (m *Model) CodeRefsTo(id FuncID) iter.Seq[CodeRef] {
	return func(yield func(CodeRef) bool) {
		for _, at := range m.index.codeIn[m.index.codeAt[id]:m.index.codeAt[id+1]] {
			if !yield(m.CodeRefs[at]) {
				return
			}
		}
	}
}

// AddressTaken reports whether a function's address is stored in data or
// taken in code, so that it may have callers that cannot be followed.
func (m *Model) AddressTaken(id FuncID) bool {
	index := &m.index
	return index.dataAt[id+1] > index.dataAt[id] || index.codeAt[id+1] > index.codeAt[id]
}

// Instructions decodes a block. Undecodable bytes end it early.
func (m *Model) Instructions(block *Block) iter.Seq[machine.Inst] {
	return func(yield func(machine.Inst) bool) {
		code, err := m.Prog.Read(block.Start, int(block.End-block.Start))
		if err != nil {
			return
		}
		for addr := block.Start; addr < block.End; {
			in, err := m.Prog.arch.Decode(code[addr-block.Start:], addr)
			if err != nil || !yield(in) {
				return
			}
			addr += uint64(in.Len)
		}
	}
}

// Code decodes blocks, each as Instructions does. It is for who looks at a
// function more than once.
func (m *Model) Code(blocks []Block) [][]machine.Inst {
	const meanSize = 4 // bytes of an instruction
	code := make([][]machine.Inst, len(blocks))
	for k := range blocks {
		block := &blocks[k]
		code[k] = make([]machine.Inst, 0, 1+(block.End-block.Start)/meanSize)
		for in := range m.Instructions(block) {
			code[k] = append(code[k], in)
		}
	}
	return code
}

// Stats count what a model holds.
type Stats struct {
	Funcs, Blocks, Edges, Calls, Indirect, DataRefs, CodeRefs, Unknown, NoReturn, Endless int
}

// Stats counts.
func (m *Model) Stats() Stats {
	stats := Stats{Funcs: len(m.Funcs), Blocks: len(m.blocks), Edges: len(m.edges), Calls: len(m.calls),
		DataRefs: len(m.DataRefs), CodeRefs: len(m.CodeRefs)}
	for i := range m.calls {
		if m.calls[i].Target == NoFunc {
			stats.Indirect++
		}
	}
	for i := range m.Funcs {
		fn := &m.Funcs[i]
		if fn.Unknown() {
			stats.Unknown++
		}
		if fn.Flags&FuncNoReturn != 0 {
			stats.NoReturn++
		}
		if fn.Flags&FuncEndless != 0 {
			stats.Endless++
		}
	}
	return stats
}
