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
func setContents(m *note.Note, units []Unit) {
	files := map[string]*elfobj.File{}
	for _, u := range units {
		if f, err := elfobj.Read(u.Object); err == nil {
			files[u.Name] = f
		}
	}
	for _, o := range m.Objects {
		for i := range o.Funcs {
			fn := &o.Funcs[i]
			for _, s := range files[fn.Unit].Symbols {
				if s.Name == fn.New && s.Sec > 0 {
					fn.Content = contentOf(files[fn.Unit], s)
				}
			}
		}
	}
}

// contentOf is a digest of a function: its code, and what it refers to by
// name, or, for literals, by value. Where the linker puts things has no say,
// so that two builds can be compared function by function.
func contentOf(f *elfobj.File, s elfobj.Symbol) string {
	sec := &f.Sections[s.Sec]
	if s.Value > uint64(len(sec.Data)) || s.Size > uint64(len(sec.Data))-s.Value {
		return ""
	}
	h := sha256.New()
	h.Write(sec.Data[s.Value : s.Value+s.Size])
	for _, r := range sec.Relocs {
		if r.Off < s.Value || r.Off >= s.Value+s.Size {
			continue
		}
		t := f.Symbols[r.Sym]
		fmt.Fprintf(h, "%d %d ", r.Off-s.Value, r.Type)
		if t.Name != "" || t.Sec <= 0 {
			fmt.Fprintf(h, "%q %d\n", t.Name, r.Addend)
			continue
		}
		d := &f.Sections[t.Sec]
		fmt.Fprintf(h, "%q", d.Name)
		// A reference from code is relative to the end of a 4-byte field.
		if at := int64(t.Value) + r.Addend + 4; at >= 0 && at < int64(len(d.Data)) {
			text := d.Data[at:min(int64(len(d.Data)), at+maxLiteral)]
			if i := bytes.IndexByte(text, 0); i >= 0 {
				text = text[:i]
			}
			h.Write(text)
		}
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}
