package generate

import (
	"debug/elf"
	"slices"

	"github.com/klpforge/klpforge/elfobj"
	"github.com/klpforge/klpforge/finding"
)

// padding is how far before a function its unwind data may begin: objtool counts the bytes
// in front of it, where call thunks and hashes go, to the function (add_prefix_symbols,
// tools/objtool/check.c, v6.12; CONFIG_FUNCTION_PADDING_BYTES is at most 59).
const padding = 64

// unwind checks that objtool was run on what replaces something: that the table of unwind
// data has an entry in each such function, or in the padding before it. A kernel that
// unwinds in another way has no such table in its modules (.orc_unwind_ip,
// arch/x86/kernel/unwind_orc.c).
func (v *verifier) unwind(t *klpTables) {
	entries, tables := map[elfobj.SecID][]uint64{}, false
	for i := range v.f.Sections {
		s := &v.f.Sections[i]
		if s.Name != ".orc_unwind_ip" {
			continue
		}
		tables = true
		relocs := s.Relocs
		for _, k := range s.KlpRelocs {
			relocs = append(relocs[:len(relocs):len(relocs)], k.Relocs...)
		}
		for _, r := range relocs {
			if int(r.Sym) < len(v.f.Symbols) {
				sym := v.f.Symbols[r.Sym]
				entries[sym.Sec] = append(entries[sym.Sec], sym.Value+uint64(r.Addend))
			}
		}
	}
	if !tables {
		return
	}
	for _, f := range t.funcs {
		fn, before, ok := v.defined(f.New)
		if !ok {
			continue // said already
		}
		// An entry where the function before ends closes that one, or opens this one's padding;
		// that cannot be told, and objtool leaves out no function of an object.
		from := max(before, fn.Value-min(fn.Value, padding))
		if !slices.ContainsFunc(entries[fn.Sec], func(e uint64) bool { return from <= e && e < fn.Value+max(fn.Size, 1) }) {
			v.add(finding.Finding{
				ID: finding.IDUnwind, Severity: finding.Warning, Object: f.Object, Symbol: f.Name,
				Message: "no unwind data for its replacement: a transition waits for tasks that are in it",
				Remedy:  "build with the objtool of the target's source",
			})
		}
	}
}

// defined finds a function of the module, and where in its section the one before it ends,
// 0 for none.
func (v *verifier) defined(name string) (fn elfobj.Symbol, before uint64, ok bool) {
	for _, s := range v.f.Symbols {
		if s.Name == name && s.Sec > 0 && s.Type == elf.STT_FUNC {
			fn, ok = s, true
		}
	}
	for _, s := range v.f.Symbols {
		if s.Sec == fn.Sec && s.Type == elf.STT_FUNC && s.Value < fn.Value {
			before = max(before, min(s.Value+s.Size, fn.Value))
		}
	}
	return fn, before, ok
}
