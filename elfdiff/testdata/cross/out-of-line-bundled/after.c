// want: changed f
// only: arm64 loongarch64
// extract: fails KLP109
// The out-of-line code of both lies behind the second.
#define __sched __attribute__((__section__(".sched.text"), noinline))
#if defined(__aarch64__)
#define OUT(n) asm volatile("b 3f\n.subsection 1\n3: add x9, x9, #" #n "\nb 4f\n.previous\n4:" : : : "x9", "memory")
#else
#define OUT(n) asm volatile("b 3f\n.subsection 1\n3: addi.d $t0, $t0, " #n "\nb 4f\n.previous\n4:" : : : "$t0", "memory")
#endif
extern int ext(int);
__sched int f(int a) { OUT(1); return ext(a + 6); }
__sched int g(int a) { OUT(1); return ext(a + 1); }
