package kmod

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/klpforge/klpforge/elfobj"
)

// OwnExport is a symbol that a module exports.
type OwnExport struct {
	Name string
	GPL  bool
	Loc  Loc // of the symbol; Sec 0 when it is absolute
}

// Exports reads __ksymtab and __ksymtab_gpl: entries of 8, 12, 16 or 24 bytes
// (struct kernel_symbol, kernel/module/internal.h: relative or absolute, with
// or without a namespace), whose first relocation is the value and whose
// second is the name. Newer kernels (7.2 is one) have a single __ksymtab and a
// __kflagstab with a byte per entry, bit 0 of which means GPL only.
func (m *Module) Exports() ([]OwnExport, error) {
	var out []OwnExport
	var flags []byte
	for i := range m.File.Sections {
		if s := &m.File.Sections[i]; s.Name == "__kflagstab" {
			flags = s.Data
		}
	}
	for i := range m.File.Sections {
		s := &m.File.Sections[i]
		if s.Name != "__ksymtab" && s.Name != "__ksymtab_gpl" {
			continue
		}
		for j, entry := 0, 0; j < len(s.Relocs); entry++ {
			v := s.Relocs[j]
			j++
			if j == len(s.Relocs) {
				return nil, fmt.Errorf("%s: %s: export at %#x has no name", m.Path, s.Name, v.Off)
			}
			n := s.Relocs[j]
			if n.Off != v.Off+4 && n.Off != v.Off+8 {
				return nil, fmt.Errorf("%s: %s: relocations at %#x and %#x are not an entry", m.Path, s.Name, v.Off, n.Off)
			}
			width := n.Off - v.Off
			j++
			// The namespace, when it has one, is the third word.
			if j < len(s.Relocs) && s.Relocs[j].Off == n.Off+width && m.isString(s.Relocs[j]) {
				j++
			}
			name, ok := m.stringAt(n)
			if !ok {
				return nil, fmt.Errorf("%s: %s: export at %#x has an unreadable name", m.Path, s.Name, v.Off)
			}
			sym := &m.File.Symbols[v.Sym]
			e := OwnExport{Name: name, GPL: s.Name == "__ksymtab_gpl" || entry < len(flags) && flags[entry]&1 != 0}
			if sym.Sec > 0 {
				e.Loc = Loc{sym.Sec, sym.Value + uint64(v.Addend)}
			}
			out = append(out, e)
		}
	}
	return out, nil
}

func (m *Module) isString(r elfobj.Reloc) bool {
	s := m.File.Symbols[r.Sym].Sec
	return s > 0 && m.File.Sections[s].Name == "__ksymtab_strings"
}

// stringAt reads the string a relocation of __ksymtab points to.
func (m *Module) stringAt(r elfobj.Reloc) (string, bool) {
	if !m.isString(r) {
		return "", false
	}
	sym := &m.File.Symbols[r.Sym]
	d := m.File.Sections[sym.Sec].Data
	off := sym.Value + uint64(r.Addend)
	if off >= uint64(len(d)) {
		return "", false
	}
	n := bytes.IndexByte(d[off:], 0)
	if n < 0 {
		return "", false
	}
	return string(d[off : off+uint64(n)]), true
}

// Version is one entry of __versions: a symbol the module uses and the
// CRC it was built against.
type Version struct {
	Name string
	CRC  uint32
}

// Versions reads __versions (struct modversion_info, include/linux/module.h:
// an 8-byte CRC and a name, 64 bytes together).
func (m *Module) Versions() ([]Version, error) {
	const entry = 64
	var out []Version
	for i := range m.File.Sections {
		s := &m.File.Sections[i]
		if s.Name != "__versions" {
			continue
		}
		if len(s.Data)%entry != 0 {
			return nil, fmt.Errorf("%s: __versions of %d bytes is not a table of %d-byte entries", m.Path, len(s.Data), entry)
		}
		var bo binary.ByteOrder = binary.LittleEndian
		if m.File.BigEndian {
			bo = binary.BigEndian
		}
		for d := s.Data; len(d) > 0; d = d[entry:] {
			name, _, _ := bytes.Cut(d[8:entry], []byte{0})
			out = append(out, Version{string(name), uint32(bo.Uint64(d))})
		}
	}
	return out, nil
}
