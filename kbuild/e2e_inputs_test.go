package kbuild

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// TestRealReaders asks for files of all kinds what Debian's cloud kernel makes of
// them. What its configuration leaves out is read by nothing.
func TestRealReaders(t *testing.T) {
	tree := e2eTree(t)
	start := time.Now()
	const tool = "tool"
	for file, want := range map[string]string{
		"lib/raid6/int.uc":                                     "lib/raid6/int%.c",
		"lib/raid6/unroll.awk":                                 "lib/raid6/int%.c",
		"lib/raid6/altivec.uc":                                 "",
		"lib/raid6/mktables.c":                                 "lib/raid6/tables.c",
		"drivers/tty/vt/cp437.uni":                             "drivers/tty/vt/consolemap_deftbl.c",
		"drivers/tty/vt/defkeymap.c_shipped":                   "drivers/tty/vt/defkeymap.c",
		"drivers/tty/vt/defkeymap.map":                         "",
		"net/ipv4/netfilter/nf_nat_snmp_basic.asn1":            "net/ipv4/netfilter/nf_nat_snmp_basic.asn1.c",
		"crypto/sm2signature.asn1":                             "",
		"arch/x86/lib/x86-opcode-map.txt":                      "arch/x86/lib/inat-tables.c",
		"arch/x86/tools/gen-insn-attr-x86.awk":                 "arch/x86/lib/inat-tables.c",
		"arch/x86/crypto/poly1305-x86_64-cryptogams.pl":        "arch/x86/crypto/poly1305-x86_64-cryptogams.S",
		"fs/unicode/utf8data.c_shipped":                        "fs/unicode/utf8data.c",
		"kernel/time/timeconst.bc":                             "include/generated/timeconst.h",
		"arch/x86/entry/syscalls/syscall_64.tbl":               "arch/x86/include/generated/asm/syscalls_64.h",
		"scripts/syscalltbl.sh":                                "arch/x86/include/generated/asm/syscalls_64.h",
		"include/linux/oid_registry.h":                         "lib/oid_registry_data.c",
		"lib/build_OID_registry":                               "lib/oid_registry_data.c",
		"lib/gen_crc32table.c":                                 "lib/crc32table.h",
		"arch/x86/include/asm/cpufeatures.h":                   "arch/x86/kernel/cpu/capflags.c",
		"arch/x86/kernel/cpu/mkcapflags.sh":                    "arch/x86/kernel/cpu/capflags.c",
		"scripts/asn1_compiler.c":                              "%.asn1.c",
		"scripts/selinux/genheaders/genheaders.c":              "security/selinux/flask.h",
		"arch/x86/kernel/vmlinux.lds.S":                        "arch/x86/kernel/vmlinux.lds",
		"scripts/module.lds.S":                                 "scripts/module.lds",
		"usr/default_cpio_list":                                "usr/initramfs_data.cpio",
		"security/tomoyo/policy/exception_policy.conf.default": "security/tomoyo/builtin-policy.h",
		"arch/x86/entry/vdso/vdso2c.c":                         "arch/x86/entry/vdso/vdso-image-%.c",
		"scripts/mod/modpost.c":                                tool,
		"scripts/genksyms/parse.y":                             tool,
		"scripts/kconfig/lexer.l":                              tool,
		"scripts/sorttable.c":                                  tool,
		"arch/x86/tools/relocs.c":                              "arch/x86/boot/compressed/vmlinux.relocs",
		"tools/objtool/check.c":                                tool,
		"tools/perf/builtin-top.c":                             "",
		"drivers/gpu/drm/radeon/reg_srcs/r100":                 "",
		"drivers/of/unittest-data/testcases.dts":               "",
		"arch/arm64/boot/dts/arm/juno.dts":                     "",
		"rust/kernel/print.rs":                                 "",
		"scripts/checkpatch.pl":                                "",
		"fs/befs/ChangeLog":                                    "",
		"lib/not-there.txt":                                    "",
		"include/linux/fs.h":                                   "",
	} {
		readers, err := tree.Readers(context.Background(), file)
		if err != nil {
			t.Fatal(err)
		}
		ok := want == "" && len(readers) == 0 || slices.ContainsFunc(readers, func(r Reader) bool {
			return r.Made == want && !r.Tool || want == tool && r.Tool
		})
		if want == tool {
			ok = ok && !slices.ContainsFunc(readers, func(r Reader) bool { return !r.Tool })
		}
		if !ok {
			t.Errorf("%s: %+v, want %q", file, readers, want)
		}
	}
	t.Logf("all in %v", time.Since(start).Round(time.Millisecond))
}

// TestRealAltered changes headers that programs of the build and linker scripts
// include, in ways that reach them and in ways that do not.
func TestRealAltered(t *testing.T) {
	tree := e2eTree(t)
	ctx := context.Background()
	for _, test := range []struct {
		header, old, new string
		want             []string // some of what is altered; none for nothing
	}{
		{"security/selinux/include/classmap.h", `"shutdown"`, `"shutdowx"`, []string{"scripts/selinux/genheaders/genheaders"}},
		{"include/asm-generic/vmlinux.lds.h", "#define JUMP_TABLE_DATA", "#define JUMP_TABLE_DATX", []string{"arch/x86/kernel/vmlinux.lds"}},
		{"include/linux/crc32poly.h", "0xedb88320", "0xedb88321", []string{"lib/gen_crc32table.o"}},
		{"include/linux/string.h", "extern int strcmp(", "extern int strcmpx(", nil},
		{"include/linux/list.h", "static inline void INIT_LIST_HEAD(", "static inline void INIT_LIST_HEADX(", nil},
		{"include/linux/types.h", "struct list_head {", "struct list_head { int x;", nil},
	} {
		w := e2eWork(t, tree)
		text, err := os.ReadFile(filepath.Join(tree.Dir, test.header))
		if err != nil || !bytes.Contains(text, []byte(test.old)) {
			t.Fatalf("%s: no %q: %v", test.header, test.old, err)
		}
		if err := w.Write(test.header, bytes.Replace(text, []byte(test.old), []byte(test.new), 1)); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		a, err := tree.Affected(ctx, []string{test.header})
		if err != nil {
			t.Fatal(err)
		}
		var inputs []string
		for _, o := range a.Special {
			if o.Input {
				inputs = append(inputs, o.Object)
			}
		}
		altered, err := w.Altered(ctx, inputs)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: %d may include it, altered %v, in %v", test.header, len(inputs), altered, time.Since(start).Round(time.Millisecond))
		for _, want := range test.want {
			if !slices.Contains(altered, want) {
				t.Errorf("%s: %s is not altered: %v", test.header, want, altered)
			}
		}
		if test.want == nil && altered != nil {
			t.Errorf("%s: altered %v, want nothing", test.header, altered)
		}
	}
}

// TestRealRegenerates compares what is generated of a header that is changed in a
// way that matters, and in one that does not.
func TestRealRegenerates(t *testing.T) {
	tree := e2eTree(t)
	for _, test := range []struct {
		header, made, old, new string
		differs                bool
	}{
		{"arch/x86/include/asm/cpufeatures.h", "arch/x86/kernel/cpu/capflags.c", "#define X86_FEATURE_VME", "#define X86_FEATURE_VMX2", true},
		{"arch/x86/include/asm/cpufeatures.h", "arch/x86/kernel/cpu/capflags.c", "#define X86_FEATURE_VME", "#define KLPX 1\n#define X86_FEATURE_VME", false},
		{"include/linux/oid_registry.h", "lib/oid_registry_data.c", "/* 1.2.840.10040.4.1 */", "/* 1.2.840.10040.4.9 */", true},
	} {
		w := e2eWork(t, tree)
		text, err := os.ReadFile(filepath.Join(tree.Dir, test.header))
		if err != nil || !bytes.Contains(text, []byte(test.old)) {
			t.Fatalf("%s: no %q: %v", test.header, test.old, err)
		}
		text = bytes.Replace(text, []byte(test.old), []byte(test.new), 1)
		differs, known, err := w.Regenerates(context.Background(), test.header, text, test.made)
		if err != nil || !known || differs != test.differs {
			t.Errorf("%s: differs %v, known %v, %v; want %v", test.made, differs, known, err, test.differs)
		}
	}
}
