package model

import (
	"slices"
	"strings"
)

// scanData finds functions' addresses in data: 8-byte words that equal a
// function's start, and initcall tables of 4-byte self-relative offsets. Words
// that point into a function (computed gotos) become extra entry points.
func (b *builder) scanData() {
	p, m := b.p, b.m
	if len(b.starts) == 0 {
		return
	}
	b.interior = map[FuncID][]uint64{}
	var skip []Range
	for _, n := range []string{"_mcount_loc", "_kprobe_blacklist", "_error_injection_whitelist"} {
		start, ok1 := p.Lookup("__start" + n)
		stop, ok2 := p.Lookup("__stop" + n)
		if ok1 && ok2 {
			skip = append(skip, Range{start, stop})
		}
	}
	lo, hi := b.starts[0], b.m.Funcs[len(b.m.Funcs)-1].End
	for i := range p.segs {
		s := &p.segs[i]
		if s.Exec || len(s.Data) < 8 || skipData(s.Name) {
			continue
		}
		first := int(-s.Addr & 7)
		for o := first; o+8 <= len(s.Data); o += 8 {
			w := le.Uint64(s.Data[o:])
			if w < lo || w > hi {
				continue
			}
			if id, ok := b.byStart[w]; ok {
				if slices.ContainsFunc(skip, func(r Range) bool { return r.Contains(s.Addr + uint64(o)) }) {
					continue
				}
				m.DataRefs = append(m.DataRefs, DataRef{Addr: s.Addr + uint64(o), Func: id})
			} else if s.Name == ".rodata" || strings.HasPrefix(s.Name, ".rodata.") {
				if id := b.funcAt(w); id != NoFunc && p.codeAt(w) {
					b.interior[id] = append(b.interior[id], w)
				}
			}
		}
	}
	for id, l := range b.interior {
		slices.Sort(l)
		b.interior[id] = slices.Compact(l)
	}
	b.scanInitcalls()
	slices.SortStableFunc(m.DataRefs, func(a, b DataRef) int { return cmpU64(a.Addr, b.Addr) })
}

// skipData tells sections whose words are no pointers.
func skipData(name string) bool {
	for _, p := range []string{".orc_", ".BTF", ".notes", "__kcrctab", "__ksymtab", ".smp_locks", ".retpoline_sites", ".return_sites",
		".altinstructions", ".parainstructions", "__bug_table", "__ex_table", "__mcount_loc", ".call_sites", ".ibt_endbr_seal", "__jump_table", ".static_call_sites"} {
		if strings.HasPrefix(name, p) {
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
	d, err := b.p.Read(start, int(end-start))
	if err != nil {
		return
	}
	for o := 0; o+4 <= len(d); o += 4 {
		a := start + uint64(o)
		if id := b.entryAt(a + uint64(int64(int32(le.Uint32(d[o:]))))); id != NoFunc {
			b.m.DataRefs = append(b.m.DataRefs, DataRef{Addr: a, Func: id})
		}
	}
}
