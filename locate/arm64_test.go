package locate

import (
	"bytes"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/klpforge/klpforge/elfdiff"
	"github.com/klpforge/klpforge/kernel/kmod"
)

var arm64Functions = []string{"helper", "caller", "tail", "loop"}

// TestFindArm64: functions are found in code of arm64, where addresses take two instructions, and
// what they refer to has the addresses that the linker gave it.
func TestFindArm64(t *testing.T) {
	v, o := linkedFile(t, "arm64.elf"), load(t, "arm64.o")
	p := Find(o, v)
	for _, name := range arm64Functions {
		a := atom(t, o, name)
		if want := v.Lookup(name)[0].Addr; p.Funcs[a].Addr != want {
			t.Errorf("%s: at %#x, want %#x: %s", name, p.Funcs[a].Addr, want, p.Miss[a])
		}
	}
	// The loop is aligned by a nop, in the link alone.
	if a := atom(t, o, "loop"); p.Funcs[a].Size != o.Atoms[a].Size+4 {
		t.Errorf("loop: %d bytes of shipped code for %d", p.Funcs[a].Size, o.Atoms[a].Size)
	}
	for _, name := range []string{"state", "shared"} {
		if got, want := p.Addr[atom(t, o, name)], v.Lookup(name)[0].Addr; got != want {
			t.Errorf("%s: at %#x, want %#x", name, got, want)
		}
	}
	for _, name := range []string{"printk", "outside", "counter"} {
		if got, want := p.Ext[name], v.Lookup(name)[0].Addr; got != want {
			t.Errorf("%s: at %#x, want %#x", name, got, want)
		}
	}
}

// TestArm64OneBitDiffers changes each bit of the shipped code in turn. Never may the function still
// match, but in the fields of what only names the address of data, and where only a nop is added to the way.
func TestArm64OneBitDiffers(t *testing.T) {
	v, o := linkedFile(t, "arm64.elf"), load(t, "arm64.o")
	for _, name := range arm64Functions {
		a := atom(t, o, name)
		addr := v.Lookup(name)[0].Addr
		code := v.Read(addr, int(o.Atoms[a].Size))
		free := bytes.Repeat([]byte{0}, len(code))
		for _, ref := range o.References(a) {
			if ref.Target.Kind == elfdiff.TargetAtom && !o.IsCode(ref.Target.Atom) {
				field := bytes.Repeat([]byte{0xff}, ref.Width)
				o.Arch.Clear(field, ref.Type)
				for i, kept := range field {
					free[ref.Off+uint64(i)] |= ^kept
				}
			}
		}
		if name == "loop" {
			free[0x50] |= 1 << 5 // the branch to the loop: to the nop before it, or behind
		}
		for bit := range 8 * len(code) {
			if free[bit/8]>>(bit%8)&1 != 0 {
				continue
			}
			code[bit/8] ^= 1 << (bit % 8)
			if _, _, why := match(o, v, a, addr); why == "" {
				t.Errorf("%s: bit %d of +%#x differs and the function still matches", name, bit%8, bit/8)
			}
			code[bit/8] ^= 1 << (bit % 8)
		}
	}
}

// TestHalvesContradict: the two instructions that name a variable for reading and for writing it must
// name the same one.
func TestHalvesContradict(t *testing.T) {
	v, o := linkedFile(t, "arm64.elf"), load(t, "arm64.o")
	a, addr := atom(t, o, "helper"), v.Lookup("helper")[0].Addr
	code := v.Read(addr, int(o.Atoms[a].Size))
	var loads []uint64
	for _, ref := range o.References(a) {
		if ref.Target.Kind == elfdiff.TargetAtom && !ref.PCRel {
			loads = append(loads, ref.Off)
		}
	}
	if len(loads) != 2 {
		t.Fatalf("%d places of the variable, want 2", len(loads))
	}
	code[loads[1]+1] ^= 0x04 // the lowest bit of the offset
	defer func() { code[loads[1]+1] ^= 0x04 }()
	if _, _, why := match(o, v, a, addr); !strings.Contains(why, "go to two") {
		t.Errorf("two variables for one: %q", why)
	}
}

// TestHalfAlone: an address of which the code has the page alone cannot be judged.
func TestHalfAlone(t *testing.T) {
	v, o := linkedFile(t, "arm64.elf"), load(t, "arm64.o")
	a, addr := atom(t, o, "tail"), v.Lookup("tail")[0].Addr
	m, why := newMatcher(o, v, a, addr)
	if why != "" {
		t.Fatal(why)
	}
	refs := slices.DeleteFunc(slices.Clone(m.refs), func(r elfdiff.Reference) bool { return r.Target.Name == "counter" && !r.PCRel })
	if len(refs) == len(m.refs) {
		t.Fatal("no place of the variable in its page")
	}
	m.refs = refs
	m.code = slices.Clone(m.code)
	for _, ref := range o.References(a) {
		if ref.Target.Name == "counter" && !ref.PCRel {
			copy(m.code[ref.Off:], m.ship[ref.Off:ref.Off+4])
		}
	}
	if why := m.walk(); !strings.Contains(why, "only a part of the address") {
		t.Errorf("a page alone: %q", why)
	}
}

// TestFindWhole: functions that reach several variables over one address are found by the object as the
// kernel's build makes it, and so are the variables.
func TestFindWhole(t *testing.T) {
	v, o, whole := linkedFile(t, "arm64.elf"), load(t, "arm64.o"), load(t, "arm64-whole.o")
	anchored := []string{"anchored", "counting", "summing"}
	if p := Find(o, v); p.Miss[atom(t, o, "anchored")] == "" {
		t.Fatal("the fixture has no function that reaches variables over one address")
	}
	p := FindWhole(o, whole, v)
	if len(p.Miss) > 0 || len(p.Twins) > 0 {
		t.Errorf("missing: %v, twins: %v", p.Miss, p.Twins)
	}
	for _, name := range slices.Concat(arm64Functions, anchored) {
		if got, want := p.Funcs[atom(t, o, name)].Addr, v.Lookup(name)[0].Addr; got != want {
			t.Errorf("%s: at %#x, want %#x", name, got, want)
		}
	}
	variables := 0
	for i := range o.Atoms {
		if at := &o.Atoms[i]; !o.IsCode(elfdiff.AtomID(i)) && len(v.Lookup(at.Name)) == 1 {
			variables++
			if got, want := p.Addr[elfdiff.AtomID(i)], v.Lookup(at.Name)[0].Addr; got != want {
				t.Errorf("%s: at %#x, want %#x", at.Name, got, want)
			}
		}
	}
	if variables != 9 {
		t.Errorf("%d variables, want 9", variables)
	}
	for _, name := range []string{"printk", "outside", "counter"} {
		if got, want := p.Ext[name], v.Lookup(name)[0].Addr; got != want {
			t.Errorf("%s: at %#x, want %#x", name, got, want)
		}
	}
}

// TestFindWholeOtherCode: a bit of the shipped code that differs is a function that is not found.
func TestFindWholeOtherCode(t *testing.T) {
	v, o, whole := linkedFile(t, "arm64.elf"), load(t, "arm64.o"), load(t, "arm64-whole.o")
	code := v.Read(v.Lookup("anchored")[0].Addr, 64)
	code[len(code)-41] ^= 1
	p := FindWhole(o, whole, v)
	if a := atom(t, o, "anchored"); !strings.Contains(p.Miss[a], "differs from the shipped one") || p.Funcs[a] != (Place{}) {
		t.Errorf("found at %#x: %q", p.Funcs[a].Addr, p.Miss[a])
	}
	if a := atom(t, o, "counting"); p.Funcs[a] == (Place{}) {
		t.Errorf("counting: %s", p.Miss[a])
	}
}

// TestFindWholeMoved: a variable that the target has elsewhere than its distance from another in its
// section says is missing, and so is one that is at two places; a name that two have says nothing.
func TestFindWholeMoved(t *testing.T) {
	v, o, whole := linkedFile(t, "arm64.elf"), load(t, "arm64.o"), load(t, "arm64-whole.o")
	for i := range v.syms {
		if v.syms[i].Name == "second" {
			v.syms[i].Addr += 4
		}
	}
	p := FindWhole(o, whole, v)
	if a := atom(t, o, "second"); !strings.Contains(p.Miss[a], "where the target has") || p.Addr[a] != 0 {
		t.Errorf("a variable that moved: at %#x, %q", p.Addr[a], p.Miss[a])
	}
	for i := range whole.File.Symbols {
		if whole.File.Symbols[i].Name == "counting" {
			whole.File.Symbols[i].Name = "summing"
		}
	}
	p = FindWhole(o, whole, linkedFile(t, "arm64.elf"))
	for name, want := range map[string]string{"summing": "the source has several", "counting": "makes none of this name"} {
		if a := atom(t, o, name); !strings.Contains(p.Miss[a], want) || p.Funcs[a] != (Place{}) {
			t.Errorf("%s: %q, found at %#x", name, p.Miss[a], p.Funcs[a].Addr)
		}
	}
}

// TestArm64Module: a module is laid out so that its calls reach all that is outside of it.
func TestArm64Module(t *testing.T) {
	m, err := kmod.Read(filepath.Join("testdata", "arm64.o"))
	if err != nil {
		t.Fatal(err)
	}
	v, err := NewModuleView(m)
	if err != nil {
		t.Fatal(err)
	}
	o := load(t, "arm64.o")
	p := Find(o, v)
	for _, name := range append(slices.Clone(arm64Functions), "anchored") {
		if a := atom(t, o, name); p.Funcs[a].Addr == 0 || p.Funcs[a].Addr != v.Lookup(name)[0].Addr {
			t.Errorf("%s: at %#x: %s", name, p.Funcs[a].Addr, p.Miss[a])
		}
	}
}
