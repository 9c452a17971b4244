package generate

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"github.com/klpforge/klpforge/elfobj"
	"github.com/klpforge/klpforge/module/note"
)

// maxLiteral bounds how much of unnamed data counts as part of a function.
const maxLiteral = 4 << 10 // bytes

// setContents fills in the digests of the replacements, whose objects
// checkUnits has read.
func setContents(manifest *note.Note, units []Unit) {
	files := map[string]*elfobj.File{}
	for _, unit := range units {
		if f, err := elfobj.Read(unit.Object); err == nil {
			files[unit.Name] = f
		}
	}
	for _, object := range manifest.Objects {
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
	if sym.Value > uint64(len(sec.Data)) || sym.Size > uint64(len(sec.Data))-sym.Value {
		return ""
	}
	hash := sha256.New()
	hash.Write(sec.Data[sym.Value : sym.Value+sym.Size])
	for _, rel := range sec.Relocs {
		if rel.Off < sym.Value || rel.Off >= sym.Value+sym.Size {
			continue
		}
		target := elfFile.Symbols[rel.Sym]
		fmt.Fprintf(hash, "%d %d ", rel.Off-sym.Value, rel.Type)
		if target.Name != "" || target.Sec <= 0 {
			fmt.Fprintf(hash, "%q %d\n", target.Name, rel.Addend)
			continue
		}
		section := &elfFile.Sections[target.Sec]
		fmt.Fprintf(hash, "%q", section.Name)
		// A reference from code is relative to the end of a 4-byte field.
		if at := int64(target.Value) + rel.Addend + 4; at >= 0 && at < int64(len(section.Data)) {
			text := section.Data[at:min(int64(len(section.Data)), at+maxLiteral)]
			if i := bytes.IndexByte(text, 0); i >= 0 {
				text = text[:i]
			}
			hash.Write(text)
		}
	}
	return hex.EncodeToString(hash.Sum(nil)[:16])
}
