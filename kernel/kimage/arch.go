package kimage

import (
	"debug/elf"
)

// Arch holds what differs between architectures for this package.
type Arch struct {
	Name    string // as in the kernel's arch/ directory: "x86"
	Kbuild  string // make ARCH=
	Machine elf.Machine
	// McountSections are the sections of a module that list its ftrace
	// locations (scripts/module.lds.S, include/asm-generic/vmlinux.lds.h).
	McountSections []string
	// MaxFtraceOffset is how far behind a function's first byte its ftrace
	// location can be, bytes: FTRACE_MCOUNT_MAX_OFFSET, room for a landing
	// pad and, on arm64, for the patched slots before the call.
	MaxFtraceOffset uint64
}

var arches = []Arch{
	{Name: "x86", Kbuild: "x86_64", Machine: elf.EM_X86_64, McountSections: []string{"__mcount_loc"},
		MaxFtraceOffset: 4},
	{Name: "arm64", Kbuild: "arm64", Machine: elf.EM_AARCH64,
		McountSections: []string{"__patchable_function_entries", "__mcount_loc"}, MaxFtraceOffset: 12},
	{Name: "s390", Kbuild: "s390", Machine: elf.EM_S390, McountSections: []string{"__mcount_loc"}},
	{Name: "powerpc", Kbuild: "powerpc", Machine: elf.EM_PPC64,
		McountSections: []string{"__patchable_function_entries", "__mcount_loc"}, MaxFtraceOffset: 20},
}

// ArchOf returns the architecture of an ELF file, false for one that is not known here.
func ArchOf(m elf.Machine) (Arch, bool) {
	for _, a := range arches {
		if a.Machine == m {
			return a, true
		}
	}
	return Arch{}, false
}
