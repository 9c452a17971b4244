package generate_test

import (
	"bytes"
	"debug/elf"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/klpforge/klpforge/elfobj"
	"github.com/klpforge/klpforge/generate"
	"github.com/klpforge/klpforge/module/note"
)

// linked emits and links the full livepatch of one generation.
func linked(t *testing.T, gen string, change func(*generate.Input)) (ko []byte, m *note.Note, dir string) {
	t.Helper()
	needCompiler(t)
	in := fullInput(t, apiOf(gen))
	if change != nil {
		change(&in)
	}
	dir = t.TempDir()
	m, err := generate.Emit(dir, in)
	if err != nil {
		t.Fatal(err)
	}
	return link(t, dir, in, ""), m, dir
}

// finished is linked, and post-linked.
func finished(t *testing.T, gen string, change func(*generate.Input)) ([]byte, *note.Note) {
	t.Helper()
	ko, m, _ := linked(t, gen, change)
	out, err := generate.PostLink(ko, m)
	if err != nil {
		t.Fatal(err)
	}
	return out, m
}

func parse(t *testing.T, ko []byte) *elfobj.File {
	t.Helper()
	f, err := elfobj.Read(ko)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestPostLink(t *testing.T) {
	ko, m, _ := linked(t, "5.8", nil)
	in := slices.Clone(ko)
	out, err := generate.PostLink(ko, m)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(in, ko) {
		t.Error("PostLink changed its input")
	}
	f := parse(t, out)

	var tables []string
	for _, s := range f.Sections {
		for _, k := range s.KlpRelocs {
			object := strings.Split(k.Name, ".")[3]
			for _, r := range k.Relocs {
				sym := f.Symbols[r.Sym]
				if sym.Sec != elfobj.SecLivepatch || sym.Bind != elf.STB_GLOBAL {
					t.Errorf("%s refers to %s, which is no livepatch symbol", k.Name, sym.Name)
				}
				if !strings.HasPrefix(sym.Name, ".klp.sym."+object+".") {
					t.Errorf("%s refers to %s", k.Name, sym.Name)
				}
			}
			tables = append(tables, k.Name)
		}
		for _, r := range s.Relocs {
			if elfobj.IsKlpSymbol(f.Symbols[r.Sym].Name) {
				t.Errorf("%s still has an ordinary relocation against %s", s.Name, f.Symbols[r.Sym].Name)
			}
		}
		if strings.HasPrefix(s.Name, ".debug") {
			t.Errorf("section %s is still there", s.Name)
		}
	}
	want := []string{".klp.rela.ext4.text", ".klp.rela.jbd2.text", ".klp.rela.vmlinux.text"}
	if diff := cmp.Diff(want, tables); diff != "" {
		t.Errorf("livepatch relocation tables (-want +got):\n%s", diff)
	}
	got, err := note.Read(f)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(m, got); diff != "" {
		t.Errorf("the note's manifest differs (-want +got):\n%s", diff)
	}
	again, err := generate.PostLink(out, m)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(out, again) {
		t.Error("a second PostLink changes the module")
	}
}

// TestPostLinkSectionFlags reads the output with the standard library, which
// knows nothing of our model.
func TestPostLinkSectionFlags(t *testing.T) {
	out, _ := finished(t, "5.8", nil)
	f, err := elf.NewFile(bytes.NewReader(out))
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, s := range f.Sections {
		if !strings.HasPrefix(s.Name, ".klp.rela.") {
			continue
		}
		n++
		if want := elf.SHF_ALLOC | elfobj.SHFRelaLivepatch; s.Type != elf.SHT_RELA || s.Flags != want {
			t.Errorf("%s: type %v, flags %#x, want RELA, %#x", s.Name, s.Type, s.Flags, want)
		}
		if target := f.Sections[s.Info].Name; target != ".text" {
			t.Errorf("%s applies to %s", s.Name, target)
		}
	}
	if n != 3 {
		t.Errorf("%d livepatch relocation sections, want 3", n)
	}
	section := f.Section(".note.klpforge")
	if section == nil || section.Type != elf.SHT_NOTE || section.Flags != elf.SHF_ALLOC {
		t.Fatalf("note section %+v", section)
	}
	b, err := section.Data()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := note.ParseSection(b, f.ByteOrder); err != nil {
		t.Error(err)
	}
}

func TestPostLinkIsReproducible(t *testing.T) {
	a, _ := finished(t, "5.8", nil)
	in, dir := fullInput(t, apiOf("5.8")), t.TempDir()
	m, err := generate.Emit(dir, in)
	if err != nil {
		t.Fatal(err)
	}
	b, err := generate.PostLink(relink(t, dir, in, ""), m)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(a, b) {
		t.Error("two builds in two directories differ")
	}
	// The build ID tells different modules apart.
	c, _ := finished(t, "5.8", func(in *generate.Input) { in.Plan.Objects[1].Funcs[0].Reasons[0] = "another" })
	if bytes.Equal(a, c) || bytes.Equal(buildID(t, a), buildID(t, c)) {
		t.Error("different modules have the same build ID")
	}
}

func buildID(t *testing.T, ko []byte) []byte {
	f, err := elf.NewFile(bytes.NewReader(ko))
	if err != nil {
		t.Fatal(err)
	}
	b, err := f.Section(".note.gnu.build-id").Data()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestPostLinkDropsUnusedSymbols(t *testing.T) {
	ko, m, _ := linked(t, "5.8", nil)
	f := parse(t, ko)
	f.Symbols = append(f.Symbols, elfobj.Symbol{Name: ".klp.sym.vmlinux.unused,0", Bind: elf.STB_GLOBAL})
	ko, err := f.Write()
	if err != nil {
		t.Fatal(err)
	}
	out, err := generate.PostLink(ko, m)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range parse(t, out).Symbols {
		if s.Name == ".klp.sym.vmlinux.unused,0" {
			t.Error("a livepatch symbol without references is still there")
		}
	}
}

func TestPostLinkRefuses(t *testing.T) {
	// A table entry that names a symbol, as the compiler's asm goto makes them.
	unit := func(section, flags, symbol string) string {
		return `extern int ` + symbol + `; int f(void);
int f(void) { return 0; }
__asm__(".pushsection ` + section + `, \"` + flags + `\", @progbits; .quad ` + symbol + `; .popsection");`
	}
	cases := []struct {
		name, gen, unit string
		ok              bool
	}{
		{"static key of a module", "5.8", unit("__jump_table", "aw", "klp__ext4__key__0"), false},
		{"static key of vmlinux", "5.8", unit("__jump_table", "aw", "klp__vmlinux__key__0"), true},
		{"static key of vmlinux, old kernel", "5.5", unit("__jump_table", "aw", "klp__vmlinux__key__0"), false},
		{"data that names a module's symbol", "5.8", unit(".data.ptr", "aw", "klp__ext4__key__0"), true},
		{"static call of a module", "5.8", unit(".static_call_sites", "aw", "klp__ext4__key__0"), false},
		{"bug table of a module", "5.8", unit("__bug_table", "aw", "klp__ext4__key__0"), false},
		{"init data of a module", "5.8", unit(".init.data", "aw", "klp__ext4__key__0"), false},
		{"section that is not loaded", "5.8", unit(".gdb_index", "", "klp__vmlinux__key__0"), false},
		{"debug section", "5.8", unit(".debug_x", "", "klp__vmlinux__key__0"), true},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			ko, m, _ := linked(t, c.gen, func(in *generate.Input) {
				in.Units = append(in.Units, generate.Unit{Name: "x.o", Object: compile(t, c.unit)})
			})
			_, err := generate.PostLink(ko, m)
			var relocErr *generate.RelocError
			if c.ok && err != nil {
				t.Errorf("error %v, want none", err)
			}
			if !c.ok && (!errors.As(err, &relocErr) || relocErr.Symbol.Name != "key") {
				t.Errorf("error %v, want a RelocError", err)
			}
		})
	}
}

func TestPostLinkRefusesObjectOutsideTheManifest(t *testing.T) {
	ko, m, _ := linked(t, "5.8", nil)
	m.Objects = slices.DeleteFunc(m.Objects, func(o note.Object) bool { return o.Name == "jbd2" })
	_, err := generate.PostLink(ko, m)
	var relocErr *generate.RelocError
	if !errors.As(err, &relocErr) || relocErr.Symbol.Object != "jbd2" || !strings.HasSuffix(err.Error(), "; emit the module again with this version of klpforge") {
		t.Errorf("error %v, want a RelocError for jbd2", err)
	}
}

func TestPostLinkBadInput(t *testing.T) {
	ko, m, _ := linked(t, "5.8", nil)
	if _, err := generate.PostLink([]byte("#!/bin/sh"), m); !errors.Is(err, elfobj.ErrNotObject) {
		t.Errorf("a script: error %v", err)
	}
	if _, err := generate.PostLink(compile(t, showUnit), m); !errors.Is(err, generate.ErrNotModule) {
		t.Errorf("an object that is no module: error %v", err)
	}
	f := parse(t, ko)
	for i := range f.Symbols {
		f.Symbols[i].Name = strings.ReplaceAll(f.Symbols[i].Name, "hidden,0", "hidden")
	}
	bad, err := f.Write()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := generate.PostLink(bad, m); err == nil || !strings.Contains(err.Error(), "position") {
		t.Errorf("a malformed livepatch symbol: error %v", err)
	}
}

func TestPostLinkFile(t *testing.T) {
	ko, m, dir := linked(t, "5.8", nil)
	path := filepath.Join(dir, "klpforge_test.ko")
	for range 2 {
		if err := generate.PostLinkFile(path); err != nil {
			t.Fatal(err)
		}
		want, err := generate.PostLink(ko, m)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(read(t, path), want) {
			t.Error("the file differs from PostLink's result")
		}
	}
	if tmp, _ := filepath.Glob(filepath.Join(dir, ".*tmp*")); len(tmp) > 0 {
		t.Errorf("left behind: %v", tmp)
	}
	if err := generate.PostLinkFile(filepath.Join(t.TempDir(), "x.ko")); err == nil {
		t.Error("no error without manifest and module")
	}
}

func TestNoteRoundTrip(t *testing.T) {
	long := &note.Note{Schema: note.Schema, Name: "x", Objects: []note.Object{}}
	for range 400 {
		long.Patches = append(long.Patches, note.Patch{Name: "0001-a-patch-with-a-name.patch"})
	}
	ko, _, _ := linked(t, "5.8", func(in *generate.Input) {
		for i := range in.Plan.Objects {
			for j := range in.Plan.Objects[i].Funcs {
				for range 100 {
					in.Plan.Objects[i].Funcs[j].Reasons = append(in.Plan.Objects[i].Funcs[j].Reasons, "a function inlined into it changed")
				}
			}
		}
	})
	// Of the manifest only the objects matter to PostLink.
	m := *long
	m.API = apiOf("5.8")
	m.Objects = []note.Object{{Name: "ext4"}, {Name: "jbd2"}}
	out, err := generate.PostLink(ko, &m)
	if err != nil {
		t.Fatal(err)
	}
	f := parse(t, out)
	got, err := note.Read(f)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(m.Patches, got.Patches); diff != "" {
		t.Errorf("patches (-want +got):\n%s", diff)
	}
	for _, s := range f.Sections {
		if s.Name == ".note.klpforge" && len(s.Data) > 4<<10 {
			t.Errorf("a repetitive manifest takes %d bytes", len(s.Data))
		}
	}
}
