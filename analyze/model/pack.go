package model

import (
	"slices"

	"github.com/klpforge/klpforge/analyze/pack"
)

// Pack writes a model without its program.
func (m *Model) Pack(writer *pack.Writer) {
	// Each table by its length and its rows; addresses as differences to the row before, which
	// are small.
	writer.Uint(uint64(len(m.Funcs)))
	last := uint64(0)
	for i := range m.Funcs {
		fn := &m.Funcs[i]
		writer.String(fn.Name)
		writer.Uint(fn.Addr - last)
		last = fn.Addr
		writer.Uint(fn.End - fn.Addr)
		writer.Uint(uint64(len(fn.Parts)))
		for _, part := range fn.Parts {
			writer.Uint(part.Start)
			writer.Uint(part.End - part.Start)
		}
		writer.Uint(uint64(len(fn.Aliases)))
		for _, alias := range fn.Aliases {
			writer.String(alias)
		}
		writer.Uint(uint64(fn.Flags))
		writer.Uint(uint64(fn.nbl))
		writer.Uint(uint64(fn.ncl))
	}

	writer.Uint(uint64(len(m.blocks)))
	last = 0
	for i := range m.blocks {
		block := &m.blocks[i]
		writer.Int(int64(block.Start - last))
		last = block.End
		writer.Uint(block.End - block.Start)
		writer.Uint(block.End - block.Last)
		writer.Uint(uint64(block.Term))
		writer.Uint(uint64(block.nedg))
	}

	writer.Uint(uint64(len(m.edges)))
	for _, edge := range m.edges {
		writer.Uint(uint64(edge.To))
		writer.Uint(uint64(edge.Kind))
	}

	writer.Uint(uint64(len(m.calls)))
	last = 0
	for i := range m.calls {
		call := &m.calls[i]
		writer.Int(int64(call.Site - last))
		last = call.Site
		writer.Int(int64(call.Target))
		writer.Int(int64(call.Via))
		writer.Uint(call.Slot)
		writer.Uint(uint64(call.Kind))
		writer.Bool(call.Interior)
	}

	writer.Uint(uint64(len(m.DataRefs)))
	last = 0
	for _, ref := range m.DataRefs {
		writer.Int(int64(ref.Addr - last))
		last = ref.Addr
		writer.Uint(uint64(ref.Func))
	}

	writer.Uint(uint64(len(m.CodeRefs)))
	last = 0
	for _, ref := range m.CodeRefs {
		writer.Int(int64(ref.Addr - last))
		last = ref.Addr
		writer.Int(int64(ref.In))
		writer.Int(int64(ref.Func))
		writer.Uint(ref.Call)
		writer.Int(int64(ref.Arg))
	}
}

// Unpack reads a model of a program that Pack has written. The error is
// pack.ErrCorrupt; a model that is returned is consistent in itself.
func Unpack(p *Program, reader *pack.Reader) (*Model, error) {
	mod := &Model{Prog: p}
	// Each element takes at least as many bytes as it has fields, which bounds
	// what a corrupt length can allocate.
	count := reader.Len()
	mod.Funcs = make([]Func, 0, count)
	last := uint64(0)
	var blocks, calls int64
	for range count {
		fn := Func{Name: reader.String()}
		fn.Addr = last + reader.Uint()
		if fn.Addr < last {
			reader.Fail()
		}
		last = fn.Addr
		fn.End = fn.Addr + reader.Uint()
		for range reader.Len() {
			site := reader.Uint()
			fn.Parts = append(fn.Parts, Range{site, site + reader.Uint()})
		}
		for range reader.Len() {
			fn.Aliases = append(fn.Aliases, reader.String())
		}
		fn.Flags = FuncFlags(reader.Uint())
		fn.block, fn.call = int32(blocks), int32(calls)
		nbl, ncl := int64(reader.Uint()), int64(reader.Uint())
		fn.nbl, fn.ncl = int32(nbl), int32(ncl)
		blocks, calls = blocks+nbl, calls+ncl
		if reader.Err() != nil || nbl < 0 || ncl < 0 || blocks > 1<<30 || calls > 1<<30 {
			return nil, pack.ErrCorrupt
		}
		mod.Funcs = append(mod.Funcs, fn)
	}
	if err := mod.unpackCode(reader, blocks); err != nil {
		return nil, err
	}
	if err := mod.unpackRefs(reader, calls); err != nil {
		return nil, err
	}
	mod.finish()
	return mod, nil
}

func (m *Model) unpackCode(reader *pack.Reader, blocks int64) error {
	count := reader.Len()
	if int64(count) != blocks {
		return pack.ErrCorrupt
	}
	m.blocks = make([]Block, count)
	last, edges := uint64(0), int64(0)
	for i := range m.blocks {
		block := &m.blocks[i]
		block.Start = last + uint64(reader.Int())
		block.End = block.Start + reader.Uint()
		block.Last = block.End - reader.Uint()
		last = block.End
		term, nedg := reader.Uint(), reader.Uint()
		if term > uint64(TermUnknown) || nedg > 255 {
			return pack.ErrCorrupt
		}
		block.Term, block.nedg, block.edge = Term(term), uint8(nedg), int32(edges)
		edges += int64(nedg)
	}

	count = reader.Len()
	if int64(count) != edges {
		return pack.ErrCorrupt
	}
	m.edges = make([]Edge, count)
	for i := range m.edges {
		to, kind := reader.Uint(), reader.Uint()
		if to > uint64(blocks) || kind > uint64(EdgeIndirect) {
			return pack.ErrCorrupt
		}
		m.edges[i] = Edge{To: int32(to), Kind: EdgeKind(kind)}
	}

	// An edge to a block of another function would index beyond the blocks of its own.
	for i := range m.Funcs {
		for k := range m.Blocks(FuncID(i)) {
			for _, edge := range m.Edges(&m.Blocks(FuncID(i))[k]) {
				if edge.To >= m.Funcs[i].nbl {
					return pack.ErrCorrupt
				}
			}
		}
	}
	return reader.Err()
}

func (m *Model) unpackRefs(reader *pack.Reader, calls int64) error {
	id := func(v int64) FuncID {
		if v < -1 || v >= int64(len(m.Funcs)) {
			reader.Fail()
			return NoFunc
		}
		return FuncID(v)
	}

	// The count is known from the functions, and so is who makes each call.
	count := reader.Len()
	if int64(count) != calls {
		return pack.ErrCorrupt
	}
	m.calls = make([]Call, count)
	last := uint64(0)
	for i := range m.calls {
		call := &m.calls[i]
		call.Site = last + uint64(reader.Int())
		last = call.Site
		call.Target, call.Via, call.Slot = id(reader.Int()), id(reader.Int()), reader.Uint()
		kind := reader.Uint()
		if kind > uint64(CallAlt) {
			return pack.ErrCorrupt
		}
		call.Kind, call.Interior = CallKind(kind), reader.Bool()
	}

	for i := range m.Funcs {
		for k := range m.Calls(FuncID(i)) {
			m.Calls(FuncID(i))[k].Caller = FuncID(i)
		}
	}

	m.DataRefs = make([]DataRef, reader.Len())
	last = 0
	for i := range m.DataRefs {
		last += uint64(reader.Int())
		m.DataRefs[i] = DataRef{Addr: last, Func: id(int64(reader.Uint()))}
	}
	m.CodeRefs = make([]CodeRef, reader.Len())
	last = 0
	for i := range m.CodeRefs {
		last += uint64(reader.Int())
		m.CodeRefs[i] = CodeRef{Addr: last, In: id(reader.Int()), Func: id(reader.Int()), Call: reader.Uint(),
			Arg: int8(reader.Int())}
	}

	if reader.Err() == nil && slices.ContainsFunc(m.DataRefs, func(d DataRef) bool { return d.Func == NoFunc }) {
		return pack.ErrCorrupt
	}
	return reader.Err()
}
