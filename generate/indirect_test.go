package generate_test

import (
	"debug/elf"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/klpforge/klpforge/elfobj"
	"github.com/klpforge/klpforge/finding"
	"github.com/klpforge/klpforge/generate"
	"github.com/klpforge/klpforge/plan"
)

// closedTarget lets no function be called through a pointer, and names those it was asked about.
type closedTarget struct {
	*fakeTarget
	asked  []string
	broken error
}

func (k *closedTarget) Indirect(object string, sym generate.ShippedSym) (string, error) {
	k.asked = append(k.asked, fmt.Sprintf("%s %d", object, sym.Pos))
	return "has no endbr64", k.broken
}

// taking is a file whose section refers to undefined symbols, one every eight bytes, by
// their whole addresses.
func taking(section string, flags elf.SectionFlag, symbols ...string) *elfobj.File {
	f := &elfobj.File{Machine: elf.EM_X86_64, Type: elf.ET_REL, Symbols: []elfobj.Symbol{{}, {Name: "table", Type: elf.STT_OBJECT, Sec: 1, Value: 8, Size: 8}},
		Sections: []elfobj.Section{{}, {Name: section, Type: elf.SHT_PROGBITS, Flags: flags, Data: make([]byte, 8*len(symbols)), Size: uint64(8 * len(symbols))}}}
	for i, name := range symbols {
		f.Symbols = append(f.Symbols, elfobj.Symbol{Name: name, Bind: elf.STB_GLOBAL})
		f.Sections[1].Relocs = append(f.Sections[1].Relocs, elfobj.Reloc{Off: uint64(8 * i), Type: uint32(elf.R_X86_64_64), Sym: elfobj.SymID(len(f.Symbols) - 1)})
	}
	return f
}

// A function whose address the livepatch is the first to take must be one that may be
// called through a pointer; what nobody calls through is not asked about.
func TestCheckIndirect(t *testing.T) {
	const data = elf.SHF_ALLOC | elf.SHF_WRITE
	for _, c := range []struct {
		name  string
		file  *elfobj.File
		want  []string // object, symbol, and where its address is taken
		asked []string
	}{
		{"exported", taking(".data", data, "helper"), []string{"vmlinux helper: .data+0x0"}, []string{"vmlinux 1"}},
		{"in a variable, up to its end", taking(".data", data, "none", "helper", "show"), []string{"vmlinux helper: table", "vmlinux show: .data+0x10"}, []string{"vmlinux 1", "vmlinux 1"}},
		{"twice", taking(".data", data, "helper", "helper"), []string{"vmlinux helper: .data+0x0", "vmlinux helper: table"}, []string{"vmlinux 1", "vmlinux 1"}},
		{"livepatch symbol, by its position", taking(".data", data, ".klp.sym.vmlinux.show,2"), []string{"vmlinux show: .data+0x0"}, []string{"vmlinux 2"}},
		{"livepatch symbol of a module", taking(".data", data, ".klp.sym.ext4.ext4_go,0"), []string{"ext4 ext4_go: .data+0x0"}, []string{"ext4 1"}},
		{"of a module that is not there", taking(".data", data, ".klp.sym.xfs.xfs_go,0"), nil, nil},
		{"position that is not there", taking(".data", data, ".klp.sym.vmlinux.show,4"), nil, nil},
		{"last position", taking(".data", data, ".klp.sym.vmlinux.show,3"), []string{"vmlinux show: .data+0x0"}, []string{"vmlinux 3"}},
		{"malformed", taking(".data", data, ".klp.sym.vmlinux.show", "helper"), []string{"vmlinux helper: table"}, []string{"vmlinux 1"}},
		{"not exported", taking(".data", data, "unknown", "helper"), []string{"vmlinux helper: table"}, []string{"vmlinux 1"}},
		{"exported by a module", taking(".data", data, "ext4_api"), []string{"ext4 ext4_api: .data+0x0"}, []string{"ext4 1"}},
		{"bounds of text", taking(".data", data, ".klp.sym.vmlinux._text,0", ".klp.sym.vmlinux._stext,0", ".klp.sym.vmlinux._etext,0", ".klp.sym.vmlinux._sinittext,0",
			".klp.sym.vmlinux._einittext,0", ".klp.sym.vmlinux.__entry_text_start,0", ".klp.sym.vmlinux.__entry_text_end,0"), nil, nil},
		{"named nearly so", taking(".data", data, ".klp.sym.vmlinux.entry_text_end,0", ".klp.sym.vmlinux.__text_mid,0"),
			[]string{"vmlinux entry_text_end: .data+0x0", "vmlinux __text_mid: table"}, []string{"vmlinux 1", "vmlinux 1"}},
		{"module's function of such a name", taking(".data", data, ".klp.sym.ext4._text,0"), []string{"ext4 _text: .data+0x0"}, []string{"ext4 1"}},
		{"not loaded", taking(".debug_info", 0, "helper"), nil, nil},
		{"discarded", taking(".discard.addressable", data, "helper"), nil, nil},
		{"another architecture", func() *elfobj.File { f := taking(".data", data, "helper"); f.Machine = elf.EM_AARCH64; return f }(), nil, nil},
		{"no symbol", func() *elfobj.File { f := taking(".data", data, "helper"); f.Sections[1].Relocs[0].Sym = 0; return f }(), nil, nil},
		{"its own", func() *elfobj.File { f := taking(".data", data, "helper"); f.Symbols[2].Sec = 1; return f }(), nil, nil},
		{"by a livepatch relocation", func() *elfobj.File {
			f := taking(".data", data, ".klp.sym.vmlinux.show,3")
			f.Sections[1].KlpRelocs, f.Sections[1].Relocs = []elfobj.KlpRelocs{{Relocs: f.Sections[1].Relocs}}, nil
			f.Symbols[2].Sec = elfobj.SecLivepatch
			return f
		}(), []string{"vmlinux show: .data+0x0"}, []string{"vmlinux 3"}},
		{"in code", func() *elfobj.File {
			f := taking(".text", elf.SHF_ALLOC|elf.SHF_EXECINSTR, "helper")
			f.Sections[1].Data = []byte{0x48, 0x8d, 0x05, 0, 0, 0, 0, 0xc3} // lea helper(%rip), %rax
			f.Sections[1].Relocs[0] = elfobj.Reloc{Off: 3, Addend: -4, Type: uint32(elf.R_X86_64_PC32), Sym: 2}
			f.Symbols[1] = elfobj.Symbol{Name: "new_f", Type: elf.STT_FUNC, Sec: 1, Size: 8}
			return f
		}(), []string{"vmlinux helper: new_f"}, []string{"vmlinux 1"}},
		{"called", func() *elfobj.File {
			f := taking(".text", elf.SHF_ALLOC|elf.SHF_EXECINSTR, "helper")
			f.Sections[1].Data = []byte{0xe8, 0, 0, 0, 0, 0x90, 0x90, 0xc3}
			f.Sections[1].Relocs[0] = elfobj.Reloc{Off: 1, Addend: -4, Type: uint32(elf.R_X86_64_PLT32), Sym: 2}
			return f
		}(), nil, nil},
	} {
		k := newFakeTarget()
		for _, name := range []string{"vmlinux:helper", "vmlinux:_text", "vmlinux:_stext", "vmlinux:_etext", "vmlinux:_sinittext", "vmlinux:_einittext",
			"vmlinux:__entry_text_start", "vmlinux:__entry_text_end", "vmlinux:entry_text_end", "vmlinux:__text_mid", "ext4:_text", "ext4:ext4_api", "xfs:xfs_go"} {
			k.symbols[name] = 1
		}
		k.exports["ext4_api"], k.exports["show"] = export{1, "ext4", ""}, export{1, plan.Vmlinux, ""}
		target := &closedTarget{fakeTarget: k}
		found, err := generate.CheckIndirect(c.file, target)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		var got []string
		for _, f := range found {
			where, _, _ := strings.Cut(f.Message, " takes its address")
			got = append(got, f.Object+" "+f.Symbol+": "+where)
			if f.ID != finding.IDIndirect || f.Severity != finding.Error || f.Remedy == "" || !strings.Contains(f.Message, "the function has no endbr64, so a call") {
				t.Errorf("%s: %+v", c.name, f)
			}
		}
		if d := cmp.Diff(c.want, got); d != "" {
			t.Errorf("%s (-want +got)\n%s", c.name, d)
		}
		if d := cmp.Diff(c.asked, target.asked); d != "" {
			t.Errorf("%s: asked about (-want +got)\n%s", c.name, d)
		}
	}

	// objtool asks nobody to call through these.
	for _, section := range []string{".altinstructions", ".call_sites", ".cfi_sites", ".ibt_endbr_seal", ".kcfi_traps", ".orc_unwind_ip", ".parainstructions", ".retpoline_sites",
		".return_sites", ".smp_locks", ".static_call_sites", "__bug_table", "__ex_table", "__jump_table", "__mcount_loc", "__patchable_function_entries",
		"_error_injection_whitelist", "_kprobe_blacklist"} {
		k := newFakeTarget()
		k.symbols["vmlinux:helper"] = 1
		found, err := generate.CheckIndirect(taking(section, data, "helper"), &closedTarget{fakeTarget: k})
		if err != nil || len(found) > 0 {
			t.Errorf("%s: %v, %v", section, found, err)
		}
	}
	k := newFakeTarget()
	k.symbols["vmlinux:helper"] = 1
	broken := errors.New("cannot read")
	if _, err := generate.CheckIndirect(taking(".data", data, "helper"), &closedTarget{fakeTarget: k, broken: broken}); !errors.Is(err, broken) {
		t.Errorf("error %v", err)
	}
	if _, err := generate.CheckIndirect(taking(".data", data, "helper"), &failingTarget{fakeTarget: k, fail: "symbols"}); !errors.Is(err, errTarget) {
		t.Errorf("error %v", err)
	}
}

var errTarget = errors.New("the target cannot be read")

// failingTarget cannot answer one kind of question.
type failingTarget struct {
	*fakeTarget
	fail string
}

func (k *failingTarget) failed(what string) error {
	if k.fail == what {
		return errTarget
	}
	return nil
}

func (k *failingTarget) Vermagic() (string, error) { return k.vermagic, k.failed("vermagic") }
func (k *failingTarget) Needs(o string) ([]string, error) {
	return k.needs[o], k.failed("needs")
}
func (k *failingTarget) Symbols(object, name string) ([]generate.ShippedSym, error) {
	list, err := k.fakeTarget.Symbols(object, name)
	return list, errors.Join(err, k.failed("symbols"), k.failed("symbols of "+object+":"+name))
}
func (k *failingTarget) Code(string, generate.ShippedSym, uint64) ([]byte, error) {
	return k.code, k.failed("code")
}
func (k *failingTarget) Indirect(string, generate.ShippedSym) (string, error) {
	return "", k.failed("indirect")
}
func (k *failingTarget) TypesDigest(string) (source, digest string, err error) {
	return "", "", k.failed("types")
}

// A target that cannot be read is no module that fits.
func TestVerifyTargetFails(t *testing.T) {
	ko, _ := finished(t, "5.8", func(in *generate.Input) {
		in.Plan.Types = []plan.Types{{Object: plan.Vmlinux, Source: "BTF", Digest: "11"}}
	})
	for _, what := range []string{"vermagic", "needs", "symbols", "code", "indirect", "types", "symbols of vmlinux:show", "symbols of vmlinux:hidden"} {
		if problems, err := generate.Verify(ko, &failingTarget{newFakeTarget(), what}); !errors.Is(err, errTarget) || problems != nil {
			t.Errorf("%s: %v, %v", what, problems, err)
		}
	}
	if _, err := generate.Verify(ko, &failingTarget{newFakeTarget(), ""}); err != nil {
		t.Error(err)
	}
}
