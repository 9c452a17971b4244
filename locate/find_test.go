package locate

import (
	"bytes"
	"cmp"
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/klpforge/klpforge/elfdiff"
	"github.com/klpforge/klpforge/elfobj"
)

// linked is a View of a linked executable.
type linked struct {
	sections []linkedSection
	syms     []Symbol // by address
	hidden   map[string]bool
}

type linkedSection struct {
	addr uint64
	data []byte
}

var _ View = (*linked)(nil)

func shipped(t testing.TB) *linked { return linkedFile(t, "shipped.elf") }

func linkedFile(t testing.TB, name string) *linked {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	f, err := elf.NewFile(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	v := &linked{hidden: map[string]bool{}}
	for _, s := range f.Sections {
		if s.Flags&elf.SHF_ALLOC == 0 {
			continue
		}
		b := make([]byte, s.Size)
		if s.Type != elf.SHT_NOBITS {
			if b, err = s.Data(); err != nil {
				t.Fatal(err)
			}
		}
		v.sections = append(v.sections, linkedSection{s.Addr, b})
	}
	syms, err := f.Symbols()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range syms {
		if typ := elf.ST_TYPE(s.Info); s.Name != "" && (typ == elf.STT_FUNC || typ == elf.STT_OBJECT) {
			v.syms = append(v.syms, Symbol{Name: s.Name, Addr: s.Value, Global: elf.ST_BIND(s.Info) != elf.STB_LOCAL, Stable: true})
		}
	}
	slices.SortStableFunc(v.syms, func(a, b Symbol) int { return cmp.Compare(a.Addr, b.Addr) })
	for i := range v.syms {
		for k := range v.syms {
			if v.syms[k].Name == v.syms[i].Name {
				v.syms[i].Count++
				if k <= i {
					v.syms[i].Pos++
				}
			}
		}
	}
	return v
}

func (v *linked) Object() string { return "vmlinux" }

func (v *linked) Read(addr uint64, n int) []byte {
	for _, s := range v.sections {
		if addr >= s.addr && addr-s.addr < uint64(len(s.data)) && uint64(n) <= uint64(len(s.data))-(addr-s.addr) {
			return s.data[addr-s.addr:][:n]
		}
	}
	return nil
}

func (v *linked) Lookup(name string) []Symbol {
	var out []Symbol
	for _, s := range v.syms {
		if s.Name == name && !v.hidden[name] {
			out = append(out, s)
		}
	}
	return out
}

func (v *linked) At(addr uint64) []Symbol {
	var out []Symbol
	for _, s := range v.syms {
		if s.Addr == addr && !v.hidden[s.Name] {
			out = append(out, s)
		}
	}
	return out
}

func (v *linked) Outside(string) (uint64, bool) { return 0, false }

func load(t testing.TB, name string) *elfdiff.Object {
	t.Helper()
	f, err := elfobj.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	o, err := elfdiff.Load(f)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func atom(t testing.TB, o *elfdiff.Object, name string) elfdiff.AtomID {
	t.Helper()
	for i := range o.Atoms {
		if n := o.Atoms[i].Name; n == name || strings.HasPrefix(n, name+".") {
			return elfdiff.AtomID(i)
		}
	}
	t.Fatalf("no symbol %s", name)
	return -1
}

// addrOf is the address of the only symbol of a name between helper and
// compare, the code of the unit, or of the only one at all.
func addrOf(t testing.TB, v *linked, name string) uint64 {
	t.Helper()
	list := v.Lookup(name)
	if len(list) == 1 {
		return list[0].Addr
	}
	lo, hi := v.Lookup("alone")[0].Addr, v.Lookup("alone")[1].Addr
	for _, s := range list {
		if s.Addr > lo && s.Addr < hi {
			return s.Addr
		}
	}
	t.Fatalf("no %s in the unit", name)
	return 0
}

var unitFunctions = []string{"helper", "twin", "twin_by_data", "tail", "other", "odd", "compare"}

// TestFind places every function of an object in a link of the same source
// compiled without -ffunction-sections, where jumps are shorter.
func TestFind(t *testing.T) {
	v, o := shipped(t), load(t, "unit.o")
	p := Find(o, v)
	for a, why := range p.Miss {
		t.Errorf("%s is missing: %s", o.Atoms[a].Name, why)
	}
	shorter := 0
	for _, name := range unitFunctions {
		a := atom(t, o, name)
		pl := p.Funcs[a]
		if want := addrOf(t, v, name); pl.Addr != want || p.Addr[a] != want {
			t.Errorf("%s: at %#x (%#x), want %#x", name, pl.Addr, p.Addr[a], want)
		}
		if pl.Size == 0 || pl.Size > o.Atoms[a].Size {
			t.Errorf("%s: %d bytes of shipped code for %d", name, pl.Size, o.Atoms[a].Size)
		}
		if pl.Size < o.Atoms[a].Size {
			shorter++
		}
	}
	if shorter == 0 {
		t.Error("no function is shorter in the link: the fixture does not test short jumps")
	}
	if pos := p.Funcs[atom(t, o, "twin")].Sympos(); pos != 2 {
		t.Errorf("twin has position %d, want 2", pos)
	}
	if pos := p.Funcs[atom(t, o, "tail")].Sympos(); pos != 0 {
		t.Errorf("tail has position %d, want 0 for a unique name", pos)
	}
	// What the code refers to.
	for name, symbol := range map[string]string{"state": "state", "shared": "shared", "table": "table", "calls": "calls.0"} {
		if got, want := p.Addr[atom(t, o, name)], addrOf(t, v, symbol); got != want {
			t.Errorf("%s: at %#x, want %#x", name, got, want)
		}
	}
}

// TestFindExternals gives addresses to what the object does not define, when
// the image does not name it.
func TestFindExternals(t *testing.T) {
	v, o := shipped(t), load(t, "unit.o")
	want := map[string]uint64{}
	for _, name := range []string{"work", "printk", "slow_path"} {
		want[name] = addrOf(t, v, name)
		v.hidden[name] = true
	}
	p := Find(o, v)
	for name, addr := range want {
		if p.Ext[name] != addr {
			t.Errorf("%s: at %#x, want %#x", name, p.Ext[name], addr)
		}
	}
}

// TestOneByteDiffers changes each byte of the shipped code in turn. Never may
// the function still match, but in the call to the tracer and in what only
// names an address that nothing else confirms.
func TestOneByteDiffers(t *testing.T) {
	v, o := shipped(t), load(t, "unit.o")
	good := Find(o, v)
	for _, name := range unitFunctions {
		a := atom(t, o, name)
		pl := good.Funcs[a]
		code := v.Read(pl.Addr, int(pl.Size))
		free := freeFields(t, o, a, code)
		for i := range code {
			if free[i] {
				continue
			}
			code[i] ^= 0x10
			if _, ev, why := match(o, v, a, pl.Addr); why == "" {
				t.Errorf("%s: byte +%#x differs and the function still matches: %+v", name, i, ev)
			}
			code[i] ^= 0x10
		}
	}
}

// freeFields marks the bytes of shipped code that hold the address of data or
// the call to the tracer.
func freeFields(t *testing.T, o *elfdiff.Object, a elfdiff.AtomID, code []byte) map[int]bool {
	t.Helper()
	free := map[int]bool{0: true, 1: true, 2: true, 3: true, 4: true} // call __fentry__
	// Positions in the two streams differ by shortened jumps; walk both.
	refs := o.References(a)
	own := o.Code(a)
	i, j := 0, 0
	for i < len(own) && j < len(code) {
		x, err := o.Arch.Decode(own[i:])
		y, err2 := o.Arch.Decode(code[j:])
		if err != nil || err2 != nil {
			x.Len, y.Len = 1, 1
		}
		for _, r := range refs {
			if int(r.Off) >= i && int(r.Off) < i+x.Len && r.Target.Kind == elfdiff.TargetAtom && !o.IsCode(r.Target.Atom) {
				for k := range r.Width {
					free[j+int(r.Off)-i+k] = true
				}
			}
		}
		i, j = i+x.Len, j+y.Len
	}
	return free
}

// TestConflict: two functions that give one variable different addresses
// cannot both be right.
func TestConflict(t *testing.T) {
	v, o := shipped(t), load(t, "unit.o")
	good := Find(o, v)
	pl := good.Funcs[atom(t, o, "tail")]
	code := v.Read(pl.Addr, int(pl.Size))
	i := bytes.Index(code, []byte{0x03, 0x1d}) // add state(%rip), %ebx
	if i < 0 {
		t.Fatal("fixture has no reference to state in tail")
	}
	code[i+2] += 8
	p := Find(o, v)
	a := atom(t, o, "state")
	_, known := p.Addr[a]
	_, missed := p.Miss[a]
	if known && !missed {
		t.Errorf("state is said to be at %#x, where one of two references does not lead", p.Addr[a])
	}
}

// TestMissing gives a reason for what cannot be placed.
func TestMissing(t *testing.T) {
	v, o := shipped(t), load(t, "unit.o")
	v.hidden["tail"] = true
	other := Find(o, v).Funcs[atom(t, o, "other")]
	v.Read(other.Addr, 16)[9] ^= 1
	p := Find(o, v)
	for name, want := range map[string]string{"tail": "no symbol", "other": "differs"} {
		if why := p.Miss[atom(t, o, name)]; !strings.Contains(why, want) {
			t.Errorf("%s: %q does not say %q", name, why, want)
		}
	}
	if _, ok := p.Funcs[atom(t, o, "helper")]; !ok {
		t.Errorf("helper was lost too: %s", p.Miss[atom(t, o, "helper")])
	}
}

// TestAmbiguous refuses to choose between two equal functions of one name when
// nothing else of the object is there.
func TestAmbiguous(t *testing.T) {
	v, o := shipped(t), load(t, "alone.o")
	p := Find(o, v)
	a := atom(t, o, "alone")
	if pl, ok := p.Funcs[a]; ok {
		t.Errorf("placed at %#x", pl.Addr)
	}
	if why := p.Miss[a]; !strings.Contains(why, "2 functions") {
		t.Errorf("reason %q", why)
	}
}

// TestTruncatedImage: an image that ends in the middle of the object loses
// only what is cut off.
func TestTruncatedImage(t *testing.T) {
	o := load(t, "unit.o")
	whole := shipped(t)
	n := len(whole.sections[0].data)
	for cut := 0; cut < n; cut += 5 {
		v := shipped(t)
		v.sections[0].data = v.sections[0].data[:cut]
		p := Find(o, v)
		for a, pl := range p.Funcs {
			if pl.Addr+pl.Size > v.sections[0].addr+uint64(cut) {
				t.Fatalf("cut at %#x: %s placed at %#x", cut, o.Atoms[a].Name, pl.Addr)
			}
		}
		if n := missing(o, p); len(p.Funcs)+n != len(unitFunctions) {
			t.Fatalf("cut at %#x: %d functions placed, %d missing", cut, len(p.Funcs), n)
		}
	}
}

// missing counts the functions that were not placed.
func missing(o *elfdiff.Object, p *Placement) int {
	n := 0
	for a := range p.Miss {
		if o.IsCode(a) {
			n++
		}
	}
	return n
}

// TestForeignCopy: when the object's own function differs and one namesake has
// the code that was looked for, that is still another object's function.
func TestForeignCopy(t *testing.T) {
	v, o := shipped(t), load(t, "unit.o")
	for _, name := range []string{"twin", "twin_by_data"} {
		list := v.Lookup(name)
		for i := range 2 { // all but the last
			v.Read(list[i].Addr, 16)[8] ^= 1
		}
		a := atom(t, o, name)
		p := Find(o, v)
		if pl, ok := p.Funcs[a]; ok {
			t.Errorf("%s placed at %#x, in another object", name, pl.Addr)
		}
		if p.Miss[a] == "" {
			t.Errorf("%s: no reason", name)
		}
	}
}

func TestFindDeterministic(t *testing.T) {
	v, o := shipped(t), load(t, "unit.o")
	first := Find(o, v)
	for range 20 {
		p := Find(o, v)
		if len(p.Funcs) != len(first.Funcs) || len(p.Addr) != len(first.Addr) {
			t.Fatal("result differs between runs")
		}
		for a, pl := range first.Funcs {
			if p.Funcs[a] != pl || p.Addr[a] != first.Addr[a] {
				t.Fatalf("%s differs between runs", o.Atoms[a].Name)
			}
		}
	}
}

// FuzzMatch damages the shipped code: no damage may make the matcher panic.
func FuzzMatch(f *testing.F) {
	f.Add(uint16(3), byte(1), uint16(40), byte(0xff))
	o := load(f, "unit.o")
	f.Fuzz(func(t *testing.T, off1 uint16, x1 byte, off2 uint16, x2 byte) {
		v := shipped(t)
		text := v.sections[0].data
		text[int(off1)%len(text)] ^= x1
		text[int(off2)%len(text)] ^= x2
		p := Find(o, v)
		if n := missing(o, p); len(p.Funcs)+n != len(unitFunctions) {
			t.Fatalf("%d functions placed, %d missing", len(p.Funcs), n)
		}
	})
}

func BenchmarkFind(b *testing.B) {
	v, o := shipped(b), load(b, "unit.o")
	b.ReportAllocs()
	for b.Loop() {
		Find(o, v)
	}
}

//go:generate testdata/regen.sh

// TestFixturesFresh makes the fixtures again, where the compiler is the one
// that made them: they must be the same.
func TestFixturesFresh(t *testing.T) {
	out, err := exec.Command("gcc", "-dumpfullversion").Output()
	if v := strings.TrimSpace(string(out)); err != nil || v != "12.2.0" {
		t.Skipf("the fixtures are made by gcc 12.2.0, here is %q (%v)", v, err)
	}
	checkFresh(t, "testdata/regen.sh", "unit.o", "alone.o", "shipped.elf")
}

// checkFresh makes fixtures again by their script: they must be the same.
func checkFresh(t *testing.T, script string, names ...string) {
	t.Helper()
	dir := t.TempDir()
	cmd := exec.Command(script)
	cmd.Env = append(os.Environ(), "OUT="+dir)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", script, err, out)
	}
	for _, name := range names {
		want, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(filepath.Join("testdata", name)); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s is stale: run %s (error %v)", name, script, err)
		}
	}
}
