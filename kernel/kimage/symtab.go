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
	section := im.Section(".symtab")
	if section == nil {
		return nil, fmt.Errorf("%s: no symbol table", im.Path)
	}
	if section.Link == 0 || int(section.Link) > len(im.Sections) {
		return nil, fmt.Errorf("%s: symbol table names string table %d", im.Path, section.Link)
	}
	strtab := string(im.Sections[section.Link-1].data)
	data := section.data
	out := make([]ELFSymbol, 0, len(data)/entry)
	for off := entry; off+entry <= len(data); off += entry {
		no := im.Order.Uint32(data[off:])
		if uint64(no) >= uint64(len(strtab)) {
			return nil, fmt.Errorf("%s: symbol %d has its name at %#x, outside the string table", im.Path, off/entry,
				no)
		}
		name := strtab[no:]
		end := strings.IndexByte(name, 0)
		if end < 0 {
			return nil, fmt.Errorf("%s: symbol %d has an unterminated name", im.Path, off/entry)
		}
		out = append(out, ELFSymbol{
			Name: name[:end], Type: elf.SymType(data[off+4] & 0xf), Bind: elf.SymBind(data[off+4] >> 4),
			Section: int(im.Order.Uint16(data[off+6:])), Addr: im.Order.Uint64(data[off+8:]),
			Size: im.Order.Uint64(data[off+16:]),
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
func (im *Image) nmType(sym ELFSymbol) byte {
	upper := func(letter byte) byte {
		if sym.Bind != elf.STB_LOCAL {
			letter -= 'a' - 'A'
		}
		return letter
	}

	// As with nm, that a symbol is weak is told before its section.
	undef := sym.Section == int(elf.SHN_UNDEF)
	if sym.Bind == elf.STB_WEAK {
		letter := byte('w')
		if sym.Type == elf.STT_OBJECT {
			letter = 'v'
		}
		if undef {
			return letter
		}
		return upper(letter)
	}
	switch {
	case undef:
		return 'U'
	case sym.Section == int(elf.SHN_ABS):
		return upper('a')
	case sym.Section == int(elf.SHN_COMMON):
		return 'C'
	case sym.Section > len(im.Sections):
		return '?'
	}
	sec := &im.Sections[sym.Section-1]
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
