package elfdiff

import (
	"debug/elf"

	"github.com/klpforge/klpforge/elfobj"
)

// adjoins reports whether a patched atom is a piece of a function that travels right
// behind it, without a symbol of its own. The kernel takes all up to the next symbol
// for the function (kallsyms_lookup_size_offset), so that its stack check sees calls from
// a cold part too before the livepatch goes.
func (o *Object) adjoins(a AtomID) bool {
	return o.Root(a) != a && o.Atoms[a].Class == classText && o.Atoms[a].Name != ""
}

// room is the size of a function's code in the livepatch, with the jumps that
// lengthen puts behind it.
func (o *Object) room(a AtomID) uint64 {
	at := &o.Atoms[a]
	size := at.End - at.Start
	if at.Class != classText {
		return size
	}
	stub, _ := o.Arch.NearJump()
	relocs, _ := o.relocsIn(a)
	for i := range relocs {
		if o.Arch.Width(relocs[i].Type) == 1 {
			size += uint64(len(stub))
		}
	}
	return size
}

// adjoin places a piece behind its function, which has its place already.
func (x *extractor) adjoin(a AtomID) {
	at, root := &x.p.Atoms[a], x.p.Root(a)
	pl := x.place[root]
	s := &x.out.Sections[pl.sec]
	align := max(x.p.File.Sections[at.Sec].Align, 1)
	for at.Start%align != 0 {
		align /= 2
	}
	s.Align = max(s.Align, align)
	pl.off = (s.Size + align - 1) &^ (align - 1)
	s.Size = pl.off + x.p.room(a)
	for i := range x.out.Symbols {
		if f := &x.out.Symbols[i]; f.Sec == pl.sec && f.Type == elf.STT_FUNC {
			f.Size = s.Size - f.Value
		}
	}
	pl.sym, pl.add = x.symbol(elfobj.Symbol{Type: elf.STT_SECTION, Sec: pl.sec}), int64(pl.off+at.Base-at.Start)
	x.place[a] = pl
	x.order = append(x.order, a)
}
