package elfdiff

import "testing"

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
