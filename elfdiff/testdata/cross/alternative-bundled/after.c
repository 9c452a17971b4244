// want: changed f
// only: arm64 loongarch64
// extract: fails KLP109
// The replacements of both lie behind the second.
#define __sched __attribute__((__section__(".sched.text"), noinline))
#define ALT asm volatile("661: nop\n662:\n.pushsection .altinstructions,\"a\"\n.long 661b - .\n.long 663f - .\n.short 7\n.byte 662b-661b\n.byte 664f-663f\n.popsection\n.subsection 1\n663: nop\n664:\n.previous" : : : "memory")
extern int ext(int);
__sched int f(int a) { ALT; return ext(a + 6); }
__sched int g(int a) { ALT; return ext(a + 1); }
