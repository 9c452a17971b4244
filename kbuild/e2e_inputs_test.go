package kbuild

import (
	"context"
	"testing"
)

func TestProbe(t *testing.T) {
	tree := e2eTree(t)
	for _, f := range []string{"lib/raid6/int.uc", "lib/raid6/altivec.uc", "lib/raid6/unroll.awk", "drivers/tty/vt/cp437.uni", "drivers/tty/vt/defkeymap.map", "drivers/tty/vt/defkeymap.c_shipped",
		"net/ipv4/netfilter/nf_nat_snmp_basic.asn1", "crypto/new.asn1", "crypto/sm2signature.asn1", "arch/x86/lib/x86-opcode-map.txt", "arch/x86/tools/gen-insn-attr-x86.awk", "fs/unicode/utf8data.c_shipped",
		"kernel/time/timeconst.bc", "arch/x86/entry/syscalls/syscall_64.tbl", "scripts/syscalltbl.sh", "rust/kernel/print.rs", "include/linux/oid_registry.h", "lib/build_OID_registry", "arch/x86/include/asm/cpufeatures.h",
		"arch/x86/kernel/cpu/mkcapflags.sh", "lib/gen_crc32table.c", "fs/befs/ChangeLog", "drivers/gpu/drm/radeon/reg_srcs/r100", "scripts/checkpatch.pl", "scripts/asn1_compiler.c", "scripts/mod/modpost.c", "scripts/tags.sh",
		"net/wireless/certs/wens.hex", "net/wireless/certs/new.hex", "tools/objtool/check.c", "tools/objtool/include/objtool/elf.h", "arch/x86/kernel/vmlinux.lds.S", "security/selinux/include/classmap.h", "scripts/selinux/genheaders/genheaders.c",
		"scripts/link-vmlinux.sh", "scripts/kconfig/lexer.l", "scripts/genksyms/parse.y", "drivers/scsi/53c700.scr", "drivers/scsi/53c700_d.h_shipped", "drivers/scsi/aic7xxx/aic7xxx.seq", "drivers/of/unittest-data/testcases.dts", "drivers/of/unittest-data/tests-phandle.dtsi",
		"drivers/video/logo/logo_linux_clut224.ppm", "drivers/eisa/eisa.ids", "drivers/zorro/zorro.ids", "arch/x86/boot/genimage.sh", "arch/x86/boot/setup.ld", "arch/x86/boot/mkcpustr.c", "arch/x86/boot/tools/build.c", "arch/x86/entry/vdso/vdso2c.c", "arch/x86/entry/vdso/checkundef.sh",
		"usr/default_cpio_list", "usr/gen_init_cpio.c", "usr/gen_initramfs.sh", "kernel/gen_kheaders.sh", "kernel/debug/kdb/kdb_cmds", "scripts/module.lds.S", "scripts/atomic/atomics.tbl", "certs/extract-cert.c", "security/tomoyo/policy/exception_policy.conf.default", "include/linux/fs.h", "include/linux/types.h", "include/linux/elf.h",
		"drivers/accessibility/speakup/speakupmap.map", "drivers/accessibility/speakup/makemapdata.c", "arch/x86/crypto/poly1305-x86_64-cryptogams.pl", "drivers/firmware/efi/libstub/zboot.lds", "kernel/configs/kvm_guest.config", "lib/raid6/mktables.c", "scripts/Makefile.lib", ".mailmap", "net/ax25/TODO", "lib/fonts/font_new.txt", "arch/x86/tools/relocs.c", "scripts/sorttable.c", "scripts/bin2c.c", "arch/x86/realmode/rm/realmode.lds.S", "arch/x86/um/vdso/checkundef.sh", "init/build-version", "scripts/mkcompile_h", "scripts/setlocalversion"} {
		r, err := tree.Readers(context.Background(), f)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: %+v", f, r)
	}
}
