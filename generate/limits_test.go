package generate_test

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/klpforge/klpforge/elfobj"
	"github.com/klpforge/klpforge/finding"
	"github.com/klpforge/klpforge/generate"
	"github.com/klpforge/klpforge/module/note"
	"github.com/klpforge/klpforge/plan"
)

// What the kernel's tables and symbol names can hold is taken up to the last byte, and
// not one more.
func TestEmitLimits(t *testing.T) {
	needCompiler(t)
	long := func(n int) string { return strings.Repeat("x", n) }
	unit := func(in *generate.Input, text string) {
		in.Units = append(in.Units, generate.Unit{Name: "more.o", Object: assembled(t, text)})
	}
	for _, c := range []struct {
		name   string
		change func(*generate.Input)
		want   string // "" when it is taken
	}{
		{"longest module name", func(in *generate.Input) { in.Plan.Name = long(elfobj.MaxKlpObject) }, ""},
		{"longer module name", func(in *generate.Input) { in.Plan.Name = long(elfobj.MaxKlpObject + 1) }, "at most"},
		{"no module name", func(in *generate.Input) { in.Plan.Name = "" }, "module name"},
		{"module name of digits", func(in *generate.Input) { in.Plan.Name = "9p" }, ""},
		{"longest object name", func(in *generate.Input) { in.Plan.Objects[0].Name = long(elfobj.MaxKlpObject) }, ""},
		{"longer object name", func(in *generate.Input) { in.Plan.Objects[0].Name = long(elfobj.MaxKlpObject + 1) }, "object name"},
		{"object name of digits", func(in *generate.Input) { in.Plan.Objects[0].Name = "9p" }, ""},
		{"no object name", func(in *generate.Input) { in.Plan.Objects[0].Name = "" }, "object name"},
		{"longest function name", func(in *generate.Input) { in.Plan.Objects[0].Funcs[0].Name = long(elfobj.MaxKlpName) }, ""},
		{"longer function name", func(in *generate.Input) { in.Plan.Objects[0].Funcs[0].Name = long(elfobj.MaxKlpName + 1) }, "name of a function"},
		{"no function name", func(in *generate.Input) { in.Plan.Objects[0].Funcs[0].Name = "" }, "name of a function"},
		{"function name with a comma", func(in *generate.Input) { in.Plan.Objects[0].Funcs[0].Name = "f,1" }, "name of a function"},
		{"function name with a slash", func(in *generate.Input) { in.Plan.Objects[0].Funcs[0].Name = "f/1" }, "name of a function"},
		{"position 0", func(in *generate.Input) { in.Plan.Objects[0].Funcs[1].Sympos = 0 }, ""},
		{"position below 0", func(in *generate.Input) { in.Plan.Objects[0].Funcs[0].Sympos = -1 }, "position -1"},
		{"no replacement", func(in *generate.Input) { in.Plan.Objects[0].Funcs[0].NewSymbol = "" }, "no replacement"},
		{"same name, another position", func(in *generate.Input) {
			f := in.Plan.Objects[0].Funcs
			f[0].Name, f[0].Sympos, f[1].Name, f[1].Sympos = "f", 1, "f", 2
		}, ""},
		{"same name in another object", func(in *generate.Input) { in.Plan.Objects[0].Funcs[0].Name = "show" }, ""},
		{"callbacks only", func(in *generate.Input) { in.Plan.Objects[0].Funcs, in.Plan.Objects = nil, in.Plan.Objects[:1] }, ""},
		{"functions in the first object only", func(in *generate.Input) { in.Plan.Objects[1].Funcs = nil }, ""},
		{"nothing in any object", func(in *generate.Input) {
			for i := range in.Plan.Objects {
				in.Plan.Objects[i].Funcs, in.Plan.Objects[i].Callbacks = nil, plan.Callbacks{}
			}
		}, "neither functions nor callbacks"},
		{"space in a text", func(in *generate.Input) { in.Plan.Description = "a b" }, ""},
		{"tab in a text", func(in *generate.Input) { in.Plan.Description = "a\tb" }, "control characters"},
		{"control character in the product", func(in *generate.Input) { in.Plan.Product = "a\nb" }, "control characters"},
		{"control character in the vendor", func(in *generate.Input) { in.Plan.Vendor = "a\x1fb" }, "control characters"},
		{"control character in a namespace", func(in *generate.Input) { in.Plan.ImportNS = []string{"a\nb"} }, "control characters"},
		{"a third state like the first", func(in *generate.Input) { in.Plan.States = append(in.Plan.States, plan.State{ID: 7, Version: 3}) }, "state 7 occurs twice"},
		{"unit without a name", func(in *generate.Input) { in.Units[0].Name = "" }, "prebuilt object without a name"},
		{"unit twice", func(in *generate.Input) { in.Units = append(in.Units, in.Units[0]) }, "two prebuilt objects of"},
		{"static symbols of one name", func(in *generate.Input) { unit(in, "new_show: ret\n") }, ""},
		{"weak symbol of the name of a global one", func(in *generate.Input) { unit(in, ".weak new_show\nnew_show: ret\n") }, ""},
		{"global symbol of the name of a global one", func(in *generate.Input) { unit(in, ".globl new_show\nnew_show: ret\n") }, "is defined for both fs/proc/show.o and more.o"},
		{"replacement is data", func(in *generate.Input) {
			unit(in, ".globl other_show\n.type other_show,@object\nother_show: ret\n")
			in.Plan.Objects[1].Funcs[0].NewSymbol, in.Plan.Objects[1].Funcs[0].Unit = "other_show", "more.o"
		}, "has no global function other_show"},
		{"replacement is local", func(in *generate.Input) {
			unit(in, ".type other_show,@function\nother_show: ret\n")
			in.Plan.Objects[1].Funcs[0].NewSymbol, in.Plan.Objects[1].Funcs[0].Unit = "other_show", "more.o"
		}, "has no global function other_show"},
		{"replacement is in another unit", func(in *generate.Input) { in.Plan.Objects[1].Funcs[0].Unit = "fs/ext4/go.o" }, "has no global function new_show"},
		{"callback is static", func(in *generate.Input) {
			unit(in, ".type late,@function\nlate: ret\n")
			in.Plan.Objects[0].Callbacks.PostPatch = "late"
		}, "no prebuilt object has the post_patch callback late"},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := fullInput(t, apiOf("5.8"))
			c.change(&in)
			_, err := generate.Emit(t.TempDir(), in)
			if c.want == "" && err != nil || c.want != "" && (!errors.Is(err, generate.ErrPlan) || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("error %v, want %q", err, c.want)
			}
		})
	}
	in := fullInput(t, apiOf("5.8"))
	in.Units[0].Object = []byte("no object")
	if _, err := generate.Emit(t.TempDir(), in); err == nil || !strings.Contains(err.Error(), "read prebuilt object of fs/ext4/go.o") {
		t.Errorf("an object that cannot be read: %v", err)
	}
	in = fullInput(t, apiOf("5.8"))
	unit(&in, ".globl \".klp.sym.vmlinux.f\"\n.quad \".klp.sym.vmlinux.f\"\n")
	if _, err := generate.Emit(t.TempDir(), in); err == nil || !strings.Contains(err.Error(), "prebuilt object of more.o") {
		t.Errorf("a malformed livepatch symbol: %v", err)
	}
}

// What is emitted says each thing once, and in its place.
func TestEmitContents(t *testing.T) {
	needCompiler(t)
	in := fullInput(t, apiOf("5.8"))
	in.Plan.ImportNS = []string{"TEST_NS", "A_NS", "TEST_NS"}
	in.Plan.Product, in.Plan.Replace = "", false
	in.Plan.Patches = []plan.Patch{{Name: "CVE-1", Subject: "a subject", IDs: []string{"CVE-1", "CVE-2", "CVE-3"}}, {Name: "p2", IDs: []string{"p2"}}}
	in.Plan.Objects[0].Callbacks = plan.Callbacks{PrePatch: "ext4_pre", PostUnpatch: "ext4_pre"}
	in.Units = append(in.Units, generate.Unit{Name: "more.o", Object: assembled(t, ".quad \".klp.sym.aaa.x,0\", \".klp.sym.vmlinux.x,0\", \".klp.sym.aaa.y,0\"\n")})
	dir := t.TempDir()
	m, err := generate.Emit(dir, in)
	if err != nil {
		t.Fatal(err)
	}
	text := string(read(t, filepath.Join(dir, "klpforge_test_main.c")))
	for part, count := range map[string]int{
		"MODULE_IMPORT_NS(TEST_NS);": 1, "MODULE_IMPORT_NS(A_NS);\nMODULE_IMPORT_NS(TEST_NS);": 1,
		"MODULE_INFO(klpforge_name": 0, "MODULE_INFO(klpforge_replace, \"N\");": 1, "MODULE_INFO(klpforge_vendor, \"Example & Co\");": 1,
		"   CVE-1: a subject (CVE-2, CVE-3)\n": 1, "   p2\n": 1, ".replace": 0, "old_addr": 0,
		"extern int pre_patch_ext4(struct klp_object *obj) __asm__(\"ext4_pre\");":     1,
		"extern void post_unpatch_ext4(struct klp_object *obj) __asm__(\"ext4_pre\");": 1,
		".post_unpatch = post_unpatch_ext4,":                                           1, "refer to its symbols": 2,
	} {
		if got := strings.Count(text, part); got != count {
			t.Errorf("%q occurs %d times, want %d\n%s", part, got, count, text)
		}
	}
	var objects []string
	for _, o := range m.Objects {
		objects = append(objects, o.Name)
	}
	if d := cmp.Diff([]string{plan.Vmlinux, "aaa", "ext4", "jbd2"}, objects); d != "" {
		t.Errorf("objects (-want +got)\n%s", d)
	}
	// Digests stand with their functions: those of one unit differ.
	ext4 := m.Objects[2].Funcs
	if ext4[0].Content == "" || ext4[0].Content == ext4[1].Content || ext4[0].Content == m.Objects[0].Funcs[0].Content {
		t.Errorf("digests %q, %q", ext4[0].Content, ext4[1].Content)
	}
}

// An emission that fails leaves no half files, and one that succeeds keeps what a person
// set: permission bits.
func TestEmitFiles(t *testing.T) {
	needCompiler(t)
	in, dir := fullInput(t, apiOf("5.8")), t.TempDir()
	if _, err := generate.Emit(dir, in); err != nil {
		t.Fatal(err)
	}
	main := filepath.Join(dir, "klpforge_test_main.c")
	if st, err := os.Stat(main); err != nil || st.Mode().Perm() != 0o644 {
		t.Errorf("mode %v, %v", st.Mode(), err)
	}
	if err := os.Chmod(main, 0o640); err != nil {
		t.Fatal(err)
	}
	want := read(t, main)
	write(t, main, "changed by hand")
	if _, err := generate.Emit(dir, in); err != nil {
		t.Fatal(err)
	}
	if st, err := os.Stat(main); err != nil || st.Mode().Perm() != 0o640 || !bytes.Equal(read(t, main), want) {
		t.Errorf("mode %v, %v; %q", st.Mode(), err, read(t, main))
	}

	// A directory where a file has to go.
	kbuild := filepath.Join(dir, "Kbuild")
	if err := errors.Join(os.Remove(kbuild), os.Mkdir(kbuild, 0o755)); err != nil {
		t.Fatal(err)
	}
	if _, err := generate.Emit(dir, in); err == nil || !strings.Contains(err.Error(), "emit: ") {
		t.Errorf("error %v", err)
	}
	if left, err := filepath.Glob(filepath.Join(dir, ".*tmp*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %q, %v", left, err)
	}
	// A file where the directory has to go.
	if _, err := generate.Emit(main, in); err == nil || !strings.Contains(err.Error(), "directory for the module") {
		t.Errorf("error %v", err)
	}
	// A prebuilt object that cannot be removed.
	stale := filepath.Join(dir, "old.o_shipped")
	if err := errors.Join(os.Remove(kbuild), os.MkdirAll(filepath.Join(stale, "x"), 0o755)); err != nil {
		t.Fatal(err)
	}
	if _, err := generate.Emit(dir, in); err == nil {
		t.Error("an earlier object stays, and nobody says so")
	}
}

// A reference that the kernel would resolve too late is refused, with what to do in the
// source; where the kernel is in time, or does not look, it is not.
func TestPostLinkConstructs(t *testing.T) {
	ko, m, _ := linked(t, "5.8", nil)
	for section, want := range map[string]string{
		"__jump_table":                 "the module's static key: test it with static_key_enabled()",
		".static_call_sites":           "the module's static call: call through static_call_query()",
		".altinstructions":             "the alternative that names the module's symbol",
		".altinstr_replacement":        "the alternative that names the module's symbol",
		".parainstructions":            "the paravirt call that names the module's symbol",
		"__tracepoints_ptrs":           "the module's tracepoint",
		"_ftrace_events":               "the module's tracepoint",
		"__bug_table":                  "the reference",
		"__ex_table":                   "the reference",
		"__mcount_loc":                 "the reference",
		"__patchable_function_entries": "the reference",
		".smp_locks":                   "the reference", ".retpoline_sites": "the reference", ".return_sites": "the reference", ".call_sites": "the reference",
		".ibt_endbr_seal": "the reference", ".cfi_sites": "the reference", ".orc_header": "the reference", ".orc_unwind": "the reference", ".orc_unwind_ip": "the reference",
		".printk_index": "the reference", ".init.text": "the reference", ".init": "the reference", "__ksymtab_gpl": "the reference", "___ksymtab+f": "the reference",
		".data": "", ".initx": "", "ksymtab": "", ".text.f": "",
	} {
		for _, object := range []string{"ext4", plan.Vmlinux} {
			for _, early := range []bool{true, false} {
				f := parse(t, ko)
				f.Sections = append(f.Sections, elfobj.Section{Name: section, Type: elf.SHT_PROGBITS, Flags: elf.SHF_ALLOC, Data: make([]byte, 8), Size: 8, Align: 8,
					Relocs: []elfobj.Reloc{{Type: uint32(elf.R_X86_64_64), Sym: elfobj.SymID(len(f.Symbols))}}})
				f.Symbols = append(f.Symbols, elfobj.Symbol{Name: ".klp.sym." + object + ".key,0", Bind: elf.STB_GLOBAL})
				text, err := f.Write()
				if err != nil {
					t.Fatal(err)
				}
				manifest := *m
				manifest.API.EarlyRelocs = early
				_, err = generate.PostLink(text, &manifest)
				var refused *generate.RelocError
				if want == "" || object == plan.Vmlinux && early {
					if err != nil {
						t.Errorf("%s, %s: %v", section, object, err)
					}
					continue
				}
				remedy := "rewrite the patched functions without " + want
				if object == plan.Vmlinux {
					remedy = "avoid the construct in the patched functions, or use an exported symbol"
				}
				if !errors.As(err, &refused) || refused.Section != section || refused.Symbol.Name != "key" || refused.Remedy != remedy || refused.Why == "" {
					t.Errorf("%s, %s, early %v: %v, want %q", section, object, early, err, remedy)
				}
			}
		}
	}
}

// Relocations for one object that come in two runs make one table, in order of place.
func TestPostLinkAgain(t *testing.T) {
	ko, m, _ := linked(t, "5.8", nil)
	once, err := generate.PostLink(ko, m)
	if err != nil {
		t.Fatal(err)
	}
	f := parse(t, once)
	text := section(t, f, ".text")
	moved := table(t, text, ".klp.rela.ext4.text")
	if len(moved.Relocs) < 2 {
		t.Fatal("the fixture has one reference only")
	}
	// As if part of it had been linked after the first run.
	again := moved.Relocs[0]
	moved.Relocs = moved.Relocs[1:]
	again.Sym = elfobj.SymID(len(f.Symbols))
	f.Symbols = append(f.Symbols, elfobj.Symbol{Name: ".klp.sym.ext4.ext4_state,0", Bind: elf.STB_GLOBAL})
	text.Relocs = append(text.Relocs, again)
	text.SortRelocs()
	in, err := f.Write()
	if err != nil {
		t.Fatal(err)
	}
	out, err := generate.PostLink(in, m)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(references(parse(t, once)), references(parse(t, out))); d != "" {
		t.Errorf("(-in one run +in two)\n%s", d)
	}
	done := parse(t, out)
	list := table(t, section(t, done, ".text"), ".klp.rela.ext4.text").Relocs
	if !slices.IsSortedFunc(list, func(a, b elfobj.Reloc) int { return int(int64(a.Off) - int64(b.Off)) }) {
		t.Errorf("relocations %+v", list)
	}
}

// A module without a build ID, or with another note in its place, is finished as well.
func TestPostLinkBuildID(t *testing.T) {
	ko, m, _ := linked(t, "5.8", nil)
	good, err := generate.PostLink(ko, m)
	if err != nil {
		t.Fatal(err)
	}
	id := buildID(t, good)
	if len(id) != 36 || bytes.Equal(id[16:], make([]byte, 20)) || bytes.Equal(id, buildID(t, ko)) {
		t.Errorf("build ID % x", id)
	}
	for name, change := range map[string]func(*elfobj.Section){
		"another owner":     func(s *elfobj.Section) { s.Data[12] = 'X' },
		"no note":           func(s *elfobj.Section) { s.Type = elf.SHT_PROGBITS },
		"no room for an ID": func(s *elfobj.Section) { s.Data, s.Size = s.Data[:16], 16 },
		"another name":      func(s *elfobj.Section) { s.Name = ".note.other" },
	} {
		f := parse(t, ko)
		s := section(t, f, ".note.gnu.build-id")
		s.Data = slices.Clone(s.Data)
		change(s)
		want, at := slices.Clone(s.Data), s.Name
		in, err := f.Write()
		if err != nil {
			t.Fatal(err)
		}
		out, err := generate.PostLink(in, m)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got := section(t, parse(t, out), at).Data; !bytes.Equal(got, want) {
			t.Errorf("%s: % x, was % x", name, got, want)
		}
	}
}

// Of debug information what is not loaded goes, and nothing else.
func TestPostLinkDebug(t *testing.T) {
	ko, m, _ := linked(t, "5.8", nil)
	f := parse(t, ko)
	for _, name := range []string{".debug", ".debug_x", ".comment", ".debugx", ".commentx", ".debug_loaded"} {
		s := elfobj.Section{Name: name, Type: elf.SHT_PROGBITS, Data: []byte{1}, Size: 1}
		if name == ".debug_loaded" {
			s.Flags = elf.SHF_ALLOC
		}
		f.Sections = append(f.Sections, s)
	}
	in, err := f.Write()
	if err != nil {
		t.Fatal(err)
	}
	out, err := generate.PostLink(in, m)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, s := range parse(t, out).Sections {
		if strings.HasPrefix(s.Name, ".debug") || strings.HasPrefix(s.Name, ".comment") {
			got = append(got, s.Name)
		}
	}
	if d := cmp.Diff([]string{".debugx", ".commentx", ".debug_loaded"}, got); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
	// What is loaded may not refer to it.
	f = parse(t, ko)
	debug := elfobj.SecID(len(f.Sections))
	f.Sections = append(f.Sections, elfobj.Section{Name: ".debug_y", Type: elf.SHT_PROGBITS, Data: []byte{1}, Size: 1},
		elfobj.Section{Name: ".data.y", Type: elf.SHT_PROGBITS, Flags: elf.SHF_ALLOC, Data: make([]byte, 8), Size: 8,
			Relocs: []elfobj.Reloc{{Type: uint32(elf.R_X86_64_64), Sym: elfobj.SymID(len(f.Symbols))}}})
	f.Symbols = append(f.Symbols, elfobj.Symbol{Name: "in_debug", Bind: elf.STB_GLOBAL, Sec: debug})
	if in, err = f.Write(); err != nil {
		t.Fatal(err)
	}
	if _, err := generate.PostLink(in, m); err == nil || !strings.Contains(err.Error(), "strip debug information") {
		t.Errorf("error %v", err)
	}
}

// Versions of exports stand in one of two forms; both are read.
func TestVerifyExtendedVersions(t *testing.T) {
	good := goodModule(t, "5.8")
	le := binary.LittleEndian
	with := func(names []string, crcs []uint32) []finding.Finding {
		f := parse(t, bytes.Clone(good))
		old := section(t, f, "__versions")
		old.Data, old.Size = nil, 0
		var n, c []byte
		for _, name := range names {
			n = append(append(n, name...), 0)
		}
		for _, crc := range crcs {
			c = le.AppendUint32(c, crc)
		}
		if names != nil {
			f.Sections = append(f.Sections, elfobj.Section{Name: "__version_ext_names", Type: elf.SHT_PROGBITS, Flags: elf.SHF_ALLOC, Data: n, Size: uint64(len(n))})
		}
		f.Sections = append(f.Sections, elfobj.Section{Name: "__version_ext_crcs", Type: elf.SHT_PROGBITS, Flags: elf.SHF_ALLOC, Data: c, Size: uint64(len(c))})
		ko, err := f.Write()
		if err != nil {
			t.Fatal(err)
		}
		problems, err := generate.Verify(ko, newFakeTarget())
		if err != nil {
			t.Fatal(err)
		}
		return problems
	}
	var names []string
	var crcs []uint32
	for name, e := range testExports() {
		names, crcs = append(names, name), append(crcs, e.crc)
	}
	if p := with(names, crcs); len(p) > 0 {
		t.Errorf("%v", p)
	}
	at := slices.Index(names, "helper")
	wrong := slices.Clone(crcs)
	wrong[at]++
	if p := with(names, wrong); len(p) != 1 || p[0].ID != finding.IDExportCRC || p[0].Symbol != "helper" || !strings.Contains(p[0].Message, "0x44444445 in the module, 0x44444444 in the kernel") {
		t.Errorf("another version: %v", p)
	}
	if p := with(names[:len(names)-1], crcs); len(p) != 1 || !strings.Contains(p[0].Message, "fewer names than there are versions") {
		t.Errorf("a name is missing: %v", p)
	}
	for what, p := range map[string][]finding.Finding{"one version less": with(names, crcs[:0]), "no names": with(nil, crcs)} {
		if len(p) == 0 || !slices.ContainsFunc(p, func(f finding.Finding) bool {
			return f.Symbol == "helper" && strings.Contains(f.Message, "carries no version")
		}) {
			t.Errorf("%s: %v", what, p)
		}
	}
}

// The note is replaced, not added twice, and in the byte order of the file.
func TestPostLinkNote(t *testing.T) {
	ko, m := finished(t, "5.8", nil)
	other := *m
	other.Description = "another"
	out, err := generate.PostLink(ko, &other)
	if err != nil {
		t.Fatal(err)
	}
	f := parse(t, out)
	count := 0
	for _, s := range f.Sections {
		if s.Name == note.Section {
			count++
		}
	}
	got, err := note.Read(f)
	if err != nil || count != 1 || got.Description != "another" {
		t.Errorf("%d notes, %+v, %v", count, got, err)
	}
}

// addTo appends a section to a module, with pointers to symbols at its offsets.
func addTo(f *elfobj.File, name string, size int, pointers map[uint64]string) {
	s := elfobj.Section{Name: name, Type: elf.SHT_PROGBITS, Flags: elf.SHF_ALLOC | elf.SHF_WRITE, Data: make([]byte, size), Size: uint64(size), Align: 8}
	for off, to := range pointers {
		for i := range f.Symbols {
			if f.Symbols[i].Name == to {
				s.Relocs = append(s.Relocs, elfobj.Reloc{Off: off, Type: uint32(elf.R_X86_64_64), Sym: elfobj.SymID(i)})
				break
			}
		}
	}
	s.SortRelocs()
	f.Sections = append(f.Sections, s)
}

// pointer finds the relocation of a member of a table.
func pointer(t *testing.T, f *elfobj.File, table string, off uint64) *elfobj.Reloc {
	t.Helper()
	s := symbol(t, f, table)
	for i := range f.Sections[s.Sec].Relocs {
		if r := &f.Sections[s.Sec].Relocs[i]; r.Off == s.Value+off {
			return r
		}
	}
	t.Fatalf("no pointer at %s+%d", table, off)
	return nil
}

// erase takes the pointer of a member away.
func erase(t *testing.T, f *elfobj.File, table string, off uint64) {
	t.Helper()
	r := *pointer(t, f, table, off)
	s := &f.Sections[symbol(t, f, table).Sec]
	s.Relocs = slices.DeleteFunc(s.Relocs, func(x elfobj.Reloc) bool { return x == r })
}

// The tables that the kernel reads are found in the module's data; what is no table is
// told, and never half read.
func TestVerifyTables(t *testing.T) {
	good := goodModule(t, "5.8")
	for _, c := range []struct {
		name string
		file func(*elfobj.File)
		want []string // parts of messages, in order; each problem has one
	}{
		{"a driver that begins with its owner", func(f *elfobj.File) { addTo(f, ".data.driver", 64, map[uint64]string{0: "__this_module"}) }, nil},
		{"a driver with a pointer behind", func(f *elfobj.File) {
			addTo(f, ".data.driver", 64, map[uint64]string{0: "__this_module", 8: "new_show"})
		}, nil},
		{"two patches", func(f *elfobj.File) {
			addTo(f, ".data.second", 64, map[uint64]string{0: "__this_module", 8: "objs"})
		}, []string{"two klp_patch structures"}},
		{"the owner of the patch is behind the module", func(f *elfobj.File) { pointer(t, f, "patch", 0).Addend = 8 }, []string{"no klp_patch found in the module's data"}},
		{"no object table", func(f *elfobj.File) { erase(t, f, "patch", 8) }, []string{"no object table"}},
		{"an object table outside", func(f *elfobj.File) { pointer(t, f, "patch", 8).Sym = symbolID(t, f, "helper") }, []string{"no object table"}},
		{"an object table without size", func(f *elfobj.File) { symbol(t, f, "objs").Size = 0 }, []string{"klp_object: a table has no sized symbol"}},
		{"an object table that is no table", func(f *elfobj.File) { symbol(t, f, "objs").Size -= 8 }, []string{"has no sensible entries"}},
		{"an object table without an end", func(f *elfobj.File) { s := symbol(t, f, "objs"); s.Size = s.Size / 4 * 3 }, []string{"has no sensible entries"}},
		{"a function table without size", func(f *elfobj.File) { symbol(t, f, "funcs_ext4").Size = 0 }, []string{"klp_func of ext4: a table has no sized symbol"}},
		{"a function without a replacement", func(f *elfobj.File) { erase(t, f, "funcs_ext4", 8) }, []string{"klp_func of ext4: a table"}},
		{"no function table", func(f *elfobj.File) { erase(t, f, "objs", 8) }, []string{"has no sensible entries"}},
		{"a name outside", func(f *elfobj.File) { pointer(t, f, "funcs_ext4", 0).Addend += 1 << 20 }, []string{"klp_func 0 of ext4: a name lies outside its section"}},
		{"an object's name outside", func(f *elfobj.File) {
			r := pointer(t, f, "objs", symbol(t, f, "objs").Size/4)
			r.Addend += 1 << 20
		}, []string{"klp_object 1: a name lies outside its section"}},
		{"a name that does not end", func(f *elfobj.File) {
			addTo(f, ".rodata.endless", 4, nil)
			f.Sections[len(f.Sections)-1].Data = []byte("ext4")
			f.Symbols = append(f.Symbols, elfobj.Symbol{Name: "endless", Bind: elf.STB_GLOBAL, Sec: elfobj.SecID(len(f.Sections) - 1)})
			r := pointer(t, f, "funcs_vmlinux", 0)
			r.Sym, r.Addend = elfobj.SymID(len(f.Symbols)-1), 0
		}, []string{"a name does not end"}},
		{"a state table without size", func(f *elfobj.File) { symbol(t, f, "states").Size = 0 }, []string{"klp_state: a table has no sized symbol"}},
		{"a state table with half an entry", func(f *elfobj.File) { symbol(t, f, "states").Size -= 8 }, []string{"klp_state: a table has no sized symbol"}},
		{"one state less", func(f *elfobj.File) { symbol(t, f, "states").Size -= 24 }, []string{"the module's states are [{7 2 }], the note's [{7 2 } {9 1 }]"}},
		{"no states", func(f *elfobj.File) { erase(t, f, "patch", 16) }, []string{"the module's states are [], the note's [{7 2 } {9 1 }]"}},
		{"the id of a state", func(f *elfobj.File) { word(t, f, "states", 24)[7]++ }, []string{"the module's states are"}},
		{"a pre-patch callback less", func(f *elfobj.File) {
			size := symbol(t, f, "objs").Size / 4
			erase(t, f, "objs", size+16)
		}, []string{"the note names the pre-patch callback, the module does not have it"}},
		{"a callback in another place", func(f *elfobj.File) {
			size := symbol(t, f, "objs").Size / 4
			pointer(t, f, "objs", size+16).Off += 24
			f.Sections[symbol(t, f, "objs").Sec].SortRelocs()
		}, []string{"the module has the post-unpatch callback, the note does not name it", "the note names the pre-patch callback"}},
		{"replacement in data", func(f *elfobj.File) {
			addTo(f, ".data.code", 16, nil)
			s := symbol(t, f, "new_show")
			s.Sec, s.Value = elfobj.SecID(len(f.Sections)-1), 0
		}, []string{"is no function of the module"}},
		{"replacement outside of the module", func(f *elfobj.File) {
			r := pointer(t, f, "funcs_vmlinux", 8)
			r.Sym, r.Addend = symbolID(t, f, "helper"), 0
		}, []string{"the module replaces show,3 of vmlinux -> helper, which", "the module does not replace show,3 of vmlinux -> new_show as", `its replacement "helper" is no function`}},
		{"replacement by its place", func(f *elfobj.File) {
			s := *symbol(t, f, "new_show")
			r := pointer(t, f, "funcs_vmlinux", 8)
			r.Addend = int64(s.Value)
			r.Sym = elfobj.SymID(slices.IndexFunc(f.Symbols, func(x elfobj.Symbol) bool { return x.Type == elf.STT_SECTION && x.Sec == s.Sec }))
		}, nil},
		{"replacement that begins elsewhere", func(f *elfobj.File) { pointer(t, f, "funcs_vmlinux", 8).Addend = 1 }, []string{"the module replaces", "the module does not replace", "is no function of the module"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := parse(t, bytes.Clone(good))
			for i := range f.Sections {
				f.Sections[i].Data = slices.Clone(f.Sections[i].Data)
			}
			c.file(f)
			ko, err := f.Write()
			if err != nil {
				t.Fatal(err)
			}
			problems, err := generate.Verify(ko, newFakeTarget())
			if err != nil {
				t.Fatal(err)
			}
			missing := slices.Clone(c.want)
			for _, p := range problems {
				i := slices.IndexFunc(missing, func(part string) bool { return strings.Contains(p.Message, part) })
				if i < 0 || p.ID != finding.IDTables || p.Severity != finding.Error {
					t.Errorf("unexpected: %v", p)
					continue
				}
				missing = slices.Delete(missing, i, i+1)
			}
			if len(missing) > 0 {
				t.Errorf("nothing says %q: %v", missing, problems)
			}
		})
	}
}

// word is the bytes of a module's data at an offset of a symbol.
func word(t *testing.T, f *elfobj.File, name string, off uint64) []byte {
	t.Helper()
	s := symbol(t, f, name)
	return f.Sections[s.Sec].Data[s.Value+off:][:8]
}

// All that a patch may have is found in the tables as it was written.
func TestVerifyCallbacks(t *testing.T) {
	for _, gen := range []string{"4.15", "5.1", "5.8", "6.13"} {
		ko, _ := finished(t, gen, func(in *generate.Input) {
			in.Plan.Objects[0].Callbacks = plan.Callbacks{PrePatch: "ext4_pre", PostPatch: "ext4_pre", PreUnpatch: "ext4_pre", PostUnpatch: "ext4_pre"}
		})
		target := newFakeTarget()
		if !apiOf(gen).ImportNS {
			target.exports["helper"] = export{0x44444444, plan.Vmlinux, ""}
		}
		if problems, err := generate.Verify(ko, target); err != nil || len(problems) > 0 {
			t.Errorf("%s: %v, %v", gen, problems, err)
		}
	}
}

// A livepatch relocation lies in its section up to the last byte of its field.
func TestVerifyRelocationBounds(t *testing.T) {
	good := goodModule(t, "5.8")
	for _, c := range []struct {
		typ  elf.R_X86_64
		left uint64 // bytes from the place to the end of the section
		fits bool
	}{
		{elf.R_X86_64_64, 8, true}, {elf.R_X86_64_64, 7, false}, {elf.R_X86_64_64, 4, false}, {elf.R_X86_64_PC64, 8, true}, {elf.R_X86_64_PC64, 4, false},
		{elf.R_X86_64_32S, 4, true}, {elf.R_X86_64_32S, 3, false}, {elf.R_X86_64_PC32, 4, true}, {elf.R_X86_64_PC32, 1, false}, {elf.R_X86_64_64, 100, true},
	} {
		f := parse(t, bytes.Clone(good))
		data := make([]byte, 128)
		for i := range data {
			if at := uint64(len(data) - i); at > c.left || at <= c.left-min(c.left, 8) {
				data[i] = 0xff // all but the field, at its widest, is not zero
			}
		}
		f.Sections = append(f.Sections, elfobj.Section{Name: ".data.more", Type: elf.SHT_PROGBITS, Flags: elf.SHF_ALLOC | elf.SHF_WRITE, Data: data, Size: 128,
			KlpRelocs: []elfobj.KlpRelocs{{Name: ".klp.rela.vmlinux.data.more", Relocs: []elfobj.Reloc{
				{Off: 128 - c.left, Type: uint32(c.typ), Sym: symbolID(t, f, ".klp.sym.vmlinux.hidden,0")}}}}})
		ko, err := f.Write()
		if err != nil {
			t.Fatal(err)
		}
		problems, err := generate.Verify(ko, newFakeTarget())
		if c.fits && (err != nil || len(problems) > 0) {
			t.Errorf("%v, %d bytes left: %v, %v", c.typ, c.left, problems, err)
		}
		if !c.fits && err == nil && (len(problems) != 1 || !strings.Contains(problems[0].Message, "reaches beyond the section")) {
			t.Errorf("%v, %d bytes left: %v", c.typ, c.left, problems)
		}
	}
}

// Unwind data of a replacement may begin within it.
func TestVerifyUnwindInside(t *testing.T) {
	for addend, count := range map[int64]int{4: 0, 0x1000: 3} {
		f := parse(t, goodModule(t, "5.8"))
		addUnwind(t, f, 3)
		table := &f.Sections[len(f.Sections)-1]
		for i := range table.Relocs {
			table.Relocs[i].Addend = addend
		}
		ko, err := f.Write()
		if err != nil {
			t.Fatal(err)
		}
		problems, err := generate.Verify(ko, newFakeTarget())
		if err != nil || len(problems) != count {
			t.Errorf("%#x: %v, %v", addend, problems, err)
		}
	}
}

// A function that claims more than its section has no digest.
func TestContentOutside(t *testing.T) {
	for size, some := range map[string]bool{"1": true, "2": true, "3": false, "1000": false, "0xffffffffffffffff": false} {
		m, err := generate.Emit(t.TempDir(), generate.Input{API: apiOf("5.8"),
			Units: []generate.Unit{{Name: "x.o", Object: assembled(t, ".section .text.f,\"ax\"\n.globl new_f\n.type new_f,@function\nnop\nnew_f: nop\nret\n.size new_f,"+size+"\n")}},
			Plan: plan.Plan{Name: "lp", Release: "6.1.0", Objects: []plan.Object{{Name: plan.Vmlinux,
				Funcs: []plan.Func{{Name: "f", NewSymbol: "new_f", Unit: "x.o", Shipped: shipped(0x10)}}}}}})
		if err != nil {
			t.Errorf("%s: %v", size, err)
		} else if got := m.Objects[0].Funcs[0].Content; (got != "") != some {
			t.Errorf("%s bytes: digest %q", size, got)
		}
	}
}
