package kbuild

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// printedRules is what make -p prints for a directory, shortened.
const printedRules = `# makefile (from 'lib/x/Makefile', line 3)
cmd_unroll = $(AWK) -f $(srctree)/$(src)/unroll.awk < $< > $@
# makefile (from 'lib/x/Makefile', line 4)
cmd_check = $(cmd_unroll); sh $(srctree)/scripts/check.sh $@
# environment
AWK = awk
# Implicit Rules

lib/x/int%.c: lib/x/int.uc FORCE
#  recipe to execute (from 'lib/x/Makefile', line 59):
	$(call if_changed,unroll)

# Files

# Not a target:
lib/x/other.uc:
#  Implicit rule search has not been done.

lib/x/a.c: lib/x/../y/a.txt | lib/x/gen
#  Implicit rule search has not been done.
#  recipe to execute (from 'lib/x/Makefile', line 60):
	$(call if_changed,check)
`

func TestParseRules(t *testing.T) {
	d := parseRules("lib/x", printedRules)
	if len(d.rules) != 2 {
		t.Fatalf("%d rules: %+v", len(d.rules), d.rules)
	}
	want := []makeRule{
		{targets: []string{"lib/x/int%.c"}, prereqs: []string{"lib/x/int.uc"}, recipe: []string{"$(call if_changed,unroll)"}, where: "lib/x/Makefile:59"},
		{targets: []string{"lib/x/a.c"}, prereqs: []string{"lib/y/a.txt", "lib/x/gen"}, recipe: []string{"$(call if_changed,check)"}, where: "lib/x/Makefile:60"},
	}
	if diff := cmp.Diff(want, d.rules, cmp.AllowUnexported(makeRule{})); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	for file, rules := range map[string][2]bool{
		"lib/x/unroll.awk": {true, true}, "scripts/check.sh": {false, true}, "lib/y/unroll.awk": {}, "check.sh": {}, "awk": {true, true},
	} {
		got := [2]bool{d.mentions(&d.rules[0], file), d.mentions(&d.rules[1], file)}
		if got != rules {
			t.Errorf("%s: mentioned %v, want %v", file, got, rules)
		}
	}
}

func TestMatchPattern(t *testing.T) {
	for _, test := range []struct {
		pattern, name, stem string
		ok                  bool
	}{
		{"a/%.c", "a/x.c", "x", true}, {"a/%.c", "a/.c", "", false}, {"a/x.c", "a/x.c", "", true}, {"a/x.c", "a/y.c", "", false}, {"%_shipped", "a/x.c_shipped", "a/x.c", true},
	} {
		if stem, ok := matchPattern(test.pattern, test.name); stem != test.stem || ok != test.ok {
			t.Errorf("%s against %s: %q, %v", test.name, test.pattern, stem, ok)
		}
	}
}

func TestContainsWord(t *testing.T) {
	const text = "obj-y += foo.o my-foo.uc $(src)/bar.uc\n"
	for word, want := range map[string]bool{"foo.uc": false, "bar.uc": true, "my-foo.uc": true, "foo.o": true, "oo.o": false} {
		if containsWord(text, word) != want {
			t.Errorf("%s: %v", word, !want)
		}
	}
}
