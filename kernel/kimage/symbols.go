package kimage

import (
	"fmt"
	"iter"
	"sort"
)

// Symbol is one entry of a kernel's kallsyms.
type Symbol struct {
	Name  string
	Addr  uint64
	Type  byte // as nm prints it; upper case is global; 'A' also for per-CPU symbols
	Index int  // position in the whole table, from 0
	// Pos counts the symbols of this name in kallsyms order, from 1: it is
	// what a livepatch calls sympos. Count is how many there are; with
	// Count 1 a livepatch may also say sympos 0.
	Pos, Count int
}

// Sympos is the position to write into a livepatch: 0 for a unique symbol,
// otherwise Pos.
func (s Symbol) Sympos() int {
	if s.Count == 1 {
		return 0
	}
	return s.Pos
}

// Symbols are vmlinux's symbols as its kallsyms shows them, in that order,
// which is by address. It is immutable and safe for concurrent use.
type Symbols struct {
	Source string // "kallsyms", "symtab", "System.map"
	Path   string // the file they came from

	names string   // all names, one after another
	off   []uint32 // len n+1: names[off[i]:off[i+1]] is the name of i
	addrs []uint64
	types []byte

	groups map[string]group
	next   []int32 // the next index of the same name, -1 at the end
	pos    []int32
}

type group struct{ first, last, count int32 }

// symbolsBuilder collects symbols in kallsyms order.
type symbolsBuilder struct {
	names []byte
	off   []uint32
	addrs []uint64
	types []byte
}

func newSymbolsBuilder(n int) *symbolsBuilder {
	return &symbolsBuilder{
		names: make([]byte, 0, 20*n),
		off:   append(make([]uint32, 0, n+1), 0),
		addrs: make([]uint64, 0, n),
		types: make([]byte, 0, n),
	}
}

func (b *symbolsBuilder) add(name string, addr uint64, typ byte) {
	b.names = append(b.names, name...)
	b.off = append(b.off, uint32(len(b.names)))
	b.addrs = append(b.addrs, addr)
	b.types = append(b.types, typ)
}

func (b *symbolsBuilder) finish(source, path string) *Symbols {
	n := len(b.addrs)
	s := &Symbols{
		Source: source, Path: path,
		names: string(b.names), off: b.off, addrs: b.addrs, types: b.types,
		groups: make(map[string]group, n), next: make([]int32, n), pos: make([]int32, n),
	}
	for i := range int32(n) {
		s.next[i] = -1
		name := s.name(i)
		g, ok := s.groups[name]
		if ok {
			s.next[g.last] = i
		} else {
			g.first = i
		}
		g.last = i
		g.count++
		s.pos[i] = g.count
		s.groups[name] = g
	}
	return s
}

func (s *Symbols) name(i int32) string { return s.names[s.off[i]:s.off[i+1]] }

// Len is the number of symbols.
func (s *Symbols) Len() int { return len(s.addrs) }

// Index returns the i-th symbol in kallsyms order, from 0.
func (s *Symbols) Index(i int) Symbol {
	name := s.name(int32(i))
	return Symbol{Name: name, Addr: s.addrs[i], Type: s.types[i], Index: i, Pos: int(s.pos[i]), Count: int(s.groups[name].count)}
}

// Lookup returns all symbols of a name, in sympos order; nil when there is none.
func (s *Symbols) Lookup(name string) []Symbol {
	g, ok := s.groups[name]
	if !ok {
		return nil
	}
	out := make([]Symbol, 0, g.count)
	for i := g.first; i >= 0; i = s.next[i] {
		out = append(out, Symbol{Name: s.name(i), Addr: s.addrs[i], Type: s.types[i], Index: int(i), Pos: int(s.pos[i]), Count: int(g.count)})
	}
	return out
}

// Unique returns the symbol of that name when there is exactly one.
func (s *Symbols) Unique(name string) (Symbol, bool) {
	g, ok := s.groups[name]
	if !ok || g.count != 1 {
		return Symbol{}, false
	}
	return s.Index(int(g.first)), true
}

// Resolve returns what a livepatch's (name, sympos) pair means to the kernel
// (klp_find_object_symbol, kernel/livepatch/core.c): sympos 0 demands a unique
// name.
func (s *Symbols) Resolve(name string, sympos int) (Symbol, bool) {
	all := s.Lookup(name)
	switch {
	case sympos == 0 && len(all) == 1:
		return all[0], true
	case sympos > 0 && sympos <= len(all):
		return all[sympos-1], true
	}
	return Symbol{}, false
}

// At returns all symbols at exactly addr, in kallsyms order.
func (s *Symbols) At(addr uint64) []Symbol {
	i := sort.Search(len(s.addrs), func(i int) bool { return s.addrs[i] >= addr })
	var out []Symbol
	for ; i < len(s.addrs) && s.addrs[i] == addr; i++ {
		out = append(out, s.Index(i))
	}
	return out
}

// Find returns the symbol that kallsyms would name for addr: of those at the
// greatest address not above addr, the first (get_symbol_pos,
// kernel/kallsyms.c). It reports false below the first symbol. Beyond the
// end of a section it returns that section's last symbol.
func (s *Symbols) Find(addr uint64) (Symbol, bool) {
	i := sort.Search(len(s.addrs), func(i int) bool { return s.addrs[i] > addr }) - 1
	if i < 0 {
		return Symbol{}, false
	}
	for i > 0 && s.addrs[i-1] == s.addrs[i] {
		i--
	}
	return s.Index(i), true
}

// Next returns the lowest symbol address above addr, false above the last.
// Next(a)-a is the size kallsyms gives a symbol at a.
func (s *Symbols) Next(addr uint64) (uint64, bool) {
	i := sort.Search(len(s.addrs), func(i int) bool { return s.addrs[i] > addr })
	if i == len(s.addrs) {
		return 0, false
	}
	return s.addrs[i], true
}

// All yields every symbol in kallsyms order.
func (s *Symbols) All() iter.Seq[Symbol] {
	return func(yield func(Symbol) bool) {
		for i := range s.addrs {
			if !yield(s.Index(i)) {
				return
			}
		}
	}
}

// Differ says how o differs from s in a way that matters to sympos: a name
// with other addresses. what is "" when nothing does; inS and inO are the two values.
// Names that only one of the two has do not matter: builds differ in which
// marker symbols they keep.
func (s *Symbols) Differ(o *Symbols) (what, inS, inO string) {
	for sym := range o.All() {
		if sym.Pos != 1 {
			continue
		}
		x, y := s.Lookup(sym.Name), o.Lookup(sym.Name)
		if len(x) == 0 {
			continue
		}
		if len(x) != len(y) {
			return "the number of symbols " + sym.Name, fmt.Sprint(len(x)), fmt.Sprint(len(y))
		}
		for i := range x {
			if x[i].Addr != y[i].Addr {
				return fmt.Sprintf("the address of %s,%d", sym.Name, i+1), fmt.Sprintf("%#x", x[i].Addr), fmt.Sprintf("%#x", y[i].Addr)
			}
		}
	}
	return "", "", ""
}
