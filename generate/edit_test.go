package generate

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/klpforge/klpforge/elfobj"
)

// removable is a file in which everything refers to something.
func removable() *elfobj.File {
	return &elfobj.File{
		Sections: []elfobj.Section{{}, {Name: "a"}, {Name: "gone"},
			{Name: "b", Link: 1, Relocs: []elfobj.Reloc{{Off: 1, Sym: 1}, {Off: 2, Sym: 4}}, KlpRelocs: []elfobj.KlpRelocs{{Name: "k", Relocs: []elfobj.Reloc{{Off: 3, Sym: 4}}}}},
			{Name: "group", Group: 4, Members: []elfobj.SecID{1, 2, 3}},
			{Name: "order", Link: 3}},
		Symbols: []elfobj.Symbol{{}, {Name: "in a", Sec: 1}, {Name: "in gone", Sec: 2}, {Name: "dropped", Sec: elfobj.SecUndef}, {Name: "in b", Sec: 3},
			{Name: "absolute", Sec: elfobj.SecAbs}},
	}
}

// What stays keeps its references under new numbers; what refers to something that goes
// is an error, and then nothing has changed.
func TestRemove(t *testing.T) {
	sections := func(names ...string) func(*elfobj.Section) bool {
		return func(s *elfobj.Section) bool {
			return strings.Contains(" "+strings.Join(names, " ")+" ", " "+s.Name+" ")
		}
	}
	symbols := func(ids ...elfobj.SymID) func(elfobj.SymID) bool {
		return func(id elfobj.SymID) bool {
			for _, x := range ids {
				if x == id {
					return true
				}
			}
			return false
		}
	}

	f := removable()
	if err := remove(f, sections("gone"), symbols(3)); err != nil {
		t.Fatal(err)
	}
	want := &elfobj.File{
		Sections: []elfobj.Section{{}, {Name: "a"},
			{Name: "b", Link: 1, Relocs: []elfobj.Reloc{{Off: 1, Sym: 1}, {Off: 2, Sym: 2}}, KlpRelocs: []elfobj.KlpRelocs{{Name: "k", Relocs: []elfobj.Reloc{{Off: 3, Sym: 2}}}}},
			{Name: "group", Group: 2, Members: []elfobj.SecID{1, 2}},
			{Name: "order", Link: 2}},
		Symbols: []elfobj.Symbol{{}, {Name: "in a", Sec: 1}, {Name: "in b", Sec: 2}, {Name: "absolute", Sec: elfobj.SecAbs}},
	}
	read := cmpopts.IgnoreUnexported(elfobj.File{}) // how it was read
	equal := cmp.Transformer("members", func(in []elfobj.SecID) string {
		var out strings.Builder
		for _, m := range in {
			out.WriteByte('0' + byte(m))
		}
		return out.String()
	})
	if d := cmp.Diff(want, f, equal, read); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}

	for _, c := range []struct {
		name string
		secs []string
		syms []elfobj.SymID
		want string
	}{
		{"a section that another is linked to", []string{"b", "group"}, nil, "section order is linked to b, which is to be removed"},
		{"the first section", []string{"a", "b", "group", "order"}, nil, ""},
		{"the first section, to which one is linked", []string{"a", "group"}, nil, "section b is linked to a, which is to be removed"},
		{"a symbol that is referred to", nil, []elfobj.SymID{1}, `section b+0x1 refers to symbol "in a", which is to be removed`},
		{"a symbol with a livepatch relocation", nil, []elfobj.SymID{4}, `section b+0x2 refers to symbol "in b", which is to be removed`},
		{"the signature of a group", []string{"b", "order"}, nil, "section group group loses its signature"},
		{"symbol of no section", nil, []elfobj.SymID{5}, ""},
		{"the null symbol and section stay", []string{""}, []elfobj.SymID{0}, ""},
	} {
		f := removable()
		err := remove(f, sections(c.secs...), symbols(c.syms...))
		if got := errorText(err); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
		if d := cmp.Diff(removable(), f, equal, read); (d == "") != (err != nil || c.secs == nil && c.syms == nil || c.secs != nil && c.secs[0] == "") {
			t.Errorf("%s: %v, and changed\n%s", c.name, err, d)
		}
	}

	f = removable()
	f.Sections[3].Relocs, f.Sections[4].Group = nil, 1
	if err := remove(f, sections(), symbols(1)); errorText(err) != "section group group loses its signature" {
		t.Errorf("error %v", err)
	}

	// A livepatch relocation alone keeps its symbol.
	f = removable()
	f.Sections[3].Relocs = nil
	f.Sections[4].Group = 0
	if err := remove(f, sections(), symbols(4)); errorText(err) != `section b+0x3 refers to symbol "in b", which is to be removed` {
		t.Errorf("error %v", err)
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// What becomes an identifier of C, or part of a makefile, is bounded letter by letter.
func TestNames(t *testing.T) {
	for name, want := range map[string]bool{"": false, "a": true, "z": true, "A": true, "Z": true, "_": true, "a0": true, "a9": true, "_0": true, "0": false, "9a": false,
		"`": false, "{": false, "@": false, "[": false, "a/": false, "a:": false, "a-b": false, "a.b": false, "ä": false, "a b": false, "a\x00": false} {
		if got := isIdent(name); got != want {
			t.Errorf("isIdent(%q) is %v", name, got)
		}
	}
	for name, want := range map[string]bool{"": false, "6.1.0-18-amd64": true, "6.1.0+deb_x~rc1": true, "-6.1": false, "6..1": false, "0": true, "9": true, "a": true, "z": true, "A": true, "Z": true,
		"/": false, ":": false, "@": false, "[": false, "`": false, "{": false, "6 1": false, "6$1": false, "6\n": false, "é": false} {
		if got := isRelease(name); got != want {
			t.Errorf("isRelease(%q) is %v", name, got)
		}
	}
	names := namer{used: map[string]bool{}}
	for _, c := range [][2]string{{"new_f.isra.0", "new_f_isra_0"}, {"new_f_isra_0", "new_f_isra_0_2"}, {"new_f,isra/0", "new_f_isra_0_3"}, {"azAZ09_", "azAZ09_"}, {"`{@[/:", "______"}} {
		if got := names.name(c[0]); got != c[1] {
			t.Errorf("%q is %q, want %q", c[0], got, c[1])
		}
	}
	units := unitFiles("lp", []Unit{{Name: "lp.o"}, {Name: "lp_main.o"}, {Name: "lp.mod.o"}, {Name: "a/b-c.d.o"}, {Name: "../x.o"}, {Name: ".-y.o"}, {Name: "a b{`@[:.o"}, {Name: "z/Z.o"}})
	var got []string
	for _, u := range units {
		got = append(got, u.Name+" "+u.File)
	}
	want := []string{".-y.o y.o", "../x.o _x.o", "a b{`@[:.o a_b_____.o", "a/b-c.d.o a_b-c.d.o", "lp.mod.o lp.mod_2.o", "lp.o lp_2.o", "lp_main.o lp_main_2.o", "z/Z.o z_Z.o"}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("files of units (-want +got)\n%s", d)
	}
}

// The loader reads these sections when the livepatch comes, and frees or never looks at
// others later.
func TestLoadTimeSections(t *testing.T) {
	for name, want := range map[string]bool{
		".gnu.linkonce.this_module": true, "__jump_table": true, ".init": true, ".init.text": true, ".init.data": true, "__ksymtab": true, "__ksymtab_gpl": true, "__ksymtab_strings": true, "___ksymtab+f": true,
		".initcall": false, "init.text": false, ".text": false, ".data": false, "_ksymtab": false, ".rodata": false, "": false,
	} {
		if got := isLoadTimeSection(name); got != want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
