package elfdiff

import (
	"debug/elf"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/klpforge/klpforge/elfobj"
	"github.com/klpforge/klpforge/finding"
)

// TestMarks compares what the macros of a patch ask for with lines of after.c:
//
//	// marks: pre_patch f     f is registered; likewise the other callbacks
//	// marks: force f         f may switch while it runs
//	// pieces: f.cold g.cold  the functions have these pieces; none for none
func TestMarks(t *testing.T) {
	for _, name := range caseNames(t) {
		r := diffCase(t, name)
		var got []string
		for _, cb := range r.Callbacks() {
			got = append(got, cb.Kind+" "+r.Patched.Atoms[cb.Func].Name)
		}
		for _, fn := range r.Forced() {
			got = append(got, "force "+r.Patched.Atoms[fn].Name)
		}
		if d := cmp.Diff(sourceLines(t, name, "marks"), got); d != "" {
			t.Errorf("%s (-want +got)\n%s", name, d)
		}
		for _, want := range sourceLines(t, name, "pieces") {
			pieces := []string{}
			for _, at := range r.Patched.Atoms {
				if at.Parent >= 0 {
					pieces = append(pieces, at.Name)
				}
			}
			if want == "none" {
				want = ""
			}
			if d := cmp.Diff(strings.Fields(want), pieces); d != "" {
				t.Errorf("%s: pieces (-want +got)\n%s", name, d)
			}
		}
	}
}

// TestExtractCallbacks: callbacks travel under global names, with what they
// need, and the marks stay behind.
func TestExtractCallbacks(t *testing.T) {
	for _, name := range []string{"kpatch-callbacks", "klp-callbacks", "klp-callbacks-kernel", "kpatch-callback-only"} {
		r := diffCase(t, name)
		opt := ExtractOptions{Unit: "dir/unit.o", Object: "vmlinux", Functions: replaceable(r), Resolve: fakeResolver}
		for _, cb := range r.Callbacks() {
			opt.Keep = append(opt.Keep, cb.Func)
		}
		x, err := r.Extract(opt)
		if err != nil {
			t.Fatal(err)
		}
		for _, cb := range r.Callbacks() {
			want := "klp_dir_unit__" + r.Patched.Atoms[cb.Func].Name
			i := slices.IndexFunc(x.File.Symbols, func(s elfobj.Symbol) bool { return s.Name == want })
			if x.NewSymbols[cb.Func] != want || i < 0 || x.File.Symbols[i].Bind != elf.STB_GLOBAL || x.File.Symbols[i].Type != elf.STT_FUNC {
				t.Errorf("%s: %s is no global function of the object, but %q", name, want, x.NewSymbols[cb.Func])
			}
		}
		for _, s := range x.File.Sections {
			if strings.HasPrefix(s.Name, ".discard") {
				t.Errorf("%s: section %s travels", name, s.Name)
			}
		}
		if !slices.Contains(x.Externals, klpPrefix+"limit,0") {
			t.Errorf("%s: the existing variable is not the kernel's: %q", name, x.Externals)
		}
	}
}

// TestMarksHostile: marks whose relocations lead nowhere are problems.
func TestMarksHostile(t *testing.T) {
	for _, spoil := range []func(*elfobj.Reloc){
		func(r *elfobj.Reloc) { r.Sym = 0 },
		func(r *elfobj.Reloc) { r.Sym = 1 << 30 },
		func(r *elfobj.Reloc) { r.Addend = 1 },
		func(r *elfobj.Reloc) { r.Addend = -1 << 40 },
	} {
		for _, name := range []string{"kpatch-callbacks", "klp-callbacks-kernel"} {
			before, after := readObject(t, casePath(name, "before.o")), readObject(t, casePath(name, "after.o"))
			for i := range after.Sections {
				if s := &after.Sections[i]; strings.HasPrefix(s.Name, ".discard.klp") {
					spoil(&s.Relocs[0])
				}
			}
			r, err := Diff(before, after)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.ContainsFunc(r.Problems, func(p finding.Finding) bool { return p.ID == "KLP112" && p.Severity == finding.Error }) {
				t.Errorf("%s: no problem, but %v", name, r.Problems)
			}
		}
	}
}
