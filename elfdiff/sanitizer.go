package elfdiff

import (
	"cmp"
	"encoding/binary"
	"slices"
	"strings"

	"github.com/klpforge/klpforge/elfobj"
)

// gcc's -fsanitize=kernel-address gives each string a red zone, for which it cannot be in a
// section of strings that the linker merges: all lie in .rodata, without names, and a string
// more moves those behind it. A table of struct kasan_global (mm/kasan/kasan.h, v6.1) tells
// where each begins and ends:
//
//	 0  address
//	 8  size of the variable, bytes
//	16  size with the red zone, bytes
//	24  …name, module, constructor, place, indicator
const globalEntry = 64

// globalTable reports a section with such a table. Its symbol .LASAN0 is not in the object.
func globalTable(section string) bool {
	return strings.HasPrefix(section, ".data..LASAN") || strings.HasPrefix(section, ".data.rel.local..LASAN")
}

// sanitizerPieces finds the offsets at which the pieces of nameless sections begin, sorted, for
// each section of which the object's tables describe every byte. What a table says that cannot
// be true is left out.
func (o *Object) sanitizerPieces() map[elfobj.SecID][]uint64 {
	pieces := map[elfobj.SecID][]span{}
	for i := range o.File.Sections {
		section := &o.File.Sections[i]
		if !globalTable(section.Name) {
			continue
		}
		for k := range section.Relocs {
			rel := &section.Relocs[k]
			entry := section.Data[min(rel.Off, uint64(len(section.Data))):]
			if rel.Off%globalEntry != 0 || len(entry) < globalEntry {
				continue
			}
			sym := &o.File.Symbols[rel.Sym]
			if sym.Sec <= 0 || o.code(sym.Sec) {
				continue
			}
			from := sym.Value + uint64(rel.Addend)
			pieces[sym.Sec] = append(pieces[sym.Sec], span{from, from + binary.LittleEndian.Uint64(entry[16:])})
		}
	}

	out := map[elfobj.SecID][]uint64{}
	for sec, list := range pieces {
		slices.SortFunc(list, func(a, b span) int { return cmp.Compare(a.from, b.from) })
		at := uint64(0)
		var starts []uint64
		for _, piece := range list {
			if piece.from != at || piece.to <= piece.from {
				starts = nil
				break
			}
			starts = append(starts, piece.from)
			at = piece.to
		}
		if at == o.File.Sections[sec].Size && len(starts) > 0 {
			out[sec] = starts
		}
	}
	return out
}
