// want: changed f
// The replacement alone changes, in a section of its own or behind the function.
// only: arm64 s390x loongarch64
// extract: entries .altinstructions 1
#if defined(__s390x__)
#define ALT(new) asm volatile(".pushsection .altinstr_replacement,\"ax\"\n6641: " new "\n6651:\n.popsection\n661: nopr %%r5\n662:\n.pushsection .altinstructions,\"a\"\n.long 661b - .\n.long 6641b - .\n.word 81\n.byte 662b-661b\n.popsection" : : : "memory")
#define NEW1 "nopr %%r7"
#define NEW2 "nopr %%r6"
#else
#define ALT(new) asm volatile("661: nop\n662:\n.pushsection .altinstructions,\"a\"\n.long 661b - .\n.long 663f - .\n.short 7\n.byte 662b-661b\n.byte 664f-663f\n.popsection\n.subsection 1\n663: " new "\n664:\n.previous" : : : "memory")
#if defined(__aarch64__)
#define NEW1 "yield"
#define NEW2 "wfe"
#else
#define NEW1 "dbar 0"
#define NEW2 "ibar 0"
#endif
#endif
extern int ext(int);
int f(int a) { ALT(NEW2); return ext(a); }
int g(int a) { ALT(NEW1); return ext(a + 1); }
