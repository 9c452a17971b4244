package elfdiff

import (
	"strings"
	"testing"
)

func TestStem(t *testing.T) {
	tests := []struct{ name, base, marks string }{
		{"f", "f", ""},
		{"buf.12", "buf", ".N"},
		{"foo.isra.0", "foo", ".isra"},
		{"foo.isra.0.cold", "foo", ".isra.cold"},
		{"foo.constprop.0.isra.0", "foo", ".constprop.isra"},
		{"foo.part.3", "foo", ".part"},
		{"foo.cold", "foo", ".cold"},
		{"foo.cold.7", "foo", ".cold"},
		{"foo.lto_priv.0", "foo", ".lto_priv"},
		{"foo.llvm.1234567890", "foo", ".llvm"},
		{"__func__.41", "__func__", ".N"},
		{"__UNIQUE_ID_ddebug45.3", "__UNIQUE_ID_ddebug#", "#.N"},
		{"__UNIQUE_ID_author123", "__UNIQUE_ID_author#", "#"},
		{"__UNIQUE_ID_a0b9c1x", "__UNIQUE_ID_a#b#c#x", "#"},
		{"__BTF_ID__struct__file__99", "__BTF_ID__struct__file__#", "#"},
		{"__initcall__kmod_x__12_3_f6", "__initcall__kmod_x__#_#_f#", "#"},
		{"__exitcall_f9", "__exitcall_f#", "#"}, {"__setup_f0", "__setup_f#", "#"}, {"__addressable_f90", "__addressable_f#", "#"},
		{"__UNIQUE_ID_", "__UNIQUE_ID_", ""}, {"__unique_id_9", "__unique_id_9", ""},
		{"f.1.2", "f", ".N.N"}, {"f.9", "f", ".N"}, {"f.0x", "0x", ".F"}, {".isra.0", ".isra", ".N"}, {"f.a.1.2", "f.a", ".N.N"},
		{"v2", "v2", ""},
		{"f.buf", "buf", ".F"},
		{"f.buf.12", "buf", ".F.N"},
		{"f.specialized.1", "f", ".specialized"},
		{"f.__uniq.123456.llvm.7", "f", ".__uniq.llvm"},
		{"f.buf.llvm.7", "f.buf", ".llvm"},
		{".LC0", ".LC0", ""},
		{".", ".", ""},
		{"", "", ""},
		{"a.", "a.", ""},
		{"isra.isra.0", "isra", ".isra"},
	}
	for _, tt := range tests {
		if base, marks := stem(tt.name); base != tt.base || marks != tt.marks {
			t.Errorf("stem(%q) = %q, %q; want %q, %q", tt.name, base, marks, tt.base, tt.marks)
		}
	}
}

func TestFragments(t *testing.T) {
	tests := []struct {
		name, parent string
		frag, cold   bool
	}{
		{"f", "", false, false},
		{"f.cold", "f", true, true},
		{"f.cold.3", "f", true, true},
		{"f.isra.0.cold", "f.isra.0", true, true},
		{"f.part.0", "f", true, false},
		{"f.part.0.cold", "f.part.0", true, true},
		{"f.colder", "", false, false},
		{".cold", "", false, false},
		{"f.particle", "", false, false},
	}
	for _, tt := range tests {
		parent, frag := fragmentParent(tt.name)
		if parent != tt.parent || frag != tt.frag || isCold(tt.name) != tt.cold {
			t.Errorf("%s: %q, %v, cold %v; want %q, %v, %v", tt.name, parent, frag, isCold(tt.name), tt.parent, tt.frag, tt.cold)
		}
	}
}

func TestGeneratedConst(t *testing.T) {
	for name, want := range map[string]bool{"CSWTCH.12": true, "__func__.3": true, "__PRETTY_FUNCTION__.0": true, ".LC4": true,
		"CSWTCH": false, "func.3": false, "table": false, "__func__": false} {
		if got := generatedConst(name); got != want {
			t.Errorf("generatedConst(%q) = %v", name, got)
		}
	}
}

// TestCompilersConstants: what the compiler made for one function has no identity of its own.
func TestCompilersConstants(t *testing.T) {
	for name, want := range map[string]bool{
		"CSWTCH.1": true, "__func__.0": true, "__FUNCTION__.12": true, "__PRETTY_FUNCTION__.3": true, "f.__func__": true, ".LC0": true, ".L5": true, ".Lanon.1": true,
		"CSWTCH": false, "__func__": false, "__func": false, "buf.1": false, "table": false, "": false, "L.1": false,
	} {
		if got := generatedConst(name); got != want {
			t.Errorf("%q: %v", name, got)
		}
	}
}

// TestRemedies: what may be written to, and when, decides what can be done.
func TestRemedies(t *testing.T) {
	const code, callback, protected = "change the code that reads it", "from a pre-patch callback", "the kernel write-protects"
	for _, c := range []struct {
		section string
		class   class
		want    []string
		not     string
	}{
		{".data", classData, []string{"set the new value " + callback, code}, "each processor"}, {".bss", classBSS, []string{"set the new value " + callback}, protected},
		{".data..percpu", classData, []string{"for each processor (per_cpu_ptr) " + callback, code}, protected}, {".rodata", classROData, []string{code, protected}, callback},
		{".data..ro_after_init", classData, []string{code, protected, "once it has booted, or loaded the module"}, callback}, {"unknown", classData, []string{"set the new value " + callback}, "each processor"}, {"unknown", classROData, []string{"the kernel write-protects constant data"}, callback},
	} {
		got := dataRemedy(c.section, c.class)
		for _, w := range c.want {
			if !strings.Contains(got, w) {
				t.Errorf("%s: %q does not say %q", c.section, got, w)
			}
		}
		if strings.Contains(got, c.not) {
			t.Errorf("%s: %q says %q", c.section, got, c.not)
		}
	}
	for _, known := range []*row{{protect: writable}, {protect: afterInit}} {
		for _, change := range []ChangeKind{New, Changed, Removed} {
			got := known.remedy(change)
			if from := strings.HasPrefix(got, "do what the entry would bring about from a callback"); from != (change == New) || strings.Contains(got, "nothing may write to it: the kernel write-protects it once it has booted") != (known.protect == afterInit) {
				t.Errorf("%v, %v: %q", known.protect, change, got)
			}
		}
	}
}
