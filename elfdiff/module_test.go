package elfdiff

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/klpforge/klpforge/elfobj"
	"github.com/klpforge/klpforge/finding"
)

// moduleResolver names the given symbols as those of a module, the rest as
// symbols of vmlinux.
func moduleResolver(module string, names ...string) Resolver {
	return func(e External) (string, error) {
		if slices.Contains(names, e.Name) {
			return ".klp.sym." + module + "." + e.Name + ",0", nil
		}
		return fakeResolver(e)
	}
}

// TestModuleSymbols: what the module loader reads when the livepatch loads
// cannot wait for a module that is loaded later.
func TestModuleSymbols(t *testing.T) {
	tests := []struct {
		fixture string
		symbols []string // in the module
		id      string   // of the refusal
		note    string   // of a problem beside success
		dropped string   // section that has one entry less
	}{
		{fixture: "one-line", symbols: []string{"state", "work"}},
		{fixture: "jump-label", symbols: []string{"key_a"}, id: "KLP105"},
		{fixture: "jump-label", symbols: []string{"work"}},
		{fixture: "static-call", symbols: []string{"__SCK__one", "__SCT__one"}, note: "KLP105", dropped: ".static_call_sites"},
		{fixture: "alternative-reloc", symbols: []string{"new_helper"}, id: "KLP111"},
		{fixture: "alternative-reloc", symbols: []string{"old_helper"}, id: "KLP111"},
		{fixture: "alternative-reloc", symbols: []string{"work"}},
		{fixture: "alternative-rip", symbols: []string{"flag"}, id: "KLP111"},
		{fixture: "paravirt", symbols: []string{"pv_ops"}, id: "KLP111"},
		{fixture: "paravirt", symbols: []string{"work"}},
		{fixture: "extable", symbols: []string{"work"}},
		{fixture: "bug-flags", symbols: []string{"work"}},
	}
	for _, tt := range tests {
		t.Run(tt.fixture+"/"+strings.Join(tt.symbols, ","), func(t *testing.T) {
			r := diffCase(t, tt.fixture)
			opt := ExtractOptions{Unit: "u.o", Object: "mod", Functions: replaceable(r), Resolve: fakeResolver}
			plain, err := r.Extract(opt)
			if err != nil {
				t.Fatal(err)
			}
			opt.Resolve = moduleResolver("mod", tt.symbols...)
			x, err := r.Extract(opt)
			if tt.id != "" {
				var p *finding.Finding
				if !errors.As(err, &p) || string(p.ID) != tt.id || p.Remedy == "" || p.Symbol == "" {
					t.Fatalf("error %#v, want %s naming the function and a remedy", err, tt.id)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if tt.note != "" && !slices.ContainsFunc(x.Problems, func(p finding.Finding) bool { return string(p.ID) == tt.note && p.Severity == finding.Note }) {
				t.Errorf("problems %+v, want a note %s", x.Problems, tt.note)
			}
			for _, row := range siteRows {
				want := size(plain.File, row.section)
				if row.section == tt.dropped {
					want = 0
				}
				if got := size(x.File, row.section); got != want {
					t.Errorf("%s has %d bytes, want %d", row.section, got, want)
				}
			}
			for _, s := range x.File.Symbols {
				if strings.HasPrefix(s.Name, ".klp.sym.mod.__SCK__") {
					t.Errorf("symbol %s remains although its entry was dropped", s.Name)
				}
			}
		})
	}
}

func size(f *elfobj.File, section string) uint64 {
	for i := range f.Sections {
		if f.Sections[i].Name == section {
			return f.Sections[i].Size
		}
	}
	return 0
}

// namesakes renames two local functions of a fixture to one name, which one
// source file cannot have but a linked object can.
func namesakes(t *testing.T, f *elfobj.File) *elfobj.File {
	t.Helper()
	for i := range f.Symbols {
		if n := f.Symbols[i].Name; n == "twin_a" || n == "twin_b" {
			f.Symbols[i].Name = "twin"
		}
	}
	return f
}

// TestNamesakes pairs functions of one name by their code.
func TestNamesakes(t *testing.T) {
	tests := []struct {
		fixture string
		want    []string
		symbols int // replacements
	}{
		{"twins-first", []string{"changed twin"}, 1},
		{"twins-second", []string{"changed twin"}, 1},
		{"twins-gone", []string{"changed f", "removed twin"}, 1},
		{"twins-both", []string{"changed twin", "changed twin"}, 2},
	}
	for _, tt := range tests {
		t.Run(tt.fixture, func(t *testing.T) {
			before, after := readObject(t, casePath(tt.fixture, "before.o")), readObject(t, casePath(tt.fixture, "after.o"))
			r, err := Diff(namesakes(t, before), namesakes(t, after))
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, ch := range r.Functions {
				got = append(got, string(ch.Kind)+" "+ch.Name)
				if ch.Kind == Changed && ch.Name == "twin" {
					// The section tells which of the two it was.
					if r.Orig.Section(ch.Orig) != r.Patched.Section(ch.Patched) {
						t.Errorf("%s was paired with %s", r.Orig.Section(ch.Orig), r.Patched.Section(ch.Patched))
					}
				}
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			x, err := extractAll(r)
			if err != nil {
				t.Fatal(err)
			}
			names := map[string]bool{}
			for _, n := range x.NewSymbols {
				names[n] = true
			}
			if len(names) != tt.symbols {
				t.Errorf("replacements %v, want %d different names", names, tt.symbols)
			}
		})
	}
}
