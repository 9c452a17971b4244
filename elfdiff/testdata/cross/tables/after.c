// want: changed f
// want: changed h
// want: lines g
// extract: entries __bug_table 1
// extract: entries __ex_table 1
// extract: entries __jump_table 1
extern int ext(int);
extern char key[16];
#define BUG(line) asm volatile("1: nop\n.pushsection __bug_table,\"aw\"\n.balign 4\n2: .long 1b - .\n.long 3f - .\n.short %c0\n.short 1\n.popsection\n.pushsection .rodata.str1.1,\"aMS\",@progbits,1\n3: .asciz \"file.c\"\n.popsection" : : "i"(line))
#define FIXUP() asm volatile("1: nop\n2:\n.pushsection __ex_table,\"a\"\n.balign 4\n.long 1b - .\n.long 2b - .\n.short 1\n.short 0\n.popsection" : : : "memory")
static inline __attribute__((always_inline)) int branch(void)
{
	asm goto("1: nop\n.pushsection __jump_table,\"aw\"\n.balign 8\n.long 1b - .\n.long %l[yes] - .\n.quad key - .\n.popsection" : : : : yes);
	return 0;
yes:
	return 1;
}
int f(int a) { BUG(21); if (branch()) return ext(a); return a + 2; }
int g(int a) { BUG(30); FIXUP(); return branch() ? ext(a + 4) : 3; }
int h(int a) { FIXUP(); return a + 8; }
