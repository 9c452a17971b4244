package generate

import (
	"debug/elf"
	"fmt"
	"strings"

	"github.com/klpforge/klpforge/elfobj"
	"github.com/klpforge/klpforge/finding"
	"github.com/klpforge/klpforge/plan"
)

// On processors with indirect branch tracking (IBT) a call through a pointer
// must land on an endbr64 instruction, or the kernel stops. The compiler puts
// one only at functions that are visible outside of their file or whose address
// the file takes, and the kernel overwrites those of functions whose address
// nothing in it takes, when it boots (apply_seal_endbr,
// arch/x86/kernel/alternative.c, v6.12), with or without such a processor. A
// livepatch that is the first to take an address finds none there. Direct calls
// are not concerned, nor is the way of ftrace to a replacement, which returns
// to it.

// notCalled are sections whose references to code nobody calls through: those
// that objtool leaves out (validate_ibt, tools/objtool/check.c, v6.12).
var notCalled = map[string]bool{
	".altinstructions": true, ".call_sites": true, ".cfi_sites": true, ".ibt_endbr_seal": true, ".kcfi_traps": true,
	".orc_unwind_ip":    true,
	".parainstructions": true, ".retpoline_sites": true, ".return_sites": true, ".smp_locks": true,
	".static_call_sites": true,
	"__bug_table":        true, "__ex_table": true, "__jump_table": true, "__mcount_loc": true,
	"__patchable_function_entries": true,
	"_error_injection_whitelist":   true, "_kprobe_blacklist": true,
}

// boundsText reports whether a symbol is one that the linker script sets where code
// begins or ends (arch/x86/kernel/vmlinux.lds.S, include/asm-generic/vmlinux.lds.h,
// v6.12). Addresses are compared with these; nothing calls them.
func boundsText(name string) bool {
	switch name {
	case "_text", "_stext", "_etext", "_sinittext", "_einittext":
		return true
	}
	return strings.HasPrefix(name, "__") && (strings.HasSuffix(name, "_text_start") ||
		strings.HasSuffix(name, "_text_end"))
}

// taken is a symbol of the kernel whose address the module takes.
type taken struct {
	symbol string // as in the symbol table
	where  string // a function or variable, or a section and an offset
}

// addressesTaken lists the symbols outside of the file whose addresses its code or data
// take, each once; none where kernels do not track indirect branches.
func addressesTaken(elfFile *elfobj.File) []taken {
	arch, err := elfobj.ArchOf(elfFile.Machine)
	if err != nil || !arch.TracksBranches() {
		return nil
	}
	var out []taken
	seen := map[elfobj.SymID]bool{}
	for i := range elfFile.Sections {
		section := &elfFile.Sections[i]
		if section.Flags&elf.SHF_ALLOC == 0 || notCalled[section.Name] || strings.HasPrefix(section.Name, ".discard") {
			continue
		}

		// Livepatch relocations too: the kernel fills those in as well.
		tables := [][]elfobj.Reloc{section.Relocs}
		for _, k := range section.KlpRelocs {
			tables = append(tables, k.Relocs)
		}
		for _, table := range tables {
			// A direct branch takes no address: only what is stored or loaded can be called
			// through a pointer.
			for _, rel := range table {
				sym := &elfFile.Symbols[rel.Sym]
				if rel.Sym == 0 || seen[rel.Sym] || sym.Sec != elfobj.SecUndef && sym.Sec != elfobj.SecLivepatch ||
					section.Flags&elf.SHF_EXECINSTR != 0 && arch.BranchReloc(section.Data, rel) {
					continue
				}
				seen[rel.Sym] = true
				out = append(out, taken{sym.Name, placeName(elfFile, elfobj.SecID(i), rel.Off)})
			}
		}
	}
	return out
}

// placeName names the symbol of the file that holds a place.
func placeName(elfFile *elfobj.File, sec elfobj.SecID, off uint64) string {
	for i := range elfFile.Symbols {
		sym := &elfFile.Symbols[i]
		if sym.Sec == sec && (sym.Type == elf.STT_FUNC || sym.Type == elf.STT_OBJECT) && sym.Value <= off &&
			off < sym.Value+sym.Size {
			return sym.Name
		}
	}
	return fmt.Sprintf("%s+%#x", elfFile.Sections[sec].Name, off)
}

// CheckIndirect finds functions of the target whose addresses the file takes, and that
// may not be called through a pointer. The file is a finished module, or an object
// whose livepatch symbols are still undefined ones.
func CheckIndirect(elfFile *elfobj.File, target VerifyTarget) ([]finding.Finding, error) {
	var out []finding.Finding
	for _, address := range addressesTaken(elfFile) {
		object, name, pos := plan.Vmlinux, address.symbol, 0
		if elfobj.IsKlpSymbol(address.symbol) {
			klp, err := elfobj.ParseKlpSymbol(address.symbol)
			if err != nil {
				continue // reported as a bad symbol
			}
			object, name, pos = klp.Object, klp.Name, klp.Pos
		} else if e, ok := target.Export(address.symbol); !ok {
			continue // reported as undefined, or of another object of the livepatch
		} else {
			object = e.Module
		}
		if isVmlinux(object) && boundsText(name) || !isVmlinux(object) && !target.HasObject(object) {
			continue // no function; reported
		}
		syms, err := target.Symbols(object, name)
		if err != nil {
			return nil, fmt.Errorf("look up %s in %s: %w", name, object, err)
		}
		if pos = max(pos, 1); pos > len(syms) {
			continue // reported
		}
		why, err := target.Indirect(object, syms[pos-1])
		if err != nil {
			return nil, err
		}
		if why == "" {
			continue
		}
		out = append(out, finding.Finding{ID: finding.IDIndirect, Severity: finding.Error, Object: object, Symbol: name,
			Message: fmt.Sprintf("%s takes its address, which the kernel itself never does: the function %s, so a "+
				"call through the pointer makes the kernel stop on processors with indirect branch tracking",
				address.where, why),
			Remedy: "take the address of a new function of the patch that calls it"})
	}
	return out, nil
}

// indirect adds what CheckIndirect finds in the finished module.
func (v *verifier) indirect() error {
	found, err := CheckIndirect(v.f, v.target)
	v.problems = append(v.problems, found...)
	return err
}
