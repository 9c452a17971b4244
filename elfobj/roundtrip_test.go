package elfobj

import (
	"bytes"
	"debug/elf"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestRoundTripFixtures(t *testing.T) {
	for _, name := range fixtures {
		t.Run(name, func(t *testing.T) {
			f := parse(t, fixture(t, name))
			out, back := roundTrip(t, f)
			wantSame(t, f, back)
			again, _ := roundTrip(t, back)
			if !bytes.Equal(out, again) {
				t.Error("writing what was read back gives other bytes")
			}
			if second, err := f.Write(); err != nil || !bytes.Equal(out, second) {
				t.Errorf("writing twice gives other bytes (error %v)", err)
			}
			wantAccepted(t, out)
		})
	}
}

// TestReadAgainstDebugELF checks the reader against an independent one.
func TestReadAgainstDebugELF(t *testing.T) {
	for _, name := range fixtures {
		t.Run(name, func(t *testing.T) {
			data := fixture(t, name)
			f := parse(t, data)
			ref, err := elf.NewFile(bytes.NewReader(data))
			if err != nil {
				t.Fatal(err)
			}
			i := 0
			for _, s := range ref.Sections {
				switch s.Type {
				case elf.SHT_NULL, elf.SHT_SYMTAB, elf.SHT_STRTAB, elf.SHT_RELA:
					continue
				}
				i++
				got := &f.Sections[i]
				if got.Name != s.Name || got.Type != s.Type || got.Flags != s.Flags || got.Size != s.Size || got.EntSize != s.Entsize {
					t.Errorf("section %d: got %s %v %v %d, want %+v", i, got.Name, got.Type, got.Flags, got.Size, s.SectionHeader)
				}
				if want, _ := s.Data(); s.Type != elf.SHT_NOBITS && s.Type != elf.SHT_GROUP && !bytes.Equal(got.Data, want) {
					t.Errorf("section %s: data differ", s.Name)
				}
			}
			if i != len(f.Sections)-1 {
				t.Errorf("%d sections, want %d", len(f.Sections)-1, i)
			}
			syms, err := ref.Symbols()
			if err != nil {
				t.Fatal(err)
			}
			if len(syms) != len(f.Symbols)-1 {
				t.Fatalf("%d symbols, want %d", len(f.Symbols)-1, len(syms))
			}
			for k, s := range syms {
				got := &f.Symbols[k+1]
				if got.Name != s.Name || got.Value != s.Value || got.Size != s.Size || elf.ST_INFO(got.Bind, got.Type) != s.Info {
					t.Errorf("symbol %d: got %+v, want %+v", k+1, *got, s)
				}
				if got.Sec > 0 && f.Sections[got.Sec].Name != ref.Sections[s.Section].Name {
					t.Errorf("symbol %s: in %s, want %s", s.Name, f.Sections[got.Sec].Name, ref.Sections[s.Section].Name)
				}
			}
		})
	}
}

func TestModelDetails(t *testing.T) {
	f := parse(t, fixture(t, "small.o"))
	byName := map[string]*Section{}
	for i := range f.Sections {
		byName[f.Sections[i].Name] = &f.Sections[i]
	}
	if s := byName[".zero"]; s == nil || s.Type != elf.SHT_NOBITS || s.Size != 4096 || s.Data != nil {
		t.Errorf(".zero: %+v", s)
	}
	if s := byName[".order"]; s == nil || s.Flags&elf.SHF_LINK_ORDER == 0 || f.Sections[s.Link].Name != ".text.f" {
		t.Errorf(".order: %+v", s)
	}
	if s := byName[".rodata.ops"]; s == nil || len(s.Relocs) != 1 || f.Symbols[s.Relocs[0].Sym].Name != "printk" || s.Relocs[0].Type != uint32(elf.R_X86_64_64) {
		t.Errorf(".rodata.ops: %+v", s)
	}
	for _, s := range f.Symbols {
		if s.Name == "absolute" && (s.Sec != SecAbs || s.Value != 0x1234) {
			t.Errorf("absolute: %+v", s)
		}
	}

	g := parse(t, fixture(t, "groups.o"))
	groups := 0
	for i := range g.Sections {
		s := &g.Sections[i]
		if s.Type != elf.SHT_GROUP {
			continue
		}
		groups++
		if s.GroupFlag != 1 || len(s.Members) != 1 || g.Symbols[s.Group].Name == "" {
			t.Errorf("group %d: %+v", i, *s)
		}
		for _, m := range s.Members {
			if g.Sections[m].Flags&elf.SHF_GROUP == 0 || !strings.HasSuffix(g.Sections[m].Name, g.Symbols[s.Group].Name) {
				t.Errorf("group of %s has member %s", g.Symbols[s.Group].Name, g.Sections[m].Name)
			}
		}
	}
	if groups < 4 {
		t.Errorf("%d groups", groups)
	}
}

// TestKlpRelocs writes the livepatch sections of a module and reads them back.
func TestKlpRelocs(t *testing.T) {
	f := parse(t, fixture(t, "small.o"))
	f.Symbols = append(f.Symbols, Symbol{Name: ".klp.sym.vmlinux.other,0", Bind: elf.STB_GLOBAL, Sec: SecLivepatch})
	id := SymID(len(f.Symbols) - 1)
	for i := range f.Sections {
		if f.Sections[i].Name == ".text.f" {
			f.Sections[i].KlpRelocs = []KlpRelocs{
				{Name: ".klp.rela.vmlinux..text.f", Relocs: []Reloc{{Off: 4, Addend: -4, Type: uint32(elf.R_X86_64_PC32), Sym: id}}},
				{Name: ".klp.rela.ext4..text.f", Relocs: []Reloc{{Off: 8, Type: uint32(elf.R_X86_64_64), Sym: id}}}}
		}
	}
	out, back := roundTrip(t, f)
	wantSame(t, f, back)
	ref, err := elf.NewFile(bytes.NewReader(out))
	if err != nil {
		t.Fatal(err)
	}
	s := ref.Section(".klp.rela.vmlinux..text.f")
	if s == nil || s.Type != elf.SHT_RELA || s.Flags != elf.SHF_ALLOC|SHFRelaLivepatch || ref.Sections[s.Info].Name != ".text.f" {
		t.Fatalf("klp section: %+v", s)
	}
	syms, _ := ref.Symbols()
	if last := syms[len(syms)-1]; uint16(last.Section) != SHNLivepatch {
		t.Errorf("klp symbol in section %#x", uint16(last.Section))
	}
	if !IsKlpSymbol(back.Symbols[id].Name) {
		t.Error("klp symbol not recognised")
	}
}

// TestManySections goes over the 16-bit limits of section numbers (gABI,
// extended section indices).
func TestManySections(t *testing.T) {
	for _, n := range []int{0xff00 - 5, 66000} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			f := &File{Machine: elf.EM_X86_64, Type: elf.ET_REL, Sections: make([]Section, 1), Symbols: make([]Symbol, 1)}
			for i := range n {
				f.Sections = append(f.Sections, Section{Name: ".text.f", Type: elf.SHT_PROGBITS, Flags: elf.SHF_ALLOC | elf.SHF_EXECINSTR, Align: 1, Size: 1, Data: []byte{0xc3}})
				f.Symbols = append(f.Symbols, Symbol{Name: fmt.Sprintf("f%d", i), Bind: elf.STB_GLOBAL, Type: elf.STT_FUNC, Sec: SecID(i + 1), Size: 1})
			}
			f.Sections = append(f.Sections, Section{Name: ".data", Type: elf.SHT_PROGBITS, Flags: elf.SHF_ALLOC | elf.SHF_WRITE, Align: 8, Size: 8, Data: make([]byte, 8),
				Relocs: []Reloc{{Type: uint32(elf.R_X86_64_64), Sym: SymID(n)}}})
			out, back := roundTrip(t, f)
			if len(back.Sections) != len(f.Sections) || len(back.Symbols) != len(f.Symbols) {
				t.Fatalf("%d sections and %d symbols read back", len(back.Sections), len(back.Symbols))
			}
			for i := range f.Symbols {
				if back.Symbols[i] != f.Symbols[i] {
					t.Fatalf("symbol %d: %+v became %+v", i, f.Symbols[i], back.Symbols[i])
				}
			}
			if r := back.Sections[n+1].Relocs; len(r) != 1 || r[0] != f.Sections[n+1].Relocs[0] {
				t.Errorf("relocations of the last section: %+v", r)
			}
			ref, err := elf.NewFile(bytes.NewReader(out))
			if err != nil {
				t.Fatal(err)
			}
			if ref.Section(".shstrtab") == nil {
				t.Error("section name table not found by its index")
			}
		})
	}
}

func TestManySectionsReadelf(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	readelf := tool(t, "readelf")
	f := &File{Machine: elf.EM_X86_64, Type: elf.ET_REL, Sections: make([]Section, 1), Symbols: make([]Symbol, 1)}
	const n = 66000
	for i := range n {
		f.Sections = append(f.Sections, Section{Name: ".data", Type: elf.SHT_PROGBITS, Flags: elf.SHF_ALLOC, Align: 1, Size: 1, Data: []byte{1}})
		f.Symbols = append(f.Symbols, Symbol{Name: fmt.Sprintf("v%d", i), Bind: elf.STB_GLOBAL, Type: elf.STT_OBJECT, Sec: SecID(i + 1), Size: 1})
	}
	out, err := f.Write()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "many.o")
	if err := os.WriteFile(path, out, 0o666); err != nil {
		t.Fatal(err)
	}
	text, err := exec.Command(readelf, "-hsW", path).CombinedOutput()
	if err != nil || bytes.Contains(text, []byte("readelf: ")) {
		t.Fatalf("readelf: %v\n%.2000s", err, text)
	}
	if want := fmt.Sprintf(" %d v%d", n, n-1); !bytes.Contains(text, []byte(want)) {
		t.Errorf("readelf does not show symbol v%d in section %d", n-1, n)
	}
}

// wantAccepted runs binutils over the object; a test without them is skipped, not
// half done.
func wantAccepted(t *testing.T, obj []byte) {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "a.o")
	if err := os.WriteFile(path, obj, 0o666); err != nil {
		t.Fatal(err)
	}
	readelf, ld := tool(t, "readelf"), tool(t, "ld")
	out, err := exec.Command(readelf, "-aW", path).CombinedOutput()
	if err != nil || bytes.Contains(out, []byte("readelf: ")) {
		t.Errorf("readelf: %v\n%s", err, out)
	}
	if out, err := exec.Command(ld, "-r", "-o", filepath.Join(dir, "b.o"), path).CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("ld -r: %v\n%s", err, out)
	} else if linked, err := ReadFile(filepath.Join(dir, "b.o")); err != nil {
		t.Error(err)
	} else {
		_, back := roundTrip(t, linked)
		wantSame(t, linked, back)
	}
}

// TestRoundTripCompiled compiles real code with the flags that kernel objects
// are built with.
func TestRoundTripCompiled(t *testing.T) {
	gcc := tool(t, "gcc")
	for _, opt := range []string{"-O2", "-Os", "-O0"} {
		t.Run(opt, func(t *testing.T) {
			obj := filepath.Join(t.TempDir(), "small.o")
			out, err := exec.Command(gcc, opt, "-ffunction-sections", "-fdata-sections", "-g", "-fno-pic", "-c", "testdata/small.c", "-o", obj).CombinedOutput()
			if err != nil {
				t.Fatalf("gcc cannot compile the fixture: %v\n%s", err, out)
			}
			f, err := ReadFile(obj)
			if err != nil {
				t.Fatal(err)
			}
			bytes, back := roundTrip(t, f)
			wantSame(t, f, back)
			wantAccepted(t, bytes)
		})
	}
}

func TestRoundTripReal(t *testing.T) {
	for _, path := range realObjects(t) {
		t.Run(filepath.Base(path), func(t *testing.T) {
			f, err := ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			bytes, back := roundTrip(t, f)
			wantSame(t, f, back)
			wantAccepted(t, bytes)
		})
	}
}
