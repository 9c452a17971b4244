package elfdiff

import (
	"debug/elf"
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/klpforge/klpforge/elfobj"
)

// object builds small objects for tests.
type object struct{ *elfobj.File }

func newObject() object {
	return object{&elfobj.File{Machine: elf.EM_X86_64, Type: elf.ET_REL, Sections: make([]elfobj.Section, 1), Symbols: make([]elfobj.Symbol, 1)}}
}

func (o object) section(name string, flags elf.SectionFlag, data []byte) elfobj.SecID {
	o.Sections = append(o.Sections, elfobj.Section{Name: name, Type: elf.SHT_PROGBITS, Flags: elf.SHF_ALLOC | flags, Align: 8, Size: uint64(len(data)), Data: data})
	return elfobj.SecID(len(o.Sections) - 1)
}

func (o object) symbol(s elfobj.Symbol) elfobj.SymID {
	o.Symbols = append(o.Symbols, s)
	return elfobj.SymID(len(o.Symbols) - 1)
}

func (o object) refer(from elfobj.SecID, off uint64, to elfobj.SymID) {
	o.Sections[from].Relocs = append(o.Sections[from].Relocs, elfobj.Reloc{Off: off, Type: uint32(elf.R_X86_64_64), Sym: to})
}

// function adds a function that loads the address of to.
func (o object) function(name string, to elfobj.SymID) {
	id := o.section(".text."+name, elf.SHF_EXECINSTR, append([]byte{0x48, 0xb8}, make([]byte, 9)...))
	o.Sections[id].Data[10] = 0xc3
	o.symbol(elfobj.Symbol{Name: name, Bind: elf.STB_GLOBAL, Type: elf.STT_FUNC, Sec: id, Size: 11})
	o.refer(id, 2, to)
}

// TestCyclicConstants: two nameless constants refer to each other and one
// changes. Whoever reaches either of them changes, in whatever order they are
// compared.
func TestCyclicConstants(t *testing.T) {
	build := func(last byte, first string) *elfobj.File {
		o := newObject()
		a := o.section(".rodata.a", 0, append(make([]byte, 15), last))
		b := o.section(".rodata.b", 0, make([]byte, 16))
		symA := o.symbol(elfobj.Symbol{Type: elf.STT_SECTION, Sec: a})
		symB := o.symbol(elfobj.Symbol{Type: elf.STT_SECTION, Sec: b})
		o.refer(a, 0, symB)
		o.refer(b, 0, symA)
		if first == "f" {
			o.function("f", symA)
			o.function("g", symB)
		} else {
			o.function("g", symB)
			o.function("f", symA)
		}
		return o.File
	}
	for _, first := range []string{"f", "g"} {
		r, err := Diff(build(1, first), build(2, first))
		if err != nil {
			t.Fatal(err)
		}
		if got := describe(r); !slices.Equal(got[:2], []string{"changed f", "changed g"}) {
			t.Errorf("%s first: %q", first, got)
		}
		if r, err = Diff(build(1, first), build(1, first)); err != nil || describe(r)[0] != "nothing" {
			t.Errorf("%s first: equal cycles differ: %q, %v", first, describe(r), err)
		}
	}
}

// TestDeepChain: constants that refer to each other in a long line use neither
// the stack nor time without bound.
func TestDeepChain(t *testing.T) {
	build := func(n int) *elfobj.File {
		o := newObject()
		var syms []elfobj.SymID
		for i := range n {
			id := o.section(fmt.Sprintf(".rodata.%d", i), 0, make([]byte, 8))
			syms = append(syms, o.symbol(elfobj.Symbol{Type: elf.STT_SECTION, Sec: id}))
		}
		for i := range n - 1 {
			o.refer(elfobj.SecID(i+1), 0, syms[i+1])
		}
		o.function("f", syms[0])
		return o.File
	}
	r, err := Diff(build(1500), build(1500))
	if err != nil || describe(r)[0] != "nothing" {
		t.Errorf("a chain of 1500 differs from itself: %q, %v", describe(r), err)
	}
	// A difference at the far end is a change of whoever reaches it, however long the line is.
	for _, n := range []int{10, 1500, 4000} {
		other := build(n)
		other.Sections[n].Data[7] = 1
		if r, err := Diff(build(n), other); err != nil || describe(r)[0] != "changed f" {
			t.Errorf("a chain of %d that ends otherwise: %q, %v", n, describe(r), err)
		}
	}
	survives(t, build(30_000), build(30_000), 30_000*(64+64+24+24))
}

// TestKindOfBranch: the assembler writes a branch as PC32 or PLT32, by how its target is
// declared. For a branch both mean the same, also behind a prefix; for an address they do not.
func TestKindOfBranch(t *testing.T) {
	for _, prefix := range []int{0, 16} {
		for _, c := range []struct {
			name string
			code []byte // ends with the field
			want string
		}{{"call", []byte{0xe8, 0, 0, 0, 0}, "nothing"}, {"jump", []byte{0xe9, 0, 0, 0, 0}, "nothing"}, {"conditional jump", []byte{0x0f, 0x84, 0, 0, 0, 0}, "nothing"},
			{"address", []byte{0x48, 0x8d, 0x05, 0, 0, 0, 0}, "changed f"}, {"load", []byte{0x48, 0x8b, 0x05, 0, 0, 0, 0}, "changed f"}} {
			build := func(typ elf.R_X86_64) *elfobj.File {
				o := newObject()
				id := o.section(".text.f", elf.SHF_EXECINSTR, slices.Concat(slices.Repeat([]byte{0x90}, prefix), c.code, []byte{0xc3}))
				if prefix > 0 {
					o.symbol(elfobj.Symbol{Name: "__pfx_f", Bind: elf.STB_GLOBAL, Type: elf.STT_FUNC, Sec: id, Size: uint64(prefix)})
				}
				o.symbol(elfobj.Symbol{Name: "f", Bind: elf.STB_GLOBAL, Type: elf.STT_FUNC, Sec: id, Value: uint64(prefix), Size: uint64(len(c.code) + 1)})
				to := o.symbol(elfobj.Symbol{Name: "outside", Bind: elf.STB_GLOBAL})
				o.Sections[id].Relocs = []elfobj.Reloc{{Off: uint64(prefix + len(c.code) - 4), Type: uint32(typ), Sym: to, Addend: -4}}
				return o.File
			}
			for _, types := range [][2]elf.R_X86_64{{elf.R_X86_64_PC32, elf.R_X86_64_PLT32}, {elf.R_X86_64_PLT32, elf.R_X86_64_PC32}} {
				r, err := Diff(build(types[0]), build(types[1]))
				if err != nil || describe(r)[0] != c.want {
					t.Errorf("%s behind %d bytes, %v: %q, %v; want %s", c.name, prefix, types, describe(r), err, c.want)
				}
			}
		}
	}
}

// TestClonesLeftOver: the compiler numbers clones anew. One that has changed is known by being
// the only one left on both sides; of several nothing tells which is which.
func TestClonesLeftOver(t *testing.T) {
	build := func(clones map[string]byte) *elfobj.File {
		o := newObject()
		for _, name := range slices.Sorted(maps.Keys(clones)) {
			id := o.section(".text."+name, elf.SHF_EXECINSTR, []byte{0xb8, clones[name], 0, 0, 0, 0xc3})
			o.symbol(elfobj.Symbol{Name: name, Bind: elf.STB_LOCAL, Type: elf.STT_FUNC, Sec: id, Size: 6})
		}
		return o.File
	}
	for _, c := range []struct {
		name          string
		before, after map[string]byte
		want          []string
	}{
		{"one, of another number", map[string]byte{"f.constprop.0": 1}, map[string]byte{"f.constprop.1": 2}, []string{"changed f.constprop.0"}},
		{"one of two, of another number", map[string]byte{"f.constprop.0": 1, "f.constprop.1": 2}, map[string]byte{"f.constprop.0": 2, "f.constprop.2": 3}, []string{"changed f.constprop.0"}},
		{"numbers exchanged", map[string]byte{"f.isra.0": 1, "f.isra.1": 2}, map[string]byte{"f.isra.0": 2, "f.isra.1": 1}, []string{"nothing"}},
		{"changed under their numbers", map[string]byte{"f.isra.0": 1, "f.isra.1": 2}, map[string]byte{"f.isra.0": 3, "f.isra.1": 4}, []string{"changed f.isra.0", "changed f.isra.1"}},
		{"two, of other numbers", map[string]byte{"f.isra.0": 1, "f.isra.1": 2}, map[string]byte{"f.isra.2": 3, "f.isra.3": 4}, []string{"new f.isra.2", "new f.isra.3", "removed f.isra.0", "removed f.isra.1"}},
		{"one more", map[string]byte{"f.isra.0": 1}, map[string]byte{"f.isra.1": 2, "f.isra.2": 3}, []string{"new f.isra.1", "new f.isra.2", "removed f.isra.0"}},
		{"one less", map[string]byte{"f.isra.0": 1, "f.isra.1": 2}, map[string]byte{"f.isra.2": 3}, []string{"new f.isra.2", "removed f.isra.0", "removed f.isra.1"}},
		{"of another kind", map[string]byte{"f.isra.0": 1}, map[string]byte{"f.constprop.0": 1}, []string{"new f.constprop.0", "removed f.isra.0"}},
		{"of another function", map[string]byte{"f.isra.0": 1}, map[string]byte{"g.isra.0": 1}, []string{"new g.isra.0", "removed f.isra.0"}},
	} {
		r, err := Diff(build(c.before), build(c.after))
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, ch := range r.Functions {
			got = append(got, string(ch.Kind)+" "+ch.Name)
		}
		if len(got) == 0 {
			got = []string{"nothing"}
		}
		slices.Sort(got)
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

// TestNamedFunctions: originals are found in the patched object, the first atom like any other.
func TestNamedFunctions(t *testing.T) {
	r := diffCase(t, "one-line")
	for a := range r.Orig.Atoms {
		atom := AtomID(a)
		patched, missing := r.Named([]AtomID{atom})
		if partner := r.PatchedOf(atom); partner < 0 != (len(missing) == 1) || partner >= 0 && !slices.Equal(patched, []AtomID{partner}) || len(patched)+len(missing) != 1 {
			t.Errorf("atom %d: %v, %v", a, patched, missing)
		}
	}
}

// TestArchitectures refuses to compare objects of two machines.
func TestArchitectures(t *testing.T) {
	x := newObject()
	y := newObject()
	y.Machine = elf.EM_AARCH64
	if _, err := Diff(x.File, y.File); err == nil {
		t.Error("objects of two architectures were compared")
	}
	z := newObject()
	z.Machine = elf.EM_386
	if _, err := Diff(z.File, z.File); err == nil {
		t.Error("an unsupported architecture was accepted")
	}
}

// TestSymbolsOutside: symbols that lie behind their section, are larger than
// it or start at its end.
func TestSymbolsOutside(t *testing.T) {
	for _, s := range []elfobj.Symbol{
		{Value: 100, Size: 4}, {Value: 16, Size: 8}, {Value: 8, Size: 1 << 60}, {Value: 1<<64 - 8, Size: 16}, {Value: 0, Size: 1<<64 - 1},
	} {
		for _, typ := range []elf.SymType{elf.STT_FUNC, elf.STT_OBJECT, elf.STT_NOTYPE} {
			for _, name := range []string{"f", "__pfx_f", "__cfi_g"} {
				o := newObject()
				id := o.section(".text.f", elf.SHF_EXECINSTR, make([]byte, 16))
				s.Name, s.Type, s.Sec = name, typ, id
				o.symbol(s)
				o.symbol(elfobj.Symbol{Name: "f", Type: elf.STT_FUNC, Sec: id, Value: 1<<64 - 1})
				o.symbol(elfobj.Symbol{Name: "inner", Type: elf.STT_FUNC, Sec: id, Value: 4, Size: 1<<64 - 2})
				survives(t, o.File, o.File, 1000)
				r, err := Diff(o.File, o.File)
				if err != nil {
					t.Fatal(err)
				}
				for _, at := range r.Orig.Atoms {
					if at.Start > at.Base || at.Base+at.Size > at.End || at.End > 16 || at.Base+at.Size < at.Base {
						t.Errorf("%+v: atom %+v", s, at)
					}
				}
			}
		}
	}
}
