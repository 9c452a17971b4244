package locate

import (
	"debug/elf"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/klpforge/klpforge/elfdiff"
	"github.com/klpforge/klpforge/elfobj"
	"github.com/klpforge/klpforge/finding"
	"github.com/klpforge/klpforge/kernel/kimage"
	"github.com/klpforge/klpforge/kernel/kmod"
)

// static is a local function of a section of its own.
func static(name, code string) string { return strings.ReplaceAll(function(name, code), ".globl", "#") }

// in puts the code of a function of assembly into another section.
func in(section, text string) string {
	first := strings.Index(text, ",")
	return ".section " + section + text[first:]
}

// TestChoice: which of several functions of a name is the object's, and what is said
// when none is. The objects are linked in the order in which they stand.
func TestChoice(t *testing.T) {
	ret := func(code string) string { return code + "\nret" }
	twin, changed := static("twin", ret("mov $3, %eax")), static("twin", ret("mov $4, %eax"))
	one, another := static("one", ret("call twin")), static("one", ret("nop\ncall twin"))
	anchor := func(i int) string { return function(fmt.Sprintf("anchor%d", i), ret(fmt.Sprintf("mov $%d, %%ecx", i))) }
	cold, coldChanged := static("cold", ret("mov $5, %eax")), static("cold", ret("mov $6, %eax"))

	gap := function("gap", ".skip 4096, 0x90\nret")

	for _, c := range []struct {
		name    string
		own     string   // the object that is looked for
		built   string   // what the kernel has of it, if that differs
		before  []string // objects in front of it and behind it
		behind  []string
		symbol  string
		want    int    // position of symbol; 0: it is not placed
		because string // part of the reason
		twins   int
	}{
		// A single candidate is placed first, and says which twin it calls.
		{name: "called by one that is told by its code", own: twin + one, before: []string{twin}, behind: []string{twin + another},
			symbol: "twin", want: 2},
		// It also widens the range of the object's code, in which a twin lies then.
		{name: "between functions that are told by their code", own: anchor(1) + twin + static("one", ret("mov $7, %eax")),
			before: []string{twin}, behind: []string{twin + static("one", ret("mov $8, %eax"))}, symbol: "twin", want: 2},

		// Each of them tells of the next, against the order of the object.
		{name: "at the end of a chain", own: twin + static("second", ret("call twin")) + static("third", ret("call second")) + function("caller", ret("call third")),
			before: []string{twin + static("second", ret("call twin")) + static("third", ret("call second"))}, symbol: "twin", want: 2},
		// A called twin widens the range in which the object's own differs.
		{name: "differs before a called one", own: function("caller", ret("call called")) + gap + twin + static("called", ret("mov $9, %eax")),
			built:  function("caller", ret("call called")) + gap + changed + static("called", ret("mov $9, %eax")),
			before: []string{static("called", ret("mov $9, %eax")) + twin}, symbol: "twin", because: "next to the object's other functions, differs"},

		// Where placed code refers, there is the function: when that differs, none of the others is it.
		{name: "called, but built otherwise", own: twin + function("caller", ret("call twin")), built: changed + function("caller", ret("call twin")),
			before: []string{twin}, behind: []string{twin}, symbol: "twin", because: "which this object refers to, differs"},
		{name: "called, built otherwise, one other", own: twin + function("caller", ret("call twin")), built: changed + function("caller", ret("call twin")),
			behind: []string{twin}, symbol: "twin", because: "which this object refers to, differs"},

		// A copy in another object is no proof when one nearer differs, on either side.
		{name: "nearer one differs, copy in front", own: anchor(1) + twin + anchor(2), built: anchor(1) + changed + anchor(2),
			before: []string{twin}, symbol: "twin", because: "next to the object's other functions, differs"},
		{name: "nearer one differs, copy behind", own: anchor(1) + twin + anchor(2), built: anchor(1) + changed + anchor(2),
			behind: []string{twin}, symbol: "twin", because: "next to the object's other functions, differs"},
		{name: "nearer one behind differs, copy in front", own: anchor(1) + twin, built: anchor(1) + changed,
			before: []string{twin, gap}, symbol: "twin", because: "next to the object's other functions, differs"},
		{name: "nearer one in front differs, copy behind", own: twin + anchor(1), built: changed + anchor(1),
			behind: []string{gap, twin}, symbol: "twin", because: "next to the object's other functions, differs"},
		{name: "one far away differs", own: anchor(1) + twin + anchor(2), before: []string{changed}, behind: []string{changed},
			symbol: "twin", want: 2},

		// What the linker collects elsewhere is not measured by distance.
		{name: "cold code, near code of another object", own: anchor(1) + in(".text.unlikely.cold", cold),
			behind: []string{coldChanged}, symbol: "cold", want: 1},
		{name: "scheduler code, near code of another object", own: anchor(1) + in(".sched.text", cold),
			before: []string{coldChanged}, behind: []string{gap}, symbol: "cold", want: 2},
		{name: "hot code is no anchor", own: in(".text.hot.anchor1", anchor(1)) + twin, before: []string{changed}, symbol: "twin", want: 2},

		// Without anything else of the object, the one with the code is it.
		{name: "alone, another one in front differs", own: twin, before: []string{changed}, symbol: "twin", want: 2},
		{name: "alone, another one behind differs", own: twin, behind: []string{changed}, symbol: "twin", want: 1},
		{name: "nothing tells", own: twin, before: []string{twin}, behind: []string{twin}, symbol: "twin",
			because: "3 functions of this name have the same code", twins: 3},
		{name: "two lie between", own: anchor(1) + twin + anchor(2), before: []string{anchor(3) + twin},
			symbol: "twin", want: 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			own := assemble(t, c.own)
			built := own
			if c.built != "" {
				built = assemble(t, c.built)
			}
			var objects []string
			for _, text := range c.before {
				objects = append(objects, assemble(t, text))
			}
			objects = append(objects, built)
			for _, text := range c.behind {
				objects = append(objects, assemble(t, text))
			}
			v, o := link(t, objects...), loadObject(t, own)
			p := Find(o, v)
			a := atom(t, o, c.symbol)
			pl, found := p.Funcs[a]
			if pl.Sympos() != c.want || found != (c.want > 0) {
				t.Errorf("position %d, want %d: %v", pl.Sympos(), c.want, p.Miss)
			}
			if found && p.Addr[a] != pl.Addr {
				t.Errorf("found at %#x and known at %#x", pl.Addr, p.Addr[a])
			}
			if why := p.Miss[a]; !strings.Contains(why, c.because) || (why == "") != (c.because == "") {
				t.Errorf("%q does not say %q", why, c.because)
			}
			if p.Twins[a] != c.twins {
				t.Errorf("%d twins, want %d", p.Twins[a], c.twins)
			}
		})
	}
}

// TestTwoPlaces: code that refers to one function or variable at two addresses is
// another build, and neither address is believed.
func TestTwoPlaces(t *testing.T) {
	const data = ".data\n.globl state, state2\nstate: .quad 1\n.quad 2\nstate2: .quad 3\n"
	text := func(first, second string) string {
		return static("twin", "mov $3, %eax\nret") + function("f", "call "+first+"\nret") + function("g", "mov "+second+"(%rip), %rax\nret") +
			function("h", "mov state+8(%rip), %rcx\nret")
	}
	own := strings.Replace(text("twin", "state"), ".section", ".data\n.type state,@object\nstate: .quad 1\n.size state,8\n.section", 1)
	o := loadObject(t, assemble(t, own))
	state := atom(t, o, "state")

	// The object's own state is local; the one that the kernel has lies elsewhere.
	v := link(t, assemble(t, text("twin", "state")), assemble(t, data))
	p := Find(o, v)
	if want := v.Lookup("state")[0].Addr; p.Addr[state] != want || p.Miss[state] != "" || len(p.Funcs) != 4 {
		t.Fatalf("state at %#x, want %#x: %v", p.Addr[state], want, p.Miss)
	}
	v = link(t, assemble(t, text("twin", "state2")), assemble(t, data))
	p = Find(o, v)
	if addr, ok := p.Addr[state]; ok {
		t.Errorf("state is said to be at %#x", addr)
	}
	lo, hi := v.Lookup("state")[0].Addr, v.Lookup("state2")[0].Addr
	if want := fmt.Sprintf("at %#x and at %#x", lo, hi); !strings.Contains(p.Miss[state], want) {
		t.Errorf("%q does not say %q", p.Miss[state], want)
	}

	// A cold part lies where its function jumps to, not where one of its name is.
	cold := func(target string) string {
		return function("f", "test %edi, %edi\n{disp32} je "+target+"\nret") + in(".text.unlikely.f", static("f.cold", "mov $6, %eax\nud2"))
	}
	o = loadObject(t, assemble(t, cold("f.cold")))
	piece := atom(t, o, "f.cold")
	v = link(t, assemble(t, cold("f.cold")))
	if p := Find(o, v); p.Funcs[piece].Addr != v.Lookup("f.cold")[0].Addr || len(p.Funcs) != 2 {
		t.Errorf("%+v, %v", p.Funcs, p.Miss)
	}
	v = link(t, assemble(t, cold("elsewhere")), assemble(t, function("elsewhere", "mov $6, %eax\nud2")))
	p = Find(o, v)
	if _, ok := p.Funcs[piece]; ok || p.Miss[piece] == "" {
		t.Errorf("a cold part that its function does not jump to is placed: %+v", p.Funcs)
	}

	// Two functions call two namesakes.
	own = static("twin", "mov $3, %eax\nret") + function("f", "call twin\nret") + function("g", "nop\ncall twin\nret")
	o = loadObject(t, assemble(t, own))
	one := static("twin", "mov $3, %eax\nret") + function("f", "call twin\nret")
	two := static("twin", "mov $3, %eax\nret") + function("g", "nop\ncall twin\nret")
	v = link(t, assemble(t, one), assemble(t, two))
	p = Find(o, v)
	a := atom(t, o, "twin")
	if pl, ok := p.Funcs[a]; ok {
		t.Errorf("twin is placed at %#x", pl.Addr)
	}
	if addr, ok := p.Addr[a]; ok {
		t.Errorf("twin is said to be at %#x", addr)
	}
	list := v.Lookup("twin")
	if want := fmt.Sprintf("at %#x and at %#x", list[0].Addr, list[1].Addr); !strings.Contains(p.Miss[a], want) {
		t.Errorf("%q does not say %q", p.Miss[a], want)
	}
	if len(p.Funcs) != 2 {
		t.Errorf("%q are placed", placed(o, p))
	}
}

// TestNames: a reference is named as the image names the address that shipped code
// refers to, whatever else is called so or lies there.
func TestNames(t *testing.T) {
	o := loadObject(t, assemble(t, strings.ReplaceAll(traced("weak", "nop"), ".globl", ".weak")+static("local", "ret")+
		".data\n.type var,@object\nvar: .quad 1\n.size var,8\n"))
	weak, local, variable := atom(t, o, "weak"), atom(t, o, "local"), atom(t, o, "var")
	sym := func(name string, addr uint64, pos, count int, global bool) Symbol {
		return Symbol{Name: name, Addr: addr, Pos: pos, Count: count, Global: global, Stable: true}
	}
	image := &linked{syms: []Symbol{
		sym("alias", 0x1000, 1, 1, true), sym("weak", 0x1000, 1, 1, true), sym("renamed.3", 0x2000, 1, 1, false),
		sym("mixed", 0x3000, 1, 3, false), sym("mixed", 0x3100, 2, 3, true), sym("mixed", 0x3200, 3, 3, false),
		sym("locals", 0x4000, 1, 2, false), sym("locals", 0x4100, 2, 2, false), sym("globals", 0x4200, 1, 2, true), sym("globals", 0x4300, 2, 2, true),
		sym("single", 0x5000, 1, 1, false), sym("local", 0x6000, 1, 1, false), sym("var", 0x7000, 1, 1, false),
		sym("again", 0x8000, 1, 2, false), sym("again", 0x8000, 2, 2, false),
	}}
	outside := func(name string) elfdiff.External { return elfdiff.External{Name: name, Orig: -1, Func: true} }
	for _, c := range []struct {
		name string
		ref  elfdiff.External
		addr uint64 // that shipped code refers to; 0: it does not
		miss bool   // the function or variable was not placed
		want string // "" for a finding
		says string
	}{
		{name: "beside an alias", ref: elfdiff.External{Name: "weak", Orig: weak, Func: true}, addr: 0x1000, want: "weak,0"},
		{name: "under another name", ref: elfdiff.External{Name: "renamed.1", Orig: variable, Local: true}, addr: 0x2000, want: "renamed.3,0"},
		{name: "first of three", ref: outside("mixed"), addr: 0x3000, want: "mixed,1"},
		{name: "last of three", ref: outside("mixed"), addr: 0x3200, want: "mixed,3"},
		{name: "the global one of three", ref: outside("mixed"), want: "mixed,2"},
		{name: "a static, and three of its name", ref: elfdiff.External{Name: "mixed", Orig: local, Local: true, Func: true}, says: "3 symbols mixed"},
		{name: "two static ones", ref: outside("locals"), says: "no symbol locals"},
		{name: "two global ones", ref: outside("globals"), says: "2 symbols globals"},
		{name: "the only one is static", ref: outside("single"), want: "single,0"},
		{name: "where nothing is", ref: outside("single"), addr: 0x5001, says: "no symbol single"},
		{name: "one address, two entries", ref: outside("again"), addr: 0x8000, want: "again,1"},

		// A function that is not placed is meant by its name alone when it is a weak one that
		// another object overrides; or by its address, when code refers to it.
		{name: "weak, overridden", ref: elfdiff.External{Name: "weak", Orig: weak, Func: true}, miss: true, want: "weak,0"},
		{name: "static, differs", ref: elfdiff.External{Name: "local", Orig: local, Func: true, Local: true}, miss: true, says: "function cannot be found"},
		{name: "static, called as a global", ref: elfdiff.External{Name: "local", Orig: local, Func: true}, miss: true, says: "function cannot be found"},
		{name: "said to be static, but the image's is global", ref: elfdiff.External{Name: "weak", Orig: weak, Func: true, Local: true}, miss: true, says: "function cannot be found"},
		{name: "two of the name", ref: elfdiff.External{Name: "globals", Orig: weak, Func: true}, miss: true, says: "function cannot be found"},
		{name: "none of the name", ref: elfdiff.External{Name: "none", Orig: weak, Func: true}, miss: true, says: "function cannot be found"},
		{name: "differs where code refers to it", ref: elfdiff.External{Name: "local", Orig: local, Func: true, Local: true}, miss: true, addr: 0x6000, want: "local,0"},
		{name: "variable at two places", ref: elfdiff.External{Name: "var", Orig: variable, Local: true}, miss: true, says: "variable cannot be found"},
		{name: "variable at two places, one of them known", ref: elfdiff.External{Name: "var", Orig: variable, Local: true}, miss: true, addr: 0x7000, says: "variable cannot be found"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := &Placement{View: image, Addr: map[elfdiff.AtomID]uint64{}, Ext: map[string]uint64{}, Miss: map[elfdiff.AtomID]string{}}
			if c.addr > 0 {
				p.Addr[c.ref.Orig], p.Ext[c.ref.Name] = c.addr, c.addr
			}
			if c.miss {
				p.Miss[c.ref.Orig] = "it differs"
			}
			n := &Names{Orig: o, Place: p, Vmlinux: image, Namespaces: map[string]bool{},
				Export: func(string) (kmod.Export, bool) { return kmod.Export{}, false }}
			got, err := n.Resolve(c.ref)
			if want := ".klp.sym.vmlinux." + c.want; c.want != "" && (err != nil || got != want) {
				t.Errorf("%q, error %v; want %q", got, err, want)
			}
			if c.want == "" {
				f, ok := err.(*finding.Finding)
				if !ok || f.ID != finding.IDSymbol || f.Severity != finding.Error || f.Symbol != c.ref.Name || !strings.Contains(f.Message, c.says) {
					t.Errorf("%q, error %v; want %q", got, err, c.says)
				}
			}
		})
	}
}

// TestModuleAddressIsNotTheImages: where a module's code refers to says nothing about
// the image, whose symbol of that name is another.
func TestModuleAddressIsNotTheImages(t *testing.T) {
	v, err := NewModuleView(module(t, "mod", function("f", "ret")+static("hidden", "ret")))
	if err != nil {
		t.Fatal(err)
	}
	image := &linked{syms: []Symbol{{Name: "hidden", Addr: 0x1000, Pos: 1, Count: 1, Stable: true}}}
	n := &Names{Place: &Placement{View: v, Ext: map[string]uint64{"hidden": v.Lookup("hidden")[0].Addr}}, Vmlinux: image,
		Export: func(string) (kmod.Export, bool) { return kmod.Export{}, false }}
	got, err := n.Resolve(elfdiff.External{Name: "hidden", Orig: -1})
	if want := ".klp.sym.vmlinux.hidden,0"; err != nil || got != want {
		t.Errorf("%q, error %v; want %q", got, err, want)
	}
}

// TestReplaceableKinds: what is new needs no replacement, and what only runs while
// booting cannot have one.
func TestReplaceableKinds(t *testing.T) {
	before := assemble(t, traced("f", "mov $1, %eax")+in(".init.text", traced("setup", "mov $2, %eax")))
	after := assemble(t, traced("f", "call added")+traced("added", "nop")+in(".init.text", traced("setup", "mov $3, %eax")))
	d := compared(t, before, after)
	var have []string
	for _, ch := range d.Functions {
		have = append(have, ch.Name)
	}
	slices.Sort(have)
	if diff := cmp.Diff([]string{"added", "f", "setup"}, have); diff != "" {
		t.Fatalf("changes (-want +got)\n%s", diff)
	}
	names, found, _ := replaced(yes(), d, Find(d.Orig, link(t, assemble(t, fentry), before)))
	if diff := cmp.Diff([]string{"f"}, names); diff != "" || found != nil {
		t.Errorf("replaced (-want +got)\n%s\n%q", diff, found)
	}
}

// TestSymbolTypes translates nm's letters: upper case is external linkage.
func TestSymbolTypes(t *testing.T) {
	for typ, want := range map[byte]Symbol{
		'A': {Global: true}, 'B': {Global: true}, 'T': {Global: true}, 'a': {}, 't': {}, 'z': {}, '?': {}, '-': {}, '@': {},
		'W': {Global: true, Weak: true}, 'V': {Global: true, Weak: true}, 'w': {Weak: true}, 'v': {Weak: true},
	} {
		want.Name, want.Addr, want.Pos, want.Count, want.Stable = "s", 0x1234, 2, 3, true
		got := convert([]kimage.Symbol{{Name: "s", Addr: 0x1234, Pos: 2, Count: 3, Type: typ}})
		if diff := cmp.Diff([]Symbol{want}, got); diff != "" {
			t.Errorf("%c (-want +got)\n%s", typ, diff)
		}
	}
}

// TestNoField: what an instruction refers to by a field that cannot be read is not taken
// for the same.
func TestNoField(t *testing.T) {
	stubs := assemble(t, ".globl small, array\n.set small, 0x12\n.data\narray: .quad 1\n")
	for _, code := range []string{
		"mov $small, %ax\nret", "mov $small, %al\nret", // two bytes and one
		".byte 0x06, 0x07\nmov $small, %ax\nret", // where nothing is decoded
		"mov $array-., %eax\nret",                // an immediate that counts from its place
	} {
		object := assemble(t, function("f", code))
		o := loadObject(t, object)
		p := Find(o, link(t, object, stubs))
		if a := atom(t, o, "f"); len(p.Funcs) != 0 || p.Miss[a] == "" {
			t.Errorf("%q: found, or no reason: %v", code, p.Miss)
		}
	}
}

// TestForgedFields: relocations that no compiler makes, over an opcode, across an
// instruction's end or the function's, prove nothing, although the bytes are the same.
func TestForgedFields(t *testing.T) {
	for name, c := range map[string]struct{ text, where string }{
		"over an opcode":                             {"movabs $0x1122334455667788, %rax\nret", "f, R_X86_64_PC32"},
		"across an instruction's end":                {"nop\nnop\nnop\nnop\nnop\nnop\nret", "f+1, R_X86_64_32"},
		"across the end of undecoded":                {".byte 0x06, 0x07\nnop\nret", "f+3, R_X86_64_32"},
		"in an immediate beside a PC-relative field": {"movl $0, elsewhere(%rip)\nret", "f+6, R_X86_64_PC32"},
	} {
		o := loadObject(t, assemble(t, function("f", c.text)+".byte 0,0,0,0\n.reloc "+c.where+", array\n"))
		a := atom(t, o, "f")
		v := &linked{sections: []linkedSection{{0x1000, slices.Clone(o.Code(a))}}, syms: []Symbol{{Name: "f", Addr: 0x1000, Pos: 1, Count: 1}}}
		if p := Find(o, v); len(p.Funcs) != 0 || p.Miss[a] == "" {
			t.Errorf("%s: found, or no reason: %q", name, p.Miss[a])
		}
	}
}

// TestSectionEnd: at the end of a section, shorter jumps leave less code than the object has.
func TestSectionEnd(t *testing.T) {
	code := func(jump string, count int) string {
		return "test %edi, %edi\n" + strings.Repeat(jump+" f\n", count) + "ret"
	}
	for _, count := range []int{1, 3, 30} {
		o := loadObject(t, assemble(t, function("f", code("{disp32} je", count))))
		short := loadObject(t, assemble(t, function("f", code("{disp8} je", count))))
		a, ship := atom(t, o, "f"), short.Code(atom(t, short, "f"))
		v := &linked{sections: []linkedSection{{0x1000, ship}}, syms: []Symbol{{Name: "f", Addr: 0x1000, Pos: 1, Count: 1}}}
		if p := Find(o, v); p.Funcs[a].Size != uint64(len(ship)) {
			t.Errorf("%d jumps: %+v, %v", count, p.Funcs, p.Miss)
		}
		v.sections[0].data = ship[:len(ship)-1]
		if p := Find(o, v); len(p.Funcs) != 0 {
			t.Errorf("%d jumps: found in a section that ends before", count)
		}
		v.sections[0].data = nil
		if p := Find(o, v); !strings.Contains(p.Miss[a], "no code at that address") {
			t.Errorf("%d jumps: %v", count, p.Miss)
		}
	}
}

// TestCalleeWithoutName: that the image does not name what is called says nothing against
// the caller, and the call tells where it is.
func TestCalleeWithoutName(t *testing.T) {
	text := function("f", "call g\nret") + static("g", "mov $3, %eax\nret")
	o := loadObject(t, assemble(t, text))
	v := link(t, assemble(t, strings.NewReplacer("call g", "call renamed", static("g", "mov $3, %eax\nret"), static("renamed", "mov $3, %eax\nret")).Replace(text)))
	p := Find(o, v)
	if _, ok := p.Funcs[atom(t, o, "f")]; !ok || p.Addr[atom(t, o, "g")] != v.Lookup("renamed")[0].Addr {
		t.Errorf("%v, %#x", p.Miss, p.Addr)
	}
}

// TestNamedInReasons: a reason says where the shipped code goes.
func TestNamedInReasons(t *testing.T) {
	stubs := assemble(t, ".globl callee, other\ncallee: ret\nnop\nother: ret\nret\n")
	o := loadObject(t, assemble(t, function("f", "call callee\nret")+static("g", "ret")+function("h", "call g\nret")))
	for code, want := range map[string]string{
		"call other\nret":   "reference at +0x1 to callee goes to other in the shipped code",
		"call other+1\nret": fmt.Sprintf("reference at +0x1 to callee goes to %#x in the shipped code", uint64(0xffffffff81000000+3)),
	} {
		v := link(t, stubs, assemble(t, function("f", code)+static("g", "ret")+function("h", strings.Replace(code, "callee", "g", 1))))
		p := Find(o, v)
		if got := p.Miss[atom(t, o, "f")]; got != want {
			t.Errorf("%q\nwant %q", got, want)
		}
		if got, want := p.Miss[atom(t, o, "h")], strings.Replace(want, "callee", "g", 1); got != want {
			t.Errorf("%q\nwant %q", got, want)
		}
	}
}

// TestModuleSections: only what is loaded has addresses.
func TestModuleSections(t *testing.T) {
	m := module(t, "mod", `
	.text
	.globl f
	.type f,@function
f:	ret
	.size f,.-f
	.section .debug_x,"",@progbits
	.quad 1
	.type info,@object
info:	.quad f
	.size info,8
`)
	v, err := NewModuleView(m)
	if err != nil {
		t.Fatal(err)
	}
	for i, b := range v.base {
		if loaded := m.File.Sections[i].Flags&elf.SHF_ALLOC != 0; (b != 0) != loaded {
			t.Errorf("%s: loaded %v, laid out at %#x", m.File.Sections[i].Name, loaded, b)
		}
	}
	if got := v.Lookup("info"); got != nil {
		t.Errorf("info: %+v", got)
	}
	if got := v.At(8); got != nil {
		t.Errorf("at 8: %+v", got)
	}
	if got := v.Lookup("f"); len(got) != 1 || v.At(got[0].Addr)[0] != got[0] {
		t.Errorf("f: %+v", got)
	}

	m.File.Machine = elf.EM_68K
	if _, err := NewModuleView(m); err == nil {
		t.Error("a module of an unknown architecture has been laid out")
	}
}

// TestModuleRoom: together, the sections stay within reach of a 32-bit displacement.
func TestModuleRoom(t *testing.T) {
	m := module(t, "mod", ".text\nret\n.bss\n.skip 64\n")
	last, before := elfobj.SecID(0), uint64(0)
	for i := range m.File.Sections {
		if s := &m.File.Sections[i]; s.Flags&elf.SHF_ALLOC != 0 {
			if last > 0 {
				before += (m.File.Sections[last].Size + 0x1fff) &^ 0xfff
			}
			last = elfobj.SecID(i)
		}
	}
	arch, err := m.File.Arch()
	if err != nil {
		t.Fatal(err)
	}
	m.File.Sections[last].Size = moduleRoom(arch) - before - 0x2000 + 1
	if _, err := NewModuleView(m); err == nil || !strings.Contains(err.Error(), "too large") {
		t.Errorf("sections beyond the room: %v", err)
	}
}

// TestAbsoluteSymbol: an absolute symbol has its value for an address, in a module too.
func TestAbsoluteSymbol(t *testing.T) {
	m := module(t, "mod", ".text\n.globl f\n.type f,@function\nf: mov $fixed+8, %rdi\nret\n.size f,.-f\n")
	for i := range m.File.Symbols {
		if s := &m.File.Symbols[i]; s.Name == "fixed" {
			s.Sec, s.Value = elfobj.SecAbs, 0x1234
		}
	}
	v, err := NewModuleView(m)
	if err != nil {
		t.Fatal(err)
	}
	code := v.Read(v.Lookup("f")[0].Addr, 7)
	if got, _ := field(code[3:], 4); got != 0x123c {
		t.Errorf("% x refers to %#x", code, got)
	}
	if _, ok := v.Outside("fixed"); ok {
		t.Error("fixed is said to be outside")
	}
}

// TestPaddingForms: what counts as padding is what assemblers pad with, and not too much of it.
func TestPaddingForms(t *testing.T) {
	o := loadObject(t, assemble(t, function("f", "ret")))
	for code, want := range map[string]uint64{
		"\x90": 1, "\x66\x90": 2, "\x0f\x1f\x00": 3, "\x0f\x1f\x40\x00": 4, "\x0f\x1f\x44\x00\x00": 5, "\x66\x0f\x1f\x44\x00\x00": 6, "\x0f\x1f\x80\x00\x00\x00\x00": 7,
		"\x0f\x1f\x84\x00\x00\x00\x00\x00": 8, "\x66\x0f\x1f\x84\x00\x00\x00\x00\x00": 9, "\x66\x2e\x0f\x1f\x84\x00\x00\x00\x00\x00": 10, "\x66\x66\x2e\x0f\x1f\x84\x00\x00\x00\x00\x00": 11,
		"\x90\x0f\x1f\x00": 4, strings.Repeat("\x90", 63): 63, strings.Repeat("\x90", 64): 0, strings.Repeat("\x90", 65): 0,
		"": 0, "\xf3\x90": 0, "\xcc": 0, "\x0f\x1f\x01": 0, "\x0f\x1f\x40\x01": 0, "\x0f\x1f\x44\x00\x01": 0, "\x0f\x1f\x80\x01\x00\x00\x00": 0, "\x0f\x1f\x80\x00\x00\x00\x01": 0, "\x0f\x1f\x84\x00\x00\x00\x00\x01": 0,
		"\x0f\x1e\x00": 0, "\x91": 0, "\x0f\x20\xc0": 0, "\x90\x06": 1,
	} {
		if got := padding(o, []byte(code+"\xc3")); got != want {
			t.Errorf("% x: %d bytes, want %d", code, got, want)
		}
		if want > 0 && code[len(code)-1] != 0x06 {
			if got := padding(o, []byte(code)); got != want {
				t.Errorf("% x at the end: %d bytes, want %d", code, got, want)
			}
		}
	}
}

// TestPaddingInside: padding before an aligned instruction may have any length, on either
// side, and only there; what refers into the function means the same instruction.
func TestPaddingInside(t *testing.T) {
	body := func(front, pad string) string {
		return front + "\nmov $1, %eax\n" + pad + "\n1: dec %edi\njne 1b\nret"
	}
	const lead = "nop\nnop\nnop" // three bytes of other code
	for _, c := range []struct {
		name, have, ship string
		offset           int // of the function in the kernel, bytes
		want             bool
	}{
		{"none and none", body(lead, ""), body(lead, ""), 0, true},
		{"to a boundary of the kernel", body(lead, ""), body(lead, ".skip 3, 0x90"), 5, true},
		{"to a boundary of the object", body("", ".skip 3, 0x90"), body("", ""), 0, true},
		{"to no boundary of the object", body("", ".skip 4, 0x90"), body("", ""), 0, false},
		{"a call in the padding's place", body("", "call g\n.skip 6, 0x90"), body("", ""), 0, false},
		{"aligned in both", body(lead, ".balign 8, 0x90"), body(lead, ".balign 8, 0x90"), 0, true},
		{"shifted by four in the kernel", body(lead, ""), body(lead, ".skip 4, 0x90"), 4, true},
		{"to no boundary", body(lead, ""), body(lead, ".skip 3, 0x90"), 0, false},
		{"other code in its place", body(lead, ""), body(lead, "push %rax\npop %rax\nnop\nnop"), 4, false},
	} {
		o := loadObject(t, assemble(t, function("f", c.have)))
		shipped := loadObject(t, assemble(t, function("f", c.ship)))
		a, code := atom(t, o, "f"), shipped.Code(atom(t, shipped, "f"))
		addr := uint64(0x1000 + c.offset)
		v := &linked{sections: []linkedSection{{addr, code}}, syms: []Symbol{{Name: "f", Addr: addr, Pos: 1, Count: 1}}}
		p := Find(o, v)
		if _, got := p.Funcs[a]; got != c.want {
			t.Errorf("%s: found %v, %v", c.name, got, p.Miss)
		}
		if c.want && p.Funcs[a].Size != uint64(len(code)) {
			t.Errorf("%s: %d bytes, want %d", c.name, p.Funcs[a].Size, len(code))
		}
	}
}
