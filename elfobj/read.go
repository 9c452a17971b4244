package elfobj

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"slices"
	"sort"
	"strings"
)

// ErrNotObject means that the input is not a relocatable ELF64 object.
var ErrNotObject = errors.New("not a relocatable ELF64 object")

// FormatError reports malformed input. Off is the file offset in bytes where
// the bad structure lies, or -1.
type FormatError struct {
	Off  int64
	What string
}

func (e *FormatError) Error() string {
	if e.Off >= 0 {
		return fmt.Sprintf("malformed ELF at offset %#x: %s", e.Off, e.What)
	}
	return "malformed ELF: " + e.What
}

func bad(off int64, format string, args ...any) error {
	return &FormatError{Off: off, What: fmt.Sprintf(format, args...)}
}

// ReadFile reads the object at path.
func ReadFile(path string) (*File, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	f, err := Read(data)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return f, nil
}

const (
	ehdrSize = 64
	shdrSize = 64
	symSize  = 24
	relaSize = 24
)

type rawSection struct {
	name           string
	nameOff        uint32
	typ            elf.SectionType
	flags          elf.SectionFlag
	off, size      uint64
	link, info     uint32
	align, entsize uint64
	data           []byte
	id             SecID // position in File.Sections, 0 when folded away
}

type reader struct {
	in  []byte
	bo  binary.ByteOrder
	raw []rawSection
	f   *File

	symtab int // index of the symbol table in raw, 0 if none
	names  int // bytes of names that may still be handed out
}

// maxNames bounds the bytes of all names together, as a multiple of the file:
// string tables share tails, but an honest one repeats itself rarely.
const maxNames = 64

// Read parses a relocatable object or a kernel module. Section data alias in
// until the caller replaces them. Every offset, count and index of the input
// is checked; memory use is at most a small multiple of len(in).
func Read(in []byte) (*File, error) {
	r := &reader{in: in, f: &File{}, names: maxNames * len(in)}
	if err := r.header(); err != nil {
		return nil, err
	}
	if err := r.sections(); err != nil {
		return nil, err
	}
	if err := r.symbols(); err != nil {
		return nil, err
	}
	if err := r.relocations(); err != nil {
		return nil, err
	}
	if err := r.groups(); err != nil {
		return nil, err
	}
	return r.f, nil
}

func (r *reader) header() error {
	in := r.in
	if len(in) < ehdrSize || !bytes.Equal(in[:4], []byte(elf.ELFMAG)) {
		return fmt.Errorf("%w: no ELF header", ErrNotObject)
	}
	if elf.Class(in[elf.EI_CLASS]) != elf.ELFCLASS64 {
		return fmt.Errorf("%w: %v", ErrNotObject, elf.Class(in[elf.EI_CLASS]))
	}
	switch elf.Data(in[elf.EI_DATA]) {
	case elf.ELFDATA2LSB:
		r.bo = binary.LittleEndian
	case elf.ELFDATA2MSB:
		r.bo = binary.BigEndian
	default:
		return bad(int64(elf.EI_DATA), "unknown byte order %d", in[elf.EI_DATA])
	}
	f := r.f
	f.BigEndian = r.bo == binary.BigEndian
	f.OSABI = in[elf.EI_OSABI]
	f.Type = elf.Type(r.bo.Uint16(in[16:]))
	f.Machine = elf.Machine(r.bo.Uint16(in[18:]))
	f.Flags = r.bo.Uint32(in[48:])
	if f.Type != elf.ET_REL {
		return fmt.Errorf("%w: file type is %v", ErrNotObject, f.Type)
	}
	if n := r.bo.Uint16(in[56:]); n != 0 {
		return bad(56, "relocatable object has %d program headers", n)
	}
	return nil
}

func (r *reader) sections() error {
	shoff := r.bo.Uint64(r.in[40:])
	if es := r.bo.Uint16(r.in[58:]); es != shdrSize {
		return bad(58, "section header size is %d, want %d", es, shdrSize)
	}
	num := uint64(r.bo.Uint16(r.in[60:]))
	strndx := uint32(r.bo.Uint16(r.in[62:]))
	size := uint64(len(r.in))
	if shoff == 0 || shoff > size || size-shoff < shdrSize {
		return bad(40, "section header table at %#x lies outside the file of %d bytes", shoff, size)
	}
	// Extended numbering: the real counts are in section 0 (gABI).
	if num == 0 {
		num = r.bo.Uint64(r.in[shoff+32:])
	}
	if strndx == uint32(elf.SHN_XINDEX) {
		strndx = r.bo.Uint32(r.in[shoff+40:])
	}
	if num > (size-shoff)/shdrSize {
		return bad(int64(shoff), "%d section headers do not fit in the file", num)
	}
	if num == 0 {
		return bad(60, "no sections")
	}
	if uint64(strndx) >= num || strndx == 0 {
		return bad(62, "section name table index %d out of range", strndx)
	}
	r.raw = make([]rawSection, num)
	used := uint64(0)
	for i := range r.raw {
		h := r.in[shoff+uint64(i)*shdrSize:][:shdrSize]
		s := &r.raw[i]
		s.nameOff = r.bo.Uint32(h)
		s.typ = elf.SectionType(r.bo.Uint32(h[4:]))
		s.flags = elf.SectionFlag(r.bo.Uint64(h[8:]))
		s.off = r.bo.Uint64(h[24:])
		s.size = r.bo.Uint64(h[32:])
		s.link = r.bo.Uint32(h[40:])
		s.info = r.bo.Uint32(h[44:])
		s.align = r.bo.Uint64(h[48:])
		s.entsize = r.bo.Uint64(h[56:])
		if i == 0 || s.typ == elf.SHT_NULL {
			continue
		}
		if s.typ != elf.SHT_NOBITS {
			if s.off > size || s.size > size-s.off {
				return bad(int64(s.off), "section %d (%d bytes) lies outside the file", i, s.size)
			}
			// Sections do not overlap, so what is made of them is bounded by
			// the size of the file.
			if used += s.size; used > size {
				return bad(int64(s.off), "section %d (%d bytes) overlaps another one", i, s.size)
			}
			s.data = r.in[s.off : s.off+s.size : s.off+s.size]
		} else if s.size > 1<<32 {
			return bad(int64(s.off), "section %d claims %d bytes of zeroes", i, s.size)
		}
		if s.align&(s.align-1) != 0 || s.align > 1<<26 {
			return bad(-1, "section %d has alignment %d", i, s.align)
		}
	}
	strs := string(r.raw[strndx].data)
	for i := range r.raw {
		n, err := r.name(strs, r.raw[i].nameOff)
		if err != nil && i > 0 {
			return bad(-1, "section %d: name offset %#x outside the name table", i, r.raw[i].nameOff)
		}
		r.raw[i].name = n
	}
	return r.place(int(strndx))
}

// place decides which raw sections stay in the model and numbers them.
func (r *reader) place(shstr int) error {
	strtab := 0
	for i := 1; i < len(r.raw); i++ {
		if r.raw[i].typ == elf.SHT_SYMTAB {
			if r.symtab != 0 {
				return bad(-1, "two symbol tables")
			}
			r.symtab = i
			strtab = int(r.raw[i].link)
		}
	}
	r.f.Sections = append(make([]Section, 0, len(r.raw)), Section{})
	for i := 1; i < len(r.raw); i++ {
		s := &r.raw[i]
		switch s.typ {
		case elf.SHT_NULL, elf.SHT_SYMTAB, elf.SHT_SYMTAB_SHNDX, elf.SHT_RELA:
			continue
		case elf.SHT_REL:
			return bad(int64(s.off), "section %s uses REL relocations, which no supported architecture has", s.name)
		case elf.SHT_STRTAB:
			if i == shstr || i == strtab {
				continue
			}
		}
		s.id = SecID(len(r.f.Sections))
		r.f.Sections = append(r.f.Sections, Section{
			Name: s.name, Type: s.typ, Flags: s.flags, Align: s.align,
			EntSize: s.entsize, Size: s.size, Data: s.data,
		})
	}
	for i := range r.raw {
		s := &r.raw[i]
		if s.id != 0 && s.flags&elf.SHF_LINK_ORDER != 0 {
			if uint64(s.link) >= uint64(len(r.raw)) {
				return bad(-1, "section %s: link %d out of range", s.name, s.link)
			}
			r.f.Sections[s.id].Link = r.raw[s.link].id
		}
	}
	return nil
}

func (r *reader) symbols() error {
	r.f.Symbols = []Symbol{{}}
	if r.symtab == 0 {
		return nil
	}
	tab := &r.raw[r.symtab]
	if tab.entsize != symSize || tab.size%symSize != 0 {
		return bad(int64(tab.off), "symbol table of %d bytes with entries of %d", tab.size, tab.entsize)
	}
	if uint64(tab.link) >= uint64(len(r.raw)) || r.raw[tab.link].typ != elf.SHT_STRTAB {
		return bad(int64(tab.off), "symbol table without string table")
	}
	strs := string(r.raw[tab.link].data)
	var xindex []byte
	for i := range r.raw {
		if r.raw[i].typ == elf.SHT_SYMTAB_SHNDX && int(r.raw[i].link) == r.symtab {
			xindex = r.raw[i].data
		}
	}
	n := int(tab.size / symSize)
	if n == 0 {
		return nil
	}
	r.f.Symbols = make([]Symbol, n)
	for i := 1; i < n; i++ {
		e := tab.data[i*symSize:][:symSize]
		name, err := r.name(strs, r.bo.Uint32(e))
		if err != nil {
			return bad(int64(tab.off)+int64(i*symSize), "symbol %d: name outside the string table", i)
		}
		s := Symbol{
			Name: name, Bind: elf.ST_BIND(e[4]), Type: elf.ST_TYPE(e[4]), Other: e[5],
			Value: r.bo.Uint64(e[8:]), Size: r.bo.Uint64(e[16:]),
		}
		shndx := uint32(r.bo.Uint16(e[6:]))
		ext := shndx == uint32(elf.SHN_XINDEX)
		if ext {
			if len(xindex) < (i+1)*4 {
				return bad(int64(tab.off), "symbol %d (%s): extended section index missing", i, name)
			}
			shndx = r.bo.Uint32(xindex[i*4:])
		}
		if s.Sec, err = r.symbolSection(shndx, ext); err != nil {
			return fmt.Errorf("symbol %d (%s): %w", i, name, err)
		}
		if s.Type == elf.STT_SECTION && s.Sec > 0 {
			s.Name = ""
		}
		r.f.Symbols[i] = s
	}
	return nil
}

func (r *reader) symbolSection(shndx uint32, ext bool) (SecID, error) {
	switch {
	case shndx == uint32(elf.SHN_UNDEF):
		return SecUndef, nil
	case ext || shndx < uint32(elf.SHN_LORESERVE):
		if uint64(shndx) >= uint64(len(r.raw)) {
			return 0, bad(-1, "section index %d out of range", shndx)
		}
		id := r.raw[shndx].id
		if id == 0 {
			// A section symbol of a folded table; nothing may refer to it.
			return SecAbs, nil
		}
		return id, nil
	case shndx == uint32(elf.SHN_ABS):
		return SecAbs, nil
	case shndx == uint32(elf.SHN_COMMON):
		return SecCommon, nil
	case shndx == SHNLivepatch:
		return SecLivepatch, nil
	}
	return 0, bad(-1, "reserved section index %#x", shndx)
}

func (r *reader) relocations() error {
	for i := range r.raw {
		s := &r.raw[i]
		if s.typ != elf.SHT_RELA {
			continue
		}
		if uint64(s.info) >= uint64(len(r.raw)) || r.raw[s.info].id == 0 {
			return bad(int64(s.off), "%s: relocations without a section they apply to", s.name)
		}
		if int(s.link) != r.symtab || r.symtab == 0 {
			return bad(int64(s.off), "%s: relocations without symbol table", s.name)
		}
		if s.size%relaSize != 0 || s.entsize != relaSize {
			return bad(int64(s.off), "%s: %d bytes with entries of %d", s.name, s.size, s.entsize)
		}
		target := &r.f.Sections[r.raw[s.info].id]
		relocs := make([]Reloc, s.size/relaSize)
		for j := range relocs {
			e := s.data[j*relaSize:]
			info := r.bo.Uint64(e[8:])
			rel := Reloc{Off: r.bo.Uint64(e), Type: uint32(info), Addend: int64(r.bo.Uint64(e[16:]))}
			sym := info >> 32
			if sym >= uint64(len(r.f.Symbols)) {
				return bad(int64(s.off), "%s: relocation %d: symbol index %d out of range", s.name, j, sym)
			}
			rel.Sym = SymID(sym)
			if rel.Off >= target.Size && rel.Off > 0 {
				return bad(int64(s.off), "%s: relocation %d: offset %#x outside %s", s.name, j, rel.Off, target.Name)
			}
			relocs[j] = rel
		}
		less := func(a, b Reloc) int {
			switch {
			case a.Off < b.Off:
				return -1
			case a.Off > b.Off:
				return 1
			}
			return 0
		}
		if !slices.IsSortedFunc(relocs, less) {
			slices.SortStableFunc(relocs, less)
		}
		if uint64(s.flags)&SHFRelaLivepatch != 0 {
			target.KlpRelocs = append(target.KlpRelocs, KlpRelocs{Name: s.name, Relocs: relocs})
			continue
		}
		if target.Relocs != nil {
			return bad(int64(s.off), "two relocation tables for %s", target.Name)
		}
		target.Relocs = relocs
	}
	return nil
}

func (r *reader) groups() error {
	for i := range r.raw {
		s := &r.raw[i]
		if s.typ != elf.SHT_GROUP {
			continue
		}
		g := &r.f.Sections[s.id]
		if s.size < 4 || s.size%4 != 0 {
			return bad(int64(s.off), "group %s of %d bytes", s.name, s.size)
		}
		if uint64(s.info) >= uint64(len(r.f.Symbols)) {
			return bad(int64(s.off), "group %s: signature symbol %d out of range", s.name, s.info)
		}
		g.Group = SymID(s.info)
		g.GroupFlag = r.bo.Uint32(s.data)
		for off := 4; off < len(s.data); off += 4 {
			m := r.bo.Uint32(s.data[off:])
			if uint64(m) >= uint64(len(r.raw)) {
				return bad(int64(s.off), "group %s: member %d out of range", s.name, m)
			}
			// Relocation tables are members too; they follow their section.
			if id := r.raw[m].id; id != 0 {
				g.Members = append(g.Members, id)
			}
		}
		g.Data = nil
		sort.Slice(g.Members, func(a, b int) bool { return g.Members[a] < g.Members[b] })
	}
	return nil
}

// name returns the string at off of a string table; it aliases tab.
func (r *reader) name(tab string, off uint32) (string, error) {
	if uint64(off) >= uint64(len(tab)) {
		if off == 0 {
			return "", nil
		}
		return "", errors.New("offset outside the table")
	}
	rest := tab[off:]
	n := strings.IndexByte(rest[:min(len(rest), r.names+1)], 0)
	if n < 0 {
		return "", errors.New("string without end, or names that fill more than the file")
	}
	r.names -= n
	return rest[:n], nil
}

// IsKlpSymbol reports whether name has the form of a livepatch symbol
// (Documentation/livepatch/module-elf-format.rst, v6.1).
func IsKlpSymbol(name string) bool { return strings.HasPrefix(name, ".klp.sym.") }
