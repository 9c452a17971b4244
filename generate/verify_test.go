package generate_test

import (
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/klpforge/klpforge/elfobj"
	"github.com/klpforge/klpforge/finding"
	"github.com/klpforge/klpforge/generate"
	"github.com/klpforge/klpforge/plan"
)

// fakeTarget is a kernel in memory.
type fakeTarget struct {
	release, vermagic string
	objects           []string
	symbols           map[string]int // "object:name" to how many there are
	code              []byte
	size              uint64
	unstable          string // name of a symbol
	traceable, known  bool
	exports           map[string]export
	needs             map[string][]string
	closed            string // why no symbol may be called through a pointer; "" for all may
}

var _ generate.VerifyTarget = (*fakeTarget)(nil)

func newFakeTarget() *fakeTarget {
	return &fakeTarget{
		release: "6.1.0-test", vermagic: "6.1.0-test SMP modversions ",
		objects: []string{"ext4", "jbd2"},
		symbols: map[string]int{
			"vmlinux:show": 3, "vmlinux:hidden": 1, "vmlinux:twin": 2,
			"ext4:ext4_go": 1, "ext4:ext4_stop.isra.0": 2, "ext4:ext4_state": 1, "jbd2:jbd2_count": 1,
		},
		code: code, size: uint64(len(code)), traceable: true, known: true, exports: testExports(),
		needs: map[string][]string{"ext4": {"jbd2"}},
	}
}

func (f *fakeTarget) Release() string           { return f.release }
func (f *fakeTarget) Vermagic() (string, error) { return f.vermagic, nil }
func (f *fakeTarget) HasObject(o string) bool   { return slices.Contains(f.objects, o) }
func (f *fakeTarget) Needs(o string) ([]string, error) {
	return f.needs[o], nil
}
func (f *fakeTarget) Indirect(string, generate.ShippedSym) (string, error) { return f.closed, nil }
func (f *fakeTarget) Symbols(object, name string) ([]generate.ShippedSym, error) {
	if object != plan.Vmlinux && !f.HasObject(object) {
		return nil, fmt.Errorf("%s: no such module", object)
	}
	var out []generate.ShippedSym
	for i := range f.symbols[object+":"+name] {
		out = append(out, generate.ShippedSym{Addr: 0x1000, Size: f.size, Pos: i + 1, Unstable: name == f.unstable})
	}
	return out, nil
}
func (f *fakeTarget) Code(_ string, _ generate.ShippedSym, _ uint64) ([]byte, error) {
	return f.code, nil
}
func (f *fakeTarget) Traceable(string, generate.ShippedSym) (yes, known bool) {
	return f.traceable, f.known
}
func (f *fakeTarget) Export(name string) (generate.Export, bool) {
	e, ok := f.exports[name]
	return generate.Export{CRC: e.crc, Module: e.module, Namespace: e.ns}, ok
}

// goodModule is a finished module that fits newFakeTarget.
func goodModule(t *testing.T, gen string) []byte {
	ko, _ := finished(t, gen, nil)
	return ko
}

func TestVerifyGood(t *testing.T) {
	for _, g := range generations() {
		t.Run(g.name, func(t *testing.T) {
			t.Parallel()
			target := newFakeTarget()
			if !g.api.ImportNS {
				target.exports["helper"] = export{0x44444444, plan.Vmlinux, ""}
			}
			if !g.api.OldSympos {
				target.symbols["ext4:ext4_stop.isra.0"] = 1
			}
			problems, err := generate.Verify(goodModule(t, g.name), target)
			if err != nil {
				t.Fatal(err)
			}
			if len(problems) > 0 {
				t.Errorf("problems: %v", problems)
			}
		})
	}
}

// TestVerifyFires breaks one thing at a time. The good module is the twin that
// must stay silent (TestVerifyGood).
func TestVerifyFires(t *testing.T) {
	good := goodModule(t, "5.8")
	type want struct{ id, object, symbol string }
	cases := []struct {
		name   string
		target func(*fakeTarget)
		file   func(*testing.T, *elfobj.File)
		text   string // part of the message
		want   []want
	}{
		{name: "not traceable", target: func(k *fakeTarget) { k.traceable = false }, text: "ftrace cannot", want: []want{
			{"KLP101", "ext4", "ext4_go"}, {"KLP101", "ext4", "ext4_stop.isra.0"}, {"KLP101", "vmlinux", "show"}}},
		{name: "traceability unknown", target: func(k *fakeTarget) { k.known = false }, text: "unknown", want: []want{
			{"KLP101", "ext4", "ext4_go"}, {"KLP101", "ext4", "ext4_stop.isra.0"}, {"KLP101", "vmlinux", "show"}}},
		{name: "unwind data for some", file: func(t *testing.T, f *elfobj.File) { addUnwind(t, f, 1) }, text: "no unwind data", want: []want{
			{"KLP135", "ext4", "ext4_stop.isra.0"}, {"KLP135", "vmlinux", "show"}}},
		{name: "unwind data for all", file: func(t *testing.T, f *elfobj.File) { addUnwind(t, f, 3) }},
		{name: "unwind data from the padding on", file: func(t *testing.T, f *elfobj.File) {
			addUnwind(t, f, 3)
			table := &f.Sections[len(f.Sections)-1]
			// As if the last did not begin its section.
			f.Symbols[table.Relocs[2].Sym].Value += 16
			table.Relocs[2].Addend = -16
		}},
		{name: "function absent", target: func(k *fakeTarget) { k.symbols["vmlinux:show"] = 0 }, text: "no such symbol",
			want: []want{{"KLP107", "vmlinux", "show"}}},
		{name: "function position", target: func(k *fakeTarget) { k.symbols["vmlinux:show"] = 2 }, text: "number 3",
			want: []want{{"KLP107", "vmlinux", "show"}}},
		{name: "function ambiguous", target: func(k *fakeTarget) { k.symbols["ext4:ext4_go"] = 2 }, text: "2 symbols",
			want: []want{{"KLP107", "ext4", "ext4_go"}}},
		{name: "klp symbol absent", target: func(k *fakeTarget) { k.symbols["jbd2:jbd2_count"] = 0 }, text: "no such symbol",
			want: []want{{"KLP107", "jbd2", "jbd2_count"}}},
		{name: "klp symbol ambiguous", target: func(k *fakeTarget) { k.symbols["vmlinux:hidden"] = 2 }, text: "2 symbols",
			want: []want{{"KLP107", "vmlinux", "hidden"}}},
		{name: "klp symbol position", target: func(k *fakeTarget) { k.symbols["vmlinux:twin"] = 1 }, text: "number 2",
			want: []want{{"KLP107", "vmlinux", "twin"}}},
		{name: "unstable position", target: func(k *fakeTarget) { k.unstable = "jbd2_count" }, text: "is initialised",
			want: []want{{"KLP107", "jbd2", "jbd2_count"}}},
		{name: "shipped size", target: func(k *fakeTarget) { k.size++ }, text: "bytes", want: []want{
			{"KLP108", "ext4", "ext4_go"}, {"KLP108", "ext4", "ext4_stop.isra.0"}, {"KLP108", "vmlinux", "show"}}},
		{name: "shipped code", target: func(k *fakeTarget) { k.code = slices.Clone(code); k.code[9]++ }, text: "not the code", want: []want{
			{"KLP108", "ext4", "ext4_go"}, {"KLP108", "ext4", "ext4_stop.isra.0"}, {"KLP108", "vmlinux", "show"}}},
		{name: "shipped code short", target: func(k *fakeTarget) { k.size, k.code = 0, code[:3] }, text: "3 bytes", want: []want{
			{"KLP108", "ext4", "ext4_go"}, {"KLP108", "ext4", "ext4_stop.isra.0"}, {"KLP108", "vmlinux", "show"}}},
		{name: "shipped code differs where masked", target: func(k *fakeTarget) { k.code = slices.Clone(code); k.code[6]++ }},
		{name: "no such module", target: func(k *fakeTarget) { k.objects = []string{"jbd2"} }, text: "no module", want: []want{
			{"KLP116", "ext4", ""}, {"KLP116", "ext4", "ext4_state"}}},
		{name: "vermagic", target: func(k *fakeTarget) { k.vermagic = "6.1.0-test SMP preempt modversions " }, text: "vermagic",
			want: []want{{"KLP121", "", ""}}},
		{name: "release", target: func(k *fakeTarget) { k.release = "6.1.0-other" }, text: "was made for",
			want: []want{{"KLP121", "", ""}}},
		{name: "export gone", target: func(k *fakeTarget) { delete(k.exports, "helper") }, text: "does not export",
			want: []want{{"KLP122", "", "helper"}}},
		{name: "export gone, weak", target: func(k *fakeTarget) { delete(k.exports, "helper") }, file: func(t *testing.T, f *elfobj.File) {
			symbol(t, f, "helper").Bind = elf.STB_WEAK
		}},
		{name: "crc", target: func(k *fakeTarget) { k.exports["helper"] = export{1, plan.Vmlinux, "TEST_NS"} }, text: "0x44444444 in the module",
			want: []want{{"KLP106", "", "helper"}}},
		{name: "module_layout crc", target: func(k *fakeTarget) { k.exports["module_layout"] = export{1, plan.Vmlinux, ""} }, text: "in the kernel",
			want: []want{{"KLP106", "", "module_layout"}}},
		{name: "module_layout not exported", target: func(k *fakeTarget) { delete(k.exports, "module_layout") }, text: "every module's version is checked against it",
			want: []want{{"KLP106", "", "module_layout"}}},
		{name: "no version", file: func(t *testing.T, f *elfobj.File) { edit(t, f, "__versions", "helper\x00", "helpex\x00") }, text: "no version",
			want: []want{{"KLP106", "", "helper"}}},
		{name: "versions cut", file: func(t *testing.T, f *elfobj.File) {
			s := section(t, f, "__versions")
			s.Data = s.Data[:len(s.Data)-1]
		}, text: "no multiple", want: []want{{"KLP106", "", ""}}},
		{name: "kernel without modversions", target: func(k *fakeTarget) { k.vermagic = "6.1.0-test SMP " }, file: func(t *testing.T, f *elfobj.File) {
			edit(t, f, ".modinfo", "SMP modversions \x00", "SMP \x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00")
			edit(t, f, "__versions", "helper\x00", "helpex\x00")
		}},
		{name: "namespace", target: func(k *fakeTarget) { k.exports["helper"] = export{0x44444444, plan.Vmlinux, "OTHER"} }, text: "namespace OTHER",
			want: []want{{"KLP123", "", "helper"}}},
		{name: "exported by a patched module", target: func(k *fakeTarget) { k.exports["helper"] = export{0x44444444, "ext4", "TEST_NS"} }, text: "patched",
			want: []want{{"KLP126", "ext4", "helper"}}},
		{name: "exported by another module", target: func(k *fakeTarget) { k.exports["helper"] = export{0x44444444, "libcrc32c", "TEST_NS"} }, text: "before the livepatch",
			want: []want{{"KLP126", "libcrc32c", "helper"}}},
		{name: "depends", file: func(t *testing.T, f *elfobj.File) { edit(t, f, ".modinfo", "depends=\x00", "depends=ext4,x\x00") }, text: "depends",
			want: []want{{"KLP126", "ext4", ""}}},
		{name: "depends on others", file: func(t *testing.T, f *elfobj.File) { edit(t, f, ".modinfo", "depends=\x00", "depends=x\x00") }},
		{name: "module not needed", target: func(k *fakeTarget) { k.needs = nil }, text: "need not be loaded",
			want: []want{{"KLP409", "jbd2", "jbd2_count"}}},
		{name: "addresses taken", target: func(k *fakeTarget) { k.closed = "is sealed" }, text: "the function is sealed", want: []want{
			{"KLP119", "ext4", "ext4_state"}, {"KLP119", "jbd2", "jbd2_count"}, {"KLP119", "vmlinux", "hidden"}, {"KLP119", "vmlinux", "twin"}}}, // helper is called directly
		{name: "addresses taken of the bounds of text", target: func(k *fakeTarget) {
			k.closed = "is sealed"
			k.symbols["vmlinux:_text"], k.symbols["vmlinux:__entry_text_end"] = 1, 2
		}, file: func(t *testing.T, f *elfobj.File) {
			symbol(t, f, ".klp.sym.vmlinux.hidden,0").Name = ".klp.sym.vmlinux._text,0"
			symbol(t, f, ".klp.sym.vmlinux.twin,2").Name = ".klp.sym.vmlinux.__entry_text_end,2"
		}, text: "the function is sealed", want: []want{{"KLP119", "ext4", "ext4_state"}, {"KLP119", "jbd2", "jbd2_count"}}},
		{name: "livepatch tag", file: func(t *testing.T, f *elfobj.File) { edit(t, f, ".modinfo", "livepatch=Y", "livepatch=N") }, text: "livepatch is",
			want: []want{{"KLP120", "", ""}}},
		{name: "license", file: func(t *testing.T, f *elfobj.File) { edit(t, f, ".modinfo", "license=GPL\x00", "license=MIT\x00") }, text: "license is",
			want: []want{{"KLP120", "", ""}}},
		{name: "no license", file: func(t *testing.T, f *elfobj.File) { edit(t, f, ".modinfo", "license=GPL\x00", "license_GPL\x00") }, text: "no license",
			want: []want{{"KLP120", "", ""}}},
		{name: "other function in the table", file: func(t *testing.T, f *elfobj.File) { editAny(t, f, "\x00ext4_go\x00", "\x00ext4_no\x00") }, text: "replace",
			want: []want{{"KLP124", "ext4", "ext4_go"}, {"KLP124", "ext4", "ext4_no"}}},
		{name: "other object in the table", file: func(t *testing.T, f *elfobj.File) { editAny(t, f, "\x00jbd2\x00", "\x00jbd3\x00") }, text: "the note",
			want: []want{{"KLP124", "jbd2", ""}, {"KLP124", "jbd3", ""}}},
		{name: "other replacement", file: func(t *testing.T, f *elfobj.File) { swapSymbols(t, f, "new_ext4", "new_show") }, text: "show", want: []want{
			{"KLP124", "ext4", "ext4_go"}, {"KLP124", "ext4", "ext4_go"}, {"KLP409", "ext4", "ext4_state"}, {"KLP409", "jbd2", "jbd2_count"},
			{"KLP124", "vmlinux", "show"}, {"KLP124", "vmlinux", "show"}}},
		{name: "replacement is data", file: func(t *testing.T, f *elfobj.File) { symbol(t, f, "new_show").Type = elf.STT_OBJECT }, text: "no function",
			want: []want{{"KLP124", "vmlinux", "show"}}},
		{name: "position in the table", file: func(t *testing.T, f *elfobj.File) {
			s := symbol(t, f, "funcs_vmlinux")
			sec := &f.Sections[s.Sec]
			sec.Data = slices.Clone(sec.Data)
			sec.Data[s.Value+16]++
		}, text: "show,", want: []want{{"KLP124", "vmlinux", "show"}, {"KLP124", "vmlinux", "show"}}},
		{name: "replace flag", file: func(t *testing.T, f *elfobj.File) {
			s := symbol(t, f, "patch")
			sec := &f.Sections[s.Sec]
			sec.Data = slices.Clone(sec.Data)
			sec.Data[s.Value+24] = 0
		}, text: "replace is false", want: []want{{"KLP124", "", ""}}},
		{name: "state version", file: func(t *testing.T, f *elfobj.File) {
			s := symbol(t, f, "states")
			sec := &f.Sections[s.Sec]
			sec.Data = slices.Clone(sec.Data)
			sec.Data[s.Value+8]++
		}, text: "states are", want: []want{{"KLP124", "", ""}}},
		{name: "callback", file: func(t *testing.T, f *elfobj.File) { symbol(t, f, "ext4_pre").Name = "ext4_prx" }, text: "pre-patch callback",
			want: []want{{"KLP124", "ext4", "ext4_pre"}, {"KLP124", "ext4", "ext4_prx"}}},
		{name: "no klp_patch", file: func(t *testing.T, f *elfobj.File) { symbol(t, f, "__this_module").Name = "other" }, text: "no klp_patch",
			want: []want{{"KLP124", "", ""}}},
		{name: "no note", file: func(t *testing.T, f *elfobj.File) { section(t, f, ".note.klpforge").Name = ".note.other" }, text: "not finished",
			want: []want{{"KLP124", "", ""}}},
		{name: "bad note", file: func(t *testing.T, f *elfobj.File) {
			edit(t, f, ".note.klpforge", "klpforge.module/v1", "klpforge.module/v9")
		}, text: "schema",
			want: []want{{"KLP124", "", ""}}},
		{name: "klp symbol still undefined", file: func(t *testing.T, f *elfobj.File) {
			f.Symbols = append(f.Symbols, elfobj.Symbol{Name: ".klp.sym.vmlinux.hidden,0", Bind: elf.STB_GLOBAL})
		}, text: "still undefined", want: []want{{"KLP122", "", ".klp.sym.vmlinux.hidden,0"}}},
		{name: "malformed klp symbol", file: func(t *testing.T, f *elfobj.File) {
			symbol(t, f, ".klp.sym.vmlinux.hidden,0").Name = ".klp.sym.vmlinux.hidden"
		}, text: "position", want: []want{{"KLP125", "", ".klp.sym.vmlinux.hidden"}}},
		{name: "ordinary relocation", file: func(t *testing.T, f *elfobj.File) {
			s := section(t, f, ".text")
			s.Relocs = append(s.Relocs, table(t, s, ".klp.rela.ext4.text").Relocs[0])
			s.SortRelocs()
		}, text: "ordinary relocation", want: []want{{"KLP125", "", ".klp.sym.ext4.ext4_state,0"}}},
		{name: "not a klp symbol", file: func(t *testing.T, f *elfobj.File) {
			symbol(t, f, ".klp.sym.vmlinux.twin,2").Sec = elfobj.SecAbs
		}, text: "not marked", want: []want{{"KLP125", "vmlinux", ".klp.sym.vmlinux.twin,2"}}},
		{name: "symbol of another object", file: func(t *testing.T, f *elfobj.File) {
			table(t, section(t, f, ".text"), ".klp.rela.jbd2.text").Name = ".klp.rela.ext4.text"
		}, text: "refers to a symbol of jbd2", want: []want{{"KLP125", "ext4", "jbd2_count"}}},
		{name: "object that is not patched", file: func(t *testing.T, f *elfobj.File) {
			table(t, section(t, f, ".text"), ".klp.rela.jbd2.text").Name = ".klp.rela.quota.text"
		}, text: "", want: []want{{"KLP125", "quota", ".klp.rela.quota.text"}, {"KLP125", "quota", "jbd2_count"}}},
		{name: "nameless table", file: func(t *testing.T, f *elfobj.File) {
			table(t, section(t, f, ".text"), ".klp.rela.jbd2.text").Name = ".klp.rela.jbd2"
		}, text: "object name", want: []want{{"KLP125", "", ".klp.rela.jbd2"}}},
		{name: "place not zero", file: func(t *testing.T, f *elfobj.File) {
			s := section(t, f, ".text")
			s.Data = slices.Clone(s.Data)
			s.Data[table(t, s, ".klp.rela.jbd2.text").Relocs[0].Off] = 1
		}, text: "not zero", want: []want{{"KLP125", "jbd2", ".klp.sym.jbd2.jbd2_count,0"}}},
		{name: "section not loaded", file: func(t *testing.T, f *elfobj.File) {
			f.Sections = append(f.Sections, elfobj.Section{Name: ".extra", Type: elf.SHT_PROGBITS, Data: make([]byte, 8), Size: 8,
				KlpRelocs: []elfobj.KlpRelocs{{Name: ".klp.rela.ext4.extra", Relocs: []elfobj.Reloc{
					{Sym: symbolID(t, f, ".klp.sym.ext4.ext4_state,0"), Type: uint32(elf.R_X86_64_64)}}}}})
		}, text: "not loaded", want: []want{{"KLP125", "ext4", ".klp.rela.ext4.extra"}}},
		{name: "module's symbol in the jump table", file: jumpTable("ext4", ".klp.sym.ext4.ext4_state,0"), text: "static key",
			want: []want{{"KLP111", "ext4", "__jump_table"}}},
		{name: "vmlinux's symbol in the jump table", file: jumpTable("vmlinux", ".klp.sym.vmlinux.hidden,0")},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			target, ko := newFakeTarget(), good
			if c.target != nil {
				c.target(target)
			}
			if c.file != nil {
				f := parse(t, bytes.Clone(good))
				c.file(t, f)
				var err error
				if ko, err = f.Write(); err != nil {
					t.Fatal(err)
				}
			}
			problems, err := generate.Verify(ko, target)
			if err != nil {
				t.Fatal(err)
			}
			var got []want
			text := ""
			for _, p := range problems {
				got = append(got, want{string(p.ID), p.Object, p.Symbol})
				text += p.Message + p.Remedy
			}
			if diff := cmp.Diff(c.want, got, cmp.AllowUnexported(want{})); diff != "" {
				t.Errorf("problems (-want +got):\n%s%v", diff, problems)
			}
			if !strings.Contains(text, c.text) {
				t.Errorf("no message says %q: %v", c.text, problems)
			}
		})
	}
}

func TestVerifyOldKernel(t *testing.T) {
	// Before 5.8 even vmlinux's relocations come too late for the jump table.
	ko := goodModule(t, "5.5")
	f := parse(t, ko)
	jumpTable("vmlinux", ".klp.sym.vmlinux.hidden,0")(t, f)
	ko, err := f.Write()
	if err != nil {
		t.Fatal(err)
	}
	problems, err := generate.Verify(ko, newFakeTarget())
	if err != nil {
		t.Fatal(err)
	}
	if len(problems) != 1 || problems[0].ID != finding.IDLoadTime {
		t.Errorf("problems: %v", problems)
	}
}

func TestVerifyBadInput(t *testing.T) {
	needCompiler(t)
	if _, err := generate.Verify([]byte("x"), newFakeTarget()); !errors.Is(err, elfobj.ErrNotObject) {
		t.Errorf("error %v, want ErrNotObject", err)
	}
	if _, err := generate.Verify(compile(t, showUnit), newFakeTarget()); !errors.Is(err, generate.ErrNotModule) {
		t.Errorf("error %v, want ErrNotModule", err)
	}
}

// A mask that lies outside of the code it belongs to is told.
func TestVerifyBadMask(t *testing.T) {
	ko, _ := finished(t, "5.8", func(in *generate.Input) {
		in.Plan.Objects[1].Funcs[0].Shipped.Masks = []plan.Range{{Off: 10, Len: 4}}
	})
	problems, err := generate.Verify(ko, newFakeTarget())
	if err != nil || len(problems) != 1 || problems[0].ID != finding.IDShippedCode || problems[0].Symbol != "show" ||
		!strings.Contains(problems[0].Message, "mask of 4 bytes at 0xa lies outside the function of 12 bytes") {
		t.Errorf("%v, %v", problems, err)
	}
}

func TestFingerprint(t *testing.T) {
	for _, masks := range [][][2]uint64{{{0, 13}}, {{12, 1}}, {{1 << 63, 1 << 63}}, {{4, 1<<64 - 1}}} {
		if _, err := generate.Fingerprint(code, masks); err == nil {
			t.Errorf("masks %v outside the function are accepted", masks)
		}
	}
	a, err1 := generate.Fingerprint(code, nil)
	b, err2 := generate.Fingerprint(code, [][2]uint64{{12, 0}, {5, 0}})
	if err := errors.Join(err1, err2); err != nil || a != b {
		t.Errorf("empty masks: %s and %s, %v", a, b, err)
	}
}

func jumpTable(object, name string) func(*testing.T, *elfobj.File) {
	return func(t *testing.T, f *elfobj.File) {
		f.Sections = append(f.Sections, elfobj.Section{Name: "__jump_table", Type: elf.SHT_PROGBITS, Flags: elf.SHF_ALLOC | elf.SHF_WRITE,
			Data: make([]byte, 16), Size: 16,
			KlpRelocs: []elfobj.KlpRelocs{{Name: ".klp.rela." + object + ".__jump_table", Relocs: []elfobj.Reloc{
				{Off: 8, Sym: symbolID(t, f, name), Type: uint32(elf.R_X86_64_PC64)}}}}})
	}
}

func symbolID(t *testing.T, f *elfobj.File, name string) elfobj.SymID {
	for i, s := range f.Symbols {
		if s.Name == name {
			return elfobj.SymID(i)
		}
	}
	t.Fatalf("no symbol %s", name)
	return 0
}

func symbol(t *testing.T, f *elfobj.File, name string) *elfobj.Symbol {
	return &f.Symbols[symbolID(t, f, name)]
}

func swapSymbols(t *testing.T, f *elfobj.File, a, b string) {
	x, y := symbol(t, f, a), symbol(t, f, b)
	x.Name, y.Name = y.Name, x.Name
}

func section(t *testing.T, f *elfobj.File, name string) *elfobj.Section {
	for i := range f.Sections {
		if f.Sections[i].Name == name {
			return &f.Sections[i]
		}
	}
	t.Fatalf("no section %s", name)
	return nil
}

func table(t *testing.T, s *elfobj.Section, name string) *elfobj.KlpRelocs {
	for i := range s.KlpRelocs {
		if s.KlpRelocs[i].Name == name {
			return &s.KlpRelocs[i]
		}
	}
	t.Fatalf("no table %s", name)
	return nil
}

// edit replaces the only occurrence of old in the section.
func edit(t *testing.T, f *elfobj.File, name, old, newer string) {
	s := section(t, f, name)
	if n := bytes.Count(s.Data, []byte(old)); n != 1 {
		t.Fatalf("%q occurs %d times in %s", old, n, name)
	}
	s.Data = bytes.Replace(s.Data, []byte(old), []byte(newer), 1)
}

// editAny is edit in the one string section that has old.
func editAny(t *testing.T, f *elfobj.File, old, newer string) {
	for _, s := range f.Sections {
		if s.Flags&elf.SHF_STRINGS != 0 && s.Flags&elf.SHF_ALLOC != 0 && bytes.Contains(s.Data, []byte(old)) {
			edit(t, f, s.Name, old, newer)
			return
		}
	}
	t.Fatalf("no section has %q", old)
}

// TestDamagedModules: whatever a file holds, there is a result or an error.
func TestDamagedModules(t *testing.T) {
	linkedKO, m, _ := linked(t, "5.8", nil)
	good, err := generate.PostLink(linkedKO, m)
	if err != nil {
		t.Fatal(err)
	}
	target := newFakeTarget()
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range 4000 {
		b := bytes.Clone(good)
		if i%8 == 0 {
			b = b[:rng.IntN(len(b))]
		}
		for range 1 + i%4 {
			if len(b) > 0 {
				b[rng.IntN(len(b))] ^= byte(1 + rng.IntN(255))
			}
		}
		if problems, err := generate.Verify(b, target); err != nil && problems != nil {
			t.Errorf("damage %d: problems and error %v", i, err)
		}
		if out, err := generate.PostLink(b, m); (out == nil) == (err == nil) {
			t.Errorf("damage %d: %d bytes and error %v", i, len(out), err)
		}
	}
}

// addUnwind gives a module a table of unwind data that names the starts of its first n
// replacements, by their names.
func addUnwind(t *testing.T, f *elfobj.File, n int) {
	t.Helper()
	table := elfobj.Section{Name: ".orc_unwind_ip", Type: elf.SHT_PROGBITS, Flags: elf.SHF_ALLOC, Align: 4}
	var ids []elfobj.SymID
	for i, s := range f.Symbols {
		if s.Type == elf.STT_FUNC && s.Sec > 0 && strings.HasPrefix(s.Name, "new_") {
			ids = append(ids, elfobj.SymID(i))
		}
	}
	slices.SortFunc(ids, func(a, b elfobj.SymID) int { return strings.Compare(f.Symbols[a].Name, f.Symbols[b].Name) })
	if len(ids) < n {
		var names []string
		for _, s := range f.Symbols {
			names = append(names, s.Name)
		}
		t.Fatalf("%d replacements in %q, want %d", len(ids), names, n)
	}
	for i, id := range ids[:n] {
		table.Relocs = append(table.Relocs, elfobj.Reloc{Off: uint64(4 * i), Type: uint32(elf.R_X86_64_PC32), Sym: id})
	}
	table.Data = make([]byte, 4*n)
	table.Size = uint64(len(table.Data))
	f.Sections = append(f.Sections, table)
}
