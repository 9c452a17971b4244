package generate

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"

	"github.com/klpforge/klpforge/elfobj"
	"github.com/klpforge/klpforge/module/note"
)

// How much of unnamed data counts as part of a function, bytes: of a constant that
// compilers let linkers merge (.rodata.cst32), and of all else.
const (
	maxConstant = 32
	maxLiteral  = 4 << 10
)

// setContents fills in the digests of the replacements, whose objects
// checkUnits has read.
func setContents(recorded *note.Note, units []Unit) {
	files := map[string]*elfobj.File{}
	for _, unit := range units {
		if f, err := elfobj.Read(unit.Object); err == nil {
			files[unit.Name] = f
		}
	}
	for _, object := range recorded.Objects {
		for i := range object.Funcs {
			fn := &object.Funcs[i]
			for _, sym := range files[fn.Unit].Symbols {
				if sym.Name == fn.New && sym.Sec > 0 {
					fn.Content = contentOf(files[fn.Unit], sym)
				}
			}
		}
	}
}

// contentOf is a digest of a function: its code, and what it refers to by
// name, or, for literals, by value. Where the linker puts things has no say,
// so that two builds can be compared function by function.
func contentOf(elfFile *elfobj.File, sym elfobj.Symbol) string {
	sec := &elfFile.Sections[sym.Sec]
	arch, err := elfobj.ArchOf(elfFile.Machine)
	if err != nil || sym.Value > uint64(len(sec.Data)) || sym.Size > uint64(len(sec.Data))-sym.Value {
		return ""
	}
	hash := sha256.New()
	hash.Write(sec.Data[sym.Value : sym.Value+sym.Size])
	for _, rel := range within(sec.Relocs, sym.Value, sym.Size) {
		target := elfFile.Symbols[rel.Sym]
		fmt.Fprintf(hash, "%d %d ", rel.Off-sym.Value, rel.Type)
		if target.Name != "" || target.Sec <= 0 {
			fmt.Fprintf(hash, "%q %d\n", target.Name, rel.Addend)
			continue
		}
		at := int64(target.Value) + rel.Addend
		if arch.PCRelative(rel.Type) {
			at += int64(arch.FieldBase()) // from the place to the point that the value counts from
		}
		writeLiteral(hash, elfFile, &elfFile.Sections[target.Sec], at)
	}
	return hex.EncodeToString(hash.Sum(nil)[:16])
}

// within lists the relocations in [from, from+size).
func within(relocs []elfobj.Reloc, from, size uint64) []elfobj.Reloc {
	var out []elfobj.Reloc
	for _, rel := range relocs {
		if rel.Off >= from && rel.Off-from < size {
			out = append(out, rel)
		}
	}
	return out
}

// writeLiteral adds what lies at an offset of a section without names, as elfdiff lays
// such sections out: strings and constants are collected, all else has a section of its
// own. Of a constant the size is not known; that of a neighbour may be taken for it, but
// nothing of it is missed.
func writeLiteral(hash io.Writer, elfFile *elfobj.File, section *elfobj.Section, at int64) {
	fmt.Fprintf(hash, "%q", section.Name)
	if at < 0 || at >= int64(len(section.Data)) {
		return
	}
	text := section.Data[at:]
	switch section.Name {
	case ".rodata.klpforge.str":
		text, _, _ = bytes.Cut(text, []byte{0})
	case ".rodata.klpforge.cst":
		text = text[:min(len(text), maxConstant)]
	default:
		text = text[:min(len(text), maxLiteral)]
	}
	hash.Write(text)
	for _, rel := range within(section.Relocs, uint64(at), uint64(len(text))) {
		target := elfFile.Symbols[rel.Sym]
		name := target.Name
		if name == "" && target.Sec > 0 {
			name = elfFile.Sections[target.Sec].Name
		}
		fmt.Fprintf(hash, "%d %d %q %d\n", int64(rel.Off)-at, rel.Type, name, int64(target.Value)+rel.Addend)
	}
}
