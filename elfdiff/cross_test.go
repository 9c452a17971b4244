package elfdiff

import (
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/klpforge/klpforge/elfobj"
	"github.com/klpforge/klpforge/finding"
)

//go:generate testdata/cross.sh

// crossCompilers made the objects of testdata/cross.
var crossCompilers = []compiler{
	{"arm64", "gcc 12.2.0", "", ".arm64"}, {"ppc64le", "gcc 12.2.0", "", ".ppc64le"},
	{"s390x", "gcc 12.2.0", "", ".s390x"}, {"loongarch64", "clang 19.1.7", "", ".loongarch64"},
}

// crossCase is the name by which the harness finds a case of testdata/cross.
func crossCase(dir string) string { return "../../elfdiff/testdata/cross/" + dir }

// crossFixtures lists all cases of testdata/cross with each architecture that
// makes them.
func crossFixtures(t testing.TB) []fixture {
	t.Helper()
	dirs, err := filepath.Glob("testdata/cross/*/after.c")
	if err != nil || len(dirs) == 0 {
		t.Fatalf("testdata/cross: %d cases, %v", len(dirs), err)
	}
	var out []fixture
	for _, d := range dirs {
		name := crossCase(filepath.Base(filepath.Dir(d)))
		only := strings.Fields(strings.Join(sourceLines(t, name, "only"), " "))
		for _, c := range crossCompilers {
			if len(only) == 0 || slices.Contains(only, c.name) {
				out = append(out, fixture{name, c})
			}
		}
	}
	return out
}

// readCross reads one side, with what recordmcount adds on powerpc.
func (f fixture) readCross(t testing.TB, side string) *elfobj.File {
	t.Helper()
	o := readObject(t, f.path(side))
	if got := elfArch(t, o).Name(); got != f.compiler.name {
		t.Fatalf("%s is for %s", f.path(side), got)
	}
	if strings.HasSuffix(f.name, "old-mcount") {
		oldMcountLoc(t, o)
	} else if o.Machine == elf.EM_PPC64 {
		recordMcount(o, "_mcount", 0, uint32(elf.R_PPC64_ADDR64))
	}
	return o
}

// oldMcountLoc adds the table of entries as scripts of v4.19 do, recordmcount.c for powerpc and
// recordmcount.pl for s390: of functions in sections that they count alone.
func oldMcountLoc(t testing.TB, o *elfobj.File) {
	t.Helper()
	counted := func(sec elfobj.SecID) bool { return sec > 0 && o.Sections[sec].Name == ".init.text" }
	if o.Machine == elf.EM_PPC64 {
		others := map[int][]elfobj.Reloc{}
		for i := range o.Sections {
			if !counted(elfobj.SecID(i)) {
				others[i], o.Sections[i].Relocs = o.Sections[i].Relocs, nil
			}
		}
		recordMcount(o, "_mcount", 0, uint32(elf.R_PPC64_ADDR64))
		for i, relocs := range others {
			o.Sections[i].Relocs = relocs
		}
		return
	}
	var relocs []elfobj.Reloc
	for i := range o.Symbols {
		sym := &o.Symbols[i]
		if sym.Type == elf.STT_FUNC && counted(sym.Sec) &&
			bytes.HasPrefix(o.Sections[sym.Sec].Data[sym.Value:], []byte{0xc0, 0x04, 0, 0, 0, 0}) {
			relocs = append(relocs, elfobj.Reloc{Off: uint64(8 * len(relocs)), Type: uint32(elf.R_390_64), Sym: elfobj.SymID(i)})
		}
	}
	if len(relocs) == 0 {
		t.Fatal("no function with a no-op in .init.text")
	}
	size := uint64(8 * len(relocs))
	o.Sections = append(o.Sections, elfobj.Section{Name: "__mcount_loc", Type: elf.SHT_PROGBITS, Flags: elf.SHF_ALLOC, Align: 8,
		Size: size, Data: make([]byte, size), Relocs: relocs})
}

func (f fixture) diffCross(t testing.TB) *Result {
	t.Helper()
	r, err := Diff(f.readCross(t, "before"), f.readCross(t, "after"))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestCross compares the cases of other architectures and cuts them, with the
// expectations of TestFixtures and TestExtractFixtures.
func TestCross(t *testing.T) {
	for _, f := range crossFixtures(t) {
		t.Run(filepath.Base(f.name)+"/"+f.compiler.name, func(t *testing.T) {
			t.Parallel()
			for _, side := range []string{"before", "after"} {
				self, err := Diff(f.readCross(t, side), f.readCross(t, side))
				if err != nil {
					t.Fatal(err)
				}
				wantDescription(t, []string{"nothing"}, describe(self))
			}
			r := f.diffCross(t)
			wantDescription(t, f.directives(t, "want"), describe(r))
			if t.Failed() {
				for _, ch := range slices.Concat(r.Functions, r.Data) {
					t.Logf("%s %s in %s: %s", ch.Kind, ch.Name, ch.Section, strings.Join(ch.Reasons, "; "))
				}
			}
			x, err := f.extract(t, r)
			for _, d := range f.directives(t, "extract") {
				w := strings.Fields(d)
				if w[0] == "fails" {
					var p *finding.Finding
					if !errors.As(err, &p) || string(p.ID) != w[1] || p.Remedy == "" {
						t.Fatalf("error %v, want %s with a remedy", err, w[1])
					}
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				wantDirective(t, x, w)
			}
			if err != nil {
				t.Fatal(err)
			}
			checkExtracted(t, r, x)
		})
	}
}

// TestCrossRefuses shows what is refused by name: an unknown relocation type, a
// byte order, an architecture.
func TestCrossRefuses(t *testing.T) {
	fresh := func() *elfobj.File {
		return fixture{crossCase("one-line"), crossCompilers[0]}.readCross(t, "before")
	}
	odd := fresh()
	for i := range odd.Sections {
		for k := range odd.Sections[i].Relocs {
			odd.Sections[i].Relocs[k].Type = uint32(elf.R_AARCH64_ADR_GOT_PAGE)
		}
	}
	var p *finding.Finding
	if _, err := Diff(odd, fresh()); !errors.As(err, &p) || p.ID != "KLP112" || !strings.Contains(p.Message, "R_AARCH64_ADR_GOT_PAGE") || p.Remedy == "" {
		t.Errorf("unknown relocation type: %v", err)
	}
	big := fresh()
	big.BigEndian = true
	if _, err := Load(big); err == nil || !strings.Contains(err.Error(), "big-endian") {
		t.Errorf("big-endian arm64: %v", err)
	}
	riscv := fresh()
	riscv.Machine = elf.EM_RISCV
	if _, err := Load(riscv); err == nil || !strings.Contains(err.Error(), "EM_RISCV") {
		t.Errorf("riscv: %v", err)
	}
}

// crossTable is the part of docs/differ-matrix.md on other architectures.
func crossTable(t *testing.T) string {
	var b strings.Builder
	b.WriteString("\n## Other architectures\n\n`klpforge diff` and the cutting of what a livepatch needs work on their objects; `klpforge build` is for x86-64 and arm64.\n*not there*: the architecture has no such construct.\n\n| condition |")
	for _, c := range crossCompilers {
		fmt.Fprintf(&b, " %s, %s |", c.name, c.version)
	}
	b.WriteString(" fixture |\n| --- |" + strings.Repeat(" --- |", len(crossCompilers)) + " --- |\n")
	have := crossFixtures(t)
	data, err := os.ReadFile("testdata/cross/conditions.txt")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		name, text, ok := strings.Cut(strings.TrimSpace(line), ": ")
		if !ok || name[0] == '#' {
			continue
		}
		fmt.Fprintf(&b, "| %s |", text)
		for _, c := range crossCompilers {
			f := fixture{crossCase(name), c}
			if i := slices.Index(have, f); i >= 0 {
				have = slices.Delete(have, i, i+1)
				fmt.Fprintf(&b, " %s |", becomesOf(t, f, f.diffCross(t)))
				continue
			}
			b.WriteString(" not there |")
		}
		fmt.Fprintf(&b, " %s |\n", name)
	}
	for _, f := range have {
		t.Errorf("%s is not in testdata/cross/conditions.txt", f)
	}
	return b.String()
}
