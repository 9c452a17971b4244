package elfdiff

import (
	"bytes"
	"cmp"
	"debug/elf"
	"slices"
	"strings"
	"testing"

	"github.com/klpforge/klpforge/elfobj"
)

// image is an object whose sections have addresses and whose relocations are applied, by
// what the ABI says of S, A and P and nothing else.
type image struct {
	file    *elfobj.File
	base    []uint64 // address by section
	data    [][]byte // contents by section
	address map[string]uint64
}

const (
	imageStart = 0x1000_0000
	imageStep  = 1 << 16
)

// placed lays out the sections of an object one behind the other.
func placed(f *elfobj.File) *image {
	im := &image{file: f, base: make([]uint64, len(f.Sections)), address: map[string]uint64{}}
	for i := range f.Sections {
		im.base[i] = imageStart + uint64(i)*imageStep
	}
	for i := range f.Symbols {
		sym := &f.Symbols[i]
		switch {
		case sym.Name == "":
		case sym.Sec > 0:
			im.address[sym.Name] = im.base[sym.Sec] + sym.Value
		case sym.Sec == elfobj.SecUndef || sym.Sec == elfobj.SecCommon:
			im.address[sym.Name] = imageStart + uint64(len(f.Sections)+i)*imageStep
		}
	}
	return im
}

// placedLike lays out what was cut from an object so that all that has a name in both has the
// same address.
func placedLike(f *elfobj.File, whole *image) *image {
	im := &image{file: f, base: make([]uint64, len(f.Sections)), address: whole.address}
	for i := range f.Sections {
		im.base[i] = imageStart + uint64(len(whole.file.Sections)+len(whole.file.Symbols)+i)*imageStep
	}
	for i := range f.Symbols {
		if sym := &f.Symbols[i]; sym.Sec > 0 && sym.Name != "" {
			if at, ok := whole.address[sym.Name]; ok {
				im.base[sym.Sec] = at - sym.Value
			}
		}
	}
	return im
}

// link applies all relocations.
func (im *image) link(t *testing.T, arch elfobj.Arch) {
	t.Helper()
	im.data = make([][]byte, len(im.file.Sections))
	for i := range im.file.Sections {
		s := &im.file.Sections[i]
		im.data[i] = bytes.Clone(s.Data)
		if s.Flags&elf.SHF_ALLOC == 0 {
			continue
		}
		for _, rel := range s.Relocs {
			if width := uint64(arch.Width(rel.Type)); width > 0 {
				if err := arch.Apply(im.data[i][rel.Off:rel.Off+width], rel.Type, im.symbol(t, rel.Sym)+uint64(rel.Addend), im.base[i]+rel.Off); err != nil {
					t.Errorf("%s+%#x: %v", s.Name, rel.Off, err)
				}
			}
		}
	}
}

func (im *image) symbol(t *testing.T, id elfobj.SymID) uint64 {
	t.Helper()
	sym := &im.file.Symbols[id]
	switch {
	case id == 0:
		return 0
	case sym.Sec > 0:
		return im.base[sym.Sec] + sym.Value
	case sym.Sec == elfobj.SecAbs:
		return sym.Value
	}
	at, ok := im.address[strings.TrimSuffix(strings.TrimPrefix(sym.Name, klpPrefix), ",0")]
	if !ok {
		t.Errorf("the object that was cut has no %s", sym.Name)
	}
	return at
}

// around is what the object holds at an address, up to the end of a string or eight bytes,
// relocated fields left out.
func (im *image) around(address uint64) (what string, ok bool) {
	for i := range im.file.Sections {
		s := &im.file.Sections[i]
		if off := address - im.base[i]; s.Flags&elf.SHF_ALLOC != 0 && off < s.Size && s.Data != nil {
			size := uint64(8)
			if s.Flags&elf.SHF_MERGE != 0 && s.EntSize > 1 {
				size = min(size, s.EntSize) // what follows a constant is another's
			}
			raw := s.Data[off:min(off+size, s.Size)]
			if end := bytes.IndexByte(raw, 0); end >= 0 && s.Flags&elf.SHF_EXECINSTR == 0 && len(s.Relocs) == 0 {
				raw = raw[:end+1]
			}
			return string(raw), true
		}
	}
	return "", false
}

// sameField reports whether two fields that hold different numbers lead to the same contents.
// Where a PC-relative field counts from depends on the instruction: behind the field, or a
// constant of one, two or four bytes further. An address may lie one before an array.
func sameField(arch elfobj.Arch, typ uint32, a, b *image, value [2]uint64, place [2]uint64) bool {
	behind := []uint64{0, 1}
	if arch.PCRelative(typ) {
		behind = []uint64{4, 5, 6, 8}
		value[0], value[1] = value[0]+place[0], value[1]+place[1]
	}
	return slices.ContainsFunc(behind, func(n uint64) bool {
		x, okX := a.around(value[0] + n)
		y, okY := b.around(value[1] + n)
		return okX && okY && x == y
	})
}

// field reads what a relocation of 4 or 8 bytes has stored, with its sign.
func field(b []byte) uint64 {
	v := uint64(0)
	for i, c := range b {
		v |= uint64(c) << (8 * i)
	}
	if len(b) == 4 {
		return uint64(int64(int32(uint32(v))))
	}
	return v
}

// unambiguous reports whether no two places of an object have one name.
func unambiguous(f *elfobj.File) bool {
	seen := map[string]bool{}
	for i := range f.Symbols {
		sym := &f.Symbols[i]
		if sym.Sec <= 0 || sym.Type != elf.STT_FUNC && sym.Type != elf.STT_OBJECT {
			continue
		}
		if seen[sym.Name] {
			return false
		}
		seen[sym.Name] = true
	}
	return true
}

// linksAlike links the object and what was cut from it, with everything that stays in the
// kernel where the object has it: the code of a function that was cut is the same to the byte,
// but for what went along with it.
func linksAlike(t *testing.T, whole *elfobj.File, x *Extracted, function string) {
	t.Helper()
	arch := elfArch(t, whole)
	a := placed(whole)
	b := placedLike(x.File, a)
	a.link(t, arch)
	b.link(t, arch)
	at := func(f *elfobj.File) *elfobj.Symbol {
		i := slices.IndexFunc(f.Symbols, func(s elfobj.Symbol) bool { return s.Name == function && s.Sec > 0 })
		if i < 0 {
			t.Errorf("%s is not there", function)
			return nil
		}
		return &f.Symbols[i]
	}
	from, to := at(whole), at(x.File)
	if from == nil || to == nil {
		return
	}
	want, got := a.data[from.Sec][from.Value:], b.data[to.Sec][to.Value:]
	if uint64(len(got)) < from.Size {
		t.Errorf("%s: %d bytes, want %d", function, len(got), from.Size)
		return
	}
	want, got = want[:from.Size], got[:from.Size]
	fields := slices.Concat(shifted(x.File.Sections[to.Sec].Relocs, to.Value), shifted(whole.Sections[from.Sec].Relocs, from.Value))
	slices.SortStableFunc(fields, func(p, q elfobj.Reloc) int { return cmp.Compare(p.Off, q.Off) })
	for off := uint64(0); off < from.Size; off++ {
		if want[off] == got[off] {
			continue
		}
		k := slices.IndexFunc(fields, func(r elfobj.Reloc) bool { return r.Off <= off && off < r.Off+uint64(arch.Width(r.Type)) })
		if k < 0 {
			t.Errorf("%s+%#x: byte %#x, want %#x", function, off, got[off], want[off])
			return
		}
		rel := fields[k]
		width := uint64(arch.Width(rel.Type))
		old, cut := field(want[rel.Off:rel.Off+width]), field(got[rel.Off:rel.Off+width])
		place := [2]uint64{a.base[from.Sec] + from.Value + rel.Off, b.base[to.Sec] + to.Value + rel.Off}
		if !sameField(arch, rel.Type, a, b, [2]uint64{old, cut}, place) {
			t.Errorf("%s+%#x: field %#x does not lead to what %#x leads to", function, rel.Off, cut, old)
			return
		}
		off = rel.Off + width - 1
	}
}

// shifted are relocations whose places count from another place of their section.
func shifted(relocs []elfobj.Reloc, from uint64) []elfobj.Reloc {
	var out []elfobj.Reloc
	for _, rel := range relocs {
		if rel.Off >= from {
			rel.Off -= from
			out = append(out, rel)
		}
	}
	return out
}
