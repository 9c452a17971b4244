package elfdiff

import (
	"debug/elf"

	"github.com/klpforge/klpforge/elfobj"
)

// coldPart reports whether a patched atom is a cold part of a function, placed right
// behind it, without a symbol of its own. The kernel takes all up to the next symbol
// for the function (kallsyms_lookup_size_offset), so that its stack check sees calls from
// a cold part too before the livepatch goes.
func (o *Object) coldPart(atom AtomID) bool {
	return o.Root(atom) != atom && o.Atoms[atom].Class == classText && o.Atoms[atom].Name != ""
}

// room is the size of a function's code in the livepatch, with the jumps that
// lengthen puts behind it.
func (o *Object) room(atom AtomID) uint64 {
	at := &o.Atoms[atom]
	size := at.End - at.Start
	if at.Class != classText {
		return size
	}
	stub, _ := o.Arch.NearJump()
	relocs, _ := o.relocsIn(atom)
	for i := range relocs {
		if o.Arch.Width(relocs[i].Type) == 1 {
			size += uint64(len(stub))
		}
	}
	return size
}

// placeColdPart places a cold part behind its function, which has its place already.
func (x *extractor) placeColdPart(atom AtomID) {
	at, root := &x.p.Atoms[atom], x.p.Root(atom)
	pl := x.place[root]
	section := &x.out.Sections[pl.sec]
	align := alignedAt(x.p.File.Sections[at.Sec].Align, int64(at.Start))
	section.Align = max(section.Align, align)
	pl.off = alignTo(section.Size, align)
	section.Size = pl.off + x.p.room(atom)
	for i := pl.sym; int(i) < len(x.out.Symbols) && x.out.Symbols[i].Sec == pl.sec; i++ {
		// its own, and that of the replacement
		x.out.Symbols[i].Size = section.Size - x.out.Symbols[i].Value
	}
	pl.sym, pl.add = x.symbol(elfobj.Symbol{Type: elf.STT_SECTION, Sec: pl.sec}), int64(pl.off+at.Base-at.Start)
	x.place[atom] = pl
	x.order = append(x.order, atom)
}
