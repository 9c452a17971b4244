package karch

import (
	"debug/elf"
	"slices"
	"testing"
)

// TestNamed: an architecture is found by what kbuild, uname, Go and Debian call it, and no two
// share a name.
func TestNamed(t *testing.T) {
	for name, want := range map[string]string{"": "x86", "x86": "x86", "x86_64": "x86", "amd64": "x86", "aarch64": "arm64",
		"ppc64el": "powerpc", "ppc64le": "powerpc", "s390x": "s390", "loong64": "loongarch"} {
		if got, err := Named(name); err != nil || got.Name != want {
			t.Errorf("%q: %s, %v; want %s", name, got.Name, err, want)
		}
	}
	if _, err := Named("riscv"); err == nil {
		t.Error("riscv is known")
	}
	seen := map[string]string{}
	for _, a := range All() {
		for _, name := range append([]string{a.Name, a.Uname, a.Option}, a.Names...) {
			if seen[name] != "" {
				t.Errorf("%s is a name of %s and %s", name, seen[name], a.Name)
			}
			seen[name] = a.Name
		}
		if by, ok := Of(a.Machine); !ok || by.Name != a.Name {
			t.Errorf("%v is %s", a.Machine, by.Name)
		}
	}
	if _, ok := Of(elf.EM_MIPS); ok {
		t.Error("mips is known")
	}
}

// TestVermagic: an architecture is found in a configuration, and says what modules for it end with.
func TestVermagic(t *testing.T) {
	for _, c := range []struct {
		options []string
		want    string
	}{
		{[]string{"X86_64", "RELOCATABLE"}, ""}, {[]string{"ARM64"}, "aarch64"}, {[]string{"S390", "RELOCATABLE"}, ""},
		{[]string{"LOONGARCH"}, "LOONGARCH 64BIT "}, {[]string{"PPC64"}, ""},
		{[]string{"PPC64", "MPROFILE_KERNEL", "RELOCATABLE"}, "mprofile-kernel relocatable "},
		{[]string{"PPC64", "MPROFILE_KERNEL", "ARCH_USING_PATCHABLE_FUNCTION_ENTRY"}, "patchable-function-entry "},
	} {
		set := func(option string) bool { return slices.Contains(c.options, option) }
		a, ok := Configured(set)
		if !ok || a.Option != c.options[0] || a.Vermagic(set) != c.want {
			t.Errorf("%v: %s, %q", c.options, a.Name, a.Vermagic(set))
		}
	}
	if _, ok := Configured(func(string) bool { return false }); ok {
		t.Error("an empty configuration has an architecture")
	}
}
