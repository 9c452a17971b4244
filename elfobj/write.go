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
	w := &writer{f: f}
	if f.BigEndian {
		w.bo = binary.BigEndian
	} else {
		w.bo = binary.LittleEndian
	}
	if err := f.validate(); err != nil {
		return nil, fmt.Errorf("write object: %w", err)
	}
	w.number()
	return w.emit(), nil
}

// validate checks what Write relies on: every index names something, and
// alignments are powers of two.
func (f *File) validate() error {
	if len(f.Sections) == 0 || len(f.Symbols) == 0 {
		return errors.New("the null section or the null symbol is missing")
	}
	section := func(id SecID) bool { return id >= 0 && int(id) < len(f.Sections) }
	symbol := func(id SymID) bool { return id >= 0 && int(id) < len(f.Symbols) }
	for i := range f.Symbols {
		s := &f.Symbols[i]
		if !section(s.Sec) && (s.Sec >= 0 || s.Sec < SecLivepatch) {
			return fmt.Errorf("symbol %s in section %d of %d", s.Name, s.Sec, len(f.Sections))
		}
	}
	for i := range f.Sections {
		s := &f.Sections[i]
		switch {
		case !section(s.Link):
			return fmt.Errorf("section %s: link to section %d of %d", s.Name, s.Link, len(f.Sections))
		case !symbol(s.Group):
			return fmt.Errorf("group %s: signature symbol %d of %d", s.Name, s.Group, len(f.Symbols))
		case s.Align&(s.Align-1) != 0:
			return fmt.Errorf("section %s: alignment %d", s.Name, s.Align)
		case s.Type == elf.SHT_NOBITS && len(s.Data) > 0:
			return fmt.Errorf("section %s: %d bytes in a section without contents", s.Name, len(s.Data))
		}
		for _, m := range s.Members {
			if !section(m) {
				return fmt.Errorf("group %s: member %d of %d sections", s.Name, m, len(f.Sections))
			}
		}
		if err := validRelocs(s.Name, s.Relocs, len(f.Symbols)); err != nil {
			return err
		}
		for _, k := range s.KlpRelocs {
			if err := validRelocs(k.Name, k.Relocs, len(f.Symbols)); err != nil {
				return err
			}
		}
	}
	return nil
}

func validRelocs(name string, relocs []Reloc, syms int) error {
	for _, r := range relocs {
		if r.Sym < 0 || int(r.Sym) >= syms {
			return fmt.Errorf("%s+%#x: relocation symbol %d of %d", name, r.Off, r.Sym, syms)
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
	f := w.f
	w.pos = make([]uint32, len(f.Symbols))
	w.order = make([]SymID, 0, len(f.Symbols))
	for pass := range 2 {
		for i := range f.Symbols {
			if local := i == 0 || f.Symbols[i].Bind == elf.STB_LOCAL; local == (pass == 0) {
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
	f := w.f
	nsec := len(f.Sections)
	for i := range f.Sections {
		o := outSection{Section: f.Sections[i], data: f.Sections[i].Data, link: uint32(f.Sections[i].Link)}
		if o.Type != elf.SHT_NOBITS {
			o.Size = uint64(len(o.data))
		}
		w.out = append(w.out, o)
	}
	var relas []outSection
	relaOf := make(map[SecID]uint32)
	for i := range f.Sections {
		s := &f.Sections[i]
		if len(s.Relocs) > 0 {
			relaOf[SecID(i)] = uint32(nsec + len(relas))
			rel := w.rela(".rela"+s.Name, s.Relocs, SecID(i))
			rel.Flags = elf.SHF_INFO_LINK | s.Flags&elf.SHF_GROUP
			relas = append(relas, rel)
		}
		for _, k := range s.KlpRelocs {
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
	for j, r := range relocs {
		w.bo.PutUint64(data[j*relaSize:], r.Off)
		w.bo.PutUint64(data[j*relaSize+8:], uint64(w.pos[r.Sym])<<32|uint64(r.Type))
		w.bo.PutUint64(data[j*relaSize+16:], uint64(r.Addend))
	}
	return outSection{
		Section: Section{Name: name, Type: elf.SHT_RELA, Align: 8, EntSize: relaSize, Size: uint64(len(data))},
		info:    uint32(id), data: data,
	}
}

func (w *writer) group(o *outSection, relaOf map[SecID]uint32, symtab uint32) {
	words := []uint32{o.GroupFlag}
	for _, m := range o.Members {
		words = append(words, uint32(m))
		if r, ok := relaOf[m]; ok {
			words = append(words, r)
		}
	}
	o.data = make([]byte, 4*len(words))
	for i, v := range words {
		w.bo.PutUint32(o.data[4*i:], v)
	}
	o.Size, o.EntSize = uint64(len(o.data)), 4
	o.link, o.info = symtab, w.pos[o.Group]
}

func (w *writer) symtab(index uint32) {
	strs := newStrtab()
	data := make([]byte, len(w.order)*symSize)
	var xindex []byte
	for i, id := range w.order {
		if i == 0 {
			continue
		}
		s := &w.f.Symbols[id]
		e := data[i*symSize:]
		w.bo.PutUint32(e, strs.add(s.Name))
		e[4] = elf.ST_INFO(s.Bind, s.Type)
		e[5] = s.Other
		w.bo.PutUint64(e[8:], s.Value)
		w.bo.PutUint64(e[16:], s.Size)
		shndx := uint16(s.Sec)
		switch s.Sec {
		case SecAbs:
			shndx = uint16(elf.SHN_ABS)
		case SecCommon:
			shndx = uint16(elf.SHN_COMMON)
		case SecLivepatch:
			shndx = SHNLivepatch
		default:
			if s.Sec >= SecID(elf.SHN_LORESERVE) {
				shndx = uint16(elf.SHN_XINDEX)
				if xindex == nil {
					xindex = make([]byte, 4*len(w.order))
				}
				w.bo.PutUint32(xindex[4*i:], uint32(s.Sec))
			}
		}
		w.bo.PutUint16(e[6:], shndx)
	}
	w.out = append(w.out,
		outSection{Section: Section{Name: ".symtab", Type: elf.SHT_SYMTAB, Align: 8, EntSize: symSize, Size: uint64(len(data))},
			link: index + 1, info: w.nloc, data: data},
		outSection{Section: Section{Name: ".strtab", Type: elf.SHT_STRTAB, Align: 1, Size: uint64(len(strs.data))}, data: strs.data})
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
		o := &w.out[i]
		// Nothing maps an object, so larger alignments are for its addresses only.
		off = alignUp(off, min(o.Align, maxFileAlign))
		o.off = off
		if o.Type != elf.SHT_NOBITS {
			off += uint64(len(o.data))
		}
	}
	shoff := alignUp(off, 8)
	buf := make([]byte, shoff+uint64(len(w.out))*shdrSize)
	w.header(buf, shoff)
	for i := range w.out {
		o := &w.out[i]
		copy(buf[o.off:], o.data)
		h := buf[shoff+uint64(i)*shdrSize:]
		if i == 0 {
			clear(h[:shdrSize])
			if len(w.out) >= int(elf.SHN_LORESERVE) {
				w.bo.PutUint64(h[32:], uint64(len(w.out)))
				w.bo.PutUint32(h[40:], uint32(len(w.out)-1))
			}
			continue
		}
		w.bo.PutUint32(h, o.nameOff)
		w.bo.PutUint32(h[4:], uint32(o.Type))
		w.bo.PutUint64(h[8:], uint64(o.Flags))
		w.bo.PutUint64(h[24:], o.off)
		w.bo.PutUint64(h[32:], o.Size)
		w.bo.PutUint32(h[40:], o.link)
		w.bo.PutUint32(h[44:], o.info)
		w.bo.PutUint64(h[48:], max(o.Align, 1))
		w.bo.PutUint64(h[56:], o.EntSize)
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
