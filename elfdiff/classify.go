package elfdiff

import (
	"debug/elf"

	"github.com/klpforge/klpforge/elfobj"
)

// class says what a section holds.
type class uint8

const (
	classIgnore  class = iota // debug information, .discard.*, compiler notes
	classText                 // code
	classData                 // writable data
	classROData               // constant data
	classBSS                  // zeroed data
	classString               // mergeable strings
	classConst                // mergeable constants of EntSize bytes
	classTable                // a table about places in code
	classMeta                 // a table that boot code, the module loader or the kernel reads
	classAlt                  // .altinstr_replacement, __ftr_alt_*: pieces owned by table entries
	classSlots                // addresses and constants, 8 bytes each, that code looks up: .toc
	classUnknown              // allocated, but of no known kind
)

// shfExclude marks sections that the linker leaves out (gABI extension).
const shfExclude = elf.SectionFlag(0x80000000)

// InitSection reports whether code or data in a section of that name is only used
// while booting or loading, or only at unloading.
func InitSection(name string) bool { return initSection(name) }

// initSection reports whether code or data in the section is only used while
// booting or loading, or only at unloading, so that a running kernel may have given its memory back.
func initSection(name string) bool {
	known := rowOf(name)
	return known != nil && known.boot && (known.holds == holdsCode || known.holds == holdsEntries ||
		known.holds == holdsBoot)
}

// WriteProtected reports whether a kernel and its modules may not write to a section
// of that name once they have booted or loaded, and why.
func WriteProtected(name string) (why string, ok bool) {
	known := rowOf(name)
	if known == nil || known.protect == writable || known.holds == holdsCode {
		return "", false
	}
	if known.protect == afterInit {
		return "the kernel sets it while it boots or loads a module and write-protects it then", true
	}
	return "the kernel write-protects it", true
}

// metaOf returns the source construct that fills a table which boot code, the
// module loader or the kernel reads; false for other sections.
func metaOf(name string) (entryKind, bool) {
	if known := rowOf(name); known != nil && known.holds == holdsEntries {
		return known.construct, true
	}
	return "", false
}

// describesDebug reports a section of descriptions of pr_debug: __verbose in v4.19.
func describesDebug(section string) bool { return section == "__dyndbg" || section == "__verbose" }

func (o *Object) classify(section *elfobj.Section) class {
	known := rowOf(section.Name)
	if known == nil {
		known = &row{holds: 0xff}
	}

	// What the table of sections and the file's own flags settle, before contents are looked at.
	switch {
	case o.Arch.Slots(section.Name) && section.Type != elf.SHT_NOBITS && section.Flags&elf.SHF_ALLOC != 0:
		return classSlots
	case section.Type == elf.SHT_GROUP, section.Type == elf.SHT_STRTAB:
		return classIgnore
	case known.stripped, section.Flags&shfExclude != 0:
		return classIgnore
	case section.Flags&elf.SHF_ALLOC == 0:
		return classIgnore
	case known.holds == holdsPieces && section.Type != elf.SHT_NOBITS:
		return classAlt
	case (known.holds == holdsSites || known.holds == holdsHalf) && section.Type != elf.SHT_NOBITS:
		return classTable
	case known.holds == holdsEntries:
		return classMeta
	}

	// What the kind of memory settles. Pieces of merged sections have no identity: only their
	// bytes count.
	switch {
	case section.Type == elf.SHT_NOBITS:
		return classBSS
	case section.Flags&elf.SHF_EXECINSTR != 0:
		return classText
	case section.Flags&elf.SHF_MERGE != 0 && section.Flags&elf.SHF_STRINGS != 0 && section.Flags&elf.SHF_WRITE == 0 &&
		section.EntSize <= 4:
		return classString
	case section.Flags&elf.SHF_MERGE != 0 && section.EntSize > 0 && section.EntSize <= maxString &&
		section.Flags&elf.SHF_WRITE == 0:
		return classConst
	}

	// What is left is data that somebody must vouch for: a section that nothing is known of is
	// never taken for plain data.
	switch {
	case known.holds == holdsData && section.Flags&elf.SHF_WRITE != 0:
		return classData
	case known.holds == holdsData:
		return classROData
	case initSection(section.Name):
		return classMeta
	}
	return classUnknown
}
