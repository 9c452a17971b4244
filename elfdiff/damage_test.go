package elfdiff

import (
	"debug/elf"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/klpforge/klpforge/elfobj"
	"github.com/klpforge/klpforge/finding"
)

// damageAt changes the byte at off of a section, or the relocation whose field it is in;
// false when nothing may be changed there.
func damageAt(f *elfobj.File, arch elfobj.Arch, sec elfobj.SecID, off uint64, rng *rand.Rand) (string, bool) {
	s := &f.Sections[sec]
	for k := range s.Relocs {
		rel := &s.Relocs[k]
		if width := uint64(arch.Width(rel.Type)); off < rel.Off || off >= rel.Off+max(width, 1) {
			continue
		} else if width == 0 {
			return "", false // a mark: says nothing of the bytes
		}
		if rng.IntN(2) == 0 {
			rel.Addend += 1 << rng.IntN(4)
			return fmt.Sprintf("addend of the relocation at %#x", rel.Off), true
		}
		for range 20 {
			other := elfobj.SymID(1 + rng.IntN(len(f.Symbols)-1))
			to, was := &f.Symbols[other], &f.Symbols[rel.Sym]
			if to.Type == elf.STT_FILE || to.Name == "" || to.Sec == was.Sec && to.Value == was.Value && to.Name == was.Name {
				continue
			}
			if to.Sec > 0 && to.Sec == was.Sec && to.Value == was.Value {
				continue // another name of the place
			}
			rel.Sym = other
			return fmt.Sprintf("relocation at %#x goes to %s", rel.Off, to.Name), true
		}
		return "", false
	}
	if s.Data == nil {
		return "", false
	}
	s.Data[off] ^= 1 << rng.IntN(8)
	return fmt.Sprintf("bit of byte %#x", off), true
}

// mentions reports whether a result says something of a symbol, or of a function whose
// piece it is.
func mentions(r *Result, f *elfobj.File, id elfobj.SymID) bool {
	sym := &f.Symbols[id]
	names := map[string]bool{}
	for i := range f.Symbols {
		// All names of the place.
		if s := &f.Symbols[i]; s.Sec == sym.Sec && s.Name != "" && s.Value <= sym.Value && sym.Value < s.Value+max(s.Size, 1) {
			names[s.Name] = true
			if parent, ok := fragmentParent(s.Name); ok {
				names[parent] = true
			}
		}
	}
	for _, ch := range slices.Concat(r.Functions, r.Data, r.Lines) {
		if names[ch.Name] {
			return true
		}
	}
	return slices.ContainsFunc(r.Problems, func(p finding.Finding) bool {
		return names[p.Symbol] || p.Severity == finding.Error && p.Section == f.Sections[sym.Sec].Name
	})
}

// meansNothing reports a symbol whose bytes may change without a word: what a macro for
// one-time messages remembers, the index of messages, what describes a pr_debug, the
// name of a function that only messages use, a sanitizer's list of variables, and padding before a function.
func meansNothing(name string) bool {
	for _, part := range []string{"__already_done", "_entry", "__pfx_", "descriptor", "__func__", "__unnamed_"} {
		if strings.Contains(name, part) {
			return true
		}
	}
	return false
}

// nameless reports what no report can name: by its contents it belongs to the functions
// that use it, or to what a macro registers under another name.
func nameless(section *elfobj.Section, name string) bool {
	return section.Flags&elf.SHF_MERGE != 0 || strings.HasPrefix(section.Name, ".rodata") || generatedConst(name) ||
		strings.HasPrefix(section.Name, ".init.") || strings.HasPrefix(section.Name, ".discard.klpforge.")
}

// damages is how many places of one object TestEveryPlaceCounts changes.
const damages = 4

// TestEveryPlaceCounts: whatever one bit or one reference of a function or variable
// becomes, the comparison names that function or variable.
func TestEveryPlaceCounts(t *testing.T) {
	for _, f := range fixtures(t) {
		t.Run(f.String(), func(t *testing.T) {
			t.Parallel()
			file := f.read(t, "after")
			arch := elfArch(t, file)
			rng := rand.New(rand.NewPCG(1, uint64(len(f.name))))
			var places []elfobj.SymID
			for i := range file.Symbols {
				sym := &file.Symbols[i]
				if sym.Sec <= 0 || sym.Size == 0 || sym.Name == "" || meansNothing(sym.Name) {
					continue
				}
				if s := &file.Sections[sym.Sec]; s.Flags&elf.SHF_ALLOC == 0 || s.Data == nil || s.Name == ".modinfo" ||
					sym.Value+sym.Size > s.Size {
					continue
				}
				places = append(places, elfobj.SymID(i))
			}
			for range min(damages, 2*len(places)) {
				id := places[rng.IntN(len(places))]
				other := copyFile(file)
				sym := &other.Symbols[id]
				off := sym.Value + rng.Uint64N(sym.Size)
				what, ok := damageAt(other, arch, sym.Sec, off, rng)
				if !ok {
					continue
				}
				r, err := Diff(file, other)
				if err != nil {
					continue // refused
				}
				if nameless(&file.Sections[sym.Sec], sym.Name) && describe(r)[0] != "nothing" {
					continue
				}
				if !mentions(r, file, id) {
					t.Errorf("%s in %s: %s: nothing is said but %q", sym.Name, file.Sections[sym.Sec].Name, what, strings.Join(describe(r), ", "))
				}
			}
		})
	}
}
