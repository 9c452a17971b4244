package kbuild

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// The command that kbuild of v5.10 saves of an object is the compiler's alone, and the rule
// goes on with objtool, the versions of exports, and recordmcount (rule_cc_o_c,
// scripts/Makefile.build). In v6.1 the saved command ends with objtool, and no
// object has versions.
//
// After runs the saved command, so that there all of these steps have to be in it: an
// object without them has no unwind data, and a livepatch of it is code that the kernel
// cannot look through when it decides who may switch.

// stepsApart reports whether the rule for C files, in the text of scripts/Makefile.build,
// runs objtool as a step of its own.
func stepsApart(makefile string) bool {
	_, rule, ok := strings.Cut(makefile, "define rule_cc_o_c\n")
	if !ok {
		return false
	}
	rule, _, _ = strings.Cut(rule, "\nendef")
	return objtoolStep.MatchString(rule)
}

var objtoolStep = regexp.MustCompile(`\$\(call cmd,objtool\)|\$\(cmd_objtool\)`)

// readSteps reports whether that is so in a tree. One without the file cannot be built, as
// make will say.
func readSteps(dir string) bool {
	text, err := os.ReadFile(filepath.Join(dir, "scripts/Makefile.build"))
	return err == nil && stepsApart(string(text))
}

// stepsJoined are variables of make that put the steps into one command.
var stepsJoined = []string{
	"cmd_cc_o_c=$(CC) $(c_flags) -c -o $@ $<" + group("cmd_objtool") + group("cmd_modversions_c") + group("cmd_record_mcount"),
	"rule_cc_o_c=$(call cmd_and_fixdep,cc_o_c)",
}

// group is a command of kbuild as one that follows another; nothing where the configuration
// leaves it out. Some of these commands end with a semicolon.
func group(variable string) string {
	command := "$(" + variable + ")"
	return "$(if $(strip " + command + "),; { " + command + "$(if $(filter %;,$(lastword " + command + ")),,;) })"
}
