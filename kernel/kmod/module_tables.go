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
		if section := &m.File.Sections[i]; section.Name == "__kflagstab" {
			flags = section.Data
		}
	}
	for i := range m.File.Sections {
		section := &m.File.Sections[i]
		if section.Name != "__ksymtab" && section.Name != "__ksymtab_gpl" {
			continue
		}
		for j, entry := 0, 0; j < len(section.Relocs); entry++ {
			value := section.Relocs[j]
			j++
			if j == len(section.Relocs) {
				return nil, fmt.Errorf("%s: %s: export at %#x has no name", m.Path, section.Name, value.Off)
			}
			nameRel := section.Relocs[j]
			if nameRel.Off != value.Off+4 && nameRel.Off != value.Off+8 {
				return nil, fmt.Errorf("%s: %s: relocations at %#x and %#x are not an entry", m.Path, section.Name,
					value.Off, nameRel.Off)
			}
			width := nameRel.Off - value.Off
			j++
			// The namespace, when it has one, is the third word.
			if j < len(section.Relocs) && section.Relocs[j].Off == nameRel.Off+width && m.isString(section.Relocs[j]) {
				j++
			}
			name, ok := m.stringAt(nameRel)
			if !ok {
				return nil, fmt.Errorf("%s: %s: export at %#x has an unreadable name", m.Path, section.Name, value.Off)
			}
			sym := &m.File.Symbols[value.Sym]
			e := OwnExport{Name: name, GPL: section.Name == "__ksymtab_gpl" ||
				entry < len(flags) && flags[entry]&1 != 0}
			if sym.Sec > 0 {
				e.Loc = Loc{sym.Sec, sym.Value + uint64(value.Addend)}
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
func (m *Module) stringAt(rel elfobj.Reloc) (string, bool) {
	if !m.isString(rel) {
		return "", false
	}
	sym := &m.File.Symbols[rel.Sym]
	data := m.File.Sections[sym.Sec].Data
	off := sym.Value + uint64(rel.Addend)
	if off >= uint64(len(data)) {
		return "", false
	}
	n := bytes.IndexByte(data[off:], 0)
	if n < 0 {
		return "", false
	}
	return string(data[off : off+uint64(n)]), true
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
		section := &m.File.Sections[i]
		if section.Name != "__versions" {
			continue
		}
		if len(section.Data)%entry != 0 {
			return nil, fmt.Errorf("%s: __versions of %d bytes is not a table of %d-byte entries", m.Path,
				len(section.Data), entry)
		}
		var bo binary.ByteOrder = binary.LittleEndian
		if m.File.BigEndian {
			bo = binary.BigEndian
		}
		for d := section.Data; len(d) > 0; d = d[entry:] {
			name, _, _ := bytes.Cut(d[8:entry], []byte{0})
			out = append(out, Version{string(name), uint32(bo.Uint64(d))})
		}
	}
	return out, nil
}
