package generate

import (
	"debug/elf"

	"github.com/klpforge/klpforge/finding"
)

// unwind checks that objtool was run on what replaces something: that the table of unwind
// data names the start of each such function. A kernel that unwinds in another way
// has no such table in its modules (.orc_unwind_ip, arch/x86/kernel/unwind_orc.c, v4.14 to
// v7.2).
func (v *verifier) unwind(t *klpTables) {
	starts, any := map[place]bool{}, false
	for i := range v.f.Sections {
		s := &v.f.Sections[i]
		if s.Name != ".orc_unwind_ip" {
			continue
		}
		any = true
		relocs := s.Relocs
		for _, k := range s.KlpRelocs {
			relocs = append(relocs[:len(relocs):len(relocs)], k.Relocs...)
		}
		for _, r := range relocs {
			if int(r.Sym) < len(v.f.Symbols) {
				sym := v.f.Symbols[r.Sym]
				starts[place{sym.Sec, sym.Value + uint64(r.Addend)}] = true
			}
		}
	}
	if !any {
		return
	}
	at := map[string]place{}
	for _, s := range v.f.Symbols {
		if s.Sec > 0 && s.Type == elf.STT_FUNC {
			at[s.Name] = place{s.Sec, s.Value}
		}
	}
	for _, f := range t.funcs {
		if p, ok := at[f.New]; ok && !starts[p] {
			v.add(finding.Finding{
				ID: finding.IDUnwind, Severity: finding.Warning, Object: f.Object, Symbol: f.Name,
				Message: "no unwind data for its replacement: a transition waits for tasks that are in it",
				Remedy:  "build with the objtool of the target's source",
			})
		}
	}
}
