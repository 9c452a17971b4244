package kimage

import (
	"debug/elf"
	"fmt"
	"sort"
	"strings"

	"github.com/klpforge/klpforge/kernel/kconfig"
)

// ELFSymbol is one entry of a vmlinux's .symtab.
type ELFSymbol struct {
	Name    string
	Addr    uint64
	Size    uint64
	Type    elf.SymType
	Bind    elf.SymBind
	Section int // index into the ELF section table, or a SHN_ value
}

// HasSymtab reports whether the image has a symbol table (a debug package's
// vmlinux has, the one inside a bzImage has not).
func (im *Image) HasSymtab() bool { return im.Section(".symtab") != nil }

// Symtab returns the entries of .symtab in file order, without the null entry.
func (im *Image) Symtab() ([]ELFSymbol, error) {
	const entry = 24 // Elf64_Sym
	s := im.Section(".symtab")
	if s == nil {
		return nil, fmt.Errorf("%s: no symbol table", im.Path)
	}
	if s.Link == 0 || int(s.Link) > len(im.Sections) {
		return nil, fmt.Errorf("%s: symbol table names string table %d", im.Path, s.Link)
	}
	strtab := string(im.Sections[s.Link-1].data)
	d := s.data
	out := make([]ELFSymbol, 0, len(d)/entry)
	for o := entry; o+entry <= len(d); o += entry {
		no := im.Order.Uint32(d[o:])
		if uint64(no) >= uint64(len(strtab)) {
			return nil, fmt.Errorf("%s: symbol %d has its name at %#x, outside the string table", im.Path, o/entry, no)
		}
		name := strtab[no:]
		i := strings.IndexByte(name, 0)
		if i < 0 {
			return nil, fmt.Errorf("%s: symbol %d has an unterminated name", im.Path, o/entry)
		}
		out = append(out, ELFSymbol{
			Name: name[:i], Type: elf.SymType(d[o+4] & 0xf), Bind: elf.SymBind(d[o+4] >> 4),
			Section: int(im.Order.Uint16(d[o+6:])), Addr: im.Order.Uint64(d[o+8:]), Size: im.Order.Uint64(d[o+16:]),
		})
	}
	return out, nil
}

// SymtabSymbols derives what kallsyms would show from .symtab; cfg may be nil, as
// for [ParseSystemMap].
func (im *Image) SymtabSymbols(cfg *kconfig.Config) (*Symbols, error) {
	syms, err := im.Symtab()
	if err != nil {
		return nil, err
	}
	list := make([]nmSymbol, 0, len(syms))
	for _, s := range syms {
		if s.Type == elf.STT_FILE || s.Type == elf.STT_SECTION || s.Name == "" {
			continue
		}
		list = append(list, nmSymbol{s.Addr, im.nmType(s), s.Name})
	}
	// nm -n sorts by value and then by name.
	sort.SliceStable(list, func(i, j int) bool {
		if list[i].addr != list[j].addr {
			return list[i].addr < list[j].addr
		}
		return list[i].name < list[j].name
	})
	return symbolsOf(list, rulesOf(cfg), "symtab", im.Path), nil
}

// nmType is the letter nm prints for a symbol, as far as sections decide it.
func (im *Image) nmType(s ELFSymbol) byte {
	upper := func(c byte) byte {
		if s.Bind != elf.STB_LOCAL {
			c -= 'a' - 'A'
		}
		return c
	}
	undef := s.Section == int(elf.SHN_UNDEF)
	if s.Bind == elf.STB_WEAK {
		c := byte('w')
		if s.Type == elf.STT_OBJECT {
			c = 'v'
		}
		if undef {
			return c
		}
		return upper(c)
	}
	switch {
	case undef:
		return 'U'
	case s.Section == int(elf.SHN_ABS):
		return upper('a')
	case s.Section == int(elf.SHN_COMMON):
		return 'C'
	case s.Section > len(im.Sections):
		return '?'
	}
	sec := &im.Sections[s.Section-1]
	switch {
	case sec.Flags&elf.SHF_EXECINSTR != 0:
		return upper('t')
	case sec.Flags&elf.SHF_ALLOC == 0:
		return 'N'
	case sec.Type == elf.SHT_NOBITS:
		return upper('b')
	case sec.Flags&elf.SHF_WRITE == 0:
		return upper('r')
	}
	return upper('d')
}
