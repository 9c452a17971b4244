package elfobj

import (
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"sort"
)

// Write serialises f. The result depends on f alone. Locals are moved before
// globals as the gABI demands; f itself is not modified. The error tells of an
// index in f that names nothing.
func (f *File) Write() ([]byte, error) {
	out := &writer{f: f}
	if f.BigEndian {
		out.bo = binary.BigEndian
	} else {
		out.bo = binary.LittleEndian
	}
	if err := f.validate(); err != nil {
		return nil, fmt.Errorf("write object: %w", err)
	}
	out.number()
	return out.emit(), nil
}

// validate checks what Write relies on: every index names something, and
// alignments are powers of two.
func (f *File) validate() error {
	if len(f.Sections) == 0 || len(f.Symbols) == 0 {
		return errors.New("the null section or the null symbol is missing")
	}

	// Only numbers are checked: what would make the writer index out of range, or a reader reject
	// the file.
	inFile := func(id SecID) bool { return id >= 0 && int(id) < len(f.Sections) }
	inTable := func(id SymID) bool { return id >= 0 && int(id) < len(f.Symbols) }

	for i := range f.Symbols {
		sym := &f.Symbols[i]
		if !inFile(sym.Sec) && (sym.Sec >= 0 || sym.Sec < SecLivepatch) {
			return fmt.Errorf("symbol %s in section %d of %d", sym.Name, sym.Sec, len(f.Sections))
		}
	}

	for i := range f.Sections {
		section := &f.Sections[i]
		switch {
		case !inFile(section.Link):
			return fmt.Errorf("section %s: link to section %d of %d", section.Name, section.Link, len(f.Sections))
		case !inTable(section.Group):
			return fmt.Errorf("group %s: signature symbol %d of %d", section.Name, section.Group, len(f.Symbols))
		case section.Align&(section.Align-1) != 0:
			return fmt.Errorf("section %s: alignment %d", section.Name, section.Align)
		case section.Type == elf.SHT_NOBITS && len(section.Data) > 0:
			return fmt.Errorf("section %s: %d bytes in a section without contents", section.Name, len(section.Data))
		}
		for _, m := range section.Members {
			if !inFile(m) {
				return fmt.Errorf("group %s: member %d of %d sections", section.Name, m, len(f.Sections))
			}
		}
		if err := validRelocs(section.Name, section.Relocs, len(f.Symbols)); err != nil {
			return err
		}
		for _, k := range section.KlpRelocs {
			if err := validRelocs(k.Name, k.Relocs, len(f.Symbols)); err != nil {
				return err
			}
		}
	}
	return nil
}

func validRelocs(name string, relocs []Reloc, syms int) error {
	for _, rel := range relocs {
		if rel.Sym < 0 || int(rel.Sym) >= syms {
			return fmt.Errorf("%s+%#x: relocation symbol %d of %d", name, rel.Off, rel.Sym, syms)
		}
	}
	return nil
}

// maxFileAlign bounds the padding between sections in the file, bytes.
const maxFileAlign = 64

type outSection struct {
	Section
	link, info uint32
	data       []byte
	off        uint64
	nameOff    uint32
}

type writer struct {
	f     *File
	bo    binary.ByteOrder
	order []SymID  // output order of symbols
	pos   []uint32 // SymID -> output index
	nloc  uint32   // index of the first global
	out   []outSection
}

func (w *writer) number() {
	file := w.f
	w.pos = make([]uint32, len(file.Symbols))
	w.order = make([]SymID, 0, len(file.Symbols))
	for pass := range 2 {
		for i := range file.Symbols {
			if local := i == 0 || file.Symbols[i].Bind == elf.STB_LOCAL; local == (pass == 0) {
				w.pos[i] = uint32(len(w.order))
				w.order = append(w.order, SymID(i))
			}
		}
		if pass == 0 {
			w.nloc = uint32(len(w.order))
		}
	}
}

// emit lays the file out: ELF header, sections in model order, relocation
// tables, symbol table, string tables, section headers.
func (w *writer) emit() []byte {
	file := w.f
	nsec := len(file.Sections)
	for i := range file.Sections {
		o := outSection{Section: file.Sections[i], data: file.Sections[i].Data, link: uint32(file.Sections[i].Link)}
		if o.Type != elf.SHT_NOBITS {
			o.Size = uint64(len(o.data))
		}
		w.out = append(w.out, o)
	}

	// Relocation tables stand behind the sections that they apply to, and are numbered before the
	// symbol table that they link to.
	var relas []outSection
	relaOf := make(map[SecID]uint32)
	for i := range file.Sections {
		section := &file.Sections[i]
		if len(section.Relocs) > 0 {
			relaOf[SecID(i)] = uint32(nsec + len(relas))
			rel := w.rela(".rela"+section.Name, section.Relocs, SecID(i))
			rel.Flags = elf.SHF_INFO_LINK | section.Flags&elf.SHF_GROUP
			relas = append(relas, rel)
		}
		for _, k := range section.KlpRelocs {
			rel := w.rela(k.Name, k.Relocs, SecID(i))
			rel.Flags = elf.SHF_ALLOC | SHFRelaLivepatch
			relas = append(relas, rel)
		}
	}
	symtab := uint32(nsec + len(relas))
	for i := range relas {
		relas[i].link = symtab
	}
	w.out = append(w.out, relas...)

	// Members of a group include the relocation tables, whose numbers exist only now.
	for i := 1; i < nsec; i++ {
		if w.out[i].Type == elf.SHT_GROUP {
			w.group(&w.out[i], relaOf, symtab)
		}
	}
	w.symtab(symtab)
	return w.layout()
}

func (w *writer) rela(name string, relocs []Reloc, id SecID) outSection {
	data := make([]byte, len(relocs)*relaSize)
	for j, rel := range relocs {
		w.bo.PutUint64(data[j*relaSize:], rel.Off)
		w.bo.PutUint64(data[j*relaSize+8:], uint64(w.pos[rel.Sym])<<32|uint64(rel.Type))
		w.bo.PutUint64(data[j*relaSize+16:], uint64(rel.Addend))
	}
	return outSection{
		Section: Section{Name: name, Type: elf.SHT_RELA, Align: 8, EntSize: relaSize, Size: uint64(len(data))},
		info:    uint32(id), data: data,
	}
}

func (w *writer) group(out *outSection, relaOf map[SecID]uint32, symtab uint32) {
	words := []uint32{out.GroupFlag}
	for _, m := range out.Members {
		words = append(words, uint32(m))
		if r, ok := relaOf[m]; ok {
			words = append(words, r)
		}
	}
	out.data = make([]byte, 4*len(words))
	for i, v := range words {
		w.bo.PutUint32(out.data[4*i:], v)
	}
	out.Size, out.EntSize = uint64(len(out.data)), 4
	out.link, out.info = symtab, w.pos[out.Group]
}

func (w *writer) symtab(index uint32) {
	strs := newStrtab()
	data := make([]byte, len(w.order)*symSize)
	var xindex []byte
	for i, id := range w.order {
		if i == 0 {
			continue
		}
		sym := &w.f.Symbols[id]
		entry := data[i*symSize:]
		w.bo.PutUint32(entry, strs.add(sym.Name))
		entry[4] = elf.ST_INFO(sym.Bind, sym.Type)
		entry[5] = sym.Other
		w.bo.PutUint64(entry[8:], sym.Value)
		w.bo.PutUint64(entry[16:], sym.Size)

		// A section number that sh_index cannot hold goes into a table of its own (gABI,
		// SHN_XINDEX).
		shndx := uint16(sym.Sec)
		switch sym.Sec {
		case SecAbs:
			shndx = uint16(elf.SHN_ABS)
		case SecCommon:
			shndx = uint16(elf.SHN_COMMON)
		case SecLivepatch:
			shndx = SHNLivepatch
		default:
			if sym.Sec >= SecID(elf.SHN_LORESERVE) {
				shndx = uint16(elf.SHN_XINDEX)
				if xindex == nil {
					xindex = make([]byte, 4*len(w.order))
				}
				w.bo.PutUint32(xindex[4*i:], uint32(sym.Sec))
			}
		}
		w.bo.PutUint16(entry[6:], shndx)
	}

	w.out = append(w.out,
		outSection{Section: Section{Name: ".symtab", Type: elf.SHT_SYMTAB, Align: 8, EntSize: symSize,
			Size: uint64(len(data))},
			link: index + 1, info: w.nloc, data: data},
		outSection{Section: Section{Name: ".strtab", Type: elf.SHT_STRTAB, Align: 1, Size: uint64(len(strs.data))},
			data: strs.data})
	if xindex != nil {
		w.out = append(w.out, outSection{Section: Section{Name: ".symtab_shndx", Type: elf.SHT_SYMTAB_SHNDX,
			Align: 4, EntSize: 4, Size: uint64(len(xindex))}, link: index, data: xindex})
	}
}

func (w *writer) layout() []byte {
	names := newStrtab()
	w.out = append(w.out, outSection{Section: Section{Name: ".shstrtab", Type: elf.SHT_STRTAB, Align: 1}})
	for i := range w.out {
		w.out[i].nameOff = names.add(w.out[i].Name)
	}
	last := &w.out[len(w.out)-1]
	last.data, last.Size = names.data, uint64(len(names.data))

	off := uint64(ehdrSize)
	for i := 1; i < len(w.out); i++ {
		out := &w.out[i]
		// Nothing maps an object, so larger alignments are for its addresses only.
		off = alignUp(off, min(out.Align, maxFileAlign))
		out.off = off
		if out.Type != elf.SHT_NOBITS {
			off += uint64(len(out.data))
		}
	}
	shoff := alignUp(off, 8)
	buf := make([]byte, shoff+uint64(len(w.out))*shdrSize)
	w.header(buf, shoff)
	for i := range w.out {
		out := &w.out[i]
		copy(buf[out.off:], out.data)
		header := buf[shoff+uint64(i)*shdrSize:]
		if i == 0 {
			clear(header[:shdrSize])
			if len(w.out) >= int(elf.SHN_LORESERVE) {
				w.bo.PutUint64(header[32:], uint64(len(w.out)))
				w.bo.PutUint32(header[40:], uint32(len(w.out)-1))
			}
			continue
		}
		w.bo.PutUint32(header, out.nameOff)
		w.bo.PutUint32(header[4:], uint32(out.Type))
		w.bo.PutUint64(header[8:], uint64(out.Flags))
		w.bo.PutUint64(header[24:], out.off)
		w.bo.PutUint64(header[32:], out.Size)
		w.bo.PutUint32(header[40:], out.link)
		w.bo.PutUint32(header[44:], out.info)
		w.bo.PutUint64(header[48:], max(out.Align, 1))
		w.bo.PutUint64(header[56:], out.EntSize)
	}
	return buf
}

func (w *writer) header(buf []byte, shoff uint64) {
	copy(buf, elf.ELFMAG)
	buf[elf.EI_CLASS] = byte(elf.ELFCLASS64)
	buf[elf.EI_DATA] = byte(elf.ELFDATA2LSB)
	if w.f.BigEndian {
		buf[elf.EI_DATA] = byte(elf.ELFDATA2MSB)
	}
	buf[elf.EI_VERSION] = byte(elf.EV_CURRENT)
	buf[elf.EI_OSABI] = w.f.OSABI
	w.bo.PutUint16(buf[16:], uint16(w.f.Type))
	w.bo.PutUint16(buf[18:], uint16(w.f.Machine))
	w.bo.PutUint32(buf[20:], uint32(elf.EV_CURRENT))
	w.bo.PutUint64(buf[40:], shoff)
	w.bo.PutUint32(buf[48:], w.f.Flags)
	w.bo.PutUint16(buf[52:], ehdrSize)
	w.bo.PutUint16(buf[58:], shdrSize)
	n := len(w.out)
	if n < int(elf.SHN_LORESERVE) {
		w.bo.PutUint16(buf[60:], uint16(n))
		w.bo.PutUint16(buf[62:], uint16(n-1))
	} else {
		w.bo.PutUint16(buf[62:], uint16(elf.SHN_XINDEX))
	}
}

func alignUp(v, a uint64) uint64 {
	if a <= 1 {
		return v
	}
	return (v + a - 1) &^ (a - 1)
}

// strtab is a string table without suffix sharing: simple and deterministic.
type strtab struct {
	data []byte
	off  map[string]uint32
}

func newStrtab() *strtab { return &strtab{data: []byte{0}, off: map[string]uint32{"": 0}} }

func (t *strtab) add(s string) uint32 {
	if off, ok := t.off[s]; ok {
		return off
	}
	off := uint32(len(t.data))
	t.off[s] = off
	t.data = append(append(t.data, s...), 0)
	return off
}

// SortRelocs restores the order of relocations by offset after edits.
func (s *Section) SortRelocs() {
	sort.SliceStable(s.Relocs, func(i, j int) bool { return s.Relocs[i].Off < s.Relocs[j].Off })
}
