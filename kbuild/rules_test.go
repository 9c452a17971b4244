package kbuild

import (
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestReadRules(t *testing.T) {
	const old = "# comment\nobj-$(CONFIG_A) += a.o\na-y := x.o y.o \\\n\tz.o\na-$(CONFIG_B) += b.o\nifdef CONFIG_C\na-y += c.o\nendif\nccflags-y += -DX\n"
	for _, c := range []struct {
		name, from, to string
		added          []string // list, config, word
		other          int
	}{
		{name: "line", from: "ccflags-y", to: "a-y += new.o\nccflags-y", added: []string{"a y new.o"}},
		{name: "objs", from: "ccflags-y", to: "a-objs += new.o\nccflags-y", added: []string{"a objs new.o"}},
		{name: "config", from: "ccflags-y", to: "obj-$(CONFIG_NEW)\t+=  new.o other.o # why\nccflags-y", added: []string{"obj CONFIG_NEW new.o", "obj CONFIG_NEW other.o"}},
		{name: "longer list", from: "\tz.o", to: "\tz.o new.o", added: []string{"a y new.o"}},
		{name: "continued list", from: "\tz.o", to: "\tz.o \\\n\tnew.o", added: []string{"a y new.o"}},
		{name: "a word goes", from: "y.o \\", to: "\\"},
		{name: "comment", from: "# comment", to: "# another $(shell touch x)"},
		{name: "blanks", from: "a-$(CONFIG_B) +=", to: "a-$(CONFIG_B)\t\t+= "},
		{name: "subdirectory word", from: "ccflags-y", to: "a-y += sub/new.o\nccflags-y", added: []string{"a y sub/new.o"}},

		{name: "shell", from: "ccflags-y", to: "a-y += $(shell x).o\nccflags-y", other: 1},
		{name: "shell behind a list", from: "\tz.o", to: "\tz.o $(shell x)", other: 1},
		{name: "shell behind a comment's end", from: "# comment", to: "# comment \\\n\nX := $(shell x)", other: 1},
		{name: "rule", from: "ccflags-y", to: "x: y\n\tcommand\nccflags-y", other: 2},
		{name: "recipe that looks like a list", from: "ccflags-y", to: "x:\n\ta-y += new.o\nccflags-y", other: 2},
		{name: "flags", from: "-DX", to: "-DX -fplugin=x", other: 2},
		{name: "flags of one object", from: "ccflags-y", to: "CFLAGS_x.o += -B.\nccflags-y", other: 1},
		{name: "flags as objects", from: "ccflags-y += -DX", to: "ccflags-y += -DX\nccflags-y += x.o", other: 1},
		{name: "in a conditional", from: "a-y += c.o", to: "a-y += c.o\na-y += new.o", other: 1},
		{name: "new conditional", from: "ccflags-y", to: "ifeq ($(shell x),)\na-y += new.o\nendif\nccflags-y", other: 3},
		{name: "conditional goes", from: "ifdef CONFIG_C\na-y += c.o\nendif\n", to: "a-y += c.o\n", other: 3, added: []string{"a y c.o"}},
		{name: "definition", from: "ccflags-y", to: "define X\na-y += new.o\nendef\nccflags-y", other: 3},
		{name: "include", from: "ccflags-y", to: "include x.mk\nccflags-y", other: 1},
		{name: "other variable", from: "ccflags-y", to: "CC := x\nccflags-y", other: 1},
		{name: "host program", from: "ccflags-y", to: "hostprogs-y += x.o\nccflags-y", other: 1},
		{name: "directory", from: "ccflags-y", to: "obj-y += sub/\nccflags-y", other: 1},
		{name: "out of the directory", from: "ccflags-y", to: "a-y += ../x.o\nccflags-y", other: 1},
		{name: "absolute", from: "ccflags-y", to: "a-y += /tmp/x.o\nccflags-y", other: 1},
		{name: "computed name", from: "ccflags-y", to: "a-y += $(x).o\nccflags-y", other: 1},
		{name: "computed list", from: "ccflags-y", to: "$(x)-y += new.o\nccflags-y", other: 1},
		{name: "list replaced", from: "ccflags-y", to: "a-y := new.o\nccflags-y", other: 1},
		{name: "override", from: "ccflags-y", to: "override a-y += new.o\nccflags-y", other: 1},
		{name: "two on a line", from: "ccflags-y", to: "a-y += new.o; x\nccflags-y", other: 1},
		{name: "shell assignment", from: "ccflags-y", to: "a-y != x\nccflags-y", other: 1},
		{name: "eval", from: "ccflags-y", to: "$(eval a-y += new.o)\nccflags-y", other: 1},
		{name: "export", from: "ccflags-y", to: "export X\nccflags-y", other: 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			text := strings.Replace(old, c.from, c.to, 1)
			if text == old {
				t.Fatal("nothing is changed")
			}
			added, other := readRules("d/Makefile", RuleChange{Old: []byte(old), New: []byte(text)})
			var got []string
			for _, a := range added {
				got = append(got, a.list+" "+a.config+" "+a.word)
			}
			if d := cmp.Diff(c.added, got); d != "" {
				t.Errorf("added (-want +got)\n%s", d)
			}
			if len(other) != c.other {
				t.Errorf("%d other changes, want %d: %v", len(other), c.other, other)
			}
		})
	}
	if _, other := readRules("d/Makefile", RuleChange{New: []byte("obj-y += a.o\n")}); len(other) == 0 {
		t.Error("a new makefile is taken for understood")
	}
}

func TestRenamedCommand(t *testing.T) {
	const part = `gcc-12 -Wp,-MMD,fs/ext4/.balloc.o.d -nostdinc -DKBUILD_MODFILE='"fs/ext4/ext4"' -DKBUILD_BASENAME='"balloc"' -DKBUILD_MODNAME='"ext4"' -D__KBUILD_MODNAME=kmod_ext4 -c -o fs/ext4/balloc.o fs/ext4/balloc.c   ; ./tools/objtool/objtool --hacks=jump_label fs/ext4/balloc.o`
	const single = `gcc-12 -Wp,-MMD,lib/.a-b.o.d -DKBUILD_MODFILE='"lib/a-b"' -DKBUILD_BASENAME='"a_b"' -DKBUILD_MODNAME='"a_b"' -D__KBUILD_MODNAME=kmod_a_b -c -o lib/a-b.o lib/a-b.c`
	for _, c := range []struct {
		name, cmd, from, to, want string
		single                    bool
	}{
		{name: "part", cmd: part, from: "fs/ext4/balloc.o", to: "fs/ext4/new-one.o",
			want: `gcc-12 -Wp,-MMD,fs/ext4/.new-one.o.d -nostdinc -DKBUILD_MODFILE='"fs/ext4/ext4"' -DKBUILD_BASENAME='"new_one"' -DKBUILD_MODNAME='"ext4"' -D__KBUILD_MODNAME=kmod_ext4 -c -o fs/ext4/new-one.o fs/ext4/new-one.c   ; ./tools/objtool/objtool --hacks=jump_label fs/ext4/new-one.o`},
		{name: "single", cmd: single, from: "lib/a-b.o", to: "lib/c.o", single: true,
			want: `gcc-12 -Wp,-MMD,lib/.c.o.d -DKBUILD_MODFILE='"lib/c"' -DKBUILD_BASENAME='"c"' -DKBUILD_MODNAME='"c"' -D__KBUILD_MODNAME=kmod_c -c -o lib/c.o lib/c.c`},
		{name: "part taken for single", cmd: part, from: "fs/ext4/balloc.o", to: "fs/ext4/new.o", single: true},
		{name: "another directory", cmd: part, from: "fs/ext4/balloc.o", to: "fs/new.o"},
		{name: "named elsewhere", cmd: part + ` ; sh scripts/x fs/ext4/.balloc.tmp`, from: "fs/ext4/balloc.o", to: "fs/ext4/new.o"},
		{name: "not its command", cmd: part, from: "fs/ext4/bitmap.o", to: "fs/ext4/new.o"},
		{name: "quotes", cmd: part, from: "fs/ext4/balloc.o", to: "fs/ext4/a';x.o"},
	} {
		got, err := renamedCommand(c.cmd, c.from, c.to, c.single)
		if c.want == "" && err == nil || c.want != "" && (err != nil || got != c.want) {
			t.Errorf("%s: got %v\n%s\nwant\n%s", c.name, err, got, c.want)
		}
	}
}

func TestMentionedAlone(t *testing.T) {
	for text, want := range map[string]bool{
		"a-y := x.o super.o\n":            false,
		"a-y := super.o \\\n":             false,
		"a-y += xsuper.o\n":               false,
		"CFLAGS_super.o += -O0\n":         true,
		"KASAN_SANITIZE_super.o := n\n":   true,
		"$(obj)/super.o: CFLAGS += -B.\n": true,
		"super.o: x\n":                    true,
	} {
		if got := mentionedAlone([]byte(text), "super.o"); got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
}

func TestWithheld(t *testing.T) {
	tree := mustPrepare(t, fakeOptions(t))
	for _, f := range []string{"Makefile", "fs/demo/Makefile", "fs/demo/Kbuild", "GNUmakefile", "fs/demo/makefile", "fs/demo/Kconfig", "fs/demo/Kconfig.debug",
		"scripts/Makefile.build", "scripts/x", "scripts/mod/modpost.c", "tools/objtool/check.c", "tools/x.h", "fs/demo/.inode.o.cmd", "fs/demo/.x",
		".config", "include/config/auto.conf", "lib/x.sh", "lib/x.pl", "lib/x.awk", "fs/demo/rules.mk", "kernel/timeconst.bc", "fs/demo/inode.o",
		"fs/demo/parse.y", "fs/demo/lex.l", "Module.symvers", "arch/x86/Makefile_32.cpu", "scripts/Kbuild.include", "usr/x.c"} {
		if h, err := tree.Withheld(f, nil, []byte("x\n")); err != nil || h.Why == "" {
			t.Errorf("%s comes into the tree: %v", f, err)
		}
	}
	if h, err := tree.Withheld("lib/tool", nil, []byte("#!/bin/sh\n")); err != nil || h.Why == "" {
		t.Errorf("a script comes into the tree: %v", err)
	}
	for _, f := range []string{"fs/demo/inode.c", "fs/demo/new.c", "fs/demo/demo.h", "include/linux/demo.h", "Documentation/demo.rst", "lib/new.S"} {
		if h, err := tree.Withheld(f, []byte("a\n"), []byte("b\n")); err != nil || h != (Withholding{}) {
			t.Errorf("%s is withheld: %s, %v", f, h.Why, err)
		}
	}
}

func TestReadsOutside(t *testing.T) {
	directive := regexp.MustCompile(`^(#(include|include_next|embed)|__has_include|\.(incbin|include))$`)
	for text, want := range map[string]string{
		`#include "/etc/passwd"`:                          "/etc/passwd",
		`  #  include </etc/passwd>`:                      "/etc/passwd",
		`%:include "/etc/passwd"`:                         "/etc/passwd",
		`#include_next "/etc/x.h"`:                        "/etc/x.h",
		`#embed "/etc/passwd"`:                            "/etc/passwd",
		`#include "../../../etc/passwd"`:                  "../../../etc/passwd",
		`#if __has_include("/etc/passwd")`:                "/etc/passwd",
		`#elif defined(X) && __has_include(<../../../x>)`: "../../../x",
		`asm(".incbin \"/etc/shadow\"");`:                 "/etc/shadow",
		`	.incbin "/etc/shadow"`:                          "/etc/shadow",
		`asm(".incbin \"../x\"");`:                        "../x",
		`asm(".include\t\"/etc/shadow\"");`:               "/etc/shadow",

		`#include "../super.h"`:                 "",
		`#include "../../include/linux/x.h"`:    "",
		`#include <linux/x.h>`:                  "",
		`	.incbin "kernel/config_data.gz"`:      "",
		`asm(".incbin \"certs/signing_key\"");`: "",
		`char *p = "/etc/passwd";`:              "",
		`/* see /etc/passwd */`:                 "",
	} {
		got := ReadsOutside("fs/demo/x.c", nil, []byte("int a;\n"+text+"\n"))
		switch {
		case want == "" && len(got) > 0:
			t.Errorf("%s: found %v", text, got)
		case want != "" && (len(got) != 1 || got[0].Path != want || got[0].Line != 2 || !directive.MatchString(got[0].Construct)):
			t.Errorf("%s: got %v, want %s", text, got, want)
		}
		if old := ReadsOutside("fs/demo/x.c", []byte(text+"\n"), []byte(text+"\n")); len(old) > 0 {
			t.Errorf("%s: found, though the patch does not bring it", text)
		}
	}
}
