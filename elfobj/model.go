// Package elfobj is a model of a relocatable ELF64 object: sections, symbols,
// relocations and section groups, with a bounds-checked reader and a
// deterministic writer. It knows nothing of diffing or of kernels.
package elfobj

import "debug/elf"

// SecID indexes File.Sections. Section 0 is the ELF null section.
type SecID int32

// SymID indexes File.Symbols. Symbol 0 is the ELF null symbol.
type SymID int32

// Special section indices as a symbol's Sec. Real sections are > 0.
const (
	SecUndef     SecID = 0  // SHN_UNDEF
	SecAbs       SecID = -1 // SHN_ABS
	SecCommon    SecID = -2 // SHN_COMMON; Value is the alignment
	SecLivepatch SecID = -3 // SHN_LIVEPATCH (0xff20), include/uapi/linux/elf.h
)

// Kernel-specific ELF numbers (include/uapi/linux/elf.h, v6.1).
const (
	SHNLivepatch     = 0xff20
	SHFRelaLivepatch = 0x00100000
)

// File is one relocatable object, or a linked kernel module (.ko), which is
// a relocatable object too. It owns all its slices.
// One that [ReadCode] made lacks its debug information; [File.Whole] has all.
type File struct {
	Machine   elf.Machine
	Type      elf.Type // ET_REL for everything Read accepts by default
	Flags     uint32   // e_flags
	OSABI     byte
	BigEndian bool      // byte order of the file
	Sections  []Section // [0] is the null section
	Symbols   []Symbol  // [0] is the null symbol; locals first in files read from disk

	origin *origin // where the debug information is that was left out; nil: nothing was
}

// Section is one section. Relocation, symbol-table, string-table and
// SHT_SYMTAB_SHNDX sections of the input are not listed: they are folded into
// Relocs and File.Symbols and made anew by Write. The exception is a
// .klp.rela.* section (SHFRelaLivepatch): it is kept as KlpRelocs of its target.
type Section struct {
	Name      string
	Type      elf.SectionType
	Flags     elf.SectionFlag
	Align     uint64 // bytes; 0 and 1 both mean none
	EntSize   uint64 // bytes; 0 when not a table of fixed entries
	Size      uint64 // bytes; len(Data) except for SHT_NOBITS
	Data      []byte // nil for SHT_NOBITS
	Relocs    []Reloc
	KlpRelocs []KlpRelocs
	Link      SecID // sh_link when it names an ordinary section (SHF_LINK_ORDER), else 0
	Group     SymID // for SHT_GROUP: signature symbol
	Members   []SecID
	GroupFlag uint32 // for SHT_GROUP: GRP_COMDAT
}

// KlpRelocs is one .klp.rela.<object>.<section> table.
type KlpRelocs struct {
	Name   string // the full section name
	Relocs []Reloc
}

// Symbol is one symbol-table entry.
type Symbol struct {
	Name  string // section symbols have the empty name
	Bind  elf.SymBind
	Type  elf.SymType
	Other byte   // st_other: visibility and arch bits
	Sec   SecID  // defining section or one of the Sec* constants
	Value uint64 // offset from the start of Sec, bytes
	Size  uint64 // bytes
}

// Reloc is one RELA entry. Files keep them sorted by Offset (stable).
type Reloc struct {
	Off    uint64 // offset from the start of the section, bytes
	Addend int64
	Type   uint32 // R_<arch>_*
	Sym    SymID
}
