package elfdiff

import (
	"bytes"
	"debug/elf"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/klpforge/klpforge/elfobj"
	"github.com/klpforge/klpforge/finding"
)

//go:generate testdata/regen.sh

// compiler made one kind of the committed objects.
type compiler struct {
	name, version string
	command       string
	suffix        string // of the object's name, before .o
}

var compilers = []compiler{{"gcc", "12.2.0", "gcc", ""}, {"clang", "14.0.6", "clang-14", ".clang"}}

// fixture is one case as one compiler makes it.
type fixture struct {
	name string
	compiler
}

func (f fixture) String() string { return f.name + "/" + f.compiler.name }

// caseNames lists the directories of testdata/fixtures, at the top.
func caseNames(t testing.TB) []string {
	t.Helper()
	dirs, err := os.ReadDir("../testdata/fixtures")
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, d := range dirs {
		out = append(out, d.Name())
	}
	return out
}

// fixtures lists all cases with each compiler that makes them.
func fixtures(t testing.TB) []fixture {
	t.Helper()
	var out []fixture
	for _, name := range caseNames(t) {
		for _, c := range compilers {
			if c.name != "gcc" && len(sourceLines(t, name, "gcc only")) > 0 {
				continue
			}
			out = append(out, fixture{name, c})
		}
	}
	return out
}

func casePath(name, file string) string {
	return filepath.Join("..", "testdata", "fixtures", name, file)
}

func (f fixture) path(side string) string { return casePath(f.name, side+f.suffix+".o") }

// read returns one side of the fixture as it comes to klpforge.
func (f fixture) read(t testing.TB, side string) *elfobj.File {
	t.Helper()
	o := readObject(t, f.path(side))
	if f.compiler.name == "clang" {
		recordMcount(o, "__fentry__", 1, uint32(elf.R_X86_64_64))
	}
	if len(sourceLines(t, f.name, "recordmcount")) > 0 {
		oldRecordmcount(t, o)
	}
	for _, n := range sourceLines(t, f.name, "sections") {
		count, err := strconv.Atoi(n)
		if err != nil {
			t.Fatal(err)
		}
		o = manySections(t, o, count)
	}
	return o
}

func (f fixture) diff(t testing.TB) *Result {
	t.Helper()
	r, err := Diff(f.read(t, "before"), f.read(t, "after"))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// directives returns what follows "// <compiler> <key>: ", or without such
// lines "// <key>: ", in the lines of after.c.
func (f fixture) directives(t testing.TB, key string) []string {
	t.Helper()
	if own := sourceLines(t, f.name, f.compiler.name+" "+key); len(own) > 0 {
		return own
	}
	return sourceLines(t, f.name, key)
}

// recordMcount adds what objtool --mcount and recordmcount make of the calls to
// fentry for a compiler that has no -mrecord-mcount. The relocation of a call
// lies back bytes behind its start; typ is that of an absolute address.
func recordMcount(o *elfobj.File, fentry string, back uint64, typ uint32) {
	var relocs []elfobj.Reloc
	n := uint64(0)
	for i := 1; i < len(o.Sections); i++ {
		for _, r := range o.Sections[i].Relocs {
			if o.Symbols[r.Sym].Name != fentry {
				continue
			}
			for k := range o.Symbols {
				if s := &o.Symbols[k]; s.Sec == elfobj.SecID(i) && s.Type == elf.STT_FUNC && r.Off-back-s.Value < max(s.Size, 1) {
					relocs = append(relocs, elfobj.Reloc{Off: 8 * n, Type: typ, Sym: elfobj.SymID(k), Addend: int64(r.Off - back - s.Value)})
					n++
					break
				}
			}
		}
	}
	if n > 0 {
		o.Sections = append(o.Sections, elfobj.Section{Name: "__mcount_loc", Type: elf.SHT_PROGBITS, Flags: elf.SHF_ALLOC, Align: 8,
			Size: 8 * n, Data: make([]byte, 8*n), Relocs: relocs})
	}
}

// oldRecordmcount does what scripts/recordmcount.c of v4.19 does: the calls to __fentry__
// in sections that it knows get into the table of entries, the others become no-ops.
func oldRecordmcount(t testing.TB, o *elfobj.File) {
	t.Helper()
	counted := []string{".text", ".init.text", ".ref.text", ".sched.text", ".spinlock.text", ".irqentry.text", ".softirqentry.text",
		".kprobes.text", ".cpuidle.text", ".text.unlikely"}
	for i := range o.Sections {
		s := &o.Sections[i]
		if s.Flags&elf.SHF_EXECINSTR == 0 || slices.Contains(counted, s.Name) {
			continue
		}
		for k := range s.Relocs {
			r := &s.Relocs[k]
			if o.Symbols[r.Sym].Name != "__fentry__" {
				continue
			}
			if s.Data[r.Off-1] != 0xe8 {
				t.Fatalf("%s+%#x is no call", s.Name, r.Off-1)
			}
			copy(s.Data[r.Off-1:], []byte{0x0f, 0x1f, 0x44, 0, 0})
			r.Type = uint32(elf.R_X86_64_NONE)
		}
	}
	var others []elfobj.Reloc // the table names none of those
	noops := map[elfobj.SecID][]elfobj.Reloc{}
	for i := range o.Sections {
		if s := &o.Sections[i]; s.Flags&elf.SHF_EXECINSTR != 0 && !slices.Contains(counted, s.Name) {
			noops[elfobj.SecID(i)], s.Relocs = s.Relocs, others
		}
	}
	recordMcount(o, "__fentry__", 1, uint32(elf.R_X86_64_64))
	for i, relocs := range noops {
		o.Sections[i].Relocs = relocs
	}
}

// manySections puts n sections in front of those of o, each with a variable, and
// has the result written and read.
func manySections(t testing.TB, o *elfobj.File, n int) *elfobj.File {
	t.Helper()
	front := make([]elfobj.Section, 1, n+len(o.Sections))
	syms := slices.Clone(o.Symbols)
	for i := range n {
		front = append(front, elfobj.Section{Name: fmt.Sprintf(".data.v%d", i), Type: elf.SHT_PROGBITS, Flags: elf.SHF_ALLOC | elf.SHF_WRITE, Align: 4, Size: 4, Data: make([]byte, 4)})
	}
	for i := range syms {
		if syms[i].Sec > 0 {
			syms[i].Sec += elfobj.SecID(n)
		}
	}
	for i := range n {
		syms = append(syms, elfobj.Symbol{Name: fmt.Sprintf("v%d", i), Bind: elf.STB_GLOBAL, Type: elf.STT_OBJECT, Sec: elfobj.SecID(1 + i), Size: 4})
	}
	big := *o
	big.Sections, big.Symbols = append(front, o.Sections[1:]...), syms
	raw, err := big.Write()
	if err != nil {
		t.Fatal(err)
	}
	f, err := elfobj.Read(raw)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func readObject(t testing.TB, path string) *elfobj.File {
	t.Helper()
	f, err := elfobj.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func elfArch(t testing.TB, f *elfobj.File) elfobj.Arch {
	t.Helper()
	a, err := elfobj.ArchOf(f.Machine)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// diffCase compares a case as gcc makes it.
func diffCase(t testing.TB, name string) *Result {
	t.Helper()
	return fixture{name, compilers[0]}.diff(t)
}

// sourceLines returns what follows "// <key>: " in the lines of after.c.
func sourceLines(t testing.TB, name, key string) []string {
	t.Helper()
	src, err := os.ReadFile(casePath(name, "after.c"))
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for line := range strings.Lines(string(src)) {
		if v, ok := strings.CutPrefix(line, "// "+key+": "); ok {
			out = append(out, strings.TrimSpace(v))
		}
	}
	return out
}

// describe lists a result in the words that fixtures use.
func describe(r *Result) []string {
	var out []string
	for _, ch := range r.Listed() {
		out = append(out, fmt.Sprintf("%s %s", ch.Kind, ch.Name))
	}
	for _, ch := range r.Lines {
		out = append(out, "lines "+ch.Name)
	}
	for _, ch := range r.Data {
		out = append(out, fmt.Sprintf("data %s %s", ch.Kind, ch.Name))
	}
	for _, p := range r.Problems {
		name := p.Symbol
		if name == "" {
			name = p.Section
		}
		out = append(out, strings.TrimSpace(fmt.Sprintf("%s %s %s", p.ID, p.Severity, name)))
	}
	if len(out) == 0 {
		out = append(out, "nothing")
	}
	return out
}

// TestFixtures compares every case with the lines "// want: …" of its after.c.
// A name may be a pattern, because the compiler numbers static locals.
func TestFixtures(t *testing.T) {
	for _, f := range fixtures(t) {
		t.Run(f.String(), func(t *testing.T) {
			t.Parallel()
			r := f.diff(t)
			wantDescription(t, f.directives(t, "want"), describe(r))
			if t.Failed() {
				for _, ch := range slices.Concat(r.Functions, r.Data) {
					t.Logf("%s %s in %s: %s", ch.Kind, ch.Name, ch.Section, strings.Join(ch.Reasons, "; "))
				}
				for _, p := range r.Problems {
					t.Logf("%s %s %s: %s", p.ID, p.Severity, p.Symbol, p.Message)
				}
			}
			for i, p := range r.Problems {
				if i == 0 {
					continue
				}
				if last := r.Problems[i-1]; last.Severity < p.Severity || last.Severity == p.Severity && (last.ID > p.ID || last.ID == p.ID && last.Symbol > p.Symbol) {
					t.Errorf("%s %s of %s stands behind %s %s of %s", p.ID, p.Severity, p.Symbol, last.ID, last.Severity, last.Symbol)
				}
			}
			for _, p := range r.Problems {
				if p.Severity == finding.Error && (p.Remedy == "" || p.Message == "") {
					t.Errorf("%s on %s has no message or no remedy: %q, %q", p.ID, p.Symbol, p.Message, p.Remedy)
				}
			}
			for _, ch := range slices.Concat(r.Functions, r.Data) {
				if ch.Kind == Changed && len(ch.Reasons) == 0 {
					t.Errorf("%s changed without a reason", ch.Name)
				}
			}
		})
	}
}

func wantDescription(t *testing.T, want, got []string) {
	t.Helper()
	if len(want) == 0 {
		t.Fatal("the case has no // want: line")
	}
	var missing []string
	for _, w := range want {
		i := slices.IndexFunc(got, func(g string) bool { ok, err := path.Match(w, g); return ok && err == nil })
		if i < 0 {
			missing = append(missing, w)
			continue
		}
		got = slices.Delete(got, i, i+1)
	}
	slices.Sort(got)
	slices.Sort(missing)
	if len(missing) > 0 || len(got) > 0 {
		t.Errorf("(-want +got)\n%s", cmp.Diff(missing, got))
	}
}

// TestFixtureReverse swaps the sides: the same functions differ, and what was
// new is removed.
func TestFixtureReverse(t *testing.T) {
	kinds := map[ChangeKind]ChangeKind{Changed: Changed, New: Removed, Removed: New}
	list := func(r *Result, flip bool) []string {
		var out []string
		for _, ch := range r.Functions {
			name, kind := ch.Name, ch.Kind
			if ch.Orig >= 0 && ch.Patched >= 0 {
				base, _ := stem(name)
				name = base
			}
			if flip {
				kind = kinds[kind]
			}
			out = append(out, fmt.Sprintf("%s %s", kind, name))
		}
		slices.Sort(out)
		return out
	}
	for _, f := range fixtures(t) {
		if f.name == "init-to-runtime" || f.name == "runtime-to-init" {
			continue // what comes from boot memory is new, what goes there is changed
		}
		if strings.HasPrefix(f.name, "kpatch-ignore-") {
			continue // only the patched side can ask for it
		}
		t.Run(f.String(), func(t *testing.T) {
			t.Parallel()
			before, after := f.read(t, "before"), f.read(t, "after")
			there, err := Diff(before, after)
			if err != nil {
				t.Fatal(err)
			}
			back, err := Diff(after, before)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(list(there, false), list(back, true)); d != "" {
				t.Errorf("functions (-there +back)\n%s", d)
			}
		})
	}
}

// wantEmpty is the property that an object does not differ from itself.
func wantEmpty(t *testing.T, path string) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	a, err := elfobj.Read(data)
	if err != nil {
		t.Fatal(err)
	}
	b, err := elfobj.Read(bytes.Clone(data))
	if err != nil {
		t.Fatal(err)
	}
	r, err := Diff(a, b)
	if err != nil {
		t.Fatal(err)
	}
	if got := describe(r); len(got) != 1 || got[0] != "nothing" {
		t.Errorf("an object differs from itself:\n%s", strings.Join(got, "\n"))
	}
}

func TestSelfDiff(t *testing.T) {
	for _, f := range fixtures(t) {
		for _, side := range []string{"before", "after"} {
			if side == "after" && (strings.HasPrefix(f.name, "kpatch-ignore-") || f.name == "kpatch-callback-extern") {
				continue // macros are judged by the patched side alone
			}
			t.Run(f.String()+"/"+side, func(t *testing.T) {
				t.Parallel()
				wantEmpty(t, f.path(side))
			})
		}
	}
}

// realPairs lists pairs of kernel objects, <name>.orig.o and <name>.patched.o.
func realPairs(t testing.TB) []string {
	t.Helper()
	dir := os.Getenv("KLPFORGE_E2E_CACHE")
	if dir == "" {
		t.Skip("KLPFORGE_E2E_CACHE is not set: no real kernel objects")
	}
	list, err := filepath.Glob(filepath.Join(dir, "pairs", "*.orig.o"))
	if err != nil || len(list) == 0 {
		t.Skipf("no objects in %s/pairs", dir)
	}
	for i := range list {
		list[i] = strings.TrimSuffix(list[i], ".orig.o")
	}
	return list
}

func TestSelfDiffReal(t *testing.T) {
	for _, p := range realPairs(t) {
		for _, side := range []string{".orig.o", ".patched.o"} {
			t.Run(filepath.Base(p)+side, func(t *testing.T) {
				t.Parallel()
				wantEmpty(t, p+side)
			})
		}
	}
}

// TestFixturesFresh compiles the sources again: the committed objects must be
// what these compilers make of them. It takes every tenth case, and all with
// KLPFORGE_FIXTURES=all.
func TestFixturesFresh(t *testing.T) {
	for _, c := range compilers {
		t.Run(c.name, func(t *testing.T) {
			out, err := exec.Command(c.command, "-dumpversion").Output()
			if err != nil {
				t.Skipf("%s is not installed: %v", c.command, err)
			}
			if v := strings.TrimSpace(string(out)); v != c.version && v != strings.SplitN(c.version, ".", 2)[0] {
				t.Skipf("%s is %s, the fixtures are made by %s", c.command, v, c.version)
			}
			var some []fixture
			for _, f := range fixtures(t) {
				if f.compiler == c {
					some = append(some, f)
				}
			}
			names := []string{}
			for i, f := range some {
				if i%10 == 0 || os.Getenv("KLPFORGE_FIXTURES") == "all" {
					names = append(names, f.name)
				}
			}
			dir := t.TempDir()
			cmd := exec.Command("testdata/regen.sh", names...)
			cmd.Env = append(os.Environ(), "OUT="+dir, "CC="+c.command)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("regen.sh: %v\n%s", err, out)
			}
			for _, name := range names {
				for _, side := range []string{"before", "after"} {
					f := fixture{name, c}
					want, err := os.ReadFile(filepath.Join(dir, name, side+c.suffix+".o"))
					if err != nil {
						t.Fatal(err)
					}
					if got, err := os.ReadFile(f.path(side)); err != nil || !bytes.Equal(want, got) {
						t.Errorf("%s is stale: run elfdiff/testdata/regen.sh %s (error %v)", f.path(side), name, err)
					}
				}
			}
		})
	}
}
