package model

import (
	"slices"
	"strings"
)

// scanData finds functions' addresses in data: 8-byte words that equal a
// function's start, and initcall tables of 4-byte self-relative offsets. Words
// that point into a function (computed gotos) become extra entry points.
func (b *builder) scanData() {
	prog, mod := b.p, b.m
	if len(b.starts) == 0 {
		return
	}
	b.interior = map[FuncID][]uint64{}

	// Tables that list functions for the tracer and for probes: nothing calls through them.
	var skip []Range
	for _, name := range []string{"_mcount_loc", "_kprobe_blacklist", "_error_injection_whitelist"} {
		start, ok1 := prog.Lookup("__start" + name)
		stop, ok2 := prog.Lookup("__stop" + name)
		if ok1 && ok2 {
			skip = append(skip, Range{start, stop})
		}
	}

	// Each aligned word that is the address of a function counts as a reference; one to code
	// inside a function, in read-only data, as the target of a jump table.
	lo, hi := b.starts[0], b.m.Funcs[len(b.m.Funcs)-1].End
	for i := range prog.segs {
		segment := &prog.segs[i]
		if segment.Exec || len(segment.Data) < 8 || skipData(segment.Name) {
			continue
		}
		first := int(-segment.Addr & 7)
		for off := first; off+8 <= len(segment.Data); off += 8 {
			word := le.Uint64(segment.Data[off:])
			if word < lo || word > hi {
				continue
			}
			if id, ok := b.byStart[word]; ok {
				if slices.ContainsFunc(skip, func(r Range) bool { return r.Contains(segment.Addr + uint64(off)) }) {
					continue
				}
				mod.DataRefs = append(mod.DataRefs, DataRef{Addr: segment.Addr + uint64(off), Func: id})
			} else if segment.Name == ".rodata" || strings.HasPrefix(segment.Name, ".rodata.") {
				if id := b.funcAt(word); id != NoFunc && prog.codeAt(word) {
					b.interior[id] = append(b.interior[id], word)
				}
			}
		}
	}

	for id, list := range b.interior {
		slices.Sort(list)
		b.interior[id] = slices.Compact(list)
	}
	b.scanInitcalls()
	slices.SortStableFunc(mod.DataRefs, func(a, b DataRef) int { return cmpU64(a.Addr, b.Addr) })
}

// skipData tells sections whose words are no pointers.
func skipData(name string) bool {
	for _, prefix := range []string{".orc_", ".BTF", ".notes", "__kcrctab", "__ksymtab", ".smp_locks",
		".retpoline_sites",
		".return_sites",
		".altinstructions", ".parainstructions", "__bug_table", "__ex_table", "__mcount_loc", ".call_sites",
		".ibt_endbr_seal", "__jump_table", ".static_call_sites"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

// scanInitcalls reads the initcall table, which on x86 since 4.19 holds
// offsets from the field itself (include/linux/init.h).
func (b *builder) scanInitcalls() {
	start, ok1 := b.p.Lookup("__initcall_start")
	end, ok2 := b.p.Lookup("__initcall_end")
	if !ok1 || !ok2 || end <= start || end-start > 1<<20 {
		return
	}
	data, err := b.p.Read(start, int(end-start))
	if err != nil {
		return
	}
	for off := 0; off+4 <= len(data); off += 4 {
		addr := start + uint64(off)
		if id := b.entryAt(addr + uint64(int64(int32(le.Uint32(data[off:]))))); id != NoFunc {
			b.m.DataRefs = append(b.m.DataRefs, DataRef{Addr: addr, Func: id})
		}
	}
}
