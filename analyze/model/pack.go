package model

import (
	"slices"

	"github.com/klpforge/klpforge/analyze/pack"
)

// Pack writes a model without its program.
func (m *Model) Pack(w *pack.Writer) {
	w.Uint(uint64(len(m.Funcs)))
	last := uint64(0)
	for i := range m.Funcs {
		f := &m.Funcs[i]
		w.String(f.Name)
		w.Uint(f.Addr - last)
		last = f.Addr
		w.Uint(f.End - f.Addr)
		w.Uint(uint64(len(f.Parts)))
		for _, r := range f.Parts {
			w.Uint(r.Start)
			w.Uint(r.End - r.Start)
		}
		w.Uint(uint64(len(f.Aliases)))
		for _, a := range f.Aliases {
			w.String(a)
		}
		w.Uint(uint64(f.Flags))
		w.Uint(uint64(f.nbl))
		w.Uint(uint64(f.ncl))
	}
	w.Uint(uint64(len(m.blocks)))
	last = 0
	for i := range m.blocks {
		b := &m.blocks[i]
		w.Int(int64(b.Start - last))
		last = b.End
		w.Uint(b.End - b.Start)
		w.Uint(b.End - b.Last)
		w.Uint(uint64(b.Term))
		w.Uint(uint64(b.nedg))
	}
	w.Uint(uint64(len(m.edges)))
	for _, e := range m.edges {
		w.Uint(uint64(e.To))
		w.Uint(uint64(e.Kind))
	}
	w.Uint(uint64(len(m.calls)))
	last = 0
	for i := range m.calls {
		c := &m.calls[i]
		w.Int(int64(c.Site - last))
		last = c.Site
		w.Int(int64(c.Target))
		w.Int(int64(c.Via))
		w.Uint(c.Slot)
		w.Uint(uint64(c.Kind))
		w.Bool(c.Interior)
	}
	w.Uint(uint64(len(m.DataRefs)))
	last = 0
	for _, d := range m.DataRefs {
		w.Int(int64(d.Addr - last))
		last = d.Addr
		w.Uint(uint64(d.Func))
	}
	w.Uint(uint64(len(m.CodeRefs)))
	last = 0
	for _, c := range m.CodeRefs {
		w.Int(int64(c.Addr - last))
		last = c.Addr
		w.Int(int64(c.In))
		w.Int(int64(c.Func))
		w.Uint(c.Call)
		w.Int(int64(c.Arg))
	}
}

// Unpack reads a model of a program that Pack has written. The error is
// pack.ErrCorrupt; a model that is returned is consistent in itself.
func Unpack(p *Program, r *pack.Reader) (*Model, error) {
	m := &Model{Prog: p}
	// Each element takes at least as many bytes as it has fields, which bounds
	// what a corrupt length can allocate.
	n := r.Len()
	m.Funcs = make([]Func, 0, n)
	last := uint64(0)
	var blocks, calls int64
	for range n {
		f := Func{Name: r.String()}
		f.Addr = last + r.Uint()
		if f.Addr < last {
			r.Fail()
		}
		last = f.Addr
		f.End = f.Addr + r.Uint()
		for range r.Len() {
			s := r.Uint()
			f.Parts = append(f.Parts, Range{s, s + r.Uint()})
		}
		for range r.Len() {
			f.Aliases = append(f.Aliases, r.String())
		}
		f.Flags = FuncFlags(r.Uint())
		f.block, f.call = int32(blocks), int32(calls)
		nbl, ncl := int64(r.Uint()), int64(r.Uint())
		f.nbl, f.ncl = int32(nbl), int32(ncl)
		blocks, calls = blocks+nbl, calls+ncl
		if r.Err() != nil || nbl < 0 || ncl < 0 || blocks > 1<<30 || calls > 1<<30 {
			return nil, pack.ErrCorrupt
		}
		m.Funcs = append(m.Funcs, f)
	}
	if err := m.unpackCode(r, blocks); err != nil {
		return nil, err
	}
	if err := m.unpackRefs(r, calls); err != nil {
		return nil, err
	}
	m.finish()
	return m, nil
}

func (m *Model) unpackCode(r *pack.Reader, blocks int64) error {
	n := r.Len()
	if int64(n) != blocks {
		return pack.ErrCorrupt
	}
	m.blocks = make([]Block, n)
	last, edges := uint64(0), int64(0)
	for i := range m.blocks {
		b := &m.blocks[i]
		b.Start = last + uint64(r.Int())
		b.End = b.Start + r.Uint()
		b.Last = b.End - r.Uint()
		last = b.End
		term, nedg := r.Uint(), r.Uint()
		if term > uint64(TermUnknown) || nedg > 255 {
			return pack.ErrCorrupt
		}
		b.Term, b.nedg, b.edge = Term(term), uint8(nedg), int32(edges)
		edges += int64(nedg)
	}
	n = r.Len()
	if int64(n) != edges {
		return pack.ErrCorrupt
	}
	m.edges = make([]Edge, n)
	for i := range m.edges {
		to, kind := r.Uint(), r.Uint()
		if to > uint64(blocks) || kind > uint64(EdgeIndirect) {
			return pack.ErrCorrupt
		}
		m.edges[i] = Edge{To: int32(to), Kind: EdgeKind(kind)}
	}
	for i := range m.Funcs {
		for k := range m.Blocks(FuncID(i)) {
			for _, e := range m.Edges(&m.Blocks(FuncID(i))[k]) {
				if e.To >= m.Funcs[i].nbl {
					return pack.ErrCorrupt
				}
			}
		}
	}
	return r.Err()
}

func (m *Model) unpackRefs(r *pack.Reader, calls int64) error {
	id := func(v int64) FuncID {
		if v < -1 || v >= int64(len(m.Funcs)) {
			r.Fail()
			return NoFunc
		}
		return FuncID(v)
	}
	n := r.Len()
	if int64(n) != calls {
		return pack.ErrCorrupt
	}
	m.calls = make([]Call, n)
	last := uint64(0)
	for i := range m.calls {
		c := &m.calls[i]
		c.Site = last + uint64(r.Int())
		last = c.Site
		c.Target, c.Via, c.Slot = id(r.Int()), id(r.Int()), r.Uint()
		kind := r.Uint()
		if kind > uint64(CallAlt) {
			return pack.ErrCorrupt
		}
		c.Kind, c.Interior = CallKind(kind), r.Bool()
	}
	for i := range m.Funcs {
		for k := range m.Calls(FuncID(i)) {
			m.Calls(FuncID(i))[k].Caller = FuncID(i)
		}
	}
	m.DataRefs = make([]DataRef, r.Len())
	last = 0
	for i := range m.DataRefs {
		last += uint64(r.Int())
		m.DataRefs[i] = DataRef{Addr: last, Func: id(int64(r.Uint()))}
	}
	m.CodeRefs = make([]CodeRef, r.Len())
	last = 0
	for i := range m.CodeRefs {
		last += uint64(r.Int())
		m.CodeRefs[i] = CodeRef{Addr: last, In: id(r.Int()), Func: id(r.Int()), Call: r.Uint(), Arg: int8(r.Int())}
	}
	if r.Err() == nil && slices.ContainsFunc(m.DataRefs, func(d DataRef) bool { return d.Func == NoFunc }) {
		return pack.ErrCorrupt
	}
	return r.Err()
}
