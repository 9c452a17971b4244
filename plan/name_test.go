package plan

import (
	"errors"
	"strings"
	"testing"
)

func TestCheckName(t *testing.T) {
	for _, good := range []string{"", "livepatch_x", "0001_fix", "8139-fix", "_", "azAZ09", strings.Repeat("a", 55)} {
		if err := CheckName(good); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
	for bad, why := range map[string]string{"a b": "' '", "a.b": "'.'", "ü": "use letters", "a/b": "'/'", "a\n": `'\n'`, "a,b": "','",
		"`": "cannot be in one", "{": "cannot", "@": "cannot", "[": "cannot", ":": "cannot", strings.Repeat("a", 56): "56 bytes, and the kernel takes 55"} {
		var e *NameError
		if err := CheckName(bad); !errors.As(err, &e) || e.Name != bad || !strings.Contains(e.Error(), why) {
			t.Errorf("%q: %v, want a NameError that says %s", bad, err, why)
		}
	}
}

// Different texts must not get one name without a word.
func TestModuleNames(t *testing.T) {
	long := strings.Repeat("x", 60)
	seen := map[string]string{}
	for _, file := range []string{"a.b", "a_b", "a b", "a,b", "ä", "ö", long + "1", long + "2", long + ".1", strings.Repeat("y", 50) + ".1", strings.Repeat("y", 50) + ",1",
		strings.Repeat("z", 54) + ".", strings.Repeat("z", 54) + ","} {
		name, same := ModuleNameOf(file)
		if other, taken := seen[name]; taken {
			t.Errorf("%s and %s are both called %s", file, other, name)
		}
		if err := CheckName(name); err != nil {
			t.Errorf("%s: %v", file, err)
		}
		if same != (file == "a_b") {
			t.Errorf("%s becomes %s: the same %v", file, name, same)
		}
		seen[name] = file
	}
	for file, want := range map[string]string{"0001-fix": "0001_fix", "plain": "plain", strings.Repeat("a", 55): strings.Repeat("a", 55)} {
		if name, same := ModuleNameOf(file); name != want || !same {
			t.Errorf("%s becomes %s, the same %v", file, name, same)
		}
	}

	// A text that a person wrote is taken as it is, as far as it goes.
	for text, want := range map[string]string{"a.b-c d": "a_b_c_d", "": "", strings.Repeat("a", 55): strings.Repeat("a", 55)} {
		if got := ModuleName(text); got != want {
			t.Errorf("%q becomes %q", text, got)
		}
	}
	one, two := ModuleName(long+"1"), ModuleName(long+"2")
	if len(one) != 55 || one == two || !strings.HasPrefix(one, "xxxxx") {
		t.Errorf("%q and %q", one, two)
	}
}
