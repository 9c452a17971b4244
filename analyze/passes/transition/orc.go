package transition

import (
	"cmp"
	"slices"
	"sort"

	"github.com/klpforge/klpforge/analyze/code"
	"github.com/klpforge/klpforge/analyze/model"
	"github.com/klpforge/klpforge/elfdiff"
	"github.com/klpforge/klpforge/elfobj"
)

// orcSize is that of struct orc_entry, whose place .orc_unwind_ip has
// (arch/x86/include/asm/orc_types.h, v6.1 and v6.12).
const orcSize = 6

// orc is one entry: what holds of the stack from a place in a section on, up to
// the next.
type orc struct {
	sec    elfobj.SecID
	off    uint64
	unsure bool // the frame is not known
}

// orcEntries reads the unwind data of an object; nil when it has none.
func orcEntries(elfFile *elfobj.File) []orc {
	var ip, data *elfobj.Section
	for i := range elfFile.Sections {
		switch s := &elfFile.Sections[i]; s.Name {
		case ".orc_unwind_ip":
			ip = s
		case ".orc_unwind":
			data = s
		}
	}
	if ip == nil || data == nil {
		return nil
	}
	var out []orc
	for _, rel := range ip.Relocs {
		at := int(rel.Off/4) * orcSize
		if int(rel.Sym) >= len(elfFile.Symbols) || at+orcSize > len(data.Data) {
			continue
		}
		sym := &elfFile.Symbols[rel.Sym]
		e := data.Data[at : at+orcSize]
		// No register holds the previous stack pointer, and neither is it the end
		// of the stack: then all type bits would not be zero, in either version.
		out = append(out, orc{sym.Sec, sym.Value + uint64(rel.Addend), e[4]&0xf == 0 && e[5] == 0})
	}
	slices.SortStableFunc(out, func(a, b orc) int {
		return cmp.Or(cmp.Compare(a.sec, b.sec), cmp.Compare(a.off, b.off))
	})
	return out
}

// blind names a function that is called where the unwind data does not tell the
// caller's frame; "" when it always does, or the object has no such data.
func blind(obj *code.Object, at elfdiff.AtomID) string {
	entries := orcEntries(obj.Atoms.File)
	id, err := obj.Func(at)
	if len(entries) == 0 || err != nil {
		return ""
	}
	atom, fn := &obj.Atoms.Atoms[at], obj.Model.Func(id)
	for _, call := range obj.Model.Calls(id) {
		if call.Kind.IsTail() || call.Site < fn.Addr || call.Site >= fn.End || call.Kind == model.CallAlt {
			continue
		}
		name := "a function through a pointer"
		if call.Target != model.NoFunc {
			if name = obj.Model.Func(call.Target).Name; name == "__fentry__" ||
				obj.Model.Func(call.Target).Flags&model.FuncNoReturn != 0 {
				continue
			}
		}
		off := atom.Start + call.Site - fn.Addr
		i := sort.Search(len(entries), func(i int) bool {
			return entries[i].sec > atom.Sec || entries[i].sec == atom.Sec && entries[i].off > off
		}) - 1
		if i < 0 || entries[i].sec != atom.Sec || entries[i].unsure {
			return name
		}
	}
	return ""
}
