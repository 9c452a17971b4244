/*
 * What kernel code leaves in special sections, emulated in a few lines each.
 * Section names and layouts are those of v6.1 on x86-64; ALT14 has the layout
 * of v6.3 and later.
 */
#define noinline	__attribute__((noinline))
#define inline_always	inline __attribute__((always_inline))
#define __section(s)	__attribute__((section(s)))
#define __used		__attribute__((used))
#define __cold		__attribute__((cold))
#define __weak		__attribute__((weak))
#define notrace		__attribute__((no_instrument_function))
#define __init		__section(".init.text") __cold notrace
#define __exit		__section(".exit.text") __cold notrace
#define __initdata	__section(".init.data")
#define __once		__section(".data.once")
#define likely(x)	__builtin_expect(!!(x), 1)
#define unlikely(x)	__builtin_expect(!!(x), 0)
#define NULL		((void *)0)

extern int printk(const char *fmt, ...);
extern void slow_path(int) __cold;
extern int work(int);
extern void warn_with(void *bug, ...);
extern int other_work(int);

/* A trap with an entry that names file, line and flags. */
#define TRAP(flags)							\
	asm volatile("1: .byte 0x0f, 0x0b\n"				\
		     ".pushsection __bug_table, \"aw\"\n"		\
		     "2: .long 1b - .\n .long %c0 - .\n"		\
		     " .word %c1\n .word %c2\n .org 2b + 12\n"		\
		     ".popsection"					\
		     : : "i" (__FILE__), "i" (__LINE__), "i" (flags))
/* The same without file and line. */
#define TRAP_PLAIN(flags)						\
	asm volatile("1: .byte 0x0f, 0x0b\n"				\
		     ".pushsection __bug_table, \"aw\"\n"		\
		     "2: .long 1b - .\n .word %c0\n .org 2b + 8\n"	\
		     ".popsection" : : "i" (flags))

/* A warning with arguments: its code hands over the address of its entry (v6.19). */
#define WARN_ARGS(flags, format, arg)					\
	do {								\
		void *bug;						\
		asm volatile("lea (2f)(%%rip), %[addr]\n1:\n"		\
			     ".pushsection __bug_table, \"aw\"\n"	\
			     "2: .long 1b - .\n .long %c[fmt] - .\n"	\
			     " .long %c[file] - .\n .word %c[line]\n"	\
			     " .word %c[fl]\n .org 2b + 16\n"		\
			     ".popsection"				\
			     : [addr] "=r" (bug)			\
			     : [fmt] "i" (format), [file] "i" (__FILE__), \
			       [line] "i" (__LINE__), [fl] "i" (flags)); \
		warn_with(bug, arg);					\
	} while (0)

#define WARN_FIRST(cond, text)						\
	do {								\
		static _Bool __once __already_done;			\
		if (unlikely(cond) && !__already_done) {		\
			__already_done = 1;				\
			printk(text);					\
			TRAP(1);					\
		}							\
	} while (0)

/* A load that may fault; fixed up at label or behind it. */
#define LOAD_OR(x, p, fixup)						\
	asm volatile("1: movl %1, %0\n2:\n"				\
		     ".pushsection __ex_table, \"a\"\n .balign 4\n"	\
		     " .long 1b - .\n .long " fixup " - .\n .long 3\n"	\
		     ".popsection" : "=r" (x) : "m" (*(p)))

struct static_key { int enabled; void *entries; };

static inline_always int key_set(struct static_key *key, const int branch)
{
	asm goto("1: .byte 0x0f, 0x1f, 0x44, 0, 0\n"
		 ".pushsection __jump_table, \"aw\"\n .balign 8\n"
		 " .long 1b - .\n .long %l[yes] - .\n .quad %c0 + %c1 - .\n"
		 ".popsection" : : "i" (key), "i" (branch) : : yes);
	return 0;
yes:
	return 1;
}

#define STATIC_CALL(name)						\
	asm volatile("1: call __SCT__" #name "\n"			\
		     ".pushsection .static_call_sites, \"aw\"\n"	\
		     " .balign 4\n .long 1b - .\n"			\
		     " .long __SCK__" #name " - .\n"			\
		     ".popsection" : : : "rax", "rcx", "rdx", "rsi",	\
		     "rdi", "r8", "r9", "r10", "r11", "memory")

#define ALT_(oldinstr, newinstr, feature)				\
	"661: " oldinstr "\n662:\n"					\
	".pushsection .altinstructions, \"a\"\n"			\
	" .long 661b - .\n .long 663f - .\n " feature "\n"		\
	" .byte 662b - 661b\n .byte 664f - 663f\n"			\
	".popsection\n"							\
	".pushsection .altinstr_replacement, \"ax\"\n"			\
	"663: " newinstr "\n664:\n"					\
	".popsection\n"
#define ALT(oldinstr, newinstr, feature) ALT_(oldinstr, newinstr, ".word " #feature)
#define ALT14(oldinstr, newinstr, feature) ALT_(oldinstr, newinstr, ".long " #feature)
#define CLOBBERS "rax", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "memory", "cc"

#define PV_CALL(slot)							\
	asm volatile("771: call *pv_ops + 8 * " #slot "\n772:\n"	\
		     ".pushsection .parainstructions, \"a\"\n"		\
		     " .balign 8\n .quad 771b\n .byte " #slot "\n"	\
		     " .byte 772b - 771b\n .balign 8\n"			\
		     ".popsection" : : : CLOBBERS)

#define LOCK_PREFIX							\
	".pushsection .smp_locks, \"a\"\n .balign 4\n"			\
	" .long 671f - .\n.popsection\n671: lock; "

#define SITE(section, insn)						\
	asm volatile("1: " insn "\n"					\
		     ".pushsection " section ", \"a\"\n .long 1b - .\n"	\
		     ".popsection" : : : CLOBBERS)

/* An unwind entry for this place: stack and frame offsets, type. */
#define ORC(sp, bp, type)						\
	asm volatile("1:\n.pushsection .orc_unwind_ip, \"a\"\n"		\
		     " .long 1b - .\n.popsection\n"			\
		     ".pushsection .orc_unwind, \"a\"\n"		\
		     " .short " #sp ", " #bp ", " #type "\n"		\
		     ".popsection")

#define EXPORT(sym)							\
	asm(".pushsection \"___ksymtab+" #sym "\", \"a\"\n"		\
	    " .balign 4\n__ksymtab_" #sym ":\n"				\
	    " .long " #sym " - .\n .long __kstrtab_" #sym " - .\n"	\
	    " .long 0\n.popsection\n"					\
	    ".pushsection __ksymtab_strings, \"aMS\", @progbits, 1\n"	\
	    "__kstrtab_" #sym ": .asciz \"" #sym "\"\n.popsection")

#define MODINFO_(line, tag, text)					\
	static const char __UNIQUE_ID_##tag##line[] __used		\
	__section(".modinfo") __attribute__((aligned(1))) = #tag "=" text
#define MODINFO__(line, tag, text) MODINFO_(line, tag, text)
#define MODINFO(tag, text) MODINFO__(__LINE__, tag, text)

struct kernel_param { const char *name; void *arg; unsigned short perm; };
#define PARAM(name, perm)						\
	static struct kernel_param __param_##name __used		\
	__section("__param") __attribute__((aligned(8))) = { #name, &name, perm }

#define INITCALL(fn)							\
	asm(".pushsection .initcall6.init, \"a\"\n"			\
	    "__initcall__kmod_case__1_1_" #fn "6:\n .long " #fn " - .\n" \
	    ".popsection")

#define this_cpu_add(var, n) asm volatile("addl %1, %%gs:%P0" : "+m" (var) : "i" (n))

/* Entries without a symbol of their own, as include/linux/pci.h, btf_ids.h,
 * tracepoint.h and the kernel's makefile for firmware leave them. */
#define PCI_FIXUP(when, vendor, device, hook)				\
	asm(".pushsection .pci_fixup_" #when ", \"a\"\n .balign 16\n"	\
	    " .short " #vendor ", " #device "\n .long 0xffffffff, 0\n"	\
	    " .long " #hook " - .\n.popsection")
#define BTF_ID_(prefix, name, n, more)					\
	asm(".pushsection .BTF_ids, \"a\"\n"				\
	    ".local __BTF_ID__" #prefix "__" #name "__" #n "\n"		\
	    ".type __BTF_ID__" #prefix "__" #name "__" #n ", STT_OBJECT\n" \
	    ".size __BTF_ID__" #prefix "__" #name "__" #n ", 4\n"	\
	    "__BTF_ID__" #prefix "__" #name "__" #n ":\n .zero 4\n" more \
	    ".popsection")
#define BTF_ID(prefix, name, n)		BTF_ID_(prefix, name, n, "")
#define BTF_ID_FLAGS(name, n, flags)	BTF_ID_(func, name, n, " .long " #flags "\n")
#define BTF_LIST(name)							\
	asm(".pushsection .BTF_ids, \"a\"\n.local " #name "\n" #name ":\n.popsection"); \
	extern unsigned int name[]
#define BTF_SET8(name)							\
	BTF_LIST(name);							\
	asm(".pushsection .BTF_ids, \"a\"\n.local __BTF_ID__set8__" #name "\n" \
	    "__BTF_ID__set8__" #name ":\n .zero 8\n.popsection")
#define TRACEPOINT_PTR(name)						\
	asm(".pushsection __tracepoints_ptrs, \"a\"\n .balign 4\n"	\
	    " .long __tracepoint_" #name " - .\n.popsection")
#define TRAMP_KEY(name)							\
	asm(".pushsection .static_call_tramp_key, \"a\"\n"		\
	    " .long __SCT__" #name " - .\n .long __SCK__" #name " - .\n.popsection")
/* A constant that boot code writes into the instruction (v6.12). */
#define RUNTIME_PTR(sym) ({						\
	void *ret;							\
	asm("mov %1, %0\n1:\n.pushsection runtime_ptr_" #sym ", \"a\"\n" \
	    " .long 1b - 8 - .\n.popsection" : "=r" (ret) : "i" (0x0123456789abcdefull)); \
	ret; })

/*
 * What older kernels leave there.
 */
/* A load that may fault, with a handler (v4.6 to v5.15). */
#define LOAD_HANDLED(x, p, handler)					\
	asm volatile("1: movl %1, %0\n2:\n"				\
		     ".pushsection __ex_table, \"a\"\n .balign 4\n"	\
		     " .long 1b - .\n .long 2b - .\n .long " #handler " - .\n" \
		     ".popsection" : "=r" (x) : "m" (*(p)))
/* The same without handler (up to v4.5). */
#define LOAD_PAIR(x, p)							\
	asm volatile("1: movl %1, %0\n2:\n"				\
		     ".pushsection __ex_table, \"a\"\n .balign 4\n"	\
		     " .long 1b - .\n .long 2b - .\n.popsection"	\
		     : "=r" (x) : "m" (*(p)))
/* A load whose fixup is code of its own (up to v5.15). */
#define LOAD_FIXED(err, x, p, errno)					\
	asm volatile("1: movl %2, %1\n2:\n"				\
		     ".pushsection .fixup, \"ax\"\n"			\
		     "3: movl %3, %0\n xorl %1, %1\n jmp 2b\n"		\
		     ".popsection\n"					\
		     ".pushsection __ex_table, \"a\"\n .balign 4\n"	\
		     " .long 1b - .\n .long 3b - .\n .long ex_handler_uaccess - .\n" \
		     ".popsection" : "=r" (err), "=r" (x)		\
		     : "m" (*(p)), "i" (errno), "0" (err))
/* A paravirt call whose entry ends with the clobbered registers (v5.10). */
#define PV_CALL_SHORT(slot)						\
	asm volatile("771: call *pv_ops + 8 * " #slot "\n772:\n"	\
		     ".pushsection .parainstructions, \"a\"\n"		\
		     " .balign 8\n .quad 771b\n .byte " #slot "\n"	\
		     " .byte 772b - 771b\n .short 1\n"			\
		     ".popsection" : : : CLOBBERS)
/* A trap whose entry counts from its own start (v5.10). */
#define TRAP_FROM_START(file, flags)					\
	asm volatile("1: .byte 0x0f, 0x0b\n"				\
		     ".pushsection __bug_table, \"aw\"\n"		\
		     "2: .long 1b - 2b\n .long %c0 - 2b\n"		\
		     " .word %c1\n .word %c2\n .org 2b + 12\n"		\
		     ".popsection"					\
		     : : "i" (file), "i" (__LINE__), "i" (flags))
/* An alternative padded by the assembler, which says so (v4.1 to v5.12). */
#define ALT13(oldinstr, newinstr, feature)				\
	"661: " oldinstr "\n662:\n.skip 3, 0x90\n663:\n"		\
	".pushsection .altinstructions, \"a\"\n"			\
	" .long 661b - .\n .long 664f - .\n .word " #feature "\n"	\
	" .byte 663b - 661b\n .byte 665f - 664f\n .byte 663b - 662b\n"	\
	".popsection\n"							\
	".pushsection .altinstr_replacement, \"ax\"\n"			\
	"664: " newinstr "\n665:\n"					\
	".popsection\n"
