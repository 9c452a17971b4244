/* Written by: go test ./elfdiff -run TestMatrix -update. One example of every special section. */
#include <special.h>

extern char text[], pv_ops[], more[];
static struct static_key key;

#define FUNCTION(n)							\
noinline int f##n(int *p)						\
{									\
	int x = 0;							\
	if (*p == n)							\
		TRAP(n);						\
	LOAD_OR(x, p, "2b");						\
	if (key_set(&key, n & 1))					\
		x += work(n);						\
	STATIC_CALL(hook);						\
	asm volatile(ALT("call slow_path", "call other_work", 7) : : : CLOBBERS); \
	PV_CALL(n);							\
	x += (long)RUNTIME_PTR(d_hash_shift);				\
	asm volatile(LOCK_PREFIX "incl %0" : "+m" (*p));		\
	ORC(8, 0, n);							\
	SITES								\
	return x + n;							\
}

#define SITES\
	asm volatile("1: nop\n.pushsection .call_sites, \"a\"\n .long 1b - .\n.popsection");\
	asm volatile("1: nop\n.pushsection .cfi_sites, \"a\"\n .long 1b - .\n.popsection");\
	asm volatile("1: nop\n.pushsection .ibt_endbr_seal, \"a\"\n .long 1b - .\n.popsection");\
	asm volatile("1: nop\n.pushsection .kcfi_traps, \"a\"\n .long 1b - .\n.popsection");\
	asm volatile("1: nop\n.pushsection .retpoline_sites, \"a\"\n .long 1b - .\n.popsection");\
	asm volatile("1: nop\n.pushsection .return_sites, \"a\"\n .long 1b - .\n.popsection");\
	asm volatile("1: nop\n.pushsection __patchable_function_entries, \"a\"\n .quad 1b\n.popsection");

FUNCTION(1)
FUNCTION(2)
FUNCTION(3)
FUNCTION(4)

asm(".pushsection \".BTF\", \"a\"\n .balign 8\n"
    "e1__2eBTF: .quad f1\n .fill 8, 1, 0x11\n.type e1__2eBTF, @object\n.size e1__2eBTF, 16\n"
    "e2__2eBTF: .quad f2\n .fill 8, 1, 0x11\n.type e2__2eBTF, @object\n.size e2__2eBTF, 16\n"
    "e3__2eBTF: .quad f3\n .fill 8, 1, 0x11\n.type e3__2eBTF, @object\n.size e3__2eBTF, 16\n"
    ".popsection");

asm(".pushsection \".BTF_ids\", \"a\"\n .balign 8\n"
    ".local __BTF_ID__func__f1__11\n.type __BTF_ID__func__f1__11, STT_OBJECT\n.size __BTF_ID__func__f1__11, 4\n__BTF_ID__func__f1__11:\n .zero 4\n .long 0x11\n"
    ".local __BTF_ID__func__f2__12\n.type __BTF_ID__func__f2__12, STT_OBJECT\n.size __BTF_ID__func__f2__12, 4\n__BTF_ID__func__f2__12:\n .zero 4\n .long 0x11\n"
    ".local __BTF_ID__func__f3__13\n.type __BTF_ID__func__f3__13, STT_OBJECT\n.size __BTF_ID__func__f3__13, 4\n__BTF_ID__func__f3__13:\n .zero 4\n .long 0x11\n"
    ".popsection");

asm(".pushsection \".apicdrivers\", \"aw\"\n .balign 8\n"
    "e1__2eapicdrivers: .quad f1\n.type e1__2eapicdrivers, @object\n.size e1__2eapicdrivers, 8\n"
    "e2__2eapicdrivers: .quad f2\n.type e2__2eapicdrivers, @object\n.size e2__2eapicdrivers, 8\n"
    "e3__2eapicdrivers: .quad f3\n.type e3__2eapicdrivers, @object\n.size e3__2eapicdrivers, 8\n"
    ".popsection");

asm(".pushsection \".builtin_fw\", \"a\"\n .balign 8\n"
    "e1__2ebuiltin_fw: .quad f1\n .quad f1\n .fill 8, 1, 0x11\n.type e1__2ebuiltin_fw, @object\n.size e1__2ebuiltin_fw, 24\n"
    "e2__2ebuiltin_fw: .quad f2\n .quad f2\n .fill 8, 1, 0x11\n.type e2__2ebuiltin_fw, @object\n.size e2__2ebuiltin_fw, 24\n"
    "e3__2ebuiltin_fw: .quad f3\n .quad f3\n .fill 8, 1, 0x11\n.type e3__2ebuiltin_fw, @object\n.size e3__2ebuiltin_fw, 24\n"
    ".popsection");

asm(".pushsection \".con_initcall.init\", \"aw\"\n .balign 8\n"
    "e1__2econ_initcall_2einit: .long f1 - .\n.type e1__2econ_initcall_2einit, @object\n.size e1__2econ_initcall_2einit, 4\n"
    "e2__2econ_initcall_2einit: .long f2 - .\n.type e2__2econ_initcall_2einit, @object\n.size e2__2econ_initcall_2einit, 4\n"
    "e3__2econ_initcall_2einit: .long f3 - .\n.type e3__2econ_initcall_2einit, @object\n.size e3__2econ_initcall_2einit, 4\n"
    ".popsection");

asm(".pushsection \".ctors\", \"aw\"\n .balign 8\n"
    "e1__2ectors: .quad f1\n.type e1__2ectors, @object\n.size e1__2ectors, 8\n"
    "e2__2ectors: .quad f2\n.type e2__2ectors, @object\n.size e2__2ectors, 8\n"
    "e3__2ectors: .quad f3\n.type e3__2ectors, @object\n.size e3__2ectors, 8\n"
    ".popsection");

asm(".pushsection \".ctors.x\", \"aw\"\n .balign 8\n"
    "e1__2ectors_2ex: .quad f1\n.type e1__2ectors_2ex, @object\n.size e1__2ectors_2ex, 8\n"
    "e2__2ectors_2ex: .quad f2\n.type e2__2ectors_2ex, @object\n.size e2__2ectors_2ex, 8\n"
    "e3__2ectors_2ex: .quad f3\n.type e3__2ectors_2ex, @object\n.size e3__2ectors_2ex, 8\n"
    ".popsection");

asm(".pushsection \".dtb.init.rodata\", \"aw\"\n .balign 8\n"
    "e1__2edtb_2einit_2erodata: .quad f1\n .fill 8, 1, 0x11\n.type e1__2edtb_2einit_2erodata, @object\n.size e1__2edtb_2einit_2erodata, 16\n"
    "e2__2edtb_2einit_2erodata: .quad f2\n .fill 8, 1, 0x11\n.type e2__2edtb_2einit_2erodata, @object\n.size e2__2edtb_2einit_2erodata, 16\n"
    "e3__2edtb_2einit_2erodata: .quad f3\n .fill 8, 1, 0x11\n.type e3__2edtb_2einit_2erodata, @object\n.size e3__2edtb_2einit_2erodata, 16\n"
    ".popsection");

asm(".pushsection \".dtors\", \"aw\"\n .balign 8\n"
    "e1__2edtors: .quad f1\n.type e1__2edtors, @object\n.size e1__2edtors, 8\n"
    "e2__2edtors: .quad f2\n.type e2__2edtors, @object\n.size e2__2edtors, 8\n"
    "e3__2edtors: .quad f3\n.type e3__2edtors, @object\n.size e3__2edtors, 8\n"
    ".popsection");

asm(".pushsection \".dtors.x\", \"aw\"\n .balign 8\n"
    "e1__2edtors_2ex: .quad f1\n.type e1__2edtors_2ex, @object\n.size e1__2edtors_2ex, 8\n"
    "e2__2edtors_2ex: .quad f2\n.type e2__2edtors_2ex, @object\n.size e2__2edtors_2ex, 8\n"
    "e3__2edtors_2ex: .quad f3\n.type e3__2edtors_2ex, @object\n.size e3__2edtors_2ex, 8\n"
    ".popsection");

asm(".pushsection \".early_lsm_info.init\", \"aw\"\n .balign 8\n"
    "e1__2eearly_lsm_info_2einit: .quad f1\n .fill 8, 1, 0x11\n.type e1__2eearly_lsm_info_2einit, @object\n.size e1__2eearly_lsm_info_2einit, 16\n"
    "e2__2eearly_lsm_info_2einit: .quad f2\n .fill 8, 1, 0x11\n.type e2__2eearly_lsm_info_2einit, @object\n.size e2__2eearly_lsm_info_2einit, 16\n"
    "e3__2eearly_lsm_info_2einit: .quad f3\n .fill 8, 1, 0x11\n.type e3__2eearly_lsm_info_2einit, @object\n.size e3__2eearly_lsm_info_2einit, 16\n"
    ".popsection");

asm(".pushsection \".exit.data\", \"aw\"\n .balign 8\n"
    "e1__2eexit_2edata: .quad f1\n .fill 8, 1, 0x11\n.type e1__2eexit_2edata, @object\n.size e1__2eexit_2edata, 16\n"
    "e2__2eexit_2edata: .quad f2\n .fill 8, 1, 0x11\n.type e2__2eexit_2edata, @object\n.size e2__2eexit_2edata, 16\n"
    "e3__2eexit_2edata: .quad f3\n .fill 8, 1, 0x11\n.type e3__2eexit_2edata, @object\n.size e3__2eexit_2edata, 16\n"
    ".popsection");

asm(".pushsection \".exit.data.x\", \"aw\"\n .balign 8\n"
    "e1__2eexit_2edata_2ex: .quad f1\n .fill 8, 1, 0x11\n.type e1__2eexit_2edata_2ex, @object\n.size e1__2eexit_2edata_2ex, 16\n"
    "e2__2eexit_2edata_2ex: .quad f2\n .fill 8, 1, 0x11\n.type e2__2eexit_2edata_2ex, @object\n.size e2__2eexit_2edata_2ex, 16\n"
    "e3__2eexit_2edata_2ex: .quad f3\n .fill 8, 1, 0x11\n.type e3__2eexit_2edata_2ex, @object\n.size e3__2eexit_2edata_2ex, 16\n"
    ".popsection");

asm(".pushsection \".exitcall.exit\", \"aw\"\n .balign 8\n"
    "e1__2eexitcall_2eexit: .quad f1\n.type e1__2eexitcall_2eexit, @object\n.size e1__2eexitcall_2eexit, 8\n"
    "e2__2eexitcall_2eexit: .quad f2\n.type e2__2eexitcall_2eexit, @object\n.size e2__2eexitcall_2eexit, 8\n"
    "e3__2eexitcall_2eexit: .quad f3\n.type e3__2eexitcall_2eexit, @object\n.size e3__2eexitcall_2eexit, 8\n"
    ".popsection");

asm(".pushsection \".export_symbol\", \"aw\"\n .balign 8\n"
    "__export_symbol_e1__2eexport_symbol: .quad f1\n .fill 8, 1, 0x11\n.type __export_symbol_e1__2eexport_symbol, @object\n.size __export_symbol_e1__2eexport_symbol, 16\n"
    "__export_symbol_e2__2eexport_symbol: .quad f2\n .fill 8, 1, 0x11\n.type __export_symbol_e2__2eexport_symbol, @object\n.size __export_symbol_e2__2eexport_symbol, 16\n"
    "__export_symbol_e3__2eexport_symbol: .quad f3\n .fill 8, 1, 0x11\n.type __export_symbol_e3__2eexport_symbol, @object\n.size __export_symbol_e3__2eexport_symbol, 16\n"
    ".popsection");

asm(".pushsection \".fini_array\", \"aw\"\n .balign 8\n"
    "e1__2efini_array: .quad f1\n.type e1__2efini_array, @object\n.size e1__2efini_array, 8\n"
    "e2__2efini_array: .quad f2\n.type e2__2efini_array, @object\n.size e2__2efini_array, 8\n"
    "e3__2efini_array: .quad f3\n.type e3__2efini_array, @object\n.size e3__2efini_array, 8\n"
    ".popsection");

asm(".pushsection \".fini_array.x\", \"aw\"\n .balign 8\n"
    "e1__2efini_array_2ex: .quad f1\n.type e1__2efini_array_2ex, @object\n.size e1__2efini_array_2ex, 8\n"
    "e2__2efini_array_2ex: .quad f2\n.type e2__2efini_array_2ex, @object\n.size e2__2efini_array_2ex, 8\n"
    "e3__2efini_array_2ex: .quad f3\n.type e3__2efini_array_2ex, @object\n.size e3__2efini_array_2ex, 8\n"
    ".popsection");

asm(".pushsection \".gnu.linkonce.x\", \"aw\"\n .balign 8\n"
    "e1__2egnu_2elinkonce_2ex: .quad f1\n .fill 8, 1, 0x11\n.type e1__2egnu_2elinkonce_2ex, @object\n.size e1__2egnu_2elinkonce_2ex, 16\n"
    "e2__2egnu_2elinkonce_2ex: .quad f2\n .fill 8, 1, 0x11\n.type e2__2egnu_2elinkonce_2ex, @object\n.size e2__2egnu_2elinkonce_2ex, 16\n"
    "e3__2egnu_2elinkonce_2ex: .quad f3\n .fill 8, 1, 0x11\n.type e3__2egnu_2elinkonce_2ex, @object\n.size e3__2egnu_2elinkonce_2ex, 16\n"
    ".popsection");

asm(".pushsection \".init.data\", \"aw\"\n .balign 8\n"
    "e1__2einit_2edata: .quad f1\n .fill 8, 1, 0x11\n.type e1__2einit_2edata, @object\n.size e1__2einit_2edata, 16\n"
    "e2__2einit_2edata: .quad f2\n .fill 8, 1, 0x11\n.type e2__2einit_2edata, @object\n.size e2__2einit_2edata, 16\n"
    "e3__2einit_2edata: .quad f3\n .fill 8, 1, 0x11\n.type e3__2einit_2edata, @object\n.size e3__2einit_2edata, 16\n"
    ".popsection");

asm(".pushsection \".init.data.x\", \"aw\"\n .balign 8\n"
    "e1__2einit_2edata_2ex: .quad f1\n .fill 8, 1, 0x11\n.type e1__2einit_2edata_2ex, @object\n.size e1__2einit_2edata_2ex, 16\n"
    "e2__2einit_2edata_2ex: .quad f2\n .fill 8, 1, 0x11\n.type e2__2einit_2edata_2ex, @object\n.size e2__2einit_2edata_2ex, 16\n"
    "e3__2einit_2edata_2ex: .quad f3\n .fill 8, 1, 0x11\n.type e3__2einit_2edata_2ex, @object\n.size e3__2einit_2edata_2ex, 16\n"
    ".popsection");

asm(".pushsection \".init.ramfs\", \"aw\"\n .balign 8\n"
    "e1__2einit_2eramfs: .quad f1\n .fill 8, 1, 0x11\n.type e1__2einit_2eramfs, @object\n.size e1__2einit_2eramfs, 16\n"
    "e2__2einit_2eramfs: .quad f2\n .fill 8, 1, 0x11\n.type e2__2einit_2eramfs, @object\n.size e2__2einit_2eramfs, 16\n"
    "e3__2einit_2eramfs: .quad f3\n .fill 8, 1, 0x11\n.type e3__2einit_2eramfs, @object\n.size e3__2einit_2eramfs, 16\n"
    ".popsection");

asm(".pushsection \".init.ramfs.info\", \"aw\"\n .balign 8\n"
    "e1__2einit_2eramfs_2einfo: .quad f1\n .fill 8, 1, 0x11\n.type e1__2einit_2eramfs_2einfo, @object\n.size e1__2einit_2eramfs_2einfo, 16\n"
    "e2__2einit_2eramfs_2einfo: .quad f2\n .fill 8, 1, 0x11\n.type e2__2einit_2eramfs_2einfo, @object\n.size e2__2einit_2eramfs_2einfo, 16\n"
    "e3__2einit_2eramfs_2einfo: .quad f3\n .fill 8, 1, 0x11\n.type e3__2einit_2eramfs_2einfo, @object\n.size e3__2einit_2eramfs_2einfo, 16\n"
    ".popsection");

asm(".pushsection \".init.rodata\", \"aw\"\n .balign 8\n"
    "e1__2einit_2erodata: .quad f1\n .fill 8, 1, 0x11\n.type e1__2einit_2erodata, @object\n.size e1__2einit_2erodata, 16\n"
    "e2__2einit_2erodata: .quad f2\n .fill 8, 1, 0x11\n.type e2__2einit_2erodata, @object\n.size e2__2einit_2erodata, 16\n"
    "e3__2einit_2erodata: .quad f3\n .fill 8, 1, 0x11\n.type e3__2einit_2erodata, @object\n.size e3__2einit_2erodata, 16\n"
    ".popsection");

asm(".pushsection \".init.rodata.x\", \"aw\"\n .balign 8\n"
    "e1__2einit_2erodata_2ex: .quad f1\n .fill 8, 1, 0x11\n.type e1__2einit_2erodata_2ex, @object\n.size e1__2einit_2erodata_2ex, 16\n"
    "e2__2einit_2erodata_2ex: .quad f2\n .fill 8, 1, 0x11\n.type e2__2einit_2erodata_2ex, @object\n.size e2__2einit_2erodata_2ex, 16\n"
    "e3__2einit_2erodata_2ex: .quad f3\n .fill 8, 1, 0x11\n.type e3__2einit_2erodata_2ex, @object\n.size e3__2einit_2erodata_2ex, 16\n"
    ".popsection");

asm(".pushsection \".init.scratch\", \"aw\"\n .balign 8\n"
    "e1__2einit_2escratch: .quad f1\n .fill 8, 1, 0x11\n.type e1__2einit_2escratch, @object\n.size e1__2einit_2escratch, 16\n"
    "e2__2einit_2escratch: .quad f2\n .fill 8, 1, 0x11\n.type e2__2einit_2escratch, @object\n.size e2__2einit_2escratch, 16\n"
    "e3__2einit_2escratch: .quad f3\n .fill 8, 1, 0x11\n.type e3__2einit_2escratch, @object\n.size e3__2einit_2escratch, 16\n"
    ".popsection");

asm(".pushsection \".init.setup\", \"aw\"\n .balign 8\n"
    "e1__2einit_2esetup: .quad f1\n .quad f1\n .fill 8, 1, 0x11\n.type e1__2einit_2esetup, @object\n.size e1__2einit_2esetup, 24\n"
    "e2__2einit_2esetup: .quad f2\n .quad f2\n .fill 8, 1, 0x11\n.type e2__2einit_2esetup, @object\n.size e2__2einit_2esetup, 24\n"
    "e3__2einit_2esetup: .quad f3\n .quad f3\n .fill 8, 1, 0x11\n.type e3__2einit_2esetup, @object\n.size e3__2einit_2esetup, 24\n"
    ".popsection");

asm(".pushsection \".init_array\", \"aw\"\n .balign 8\n"
    "e1__2einit_array: .quad f1\n.type e1__2einit_array, @object\n.size e1__2einit_array, 8\n"
    "e2__2einit_array: .quad f2\n.type e2__2einit_array, @object\n.size e2__2einit_array, 8\n"
    "e3__2einit_array: .quad f3\n.type e3__2einit_array, @object\n.size e3__2einit_array, 8\n"
    ".popsection");

asm(".pushsection \".init_array.x\", \"aw\"\n .balign 8\n"
    "e1__2einit_array_2ex: .quad f1\n.type e1__2einit_array_2ex, @object\n.size e1__2einit_array_2ex, 8\n"
    "e2__2einit_array_2ex: .quad f2\n.type e2__2einit_array_2ex, @object\n.size e2__2einit_array_2ex, 8\n"
    "e3__2einit_array_2ex: .quad f3\n.type e3__2einit_array_2ex, @object\n.size e3__2einit_array_2ex, 8\n"
    ".popsection");

asm(".pushsection \".initcall6.init\", \"aw\"\n .balign 8\n"
    "e1__2einitcall6_2einit: .long f1 - .\n.type e1__2einitcall6_2einit, @object\n.size e1__2einitcall6_2einit, 4\n"
    "e2__2einitcall6_2einit: .long f2 - .\n.type e2__2einitcall6_2einit, @object\n.size e2__2einitcall6_2einit, 4\n"
    "e3__2einitcall6_2einit: .long f3 - .\n.type e3__2einitcall6_2einit, @object\n.size e3__2einitcall6_2einit, 4\n"
    ".popsection");

asm(".pushsection \".initcall6s.init\", \"aw\"\n .balign 8\n"
    "e1__2einitcall6s_2einit: .long f1 - .\n.type e1__2einitcall6s_2einit, @object\n.size e1__2einitcall6s_2einit, 4\n"
    "e2__2einitcall6s_2einit: .long f2 - .\n.type e2__2einitcall6s_2einit, @object\n.size e2__2einitcall6s_2einit, 4\n"
    "e3__2einitcall6s_2einit: .long f3 - .\n.type e3__2einitcall6s_2einit, @object\n.size e3__2einitcall6s_2einit, 4\n"
    ".popsection");

asm(".pushsection \".initcallearly.init\", \"aw\"\n .balign 8\n"
    "e1__2einitcallearly_2einit: .long f1 - .\n.type e1__2einitcallearly_2einit, @object\n.size e1__2einitcallearly_2einit, 4\n"
    "e2__2einitcallearly_2einit: .long f2 - .\n.type e2__2einitcallearly_2einit, @object\n.size e2__2einitcallearly_2einit, 4\n"
    "e3__2einitcallearly_2einit: .long f3 - .\n.type e3__2einitcallearly_2einit, @object\n.size e3__2einitcallearly_2einit, 4\n"
    ".popsection");

asm(".pushsection \".iommu_table\", \"aw\"\n .balign 8\n"
    "e1__2eiommu_table: .quad f1\n .fill 8, 1, 0x11\n.type e1__2eiommu_table, @object\n.size e1__2eiommu_table, 16\n"
    "e2__2eiommu_table: .quad f2\n .fill 8, 1, 0x11\n.type e2__2eiommu_table, @object\n.size e2__2eiommu_table, 16\n"
    "e3__2eiommu_table: .quad f3\n .fill 8, 1, 0x11\n.type e3__2eiommu_table, @object\n.size e3__2eiommu_table, 16\n"
    ".popsection");

asm(".pushsection \".kunit_init_test_suites\", \"aw\"\n .balign 8\n"
    "e1__2ekunit_init_test_suites: .quad f1\n.type e1__2ekunit_init_test_suites, @object\n.size e1__2ekunit_init_test_suites, 8\n"
    "e2__2ekunit_init_test_suites: .quad f2\n.type e2__2ekunit_init_test_suites, @object\n.size e2__2ekunit_init_test_suites, 8\n"
    "e3__2ekunit_init_test_suites: .quad f3\n.type e3__2ekunit_init_test_suites, @object\n.size e3__2ekunit_init_test_suites, 8\n"
    ".popsection");

asm(".pushsection \".kunit_test_suites\", \"aw\"\n .balign 8\n"
    "e1__2ekunit_test_suites: .quad f1\n.type e1__2ekunit_test_suites, @object\n.size e1__2ekunit_test_suites, 8\n"
    "e2__2ekunit_test_suites: .quad f2\n.type e2__2ekunit_test_suites, @object\n.size e2__2ekunit_test_suites, 8\n"
    "e3__2ekunit_test_suites: .quad f3\n.type e3__2ekunit_test_suites, @object\n.size e3__2ekunit_test_suites, 8\n"
    ".popsection");

asm(".pushsection \".lsm_info.init\", \"aw\"\n .balign 8\n"
    "e1__2elsm_info_2einit: .quad f1\n .fill 8, 1, 0x11\n.type e1__2elsm_info_2einit, @object\n.size e1__2elsm_info_2einit, 16\n"
    "e2__2elsm_info_2einit: .quad f2\n .fill 8, 1, 0x11\n.type e2__2elsm_info_2einit, @object\n.size e2__2elsm_info_2einit, 16\n"
    "e3__2elsm_info_2einit: .quad f3\n .fill 8, 1, 0x11\n.type e3__2elsm_info_2einit, @object\n.size e3__2elsm_info_2einit, 16\n"
    ".popsection");

asm(".pushsection \".memexit.datax\", \"aw\"\n .balign 8\n"
    "e1__2ememexit_2edatax: .quad f1\n .fill 8, 1, 0x11\n.type e1__2ememexit_2edatax, @object\n.size e1__2ememexit_2edatax, 16\n"
    "e2__2ememexit_2edatax: .quad f2\n .fill 8, 1, 0x11\n.type e2__2ememexit_2edatax, @object\n.size e2__2ememexit_2edatax, 16\n"
    "e3__2ememexit_2edatax: .quad f3\n .fill 8, 1, 0x11\n.type e3__2ememexit_2edatax, @object\n.size e3__2ememexit_2edatax, 16\n"
    ".popsection");

asm(".pushsection \".memexit.rodata\", \"aw\"\n .balign 8\n"
    "e1__2ememexit_2erodata: .quad f1\n .fill 8, 1, 0x11\n.type e1__2ememexit_2erodata, @object\n.size e1__2ememexit_2erodata, 16\n"
    "e2__2ememexit_2erodata: .quad f2\n .fill 8, 1, 0x11\n.type e2__2ememexit_2erodata, @object\n.size e2__2ememexit_2erodata, 16\n"
    "e3__2ememexit_2erodata: .quad f3\n .fill 8, 1, 0x11\n.type e3__2ememexit_2erodata, @object\n.size e3__2ememexit_2erodata, 16\n"
    ".popsection");

asm(".pushsection \".memexit.rodatax\", \"aw\"\n .balign 8\n"
    "e1__2ememexit_2erodatax: .quad f1\n .fill 8, 1, 0x11\n.type e1__2ememexit_2erodatax, @object\n.size e1__2ememexit_2erodatax, 16\n"
    "e2__2ememexit_2erodatax: .quad f2\n .fill 8, 1, 0x11\n.type e2__2ememexit_2erodatax, @object\n.size e2__2ememexit_2erodatax, 16\n"
    "e3__2ememexit_2erodatax: .quad f3\n .fill 8, 1, 0x11\n.type e3__2ememexit_2erodatax, @object\n.size e3__2ememexit_2erodatax, 16\n"
    ".popsection");

asm(".pushsection \".memexit.textx\", \"aw\"\n .balign 8\n"
    "e1__2ememexit_2etextx: .quad f1\n .fill 8, 1, 0x11\n.type e1__2ememexit_2etextx, @object\n.size e1__2ememexit_2etextx, 16\n"
    "e2__2ememexit_2etextx: .quad f2\n .fill 8, 1, 0x11\n.type e2__2ememexit_2etextx, @object\n.size e2__2ememexit_2etextx, 16\n"
    "e3__2ememexit_2etextx: .quad f3\n .fill 8, 1, 0x11\n.type e3__2ememexit_2etextx, @object\n.size e3__2ememexit_2etextx, 16\n"
    ".popsection");

asm(".pushsection \".meminit.datax\", \"aw\"\n .balign 8\n"
    "e1__2ememinit_2edatax: .quad f1\n .fill 8, 1, 0x11\n.type e1__2ememinit_2edatax, @object\n.size e1__2ememinit_2edatax, 16\n"
    "e2__2ememinit_2edatax: .quad f2\n .fill 8, 1, 0x11\n.type e2__2ememinit_2edatax, @object\n.size e2__2ememinit_2edatax, 16\n"
    "e3__2ememinit_2edatax: .quad f3\n .fill 8, 1, 0x11\n.type e3__2ememinit_2edatax, @object\n.size e3__2ememinit_2edatax, 16\n"
    ".popsection");

asm(".pushsection \".meminit.rodata\", \"aw\"\n .balign 8\n"
    "e1__2ememinit_2erodata: .quad f1\n .fill 8, 1, 0x11\n.type e1__2ememinit_2erodata, @object\n.size e1__2ememinit_2erodata, 16\n"
    "e2__2ememinit_2erodata: .quad f2\n .fill 8, 1, 0x11\n.type e2__2ememinit_2erodata, @object\n.size e2__2ememinit_2erodata, 16\n"
    "e3__2ememinit_2erodata: .quad f3\n .fill 8, 1, 0x11\n.type e3__2ememinit_2erodata, @object\n.size e3__2ememinit_2erodata, 16\n"
    ".popsection");

asm(".pushsection \".meminit.textx\", \"aw\"\n .balign 8\n"
    "e1__2ememinit_2etextx: .quad f1\n .fill 8, 1, 0x11\n.type e1__2ememinit_2etextx, @object\n.size e1__2ememinit_2etextx, 16\n"
    "e2__2ememinit_2etextx: .quad f2\n .fill 8, 1, 0x11\n.type e2__2ememinit_2etextx, @object\n.size e2__2ememinit_2etextx, 16\n"
    "e3__2ememinit_2etextx: .quad f3\n .fill 8, 1, 0x11\n.type e3__2ememinit_2etextx, @object\n.size e3__2ememinit_2etextx, 16\n"
    ".popsection");

asm(".pushsection \".modinfo\", \"aw\"\n .balign 8\n"
    "e1__2emodinfo: .asciz \"alias=device1\"\n.type e1__2emodinfo, @object\n.size e1__2emodinfo, 14\n"
    "e2__2emodinfo: .asciz \"alias=device2\"\n.type e2__2emodinfo, @object\n.size e2__2emodinfo, 14\n"
    "e3__2emodinfo: .asciz \"alias=device3\"\n.type e3__2emodinfo, @object\n.size e3__2emodinfo, 14\n"
    ".popsection");

asm(".pushsection \".note.x\", \"a\"\n .balign 8\n"
    "e1__2enote_2ex: .quad f1\n .fill 8, 1, 0x11\n.type e1__2enote_2ex, @object\n.size e1__2enote_2ex, 16\n"
    "e2__2enote_2ex: .quad f2\n .fill 8, 1, 0x11\n.type e2__2enote_2ex, @object\n.size e2__2enote_2ex, 16\n"
    "e3__2enote_2ex: .quad f3\n .fill 8, 1, 0x11\n.type e3__2enote_2ex, @object\n.size e3__2enote_2ex, 16\n"
    ".popsection");

asm(".pushsection \".pci_fixup_early\", \"a\"\n .balign 8\n"
    "e1__2epci_fixup_early: .fill 12, 1, 0x11\n .long f1 - .\n.type e1__2epci_fixup_early, @object\n.size e1__2epci_fixup_early, 16\n"
    "e2__2epci_fixup_early: .fill 12, 1, 0x11\n .long f2 - .\n.type e2__2epci_fixup_early, @object\n.size e2__2epci_fixup_early, 16\n"
    "e3__2epci_fixup_early: .fill 12, 1, 0x11\n .long f3 - .\n.type e3__2epci_fixup_early, @object\n.size e3__2epci_fixup_early, 16\n"
    ".popsection");

asm(".pushsection \".pci_fixup_enable\", \"a\"\n .balign 8\n"
    "e1__2epci_fixup_enable: .fill 12, 1, 0x11\n .long f1 - .\n.type e1__2epci_fixup_enable, @object\n.size e1__2epci_fixup_enable, 16\n"
    "e2__2epci_fixup_enable: .fill 12, 1, 0x11\n .long f2 - .\n.type e2__2epci_fixup_enable, @object\n.size e2__2epci_fixup_enable, 16\n"
    "e3__2epci_fixup_enable: .fill 12, 1, 0x11\n .long f3 - .\n.type e3__2epci_fixup_enable, @object\n.size e3__2epci_fixup_enable, 16\n"
    ".popsection");

asm(".pushsection \".pci_fixup_final\", \"a\"\n .balign 8\n"
    "e1__2epci_fixup_final: .fill 12, 1, 0x11\n .long f1 - .\n.type e1__2epci_fixup_final, @object\n.size e1__2epci_fixup_final, 16\n"
    "e2__2epci_fixup_final: .fill 12, 1, 0x11\n .long f2 - .\n.type e2__2epci_fixup_final, @object\n.size e2__2epci_fixup_final, 16\n"
    "e3__2epci_fixup_final: .fill 12, 1, 0x11\n .long f3 - .\n.type e3__2epci_fixup_final, @object\n.size e3__2epci_fixup_final, 16\n"
    ".popsection");

asm(".pushsection \".pci_fixup_header\", \"a\"\n .balign 8\n"
    "e1__2epci_fixup_header: .fill 12, 1, 0x11\n .long f1 - .\n.type e1__2epci_fixup_header, @object\n.size e1__2epci_fixup_header, 16\n"
    "e2__2epci_fixup_header: .fill 12, 1, 0x11\n .long f2 - .\n.type e2__2epci_fixup_header, @object\n.size e2__2epci_fixup_header, 16\n"
    "e3__2epci_fixup_header: .fill 12, 1, 0x11\n .long f3 - .\n.type e3__2epci_fixup_header, @object\n.size e3__2epci_fixup_header, 16\n"
    ".popsection");

asm(".pushsection \".pci_fixup_resume\", \"a\"\n .balign 8\n"
    "e1__2epci_fixup_resume: .fill 12, 1, 0x11\n .long f1 - .\n.type e1__2epci_fixup_resume, @object\n.size e1__2epci_fixup_resume, 16\n"
    "e2__2epci_fixup_resume: .fill 12, 1, 0x11\n .long f2 - .\n.type e2__2epci_fixup_resume, @object\n.size e2__2epci_fixup_resume, 16\n"
    "e3__2epci_fixup_resume: .fill 12, 1, 0x11\n .long f3 - .\n.type e3__2epci_fixup_resume, @object\n.size e3__2epci_fixup_resume, 16\n"
    ".popsection");

asm(".pushsection \".pci_fixup_resume_early\", \"a\"\n .balign 8\n"
    "e1__2epci_fixup_resume_early: .fill 12, 1, 0x11\n .long f1 - .\n.type e1__2epci_fixup_resume_early, @object\n.size e1__2epci_fixup_resume_early, 16\n"
    "e2__2epci_fixup_resume_early: .fill 12, 1, 0x11\n .long f2 - .\n.type e2__2epci_fixup_resume_early, @object\n.size e2__2epci_fixup_resume_early, 16\n"
    "e3__2epci_fixup_resume_early: .fill 12, 1, 0x11\n .long f3 - .\n.type e3__2epci_fixup_resume_early, @object\n.size e3__2epci_fixup_resume_early, 16\n"
    ".popsection");

asm(".pushsection \".pci_fixup_suspend\", \"a\"\n .balign 8\n"
    "e1__2epci_fixup_suspend: .fill 12, 1, 0x11\n .long f1 - .\n.type e1__2epci_fixup_suspend, @object\n.size e1__2epci_fixup_suspend, 16\n"
    "e2__2epci_fixup_suspend: .fill 12, 1, 0x11\n .long f2 - .\n.type e2__2epci_fixup_suspend, @object\n.size e2__2epci_fixup_suspend, 16\n"
    "e3__2epci_fixup_suspend: .fill 12, 1, 0x11\n .long f3 - .\n.type e3__2epci_fixup_suspend, @object\n.size e3__2epci_fixup_suspend, 16\n"
    ".popsection");

asm(".pushsection \".pci_fixup_suspend_late\", \"a\"\n .balign 8\n"
    "e1__2epci_fixup_suspend_late: .fill 12, 1, 0x11\n .long f1 - .\n.type e1__2epci_fixup_suspend_late, @object\n.size e1__2epci_fixup_suspend_late, 16\n"
    "e2__2epci_fixup_suspend_late: .fill 12, 1, 0x11\n .long f2 - .\n.type e2__2epci_fixup_suspend_late, @object\n.size e2__2epci_fixup_suspend_late, 16\n"
    "e3__2epci_fixup_suspend_late: .fill 12, 1, 0x11\n .long f3 - .\n.type e3__2epci_fixup_suspend_late, @object\n.size e3__2epci_fixup_suspend_late, 16\n"
    ".popsection");

asm(".pushsection \".printk_index\", \"a\"\n .balign 8\n"
    "e1__2eprintk_index: .quad f1\n.type e1__2eprintk_index, @object\n.size e1__2eprintk_index, 8\n"
    "e2__2eprintk_index: .quad f2\n.type e2__2eprintk_index, @object\n.size e2__2eprintk_index, 8\n"
    "e3__2eprintk_index: .quad f3\n.type e3__2eprintk_index, @object\n.size e3__2eprintk_index, 8\n"
    ".popsection");

asm(".pushsection \".sched_class\", \"a\"\n .balign 8\n"
    "e1__2esched_class: .quad f1\n .fill 8, 1, 0x11\n.type e1__2esched_class, @object\n.size e1__2esched_class, 16\n"
    "e2__2esched_class: .quad f2\n .fill 8, 1, 0x11\n.type e2__2esched_class, @object\n.size e2__2esched_class, 16\n"
    "e3__2esched_class: .quad f3\n .fill 8, 1, 0x11\n.type e3__2esched_class, @object\n.size e3__2esched_class, 16\n"
    ".popsection");

asm(".pushsection \".static_call_tramp_key\", \"a\"\n .balign 8\n"
    "e1__2estatic_call_tramp_key: .long f1 - .\n .long f1 - .\n.type e1__2estatic_call_tramp_key, @object\n.size e1__2estatic_call_tramp_key, 8\n"
    "e2__2estatic_call_tramp_key: .long f2 - .\n .long f2 - .\n.type e2__2estatic_call_tramp_key, @object\n.size e2__2estatic_call_tramp_key, 8\n"
    "e3__2estatic_call_tramp_key: .long f3 - .\n .long f3 - .\n.type e3__2estatic_call_tramp_key, @object\n.size e3__2estatic_call_tramp_key, 8\n"
    ".popsection");

asm(".pushsection \".tracedata\", \"a\"\n .balign 8\n"
    "e1__2etracedata: .fill 2, 1, 0x11\n .quad f1\n.type e1__2etracedata, @object\n.size e1__2etracedata, 10\n"
    "e2__2etracedata: .fill 2, 1, 0x11\n .quad f2\n.type e2__2etracedata, @object\n.size e2__2etracedata, 10\n"
    "e3__2etracedata: .fill 2, 1, 0x11\n .quad f3\n.type e3__2etracedata, @object\n.size e3__2etracedata, 10\n"
    ".popsection");

asm(".pushsection \".vvar_x\", \"aw\"\n .balign 8\n"
    "e1__2evvar_x: .quad f1\n .fill 8, 1, 0x11\n.type e1__2evvar_x, @object\n.size e1__2evvar_x, 16\n"
    "e2__2evvar_x: .quad f2\n .fill 8, 1, 0x11\n.type e2__2evvar_x, @object\n.size e2__2evvar_x, 16\n"
    "e3__2evvar_x: .quad f3\n .fill 8, 1, 0x11\n.type e3__2evvar_x, @object\n.size e3__2evvar_x, 16\n"
    ".popsection");

asm(".pushsection \".x86_cpu_dev.init\", \"aw\"\n .balign 8\n"
    "e1__2ex86_cpu_dev_2einit: .quad f1\n.type e1__2ex86_cpu_dev_2einit, @object\n.size e1__2ex86_cpu_dev_2einit, 8\n"
    "e2__2ex86_cpu_dev_2einit: .quad f2\n.type e2__2ex86_cpu_dev_2einit, @object\n.size e2__2ex86_cpu_dev_2einit, 8\n"
    "e3__2ex86_cpu_dev_2einit: .quad f3\n.type e3__2ex86_cpu_dev_2einit, @object\n.size e3__2ex86_cpu_dev_2einit, 8\n"
    ".popsection");

asm(".pushsection \".x86_intel_mid_dev.init\", \"aw\"\n .balign 8\n"
    "e1__2ex86_intel_mid_dev_2einit: .quad f1\n.type e1__2ex86_intel_mid_dev_2einit, @object\n.size e1__2ex86_intel_mid_dev_2einit, 8\n"
    "e2__2ex86_intel_mid_dev_2einit: .quad f2\n.type e2__2ex86_intel_mid_dev_2einit, @object\n.size e2__2ex86_intel_mid_dev_2einit, 8\n"
    "e3__2ex86_intel_mid_dev_2einit: .quad f3\n.type e3__2ex86_intel_mid_dev_2einit, @object\n.size e3__2ex86_intel_mid_dev_2einit, 8\n"
    ".popsection");

asm(".pushsection \"___kcrctab+x\", \"a\"\n .balign 8\n"
    "__crc_e1____kcrctab_2bx: .fill 4, 1, 0x11\n.type __crc_e1____kcrctab_2bx, @object\n.size __crc_e1____kcrctab_2bx, 4\n"
    "__crc_e2____kcrctab_2bx: .fill 4, 1, 0x11\n.type __crc_e2____kcrctab_2bx, @object\n.size __crc_e2____kcrctab_2bx, 4\n"
    "__crc_e3____kcrctab_2bx: .fill 4, 1, 0x11\n.type __crc_e3____kcrctab_2bx, @object\n.size __crc_e3____kcrctab_2bx, 4\n"
    ".popsection");

asm(".pushsection \"___kcrctab_gpl+x\", \"a\"\n .balign 8\n"
    "__crc_e1____kcrctab_gpl_2bx: .fill 4, 1, 0x11\n.type __crc_e1____kcrctab_gpl_2bx, @object\n.size __crc_e1____kcrctab_gpl_2bx, 4\n"
    "__crc_e2____kcrctab_gpl_2bx: .fill 4, 1, 0x11\n.type __crc_e2____kcrctab_gpl_2bx, @object\n.size __crc_e2____kcrctab_gpl_2bx, 4\n"
    "__crc_e3____kcrctab_gpl_2bx: .fill 4, 1, 0x11\n.type __crc_e3____kcrctab_gpl_2bx, @object\n.size __crc_e3____kcrctab_gpl_2bx, 4\n"
    ".popsection");

asm(".pushsection \"___kcrctab_gpl_future+x\", \"a\"\n .balign 8\n"
    "__crc_e1____kcrctab_gpl_future_2bx: .fill 4, 1, 0x11\n.type __crc_e1____kcrctab_gpl_future_2bx, @object\n.size __crc_e1____kcrctab_gpl_future_2bx, 4\n"
    "__crc_e2____kcrctab_gpl_future_2bx: .fill 4, 1, 0x11\n.type __crc_e2____kcrctab_gpl_future_2bx, @object\n.size __crc_e2____kcrctab_gpl_future_2bx, 4\n"
    "__crc_e3____kcrctab_gpl_future_2bx: .fill 4, 1, 0x11\n.type __crc_e3____kcrctab_gpl_future_2bx, @object\n.size __crc_e3____kcrctab_gpl_future_2bx, 4\n"
    ".popsection");

asm(".pushsection \"___kcrctab_unused+x\", \"a\"\n .balign 8\n"
    "__crc_e1____kcrctab_unused_2bx: .fill 4, 1, 0x11\n.type __crc_e1____kcrctab_unused_2bx, @object\n.size __crc_e1____kcrctab_unused_2bx, 4\n"
    "__crc_e2____kcrctab_unused_2bx: .fill 4, 1, 0x11\n.type __crc_e2____kcrctab_unused_2bx, @object\n.size __crc_e2____kcrctab_unused_2bx, 4\n"
    "__crc_e3____kcrctab_unused_2bx: .fill 4, 1, 0x11\n.type __crc_e3____kcrctab_unused_2bx, @object\n.size __crc_e3____kcrctab_unused_2bx, 4\n"
    ".popsection");

asm(".pushsection \"___kcrctab_unused_gpl+x\", \"a\"\n .balign 8\n"
    "__crc_e1____kcrctab_unused_gpl_2bx: .fill 4, 1, 0x11\n.type __crc_e1____kcrctab_unused_gpl_2bx, @object\n.size __crc_e1____kcrctab_unused_gpl_2bx, 4\n"
    "__crc_e2____kcrctab_unused_gpl_2bx: .fill 4, 1, 0x11\n.type __crc_e2____kcrctab_unused_gpl_2bx, @object\n.size __crc_e2____kcrctab_unused_gpl_2bx, 4\n"
    "__crc_e3____kcrctab_unused_gpl_2bx: .fill 4, 1, 0x11\n.type __crc_e3____kcrctab_unused_gpl_2bx, @object\n.size __crc_e3____kcrctab_unused_gpl_2bx, 4\n"
    ".popsection");

asm(".pushsection \"___kentry+x\", \"aw\"\n .balign 8\n"
    "e1____kentry_2bx: .quad f1\n .fill 8, 1, 0x11\n.type e1____kentry_2bx, @object\n.size e1____kentry_2bx, 16\n"
    "e2____kentry_2bx: .quad f2\n .fill 8, 1, 0x11\n.type e2____kentry_2bx, @object\n.size e2____kentry_2bx, 16\n"
    "e3____kentry_2bx: .quad f3\n .fill 8, 1, 0x11\n.type e3____kentry_2bx, @object\n.size e3____kentry_2bx, 16\n"
    ".popsection");

asm(".pushsection \"___ksymtab+x\", \"a\"\n .balign 8\n"
    "__ksymtab_e1____ksymtab_2bx: .long f1 - .\n .quad f1\n.type __ksymtab_e1____ksymtab_2bx, @object\n.size __ksymtab_e1____ksymtab_2bx, 12\n"
    "__ksymtab_e2____ksymtab_2bx: .long f2 - .\n .quad f2\n.type __ksymtab_e2____ksymtab_2bx, @object\n.size __ksymtab_e2____ksymtab_2bx, 12\n"
    "__ksymtab_e3____ksymtab_2bx: .long f3 - .\n .quad f3\n.type __ksymtab_e3____ksymtab_2bx, @object\n.size __ksymtab_e3____ksymtab_2bx, 12\n"
    ".popsection");

asm(".pushsection \"___ksymtab_gpl+x\", \"a\"\n .balign 8\n"
    "__ksymtab_e1____ksymtab_gpl_2bx: .long f1 - .\n .quad f1\n.type __ksymtab_e1____ksymtab_gpl_2bx, @object\n.size __ksymtab_e1____ksymtab_gpl_2bx, 12\n"
    "__ksymtab_e2____ksymtab_gpl_2bx: .long f2 - .\n .quad f2\n.type __ksymtab_e2____ksymtab_gpl_2bx, @object\n.size __ksymtab_e2____ksymtab_gpl_2bx, 12\n"
    "__ksymtab_e3____ksymtab_gpl_2bx: .long f3 - .\n .quad f3\n.type __ksymtab_e3____ksymtab_gpl_2bx, @object\n.size __ksymtab_e3____ksymtab_gpl_2bx, 12\n"
    ".popsection");

asm(".pushsection \"___ksymtab_gpl_future+x\", \"a\"\n .balign 8\n"
    "__ksymtab_e1____ksymtab_gpl_future_2bx: .long f1 - .\n .quad f1\n.type __ksymtab_e1____ksymtab_gpl_future_2bx, @object\n.size __ksymtab_e1____ksymtab_gpl_future_2bx, 12\n"
    "__ksymtab_e2____ksymtab_gpl_future_2bx: .long f2 - .\n .quad f2\n.type __ksymtab_e2____ksymtab_gpl_future_2bx, @object\n.size __ksymtab_e2____ksymtab_gpl_future_2bx, 12\n"
    "__ksymtab_e3____ksymtab_gpl_future_2bx: .long f3 - .\n .quad f3\n.type __ksymtab_e3____ksymtab_gpl_future_2bx, @object\n.size __ksymtab_e3____ksymtab_gpl_future_2bx, 12\n"
    ".popsection");

asm(".pushsection \"___ksymtab_unused+x\", \"a\"\n .balign 8\n"
    "__ksymtab_e1____ksymtab_unused_2bx: .long f1 - .\n .quad f1\n.type __ksymtab_e1____ksymtab_unused_2bx, @object\n.size __ksymtab_e1____ksymtab_unused_2bx, 12\n"
    "__ksymtab_e2____ksymtab_unused_2bx: .long f2 - .\n .quad f2\n.type __ksymtab_e2____ksymtab_unused_2bx, @object\n.size __ksymtab_e2____ksymtab_unused_2bx, 12\n"
    "__ksymtab_e3____ksymtab_unused_2bx: .long f3 - .\n .quad f3\n.type __ksymtab_e3____ksymtab_unused_2bx, @object\n.size __ksymtab_e3____ksymtab_unused_2bx, 12\n"
    ".popsection");

asm(".pushsection \"___ksymtab_unused_gpl+x\", \"a\"\n .balign 8\n"
    "__ksymtab_e1____ksymtab_unused_gpl_2bx: .long f1 - .\n .quad f1\n.type __ksymtab_e1____ksymtab_unused_gpl_2bx, @object\n.size __ksymtab_e1____ksymtab_unused_gpl_2bx, 12\n"
    "__ksymtab_e2____ksymtab_unused_gpl_2bx: .long f2 - .\n .quad f2\n.type __ksymtab_e2____ksymtab_unused_gpl_2bx, @object\n.size __ksymtab_e2____ksymtab_unused_gpl_2bx, 12\n"
    "__ksymtab_e3____ksymtab_unused_gpl_2bx: .long f3 - .\n .quad f3\n.type __ksymtab_e3____ksymtab_unused_gpl_2bx, @object\n.size __ksymtab_e3____ksymtab_unused_gpl_2bx, 12\n"
    ".popsection");

asm(".pushsection \"___srcu_struct_ptrs\", \"aw\"\n .balign 8\n"
    "e1____srcu_struct_ptrs: .quad f1\n.type e1____srcu_struct_ptrs, @object\n.size e1____srcu_struct_ptrs, 8\n"
    "e2____srcu_struct_ptrs: .quad f2\n.type e2____srcu_struct_ptrs, @object\n.size e2____srcu_struct_ptrs, 8\n"
    "e3____srcu_struct_ptrs: .quad f3\n.type e3____srcu_struct_ptrs, @object\n.size e3____srcu_struct_ptrs, 8\n"
    ".popsection");

asm(".pushsection \"__bpf_raw_tp_map\", \"aw\"\n .balign 8\n"
    "e1___bpf_raw_tp_map: .quad f1\n .quad f1\n .fill 16, 1, 0x11\n.type e1___bpf_raw_tp_map, @object\n.size e1___bpf_raw_tp_map, 32\n"
    "e2___bpf_raw_tp_map: .quad f2\n .quad f2\n .fill 16, 1, 0x11\n.type e2___bpf_raw_tp_map, @object\n.size e2___bpf_raw_tp_map, 32\n"
    "e3___bpf_raw_tp_map: .quad f3\n .quad f3\n .fill 16, 1, 0x11\n.type e3___bpf_raw_tp_map, @object\n.size e3___bpf_raw_tp_map, 32\n"
    ".popsection");

asm(".pushsection \"__clk_of_table\", \"aw\"\n .balign 8\n"
    "e1___clk_of_table: .quad f1\n .fill 8, 1, 0x11\n.type e1___clk_of_table, @object\n.size e1___clk_of_table, 16\n"
    "e2___clk_of_table: .quad f2\n .fill 8, 1, 0x11\n.type e2___clk_of_table, @object\n.size e2___clk_of_table, 16\n"
    "e3___clk_of_table: .quad f3\n .fill 8, 1, 0x11\n.type e3___clk_of_table, @object\n.size e3___clk_of_table, 16\n"
    ".popsection");

asm(".pushsection \"__cpu_method_of_table\", \"aw\"\n .balign 8\n"
    "e1___cpu_method_of_table: .quad f1\n .fill 8, 1, 0x11\n.type e1___cpu_method_of_table, @object\n.size e1___cpu_method_of_table, 16\n"
    "e2___cpu_method_of_table: .quad f2\n .fill 8, 1, 0x11\n.type e2___cpu_method_of_table, @object\n.size e2___cpu_method_of_table, 16\n"
    "e3___cpu_method_of_table: .quad f3\n .fill 8, 1, 0x11\n.type e3___cpu_method_of_table, @object\n.size e3___cpu_method_of_table, 16\n"
    ".popsection");

asm(".pushsection \"__cpuidle_method_of_table\", \"aw\"\n .balign 8\n"
    "e1___cpuidle_method_of_table: .quad f1\n .fill 8, 1, 0x11\n.type e1___cpuidle_method_of_table, @object\n.size e1___cpuidle_method_of_table, 16\n"
    "e2___cpuidle_method_of_table: .quad f2\n .fill 8, 1, 0x11\n.type e2___cpuidle_method_of_table, @object\n.size e2___cpuidle_method_of_table, 16\n"
    "e3___cpuidle_method_of_table: .quad f3\n .fill 8, 1, 0x11\n.type e3___cpuidle_method_of_table, @object\n.size e3___cpuidle_method_of_table, 16\n"
    ".popsection");

asm(".pushsection \"__dl_sched_class\", \"a\"\n .balign 8\n"
    "e1___dl_sched_class: .quad f1\n .fill 8, 1, 0x11\n.type e1___dl_sched_class, @object\n.size e1___dl_sched_class, 16\n"
    "e2___dl_sched_class: .quad f2\n .fill 8, 1, 0x11\n.type e2___dl_sched_class, @object\n.size e2___dl_sched_class, 16\n"
    "e3___dl_sched_class: .quad f3\n .fill 8, 1, 0x11\n.type e3___dl_sched_class, @object\n.size e3___dl_sched_class, 16\n"
    ".popsection");

asm(".pushsection \"__earlycon_table\", \"aw\"\n .balign 8\n"
    "e1___earlycon_table: .quad f1\n .fill 8, 1, 0x11\n.type e1___earlycon_table, @object\n.size e1___earlycon_table, 16\n"
    "e2___earlycon_table: .quad f2\n .fill 8, 1, 0x11\n.type e2___earlycon_table, @object\n.size e2___earlycon_table, 16\n"
    "e3___earlycon_table: .quad f3\n .fill 8, 1, 0x11\n.type e3___earlycon_table, @object\n.size e3___earlycon_table, 16\n"
    ".popsection");

asm(".pushsection \"__ext_sched_class\", \"a\"\n .balign 8\n"
    "e1___ext_sched_class: .quad f1\n .fill 8, 1, 0x11\n.type e1___ext_sched_class, @object\n.size e1___ext_sched_class, 16\n"
    "e2___ext_sched_class: .quad f2\n .fill 8, 1, 0x11\n.type e2___ext_sched_class, @object\n.size e2___ext_sched_class, 16\n"
    "e3___ext_sched_class: .quad f3\n .fill 8, 1, 0x11\n.type e3___ext_sched_class, @object\n.size e3___ext_sched_class, 16\n"
    ".popsection");

asm(".pushsection \"__fair_sched_class\", \"a\"\n .balign 8\n"
    "e1___fair_sched_class: .quad f1\n .fill 8, 1, 0x11\n.type e1___fair_sched_class, @object\n.size e1___fair_sched_class, 16\n"
    "e2___fair_sched_class: .quad f2\n .fill 8, 1, 0x11\n.type e2___fair_sched_class, @object\n.size e2___fair_sched_class, 16\n"
    "e3___fair_sched_class: .quad f3\n .fill 8, 1, 0x11\n.type e3___fair_sched_class, @object\n.size e3___fair_sched_class, 16\n"
    ".popsection");

asm(".pushsection \"__governor_thermal_table\", \"aw\"\n .balign 8\n"
    "e1___governor_thermal_table: .quad f1\n.type e1___governor_thermal_table, @object\n.size e1___governor_thermal_table, 8\n"
    "e2___governor_thermal_table: .quad f2\n.type e2___governor_thermal_table, @object\n.size e2___governor_thermal_table, 8\n"
    "e3___governor_thermal_table: .quad f3\n.type e3___governor_thermal_table, @object\n.size e3___governor_thermal_table, 8\n"
    ".popsection");

asm(".pushsection \"__idle_sched_class\", \"a\"\n .balign 8\n"
    "e1___idle_sched_class: .quad f1\n .fill 8, 1, 0x11\n.type e1___idle_sched_class, @object\n.size e1___idle_sched_class, 16\n"
    "e2___idle_sched_class: .quad f2\n .fill 8, 1, 0x11\n.type e2___idle_sched_class, @object\n.size e2___idle_sched_class, 16\n"
    "e3___idle_sched_class: .quad f3\n .fill 8, 1, 0x11\n.type e3___idle_sched_class, @object\n.size e3___idle_sched_class, 16\n"
    ".popsection");

asm(".pushsection \"__irqchip_acpi_probe_table\", \"aw\"\n .balign 8\n"
    "e1___irqchip_acpi_probe_table: .quad f1\n .fill 8, 1, 0x11\n.type e1___irqchip_acpi_probe_table, @object\n.size e1___irqchip_acpi_probe_table, 16\n"
    "e2___irqchip_acpi_probe_table: .quad f2\n .fill 8, 1, 0x11\n.type e2___irqchip_acpi_probe_table, @object\n.size e2___irqchip_acpi_probe_table, 16\n"
    "e3___irqchip_acpi_probe_table: .quad f3\n .fill 8, 1, 0x11\n.type e3___irqchip_acpi_probe_table, @object\n.size e3___irqchip_acpi_probe_table, 16\n"
    ".popsection");

asm(".pushsection \"__irqchip_of_table\", \"aw\"\n .balign 8\n"
    "e1___irqchip_of_table: .quad f1\n .fill 8, 1, 0x11\n.type e1___irqchip_of_table, @object\n.size e1___irqchip_of_table, 16\n"
    "e2___irqchip_of_table: .quad f2\n .fill 8, 1, 0x11\n.type e2___irqchip_of_table, @object\n.size e2___irqchip_of_table, 16\n"
    "e3___irqchip_of_table: .quad f3\n .fill 8, 1, 0x11\n.type e3___irqchip_of_table, @object\n.size e3___irqchip_of_table, 16\n"
    ".popsection");

asm(".pushsection \"__ksymtab_strings\", \"a\"\n .balign 8\n"
    "__ksymtab_e1___ksymtab_strings: .long f1 - .\n .quad f1\n.type __ksymtab_e1___ksymtab_strings, @object\n.size __ksymtab_e1___ksymtab_strings, 12\n"
    "__ksymtab_e2___ksymtab_strings: .long f2 - .\n .quad f2\n.type __ksymtab_e2___ksymtab_strings, @object\n.size __ksymtab_e2___ksymtab_strings, 12\n"
    "__ksymtab_e3___ksymtab_strings: .long f3 - .\n .quad f3\n.type __ksymtab_e3___ksymtab_strings, @object\n.size __ksymtab_e3___ksymtab_strings, 12\n"
    ".popsection");

asm(".pushsection \"__modver\", \"a\"\n .balign 8\n"
    "e1___modver: .fill 72, 1, 0x11\n.type e1___modver, @object\n.size e1___modver, 72\n"
    "e2___modver: .fill 72, 1, 0x11\n.type e2___modver, @object\n.size e2___modver, 72\n"
    "e3___modver: .fill 72, 1, 0x11\n.type e3___modver, @object\n.size e3___modver, 72\n"
    ".popsection");

asm(".pushsection \"__param\", \"a\"\n .balign 8\n"
    "e1___param: .quad f1\n .fill 24, 1, 0x11\n .quad f1\n.type e1___param, @object\n.size e1___param, 40\n"
    "e2___param: .quad f2\n .fill 24, 1, 0x11\n .quad f2\n.type e2___param, @object\n.size e2___param, 40\n"
    "e3___param: .quad f3\n .fill 24, 1, 0x11\n .quad f3\n.type e3___param, @object\n.size e3___param, 40\n"
    ".popsection");

asm(".pushsection \"__reservedmem_of_table\", \"aw\"\n .balign 8\n"
    "e1___reservedmem_of_table: .quad f1\n .fill 8, 1, 0x11\n.type e1___reservedmem_of_table, @object\n.size e1___reservedmem_of_table, 16\n"
    "e2___reservedmem_of_table: .quad f2\n .fill 8, 1, 0x11\n.type e2___reservedmem_of_table, @object\n.size e2___reservedmem_of_table, 16\n"
    "e3___reservedmem_of_table: .quad f3\n .fill 8, 1, 0x11\n.type e3___reservedmem_of_table, @object\n.size e3___reservedmem_of_table, 16\n"
    ".popsection");

asm(".pushsection \"__rt_sched_class\", \"a\"\n .balign 8\n"
    "e1___rt_sched_class: .quad f1\n .fill 8, 1, 0x11\n.type e1___rt_sched_class, @object\n.size e1___rt_sched_class, 16\n"
    "e2___rt_sched_class: .quad f2\n .fill 8, 1, 0x11\n.type e2___rt_sched_class, @object\n.size e2___rt_sched_class, 16\n"
    "e3___rt_sched_class: .quad f3\n .fill 8, 1, 0x11\n.type e3___rt_sched_class, @object\n.size e3___rt_sched_class, 16\n"
    ".popsection");

asm(".pushsection \"__stop_sched_class\", \"a\"\n .balign 8\n"
    "e1___stop_sched_class: .quad f1\n .fill 8, 1, 0x11\n.type e1___stop_sched_class, @object\n.size e1___stop_sched_class, 16\n"
    "e2___stop_sched_class: .quad f2\n .fill 8, 1, 0x11\n.type e2___stop_sched_class, @object\n.size e2___stop_sched_class, 16\n"
    "e3___stop_sched_class: .quad f3\n .fill 8, 1, 0x11\n.type e3___stop_sched_class, @object\n.size e3___stop_sched_class, 16\n"
    ".popsection");

asm(".pushsection \"__syscalls_metadata\", \"aw\"\n .balign 8\n"
    "e1___syscalls_metadata: .quad f1\n.type e1___syscalls_metadata, @object\n.size e1___syscalls_metadata, 8\n"
    "e2___syscalls_metadata: .quad f2\n.type e2___syscalls_metadata, @object\n.size e2___syscalls_metadata, 8\n"
    "e3___syscalls_metadata: .quad f3\n.type e3___syscalls_metadata, @object\n.size e3___syscalls_metadata, 8\n"
    ".popsection");

asm(".pushsection \"__timer_acpi_probe_table\", \"aw\"\n .balign 8\n"
    "e1___timer_acpi_probe_table: .quad f1\n .fill 8, 1, 0x11\n.type e1___timer_acpi_probe_table, @object\n.size e1___timer_acpi_probe_table, 16\n"
    "e2___timer_acpi_probe_table: .quad f2\n .fill 8, 1, 0x11\n.type e2___timer_acpi_probe_table, @object\n.size e2___timer_acpi_probe_table, 16\n"
    "e3___timer_acpi_probe_table: .quad f3\n .fill 8, 1, 0x11\n.type e3___timer_acpi_probe_table, @object\n.size e3___timer_acpi_probe_table, 16\n"
    ".popsection");

asm(".pushsection \"__timer_of_table\", \"aw\"\n .balign 8\n"
    "e1___timer_of_table: .quad f1\n .fill 8, 1, 0x11\n.type e1___timer_of_table, @object\n.size e1___timer_of_table, 16\n"
    "e2___timer_of_table: .quad f2\n .fill 8, 1, 0x11\n.type e2___timer_of_table, @object\n.size e2___timer_of_table, 16\n"
    "e3___timer_of_table: .quad f3\n .fill 8, 1, 0x11\n.type e3___timer_of_table, @object\n.size e3___timer_of_table, 16\n"
    ".popsection");

asm(".pushsection \"__trace_printk_fmt\", \"aw\"\n .balign 8\n"
    "e1___trace_printk_fmt: .quad f1\n.type e1___trace_printk_fmt, @object\n.size e1___trace_printk_fmt, 8\n"
    "e2___trace_printk_fmt: .quad f2\n.type e2___trace_printk_fmt, @object\n.size e2___trace_printk_fmt, 8\n"
    "e3___trace_printk_fmt: .quad f3\n.type e3___trace_printk_fmt, @object\n.size e3___trace_printk_fmt, 8\n"
    ".popsection");

asm(".pushsection \"__tracepoint_str\", \"aw\"\n .balign 8\n"
    "e1___tracepoint_str: .quad f1\n.type e1___tracepoint_str, @object\n.size e1___tracepoint_str, 8\n"
    "e2___tracepoint_str: .quad f2\n.type e2___tracepoint_str, @object\n.size e2___tracepoint_str, 8\n"
    "e3___tracepoint_str: .quad f3\n.type e3___tracepoint_str, @object\n.size e3___tracepoint_str, 8\n"
    ".popsection");

asm(".pushsection \"__tracepoints\", \"aw\"\n .balign 8\n"
    "e1___tracepoints: .quad f1\n .fill 8, 1, 0x11\n.type e1___tracepoints, @object\n.size e1___tracepoints, 16\n"
    "e2___tracepoints: .quad f2\n .fill 8, 1, 0x11\n.type e2___tracepoints, @object\n.size e2___tracepoints, 16\n"
    "e3___tracepoints: .quad f3\n .fill 8, 1, 0x11\n.type e3___tracepoints, @object\n.size e3___tracepoints, 16\n"
    ".popsection");

asm(".pushsection \"__tracepoints_ptrs\", \"a\"\n .balign 8\n"
    "e1___tracepoints_ptrs: .long f1 - .\n.type e1___tracepoints_ptrs, @object\n.size e1___tracepoints_ptrs, 4\n"
    "e2___tracepoints_ptrs: .long f2 - .\n.type e2___tracepoints_ptrs, @object\n.size e2___tracepoints_ptrs, 4\n"
    "e3___tracepoints_ptrs: .long f3 - .\n.type e3___tracepoints_ptrs, @object\n.size e3___tracepoints_ptrs, 4\n"
    ".popsection");

asm(".pushsection \"__tracepoints_strings\", \"a\"\n .balign 8\n"
    "e1___tracepoints_strings: .quad f1\n .fill 8, 1, 0x11\n.type e1___tracepoints_strings, @object\n.size e1___tracepoints_strings, 16\n"
    "e2___tracepoints_strings: .quad f2\n .fill 8, 1, 0x11\n.type e2___tracepoints_strings, @object\n.size e2___tracepoints_strings, 16\n"
    "e3___tracepoints_strings: .quad f3\n .fill 8, 1, 0x11\n.type e3___tracepoints_strings, @object\n.size e3___tracepoints_strings, 16\n"
    ".popsection");

asm(".pushsection \"__versions\", \"aw\"\n .balign 8\n"
    "e1___versions: .fill 64, 1, 0x11\n.type e1___versions, @object\n.size e1___versions, 64\n"
    "e2___versions: .fill 64, 1, 0x11\n.type e2___versions, @object\n.size e2___versions, 64\n"
    "e3___versions: .fill 64, 1, 0x11\n.type e3___versions, @object\n.size e3___versions, 64\n"
    ".popsection");

asm(".pushsection \"_error_injection_whitelist\", \"aw\"\n .balign 8\n"
    "e1__error_injection_whitelist: .quad f1\n .fill 8, 1, 0x11\n.type e1__error_injection_whitelist, @object\n.size e1__error_injection_whitelist, 16\n"
    "e2__error_injection_whitelist: .quad f2\n .fill 8, 1, 0x11\n.type e2__error_injection_whitelist, @object\n.size e2__error_injection_whitelist, 16\n"
    "e3__error_injection_whitelist: .quad f3\n .fill 8, 1, 0x11\n.type e3__error_injection_whitelist, @object\n.size e3__error_injection_whitelist, 16\n"
    ".popsection");

asm(".pushsection \"_ftrace_annotated_branch\", \"aw\"\n .balign 8\n"
    "e1__ftrace_annotated_branch: .quad f1\n .fill 8, 1, 0x11\n.type e1__ftrace_annotated_branch, @object\n.size e1__ftrace_annotated_branch, 16\n"
    "e2__ftrace_annotated_branch: .quad f2\n .fill 8, 1, 0x11\n.type e2__ftrace_annotated_branch, @object\n.size e2__ftrace_annotated_branch, 16\n"
    "e3__ftrace_annotated_branch: .quad f3\n .fill 8, 1, 0x11\n.type e3__ftrace_annotated_branch, @object\n.size e3__ftrace_annotated_branch, 16\n"
    ".popsection");

asm(".pushsection \"_ftrace_branch\", \"aw\"\n .balign 8\n"
    "e1__ftrace_branch: .quad f1\n .fill 8, 1, 0x11\n.type e1__ftrace_branch, @object\n.size e1__ftrace_branch, 16\n"
    "e2__ftrace_branch: .quad f2\n .fill 8, 1, 0x11\n.type e2__ftrace_branch, @object\n.size e2__ftrace_branch, 16\n"
    "e3__ftrace_branch: .quad f3\n .fill 8, 1, 0x11\n.type e3__ftrace_branch, @object\n.size e3__ftrace_branch, 16\n"
    ".popsection");

asm(".pushsection \"_ftrace_eval_map\", \"aw\"\n .balign 8\n"
    "e1__ftrace_eval_map: .quad f1\n.type e1__ftrace_eval_map, @object\n.size e1__ftrace_eval_map, 8\n"
    "e2__ftrace_eval_map: .quad f2\n.type e2__ftrace_eval_map, @object\n.size e2__ftrace_eval_map, 8\n"
    "e3__ftrace_eval_map: .quad f3\n.type e3__ftrace_eval_map, @object\n.size e3__ftrace_eval_map, 8\n"
    ".popsection");

asm(".pushsection \"_ftrace_events\", \"aw\"\n .balign 8\n"
    "e1__ftrace_events: .quad f1\n.type e1__ftrace_events, @object\n.size e1__ftrace_events, 8\n"
    "e2__ftrace_events: .quad f2\n.type e2__ftrace_events, @object\n.size e2__ftrace_events, 8\n"
    "e3__ftrace_events: .quad f3\n.type e3__ftrace_events, @object\n.size e3__ftrace_events, 8\n"
    ".popsection");

asm(".pushsection \"_kprobe_blacklist\", \"aw\"\n .balign 8\n"
    "e1__kprobe_blacklist: .quad f1\n.type e1__kprobe_blacklist, @object\n.size e1__kprobe_blacklist, 8\n"
    "e2__kprobe_blacklist: .quad f2\n.type e2__kprobe_blacklist, @object\n.size e2__kprobe_blacklist, 8\n"
    "e3__kprobe_blacklist: .quad f3\n.type e3__kprobe_blacklist, @object\n.size e3__kprobe_blacklist, 8\n"
    ".popsection");

asm(".pushsection \"alloc_tags\", \"aw\"\n .balign 8\n"
    "e1_alloc_tags: .quad f1\n .fill 8, 1, 0x11\n.type e1_alloc_tags, @object\n.size e1_alloc_tags, 16\n"
    "e2_alloc_tags: .quad f2\n .fill 8, 1, 0x11\n.type e2_alloc_tags, @object\n.size e2_alloc_tags, 16\n"
    "e3_alloc_tags: .quad f3\n .fill 8, 1, 0x11\n.type e3_alloc_tags, @object\n.size e3_alloc_tags, 16\n"
    ".popsection");

asm(".pushsection \".bss\", \"aw\", @nobits\n .balign 8\n"
    "v1__2ebss: .zero 16\n.type v1__2ebss, @object\n.size v1__2ebss, 16\n"
    "v2__2ebss: .zero 16\n.type v2__2ebss, @object\n.size v2__2ebss, 16\n"
    "v3__2ebss: .zero 16\n.type v3__2ebss, @object\n.size v3__2ebss, 16\n"
    ".popsection");

asm(".pushsection \".bss..Lx\", \"aw\", @nobits\n .balign 8\n"
    "v1__2ebss_2e_2eLx: .zero 16\n.type v1__2ebss_2e_2eLx, @object\n.size v1__2ebss_2e_2eLx, 16\n"
    "v2__2ebss_2e_2eLx: .zero 16\n.type v2__2ebss_2e_2eLx, @object\n.size v2__2ebss_2e_2eLx, 16\n"
    "v3__2ebss_2e_2eLx: .zero 16\n.type v3__2ebss_2e_2eLx, @object\n.size v3__2ebss_2e_2eLx, 16\n"
    ".popsection");

asm(".pushsection \".bss..brk\", \"aw\", @nobits\n .balign 8\n"
    "v1__2ebss_2e_2ebrk: .zero 16\n.type v1__2ebss_2e_2ebrk, @object\n.size v1__2ebss_2e_2ebrk, 16\n"
    "v2__2ebss_2e_2ebrk: .zero 16\n.type v2__2ebss_2e_2ebrk, @object\n.size v2__2ebss_2e_2ebrk, 16\n"
    "v3__2ebss_2e_2ebrk: .zero 16\n.type v3__2ebss_2e_2ebrk, @object\n.size v3__2ebss_2e_2ebrk, 16\n"
    ".popsection");

asm(".pushsection \".bss..compoundliteralx\", \"aw\", @nobits\n .balign 8\n"
    "v1__2ebss_2e_2ecompoundliteralx: .zero 16\n.type v1__2ebss_2e_2ecompoundliteralx, @object\n.size v1__2ebss_2e_2ecompoundliteralx, 16\n"
    "v2__2ebss_2e_2ecompoundliteralx: .zero 16\n.type v2__2ebss_2e_2ecompoundliteralx, @object\n.size v2__2ebss_2e_2ecompoundliteralx, 16\n"
    "v3__2ebss_2e_2ecompoundliteralx: .zero 16\n.type v3__2ebss_2e_2ecompoundliteralx, @object\n.size v3__2ebss_2e_2ecompoundliteralx, 16\n"
    ".popsection");

asm(".pushsection \".bss..decrypted\", \"aw\", @nobits\n .balign 8\n"
    "v1__2ebss_2e_2edecrypted: .zero 16\n.type v1__2ebss_2e_2edecrypted, @object\n.size v1__2ebss_2e_2edecrypted, 16\n"
    "v2__2ebss_2e_2edecrypted: .zero 16\n.type v2__2ebss_2e_2edecrypted, @object\n.size v2__2ebss_2e_2edecrypted, 16\n"
    "v3__2ebss_2e_2edecrypted: .zero 16\n.type v3__2ebss_2e_2edecrypted, @object\n.size v3__2ebss_2e_2edecrypted, 16\n"
    ".popsection");

asm(".pushsection \".bss..page_aligned\", \"aw\", @nobits\n .balign 8\n"
    "v1__2ebss_2e_2epage_aligned: .zero 16\n.type v1__2ebss_2e_2epage_aligned, @object\n.size v1__2ebss_2e_2epage_aligned, 16\n"
    "v2__2ebss_2e_2epage_aligned: .zero 16\n.type v2__2ebss_2e_2epage_aligned, @object\n.size v2__2ebss_2e_2epage_aligned, 16\n"
    "v3__2ebss_2e_2epage_aligned: .zero 16\n.type v3__2ebss_2e_2epage_aligned, @object\n.size v3__2ebss_2e_2epage_aligned, 16\n"
    ".popsection");

asm(".pushsection \".bss.x\", \"aw\", @nobits\n .balign 8\n"
    "v1__2ebss_2ex: .zero 16\n.type v1__2ebss_2ex, @object\n.size v1__2ebss_2ex, 16\n"
    "v2__2ebss_2ex: .zero 16\n.type v2__2ebss_2ex, @object\n.size v2__2ebss_2ex, 16\n"
    "v3__2ebss_2ex: .zero 16\n.type v3__2ebss_2ex, @object\n.size v3__2ebss_2ex, 16\n"
    ".popsection");

asm(".pushsection \".data\", \"aw\", @progbits\n .balign 8\n"
    "v1__2edata: .quad f1, 0x1111\n.type v1__2edata, @object\n.size v1__2edata, 16\n"
    "v2__2edata: .quad f2, 0x1111\n.type v2__2edata, @object\n.size v2__2edata, 16\n"
    "v3__2edata: .quad f3, 0x1111\n.type v3__2edata, @object\n.size v3__2edata, 16\n"
    ".popsection");

asm(".pushsection \".data.$Lx\", \"aw\", @progbits\n .balign 8\n"
    "v1__2edata_2e_24Lx: .quad f1, 0x1111\n.type v1__2edata_2e_24Lx, @object\n.size v1__2edata_2e_24Lx, 16\n"
    "v2__2edata_2e_24Lx: .quad f2, 0x1111\n.type v2__2edata_2e_24Lx, @object\n.size v2__2edata_2e_24Lx, 16\n"
    "v3__2edata_2e_24Lx: .quad f3, 0x1111\n.type v3__2edata_2e_24Lx, @object\n.size v3__2edata_2e_24Lx, 16\n"
    ".popsection");

asm(".pushsection \".data.$__unnamed_x\", \"aw\", @progbits\n .balign 8\n"
    "v1__2edata_2e_24__unnamed_x: .quad f1, 0x1111\n.type v1__2edata_2e_24__unnamed_x, @object\n.size v1__2edata_2e_24__unnamed_x, 16\n"
    "v2__2edata_2e_24__unnamed_x: .quad f2, 0x1111\n.type v2__2edata_2e_24__unnamed_x, @object\n.size v2__2edata_2e_24__unnamed_x, 16\n"
    "v3__2edata_2e_24__unnamed_x: .quad f3, 0x1111\n.type v3__2edata_2e_24__unnamed_x, @object\n.size v3__2edata_2e_24__unnamed_x, 16\n"
    ".popsection");

asm(".pushsection \".data..LPBXx\", \"aw\", @progbits\n .balign 8\n"
    "v1__2edata_2e_2eLPBXx: .quad f1, 0x1111\n.type v1__2edata_2e_2eLPBXx, @object\n.size v1__2edata_2e_2eLPBXx, 16\n"
    "v2__2edata_2e_2eLPBXx: .quad f2, 0x1111\n.type v2__2edata_2e_2eLPBXx, @object\n.size v2__2edata_2e_2eLPBXx, 16\n"
    "v3__2edata_2e_2eLPBXx: .quad f3, 0x1111\n.type v3__2edata_2e_2eLPBXx, @object\n.size v3__2edata_2e_2eLPBXx, 16\n"
    ".popsection");

asm(".pushsection \".data..Lx\", \"aw\", @progbits\n .balign 8\n"
    "v1__2edata_2e_2eLx: .quad f1, 0x1111\n.type v1__2edata_2e_2eLx, @object\n.size v1__2edata_2e_2eLx, 16\n"
    "v2__2edata_2e_2eLx: .quad f2, 0x1111\n.type v2__2edata_2e_2eLx, @object\n.size v2__2edata_2e_2eLx, 16\n"
    "v3__2edata_2e_2eLx: .quad f3, 0x1111\n.type v3__2edata_2e_2eLx, @object\n.size v3__2edata_2e_2eLx, 16\n"
    ".popsection");

asm(".pushsection \".data..cacheline_aligned\", \"aw\", @progbits\n .balign 8\n"
    "v1__2edata_2e_2ecacheline_aligned: .quad f1, 0x1111\n.type v1__2edata_2e_2ecacheline_aligned, @object\n.size v1__2edata_2e_2ecacheline_aligned, 16\n"
    "v2__2edata_2e_2ecacheline_aligned: .quad f2, 0x1111\n.type v2__2edata_2e_2ecacheline_aligned, @object\n.size v2__2edata_2e_2ecacheline_aligned, 16\n"
    "v3__2edata_2e_2ecacheline_aligned: .quad f3, 0x1111\n.type v3__2edata_2e_2ecacheline_aligned, @object\n.size v3__2edata_2e_2ecacheline_aligned, 16\n"
    ".popsection");

asm(".pushsection \".data..compoundliteralx\", \"aw\", @progbits\n .balign 8\n"
    "v1__2edata_2e_2ecompoundliteralx: .quad f1, 0x1111\n.type v1__2edata_2e_2ecompoundliteralx, @object\n.size v1__2edata_2e_2ecompoundliteralx, 16\n"
    "v2__2edata_2e_2ecompoundliteralx: .quad f2, 0x1111\n.type v2__2edata_2e_2ecompoundliteralx, @object\n.size v2__2edata_2e_2ecompoundliteralx, 16\n"
    "v3__2edata_2e_2ecompoundliteralx: .quad f3, 0x1111\n.type v3__2edata_2e_2ecompoundliteralx, @object\n.size v3__2edata_2e_2ecompoundliteralx, 16\n"
    ".popsection");

asm(".pushsection \".data..decrypted\", \"aw\", @progbits\n .balign 8\n"
    "v1__2edata_2e_2edecrypted: .quad f1, 0x1111\n.type v1__2edata_2e_2edecrypted, @object\n.size v1__2edata_2e_2edecrypted, 16\n"
    "v2__2edata_2e_2edecrypted: .quad f2, 0x1111\n.type v2__2edata_2e_2edecrypted, @object\n.size v2__2edata_2e_2edecrypted, 16\n"
    "v3__2edata_2e_2edecrypted: .quad f3, 0x1111\n.type v3__2edata_2e_2edecrypted, @object\n.size v3__2edata_2e_2edecrypted, 16\n"
    ".popsection");

asm(".pushsection \".data..do_once\", \"aw\", @progbits\n .balign 8\n"
    "v1__2edata_2e_2edo_once: .quad f1, 0x1111\n.type v1__2edata_2e_2edo_once, @object\n.size v1__2edata_2e_2edo_once, 16\n"
    "v2__2edata_2e_2edo_once: .quad f2, 0x1111\n.type v2__2edata_2e_2edo_once, @object\n.size v2__2edata_2e_2edo_once, 16\n"
    "v3__2edata_2e_2edo_once: .quad f3, 0x1111\n.type v3__2edata_2e_2edo_once, @object\n.size v3__2edata_2e_2edo_once, 16\n"
    ".popsection");

asm(".pushsection \".data..init_task\", \"aw\", @progbits\n .balign 8\n"
    "v1__2edata_2e_2einit_task: .quad f1, 0x1111\n.type v1__2edata_2e_2einit_task, @object\n.size v1__2edata_2e_2einit_task, 16\n"
    "v2__2edata_2e_2einit_task: .quad f2, 0x1111\n.type v2__2edata_2e_2einit_task, @object\n.size v2__2edata_2e_2einit_task, 16\n"
    "v3__2edata_2e_2einit_task: .quad f3, 0x1111\n.type v3__2edata_2e_2einit_task, @object\n.size v3__2edata_2e_2einit_task, 16\n"
    ".popsection");

asm(".pushsection \".data..init_thread_info\", \"aw\", @progbits\n .balign 8\n"
    "v1__2edata_2e_2einit_thread_info: .quad f1, 0x1111\n.type v1__2edata_2e_2einit_thread_info, @object\n.size v1__2edata_2e_2einit_thread_info, 16\n"
    "v2__2edata_2e_2einit_thread_info: .quad f2, 0x1111\n.type v2__2edata_2e_2einit_thread_info, @object\n.size v2__2edata_2e_2einit_thread_info, 16\n"
    "v3__2edata_2e_2einit_thread_info: .quad f3, 0x1111\n.type v3__2edata_2e_2einit_thread_info, @object\n.size v3__2edata_2e_2einit_thread_info, 16\n"
    ".popsection");

asm(".pushsection \".data..nosave\", \"aw\", @progbits\n .balign 8\n"
    "v1__2edata_2e_2enosave: .quad f1, 0x1111\n.type v1__2edata_2e_2enosave, @object\n.size v1__2edata_2e_2enosave, 16\n"
    "v2__2edata_2e_2enosave: .quad f2, 0x1111\n.type v2__2edata_2e_2enosave, @object\n.size v2__2edata_2e_2enosave, 16\n"
    "v3__2edata_2e_2enosave: .quad f3, 0x1111\n.type v3__2edata_2e_2enosave, @object\n.size v3__2edata_2e_2enosave, 16\n"
    ".popsection");

asm(".pushsection \".data..once\", \"aw\", @progbits\n .balign 8\n"
    "v1__2edata_2e_2eonce: .quad f1, 0x1111\n.type v1__2edata_2e_2eonce, @object\n.size v1__2edata_2e_2eonce, 16\n"
    "v2__2edata_2e_2eonce: .quad f2, 0x1111\n.type v2__2edata_2e_2eonce, @object\n.size v2__2edata_2e_2eonce, 16\n"
    "v3__2edata_2e_2eonce: .quad f3, 0x1111\n.type v3__2edata_2e_2eonce, @object\n.size v3__2edata_2e_2eonce, 16\n"
    ".popsection");

asm(".pushsection \".data..page_aligned\", \"aw\", @progbits\n .balign 8\n"
    "v1__2edata_2e_2epage_aligned: .quad f1, 0x1111\n.type v1__2edata_2e_2epage_aligned, @object\n.size v1__2edata_2e_2epage_aligned, 16\n"
    "v2__2edata_2e_2epage_aligned: .quad f2, 0x1111\n.type v2__2edata_2e_2epage_aligned, @object\n.size v2__2edata_2e_2epage_aligned, 16\n"
    "v3__2edata_2e_2epage_aligned: .quad f3, 0x1111\n.type v3__2edata_2e_2epage_aligned, @object\n.size v3__2edata_2e_2epage_aligned, 16\n"
    ".popsection");

asm(".pushsection \".data..percpu\", \"aw\", @progbits\n .balign 8\n"
    "v1__2edata_2e_2epercpu: .quad f1, 0x1111\n.type v1__2edata_2e_2epercpu, @object\n.size v1__2edata_2e_2epercpu, 16\n"
    "v2__2edata_2e_2epercpu: .quad f2, 0x1111\n.type v2__2edata_2e_2epercpu, @object\n.size v2__2edata_2e_2epercpu, 16\n"
    "v3__2edata_2e_2epercpu: .quad f3, 0x1111\n.type v3__2edata_2e_2epercpu, @object\n.size v3__2edata_2e_2epercpu, 16\n"
    ".popsection");

asm(".pushsection \".data..percpu..decrypted\", \"aw\", @progbits\n .balign 8\n"
    "v1__2edata_2e_2epercpu_2e_2edecrypted: .quad f1, 0x1111\n.type v1__2edata_2e_2epercpu_2e_2edecrypted, @object\n.size v1__2edata_2e_2epercpu_2e_2edecrypted, 16\n"
    "v2__2edata_2e_2epercpu_2e_2edecrypted: .quad f2, 0x1111\n.type v2__2edata_2e_2epercpu_2e_2edecrypted, @object\n.size v2__2edata_2e_2epercpu_2e_2edecrypted, 16\n"
    "v3__2edata_2e_2epercpu_2e_2edecrypted: .quad f3, 0x1111\n.type v3__2edata_2e_2epercpu_2e_2edecrypted, @object\n.size v3__2edata_2e_2epercpu_2e_2edecrypted, 16\n"
    ".popsection");

asm(".pushsection \".data..percpu..first\", \"aw\", @progbits\n .balign 8\n"
    "v1__2edata_2e_2epercpu_2e_2efirst: .quad f1, 0x1111\n.type v1__2edata_2e_2epercpu_2e_2efirst, @object\n.size v1__2edata_2e_2epercpu_2e_2efirst, 16\n"
    "v2__2edata_2e_2epercpu_2e_2efirst: .quad f2, 0x1111\n.type v2__2edata_2e_2epercpu_2e_2efirst, @object\n.size v2__2edata_2e_2epercpu_2e_2efirst, 16\n"
    "v3__2edata_2e_2epercpu_2e_2efirst: .quad f3, 0x1111\n.type v3__2edata_2e_2epercpu_2e_2efirst, @object\n.size v3__2edata_2e_2epercpu_2e_2efirst, 16\n"
    ".popsection");

asm(".pushsection \".data..percpu..page_aligned\", \"aw\", @progbits\n .balign 8\n"
    "v1__2edata_2e_2epercpu_2e_2epage_aligned: .quad f1, 0x1111\n.type v1__2edata_2e_2epercpu_2e_2epage_aligned, @object\n.size v1__2edata_2e_2epercpu_2e_2epage_aligned, 16\n"
    "v2__2edata_2e_2epercpu_2e_2epage_aligned: .quad f2, 0x1111\n.type v2__2edata_2e_2epercpu_2e_2epage_aligned, @object\n.size v2__2edata_2e_2epercpu_2e_2epage_aligned, 16\n"
    "v3__2edata_2e_2epercpu_2e_2epage_aligned: .quad f3, 0x1111\n.type v3__2edata_2e_2epercpu_2e_2epage_aligned, @object\n.size v3__2edata_2e_2epercpu_2e_2epage_aligned, 16\n"
    ".popsection");

asm(".pushsection \".data..percpu..read_mostly\", \"aw\", @progbits\n .balign 8\n"
    "v1__2edata_2e_2epercpu_2e_2eread_mostly: .quad f1, 0x1111\n.type v1__2edata_2e_2epercpu_2e_2eread_mostly, @object\n.size v1__2edata_2e_2epercpu_2e_2eread_mostly, 16\n"
    "v2__2edata_2e_2epercpu_2e_2eread_mostly: .quad f2, 0x1111\n.type v2__2edata_2e_2epercpu_2e_2eread_mostly, @object\n.size v2__2edata_2e_2epercpu_2e_2eread_mostly, 16\n"
    "v3__2edata_2e_2epercpu_2e_2eread_mostly: .quad f3, 0x1111\n.type v3__2edata_2e_2epercpu_2e_2eread_mostly, @object\n.size v3__2edata_2e_2epercpu_2e_2eread_mostly, 16\n"
    ".popsection");

asm(".pushsection \".data..percpu..shared_aligned\", \"aw\", @progbits\n .balign 8\n"
    "v1__2edata_2e_2epercpu_2e_2eshared_aligned: .quad f1, 0x1111\n.type v1__2edata_2e_2epercpu_2e_2eshared_aligned, @object\n.size v1__2edata_2e_2epercpu_2e_2eshared_aligned, 16\n"
    "v2__2edata_2e_2epercpu_2e_2eshared_aligned: .quad f2, 0x1111\n.type v2__2edata_2e_2epercpu_2e_2eshared_aligned, @object\n.size v2__2edata_2e_2epercpu_2e_2eshared_aligned, 16\n"
    "v3__2edata_2e_2epercpu_2e_2eshared_aligned: .quad f3, 0x1111\n.type v3__2edata_2e_2epercpu_2e_2eshared_aligned, @object\n.size v3__2edata_2e_2epercpu_2e_2eshared_aligned, 16\n"
    ".popsection");

asm(".pushsection \".data..read_mostly\", \"aw\", @progbits\n .balign 8\n"
    "v1__2edata_2e_2eread_mostly: .quad f1, 0x1111\n.type v1__2edata_2e_2eread_mostly, @object\n.size v1__2edata_2e_2eread_mostly, 16\n"
    "v2__2edata_2e_2eread_mostly: .quad f2, 0x1111\n.type v2__2edata_2e_2eread_mostly, @object\n.size v2__2edata_2e_2eread_mostly, 16\n"
    "v3__2edata_2e_2eread_mostly: .quad f3, 0x1111\n.type v3__2edata_2e_2eread_mostly, @object\n.size v3__2edata_2e_2eread_mostly, 16\n"
    ".popsection");

asm(".pushsection \".data..ro_after_init\", \"aw\", @progbits\n .balign 8\n"
    "v1__2edata_2e_2ero_after_init: .quad f1, 0x1111\n.type v1__2edata_2e_2ero_after_init, @object\n.size v1__2edata_2e_2ero_after_init, 16\n"
    "v2__2edata_2e_2ero_after_init: .quad f2, 0x1111\n.type v2__2edata_2e_2ero_after_init, @object\n.size v2__2edata_2e_2ero_after_init, 16\n"
    "v3__2edata_2e_2ero_after_init: .quad f3, 0x1111\n.type v3__2edata_2e_2ero_after_init, @object\n.size v3__2edata_2e_2ero_after_init, 16\n"
    ".popsection");

asm(".pushsection \".data..shared_aligned\", \"aw\", @progbits\n .balign 8\n"
    "v1__2edata_2e_2eshared_aligned: .quad f1, 0x1111\n.type v1__2edata_2e_2eshared_aligned, @object\n.size v1__2edata_2e_2eshared_aligned, 16\n"
    "v2__2edata_2e_2eshared_aligned: .quad f2, 0x1111\n.type v2__2edata_2e_2eshared_aligned, @object\n.size v2__2edata_2e_2eshared_aligned, 16\n"
    "v3__2edata_2e_2eshared_aligned: .quad f3, 0x1111\n.type v3__2edata_2e_2eshared_aligned, @object\n.size v3__2edata_2e_2eshared_aligned, 16\n"
    ".popsection");

asm(".pushsection \".data..unlikely\", \"aw\", @progbits\n .balign 8\n"
    "v1__2edata_2e_2eunlikely: .quad f1, 0x1111\n.type v1__2edata_2e_2eunlikely, @object\n.size v1__2edata_2e_2eunlikely, 16\n"
    "v2__2edata_2e_2eunlikely: .quad f2, 0x1111\n.type v2__2edata_2e_2eunlikely, @object\n.size v2__2edata_2e_2eunlikely, 16\n"
    "v3__2edata_2e_2eunlikely: .quad f3, 0x1111\n.type v3__2edata_2e_2eunlikely, @object\n.size v3__2edata_2e_2eunlikely, 16\n"
    ".popsection");

asm(".pushsection \".data.once\", \"aw\", @progbits\n .balign 8\n"
    "v1__2edata_2eonce: .quad f1, 0x1111\n.type v1__2edata_2eonce, @object\n.size v1__2edata_2eonce, 16\n"
    "v2__2edata_2eonce: .quad f2, 0x1111\n.type v2__2edata_2eonce, @object\n.size v2__2edata_2eonce, 16\n"
    "v3__2edata_2eonce: .quad f3, 0x1111\n.type v3__2edata_2eonce, @object\n.size v3__2edata_2eonce, 16\n"
    ".popsection");

asm(".pushsection \".data.rel.rox\", \"aw\", @progbits\n .balign 8\n"
    "v1__2edata_2erel_2erox: .quad f1, 0x1111\n.type v1__2edata_2erel_2erox, @object\n.size v1__2edata_2erel_2erox, 16\n"
    "v2__2edata_2erel_2erox: .quad f2, 0x1111\n.type v2__2edata_2erel_2erox, @object\n.size v2__2edata_2erel_2erox, 16\n"
    "v3__2edata_2erel_2erox: .quad f3, 0x1111\n.type v3__2edata_2erel_2erox, @object\n.size v3__2edata_2erel_2erox, 16\n"
    ".popsection");

asm(".pushsection \".data.unlikely\", \"aw\", @progbits\n .balign 8\n"
    "v1__2edata_2eunlikely: .quad f1, 0x1111\n.type v1__2edata_2eunlikely, @object\n.size v1__2edata_2eunlikely, 16\n"
    "v2__2edata_2eunlikely: .quad f2, 0x1111\n.type v2__2edata_2eunlikely, @object\n.size v2__2edata_2eunlikely, 16\n"
    "v3__2edata_2eunlikely: .quad f3, 0x1111\n.type v3__2edata_2eunlikely, @object\n.size v3__2edata_2eunlikely, 16\n"
    ".popsection");

asm(".pushsection \".data.x\", \"aw\", @progbits\n .balign 8\n"
    "v1__2edata_2ex: .quad f1, 0x1111\n.type v1__2edata_2ex, @object\n.size v1__2edata_2ex, 16\n"
    "v2__2edata_2ex: .quad f2, 0x1111\n.type v2__2edata_2ex, @object\n.size v2__2edata_2ex, 16\n"
    "v3__2edata_2ex: .quad f3, 0x1111\n.type v3__2edata_2ex, @object\n.size v3__2edata_2ex, 16\n"
    ".popsection");

asm(".pushsection \".dynbss\", \"aw\", @nobits\n .balign 8\n"
    "v1__2edynbss: .zero 16\n.type v1__2edynbss, @object\n.size v1__2edynbss, 16\n"
    "v2__2edynbss: .zero 16\n.type v2__2edynbss, @object\n.size v2__2edynbss, 16\n"
    "v3__2edynbss: .zero 16\n.type v3__2edynbss, @object\n.size v3__2edynbss, 16\n"
    ".popsection");

asm(".pushsection \".dynsbss\", \"aw\", @nobits\n .balign 8\n"
    "v1__2edynsbss: .zero 16\n.type v1__2edynsbss, @object\n.size v1__2edynsbss, 16\n"
    "v2__2edynsbss: .zero 16\n.type v2__2edynsbss, @object\n.size v2__2edynsbss, 16\n"
    "v3__2edynsbss: .zero 16\n.type v3__2edynsbss, @object\n.size v3__2edynsbss, 16\n"
    ".popsection");

asm(".pushsection \".ref.data\", \"aw\", @progbits\n .balign 8\n"
    "v1__2eref_2edata: .quad f1, 0x1111\n.type v1__2eref_2edata, @object\n.size v1__2eref_2edata, 16\n"
    "v2__2eref_2edata: .quad f2, 0x1111\n.type v2__2eref_2edata, @object\n.size v2__2eref_2edata, 16\n"
    "v3__2eref_2edata: .quad f3, 0x1111\n.type v3__2eref_2edata, @object\n.size v3__2eref_2edata, 16\n"
    ".popsection");

asm(".pushsection \".ref.rodata\", \"a\", @progbits\n .balign 8\n"
    "v1__2eref_2erodata: .quad f1, 0x1111\n.type v1__2eref_2erodata, @object\n.size v1__2eref_2erodata, 16\n"
    "v2__2eref_2erodata: .quad f2, 0x1111\n.type v2__2eref_2erodata, @object\n.size v2__2eref_2erodata, 16\n"
    "v3__2eref_2erodata: .quad f3, 0x1111\n.type v3__2eref_2erodata, @object\n.size v3__2eref_2erodata, 16\n"
    ".popsection");

asm(".pushsection \".rodata\", \"a\", @progbits\n .balign 8\n"
    "v1__2erodata: .quad f1, 0x1111\n.type v1__2erodata, @object\n.size v1__2erodata, 16\n"
    "v2__2erodata: .quad f2, 0x1111\n.type v2__2erodata, @object\n.size v2__2erodata, 16\n"
    "v3__2erodata: .quad f3, 0x1111\n.type v3__2erodata, @object\n.size v3__2erodata, 16\n"
    ".popsection");

asm(".pushsection \".rodata..Lx\", \"a\", @progbits\n .balign 8\n"
    "v1__2erodata_2e_2eLx: .quad f1, 0x1111\n.type v1__2erodata_2e_2eLx, @object\n.size v1__2erodata_2e_2eLx, 16\n"
    "v2__2erodata_2e_2eLx: .quad f2, 0x1111\n.type v2__2erodata_2e_2eLx, @object\n.size v2__2erodata_2e_2eLx, 16\n"
    "v3__2erodata_2e_2eLx: .quad f3, 0x1111\n.type v3__2erodata_2e_2eLx, @object\n.size v3__2erodata_2e_2eLx, 16\n"
    ".popsection");

asm(".pushsection \".rodata.x\", \"a\", @progbits\n .balign 8\n"
    "v1__2erodata_2ex: .quad f1, 0x1111\n.type v1__2erodata_2ex, @object\n.size v1__2erodata_2ex, 16\n"
    "v2__2erodata_2ex: .quad f2, 0x1111\n.type v2__2erodata_2ex, @object\n.size v2__2erodata_2ex, 16\n"
    "v3__2erodata_2ex: .quad f3, 0x1111\n.type v3__2erodata_2ex, @object\n.size v3__2erodata_2ex, 16\n"
    ".popsection");

asm(".pushsection \".rodata1\", \"a\", @progbits\n .balign 8\n"
    "v1__2erodata1: .quad f1, 0x1111\n.type v1__2erodata1, @object\n.size v1__2erodata1, 16\n"
    "v2__2erodata1: .quad f2, 0x1111\n.type v2__2erodata1, @object\n.size v2__2erodata1, 16\n"
    "v3__2erodata1: .quad f3, 0x1111\n.type v3__2erodata1, @object\n.size v3__2erodata1, 16\n"
    ".popsection");

asm(".pushsection \".sbss\", \"aw\", @nobits\n .balign 8\n"
    "v1__2esbss: .zero 16\n.type v1__2esbss, @object\n.size v1__2esbss, 16\n"
    "v2__2esbss: .zero 16\n.type v2__2esbss, @object\n.size v2__2esbss, 16\n"
    "v3__2esbss: .zero 16\n.type v3__2esbss, @object\n.size v3__2esbss, 16\n"
    ".popsection");

asm(".pushsection \".sbss.x\", \"aw\", @nobits\n .balign 8\n"
    "v1__2esbss_2ex: .zero 16\n.type v1__2esbss_2ex, @object\n.size v1__2esbss_2ex, 16\n"
    "v2__2esbss_2ex: .zero 16\n.type v2__2esbss_2ex, @object\n.size v2__2esbss_2ex, 16\n"
    "v3__2esbss_2ex: .zero 16\n.type v3__2esbss_2ex, @object\n.size v3__2esbss_2ex, 16\n"
    ".popsection");

asm(".pushsection \".scommon\", \"aw\", @progbits\n .balign 8\n"
    "v1__2escommon: .quad f1, 0x1111\n.type v1__2escommon, @object\n.size v1__2escommon, 16\n"
    "v2__2escommon: .quad f2, 0x1111\n.type v2__2escommon, @object\n.size v2__2escommon, 16\n"
    "v3__2escommon: .quad f3, 0x1111\n.type v3__2escommon, @object\n.size v3__2escommon, 16\n"
    ".popsection");

asm(".pushsection \".sdata\", \"aw\", @progbits\n .balign 8\n"
    "v1__2esdata: .quad f1, 0x1111\n.type v1__2esdata, @object\n.size v1__2esdata, 16\n"
    "v2__2esdata: .quad f2, 0x1111\n.type v2__2esdata, @object\n.size v2__2esdata, 16\n"
    "v3__2esdata: .quad f3, 0x1111\n.type v3__2esdata, @object\n.size v3__2esdata, 16\n"
    ".popsection");

asm(".pushsection \".sdata.x\", \"aw\", @progbits\n .balign 8\n"
    "v1__2esdata_2ex: .quad f1, 0x1111\n.type v1__2esdata_2ex, @object\n.size v1__2esdata_2ex, 16\n"
    "v2__2esdata_2ex: .quad f2, 0x1111\n.type v2__2esdata_2ex, @object\n.size v2__2esdata_2ex, 16\n"
    "v3__2esdata_2ex: .quad f3, 0x1111\n.type v3__2esdata_2ex, @object\n.size v3__2esdata_2ex, 16\n"
    ".popsection");

asm(".pushsection \"__dyndbg\", \"aw\", @progbits\n .balign 8\n"
    "v1___dyndbg: .quad f1, 0x1111\n.type v1___dyndbg, @object\n.size v1___dyndbg, 16\n"
    "v2___dyndbg: .quad f2, 0x1111\n.type v2___dyndbg, @object\n.size v2___dyndbg, 16\n"
    "v3___dyndbg: .quad f3, 0x1111\n.type v3___dyndbg, @object\n.size v3___dyndbg, 16\n"
    ".popsection");

asm(".pushsection \"__dyndbg_classes\", \"aw\", @progbits\n .balign 8\n"
    "v1___dyndbg_classes: .quad f1, 0x1111\n.type v1___dyndbg_classes, @object\n.size v1___dyndbg_classes, 16\n"
    "v2___dyndbg_classes: .quad f2, 0x1111\n.type v2___dyndbg_classes, @object\n.size v2___dyndbg_classes, 16\n"
    "v3___dyndbg_classes: .quad f3, 0x1111\n.type v3___dyndbg_classes, @object\n.size v3___dyndbg_classes, 16\n"
    ".popsection");

