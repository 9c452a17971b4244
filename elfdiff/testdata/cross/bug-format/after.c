// want: changed f
// only: s390x
// extract: entries __bug_table 1
// Flags alone change. Entries have a format, and with CONFIG_DEBUG_BUGVERBOSE off no file and line (v7.2).
extern int ext(int);
#define BUG(format, flags) asm volatile("0: nopr\n.pushsection .rodata.str,\"aMS\",@progbits,1\n3: .asciz \"" format "\"\n.popsection\n.pushsection __bug_table,\"aw\"\n.balign 4\n1: .long 0b - .\n.long 3b - .\n.short %0\n.org 1b+12\n.popsection" : : "i"(flags))
int f(int a) { BUG("number %%d\\n", 3); return ext(a); }
int g(int a) { BUG("", 1); return ext(a + 4); }
