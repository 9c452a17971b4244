package elfdiff

import (
	"bytes"
	"debug/elf"

	"github.com/klpforge/klpforge/elfobj"
)

// TargetKind says what a relocation refers to.
type TargetKind uint8

const (
	TargetNone   TargetKind = iota
	TargetExtern            // a symbol outside the object
	TargetAtom              // an atom and an offset from its primary symbol
	TargetString            // text of a mergeable string section
	TargetConst             // one mergeable constant
	TargetPiece             // a place in .altinstr_replacement
	TargetAbs               // an absolute value
)

// Target is the meaning of one relocation.
type Target struct {
	Kind TargetKind
	Name string // TargetExtern
	Atom AtomID // TargetAtom
	Sec  elfobj.SecID
	Off  int64  // TargetAtom: bytes from the primary symbol; TargetExtern, TargetAbs: addend; else offset in Sec
	Skew int64  // TargetExtern: from the addend to the offset from the symbol that is meant, bytes
	Text []byte // TargetString, TargetConst: the bytes; nil when there are none
	Skip int64  // TargetString, TargetConst: from the start of Text to the place meant, bytes
	Slot bool   // reached over an entry of a table of addresses, at SlotOff in section SlotSec
	// SlotSec and SlotOff give that entry; its section and offset there, bytes.
	SlotSec elfobj.SecID
	SlotOff uint64
}

// location is the offset in the symbol's section that the relocation refers
// to. idx is the relocation's index in o.relocs(sec), for the distance between
// its place and the point that a PC-relative value counts from.
func (o *Object) location(sec elfobj.SecID, rel *elfobj.Reloc, idx int) int64 {
	loc := int64(o.File.Symbols[rel.Sym].Value) + rel.Addend
	if o.Arch.PCRelative(rel.Type) {
		loc += o.biasOf(sec, idx)
	}
	return loc
}

// target resolves a relocation of section sec; idx as for location.
func (o *Object) target(sec elfobj.SecID, rel *elfobj.Reloc, idx int) Target {
	sym := &o.File.Symbols[rel.Sym]
	switch {
	case rel.Sym == 0:
		return Target{Kind: TargetNone, Off: rel.Addend}
	case sym.Sec == elfobj.SecUndef || sym.Sec == elfobj.SecCommon || sym.Sec == elfobj.SecLivepatch:
		target := Target{Kind: TargetExtern, Name: sym.Name, Off: rel.Addend}
		if o.Arch.PCRelative(rel.Type) {
			target.Skew = o.biasOf(sec, idx)
		}
		return target
	case sym.Sec == elfobj.SecAbs:
		return Target{Kind: TargetAbs, Name: sym.Name, Off: int64(sym.Value) + rel.Addend}
	}

	// What has no identity of its own is told by its contents or its place.
	loc := o.location(sec, rel, idx)
	section := &o.File.Sections[sym.Sec]
	switch o.class[sym.Sec] {
	case classString:
		base := o.pieceStart(sym, loc, 1)
		return Target{Kind: TargetString, Sec: sym.Sec, Off: loc, Text: stringAt(section, base), Skip: loc - base}
	case classConst:
		base := o.pieceStart(sym, loc, int64(section.EntSize))
		return Target{Kind: TargetConst, Sec: sym.Sec, Off: loc, Text: constAt(section, base), Skip: loc - base}
	case classAlt:
		return Target{Kind: TargetPiece, Sec: sym.Sec, Off: loc}
	case classSlots:
		return o.slot(sym.Sec, loc)
	}

	// A section's symbol says nothing about which of its atoms is meant, so the place decides.
	atom := AtomID(-1)
	if sym.Type != elf.STT_SECTION {
		atom = o.symAtom[rel.Sym]
	}
	if atom < 0 {
		atom = o.atomAt(sym.Sec, loc)
	}
	if atom < 0 {
		return Target{Kind: TargetPiece, Sec: sym.Sec, Off: loc}
	}
	return Target{Kind: TargetAtom, Atom: atom, Sec: sym.Sec, Off: loc - int64(o.Atoms[atom].Base)}
}

// atomTarget resolves a relocation that refers to an atom, as target does; false for
// all others, which it does not look at closer.
func (o *Object) atomTarget(sec elfobj.SecID, rel *elfobj.Reloc, idx int) (Target, bool) {
	to := o.File.Symbols[rel.Sym].Sec
	if to <= 0 {
		return Target{}, false
	}
	switch o.class[to] {
	case classString, classConst, classAlt:
		return Target{}, false
	}
	target := o.target(sec, rel, idx)
	return target, target.Kind == TargetAtom
}

// slotSize is the size of an entry in a table of addresses, bytes.
const slotSize = 8

// slot resolves a reference to an entry of a table of addresses: what the entry
// refers to, or the constant in it.
func (o *Object) slot(sec elfobj.SecID, loc int64) Target {
	section := &o.File.Sections[sec]
	if loc < 0 || loc%slotSize != 0 || loc > int64(len(section.Data))-slotSize {
		return Target{Kind: TargetPiece, Sec: sec, Off: loc}
	}
	target := Target{Kind: TargetConst, Sec: sec, Off: loc, Text: section.Data[loc : loc+slotSize]}
	relocs := o.relocs(sec)
	if k := searchOff(relocs, uint64(loc)); k < len(relocs) && relocs[k].Off < uint64(loc)+slotSize {
		rel := &relocs[k]
		if to := o.File.Symbols[rel.Sym].Sec; rel.Off != uint64(loc) || to > 0 && o.class[to] == classSlots {
			return Target{Kind: TargetPiece, Sec: sec, Off: loc}
		}
		target = o.target(sec, rel, k)
	}
	target.Slot, target.SlotSec, target.SlotOff = true, sec, uint64(loc)
	return target
}

// pieceStart returns where the string or constant starts that a reference to
// loc uses. Assemblers keep the symbol when an offset is added to it (an index
// with a constant part), for the linker must not take the offset for another
// string; so does this. Such an offset may lie outside the piece.
func (o *Object) pieceStart(sym *elfobj.Symbol, loc, size int64) int64 {
	if sym.Type != elf.STT_SECTION {
		return int64(sym.Value)
	}
	if loc < 0 {
		return loc
	}
	return loc - loc%size
}

// maxString bounds one string, bytes. Longer ones are not looked at.
const maxString = 1 << 16

// stringAt returns the string at off with its terminator; nil when off lies
// outside the section or the string does not end.
func stringAt(section *elfobj.Section, off int64) []byte {
	if off < 0 || off >= int64(len(section.Data)) {
		return nil
	}
	width := int(max(section.EntSize, 1))
	rest := section.Data[off:min(int64(len(section.Data)), off+maxString)]
	if width == 1 {
		if n := bytes.IndexByte(rest, 0); n >= 0 {
			return rest[:n+1]
		}
		return nil
	}
	for i := 0; i+width <= len(rest); i += width {
		if allZero(rest[i : i+width]) {
			return rest[:i+width]
		}
	}
	return nil
}

func allZero(b []byte) bool {
	for _, v := range b {
		if v != 0 {
			return false
		}
	}
	return true
}

func constAt(section *elfobj.Section, off int64) []byte {
	if off < 0 || off >= int64(len(section.Data)) {
		return nil
	}
	if int64(section.EntSize) > int64(len(section.Data))-off {
		return nil
	}
	return section.Data[off : off+int64(section.EntSize)]
}
