package code

import (
	"github.com/klpforge/klpforge/analyze/kfuncs"
	"github.com/klpforge/klpforge/elfobj"
)

// ShadowCall is a reference to a function that takes an id of shadow variables.
type ShadowCall struct {
	Function string // "klp_shadow_get"
	Section  string // where it is referred to
	ID       uint64 // when Known
	// Known is false when code does not show the id: it is computed, or the reference is
	// no direct call.
	Known bool
}

// ShadowCalls finds how an object of x86-64 uses shadow variables, in the order of
// its sections and relocations.
func ShadowCalls(elfFile *elfobj.File) ([]ShadowCall, error) {
	arch, err := elfobj.ArchOf(elfFile.Machine)
	if err != nil {
		return nil, err
	}
	var out []ShadowCall
	for i := range elfFile.Sections {
		section := &elfFile.Sections[i]
		for _, rel := range section.Relocs {
			arg, is := kfuncs.ShadowID(elfFile.Symbols[rel.Sym].Name)
			if !is {
				continue
			}
			call := ShadowCall{Function: elfFile.Symbols[rel.Sym].Name, Section: section.Name}
			// A call, or a jump at the end of a function: the displacement follows the opcode.
			if rel.Off > 0 && rel.Off <= uint64(len(section.Data)) &&
				(section.Data[rel.Off-1] == 0xe8 || section.Data[rel.Off-1] == 0xe9) {
				call.ID, call.Known = ConstArg(arch, section.Data, int(rel.Off)-1, arg)
			}
			out = append(out, call)
		}
	}
	return out, nil
}
