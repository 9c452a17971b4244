package kbuild

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestStepsApart(t *testing.T) {
	const old = "define rule_cc_o_c\n\t$(call cmd_and_fixdep,cc_o_c)\n\t$(call cmd,checksrc)\n" +
		"\t$(call cmd,objtool)\n\t$(call cmd,modversions_c)\n\t$(call cmd,record_mcount)\nendef\n" // v5.1 to v5.16
	const older = "define rule_cc_o_c\n\t$(call echo-cmd,checksrc) $(cmd_checksrc)\t\\\n\t$(call cmd_and_fixdep,cc_o_c)\t\\\n" +
		"\t$(call echo-cmd,objtool) $(cmd_objtool)\t\\\n\t$(cmd_modversions_c)\nendef\n" // v4.18
	const now = "define rule_cc_o_c\n\t$(call cmd_and_fixdep,cc_o_c)\n\t$(call cmd,gen_objtooldep)\n\t$(call cmd,gen_symversions_c)\nendef\n" +
		"define rule_as_o_S\n\t$(call cmd,objtool)\nendef\n"
	for text, want := range map[string]bool{old: true, older: true, now: false, "": false} {
		if stepsApart(text) != want {
			t.Errorf("stepsApart(%q) = %v", text, !want)
		}
	}
}

// TestStepsJoined runs the variables through make, with the macros of v5.10 around them:
// the command that is saved has all steps, those that are configured, and works.
func TestStepsJoined(t *testing.T) {
	const makefile = `
squote := '
pound := \#
escsq = $(subst $(squote),'\$(squote)',$1)
cmd = @set -e; $(cmd_$(1))
make-cmd = $(call escsq,$(subst $(pound),$$(pound),$(subst $$,$$$$,$(cmd_$(1)))))
cmd_and_fixdep = $(cmd); echo '$(make-cmd)' > saved
CC := printf 'cc\n' ; :
cmd_cc_o_c = $(CC) $(c_flags) -c -o $@ $<
cmd_objtool = printf 'objtool %s\n' $@
cmd_modversions_c = if true; then printf 'versions %s\n' $(@:.o=.ver); fi
ifdef RECORD
cmd_record_mcount = $(if y, if [ $@ != x ]; then printf 'record "%s"\n' "$@"; fi;)
endif
define rule_cc_o_c
	$(call cmd_and_fixdep,cc_o_c)
	$(call cmd,objtool)
	$(call cmd,modversions_c)
	$(call cmd,record_mcount)
endef
a.o:
	$(rule_cc_o_c)
`
	if _, err := exec.LookPath("make"); err != nil {
		t.Skip("there is no make")
	}
	for _, c := range []struct{ vars, want string }{
		{"", "cc\nobjtool a.o\nversions a.ver\n"},
		{"RECORD=1", "cc\nobjtool a.o\nversions a.ver\nrecord \"a.o\"\n"},
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "Makefile"), []byte(makefile), 0o644); err != nil {
			t.Fatal(err)
		}
		cmd := exec.CommandContext(t.Context(), "make", append([]string{"-s", c.vars}, stepsJoined...)...)
		if c.vars == "" {
			cmd = exec.CommandContext(t.Context(), "make", append([]string{"-s"}, stepsJoined...)...)
		}
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		if err != nil || string(out) != c.want {
			t.Errorf("make %s: %v: got %q, want %q", c.vars, err, out, c.want)
		}
		saved, err := os.ReadFile(filepath.Join(dir, "saved"))
		if err != nil {
			t.Fatal(err)
		}
		again := exec.CommandContext(t.Context(), "sh", "-e", "-c", unescapeMake(strings.TrimSpace(string(saved))))
		if out, err := again.CombinedOutput(); err != nil || string(out) != c.want {
			t.Errorf("%s: %v: got %q, want %q", saved, err, out, c.want)
		}
	}
}
