// want: changed f
// want: changed h
// want: lines g
// only: arm64 ppc64le s390x
// extract: entries __bug_table 1
// extract: entries __ex_table 1
// The layouts of v5.10: distances of the bug table count from the entry's start, or are
// addresses on powerpc; the exception table has no types, and on s390 room for a handler.
extern int ext(int);
#if defined(__powerpc64__)
#define BUG(line, file) asm volatile("1: nop\n.pushsection __bug_table,\"aw\"\n2: .8byte 1b, %1\n.short %0, 1\n.org 2b+24\n.popsection" : : "i"(line), "i"(file))
#else
#define BUG(line, file) asm volatile("1: nop\n.pushsection .rodata.str,\"aMS\",@progbits,1\n3: .asciz \"" file "\"\n.popsection\n.pushsection __bug_table,\"aw\"\n.balign 4\n2: .long 1b - 2b, 3b - 2b\n.short %c0, 1\n.org 2b+12\n.popsection" : : "i"(line))
#endif
#if defined(__s390x__)
#define FIXUP() asm volatile("1: nopr\n2:\n.pushsection __ex_table,\"a\"\n.balign 8\n.long 1b - .\n.long 2b - .\n.quad 0\n.popsection" : : : "memory")
#else
#define FIXUP() asm volatile("1: nop\n2:\n.pushsection __ex_table,\"a\"\n.balign 8\n.long 1b - .\n.long 2b - .\n.popsection" : : : "memory")
#endif
int f(int a) { BUG(21, "include/linux/fs.h"); return ext(a) + 2; }
int g(int a) { BUG(30, "fs/namei.c"); FIXUP(); return ext(a + 4); }
int h(int a) { FIXUP(); return ext(a + 8); }
