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

func newSymbolsBuilder(count int) *symbolsBuilder {
	return &symbolsBuilder{
		names: make([]byte, 0, 20*count),
		off:   append(make([]uint32, 0, count+1), 0),
		addrs: make([]uint64, 0, count),
		types: make([]byte, 0, count),
	}
}

func (b *symbolsBuilder) add(name string, addr uint64, typ byte) {
	b.names = append(b.names, name...)
	b.off = append(b.off, uint32(len(b.names)))
	b.addrs = append(b.addrs, addr)
	b.types = append(b.types, typ)
}

func (b *symbolsBuilder) finish(source, path string) *Symbols {
	count := len(b.addrs)
	syms := &Symbols{
		Source: source, Path: path,
		names: string(b.names), off: b.off, addrs: b.addrs, types: b.types,
		groups: make(map[string]group, count), next: make([]int32, count), pos: make([]int32, count),
	}
	for i := range int32(count) {
		syms.next[i] = -1
		name := syms.name(i)
		same, ok := syms.groups[name]
		if ok {
			syms.next[same.last] = i
		} else {
			same.first = i
		}
		same.last = i
		same.count++
		syms.pos[i] = same.count
		syms.groups[name] = same
	}
	return syms
}

func (s *Symbols) name(i int32) string { return s.names[s.off[i]:s.off[i+1]] }

// Len is the number of symbols.
func (s *Symbols) Len() int { return len(s.addrs) }

// Index returns the i-th symbol in kallsyms order, from 0.
func (s *Symbols) Index(i int) Symbol {
	name := s.name(int32(i))
	return Symbol{Name: name, Addr: s.addrs[i], Type: s.types[i], Index: i, Pos: int(s.pos[i]),
		Count: int(s.groups[name].count)}
}

// Lookup returns all symbols of a name, in sympos order; nil when there is none.
func (s *Symbols) Lookup(name string) []Symbol {
	same, ok := s.groups[name]
	if !ok {
		return nil
	}
	out := make([]Symbol, 0, same.count)
	for i := same.first; i >= 0; i = s.next[i] {
		out = append(out, Symbol{Name: s.name(i), Addr: s.addrs[i], Type: s.types[i], Index: int(i), Pos: int(s.pos[i]),
			Count: int(same.count)})
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
	last := sort.Search(len(s.addrs), func(i int) bool { return s.addrs[i] > addr }) - 1
	if last < 0 {
		return Symbol{}, false
	}
	for last > 0 && s.addrs[last-1] == s.addrs[last] {
		last--
	}
	return s.Index(last), true
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

// Differ says how other differs from s in a way that matters to sympos: a name
// with other addresses. what is "" when nothing does; inS and inO are the two values.
// Names that only one of the two has do not matter: builds differ in which
// marker symbols they keep.
func (s *Symbols) Differ(other *Symbols) (what, inS, inO string) {
	for sym := range other.All() {
		if sym.Pos != 1 {
			continue
		}
		ours, theirs := s.Lookup(sym.Name), other.Lookup(sym.Name)
		if len(ours) == 0 {
			continue
		}
		if len(ours) != len(theirs) {
			return "the number of symbols " + sym.Name, fmt.Sprint(len(ours)), fmt.Sprint(len(theirs))
		}
		for i := range ours {
			if ours[i].Addr != theirs[i].Addr {
				return fmt.Sprintf("the address of %s,%d", sym.Name, i+1), fmt.Sprintf("%#x",
					ours[i].Addr), fmt.Sprintf("%#x", theirs[i].Addr)
			}
		}
	}
	return "", "", ""
}
