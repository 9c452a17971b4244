// Package karch holds what differs between the architectures of kernels by name: what the
// kernel's build, uname and distributions call them, where a build leaves an image, and where
// ftrace's locations are. What differs in objects and instructions is in elfobj and analyze/machine.
package karch

import (
	"debug/elf"
	"fmt"
	"runtime"
	"slices"
	"strings"
)

// Arch is one architecture.
type Arch struct {
	Name    string // as in the kernel's arch/ directory: "x86"
	Kbuild  string // make ARCH=
	Machine elf.Machine
	Option  string   // of the configuration, without CONFIG_, that the architecture has and no other
	Uname   string   // uname -m, which RPM packages have as well
	Triplet string   // of GNU's tools, as Debian calls its cross compilers: "x86_64-linux-gnu"
	Names   []string // further names: of Go and Debian
	// Images are the files that a kernel's build leaves for boot loaders, below its directory,
	// the usual one first (KBUILD_IMAGE of arch/*/Makefile, v6.12).
	Images []string
	// McountSections are the sections of a module that list its ftrace
	// locations (scripts/module.lds.S, include/asm-generic/vmlinux.lds.h).
	McountSections []string
	// MaxFtraceOffset is how far behind a function's first byte its ftrace
	// location can be, bytes: FTRACE_MCOUNT_MAX_OFFSET, room for a landing
	// pad and, on arm64, for the patched slots before the call.
	MaxFtraceOffset uint64
	// FtraceBefore is how far before it, bytes: the slots for a pointer that arm64 has there with
	// DYNAMIC_FTRACE_WITH_CALL_OPS (ftrace_call_adjust, arch/arm64/kernel/ftrace.c, v7.2). The
	// function before ends ahead of them.
	FtraceBefore uint64
	// SharesAddresses says that gcc reaches several variables of a section over the address of one
	// (-fsection-anchors, its default there), so that code depends on which section each variable is in.
	SharesAddresses bool
	// Clang says that kernels compiled by clang can be followed, too.
	Clang bool
	// Relative is the type of the relocations that boot code applies to a relocatable image whose
	// places have no addresses in the file; 0 where they have.
	Relative uint32
	// vermagic makes MODULE_ARCH_VERMAGIC out of the configuration; nil: it is empty.
	vermagic func(set func(option string) bool) string
	// Builds says that livepatches are built and patches checked for it: its shipped code can be
	// judged. Where its instructions are not modelled (machine.For), checks that follow them say that
	// they are unknown.
	Builds bool
}

var arches = []Arch{
	{Name: "x86", Kbuild: "x86_64", Machine: elf.EM_X86_64, Option: "X86_64", Uname: "x86_64", Triplet: "x86_64-linux-gnu",
		Names: []string{"amd64"}, Clang: true,
		Images: []string{"arch/x86/boot/bzImage"}, McountSections: []string{"__mcount_loc"}, MaxFtraceOffset: 4,
		Builds: true},
	{Name: "arm64", Kbuild: "arm64", Machine: elf.EM_AARCH64, Option: "ARM64", Uname: "aarch64", Triplet: "aarch64-linux-gnu",
		vermagic:       func(func(string) bool) string { return "aarch64" },
		Images:         []string{"arch/arm64/boot/Image.gz"},
		McountSections: []string{"__patchable_function_entries", "__mcount_loc"}, MaxFtraceOffset: 12, FtraceBefore: 8, SharesAddresses: true,
		Relative: uint32(elf.R_AARCH64_RELATIVE), Builds: true},
	{Name: "powerpc", Kbuild: "powerpc", Machine: elf.EM_PPC64, Option: "PPC64", Uname: "ppc64le", Triplet: "powerpc64le-linux-gnu",
		Names: []string{"ppc64el"}, vermagic: powerpcVermagic,
		Images:         []string{"arch/powerpc/boot/zImage"},
		McountSections: []string{"__patchable_function_entries", "__mcount_loc"}, MaxFtraceOffset: 20, SharesAddresses: true},
	{Name: "s390", Kbuild: "s390", Machine: elf.EM_S390, Option: "S390", Uname: "s390x", Triplet: "s390x-linux-gnu",
		Images: []string{"arch/s390/boot/bzImage"}, McountSections: []string{"__mcount_loc"}},
	{Name: "loongarch", Kbuild: "loongarch", Machine: elf.EM_LOONGARCH, Option: "LOONGARCH", Uname: "loongarch64", Triplet: "loongarch64-linux-gnu",
		Names: []string{"loong64"}, vermagic: func(func(string) bool) string { return "LOONGARCH 64BIT " },
		Images:         []string{"arch/loongarch/boot/vmlinuz.efi"},
		McountSections: []string{"__patchable_function_entries", "__mcount_loc"}, SharesAddresses: true},
}

// powerpcVermagic follows arch/powerpc/include/asm/vermagic.h, v5.10 to v7.2.
func powerpcVermagic(set func(option string) bool) string {
	word := ""
	switch {
	case set("ARCH_USING_PATCHABLE_FUNCTION_ENTRY"):
		word = "patchable-function-entry "
	case set("MPROFILE_KERNEL"):
		word = "mprofile-kernel "
	}
	if set("RELOCATABLE") {
		word += "relocatable "
	}
	return word
}

// Vermagic returns MODULE_ARCH_VERMAGIC, the end of the version string of modules, where set
// tells which options the kernel has (arch/*/include/asm/vermagic.h, v5.10 to v7.2).
func (a Arch) Vermagic(set func(option string) bool) string {
	if a.vermagic == nil {
		return ""
	}
	return a.vermagic(set)
}

// AtEntry reports whether an ftrace location is that of the entry of the function at addr, size bytes
// long, of which the size is not known when it is 0.
func (a Arch) AtEntry(loc, addr, size uint64) bool {
	if loc < addr {
		return addr-loc <= a.FtraceBefore
	}
	return loc-addr < max(size, 1) && loc-addr <= a.MaxFtraceOffset
}

// Configured returns the architecture of a configuration, false for one that is not known here.
func Configured(set func(option string) bool) (Arch, bool) {
	i := slices.IndexFunc(arches, func(a Arch) bool { return set(a.Option) })
	if i < 0 {
		return Arch{}, false
	}
	return arches[i], true
}

// All returns the architectures.
func All() []Arch { return slices.Clone(arches) }

// Of returns the architecture of an ELF file, false for one that is not known here.
func Of(m elf.Machine) (Arch, bool) {
	i := slices.IndexFunc(arches, func(a Arch) bool { return a.Machine == m })
	if i < 0 {
		return Arch{}, false
	}
	return arches[i], true
}

// Named returns the architecture of one of its names; the first, for "", is x86. The error tells
// of a name that is none of a 64-bit architecture with livepatches.
func Named(name string) (Arch, error) {
	for _, a := range arches {
		if name == "" || a.Name == name || a.Kbuild == name || a.Uname == name || slices.Contains(a.Names, name) {
			return a, nil
		}
	}
	return Arch{}, fmt.Errorf("choose architecture: %q is not one that supports livepatching", name)
}

// Host returns the architecture of the machine that this runs on, false for one that is not known here.
func Host() (Arch, bool) {
	a, err := Named(runtime.GOARCH)
	return a, err == nil
}

// CrossPrefix is what stands before the names of the programs that build for a on this machine,
// make's CROSS_COMPILE: "aarch64-linux-gnu-"; "" where they need none.
func (a Arch) CrossPrefix() string {
	if host, ok := Host(); ok && host.Name == a.Name {
		return ""
	}
	return a.Triplet + "-"
}

// Images are the images of all architectures, below the directory of a build.
func Images() []string {
	var out []string
	for _, a := range arches {
		out = append(out, a.Images...)
	}
	return out
}

// Unames are what uname -m says on each.
func Unames() []string {
	var out []string
	for _, a := range arches {
		out = append(out, a.Uname)
	}
	return out
}

// Built names the architectures that livepatches are built for, as in "x86-64".
func Built() string {
	var out []string
	for _, a := range arches {
		if a.Builds {
			out = append(out, strings.ReplaceAll(a.Kbuild, "_", "-"))
		}
	}
	return strings.Join(out, ", ")
}
