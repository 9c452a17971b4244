package generate_test

import (
	"debug/elf"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/klpforge/klpforge/elfobj"
	"github.com/klpforge/klpforge/generate"
)

// references tells for every relocated place, livepatch relocations included, what
// it refers to: by name, for what has none by section.
func references(f *elfobj.File) map[string]string {
	out := map[string]string{}
	add := func(s *elfobj.Section, list []elfobj.Reloc) {
		for _, r := range list {
			sym := &f.Symbols[r.Sym]
			to := sym.Name
			if sym.Sec > 0 && (to == "" || sym.Type == elf.STT_SECTION) {
				to = "section " + f.Sections[sym.Sec].Name
			}
			out[fmt.Sprintf("%s+%#x type %d", s.Name, r.Off, r.Type)] = fmt.Sprintf("%s%+d", to, r.Addend)
		}
	}
	for i := range f.Sections {
		s := &f.Sections[i]
		if strings.HasPrefix(s.Name, ".debug") {
			continue
		}
		add(s, s.Relocs)
		for _, k := range s.KlpRelocs {
			add(s, k.Relocs)
		}
	}
	return out
}

// insert puts a symbol before the first global one, and renumbers.
func insert(f *elfobj.File, sym elfobj.Symbol) {
	at := elfobj.SymID(slices.IndexFunc(f.Symbols, func(s elfobj.Symbol) bool { return s.Bind == elf.STB_GLOBAL }))
	f.Symbols = slices.Insert(f.Symbols, int(at), sym)
	for i := range f.Sections {
		if g := &f.Sections[i].Group; *g >= at {
			*g++
		}
		for k := range f.Sections[i].Relocs {
			if r := &f.Sections[i].Relocs[k]; r.Sym >= at {
				r.Sym++
			}
		}
	}
}

// Whatever goes, everything that stays refers to what it referred to.
func TestPostLinkKeepsReferences(t *testing.T) {
	ko, m, _ := linked(t, "5.8", nil)
	for _, unused := range []bool{false, true} {
		f := parse(t, ko)
		want := references(f)
		if !slices.ContainsFunc(slices.Collect(maps.Values(want)), func(s string) bool { return strings.HasPrefix(s, ".klp.sym.ext4.") }) {
			t.Fatalf("no livepatch symbol among %q", want)
		}
		if unused {
			insert(f, elfobj.Symbol{Name: ".klp.sym.vmlinux.unused,0", Bind: elf.STB_GLOBAL})
		}
		text, err := f.Write()
		if err != nil {
			t.Fatal(err)
		}
		out, err := generate.PostLink(text, m)
		if err != nil {
			t.Fatal(err)
		}
		done := parse(t, out)
		if d := cmp.Diff(want, references(done)); d != "" {
			t.Errorf("with an unused symbol %v (-linked +finished)\n%s", unused, d)
		}
		// Symbols stand where they stood, in the sections of the same names.
		where := func(f *elfobj.File) map[string]string {
			out := map[string]string{}
			for _, s := range f.Symbols {
				if s.Sec > 0 && s.Name != "" {
					out[s.Name] = fmt.Sprintf("%s+%#x size %d %v %v", f.Sections[s.Sec].Name, s.Value, s.Size, s.Bind, s.Type)
				}
			}
			return out
		}
		if d := cmp.Diff(where(f), where(done)); d != "" {
			t.Errorf("symbols (-linked +finished)\n%s", d)
		}
		for i := range f.Sections {
			s := &f.Sections[i]
			if s.Flags&elf.SHF_ALLOC == 0 || s.Name == ".note.gnu.build-id" {
				continue
			}
			k := slices.IndexFunc(done.Sections, func(d elfobj.Section) bool { return d.Name == s.Name })
			if k < 0 || !slices.Equal(done.Sections[k].Data, s.Data) || done.Sections[k].Align != s.Align || done.Sections[k].Size != s.Size {
				t.Errorf("%s is another", s.Name)
			}
		}
	}
}
