package elfdiff

import (
	"debug/elf"

	"github.com/klpforge/klpforge/elfobj"
)

// Adjoins reports whether a patched atom is a piece of a function that travels right
// behind it, without a symbol of its own. The kernel takes all up to the next symbol
// for the function (kallsyms_lookup_size_offset), so that its stack check sees calls from
// a cold part too before the livepatch goes. A function that is left by jumps of two bytes has
// longer ones behind it instead.
func (r *Result) Adjoins(a AtomID) bool {
	p := r.Patched
	root := p.Root(a)
	return root != a && p.Atoms[a].Class == classText && p.Atoms[a].Name != "" && !p.shortJumps(a) && !p.shortJumps(root)
}

// shortJumps reports whether relocations of one byte are in a function.
func (o *Object) shortJumps(a AtomID) bool {
	relocs, _ := o.relocsIn(a)
	for i := range relocs {
		if o.Arch.Width(relocs[i].Type) == 1 {
			return true
		}
	}
	return false
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
	s.Size = pl.off + at.End - at.Start
	for i := range x.out.Symbols {
		if f := &x.out.Symbols[i]; f.Sec == pl.sec && f.Type == elf.STT_FUNC {
			f.Size = s.Size - f.Value
		}
	}
	pl.sym, pl.add = x.symbol(elfobj.Symbol{Type: elf.STT_SECTION, Sec: pl.sec}), int64(pl.off+at.Base-at.Start)
	x.place[a] = pl
	x.order = append(x.order, a)
}
