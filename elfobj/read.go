package elfobj

import (
	"bytes"
	"cmp"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
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

// ReadFile reads the object at path. Of a large file no more is in memory at a
// time than the result and a small window.
func ReadFile(path string) (*File, error) {
	in, file, err := openInput(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	f, err := read(in, false)
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

// rawSection is a section header. There are twice as many as sections that stay.
type rawSection struct {
	off, size, entsize uint64
	nameOff, nameLen   uint32
	typ                elf.SectionType
	flags              elf.SectionFlag
	link, info         uint32
	align              uint32
	id                 SecID // position in File.Sections, 0 when folded away
	left               bool  // its contents and relocations stay in the file
}

type reader struct {
	in    *input
	big   bool // byte order
	raw   []rawSection
	names string // of the sections
	f     *File

	symtab int // index of the symbol table in raw, 0 if none
	left   int // bytes of names that may still be handed out

	withoutDebug bool // debug information stays in the file
}

// maxNames bounds the bytes of all names together, as a multiple of the file:
// string tables share tails, but an honest one repeats itself rarely.
const maxNames = 64

// Read parses a relocatable object or a kernel module. Section data alias in
// until the caller replaces them. Every offset, count and index of the input
// is checked; memory use is at most a small multiple of len(in).
func Read(in []byte) (*File, error) { return read(&input{mem: in, size: uint64(len(in))}, false) }

func read(in *input, withoutDebug bool) (*File, error) {
	file := &reader{in: in, f: &File{}, left: maxNames * int(in.size), withoutDebug: withoutDebug}
	for _, step := range []func() error{file.header, file.sections, file.symbols, file.contents, file.relocations,
		file.groups} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	return file.f, nil
}

// u16, u32 and u64 are numbers in the byte order of the file.
func (r *reader) u16(b []byte) uint16 {
	if r.big {
		return binary.BigEndian.Uint16(b)
	}
	return binary.LittleEndian.Uint16(b)
}

func (r *reader) u32(b []byte) uint32 {
	if r.big {
		return binary.BigEndian.Uint32(b)
	}
	return binary.LittleEndian.Uint32(b)
}

func (r *reader) u64(b []byte) uint64 {
	if r.big {
		return binary.BigEndian.Uint64(b)
	}
	return binary.LittleEndian.Uint64(b)
}

func (r *reader) header() error {
	in, err := r.in.view(0, min(ehdrSize, r.in.size))
	if err != nil {
		return err
	}
	if len(in) < ehdrSize || !bytes.Equal(in[:4], []byte(elf.ELFMAG)) {
		return fmt.Errorf("%w: no ELF header", ErrNotObject)
	}
	if elf.Class(in[elf.EI_CLASS]) != elf.ELFCLASS64 {
		return fmt.Errorf("%w: %v", ErrNotObject, elf.Class(in[elf.EI_CLASS]))
	}

	switch elf.Data(in[elf.EI_DATA]) {
	case elf.ELFDATA2LSB:
	case elf.ELFDATA2MSB:
		r.big = true
	default:
		return bad(int64(elf.EI_DATA), "unknown byte order %d", in[elf.EI_DATA])
	}

	file := r.f
	file.BigEndian = r.big
	file.OSABI = in[elf.EI_OSABI]
	file.Type = elf.Type(r.u16(in[16:]))
	file.Machine = elf.Machine(r.u16(in[18:]))
	file.Flags = r.u32(in[48:])

	// A linked file or a core has other rules for addresses and section indices than what
	// follows.
	if file.Type != elf.ET_REL {
		return fmt.Errorf("%w: file type is %v", ErrNotObject, file.Type)
	}
	if n := r.u16(in[56:]); n != 0 {
		return bad(56, "relocatable object has %d program headers", n)
	}
	return nil
}

func (r *reader) sections() error {
	head, err := r.in.view(0, ehdrSize)
	if err != nil {
		return err
	}
	shoff := r.u64(head[40:])
	if es := r.u16(head[58:]); es != shdrSize {
		return bad(58, "section header size is %d, want %d", es, shdrSize)
	}
	num := uint64(r.u16(head[60:]))
	strndx := uint32(r.u16(head[62:]))
	size := r.in.size
	if shoff == 0 || shoff > size || size-shoff < shdrSize {
		return bad(40, "section header table at %#x lies outside the file of %d bytes", shoff, size)
	}
	first, err := r.in.view(shoff, shdrSize)
	if err != nil {
		return err
	}
	// Extended numbering: the real counts are in section 0 (gABI).
	if num == 0 {
		num = r.u64(first[32:])
	}
	if strndx == uint32(elf.SHN_XINDEX) {
		strndx = r.u32(first[40:])
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
	err = r.in.records(shoff, num*shdrSize, shdrSize, func(first int, b []byte) error {
		for i := first; len(b) > 0; i, b = i+1, b[shdrSize:] {
			if err := r.section(i, b[:shdrSize], &used); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	if strs := &r.raw[strndx]; strs.stored() {
		if r.names, err = r.in.text(strs.off, strs.size); err != nil {
			return err
		}
	}
	for i := range r.raw {
		n, err := r.name(r.names, r.raw[i].nameOff)
		if err != nil && i > 0 {
			return bad(-1, "section %d: name offset %#x outside the name table", i, r.raw[i].nameOff)
		}
		r.raw[i].nameLen = uint32(len(n))
	}
	return r.place(int(strndx))
}

// section takes the section header of that index. used counts the bytes of all.
func (r *reader) section(index int, header []byte, used *uint64) error {
	raw, size := &r.raw[index], r.in.size
	raw.nameOff = r.u32(header)
	raw.typ = elf.SectionType(r.u32(header[4:]))
	raw.flags = elf.SectionFlag(r.u64(header[8:]))
	raw.off = r.u64(header[24:])
	raw.size = r.u64(header[32:])
	raw.link = r.u32(header[40:])
	raw.info = r.u32(header[44:])
	raw.entsize = r.u64(header[56:])
	align := r.u64(header[48:])
	if index == 0 || raw.typ == elf.SHT_NULL {
		raw.typ = elf.SHT_NULL
		return nil
	}
	if raw.stored() {
		if raw.off > size || raw.size > size-raw.off {
			return bad(int64(raw.off), "section %d (%d bytes) lies outside the file", index, raw.size)
		}
		// Sections do not overlap, so what is made of them is bounded by
		// the size of the file.
		if *used += raw.size; *used > size {
			return bad(int64(raw.off), "section %d (%d bytes) overlaps another one", index, raw.size)
		}
	} else if raw.size > 1<<32 {
		return bad(int64(raw.off), "section %d claims %d bytes of zeroes", index, raw.size)
	}
	if align&(align-1) != 0 || align > 1<<26 {
		return bad(-1, "section %d has alignment %d", index, align)
	}
	raw.align = uint32(align)
	return nil
}

// stored reports whether the section has contents in the file.
func (s *rawSection) stored() bool { return s.typ != elf.SHT_NOBITS && s.typ != elf.SHT_NULL }

// nameOf returns a section's name; it aliases the table of names.
func (r *reader) nameOf(raw *rawSection) string {
	if raw.nameLen == 0 {
		return ""
	}
	return r.names[raw.nameOff:][:raw.nameLen]
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

	// Tables that only serve others get no number here: symbols, their strings, relocations.
	next := SecID(1)
	for i := 1; i < len(r.raw); i++ {
		raw := &r.raw[i]
		switch raw.typ {
		case elf.SHT_NULL, elf.SHT_SYMTAB, elf.SHT_SYMTAB_SHNDX, elf.SHT_RELA:
			continue
		case elf.SHT_REL:
			return bad(int64(raw.off), "section %s uses REL relocations, which no supported architecture has",
				r.nameOf(raw))
		case elf.SHT_STRTAB:
			if i == shstr || i == strtab {
				continue
			}
		}
		raw.id = next
		next++
	}

	// Only now are all numbers known, so links can be translated.
	r.f.Sections = make([]Section, next)
	for i := range r.raw {
		raw := &r.raw[i]
		if raw.id == 0 {
			continue
		}
		section := &r.f.Sections[raw.id]
		*section = Section{Name: r.nameOf(raw), Type: raw.typ, Flags: raw.flags, Align: uint64(raw.align),
			EntSize: raw.entsize, Size: raw.size}
		raw.left = r.withoutDebug && section.Debug()
		if raw.flags&elf.SHF_LINK_ORDER != 0 {
			if uint64(raw.link) >= uint64(len(r.raw)) {
				return bad(-1, "section %s: link %d out of range", section.Name, raw.link)
			}
			section.Link = r.raw[raw.link].id
		}
	}
	return nil
}

// maxGap bounds the bytes between the contents of two sections that are kept along
// with them: padding.
const maxGap = maxFileAlign

// contents gives the sections their data. Those that follow each other in the
// file are read at once.
func (r *reader) contents() error {
	order := make([]int32, 0, len(r.f.Sections))
	for i := range r.raw {
		if s := &r.raw[i]; s.id != 0 && s.stored() && !s.left {
			order = append(order, int32(i))
		}
	}
	byOffset := func(a, b int32) int { return cmp.Compare(r.raw[a].off, r.raw[b].off) }
	if !slices.IsSortedFunc(order, byOffset) {
		slices.SortStableFunc(order, byOffset)
	}
	for len(order) > 0 {
		start := r.raw[order[0]].off
		end, count := start, 0
		for ; count < len(order) && r.raw[order[count]].off <= end+maxGap; count++ {
			end = max(end, r.raw[order[count]].off+r.raw[order[count]].size)
		}
		data, err := r.in.keep(start, end-start)
		if err != nil {
			return err
		}
		if r.withoutDebug && r.in.file == nil {
			data = bytes.Clone(data) // or it would hold all of the input
		}
		for _, i := range order[:count] {
			raw := &r.raw[i]
			r.f.Sections[raw.id].Data = data[raw.off-start:][:raw.size:raw.size]
		}
		order = order[count:]
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

	strs, err := r.in.text(r.raw[tab.link].off, r.raw[tab.link].size)
	if err != nil {
		return err
	}

	// Files with 65,280 sections and more keep section indices that do not fit in a table beside.
	var xindex string
	for i := range r.raw {
		if raw := &r.raw[i]; raw.typ == elf.SHT_SYMTAB_SHNDX && int(raw.link) == r.symtab {
			if xindex, err = r.in.text(raw.off, raw.size); err != nil {
				return err
			}
		}
	}

	n := int(tab.size / symSize)
	if n == 0 {
		return nil
	}
	r.f.Symbols = make([]Symbol, n)
	return r.in.records(tab.off, tab.size, symSize, func(first int, b []byte) error {
		for i := first; len(b) > 0; i, b = i+1, b[symSize:] {
			if i == 0 {
				continue
			}
			if err := r.symbol(i, b[:symSize], strs, xindex); err != nil {
				return err
			}
		}
		return nil
	})
}

// symbol takes an entry, from 0, of the symbol table. strs is its string table,
// xindex that of extended section indices.
func (r *reader) symbol(index int, entry []byte, strs, xindex string) error {
	tab := &r.raw[r.symtab]
	name, err := r.name(strs, r.u32(entry))
	if err != nil {
		return bad(int64(tab.off)+int64(index*symSize), "symbol %d: name outside the string table", index)
	}
	sym := &r.f.Symbols[index]
	*sym = Symbol{
		Name: name, Bind: elf.ST_BIND(entry[4]), Type: elf.ST_TYPE(entry[4]), Other: entry[5],
		Value: r.u64(entry[8:]), Size: r.u64(entry[16:]),
	}
	shndx := uint32(r.u16(entry[6:]))
	ext := shndx == uint32(elf.SHN_XINDEX)
	if ext {
		if len(xindex) < (index+1)*4 {
			return bad(int64(tab.off), "symbol %d (%s): extended section index missing", index, name)
		}
		shndx = r.u32([]byte(xindex[index*4:][:4]))
	}
	if sym.Sec, err = r.symbolSection(shndx, ext); err != nil {
		return fmt.Errorf("symbol %d (%s): %w", index, name, err)
	}
	if sym.Type == elf.STT_SECTION && sym.Sec > 0 {
		sym.Name = ""
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
	// Counted first: all relocations of a file share one allocation.
	total := uint64(0)
	for i := range r.raw {
		raw := &r.raw[i]
		if raw.typ != elf.SHT_RELA {
			continue
		}
		if uint64(raw.info) >= uint64(len(r.raw)) || r.raw[raw.info].id == 0 {
			return bad(int64(raw.off), "%s: relocations without a section they apply to", r.nameOf(raw))
		}
		if int(raw.link) != r.symtab || r.symtab == 0 {
			return bad(int64(raw.off), "%s: relocations without symbol table", r.nameOf(raw))
		}
		if raw.size%relaSize != 0 || raw.entsize != relaSize {
			return bad(int64(raw.off), "%s: %d bytes with entries of %d", r.nameOf(raw), raw.size, raw.entsize)
		}
		if r.raw[raw.info].left {
			continue
		}
		total += raw.size / relaSize
	}

	all := make([]Reloc, total)
	for i := range r.raw {
		raw := &r.raw[i]
		if raw.typ != elf.SHT_RELA || r.raw[raw.info].left {
			continue
		}
		n := raw.size / relaSize
		relocs := all[:n:n]
		all = all[n:]
		if err := r.table(raw, relocs); err != nil {
			return err
		}
		target := &r.f.Sections[r.raw[raw.info].id]
		if uint64(raw.flags)&SHFRelaLivepatch != 0 {
			target.KlpRelocs = append(target.KlpRelocs, KlpRelocs{Name: r.nameOf(raw), Relocs: relocs})
			continue
		}
		if target.Relocs != nil {
			return bad(int64(raw.off), "two relocation tables for %s", target.Name)
		}
		target.Relocs = relocs
	}
	return nil
}

// table reads the relocations of one table and sorts them.
func (r *reader) table(raw *rawSection, relocs []Reloc) error {
	target := &r.f.Sections[r.raw[raw.info].id]
	sorted, last := true, uint64(0)
	err := r.in.records(raw.off, raw.size, relaSize, func(first int, b []byte) error {
		for j := first; len(b) > 0; j, b = j+1, b[relaSize:] {
			e := b[:relaSize]
			info := r.u64(e[8:])
			rel := Reloc{Off: r.u64(e), Type: uint32(info), Addend: int64(r.u64(e[16:]))}
			sym := info >> 32
			if sym >= uint64(len(r.f.Symbols)) {
				return bad(int64(raw.off), "%s: relocation %d: symbol index %d out of range", r.nameOf(raw), j, sym)
			}
			rel.Sym = SymID(sym)
			if rel.Off >= target.Size && rel.Off > 0 {
				return bad(int64(raw.off), "%s: relocation %d: offset %#x outside %s", r.nameOf(raw), j, rel.Off,
					target.Name)
			}
			sorted, last = sorted && last <= rel.Off, rel.Off
			relocs[j] = rel
		}
		return nil
	})
	if err == nil && !sorted {
		slices.SortStableFunc(relocs, func(a, b Reloc) int { return cmp.Compare(a.Off, b.Off) })
	}
	return err
}

func (r *reader) groups() error {
	for i := range r.raw {
		raw := &r.raw[i]
		if raw.typ != elf.SHT_GROUP {
			continue
		}
		group := &r.f.Sections[raw.id]
		if raw.size < 4 || raw.size%4 != 0 {
			return bad(int64(raw.off), "group %s of %d bytes", group.Name, raw.size)
		}
		if uint64(raw.info) >= uint64(len(r.f.Symbols)) {
			return bad(int64(raw.off), "group %s: signature symbol %d out of range", group.Name, raw.info)
		}
		group.Group = SymID(raw.info)
		group.GroupFlag = r.u32(group.Data)
		for off := 4; off < len(group.Data); off += 4 {
			member := r.u32(group.Data[off:])
			if uint64(member) >= uint64(len(r.raw)) {
				return bad(int64(raw.off), "group %s: member %d out of range", group.Name, member)
			}
			// Relocation tables are members too; they follow their section.
			if id := r.raw[member].id; id != 0 {
				group.Members = append(group.Members, id)
			}
		}
		group.Data = nil
		slices.Sort(group.Members)
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
	end := strings.IndexByte(rest[:min(len(rest), r.left+1)], 0)
	if end < 0 {
		return "", errors.New("string without end, or names that fill more than the file")
	}
	r.left -= end
	return rest[:end], nil
}
