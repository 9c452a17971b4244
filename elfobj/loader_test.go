package elfobj

import (
	"debug/elf"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// loaders are the files in which the kernel applies the relocations of a module, below arch/.
var loaders = map[elf.Machine]string{
	elf.EM_X86_64: "x86/kernel/module.c", elf.EM_AARCH64: "arm64/kernel/module.c", elf.EM_PPC64: "powerpc/kernel/module_64.c",
	elf.EM_S390: "s390/kernel/module.c", elf.EM_LOONGARCH: "loongarch/kernel/module.c",
}

// notRead are relocation types that a loader has a case for, and no table here. "x*" stands for
// all that begin with x.
var notRead = map[string]string{
	"R_386_*":               "of 32-bit x86",
	"R_AARCH64_MOVW_SABS_*": "assembly alone has it (mov_q), and the loader turns movz into movn",
	"R_AARCH64_MOVW_PREL_*": "assembly alone has it, and the loader turns movz into movn",
	"R_LARCH_SOP_*":         "the stack machine of assemblers before binutils 2.40: one field is the sum of several relocations",
	"R_LARCH_ADD*":          "read in pairs with R_LARCH_SUB*, see Merge",
	"R_LARCH_SUB*":          "read in pairs with R_LARCH_ADD*, see Merge",
	"R_LARCH_PCADD_*":       "of 32-bit LoongArch, whose objects are no ELF64",
	"R_LARCH_GOT_PCADD_*":   "of 32-bit LoongArch, whose objects are no ELF64",
	"R_390_COPY":            "the loader refuses it", "R_390_GLOB_DAT": "the loader refuses it",
	"R_390_JMP_SLOT": "the loader refuses it", "R_390_RELATIVE": "the loader refuses it",
	"R_390_GOTPLT*": "no compiler uses it for the kernel", "R_390_GOTOFF*": "no compiler uses it for the kernel",
	"R_390_GOT1*": "displacements of -fpic, which the kernel is not compiled with", "R_390_GOT2*": "displacements of -fpic",
	"R_390_GOT3*": "no compiler uses it for the kernel", "R_390_GOT6*": "no compiler uses it for the kernel",
	"R_390_GOTPC*": "no compiler uses it for the kernel", "R_390_PLTOFF*": "no compiler uses it for the kernel",
}

var (
	caseRE  = regexp.MustCompile(`\bcase (R_\w+):`)
	tableRE = regexp.MustCompile(`\[(R_\w+)(?: \.\.\. R_\w+)?\]\s*=\s*(\w+)`)
)

// TestLoaderTypes: each relocation type that the module loader of a kernel in the cache applies
// is known here, or the list above says why not. The kernel calls some by another name.
func TestLoaderTypes(t *testing.T) {
	cache := os.Getenv("KLPFORGE_E2E_CACHE")
	if cache == "" {
		t.Skip("KLPFORGE_E2E_CACHE is not set: no sources of kernels")
	}
	trees, err := filepath.Glob(filepath.Join(cache, "trees/*/linux/arch"))
	if err != nil || len(trees) == 0 {
		t.Fatalf("no tree in %s: %v", cache, err)
	}
	alias := map[string]string{"R_ARM_NONE": "R_AARCH64_NONE", "R_PPC_REL24": "R_PPC64_REL24"}
	used := map[string]bool{}
	for machine, file := range loaders {
		arch, err := ArchOf(machine)
		if err != nil {
			t.Fatal(err)
		}
		byName := map[string]uint32{}
		for typ := range uint32(300) {
			byName[arch.RelocName(typ)] = typ
		}
		applied := map[string]bool{}
		for _, tree := range trees {
			text, err := os.ReadFile(filepath.Join(tree, file))
			if os.IsNotExist(err) {
				continue // an architecture that came later
			} else if err != nil {
				t.Fatal(err)
			}
			for _, found := range caseRE.FindAllStringSubmatch(string(text), -1) {
				applied[found[1]] = true
			}
			for _, found := range tableRE.FindAllStringSubmatch(string(text), -1) {
				applied[found[1]] = applied[found[1]] || found[2] != "apply_r_larch_error"
			}
		}
		if len(applied) < 5 {
			t.Errorf("%s: %d relocation types", file, len(applied))
		}
		for _, name := range slices.Sorted(maps.Keys(applied)) {
			if !applied[name] {
				continue
			}
			if why := except(name, used); why != "" {
				continue
			}
			if other := alias[name]; other != "" {
				name = other
			}
			if typ, ok := byName[name]; !ok || !arch.Known(typ) {
				t.Errorf("%s applies %s, of which nothing is known", file, name)
			}
		}
	}
	for pattern := range notRead {
		if !used[pattern] {
			t.Errorf("%s is listed, and no loader applies it", pattern)
		}
	}
}

// except returns why a type is not read, "" when nothing says so.
func except(name string, used map[string]bool) string {
	for pattern, why := range notRead {
		prefix, family := strings.CutSuffix(pattern, "*")
		if name == pattern || family && strings.HasPrefix(name, prefix) {
			used[pattern] = true
			return why
		}
	}
	return ""
}
