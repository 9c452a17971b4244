package locate

import (
	stdcmp "cmp"
	"debug/elf"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/klpforge/klpforge/elfdiff"
	"github.com/klpforge/klpforge/elfobj"
	"github.com/klpforge/klpforge/kernel/kimage"
	"github.com/klpforge/klpforge/kernel/kmod"
)

// assembled keeps what was assembled, by its text: many tests use the same functions.
var assembled sync.Map

// assemble makes an object of a text in assembly and returns its path.
func assemble(t testing.TB, text string) string {
	t.Helper()
	object := filepath.Join(t.TempDir(), "text.o")
	if data, ok := assembled.Load(text); ok {
		if err := os.WriteFile(object, data.([]byte), 0o644); err != nil {
			t.Fatal(err)
		}
		return object
	}
	cmd := exec.Command("as", "--64", "-o", object, "-")
	cmd.Stdin = strings.NewReader(text)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("assemble: %v\n%s", err, out)
	}
	data, err := os.ReadFile(object)
	if err != nil {
		t.Fatal(err)
	}
	assembled.Store(text, data)
	return object
}

// link makes an image of objects, its code at 0xffffffff81000000, and opens it as
// the kernel's.
func link(t testing.TB, objects ...string) *VmlinuxView {
	t.Helper()
	path := filepath.Join(t.TempDir(), "vmlinux")
	args := append([]string{"-nostdlib", "-no-pie", "-z", "noexecstack", "-Ttext=0xffffffff81000000", "-Tdata=0xffffffff82000000", "-e", "0", "-o", path}, objects...)
	if out, err := exec.Command("ld", args...).CombinedOutput(); err != nil {
		t.Fatalf("link: %v\n%s", err, out)
	}
	im, err := kimage.Open(path, "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { im.Close() })
	syms, err := kimage.ParseSystemMap(path, systemMap(t, path), nil)
	if err != nil {
		t.Fatal(err)
	}
	return &VmlinuxView{Image: im, Symbols: syms}
}

// systemMap lists the symbols of an image as nm -n does.
func systemMap(t testing.TB, path string) string {
	t.Helper()
	f, err := elf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	syms, err := f.Symbols()
	if err != nil {
		t.Fatal(err)
	}
	syms = slices.DeleteFunc(syms, func(s elf.Symbol) bool {
		return s.Name == "" || elf.ST_TYPE(s.Info) == elf.STT_FILE || elf.ST_TYPE(s.Info) == elf.STT_SECTION
	})
	slices.SortStableFunc(syms, func(a, b elf.Symbol) int { return stdcmp.Compare(a.Value, b.Value) })
	var out strings.Builder
	for _, s := range syms {
		letter := "d"
		switch {
		case elf.ST_BIND(s.Info) == elf.STB_WEAK:
			letter = "w"
		case s.Section == elf.SHN_ABS:
			letter = "a"
		case f.Sections[s.Section].Flags&elf.SHF_EXECINSTR != 0:
			letter = "t"
		}
		if elf.ST_BIND(s.Info) != elf.STB_LOCAL {
			letter = strings.ToUpper(letter)
		}
		fmt.Fprintf(&out, "%016x %s %s\n", s.Value, letter, s.Name)
	}
	return out.String()
}

func loadObject(t testing.TB, path string) *elfdiff.Object {
	t.Helper()
	f, err := elfobj.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	o, err := elfdiff.Load(f)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// function is a global function of a section of its own.
func function(name, code string) string {
	return fmt.Sprintf(".section .text.%s,\"ax\"\n.globl %[1]s\n.type %[1]s,@function\n%[1]s:\n%s\n.size %[1]s,.-%[1]s\n", name, code)
}

// placed lists the functions of an object that were found, sorted.
func placed(o *elfdiff.Object, p *Placement) []string {
	var out []string
	for a := range p.Funcs {
		out = append(out, o.Atoms[a].Name)
	}
	slices.Sort(out)
	return out
}

// Conditions in the order of their codes.
var conditions = []string{"o", "no", "b", "ae", "e", "ne", "be", "a", "s", "ns", "p", "np", "l", "ge", "le", "g"}

// TestConditions: a jump that is short in the shipped code and long in the object
// matches under its own condition alone, and never an unconditional one.
func TestConditions(t *testing.T) {
	code := func(jump string) string {
		return "test %edi, %edi\n" + jump + " 1f\nmov $1, %eax\nret\n1: mov $2, %eax\nret"
	}
	var long strings.Builder
	for _, c := range conditions {
		long.WriteString(function("f_"+c, code("{disp32} j"+c)))
	}
	o := loadObject(t, assemble(t, long.String()))
	for shift := range conditions {
		var short strings.Builder
		for i, c := range conditions {
			short.WriteString(function("f_"+c, code("{disp8} j"+conditions[(i+shift)%len(conditions)])))
		}
		want := len(conditions)
		if shift > 0 {
			want = 0
		}
		if got := placed(o, Find(o, link(t, assemble(t, short.String())))); len(got) != want {
			t.Errorf("conditions moved by %d: found %q", shift, got)
		}
	}
	var always strings.Builder
	for _, c := range conditions {
		always.WriteString(function("f_"+c, code("{disp8} jmp")))
	}
	if got := placed(o, Find(o, link(t, assemble(t, always.String())))); got != nil {
		t.Errorf("jumps without a condition: found %q", got)
	}
}

// TestJumpTargets: jumps of either length must go to the same instruction.
func TestJumpTargets(t *testing.T) {
	code := func(jump, to string) string {
		return "test %edi, %edi\n" + jump + " " + to + "\n1: mov $1, %eax\nret\n2: mov $2, %eax\nret\n3: nop\nret"
	}
	o := loadObject(t, assemble(t, function("f", code("{disp32} je", "2f"))))
	for jump, want := range map[string]bool{"{disp8} je": true, "{disp32} je": true} {
		for to, same := range map[string]bool{"1f": false, "2f": true, "3f": false, "f": false} {
			p := Find(o, link(t, assemble(t, function("f", code(jump, to)))))
			if got := len(p.Funcs) == 1; got != (want && same) {
				t.Errorf("%s %s: found %v, %v", jump, to, got, p.Miss)
			}
		}
	}
}

// TestReferences: what code refers to must be the same thing at the same distance:
// functions and variables of the object and from outside, strings and constants.
func TestReferences(t *testing.T) {
	const outside = ".data\n.globl array, other\narray: .quad 1, 2, 3, 4\nother: .quad 5\n.text\n.globl callee, twin_callee\ncallee: ret\nnop\ntwin_callee: ret\n"
	for _, c := range []struct {
		name, have string
		other      string // what must not match
	}{
		{"call", "call callee", "call twin_callee"},
		{"tail call", "jmp callee", "jmp twin_callee"},
		{"offset of an address", "mov array+8(%rip), %rax\nret", "mov array+16(%rip), %rax\nret"},
		{"offset of an absolute address", "mov $array+8, %rdi\nret", "mov $array+16, %rdi\nret"},
		{"offset behind an immediate", "cmpl $5, array+8(%rip)\nret", "cmpl $5, array+16(%rip)\nret"},
		{"another symbol", "lea array(%rip), %rax\nret", "lea other(%rip), %rax\nret"},
		{"sign-extended address", "movq $array+8, 8(%rdi)\nret", "movq $array+16, 8(%rdi)\nret"},
		{"eight bytes of address", "movabs $array+8, %rdi\nret", "movabs $array+16, %rdi\nret"},
		{"address as index", "mov array+8(,%rdi,8), %rax\nret", "mov array+16(,%rdi,8), %rax\nret"},
		{"immediate", "mov $7, %eax\nret", "mov $8, %eax\nret"},
		{"register", "mov %edi, %eax\nret", "mov %esi, %eax\nret"},
		{"string", ".pushsection .rodata.str1.1,\"aMS\",@progbits,1\n9: .string \"left\"\n.popsection\nmov $9b, %rdi\nret",
			".pushsection .rodata.str1.1,\"aMS\",@progbits,1\n9: .string \"lefs\"\n.popsection\nmov $9b, %rdi\nret"},
		{"longer", "nop\nret", "nop\nnop\nret"},
		{"address within", "lea 1f(%rip), %rax\nret\n1: nop\n2: nop", "lea 2f(%rip), %rax\nret\n1: nop\n2: nop"},
		{"constant", ".pushsection .rodata.cst8,\"aM\",@progbits,8\n9: .quad 0x4000000000000000\n.popsection\nmovsd 9b(%rip), %xmm0\nret",
			".pushsection .rodata.cst8,\"aM\",@progbits,8\n9: .quad 0x4000000000000001\n.popsection\nmovsd 9b(%rip), %xmm0\nret"},
		{"middle of a string", ".pushsection .rodata.str1.1,\"aMS\",@progbits,1\n9: .string \"left\"\n.popsection\nmov $9b+2, %rdi\nret",
			".pushsection .rodata.str1.1,\"aMS\",@progbits,1\n9: .string \"leaf\"\n.popsection\nmov $9b+2, %rdi\nret"},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := loadObject(t, assemble(t, function("f", c.have)))
			stubs := assemble(t, outside)
			p := Find(o, link(t, assemble(t, function("f", c.have)), stubs))
			if len(p.Funcs) != 1 {
				t.Errorf("not found: %v", p.Miss)
			}
			p = Find(o, link(t, assemble(t, function("f", c.other)), stubs))
			if len(p.Funcs) != 0 {
				t.Error("found where the code is another's")
			}
			for _, why := range p.Miss {
				if why == "" {
					t.Error("no reason")
				}
			}
		})
	}
}

// TestAddends: an address from outside is known less what is added to it.
func TestAddends(t *testing.T) {
	const code = "mov array+24(%rip), %rax\nmovl $3, array+12(%rip)\nmov $array+8, %rdi\nret"
	v := link(t, assemble(t, function("f", code)), assemble(t, ".data\n.quad 0\n.globl array\narray: .quad 1, 2, 3, 4\n"))
	o := loadObject(t, assemble(t, function("f", code)))
	want := v.Lookup("array")[0].Addr
	if got := Find(o, v).Ext["array"]; got != want {
		t.Errorf("array at %#x, want %#x", got, want)
	}
}

// TestTracerCall: the call to the tracer may be a nop in the image, and nothing else.
func TestTracerCall(t *testing.T) {
	o := loadObject(t, assemble(t, function("f", "call __fentry__\nmov %edi, %eax\nret")))
	stubs := assemble(t, ".globl __fentry__, elsewhere\n__fentry__: ret\nelsewhere: ret\n")
	for code, want := range map[string]bool{
		"call __fentry__":                     true,
		"call elsewhere":                      true, // the boot code takes any call there for the tracer's
		".byte 0x0f,0x1f,0x44,0x00,0x00":      true,
		".byte 0x0f,0x1f,0x44,0x00,0x01":      false,
		".byte 0x0f,0x1f,0x80,0,0\n.byte 0,0": false,
		"jmp elsewhere":                       false,
		"mov $0x1f0f, %eax":                   false,
		".byte 0x66,0x66,0x66,0x66,0x90":      false,
	} {
		p := Find(o, link(t, assemble(t, function("f", code+"\nmov %edi, %eax\nret")), stubs))
		if got := len(p.Funcs) == 1; got != want {
			t.Errorf("%q: found %v, %v", code, got, p.Miss)
		}
	}
}

// TestUndecodable: code behind what no decoder knows is compared byte by byte, with
// its references.
func TestUndecodable(t *testing.T) {
	code := func(tail string) string { return "mov %edi, %eax\n.byte 0x06, 0x07\n" + tail }
	stubs := assemble(t, ".data\n.globl array\narray: .quad 1, 2, 3, 4\n.text\n.globl callee, twin_callee\ncallee: ret\nnop\ntwin_callee: ret\n")
	for _, c := range []struct{ have, other string }{
		{"call callee\nret", "call twin_callee\nret"},
		{"mov $array+8, %rdi\nret", "mov $array+16, %rdi\nret"},
		{"mov $5, %eax\nret", "mov $6, %eax\nret"},
		{"jmp callee", "jmp twin_callee"}, // its field is the last of the function
		{"movabs $array+8, %rdi\nret", "movabs $array, %rdi\nret"},
	} {
		o := loadObject(t, assemble(t, function("f", code(c.have))))
		if p := Find(o, link(t, assemble(t, function("f", code(c.have))), stubs)); len(p.Funcs) != 1 {
			t.Errorf("%q is not found: %v", c.have, p.Miss)
		}
		if p := Find(o, link(t, assemble(t, function("f", code(c.other))), stubs)); len(p.Funcs) != 0 {
			t.Errorf("%q matches %q", c.have, c.other)
		}
	}
	o := loadObject(t, assemble(t, function("f", code("nop\nret"))))
	if p := Find(o, link(t, assemble(t, function("f", code(""))))); len(p.Funcs) != 0 {
		t.Error("code that ends early matches")
	}
}

// TestNamesakes: which of several equal functions is the object's.
func TestNamesakes(t *testing.T) {
	local := func(name, code string) string { return strings.ReplaceAll(function(name, code), ".globl", "#") }
	twin := local("twin", "mov $3, %eax\nret")
	anchor := func(name, code string) string { return function(name, code+"\nret") }
	other := func(i int) string {
		return assemble(t, local("twin", "mov $3, %eax\nret")+anchor(fmt.Sprintf("anchor%d", i), fmt.Sprintf("mov $%d, %%ecx", i)))
	}
	for _, c := range []struct {
		name, text string
		before     int // objects linked ahead of this one
		behind     int
		want       int // position; 0: cannot be told
	}{
		{"between two others", anchor("low", "mov $100, %ecx") + twin + anchor("high", "mov $101, %ecx"), 1, 1, 2},
		{"first of three", anchor("low", "mov $100, %ecx") + twin + anchor("high", "mov $101, %ecx"), 0, 2, 1},
		{"last of three", anchor("low", "mov $100, %ecx") + twin + anchor("high", "mov $101, %ecx"), 2, 0, 3},
		{"called", twin + anchor("low", "call twin"), 1, 1, 2},
		{"address taken", twin + anchor("low", "mov $twin, %rdi"), 2, 1, 3},
		{"nothing tells", twin, 1, 1, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			own := assemble(t, c.text)
			var objects []string
			for i := range c.before {
				objects = append(objects, other(i))
			}
			objects = append(objects, own)
			for i := range c.behind {
				objects = append(objects, other(10+i))
			}
			v, o := link(t, objects...), loadObject(t, own)
			p := Find(o, v)
			a := atom(t, o, "twin")
			if pl := p.Funcs[a]; pl.Sympos() != c.want {
				t.Errorf("position %d, want %d: %v", pl.Sympos(), c.want, p.Miss)
			}
			if _, found := p.Funcs[a]; found == (p.Miss[a] != "") {
				t.Errorf("found %v, missing because %q", found, p.Miss[a])
			}
		})
	}
}

// TestVmlinuxView shows symbols and bytes of an image.
func TestVmlinuxView(t *testing.T) {
	v := link(t, assemble(t, ".globl f\nf: .byte 1,2,3\nlocal: .byte 4\nlocal2: .byte 5\n.data\n.globl d\nd: .quad 7\n"), assemble(t, "local: .byte 9\n"))
	const text = 0xffffffff81000000
	want := []Symbol{{Name: "local", Addr: text + 3, Pos: 1, Count: 2, Stable: true}, {Name: "local", Addr: text + 5, Pos: 2, Count: 2, Stable: true}}
	if d := cmp.Diff(want, v.Lookup("local")); d != "" {
		t.Errorf("local (-want +got)\n%s", d)
	}
	f := []Symbol{{Name: "f", Addr: text, Pos: 1, Count: 1, Global: true, Stable: true}}
	if d := cmp.Diff(f, v.Lookup("f")); d != "" {
		t.Errorf("f (-want +got)\n%s", d)
	}
	if !slices.ContainsFunc(v.At(text), func(s Symbol) bool { return s == f[0] }) {
		t.Errorf("at %#x: %v", uint64(text), v.At(text))
	}
	if got := v.Read(text+1, 3); !slices.Equal(got, []byte{2, 3, 4}) {
		t.Errorf("read %v", got)
	}
	if got := v.Read(0x1000, 1); got != nil {
		t.Errorf("read %v where nothing is", got)
	}
	if _, ok := v.Outside("f"); ok || v.Object() != "vmlinux" {
		t.Error("an image has nothing outside of it")
	}
}

// module reads an object as a module of the given name.
func module(t testing.TB, name, text string) *kmod.Module {
	t.Helper()
	path := filepath.Join(t.TempDir(), name+".ko")
	b, err := os.ReadFile(assemble(t, text+"\n.section .gnu.linkonce.this_module,\"aw\"\n.skip 64\n.section .modinfo,\"a\"\n.string \"name="+name+"\"\n.string \"vermagic=6.1.0 SMP\"\n"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
	m, err := kmod.Read(path)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// TestModuleView lays a module out: no section overlaps another, every reference
// leads where its symbol is.
func TestModuleView(t *testing.T) {
	const text = `
	.text
	.globl caller
	.type caller,@function
caller:	call helper
	call printk
	call printk
	call kfree
	mov $variable+8, %rdi
	ret
	.size caller,.-caller
	.type helper,@function
helper:	ret
	.size helper,.-helper
	.section .text.late,"ax"
	.type helper,@function
1:	nop
	call helper
	.data
	.type variable,@object
variable: .quad 1, 2, caller
	.size variable,.-variable
	.quad second
	.globl second
second:	.quad 3
	.weak maybe
maybe:	.quad 4
	.globl fixed
	.set fixed, 0x1234
	.quad fixed
	.section .init.text,"ax"
	.type setup,@function
setup:	ret
	.size setup,.-setup
	.section .note.x,"",@note
	.quad 3
`
	m := module(t, "mod", text)
	v, err := NewModuleView(m)
	if err != nil {
		t.Fatal(err)
	}
	one := func(name string) Symbol {
		l := v.Lookup(name)
		if len(l) != 1 || l[0].Name != name || l[0].Count != 1 {
			t.Fatalf("%s: %+v", name, l)
		}
		return l[0]
	}
	caller, helper, variable, setup := one("caller"), one("helper"), one("variable"), one("setup")
	if v.Object() != "mod" || !caller.Global || helper.Global || !setup.Init || helper.Init {
		t.Errorf("%+v %+v %+v", caller, helper, setup)
	}
	if maybe := one("maybe"); !maybe.Weak || !maybe.Global || caller.Weak {
		t.Errorf("%+v %+v", maybe, caller)
	}
	le32 := func(addr uint64) uint64 {
		b := v.Read(addr, 4)
		if len(b) != 4 {
			t.Fatalf("nothing at %#x", addr)
		}
		return uint64(int64(int32(uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16 | uint32(b[3])<<24)))
	}
	called := func(at uint64) uint64 { return at + 5 + le32(at+1) }
	printk, ok := v.Outside("printk")
	kfree, ok2 := v.Outside("kfree")
	if !ok || !ok2 || printk == kfree {
		t.Fatalf("printk at %#x, kfree at %#x", printk, kfree)
	}
	if _, ok := v.Outside("caller"); ok {
		t.Error("caller is said to be outside")
	}
	if got := []uint64{called(caller.Addr), called(caller.Addr + 5), called(caller.Addr + 10), called(caller.Addr + 15)}; !slices.Equal(got, []uint64{helper.Addr, printk, printk, kfree}) {
		t.Errorf("calls go to %#x", got)
	}
	if got := le32(caller.Addr + 20 + 3); got != variable.Addr+8 {
		t.Errorf("address %#x, want %#x", got, variable.Addr+8)
	}
	if got := v.Read(variable.Addr, 56); !slices.Equal(got[:8], []byte{1, 0, 0, 0, 0, 0, 0, 0}) || le32(variable.Addr+16) != caller.Addr || le32(variable.Addr+24) != one("second").Addr || le32(variable.Addr+48) != 0x1234 {
		t.Errorf("variable is %v", got)
	}

	// Bytes end with their section; nothing lies at the end or before the start.
	end := helper.Addr + 1
	for _, bad := range []struct {
		addr uint64
		n    int
	}{{end, 1}, {helper.Addr, 2}, {caller.Addr - 1, 1}, {helper.Addr, -1}, {0, 1}} {
		if got := v.Read(bad.addr, bad.n); got != nil {
			t.Errorf("read %d bytes at %#x: %v", bad.n, bad.addr, got)
		}
		if _, ok := v.Loc(bad.addr); ok && bad.n == 1 {
			t.Errorf("%#x is said to be in a section", bad.addr)
		}
	}
	if got := v.Read(helper.Addr, 1); len(got) != 1 {
		t.Error("the last byte of a section is not there")
	}
	loc, ok := v.Loc(helper.Addr)
	if !ok || m.File.Sections[loc.Sec].Name != ".text" || loc.Off != helper.Addr-caller.Addr {
		t.Errorf("helper at %+v", loc)
	}
	if loc, ok := v.Loc(variable.Addr + 9); !ok || m.File.Sections[loc.Sec].Name != ".data" || loc.Off != 9 {
		t.Errorf("variable+9 at %+v", loc)
	}
	if at := v.At(helper.Addr); len(at) != 1 || at[0] != helper {
		t.Errorf("at helper: %+v", at)
	}
	if len(v.At(helper.Addr+100)) > 0 || len(v.Lookup("none")) > 0 {
		t.Error("symbols where there are none")
	}

	// Sections do not overlap, with a page between them.
	var spans [][2]uint64
	for i, b := range v.base {
		if b != 0 {
			spans = append(spans, [2]uint64{b, b + uint64(len(v.data[i]))})
		} else if s := m.File.Sections[i]; i > 0 && s.Flags&2 != 0 {
			t.Errorf("%s is not laid out", s.Name)
		}
	}
	slices.SortFunc(spans, func(a, b [2]uint64) int { return int(int64(a[0] - b[0])) })
	for i := 1; i < len(spans); i++ {
		if spans[i][0] < spans[i-1][1]+0x1000 || spans[i][0]&0xfff != 0 {
			t.Errorf("sections %#x", spans)
		}
	}
}

// TestModulePlaces finds a module's functions by its own calls, and tells one of
// another module by where its calls go.
func TestModulePlaces(t *testing.T) {
	code := func(to string) string { return function("f", "call "+to+"\nmov array+8(%rip), %rax\nret") }
	v, err := NewModuleView(module(t, "mod", code("printk")))
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]bool{code("printk"): true, code("kfree"): false, strings.Replace(code("printk"), "array+8", "array+16", 1): false} {
		o := loadObject(t, assemble(t, text))
		p := Find(o, v)
		if got := len(p.Funcs) == 1; got != want {
			t.Errorf("%s: found %v, %v", text, got, p.Miss)
		}
	}
}

// TestModuleBounds: what no kernel could load is refused.
func TestModuleBounds(t *testing.T) {
	m := module(t, "mod", ".text\ncall f\n.bss\n.skip 64\n")
	for i := range m.File.Sections {
		if m.File.Sections[i].Name == ".bss" {
			m.File.Sections[i].Size = 1 << 40
		}
	}
	if _, err := NewModuleView(m); err == nil || !strings.Contains(err.Error(), "mod is too large") {
		t.Errorf("a terabyte: %v", err)
	}
	m = module(t, "mod", ".text\ncall f\n")
	for i := range m.File.Sections {
		for k := range m.File.Sections[i].Relocs {
			m.File.Sections[i].Relocs[k].Off = 100
		}
	}
	if _, err := NewModuleView(m); err == nil || !strings.Contains(err.Error(), "relocation outside .text") {
		t.Errorf("a relocation outside: %v", err)
	}
}

// TestPadding: how much of it aligns a loop depends on where the function lies, which is
// elsewhere in a section of its own: gcc 16 aligns loops of generic code to 32 bytes.
func TestPadding(t *testing.T) {
	loop := func(before, pad string) string {
		return before + "xor %eax, %eax\ntest %edi, %edi\nje 2f\n" + pad + "1: add %edi, %eax\ncmp $100, %eax\nja 3f\ndec %edi\njne 1b\n2: ret\n3: xor %eax, %eax\njmp 1b"
	}
	const prefix = ".skip 16, 0x90\n"
	own := func(code string) string { return strings.Replace(function("f", code), ".globl", prefix+".globl", 1) }
	for _, c := range []struct {
		name           string
		built, shipped string
		want           bool
	}{
		{"in a section of its own", own(loop("", ".p2align 5\n")), function("f", loop("", ".p2align 5\n")), true},
		{"none in the object", own(loop(".skip 10, 0x90\n", ".p2align 5\n")), function("f", loop(".skip 10, 0x90\n", ".p2align 5\n")), true},
		{"none in the shipped code", function("f", loop(".skip 26, 0x90\n", ".p2align 5\n")), own(loop(".skip 26, 0x90\n", ".p2align 5\n")), true},
		{"a call behind it", own(strings.Replace(loop(".skip 10, 0x90\n", ".p2align 5\n"), "add", "call g\nadd", 1)),
			function("g", "ret") + function("f", strings.Replace(loop(".skip 10, 0x90\n", ".p2align 5\n"), "add", "call g\nadd", 1)), true},
		{"in two places", own(loop("", ".p2align 5\n") + "\n" + loop("", ".p2align 6\n")),
			function("f", loop("", ".p2align 5\n")+"\n"+loop("", ".p2align 6\n")), true},
		{"more than aligns anything", function("f", loop("", "")), function("f", loop("", ".skip 64, 0x90\n")), false},
		{"another instruction behind it", own(loop("", ".p2align 5\n")), function("f", strings.Replace(loop("", ".p2align 5\n"), "add", "sub", 1)), false},
		{"a jump elsewhere", own(loop("", ".p2align 5\n")), function("f", strings.Replace(loop("", ".p2align 5\n"), "jne 1b", "jne 3f", 1)), false},
		{"what is no padding", function("f", loop("", ".p2align 5\n")), function("f", loop("", "mov %eax, %eax\n.p2align 5\n")), false},
		{"a jump label's place", own(loop("", "")), function("f", loop("", ".byte 0x0f,0x1f,0x44,0x00,0x00\n")), false},
	} {
		got := placed(loadObject(t, assemble(t, c.built)), Find(loadObject(t, assemble(t, c.built)), link(t, assemble(t, c.shipped))))
		if (len(got) == 1) != c.want {
			t.Errorf("%s: found %q", c.name, got)
		}
	}
}

// TestPaddingBefore: a place inside of a function that other code refers to, or the function
// itself, moves with the padding before it.
func TestPaddingBefore(t *testing.T) {
	cold := func(back string) string {
		return ".section .text.unlikely.f,\"ax\"\n.type f.cold,@function\nf.cold:\nmov $7, %eax\njmp .L" + back +
			"\nnop\n.size f.cold,.-f.cold\n"
	}
	code := func(here string) string {
		return function("f", "mov $.L"+here+", %rdx\nxor %eax, %eax\n.skip 3, 0x90\n.p2align 5\n1: add %edi, %eax\ncmp $9, %eax\nje f.cold\n"+
			".Lafter: dec %edi\n.Llate: jne 1b\nret")
	}
	const prefix = ".skip 16, 0x90\n"
	built := loadObject(t, assemble(t, strings.Replace(code("late"), ".globl", prefix+".globl", 1)+cold("after")))
	both := []string{"f", "f.cold"}
	for _, c := range []struct {
		name, shipped string
		want          []string
	}{
		{"as built", code("late") + cold("after"), both},
		{"the cold part goes elsewhere", code("late") + cold("late"), []string{"f"}},
		{"the function means another place", code("after") + cold("after"), []string{"f.cold"}},
	} {
		got := placed(built, Find(built, link(t, assemble(t, c.shipped))))
		if d := cmp.Diff(c.want, got); d != "" {
			t.Errorf("%s: found (-want +got)\n%s", c.name, d)
		}
	}
}
