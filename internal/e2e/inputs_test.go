package e2e

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestInputs gives patches of files from which the kernel's build generates code, of
// sources that are deleted or renamed, and of binary files. What the build reads
// decides, not the name.
func TestInputs(t *testing.T) {
	e := env(t)
	c := newCLI(t, e, CloudRelease)
	good := string(readFile(t, c.patch(t, cmdlineEdit)))
	with := func(t *testing.T, more string) string { return writeTemp(t, "x.patch", good+more) }
	deletion := func(t *testing.T, file string) string {
		text := string(readFile(t, filepath.Join(c.tree, file)))
		lines := strings.SplitAfter(strings.TrimSuffix(text, "\n"), "\n")
		return fmt.Sprintf("diff --git a/%[1]s b/%[1]s\ndeleted file mode 100644\n--- a/%[1]s\n+++ /dev/null\n@@ -1,%d +0,0 @@\n-%s\n", file, len(lines), strings.Join(lines, "-"))
	}
	binary := func(file string) string {
		return fmt.Sprintf("diff --git a/%[1]s b/%[1]s\nindex 1111111..2222222 100644\nGIT binary patch\nliteral 3\nKcmZQzU|?ckU|<ks0ssI3\n\nliteral 0\nHcmV?d00001\n\n", file)
	}
	const leftOut = "no rule of the kernel's build reads it; left out"
	for _, test := range []struct {
		name  string
		patch func(t *testing.T) string
		args  []string
		code  int
		texts []string
		fast  bool // nothing may be compiled
	}{
		{name: "ASN.1", code: exitRefused, fast: true, texts: []string{"KLP130 error: net/ipv4/netfilter/nf_nat_snmp_basic.asn1: ", "nf_nat_snmp_basic.asn1.c", "remedy: "},
			patch: func(t *testing.T) string {
				return c.patch(t, cmdlineEdit, edit{"net/ipv4/netfilter/nf_nat_snmp_basic.asn1", "Message ::=", "-- changed\nMessage ::="})
			}},
		{name: "template", code: exitRefused, fast: true, texts: []string{"KLP130 error: lib/raid6/int.uc: ", "lib/raid6/int%.c", "lib/raid6/Makefile"},
			patch: func(t *testing.T) string {
				return c.patch(t, cmdlineEdit, edit{"lib/raid6/int.uc", "#include <linux/raid/pq.h>", "#include <linux/raid/pq.h>\n/* changed */"})
			}},
		{name: "text of opcodes", code: exitRefused, fast: true, texts: []string{"KLP130 error: arch/x86/lib/x86-opcode-map.txt: ", "arch/x86/lib/inat-tables.c"},
			patch: func(t *testing.T) string {
				return c.patch(t, cmdlineEdit, edit{"arch/x86/lib/x86-opcode-map.txt", "# x86 Opcode Maps\n", "# x86 opcode maps\n"})
			}},
		{name: "header of a program", code: exitRefused, fast: true, texts: []string{"KLP130 error: security/selinux/include/classmap.h: ", "security/selinux/flask.h", "genheaders"},
			patch: func(t *testing.T) string {
				return c.patch(t, cmdlineEdit, edit{"security/selinux/include/classmap.h", `{ "memprotect", { "mmap_zero", NULL } }`, `{ "memprotect", { "mmap_one", NULL } }`})
			}},
		{name: "linker script", code: exitRefused, fast: true, texts: []string{"KLP130 error: arch/x86/kernel/vmlinux.lds.S: "},
			patch: func(t *testing.T) string {
				return c.patch(t, cmdlineEdit, edit{"arch/x86/kernel/vmlinux.lds.S", "ENTRY(phys_startup_64)", "ENTRY(phys_startup_65)"})
			}},
		{name: "read by nothing", code: exitDone, texts: []string{"rust/kernel/print.rs: not built by the target's configuration; left out", "drivers/gpu/drm/radeon/reg_srcs/r100: " + leftOut, "fs/befs/ChangeLog: " + leftOut},
			patch: func(t *testing.T) string {
				return with(t, deletion(t, "rust/kernel/print.rs")+deletion(t, "drivers/gpu/drm/radeon/reg_srcs/r100")+deletion(t, "fs/befs/ChangeLog"))
			}},
		{name: "deleted source", code: exitRefused, fast: true, texts: []string{"KLP131 error: fs/proc/version.c: it is built into vmlinux, and the patches delete it", "remedy: "},
			patch: func(t *testing.T) string { return with(t, deletion(t, "fs/proc/version.c")) }},
		{name: "deleted source of a module", code: exitRefused, fast: true, texts: []string{"KLP131 error: fs/nls/nls_utf8.c: it is built into nls_utf8, "},
			patch: func(t *testing.T) string { return with(t, deletion(t, "fs/nls/nls_utf8.c")) }},
		{name: "renamed source", code: exitRefused, fast: true, texts: []string{"KLP131 error: fs/proc/version.c: it is built into vmlinux, and the patches rename it to fs/proc/banner.c", "under its own name"},
			patch: func(t *testing.T) string {
				return with(t, "diff --git a/fs/proc/version.c b/fs/proc/banner.c\nsimilarity index 100%\nrename from fs/proc/version.c\nrename to fs/proc/banner.c\n")
			}},
		{name: "deleted source that is not built", code: exitDone, texts: []string{"fs/proc/nommu.c: not built by the target's configuration; left out"},
			patch: func(t *testing.T) string { return with(t, deletion(t, "fs/proc/nommu.c")) }},
		{name: "binary documentation", code: exitDone, texts: []string{"Documentation/images/x.png: a binary change, and no rule of the kernel's build reads the file; left out"},
			patch: func(t *testing.T) string { return with(t, binary("Documentation/images/x.png")) }},
		{name: "binary input", code: exitRefused, fast: true, texts: []string{"drivers/tty/vt/cp437.uni is a binary change"},
			patch: func(t *testing.T) string { return with(t, binary("drivers/tty/vt/cp437.uni")) }},
		{name: "binary source", code: exitRefused, fast: true, texts: []string{"fs/proc/version.c is a binary change"},
			patch: func(t *testing.T) string { return with(t, binary("fs/proc/version.c")) }},
		{name: "table of kallsyms", code: exitRefused, texts: []string{"KLP107 error: kallsyms_names (fs/proc/cmdline.o): the target's kallsyms does not list it", "kallsyms' own tables"},
			patch: func(t *testing.T) string {
				return c.patch(t, edit{"fs/proc/cmdline.c", "\tseq_putc(m, '\\n');\n", "\textern const unsigned char kallsyms_names[];\n\n\tseq_putc(m, kallsyms_names[0]);\n"})
			}},
		{name: "name of a module", code: exitUsage, fast: true, args: []string{"--name", "fat"}, texts: []string{`module name "fat": a module of `, "--name"},
			patch: func(t *testing.T) string { return with(t, "") }},
		{name: "name of what is built in", code: exitUsage, fast: true, args: []string{"--name", "ext4"}, texts: []string{`module name "ext4": a part of `},
			patch: func(t *testing.T) string { return with(t, "") }},
		{name: "name with a blank", code: exitUsage, fast: true, args: []string{"--name", "a b"}, texts: []string{`module name "a b": `},
			patch: func(t *testing.T) string { return with(t, "") }},
		{name: "name that is too long", code: exitUsage, fast: true, args: []string{"--name", strings.Repeat("n", 56)}, texts: []string{"56 bytes"},
			patch: func(t *testing.T) string { return with(t, "") }},
		{name: "name with a digit first", code: exitDone, args: []string{"--name", "0001-fix"}, texts: nil,
			patch: func(t *testing.T) string { return with(t, "") }},
		{name: "module that is referred to", code: exitDone, texts: []string{"KLP132 note: the livepatch refers to symbols of fat, of which it patches no function"},
			patch: func(t *testing.T) string {
				return c.patch(t, edit{"fs/fat/namei_vfat.c", "\terr = fat_remove_entries(dir, &sinfo);\t/* and releases bh */\n\tif (err)\n\t\tgoto out;\n\tclear_nlink(inode);", "\terr = fat_remove_entries(dir, &sinfo);\t/* and releases bh */\n\tif (err < 0)\n\t\tgoto out;\n\tclear_nlink(inode);"})
			}},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := c.build(t, test.code, test.texts, filepath.Join(t.TempDir(), "x.ko"), append(slices.Clone(test.args), test.patch(t))...)
			if test.fast && strings.Contains(r.err, "compile before") {
				t.Errorf("something was compiled:\n%s", r.err)
			}
		})
	}
}

// TestNoteHeadings: hunks that are applied elsewhere are not called left out.
func TestNoteHeadings(t *testing.T) {
	e := env(t)
	c := newCLI(t, e, CloudRelease)
	text := string(readFile(t, c.patch(t, cmdlineEdit, edit{"MAINTAINERS", "List of maintainers", "The list of maintainers"})))
	head, hunks, ok := strings.Cut(text, "+++ b/fs/proc/cmdline.c")
	if !ok {
		t.Fatalf("no hunk of cmdline.c in\n%s", text)
	}
	moved := head + "+++ b/fs/proc/cmdline.c" + strings.Replace(hunks, "@@ -", "@@ -2", 1)
	r := c.run(t, "lint", "-k", c.release, writeTemp(t, "moved.patch", moved))
	if !strings.Contains(r.out, "applied: patch moved.patch: fs/proc/cmdline.c: hunk 1: applied at line ") || !strings.Contains(r.out, "left out: MAINTAINERS: ") {
		t.Errorf("headings of notes:\n%s%s", r.out, r.err)
	}
	if strings.Contains(r.out, "left out: patch moved.patch") {
		t.Errorf("an applied hunk is called left out:\n%s", r.out)
	}
}
