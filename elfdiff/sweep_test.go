package elfdiff

import (
	"bytes"
	"cmp"
	"debug/elf"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/klpforge/klpforge/elfobj"
	"github.com/klpforge/klpforge/finding"
)

// The sweep changes, in an object that has an example of every special section, one
// entry in each way, and asks what becomes of that. The object is compiled from
// testdata/sweep/tables.c, which sweepSource writes out of the list of sections that the
// kernel's linker scripts name and of the layouts that their rows know.

const (
	sweepC = "testdata/sweep/tables.c"
	sweepO = "testdata/sweep/tables.o"
)

// sweepSections lists the sections of the sweep: what the linker scripts name, and what
// only assembler macros, modules and newer kernels have.
func sweepSections(t *testing.T) []string {
	t.Helper()
	var out []string
	for _, s := range inputSections(t) {
		name := s.sample()
		if s.elsewhere || s.versions == "7.2" {
			continue // the object is for x86, with the layouts of v5.10 to v6.12
		}
		if r := rowOf(name); r.holds != holdsNothing && r.holds != holdsCode && name != "COMMON" && name != "init.data.x" {
			out = append(out, name)
		}
	}
	out = append(out, "___srcu_struct_ptrs", ".sched_class", "__versions", "alloc_tags")
	slices.Sort(out)
	return slices.Compact(out)
}

// sweepSource writes the C file. Each section has three entries; the k-th refers to the
// function f<k>, where the layout has references. Tables about code are filled by what the functions contain.
func sweepSource(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	b.WriteString(`/* Written by: go test ./elfdiff -run TestMatrix -update. One example of every special section. */
#include <special.h>

extern char text[], pv_ops[], more[];
static struct static_key key;

#define FUNCTION(n)							\
noinline int f##n(int *p)						\
{									\
	int x = 0;							\
	if (*p == n)							\
		TRAP(n);						\
	LOAD_OR(x, p, "2b");						\
	if (key_set(&key, n & 1))					\
		x += work(n);						\
	STATIC_CALL(hook);						\
	asm volatile(ALT("call slow_path", "call other_work", 7) : : : CLOBBERS); \
	PV_CALL(n);							\
	x += (long)RUNTIME_PTR(d_hash_shift);				\
	asm volatile(LOCK_PREFIX "incl %0" : "+m" (*p));		\
	ORC(8, 0, n);							\
	SITES								\
	return x + n;							\
}

`)
	sites := ""
	var entries, data []string
	for _, name := range sweepSections(t) {
		r := rowOf(name)
		switch {
		case r.holds == holdsSites && r.derived && name != ".smp_locks" && name != ".orc_unwind_ip" && name != "__mcount_loc":
			width := ".long 1b - ."
			if r.shapes[0].size == 8 {
				width = ".quad 1b"
			}
			sites += fmt.Sprintf("\\\n	asm volatile(\"1: nop\\n.pushsection %s, \\\"a\\\"\\n %s\\n.popsection\");", name, width)
		case r.holds == holdsEntries || r.holds == holdsBoot:
			entries = append(entries, name)
		case r.holds == holdsData:
			data = append(data, name)
		}
	}
	fmt.Fprintf(&b, "#define SITES%s\n\nFUNCTION(1)\nFUNCTION(2)\nFUNCTION(3)\nFUNCTION(4)\n\n", sites)
	for _, name := range entries {
		fmt.Fprintf(&b, "asm(\".pushsection \\\"%s\\\", \\\"%s\\\"\\n .balign 8\\n\"\n", name, map[bool]string{true: "aw", false: "a"}[rowOf(name).protect == writable])
		for k := 1; k <= 3; k++ {
			fmt.Fprintf(&b, "    \"%s\"\n", sweepEntry(name, k))
		}
		b.WriteString("    \".popsection\");\n\n")
	}
	for _, name := range data {
		kind := "@progbits"
		flags := "aw"
		if strings.Contains(name, "bss") {
			kind = "@nobits"
		} else if r := rowOf(name); r.protect == constant && name != ".data.rel.rox" {
			flags = "a"
		}
		fmt.Fprintf(&b, "asm(\".pushsection \\\"%s\\\", \\\"%s\\\", %s\\n .balign 8\\n\"\n", name, flags, kind)
		for k := 1; k <= 3; k++ {
			sym := fmt.Sprintf("v%d_%s", k, clean(name))
			what := fmt.Sprintf(".quad f%d, 0x1111", k)
			if kind == "@nobits" {
				what = ".zero 16"
			}
			fmt.Fprintf(&b, "    \"%s: %s\\n.type %s, @object\\n.size %s, 16\\n\"\n", sym, what, sym, sym)
		}
		b.WriteString("    \".popsection\");\n\n")
	}
	return b.String()
}

// clean makes a section's name part of a symbol's, one that no other section has.
func clean(name string) string {
	var b strings.Builder
	for _, r := range name {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' {
			b.WriteRune(r)
		} else {
			fmt.Fprintf(&b, "_%x", r)
		}
	}
	return b.String()
}

// sweepEntry is the assembly of the k-th entry of a section, with a symbol.
func sweepEntry(section string, k int) string {
	sym := fmt.Sprintf("e%d_%s", k, clean(section))
	r := rowOf(section)
	switch section {
	case btfIDs:
		sym = fmt.Sprintf("__BTF_ID__func__f%d__1%d", k, k)
		return fmt.Sprintf(`.local %[1]s\n.type %[1]s, STT_OBJECT\n.size %[1]s, 4\n%[1]s:\n .zero 4\n .long 0x11\n`, sym)
	case ".modinfo":
		return fmt.Sprintf(`%[1]s: .asciz \"alias=device%[2]d\"\n.type %[1]s, @object\n.size %[1]s, 14\n`, sym, k)
	}
	switch {
	case strings.Contains(section, "ksymtab"):
		sym = "__ksymtab_" + sym
	case strings.Contains(section, "kcrctab"):
		sym = "__crc_" + sym
	case section == ".export_symbol":
		sym = "__export_symbol_" + sym
	}
	sh := shape{size: 16, refs: []uint64{0}}
	if len(r.shapes) > 0 {
		sh = r.shapes[0]
	}
	if strings.HasPrefix(section, ".initcall") || strings.HasPrefix(section, ".con_initcall") || section == "__tracepoints_ptrs" {
		sh = r.shapes[1] // with distances, as x86 has them
	}
	text, at := sym+":", uint64(0)
	for i, ref := range sh.refs {
		if ref > at {
			text += fmt.Sprintf(" .fill %d, 1, 0x11\\n", ref-at)
		}
		end := sh.size
		if i+1 < len(sh.refs) {
			end = sh.refs[i+1]
		}
		if at = ref + 4; end-ref >= 8 {
			at = ref + 8
			text += fmt.Sprintf(" .quad f%d\\n", k)
		} else {
			text += fmt.Sprintf(" .long f%d - .\\n", k)
		}
	}
	if sh.size > at {
		text += fmt.Sprintf(" .fill %d, 1, 0x11\\n", sh.size-at)
	}
	return text + fmt.Sprintf(".type %[1]s, @object\\n.size %[1]s, %[2]d\\n", sym, sh.size)
}

// sweepObject compiles the file when it is to be updated, and reads the object.
func sweepObject(t *testing.T) *elfobj.File {
	t.Helper()
	src := sweepSource(t)
	if *updateMatrix {
		if err := os.MkdirAll(filepath.Dir(sweepC), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(sweepC, []byte(src), 0o644); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command("gcc", "-O2", "-std=gnu11", "-ffunction-sections", "-fdata-sections", "-g0", "-fno-ident", "-w", "-pg", "-mfentry", "-mrecord-mcount",
			"-fno-pic", "-fno-pie", "-mcmodel=kernel", "-mno-red-zone", "-fno-asynchronous-unwind-tables", "-fno-stack-protector", "-fcf-protection=none",
			"-I../testdata/include", "-x", "c", "-c", "-", "-o", sweepO)
		cmd.Stdin = strings.NewReader(src)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("gcc: %v\n%s", err, out)
		}
	}
	if old, err := os.ReadFile(sweepC); err != nil || string(old) != src {
		t.Fatalf("%s is stale (%v): run go test ./elfdiff -run TestMatrix -update", sweepC, err)
	}
	return readObject(t, sweepO)
}

// entrySpans are the ranges of the entries of a section.
func entrySpans(t testing.TB, f *elfobj.File, id elfobj.SecID) []span {
	s := &f.Sections[id]
	r := rowOf(s.Name)
	if r.holds == holdsPieces {
		return []span{{0, s.Size}}
	}
	if r.holds == holdsSites || r.holds == holdsHalf {
		o, err := Load(f)
		if err != nil {
			t.Fatal(err)
		}
		size := uint64(0)
		for k := range o.tables {
			tab := &o.tables[k]
			if tab.sec == id {
				size = tab.shape.size
			} else if tab.row.pair == s.Name {
				size = s.Size / (f.Sections[tab.sec].Size / tab.shape.size)
			}
		}
		if size == 0 {
			return []span{{0, s.Size}}
		}
		var out []span
		for at := uint64(0); at < s.Size; at += size {
			out = append(out, span{at, min(at+size, s.Size)}) // the last may end early
		}
		return out
	}
	var starts []uint64
	for i := range f.Symbols {
		if sym := &f.Symbols[i]; sym.Sec == id && sym.Type != elf.STT_SECTION && sym.Name != "" {
			starts = append(starts, sym.Value)
		}
	}
	slices.Sort(starts)
	starts = slices.Compact(starts)
	var out []span
	for i, at := range starts {
		end := s.Size
		if i+1 < len(starts) {
			end = starts[i+1]
		}
		if end > at {
			out = append(out, span{at, end})
		}
	}
	return out
}

// edit is one way of changing a section of a copy of f; false when the section has no such change.
type edit struct {
	name string
	do   func(f *elfobj.File, id elfobj.SecID, entries []span) bool
}

func copyFile(f *elfobj.File) *elfobj.File {
	c := *f
	c.Sections, c.Symbols = slices.Clone(f.Sections), slices.Clone(f.Symbols)
	for i := range c.Sections {
		c.Sections[i].Data, c.Sections[i].Relocs = bytes.Clone(f.Sections[i].Data), slices.Clone(f.Sections[i].Relocs)
	}
	return &c
}

// alter changes a byte of the second entry that no relocation fills, else what its last relocation refers to.
func alter(f *elfobj.File, id elfobj.SecID, entries []span) bool {
	s := &f.Sections[id]
	if len(entries) == 0 {
		return false
	}
	e := entries[min(1, len(entries)-1)]
	arch, err := f.Arch()
	if err != nil || s.Data == nil {
		return false
	}
	free := make([]bool, e.to-e.from)
	for i := range free {
		free[i] = true
	}
	last := -1
	for k := range s.Relocs {
		if r := &s.Relocs[k]; r.Off >= e.from && r.Off < e.to {
			last = k
			for i := range arch.Width(r.Type) {
				free[r.Off-e.from+uint64(i)] = false
			}
		}
	}
	if known := rowOf(s.Name); len(known.shapes) > 0 && known.shapes[0].lineLen > 0 && known.shapes[0].size == e.to-e.from {
		for i := range known.shapes[0].lineLen {
			free[known.shapes[0].lineOff+i] = false
		}
	}
	if i := slices.Index(free, true); i >= 0 && s.Name != btfIDs {
		s.Data[e.from+uint64(i)] ^= 2
		return true
	}
	if s.Name == btfIDs {
		s.Data[e.to-1] ^= 2
		return true
	}
	if last < 0 {
		return false
	}
	s.Relocs[last].Addend++
	return true
}

// cut removes the second entry.
func cut(f *elfobj.File, id elfobj.SecID, entries []span) bool {
	s := &f.Sections[id]
	if holds := rowOf(s.Name).holds; len(entries) < 2 || holds == holdsHalf {
		return false
	}
	e := entries[1]
	n := e.to - e.from
	if s.Data != nil {
		s.Data = slices.Delete(s.Data, int(e.from), int(e.to))
	}
	s.Size -= n
	s.Relocs = slices.DeleteFunc(s.Relocs, func(r elfobj.Reloc) bool { return r.Off >= e.from && r.Off < e.to })
	for k := range s.Relocs {
		if s.Relocs[k].Off >= e.to {
			s.Relocs[k].Off -= n
		}
	}
	for i := range f.Symbols {
		sym := &f.Symbols[i]
		switch {
		case sym.Sec != id || sym.Type == elf.STT_SECTION || sym.Name == "":
		case sym.Value >= e.to:
			sym.Value -= n
		case sym.Value >= e.from:
			sym.Name, sym.Type = "", elf.STT_NOTYPE
		}
	}
	return true
}

// grow appends a copy of the first entry, which refers to other places, under another name.
func grow(f *elfobj.File, id elfobj.SecID, entries []span) bool {
	s := &f.Sections[id]
	if holds := rowOf(s.Name).holds; len(entries) == 0 || holds == holdsHalf || holds == holdsPieces {
		return false
	}
	e := entries[0]
	at, n := s.Size, e.to-e.from
	if s.Data != nil {
		s.Data = append(s.Data, s.Data[e.from:e.to]...)
	}
	s.Size += n
	for _, r := range slices.Clone(s.Relocs) {
		if r.Off < e.from || r.Off >= e.to {
			continue
		}
		r.Off += at - e.from
		if sites := rowOf(s.Name).holds == holdsSites; sites {
			r.Addend++
		} else if other := slices.IndexFunc(f.Symbols, func(sym elfobj.Symbol) bool { return sym.Name == "f4" }); other > 0 {
			r.Sym = elfobj.SymID(other)
		}
		s.Relocs = append(s.Relocs, r)
	}
	for _, sym := range slices.Clone(f.Symbols) {
		if sym.Sec == id && sym.Type != elf.STT_SECTION && sym.Name != "" && sym.Value >= e.from && sym.Value < e.to {
			sym.Value += at - e.from
			sym.Name = strings.Replace(strings.Replace(sym.Name, "func__f1__1", "func__f4__2", 1), "e1_", "e4_", 1) + map[bool]string{true: "9"}[!strings.Contains(sym.Name, "1_")]
			f.Symbols = append(f.Symbols, sym)
		}
	}
	if s.Name == ".modinfo" {
		s.Data[s.Size-2] = '4'
	}
	return true
}

// strip takes the names from the symbols of a section.
func strip(f *elfobj.File, id elfobj.SecID) {
	for i := range f.Symbols {
		if sym := &f.Symbols[i]; sym.Sec == id && sym.Type != elf.STT_SECTION {
			sym.Name, sym.Type = "", elf.STT_NOTYPE
		}
	}
}

var edits = []edit{{"altered", alter}, {"added", grow}, {"removed", cut}}

// sweepCell says what klpforge says of one change; "" when it says nothing.
func sweepCell(t testing.TB, before, after *elfobj.File) string {
	reread := func(f *elfobj.File) *elfobj.File {
		raw, err := f.Write()
		if err != nil {
			t.Fatal(err)
		}
		out, err := elfobj.Read(raw)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	r, err := Diff(reread(before), reread(after))
	var p *finding.Finding
	if errors.As(err, &p) {
		return "refused: " + string(p.ID)
	}
	if err != nil {
		t.Fatal(err)
	}
	_, err = r.Extract(ExtractOptions{Unit: "dir/unit.o", Object: "vmlinux", Functions: replaceable(r), Resolve: fakeResolver})
	if errors.As(err, &p) {
		return "refused: " + string(p.ID)
	}
	if err != nil {
		t.Fatal(err)
	}
	var said []string
	verb := map[finding.Severity]string{finding.Error: "refused: ", finding.Warning: "warning ", finding.Note: "note "}
	for _, p := range r.Problems {
		said = append(said, verb[p.Severity]+string(p.ID))
	}
	for _, ch := range r.Functions {
		if ch.Kind == Changed {
			said = append(said, "carried: its function")
		}
	}
	if len(said) == 0 {
		for _, ch := range r.Data {
			said = append(said, string(ch.Kind)+" variable")
		}
	}
	slices.Sort(said)
	return strings.Join(slices.Compact(said), ", ")
}

// sweepTable makes the table section × change × what klpforge says.
func sweepTable(t *testing.T) string {
	f := sweepObject(t)
	var b strings.Builder
	b.WriteString(`
## Every special section

One entry of each table changes, comes or goes: in an object that has an example of every section that the linker scripts of 6.1 and 6.12 name,
in the layout that the kernel has. *Without names* stands for entries that have no symbol, of which the same is asked: altered, added, removed.
*Left out* stands for a change that means nothing to a livepatch, and why. Code is in the tables above; what describes code travels with it.

| section | what fills it | its contents matter | write-protected | needed at load | altered | added | removed | without names |
| --- | --- | --- | --- | --- | --- | --- | --- | --- |
`)
	for _, name := range sweepSections(t) {
		r := rowOf(name)
		id := elfobj.SecID(slices.IndexFunc(f.Sections, func(s elfobj.Section) bool { return s.Name == name }))
		if id <= 0 {
			if name != ".orc_header" { // objtool makes it
				t.Errorf("the object has no section %s", name)
				continue
			}
		}
		base := f
		if id <= 0 {
			base = copyFile(f)
			base.Sections = append(base.Sections, elfobj.Section{Name: name, Type: elf.SHT_PROGBITS, Flags: elf.SHF_ALLOC, Align: 1, Size: 20, Data: make([]byte, 20)})
			id = elfobj.SecID(len(base.Sections) - 1)
		}
		cells := []string{}
		nameless := []string{}
		for _, bare := range []bool{false, true} {
			before := copyFile(base)
			entries := entrySpans(t, base, id)
			named := slices.ContainsFunc(base.Symbols, func(s elfobj.Symbol) bool {
				return s.Sec == id && s.Type != elf.STT_SECTION && s.Name != ""
			})
			if bare && !named {
				nameless = []string{"as all of them are"}
				break
			}
			if bare {
				strip(before, id)
			}
			for _, e := range edits {
				after := copyFile(base)
				ok := e.do(after, id, entries)
				if r.pair != "" && e.name != "altered" {
					// The second half goes with the first.
					other := elfobj.SecID(slices.IndexFunc(base.Sections, func(s elfobj.Section) bool { return s.Name == r.pair }))
					half := &after.Sections[other]
					n := half.Size / uint64(len(entries))
					if e.name == "added" {
						half.Data = append(half.Data, half.Data[:n]...)
						half.Size += n
					} else {
						half.Data = half.Data[n:]
						half.Size -= n
					}
				}
				if bare {
					strip(after, id)
				}
				cell := "with its entry"
				if !ok && before.Sections[id].Data == nil && e.name == "altered" {
					cell = "it is zero"
				} else if ok {
					cell = sweepCell(t, before, after)
				}
				if cell == "" && r.harmless != "" {
					cell = "left out: " + r.harmless
				}
				if cell == "" {
					t.Errorf("%s: nothing is said of an entry that is %s (without names: %v)", name, e.name, bare)
				}
				if bare {
					nameless = append(nameless, cell)
				} else {
					cells = append(cells, cell)
				}
			}
		}
		if slices.Equal(cells, nameless) {
			nameless = []string{"the same"}
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s | %s | %s |\n", name, r.construct, r.matters(), map[protection]string{constant: "yes", afterInit: "after boot"}[r.protect], map[bool]string{true: "yes"}[r.loader],
			strings.Join(cells, " | "), strings.Join(slices.Compact(nameless), "; "))
	}
	return b.String()
}

func (r *row) matters() string {
	return cmp.Or(map[life]string{lifeOnce: "once", lifeNone: "never"}[r.life], "for ever")
}

// TestSweepReal does the same with the special sections of real objects: no change of an
// entry goes unmentioned.
func TestSweepReal(t *testing.T) {
	for _, p := range realPairs(t) {
		f := readObject(t, p+".orig.o")
		for i := range f.Sections {
			s := &f.Sections[i]
			r := rowOf(s.Name)
			if r == nil || s.Flags&elf.SHF_ALLOC == 0 || s.Size == 0 {
				continue
			}
			switch r.holds {
			case holdsEntries, holdsBoot, holdsSites, holdsHalf:
			default:
				continue
			}
			if strings.HasPrefix(s.Name, "___ksymtab") && i%20 != 0 {
				continue // one section for each export
			}
			id := elfobj.SecID(i)
			entries := entrySpans(t, f, id)
			for _, e := range edits {
				for _, bare := range []bool{false, true} {
					before, after := copyFile(f), copyFile(f)
					if r.pair != "" && e.name != "altered" || !e.do(after, id, entries) {
						continue
					}
					if bare {
						strip(before, id)
						strip(after, id)
					}
					d, err := Diff(before, after)
					if err != nil {
						continue // one clear error
					}
					if got := describe(d); got[0] == "nothing" && r.harmless == "" {
						t.Errorf("%s: %s: nothing is said of an entry that is %s (without names: %v)", filepath.Base(p), s.Name, e.name, bare)
					}
				}
			}
		}
	}
}
