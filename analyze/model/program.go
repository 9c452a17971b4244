package model

import (
	"debug/elf"
	"fmt"
	"slices"
	"sort"
	"strings"

	"github.com/klpforge/klpforge/analyze/machine"
	"github.com/klpforge/klpforge/kernel/kimage"
)

// Program is the input of Build: bytes at addresses with names. It aliases
// the image or object that it was made from.
type Program struct {
	Name string // "vmlinux", or the object's name
	segs []Segment
	syms []Symbol // ascending by address, at one address in order of preference
	// byName indexes syms.
	byName map[string][]int32
	tables tables
	arch   machine.Arch
	base   *Program // holds what an object is bound to; nil for a kernel
}

// Segment is a range of bytes at an address.
type Segment struct {
	Name string // of the section
	Addr uint64
	Data []byte // nil when nothing is stored (.bss)
	Size uint64
	Exec bool
	// Percpu says that Addr is an offset in the per-CPU area, not an address.
	Percpu bool
}

// Symbol is a name for an address.
type Symbol struct {
	Name string
	Addr uint64
	Size uint64 // 0 when not known
	Code bool   // lies in code
	// Extern says that the program does not hold what the name stands for;
	// its address is made up, unless it came from a base program.
	Extern bool
}

// tables holds the kernel's special tables as ranges of the program.
type tables struct {
	bug, extable, jump, alt         []byte
	bugAt, extableAt, jumpAt, altAt uint64
}

// FromImage makes a program of a kernel image. Symbols of the image are found
// by syms; sizes come from the image's own symbol table where it has one.
func FromImage(im *kimage.Image, syms *kimage.Symbols) (*Program, error) {
	arch, err := machine.For(im.Arch.Machine)
	if err != nil {
		return nil, fmt.Errorf("model %s: %w", im.Path, err)
	}
	prog := &Program{Name: "vmlinux", arch: arch}
	for i := range im.Sections {
		section := &im.Sections[i]
		if section.Flags&elf.SHF_ALLOC == 0 || section.Size == 0 {
			continue
		}
		seg := Segment{Name: section.Name, Addr: section.Addr, Data: section.Data(), Size: section.Size,
			Exec: section.Flags&elf.SHF_EXECINSTR != 0}
		seg.Percpu = section.Name == ".data..percpu" && section.Addr < 1<<32
		prog.segs = append(prog.segs, seg)
	}
	prog.sortSegments()

	// What kallsyms does not say, which symbols are functions and how long, is in the symbol
	// table, if the image kept one.
	sizes := map[uint64]uint64{}
	funcs := map[string]bool{}
	if im.HasSymtab() {
		st, err := im.Symtab()
		if err != nil {
			return nil, fmt.Errorf("model %s: %w", im.Path, err)
		}
		for _, sym := range st {
			if sym.Type == elf.STT_FUNC && sym.Size > sizes[sym.Addr] {
				sizes[sym.Addr] = sym.Size
			}
			if sym.Type == elf.STT_FUNC {
				funcs[sym.Name] = true
			}
		}
	}

	for sym := range syms.All() {
		if sym.Name == "" {
			continue
		}
		prog.syms = append(prog.syms, Symbol{Name: sym.Name, Addr: sym.Addr, Size: sizes[sym.Addr],
			Code: prog.codeAt(sym.Addr) && !padding(sym.Name)})
	}
	prog.sortSymbols(funcs)

	// The tables by the symbols that bound them, as the kernel itself finds them; an image that
	// is not linked has sections only.
	section := func(name, start, stop string) ([]byte, uint64) {
		addr, ok1 := prog.Lookup(start)
		b, ok2 := prog.Lookup(stop)
		if ok1 && ok2 && b > addr && b-addr < 1<<30 {
			if data, err := prog.Read(addr, int(b-addr)); err == nil {
				return data, addr
			}
		}
		if section := im.Section(name); section != nil {
			return section.Data(), section.Addr
		}
		return nil, 0
	}
	tabs := &prog.tables
	tabs.bug, tabs.bugAt = section("__bug_table", "__start___bug_table", "__stop___bug_table")
	tabs.extable, tabs.extableAt = section("__ex_table", "__start___ex_table", "__stop___ex_table")
	tabs.jump, tabs.jumpAt = section("__jump_table", "__start___jump_table", "__stop___jump_table")
	tabs.alt, tabs.altAt = section(".altinstructions", "__alt_instructions", "__alt_instructions_end")
	return prog, nil
}

func (p *Program) sortSegments() {
	sort.SliceStable(p.segs, func(i, j int) bool { return p.segs[i].Addr < p.segs[j].Addr })
}

// sortSymbols orders symbols by address and, at one address, real functions
// before markers and shorter names before longer ones.
func (p *Program) sortSymbols(funcs map[string]bool) {
	rank := func(s *Symbol) int {
		switch {
		case funcs[s.Name]:
			return 0
		case marker(s.Name):
			return 2
		}
		return 1
	}
	sort.SliceStable(p.syms, func(i, j int) bool {
		left, right := &p.syms[i], &p.syms[j]
		if left.Addr != right.Addr {
			return left.Addr < right.Addr
		}
		return rank(left) < rank(right)
	})
	p.byName = make(map[string][]int32, len(p.syms))
	for i := range p.syms {
		p.byName[p.syms[i].Name] = append(p.byName[p.syms[i].Name], int32(i))
	}
}

// Arch is what the program's code is for.
func (p *Program) Arch() machine.Arch { return p.arch }

// Segments returns the program's segments by address. The caller must not
// change them.
func (p *Program) Segments() []Segment { return p.segs }

// Symbols returns all symbols by address. The caller must not change them.
func (p *Program) Symbols() []Symbol { return p.syms }

// Lookup returns the address of a name, of its first symbol when there are
// several.
func (p *Program) Lookup(name string) (uint64, bool) {
	list := p.byName[name]
	if len(list) == 0 {
		return 0, false
	}
	return p.syms[list[0]].Addr, true
}

// SymbolAt names an address: the last symbol at or below it within the same
// segment, and the distance in bytes. An object's base program is asked for
// what the object does not hold.
func (p *Program) SymbolAt(addr uint64) (Symbol, uint64, bool) {
	if p.base != nil && p.segmentAt(addr) < 0 && addr < externBase {
		return p.base.SymbolAt(addr)
	}
	next := sort.Search(len(p.syms), func(i int) bool { return p.syms[i].Addr > addr })
	if next == 0 {
		return Symbol{}, 0, false
	}
	at := p.syms[next-1].Addr
	if at != addr && p.segmentAt(at) != p.segmentAt(addr) {
		return Symbol{}, 0, false
	}
	for next > 0 && p.syms[next-1].Addr == at {
		next--
	}
	return p.syms[next], addr - at, true
}

func (p *Program) segmentAt(addr uint64) int {
	i := sort.Search(len(p.segs), func(i int) bool { return p.segs[i].Addr > addr }) - 1
	if i < 0 || addr-p.segs[i].Addr >= p.segs[i].Size {
		return -1
	}
	return i
}

// SegmentAt returns the segment that holds addr.
func (p *Program) SegmentAt(addr uint64) (Segment, bool) {
	if i := p.segmentAt(addr); i >= 0 {
		return p.segs[i], true
	}
	return Segment{}, false
}

func (p *Program) codeAt(addr uint64) bool {
	i := p.segmentAt(addr)
	return i >= 0 && p.segs[i].Exec
}

// Read returns size stored bytes at addr; they alias the input.
func (p *Program) Read(addr uint64, size int) ([]byte, error) {
	id := p.segmentAt(addr)
	if id < 0 && p.base != nil {
		return p.base.Read(addr, size)
	}
	if id < 0 || size < 0 {
		return nil, fmt.Errorf("read %#x: %w", addr, kimage.ErrNoBytes)
	}
	off := addr - p.segs[id].Addr
	data := p.segs[id].Data
	if off > uint64(len(data)) || uint64(size) > uint64(len(data))-off {
		return nil, fmt.Errorf("read %d bytes at %#x: %w", size, addr, kimage.ErrNoBytes)
	}
	return data[off : off+uint64(size) : off+uint64(size)], nil
}

// padding reports whether a name stands for the padding before a function,
// which kernels since 6.4 may have.
func padding(name string) bool { return strings.HasPrefix(name, "__pfx_") }

// marker reports whether a symbol looks like a linker script's mark rather
// than a function.
func marker(name string) bool {
	for _, suffix := range []string{"_start", "_end", "_begin", "_text"} {
		if len(name) > len(suffix)+1 && name[:2] == "__" && name[len(name)-len(suffix):] == suffix {
			return true
		}
	}
	return slices.Contains([]string{"_text", "_stext", "_etext", "_sinittext", "_einittext", "__init_begin",
		"__init_end", "_sdata", "_edata"}, name)
}

// PreemptCount is the per-CPU offset of the preempt count: of __preempt_count,
// or of pcpu_hot's second field where that exists (6.2 and later). It is 0
// when the program names neither.
func (p *Program) PreemptCount() uint64 {
	if addr, ok := p.Lookup("__preempt_count"); ok {
		return addr
	}
	if addr, ok := p.Lookup("pcpu_hot"); ok {
		return addr + 8 // struct pcpu_hot: current_task, then preempt_count (arch/x86/include/asm/current.h)
	}
	return 0
}
